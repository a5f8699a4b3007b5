"""Contract checks of readers (`keras_emotion.datasets.reader.Reader`)."""

from __future__ import annotations

import collections
import dataclasses
import functools
import gc
import hashlib
import itertools
import json
import os
import pickle
import shutil
import tempfile
import weakref
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_emotion.datasets.reader import SYNTHETIC_MARKER, Reader, SubjectId, SubjectReport, describe_trial
from keras_emotion.schema import TRIAL_KEY, EyeMovements, InputError, ReleasedFeatures, Trial
from keras_emotion.testing.named_checks import input_error, listed, require, run_checks
from keras_emotion.testing.observation import opened_files, peak_memory
from keras_emotion.testing.reader_trials import TRIAL_CHECKS

UNITS = ("uV", "ohm", "kOhm", "nS", "uS", "degC", "a.u.")
"""Units that the package supports; scalp channels have the first."""

_CUTS = (0.0, 0.02, 0.5, 0.95)
"""Shares of a damaged source file that are kept."""

_MOST_DAMAGED_FILES = 2
"""Number of files with the same suffix that are damaged."""


@dataclasses.dataclass(frozen=True)
class TrialRecord:
    """Trial that was read, without the samples of its signal.

    Args:
        trial: the trial; its recording has no samples.
        description: result of `describe_trial`.
        fingerprint: hash of the whole trial, signal included.
        signal_bytes: size of its signal.
    """

    trial: Trial
    description: Mapping[str, Any]
    fingerprint: str
    signal_bytes: int

    @classmethod
    def of(cls, trial: Trial, description: Mapping[str, Any]) -> TrialRecord:
        """Return the record of a trial."""
        recording, light, n_bytes = trial.recording, trial, 0
        if recording is not None:
            empty = dataclasses.replace(recording, signal=recording.signal[:, :0].copy())
            light, n_bytes = dataclasses.replace(trial, recording=empty), recording.signal.nbytes
        return cls(light, description, _fingerprint(trial), n_bytes)

    @property
    def key(self) -> tuple[Any, ...]:
        """Dataset, subject, session and trial of the record."""
        return tuple(getattr(self.trial, name) for name in TRIAL_KEY)


class ReaderCase:
    """Reader to check, and the trials read with it, once for all checks.

    Args:
        make_reader: creates the reader.
        expected_subjects: subjects that it must have, if known.
        subjects: subjects whose trials are read; all by default.
        units: further accepted units of channels.
    """

    def __init__(
        self,
        make_reader: Callable[[], Reader],
        expected_subjects: Sequence[SubjectId] | None = None,
        subjects: Sequence[SubjectId] | None = None,
        units: Collection[str] = (),
    ):
        self.make_reader = make_reader
        self.expected_subjects = expected_subjects
        self.units = {*UNITS, *units}
        self.reader = make_reader()
        self._chosen = subjects
        self._faults: dict[str, Exception] = {}
        self._files: dict[tuple[str, SubjectId], frozenset[Path]] = {}

    @functools.cached_property
    def subjects(self) -> tuple[SubjectId, ...]:
        """Subjects whose trials are read."""
        return tuple(self.reader.subjects if self._chosen is None else self._chosen)

    @functools.cached_property
    def records(self) -> list[TrialRecord]:
        """Every trial in the reader's order, each checked by all of `TRIAL_CHECKS`."""
        records = []
        for trial in self.reader.trials(self.subjects):
            for name, check in TRIAL_CHECKS.items():
                try:
                    check(self, trial)
                except Exception as error:
                    self._faults.setdefault(name, error)
            # Without a rate there is no duration to describe.
            records.append(TrialRecord.of(trial, {} if "rate" in self._faults else describe_trial(trial)))
        require(records, f"no trials of subjects {listed(self.subjects)}")
        return records

    @functools.cached_property
    def reports(self) -> dict[SubjectId, SubjectReport]:
        """Result of `inspect` for each subject."""
        return {subject: self.reader.inspect(subject) for subject in self.subjects}

    @functools.cached_property
    def description(self) -> dict[str, Any] | None:
        """Result of `describe`, unless only some subjects are read."""
        return self.reader.describe() if self._chosen is None else None

    def files(self, kind: str, subject: SubjectId) -> frozenset[Path]:
        """Return the files of a subject that a method of the reader lists (`source_files`, ...); called only once."""
        key = kind, subject
        if key not in self._files:
            self._files[key] = frozenset(getattr(self.reader, kind)(subject))
        return self._files[key]

    @property
    def signal_files(self) -> set[Path]:
        """Files that hold signals, features, images, videos or stimuli of the trials."""
        files: set[Path] = set()
        for trial in (record.trial for record in self.records):
            if trial.recording is not None and (source := trial.recording.source) is not None:
                # A recording may be a folder.
                files |= {path for path in self.files("source_files", trial.subject) if path.is_relative_to(source)}
            if trial.images is not None:
                files.update(trial.images.files)
            if trial.released_features is not None:
                files.add(trial.released_features.source)
            clips = (clip.path for clip in (trial.media, trial.voice) if clip is not None)
            files.update(path for path in (trial.video, *clips) if path is not None)
        return files

    def of_subject(self, subject: SubjectId) -> list[TrialRecord]:
        """Return the records of a subject."""
        return [record for record in self.records if record.trial.subject == subject]

    def raise_fault(self, name: str) -> None:
        """Raise the first fault that a check of `TRIAL_CHECKS` found."""
        if self.records and name in self._faults:
            raise self._faults[name]

    def remake(self, root: Path | None = None) -> Reader:
        """Create the reader from its root, format and options, as from a run folder."""
        return self.reader.reopened(root)


