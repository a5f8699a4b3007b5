"""Prove that training depends on training rows only: retrained with replaced test rows, predictions stay the same.

One fold is trained unchanged, and again with the features and ratings of its test trials replaced in the feature
store's arrays, before anything is joined, fitted or trained. One test trial keeps its features: its predictions, and
those for training trials, must stay the same: exactly if the training is reproducible, so that nothing is estimated; up
to rounding if two equal trainings differ by rounding.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from keras_emotion.audit.feature_checks import COST, equal_but_for_rounding, without_warnings
from keras_emotion.evaluation import PROTOCOLS, NotEvaluable
from keras_emotion.evaluation.leaks import Finding
from keras_emotion.experiment.engine import in_workers
from keras_emotion.experiment.fit import FitRequest, FitResult, TrainingDiverged, fit, run_fits
from keras_emotion.experiment.fold import Fold, fitted_arrays, make_fold
from keras_emotion.experiment.jobs import Job, Plan, Replacement, Rows, WindowSet, clear_cached_windows
from keras_emotion.experiment.training import fold_training, train_fold, without_files
from keras_emotion.pipelines import JoinedArrays
from keras_emotion.progress import reported
from keras_emotion.schema import TRIAL_KEY
from keras_emotion.systems.base import EstimatorSystem, NetworkSystem, System
from keras_emotion.systems.experiment import Experiment

_EPOCHS = 2
"""Epochs of the compared trainings: irrelevant data are irrelevant from the first epoch."""

_DRAWS = 3
"""Number of replacements for an estimator; a network, which takes long to train, gets one."""

_MOST_ROUNDING = 1e-3
"""Largest difference between the probabilities of two equal trainings that counts as rounding: on a GPU the order of
summation varies."""

_TIMES_ROUNDING = 10
"""Factor above the rounding of equal trainings from which a difference counts."""

_TRAINED = 8
"""Number of training trials whose predictions are compared: those of a single one may be 0 and 1 for any fit."""

_ROWS = 512
"""Number of test windows whose vectors are computed together with those of the training windows."""


def checked_plan(plan: Plan) -> Plan:
    """Return the plan under its protocols that keep test trials out; if there are none, under one that does."""
    experiment = plan.experiment
    honest = [name for name in experiment.protocols if _is_honest(name)]
    if not honest:
        across = all(PROTOCOLS[name].scope == "across_subjects" for name in experiment.protocols)
        honest = ["subject_disjoint" if across else "trial_disjoint"]
    fields = {name: getattr(experiment, name) for name in Experiment.model_fields}
    changed = Experiment(**{**fields, "protocols": tuple(honest)})
    return dataclasses.replace(without_files(plan), experiment=changed)


def _is_honest(name: str) -> bool:
    protocol = PROTOCOLS[name]
    # Trials are replaced: if the training set has windows of them, a change is due to the protocol, not to a fit.
    shares_trials = protocol.disjoint in ("windows", "overlapping_windows")
    return not shares_trials and protocol.epoch_chosen_by != "test_fold" and protocol.fitted_on != "all_rows"


def first_folds(plan: Plan) -> Iterator[tuple[Job, list[Rows]]]:
    """Yield the folds of the first splittable unit of each protocol, for the first target, and the job of one."""
    done = set()
    candidate = next(iter(plan.experiment.system.candidates()))
    for protocol, target, subject, session in plan.units():
        if protocol in done or target != plan.experiment.targets[0]:
            continue
        try:
            folds = plan.folds(plan.window_set(subject, target, session), protocol, 0)
        except NotEvaluable:
            continue
        done.add(protocol)
        yield Job(protocol, target, subject, 0, 0, candidate, session), folds


def fold_findings(plan: Plan) -> Iterator[Finding]:
    """Check whether vectors, and trained models, depend on test rows."""
    plan = checked_plan(plan)
    units = list(first_folds(plan))
    if not units:
        message = "no protocol that keeps test rows apart can be applied to these data: fits were not checked"
        yield Finding("not checkable", "note", message)
        return
    tasks = [(_vector_findings, (plan, job, folds[0])) for job, folds in units]
    # Training is independent of the protocol: networks are trained under one.
    trained = units if isinstance(plan.experiment.system, EstimatorSystem) else units[:1]
    tasks += [(_training_findings, (plan, job, folds[0])) for job, folds in trained]
    found: dict[tuple[str, str], Finding] = {}
    for findings in reported(in_workers(plan.experiment.runtime, tasks, trains=True), "checks of folds", len(tasks)):
        for finding in findings:
            found.setdefault((finding.kind, finding.protocol), finding)
    yield from found.values()


# --- vectors


@without_warnings
def _vector_findings(plan: Plan, job: Job, rows: Rows) -> list[Finding]:
    """Check whether each window is vectorised independently."""
    unit, system = plan.window_set(job.subject, job.target, job.session), plan.experiment.system
    fold = make_fold(plan, job, unit, rows, system)
    # As for logistic regression on the features of a network, which fits no arrays.
    arrays = fitted_arrays(fold) if isinstance(system, EstimatorSystem) else fold.arrays
    train, _, test = rows
    known = np.sort(np.concatenate([train, test[:_ROWS]]))
    with_test, of_training = (
        system.vectors({name: JoinedArrays([array], chosen) for name, array in arrays.items()})
        for chosen in (known, train)
    )
    same = equal_but_for_rounding(
        with_test[np.isin(known, train)] if with_test.ndim == 2 else with_test, of_training, of_training
    )
    if same:
        return []
    message = (
        f"`vectors` of {type(system).__name__}: the vectors of training windows change when test windows are left out: "
        "something is fitted to all of them"
    )
    return [Finding("fitted on test rows", "leak", message, job.protocol)]


# --- trainings


@dataclasses.dataclass(frozen=True)
class _Probes:
    """Compared quantities: predictions for a test trial and training trials, and the set of windows."""

    test: np.ndarray
    train: np.ndarray
    windows: pd.DataFrame

    def apart(self, other: _Probes) -> float:
        """Return the largest difference between probabilities; infinity if the predicted windows differ."""
        pairs = (self.test, other.test), (self.train, other.train)
        if any(own.shape != wanted.shape for own, wanted in pairs):
            return float("inf")
        return max(float(np.abs(own - wanted).max(initial=0)) for own, wanted in pairs)


def clear_joined_windows(plan: Plan) -> None:
    """Discard joined windows, so that a system's join state is rebuilt from the present windows."""
    if type(plan.experiment.system).join is not System.join:
        clear_cached_windows()


