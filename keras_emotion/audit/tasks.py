"""Tasks of an audit: models trained on shuffled labels, or on the order of presentation alone, recorded one by one."""

from __future__ import annotations

import dataclasses
import itertools
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import rich.console

from keras_emotion.evaluation import PROTOCOLS, NotEvaluable
from keras_emotion.evaluation.permutation import permuted_between
from keras_emotion.experiment.engine import in_workers
from keras_emotion.experiment.fold import Fold, make_fold
from keras_emotion.experiment.jobs import Job, Plan
from keras_emotion.experiment.records import RunFolder, disk_full_as_input_error
from keras_emotion.experiment.runner import format_duration
from keras_emotion.experiment.training import run_job, train_estimator, train_fold
from keras_emotion.experiment.vectorized import group_jobs, run_jobs
from keras_emotion.schema import TRIAL_KEY
from keras_emotion.systems.base import EstimatorSystem
from keras_emotion.systems.experiment import Experiment
from keras_emotion.systems.logistic_regression import LightModel

LIGHT, ORDER, NETWORK = "logistic regression", "order of presentation", "network"
"""Who is trained: on the features that the network sees, on the time within the session alone, the system itself."""

_CHUNK = 20
"""Permutations of one task of the light model: minutes at most, also where all subjects are trained on together."""

_SECONDS_BETWEEN_LINES = 10

_NEIGHBOURS = 5
"""Windows of each subject, the nearest in time, whose commonest label is the prediction from the order alone."""


@dataclasses.dataclass(frozen=True)
class Task:
    """Some permutations of one unit by the light model or from the order alone, or one fold by the system itself."""

    model: str
    job: Job
    permutations: range

    @property
    def name(self) -> str:
        """Name of the record, unique in an audit."""
        first, last = self.permutations.start, self.permutations.stop - 1
        model = self.model.replace(" ", "_")
        fold = self.job.name if self.model == NETWORK else f"{self.job.protocol}-{self.job.target}-{self.job.subject}"
        return f"{model}-{fold}-permutations{first}to{last}"


def light_plan(plan: Plan) -> Plan:
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


def light_tasks(light: Plan, asked: Sequence[str], n_permutations: int) -> Iterator[Task]:
    """Tasks of logistic regression, and of the order of presentation, for each unit of each protocol."""
    for protocol, target, subject in light.units():
        job = Job(protocol, target, subject, 0, 0)
        yield Task(ORDER, job, range(1))
        # Protocols that were added for the gap alone see the real labels alone.
        last = n_permutations if protocol in asked else 0
        bounds = [0, *range(1, last + 1, _CHUNK), last + 1]
        for start, stop in itertools.pairwise(bounds):
            yield Task(LIGHT, job, range(start, stop))


def network_tasks(plan: Plan, permutations: Iterable[int]) -> Iterator[Task]:
    """Tasks of the system itself: one for each permutation and job of the run."""
    for permutation in permutations:
        for job, _ in plan.jobs()[0]:
            yield Task(NETWORK, job, range(permutation, permutation + 1))


def run_tasks(folder: RunFolder, plan: Plan, tasks: Iterable[Task], trains: bool) -> None:
    """Do the tasks that have no record yet, with a line to standard error now and then."""
    finished = folder.finished_jobs()
    shared = RunFolder(folder.path.absolute())
    left = [task for task in tasks if task.name not in finished]
    runtime = plan.experiment.runtime
    if trains and runtime.engine == "vectorized":
        groups = group_jobs(left, runtime.folds_at_once, lambda task: task.job)
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
                f"audit: {number} of {len(left)} tasks, {format_duration(seconds)} left",
                markup=False,
                highlight=False,
                soft_wrap=True,
            )


def _recorded(plan: Plan, task: Task, folder: RunFolder) -> int:
    """Do and record a task; gives how many tasks that is."""
    # As in a run: the worker records what it did, so that nothing finished is lost.
    if not folder.is_job_finished(task.name):
        with disk_full_as_input_error(folder.path):
            record = _done(plan, task)
        folder.write_job(task.name, record)
    return 1


def _recorded_at_once(plan: Plan, tasks: Sequence[Task], folder: RunFolder) -> int:
    """`_recorded` for folds by the system itself that are trained at once."""
    left = [task for task in tasks if not folder.is_job_finished(task.name)]
    with disk_full_as_input_error(folder.path):
        records = run_jobs([(_permuted(plan, task, task.permutations.start), task.job) for task in left])
    for task, record in zip(left, records, strict=True):
        folder.write_job(task.name, _of_network(task, record))
    return len(tasks)


def _permuted(plan: Plan, task: Task, permutation: int) -> Plan:
    between = permuted_between(PROTOCOLS[task.job.protocol])
    return dataclasses.replace(plan, permutation=permutation, permuted_between=between)


def _done(plan: Plan, task: Task) -> dict[str, Any]:
    """The record of a task: right windows, and windows of each label, by subject, repetition, fold and permutation."""
    if task.model == NETWORK:
        return _of_network(task, run_job(_permuted(plan, task, task.permutations.start), task.job))
    vectors = _vectors(plan, task)
    counts: list[dict[str, Any]] = []
    for permutation in task.permutations:
        counted = _counts(_permuted(plan, task, permutation), task, vectors)
        counts += [{"permutation": permutation, **one} for one in counted]
    return _task_record(task, counts)


def _of_network(task: Task, record: Mapping[str, Any]) -> dict[str, Any]:
    """The record of a task from that of its job."""
    rows = pd.DataFrame({name: record["predictions"][name] for name in ("subject", "label", "prediction")})
    place = {
        "fold": task.job.fold,
        "candidate": task.job.candidate,
        "validation_score": record.get("validation_score"),
    }
    counted = _counted(rows, task.job.repetition, place)
    return _task_record(task, [{"permutation": task.permutations.start, **one} for one in counted])


def _task_record(task: Task, counts: list[dict[str, Any]]) -> dict[str, Any]:
    return {"model": task.model, "protocol": task.job.protocol, "target": task.job.target, "counts": counts}


def _vectors(plan: Plan, task: Task) -> np.ndarray | None:
    """What is the same for all folds and permutations of a unit; `None` where that is nothing."""
    unit, system = plan.window_set(task.job.subject, task.job.target), plan.experiment.system
    if task.model == ORDER:
        return _time_of(unit.table)
    return None if system.fits_arrays else system.vectors(unit.arrays)


def _counts(plan: Plan, task: Task, vectors: np.ndarray | None) -> Iterator[dict[str, Any]]:
    """All folds of one unit."""
    if task.model == ORDER and vectors is None:
        return
    job = task.job
    unit = plan.window_set(job.subject, job.target)
    try:
        for repetition in range(plan.n_repetitions(job.protocol)):
            for number, rows in enumerate(plan.folds(unit, job.protocol, repetition)):
                one = dataclasses.replace(job, repetition=repetition, fold=number)
                fold = make_fold(plan, one, unit, rows, plan.experiment.system)
                if task.model == ORDER:
                    predictions = _predicted_from_order(fold, vectors)
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
    length = table.groupby(list(TRIAL_KEY))["stop_seconds"].transform("max").to_numpy()
    return (presentation + table["start_seconds"].to_numpy() / length)[:, None]
