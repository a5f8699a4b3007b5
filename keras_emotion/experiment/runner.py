"""Run an experiment: check the data, compute features, train, write the tables."""

from __future__ import annotations

import collections
import dataclasses
import functools
import itertools
import json
import random
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from keras_emotion.datasets import Reader
from keras_emotion.environment import environment
from keras_emotion.evaluation import POOL, NotEvaluable
from keras_emotion.experiment import vectorized
from keras_emotion.experiment.description import DESCRIPTION, describe_experiment
from keras_emotion.experiment.engine import check, in_workers
from keras_emotion.experiment.jobs import Job, Plan
from keras_emotion.experiment.origin import TRAINED_ON, Origin
from keras_emotion.experiment.progress import JobDone, print_lines, show_progress
from keras_emotion.experiment.record_tables import count_by_reason, dropped_lines
from keras_emotion.experiment.records import INFERENCE, STORED_FEATURES, Jobs, RunFolder, disk_full_as_input_error
from keras_emotion.experiment.rule_checks import require_fitting_rules, require_rated_targets, single_class_lines
from keras_emotion.experiment.source_files import SourceFiles, read_source_files
from keras_emotion.experiment.training import remove_stages, run_job, seconds_per_step, train_on_all
from keras_emotion.experiment.vectorized import group_jobs, run_jobs
from keras_emotion.file_names import refuse_unusable_words, word_file_name
from keras_emotion.keras_settings import restored_keras_settings
from keras_emotion.logs import LOGGER, log_to_file, run_log, start_log
from keras_emotion.pipelines import (
    ChannelSet,
    FeaturePart,
    FeatureStore,
    StoredFeatures,
    StudyChannels,
    clips_of,
    content_hash,
    extract_features,
    features_of_trials,
    prepare_backend,
    trials_without_signals,
)
from keras_emotion.progress import format_duration, reported
from keras_emotion.schema import InputError, Trial
from keras_emotion.systems.base import DerivedPart, System
from keras_emotion.systems.experiment import Experiment
from keras_emotion.systems.settings import Runtime
from keras_emotion.tables import csv_bytes

STAGES = "stages"
"""Folder in a run folder: results of earlier stages of unfinished jobs."""


@dataclasses.dataclass(frozen=True)
class Estimate:
    """Estimated cost of a run.

    Args:
        jobs: number of trainings that remain.
        training_steps: total number of their training steps.
        seconds_per_step: measured seconds of one training step in one worker, including a teacher's.
        hours: estimated hours with `workers` workers, evaluation included.
        workers: worker processes.
    """

    jobs: int
    training_steps: int
    seconds_per_step: float
    hours: float
    workers: int


@dataclasses.dataclass(frozen=True)
class Data:
    """Files of an experiment, all of which were read completely without a problem.

    Args:
        dataset: the reader.
        files: the files of each subject, with the hash of each.
        description: JSON-able: dataset, subjects, fingerprints, whether synthetic.
    """

    dataset: Reader
    files: Mapping[int | str, SourceFiles]
    description: dict[str, Any]

    def fingerprint(self, subject: int | str, sources: Sequence[str]) -> str:
        """Return the hash of names and contents of a subject's files, without opening them."""
        return self.files[subject].fingerprint(self.dataset.files_of(subject, sources))