def trial_names(unit: WindowSet, rows: np.ndarray) -> list[tuple]:
    """Return the keys of the trials of some windows, once each, in their order."""
    keys = unit.table[list(TRIAL_KEY)].iloc[rows].itertuples(index=False, name=None)
    return list(dict.fromkeys(map(tuple, keys)))


def rows_of(unit: WindowSet, names: list[tuple]) -> np.ndarray:
    """Return the windows of some trials."""
    wanted = set(names)
    keys = unit.table[list(TRIAL_KEY)].itertuples(index=False, name=None)
    return np.flatnonzero(np.fromiter((tuple(key) in wanted for key in keys), bool))


@without_warnings
def _training_findings(plan: Plan, job: Job, rows: Rows) -> list[Finding]:
    unit = plan.window_set(job.subject, job.target, job.session)
    place: dict[str, Any] = {"protocol": job.protocol, "target": job.target}
    train, _, test = rows
    tested, trained = trial_names(unit, test), trial_names(unit, train)
    probe, others = tested[0], frozenset(tested[1:])
    name = type(plan.experiment.system).__name__

    def predicted(replacement: Replacement | None = None, of_training: bool = False) -> _Probes:
        changed = dataclasses.replace(plan, replacement=replacement)
        return _predicted(changed, job, rows, None if of_training else [probe], trained[:_TRAINED])

    rounding = 0.0

    def differs(found: _Probes, wanted: _Probes) -> bool:
        return found.apart(wanted) > _TIMES_ROUNDING * rounding

    try:
        expected = predicted()
        for seed in range(_DRAWS if isinstance(plan.experiment.system, EstimatorSystem) else 1):
            both = Replacement(frozenset(tested), others, seed, differs=True)
            found = predicted(both)
            if not found.windows.equals(expected.windows):
                message = f"{name}: the set of its windows changes when ratings or features of test trials are replaced"
                return [Finding("answer in the features", "leak", message, **place)]
            if differs(found, expected):
                break
        else:
            return []
        rounding = predicted().apart(expected)
        if rounding > _MOST_ROUNDING:
            message = (
                f"{name}: trained twice on the same fold, its predictions differ: some state carries over between "
                "trainings (the test rows of one fold are the training rows of another), or is drawn without a seed; "
                "other fits cannot be checked"
            )
            return [Finding("not reproducible", "warning", message, **place)]
        if not differs(found, expected):
            return []
        by_ratings = differs(predicted(dataclasses.replace(both, features=frozenset())), expected)
        # For the training trial alone: predictions next to test trials may depend on those without any fit.
        only_features = dataclasses.replace(both, ratings=frozenset())
        in_training = differs(predicted(only_features, of_training=True), predicted(of_training=True))
        by_features = in_training or differs(predicted(only_features), expected)
    except TrainingDiverged as reason:
        return [Finding("not checkable", "note", f"{name}: training diverged ({reason})", **place)]
    findings = []
    if by_ratings:
        message = f"{name}: its predictions change when ratings of the test trials are replaced: they are used"
        findings.append(Finding("fitted on test rows", "leak", message, **place))
    if in_training or not (by_ratings or by_features):
        # Or only if both are replaced: a part is fitted to ratings and features together.
        message = (
            f"{name}: its predictions for training trials change when the features of test trials are replaced: "
            "something is fitted to them"
        )
        findings.append(Finding("fitted on test rows", "leak", message, **place))
    elif by_features:
        message = (
            f"{name}: its predictions for trial {probe[-1]}, a test trial, change when the features of other test "
            f"trials are replaced: {COST}"
        )
        findings.append(Finding("transductive", "warning", message, **place))
    return findings


