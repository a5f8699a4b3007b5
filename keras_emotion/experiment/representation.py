"""What the networks of a run hand to their heads: the features of windows that they were not trained on."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from keras_emotion.datasets import Reader
from keras_emotion.experiment.configuration import Experiment
from keras_emotion.experiment.engine import in_workers
from keras_emotion.experiment.jobs import Job, Plan
from keras_emotion.experiment.runner import prepare
from keras_emotion.experiment.training import fold_of, outputs, train_fold
from keras_emotion.pipelines import prepare_backend

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
    plan, _ = prepare(experiment, dataset)
    firsts: dict[tuple[str, str], Job] = {}
    for job, _ in plan.jobs()[0]:
        firsts.setdefault((job.protocol, job.target), job)
    found = in_workers(experiment.runtime, [(_features, (plan, job)) for job in firsts.values()], trains=True)
    features: dict[str, dict[str, WindowFeatures]] = {}
    for (protocol, target), of_windows in found:
        features.setdefault(protocol, {})[target] = of_windows
    # Workers are done in any order; what is drawn is in that of the experiment.
    return {
        protocol: {target: features[protocol][target] for target in experiment.targets if target in features[protocol]}
        for protocol in experiment.protocols
        if protocol in features
    }


def _features(plan: Plan, job: Job) -> tuple[tuple[str, str], WindowFeatures]:
    prepare_backend(plan.experiment.runtime.threads_per_worker)
    fold, model, _ = train_fold(dataclasses.replace(plan, model_folder=None, log_folder=None), job, fold_of(plan, job))
    return (job.protocol, job.target), (outputs(model.feature_model(), fold.batches(fold.test)), fold.labels[fold.test])
