"""Standardisation of features by statistics that are set from outside and kept as weights."""

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable(package="keras_emotion")
class FeatureScaling(keras.layers.Layer):
    r"""Subtracts a mean and divides by a standard deviation, one of each for every feature.

    $$y = (x - \mu) / \sigma, \qquad y = 0 \textrm{ where } \sigma = 0$$

    Before `set_statistics` the layer returns its input as it is. The statistics are weights that training leaves
    alone, not constants of the graph: a compiled model is given those of another fold without being traced again, and
    a saved model carries them.

    Args:
        axes: negative axes of the input that have statistics of their own; the statistics are shared over all others.
            Default `(-3, -2, -1)`: rows, columns and bands.
        **kwargs: `name`, `dtype`, `trainable` of `keras.layers.Layer`.

    Call arguments:
        inputs: `(batch, ...)` with all of `axes`, such as `(batch, steps, rows, columns, bands)`.

    Output:
        Of the shape of `inputs`.

    Numerics: the statistics are kept and applied in float32 or better and only the result is cast to the compute
        dtype. A standard deviation that the float32 resolution of its mean cannot tell from zero (a constant feature,
        an empty cell of the grid) gives 0, also for an input that differs from the mean.

    Raises:
        ValueError: `axes` empty, repeated or not negative, `inputs` without one of them or with one of unknown size.

    Example:
        >>> import numpy as np
        >>> layer = FeatureScaling(axes=(-1,))
        >>> layer.build((None, 3))
        >>> layer.set_statistics(mean=[1.0, 2.0, 5.0], standard_deviation=[2.0, 0.5, 0.0])
        >>> ops.convert_to_numpy(layer(np.array([[3.0, 2.0, 7.0]]))).tolist()
        [[1.0, 0.0, 0.0]]
    """

    def __init__(self, axes=(-3, -2, -1), **kwargs):
        # Without autocast the inputs reach `call` in float32 under mixed precision.
        super().__init__(autocast=False, **kwargs)
        self.axes = tuple(sorted(axes))
        if not axes or len(set(axes)) < len(self.axes) or max(axes) >= 0:
            raise ValueError(f"`axes` must be different negative integers; received axes={tuple(axes)}")

    def build(self, input_shape):
        """Creates the weights for inputs of this shape."""
        # Only the axes after the batch can have statistics, so that negative axes before it leave `shape` short.
        shape = tuple(input_shape[axis] for axis in self.axes if -axis < len(input_shape))
        if len(shape) < len(self.axes) or None in shape:
            raise ValueError(
                f"`inputs` must have axes {self.axes}, of known size, after the batch; "
                f"received shape {tuple(input_shape)}"
            )
        statistic = {
            "shape": shape,
            "dtype": keras.backend.result_type(self.variable_dtype, "float32"),
            "trainable": False,
            "autocast": False,
        }
        self.mean = self.add_weight(initializer="zeros", name="mean", **statistic)
        self.scale = self.add_weight(initializer="ones", name="scale", **statistic)
        self.input_spec = keras.layers.InputSpec(ndim=len(input_shape), axes=dict(zip(self.axes, shape, strict=True)))

    def set_statistics(self, mean, standard_deviation):
        """Sets the statistics, most often those of the training windows.

        Args:
            mean: finite array of the sizes of `axes`, in the unit of the features.
            standard_deviation: finite array of the same shape and unit, nowhere negative.

        Raises:
            ValueError: an array of another shape, with a value that is not finite, or a negative standard deviation.
        """
        mean = np.asarray(mean, dtype="float64")
        standard_deviation = np.asarray(standard_deviation, dtype="float64")
        for name, values in (("mean", mean), ("standard_deviation", standard_deviation)):
            if values.shape != tuple(self.mean.shape):
                raise ValueError(f"`{name}` must have shape {tuple(self.mean.shape)}; received shape {values.shape}")
            if not np.isfinite(values).all():
                raise ValueError(f"`{name}` must be finite; received {values[~np.isfinite(values)][0]}")
        if standard_deviation.min() < 0:
            raise ValueError(f"`standard_deviation` must not be negative; received {standard_deviation.min()}")
        float32 = np.finfo("float32")
        varies = standard_deviation > np.maximum(float32.eps * np.abs(mean), float32.tiny)
        self.mean.assign(mean)
        self.scale.assign(np.divide(1.0, standard_deviation, out=np.zeros_like(mean), where=varies))

    def call(self, inputs):
        """Standardises the features; see the class."""
        shape = [inputs.shape[axis] if axis in self.axes else 1 for axis in range(-len(inputs.shape), 0)]
        scaled = (ops.cast(inputs, self.mean.dtype) - ops.reshape(self.mean, shape)) * ops.reshape(self.scale, shape)
        return ops.cast(scaled, self.compute_dtype)

    def compute_output_shape(self, input_shape):
        """Shape of the output for inputs of this shape."""
        return input_shape

    def get_config(self):
        """Constructor arguments, as `from_config` takes them."""
        return {**super().get_config(), "axes": list(self.axes)}
