"""A saved network that makes topographic images of the powers of a recording, applied to recordings."""

import keras
import mne
import numpy as np
import pytest

from keras_emotion.datasets.continuous import ContinuousRecording
from keras_emotion.inference.predictor import Predictor
from keras_emotion.models import TopographicImages
from keras_emotion.models.window_classifier import WindowClassifierMixin
from keras_emotion.pipelines import BandStatistics, EEGImages
from keras_emotion.schema import InputError, Recording, Trial

CHANNELS = ("F3", "F4", "T7", "C4", "P3", "P4", "O1", "O2")
RATE, SECONDS = 128.0, 71.0


@keras.saving.register_keras_serializable(package="tests")
class ImagesOnAverage(WindowClassifierMixin, keras.Model):
    """Classes of the mean image of a segment."""

    def __init__(self, inference=None, **kwargs):
        images = TopographicImages(CHANNELS, image_size=8)
        inputs = keras.Input((40, len(CHANNELS), 3), name="eeg")
        flat = keras.layers.Flatten()(keras.ops.mean(images(inputs), axis=1))
        super().__init__({"eeg": inputs}, keras.layers.Dense(2, activation="softmax")(flat), **kwargs)
        self._keep_inference(inference)
        self.feature_scaling = {"eeg": images}

    def get_config(self):
        return {"inference": self.inference}


def block(part, channels=CHANNELS):
    return {
        "format": 2,
        "parts": {"eeg": part.description()},
        "inputs": {"eeg": {"part": "eeg", "array": "eeg", "transform": "identity"}},
        "target": "valence",
        "class_names": ["low", "high"],
        "dataset": "deap",
        "synthetic": True,
        "channel_names": list(channels),
        "units": ["uV"] * len(channels),
        "sampling_rate_hz": RATE,
    }


@pytest.fixture(scope="module")
def microvolts():
    rng = np.random.default_rng(3)
    n_samples = round(SECONDS * RATE)
    return 10 * np.cumsum(rng.standard_normal((8, n_samples)), axis=1) / 20 + rng.normal(0, 10, (8, n_samples))


def written(signal, names, path):
    info = mne.create_info(list(names), RATE, "eeg", verbose="error")
    mne.io.RawArray(signal * 1e-6, info, verbose="error").save(path, fmt="double", verbose="error")
    return path


def powers(part, signal):
    recording = Recording(signal, CHANNELS, ("uV",) * 8, RATE)
    return part.extract([Trial("x", 1, 1, "x", recording, CHANNELS, {})])[0]["eeg"]


@pytest.mark.parametrize("denoise", ["none", "wavelet"])
def test_a_saved_network_is_applied_block_by_block(denoise, microvolts, tmp_path):
    part = EEGImages(denoise=denoise)
    expected = powers(part, microvolts)
    model = ImagesOnAverage(block(part))
    statistics = BandStatistics.fit(expected, np.arange(10))
    model.feature_scaling["eeg"].set_statistics(statistics.floor, statistics.mean, statistics.standard_deviation)
    model.save(tmp_path / "model.keras")
    predictor = Predictor.from_file(tmp_path / "model.keras")
    # In another order than the model's.
    file = written(microvolts[::-1], CHANNELS[::-1], tmp_path / "a_raw.fif")
    blocks = np.concatenate([one["eeg"] for one in predictor.blocks(ContinuousRecording(file), block_seconds=20.0)])
    assert blocks.shape == expected.shape == (14, 40, 8, 3)
    apart = np.abs(blocks - expected)
    if denoise == "none":
        assert apart.max() < 1e-4
    else:
        assert np.median(apart) < 0.05 * statistics.standard_deviation.min()
    found = predictor.predict(ContinuousRecording(file), block_seconds=20.0).table["probability_high"]
    by_hand = model.predict({"eeg": blocks}, verbose=0)[:, 1]
    np.testing.assert_allclose(found, by_hand, atol=1e-5)
    assert np.ptp(by_hand) > 1e-3


def test_a_missing_electrode_is_as_an_average_one(microvolts, tmp_path):
    part = EEGImages()
    model = ImagesOnAverage(block(part))
    statistics = BandStatistics.fit(powers(part, microvolts), np.arange(10))
    model.feature_scaling["eeg"].set_statistics(statistics.floor, statistics.mean, statistics.standard_deviation)
    predictor = Predictor(model)
    file = written(microvolts[:7], CHANNELS[:7], tmp_path / "b_raw.fif")
    (inputs,) = predictor.blocks(ContinuousRecording(file), block_seconds=100.0)
    np.testing.assert_allclose(inputs["eeg"][:, :, 7], np.broadcast_to(statistics.mean, (14, 40, 3)), rtol=1e-6)
    images = keras.ops.convert_to_numpy(model.feature_scaling["eeg"](inputs["eeg"]))
    # O2 is at the back on the right, where only it and its neighbours matter.
    assert np.abs(images[..., -1, :]).max() < np.abs(images).max() / 2


def test_a_model_of_electrodes_without_a_place_is_refused():
    model = ImagesOnAverage(block(EEGImages(), ("F3", "F4", "T7", "C4", "P3", "P4", "O1", "GSR")))
    with pytest.raises(InputError, match="channel_names: electrodes without a position on the head: GSR; expected"):
        Predictor(model)
