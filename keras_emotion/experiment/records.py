"""Run folder: its files, resuming of interrupted runs, and assembly of the tables.

A run folder holds `config.json` (the scientific fields and their identity hash), `data.json` (the data of the run),
`starts/*.json` (one file for each start or resume, with time and environment), `jobs/*.json` (one file per job that was
done or whose training diverged), and, assembled from them, `environment.json`, `results.csv` and `predictions.csv`;
reports add `report.html` and `figures/`. Free of Keras.

Each JSON file has a checksum of its content. The record of a job also names its job and its run, which are compared
with the file name and with `config.json`. Damaged files are moved to `damaged/` when the run is resumed.

Several processes may work on one folder, also on several machines with a shared disk. Files appear completely or not at
all, `config.json` is written once by the first process, and if two processes write the same file, its content is the
same.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import pandas as pd
from pydantic import BaseModel, Field

from keras_emotion.environment import different_versions, package_versions
from keras_emotion.evaluation import REQUIRED_COLUMNS
from keras_emotion.experiment.record_schema import earlier_name, problem_of, record_name, schema_problem
from keras_emotion.experiment.record_tables import RESULT_COLUMNS, run_tables
from keras_emotion.files import TEMPORARY_PREFIX, link, remove_leftovers, write_once, write_whole
from keras_emotion.json_files import DamagedFile, content_checksum, json_bytes, plain_json, read_json
from keras_emotion.logs import LOGGER
from keras_emotion.schema import InputError
from keras_emotion.systems.settings import differences
from keras_emotion.tables import Kind, csv_bytes, parse_table, read_csv_file

INFERENCE = "inference.json"
"""File in a run folder: metadata of its saved models, so that no recording is read for them again."""

STORED_FEATURES = "stored_features.json"
"""File in a run folder: the entries of the feature store that the run uses, by absolute path."""

FINISHED = "finished.json"
"""File in a run folder: facts about the run as a whole, written last."""

_RESULT_KINDS: dict[str, Kind] = {"repetition": "integer", "fold": "integer", "value": "number"}
_PREDICTION_KINDS: dict[str, Kind] = {
    **dict.fromkeys(("label", "prediction", "repetition", "fold", "trial", "stimulus_label"), "integer"),
    **dict.fromkeys(("start_seconds", "stop_seconds", "probability_*"), "number"),
}
"""Types of the columns that are not text: a subject may be called `NA` or `01`."""

_CONFIG_FILE = "config.json"
_HASHES = "tables"
"""Field of `FINISHED`: hash of each table of the run, by file name."""

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_DAMAGED = "damaged"
_NO_CHECKSUM = "missing checksum, which all files of this run have"
_CHANGED = "its content has changed since it was written"
_AGAIN = "--resume creates it again"
_REPEAT = "--resume moves it to the folder damaged and repeats what is missing"


class _Config(BaseModel):
    # Folder names contain it.
    identity: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    science: dict[str, Any]
    data: dict[str, Any] | None = None


class _Failed(BaseModel):
    protocol: str
    target: str
    subject: int | str
    repetition: int
    fold: int
    candidate: str
    session: int | str
    reason: str
    left_out: list[str]


class _Failures(BaseModel):
    failed: list[_Failed] = []


class _Finished(_Failures):
    class_names: dict[str, list[str]]
    not_evaluable: list[dict[str, Any]]
    dropped_windows: dict[str, dict[str, int]]


class _Inference(BaseModel):
    dataset: str
    synthetic: bool


class Jobs(NamedTuple):
    """Records of a run.

    Args:
        finished: names of the jobs that have a record, including failed ones.
        failed: reasons by name, for jobs whose training diverged.
        damaged: records that cannot be used.
        n_without_checksum: number of records of earlier versions, in which a changed value is not detected.
    """

    finished: frozenset[str] = frozenset()
    failed: Mapping[str, str] = {}
    damaged: tuple[DamagedFile, ...] = ()
    n_without_checksum: int = 0

    @property
    def notes(self) -> list[str]:
        """Notes for readers of the run, one line each."""
        notes = [f"jobs/{one.path.name}: damaged ({one.reason}); {_REPEAT}" for one in self.damaged]
        if self.n_without_checksum:
            n = self.n_without_checksum
            notes.append(f"{n} record{'' if n == 1 else 's'} without a checksum, of an earlier version")
        return notes


class _Record(NamedTuple):
    name: str
    content: dict[str, Any]
    has_checksum: bool


def _hash_of(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def _hashes_in(finished: Mapping[str, Any]) -> dict[str, str]:
    """Hashes of the tables, by name; earlier versions stored none."""
    hashes = finished.get(_HASHES)
    return hashes if isinstance(hashes, dict) else {}


@contextlib.contextmanager
def disk_full_as_input_error(folder: Path | str) -> Iterator[None]:
    """Context that converts errors of a full disk, a quota or a file size limit to an `InputError`.

    Args:
        folder: path for the message if the system does not report the file.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_SPACE:
            raise
        raise _cannot_write(error.filename or folder, error) from error


