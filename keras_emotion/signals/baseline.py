"""Remove the baseline waveform that precedes the stimulus."""

from __future__ import annotations

import numpy as np

from keras_emotion.signals.filters import as_floating
from keras_emotion.signals.windows import sample_count, windows


def baseline_samples(n_samples: int, sampling_rate_hz: float, baseline_seconds: float) -> int:
    """Return the number of samples before stimulus onset, checked against the length of the signal.

    Args:
        n_samples: length of the whole signal, baseline included.
        sampling_rate_hz: samples per second.
        baseline_seconds: seconds before stimulus onset, a whole number of samples, 0 or more.

    Raises:
        ValueError: the baseline is negative, not a whole number of samples, or leaves no samples after stimulus onset.

    Example:
        >>> baseline_samples(8064, sampling_rate_hz=128, baseline_seconds=3)
        384
    """
    onset = sample_count(baseline_seconds, sampling_rate_hz, "baseline_seconds")
    if not 0 <= onset < n_samples:
        raise ValueError(
            f"`baseline_seconds` is {baseline_seconds:g} ({onset} samples); expected 0 or more and less than the "
            f"{n_samples} samples of the signal"
        )
    return onset


def remove_baseline(
    signal: np.ndarray, sampling_rate_hz: float, baseline_seconds: float, segment_seconds: float = 1.0
) -> np.ndarray:
    """Subtract the mean baseline segment, one waveform per channel, from every segment of the signal (Yang [1]).

    With segments of `S` samples, stimulus onset at sample `b` and `k = floor(b / S)` complete segments before it, `m[s]
    = 1/k * sum_j x[b - j * S + s]` over `j = 1..k`, and the result is `x[n] - m[(n - b) mod S]`.

    **Deviations**: [1] subtracts from the trial only. Here it is subtracted from the baseline as well: otherwise a step
    arises at stimulus onset, which rings in every filter that includes the baseline. The trial itself is the same.
    Segments are counted backwards from stimulus onset, so that a baseline that is not a multiple of the segment length
    loses its first samples (for whole numbers, as DEAP's 3 s, nothing is lost).

    Args:
        signal: `(..., channels, samples)` of any real dtype; the first `baseline_seconds` precede the stimulus.
        sampling_rate_hz: samples per second.
        baseline_seconds: duration of the baseline, a whole number of samples and at least one segment.
        segment_seconds: duration of a segment, default 1 s as in [1].

    Returns:
        Same shape, baseline included; float32 for float32, else float64. From an incomplete last segment, the first
        part of the waveform is subtracted.

    Numerics: means are computed in float64. A constant channel gives zeros.

    Raises:
        ValueError: the baseline is shorter than a segment, not shorter than the signal, or a duration is not a whole
            number of samples.

    Example:
        >>> signal = np.array([[1.0, 2.0, 3.0, 4.0, 10.0, 10.0, 10.0]])
        >>> remove_baseline(signal, sampling_rate_hz=2, baseline_seconds=2)  # mean segment: 2, 3
        array([[-1., -1.,  1.,  1.,  8.,  7.,  8.]])

    References:
        [1] Yang, Wu, Qiu, Wang, Chen, Emotion recognition from multi-channel EEG through parallel convolutional
        recurrent neural network, IJCNN 2018.
    """
    signal = as_floating(signal)
    n_samples = signal.shape[-1]
    onset = baseline_samples(n_samples, sampling_rate_hz, baseline_seconds)
    segment = sample_count(segment_seconds, sampling_rate_hz, "segment_seconds")
    if not 1 <= segment <= onset:
        raise ValueError(
            f"`baseline_seconds` is {baseline_seconds:g} ({onset} samples) and `segment_seconds` {segment_seconds:g} "
            f"({segment} samples); expected a baseline of one segment or more"
        )
    whole_segments = signal[..., onset % segment : onset]
    waveform = windows(whole_segments, sampling_rate_hz, segment_seconds).mean(axis=-2, dtype=np.float64)
    phase = (np.arange(n_samples) - onset) % segment
    repeated = np.take(waveform.astype(signal.dtype), phase, axis=-1)
    return np.subtract(signal, repeated, out=repeated)
