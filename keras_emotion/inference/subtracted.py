"""Baseline at the start of a recording, subtracted from the rest."""

from __future__ import annotations

import dataclasses

import numpy as np

Inputs = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True, eq=False)
class Subtracted:
    """A subtracted baseline: a waveform `(channels, samples)` of the signal, or means of the features by name."""

    waveform: np.ndarray | None = None
    features: Inputs | None = None

    def from_signal(self, signal: np.ndarray, start: int) -> np.ndarray:
        """Subtract the waveform from a signal whose first sample is `start` samples after the end of the baseline."""
        if self.waveform is None:
            return signal
        phase = (start + np.arange(signal.shape[1])) % self.waveform.shape[1]
        return signal - self.waveform[:, phase]

    def from_features(self, arrays: Inputs) -> Inputs:
        """Subtract the mean over the baseline from the features."""
        return arrays if self.features is None else {name: arrays[name] - mean for name, mean in self.features.items()}