def inspect_data(experiment: Experiment, dataset: Reader, *, verify: bool = False) -> Data:
    """Check the files of an experiment.

    A file is opened if its size or time has changed since it was last read.

    Args:
        experiment: the experiment.
        dataset: a reader (see `keras_emotion.datasets`).
        verify: open all files, regardless of sizes and times; with features also the stored ones.

    Raises:
        InputError: files are missing or broken, or trials too short (the message lists all of them), the engine cannot
            be used, or a subject or target has a name that result tables cannot represent.
    """
    check(experiment.runtime)
    sources = experiment.system.sources
    dataset = dataset.for_sources(sources)
    subjects = experiment.subjects or tuple(dataset.subjects)
    refuse_unusable_words("target", experiment.targets)
    # Before hours of feature extraction.
    require_fitting_rules(experiment, dataset)
    refuse_unusable_words("subject", subjects)
    if POOL in subjects:
        raise InputError(f"subject {POOL!r}: this name is reserved for all subjects together; rename the subject")
    parts = experiment.system.parts().values()
    found = Data(dataset, read_source_files(dataset, subjects, sources, experiment.runtime, verify, parts), {})
    require_rated_targets(experiment, [files.trials.ratings for files in found.files.values()])
    description = {
        "dataset": experiment.dataset,
        "synthetic": dataset.synthetic,
        "subjects": list(subjects),
        "fingerprints": {str(subject): found.fingerprint(subject, sources) for subject in subjects},
        "system_files": content_hash(experiment.system.source_files()),
        # For networks that read the stimulus, a stimulus in training and test set is a leak.
        **({"sources": list(sources)} if "media" in sources else {}),
        **_feature_flags(experiment.system, dataset, subjects),
        **_options(dataset),
    }
    return dataclasses.replace(found, description=description)


def _feature_flags(system: System, dataset: Reader, subjects: Sequence[int | str]) -> dict[str, Any]:
    # A trial is read only for parts that may have a warning.
    if all(type(part).flags is FeaturePart.flags for part in system.parts().values()):
        return {}
    flags = system.flags(next(dataset.trials(subjects[:1])))
    return {"feature_flags": list(flags)} if flags else {}


def prepare(
    experiment: Experiment, dataset: Reader, save_models_to: Path | None = None, *, verify: bool = False
) -> tuple[Plan, dict[str, Any]]:
    """Check the data and compute features that are missing in the store.

    Args:
        experiment: the experiment.
        dataset: a reader (see `keras_emotion.datasets`).
        save_models_to: folder for the models of the last repetition.
        verify: see `inspect_data`.

    Returns:
        The plan, and `Data.description`.

    Raises:
        InputError: files are missing or broken (the message lists all of them), or the engine cannot be used.
    """
    data = inspect_data(experiment, dataset, verify=verify)
    return _plan(experiment, data, save_models_to, verify=verify), data.description


def _plan(
    experiment: Experiment, data: Data, save_models_to: Path | None, inference: dict | None = None, *, verify: bool
) -> Plan:
    """Return the plan of the experiment; compute features that are missing or damaged in the store.

    `inference` is the metadata of saved models, if known; otherwise the first trial is read for it.
    """
    folders = _compute_features(experiment, data, verify)
    channels = _study_channels(folders, experiment)
    if inference is None:
        first = next(iter(data.dataset.trials(data.description["subjects"][:1])))
        inference = _inference(experiment.system, experiment, data.dataset, first, channels)
    plan = Plan(
        experiment=experiment,
        feature_folders=folders,
        class_names=data.dataset.class_names,
        inference=inference,
        model_folder=save_models_to,
        channels=channels,
        recordings=_own_files(data),
    )
    # Now, and not after hours: subjects without any paired window.
    plan.dropped_windows()
    plan.check_words()
    return plan


def _own_files(data: Data) -> dict[int | str, tuple[str, ...]]:
    """Return content hashes of the files of each subject that no other subject has."""
    count = collections.Counter(content for files in data.files.values() for content in set(files.hashes.values()))
    return {
        subject: tuple(sorted({content for content in files.hashes.values() if count[content] == 1}))
        for subject, files in data.files.items()
    }


def _study_channels(
    folders: Mapping[int | str, Mapping[str, Path]], experiment: Experiment
) -> dict[str, StudyChannels]:
    """Return the channels of all subjects, by part that reads recordings."""
    parts: dict[str, dict[int | str, ChannelSet]] = {}
    for subject, own in folders.items():
        for name, folder in own.items():
            channels = StoredFeatures.channels_of(folder)
            if channels is not None:
                parts.setdefault(name, {})[subject] = channels
    return {name: StudyChannels.of(by_subject, experiment.study_channels) for name, by_subject in parts.items()}


