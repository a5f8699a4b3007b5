"""The leak audit: how much of an accuracy the protocol itself hands out, measured on the user's own data."""

from __future__ import annotations

import dataclasses
import itertools
import json
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import rich.console

from keras_emotion.evaluation import POOL, PROTOCOLS, NotEvaluable, subject_scores
from keras_emotion.evaluation.leaks import (
    Finding,
    SplitChecks,
    claim_of,
    content_hashes,
    label_findings,
    protocol_findings,
    sorted_findings,
)
from keras_emotion.evaluation.permutation import permuted_between
from keras_emotion.experiment.configuration import Experiment
from keras_emotion.experiment.description import load_experiment
from keras_emotion.experiment.engine import in_workers
from keras_emotion.experiment.jobs import Job, Plan
from keras_emotion.experiment.records import RunFolder, full_disk_is_said
from keras_emotion.experiment.runner import TRAINED_ON, clock, prepare
from keras_emotion.experiment.scope import OutsideTrainingPart
from keras_emotion.experiment.system import EstimatorSystem
from keras_emotion.experiment.systems import LightModel
from keras_emotion.experiment.training import Fold, fit_on_training_part, fold_of_rows, learn, learn_vectors, run_job
from keras_emotion.experiment.vectorized import at_once, run_jobs
from keras_emotion.schema import InputError

LIGHT, ORDER, NETWORK = "logistic regression", "order of presentation", "network"
"""Who is trained: on the features that the network sees, on the time within the session alone, the system itself."""

SCORE_COLUMNS = (
    "protocol",
    "target",
    "model",
    "permuted_between",
    "n_subjects",
    "score",
    "n_permutations",
    "null_mean",
    "null_low",
    "null_high",
    "p_value",
    "constant",
    "order",
)
"""Columns of `Audit.scores`: `score` is the accuracy with the real labels (mean over subjects), `null_*` mean and 95 %
range of the accuracies that training on shuffled labels gave, `p_value` = (1 + shuffles that reach it) /
(1 + shuffles), `constant` the best constant on the test rows, `order` the accuracy from the order of presentation
alone (NaN where that is not known)."""

_CHUNK = 20
"""Permutations of one task of the light model: minutes at most, also where all subjects are trained on together."""

_SECONDS_BETWEEN_LINES = 10

_NEIGHBOURS = 5
"""Windows of each subject, the nearest in time, whose commonest label is the prediction from the order alone."""

_SIGNIFICANT = 0.05
_ENOUGH_SHUFFLES = 99


@dataclasses.dataclass(frozen=True, eq=False)
class Audit:
    """What an audit found.

    Args:
        findings: static checks, and what the permutations say; leaks first.
        scores: a row a protocol, target and model; see `SCORE_COLUMNS`.
        null: `protocol`, `target`, `model`, `permutation`, `score`; permutation 0 is the real labels.
        gaps: `target`, `model`, `windows`, `trials`: accuracies where windows of one trial are on both sides, and where
            trials are kept whole, with the same model and budget.
        synthetic: whether the data are.
        path: where the files of the audit lie.
    """

    findings: tuple[Finding, ...]
    scores: pd.DataFrame
    null: pd.DataFrame
    gaps: pd.DataFrame
    synthetic: bool
    path: Path

    @property
    def sentences(self) -> list[str]:
        """What each protocol is worth, for a reader who knows nothing of permutations."""
        return [_sentence(row) for _, row in self.scores.iterrows() if row["n_permutations"]]


