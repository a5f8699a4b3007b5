"""SAM40 reader: 40 subjects, 32 EEG channels, relaxation and three stress tasks, three times 25 s each."""

from __future__ import annotations

import csv
import functools
import json
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

import numpy as np
import pandas as pd

from keras_emotion.array_files import npz_shape, read_npz
from keras_emotion.datasets.matlab import read_variables, variable_names
from keras_emotion.datasets.reader import (
    Problem,
    Reader,
    SubjectReport,
    as_problem,
    describe_trial,
    raise_problems,
    unusable_channels,
)
from keras_emotion.schema import InputError, Recording, Trial
from keras_emotion.tables import read_text_table, reading_csv

_FACTS = Path(__file__).parent / "facts"
FACTS: dict[str, Any] = json.loads((_FACTS / "sam40.json").read_text(encoding="utf-8"))
"""Counts, rates, tasks and names of variables of SAM40 (`facts/sam40.json`)."""

with (_FACTS / "sam40_channels.csv").open(encoding="utf-8", newline="") as _file:
    CHANNEL_NAMES = tuple(row["name"] for row in csv.DictReader(_file))
"""The 32 channels in the order of the rows of the published files."""

TASKS: tuple[str, ...] = tuple(FACTS["tasks"])
RELAXATION = TASKS[0]
N_REPETITIONS: int = FACTS["n_trials_per_task"]
LABEL_FILE = "stress_labels.csv"

FileFormat = Literal["filtered", "compact", "raw"]
FILE_FORMATS: tuple[FileFormat, ...] = get_args(FileFormat)
_INDEX_ARRAYS = ("scale_uV", "fs", "task", "subject", "trial", "rating", "ch_names")
_FILE_NAME = re.compile(rf"({'|'.join(TASKS)})_sub_(\d+)_trial([1-{N_REPETITIONS}])\.mat")


def trial_id(task: str, repetition: int) -> int:
    """Trial id of a task's repetition: relaxation 1-3, Stroop 4-6, arithmetic 7-9, mirror image 10-12.

    Example:
        >>> trial_id("Stroop", 2)
        5
    """
    return N_REPETITIONS * TASKS.index(task) + repetition


