import keras
import numpy as np
import pytest

from keras_emotion.layers import HierarchicalLSTM, HierarchicalLSTMCell


def sigmoid(values):
    return 1 / (1 + np.exp(-values))


def softmax(values):
    exponentials = np.exp(values)
    return exponentials / exponentials.sum()


def perturbed(layer, shape, seed=0):
    rng = np.random.default_rng(seed)
    layer.build(shape)
    layer.set_weights([weight + rng.standard_normal(weight.shape) for weight in layer.get_weights()])
    return layer, rng.standard_normal(shape).astype("float32")


def by_loops(layer, sequence, level_state):
    """Top states of one `(steps, features)` sequence, Eq. 3-7."""
    cell = layer.recurrence.cell
    levels = [[np.asarray(weight.value, "float64") for weight in level.weights] for level in cell.levels]
    attentions = [[np.asarray(weight.value, "float64") for weight in one.weights] for one in cell.attentions]
    states = np.zeros((2, len(levels), cell.units))
    tops = []
    for x in sequence:
        for number, (kernel, recurrent_kernel, bias) in enumerate(levels):
            hidden, memory = states[:, number]
            i, f, g, o = np.split(x @ kernel + hidden @ recurrent_kernel + bias, 4)
            memory = sigmoid(f) * memory + sigmoid(i) * np.tanh(g)
            x = sigmoid(o) * np.tanh(memory)
            states[:, number] = x, memory
        for number, (kernel, bias, v) in enumerate(attentions):
            a = softmax(np.array([v[:, 0] @ np.tanh(state @ kernel + bias) for state in states[number]]))
            if level_state == "sum":
                states[number] = sum(weight * state for weight, state in zip(a, states[number], strict=True))
            else:
                states[number] = [weight * state for weight, state in zip(a, states[number], strict=True)]
        tops.append(states[0, -1].copy())
    return np.array(tops)


@pytest.mark.parametrize("level_attention", [True, False])
@pytest.mark.parametrize("level_state", ["sum", "each"])
@pytest.mark.parametrize("n_levels", [1, 3])
def test_values_against_loops(n_levels, level_state, level_attention):
    layer = HierarchicalLSTM(4, n_levels, level_attention, level_state, attention_units=3, return_sequences=True)
    layer, sequences = perturbed(layer, (2, 5, 3))
    expected = [by_loops(layer, sequence.astype("float64"), level_state) for sequence in sequences]
    np.testing.assert_allclose(keras.ops.convert_to_numpy(layer(sequences)), expected, rtol=1e-4, atol=1e-6)


def test_without_attention_it_is_the_stacked_lstm_of_keras():
    layer, sequences = perturbed(HierarchicalLSTM(4, 2, level_attention=False), (2, 5, 3))
    theirs = keras.Sequential([keras.layers.LSTM(4, return_sequences=True), keras.layers.LSTM(4)])
    theirs.build(sequences.shape)
    theirs.set_weights(layer.get_weights())
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(layer(sequences)),
        keras.ops.convert_to_numpy(theirs(sequences)),
        rtol=1e-5,
        atol=1e-6,
    )


@pytest.mark.parametrize(("level_state", "share"), [("sum", 1.0), ("each", 1 / 3)])
def test_equal_weights_keep_the_state_or_shrink_it_to_its_share(level_state, share):
    """With scores of zero, three levels of weight 1/3; all levels the same state by weights of zero."""
    cell = HierarchicalLSTMCell(2, 3, level_state=level_state)
    cell.build((None, 1))
    cell.set_weights([0 * weight for weight in cell.get_weights()])
    states = [np.zeros((1, 6), "float32"), np.ones((1, 6), "float32")]
    _, (_, after) = cell(np.zeros((1, 1), "float32"), states)
    # A forget gate of sigmoid(0) halves the cell state.
    np.testing.assert_allclose(keras.ops.convert_to_numpy(after), np.full((1, 6), 0.5 * share), rtol=1e-6)
