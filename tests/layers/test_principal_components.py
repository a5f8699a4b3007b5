import keras
import numpy as np
import pytest
from sklearn.decomposition import PCA

from keras_emotion.layers import PrincipalComponents
from keras_emotion.pipelines import feature_covariance


def fitted(features, n_components, dtype=None):
    layer = PrincipalComponents(n_components, dtype=dtype)
    layer.build((None, features.shape[-1]))
    layer.set_statistics(features.mean(axis=0), np.cov(features.T, bias=True))
    return layer


def some_features(n_rows=200):
    rng = np.random.default_rng(0)
    return 100 + rng.standard_normal((n_rows, 6)) @ rng.standard_normal((6, 6))


def test_scores_are_those_of_scikit_learn():
    features = some_features()
    scores = keras.ops.convert_to_numpy(fitted(features, 4)(features))
    pca = PCA(4, whiten=True).fit(features)
    # scikit-learn divides by one row less, and has different signs.
    expected = pca.transform(features) * np.sqrt(200 / 199)
    largest = pca.components_[np.arange(4), np.abs(pca.components_).argmax(axis=1)]
    np.testing.assert_allclose(scores, expected * np.sign(largest), atol=1e-3)
    np.testing.assert_allclose(np.cov(scores.T, bias=True), np.eye(4), atol=1e-3)


def test_half_precision_keeps_what_a_large_mean_hides():
    features = some_features()
    expected = keras.ops.convert_to_numpy(fitted(features, 3)(features))
    scores = fitted(features, 3, dtype="mixed_float16")(features.astype("float32"))
    assert keras.backend.standardize_dtype(scores.dtype) == "float16"
    np.testing.assert_allclose(keras.ops.convert_to_numpy(scores).astype(float), expected, atol=5e-3)


def test_components_without_variance_are_zero():
    features = some_features(n_rows=3)
    scores = keras.ops.convert_to_numpy(fitted(features, 4)(some_features()))
    assert np.abs(scores[:, :2]).min(axis=0).max() > 0
    np.testing.assert_array_equal(scores[:, 2:], 0)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(fitted(np.ones((5, 3)), 2)(np.zeros((2, 3)))), 0)


def test_starts_with_the_first_features():
    features = np.random.default_rng(2).standard_normal((2, 3, 5)).astype("float32")
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(PrincipalComponents(2)(features)), features[..., :2])


@pytest.mark.parametrize(
    ("mean", "covariance", "message"),
    [
        (np.zeros(2), np.eye(3), r"`mean` must have shape \(3,\); received shape \(2,\)"),
        (np.zeros(3), np.eye(2), r"`covariance` must have shape \(3, 3\); received shape \(2, 2\)"),
        (np.zeros(3), np.full((3, 3), np.nan), "`covariance` must be finite; received nan"),
    ],
)
def test_statistics_that_do_not_fit(mean, covariance, message):
    layer = PrincipalComponents(2)
    layer.build((None, 3))
    with pytest.raises(ValueError, match=message):
        layer.set_statistics(mean, covariance)


def test_covariances_are_of_the_given_windows_alone():
    rng = np.random.default_rng(3)
    array = 1e3 + rng.standard_normal((20, 3, 2, 2)).astype("float32")
    rows = np.array([1, 4, 5, 11, 2, 17])
    steps = array[rows].reshape(-1, 4).astype(float)
    mean, covariance = feature_covariance(array, rows, chunk=4)
    np.testing.assert_allclose(mean, steps.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(covariance, np.cov(steps.T, bias=True), rtol=1e-9)
    with pytest.raises(ValueError, match="`rows` is empty"):
        feature_covariance(array, [])
