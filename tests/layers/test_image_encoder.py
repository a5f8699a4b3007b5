import keras
import numpy as np

from keras_emotion.layers import ImageEncoder


def test_pictures_of_a_sequence_are_encoded_one_by_one():
    rng = np.random.default_rng(0)
    pictures = rng.standard_normal((2, 3, 7, 6, 2)).astype("float32")
    layer = ImageEncoder(filters=(3, 4), units=5)
    convolution = {"kernel_size": 3, "strides": 2, "padding": "same", "activation": "relu"}
    theirs = keras.Sequential(
        [
            keras.layers.Conv2D(3, **convolution),
            keras.layers.Conv2D(4, **convolution),
            keras.layers.Flatten(),
            keras.layers.Dense(5, activation="relu"),
        ]
    )
    layer.build(pictures.shape)
    theirs.build((None, 7, 6, 2))
    theirs.set_weights(layer.get_weights())
    expected = [keras.ops.convert_to_numpy(theirs(pictures[:, frame])) for frame in range(3)]
    assert np.any(expected)
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(layer(pictures)), np.stack(expected, axis=1), rtol=1e-5, atol=1e-6
    )
