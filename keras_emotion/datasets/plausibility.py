"""Check whether a signal in microvolts can be scalp EEG: one rule for trials, recordings and streams."""

from __future__ import annotations

import numpy as np

from keras_emotion.datasets.electrodes import CHANNEL_FILE

PLAUSIBLE_UV = (0.5, 400.0)
"""Plausible standard deviation of scalp EEG per second, median over channels and seconds: real data have 3 to 100.

The limits are less than a factor of 1000 apart, so at most one power of 1000 makes a value plausible.
"""

_SLIPS = {
    1e-6: "microvolts read as volts",
    1e6: "volts read as microvolts",
    1e-3: "microvolts read as millivolts",
    1e3: "millivolts read as microvolts",
}
"""Probable unit error, by the factor that corrects it."""


def deviations_uv(eeg: np.ndarray, sampling_rate_hz: float) -> np.ndarray:
    """Return the `(channels, seconds)` standard deviation within each second, free of offset and drift.

    Args:
        eeg: `(channels, samples)` in microvolts; a signal of less than a second counts as one.
        sampling_rate_hz: samples per second.
    """
    length = min(max(round(sampling_rate_hz), 1), eeg.shape[1])
    n_seconds = eeg.shape[1] // length
    return eeg[:, : n_seconds * length].reshape(len(eeg), n_seconds, length).std(axis=-1)


def size_advice(size_uv: float) -> str | None:
    """Return advice about EEG of this amplitude, `None` if it is plausible.

    NaN and zero are not amplitude errors: they are reported separately.

    Args:
        size_uv: median of `deviations_uv`.

    Example:
        >>> size_advice(20.0)
        >>> size_advice(2e7).partition("; ")[0]
        'microvolts read as volts? if so, set factor 1e-06 in channels.csv (name `*` for all channels'
    """
    low, high = PLAUSIBLE_UV
    if not size_uv > 0 or low <= size_uv <= high:
        return None
    factor = next((factor for factor in _SLIPS if low <= size_uv * factor <= high), None)
    if factor is None:
        return "expected EEG; check the file"
    return (
        f"{_SLIPS[factor]}? if so, set factor {factor:g} in {CHANNEL_FILE} (name `*` for all channels; column file for "
        "some recordings)"
    )


def microvolt_factor(size: float) -> float | None:
    """Return the factor that converts EEG of unknown unit to microvolts: 1, or a million for volts.

    Args:
        size: median of `deviations_uv`, in the signal's unit.

    Returns:
        The factor; `None` if the signal is not EEG in either unit.

    Example:
        >>> microvolt_factor(20.0), microvolt_factor(2e-5), microvolt_factor(0.02)
        (1.0, 1000000.0, None)
    """
    low, high = PLAUSIBLE_UV
    return next((factor for factor in (1.0, 1e6) if low <= size * factor <= high), None)


def size_fault(advice: str, *sizes_uv: float) -> str:
    """Format the message about EEG of implausible amplitude.

    Args:
        advice: result of `size_advice`.
        *sizes_uv: the amplitude, or the smallest and the largest.
    """
    low, high = PLAUSIBLE_UV
    found = " to ".join(f"{size:.3g}" for size in sizes_uv)
    return (
        f"EEG has a standard deviation of {found} uV per second (median over channels and seconds); expected "
        f"{low:g} to {high:g}; {advice}"
    )
