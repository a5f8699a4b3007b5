"""Stacked LSTM with self-attention between its levels."""

import keras
from keras import ops

LEVEL_STATES = ("sum", "each")


class _LevelAttention(keras.layers.Layer):
    """Attention weights of the levels, `(batch, levels)`, from `(batch, levels, units)`: Eq. 3 and 4, in float32.

    In half precision the weights may be indistinguishable.
    """

    def __init__(self, units, **kwargs):
        super().__init__(dtype="float32", **kwargs)
        self.hidden = keras.layers.Dense(units, activation="tanh", dtype="float32", name="hidden")
        self.scores = keras.layers.Dense(1, use_bias=False, dtype="float32", name="scores")

    def build(self, input_shape):
        self.hidden.build((None, input_shape[-1]))
        self.scores.build((None, self.hidden.units))

    def call(self, states):
        # As matrices: XLA cannot compile TensorFlow's gradient of a product of more axes in a loop.
        scores = self.scores(self.hidden(ops.reshape(states, (-1, states.shape[-1]))))
        return ops.softmax(ops.reshape(scores, (-1, states.shape[1])), axis=-1)


@keras.saving.register_keras_serializable(package="keras_emotion")
class HierarchicalLSTMCell(keras.layers.Layer):
    r"""One step of a stacked LSTM with self-attention between the levels, for `keras.layers.RNN`.

    Each level is a `keras.layers.LSTMCell`, whose input is the hidden state of the level below at the same step. The
    states of all levels at a step, `X = (x^{(1)}, ..., x^{(L)})`, hidden or cell states, each with their own weights,
    are weighted by the self-attention of [1] (Eq. 3 to 7):

    $$u = v^\top \tanh(W X + b), \qquad a = \mathrm{softmax}(u), \qquad Y = a X$$

    **Deviations.** Eq. 7 has two readings, and [1] does not state from which states the next step starts:

    - `level_state="sum"` (default): `Y` is one vector, the sum of the weighted states ("dot product"), and every level
      starts the next step from it.
    - `level_state="each"`: each level starts the next step from its own state times its weight. With equal weights the
      states shrink to `1/L` at every step.

    The number of levels, the size of the states and that of the attention are not stated either.

    Args:
        units: size of the states of a level, 1 or more; default 256.
        n_levels: number of levels `L`, 1 or more; default 3.
        level_attention: whether there is attention between the levels; without it (`False`), or with one level, this is
            the common stacked LSTM, and `level_state` and `attention_units` are not used. Default `True`.
        level_state: `"sum"` (default) or `"each"`.
        attention_units: size `d_a` of the attention, 1 or more; default 64.
        **kwargs: `name`, `dtype`, `trainable` of `keras.layers.Layer`.

    Call arguments:
        inputs: `(batch, features)`.
        states: hidden states and cell states of the levels, lowest first, each `(batch, n_levels * units)`; with
            attention the weighted ones.

    Output:
        The hidden state of the top level, with attention the weighted one, `(batch, units)` (the last `units` values of
        the hidden states), and the list of states.

    Numerics: the attention runs in float32 under mixed precision.

    Raises:
        ValueError: an argument is out of its range, or `inputs` is not 2 dimensional.

    Example:
        >>> import numpy as np
        >>> recurrent = keras.layers.RNN(HierarchicalLSTMCell(8, n_levels=2), return_state=True)
        >>> output, hidden, cell = recurrent(np.zeros((5, 4, 3)))
        >>> tuple(output.shape), tuple(hidden.shape), tuple(cell.shape)
        ((5, 8), (5, 16), (5, 16))

    References:
        [1] Wu, Zhang and Zhao (2020). Multimodal fused emotion recognition about expression-EEG interaction and
        collaboration using deep learning. IEEE Access 8, doi:10.1109/ACCESS.2020.3010311.
    """

    def __init__(self, units=256, n_levels=3, level_attention=True, level_state="sum", attention_units=64, **kwargs):
        super().__init__(**kwargs)
        for argument, value in (("units", units), ("n_levels", n_levels), ("attention_units", attention_units)):
            if value < 1:
                raise ValueError(f"`{argument}` must be 1 or more; received {argument}={value}")
        if level_state not in LEVEL_STATES:
            raise ValueError(f"`level_state` must be one of {LEVEL_STATES}; received level_state={level_state!r}")
        self.units = units
        self.n_levels = n_levels
        self.level_attention = level_attention
        self.level_state = level_state
        self.attention_units = attention_units
        self.output_size = units
        self.state_size = [n_levels * units, n_levels * units]
        self.levels = [
            keras.layers.LSTMCell(units, dtype=self.dtype_policy, name=f"level_{number}")
            for number in range(1, n_levels + 1)
        ]
        # One for hidden states and one for cell states.
        self.attentions = []
        if level_attention and n_levels > 1:
            self.attentions = [
                _LevelAttention(attention_units, name=f"{kind}_attention") for kind in ("hidden", "cell")
            ]

    def build(self, input_shape):
        """Create the weights."""
        if len(input_shape) != 2:
            raise ValueError(f"`inputs` must be (batch, features); received shape {tuple(input_shape)}")
        for number, level in enumerate(self.levels):
            level.build(input_shape if number == 0 else (None, self.units))
        for attention in self.attentions:
            attention.build((None, self.n_levels, self.units))

    def call(self, inputs, states):
        """Take one step; see the class."""
        states, _ = self.step(inputs, states)
        states = [ops.cast(state, self.compute_dtype) for state in states]
        return states[0][:, -self.units :], states

    def step(self, inputs, states):
        """Take one step, for a cell around this one.

        Args:
            inputs: as in a call.
            states: as in a call.

        Returns:
            The list of states as in a call, and a list of the weights of hidden and of cell states, `(batch, n_levels)`
            each, float32; empty without attention. Weighted states are float32.
        """
        x, levels = inputs, []
        starts = zip(*(ops.split(state, self.n_levels, axis=-1) for state in states), strict=True)
        for level, start in zip(self.levels, starts, strict=True):
            x, new_states = level(x, list(start))
            levels.append(new_states)
        # Hidden states and cell states, each (batch, levels, units).
        both = [ops.stack(states_of_levels, axis=1) for states_of_levels in zip(*levels, strict=True)]
        weights = []
        if self.attentions:
            both = [ops.cast(state, "float32") for state in both]
            weights = [attention(state) for attention, state in zip(self.attentions, both, strict=True)]
            both = [self._weighted(state, a) for state, a in zip(both, weights, strict=True)]
        return [ops.reshape(state, (-1, self.n_levels * self.units)) for state in both], weights

    def _weighted(self, states, weights):
        weighted = ops.expand_dims(weights, -1) * states
        if self.level_state == "sum":
            # No `ops.repeat`: XLA cannot compile TensorFlow's gradient of it in a loop.
            weighted = ops.stack([ops.sum(weighted, axis=1)] * self.n_levels, axis=1)
        return weighted

    def get_initial_state(self, batch_size=None):
        """Return initial states of zeros, of the sizes of `state_size`, in the compute dtype."""
        return [ops.zeros((batch_size, size), dtype=self.compute_dtype) for size in self.state_size]

    def get_config(self):
        """Return the constructor arguments for `from_config`."""
        return {
            **super().get_config(),
            "units": self.units,
            "n_levels": self.n_levels,
            "level_attention": self.level_attention,
            "level_state": self.level_state,
            "attention_units": self.attention_units,
        }


