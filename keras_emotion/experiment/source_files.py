"""Read the files of a data set once: what is wrong with them, and a hash of each, kept beside its size and time."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from keras_emotion.datasets import Reader
from keras_emotion.datasets.reader import Problem, SubjectId
from keras_emotion.experiment.engine import in_workers
from keras_emotion.files import remove_leftovers, write_whole
from keras_emotion.json_files import json_bytes, read_json
from keras_emotion.pipelines import content_hash, file_hash
from keras_emotion.systems.settings import Runtime

_FOLDER = "sources"
"""Folder of the feature store: for each subject, the files that were read without a problem.

A note that is damaged, or of a version that kept no checksum, is as good as none: the files are read.
"""


@dataclasses.dataclass(frozen=True)
class SourceFiles:
    """The files of one subject that were read, none of which has a blocking problem.

    Args:
        hashes: hash of the content of each file, by its absolute path.
    """

    hashes: Mapping[str, str]

    def fingerprint(self, files: Iterable[Path]) -> str:
        """`content_hash` of some of these files, none of which is opened."""
        return content_hash(files, lambda file: self.hashes[str(file.absolute())])


@dataclasses.dataclass(frozen=True)
class _Read:
    """What a worker found in the files of a subject: the stamp and hash of each, and the blocking problems."""

    subject: SubjectId
    files: Mapping[str, tuple[list[int], str]]
    problems: tuple[Problem, ...]


def read_source_files(
    dataset: Reader, subjects: Sequence[SubjectId], sources: Sequence[str], runtime: Runtime, verify: bool = False
) -> dict[SubjectId, SourceFiles]:
    """Read the files of some subjects in workers, but for those whose sizes and times are as they were when last read.

    Args:
        dataset: the reader.
        subjects: ids of the subjects.
        sources: what is read of their trials, see `keras_emotion.pipelines.FeaturePart.sources`.
        runtime: engine, workers and feature store, in which hashes, sizes and times are kept.
        verify: read all files, whatever their sizes and times.

    Raises:
        InputError: files are missing or broken; all of them are listed.
    """
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
        read = {one.subject: one for one in in_workers(runtime, tasks, trains=False)}
        for subject in chosen:
            if subject not in read:
                continue
            yield from read[subject].problems
            if not read[subject].problems:
                files[subject] = SourceFiles({path: own for path, (_, own) in read[subject].files.items()})
                _keep(notes[subject], read[subject])

    dataset.check(subjects, problems)
    return files


def _read(dataset: Reader, subject: SubjectId, sources: tuple[str, ...]) -> _Read:
    paths = [path.absolute() for path in dataset.files_of(subject, sources)]
    # Before the content is read: a file that changes meanwhile differs from its stamp the next time.
    stamps = {path: _stamp(path) for path in paths}
    problems = tuple(problem for problem in dataset.inspect(subject).problems if problem.is_blocking)
    if problems:
        return _Read(subject, {}, problems)
    missing = tuple(Problem(path, "no such file", subject) for path, stamp in stamps.items() if stamp is None)
    files = {} if missing else {str(path): (stamp, file_hash(path)) for path, stamp in stamps.items()}
    return _Read(subject, files, missing)


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
    """What was read of these files before; `None` where a size or a time is another, or a file was added or removed."""
    try:
        record, has_checksum = read_json(note)
        if not has_checksum:
            return None
        files = record["files"]
        if {str(path.absolute()): _stamp(path) for path in paths} != {
            path: stamp for path, (stamp, _) in files.items()
        }:
            return None
        return SourceFiles({path: str(own) for path, (_, own) in files.items()})
    except (OSError, ValueError):
        return None


def _keep(note: Path, read: _Read) -> None:
    # A store that cannot be written to costs time at the next start; where features are to be written, that is refused.
    with contextlib.suppress(OSError):
        note.parent.mkdir(parents=True, exist_ok=True)
        write_whole(note, json_bytes({"subject": str(read.subject), "files": read.files}))
