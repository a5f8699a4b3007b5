"""Functional connectivity of all pairs of channels in all windows at once.

mne-connectivity, against which the tests compare, processes one pair at a time and uses the phases of wavelets within a
window; here the whole trial is filtered before it is split into windows.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import scipy.signal

from keras_emotion.signals.bands import check_bands
from keras_emotion.signals.filters import BLOCK_SAMPLES, as_floating, band_pass
from keras_emotion.signals.spectral_power import band_shares
from keras_emotion.signals.windows import sample_count, window_starts, windows

CONSTANT_SHARE = 1e-12
"""Relative range below which a channel counts as constant in a window, as a share of its largest magnitude.

Rounding noise of a constant is smaller (some 1e-15 of it), and on an offset of 1 V the limit is 1e-6 microvolts, below
every EEG."""

_Measure = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def pearson_correlation(
    signal: np.ndarray,
    sampling_rate_hz: float | None = None,
    window_seconds: float | None = None,
    hop_seconds: float | None = None,
) -> np.ndarray:
    """Compute the Pearson correlation of each pair of channels per window: a dynamic functional connectivity network.

    `C_ij(t) = cov(x_i(t), x_j(t)) / (sigma_i(t) * sigma_j(t))`, Eq. (1) of [1], with `x_i(t)` the window `t` of channel
    `i`: its samples, or a feature vector, such as the powers of its bands (`band_power`).

    **Deviations**: [1] does not specify which of the two `x_i(t)` is; both are supported here. A correlation of vectors
    as short as its five bands is large for any two channels, and for two values it is 1 or -1.

    Args:
        signal: `(channels, samples)` or `(..., channels, samples)`, which is split into windows; or, without
            `window_seconds`, vectors that are correlated directly: `(windows, channels, bands)`. Any real dtype.
        sampling_rate_hz: samples per second; for windows only.
        window_seconds: duration of a window, a whole number of samples; `None`, the default, uses no windows.
        hop_seconds: seconds from window to window; `None`, the default, is `window_seconds`.

    Returns:
        `(windows, channels, channels)` or `(..., windows, channels, channels)`; without `window_seconds` the shape of
        `signal` with channels instead of its last axis, `(windows, channels, channels)` for `(windows, channels,
        bands)`. float32 for float32, else float64. Symmetric, within -1 and 1, with diagonal 1.

    Numerics: computed in float64; the mean of each window is subtracted first, so that offsets cause no errors. A
    channel that is constant in a window (see `CONSTANT_SHARE`) has no correlation: it is set to 0 with every other
    channel and 1 with itself, so that all matrices have the same diagonal. A `RuntimeWarning` counts such channels. A
    filtered constant channel is rounding noise, which is not recognised: look for dead channels before filtering.

    Raises:
        ValueError: NaN or infinite values, vectors of fewer than 2 values, a window without a rate (or vice versa), or
            durations that `windows` refuses.

    Example:
        >>> time = np.arange(256) / 128
        >>> sine, cosine = np.sin(2 * np.pi * 10 * time), np.cos(2 * np.pi * 10 * time)
        >>> network = pearson_correlation(np.stack([sine, 5 - 2 * sine, cosine]), 128, window_seconds=1)
        >>> network.shape
        (2, 3, 3)
        >>> network[0].round(6) + 0.0
        array([[ 1., -1.,  0.],
               [-1.,  1.,  0.],
               [ 0.,  0.,  1.]])

    References:
        [1] Zheng, Shao, Zhang, Zhu, Prior-driven dynamic brain networks for multi-modal emotion recognition, MICCAI
        2023.
    """
    signal = _checked(signal)
    if (sampling_rate_hz is None) != (window_seconds is None) or (window_seconds is None and hop_seconds is not None):
        raise ValueError(
            f"`sampling_rate_hz` is {sampling_rate_hz}, `window_seconds` {window_seconds} and `hop_seconds` "
            f"{hop_seconds}; expected a rate and a window, or none of the three"
        )

    def cut(trials: np.ndarray) -> np.ndarray:
        if window_seconds is None or sampling_rate_hz is None:
            return trials[:, np.newaxis]
        return _windows_first(windows(trials, sampling_rate_hz, window_seconds, hop_seconds))

    def correlations(trials: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        vectors = cut(trials)
        constant = _is_constant(vectors)
        vectors = vectors - vectors.mean(axis=-1, keepdims=True)
        norms = np.sqrt(np.einsum("...s,...s->...", vectors, vectors))
        vectors /= np.where(constant, 1, norms)[..., np.newaxis]
        return vectors @ np.swapaxes(vectors, -1, -2), constant

    shape = cut(signal.reshape(-1, *signal.shape[-2:])[:1]).shape
    _check_length(shape[-1], "correlation")
    networks = _networks(signal, shape[1], shape[1] * shape[2] * shape[3], correlations)
    return networks[..., 0, :, :] if window_seconds is None else networks


def phase_locking_value(
    signal: np.ndarray,
    sampling_rate_hz: float,
    low_hz: float,
    high_hz: float,
    window_seconds: float,
    *,
    hop_seconds: float | None = None,
    order: int = 4,
) -> np.ndarray:
    """Compute the phase locking value of each pair of channels in a frequency band, per window.

    `PLV_ij(t) = |1/N * sum_n exp(i * (phi_i[n] - phi_j[n]))|` over the `N` samples of window `t`, with `phi` the phase
    of the analytic signal of the band-passed channel: 1 for any constant phase difference.

    **Deviations**: Lachaux et al. [1] average over trials at each time; within a single trial the average is over the
    time of the window, the mean phase coherence of [2].

    Args:
        signal: `(channels, samples)` or `(..., channels, samples)`, any real dtype.
        sampling_rate_hz: samples per second.
        low_hz: lower edge of the band, above 0.
        high_hz: upper edge of the band, below half of the rate.
        window_seconds: duration of a window, a whole number of samples.
        hop_seconds: seconds from window to window; `None`, the default, is `window_seconds`.
        order: order of the zero-phase filter (see `band_pass`).

    Returns:
        `(windows, channels, channels)` or `(..., windows, channels, channels)`; float32 for float32, else float64.
        Symmetric, within 0 and 1, with diagonal 1.

    Numerics: computed in float64 (complex128). Filter and Hilbert transform are applied to the whole signal before it
    is split; its two ends are unreliable over about a period of `low_hz`, since the transform assumes a periodic
    signal. The narrower the band and the shorter the window, the larger the value for independent signals: with a band
    of `B` Hz and a window of `T` s, its square is of the order of `1 / (B * T)`. A channel that is constant in a window
    has no phase: 0 with every other channel, 1 with itself, and a `RuntimeWarning`.

    Raises:
        ValueError: NaN or infinite values, a band that is invalid at this rate, a window of fewer than 2 samples or
            that `windows` refuses, or a signal too short for the filter.

    Example:
        >>> time = np.arange(1280) / 128
        >>> waves = np.stack([np.sin(2 * np.pi * 10 * time + phase) for phase in (0, 1)])
        >>> phase_locking_value(waves, 128, low_hz=8, high_hz=13, window_seconds=2)[2].round(3)
        array([[1., 1.],
               [1., 1.]])

    References:
        [1] Lachaux, Rodriguez, Martinerie, Varela, Measuring phase synchrony in brain signals, Hum. Brain Mapp. 8,
        194-208, 1999.
        [2] Mormann, Lehnertz, David, Elger, Mean phase coherence as a measure for phase synchronization and its
        application to the EEG of epilepsy patients, Physica D 144, 358-369, 2000.
    """
    signal = _checked(signal)
    check_bands({"signal": (low_hz, high_hz)}, sampling_rate_hz)
    n_windows = len(window_starts(signal.shape[-1], sampling_rate_hz, window_seconds, hop_seconds))
    window = sample_count(window_seconds, sampling_rate_hz, "window_seconds")
    _check_length(window, "phase locking value")

    def locking(trials: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        constant = _is_constant(_windows_first(windows(trials, sampling_rate_hz, window_seconds, hop_seconds)))
        analytic = scipy.signal.hilbert(band_pass(trials, sampling_rate_hz, low_hz, high_hz, order))
        magnitude = np.abs(analytic)
        phases = np.divide(analytic, magnitude, out=np.zeros_like(analytic), where=magnitude > 0)
        phases = _windows_first(windows(phases, sampling_rate_hz, window_seconds, hop_seconds))
        return np.abs(phases @ np.swapaxes(phases, -1, -2).conj()) / window, constant

    # The phases are complex, which doubles the number of values.
    return _networks(signal, n_windows, 2 * n_windows * signal.shape[-2] * window, locking)


def coherence(
    signal: np.ndarray,
    sampling_rate_hz: float,
    low_hz: float,
    high_hz: float,
    window_seconds: float,
    *,
    hop_seconds: float | None = None,
    segment_seconds: float | None = None,
    taper: str = "hann",
) -> np.ndarray:
    """Compute the magnitude-squared coherence of each pair of channels, averaged over a frequency band, per window.

    `MSC_ij(f) = |S_ij(f)|^2 / (S_ii(f) * S_jj(f))` with the (cross-)spectral densities `S` by Welch's method, from the
    half-overlapping segments of one window. The band's value is the mean over its frequencies, weighted by the share of
    each frequency cell in the band, as in `band_power`.

    Args:
        signal: `(channels, samples)` or `(..., channels, samples)`, any real dtype.
        sampling_rate_hz: samples per second.
        low_hz: lower edge of the band, above 0.
        high_hz: upper edge of the band, below half of the rate.
        window_seconds: duration of a window, a whole number of samples.
        hop_seconds: seconds from window to window; `None`, the default, is `window_seconds`.
        segment_seconds: duration of a segment, a whole number of samples; a window must contain at least two segments.
            `None`, the default, is 1 s, or half of the window if that is shorter.
        taper: name of a window of `scipy.signal.get_window`, default `"hann"`.

    Returns:
        `(windows, channels, channels)` or `(..., windows, channels, channels)`; float32 for float32, else float64.
        Symmetric, within 0 and 1, with diagonal 1.

    Numerics: computed in float64; the mean of each segment is subtracted. With `K` segments, independent signals have a
    coherence of `1 / K` rather than 0: with a Hann taper `(1 + (K - 1) / (18 K)) / K`, 0.21 for a window of 3 s. A
    channel that is constant in a window has 0 with every other channel, 1 with itself, and gives a `RuntimeWarning`.

    Raises:
        ValueError: NaN or infinite values, a band that is invalid at this rate, a window of a single segment (whose
            coherence is always 1), or durations that `windows` refuses.

    Example:
        >>> noise = np.random.default_rng(0).standard_normal((3, 60 * 128))
        >>> noise[2] = noise[0] + noise[1]  # half of its power from each: coherence 1/2 with both
        >>> coherence(noise, 128, low_hz=8, high_hz=13, window_seconds=60)[0].round(1)
        array([[1. , 0. , 0.5],
               [0. , 1. , 0.5],
               [0.5, 0.5, 1. ]])

    References:
        Carter, Knapp, Nuttall, Estimation of the magnitude-squared coherence function via overlapped fast Fourier
        transform processing, IEEE Trans. Audio Electroacoust. 21, 337-344, 1973.
    """
    signal = _checked(signal)
    check_bands({"signal": (low_hz, high_hz)}, sampling_rate_hz)
    n_windows = len(window_starts(signal.shape[-1], sampling_rate_hz, window_seconds, hop_seconds))
    window = sample_count(window_seconds, sampling_rate_hz, "window_seconds")
    if segment_seconds is None:
        segment_seconds = min(sampling_rate_hz, window // 2) / sampling_rate_hz
    segment = sample_count(segment_seconds, sampling_rate_hz, "segment_seconds")
    segment_hop_seconds = (segment - segment // 2) / sampling_rate_hz
    if segment < 2 or segment + segment - segment // 2 > window:
        raise ValueError(
            f"`segment_seconds` is {segment_seconds:g} and `window_seconds` {window_seconds:g}; expected segments of 2 "
            "samples or more, two of which, overlapping by half, fit into a window"
        )
    tapering = scipy.signal.get_window(taper, segment)
    shares = band_shares({"signal": (low_hz, high_hz)}, sampling_rate_hz, segment)[:, 0]
    inside = np.flatnonzero(shares)
    weights = shares[inside] / shares[inside].sum()

    def coherences(trials: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        cut = _windows_first(windows(trials, sampling_rate_hz, window_seconds, hop_seconds))
        segments = windows(cut, sampling_rate_hz, segment_seconds, segment_hop_seconds)
        segments = (segments - segments.mean(axis=-1, keepdims=True)) * tapering
        # (trials, windows, channels, segments, frequencies) -> frequencies before channels and segments
        spectra = np.moveaxis(np.fft.rfft(segments)[..., inside], -1, -3)
        cross = np.abs(spectra @ np.swapaxes(spectra, -1, -2).conj()) ** 2
        power = np.einsum("...cs,...cs->...c", spectra, spectra.conj()).real
        power = power[..., :, np.newaxis] * power[..., np.newaxis, :]
        values = np.divide(cross, power, out=np.zeros_like(cross), where=power > 0)
        return np.einsum("twfij,f->twij", values, weights), _is_constant(cut)

    # Half-overlapping segments, then complex spectra.
    return _networks(signal, n_windows, 4 * n_windows * signal.shape[-2] * window, coherences)


def _checked(signal: np.ndarray) -> np.ndarray:
    signal = as_floating(signal)
    if signal.ndim < 2:
        raise ValueError(f"`signal` has shape {signal.shape}; expected `(..., channels, samples)`")
    finite = np.isfinite(signal).all(axis=-1)
    if not finite.all():
        channels = np.unique(np.nonzero(~finite)[-1])
        raise ValueError(
            f"`signal` has NaN or infinite values in channels {', '.join(map(str, channels))}; expected finite numbers"
        )
    return signal


def _check_length(n_values: int, measure: str) -> None:
    if n_values < 2:
        raise ValueError(f"`signal` has {n_values} values per window; expected 2 or more for a {measure}")


def _windows_first(cut: np.ndarray) -> np.ndarray:
    """Move windows before channels in `(..., channels, windows, samples)`, as returned by `windows`."""
    return np.swapaxes(cut, -2, -3)


def _is_constant(vectors: np.ndarray) -> np.ndarray:
    low, high = vectors.min(axis=-1), vectors.max(axis=-1)
    return high - low <= CONSTANT_SHARE * np.maximum(np.abs(low), np.abs(high))


def _networks(signal: np.ndarray, n_windows: int, n_values: int, measure: _Measure) -> np.ndarray:
    """Compute `(..., windows, channels, channels)` by a measure that returns matrices and constant channels of trials.

    Trials are processed in blocks, so that the working memory does not depend on their number; `n_values` is the number
    of values per trial.
    """
    trials = signal.reshape(-1, *signal.shape[-2:])
    n_channels = trials.shape[1]
    networks = np.empty((len(trials), n_windows, n_channels, n_channels), signal.dtype)
    step = max(1, BLOCK_SAMPLES // max(1, n_values))
    n_constant, diagonal = 0, np.arange(n_channels)
    for start in range(0, len(trials), step):
        values, constant = measure(trials[start : start + step].astype(np.float64))
        values[constant[..., :, np.newaxis] | constant[..., np.newaxis, :]] = 0
        values[..., diagonal, diagonal] = 1
        # Matrix products are symmetric and bounded up to rounding only.
        networks[start : start + step] = np.clip((values + np.swapaxes(values, -1, -2)) / 2, -1, 1)
        n_constant += int(constant.sum())
    if n_constant:
        warnings.warn(
            f"{n_constant} of {networks[..., 0].size} channels of windows are constant: their connectivity is 0",
            RuntimeWarning,
            stacklevel=3,
        )
    return networks.reshape(*signal.shape[:-2], *networks.shape[1:])
