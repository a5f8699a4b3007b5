"""Support vector machines, with one kernel and with a learned sum of kernels."""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.utils.estimator_checks import parametrize_with_checks

from keras_emotion.experiment import Experiment, Runtime, prepare, training
from keras_emotion.pipelines import ConnectivityFeatures, FaceQuantities
from keras_emotion.systems.comparison_estimators import ComparisonEstimator
from keras_emotion.systems.multiple_kernel_svm import MultipleKernelSVM, alignment_weights
from keras_emotion.systems.svm import DecisionSVC


@parametrize_with_checks([MultipleKernelSVM(), MultipleKernelSVM(kernels=("rbf",))])
def test_what_scikit_learn_asks_of_estimators(estimator, check):
    check(estimator)


def centred(kernel):
    centring = np.eye(len(kernel)) - 1 / len(kernel)
    return centring @ kernel @ centring


def alignment(kernel, targets):
    first, second = centred(kernel), centred(targets)
    return np.sum(first * second) / np.linalg.norm(first) / np.linalg.norm(second)


def some_kernels(rng, labels):
    """Kernels of very different scale: one informative on the classes, one slightly, two uninformative."""
    points = rng.standard_normal((4, len(labels), 3))
    points[0] += 2 * labels[:, None]
    points[1] += 0.5 * labels[:, None]
    return np.array([1.0, 100.0, 0.01, 1.0])[:, None, None] * (points @ points.transpose(0, 2, 1))


@pytest.mark.parametrize("n_classes", [2, 3])
def test_no_other_weights_are_better_aligned(n_classes):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, n_classes, 40)
    kernels = some_kernels(rng, labels)
    # Vectors of the classes to the corners of a simplex: their products are 1 and -1 / (n_classes - 1).
    corners = np.eye(n_classes) - 1 / n_classes
    targets = (corners / np.linalg.norm(corners, axis=1, keepdims=True))[labels]
    targets = targets @ targets.T
    weights = alignment_weights(kernels, labels)
    assert weights.min() >= 0
    np.testing.assert_allclose(np.linalg.norm(weights), 1)
    reached = alignment(np.tensordot(weights, kernels, axes=1), targets)
    sizes = np.linalg.norm(kernels, axis=(1, 2))
    searched = minimize(
        lambda logarithms: -alignment(np.tensordot(np.exp(logarithms) / sizes, kernels, axes=1), targets), np.zeros(4)
    )
    np.testing.assert_allclose(reached, -searched.fun, rtol=1e-4)
    assert reached > max(alignment(kernel, targets) for kernel in kernels)


def test_two_kernels_by_hand():
    labels = np.array([0, 0, 1, 1])
    targets = np.where(np.equal.outer(labels, labels), 1.0, -1.0)
    other = np.array([1.0, -1.0, 0.0, 0.0])
    # Centred already, orthogonal, of norms 4 and 2; the second is effectively zero: <other, targets> = 0.
    np.testing.assert_allclose(alignment_weights(np.stack([targets, np.outer(other, other)]), labels), [1, 0])
    # With itself once more, at half the size, every split is as good: M is singular.
    weights = alignment_weights(np.stack([targets, targets / 2]), labels)
    np.testing.assert_allclose(np.linalg.norm(weights), 1)
    # Anti-aligned with the classes, or zero: no weights are better than others.
    for useless in (np.outer(other, other), np.ones((4, 4)), np.zeros((4, 4))):
        np.testing.assert_allclose(alignment_weights(np.stack([useless, useless]), labels), [0.5**0.5, 0.5**0.5])


def two_modalities(rng, n_rows=120, n_classes=2):
    """Columns of which those of the second modality determine the class, by their distance from the origin."""
    labels = rng.integers(0, n_classes, n_rows)
    first = rng.standard_normal((n_rows, 5))
    second = rng.standard_normal((n_rows, 2))
    second *= ((1 + 2 * labels) / np.linalg.norm(second, axis=1))[:, None]
    return np.concatenate([first, second], axis=1), labels


@pytest.mark.parametrize("n_classes", [2, 3])
def test_the_sum_of_kernels_is_that_of_scikit_learn(n_classes):
    rng = np.random.default_rng(1)
    X, labels = two_modalities(rng, n_classes=n_classes)
    # Where classes overlap, C counts.
    labels = np.where(rng.random(len(labels)) < 0.3, rng.permutation(labels), labels)
    unseen, _ = two_modalities(rng, n_classes=n_classes)
    estimator = MultipleKernelSVM(block_sizes=(5, -1), C=2.0).fit(X, labels)

    def kernels(rows):
        found = []
        for block in (slice(0, 5), slice(5, 7)):
            gamma = 1 / (X[:, block].shape[1] * X[:, block].var())
            found += [rows[:, block] @ X[:, block].T, rbf_kernel(rows[:, block], X[:, block], gamma)]
        return np.stack(found)

    weights = alignment_weights(kernels(X), labels)
    np.testing.assert_allclose(estimator.kernel_weights_, weights.reshape(2, 2))
    total = np.tensordot(weights, kernels(X), axes=1)
    scale = len(X) / np.trace(centred(total))
    # A kernel that is `scale` times another gives the same machine with C / scale.
    svc = SVC(kernel="precomputed", C=2.0 * scale).fit(total, labels)
    decisions = svc.decision_function(np.tensordot(weights, kernels(unseen), axes=1))
    np.testing.assert_allclose(estimator.decision_function(unseen), decisions, atol=2e-2)
    probabilities = estimator.predict_proba(unseen)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    np.testing.assert_array_equal(estimator.predict(unseen), probabilities.argmax(axis=1))


