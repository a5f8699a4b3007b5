"""Train and test one fold for any kind of system, and describe the result as a record."""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from keras_emotion.evaluation import POOL, PROTOCOLS, STIMULUS_COLUMNS, classification_metrics, stimulus_baseline
from keras_emotion.experiment.compiled_model import compiled_model, outputs, predict, predict_and_keep, save_model
from keras_emotion.experiment.fit import (
    FitRequest,
    FitRequests,
    FitResult,
    TrainingDiverged,
    fit,
    run_fits,
    seconds_of_steps,
)
from keras_emotion.experiment.fold import Fold, complete_arrays, fitted_arrays, job_fold, training_part
from keras_emotion.experiment.jobs import Job, Plan, WindowSet
from keras_emotion.experiment.origin import Origin
from keras_emotion.experiment.record_tables import FITTED_WINDOWS
from keras_emotion.experiment.stage_files import load_stage, save_stage
from keras_emotion.moved import moved_name
from keras_emotion.pipelines import prepare_backend
from keras_emotion.schema import TRIAL_KEY, InputError
from keras_emotion.systems.base import EstimatorSystem, NetworkSystem, System
from keras_emotion.systems.settings import Training
from keras_emotion.systems.stages import LayerWeights, Stage, layer_weights

if TYPE_CHECKING:
    import sklearn.base


class StageResult(NamedTuple):
    """Result of a stage: its name, the epoch of its weights (from 1), and the score of that epoch."""

    name: str
    best_epoch: int
    score: float


class Trained(NamedTuple):
    """Fold and network of the last stage, all stages, and the diagnostics of earlier ones."""

    fold: Fold
    model: Any
    stages: tuple[StageResult, ...]
    diagnostics: Mapping[str, float]


@dataclasses.dataclass(frozen=True)
class FoldResult:
    """Result of one fold.

    Args:
        fold: the fold of the training.
        probabilities: `(test windows, n_classes)`.
        best_epoch: the epoch of the weights, from 1; 1 without epochs.
        validation_score: score for choosing a candidate; `None` without a search.
        diagnostics: further quantities to record.
        stages: the stages, if there are several.
    """

    fold: Fold
    probabilities: np.ndarray
    best_epoch: int
    validation_score: float | None
    diagnostics: Mapping[str, float]
    stages: tuple[StageResult, ...] = ()


@functools.singledispatch
def train_fold(system: System, plan: Plan, job: Job, fold: Fold) -> FoldResult:
    """Train a system on a fold and apply it to the test windows, depending on its kind."""
    raise TypeError(f"{type(system).__name__} is neither a NetworkSystem nor an EstimatorSystem")


@train_fold.register
def _(system: NetworkSystem, plan: Plan, job: Job, fold: Fold) -> FoldResult:
    return run_fits(fold_training(system, plan, job, fold), fit)


def fold_training(system: NetworkSystem, plan: Plan, job: Job, fold: Fold) -> FitRequests[FoldResult]:
    """Do `train_fold` for a `NetworkSystem`; the caller decides how networks are fitted, and with which others."""
    prepare_backend(plan.experiment.runtime.threads_per_worker)
    if system.members():
        return (yield from _member_training(system, plan, job, fold))
    fold, model, stages, diagnostics = yield from train_network(plan, job, fold)
    probabilities, kept = predict_and_keep(model, fold.batches(fold.test), system.diagnosed_outputs)
    _finite(probabilities)
    score = None
    if job.candidate:
        given = _finite(predict(model, fold.batches(fold.validation)))
        score = _validation_score(given, fold, _chosen_on_test(job))
    diagnostics = {
        **diagnostics,
        **system.diagnostics(model, fold.arrays, fold.test),
        **system.output_diagnostics(kept),
    }
    several = stages if len(stages) > 1 else ()
    return FoldResult(fold, probabilities, stages[-1].best_epoch, score, diagnostics, several)


