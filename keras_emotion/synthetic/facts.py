"""Facts about datasets, from the data files that the readers also use.

Only the files are shared: reader and writer have separate code, so that an error in one is not hidden by the other.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from keras_emotion import __version__

MARKER_FILE = "synthetic.json"
"""Marker file in the root of synthetic data: the writer and its parameters; readers recognise synthetic data by it."""

_FOLDER = Path(__file__).parents[1] / "datasets" / "facts"


def read_facts(dataset: str) -> dict[str, Any]:
    """Read counts, rates, orders and codes of a dataset."""
    return json.loads((_FOLDER / f"{dataset}.json").read_text(encoding="utf-8"))


def read_channels(dataset: str) -> pd.DataFrame:
    """Read one row per channel, in the dataset's order: `name`, `unit` and further columns of its file."""
    return pd.read_csv(_FOLDER / f"{dataset}_channels.csv", dtype=str)


def read_table(name: str) -> pd.DataFrame:
    """Read a table of facts with numeric columns."""
    return pd.read_csv(_FOLDER / f"{name}.csv")


def write_marker(root: Path, **parameters: Any) -> None:
    """Mark a folder as synthetic, with the parameters of its writer."""
    content = {"written_by": f"keras_emotion {__version__}", **parameters}
    (root / MARKER_FILE).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def check_files(files: Sequence[str], available: tuple[str, ...]) -> None:
    """Refuse kinds of files that a writer does not have, and an empty choice.

    Raises:
        ValueError: a kind is unknown, or there is none.
    """
    if not files or not set(files) <= set(available):
        raise ValueError(f"`files` is {tuple(files)}; expected some of {available}")
