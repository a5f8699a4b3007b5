import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_emotion.signals import sample_count, window_starts, windows

RATES_HZ = (1, 100, 128, 128.0, 200, 250, 256, 512, 1000)


@settings(deadline=None)
@given(
    n_channels=st.integers(1, 3),
    n_samples=st.integers(1, 400),
    window=st.integers(1, 60),
    hop=st.none() | st.integers(1, 80),
    rate_hz=st.sampled_from(RATES_HZ),
)
def test_windows_are_the_slices_at_their_starts(n_channels, n_samples, window, hop, rate_hz):
    signal = np.arange(n_channels * n_samples).reshape(n_channels, n_samples)
    lengths = (window / rate_hz, None if hop is None else hop / rate_hz)
    if n_samples < window:
        with pytest.raises(ValueError, match="expected at least one window"):
            windows(signal, rate_hz, *lengths)
        return
    cut = windows(signal, rate_hz, *lengths)
    expected, start = [], 0
    while start + window <= n_samples:
        expected.append(signal[:, start : start + window])
        start += hop or window
    np.testing.assert_array_equal(cut, np.stack(expected, axis=1))
    assert np.shares_memory(cut, signal)
    starts = window_starts(n_samples, rate_hz, *lengths)
    np.testing.assert_array_equal(np.rint(starts * rate_hz), cut[0, :, 0])
    np.testing.assert_allclose(starts, cut[0, :, 0] / rate_hz, rtol=1e-15)


@settings(deadline=None)
@given(n_windows=st.integers(1, 40), window=st.integers(1, 40), rest=st.integers(0, 39))
def test_without_overlap_every_sample_but_the_remainder_is_covered_once(n_windows, window, rest):
    signal = np.arange(n_windows * window + rest % window)
    cut = windows(signal, 1, window)
    assert cut.shape == (n_windows, window)
    np.testing.assert_array_equal(cut.ravel(), signal[: n_windows * window])


def test_leading_axes_dtype_and_any_layout_without_a_copy():
    signal = np.arange(2 * 3 * 50, dtype=np.float32).reshape(2, 3, 50)
    cut = windows(signal, 10, 1, 0.5)
    assert cut.shape == (2, 3, 9, 10)
    assert cut.dtype == np.float32
    strided = np.asfortranarray(signal)[:, ::-1, ::2]
    cut = windows(strided, 10, 0.5)
    assert cut.shape == (2, 3, 5, 5)
    assert np.shares_memory(cut, strided)
    np.testing.assert_array_equal(cut[1, 2, 4], strided[1, 2, 20:25])
    assert not cut.flags.writeable


@pytest.mark.parametrize(
    ("seconds", "rate_hz", "samples"), [(0.3, 10, 3), (0.1, 30, 3), (1 / 3, 600, 200), (63, 128, 8064)]
)
def test_rounding_of_seconds_is_forgiven(seconds, rate_hz, samples):
    assert sample_count(seconds, rate_hz, "window_seconds") == samples


def test_bad_arguments():
    signal = np.zeros((2, 100))
    with pytest.raises(ValueError, match=r"`window_seconds` of 0.125 s is 12.5 samples at 100 Hz"):
        windows(signal, 100, 0.125)
    with pytest.raises(ValueError, match=r"`hop_seconds` of 0.125 s is 12.5 samples"):
        window_starts(100, 100, 0.5, 0.125)
    with pytest.raises(ValueError, match="whole number"):
        windows(signal, 100, 0.5 + 1e-10)
    with pytest.raises(ValueError, match="`window_seconds` is 0"):
        windows(signal, 100, 0)
    with pytest.raises(ValueError, match=r"`hop_seconds` is -0.5"):
        windows(signal, 100, 0.5, -0.5)
    with pytest.raises(ValueError, match="100 samples; expected at least one window of 200"):
        windows(signal, 100, 2)
    with pytest.raises(ValueError, match="`sampling_rate_hz` is 0"):
        windows(signal, 0, 2)
    with pytest.raises(ValueError, match="whole number"):
        windows(signal, 100, float("nan"))
    with pytest.raises(ValueError, match="scalar"):
        windows(1.0, 100, 1)
