"""Multi-head attention between every two modalities, in both directions."""

import itertools

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_emotion")
class PairwiseCrossModalAttention(keras.layers.Layer):
    r"""Multi-head attention for each ordered pair of modalities, averaged over time.

    Eq. 8-13 of [1]. For the sequences `h_m` of the modalities and every ordered pair of them, with separate weights,

    $$\mathrm{CMA}^{n \to m} = [A_1, \ldots, A_H] W_O, \qquad
      A_i = \mathrm{softmax}\Big(\frac{h_m W_{Q_i} (h_n W_{K_i})^T}{\sqrt{d}}\Big) h_n W_{V_i}$$

    so that the queries, and the steps of the result, are those of `m`. The mean over the steps represents the pair. The
    order of the pairs is that of [1]: for modalities `(v, a, e)` `a -> v`, `v -> a`, `e -> v`, `v -> e`, `e -> a`, `a
    -> e`. Sequences may have different numbers of steps and features.

    **Deviations.** Eq. 12 of [1] prints no softmax; here it is that of multi-head attention [2], which [1] mentions.
    How outputs of different lengths become one vector is not stated: here by the mean over the steps. The number of
    heads is not stated either.

    Args:
        units: features of the result of a pair, a multiple of `n_heads`; default 128, as the sequences of [1].
        n_heads: number of heads `H`, 1 or more; default 4. Each has the size `d = units / n_heads`.
        **kwargs: `name`, `dtype`, `trainable` of `keras.layers.Layer`.

    Call arguments:
        inputs: list of two or more sequences, each `(batch, steps, features)`.
        return_attention_scores: whether to return the attention, too; default `False`.

    Output:
        `(batch, pairs, units)`; with `return_attention_scores=True` also a list with `(batch, heads, steps of m, steps
        of n)` for each pair, whose last axis sums to 1.

    Numerics: the softmax and the mean over the steps are computed in float32 under mixed precision.

    Raises:
        ValueError: an argument is out of its range, or `inputs` is not two or more 3 dimensional sequences.

    Example:
        >>> import numpy as np
        >>> layer = PairwiseCrossModalAttention(units=8, n_heads=2)
        >>> sequences = [np.ones((2, 8, 6)), np.ones((2, 4, 6)), np.ones((2, 10, 6))]
        >>> tuple(layer(sequences).shape)
        (2, 6, 8)
        >>> layer.pairs
        ((1, 0), (0, 1), (2, 0), (0, 2), (2, 1), (1, 2))

    References:
        [1] Lee, Kim and Kim (2024). Emotion recognition using EEG signals and audiovisual features with contrastive
        learning. Bioengineering 11, 997.
        [2] Vaswani et al. (2017). Attention is all you need. NeurIPS 30.
    """

    def __init__(self, units=128, n_heads=4, **kwargs):
        super().__init__(**kwargs)
        for argument, value in (("units", units), ("n_heads", n_heads)):
            if value < 1:
                raise ValueError(f"`{argument}` must be 1 or more; received {argument}={value}")
        if units % n_heads:
            raise ValueError(f"`units` must be a multiple of `n_heads`; received units={units}, n_heads={n_heads}")
        self.units = units
        self.n_heads = n_heads

    def build(self, input_shape):
        """Create the weights."""
        if (
            not isinstance(input_shape, (list, tuple))
            or len(input_shape) < 2
            or not all(isinstance(shape, (list, tuple)) and len(shape) == 3 for shape in input_shape)
        ):
            raise ValueError(
                f"`inputs` must be two or more sequences (batch, steps, features); received shapes {input_shape}"
            )
        self.input_spec = [keras.layers.InputSpec(ndim=3, axes={-1: shape[-1]}) for shape in input_shape]
        self.pairs = ordered_pairs(len(input_shape))
        self.attentions = []
        for source, target in self.pairs:
            attention = keras.layers.MultiHeadAttention(
                self.n_heads,
                self.units // self.n_heads,
                use_bias=False,
                output_shape=self.units,
                dtype=self.dtype_policy,
                name=f"attention_{source}_to_{target}",
            )
            attention.build(query_shape=input_shape[target], value_shape=input_shape[source])
            self.attentions.append(attention)

    def call(self, inputs, return_attention_scores=False):
        """Attend and averages; see the class."""
        means, scores = [], []
        for attention, (source, target) in zip(self.attentions, self.pairs, strict=True):
            x = attention(inputs[target], inputs[source], return_attention_scores=return_attention_scores)
            if return_attention_scores:
                x, score = x
                scores.append(score)
            x = ops.mean(ops.cast(x, keras.backend.result_type(x.dtype, "float32")), axis=1)
            means.append(ops.cast(x, self.compute_dtype))
        means = ops.stack(means, axis=1)
        return (means, scores) if return_attention_scores else means

    def compute_output_shape(self, input_shape):
        """Return `(batch, pairs, units)`."""
        return (input_shape[0][0], len(ordered_pairs(len(input_shape))), self.units)

    def get_config(self):
        """Return the constructor arguments for `from_config`."""
        return {**super().get_config(), "units": self.units, "n_heads": self.n_heads}


def ordered_pairs(n_modalities):
    """Return `(source, target)` of every attention: both directions of each pair, towards the earlier one first."""
    return tuple(
        pair
        for first, second in itertools.combinations(range(n_modalities), 2)
        for pair in ((second, first), (first, second))
    )