def check_reader(
    make_reader: Callable[[], Reader] | Reader,
    expected_subjects: Sequence[SubjectId] | None = None,
    *,
    subjects: Sequence[SubjectId] | None = None,
    units: Collection[str] = (),
    skip: Collection[str] = (),
) -> None:
    """Check a reader against the contract of `keras_emotion.datasets.Reader`, on a complete copy of its data.

    `READER_CHECKS` lists the checks. All trials are read about six times, and `"damaged_files"` copies the root folder
    to a temporary one and truncates files there: for large data, pass a few `subjects`, and skip that check.

    Args:
        make_reader: creates the reader, without arguments; or a reader, from whose root, format and options others are
            created.
        expected_subjects: subjects that it must have, in their order, if known.
        subjects: subjects whose trials are read; all by default.
        units: accepted units of channels in addition to `UNITS`.
        skip: names of checks to skip.

    Raises:
        AssertionError: a check failed; the message names the check and the reason.

    Example:
        >>> import tempfile
        >>> from keras_emotion.datasets import Recordings
        >>> from keras_emotion.synthetic import write_recordings
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     root = write_recordings(folder, n_subjects=2, n_trials=2, trial_seconds=4)
        ...     check_reader(lambda: Recordings(root), expected_subjects=("s01", "s02"))
    """
    make: Callable[[], Reader] = make_reader.reopened if isinstance(make_reader, Reader) else make_reader
    case = ReaderCase(make, expected_subjects, subjects, units)
    run_checks(f"{type(case.reader).__name__}({case.reader.root})", READER_CHECKS, case, skip)


# --- shared functions


def _fingerprint(value: Any) -> str:
    """Hash a value: arrays by type, shape and content, dataclasses and mappings by their fields."""
    whole = hashlib.blake2b(digest_size=16)

    def add(part: Any) -> None:
        if isinstance(part, np.ndarray):
            whole.update(f"{part.dtype} {part.shape}".encode() + part.tobytes())
        elif isinstance(part, ReleasedFeatures):
            fields = {field.name: getattr(part, field.name) for field in dataclasses.fields(part)}
            arrays = {name: part.read(name) for name in part.names}
            add(fields | {"smoothed": sorted(part.smoothed), "read": arrays})
        elif isinstance(part, EyeMovements):
            fields = {field.name: getattr(part, field.name) for field in dataclasses.fields(part)}
            read = {name: _eye_values(fields[name]) for name in ("read_features", "read_events")}
            add(fields | read)
        elif dataclasses.is_dataclass(part):
            add({field.name: getattr(part, field.name) for field in dataclasses.fields(part)})
        elif isinstance(part, Mapping):
            for name, inner in part.items():
                whole.update(f"{name}:".encode())
                add(inner)
        elif isinstance(part, (tuple, list)):
            whole.update(f"{len(part)} of".encode())
            for inner in part:
                add(inner)
        else:
            whole.update(f"{part!r};".encode())

    add(value)
    return whole.hexdigest()


def _eye_values(read: Callable[[], Any] | None) -> Any:
    """Return the eye movements; the error message if they are unreadable, which does not prevent reading trials."""
    try:
        return None if read is None else read()
    except InputError as error:
        return str(error)


def _fingerprints(trials: Iterable[Trial]) -> list[str]:
    return [_fingerprint(trial) for trial in trials]


