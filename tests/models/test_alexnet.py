"""AlexNet against an implementation with explicit sums, with weights in torchvision's layout."""

import keras
import numpy as np
import pytest
from scipy.signal import correlate2d

from keras_emotion.models import AlexNet
from keras_emotion.models.alexnet import map_side
from keras_emotion.schema import InputError

FILTERS, UNITS = (2, 3, 4, 5, 3), (6, 7)
PLACES = (0, 3, 6, 8, 10)
SIDES = (11, 5, 3, 3, 3)


def released(rng, side=2):
    """Weights in the layout of PyTorch: kernels `(out, in, rows, columns)` and `(out, in)`."""
    state, n_inputs = {}, 3
    for place, n_outputs, kernel in zip(PLACES, FILTERS, SIDES, strict=True):
        shape = (n_outputs, n_inputs, kernel, kernel)
        state[f"features.{place}.weight"] = rng.standard_normal(shape) / np.sqrt(n_inputs * kernel**2)
        state[f"features.{place}.bias"] = 0.3 * rng.standard_normal(n_outputs)
        n_inputs = n_outputs
    n_inputs *= side**2
    for place, n_outputs in zip((1, 4), UNITS, strict=True):
        state[f"classifier.{place}.weight"] = rng.standard_normal((n_outputs, n_inputs)) / np.sqrt(n_inputs)
        state[f"classifier.{place}.bias"] = 0.3 * rng.standard_normal(n_outputs)
        n_inputs = n_outputs
    return state


def pooled(one):
    size = (len(one) - 3) // 2 + 1
    return np.array([[one[2 * i : 2 * i + 3, 2 * j : 2 * j + 3].max() for j in range(size)] for i in range(size)])


def features(state, picture):
    """fc7 of a picture `(rows, columns, 3)`, channel by channel, before its ReLU."""
    maps = list(np.moveaxis(picture, -1, 0))
    for place, side in zip(PLACES, SIDES, strict=True):
        kernels, biases = state[f"features.{place}.weight"], state[f"features.{place}.bias"]
        zeros = 2 if place == 0 else side // 2
        padded = [np.pad(one, zeros) for one in maps]
        sums = [
            sum(correlate2d(one, own, "valid") for one, own in zip(padded, kernel, strict=True)) for kernel in kernels
        ]
        stride = 4 if place == 0 else 1
        maps = [np.maximum(0, one[::stride, ::stride] + bias) for one, bias in zip(sums, biases, strict=True)]
        if place in (0, 3, 10):
            maps = [pooled(one) for one in maps]
    # Of torch.flatten: channel, row, column.
    x = np.array([one[row, column] for one in maps for row in range(len(one)) for column in range(len(one))])
    x = np.maximum(0, state["classifier.1.weight"] @ x + state["classifier.1.bias"])
    return state["classifier.4.weight"] @ x + state["classifier.4.bias"]


@pytest.mark.parametrize("prefix", ["", "module."])
def test_released_weights_give_the_sums(prefix, tmp_path):
    rng = np.random.default_rng(0)
    state = released(rng)
    pictures = rng.standard_normal((2, 100, 100, 3)).astype("float32")
    expected = np.array([features(state, picture) for picture in pictures])
    assert (expected < 0).any()
    assert (expected > 0.1).any()
    source = {f"{prefix}{name}": values for name, values in state.items()}
    # The ImageNet classifier is present, and ignored.
    source |= {f"{prefix}classifier.6.weight": np.ones((9, 7)), f"{prefix}classifier.6.bias": np.ones(9)}
    np.savez(tmp_path / "weights.npz", **source)
    model = AlexNet.load_released_weights(tmp_path / "weights.npz", image_size=100)
    assert (model.filters, model.units) == (FILTERS, UNITS)
    found = keras.ops.convert_to_numpy(model(pictures))
    np.testing.assert_allclose(found, np.maximum(expected, 0), rtol=1e-4, atol=1e-5)
    frozen = AlexNet.load_released_weights(source, image_size=100, trainable=False)
    assert not frozen.trainable_weights
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(frozen(pictures)), found)


