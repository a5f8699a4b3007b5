import keras
import numpy as np
import pytest

from keras_emotion.layers import StepSelfAttention


def attention_by_loops(states, w_d, w_1, w_2, w, b_1, b_2):
    """Eq. 18-20 for one `(steps, features)` window, step by step."""
    similarity = []
    for state in states:
        aligned = state @ w_d
        score = np.maximum(state @ w_1 + aligned @ w_2 + b_1, 0) @ w + b_2
        similarity.append(sum(score[feature] * state[feature] for feature in range(len(state))))
    exponentials = [np.exp(value) for value in similarity]
    return np.array(exponentials) / sum(exponentials)


@pytest.mark.parametrize("shape", [(3, 4, 6), (2, 1, 3), (1, 7, 1)])
def test_values_against_loops(shape):
    rng = np.random.default_rng(shape[1])
    states = rng.standard_normal(shape).astype("float32")
    layer = StepSelfAttention()
    layer.build(shape)
    layer.set_weights([0.5 * rng.standard_normal(weight.shape) for weight in layer.get_weights()])
    values = [weight.astype("float64") for weight in layer.get_weights()]
    named = dict(zip((weight.name for weight in layer.weights), values, strict=True))
    order = ["alignment_kernel", "state_kernel", "aligned_kernel", "score_kernel", "hidden_bias", "score_bias"]
    expected = np.array([attention_by_loops(window, *(named[name] for name in order)) for window in states])

    attended, probabilities = map(keras.ops.convert_to_numpy, layer(states, return_attention_scores=True))
    np.testing.assert_allclose(probabilities, expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(attended, expected[..., None] * states, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(layer(states)), attended)


def test_hand_computed_case():
    layer = StepSelfAttention(kernel_initializer="ones")
    layer.build((None, 2, 1))
    # One feature, all matrices 1, no bias: d = h, s = relu(2 h), N = 2 h^2 for h > 0 and 0 below.
    states = np.array([[[np.sqrt(np.log(3.0) / 2)], [-1.0]]], "float32")
    _, probabilities = layer(states, return_attention_scores=True)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(probabilities), [[0.75, 0.25]], rtol=1e-6)


def test_the_four_matrices_start_different():
    layer = StepSelfAttention()
    layer.build((None, 4, 5))
    kernels = [values for values in layer.get_weights() if values.ndim == 2]
    assert len(kernels) == 4
    assert len({values.tobytes() for values in kernels}) == 4


def test_similarity_does_not_overflow_in_float16():
    # s . h of the first step is 2 * 200^2 * 4 = 320,000, beyond the 65,504 of float16.
    states = np.zeros((1, 2, 4), "float32")
    states[0, 0] = 200
    layer = StepSelfAttention(kernel_initializer="identity", dtype="mixed_float16")
    attended, probabilities = layer(states, return_attention_scores=True)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(probabilities), [[1, 0]])
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(keras.ops.cast(attended, "float32")), states)


@pytest.mark.parametrize("dtype", ["float32", "mixed_float16"])
def test_both_outputs_are_what_is_said_of_them_before(dtype):
    layer = StepSelfAttention(dtype=dtype)
    said = layer(keras.Input((3, 4)), return_attention_scores=True)
    given = layer(np.zeros((2, 3, 4), "float32"), return_attention_scores=True)
    for before, after in zip(said, given, strict=True):
        assert before.shape == (None, *after.shape[1:])
        assert before.dtype == keras.backend.standardize_dtype(after.dtype)
