"""Rows of the registry of papers, and functions to look them up."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import importlib
import inspect
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import create_model

from keras_emotion import synthetic
from keras_emotion.datasets import READERS, Reader
from keras_emotion.datasets.reader import SubjectId
from keras_emotion.schema import InputError, ReleasedFeatures
from keras_emotion.systems import Experiment, System
from keras_emotion.systems.registry import installed_papers, registered_systems

if TYPE_CHECKING:
    import pandas as pd

    from keras_emotion.experiment.records import RunFolder
    from keras_emotion.reports import Drawing

PRESETS = ("paper", "converged", "reduced", "demo")
"""Names of the presets, from the full size of a paper to minutes on synthetic data."""

Presets = Mapping[str, Experiment]
"""The experiment for each of `PRESETS`; the others are reduced versions of `paper`."""

Method = Callable[[Experiment], Experiment]
"""Makes the experiment of a row of a table from the requested experiment."""

Table = Mapping[str, Method]
"""Rows of a table by their printed names; the others are compared with the first."""


@dataclasses.dataclass(frozen=True)
class ComparedFigure:
    """Figure of the paper that compares variants or methods as bars; each is a run, as in a table.

    Args:
        methods: the methods by the names below the bars, in order.
        metric: the score to draw.
        reference: the method that the others are tested against; by default the first.
        caption: one-line caption; by default the names of the methods.
    """

    methods: Table
    metric: str = "accuracy"
    reference: str | None = None
    caption: str = ""


@dataclasses.dataclass(frozen=True, eq=False)
class FigureSource:
    """Source of a figure.

    Args:
        number: number of the figure.
        experiment: the requested experiment.
        dataset: the dataset; `None` for a figure that needs none.
        folder: the folder of the finished run; `None` for a figure that needs none.
        printed: printed numbers of the paper for this dataset; `None` if there are none.
    """

    number: str
    experiment: Experiment
    dataset: Reader | None = None
    folder: RunFolder | None = None
    printed: pd.DataFrame | None = None


@dataclasses.dataclass(frozen=True)
class DrawnFigure:
    """Figure of the paper that is drawn from one experiment.

    Args:
        caption: one-line caption.
        draw: function that draws it, as one or several pictures.
        needs: `"network"`: only the fields of the experiment. `"dataset"`: networks of some folds, which are trained
            for it. `"run"`: the records of a finished run.
        method: makes the experiment of the figure from the requested one; by default they are the same.
    """

    caption: str
    draw: Callable[[FigureSource], Sequence[Drawing]]
    needs: Literal["network", "dataset", "run"] = "run"
    method: Method | None = None


Figure = Callable[[Experiment, Reader, Path], str]
"""Called with the experiment, the dataset and the run folder when a run is finished; its result is printed."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PrintedData:
    """Amount of data that the paper used.

    Args:
        n_subjects: number of subjects; `None` if the paper does not print it.
        n_windows: number of windows or samples of all subjects; `None` if the paper does not print it.
    """

    n_subjects: int | None = None
    n_windows: int | None = None


def _nothing_more(experiment: Experiment, dataset: Reader) -> tuple[str, ...]:
    return ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Demo:
    """Synthetic data on which a reproduction runs without a dataset.

    Args:
        writer: called with a folder and `options`; writes the data.
        options: arguments of `writer`, JSON-able.
        files: experiment fields (dotted names) with a file of these data, as paths in the folder. They are the defaults
            of the demo preset if no other data are given.
    """

    writer: Callable[..., object]
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    files: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def key(self) -> str:
        """Hash of the data: the writer, its options, and the code of the writers."""
        module = sys.modules[self.writer.__module__]
        sources = {Path(inspect.getfile(module)), *Path(inspect.getfile(synthetic)).parent.glob("*.py")}
        content = hashlib.blake2b(digest_size=4)
        content.update(json.dumps([module.__name__, self.writer.__qualname__, dict(self.options)]).encode())
        for path in sorted(sources):
            content.update(path.read_bytes())
        return content.hexdigest()


