"""Loss per window from a loss per step."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_emotion")
class WindowLoss(keras.losses.Loss):
    r"""Reduce a loss over the steps of a window, and then over the windows by their sample weights.

    $$L = \frac{\sum_n w_n R_t \ell_{n,t}}{\sum_n w_n}, \qquad
      R_t = \sum_t \textrm{ or } \frac{1}{T} \sum_t$$

    Keras multiplies `(batch, steps)` values by `(batch,)` sample weights along the wrong axis (an error, or a silently
    wrong number if the batch is as long as the steps) and divides by a count that depends on the shape of the weights.
    Here a window of weight 0, such as the padding of a last batch, changes neither the loss of the others nor its
    gradient.

    Args:
        loss: a Keras loss with `reduction=None` that returns `(batch, steps)` values.
        step_reduction: `"sum"` (default) or `"mean"` over the steps.
        reduction: reduction over the windows of `keras.losses.Loss`; default `"mean_with_sample_weight"`.
        name: name of the loss.
        dtype: dtype of the computations; default float32, also under mixed precision.

    Call arguments:
        y_true: targets of `loss`.
        y_pred: predictions of `loss`.
        sample_weight: weights of the windows, `(batch,)`.

    Raises:
        ValueError: `loss` has another reduction or returns values that are not `(batch, steps)`, or `step_reduction` is
            unknown.

    Example:
        >>> import numpy as np
        >>> loss = WindowLoss(keras.losses.MeanAbsoluteError(reduction=None))
        >>> float(loss(np.zeros((2, 3, 5)), np.ones((2, 3, 5)), sample_weight=np.array([1.0, 0.0])))
        3.0
    """

    def __init__(self, loss, step_reduction="sum", reduction="mean_with_sample_weight", name="window_loss", dtype=None):
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        if loss.reduction not in (None, "none"):
            raise ValueError(f"`loss` must have reduction=None; received reduction={loss.reduction!r}")
        if step_reduction not in ("sum", "mean"):
            raise ValueError(f"`step_reduction` must be 'sum' or 'mean'; received step_reduction={step_reduction!r}")
        self.loss = loss
        self.step_reduction = step_reduction

    def call(self, y_true, y_pred):
        """Return the loss of each window, `(batch,)`."""
        values = self.loss(y_true, y_pred)
        if len(values.shape) != 2:
            raise ValueError(f"`loss` must return (batch, steps) values; received shape {tuple(values.shape)}")
        return ops.sum(values, axis=1) if self.step_reduction == "sum" else ops.mean(values, axis=1)

    def get_config(self):
        """Return the constructor arguments for `from_config`."""
        return {
            **super().get_config(),
            "loss": keras.losses.serialize(self.loss),
            "step_reduction": self.step_reduction,
            "dtype": self.dtype,
        }

    @classmethod
    def from_config(cls, config):
        """Create the loss from the result of `get_config`."""
        return cls(**{**config, "loss": keras.losses.deserialize(config["loss"])})
