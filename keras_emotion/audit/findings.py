"""Findings of an audit: static checks of every fold, the origin of files, and the null distributions."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator

import numpy as np
import pandas as pd

from keras_emotion.evaluation import POOL, PROTOCOLS, NotEvaluable
from keras_emotion.evaluation.leaks import (
    Finding,
    SplitChecks,
    content_hashes,
    label_findings,
    protocol_claim,
    protocol_findings,
    with_near_copies,
)
from keras_emotion.evaluation.power import detectable_by_permutation
from keras_emotion.experiment.engine import in_workers
from keras_emotion.experiment.jobs import Job, Plan
from keras_emotion.experiment.origin import Origin, trained_files
from keras_emotion.experiment.scope import OutsideTrainingPart
from keras_emotion.experiment.training import fit_on_training_part
from keras_emotion.progress import reported
from keras_emotion.systems.base import System

_SIGNIFICANT = 0.05

_ENOUGH_SHUFFLES = 99


def static_findings(plan: Plan) -> Iterator[Finding]:
    """Check the labels, and every fold of every protocol, without training."""
    experiment = plan.experiment
    for target in experiment.targets:
        pool = plan.window_set(POOL, target)
        contents = content_hashes(list(pool.arrays.values()))
        contents = with_near_copies(contents, pool.table, System.vectors(experiment.system, pool.arrays))
        yield from label_findings(pool.table, pool.labels(), target=target)
        for name in experiment.protocols:
            protocol = PROTOCOLS[name]
            yield from protocol_findings(protocol, target)
            mixes = protocol.scope == "across_subjects"
            checks = SplitChecks(protocol_claim(protocol), mixes, name, target)
            for rows in protocol.pools(pool.table).values():
                unit = dataclasses.replace(pool, table=pool.table.iloc[rows], ratings=pool.ratings[rows])
                try:
                    for repetition in range(plan.n_repetitions(name)):
                        for train, validation, test in plan.folds(unit, name, repetition):
                            # Where the test fold chooses the epoch, the finding of the protocol's definition covers it.
                            chosen = validation if protocol.epoch_chosen_by != "test_fold" else validation[:0]
                            checks.fold(unit.table, train, chosen, test, contents[rows])
                except NotEvaluable:
                    continue
            yield from _of_media(checks.findings(), experiment.system)


def _of_media(findings: Iterable[Finding], system: System) -> Iterator[Finding]:
    """Raise notes on shared stimuli to warnings if the system reads the stimulus itself."""
    for finding in findings:
        if finding.kind == "shared stimulus" and finding.severity == "note" and "media" in system.sources:
            message = f"{finding.message}; {type(system).__name__} reads the stimulus itself"
            finding = dataclasses.replace(finding, severity="warning", message=message)
        yield finding


def scope_findings(plan: Plan, has_run: bool) -> Iterator[Finding]:
    """Check whether something is fitted outside the training windows. A finished run has already proved it is not."""
    jobs = {} if has_run else {job.protocol: job for job, _ in reversed(plan.jobs()[0])}
    tasks = [(_scope_message, (plan, job)) for job in jobs.values()]
    for message in reported(
        in_workers(plan.experiment.runtime, tasks, trains=True), "checks of what is fitted", len(tasks)
    ):
        if message:
            yield Finding("fitted on test rows", "leak", message)


def origin_findings(plan: Plan) -> Iterator[Finding]:
    """Check whether a teacher, an encoder or an initial network was trained on data of the test set."""
    protocols = [PROTOCOLS[name] for name in plan.experiment.protocols]
    files = trained_files(plan.experiment.system)
    if not files:
        return
    tested = Origin.of(plan, pd.concat([plan.joined(subject).table for subject in plan.feature_folders]))
    for file in files:
        origin = Origin.read(file)
        if origin is None:
            message = (
                f"{file.name} provides features or a network: whether it was trained on these recordings is unknown"
            )
            yield Finding("unknown origin", "note", message)
        elif overlap := next(filter(None, (one.describe_overlap(tested) for one in origin.all)), ""):
            yield Finding("fitted on test rows", "leak", f"{file.name} was trained on {overlap}")
        elif shared := {name for one in origin.all for name in one.stimuli} & set(tested.stimuli):
            claimed = any("stimuli" in protocol.disjoint for protocol in protocols)
            message = f"{file.name} was trained on {len(shared)} of the {len(tested.stimuli)} tested stimuli"
            yield Finding("shared stimulus", "leak" if claimed else "warning", message)


def _scope_message(plan: Plan, job: Job) -> str:
    try:
        fit_on_training_part(plan, job)
    except OutsideTrainingPart as error:
        return str(error)
    return ""


def null_findings(scores: pd.DataFrame, null: pd.DataFrame) -> Iterator[Finding]:
    """Report protocols under which shuffled labels or the order of presentation score above chance."""
    for _, row in scores[scores["n_permutations"] > 0].iterrows():
        place = {"protocol": row["protocol"], "target": row["target"]}
        if row["null_low"] > row["constant"]:
            yield Finding("score on shuffled labels", "leak", score_sentence(row), **place)
        keys = ["protocol", "target", "model"]
        own = null.loc[(null[keys] == row[keys]).all(axis=1) & (null["permutation"] > 0), "score"]
        # Requires enough shuffles for less than one false alarm in a hundred.
        if len(own) >= _ENOUGH_SHUFFLES and row["order"] > own.max() and not PROTOCOLS[row["protocol"]].flags:
            message = (
                f"the order of presentation alone, without any signal, scores {_percent(row['order'])}, more than any "
                f"of {len(own)} trainings on shuffled labels (at most {_percent(own.max())}): labels depend on time"
            )
            yield Finding("order of presentation", "warning", message, **place)


def score_sentence(row: pd.Series) -> str:
    """Describe a row of `Audit.scores` for a reader unfamiliar with permutations."""
    between = {
        "trials": "stimuli of a subject",
        "sessions": "stimuli of a session",
        "stimuli": "stimuli, alike for all subjects",
    }[row["permuted_between"]]
    tested = (
        f"p = {row['p_value']:.3f}"
        if np.isfinite(row["p_value"])
        else f"no p-value: there are only {row['n_labelings']} distinct labelings"
    )
    text = (
        f"Under {row['protocol']} a model without any information on emotion scores {_percent(row['null_mean'])} on "
        f"{row['target']} ({row['model']}, trained on labels permuted between the {between}, {row['n_permutations']} "
        f"times, 95 % of them from {_percent(row['null_low'])} to {_percent(row['null_high'])}); with the real labels "
        f"it scores {_percent(row['score'])} ({tested})"
    )
    if not row["p_value"] <= _SIGNIFICANT:
        return f"{text}: no evidence of emotion{_shown_by_these_data(row)}."
    if row["null_low"] > row["constant"]:
        return f"{text}: above chance, but this protocol cannot separate emotion from leakage."
    return f"{text}: above chance."


def _shown_by_these_data(row: pd.Series) -> str:
    """Return the difference that this test would have detected, for a score without evidence."""
    share = detectable_by_permutation(row["null_low"], row["null_high"], tail=_SIGNIFICANT)
    if not np.isfinite(row["p_value"]) or np.isnan(share):
        return ""
    return f" (with 80 % power this test detects a difference of {100 * share:.1f} points from shuffled labels)"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
