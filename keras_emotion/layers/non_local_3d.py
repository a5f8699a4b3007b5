"""Non-local block: attention of every position of a feature map over time, rows and columns to all others."""

import math

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_emotion")
class NonLocal3D(keras.layers.Layer):
    r"""Non-local block of [2] with its embedded Gaussian: every position attends to all of time, rows and columns.

    Equations 8 to 10 of [1], in row vectors, for the positions `x` of one sample, `(positions, channels)`:

    $$y = \mathrm{softmax}(x W_\theta (x W_\phi)^T) \, x W_g, \qquad z = y W_z + x$$

    `W_\theta`, `W_\phi` and `W_g` are 1x1x1 convolutions to `inner_channels`, `W_z` is one back (`theta`, `phi`, `g`,
    `output_projection`). `W_z` starts as zeros, so that the block starts as the identity.

    **Deviations.** Width, initial weights and subsampling are not stated: they are those of the text of [2], which
    halves the channels and may pool `phi` and `g`, after their convolutions. No convolution has a bias, as printed
    (that of `phi` would cancel in the softmax), the scores are not divided by `sqrt(inner_channels)`, and no batch
    normalisation follows `W_z`; the code released with [2] has all three by default.

    Args:
        inner_channels: channels of `theta`, `phi` and `g`, 1 or more; `None` (default): half of the input's, rounded
            down, never below 1 [2].
        subsampling: whether `phi` and `g` are max-pooled by 2 over rows and columns, which leaves a quarter of the
            scores; default `False`. The last row or column of an odd number is a separate pool.
        **kwargs: `name`, `dtype`, `trainable` of `keras.layers.Layer`.

    Call arguments:
        inputs: `(batch, time, rows, columns, channels)`, all except the batch of known size.
        return_attention_scores: whether to return the softmax in addition to the output; default `False`.

    Output:
        `z`, of the shape of `inputs`; with `return_attention_scores=True` a pair of it and the softmax, `(batch,
        positions, attended)`, float32, which sums to 1 over the last axis. Positions are in the order of time, rows,
        columns; attended are the same ones, or those of the pooled map. The scores need memory: 5 x 4 x 4 positions
        make 6,400 numbers a sample, 20 x 16 x 16 make 26 million (105 MB).

    Numerics: the scores, the softmax and the weighted sum are taken in float32; only `y` is cast to the compute dtype.

    Raises:
        ValueError: `inner_channels` is below 1, or `inputs` is not 5 dimensional or of unknown size.

    Example:
        >>> import numpy as np
        >>> maps = np.random.default_rng(0).standard_normal((2, 5, 4, 4, 6)).astype("float32")
        >>> outputs, attention = NonLocal3D()(maps, return_attention_scores=True)
        >>> bool(ops.all(outputs == maps)), tuple(attention.shape)
        (True, (2, 80, 80))

    References:
        [1] Zheng, Shao, Zhang and Zhu (2023). Prior-driven dynamic brain networks for multi-modal emotion recognition.
        MICCAI 2023, 389-398, doi:10.1007/978-3-031-43993-3_38.
        [2] Wang, Girshick, Gupta and He (2018). Non-local neural networks. CVPR, 7794-7803. Code:
        github.com/facebookresearch/video-nonlocal-net (lib/models/nonlocal_helper.py).
    """

    def __init__(self, inner_channels=None, subsampling=False, **kwargs):
        super().__init__(**kwargs)
        if inner_channels is not None and inner_channels < 1:
            raise ValueError(f"`inner_channels` must be 1 or more, or None; received inner_channels={inner_channels}")
        self.inner_channels = inner_channels
        self.subsampling = subsampling
        self.pooling = keras.layers.MaxPooling3D(
            (1, 2, 2), padding="same", data_format="channels_last", dtype=self.dtype_policy, name="pooling"
        )

    def build(self, input_shape):
        """Create the weights."""
        if len(input_shape) != 5 or None in input_shape[1:]:
            raise ValueError(
                "`inputs` must be (batch, time, rows, columns, channels), all but the batch of known size; "
                f"received shape {tuple(input_shape)}"
            )
        n_channels = input_shape[-1]
        self.input_spec = keras.layers.InputSpec(shape=(None, *input_shape[1:]))

        def convolution(filters, initializer, name):
            return keras.layers.Conv3D(
                filters,
                1,
                use_bias=False,
                kernel_initializer=initializer,
                data_format="channels_last",
                dtype=self.dtype_policy,
                name=name,
            )

        n_inner = self.inner_channels or max(1, n_channels // 2)
        self.theta, self.phi, self.g = (convolution(n_inner, "glorot_uniform", name) for name in ("theta", "phi", "g"))
        self.output_projection = convolution(n_channels, "zeros", "output_projection")
        for layer in (self.theta, self.phi, self.g):
            layer.build(input_shape)
        self.output_projection.build((*input_shape[:-1], n_inner))

    def call(self, inputs, return_attention_scores=False):
        """Attend to all positions; see the class."""
        queries, keys, values = self.theta(inputs), self.phi(inputs), self.g(inputs)
        if self.subsampling:
            keys, values = self.pooling(keys), self.pooling(values)
        maps_shape = queries.shape[1:]
        queries, keys, values = (
            ops.cast(ops.reshape(maps, (-1, math.prod(maps.shape[1:-1]), maps.shape[-1])), "float32")
            for maps in (queries, keys, values)
        )
        scores = ops.matmul(queries, ops.swapaxes(keys, -1, -2))
        # Explicit softmax: that of Keras warns for a single position.
        attention = ops.exp(scores - ops.logsumexp(scores, axis=-1, keepdims=True))
        attended = ops.cast(ops.reshape(ops.matmul(attention, values), (-1, *maps_shape)), self.compute_dtype)
        outputs = inputs + self.output_projection(attended)
        return (outputs, attention) if return_attention_scores else outputs

    def compute_output_spec(self, inputs, return_attention_scores=False):
        """Return shapes and dtypes of the outputs."""
        attended = self.pooling.compute_output_shape(inputs.shape) if self.subsampling else inputs.shape
        positions = math.prod(inputs.shape[1:-1]), math.prod(attended[1:-1])
        outputs = keras.KerasTensor(inputs.shape, dtype=self.compute_dtype)
        attention = keras.KerasTensor((inputs.shape[0], *positions), dtype="float32")
        return (outputs, attention) if return_attention_scores else outputs

    def get_config(self):
        """Return the constructor arguments for `from_config`."""
        return {**super().get_config(), "inner_channels": self.inner_channels, "subsampling": self.subsampling}
