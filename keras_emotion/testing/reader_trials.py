"""Contract checks of readers, for a single trial."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from keras_emotion.schema import SPLIT_PARTS, Trial, is_part_of_split
from keras_emotion.testing.named_checks import input_error, listed, require, required

if TYPE_CHECKING:
    from keras_emotion.testing.readers import ReaderCase


def _check_identity(case: ReaderCase, trial: Trial) -> None:
    name, subjects = case.reader.name, case.reader.subjects
    require(trial.dataset == name, f"`dataset` of a trial is {trial.dataset!r}; expected {name!r}")
    is_known = trial.subject in subjects and type(trial.subject) is type(subjects[0])
    require(is_known, f"`subject` of a trial is {trial.subject!r}; expected one of {listed(map(repr, subjects))}")
    where = f"subject {trial.subject}, trial {trial.trial}"
    require(type(trial.trial) is int and trial.trial >= 1, f"{where}: expected a trial id that is an int from 1 on")
    is_place = type(trial.presentation) is int and (trial.presentation >= 1 or trial.presentation == -1)
    require(is_place, f"{where}: `presentation` is {trial.presentation!r}; expected an int from 1 on, or -1")
    is_text = isinstance(trial.stimulus, str) and trial.stimulus
    require(is_text, f"{where}: `stimulus` is {trial.stimulus!r}; expected a name")
    require(isinstance(trial.session, (int, str)), f"{where}: `session` is {trial.session!r}; expected an int or str")
    is_part = not trial.split or is_part_of_split(trial.split)
    require(
        is_part, f"{where}: `split` is {trial.split!r}; expected one of {', '.join(SPLIT_PARTS)}, fold_1, or nothing"
    )


def _check_continuous_ratings(case: ReaderCase, trial: Trial) -> None:
    for name, rating in trial.continuous_ratings.items():
        times_seconds, (low, high) = rating.times_seconds, rating.scale
        require(name not in trial.ratings, f"{name} is a rating and a continuous rating; expected two names")
        require(low < high, f"scale of {name} is {low:g} to {high:g}; expected the lowest and the highest value")
        values = rating.values[~np.isnan(rating.values)]
        is_inside = not len(values) or (low <= values.min() and values.max() <= high)
        require(is_inside, f"values of {name} are not all from {low:g} to {high:g}")
        is_in_time = not len(times_seconds) or times_seconds[0] >= 0
        require(is_in_time, f"{name} starts at {times_seconds[:1]} s, before the stimulus")


def _check_channels(case: ReaderCase, trial: Trial) -> None:
    recording = trial.recording
    if recording is None:
        require(not trial.eeg_channel_names, f"`eeg_channel_names` is {trial.eeg_channel_names} without a recording")
        return
    names = recording.channel_names
    for field, values in (("channel_names", names), ("eeg_channel_names", trial.eeg_channel_names)):
        require(isinstance(values, tuple), f"`{field}` is a {type(values).__name__}; expected a tuple")
        twice = sorted({name for name in values if values.count(name) > 1})
        require(not twice, f"`{field}` names {listed(twice)} more than once")
    others = [name for name in trial.eeg_channel_names if name not in names]
    require(not others, f"`eeg_channel_names` names {listed(others)}, not among `channel_names`")


def _check_units(case: ReaderCase, trial: Trial) -> None:
    recording = trial.recording
    if recording is None:
        return
    for name, unit in zip(recording.channel_names, recording.units, strict=True):
        expected = ("uV",) if name in trial.eeg_channel_names else sorted(case.units)
        require(unit in expected, f"unit of channel {name} is {unit!r}; expected {' or '.join(expected)}")


def _check_signal(case: ReaderCase, trial: Trial) -> None:
    if trial.recording is None:
        others = (trial.images, trial.video, trial.voice, trial.released_features)
        require(
            any(one is not None for one in others),
            "a trial has no recording, images, video, voice or released features",
        )
        return
    signal = trial.recording.signal
    where = f"signal of subject {trial.subject}, trial {trial.trial}"
    require(signal.dtype in (np.float32, np.float64), f"{where} is {signal.dtype}; expected float32 or float64")
    require(signal.size, f"{where} has shape {signal.shape}; expected samples")
    require(
        np.isfinite(signal).all(), f"{where} has values that are not finite; expected an InputError that names them"
    )


def _check_rate(case: ReaderCase, trial: Trial) -> None:
    recording = trial.recording
    if recording is None:
        return
    rate_hz, baseline_seconds = recording.sampling_rate_hz, recording.baseline_seconds
    require(math.isfinite(rate_hz) and rate_hz > 0, f"`sampling_rate_hz` is {rate_hz}; expected a number above 0")
    seconds = recording.signal.shape[1] / rate_hz
    is_inside = 0 <= baseline_seconds < seconds
    require(is_inside, f"`baseline_seconds` is {baseline_seconds}; expected 0 to less than {seconds:g}, the signal's")


def _check_bad_spans(case: ReaderCase, trial: Trial) -> None:
    recording = trial.recording
    if recording is None:
        return
    for start, stop, reason in recording.bad_spans:
        what = f"`bad_spans` of subject {trial.subject}, trial {trial.trial}: {(start, stop, reason)}"
        is_inside = start < stop and start < recording.duration_seconds and stop > -recording.baseline_seconds
        require(is_inside and reason, f"{what}; expected a segment that overlaps with the signal, and a reason")


def _check_ratings(case: ReaderCase, trial: Trial) -> None:
    where = f"subject {trial.subject}, trial {trial.trial}"
    for target, rating in trial.ratings.items():
        is_number = isinstance(rating, float) and math.isfinite(rating)
        require(is_number, f"{where}: rating {target} is {rating!r}; expected a finite float, or no such rating")
        if target in case.reader.class_names:
            n_classes = len(case.reader.class_names[target])
            is_class = rating % 1 == 0 and 0 <= rating < n_classes
            require(is_class, f"{where}: rating {target} is {rating}; expected a class from 0 to {n_classes - 1}")


def _check_source(case: ReaderCase, trial: Trial) -> None:
    if trial.recording is None:
        return
    where = f"subject {trial.subject}, trial {trial.trial}"
    source = required(trial.recording.source, f"{where}: `source` is None; expected the file of the signal")
    require(source.exists(), f"{where}: `source` is {source}; expected the file of the signal")
    listed = case.files("source_files", trial.subject)
    require(any(path.is_relative_to(source) for path in listed), f"{where}: `source_files` lacks `source`, {source}")


def _check_pictures(case: ReaderCase, trial: Trial) -> None:
    where = f"subject {trial.subject}, trial {trial.trial}"
    clips = (("media", trial.media), ("voice", trial.voice))
    for field, path in (("video", trial.video), *((field, clip.path if clip else None) for field, clip in clips)):
        require(path is None or path.is_file(), f"{where}: no such {field}: {path}")
        islisted = path is None or path in case.files(f"{field}_files", trial.subject)
        require(islisted, f"{where}: `{field}_files` lacks {path}")
    if trial.images is None:
        return
    missing = [path for path in trial.images.files if not path.is_file()]
    require(trial.images.files and not missing, f"{where}: images are missing: {listed(missing) or 'all'}")
    times = trial.images.times_seconds
    is_ascending = np.isfinite(times).all() and (np.diff(times) > 0).all()
    require(is_ascending, f"{where}: times of the images do not ascend")


def _check_released_features(case: ReaderCase, trial: Trial) -> None:
    released = trial.released_features
    if released is None:
        return
    where = f"released features of subject {trial.subject}, trial {trial.trial}"
    for field, values in (("names", released.names), ("channel_names", released.channel_names)):
        is_unique = isinstance(values, tuple) and values and len(set(values)) == len(values)
        require(is_unique, f"{where}: `{field}` is {values!r}; expected a tuple of different names")
    unknown = sorted(released.smoothed - set(released.names))
    require(not unknown, f"{where}: `smoothed` names {listed(unknown)}, not among `names`")
    is_ordered = released.bands and all(0 <= low < high for low, high in released.bands.values())
    require(is_ordered, f"{where}: `bands` is {dict(released.bands)}; expected low and high edges in Hz")
    require(released.window_seconds > 0, f"{where}: `window_seconds` is {released.window_seconds}; expected above 0")
    islisted = released.source in case.files("source_files", trial.subject)
    require(islisted, f"{where}: `source_files` lacks `source`, {released.source}")
    shapes = set()
    for name in released.names:
        array = released.read(name)
        require(array.dtype == np.float64, f"{where}: {name} is {array.dtype}; expected float64")
        require(np.isfinite(array).all(), f"{where}: {name} has values that are not finite; expected an InputError")
        shapes.add(array.shape)
    tail = (len(released.channel_names), len(released.bands))
    is_fitting = len(shapes) == 1 and all(len(shape) == 3 and shape[0] and shape[1:] == tail for shape in shapes)
    require(
        is_fitting, f"{where}: arrays have shapes {listed(sorted(shapes))}; expected (windows, {tail[0]}, {tail[1]})"
    )
    input_error(lambda: released.read("no such feature"), f"{where}: a missing feature is read")


def _check_eye_movements(case: ReaderCase, trial: Trial) -> None:
    movements = trial.eye_movements
    if movements is None:
        return
    where = f"eye movements of subject {trial.subject}, trial {trial.trial}"
    unlisted = sorted(set(movements.sources) - case.files("eye_files", trial.subject))
    require(movements.sources and not unlisted, f"{where}: `eye_files` lacks {listed(unlisted) or 'its `sources`'}")
    names = movements.feature_names
    is_unique = isinstance(names, tuple) and len(set(names)) == len(names)
    require(is_unique, f"{where}: `feature_names` is {names!r}; expected a tuple of different names")
    has_any = movements.read_features is not None or movements.read_events is not None
    require(has_any, f"{where}: neither features nor events can be read")
    if movements.read_features is not None:
        require(movements.window_seconds > 0, f"{where}: `window_seconds` is {movements.window_seconds}; expected > 0")
        _require_numbers(f"{where}: features", movements.read_features(), (len(names),))
    if movements.read_events is not None:
        events = movements.read_events()
        tails = {"pupil": (4,), "fixations_ms": (), "saccades": (2,), "blinks_ms": (), "statistics": ()}
        for name, tail in tails.items():
            _require_numbers(f"{where}: {name}", getattr(events, name), tail)
        n_pupils, n_fixations = len(events.pupil), len(events.fixations_ms)
        require(n_pupils == n_fixations, f"{where}: {n_pupils} pupils, {n_fixations} fixations; expected equal numbers")


def _require_numbers(what: str, array: np.ndarray, tail: tuple[int, ...]) -> None:
    is_fitting = array.ndim == 1 + len(tail) and array.shape[1:] == tail
    require(is_fitting, f"{what} have the shape {array.shape}; expected {('n', *tail)}")
    require(array.dtype == np.float64, f"{what} are {array.dtype}; expected float64")
    require(np.isfinite(array).all(), f"{what} have values that are not finite; expected an InputError")


TRIAL_CHECKS: Mapping[str, Callable[[ReaderCase, Trial], None]] = {
    "identity": _check_identity,
    "channels": _check_channels,
    "units": _check_units,
    "signal": _check_signal,
    "rate": _check_rate,
    "bad_spans": _check_bad_spans,
    "ratings": _check_ratings,
    "continuous_ratings": _check_continuous_ratings,
    "source": _check_source,
    "pictures": _check_pictures,
    "released_features": _check_released_features,
    "eye_movements": _check_eye_movements,
}
"""Checks by name; each is called with the case and a trial."""
