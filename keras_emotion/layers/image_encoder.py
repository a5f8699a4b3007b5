"""Small convolutional encoder of pictures."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_emotion")
class ImageEncoder(keras.layers.Layer):
    """Encode each picture of a batch, or of a sequence, as a vector.

    Convolutions of 3 x 3 with stride 2 and ReLU, each of which halves rows and columns, then a dense layer with ReLU on
    the flattened map, so that the vector encodes positions in the picture. All pictures of a call are processed as one
    batch.

    Args:
        filters: filters of each convolution, 1 or more, one convolution or more; default `(16, 32, 32)`.
        units: size of the vector, 1 or more; default 256.
        **kwargs: `name`, `dtype`, `trainable` of `keras.layers.Layer`.

    Call arguments:
        inputs: `(batch, ..., rows, columns, channels)`, all but the batch of known size.

    Output:
        `(batch, ..., units)`.

    Numerics: everything runs in the compute dtype.

    Raises:
        ValueError: an argument is out of its range, or `inputs` has fewer than 4 axes or one of unknown size.

    Example:
        >>> import numpy as np
        >>> tuple(ImageEncoder(units=8)(np.zeros((2, 5, 32, 32, 1))).shape)
        (2, 5, 8)
    """

    def __init__(self, filters=(16, 32, 32), units=256, **kwargs):
        super().__init__(**kwargs)
        if not isinstance(filters, list | tuple) or not filters or min(filters) < 1:
            raise ValueError(f"`filters` must be one number or more, each 1 or more; received filters={filters}")
        if units < 1:
            raise ValueError(f"`units` must be 1 or more; received units={units}")
        self.filters = tuple(filters)
        self.units = units
        self.convolutions = [
            keras.layers.Conv2D(
                n_filters,
                3,
                strides=2,
                padding="same",
                activation="relu",
                data_format="channels_last",
                dtype=self.dtype_policy,
                name=f"convolution_{number}",
            )
            for number, n_filters in enumerate(filters, start=1)
        ]
        self.projection = keras.layers.Dense(units, activation="relu", dtype=self.dtype_policy, name="projection")

    def build(self, input_shape):
        """Create the weights."""
        if len(input_shape) < 4 or None in input_shape[1:]:
            raise ValueError(
                "`inputs` must be (batch, ..., rows, columns, channels) of known size; "
                f"received shape {tuple(input_shape)}"
            )
        shape = (None, *input_shape[-3:])
        for convolution in self.convolutions:
            convolution.build(shape)
            shape = convolution.compute_output_shape(shape)
        self.n_values = shape[1] * shape[2] * shape[3]
        self.projection.build((None, self.n_values))

    def call(self, inputs):
        """Encode the pictures; see the class."""
        x = ops.reshape(inputs, (-1, *inputs.shape[-3:]))
        for convolution in self.convolutions:
            x = convolution(x)
        x = self.projection(ops.reshape(x, (-1, self.n_values)))
        return ops.reshape(x, (-1, *inputs.shape[1:-3], self.units))

    def compute_output_shape(self, input_shape):
        """Return the shape of the output."""
        return (*input_shape[:-3], self.units)

    def get_config(self):
        """Return the constructor arguments for `from_config`."""
        return {**super().get_config(), "filters": list(self.filters), "units": self.units}
