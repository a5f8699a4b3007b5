"""The kernel extreme learning machine against ridge regression solved in other ways."""

import numpy as np
import pytest
from sklearn.kernel_ridge import KernelRidge
from sklearn.utils.estimator_checks import parametrize_with_checks

from keras_emotion.systems import kernel_elm
from keras_emotion.systems.kernel_elm import KernelELM


@parametrize_with_checks([KernelELM()])
def test_what_scikit_learn_asks_of_estimators(estimator, check):
    check(estimator)


def some_rows(n_classes, n_rows=60):
    rng = np.random.default_rng(n_classes)
    labels = np.arange(n_rows) % n_classes
    return rng.standard_normal((n_rows, 3)) + labels[:, np.newaxis], labels, rng.standard_normal((25, 3)) + 1


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("gamma", ["scale", 0.3])
def test_outputs_are_those_of_ridge_regression(n_classes, gamma):
    X, labels, asked = some_rows(n_classes)
    names = np.array(["c", "a", "b"])[labels]
    machine = KernelELM(C=4.0, gamma=gamma).fit(X, names)
    targets = np.where(names[:, np.newaxis] == np.unique(names), 1.0, -1.0)
    # A penalty of 1 / C, by scikit-learn; and once more as least squares in the space of the eigenvectors.
    used = 1 / (3 * X.var()) if gamma == "scale" else gamma
    expected = KernelRidge(alpha=1 / 4, kernel="rbf", gamma=used).fit(X, targets).predict(asked)
    found = machine.decision_function(asked)
    np.testing.assert_allclose(found if n_classes > 2 else -found, _of_second(expected, n_classes), atol=1e-10)
    distances = ((X[:, np.newaxis] - X) ** 2).sum(axis=-1)
    eigenvalues, vectors = np.linalg.eigh(np.exp(-used * distances))
    solved = vectors @ ((vectors.T @ targets) / (eigenvalues + 1 / 4)[:, np.newaxis])
    np.testing.assert_allclose(machine.coefficients_, solved, atol=1e-10)


def _of_second(outputs, n_classes):
    return outputs if n_classes > 2 else outputs[:, 0] - outputs[:, 1]


@pytest.mark.parametrize("n_classes", [2, 3])
def test_probabilities_follow_the_outputs(n_classes):
    X, labels, asked = some_rows(n_classes)
    machine = KernelELM().fit(X, labels)
    probabilities = machine.predict_proba(asked)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    assert probabilities.min() > 0
    np.testing.assert_array_equal(machine.predict(asked), probabilities.argmax(axis=1))
    outputs = machine.decision_function(asked)
    expected = outputs.argmax(axis=1) if n_classes > 2 else outputs > 0
    np.testing.assert_array_equal(machine.predict(asked), expected)
    assert machine.score(X, labels) > 0.6


def test_many_rows_are_predicted_in_parts(monkeypatch):
    X, labels, asked = some_rows(2)
    machine = KernelELM().fit(X, labels)
    expected = machine.predict_proba(asked)
    monkeypatch.setattr(kernel_elm, "_ROWS_AT_ONCE", 7)
    np.testing.assert_allclose(machine.predict_proba(asked), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "labels", "message"),
    [
        ({"C": 0.0}, [0, 1], "`C` must be above 0; received C=0.0"),
        ({"gamma": -1.0}, [0, 1], "`gamma` must be above 0 or 'scale'; received gamma=-1.0"),
        ({}, [1, 1], "two classes or more; received one class"),
    ],
)
def test_faults(arguments, labels, message):
    with pytest.raises(ValueError, match=message):
        KernelELM(**arguments).fit(np.eye(2), labels)
