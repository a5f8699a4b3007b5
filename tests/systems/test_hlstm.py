"""The hierarchical LSTM as a system: segments of faces and powers in step, and what is fitted on training segments."""

import keras
import numpy as np
import pytest

from keras_emotion.pipelines import BandStatistics, EEGImages, FaceFeatures
from keras_emotion.systems.hlstm import HLSTMSystem, looks_of
from keras_emotion.testing import check_system

CHANNELS = ("Fz", "C3", "C4", "Pz", "O1", "O2")
SMALL = {
    "images": EEGImages(window_seconds=1.0, frame_rate_hz=8.0),
    "faces": FaceFeatures(image_size=16),
    "image_size": 8,
    "n_looks": 4,
    "units": 6,
    "width": 6,
    "filters": (2, 2),
    "dropout": 0.0,
}
SHAPES = {"eeg": (8, len(CHANNELS), 3), "kept_power": (3,), "faces": (8, 16, 16, 3)}
INFERENCE = {"channel_names": list(CHANNELS)}


def made_arrays(n_windows=10, seed=0):
    rng = np.random.default_rng(seed)
    arrays = {name: rng.standard_normal((n_windows, *shape)).astype("float32") for name, shape in SHAPES.items()}
    arrays["faces"] = rng.integers(0, 256, arrays["faces"].shape).astype("uint8")
    return arrays


def test_parts_are_in_step():
    parts = HLSTMSystem(**SMALL).parts()
    assert list(parts) == ["eeg", "face"]
    assert parts["face"].steps == parts["eeg"].n_frames == 8
    assert parts["face"].windowing.window_seconds == 1.0
    assert list(HLSTMSystem(**SMALL, modalities=("face",)).parts()) == ["face"]
    default = HLSTMSystem().parts()
    assert default["face"].steps == default["eeg"].n_frames == 40


def test_powers_are_standardised_by_the_training_segments_before_they_are_images():
    system = HLSTMSystem(**SMALL)
    arrays = made_arrays()
    train = np.arange(6)
    model = system.model(SHAPES, 2, INFERENCE)
    system.fit_statistics(model, arrays, train)
    statistics = BandStatistics.fit(arrays["eeg"], train)
    layer = model.get_layer("topography")
    np.testing.assert_allclose(layer.mean, statistics.mean, rtol=1e-6)
    np.testing.assert_allclose(layer.floor, statistics.floor, rtol=1e-6)
    # What is not among them changes nothing.
    arrays["eeg"][6:] = 1e3
    before = keras.ops.convert_to_numpy(layer.scale)
    system.fit_statistics(model, arrays, train)
    np.testing.assert_array_equal(before, layer.scale)


@pytest.mark.parametrize("looking", ["policy", "uniform"])
def test_what_is_recorded(looking):
    system = HLSTMSystem(**SMALL, looking=looking)
    model = system.model(SHAPES, 2, INFERENCE)
    arrays = made_arrays(n_windows=7)
    found = system.diagnostics(model, arrays, np.array([1, 2, 6]))
    assert found["kept_power_alpha"] == pytest.approx(arrays["kept_power"][[1, 2, 6], 1].mean())
    if looking == "uniform":
        assert not any("look" in name for name in found)
        return
    looks, positions = looks_of(system, model, arrays, np.array([1, 2, 6]), batch=2)
    assert looks.shape == (3,)
    assert positions.shape == (3, 4)
    assert found["looks"] == pytest.approx(looks.mean())
    seen = np.concatenate([row[: int(number)] for row, number in zip(positions, looks, strict=True)])
    shares = [((seen >= 2 * one) & (seen < 2 * one + 2)).mean() for one in range(4)]
    assert [found[f"looks_in_quarter_{number}"] for number in (1, 2, 3, 4)] == pytest.approx(shares)


def test_what_is_not_used_is_no_other_experiment():
    def config(**fields):
        return HLSTMSystem(**fields).scientific_config()

    assert config(modalities=("eeg",)) == config(modalities=("eeg",), faces=FaceFeatures(image_size=32))
    assert config() == config(face_features={"image_size": 100})
    assert config(level_attention=False) == config(level_attention=False, penalty_weight=3.0)
    assert config(looking="uniform") == config(looking="uniform", sigma=0.5)
    assert config() != config(sparse_weight=-0.2)


def test_a_single_level_has_no_attention():
    model = HLSTMSystem(**SMALL, n_levels=1).model(SHAPES, 2, INFERENCE)
    assert not model.level_attention


def test_modalities_twice_are_refused():
    with pytest.raises(ValueError, match="each once"):
        HLSTMSystem(modalities=("eeg", "eeg"))


def test_contract_of_systems(memory_reader, tmp_path):
    check_system(HLSTMSystem(**SMALL, modalities=("eeg",)), memory_reader(tmp_path, n_subjects=1))
