"""Estimate accuracy inflation by label permutation, on the user's own data, and check every fold for leakage."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pandas as pd

from keras_emotion.audit.canaries import canary_findings, canary_table, run_canaries
from keras_emotion.audit.feature_checks import feature_findings
from keras_emotion.audit.findings import null_findings, origin_findings, scope_findings, score_sentence, static_findings
from keras_emotion.audit.fold_checks import fold_findings
from keras_emotion.audit.null import null_scores, observed_scores, protocol_gaps, score_table
from keras_emotion.audit.tasks import (
    LIGHT,
    NETWORK,
    count_labelings,
    light_plan,
    light_tasks,
    network_tasks,
    run_tasks,
    start_audit_log,
)
from keras_emotion.evaluation.leaks import Finding, sorted_findings
from keras_emotion.experiment.description import load_experiment
from keras_emotion.experiment.jobs import Plan
from keras_emotion.experiment.progress import print_lines
from keras_emotion.experiment.records import RunFolder
from keras_emotion.experiment.runner import prepare
from keras_emotion.json_files import DamagedFile, read_json
from keras_emotion.logs import run_log
from keras_emotion.schema import InputError
from keras_emotion.systems.base import EstimatorSystem
from keras_emotion.systems.experiment import Experiment
from keras_emotion.tables import csv_bytes

_CANARIES = "canaries.json"
"""Name of the canaries' record: their trainings take as long as those of a run."""


@dataclasses.dataclass(frozen=True, eq=False)
class Audit:
    """Result of an audit.

    Args:
        findings: static checks, and results of the permutations; leaks first.
        scores: one row per protocol, target and model; see `SCORE_COLUMNS`.
        null: `protocol`, `target`, `model`, `permutation`, `score`; permutation 0 is the real labels.
        gaps: `target`, `model`, `windows`, `trials`: accuracies where windows of one trial are in both training and
            test set, and where trials are kept whole, with the same model and budget.
        canaries: trainings whose accuracy must be at chance; see `keras_emotion.audit.CANARY_COLUMNS`.
        synthetic: whether the data are synthetic.
        path: folder of the audit's files.
    """

    findings: tuple[Finding, ...]
    scores: pd.DataFrame
    null: pd.DataFrame
    gaps: pd.DataFrame
    canaries: pd.DataFrame
    synthetic: bool
    path: Path

    @property
    def sentences(self) -> list[str]:
        """Describe each protocol's scores for a reader unfamiliar with permutations."""
        return [score_sentence(row) for _, row in self.scores.iterrows() if row["n_permutations"]]