def _inference(system, experiment: Experiment, dataset, first, channels: Mapping[str, StudyChannels]) -> dict:
    """Return the metadata of a saved model: of the system, the channels of the study, and the data."""
    known = dict(system.inference(first))
    studies = [channels[name] for name in known.get("parts", ()) if name in channels]
    if "channel_names" in known and studies:
        # A model has one list of channels: that of the last part, as in `System.inference`.
        study = studies[-1].channels
        known["channel_names"], known["units"] = list(study.names), list(study.units)
        if any(direction is not None for direction in study.directions):
            known["electrode_directions"] = [
                None if direction is None else [round(part, 6) for part in direction] for direction in study.directions
            ]
    return {**known, "dataset": experiment.dataset, "synthetic": bool(dataset.synthetic)}


def _compute_features(experiment: Experiment, data: Data, verify: bool) -> dict[int | str, dict[str, Path]]:
    """Compute features that are missing in the store; return the folder of each part of each subject."""
    runtime, subjects, derived = experiment.runtime, data.files, experiment.system.derived()
    store = FeatureStore(runtime.feature_store.absolute())
    keys = _compute_parts(store, experiment.system.parts(), data, runtime, verify)
    # The key of derived features: the network, and the key of its input features.
    derived_keys = {
        (subject, name): {"of": keys[subject, part.replaces], "by": part.key()}
        for subject in subjects
        for name, part in derived.items()
    }
    missing = [place for place, key in derived_keys.items() if not store.holds(key, verify)]
    made = [
        (_derive, (store, derived_keys[subject, name], derived[name], folder, runtime.threads_per_worker))
        for subject, name in missing
        for folder in [store.path(keys[subject, derived[name].replaces])]
    ]
    for _ in reported(in_workers(runtime, made, trains=True), "features of frozen networks", len(made)):
        pass
    replaced = {part.replaces for part in derived.values()}
    trained_on = {place: key for place, key in {**keys, **derived_keys}.items() if place[1] not in replaced}
    folders: dict[int | str, dict[str, Path]] = {subject: {} for subject in subjects}
    for (subject, name), key in trained_on.items():
        folders[subject][name] = store.path(key)
    return folders


def compute_part(
    part: FeaturePart, dataset: Reader, subjects: Sequence[int | str], runtime: Runtime, *, verify: bool = False
) -> dict[int | str, Path]:
    """Compute the features of one part in workers, as runs do; stored features are reused.

    Args:
        part: the part.
        dataset: a reader (see `keras_emotion.datasets`).
        subjects: ids of the subjects.
        runtime: engine, workers and feature store.
        verify: see `inspect_data`.

    Returns:
        A folder for `StoredFeatures.open` for each subject.

    Raises:
        InputError: files are missing or broken (the message lists all of them), or features cannot be computed or
            stored.
    """
    data = Data(dataset, read_source_files(dataset, subjects, part.sources, runtime, verify, (part,)), {})
    store = FeatureStore(runtime.feature_store.absolute())
    keys = _compute_parts(store, {"": part}, data, runtime, verify)
    return {subject: store.path(keys[subject, ""]) for subject in subjects}


def _compute_parts(
    store: FeatureStore, parts: Mapping[str, FeaturePart], data: Data, runtime: Runtime, verify: bool
) -> dict[tuple[int | str, str], dict[str, Any]]:
    """Compute features that are missing in the store; return the key of each part of each subject."""
    keys = {(subject, name): _key(data, part, subject) for subject in data.files for name, part in parts.items()}
    missing = {place: key for place, key in keys.items() if not store.holds(key, verify)}
    LOGGER.debug(f"features: {len(keys) - len(missing)} in the store, {len(missing)} to compute")
    shared = {name for name, part in parts.items() if part.shared_by_stimulus}
    threads = runtime.threads_per_worker
    tasks = [
        (parts[name], (_compute, (store, key, functools.partial(_extract, parts[name], dataset, subject, threads))))
        for (subject, name), key in missing.items()
        if name not in shared
        for dataset in [data.dataset.for_sources(parts[name].sources)]
    ]
    _compute_all(runtime, tasks)
    _compute_shared(store, parts, data, runtime, {place: key for place, key in missing.items() if place[1] in shared})
    return keys


