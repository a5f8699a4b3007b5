import keras
import numpy as np
import pytest
from scipy.signal import correlate

from keras_emotion.layers import Conv2D
from keras_emotion.layers.fourier_convolution import FourierConvolution, share_of_multiplications


def array(tensor):
    return keras.ops.convert_to_numpy(tensor)


def layers_with_equal_weights(arguments, input_shape, method):
    layers = keras.layers.Conv2D(**arguments), Conv2D(**arguments, method=method)
    for layer in layers:
        layer.build(input_shape)
    rng = np.random.default_rng(0)
    weights = [rng.standard_normal(weight.shape).astype("float32") for weight in layers[0].get_weights()]
    for layer in layers:
        layer.set_weights(weights)
    return layers


@pytest.mark.parametrize(
    ("size", "kernel_size"), [((6, 6), (3, 3)), ((9, 9), (4, 4)), ((5, 7), (2, 5)), ((1, 3), (3, 1)), ((2, 2), (5, 5))]
)
def test_values_against_scipy(size, kernel_size):
    rng = np.random.default_rng(0)
    layer = Conv2D(3, kernel_size, padding="same", method="fourier")
    maps = rng.standard_normal((2, *size, 4)).astype("float32")
    layer.build(maps.shape)
    kernel, bias = (rng.standard_normal(weight.shape).astype("float32") for weight in layer.get_weights())
    layer.set_weights([kernel, bias])
    zeros = [((n_taps - 1) // 2, n_taps // 2) for n_taps in kernel_size]
    expected = np.zeros((2, *size, 3)) + bias
    for sample, inputs, outputs in np.ndindex(2, 4, 3):
        padded = np.pad(maps[sample, ..., inputs].astype("float64"), zeros)
        expected[sample, ..., outputs] += correlate(padded, kernel[..., inputs, outputs], mode="valid", method="direct")
    np.testing.assert_allclose(array(layer(maps)), expected, atol=2e-6 * np.abs(expected).max())


def test_hand_computed_case():
    layer = Conv2D(1, (1, 3), padding="same", method="fourier", activation="relu")
    layer.build((None, 1, 3, 1))
    layer.set_weights([np.array([1.0, 10.0, 100.0]).reshape(1, 3, 1, 1), np.array([-250.0])])
    # x = (1, 2, 3): 10 + 200, 1 + 20 + 300 and 2 + 30, each less 250.
    np.testing.assert_allclose(array(layer(np.array([[[[1.0], [2.0], [3.0]]]]))).ravel(), [0, 71, 0], atol=1e-3)


@pytest.mark.parametrize(
    ("size", "kernel_size", "n_products"), [((6, 6), (3, 3), 73), ((9, 9), (3, 3), 148), ((9, 9), (4, 4), 181)]
)
def test_counted_multiplications_are_those_of_the_matrices(size, kernel_size, n_products):
    maps = np.zeros((np.prod(size), 1, 1), "float32")
    assert FourierConvolution(size, kernel_size).transform(maps).shape[0] == n_products
    # With one channel on both sides: the products, and each of them into and out of every place.
    n_places, n_taps = np.prod(size), np.prod(kernel_size)
    share = share_of_multiplications(size, kernel_size, 1, 1)
    np.testing.assert_allclose(share, n_products * (1 + 2 * n_places) / (n_places * n_taps))


@pytest.mark.parametrize("changes", [{}, {"activation": "relu"}, {"use_bias": False}, {"kernel_size": 4}])
def test_a_step_of_training_is_that_of_keras(changes):
    # Of this size the frequency domain is chosen (a test below sees that).
    arguments = {"filters": 64, "kernel_size": 3, "padding": "same", **changes}
    rng = np.random.default_rng(1)
    inputs = rng.standard_normal((8, 6, 6, 64)).astype("float32")
    targets = rng.standard_normal((8, 6, 6, 64)).astype("float32")
    trained, outputs = [], []
    for layer in layers_with_equal_weights(arguments, inputs.shape, "auto"):
        model = keras.Sequential([keras.Input(inputs.shape[1:]), layer])
        outputs.append(array(layer(inputs)))
        before = model.get_weights()
        model.compile(keras.optimizers.SGD(1e3), "mse")
        model.fit(inputs, targets, batch_size=8, verbose=0)
        trained.append([new - old for new, old in zip(model.get_weights(), before, strict=True)])
    np.testing.assert_array_equal(outputs[1], outputs[0])
    for ours, theirs in zip(*reversed(trained), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=3e-6 * np.abs(theirs).max())


@pytest.mark.parametrize(
    ("size", "channels", "changes"),
    [
        ((6, 6), 64, {"method": "direct"}),
        ((6, 6), 64, {"padding": "valid"}),
        ((6, 6), 64, {"strides": 2}),
        ((6, 6), 64, {"dilation_rate": 2}),
        ((6, 6), 64, {"groups": 2}),
        ((6, 6), 64, {"dtype": "float64"}),
        ((6, 6), 64, {"dtype": "mixed_bfloat16"}),
        # More multiplications than it saves.
        ((6, 6), 4, {}),
        ((40, 40), 64, {}),
    ],
)
def test_elsewhere_it_convolves_directly(size, channels, changes):
    arguments = {"filters": channels, "kernel_size": 3, "padding": "same", **changes}
    method = arguments.pop("method", "auto")
    inputs = np.random.default_rng(0).standard_normal((2, *size, channels)).astype("float32")
    theirs, ours = layers_with_equal_weights(arguments, inputs.shape, method)
    assert np.array_equal(array(ours(inputs, training=True)), array(theirs(inputs)))


def test_on_a_gpu_it_convolves_directly(monkeypatch):
    inputs = np.random.default_rng(0).standard_normal((2, 6, 6, 64)).astype("float32")
    theirs, ours = layers_with_equal_weights({"filters": 64, "kernel_size": 3, "padding": "same"}, inputs.shape, "auto")
    assert not np.array_equal(array(ours(inputs, training=True)), array(theirs(inputs)))
    monkeypatch.setattr(keras.distribution, "list_devices", lambda: ["gpu:0"])
    np.testing.assert_array_equal(array(ours(inputs, training=True)), array(theirs(inputs)))


def test_takes_files_of_keras(tmp_path):
    models = [
        keras.Sequential([keras.Input((6, 6, 4)), *(layer(4, 3, name=name) for name in ("first", "second"))])
        for layer in (keras.layers.Conv2D, Conv2D)
    ]
    models[0].save_weights(tmp_path / "model.weights.h5")
    models[1].load_weights(tmp_path / "model.weights.h5")
    for ours, theirs in zip(models[1].get_weights(), models[0].get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    "changes", [{"padding": "valid"}, {"strides": 2}, {"groups": 2}, {"data_format": "channels_first"}]
)
def test_fourier_refuses_what_it_cannot_do(changes):
    with pytest.raises(ValueError, match="unless padding='same'"):
        Conv2D(4, 3, method="fourier", **{"padding": "same", **changes})
