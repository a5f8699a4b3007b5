"""The command `keras-emotion papers`: list or make the tables and figures of papers."""

from __future__ import annotations

import dataclasses
import re
import sys
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from keras_emotion.cli.output import make_console, print_json
from keras_emotion.options import Option
from keras_emotion.schema import InputError

if TYPE_CHECKING:
    from keras_emotion.papers import Reproduction

_RUNS = Path("runs")


@dataclasses.dataclass(frozen=True)
class Papers:
    """List the tables and figures of papers, or make them.

    Each line has the command, the state of its newest run in `runs`, and the time: measured minutes for preset demo,
    else hours if --estimate is given. With --run, the run, all tables and all figures of a paper are made, one after
    another; finished ones are skipped, interrupted ones are continued, and a failure does not stop the rest. Exit code
    0: done; 1: something failed, or trainings diverged.

    Args:
        listed: names of papers or reproductions to list; by default all.
        paper: name of the paper or reproduction whose run, tables and figures are made.
        preset: values to start from, as for `keras-emotion run`.
        data_root: name of a dataset and its folder; may be given several times. Without one, synthetic data are used.
        estimate: estimate the hours of unfinished runs; missing features are computed for it.
        workers: number of workers, 0 for one per GPU or core.
        full: print complete commands, and the pages of finished ones.
        json: print one JSON object in place of a table.

    Examples:
        keras-emotion papers
        keras-emotion papers --run 3facrnn              # on synthetic data
        keras-emotion papers --run hlstm --preset reduced --data-root deap=/data/DEAP
        keras-emotion papers deap_dfcn --data-root deap=/data/DEAP --estimate
    """

    listed: Annotated[tuple[str, ...], Option(positional=True, metavar="NAME")] = ()
    paper: Annotated[str | None, Option(name="run", metavar="PAPER")] = None
    preset: Literal["paper", "converged", "reduced", "demo"] = "demo"
    data_root: Annotated[tuple[str, ...], Option(repeated=True, metavar="NAME=FOLDER")] = ()
    estimate: bool = False
    workers: int = 0
    full: bool = False
    json: bool = False

    def run(self) -> int:
        """List or make tables and figures, and return the exit code."""
        roots = _roots(self.data_root)
        if self.preset != "demo" and not roots and (self.paper or self.estimate):
            raise InputError(f"--preset {self.preset}: --data-root is missing; give NAME=FOLDER of a dataset")
        if self.paper is None:
            works = [work for name in self.listed or [None] for work in _works(name, self.preset, roots)]
            return self._list(works)
        if self.listed:
            raise InputError(
                f"--run {self.paper}: {self.listed[0]} is given as well; --run makes all of one paper; leave one out"
            )
        works = [work for work in _works(self.paper, self.preset, roots) if not roots or work.root is not None]
        if not works:
            raise InputError(
                f"--run {self.paper}: has no reproduction on a dataset of --data-root; see keras-emotion papers"
            )
        return self._make(works)

    def _list(self, works: Sequence[_Work]) -> int:
        rows = [_described(work, self._time(work)) for work in works]
        if self.json:
            print_json(preset=self.preset, papers=rows)
        else:
            _print_list(rows, self.preset, full=self.full)
        return 0

    def _time(self, work: _Work) -> str:
        if self.estimate:
            try:
                return _estimated(work, self.workers)
            except InputError as error:
                return f"no estimate: {error}"
        if self.preset != "demo":
            return "--estimate" if work.has_data else f"needs --data-root {work.reproduction.dataset}=FOLDER"
        return _demo_minutes().get((work.reproduction.name, work.option), "")

    def _make(self, works: Sequence[_Work]) -> int:
        from keras_emotion.cli.interruptions import on_interruption

        results = []
        with on_interruption("finished folds and runs are kept; continue with: {command}"):
            for number, work in enumerate(works, start=1):
                print(f"--- {number} of {len(works)}: {work.command}", flush=True)
                started = time.monotonic()
                state, place = _made(work, self.workers)
                results.append({"command": work.command, "state": state, "seconds": time.monotonic() - started})
                results[-1]["place"] = place
        if self.json:
            print_json(results=results)
        else:
            _print_results(results)
        return int(any(one["state"] not in ("made", "done before") for one in results))


