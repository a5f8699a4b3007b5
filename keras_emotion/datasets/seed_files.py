"""Parse single files of SEED: names, variables, values and tables."""

from __future__ import annotations

import dataclasses
import datetime
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from keras_emotion.datasets.matlab import read_variables, variable_shapes
from keras_emotion.datasets.reader import read_marker
from keras_emotion.datasets.seed_common import (
    CHANNEL_NAMES,
    Contents,
    contents_of,
    describe_several_subjects,
    read_facts,
    read_numbers,
)
from keras_emotion.datasets.spreadsheet import read_first_sheet
from keras_emotion.schema import InputError, Recording

FACTS: dict[str, Any] = read_facts("seed")
"""Counts, lengths, labels, folders and feature names of SEED (`facts/seed.json`); `notes`: what is not verified."""

FileFormat = Literal["preprocessed", "features"]
FILE_FORMATS: tuple[FileFormat, ...] = get_args(FileFormat)

FEATURE_NAMES = tuple(
    f"{feature}_{smoothing}"
    for feature, n_rows in FACTS["feature_rows"].items()
    if n_rows == len(CHANNEL_NAMES)
    for smoothing in FACTS["smoothings"]
)
"""The released features with one row per channel."""

TRIALS = range(1, FACTS["n_trials"] + 1)

WINDOW_TOLERANCE = 2
"""Tolerance of the number of windows that are not 1 s long: their exact segmentation is unknown."""

_LABELS: list[int] = FACTS["label_codes"]
"""Label of each class, in the order of the classes."""

_FILE_NAME = re.compile(r"(\d+|[A-Za-z]+)_(\d{8})\.mat")
_SIGNAL_VARIABLE = re.compile(r"([A-Za-z]+)_eeg(\d+)")
_FEATURE_VARIABLE = re.compile(rf"({'|'.join(FEATURE_NAMES)})(\d+)")


# --- file names


@dataclasses.dataclass(frozen=True)
class Session:
    """Session of a subject: its 1-based position by date, and the file."""

    number: int
    date: datetime.date
    path: Path


def parse_name(path: Path) -> tuple[int | str, datetime.date] | None:
    """Parse subject and date from a file name; `None` for other names.

    Example:
        >>> parse_name(Path("2_20140419.mat"))
        (2, datetime.date(2014, 4, 19))
    """
    match = _FILE_NAME.fullmatch(path.name)
    if match is None:
        return None
    try:
        date = datetime.datetime.strptime(match[2], "%Y%m%d").date()
    except ValueError:
        return None
    return int(match[1]) if match[1].isdigit() else match[1].lower(), date


def has_sessions(folder: Path) -> bool:
    """Return whether a folder contains a session file."""
    return folder.is_dir() and any(parse_name(path) for path in folder.glob("*.mat"))


def find_sessions(folder: Path) -> dict[int | str, tuple[Session, ...]]:
    """Return the sessions of each subject by date.

    Raises:
        InputError: some files are named by numbers and others by letters.
    """
    files: dict[int | str, list[tuple[datetime.date, Path]]] = {}
    for path in sorted(folder.glob("*.mat")):
        if (parsed := parse_name(path)) is not None:
            files.setdefault(parsed[0], []).append((parsed[1], path))
    examples = {type(subject): dated[0][1].name for subject, dated in files.items()}
    if len(examples) > 1:
        raise InputError(
            f"{folder}: files named by number ({examples[int]}) and by letters ({examples[str]}); expected one kind, "
            "since a subject may have both; remove the files of one kind"
        )
    return {
        subject: tuple(Session(number, date, path) for number, (date, path) in enumerate(sorted(dated), 1))
        for subject, dated in files.items()
    }


def format_of(folder: Path) -> FileFormat:
    """Return the format of a folder with sessions: by its name, else by the variable names of the first file."""
    name = folder.resolve().name
    for file_format, names in FACTS["folders"].items():
        if name in names:
            return file_format
    first = min(path for path in folder.glob("*.mat") if parse_name(path))
    try:
        variables = variable_shapes(first)
    except InputError:
        return "preprocessed"
    return "features" if any(map(_FEATURE_VARIABLE.fullmatch, variables)) else "preprocessed"