def test_a_file_of_pytorch(tmp_path):
    torch = pytest.importorskip("torch")
    state = {name: torch.tensor(values) for name, values in released(np.random.default_rng(1)).items()}
    torch.save(state, tmp_path / "alexnet.pth")
    model = AlexNet.load_released_weights(tmp_path / "alexnet.pth", image_size=100)
    np.testing.assert_allclose(model.get_layer("fc7").get_weights()[0], state["classifier.4.weight"].T, rtol=1e-6)


def test_pictures_of_224_pixels_fit_the_released_weights_too():
    assert [map_side(size) for size in (63, 100, 224, 227)] == [1, 2, 6, 6]


@pytest.mark.parametrize(("image_size", "side"), [(227, 6), (63, 1)])
def test_size_of_the_released_network(image_size, side):
    # Counted without building it: torchvision's 61,100,840 without the 1000 classes.
    with keras.StatelessScope():
        model = AlexNet(image_size)
        assert model.get_layer("pool5").output.shape == (None, side, side, 256)
        n_of_fc6 = side**2 * 256 * 4096
        assert model.count_params() - n_of_fc6 == 61_100_840 - (4096 * 1000 + 1000) - 9216 * 4096
    assert model.output.shape == (None, 4096)


def broken_states():
    state = released(np.random.default_rng(2))

    def without(name):
        return {other: values for other, values in state.items() if other != name}

    return {
        "a name is missing": (without("features.6.bias"), "`features.6.bias` is missing"),
        "an unknown name": ({**state, "classifier.9.bias": np.zeros(3)}, r"`classifier.9.bias` is not AlexNet's"),
        "VGG": ({**state, "features.28.weight": np.zeros(3)}, r"`features.28.weight` is not AlexNet's"),
        "another network": ({"conv.weight": np.zeros(3)}, r"no weights of `features` and `classifier`.* found conv.we"),
        "nothing": ({}, "found nothing"),
        "integers": ({**state, "features.0.bias": np.zeros(2, int)}, r"`features.0.bias` holds int64 values"),
        "not finite": (
            {**state, "features.0.bias": np.array([1, np.nan])},
            r"`features.0.bias` has values that are not",
        ),
        "a dense kernel": ({**state, "features.0.weight": np.ones((2, 9))}, r"shape \(2, 9\); expected 4 axes"),
        "other inputs": ({**state, "features.3.weight": np.ones((3, 4, 5, 5))}, r"expected \(3, 2, 5, 5\)"),
        "3 x 3": ({**state, "features.3.weight": np.ones((3, 2, 3, 3))}, r"expected \(3, 2, 5, 5\)"),
        "no square": ({**state, "classifier.1.weight": np.ones((6, 13))}, r"shape \(6, 13\); expected \(6, 12\)"),
        "transposed": ({**state, "classifier.4.weight": np.ones((6, 7))}, r"shape \(6, 7\); expected \(6, 6\)"),
        "another bias": ({**state, "classifier.4.bias": np.ones(5)}, r"has shape \(5,\); expected \(7,\)"),
    }


@pytest.mark.parametrize("case", broken_states())
def test_weights_that_do_not_fit_are_refused(case):
    state, words = broken_states()[case]
    with pytest.raises(InputError, match=f"^released weights: .*{words}") as error:
        AlexNet.load_released_weights(state, image_size=100)
    assert "\n" not in str(error.value)


def test_arguments_against_the_weights_are_refused(tmp_path):
    state = released(np.random.default_rng(3))
    with pytest.raises(InputError, match=r"maps of 2 x 2; pictures of 227 pixels give 6 x 6; expected pictures of the"):
        AlexNet.load_released_weights(state)
    with pytest.raises(InputError, match=r"the weights are of units=\(6, 7\); received \(6, 8\)"):
        AlexNet.load_released_weights(state, image_size=100, units=(6, 8))
    assert AlexNet.load_released_weights(state, image_size=100, filters=list(FILTERS)).filters == FILTERS
    with pytest.raises(InputError, match=r"none\.npz: no such file; expected released weights"):
        AlexNet.load_released_weights(tmp_path / "none.npz")
