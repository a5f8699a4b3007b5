"""Tasks of an audit: models trained on permuted labels, or on the order of presentation alone; one record per task."""

from __future__ import annotations

import collections
import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from keras_emotion.environment import environment
from keras_emotion.evaluation import PROTOCOLS, NotEvaluable, Protocol, stimulus_baseline
from keras_emotion.evaluation.permutation import FEW_LABELINGS, exchangeable, n_labelings, permuted_between
from keras_emotion.experiment.engine import in_workers
from keras_emotion.experiment.fit import TrainingDiverged
from keras_emotion.experiment.fold import Fold, make_fold
from keras_emotion.experiment.jobs import Job, Plan
from keras_emotion.experiment.record_schema import earlier_name, record_name
from keras_emotion.experiment.records import RunFolder, disk_full_as_input_error
from keras_emotion.experiment.training import run_job, train_estimator, train_fold
from keras_emotion.experiment.vectorized import group_jobs, run_jobs
from keras_emotion.logs import start_log
from keras_emotion.progress import reported
from keras_emotion.schema import TRIAL_KEY
from keras_emotion.systems.base import EstimatorSystem
from keras_emotion.systems.experiment import Experiment
from keras_emotion.systems.logistic_regression import LightModel

LIGHT = "logistic regression"
"""Model in tables of an audit: logistic regression on the features of the system."""

NETWORK = "network"
"""Model in tables of an audit: the system itself."""

ORDER = "order of presentation"
"""Model in tables of an audit: prediction without any signal, from the time within the session."""

STIMULUS = "stimulus"
"""Model in tables of an audit: prediction without any signal, from the stimulus."""

_CHUNK = 20
"""Number of permutations of one task of the light model: minutes at most, also with all subjects in one model."""

_NEIGHBOURS = 5
"""Number of windows of each subject, nearest in time, whose most frequent label is the prediction from the order."""


@dataclasses.dataclass(frozen=True)
class Labelings:
    """The distinct labelings of one protocol and target.

    Args:
        total: how many there are, over all independently trained sets of windows.
        enumerated: if there are few enough to enumerate, see `Plan.enumerated`; otherwise empty.
        order: numbers of the enumerated labelings except the real one, in the order of training.
    """

    total: int
    enumerated: Mapping[tuple[int | str, int | str], tuple[int, int]] = dataclasses.field(default_factory=dict)
    order: tuple[int, ...] = ()

    def n_permutations(self, n_wanted: int) -> int:
        """Return the number of permutations: as many as wanted, at most all distinct labelings except the real one."""
        return min(n_wanted, self.total - 1) if self.total < FEW_LABELINGS else n_wanted

    def number(self, permutation: int) -> int:
        """Return the number of a permutation in the plan; 0 is the real labels."""
        return self.order[permutation - 1] if permutation and self.enumerated else permutation


@dataclasses.dataclass(frozen=True)
class Task:
    """Some permutations of one unit by the light model or from the order, or one fold by the system itself."""

    model: str
    job: Job
    permutations: range
    labelings: Labelings = Labelings(FEW_LABELINGS)

    @property
    def parts(self) -> dict[str, Any]:
        """Identify the task among all others of an audit, as `TaskParts`."""
        job = dataclasses.asdict(self.job)
        if self.model != NETWORK:
            # All folds form one task.
            job = {field: job[field] for field in ("protocol", "target", "subject", "session")}
        first, last = self.permutations.start, self.permutations.stop - 1
        return {"model": self.model, **job, "first_permutation": first, "last_permutation": last}

    @property
    def name(self) -> str:
        """Name of the record, unique in an audit."""
        return record_name(self.parts)

    @property
    def earlier_name(self) -> str:
        """Name of the record in earlier versions; not unique."""
        return earlier_name({"job": self.parts})


def light_plan(plan: Plan) -> Plan:
    """Return the same experiment with logistic regression, always with folds of windows and folds of trials."""
    experiment = plan.experiment
    system = experiment.system if isinstance(experiment.system, EstimatorSystem) else LightModel(of=experiment.system)
    fields = {name: getattr(experiment, name) for name in Experiment.model_fields}
    protocols = tuple(dict.fromkeys([*experiment.protocols, *_gap_protocols(experiment)]))
    return dataclasses.replace(
        plan, experiment=Experiment(**{**fields, "system": system, "protocols": protocols}), model_folder=None
    )


def kind_of_folds(protocol: Protocol) -> str:
    """Return `"windows"` where windows of one trial are in both sets, `"trials"` where trials stay whole, else `""`."""
    if protocol.disjoint in ("windows", "overlapping_windows"):
        return "windows"
    return "trials" if protocol.disjoint == "trials" and not protocol.holdout else ""


