"""Eye-movement features: pupil diameter over time, and events (fixations, saccades, blinks) without times."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import scipy.fft

from keras_emotion.signals.differential_entropy import VARIANCE_FLOOR
from keras_emotion.signals.filters import as_floating
from keras_emotion.signals.windows import windows

PUPIL_BANDS_HZ: Mapping[str, tuple[float, float]] = {
    "0-0.2": (0.0, 0.2),
    "0.2-0.4": (0.2, 0.4),
    "0.4-0.6": (0.4, 0.6),
    "0.6-1": (0.6, 1.0),
}
"""Bands of the pupil diameter, as in SEED and its successors."""

_RESOLUTION_HZ = 0.01
"""Largest spacing in Hz of the frequencies of a window's spectrum."""

EVENT_FEATURE_NAMES = (
    *("pupil_x_mean", "pupil_x_std", "pupil_y_mean", "pupil_y_std"),
    *("fixation_duration_mean", "fixation_duration_std"),
    *("dispersion_x_mean", "dispersion_y_mean", "dispersion_x_std", "dispersion_y_std"),
    *("saccade_duration_mean", "saccade_duration_std", "saccade_amplitude_mean", "saccade_amplitude_std"),
    *("blink_duration_mean", "blink_duration_std", "blink_rate"),
    *("fixation_rate", "fixation_duration_max", "dispersion_max", "dispersion_total", "saccade_rate"),
)
"""Features of `event_features`, in order: 22 of the 33 eye features of SEED-V and SEED-VII."""


def interpolate_gaps(pupil: np.ndarray) -> np.ndarray:
    """Fill gaps of a signal, such as blinks, by linear interpolation.

    Args:
        pupil: `(..., samples)`, NaN if missing.

    Returns:
        The same shape, float32 for float32, else float64. At the ends the nearest value is repeated; a row without any
        value stays NaN.
    """
    filled = as_floating(pupil).copy()
    places = np.arange(filled.shape[-1])
    for row in filled.reshape(-1, filled.shape[-1]):
        is_known = np.isfinite(row)
        if is_known.any() and not is_known.all():
            row[~is_known] = np.interp(places[~is_known], places[is_known], row[is_known])
    return filled


def pupil_statistics(
    pupil: np.ndarray, sampling_rate_hz: float, window_seconds: float, hop_seconds: float | None = None
) -> np.ndarray:
    """Compute mean and standard deviation (over all samples, without Bessel's correction) of the pupil in each window.

    Args:
        pupil: `(..., samples)` diameter in any unit.
        sampling_rate_hz: samples per second.
        window_seconds: duration of a window.
        hop_seconds: time between the starts of consecutive windows; `None`: contiguous windows.

    Returns:
        `(..., windows, 2)`: mean, standard deviation.

    Raises:
        ValueError: see `windows`.
    """
    cut = windows(as_floating(pupil), sampling_rate_hz, window_seconds, hop_seconds)
    return np.stack([cut.mean(axis=-1), cut.std(axis=-1)], axis=-1)


def pupil_entropies(
    pupil: np.ndarray,
    sampling_rate_hz: float,
    window_seconds: float,
    hop_seconds: float | None = None,
    bands: Mapping[str, tuple[float, float]] = PUPIL_BANDS_HZ,
) -> np.ndarray:
    r"""Compute the differential entropy of the pupil diameter in slow bands, per window.

    $$h = \frac12 \log(2 \pi e P), \qquad P = \int_{low}^{high} S(f) \, df$$

    with the power spectral density `S` of the mean-subtracted window under a Hann taper. The bands are narrower than
    the resolution of a window of 4 s: `S` is evaluated every 0.01 Hz (zero padding), and neighbouring bands of short
    windows are strongly correlated.

    **Deviations.** The code of SEED-VII sums the squared bins of the plain Fourier transform whose rounded-down number
    lies between the edges, and takes `log2` of their mean: there, neighbouring bands also share bins. It also removes
    the component common to all subjects for a clip (luminance), which requires all subjects at once, and smooths over
    the trial. Neither is done here.

    Args:
        pupil: `(..., samples)` diameter, without gaps (`interpolate_gaps`).
        sampling_rate_hz: samples per second.
        window_seconds: duration of a window.
        hop_seconds: time between the starts of consecutive windows; `None`: contiguous windows.
        bands: `(low_hz, high_hz)` by name, in the order of the last axis.

    Returns:
        `(..., windows, bands)`, in the dtype of `windows`. Windows with a NaN give NaN.

    Raises:
        ValueError: a band has reversed edges or exceeds half of the rate; see also `windows`.
    """
    for name, (low, high) in bands.items():
        if not 0 <= low < high <= sampling_rate_hz / 2:
            raise ValueError(
                f"`bands`: {name} is {low:g} to {high:g} Hz; expected the lower edge first, and at most "
                f"{sampling_rate_hz / 2:g} Hz"
            )
    cut = windows(as_floating(pupil), sampling_rate_hz, window_seconds, hop_seconds)
    cut = cut - cut.mean(axis=-1, keepdims=True)
    n_samples = cut.shape[-1]
    taper = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_samples) / n_samples)).astype(cut.dtype)
    n_padded = scipy.fft.next_fast_len(max(n_samples, math.ceil(sampling_rate_hz / _RESOLUTION_HZ)), real=True)
    spectrum = np.abs(scipy.fft.rfft(cut * taper, n_padded, axis=-1)) ** 2
    # One-sided density; the bin at 0 Hz is not doubled, and is negligible without the mean.
    density = 2 * spectrum / (sampling_rate_hz * np.square(taper).sum())
    frequencies = np.arange(density.shape[-1]) * sampling_rate_hz / n_padded
    in_bands = [(low <= frequencies) & (frequencies < high) for low, high in bands.values()]
    power = np.stack([density[..., mask].sum(axis=-1) for mask in in_bands], axis=-1) * (sampling_rate_hz / n_padded)
    # NaN is preserved.
    return np.log(2 * np.pi * np.e * np.maximum(power, VARIANCE_FLOOR)) / 2


