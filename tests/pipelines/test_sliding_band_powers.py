"""Band powers in sliding windows within overlapping blocks, and the band-passed signal of blocks."""

import dataclasses

import numpy as np
import pytest
import scipy.signal

from keras_emotion.pipelines import SlidingBandPowers, Windowing, find_part
from keras_emotion.schema import InputError, Recording, Trial

NAMES = ("F3", "GSR1", "F4")
RATE = 128.0


def trial_of(seconds=9.0, baseline_seconds=3.0, number=1, rate=RATE, names=NAMES, eeg=("F3", "F4"), signal=None):
    n_samples = round((seconds + baseline_seconds) * rate)
    if signal is None:
        signal = np.random.default_rng(number).standard_normal((len(names), n_samples))
    recording = Recording(signal, names, ("uV",) * len(names), rate, baseline_seconds)
    return Trial("test", 1, number, f"film{number}", recording, eeg, {"valence": 6.0})


def test_powers_of_each_step_are_those_of_its_window():
    arrays, table = SlidingBandPowers().extract([trial_of(number=1), trial_of(number=2)])
    # Blocks of 4 s at 0, 2 and 4 s; 25 windows of 1 s, each 0.125 s.
    assert arrays["eeg"].shape == (2 * 3, 25, 2, 5)
    assert arrays["eeg"].dtype == np.float32
    assert table["start_seconds"].tolist() == [0.0, 2.0, 4.0] * 2
    assert (table["stop_seconds"] - table["start_seconds"] == 4.0).all()
    signal = trial_of(number=2).recording.signal[[0, 2], 3 * 128 :]
    for block, step in ((0, 0), (1, 7), (2, 24)):
        start = round(block * 256 + step * 16)
        frequencies, density = scipy.signal.welch(signal[:, start : start + 128], RATE, nperseg=128)
        for band, (low, high) in enumerate(SlidingBandPowers().bands.values()):
            # Each frequency stands for half a hertz on both of its sides.
            shares = np.clip(np.minimum(high, frequencies + 0.5) - np.maximum(low, frequencies - 0.5), 0, None)
            np.testing.assert_allclose(arrays["eeg"][3 + block, step, :, band], np.log(density @ shares), rtol=1e-5)


def test_a_tone_has_its_power_in_its_band():
    times = np.arange(round(12 * RATE)) / RATE
    tone = np.stack([2 * np.sin(2 * np.pi * 10 * times), times * 0, 4 * np.sin(2 * np.pi * 20 * times)])
    eeg = SlidingBandPowers().extract([trial_of(signal=tone)])[0]["eeg"]
    np.testing.assert_allclose(eeg[..., 0, 2], np.log(2), rtol=1e-5)
    np.testing.assert_allclose(eeg[..., 1, 3], np.log(8), rtol=1e-5)
    assert np.isfinite(eeg).all()


@pytest.mark.parametrize("eeg_input", ["powers", "raw"])
def test_a_lag_cuts_the_eeg_later_and_keeps_the_time_of_the_stimulus(eeg_input):
    part = SlidingBandPowers(eeg_input=eeg_input)
    lagged = part.with_windowing(Windowing(window_seconds=4.0, hop_seconds=2.0, lag_seconds=1.5))
    # A block that ends after the trial is left out: the third ends at 8 + 1.5 s of 9 s.
    arrays, table = lagged.extract([trial_of()])
    assert table["start_seconds"].tolist() == [0.0, 2.0]
    every_half_second = part.with_windowing(Windowing(window_seconds=4.0, hop_seconds=0.5))
    expected = every_half_second.extract([trial_of()])[0]["eeg"][[3, 7]]
    np.testing.assert_allclose(arrays["eeg"], expected, rtol=1e-5, atol=1e-6)


def test_raw_blocks_are_the_band_passed_signal():
    arrays, _ = SlidingBandPowers(eeg_input="raw").extract([trial_of()])
    assert arrays["eeg"].shape == (3, 512, 2)
    sections = scipy.signal.butter(4, (0.4, 45.0), "bandpass", fs=RATE, output="sos")
    filtered = scipy.signal.sosfiltfilt(sections, trial_of().recording.signal[[0, 2]], padlen=27)[:, 3 * 128 :]
    for block, start in enumerate((0, 256, 512)):
        np.testing.assert_allclose(arrays["eeg"][block], filtered[:, start : start + 512].T, atol=1e-5)


def test_what_a_saved_model_must_know():
    part = SlidingBandPowers(lag_seconds=0.5, eeg_input="raw")
    assert find_part("SlidingBandPowers") is SlidingBandPowers
    assert SlidingBandPowers.from_fields(part.description()["fields"]) == part
    assert part.array_shapes(32, 128.0) == {"eeg": (512, 32)}
    assert SlidingBandPowers().array_shapes(62, 200.0) == {"eeg": (25, 62, 5)}
    assert list(part.frequency_bands) == ["delta", "theta", "alpha", "beta", "gamma"]
    assert SlidingBandPowers().lead_in_seconds(128.0) == 0
    # Half of a cycle of 0.4 Hz and more.
    assert 5 < part.lead_in_seconds(128.0) < 100


@pytest.mark.parametrize(
    ("options", "trials", "message"),
    [
        ({}, [], "no trials"),
        ({}, [trial_of(seconds=3.5)], "lasts 3.5 s; expected at least a window of 4 s; choose shorter windows"),
        ({"lag_seconds": 6.0}, [trial_of()], "expected at least a window of 4 s and the lag of 6 s"),
        ({"lag_seconds": 0.001}, [trial_of()], "lag_seconds"),
        ({"step_hop_seconds": 0.001}, [trial_of()], "step_hop_seconds"),
        ({}, [trial_of(rate=64.0)], "45"),
        ({}, [trial_of(), trial_of(rate=256.0, number=2)], "trial 2: channels or sampling rate differ from the first"),
        ({}, [trial_of(), trial_of(eeg=("F3",), number=2)], "trial 2: channels or sampling rate differ from the first"),
    ],
)
def test_faults(options, trials, message):
    with pytest.raises(InputError, match=message):
        SlidingBandPowers(**options).extract(trials)


def test_fields_that_do_not_fit():
    with pytest.raises(ValueError, match="step_window_seconds: 5 s; expected at most window_seconds"):
        SlidingBandPowers(step_window_seconds=5.0)
    with pytest.raises(ValueError, match=r"bands.x: 5 to 4 Hz"):
        SlidingBandPowers(bands={"x": (5.0, 4.0)})


def test_a_trial_without_eeg():
    with pytest.raises(InputError, match="has no EEG"):
        SlidingBandPowers().extract([dataclasses.replace(trial_of(), recording=None)])
