import keras
import numpy as np

from keras_emotion.layers import EEGConformerConvolution


def test_output_is_the_sum_of_the_equations():
    rng = np.random.default_rng(0)
    layer = EEGConformerConvolution(filters=3, kernel_size=4, pool_size=5, pool_stride=2)
    x = rng.standard_normal((2, 13, 6, 2)).astype("float32")
    layer.build(x.shape)
    weights = [rng.standard_normal(weight.shape) for weight in layer.get_weights()]
    weights[5] = np.abs(weights[5])
    layer.set_weights(weights)
    temporal, spatial, scale, shift, mean, variance, dense, bias = weights
    filtered = np.zeros((2, 10, 3))
    for step in range(10):
        for lag in range(4):
            for channel in range(6):
                filtered[:, step] += x[:, step + lag, channel] @ temporal[lag, 0] @ spatial[0, channel]
    normalized = (filtered - mean) / np.sqrt(variance + 1e-3) * scale + shift
    activated = np.where(normalized > 0, normalized, np.expm1(normalized))
    # Ten steps: means over steps 0 to 4, 2 to 6 and 4 to 8.
    means = np.stack([activated[:, first : first + 5].mean(axis=1) for first in (0, 2, 4)], axis=1)
    found = keras.ops.convert_to_numpy(layer(x))
    np.testing.assert_allclose(found, means @ dense + bias, rtol=1e-4, atol=1e-4)


def test_steps_of_four_seconds():
    raw = EEGConformerConvolution()
    assert raw.compute_output_shape((None, 512, 32, 1)) == (None, 28, 40)
    powers = EEGConformerConvolution(kernel_size=5, pool_size=3, pool_stride=2)
    assert powers.compute_output_shape((None, 25, 32, 5)) == (None, 10, 40)
    # Any number of steps, the fewest included.
    assert tuple(powers(keras.KerasTensor((None, None, 4, 5))).shape) == (None, None, 40)
    assert powers(np.zeros((1, 7, 4, 5))).shape == (1, 1, 40)
