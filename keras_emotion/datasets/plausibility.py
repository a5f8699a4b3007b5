"""Whether a signal in microvolts can be EEG of a scalp: one rule for trials, recordings and streams."""

from __future__ import annotations

import numpy as np

from keras_emotion.datasets.electrodes import CHANNEL_FILE

PLAUSIBLE_UV = (0.5, 400.0)
"""Standard deviation of scalp EEG within a second, median over channels and seconds: real recordings have 3 to 100.

The two ends are less than a factor of 1000 apart, so that at most one power of 1000 makes a number plausible.
"""

_SLIPS = {
    1e-6: "microvolts taken for volts",
    1e6: "volts taken for microvolts",
    1e-3: "microvolts taken for millivolts",
    1e3: "millivolts taken for microvolts",
}
"""What may have happened, by the factor that would undo it."""


def deviations_uv(eeg: np.ndarray, sampling_rate_hz: float) -> np.ndarray:
    """`(channels, seconds)` standard deviation within each second: without offset and drift.

    Args:
        eeg: `(channels, samples)` in microvolts; less than a second counts as one.
        sampling_rate_hz: samples a second.
    """
    length = min(max(round(sampling_rate_hz), 1), eeg.shape[1])
    n_seconds = eeg.shape[1] // length
    return eeg[:, : n_seconds * length].reshape(len(eeg), n_seconds, length).std(axis=-1)


def size_advice(size_uv: float) -> str | None:
    """What to do about EEG of this size, `None` where it is plausible.

    No number, and no size at all, are no matter of size: they are reported as what they are.

    Args:
        size_uv: median of `deviations_uv`.

    Example:
        >>> size_advice(20.0)
        >>> size_advice(2e7).partition("; ")[0]
        'microvolts taken for volts? if so, set factor 1e-06 in channels.csv (name `*` for all channels'
    """
    low, high = PLAUSIBLE_UV
    if not size_uv > 0 or low <= size_uv <= high:
        return None
    factor = next((factor for factor in _SLIPS if low <= size_uv * factor <= high), None)
    if factor is None:
        return "expected EEG; look at the file"
    return (
        f"{_SLIPS[factor]}? if so, set factor {factor:g} in {CHANNEL_FILE} (name `*` for all channels; column file for "
        "some recordings)"
    )


def microvolt_factor(size: float) -> float | None:
    """What EEG of an unknown unit is multiplied by to be in microvolts: 1, or a million where it is in volts.

    Args:
        size: median of `deviations_uv`, in the unit of the signal.

    Returns:
        `None` where the signal is EEG in neither of them.

    Example:
        >>> microvolt_factor(20.0), microvolt_factor(2e-5), microvolt_factor(0.02)
        (1.0, 1000000.0, None)
    """
    low, high = PLAUSIBLE_UV
    return next((factor for factor in (1.0, 1e6) if low <= size * factor <= high), None)


def size_fault(advice: str, *sizes_uv: float) -> str:
    """The sentence about EEG whose size no scalp has.

    Args:
        advice: of `size_advice`.
        *sizes_uv: the size, or the smallest and the largest.
    """
    low, high = PLAUSIBLE_UV
    found = " to ".join(f"{size:.3g}" for size in sizes_uv)
    return (
        f"EEG has a standard deviation of {found} uV within a second (median over channels and seconds), expected "
        f"{low:g} to {high:g}: {advice}"
    )
