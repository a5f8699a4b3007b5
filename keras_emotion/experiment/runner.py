"""Run an experiment: check the data, compute features, do the jobs, write the tables."""

from __future__ import annotations

import dataclasses
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import joblib
import rich.console
import rich.progress

from keras_emotion.experiment.configuration import Experiment
from keras_emotion.experiment.environment import environment
from keras_emotion.experiment.jobs import Job, Plan
from keras_emotion.experiment.records import RunFolder
from keras_emotion.experiment.training import run_job, seconds_per_step
from keras_emotion.pipelines import FeatureStore, content_hash
from keras_emotion.schema import InputError


@dataclasses.dataclass(frozen=True)
class Estimate:
    """What a run costs.

    Args:
        jobs: number of trainings that remain.
        training_steps: their training steps in all.
        seconds_per_step: measured seconds of one training step in one worker.
        hours: estimated hours with `workers` workers, evaluation included.
        workers: worker processes.
    """

    jobs: int
    training_steps: int
    seconds_per_step: float
    hours: float
    workers: int


def prepare(experiment: Experiment, dataset, save_models_to: Path | None = None) -> tuple[Plan, dict[str, Any]]:
    """Check the data and compute the features that are not in the store yet.

    Args:
        experiment: the experiment.
        dataset: a reader (see `keras_emotion.datasets`).
        save_models_to: folder for the models of the last repetition.

    Returns:
        The plan, and a JSON-able description of the data (fingerprint, subjects, whether synthetic).

    Raises:
        InputError: files are missing or broken; all of them are listed.
    """
    subjects = experiment.subjects or tuple(dataset.subjects)
    dataset.check(subjects)
    runtime, system = experiment.runtime, experiment.system
    store = FeatureStore(runtime.feature_store)
    keys = {subject: _feature_key(dataset, system, subject) for subject in subjects}
    missing = [subject for subject in subjects if not store.path(keys[subject]).is_dir()]
    # Workers of their own (another idle time makes them so): a worker that later imports a deep learning framework
    # would grow so much that loky took it for leaking, and replaced it with all it has compiled.
    with joblib.parallel_config("loky", n_jobs=runtime.n_workers, inner_max_num_threads=1, idle_worker_timeout=10):
        joblib.Parallel()(joblib.delayed(_compute)(store, keys[one], dataset, system, one) for one in missing)
    first = next(iter(dataset.trials(subjects[:1])))
    plan = Plan(
        experiment=experiment,
        feature_folders={subject: store.path(keys[subject]).absolute() for subject in subjects},
        class_names=dataset.class_names,
        inference=system.inference(first),
        model_folder=save_models_to,
    )
    data = {
        "dataset": experiment.dataset,
        "synthetic": dataset.synthetic,
        "subjects": list(subjects),
        "fingerprints": {str(subject): content_hash(dataset.source_files(subject)) for subject in subjects},
        "system_files": content_hash(system.source_files()),
    }
    return plan, data


def _feature_key(dataset, system, subject) -> dict[str, Any]:
    return {
        "dataset": type(dataset).__name__,
        "subject": subject,
        "source": content_hash(dataset.source_files(subject)),
        "features": system.feature_key(),
    }


def _compute(store: FeatureStore, key: dict[str, Any], dataset, system, subject) -> None:
    store.folder(key, lambda: system.compute_features(dataset.trials([subject])))