def train_network(plan: Plan, job: Job, fold: Fold, member: str = "") -> FitRequests[Trained]:
    """Train the stages of a system one after another; save the last network if requested.

    Args:
        plan: the plan.
        job: the job.
        fold: the fold of the system.
        member: name of the member, for a system with separately trained networks.

    Raises:
        TrainingDiverged: a loss of a stage is not finite.
    """
    name = job.part_name(member)
    stages = fold.system.stages()
    before: LayerWeights = {}
    done, diagnostics = [], {}
    for stage in stages:
        is_last = stage is stages[-1]
        if not is_last:
            # Decided before training, so that a stage does not depend on the others' results.
            stage = _without_test_choice(stage, job)
        own = _stage_fold(fold, stage, job, is_last)
        own = dataclasses.replace(own, arrays=fitted_arrays(own))
        if is_last and _chosen_on_test(job):
            # This is flagged: the epoch with the best accuracy on the test windows.
            stage = dataclasses.replace(stage, chosen_by="accuracy")
        inference = _inference(plan, job.target, fold.unit) if is_last else {}
        compiled = compiled_model(own, inference, stage)
        seed = job.seed(plan.experiment.seed, "" if is_last or not stage.own_seed else stage.name)
        log_folder = None if plan.log_folder is None or not is_last else plan.log_folder / name
        request = FitRequest(compiled, own, seed, stage, before, log_folder)
        file = None if is_last or plan.stage_folder is None else _stage_file(plan.stage_folder, job, member, stage)
        result = None if file is None else load_stage(file, request)
        if result is None:
            result = yield request
            if result.diverged:
                raise TrainingDiverged(f"stage {stage.name}: {result.diverged}" if stage.name else result.diverged)
            if file is not None:
                save_stage(file, compiled.model, result)
        done.append(StageResult(stage.name, result.best_epoch, result.score))
        if not is_last:
            before = layer_weights(compiled.model)
            measured = stage.system.diagnostics(compiled.model, own.arrays, own.train)
            diagnostics |= {f"{stage.name}_{quantity}": value for quantity, value in measured.items()}
            fold = _with_outputs(fold, own, stage, compiled.model)
    if plan.model_folder is not None and job.repetition == plan.n_repetitions(job.protocol) - 1:
        save_model(compiled.model, plan.model_folder / f"{name}.keras", _origin(plan, own))
    return Trained(own, compiled.model, tuple(done), diagnostics)


def _origin(plan: Plan, fold: Fold) -> Origin:
    # The windows that chose the epoch are used for training, too.
    return Origin.of(plan, fold.unit.table.iloc[np.union1d(fold.train, fold.validation)])


def _stage_file(folder: Path, job: Job, member: str, stage: Stage) -> Path:
    return folder / f"{job.part_name(member, stage.name)}.npz"


def remove_stages(folder: Path, plan: Plan, job: Job) -> None:
    """Remove the stage files of a job after it is recorded."""
    system = plan.experiment.system.candidates()[job.candidate]
    if isinstance(system, NetworkSystem):
        for member, own in (system.members() or {"": system}).items():
            for stage in own.stages()[:-1]:
                _stage_file(folder, job, member, stage).unlink(missing_ok=True)


def _without_test_choice(stage: Stage, job: Job) -> Stage:
    # If a protocol chooses epochs on the test fold, the validation windows are test windows: no choice is made.
    return dataclasses.replace(stage, chosen_by="none") if _chosen_on_test(job) else stage


def _stage_fold(fold: Fold, stage: Stage, job: Job, is_last: bool) -> Fold:
    """Return the fold of a stage: the arrays of its system, and no test windows unless it is the last one."""
    training = stage.training or fold.training
    if is_last:
        return dataclasses.replace(fold, training=training)
    return Fold(
        unit=fold.unit,
        arrays={name: fold.arrays[name] for name in stage.arrays or fold.arrays},
        system=stage.system,
        training=training,
        train=fold.train,
        validation=fold.validation[:0] if _chosen_on_test(job) else fold.validation,
        test=fold.test[:0],
    )


