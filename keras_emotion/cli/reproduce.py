"""Run a reproduction: training, report and figures, its time estimate, or a table or figure of the paper."""

from __future__ import annotations

import dataclasses
import functools
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import rich.console

from keras_emotion import experiment, reports
from keras_emotion.cli.exits import with_exit_codes
from keras_emotion.cli.interruptions import on_interruption
from keras_emotion.cli.items import make_item
from keras_emotion.cli.pretraining import with_pretraining
from keras_emotion.cli.request import PROG, Choice, Request, first_pass, named, parse_request
from keras_emotion.cli.run_output import (
    error_after_failures,
    print_cost,
    print_differences,
    print_failed,
    print_left_out,
    print_line,
    run_console,
)
from keras_emotion.datasets import Reader
from keras_emotion.papers import REFERENCES, Demo, Reproduction, differences_from_the_paper
from keras_emotion.papers.registry import Presets, Table
from keras_emotion.systems import Experiment

_KEPT = {
    "run": "finished jobs and stored features are kept; continue with: {resume}",
    "train_teachers": "stored features and finished teachers are kept; continue with: {command}",
    "pretrain": "stored features are kept; continue with: {command}",
}
"""Messages of interrupted commands."""

_FULL_SIZE = "the full-size experiment"
"""Reference of runs on datasets for which the paper reports no numbers."""


@with_exit_codes
def reproduce(name: str, arguments: Sequence[str] | None = None) -> None:
    """Run a reproduction of the registry from the command line.

    Args:
        name: name of the reproduction.
        arguments: words of the command line, `sys.argv[1:]` by default.
    """
    words = sys.argv[1:] if arguments is None else arguments
    # The reproduction may be registered by a module given with `--register`.
    first_pass(words)
    choice = dataclasses.replace(named(name), own=())
    if run_choice(choice, words):
        raise SystemExit(1)


def run_choice(choice: Choice, words: Sequence[str]) -> int:
    """Run a reproduction, or train its networks without folds.

    Args:
        choice: the reproduction or model to run.
        words: the words of the command line.

    Returns:
        The exit code: 1 where trainings diverged.

    Raises:
        InputError: the data, the options or the run folder cannot be used.
    """
    with on_interruption(_KEPT[choice.reproduction.command]):
        return run_request(parse_request(choice, words))