# --- variables of a file


def signal_contents(path: Path, clip_seconds: Sequence[int]) -> Contents:
    """Read the headers of a file of signals.

    Args:
        path: the file.
        clip_seconds: expected duration of each trial.

    Raises:
        InputError: the file cannot be read.
    """
    shapes = variable_shapes(path)
    matches = [match for name in shapes if (match := _SIGNAL_VARIABLE.fullmatch(name))]
    of_persons: dict[str, list[int]] = {}
    for match in matches:
        of_persons.setdefault(match[1], []).append(int(match[2]))
    if fault := describe_several_subjects(of_persons):
        return Contents((), min(of_persons), (fault,), ())
    shape_of = {int(match[2]): shapes[match[0]] for match in matches}
    rate, extra = FACTS["sampling_rate_hz"], FACTS["n_extra_samples"]
    faults = {}
    for trial in shape_of.keys() & set(TRIALS):
        seconds = clip_seconds[trial - 1]
        wanted = (len(CHANNEL_NAMES), rate * seconds + extra)
        if shape_of[trial] != wanted:
            faults[trial] = [
                f"signal of shape {shape_of[trial]}; expected {wanted}, {seconds} s at {rate} Hz; the signal is "
                "truncated or resampled, or from another dataset; copy the file again"
            ]
    return contents_of(TRIALS, shape_of.keys(), faults, "jl_eeg1", shapes, "".join(of_persons))


def feature_contents(path: Path, clip_seconds: Sequence[int], window_seconds: float) -> Contents:
    """Read the headers of a file of features.

    Args:
        path: the file.
        clip_seconds: expected duration of each trial.
        window_seconds: duration of a window.

    Raises:
        InputError: the file cannot be read.
    """
    shapes = variable_shapes(path)
    matches = [match for name in shapes if (match := _FEATURE_VARIABLE.fullmatch(name))]
    n_channels, n_bands = len(CHANNEL_NAMES), len(FACTS["bands"])
    tolerance = 0 if window_seconds == 1 else WINDOW_TOLERANCE
    found = {int(match[2]) for match in matches}
    faults: dict[int, list[str]] = {}
    for trial in found & set(TRIALS):
        seconds = clip_seconds[trial - 1]
        n_windows = seconds / window_seconds
        for name in FEATURE_NAMES:
            shape = shapes.get(f"{name}{trial}")
            if shape is None:
                fault = f"missing {name}"
            elif len(shape) != 3 or (shape[0], shape[2]) != (n_channels, n_bands):
                fault = f"{name} of shape {shape}; expected ({n_channels}, windows, {n_bands})"
            elif abs(shape[1] - n_windows) > tolerance:
                fault = f"{name} of {shape[1]} windows; expected {n_windows:g}, a clip of {seconds} s"
            else:
                continue
            faults.setdefault(trial, []).append(f"{fault}; copy the file again")
    return contents_of(TRIALS, found, faults, f"{FEATURE_NAMES[0]}1", shapes)


# --- values


def read_recording(path: Path, initials: str, trial: int) -> Recording:
    """Read the signal of a trial, without the last sample at the end of the clip.

    Raises:
        InputError: the signal cannot be read.
    """
    array = read_numbers(path, (f"{initials}_eeg{trial}",), ("channels", "samples"))[0]
    return Recording(
        signal=np.array(array[:, : array.shape[1] - FACTS["n_extra_samples"]], dtype=np.float64, order="C"),
        channel_names=CHANNEL_NAMES,
        units=("uV",) * len(CHANNEL_NAMES),
        sampling_rate_hz=float(FACTS["sampling_rate_hz"]),
        source=path,
    )


