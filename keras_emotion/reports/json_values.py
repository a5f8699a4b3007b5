"""Reports as JSON."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from keras_emotion.evaluation import PairedTest
from keras_emotion.reports.comparison import ComparisonReport, Pair
from keras_emotion.reports.report import Report


def as_json(report: Report | ComparisonReport) -> dict[str, Any]:
    """Convert a report to JSON-serialisable values; undefined ones (an interval over one subject) are `None`.

    Returns:
        `report` and `figures` (paths), `data_set`, `mark` (warning of synthetic data, or empty), `overall` and
        `subjects` (the rows of `Summary`, shares and not percent, with the `run` they belong to), `notes`, and for
        several runs `comparisons`.
    """
    if isinstance(report, Report):
        runs, pairs = {report.numbers.name: report.numbers}, ()
        notes, figures = [report.sentence, *report.table.notes], report.figures
    else:
        runs, pairs = {run.label: run.numbers for run in report.runs}, report.pairs
        notes, figures = [*report.table.notes, *report.notes], (report.figure,)
    one = next(iter(runs.values()))
    shown = {
        "report": str(report.path),
        "figures": [str(path) for path in figures],
        "data_set": one.dataset,
        "mark": one.mark,
        "runs": list(runs),
        "overall": [row for label, run in runs.items() for row in _records(run.summary.overall, label)],
        "subjects": [row for label, run in runs.items() for row in _records(run.summary.subjects, label)],
        "notes": notes,
    }
    if isinstance(report, ComparisonReport):
        shown["comparisons"] = [_pair_as_json(pair) for pair in pairs]
    return _finite(shown)


def _records(rows: pd.DataFrame, label: str) -> list[dict[str, Any]]:
    return [{"run": label, **row} for row in rows.to_dict("records")]


def _pair_as_json(pair: Pair) -> dict[str, Any]:
    shown = {field: getattr(pair, field) for field in ("first", "second", "protocol", "target", "sentence")}
    if pair.comparison is None:
        return {**shown, "tests": None}
    tests = {field.name: getattr(pair.comparison, field.name) for field in dataclasses.fields(pair.comparison)}
    tests["subjects"] = tests["subjects"].to_dict("records")
    for name, value in tests.items():
        if isinstance(value, PairedTest):
            tests[name] = value._asdict()
    return {**shown, "tests": tests}


def _finite(value: Any) -> Any:
    """Replace NaN and infinity, which JSON lacks, by `None`."""
    if isinstance(value, Mapping):
        return {name: _finite(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