def audit(
    subject: Experiment | RunFolder | Path | str,
    dataset: Any = None,
    output: Path | str | None = None,
    *,
    n_light_permutations: int = 199,
    n_permutations: int = 0,
    data_root: Path | None = None,
    jobs: int = 0,
) -> Audit:
    """Measure what the protocols of an experiment hand out, and check what can be checked without training.

    1. Static checks of every fold (see `keras_emotion.evaluation.leaks`).
    2. Labels shuffled between trials (between stimuli, where subjects are disjoint), constant within a trial, and
       models trained on them: logistic regression on the system's features, and the system itself. What they reach,
       they reach without anything of emotion. A high null with a real score that is no better is no evidence of
       emotion; at the ceiling it bounds nothing, and it is no share to be subtracted.
    3. The gap between folds of windows and folds of trials, same model and budget.
    4. The accuracy from the order of presentation alone: the permutation is blind to time.

    The tasks are recorded one by one: an audit that was broken off goes on where it was.

    Args:
        subject: an experiment; or a run (its folder, or its `experiment.json`), whose own predictions then are the
            scores with the real labels.
        dataset: the reader, where an experiment is given.
        output: folder of the audit; by default `audit` in the run's folder, else `runs/audits/<identity>`.
        n_light_permutations: shuffles for the logistic regression, R in p = (1 + b) / (1 + R).
        n_permutations: shuffles for the system itself: each costs as much as the run.
        data_root: folder of the data set of a run, where it is no longer where it was.
        jobs: worker processes; 0 as the experiment says.

    Raises:
        InputError: the data, the run or the folder cannot be used.
    """
    run = None
    if not isinstance(subject, Experiment):
        path = subject.path if isinstance(subject, RunFolder) else Path(subject)
        subject, found = load_experiment(path, data_root)
        dataset = dataset or found
        folder = RunFolder(path if path.is_dir() else path.parent)
        run = folder if folder.is_finished else None
        output = output or (folder.path / "audit" if run else None)
    if jobs:
        subject = subject.changed({"runtime.jobs": jobs})
    if min(n_light_permutations, n_permutations) < 0:
        raise InputError("the number of permutations must be 0 or more")
    plan, data = prepare(subject, dataset)
    folder = RunFolder(output or Path("runs") / "audits" / subject.identity())
    folder.start({"audit": subject.science()}, subject.identity(), data, resume=True)
    light = _light_plan(plan)
    peeking = list(_scope_findings(plan, has_run=run is not None))
    findings = [*_static_findings(plan), *peeking, *_origin_findings(plan)]
    if peeking:
        # Nothing of it could be trained: the runner refuses, and so does this.
        n_light_permutations = n_permutations = 0
    else:
        _do(folder, light, _light_tasks(light, subject.protocols, n_light_permutations), trains=False)
    own = isinstance(subject.system, EstimatorSystem)
    if not own:
        first = 1 if run else 0
        tasks = _network_tasks(plan, range(first, n_permutations + 1)) if n_permutations else []
        _do(folder, plan, tasks, trains=True)
    observed = _observed(run) if run is not None and not own else None
    null = _null(folder, plan, observed, n_light_permutations, n_permutations)
    scores = _scores(null, plan)
    findings += _null_findings(scores, null)
    result = Audit(
        tuple(sorted_findings(dict.fromkeys(findings))),  # the same message once
        scores,
        null.drop(columns="constant"),
        _gaps(null, plan),
        data["synthetic"],
        folder.path,
    )
    _write(folder, result)
    return result


@dataclasses.dataclass(frozen=True)
class _Task:
    """Some permutations of one unit by the light model or from the order alone, or one fold by the system itself."""

    model: str
    job: Job
    permutations: range

    @property
    def name(self) -> str:
        first, last = self.permutations.start, self.permutations.stop - 1
        model = self.model.replace(" ", "_")
        fold = self.job.name if self.model == NETWORK else f"{self.job.protocol}-{self.job.target}-{self.job.subject}"
        return f"{model}-{fold}-permutations{first}to{last}"


