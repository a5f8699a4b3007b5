"""Kernel extreme learning machine: kernel ridge regression of the classes, in closed form."""

from __future__ import annotations

import numpy as np
import scipy.linalg
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from keras_emotion.systems.svm import decision_probabilities

_ROWS_AT_ONCE = 1024


class KernelELM(ClassifierMixin, BaseEstimator):
    r"""Kernel extreme learning machine with a radial kernel (Huang et al. [1], Eq. 33-35).

    With the kernel matrix of the training rows `\Omega_{ij} = \exp(-\gamma |x_i - x_j|^2)` and the targets `T`, 1 for
    the class of a row and -1 for the others,

    $$f(x) = k(x)^T \beta, \qquad \beta = (I / C + \Omega)^{-1} T$$

    The class is that of the largest output. It is deterministic: the kernel replaces the hidden layer. Columns should
    be scaled. The kernel matrix takes `8 * rows ** 2` bytes, 2.4 GB for 17,400 training rows.

    Args:
        C: above 0; larger values fit the training rows more closely; default 1.
        gamma: above 0, or `"scale"` (default): one over the number of columns times their variance.

    Attributes:
        classes_: the classes, sorted.
        coefficients_: `beta`, `(training rows, n_classes)`.

    Example:
        >>> X = np.array([[0.0], [0.1], [1.0], [1.1]])
        >>> KernelELM().fit(X, ["a", "a", "b", "b"]).predict([[0.2], [0.9]]).tolist()
        ['a', 'b']

    References:
        [1] Huang, Zhou, Ding and Zhang (2012). Extreme learning machine for regression and multiclass classification.
        IEEE Transactions on Systems, Man, and Cybernetics B 42(2), 513-529.
    """

    def __init__(self, C=1.0, gamma="scale"):
        self.C = C
        self.gamma = gamma

    def fit(self, X, y):
        """Solve for the coefficients.

        Args:
            X: `(rows, columns)`.
            y: `(rows,)` classes, two or more.

        Raises:
            ValueError: an argument is out of its range, there is a single class, or scikit-learn refuses `X` or `y`.
        """
        X, y = validate_data(self, X, y, dtype=np.float64)
        check_classification_targets(y)
        self.classes_, classes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"`y` must have two classes or more; received one class, {self.classes_[0]!r}")
        if not self.C > 0:
            raise ValueError(f"`C` must be above 0; received C={self.C}")
        if self.gamma != "scale" and not self.gamma > 0:
            raise ValueError(f"`gamma` must be above 0 or 'scale'; received gamma={self.gamma!r}")
        self._gamma = 1 / (X.shape[1] * (X.var() or 1.0)) if self.gamma == "scale" else self.gamma
        self._rows = X
        kernel = rbf_kernel(X, gamma=self._gamma)
        kernel[np.diag_indices_from(kernel)] += 1 / self.C
        targets = np.where(classes[:, np.newaxis] == np.arange(len(self.classes_)), 1.0, -1.0)
        # In place (the matrix is symmetric): there may be no memory for a second one.
        factor = scipy.linalg.cholesky(kernel.T, lower=True, overwrite_a=True, check_finite=False)
        self.coefficients_ = scipy.linalg.cho_solve((factor, True), targets, overwrite_b=True, check_finite=False)
        return self

    def decision_function(self, X):
        """Return `(rows, n_classes)` outputs, or `(rows,)` for two classes: the second one's minus the first one's."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        parts = (X[first : first + _ROWS_AT_ONCE] for first in range(0, len(X), _ROWS_AT_ONCE))
        kernels = (rbf_kernel(part, self._rows, gamma=self._gamma) for part in parts)
        outputs = np.concatenate([kernel @ self.coefficients_ for kernel in kernels])
        return outputs[:, 1] - outputs[:, 0] if len(self.classes_) == 2 else outputs

    def predict_proba(self, X):
        """Return `(rows, n_classes)`: the softmax of the outputs, largest for the predicted class, not calibrated."""
        return decision_probabilities(self.decision_function(X))

    def predict(self, X):
        """Return `(rows,)` classes."""
        probabilities = self.predict_proba(X)
        return self.classes_[probabilities.argmax(axis=1)]