def _with_outputs(fold: Fold, own: Fold, stage: Stage, model: Any) -> Fold:
    """Return the fold with the outputs of a stage for later ones: zeros for test windows, which it does not read."""
    arrays = {name: array for name, array in fold.arrays.items() if name not in stage.uses_up}
    if stage.gives:
        rows = np.concatenate([own.train, own.validation])
        given = outputs(model, own.batches(rows))
        for output, name in stage.gives.items():
            arrays[name] = np.zeros((len(fold.unit.table), *given[output].shape[1:]), np.float32)
            arrays[name][rows] = given[output]
    return dataclasses.replace(fold, arrays=arrays)


def _member_training(system: NetworkSystem, plan: Plan, job: Job, fold: Fold) -> FitRequests[FoldResult]:
    """Train members separately and combine them; the combination uses training windows only."""
    parts = {"known": fold.train, "asked": fold.test, **({"chosen": fold.validation} if job.candidate else {})}
    said: dict[str, dict[str, np.ndarray]] = {part: {} for part in parts}
    epochs = {}
    for name, member in system.members().items():
        own = {array: fold.arrays[array] for array in member.parts()}
        choosing = fold.validation[:0] if system.members_keep_last_epoch else fold.validation
        alone = dataclasses.replace(fold, system=member, arrays=own, validation=choosing)
        trained, model, stages, _ = yield from train_network(plan, job, alone, name)
        epochs[name] = stages[-1].best_epoch
        for part, rows in parts.items():
            batches = trained.batches(rows)
            given = system.member_probabilities(model, batches)
            said[part][name] = _finite(predict(model, batches) if given is None else given)
    labels = fold.labels[fold.train]
    probabilities, weights = system.combine(said["known"], labels, said["asked"])
    _finite(probabilities)
    score = None
    if job.candidate:
        score = _validation_score(system.combine(said["known"], labels, said["chosen"])[0], fold, _chosen_on_test(job))
    return FoldResult(fold, probabilities, max(epochs.values()), score, weights)


def _finite(probabilities: np.ndarray) -> np.ndarray:
    if not np.isfinite(probabilities).all():
        raise TrainingDiverged("predicted probabilities not finite")
    return probabilities


@train_fold.register
def _(system: EstimatorSystem, plan: Plan, job: Job, fold: Fold) -> FoldResult:
    return train_estimator(plan, job, fold, system.vectors(fitted_arrays(fold)))


def train_estimator(plan: Plan, job: Job, fold: Fold, vectors: np.ndarray) -> FoldResult:
    """Do `train_fold` for an `EstimatorSystem`, with the `(windows, features)` of its `vectors` for the fold.

    A candidate of a search is scored on the validation windows by a fit on the training windows, and tested after a fit
    on both.
    """
    chosen_on_test = _chosen_on_test(job)

    def fitted(rows: np.ndarray) -> sklearn.base.ClassifierMixin:
        return fold.system.estimator(job.seed(plan.experiment.seed)).fit(vectors[rows], fold.labels[rows])

    def probabilities(estimator: sklearn.base.ClassifierMixin, rows: np.ndarray) -> np.ndarray:
        # A class without training windows keeps probability 0.
        given = np.zeros((len(rows), len(fold.unit.class_names)))
        given[:, estimator.classes_] = estimator.predict_proba(vectors[rows])
        return _finite(given)

    # There is no epoch to choose: the validation windows are used for training, too, before the test.
    known = fold.train if chosen_on_test else np.sort(np.concatenate([fold.train, fold.validation]))
    tested, score = fitted(known), None
    if job.candidate:
        of_training = tested if chosen_on_test else fitted(fold.train)
        score = _validation_score(probabilities(of_training, fold.validation), fold, chosen_on_test)
    return FoldResult(fold, probabilities(tested, fold.test), 1, score, {FITTED_WINDOWS: float(len(known))})


