"""The command `keras-emotion continuous`: predict continuous ratings."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

from keras_emotion.cli.output import make_console, print_json
from keras_emotion.options import Option
from keras_emotion.schema import InputError


@dataclasses.dataclass(frozen=True)
class Continuous:
    """Predict continuous ratings from EEG.

    Ridge regression and a recurrent network (that of 3FACRNN, with one value per step) are tested on whole trials and
    compared with baseline models without any signal: the mean, the order alone, and the ratings of others of the same
    stimulus. Folds in the output folder are not trained again. Exit code 0: done.

    Args:
        folder: folder of the dataset.
        rating: name of the continuous rating; `describe` lists those of each trial.
        dataset: name of the dataset.
        models: models to compare, ridge or facrnn.
        protocols: protocols that do not split trials.
        subjects: subjects; by default all.
        step_seconds: length of a step in seconds.
        delay_seconds: delay of the ratings with respect to the stimulus.
        steps: number of steps of a sequence of the network.
        epochs: maximum number of passes over the training sequences.
        learning_rate: learning rate of the network.
        maximum_repetitions: maximum number of repetitions of a protocol, 0 for all.
        maximum_folds: maximum number of folds of a protocol, 0 for all.
        seed: seed of folds, weights and shuffling.
        workers: number of workers, 0 for one per GPU or core.
        output: folder to write to; by default in `runs`.
        feature_store: folder of computed features, shared with runs.
        full: print all columns of the table.
        json: print one JSON object in place of a table.

    Examples:
        keras-emotion continuous /data/MAHNOB-HCI --rating continuous_valence
        keras-emotion synthesize mahnob_hci M --continuous-valence
        keras-emotion continuous M --rating continuous_valence
    """

    folder: Annotated[Path, Option(positional=True, aliases=("--data-root",))]
    rating: Annotated[str, Option(metavar="NAME")]
    dataset: Annotated[str, Option(names="dataset")] = "mahnob_hci"
    models: Annotated[tuple[str, ...], Option(metavar="NAME ...")] = ("ridge", "facrnn")
    protocols: Annotated[
        tuple[str, ...], Option(aliases=("--protocol",), names="protocol of a run", metavar="NAME ...")
    ] = ("trial_disjoint", "subject_disjoint")
    subjects: tuple[str, ...] = ()
    step_seconds: float = 1.0
    delay_seconds: float = 0.0
    steps: int = 20
    epochs: int = 60
    learning_rate: float = 1e-3
    maximum_repetitions: int = 1
    maximum_folds: int = 0
    seed: int = 0
    workers: int = 0
    output: Annotated[Path | None, Option(metavar="FOLDER")] = None
    feature_store: Path = Path("runs/features")
    full: bool = False
    json: bool = False

    def run(self) -> int:
        """Train, test and write, and return the exit code."""
        from keras_emotion.cli.interruptions import on_interruption
        from keras_emotion.cli.readers import open_dataset
        from keras_emotion.evaluation import continuous_scores, continuous_summary
        from keras_emotion.experiment.continuous import run_continuous
        from keras_emotion.files import write_whole
        from keras_emotion.progress import print_progress
        from keras_emotion.reports.continuous import BRIEF_LEGEND, LEGEND, continuous_page, draw_traces
        from keras_emotion.systems.settings import Runtime
        from keras_emotion.tables import csv_bytes

        reader = open_dataset(self.dataset, self.folder)
        experiment = self._experiment(reader)
        output = self.output or Path("runs") / f"{self.dataset}-{self.rating}-continuous"
        console = make_console()
        with on_interruption("finished folds and runs are kept; continue with: {command}"):
            result = run_continuous(
                experiment,
                reader,
                output,
                Runtime(workers=self.workers, feature_store=self.feature_store),
                report=print_progress,
            )
        scores = continuous_scores(result.steps)
        summary = continuous_summary(scores)
        notes = [*result.notes, *(["the data are synthetic: the numbers say nothing about emotion"] * result.synthetic)]
        write_whole(output / "scores.csv", csv_bytes(scores))
        write_whole(output / "summary.csv", csv_bytes(summary))
        tested = result.steps[result.steps["model"].isin(experiment.models)]
        write_whole(output / "predictions.csv", csv_bytes(tested))
        draw_traces(result.steps, output / "traces.png", result.steps["protocol"].iloc[0])
        low, high = result.scale
        title = f"{self.dataset}: {self.rating} ({low:g} to {high:g}), steps of {self.step_seconds:g} s"
        write_whole(output / "report.md", continuous_page(title, summary, notes, "traces.png").encode())
        if self.json:
            rows = summary.astype(object).where(summary.notna(), None)
            print_json(output=str(output), notes=notes, summary=rows.to_dict("records"))
            return 0
        _print_table(console, title, summary, result.synthetic, full=self.full)
        legend = LEGEND if self.full else f"{BRIEF_LEGEND} (all columns: --full, or the report)"
        for line in (*(f"note: {note}" for note in notes), legend, f"report: {output / 'report.md'}"):
            console.print(line, markup=False, highlight=False, soft_wrap=True)
        return 0

    def _experiment(self, reader):
        from pydantic import ValidationError

        from keras_emotion.cli.names import with_usual_protocols
        from keras_emotion.cli.parser import problem_text
        from keras_emotion.cli.subjects import chosen_subjects
        from keras_emotion.experiment.continuous import ContinuousExperiment

        subjects, _ = chosen_subjects(reader, self.subjects) if self.subjects else ((), ())
        names = (
            "rating",
            "dataset",
            "models",
            "step_seconds",
            "delay_seconds",
            "maximum_repetitions",
            "maximum_folds",
            "seed",
        )
        training = {name: getattr(self, name) for name in ("steps", "epochs", "learning_rate")}
        try:
            return ContinuousExperiment(
                **{name: getattr(self, name) for name in names},
                subjects=subjects,
                protocols=with_usual_protocols(self.protocols, self.dataset),
                training=training,
            )
        except ValidationError as error:
            first = error.errors()[0]
            # In lists the index of the item follows; fields of the training are separate options.
            name = next(place for place in reversed(first["loc"]) if isinstance(place, str))
            raise InputError(f"--{name.replace('_', '-')}: {problem_text(first)}") from None


def _print_table(console, title: str, summary, synthetic: bool, *, full: bool) -> None:
    import rich.box
    from rich.table import Table

    from keras_emotion.reports.continuous import COLUMNS, summary_blocks, summary_rows
    from keras_emotion.reports.numbers import SYNTHETIC_MARK
    from keras_emotion.reports.terminal import WIDTH, block_table, marked

    title = marked(title, SYNTHETIC_MARK if synthetic else "")
    if full:
        table = Table(*COLUMNS, title=title, title_justify="left", box=rich.box.SIMPLE)
        for row in summary_rows(summary):
            table.add_row(*row)
        console.print(table)
    else:
        headings, blocks = summary_blocks(summary)
        console.print(block_table(title, headings, blocks), crop=False, width=min(console.width, WIDTH))
