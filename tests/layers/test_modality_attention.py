import keras
import numpy as np
import pytest

from keras_emotion.layers import ModalityAttention


def called(inputs, kernel):
    layer = ModalityAttention()
    layer.build(inputs.shape)
    layer.set_weights([kernel.reshape(-1, 1)])
    return [keras.ops.convert_to_numpy(array) for array in layer(inputs, return_attention_scores=True)]


def test_values_against_loops():
    rng = np.random.default_rng(0)
    inputs, kernel = rng.standard_normal((4, 3, 2, 5)).astype("float32"), rng.standard_normal(5)
    outputs, weights = called(inputs, kernel)
    for sample, window in np.ndindex(4, 3):
        modalities = inputs[sample, window].astype("float64")
        exponentials = [np.exp(sum(kernel * features)) for features in modalities]
        shares = [exponential / sum(exponentials) for exponential in exponentials]
        np.testing.assert_allclose(weights[sample, window], shares, rtol=1e-5)
        expected = shares[0] * modalities[0] + shares[1] * modalities[1]
        np.testing.assert_allclose(outputs[sample, window], expected, rtol=1e-4, atol=1e-6)


def test_hand_computed():
    # w . O is ln 3 and 0: weights 3/4 and 1/4.
    outputs, weights = called(np.array([[[np.log(3.0), 2.0], [0.0, 6.0]]], "float32"), np.array([1.0, 0.0]))
    np.testing.assert_allclose(weights, [[0.75, 0.25]], rtol=1e-6)
    np.testing.assert_allclose(outputs, [[0.75 * np.log(3.0), 3.0]], rtol=1e-6)


@pytest.mark.parametrize("n_modalities", [1, 3])
def test_weights_sum_to_1_and_large_scores_overflow_nothing(n_modalities):
    inputs = 1e4 * np.random.default_rng(1).standard_normal((4, n_modalities, 5)).astype("float32")
    outputs, weights = called(inputs, np.ones(5))
    np.testing.assert_allclose(weights.sum(axis=-1), 1, rtol=1e-5)
    if n_modalities == 1:
        np.testing.assert_array_equal(outputs, inputs[:, 0])


@pytest.mark.parametrize("dtype", ["float32", "mixed_float16"])
@pytest.mark.parametrize("shape", [(2, 5), (4, 2, 5)])
def test_both_outputs_are_what_is_said_of_them_before(shape, dtype):
    layer = ModalityAttention(dtype=dtype)
    said = layer(keras.Input(shape), return_attention_scores=True)
    given = layer(np.zeros((2, *shape), "float32"), return_attention_scores=True)
    for before, after in zip(said, given, strict=True):
        assert before.shape == (None, *after.shape[1:])
        assert before.dtype == keras.backend.standardize_dtype(after.dtype)
