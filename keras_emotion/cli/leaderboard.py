"""The command `keras-emotion leaderboard`: compare all EEG models on one dataset, in several sessions."""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from keras_emotion.cli.interruptions import on_interruption
from keras_emotion.cli.output import make_console
from keras_emotion.options import Option
from keras_emotion.schema import InputError

if TYPE_CHECKING:
    from keras_emotion.datasets import Reader
    from keras_emotion.datasets.reader import SubjectId
    from keras_emotion.experiment import Experiment
    from keras_emotion.reports.leaderboard import Entry
    from keras_emotion.systems import System

_COSTS = "costs.json"


@dataclasses.dataclass(frozen=True)
class _Cost:
    """Cost of a model under all protocols, for an experiment with this identity."""

    identity: str
    hours: float
    n_parameters: int | None


@dataclasses.dataclass(frozen=True)
class Leaderboard:
    """Compare all EEG models on a dataset.

    One target, one repetition of at most five folds. Each model has one run for each protocol, the cheapest model
    first. After the given minutes no training is started; the next call continues. The page is written from the
    finished runs.

    Args:
        data_root: folder of the dataset.
        dataset: name of the dataset.
        target: the rating or class to predict.
        protocols: the protocols.
        models: names of the models; by default all that need only EEG.
        preset: preset of the experiments.
        subjects: ids of the subjects; all by default.
        minutes: time after which no training is started; 0 only writes the page.
        workers: number of workers, 0 for one per GPU or core.
        output: folder of the runs.
        page: the page; by default `leaderboard.md` in the folder of the runs.
        tables: folder of the csv files of the page; by default that of the runs.
        archives: folder of one file for each run, with its records. Runs that are not in the output folder continue
            from there, also on another machine; at the end, all runs are archived there.
        full: print the scores of all models; by default the best three of each protocol.

    Examples:
        keras-emotion leaderboard --data-root /data/SAM40
        keras-emotion leaderboard --data-root /data/SAM40 --minutes 0
        keras-emotion leaderboard --data-root . --models svm eegnet
        keras-emotion leaderboard --data-root . --archives results/archives
    """

    data_root: Path
    dataset: Annotated[str, Option(names="dataset")] = "sam40"
    target: str = "task"
    protocols: Annotated[tuple[str, ...], Option(names="protocol", metavar="NAME ...")] = (
        "trial_disjoint",
        "stimulus_disjoint",
        "subject_disjoint",
    )
    models: Annotated[tuple[str, ...], Option(names="model", metavar="NAME ...")] = ()
    preset: str = "reduced"
    subjects: tuple[str, ...] = ()
    minutes: float = 60.0
    workers: int = 0
    output: Path = Path("runs/leaderboard")
    page: Path | None = None
    tables: Path | None = None
    archives: Path | None = None
    full: bool = False

    @on_interruption("finished trainings and stored features are kept; continue with: {command}")
    def run(self) -> int:
        """Train for some minutes, write the page, and return the exit code."""
        from keras_emotion.cli.readers import open_dataset, rate_options
        from keras_emotion.cli.subjects import chosen_subjects

        started = time.time()
        self._check()
        reader = open_dataset(self.dataset, self.data_root, **rate_options(self.dataset, None))
        subjects, subject_notes = chosen_subjects(reader, self.subjects) if self.subjects else ((), ())
        for note in subject_notes:
            make_console().print(f"note: {note}", highlight=False, soft_wrap=True)
        trial = next(iter(reader.trials((subjects or reader.subjects)[:1])))
        chosen, left_out = self._models(trial.duration_seconds, subjects)
        self._restore(chosen)
        costs = self._costs(chosen, reader, trial, measure=self.minutes > 0)
        stop_at = started + 60 * self.minutes
        impossible: dict[tuple[str, str], str] = {}
        for model in sorted(chosen, key=lambda name: costs[name].hours if name in costs else 0.0):
            for protocol in self.protocols:
                if time.time() < stop_at:
                    reason = self._train(chosen[model].changed({"protocols": (protocol,)}), reader, stop_at)
                    if reason:
                        impossible[model, protocol] = reason
        self._archive(chosen)
        self._write(reader, chosen, costs, left_out, impossible)
        return 0

    def _check(self) -> None:
        from keras_emotion.cli.names import check_name
        from keras_emotion.papers import PRESETS

        if not 0 <= self.minutes < 1e6:
            raise InputError(f"--minutes {self.minutes:g}: expected 0 or more")
        if self.preset not in PRESETS:
            raise InputError(f"--preset {self.preset}: expected one of {', '.join(PRESETS)}")
        check_name("--dataset", "dataset", self.dataset)
        for kind, names in (("model", self.models), ("protocol", self.protocols)):
            for name in names:
                check_name(f"--{kind}s", kind, name)

    def _models(
        self, trial_seconds: float, subjects: tuple[SubjectId, ...] = ()
    ) -> tuple[dict[str, Experiment], dict[str, str]]:
        """Experiments of the included models, and the reasons why others are excluded."""
        from keras_emotion.datasets import READERS
        from keras_emotion.papers import models

        chosen, left_out = {}, {}
        for name, presets in models().items():
            if self.models and name not in self.models:
                continue
            fields = {
                "name": f"{self.dataset}_{name}",
                "dataset": self.dataset,
                "targets": (self.target,),
                "protocols": self.protocols,
            }
            wanted = presets(fields)[self.preset].on_scales(READERS[self.dataset].rating_scales)
            other = [source for source in wanted.system.sources if source != "recording"]
            if other:
                left_out[name] = f"needs {', '.join(other)}"
                continue
            wanted = wanted.changed(
                {
                    "system": _fitted(wanted.system, trial_seconds),
                    "subjects": subjects,
                    "maximum_repetitions": 1,
                    "maximum_folds": 5,
                    "runtime.workers": self.workers,
                    "runtime.feature_store": self.output / "features",
                }
            )
            chosen[name] = wanted
        if not chosen:
            raise InputError("--models: none of them needs only EEG; expected one or more EEG models")
        return chosen, left_out

    def _costs(
        self, chosen: Mapping[str, Experiment], reader: Reader, trial: Any, *, measure: bool
    ) -> dict[str, _Cost]:
        """Hours and parameters of each model; earlier measurements are reused."""
        from keras_emotion import experiment
        from keras_emotion.reports.report import output_folder

        known = self._known_costs()
        for name, wanted in chosen.items():
            if (name in known and known[name].identity == wanted.identity()) or not measure:
                continue
            plan, _ = experiment.prepare(wanted, reader)
            hours = experiment.estimate(plan).hours
            n_parameters = _n_parameters(wanted, reader, trial)
            known[name] = _Cost(identity=wanted.identity(), hours=hours, n_parameters=n_parameters)
            make_console().print(f"{name}: about {hours:.2f} hours", highlight=False)
            content = json.dumps({model: dataclasses.asdict(cost) for model, cost in known.items()}, indent=1)
            output_folder(self.output).write_bytes(_COSTS, content.encode())
        return known

    def _known_costs(self) -> dict[str, _Cost]:
        # Imported here, so that the list of commands is quick.
        from pydantic import TypeAdapter, ValidationError

        file = self.output / _COSTS
        if not file.exists():
            return {}
        try:
            return TypeAdapter(dict[str, _Cost]).validate_json(file.read_bytes())
        except ValidationError:
            raise InputError(
                f"{file}: damaged; expected hours and parameters by model; delete it to measure them again"
            ) from None

    def _train(self, wanted: Experiment, reader: Reader, stop_at: float) -> str:
        """Run one model under one protocol; return why it is impossible, or an empty string."""
        from keras_emotion import experiment

        folder = self._folder(wanted.name, wanted.protocols[0])
        if not experiment.RunFolder(folder).is_started:
            plan, _ = experiment.prepare(wanted, reader)
            jobs, reasons = plan.jobs()
            if not jobs:
                return "; ".join(dict.fromkeys(entry["reason"] for entry in reasons))
        make_console().print(f"{wanted.name}, {wanted.protocols[0]}: {folder}", highlight=False, soft_wrap=True)
        experiment.run(wanted, reader, folder, resume=True, stop_at=stop_at)
        return ""

    def _restore(self, chosen: Mapping[str, Experiment]) -> None:
        """Unpack archived runs that are not in the output folder."""
        from keras_emotion.experiment import RunFolder
        from keras_emotion.experiment.archive import unpack_run
        from keras_emotion.reports.report import output_folder

        if self.archives is None:
            return
        if not (self.output / _COSTS).exists() and (self.archives / _COSTS).exists():
            output_folder(self.output).write_bytes(_COSTS, (self.archives / _COSTS).read_bytes())
        for wanted, protocol, file in self._archived(chosen):
            folder = self._folder(wanted.name, protocol)
            if not file.exists() or RunFolder(folder).is_started:
                continue
            made = unpack_run(file, folder)
            if made.config["identity"] != wanted.changed({"protocols": (protocol,)}).identity():
                shutil.rmtree(folder)
                make_console().print(f"{file}: of other settings; the run starts anew", highlight=False, soft_wrap=True)

    def _archive(self, chosen: Mapping[str, Experiment]) -> None:
        from keras_emotion.experiment import RunFolder
        from keras_emotion.experiment.archive import pack_run
        from keras_emotion.reports.report import output_folder

        if self.archives is None:
            return
        if (self.output / _COSTS).exists():
            output_folder(self.archives).write_bytes(_COSTS, (self.output / _COSTS).read_bytes())
        for wanted, protocol, file in self._archived(chosen):
            folder = RunFolder(self._folder(wanted.name, protocol))
            if folder.is_started:
                output_folder(self.archives).write_bytes(file.name, pack_run(folder))

    def _archived(self, chosen: Mapping[str, Experiment]) -> Iterator[tuple[Experiment, str, Path]]:
        """Experiment, protocol and archive of each run."""
        from keras_emotion.experiment.archive import SUFFIX

        if self.archives is not None:
            for wanted in chosen.values():
                for protocol in self.protocols:
                    yield wanted, protocol, self.archives / f"{wanted.name}-{protocol}{SUFFIX}"

    def _folder(self, name: str, protocol: str) -> Path:
        return self.output / name / protocol

    def _entries(
        self,
        chosen: Mapping[str, Experiment],
        costs: Mapping[str, _Cost],
        impossible: Mapping[tuple[str, str], str],
    ) -> Iterator[Entry]:
        from keras_emotion.experiment import RunFolder
        from keras_emotion.reports.leaderboard import Entry

        for protocol in self.protocols:
            for model, wanted in chosen.items():
                folder = RunFolder(self._folder(wanted.name, protocol))
                n_parameters = costs[model].n_parameters if model in costs else None
                yield Entry(model, protocol, folder, n_parameters, impossible.get((model, protocol), ""))

    def _write(
        self,
        reader: Reader,
        chosen: Mapping[str, Experiment],
        costs: Mapping[str, _Cost],
        left_out: Mapping[str, str],
        impossible: Mapping[tuple[str, str], str],
    ) -> None:
        from keras_emotion.datasets import READERS
        from keras_emotion.reports.leaderboard import SCORE_HEADINGS, build_leaderboard, score_blocks
        from keras_emotion.reports.numbers import SYNTHETIC_MARK
        from keras_emotion.reports.report import output_folder
        from keras_emotion.reports.terminal import WIDTH, block_table, marked
        from keras_emotion.tables import csv_bytes

        entries = list(self._entries(chosen, costs, impossible))
        title = f"Leaderboard: {self.dataset.replace('_', '-').upper()}, {self.target}"
        meaning = READERS[self.dataset].meaning_of_stimulus
        notes = [f"a stimulus is {meaning}"] if meaning else []
        made = build_leaderboard(entries, title, left_out, self._facts(entries), notes)
        page, tables = self.page or self.output / "leaderboard.md", self.tables or self.output
        names = {"scores": made.scores, "pairs": made.pairs}
        files = {tables / f"{self.dataset}_leaderboard_{name}.csv": csv_bytes(table) for name, table in names.items()}
        for file, content in {page: made.markdown.encode(), **files}.items():
            output_folder(file.parent).write_bytes(file.name, content)
        console = make_console()
        left = made.scores[made.scores["status"] != "finished"]
        n_finished = len(made.scores) - len(left)
        if n_finished:
            mark = SYNTHETIC_MARK if reader.synthetic else ""
            blocks = score_blocks(made.scores, None if self.full else 3)
            table = block_table(marked(title, mark), SCORE_HEADINGS, blocks)
            console.print(table, crop=False, width=min(console.width, WIDTH))
        console.print(f"{n_finished} of {len(made.scores)} runs finished", highlight=False)
        for row in left.itertuples():
            hours = f"; about {costs[row.model].hours:.1f} hours for all protocols" if row.model in costs else ""
            console.print(f"left: {row.model}, {row.protocol}: {row.status}{hours}", highlight=False, soft_wrap=True)
        console.print(f"page: {page}", highlight=False, soft_wrap=True)

    def _facts(self, entries: list[Entry]) -> dict[str, str]:
        from keras_emotion import __version__

        made = [one.folder.environment for one in entries if one.folder.is_started]
        dates = sorted({one["started"][:10] for one in made if "started" in one})
        machines = sorted({f"{one.get('cpu')}, {one.get('n_cores')} cores" for one in made})
        command = f"keras-emotion leaderboard --data-root {self.data_root.name} --dataset {self.dataset}"
        return {
            "command": f"`{command} --target {self.target} --preset {self.preset}`",
            "protocols": ", ".join(self.protocols),
            "trained on": ", ".join(dates) or "–",
            "machine": "; ".join(machines) or "–",
            "keras-emotion": __version__,
            "runs": f"{sum(one.folder.is_started and one.folder.is_finished for one in entries)} of {len(entries)} "
            "finished",
        }


