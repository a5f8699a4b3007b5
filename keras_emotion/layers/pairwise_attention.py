"""Attention of each channel, or each step, of a window to each other."""

import keras
from keras import ops

_AXES = ("channels", "steps")


@keras.saving.register_keras_serializable(package="keras_emotion")
class PairwiseAttention(keras.layers.Layer):
    r"""Score every pair of channels, or of steps, from all values of the window.

    The spatial and the temporal attention of [1], which are one layer with the axes exchanged. For the channels of `X`,
    `(steps, channels, features)`,

    $$P = V\, \sigma\big((X z_1) Z_2 (z_3 X)^T + b\big), \qquad P'_{mn} = \frac{\exp P_{mn}}{\sum_{n'} \exp P_{mn'}}$$

    `X z_1`, `(channels, features)`, is a sum over the steps, `z_3 X`, `(channels, steps)`, one over the features; `Z_2`
    is `(features, steps)`, `V` and `b` `(channels, channels)`. For the steps, channels and steps are exchanged ([1]
    calls the weights `M` then). The weights are `other_kernel` (`z_1`), `pair_kernel` (`Z_2`), `feature_kernel`
    (`z_3`), `score_kernel` (`V`) and `score_bias` (`b`).

    **Deviations.** [1] leaves the index of the softmax open: here the second, so that the rows of `P'` sum to 1.

    Args:
        axis: `"channels"` or `"steps"`.
        kernel_initializer: initializer of the four kernels; open in [1].
        bias_initializer: initializer of the bias.
        **kwargs: `name`, `dtype`, `trainable` of `keras.layers.Layer`.

    Call arguments:
        inputs: `(batch, steps, channels, features)`.

    Output:
        `(batch, channels, channels)` or `(batch, steps, steps)`, whose rows sum to 1.

    Numerics: the softmax is taken in float32.

    Raises:
        ValueError: `axis` is unknown, or `inputs` is not 4 dimensional or of unknown size after the batch.

    Example:
        >>> import numpy as np
        >>> weights = PairwiseAttention("steps")(np.ones((2, 4, 32, 5)))
        >>> tuple(weights.shape), round(float(ops.sum(weights[0, 0])), 5)
        ((2, 4, 4), 1.0)

    References:
        [1] Jia, Lin, Wang, Zhou, Ning, He and Zhao (2020). GraphSleepNet: adaptive spatial-temporal graph
        convolutional networks for sleep stage classification. IJCAI, 1324-1330.
    """

    def __init__(self, axis, kernel_initializer="glorot_uniform", bias_initializer="zeros", **kwargs):
        super().__init__(**kwargs)
        if axis not in _AXES:
            raise ValueError(f"`axis` must be one of {_AXES}; received axis={axis!r}")
        self.axis = axis
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)

    def build(self, input_shape):
        """Create the weights."""
        if len(input_shape) != 4 or None in input_shape[1:]:
            raise ValueError(
                "`inputs` must be (batch, steps, channels, features), of known size behind the batch; "
                f"received shape {tuple(input_shape)}"
            )
        n_steps, n_channels, n_features = input_shape[1:]
        n_pairs, n_others = (n_channels, n_steps) if self.axis == "channels" else (n_steps, n_channels)
        self.input_spec = keras.layers.InputSpec(shape=(None, *input_shape[1:]))

        def add_kernel(name, *shape):
            # A clone of an unseeded initializer draws its own seed: otherwise kernels of one shape would be equal.
            return self.add_weight(shape=shape, initializer=self.kernel_initializer.clone(), name=name)

        self.other_kernel = add_kernel("other_kernel", n_others)
        self.pair_kernel = add_kernel("pair_kernel", n_features, n_others)
        self.feature_kernel = add_kernel("feature_kernel", n_features)
        self.score_kernel = add_kernel("score_kernel", n_pairs, n_pairs)
        self.score_bias = self.add_weight(
            shape=(n_pairs, n_pairs), initializer=self.bias_initializer, name="score_bias"
        )

    def call(self, inputs):
        """Score the pairs; see the class."""
        # (batch, pairs, others, features)
        x = ops.swapaxes(inputs, 1, 2) if self.axis == "channels" else inputs
        over_others = ops.einsum("bpof,o->bpf", x, self.other_kernel)
        over_features = ops.einsum("bpof,f->bop", x, self.feature_kernel)
        products = ops.matmul(ops.matmul(over_others, self.pair_kernel), over_features)
        scores = ops.matmul(self.score_kernel, ops.sigmoid(products + self.score_bias))
        scores = ops.cast(scores, keras.backend.result_type(self.compute_dtype, "float32"))
        # Explicit softmax: that of Keras warns for a single step.
        return ops.cast(ops.exp(scores - ops.logsumexp(scores, axis=-1, keepdims=True)), self.compute_dtype)

    def compute_output_shape(self, input_shape):
        """Return the shape of the output."""
        n_pairs = input_shape[2] if self.axis == "channels" else input_shape[1]
        return (input_shape[0], n_pairs, n_pairs)

    def get_config(self):
        """Return the constructor arguments for `from_config`."""
        return {
            **super().get_config(),
            "axis": self.axis,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
        }
