"""Features computed and distributed by the authors of a dataset, grouped into samples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar, Self

import numpy as np
import pandas as pd
from pydantic import model_validator

from keras_emotion.pipelines.features import FeaturePart, Features, Source
from keras_emotion.pipelines.study_channels import ChannelSet
from keras_emotion.pipelines.windowing import Seconds, StepCount, Windowing, starts_within, steps_of_windows
from keras_emotion.schema import InputError, ReleasedFeatures, Trial


class GivenWindows(FeaturePart):
    """Part whose windows are those of its files; a sample is a number of consecutive windows.

    Args:
        window_seconds: length in seconds of one window of the files.
        steps: number of windows of a sample.
        hop_seconds: time between consecutive sample starts in seconds, a whole number of windows; `None`: no
            overlap.
    """

    window_seconds: Seconds = 1.0
    steps: StepCount = 1
    hop_seconds: Seconds | None = None

    @model_validator(mode="after")
    def _hop_is_whole(self):
        hop = self._hop_windows
        if hop < 1 or abs(hop * self.window_seconds - (self.hop_seconds or hop * self.window_seconds)) > 1e-6:
            raise ValueError(
                f"hop_seconds: {self.hop_seconds:g} s; expected a whole number of windows of {self.window_seconds:g} s"
            )
        return self

    @property
    def _hop_windows(self) -> int:
        return self.steps if self.hop_seconds is None else round(self.hop_seconds / self.window_seconds)

    @property
    def windowing(self) -> Windowing:
        """See `FeaturePart`; a window is a sample, and its steps are the authors' windows."""
        return Windowing(
            window_seconds=self.window_seconds * self.steps, hop_seconds=self.hop_seconds, steps=self.steps
        )

    def with_windowing(self, windowing: Windowing) -> Self:
        """See `FeaturePart`; the length of a step must be that of the authors' windows."""
        if windowing.lag_seconds:
            raise ValueError(
                f"lag_seconds: {type(self).__name__} cannot be delayed relative to other parts; expected 0"
            )
        return self.changed(
            window_seconds=windowing.step_seconds, steps=windowing.steps, hop_seconds=windowing.hop_seconds
        )


class OfficialFeatures(GivenWindows):
    """Features distributed with a dataset (`keras_emotion.schema.ReleasedFeatures`), such as SEED's `de_LDS`.

    `{"eeg": (samples, steps, channels, bands)}`, float32, in the channel order of the files. A sample is `steps`
    consecutive windows of the authors. Samples follow each other from the onset of the stimulus; the remainder at the
    end of a trial is dropped.

    The authors' features cannot be reproduced for a new recording: saved models that read them cannot be applied to
    recordings. If the authors smoothed a feature over the whole trial, each window depends on later ones, and the
    windows of a trial are near-duplicates: reports flag it.

    Args:
        array: name of the feature in the dataset.
        window_seconds: length in seconds of one window of the authors; files with other windows are refused.
        steps: number of windows of a sample.
        hop_seconds: time between consecutive sample starts in seconds, a whole number of windows; `None`: no
            overlap.
    """

    code_version: ClassVar[int] = 1
    sources: ClassVar[tuple[Source, ...]] = ("released_features",)
    channel_axes: ClassVar[Mapping[str, tuple[int, ...]] | None] = {"eeg": (2,)}

    array: str = "de_LDS"

    def fitted_to(self, released: ReleasedFeatures) -> Self:
        """Return the part for a dataset's files: with their windows, and their first feature if this one is missing."""
        array = self.array if self.array in released.names else released.names[0]
        return self.changed(window_seconds=released.window_seconds, array=array)

    def channel_set(self, trial: Trial) -> ChannelSet:
        """See `FeaturePart`; the features have no unit, and electrodes no individual directions."""
        names = self._released(trial).channel_names
        return ChannelSet(tuple(names), ("",) * len(names), (None,) * len(names))

    def flags(self, trial: Trial) -> tuple[str, ...]:
        """See `FeaturePart`; reports smoothing by the authors."""
        if self.array not in self._released(trial).smoothed:
            return ()
        return (
            f"{self.array} was smoothed over the whole trial by its authors: each window depends on later ones, and "
            "windows of one trial are near-duplicates",
        )

    def extract(self, trials: Iterable[Trial]) -> Features:
        """See `FeaturePart`.

        Raises:
            InputError: a trial has no such features, windows of another length, other channels or bands than the first,
                or fewer windows than a sample; or there are no trials.
        """
        arrays, tables, first = [], [], None
        for trial in trials:
            released = self._released(trial)
            where = f"{released.source}, subject {trial.subject}, session {trial.session}, trial {trial.trial}"
            layout = (tuple(released.channel_names), dict(released.bands))
            first = first or layout
            if layout != first:
                raise InputError(f"{where}: {self.array} has other channels or bands than in the first trial")
            values = released.read(self.array)
            starts = starts_within(
                len(values) * self.window_seconds, self.window_seconds * self.steps, self.hop_seconds
            )
            if not len(starts):
                raise InputError(
                    f"{where}: {self.array} has {len(values)} windows; expected at least the {self.steps} of a sample; "
                    "choose fewer --system.features.steps"
                )
            arrays.append(values[steps_of_windows(len(values), self.steps, 1, self._hop_windows)].astype(np.float32))
            tables.append(trial.window_table(starts, self.window_seconds * self.steps))
        if not arrays:
            raise InputError("no trials to read features from")
        return {"eeg": np.concatenate(arrays)}, pd.concat(tables, ignore_index=True)

    def _released(self, trial: Trial) -> ReleasedFeatures:
        released = trial.released_features
        if released is None:
            raise InputError(
                f"{trial.dataset}, subject {trial.subject}: the dataset distributes no features; leave out "
                "--features official"
            )
        if self.array not in released.names:
            raise InputError(
                f"{released.source}: no feature named {self.array!r}; expected one of {', '.join(released.names)}; "
                "choose one with --system.features.array"
            )
        if abs(released.window_seconds - self.window_seconds) > 1e-6:
            raise InputError(
                f"{released.source}: windows of {released.window_seconds:g} s; expected {self.window_seconds:g} s; "
                f"set --system.features.window-seconds {released.window_seconds:g}"
            )
        return released

    def array_shapes(self, n_channels: int, sampling_rate_hz: float) -> dict[str, tuple[int, ...]]:
        """See `FeaturePart`; these features cannot be computed from a signal.

        Raises:
            ValueError: always.
        """
        raise ValueError(f"{self.array}: features distributed with a dataset cannot be computed from a recording")
