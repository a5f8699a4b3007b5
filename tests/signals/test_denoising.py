"""Wavelet soft thresholding compared with PyWavelets channel by channel, and its effect on signals."""

import warnings

import mne
import numpy as np
import pytest
import pywt
import scipy.signal
import scipy.stats

from keras_emotion.signals import band_pass, wavelet_denoise

RATE = 128


def noise(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def kept_power(before, after, low_hz, high_hz):
    """Share of a band's power that remains, away from the ends."""
    sections = scipy.signal.butter(4, (low_hz, high_hz), "bandpass", fs=RATE, output="sos")
    old, new = (np.square(scipy.signal.sosfiltfilt(sections, one)[..., 256:-256]).sum() for one in (before, after))
    return new / old


@pytest.mark.parametrize("n_samples", [8064, 1001])
def test_rows_are_thresholded_by_themselves(n_samples):
    times = np.arange(n_samples) / RATE
    signal = noise(2, 3, n_samples) * np.array([1.0, 4.0, 0.2])[:, np.newaxis] + 3 * np.sin(2 * np.pi * 6 * times)
    found = wavelet_denoise(signal)
    assert found.shape == signal.shape
    for place in np.ndindex(2, 3):
        coefficients = pywt.wavedec(signal[place], "db4", level=5)
        assert len(coefficients) == 6
        threshold = np.median(np.abs(coefficients[-1])) / scipy.stats.norm.ppf(0.75) * np.sqrt(2 * np.log(n_samples))
        coefficients[1:] = [pywt.threshold(one, threshold, "soft") for one in coefficients[1:]]
        np.testing.assert_allclose(found[place], pywt.waverec(coefficients, "db4")[:n_samples], atol=1e-12)


def test_of_white_noise_little_but_the_approximation_is_left():
    signal = noise(16, 8192)
    coefficients = pywt.wavedec(signal, "db4", level=5, axis=-1)
    approximation = pywt.waverec([coefficients[0], *(0 * one for one in coefficients[1:])], "db4", axis=-1)
    np.testing.assert_allclose(np.square(approximation).mean(), 1 / 32, rtol=0.1)
    # The expected maximum of 8192 normal values is just below the threshold.
    assert np.square(wavelet_denoise(signal) - approximation).mean() < 1e-4


def test_a_sine_far_above_the_threshold_keeps_its_power():
    n_samples, amplitude = 8192, 100.0
    sine = amplitude * np.sin(2 * np.pi * 10 * np.arange(n_samples) / RATE)
    white = noise(n_samples)
    found = wavelet_denoise(sine + white)
    # Each coefficient moves by the threshold at most, and what is done to coefficients is done to the signal (Parseval;
    # db4 is orthogonal): the change is at most `threshold` a sample, the sine has `amplitude / sqrt(2)`.
    details = pywt.wavedec(sine + white, "db4", level=5)[-1]
    threshold = np.median(np.abs(details)) / scipy.stats.norm.ppf(0.75) * np.sqrt(2 * np.log(n_samples))
    bound = threshold * np.sqrt(2) / amplitude
    change = found - (sine + white)
    # Without the ends, where the extension adds coefficients.
    assert 0 < np.sqrt(np.square(change[256:-256]).mean()) <= threshold
    kept = kept_power(sine + white, found, 8, 13)
    assert (1 - bound) ** 2 <= kept < 1


def test_noise_of_known_size_is_removed_from_every_band():
    signal = 3.0 * noise(8, 8192)
    found = wavelet_denoise(signal)
    # The approximation reaches to 2 Hz; a wavelet's skirt leaves a little above.
    for low_hz, high_hz, most in ((4, 8, 0.02), (8, 13, 1e-3), (13, 30, 1e-3)):
        assert kept_power(signal, found, low_hz, high_hz) < most


@pytest.mark.parametrize(("wave", "is_gained"), [(0.0, False), (3000.0, True)])
def test_a_band_gains_power_from_a_strong_neighbour_though_no_coefficient_grows(wave, is_gained):
    times = np.arange(8192) / RATE
    signal = noise(times.size) + wave * np.sin(2 * np.pi * 2.75 * times)
    found = wavelet_denoise(signal)
    before, after = (pywt.wavedec(one, "db4", level=5) for one in (signal, found))
    for old, new in zip(before[1:], after[1:], strict=True):
        # Again without the ends.
        assert (np.abs(new[8:-8]) <= np.abs(old[8:-8]) + 1e-9 * max(wave, 1)).all()
    assert (kept_power(signal, found, 4, 8) > 1) == is_gained


@pytest.mark.parametrize("drift", [np.full(4096, 1e4), np.linspace(0, 500, 4096)], ids=["offset", "trend"])
def test_offset_and_drift_change_nothing(drift):
    signal = noise(4096) + 4 * np.sin(2 * np.pi * 6 * np.arange(4096) / RATE)
    expected = wavelet_denoise(signal)
    found = wavelet_denoise(signal + drift) - drift
    # But for the ends, where a mirrored trend has a kink.
    np.testing.assert_allclose(found[256:-256], expected[256:-256], atol=0.02)
    np.testing.assert_allclose(kept_power(signal, found, 4, 8), kept_power(signal, expected, 4, 8), rtol=0.02)


def test_a_noiseless_polynomial_stays():
    # db4 has four vanishing moments: details of a cubic are zero but at the ends, and so is their median.
    times = np.linspace(-1, 1, 1024)
    signal = times**3 - times
    np.testing.assert_allclose(wavelet_denoise(signal), signal, atol=1e-9)


def test_dtypes_and_numbers_that_are_not_finite():
    signal = noise(2, 512).astype(np.float32)
    assert wavelet_denoise(signal).dtype == np.float32
    assert wavelet_denoise(np.arange(512)).dtype == np.float64
    signal[1, 100] = np.inf
    found = wavelet_denoise(signal)
    assert np.isnan(found[1]).all()
    np.testing.assert_array_equal(found[0], wavelet_denoise(signal[0]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"wavelet": "morl"}, "`wavelet` is 'morl'; expected a discrete wavelet"),
        ({"level": 0}, "`level` is 0; expected 1 or more"),
        ({"signal": np.zeros(223)}, "`signal` has 223 samples; expected 224 or more for 5 levels of db4"),
        ({"signal": np.float64(1)}, "`signal` is a scalar"),
    ],
)
def test_faults(arguments, message):
    with pytest.raises(ValueError, match=message):
        wavelet_denoise(**{"signal": np.zeros(224), **arguments})


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "n_channels", "change", "expected"),
    [
        ("eegmmidb_64ch_128hz_124s_T0T1T2.edf", 64, "", (53.8, 23.4, 6.5)),
        ("eegmmidb_64ch_128hz_124s_T0T1T2.edf", 64, "offset", (53.8, 23.4, 6.5)),
        ("eegmmidb_64ch_128hz_124s_T0T1T2.edf", 64, "notch", (57.2, 26.0, 8.0)),
        ("eegmmidb_64ch_128hz_124s_T0T1T2.edf", 64, "4 to 45 Hz", (49.7, 29.5, 11.5)),
        ("eeglab_data.set", 32, "", (32.0, 23.8, 19.3)),
        ("eeglab_data.set", 32, "notch", (48.3, 41.5, 27.6)),
        ("eeglab_data.set", 32, "4 to 45 Hz", (47.6, 46.7, 30.1)),
        ("mne_biosemi72_2048hz_1s.bdf", 64, "", (92.2, 99.0, 96.9)),
        ("mne_biosemi72_2048hz_1s.bdf", 64, "512 Hz", (75.3, 59.1, 40.0)),
        ("mne_biosemi72_2048hz_1s.bdf", 64, "256 Hz", (59.6, 34.8, 19.2)),
        ("eeglab_biosemi16_256hz_60s.bdf", 16, "", (146.5, 64.3, 268.3)),
        ("eeglab_biosemi16_256hz_60s.bdf", 16, "4 to 45 Hz", (62.2, 61.7, 34.9)),
    ],
)
def test_what_is_kept_of_real_recordings(real_data, name, n_channels, change, expected):
    """The table of docs/denoising.md."""
    readers = {"edf": mne.io.read_raw_edf, "set": mne.io.read_raw_eeglab, "bdf": mne.io.read_raw_bdf}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        raw = readers[name[-3:]](real_data / "eeg_files" / name, preload=True, verbose="error")
    signal, rate = raw.get_data()[:n_channels] * 1e6, raw.info["sfreq"]
    if change == "offset":
        signal = signal + 1e4
    elif change == "notch":
        signal = scipy.signal.filtfilt(*scipy.signal.iirnotch(60, 30, rate), signal)
    elif change == "4 to 45 Hz":
        signal = band_pass(signal, rate, 4, 45)
    elif change:
        signal, rate = mne.filter.resample(signal, down=rate / int(change[:3])), float(change[:3])
    denoised = wavelet_denoise(signal)
    kept = [
        np.square(band_pass(denoised, rate, *edges)).sum() / np.square(band_pass(signal, rate, *edges)).sum()
        for edges in ((4, 8), (8, 13), (13, 30))
    ]
    np.testing.assert_allclose(100 * np.array(kept), expected, atol=0.2)
