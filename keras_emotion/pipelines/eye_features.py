"""Eye movement features of the windows: those distributed by a dataset's authors, or statistics of the events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd

from keras_emotion import signals
from keras_emotion.pipelines.features import UNUSABLE, Features, Source
from keras_emotion.pipelines.official_features import GivenWindows
from keras_emotion.pipelines.windowing import Seconds, starts_within, steps_of_windows
from keras_emotion.schema import EyeMovements, InputError, Trial


class EyeFeatures(GivenWindows):
    """Features of eye movements: `{"eye": (samples, steps, features)}`, float32.

    A sample is `steps` consecutive windows, as in `OfficialFeatures`, with whose samples these are paired.

    `"official"` reads the features distributed by the authors (`EyeMovements.read_features`), 31 or 33 per window.
    `"events"` computes `keras_emotion.signals.event_features` from the events of the trial: 22 numbers, equal for all
    of its windows, since the events have no times.

    A trial whose eye movements are missing or unreadable has unusable samples, which are dropped with their partners
    and counted by reason. The authors' features cannot be reproduced for a new recording: saved models that read them
    cannot be applied to recordings.

    Args:
        values: `"official"` or `"events"`.
        window_seconds: length of one window in seconds; for `"official"` that of the authors, files with other windows
            are refused.
        steps: number of windows of a sample.
        hop_seconds: time between consecutive sample starts in seconds, a whole number of windows; `None`: no
            overlap.
    """

    code_version: ClassVar[int] = 1
    sources: ClassVar[tuple[Source, ...]] = ("eye_movements",)
    channel_axes: ClassVar[Mapping[str, tuple[int, ...]] | None] = {}

    values: Literal["official", "events"] = "official"
    window_seconds: Seconds = 4.0

    def flags(self, trial: Trial) -> tuple[str, ...]:
        """See `FeaturePart`; reports dependent windows of a trial."""
        movements = trial.eye_movements
        if self.values == "events":
            return ("eye movements are statistics of the whole trial, the same for all of its windows",)
        if movements is None or not movements.is_smoothed:
            return ()
        return (
            "eye features were smoothed over the whole trial by their authors: each window depends on later ones, and "
            "windows of one trial are near-duplicates",
        )

    def extract(self, trials: Iterable[Trial]) -> Features:
        """See `FeaturePart`.

        Raises:
            InputError: no trial has eye movements, features have windows of another length or differ from those of the
                first trial; or there are no trials.
        """
        found: list[tuple[np.ndarray | None, pd.DataFrame]] = []
        names: tuple[str, ...] | None = None
        who = None
        for trial in trials:
            who = f"{trial.dataset}, subject {trial.subject}"
            movements, reason, values = trial.eye_movements, "no eye movements", None
            if movements is not None:
                own = movements.feature_names if self.values == "official" else signals.EVENT_FEATURE_NAMES
                values, reason = self._values(trial, movements)
                if values is not None:
                    names = names or own
                    if own != names:
                        raise InputError(
                            f"{movements.sources[0]}: eye features differ from those of the first trial of {who}"
                        )
            found.append((values, self._table(trial, values, reason)))
        if who is None:
            raise InputError("no trials to read eye movements from")
        if names is None:
            kind = "eye features" if self.values == "official" else "events of eye movements"
            reason = found[0][1][UNUSABLE].iloc[0] if len(found[0][1]) else "too short"
            raise InputError(
                f"{who}: no trial has {kind} ({reason}); leave this subject out with --subjects, or choose a model of "
                "EEG alone"
            )
        arrays = [
            np.zeros((len(table), self.steps, len(names)), np.float32) if values is None else self._cut(values, table)
            for values, table in found
        ]
        tables = [table if UNUSABLE in table else table.assign(**{UNUSABLE: ""}) for _, table in found]
        return {"eye": np.concatenate(arrays)}, pd.concat(tables, ignore_index=True)

    def _values(self, trial: Trial, movements: EyeMovements) -> tuple[np.ndarray | None, str]:
        """Return features by window `(windows, features)` or of the trial `(features,)`; or why they are missing."""
        read = movements.read_features if self.values == "official" else movements.read_events
        if read is None:
            return None, "no eye features" if self.values == "official" else "no events of eye movements"
        if self.values == "official" and abs(movements.window_seconds - self.window_seconds) > 1e-6:
            raise InputError(
                f"{movements.sources[0]}: eye features have windows of {movements.window_seconds:g} s; expected "
                f"{self.window_seconds:g} s, those of the EEG; set --system.features.window-seconds "
                f"{movements.window_seconds:g}"
            )
        try:
            content: Any = read()
        except InputError as error:
            return None, str(error)
        if self.values == "official":
            return content, ""
        values = signals.event_features(
            content.pupil, content.fixations_ms, content.saccades, content.blinks_ms, trial.duration_seconds
        )
        return (values, "") if np.isfinite(values).all() else (None, "no fixation in the trial")

    def _table(self, trial: Trial, values: np.ndarray | None, reason: str) -> pd.DataFrame:
        if values is not None and values.ndim == 2:
            seconds = len(values) * self.window_seconds
        else:
            seconds = trial.duration_seconds
        length = self.window_seconds * self.steps
        table = trial.window_table(starts_within(seconds, length, self.hop_seconds), length)
        return table if values is not None else table.assign(**{UNUSABLE: reason})

    def _cut(self, values: np.ndarray, table: pd.DataFrame) -> np.ndarray:
        if values.ndim == 2:
            return values[steps_of_windows(len(values), self.steps, 1, self._hop_windows)].astype(np.float32)
        return np.broadcast_to(values.astype(np.float32), (len(table), self.steps, len(values)))

    def array_shapes(self, n_channels: int, sampling_rate_hz: float) -> dict[str, tuple[int, ...]]:
        """See `FeaturePart`; these features cannot be computed from a signal.

        Raises:
            ValueError: always.
        """
        raise ValueError("eye: eye movements cannot be computed from a recording")
