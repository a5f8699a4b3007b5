"""List of the runs in a folder."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import rich.box
from rich.table import Table
from rich.text import Text

from keras_emotion.evaluation import comparable_subjects, summarise
from keras_emotion.experiment.records import RunFolder
from keras_emotion.reports.numbers import (
    N_PERMUTATIONS,
    SYNTHETIC_MARK,
    NoSubjectLeft,
    RunTables,
    read_configuration,
    read_tables,
)
from keras_emotion.reports.tables import percent
from keras_emotion.schema import InputError


@dataclasses.dataclass(frozen=True)
class Headline:
    """Main result of a finished run for one target.

    Args:
        target: the target.
        protocol: the first protocol without flags or, without any, the first protocol.
        flags: flags of the protocol.
        accuracy: mean over subjects (0 to 1), the same as in the report of the run.
        chance_low: lower end of the 95 % chance band.
        chance_high: upper end.
        n_subjects: number of subjects.
    """

    target: str
    protocol: str
    flags: tuple[str, ...]
    accuracy: float
    chance_low: float
    chance_high: float
    n_subjects: int


@dataclasses.dataclass(frozen=True)
class ListedRun:
    """Run in a folder. A damaged one may have only `path` and `problem`.

    Args:
        path: its folder.
        name: name of the reproduction.
        identity: hash of its configuration.
        dataset: name of the dataset.
        mark: warning of synthetic data; empty for real data.
        protocols: names of its protocols.
        targets: its targets.
        started: date and time, ISO 8601; empty if not recorded.
        n_jobs_finished: number of finished jobs.
        n_jobs_failed: number of jobs whose training diverged.
        is_finished: whether all jobs are finished.
        headline: main results of a finished run, one for each target.
        notes: problems of the records of its jobs (damaged ones), one line each.
        problem: why the folder cannot be read; empty if it can.
        is_readable: whether this user may read the folder.
    """

    path: Path
    name: str = ""
    identity: str = ""
    dataset: str = ""
    mark: str = ""
    protocols: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    started: str = ""
    n_jobs_finished: int = 0
    n_jobs_failed: int = 0
    is_finished: bool = False
    headline: tuple[Headline, ...] = ()
    notes: tuple[str, ...] = ()
    problem: str = ""
    is_readable: bool = True

    @property
    def progress(self) -> str:
        """Progress in words."""
        if self.problem:
            return "damaged" if self.is_readable else "not readable"
        jobs = f"{self.n_jobs_finished} job{'' if self.n_jobs_finished == 1 else 's'} done"
        jobs += f", {self.n_jobs_failed} failed" if self.n_jobs_failed else ""
        return f"finished, {jobs}" if self.is_finished else f"interrupted or running, {jobs}"


def list_runs(folder: Path) -> list[ListedRun]:
    """List the runs in a folder: the folder itself and its subfolders, if they hold a `config.json`.

    Args:
        folder: the folder.

    Returns:
        The runs, oldest first; runs without a date last, by name.

    Raises:
        InputError: there is no such folder.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; expected one that holds run folders")
    runs = []
    for path in (folder, *sorted(folder.iterdir())):
        try:
            if (path / "config.json").is_file():
                runs.append(_listed(RunFolder(path)))
        except PermissionError as error:
            # A folder of another user: list the others nevertheless.
            runs.append(ListedRun(path, problem=f"cannot be read: {error.strerror}", is_readable=False))
    return sorted(runs, key=lambda run: (not run.started, run.started, run.path))


def rendered_runs(runs: Sequence[ListedRun]) -> Table:
    """The runs as a table for the terminal."""
    marks = dict.fromkeys(run.mark for run in runs if run.mark)
    table = Table(box=rich.box.SIMPLE_HEAD, caption=Text("\n".join(marks)), caption_justify="left", caption_style="")
    for heading in ("run", "data", "protocols", "targets", "progress", "accuracy, % (chance band)", "started (UTC)"):
        table.add_column(heading, overflow="fold")
    for run in runs:
        name = run.path.resolve().name
        # Plain text: names of folders and reasons may contain markup.
        table.add_row(
            Text(name if run.name in name else f"{name}\n{run.name}"),
            Text(f"{run.dataset}\nsynthetic" if run.mark else run.dataset, style="yellow" if run.mark else ""),
            Text("\n".join(run.protocols)),
            Text("\n".join(run.targets)),
            Text(run.progress.replace(", ", "\n"), style="red" if run.problem else ""),
            Text(run.problem, style="red") if run.problem else _headline_text(run),
            Text(run.started[:16].replace("T", " ")),
        )
    return table


