"""Power of each frequency band by Welch's method."""

from __future__ import annotations

import numpy as np
import scipy.signal

from keras_emotion.signals.bands import Bands, check_bands
from keras_emotion.signals.filters import BLOCK_SAMPLES, as_floating
from keras_emotion.signals.windows import sample_count, windows

MAX_PRODUCT = 512
"""Samples of the longest segment for which a matrix product is faster than a fast Fourier transform."""


def band_power(
    signal: np.ndarray,
    sampling_rate_hz: float,
    bands: Bands,
    window_seconds: float,
    *,
    hop_seconds: float | None = None,
    segment_seconds: float | None = None,
    taper: str = "hann",
) -> np.ndarray:
    """Compute the power of each window, channel and band: the integral of Welch's one-sided density over the band.

    With the density `S_k` at the frequencies `f_k = k * d`, `d = 1 / segment_seconds`, assumed constant over its cell
    `[f_k - d/2, f_k + d/2]`: `P = sum_k S_k * |cell_k intersected with [low_hz, high_hz]|`. Adjacent bands share power
    without gap or overlap, a band narrower than `d` still has a value, and a sine of amplitude `A` well inside the band
    gives `A^2 / 2`.

    Args:
        signal: `(channels, samples)` or `(..., channels, samples)`, any real dtype.
        sampling_rate_hz: samples per second.
        bands: `{name: (low_hz, high_hz)}`; its order is the order of the bands axis.
        window_seconds: duration of a window, a whole number of samples.
        hop_seconds: seconds from window to window; `None`, the default, is `window_seconds`.
        segment_seconds: duration of Welch's segments, which overlap by half, at most `window_seconds`; `None`, the
            default, is 1 s, or the window if that is shorter.
        taper: name of a window of `scipy.signal.get_window`, default `"hann"`.

    Returns:
        `(windows, channels, bands)` or `(..., windows, channels, bands)` in squared units of the signal; float32 for
        float32, else float64.

    Numerics: computed in float64; the mean of each segment is removed. A constant channel gives 0 (up to rounding).
    Segments of up to `MAX_PRODUCT` samples are transformed by a product with a matrix of only the frequencies in the
    bands, longer ones by `scipy.signal.welch`.

    Raises:
        ValueError: bands that are invalid at this rate, a segment longer than the window, a duration that is not a
            whole number of samples, or a signal without a channels axis or shorter than a window.

    Example:
        >>> time = np.arange(512) / 128
        >>> tones = np.array([[2.0], [4.0]]) * np.sin(2 * np.pi * 10 * time)
        >>> power = band_power(tones, 128, {"alpha": (8, 13), "beta": (14, 30)}, window_seconds=2)
        >>> power.shape
        (2, 2, 2)
        >>> np.abs(power[0].round(6))
        array([[2., 0.],
               [8., 0.]])

    References:
        Welch, The use of fast Fourier transform for the estimation of power spectra, IEEE Trans. Audio
        Electroacoust. 15, 70-73, 1967.
    """
    signal = as_floating(signal)
    if signal.ndim < 2:
        raise ValueError(f"`signal` has shape {signal.shape}; expected `(..., channels, samples)`")
    check_bands(bands, sampling_rate_hz)
    segment_seconds = min(1.0, window_seconds) if segment_seconds is None else segment_seconds
    if not 0 < segment_seconds <= window_seconds:
        raise ValueError(
            f"`segment_seconds` is {segment_seconds:g}; expected more than 0 and at most `window_seconds` "
            f"({window_seconds:g})"
        )
    segment = sample_count(segment_seconds, sampling_rate_hz, "segment_seconds")
    weights = band_shares(bands, sampling_rate_hz, segment)

    trials = windows(signal.reshape(-1, *signal.shape[-2:]), sampling_rate_hz, window_seconds, hop_seconds)
    n_trials, n_channels, n_windows, _ = trials.shape
    power = np.empty((n_trials, n_windows, n_channels, len(bands)), signal.dtype)
    step = max(1, BLOCK_SAMPLES // max(1, trials[:1].size))
    if segment <= MAX_PRODUCT:
        inside = np.flatnonzero(weights.any(axis=1))
        transform = _transform(segment, sampling_rate_hz, taper, inside)
        weights = np.repeat(weights[inside], 2, axis=0)
        overlapping_seconds = (segment - segment // 2) / sampling_rate_hz
    for start in range(0, n_trials, step):
        block = trials[start : start + step]
        if segment <= MAX_PRODUCT:
            segments = windows(block, sampling_rate_hz, segment_seconds, overlapping_seconds)
            n_segments = segments.shape[-2]
            segments = segments.astype(np.float64).reshape(*block.shape[:2], -1, segment)
            squares = segments @ transform
            squares *= squares
            of_block = (squares @ weights).reshape(*block.shape[:3], n_segments, -1).mean(axis=-2)
        else:
            _, density = scipy.signal.welch(block.astype(np.float64), sampling_rate_hz, window=taper, nperseg=segment)
            of_block = density @ weights
        power[start : start + step] = np.swapaxes(of_block, 1, 2)
    return power.reshape(*signal.shape[:-2], *power.shape[1:])


def _transform(segment: int, sampling_rate_hz: float, taper: str, inside: np.ndarray) -> np.ndarray:
    """Return the `(samples, 2 * frequencies)` matrix from a segment to parts whose squares add up to the density."""
    tapering = scipy.signal.get_window(taper, segment)
    transform = np.exp(-2j * np.pi / segment * (np.outer(np.arange(segment), inside) % segment))
    transform *= tapering[:, np.newaxis]
    transform -= transform.mean(axis=0)  # subtracts the mean of the segment
    one_sided = np.where((inside == 0) | (2 * inside == segment), 1, 2)
    return (transform * np.sqrt(one_sided / (sampling_rate_hz * (tapering**2).sum()))).view(np.float64)


def band_shares(bands: Bands, sampling_rate_hz: float, segment: int) -> np.ndarray:
    """Return the overlap of each Fourier frequency cell with each band.

    Args:
        bands: `{name: (low_hz, high_hz)}`.
        sampling_rate_hz: samples per second.
        segment: samples that are transformed.

    Returns:
        `(frequencies, bands)` in Hz; a cell extends half way to the next frequency on both sides.

    Example:
        >>> band_shares({"alpha": (2, 3.25)}, sampling_rate_hz=8, segment=8).T
        array([[0.  , 0.  , 0.5 , 0.75, 0.  ]])
    """
    resolution_hz = sampling_rate_hz / segment
    frequencies_hz = np.arange(segment // 2 + 1)[:, np.newaxis] * resolution_hz
    low_hz, high_hz = np.array(list(bands.values()), dtype=float).T
    shared_hz = np.minimum(high_hz, frequencies_hz + resolution_hz / 2) - np.maximum(
        low_hz, frequencies_hz - resolution_hz / 2
    )
    return np.maximum(shared_hz, 0)