@keras.saving.register_keras_serializable(package="keras_emotion")
class HierarchicalLSTM(keras.layers.Layer):
    """Stacked LSTM with self-attention between its levels, over whole sequences.

    See `HierarchicalLSTMCell` for the equations and deviations.

    Args:
        units: as `HierarchicalLSTMCell`.
        n_levels: as `HierarchicalLSTMCell`.
        level_attention: as `HierarchicalLSTMCell`.
        level_state: as `HierarchicalLSTMCell`.
        attention_units: as `HierarchicalLSTMCell`.
        return_sequences: whether the output has all steps (`True`) or only the last one; default `False`.
        **kwargs: `name`, `dtype`, `trainable` of `keras.layers.Layer`.

    Call arguments:
        inputs: `(batch, steps, features)`.

    Output:
        The hidden state of the top level, `(batch, steps, units)`, or `(batch, units)` of the last step.

    Numerics: as `HierarchicalLSTMCell`.

    Raises:
        ValueError: an argument is out of its range, or `inputs` is not 3 dimensional.

    Example:
        >>> import numpy as np
        >>> tuple(HierarchicalLSTM(8, n_levels=2, return_sequences=True)(np.zeros((5, 4, 3))).shape)
        (5, 4, 8)
    """

    def __init__(
        self,
        units=256,
        n_levels=3,
        level_attention=True,
        level_state="sum",
        attention_units=64,
        return_sequences=False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        cell = HierarchicalLSTMCell(
            units, n_levels, level_attention, level_state, attention_units, dtype=self.dtype_policy, name="cell"
        )
        self.recurrence = keras.layers.RNN(
            cell, return_sequences=return_sequences, dtype=self.dtype_policy, name="recurrence"
        )

    def build(self, input_shape):
        """Create the weights."""
        if len(input_shape) != 3:
            raise ValueError(f"`inputs` must be (batch, steps, features); received shape {tuple(input_shape)}")
        self.recurrence.build(input_shape)

    def call(self, inputs):
        """Run through the steps; see the class."""
        return self.recurrence(inputs)

    def compute_output_shape(self, input_shape):
        """Return the shape of the output."""
        return self.recurrence.compute_output_shape(input_shape)

    def get_config(self):
        """Return the constructor arguments for `from_config`."""
        cell = self.recurrence.cell
        return {
            **super().get_config(),
            "units": cell.units,
            "n_levels": cell.n_levels,
            "level_attention": cell.level_attention,
            "level_state": cell.level_state,
            "attention_units": cell.attention_units,
            "return_sequences": self.recurrence.return_sequences,
        }