def _gap_protocols(experiment: Experiment) -> list[str]:
    """Return the protocols to add so that there are folds of windows and folds of trials within a subject."""
    within = [PROTOCOLS[name] for name in experiment.protocols if PROTOCOLS[name].scope == "within_subject"]
    if not within:
        return []
    kinds = {kind_of_folds(protocol) for protocol in within}
    return [name for name, kind in (("window_disjoint", "windows"), ("trial_disjoint", "trials")) if kind not in kinds]


def count_labelings(plan: Plan) -> dict[tuple[str, str], Labelings]:
    """Count the distinct labelings by protocol and target, ignoring units that cannot be split."""
    sizes: dict[tuple[str, str], dict[tuple[int | str, int | str], int]] = {}
    for protocol, target, subject, session in plan.units():
        own = sizes.setdefault((protocol, target), {})
        unit = plan.window_set(subject, target, session)
        try:
            next(iter(plan.folds(unit, protocol, 0)))
        except NotEvaluable:
            continue
        groups, _, trial = exchangeable(unit.table, permuted_between(PROTOCOLS[protocol]))
        labels = np.zeros(trial.max(initial=-1) + 1, dtype=np.int64)
        labels[trial] = unit.labels()
        own[subject, session] = n_labelings(groups, labels)
    found = {}
    for place, own in sizes.items():
        total, enumerated = 1, {}
        for name, size in own.items():
            enumerated[name] = (total, size)
            total *= size
        if total >= FEW_LABELINGS:
            found[place] = Labelings(total)
            continue
        order = 1 + np.random.default_rng(plan.experiment.seed).permutation(total - 1)
        found[place] = Labelings(total, enumerated, tuple(order.tolist()))
    return found


def light_tasks(
    light: Plan, asked: Sequence[str], n_permutations: int, labelings: Mapping[tuple[str, str], Labelings]
) -> Iterator[Task]:
    """Create the tasks of logistic regression, and of the order of presentation, for each unit of each protocol."""
    for protocol, target, subject, session in light.units():
        job = Job(protocol, target, subject, 0, 0, session=session)
        own = labelings[protocol, target]
        yield Task(ORDER, job, range(1))
        yield Task(STIMULUS, job, range(1))
        # Protocols added for the gap use the real labels only.
        last = own.n_permutations(n_permutations) if protocol in asked else 0
        bounds = [0, *range(1, last + 1, _CHUNK), last + 1]
        for start, stop in itertools.pairwise(bounds):
            yield Task(LIGHT, job, range(start, stop), own)


def network_tasks(
    plan: Plan, first: int, n_permutations: int, labelings: Mapping[tuple[str, str], Labelings]
) -> Iterator[Task]:
    """Create the tasks of the system itself: one for each permutation and job of the run.

    Args:
        plan: plan of the run.
        first: number of the first permutation; 0 is the real labels.
        n_permutations: number of permutations in addition to the real labels.
        labelings: labelings of each protocol and target.
    """
    for job, _ in plan.jobs()[0]:
        own = labelings[job.protocol, job.target]
        for permutation in range(first, own.n_permutations(n_permutations) + 1):
            yield Task(NETWORK, job, range(permutation, permutation + 1), own)


def start_audit_log(folder: RunFolder, plan: Plan) -> None:
    """Open the log file of an audit; called only if some tasks have no record yet."""
    runtime = plan.experiment.runtime
    start_log(folder.path, environment(runtime.threads_per_worker, runtime.n_workers), "audit")


def run_tasks(folder: RunFolder, plan: Plan, tasks: Iterable[Task], trains: bool) -> None:
    """Run the tasks that have no record yet, and report progress to standard error."""
    finished = folder.finished_jobs()
    shared = RunFolder(folder.path.absolute())
    tasks = list(tasks)
    count = collections.Counter(task.earlier_name for task in tasks)
    left = [
        task
        for task in tasks
        if task.name not in finished and not (task.earlier_name in finished and count[task.earlier_name] == 1)
    ]
    if left:
        start_audit_log(folder, plan)
    runtime = plan.experiment.runtime
    if trains and runtime.engine == "vectorized":
        groups = group_jobs(left, runtime.folds_at_once, lambda task: task.job)
        work = [(_recorded_at_once, (plan, group, shared)) for group in groups]
    else:
        work = [(_recorded, (plan, task, shared)) for task in left]
    for _ in reported(in_workers(runtime, work, trains=trains), "audit", len(left), count=int):
        pass


def _recorded(plan: Plan, task: Task, folder: RunFolder) -> int:
    """Run and record a task; return the number of tasks."""
    # As in a run, the worker writes the record, so that no finished task is lost.
    if folder.job(task.name) is None:
        with disk_full_as_input_error(folder.path):
            record = _done(plan, task)
        folder.write_job(record)
    return 1


