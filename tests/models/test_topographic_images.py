"""The network's topographic images equal those computed with NumPy."""

import keras
import numpy as np
import pytest

from keras_emotion.models import TopographicImages
from keras_emotion.pipelines import BandStatistics
from keras_emotion.schema import InputError
from keras_emotion.signals import electrode_directions, image_matrix, to_images

NAMES = ("Fp1", "Fp2", "Fz", "T7", "Cz", "T8", "O1", "O2")


def powers(n=6):
    values = np.random.default_rng(0).standard_normal((n, 4, len(NAMES), 3)) * [1, 3, 0.1] - [0, 20, -5]
    # Frames without any power.
    values[1, 2, :3] = np.log(np.finfo(np.float32).tiny)
    return values.astype(np.float32)


def test_images_of_training_statistics():
    values = powers()
    layer = TopographicImages(NAMES, image_size=9)
    plain = keras.ops.convert_to_numpy(layer(values))
    # Unchanged, before statistics are set.
    matrix = image_matrix(NAMES, image_size=9)
    np.testing.assert_allclose(plain, to_images(np.swapaxes(values, 2, 3), matrix), rtol=1e-4, atol=1e-4)
    statistics = BandStatistics.fit(values, np.arange(4))
    layer.set_statistics(statistics.floor, statistics.mean, statistics.standard_deviation)
    expected = to_images(np.swapaxes(statistics(values), 2, 3), matrix)
    assert expected.shape == (6, 4, 3, 9, 9)
    found = keras.ops.convert_to_numpy(layer(values))
    np.testing.assert_allclose(found, expected, atol=1e-4)
    np.testing.assert_array_equal(found[..., 0, 0], 0)
    # A band that is constant in the training set.
    layer.set_statistics(statistics.floor, statistics.mean, [1, 1, 0])
    assert not keras.ops.convert_to_numpy(layer(values))[:, :, 2].any()


def test_under_mixed_precision_only_the_result_is_rounded():
    # Of -20 and a spread of 0.1, bfloat16 would keep nothing.
    values = (0.1 * powers() - 20).astype(np.float32)
    images = []
    for policy in ("float32", "mixed_bfloat16", "bfloat16"):
        layer = TopographicImages(NAMES, image_size=5, dtype=policy)
        layer.build(values.shape)
        layer.set_statistics([-30] * 3, [-20.03] * 3, [0.1] * 3)
        images.append(keras.ops.cast(layer(values), "bfloat16"))
    assert np.abs(keras.ops.convert_to_numpy(keras.ops.cast(images[0], "float32"))).max() > 1
    for found in images[1:]:
        assert keras.ops.convert_to_numpy(keras.ops.all(found == images[0]))


def test_a_saved_model_carries_statistics_and_interpolation(tmp_path):
    directions = electrode_directions(NAMES)
    directions[:, 1] += 0.1
    given = [None, *directions[1:]]
    inputs = keras.Input((4, len(NAMES), 3))
    layer = TopographicImages(NAMES, given, image_size=5)
    model = keras.Model(inputs, layer(inputs))
    layer.set_statistics([-3, -30, 4], [0, -20, 5], [1, 3, 0.1])
    layer.matrix.assign(layer.matrix * 2)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(powers()), model(powers()))
    assert loaded.layers[1].directions == layer.directions
    assert (layer.directions[0], layer.directions[1]) == (None, directions[1].tolist())
    assert np.abs(model(powers())).max() > 1


@pytest.mark.parametrize(
    ("statistics", "message"),
    [
        (([0, 0], [0, 0, 0], [1, 1, 1]), r"`floor` must have shape \(3,\); received shape \(2,\)"),
        (([0, 0, 0], [0, np.nan, 0], [1, 1, 1]), "`mean` must be finite; received nan"),
        (([0, 0, 0], [0, 0, 0], [1, -1, 1]), "`standard_deviation` must not be negative; received -1"),
    ],
)
def test_statistics_that_cannot_be_used(statistics, message):
    layer = TopographicImages(NAMES, image_size=5)
    layer.build((None, 4, len(NAMES), 3))
    with pytest.raises(ValueError, match=message):
        layer.set_statistics(*statistics)


def test_electrodes_without_a_place():
    with pytest.raises(InputError, match="electrodes without a position on the head: GSR1, Temp"):
        TopographicImages(("Fz", "GSR1", "Cz", "C3", "Temp"))
