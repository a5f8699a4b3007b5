"""Differential entropies by channel and band, without an electrode grid."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar, Literal, Self

import numpy as np
import pandas as pd
from pydantic import Field, model_validator
from typing_extensions import override

from keras_emotion import signals
from keras_emotion.pipelines.features import Bands, EEGGridFeatures, FeaturePart, Features, check_band_edges
from keras_emotion.pipelines.windowing import Seconds, Windowing
from keras_emotion.schema import InputError, Recording, Trial


class ChannelEntropies(FeaturePart):
    """Differential entropy of each window, scalp channel and band: `{"entropy": (windows, channels, bands) float32}`.

    Windows follow each other from the onset of the stimulus. The remainder at the end of a trial is dropped.

    Args:
        window_seconds: length of a window in seconds, a whole number of samples.
        hop_seconds: time between consecutive window starts in seconds; `None`: no overlap.
        bands: `(low_hz, high_hz)` by name, in the order of the last axis.
        convention: name of the differential entropy convention (`keras_emotion.signals.CONVENTIONS`).
        baseline: `"signal"` subtracts the mean one-second baseline waveform, `"feature"` the mean baseline feature,
            `"none"` neither.
    """

    code_version: ClassVar[int] = 1
    missing_channel: ClassVar[Literal["training_mean", "zero", "refuse"]] = "training_mean"
    channel_axes: ClassVar[Mapping[str, tuple[int, ...]] | None] = {"entropy": (1,)}

    window_seconds: Seconds = 1.0
    hop_seconds: Seconds | None = None
    bands: Bands = Field(default_factory=lambda: dict(signals.THREE_FACRNN_BANDS))
    convention: str = "default"
    baseline: Literal["signal", "feature", "none"] = "none"

    @model_validator(mode="after")
    def _fields_fit(self):
        if self.convention not in signals.CONVENTIONS:
            raise ValueError(
                f"convention: {self.convention!r} is unknown; expected one of {', '.join(signals.CONVENTIONS)}"
            )
        check_band_edges(self.bands)
        return self

    @property
    def windowing(self) -> Windowing:
        """See `FeaturePart`; a window has no steps."""
        return Windowing(window_seconds=self.window_seconds, hop_seconds=self.hop_seconds)

    @override
    def with_windowing(self, windowing: Windowing) -> Self:
        if windowing.lag_seconds:
            raise ValueError(
                f"lag_seconds: {type(self).__name__} cannot be delayed relative to other parts; expected 0"
            )
        return self.changed(window_seconds=windowing.window_seconds, hop_seconds=windowing.hop_seconds)

    @override
    def for_new_recording(self) -> Self:
        return self.changed(hop_seconds=None)

    @override
    def array_shapes(self, n_channels: int, sampling_rate_hz: float) -> dict[str, tuple[int, ...]]:
        signals.sample_count(self.window_seconds, sampling_rate_hz, "window_seconds")
        return {"entropy": (n_channels, len(self.bands))}

    @override
    def lead_in_seconds(self, sampling_rate_hz: float) -> float:
        # Same filters as for the entropies on the grid.
        return EEGGridFeatures(bands=self.bands, convention=self.convention).lead_in_seconds(sampling_rate_hz)

    @property
    @override
    def frequency_bands(self) -> Mapping[str, tuple[float, float]]:
        return self.bands

    @property
    @override
    def subtracted_baseline(self) -> Literal["none", "waveform", "features"]:
        if self.baseline == "none":
            return "none"
        return "waveform" if self.baseline == "signal" else "features"

    @override
    def without_baseline(self) -> Self:
        return self.changed(baseline="none")

    def extract(self, trials: Iterable[Trial]) -> Features:
        """See `FeaturePart`.

        Raises:
            InputError: a trial is shorter than one window, lacks the baseline that `baseline` needs or is sampled too
                slowly for a band, or there are no trials.
        """
        arrays, tables = [], []
        for trial in trials:
            eeg = trial.eeg
            where = f"{eeg.source or 'recording'}, subject {trial.subject}, trial {trial.trial}"
            try:
                array = self._of_recording(eeg)
            except ValueError as error:
                raise InputError(f"{where}: {error}") from error
            arrays.append(array.astype(np.float32))
            starts = np.arange(len(array)) * (self.hop_seconds or self.window_seconds)
            tables.append(trial.window_table(starts, self.window_seconds))
        if not arrays:
            raise InputError("no trials to compute features from")
        return {"entropy": np.concatenate(arrays)}, pd.concat(tables, ignore_index=True)

    def _of_recording(self, eeg: Recording) -> np.ndarray:
        if eeg.duration_seconds < self.window_seconds:
            raise ValueError(
                f"{eeg.duration_seconds:g} s of signal; expected at least one window of {self.window_seconds:g} s"
            )
        return signals.differential_entropy_features(
            eeg.signal,
            eeg.sampling_rate_hz,
            self.bands,
            self.window_seconds,
            convention=self.convention,
            hop_seconds=self.hop_seconds,
            baseline_seconds=eeg.baseline_seconds,
            baseline=self.baseline,
        )