@dataclasses.dataclass(frozen=True)
class _Work:
    """Table, figure, or run (without an option) of a reproduction."""

    paper: str
    citation: str
    reproduction: Reproduction
    option: str
    caption: str
    preset: str
    root: Path | None
    needs_data: bool

    @property
    def has_data(self) -> bool:
        return self.root is not None or not self.needs_data

    @property
    def words(self) -> list[str]:
        words = [self.reproduction.name, *self.option.split()]
        if self.needs_data:
            words += ["--preset", self.preset] if self.preset != "demo" else []
            words += [] if self.root is None else ["--data-root", str(self.root)]
        return words

    @property
    def command(self) -> str:
        return f"keras-emotion run {' '.join(self.words)}"


def _roots(given: Sequence[str]) -> dict[str, Path]:
    from keras_emotion.cli.names import check_name

    roots = {}
    for word in given:
        name, equals, folder = word.partition("=")
        if not equals or not folder:
            raise InputError(f"--data-root {word}: expected NAME=FOLDER, such as deap=/data/DEAP")
        check_name("--data-root", "dataset", name)
        roots[name] = Path(folder)
    return roots


def _works(name: str | None, preset: str, roots: Mapping[str, Path]) -> Iterator[_Work]:
    """Runs, tables and figures of a paper or reproduction, or of all papers."""
    from keras_emotion.cli.names import did_you_mean
    from keras_emotion.papers import papers

    known = papers()
    reproductions = [one.name for paper in known.values() for one in paper.reproductions]
    if name is not None and name not in known and name not in reproductions:
        near = did_you_mean(name, [*known, *reproductions])
        raise InputError(f"{name}: no such paper; expected one of {', '.join(known)}, or a reproduction of one{near}")
    for paper in known.values():
        for one in paper.reproductions:
            if name not in (None, paper.name, one.name):
                continue
            root = roots.get(one.dataset)
            shared: dict[str, Any] = {
                "paper": paper.name,
                "citation": paper.citation,
                "reproduction": one,
                "preset": preset,
            }
            title = one.description.split("\n\n")[0].strip().rstrip(".")
            yield _Work(**shared, option="", caption=title, root=root, needs_data=True)
            for item in one.items():
                drawn = one.drawn_figures.get(item.number) if item.kind == "figure" else None
                needs_data = drawn is None or drawn.needs != "network"
                yield _Work(**shared, option=item.option, caption=item.caption, root=root, needs_data=needs_data)


# --- the list


def _described(work: _Work, minutes: str) -> dict[str, str]:
    return {
        "paper": work.paper,
        "citation": work.citation,
        "command": work.command,
        "caption": work.caption,
        "state": _state(work),
        "time": minutes,
    }


def _state(work: _Work) -> str:
    """State of the newest run in `runs`, of any configuration."""
    from keras_emotion.cli.items import RESULTS
    from keras_emotion.experiment import RunFolder

    kind, _, number = work.option.removeprefix("--").partition(" ")
    suffix = f"-{kind}{number}" if kind else ""
    preset = work.preset if work.needs_data else "paper"
    # The second key is that of other data, see `Request.data_changes`.
    digit = "[0-9a-f]"
    keys = (digit * 16, f"{digit * 16}-{digit * 8}")
    folders = [found for key in keys for found in _RUNS.glob(f"{work.reproduction.name}-{preset}-{key}{suffix}")]
    page = f"{kind}{number}.html" if kind else RESULTS[work.reproduction.command]
    found = [folder / page for folder in folders if (folder / page).exists()]
    if found:
        return f"finished: {max(found, key=lambda one: one.stat().st_mtime)}"
    if not kind and any(RunFolder(folder).is_finished for folder in folders):
        return "finished without its page"
    jobs = sum(len(_finished_jobs(folder)) for folder in folders)
    return f"interrupted or running, {jobs} job{'' if jobs == 1 else 's'} done" if folders else ""


def _finished_jobs(folder: Path) -> set[str]:
    """Finished jobs of a run, or of the runs of a table or figure; earlier versions kept these in its folder."""
    from keras_emotion.cli.items import started_runs
    from keras_emotion.experiment import RunFolder

    places = {folder, *started_runs(folder), *(path for path in folder.iterdir() if path.is_dir())}
    return {
        f"{place}/{job}"
        for place in places
        if (place / "config.json").is_file()
        for job in RunFolder(place).finished_jobs()
    }


