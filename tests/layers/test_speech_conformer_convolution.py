import keras
import numpy as np
import pytest

from keras_emotion.layers import SpeechConformerConvolution


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("kernel_size", [3, 4])
def test_output_is_that_of_the_equations(kernel_size):
    rng = np.random.default_rng(0)
    layer = SpeechConformerConvolution(units=3, kernel_size=kernel_size, expansion=2)
    x = rng.standard_normal((2, 6, 4, 2)).astype("float32")
    layer.build(x.shape)
    weights = {weight.path: rng.standard_normal(weight.shape) for weight in layer.weights}
    for path, values in weights.items():
        if "variance" in path:
            weights[path] = np.abs(values)
    layer.set_weights(list(weights.values()))
    given = {path.partition("/")[2]: values for path, values in weights.items()}

    def dense(name, x):
        return x @ given[f"{name}/kernel"] + given[f"{name}/bias"]

    def layer_normalization(name, x):
        centred = x - x.mean(axis=-1, keepdims=True)
        scale = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-3)
        return centred / scale * given[f"{name}/gamma"] + given[f"{name}/beta"]

    def feed_forward(number, x):
        hidden = dense(
            f"feed_forward_{number}_expansion", layer_normalization(f"feed_forward_{number}_normalization", x)
        )
        return dense(f"feed_forward_{number}_projection", hidden * sigmoid(hidden))

    y = dense("input_projection", x.reshape(2, 6, 8))
    y = y + feed_forward(1, y) / 2
    expanded = dense("convolution_expansion", layer_normalization("convolution_normalization", y))
    gated = expanded[..., :3] * sigmoid(expanded[..., 3:])
    before = (kernel_size - 1) // 2
    padded = np.pad(gated, ((0, 0), (before, kernel_size - 1 - before), (0, 0)))
    kernel = given["depthwise_convolution/kernel"][..., 0]
    convolved = sum(kernel[lag] * padded[:, lag : lag + 6] for lag in range(kernel_size))
    of_batch = [given[f"batch_normalization/{name}"] for name in ("gamma", "beta", "moving_mean", "moving_variance")]
    normalized = (convolved - of_batch[2]) / np.sqrt(of_batch[3] + 1e-3) * of_batch[0] + of_batch[1]
    y = y + dense("convolution_projection", normalized * sigmoid(normalized))
    y = layer_normalization("normalization", y + feed_forward(2, y) / 2)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(layer(x)), y, rtol=1e-3, atol=1e-4)


def test_any_number_of_steps():
    layer = SpeechConformerConvolution()
    assert tuple(layer(keras.KerasTensor((None, None, 4, 5))).shape) == (None, None, 40)
    assert layer(np.zeros((2, 7, 4, 5))).shape == (2, 7, 40)
