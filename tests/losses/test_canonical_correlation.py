import keras
import numpy as np
import pytest
from scipy.linalg import sqrtm
from sklearn.cross_decomposition import CCA

from keras_emotion.losses import CanonicalCorrelationLoss


def correlated_views(rng, n_observations=60, n_features=4):
    """Two views with a common part, `(observations, 2, features)`."""
    shared = rng.standard_normal((n_observations, n_features))
    own = rng.standard_normal((2, n_observations, n_features))
    mixing = rng.standard_normal((2, n_features, n_features))
    return np.stack([(shared + own[0]) @ mixing[0], (shared + 0.5 * own[1]) @ mixing[1]], axis=1) + 3


def value(views, weights=None, **arguments):
    return float(CanonicalCorrelationLoss(**arguments)(np.zeros(len(views)), views.astype("float32"), weights))


def parts_of(views, regularisation, weights=None):
    """Centred views, inverse roots of both covariances, and T, as [1] writes them, in float64."""
    n_features = views.shape[-1]
    covariance = np.cov(views.reshape(len(views), -1), rowvar=False, aweights=weights)
    roots = [
        np.linalg.inv(sqrtm(block + regularisation * np.eye(n_features)).real)
        for block in (covariance[:n_features, :n_features], covariance[n_features:, n_features:])
    ]
    centred = views - np.average(views, axis=0, weights=weights)
    return centred, roots, roots[0] @ covariance[:n_features, n_features:] @ roots[1]


@pytest.mark.parametrize("regularisation", [1e-3, 0.5])
@pytest.mark.parametrize("weighted", [False, True])
def test_value_is_the_trace_norm(regularisation, weighted):
    rng = np.random.default_rng(0)
    views = correlated_views(rng)
    weights = rng.uniform(0, 3, len(views)) if weighted else None
    *_, total = parts_of(views, regularisation, weights)
    expected = -np.trace(sqrtm(total.T @ total).real)
    np.testing.assert_allclose(value(views, weights, regularisation=regularisation), expected, rtol=1e-4)


def test_value_is_that_of_scikit_learn():
    views = correlated_views(np.random.default_rng(1), n_observations=200)
    scores = CCA(n_components=4, max_iter=5000, tol=1e-12).fit_transform(views[:, 0], views[:, 1])
    correlations = np.diag(np.corrcoef(*scores, rowvar=False)[:4, 4:])
    np.testing.assert_allclose(value(views, regularisation=1e-7), -np.sum(correlations), rtol=1e-4)


def test_one_feature_by_hand():
    views = np.array([[1.0, 2.0], [2.0, 1.0], [6.0, 9.0]])[..., None]
    # From the means, 3 and 4: (-2, -1, 3) and (-2, -3, 5). Variances 14 / 2 and 38 / 2, covariance 22 / 2.
    np.testing.assert_allclose(value(views, regularisation=2.0), -11 / np.sqrt((7 + 2) * (19 + 2)), rtol=1e-6)
    # Without the third: variances 1/2, covariance -1/2; a correlation counts by its size.
    np.testing.assert_allclose(value(views, [1, 1, 0], regularisation=0.5), -0.5, rtol=1e-6)


def test_linear_maps_of_the_views_change_nothing():
    rng = np.random.default_rng(2)
    views = correlated_views(rng, n_observations=500)
    mapped = np.stack([views[:, view] @ rng.standard_normal((4, 4)) + 5 for view in (0, 1)], axis=1)
    np.testing.assert_allclose(value(mapped, regularisation=1e-6), value(views, regularisation=1e-6), rtol=1e-3)


def test_padding_changes_nothing_and_the_scale_of_weights_neither():
    rng = np.random.default_rng(3)
    views, weights = correlated_views(rng), rng.uniform(0.5, 2, 60)
    padded = np.concatenate([views, np.full((3, 2, 4), 50.0)])
    np.testing.assert_allclose(value(padded, [1.0] * 60 + [0.0] * 3), value(views), rtol=1e-5)
    np.testing.assert_allclose(value(views, 7 * weights), value(views, weights), rtol=1e-5)


def test_each_window_of_a_sample_is_an_observation_with_its_weight():
    rng = np.random.default_rng(4)
    views, weights = correlated_views(rng), rng.uniform(0, 2, 12)
    expected = value(views, np.repeat(weights, 5))
    np.testing.assert_allclose(value(views.reshape(12, 5, 2, 4), weights), expected, rtol=1e-5)