def _require_same(case: ReaderCase, records: Sequence[TrialRecord], found: Sequence[str], what: str) -> None:
    """Raise if trials that were read again differ from `records`."""
    expected = [record.fingerprint for record in records]
    require(len(found) == len(expected), f"{what} returns {len(found)} trials; expected {len(expected)}")
    different = [record.key for record, one in zip(records, found, strict=True) if record.fingerprint != one]
    order = " in another order" if different and sorted(found) == sorted(expected) else ""
    require(not different, f"{what} returns other trials{order}, first at {TRIAL_KEY} = {different[:1]}")


def _real(paths: Iterable[Path]) -> set[str]:
    return {os.path.realpath(path) for path in paths}


# --- subjects and trials


def check_subjects(case: ReaderCase) -> None:
    """Check that `subjects` is a sorted tuple of unique ids of one type, equal to the expected one."""
    subjects = case.reader.subjects
    require(isinstance(subjects, tuple) and subjects, f"`subjects` is {subjects!r}; expected a tuple of ids")
    types = {type(subject) for subject in subjects}
    require(
        types in ({int}, {str}), f"`subjects` are of {listed(kind.__name__ for kind in types)}; expected int or str"
    )
    require(len(set(subjects)) == len(subjects), f"`subjects` are not unique: {subjects}")
    require(list(subjects) == sorted(subjects), f"`subjects` are not sorted: {subjects}")
    if case.expected_subjects is not None:
        expected = tuple(case.expected_subjects)
        require(subjects == expected, f"`subjects` are {subjects}; expected {expected}")


def check_order(case: ReaderCase) -> None:
    """Check that trials come subject by subject, as requested, each in the order of trial ids."""
    found = [subject for subject, _ in itertools.groupby(record.trial.subject for record in case.records)]
    require(tuple(found) == case.subjects, f"trials come from subjects {found}; expected {list(case.subjects)}")
    for subject in case.subjects:
        trials = [record.trial for record in case.of_subject(subject)]
        numbers = [trial.trial for trial in trials]
        # Trials may be renumbered in each session.
        of_sessions = [(trial.session, trial.trial) for trial in trials]
        is_ordered = numbers == sorted(numbers) or of_sessions == sorted(of_sessions)
        require(is_ordered, f"trials of subject {subject} come in the order {listed(numbers, 20)}")
    asked = case.subjects[:2][::-1]
    found = [subject for subject, _ in itertools.groupby(trial.subject for trial in case.reader.trials(asked))]
    require(tuple(found) == asked, f"asked for subjects {asked}, trials come from {tuple(found)}")


def check_trial_key(case: ReaderCase) -> None:
    """Check that no two trials have the same dataset, subject, session and trial."""
    keys = collections.Counter(record.key for record in case.records)
    twice = [key for key, n_trials in keys.items() if n_trials > 1]
    require(not twice, f"more than one trial has {TRIAL_KEY} = {listed(twice)}")


def check_repeatable(case: ReaderCase) -> None:
    """Check that another reader of the same data returns the same trials in the same order."""
    again = _fingerprints(case.make_reader().trials(case.subjects))
    _require_same(case, case.records, again, "a second reading")


def check_subset(case: ReaderCase) -> None:
    """Check that a subject's trials do not depend on the other requested subjects."""
    for subject in case.subjects:
        alone = _fingerprints(case.reader.trials([subject]))
        _require_same(case, case.of_subject(subject), alone, f"reading subject {subject} alone")


def check_one_at_a_time(case: ReaderCase) -> None:
    """Check that `trials` is an iterator that keeps no previous trial in memory."""
    trials = case.reader.trials(case.subjects)
    require(iter(trials) is trials, f"`trials` returns a {type(trials).__name__}; expected an iterator")
    previous = None
    for trial in trials:
        if previous is not None and previous() is not None:
            gc.collect()
            require(previous() is None, "`trials` keeps a trial in memory after the next one was read")
        previous = weakref.ref(trial)


# --- construction, pickling, files


def check_lazy(case: ReaderCase) -> None:
    """Check that constructing a reader and listing its subjects reads no signals; reading headers is allowed."""
    smallest = min(record.signal_bytes for record in case.records)
    with opened_files() as opened, peak_memory() as peak:
        _ = case.make_reader().subjects
    touched = sorted(opened & _real(case.signal_files))
    # Reading headers takes less memory than any signal.
    is_lazy = not touched or peak[0] < smallest
    require(is_lazy, f"constructing the reader and listing its subjects reads the signals of {listed(touched, 3)}")


