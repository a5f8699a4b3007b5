"""Files of SEED one by one: names, variables, values, and the tables beside them."""

from __future__ import annotations

import csv
import dataclasses
import datetime
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from keras_emotion.datasets.matlab import read_variables, variable_shapes
from keras_emotion.datasets.reader import group_by_trial
from keras_emotion.datasets.spreadsheet import read_first_sheet
from keras_emotion.schema import InputError, Recording

_FACTS = Path(__file__).parent / "facts"
FACTS: dict[str, Any] = json.loads((_FACTS / "seed.json").read_text(encoding="utf-8"))
"""Counts, lengths, labels, folders and names of features of SEED (`facts/seed.json`); `notes`: what is not verified."""

with (_FACTS / "seed_channels.csv").open(encoding="utf-8", newline="") as _file:
    CHANNEL_NAMES = tuple(row["name"] for row in csv.DictReader(_file))
"""The 62 channels in the order of the rows of the files, as the 10-10 system spells them (`"Fpz"` for FPZ)."""

FileFormat = Literal["preprocessed", "features"]
FILE_FORMATS: tuple[FileFormat, ...] = get_args(FileFormat)

FEATURE_NAMES = tuple(
    f"{feature}_{smoothing}"
    for feature, n_rows in FACTS["feature_rows"].items()
    if n_rows == len(CHANNEL_NAMES)
    for smoothing in FACTS["smoothings"]
)
"""The released features that have a row for each channel."""

TRIALS = range(1, FACTS["n_trials"] + 1)

WINDOW_TOLERANCE = 2
"""Windows of other lengths than 1 s may be so many more or fewer than fit into a clip: their rule is not known."""

_LABELS: list[int] = FACTS["label_codes"]
"""Label of each class, in the order of the classes."""

_FILE_NAME = re.compile(r"(\d+|[A-Za-z]+)_(\d{8})\.mat")
_SIGNAL_VARIABLE = re.compile(r"([A-Za-z]+)_eeg(\d+)")
_FEATURE_VARIABLE = re.compile(rf"({'|'.join(FEATURE_NAMES)})(\d+)")


# --- names of files


@dataclasses.dataclass(frozen=True)
class Session:
    """One visit of a subject: its place in the order of the dates, from 1, and the file."""

    number: int
    date: datetime.date
    path: Path


def parse_name(path: Path) -> tuple[int | str, datetime.date] | None:
    """Return subject and date by the name of a file; `None` for other names.

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
    """Return whether a folder holds a file of a session."""
    return folder.is_dir() and any(parse_name(path) for path in folder.glob("*.mat"))


def find_sessions(folder: Path) -> dict[int | str, tuple[Session, ...]]:
    """Return the sessions of each subject in the order of their dates.

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
            "for a person may be there under both; remove the files of one kind"
        )
    return {
        subject: tuple(Session(number, date, path) for number, (date, path) in enumerate(sorted(dated), 1))
        for subject, dated in files.items()
    }


def format_of(folder: Path) -> FileFormat:
    """Return the format of a folder with sessions: by its name, else by the names of the first file's variables."""
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


@dataclasses.dataclass(frozen=True)
class Contents:
    """What the headers of a file tell.

    Args:
        trials: the trials that can be read, sorted.
        initials: what the names of variables begin with; empty for features.
        faults: what makes the file unusable.
        flaws: what does not: missing trials, and trials that are not read.
    """

    trials: tuple[int, ...]
    initials: str
    faults: tuple[str, ...]
    flaws: tuple[str, ...]


def signal_contents(path: Path, clip_seconds: Sequence[int]) -> Contents:
    """Return what the headers of a file of signals tell.

    Args:
        path: the file.
        clip_seconds: expected length of each trial.

    Raises:
        InputError: the file cannot be read.
    """
    shapes = variable_shapes(path)
    matches = [match for name in shapes if (match := _SIGNAL_VARIABLE.fullmatch(name))]
    initials = sorted({match[1] for match in matches})
    if len(initials) > 1:
        listed = "; ".join(
            f"{one}: trial {', '.join(match[2] for match in matches if match[1] == one)}" for one in initials
        )
        fault = f"variables with the initials of {len(initials)} persons ({listed}); expected one; copy the file again"
        return Contents((), initials[0], (fault,), ())
    shape_of = {int(match[2]): shapes[match[0]] for match in matches}
    rate, extra = FACTS["sampling_rate_hz"], FACTS["n_extra_samples"]
    faults = {}
    for trial in shape_of.keys() & set(TRIALS):
        seconds = clip_seconds[trial - 1]
        wanted = (len(CHANNEL_NAMES), rate * seconds + extra)
        if shape_of[trial] != wanted:
            faults[trial] = [
                f"signal of shape {shape_of[trial]}; expected {wanted}, {seconds} s at {rate} Hz; a truncated or "
                "resampled signal, or another dataset: copy the file again"
            ]
    return _contents(shapes, shape_of.keys(), faults, "jl_eeg1", "".join(initials))


