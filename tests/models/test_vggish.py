"""VGGish against an implementation with explicit sums, with weights in both released layouts."""

import keras
import numpy as np
import pytest
from scipy.signal import correlate2d

from keras_emotion.models import VGGish
from keras_emotion.schema import InputError

FILTERS, UNITS, EMBEDDING_SIZE = (2, 3, 4, 5), (6, 7), 4
SMALL = {"filters": FILTERS, "units": UNITS, "embedding_size": EMBEDDING_SIZE}
CONVOLUTIONS = (("conv1", 0), ("conv2", 3), ("conv3/conv3_1", 6), ("conv3/conv3_2", 8), ("conv4/conv4_1", 11))
CONVOLUTIONS += (("conv4/conv4_2", 13),)
DENSE_LAYERS = (("fc1/fc1_1", 0), ("fc1/fc1_2", 2), ("fc2", 4))


def released(rng, n_places=2 * 2):
    """Weights in the layout of PyTorch: kernels `(out, in, rows, columns)` and `(out, in)`."""
    state = {}
    n_inputs = 1
    for (_, place), n_outputs in zip(CONVOLUTIONS, (2, 3, 4, 4, 5, 5), strict=True):
        state[f"features.{place}.weight"] = rng.standard_normal((n_outputs, n_inputs, 3, 3)) / np.sqrt(n_inputs)
        state[f"features.{place}.bias"] = 0.3 * rng.standard_normal(n_outputs)
        n_inputs = n_outputs
    n_inputs *= n_places
    for (_, place), n_outputs in zip(DENSE_LAYERS, (*UNITS, EMBEDDING_SIZE), strict=True):
        state[f"embeddings.{place}.weight"] = rng.standard_normal((n_outputs, n_inputs)) / np.sqrt(n_inputs)
        state[f"embeddings.{place}.bias"] = 0.3 * rng.standard_normal(n_outputs)
        n_inputs = n_outputs
    return state


def of_slim(state, suffix=""):
    """The same weights with TF-Slim's names and layout."""
    slim = {}
    for name, place in CONVOLUTIONS:
        slim[f"vggish/{name}/weights{suffix}"] = state[f"features.{place}.weight"].transpose(2, 3, 1, 0)
        slim[f"vggish/{name}/biases{suffix}"] = state[f"features.{place}.bias"]
    for name, place in DENSE_LAYERS:
        slim[f"vggish/{name}/weights{suffix}"] = state[f"embeddings.{place}.weight"].T
        slim[f"vggish/{name}/biases{suffix}"] = state[f"embeddings.{place}.bias"]
    return slim


def embedded(state, patch):
    """The embedding of a patch `(time, frequency)` before the last activation, channel by channel."""
    maps = [patch]
    for (_, place), is_pooled in zip(CONVOLUTIONS, (True, True, False, True, False, True), strict=True):
        kernels, biases = state[f"features.{place}.weight"], state[f"features.{place}.bias"]
        maps = [
            np.maximum(
                0, bias + sum(correlate2d(one, of_one, "same") for one, of_one in zip(maps, kernel, strict=True))
            )
            for kernel, bias in zip(kernels, biases, strict=True)
        ]
        if is_pooled:
            rows, columns = (size // 2 for size in maps[0].shape)
            maps = [one[: 2 * rows, : 2 * columns].reshape(rows, 2, columns, 2).max(axis=(1, 3)) for one in maps]
    x = np.array([one[time, band] for time in range(rows) for band in range(columns) for one in maps])
    for _, place in DENSE_LAYERS:
        x = state[f"embeddings.{place}.weight"] @ x + state[f"embeddings.{place}.bias"]
        if place < 4:
            x = np.maximum(0, x)
    return x


@pytest.mark.parametrize("suffix", ["", ":0", "port", "module."])
def test_released_weights_give_the_sums(suffix, tmp_path):
    rng = np.random.default_rng(0)
    state = released(rng)
    patches = rng.standard_normal((3, 37, 32)).astype("float32")
    expected = np.array([embedded(state, patch) for patch in patches])
    assert (expected < 0).any()
    arguments = {"n_frames": 37, "n_bands": 32}
    if suffix in ("port", "module."):
        source = {f"{suffix.removeprefix('port')}{name}": values for name, values in state.items()}
        # The port ends in a ReLU.
        expected_by_default = np.maximum(0, expected)
    else:
        source, expected_by_default = of_slim(state, suffix), expected
    np.savez(tmp_path / "weights.npz", **source)
    model = VGGish.load_released_weights(tmp_path / "weights.npz", **arguments)
    assert (model.filters, model.units, model.embedding_size) == (FILTERS, UNITS, EMBEDDING_SIZE)
    found = keras.ops.convert_to_numpy(model(patches))
    np.testing.assert_allclose(found, expected_by_default, rtol=1e-4, atol=1e-5)
    other = VGGish.load_released_weights(source, **arguments, embedding_activation="linear", trainable=False)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(other(patches)), expected, rtol=1e-4, atol=1e-5)
    assert not other.trainable_weights