def run_request(request: Request) -> int:
    """Run a request, and return the exit code; see `run_choice`."""
    commands = {"run": _run, "train_teachers": _train_teachers, "pretrain": _pretrain}
    return commands[request.reproduction.command](request)


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
    """Run an experiment that is not in the registry from the command line.

    Args:
        presets: the experiment for each of `PRESETS`; the others are reduced versions of `paper`.
        demo_data: function that writes the demo data to a folder; `None` if there are none.
        paper: csv of the printed numbers, `None` if the paper reports none on this dataset.
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
    if run_choice(choice, sys.argv[1:] if arguments is None else arguments):
        raise SystemExit(1)


def run_reproduction(
    reproduction: Reproduction, arguments: Sequence[str], reader_options: Mapping[str, Any] | None = None
) -> int:
    """Run a reproduction, registered or not; see `run_choice`.

    Args:
        reproduction: the reproduction.
        arguments: words of the command line.
        reader_options: further arguments of the reader.

    Returns:
        The exit code: 1 where trainings diverged.

    Raises:
        InputError: the data, the options or the run folder cannot be used.
    """
    return run_choice(Choice(reproduction, f"{PROG} {reproduction.name}", (), reader_options or {}), arguments)


def _run(request: Request) -> int:
    """Run, report and draw figures; or estimate the time, or make a table or figure of the paper."""
    request = with_pretraining(request, run_console())
    reproduction, wanted = request.reproduction, request.experiment
    paper = reproduction.printed_numbers
    reference = _reference(reproduction)
    if request.options.table or request.options.figure:
        # Diagrams of networks need no dataset.
        reductions = []
        if request.dataset is not None:
            reductions = differences_from_the_paper(reproduction, wanted, request.dataset)
        return make_item(request, reductions, reference)
    dataset = request.required_dataset
    console = run_console()
    if request.options.dry_run:
        plan, _ = experiment.prepare(wanted, dataset, verify=request.options.verify)
        jobs = experiment.RunFolder(request.output).check_jobs()
        finished = jobs.finished - (jobs.failed.keys() if request.options.retry_failed else set())
        reductions = differences_from_the_paper(reproduction, wanted, dataset, plan.n_windows())
        _print_estimate(console, experiment.estimate(plan, finished), reductions, reference)
        print_left_out(console, plan)
        return 0
    folder = experiment.run(wanted, dataset, request.output, **request.start)
    n_windows = folder.summary.get("n_windows")
    reductions = differences_from_the_paper(reproduction, wanted, dataset, n_windows)
    numbers = None if paper is None else _numbers_to_compare(paper, wanted, dataset, reductions)
    reports.ComparedWith(reproduction.name, reference, tuple(reductions), numbers).write(folder)
    n_failed = print_failed(folder)
    with error_after_failures(n_failed):
        build_report = functools.partial(
            reports.build_report,
            folder,
            numbers,
            reductions,
            reference=reference,
            references=reports.read_references(REFERENCES),
        )
        build_report().print(console, full=request.options.full)
        print_line(console, f"leak audit: keras-emotion audit {folder.path}")
        for figure in reproduction.figures:
            print_line(console, figure(wanted, dataset, folder.path))
        if reproduction.figures:
            # Some figures train networks again: the report is printed before, and written again with these figures.
            build_report()
    return int(n_failed > 0)


def _train_teachers(request: Request) -> int:
    """Train and save one network for each target, without folds."""
    request.refuse_folds()
    folder = request.output / "teacher"
    verify, dataset = request.options.verify, request.required_dataset
    experiment.train_teachers(
        request.experiment, dataset, folder, request.reproduction.validation_subjects, verify=verify
    )
    mark = f" ({reports.SYNTHETIC_MARK})" if dataset.synthetic else ""
    console = run_console()
    _print_own_differences(request, console)
    print_line(console, f"teacher: {folder}{mark}")
    return 0


def _pretrain(request: Request) -> int:
    """Train one network on the ratings of pictures; see `keras_emotion.experiment.pretrain`."""
    request.refuse_folds()
    dataset = request.required_dataset
    network, scores = experiment.pretrain(request.experiment, dataset, request.output, verify=request.options.verify)
    console = run_console()
    title = f"{dataset.name}: ratings of pictures of unseen people"
    console.print(reports.rating_table(scores, title, dataset.synthetic))
    _print_own_differences(request, console)
    print_line(console, f"network: {network}")
    return 0


def _reference(reproduction: Reproduction) -> str:
    return "the paper" if reproduction.is_on_data_of_paper else _FULL_SIZE


def _print_own_differences(request: Request, console: rich.console.Console) -> None:
    lines = differences_from_the_paper(request.reproduction, request.experiment, request.dataset)
    print_differences(console, lines, _reference(request.reproduction))


def _numbers_to_compare(paper: Path, wanted: Experiment, dataset: Reader, reductions: list[str]) -> pd.DataFrame:
    # An ablation is compared with the same ablation of the paper; the main numbers of the paper are only mentioned.
    n_classes = {target: wanted.rule(target, dataset.class_names).n_classes for target in wanted.targets}
    printed = reports.numbers_of_classes(reports.paper_numbers(paper, dataset=wanted.dataset), n_classes)
    variant = wanted.paper_variant
    # Numbers of a figure belong to its variants.
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


def _print_estimate(
    console: rich.console.Console, cost: experiment.Estimate, reductions: Sequence[str] = (), reference: str = ""
) -> None:
    print_cost(console, cost)
    print_differences(console, reductions, reference)
    if cost.hours > 24:
        console.print(
            "to reduce the time: --preset reduced (a night), a GPU, more cores (--workers), fewer --subjects or "
            "--targets, --maximum-repetitions 1, --maximum-folds 5, --system.width-multiplier 0.25"
        )
