"""The run folder: what is written, how a killed run finds its way back, and how the tables are put together.

A run folder holds `config.json` (the scientific fields and their identity hash), `data.json` (what the numbers were
computed from), `starts/*.json` (with what, and where, the run was started or taken up, one file each time),
`jobs/*.json` (one file a finished job), and, put together from them, `environment.json`, `results.csv` and
`predictions.csv`; reports add `report.html` and `figures/`. No Keras here.

Several processes may work on one folder, also on several machines that share a disk. A file appears in it whole or not
at all, `config.json` is written once by whoever comes first, and whatever two of them write to the same place has the
same contents.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import uuid
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from keras_emotion.evaluation import PREDICTION_COLUMNS, REQUIRED_COLUMNS, STIMULUS_COLUMNS
from keras_emotion.files import TEMPORARY_PREFIX, remove_leftovers
from keras_emotion.schema import InputError
from keras_emotion.systems.settings import differences
from keras_emotion.tables import Kind, csv_bytes, read_table

INFERENCE = "inference.json"
"""File in a run folder: what saved models of the run carry along, so that no recording is read for it again."""

RESULT_COLUMNS = ("protocol", "subject", "target", "repetition", "fold", "metric", "value")

_RESULT_KINDS: dict[str, Kind] = {"repetition": "integer", "fold": "integer", "value": "number"}
_PREDICTION_KINDS: dict[str, Kind] = {
    **dict.fromkeys(("label", "prediction", "repetition", "fold", "trial", "stimulus_label"), "integer"),
    **dict.fromkeys(("start_seconds", "stop_seconds", "probability_*"), "number"),
}
"""Of the columns that hold no text: who takes part may be called `NA` or `01`."""

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextlib.contextmanager
def disk_full_as_input_error(folder: Path | str) -> Iterator[None]:
    """Context in which a full disk, a quota or a limit of file sizes that is reached becomes an `InputError`.

    Args:
        folder: named where the system does not say which file it was.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_SPACE:
            raise
        raise _cannot_write(error.filename or folder, error) from error


def _cannot_write(path: Any, error: OSError) -> InputError:
    hint = "; what is finished is kept: free some space and go on with --resume" if error.errno in _NO_SPACE else ""
    return InputError(f"{path}: cannot be written: {error.strerror}{hint}")