def test_convolutions_of_released_weights_on_other_patches():
    state = released(np.random.default_rng(1), n_places=6 * 4)
    with pytest.raises(
        InputError, match=r"first dense layer has 120 inputs; expected 30 for patches of 96 frames and 20"
    ):
        VGGish.load_released_weights(state, n_bands=20)
    model = VGGish.load_released_weights(state, convolutions_only=True, n_bands=20, units=(8, 9))
    assert model.get_layer("flatten").output.shape == (None, 6 * 1 * 5)
    assert (model.units, model.embedding_size) == ((8, 9), EMBEDDING_SIZE)
    for name, place in CONVOLUTIONS:
        kernel, bias = model.get_layer(name.rpartition("/")[2]).get_weights()
        np.testing.assert_allclose(kernel, state[f"features.{place}.weight"].transpose(2, 3, 1, 0), rtol=1e-6)
        np.testing.assert_allclose(bias, state[f"features.{place}.bias"], rtol=1e-6)


def test_size_of_the_released_network():
    # Counted without building it: 72 million weights, those of the released checkpoint.
    shapes = [(1, 64), (64, 128), (128, 256), (256, 256), (256, 512), (512, 512)]
    n_convolved = sum(9 * n_inputs * n_outputs + n_outputs for n_inputs, n_outputs in shapes)
    n_dense = (6 * 4 * 512 * 4096 + 4096) + (4096 * 4096 + 4096) + (4096 * 128 + 128)
    with keras.StatelessScope():
        model = VGGish()
        assert model.count_params() == n_convolved + n_dense == 72_141_184
    assert model.output.shape == (None, 128)


def broken_states():
    state = released(np.random.default_rng(2))
    slim = of_slim(state)

    def without(name, of=state):
        return {other: values for other, values in of.items() if other != name}

    return {
        "a name is missing": (without("features.6.bias"), "`features.6.bias` is missing"),
        "names are missing": (
            {name: values for name, values in slim.items() if "conv4" not in name},
            r"`vggish/conv4/conv4_1/weights`, .* are missing",
        ),
        "an unknown name": ({**state, "pproc.pca_means": np.zeros(128)}, r"`pproc.pca_means` is not VGGish's"),
        "both layouts": ({**state, **slim}, r"are not VGGish's"),
        "another network": ({"conv.weight": np.zeros(3)}, r"no weights of `features` .* found conv.weight"),
        "nothing": ({}, "found nothing"),
        "integers": ({**state, "features.0.bias": np.zeros(2, int)}, r"`features.0.bias` holds int64 values"),
        "not finite": (
            {**state, "features.0.bias": np.array([1, np.nan])},
            r"`features.0.bias` has values that are not",
        ),
        "a dense kernel": ({**state, "features.0.weight": np.ones((2, 9))}, r"shape \(2, 9\); expected 4 axes"),
        "5 x 5": ({**state, "features.3.weight": np.ones((3, 2, 5, 5))}, r"\(3, 2, 5, 5\); expected \(3, 2, 3, 3\)"),
        "other inputs": (
            {**state, "features.3.weight": np.ones((3, 4, 3, 3))},
            r"\(3, 4, 3, 3\); expected \(3, 2, 3, 3\)",
        ),
        "other inputs of TF-Slim": (
            {**slim, "vggish/conv2/weights": np.ones((3, 3, 4, 3))},
            r"`vggish/conv2/weights` has shape \(3, 3, 4, 3\); expected \(3, 3, 2, 3\)",
        ),
        "transposed": ({**state, "embeddings.2.weight": np.ones((6, 7))}, r"`embeddings.2.weight` has shape \(6, 7\)"),
        "another bias": ({**state, "embeddings.4.bias": np.ones(5)}, r"has shape \(5,\); expected \(4,\)"),
        "unequal groups": (
            {
                **state,
                "features.6.weight": np.ones((9, 3, 3, 3)),
                "features.6.bias": np.ones(9),
                "features.8.weight": np.ones((4, 9, 3, 3)),
            },
            "conv3_1 has 9 filters and conv3_2 4; expected as many",
        ),
    }


@pytest.mark.parametrize("case", broken_states())
def test_weights_that_do_not_fit_are_refused(case):
    state, words = broken_states()[case]
    with pytest.raises(InputError, match=f"^released weights: .*{words}"):
        VGGish.load_released_weights(state, n_frames=32, n_bands=32)


@pytest.mark.parametrize(("argument", "value"), [("filters", (2, 3, 4, 6)), ("units", (6, 8)), ("embedding_size", 5)])
def test_arguments_against_the_weights_are_refused(argument, value):
    state = released(np.random.default_rng(3))
    with pytest.raises(InputError, match=f"the weights are of {argument}=.*; received "):
        VGGish.load_released_weights(state, n_frames=32, n_bands=32, **{argument: value})
    model = VGGish.load_released_weights(state, n_frames=32, n_bands=32, filters=[2, 3, 4, 5], embedding_size=4)
    assert model.filters == FILTERS


def test_a_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.npz: no such file; expected released weights"):
        VGGish.load_released_weights(tmp_path / "none.npz")
