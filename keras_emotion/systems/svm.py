"""A support vector machine that gives probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit, softmax
from sklearn.svm import SVC

if TYPE_CHECKING:
    pass


def decision_probabilities(decisions: np.ndarray) -> np.ndarray:
    """`(rows, n_classes)` from 0 to 1 of the decision values of a classifier: what it decides for has the largest.

    Args:
        decisions: `(rows,)` of two classes, positive for the second: their logistic function; or `(rows, n_classes)`:
            their softmax.

    Example:
        >>> decision_probabilities(np.array([0.0, np.log(3.0)])).round(6).tolist()
        [[0.5, 0.5], [0.25, 0.75]]
    """
    if decisions.ndim == 1:
        return np.stack([expit(-decisions), expit(decisions)], axis=1)
    return softmax(decisions, axis=1)


class DecisionSVC(SVC):
    """`sklearn.svm.SVC` with probabilities that follow its decisions: see `decision_probabilities`.

    They are not calibrated. Platt's calibration, which scikit-learn offers, needs folds of the training windows of its
    own, and where it moves the threshold it answers otherwise than the support vector machine that is asked about.
    """

    def predict_proba(self, X):
        """`(rows, n_classes)`, see the class."""
        return decision_probabilities(self.decision_function(X))
