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
"""Record of the canaries: their trainings are as long as those of a run."""


@dataclasses.dataclass(frozen=True, eq=False)
class Audit:
    """What an audit found.

    Args:
        findings: static checks, and what the permutations say; leaks first.
        scores: a row a protocol, target and model; see `SCORE_COLUMNS`.
        null: `protocol`, `target`, `model`, `permutation`, `score`; permutation 0 is the real labels.
        gaps: `target`, `model`, `windows`, `trials`: accuracies where windows of one trial are on both sides, and where
            trials are kept whole, with the same model and budget.
        canaries: trainings whose accuracy must be chance; see `keras_emotion.audit.CANARY_COLUMNS`.
        synthetic: whether the data are.
        path: where the files of the audit lie.
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
        """What each protocol is worth, for a reader who knows nothing of permutations."""
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
    """Measure what the protocols of an experiment hand out, and check what can be checked without training.

    1. Static checks of every fold (see `keras_emotion.evaluation.leaks`), and what saved networks that are brought
       along were trained on (`keras_emotion.experiment.origin`).
    2. Proofs: features of a sample of trials are extracted and joined again with other ratings, ids and trials
       (`feature_checks`), and a fold is trained for two epochs with the ratings and features of its test trials
       replaced (`fold_checks`). What changes is a finding.
    3. Canaries: the system itself is trained on a fold with random test labels, and once with shuffled labels
       (`canaries`).
    4. Labels permuted within the rows that one model trains and tests on, between stimuli that were shown equally
       often, all labels of a stimulus together, and models trained on them: logistic regression on the system's
       features, and the system itself. What they reach, they reach without anything of emotion. A high null with a
       real score that is no better is no evidence of emotion; at the ceiling it bounds nothing, and it is no share to
       be subtracted.
    5. The gap between folds of windows and folds of trials, same model and budget.
    6. The accuracy from the order of presentation alone: the permutation is blind to time.

    Permutations and canaries are recorded: an interrupted audit continues where it was. Static checks and proofs are
    done each time. Subjects whose training with the
    real labels diverged are left out, and so are permutations of which a training diverged; both are reported.

    Args:
        subject: an experiment; or a run (its folder, or its `experiment.json`), whose own predictions then are the
            scores with the real labels.
        dataset: the reader, where an experiment is given.
        output: folder of the audit; by default `audit` in the run's folder, else `runs/audits/<identity>`.
        n_light_permutations: shuffles for the logistic regression, R in p = (1 + b) / (1 + R). Of
            fewer than 200 distinct labelings each is trained on once at most; with fewer than 20 there is no p-value.
        n_permutations: shuffles for the system itself: each costs as much as the run.
        data_root: folder of the data set of a run, where it is no longer where it was.
        workers: worker processes; 0 as the experiment says.
        stimuli: folder of the stimuli of a run, where it is no longer where it was.

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
        raise InputError("the number of permutations must be 0 or more")
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
        # Nothing of it could be trained: the runner refuses, and so does this.
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
    """What the canaries counted; they are trained where there is no record of it."""
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
