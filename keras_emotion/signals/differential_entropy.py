"""Differential entropy of band-passed EEG, in the conventions of published code."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Literal

import numpy as np

from keras_emotion.signals.bands import Bands, check_bands
from keras_emotion.signals.baseline import baseline_samples, remove_baseline
from keras_emotion.signals.block_filter import block_filter
from keras_emotion.signals.filters import BLOCK_SAMPLES, as_floating, band_pass
from keras_emotion.signals.windows import sample_count, window_starts, windows

LogBase = Literal["e", 2]
Baseline = Literal["none", "signal", "feature"]

VARIANCE_FLOOR = 1e-20
"""Smallest variance used for an entropy, in squared units of the signal.

An RMS of 1e-10 units is far below every EEG, in volts (1e-4 microvolts) as in microvolts, and above the rounding noise
of a constant channel in a float64 filter. The entropy of such a window is -21.6 (base e)."""

BLOCK_LENGTHS = range(16, 129)
"""Samples per block of `block_filter`. Longer blocks need more multiplications than the filter; for much shorter ones
the sum of squares is a poor estimate of the variance."""


@dataclasses.dataclass(frozen=True)
class DifferentialEntropyConvention:
    """Convention for computing differential entropies from a trial.

    Args:
        log_base: `"e"` (nats) or `2` (bits).
        ddof: the variance divides by `samples - ddof`: 0 or 1.
        filter_order: order of the Butterworth prototype (see `band_pass`).
        zero_phase: forward-backward, or forward only from a filter at rest.
        filter_scope: what is filtered: the whole `"trial"` or each `"window"` separately.
        filter_lead_in: filter the baseline together with the trial and remove it afterwards; otherwise the filter
            restarts at stimulus onset. For `filter_scope="trial"` only.
        baseline: default baseline correction, if there is a baseline.
        theta_baseline_windows: in the mean baseline feature, take this number of the last baseline windows of every
            band from the theta band. 0, except to reproduce a published script.

    Raises:
        ValueError: a value is invalid.

    Example:
        >>> CONVENTIONS["default"]  # doctest: +NORMALIZE_WHITESPACE
        DifferentialEntropyConvention(log_base='e', ddof=0, filter_order=4, zero_phase=True, filter_scope='trial',
            filter_lead_in=True, baseline='none', theta_baseline_windows=0)
    """

    log_base: LogBase
    ddof: int
    filter_order: int
    zero_phase: bool
    filter_scope: Literal["trial", "window"]
    filter_lead_in: bool = False
    baseline: Baseline = "none"
    theta_baseline_windows: int = 0

    def __post_init__(self):
        for field, allowed in (
            ("log_base", ("e", 2)),
            ("ddof", (0, 1)),
            ("filter_scope", ("trial", "window")),
            ("baseline", ("none", "signal", "feature")),
        ):
            if getattr(self, field) not in allowed:
                raise ValueError(f"`{field}` is {getattr(self, field)!r}; expected one of {allowed}")
        if self.filter_order < 1 or self.theta_baseline_windows < 0:
            raise ValueError(
                f"`filter_order` is {self.filter_order} and `theta_baseline_windows` {self.theta_baseline_windows}; "
                "expected 1 or more and 0 or more"
            )
        if self.filter_lead_in and self.filter_scope == "window":
            raise ValueError(
                "`filter_lead_in` is True with `filter_scope` 'window'; expected False, since a window has no lead-in"
            )


_FOUR_D_CRNN = DifferentialEntropyConvention(
    log_base="e", ddof=1, filter_order=3, zero_phase=False, filter_scope="trial", baseline="feature"
)

CONVENTIONS: Mapping[str, DifferentialEntropyConvention] = {
    "default": DifferentialEntropyConvention(
        log_base="e", ddof=0, filter_order=4, zero_phase=True, filter_scope="trial", filter_lead_in=True
    ),
    "4d-crnn": _FOUR_D_CRNN,
    "4d-crnn-released": dataclasses.replace(_FOUR_D_CRNN, theta_baseline_windows=3),
    "torcheeg": DifferentialEntropyConvention(
        log_base=2, ddof=0, filter_order=5, zero_phase=False, filter_scope="window"
    ),
    "libeer": DifferentialEntropyConvention(log_base=2, ddof=1, filter_order=3, zero_phase=True, filter_scope="trial"),
}
"""Differential entropy conventions of published code. Band edges are not part of a convention: see `PUBLISHED_BANDS`.

- `"default"`: that of this package. Natural logarithm, ddof 0, Butterworth order 4, zero-phase, over the whole trial
  with the baseline as lead-in.
