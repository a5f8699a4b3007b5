"""Numbers as printed in a paper: `keras_emotion/papers/*.csv`."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from keras_emotion.evaluation import METRICS
from keras_emotion.schema import InputError
from keras_emotion.tables import read_text_table, reading_csv

PAPER_COLUMNS = ("table", "dataset", "variant", "target", "metric", "value", "standard_deviation", "note")
"""Columns of a file of the numbers that a paper prints. `value` and `standard_deviation` are in percent; `note` marks
printed values that are garbled or contradictory."""

CLASSES_COLUMN = "n_classes"
"""Optional last column of such a file (see `PAPER_COLUMNS`): number of classes, for papers that print a target with
different label rules."""

_KEYS = list(PAPER_COLUMNS[:5])


def paper_numbers(
    path: Path | str, dataset: str | None = None, table: int | str | None = None, variant: str | None = None
) -> pd.DataFrame:
    """Read the printed numbers of a paper, or some of them.

    Args:
        path: csv file with the columns `PAPER_COLUMNS`, and optionally `CLASSES_COLUMN`.
        dataset: rows of this dataset only (`"deap"`).
        table: rows of this table of the paper only.
        variant: rows of this line of a table only, named as printed (`"With raw EEG signals"`).

    Returns:
        `PAPER_COLUMNS` and `CLASSES_COLUMN`, in the order of the file: `value` and `standard_deviation` float64 (NaN
        where none is printed), the number of classes Int64 (missing in files without it), the others strings. Empty if
        the paper prints no such numbers.

    Raises:
        InputError: the file is missing or cannot be parsed, has other columns, an empty field, an unknown metric,
            the same number twice, a value outside 0 to 100, or a number of classes below 2.
    """
    path = Path(path)
    numbers = read_text_csv(path, "a csv of a paper's numbers")
    if tuple(numbers.columns) not in (PAPER_COLUMNS, (*PAPER_COLUMNS, CLASSES_COLUMN)):
        raise InputError(
            f"{path}: has the columns {', '.join(numbers.columns)}; expected {', '.join(PAPER_COLUMNS)}, and "
            f"{CLASSES_COLUMN} or not"
        )

    refuse = functools.partial(refuse_rows, path)
    for column in [*_KEYS, "value"]:
        refuse(numbers[column].str.strip() == "", f"{column} is empty")
    refuse(~numbers["metric"].isin(METRICS), f"metric is none of {', '.join(METRICS)}")
    refuse(numbers.duplicated(_KEYS), f"the same {', '.join(_KEYS)} as on a line before")
    for column in ("value", "standard_deviation"):
        printed = numbers[column].str.strip() != ""
        numbers[column] = pd.to_numeric(numbers[column], errors="coerce")
        refuse(printed & ~numbers[column].between(0, 100), f"{column} is no number from 0 to 100 (percent)")
    if CLASSES_COLUMN in numbers:
        refuse(~numbers[CLASSES_COLUMN].str.fullmatch(r"[2-9]|[1-9]\d"), f"{CLASSES_COLUMN} is no number from 2 to 99")
        numbers[CLASSES_COLUMN] = numbers[CLASSES_COLUMN].astype("Int64")
    else:
        numbers[CLASSES_COLUMN] = pd.array([pd.NA] * len(numbers), dtype="Int64")
    for column, wanted in (("dataset", dataset), ("table", table), ("variant", variant)):
        if wanted is not None:
            numbers = numbers[numbers[column] == str(wanted)]
    return numbers.reset_index(drop=True)


def read_text_csv(path: Path, expected: str) -> pd.DataFrame:
    """Read a csv file with all cells as strings.

    Args:
        path: the file.
        expected: the expected content, for the error.

    Raises:
        InputError: the file is missing or cannot be parsed.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file; expected {expected}")
    with reading_csv(path, "{path}: not readable as csv: {reason}"):
        return read_text_table(path, dtype=str, keep_default_na=False)


def refuse_rows(path: Path, wrong: pd.Series, what: str) -> None:
    """Refuse a csv file with invalid rows.

    Args:
        path: the file.
        wrong: mask of the invalid rows.
        what: the problem.

    Raises:
        InputError: there are invalid rows; the message names the line of the first.
    """
    if wrong.any():
        # Line 1 of the file is the header.
        raise InputError(f"{path}: line {wrong.argmax() + 2}: {what}")


def numbers_of_classes(numbers: pd.DataFrame, n_classes: Mapping[str, int]) -> pd.DataFrame:
    """Rows of a paper whose targets have the same number of classes as in a run.

    Args:
        numbers: rows of `paper_numbers`.
        n_classes: number of classes by target; rows of other targets are left out.
    """
    numbers = numbers[numbers["target"].isin(tuple(n_classes))]
    if CLASSES_COLUMN not in numbers:
        return numbers
    is_other = (numbers[CLASSES_COLUMN] != numbers["target"].map(n_classes)).fillna(False).astype(bool)
    return numbers[~is_other]
