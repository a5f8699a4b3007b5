"""LSTM of several modalities with shared recurrent weights."""

import keras
from keras import ops


class _Recurrence(keras.layers.Layer):
    """One step of an LSTM whose inputs are already multiplied by kernel and bias, for `keras.layers.RNN`."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.state_size = [units, units]
        self.output_size = units

    def build(self, input_shape):
        units = self.output_size
        self.recurrent_kernel = self.add_weight(
            shape=(units, 4 * units), initializer="orthogonal", name="recurrent_kernel"
        )

    def call(self, inputs, states):
        previous_output, previous_cell = states
        gates = inputs + ops.matmul(previous_output, self.recurrent_kernel)
        input_gate, forget_gate, candidate, output_gate = ops.split(gates, 4, axis=-1)
        cell = ops.sigmoid(forget_gate) * previous_cell + ops.sigmoid(input_gate) * ops.tanh(candidate)
        output = ops.sigmoid(output_gate) * ops.tanh(cell)
        return output, [output, cell]

    def get_initial_state(self, batch_size=None):
        return [ops.zeros((batch_size, size), dtype=self.compute_dtype) for size in self.state_size]


@keras.saving.register_keras_serializable(package="keras_emotion")
class MultimodalLSTM(keras.layers.Layer):
    r"""An LSTM for each modality, with separate input weights and shared recurrent weights.

    The multimodal LSTM of [1] and [2], for each modality `s`:

    $$i^s_t = \sigma(W^s_i x^s_t + U_i h^s_{t-1} + b^s_i), \quad f^s_t = \sigma(W^s_f x^s_t + U_f h^s_{t-1} + b^s_f)$$
    $$g^s_t = \tanh(W^s_g x^s_t + U_g h^s_{t-1} + b^s_g), \quad o^s_t = \sigma(W^s_o x^s_t + U_o h^s_{t-1} + b^s_o)$$
    $$c^s_t = f^s_t \odot c^s_{t-1} + i^s_t \odot g^s_t, \quad h^s_t = o^s_t \odot \tanh(c^s_t)$$

    The modalities have separate states; only the recurrence is shared. The weights are, with the gates side by side in
    the order input, forget, cell, output, `kernels` (W) and `biases` (b), one per modality, and `recurrent_kernel` (U).
    For a single modality this is `keras.layers.LSTM`.

    **Deviations.** [1] and [2] share "weights across modalities": here the recurrent ones, because modalities differ in
    the number of features. Initialisation is that of `keras.layers.LSTM`, with the bias of the forget gate at 1.

    Args:
        units: size of the states, 1 or more.
        **kwargs: `name`, `dtype`, `trainable` of `keras.layers.Layer`.

    Call arguments:
        inputs: a list of `x^s`, `(batch, steps, features)` each; the features may differ in number.

    Output:
        A list of `h^s`, `(batch, steps, units)` each, in the order of the inputs.

    Numerics: everything runs in the compute dtype, as in `keras.layers.LSTM`.

    Raises:
        ValueError: `units` is below 1, or `inputs` is not a list of 3 dimensional arrays with equally many steps.

    Example:
        >>> import numpy as np
        >>> eeg, face = MultimodalLSTM(8)([np.zeros((2, 4, 10)), np.zeros((2, 4, 3))])
        >>> tuple(eeg.shape), tuple(face.shape)
        ((2, 4, 8), (2, 4, 8))

    References:
        [1] Ren, Hu, Tai, Wang, Xu, Sun and Yan (2016). Look, listen and learn: a multimodal LSTM for speaker
        identification. AAAI.
        [2] Ma, Tang, Zheng and Lu (2019). Emotion recognition using multimodal residual LSTM network. ACM
        Multimedia, 176-183.
    """

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        if units < 1:
            raise ValueError(f"`units` must be 1 or more; received units={units}")
        self.units = units
        self.recurrence = keras.layers.RNN(
            _Recurrence(units, dtype=self.dtype_policy),
            return_sequences=True,
            dtype=self.dtype_policy,
            name="recurrence",
        )

    def build(self, input_shape):
        """Create the weights."""
        if (
            not isinstance(input_shape, list)
            or any(len(shape) != 3 for shape in input_shape)
            or len({shape[1] for shape in input_shape}) != 1
        ):
            raise ValueError(
                "`inputs` must be a list of (batch, steps, features) with equally many steps; "
                f"received shape {input_shape}"
            )
        units = self.units

        def bias_with_open_forget_gate(shape, dtype=None):
            return ops.concatenate([ops.full((units,), value, dtype=dtype) for value in (0, 1, 0, 0)])

        self.kernels, self.biases = [], []
        for number, shape in enumerate(input_shape, start=1):
            self.kernels.append(
                self.add_weight(shape=(shape[-1], 4 * units), initializer="glorot_uniform", name=f"kernel_{number}")
            )
            self.biases.append(
                self.add_weight(shape=(4 * units,), initializer=bias_with_open_forget_gate, name=f"bias_{number}")
            )
        self.recurrence.build((None, input_shape[0][1], 4 * units))

    @property
    def recurrent_kernel(self):
        """Shared recurrent weights `U`, `(units, 4 units)`."""
        return self.recurrence.cell.recurrent_kernel

    def call(self, inputs):
        """Run through the steps; see the class."""
        n_steps = inputs[0].shape[1]
        gates = [
            ops.matmul(sequence, kernel) + bias
            for sequence, kernel, bias in zip(inputs, self.kernels, self.biases, strict=True)
        ]
        # Shared weights treat the modalities as additional samples.
        stacked = ops.reshape(ops.stack(gates, axis=1), (-1, n_steps, 4 * self.units))
        outputs = ops.reshape(self.recurrence(stacked), (-1, len(gates), n_steps, self.units))
        return [outputs[:, modality] for modality in range(len(gates))]

    def compute_output_shape(self, input_shape):
        """Return the shapes of the outputs."""
        return [(*shape[:-1], self.units) for shape in input_shape]

    def get_config(self):
        """Return the constructor arguments for `from_config`."""
        return {**super().get_config(), "units": self.units}
