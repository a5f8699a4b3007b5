"""Synthetic electrocardiograms: regular beats and noise."""

from __future__ import annotations

import numpy as np

BEAT_SECONDS, BEAT_SECONDS_SD = 0.85, 0.04
"""Interval between beats in seconds."""

PEAK_WIDTH_SECONDS = 0.02
AMPLITUDE, NOISE_SD = 400.0, 10.0


def heart_beats(rng: np.random.Generator, sampling_rate_hz: float, n_samples: int, n_channels: int) -> np.ndarray:
    """Generate `(n_channels, n_samples)` float64: the same beats in each channel, with different amplitudes.

    Args:
        rng: random generator.
        sampling_rate_hz: samples per second.
        n_samples: samples per channel.
        n_channels: number of channels.
    """
    seconds = n_samples / sampling_rate_hz
    beats = np.cumsum(rng.normal(BEAT_SECONDS, BEAT_SECONDS_SD, int(seconds / BEAT_SECONDS) + 2))
    impulses = np.bincount(np.rint(beats[beats < seconds] * sampling_rate_hz).astype(int), minlength=n_samples)
    width = PEAK_WIDTH_SECONDS * sampling_rate_hz
    peak = np.exp(-((np.arange(-round(4 * width), round(4 * width) + 1) / width) ** 2))
    beat = np.convolve(impulses[:n_samples], peak, mode="same")
    heights = AMPLITUDE * (1 + 0.3 * np.arange(n_channels))[:, np.newaxis]
    return heights * beat + rng.normal(0, NOISE_SD, (n_channels, n_samples))
