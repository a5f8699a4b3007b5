"""Topographic images within a network: floor, standardisation and interpolation as externally fitted weights."""

import keras
import numpy as np
from keras import ops

from keras_emotion.signals import image_matrix


@keras.saving.register_keras_serializable(package="keras_emotion")
class TopographicImages(keras.layers.Layer):
    r"""Interpolate logarithmic band powers of electrodes to images of the scalp.

    $$z_{cb} = (\max(x_{cb}, \phi_b) - \mu_b) / \sigma_b, \qquad I_b = \sum_c z_{cb} M_c$$

    with a floor, mean and standard deviation for each band (`set_statistics`) and the interpolation $M$ of
    `keras_emotion.signals.image_matrix`. Before `set_statistics` there is no floor and powers are unchanged. All of
    these are non-trainable weights: a compiled model gets the statistics of another fold without being traced again,
    and a saved model stores them, with the interpolation of its training.

    Args:
        channel_names: names of the channels, in the order of the channels axis.
        directions: `(channels, 3)` vectors from the centre of the head to the electrodes (right, front, up), `None` to
            use the name; `None` for all uses the names.
        image_size: rows and columns of an image, default 32.
        **kwargs: `name`, `dtype`, `trainable` of `keras.layers.Layer`.

    Call arguments:
        inputs: `(batch, frames, channels, bands)`, natural logarithms of powers (`EEGImages` of
            `keras_emotion.pipelines`).

    Output:
        `(batch, frames, bands, image_size, image_size)`: row 0 at the forehead, column 0 at the left ear; 0 outside the
        convex hull of the electrodes.

    Numerics: computed in float32 or better; only the result is cast to the compute dtype. A band whose standard
        deviation is 0 gives 0.

    Raises:
        InputError: electrodes without a known position, two at the same position, or fewer than three not on a line.
        ValueError: an argument is out of its range, or `inputs` has another shape or number of channels.

    Example:
        >>> layer = TopographicImages(["Fz", "C3", "C4", "Pz"], image_size=8)
        >>> tuple(layer(np.zeros((2, 40, 4, 3), "float32")).shape)
        (2, 40, 3, 8, 8)
    """

    def __init__(self, channel_names, directions=None, image_size=32, **kwargs):
        # Without autocast the inputs reach `call` in float32 under mixed precision.
        super().__init__(autocast=False, **kwargs)
        self.channel_names = list(channel_names)
        unknown = [None] * len(self.channel_names)
        directions = unknown if directions is None else list(directions)
        if len(directions) != len(self.channel_names):
            raise ValueError(
                f"`directions` must be one for each of {len(self.channel_names)} channels; received "
                f"directions={tuple(directions)}"
            )
        self.directions = [None if one is None else [float(part) for part in one] for one in directions]
        self.image_size = image_size
        given = np.array([[np.nan] * 3 if one is None else one for one in self.directions], float).reshape(-1, 3)
        # Here and not in `build`, to refuse invalid positions immediately.
        self._interpolation = image_matrix(self.channel_names, given, image_size).reshape(len(self.channel_names), -1)

    def build(self, input_shape):
        """Create the weights."""
        if len(input_shape) != 4 or input_shape[2] != len(self.channel_names) or None in input_shape[1:]:
            raise ValueError(
                f"`inputs` must have shape (batch, frames, {len(self.channel_names)} channels, bands); received shape "
                f"{tuple(input_shape)}"
            )
        statistic = {
            "dtype": keras.backend.result_type(self.variable_dtype, "float32"),
            "trainable": False,
            "autocast": False,
        }
        shape = (input_shape[3],)
        lowest = keras.initializers.Constant(float(np.finfo("float32").min))
        self.floor = self.add_weight(shape=shape, initializer=lowest, name="floor", **statistic)
        self.mean = self.add_weight(shape=shape, initializer="zeros", name="mean", **statistic)
        self.scale = self.add_weight(shape=shape, initializer="ones", name="scale", **statistic)
        self.matrix = self.add_weight(shape=self._interpolation.shape, initializer="zeros", name="matrix", **statistic)
        self.matrix.assign(self._interpolation)
        self.input_spec = keras.layers.InputSpec(ndim=4, axes={2: input_shape[2], 3: input_shape[3]})

    def set_statistics(self, floor, mean, standard_deviation):
        """Set the statistics, usually those of the training windows (`BandStatistics` of `pipelines`).

        Args:
            floor: `(bands,)` finite logarithms of powers.
            mean: `(bands,)`, of the powers not below the floor.
            standard_deviation: `(bands,)`, non-negative.

        Raises:
            ValueError: an array has another shape, a non-finite value, or a negative standard deviation.
        """
        given = {"floor": floor, "mean": mean, "standard_deviation": standard_deviation}
        given = {name: np.asarray(values, "float64") for name, values in given.items()}
        for name, values in given.items():
            if values.shape != tuple(self.mean.shape):
                raise ValueError(f"`{name}` must have shape {tuple(self.mean.shape)}; received shape {values.shape}")
            if not np.isfinite(values).all():
                raise ValueError(f"`{name}` must be finite; received {values[~np.isfinite(values)][0]}")
        deviation = given["standard_deviation"]
        if deviation.min() < 0:
            raise ValueError(f"`standard_deviation` must not be negative; received {deviation.min()}")
        self.floor.assign(given["floor"])
        self.mean.assign(given["mean"])
        self.scale.assign(np.divide(1.0, deviation, out=np.zeros_like(deviation), where=deviation > 0))

    def call(self, inputs):
        """Compute the images; see the class."""
        floored = ops.maximum(ops.cast(inputs, self.mean.dtype), self.floor)
        by_band = ops.swapaxes((floored - self.mean) * self.scale, -1, -2)
        images = ops.matmul(by_band, self.matrix)
        shape = (-1, *by_band.shape[1:3], self.image_size, self.image_size)
        return ops.cast(ops.reshape(images, shape), self.compute_dtype)

    def compute_output_shape(self, input_shape):
        """Return the shape of the output."""
        return (input_shape[0], input_shape[1], input_shape[3], self.image_size, self.image_size)

    def get_config(self):
        """Return the constructor arguments for `from_config`."""
        return {
            **super().get_config(),
            "channel_names": list(self.channel_names),
            "directions": [None if one is None else list(one) for one in self.directions],
            "image_size": self.image_size,
        }
