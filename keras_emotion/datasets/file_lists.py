"""Which files a recording is read from: what a fingerprint of it has to cover."""

from __future__ import annotations

import csv
from pathlib import Path

from keras_emotion.refusals import refusing_unreadable

BIDS_MARKER = "dataset_description.json"

_TABLES_OF_BIDS = ("channels", "coordsystem", "eeg", "electrodes", "events", "participants", "scans", "sessions")
"""What mne-bids reads beside a recording, by the last word of the name."""


def is_in_bids(path: Path, root: Path) -> bool:
    """Whether a file is one of a BIDS tree."""
    return (root / BIDS_MARKER).is_file() and path.name.startswith("sub-")


def bids_tables(path: Path, root: Path) -> list[Path]:
    """Tables in the folder of a recording and those above it that speak of it, as BIDS has them inherited.

    Those whose names contradict that of the recording in nothing: not in subject, session, task or run. The case of a
    task does not count: DENS (OpenNeuro ds003751) has `task-Emotion` in the names of recordings and `task-emotion` in
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
    """The table of events of a recording in a BIDS tree, `None` where there is none.

    Returns:
        `(file, is_found)`; mne-bids does not find it where its task is spelt in another case.
    """
    tables = [file for file in bids_tables(path, root) if file.name.endswith("_events.tsv")]
    if not tables:
        return None
    task = _task(path)
    # The one that says most of which recording it is of; of two that say as much, the one spelt alike.
    best = max(sorted(tables), key=lambda file: (len(_entities(file)), _task(file) == task))
    return best, _task(best) in ("", task)


def units_in_bids(path: Path, root: Path) -> dict[str, str]:
    """Units by name of the channel in the table of channels of a recording in a BIDS tree, as spelt."""
    tables = [file for file in bids_tables(path, root) if file.name.endswith("channels.tsv")]
    if not tables:
        return {}
    # The one that says most of which recording it is of.
    table = max(tables, key=lambda file: len(_entities(file)))
    with refusing_unreadable(table), table.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    return {row["name"]: row["units"] for row in rows if row.get("name") and row.get("units")}


def _task(path: Path) -> str:
    """The task in a name, as spelt."""
    return next((part.removeprefix("task-") for part in path.name.split("_") if part.startswith("task-")), "")


def _entities(path: Path) -> dict[str, str]:
    parts = (part.partition("-") for part in path.name.partition(".")[0].split("_"))
    return {name: value.casefold() if name == "task" else value for name, dash, value in parts if dash}
