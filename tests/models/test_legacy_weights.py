"""Weights saved by Keras 2, in our models: a golden file, and each kind of mismatch."""

import json
import re
import shutil
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from keras_emotion.models import FACRNNEEGNetwork
from keras_emotion.models.legacy_weights import load_legacy_weights
from keras_emotion.schema import InputError

GOLDEN = Path(__file__).parents[1] / "golden" / "legacy_weights"


def network(**changes):
    arguments = {"n_steps": 3, "grid_shape": (6, 6), "n_bands": 2, "width_multiplier": 0.05, "units": 5}
    plain = {"band_attention": False, "self_attention": False, "scale_features": False}
    return FACRNNEEGNetwork(**{**arguments, **plain, **changes})


@pytest.mark.parametrize("file", ["keras2_weights.h5", "keras2_model.h5"])
def test_golden_file_by_topology(file):
    """The network has the outputs of the one that Keras 2 saved."""
    producer = json.loads((GOLDEN / "keras2.json").read_text())
    model = network()
    result = load_legacy_weights(model, GOLDEN / file)
    assert len(result.loaded) == len(model.weights) == 18
    assert result.unmatched_in_file == result.unmatched_in_model == ()
    windows = np.random.default_rng(2).standard_normal((4, 3, 6, 6, 2)).astype(np.float32)
    probabilities = keras.ops.convert_to_numpy(model({"eeg": windows})["probabilities"])
    expected = np.load(GOLDEN / "keras2_probabilities.npy")
    np.testing.assert_allclose(probabilities, expected, rtol=0, atol=producer["tolerance"])


def renamed(folder, names):
    """The golden file with other layer names."""
    path = Path(shutil.copy(GOLDEN / "keras2_weights.h5", folder / "renamed.h5"))
    with h5py.File(path, "r+") as file:
        old = list(file.attrs["layer_names"])
        for place, name in names.items():
            file.move(old[place], name)
            old[place] = name
        file.attrs["layer_names"] = old
    return path


NAMES = {1: "convolution_1", 2: "convolution_2", 3: "convolution_3", 4: "convolution_4", 7: "dense"}
NAMES |= {8: "recurrent_1", 9: "recurrent_2", 10: "classifier"}


def test_by_name(tmp_path):
    by_order, by_name = network(), network()
    load_legacy_weights(by_order, GOLDEN / "keras2_weights.h5")
    result = load_legacy_weights(by_name, renamed(tmp_path, NAMES), by="name")
    assert not result.unmatched_in_file
    assert not result.unmatched_in_model
    for one, other in zip(by_order.weights, by_name.weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_by_name_with_gaps(tmp_path):
    """All unmatched weights are listed; matched ones are loaded if gaps are allowed, otherwise nothing is."""
    model = network()
    path = renamed(tmp_path, {1: "convolution_1"})
    before = [np.array(weight) for weight in model.weights]
    with pytest.raises(InputError) as refused:
        load_legacy_weights(model, path, by="name")
    for weight, was in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(weight, was)
    result = load_legacy_weights(model, path, by="name", partial=True)
    assert [place for _, place in result.loaded] == ["convolution_1/kernel", "convolution_1/bias"]
    assert len(result.unmatched_in_file) == len(result.unmatched_in_model) == 16
    for name in (*result.unmatched_in_file, *result.unmatched_in_model):
        assert name in str(refused.value)
    assert not np.array_equal(model.weights[0], before[0])
    np.testing.assert_array_equal(model.weights[2], before[2])


def test_another_width_is_refused_with_the_names():
    with pytest.raises(InputError) as refused:
        load_legacy_weights(network(units=6), GOLDEN / "keras2_weights.h5")
    message = str(refused.value)
    assert "\n" not in message
    # Both LSTM layers and the classifier's kernel, of both sides; its bias fits.
    in_file, in_model = message.split("unmatched in the model: ")
    assert len(re.findall(r"lstm(?:_1)?/lstm_cell(?:_1)?/\w+:0", in_file)) == 6
    assert len(re.findall(r"recurrent_[12]/lstm_cell/\w+ ", in_model)) == 6
    assert "classifier/kernel 6x2" in in_model
    assert "convolution" not in in_model


def test_layers_that_the_file_lacks_are_named():
    with pytest.raises(InputError, match=r"unmatched in the model: .*self_attention"):
        load_legacy_weights(network(self_attention=True), GOLDEN / "keras2_weights.h5")


def test_names_in_pieces(tmp_path):
    """More names than one HDF5 attribute holds: Keras 2 numbers the pieces."""
    path = Path(shutil.copy(GOLDEN / "keras2_weights.h5", tmp_path / "pieces.h5"))
    with h5py.File(path, "r+") as file:
        names = list(file.attrs["layer_names"])
        del file.attrs["layer_names"]
        file.attrs["layer_names0"], file.attrs["layer_names1"] = names[:5], names[5:]
    assert len(load_legacy_weights(network(), path).loaded) == 18


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "no such file"), (b"text", "cannot be read"), ("empty", "has no `layer_names`")],
)
def test_file_that_is_none(content, message, tmp_path):
    path = tmp_path / "weights.h5"
    if content == "empty":
        h5py.File(path, "w").close()
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        load_legacy_weights(network(), path)


def test_arguments_are_checked():
    with pytest.raises(ValueError, match="by='order'"):
        load_legacy_weights(network(), GOLDEN / "keras2_weights.h5", by="order")
    with pytest.raises(ValueError, match="partial"):
        load_legacy_weights(network(), GOLDEN / "keras2_weights.h5", partial=True)