@dataclasses.dataclass(frozen=True)
class Item:
    """Table or figure of a paper.

    Args:
        kind: table or figure.
        number: its number in the paper; a name for grids of which the paper prints only the chosen values.
        caption: one-line caption.
    """

    kind: Literal["table", "figure"]
    number: str
    caption: str

    @property
    def option(self) -> str:
        """Option that makes it: `--table 3`."""
        return f"--{self.kind} {self.number}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pretraining:
    """Pre-training: a reproduction that trains the initial network of another one, on another dataset.

    Args:
        reproduction: its name; its command is `"pretrain"` (one network), or it trains one for each target.
        field: field of the experiment (dotted name) that takes the network, or the folder of the networks.
        shared: common fields, whose values are those of the experiment that starts from it.
    """

    reproduction: str
    field: str
    shared: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reproduction:
    """Reproduction of one paper on one dataset, run by a script in `reproductions/`.

    Args:
        name: name of the script and of its runs.
        presets: the experiments, by preset.
        description: text of the help: a line, paragraphs, and a section `Examples` with one command per line.
        demo: synthetic data, used if no data are given; `None` if there are none.
        printed_numbers: csv file of the printed numbers, see `keras_emotion.reports.paper_numbers`; `None` if the paper
            reports none on this dataset.
        tables: tables of the paper that compare methods, by number.
        compared_figures: figures of the paper that compare variants or methods, by number; in `printed_numbers`, their
            `table` is `figure` and the number.
        drawn_figures: figures of the paper that are drawn from one experiment, by number.
        table_captions: one-line captions of tables by number; by default the names of their rows.
        figures: functions called when a run is finished, in this order.
        command: kind of training. `"run"`: folds, records, a report. `"train_teachers"`: one network for each target,
            without folds. `"pretrain"`: one network on the ratings of pictures.
        validation_subjects: for `"train_teachers"`: subjects of the validation set.
        reader_options: arguments of the reader by name, as in the paper.
        printed_data: amount of data of this dataset that the paper used; `None` if it used none.
        unlike_the_paper: further differences from the paper, in addition to those of the system and the fields, one
            line each; see `keras_emotion.papers.differences`.
        pretraining: the pre-training, if data for it are given; `None` if the paper has none.
        choose_subjects: selects the subjects of all presets except the demo from a copy of the dataset, and describes
            the selection; `None`: those of the presets.
    """

    name: str
    presets: Presets
    description: str
    demo: Demo | None = None
    printed_numbers: Path | None = None
    tables: Mapping[str, Table] = dataclasses.field(default_factory=dict)
    compared_figures: Mapping[str, ComparedFigure] = dataclasses.field(default_factory=dict)
    drawn_figures: Mapping[str, DrawnFigure] = dataclasses.field(default_factory=dict)
    table_captions: Mapping[str, str] = dataclasses.field(default_factory=dict)
    figures: tuple[Figure, ...] = ()
    command: Literal["run", "train_teachers", "pretrain"] = "run"
    validation_subjects: tuple[int | str, ...] = ()
    reader_options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    printed_data: PrintedData | None = None
    unlike_the_paper: Callable[[Experiment, Reader], tuple[str, ...]] = _nothing_more
    pretraining: Pretraining | None = None
    choose_subjects: Callable[[Reader], tuple[tuple[SubjectId, ...], str]] | None = None

    @property
    def is_on_data_of_paper(self) -> bool:
        """Whether the paper used this dataset; runs are then compared with it, not with the full-size experiment."""
        return self.printed_data is not None or self.printed_numbers is not None

    @property
    def dataset(self) -> str:
        """Name of the dataset."""
        return self.presets["paper"].dataset

    def items(self) -> tuple[Item, ...]:
        """Tables and figures that can be made on this dataset: tables first, by number, then grids."""
        found = [
            Item("table", number, self.table_captions.get(number) or _listed(methods))
            for number, methods in self.tables.items()
        ]
        found += [
            Item("figure", number, one.caption or _listed(one.methods)) for number, one in self.compared_figures.items()
        ]
        found += [Item("figure", number, one.caption) for number, one in self.drawn_figures.items()]
        return tuple(sorted(found, key=_place))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Paper:
    """Row of the registry, with all facts on a paper for commands, scripts and documentation.

    Systems, label rules, training and protocols are fields of the experiments in `reproductions` and `models`.

    Args:
        name: short name, unique.
        citation: authors, title, journal and year.
        title: heading of the paper in the documentation; by default its name.
        reproductions: reproductions on the datasets of the paper, and on others.
        models: models of `keras-emotion run --model` by name: functions that make the presets of an experiment with the
            given fields (`name`, `dataset`, `targets`, `protocols`), for recordings without baseline and face videos.
    """

    name: str
    citation: str
    title: str = ""
    reproductions: tuple[Reproduction, ...] = ()
    models: Mapping[str, Callable[[Mapping[str, Any]], Presets]] = dataclasses.field(default_factory=dict)


REFERENCES = Path(__file__).with_name("references.csv")
"""Published accuracies under leakage-free protocols, see `keras_emotion.reports.read_references`."""

_REGISTERED: dict[str, Paper] = {}


