"""Extract the features of a subject's trials without ratings, join the ratings, and unify the channels."""

from __future__ import annotations

import collections
import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from keras_emotion.file_names import word_file_name
from keras_emotion.pipelines.features import STEP_FRAMES, STEP_RATINGS, UNUSABLE, FeaturePart
from keras_emotion.pipelines.study_channels import ChannelSet, StudyChannels
from keras_emotion.schema import TRIAL_KEY, WINDOW_COLUMNS, InputError, Trial


def extract_rated(part: FeaturePart, trials: Iterable[Trial]) -> tuple[dict[str, np.ndarray], pd.DataFrame]:
    """Call `extract_features` and drop the description of the channels."""
    arrays, table, _ = extract_features(part, trials)
    return arrays, table


def extract_features(
    part: FeaturePart, trials: Iterable[Trial]
) -> tuple[dict[str, np.ndarray], pd.DataFrame, ChannelSet | None]:
    """Extract the features of trials, with their ratings in the window table and the channels they were computed from.

    The part gets the trials without ratings. A rating of each frame of a clip becomes `step_ratings@<target>` if the
    part reports which frames its steps show. If trials have different channels, the features are those of all channels
    that any trial has, NaN where a trial lacks one. Windows of a signal that overlap with a bad segment of the file,
    also through the baseline that is subtracted from them, are `UNUSABLE`, with the file's description.

    Args:
        part: the part.
        trials: trials of one subject.

    Returns:
        Arrays by name, `(windows, ...)`; the window table; the channels, `None` if the part has none.

    Raises:
        InputError: see `FeaturePart.extract`; also if trials have a channel in different units, or a feature of a
            recording is not finite.
    """
    ratings: dict[tuple, Mapping[str, float]] = {}
    of_frames: dict[tuple, Mapping[str, np.ndarray]] = {}
    bad_spans: dict[tuple, Sequence[tuple[float, float, str]]] = {}

    def unrated() -> Iterator[Trial]:
        for trial in trials:
            key = tuple(getattr(trial, name) for name in TRIAL_KEY)
            ratings[key] = trial.ratings
            if trial.images is not None:
                of_frames[key] = trial.images.ratings
            if "recording" in part.sources and trial.recording is not None and trial.recording.bad_spans:
                bad_spans[key] = trial.recording.bad_spans
            yield trial.without_ratings()

    has_channels = part.has_channels
    if has_channels:
        arrays, table, channels, broken = _of_all_channels(part, unrated())
    else:
        (arrays, table), channels = part.extract(unrated()), None
    keys = list(table[list(TRIAL_KEY)].itertuples(index=False, name=None))
    for place, name in enumerate(dict.fromkeys(name for key in dict.fromkeys(keys) for name in ratings[key])):
        table.insert(len(WINDOW_COLUMNS) + place, name, [ratings[key].get(name, np.nan) for key in keys])
    frames = arrays.pop(STEP_FRAMES, None)
    if frames is not None:
        for name in next(iter(of_frames.values()), {}):
            rated = [np.asarray(of_frames[key][name], np.float32)[own] for key, own in zip(keys, frames, strict=True)]
            arrays[f"{STEP_RATINGS}@{word_file_name(name)}"] = np.array(rated, np.float32).reshape(frames.shape)
    if bad_spans:
        lag_seconds = getattr(part, "lag_seconds", 0.0)
        starts, stops = (table[name].to_numpy() + lag_seconds for name in ("start_seconds", "stop_seconds"))
        known = table[UNUSABLE].tolist() if UNUSABLE in table else [""] * len(table)
        takes_baseline = part.subtracted_baseline != "none"
        table[UNUSABLE] = [
            reason or _bad_within(start, stop, bad_spans.get(key, ()), takes_baseline)
            for reason, start, stop, key in zip(known, starts, stops, keys, strict=True)
        ]
    if has_channels:
        _refuse_not_finite(broken, table)
    return arrays, table, channels


def _refuse_not_finite(broken: np.ndarray, table: pd.DataFrame) -> None:
    is_used = table[UNUSABLE].to_numpy() == "" if UNUSABLE in table else np.ones(len(table), bool)
    rows = np.flatnonzero(is_used & (broken != ""))
    if len(rows):
        first = table.iloc[rows[0]]
        raise InputError(
            f"subject {first['subject']}, session {first['session']}, trial {first['trial']}: {broken[rows[0]]} at "
            f"{first['start_seconds']:g} s is not finite; inspect the signal there ({len(rows)} such windows)"
        )


def _of_all_channels(
    part: FeaturePart, trials: Iterator[Trial]
) -> tuple[dict[str, np.ndarray], pd.DataFrame, ChannelSet, np.ndarray]:
    """Return the features of a recording's trials, and their channels: all that any trial has.

    The last element is, for each window, the name of a non-finite array, otherwise empty.
    """
    groups, broken = [], []
    for channels, group in itertools.groupby(trials, lambda trial: part.channel_set(trial)):
        arrays, table = part.extract(group)
        # Before channels are aligned, which introduces NaN for missing ones.
        broken.append(np.full(len(table), "", dtype=object))
        for name, array in arrays.items():
            if array.dtype.kind == "f" and len(array) == len(table):
                broken[-1][~np.isfinite(array.reshape(len(array), -1)).all(axis=1)] = name
        groups.append((arrays, table, channels))
    if len(groups) < 2:
        if not groups:
            part.extract(())
        ((arrays, table, channels),) = groups
        return arrays, table, dataclasses.replace(channels, n_windows=len(table)), broken[0]
    try:
        study = StudyChannels.of(
            {number: dataclasses.replace(one, n_windows=len(table)) for number, (_, table, one) in enumerate(groups)},
            "union",
        )
    except InputError as error:
        subject = groups[0][1]["subject"].iloc[0]
        raise InputError(f"subject {subject}, between its files (numbered here from 0): {error}") from None
    wanted = study.channels
    n_missing: collections.Counter[str] = collections.Counter()
    for lacking in study.missing.values():
        n_missing.update(lacking)
    aligned = [
        {name: part.align_channels(name, array, own, wanted) for name, array in arrays.items()}
        for arrays, _, own in groups
    ]
    shapes = {name: {one[name].shape[1:] for one in aligned} for name in aligned[0]}
    if different := [name for name, found in shapes.items() if len(found) > 1]:
        raise InputError(
            f"subject {groups[0][1]['subject'].iloc[0]}: windows of {different[0]!r} have the shapes "
            f"{sorted(shapes[different[0]])} in different files, probably due to different sampling rates; expected "
            "one shape; read the files at one rate (--sampling-rate-hz)"
        )
    table = pd.concat([table for _, table, _ in groups], ignore_index=True)
    joined = {name: np.concatenate([one[name] for one in aligned]) for name in aligned[0]}
    channels = dataclasses.replace(wanted, n_missing=dict(n_missing), n_windows=len(table))
    return joined, table, channels, np.concatenate(broken)


def _bad_within(
    start_seconds: float, stop_seconds: float, spans: Sequence[tuple[float, float, str]], takes_baseline: bool
) -> str:
    """Return the description of the first bad segment that overlaps with a window or its baseline; else empty."""
    for start, stop, reason in spans:
        if start < stop_seconds and stop > start_seconds:
            return f"bad segment in the file: {reason}"
        if takes_baseline and start < 0:
            return f"bad segment in the file within its baseline: {reason}"
    return ""
