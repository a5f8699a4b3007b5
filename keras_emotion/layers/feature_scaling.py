"""Feature standardisation by externally fitted statistics, stored as weights."""

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable(package="keras_emotion")
class FeatureScaling(keras.layers.Layer):
    r"""Subtract a mean and divide by a standard deviation, one of each per feature.

    $$y = (x - \mu) / \sigma, \qquad y = 0 \textrm{ where } \sigma = 0$$

    Before `set_statistics` the layer returns its input unchanged. The statistics are non-trainable weights, not
    constants of the graph: a compiled model gets those of another fold without being traced again, and a saved model
    stores them.

    Args:
        axes: negative axes of the input with separate statistics; the statistics are shared over all others.
            Default `(-3, -2, -1)`: rows, columns and bands.
        **kwargs: `name`, `dtype`, `trainable` of `keras.layers.Layer`.

    Call arguments:
        inputs: `(batch, ...)` with all of `axes`, such as `(batch, steps, rows, columns, bands)`.

    Output:
        Of the shape of `inputs`.

    Numerics: the statistics are stored and applied in float32 or better and only the result is cast to the compute
        dtype. A standard deviation below the float32 resolution of its mean (a constant feature, an empty cell of the
        grid) gives 0, even if the input differs from the mean.

    Raises:
        ValueError: `axes` is empty, repeated or not negative, `inputs` lacks one of them or its size is unknown.

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
        """Create the weights."""
        # Only axes after the batch can have statistics, so negative axes before it leave `shape` short.
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
        """Set the statistics, usually those of the training windows.

        Args:
            mean: finite array of the sizes of `axes`, in the unit of the features.
            standard_deviation: finite array of the same shape and unit, non-negative.

        Raises:
            ValueError: an array has another shape, a non-finite value, or a negative standard deviation.
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
        """Standardise the features; see the class."""
        shape = [inputs.shape[axis] if axis in self.axes else 1 for axis in range(-len(inputs.shape), 0)]
        scaled = (ops.cast(inputs, self.mean.dtype) - ops.reshape(self.mean, shape)) * ops.reshape(self.scale, shape)
        return ops.cast(scaled, self.compute_dtype)

    def compute_output_shape(self, input_shape):
        """Return the shape of the output."""
        return input_shape

    def get_config(self):
        """Return the constructor arguments for `from_config`."""
        return {**super().get_config(), "axes": list(self.axes)}
