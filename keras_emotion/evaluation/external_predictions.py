"""Check and score tables of predictions made with any software."""

from __future__ import annotations

import dataclasses
import re
import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from keras_emotion.evaluation.identifiers import crossed_counts, row_codes, trial_key
from keras_emotion.evaluation.leaks import (
    Disjoint,
    Finding,
    Severity,
    SplitChecks,
    label_findings,
    protocol_claim,
    protocol_findings,
    sorted_findings,
)
from keras_emotion.evaluation.metrics import grouped_metrics, trial_votes
from keras_emotion.evaluation.permutation import Between, permuted_between
from keras_emotion.evaluation.power import detectable_by_permutation
from keras_emotion.evaluation.protocols import PROTOCOLS
from keras_emotion.evaluation.statistics import permutation_chance
from keras_emotion.schema import InputError

_MOST_CLASSES = 100

_ALIASES = {"start": "start_seconds", "stop": "stop_seconds", "predicted": "prediction"}

_NEEDED = ("subject", "trial", "start_seconds", "stop_seconds", "fold", "label", "prediction")

_NAMES = ("dataset", "subject", "session", "trial", "stimulus", "recorded_together", "protocol", "target", "content")
"""Columns of names, read as text: a subject may be called `NA`, `01` or `1e5`."""

_MISSING = ("", "nan", "n/a", "na", "<na>", "none", "null")
"""Lower-case texts that mark a missing fold, label or prediction."""

COLUMNS = (
    "subject",
    "trial",
    "start",
    "stop",
    "fold",
    "label",
    "prediction",
    "dataset",
    "session",
    "stimulus",
    "recorded_together",
    "protocol",
    "target",
    "repetition",
    "content",
)
"""Names of the columns of a table as users give them, required ones first."""

NUMBERED = "windows_are_numbered"
"""Column of a table without times: its windows are numbered in the order of the rows of a trial."""

FROM_FILE = ("@file", "@folder")
"""Use in place of a column: the file name without its suffix, and the name of its folder."""

FROM_ROW = "@row"
"""Use in place of a column of start times: numbers the windows in the order of the rows of a trial."""


@dataclasses.dataclass(frozen=True)
class Layout:
    """Known layout of a table that a toolbox writes, recognised by its header.

    Args:
        name: name of the toolbox.
        header: columns of the table.
        columns: column mapping, as in `read_predictions`.
        part: column that names the part of the data of a row: where any row is `"test"`, the others are
            left out.
        epoch: column of the training epoch; only the last epoch counts.
        remark: note for the reader.
    """

    name: str
    header: frozenset[str]
    columns: Mapping[str, str]
    part: str = ""
    epoch: str = ""
    remark: str = ""


LAYOUTS = (
    # `--log_predictions=True` writes a file for each test subject or video, and no times.
    Layout(
        "EEGain",
        frozenset({"Epoch", "Data Part", "Subject id", "Video id", "Actual", "Predicted"}),
        {
            "subject": "Subject id",
            "trial": "Video id",
            "stimulus": "Video id",
            "start": FROM_ROW,
            "fold": "@file",
            "repetition": "@folder",
            "label": "Actual",
            "prediction": "Predicted",
        },
        part="Data Part",
        epoch="Epoch",
    ),
    # `torcheeg.model_selection` writes the windows of each fold; the user adds labels and predictions.
    Layout(
        "TorchEEG",
        frozenset({"subject_id", "trial_id", "start_at", "end_at", "clip_id"}),
        {
            "subject": "subject_id",
            "trial": "trial_id",
            "start": "start_at",
            "stop": "end_at",
            "fold": "@file",
            "repetition": "@folder",
        },
        remark="start and stop are in samples; start=start_at/128 gives seconds",
    ),
)
"""Layouts that are read without a column mapping."""