def read_feature(path: Path, trial: int, name: str) -> np.ndarray:
    """Read a released feature of a trial; see `ReleasedFeatures.read`.

    Raises:
        InputError: the feature is missing, cannot be read, or is not finite.
    """
    if name not in FEATURE_NAMES:
        raise InputError(f"{path}: unknown feature {name}; expected one of {', '.join(FEATURE_NAMES)}")
    (array,) = read_numbers(path, (f"{name}{trial}",), ("channels", "windows", "bands"))
    if not np.isfinite(array).all():
        raise InputError(f"{path}: trial {trial}: NaN or infinite values in {name}")
    return np.array(array.transpose(1, 0, 2), dtype=np.float64, order="C")


def unusable_features(path: Path, trial: int) -> tuple[str, ...]:
    """Return the non-finite features of a trial as a phrase, or nothing.

    Raises:
        InputError: a feature cannot be read.
    """
    arrays = read_numbers(path, [f"{name}{trial}" for name in FEATURE_NAMES], ("channels", "windows", "bands"))
    broken = [name for name, array in zip(FEATURE_NAMES, arrays, strict=True) if not np.isfinite(array).all()]
    return (f"NaN or infinite values in {', '.join(broken)}",) if broken else ()


# --- labels, channels, and parameters of a synthetic copy


def read_labels(path: Path) -> list[int]:
    """Read `label.mat`: -1, 0 or 1 for each trial.

    Raises:
        InputError: the file cannot be read, or has other content.
    """
    variable = FACTS["label_variable"]
    array = read_variables(path, (variable,)).get(variable)
    found = "missing" if array is None else f"{array.dtype} {array.shape}"
    if array is not None and array.dtype.kind in "fiu" and array.size == len(TRIALS):
        labels = array.ravel().tolist()
        if set(labels) <= set(_LABELS):
            return [int(label) for label in labels]
        found = ", ".join(f"{label:g}" for label in labels)
    codes = ", ".join(map(str, _LABELS))
    raise InputError(f"{path}: `{variable}` is {found}; expected {len(TRIALS)} numbers from {codes}; copy it again")


def read_stimulation(path: Path) -> list[int]:
    """Read the labels in the table of stimuli, coded as in `label.mat`.

    Raises:
        InputError: the file cannot be read, or lacks the column.
    """
    heading, codes = FACTS["stimulation_columns"][1], FACTS["stimulation_codes"]
    rows = [
        [f"{cell:g}" if isinstance(cell, (int, float)) else str(cell or "").strip() for cell in row]
        for row in read_first_sheet(path)
    ]
    place = next((place for place, row in enumerate(rows) if heading.lower() in map(str.lower, row)), None)
    if place is None:
        raise InputError(f"{path}: missing column {heading}; copy it again")
    column = [cell.lower() for cell in rows[place]].index(heading.lower())
    cells = [row[column] if column < len(row) else "" for row in rows[place + 1 :]][: len(TRIALS)]
    label_of = dict(zip(map(str, codes), _LABELS, strict=True))
    if len(cells) < len(TRIALS) or not set(cells) <= set(label_of):
        raise InputError(
            f"{path}: {heading} is {', '.join(map(repr, cells))}; expected {len(TRIALS)} numbers from "
            f"{', '.join(label_of)}; copy it again"
        )
    return [label_of[cell] for cell in cells]


def read_parameters(path: Path) -> dict[str, Any]:
    """Read the parameters of a synthetic copy; empty if there is no file, or that of another dataset.

    Returns:
        Among others `clip_seconds`, an integer for each trial, and `n_sessions`.

    Raises:
        InputError: the file lacks parameters.
    """
    parameters = read_marker(path, "seed")
    if not parameters:
        return {}
    seconds, n_sessions = parameters.get("clip_seconds"), parameters.get("n_sessions")
    numbers = [*(seconds if isinstance(seconds, list) else ()), n_sessions]
    if len(numbers) != len(TRIALS) + 1 or not all(type(number) is int and number > 0 for number in numbers):
        raise InputError(
            f"{path}: `clip_seconds` is {seconds!r} and `n_sessions` {n_sessions!r}; expected {len(TRIALS)} integers "
            "and one integer; write the synthetic data again"
        )
    return parameters
