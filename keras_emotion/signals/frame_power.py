"""Power of each frequency band in video frames."""

from __future__ import annotations

import numpy as np

from keras_emotion.signals.bands import Bands, check_bands
from keras_emotion.signals.filters import as_floating, band_pass


def frame_power(
    signal: np.ndarray,
    sampling_rate_hz: float,
    bands: Bands,
    frame_seconds: float,
    starts_seconds: np.ndarray,
) -> np.ndarray:
    """Compute the mean squared band-passed signal in frames shorter than a period of the band.

    A period of theta does not fit into a frame of 1/8 s, so a spectrum of the frame could not separate the bands.
    Instead, the whole signal is filtered (`band_pass`: Butterworth of order 4, zero phase), squared, and averaged over
    the samples of each frame.

    A sample belongs to a frame if its time lies in `[start, start + frame_seconds)`. If a frame is not a whole number
    of samples, the number of samples per frame varies by one and frames stay in sync with the video: 15 or 16 samples
    for 1/8 s at 125 Hz.

    Args:
        signal: `(channels, samples)` or `(..., channels, samples)`, any real dtype; long enough for the filters.
        sampling_rate_hz: samples per second.
        bands: `{name: (low_hz, high_hz)}`; its order is the order of the bands axis.
        frame_seconds: duration of a frame in seconds.
        starts_seconds: `(...)` start of each frame in seconds from the first sample; frames may overlap.

    Returns:
        `(*starts, channels, bands)`, for signals with more axes `(..., *starts, channels, bands)`, in squared units of
        the signal; float32 for float32, else float64.

    Numerics: squares are summed in float64. A sine of amplitude `A` well inside the band gives `A^2 / 2` on average
    over whole periods, and between 0 and `A^2` in a single frame.

    Raises:
        ValueError: bands that are invalid at this rate, a frame without a sample or outside the signal, or a signal
            without a channels axis or too short for the filters.

    Example:
        >>> time = np.arange(1024) / 128
        >>> tones = np.array([[2.0], [4.0]]) * np.sin(2 * np.pi * 10 * time)
        >>> power = frame_power(tones, 128, {"alpha": (8, 13), "beta": (13, 30)}, 1 / 8, np.arange(64) / 8)
        >>> power.shape, (np.abs(power[8:56, :, 0].mean(axis=0) - [2, 8]) < 0.05).tolist()
        ((64, 2, 2), [True, True])
    """
    check_bands(bands, sampling_rate_hz)
    signal = as_floating(signal)
    if signal.ndim < 2:
        raise ValueError(f"`signal` has shape {signal.shape}; expected `(channels, samples)`")
    starts_seconds = np.asarray(starts_seconds, float)
    # Rounded first: 0.3 s at 10 Hz are three samples, also if floating point gives 3.0000000000000004.
    first, last = (
        np.ceil(np.round(seconds * sampling_rate_hz, 6)).astype(np.intp).ravel()
        for seconds in (starts_seconds, starts_seconds + frame_seconds)
    )
    n_samples = signal.shape[-1]
    if first.size and not (first < last).all():
        raise ValueError(
            f"`frame_seconds` of {frame_seconds:g} s has no sample at {sampling_rate_hz:g} Hz; expected at least one"
        )
    if first.size and (first.min() < 0 or last.max() > n_samples):
        raise ValueError(
            f"frames extend from {starts_seconds.min():g} to {starts_seconds.max() + frame_seconds:g} s; expected them "
            f"within the signal of {n_samples / sampling_rate_hz:g} s"
        )
    # Every second sum belongs to a frame; the sums between two frames are unused.
    edges = np.stack([first, last], axis=1).ravel()
    power = np.empty((*signal.shape[:-1], len(first), len(bands)), signal.dtype)
    # A frame may end with the signal, where a sum cannot start.
    squares = np.zeros((*signal.shape[:-1], n_samples + 1))
    for band, (low_hz, high_hz) in enumerate(bands.values()):
        np.square(band_pass(signal, sampling_rate_hz, low_hz, high_hz), out=squares[..., :n_samples])
        if len(edges):
            power[..., band] = np.add.reduceat(squares, edges, axis=-1)[..., ::2] / (last - first)
    power = np.moveaxis(power, -2, -3)
    return np.ascontiguousarray(power).reshape(*signal.shape[:-2], *starts_seconds.shape, *power.shape[-2:])
