"""Tables of a run, assembled from the records of its jobs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from keras_emotion.evaluation import PREDICTION_COLUMNS, STIMULUS_COLUMNS

RESULT_COLUMNS = ("protocol", "subject", "target", "repetition", "fold", "metric", "value")

FITTED_WINDOWS = "n_fitted_windows"
"""Metric in the results of an estimator: number of training windows; it has no epochs, and also trains on the
validation windows."""

FAILED = "training_failed"
"""Metric in the results of a fold whose training diverged, 1 for each of its test subjects."""


_FOLD = ("protocol", "target", "subject", "repetition", "fold", "session")
_DEFAULTS = {"candidate": "", "session": ""}


class RunTables(NamedTuple):
    """Tables of a finished run.

    Args:
        results: table with `RESULT_COLUMNS`.
        predictions: table with `PREDICTION_COLUMNS`.
        search: one row per candidate; empty without a search.
        failed: JSON-able: the jobs whose training diverged, with `reason` and `left_out`, the subjects that are left
            out because of it (none if another candidate of a search did not diverge).
    """

    results: pd.DataFrame
    predictions: pd.DataFrame
    search: pd.DataFrame
    failed: list[dict[str, Any]]


def run_tables(records: Sequence[Mapping[str, Any]], dataset: str) -> RunTables:
    """Assemble the tables of a run.

    If a fold was trained with several candidates, the one with the best score on the validation windows is used (ties
    go to the first by name). A fold fails if all of them diverged. Its test subjects are left out of the predictions of
    its target under every protocol: protocols are compared on the same subjects.

    Args:
        records: records of all jobs.
        dataset: name of the dataset, for records of versions before 0.2.0, which lack it.
    """
    # Records of earlier versions lack fields that did not exist.
    records = _numbered_folds([{**record, "job": {**_DEFAULTS, **record["job"]}} for record in records])
    chosen, search = _chosen(records)
    done = [record for record in chosen if "failed" not in record]
    lost = {(record["job"]["target"], name) for record in chosen for name in record.get("test_subjects", ())}
    rows = [
        row
        for record in chosen
        for row in (_failed_rows(record) if "failed" in record else _result_rows(record))
        if row[-2] == FAILED or (row[2], row[1]) not in lost
    ]
    results = pd.DataFrame(rows, columns=RESULT_COLUMNS)
    defaults = {"session": "1", "dataset": dataset}
    predictions = pd.DataFrame(columns=PREDICTION_COLUMNS)
    if done:
        predictions = pd.concat([_prediction_rows(record, defaults) for record in done], ignore_index=True)
        if lost:
            places = zip(predictions["target"], predictions["subject"], strict=True)
            predictions = predictions[[place not in lost for place in places]]
    # Some records may be of a version before 0.2.0, which ignored stimuli.
    partial = [name for name in STIMULUS_COLUMNS if name in predictions and predictions[name].isna().any()]
    predictions = predictions.drop(columns=partial)
    front = [*PREDICTION_COLUMNS, *(name for name in STIMULUS_COLUMNS if name in predictions)]
    predictions = predictions[front + [column for column in predictions if column not in front]]
    order = ["protocol", "target", "subject", "repetition", "fold", "session", "trial", "start_seconds"]
    spared = {_place(record) for record in done}
    failed = [
        {
            **record["job"],
            "reason": record["failed"],
            "left_out": [] if _place(record) in spared else record["test_subjects"],
        }
        for record in records
        if "failed" in record
    ]
    return RunTables(_sorted(results, list(RESULT_COLUMNS[:-1])), _sorted(predictions, order), search, failed)


def _numbered_folds(records: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Renumber folds consecutively over sessions, if sessions have their own folds."""
    places: dict[tuple, list[tuple]] = {}
    for record in records:
        job = record["job"]
        if job["session"] != "":
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
        if job["session"] != "":
            fold = places[place].index((job["session"], job["fold"]))
            record = {**record, "job": {**job, "fold": fold}}
        numbered.append(record)
    return numbered


def _chosen(records: Iterable[Mapping[str, Any]]) -> tuple[list[Mapping[str, Any]], pd.DataFrame]:
    """Return the record of each fold, and the search table: one row per candidate."""
    folds: dict[tuple, list[Mapping[str, Any]]] = {}
    for record in sorted(records, key=lambda record: record["job"]["candidate"]):
        folds.setdefault(_place(record), []).append(record)
    chosen, rows = [], []
    for place, candidates in folds.items():
        # A diverged candidate is worse than any other.
        best = max(candidates, key=lambda record: ("failed" not in record, record.get("validation_score") or 0.0))
        chosen.append(best)
        rows += [
            {
                **dict(zip(_FOLD, place, strict=True)),
                "candidate": record["job"]["candidate"],
                "validation_score": record.get("validation_score"),
                "chosen": record is best and "failed" not in record,
            }
            for record in candidates
            if record["job"]["candidate"]
        ]
    return chosen, pd.DataFrame(rows)


def _place(record: Mapping[str, Any]) -> tuple:
    return tuple(record["job"][field] for field in _FOLD)


def _failed_rows(record: Mapping[str, Any]) -> Iterable[tuple]:
    job = record["job"]
    for subject in record["test_subjects"]:
        yield (job["protocol"], subject, job["target"], job["repetition"], job["fold"], FAILED, 1.0)


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


def count_by_reason(dropped: pd.DataFrame) -> dict[str, dict[str, int]]:
    """Count dropped windows (`keras_emotion.pipelines.pair_windows`) by subject and reason."""
    return {
        str(subject): rows.groupby("reason")["n_windows"].sum().to_dict()
        for subject, rows in dropped.groupby("subject")
    }


def dropped_lines(counts: Mapping[str, Mapping[str, int]]) -> Iterator[str]:
    """Yield lines that say windows by subject and reason: one for all subjects that have the same.

    Example:
        >>> [*dropped_lines({"1": {"no face": 3}, "2": {"silent": 18}, "3": {"silent": 18}})]
        ['windows dropped: subject 1: 3 (no face)', 'windows dropped: subjects 2, 3, each: 18 (silent)']
    """
    subjects: dict[str, list[str]] = {}
    for subject, of_reasons in counts.items():
        said = ", ".join(f"{count} ({reason})" for reason, count in of_reasons.items())
        subjects.setdefault(said, []).append(subject)
    for said, alike in subjects.items():
        whose = f"subject {alike[0]}" if len(alike) == 1 else f"subjects {', '.join(alike)}, each"
        yield f"windows dropped: {whose}: {said}"


def _sorted(table: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    # Subjects and sessions are strings in the tables; "10" still comes after "9".
    def natural(column: pd.Series) -> pd.Series:
        return column.str.rjust(12) if column.name in ("subject", "session") else column

    return table.sort_values(columns, key=natural, kind="stable", ignore_index=True)
