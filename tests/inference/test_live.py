"""A saved model on a stream: what a window sees, how late it is, and how far from the same window offline."""

import json
import sys

import mne
import numpy as np
import pytest

from keras_emotion import cli, models, signals
from keras_emotion.inference import live
from keras_emotion.inference.live import live_windows
from keras_emotion.inference.predictor import Predictor
from keras_emotion.pipelines import EEGGridFeatures
from keras_emotion.schema import InputError, Recording, Trial

CHANNELS = ("F3", "F4", "C3", "C4")


def network(part, **known):
    inference = {"features": json.loads(part.model_dump_json()), "channel_names": list(CHANNELS)}
    inference |= {"sampling_rate_hz": 128.0, "class_names": ["low", "high"], **known}
    return models.FACRNNEEGNetwork(n_steps=part.steps, width_multiplier=0.05, units=4, inference=inference)


class Played:
    """A stream that plays an array, in uneven pieces, on a clock of its own that stands 0.25 s behind the samples."""

    name = "played"
    channel_names = ("EEG C4-REF", "Fz", "f3", "F4", "C3..")

    def __init__(self, microvolts, rate):
        self.signal = np.zeros((5, microvolts.shape[1]))
        self.signal[[2, 3, 4, 0]] = microvolts
        self.sampling_rate_hz, self._at, self._now = rate, 0, 0.0

    def pull(self):
        start, stop = self._at, min(self._at + 37, self.signal.shape[1])
        self._at = stop
        self._now = stop / self.sampling_rate_hz + 0.25 if stop > start else self._now + 1.0
        return self.signal[:, start:stop], np.arange(start, stop) / self.sampling_rate_hz

    def clock(self):
        return self._now


@pytest.fixture(scope="module")
def microvolts():
    rng = np.random.default_rng(1)
    return {rate: rng.normal(0, 15, (4, 40 * rate)) + 1e3 * np.arange(4)[:, np.newaxis] for rate in (128, 256)}


def features_seen(predictor, monkeypatch):
    """What the model is given, window by window, in place of what it says."""
    seen = []
    monkeypatch.setattr(predictor, "apply", lambda inputs: (seen.append(inputs["eeg"]), (np.zeros((1, 2)), None))[1])
    return seen


def offline(part, microvolts, rate):
    signal = signals.resample(microvolts, rate, 128.0)
    seconds = 3.0 if part.baseline != "none" else 0.0
    trial = Trial("x", 1, 1, "x", Recording(signal, CHANNELS, ("uV",) * 4, 128.0, seconds), CHANNELS, {})
    return part.extract([trial])[0]["eeg"]


@pytest.mark.parametrize("rate", [128, 256])
@pytest.mark.parametrize("baseline", ["signal", "none"])
def test_with_a_long_lag_windows_are_those_offline(rate, baseline, microvolts, monkeypatch):
    """In the inner of the recording: what comes is seen as far as the filters reach, and what was before too."""
    part = EEGGridFeatures(baseline=baseline)
    predictor = Predictor(network(part))
    seen = features_seen(predictor, monkeypatch)
    windows = list(live_windows(predictor, Played(microvolts[rate], rate), lag_seconds=12.0))
    expected = offline(part, microvolts[rate], rate)
    assert len(seen) == len(expected) - 6
    starts = [window.start_seconds for window in windows]
    np.testing.assert_allclose(starts, (3 if baseline == "signal" else 0) + 2 * np.arange(len(seen)))
    # Resampling of a piece rings a little otherwise than that of the whole; the first window has nothing before it.
    tolerance = 1e-6 if rate == 128 else 1e-3
    np.testing.assert_allclose(np.concatenate(seen)[6:], expected[6 : len(seen)], rtol=0, atol=tolerance)


def test_without_lag_the_last_steps_are_off_and_a_lag_mends_it(microvolts, monkeypatch):
    part = EEGGridFeatures(baseline="none")
    expected = offline(part, microvolts[128], 128)
    cells = tuple(signals.grid_positions(CHANNELS).T)
    errors = {}
    for lag in (0.0, 0.5, 2.0):
        predictor = Predictor(network(part))
        seen = features_seen(predictor, monkeypatch)
        list(live_windows(predictor, Played(microvolts[128], 128), lag_seconds=lag))
        error = np.abs(np.concatenate(seen)[6:] - expected[6 : len(seen)])[:, :, cells[0], cells[1]]
        errors[lag] = error.mean(axis=(0, 2, 3))
    # By step of the window: it is the last one that does not see what comes.
    assert errors[0.0][-1] > 10 * errors[0.0][0]
    assert errors[0.0][-1] > 3 * errors[0.5][-1] > 9 * errors[2.0][-1]


