"""Reader of the multimodal features of SEED: EEG and eye movements of 12 subjects, in windows of 4 s."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from typing_extensions import override

from keras_emotion.array_files import read_npz_array
from keras_emotion.datasets import restricted_pickle
from keras_emotion.datasets.reader import Problem
from keras_emotion.datasets.seed_common import CHANNEL_NAMES, Contents, read_facts
from keras_emotion.datasets.seed_series import TARGET, SEEDSeries, Visit, eye_problems
from keras_emotion.datasets.seed_sessions import DAMAGED_NPZ, SessionFile, stored_bytes
from keras_emotion.schema import EyeMovements, InputError, ReleasedFeatures

FACTS: dict[str, Any] = read_facts("seed_multimodal")
"""Counts, lengths, labels and folders (`facts/seed_multimodal.json`); `notes` lists what is not verified."""

EYE_FEATURE_NAMES = tuple(f"eye_{number:02d}" for number in range(1, FACTS["n_eye_features"] + 1))
"""The 33 eye features; their individual definitions are unknown."""

_PARTS = ("train", "test")
_OWNER = re.compile(r"(\d+|[A-Za-z]+)[_\-. ]")


class SEEDMultimodal(SEEDSeries):
    """Reader of the part of SEED with eye movements: features of 12 subjects in three sessions of the same 15 clips.

    Unlike in SEED-IV, SEED-V and SEED-VII, all sessions show the same clips: `Trial.stimulus` is `"clip_01"` to
    `"clip_15"` for every subject and session. `Trial.split` is `"train"` for the first nine clips of a session and
    `"test"` for the last six, as in the authors' split.

    **Features**: `de`, `(windows, 62, 5)`, in windows of 4 s, from pickles that are read without executing anything;
    **eye movements**: 33 features in the same windows. Whether either was smoothed is unknown.

    The file names are unknown. Sorted by name, three consecutive files are the sessions of a subject; subjects are
    numbered in this order, which differs from SEED's numbers. If names start with letters or a number and an
    underscore, those of a subject must have the same prefix.

    Args:
        root: folder with `eeg_used_4s` (`.npz`) and `eye_tracking_feature` (pickles), or the first of them.
        file_format: `"features"`, the only format, or `None`.

    Raises:
        InputError: `root` contains no such files, or not three per subject.
        ValueError: `file_format` is invalid.

    References:
        Zheng, Dong and Lu, "Multimodal emotion recognition using EEG and eye tracking data", IEEE EMBC, 2014.
    """

    name = "seed_multimodal"
    title = "SEED with eye movements"
    facts = FACTS
    signal_formats = ()
    example = "1_1.npz"
    class_names: ClassVar[Mapping[str, tuple[str, ...]]] = {TARGET: tuple(FACTS["class_names"])}
    usual_protocols: ClassVar[tuple[str, ...]] = ("predefined_split_within_session", "subject_disjoint")

    def _find_visits(self, folder: Path, file_format: str) -> dict[int, tuple[Visit, ...]]:
        paths = _in_order(folder.glob("*.npz"))
        n_sessions = self._parameters.get("n_sessions", FACTS["n_sessions"])
        if len(paths) % n_sessions:
            raise InputError(f"{folder}: {len(paths)} files; expected {n_sessions} per subject; copy all of them")
        visits = {}
        for first in range(0, len(paths), n_sessions):
            own = paths[first : first + n_sessions]
            _require_one_person(own)
            visits[first // n_sessions + 1] = tuple(Visit(session, path) for session, path in enumerate(own, 1))
        return visits

    @property
    def _label_path(self) -> Path:
        # Labels are in the feature files.
        return self._home / "label.mat"

    @property
    def label_table(self) -> None:
        """`None`, because labels are in the feature files."""
        return

    @override
    def notes(self, subjects: Sequence[int] | None = None) -> list[str]:
        self.select(subjects)
        return [
            "subjects are numbered in the order of the file names, which differs from SEED's numbers",
            "it is unknown whether the authors smoothed their features over a trial",
        ]

    def genders(self) -> Mapping[int, Any]:
        """See `Reader.genders`; empty, because it is unknown which subjects of SEED these are."""
        return {}

    def _clip(self, visit: Visit, number: int) -> int:
        return number

    def _split(self, number: int) -> str:
        return _PARTS[number > FACTS["n_training_clips"]]

    def _open(self, subject: int, visit: Visit) -> SessionFile:
        seconds = self._parameters.get("clip_seconds", FACTS["clip_seconds"])
        return _Session(visit.path, seconds, FACTS["labels"][visit.number - 1])

    # --- eye movements

    @functools.cached_property
    def _eye_paths(self) -> dict[Path, Path]:
        """Files of eye features by EEG file, in the same order."""
        folder = self._folder("eye_features")
        if folder is None:
            return {}
        eyes = _in_order(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
        eeg = [visit.path for subject in sorted(self._visits) for visit in self._visits[subject]]
        if len(eyes) != len(eeg):
            raise InputError(f"{folder}: {len(eyes)} files; expected {len(eeg)}, as many as in {eeg[0].parent.name}")
        for pair in zip(eeg, eyes, strict=True):
            _require_one_person(pair)
        return dict(zip(eeg, eyes, strict=True))

    @override
    def eye_files(self, subject: int) -> tuple[Path, ...]:
        (subject,) = self.select([subject])
        paths = self._eye_paths
        return tuple(paths[visit.path] for visit in self._visits[subject]) if paths else ()

    def _eye(self, subject: int, visit: Visit, trial: int) -> EyeMovements | None:
        path = self._eye_paths.get(visit.path)
        if path is None:
            return None
        seconds = tuple(self._parameters.get("clip_seconds", FACTS["clip_seconds"]))
        return EyeMovements(
            sources=(path,),
            feature_names=EYE_FEATURE_NAMES,
            window_seconds=float(FACTS["window_seconds"]),
            read_features=functools.partial(_read_eyes, path, seconds, trial),
        )

    def _eye_problems(self, subject: int, visit: Visit) -> list[Problem]:
        return eye_problems(subject, {number: self._eye(subject, visit, number) for number in self._trial_numbers})


def _in_order(paths: Iterable[Path]) -> list[Path]:
    """Sort paths by name, with numbers in names by value: 2 comes before 10."""

    def key(path: Path) -> list[tuple[int, str]]:
        parts = re.split(r"(\d+)", path.name)
        return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]

    return sorted(paths, key=key)


def _require_one_person(paths: Sequence[Path]) -> None:
    owners = {match[1].lower() for path in paths if (match := _OWNER.match(path.name))}
    if len(owners) > 1:
        names = ", ".join(path.name for path in paths)
        raise InputError(
            f"{paths[0]}: {names} are not of one subject by their names; expected the same files for every subject; "
            "copy all of them"
        )


def _windows(seconds: Sequence[int], trial: int) -> tuple[str, slice, int]:
    """Return the part of the file of a trial, its windows there, and the number of windows of the part."""
    counts = [one // FACTS["window_seconds"] for one in seconds]
    n_training = FACTS["n_training_clips"]
    is_test = trial > n_training
    own = counts[n_training:] if is_test else counts[:n_training]
    place = trial - 1 - n_training * is_test
    first = sum(own[:place])
    return _PARTS[is_test], slice(first, first + own[place]), sum(own)


class _Session(SessionFile):
    """File of differential entropies: pickled dicts of bands, with the concatenated windows of all clips."""

    def __init__(self, path: Path, seconds: Sequence[int], labels: Sequence[int]):
        self._path, self._seconds = path, tuple(seconds)
        arrays = _entropies(path)
        faults = []
        for part in _PARTS:
            first = 1 if part == "train" else FACTS["n_training_clips"] + 1
            n_windows = _windows(seconds, first)[2]
            shape = (n_windows, len(CHANNEL_NAMES), len(FACTS["bands"]))
            if arrays[part].shape != shape:
                faults.append(f"`{part}_data` of shape {arrays[part].shape}; expected {shape}; copy the file again")
        numbers = range(1, FACTS["n_trials"] + 1)
        if not faults:
            for number in numbers:
                part, windows, n_windows = _windows(seconds, number)
                found = sorted(set(_labels(path, part, n_windows)[windows].tolist()))
                if found != [labels[number - 1]]:
                    faults.append(f"trial {number}: labels {found}; expected {labels[number - 1]}; copy the file again")
        self.contents = Contents(() if faults else tuple(numbers), "", tuple(faults), ())

    @override
    def released_features(self, trial: int) -> ReleasedFeatures:
        (name,) = FACTS["feature_names"]
        return ReleasedFeatures(
            source=self._path,
            names=(name,),
            channel_names=CHANNEL_NAMES,
            bands={band: (float(low), float(high)) for band, (low, high) in FACTS["bands"].items()},
            window_seconds=float(FACTS["window_seconds"]),
            smoothed=frozenset(),
            read=functools.partial(_read_entropies, self._path, self._seconds, trial),
        )

    @override
    def seconds(self, trial: int) -> float:
        return float(self._seconds[trial - 1] // FACTS["window_seconds"] * FACTS["window_seconds"])


# --- values


def _entropies(path: Path) -> Mapping[str, np.ndarray]:
    """Read the `(windows, 62, bands)` differential entropies of each part of a file.

    Raises:
        InputError: they are missing or invalid.
    """
    status = _status(path)
    return _cached_entropies(path, *status)


@functools.lru_cache(maxsize=4)
def _cached_entropies(path: Path, size: int, modified_ns: int) -> Mapping[str, np.ndarray]:
    arrays = {}
    for part in _PARTS:
        name = f"{part}_data"
        bands = restricted_pickle.loads(stored_bytes(path, name), path)
        wanted = list(FACTS["bands"])
        if not isinstance(bands, dict) or not set(wanted) <= set(bands):
            found = ", ".join(map(str, bands)) if isinstance(bands, dict) else type(bands).__name__
            raise InputError(f"{path}: `{name}` is {found}; expected a dict of {', '.join(wanted)}; copy it again")
        values = [np.asarray(bands[band]) for band in wanted]
        shapes = {one.shape for one in values}
        if len(shapes) > 1 or any(one.dtype.kind not in "fiu" or one.ndim != 2 for one in values):
            raise InputError(
                f"{path}: bands of `{name}` have the shapes {sorted(shapes)}; expected (windows, 62) each; copy the "
                "file again"
            )
        arrays[part] = np.stack(values, axis=-1).astype(np.float64)
        if not np.isfinite(arrays[part]).all():
            raise InputError(f"{path}: NaN or infinite values in `{name}`; copy the file again")
    return arrays


def _read_entropies(path: Path, seconds: Sequence[int], trial: int, name: str) -> np.ndarray:
    (known,) = FACTS["feature_names"]
    if name != known:
        raise InputError(f"{path}: unknown feature {name}; expected {known}")
    part, windows, _ = _windows(seconds, trial)
    return _entropies(path)[part][windows].copy()


def _labels(path: Path, part: str, n_windows: int) -> np.ndarray:
    name = f"{part}_label"
    labels = read_npz_array(path, name, DAMAGED_NPZ).ravel()
    if labels.dtype.kind not in "fiu" or len(labels) != n_windows:
        raise InputError(
            f"{path}: `{name}` is {labels.dtype} {labels.shape}; expected {n_windows} numbers; copy the file again"
        )
    return labels


@functools.lru_cache(maxsize=4)
def _cached_eyes(path: Path, size: int, modified_ns: int) -> Mapping[str, np.ndarray]:
    content = restricted_pickle.read(path)
    arrays = {}
    for part in _PARTS:
        name = f"{part}_data_eye"
        values = np.asarray(content.get(name)) if isinstance(content, dict) else np.empty(0)
        if values.dtype.kind not in "fiu" or values.ndim != 2 or values.shape[1] != FACTS["n_eye_features"]:
            raise InputError(
                f"{path}: `{name}` is {values.dtype} {values.shape}; expected numbers of shape (windows, "
                f"{FACTS['n_eye_features']}); copy it again"
            )
        if not np.isfinite(values).all():
            raise InputError(f"{path}: NaN or infinite values in `{name}`; copy the file again")
        arrays[part] = values.astype(np.float64)
    return arrays


def _read_eyes(path: Path, seconds: Sequence[int], trial: int) -> np.ndarray:
    part, windows, n_windows = _windows(seconds, trial)
    values = _cached_eyes(path, *_status(path))[part]
    if len(values) != n_windows:
        raise InputError(f"{path}: {len(values)} windows of `{part}_data_eye`; expected {n_windows}; copy it again")
    return values[windows].copy()


def _status(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); copy it again") from None
    return status.st_size, status.st_mtime_ns
