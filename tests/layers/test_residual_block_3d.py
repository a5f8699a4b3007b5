import keras
import numpy as np
import pytest
from scipy.ndimage import correlate

from keras_emotion.layers import ResidualBlock3D


def array(tensor):
    return keras.ops.convert_to_numpy(tensor)


def block_with_random_weights(rng, shape, filters):
    block = ResidualBlock3D(filters)
    block.build(shape)
    block.set_weights([rng.standard_normal(weight.shape) for weight in block.weights])
    weights = zip((weight.path for weight in block.weights), block.get_weights(), strict=True)
    return block, {path.partition("/")[2]: values.astype("float64") for path, values in weights}


def convolution_of_scipy(maps, kernel, bias):
    """`(time, rows, columns, channels)`, correlated channel by channel, zeros around."""
    outputs = np.zeros((*maps.shape[:-1], len(bias))) + bias
    for channel, output in np.ndindex(kernel.shape[3:]):
        outputs[..., output] += correlate(maps[..., channel], kernel[..., channel, output], mode="constant")
    return outputs


@pytest.mark.parametrize(
    ("shape", "filters"),
    [((2, 4, 5, 3, 2), 3), ((2, 4, 5, 3, 2), 2), ((1, 1, 1, 1, 1), 1), ((2, 2, 3, 3, 1), 4)],
)
def test_values_against_scipy(shape, filters):
    rng = np.random.default_rng(filters)
    block, weights = block_with_random_weights(rng, shape, filters)
    maps = rng.standard_normal(shape)
    assert (block.projection is None) == (shape[-1] == filters)
    expected = []
    for sample in maps:
        hidden = np.maximum(
            convolution_of_scipy(sample, weights["convolution_1/kernel"], weights["convolution_1/bias"]), 0
        )
        x = convolution_of_scipy(hidden, weights["convolution_2/kernel"], weights["convolution_2/bias"])
        skipped = sample if block.projection is None else sample @ weights["projection/kernel"][0, 0, 0]
        expected.append(np.maximum(x + skipped, 0))
    outputs = array(block(maps))
    assert (outputs == 0).any() or filters == 1
    np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-4)


def test_hand_computed_case():
    block = ResidualBlock3D(1)
    block.build((None, 3, 1, 1, 1))
    # Each convolution takes the next step, the first twice it less 1, the second minus it plus 1.
    following = np.zeros((3, 3, 3, 1, 1))
    following[2, 1, 1] = 1
    block.set_weights([2 * following, np.array([-1.0]), -following, np.array([1.0])])
    # First: relu(2 * (2, 4, 0) - 1) = (3, 7, 0). Second: 1 - (7, 0, 0). Sum with (1, 2, 4): (-5, 3, 5).
    outputs = array(block(np.array([1.0, 2.0, 4.0]).reshape(1, 3, 1, 1, 1)))
    np.testing.assert_allclose(outputs.ravel(), [0, 3, 5])


def test_without_convolutions_the_input_passes():
    block = ResidualBlock3D(2)
    maps = np.random.default_rng(0).standard_normal((1, 2, 3, 3, 2)).astype("float32")
    block.build(maps.shape)
    block.set_weights([np.zeros(weight.shape) for weight in block.weights])
    np.testing.assert_array_equal(array(block(maps)), np.maximum(maps, 0))


def test_an_output_depends_on_two_positions_on_each_side():
    rng = np.random.default_rng(1)
    block, _ = block_with_random_weights(rng, (None, 7, 7, 7, 1), 8)
    maps = rng.standard_normal((1, 7, 7, 7, 1))
    changed = maps.copy()
    changed[0, 3, 3, 3] += 10
    differs = (array(block(maps)) != array(block(changed)))[0].any(axis=-1)
    places = np.argwhere(differs)
    np.testing.assert_array_equal(places.min(axis=0), [1, 1, 1])
    np.testing.assert_array_equal(places.max(axis=0), [5, 5, 5])
