"""The command line of a reproduction: presets, the user's data or the demo's, run, report."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import inspect
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import rich.console
import tyro
from pydantic import create_model

from keras_emotion import experiment, reports
from keras_emotion.cli.exits import with_exit_codes
from keras_emotion.cli.interruptions import on_interruption
from keras_emotion.cli.registration import without_register_option
from keras_emotion.cli.subjects import chosen_subjects
from keras_emotion.datasets import READERS, Reader
from keras_emotion.files import TEMPORARY_PREFIX, remove_leftovers
from keras_emotion.papers import PRESETS, Demo, Reproduction, find_reproduction
from keras_emotion.papers.registry import Presets, Table
from keras_emotion.schema import InputError
from keras_emotion.systems import Configuration, Experiment, differences

_FAILED_SHOWN = 20

_FULL_SIZE = "the full-size experiment"
"""What a run is compared with where no paper reports numbers on its dataset."""


class CommandLine(Configuration):
    """What a reproduction is asked for, besides the fields of its experiment.

    Args:
        data_root: folder of the data set; without it the demo's synthetic data are written and used.
        output: run folder; by default one under `runs/`, named after reproduction, preset and configuration.
        preset: values to start from; any option given beside it changes one of them. `paper`: as printed. `converged`:
            the same with a learning rate at which the network learns. `reduced`: that with a quarter of the channels,
            one repetition and at most five folds. `demo`: minutes on two cores.
        resume: continue an interrupted run. Jobs that are recorded are not done again, failed ones included; damaged
            records are moved to the folder `damaged` of the run, and their jobs are done again.
        retry_failed: continue a run, and repeat the jobs whose training diverged.
        verify: read all files of the data, and all stored features, again, also those whose sizes and times are as
            they were.
        dry_run: print what would be trained and how long it would take, and stop.
        table: number of a table of the paper that compares methods: all of them are run, each in a folder of its own.
    """

    data_root: Path | None = None
    output: Path | None = None
    preset: Annotated[str, tyro.conf.arg(metavar="{paper,converged,reduced,demo}")] = "demo"
    resume: bool = False
    retry_failed: bool = False
    verify: bool = False
    dry_run: bool = False
    table: str = ""


@with_exit_codes
def reproduce(name: str, arguments: Sequence[str] | None = None) -> None:
    """Run a reproduction of the registry from the command line.

    Args:
        name: name of the reproduction.
        arguments: words of the command line, `sys.argv[1:]` by default.
    """
    arguments = without_register_option(sys.argv[1:] if arguments is None else arguments)
    reproduction = find_reproduction(name)
    commands = {"run": run_reproduction, "train_teachers": _train_teachers, "pretrain": _pretrain}
    if commands[reproduction.command](reproduction, arguments):
        raise SystemExit(1)


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
        description: first lines of `--help`.
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
    if run_reproduction(reproduction, sys.argv[1:] if arguments is None else arguments, reader_options or {}):
        raise SystemExit(1)


@on_interruption("finished jobs and stored features are kept; continue with: {resume}")
def run_reproduction(
    reproduction: Reproduction, arguments: Sequence[str], reader_options: Mapping[str, Any] | None = None
) -> int:
    """Run, report, and draw the figures of a reproduction; or estimate its costs, or run the rows of a table.

    Args:
        reproduction: what is run.
        arguments: words of the command line.
        reader_options: further arguments of the reader.

    Returns:
        The exit code: 1 where trainings diverged.

    Raises:
        InputError: the data, the options or the run folder cannot be used.
    """
    request = _parse_request(reproduction, arguments, reader_options)
    if request.options.table:
        return _run_table(request)
    console, wanted, dataset = _console(), request.experiment, request.dataset
    has_paper = reproduction.printed_numbers is not None
    reductions = _differences_from_full_size(reproduction, wanted)
    reference = "the paper" if has_paper else _FULL_SIZE
    if request.options.dry_run:
        plan, _ = experiment.prepare(wanted, dataset, verify=request.options.verify)
        jobs = experiment.RunFolder(request.output).check_jobs()
        finished = jobs.finished - (jobs.failed.keys() if request.options.retry_failed else set())
        _print_estimate(console, experiment.estimate(plan, finished), reductions, reference)
        return 0
    folder = experiment.run(wanted, dataset, request.output, **request.start)
    numbers = _numbers_to_compare(reproduction.printed_numbers, wanted, reductions) if has_paper else None
    n_failed = _print_failed(folder)
    with _error_after_failures(n_failed):
        reports.build_report(folder, numbers, reductions, reference=reference).print(console)
        console.print(
            f"is it leaking? keras-emotion audit {folder.path}", highlight=False, markup=False, soft_wrap=True
        )
        for figure in reproduction.figures:
            console.print(figure(wanted, dataset, folder.path), highlight=False, markup=False, soft_wrap=True)
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
def _train_teachers(reproduction: Reproduction, arguments: Sequence[str]) -> None:
    """Train and save one network for each target, without folds."""
    request = _parse_request(reproduction, arguments)
    request.refuse_folds()
    folder = request.output / "teacher"
    verify = request.options.verify
    experiment.train_teachers(
        request.experiment, request.dataset, folder, reproduction.validation_subjects, verify=verify
    )
    mark = f" ({reports.SYNTHETIC_MARK})" if request.dataset.synthetic else ""
    _console().print(f"teacher: {folder}{mark}", highlight=False, markup=False, soft_wrap=True)


@on_interruption("stored features are kept; continue with: {command}")
def _pretrain(reproduction: Reproduction, arguments: Sequence[str]) -> None:
    """Train one network on the ratings of pictures; see `keras_emotion.experiment.pretrain`."""
    request = _parse_request(reproduction, arguments)
    request.refuse_folds()
    network, scores = experiment.pretrain(
        request.experiment, request.dataset, request.output, verify=request.options.verify
    )
    console = _console()
    title = f"{request.dataset.name}: ratings of pictures of unseen people"
    console.print(reports.rating_table(scores, title, request.dataset.synthetic))
    console.print(f"network: {network}", highlight=False, markup=False, soft_wrap=True)


def _run_table(request: _Request) -> int:
    reproduction, number = request.reproduction, request.options.table
    if number not in reproduction.tables:
        there = ", ".join(reproduction.tables)
        there = f"there are {there}" if there else "this reproduction has none"
        raise InputError(f"--table {number}: no such table of methods; {there}")
    experiments = {}
    for name, method in reproduction.tables[number].items():
        try:
            experiments[name] = method(request.experiment)
        except InputError:
            raise
        except ValueError as error:
            # The options of the user do not go with those of the row.
            raise InputError(f"--table {number}, {name}: {error}") from None
    console, output = _console(), request.output.with_name(f"{request.output.name}-table{number}")
    folders = {}
    for name, one in experiments.items():
        folder = output / re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_").lower()
        console.print(f"[bold]{name}[/]: {folder}", highlight=False, soft_wrap=True)
        if request.options.dry_run:
            plan, _ = experiment.prepare(one, request.dataset, verify=request.options.verify)
            _print_estimate(console, experiment.estimate(plan, experiment.RunFolder(folder).finished_jobs()))
        else:
            folders[name] = experiment.run(one, request.dataset, folder, **request.start)
    if not folders:
        return 0
    n_failed = sum(_print_failed(folder) for folder in folders.values())
    paper = reproduction.printed_numbers
    printed = None if paper is None else reports.paper_numbers(paper, reproduction.dataset, number)
    with _error_after_failures(n_failed):
        reports.build_method_table(folders, printed, output).print(console)
    return int(n_failed > 0)


@dataclasses.dataclass(frozen=True)
class _Request:
    """What the command line asks for."""

    reproduction: Reproduction
    preset: str
    options: CommandLine
    experiment: Experiment
    dataset: Reader

    @property
    def output(self) -> Path:
        """The folder to write to."""
        name = f"{self.experiment.name}-{self.preset}-{self.experiment.identity()}"
        return self.options.output or Path("runs") / name

    @property
    def start(self) -> dict[str, bool]:
        """How a run is started."""
        options = self.options
        return {"resume": options.resume, "verify": options.verify, "retry_failed": options.retry_failed}

    def refuse_folds(self) -> None:
        """Refuse the options of runs with folds.

        Raises:
            InputError: an estimate or a table is asked for.
        """
        if self.options.dry_run:
            raise InputError("--dry-run: this trains without folds, and has no estimate of its time; leave it out")
        if self.options.table:
            raise InputError("--table: this trains without folds, and has no table of methods; leave it out")


def _parse_request(
    reproduction: Reproduction, arguments: Sequence[str], reader_options: Mapping[str, Any] | None = None
) -> _Request:
    presets = reproduction.presets
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument("--preset", choices=PRESETS)
    first.add_argument("--data-root", "--data_root")
    first.add_argument("--subjects", nargs="*")
    chosen, _ = first.parse_known_args(arguments)
    # Without data there is the demo; a night on two cores is what somebody with data can afford first.
    preset = chosen.preset or ("reduced" if chosen.data_root else "demo")
    default = presets[preset]
    demo, folder = reproduction.demo, None
    if chosen.data_root is None and demo is not None:
        folder = Path("runs") / "data" / f"{reproduction.dataset}-demo-{demo.key()}"
        # Defaults, so that what the user gives goes before them.
        default = default.changed({name: folder / file for name, file in demo.files.items()})
    options = _parse_options(default, preset, reproduction.description, arguments)
    wanted = type(default)(**{name: getattr(options, name) for name in type(default).model_fields})
    if folder is not None:
        _write_demo(folder, demo)
    root = options.data_root or folder
    if root is None:
        raise InputError("--data-root: give the folder of the data set; there are no demo data")
    dataset = READERS[wanted.dataset](root, **(reader_options or {}))
    if chosen.subjects:
        # As they were written, and not as numbers: somebody may be called 01.
        subjects, notes = chosen_subjects(dataset, chosen.subjects)
        wanted = wanted.changed({"subjects": subjects})
        for note in notes:
            print(f"note: {note}", file=sys.stderr)
    elif wanted.subjects and chosen.subjects is None:
        # A preset names the paper's subjects; a copy of the data set may hold fewer, which the table then says.
        found = dataset.subjects
        wanted = wanted.changed({"subjects": tuple(name for name in wanted.subjects if name in found)})
        if not wanted.subjects:
            raise InputError(f"{root}: holds none of the subjects of preset {preset}; name some with --subjects")
    console = _console()
    for note in dataset.notes(wanted.subjects or None):
        console.print(f"note: {note}", markup=False, highlight=False, soft_wrap=True)
    return _Request(reproduction, preset, options, wanted, dataset)


def _parse_options(default: Experiment, preset: str, description: str, arguments: Sequence[str]) -> Any:
    # One flat command line: the options of CommandLine, then every field of the experiment.
    both = create_model("Reproduction", __base__=(CommandLine, type(default)), __doc__=inspect.cleandoc(description))
    fields = {name: getattr(default, name) for name in type(default).model_fields}
    return tyro.cli(both, default=both(**fields, preset=preset), args=arguments)


def _write_demo(folder: Path, demo: Demo) -> None:
    if folder.is_dir():
        return
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(folder.parent)
        # Renamed when whole: a demo that was interrupted while writing is written anew.
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=TEMPORARY_PREFIX) as temporary:
            demo.writer(Path(temporary) / "data", **demo.options)
            os.replace(Path(temporary) / "data", folder)
    except OSError as error:
        # Not where another process has written the same meanwhile.
        if not folder.is_dir():
            raise InputError(f"{folder}: the demo's data cannot be written: {error.strerror}") from error


def _console() -> rich.console.Console:
    # Where nobody looks at a terminal, lines are not cut to its width.
    return rich.console.Console(width=None if sys.stdout.isatty() else 120)


def _differences_from_full_size(reproduction: Reproduction, wanted: Experiment) -> list[str]:
    full = reproduction.presets["paper"]
    as_printed = {
        **full.scientific_config(),
        "system": {"kind": type(full.system).__name__, **full.system.printed_config()},
    }
    # Of a protocol its name says enough.
    named = [
        {**science, "protocols": [protocol["name"] for protocol in science["protocols"]]}
        for science in (as_printed, wanted.scientific_config())
    ]
    return differences(*named)


def _numbers_to_compare(paper: Path, wanted: Experiment, reductions: list[str]) -> pd.DataFrame:
    # An ablation is compared with the paper's same ablation; the paper's main numbers are then only mentioned.
    printed = reports.paper_numbers(paper, dataset=wanted.dataset)
    variant = wanted.paper_variant
    if variant is None:
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
