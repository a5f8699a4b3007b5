import keras
import numpy as np
import pytest

from keras_emotion.layers import MultimodalLSTM


def built(rng, shapes, units=4):
    layer = MultimodalLSTM(units)
    layer.build(list(shapes))
    layer.set_weights([0.5 * rng.standard_normal(weight.shape) for weight in layer.get_weights()])
    inputs = [rng.standard_normal(shape).astype("float32") for shape in shapes]
    return layer, inputs


def arrays(tensors):
    return [keras.ops.convert_to_numpy(tensor) for tensor in tensors]


@pytest.mark.parametrize("n_features", [(3,), (3, 6), (5, 2, 7)])
def test_each_modality_is_an_lstm_of_keras_with_the_shared_weights(n_features):
    layer, inputs = built(np.random.default_rng(0), [(2, 5, n) for n in n_features])
    for sequence, kernel, bias, output in zip(inputs, layer.kernels, layer.biases, arrays(layer(inputs)), strict=True):
        lstm = keras.layers.LSTM(4, return_sequences=True)
        lstm.build(sequence.shape)
        lstm.set_weights(arrays([kernel, layer.recurrent_kernel, bias]))
        np.testing.assert_allclose(output, keras.ops.convert_to_numpy(lstm(sequence)), rtol=1e-4, atol=1e-6)


def test_hand_computed_steps():
    layer = MultimodalLSTM(1)
    layer.build([(None, 2, 1), (None, 2, 1)])
    zeros = np.zeros((1, 4))
    # Of the first modality only the candidate sees its input; of the second nothing does. The recurrent kernel takes
    # the output into the candidate.
    layer.kernels[0].assign([[0, 0, 1, 0]])
    layer.kernels[1].assign(zeros)
    for bias in layer.biases:
        bias.assign(zeros[0])
    layer.recurrent_kernel.assign([[0, 0, 2, 0]])
    first, second = arrays(layer([np.array([[[1.0], [0.0]]]), np.array([[[5.0], [5.0]]])]))
    cell = 0.5 * np.tanh(1)
    output = 0.5 * np.tanh(cell)
    next_cell = 0.5 * cell + 0.5 * np.tanh(2 * output)
    np.testing.assert_allclose(first[0, :, 0], [output, 0.5 * np.tanh(next_cell)], rtol=1e-5)
    np.testing.assert_array_equal(second, 0)


def test_modalities_do_not_see_each_other_but_learn_one_recurrence():
    layer, (first, second) = built(np.random.default_rng(1), [(2, 5, 3), (2, 5, 6)])
    alone = arrays(layer([first, second]))[0]
    np.testing.assert_array_equal(arrays(layer([first, 10 * second]))[0], alone)
    # One matrix: 4 x 16, however many modalities.
    assert [weight.shape for weight in layer.weights if "recurrent" in weight.name] == [(4, 16)]


def test_forget_gates_start_open():
    layer = MultimodalLSTM(2)
    layer.build([(None, 4, 3), (None, 4, 5)])
    for bias in arrays(layer.biases):
        np.testing.assert_array_equal(bias, [0, 0, 1, 1, 0, 0, 0, 0])
