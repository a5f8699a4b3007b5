"""Features shared by all trials with a stimulus: computed and stored once per clip, looked up for each trial."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from keras_emotion.pipelines.feature_store import SHARED_ROWS, StoredFeatures
from keras_emotion.pipelines.features import UNUSABLE, FeaturePart
from keras_emotion.pipelines.media_features import clip_of
from keras_emotion.schema import Clip, InputError, Trial

ClipPlace = tuple[Path, float]
"""File of a clip, and the start of the clip in it in seconds."""


def trials_without_signals(trials: Iterable[Trial]) -> tuple[Trial, ...]:
    """Return trials with their clips, as long as the trials, but without recordings: small enough to keep in memory.

    Raises:
        InputError: trials have no clip; one line per stimulus.
    """
    found: list[Trial] = []
    faults: dict[str, str] = {}
    for trial in trials:
        try:
            clip = clip_of(trial)
        except InputError as error:
            faults.setdefault(trial.stimulus, str(error))
            continue
        found.append(
            dataclasses.replace(trial, recording=None, video=None, images=None, released_features=None, media=clip)
        )
    if faults:
        raise InputError("\n".join(faults.values()))
    return tuple(found)


def clips_of(trials: Iterable[Trial]) -> dict[ClipPlace, Trial]:
    """Return the clips of trials, each with the longest trial that shows it."""
    longest: dict[ClipPlace, Trial] = {}
    for trial in trials:
        place = _place(clip_of(trial))
        if place not in longest or trial.duration_seconds > longest[place].duration_seconds:
            longest[place] = trial
    return longest


def features_of_trials(
    part: FeaturePart, trials: Sequence[Trial], folders: Mapping[ClipPlace, Path]
) -> tuple[dict[str, np.ndarray], pd.DataFrame]:
    """Return the clip and row of each window of the trials, and their window table, with ratings.

    Args:
        part: the part.
        trials: see `trials_without_signals`.
        folders: folders of the features of each clip, in order; all start at the same times.

    Returns:
        The array `SHARED_ROWS`, see `FeatureStore.folder`, and the table.
    """
    number = {place: index for index, place in enumerate(folders)}
    stored = {place: StoredFeatures.open(folder).table for place, folder in folders.items()}
    rows, tables = [], []
    for trial in trials:
        place = _place(clip_of(trial))
        # A clip that was shown longer in another trial has more windows.
        n_windows = len(part.windowing.starts(trial.duration_seconds))
        shown = stored[place].iloc[:n_windows].reset_index(drop=True)
        rows.append(np.stack([np.full(len(shown), number[place]), np.arange(len(shown))], axis=1))
        table = trial.window_table(shown["start_seconds"].to_numpy(), part.windowing.window_seconds)
        tables.append(table.assign(**{UNUSABLE: shown[UNUSABLE]}) if UNUSABLE in shown else table)
    return {SHARED_ROWS: np.concatenate(rows)}, pd.concat(tables, ignore_index=True)


def _place(clip: Clip) -> ClipPlace:
    return clip.path, clip.start_seconds