def run_job(plan: Plan, job: Job) -> dict[str, Any]:
    """Train and test one fold.

    Returns:
        The record of the job, JSON-able: metrics for each test subject and the prediction for each test window; if its
        training diverged, the reason and the test subjects (see `FailedRecord`).

    Raises:
        OutsideTrainingPart: the system fits something on windows outside the training set.
    """
    started = time.perf_counter()
    fold = job_fold(plan, job)
    try:
        record = job_record(job, train_fold(fold.system, plan, job, fold))
    except TrainingDiverged as reason:
        record = failed_record(job, fold, reason)
    record["seconds"] = time.perf_counter() - started
    return record


def fit_on_training_part(plan: Plan, job: Job) -> None:
    """Fit what a job fits before training (scalers), with access to training windows only.

    Raises:
        OutsideTrainingPart: the system reads other windows.
    """
    fold = job_fold(plan, job)
    arrays = fitted_arrays(fold)
    if isinstance(fold.system, NetworkSystem) and len(fold.system.stages()) == 1 and not fold.system.members():
        prepare_backend(plan.experiment.runtime.threads_per_worker)
        fold = dataclasses.replace(fold, arrays=arrays)
        model = compiled_model(fold, _inference(plan, job.target, fold.unit)).model
        fold.system.fit_statistics(model, training_part(fold), fold.fitted_on)


def _chosen_on_test(job: Job) -> bool:
    return PROTOCOLS[job.protocol].epoch_chosen_by == "test_fold"


def _validation_score(probabilities: np.ndarray, fold: Fold, by_accuracy: bool) -> float:
    # Not the loss, because candidates may weight its terms differently.
    truth = fold.labels[fold.validation]
    if by_accuracy:
        return float((probabilities.argmax(axis=1) == truth).mean())
    return float(np.log(np.maximum(probabilities[np.arange(len(truth)), truth], 1e-12)).mean())


def train_on_all(plan: Plan, target: str, path: Path, validation_subjects: tuple[int | str, ...] = ()) -> Path:
    """Train one network on all windows except those of a few subjects, which choose the epoch, and save it.

    Args:
        plan: the experiment.
        target: rating to predict.
        path: file of the network; an existing file is kept.
        validation_subjects: the subjects that choose the epoch; default: those of the first inner validation set of the
            protocol `subject_disjoint`.

    Returns:
        `path`.
    """
    if path.is_file():
        return path
    prepare_backend(plan.experiment.runtime.threads_per_worker)
    unit = plan.window_set(POOL, target)
    if validation_subjects:
        is_validation = unit.table["subject"].isin(validation_subjects).to_numpy()
        train, validation = np.flatnonzero(~is_validation), np.flatnonzero(is_validation)
    else:
        train, validation, test = plan.folds(unit, "subject_disjoint", 0)[0]
        train = np.sort(np.concatenate([train, test]))
    experiment = plan.experiment
    arrays = complete_arrays(unit, train)
    fold = Fold(unit, arrays, experiment.system, experiment.training, train, validation, train[:0])
    compiled = compiled_model(fold, _inference(plan, target, unit))
    seed = Job("all", target, POOL, 0, 0).seed(experiment.seed)
    fit_or_refuse(FitRequest(compiled, fold, seed, Stage(system=fold.system)), target)
    save_model(compiled.model, path, _origin(plan, fold))
    return path


def fit_or_refuse(request: FitRequest, what: str) -> None:
    """Fit a network that is trained without folds.

    Args:
        request: the fit request.
        what: purpose of the training, for the message.

    Raises:
        InputError: the training diverged.
    """
    if reason := fit(request).diverged:
        raise InputError(f"{what}: training diverged ({reason}); use a smaller --training.learning-rate")