def estimate(plan: Plan, finished: frozenset[str] | set[str] = frozenset()) -> Estimate:
    """What the jobs that are not finished will cost, from a few timed steps."""
    training = plan.experiment.training
    remaining = [(job, n_windows) for job, n_windows in plan.jobs()[0] if job.name not in finished]
    workers = plan.experiment.runtime.n_workers
    if not remaining:
        return Estimate(0, 0, 0.0, 0.0, workers)
    steps = sum(-(-n_windows // training.batch_size) for _, n_windows in remaining) * training.epochs
    train_seconds, test_seconds = seconds_per_step(plan, remaining[0][0])
    # Each epoch also passes through the validation windows: about one ninth as many as there are training windows.
    seconds = steps * (train_seconds + test_seconds / 9) / workers
    return Estimate(len(remaining), steps, train_seconds, seconds / 3600, workers)


def run(experiment: Experiment, dataset, output: Path | str, *, resume: bool = False) -> RunFolder:
    """Run an experiment into a folder; a finished run that is started again does nothing.

    Args:
        experiment: the experiment.
        dataset: a reader (see `keras_emotion.datasets`).
        output: the run folder.
        resume: go on with a run that was broken off: only jobs without a record are done.

    Raises:
        InputError: the data cannot be used, the folder belongs to another run, or no subject can be evaluated.
    """
    folder = RunFolder(output)
    model_folder = folder.path.absolute() / "models" if experiment.runtime.save_models else None
    plan, data = prepare(experiment, dataset, model_folder)
    folder.start(experiment.science(), experiment.identity(), data, resume)
    if folder.is_finished:
        return folder
    runtime = experiment.runtime
    folder.write_json("environment.json", environment(runtime.threads_per_worker, runtime.n_workers))
    jobs, not_evaluable = plan.jobs()
    if not jobs:
        reasons = "\n  ".join(entry["reason"] for entry in not_evaluable)
        raise InputError(f"nothing can be evaluated:\n  {reasons}")
    finished = folder.finished_jobs()
    remaining = [job for job, _ in jobs if job.name not in finished]
    mark = " (synthetic data)" if dataset.synthetic else ""
    for job, record in _with_progress(_do(plan, remaining), len(jobs), len(jobs) - len(remaining), mark):
        folder.write_job(job.name, record)
    folder.finish(
        {
            "not_evaluable": not_evaluable,
            "dropped_windows": {str(subject): dropped for subject, dropped in plan.dropped_windows().items()},
            "class_names": {target: plan.rule(target).class_names for target in experiment.targets},
        }
    )
    return folder


def _do(plan: Plan, jobs: list[Job]) -> Iterator[tuple[Job, dict[str, Any]]]:
    runtime = plan.experiment.runtime
    limits = {} if runtime.n_workers == 1 else {"inner_max_num_threads": runtime.threads_per_worker}
    with joblib.parallel_config("loky", n_jobs=runtime.n_workers, **limits):
        yield from joblib.Parallel(return_as="generator_unordered")(
            joblib.delayed(_named_job)(plan, job) for job in jobs
        )


def _named_job(plan: Plan, job: Job) -> tuple[Job, dict[str, Any]]:
    return job, run_job(plan, job)


def _with_progress(done: Iterator[tuple[Job, dict]], total: int, before: int, mark: str) -> Iterator[tuple[Job, dict]]:
    """Pass jobs on as they finish: a bar on a terminal, and one line a job, with the time left, anywhere."""
    console = rich.console.Console(file=sys.stderr)
    columns = ("{task.description}", rich.progress.BarColumn(), rich.progress.MofNCompleteColumn())
    bar = rich.progress.Progress(*columns, console=console, disable=not console.is_terminal or "CI" in os.environ)
    started = time.perf_counter()
    with bar:
        task = bar.add_task("jobs", total=total, completed=before)
        for number, (job, record) in enumerate(done, start=1):
            yield job, record
            passed = time.perf_counter() - started
            left = passed / number * (total - before - number)
            accuracies = [metrics["accuracy"] for metrics in record["metrics"].values()]
            bar.advance(task)
            bar.console.print(
                f"[{before + number}/{total}] {job.name}: accuracy {sum(accuracies) / len(accuracies):.3f}{mark}, "
                f"{record['seconds']:.1f} s, {_clock(left)} left",
                markup=False,
                highlight=False,
                soft_wrap=True,
            )


def _clock(seconds: float) -> str:
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}"