def test_latency_is_that_of_the_last_sample(microvolts):
    """The stream's clock is 0.25 s behind, its pieces have 37 samples, and a window waits for its lag."""
    predictor = Predictor(network(EEGGridFeatures(baseline="none")))
    windows = list(live_windows(predictor, Played(microvolts[128][:, : 8 * 128], 128), lag_seconds=0.5))
    assert len(windows) == 3
    for window in windows:
        assert 0.75 <= window.latency_seconds <= 0.75 + 38 / 128
        assert abs(window.probabilities.sum() - 1) < 1e-6


def test_memory_is_bounded(microvolts, monkeypatch):
    predictor = Predictor(network(EEGGridFeatures(baseline="none")))
    features_seen(predictor, monkeypatch)
    windows = live_windows(predictor, Played(microvolts[128], 128))
    lengths = [windows.gi_frame.f_locals["buffer"].shape[1] for _ in windows]
    assert len(lengths) == 20
    # Lead-in, window, and a piece of the stream.
    assert max(lengths) <= round((predictor.lead_seconds + 2) * 128) + 37


def test_refused(microvolts):
    predictor = Predictor(network(EEGGridFeatures(baseline="none", window_seconds=0.5, steps=1)))
    with pytest.raises(InputError, match=r"^played: `window_seconds` of 0.5 s is 0.55 samples"):
        next(live_windows(predictor, Played(microvolts[128], 1.1)))


@pytest.mark.parametrize(
    ("unit", "factor"), [("microvolts", 1), ("uV", 1), ("mV", 1e3), ("volts", 1e6), ("-6", 1), ("0", 1e6), (None, 1e6)]
)
def test_units_of_streams(unit, factor):
    assert live.microvolt_factor(unit) == factor


@pytest.mark.parametrize("words", [(), ("some.edf", "--lsl", "name")])
def test_a_recording_or_a_stream(words, capsys):
    with pytest.raises(SystemExit):
        cli.main(["predict", "model.keras", *words])
    assert "give a recording, or --lsl" in capsys.readouterr().err


def test_the_loopback(microvolts, tmp_path, capsys):
    """A player of a recorded file, on this machine, in real time."""
    pytest.importorskip("mne_lsl", reason="mne-lsl is not installed (the extra `lsl`)")
    from mne_lsl.player import PlayerLSL

    part = EEGGridFeatures(baseline="none", window_seconds=0.5, steps=1)
    network(part, synthetic=True).save(tmp_path / "model.keras")
    info = mne.create_info(list(CHANNELS[:3]), 128.0, "eeg", verbose="error")
    raw = mne.io.RawArray(microvolts[128][:3] * 1e-6, info, verbose="error")
    with PlayerLSL(raw, chunk_size=16, name="keras_emotion_test", annotations=False):
        words = ["predict", str(tmp_path / "model.keras"), "--lsl", "keras_emotion_test", "--seconds", "1.5"]
        assert cli.main(words) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "note: 1 of 4 channels missing: C4"
    assert out[1].startswith("warning: trained on synthetic data")
    assert len(out) == 5
    assert [float(line.split()[0]) for line in out[2:]] == [0.0, 0.5, 1.0]
    assert all(float(line.split()[-2]) < 5 for line in out[2:])


def test_no_such_stream(tmp_path):
    pytest.importorskip("mne_lsl", reason="mne-lsl is not installed (the extra `lsl`)")
    with pytest.raises(InputError, match=r"no such stream within 0\.2 s"):
        live.LabStreamingLayer("keras_emotion_nobody", timeout_seconds=0.2)


def test_without_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "mne_lsl", None)
    with pytest.raises(InputError, match=r"pip install 'keras_emotion\[lsl\]'"):
        live.LabStreamingLayer("name")
