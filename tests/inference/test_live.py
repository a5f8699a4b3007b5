"""A saved model on a stream: what a window sees, how late it is, and how far from the same window offline."""

import json
import sys

import mne
import numpy as np
import pytest

from keras_emotion import cli, models, signals
from keras_emotion.datasets.electrodes import ChannelTable
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
    source_id, connection, notes = "a", 1, ()

    def __init__(self, microvolts, rate):
        self.signal = np.zeros((5, microvolts.shape[1]))
        self.signal[[2, 3, 4, 0]] = microvolts
        self.sampling_rate_hz, self._at, self._now = rate, 0, 0.0
        self.times = np.arange(microvolts.shape[1]) / rate

    def pull(self):
        start, stop = self._at, min(self._at + 37, self.signal.shape[1])
        self._at = stop
        self._now = self.times[stop - 1] + 1 / self.sampling_rate_hz + 0.25 if stop > start else self._now + 1.0
        return self.signal[:, start:stop], self.times[start:stop]

    def clock(self):
        return self._now


@pytest.fixture(scope="module")
def microvolts():
    rng = np.random.default_rng(1)
    return {rate: rng.normal(0, 15, (4, 40 * rate)) + 1e3 * np.arange(4)[:, np.newaxis] for rate in (128, 256)}


def features_seen(predictor, monkeypatch):
    """What the model is given, window by window, in place of what it says."""
    seen = []

    def apply(inputs):
        seen.append(inputs["eeg"])
        return {"probabilities": np.zeros((1, 2))}

    monkeypatch.setattr(predictor, "apply", apply)
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
    lengths = [windows.gi_frame.f_locals["windows"]._buffer.shape[1] for _ in windows]
    assert len(lengths) == 20
    # Lead-in, window, and a piece of the stream.
    assert max(lengths) <= round((predictor.lead_seconds + 2) * 128) + 37


def test_refused(microvolts):
    predictor = Predictor(network(EEGGridFeatures(baseline="none", window_seconds=0.5, steps=1)))
    with pytest.raises(InputError, match=r"^played: `window_seconds` of 0.5 s is 0.55 samples"):
        next(live_windows(predictor, Played(microvolts[128], 1.1)))


# --- what a stream lacks


def played(predictor, microvolts, change=lambda signal, times: None, n_seconds=40):
    """Windows of a stream, and what was said of it."""
    stream = Played(microvolts[128][:, : n_seconds * 128].copy(), 128)
    stream.times = 50 + np.arange(n_seconds * 128) / 128
    change(stream.signal, stream.times)
    kept = np.isfinite(stream.times)
    stream.signal, stream.times = stream.signal[:, kept], stream.times[kept]
    said = []
    return list(live_windows(predictor, stream, say=said.append)), said


def lose(start, stop):
    """Samples that never came."""

    def change(signal, times):
        times[round(start * 128) : round(stop * 128)] = np.nan

    return change


@pytest.mark.parametrize("baseline", ["none", "signal"])
def test_after_a_loss_windows_begin_anew(baseline, microvolts, monkeypatch):
    """7 s are lost after 21 s: times are those of the stamps, and features those of what came after by itself."""
    predictor = Predictor(network(EEGGridFeatures(baseline=baseline)))
    seen = features_seen(predictor, monkeypatch)
    windows, said = played(predictor, microvolts, lose(21, 28))
    onset = 3 if baseline == "signal" else 0
    starts = [window.start_seconds for window in windows]
    np.testing.assert_allclose(starts, [*range(onset, 20, 2), *range(28, 39, 2)])
    assert windows[-1].stop_seconds == pytest.approx(40)
    assert said == [
        "played: 28.0 s: 7 s lost (896 samples), or its clock was set",
        "played: no samples for 5 s; the stream has ended",
        "played: samples were lost 1 times, 7 s in all",
    ]
    if baseline == "none":
        after = {128: microvolts[128][:, 28 * 128 :]}
        n_after, together = 6, [*seen]
        seen.clear()
        played(predictor, after, n_seconds=12)
        np.testing.assert_allclose(together[-n_after:], seen, atol=1e-6)


def test_a_loss_in_the_baseline(microvolts, monkeypatch):
    predictor = Predictor(network(EEGGridFeatures(baseline="signal")))
    features_seen(predictor, monkeypatch)
    windows, said = played(predictor, microvolts, lose(1, 1.5), n_seconds=12)
    np.testing.assert_allclose([window.start_seconds for window in windows], [4.5, 6.5, 8.5])
    assert "0.5 s lost (64 samples)" in said[0]


