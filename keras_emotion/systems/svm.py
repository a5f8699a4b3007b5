"""Support vector machine with probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit, softmax
from sklearn.svm import SVC

if TYPE_CHECKING:
    pass


def decision_probabilities(decisions: np.ndarray) -> np.ndarray:
    """Convert decision values of a classifier to `(rows, n_classes)` from 0 to 1, largest for the decision.

    Args:
        decisions: `(rows,)` for two classes, positive for the second: their logistic function; or `(rows, n_classes)`:
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

    They are not calibrated. Platt's calibration, which scikit-learn offers, needs its own folds of the training
    windows, and by moving the threshold it may predict another class than the support vector machine.
    """

    def predict_proba(self, X):
        """Return `(rows, n_classes)` probabilities."""
        return decision_probabilities(self.decision_function(X))
