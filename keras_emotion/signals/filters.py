"""Butterworth band-pass filters for many channels and trials at once."""

from __future__ import annotations

import numpy as np
import scipy.signal

from keras_emotion.signals.bands import check_bands
from keras_emotion.signals.block_filter import block_filter, outputs_to_samples

BLOCK_SAMPLES = 2**18
"""Samples filtered at once: enough to make the cost of a call negligible, and few enough (2 MB) for the cache."""

BLOCK_LENGTH = 64
"""Samples per matrix product (see `block_filter`): fewer would take more steps, more would take more
multiplications."""


def as_floating(signal: np.ndarray) -> np.ndarray:
    """Convert a signal to float32 or float64: those two are unchanged, every other dtype becomes float64.

    Args:
        signal: array of any real dtype.

    Raises:
        ValueError: the signal is complex.

    Example:
        >>> as_floating(np.ones(2, np.float32)).dtype, as_floating([1, 2]).dtype
        (dtype('float32'), dtype('float64'))
    """
    signal = np.asarray(signal)
    if np.iscomplexobj(signal):
        raise ValueError(f"`signal` is {signal.dtype}; expected real numbers")
    return signal if signal.dtype in (np.float32, np.float64) else signal.astype(np.float64)


def band_pass(
    signal: np.ndarray,
    sampling_rate_hz: float,
    low_hz: float,
    high_hz: float,
    order: int = 4,
    zero_phase: bool = True,
) -> np.ndarray:
    """Apply a Butterworth band-pass filter along the last axis, as a cascade of second-order sections.

    Zero-phase filtering runs the filter forwards and then backwards: no delay, and the squared magnitude response (so
    -6 dB at the edges instead of -3 dB). The signal is extended at both ends by its odd reflection over `3 * (2 * order
    + 1)` samples and the filter starts in the steady state of the first sample. Causal filtering starts from a filter
    at rest (zeros before the first sample), so that an offset of the signal causes ringing at the start.

    Args:
        signal: `(..., samples)`, any real dtype; several channels and trials at once.
        sampling_rate_hz: samples per second.
        low_hz: lower edge of the band, above 0.
        high_hz: upper edge of the band, above `low_hz` and below half of the sampling rate.
        order: order of the Butterworth prototype, 1 or more; the band-pass filter has twice as many poles. Default 4,
            since none of the reproduced papers specifies one.
        zero_phase: forward-backward (default) or forward only.

    Returns:
        Same shape; float32 for float32, else float64.

    Numerics: computed in float64 for every dtype. Signals of 4 `BLOCK_LENGTH` and more are filtered in blocks, as
    matrix products (`block_filter`); shorter ones, and filters that would be inaccurate that way, by SciPy's
    second-order sections; the two agree to some 1e-12 of the largest output (order 5: 3e-12 for 0.5-4 Hz at 1000 Hz,
    1e-9 for 0.1-1 Hz at 5000 Hz). A constant signal gives zero (up to rounding) with `zero_phase`. A NaN or an infinity
    makes every later sample of its row NaN, and up to 63 earlier ones may become NaN; with `zero_phase` every sample.

    Raises:
        ValueError: edges that are invalid at this rate, an order below 1, or a signal not longer than the reflection.

    Example:
        >>> time = np.arange(512) / 128
        >>> tone = np.sin(2 * np.pi * 10 * time, dtype=np.float32)
        >>> alpha = band_pass(tone, 128, low_hz=8, high_hz=13)
        >>> alpha.dtype, bool(np.abs(alpha - tone)[128:-128].max() < 0.01)
        (dtype('float32'), True)
    """
    check_bands({"signal": (low_hz, high_hz)}, sampling_rate_hz)
    if order < 1:
        raise ValueError(f"`order` is {order}; expected 1 or more")
    signal = as_floating(signal)
    if signal.ndim < 1:
        raise ValueError("`signal` is a scalar; expected `(..., samples)`")
    n_samples = signal.shape[-1]
    padding = 3 * (2 * order + 1)
    if zero_phase and n_samples <= padding:
        raise ValueError(
            f"`signal` has {n_samples} samples; expected more than {padding} for zero-phase filtering of order {order}"
        )
    rows = signal.reshape(-1, n_samples)
    filtered = np.empty(rows.shape, signal.dtype)
    in_blocks = block_filter(((low_hz, high_hz),), sampling_rate_hz, order, zero_phase, BLOCK_LENGTH)
    sections = scipy.signal.butter(order, (low_hz, high_hz), btype="bandpass", fs=sampling_rate_hz, output="sos")
    step = max(1, BLOCK_SAMPLES // max(1, n_samples))
    for start in range(0, len(rows), step):
        block = rows[start : start + step].astype(np.float64, copy=False)
        if in_blocks.is_accurate and n_samples >= 4 * BLOCK_LENGTH:
            with np.errstate(invalid="ignore"):  # infinite samples
                ((parts, rest),) = in_blocks.outputs(block)
                whole = outputs_to_samples(parts).reshape(len(block), -1)
            n_whole = whole.shape[1]
            filtered[start : start + step, :n_whole] = whole
            filtered[start : start + step, n_whole:] = rest
        elif zero_phase:
            filtered[start : start + step] = scipy.signal.sosfiltfilt(sections, block, padlen=padding)
        else:
            filtered[start : start + step] = scipy.signal.sosfilt(sections, block)
    return filtered.reshape(signal.shape)
