"""Canary trainings of the system itself, whose accuracy must be at chance, on one fold (for an estimator on a few).

1. The labels of the test rows are replaced at random after the split: nothing learnt from training rows predicts them.
2. Labels are shuffled once, in training and test set: a smoke alarm, R = 1. It gives no p-value of the accuracy with
   the real labels; 19 or 199 shuffles do (`n_permutations`).

Windows of a trial are correct or wrong together, so trials are counted: a trial is correct if most of its windows are.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from keras_emotion.audit.feature_checks import without_warnings
from keras_emotion.audit.fold_checks import Rows, checked_plan, clear_joined_windows, first_folds, trial_names
from keras_emotion.evaluation import PROTOCOLS
from keras_emotion.evaluation.leaks import Finding
from keras_emotion.evaluation.permutation import permuted_between
from keras_emotion.experiment.engine import in_workers
from keras_emotion.experiment.fit import TrainingDiverged
from keras_emotion.experiment.fold import make_fold
from keras_emotion.experiment.jobs import Job, Plan, Replacement, WindowSet
from keras_emotion.experiment.training import train_fold
from keras_emotion.progress import reported
from keras_emotion.schema import TRIAL_KEY
from keras_emotion.systems.base import EstimatorSystem

RANDOM, SHUFFLED = "random test labels", "shuffled labels"
"""The canaries."""

CANARY_COLUMNS = ("protocol", "target", "canary", "n_folds", "n_trials", "n_right", "chance", "p_value", "can_alarm")
"""Columns of `Audit.canaries`: `n_right` is the number of test trials in all folds that are classified correctly,
`chance` the probability that one is correct by chance (the share of the most frequent class), `p_value` that of at
least `n_right` correct ones, and `can_alarm` whether the trials suffice for a finding if all of them were correct."""

_ENOUGH_TRIALS = 40
"""Number of test trials after which no further fold of an estimator is trained."""

_ALARM = 0.001
"""p-value below which a canary is a finding: less than one false alarm in a hundred audits of ten rows each."""


class _NotTrainableError(Exception):
    """A canary cannot be trained: the set of windows depends on ratings, or one class is left in training."""


def run_canaries(plan: Plan) -> list[dict[str, Any]]:
    """Train the canaries and count correct test trials.

    Returns:
        JSON-able: for each protocol (for a network, one of them) `protocol`, `target`, `folds`, a list of results of
        `_of_fold`, and `failed`, a reason, if a training diverged.
    """
    plan = checked_plan(plan)
    units = list(first_folds(plan))
    if isinstance(plan.experiment.system, EstimatorSystem):
        units = [(job, folds[: _enough_folds(plan, job, folds)]) for job, folds in units]
    elif units:
        # One fold, since a network takes as long for it as in the run; of the protocol with most test trials in one
        # fold.
        job, folds = max(units, key=lambda unit: _n_test_trials(plan, *unit)[0])
        units = [(job, folds[:1])]
    tasks = [(_of_unit, (plan, job, folds)) for job, folds in units]
    found = reported(in_workers(plan.experiment.runtime, tasks, trains=True), "canaries", len(tasks))
    return sorted(found, key=lambda one: one["protocol"])


def _n_test_trials(plan: Plan, job: Job, folds: Sequence[Rows]) -> np.ndarray:
    """Count the test trials of each fold."""
    unit = plan.window_set(job.subject, job.target, job.session)
    return np.array([len(trial_names(unit, test)) for _, _, test in folds])


def _enough_folds(plan: Plan, job: Job, folds: Sequence[Rows]) -> int:
    """Return the number of folds that have enough test trials together."""
    return int(np.searchsorted(np.cumsum(_n_test_trials(plan, job, folds)), _ENOUGH_TRIALS)) + 1


@without_warnings
def _of_unit(plan: Plan, job: Job, folds: Sequence[Rows]) -> dict[str, Any]:
    place = {"protocol": job.protocol, "target": job.target}
    try:
        counted = [_of_fold(plan, dataclasses.replace(job, fold=number), rows) for number, rows in enumerate(folds)]
    except (TrainingDiverged, _NotTrainableError) as reason:
        return {**place, "folds": [], "failed": str(reason)}
    return {**place, "folds": counted, "failed": ""}


def _of_fold(plan: Plan, job: Job, rows: Rows) -> dict[str, Any]:
    """Return `n_trials`, correct trials by canary, `chance`, and whether predictions depend on the training labels."""
    unit = plan.window_set(job.subject, job.target, job.session)
    names = frozenset(trial_names(unit, rows[2]))
    plans = {
        RANDOM: dataclasses.replace(plan, replacement=Replacement(ratings=names, seed=plan.experiment.seed)),
        SHUFFLED: dataclasses.replace(
            plan, permutation=1, permuted_between=permuted_between(PROTOCOLS[job.protocol]), enumerated={}
        ),
    }
    right, probabilities, labels = {}, {}, {}
    for canary, changed in plans.items():
        clear_joined_windows(plan)
        own = changed.window_set(job.subject, job.target, job.session)
        if not own.table[[*TRIAL_KEY, "start_seconds"]].equals(unit.table[[*TRIAL_KEY, "start_seconds"]]):
            raise _NotTrainableError("the set of windows changes when ratings are replaced")
        fold = make_fold(changed, job, own, rows, changed.experiment.system.candidates()[job.candidate])
        # The rows are those of the real labels: of few trials, other labels may leave one class among them.
        if len(np.unique(fold.labels[fold.train])) < 2:
            raise _NotTrainableError(
                f"{canary}: the training windows of fold {job.fold} have one class; too few trials"
            )
        probabilities[canary] = train_fold(fold.system, changed, job, fold).probabilities
        labels[canary] = fold.labels[fold.train]
        is_right = pd.Series(probabilities[canary].argmax(axis=1) == fold.labels[fold.test])
        trial = own.table.iloc[rows[2]].reset_index(drop=True).groupby(list(TRIAL_KEY)).ngroup()
        right[canary] = int((is_right.groupby(trial.to_numpy()).mean() > 0.5).sum())
    clear_joined_windows(plan)
    predicted = probabilities[RANDOM].argmax(axis=1)
    is_unused = (
        np.array_equal(probabilities[RANDOM], probabilities[SHUFFLED])
        and not np.array_equal(labels[RANDOM], labels[SHUFFLED])
        and len(np.unique(predicted)) > 1
    )
    return {
        "n_trials": len(names),
        "right": right,
        "chance": _chance(unit, rows),
        "training_labels_unused": bool(is_unused),
    }


def _chance(unit: WindowSet, rows: Rows) -> float:
    """Upper bound of the probability that a test trial is correct by chance: the share of its subject's main class.

    Labels are drawn or shuffled within the subject.
    """
    heads = unit.table.assign(label=unit.labels(rows[0])).drop_duplicates(list(TRIAL_KEY))
    shares = heads.groupby("subject")["label"].agg(lambda labels: labels.value_counts(normalize=True).max())
    tested = unit.table.iloc[rows[2]].drop_duplicates(list(TRIAL_KEY))["subject"]
    return float(shares.loc[tested].mean())


def canary_table(units: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Build a table with a row for each protocol and canary, with `CANARY_COLUMNS`."""
    from scipy.stats import binom

    rows = []
    for unit in units:
        if not unit["folds"]:
            continue
        n_trials = sum(fold["n_trials"] for fold in unit["folds"])
        # With different probabilities per trial, fewer trials reach a number than with their mean.
        chance = sum(fold["n_trials"] * fold["chance"] for fold in unit["folds"]) / n_trials
        for canary in (RANDOM, SHUFFLED):
            n_right = sum(fold["right"][canary] for fold in unit["folds"])
            p_value = float(binom.sf(n_right - 1, n_trials, chance))
            place = unit["protocol"], unit["target"], canary, len(unit["folds"])
            rows.append((*place, n_trials, n_right, chance, p_value, chance**n_trials < _ALARM))
    return pd.DataFrame(rows, columns=list(CANARY_COLUMNS))