def test_the_kernel_that_tells_the_classes_weighs_most():
    rng = np.random.default_rng(2)
    X, labels = two_modalities(rng)
    unseen, theirs = two_modalities(rng)
    estimator = MultipleKernelSVM(block_sizes=(5, 2)).fit(X, labels)
    # A linear kernel does not capture the distance from the origin.
    assert np.unravel_index(estimator.kernel_weights_.argmax(), (2, 2)) == (1, 1)
    assert estimator.score(unseen, theirs) > 0.95


@pytest.mark.parametrize("block_sizes", [(), (3, 3), (-1, -1), (7, -1), (0, 7), (-2, 9)])
def test_blocks_that_do_not_make_up_the_columns_are_named(block_sizes):
    X, labels = two_modalities(np.random.default_rng(3))
    with pytest.raises(ValueError, match=r"`block_sizes`.*7 columns"):
        MultipleKernelSVM(block_sizes=block_sizes).fit(X, labels)


@pytest.mark.parametrize("kernels", [(), ("linear", "poly")])
def test_unknown_kernels_are_named(kernels):
    X, labels = two_modalities(np.random.default_rng(4))
    with pytest.raises(ValueError, match=r"`kernels`"):
        MultipleKernelSVM(kernels=kernels).fit(X, labels)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_probabilities_are_largest_for_what_the_machine_decides(n_classes):
    X, labels = two_modalities(np.random.default_rng(5), n_classes=n_classes)
    machine = DecisionSVC(break_ties=True).fit(X, labels)
    probabilities = machine.predict_proba(X)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    np.testing.assert_array_equal(probabilities.argmax(axis=1), machine.predict(X))
    assert np.unique(probabilities[:, 0]).size > 50


# As systems -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected"),
    [("svm", lambda: SVC(C=0.5)), ("mkl", lambda: MultipleKernelSVM((-1, 29), C=0.5))],
)
def test_a_fold_is_what_the_estimator_says_on_scaled_means_over_the_windows(
    name, expected, tmp_path, memory_reader, monkeypatch
):
    monkeypatch.setattr(FaceQuantities, "extract", quantities)
    experiment = Experiment(
        name="test",
        dataset="memory",
        targets=("valence",),
        protocols=("subject_disjoint",),
        system=ComparisonEstimator(
            estimator_name=name,
            inverse_regularisation=0.5,
            inverse_regularisation_grid=(),
            features=ConnectivityFeatures(sample_seconds=12.0),
        ),
        runtime=Runtime(workers=1, feature_store=tmp_path / "features"),
    )
    plan, _ = prepare(experiment, memory_reader(tmp_path, n_subjects=3))
    job = plan.jobs()[0][0][0]
    record, fold = training.run_job(plan, job), training.job_fold(plan, job)
    rows = np.arange(len(fold.unit.table))
    columns = [fold.arrays["eeg"][rows].mean(axis=1).reshape(len(rows), -1)]
    if name == "mkl":
        columns.append(fold.arrays["face"][rows].mean(axis=1))
    assert list(experiment.system.parts()) == ["eeg", "face"][: len(columns)]
    vectors = np.concatenate(columns, axis=1)
    known = np.union1d(fold.train, fold.validation)
    model = make_pipeline(StandardScaler(), expected()).fit(vectors[known], fold.labels[known])
    decisions = model.decision_function(vectors[fold.test])
    np.testing.assert_allclose(record["predictions"]["probability_high"], 1 / (1 + np.exp(-decisions)), atol=1e-3)


def quantities(part, trials):
    """Quantities of faces without videos: noise."""
    tables = [trial.window_table(np.zeros(1), part.window_seconds) for trial in trials]
    faces = np.random.default_rng(9).standard_normal((len(tables), part.steps, 29)).astype(np.float32)
    return {"face": faces}, pd.concat(tables, ignore_index=True)


def test_settings_of_what_is_not_read_make_no_other_experiment():
    def config(name, rate):
        return ComparisonEstimator(estimator_name=name, face=FaceQuantities(frame_rate_hz=rate)).scientific_config()

    assert config("svm", 5.0) == config("svm", 4.0)
    assert config("mkl", 5.0) != config("mkl", 4.0)
