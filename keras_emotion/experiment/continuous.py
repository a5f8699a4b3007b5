"""Experiments on continuous ratings: each step of a trial has a value, and whole trials are tested."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import pandas as pd
from pydantic import Field, field_validator

from keras_emotion.datasets import Reader
from keras_emotion.environment import environment
from keras_emotion.evaluation import BASELINES, PREDICTION, PROTOCOLS, RATING, NotEvaluable
from keras_emotion.experiment.continuous_fold import (
    ContinuousModel,
    ContinuousTraining,
    predict_fold,
    read_steps,
)
from keras_emotion.experiment.engine import in_workers
from keras_emotion.experiment.runner import compute_part
from keras_emotion.files import remove_leftovers, write_whole
from keras_emotion.json_files import read_user_json
from keras_emotion.logs import log_to_file, run_log, start_log
from keras_emotion.pipelines import ChannelEntropies, StoredFeatures
from keras_emotion.pipelines.step_ratings import step_ratings
from keras_emotion.schema import TRIAL_KEY, WINDOW_COLUMNS, InputError
from keras_emotion.systems.settings import Configuration, Runtime, differences
from keras_emotion.tables import csv_bytes

CONFIG, STEPS, PREDICTIONS = "config.json", "steps.csv", "predictions"
_SHARES_TRIALS = ("windows", "overlapping_windows")


class ContinuousExperiment(Configuration):
    """Experiment on a continuous rating.

    Args:
        dataset: name of the dataset.
        rating: name of the rating (`keras_emotion.schema.Trial.continuous_ratings`).
        subjects: ids of the subjects; all by default.
        models: models to compare. `"ridge"`: ridge regression of each step independently. `"facrnn"`:
            `keras_emotion.models.FACRNNRegressor` on sequences of steps. Both read differential entropies of theta,
            alpha, beta and gamma, and train on the training trials only; the validation trials choose penalty and
            epoch.
        protocols: protocols to compare; each must keep trials whole. Folds are stratified by whether a trial's mean
            rating is above the median.
        step_seconds: length of a step in seconds, a whole number of samples.
        delay_seconds: reaction time: delay of a rating value relative to the rated moment; studies use 0 to 4 s.
        maximum_repetitions: upper limit of the repetitions of each protocol; 0: as many as it defines.
        maximum_folds: upper limit of the folds of each protocol; 0: as many as it defines.
        training: see `ContinuousTraining`.
        seed: seed of folds, weights and shuffling.
    """

    dataset: str
    rating: str
    subjects: tuple[int | str, ...] = ()
    models: Annotated[tuple[ContinuousModel, ...], Field(min_length=1)] = ("ridge", "facrnn")
    protocols: Annotated[tuple[str, ...], Field(min_length=1)] = ("trial_disjoint", "subject_disjoint")
    step_seconds: Annotated[float, Field(gt=0)] = 1.0
    delay_seconds: Annotated[float, Field(ge=0)] = 0.0
    maximum_repetitions: Annotated[int, Field(ge=0)] = 1
    maximum_folds: Annotated[int, Field(ge=0)] = 0
    training: ContinuousTraining = ContinuousTraining()
    seed: Annotated[int, Field(ge=0)] = 0

    @field_validator("protocols")
    @classmethod
    def _trials_are_whole(cls, names):
        for name in names:
            if name not in PROTOCOLS:
                raise ValueError(f"{name!r} is unknown; expected one of {', '.join(PROTOCOLS)}")
            protocol = PROTOCOLS[name]
            if protocol.disjoint in _SHARES_TRIALS or protocol.epoch_chosen_by != "inner_validation":
                raise ValueError(
                    f"{name!r} has steps of a trial in training and test, or no validation trials; neighbouring steps "
                    "have nearly the same rating; choose one that keeps trials whole"
                )
        return names


class ContinuousJob(NamedTuple):
    """One fold.

    Args:
        protocol: name of the protocol.
        repetition: number of the repetition, from 0.
        name: name of its files.
        parts: `(training, validation, test)` positions of steps.
    """

    protocol: str
    repetition: int
    name: str
    parts: tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclasses.dataclass(frozen=True)
class ContinuousResult:
    """Result of an experiment on a continuous rating.

    Args:
        steps: one row per rated test step of each protocol, repetition and model or baseline: the columns of a
            window table, `rating`, `prediction`, `protocol`, `repetition` and `model`.
        scale: lowest and highest value of the rating.
        notes: data that were left out, one sentence each.
        synthetic: whether the data are synthetic.
    """

    steps: pd.DataFrame
    scale: tuple[float, float]
    notes: tuple[str, ...]
    synthetic: bool


@run_log()
def run_continuous(
    experiment: ContinuousExperiment,
    dataset: Reader,
    output: Path,
    runtime: Runtime | None = None,
    report: Callable[[str], None] = print,
) -> ContinuousResult:
    """Train and test all folds that are missing in the folder.

    Args:
        experiment: the experiment.
        dataset: a reader.
        output: run folder. Results of the same experiment on the same data are reused.
        runtime: workers and feature store.
        report: called with one line for each finished fold.

    Raises:
        InputError: the data lack the rating, cannot be read or split, or the folder belongs to another experiment.
    """
    runtime = runtime or Runtime()
    part = ChannelEntropies(window_seconds=experiment.step_seconds)
    subjects = experiment.subjects or tuple(dataset.subjects)
    folders = compute_part(part, dataset, subjects, runtime)
    output.mkdir(parents=True, exist_ok=True)
    remove_leftovers(output, output / PREDICTIONS)
    config = {
        "experiment": experiment.model_dump(mode="json"),
        # Named by the hash of the recordings and of the features.
        "features": [folder.name for folder in folders.values()],
    }
    known = _read_config(output / CONFIG)
    if known is not None and (found := differences({key: known.get(key) for key in config}, config)):
        raise InputError(
            f"{output}: contains a run of another experiment ({'; '.join(found[:3])}); choose another --output"
        )
    if known is None or not (output / STEPS).is_file():
        table, scale, notes = rated_steps(experiment, dataset, subjects, folders)
        write_whole(output / STEPS, csv_bytes(table))
        config |= {"scale": list(scale), "notes": list(notes)}
        write_whole(output / CONFIG, (json.dumps(config, indent=2) + "\n").encode())
        known = config
    scale, notes = tuple(known["scale"]), list(known["notes"])
    # As read by workers, with ids as text.
    table = read_steps(output / STEPS)
    jobs, reasons = _jobs(experiment, table)
    notes += reasons
    (output / PREDICTIONS).mkdir(exist_ok=True)
    files = {
        (job.name, model): output / PREDICTIONS / f"{job.name}-{model}.npy"
        for job in jobs
        for model in experiment.models
    }
    arguments = tuple(folders.values()), output / STEPS, experiment.training, scale, experiment.seed
    tasks = [
        (_predict, (job.name, model, files[job.name, model], job.parts, *arguments))
        for job in jobs
        for model in experiment.models
        if not files[job.name, model].is_file()
    ]
    if tasks:
        start_log(output, environment(runtime.threads_per_worker, runtime.n_workers), "continuous rating")
    for number, (name, model) in enumerate(in_workers(runtime, tasks, trains=True), start=1):
        line = f"[{number}/{len(tasks)}] {name}: {model}"
        log_to_file(line)
        report(line)
    return ContinuousResult(_tested(experiment, table, jobs, files), scale, tuple(notes), bool(dataset.synthetic))


def _predict(name: str, model: ContinuousModel, file: Path, *arguments: Any) -> tuple[str, str]:
    predict_fold(file, model, *arguments)
    return name, model


def _read_config(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    config = read_user_json(path, "{path}: damaged ({reason}); choose another --output")
    if not isinstance(config, dict) or not {"experiment", "features", "scale", "notes"} <= config.keys():
        raise InputError(f"{path}: not of an experiment on a continuous rating; choose another --output")
    return config


def rated_steps(
    experiment: ContinuousExperiment,
    dataset: Reader,
    subjects: Sequence[int | str],
    folders: Mapping[int | str, Path],
) -> tuple[pd.DataFrame, tuple[float, float], tuple[str, ...]]:
    """Read the rating of each step of the stored features.

    Returns:
        The window tables of all subjects with a column `rating`, NaN where it is missing; the scale; and notes on
        missing ratings.

    Raises:
        InputError: no trial has the rating, or trials have different scales.
    """
    tables, scales, names, notes = [], set(), set(), []
    n_trials = n_rated = 0
    for subject in subjects:
        table = StoredFeatures.open(folders[subject]).table
        ratings = np.full(len(table), np.nan)
        rows_of = table.groupby(["session", "trial"], sort=False).indices
        for trial in dataset.trials([subject]):
            names |= trial.continuous_ratings.keys()
            n_trials += 1
            if (rating := trial.continuous_ratings.get(experiment.rating)) is None:
                continue
            n_rated += 1
            scales.add(rating.scale)
            rows = rows_of[trial.session, trial.trial]
            starts = table["start_seconds"].to_numpy()[rows]
            ratings[rows] = step_ratings(rating, starts, experiment.step_seconds, experiment.delay_seconds)
        tables.append(table.assign(**{RATING: ratings}))
    if not n_rated:
        listed = ", ".join(sorted(names)) or "none"
        raise InputError(
            f"{dataset.root}: no trial has the continuous rating {experiment.rating}; expected one of: "
            f"{listed}; see keras-emotion describe"
        )
    if len(scales) > 1:
        raise InputError(f"{dataset.root}: {experiment.rating} has several scales: {sorted(scales)}; expected one")
    steps = pd.concat(tables, ignore_index=True)
    if n_rated < n_trials:
        notes.append(f"{n_trials - n_rated} of {n_trials} trials have no {experiment.rating}, and are left out")
    is_rated = steps[RATING].notna()
    of_rated_trials = is_rated.groupby([steps[column] for column in TRIAL_KEY]).transform("any")
    if missing := int((of_rated_trials & ~is_rated).sum()):
        notes.append(
            f"{missing} of {int(of_rated_trials.sum())} steps of the other trials have no value of "
            f"{experiment.rating}: they "
            "are predicted but not scored"
        )
    own = [name for name in steps.columns if name in (*WINDOW_COLUMNS, "split", "recorded_together", RATING)]
    return steps[own], scales.pop(), tuple(notes)


def _jobs(experiment: ContinuousExperiment, table: pd.DataFrame) -> tuple[list[ContinuousJob], list[str]]:
    """Return all folds, and why some subjects have none.

    Raises:
        InputError: there is no fold.
    """
    codes, _ = pd.factorize(pd.MultiIndex.from_frame(table[list(TRIAL_KEY)]))
    means = table[RATING].groupby(codes).mean()
    # One row per rated trial, as the splitters expect.
    first = pd.Series(np.arange(len(table))).groupby(codes).first()
    rated = first[means.notna()]
    trials = table.iloc[rated].reset_index(drop=True)
    trial_codes, values = rated.index.to_numpy(), means[means.notna()].to_numpy()
    jobs, reasons = [], []
    for name in experiment.protocols:
        protocol = PROTOCOLS[name]
        for number, (pool, rows) in enumerate(protocol.pools(trials).items()):
            own = trials.iloc[rows].reset_index(drop=True)
            is_high = (values[rows] > np.median(values[rows])).astype(int)
            n_repetitions = min(protocol.n_repetitions, experiment.maximum_repetitions or protocol.n_repetitions)
            for repetition in range(n_repetitions):
                folds = protocol.folds(own, is_high, experiment.seed, repetition, experiment.maximum_folds or None)
                try:
                    parts_of_folds = list(folds)
                except NotEvaluable as error:
                    reasons.append(f"{name}, {pool}: {error}")
                    break
                for fold, parts in enumerate(parts_of_folds):
                    of_steps = tuple(np.flatnonzero(np.isin(codes, trial_codes[rows[part]])) for part in parts)
                    job = f"{name}-{number}-repetition{repetition}-fold{fold}"
                    jobs.append(ContinuousJob(name, repetition, job, of_steps))
    if not jobs:
        raise InputError(f"no subject can be evaluated: {'; '.join(reasons)}")
    return jobs, reasons


def _tested(
    experiment: ContinuousExperiment,
    table: pd.DataFrame,
    jobs: Sequence[ContinuousJob],
    files: Mapping[tuple[str, str], Path],
) -> pd.DataFrame:
    def tested() -> Iterator[pd.DataFrame]:
        for job in jobs:
            train, test = (table.iloc[rows].dropna(subset=[RATING]) for rows in (job.parts[0], job.parts[2]))
            is_rated = table[RATING].notna().to_numpy()[job.parts[2]]
            named = {model: np.load(files[job.name, model])[is_rated] for model in experiment.models}
            for model, predictions in (named | {name: of(train, test) for name, of in BASELINES.items()}).items():
                yield test.assign(
                    **{PREDICTION: predictions, "protocol": job.protocol, "repetition": job.repetition, "model": model}
                )

    return pd.concat(tested(), ignore_index=True)
