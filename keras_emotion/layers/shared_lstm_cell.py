"""LSTM cell shared by several sequences."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_emotion")
class SharedLSTMCell(keras.layers.Layer):
    """One step of an LSTM for several sequences that share all weights, for `keras.layers.RNN`.

    The glimpse layer of [1]: "two LSTMs with shared parameters", one per modality, whose outputs are concatenated. Each
    sequence has its own hidden and cell states; the weights are those of one `keras.layers.LSTMCell`.

    Args:
        units: size of the states of a sequence, 1 or more.
        n_sequences: number of sequences, 1 or more; default 2.
        **kwargs: `name`, `dtype`, `trainable` of `keras.layers.Layer`.

    Call arguments:
        inputs: `(batch, n_sequences * features)`, concatenated sequences.
        states: hidden states and cell states, each `(batch, n_sequences * units)`, in the same order.

    Output:
        The hidden states `(batch, n_sequences * units)`, and the list of both states.

    Numerics: everything runs in the compute dtype, as in `keras.layers.LSTMCell`.

    Raises:
        ValueError: an argument is below 1, or `inputs` is not `(batch, n_sequences * features)`.

    Example:
        >>> import numpy as np
        >>> tuple(keras.layers.RNN(SharedLSTMCell(8))(np.zeros((3, 5, 2 * 4))).shape)
        (3, 16)

    References:
        [1] Wu, Zhang and Zhao (2020). Multimodal fused emotion recognition about expression-EEG interaction and
        collaboration using deep learning. IEEE Access 8, doi:10.1109/ACCESS.2020.3010311.
    """

    def __init__(self, units, n_sequences=2, **kwargs):
        super().__init__(**kwargs)
        for argument, value in (("units", units), ("n_sequences", n_sequences)):
            if value < 1:
                raise ValueError(f"`{argument}` must be 1 or more; received {argument}={value}")
        self.units = units
        self.n_sequences = n_sequences
        self.output_size = n_sequences * units
        self.state_size = [self.output_size, self.output_size]
        self.cell = keras.layers.LSTMCell(units, dtype=self.dtype_policy, name="lstm_cell")

    def build(self, input_shape):
        """Create the weights."""
        if len(input_shape) != 2 or input_shape[1] % self.n_sequences:
            raise ValueError(
                f"`inputs` must be (batch, {self.n_sequences} * features); received shape {tuple(input_shape)}"
            )
        self.n_features = input_shape[1] // self.n_sequences
        self.cell.build((None, self.n_features))

    def call(self, inputs, states):
        """Take one step; see the class."""
        # Shared weights treat the sequences as additional samples.
        x = ops.reshape(inputs, (-1, self.n_features))
        _, new_states = self.cell(x, [ops.reshape(state, (-1, self.units)) for state in states])
        new_states = [ops.reshape(state, (-1, self.output_size)) for state in new_states]
        return new_states[0], new_states

    def get_initial_state(self, batch_size=None):
        """Return initial states of zeros, each `(batch_size, n_sequences * units)`, in the compute dtype."""
        return [ops.zeros((batch_size, size), dtype=self.compute_dtype) for size in self.state_size]

    def get_config(self):
        """Return the constructor arguments for `from_config`."""
        return {**super().get_config(), "units": self.units, "n_sequences": self.n_sequences}
