"""The hierarchical LSTM as a system: synchronous segments of faces and powers, and fits on training segments."""

import keras
import numpy as np
import pytest

from keras_emotion.experiment.compiled_model import predict_and_keep
from keras_emotion.pipelines import BandStatistics, EEGImages, FaceFeatures, WindowBatches
from keras_emotion.systems.hlstm import HLSTMSystem
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
    # Unused settings have no effect.
    arrays["eeg"][6:] = 1e3
    before = keras.ops.convert_to_numpy(layer.scale)
    system.fit_statistics(model, arrays, train)
    np.testing.assert_array_equal(before, layer.scale)


def test_the_kept_power_is_recorded():
    arrays = made_arrays(n_windows=7)
    found = HLSTMSystem(**SMALL).diagnostics(None, arrays, np.array([1, 2, 6]))
    assert list(found) == ["kept_power_theta", "kept_power_alpha", "kept_power_beta"]
    assert found["kept_power_alpha"] == pytest.approx(arrays["kept_power"][[1, 2, 6], 1].mean())
    assert HLSTMSystem(**SMALL).diagnostics(None, {"eeg": arrays["eeg"]}, np.array([1, 2, 6])) == {}


def test_looks_are_recorded_of_the_pass_that_predicts():
    system = HLSTMSystem(**SMALL)
    model = system.model(SHAPES, 2, INFERENCE)
    arrays, rows = made_arrays(n_windows=7), np.array([1, 2, 6])
    batches = WindowBatches(arrays, np.zeros(0), rows, 2, inputs=system.inputs)
    probabilities, kept = predict_and_keep(model, batches, system.diagnosed_outputs)
    given = model.predict({name: array[rows] for name, array in system.inputs(arrays).items()}, verbose=0)
    np.testing.assert_allclose(probabilities, given["probabilities"], rtol=1e-5)
    assert list(kept) == ["looks", "positions"]
    for name, values in kept.items():
        np.testing.assert_array_equal(values, given[name])
    found = system.output_diagnostics(kept)
    assert found["looks"] == pytest.approx(given["looks"].mean())
    seen = np.concatenate([row[: int(n)] for row, n in zip(given["positions"], given["looks"], strict=True)])
    shares = [((seen >= 2 * one) & (seen < 2 * one + 2)).mean() for one in range(4)]
    assert [found[f"looks_in_quarter_{number}"] for number in (1, 2, 3, 4)] == pytest.approx(shares)


def test_looks_behind_the_last_do_not_count():
    # Of 8 frames a quarter is two.
    outputs = {"looks": np.array([2.0, 4.0]), "positions": np.array([[0, 7, 7, 7], [0, 2, 4, 5]])}
    found = HLSTMSystem(**SMALL).output_diagnostics(outputs)
    assert found == {
        "looks": 3.0,
        "looks_in_quarter_1": 2 / 6,
        "looks_in_quarter_2": 1 / 6,
        "looks_in_quarter_3": 2 / 6,
        "looks_in_quarter_4": 1 / 6,
    }
    uniform = HLSTMSystem(**SMALL, looking="uniform")
    assert (uniform.diagnosed_outputs, uniform.output_diagnostics({})) == ((), {})


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