def _predicted(plan: Plan, job: Job, rows: Rows, tested: list[tuple] | None, trained: list[tuple]) -> _Probes:
    """Predict a test trial and training trials after a short training; the latter also without the former."""
    clear_joined_windows(plan)
    unit = plan.window_set(job.subject, job.target, job.session)
    windows = unit.table[[*TRIAL_KEY, "start_seconds"]]
    if len(windows) <= max(own.max(initial=0) for own in rows):
        return _Probes(np.empty(0), np.empty(0), windows)
    train, validation, test = rows
    probes = [rows_of(unit, tested or []), rows_of(unit, trained)]
    # Windows of a training trial are predicted together with those of the test trial.
    asked = np.concatenate([*probes, *([] if tested is None else [np.setdiff1d(test, probes[0])])])
    system = plan.experiment.system.candidates()[job.candidate]
    fold = make_fold(plan, job, unit, (train, validation, asked), system)
    probabilities = short_training(plan, job, fold)
    of_test, of_training = np.split(probabilities, np.cumsum([len(own) for own in probes]))[:2]
    return _Probes(of_test, of_training, windows)


def short_training(plan: Plan, job: Job, fold: Fold) -> np.ndarray:
    """Return `(test windows, n_classes)` probabilities after a few epochs; for an estimator, after its fit.

    Raises:
        TrainingDiverged: a loss or a probability is not finite.
    """
    if isinstance(fold.system, NetworkSystem):
        return run_fits(fold_training(fold.system, plan, job, fold), _short_fit).probabilities
    return train_fold(fold.system, plan, job, fold).probabilities


def _short_fit(request: FitRequest) -> FitResult:
    training = request.fold.training
    short = training.model_copy(update={"epochs": min(training.epochs, _EPOCHS)})
    return fit(request._replace(fold=dataclasses.replace(request.fold, training=short)))
