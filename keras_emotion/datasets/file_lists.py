"""List the files that a recording is read from, which its fingerprint has to cover."""

from __future__ import annotations

import csv
from pathlib import Path

from keras_emotion.refusals import refusing_unreadable

BIDS_MARKER = "dataset_description.json"

_TABLES_OF_BIDS = ("channels", "coordsystem", "eeg", "electrodes", "events", "participants", "scans", "sessions")
"""Sidecar files of a recording that mne-bids reads, by the last word of their names."""


def is_in_bids(path: Path, root: Path) -> bool:
    """Return whether a file is in a BIDS tree."""
    return (root / BIDS_MARKER).is_file() and path.name.startswith("sub-")


def bids_tables(path: Path, root: Path) -> list[Path]:
    """Return the tables that apply to a recording by BIDS inheritance, in its folder and the folders above.

    A table applies unless its name contradicts that of the recording in subject, session, task or run. The task is
    case-insensitive: DENS (OpenNeuro ds003751) has `task-Emotion` in the names of recordings and `task-emotion` in
    those of their tables.
    """
    own = _entities(path)
    found = [root / BIDS_MARKER]
    for folder in (root / above for above in path.relative_to(root).parents):
        for file in folder.iterdir():
            word = file.stem.rpartition("_")[2]
            if file.suffix not in (".tsv", ".json") or word not in _TABLES_OF_BIDS or not file.is_file():
                continue
            if all(own.get(name, value) == value for name, value in _entities(file).items()):
                found.append(file)
    return found


def events_in_bids(path: Path, root: Path) -> tuple[Path, bool] | None:
    """Return the event table of a recording in a BIDS tree, `None` if there is none.

    Returns:
        `(file, is_found)`; mne-bids does not find a file whose task differs in case.
    """
    tables = [file for file in bids_tables(path, root) if file.name.endswith("_events.tsv")]
    if not tables:
        return None
    task = _task(path)
    # The most specific table; of two equally specific ones, that with the same spelling.
    best = max(sorted(tables), key=lambda file: (len(_entities(file)), _task(file) == task))
    return best, _task(best) in ("", task)


def units_in_bids(path: Path, root: Path) -> dict[str, str]:
    """Return the units in the channel table of a recording in a BIDS tree, by channel name, as spelled."""
    tables = [file for file in bids_tables(path, root) if file.name.endswith("channels.tsv")]
    if not tables:
        return {}
    # The most specific table.
    table = max(tables, key=lambda file: len(_entities(file)))
    with refusing_unreadable(table), table.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    return {row["name"]: row["units"] for row in rows if row.get("name") and row.get("units")}


def _task(path: Path) -> str:
    """Return the task in a file name, as spelled."""
    return next((part.removeprefix("task-") for part in path.name.split("_") if part.startswith("task-")), "")


def _entities(path: Path) -> dict[str, str]:
    parts = (part.partition("-") for part in path.name.partition(".")[0].split("_"))
    return {name: value.casefold() if name == "task" else value for name, dash, value in parts if dash}
