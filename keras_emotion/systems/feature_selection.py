"""Feature selection of the comparison methods: double input symmetrical relevance, and a decision tree."""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata
from sklearn.base import BaseEstimator
from sklearn.feature_selection import SelectorMixin
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.validation import check_is_fitted, validate_data


class SymmetricalRelevanceSelector(SelectorMixin, BaseEstimator):
    r"""Forward selection by double input symmetrical relevance (DISR).

    Meyer and Bontempi [1]: with `S` the features chosen so far, the next one is

    $$\arg\max_{X_i \notin S} \sum_{X_j \in S} SR(X_i, X_j; Y), \qquad
      SR(X_i, X_j; Y) = \frac{I(X_i, X_j; Y)}{H(X_i, X_j, Y)}$$

    the information of two features together on the class, relative to the entropy of all three. The first one has the
    most information on the class. Ties go to the first column. Probabilities are shares of the training rows, in bins
    of equally many rows.

    Args:
        n_features: number of features to select, 1 or more; all if there are fewer; default 20.
        n_bins: number of bins of a feature, 2 or more; default 5. Equal values share a bin.

    Attributes:
        ranking_: the selected columns in the order of selection.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> one, other, noise = rng.integers(0, 2, (3, 400))
        >>> selector = SymmetricalRelevanceSelector(n_features=2, n_bins=2)
        >>> sorted(selector.fit(np.stack([noise, one, other], axis=1), one | other).ranking_.tolist())
        [1, 2]

    References:
        [1] Meyer and Bontempi (2006). On the use of variable complementarity for feature selection in cancer
        classification. Applications of Evolutionary Computing, LNCS 3907, 91-102.
    """

    def __init__(self, n_features=20, n_bins=5):
        self.n_features = n_features
        self.n_bins = n_bins

    def fit(self, X, y):
        """Select columns.

        Args:
            X: `(rows, columns)`.
            y: `(rows,)` classes.

        Raises:
            ValueError: an argument is out of its range, or scikit-learn refuses `X` or `y`.
        """
        for name, least in (("n_features", 1), ("n_bins", 2)):
            if getattr(self, name) < least:
                raise ValueError(f"`{name}` must be {least} or more; received {name}={getattr(self, name)}")
        X, y = validate_data(self, X, y, dtype=np.float64)
        _, classes = np.unique(y, return_inverse=True)
        binned = _equal_bins(X, self.n_bins)
        n_classes, n_columns = classes.max() + 1, X.shape[1]
        # The class with one feature, and with a feature and a selected one.
        chosen = [int(np.argmax(_relevances(binned, classes, self.n_bins, n_classes)[0]))]
        total = np.zeros(n_columns)
        while len(chosen) < min(self.n_features, n_columns):
            pairs = binned * self.n_bins + binned[:, chosen[-1:]]
            information, entropy = _relevances(pairs, classes, self.n_bins**2, n_classes)
            total += np.divide(information, entropy, out=np.zeros(n_columns), where=entropy > 0)
            open_ones = np.setdiff1d(np.arange(n_columns), chosen)
            chosen.append(int(open_ones[np.argmax(total[open_ones])]))
        self.ranking_ = np.array(chosen)
        return self

    def _get_support_mask(self):
        check_is_fitted(self)
        return np.isin(np.arange(self.n_features_in_), self.ranking_)


def _equal_bins(X: np.ndarray, n_bins: int) -> np.ndarray:
    """Return `(rows, columns)` bins from 0 on, by the mean rank of equal values: rare values stay distinct."""
    return ((rankdata(X, axis=0) - 0.5) * n_bins / len(X)).astype(np.int64)


def _relevances(values: np.ndarray, classes: np.ndarray, n_values: int, n_classes: int) -> tuple[np.ndarray, ...]:
    """Return each column's mutual information with the class, and the entropy of both together, in nats."""
    n_rows, n_columns = values.shape
    cells = (np.arange(n_columns) * n_values + values) * n_classes + classes[:, np.newaxis]
    counts = np.bincount(cells.ravel(), minlength=n_columns * n_values * n_classes)
    shares = counts.reshape(n_columns, n_values, n_classes) / n_rows
    joint = _entropies(shares.reshape(n_columns, -1))
    return _entropies(shares.sum(axis=2)) + _entropies(shares.sum(axis=1)) - joint, joint


def _entropies(shares: np.ndarray) -> np.ndarray:
    """Compute the entropy of each row in nats."""
    return -(shares * np.log(shares, out=np.zeros_like(shares), where=shares > 0)).sum(axis=1)


class TreeSelector(SelectorMixin, BaseEstimator):
    """Select the features that a decision tree splits on: `DecisionTreeClassifier`, grown on the training rows.

    All features are kept if the tree has no split.

    Args:
        max_depth: depth of the tree; default `None`: until leaves hold one class.
        random_state: seed of the order in which equally good splits are tried; default `None`.

    Attributes:
        tree_: the fitted tree.
    """

    def __init__(self, max_depth=None, random_state=None):
        self.max_depth = max_depth
        self.random_state = random_state

    def fit(self, X, y):
        """Grow the tree on `(rows, columns)` and `(rows,)` classes."""
        X, y = validate_data(self, X, y, dtype=np.float64)
        self.tree_ = DecisionTreeClassifier(max_depth=self.max_depth, random_state=self.random_state).fit(X, y)
        return self

    def _get_support_mask(self):
        check_is_fitted(self)
        # Leaves have -2 instead of a feature.
        split_on = np.isin(np.arange(self.n_features_in_), self.tree_.tree_.feature)
        return split_on if split_on.any() else np.ones_like(split_on)