def event_features(
    pupil: np.ndarray,
    fixations_ms: np.ndarray,
    saccades: np.ndarray,
    blinks_ms: np.ndarray,
    duration_seconds: float,
) -> np.ndarray:
    """Compute event statistics of a trial: those of SEED's eye features that need no times.

    These cannot be computed: entropies of the pupil (8 of SEED-VII's 33 features), which need the pupil over time; the
    latency of saccades, which needs their times; any feature per window. Mean duration and amplitude of the saccades
    occur twice among the 33, for a window and for the trial; here once.

    Args:
        pupil: `(fixations, 4)`: horizontal and vertical diameter during each fixation, horizontal and vertical
            dispersion; usually in pixels.
        fixations_ms: `(fixations,)` durations in milliseconds.
        saccades: `(saccades, 2)`: duration in milliseconds, amplitude in degrees.
        blinks_ms: `(blinks,)` durations in milliseconds.
        duration_seconds: duration of the trial, above 0.

    Returns:
        `(22,)` float64, in the order of `EVENT_FEATURE_NAMES`: durations in milliseconds, rates in events per second.
        The total dispersion of a fixation is the Euclidean norm of its two components. Standard deviations have no
        Bessel's correction. Without saccades or blinks their features are 0; without fixations pupil, fixation and
        dispersion are NaN.

    Raises:
        ValueError: invalid shapes, or a duration that is not above 0.
    """
    pupil, saccades = np.asarray(pupil, float), np.asarray(saccades, float)
    fixations_ms, blinks_ms = np.asarray(fixations_ms, float), np.asarray(blinks_ms, float)
    shapes = {"pupil": pupil.shape, "fixations_ms": fixations_ms.shape, "saccades": saccades.shape}
    n_fixations, n_saccades, n_blinks = len(fixations_ms), len(saccades), len(blinks_ms)
    expected = {"pupil": (n_fixations, 4), "fixations_ms": (n_fixations,), "saccades": (n_saccades, 2)}
    for name, shape in shapes.items():
        if shape != expected[name]:
            raise ValueError(f"`{name}` has shape {shape}; expected {expected[name]}")
    if not duration_seconds > 0:
        raise ValueError(f"`duration_seconds` is {duration_seconds}; expected a number above 0")
    size = np.hypot(pupil[:, 2], pupil[:, 3])
    values = [
        *_mean_and_deviation(pupil[:, 0]),
        *_mean_and_deviation(pupil[:, 1]),
        *_mean_and_deviation(fixations_ms),
        *(_mean_and_deviation(pupil[:, column])[place] for place in (0, 1) for column in (2, 3)),
        *_mean_and_deviation(saccades[:, 0], 0.0),
        *_mean_and_deviation(saccades[:, 1], 0.0),
        *_mean_and_deviation(blinks_ms, 0.0),
        n_blinks / duration_seconds,
        n_fixations / duration_seconds,
        fixations_ms.max(initial=0.0) if n_fixations else np.nan,
        size.max(initial=0.0) if n_fixations else np.nan,
        size.sum() if n_fixations else np.nan,
        n_saccades / duration_seconds,
    ]
    return np.array(values, dtype=np.float64)


def _mean_and_deviation(values: np.ndarray, of_none: float = np.nan) -> tuple[float, float]:
    return (float(values.mean()), float(values.std())) if len(values) else (of_none, of_none)