def _compute_shared(
    store: FeatureStore,
    parts: Mapping[str, FeaturePart],
    data: Data,
    runtime: Runtime,
    keys: Mapping[tuple[int | str, str], dict[str, Any]],
) -> None:
    """Compute features shared by trials with a stimulus: once per clip, for all subjects.

    Args:
        store: the feature store.
        parts: the parts by name.
        data: the data.
        runtime: engine and workers.
        keys: by subject and part, the keys that are missing in the store.

    Raises:
        InputError: clips cannot be used; one line per fault.
    """
    subjects = dict.fromkeys(subject for subject, _ in keys)
    trials = dict(in_workers(runtime, [(_shown, (data.dataset, subject)) for subject in subjects], trains=False))
    clip_keys: dict[tuple[str, Any], dict[str, Any]] = {}
    tasks = []
    for name in dict.fromkeys(name for _, name in keys):
        for place, trial in clips_of(trial for one in subjects if (one, name) in keys for trial in trials[one]).items():
            key = clip_keys[name, place] = _clip_key(data, parts[name], trial)
            if not store.holds(key):
                extract = functools.partial(_extract_of_clip, parts[name], trial, runtime.threads_per_worker)
                tasks.append((parts[name], (_compute, (store, key, extract))))
    _compute_all(runtime, tasks)
    for (subject, name), key in keys.items():
        folders = {place: store.path(clip_keys[name, place]) for place in clips_of(trials[subject])}
        compute = functools.partial(features_of_trials, parts[name], trials[subject], folders)
        store.folder(key, compute, tuple(folders.values()))


def _shown(dataset: Reader, subject: int | str) -> tuple[int | str, tuple[Trial, ...]]:
    return subject, trials_without_signals(dataset.trials([subject]))


def _clip_key(data: Data, part: FeaturePart, trial: Trial) -> dict[str, Any]:
    clip = trial.media
    hashes = data.files[trial.subject].hashes
    return {
        "clip": hashes[str(clip.path.absolute())],
        "start_seconds": clip.start_seconds,
        "n_windows": len(part.windowing.starts(trial.duration_seconds)),
        "features": part.key(),
    }


def _key(data: Data, part: FeaturePart, subject) -> dict[str, Any]:
    dataset = data.dataset.for_sources(part.sources)
    version = dataset.code_version
    return {
        "dataset": dataset.kind,
        "subject": subject,
        "source": data.fingerprint(subject, part.sources),
        "features": part.key(),
        **_options(dataset),
        **({"reader_version": version} if version > 1 else {}),
        # Entries without stored channels cannot be aligned to those of a study.
        **({"with_channels": True} if part.has_channels else {}),
    }


def _options(dataset: Reader) -> dict[str, Any]:
    # Only if there are any, so that earlier keys stay the same.
    return {"options": dataset.options} if dataset.options else {}


def _compute(store: FeatureStore, key: dict[str, Any], extract: Callable[[], tuple]) -> str:
    """Compute features into the store; return faults of the data, so that those of all files are listed.

    Raises:
        InputError: the store cannot be written, so that further computation is useless.
    """
    faults = []

    def compute() -> tuple:
        try:
            return extract()
        except InputError as error:
            faults.append(str(error))
            raise

    try:
        with disk_full_as_input_error(store.root):
            store.folder(key, compute)
        LOGGER.debug(f"features of {key.get('subject') or key.get('clip')}: computed")
    except InputError:
        if not faults:
            raise
    return "\n".join(faults)


def _extract(part: FeaturePart, dataset: Reader, subject: int | str, threads: int) -> tuple:
    if part.needs_backend:
        prepare_backend(threads)
    return extract_features(part, dataset.trials([subject]))