def canary_findings(units: Sequence[Mapping[str, Any]], system: str) -> Iterator[Finding]:
    """Report canaries above chance, and trainings that do not depend on their labels."""
    for row in canary_table(units).itertuples():
        if row.p_value >= _ALARM:
            continue
        counted = f"{system}: {row.n_right} of {row.n_trials} test trials are predicted correctly"
        chance = f"(chance: {row.chance:.0%} each, p = {row.p_value:.1g})"
        if row.canary == RANDOM:
            message = f"{counted} for labels that were drawn at random after the split {chance}: it has access to them"
            yield Finding("score on random test labels", "leak", message, row.protocol, row.target)
        else:
            message = f"{counted} with labels shuffled once (R = 1) {chance}: it does not learn from the signals"
            yield Finding("score on shuffled labels", "leak", message, row.protocol, row.target)
    for unit in units:
        place = unit["protocol"], unit["target"]
        if unit["failed"]:
            message = f"{system}: canaries could not be trained ({unit['failed']})"
            yield Finding("not checkable", "note", message, *place)
        if unit["folds"] and all(fold["training_labels_unused"] for fold in unit["folds"]):
            message = (
                f"{system}: trained on shuffled labels it predicts exactly the same as trained on the real ones: "
                "its predictions have another source (a model fitted before, a table of answers); list that file in "
                "`source_files`, with its training data"
            )
            yield Finding("training labels unused", "leak", message, *place)
