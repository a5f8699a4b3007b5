"""Parse DREAMER's file: the data of each subject, checked and cached in memory."""

from __future__ import annotations

import csv
import dataclasses
import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from keras_emotion.datasets.matlab_struct import struct_parts
from keras_emotion.schema import InputError
from keras_emotion.signals import resample

_FACTS = Path(__file__).parent / "facts"
FACTS: dict[str, Any] = json.loads((_FACTS / "dreamer.json").read_text(encoding="utf-8"))
"""Counts, rates, names and channels of DREAMER (`facts/dreamer.json`); `notes` lists what is not verified."""

with (_FACTS / "dreamer_videos.csv").open(encoding="utf-8", newline="") as _file:
    VIDEOS = tuple(csv.DictReader(_file))
"""Target emotion and mean ratings of each video, as texts."""

CHANNEL_NAMES: tuple[str, ...] = tuple(FACTS["channels"])
ECG_NAMES: tuple[str, ...] = tuple(FACTS["ecg_channels"])
RATE_HZ = float(FACTS["eeg_sampling_rate_hz"])

SIGNAL_KINDS: Mapping[str, tuple[int, float]] = {
    "EEG": (len(CHANNEL_NAMES), RATE_HZ),
    "ECG": (len(ECG_NAMES), float(FACTS["ecg_sampling_rate_hz"])),
}
"""Number of columns and sampling rate by kind of signal."""

LONGEST_DIFFERENCE_SECONDS = 0.5
"""Tolerance in seconds between the durations of EEG and ECG of a clip."""


@dataclasses.dataclass(frozen=True, eq=False)
class Clip:
    """Signals of a subject in one clip, at 128 Hz.

    Args:
        stimulus: `(16, samples)` float32: 14 mean-subtracted EEG channels in microvolts, and two ECG channels.
        baseline: the same of the clip's baseline recording.
        ratings: score by name.
    """

    stimulus: np.ndarray
    baseline: np.ndarray
    ratings: Mapping[str, float]


@dataclasses.dataclass(frozen=True, eq=False)
class Person:
    """Data of a subject.

    Args:
        age: as in the file.
        gender: as in the file, lower case.
        clips: readable clips by video number.
        faults: unusable data, by video number; 0: not of one video.
        flaws: other findings, likewise.
    """

    age: str
    gender: str
    clips: Mapping[int, Clip]
    faults: Mapping[int, tuple[str, ...]]
    flaws: Mapping[int, tuple[str, ...]]


@dataclasses.dataclass(frozen=True, eq=False)
class Contents:
    """Content of the file.

    Args:
        people: the subjects in file order.
        channel_names: EEG channels in file order.
        faults: problems of the whole file, which make it unreadable.
    """

    people: tuple[Person, ...]
    channel_names: tuple[str, ...]
    faults: tuple[str, ...]


def n_subjects_in_file(path: Path) -> int:
    """Return the number of subjects in the file, by its headers.

    Raises:
        InputError: the file cannot be read, or has no subjects.
    """
    for part in struct_parts(path, FACTS["variable"], "Data"):
        if part.field == "Data":
            return part.n_elements
    raise InputError(f"{path}: `{FACTS['variable']}` has no field Data with subjects; copy it again")


def read_contents(path: Path) -> Contents:
    """Read the file once per process; it is read again if its size or modification time changes.

    All signals are then in memory, as float32 at 128 Hz: 0.9 GB for the whole dataset.
    """
    status = path.stat()
    return _contents(path, status.st_size, status.st_mtime_ns)


@functools.lru_cache(maxsize=1)
def _contents(path: Path, n_bytes: int, time: int) -> Contents:
    people, others = [], {}
    try:
        for part in struct_parts(path, FACTS["variable"], "Data"):
            value = part.read()
            if part.field == "Data":
                people.append(_person(value))
            else:
                others[part.field] = value
    except InputError as error:
        return Contents((), (), (str(error).removeprefix(f"{path}: "),))
    names = others.get("EEG_Electrodes", [])
    names = tuple(map(str, names)) if isinstance(names, list) else ()
    faults = []
    if sorted(names) != sorted(CHANNEL_NAMES):
        faults.append(
            f"EEG_Electrodes is {', '.join(names) or 'missing'}; expected {', '.join(CHANNEL_NAMES)}; copy it again"
        )
    for field, expected in (
        ("EEG_SamplingRate", FACTS["eeg_sampling_rate_hz"]),
        ("ECG_SamplingRate", FACTS["ecg_sampling_rate_hz"]),
    ):
        found = np.ravel(others.get(field, []))
        if found.tolist() != [expected]:
            listed = ", ".join(map(str, found.tolist())) or "missing"
            faults.append(f"{field} is {listed}; expected {expected}; check that the file is DREAMER")
    return Contents(tuple(people), names, tuple(faults))


