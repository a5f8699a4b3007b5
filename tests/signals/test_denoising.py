"""Wavelet soft thresholding against PyWavelets channel by channel, and what it keeps."""

import numpy as np
import pytest
import pywt
import scipy.stats

from keras_emotion.signals import wavelet_denoise

RATE = 128


def noise(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


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
        ({"signal": np.zeros(223)}, "`signal` has 223 samples; 5 levels of db4 need 224 or more"),
        ({"signal": np.float64(1)}, "`signal` is a scalar"),
    ],
)
def test_faults(arguments, message):
    with pytest.raises(ValueError, match=message):
        wavelet_denoise(**{"signal": np.zeros(224), **arguments})
