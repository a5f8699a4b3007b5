import mne
import numpy as np
import pytest
import scipy.signal

from keras_emotion.signals import THREE_FACRNN_BANDS, band_power

RATE_HZ = 128.0


def integral_of_cells(frequencies_hz, density, low_hz, high_hz):
    """Integral of the density as steps around each frequency, frequency by frequency."""
    resolution_hz = frequencies_hz[1] - frequencies_hz[0]
    total = 0.0
    for frequency_hz, value in zip(frequencies_hz, density, strict=True):
        left = max(low_hz, frequency_hz - resolution_hz / 2)
        right = min(high_hz, frequency_hz + resolution_hz / 2)
        total += value * max(0.0, right - left)
    return total


@pytest.mark.parametrize(
    ("window_seconds", "segment_seconds"), [(4.0, None), (4.0, 2.0), (2.0, 2.0), (0.5, None), (8.0, 8.0)]
)
def test_equals_the_integral_of_the_density_of_mne(window_seconds, segment_seconds):
    signal = np.random.default_rng(0).standard_normal((3, 12 * 128 + 50)) * 7 + 2
    power = band_power(signal, RATE_HZ, THREE_FACRNN_BANDS, window_seconds, segment_seconds=segment_seconds)
    segment = round((segment_seconds or min(1.0, window_seconds)) * RATE_HZ)
    window = round(window_seconds * RATE_HZ)
    assert power.shape == (signal.shape[1] // window, 3, 4)
    for index in range(len(power)):
        density, frequencies_hz = mne.time_frequency.psd_array_welch(
            signal[:, index * window : (index + 1) * window],
            RATE_HZ,
            n_fft=segment,
            n_overlap=segment // 2,
            window="hann",
            verbose=False,
        )
        for channel in range(3):
            for band, (low_hz, high_hz) in enumerate(THREE_FACRNN_BANDS.values()):
                expected = integral_of_cells(frequencies_hz, density[channel], low_hz, high_hz)
                assert power[index, channel, band] == pytest.approx(expected, rel=1e-10)


def test_a_tone_has_half_its_squared_amplitude_in_its_band_only():
    time = np.arange(20 * 128) / RATE_HZ
    for band, frequency_hz in {"theta": 5.5, "alpha": 10, "beta": 22, "gamma": 40}.items():
        tone = 3 * np.sin(2 * np.pi * frequency_hz * time)[np.newaxis] + 100
        power = band_power(tone, RATE_HZ, THREE_FACRNN_BANDS, 4, segment_seconds=4)[:, 0]
        expected = np.zeros(4)
        expected[list(THREE_FACRNN_BANDS).index(band)] = 4.5
        np.testing.assert_allclose(power, np.broadcast_to(expected, power.shape), rtol=1e-3, atol=1e-9)


def test_white_noise_has_the_share_of_the_width_of_the_band():
    """Variance 4 over 64 Hz: every band, whatever its edges, has 4 / 64 for each Hz."""
    noise = 2 * np.random.default_rng(1).standard_normal((20, 600 * 128))
    bands = {"wide": (2.3, 40.1), "narrower than the resolution": (10.1, 10.4)}
    wide, narrow = band_power(noise, RATE_HZ, bands, 600)[0].mean(axis=0)
    # 20 * 1199 half-overlapping segments: a standard error of 0.7 % a frequency, and "wide" has 38 of them.
    assert wide == pytest.approx(4 / 64 * 37.8, rel=0.006)
    assert narrow == pytest.approx(4 / 64 * 0.3, rel=0.03)


def test_bands_side_by_side_add_up():
    signal = np.random.default_rng(2).standard_normal((2, 1280))
    parts = band_power(signal, RATE_HZ, {"a": (4, 9.3), "b": (9.3, 31)}, 2)
    whole = band_power(signal, RATE_HZ, {"whole": (4, 31)}, 2)
    np.testing.assert_allclose(parts.sum(axis=-1), whole[..., 0], rtol=1e-12)


def test_taper_and_hop():
    signal = np.random.default_rng(3).standard_normal((1, 512))
    power = band_power(signal, RATE_HZ, {"alpha": (8, 13)}, 2, hop_seconds=1, segment_seconds=2, taper="boxcar")
    assert power.shape == (3, 1, 1)
    for index in range(3):
        frequencies_hz, density = scipy.signal.periodogram(signal[0, 128 * index : 128 * index + 256], RATE_HZ)
        assert power[index, 0, 0] == pytest.approx(integral_of_cells(frequencies_hz, density, 8, 13), rel=1e-10)


@pytest.mark.parametrize("segment_seconds", [1.0, 5.0])  # a product with a matrix, a fast Fourier transform
def test_the_mean_of_a_segment_has_no_power(segment_seconds):
    """Through the cell of 0 Hz and the width of the taper an offset would enter a band near it."""
    signal = np.random.default_rng(5).standard_normal((2, 1280))
    arguments = (RATE_HZ, {"low": (0.1, 2)}, 5)
    plain = band_power(signal, *arguments, segment_seconds=segment_seconds)
    np.testing.assert_allclose(band_power(signal + 1e3, *arguments, segment_seconds=segment_seconds), plain, rtol=1e-9)


def test_dtype_leading_axes_blocks_and_layout(monkeypatch):
    signal = np.random.default_rng(4).standard_normal((2, 3, 4, 640))

    def of(x):
        return band_power(x, RATE_HZ, THREE_FACRNN_BANDS, 1)

    expected = np.stack([[of(one) for one in group] for group in signal])
    assert expected.shape == (2, 3, 5, 4, 4)
    np.testing.assert_allclose(of(signal), expected, rtol=1e-12)
    np.testing.assert_allclose(of(np.asfortranarray(signal)), expected, rtol=1e-12)
    monkeypatch.setattr("keras_emotion.signals.spectral_power.BLOCK_SAMPLES", 6000)
    np.testing.assert_allclose(of(signal), expected, rtol=1e-12)
    single = of(signal.astype(np.float32))
    assert single.dtype == np.float32
    # Computed in float64 and rounded once.
    np.testing.assert_array_equal(single, of(signal.astype(np.float32).astype(np.float64)).astype(np.float32))
    assert of(signal[:0]).shape == (0, 3, 5, 4, 4)
    assert np.abs(of(np.full((1, 640), 1e3))).max() < 1e-18


def test_bad_arguments():
    signal = np.zeros((2, 640))
    with pytest.raises(ValueError, match="`segment_seconds` is 3"):
        band_power(signal, RATE_HZ, THREE_FACRNN_BANDS, 2, segment_seconds=3)
    with pytest.raises(ValueError, match="`segment_seconds` is 0"):
        band_power(signal, RATE_HZ, THREE_FACRNN_BANDS, 2, segment_seconds=0)
    with pytest.raises(ValueError, match="band `gamma`"):
        band_power(signal, 64, {"gamma": (31, 50)}, 2)
    with pytest.raises(ValueError, match="expected at least one window"):
        band_power(signal, RATE_HZ, THREE_FACRNN_BANDS, 6)
    with pytest.raises(ValueError, match=r"expected `\(..., channels, samples\)`"):
        band_power(signal[0], RATE_HZ, THREE_FACRNN_BANDS, 2)
