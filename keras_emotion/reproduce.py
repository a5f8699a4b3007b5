"""The command line of a reproduction: presets, the user's data or the demo's, run, report."""

from __future__ import annotations

import argparse
import dataclasses
import functools
import os
import re
import sys
import tempfile
import types
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import rich.console
import tyro
from pydantic import create_model

from keras_emotion import experiment, reports
from keras_emotion.datasets import READERS, Reader
from keras_emotion.exits import exit_on_input_error
from keras_emotion.experiment.configuration import Configuration, Experiment, differences
from keras_emotion.experiment.system import System
from keras_emotion.pipelines import FaceFeatures
from keras_emotion.pipelines.features import UNUSABLE
from keras_emotion.schema import InputError

PRESETS = ("paper", "converged", "reduced", "demo")


Method = Callable[[Experiment], Experiment]
"""Makes a method's experiment of the experiment that was asked for."""


class CommandLine(Configuration):
    """What a reproduction is asked for, besides the fields of its experiment.

    Args:
        data_root: folder of the data set; without it the demo's synthetic data are written and used.
        output: run folder; by default one under `runs/`, named after reproduction, preset and configuration.
        preset: values to start from; any option given beside it changes one of them. `paper`: as printed. `converged`:
            the same with a learning rate at which the network learns. `reduced`: that with a quarter of the channels,
            one repetition and at most five folds. `demo`: minutes on two cores.
        resume: go on with a run that was broken off.
        dry_run: say what would be trained and how long it would take, and stop.
        table: number of a table of the paper that compares methods: all of them are run, each in a folder of its own.
    """

    data_root: Path | None = None
    output: Path | None = None
    preset: Annotated[str, tyro.conf.arg(metavar="{paper,converged,reduced,demo}")] = "demo"
    resume: bool = False
    dry_run: bool = False
    table: str = ""


@exit_on_input_error
def main(
    presets: Mapping[str, Experiment],
    demo_data: Callable[[Path], object],
    paper: Path | None = None,
    description: str = "",
    demo_files: Mapping[str, str] = types.MappingProxyType({}),
    afterwards: Callable[[Experiment, Reader, Path], str] | None = None,
    tables: Mapping[str, Mapping[str, Method]] = types.MappingProxyType({}),
    arguments: Sequence[str] | None = None,
    reader_options: Mapping[str, Any] = types.MappingProxyType({}),
) -> None:
    """Run a reproduction from the command line.

    Args:
        presets: the experiment for each of `PRESETS`; `paper` is what the others are reduced from.
        demo_data: writes the demo's data set into a folder.
        paper: csv of the numbers as printed, `None` where the paper has none on this data set.
        description: first lines of `--help`.
        demo_files: fields (dotted names) that are files of the demo's data, by their place in its folder; they hold
            where the demo's data are used and the field was not given.
        afterwards: done when the run is finished, with the experiment, the data set and the run folder; what it
            returns is printed.
        tables: by the number of a table of the paper, its methods in order, the first being what the others are
            compared with: names as printed, and what makes the method's experiment of the one that was asked for.
        arguments: command line, `sys.argv[1:]` by default.
        reader_options: further arguments of the reader.
    """
    asked = _asked(presets, demo_data, description, arguments, demo_files, reader_options)
    preset, wanted, dataset, data_root = asked.preset, asked.experiment, asked.dataset, asked.dataset.root
    console = _console()
    if wanted.subjects and wanted.subjects == presets[preset].subjects:
        # A preset names the paper's subjects; a copy of the data set may hold fewer, which the table then says.
        found = dataset.subjects
        wanted = wanted.changed({"subjects": tuple(name for name in wanted.subjects if name in found)})
        if not wanted.subjects:
            raise InputError(f"{data_root}: holds none of the subjects of preset {preset}; name some with --subjects")
    asked = dataclasses.replace(asked, experiment=wanted)
    if asked.options.table:
        _run_table(asked, tables, paper)
        return
    paper_system = presets["paper"].system
    as_printed = {
        **presets["paper"].science(),
        "system": {"kind": type(paper_system).__name__, **paper_system.printed()},
    }
    # Of a protocol its name says enough.
    named = [
        {**science, "protocols": [protocol["name"] for protocol in science["protocols"]]}
        for science in (as_printed, wanted.science())
    ]
    reductions = differences(*named)
    output = asked.output
    if asked.options.dry_run:
        plan, _ = experiment.prepare(wanted, dataset)
        finished = experiment.RunFolder(output).finished_jobs()
        _print_estimate(console, experiment.estimate(plan, finished), reductions)
        return
    folder = experiment.run(wanted, dataset, output, resume=asked.options.resume)
    numbers = None if paper is None else _numbers_to_compare(paper, wanted, reductions)
    reports.build_report(folder, numbers, reductions).print(console)
    console.print(f"is it leaking? keras-emotion audit {folder.path}", highlight=False, markup=False, soft_wrap=True)
    if afterwards is not None:
        console.print(afterwards(wanted, dataset, folder.path), highlight=False, markup=False, soft_wrap=True)


