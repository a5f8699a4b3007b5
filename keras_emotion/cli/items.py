"""Tables and figures of papers: run the experiments, print the table, write the page."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
import rich.console

from keras_emotion import experiment, reports
from keras_emotion.cli.interruptions import command_line
from keras_emotion.cli.request import Request
from keras_emotion.cli.run_output import (
    error_after_failures,
    print_cost,
    print_failed,
    print_left_out,
    print_line,
    run_console,
)
from keras_emotion.file_names import word_file_name
from keras_emotion.messages import dataset_title
from keras_emotion.papers import FigureSource, Item, Reproduction
from keras_emotion.papers.registry import Method, Table, with_fields
from keras_emotion.schema import InputError
from keras_emotion.systems import Experiment
from keras_emotion.tables import csv_bytes, read_cells

RESULTS = {"run": "report.html", "train_teachers": "teacher", "pretrain": "network.keras"}
"""File that a finished command without `--table` and `--figure` has written, by command."""

RUNS = "runs.csv"
"""File in the folder of a table or figure: `method`, and `run`, its run folder as seen from there."""


def make_item(request: Request, reductions: Sequence[str], reference: str) -> int:
    """Make the requested table or figure; finished runs are not repeated.

    Args:
        request: the request.
        reductions: how the requested experiment differs from `reference`, one line each.
        reference: what `reductions` compares with.

    Returns:
        The exit code: 1 where trainings diverged.

    Raises:
        InputError: there is no such table or figure, or the data, the options or a folder cannot be used.
    """
    item = requested_item(request)
    is_drawn = item.kind == "figure" and item.number in request.reproduction.drawn_figures
    return (_draw_figure if is_drawn else _run_methods)(request, item, reductions, reference)


def requested_item(request: Request) -> Item:
    """The requested table or figure.

    Raises:
        InputError: it does not exist, or both a table and a figure are requested.
    """
    kind, number = "table", request.options.table
    if request.options.figure:
        if number:
            raise InputError(
                f"--figure {request.options.figure}: --table {number} is given as well; leave out one of them"
            )
        kind, number = "figure", request.options.figure
    there = {item.number: item for item in request.reproduction.items() if item.kind == kind}
    if number not in there:
        known = f"there are {', '.join(there)}" if there else "this reproduction has none"
        what = "table of methods" if kind == "table" else "figure"
        raise InputError(f"--{kind} {number}: no such {what}; {known}")
    return there[number]


def item_page(request: Request) -> Path:
    """The file that is written when a request is finished."""
    options = request.options
    if options.table or options.figure:
        item = requested_item(request)
        return request.item_output / f"{item.kind}{item.number}.html"
    return request.output / RESULTS[request.reproduction.command]


def item_runs(request: Request, item: Item) -> dict[str, tuple[Experiment, Path]]:
    """Experiments and run folders of a table or figure, by the names of the methods.

    Raises:
        InputError: the options contradict those of a method.
    """
    reproduction, number = request.reproduction, item.number
    methods: Table
    if item.kind == "table":
        methods = reproduction.tables[number]
    elif number in reproduction.compared_figures:
        methods = reproduction.compared_figures[number].methods
    elif reproduction.drawn_figures[number].needs == "run":
        methods = {"run": reproduction.drawn_figures[number].method or with_fields({})}
    else:
        methods = {}
    runs = {}
    for name, method in methods.items():
        wanted = _row(method, request, item, name)
        # Earlier versions ran it in the folder of the table.
        place = request.item_output / re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_").lower()
        runs[name] = wanted, place if place.exists() else request.method_output(wanted)
    return runs


def started_runs(item_folder: Path) -> list[Path]:
    """Run folders of a table or figure that was started, each once.

    Raises:
        InputError: the file that names them is damaged.
    """
    path = item_folder / RUNS
    if not path.is_file():
        return []
    table = read_cells(path)
    if "run" not in table:
        raise InputError(f"{path}: the column run is missing; delete the file")
    return list(dict.fromkeys(Path(os.path.normpath(item_folder / place)) for place in table["run"]))


def _list_runs(request: Request, runs: Mapping[str, tuple[Experiment, Path]]) -> None:
    """Write the file in the folder of the table or figure that names the run of each method."""
    if runs and not request.options.dry_run:
        output = request.item_output
        folders = [Path(os.path.relpath(place, output)).as_posix() for _, place in runs.values()]
        table = pd.DataFrame({"method": list(runs), "run": folders})
        reports.output_folder(output).write_bytes(RUNS, csv_bytes(table))


def _draw_figure(request: Request, item: Item, reductions: Sequence[str], reference: str) -> int:
    """Run the experiment of a figure, draw it, and write its numbers and its page."""
    figure = request.reproduction.drawn_figures[item.number]
    wanted = request.experiment
    console, output = run_console(), request.item_output
    folder = None
    if figure.needs == "run":
        runs = item_runs(request, item)
        _list_runs(request, runs)
        ((wanted, place),) = runs.values()
        folder = _run(request, wanted, place, console, "")
    if request.options.dry_run:
        if figure.needs != "run":
            drawn = "the network alone" if figure.needs == "network" else "networks of the first folds"
            print_line(console, f"{item.kind} {item.number}: no run is needed; drawn from {drawn}")
        return 0
    n_failed = 0 if folder is None else print_failed(folder)
    mark = reports.SYNTHETIC_MARK if request.dataset is not None and request.dataset.synthetic else ""
    with error_after_failures(n_failed):
        printed, _ = _printed(request.reproduction, None)
        drawings = figure.draw(FigureSource(item.number, wanted, request.dataset, folder, printed))
        files = reports.output_folder(output)
        print_line(console, f"figure {item.number}: {item.caption}{f' ({mark})' if mark else ''}")
        for drawing in drawings:
            stem = f"figure{item.number}{f'_{word_file_name(drawing.part)}' if drawing.part else ''}"
            files.write_bytes(f"{stem}.png", drawing.picture.png)
            files.write_bytes(f"{stem}.csv", csv_bytes(drawing.table))
            print_line(console, drawing.picture.caption)
            print_line(console, f"figure: {output / f'{stem}.png'}, its numbers: {output / f'{stem}.csv'}")
        page = reports.build_item_page(
            output,
            f"figure{item.number}",
            _title(request, item),
            item.caption,
            pictures=[drawing.picture for drawing in drawings],
            runs={} if folder is None else {"run": folder},
            mark=mark,
            reductions=() if figure.needs == "network" else reductions,
            reference=reference,
            command=request.command or command_line(),
        )
        print_line(console, f"report: {page}")
    return int(n_failed > 0)


def _run_methods(request: Request, item: Item, reductions: Sequence[str], reference: str) -> int:
    """Run the methods of a table or figure, print the table, draw the figure, and write the page."""
    reproduction, is_figure = request.reproduction, item.kind == "figure"
    drawn = reproduction.compared_figures[item.number] if is_figure else None
    console, output = run_console(), request.item_output
    folders = {}
    runs = item_runs(request, item)
    _list_runs(request, runs)
    for name, (wanted, place) in runs.items():
        folder = _run(request, wanted, place, console, name)
        if folder is not None:
            folders[name] = folder
    if not folders:
        return 0
    n_failed = sum(print_failed(folder) for folder in folders.values())
    printed, everywhere = _printed(reproduction, f"figure {item.number}" if is_figure else item.number)
    with error_after_failures(n_failed):
        compared = reports.build_method_table(folders, printed, output, None if drawn is None else drawn.reference)
        compared.print(console, full=request.options.full)
        notes = []
        if printed is not None and printed.empty:
            notes = _other_datasets(item, everywhere)
        for note in notes:
            print_line(console, note)
        metric = "accuracy" if drawn is None else drawn.metric
        picture = reports.draw_methods(compared, metric, _name(item))
        if is_figure:
            file = output / f"figure{item.number}.png"
            file.write_bytes(picture.png)
            print_line(console, f"figure: {file}")
        page = reports.build_item_page(
            output,
            f"{item.kind}{item.number}",
            _title(request, item),
            item.caption,
            table=compared,
            pictures=[picture],
            runs=folders,
            mark=compared.mark,
            notes=notes,
            reductions=reductions,
            reference=reference,
            command=request.command or command_line(),
        )
        print_line(console, f"report: {page}")
    return int(n_failed > 0)


def _row(method: Method, request: Request, item: Item, name: str) -> Experiment:
    """The experiment of one method of a table or figure."""
    try:
        return method(request.experiment)
    except InputError:
        raise
    except ValueError as error:
        # The options contradict those of the method.
        raise InputError(f"{item.option}, {name}: {error}") from None


def _run(
    request: Request, wanted: Experiment, folder: Path, console: rich.console.Console, name: str
) -> experiment.RunFolder | None:
    """Run an experiment, or print its time estimate."""
    print_line(console, f"[bold]{name}[/]: {folder}" if name else f"run: {folder}", markup=bool(name))
    if request.options.dry_run:
        plan, _ = experiment.prepare(wanted, request.required_dataset, verify=request.options.verify)
        print_cost(console, experiment.estimate(plan, experiment.RunFolder(folder).finished_jobs()))
        print_left_out(console, plan)
        return None
    return experiment.run(wanted, request.required_dataset, folder, **request.start)


def _printed(reproduction: Reproduction, place: str | None) -> tuple[pd.DataFrame | None, pd.DataFrame | None]:
    """Printed numbers of a table (`None`: of all tables), for this dataset and for all datasets."""
    if reproduction.printed_numbers is None:
        return None, None
    everywhere = reports.paper_numbers(reproduction.printed_numbers, table=place)
    return everywhere[everywhere["dataset"] == reproduction.dataset], everywhere


def _other_datasets(item: Item, printed: pd.DataFrame) -> list[str]:
    """Printed accuracies of a table that the paper has only for other datasets."""
    lines = []
    for (dataset, target), rows in printed[printed["metric"] == "accuracy"].groupby(["dataset", "target"], sort=False):
        cells = ", ".join(f"{row.variant} {row.value:.1f}" for row in rows.itertuples())
        lines.append(
            f"table {item.number} of the paper is on {dataset_title(dataset)}; its accuracies of {target}: {cells}"
        )
    return lines


def _title(request: Request, item: Item) -> str:
    return f"{request.reproduction.name}: {_name(item)}, {dataset_title(request.reproduction.dataset)}"


def _name(item: Item) -> str:
    # A grid is described by the paper in words only: use its caption.
    return f"{item.kind} {item.number} of the paper" if item.number.isdigit() else item.caption
