import keras
import numpy as np

from keras_emotion.layers import BandAttention


def test_values_against_numpy():
    rng = np.random.default_rng(0)
    bands, state = rng.standard_normal((2, 3, 5)), rng.standard_normal((2, 4))
    layer = BandAttention(6)
    layer.build([bands.shape, state.shape])
    layer.set_weights([rng.standard_normal(weight.shape) for weight in layer.get_weights()])
    scores, projection = ([np.asarray(w.value) for w in one.weights] for one in (layer.scores, layer.projection))
    theta = np.exp(state @ scores[0] + scores[1])
    theta /= theta.sum(axis=1, keepdims=True)
    expected = (np.einsum("sb,sbf->sf", theta, bands) @ projection[0] + projection[1]).clip(0)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(layer([bands, state])), expected, rtol=1e-4, atol=1e-6)


def test_a_single_band_has_all_the_weight():
    rng = np.random.default_rng(0)
    layer = BandAttention(6)
    bands = rng.standard_normal((2, 1, 5))
    first, second = (keras.ops.convert_to_numpy(layer([bands, rng.standard_normal((2, 4))])) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert first.any()
