"""Reference of a run (paper or full-size experiment), stored in its folder for later reports."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pandas as pd

from keras_emotion.experiment.records import RunFolder
from keras_emotion.json_files import DamagedFile, read_json
from keras_emotion.reports.paper import CLASSES_COLUMN, PAPER_COLUMNS

FILE = "compared_with.json"
"""File in the run folder; not part of the identity of the run."""


@dataclasses.dataclass(frozen=True, eq=False)
class ComparedWith:
    """Reference that a run is compared with.

    Args:
        reproduction: name of the reproduction.
        reference: what `differences` compares with.
        differences: differences of the run from `reference`, one line each.
        printed: numbers as printed, rows of `paper_numbers`; `None` if there are none.
    """

    reproduction: str = ""
    reference: str = "the full-size experiment"
    differences: tuple[str, ...] = ()
    printed: pd.DataFrame | None = None

    def write(self, folder: RunFolder) -> None:
        """Write it to the folder of a run."""
        rows = None if self.printed is None else [_plain(row) for row in self.printed.to_dict("records")]
        content = {
            "reproduction": self.reproduction,
            "reference": self.reference,
            "differences": list(self.differences),
            "printed": rows,
        }
        folder.write_json(FILE, content)

    @classmethod
    def read(cls, folder: RunFolder) -> ComparedWith:
        """Read it from the folder of a run; empty for runs of earlier versions, which have no such file.

        Raises:
            InputError: the file is damaged.
        """
        path = folder.path / FILE
        if not path.is_file():
            return cls()
        content, _ = read_json(path)
        try:
            rows = content["printed"]
            printed = None if rows is None else _table(rows)
            return cls(content["reproduction"], content["reference"], tuple(content["differences"]), printed)
        except (KeyError, TypeError, ValueError) as error:
            raise DamagedFile(path, f"does not say what the run is compared with ({error})", "run it again") from None


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {name: None if pd.isna(value) else value for name, value in row.items()}


def _table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=[*PAPER_COLUMNS, CLASSES_COLUMN])
    numbers = {name: pd.to_numeric(table[name]).astype(np.float64) for name in ("value", "standard_deviation")}
    return table.assign(**numbers, **{CLASSES_COLUMN: table[CLASSES_COLUMN].astype("Int64")})