class RunFolder:
    """The folder of one run.

    Args:
        path: the folder; made by `start`.
    """

    def __init__(self, path: Path | str):
        self.path = Path(path)

    def start(self, scientific_config: Mapping[str, Any], identity: str, data: Mapping[str, Any], resume: bool) -> bool:
        """Make the folder, or take it up again.

        Args:
            scientific_config: the scientific fields of the experiment.
            identity: their hash.
            data: what the numbers are computed from: fingerprints, subjects, whether synthetic.
            resume: go on with a run that was broken off, or work on one that others are working on.

        Returns:
            Whether the run is new.

        Raises:
            InputError: the folder belongs to another configuration or to other data (the difference is shown), holds
                files but no run, or holds an unfinished run and `resume` is not set.
        """
        new = not self.is_started and self._make(scientific_config, identity, data)
        config = self._read("config.json")
        self._refuse_other("configuration", config["science"], scientific_config)
        self._refuse_other("data", config.get("data") or self.data, data)
        if not (new or resume or self.is_finished):
            raise InputError(
                f"{self.path}: holds a run that was broken off, or is still running elsewhere, after "
                f"{len(self.finished_jobs())} jobs; give --resume to go on with it, or another --output"
            )
        if not self._file("data.json").is_file():
            self.write_json("data.json", data)
        remove_leftovers(self.path, *(path for path in self.path.iterdir() if path.is_dir()))
        return new

    def _make(self, scientific_config: Mapping[str, Any], identity: str, data: Mapping[str, Any]) -> bool:
        """Make the folder of a new run; whether it is this process that made it one."""
        # What a process that was killed before it wrote config.json can have left behind.
        own = {"jobs", "data.json"}
        if self.path.is_dir():
            there = {path.name for path in self.path.iterdir() if not path.name.startswith(TEMPORARY_PREFIX)}
            # Not where another process has made it a run meanwhile.
            if (there - own or self.finished_jobs()) and not self.is_started:
                raise InputError(f"{self.path}: is not empty and holds no run; give another --output")
        try:
            self._file("jobs").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _cannot_write(self.path, error) from error
        # Before all else, and with the data: a folder with a config.json is a run that can be taken up, and of two
        # processes that start at once with different settings one is refused.
        content = {"identity": identity, "science": scientific_config, "data": data}
        return self._write("config.json", _json(content), once=True)

    def record_start(self, environment: Mapping[str, Any]) -> None:
        """Keep with what, and where, the run is started or taken up.

        `environment.json` is that of the first start; its `resumed` lists, for each further one, when it was and what
        was different.
        """
        if self._file("environment.json").is_file() and not self._file("starts").is_dir():
            # A run of a version that kept the first start only.
            self._write_start(self._read("environment.json"))
        self._write_start(environment)
        # By name, that is by time. A start that another process writes at this moment may be missing: `finish` puts
        # the file together once more.
        self._collect_starts()

    def _write_start(self, environment: Mapping[str, Any]) -> None:
        self.write_json(f"starts/{environment['started'].replace(':', '')}-{uuid.uuid4().hex}.json", environment)

    def _collect_starts(self) -> None:
        starts = [self._read(f"starts/{path.name}") for path in sorted(self._file("starts").glob("[!.]*.json"))]
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
        """`{"identity": hash, "science": fields, "data": as `data`}` as it was written at the start."""
        return self._read("config.json")

    @property
    def data(self) -> dict[str, Any]:
        """What the numbers were computed from."""
        return self._read("data.json")

    @property
    def environment(self) -> dict[str, Any]:
        """Versions, machine and command of the first start of the run, and what was different when it was resumed."""
        return self._read("environment.json")

    @property
    def is_started(self) -> bool:
        """Whether the folder holds a run."""
        return self._file("config.json").is_file()

    @property
    def inference(self) -> dict[str, Any] | None:
        """What models of the run carry along; `None` before it is written, and in runs of before 0.2.0."""
        return self._read(INFERENCE) if self._file(INFERENCE).is_file() else None

    @property
    def is_finished(self) -> bool:
        """Whether every job of the run is done and its tables are written."""
        return self._file("results.csv").is_file() and self._file("finished.json").is_file()

    @property
    def summary(self) -> dict[str, Any]:
        """What `finish` was told about the run as a whole."""
        return self._read("finished.json")

    def finished_jobs(self) -> set[str]:
        """Names of the jobs whose record is there."""
        return {path.stem for path in self._file("jobs").glob("[!.]*.json")}

    def is_job_finished(self, name: str) -> bool:
        """Whether the record of a job is there."""
        return self._file(f"jobs/{name}.json").is_file()

    def job(self, name: str) -> dict[str, Any]:
        """The record of a finished job."""
        return self._read(f"jobs/{name}.json")

    def write_job(self, name: str, record: Mapping[str, Any]) -> None:
        """Write the record of a finished job; one that another process has written meanwhile says the same."""
        self.write_json(f"jobs/{name}.json", record)

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        """Write JSON at once: the file is there whole, or not at all."""
        self.write_bytes(name, _json(content))

    def write_bytes(self, name: str, content: bytes) -> None:
        """Write a file at once: it is there whole, or not at all.

        Raises:
            InputError: it cannot be written (no space, no permission); what was there before stays.
        """
        self._write(name, content, once=False)

    def _write(self, name: str, content: bytes, once: bool) -> bool:
        """As `write_bytes`; with `once` a file that is there stays as it is. Whether it was written."""
        target = self._file(name)
        # Not a file of `tempfile`: those can be read by their owner only, and so could every table of a run. And no
        # number of a process: two machines that share a disk may have the same.
        temporary = target.with_name(f"{TEMPORARY_PREFIX}{uuid.uuid4().hex}")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                # A rename can reach the disk before the contents do: after a power cut the file would be empty.
                os.fsync(file.fileno())
            if once:
                return _link(temporary, target)
            os.replace(temporary, target)
        except OSError as error:
            raise _cannot_write(target, error) from error
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink()
        return True

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Put `results.csv` and `predictions.csv` together from the records of the jobs.

        Where a fold was trained with several candidates, the one with the best score on the validation windows counts
        (of equals the first by name); `search.csv` lists them all.

        Args:
            summary: JSON-able facts about the run as a whole (what could not be evaluated, reductions).
        """
        records, search = _chosen(_numbered_folds(list(self._records())))
        if len(search):
            self.write_bytes("search.csv", csv_bytes(search))
        results = pd.DataFrame([row for record in records for row in _result_rows(record)], columns=RESULT_COLUMNS)
        # Records of versions before 0.2.0 name neither, and not every run says what its data set is called.
        defaults = {"session": "1", "dataset": self.config["science"].get("dataset", "")}
        predictions = pd.concat([_prediction_rows(record, defaults) for record in records], ignore_index=True)
        # Some of the records may be of a version before 0.2.0, which did not look at stimuli.
        partial = [name for name in STIMULUS_COLUMNS if name in predictions and predictions[name].isna().any()]
        predictions = predictions.drop(columns=partial)
        front = [*PREDICTION_COLUMNS, *(name for name in STIMULUS_COLUMNS if name in predictions)]
        predictions = predictions[front + [column for column in predictions if column not in front]]
        self.write_bytes("results.csv", csv_bytes(_sorted(results, list(RESULT_COLUMNS[:-1]))))
        order = ["protocol", "target", "subject", "repetition", "fold", "session", "trial", "start_seconds"]
        self.write_bytes("predictions.csv", csv_bytes(_sorted(predictions, order)))
        self._collect_starts()
        # By its length a table that was cut off between two lines is told from a whole one.
        self.write_json("finished.json", {**summary, "n_predictions": len(predictions)})

    def results(self) -> pd.DataFrame:
        """`results.csv`.

        Raises:
            InputError: it is not there, or damaged.
        """
        return read_table(self._file("results.csv"), _RESULT_KINDS, RESULT_COLUMNS)

    def predictions(self) -> pd.DataFrame:
        """`predictions.csv`.

        Raises:
            InputError: it is not there, or damaged.
        """
        file = self._file("predictions.csv")
        table = read_table(file, _PREDICTION_KINDS, REQUIRED_COLUMNS)
        # Earlier versions did not count them.
        expected = self.summary.get("n_predictions", 0) if self._file("finished.json").is_file() else 0
        if len(table) < expected:
            raise InputError(
                f"{file}: damaged (has {len(table)} rows, and {expected} were written); to have it put together anew "
                "remove finished.json and start the run with --resume"
            )
        return table

    def _file(self, name: str) -> Path:
        return self.path / name

    def _read(self, name: str) -> dict[str, Any]:
        try:
            return json.loads(self._file(name).read_text())
        except FileNotFoundError as error:
            raise InputError(f"{self._file(name)}: no such file; is {self.path} a run folder?") from error
        except json.JSONDecodeError as error:
            raise InputError(f"{self._file(name)}: not readable as JSON ({error}); move it away") from error

    def _records(self) -> Iterator[dict[str, Any]]:
        for name in sorted(self.finished_jobs()):
            yield self.job(name)

    def _refuse_other(self, what: str, there: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
        asked = json.loads(json.dumps(asked, default=_plain))
        if different := differences(there, asked):
            shown = "\n  ".join(different)
            raise InputError(
                f"{self.path}: holds a run of another {what} (there -> asked for):\n  {shown}\n"
                "give another --output, or the same settings"
            )


def _link(temporary: Path, target: Path) -> bool:
    """Give a file its name unless there is one of this name; whether it got it."""
    try:
        os.link(temporary, target)
    except FileExistsError:
        return False
    except OSError as error:
        # A file system without links (FAT). What is left is a moment in which two processes may both come first.
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS):
            raise
        if target.exists():
            return False
        os.replace(temporary, target)
    return True


def _json(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, indent=1, default=_plain).encode()


def _plain(value):
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value)} is not JSON-able")


def _numbered_folds(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The records; where sessions have folds of their own, these are numbered on from session to session."""
    places: dict[tuple, list[tuple]] = {}
    for record in records:
        job = record["job"]
        if job.get("session", "") != "":
            place = tuple(job[field] for field in ("protocol", "target", "subject", "repetition"))
            own = places.setdefault(place, [])
            if (job["session"], job["fold"]) not in own:
                own.append((job["session"], job["fold"]))
    for own in places.values():
        own.sort()
    numbered = []
    for record in records:
        job = record["job"]
        place = tuple(job[field] for field in ("protocol", "target", "subject", "repetition"))
        if job.get("session", "") != "":
            fold = places[place].index((job["session"], job["fold"]))
            record = {**record, "job": {**job, "fold": fold}}
        numbered.append(record)
    return numbered