class SAM40(Reader):
    """Reader of SAM40: the published files, one per recording, or all of them in one compact `.npz`.

    One recording of 25 s is one trial; trial ids are 1 to 12 within a subject (`trial_id`), the stimulus is task and
    repetition (`"Stroop_2"`), and the order of presentation is unknown (-1). There is no baseline.

    Ratings: `task`, the index of the task in `class_names["task"]`, and `stress`, a self-rating from 0 to 10. Stress
    was rated for the nine task recordings only: the 0 in the files for relaxation is not a rating, and is left out.

    Args:
        root: folder with `{Task}_sub_{n}_trial{m}.mat` and `stress_labels.csv`, in it or in any subfolder; or with an
            `.npz` with the arrays `eeg` (int16 `(recordings, channels, samples)`), `scale_uV`, `fs`, `task`, `subject`,
            `trial`, `rating` and `ch_names`.
        file_format: `"filtered"` (variable `Clean_data`), `"compact"` (the `.npz`, also filtered) or `"raw"` (variable
            `Data`); by default the first that exists, in this order.

    Raises:
        InputError: `root` contains no such file, or two of the same recording.
        ValueError: `file_format` is invalid.

    References:
        Ghosh et al., "SAM 40: Dataset of 40 subject EEG recordings to monitor the induced-stress while performing
        Stroop color-word test, arithmetic task, and mirror image recognition task", Data in Brief 40, 2022.
    """

    name = "sam40"
    usual_protocols: ClassVar[tuple[str, ...]] = ("trial_disjoint", "subject_disjoint")
    class_names: ClassVar[Mapping[str, tuple[str, ...]]] = {"task": TASKS}
    meaning_of_stimulus = (
        "the first, second or third repetition of a task, the same for all subjects: a stimulus-disjoint split "
        "trains on the other repetitions of the task, by the same subjects"
    )

    def __init__(self, root: str | Path, file_format: FileFormat | None = None):
        super().__init__(root)
        if file_format is not None and file_format not in FILE_FORMATS:
            raise ValueError(f"`file_format` is {file_format!r}; expected one of {FILE_FORMATS}")
        compact = (path for path in sorted(self.root.glob("*.npz")) if _is_compact(path))
        # The root itself, which is no file, if there is none.
        self._compact_file = next(compact, self.root)
        for candidate in FILE_FORMATS if file_format is None else (file_format,):
            self._recordings = self._find(candidate)
            if self._recordings:
                break
        else:
            kind = "recordings" if file_format is None else f"{file_format} recordings"
            raise InputError(
                f"{self.root}: no {kind} of SAM40; expected files such as Stroop_sub_1_trial1.mat, in it or in a "
                "subfolder, or their compact .npz; check the path"
            )
        self.file_format = candidate
        self.label_file = next(iter(sorted(self.root.rglob(LABEL_FILE))), self.root / LABEL_FILE)

    def _find(self, file_format: FileFormat) -> dict[int, dict[int, Any]]:
        """Return the file of each recording, or its row in the compact file, by subject and trial id."""
        keys: list[Any]
        if file_format != "compact":
            keys = list(self._published_files[file_format])
        elif not self._compact_file.is_file():
            keys = []
        else:
            columns = map(self._compact.get, ("task", "subject", "trial"))
            keys = [(*key, row) for row, key in enumerate(zip(*columns, strict=True))]
        found: dict[int, dict[int, Any]] = {}
        for task, subject, repetition, source in keys:
            trials = found.setdefault(int(subject), {})
            trial = trial_id(str(task), int(repetition))
            if trial in trials:
                raise InputError(
                    f"{self.root}: duplicate {task}_{repetition} of subject {subject}: "
                    f"{trials[trial]} and {source}; keep one of them"
                )
            trials[trial] = source
        return found

    @functools.cached_property
    def _published_files(self) -> dict[str, list[tuple[str | Path, ...]]]:
        """Task, subject, repetition and path of the published files, by kind.

        A folder has files of one kind, which its first readable file determines.
        """
        folders: dict[Path, list[Path]] = {}
        for path in sorted(self.root.rglob("*_sub_*_trial*.mat")):
            folders.setdefault(path.parent, []).append(path)
        kinds: dict[str, list[tuple[str | Path, ...]]] = {"filtered": [], "raw": []}
        for paths in folders.values():
            matches = [(match, path) for path in paths if (match := _FILE_NAME.fullmatch(path.name))]
            kind = next(filter(None, (_published_kind(path) for _, path in matches)), "filtered")
            kinds[kind] += [(*match.groups(), path) for match, path in matches]
        return kinds

    @property
    def subjects(self) -> tuple[int, ...]:
        """Ids of the subjects with a recording, sorted."""
        return tuple(sorted(self._recordings))

    def source_files(self, subject: int) -> tuple[Path, ...]:
        """Return the subject's recordings (or the compact file), and the csv of the ratings if it exists."""
        (subject,) = self.select([subject])
        recordings = self._recordings[subject]
        files = (
            [self._compact_file]
            if self.file_format == "compact"
            else [recordings[trial] for trial in sorted(recordings)]
        )
        return (*files, *([self.label_file] if self.label_file.is_file() else []))

    def trials(self, subjects: Sequence[int] | None = None) -> Iterator[Trial]:
        """Yield the recordings of some subjects (default: all), by trial id; see `Reader.trials`."""
        for subject in self.select(subjects):
            for trial in sorted(self._recordings[subject]):
                recording = self._read(subject, trial)
                path = self._path(subject, trial)
                faults = unusable_channels(recording.required_recording, CHANNEL_NAMES)
                raise_problems(Problem(path, self._at(subject, trial, fault), subject) for fault in faults)
                yield recording

    def inspect(self, subject: int) -> SubjectReport:
        """Check all recordings of one subject; see `Reader.inspect`."""
        (subject,) = self.select([subject])
        recordings = self._recordings[subject]
        first = self._path(subject, min(recordings))
        folder = first if self.file_format == "compact" else first.parent
        problems, trials = [], []
        for trial in sorted(recordings):
            path = self._path(subject, trial)
            try:
                read = self._read(subject, trial)
            except InputError as error:
                problems.append(as_problem(error, subject, path, self.label_file))
                continue
            problems += [
                Problem(path, self._at(subject, trial, fault), subject)
                for fault in unusable_channels(read.required_recording, CHANNEL_NAMES)
            ]
            trials.append(describe_trial(read))
        missing = [
            f"{task}_{n}" for task in TASKS for n in range(1, N_REPETITIONS + 1) if trial_id(task, n) not in recordings
        ]
        if missing:
            problems.append(Problem(folder, f"subject {subject}: missing {', '.join(missing)}", subject, False))
        description = {
            "subject": subject,
            "file": str(folder),
            "sampling_rate_hz": float(FACTS["sampling_rate_hz"]),
            "n_channels": len(CHANNEL_NAMES),
            "trials": trials,
        }
        return SubjectReport(description, tuple(problems))

    # --- one recording

    def _path(self, subject: int, trial: int) -> Path:
        return self._compact_file if self.file_format == "compact" else self._recordings[subject][trial]

    def _at(self, subject: int, trial: int, fault: str) -> str:
        """Add the recording to a message, if the file name does not identify it."""
        return f"subject {subject}, trial {trial}: {fault}" if self.file_format == "compact" else fault

    def _read(self, subject: int, trial: int) -> Trial:
        task, repetition = TASKS[(trial - 1) // N_REPETITIONS], (trial - 1) % N_REPETITIONS + 1
        path = self._path(subject, trial)
        if self.file_format == "compact":
            arrays, row = self._compact, self._recordings[subject][trial]
            signal = self._compact_eeg[row] * float(arrays["scale_uV"])
            channel_names = tuple(map(str, arrays["ch_names"]))
            stress = float(arrays["rating"][row])
            expected = stress if self._labels is None else self._rating(subject, task, repetition)
            if stress != expected:
                raise InputError(
                    f"{path}: `rating` of subject {subject}, {task}_{repetition} is {stress:g} but {expected:g} in "
                    f"{self.label_file.name}; the files do not belong together; copy both again"
                )
        else:
            signal, channel_names = _published_signal(path, FACTS["variables"][self.file_format]), CHANNEL_NAMES
            stress = self._rating(subject, task, repetition)
        return Trial(
            dataset=self.name,
            subject=subject,
            trial=trial,
            stimulus=f"{task}_{repetition}",
            recording=Recording(
                signal=signal,
                channel_names=channel_names,
                units=("uV",) * len(channel_names),
                sampling_rate_hz=float(FACTS["sampling_rate_hz"]),
                source=path,
            ),
            eeg_channel_names=CHANNEL_NAMES,
            ratings={"task": float(TASKS.index(task)), **({} if task == RELAXATION else {"stress": stress})},
        )

    # --- ratings and the compact file

    def _rating(self, subject: int, task: str, repetition: int) -> float:
        if self._labels is None:
            raise InputError(
                f"{self.label_file}: missing file; expected the stress ratings; copy it to the folder of the recordings"
            )
        if (subject, task, repetition) not in self._labels:
            raise InputError(f"{self.label_file}: missing row for subject {subject}, task {task}, trial {repetition}")
        return self._labels[subject, task, repetition]

    @functools.cached_property
    def _labels(self) -> dict[tuple[int, str, int], float] | None:
        path = self.label_file
        if not path.is_file():
            return None
        columns = ["subject", "task", "trial", "rating"]
        message = f"{{path}}: expected a csv with the columns {', '.join(columns)} ({{reason}})"
        with reading_csv(path, message):
            table = read_text_table(path, encoding="utf-8-sig", usecols=columns)
        tasks = table["task"].astype(str).str.lower().map(FACTS["label_task_names"])
        low, high = FACTS["rating_range"]
        numbers = table[["subject", "trial", "rating"]].apply(pd.to_numeric, errors="coerce")
        ids = numbers[["subject", "trial"]]
        is_id = ((ids % 1 == 0) & (ids >= 1) & (ids < 2**31)).all(axis=1)
        good = tasks.notna() & is_id & numbers["rating"].between(low, high)
        if not good.all():
            line = int(np.flatnonzero(~good)[0])
            raise InputError(
                f"{path}: line {line + 2}: {', '.join(map(str, table.iloc[line]))}; expected whole numbers for "
                f"subject and trial, a task, and a rating from {low} to {high}"
            )
        keys = zip(numbers["subject"].astype(int), tasks, numbers["trial"].astype(int), strict=True)
        return dict(zip(keys, map(float, numbers["rating"]), strict=True))

    @functools.cached_property
    def _compact(self) -> dict[str, np.ndarray]:
        """Arrays of the compact file except the recordings, whose shape is checked."""
        path = self._compact_file
        arrays = dict(read_npz(path, _INDEX_ARRAYS, _DAMAGED_ARCHIVE))
        shapes = {name: array.shape for name, array in arrays.items()}
        shapes["eeg"] = npz_shape(path, "eeg", _DAMAGED_ARCHIVE)
        n_recordings = arrays["subject"].size
        expected = {
            "eeg": (n_recordings, len(CHANNEL_NAMES), FACTS["n_samples"]),
            "ch_names": (len(CHANNEL_NAMES),),
            "scale_uV": (),
            "fs": (),
            **dict.fromkeys(("task", "subject", "trial", "rating"), (n_recordings,)),
        }
        for name, shape in expected.items():
            if shapes[name] != shape:
                raise InputError(f"{path}: `{name}` has shape {shapes[name]}; expected {shape}")
        unknown = sorted(set(map(str, arrays["task"])) - set(TASKS))
        if not np.isin(arrays["trial"], np.arange(1, N_REPETITIONS + 1)).all():
            raise InputError(
                f"{path}: `trial` holds {sorted(set(arrays['trial'].tolist()))}; expected 1 to {N_REPETITIONS}"
            )
        if unknown or sorted(map(str, arrays["ch_names"])) != sorted(CHANNEL_NAMES):
            raise InputError(
                f"{path}: unknown tasks {unknown or 'none'}, channels {', '.join(map(str, arrays['ch_names']))}"
            )
        if float(arrays["fs"]) != FACTS["sampling_rate_hz"]:
            raise InputError(f"{path}: `fs` is {arrays['fs']}; expected {FACTS['sampling_rate_hz']}")
        return arrays

    @functools.cached_property
    def _compact_eeg(self) -> np.ndarray:
        """Recordings of the compact file, read at the first trial; as integers, a quarter of the memory of float64."""
        return read_npz(self._compact_file, ("eeg",), _DAMAGED_ARCHIVE)["eeg"]

    def __getstate__(self) -> dict[str, Any]:
        # Not pickled: another process reads the recordings itself.
        return {name: value for name, value in self.__dict__.items() if name != "_compact_eeg"}


_DAMAGED_ARCHIVE = "{path}: damaged or truncated archive ({reason}); copy it again"


def _is_compact(path: Path) -> bool:
    """Return whether an archive has the arrays; true if it cannot be opened, so that reading it raises the error."""
    try:
        with zipfile.ZipFile(path) as archive:
            return {f"{name}.npy" for name in ("eeg", *_INDEX_ARRAYS)} <= set(archive.namelist())
    except (OSError, zipfile.BadZipFile):
        return True


def _published_kind(path: Path) -> str | None:
    """Return whether a published file is filtered or raw, by its variable name; `None` if it cannot be read."""
    try:
        found = variable_names(path)
    except InputError:
        return None
    return next((kind for kind, variable in FACTS["variables"].items() if variable in found), None)


def _published_signal(path: Path, variable: str) -> np.ndarray:
    """Read `(channels, samples)` float64, in microvolts, from a published file."""
    variables = read_variables(path, (variable,))
    if variable not in variables:
        raise InputError(
            f"{path}: missing variable `{variable}`; expected a recording of SAM40 of the same kind as its folder"
        )
    array, shape = variables[variable], (len(CHANNEL_NAMES), FACTS["n_samples"])
    if array.dtype.kind not in "fiu" or array.shape != shape:
        raise InputError(f"{path}: `{variable}` is {array.dtype} {array.shape}; expected numbers of shape {shape}")
    return np.array(array, dtype=np.float64, order="C")
