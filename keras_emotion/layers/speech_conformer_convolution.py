"""Conformer block for speech, without its attention."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_emotion")
class SpeechConformerConvolution(keras.layers.Layer):
    r"""Pass a sequence through the convolution module of Conformer between two half feed-forward modules.

    Section 2 of [1] without the self-attention, as modified by [2]. A dense layer first maps each step of the sequence
    to `units` features; then

    $$x' = x + \tfrac{1}{2} \mathrm{FFN}_1(x), \quad x'' = x' + \mathrm{Conv}(x'), \quad
      y = \mathrm{LayerNorm}\big(x'' + \tfrac{1}{2} \mathrm{FFN}_2(x'')\big)$$

    - FFN: layer normalisation, dense `expansion * units`, swish, dropout, dense `units`, dropout;
    - Conv: layer normalisation, dense `2 * units`, one half multiplied by the sigmoid of the other (GLU), depthwise
      convolution over `kernel_size` steps that keeps their number, batch normalisation, swish, dense `units`, dropout.

    **Deviations.** [2] states only that the self-attention is excluded. [1] has kernels of 32 steps for some hundred;
    here the default suits 25 windows. The depthwise convolution has no bias: the following normalisation would remove
    it.

    Args:
        units: features of a step, 1 or more; default 40.
        kernel_size: steps of the depthwise convolution, 1 or more; default 5.
        expansion: factor of the width of the feed-forward modules, 1 or more; default 4 [1].
        dropout: dropout rate of the features, from 0 to below 1; default 0.1 [1].
        **kwargs: `name`, `dtype`, `trainable` of `keras.layers.Layer`.

    Input:
        `(batch, steps, channels, features)`; each step is flattened.

    Output:
        `(batch, steps, units)`.

    Numerics: the statistics of the normalisations are computed in float32 under mixed precision.

    Raises:
        ValueError: an argument is out of its range, or `inputs` is not 4 dimensional.

    Example:
        >>> import numpy as np
        >>> tuple(SpeechConformerConvolution()(np.ones((2, 25, 32, 5))).shape)
        (2, 25, 40)

    References:
        [1] Gulati, Qin, Chiu, Parmar, Zhang, Yu, Han, Wang, Zhang, Wu and Pang (2020). Conformer: convolution-augmented
        transformer for speech recognition. Interspeech. arXiv:2005.08100.
        [2] Lee, Kim and Kim (2024). Emotion recognition using EEG signals and audiovisual features with contrastive
        learning. Bioengineering 11, 997.
    """

    def __init__(self, units=40, kernel_size=5, expansion=4, dropout=0.1, **kwargs):
        super().__init__(**kwargs)
        for argument, value in (("units", units), ("kernel_size", kernel_size), ("expansion", expansion)):
            if value < 1:
                raise ValueError(f"`{argument}` must be 1 or more; received {argument}={value}")
        if not 0 <= dropout < 1:
            raise ValueError(f"`dropout` must be from 0 to below 1; received dropout={dropout}")
        self.units = units
        self.kernel_size = kernel_size
        self.expansion = expansion
        self.dropout = dropout

        policy = self.dtype_policy

        def dense(width, name, activation=None):
            return keras.layers.Dense(width, activation=activation, dtype=policy, name=name)

        def layer_normalization(name):
            return keras.layers.LayerNormalization(dtype=policy, name=name)

        def feed_forward(number):
            return [
                layer_normalization(f"feed_forward_{number}_normalization"),
                dense(expansion * units, f"feed_forward_{number}_expansion", "swish"),
                keras.layers.Dropout(dropout, dtype=policy, name=f"feed_forward_{number}_hidden_dropout"),
                dense(units, f"feed_forward_{number}_projection"),
                keras.layers.Dropout(dropout, dtype=policy, name=f"feed_forward_{number}_dropout"),
            ]

        self.input_projection = dense(units, "input_projection")
        self.first_feed_forward = feed_forward(1)
        self.second_feed_forward = feed_forward(2)
        self.convolution_normalization = layer_normalization("convolution_normalization")
        self.gated = dense(2 * units, "convolution_expansion")
        # After the gate.
        self.convolution = [
            keras.layers.DepthwiseConv1D(
                kernel_size,
                padding="same",
                use_bias=False,
                data_format="channels_last",
                dtype=policy,
                name="depthwise_convolution",
            ),
            keras.layers.BatchNormalization(dtype=policy, name="batch_normalization"),
            keras.layers.Activation("swish", dtype=policy, name="activation"),
            dense(units, "convolution_projection"),
            keras.layers.Dropout(dropout, dtype=policy, name="convolution_dropout"),
        ]
        self.normalization = layer_normalization("normalization")

    def build(self, input_shape):
        """Create the weights."""
        if len(input_shape) != 4:
            raise ValueError(
                f"`inputs` must be (batch, steps, channels, features); received shape {tuple(input_shape)}"
            )
        batch, n_steps, n_channels, n_features = input_shape
        self.input_spec = keras.layers.InputSpec(ndim=4, axes={2: n_channels, 3: n_features})
        self.input_projection.build((batch, n_steps, n_channels * n_features))
        shape = (batch, n_steps, self.units)
        for layers in (self.first_feed_forward, self.second_feed_forward, self.convolution):
            of_layer = shape
            for layer in layers:
                layer.build(of_layer)
                of_layer = layer.compute_output_shape(of_layer)
        for layer in (self.convolution_normalization, self.gated, self.normalization):
            layer.build(shape)

    def call(self, inputs, training=None):
        """Apply the modules; see the class."""
        n_steps = ops.shape(inputs)[1]
        x = self.input_projection(ops.reshape(inputs, (-1, n_steps, inputs.shape[2] * inputs.shape[3])))
        x = x + 0.5 * _through(self.first_feed_forward, x, training)
        values, gates = ops.split(self.gated(self.convolution_normalization(x)), 2, axis=-1)
        x = x + _through(self.convolution, values * ops.sigmoid(gates), training)
        x = x + 0.5 * _through(self.second_feed_forward, x, training)
        return self.normalization(x)

    def compute_output_shape(self, input_shape):
        """Return `(batch, steps, units)`."""
        return (*input_shape[:2], self.units)

    def get_config(self):
        """Return the constructor arguments for `from_config`."""
        return {
            **super().get_config(),
            "units": self.units,
            "kernel_size": self.kernel_size,
            "expansion": self.expansion,
            "dropout": self.dropout,
        }


def _through(layers, x, training):
    """Apply layers one after another."""
    for layer in layers:
        takes_training = isinstance(layer, keras.layers.Dropout | keras.layers.BatchNormalization)
        x = layer(x, training=training) if takes_training else layer(x)
    return x