def _light_plan(plan: Plan) -> Plan:
    """The same experiment with logistic regression, and with folds of windows and of trials in any case."""
    experiment = plan.experiment
    system = experiment.system if isinstance(experiment.system, EstimatorSystem) else LightModel(of=experiment.system)
    fields = {name: getattr(experiment, name) for name in Experiment.model_fields}
    protocols = tuple(dict.fromkeys([*experiment.protocols, *_gap_protocols(experiment)]))
    return dataclasses.replace(
        plan, experiment=Experiment(**{**fields, "system": system, "protocols": protocols}), model_folder=None
    )


def _gap_protocols(experiment: Experiment) -> list[str]:
    """Protocols to be added so that there are folds of windows and folds of trials within a subject."""
    within = [PROTOCOLS[name] for name in experiment.protocols if PROTOCOLS[name].scope == "within_subject"]
    if not within:
        return []
    kinds = {"trials" if protocol.disjoint == "trials" else "windows" for protocol in within}
    return [name for name, kind in (("window_disjoint", "windows"), ("trial_disjoint", "trials")) if kind not in kinds]


def _light_tasks(light: Plan, asked: Sequence[str], n_permutations: int) -> Iterator[_Task]:
    for protocol, target, subject in light.units():
        job = Job(protocol, target, subject, 0, 0)
        yield _Task(ORDER, job, range(1))
        # Protocols that were added for the gap alone see the real labels alone.
        last = n_permutations if protocol in asked else 0
        bounds = [0, *range(1, last + 1, _CHUNK), last + 1]
        for start, stop in itertools.pairwise(bounds):
            yield _Task(LIGHT, job, range(start, stop))


def _network_tasks(plan: Plan, permutations: Iterable[int]) -> Iterator[_Task]:
    for permutation in permutations:
        for job, _ in plan.jobs()[0]:
            yield _Task(NETWORK, job, range(permutation, permutation + 1))


def _do(folder: RunFolder, plan: Plan, tasks: Iterable[_Task], trains: bool) -> None:
    """Do the tasks that have no record yet, with a line to standard error now and then."""
    finished = folder.finished_jobs()
    shared = RunFolder(folder.path.absolute())
    left = [task for task in tasks if task.name not in finished]
    runtime = plan.experiment.runtime
    if trains and runtime.engine == "vectorized":
        groups = at_once(left, runtime.folds_at_once, lambda task: task.job)
        work = [(_recorded_at_once, (plan, group, shared)) for group in groups]
    else:
        work = [(_recorded, (plan, task, shared)) for task in left]
    console = rich.console.Console(file=sys.stderr, force_jupyter=False)
    started = said = time.perf_counter()
    for number in itertools.accumulate(in_workers(runtime, work, trains=trains)):
        now = time.perf_counter()
        if now - said > _SECONDS_BETWEEN_LINES or number == len(left):
            said = now
            seconds = (now - started) / number * (len(left) - number)
            console.print(
                f"audit: {number} of {len(left)} tasks, {clock(seconds)} left",
                markup=False,
                highlight=False,
                soft_wrap=True,
            )


def _recorded(plan: Plan, task: _Task, folder: RunFolder) -> int:
    """Do and record a task; gives how many tasks that is."""
    # As in a run: the worker records what it did, so that nothing finished is lost.
    if not folder.is_job_finished(task.name):
        with full_disk_is_said(folder.path):
            record = _done(plan, task)
        folder.write_job(task.name, record)
    return 1


def _recorded_at_once(plan: Plan, tasks: Sequence[_Task], folder: RunFolder) -> int:
    """`_recorded` for folds by the system itself that are trained at once."""
    left = [task for task in tasks if not folder.is_job_finished(task.name)]
    with full_disk_is_said(folder.path):
        records = run_jobs([(_permuted(plan, task, task.permutations.start), task.job) for task in left])
    for task, record in zip(left, records, strict=True):
        folder.write_job(task.name, _of_network(task, record))
    return len(tasks)


def _permuted(plan: Plan, task: _Task, permutation: int) -> Plan:
    between = permuted_between(PROTOCOLS[task.job.protocol])
    return dataclasses.replace(plan, permutation=permutation, permuted_between=between)


