"""Base class of the comparison models with one softmax per window, and checks of their arguments."""

import math

import keras

from keras_emotion.models.inference import InferenceMixin


class WindowClassifierMixin(InferenceMixin):
    """Mixin of models whose only output is the class probabilities of a window; precedes `keras.Model`."""

    def window_probabilities(self, outputs):
        """Return the class probabilities of a window: the model's output.

        Args:
            outputs: outputs or predictions of the model.

        Returns:
            `(batch, n_classes)` tensor whose rows sum to 1.
        """
        return outputs


def softmax_head(n_classes, policy, **dense_arguments):
    """Return the last two layers, `classifier` and `probabilities`, which is float32 under any policy."""
    return (
        keras.layers.Dense(n_classes, dtype=policy, name="classifier", **dense_arguments),
        keras.layers.Softmax(dtype="float32", name="probabilities"),
    )


def scaled_width(width_multiplier, n_filters):
    """Return the scaled number of filters of a layer with `n_filters` in the paper; never below 1."""
    return max(1, round(width_multiplier * n_filters))


def check_minima(*minima):
    """Refuse values below their minimum: each of `minima` is an argument, its value and its minimum.

    Raises:
        ValueError: the first such argument.
    """
    for argument, value, minimum in minima:
        if value < minimum:
            raise ValueError(f"`{argument}` must be {minimum} or more; received {argument}={value}")


def check_positive(argument, value):
    """Refuse a value that is not a finite number above 0.

    Raises:
        ValueError: it is not.
    """
    if not 0 < value < math.inf:
        raise ValueError(f"`{argument}` must be above 0; received {argument}={value}")


def check_dropout(dropout):
    """Refuse a value that is not a share from 0 to below 1.

    Raises:
        ValueError: it is not.
    """
    if not 0 <= dropout < 1:
        raise ValueError(f"`dropout` must be from 0 to below 1; received dropout={dropout}")


def check_grid_shape(grid_shape, minimum):
    """Refuse a value that is not two sizes, each `minimum` or more.

    Raises:
        ValueError: it is not.
    """
    if len(grid_shape) != 2 or min(grid_shape) < minimum:
        raise ValueError(f"`grid_shape` must be two sizes, each {minimum} or more; received grid_shape={grid_shape}")
