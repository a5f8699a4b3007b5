"""Resampling compared with tones in closed form."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_emotion.signals import ResampledSignal, rate_ratio, resample

SECONDS = 20


def tone(frequency_hz, rate_hz, phase=0.3):
    return np.sin(2 * np.pi * frequency_hz * np.arange(SECONDS * rate_hz) / rate_hz + phase)


def inner(signal, rate_hz):
    """Without two seconds at either end, where the filter uses the extension."""
    return signal[..., 2 * rate_hz : -2 * rate_hz]


@pytest.mark.parametrize(("old", "new"), [(256, 128), (512, 128), (500, 128), (128, 256), (2048, 128), (300, 200)])
@pytest.mark.parametrize("share", [0.02, 0.4, 0.79])
def test_tone_below_keeps_amplitude_and_phase(old, new, share):
    frequency_hz = share * min(old, new) / 2
    found = resample(tone(frequency_hz, old), old, new)
    assert len(found) == SECONDS * new
    np.testing.assert_allclose(inner(found, new), inner(tone(frequency_hz, new), new), atol=3e-4)


@pytest.mark.parametrize(("old", "new"), [(256, 128), (512, 128), (500, 128), (300, 200)])
@pytest.mark.parametrize("share", [1.005, 1.2, 1.37])
def test_tone_above_the_new_nyquist_frequency_is_gone(old, new, share):
    found = resample(tone(share * new / 2, old), old, new)
    assert np.abs(inner(found, new)).max() < 2e-4
    # Without the filter it would be there in full.
    assert np.abs(tone(share * new / 2, old)[:: max(1, old // new)]).max() > 0.9


def test_offset_and_drift_do_not_ring():
    line = 5000 + np.linspace(-300, 300, 4001)
    np.testing.assert_allclose(resample(line, 256, 128), line[::2], atol=1e-8)


def test_shapes_and_dtypes():
    signal = np.random.default_rng(0).standard_normal((2, 3, 1001))
    found = resample(signal, 256, 128)
    assert found.shape == (2, 3, 501)
    np.testing.assert_allclose(found[1, 2], resample(signal[1, 2], 256, 128))
    assert resample(signal.astype(np.float32), 256, 128).dtype == np.float32
    assert resample(np.arange(100), 256, 128).dtype == np.float64
    same = resample(signal, 256, 256)
    np.testing.assert_array_equal(same, signal)
    assert not np.shares_memory(same, signal)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 400), st.sampled_from([(256, 128), (500, 128), (128, 256)]), st.floats(-1e4, 1e4))
def test_length_and_constant(n_samples, rates, value):
    found = resample(np.full(n_samples, value), *rates)
    assert len(found) == -(-n_samples * rates[1] // rates[0])
    np.testing.assert_allclose(found, value, rtol=1e-9, atol=1e-9)


def test_rate_ratio():
    assert rate_ratio(256.0, 128) == rate_ratio(1, 0.5) == 1 / 2
    assert (rate_ratio(500, 128).numerator, rate_ratio(500, 128).denominator) == (32, 125)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.zeros(5), 0, 128), "`sampling_rate_hz` is 0"),
        ((np.zeros(5), 256, float("nan")), "`new_sampling_rate_hz` is nan"),
        ((np.zeros((3, 0)), 256, 128), r"`signal` has shape \(3, 0\)"),
        ((np.float64(1), 256, 128), r"`signal` has shape \(\)"),
        ((np.zeros(5, complex), 256, 128), "complex"),
    ],
)
def test_guards(arguments, message):
    with pytest.raises(ValueError, match=message):
        resample(*arguments)


@pytest.mark.parametrize("rates", [(256, 128), (500, 128), (160, 128), (100, 128), (128, 128)])
def test_pieces_are_those_of_the_whole(rates):
    """With an offset and a drift a thousand times the signal, as recordings have them, and pieces at any place."""
    rng = np.random.default_rng(5)
    signal = rng.standard_normal((2, 3001)) + 1000 + np.linspace(0, 5000, 3001)
    asked = []

    def read(start, stop):
        asked.append(stop - start)
        return signal[:, start:stop]

    whole = resample(signal, *rates)
    pieces = ResampledSignal(read, signal.shape[1], *rates)
    assert pieces.n_samples == whole.shape[1]
    n = whole.shape[1]
    bounds = [0, 1, n // 10, n // 10 + 1, n // 3, n // 2, n - 1, n]
    joined = np.concatenate([pieces.read(*pair) for pair in itertools.pairwise(bounds)], axis=1)
    np.testing.assert_allclose(joined, whole, rtol=0, atol=1e-8)
    # No piece needed the whole signal.
    assert max(asked) < 0.6 * signal.shape[1]
