"""Read and check the files of a dataset once, and cache their hashes by size and time."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from keras_emotion.datasets import Reader
from keras_emotion.datasets.reader import Problem, SubjectId
from keras_emotion.experiment.engine import in_workers
from keras_emotion.files import remove_leftovers, write_whole
from keras_emotion.json_files import json_bytes, read_json
from keras_emotion.pipelines import FeaturePart, content_hash, file_hash
from keras_emotion.progress import reported
from keras_emotion.systems.settings import Runtime

_FOLDER = "sources"
"""Folder of the feature store: for each subject, the files that were read without a problem.

If a note is damaged, or from a version without checksums, the files are read again.
"""


@dataclasses.dataclass(frozen=True)
class _Trials:
    """Durations and ratings of the trials of a subject.

    Args:
        place: the file that contains them, or the folder of the dataset if there are several.
        durations: seconds, and the numbers of the trials with that duration.
        ratings: names of all ratings of a trial; `None` if the reader does not describe trials or their ratings.
    """

    place: Path
    durations: tuple[tuple[float, tuple[int, ...]], ...]
    ratings: tuple[str, ...] | None

    @classmethod
    def of(cls, description: Mapping[str, Any], root: Path) -> Self:
        durations: dict[float, list[int]] = {}
        trials = description.get("trials", ())
        # A reader not tested with `check_reader` may describe less.
        ratings = None
        if trials and all("ratings" in trial for trial in trials):
            ratings = tuple(dict.fromkeys(name for trial in trials for name in trial["ratings"]))
        for trial in trials:
            if {"trial", "duration_seconds"} <= trial.keys():
                durations.setdefault(float(trial["duration_seconds"]), []).append(int(trial["trial"]))
        place = Path(description.get("file", root))
        by_duration = tuple((seconds, tuple(dict.fromkeys(own))) for seconds, own in durations.items())
        return cls(place, by_duration, ratings)

    def problems(self, parts: Iterable[FeaturePart], subject: SubjectId) -> Iterator[Problem]:
        """Yield the trials that a part refuses because of their length."""
        for seconds, numbers in self.durations:
            for fault in filter(None, dict.fromkeys(part.fault_of_duration(seconds) for part in parts)):
                listed = ", ".join(map(str, numbers))
                yield Problem(self.place, f"subject {subject}, trial {listed}: {fault}", subject)


@dataclasses.dataclass(frozen=True)
class SourceFiles:
    """Files of one subject that were read without a blocking problem.

    Args:
        hashes: hash of the content of each file, by its absolute path.
        trials: the trials.
    """

    hashes: Mapping[str, str]
    trials: _Trials

    def fingerprint(self, files: Iterable[Path]) -> str:
        """Return the `content_hash` of some of these files, without opening them."""
        return content_hash(files, lambda file: self.hashes[str(file.absolute())])


@dataclasses.dataclass(frozen=True)
class _Read:
    """Result of a worker for a subject: stamp and hash of each file, the trials, and the blocking problems."""

    subject: SubjectId
    files: Mapping[str, tuple[list[int], str]]
    trials: _Trials
    problems: tuple[Problem, ...]


def read_source_files(
    dataset: Reader,
    subjects: Sequence[SubjectId],
    sources: Sequence[str],
    runtime: Runtime,
    verify: bool = False,
    parts: Iterable[FeaturePart] = (),
) -> dict[SubjectId, SourceFiles]:
    """Read the files of some subjects in workers, except those with unchanged sizes and times.

    Args:
        dataset: the reader.
        subjects: ids of the subjects.
        sources: sources of their trials that are read, see `keras_emotion.pipelines.FeaturePart.sources`.
        runtime: engine, workers and feature store, which caches hashes, sizes and times.
        verify: read all files, regardless of sizes and times.
        parts: features for which trials must be long enough.

    Raises:
        InputError: files are missing or broken, or trials too short; the message lists all of them.
    """
    parts = tuple(parts)
    store = runtime.feature_store.absolute() / _FOLDER
    files: dict[SubjectId, SourceFiles] = {}
    remove_leftovers(store.parent, store)

    def problems(chosen: Sequence[SubjectId]) -> Iterator[Problem]:
        notes = {subject: store / f"{_note_name(dataset, subject, sources)}.json" for subject in chosen}
        for subject, note in notes.items():
            known = None if verify else _known(note, dataset.files_of(subject, sources))
            if known is not None:
                files[subject] = known
        tasks = [(_read, (dataset, subject, tuple(sources))) for subject in chosen if subject not in files]
        found_now = reported(in_workers(runtime, tasks, trains=False), "files of subjects", len(tasks))
        read = {one.subject: one for one in found_now}
        for subject in chosen:
            if subject not in read:
                yield from files[subject].trials.problems(parts, subject)
                continue
            found = read[subject]
            yield from found.problems
            yield from found.trials.problems(parts, subject)
            if not found.problems:
                hashes = {path: own for path, (_, own) in found.files.items()}
                files[subject] = SourceFiles(hashes, found.trials)
                _keep(notes[subject], found)

    dataset.check(subjects, problems)
    return files


def _read(dataset: Reader, subject: SubjectId, sources: tuple[str, ...]) -> _Read:
    paths = [path.absolute() for path in dataset.files_of(subject, sources)]
    # Before the content is read: a file that changes meanwhile differs from its stamp the next time.
    stamps = {path: _stamp(path) for path in paths}
    report = dataset.inspect(subject)
    trials = _Trials.of(report.description, dataset.root)
    problems = tuple(problem for problem in report.problems if problem.is_blocking)
    if problems:
        return _Read(subject, {}, trials, problems)
    missing = tuple(Problem(path, "no such file", subject) for path, stamp in stamps.items() if stamp is None)
    files = {} if missing else {str(path): (stamp, file_hash(path)) for path, stamp in stamps.items()}
    return _Read(subject, files, trials, missing)


def _stamp(path: Path) -> list[int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return [status.st_size, status.st_mtime_ns]


def _note_name(dataset: Reader, subject: SubjectId, sources: Sequence[str]) -> str:
    read_as: dict[str, Any] = {
        "reader": type(dataset).__name__,
        "code_version": dataset.code_version,
        "root": str(dataset.root.absolute()),
        "file_format": getattr(dataset, "file_format", None),
        "options": dataset.options,
        "subject": repr(subject),
        "sources": sorted(sources),
    }
    return hashlib.blake2b(json.dumps(read_as, sort_keys=True).encode(), digest_size=16).hexdigest()


def _known(note: Path, paths: Sequence[Path]) -> SourceFiles | None:
    """Return cached results for these files; `None` if a size or time has changed, or a file was added or removed."""
    try:
        record, has_checksum = read_json(note)
        if not has_checksum:
            return None
        files = record["files"]
        if {str(path.absolute()): _stamp(path) for path in paths} != {
            path: stamp for path, (stamp, _) in files.items()
        }:
            return None
        durations = tuple((float(seconds), tuple(numbers)) for seconds, numbers in record["durations"])
        ratings = record["ratings"]
        trials = _Trials(Path(record["place"]), durations, None if ratings is None else tuple(map(str, ratings)))
        return SourceFiles({path: str(own) for path, (_, own) in files.items()}, trials)
    except (OSError, ValueError, KeyError):
        # Earlier versions did not store durations or ratings.
        return None


def _keep(note: Path, read: _Read) -> None:
    # A store without write permission costs time at the next start; writing features there is refused.
    with contextlib.suppress(OSError):
        note.parent.mkdir(parents=True, exist_ok=True)
        own = read.trials
        trials = {"place": str(own.place), "durations": own.durations, "ratings": own.ratings}
        record = {"subject": str(read.subject), "files": read.files, **trials}
        write_whole(note, json_bytes(record))