def runs_as_json(folder: Path, runs: Sequence[ListedRun]) -> dict[str, Any]:
    """The runs as JSON-able values."""
    return {
        "folder": str(folder),
        "runs": [{**dataclasses.asdict(run), "path": str(run.path), "progress": run.progress} for run in runs],
    }


def _listed(folder: RunFolder) -> ListedRun:
    try:
        identity, science, data = read_configuration(folder)
        run = ListedRun(
            path=folder.path,
            name=str(science["name"]),
            identity=str(identity),
            dataset=str(data["dataset"]),
            mark=SYNTHETIC_MARK if data["synthetic"] else "",
            protocols=tuple(protocol["name"] for protocol in science["protocols"]),
            targets=tuple(science["targets"]),
            started=_started(folder),
            is_finished=folder.is_finished,
        )
        jobs = folder.check_jobs()
        run = dataclasses.replace(
            run,
            n_jobs_finished=len(jobs.finished) - len(jobs.failed),
            n_jobs_failed=len(jobs.failed),
            notes=tuple(jobs.notes),
        )
        try:
            return dataclasses.replace(run, headline=_headline(read_tables(folder, jobs))) if run.is_finished else run
        except NoSubjectLeft:
            return run
    except InputError as error:
        return ListedRun(folder.path, problem=str(error))
    except OSError as error:
        return ListedRun(folder.path, problem=f"{error.filename or folder.path}: cannot be read: {error.strerror}")


def _started(folder: RunFolder) -> str:
    # Written when the first job starts: a run that was interrupted earlier has none.
    if not (folder.path / "environment.json").is_file():
        return ""
    return str(folder.environment.get("started", ""))


def _headline(tables: RunTables) -> tuple[Headline, ...]:
    protocols = tables.scientific_config["protocols"]
    chosen = next((protocol for protocol in protocols if not protocol["flags"]), protocols[0])
    predictions = tables.predictions
    comparable = comparable_subjects(predictions)
    kept = comparable.loc[comparable["comparable"], ["target", "subject"]]
    rows = predictions[predictions["protocol"] == chosen["name"]].merge(kept, on=["target", "subject"])
    if rows.empty:
        return ()
    # Computed as in the report, so that the numbers are the same; intervals are not shown.
    overall = summarise(
        rows, tables.training_majority, tables.scored_unit, n_permutations=N_PERMUTATIONS, n_resamples=1
    ).overall
    accuracies = overall[overall["metric"] == "accuracy"].set_index("target")
    return tuple(
        Headline(
            target=target,
            protocol=chosen["name"],
            flags=tuple(chosen["flags"]),
            accuracy=float(accuracies.loc[target, "mean"]),
            chance_low=float(accuracies.loc[target, "chance_low"]),
            chance_high=float(accuracies.loc[target, "chance_high"]),
            n_subjects=int(accuracies.loc[target, "n_subjects"]),
        )
        for target in tables.scientific_config["targets"]
        if target in accuracies.index
    )


def _headline_text(run: ListedRun) -> Text:
    text = Text()
    if run.is_finished and not run.headline:
        text.append("no subject has predictions under every protocol")
    for one in run.headline:
        band = f"{percent(one.chance_low)} – {percent(one.chance_high)}"
        text.append(f"{one.target} {percent(one.accuracy)} ({band})")
        text.append(" synthetic\n" if run.mark else "\n", style="yellow")
    if run.headline:
        first = run.headline[0]
        text.append(f"by {first.protocol}", style="dim")
        if first.flags:
            text.append(f" ⚑ {'; '.join(first.flags)}", style="red")
    for note in run.notes:
        text.append(f"\n{note}", style="red")
    return text
