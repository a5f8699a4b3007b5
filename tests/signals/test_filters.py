import mne
import numpy as np
import pytest
import scipy.signal

from keras_emotion.signals import THREE_FACRNN_BANDS, band_pass

RATE_HZ = 128.0


@pytest.fixture
def noise():
    return np.random.default_rng(3).standard_normal((2, 3, 2000))


@pytest.mark.parametrize("band", THREE_FACRNN_BANDS.values(), ids=THREE_FACRNN_BANDS)
@pytest.mark.parametrize("order", [1, 3, 4])
def test_zero_phase_equals_filtfilt_of_the_transfer_function(noise, band, order):
    numerator, denominator = scipy.signal.butter(order, band, btype="bandpass", fs=RATE_HZ)
    expected = scipy.signal.filtfilt(numerator, denominator, noise)
    np.testing.assert_allclose(band_pass(noise, RATE_HZ, *band, order=order), expected, atol=1e-7)


@pytest.mark.parametrize("band", THREE_FACRNN_BANDS.values(), ids=THREE_FACRNN_BANDS)
def test_causal_equals_lfilter_of_the_transfer_function(noise, band):
    numerator, denominator = scipy.signal.butter(4, band, btype="bandpass", fs=RATE_HZ)
    expected = scipy.signal.lfilter(numerator, denominator, noise)
    np.testing.assert_allclose(band_pass(noise, RATE_HZ, *band, zero_phase=False), expected, atol=1e-8)


@pytest.mark.parametrize("band", THREE_FACRNN_BANDS.values(), ids=THREE_FACRNN_BANDS)
def test_zero_phase_agrees_with_mne(band):
    signal = np.random.default_rng(4).standard_normal((3, 40 * 128))
    expected = mne.filter.filter_data(
        signal, RATE_HZ, *band, method="iir", iir_params={"order": 4, "ftype": "butter", "output": "sos"}, verbose=False
    )
    # MNE extends the signal at its ends differently, so the ends differ until the transient has decayed.
    inner = slice(8 * 128, -8 * 128)
    np.testing.assert_allclose(band_pass(signal, RATE_HZ, *band)[:, inner], expected[:, inner], atol=1e-8)


def test_causal_never_sees_the_future_and_zero_phase_does_not_delay():
    impulse = np.zeros(8001)
    impulse[4000] = 1
    causal = band_pass(impulse, RATE_HZ, 8, 13, zero_phase=False)
    assert not causal[:4000].any()
    assert causal[4000] > 0
    # Odd reflection of the far-away ends aside, the zero-phase response is symmetric.
    zero_phase = band_pass(impulse, RATE_HZ, 8, 13)
    np.testing.assert_allclose(zero_phase, zero_phase[::-1], atol=1e-12)
    assert zero_phase.argmax() == 4000


@pytest.mark.parametrize("zero_phase", [True, False])
@pytest.mark.parametrize("frequency_hz", [2.0, 8.0, 10.0, 13.0, 40.0])
def test_gain_of_a_tone_is_that_of_the_analogue_formula(frequency_hz, zero_phase):
    """Bilinear transform: with W = tan(pi f / rate), |H|^2 = 1 / (1 + ((W^2 - W1 W2) / (W (W2 - W1)))^(2 order))."""
    warped, low, high = np.tan(np.pi * np.array([frequency_hz, 8, 13]) / RATE_HZ)
    gain = 1 / np.sqrt(1 + ((warped**2 - low * high) / (warped * (high - low))) ** 8)
    time = np.arange(60 * 128) / RATE_HZ
    filtered = band_pass(3 * np.sin(2 * np.pi * frequency_hz * time), RATE_HZ, 8, 13, zero_phase=zero_phase)
    inner = filtered[20 * 128 : 40 * 128]
    expected = 3 * (gain**2 if zero_phase else gain)
    np.testing.assert_allclose(np.sqrt(2 * np.mean(inner**2)), expected, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("zero_phase", [True, False])
def test_dtypes(noise, zero_phase):
    expected = band_pass(noise, RATE_HZ, 4, 7, zero_phase=zero_phase)
    assert expected.dtype == np.float64
    single = band_pass(noise.astype(np.float32), RATE_HZ, 4, 7, zero_phase=zero_phase)
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, expected, atol=3e-7)
    whole = (noise * 100).astype(np.int16)
    assert band_pass(whole, RATE_HZ, 4, 7).dtype == np.float64
    np.testing.assert_array_equal(
        band_pass(whole, RATE_HZ, 4, 7, zero_phase=zero_phase),
        band_pass(whole.astype(np.float64), RATE_HZ, 4, 7, zero_phase=zero_phase),
    )
    assert band_pass(noise.astype(">f8"), RATE_HZ, 4, 7).dtype == np.float64


