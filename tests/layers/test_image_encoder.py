import keras
import numpy as np

from keras_emotion.layers import ImageEncoder


def test_pictures_of_a_sequence_are_encoded_one_by_one():
    rng = np.random.default_rng(0)
    pictures = rng.standard_normal((2, 3, 7, 6, 2)).astype("float32")
    layer = ImageEncoder(filters=(3, 4), units=5)
    together = keras.ops.convert_to_numpy(layer(pictures))
    assert together.shape == (2, 3, 5)
    alone = [keras.ops.convert_to_numpy(layer(pictures[:, frame])) for frame in range(3)]
    np.testing.assert_allclose(together, np.stack(alone, axis=1), rtol=1e-5, atol=1e-6)
    # The place counts, not the content alone.
    flipped = keras.ops.convert_to_numpy(layer(pictures[..., ::-1, :]))
    assert not np.allclose(flipped, together)