def gradient(views, weights=None, jit_compile=False, **arguments):
    """Change by a step of gradient descent of views that are the weights of a model."""
    n_observations = len(views)
    embedding = keras.layers.Embedding(n_observations, views[0].size)
    model = keras.Sequential([keras.Input((), dtype="int32"), embedding, keras.layers.Reshape(views.shape[1:])])
    embedding.set_weights([views.reshape(n_observations, -1)])
    model.compile(keras.optimizers.SGD(1.0), CanonicalCorrelationLoss(**arguments), jit_compile=jit_compile)
    model.train_on_batch(np.arange(n_observations), np.zeros(n_observations), sample_weight=weights)
    return views.astype("float32") - embedding.get_weights()[0].reshape(views.shape)


@pytest.mark.parametrize(
    ("jit_compile", "weighted", "equal_eigenvalues"),
    [(False, False, False), (False, True, False), (True, True, False), (False, False, True)],
)
def test_gradient_is_that_of_the_paper(jit_compile, weighted, equal_eigenvalues):
    rng = np.random.default_rng(5)
    views = correlated_views(rng)
    if equal_eigenvalues:
        # The derivatives of eigenvectors do not exist here; that of the correlation does.
        views[:, 0] = np.linalg.qr(views[:, 0] - views[:, 0].mean(axis=0))[0]
    weights = rng.uniform(0.5, 2, len(views)) if weighted else np.ones(len(views))
    centred, (first_root, second_root), total = parts_of(views, 0.1, weights)
    shares = weights / weights.sum()
    shares = shares / (1 - np.sum(shares**2))  # 1 / (m - 1) where all are equal
    left, correlations, right = np.linalg.svd(total)
    # Eq. 11 to 13 of [1], for observations in rows, and for the second view by symmetry.
    across = first_root @ left @ right @ second_root
    first = -0.5 * first_root @ left @ np.diag(correlations) @ left.T @ first_root
    second = -0.5 * second_root @ right.T @ np.diag(correlations) @ right @ second_root
    expected = np.stack(
        [
            2 * centred[:, 0] @ first + centred[:, 1] @ across.T,
            2 * centred[:, 1] @ second + centred[:, 0] @ across,
        ],
        axis=1,
    )
    expected *= -shares[:, None, None]
    found = gradient(views, weights if weighted else None, jit_compile, regularisation=0.1)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3 * abs(expected).max())


def degenerate_views():
    rng = np.random.default_rng(6)
    flat = correlated_views(rng)
    flat[:, :, 2] = 1.0
    # Orthogonal columns of one length: all eigenvalues are equal, and with the same columns twice all correlations.
    columns = np.kron(np.eye(4), np.array([[1.0], [-1.0]]))
    unrelated = np.stack([columns, np.abs(columns)], axis=1)
    few = correlated_views(rng, n_observations=3)
    return {
        "a feature that never varies": (flat, None),
        "equal correlations": (np.stack([columns, columns], axis=1), None),
        "no correlation": (unrelated, None),
        "fewer observations than features": (few, None),
        "one observation": (few[:1], None),
        "one observation that counts": (few, np.array([0.0, 0.3, 0.0])),
        "none that counts": (few, np.zeros(3)),
    }


@pytest.mark.parametrize("case", degenerate_views())
def test_gradient_is_finite(case):
    views, weights = degenerate_views()[case]
    assert np.isfinite(gradient(views, weights)).all()
    if "one observation" in case or "none" in case:
        np.testing.assert_allclose(value(views, weights), 0, atol=1e-6)


def test_half_precision_is_computed_in_float32():
    views = correlated_views(np.random.default_rng(7))
    loss = CanonicalCorrelationLoss()
    found = loss(np.zeros(60), keras.ops.cast(views, "bfloat16"))
    assert keras.backend.standardize_dtype(found.dtype) == "float32"
    rounded = keras.ops.convert_to_numpy(keras.ops.cast(keras.ops.cast(views, "bfloat16"), "float32"))
    np.testing.assert_allclose(float(found), value(rounded), rtol=1e-6)


def test_configuration_brings_it_back():
    loss = CanonicalCorrelationLoss(regularisation=0.2, name="other")
    revived = keras.losses.deserialize(keras.losses.serialize(loss))
    assert isinstance(revived, CanonicalCorrelationLoss)
    assert (revived.name, revived.regularisation) == ("other", 0.2)


@pytest.mark.parametrize("regularisation", [0, -1.0, float("nan")])
def test_regularisation_out_of_range_is_named(regularisation):
    with pytest.raises(ValueError, match=rf"`regularisation`.*{regularisation}"):
        CanonicalCorrelationLoss(regularisation)


@pytest.mark.parametrize("shape", [(5, 2), (5, 3, 4), (5, 2, 3, 4)])
def test_views_of_a_wrong_shape_are_named(shape):
    with pytest.raises(ValueError, match=r"`y_pred` .*\(5, "):
        CanonicalCorrelationLoss()(np.zeros(5), np.zeros(shape))
