"""One minus the concordance correlation coefficient as a loss."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_emotion")
class ConcordanceLoss(keras.losses.Loss):
    r"""One minus the concordance correlation coefficient of a batch, for continuous ratings.

    For the values `y` and their predictions `x` [1],

    $$L = 1 - \frac{2 \sigma_{xy}}{\sigma_x^2 + \sigma_y^2 + (\mu_x - \mu_y)^2}$$

    It is 0 if predictions equal the values, 1 if they are unrelated, and 2 if they are mirrored. Unlike the squared
    error it requires the variance of the values: a network that predicts the mean has a loss of 1.

    A batch is one sample of the coefficient: there is no loss per window to be averaged, and the loss of two batches is
    not the mean of theirs. All axes are values. Sample weights weight the means, variances and the covariance, and only
    their ratios matter; a window of weight 0, such as the padding of a last batch, has no effect.

    Args:
        name: name of the loss.

    Call arguments:
        y_true: values, `(batch, ...)`, without NaN.
        y_pred: predictions, of the same shape.
        sample_weight: weights of the samples, `(batch,)`, 0 or more; default `None`, all equal.

    Numerics: everything is computed in float32 or better. If neither side varies and their means are equal, the
        coefficient is 0 over 0 and the loss 1; its gradient is finite.

    Raises:
        ValueError: the shapes differ.

    Example:
        >>> import numpy as np
        >>> loss = ConcordanceLoss()
        >>> round(float(loss(np.array([[1.0, 2.0, 3.0, 4.0]]), np.array([[1.0, 3.0, 2.0, 4.0]]))), 6)
        0.2

    References:
        [1] Lin, "A concordance correlation coefficient to evaluate reproducibility", Biometrics 45, 1989.
    """

    def __init__(self, name="concordance_loss"):
        super().__init__(name=name)

    def __call__(self, y_true, y_pred, sample_weight=None):
        """Return one minus the coefficient. Overrides `__call__`, because Keras passes no sample weights to `call`."""
        y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
        if tuple(y_true.shape[1:]) != tuple(y_pred.shape[1:]):
            raise ValueError(
                f"`y_true` {tuple(y_true.shape)} and `y_pred` {tuple(y_pred.shape)} must have the same shape"
            )
        dtype = keras.backend.result_type(y_pred.dtype, "float32")
        y_true, y_pred = ops.cast(y_true, dtype), ops.cast(y_pred, dtype)
        shares = ops.ones_like(y_pred)
        if sample_weight is not None:
            shares *= ops.reshape(ops.cast(sample_weight, dtype), (-1, *[1] * (len(y_pred.shape) - 1)))
        shares = ops.divide_no_nan(shares, ops.sum(shares))
        mean_true, mean = ops.sum(shares * y_true), ops.sum(shares * y_pred)
        centred_true, centred = y_true - mean_true, y_pred - mean
        covariance = ops.sum(shares * centred_true * centred)
        spread = ops.sum(shares * (centred_true**2 + centred**2)) + (mean_true - mean) ** 2
        return 1 - ops.divide_no_nan(2 * covariance, spread)

    def get_config(self):
        """Return the constructor arguments for `from_config`."""
        return {"name": self.name}