def _extract_of_clip(part: FeaturePart, trial: Trial, threads: int) -> tuple:
    if part.needs_backend:
        prepare_backend(threads)
    return part.extract([trial.without_ratings()])


def _compute_all(runtime: Runtime, tasks: Sequence[tuple[FeaturePart, tuple]]) -> None:
    """Run tasks of `_compute`, each with its part, in workers.

    Raises:
        InputError: features cannot be computed; one line per fault of all data.
    """
    found: set[str] = set()
    for trains in (False, True):
        own = [task for part, task in tasks if part.needs_backend == trains]
        faults = reported(in_workers(runtime, own, trains=trains), "features", len(own))
        found.update(line for fault in faults for line in fault.splitlines())
    if found:
        raise InputError("\n".join(sorted(found)))


def _derive(store: FeatureStore, key: dict[str, Any], part: DerivedPart, folder: Path, threads: int) -> None:
    prepare_backend(threads)
    with disk_full_as_input_error(store.root):
        store.folder(key, lambda: part.extract(StoredFeatures.open(folder)))


def _jobs(plan: Plan) -> tuple[list[tuple[Job, int]], list[dict[str, Any]]]:
    """Return `Plan.jobs`; at least one is required."""
    jobs, not_evaluable = plan.jobs()
    if not jobs:
        dropped = dropped_lines(count_by_reason(plan.dropped_windows()))
        reasons = "\n  ".join([*(entry["reason"] for entry in not_evaluable), *dropped, *single_class_lines(plan)])
        raise InputError(f"nothing can be evaluated:\n  {reasons}")
    return jobs, not_evaluable


def left_out(plan: Plan) -> list[str]:
    """List what a run will leave out, one line each: windows without a partner, and non-evaluable subjects.

    Args:
        plan: the plan.
    """
    of_jobs = (
        f"not evaluable: {entry['target']}, subject {entry['subject']}, {entry['protocol']}: {entry['reason']}"
        for entry in plan.jobs()[1]
    )
    return [*dropped_lines(count_by_reason(plan.dropped_windows())), *of_jobs]