- `"4d-crnn"` [1]: natural logarithm, ddof 1, order 3, causal, over the whole trial; trial and baseline are filtered
  separately, and the mean entropy of the baseline's windows (six of 0.5 s) is subtracted; without a baseline, nothing
  is subtracted (its SEED script).
- `"4d-crnn-released"`: the same with **an error of the released DEAP script preserved**: the last three baseline
  windows of alpha, beta and gamma are computed from the theta-filtered baseline. Only for comparison with its numbers.
- `"torcheeg"` (TorchEEG, `BandDifferentialEntropy`): base 2, ddof 0, order 5, causal, from rest in every window, with a
  transient in each. Its optional baseline removal subtracts the entropy of the mean baseline waveform and is not part
  of the convention.
- `"libeer"` (LibEER): base 2, ddof 1, order 3, zero-phase, over the whole trial without the baseline. Its DEAP reader
  first subtracts the mean baseline second: use `baseline="signal"` here to reproduce its numbers.

References:
    [1] Shen, Dai, Lin, Zhang, Kong, Zeng, EEG-based emotion recognition using 4D convolutional recurrent neural
    network, Cogn. Neurodyn. 14, 815-828, 2020.
"""


def differential_entropy(
    signal: np.ndarray,
    axis: int = -1,
    log_base: LogBase = "e",
    ddof: int = 0,
    variance_floor: float = VARIANCE_FLOOR,
) -> np.ndarray:
    """Compute the differential entropy of a normally distributed signal from its variance.

    `h = -integral f(x) log f(x) dx = 1/2 log(2 pi e sigma^2)`, Eq. (1)-(2) of [1], with the variance `sigma^2` of the
    samples along `axis`.

    **Deviations**: Eq. (2) of [1] prints `1/2 log 2 pi e sigma`, with sigma "the standard deviation"; the integral
    above it gives `sigma^2`, which is used here.

    Args:
        signal: array of any real dtype.
        axis: axis of the samples, default the last.
        log_base: `"e"` (default, nats) or `2` (bits).
        ddof: the variance divides by `samples - ddof`; 0 (default) or 1.
        variance_floor: lower limit of variances, in squared units of the signal; above 0.

    Returns:
        The shape of `signal` without `axis`; float32 for float32, else float64.

    Numerics: mean, variance and logarithm are computed in float64. A constant window gives the entropy of
    `variance_floor` (-21.6 nats by default), never `-inf`. NaN gives NaN.

    Raises:
        ValueError: `log_base` or `ddof` is invalid, or the floor is not positive.

    Example:
        >>> time = np.arange(128) / 128
        >>> sine = 3 * np.sin(2 * np.pi * 10 * time)  # variance 9 / 2
        >>> f"{differential_entropy(sine):.4f} {0.5 * np.log(2 * np.pi * np.e * 9 / 2):.4f}"
        '2.1710 2.1710'

    References:
        [1] Du et al., Attention-based 3D convolutional recurrent neural network model for multimodal emotion
        recognition, Front. Neurosci. 17:1330077, 2024.
    """
    signal = as_floating(signal)
    if log_base not in ("e", 2):
        raise ValueError(f"`log_base` is {log_base!r}; expected 'e' or 2")
    _check_variance(variance_floor, ddof, signal.shape[axis])
    variance = signal.var(axis=axis, dtype=np.float64, ddof=ddof)
    return _entropy_of(variance, log_base, variance_floor).astype(signal.dtype)


def _check_variance(variance_floor: float, ddof: int, n_samples: int) -> None:
    if not variance_floor > 0:
        raise ValueError(f"`variance_floor` is {variance_floor}; expected a positive variance")
    if not 0 <= ddof < n_samples:
        raise ValueError(
            f"`ddof` is {ddof} for {n_samples} samples; expected 0 or more and less than the number of samples"
        )


def _entropy_of(variance: np.ndarray, log_base: LogBase, variance_floor: float) -> np.ndarray:
    logarithm = np.log if log_base == "e" else np.log2
    return 0.5 * logarithm(2 * np.pi * np.e * np.maximum(variance, variance_floor))


def differential_entropy_features(
    signal: np.ndarray,
    sampling_rate_hz: float,
    bands: Bands,
    window_seconds: float,
    convention: str | DifferentialEntropyConvention = "default",
    *,
    hop_seconds: float | None = None,
    baseline_seconds: float = 0.0,
    baseline: Baseline | None = None,
    variance_floor: float = VARIANCE_FLOOR,
) -> np.ndarray:
    """Compute the differential entropy of each window, channel and band.

    This combines `band_pass`, `windows` and `differential_entropy`.

    The baseline is not part of the result: the first window starts at stimulus onset.

    Args:
        signal: `(channels, samples)`, or `(..., channels, samples)` for several trials of one length; any real dtype.
        sampling_rate_hz: samples per second.
        bands: `{name: (low_hz, high_hz)}`, such as `THREE_FACRNN_BANDS`; its order is the order of the bands axis.
        window_seconds: duration of a window (a slice of 3FACRNN), a whole number of samples.
        convention: a name in `CONVENTIONS` or a custom convention.
        hop_seconds: seconds from window to window; `None`, the default, is `window_seconds`.
        baseline_seconds: seconds at the start of `signal` before stimulus onset.
        baseline: `"signal"` subtracts the mean baseline second before the filter (`remove_baseline`); `"feature"`
            subtracts the mean entropy of the baseline's windows, which have `window_seconds` and do not overlap;
            `"none"` neither. `None`, the default, follows the convention, or does nothing if `baseline_seconds` is 0.
        variance_floor: see `differential_entropy`.

    Returns:
        `(windows, channels, bands)`, or `(..., windows, channels, bands)`; float32 for float32, else float64.

    Numerics: in float64, as `band_pass` and `differential_entropy`. For contiguous windows whose length is an even
    number of samples (or a multiple of one from 16 to 128), the filtered signal is never formed: sums and sums of
    squares are computed from the blocks of the filter, and the entropies differ from those of the filtered samples by
    rounding, typically 1e-12. Trials are processed in blocks: besides the result, the working memory is some ten times
    2 MB of signal (or one trial, if longer), whatever the number of trials. A constant channel gives the entropy of
    `variance_floor` if the filter is zero-phase, and a finite entropy otherwise.

    Raises:
        ValueError: an unknown convention or baseline, `"signal"` or `"feature"` without baseline seconds, bands that
            are invalid at this rate, `theta_baseline_windows` without a band named theta, or a signal without a
            channels axis or too short for a filter or a window.

    Example:
        >>> signal = np.random.default_rng(0).standard_normal((32, 63 * 128))
        >>> features = differential_entropy_features(
        ...     signal, 128, {"theta": (4, 7), "alpha": (8, 13)}, window_seconds=0.5, baseline_seconds=3
        ... )
        >>> features.shape
        (120, 32, 2)

    References:
        Section 2.2.1 of Du et al., Front. Neurosci. 17:1330077, 2024; the conventions as in `CONVENTIONS`.
    """
    signal = as_floating(signal)
    if signal.ndim < 2:
        raise ValueError(f"`signal` has shape {signal.shape}; expected `(..., channels, samples)`")
    if isinstance(convention, str):
        if convention not in CONVENTIONS:
            raise ValueError(f"`convention` is {convention!r}; expected one of {', '.join(CONVENTIONS)}")
        convention = CONVENTIONS[convention]
    check_bands(bands, sampling_rate_hz)
    onset = baseline_samples(signal.shape[-1], sampling_rate_hz, baseline_seconds)
    if baseline is None:
        baseline = convention.baseline if onset else "none"
    if baseline not in ("none", "signal", "feature"):
        raise ValueError(f"`baseline` is {baseline!r}; expected 'none', 'signal' or 'feature'")
    if baseline != "none" and not onset:
        raise ValueError(
            f"`baseline` is {baseline!r} but `baseline_seconds` is 0; expected a baseline before stimulus onset"
        )
    names = list(bands)
    n_theta_windows = convention.theta_baseline_windows if baseline == "feature" else 0
    if n_theta_windows and "theta" not in names:
        raise ValueError(f"`bands` are {', '.join(names)}; expected a band named theta for `theta_baseline_windows`")

    def entropies(piece: np.ndarray, start: int = 0, hop_seconds: float | None = None) -> np.ndarray:
        """Return `(trials, channels, windows, bands)` from `start` on; the filter is applied to the whole piece."""
        variance = _window_variances(piece, start, sampling_rate_hz, bands, window_seconds, hop_seconds, convention)
        return _entropy_of(variance, convention.log_base, variance_floor)

    window = sample_count(window_seconds, sampling_rate_hz, "window_seconds")
    _check_variance(variance_floor, convention.ddof, window)
    trials = signal.reshape(-1, *signal.shape[-2:])
    n_windows = len(window_starts(signal.shape[-1] - onset, sampling_rate_hz, window_seconds, hop_seconds))
    features = np.empty((len(trials), n_windows, trials.shape[1], len(bands)), signal.dtype)
    step = max(1, BLOCK_SAMPLES // max(1, trials[:1].size))
    for start in range(0, len(trials), step):
        block, of_block = trials[start : start + step], features[start : start + step]
        if baseline == "signal":
            block = remove_baseline(block, sampling_rate_hz, baseline_seconds)
        begin = 0 if convention.filter_lead_in else onset
        of_block[...] = np.swapaxes(entropies(block[..., begin:], onset - begin, hop_seconds), 1, 2)
        if baseline == "feature":
            n_baseline_windows = onset // window
            of_baseline = entropies(block if convention.filter_lead_in else block[..., :onset])
            of_baseline = of_baseline[:, :, :n_baseline_windows].astype(signal.dtype)
            if n_theta_windows:
                theta = of_baseline[:, :, -n_theta_windows:, [names.index("theta")]]
                of_baseline[:, :, -n_theta_windows:] = theta
            of_block -= of_baseline.mean(axis=2)[:, np.newaxis]
    return features.reshape(*signal.shape[:-2], *features.shape[1:])


def _window_variances(
    trials: np.ndarray,
    start: int,
    sampling_rate_hz: float,
    bands: Bands,
    window_seconds: float,
    hop_seconds: float | None,
    convention: DifferentialEntropyConvention,
) -> np.ndarray:
    """Compute variances `(trials, channels, windows, bands)` of the band-passed trials, in windows from `start` on.

    Contiguous windows need no filtered signal: its output is computed in blocks that fill the windows, of which only
    the sums and the sums of squares are kept.
    """
    window = sample_count(window_seconds, sampling_rate_hz, "window_seconds")
    edges_hz, order, zero_phase = tuple(bands.values()), convention.filter_order, convention.zero_phase
    n_samples = trials.shape[-1]

    def in_blocks(length: int):
        return block_filter(edges_hz, sampling_rate_hz, order, zero_phase, length)

    cut = windows(trials[..., start:], sampling_rate_hz, window_seconds, hop_seconds)
    if convention.filter_scope == "window":
        if not zero_phase and window in BLOCK_LENGTHS and in_blocks(window).is_accurate:
            # Overlapping windows are not a matrix that BLAS accepts without a copy.
            blocks = cut.astype(np.float64, copy=hop_seconds not in (None, window_seconds))
            outputs = in_blocks(window).outputs_from_rest(blocks)
            return _variances((([output], None) for output in outputs), window, convention.ddof)
    elif hop_seconds in (None, window_seconds):
        length = next(
            (window // n for n in range(1, window) if window % (2 * n) == 0 and window // n in BLOCK_LENGTHS), 0
        )
        if length and n_samples > 3 * (2 * order + 1) and in_blocks(length).is_accurate:
            rows = trials.reshape(-1, n_samples).astype(np.float64, copy=False)
            variance = _variances(in_blocks(length).outputs(rows, start), window, convention.ddof)
            return variance.reshape(*trials.shape[:-1], *variance.shape[1:])
    variances = []
    for band in edges_hz:
        if convention.filter_scope == "trial":
            filtered = band_pass(trials, sampling_rate_hz, *band, order, zero_phase)[..., start:]
            filtered = windows(filtered, sampling_rate_hz, window_seconds, hop_seconds)
        else:
            filtered = band_pass(cut, sampling_rate_hz, *band, order, zero_phase)
        variances.append(filtered.var(axis=-1, dtype=np.float64, ddof=convention.ddof))
    return np.stack(variances, axis=-1)


def _variances(outputs: Iterable[tuple[list[np.ndarray], object]], window: int, ddof: int) -> np.ndarray:
    """Compute `(..., windows, bands)` from the output of a `BlockFilter` for each band."""
    variances = []
    for parts, _ in outputs:
        squares = sum(np.einsum("...s,...s->...", part, part) for part in parts)
        # The differences of mirror images have zero sum.
        total = parts[0] @ np.full(parts[0].shape[-1], np.sqrt(len(parts)))
        blocks_a_window = window // (len(parts) * parts[0].shape[-1])
        n_windows = squares.shape[-1] // blocks_a_window
        squares, total = (
            moment[..., : n_windows * blocks_a_window].reshape(*moment.shape[:-1], n_windows, blocks_a_window).sum(-1)
            for moment in (squares, total)
        )
        variances.append((squares - total**2 / window) / (window - ddof))
    return np.stack(variances, axis=-1)
