"""Residual temporal convolutional network: consecutive temporal blocks."""

import keras

from keras_emotion.layers.temporal_block import TemporalBlock


@keras.saving.register_keras_serializable(package="keras_emotion")
class ResidualTCN(keras.layers.Layer):
    r"""Pass a sequence through a stack of `TemporalBlock`, whose dilations determine the receptive field.

    Section 2.1 of [1], which prints no equation: `y = f_n(... f_2(f_1(x)))`, each `f_i` a `TemporalBlock`. The default
    is two blocks of three convolutions; one convolution in each block with dilations that double from block to block,
    `dilation_rates=((1,), (2,), (4,), (8,))`, is the usual network of [2] and others.

    **Deviations.** [1] states that the modules may share weights, but not how the first, whose input has 512 features,
    could have the weights of the second, whose input has 128. With `share_modules=True` a preceding 1x1 convolution
    makes the widths equal, so that a block needs none. Shared batch normalisation computes separate statistics for each
    pass in training, and one moving average over the passes for inference. See `TemporalBlock` for the open points of a
    block.

    Args:
        filters: features of each convolution and of the output, 1 or more; 128 in [1].
        dilation_rates: for each block the dilation rates of its convolutions, each 1 or more; at least one block;
            default `((1, 2, 2), (1, 2, 2))` [1].
        kernel_size: steps that a convolution weighs, 1 or more; default 3 [1].
        padding: `"causal"` (default: no output depends on a later step) or `"same"`; the paper leaves it open.
        normalization: `"batch"` (default) or `"layer"`; the paper leaves it open.
        dropout: dropout rate of the features after each convolution, from 0 to below 1;
            default 0.5 [1].
        activation: activation after each normalisation, as Keras takes it; default `"relu"` [1].
        output_activation: activation after the sum of each block; default `None`.
        share_modules: whether all blocks have the same weights; their dilation rates must then be equal. Default
            `False`.
        **kwargs: `name`, `dtype`, `trainable` of `keras.layers.Layer`.

    Input:
        `(batch, steps, features)`, any number of steps from 1.

    Output:
        `(batch, steps, filters)`.

    Numerics: those of `TemporalBlock`.

    Raises:
        ValueError: an argument is out of its range, `share_modules` with blocks of different dilations, or `inputs` is
            not 3 dimensional.

    Example:
        >>> import numpy as np
        >>> network = ResidualTCN(8, dilation_rates=((1,), (2,), (4,), (8,)), activation="elu")
        >>> tuple(network(np.ones((2, 5, 3))).shape), network.receptive_field
        ((2, 5, 8), 31)

    References:
        [1] Du, Li, Cheng, Zhang, Li and Li (2024). Attention-based 3D convolutional recurrent neural network model
        for multimodal emotion recognition. Frontiers in Neuroscience 17:1330077.
        [2] Bai, Kolter and Koltun (2018). An empirical evaluation of generic convolutional and recurrent networks for
        sequence modeling. arXiv:1803.01271.
    """

    def __init__(
        self,
        filters,
        dilation_rates=((1, 2, 2), (1, 2, 2)),
        kernel_size=3,
        padding="causal",
        normalization="batch",
        dropout=0.5,
        activation="relu",
        output_activation=None,
        share_modules=False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        sequence = (list, tuple)
        if (
            not isinstance(dilation_rates, sequence)
            or not dilation_rates
            or not all(isinstance(rates, sequence) and rates and min(rates) >= 1 for rates in dilation_rates)
        ):
            raise ValueError(
                "`dilation_rates` must be a sequence of one block or more, each a sequence of rates of 1 or more; "
                f"received dilation_rates={dilation_rates}"
            )
        rates_of_blocks = tuple(tuple(rates) for rates in dilation_rates)
        if share_modules and len(set(rates_of_blocks)) > 1:
            raise ValueError(
                "`share_modules` must be False if blocks have different dilation rates; "
                f"received share_modules={share_modules}, dilation_rates={dilation_rates}"
            )
        self.filters = filters
        self.dilation_rates = rates_of_blocks
        self.kernel_size = kernel_size
        self.padding = padding
        self.normalization = normalization
        self.dropout = dropout
        self.activation = keras.activations.get(activation)
        self.output_activation = keras.activations.get(output_activation)
        self.share_modules = share_modules

        def block(rates, name):
            return TemporalBlock(
                filters,
                kernel_size=kernel_size,
                dilation_rates=rates,
                padding=padding,
                normalization=normalization,
                dropout=dropout,
                activation=activation,
                output_activation=output_activation,
                dtype=self.dtype_policy,
                name=name,
            )

        self.blocks = (
            [block(rates_of_blocks[0], "block")] * len(rates_of_blocks)
            if share_modules
            else [block(rates, f"block_{number}") for number, rates in enumerate(rates_of_blocks, start=1)]
        )
        self.projection = None

    @property
    def receptive_field(self):
        """Number of steps on which an output depends, its own included."""
        return 1 + sum(block.receptive_field - 1 for block in self.blocks)

    def build(self, input_shape):
        """Create the weights."""
        if len(input_shape) != 3:
            raise ValueError(f"`inputs` must be (batch, steps, features); received shape {tuple(input_shape)}")
        n_features = input_shape[-1]
        self.input_spec = keras.layers.InputSpec(ndim=3, axes={-1: n_features})
        output_shape = shape = self.compute_output_shape(input_shape)
        if self.share_modules:
            if n_features != self.filters:
                self.projection = keras.layers.Conv1D(
                    self.filters, 1, data_format="channels_last", dtype=self.dtype_policy, name="projection"
                )
                self.projection.build(input_shape)
        else:
            shape = input_shape
        for block in self.blocks:
            if not block.built:
                block.build(shape)
            shape = output_shape

    def call(self, inputs, training=None):
        """Pass the sequence through the blocks; see the class."""
        x = inputs if self.projection is None else self.projection(inputs)
        for block in self.blocks:
            x = block(x, training=training)
        return x

    def compute_output_shape(self, input_shape):
        """Return `(batch, steps, filters)`."""
        return (*input_shape[:-1], self.filters)

    def get_config(self):
        """Return the constructor arguments for `from_config`."""
        return {
            **super().get_config(),
            "filters": self.filters,
            "dilation_rates": [list(rates) for rates in self.dilation_rates],
            "kernel_size": self.kernel_size,
            "padding": self.padding,
            "normalization": self.normalization,
            "dropout": self.dropout,
            "activation": keras.activations.serialize(self.activation),
            "output_activation": keras.activations.serialize(self.output_activation),
            "share_modules": self.share_modules,
        }
