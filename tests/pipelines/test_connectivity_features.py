"""Dynamic brain networks of trials."""

import dataclasses

import numpy as np
import pytest
import scipy.signal

from keras_emotion.pipelines import ConnectivityFeatures
from keras_emotion.schema import InputError, Recording, Trial

NAMES = ("F3", "GSR1", "F4", "Oz")
RATE = 64.0
BANDS = {"alpha": (8.0, 12.0), "beta": (12.0, 30.0)}


def trial_of(seconds=13.0, number=1, rate=RATE, names=NAMES, eeg=("F3", "F4", "Oz")):
    n_samples = round((seconds + 1) * rate)
    rng = np.random.default_rng(number)
    signal = rng.standard_normal((len(names), n_samples)) + rng.standard_normal(n_samples)
    recording = Recording(signal, names, ("uV", "ohm", "uV", "uV")[: len(names)], rate, 1.0)
    return Trial("test", 1, number, f"film{number}", recording, eeg, {"valence": 6.0})


def part_of(**fields):
    return ConnectivityFeatures(**{"sample_seconds": 6.0, "window_seconds": 2.0, "bands": BANDS, **fields})


def window_of(trial, sample, window):
    """The scalp channels of a window, after the baseline of 1 s."""
    start = round((1 + 6 * sample + 2 * window) * RATE)
    return trial.recording.signal[[0, 2, 3], start : start + round(2 * RATE)]


def test_samples_are_cut_into_windows_from_the_onset_on():
    trials = [trial_of(number=number) for number in (1, 2)]
    arrays, table = part_of().extract(trials)
    assert {name: (array.shape, array.dtype) for name, array in arrays.items()} == {
        "connectivity": ((4, 3, 3, 3), np.float32),
        "eeg": ((4, 3, 3, 2), np.float32),
    }
    assert table["trial"].tolist() == [1, 1, 2, 2]
    assert table["start_seconds"].tolist() == [0.0, 6.0, 0.0, 6.0]
    assert table["stop_seconds"].tolist() == [6.0, 12.0, 6.0, 12.0]
    for row, (trial, sample) in enumerate([(trials[0], 0), (trials[0], 1), (trials[1], 0), (trials[1], 1)]):
        for window in range(3):
            expected = np.corrcoef(window_of(trial, sample, window))
            np.testing.assert_allclose(arrays["connectivity"][row, window], expected, atol=1e-6)


def test_powers_are_of_welch_and_their_logarithm():
    trial = trial_of()
    frequencies, density = scipy.signal.welch(window_of(trial, 1, 2), RATE, nperseg=64, noverlap=32)
    # Cells of 1 Hz: half of the first and of the last are outside.
    weights = ((frequencies >= 12) & (frequencies <= 30)) - 0.5 * np.isin(frequencies, (12, 30))
    expected = np.log((density * weights).sum(axis=-1))
    logarithms = part_of().extract([trial])[0]["eeg"]
    np.testing.assert_allclose(logarithms[1, 2, :, 1], expected, rtol=1e-4)
    np.testing.assert_allclose(part_of(logarithm=False).extract([trial])[0]["eeg"], np.exp(logarithms), rtol=1e-4)


def test_networks_of_powers_and_other_measures():
    trial = trial_of()
    bands = {**BANDS, "theta": (4.0, 8.0)}
    arrays, _ = part_of(connectivity_from="powers", bands=bands).extract([trial])
    np.testing.assert_allclose(arrays["connectivity"][1, 0], np.corrcoef(arrays["eeg"][1, 0]), atol=1e-5)
    for measure in ("phase_locking", "coherence"):
        network = part_of(measure=measure).extract([trial])[0]["connectivity"]
        assert network.shape == (2, 3, 3, 3)
        assert ((network >= 0) & (network <= 1 + 1e-6)).all()
        other = part_of(measure=measure, measure_band_hz=(20.0, 28.0)).extract([trial])[0]["connectivity"]
        assert abs(network - other).max() > 0.05


def constant(trial, channel):
    signal = trial.recording.signal.copy()
    signal[channel] = 3.0
    return dataclasses.replace(trial, recording=dataclasses.replace(trial.recording, signal=signal))


@pytest.mark.parametrize(
    ("trials", "message"),
    [
        ([], "no trials"),
        ([trial_of(5.0)], r"trial 1: 5 s of signal; expected at least one sample of 6 s; choose another --system"),
        ([trial_of(), trial_of(rate=32.0, number=2)], "trial 2: channels or sampling rate differ from the first"),
        ([constant(trial_of(), 3)], "connectivity is undefined for constant channels: Oz"),
        ([trial_of(rate=32.0)], r"trial 1: band `beta` is 12-30 Hz; expected 0 < low_hz < high_hz < 16 Hz"),
    ],
)
def test_what_cannot_be_used_is_named(trials, message):
    with pytest.raises(InputError, match=message):
        part_of().extract(trials)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"sample_seconds": 7.0}, "sample_seconds: 7 s are not a whole number of windows of 2 s"),
        ({"sample_seconds": 0.5}, "not a whole number of windows"),
        ({"measure": "coherence", "connectivity_from": "powers"}, "coherence applies to signals"),
        ({"bands": {}}, "at least one band"),
    ],
)
def test_fields_that_do_not_fit_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        part_of(**fields)


def test_a_trial_of_deap_is_one_sample_of_twenty_windows():
    assert ConnectivityFeatures().n_windows == 20