def _fitted(system: System, trial_seconds: float) -> System:
    """Shorten the windows of a system to the whole steps that fit into a trial."""
    from keras_emotion.pipelines import FeaturePart

    changes = {}
    for field in type(system).model_fields:
        part = getattr(system, field)
        if not isinstance(part, FeaturePart):
            continue
        try:
            windowing = part.windowing
        except NotImplementedError:
            continue
        n_steps = int(trial_seconds // windowing.step_seconds)
        if windowing.window_seconds > trial_seconds and n_steps:
            shorter = {"window_seconds": n_steps * windowing.step_seconds, "steps": n_steps}
            changes[field] = part.with_windowing(windowing.model_copy(update=shorter))
    return system.model_copy(update=changes)


def _n_parameters(wanted: Experiment, reader: Reader, trial: Any) -> int | None:
    from keras_emotion.systems.base import NetworkSystem

    system = wanted.system
    if not isinstance(system, NetworkSystem):
        return None
    shapes: dict[str, tuple[int, ...]] = {}
    for part in system.parts().values():
        recording = part.select_channels(trial)
        shapes |= part.array_shapes(len(recording.channel_names), recording.sampling_rate_hz)
    n_classes = wanted.rule(wanted.targets[0], reader.class_names).n_classes
    model = system.model(shapes, n_classes, system.inference(trial))
    return sum(math.prod(weight.shape) for weight in model.trainable_weights)
