"""What the networks of a run make of windows that they were not trained on: features, and priors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from keras_emotion.datasets import Reader
from keras_emotion.experiment.compiled_model import outputs
from keras_emotion.experiment.engine import in_workers
from keras_emotion.experiment.fit import TrainingDiverged, fit, run_fits
from keras_emotion.experiment.fold import Fold, job_fold
from keras_emotion.experiment.jobs import Job, Plan
from keras_emotion.experiment.runner import prepare
from keras_emotion.experiment.training import train_network, without_files
from keras_emotion.pipelines import prepare_backend
from keras_emotion.schema import InputError
from keras_emotion.systems.experiment import Experiment

WindowFeatures = tuple[Mapping[str, np.ndarray], np.ndarray]
"""`(windows, features)` float32 by name, and the `(windows,)` labels."""


def window_features(experiment: Experiment, dataset: Reader) -> dict[str, dict[str, WindowFeatures]]:
    """The features of the test windows of each protocol's first fold (of its first subject), by protocol and target.

    These folds are done again, with the weights that the run had (their seeds are the folds'), since runs keep no
    networks unless they are told to.

    Args:
        experiment: one whose system has a network with a `feature_model()`.
        dataset: a reader (see `keras_emotion.datasets`).

    Raises:
        InputError: the data cannot be used.
    """
    return _of_first_folds(_features, experiment, dataset)


def channel_priors(experiment: Experiment, dataset: Reader) -> dict[str, dict[str, tuple[np.ndarray, pd.DataFrame]]]:
    """The cross-modal prior of each EEG channel for the test trials of the first folds, by protocol and target.

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


def _of_first_folds(function: Callable[..., Any], experiment: Experiment, dataset: Reader) -> dict[str, dict[str, Any]]:
    plan, _ = prepare(experiment, dataset)
    firsts: dict[tuple[str, str], Job] = {}
    for job, _ in plan.jobs()[0]:
        firsts.setdefault((job.protocol, job.target), job)
    tasks = [(_of_test_windows, (function, plan, job)) for job in firsts.values()]
    found = dict(in_workers(experiment.runtime, tasks, trains=True))
    # Workers are done in any order; what is drawn is in that of the experiment.
    return {
        protocol: {target: found[protocol, target] for target in experiment.targets if (protocol, target) in found}
        for protocol in experiment.protocols
    }


def _of_test_windows(function: Callable[..., Any], plan: Plan, job: Job) -> tuple[tuple[str, str], Any]:
    prepare_backend(plan.experiment.runtime.threads_per_worker)
    try:
        fold, model, _, _ = run_fits(train_network(without_files(plan), job, job_fold(plan, job)), fit)
    except TrainingDiverged as reason:
        raise InputError(f"{job.title}: training diverged ({reason}); use a smaller --training.learning-rate") from None
    return (job.protocol, job.target), function(fold, model)


def _features(fold: Fold, model: Any) -> WindowFeatures:
    return outputs(model.feature_model(), fold.batches(fold.test)), fold.labels[fold.test]


def _priors(fold: Fold, model: Any) -> tuple[np.ndarray, pd.DataFrame]:
    prior = outputs(model.prior_model(), fold.batches(fold.test))["output"]
    return prior.mean(axis=-1), fold.unit.table.iloc[fold.test].reset_index(drop=True)