def _person(value: Any) -> Person:
    """Check and convert the struct of a subject."""
    n_videos = FACTS["n_videos"]
    missing = [name for name in FACTS["subject_fields"] if not isinstance(value, dict) or name not in value]
    if missing:
        return Person("", "", {}, {0: (f"missing field {', '.join(missing)}; copy the file again",)}, {})
    age, gender = (str(value[name]).strip() if isinstance(value[name], str) else "" for name in ("Age", "Gender"))
    faults: dict[int, tuple[str, ...]] = {}
    cells: dict[tuple[str, str], list[Any]] = {}
    for kind in SIGNAL_KINDS:
        for part in ("baseline", "stimuli"):
            cell = value[kind].get(part) if isinstance(value[kind], dict) else None
            if not isinstance(cell, list) or len(cell) != n_videos:
                found = f"{len(cell)} elements" if isinstance(cell, list) else "not a cell array"
                faults[0] = (*faults.get(0, ()), f"{kind}.{part}: {found}; expected {n_videos}")
            else:
                cells[kind, part] = cell
    scores = {name: np.ravel(value[field]) for name, field in FACTS["ratings"].items()}
    for name, found in scores.items():
        if found.dtype.kind not in "fiu" or len(found) != n_videos:
            fault = f"{FACTS['ratings'][name]}: {found.dtype} of {len(found)} values; expected {n_videos} numbers"
            faults[0] = (*faults.get(0, ()), fault)
    if faults:
        return Person(age, gender.lower(), {}, faults, {})
    clips, flaws = {}, {}
    low, high = FACTS["rating_range"]
    for video in range(1, n_videos + 1):
        arrays = {key: cell[video - 1] for key, cell in cells.items()}
        wrong = [_fault_of(kind, part, array) for (kind, part), array in arrays.items()]
        ratings = {name: float(found[video - 1]) for name, found in scores.items()}
        wrong += [
            f"{FACTS['ratings'][name]} is {score:g}; expected an integer from {low} to {high}"
            for name, score in ratings.items()
            if not (low <= score <= high and score % 1 == 0)
        ]
        if wrong := [fault for fault in wrong if fault]:
            faults[video] = tuple(wrong)
            continue
        seconds = {key: len(array) / SIGNAL_KINDS[key[0]][1] for key, array in arrays.items()}
        differing = [
            f"{part} of EEG last {seconds['EEG', part]:.2f} s, of ECG "
            f"{seconds['ECG', part]:.2f} s; truncated to the shorter"
            for part in ("baseline", "stimuli")
            if abs(seconds["EEG", part] - seconds["ECG", part]) > LONGEST_DIFFERENCE_SECONDS
        ]
        if differing:
            flaws[video] = tuple(differing)
        clips[video] = Clip(_joined(arrays, "stimuli"), _joined(arrays, "baseline"), ratings)
    return Person(age, gender.lower(), clips, faults, flaws)


def _fault_of(kind: str, part: str, array: Any) -> str:
    """Describe what is wrong with the shape of a signal; empty if it is valid."""
    n_columns, rate = SIGNAL_KINDS[kind]
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu":
        return f"{kind}.{part} is not numeric; expected (samples, {n_columns})"
    if array.ndim != 2 or array.shape[1] != n_columns or len(array) < rate:
        return f"{kind}.{part} has shape {array.shape}; expected (samples, {n_columns}), at least one second"
    return ""


def _joined(arrays: Mapping[tuple[str, str], np.ndarray], part: str) -> np.ndarray:
    """Return `(16, samples)` float32: EEG without its offset, and ECG at the EEG's rate."""
    eeg = arrays["EEG", part].T.astype(np.float64)
    eeg = eeg - eeg.mean(axis=1, keepdims=True)
    ecg = resample(arrays["ECG", part].T.astype(np.float64), SIGNAL_KINDS["ECG"][1], RATE_HZ)
    n_samples = min(eeg.shape[1], ecg.shape[1])
    return np.concatenate([eeg[:, :n_samples], ecg[:, :n_samples]]).astype(np.float32)