def read_predictions(
    path: Path | str | Sequence[Path | str], columns: Mapping[str, str] = types.MappingProxyType({})
) -> pd.DataFrame:
    """Read a table of predictions made with any software: one row per test window.

    Required columns: `subject`, `trial`, `start`, `stop` (or `start_seconds`, `stop_seconds`), `fold`, `label` and
    `prediction`. Optional columns: `dataset`, `session`, `stimulus`, `group` (of subjects who were recorded together;
    empty for others), `protocol`, `target`, `repetition`, and `content` (any value that is equal where two windows hold
    the same data). Labels are numbers or words. Names are read as text, `NA` and `01` included; trials are numbers
    where all of them are distinct numbers.

    `columns` maps the column names of other toolboxes. The prediction files of EEGain and the folds of TorchEEG are
    recognised by their headers (`LAYOUTS`).

    Args:
        path: a csv file, or several: the folds, subjects or seeds of one study; a folder stands for all csv files in it
            and in its subfolders.
        columns: column name in the file by our name: `{"subject": "sub", "label": "y_true"}`. In place of a column
            name: `"@file"` and `"@folder"`, the name of the file and of its folder (one per fold or seed);
            `"start_at/128"`, a column divided by a number; and for `start` only, if there are no times, `"@row"`: the
            windows of a trial are numbered in the order of the rows.

    Returns:
        The table under our names, with `protocol`, `target` and `repetition`, and with labels and predictions as
        integers (the order of the sorted labels). Its `attrs["notes"]` are notes for the reader.

    Raises:
        InputError: the file is not a csv file, a column is missing or invalid, or there are no rows.
    """
    paths = [file for one in ([path] if isinstance(path, (str, Path)) else path) for file in _files(Path(one))]
    for name in columns:
        if name not in COLUMNS:
            raise InputError(
                f"--columns {name}={columns[name]}: unknown column {name}; expected one of {', '.join(COLUMNS)} before "
                "the equals sign, and the column name in the file after it"
            )
    notes: list[str] = []
    parts = [_read_one(one, columns, notes) for one in paths]
    table = pd.concat(parts, ignore_index=True)
    lines = table.pop("line")
    where = str(paths[0]) if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more"

    def line(mask: pd.Series) -> str:
        """Return file and line of the first row where a mask is true."""
        return str(lines[mask.idxmax()])

    for name in [name for name in (*_NEEDED, *_NAMES, "repetition") if name in table and name != "recorded_together"]:
        # Concatenation of files with different columns leaves empty cells for those that lack one.
        table[name] = table[name].fillna("")
        is_missing = table[name] == "" if name in _NAMES else table[name].str.lower().isin(_MISSING)
        if is_missing.any():
            raise InputError(f"{line(is_missing)}: {name} is missing")
    for name in [name for name in table if name != NUMBERED]:
        if name not in _NAMES or (name == "trial" and _are_distinct_numbers(table[name])):
            table[name] = _as_numbers(table[name])
    for name in ("start_seconds", "stop_seconds"):
        is_wrong = ~np.isfinite(pd.to_numeric(table[name], errors="coerce"))
        if is_wrong.any():
            found = table.loc[is_wrong, name].iloc[0]
            raise InputError(f"{line(is_wrong)}, {name}: expected seconds, found {found!r}")
        table[name] = table[name].astype(np.float64)
    is_wrong = ~(table["stop_seconds"] > table["start_seconds"])
    if is_wrong.any():
        raise InputError(f"{line(is_wrong)}: the window ends before it starts")
    for name, value in (("protocol", "table"), ("target", "label"), ("repetition", 0)):
        if name not in table:
            table[name] = value
    if NUMBERED in table:
        # Numbered over all folds: windows that are first of their trial in two folds must stay distinct.
        table["start_seconds"] = (
            table.groupby(["protocol", "target", "repetition", *trial_key(table)]).cumcount().astype(np.float64)
        )
        table["stop_seconds"] = table["start_seconds"] + 1
    codes = table[["label", "prediction"]].astype(object)
    for target, rows in table.groupby("target").groups.items():
        codes.loc[rows] = _class_codes(table.loc[rows, ["label", "prediction"]], f"{where}: target {target}")
    table = table.assign(**codes.astype(np.int64))
    table.attrs["notes"] = tuple(dict.fromkeys(notes))
    return table


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = sorted(path.rglob("*.csv"))
    if not found:
        raise InputError(f"{path}: contains no csv files; expected files of predictions")
    return found


