"""Facts of data sets, from the data files that the readers go by too.

Only the files are shared: reader and writer each have their own code, so that no mistake of one hides in the other.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

from keras_emotion import __version__

MARKER_FILE = "synthetic.json"
"""File left in the root of what is written: what wrote it, with which parameters. By it a reader knows the data."""

_FOLDER = Path(__file__).parents[1] / "datasets" / "facts"


def read_facts(dataset: str) -> dict[str, Any]:
    """Counts, rates, orders and codes of a data set."""
    return json.loads((_FOLDER / f"{dataset}.json").read_text(encoding="utf-8"))


def read_channels(dataset: str) -> pd.DataFrame:
    """A row for each channel, in the order of the data set: `name`, `unit` and what else its file has."""
    return pd.read_csv(_FOLDER / f"{dataset}_channels.csv", dtype=str)


def read_table(name: str) -> pd.DataFrame:
    """A table of facts, numbers as numbers."""
    return pd.read_csv(_FOLDER / f"{name}.csv")


def write_marker(root: Path, **parameters: Any) -> None:
    """Marks a folder as synthetic, with the parameters it was written with."""
    content = {"written_by": f"keras_emotion {__version__}", **parameters}
    (root / MARKER_FILE).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
