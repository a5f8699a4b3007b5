"""Representations of unseen windows by a run's networks: features, priors and attention."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from keras_emotion.datasets import Reader
from keras_emotion.experiment.compiled_model import outputs
from keras_emotion.experiment.engine import in_workers
from keras_emotion.experiment.fit import FitRequest, FitResult, TrainingDiverged, fit, run_fits
from keras_emotion.experiment.fold import Fold, job_fold
from keras_emotion.experiment.jobs import Job, Plan
from keras_emotion.experiment.runner import prepare
from keras_emotion.experiment.training import Trained, train_network, without_files
from keras_emotion.pipelines import prepare_backend
from keras_emotion.progress import reported
from keras_emotion.sampling import evenly_spread
from keras_emotion.schema import InputError
from keras_emotion.systems.experiment import Experiment

WindowFeatures = tuple[Mapping[str, np.ndarray], np.ndarray]
"""`(windows, features)` float32 by name, and the `(windows,)` labels."""

Train = Callable[[Callable[[FitRequest], FitResult]], Trained]
"""Function that trains the stages of a fold, each by the given function."""


@dataclasses.dataclass(frozen=True)
class StageOutputs:
    """Outputs of a stage's network for windows that no stage was trained on.

    Args:
        before: outputs `(windows, ...)` float32 by name, of the initial network of the stage.
        after: the same, of the trained network.
        labels: `(windows,)` labels.
        table: rows of the window table.
    """

    before: Mapping[str, np.ndarray]
    after: Mapping[str, np.ndarray]
    labels: np.ndarray
    table: pd.DataFrame


@dataclasses.dataclass(frozen=True)
class FrameChoices:
    """Frames of unseen windows at which a network looked.

    Args:
        looks: `(windows,)` numbers of looks.
        positions: `(windows, looks)` frames from 0; constant after the last look of a window.
        n_frames: frames of a window.
        labels: `(windows,)` labels.
        predictions: `(windows,)` predicted classes.
        table: rows of the window table.
        shown: positions of some of these windows.
        faces: `(shown, frames, rows, columns, 3)` uint8 faces of these, if the network reads pictures of faces.
        images: `(shown, frames, bands, rows, columns)` EEG images of these, if the network computes them.
    """

    looks: np.ndarray
    positions: np.ndarray
    n_frames: int
    labels: np.ndarray
    predictions: np.ndarray
    table: pd.DataFrame
    shown: np.ndarray
    faces: np.ndarray | None
    images: np.ndarray | None


def window_features(experiment: Experiment, dataset: Reader) -> dict[str, dict[str, WindowFeatures]]:
    """Return the features of the test windows of each protocol's first fold and subject, by protocol and target.

    These folds are trained again, with the weights of the run (by the folds' seeds), because runs do not save networks
    by default.

    Args:
        experiment: one whose system has a network with a `feature_model()`.
        dataset: a reader (see `keras_emotion.datasets`).

    Raises:
        InputError: the data cannot be used.
    """
    return _of_first_folds(_features, experiment, dataset)


def channel_priors(experiment: Experiment, dataset: Reader) -> dict[str, dict[str, tuple[np.ndarray, pd.DataFrame]]]:
    """Return the cross-modal prior per EEG channel for the test trials of the first folds, by protocol and target.

    Args:
        experiment: one whose system has a network with a `prior_model()`.
        dataset: a reader (see `keras_emotion.datasets`).

    Returns:
        `(trials, windows, channels)` float32, the mean of the prior over its last axis (Fig. 2 of Zheng et al., 2023),
        and the rows of the window table.

    Raises:
        InputError: the data cannot be used.
    """
    return _of_first_folds(_priors, experiment, dataset)


def stage_outputs(experiment: Experiment, dataset: Reader, stage: str) -> dict[str, dict[str, StageOutputs]]:
    """Return a stage's outputs for the test windows of the first folds, before and after it, by protocol and target.

    Args:
        experiment: one whose system has the stage.
        dataset: a reader (see `keras_emotion.datasets`).
        stage: name of the stage.

    Raises:
        InputError: the data cannot be used, or the system has no such stage.
    """
    names = [one.name for one in experiment.system.stages()]
    if stage not in names:
        raise InputError(f"{type(experiment.system).__name__} has no stage {stage!r}; expected one of {names}")
    return _of_first_folds(functools.partial(_stage_outputs, stage), experiment, dataset)


def frame_choices(experiment: Experiment, dataset: Reader, n_shown: int = 3) -> dict[str, dict[str, FrameChoices]]:
    """Return the frames that the networks of the first folds look at in their test windows, by protocol and target.

    Args:
        experiment: one whose system has a network that selects frames (`VideoEEGHierarchicalLSTM`).
        dataset: a reader (see `keras_emotion.datasets`).
        n_shown: number of windows whose faces and EEG images are returned, evenly spread over the test windows.

    Raises:
        InputError: the data cannot be used.
    """
    return _of_first_folds(functools.partial(_frame_choices, n_shown), experiment, dataset)


def window_attention(
    experiment: Experiment, dataset: Reader
) -> dict[str, dict[str, dict[tuple[str, str], np.ndarray]]]:
    """Return the mean attention between modalities for the test windows of the first folds, by protocol and target.

    Args:
        experiment: one whose system has a network with `attention_scores`.
        dataset: a reader (see `keras_emotion.datasets`).

    Returns:
        By `(source, target)`, `(steps of the target, steps of the source)` float32; rows sum to 1.

    Raises:
        InputError: the data cannot be used.
    """
    return _of_first_folds(_attention, experiment, dataset)


def _of_first_folds(function: Callable[..., Any], experiment: Experiment, dataset: Reader) -> dict[str, dict[str, Any]]:
    plan, _ = prepare(experiment, dataset)
    firsts: dict[tuple[str, str], Job] = {}
    for job, _ in plan.jobs()[0]:
        firsts.setdefault((job.protocol, job.target), job)
    tasks = [(_of_test_windows, (function, plan, job)) for job in firsts.values()]
    found = dict(reported(in_workers(experiment.runtime, tasks, trains=True), "networks of first folds", len(tasks)))
    # Workers finish in any order; results are in the order of the experiment.
    return {
        protocol: {target: found[protocol, target] for target in experiment.targets if (protocol, target) in found}
        for protocol in experiment.protocols
    }


def _of_test_windows(function: Callable[..., Any], plan: Plan, job: Job) -> tuple[tuple[str, str], Any]:
    prepare_backend(plan.experiment.runtime.threads_per_worker)
    fold = job_fold(plan, job)

    def train(fit: Callable[[FitRequest], FitResult]) -> Trained:
        return run_fits(train_network(without_files(plan), job, fold), fit)

    try:
        return (job.protocol, job.target), function(fold, train)
    except TrainingDiverged as reason:
        raise InputError(f"{job.title}: training diverged ({reason}); use a smaller --training.learning-rate") from None


def _features(fold: Fold, train: Train) -> WindowFeatures:
    trained = train(fit)
    return outputs(trained.model.feature_model(), trained.fold.batches(fold.test)), fold.labels[fold.test]


def _priors(fold: Fold, train: Train) -> tuple[np.ndarray, pd.DataFrame]:
    trained = train(fit)
    prior = outputs(trained.model.prior_model(), trained.fold.batches(fold.test))["output"]
    return prior.mean(axis=-1), fold.unit.table.iloc[fold.test].reset_index(drop=True)


def _stage_outputs(stage: str, fold: Fold, train: Train) -> StageOutputs:
    found = []

    def fit_and_note(request: FitRequest) -> FitResult:
        def note():
            # Folds of stages before the last have no test windows.
            found.append(outputs(request.compiled.model, request.fold.batches(fold.test)))

        if request.stage.name != stage:
            return fit(request)
        request.start()
        note()
        result = fit(request)
        note()
        return result

    train(fit_and_note)
    table = fold.unit.table.iloc[fold.test].reset_index(drop=True)
    before, after = found
    return StageOutputs(before, after, fold.labels[fold.test], table)


def _attention(fold: Fold, train: Train) -> dict[tuple[str, str], np.ndarray]:
    import keras

    trained = train(fit)
    batches = trained.fold.batches(fold.test)
    sums: dict[tuple[str, str], np.ndarray] = {}
    for indices in batches.order(0):
        for pair, scores in trained.model.attention_scores(batches.gather_inputs(indices)).items():
            # The last batch is padded.
            own = keras.ops.convert_to_numpy(scores)[indices >= 0]
            sums[pair] = sums.get(pair, 0) + own.mean(axis=1).sum(axis=0)
    return {pair: total / len(fold.test) for pair, total in sums.items()}


def _frame_choices(n_shown: int, fold: Fold, train: Train) -> FrameChoices:
    trained = train(fit)
    model = trained.model
    given = outputs(model, trained.fold.batches(fold.test))
    shown = evenly_spread(len(fold.test), n_shown)
    elements = {name: np.asarray(array[fold.test[shown]]) for name, array in trained.fold.arrays.items()}
    return FrameChoices(
        looks=given["looks"].astype(int),
        positions=given["positions"].astype(int),
        n_frames=model.n_frames,
        labels=fold.labels[fold.test],
        predictions=given["probabilities"].argmax(axis=1),
        table=fold.unit.table.iloc[fold.test].reset_index(drop=True),
        shown=shown,
        faces=elements.get("faces"),
        images=model.eeg_images(elements["eeg"]) if "eeg" in elements else None,
    )