def estimate(plan: Plan, finished: frozenset[str] | set[str] = frozenset()) -> Estimate:
    """Estimate the cost of the unfinished jobs from a few timed steps.

    Raises:
        InputError: nothing can be evaluated.
    """
    remaining = [(job, n_windows) for job, n_windows in _jobs(plan)[0] if job.name not in finished]
    workers = plan.experiment.runtime.n_workers
    if not remaining:
        return Estimate(0, 0, 0.0, 0.0, workers)
    steps, train_seconds, seconds = 0, 0.0, 0.0
    runtime = plan.experiment.runtime
    with restored_keras_settings():
        if runtime.engine == "vectorized":
            group = group_jobs([job for job, _ in remaining], runtime.folds_at_once)[0]
            measured = vectorized.seconds_per_step([(plan, job) for job in group])
        else:
            measured = seconds_per_step(plan, remaining[0][0])
    for training, train_step, test_step in measured:
        own_steps = sum(-(-n_windows // training.batch_size) for _, n_windows in remaining) * training.epochs
        steps += own_steps
        train_seconds += own_steps * train_step
        # Each epoch also evaluates the validation windows: about one ninth as many as training windows.
        seconds += own_steps * (train_step + test_step / 9)
    return Estimate(len(remaining), steps, train_seconds / steps, seconds / workers / 3600, workers)


@run_log()
def run(
    experiment: Experiment,
    dataset: Reader,
    output: Path | str,
    *,
    resume: bool = False,
    verify: bool = False,
    retry_failed: bool = False,
    stop_at: float | None = None,
) -> RunFolder:
    """Run an experiment into a folder; if a finished run is started again, check whether its data are the same.

    A job whose training diverges is recorded as failed, and its test subjects are left out of every protocol (see
    `RunFolder.summary`).

    Args:
        experiment: the experiment.
        dataset: a reader (see `keras_emotion.datasets`).
        output: the run folder.
        resume: continue an interrupted run, or join other processes working on it: only jobs without a record are done.
            Damaged files of the run are moved to its folder `damaged`, and created again.
        verify: see `inspect_data`.
        retry_failed: as `resume`, but failed jobs are repeated.
        stop_at: time (`time.time()`) after which no job is started. The run is then left unfinished, to be resumed.

    Raises:
        InputError: the data cannot be used, the folder belongs to another run, or no subject can be evaluated.
    """
    begun = time.perf_counter()
    folder = RunFolder(output)
    model_folder = folder.path.absolute() / "models" if experiment.runtime.save_models else None
    data = inspect_data(experiment, dataset, verify=verify)
    resume = resume or retry_failed
    start = (experiment.scientific_config(), experiment.identity(), data.description, resume)
    recorded = Jobs()
    if folder.is_started:
        if resume:
            recorded = folder.set_aside_damaged()
            print_lines(recorded.notes)
        folder.start(*start)
    to_retry = frozenset(recorded.failed) if retry_failed else frozenset()
    if to_retry:
        folder.reopen()
    if folder.is_finished:
        return folder
    # The folder is created after feature extraction, so that a failure there leaves no run behind.
    plan = _plan(experiment, data, model_folder, folder.inference, verify=verify)
    is_new = folder.start(*start)
    folder.write_json(INFERENCE, plan.inference)
    folder.write_json(STORED_FEATURES, {"folders": plan.stored_folders()})
    runtime = experiment.runtime
    made_with = {
        **environment(runtime.threads_per_worker, runtime.n_workers),
        "engine": runtime.engine,
        **({"cluster_address": runtime.cluster_address} if runtime.cluster_address else {}),
    }
    folder.record_start(made_with)
    if versions := folder.other_versions(made_with["packages"]):
        print_lines(
            [
                f"note: {folder.path}: was started with {', '.join(versions)}, which computed the finished jobs; for "
                "results of one version, give another --output"
            ]
        )
    start_log(folder.path, made_with, "started" if is_new else "resumed")
    # Without a checksum: users edit it when data have moved; the identity protects the rest.
    folder.write_bytes(DESCRIPTION, json.dumps(describe_experiment(experiment, data.dataset), indent=1).encode())
    channel_notes = list(dict.fromkeys(note for study in plan.channels.values() for note in study.notes()))
    print_lines(f"note: {note}" for note in channel_notes)
    dropped = plan.dropped_windows()
    if len(dropped):
        folder.write_bytes("pairing.csv", csv_bytes(dropped))
    jobs, not_evaluable = _jobs(plan)
    finished = recorded.finished - to_retry
    remaining = [job for job, _ in jobs if job.name not in finished]
    if not is_new:
        # Other processes on this folder use another order of jobs, so that duplicate work is rare.
        random.SystemRandom().shuffle(remaining)
    mark = " (synthetic data)" if dataset.synthetic else ""
    shared = RunFolder(folder.path.absolute())
    plan = dataclasses.replace(plan, stage_folder=shared.path / STAGES)
    if runtime.tensorboard:
        plan = dataclasses.replace(plan, log_folder=shared.path / "tensorboard")
    if runtime.engine == "vectorized":
        groups = group_jobs(remaining, runtime.folds_at_once)
        tasks = [(_recorded_jobs, (plan, group, shared, to_retry, stop_at)) for group in groups]
        done = itertools.chain.from_iterable(in_workers(runtime, tasks, trains=True))
    else:
        tasks = [(_recorded_job, (plan, job, shared, to_retry, stop_at)) for job in remaining]
        done = in_workers(runtime, tasks, trains=True)
    started = (one for one in done if one is not None)
    log_to_file(f"{len(jobs)} jobs, {len(jobs) - len(remaining)} of them done before")
    show_progress(started, len(jobs), len(jobs) - len(remaining), mark)
    if stop_at is not None and {job.name for job, _ in jobs} - folder.check_jobs().finished:
        log_to_file("stopped: the time is over; the run is not finished")
        return folder
    folder.finish(
        {
            "not_evaluable": not_evaluable,
            "n_windows": {str(subject): number for subject, number in plan.n_windows().items()},
            "dropped_windows": count_by_reason(dropped),
            "class_names": {target: plan.rule(target).class_names for target in experiment.targets},
            "label_rules": {target: plan.rule(target).name for target in experiment.targets},
            "channels": channel_notes,
        },
        expected=[job.name for job, _ in jobs],
    )
    log_to_file(f"finished after {format_duration(time.perf_counter() - begun)}")
    return folder


def train_teachers(
    experiment: Experiment,
    dataset: Reader,
    folder: Path,
    validation_subjects: tuple[int | str, ...] = (),
    *,
    verify: bool = False,
) -> dict[str, Path]:
    """Train one network for each target on all subjects except those that choose the epoch, and save it.

    Args:
        experiment: the experiment; its protocols are not used.
        dataset: a reader (see `keras_emotion.datasets`).
        folder: folder of `<target>.keras` (see `word_file_name`); existing files are kept.
        validation_subjects: the subjects that choose the epoch; by default those of the first inner validation of
            the protocol `subject_disjoint`.
        verify: see `inspect_data`.

    Returns:
        The file of each target.

    Raises:
        InputError: the data cannot be used, or there are too few subjects to leave some out.
    """
    plan, _ = prepare(experiment, dataset, verify=verify)
    files = {target: folder / f"{word_file_name(target)}.keras" for target in experiment.targets}
    try:
        tasks = [(train_on_all, (plan, target, file.absolute(), validation_subjects)) for target, file in files.items()]
        for _ in reported(in_workers(experiment.runtime, tasks, trains=True), "teachers", len(tasks)):
            pass
    except NotEvaluable as reason:
        raise InputError(f"{dataset.root}: no subjects can be held out to choose the epoch: {reason}") from None
    # Stored, so that overlap of training and test people can be detected.
    windows = [plan.window_set(POOL, target).table for target in experiment.targets]
    RunFolder(folder).write_json(TRAINED_ON, Origin.of(plan, pd.concat(windows)).as_dict())
    return files


def _is_recorded(job: Job, folder: RunFolder, to_retry: frozenset[str]) -> bool:
    """Return whether another process has recorded a job meanwhile."""
    record = folder.job(job.name)
    return record is not None and not ("failed" in record and job.name in to_retry)


def _recorded_job(
    plan: Plan, job: Job, folder: RunFolder, to_retry: frozenset[str], stop_at: float | None
) -> JobDone | None:
    # Recorded here and not by the parent process, so that finished jobs are never lost.
    if _is_over(stop_at):
        return None
    if _is_recorded(job, folder, to_retry):
        return JobDone(job.title)
    with disk_full_as_input_error(folder.path):
        record = run_job(plan, job)
    return _written(plan, job, record, folder)


def _is_over(stop_at: float | None) -> bool:
    return stop_at is not None and time.time() >= stop_at


def _recorded_jobs(
    plan: Plan, jobs: Sequence[Job], folder: RunFolder, to_retry: frozenset[str], stop_at: float | None
) -> list[JobDone]:
    """Do `_recorded_job` for jobs that are done at once."""
    if _is_over(stop_at):
        return []
    left = [job for job in jobs if not _is_recorded(job, folder, to_retry)]
    with disk_full_as_input_error(folder.path):
        records = run_jobs([(plan, job) for job in left])
    return [
        *(JobDone(job.title) for job in jobs if job not in left),
        *(_written(plan, job, record, folder) for job, record in zip(left, records, strict=True)),
    ]


def _written(plan: Plan, job: Job, record: dict[str, Any], folder: RunFolder) -> JobDone:
    folder.write_job(record)
    remove_stages(folder.path / STAGES, plan, job)
    if "failed" in record:
        return JobDone(job.title, seconds=record["seconds"], failed=record["failed"])
    accuracies = [metrics["accuracy"] for metrics in record["metrics"].values()]
    return JobDone(job.title, sum(accuracies) / len(accuracies), record["seconds"])
