"""The command `keras-emotion store`: list and prune the feature store."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from keras_emotion.cli.interruptions import on_interruption
from keras_emotion.cli.output import make_console, print_json
from keras_emotion.options import Option
from keras_emotion.schema import InputError

if TYPE_CHECKING:
    from keras_emotion.pipelines import StoreEntry

_DAY_SECONDS = 24 * 3600

_UNKNOWN = "unknown"


@dataclasses.dataclass(frozen=True)
class Store:
    """List the feature store, or prune it.

    For each entry the runs that use it, its dataset, features, size and last use are listed. Runs record the
    entries that they use; entries of earlier versions and of runs in other folders belong to an unknown run. Pruning
    deletes only entries; a run that needs a deleted entry computes it again. Pruning is refused while a run uses the
    store.

    Args:
        folder: the feature store.
        runs: folder with the run folders; by default the parent of the store.
        prune: delete the entries that --older-than and --unused select.
        older_than: select entries that were last used more than this many days ago.
        unused: select entries that no run in --runs uses and that were not used in the last day.
        dry_run: list the selected entries, and delete nothing.
        json: print one JSON object in place of a table.

    Examples:
        keras-emotion store
        keras-emotion store --prune --older-than 30 --dry-run
    """

    folder: Annotated[Path, Option(positional=True)] = Path("runs/features")
    runs: Path | None = None
    prune: bool = False
    older_than: Annotated[float | None, Option(metavar="DAYS")] = None
    unused: bool = False
    dry_run: bool = False
    json: bool = False

    @on_interruption("entries are deleted completely or not at all; start again: {command}")
    def run(self) -> int:
        """List or prune, and return the exit code."""
        from keras_emotion.experiment.stored_features import runs_of_entries
        from keras_emotion.pipelines import FeatureStore

        self._check()
        store, now = FeatureStore(self.folder), time.time()
        # Check that it is a store before a lock is written to it.
        entries = store.entries()
        if not self.prune:
            self._print(entries, runs_of_entries(entries, self._runs), now)
            return 0
        with store.alone():
            entries = store.entries()
            runs = runs_of_entries(entries, self._runs)
            chosen = [entry for entry in entries if self._selects(entry, bool(runs[entry.path]), now)]
            for entry in chosen if not self.dry_run else ():
                store.remove(entry)
        self._print(chosen, runs, now, "would be deleted" if self.dry_run else "deleted")
        return 0

    @property
    def _runs(self) -> Path:
        return self.folder.absolute().parent if self.runs is None else self.runs

    def _check(self) -> None:
        if self.older_than is not None and not 0 <= self.older_than < math.inf:
            raise InputError(f"--older-than {self.older_than}: expected a number of days, 0 or more")
        if self.prune and self.older_than is None and not self.unused:
            raise InputError("--prune: expected --older-than DAYS or --unused, which select the entries to delete")
        if not self.prune and (self.older_than is not None or self.unused or self.dry_run):
            raise InputError("--older-than, --unused and --dry-run: need --prune; add it")
        if self.runs is not None and not self.runs.is_dir():
            raise InputError(f"--runs {self.runs}: no such folder; expected one that holds run folders")

    def _selects(self, entry: StoreEntry, has_run: bool, now: float) -> bool:
        age = now - entry.last_used
        if self.unused and (has_run or age < _DAY_SECONDS):
            return False
        return self.older_than is None or age >= self.older_than * _DAY_SECONDS

    def _print(
        self,
        entries: Sequence[StoreEntry],
        runs: Mapping[Path, tuple[Path, ...]],
        now: float,
        done: str = "",
    ) -> None:
        n_bytes = sum(entry.n_bytes for entry in entries)
        if self.json:
            print_json(
                folder=str(self.folder),
                entries=[_as_json(entry, runs[entry.path], now) for entry in entries],
                n_bytes=n_bytes,
                **({"pruned": not self.dry_run} if self.prune else {}),
            )
            return
        if entries:
            make_console().print(_table(entries, runs, now, self._runs), crop=False)
        number = f"{len(entries)} entr{'y' if len(entries) == 1 else 'ies'}, {readable_size(n_bytes)}"
        print(f"{self.folder}: {number}{f' {done}' if done else ''}")


def readable_size(n_bytes: float) -> str:
    """Format a size in the largest decimal unit in which it is at least 1.

    Example:
        >>> readable_size(999), readable_size(12_345_678)
        ('999 B', '12.3 MB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if n_bytes < 999.5:
            return f"{n_bytes:.0f} B" if unit == "B" else f"{n_bytes:.3g} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.3g} TB"


def _as_json(entry: StoreEntry, runs: Sequence[Path], now: float) -> dict[str, Any]:
    return {
        "path": str(entry.path),
        "runs": [str(run) for run in runs],
        "dataset": entry.dataset,
        "subject": entry.subject,
        "features": entry.part,
        "n_bytes": entry.n_bytes,
        "last_used": datetime.fromtimestamp(entry.last_used, UTC).isoformat(timespec="seconds"),
        "age_days": round((now - entry.last_used) / _DAY_SECONDS, 3),
        "is_damaged": entry.is_damaged,
    }


def _table(entries: Sequence[StoreEntry], runs: Mapping[Path, tuple[Path, ...]], now: float, folder: Path) -> Any:
    """One row for all entries of the same runs, dataset and features."""
    import rich.box
    from rich.table import Table
    from rich.text import Text

    groups: dict[tuple[str, str, str], list[StoreEntry]] = {}
    for entry in entries:
        names = ", ".join(str(_below(run, folder)) for run in runs[entry.path]) or _UNKNOWN
        kind = ("damaged", "-", "-") if entry.is_damaged else (names, entry.dataset or "-", entry.part)
        groups.setdefault(kind, []).append(entry)
    table = Table(box=rich.box.SIMPLE_HEAD)
    for heading in ("run", "dataset", "features", "entries", "size", "last used"):
        table.add_column(heading, overflow="fold", justify="right" if heading in ("entries", "size") else "left")
    for kind, own in groups.items():
        days = (now - max(entry.last_used for entry in own)) / _DAY_SECONDS
        last_used = f"{days:.0f} days ago" if days >= 1.5 else f"{max(days, 0) * 24:.0f} hours ago"
        size = readable_size(sum(entry.n_bytes for entry in own))
        table.add_row(*(Text(word) for word in (*kind, str(len(own)), size, last_used)))
    return table


def _below(path: Path, folder: Path) -> Path:
    return path.relative_to(folder) if path.is_relative_to(folder) else path