def feature_contents(path: Path, clip_seconds: Sequence[int], window_seconds: float) -> Contents:
    """Return what the headers of a file of features tell.

    Args:
        path: the file.
        clip_seconds: expected length of each trial.
        window_seconds: length of a window.

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
                fault = f"no {name}"
            elif len(shape) != 3 or (shape[0], shape[2]) != (n_channels, n_bands):
                fault = f"{name} of shape {shape}; expected ({n_channels}, windows, {n_bands})"
            elif abs(shape[1] - n_windows) > tolerance:
                fault = f"{name} of {shape[1]} windows; expected {n_windows:g}, a clip of {seconds} s"
            else:
                continue
            faults.setdefault(trial, []).append(f"{fault}; copy the file again")
    return _contents(shapes, found, faults, f"{FEATURE_NAMES[0]}1", "")


def _contents(shapes, found, faults: Mapping[int, Sequence[str]], example: str, initials: str) -> Contents:
    """`found`: trials in the file; `faults`: by trial."""
    if not found:
        names = ", ".join(list(shapes)[:5]) or "none"
        return Contents((), "", (f"no variables like {example}; found {names}; copy the file again",), ())
    flaws = []
    if missing := [trial for trial in TRIALS if trial not in found]:
        flaws.append(f"no trial {', '.join(map(str, missing))}; expected 1 to {TRIALS[-1]}")
    if extra := sorted(set(found) - set(TRIALS)):
        flaws.append(f"trial {', '.join(map(str, extra))} is not read; expected 1 to {TRIALS[-1]}")
    usable = tuple(trial for trial in TRIALS if trial in found and trial not in faults)
    lines = group_by_trial({trial: faults[trial] for trial in sorted(faults)})
    return Contents(usable, initials, lines, tuple(flaws))


# --- values


def read_recording(path: Path, initials: str, trial: int) -> Recording:
    """Read the signal of a trial, without the sample at the end of the clip.

    Raises:
        InputError: the signal cannot be read.
    """
    array = _numbers(path, (f"{initials}_eeg{trial}",), ("channels", "samples"))[0]
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
        InputError: there is no such feature, it cannot be read, or it is not finite.
    """
    if name not in FEATURE_NAMES:
        raise InputError(f"{path}: no feature {name}; expected one of {', '.join(FEATURE_NAMES)}")
    (array,) = _numbers(path, (f"{name}{trial}",), ("channels", "windows", "bands"))
    if not np.isfinite(array).all():
        raise InputError(f"{path}: trial {trial}: NaN or infinite values in {name}")
    return np.array(array.transpose(1, 0, 2), dtype=np.float64, order="C")


def unusable_features(path: Path, trial: int) -> tuple[str, ...]:
    """Return what is wrong with the values of a trial's features: a phrase that names them, or nothing.

    Raises:
        InputError: a feature cannot be read.
    """
    arrays = _numbers(path, [f"{name}{trial}" for name in FEATURE_NAMES], ("channels", "windows", "bands"))
    broken = [name for name, array in zip(FEATURE_NAMES, arrays, strict=True) if not np.isfinite(array).all()]
    return (f"NaN or infinite values in {', '.join(broken)}",) if broken else ()


def _numbers(path: Path, variables: Sequence[str], axes: tuple[str, ...]) -> list[np.ndarray]:
    """The values of some variables, arrays of numbers with these axes."""
    arrays = read_variables(path, variables)
    for variable in variables:
        array = arrays.get(variable)
        if array is None or array.dtype.kind not in "fiu" or array.ndim != len(axes):
            found = "not there" if array is None else f"{array.dtype} {array.shape}"
            raise InputError(f"{path}: `{variable}` is {found}; expected numbers of shape ({', '.join(axes)})")
    return [arrays[variable] for variable in variables]


# --- labels, channels, and what a synthetic copy states


