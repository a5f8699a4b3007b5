"""Carry out a reproduction: run, report, figures; or its estimate, or a table of methods."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import rich.console

from keras_emotion import experiment, reports
from keras_emotion.cli.exits import with_exit_codes
from keras_emotion.cli.interruptions import on_interruption
from keras_emotion.cli.request import PROG, Choice, Request, first_pass, named, parse_request
from keras_emotion.datasets import Reader
from keras_emotion.papers import REFERENCES, Demo, Reproduction, differences_from_the_paper
from keras_emotion.papers.registry import Presets, Table
from keras_emotion.schema import InputError
from keras_emotion.systems import Experiment

_FAILED_SHOWN = 20

_FULL_SIZE = "the full-size experiment"
"""What a run is compared with where no paper reports numbers on its dataset."""


@with_exit_codes
def reproduce(name: str, arguments: Sequence[str] | None = None) -> None:
    """Run a reproduction of the registry from the command line.

    Args:
        name: name of the reproduction.
        arguments: words of the command line, `sys.argv[1:]` by default.
    """
    words = sys.argv[1:] if arguments is None else arguments
    # What the module brings that `--register` names may be this reproduction.
    first_pass(words)
    choice = dataclasses.replace(named(name), own=())
    if carry_out(choice, words):
        raise SystemExit(1)


def carry_out(choice: Choice, words: Sequence[str]) -> int:
    """Run a reproduction, or train its networks without folds.

    Args:
        choice: what is run.
        words: the words of the command line.

    Returns:
        The exit code: 1 where trainings diverged.

    Raises:
        InputError: the data, the options or the run folder cannot be used.
    """
    commands = {"run": _run, "train_teachers": _train_teachers, "pretrain": _pretrain}
    return commands[choice.reproduction.command](parse_request(choice, words))


@with_exit_codes
def main(
    presets: Presets,
    demo_data: Callable[[Path], object] | None = None,
    paper: Path | None = None,
    description: str = "",
    demo_files: Mapping[str, str] | None = None,
    afterwards: Callable[[Experiment, Reader, Path], str] | None = None,
    tables: Mapping[str, Table] | None = None,
    arguments: Sequence[str] | None = None,
    reader_options: Mapping[str, Any] | None = None,
) -> None:
    """Run an experiment from the command line that is not in the registry.

    Args:
        presets: the experiment for each of `PRESETS`; `paper` is what the others are reduced from.
        demo_data: writes the data of the demo into a folder; `None` where there are none.
        paper: csv of the numbers as printed, `None` where the paper reports none on this dataset.
        description: text of the help, see `Reproduction.description`.
        demo_files: see `Demo.files`.
        afterwards: called when the run is finished, with the experiment, the dataset and the run folder; its result
            is printed.
        tables: see `Reproduction.tables`.
        arguments: words of the command line, `sys.argv[1:]` by default.
        reader_options: further arguments of the reader.
    """
    reproduction = Reproduction(
        name=presets["paper"].name,
        presets=presets,
        description=description,
        demo=None if demo_data is None else Demo(writer=demo_data, files=demo_files or {}),
        printed_numbers=paper,
        tables=tables or {},
        figures=() if afterwards is None else (afterwards,),
    )
    choice = Choice(reproduction, Path(sys.argv[0]).name, reader_options=reader_options or {})
    if carry_out(choice, sys.argv[1:] if arguments is None else arguments):
        raise SystemExit(1)


def run_reproduction(
    reproduction: Reproduction, arguments: Sequence[str], reader_options: Mapping[str, Any] | None = None
) -> int:
    """Carry out a reproduction that need not be registered; see `carry_out`.

    Args:
        reproduction: what is run.
        arguments: words of the command line.
        reader_options: further arguments of the reader.

    Returns:
        The exit code: 1 where trainings diverged.

    Raises:
        InputError: the data, the options or the run folder cannot be used.
    """
    return carry_out(Choice(reproduction, f"{PROG} {reproduction.name}", (), reader_options or {}), arguments)


@on_interruption("finished jobs and stored features are kept; continue with: {resume}")
def _run(request: Request) -> int:
    """Run, report, and draw the figures; or estimate the costs, or run the rows of a table."""
    if request.options.table or request.options.figure:
        return _run_methods(request)
    reproduction = request.reproduction
    console, wanted, dataset = _console(), request.experiment, request.dataset
    has_paper = reproduction.printed_numbers is not None
    reference = _reference(reproduction)
    if request.options.dry_run:
        plan, _ = experiment.prepare(wanted, dataset, verify=request.options.verify)
        jobs = experiment.RunFolder(request.output).check_jobs()
        finished = jobs.finished - (jobs.failed.keys() if request.options.retry_failed else set())
        reductions = differences_from_the_paper(reproduction, wanted, dataset, plan.n_windows())
        _print_estimate(console, experiment.estimate(plan, finished), reductions, reference)
        _print_left_out(console, plan)
        return 0
    folder = experiment.run(wanted, dataset, request.output, **request.start)
    n_windows = folder.summary.get("n_windows")
    reductions = differences_from_the_paper(reproduction, wanted, dataset, n_windows)
    numbers = _numbers_to_compare(reproduction.printed_numbers, wanted, dataset, reductions) if has_paper else None
    n_failed = _print_failed(folder)
    with _error_after_failures(n_failed):
        build_report = functools.partial(
            reports.build_report,
            folder,
            numbers,
            reductions,
            reference=reference,
            references=reports.read_references(REFERENCES),
        )
        build_report().print(console)
        console.print(
            f"is it leaking? keras-emotion audit {folder.path}", highlight=False, markup=False, soft_wrap=True
        )
        for figure in reproduction.figures:
            console.print(figure(wanted, dataset, folder.path), highlight=False, markup=False, soft_wrap=True)
        if reproduction.figures:
            # Networks are trained again for some figures: the numbers do not wait for them, and the page gets them now.
            build_report()
    return int(n_failed > 0)


def _print_failed(folder: experiment.RunFolder) -> int:
    """List the jobs of a run whose training diverged on standard error; gives their number."""
    failed = folder.summary["failed"]
    for job in failed[:_FAILED_SHOWN]:
        left_out = f"; left out under every protocol: {', '.join(job['left_out'])}" if job["left_out"] else ""
        place = [f"{job['protocol']}, {job['target']}, subject {job['subject']}"]
        place += [f"session {job['session']}"] if job["session"] != "" else []
        place += [f"repetition {job['repetition']}, fold {job['fold']}"]
        place += [f"candidate {job['candidate']}"] if job["candidate"] else []
        print(f"failed: {', '.join(place)}: {job['reason']}{left_out}", file=sys.stderr)
    if len(failed) > _FAILED_SHOWN:
        print(f"failed: {len(failed) - _FAILED_SHOWN} more, see {folder.path / 'finished.json'}", file=sys.stderr)
    if failed:
        print(
            f"{len(failed)} training{'' if len(failed) == 1 else 's'} diverged: use a smaller --training.learning-rate "
            "and another --output; --resume keeps them as failed, --retry-failed repeats them",
            file=sys.stderr,
        )
    return len(failed)


@contextlib.contextmanager
def _error_after_failures(n_failed: int) -> Iterator[None]:
    """Where trainings diverged, print what then cannot be reported in place of raising it."""
    try:
        yield
    except InputError as error:
        if not n_failed:
            raise
        print(f"error: {error}", file=sys.stderr)


@on_interruption("stored features and finished teachers are kept; continue with: {command}")
def _train_teachers(request: Request) -> int:
    """Train and save one network for each target, without folds."""
    request.refuse_folds()
    folder = request.output / "teacher"
    verify = request.options.verify
    experiment.train_teachers(
        request.experiment, request.dataset, folder, request.reproduction.validation_subjects, verify=verify
    )
    mark = f" ({reports.SYNTHETIC_MARK})" if request.dataset.synthetic else ""
    _print_differences(request)
    _console().print(f"teacher: {folder}{mark}", highlight=False, markup=False, soft_wrap=True)
    return 0


@on_interruption("stored features are kept; continue with: {command}")
def _pretrain(request: Request) -> int:
    """Train one network on the ratings of pictures; see `keras_emotion.experiment.pretrain`."""
    request.refuse_folds()
    network, scores = experiment.pretrain(
        request.experiment, request.dataset, request.output, verify=request.options.verify
    )
    console = _console()
    title = f"{request.dataset.name}: ratings of pictures of unseen people"
    console.print(reports.rating_table(scores, title, request.dataset.synthetic))
    _print_differences(request)
    console.print(f"network: {network}", highlight=False, markup=False, soft_wrap=True)
    return 0


def _run_methods(request: Request) -> int:
    """Run the methods of a table or of a figure of the paper, print the table, and draw the figure."""
    reproduction, kind, number = request.reproduction, "table", request.options.table
    there: Mapping[str, Table] = reproduction.tables
    if request.options.figure:
        if number:
            raise InputError(f"--figure {request.options.figure}: --table {number} is asked for, too; leave out one")
        kind, number = "figure", request.options.figure
        there = {name: figure.methods for name, figure in reproduction.compared_figures.items()}
    if number not in there:
        known = f"there are {', '.join(there)}" if there else "this reproduction has none"
        raise InputError(f"--{kind} {number}: no such {kind} of methods; {known}")
    experiments = {}
    for name, method in there[number].items():
        try:
            experiments[name] = method(request.experiment)
        except InputError:
            raise
        except ValueError as error:
            # The options of the user do not go with those of the row.
            raise InputError(f"--{kind} {number}, {name}: {error}") from None
    console, output = _console(), request.output.with_name(f"{request.output.name}-{kind}{number}")
    folders = {}
    for name, one in experiments.items():
        folder = output / re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_").lower()
        console.print(f"[bold]{name}[/]: {folder}", highlight=False, soft_wrap=True)
        if request.options.dry_run:
            plan, _ = experiment.prepare(one, request.dataset, verify=request.options.verify)
            _print_estimate(console, experiment.estimate(plan, experiment.RunFolder(folder).finished_jobs()))
            _print_left_out(console, plan)
        else:
            folders[name] = experiment.run(one, request.dataset, folder, **request.start)
    if not folders:
        return 0
    n_failed = sum(_print_failed(folder) for folder in folders.values())
    paper = reproduction.printed_numbers
    place = number if kind == "table" else f"figure {number}"
    everywhere = None if paper is None else reports.paper_numbers(paper, table=place)
    printed = None if everywhere is None else everywhere[everywhere["dataset"] == reproduction.dataset]
    drawn = reproduction.compared_figures[number] if kind == "figure" else None
    with _error_after_failures(n_failed):
        compared = reports.build_method_table(folders, printed, output, drawn and drawn.reference)
        compared.print(console)
        if printed is not None and printed.empty:
            _print_other_dataset(console, number, everywhere)
        if drawn is not None:
            file = output / f"figure{number}.png"
            file.write_bytes(reports.draw_methods(compared, drawn.metric, f"figure {number} of the paper").png)
            console.print(f"figure: {file}", highlight=False, markup=False, soft_wrap=True)
    return int(n_failed > 0)


def _print_other_dataset(console: rich.console.Console, number: str, printed: pd.DataFrame) -> None:
    """Print what a table of the paper has for the datasets that it is of, where this is not one of them."""
    for (dataset, target), rows in printed[printed["metric"] == "accuracy"].groupby(["dataset", "target"], sort=False):
        cells = ", ".join(f"{row.variant} {row.value:.1f}" for row in rows.itertuples())
        title = dataset.replace("_", "-").upper()
        console.print(
            f"the paper's table {number} is of {title}; its accuracies of {target}: {cells}",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )


def _console() -> rich.console.Console:
    # Where nobody looks at a terminal, lines are not cut to its width.
    return rich.console.Console(width=None if sys.stdout.isatty() else 120)


def _reference(reproduction: Reproduction) -> str:
    return "the paper" if reproduction.is_on_data_of_paper else _FULL_SIZE


def _print_differences(request: Request) -> None:
    lines = differences_from_the_paper(request.reproduction, request.experiment, request.dataset)
    reference = _reference(request.reproduction)
    for line in lines:
        _console().print(f"differs from {reference}: {line}", highlight=False, markup=False, soft_wrap=True)


def _numbers_to_compare(paper: Path, wanted: Experiment, dataset: Reader, reductions: list[str]) -> pd.DataFrame:
    # An ablation is compared with the paper's same ablation; the paper's main numbers are then only mentioned.
    n_classes = {target: wanted.rule(target, dataset.class_names).n_classes for target in wanted.targets}
    printed = reports.numbers_of_classes(reports.paper_numbers(paper, dataset=wanted.dataset), n_classes)
    variant = wanted.paper_variant
    # Those of a figure are of its variants.
    printed = printed[~printed["table"].str.startswith("figure") | (printed["variant"] == variant)]
    if variant is None or printed.empty:
        return printed
    if variant == printed["variant"].iloc[0]:
        return printed[printed["variant"] == variant]
    first = printed[["table", "variant"]].iloc[0]
    main_rows = printed[(printed[["table", "variant"]] == first).all(axis=1) & (printed["metric"] == "accuracy")]
    means = ", ".join(f"{row.target} {row.value:.2f}" for row in main_rows.itertuples())
    reductions.append(f"this is the paper's variant {variant!r}; its full model reaches accuracies of {means}")
    return printed[printed["variant"] == variant]


def _print_left_out(console: rich.console.Console, plan: experiment.Plan) -> None:
    for line in experiment.left_out(plan):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _print_estimate(
    console: rich.console.Console, cost: experiment.Estimate, reductions: Sequence[str] = (), reference: str = ""
) -> None:
    console.print(f"{cost.jobs} jobs to do, {cost.training_steps:,} training steps", highlight=False)
    console.print(
        f"about {cost.hours:.1f} hours with {cost.workers} worker(s), "
        f"from {cost.seconds_per_step * 1000:.0f} ms measured for a training step",
        highlight=False,
    )
    for line in reductions:
        console.print(f"differs from {reference}: {line}", highlight=False, markup=False, soft_wrap=True)
    if cost.hours > 24:
        console.print(
            "ways out: --preset reduced (a night), a GPU, more cores (--workers), fewer --subjects or --targets, "
            "--maximum-repetitions 1, --maximum-folds 5, --system.width-multiplier 0.25"
        )
