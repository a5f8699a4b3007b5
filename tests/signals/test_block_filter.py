import numpy as np
import pytest
import scipy.signal

from keras_emotion.signals import (
    CONVENTIONS,
    THREE_FACRNN_BANDS,
    band_pass,
    differential_entropy,
    differential_entropy_features,
)
from keras_emotion.signals.block_filter import BlockFilter, outputs_to_samples

CASES = [
    (128, (4, 7), 4),
    (128, (31, 50), 4),
    (128, (1, 50), 1),
    (128, (4, 45), 8),
    (128, (1, 5.83), 3),  # two poles that almost meet
    (512, (4, 45), 4),
    (1000, (0.5, 4), 5),
    (1000, (0.5, 4), 8),
    (2048, (1, 4), 4),
]


def drifting(n_rows, n_samples):
    """A random walk with an offset: nearly all of it lies below every band."""
    return 100 + np.random.default_rng(0).standard_normal((n_rows, n_samples)).cumsum(axis=1)


def in_one_piece(block_filter, rows, first):
    ((parts, rest),) = block_filter.outputs(rows, first)
    return np.concatenate([outputs_to_samples(parts).reshape(len(rows), -1), rest], axis=1)


@pytest.mark.parametrize("first", [0, 37])
@pytest.mark.parametrize("zero_phase", [True, False])
@pytest.mark.parametrize(("rate_hz", "band", "order"), CASES)
def test_equals_second_order_sections(rate_hz, band, order, zero_phase, first):
    rows = drifting(2, 20 * rate_hz + 17)
    sections = scipy.signal.butter(order, band, btype="bandpass", fs=rate_hz, output="sos")
    expected = (
        scipy.signal.sosfiltfilt(sections, rows, padlen=3 * (2 * order + 1))
        if zero_phase
        else scipy.signal.sosfilt(sections, rows)
    )
    for length in (16, 64, 128):
        filtered = in_one_piece(BlockFilter((band,), rate_hz, order, zero_phase, length), rows, first)
        np.testing.assert_allclose(filtered, expected[:, first:], rtol=0, atol=1e-9 * np.abs(expected).max())


@pytest.mark.parametrize(("rate_hz", "band", "order"), [(1000, (0.5, 4), 5), (128, (4, 7), 4)])
def test_tones_and_an_offset_have_the_gain_of_the_analogue_formula(rate_hz, band, order):
    """Bilinear transform: with W = tan(pi f / rate), |H|^2 = 1 / (1 + ((W^2 - W1 W2) / (W (W2 - W1)))^(2 order))."""
    seconds = 500 / (band[1] - band[0])
    time = np.arange(round(seconds * rate_hz)) / rate_hz
    frequencies_hz = np.array([band[0], np.sqrt(band[0] * band[1]), band[1], 2 * band[1]])
    warped, (low, high) = (np.tan(np.pi * np.asarray(f) / rate_hz) for f in (frequencies_hz, band))
    gain = 1 / (1 + ((warped**2 - low * high) / (warped * (high - low))) ** (2 * order))
    tones = np.cos(2 * np.pi * frequencies_hz[:, np.newaxis] * time)
    filtered = in_one_piece(BlockFilter((band,), rate_hz, order, True, 64), tones + 10, 0)
    inner = slice(2 * len(time) // 5, 3 * len(time) // 5)  # the ends have rung out
    expected = (gain[:, np.newaxis] * tones)[:, inner]
    np.testing.assert_allclose(filtered[:, inner], expected, rtol=0, atol=1e-9)


def test_filters_that_rounding_would_spoil_are_left_to_second_order_sections():
    # Equal poles: of an odd order, where the warped edges have the ratio (1 + sqrt(2))^2.
    low_hz = 2.0
    high_hz = np.arctan((1 + np.sqrt(2)) ** 2 * np.tan(np.pi * low_hz / 128)) * 128 / np.pi
    assert not BlockFilter(((low_hz, high_hz),), 128, 3, True, 64).is_accurate
    assert not BlockFilter(((4, 7), (4, 45)), 128, 30, True, 64).is_accurate
    signal = drifting(2, 2000)
    sections = scipy.signal.butter(3, (low_hz, high_hz), btype="bandpass", fs=128, output="sos")
    np.testing.assert_array_equal(
        band_pass(signal, 128, low_hz, high_hz, order=3), scipy.signal.sosfiltfilt(sections, signal, padlen=21)
    )
    features = differential_entropy_features(signal, 128, {"low": (low_hz, high_hz)}, 0.5, "libeer")
    assert np.isfinite(features).all()


@pytest.mark.parametrize("convention", ["default", "4d-crnn", "torcheeg"])
@pytest.mark.parametrize("samples", [16, 25, 50, 64, 96, 250, 320])
def test_entropies_from_blocks_equal_those_of_the_filtered_signal(samples, convention):
    """Windows that are a block, several blocks, or no blocks (25 and 250 samples: odd pieces), after a baseline."""
    signal, onset, settings = drifting(3, 3000), 384, CONVENTIONS[convention]
    features = differential_entropy_features(
        signal, 128, THREE_FACRNN_BANDS, samples / 128, convention, baseline="none", baseline_seconds=3
    )

    def cut(x):
        return x[:, : x.shape[1] // samples * samples].reshape(3, -1, samples)

    for index, band in enumerate(THREE_FACRNN_BANDS.values()):
        sections = scipy.signal.butter(settings.filter_order, band, btype="bandpass", fs=128, output="sos")
        filtered = {
            "default": lambda sections=sections: cut(scipy.signal.sosfiltfilt(sections, signal)[:, onset:]),
            "4d-crnn": lambda sections=sections: cut(scipy.signal.sosfilt(sections, signal[:, onset:])),
            "torcheeg": lambda sections=sections: scipy.signal.sosfilt(sections, cut(signal[:, onset:])),
        }[convention]()
        expected = differential_entropy(filtered, log_base=settings.log_base, ddof=settings.ddof)
        np.testing.assert_allclose(features[..., index].T, expected, rtol=0, atol=1e-9)


def test_the_entropy_is_that_of_scipy_on_drifting_signals_at_a_high_rate():
    signal = 1e3 * drifting(2, 20_000)
    features = differential_entropy_features(signal, 1000, {"delta": (0.5, 4)}, 0.5)
    sections = scipy.signal.butter(4, (0.5, 4), btype="bandpass", fs=1000, output="sos")
    filtered = scipy.signal.sosfiltfilt(sections, signal).reshape(2, 40, 500)
    np.testing.assert_allclose(features[..., 0].T, differential_entropy(filtered), rtol=0, atol=1e-9)
