import keras
import numpy as np
import pytest
from scipy.signal import correlate

from keras_emotion.layers import ConvLSTM2D


def array(tensor):
    return keras.ops.convert_to_numpy(tensor)


def layers_with_equal_weights(arguments, input_shape, method):
    layers = keras.layers.ConvLSTM2D(**arguments), ConvLSTM2D(**arguments, method=method)
    rng = np.random.default_rng(0)
    for layer in layers:
        layer(np.zeros(input_shape, "float32"))
    weights = [0.1 * rng.standard_normal(weight.shape).astype("float32") for weight in layers[0].get_weights()]
    for layer in layers:
        layer.set_weights(weights)
    return layers


def convolution_of_scipy(maps, kernel):
    """Zero-padded `(samples, rows, columns, channels)`."""
    zeros = [((n_taps - 1) // 2, n_taps // 2) for n_taps in kernel.shape[:2]]
    padded = np.pad(maps, [(0, 0), *zeros, (0, 0)])
    outputs = np.zeros((*maps.shape[:-1], kernel.shape[-1]))
    for sample, inputs, channel in np.ndindex(len(maps), *kernel.shape[2:]):
        outputs[sample, ..., channel] += correlate(
            padded[sample, ..., inputs], kernel[..., inputs, channel], mode="valid", method="direct"
        )
    return outputs


@pytest.mark.parametrize(("size", "kernel_size"), [((6, 6), (3, 3)), ((4, 5), (2, 3))])
def test_values_against_the_equations(size, kernel_size):
    layer = ConvLSTM2D(3, kernel_size, padding="same", method="fourier", return_state=True, return_sequences=True)
    rng = np.random.default_rng(0)
    sequences = rng.standard_normal((2, 4, *size, 2))
    layer(sequences)
    kernel, recurrent_kernel, bias = (rng.standard_normal(weight.shape) for weight in layer.get_weights())
    layer.set_weights([kernel, recurrent_kernel, bias])

    def sigmoid(x):
        return 1 / (1 + np.exp(-x))

    h = c = np.zeros((2, *size, 3))
    expected = []
    for maps in np.moveaxis(sequences, 1, 0):
        gates = convolution_of_scipy(maps, kernel) + convolution_of_scipy(h, recurrent_kernel) + bias
        i, f, g, o = np.split(gates, 4, axis=-1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        expected.append(h)
    outputs, last_h, last_c = map(array, layer(sequences))
    np.testing.assert_allclose(outputs, np.stack(expected, axis=1), atol=1e-5)
    np.testing.assert_allclose(last_h, h, atol=1e-5)
    np.testing.assert_allclose(last_c, c, atol=1e-5)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"return_sequences": True},
        {"use_bias": False, "unit_forget_bias": False},
        {"activation": "relu", "recurrent_activation": "hard_sigmoid"},
    ],
)
def test_a_step_of_training_is_that_of_keras(changes):
    # Of this size the frequency domain is chosen.
    arguments = {"filters": 32, "kernel_size": 3, "padding": "same", **changes}
    rng = np.random.default_rng(1)
    inputs = rng.standard_normal((4, 3, 6, 6, 32)).astype("float32")
    trained, outputs = [], []
    for layer in layers_with_equal_weights(arguments, inputs.shape, "auto"):
        model = keras.Sequential([keras.Input(inputs.shape[1:]), layer])
        outputs.append([array(layer(inputs, training=training)) for training in (False, True)])
        before = model.get_weights()
        model.compile(keras.optimizers.SGD(1e3), "mse")
        model.fit(inputs, np.zeros_like(outputs[-1][0], "float32"), batch_size=4, verbose=0)
        trained.append([new - old for new, old in zip(model.get_weights(), before, strict=True)])
    (theirs, _), (inference, training) = outputs
    np.testing.assert_array_equal(inference, theirs)
    assert not np.array_equal(training, theirs)
    np.testing.assert_allclose(training, theirs, atol=1e-5)
    for ours, theirs in zip(*reversed(trained), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5 * np.abs(theirs).max())


@pytest.mark.parametrize(
    "changes",
    [
        {"method": "direct"},
        {"padding": "valid"},
        {"go_backwards": True},
        {"filters": 2},
        {"dtype": "mixed_bfloat16"},
    ],
)
def test_elsewhere_it_convolves_directly(changes):
    arguments = {"filters": 32, "kernel_size": 3, "padding": "same", **changes}
    method = arguments.pop("method", "auto")
    inputs = np.random.default_rng(0).standard_normal((2, 3, 6, 6, arguments["filters"])).astype("float32")
    theirs, ours = layers_with_equal_weights(arguments, inputs.shape, method)
    assert np.array_equal(array(ours(inputs, training=True)), array(theirs(inputs, training=True)))


def test_masks_and_initial_states_are_those_of_keras():
    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((2, 3, 6, 6, 32)).astype("float32")
    theirs, ours = layers_with_equal_weights({"filters": 32, "kernel_size": 3, "padding": "same"}, inputs.shape, "auto")
    states = [rng.standard_normal((2, 6, 6, 32)).astype("float32") for _ in range(2)]
    mask = np.array([[True, True, False], [True, False, True]])
    for call in ({"initial_state": states}, {"mask": mask}):
        expected = array(theirs(inputs, training=True, **call))
        np.testing.assert_array_equal(array(ours(inputs, training=True, **call)), expected)
        assert not np.allclose(expected, array(ours(inputs, training=True)), atol=1e-2)
        with pytest.raises(ValueError, match="no mask, no initial state"):
            ConvLSTM2D(32, 3, padding="same", method="fourier")(inputs, **call)


@pytest.mark.parametrize(
    "changes", [{"dropout": 0.1}, {"recurrent_dropout": 0.1}, {"stateful": True}, {"go_backwards": True}]
)
def test_fourier_refuses_what_it_cannot_do(changes):
    with pytest.raises(ValueError, match="with dropout"):
        ConvLSTM2D(4, 3, padding="same", method="fourier", **changes)
    with pytest.raises(ValueError, match="unless padding='same'"):
        ConvLSTM2D(4, 3, method="fourier")


def test_takes_files_of_keras(tmp_path):
    models = [
        keras.Sequential([keras.Input((2, 6, 6, 4)), layer(4, 3)]) for layer in (keras.layers.ConvLSTM2D, ConvLSTM2D)
    ]
    models[0].save_weights(tmp_path / "model.weights.h5")
    models[1].load_weights(tmp_path / "model.weights.h5")
    for ours, theirs in zip(models[1].get_weights(), models[0].get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
