"""What the comparison models share: one softmax for a window, and the checks of their arguments."""

import math

import keras

from keras_emotion.models.inference import InferenceMixin


class WindowClassifierMixin(InferenceMixin):
    """A model whose one output is the probability of each class for a window; stands before `keras.Model`."""

    def window_probabilities(self, outputs):
        """Probability of each class for a window: what the model returns.

        Args:
            outputs: what the model returns or predicts.

        Returns:
            `(batch, n_classes)` tensor whose rows sum to 1.
        """
        return outputs


def softmax_head(n_classes, policy, **dense_arguments):
    """The two last layers, `classifier` and `probabilities`, which is float32 whatever the policy."""
    return (
        keras.layers.Dense(n_classes, dtype=policy, name="classifier", **dense_arguments),
        keras.layers.Softmax(dtype="float32", name="probabilities"),
    )


def scaled_width(width_multiplier, n_filters):
    """Filters of a layer that has `n_filters` as printed; never below 1."""
    return max(1, round(width_multiplier * n_filters))


def check_minima(*minima):
    """Refuses a value below the least: each of `minima` is an argument, its value and the least.

    Raises:
        ValueError: the first such argument.
    """
    for argument, value, minimum in minima:
        if value < minimum:
            raise ValueError(f"`{argument}` must be {minimum} or more; received {argument}={value}")


def check_positive(argument, value):
    """Refuses what is not a finite number above 0.

    Raises:
        ValueError: it is not.
    """
    if not 0 < value < math.inf:
        raise ValueError(f"`{argument}` must be above 0; received {argument}={value}")


def check_dropout(dropout):
    """Refuses what is no share from 0 to below 1.

    Raises:
        ValueError: it is none.
    """
    if not 0 <= dropout < 1:
        raise ValueError(f"`dropout` must be from 0 to below 1; received dropout={dropout}")


def check_grid_shape(grid_shape, minimum):
    """Refuses what is not two sizes, each `minimum` or more.

    Raises:
        ValueError: it is not.
    """
    if len(grid_shape) != 2 or min(grid_shape) < minimum:
        raise ValueError(f"`grid_shape` must be two sizes, each {minimum} or more; received grid_shape={grid_shape}")
