"""EEG blocks that may overlap, with an optional delay relative to the block of the stimulus."""

from __future__ import annotations

import abc
from collections.abc import Iterable
from typing import ClassVar, Literal, Self

import numpy as np
import pandas as pd
from typing_extensions import override

from keras_emotion import signals
from keras_emotion.pipelines.features import FeaturePart, Features
from keras_emotion.pipelines.windowing import LagSeconds, Seconds, Windowing
from keras_emotion.schema import InputError, Recording, Trial


class EEGBlocks(FeaturePart):
    """EEG features in blocks from the onset of the stimulus: `{"eeg": (blocks, ...)}`.

    Scalp channels are in the recording's order. A block that ends after the trial is dropped.

    Args:
        window_seconds: length of a block in seconds.
        hop_seconds: time between consecutive block starts in seconds; `None`: no overlap.
        lag_seconds: delay of the EEG of a block relative to the window table in seconds: the brain's response follows
            the stimulus. A whole number of samples.
    """

    missing_channel: ClassVar[Literal["training_mean", "zero", "refuse"]] = "training_mean"

    window_seconds: Seconds = 4.0
    hop_seconds: Seconds | None = 2.0
    lag_seconds: LagSeconds = 0.0

    @property
    def windowing(self) -> Windowing:
        """See `FeaturePart`; a window is a block, whose steps overlap."""
        return Windowing(window_seconds=self.window_seconds, hop_seconds=self.hop_seconds, lag_seconds=self.lag_seconds)

    @override
    def with_windowing(self, windowing: Windowing) -> Self:
        names = ("window_seconds", "hop_seconds", "lag_seconds")
        return self.changed(**{name: getattr(windowing, name) for name in names})

    def for_new_recording(self) -> Self:
        """See `FeaturePart`; blocks overlap as in training."""
        return self

    def fault_of_duration(self, duration_seconds: float) -> str:
        """See `FeaturePart`; shorter than a block."""
        if len(self.windowing.starts(duration_seconds)):
            return ""
        lag = f" and the lag of {self.lag_seconds:g} s" if self.lag_seconds else ""
        return (
            f"lasts {duration_seconds:g} s; expected at least a window of {self.window_seconds:g} s{lag}; choose "
            "shorter windows (window_seconds)"
        )

    def extract(self, trials: Iterable[Trial]) -> Features:
        """See `FeaturePart`.

        Raises:
            InputError: trials are shorter than a block plus the lag, differ from the first in channels or rate, have a
                rate that does not cover the bands or gives fractional numbers of samples, or there are none. One line
                per file and fault, with the trials.
        """
        arrays, tables, first = [], [], None
        faults: dict[tuple[str, str], list[str]] = {}
        for trial in trials:
            eeg = trial.eeg
            first = first or (eeg.channel_names, eeg.sampling_rate_hz)
            fault = self.fault_of_duration(eeg.duration_seconds)
            if (eeg.channel_names, eeg.sampling_rate_hz) != first:
                fault = "channels or sampling rate differ from the first trial; expected the same"
            if not fault:
                starts = self.windowing.starts(eeg.duration_seconds)
                try:
                    arrays.append(self._arrays_of(eeg, starts))
                except ValueError as error:
                    fault = str(error)
            if fault:
                where = f"{eeg.source or 'recording'}, subject {trial.subject}"
                faults.setdefault((where, fault), []).append(str(trial.trial))
                continue
            tables.append(trial.window_table(starts, self.window_seconds))
        if faults:
            raise InputError(
                "\n".join(
                    f"{where}, trial {', '.join(dict.fromkeys(numbers))}: {fault}"
                    for (where, fault), numbers in faults.items()
                )
            )
        if not arrays:
            raise InputError("no trials to compute features from")
        joined = {name: np.concatenate([one[name] for one in arrays]) for name in arrays[0]}
        return joined, pd.concat(tables, ignore_index=True)

    def _arrays_of(self, eeg: Recording, starts: np.ndarray) -> dict[str, np.ndarray]:
        """Return the arrays by name of the blocks of a trial.

        Raises:
            ValueError: see `_of_signal`.
        """
        return {"eeg": self._of_signal(eeg, starts)}

    @abc.abstractmethod
    def _of_signal(self, eeg: Recording, starts: np.ndarray) -> np.ndarray:
        """Return the features `(blocks, ...)` of the blocks of a trial.

        Raises:
            ValueError: the part cannot be computed from these channels, or at this rate.
        """

    def _span(self, eeg: Recording, n_blocks: int) -> tuple[slice, int]:
        """Return the samples of a trial covered by its blocks, and the hop between block starts in samples.

        Raises:
            ValueError: a length is not a whole number of samples.
        """
        rate = eeg.sampling_rate_hz
        block = signals.sample_count(self.window_seconds, rate, "window_seconds")
        hop = signals.sample_count(self.hop_seconds or self.window_seconds, rate, "hop_seconds")
        first = eeg.n_baseline_samples + signals.sample_count(self.lag_seconds, rate, "lag_seconds")
        return slice(first, first + (n_blocks - 1) * hop + block), hop