@exit_on_input_error
def teach(
    presets: Mapping[str, Experiment],
    demo_data: Callable[[Path], object],
    description: str,
    validation_subjects: tuple[int | str, ...],
    arguments: Sequence[str] | None = None,
) -> None:
    """Train and save one network for each target, without folds, from the command line.

    Args:
        presets: as for `main`.
        demo_data: as for `main`.
        description: as for `main`.
        validation_subjects: the subjects that choose the epoch.
        arguments: as for `main`.
    """
    asked = _asked(presets, demo_data, description, arguments, {})
    asked.refuse_dry_run()
    folder = asked.output / "teacher"
    experiment.train_teachers(asked.experiment, asked.dataset, folder, validation_subjects)
    mark = " (synthetic data: says nothing about emotion)" if asked.dataset.synthetic else ""
    _console().print(f"teacher: {folder}{mark}", highlight=False, markup=False, soft_wrap=True)


def method(system: Callable[[System], System]) -> Method:
    """What makes the experiment of another method, for `tables` of `main`: the same, with another system.

    Args:
        system: makes the method's system of that of the experiment.
    """

    def of(wanted: Experiment) -> Experiment:
        fields = {name: getattr(wanted, name) for name in Experiment.model_fields}
        return Experiment(**{**fields, "system": system(wanted.system)})

    return of


def _run_table(asked: _Asked, tables: Mapping[str, Mapping[str, Method]], paper: Path | None) -> None:
    number = asked.options.table
    if number not in tables:
        there = f"there are {', '.join(tables)}" if tables else "this reproduction has none"
        raise InputError(f"--table {number}: no such table of methods; {there}")
    experiments = {name: make(asked.experiment) for name, make in tables[number].items()}
    console, output = _console(), asked.output.with_name(f"{asked.output.name}-table{number}")
    folders = {}
    for name, one in experiments.items():
        folder = output / re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_").lower()
        console.print(f"[bold]{name}[/]: {folder}", highlight=False, soft_wrap=True)
        if asked.options.dry_run:
            plan, _ = experiment.prepare(one, asked.dataset)
            _print_estimate(console, experiment.estimate(plan, experiment.RunFolder(folder).finished_jobs()), ())
        else:
            folders[name] = experiment.run(one, asked.dataset, folder, resume=asked.options.resume)
    if folders:
        dataset = asked.experiment.dataset
        printed = None if paper is None else reports.paper_numbers(paper, dataset=dataset, table=number)
        reports.build_method_table(folders, printed, output).print(console)


def draw_features(wanted: Experiment, dataset: Reader, folder: Path) -> str:
    """Draw what the networks hand to their heads, as `features_<protocol>.png`; what `main` does `afterwards`.

    Args:
        wanted: the experiment; its networks have a `feature_model()`.
        dataset: a reader (see `keras_emotion.datasets`).
        folder: the run folder.
    """
    if wanted.system.members():
        return "no picture of features: networks that are trained apart have none in common"
    files = []
    for protocol, features in experiment.window_features(wanted, dataset).items():
        title = f"{dataset.name.replace('_', '-').upper()}: features of the first fold, {protocol}"
        mark = reports.SYNTHETIC_MARK if dataset.synthetic else ""
        file = folder / f"features_{protocol}.png"
        file.write_bytes(reports.draw_features(features, wanted.label_rule.class_names, title, mark).png)
        files.append(str(file))
    return f"features: {', '.join(files)}"


def draw_priors(wanted: Experiment, dataset: Reader, folder: Path) -> str:
    """Draw what the prior says of each electrode in some windows of a trial, as `prior_<target>.png`: `afterwards`.

    Args:
        wanted: the experiment; its networks have a `prior_model()` unless its system has no prior.
        dataset: a reader (see `keras_emotion.datasets`).
        folder: the run folder.
    """
    if wanted.system.prior == "none":
        return "no picture of the prior: there is none"
    (maps_of_targets, *_) = experiment.channel_priors(wanted, dataset).values()
    files = []
    for target, (maps, table) in maps_of_targets.items():
        row = table.iloc[0]
        trial = next(one for one in dataset.trials([row["subject"]]) if one.trial == row["trial"])
        part = wanted.system.features
        chosen = np.linspace(0, part.n_windows - 1, min(5, part.n_windows)).round().astype(int)
        crops, seen = FaceFeatures(window_seconds=part.sample_seconds, steps=part.n_windows, image_size=96).of_trials(
            [trial]
        )
        has_faces = not str(seen[UNUSABLE].iloc[0])
        picture = reports.draw_scalp_maps(
            maps[0, chosen],
            trial.eeg.channel_names,
            [f"{window * part.window_seconds:g} s" for window in chosen],
            f"{dataset.name.upper()}, {target}: prior for subject {row['subject']}, trial {row['trial']}",
            reports.SYNTHETIC_MARK if dataset.synthetic else "",
            crops["faces"][0, chosen] if has_faces else (),
        )
        file = folder / f"prior_{target}.png"
        file.write_bytes(picture.png)
        files.append(str(file))
    return f"prior: {', '.join(files)}"


