"""What the files of SEED, SEED-IV, SEED-V and SEED-VII have in common: channels, variables, lists of labels."""

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
"""The 62 channels in the order of the rows of the files, as the 10-10 system spells them (`"Fpz"` for FPZ)."""


@dataclasses.dataclass(frozen=True)
class Contents:
    """What the headers of a file tell.

    Args:
        trials: the trials that can be read, sorted.
        initials: what the names of variables begin with; empty where they begin with none.
        faults: what makes the file unusable.
        flaws: what does not: missing trials, and trials that are not read.
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
    """Return the contents of a file from the trials that were found in it.

    Args:
        expected: the trials that a whole file has.
        found: the trials in the file.
        faults: what is wrong with a trial, by its number.
        example: name of a variable as it should be.
        variables: names of the variables in the file.
        initials: what the names of variables begin with.
    """
    if not found:
        names = ", ".join(list(variables)[:5]) or "none"
        return Contents((), "", (f"no variables like {example}; found {names}; copy the file again",), ())
    flaws = []
    expected_text = f"expected {expected[0]} to {expected[-1]}"
    if missing := [trial for trial in expected if trial not in found]:
        flaws.append(f"no trial {', '.join(map(str, missing))}; {expected_text}")
    if extra := sorted(set(found) - set(expected)):
        flaws.append(f"trial {', '.join(map(str, extra))} is not read; {expected_text}")
    usable = tuple(trial for trial in expected if trial in found and trial not in faults)
    lines = group_by_trial({trial: faults[trial] for trial in sorted(faults)})
    return Contents(usable, initials, lines, tuple(flaws))


def several_persons(numbers_by_initials: Mapping[str, Sequence[int]]) -> str:
    """Say that a file holds trials under the initials of several persons; empty where it does not.

    Args:
        numbers_by_initials: the trials in a file by what the names of their variables begin with.
    """
    if len(numbers_by_initials) < 2:
        return ""
    listed = "; ".join(
        f"{one}: trial {', '.join(map(str, numbers_by_initials[one]))}" for one in sorted(numbers_by_initials)
    )
    n_persons = len(numbers_by_initials)
    return f"variables with the initials of {n_persons} persons ({listed}); expected one; copy the file again"


def read_numbers(path: Path, variables: Sequence[str], axes: tuple[str, ...]) -> list[np.ndarray]:
    """Read some variables of a MATLAB file, arrays of numbers with these axes.

    Raises:
        InputError: one is missing, or something else.
    """
    arrays = read_variables(path, variables)
    for variable in variables:
        array = arrays.get(variable)
        if array is None or array.dtype.kind not in "fiu" or array.ndim != len(axes):
            found = "not there" if array is None else f"{array.dtype} {array.shape}"
            raise InputError(f"{path}: `{variable}` is {found}; expected numbers of shape ({', '.join(axes)})")
    return [arrays[variable] for variable in variables]


def differences(labels: Sequence[int], others: Sequence[int]) -> str:
    """Name up to three trials whose labels differ; empty where none do.

    Example:
        >>> differences([1, 0, -1], [1, 1, -1])
        'trial 2 is 0, not 1'
    """
    different = [
        f"trial {trial} is {own}, not {other}"
        for trial, (own, other) in enumerate(zip(labels, others, strict=True), 1)
        if own != other
    ]
    more = f" and {len(different) - 3} more" if len(different) > 3 else ""
    return ", ".join(different[:3]) + more


def channel_differences(path: Path) -> str:
    """Say how a list of channels differs from `CHANNEL_NAMES`; empty where it does not.

    Raises:
        InputError: the file cannot be read.
    """
    found = [str(row[0]).strip() for row in read_first_sheet(path) if row[0] is not None]
    wrong = [
        f"row {row} is {name}, not {expected.upper()}"
        for row, (name, expected) in enumerate(zip(found, CHANNEL_NAMES, strict=False), 1)
        if name.upper() != expected.upper()
    ]
    if not wrong and len(found) == len(CHANNEL_NAMES):
        return ""
    more = [f"and {len(wrong) - 3} more"] if len(wrong) > 3 else []
    return ", ".join([f"{len(found)} names", *wrong[:3], *more])