@run_log()
def audit(
    subject: Experiment | RunFolder | Path | str,
    dataset: Any = None,
    output: Path | str | None = None,
    *,
    n_light_permutations: int = 199,
    n_permutations: int = 0,
    data_root: Path | None = None,
    workers: int = 0,
    stimuli: Path | None = None,
) -> Audit:
    """Estimate accuracy inflation by label permutation, and check every fold for leakage.

    1. Static checks of every fold (see `keras_emotion.evaluation.leaks`), and of the training data of saved networks
    that the experiment uses (`keras_emotion.experiment.origin`).
    2. Proofs: features of a sample of trials are extracted and joined again with other ratings, ids and trials
       (`feature_checks`), and a fold is trained for two epochs with the ratings and features of its test trials
       replaced (`fold_checks`). Any change is a finding.
    3. Canaries: the system itself is trained on a fold with random test labels, and once with shuffled labels
       (`canaries`).
    4. Labels permuted within the rows of one model, between stimuli that were shown equally often, all labels of a
       stimulus together, and models trained on them: logistic regression on the system's features, and the system
       itself. Their accuracy is reached without any information on emotion. If the real score does not exceed a high
       null, it is no evidence of emotion; at the ceiling the null bounds nothing, and it is not a share to be
       subtracted.
    5. The gap between folds of windows and folds of trials, same model and budget.
    6. The accuracy from the order of presentation alone: the permutation cannot detect effects of time.

    Permutations and canaries are recorded: an interrupted audit resumes. Static checks and proofs are repeated each
    time. Subjects whose training with the real labels diverged are left out, and so are permutations of which a
    training diverged; both are reported.

    Args:
        subject: an experiment; or a run (its folder, or its `experiment.json`), whose own predictions then are the
            scores with the real labels.
        dataset: the reader, if an experiment is given.
        output: folder of the audit; by default `audit` in the run's folder, else `runs/audits/<identity>`.
        n_light_permutations: number of shuffles for logistic regression, R in p = (1 + b) / (1 + R). With fewer than
            200 distinct labelings each is used at most once; with fewer than 20 there is no p-value.
        n_permutations: number of shuffles for the system itself: each costs as much as the run.
        data_root: folder of the run's dataset, if it has moved.
        workers: number of worker processes; 0: as the experiment defines.
        stimuli: folder of the run's stimuli, if it has moved.

    Raises:
        InputError: the data, the run or the folder cannot be used.
    """
    run = None
    if not isinstance(subject, Experiment):
        path = subject.path if isinstance(subject, RunFolder) else Path(subject)
        subject, found = load_experiment(path, data_root, stimuli)
        dataset = dataset or found
        folder = RunFolder(path if path.is_dir() else path.parent)
        run = folder if folder.is_finished else None
        output = output or (folder.path / "audit" if run else None)
    if workers:
        subject = subject.changed({"runtime.workers": workers})
    if min(n_light_permutations, n_permutations) < 0:
        raise InputError("the number of permutations is negative; expected 0 or more")
    plan, data = prepare(subject, dataset)
    folder = RunFolder(output or Path("runs") / "audits" / subject.identity())
    if folder.is_started:
        print_lines(folder.set_aside_damaged().notes)
    folder.start({"audit": subject.scientific_config()}, subject.identity(), data, resume=True)
    light = light_plan(plan)
    labelings = count_labelings(light)
    peeking = list(scope_findings(plan, has_run=run is not None))
    findings = [*static_findings(plan), *peeking, *origin_findings(plan), *feature_findings(plan, dataset)]
    canaries: list[dict[str, Any]] = []
    if not peeking:
        findings += fold_findings(plan)
        canaries = _recorded_canaries(folder, plan)
        findings += canary_findings(canaries, type(subject.system).__name__)
    if peeking:
        # No part of it can be trained: refused as by the runner.
        n_light_permutations = n_permutations = 0
    else:
        run_tasks(folder, light, light_tasks(light, subject.protocols, n_light_permutations, labelings), trains=False)
    own = isinstance(subject.system, EstimatorSystem)
    if not own:
        first = 1 if run else 0
        tasks = network_tasks(plan, first, n_permutations, labelings) if n_permutations else []
        run_tasks(folder, plan, tasks, trains=True)
    observed = observed_scores(run) if run is not None and not own else None
    wanted = {LIGHT: n_light_permutations, NETWORK: n_permutations}
    null, diverged = null_scores(folder, plan, observed, wanted)
    scores = score_table(null, plan, labelings)
    findings += [*null_findings(scores, null), *diverged]
    for one in run.summary["failed"] if run is not None else ():
        if one["left_out"]:
            message = f"{', '.join(one['left_out'])}: left out, because a training of the run diverged"
            findings.append(Finding("training diverged", "warning", message, one["protocol"], one["target"]))
    result = Audit(
        tuple(sorted_findings(dict.fromkeys(findings))),  # the same message once
        scores,
        null.drop(columns="constant"),
        protocol_gaps(null, plan),
        canary_table(canaries),
        data["synthetic"],
        folder.path,
    )
    _write(folder, result)
    return result


def _recorded_canaries(folder: RunFolder, plan: Plan) -> list[dict[str, Any]]:
    """Return the canaries' counts; train them if there is no record."""
    file = folder.path / _CANARIES
    try:
        return read_json(file)[0]["units"]
    except (DamagedFile, KeyError, OSError):
        start_audit_log(folder, plan)
        units = run_canaries(plan)
        folder.write_json(_CANARIES, {"units": units})
        return units


def _write(folder: RunFolder, result: Audit) -> None:
    folder.write_json("findings.json", {"findings": [finding.as_dict() for finding in result.findings]})
    for name in ("scores", "null", "gaps", "canaries"):
        folder.write_bytes(f"{name}.csv", csv_bytes(getattr(result, name)))
