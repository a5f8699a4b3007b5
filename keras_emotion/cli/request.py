"""Requests of `keras-emotion run` and of the scripts in `reproductions/`, parsed in two passes.

The first pass finds the reproduction or model and the preset; the options of the second pass are the fields of that
experiment.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from keras_emotion.cli.names import check_name, with_usual_protocols
from keras_emotion.cli.output import make_console
from keras_emotion.cli.parser import COMMON_OPTIONS, REQUIRED, Argument, arguments_of, changed, parse, print_help
from keras_emotion.cli.readers import READER_PREFIX, open_dataset, rate_options, reader_arguments
from keras_emotion.cli.subjects import chosen_subjects
from keras_emotion.datasets import READERS, Reader
from keras_emotion.files import TEMPORARY_PREFIX, remove_leftovers
from keras_emotion.logs import LOGGER
from keras_emotion.options import Option
from keras_emotion.papers import PRESETS, Demo, Reproduction, find_reproduction, models, released_presets
from keras_emotion.schema import InputError, ReleasedFeatures
from keras_emotion.systems import Experiment

PROG = "keras-emotion run"


@dataclasses.dataclass(frozen=True)
class RunOptions:
    """Options of a run that are not fields of its experiment.

    Args:
        data_root: folder of the dataset; by default synthetic data, if the reproduction has any.
        stimuli: folder that holds the clips of the stimuli, for models that read them: one file each, or files and a
            stimuli.csv; by default `stimuli` in the folder of the dataset, if there is one.
        pretraining_data: folder of the dataset for pre-training; the network is trained first, by the reproduction
            named in the help, and reused by later runs of the same preset and data.
        output: run folder; by default one in `runs/`, named after experiment, preset and configuration.
        preset: values to start from; further options change single values. `paper`: as printed. `converged`: the same
            with a learning rate at which the network converges. `reduced`: the same with a quarter of the channels,
            one repetition and at most five folds. `demo`: minutes on two cores.
        file_format: file format of the dataset to read; by default the first one found.
        resume: continue an interrupted run; recorded jobs are not repeated, including failed ones. Damaged records
            are moved to the folder `damaged` of the run, and their jobs are repeated.
        retry_failed: continue a run, and repeat the jobs whose training diverged.
        verify: read all data files and stored features again, even if size and time are unchanged.
        dry_run: print the number of jobs and the time they take, and stop.
        table: number of a table of the paper; each row (a method) is a run in its own folder, which all tables and
            figures with that method share.
        figure: number of a figure of the paper; the required runs are finished first.
        full: print all scores and notes; by default accuracies, chance and baselines.
    """

    data_root: Annotated[Path | None, Option(old="--data", metavar="FOLDER")] = None
    stimuli: Annotated[Path | None, Option(metavar="FOLDER")] = None
    pretraining_data: Annotated[Path | None, Option(metavar="FOLDER")] = None
    output: Annotated[Path | None, Option(metavar="FOLDER")] = None
    preset: Literal[PRESETS] = "demo"  # type: ignore[valid-type]  # a constant of the registry
    file_format: Annotated[str | None, Option(names="file format", common=False)] = None
    resume: bool = False
    retry_failed: Annotated[bool, Option(common=False)] = False
    verify: Annotated[bool, Option(common=False)] = False
    dry_run: bool = False
    table: Annotated[str, Option(metavar="NUMBER")] = ""
    figure: Annotated[str, Option(metavar="NUMBER")] = ""
    full: bool = False


@dataclasses.dataclass(frozen=True)
class ModelOptions:
    """Options of a run of a model on a dataset.

    Args:
        model: name of the model.
        dataset: name of the dataset; `recordings` are your own.
        features: features of the model, or the official ones; `official` are the features that the authors of the
            dataset distribute, instead of features computed from the signals.
        sampling_rate_hz: sampling rate after resampling; by default 128 Hz if the rates of recordings differ.
    """

    model: Annotated[str, Option(names="model")]
    dataset: Annotated[str, Option(names="dataset")] = "recordings"
    features: Literal["own", "official"] = "own"
    sampling_rate_hz: Annotated[float | None, Option(metavar="RATE")] = None


@dataclasses.dataclass(frozen=True)
class _Name:
    """The reproduction to run.

    Args:
        name: name of the reproduction.
    """

    name: Annotated[str, Option(positional=True, names="reproduction")]


@dataclasses.dataclass(frozen=True)
class Choice:
    """Result of the first pass.

    Args:
        reproduction: the reproduction or model to run.
        prog: name of the command, for its help.
        own: arguments in addition to those of all runs.
        reader_options: arguments of the reader that override those of the reproduction.
    """

    reproduction: Reproduction
    prog: str
    own: tuple[Argument, ...] = ()
    reader_options: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Request:
    """Request of a command line.

    Args:
        reproduction: the reproduction or model to run.
        options: options of the run.
        experiment: the experiment, with its options applied.
        dataset: the reader; `None` for a figure that needs none.
        data_changes: what changes the data and not the experiment: arguments of the reader that differ from those of
            the reproduction, and the key of demo data.
        command: the command line, if the request is part of a larger one.
    """

    reproduction: Reproduction
    options: RunOptions
    experiment: Experiment
    dataset: Reader | None
    data_changes: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    command: str = ""

    @property
    def required_dataset(self) -> Reader:
        """The reader, for what needs data.

        Raises:
            InputError: there is none.
        """
        if self.dataset is None:
            raise InputError(f"{self.reproduction.name}: needs the dataset; give its folder with --data-root")
        return self.dataset

    @property
    def output(self) -> Path:
        """The folder to write to."""
        return self.options.output or Path("runs") / f"{self._name}-{self._key(self.experiment)}"

    def method_output(self, wanted: Experiment) -> Path:
        """The run folder of a method of a table or figure.

        An experiment has one folder, whatever tables and figures it is part of: it is trained once.
        """
        key = self._key(wanted)
        if key == self._key(self.experiment):
            return self.output
        folder = self.options.output or Path("runs") / self._name
        return folder.with_name(f"{folder.name}-methods") / key

    @property
    def _name(self) -> str:
        return f"{self.experiment.name}-{self.options.preset}"

    def _key(self, wanted: Experiment) -> str:
        """Hash of an experiment and of what changes the data and not the experiment."""
        if not self.data_changes:
            return wanted.identity()
        text = json.dumps(self.data_changes, sort_keys=True)
        return f"{wanted.identity()}-{hashlib.blake2b(text.encode(), digest_size=4).hexdigest()}"

    @property
    def item_output(self) -> Path:
        """The folder of the requested table or figure."""
        kind, number = ("table", self.options.table) if self.options.table else ("figure", self.options.figure)
        return self.output.with_name(f"{self.output.name}-{kind}{number}")

    @property
    def start(self) -> dict[str, bool]:
        """Arguments of `experiment.run`."""
        options = self.options
        return {"resume": options.resume, "verify": options.verify, "retry_failed": options.retry_failed}

    def refuse_folds(self) -> None:
        """Refuse the options of runs with folds.

        Raises:
            InputError: an estimate, a table or a figure is requested.
        """
        if self.options.dry_run:
            raise InputError("--dry-run: training without folds has no estimate of its time; leave it out")
        if self.options.table:
            raise InputError("--table: training without folds has no table of methods; leave it out")
        if self.options.figure:
            raise InputError("--figure: training without folds has no figure of methods; leave it out")


# --- first pass: reproduction or model


def first_pass(words: Sequence[str]) -> dict[str, Any]:
    """Parse the options that determine the further options."""
    of_experiment = [one for one in arguments_of(Experiment) if one.name in ("targets", "protocols", "subjects")]
    known = [
        *arguments_of(RunOptions),
        *arguments_of(ModelOptions),
        *arguments_of(_Name),
        *of_experiment,
        *COMMON_OPTIONS,
    ]
    return parse(words, known, PROG, is_complete=False)


def choose(words: Sequence[str]) -> Choice:
    """Find the reproduction or model that `keras-emotion run` is given.

    Raises:
        InputError: neither is given, or both; or a name is not registered.
    """
    asked = first_pass(words)
    name, model = asked.get("name"), asked.get("model")
    if name is not None and model is not None:
        raise InputError(f"{name} and --model {model}: give one of them, a reproduction or a model; {PROG} lists both")
    if name is not None:
        choice = named(name)
        if misplaced := next((one for one in arguments_of(ModelOptions) if one.name in asked), None):
            raise InputError(f"{misplaced.spelling}: needs --model; {name} runs on {choice.reproduction.dataset}")
        return choice
    if model is None:
        raise InputError(f"NAME or --model: give a reproduction or a model; {PROG} lists both")
    return _of_model(asked)


def named(name: str) -> Choice:
    """Find a reproduction by its name on the command line."""
    check_name("NAME", "reproduction", name)
    reproduction = find_reproduction(name)
    return Choice(reproduction, f"{PROG} {name}", tuple(arguments_of(_Name)))


def _of_model(asked: Mapping[str, Any]) -> Choice:
    own = arguments_of(ModelOptions)
    dataset = asked.get("dataset", ModelOptions.dataset)
    check_name("--model", "model", asked["model"])
    check_name("--dataset", "dataset", dataset)
    for protocol in asked.get("protocols", ()):
        check_name("--protocols", "protocol of a run", protocol)
    wants_help = asked.get("help") or asked.get("help_all")
    reader_options = rate_options(dataset, asked.get("sampling_rate_hz"))
    if not wants_help:
        _check_data_and_targets(asked, dataset, reader_options)
    fields = {
        "name": f"{dataset}_{asked['model']}",
        "dataset": dataset,
        "targets": asked.get("targets") or ("valence",),
        "protocols": with_usual_protocols(asked.get("protocols") or ("trial_disjoint",), dataset),
    }
    scales = READERS[dataset].rating_scales
    presets = {name: preset.on_scales(scales) for name, preset in models()[asked["model"]](fields).items()}
    if asked.get("features") == "official":
        has_data = not wants_help and "data_root" in asked
        presets = released_presets(presets, _released(asked, dataset, reader_options) if has_data else None)
    reproduction = Reproduction(
        name=fields["name"],
        presets=presets,
        description=f"Run the model {asked['model']} on a dataset.\n\nExamples:\n"
        f"    {PROG} --model {asked['model']} --data-root . --target valence\n"
        f"    {PROG} --model {asked['model']} --help-all      # every field\n",
    )
    return Choice(reproduction, f"{PROG} --model {asked['model']}", tuple(own), reader_options)


def _released(asked: Mapping[str, Any], dataset: str, reader_options: Mapping[str, Any]) -> ReleasedFeatures | None:
    """Official features of the first trial; `None` if the dataset has none or files are damaged."""
    try:
        reader = open_dataset(dataset, asked["data_root"], asked.get("file_format"), **reader_options)
        reader = reader.for_sources(("released_features",))
        return next(iter(reader.trials(reader.subjects[:1]))).released_features
    except InputError:
        # Raised again, with all other problems, when the dataset is opened for the run.
        return None


def _check_data_and_targets(asked: Mapping[str, Any], dataset: str, reader_options: Mapping[str, Any]) -> None:
    if "data_root" not in asked:
        raise InputError("--data-root: missing; give the folder of the dataset")
    if not asked.get("targets"):
        reader = open_dataset(dataset, asked["data_root"], asked.get("file_format"), **reader_options)
        # Use all trials of a subject, because single trials may lack a rating.
        ratings = sorted({name for trial in reader.trials(reader.subjects[:1]) for name in trial.ratings})
        raise InputError(
            f"--targets: missing; give some of the ratings of {asked['data_root']}: {', '.join(ratings)}; two joined "
            "by a plus sign are one target"
        )


# --- second pass: options of that experiment


def parse_request(choice: Choice, words: Sequence[str]) -> Request:
    """Parse all options of a run, write the synthetic data of a demo, and open the dataset.

    Args:
        choice: the reproduction or model to run.
        words: the words of the command line.

    Raises:
        InputError: an option or the data cannot be used.
        SystemExit: the help was printed.
    """
    reproduction, asked = choice.reproduction, first_pass(words)
    # Without data: the demo; with data: a preset that takes a night on two cores.
    figure = reproduction.drawn_figures.get(asked.get("figure", ""))
    needs_data = figure is None or figure.needs != "network"
    # Diagrams show the network of the paper.
    without_data = "demo" if needs_data else "paper"
    preset = asked.get("preset") or ("reduced" if "data_root" in asked else without_data)
    default = reproduction.presets[preset]
    demo, folder = reproduction.demo, None
    if needs_data and "data_root" not in asked and demo is not None:
        folder = Path("runs") / "data" / f"{reproduction.dataset}-demo-{demo.key()}"
        # Set as defaults, so that options override them.
        default = default.changed({name: folder / file for name, file in demo.files.items()})
    of_runs = [
        dataclasses.replace(one, default=preset) if one.name == "preset" else one for one in arguments_of(RunOptions)
    ]
    of_experiment = arguments_of(default)
    of_reader = reader_arguments(default.dataset, {**reproduction.reader_options, **choice.reader_options})
    known = [*choice.own, *of_runs, *of_experiment, *of_reader, *COMMON_OPTIONS]
    given = parse(words, known, choice.prog)
    if "protocols" in given:
        given["protocols"] = with_usual_protocols(given["protocols"], default.dataset)
    # Options that have no effect for this reproduction are not listed.
    items = {kind: [one for one in reproduction.items() if one.kind == kind] for kind in ("table", "figure")}
    sees_stimuli = "media" in default.system.sources
    there = {**items, "pretraining_data": reproduction.pretraining, "stimuli": sees_stimuli}
    shown = [one for one in known if one.default is not REQUIRED and there.get(one.name, True)]
    listed = {f"{kind}s of the paper": {one.option: one.caption for one in own} for kind, own in items.items() if own}
    print_help(given, shown, choice.prog, reproduction.description, listed=lambda: listed)
    options = RunOptions(**{"preset": preset, **{one.name: given[one.name] for one in of_runs if one.name in given}})
    wanted = changed(default, {one.name: given[one.name] for one in of_experiment if one.name in given})
    if not needs_data and reproduction.command == "run":
        return Request(reproduction, options, wanted, None)
    if folder is not None and demo is not None:
        _write_demo(folder, demo)
    root = options.data_root or folder
    if root is None:
        raise InputError("--data-root: give the folder of the dataset; there are no demo data")
    stimuli = _stimulus_folder(options.stimuli, root, wanted)
    given_of_reader = {one.name: given.get(one.name, one.default) for one in of_reader}
    data_changes = {
        one.name: given_of_reader[one.name] for one in of_reader if given_of_reader[one.name] != one.default
    }
    if root == folder:
        # Another version of this package can write other data: they get another run folder.
        data_changes["demo"] = folder.name
    dataset = open_dataset(
        wanted.dataset,
        root,
        options.file_format,
        stimuli,
        option_prefix=READER_PREFIX,
        **{name.removeprefix(READER_PREFIX): value for name, value in given_of_reader.items()},
    )
    dataset = dataset.for_sources(wanted.system.sources)
    if reproduction.choose_subjects is not None and preset != "demo" and "subjects" not in given:
        chosen, how = reproduction.choose_subjects(dataset)
        wanted = wanted.changed({"subjects": chosen})
        LOGGER.info(f"note: subjects: {how}: {', '.join(map(str, chosen))}")
    wanted = _with_subjects(wanted, dataset, given.get("subjects"), preset)
    console = make_console()
    for note in dataset.notes(wanted.subjects or None):
        console.print(f"note: {note}", markup=False, highlight=False, soft_wrap=True)
    return Request(reproduction, options, wanted, dataset, data_changes)


def _stimulus_folder(given: Path | None, root: Path, wanted: Experiment) -> Path | None:
    """The stimulus folder of a run: by default `stimuli` in the dataset, if the model reads stimuli."""
    sees_stimuli = "media" in wanted.system.sources
    if given is None:
        folder = root / "stimuli"
        return folder if sees_stimuli and folder.is_dir() else None
    if not sees_stimuli:
        LOGGER.info(f"note: --stimuli {given}: not used, {type(wanted.system).__name__} reads no stimuli")
        return None
    return given


def _with_subjects(wanted: Experiment, dataset: Reader, words: Sequence[int | str] | None, preset: str) -> Experiment:
    """The experiment on the given subjects, or on those subjects of the preset that the data hold."""
    if words:
        # As strings: a subject may be named 01.
        subjects, notes = chosen_subjects(dataset, list(map(str, words)))
        for note in notes:
            LOGGER.info(f"note: {note}")
        return wanted.changed({"subjects": subjects})
    if words is None and wanted.subjects:
        # A copy of the dataset may hold fewer subjects than the preset of the paper; the table shows the number.
        found = dataset.subjects
        wanted = wanted.changed({"subjects": tuple(name for name in wanted.subjects if name in found)})
        if not wanted.subjects:
            raise InputError(f"{dataset.root}: holds no subject of preset {preset}; give some with --subjects")
    return wanted


def _write_demo(folder: Path, demo: Demo) -> None:
    if folder.is_dir():
        return
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(folder.parent)
        # Renamed when complete, so that an interrupted demo is written again.
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=TEMPORARY_PREFIX) as temporary:
            demo.writer(Path(temporary) / "data", **demo.options)
            os.replace(Path(temporary) / "data", folder)
    except OSError as error:
        # Unless another process has written the same data meanwhile.
        if not folder.is_dir():
            raise InputError(f"{folder}: the demo's data cannot be written: {error.strerror}") from error
