"""Change the sampling rate without aliasing."""

from __future__ import annotations

import functools
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import scipy.signal

from keras_emotion.signals.filters import as_floating

PASSED_SHARE = 0.8
"""Pass-band edge, as a share of the lower of the two Nyquist frequencies."""

ATTENUATION_DB = 80.0
"""Attenuation in dB of the stop band from that Nyquist frequency on, and accuracy of the pass band."""

_LARGEST_FACTOR = 10_000


def rate_ratio(sampling_rate_hz: float, new_sampling_rate_hz: float) -> Fraction:
    """Return the ratio of new to old rate as the fraction that `resample` uses.

    Raises:
        ValueError: a rate is not a number above 0.

    Example:
        >>> rate_ratio(256, 128), rate_ratio(500, 128)
        (Fraction(1, 2), Fraction(32, 125))
    """
    for name, rate_hz in (("sampling_rate_hz", sampling_rate_hz), ("new_sampling_rate_hz", new_sampling_rate_hz)):
        if not 0 < rate_hz < np.inf:
            raise ValueError(f"`{name}` is {rate_hz}; expected a number above 0")
    old, new = (Fraction(rate).limit_denominator(_LARGEST_FACTOR) for rate in (sampling_rate_hz, new_sampling_rate_hz))
    return (new / old).limit_denominator(_LARGEST_FACTOR)


def resample(signal: np.ndarray, sampling_rate_hz: float, new_sampling_rate_hz: float) -> np.ndarray:
    """Resample a signal along the last axis.

    With `N` the lower of the old and the new Nyquist frequency, a symmetric FIR filter (Kaiser window) passes
    everything up to `0.8 N` within 80 dB and attenuates everything from `N` on by 80 dB, which prevents aliasing;
    sample `k` of the result is the filtered signal at the time `k / new_sampling_rate_hz` from its first sample. There
    is no delay. Beyond its ends the signal is extended by the straight line through the first and the last sample, so
    that an offset or a drift causes no ringing there; within some 50 samples (of the lower rate) of the ends the result
    depends on that line.

    Args:
        signal: `(..., samples)`, any real dtype.
        sampling_rate_hz: samples per second of the signal.
        new_sampling_rate_hz: target sampling rate; the ratio of the two is approximated by a fraction of integers.

    Returns:
        `(..., ceil(samples * new / old))`; float32 for float32, else float64.

    Numerics: in the dtype of the result. A straight line is preserved up to rounding. A NaN gives NaN within the reach
    of the filter, and in its whole row if it is at an end.

    Raises:
        ValueError: a rate is not above 0, or there are no samples.

    Example:
        >>> time = np.arange(2560) / 256
        >>> low, high = np.sin(2 * np.pi * 10 * time), np.sin(2 * np.pi * 100 * time)
        >>> resampled = resample(low + high, 256, 128)
        >>> resampled.shape, bool(np.abs(resampled - low[::2])[128:-128].max() < 1e-3)
        ((1280,), True)
    """
    signal = as_floating(signal)
    if signal.ndim < 1 or signal.shape[-1] < 1:
        raise ValueError(f"`signal` has shape {signal.shape}; expected `(..., samples)` with at least one sample")
    ratio = rate_ratio(sampling_rate_hz, new_sampling_rate_hz)
    if ratio == 1:
        return signal.copy()
    n_samples = signal.shape[-1]
    first, last = signal[..., :1], signal[..., -1:]
    # The line is subtracted, so that the slightly different gains of the phases do not turn an offset into a tone.
    slope = (last - first) / max(n_samples - 1, 1)
    return _filtered(signal, ratio, first, slope)


class ResampledSignal:
    """Piecewise `resample` of a signal that is too long to be read at once.

    A piece is computed from the samples within the reach of the filter, and the first and the last sample of the
    signal, which determine the straight line (see `resample`): it equals that part of the resampled whole, up to
    rounding.

    Args:
        read: function `read(start, stop)` that returns `(..., stop - start)` samples of the signal.
        n_samples: samples of the signal, 1 or more.
        sampling_rate_hz: samples per second of the signal.
        new_sampling_rate_hz: target sampling rate.

    Attributes:
        n_samples: number of samples after resampling.

    Raises:
        ValueError: a rate is not above 0.

    Example:
        >>> signal = np.random.default_rng(0).standard_normal((2, 1000))
        >>> piece = ResampledSignal(lambda start, stop: signal[:, start:stop], 1000, 256, 128).read(100, 200)
        >>> bool(np.abs(piece - resample(signal, 256, 128)[:, 100:200]).max() < 1e-12)
        True
    """

    def __init__(
        self,
        read: Callable[[int, int], np.ndarray],
        n_samples: int,
        sampling_rate_hz: float,
        new_sampling_rate_hz: float,
    ):
        self._read, self._n_read = read, n_samples
        self._ratio = rate_ratio(sampling_rate_hz, new_sampling_rate_hz)
        self.n_samples = -(-n_samples * self._ratio.numerator // self._ratio.denominator)
        self._line: tuple[np.ndarray, np.ndarray] | None = None

    def read(self, start: int, stop: int) -> np.ndarray:
        """Return `(..., stop - start)` samples of the resampled signal."""
        if self._ratio == 1:
            return self._read(start, stop)
        if self._line is None:
            first, last = (as_floating(self._read(place, place + 1)) for place in (0, self._n_read - 1))
            self._line = first, (last - first) / max(self._n_read - 1, 1)
        up, down = self._ratio.numerator, self._ratio.denominator
        reach = len(_taps(self._ratio)) // 2 // up + 1
        # Starts at a sample that is common to both rates.
        begin = max(start * down // up - reach, 0) // down * down
        end = min(-(-stop * down // up) + reach, self._n_read)
        first, slope = self._line
        piece = _filtered(as_floating(self._read(begin, end)), self._ratio, first + slope * begin, slope)
        offset = begin // down * up
        return piece[..., start - offset : stop - offset]


@functools.lru_cache(maxsize=8)
def _taps(ratio: Fraction) -> np.ndarray:
    # Frequencies in units of the Nyquist frequency of the intermediate rate, `up` times the old one.
    lower = 1 / max(ratio.numerator, ratio.denominator)
    n_taps, beta = scipy.signal.kaiserord(ATTENUATION_DB, (1 - PASSED_SHARE) * lower)
    return scipy.signal.firwin(n_taps | 1, (1 + PASSED_SHARE) / 2 * lower, window=("kaiser", beta))


def _filtered(signal: np.ndarray, ratio: Fraction, first: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """Filter the signal at the new rate, with its line subtracted; zeros beyond its ends."""
    up, down = ratio.numerator, ratio.denominator
    centred = signal - (first + slope * np.arange(signal.shape[-1], dtype=signal.dtype))
    resampled = scipy.signal.resample_poly(centred, up, down, axis=-1, window=_taps(ratio).astype(signal.dtype))
    return resampled + (first + slope * (np.arange(resampled.shape[-1]) * (down / up)).astype(signal.dtype))
