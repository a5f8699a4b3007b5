"""Multiple-kernel learning: support vector machine on a learned sum of kernels, one per kind and modality."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import nnls
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.metrics.pairwise import linear_kernel, rbf_kernel
from sklearn.svm import SVC
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from keras_emotion.systems.svm import decision_probabilities

if TYPE_CHECKING:
    pass

_KERNELS = ("linear", "rbf")


def alignment_weights(kernels: np.ndarray, labels: np.ndarray) -> np.ndarray:
    r"""Compute non-negative weights of the sum of kernels that is best aligned with the classes.

    Proposition 9 of [1]: with the centred kernels `K_c`, `M_{kl} = <K_{kc}, K_{lc}>_F` and `a_k = <K_{kc}, Y>_F`, the
    largest centred alignment of `\sum_k \mu_k K_k` with the kernel of the classes `Y` has

    $$v^* = \mathrm{argmin}_{v \ge 0} \; v^T M v - 2 v^T a, \qquad \mu = v^* / \|v^*\|_2$$

    a least-squares problem with non-negative weights. `Y` is 1 for rows of one class, else 0; for two classes of -1 and
    1, the `y y^T` of [1] is the same kernel after centring, up to its scale.

    Args:
        kernels: `(kernels, rows, rows)`.
        labels: `(rows,)` classes.

    Returns:
        `(kernels,)`, of Euclidean norm 1; equal weights if no kernel is aligned with the classes.

    Example:
        >>> labels = np.array([0, 0, 1, 1])
        >>> of_the_class = np.equal.outer(labels, labels).astype(float)
        >>> alignment_weights(np.stack([of_the_class, np.eye(4)]), labels).round(6)
        array([1., 0.])

    References:
        [1] Cortes, Mohri and Rostamizadeh (2012). Algorithms for learning kernels based on centered alignment.
        Journal of Machine Learning Research 13, 795-828.
    """
    kernels = kernels - kernels.mean(axis=1, keepdims=True)
    kernels = kernels - kernels.mean(axis=2, keepdims=True)
    same_class = np.equal.outer(labels, labels)
    flat = kernels.reshape(len(kernels), -1)
    norms = np.linalg.norm(flat, axis=1)
    # Normalised kernels: the weights are rescaled to the original kernels below.
    scales = np.divide(1.0, norms, out=np.zeros_like(norms), where=norms > 0)
    similarities = scales[:, None] * (flat @ flat.T) * scales
    alignments = scales * (flat @ same_class.ravel())
    # v^T M v - 2 v^T a is |R v - R^-T a|^2 up to a constant, with R^T R = M, for any rank of M.
    eigenvalues, vectors = np.linalg.eigh(similarities)
    kept = eigenvalues > len(kernels) * np.finfo(float).eps * eigenvalues.max(initial=0)
    roots = np.sqrt(eigenvalues[kept])
    if not kept.any():
        return np.full(len(kernels), 1 / np.sqrt(len(kernels)))
    weights = scales * nnls(roots[:, None] * vectors.T[kept], vectors.T[kept] @ alignments / roots)[0]
    length = np.linalg.norm(weights)
    return weights / length if length > 0 else np.full(len(kernels), 1 / np.sqrt(len(kernels)))


class MultipleKernelSVM(ClassifierMixin, BaseEstimator):
    r"""`sklearn.svm.SVC` on a weighted sum of kernels, one of each kind for each block of columns.

    A block of columns is a modality. The kernel weights are learnt from the training rows before the support vector
    machine, by centred alignment with the classes (`alignment_weights`). Columns should be scaled: within a block the
    kernels use them unchanged.

    **Deviations.** The kernels are `x \cdot x'` and, with `\gamma` one over the number of columns times their variance
    (scikit-learn's `"scale"`), `\exp(-\gamma |x - x'|^2)`. The sum is divided by the mean of its centred diagonal, so
    that `C` has the same meaning for any kernels. For several classes, `SVC` fits one machine per pair, with the same
    kernel for all pairs.

    Args:
        block_sizes: number of columns of each block, in their order, 1 or more; one may be -1, the remaining columns.
            The default, `(-1,)`, is one block.
        kernels: kinds of kernels of each block, of `"linear"` and `"rbf"`; default both.
        C: that of `SVC`, above 0; default 1.

    Attributes:
        classes_: the classes, sorted.
        kernel_weights_: `(blocks, kernels)`, 0 or more, of Euclidean norm 1.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> labels = rng.integers(0, 2, 60)
        >>> X = np.column_stack([labels + 0.1 * rng.standard_normal(60), rng.standard_normal((60, 3))])
        >>> estimator = MultipleKernelSVM(block_sizes=(1, -1), kernels=("linear",)).fit(X, labels)
        >>> estimator.kernel_weights_[0, 0] > 100 * estimator.kernel_weights_[1, 0], estimator.score(X, labels)
        (np.True_, 1.0)

    References:
        [1] Cortes, Mohri and Rostamizadeh (2012). Algorithms for learning kernels based on centered alignment.
        Journal of Machine Learning Research 13, 795-828.
    """

    def __init__(self, block_sizes=(-1,), kernels=_KERNELS, C=1.0):
        self.block_sizes = block_sizes
        self.kernels = kernels
        self.C = C

    def fit(self, X, y):
        """Fit the kernel weights and the support vector machine.

        Args:
            X: `(rows, columns)`.
            y: `(rows,)` classes, two or more.

        Raises:
            ValueError: the blocks do not cover the columns, a kernel is unknown, there is a single class, or
                scikit-learn refuses `X` or `y`.
        """
        X, y = validate_data(self, X, y, dtype=np.float64)
        check_classification_targets(y)
        self.classes_ = np.unique(y)
        if len(self.classes_) < 2:
            raise ValueError(f"`y` must have two classes or more; received one class, {self.classes_[0]!r}")
        if not self.kernels or not set(self.kernels) <= set(_KERNELS):
            raise ValueError(f"`kernels` must be among {_KERNELS}; received kernels={self.kernels!r}")
        self._blocks = _blocks(self.block_sizes, X.shape[1])
        self._gammas = [1 / (block.shape[1] * (block.var() or 1.0)) for block in self._of_blocks(X)]
        self._rows = X
        kernels = self._kernels_with(X)
        weights = alignment_weights(kernels, y)
        total = np.tensordot(weights, kernels, axes=1)
        spread = np.trace(total) / len(total) - total.mean()
        # Nothing varies: any scale is valid.
        self._scale = 1 / spread if spread > 0 else 1.0
        self.kernel_weights_ = weights.reshape(len(self._blocks), len(self.kernels))
        self._machine = SVC(kernel="precomputed", C=self.C).fit(self._scale * total, y)
        return self

    def decision_function(self, X):
        """Return decision values of `SVC`: `(rows, n_classes)`; for two classes `(rows,)`, positive for the second."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        total = np.tensordot(self.kernel_weights_.ravel(), self._kernels_with(X), axes=1)
        return self._machine.decision_function(self._scale * total)

    def predict_proba(self, X):
        """Return `(rows, n_classes)`, largest for the predicted class, not calibrated: see `decision_probabilities`."""
        return decision_probabilities(self.decision_function(X))

    def predict(self, X):
        """Return `(rows,)` classes."""
        probabilities = self.predict_proba(X)
        return self.classes_[probabilities.argmax(axis=1)]

    def _of_blocks(self, X):
        return [X[:, block] for block in self._blocks]

    def _kernels_with(self, X):
        """Return `(kernels, rows of X, training rows)`."""
        kernels = []
        blocks = zip(self._of_blocks(X), self._of_blocks(self._rows), self._gammas, strict=True)
        for rows, known, gamma in blocks:
            computed = {"linear": linear_kernel, "rbf": lambda a, b, gamma=gamma: rbf_kernel(a, b, gamma=gamma)}
            kernels += [computed[kind](rows, known) for kind in self.kernels]
        return np.stack(kernels)


def _blocks(block_sizes: tuple[int, ...], n_columns: int) -> list[slice]:
    """Return the columns of each block."""
    sizes = list(block_sizes)
    left = n_columns - sum(size for size in sizes if size != -1)
    if sizes.count(-1) == 1:
        sizes[sizes.index(-1)] = left
    if min(sizes, default=0) < 1 or sum(sizes) != n_columns:
        raise ValueError(
            f"`block_sizes` must be 1 or more, or -1 once, and make up the {n_columns} columns; "
            f"received block_sizes={tuple(block_sizes)}"
        )
    ends = np.cumsum(sizes)
    return [slice(end - size, end) for end, size in zip(ends, sizes, strict=True)]
