import keras
import numpy as np

from keras_emotion.layers import SharedLSTMCell


def test_each_sequence_goes_through_the_same_lstm():
    rng = np.random.default_rng(0)
    sequences = rng.standard_normal((2, 5, 3, 4)).astype("float32")
    ours = keras.layers.RNN(SharedLSTMCell(6, 3), return_sequences=True)
    theirs = keras.layers.LSTM(6, return_sequences=True)
    theirs.build((2, 5, 4))
    flat = sequences.reshape(2, 5, 12)
    ours.build(flat.shape)
    weights = [rng.standard_normal(weight.shape) for weight in theirs.get_weights()]
    ours.set_weights(weights)
    theirs.set_weights(weights)
    expected = [keras.ops.convert_to_numpy(theirs(sequences[:, :, one])) for one in range(3)]
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(ours(flat)), np.concatenate(expected, axis=-1), rtol=1e-4, atol=1e-6
    )
