"""One job, from features to a record. Each worker process compiles a model once and trains it many times."""

from __future__ import annotations

import dataclasses
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from keras_emotion.evaluation import PROTOCOLS, classification_metrics
from keras_emotion.experiment.configuration import Experiment, Training
from keras_emotion.experiment.jobs import Job, Plan, Unit
from keras_emotion.pipelines import WindowBatches, prepare_backend
from keras_emotion.schema import InputError


class CompiledModel:
    """A compiled model that can be set back to the state of a newly built one, as often as there are folds.

    Building and tracing a network takes seconds, a small fold not much longer. So the traced functions are kept, and
    `reset` copies every variable of a newly built, untraced model, and the initial state of the optimizer. The result
    equals that of a new model.

    Args:
        experiment: says which system and how it is trained.
        shapes: window shape by modality.
        n_classes: number of classes.
        inference: what the saved model carries along.
    """

    def __init__(self, experiment: Experiment, shapes: dict[str, tuple[int, ...]], n_classes: int, inference: dict):
        import keras

        training = experiment.training

        def build():
            before = keras.config.dtype_policy()
            keras.config.set_dtype_policy(training.precision)
            try:
                return experiment.system.model(shapes, n_classes, inference)
            finally:
                keras.config.set_dtype_policy(before)

        self._build = build
        self.model = build()
        optimizer = keras.optimizers.Adam(training.learning_rate)
        if training.precision == "mixed_float16":
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        self.model.compile(
            optimizer=optimizer,
            jit_compile=use_xla(training),
            **experiment.system.losses(),
        )
        self.model.optimizer.build(self.model.trainable_variables)
        self._optimizer_state = [keras.ops.convert_to_numpy(variable) for variable in self.model.optimizer.variables]

    def reset(self, seed: int) -> None:
        """Weights, seeds and optimizer as in a new model built under `seed`."""
        import keras

        keras.utils.set_random_seed(seed)
        new = self._build()
        for variable, initial in zip(self.model.variables, new.variables, strict=True):
            variable.assign(initial)
        for variable, initial in zip(self.model.optimizer.variables, self._optimizer_state, strict=True):
            variable.assign(initial)


def use_xla(training: Training) -> bool:
    """Whether XLA compiles the training step: with a GPU yes, on a CPU no, unless the configuration says which."""
    import keras

    if training.jit_compile != "auto":
        return training.jit_compile == "on"
    return any(keras.distribution.list_devices("gpu"))


_COMPILED: dict[str, CompiledModel] = {}


def compiled_model(
    experiment: Experiment, shapes: dict[str, tuple[int, ...]], n_classes: int, inference: dict
) -> CompiledModel:
    """This process's compiled model for an architecture and shape; made at the first call."""
    key = json.dumps([experiment.system.science(), experiment.training.model_dump(), shapes, n_classes, inference])
    if key not in _COMPILED:
        _COMPILED[key] = CompiledModel(experiment, shapes, n_classes, inference)
    return _COMPILED[key]


def _restore_best(score: Callable[[dict[str, float]], float], when: str):
    import keras

    class RestoreBest(keras.callbacks.Callback):
        """Keeps the weights of the epoch with the greatest score and puts them back, at the end or after each epoch.

        Deviation: of two equally good epochs the earlier one counts; the paper does not say.
        """

        def on_train_begin(self, logs=None):
            self.best_score, self.best_epoch, self._weights = -np.inf, 0, None

        def on_epoch_end(self, epoch, logs=None):
            value = score(logs)
            if self._weights is None or value > self.best_score:
                self.best_score, self.best_epoch = value, epoch + 1
                self._weights = self.model.get_weights()
            elif when == "each_epoch":
                self.model.set_weights(self._weights)

        def on_train_end(self, logs=None):
            self.model.set_weights(self._weights)

    return RestoreBest()


