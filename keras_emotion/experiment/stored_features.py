"""Find which runs use which entries of a feature store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from keras_emotion.experiment.records import STORED_FEATURES
from keras_emotion.json_files import DamagedFile, read_json
from keras_emotion.pipelines import StoreEntry

_DEPTH = 3
"""Depth of run folders: in the folder of the runs, in that of a table of methods, or as the audit of one of those."""


def runs_of_entries(entries: Sequence[StoreEntry], runs: Path) -> Mapping[Path, tuple[Path, ...]]:
    """Return the run folders that use each entry, as far as recorded; runs of earlier versions have no record.

    Args:
        entries: the entries.
        runs: folder that holds run folders.

    Returns:
        Run folders by the path of the entry; none for entries without known runs.
    """
    used: dict[Path, dict[Path, None]] = {entry.path.resolve(): {} for entry in entries}
    made_of = {entry.path.resolve(): [path.resolve() for path in entry.made_of] for entry in entries}
    for depth in range(1, _DEPTH + 1):
        for file in sorted(runs.glob("/".join([*["*"] * depth, STORED_FEATURES]))):
            try:
                folders = [Path(folder).resolve() for folder in read_json(file)[0]["folders"]]
            except (DamagedFile, OSError, KeyError, TypeError):
                continue
            # Entries from which features were computed, or that contain them, are used, too: a run requires them at
            # start.
            while folders:
                folder = folders.pop()
                if folder in used and file.parent not in used[folder]:
                    used[folder][file.parent] = None
                    folders += made_of[folder]
    return {entry.path: tuple(used[entry.path.resolve()]) for entry in entries}