def check_pickle(case: ReaderCase) -> None:
    """Check that a reader can be pickled, also after reading trials, without signals, and then works as before."""
    smallest = min(record.signal_bytes for record in case.records)
    before, pickled = len(pickle.dumps(case.make_reader())), pickle.dumps(case.reader)
    is_small = not smallest or len(pickled) - before < smallest
    require(is_small, f"pickled, it has {len(pickled)} bytes after reading trials, {before} before: it keeps signals")
    loaded = pickle.loads(pickled)
    require(loaded.subjects == case.reader.subjects, f"after pickling, the subjects are {loaded.subjects}")
    _require_same(case, case.records, _fingerprints(loaded.trials(case.subjects)), "a pickled reader")


def check_options(case: ReaderCase) -> None:
    """Check that `options` are JSON, and that root, format and options recreate the reader."""
    options = case.reader.options
    require(json.loads(json.dumps(options, allow_nan=False)) == options, f"`options` is not JSON: {options}")
    subject = case.subjects[0]
    again = _fingerprints(case.remake().trials([subject]))
    _require_same(case, case.of_subject(subject), again, f"a reader made with `options` {options}")


def check_missing_root(case: ReaderCase) -> None:
    """Check that a missing root raises an `InputError` that names it."""
    root = case.reader.root / "no such folder"
    error = input_error(lambda: case.remake(root), f"the root {root} is missing")
    require(str(root) in error, f"the message does not name {root}: {error}")


def check_source_files(case: ReaderCase) -> None:
    """Check that `source_files` exist, are constant, and include every file from which trials are read."""
    reader, other = case.make_reader(), case.make_reader()
    for subject in case.subjects:
        files = reader.source_files(subject)
        require(
            isinstance(files, tuple) and files, f"`source_files({subject!r})` is {files!r}; expected a tuple of files"
        )
        missing = [path for path in files if not path.is_file()]
        require(not missing, f"`source_files({subject!r})` names missing files {listed(missing)}")
        require(len(set(files)) == len(files), f"`source_files({subject!r})` names a file twice")
        same = files == reader.source_files(subject) == other.source_files(subject)
        require(same, f"`source_files({subject!r})` differs when called again")
    subject = case.subjects[0]
    with opened_files() as opened:
        for _ in reader.trials([subject]):
            pass
    known = _real(
        [*reader.files_of(subject, ("video", "media", "voice", "eye_movements")), reader.root / SYNTHETIC_MARKER]
    )
    # Files may be links, or reference other files.
    folders = {Path(os.path.realpath(reader.root)), *(Path(path).parent for path in known)}
    # Locks and other temporary files no longer exist.
    others = [path for path in sorted(opened - known) if folders & {*Path(path).parents} and Path(path).is_file()]
    require(not others, f"trials of subject {subject} are read from {listed(others)}, not in `source_files`")


# --- descriptions and errors


def check_description(case: ReaderCase) -> None:
    """Check that `inspect` and `describe` are JSON and agree with the trials."""
    for subject, report in case.reports.items():
        description = json.loads(json.dumps(dict(report.description), allow_nan=False))
        require(description["subject"] == subject, f"inspect({subject!r}) describes subject {description['subject']!r}")
        require(isinstance(description.get("file"), str), f"inspect({subject!r}) names no `file`")
        _compare_descriptions(f"subject {subject}", description["trials"], case.of_subject(subject))
        recordings = [record.trial.recording for record in case.of_subject(subject)]
        recordings = [recording for recording in recordings if recording is not None]
        for field, values in (
            ("sampling_rate_hz", {recording.sampling_rate_hz for recording in recordings}),
            ("n_channels", {len(recording.channel_names) for recording in recordings}),
        ):
            found = description.get(field)
            require(not values or found in values, f"inspect({subject!r}): `{field}` is {found}; trials have {values}")
    if case.description is None:
        return
    whole = json.loads(json.dumps(case.description, allow_nan=False))
    expected = {"dataset": case.reader.name, "root": str(case.reader.root), "synthetic": case.reader.synthetic}
    for field, value in expected.items():
        require(whole[field] == value, f"describe(): `{field}` is {whole[field]!r}; expected {value!r}")
    subjects = tuple(subject["subject"] for subject in whole["subjects"])
    require(subjects == case.subjects, f"describe() has subjects {subjects}; expected {case.subjects}")


def _compare_descriptions(where: str, described: Sequence[Mapping[str, Any]], records: Sequence[TrialRecord]) -> None:
    """Raise if the trials in a description differ from those that were read."""
    require(len(described) == len(records), f"{where}: {len(described)} trials described, {len(records)} read")
    for one, record in zip(described, records, strict=True):
        for field, value in json.loads(json.dumps(record.description)).items():
            at = f"{where}, trial {record.trial.trial}"
            require(
                one.get(field) == value, f"{at}: `{field}` is described as {one.get(field)!r} but read as {value!r}"
            )