@pytest.mark.parametrize("zero_phase", [True, False])
def test_float32_is_the_rounded_float64_result(zero_phase):
    signal = 1e4 * np.random.default_rng(5).standard_normal((2, 100), np.float32)
    expected = band_pass(signal.astype(np.float64), RATE_HZ, 4, 7, zero_phase=zero_phase).astype(np.float32)
    np.testing.assert_array_equal(band_pass(signal, RATE_HZ, 4, 7, zero_phase=zero_phase), expected)


def test_float32_with_a_large_offset_at_a_high_rate():
    """A narrow low band at 2048 Hz: in float32 arithmetic this filter is off by more than the signal."""
    time = np.arange(4 * 2048) / 2048
    signal = (1e4 + np.sin(2 * np.pi * 2 * time)).astype(np.float32)
    expected = band_pass(signal.astype(np.float64), 2048, 1, 4)
    np.testing.assert_allclose(band_pass(signal, 2048, 1, 4), expected, atol=1e-6)


def test_a_constant_gives_zero():
    assert np.abs(band_pass(np.full((2, 500), 7.0), RATE_HZ, 4, 7)).max() < 1e-11


@pytest.mark.parametrize("zero_phase", [True, False])
def test_memory_layout_leading_axes_and_blocks_do_not_matter(noise, zero_phase, monkeypatch):
    expected = np.stack([[band_pass(row, RATE_HZ, 8, 13, zero_phase=zero_phase) for row in trial] for trial in noise])
    for signal in (noise, np.asfortranarray(noise), np.repeat(noise, 2, axis=-1)[..., ::2], noise[:, ::-1][:, ::-1]):
        np.testing.assert_array_equal(band_pass(signal, RATE_HZ, 8, 13, zero_phase=zero_phase), expected)
    monkeypatch.setattr("keras_emotion.signals.filters.BLOCK_SAMPLES", 4500)
    np.testing.assert_array_equal(band_pass(noise, RATE_HZ, 8, 13, zero_phase=zero_phase), expected)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("zero_phase", [True, False])
def test_a_missing_number_stays_in_its_row(noise, zero_phase, value):
    expected = band_pass(noise, RATE_HZ, 8, 13, zero_phase=zero_phase)
    noise[1, 2, 700] = value
    filtered = band_pass(noise, RATE_HZ, 8, 13, zero_phase=zero_phase)
    assert not np.isfinite(filtered[1, 2, 0 if zero_phase else 700 :]).any()
    first = 0 if zero_phase else 700 - 63
    np.testing.assert_array_equal(filtered[1, 2, :first], expected[1, 2, :first])
    np.testing.assert_array_equal(filtered[0], expected[0])
    np.testing.assert_array_equal(filtered[1, :2], expected[1, :2])


def test_the_input_is_left_alone(noise):
    before = noise.copy()
    noise.setflags(write=False)
    band_pass(noise, RATE_HZ, 8, 13)
    np.testing.assert_array_equal(noise, before)


def test_no_trials_give_no_trials():
    assert band_pass(np.zeros((0, 4, 500)), RATE_HZ, 8, 13).shape == (0, 4, 500)


def test_bad_arguments():
    with pytest.raises(ValueError, match="27 samples; expected more than 27 for zero-phase filtering of order 4"):
        band_pass(np.zeros((2, 27)), RATE_HZ, 8, 13)
    assert band_pass(np.zeros((2, 28)), RATE_HZ, 8, 13).shape == (2, 28)
    assert band_pass(np.zeros((2, 5)), RATE_HZ, 8, 13, zero_phase=False).shape == (2, 5)
    with pytest.raises(ValueError, match="half of the sampling rate"):
        band_pass(np.zeros(500), RATE_HZ, 31, 64)
    with pytest.raises(ValueError, match="`order` is 0"):
        band_pass(np.zeros(500), RATE_HZ, 8, 13, order=0)
    with pytest.raises(ValueError, match="complex128; expected real"):
        band_pass(np.zeros(500, complex), RATE_HZ, 8, 13)
    with pytest.raises(ValueError, match="scalar"):
        band_pass(1.0, RATE_HZ, 8, 13)