def _read_one(path: Path, columns: Mapping[str, str], notes: list[str]) -> pd.DataFrame:
    """Read the cells of one file as text under our names, with the file and `line` of each row."""
    # Imported here: scoring in memory then loads only the schema.
    from keras_emotion.tables import read_cells

    if not path.is_file():
        raise InputError(f"{path}: no such file")
    if not path.stat().st_size:
        raise InputError(f"{path}: not readable as a csv file (it is empty)")
    table = read_cells(path)
    # Blank lines count as lines but are not windows; line 1 holds the column names.
    table.index = [f"{path}: line {number}" for number in range(2, len(table) + 2)]
    table = table[(table != "").any(axis=1)]
    layout = next((one for one in LAYOUTS if one.header <= set(table)), None)
    if layout is not None:
        table = _rows_of_layout(table, layout, path, notes)
        columns = {**layout.columns, **columns}
    found = ", ".join(map(str, table))
    mapped: dict[str, Any] = {}
    for name, source in columns.items():
        if source == FROM_ROW and name == "start":
            mapped |= {"start_seconds": "0", "stop_seconds": "1", NUMBERED: True}
        elif source in FROM_FILE:
            mapped[name] = path.stem if source == "@file" else path.resolve().parent.name
        elif source in table:
            mapped[name] = table[source]
        elif (part := re.fullmatch(r"(.+)/(\d+(?:\.\d+)?)", source)) and part[1] in table and float(part[2]):
            numbers = pd.to_numeric(table[part[1]], errors="coerce") / float(part[2])
            mapped[name] = numbers.astype(str).where(numbers.notna(), table[part[1]])
        else:
            raise InputError(f"--columns {name}={source}: {path} has no column {source}; it has {found}")
    if columns.get("start") == FROM_ROW:
        mapped.pop("stop", None)
    mapped = {_ALIASES.get(name, name): values for name, values in mapped.items()}
    # A mapped column takes precedence over a column that already has our name.
    table = table.drop(columns=[name for name in mapped if name in table]).assign(**mapped)
    table = table.rename(columns={old: new for old, new in _ALIASES.items() if new not in table})
    missing = [name.removesuffix("_seconds") for name in _NEEDED if name not in table]
    if missing:
        asked = " ".join(f"{name}=COLUMN" for name in missing)
        several = "; fold=@file uses the file name" if "fold" in missing else ""
        timeless = "; without times start=@row" if "start" in missing else ""
        raise InputError(
            f"{path}: has no column {', '.join(missing)}; it has {found}; give --columns {asked}{several}{timeless}"
        )
    if table.empty:
        raise InputError(f"{path}: has no rows")
    return table.assign(line=table.index)


def _rows_of_layout(table: pd.DataFrame, layout: Layout, path: Path, notes: list[str]) -> pd.DataFrame:
    """Keep the test rows of the last epoch; note how many rows are left out."""
    n_rows = len(table)
    if layout.part:
        is_test = table[layout.part].str.lower() == "test"
        table = table[is_test] if is_test.any() else table
    if layout.epoch and len(table):
        epoch = pd.to_numeric(table[layout.epoch], errors="coerce")
        # The last epoch of each subject: a file may hold several subjects, trained one after another.
        last = epoch.groupby(table[layout.columns["subject"]]).transform("max")
        table = table[(epoch == last) | epoch.isna()]
    notes.append(f"read as a table of {layout.name}{': ' + layout.remark if layout.remark else ''}")
    if len(table) < n_rows:
        notes.append(f"{path}: {n_rows - len(table)} of {n_rows} rows left out: not the test part, or an earlier epoch")
    return table


