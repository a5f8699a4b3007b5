"""Convolution module of EEG Conformer, without its attention."""

import keras


@keras.saving.register_keras_serializable(package="keras_emotion")
class EEGConformerConvolution(keras.layers.Layer):
    r"""Filter EEG in time, then over the channels, and average over steps.

    The convolution module of [1], which [2] uses without the self-attention that follows: `filters` convolutions along
    time, `filters` convolutions of these over all channels, batch normalisation, ELU, mean over `pool_size` steps every
    `pool_stride`, dropout, and a dense layer over the filters of each step (a 1 x 1 convolution in [1]). Steps are not
    padded: of `T` steps `(T - kernel_size + 1 - pool_size) // pool_stride + 1` remain, 28 of the 512 samples of 4 s at
    128 Hz.

    **Deviations.** [2] states neither the sizes nor which Conformer is modified; its reference is that for speech
    (`SpeechConformerConvolution`). Inputs have an axis of features, such as bands, over which the filters along time
    sum. The two convolutions have no bias: the following normalisation would remove it.

    Args:
        filters: filters of each convolution and features of the output, 1 or more; default 40 [1].
        kernel_size: steps of the filters along time, 1 or more; default 25 [1]; 5 suits powers in 25 windows.
        pool_size: number of averaged steps, 1 or more; default 75 [1]; 3 suits powers in 25 windows.
        pool_stride: steps from one mean to the next, 1 or more; default 15 [1]; 2 suits powers in 25 windows.
        dropout: dropout rate of the features, from 0 to below 1; default 0.5 [1].
        **kwargs: `name`, `dtype`, `trainable` of `keras.layers.Layer`.

    Input:
        `(batch, steps, channels, features)`, `kernel_size + pool_size - 1` steps or more.

    Output:
        `(batch, means, filters)`.

    Numerics: the statistics of the normalisation are computed in float32 under mixed precision.

    Raises:
        ValueError: an argument is out of its range, or `inputs` is not 4 dimensional or has too few steps.

    Example:
        >>> import numpy as np
        >>> tuple(EEGConformerConvolution()(np.ones((2, 512, 32, 1))).shape)
        (2, 28, 40)
        >>> tuple(EEGConformerConvolution(kernel_size=5, pool_size=3, pool_stride=2)(np.ones((2, 25, 32, 5))).shape)
        (2, 10, 40)

    References:
        [1] Song, Zheng, Liu and Gao (2023). EEG Conformer: convolutional transformer for EEG decoding and
        visualization. IEEE Transactions on Neural Systems and Rehabilitation Engineering 31, 710-719.
        [2] Lee, Kim and Kim (2024). Emotion recognition using EEG signals and audiovisual features with contrastive
        learning. Bioengineering 11, 997.
    """

    def __init__(self, filters=40, kernel_size=25, pool_size=75, pool_stride=15, dropout=0.5, **kwargs):
        super().__init__(**kwargs)
        for argument, value in (
            ("filters", filters),
            ("kernel_size", kernel_size),
            ("pool_size", pool_size),
            ("pool_stride", pool_stride),
        ):
            if value < 1:
                raise ValueError(f"`{argument}` must be 1 or more; received {argument}={value}")
        if not 0 <= dropout < 1:
            raise ValueError(f"`dropout` must be from 0 to below 1; received dropout={dropout}")
        self.filters = filters
        self.kernel_size = kernel_size
        self.pool_size = pool_size
        self.pool_stride = pool_stride
        self.dropout = dropout

    def build(self, input_shape):
        """Create the weights."""
        fewest = self.kernel_size + self.pool_size - 1
        if len(input_shape) != 4 or (input_shape[1] is not None and input_shape[1] < fewest):
            raise ValueError(
                f"`inputs` must be (batch, steps, channels, features), {fewest} steps or more; received shape "
                f"{tuple(input_shape)}"
            )
        _, _, n_channels, n_features = input_shape
        self.input_spec = keras.layers.InputSpec(ndim=4, axes={2: n_channels, 3: n_features})
        policy = self.dtype_policy

        def convolution(kernel_size, name):
            return keras.layers.Conv2D(
                self.filters, kernel_size, use_bias=False, data_format="channels_last", dtype=policy, name=name
            )

        # In this order.
        self.sublayers = [
            convolution((self.kernel_size, 1), "temporal_convolution"),
            convolution((1, n_channels), "spatial_convolution"),
            keras.layers.BatchNormalization(dtype=policy, name="normalization"),
            keras.layers.Activation("elu", dtype=policy, name="activation"),
            keras.layers.AveragePooling2D(
                (self.pool_size, 1), (self.pool_stride, 1), data_format="channels_last", dtype=policy, name="pooling"
            ),
            keras.layers.Dropout(self.dropout, dtype=policy, name="dropout"),
            keras.layers.Reshape((-1, self.filters), dtype=policy, name="reshape"),
            keras.layers.Dense(self.filters, dtype=policy, name="projection"),
        ]
        shape = input_shape
        for layer in self.sublayers:
            layer.build(shape)
            shape = layer.compute_output_shape(shape)

    def call(self, inputs, training=None):
        """Filter and averages; see the class."""
        temporal, spatial, normalization, activation, pooling, dropout, reshape, projection = self.sublayers
        x = activation(normalization(spatial(temporal(inputs)), training=training))
        return projection(reshape(dropout(pooling(x), training=training)))

    def compute_output_shape(self, input_shape):
        """Return `(batch, means, filters)`."""
        n_steps = input_shape[1]
        if n_steps is not None:
            n_steps = (n_steps - self.kernel_size + 1 - self.pool_size) // self.pool_stride + 1
        return (input_shape[0], n_steps, self.filters)

    def get_config(self):
        """Return the constructor arguments for `from_config`."""
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "pool_size": self.pool_size,
            "pool_stride": self.pool_stride,
            "dropout": self.dropout,
        }