def _demo_minutes() -> dict[tuple[str, str], str]:
    """Measured minutes of commands with preset demo, by reproduction and option."""
    import csv

    import keras_emotion.papers

    path = Path(keras_emotion.papers.__file__).with_name("demo_minutes.csv")
    with path.open(newline="") as file:
        return {(row["reproduction"], row["option"]): f"{row['minutes']} min" for row in csv.DictReader(file)}


def _estimated(work: _Work, workers: int) -> str:
    """Estimated hours of the unfinished jobs, or why there is no estimate."""
    from keras_emotion import experiment
    from keras_emotion.cli.items import item_runs, requested_item

    request = _request(work, workers)
    if request.reproduction.command != "run":
        return "trained without folds: no estimate"
    runs = item_runs(request, requested_item(request)) if work.option else {"": (request.experiment, request.output)}
    hours = 0.0
    for wanted, folder in runs.values():
        plan, _ = experiment.prepare(wanted, request.dataset)
        hours += experiment.estimate(plan, experiment.RunFolder(folder).finished_jobs()).hours
    return f"{hours:.1f} h" if runs else "no run is needed"


def _print_list(rows: Sequence[Mapping[str, str]], preset: str, *, full: bool) -> None:
    import rich.box
    from rich.table import Table
    from rich.text import Text

    from keras_emotion.reports.terminal import WIDTH

    console = make_console()
    width = console.width if full else min(console.width, WIDTH)
    command = "keras-emotion run"
    for paper in dict.fromkeys(row["paper"] for row in rows):
        own = [row for row in rows if row["paper"] == paper]
        table = Table(
            title=Text(f"{paper}: {own[0]['citation']}", style="bold"), title_justify="left", box=rich.box.SIMPLE_HEAD
        )
        for heading in ("command" if full else f"{command} ...", "what", "state", "time"):
            table.add_column(heading, overflow="fold")
        for row in own:
            cells = [row[name] for name in ("command", "caption", "state", "time")]
            if not full:
                cells[0] = cells[0].removeprefix(f"{command} ")
                # Without the page or the number of jobs.
                cells[2] = re.split("[:,]", cells[2])[0]
            table.add_row(*map(Text, cells))
        console.print(table, width=width)
    note = "; minutes were measured with one worker on a busy machine of two CPU cores, after the commands above"
    texts = [f"preset {preset}{note if preset == 'demo' else ''}"]
    if not full:
        texts.append("complete commands, pages and numbers of finished jobs: --full, or --json")
    for text in texts:
        console.print(text, highlight=False, markup=False, width=width)


# --- all of a paper


def _made(work: _Work, workers: int) -> tuple[str, str]:
    """Make one table or figure, or run the reproduction; return the state, and the path or the reason of a failure."""
    from keras_emotion.cli.items import item_page
    from keras_emotion.cli.reproduce import run_request

    try:
        request = _request(work, workers)
        page = item_page(request)
        if page.exists():
            return "done before", str(page)
        code = run_request(request)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return "failed", str(error)
    except Exception as error:
        # A bug: print it completely, and continue with the rest.
        traceback.print_exc()
        return "failed", f"internal error: {error!r}"
    return ("made" if not code else "trainings diverged"), str(page)


def _request(work: _Work, workers: int) -> Any:
    from keras_emotion.cli.request import named, parse_request

    more = ["--resume"] if work.needs_data else []
    more += ["--workers", str(workers)] if workers and work.reproduction.command == "run" else []
    request = parse_request(named(work.reproduction.name), [*work.words, *more])
    return dataclasses.replace(request, command=work.command)


def _print_results(results: Sequence[Mapping[str, Any]]) -> None:
    import rich.box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=rich.box.SIMPLE_HEAD)
    for heading in ("command", "state", "seconds", "page, or reason"):
        table.add_column(heading, overflow="fold", justify="right" if heading == "seconds" else "left")
    for one in results:
        style = "" if one["state"] in ("made", "done before") else "red"
        cells = (one["command"], one["state"], f"{one['seconds']:.0f}", one["place"])
        table.add_row(*(Text(cell, style=style) for cell in cells))
    make_console().print(table)
    counts = {
        state: sum(one["state"] == state for one in results) for state in dict.fromkeys(r["state"] for r in results)
    }
    print(", ".join(f"{count} {state}" for state, count in counts.items()))