def _done(plan: Plan, task: _Task) -> dict[str, Any]:
    """The record of a task: right windows, and windows of each label, by subject, repetition, fold and permutation."""
    if task.model == NETWORK:
        return _of_network(task, run_job(_permuted(plan, task, task.permutations.start), task.job))
    vectors = _vectors(plan, task)
    counts: list[dict[str, Any]] = []
    for permutation in task.permutations:
        counted = _counts(_permuted(plan, task, permutation), task, vectors)
        counts += [{"permutation": permutation, **one} for one in counted]
    return _task_record(task, counts)


def _of_network(task: _Task, record: Mapping[str, Any]) -> dict[str, Any]:
    """The record of a task from that of its job."""
    rows = pd.DataFrame({name: record["predictions"][name] for name in ("subject", "label", "prediction")})
    place = {
        "fold": task.job.fold,
        "candidate": task.job.candidate,
        "validation_score": record.get("validation_score"),
    }
    counted = _counted(rows, task.job.repetition, place)
    return _task_record(task, [{"permutation": task.permutations.start, **one} for one in counted])


def _task_record(task: _Task, counts: list[dict[str, Any]]) -> dict[str, Any]:
    return {"model": task.model, "protocol": task.job.protocol, "target": task.job.target, "counts": counts}


def _vectors(plan: Plan, task: _Task) -> np.ndarray | None:
    """What is the same for all folds and permutations of a unit; `None` where that is nothing."""
    unit, system = plan.unit(task.job.subject, task.job.target), plan.experiment.system
    if task.model == ORDER:
        return _time_of(unit.table)
    return None if system.fits_arrays else system.vectors(unit.arrays)


def _counts(plan: Plan, task: _Task, vectors: np.ndarray | None) -> Iterator[dict[str, Any]]:
    """All folds of one unit."""
    if task.model == ORDER and vectors is None:
        return
    job = task.job
    unit = plan.unit(job.subject, job.target)
    try:
        for repetition in range(plan.n_repetitions(job.protocol)):
            for number, rows in enumerate(plan.folds(unit, job.protocol, repetition)):
                one = dataclasses.replace(job, repetition=repetition, fold=number)
                fold = fold_of_rows(plan, one, unit, rows, plan.experiment.system)
                if task.model == ORDER:
                    predictions = _predicted_from_order(fold, vectors)
                else:
                    given = vectors is not None
                    learnt = learn_vectors(plan, one, fold, vectors) if given else learn(fold.system, plan, one, fold)
                    predictions = learnt.probabilities.argmax(axis=1)
                subjects = unit.table["subject"].to_numpy()[fold.test]
                tested = pd.DataFrame({"subject": subjects, "label": fold.labels[fold.test], "prediction": predictions})
                yield from _counted(tested, repetition, {"fold": number})
    except NotEvaluable:
        # Said once, of the real labels, by the plan.
        return


def _predicted_from_order(fold: Fold, times: np.ndarray) -> np.ndarray:
    from sklearn.neighbors import KNeighborsClassifier

    neighbours = min(_NEIGHBOURS * fold.unit.table["subject"].nunique(), len(fold.train))
    classifier = KNeighborsClassifier(neighbours).fit(times[fold.train], fold.labels[fold.train])
    return classifier.predict(times[fold.test])


