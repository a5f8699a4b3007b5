"""Parse single files of AMIGOS: names, cells, gaps, and segments of the external annotation."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_emotion.datasets.matlab import read_variables
from keras_emotion.schema import ContinuousRating, InputError

FACTS: dict[str, Any] = json.loads((Path(__file__).parent / "facts" / "amigos.json").read_text(encoding="utf-8"))
"""Counts, rates, names, gaps and groups of AMIGOS (`facts/amigos.json`); `notes` lists what is not verified."""

VIDEOS: tuple[str, ...] = (*FACTS["short_videos"], *FACTS["long_videos"])
"""Video ids in the order of their trial ids."""

CHANNEL_NAMES: tuple[str, ...] = tuple(FACTS["eeg_channels"])
OTHER_CHANNELS: Mapping[str, str] = FACTS["other_channels"]
RATE_HZ = float(FACTS["sampling_rate_hz"])
BASELINE_SECONDS = float(FACTS["baseline_seconds"])

SCALES: tuple[str, ...] = tuple(FACTS["self_assessment"][: FACTS["n_scales"]])
EMOTIONS: tuple[str, ...] = tuple(FACTS["self_assessment"][FACTS["n_scales"] :])

_FILE_NAME = re.compile(r"Data_Preprocessed_P(\d+)\.mat", re.IGNORECASE)
_ORIGINAL_NAME = re.compile(r"Data_Original_P(\d+)\.mat", re.IGNORECASE)
_LONGEST_REST_SECONDS = 1.0


@dataclasses.dataclass(frozen=True, eq=False)
class Cell:
    """Content of a file for one video.

    Args:
        video: id of the video.
        signal: `(samples, 17)` as stored; empty if missing.
        ratings: self-assessment by name; empty if missing.
        annotation: external annotation by target name; empty if missing.
    """

    video: str
    signal: np.ndarray
    ratings: Mapping[str, float]
    annotation: Mapping[str, ContinuousRating]


@dataclasses.dataclass(frozen=True)
class Finding:
    """Finding about a video of a subject.

    Args:
        kind: `"fault"`: unreadable; `"signal"`: without usable EEG, so not a trial; `"ratings"`, `"channel"`,
            `"annotation"`: these are missing; `"range"`: a rating is beyond its scale.
        video: id of the video; empty if the finding is not about one video.
        text: the message.
    """

    kind: str
    video: str
    text: str


def find_files(root: Path) -> dict[int, Path]:
    """Return the preprocessed file of each subject.

    Raises:
        InputError: there are no files, or a subject has two.
    """
    files: dict[int, Path] = {}
    paths = sorted(root.rglob("*.mat"))
    for path in paths:
        if match := _FILE_NAME.fullmatch(path.name):
            person = int(match[1])
            if person in files:
                raise InputError(
                    f"{root}: duplicate file of subject {person}: {files[person]} and {path}; keep one of them"
                )
            files[person] = path
    if files:
        return files
    wanted = "expected Data_Preprocessed_P01.mat and so on, in it or in subfolders"
    original = next((path for path in paths if _ORIGINAL_NAME.fullmatch(path.name)), None)
    if original is not None:
        raise InputError(
            f"{original}: original recordings are unsupported: they have no `joined_data`, EEG, ECG and GSR on one "
            f"clock; {wanted}; copy the preprocessed files"
        )
    raise InputError(f"{root}: no files of AMIGOS; {wanted}; check the path")


def read_cells(path: Path) -> tuple[dict[str, Cell], list[Finding]]:
    """Read the content of a file by video id, in the order of `VIDEOS`, and findings about it.

    Raises:
        InputError: the file cannot be read, or lacks a variable.
    """
    names = FACTS["variables"]
    variables = read_variables(path, tuple(names.values()))
    if missing := [name for name in names.values() if name not in variables]:
        raise InputError(
            f"{path}: missing variable {', '.join(missing)}; expected a preprocessed file of AMIGOS; copy it again"
        )
    cells = {kind: variables[name] for kind, name in names.items()}
    shapes = {names[kind]: array.shape for kind, array in cells.items()}
    if any(array.dtype != object for array in cells.values()) or len({array.size for array in cells.values()}) > 1:
        raise InputError(
            f"{path}: variables of shapes {shapes}; expected cell arrays with one element per video; copy it again"
        )
    videos = [_text(cell) for cell in cells["videos"].flat]
    unknown = [video for video in videos if video not in VIDEOS]
    twice = sorted({video for video in videos if videos.count(video) > 1})
    if unknown or twice:
        wrong = f"unknown {', '.join(map(repr, unknown))}" if unknown else f"repeated {', '.join(twice)}"
        raise InputError(
            f"{path}: {names['videos']}: {wrong}; expected each of {', '.join(VIDEOS)} once; copy it again"
        )
    found, findings = {}, []
    for video in VIDEOS:
        if video not in videos:
            findings.append(Finding("signal", video, "not in the file"))
            continue
        place = videos.index(video)
        values = {kind: array.flat[place] for kind, array in cells.items()}
        cell, own = _cell(video, **{kind: values[kind] for kind in ("signals", "ratings", "annotations")})
        found[video] = cell
        findings += own
    return found, findings


def segment_times(n_segments: int, stimulus_seconds: float) -> np.ndarray | None:
    """Return the middle of each segment of the external annotation, in seconds from stimulus onset.

    The first segment is the first 20 s of the signal, baseline included; the others are contiguous from stimulus onset
    on, and the last one is the last 20 s.

    Args:
        n_segments: number of segments.
        stimulus_seconds: duration of the stimulus.

    Returns:
        `(n_segments,)` increasing; `None` if the number of segments does not fit the duration.

    Example:
        >>> segment_times(5, 70.0).tolist()
        [5.0, 10.0, 30.0, 50.0, 60.0]
    """
    length = float(FACTS["segment_seconds"])
    rest = stimulus_seconds - length * (n_segments - 2)
    if n_segments < 2 or not 0 < rest <= length + _LONGEST_REST_SECONDS:
        return None
    regular = length * np.arange(n_segments - 2) + length / 2
    times = np.array([length / 2 - BASELINE_SECONDS, *regular, stimulus_seconds - length / 2])
    return times if (np.diff(times) > 0).all() else None


def _text(cell: Any) -> str:
    values = np.ravel(cell).tolist()
    return str(values[0]).strip() if len(values) == 1 else ""


def _cell(video: str, signals: Any, ratings: Any, annotations: Any) -> tuple[Cell, list[Finding]]:
    findings = []
    signal, n_columns = np.empty((0, 0)), len(CHANNEL_NAMES) + len(OTHER_CHANNELS)
    found = np.asarray(signals)
    if not found.size:
        findings.append(Finding("signal", video, "no signal"))
    elif found.dtype.kind not in "fiu" or found.ndim != 2 or found.shape[1] != n_columns:
        text = (
            f"signal has type {found.dtype} and shape {found.shape}; expected numbers of shape (samples, {n_columns})"
        )
        findings.append(Finding("fault", video, text))
    elif len(found) <= BASELINE_SECONDS * RATE_HZ:
        text = f"signal of {len(found)} samples; expected more than the {BASELINE_SECONDS:g} s of baseline"
        findings.append(Finding("fault", video, text))
    else:
        signal = found
        names = np.array([*CHANNEL_NAMES, *OTHER_CHANNELS])
        broken = names[~np.isfinite(signal).all(axis=0)].tolist()
        if lost := [name for name in broken if name in CHANNEL_NAMES]:
            findings.append(Finding("signal", video, f"NaN in EEG channel {', '.join(lost)}"))
        elif broken:
            findings.append(Finding("channel", video, f"NaN in {', '.join(broken)}, left out"))
    rated, own = _ratings(video, np.asarray(ratings))
    annotation, others = _annotation(video, np.asarray(annotations), len(signal) / RATE_HZ - BASELINE_SECONDS)
    return Cell(video, signal, rated, annotation), [*findings, *own, *others]


def _ratings(video: str, values: np.ndarray) -> tuple[dict[str, float], list[Finding]]:
    names = FACTS["self_assessment"]
    if not values.size:
        return {}, [Finding("ratings", video, "no ratings")]
    if values.dtype.kind not in "fiu" or values.size != len(names):
        text = f"self-assessment is {values.dtype} {values.shape}; expected {len(names)} numbers"
        return {}, [Finding("fault", video, text)]
    rated = {name: float(value) for name, value in zip(names, values.flat, strict=True)}
    findings = []
    if missing := [name for name, value in rated.items() if not np.isfinite(value)]:
        findings.append(Finding("ratings", video, f"missing rating of {', '.join(missing)}"))
    low, high = FACTS["rating_range"]
    findings += [
        Finding("range", video, f"{name} is {rated[name]:g}; expected {low} to {high}; kept")
        for name in SCALES
        if rated[name] < low or rated[name] > high
    ]
    findings += [
        Finding("fault", video, f"{name} is {rated[name]:g}; expected 0 or 1")
        for name in EMOTIONS
        if rated[name] not in (0, 1) and name not in missing
    ]
    return {name: value for name, value in rated.items() if name not in missing}, findings


def _annotation(
    video: str, values: np.ndarray, stimulus_seconds: float
) -> tuple[dict[str, ContinuousRating], list[Finding]]:
    columns: Sequence[str] = FACTS["annotation_columns"]
    if not values.size or stimulus_seconds <= 0:
        return {}, []

    def left_out(text: str) -> tuple[dict[str, ContinuousRating], list[Finding]]:
        return {}, [Finding("annotation", video, f"external annotation {text}; left out")]

    if values.dtype.kind not in "fiu" or values.ndim != 2 or values.shape[1] != len(columns):
        return left_out(f"is {values.dtype} {values.shape}; expected numbers of shape (segments, {len(columns)})")
    if (np.diff(values[:, 0]) != 1).any():
        return left_out("has segments that are not numbered consecutively")
    times = segment_times(len(values), stimulus_seconds)
    if times is None:
        return left_out(f"has {len(values)} segments, which do not fit {stimulus_seconds:g} s")
    low, high = map(float, FACTS["annotation_range"])
    if (np.abs(values[:, 1:]) > high).any():
        return left_out(f"has values outside {low:g} to {high:g}")
    return {
        f"external_{name}": ContinuousRating(times, values[:, column].astype(np.float64), (low, high))
        for column, name in enumerate(columns)
        if column
    }, []
