"""Efficient channel attention over the frequency bands of an EEG feature map."""

import math

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_emotion")
class ECABandAttention(keras.layers.Layer):
    r"""Weight the bands of a feature map by a one-dimensional convolution over the bands.

    Equations 4 and 5 of [1], after efficient channel attention [2]:

    $$k = \left\lfloor \frac{\log_2 C}{\gamma} + \frac{b}{\gamma} \right\rfloor_{odd}, \qquad
      E_i^* = E_i \otimes \mathrm{sigmoid}(\mathrm{conv1D}_k(x))$$

    `x` is the mean of `E_i` over rows and columns, `C` the number of bands, `k` the kernel size.

    **Deviations.** Eq. 4 leaves the base of the logarithm open; it is 2, and an even `k` becomes `k + 1`, as in [2] (1
    for the 4 bands of the paper). Eq. 5 prints a kernel as long as there are bands: use `kernel_size=4` for that
    reading. The convolution has no bias, as in [2]; [1] mentions none. The bands beyond the first and the last are
    zero-padded; an even kernel has `(k - 1) // 2` of them on the side of the first band and `k // 2` on the other.

    Args:
        kernel_size: number of bands from which a weight is computed, 1 or more; `None` (default) uses Eq. 4.
        gamma: divisor of Eq. 4, above 0; default 2 [1].
        b: offset of Eq. 4; default 1 [1].
        kernel_initializer: initializer of the `(kernel_size, 1, 1)` kernel; the paper leaves it open.
        **kwargs: `name`, `dtype`, `trainable` of `keras.layers.Layer`.

    Call arguments:
        inputs: `(batch, rows, columns, bands)`, or `(batch, steps, rows, columns, bands)`, with independent attention
            for each step.
        return_attention_scores: whether to return the weights in addition to the output; default `False`.

    Output:
        The weighted maps, of the shape of `inputs`; with `return_attention_scores=True` a pair of them and the
        weights, `(batch, bands)` or `(batch, steps, bands)`, each in (0, 1).

    Numerics: the mean over the grid is taken in float32; convolution and sigmoid run in the compute dtype.

    Raises:
        ValueError: `kernel_size` is below 1, `gamma` is not above 0, or `inputs` is neither 4 nor 5 dimensional.

    Example:
        >>> import numpy as np
        >>> layer = ECABandAttention()
        >>> weighted, weights = layer(np.ones((2, 3, 9, 9, 4)), return_attention_scores=True)
        >>> tuple(weighted.shape), tuple(weights.shape), layer.effective_kernel_size
        ((2, 3, 9, 9, 4), (2, 3, 4), 1)

    References:
        [1] Du, Li, Cheng, Zhang, Li and Li (2024). Attention-based 3D convolutional recurrent neural network model
        for multimodal emotion recognition. Frontiers in Neuroscience 17:1330077.
        [2] Wang, Wu, Zhu, Li, Zuo and Hu (2020). ECA-Net: efficient channel attention for deep convolutional neural
        networks. CVPR.
    """

    def __init__(self, kernel_size=None, gamma=2, b=1, kernel_initializer="glorot_uniform", **kwargs):
        super().__init__(**kwargs)
        if kernel_size is not None and kernel_size < 1:
            raise ValueError(f"`kernel_size` must be 1 or more, or None; received kernel_size={kernel_size}")
        if gamma <= 0:
            raise ValueError(f"`gamma` must be above 0; received gamma={gamma}")
        self.kernel_size = kernel_size
        self.gamma = gamma
        self.b = b
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, input_shape):
        """Create the weights."""
        if len(input_shape) not in (4, 5):
            raise ValueError(
                "`inputs` must be (batch, rows, columns, bands) or (batch, steps, rows, columns, bands); "
                f"received shape {tuple(input_shape)}"
            )
        self.kernel = self.add_weight(
            shape=(self._kernel_size_for(input_shape[-1]), 1, 1), initializer=self.kernel_initializer, name="kernel"
        )

    def _kernel_size_for(self, n_bands):
        if self.kernel_size is not None:
            return self.kernel_size
        adaptive = max(1, math.floor((math.log2(n_bands) + self.b) / self.gamma))
        return adaptive if adaptive % 2 else adaptive + 1

    @property
    def effective_kernel_size(self):
        """Kernel size in use; known once the layer is built."""
        return self.kernel.shape[0]

    def attention(self, inputs):
        """Return the weights of the bands, `(batch, bands)` or `(batch, steps, bands)`."""
        return self(inputs, return_attention_scores=True)[1]

    def call(self, inputs, return_attention_scores=False):
        """Weight the bands; see the class."""
        pooled = ops.cast(ops.mean(ops.cast(inputs, "float32"), axis=(-3, -2)), self.compute_dtype)
        n_bands = inputs.shape[-1]
        scores = ops.conv(
            ops.reshape(pooled, (-1, n_bands, 1)), self.kernel, padding="same", data_format="channels_last"
        )
        weights = ops.reshape(ops.sigmoid(scores), ops.shape(pooled))
        outputs = inputs * weights[..., None, None, :]
        return (outputs, weights) if return_attention_scores else outputs

    def compute_output_spec(self, inputs, return_attention_scores=False):
        """Return shapes and dtypes of the outputs."""
        outputs = keras.KerasTensor(inputs.shape, dtype=self.compute_dtype)
        weights = keras.KerasTensor((*inputs.shape[:-3], inputs.shape[-1]), dtype=self.compute_dtype)
        return (outputs, weights) if return_attention_scores else outputs

    def get_config(self):
        """Return the constructor arguments for `from_config`."""
        return {
            **super().get_config(),
            "kernel_size": self.kernel_size,
            "gamma": self.gamma,
            "b": self.b,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }
