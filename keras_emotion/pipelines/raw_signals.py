"""Windows of raw signals: EEG and peripheral channels, for networks that learn from samples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
import pandas as pd
from pydantic import Field
from typing_extensions import override

from keras_emotion import signals
from keras_emotion.pipelines.features import FeaturePart, Features
from keras_emotion.pipelines.windowing import LagSeconds, Seconds, Windowing
from keras_emotion.schema import InputError, Recording, Trial


class RawSignals(FeaturePart):
    """Raw windows of DeepVANet [1]: `{"bio": (windows, samples, channels) float32}`, channels in the recording's order.

    Windows follow each other from the onset of the stimulus. The remainder at the end of a trial is dropped.

    Args:
        window_seconds: length of a window in seconds, a whole number of samples.
        hop_seconds: time between consecutive window starts in seconds, a whole number of samples; `None`: no overlap. A
            smaller hop makes windows overlap: only for data that are split by trial, stimulus or person.
        lag_seconds: delay of a window relative to the window table in seconds, a whole number of samples; see
            `Windowing`.
        channels: `"all"` of the recording (40 in DEAP's files), `"eeg"`, or `"peripheral"`, those that are not EEG.
        baseline: `"segments"` subtracts the mean of the segments of one window's length before the stimulus, a waveform
            for each channel (the paper's three of 1 s); `"none"` subtracts nothing.
        sampling_rate_hz: required sampling rate, so that all windows have the same number of samples; a reader
            resamples. `None`: any rate, if it is the same in all recordings.

    References:
        [1] Zhang, Hossain, Rahman, DeepVANet: a deep end-to-end network for multi-modal emotion recognition,
        INTERACT 2021, 227-237.
    """

    code_version: ClassVar[int] = 2
    kind: ClassVar[str] = "BioFeatures"
    added_fields: ClassVar[Mapping[str, Any]] = {"hop_seconds": None, "lag_seconds": 0.0}
    missing_channel: ClassVar[Literal["training_mean", "zero", "refuse"]] = "zero"
    channel_axes: ClassVar[Mapping[str, tuple[int, ...]] | None] = {"bio": (2,)}

    window_seconds: Seconds = 1.0
    hop_seconds: Seconds | None = None
    lag_seconds: LagSeconds = 0.0
    channels: Literal["all", "eeg", "peripheral"] = "all"
    baseline: Literal["segments", "none"] = "segments"
    sampling_rate_hz: Annotated[float, Field(gt=0, le=100_000)] | None = 128.0

    @property
    def windowing(self) -> Windowing:
        """See `FeaturePart`; a window has no steps."""
        return Windowing(window_seconds=self.window_seconds, hop_seconds=self.hop_seconds, lag_seconds=self.lag_seconds)

    @override
    def with_windowing(self, windowing: Windowing) -> Self:
        names = ("window_seconds", "hop_seconds", "lag_seconds")
        return self.changed(**{name: getattr(windowing, name) for name in names})

    def for_new_recording(self) -> Self:
        """See `FeaturePart`; the model's channels are those chosen in training."""
        return self.changed(hop_seconds=None, channels="all")

    @override
    def array_shapes(self, n_channels: int, sampling_rate_hz: float) -> dict[str, tuple[int, ...]]:
        if self.sampling_rate_hz not in (None, sampling_rate_hz):
            raise ValueError(f"sampling_rate_hz: {self.sampling_rate_hz:g}; the recording has {sampling_rate_hz:g}")
        signals.sample_count(self.lag_seconds, sampling_rate_hz, "lag_seconds")
        return {"bio": (signals.sample_count(self.window_seconds, sampling_rate_hz, "window_seconds"), n_channels)}

    @property
    @override
    def subtracted_baseline(self) -> Literal["none", "waveform", "features"]:
        return "none" if self.baseline == "none" else "waveform"

    @property
    @override
    def baseline_segment_seconds(self) -> float:
        return self.window_seconds

    @override
    def without_baseline(self) -> Self:
        return self.changed(baseline="none")

    def extract(self, trials: Iterable[Trial]) -> Features:
        """See `FeaturePart`.

        Raises:
            InputError: a trial has another rate or other channels than expected, is shorter than one window, lacks the
                baseline that `baseline` needs, or there are no trials.
        """
        arrays, tables, first = [], [], None
        for trial in trials:
            recording = self.select_channels(trial)
            names = recording.channel_names
            where = f"{recording.source or 'recording'}, subject {trial.subject}, trial {trial.trial}"
            first = first or (names, recording.sampling_rate_hz)
            self._check(recording, first, where)
            try:
                array = self._of_recording(recording)
            except ValueError as error:
                raise InputError(f"{where}: {error}") from error
            arrays.append(array)
            starts = np.arange(len(array)) * (self.hop_seconds or self.window_seconds)
            tables.append(trial.window_table(starts, self.window_seconds))
        if not arrays:
            raise InputError("no trials to compute features from")
        return {"bio": np.concatenate(arrays)}, pd.concat(tables, ignore_index=True)

    def select_channels(self, trial: Trial) -> Recording:
        """Return the chosen channels of a trial.

        Raises:
            InputError: there are none.
        """
        if self.channels == "eeg" or trial.recording is None:
            return trial.eeg  # raises if there is no recording
        if self.channels == "all":
            return trial.recording
        eeg = set(trial.eeg_channel_names)
        peripheral = [name for name in trial.recording.channel_names if name not in eeg]
        if not peripheral:
            raise InputError(f"{trial.dataset}, subject {trial.subject}: has EEG only, no peripheral channels")
        return trial.recording.pick(peripheral)

    def _check(self, recording: Recording, first: tuple[tuple[str, ...], float], where: str) -> None:
        names, rate = first
        wanted = self.sampling_rate_hz or rate
        if recording.sampling_rate_hz != wanted:
            raise InputError(f"{where}: sampling rate {recording.sampling_rate_hz:g} Hz; expected {wanted:g} Hz")
        if recording.channel_names != names:
            listed = ", ".join(recording.channel_names)
            raise InputError(f"{where}: channels {listed} differ from the first trial; expected the same")
        if recording.duration_seconds < self.window_seconds + self.lag_seconds:
            lag = f", {self.lag_seconds:g} s after the onset" if self.lag_seconds else ""
            raise InputError(
                f"{where}: {recording.duration_seconds:g} s of signal; expected at least one window of "
                f"{self.window_seconds:g} s{lag}"
            )
        if self.baseline == "segments" and recording.baseline_seconds < self.window_seconds:
            raise InputError(
                f"{where}: {recording.baseline_seconds:g} s before the stimulus are too short for a baseline of "
                f"{self.window_seconds:g} s; use --system.bio.baseline none"
            )

    def _of_recording(self, recording: Recording) -> np.ndarray:
        signal, rate = recording.signal, recording.sampling_rate_hz
        if self.baseline == "segments":
            signal = signals.remove_baseline(signal, rate, recording.baseline_seconds, self.window_seconds)
        first = recording.n_baseline_samples + signals.sample_count(self.lag_seconds, rate, "lag_seconds")
        cut = signals.windows(signal[:, first:], rate, self.window_seconds, self.hop_seconds)
        # (channels, windows, samples) -> (windows, samples, channels)
        return np.ascontiguousarray(np.moveaxis(cut, 0, -1), dtype=np.float32)