def _counted(rows: pd.DataFrame, repetition: int, place: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for subject, own in rows.groupby("subject"):
        yield {
            "subject": str(subject),
            "repetition": repetition,
            **place,
            "right": int((own["label"] == own["prediction"]).sum()),
            "labels": np.bincount(own["label"]).tolist(),
        }


def _time_of(table: pd.DataFrame) -> np.ndarray | None:
    """`(windows, 1)`: place of the trial in the session, and how far in it the window lies; `None` if not known."""
    presentation = table["presentation"].to_numpy(dtype=np.float64)
    if (presentation < 0).any():
        return None
    length = table.groupby(["subject", "session", "trial"])["stop_seconds"].transform("max").to_numpy()
    return (presentation + table["start_seconds"].to_numpy() / length)[:, None]


def _observed(run: RunFolder) -> pd.DataFrame:
    """Accuracy of each subject in a finished run: `protocol`, `target`, `subject`, `score`."""
    results, predictions = run.results(), run.predictions()
    named = [name for name in predictions if name.startswith("probability_")]
    majority = results[results["metric"] == "training_majority"].rename(columns={"value": "majority_class"})
    scores = subject_scores(predictions.drop(columns=named), majority)
    renamed = scores.rename(columns={"accuracy": "score", "best_constant_accuracy": "constant"})
    return renamed[["protocol", "target", "subject", "score", "constant"]].assign(model=NETWORK, permutation=0)


def _null(folder: RunFolder, plan: Plan, observed: pd.DataFrame | None, n_light: int, n_network: int) -> pd.DataFrame:
    """`protocol, target, model, permutation, score, constant`: means over the subjects that all protocols share."""
    keys = ["protocol", "target", "model", "permutation", "subject"]
    records = list(_read_counts(folder, plan, n_light, n_network))
    counts = pd.DataFrame(records)
    if counts.empty and observed is None:
        return pd.DataFrame(columns=[*keys[:-1], "score", "constant", "n_subjects"])
    if counts["candidate"].astype(bool).any():
        counts = _chosen_candidates(counts)
    pooled = counts.groupby([*keys, "repetition"], sort=True).agg(right=("right", "sum"), labels=("labels", _summed))
    tested = pooled["labels"].map(np.sum)
    scores = pd.DataFrame({"score": pooled["right"] / tested, "constant": pooled["labels"].map(np.max) / tested})
    by_subject = scores.groupby(keys).mean().reset_index()
    if observed is not None:
        by_subject = pd.concat([by_subject, observed], ignore_index=True)
    by_subject = by_subject[_is_compared(by_subject, plan.experiment.protocols)]
    # What holds of the labels holds whoever is scored: the constant of the real labels is that of the light model.
    means = by_subject.groupby(keys[:-1]).agg(
        score=("score", "mean"), constant=("constant", "mean"), n_subjects=("subject", "nunique")
    )
    return means.reset_index()


def _read_counts(folder: RunFolder, plan: Plan, n_light: int, n_network: int) -> Iterator[dict[str, Any]]:
    limits = {LIGHT: n_light, ORDER: 0, NETWORK: n_network}
    for name in sorted(folder.finished_jobs()):
        record = folder.job(name)
        place = {key: record[key] for key in ("model", "protocol", "target")}
        for one in record["counts"]:
            # An earlier audit in this folder may have shuffled more often.
            if one["permutation"] <= limits[record["model"]]:
                yield {"candidate": "", "validation_score": None, **place, **one}


def _summed(labels: pd.Series) -> np.ndarray:
    whole = np.zeros(max(map(len, labels)), dtype=np.int64)
    for counts in labels:
        whole[: len(counts)] += counts
    return whole


def _chosen_candidates(counts: pd.DataFrame) -> pd.DataFrame:
    """Of the candidates of a fold the one with the best score on the validation windows, as in a run."""
    fold = ["protocol", "target", "model", "permutation", "subject", "repetition", "fold"]
    ordered = counts.assign(order=counts["validation_score"].astype(float).fillna(0.0))
    ordered = ordered.sort_values([*fold, "order", "candidate"], ascending=[True] * (len(fold) + 1) + [False])
    return ordered.groupby(fold, as_index=False, sort=False).last()


def _is_compared(by_subject: pd.DataFrame, protocols: Sequence[str]) -> np.ndarray:
    """Rows of subjects who have a score with the real labels under every protocol of the experiment."""
    real = by_subject[(by_subject["permutation"] == 0) & by_subject["protocol"].isin(protocols)]
    real = real[real["model"] != ORDER]
    applied = real.groupby("target")["protocol"].nunique()
    found = real.groupby(["target", "subject"])["protocol"].nunique()
    kept = [place for place, count in found.items() if count == applied[place[0]]]
    return pd.MultiIndex.from_frame(by_subject[["target", "subject"]]).isin(kept)


def _scores(null: pd.DataFrame, plan: Plan) -> pd.DataFrame:
    rows = []
    real = null[null["permutation"] == 0].set_index(["protocol", "target", "model"])
    for place, row in real.iterrows():
        protocol, target, model = place
        if model == ORDER:
            continue
        own = null[(null["protocol"] == protocol) & (null["target"] == target) & (null["model"] == model)]
        shuffled = own.loc[own["permutation"] > 0, "score"].to_numpy()
        low, high = np.quantile(shuffled, [0.025, 0.975]) if len(shuffled) else (np.nan, np.nan)
        # Equal accuracies may differ by the rounding of their sums.
        reached = np.count_nonzero(shuffled >= row["score"] - 1e-9)
        order = real["score"].get((protocol, target, ORDER), np.nan)
        between = permuted_between(PROTOCOLS[protocol])
        mean = shuffled.mean() if len(shuffled) else np.nan
        p_value = (1 + reached) / (1 + len(shuffled)) if len(shuffled) else np.nan
        shown = (row["n_subjects"], row["score"], len(shuffled), mean, low, high, p_value, row["constant"], order)
        rows.append((*place, between, *shown))
    scores = pd.DataFrame(rows, columns=list(SCORE_COLUMNS))
    protocols = list(plan.experiment.protocols)
    place = scores["protocol"].map(lambda name: protocols.index(name) if name in protocols else len(protocols))
    targets = scores["target"].map(list(plan.experiment.targets).index)
    return (
        scores.assign(place=place, rank=targets)
        .sort_values(["rank", "place", "model"], kind="stable")
        .drop(columns=["place", "rank"])
        .reset_index(drop=True)
    )


def _gaps(null: pd.DataFrame, plan: Plan) -> pd.DataFrame:
    real = null[(null["permutation"] == 0) & (null["model"] != ORDER)]
    rows = []
    for (target, model), own in real.groupby(["target", "model"]):
        by_kind: dict[str, tuple[str, float]] = {}
        for row in own.itertuples():
            protocol = PROTOCOLS[row.protocol]
            if protocol.scope == "within_subject":
                kind = "trials" if protocol.disjoint == "trials" else "windows"
                by_kind.setdefault(kind, (row.protocol, row.score))
        if len(by_kind) == 2:
            rows.append((target, model, *by_kind["windows"], *by_kind["trials"]))
    columns = ["target", "model", "window_protocol", "windows", "trial_protocol", "trials"]
    return pd.DataFrame(rows, columns=columns)


def _static_findings(plan: Plan) -> Iterator[Finding]:
    experiment = plan.experiment
    for target in experiment.targets:
        pool = plan.unit(POOL, target)
        contents = content_hashes(list(pool.arrays.values()))
        yield from label_findings(pool.table, pool.labels(), target=target)
        for name in experiment.protocols:
            protocol = PROTOCOLS[name]
            yield from protocol_findings(protocol, target)
            mixes = protocol.scope == "across_subjects"
            checks = SplitChecks(claim_of(protocol), mixes, name, target)
            for rows in protocol.pools(pool.table).values():
                unit = dataclasses.replace(pool, table=pool.table.iloc[rows], ratings=pool.ratings[rows])
                try:
                    for repetition in range(plan.n_repetitions(name)):
                        for train, validation, test in plan.folds(unit, name, repetition):
                            # Where the test fold chooses the epoch, the definition of the protocol says so.
                            chosen = validation if protocol.epoch_chosen_by != "test_fold" else validation[:0]
                            checks.fold(unit.table, train, chosen, test, contents[rows])
                except NotEvaluable:
                    continue
            yield from checks.findings()


def _scope_findings(plan: Plan, has_run: bool) -> Iterator[Finding]:
    """Whether something is fitted on windows that are not trained on. A run that came to its end has shown it."""
    jobs = {} if has_run else {job.protocol: job for job, _ in reversed(plan.jobs()[0])}
    tasks = [(_scope_message, (plan, job)) for job in jobs.values()]
    for message in in_workers(plan.experiment.runtime, tasks, trains=True):
        if message:
            yield Finding("fitted on test rows", "leak", message)


def _origin_findings(plan: Plan) -> Iterator[Finding]:
    """Whether what was brought along (a teacher) has learnt from the people who are tested."""
    for file in plan.experiment.system.source_files():
        sidecar = file.parent / TRAINED_ON
        if not sidecar.is_file():
            message = (
                f"{file.name} brings features or a network: whether it has learnt from these recordings is not known"
            )
            yield Finding("unknown origin", "note", message)
            continue
        origin = json.loads(sidecar.read_text())
        tested = {str(subject) for subject in plan.feature_folders}
        known = sorted(tested & set(origin["subjects"])) if origin["dataset"] == plan.experiment.dataset else []
        if known:
            message = f"{file.name} has learnt from subjects {', '.join(known[:5])} of the data set that is tested"
            yield Finding("fitted on test rows", "leak", message)


def _scope_message(plan: Plan, job: Job) -> str:
    try:
        fit_on_training_part(plan, job)
    except OutsideTrainingPart as error:
        return str(error)
    return ""


def _null_findings(scores: pd.DataFrame, null: pd.DataFrame) -> Iterator[Finding]:
    """A protocol under which shuffled labels are recognised hands out accuracy, whatever the way; so may time."""
    for _, row in scores[scores["n_permutations"] > 0].iterrows():
        place = {"protocol": row["protocol"], "target": row["target"]}
        if row["null_low"] > row["constant"]:
            yield Finding("score on shuffled labels", "leak", _sentence(row), **place)
        keys = ["protocol", "target", "model"]
        own = null.loc[(null[keys] == row[keys]).all(axis=1) & (null["permutation"] > 0), "score"]
        # Of as many shuffles as make it rarer than one false alarm in a hundred.
        if len(own) >= _ENOUGH_SHUFFLES and row["order"] > own.max() and not PROTOCOLS[row["protocol"]].flags:
            message = (
                f"the order of presentation alone, without any signal, scores {_percent(row['order'])}, more than any "
                f"of {len(own)} trainings on shuffled labels (at most {_percent(own.max())}): labels go with time"
            )
            yield Finding("order of presentation", "warning", message, **place)


def _sentence(row: pd.Series) -> str:
    between = "trials of a subject" if row["permuted_between"] == "trials" else "stimuli, alike for all subjects"
    text = (
        f"Under {row['protocol']} a model that knows nothing about emotion scores {_percent(row['null_mean'])} on "
        f"{row['target']} ({row['model']}, trained on labels shuffled between the {between}, {row['n_permutations']} "
        f"times, 95 % of them from {_percent(row['null_low'])} to {_percent(row['null_high'])}); with the real labels "
        f"it scores {_percent(row['score'])} (p = {row['p_value']:.3f})"
    )
    if row["p_value"] > _SIGNIFICANT:
        return f"{text}: no evidence of emotion."
    if row["null_low"] > row["constant"]:
        return f"{text}: more than nothing, but how much of it is emotion this protocol cannot tell."
    return f"{text}: more than chance."


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _write(folder: RunFolder, result: Audit) -> None:
    folder.write_json("findings.json", {"findings": [finding.as_dict() for finding in result.findings]})
    for name, table in (("scores", result.scores), ("null", result.null), ("gaps", result.gaps)):
        folder.write_bytes(f"{name}.csv", table.to_csv(index=False).encode())