def register_paper(paper: Paper) -> Paper:
    """Add a row to the registry.

    A paper of another package is registered when its module is imported: by the entry point `keras_emotion.papers` of
    that package, or by the option `--register MODULE`. Its systems are registered by
    `keras_emotion.systems.register_system`.

    Raises:
        ValueError: its name, or the name of a reproduction or model, is registered already.
    """
    there = {name: one for name, one in _REGISTERED.items() if name != paper.name}
    known = _REGISTERED.get(paper.name)
    if known is not None and known.citation != paper.citation:
        raise ValueError(f"a paper named {paper.name!r} is registered already")
    for what, own, others in (
        ("reproduction", [one.name for one in paper.reproductions], (one.name for one in _all_reproductions(there))),
        ("model", paper.models, (name for one in there.values() for name in one.models)),
    ):
        if doubles := set(own) & set(others):
            raise ValueError(f"a {what} named {min(doubles)!r} is registered already")
    _REGISTERED[paper.name] = paper
    return paper


def register_module(name: str) -> None:
    """Import a module that registers papers, systems or readers (`--register`).

    Raises:
        InputError: the module does not exist or registers nothing.
    """
    # As with `python -m`, modules in the current folder are found, also by workers.
    if "" not in sys.path:
        sys.path.insert(0, "")
    before = _registered_names()
    is_imported = name in sys.modules
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        raise InputError(
            f"--register {name}: no such module; expected an installed one, or one in the current folder"
        ) from None
    if not is_imported and before == _registered_names():
        raise InputError(
            f"--register {name}: the module registers no paper, system or reader; it must call register_paper, "
            "register_system or register_reader"
        )


def _registered_names() -> tuple[frozenset[str], ...]:
    return frozenset(_REGISTERED), frozenset(registered_systems()), frozenset(READERS)


def papers() -> dict[str, Paper]:
    """All papers by name: of this package, of installed packages, and registered ones."""
    for paper in installed_papers():
        if isinstance(paper, Paper):
            register_paper(paper)
    return dict(_REGISTERED)


def models() -> dict[str, Callable[[Mapping[str, Any]], Presets]]:
    """Models of `keras-emotion run --model` by name."""
    return {name: presets for paper in papers().values() for name, presets in paper.models.items()}


def reproductions() -> dict[str, Reproduction]:
    """All reproductions by name."""
    return {one.name: one for one in _all_reproductions(papers())}


def find_reproduction(name: str) -> Reproduction:
    """Return a reproduction by its name.

    Raises:
        InputError: it does not exist.
    """
    found = reproductions()
    if name not in found:
        raise InputError(f"unknown reproduction {name!r}; expected one of {', '.join(sorted(found))}")
    return found[name]


def _place(item: Item) -> tuple[bool, str, int]:
    """Sort key of a table or figure: by number; those without a number, which take longest, last."""
    has_number = item.number.isdigit()
    return not has_number, "" if item.kind == "table" else item.kind, int(item.number) if has_number else 0


def _listed(methods: Table) -> str:
    return "; ".join(methods)


def _all_reproductions(rows: Mapping[str, Paper]) -> list[Reproduction]:
    return [one for paper in rows.values() for one in paper.reproductions]


def with_system(change: Callable[[Any], System]) -> Method:
    """Return a method that differs only in its system.

    Args:
        change: makes the system of the method from that of the experiment.
    """

    def method(experiment: Experiment) -> Experiment:
        fields = {name: getattr(experiment, name) for name in Experiment.model_fields}
        return Experiment(**{**fields, "system": change(experiment.system)})

    return method


def with_fields(changes: Mapping[str, Any]) -> Method:
    """Return a method that differs in some fields of the experiment.

    Args:
        changes: new value by dotted name, as `Experiment.changed` takes them.
    """
    return functools.partial(_changed, changes=changes)


def released_presets(presets: Presets, released: ReleasedFeatures | None = None) -> dict[str, Experiment]:
    """Change presets to the official features, which the authors of the dataset distribute.

    Args:
        presets: the presets.
        released: official features of a trial, for the length of windows; by default 1 s.

    Raises:
        InputError: the model cannot read them.
    """
    made = {}
    for name, experiment in presets.items():
        system = experiment.system.with_released_features()
        if released is not None:
            system = system.model_copy(update={"features": system.features.fitted_to(released)})
        kind = create_model("ReleasedFeaturesExperiment", __base__=Experiment, system=(type(system), system))
        fields = {field: getattr(experiment, field) for field in Experiment.model_fields}
        made[name] = kind(**{**fields, "system": system})
    return made


def _changed(experiment: Experiment, changes: Mapping[str, Any]) -> Experiment:
    return experiment.changed(changes)
