"""Shared code of SEED, SEED-IV, SEED-V and SEED-VII: channels, variables, lists of labels."""

from __future__ import annotations

import csv
import dataclasses
import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_emotion.datasets.matlab import read_variables
from keras_emotion.datasets.reader import group_by_trial
from keras_emotion.datasets.spreadsheet import read_first_sheet
from keras_emotion.schema import InputError

FACTS_FOLDER = Path(__file__).parent / "facts"


def read_facts(name: str) -> dict[str, Any]:
    """Read `facts/<name>.json`."""
    return json.loads((FACTS_FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def read_names(table: str) -> tuple[str, ...]:
    """Read the column `name` of `facts/<table>.csv`."""
    with (FACTS_FOLDER / f"{table}.csv").open(encoding="utf-8", newline="") as file:
        return tuple(row["name"] for row in csv.DictReader(file))


CHANNEL_NAMES = read_names("seed_channels")
"""The 62 channels in file order, with their 10-10 spelling (`"Fpz"` for FPZ)."""


@dataclasses.dataclass(frozen=True)
class Contents:
    """Content of a file, by its headers.

    Args:
        trials: the readable trials, sorted.
        initials: prefix of the variable names; may be empty.
        faults: problems that make the file unusable.
        flaws: other problems: missing trials, and trials that are not read.
    """

    trials: tuple[int, ...]
    initials: str
    faults: tuple[str, ...]
    flaws: tuple[str, ...]


def contents_of(
    expected: Sequence[int],
    found: Collection[int],
    faults: Mapping[int, Sequence[str]],
    example: str,
    variables: Collection[str] = (),
    initials: str = "",
) -> Contents:
    """Check the trials that were found in a file.

    Args:
        expected: the trials of a complete file.
        found: the trials in the file.
        faults: problems of each trial, by its number.
        example: example of a valid variable name.
        variables: names of the variables in the file.
        initials: prefix of the variable names.
    """
    if not found:
        names = ", ".join(list(variables)[:5]) or "none"
        return Contents((), "", (f"no variables like {example}; found {names}; copy the file again",), ())
    flaws = []
    expected_text = f"expected {expected[0]} to {expected[-1]}"
    if missing := [trial for trial in expected if trial not in found]:
        flaws.append(f"missing trial {', '.join(map(str, missing))}; {expected_text}")
    if extra := sorted(set(found) - set(expected)):
        flaws.append(f"trial {', '.join(map(str, extra))} is not read; {expected_text}")
    usable = tuple(trial for trial in expected if trial in found and trial not in faults)
    lines = group_by_trial({trial: faults[trial] for trial in sorted(faults)})
    return Contents(usable, initials, lines, tuple(flaws))


def describe_several_subjects(numbers_by_initials: Mapping[str, Sequence[int]]) -> str:
    """Describe a file that has trials under the initials of several subjects; empty if it does not.

    Args:
        numbers_by_initials: the trials of a file by the prefix of their variable names.
    """
    if len(numbers_by_initials) < 2:
        return ""
    listed = "; ".join(
        f"{one}: trial {', '.join(map(str, numbers_by_initials[one]))}" for one in sorted(numbers_by_initials)
    )
    n_persons = len(numbers_by_initials)
    return f"variables with the initials of {n_persons} subjects ({listed}); expected one; copy the file again"


def read_numbers(path: Path, variables: Sequence[str], axes: tuple[str, ...]) -> list[np.ndarray]:
    """Read numeric variables with the given axes from a MATLAB file.

    Raises:
        InputError: a variable is missing or invalid.
    """
    arrays = read_variables(path, variables)
    for variable in variables:
        array = arrays.get(variable)
        if array is None or array.dtype.kind not in "fiu" or array.ndim != len(axes):
            found = "missing" if array is None else f"{array.dtype} {array.shape}"
            raise InputError(f"{path}: `{variable}` is {found}; expected numbers of shape ({', '.join(axes)})")
    return [arrays[variable] for variable in variables]


def differences(labels: Sequence[int], others: Sequence[int]) -> str:
    """Describe up to three trials with different labels; empty if there are none.

    Example:
        >>> differences([1, 0, -1], [1, 1, -1])
        'trial 2 is 0, expected 1'
    """
    different = [
        f"trial {trial} is {own}, expected {other}"
        for trial, (own, other) in enumerate(zip(labels, others, strict=True), 1)
        if own != other
    ]
    more = f" and {len(different) - 3} more" if len(different) > 3 else ""
    return ", ".join(different[:3]) + more


def channel_differences(path: Path) -> str:
    """Describe how a list of channels differs from `CHANNEL_NAMES`; empty if it does not.

    Raises:
        InputError: the file cannot be read.
    """
    found = [str(row[0]).strip() for row in read_first_sheet(path) if row[0] is not None]
    wrong = [
        f"row {row} is {name}, expected {expected.upper()}"
        for row, (name, expected) in enumerate(zip(found, CHANNEL_NAMES, strict=False), 1)
        if name.upper() != expected.upper()
    ]
    if not wrong and len(found) == len(CHANNEL_NAMES):
        return ""
    more = [f"and {len(wrong) - 3} more"] if len(wrong) > 3 else []
    return ", ".join([f"{len(found)} names", *wrong[:3], *more])
