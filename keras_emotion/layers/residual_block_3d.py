"""Residual block of two three-dimensional convolutions."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_emotion")
class ResidualBlock3D(keras.layers.Layer):
    r"""Two convolutions over time, rows and columns, each with a ReLU, and a skip connection.

    The basic block of the spatial-temporal network of [1], described in its section 2:

    $$y = \mathrm{relu}(x * W_1 + b_1), \qquad z = \mathrm{relu}(y * W_2 + b_2 + x W_0)$$

    `W_1` and `W_2` are 3x3x3 kernels with zero padding that keeps the size. `W_0` is a 1x1x1 convolution, or the
    identity if the input has as many channels as there are filters.

    **Deviations.** [1] mentions two convolutions, two activations and a residual connection "inspired by ResNet" and
    leaves the rest open. The second ReLU comes after the sum, as in [2]. There is no normalisation, since [1] mentions
    none. The 1x1x1 convolution has no bias, which would be redundant with `b_2`. Initial weights are those of Keras.

    Args:
        filters: channels of both convolutions and of the output, 1 or more.
        **kwargs: `name`, `dtype`, `trainable` of `keras.layers.Layer`.

    Input:
        `(batch, time, rows, columns, channels)`.

    Output:
        `(batch, time, rows, columns, filters)`, not negative.

    Numerics: everything runs in the compute dtype.

    Raises:
        ValueError: `filters` is below 1, or `inputs` is not 5 dimensional.

    Example:
        >>> import numpy as np
        >>> tuple(ResidualBlock3D(16)(np.ones((2, 20, 32, 32, 1))).shape)
        (2, 20, 32, 32, 16)

    References:
        [1] Zheng, Shao, Zhang and Zhu (2023). Prior-driven dynamic brain networks for multi-modal emotion recognition.
        MICCAI 2023, 389-398, doi:10.1007/978-3-031-43993-3_38.
        [2] He, Zhang, Ren and Sun (2016). Deep residual learning for image recognition. CVPR, 770-778.
    """

    def __init__(self, filters, **kwargs):
        super().__init__(**kwargs)
        if filters < 1:
            raise ValueError(f"`filters` must be 1 or more; received filters={filters}")
        self.filters = filters
        self.convolution_1, self.convolution_2 = (
            keras.layers.Conv3D(
                filters,
                3,
                padding="same",
                data_format="channels_last",
                dtype=self.dtype_policy,
                name=f"convolution_{number}",
            )
            for number in (1, 2)
        )
        self.projection = None

    def build(self, input_shape):
        """Create the weights."""
        if len(input_shape) != 5:
            raise ValueError(
                f"`inputs` must be (batch, time, rows, columns, channels); received shape {tuple(input_shape)}"
            )
        n_channels = input_shape[-1]
        self.input_spec = keras.layers.InputSpec(ndim=5, axes={-1: n_channels})
        self.convolution_1.build(input_shape)
        self.convolution_2.build((*input_shape[:-1], self.filters))
        if n_channels != self.filters:
            self.projection = keras.layers.Conv3D(
                self.filters, 1, use_bias=False, data_format="channels_last", dtype=self.dtype_policy, name="projection"
            )
            self.projection.build(input_shape)

    def call(self, inputs):
        """Add the convolutions to the input; see the class."""
        x = self.convolution_2(ops.relu(self.convolution_1(inputs)))
        return ops.relu(x + (inputs if self.projection is None else self.projection(inputs)))

    def compute_output_shape(self, input_shape):
        """Return the shape of the output."""
        return (*input_shape[:-1], self.filters)

    def get_config(self):
        """Return the constructor arguments for `from_config`."""
        return {**super().get_config(), "filters": self.filters}