def _as_numbers(texts: pd.Series) -> pd.Series:
    """Convert a column to numbers if every cell is numeric; NaN where a cell is empty."""
    numbers = pd.to_numeric(texts, errors="coerce")
    return texts if (numbers.isna() & (texts != "")).any() else numbers


def _are_distinct_numbers(texts: pd.Series) -> bool:
    """Return whether a column holds numbers, each written one way: `1` and `01` are two names."""
    distinct = pd.Series(texts.unique())
    numbers = pd.to_numeric(distinct, errors="coerce")
    return bool(numbers.notna().all() and numbers.is_unique)


def _class_codes(pairs: pd.DataFrame, where: str) -> np.ndarray:
    """Return `(rows, 2)` codes of labels and predictions, in the order of the sorted labels."""
    if not all(pd.api.types.is_numeric_dtype(pairs[name]) for name in pairs):
        # Compared as text: a table may write a class as "2" in one column and as 2 in the other.
        pairs = pairs.astype(str)
    values, codes = np.unique(pairs.to_numpy(), return_inverse=True)
    if len(values) > _MOST_CLASSES:
        raise InputError(f"{where}: has {len(values)} different labels; expected classes, not ratings")
    if not set(pairs["label"]) & set(pairs["prediction"]):
        raise InputError(f"{where}: no prediction is one of the labels ({', '.join(map(str, values[:6]))})")
    return codes.reshape(pairs.shape)


def check_predictions(predictions: pd.DataFrame, disjoint: Disjoint | None = None) -> list[Finding]:
    """Check a table of predictions for leakage, without training.

    Each row was tested in its `fold`; the rows of the other folds of that repetition are taken as its training set.

    Args:
        predictions: result of `read_predictions`, or a run's predictions.
        disjoint: claim of what training and test set do not share. Default: the claim of the protocol's name, if it is
            one of this package; otherwise inferred from the folds: where more than half of the subjects (or stimuli)
            are in a single fold each, none should be in two.

    Returns:
        Findings, leaks first.
    """
    found: list[Finding] = []
    for (protocol, target), rows in predictions.groupby(["protocol", "target"], sort=True):
        known = PROTOCOLS.get(protocol)
        claim = disjoint or (protocol_claim(known) if known else None) or apparent_claim(rows)
        mixes = known is None or known.scope == "across_subjects"
        checks = SplitChecks(claim, mixes, protocol, target)
        for _, block in rows.groupby("repetition"):
            table = block.reset_index(drop=True)
            contents = row_codes(table, ["content"]) if "content" in table else None
            fold = row_codes(table, ["fold"])
            for number in range(fold.max() + 1):
                train, test = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
                checks.fold(table, train, train[:0], test, contents)
            found += _fold_findings(table, fold, checks.place)
        found += checks.findings()
        if NUMBERED in rows:
            message = "the table has no times: overlapping windows and repeated rows are not checked"
            found.append(Finding("not checkable", "note", message, protocol, target))
        if known is not None:
            found += protocol_findings(known, target)
        once = rows.drop_duplicates([*trial_key(rows), "start_seconds"])
        found += label_findings(once, once["label"], protocol, target)
    return sorted_findings(_without_repeats(found))