def _cannot_write(path: Any, error: OSError) -> InputError:
    hint = "; what is finished is kept: free some space and continue with --resume" if error.errno in _NO_SPACE else ""
    return InputError(f"{path}: cannot be written: {error.strerror}{hint}")


class RunFolder:
    """Folder of one run.

    Args:
        path: the folder; created by `start`.
    """

    def __init__(self, path: Path | str):
        self.path = Path(path)

    def start(self, scientific_config: Mapping[str, Any], identity: str, data: Mapping[str, Any], resume: bool) -> bool:
        """Create the folder, or resume its run.

        Args:
            scientific_config: the scientific fields of the experiment.
            identity: hash of the fields.
            data: description of the data: fingerprints, subjects, whether synthetic.
            resume: continue an interrupted run, or join other processes working on it.

        Returns:
            Whether the run is new.

        Raises:
            InputError: the folder belongs to another configuration or to other data (the message shows the difference),
                holds files but no run, or holds an unfinished run and `resume` is not set.
        """
        new = not self.is_started and self._make(scientific_config, identity, data)
        config = self.config
        self._refuse_other("configuration", config["science"], scientific_config)
        self._refuse_other("data", config.get("data") or self.data, data)
        if not (new or resume or self.is_finished):
            raise InputError(
                f"{self.path}: holds an interrupted run, or one that is still running elsewhere, after "
                f"{len(self._job_files())} jobs; give --resume to continue it, or another --output"
            )
        if not self._file("data.json").is_file():
            self.write_json("data.json", data)
        remove_leftovers(self.path, *(path for path in self.path.iterdir() if path.is_dir()))
        return new

    def _make(self, scientific_config: Mapping[str, Any], identity: str, data: Mapping[str, Any]) -> bool:
        """Create the folder of a new run; return whether this process created it."""
        # Files that a process killed before writing config.json may have left.
        own = {"jobs", "data.json", _DAMAGED}
        if self.path.is_dir():
            there = {path.name for path in self.path.iterdir() if not path.name.startswith(TEMPORARY_PREFIX)}
            # Unless another process has created the run meanwhile.
            if (there - own or self._job_files()) and not self.is_started:
                raise InputError(f"{self.path}: is not empty and contains no run; give another --output")
        try:
            self._file("jobs").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _cannot_write(self.path, error) from error
        # First of all, and with the data: a folder with a config.json is a run that can be resumed, and of two
        # processes that start at once with different settings one is refused.
        content = {"identity": identity, "science": scientific_config, "data": data}
        return self._write(_CONFIG_FILE, lambda path: write_once(path, json_bytes(content)))

    def record_start(self, environment: Mapping[str, Any]) -> None:
        """Record time and environment of a start or resume.

        `environment.json` is that of the first start; its `resumed` lists time and differences for each further one.
        """
        if self._file("environment.json").is_file() and not self._file("starts").is_dir():
            # A run of a version that recorded the first start only.
            self._write_start(self._read("environment.json"))
        self._write_start(environment)
        # By name, that is in their order. A start that another process writes at this moment may be missing: `finish`
        # assembles the file again.
        self._collect_starts()

    def _write_start(self, environment: Mapping[str, Any]) -> None:
        # A file of an earlier version may contain anything here.
        started = re.sub(r"[^0-9TZ+-]", "", str(environment.get("started", "")).partition("+")[0])[:40]
        names = [path.stem for path in self._json_files("starts")]
        # Sorts after the existing files, even if the clock was set back: by time, then by number.
        started = max([started, *(re.split(r"[+]|-\d{5}-", name)[0] for name in names)])
        self.write_json(f"starts/{started}-{len(names):05d}-{uuid.uuid4().hex}.json", environment)

    def other_versions(self, packages: Mapping[str, str]) -> list[str]:
        """Return `different_versions` of the packages of the run's first start and these."""
        try:
            there = self.environment.get("packages")
        except InputError:
            # Missing or damaged.
            return []
        return different_versions(there, packages) if isinstance(there, dict) else []

    def _collect_starts(self) -> None:
        starts = [self._read(f"starts/{path.name}") for path in self._json_files("starts")]
        if not starts:
            return
        first, *others = starts
        resumed = [
            {name: value for name, value in other.items() if name == "started" or value != first.get(name)}
            for other in others
        ]
        self.write_json("environment.json", {**first, "resumed": resumed} if resumed else first)

    @property
    def config(self) -> dict[str, Any]:
        """Configuration as written at the start: `identity` (a hash), `science` (the fields) and `data`."""
        config = self._read(_CONFIG_FILE, "restore it from a copy, or run again with another --output")
        if problem := schema_problem(_Config, config):
            raise DamagedFile(self._file(_CONFIG_FILE), problem, "restore it from a copy, or give another --output")
        return config

    @property
    def data(self) -> dict[str, Any]:
        """Description of the run's data."""
        return self._read("data.json")

    @property
    def environment(self) -> dict[str, Any]:
        """Versions, machine and command of the first start of the run, and differences when it was resumed."""
        return self._read("environment.json")

    @property
    def is_started(self) -> bool:
        """Whether the folder contains a run."""
        return self._file(_CONFIG_FILE).is_file()

    @property
    def inference(self) -> dict[str, Any] | None:
        """Metadata of the run's models; `None` before it is written, and for runs of versions before 0.2.0."""
        return self._read(INFERENCE) if self._file(INFERENCE).is_file() else None

    @property
    def is_finished(self) -> bool:
        """Whether every job of the run is done and its tables are written."""
        return self._file("results.csv").is_file() and self._file(FINISHED).is_file()

    @property
    def summary(self) -> dict[str, Any]:
        """Facts about the whole run as passed to `finish`, and `failed`: the jobs whose training diverged.

        Each of those has the fields of its job, `reason` and `left_out` (subjects).
        """
        summary = {"failed": [], **self._read(FINISHED)}
        if problem := schema_problem(_Failures, summary):
            raise DamagedFile(self._file(FINISHED), problem, "--resume creates it again")
        return summary

    def check_jobs(self) -> Jobs:
        """Read all records of jobs, without changing them."""
        finished, failed, damaged, n_without_checksum = set(), {}, [], 0
        for record in self._records():
            if isinstance(record, DamagedFile):
                damaged.append(record)
                continue
            finished.add(record.name)
            n_without_checksum += not record.has_checksum
            if isinstance(reason := record.content.get("failed"), str):
                failed[record.name] = reason
        return Jobs(frozenset(finished), failed, tuple(damaged), n_without_checksum)

    def finished_jobs(self) -> frozenset[str]:
        """Return the names of the jobs that have a record."""
        return self.check_jobs().finished

    def job(self, name: str) -> dict[str, Any] | None:
        """Return the record of a job; `None` if there is no usable one."""
        try:
            return self._record(self._file(f"jobs/{name}.json"), self._run).content
        except (FileNotFoundError, DamagedFile):
            return None

    def jobs(self) -> list[dict[str, Any]]:
        """Return the records of all jobs, by the names of their jobs.

        Raises:
            InputError: some are damaged.
        """
        found = list(self._records())
        if damaged := [one for one in found if isinstance(one, DamagedFile)]:
            lines = "\n  ".join(f"{one.path}: {one.reason}" for one in damaged)
            raise InputError(f"{self.path}: {len(damaged)} damaged records; {_REPEAT}:\n  {lines}")
        # If a previous version recorded a job too, under its own name for it, this version's record is used.
        records = [one for one in found if not isinstance(one, DamagedFile)]
        by_name = {one.name: one for one in sorted(records, key=lambda one: one.has_checksum)}
        return [by_name[name].content for name in sorted(by_name)]

    def write_job(self, record: Mapping[str, Any]) -> str:
        """Write the record of a job; if another process has written it meanwhile, the content is the same.

        Args:
            record: fields of `JobRecord`, `FailedRecord` or `TaskRecord`.

        Returns:
            The name of the job.
        """
        name = record_name(plain_json(record["job"]))
        self.write_json(f"jobs/{name}.json", {**record, "run": self._run})
        return name

    def set_aside_damaged(self) -> Jobs:
        """Move damaged files to the folder `damaged`, with a message for each, so that they are created again.

        A run that has lost a file counts as unfinished, and its next start creates that again.

        Returns:
            The remaining records.

        Raises:
            InputError: `config.json` is damaged, which cannot be restored, or a file cannot be read or moved.
        """
        config, hashes = self.config, {}
        with contextlib.suppress(FileNotFoundError, DamagedFile):
            hashes = _hashes_in(read_json(self._file(FINISHED))[0])
        starts = [f"starts/{path.name}" for path in self._json_files("starts")]
        schemas: dict[str, Any] = {FINISHED: _Finished, INFERENCE: _Inference}
        for name in (*starts, "data.json", "environment.json", FINISHED, INFERENCE):
            path = self._file(name)
            try:
                content, _ = read_json(path)
                problem = schema_problem(schemas[name], content) if name in schemas else ""
                if name == "data.json" and content != config.get("data", content):
                    problem = "its content is not that of config.json"
                if problem:
                    raise DamagedFile(path, problem)
            except FileNotFoundError:
                continue
            except DamagedFile as damaged:
                if name == "data.json" and not config.get("data"):
                    # A run of an earlier version, and the only record of its data.
                    raise DamagedFile(
                        path, damaged.reason, "restore it from a copy, or give another --output"
                    ) from None
                self._set_aside(damaged)
        jobs = self.check_jobs()
        for damaged in jobs.damaged:
            self._set_aside(damaged)
        for name, expected in hashes.items():
            path = self._file(name)
            try:
                if _hash_of(path.read_bytes()) != expected:
                    self._set_aside(DamagedFile(path, _CHANGED))
            except FileNotFoundError:
                self.reopen()
            except OSError as error:
                raise InputError(f"{path}: cannot be read: {error.strerror}") from error
        return jobs._replace(damaged=())

    def reopen(self) -> None:
        """Mark a finished run as interrupted, until `finish` is called again."""
        self._file(FINISHED).unlink(missing_ok=True)

    def _set_aside(self, damaged: DamagedFile) -> None:
        path = damaged.path
        moved = self._file(_DAMAGED) / f"{path.stem[:150]}-{uuid.uuid4().hex}{path.suffix}"
        is_job = path.parent.name == "jobs"
        try:
            moved.parent.mkdir(exist_ok=True)
            if path.name != FINISHED and path.parent.name != "starts":
                # A finished run would not create it again.
                self.reopen()
            os.rename(path, moved)
        except FileNotFoundError:
            # Another process has moved it.
            return
        except OSError as error:
            raise _cannot_write(path, error) from error
        # Another process may have repeated the job before this process moved the file.
        if is_job:
            with contextlib.suppress(DamagedFile):
                self._record(moved, self._run, path.stem)
                link(moved, path)
                moved.unlink(missing_ok=True)
                return
        LOGGER.info(f"{path}: damaged ({damaged.reason}); moved to {moved}, and created again")

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        """Write JSON with its checksum atomically: the file is complete, or does not exist."""
        self.write_bytes(name, json_bytes(content))

    def write_bytes(self, name: str, content: bytes) -> None:
        """Write a file atomically: it is complete, or does not exist.

        Raises:
            InputError: it cannot be written (no space, no permission); a previous file stays.
        """
        self._write(name, lambda path: write_whole(path, content))

    def _write(self, name: str, write: Callable[[Path], Any]) -> Any:
        """Return the result of `write` for the file of this name, whose folder is created."""
        target = self._file(name)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            return write(target)
        except OSError as error:
            raise _cannot_write(target, error) from error

    def finish(self, summary: Mapping[str, Any], expected: Collection[str] = ()) -> None:
        """Assemble `results.csv` and `predictions.csv` from the records of the jobs (see `run_tables`).

        Args:
            summary: JSON-able facts about the whole run (what could not be evaluated, reductions).
            expected: names of the jobs that must have a record.

        Raises:
            InputError: a record is damaged or missing.
        """
        records = self.jobs()
        missing = set(expected) - {record_name(record["job"]) for record in records}
        if missing:
            raise InputError(f"{self.path}: {len(missing)} jobs have no record ({min(missing)}, ...); give --resume")
        tables = run_tables(records, self.config["science"].get("dataset", ""))
        written = {"results.csv": csv_bytes(tables.results), "predictions.csv": csv_bytes(tables.predictions)}
        if len(tables.search):
            written["search.csv"] = csv_bytes(tables.search)
        for name, content in written.items():
            self.write_bytes(name, content)
        self._collect_starts()
        facts = {
            **summary,
            "failed": tables.failed,
            "n_predictions": len(tables.predictions),
            _HASHES: {name: _hash_of(content) for name, content in written.items()},
        }
        self.write_json(FINISHED, facts)

    def results(self) -> pd.DataFrame:
        """Read `results.csv`.

        Raises:
            InputError: it is missing or damaged.
        """
        return self._table("results.csv", _RESULT_KINDS, RESULT_COLUMNS)

    def predictions(self) -> pd.DataFrame:
        """Read `predictions.csv`.

        Raises:
            InputError: it is missing or damaged.
        """
        # The first versions stored no count.
        n_rows = self.summary.get("n_predictions", 0) if self._file(FINISHED).is_file() else 0
        return self._table("predictions.csv", _PREDICTION_KINDS, REQUIRED_COLUMNS, n_rows)

    def _table(self, name: str, kinds: Mapping[str, Kind], required: Collection[str], n_rows: int = 0) -> pd.DataFrame:
        """Read a table of the run and check its number of rows and its hash."""
        file = self._file(name)
        content = read_csv_file(file)
        expected = _hashes_in(self._read(FINISHED)).get(name) if self._file(FINISHED).is_file() else None
        is_changed = expected is not None and _hash_of(content) != expected
        try:
            # First, since its errors give the row and column.
            table = parse_table(content, file, kinds, required)
        except InputError as error:
            if not is_changed:
                raise
            raise InputError(f"{error}; {_AGAIN}") from None
        if is_changed:
            raise DamagedFile(file, _CHANGED, _AGAIN)
        if len(table) < n_rows:
            # Of an earlier version, which stored no hashes.
            reason = f"has {len(table)} rows; expected at least {n_rows}"
            raise DamagedFile(file, reason, "to create it again, remove finished.json and start the run with --resume")
        return table

    def _file(self, name: str) -> Path:
        return self.path / name

    def _read(self, name: str, advice: str = "--resume creates it again") -> dict[str, Any]:
        try:
            content, has_checksum = read_json(self._file(name))
            if not has_checksum and name != _CONFIG_FILE and self._has_checksums():
                raise DamagedFile(self._file(name), _NO_CHECKSUM)
            return content
        except FileNotFoundError as error:
            raise InputError(f"{self._file(name)}: no such file; is {self.path} a run folder?") from error
        except DamagedFile as error:
            raise DamagedFile(error.path, error.reason, advice) from None

    def _has_checksums(self) -> bool:
        """Whether the run was started by a version that writes checksums, and its files all have one."""
        return self.is_started and read_json(self._file(_CONFIG_FILE))[1]

    @property
    def _run(self) -> str:
        """Return the run's identification in records."""
        return content_checksum(self.config)

    def _job_files(self) -> list[Path]:
        return self._json_files("jobs")

    def _json_files(self, folder: str) -> list[Path]:
        """Return the JSON files of a folder, sorted by name; none if the folder is missing.

        Raises:
            InputError: the folder cannot be read. If it counted as empty, finished jobs would be repeated.
        """
        path = self._file(folder)
        try:
            names = os.listdir(path)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror}; change its permissions") from error
        return [path / name for name in sorted(names) if name.endswith(".json") and not name.startswith(".")]

    def _records(self) -> Iterator[_Record | DamagedFile]:
        files = self._job_files()
        run = self._run if files else ""
        for file in files:
            try:
                yield self._record(file, run)
            except FileNotFoundError:
                # Another process has found it damaged, and moved it.
                continue
            except DamagedFile as error:
                yield error

    def _record(self, file: Path, run: str, stem: str = "") -> _Record:
        """Return the record in a file; `stem` is its name among the jobs, by default the file's."""
        content, has_checksum = read_json(file)
        stem = stem or file.stem
        if problem := problem_of(content):
            raise DamagedFile(file, problem)
        job = content.get("job")
        name = stem if job is None else record_name(job)
        if has_checksum:
            if stem != name:
                raise DamagedFile(file, f"contains the record of another job: {name}")
            if content.pop("run", None) != run:
                raise DamagedFile(file, "contains the record of another run")
            return _Record(name, content, True)
        earlier = earlier_name(content)
        if not (stem.startswith(earlier) if job is None else stem == earlier):
            raise DamagedFile(file, f"no checksum, and not the name that earlier versions gave to its job: {earlier}")
        return _Record(name, content, False)

    def _refuse_other(self, what: str, there: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
        if different := differences(there, plain_json(asked)):
            shown = "\n  ".join(different)
            versions = ", ".join(self.other_versions(package_versions()))
            raise InputError(
                f"{self.path}: contains a run with another {what} (existing -> requested):\n  {shown}\n"
                "give another --output, or the same settings"
                + (f"; the run was started with other versions: {versions}" if versions else "")
            )