def check_problems(case: ReaderCase) -> None:
    """Check that `check` passes on a complete copy, and no problem is reported."""
    case.reader.check(case.subjects)
    problems = [str(problem) for report in case.reports.values() for problem in report.problems]
    problems += case.description["problems"] if case.description is not None else []
    require(not problems, f"{len(problems)} problems on a complete copy: {listed(problems)}")


def check_unknown_subject(case: ReaderCase) -> None:
    """Check that an unknown subject raises an `InputError` that names it and the existing ones."""
    reader, subjects = case.reader, case.reader.subjects
    unknown = max(subjects) + 1 if isinstance(subjects[0], int) else "no such subject"
    calls = {
        "trials": lambda: next(iter(reader.trials([unknown]))),
        "check": lambda: reader.check([unknown]),
        "inspect": lambda: reader.inspect(unknown),
        "source_files": lambda: reader.source_files(unknown),
        "video_files": lambda: reader.video_files(unknown),
        "media_files": lambda: reader.media_files(unknown),
        "eye_files": lambda: reader.eye_files(unknown),
    }
    for name, call in calls.items():
        error = input_error(call, f"`{name}` is called with subject {unknown!r}")
        unnamed = [subject for subject in (unknown, *subjects) if str(subject) not in error]
        require(not unnamed, f"`{name}`: the message for an unknown subject does not name {listed(unnamed)}: {error}")


def check_damaged_files(case: ReaderCase) -> None:
    """Check that a truncated source file leads to an `InputError` or a problem, and to no other exception."""
    subject, root = case.subjects[0], case.reader.root
    parts = [part for record in case.records for part in (record.trial.recording, record.trial.released_features)]
    signal_files = {part.source for part in parts if part is not None}
    with tempfile.TemporaryDirectory() as folder:
        # The name of the root may matter to the reader.
        copy = Path(shutil.copytree(root, Path(folder) / root.resolve().name))
        files = (*case.reader.source_files(subject), *case.reader.eye_files(subject))
        for path in _files_to_damage(files, root):
            target = copy / path.relative_to(root)
            content = target.read_bytes()
            for share in _CUTS:
                what = f"{path} truncated to {share:.0%} of its bytes"
                target.write_bytes(content[: int(share * len(content))])
                try:
                    is_found = _is_found(lambda: case.remake(copy), subject)
                except AssertionError as error:
                    raise AssertionError(f"{what}: {error}") from error
                except Exception as error:
                    raise AssertionError(f"{what}: raised {type(error).__name__}: {error}") from error
                finally:
                    target.write_bytes(content)
                # Some of the last bytes of a recording, and some rows of a table, belong to no trial.
                require(is_found or path not in signal_files or share > 0.5, f"{what}: no error and no problem")


def _files_to_damage(files: Sequence[Path], root: Path) -> list[Path]:
    """Return the first files of each suffix in the root."""
    by_suffix: dict[str, list[Path]] = {}
    for path in files:
        if path.is_relative_to(root):
            by_suffix.setdefault(path.suffix, []).append(path)
    return [path for paths in by_suffix.values() for path in paths[:_MOST_DAMAGED_FILES]]


def _is_found(make: Callable[[], Reader], subject: SubjectId) -> bool:
    """Return whether a reader reports damaged data; raise if its `check` passes unreadable data."""
    failed = []

    def fails(name: str, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except InputError:
            failed.append(name)

    reader = fails("make", make)
    if reader is None:
        return True
    report = fails("inspect", lambda: reader.inspect(subject))
    fails("trials", lambda: _fingerprints(reader.trials([subject])))
    fails("check", lambda: reader.check([subject]))
    require("trials" not in failed or "check" in failed, "`trials` raises an InputError but `check` does not")
    return bool(failed or report.problems or reader.missing_files())


READER_CHECKS: Mapping[str, Callable[[ReaderCase], None]] = {
    "subjects": check_subjects,
    **{name: functools.partial(lambda case, name: case.raise_fault(name), name=name) for name in TRIAL_CHECKS},
    "trial_key": check_trial_key,
    "order": check_order,
    "repeatable": check_repeatable,
    "subset": check_subset,
    "one_at_a_time": check_one_at_a_time,
    "lazy": check_lazy,
    "pickle": check_pickle,
    "options": check_options,
    "missing_root": check_missing_root,
    "source_files": check_source_files,
    "description": check_description,
    "problems": check_problems,
    "unknown_subject": check_unknown_subject,
    "damaged_files": check_damaged_files,
}
"""Checks of `check_reader` by name, in their order."""