def _chosen(records: Iterable[Mapping[str, Any]]) -> tuple[list[Mapping[str, Any]], pd.DataFrame]:
    """The record of each fold, and what was searched: a row a candidate."""
    folds: dict[tuple, list[Mapping[str, Any]]] = {}
    for record in records:
        place = {field: value for field, value in record["job"].items() if field != "candidate"}
        folds.setdefault(tuple(place.items()), []).append(record)
    chosen, rows = [], []
    for place, candidates in folds.items():
        best = max(candidates, key=lambda record: record.get("validation_score", 0.0))
        chosen.append(best)
        rows += [
            {
                **dict(place),
                "candidate": record["job"]["candidate"],
                "validation_score": record["validation_score"],
                "chosen": record is best,
            }
            for record in candidates
            if "validation_score" in record
        ]
    return chosen, pd.DataFrame(rows)


def _result_rows(record: Mapping[str, Any]) -> Iterable[tuple]:
    job = record["job"]
    place = (job["target"], job["repetition"], job["fold"])
    shared = {
        "best_epoch": record["best_epoch"],
        "training_majority": record["training_majority"],
        "n_training_windows": record["n_training_windows"],
        "n_validation_windows": record["n_validation_windows"],
        **record["diagnostics"],
    }
    for subject, metrics in record["metrics"].items():
        for metric, value in {**metrics, **shared}.items():
            yield (job["protocol"], subject, *place, metric, value)


def _prediction_rows(record: Mapping[str, Any], defaults: Mapping[str, str]) -> pd.DataFrame:
    job = record["job"]
    rows = pd.DataFrame(record["predictions"])
    rows = rows.assign(**{name: value for name, value in defaults.items() if name not in rows})
    rows = rows.astype(dict.fromkeys(("dataset", "subject", "session"), str))
    return rows.assign(**{field: job[field] for field in ("protocol", "target", "repetition", "fold")})


def _sorted(table: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    # Subjects and sessions are strings in the tables; "10" comes after "9" all the same.
    def natural(column: pd.Series) -> pd.Series:
        return column.str.rjust(12) if column.name in ("subject", "session") else column

    return table.sort_values(columns, key=natural, kind="stable", ignore_index=True)
