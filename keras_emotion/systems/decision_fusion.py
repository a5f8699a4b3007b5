"""Decision fusion of several classifiers by a fixed rule, and principal components of pictures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import sklearn.base
from scipy.special import softmax
from sklearn.decomposition import PCA

Rule = Literal["sum", "product", "most_certain"]


class DecisionFusion(sklearn.base.ClassifierMixin, sklearn.base.BaseEstimator):
    """Fuse the probabilities of separately trained classifiers, each on its own columns, by a fixed rule.

    Args:
        members: by name `(columns, classifier)`: its columns (an index of the second axis), and an estimator with
            `predict_proba`.
        rule: `"sum"`: the mean of the probabilities; `"product"`: their product, normalised; `"most_certain"`: those of
            the classifier whose largest probability is the largest, the first of equals. For two classes and two
            classifiers all three rules make the same decision: that of the more certain classifier.

    Example:
        >>> from sklearn.linear_model import LogisticRegression
        >>> members = {"face": ([0], LogisticRegression()), "eeg": ([1], LogisticRegression())}
        >>> fused = DecisionFusion(members, "product").fit([[0, 1], [1, 3], [4, 2], [5, 9]], [0, 0, 1, 1])
        >>> fused.predict([[0, 0], [6, 9]]).tolist()
        [0, 1]
    """

    def __init__(self, members: Mapping[str, tuple[Any, Any]], rule: Rule = "sum"):
        self.members = members
        self.rule = rule

    def fit(self, X, y):
        """Fit each classifier on its columns of `(rows, columns)` and `(rows,)` classes."""
        X = np.asarray(X)
        self.classes_ = np.unique(y)
        self.members_ = {
            name: sklearn.base.clone(classifier).fit(X[:, columns], y)
            for name, (columns, classifier) in self.members.items()
        }
        return self

    def member_probabilities(self, X) -> dict[str, np.ndarray]:
        """Return `(rows, n_classes)` probabilities of each classifier by name."""
        X = np.asarray(X)
        return {name: one.predict_proba(X[:, self.members[name][0]]) for name, one in self.members_.items()}

    def predict_proba(self, X):
        """Return `(rows, n_classes)` fused probabilities."""
        return fused_probabilities(list(self.member_probabilities(X).values()), self.rule)

    def predict(self, X):
        """Return `(rows,)` classes."""
        return self.classes_[self.predict_proba(X).argmax(axis=1)]


def fused_probabilities(probabilities: list[np.ndarray], rule: Rule) -> np.ndarray:
    """Fuse several `(rows, n_classes)` probabilities by a rule of `DecisionFusion`.

    Example:
        >>> face, eeg = np.array([[0.6, 0.4]]), np.array([[0.1, 0.9]])
        >>> {rule: fused_probabilities([face, eeg], rule)[0].round(3).tolist() for rule in ("sum", "product")}
        {'sum': [0.35, 0.65], 'product': [0.143, 0.857]}
    """
    stacked = np.stack(probabilities).astype(np.float64)
    if rule == "sum":
        return stacked.mean(axis=0)
    if rule == "product":
        # Logarithms, because products over many classes underflow.
        return softmax(np.log(np.maximum(stacked, np.finfo(np.float64).tiny)).sum(axis=0), axis=1)
    surest = stacked.max(axis=2).argmax(axis=0)
    return stacked[surest, np.arange(stacked.shape[1])]


class LeadingComponents(sklearn.base.TransformerMixin, sklearn.base.BaseEstimator):
    """Project on the first principal components, with one common scale.

    The number is that asked for, or that of the dimensions the training rows span. The standard deviation of the first
    component is 1 in the training rows, those of the others are smaller in proportion: if each were scaled to 1, the
    last ones, which are noise, would count as much as the first.

    Args:
        n_components: number of components.
        random_state: seed of the approximate solver, which `sklearn.decomposition.PCA` uses for large matrices.
    """

    def __init__(self, n_components: int, random_state: int | None = None):
        self.n_components = n_components
        self.random_state = random_state

    def fit(self, X, y=None):
        """Fit the components to `(rows, columns)`."""
        n_rows, n_columns = np.shape(X)
        # Subtracting the mean removes one of the dimensions that the rows span.
        n_components = min(self.n_components, max(n_rows - 1, 1), n_columns)
        # The shares of the variance, which are not needed, are undefined if all rows are equal.
        with np.errstate(invalid="ignore"):
            self.components_ = PCA(n_components, random_state=self.random_state).fit(X)
        self.scale_ = float(np.sqrt(self.components_.explained_variance_[0])) or 1.0
        return self

    def transform(self, X):
        """Return `(rows, n_components)` scores."""
        return self.components_.transform(X) / self.scale_