@exit_on_input_error
def pretrain(
    presets: Mapping[str, Experiment],
    demo_data: Callable[[Path], object],
    description: str,
    arguments: Sequence[str] | None = None,
) -> None:
    """Train one network on the ratings of pictures, from the command line; see `keras_emotion.experiment.pretrain`.

    Args:
        presets: as for `main`.
        demo_data: as for `main`.
        description: as for `main`.
        arguments: as for `main`.
    """
    asked = _asked(presets, demo_data, description, arguments, {})
    asked.refuse_dry_run()
    network, scores = experiment.pretrain(asked.experiment, asked.dataset, asked.output)
    console = _console()
    title = f"{asked.dataset.name}: ratings of pictures of unseen people"
    console.print(reports.rating_table(scores, title, asked.dataset.synthetic))
    console.print(f"network: {network}", highlight=False, markup=False, soft_wrap=True)


@dataclasses.dataclass(frozen=True)
class _Asked:
    """What the command line asks for."""

    preset: str
    options: CommandLine
    experiment: Experiment
    dataset: Reader

    @property
    def output(self) -> Path:
        """The folder to write to."""
        name = f"{self.experiment.name}-{self.preset}-{self.experiment.identity()}"
        return self.options.output or Path("runs") / name

    def refuse_dry_run(self) -> None:
        """For what has no folds, of which the time could be told.

        Raises:
            InputError: the time is asked for.
        """
        if self.options.dry_run:
            raise InputError("--dry-run: this trains without folds, and has no estimate of its time; leave it out")


def _asked(
    presets: Mapping[str, Experiment],
    demo_data: Callable[[Path], object],
    description: str,
    arguments: Sequence[str] | None,
    demo_files: Mapping[str, str],
    reader_options: Mapping[str, Any] = types.MappingProxyType({}),
) -> _Asked:
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument("--preset", choices=presets)
    first.add_argument("--data-root", "--data_root")
    chosen, _ = first.parse_known_args(arguments)
    # Without data there is the demo; a night on two cores is what somebody with data can afford first.
    preset = chosen.preset or ("reduced" if chosen.data_root else "demo")
    options = _parse(presets[preset], preset, description, arguments)
    wanted = type(presets[preset])(**{name: getattr(options, name) for name in type(presets[preset]).model_fields})
    data_root = options.data_root or _demo_folder(Path("runs") / "data" / f"{wanted.dataset}-demo", demo_data)
    if options.data_root is None:
        untouched = {name: _field(wanted, name) == _field(presets[preset], name) for name in demo_files}
        wanted = wanted.changed({name: data_root / demo_files[name] for name in demo_files if untouched[name]})
    return _Asked(preset, options, wanted, READERS[wanted.dataset](data_root, **reader_options))


def _console() -> rich.console.Console:
    # Where nobody looks at a terminal, lines are not cut to its width.
    return rich.console.Console(width=None if sys.stdout.isatty() else 120)


def _field(value: object, name: str) -> object:
    return functools.reduce(getattr, name.split("."), value)


def _parse(default: Experiment, preset: str, description: str, arguments: Sequence[str] | None):
    # One flat command line: the options of CommandLine, then every field of the experiment.
    both = create_model("Reproduction", __base__=(CommandLine, type(default)), __doc__=description)
    fields = {name: getattr(default, name) for name in type(default).model_fields}
    return tyro.cli(both, default=both(**fields, preset=preset), args=arguments)


def _demo_folder(folder: Path, write: Callable[[Path], object]) -> Path:
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        # Renamed when whole: a demo that was interrupted while writing is written anew.
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".writing-") as temporary:
            write(Path(temporary) / "data")
            try:
                os.replace(Path(temporary) / "data", folder)
            except OSError as error:
                if not folder.is_dir():
                    raise InputError(f"{folder}: the demo's data cannot be written: {error.strerror}") from error
    return folder


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


def _print_estimate(console: rich.console.Console, cost: experiment.Estimate, reductions: Sequence[str]) -> None:
    console.print(f"{cost.jobs} jobs to do, {cost.training_steps:,} training steps", highlight=False)
    console.print(
        f"about {cost.hours:.1f} hours with {cost.workers} worker(s), "
        f"from {cost.seconds_per_step * 1000:.0f} ms measured for a training step",
        highlight=False,
    )
    for line in reductions:
        console.print(f"differs from the paper: {line}", highlight=False, markup=False, soft_wrap=True)
    if cost.hours > 24:
        console.print(
            "ways out: --preset reduced (a night), a GPU, more cores (--jobs), fewer --subjects or --targets, "
            "--maximum-repetitions 1, --maximum-folds 5, --system.width-multiplier 0.25"
        )