def _recorded_at_once(plan: Plan, tasks: Sequence[Task], folder: RunFolder) -> int:
    """Run `_recorded` for folds by the system itself that are trained at once."""
    left = [task for task in tasks if folder.job(task.name) is None]
    with disk_full_as_input_error(folder.path):
        records = run_jobs([(_permuted(plan, task, task.permutations.start), task.job) for task in left])
    for task, record in zip(left, records, strict=True):
        folder.write_job(_of_network(task, record))
    return len(tasks)


def _permuted(plan: Plan, task: Task, permutation: int) -> Plan:
    between = permuted_between(PROTOCOLS[task.job.protocol])
    own = task.labelings
    return dataclasses.replace(
        plan, permutation=own.number(permutation), permuted_between=between, enumerated=own.enumerated
    )


def _done(plan: Plan, task: Task) -> dict[str, Any]:
    """Return the record of a task: correct windows and label counts by subject, repetition, fold and permutation."""
    if task.model == NETWORK:
        return _of_network(task, run_job(_permuted(plan, task, task.permutations.start), task.job))
    vectors = _vectors(plan, task)
    counts: list[dict[str, Any]] = []
    failed = []
    for permutation in task.permutations:
        try:
            counted = list(_counts(_permuted(plan, task, permutation), task, vectors))
        except TrainingDiverged as reason:
            unit = plan.window_set(task.job.subject, task.job.target, task.job.session)
            failed.append(_failed(permutation, str(reason), sorted(unit.table["subject"].astype(str).unique())))
            continue
        counts += [{"permutation": permutation, **one} for one in counted]
    return _task_record(task, counts, failed)


def _of_network(task: Task, record: Mapping[str, Any]) -> dict[str, Any]:
    """Convert the record of a job into that of a task."""
    if "failed" in record:
        failed = _failed(task.permutations.start, record["failed"], record["test_subjects"])
        return _task_record(task, [], [failed])
    rows = pd.DataFrame({name: record["predictions"][name] for name in ("subject", "label", "prediction")})
    place = {
        "fold": task.job.fold,
        "candidate": task.job.candidate,
        "validation_score": record.get("validation_score"),
    }
    counted = _counted(rows, task.job.repetition, place)
    return _task_record(task, [{"permutation": task.permutations.start, **one} for one in counted])


def _failed(permutation: int, reason: str, test_subjects: Sequence[str]) -> dict[str, Any]:
    return {"permutation": permutation, "reason": reason, "test_subjects": list(test_subjects)}


def _task_record(task: Task, counts: list[dict[str, Any]], failed: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
    place = {"model": task.model, "protocol": task.job.protocol, "target": task.job.target}
    return {"job": task.parts, **place, "counts": counts, "failed": list(failed)}


def _vectors(plan: Plan, task: Task) -> np.ndarray | None:
    """Return the vectors shared by all folds and permutations of a unit; `None` if there are none."""
    unit, system = plan.window_set(task.job.subject, task.job.target, task.job.session), plan.experiment.system
    if task.model == ORDER:
        return _time_of(unit.table)
    # Imputed vectors differ between folds.
    differs = system.fits_arrays or bool(unit.incomplete)
    return None if task.model == STIMULUS or differs else system.vectors(unit.arrays)


def _counts(plan: Plan, task: Task, vectors: np.ndarray | None) -> Iterator[dict[str, Any]]:
    """Yield the counts of all folds of one unit."""
    if task.model == ORDER and vectors is None:
        return
    job = task.job
    unit = plan.window_set(job.subject, job.target, job.session)
    try:
        for repetition in range(plan.n_repetitions(job.protocol)):
            for number, rows in enumerate(plan.folds(unit, job.protocol, repetition)):
                one = dataclasses.replace(job, repetition=repetition, fold=number)
                fold = make_fold(plan, one, unit, rows, plan.experiment.system)
                if task.model == ORDER:
                    predictions = _predicted_from_order(fold, vectors)
                elif task.model == STIMULUS:
                    predictions, _ = stimulus_baseline(unit.table, fold.labels, fold.train, fold.test)
                else:
                    given = vectors is not None
                    learnt = (
                        train_estimator(plan, one, fold, vectors) if given else train_fold(fold.system, plan, one, fold)
                    )
                    predictions = learnt.probabilities.argmax(axis=1)
                subjects = unit.table["subject"].to_numpy()[fold.test]
                tested = pd.DataFrame({"subject": subjects, "label": fold.labels[fold.test], "prediction": predictions})
                yield from _counted(tested, repetition, {"fold": number})
    except NotEvaluable:
        # Reported once, for the real labels, by the plan.
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
    """Return `(windows, 1)`: position of the trial in the session and of the window in the trial; `None` if unknown."""
    presentation = table["presentation"].to_numpy(dtype=np.float64)
    if (presentation < 0).any():
        return None
    length = table.groupby(list(TRIAL_KEY))["stop_seconds"].transform("max").to_numpy()
    return (presentation + table["start_seconds"].to_numpy() / length)[:, None]
