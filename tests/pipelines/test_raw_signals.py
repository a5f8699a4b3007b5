"""Raw windows of EEG and peripheral signals."""

import dataclasses

import numpy as np
import pytest

from keras_emotion.pipelines import RawSignals
from keras_emotion.schema import InputError, Recording, Trial

NAMES = ("F3", "GSR1", "F4")
RATE = 8.0


def trial_of(seconds=5.5, baseline_seconds=3.0, number=1, rate=RATE, names=NAMES, eeg=("F3", "F4"), seed=0):
    n_samples = round((seconds + baseline_seconds) * rate)
    signal = np.random.default_rng([seed, number]).standard_normal((len(names), n_samples)) * [[1], [1000], [1]]
    recording = Recording(signal, names, ("uV", "ohm", "uV"), rate, baseline_seconds)
    return Trial("test", 1, number, f"film{number}", recording, eeg, {"valence": 6.0})


def test_windows_are_the_signal_less_the_mean_segment():
    trials = [trial_of(number=number) for number in (1, 2)]
    arrays, table = RawSignals(sampling_rate_hz=RATE).extract(trials)
    assert arrays["bio"].shape == (2 * 5, 8, 3)
    assert arrays["bio"].dtype == np.float32
    for trial, first in zip(trials, (0, 5), strict=True):
        signal = trial.recording.signal
        mean = (signal[:, :8] + signal[:, 8:16] + signal[:, 16:24]) / 3
        for window in range(5):
            start = 24 + 8 * window
            expected = (signal[:, start : start + 8] - mean).T
            np.testing.assert_allclose(arrays["bio"][first + window], expected, rtol=1e-5, atol=1e-4)
    assert table["trial"].tolist() == [1] * 5 + [2] * 5
    assert table["start_seconds"].tolist() == [0.0, 1.0, 2.0, 3.0, 4.0] * 2
    assert (table["stop_seconds"] - table["start_seconds"] == 1.0).all()


@pytest.mark.parametrize(("channels", "rows"), [("all", [0, 1, 2]), ("eeg", [0, 2]), ("peripheral", [1])])
def test_channels_are_chosen_by_name(channels, rows):
    trial = trial_of()
    part = RawSignals(sampling_rate_hz=None, channels=channels, baseline="none")
    arrays, _ = part.extract([trial])
    expected = trial.recording.signal[rows, 24:64].reshape(len(rows), 5, 8)
    np.testing.assert_allclose(arrays["bio"], np.moveaxis(expected, 0, -1), rtol=1e-6)


def test_other_window_lengths():
    arrays, table = RawSignals(sampling_rate_hz=RATE, window_seconds=0.5).extract([trial_of()])
    assert arrays["bio"].shape == (11, 4, 3)
    assert table["stop_seconds"].iloc[-1] == 5.5


@pytest.mark.parametrize(
    ("trials", "message"),
    [
        ([], "no trials"),
        ([trial_of(rate=16.0)], "sampling rate 16 Hz; expected 8 Hz"),
        ([trial_of(), trial_of(names=("F3", "GSR1", "F7"), eeg=("F3",), number=2)], "differ from the first trial"),
        ([trial_of(seconds=0.5)], "0.5 s of signal; expected at least one window of 1 s"),
        ([trial_of(baseline_seconds=0.0)], "too short for a baseline of 1 s; use --system.bio.baseline none"),
        ([dataclasses.replace(trial_of(), recording=None)], "has no EEG"),
    ],
)
def test_what_cannot_be_cut_is_said(trials, message):
    with pytest.raises(InputError, match=message):
        RawSignals(sampling_rate_hz=RATE).extract(trials)


def test_data_without_peripheral_channels_are_named():
    with pytest.raises(InputError, match="EEG only"):
        RawSignals(sampling_rate_hz=RATE, channels="peripheral").extract([trial_of(eeg=NAMES)])