def test_a_stream_without_a_signal(microvolts, monkeypatch):
    """Samples that are no numbers, channels that do not change: no probability there, and where filters ring of it."""
    predictor = Predictor(network(EEGGridFeatures(baseline="none")))
    seen = features_seen(predictor, monkeypatch)

    def change(signal, times):
        signal[3, 13 * 128 + 64] = np.nan
        signal[:, 22 * 128 : 23 * 128] = 0
        signal[1] = np.inf  # a channel that the model does not ask for

    windows, said = played(predictor, microvolts, change, n_seconds=30)
    problems = {round(window.start_seconds): window.problem for window in windows if window.problem}
    # What comes after a window is not known in time.
    near = "within 1.7 s of samples without signal"
    assert problems == {
        12: "non-finite samples in F4",
        14: near,
        22: "constant signal in all EEG channels",
        24: near,
    }
    for window in windows:
        assert np.isnan(window.probabilities).all() == bool(window.problem)
        assert np.isfinite(window.probabilities).all() != bool(window.problem)
    assert (said, len(seen)) == (["played: no samples for 5 s; the stream has ended"], 11)
    assert np.isfinite(seen).all()


def test_a_stream_of_another_size(microvolts, monkeypatch):
    """Volts taken for microvolts are refused; electrodes that settle are waited for."""
    predictor = Predictor(network(EEGGridFeatures(baseline="none")))
    features_seen(predictor, monkeypatch)

    def settle(signal, times):
        signal[:, : 5 * 128] *= 1e4

    windows, _ = played(predictor, microvolts, settle, n_seconds=16)
    assert [bool(window.problem) for window in windows] == [True] * 3 + [False] * 5
    assert "EEG has a standard deviation of" in windows[0].problem

    def in_volts(signal, times):
        signal *= 1e-6

    with pytest.raises(InputError, match=r"played: EEG has .*volts read as microvolts.? if so, set factor 1e.06"):
        played(predictor, microvolts, in_volts)


@pytest.mark.parametrize(
    ("unit", "factor"),
    [
        ("microvolts", 1),
        ("uV", 1),
        ("uVolts", 1),
        ("\N{GREEK SMALL LETTER MU}V", 1),
        ("\N{MICRO SIGN}V", 1),
        ("nV", 1e-3),
        ("nanovolts", 1e-3),
        ("mV", 1e3),
        ("volts", 1e6),
        ("-6", 1),
        ("0", 1e6),
        (None, 1),
        ("counts", 1),
    ],
)
def test_units_of_streams(unit, factor):
    assert live.microvolt_factor(unit) == factor


def test_what_a_stream_says_of_its_channels(tmp_path):
    """A unit that is none is said; what the user says counts besides."""
    (tmp_path / "channels.csv").write_text("name,kind,electrode,factor\nE1,,Fz,10\nE4,none,,\n")
    units = ["nV", None, "counts", "uV", "uS"]
    table = ChannelTable(tmp_path / "channels.csv")
    rows, names, known, factors, notes = live.describe_channels(["E1", "F3", "F4", "E4", "GSR"], units, table)
    assert (rows, names, known) == ([0, 1, 2, 4], ("Fz", "F3", "F4", "GSR"), ("uV", "uV", "uV", "uS"))
    np.testing.assert_allclose(factors, [[1e-2], [1], [1], [1]])
    assert notes == (
        "unit none of F3: values are taken for microvolts",
        "unit counts of F4: values are taken for microvolts",
    )
    with pytest.raises(ValueError, match="`unit` is uS; expected one of voltage"):
        live.microvolt_factor("uS")


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
    # The player stamps a chunk by its end, a moment ahead of the clock.
    late = [line.partition("latency ")[2] for line in out[2:]]
    assert all(one == "unknown" or 0 <= float(one.removesuffix(" s")) < 5 for one in late)


def test_no_such_stream(tmp_path):
    pytest.importorskip("mne_lsl", reason="mne-lsl is not installed (the extra `lsl`)")
    with pytest.raises(InputError, match=r"no such stream within 0\.2 s"):
        live.LabStreamingLayer("keras_emotion_nobody", timeout_seconds=0.2)


def test_without_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "mne_lsl", None)
    with pytest.raises(InputError, match=r"pip install 'keras_emotion\[lsl\]'"):
        live.LabStreamingLayer("name")