@dataclasses.dataclass(frozen=True)
class Fold:
    """The batches of one job."""

    unit: Unit
    labels: np.ndarray
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    experiment: Experiment

    def batches(self, rows: np.ndarray, shuffle_seed: int | None = None) -> WindowBatches:
        """Batches of the windows at `rows`."""
        batch_size = self.experiment.training.batch_size
        return WindowBatches(
            self.unit.arrays, self.labels, rows, batch_size, shuffle_seed, self.experiment.system.batch
        )

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Window shape by modality."""
        return {name: tuple(array.shape[1:]) for name, array in self.unit.arrays.items()}


def fold_of(plan: Plan, job: Job) -> Fold:
    """The windows and labels of a job."""
    unit = plan.unit(job.subject, job.target)
    train, validation, test = plan.folds(unit, job.protocol, job.repetition)[job.fold]
    return Fold(unit, unit.labels(train), train, validation, test, plan.experiment)


def run_job(plan: Plan, job: Job) -> dict[str, Any]:
    """Train and test one fold.

    Returns:
        The record of the job, JSON-able: metrics for each test subject and the prediction for each test window.

    Raises:
        InputError: the network's outputs are not finite.
    """
    started = time.perf_counter()
    experiment, system = plan.experiment, plan.experiment.system
    prepare_backend(experiment.runtime.threads_per_worker)
    fold = fold_of(plan, job)
    seed = job.seed(experiment.seed)
    inference = {**plan.inference, "target": job.target, "class_names": list(fold.unit.class_names)}
    compiled = compiled_model(experiment, fold.shapes, len(fold.unit.class_names), inference)
    compiled.reset(seed)
    model = compiled.model
    system.fit_statistics(model, fold.unit.arrays, fold.train)
    validation = fold.batches(fold.validation)
    if PROTOCOLS[job.protocol].epoch_chosen_by == "test_fold":
        # What is flagged: the epoch with the best accuracy on the windows that are then reported.
        validation_data = None
        truth = fold.labels[fold.validation]
        score = lambda logs: float((predict(model, validation).argmax(axis=1) == truth).mean())  # noqa: E731
    else:
        validation_data = validation.as_dataset()
        score = lambda logs: -logs["val_loss"]  # noqa: E731
    best = _restore_best(score, experiment.training.restore_best)
    training_batches = fold.batches(fold.train, shuffle_seed=seed)
    model.fit(
        training_batches.as_dataset(),
        steps_per_epoch=len(training_batches),
        epochs=experiment.training.epochs,
        validation_data=validation_data,
        callbacks=[best],
        shuffle=False,  # the batches come shuffled, by a seed
        verbose=0,
    )
    probabilities = predict(model, fold.batches(fold.test))
    if not np.isfinite(probabilities).all():
        raise InputError(f"{job.name}: the network's outputs are not finite; use a smaller --training.learning-rate")
    if plan.model_folder is not None and job.repetition == plan.n_repetitions(job.protocol) - 1:
        _save(model, plan.model_folder / f"{job.name}.keras")
    record = _record(job, fold, probabilities)
    record["best_epoch"] = best.best_epoch
    record["seconds"] = time.perf_counter() - started
    record["diagnostics"] = system.diagnostics(model, fold.unit.arrays, fold.test)
    return record


def predict(model, batches: WindowBatches) -> np.ndarray:
    """`(windows, n_classes)` float64 probabilities of the windows of `batches`, in their order."""
    import keras

    probabilities = []
    for indices in batches.order(0):
        inputs, _, _ = batches.gather(indices)
        probabilities.append(keras.ops.convert_to_numpy(model.window_probabilities(model.predict_on_batch(inputs))))
    return np.concatenate(probabilities)[: len(batches.rows)].astype(np.float64)


def seconds_per_step(plan: Plan, job: Job, n_steps: int = 5) -> tuple[float, float]:
    """Measured seconds of a training step and of a test step of a job, as a worker would take for it."""
    prepare_backend(plan.experiment.runtime.threads_per_worker)
    fold = fold_of(plan, job)
    inference = {**plan.inference, "target": job.target, "class_names": list(fold.unit.class_names)}
    model = compiled_model(plan.experiment, fold.shapes, len(fold.unit.class_names), inference).model
    inputs, targets, weights = fold.batches(fold.train).gather(fold.batches(fold.train).order(0)[0])
    times = {model.train_on_batch: [], model.test_on_batch: []}
    for step, measured in times.items():
        for _ in range(n_steps + 1):
            started = time.perf_counter()
            step(inputs, targets, weights)
            measured.append(time.perf_counter() - started)
    # The first step of each kind is compilation.
    train, test = (float(np.median(measured[1:])) for measured in times.values())
    return train, test


def _save(model, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{os.getpid()}-{path.name}")
    model.save(temporary)
    os.replace(temporary, path)


def _record(job: Job, fold: Fold, probabilities: np.ndarray) -> dict[str, Any]:
    labels, table = fold.labels[fold.test], fold.unit.table.iloc[fold.test]
    predictions = probabilities.argmax(axis=1)
    training_counts = np.bincount(fold.labels[fold.train], minlength=probabilities.shape[1])
    by_subject = {}
    for subject, rows in table.reset_index(drop=True).groupby("subject").indices.items():
        by_subject[str(subject)] = classification_metrics(labels[rows], predictions[rows], probabilities[rows])
    columns = table[["subject", "trial", "stimulus", "start_seconds", "stop_seconds"]].to_dict("list")
    columns |= {"label": labels.tolist(), "prediction": predictions.tolist()}
    for index, name in enumerate(fold.unit.class_names):
        columns[f"probability_{name}"] = probabilities[:, index].tolist()
    return {
        "job": dataclasses.asdict(job),
        "metrics": by_subject,
        "training_majority": int(training_counts.argmax()),
        "n_training_windows": len(fold.train),
        "n_validation_windows": len(fold.validation),
        "predictions": columns,
    }
