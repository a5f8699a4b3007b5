"""Shared reader of SEED-IV, SEED-V and SEED-VII: sessions of clips, labels of clips, eye movements."""

from __future__ import annotations

import abc
import dataclasses
import datetime
import functools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

from typing_extensions import override

from keras_emotion.datasets.read_ahead import read_ahead
from keras_emotion.datasets.reader import (
    SYNTHETIC_MARKER,
    Gender,
    Problem,
    Reader,
    SubjectReport,
    as_problem,
    describe_trial,
    group_by_trial,
    problems_of_checks,
    raise_problems,
    read_marker,
    unusable_channels,
)
from keras_emotion.datasets.seed_common import CHANNEL_NAMES, channel_differences, differences
from keras_emotion.datasets.seed_sessions import SessionFile
from keras_emotion.datasets.spreadsheet import read_first_sheet
from keras_emotion.schema import ContinuousRating, EyeMovements, InputError, ReleasedFeatures, Trial

TARGET = "emotion"
_CHANNEL_FILE = re.compile(r"channel[-_ ]order\.xlsx", re.IGNORECASE)
_MOST_LINES = 3
"""Number of faults of an eye-movement file that are listed."""

_SEXES: Mapping[str, Gender] = {"F": "female", "M": "male"}


def _check_stated(path: Path, stated: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    """Refuse parameters of a synthetic copy whose type differs from that of the facts that they replace.

    Raises:
        InputError: a number of sessions, or lengths or spans of clips, that no copy has.
    """
    if not stated:
        return
    n_sessions = stated.get("n_sessions", facts["n_sessions"])
    if not (_is_number(n_sessions, int) and 1 <= n_sessions <= facts["n_sessions"]):
        raise InputError(f"{path}: `n_sessions` is {n_sessions!r:.60}; write the synthetic data again")
    for name in {"clip_seconds", "clip_spans"} & facts.keys() & stated.keys():
        of_sessions, expected = stated[name], facts[name]
        if name == "clip_seconds":
            of_sessions, expected = [of_sessions], [expected]
        fits = isinstance(of_sessions, list) and len(of_sessions) >= (n_sessions if name == "clip_spans" else 1)
        if not (fits and all(_fits(one, expected[0]) for one in of_sessions)):
            raise InputError(f"{path}: `{name}` is {stated[name]!r:.60}; write the synthetic data again")


def _fits(value: Any, example: Any) -> bool:
    """Whether a value is a number of 0 or more, or such lists of the same lengths, as the example is."""
    if isinstance(example, list):
        return isinstance(value, list) and len(value) == len(example) and all(map(_fits, value, example))
    return _is_number(value, int | float) and 0 <= value < math.inf


def _is_number(value: Any, kind: Any) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


@dataclasses.dataclass(frozen=True)
class Visit:
    """Session of a subject.

    Args:
        number: 1-based number of the session.
        path: the file with the signals or the features of its trials.
        date: date in the file name, if any.
    """

    number: int
    path: Path
    date: datetime.date | None = None


def parse_date(text: str) -> datetime.date | None:
    """Parse a date of eight digits; `None` if it is invalid.

    Example:
        >>> parse_date("20160518"), parse_date("20161335")
        (datetime.date(2016, 5, 18), None)
    """
    try:
        return datetime.datetime.strptime(text, "%Y%m%d").date()
    except ValueError:
        return None


def checked_rate(sampling_rate_hz: float | None) -> float | None:
    """Return a target sampling rate, or `None`.

    Raises:
        ValueError: the rate is not a number above 0.
    """
    if sampling_rate_hz is None:
        return None
    if not 0 < sampling_rate_hz < math.inf:
        raise ValueError(f"`sampling_rate_hz` is {sampling_rate_hz}; expected a number above 0, or None")
    return float(sampling_rate_hz)


class SEEDSeries(Reader):
    """Base class of the readers of SEED-IV, SEED-V and SEED-VII.

    A trial is one clip in one session. Trial ids restart in each session, in the order of presentation. Sessions have
    no clips in common: `Trial.stimulus` numbers the clips of all sessions (`"clip_01"`, ...), the same for all
    subjects. The only rating, `emotion`, is the index of the clip's class in `class_names["emotion"]`: a label of the
    stimulus, not a self-rating.

    `file_format` selects signals or released features; both include eye movements, if available. A missing or damaged
    eye-movement file does not block runs that do not read it.

    Attributes:
        facts: known properties of the dataset (`facts/<name>.json`).
        title: name of the dataset in messages.
        signal_formats: formats of signals, the preferred one first.
        example: example of a file name, for messages.
    """

    facts: ClassVar[Mapping[str, Any]]
    title: ClassVar[str]
    signal_formats: ClassVar[tuple[str, ...]]
    example: ClassVar[str]

    def __init__(self, root: str | Path, file_format: str | None = None):
        super().__init__(root)
        formats = self.file_formats()
        if file_format is not None and file_format not in formats:
            raise ValueError(f"`file_format` is {file_format!r}; expected one of {formats}")
        own = self.root.resolve().name
        kinds = [kind for kind, names in self.facts["folders"].items() if own in names]
        # Parent of the file folders: the root, or its parent if the root is such a folder itself.
        self._home = self.root.resolve().parent if kinds else self.root
        marker = self._home / SYNTHETIC_MARKER
        self._parameters = read_marker(marker, self.name)
        _check_stated(marker, self._parameters, self.facts)
        chosen = (file_format,) if file_format is not None else tuple(set(kinds) & set(formats)) or formats
        for candidate in chosen:
            folder = self._folder(candidate)
            if folder is not None and (visits := self._find_visits(folder, candidate)):
                break
        else:
            folders = " or ".join(self.facts["folders"][kind][0] for kind in chosen)
            raise InputError(
                f"{self.root}: no folder {folders} with files named like {self.example}; expected the folder that "
                f"{self.title} was unpacked into; check the path"
            )
        self.file_format, self._files_folder, self._visits = candidate, folder, visits

    @classmethod
    def file_formats(cls) -> tuple[str, ...]:
        """Return the supported formats, in the order of preference."""
        return (*cls.signal_formats, "features")

    # --- dataset-specific parts

    @abc.abstractmethod
    def _find_visits(self, folder: Path, file_format: str) -> dict[int, tuple[Visit, ...]]:
        """Return the sessions of each subject in a format, sorted; empty if the folder of the format has none."""

    @abc.abstractmethod
    def _open(self, subject: int, visit: Visit) -> SessionFile:
        """Open the file of a session.

        Raises:
            InputError: the file cannot be read.
        """

    def _eye(self, subject: int, visit: Visit, trial: int) -> EyeMovements | None:
        """Return the eye movements of a trial, or `None`."""
        return None

    def _eye_problems(self, subject: int, visit: Visit) -> list[Problem]:
        """Return problems of the eye movements of a session."""
        return []

    def _continuous(self, subject: int, visit: Visit, trial: int) -> dict[str, ContinuousRating]:
        """Return the continuous ratings of a trial."""
        return {}

    def _labels_of_table(self, path: Path) -> list[list[int]]:
        """Read the labels of each session from the table of labels.

        Raises:
            InputError: the table cannot be read.
        """
        return _labels_of_sheet(path, self.facts)

    @property
    def _label_path(self) -> Path:
        return self._home / self.facts["label_table"]

    def _files_of_visit(self, subject: int, visit: Visit) -> tuple[Path, ...]:
        """Return the files from which a session's trials are read, in addition to that of the session."""
        return ()

    # --- files

    def _folder(self, kind: str) -> Path | None:
        """Return the folder of a kind of files, or `None`."""
        return next((self._home / name for name in self.facts["folders"][kind] if (self._home / name).is_dir()), None)

    @property
    def subjects(self) -> tuple[int, ...]:
        """Numbers of the subjects, sorted."""
        return tuple(sorted(self._visits))

    @property
    def synthetic(self) -> bool:
        """Whether the files are synthetic data written by this package."""
        return (self._home / SYNTHETIC_MARKER).is_file()

    @functools.cached_property
    def label_table(self) -> Path | None:
        """Path of the table of labels, or `None`."""
        return self._label_path if self._label_path.is_file() else None

    @functools.cached_property
    def channel_file(self) -> Path | None:
        """Path of the list of channels, in the root or in a folder of files, or `None`."""
        folders = [self._home, *{visit.path.parent for visits in self._visits.values() for visit in visits}]
        folders += sorted({folder.parent for folder in folders[1:]} - {*folders, *self._home.parents})
        files = [path for folder in folders for path in sorted(folder.iterdir())]
        return next((path for path in files if _CHANNEL_FILE.fullmatch(path.name)), None)

    def source_files(self, subject: int) -> tuple[Path, ...]:
        """Return the subject's files in session order, and the tables of labels and channels."""
        (subject,) = self.select([subject])
        files = [
            path
            for visit in self._visits[subject]
            for path in (visit.path, *self._files_of_visit(subject, visit))
            if path.is_file()
        ]
        return tuple(dict.fromkeys([*files, *filter(None, (self.label_table, self.channel_file))]))

    def for_sources(self, sources: Sequence[str]) -> Self:
        """Return the reader of the signals or of the features; see `Reader.for_sources`.

        Raises:
            InputError: the files are missing, or both are requested.
        """
        needs_signals, needs_features = "recording" in sources, "released_features" in sources
        if needs_signals and needs_features:
            raise InputError(
                f"{self.root}: signals and released features cannot be read together; expected one of them; choose "
                "features of one kind"
            )
        is_signal = self.file_format in self.signal_formats
        if not (needs_signals and not is_signal) and not (needs_features and is_signal):
            return self
        errors = []
        for file_format in self.signal_formats if needs_signals else ("features",):
            try:
                return type(self)(self._home, file_format=file_format, **self.options)
            except InputError as error:
                errors.append(error)
        raise errors[0]

    @override
    def genders(self) -> Mapping[int, Gender]:
        known = dict(enumerate(self.facts["sex"], 1))
        return {subject: _SEXES[known[subject]] for subject in self.subjects if subject in known}

    # --- trials

    @property
    def _trial_numbers(self) -> range:
        return range(1, self.facts["n_trials"] + 1)

    def trials(self, subjects: Sequence[int] | None = None) -> Iterator[Trial]:
        """Yield the trials of some subjects (default: all), session by session; see `Reader.trials`."""
        chosen = self.select(subjects)
        raise_problems(self._shared_problems)
        for subject in chosen:
            raise_problems(self._problems_of_visits(subject))
            for visit in self._visits[subject]:
                file = self._open(subject, visit)
                raise_problems(_problems_in(visit, subject, file))
                yield from read_ahead(functools.partial(self._usable_trial, subject, visit, file), file.contents.trials)

    def _usable_trial(self, subject: int, visit: Visit, file: SessionFile, number: int) -> Trial:
        trial = self._trial(subject, visit, file, number)
        if trial.recording is not None:
            lines = group_by_trial({number: unusable_channels(trial.recording, CHANNEL_NAMES)})
            raise_problems([Problem(visit.path, line, subject) for line in lines])
        return trial

    def _trial(self, subject: int, visit: Visit, file: SessionFile, number: int) -> Trial:
        recording = file.recording(number)
        return Trial(
            dataset=self.name,
            subject=subject,
            session=visit.number,
            trial=number,
            presentation=number,
            stimulus=f"clip_{self._clip(visit, number):02d}",
            recording=recording,
            eeg_channel_names=() if recording is None else CHANNEL_NAMES,
            ratings=self._ratings(visit, number),
            split=self._split(number),
            released_features=file.released_features(number),
            eye_movements=self._eye(subject, visit, number),
            continuous_ratings=self._continuous(subject, visit, number),
        )

    def _split(self, number: int) -> str:
        """Return the fold of the usual cross-validation: consecutive clips of every session, equally many per fold."""
        length = self.facts.get("n_trials_per_fold")
        return f"fold_{(number - 1) // length + 1}" if length else ""

    def _clip(self, visit: Visit, number: int) -> int:
        """Return the number of a clip over all sessions."""
        return (visit.number - 1) * self.facts["n_trials"] + number

    def inspect(self, subject: int) -> SubjectReport:
        """Check all data of one subject; see `Reader.inspect`."""
        (subject,) = self.select([subject])
        visits = self._visits[subject]
        problems = [*self._shared_problems, *self._problems_of_visits(subject)]
        trials, rates, n_eye = [], [], 0
        for visit in visits:
            try:
                file = self._open(subject, visit)
            except InputError as error:
                problems.append(as_problem(error, subject, visit.path, *self._files_of_visit(subject, visit)))
                continue
            problems += _problems_in(visit, subject, file)
            faults: dict[int, Sequence[str]] = {}
            for number in file.contents.trials:
                try:
                    trial = self._trial(subject, visit, file, number)
                    if trial.recording is not None:
                        faults[number] = unusable_channels(trial.recording, CHANNEL_NAMES)
                        rates.append(trial.recording.sampling_rate_hz)
                    elif trial.released_features is not None:
                        _read_all(trial.released_features)
                    trials.append(describe_trial(trial))
                    n_eye += trial.eye_movements is not None
                except InputError as error:
                    own = self._files_of_visit(subject, visit)
                    problems.append(as_problem(error, subject, visit.path, *own))
            problems += [Problem(visit.path, line, subject) for line in group_by_trial(faults)]
            problems += self._length_problems(subject, visit, file)
            try:
                problems += self._eye_problems(subject, visit)
            except InputError as error:
                problems.append(as_problem(error, subject, visit.path))
        problems += self._missing_visits(subject)
        report: dict[str, Any] = {
            "subject": subject,
            "file": str(self._files_folder),
            "n_channels": len(CHANNEL_NAMES),
            "sessions": [
                {
                    "session": visit.number,
                    **({} if visit.date is None else {"date": str(visit.date)}),
                    "file": visit.path.name,
                }
                for visit in visits
            ],
            "trials": trials,
            "n_trials_with_eye_movements": n_eye,
            **({"sampling_rate_hz": rates[0]} if rates else {}),
        }
        return SubjectReport(report, tuple(problems))

    def describe(self) -> dict[str, Any]:
        """See `Reader.describe`; adds `notes`."""
        return super().describe() | {"notes": self.notes()}

    @override
    def notes(self, subjects: Sequence[int] | None = None) -> list[str]:
        self.select(subjects)
        if self.label_table is not None:
            return []
        return [f"{self._label_path.name} is missing: labels are taken from the known facts of {self.title}"]

    # --- problems

    def _problems_of_visits(self, subject: int) -> list[Problem]:
        """Return duplicate files of a session."""
        problems: list[Problem] = []
        seen: dict[int, Visit] = {}
        for visit in self._visits[subject]:
            first = seen.setdefault(visit.number, visit)
            if first is not visit:
                message = f"same subject and session as {first.path.name}; keep one of them"
                problems.append(Problem(visit.path, message, subject))
        return problems

    def _missing_visits(self, subject: int) -> list[Problem]:
        """Return missing sessions of a subject, and sessions on unexpected dates."""
        n_expected = self._parameters.get("n_sessions", self.facts["n_sessions"])
        visits = self._visits[subject]
        problems = []
        if missing := sorted(set(range(1, n_expected + 1)) - {visit.number for visit in visits}):
            message = f"subject {subject}: missing session {', '.join(map(str, missing))}; expected 1 to {n_expected}"
            problems.append(Problem(self._files_folder, message, subject, False))
        known = list(map(str, self.facts.get("session_dates", {}).get(str(subject), ())))
        for visit in visits:
            date = visit.date and f"{visit.date:%Y%m%d}"
            if known and date and known[visit.number - 1 : visit.number] != [date]:
                message = (
                    f"{self.title} has session {visit.number} of subject {subject} on {known[visit.number - 1]}; check "
                    "that the file is of this subject"
                )
                problems.append(Problem(visit.path, message, subject, False))
        return problems

    def _length_problems(self, subject: int, visit: Visit, file: SessionFile) -> list[Problem]:
        """Return signals whose duration differs from that of the authors' features."""
        if self.file_format not in self.signal_formats:
            return []
        try:
            features = self._features_beside
            if features is None:
                return []
            partner = next((one for one in features._visits.get(subject, ()) if one.number == visit.number), None)
            if partner is None:
                return []
            lengths = features._open(subject, partner)
        except InputError:
            # Reported when features are read.
            return []
        window = self.facts["window_seconds"]
        shared = sorted(set(file.contents.trials) & set(lengths.contents.trials))
        different = {
            trial: [f"{file.seconds(trial):g} s of signal, {lengths.seconds(trial):g} s of features"]
            for trial in shared
            if abs(file.seconds(trial) - lengths.seconds(trial)) >= 2 * window
        }
        message = "the files do not belong together, or one is truncated; copy both again"
        return [Problem(visit.path, f"{line}; {message}", subject, False) for line in group_by_trial(different)]

    @functools.cached_property
    def _features_beside(self) -> SEEDSeries | None:
        try:
            return type(self)(self._home, file_format="features")
        except InputError:
            return None

    # --- labels and other shared information

    def _ratings(self, visit: Visit, number: int) -> dict[str, float]:
        """Return the class of a trial; empty if labels are unusable, so that signals are still inspected."""
        if any(problem.is_blocking for problem in self._shared_problems):
            return {}
        return {TARGET: float(self._labels[visit.number - 1][number - 1])}

    @functools.cached_property
    def _labels(self) -> Sequence[Sequence[int]]:
        """Labels of each session.

        Raises:
            InputError: the table of the labels is unusable.
        """
        return self.facts["labels"] if self.label_table is None else self._labels_of_table(self.label_table)

    @functools.cached_property
    def _shared_problems(self) -> tuple[Problem, ...]:
        """Problems of the labels and the list of channels."""
        return problems_of_checks(
            (self.label_table, True, self._compare_labels),
            (self.channel_file, False, self._compare_channels),
        )

    def _compare_labels(self, table: Path) -> list[Problem]:
        problems = []
        for session, (own, known) in enumerate(zip(self._labels, self.facts["labels"], strict=True), 1):
            if found := differences(own, known):
                message = (
                    f"labels of session {session} differ from the known labels of {self.title}: {found}; check the "
                    "version of the dataset"
                )
                problems.append(Problem(table, message, is_blocking=False))
        return problems

    def _compare_channels(self, file: Path) -> list[Problem]:
        found = channel_differences(file)
        message = (
            f"{found}; expected the {len(CHANNEL_NAMES)} channels of SEED in order; arrays in another order are "
            "unsupported"
        )
        return [Problem(file, message)] if found else []


def eye_problems(subject: int, movements: Mapping[int, EyeMovements | None]) -> list[Problem]:
    """Read the eye movements of a session and report their problems, which block no run that does not read them.

    Args:
        subject: the subject.
        movements: eye movements by trial.
    """
    faults: dict[Path, dict[int, list[str]]] = {}
    for number, own in movements.items():
        if own is None:
            continue
        for read in (own.read_features, own.read_events):
            try:
                if read is not None:
                    read()
            except InputError as error:
                file = next((one for one in own.sources if str(error).startswith(f"{one}: ")), own.sources[0])
                faults.setdefault(file, {}).setdefault(number, []).append(str(error).removeprefix(f"{file}: "))
    problems = []
    for file, by_trial in faults.items():
        # A fault of the whole file is the same for all of its trials.
        lines = list(dict.fromkeys(message for messages in by_trial.values() for message in messages))
        more = [f"and {len(lines) - _MOST_LINES} more faults of its trials"] if len(lines) > _MOST_LINES else []
        problems += [Problem(file, line, subject, False) for line in [*lines[:_MOST_LINES], *more]]
    return problems


def _read_all(released: ReleasedFeatures) -> None:
    for name in released.names:
        released.read(name)


def _problems_in(visit: Visit, subject: int, file: SessionFile) -> list[Problem]:
    return [
        *(Problem(visit.path, fault, subject) for fault in file.contents.faults),
        *(Problem(visit.path, flaw, subject, False) for flaw in file.contents.flaws),
    ]


def _labels_of_sheet(path: Path, facts: Mapping[str, Any]) -> list[list[int]]:
    """Read labels from a workbook, one row per session: class names or numbers in the last cells of a row."""
    n_trials, classes = facts["n_trials"], facts["class_names"]
    codes = {name: code for code, name in enumerate(classes)} | {str(code): code for code in range(len(classes))}
    found = []
    for row in read_first_sheet(path):
        cells = [f"{cell:g}" if isinstance(cell, (int, float)) else str(cell or "").strip().lower() for cell in row]
        cells = [cell for cell in cells if cell][-n_trials:]
        if len(cells) == n_trials and all(cell in codes for cell in cells):
            found.append([codes[cell] for cell in cells])
    if len(found) != facts["n_sessions"]:
        raise InputError(
            f"{path}: {len(found)} rows of {n_trials} classes; expected {facts['n_sessions']}, one row per session, "
            f"of {', '.join(classes)}; copy it again"
        )
    return found