def read_labels(path: Path) -> list[int]:
    """Read `label.mat`: for each trial -1, 0 or 1.

    Raises:
        InputError: the file cannot be read, or holds anything else.
    """
    variable = FACTS["label_variable"]
    array = read_variables(path, (variable,)).get(variable)
    found = "not there" if array is None else f"{array.dtype} {array.shape}"
    if array is not None and array.dtype.kind in "fiu" and array.size == len(TRIALS):
        labels = array.ravel().tolist()
        if set(labels) <= set(_LABELS):
            return [int(label) for label in labels]
        found = ", ".join(f"{label:g}" for label in labels)
    codes = ", ".join(map(str, _LABELS))
    raise InputError(f"{path}: `{variable}` is {found}; expected {len(TRIALS)} numbers out of {codes}; copy it again")


def read_stimulation(path: Path) -> list[int]:
    """Read the labels in the table of stimuli, as those of `label.mat`.

    Raises:
        InputError: the file cannot be read, or has no such column.
    """
    heading, codes = FACTS["stimulation_columns"][1], FACTS["stimulation_codes"]
    rows = [
        [f"{cell:g}" if isinstance(cell, (int, float)) else str(cell or "").strip() for cell in row]
        for row in read_first_sheet(path)
    ]
    place = next((place for place, row in enumerate(rows) if heading.lower() in map(str.lower, row)), None)
    if place is None:
        raise InputError(f"{path}: no column {heading}; copy it again")
    column = [cell.lower() for cell in rows[place]].index(heading.lower())
    cells = [row[column] if column < len(row) else "" for row in rows[place + 1 :]][: len(TRIALS)]
    label_of = dict(zip(map(str, codes), _LABELS, strict=True))
    if len(cells) < len(TRIALS) or not set(cells) <= set(label_of):
        raise InputError(
            f"{path}: {heading} is {', '.join(map(repr, cells))}; expected {len(TRIALS)} numbers out of "
            f"{', '.join(label_of)}; copy it again"
        )
    return [label_of[cell] for cell in cells]


def differences(labels: Sequence[int], others: Sequence[int]) -> str:
    """Name up to three trials whose labels differ; empty where none do.

    Example:
        >>> differences([1, 0, -1], [1, 1, -1])
        'trial 2 is 0, not 1'
    """
    different = [
        f"trial {trial} is {own}, not {other}"
        for trial, (own, other) in enumerate(zip(labels, others, strict=True), 1)
        if own != other
    ]
    more = f" and {len(different) - 3} more" if len(different) > 3 else ""
    return ", ".join(different[:3]) + more


def channel_differences(path: Path) -> str:
    """Say how a list of channels differs from `CHANNEL_NAMES`; empty where it does not.

    Raises:
        InputError: the file cannot be read.
    """
    found = [str(row[0]).strip() for row in read_first_sheet(path) if row[0] is not None]
    wrong = [
        f"row {row} is {name}, not {expected.upper()}"
        for row, (name, expected) in enumerate(zip(found, CHANNEL_NAMES, strict=False), 1)
        if name.upper() != expected.upper()
    ]
    if not wrong and len(found) == len(CHANNEL_NAMES):
        return ""
    more = [f"and {len(wrong) - 3} more"] if len(wrong) > 3 else []
    return ", ".join([f"{len(found)} names", *wrong[:3], *more])


def read_parameters(path: Path) -> dict[str, Any]:
    """Read what a synthetic copy states of itself; empty where there is no file, or that of another dataset.

    Returns:
        Among others `clip_seconds`, a whole number for each trial, and `n_sessions`.

    Raises:
        InputError: the file does not state them.
    """
    if not path.is_file():
        return {}
    try:
        parameters = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise InputError(f"{path}: damaged ({error}); write the synthetic data again") from None
    if not isinstance(parameters, dict) or parameters.get("dataset") != "seed":
        return {}
    seconds, n_sessions = parameters.get("clip_seconds"), parameters.get("n_sessions")
    numbers = [*(seconds if isinstance(seconds, list) else ()), n_sessions]
    if len(numbers) != len(TRIALS) + 1 or not all(type(number) is int and number > 0 for number in numbers):
        raise InputError(
            f"{path}: `clip_seconds` is {seconds!r} and `n_sessions` {n_sessions!r}; expected {len(TRIALS)} whole "
            "numbers and one; write the synthetic data again"
        )
    return parameters
