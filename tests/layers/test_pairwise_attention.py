import keras
import numpy as np
import pytest
from scipy.special import expit

from keras_emotion.layers import PairwiseAttention


def attention_by_loops(window, z_1, z_2, z_3, v, b):
    """`P'` of one `(others, pairs, features)` window, as [1] writes it for channels with the steps for the others."""
    n_others, n_pairs, n_features = window.shape
    left = np.zeros((n_pairs, n_features))
    right = np.zeros((n_pairs, n_others))
    for other, pair, feature in np.ndindex(window.shape):
        left[pair, feature] += window[other, pair, feature] * z_1[other]
        right[pair, other] += z_3[feature] * window[other, pair, feature]
    exponentials = np.exp(v @ expit(left @ z_2 @ right.T + b))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("shape", [(2, 4, 5, 3), (2, 1, 3, 2)])
@pytest.mark.parametrize("axis", ["channels", "steps"])
def test_values_against_loops(axis, shape):
    rng = np.random.default_rng(shape[1])
    windows = rng.standard_normal(shape)
    layer = PairwiseAttention(axis, dtype="float64")
    layer.build(shape)
    layer.set_weights([rng.standard_normal(weight.shape) for weight in layer.get_weights()])
    named = {weight.name: values for weight, values in zip(layer.weights, layer.get_weights(), strict=True)}
    order = ["other_kernel", "pair_kernel", "feature_kernel", "score_kernel", "score_bias"]
    others_first = windows if axis == "channels" else np.swapaxes(windows, 1, 2)
    expected = [attention_by_loops(window, *(named[name] for name in order)) for window in others_first]
    outputs = keras.ops.convert_to_numpy(layer(windows))
    np.testing.assert_allclose(outputs, expected, rtol=1e-9)
    np.testing.assert_allclose(outputs.sum(axis=-1), 1, rtol=1e-12)


def test_hand_computed_case():
    # One step, one feature, all kernels 1: left = right = x, P = V sigmoid(x x^T + b) with V = [[1, 1], [1, 1]].
    layer = PairwiseAttention("channels", kernel_initializer="ones")
    weights = keras.ops.convert_to_numpy(layer(np.array([[[[0.0], [np.sqrt(np.log(3.0))]]]])))
    # sigmoid(0) = 1/2, sigmoid(log 3) = 3/4; each column of P is the sum of its column: 1 and 5/4.
    odds = np.exp(0.25)
    np.testing.assert_allclose(weights[0], [[1 / (1 + odds), odds / (1 + odds)]] * 2, rtol=1e-6)


def test_kernels_of_one_shape_start_different():
    layer = PairwiseAttention("steps")
    layer.build((None, 3, 4, 4))
    first, second = layer.get_weights()[0], layer.get_weights()[2]
    assert first.shape == second.shape == (4,)
    assert (first != second).all()
