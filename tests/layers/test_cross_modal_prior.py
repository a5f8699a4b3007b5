import keras
import numpy as np
import pytest

from keras_emotion.layers import CrossModalPrior


def layer_with_random_weights(rng, shapes, **arguments):
    layer = CrossModalPrior(**arguments)
    layer.build(shapes)
    layer.set_weights([rng.standard_normal(weight.shape) for weight in layer.weights])
    weights = zip((weight.name for weight in layer.weights), layer.get_weights(), strict=True)
    return layer, {name: values.astype("float64") for name, values in weights}


def prior_by_loops(eeg, face, weights, units, prior, transpose):
    """Eq. 2-5 for one window, `(channels, features)` and `(face_channels, face_features)`, score by score."""
    if prior == "sum":
        mapped = np.zeros((len(eeg), face.shape[1]))
        for channel, face_channel in np.ndindex(len(eeg), len(face)):
            mapped[channel] += weights["face_map"][face_channel, channel] * face[face_channel]
        face = mapped

    def correlation(queries, query, keys, key):
        scores = np.zeros((len(queries), len(keys)))
        for row, column in np.ndindex(scores.shape):
            a, b = queries[row] @ weights[query], keys[column] @ weights[key]
            scores[row, column] = sum(a[unit] * b[unit] for unit in range(units)) / np.sqrt(units)
        return scores

    ours, theirs = correlation(eeg, "eeg_query", face, "face_key"), correlation(face, "face_query", eeg, "eeg_key")
    n_channels = len(eeg)
    result = np.zeros((n_channels, n_channels))
    for row, column in np.ndindex(result.shape):
        if prior == "product":
            score = sum(ours[row, k] * theirs[k, column] for k in range(len(face)))
        else:
            score = ours[row, column] + (theirs[column, row] if transpose else theirs[row, column])
        result[row, column] = np.log1p(np.exp(score))
    return result


@pytest.mark.parametrize(("prior", "transpose"), [("sum", False), ("sum", True), ("product", False)])
@pytest.mark.parametrize(
    ("eeg_shape", "face_shape", "units"),
    [((2, 3, 4, 5), (2, 3, 6, 1), 16), ((2, 2, 3, 2), (2, 2, 3, 3), 1), ((1, 1, 1, 1), (1, 1, 1, 1), 2)],
)
def test_values_against_loops(eeg_shape, face_shape, units, prior, transpose):
    rng = np.random.default_rng(eeg_shape[2])
    arguments = {"units": units, "prior": prior, "transpose": transpose}
    layer, weights = layer_with_random_weights(rng, [eeg_shape, face_shape], **arguments)
    # Small, so that softplus is no mere ReLU.
    eeg, face = (0.5 * rng.standard_normal(shape) for shape in (eeg_shape, face_shape))
    expected = [
        [prior_by_loops(*window, weights, **arguments) for window in zip(*sample, strict=True)]
        for sample in zip(eeg, face, strict=True)
    ]
    outputs = keras.ops.convert_to_numpy(layer([eeg, face]))
    assert outputs.shape == (*eeg_shape[:3], eeg_shape[2])
    np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-6)


def test_hand_computed_case():
    layer = CrossModalPrior(units=4)
    layer.build([(None, 1, 2, 1), (None, 1, 1, 1)])
    # The face, ln 3, is seen by the second EEG channel alone. Four products of 1 and 0.5, over sqrt(4), are 1: the
    # correlations are those of the values themselves, and the second one is 0.
    face_map, ones = np.array([[0.0, 1.0]]), np.ones((1, 4))
    layer.set_weights([face_map, ones, 0 * ones, ones, 0.5 * ones])
    prior = layer([np.array([[[[1.0], [2.0]]]]), np.full((1, 1, 1, 1), np.log(3.0))])
    # softplus(x) = ln(1 + e^x): ln 2 without the face, ln(1 + 3) and ln(1 + 9) with it.
    expected = np.log([[2, 4], [2, 10]])
    np.testing.assert_allclose(keras.ops.convert_to_numpy(prior)[0, 0], expected, rtol=1e-6)


@pytest.mark.parametrize(("transpose", "rank"), [(True, 1), (False, 2)])
def test_with_one_facial_feature_the_rank_does_not_grow_with_the_units(transpose, rank):
    rng = np.random.default_rng(0)
    layer, _ = layer_with_random_weights(rng, [(None, 1, 6, 5), (None, 1, 4, 1)], units=16, transpose=transpose)
    prior = layer([0.3 * rng.standard_normal((1, 1, 6, 5)), 0.3 * rng.standard_normal((1, 1, 4, 1))])
    scores = np.log(np.expm1(keras.ops.convert_to_numpy(prior)[0, 0].astype("float64")))
    values = np.linalg.svd(scores, compute_uv=False)
    assert values[rank - 1] > 1e-2
    assert values[rank] < 1e-4


def test_the_kernels_start_different():
    layer = CrossModalPrior()
    layer.build([(None, 2, 3, 5), (None, 2, 4, 5)])
    kernels = [values for values in layer.get_weights() if values.shape == (5, 16)]
    assert len(kernels) == 4
    assert len({values.tobytes() for values in kernels}) == 4


def test_correlations_do_not_overflow_in_float16():
    # Both correlations are beyond the 65,504 of float16, one on each side of zero.
    layer = CrossModalPrior(units=1, dtype="mixed_float16")
    layer.build([(None, 1, 1, 1), (None, 1, 1, 1)])
    one = np.ones((1, 1))
    layer.set_weights([one, one, one, -one, one])
    prior = layer([np.full((1, 1, 1, 1), 300.0), np.full((1, 1, 1, 1), 400.0)])
    assert keras.backend.standardize_dtype(prior.dtype) == "float16"
    np.testing.assert_allclose(keras.ops.convert_to_numpy(prior).astype("float32"), np.log(2), rtol=1e-3)


def test_other_sizes_are_refused_once_the_weights_are_there():
    layer = CrossModalPrior()
    layer([np.zeros((1, 2, 3, 5)), np.zeros((1, 2, 4, 1))])
    for shapes in ([(1, 2, 3, 4), (1, 2, 4, 1)], [(1, 2, 3, 5), (1, 2, 5, 1)]):
        with pytest.raises(ValueError, match="incompatible"):
            layer([np.zeros(shape) for shape in shapes])
