"""Audio spectrograms: log-mel powers, the front end of VGGish, and energy."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import scipy.fft
import scipy.signal

FRAMES_AT_ONCE = 4096
"""Frames transformed at once, which bounds the memory: 50 MB for windows of 800 samples."""

LOG_MEL_FLOOR = 1e-10
ENERGY_FLOOR_DBFS = -120.0
"""Energy of digital silence; 16-bit quantisation noise is at -101 dBFS."""

VGGISH_RATE_HZ = 16000
VGGISH_FRAMES = 96
VGGISH_BANDS = 64


def log_mel(
    waveform: np.ndarray,
    sampling_rate_hz: float,
    *,
    window_seconds: float = 0.05,
    hop_seconds: float = 0.01,
    n_bands: int = 20,
    band_hz: tuple[float, float] = (0.0, 8000.0),
) -> np.ndarray:
    """Compute the logarithm of mel powers.

    The audio features of Lee, Kim and Kim (2024, section 3.1): Hamming windows of 50 ms every 10 ms, 20 mel bands, the
    logarithm. The paper does not specify the following, which is our choice: only complete windows (`center=False`), a
    transform as long as the window (800 samples at 16 kHz), power, Slaney's mel scale from 0 to 8000 Hz with bands of
    equal area, and the natural logarithm of 1e-10 or more. The windows are periodic. The result equals that of
    `librosa.feature.melspectrogram` with `htk=False`.

    Args:
        waveform: `(..., samples)` float32 or float64, full scale -1 to 1.
        sampling_rate_hz: sampling rate, at least twice the upper end of `band_hz`.
        window_seconds: length of a window, rounded to samples.
        hop_seconds: time between the starts of windows, rounded to samples.
        n_bands: number of bands, 1 or more.
        band_hz: lower end of the first band and upper end of the last one.

    Returns:
        `(..., frames, n_bands)` in the dtype of the waveform, computed in float64. 4 s at 16 kHz give `(396, 20)`; a
        waveform shorter than a window gives no frame.

    Raises:
        ValueError: the waveform is not floating-point, or another argument is out of range.

    Example:
        >>> log_mel(np.zeros(64000, "float32"), 16000).shape
        (396, 20)
    """
    length, hop = _samples(sampling_rate_hz, window_seconds=window_seconds, hop_seconds=hop_seconds)
    weights = slaney_mel_weights(length, sampling_rate_hz, n_bands, *band_hz)
    window = scipy.signal.get_window("hamming", length)

    def features(frames):
        spectrum = scipy.fft.rfft(frames * window)
        return np.log(np.maximum((spectrum.real**2 + spectrum.imag**2) @ weights, LOG_MEL_FLOOR))

    return _by_frame(waveform, length, hop, n_bands, features)


def vggish_log_mel(waveform: np.ndarray, sampling_rate_hz: float) -> np.ndarray:
    """Compute the log-mel magnitudes that VGGish was trained on (Hershey et al., 2017).

    It follows the released code [1]: periodic Hann windows of 25 ms every 10 ms, only complete windows, a transform of
    512 samples, magnitudes, 64 bands of the HTK mel scale from 125 to 7500 Hz whose triangles are linear in mel,
    without the constant (bin 0), and log(x + 0.01).

    Args:
        waveform: `(..., samples)` float32 or float64, full scale -1 to 1.
        sampling_rate_hz: 16000, the rate of the training data (`read_audio` resamples).

    Returns:
        `(..., frames, 64)` in the dtype of the waveform, computed in float64.

    Raises:
        ValueError: another sampling rate, or the waveform is not floating-point.

    References:
        [1] https://github.com/tensorflow/models/tree/master/research/audioset/vggish
    """
    if sampling_rate_hz != VGGISH_RATE_HZ:
        raise ValueError(
            f"`sampling_rate_hz` must be {VGGISH_RATE_HZ} for VGGish; received {sampling_rate_hz}; resample, for "
            "instance by read_audio"
        )
    window = scipy.signal.get_window("hann", 400)
    weights = htk_mel_weights(512, VGGISH_RATE_HZ, VGGISH_BANDS, 125.0, 7500.0)
    return _by_frame(
        waveform,
        400,
        160,
        VGGISH_BANDS,
        lambda frames: np.log(np.abs(scipy.fft.rfft(frames * window, 512)) @ weights + 0.01),
    )


def vggish_patches(waveform: np.ndarray, sampling_rate_hz: float) -> np.ndarray:
    """Compute the inputs of `keras_emotion.models.VGGish`: `vggish_log_mel` in patches of 96 frames, 0.96 s.

    Args:
        waveform: `(..., samples)` float32 or float64, full scale -1 to 1.
        sampling_rate_hz: 16000.

    Returns:
        `(..., patches, 96, 64)`; 4 s give 4 patches. Frames after the last complete patch are dropped.

    Raises:
        ValueError: as `vggish_log_mel`.

    Example:
        >>> vggish_patches(np.zeros(64000, "float32"), 16000).shape
        (4, 96, 64)
    """
    return split_into_patches(vggish_log_mel(waveform, sampling_rate_hz))


def split_into_patches(frames: np.ndarray, n_frames: int = VGGISH_FRAMES) -> np.ndarray:
    """Split a spectrogram into contiguous, non-overlapping patches.

    Args:
        frames: `(..., frames, bands)`.
        n_frames: frames per patch, 1 or more.

    Returns:
        `(..., patches, n_frames, bands)`, a view if possible. Frames after the last complete patch are dropped.

    Raises:
        ValueError: `n_frames` is below 1.
    """
    if n_frames < 1:
        raise ValueError(f"`n_frames` must be 1 or more; received n_frames={n_frames}")
    *leading, n_all, n_bands = frames.shape
    n_patches = n_all // n_frames
    return frames[..., : n_patches * n_frames, :].reshape(*leading, n_patches, n_frames, n_bands)


def energy_dbfs(
    waveform: np.ndarray, sampling_rate_hz: float, window_seconds: float, hop_seconds: float | None = None
) -> np.ndarray:
    """Compute the energy of windows in decibels relative to full scale.

    20 log10 of the root mean square, full scale being 1: a constant of 1 has 0 dBFS, a full-scale sine -3.01 dBFS. The
    minimum is -120 dBFS, also for digital silence.

    Args:
        waveform: `(..., samples)` float32 or float64, full scale -1 to 1.
        sampling_rate_hz: sampling rate, above 0.
        window_seconds: length of a window, rounded to samples.
        hop_seconds: time between the starts of windows, rounded to samples; default `window_seconds`.

    Returns:
        `(..., windows)` in the dtype of the waveform; only complete windows.

    Raises:
        ValueError: the waveform is not floating-point, or another argument is out of range.

    Example:
        >>> energy_dbfs(np.array([0.1, -0.1, 0.0, 0.0]), 2, window_seconds=1)
        array([ -20., -120.])
    """
    hop_seconds = window_seconds if hop_seconds is None else hop_seconds
    length, hop = _samples(sampling_rate_hz, window_seconds=window_seconds, hop_seconds=hop_seconds)
    floor = 10 ** (ENERGY_FLOOR_DBFS / 10)

    def features(frames):
        return 10 * np.log10(np.maximum(np.mean(frames**2, axis=-1, keepdims=True), floor))

    return _by_frame(waveform, length, hop, 1, features)[..., 0]


def _samples(sampling_rate_hz: float, **seconds: float) -> list[int]:
    """Convert durations into samples, 1 or more."""
    if not 0 < sampling_rate_hz < np.inf:
        raise ValueError(f"`sampling_rate_hz` must be above 0; received {sampling_rate_hz}")
    for name, value in seconds.items():
        if not (0 < value < np.inf and round(value * sampling_rate_hz) >= 1):
            raise ValueError(f"`{name}` must be a sample or more; received {name}={value}")
    return [round(value * sampling_rate_hz) for value in seconds.values()]


def _by_frame(
    waveform: np.ndarray, length: int, hop: int, n_features: int, features: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """Apply `features`, in float64, to the complete windows of a waveform: `(..., frames, n_features)`."""
    waveform = np.asarray(waveform)
    if waveform.dtype not in (np.float32, np.float64):
        raise ValueError(
            f"`waveform` must be float32 or float64, full scale -1 to 1; received {waveform.dtype}; divide integers "
            "by their full scale"
        )
    if waveform.ndim < 1:
        raise ValueError("`waveform` must be (..., samples); received a number")
    *leading, n_samples = waveform.shape
    n_frames = max(0, 1 + (n_samples - length) // hop)
    output = np.empty((*leading, n_frames, n_features), waveform.dtype)
    at_once = max(1, FRAMES_AT_ONCE // max(1, int(np.prod(leading))))
    for first in range(0, n_frames, at_once):
        last = min(n_frames, first + at_once)
        part = waveform[..., first * hop : (last - 1) * hop + length].astype(np.float64)
        frames = np.lib.stride_tricks.sliding_window_view(part, length, axis=-1)[..., ::hop, :]
        output[..., first:last, :] = features(frames)
    return output


# === Mel bands ===


def _check_bands(n_bands: int, lower_hz: float, upper_hz: float, sampling_rate_hz: float) -> None:
    if n_bands < 1:
        raise ValueError(f"`n_bands` must be 1 or more; received n_bands={n_bands}")
    if not 0 <= lower_hz < upper_hz <= sampling_rate_hz / 2:
        raise ValueError(
            f"`band_hz` must be rising, from 0 to half the sampling rate, {sampling_rate_hz / 2:g} Hz; received "
            f"({lower_hz:g}, {upper_hz:g})"
        )


def _triangles(places: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Return `(places, bands)` triangles of height 1 over three consecutive edges each."""
    rising = (places[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - places[:, None]) / (edges[2:] - edges[1:-1])
    return np.maximum(0.0, np.minimum(rising, falling))


@functools.lru_cache(maxsize=8)
def slaney_mel_weights(
    n_fft: int, sampling_rate_hz: float, n_bands: int, lower_hz: float, upper_hz: float
) -> np.ndarray:
    """Return weights of a power spectrum in the bands of Slaney's Auditory Toolbox, each with the same area.

    The scale is linear below 1000 Hz (15 mel) and logarithmic above (a factor of 6.4 in 27 mel); the triangles are
    linear in Hz, of height 2 / width.

    Args:
        n_fft: length of the transform.
        sampling_rate_hz: sampling rate.
        n_bands: number of bands.
        lower_hz: lower end of the first band.
        upper_hz: upper end of the last band, at most half the sampling rate.

    Returns:
        `(n_fft // 2 + 1, n_bands)` float64, read-only.

    Raises:
        ValueError: bands are out of range, or so narrow that one contains no bin of the spectrum.
    """
    _check_bands(n_bands, lower_hz, upper_hz, sampling_rate_hz)
    linear_hz, octave = 200 / 3, np.log(6.4) / 27

    def mel(hz):
        return hz / linear_hz if hz < 1000 else 15 + np.log(hz / 1000) / octave

    mels = np.linspace(mel(lower_hz), mel(upper_hz), n_bands + 2)
    edges = np.where(mels < 15, mels * linear_hz, 1000 * np.exp((mels - 15) * octave))
    return _frozen(_triangles(scipy.fft.rfftfreq(n_fft, 1 / sampling_rate_hz), edges) * 2 / (edges[2:] - edges[:-2]))


@functools.lru_cache(maxsize=8)
def htk_mel_weights(n_fft: int, sampling_rate_hz: float, n_bands: int, lower_hz: float, upper_hz: float) -> np.ndarray:
    """Return weights of a magnitude spectrum in the HTK bands of VGGish: triangles linear in mel, of height 1.

    The scale is 1127 ln(1 + f / 700 Hz). Bin 0, the constant, has weight 0, since no triangle extends below `lower_hz`.

    Args:
        n_fft: length of the transform.
        sampling_rate_hz: sampling rate.
        n_bands: number of bands.
        lower_hz: lower end of the first band.
        upper_hz: upper end of the last band, at most half the sampling rate.

    Returns:
        `(n_fft // 2 + 1, n_bands)` float64, read-only.

    Raises:
        ValueError: bands are out of range, or so narrow that one contains no bin of the spectrum.
    """
    _check_bands(n_bands, lower_hz, upper_hz, sampling_rate_hz)

    def mel(hz):
        return 1127 * np.log1p(np.asarray(hz) / 700)

    edges = np.linspace(mel(lower_hz), mel(upper_hz), n_bands + 2)
    return _frozen(_triangles(mel(scipy.fft.rfftfreq(n_fft, 1 / sampling_rate_hz)), edges))


def _frozen(weights: np.ndarray) -> np.ndarray:
    if empty := np.flatnonzero(~weights.any(axis=0)).tolist():
        raise ValueError(
            f"`n_bands` is {weights.shape[1]} and bands {empty} contain no bin of the spectrum; expected fewer bands "
            "or a longer window"
        )
    # Shared by all calls, therefore read-only.
    weights.flags.writeable = False
    return weights
