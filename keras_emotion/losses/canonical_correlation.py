"""Total canonical correlation of two views as a loss."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_emotion")
class CanonicalCorrelationLoss(keras.losses.Loss):
    r"""Minus the sum of the canonical correlations of two views: the objective of deep canonical correlation analysis.

    Section 3 of [1], including its Eq. 10. For the rows `h_n` of the views `H_1` and `H_2`, `o` features each,

    $$\bar H = H - \frac{1}{m} H 1 1^T, \quad
      \hat\Sigma_{12} = \frac{1}{m - 1} \bar H_1 \bar H_2^T, \quad
      \hat\Sigma_{11} = \frac{1}{m - 1} \bar H_1 \bar H_1^T + r I$$
    $$T = \hat\Sigma_{11}^{-1/2} \hat\Sigma_{12} \hat\Sigma_{22}^{-1/2}, \qquad
      L = -\|T\|_{tr} = -\mathrm{tr} (T^T T)^{1/2}$$

    The trace norm is the sum of the singular values of `T`, each a canonical correlation: `L` lies in `(-o, 0]`.

    A batch is one sample of the correlation: there is no loss per window to be averaged. Sample weights weight the
    means and covariances, and only their ratios matter. With equal weights the covariances are those above; in general
    `m - 1` becomes `1 - \sum_n p_n^2` for weights `p` that sum to 1, as in `numpy.cov(aweights=...)`, so that a window
    of weight 0, such as the padding of a last batch, has no effect.

    **Deviations.** `L_1^{-1} \hat\Sigma_{12} L_2^{-T}` with the Cholesky factors `L L^T = \hat\Sigma` replaces `T`: it
    equals `T` up to a rotation on either side and has its singular values. The inverse roots of [1] come from
    eigenvectors, whose derivatives do not exist for equal eigenvalues, although that of the loss does. One `r` replaces
    `r_1` and `r_2` of [1]. All singular values are summed, not the first `k`.

    Args:
        regularisation: `r`, above 0, in the squared unit of the features; default 1e-3, as in the code of [2].
        name: name of the loss.

    Call arguments:
        y_true: ignored; Keras requires a target for each loss, such as the labels.
        y_pred: both views, `(batch, ..., 2, features)`; each position of the axes in between is a separate observation,
            with the weight of its sample.
        sample_weight: weights of the samples, `(batch,)`, 0 or more; default `None`, all equal.

    Numerics: everything is computed in float32 or better. The gradient is finite also for a constant feature,
        for equal correlations, and for a batch of one observation, whose loss is 0. With fewer observations than
        features nearly every correlation is 1 for any features: batches should be several times as large.

    Raises:
        ValueError: `regularisation` is not above 0, or `y_pred` does not have two views on its last axis but one.

    Example:
        >>> import numpy as np
        >>> view = np.array([[-1.0], [0.0], [1.0]])
        >>> loss = CanonicalCorrelationLoss(regularisation=0.25)
        >>> round(float(loss(np.zeros(3), np.stack([view, -view], axis=1))), 6)  # -1 / (1 + 0.25)
        -0.8

    References:
        [1] Andrew, Arora, Bilmes and Livescu (2013). Deep canonical correlation analysis. ICML, PMLR 28(3), 1247-1255.
        [2] Liu, Zheng, Li, Wu, Gan and Lu (2022). Identifying similarities and differences in emotion recognition
        with EEG and eye movements among Chinese, German, and French people. Journal of Neural Engineering 19, 026012.
    """

    def __init__(self, regularisation=1e-3, name="canonical_correlation_loss"):
        super().__init__(name=name)
        if not regularisation > 0:
            raise ValueError(f"`regularisation` must be above 0; received regularisation={regularisation}")
        self.regularisation = regularisation

    def __call__(self, y_true, y_pred, sample_weight=None):
        """Return minus the sum of the correlations. Overrides `__call__`: Keras passes no sample weights to `call`."""
        if len(y_pred.shape) < 3 or y_pred.shape[-2] != 2:
            raise ValueError(f"`y_pred` must be (batch, ..., 2, features); received shape {tuple(y_pred.shape)}")
        y_pred = ops.convert_to_tensor(y_pred)
        dtype = keras.backend.result_type(y_pred.dtype, "float32")
        views = ops.reshape(ops.cast(y_pred, dtype), (-1, *y_pred.shape[-2:]))
        shares = ops.ones_like(y_pred[..., 0, 0], dtype=dtype)
        if sample_weight is not None:
            shares *= ops.reshape(ops.cast(sample_weight, dtype), (-1, *[1] * (len(y_pred.shape) - 3)))
        shares = ops.reshape(shares, (-1, 1))
        shares = ops.divide_no_nan(shares, ops.sum(shares))

        views = views - ops.sum(shares[..., None] * views, axis=0)
        # A single observation has no covariance, and its divisor is 0.
        weighted = views * shares[..., None] / ops.maximum(1 - ops.sum(shares**2), keras.config.epsilon())
        first, second = views[:, 0], views[:, 1]
        cross_covariance = ops.matmul(ops.transpose(weighted[:, 0]), second)
        ridge = self.regularisation * ops.eye(y_pred.shape[-1], dtype=dtype)
        first_root = ops.cholesky(ops.matmul(ops.transpose(weighted[:, 0]), first) + ridge)
        second_root = ops.cholesky(ops.matmul(ops.transpose(weighted[:, 1]), second) + ridge)
        whitened = ops.solve_triangular(first_root, cross_covariance, lower=True)
        whitened = ops.solve_triangular(second_root, ops.transpose(whitened), lower=True)
        return -ops.sum(ops.svd(whitened, compute_uv=False))

    def get_config(self):
        """Return the constructor arguments for `from_config`."""
        return {"name": self.name, "regularisation": self.regularisation}
