"""LSTM cell with peephole connections."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_emotion")
class PeepholeLSTMCell(keras.layers.Layer):
    r"""One step of an LSTM with peepholes, for `keras.layers.RNN`.

    Equations 12 to 16 of [1], after [2]:

    $$i_t = \sigma(W_{yi} y_t + W_{hi} h_{t-1} + w_{ci} \odot c_{t-1} + b_i)$$
    $$f_t = \sigma(W_{yf} y_t + W_{hf} h_{t-1} + w_{cf} \odot c_{t-1} + b_f)$$
    $$c_t = f_t \odot c_{t-1} + i_t \odot \tanh(W_{yc} y_t + W_{hc} h_{t-1} + b_c)$$
    $$o_t = \sigma(W_{yo} y_t + W_{ho} h_{t-1} + w_{co} \odot c_t + b_o), \qquad h_t = o_t \odot \tanh(c_t)$$

    The weights are `kernel` (W_y), `recurrent_kernel` (W_h) and `bias` with the gates side by side in the order input,
    forget, cell, output, as in `keras.layers.LSTMCell`, and `peephole` (w_c), `(3, units)`: input, forget, output.

    **Deviations.** [1] leaves the shape of the peepholes open: they are diagonal, one weight per unit, as in [2]. Their
    initialisation is open, too: here zero, so that the cell initially computes the same as `keras.layers.LSTMCell`.

    Args:
        units: size of the state, 1 or more.
        kernel_initializer: initializer of `kernel`.
        recurrent_initializer: initializer of `recurrent_kernel`.
        peephole_initializer: initializer of `peephole`.
        bias_initializer: initializer of `bias`.
        unit_forget_bias: whether the bias of the forget gate starts at one (default), regardless of `bias_initializer`.
        **kwargs: `name`, `dtype`, `trainable` of `keras.layers.Layer`.

    Call arguments:
        inputs: `y_t`, `(batch, features)`.
        states: `h_{t-1}` and `c_{t-1}`, each `(batch, units)`.

    Output:
        `h_t`, `(batch, units)`, and the list of `h_t` and `c_t`.

    Numerics: everything runs in the compute dtype, as in `keras.layers.LSTMCell`.

    Raises:
        ValueError: `units` is below 1, or `inputs` is not 2 dimensional.

    Example:
        >>> import numpy as np
        >>> recurrent = keras.layers.RNN(PeepholeLSTMCell(8), return_sequences=True)
        >>> tuple(recurrent(np.zeros((2, 4, 3))).shape)
        (2, 4, 8)

    References:
        [1] Du, Li, Cheng, Zhang, Li and Li (2024). Attention-based 3D convolutional recurrent neural network model
        for multimodal emotion recognition. Frontiers in Neuroscience 17:1330077.
        [2] Gers, Schraudolph and Schmidhuber (2002). Learning precise timing with LSTM recurrent networks.
        Journal of Machine Learning Research 3.
    """

    def __init__(
        self,
        units,
        kernel_initializer="glorot_uniform",
        recurrent_initializer="orthogonal",
        peephole_initializer="zeros",
        bias_initializer="zeros",
        unit_forget_bias=True,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if units < 1:
            raise ValueError(f"`units` must be 1 or more; received units={units}")
        self.units = units
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.recurrent_initializer = keras.initializers.get(recurrent_initializer)
        self.peephole_initializer = keras.initializers.get(peephole_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.unit_forget_bias = unit_forget_bias
        self.state_size = [units, units]
        self.output_size = units

    def build(self, input_shape):
        """Create the weights."""
        if len(input_shape) != 2:
            raise ValueError(f"`inputs` must be (batch, features); received shape {tuple(input_shape)}")
        units = self.units
        self.kernel = self.add_weight(
            shape=(input_shape[-1], 4 * units), initializer=self.kernel_initializer, name="kernel"
        )
        self.recurrent_kernel = self.add_weight(
            shape=(units, 4 * units), initializer=self.recurrent_initializer, name="recurrent_kernel"
        )
        self.peephole = self.add_weight(shape=(3, units), initializer=self.peephole_initializer, name="peephole")

        def bias_with_open_forget_gate(shape, dtype=None):
            values = self.bias_initializer(shape, dtype=dtype)
            return ops.concatenate([values[:units], ops.ones((units,), dtype=values.dtype), values[2 * units :]])

        self.bias = self.add_weight(
            shape=(4 * units,),
            initializer=bias_with_open_forget_gate if self.unit_forget_bias else self.bias_initializer,
            name="bias",
        )

    def call(self, inputs, states):
        """Take one step; see the class."""
        previous_output, previous_cell = states
        gates = ops.matmul(inputs, self.kernel) + ops.matmul(previous_output, self.recurrent_kernel) + self.bias
        input_gate, forget_gate, candidate, output_gate = ops.split(gates, 4, axis=-1)
        input_gate = ops.sigmoid(input_gate + self.peephole[0] * previous_cell)
        forget_gate = ops.sigmoid(forget_gate + self.peephole[1] * previous_cell)
        cell = forget_gate * previous_cell + input_gate * ops.tanh(candidate)
        output = ops.sigmoid(output_gate + self.peephole[2] * cell) * ops.tanh(cell)
        return output, [output, cell]

    def get_initial_state(self, batch_size=None):
        """Return initial states of zeros, each `(batch_size, units)`, in the compute dtype."""
        return [ops.zeros((batch_size, size), dtype=self.compute_dtype) for size in self.state_size]

    def get_config(self):
        """Return the constructor arguments for `from_config`."""
        return {
            **super().get_config(),
            "units": self.units,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "recurrent_initializer": keras.initializers.serialize(self.recurrent_initializer),
            "peephole_initializer": keras.initializers.serialize(self.peephole_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
            "unit_forget_bias": self.unit_forget_bias,
        }
