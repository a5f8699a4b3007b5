"""The run folder: what is written, how a killed run finds its way back, and how the tables are put together.

A run folder holds `config.json` (the scientific fields and their identity hash), `environment.json`, `data.json`
(what the numbers were computed from), `jobs/*.json` (one file a finished job), and, put together from them,
`results.csv` and `predictions.csv`; reports add `report.html` and `figures/`. No Keras here.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from keras_emotion.evaluation import PREDICTION_COLUMNS
from keras_emotion.experiment.configuration import differences
from keras_emotion.schema import InputError

RESULT_COLUMNS = ("protocol", "subject", "target", "repetition", "fold", "metric", "value")


class RunFolder:
    """The folder of one run.

    Args:
        path: the folder; made by `start`.
    """

    def __init__(self, path: Path | str):
        self.path = Path(path)

    def start(self, science: Mapping[str, Any], identity: str, data: Mapping[str, Any], resume: bool) -> None:
        """Make the folder, or take it up again.

        Args:
            science: the scientific fields of the experiment.
            identity: their hash.
            data: what the numbers are computed from: fingerprints, subjects, whether synthetic.
            resume: go on with a run that was broken off.

        Raises:
            InputError: the folder belongs to another configuration or to other data (the difference is shown), holds
                files but no run, or holds an unfinished run and `resume` is not set.
        """
        if self._file("config.json").is_file():
            config = self._read("config.json")
            self._refuse_other("configuration", config["science"], science)
            self._refuse_other("data", self.data, data)
            if not resume and not self.is_finished:
                raise InputError(
                    f"{self.path}: holds a run that was broken off after {len(self.finished_jobs())} jobs; "
                    "give --resume to go on with it, or another --output"
                )
            return
        if self.path.is_dir() and any(self.path.iterdir()):
            raise InputError(f"{self.path}: is not empty and holds no run; give another --output")
        self._file("jobs").mkdir(parents=True, exist_ok=True)
        self.write_json("data.json", data)
        # Written last: a folder with a config.json is a run that can be taken up.
        self.write_json("config.json", {"identity": identity, "science": science})

    @property
    def config(self) -> dict[str, Any]:
        """`{"identity": hash, "science": fields}` as it was written at the start."""
        return self._read("config.json")

    @property
    def data(self) -> dict[str, Any]:
        """What the numbers were computed from."""
        return self._read("data.json")

    @property
    def environment(self) -> dict[str, Any]:
        """Versions, machine and command of the run."""
        return self._read("environment.json")

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

    def write_job(self, name: str, record: Mapping[str, Any]) -> None:
        """Write the record of a finished job."""
        self.write_json(f"jobs/{name}.json", record)

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        """Write JSON at once: the file is there whole, or not at all."""
        self.write_bytes(name, json.dumps(content, indent=1, default=_plain).encode())

    def write_bytes(self, name: str, content: bytes) -> None:
        """Write a file at once: it is there whole, or not at all.

        Raises:
            InputError: it cannot be written (no space, no permission); what was there before stays.
        """
        target = self._file(name)
        # Not a file of `tempfile`: those can be read by their owner only, and so could every table of a run.
        temporary = target.with_name(f".writing-{os.getpid()}-{target.name}")
        try:
            target.parent.mkdir(exist_ok=True)
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                # A rename can reach the disk before the contents do: after a power cut the file would be empty.
                os.fsync(file.fileno())
            os.replace(temporary, target)
        except OSError as error:
            with contextlib.suppress(OSError):
                temporary.unlink()
            hint = "; free some space and go on with --resume" if error.errno == errno.ENOSPC else ""
            raise InputError(f"{target}: cannot be written: {error.strerror}{hint}") from error

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Put `results.csv` and `predictions.csv` together from the records of the jobs.

        Where a fold was trained with several candidates, the one with the best score on the validation windows counts
        (of equals the first by name); `search.csv` lists them all.

        Args:
            summary: JSON-able facts about the run as a whole (what could not be evaluated, reductions).
        """
        records, search = _chosen(self._records())
        if len(search):
            self.write_bytes("search.csv", search.to_csv(index=False).encode())
        results = pd.DataFrame([row for record in records for row in _result_rows(record)], columns=RESULT_COLUMNS)
        predictions = pd.concat([_prediction_rows(record) for record in records], ignore_index=True)
        front = list(PREDICTION_COLUMNS)
        predictions = predictions[front + [column for column in predictions if column not in front]]
        self.write_bytes("results.csv", _sorted(results, list(RESULT_COLUMNS[:-1])).to_csv(index=False).encode())
        order = ["protocol", "target", "subject", "repetition", "fold", "trial", "start_seconds"]
        self.write_bytes("predictions.csv", _sorted(predictions, order).to_csv(index=False).encode())
        self.write_json("finished.json", summary)

    def results(self) -> pd.DataFrame:
        """`results.csv`."""
        return pd.read_csv(self._file("results.csv"), dtype={"subject": str})

    def predictions(self) -> pd.DataFrame:
        """`predictions.csv`."""
        types = {"subject": str, "stimulus": str}
        return pd.read_csv(self._file("predictions.csv"), dtype=types)

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
            yield self._read(f"jobs/{name}.json")

    def _refuse_other(self, what: str, there: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
        asked = json.loads(json.dumps(asked, default=_plain))
        if different := differences(there, asked):
            shown = "\n  ".join(different)
            raise InputError(
                f"{self.path}: holds a run of another {what} (there -> asked for):\n  {shown}\n"
                "give another --output, or the same settings"
            )


def _plain(value):
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value)} is not JSON-able")


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


def _prediction_rows(record: Mapping[str, Any]) -> pd.DataFrame:
    job = record["job"]
    rows = pd.DataFrame(record["predictions"])
    rows["subject"] = rows["subject"].astype(str)
    return rows.assign(**{field: job[field] for field in ("protocol", "target", "repetition", "fold")})


def _sorted(table: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    # Subjects are strings in the tables; "10" comes after "9" all the same.
    def natural(column: pd.Series) -> pd.Series:
        return column.str.rjust(12) if column.name == "subject" else column

    return table.sort_values(columns, key=natural, kind="stable", ignore_index=True)
