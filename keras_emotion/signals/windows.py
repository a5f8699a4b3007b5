"""Split signals into windows as views, and compute their start times."""

from __future__ import annotations

import numpy as np


def sample_count(seconds: float, sampling_rate_hz: float, name: str) -> int:
    """Return the number of samples in a duration, which must be a whole number.

    Args:
        seconds: duration in seconds.
        sampling_rate_hz: samples per second, above 0.
        name: name of the duration in the error message.

    Returns:
        `seconds * sampling_rate_hz`, if it is within 1e-9 of an integer.

    Raises:
        ValueError: the rate is not positive, or the duration is not a whole number of samples.

    Example:
        >>> sample_count(0.5, 128, "window_seconds")
        64
        >>> sample_count(0.125, 100, "window_seconds")
        Traceback (most recent call last):
        ...
        ValueError: `window_seconds` of 0.125 s is 12.5 samples at 100 Hz; expected a whole number of samples
    """
    if not sampling_rate_hz > 0:
        raise ValueError(f"`sampling_rate_hz` is {sampling_rate_hz}; expected a positive rate")
    samples = seconds * sampling_rate_hz
    if not np.isfinite(samples) or abs(samples - round(samples)) > 1e-9:
        raise ValueError(
            f"`{name}` of {seconds:g} s is {samples:g} samples at {sampling_rate_hz:g} Hz; "
            "expected a whole number of samples"
        )
    return round(samples)


def _window_and_hop(
    n_samples: int, sampling_rate_hz: float, window_seconds: float, hop_seconds: float | None
) -> tuple[int, int]:
    hop_seconds = window_seconds if hop_seconds is None else hop_seconds
    window = sample_count(window_seconds, sampling_rate_hz, "window_seconds")
    hop = sample_count(hop_seconds, sampling_rate_hz, "hop_seconds")
    if window < 1 or hop < 1:
        raise ValueError(
            f"`window_seconds` is {window_seconds:g} and `hop_seconds` is {hop_seconds:g}; expected one sample or more"
        )
    if n_samples < window:
        raise ValueError(
            f"the signal has {n_samples} samples; expected at least one window of {window} "
            f"({window_seconds:g} s at {sampling_rate_hz:g} Hz)"
        )
    return window, hop


def windows(
    signal: np.ndarray, sampling_rate_hz: float, window_seconds: float, hop_seconds: float | None = None
) -> np.ndarray:
    """Split a signal into windows of equal length, without a copy.

    Window `w` has the samples `w * hop ... w * hop + window - 1`. Samples after the last complete window are dropped.

    Args:
        signal: `(..., samples)` of any dtype and any memory layout; usually `(channels, samples)`.
        sampling_rate_hz: samples per second.
        window_seconds: duration of a window, a whole number of samples (within 1e-9).
        hop_seconds: time between the starts of consecutive windows, a whole number of samples; `None`, the default, is
            `window_seconds`: contiguous, non-overlapping windows.

    Returns:
        Read-only view `(..., windows, samples)`: `(channels, windows, samples)` for a trial.

    Raises:
        ValueError: a duration is not a whole number of samples or below one sample, or the signal is shorter than one
            window (a trial without windows would otherwise be dropped silently).

    Example:
        >>> windows(np.arange(7), sampling_rate_hz=2, window_seconds=1.5, hop_seconds=1)
        array([[0, 1, 2],
               [2, 3, 4],
               [4, 5, 6]])
    """
    signal = np.asarray(signal)
    if signal.ndim < 1:
        raise ValueError("`signal` is a scalar; expected `(..., samples)`")
    window, hop = _window_and_hop(signal.shape[-1], sampling_rate_hz, window_seconds, hop_seconds)
    return np.lib.stride_tricks.sliding_window_view(signal, window, axis=-1)[..., ::hop, :]


def window_starts(
    n_samples: int, sampling_rate_hz: float, window_seconds: float, hop_seconds: float | None = None
) -> np.ndarray:
    """Return the start times of the windows of `windows`, in seconds from the first sample.

    Args:
        n_samples: length of the signal in samples; without the baseline, the times are relative to stimulus onset.
        sampling_rate_hz: samples per second.
        window_seconds: as in `windows`.
        hop_seconds: as in `windows`.

    Returns:
        `(windows,)` float64.

    Raises:
        ValueError: as `windows`.

    Example:
        >>> window_starts(7, sampling_rate_hz=2, window_seconds=1.5, hop_seconds=1)
        array([0., 1., 2.])
    """
    window, hop = _window_and_hop(n_samples, sampling_rate_hz, window_seconds, hop_seconds)
    return np.arange(0, n_samples - window + 1, hop) / sampling_rate_hz
