import keras
import numpy as np
import pytest

from keras_emotion.layers import ECABandAttention


def attention_by_loops(features, kernel):
    """Eq. 4-5 for one `(rows, columns, bands)` slice, the zeros around the bands written out."""
    n_bands = features.shape[-1]
    before = (len(kernel) - 1) // 2
    weights = np.empty(n_bands)
    for band in range(n_bands):
        score = 0.0
        for tap, factor in enumerate(kernel):
            neighbour = band + tap - before
            if 0 <= neighbour < n_bands:
                score += factor * features[:, :, neighbour].mean()
        weights[band] = 1 / (1 + np.exp(-score))
    return weights


@pytest.mark.parametrize("kernel_size", [1, 2, 3, 4, 5])
def test_values_of_one_slice_and_of_steps(kernel_size):
    rng = np.random.default_rng(kernel_size)
    features = rng.standard_normal((2, 3, 6, 5, 4)).astype("float32")
    layer = ECABandAttention(kernel_size)
    weighted, weights = map(keras.ops.convert_to_numpy, layer(features, return_attention_scores=True))
    kernel = layer.get_weights()[0][:, 0, 0]
    expected = np.array([[attention_by_loops(step, kernel) for step in window] for window in features])
    np.testing.assert_allclose(weights, expected, rtol=1e-5)
    np.testing.assert_allclose(weighted, features * expected[:, :, None, None, :], rtol=1e-4, atol=1e-6)
    # One slice without the axis of the steps is the same computation.
    np.testing.assert_allclose(keras.ops.convert_to_numpy(layer(features[:, 1])), weighted[:, 1], rtol=1e-6)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(layer.attention(features)), weights)


def test_hand_computed_case():
    layer = ECABandAttention(kernel_initializer="ones")
    features = np.zeros((1, 1, 2, 2), "float32")
    features[0, 0, :, 0] = [0.0, 2 * np.log(3.0)]
    weighted, weights = layer(features, return_attention_scores=True)
    # The mean of the first band is ln 3, and sigmoid(ln 3) = 3 / 4; that of the second is 0.
    np.testing.assert_allclose(keras.ops.convert_to_numpy(weights), [[0.75, 0.5]], rtol=1e-6)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(weighted)[0, 0, :, 0], [0.0, 1.5 * np.log(3.0)], rtol=1e-6)


@pytest.mark.parametrize(
    ("n_bands", "gamma", "b", "expected"),
    [
        # floor(log2(C) / gamma + b / gamma), and one more where that is even.
        (1, 2, 1, 1),
        (2, 2, 1, 1),
        (4, 2, 1, 1),  # 2 / 2 + 1 / 2 = 1.5
        (5, 2, 1, 1),  # 1.66
        (8, 2, 1, 3),  # 2
        (32, 2, 1, 3),  # 3
        (64, 2, 1, 3),  # 3.5
        (128, 2, 1, 5),  # 4
        (4, 1, 1, 3),  # 3
        (4, 2, 4, 3),  # 3
    ],
)
def test_adaptive_kernel_size(n_bands, gamma, b, expected):
    layer = ECABandAttention(gamma=gamma, b=b)
    layer.build((None, 3, 3, n_bands))
    assert layer.effective_kernel_size == expected


def test_mean_over_the_grid_does_not_overflow_in_float16():
    # 81 cells of 6000 sum to 486,000; float16 ends at 65,504.
    features = np.full((1, 9, 9, 4), 6000.0, "float32")
    layer = ECABandAttention(kernel_initializer=keras.initializers.Constant(1e-3), dtype="mixed_float16")
    weights = keras.ops.convert_to_numpy(keras.ops.cast(layer.attention(features), "float32"))
    np.testing.assert_allclose(weights, 1 / (1 + np.exp(-6.0)), rtol=2e-3)


@pytest.mark.parametrize("dtype", ["float32", "mixed_float16"])
@pytest.mark.parametrize("shape", [(4, 3, 5), (2, 4, 3, 5)])
def test_both_outputs_are_what_is_said_of_them_before(shape, dtype):
    layer = ECABandAttention(dtype=dtype)
    said = layer(keras.Input(shape), return_attention_scores=True)
    given = layer(np.zeros((2, *shape), "float32"), return_attention_scores=True)
    for before, after in zip(said, given, strict=True):
        assert before.shape == (None, *after.shape[1:])
        assert before.dtype == keras.backend.standardize_dtype(after.dtype)