def rescore(
    predictions: pd.DataFrame, n_permutations: int = 999, seed: int = 0, between: Between | None = None
) -> pd.DataFrame:
    """Score a table of predictions by window and by trial vote, over all rows and subject by subject.

    Args:
        predictions: result of `read_predictions`.
        n_permutations: number of permutations for the chance band: labels shuffled between the trials of a subject,
            with the predictions held fixed.
        seed: seed of the permutations.
        between: units whose labels are exchanged. Default: those of the protocol, if the name is one of this package;
            otherwise the trials of a subject.

    Returns:
        One row per protocol, target and unit (`"window"`, `"trial"`): number of units, accuracy and balanced accuracy
        (mean over subjects, the folds of a repetition pooled), the best constant, the chance band and p, and the
        difference from chance that is detectable with a power of 80 %.
    """
    # By votes: columns of probabilities depend on class names, which an external table need not hold.
    named = [name for name in predictions if str(name).startswith("probability_")]
    predictions = predictions.drop(columns=named)
    rows = []
    for (protocol, target), windows in predictions.groupby(["protocol", "target"], sort=True):
        windows = windows.drop_duplicates(["repetition", *_window_id(windows)])
        for unit, scored in (("window", windows), ("trial", trial_votes(windows, "vote"))):
            block = row_codes(scored, ["subject", "repetition"])
            scores = grouped_metrics(block, scored["label"].to_numpy(), scored["prediction"].to_numpy())
            owner = row_codes(scored, ["subject"])[np.unique(block, return_index=True)[1]]
            means = scores.groupby(owner).mean().mean()
            shares = crossed_counts(block, scored["label"].to_numpy(), 1 + int(scored["label"].max()))
            constant = shares.max(axis=1) / shares.sum(axis=1)
            own = permuted_between(PROTOCOLS[protocol]) if protocol in PROTOCOLS else "trials"
            chance = permutation_chance(scored, n_permutations, seed, between=between or own)
            rows.append(
                {
                    "protocol": protocol,
                    "target": target,
                    "unit": unit,
                    "n_subjects": scored["subject"].nunique(),
                    "n_units": len(scored) // scored["repetition"].nunique(),
                    "accuracy": means["accuracy"],
                    "balanced_accuracy": means["balanced_accuracy"],
                    "best_constant_accuracy": pd.Series(constant).groupby(owner).mean().mean(),
                    "chance_low": chance.low,
                    "chance_high": chance.high,
                    "chance_p_value": chance.p_value,
                    "detectable_difference": (
                        np.nan if np.isnan(chance.p_value) else detectable_by_permutation(chance.low, chance.high)
                    ),
                }
            )
    return pd.DataFrame(rows)


def _window_id(table: pd.DataFrame) -> list[str]:
    return [*trial_key(table), "start_seconds", "stop_seconds"]


def apparent_claim(rows: pd.DataFrame) -> Disjoint:
    """Infer what the folds of a table mostly keep disjoint."""
    claims: tuple[tuple[str, Disjoint], ...] = (("subject", "subjects"), ("stimulus", "stimuli"))
    for column, claim in claims:
        if column in rows and rows[column].nunique() > 1:
            n_folds = rows.groupby(["repetition", column])["fold"].nunique()
            if rows["fold"].nunique() > 1 and (n_folds == 1).mean() > 0.5:
                return claim
    return "trials"


def _fold_findings(table: pd.DataFrame, fold: np.ndarray, place: Mapping[str, Any]) -> Iterator[Finding]:
    """Report impossible folds of one repetition: a single fold, or a window in two folds."""
    if fold.max() == 0:
        message = "there is only one fold, so that no row is left to train on: was it tested on its training set?"
        yield Finding("test windows in training", "warning", message, **place)
    names = _window_id(table)
    faults: tuple[tuple[list[str], Severity, str], ...] = (
        ([], "leak", "are in two folds of one repetition, and so each in training and test set"),
        (["fold"], "warning", "occur twice in one fold, and count twice"),
    )
    for within, severity, text in faults:
        twice = table.duplicated([*names, *within])
        if not within:
            twice &= ~table.duplicated([*names, "fold"])
        if twice.any():
            row = table[twice].iloc[0]
            message = (
                f"{int(twice.sum())} windows {text} (a repeated cross-validation needs a column repetition); "
                f"first: subject {row['subject']}, trial {row['trial']}, {row['start_seconds']:g} to "
                f"{row['stop_seconds']:g} s"
            )
            yield Finding(
                "duplicated windows", severity, message, **place, n_windows=int(twice.sum()), n_tested=len(table)
            )


def _without_repeats(findings: Iterable[Finding]) -> list[Finding]:
    """Keep the first finding of each kind, severity, protocol and target."""
    first: dict[tuple[str, ...], Finding] = {}
    for one in findings:
        first.setdefault((one.kind, one.severity, one.protocol, one.target), one)
    return list(first.values())
