"""Residual block of dilated convolutions over time, the module of temporal convolutional networks."""

import keras


@keras.saving.register_keras_serializable(package="keras_emotion")
class TemporalBlock(keras.layers.Layer):
    r"""Add a few dilated convolutions over the steps of a sequence to the sequence.

    The temporal convolution module of the visual network, section 2.1 of [1], which prints no equation. As implemented
    here, for the `n` convolutions of the block, `x_0` its input and `d_i` a dilation rate:

    $$x_i = \mathrm{dropout}(\mathrm{relu}(\mathrm{norm}(x_{i-1} *_{d_i} W_i))), \qquad y = x_n + x_0 W_0$$

    $$(x *_d W)_t = \sum_{j=0}^{k-1} x_{t - (k-1-j) d} W_j$$

    `W_0` is a 1x1 convolution, or the identity if the input has as many features as there are filters. Steps before the
    first are zero. With `padding="same"` the steps of a convolution lie around `t`: `(k - 1) * d // 2` of them before
    it and the rest after it; those beyond the last are zero, too.

    **Deviations.** [1] leaves these open; each is an argument or described here. The kind of the normalisation. The
    padding: `"causal"`, as in the network of [2] on which these modules are based, or `"same"`. Normalisation comes
    before the activation, as in [2]; the text of [1] has the opposite order. Dropout comes after the activation, which
    for ReLU is the same as between the two. There is no activation after the sum; [2] has one:
    `output_activation="relu"`. A convolution before batch normalisation has no bias, which the normalisation would
    subtract; one before layer normalisation has one, and so has the 1x1 convolution. Initial weights, momentum and
    epsilon are those of Keras.

    Args:
        filters: features of each convolution and of the output, 1 or more; 128 in [1].
        kernel_size: number of steps of a convolution, `k`, 1 or more; default 3 [1].
        dilation_rates: distance in steps between those, 1 or more, for each convolution of the block in turn, at least
            one; default `(1, 2, 2)` [1].
        padding: `"causal"` (default: no output depends on a later step) or `"same"`.
        normalization: `"batch"` (default) or `"layer"` (each step by its own features: independent of the batch and of
            its padding).
        dropout: dropout rate of the features after each convolution, from 0 to below 1;
            default 0.5 [1].
        activation: activation after each normalisation, as Keras takes it; default `"relu"` [1].
        output_activation: activation of the sum; default `None`.
        **kwargs: `name`, `dtype`, `trainable` of `keras.layers.Layer`.

    Input:
        `(batch, steps, features)`, any number of steps from 1.

    Output:
        `(batch, steps, filters)`.

    Numerics: the statistics of both normalisations are computed in float32 with an epsilon of 0.001 added to the
    variance; a constant gives 0 before scale and offset. The convolutions run in the compute dtype.

    Raises:
        ValueError: an argument is out of its range, or `inputs` is not 3 dimensional.

    Example:
        >>> import numpy as np
        >>> block = TemporalBlock(8)
        >>> tuple(block(np.ones((2, 5, 3))).shape), block.receptive_field
        ((2, 5, 8), 11)

    References:
        [1] Du, Li, Cheng, Zhang, Li and Li (2024). Attention-based 3D convolutional recurrent neural network model
        for multimodal emotion recognition. Frontiers in Neuroscience 17:1330077.
        [2] Bai, Kolter and Koltun (2018). An empirical evaluation of generic convolutional and recurrent networks for
        sequence modeling. arXiv:1803.01271.
    """

    def __init__(
        self,
        filters,
        kernel_size=3,
        dilation_rates=(1, 2, 2),
        padding="causal",
        normalization="batch",
        dropout=0.5,
        activation="relu",
        output_activation=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        for argument, value in (("filters", filters), ("kernel_size", kernel_size)):
            if value < 1:
                raise ValueError(f"`{argument}` must be 1 or more; received {argument}={value}")
        if not isinstance(dilation_rates, (list, tuple)) or not dilation_rates or min(dilation_rates) < 1:
            raise ValueError(
                "`dilation_rates` must be a sequence of one rate or more, each 1 or more; "
                f"received dilation_rates={dilation_rates}"
            )
        for argument, value, words in (
            ("padding", padding, ("causal", "same")),
            ("normalization", normalization, ("batch", "layer")),
        ):
            if value not in words:
                raise ValueError(f"`{argument}` must be one of {words}; received {argument}={value!r}")
        if not 0 <= dropout < 1:
            raise ValueError(f"`dropout` must be from 0 to below 1; received dropout={dropout}")
        self.filters = filters
        self.kernel_size = kernel_size
        self.dilation_rates = tuple(dilation_rates)
        self.padding = padding
        self.normalization = normalization
        self.dropout = dropout
        self.activation = keras.activations.get(activation)
        self.output_activation = keras.activations.get(output_activation)

        policy = self.dtype_policy
        normalization_class = {
            "batch": keras.layers.BatchNormalization,
            "layer": keras.layers.LayerNormalization,
        }[normalization]
        self.convolutions = [
            keras.layers.Conv1D(
                filters,
                kernel_size,
                padding=padding,
                dilation_rate=rate,
                use_bias=normalization != "batch",
                data_format="channels_last",
                dtype=policy,
                name=f"convolution_{number}",
            )
            for number, rate in enumerate(dilation_rates, start=1)
        ]
        numbers = range(1, len(dilation_rates) + 1)
        self.normalizations = [normalization_class(dtype=policy, name=f"normalization_{number}") for number in numbers]
        self.dropouts = [keras.layers.Dropout(dropout, dtype=policy, name=f"dropout_{number}") for number in numbers]
        self.projection = None

    @property
    def receptive_field(self):
        """Number of steps on which an output depends, its own included."""
        return 1 + (self.kernel_size - 1) * sum(self.dilation_rates)

    def build(self, input_shape):
        """Create the weights."""
        if len(input_shape) != 3:
            raise ValueError(f"`inputs` must be (batch, steps, features); received shape {tuple(input_shape)}")
        n_features = input_shape[-1]
        self.input_spec = keras.layers.InputSpec(ndim=3, axes={-1: n_features})
        output_shape = self.compute_output_shape(input_shape)
        shape = input_shape
        for convolution, normalization in zip(self.convolutions, self.normalizations, strict=True):
            convolution.build(shape)
            normalization.build(output_shape)
            shape = output_shape
        if n_features != self.filters:
            self.projection = keras.layers.Conv1D(
                self.filters, 1, data_format="channels_last", dtype=self.dtype_policy, name="projection"
            )
            self.projection.build(input_shape)

    def call(self, inputs, training=None):
        """Add the convolutions to the sequence; see the class."""
        x = inputs
        for convolution, normalization, dropout in zip(
            self.convolutions, self.normalizations, self.dropouts, strict=True
        ):
            x = self.activation(normalization(convolution(x), training=training))
            x = dropout(x, training=training)
        return self.output_activation(x + (inputs if self.projection is None else self.projection(inputs)))

    def compute_output_shape(self, input_shape):
        """Return `(batch, steps, filters)`."""
        return (*input_shape[:-1], self.filters)

    def get_config(self):
        """Return the constructor arguments for `from_config`."""
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "dilation_rates": list(self.dilation_rates),
            "padding": self.padding,
            "normalization": self.normalization,
            "dropout": self.dropout,
            "activation": keras.activations.serialize(self.activation),
            "output_activation": keras.activations.serialize(self.output_activation),
        }