def _inference(plan: Plan, target: str, unit: WindowSet) -> dict[str, Any]:
    return {**plan.inference, "target": target, "class_names": list(unit.class_names)}


def seconds_per_step(plan: Plan, job: Job, n_steps: int = 5) -> list[tuple[Training, float, float]]:
    """Measure how long the steps of a job take in a worker.

    Returns:
        For each network of the job (a teacher first): its training settings, and the measured seconds of a training
        step and of a test step.
    """
    fold = job_fold(plan, job)
    if isinstance(fold.system, EstimatorSystem):
        started = time.perf_counter()
        train_fold(fold.system, plan, job, fold)
        # A fit is one step on all windows.
        once = Training(epochs=1, batch_size=max(len(fold.unit.table), 1))
        return [(once, time.perf_counter() - started, 0.0)]
    measured = []

    def measure(request: FitRequest) -> FitResult:
        measured.append((request.fold.training, *seconds_of_steps(request, n_steps)))
        return FitResult(1, float("nan"))

    try:
        run_fits(fold_training(fold.system, without_files(plan), job, fold), measure)
    except TrainingDiverged as reason:
        raise InputError(
            f"{job.title}: training diverges in its first {n_steps} steps ({reason}); use a smaller "
            "--training.learning-rate"
        ) from None
    return measured


def without_files(plan: Plan) -> Plan:
    """Return the plan without models, stages or logs on disk."""
    return dataclasses.replace(plan, model_folder=None, log_folder=None, stage_folder=None)


def _json_able(stage: StageResult) -> StageResult:
    # Without validation windows there is no score.
    return stage._replace(score=None if np.isnan(stage.score) else stage.score)


def failed_record(job: Job, fold: Fold, reason: TrainingDiverged) -> dict[str, Any]:
    """Return the record of a job whose training diverged, without its duration."""
    subjects = fold.unit.table["subject"].iloc[fold.test].astype(str)
    return {"job": dataclasses.asdict(job), "failed": str(reason), "test_subjects": sorted(set(subjects))}


def job_record(job: Job, learnt: FoldResult) -> dict[str, Any]:
    """Return the record of a job (see `run_job`), without its duration."""
    fold, probabilities = learnt.fold, learnt.probabilities
    labels, table = fold.labels[fold.test], fold.unit.table.iloc[fold.test]
    predictions = probabilities.argmax(axis=1)
    training_counts = np.bincount(fold.labels[fold.train], minlength=probabilities.shape[1])
    by_subject = {}
    for subject, rows in table.reset_index(drop=True).groupby("subject").indices.items():
        by_subject[str(subject)] = classification_metrics(labels[rows], predictions[rows], probabilities[rows])
    columns = table[[*TRIAL_KEY, "stimulus", "start_seconds", "stop_seconds"]].to_dict("list")
    columns |= {"label": labels.tolist(), "prediction": predictions.tolist()}
    known, seen = stimulus_baseline(fold.unit.table, fold.labels, fold.train, fold.test)
    columns |= dict(zip(STIMULUS_COLUMNS, (known.tolist(), seen.tolist()), strict=True))
    for index, name in enumerate(fold.unit.class_names):
        columns[f"probability_{name}"] = probabilities[:, index].tolist()
    score = learnt.validation_score
    return {
        "job": dataclasses.asdict(job),
        "metrics": by_subject,
        "training_majority": int(training_counts.argmax()),
        "n_training_windows": len(fold.train),
        "n_validation_windows": len(fold.validation),
        "predictions": columns,
        "best_epoch": learnt.best_epoch,
        **({} if score is None else {"validation_score": score}),
        **({"stages": [one._asdict() for one in map(_json_able, learnt.stages)]} if learnt.stages else {}),
        "diagnostics": dict(learnt.diagnostics),
    }


def __getattr__(name: str) -> Any:
    return moved_name(__name__, name)
