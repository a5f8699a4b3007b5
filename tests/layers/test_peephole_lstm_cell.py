import keras
import numpy as np

from keras_emotion.layers import PeepholeLSTMCell


def sigmoid(values):
    return 1 / (1 + np.exp(-values))


def recurrence_by_loops(sequence, kernel, recurrent_kernel, peephole, bias):
    """Eq. 12-16 for one `(steps, features)` sequence, unit by unit."""
    units = peephole.shape[1]
    output, cell = np.zeros(units), np.zeros(units)
    outputs = []
    for inputs in sequence:
        total = inputs @ kernel + output @ recurrent_kernel + bias
        new_output, new_cell = np.empty(units), np.empty(units)
        for unit in range(units):
            input_sum, forget_sum, candidate_sum, output_sum = total[unit::units]
            input_gate = sigmoid(input_sum + peephole[0, unit] * cell[unit])
            forget_gate = sigmoid(forget_sum + peephole[1, unit] * cell[unit])
            new_cell[unit] = forget_gate * cell[unit] + input_gate * np.tanh(candidate_sum)
            output_gate = sigmoid(output_sum + peephole[2, unit] * new_cell[unit])
            new_output[unit] = output_gate * np.tanh(new_cell[unit])
        output, cell = new_output, new_cell
        outputs.append(output)
    return np.array(outputs)


def test_values_against_loops():
    rng = np.random.default_rng(0)
    sequences = rng.standard_normal((3, 6, 4)).astype("float32")
    layer = keras.layers.RNN(PeepholeLSTMCell(5), return_sequences=True)
    layer.build(sequences.shape)
    layer.set_weights([rng.standard_normal(weight.shape) for weight in layer.get_weights()])
    values = [weight.astype("float64") for weight in layer.get_weights()]
    named = dict(zip((weight.name for weight in layer.weights), values, strict=True))
    order = ["kernel", "recurrent_kernel", "peephole", "bias"]
    expected = [recurrence_by_loops(sequence, *(named[name] for name in order)) for sequence in sequences]
    np.testing.assert_allclose(keras.ops.convert_to_numpy(layer(sequences)), expected, rtol=1e-4, atol=1e-6)


def test_without_peepholes_it_is_the_lstm_of_keras():
    rng = np.random.default_rng(1)
    sequences = rng.standard_normal((3, 6, 4)).astype("float32")
    ours = keras.layers.RNN(PeepholeLSTMCell(5), return_sequences=True)
    theirs = keras.layers.LSTM(5, return_sequences=True)
    ours.build(sequences.shape)
    theirs.build(sequences.shape)
    # The peepholes start at zero; all other weights have the names and the layout of Keras.
    kernel, recurrent_kernel, peephole, bias = ours.get_weights()
    assert not peephole.any()
    bias = bias + rng.standard_normal(bias.shape)
    ours.set_weights([kernel, recurrent_kernel, peephole, bias])
    theirs.set_weights([kernel, recurrent_kernel, bias])
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(ours(sequences)), keras.ops.convert_to_numpy(theirs(sequences)), rtol=1e-5, atol=1e-6
    )


def test_hand_computed_step():
    cell = PeepholeLSTMCell(1)
    cell.build((None, 1))
    # No input reaches the gates: they see the cell state (ln 3) through peepholes of 1, -1 and 2, biases being zero.
    cell.set_weights([np.zeros((1, 4)), np.zeros((1, 4)), np.array([[1.0], [-1.0], [2.0]]), np.zeros(4)])
    output, (_, new_cell) = cell(np.ones((1, 1)), [np.ones((1, 1)), np.full((1, 1), np.log(3.0))])
    # forget gate sigmoid(-ln 3) = 1/4; the candidate tanh(0) is 0; so c = ln(3) / 4.
    expected = np.log(3.0) / 4
    np.testing.assert_allclose(keras.ops.convert_to_numpy(new_cell), [[expected]], rtol=1e-6)
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(output), [[sigmoid(2 * expected) * np.tanh(expected)]], rtol=1e-6
    )


def test_forget_gate_starts_open():
    for unit_forget_bias, expected in ((True, [0, 0, 1, 1, 0, 0, 0, 0]), (False, [0] * 8)):
        cell = PeepholeLSTMCell(2, unit_forget_bias=unit_forget_bias)
        cell.build((None, 3))
        np.testing.assert_array_equal(cell.get_weights()[-1], expected)
