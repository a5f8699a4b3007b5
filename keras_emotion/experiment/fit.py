"""Fit one network to one fold, and keep the weights of its best epoch."""

from __future__ import annotations

import time
import types
from collections.abc import Callable, Generator
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from keras_emotion.experiment.compiled_model import CompiledModel, predict
from keras_emotion.experiment.fold import Fold, training_part
from keras_emotion.pipelines import WindowBatches
from keras_emotion.systems.stages import LayerWeights, Stage


def _divergence():
    import keras

    class Divergence(keras.callbacks.Callback):
        """End a training with non-finite losses, and store the reason."""

        def __init__(self):
            super().__init__()
            self.reason, self._epoch = "", 0

        def check(self, quantity: str, values) -> None:
            """Record if a quantity of this epoch is not finite."""
            if not self.reason and not np.isfinite(values).all():
                self.reason = NOT_FINITE.format(quantity, self._epoch + 1)
                self.model.stop_training = True

        def on_epoch_end(self, epoch, logs=None):
            self._epoch = epoch
            self.check(TRAINING_LOSS, [value for name, value in logs.items() if name == "loss"])
            losses = [value for name, value in logs.items() if name.startswith("val_") and name.endswith("loss")]
            self.check(VALIDATION_LOSS, losses)

    return Divergence()


def _restore_best(score: Callable[[dict[str, float]], float], when: str):
    import keras

    class RestoreBest(keras.callbacks.Callback):
        """Store the weights of the epoch with the best score and restore them, at the end or after each epoch.

        Deviation: ties go to the earlier epoch; the paper does not state this.
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


class FitRequest(NamedTuple):
    """Request to fit a network to a fold.

    Args:
        compiled: the model; it is reset first.
        fold: the windows. Without validation windows the weights of the last epoch are kept.
        seed: seed of weights and shuffling.
        stage: criterion for the epoch, sampling of batches, and initial weights.
        before: weights of the previous stage's network.
        log_folder: folder for TensorBoard logs.
    """

    compiled: CompiledModel
    fold: Fold
    seed: int
    stage: Stage
    before: LayerWeights = types.MappingProxyType({})
    log_folder: Path | None = None

    @property
    def training_batches(self) -> WindowBatches:
        """Batches of the training windows, in a different order each epoch."""
        return self.fold.batches(self.fold.train, self.seed, stratified=self.stage.sampling == "stratified")

    @property
    def validation_batches(self) -> WindowBatches:
        """Batches of the windows that choose the epoch, the same in each epoch."""
        return self.fold.batches(self.fold.validation, stratified=self.stage.sampling == "stratified")

    def start(self) -> None:
        """Reset the model to the start of training: new weights, and statistics of the training windows."""
        self.compiled.reset(self.seed)
        self.stage.take_over(self.compiled.model, self.before)
        self.fold.system.fit_statistics(self.compiled.model, training_part(self.fold), self.fold.fitted_on)


class FitResult(NamedTuple):
    """Result of a training; the model of the `FitRequest` has the weights of the best epoch.

    Args:
        best_epoch: from 1.
        score: score of the best epoch.
        diverged: the non-finite quantity and its epoch; empty if the training did not diverge.
    """

    best_epoch: int
    score: float
    diverged: str = ""


class TrainingDiverged(Exception):
    """A training loss, or the model's probabilities, are not finite."""


NOT_FINITE = "{} not finite in epoch {}"
"""Reason of divergence: the quantity, and the epoch from 1."""

TRAINING_LOSS, VALIDATION_LOSS, VALIDATION_PROBABILITIES = (
    "training loss",
    "validation loss",
    "validation probabilities",
)


Result = TypeVar("Result")

FitRequests = Generator[FitRequest, FitResult, Result]
"""Generator of fit requests: it receives the `FitResult` of each when the model has the weights of the best epoch, and
returns the trained result. The caller decides how networks are fitted, one by one or many at once."""


def run_fits(requests: FitRequests[Result], fit: Callable[[FitRequest], FitResult]) -> Result:
    """Process fit requests one after another, and return the trained result."""
    try:
        request = next(requests)
        while True:
            request = requests.send(fit(request))
    except StopIteration as ended:
        return ended.value


def fit(request: FitRequest) -> FitResult:
    """Train a compiled model on a fold, and set the weights of its best epoch.

    A training that diverges ends with the epoch in which a loss, or a probability used to choose the epoch, is not
    finite.
    """
    request.start()
    model, fold, chosen_by = request.compiled.model, request.fold, request.stage.chosen_by
    training_batches = request.training_batches
    divergence = _divergence()
    callbacks, validation_data = [], None
    if len(fold.validation) and chosen_by != "none":
        validation = request.validation_batches
        if chosen_by == "accuracy":
            truth = fold.labels[fold.validation]
            rows = fold.batches(fold.validation)

            def score(logs):
                probabilities = predict(model, rows)
                divergence.check(VALIDATION_PROBABILITIES, probabilities)
                return float((probabilities.argmax(axis=1) == truth).mean())
        else:
            validation_data = validation.as_dataset()

            def score(logs):
                return direction(chosen_by) * _logged(logs, f"val_{chosen_by}")

        callbacks = [_restore_best(score, fold.training.restore_best)]
    model.fit(
        training_batches.as_dataset(),
        steps_per_epoch=len(training_batches),
        epochs=fold.training.epochs,
        validation_data=validation_data,
        callbacks=[divergence, *callbacks, *_logs(request.log_folder)],
        shuffle=False,  # the batches are already shuffled, by a seed
        verbose=0,
    )
    if callbacks:
        return FitResult(callbacks[0].best_epoch, callbacks[0].best_score, divergence.reason)
    return FitResult(fold.training.epochs, float("nan"), divergence.reason)


def direction(chosen_by: str) -> int:
    """Return -1 for quantities whose smallest value is the best, else 1."""
    return -1 if chosen_by.endswith("loss") else 1


def _logged(logs: dict[str, float], name: str) -> float:
    if name not in logs:
        raise ValueError(f"the epoch is chosen by {name!r}, which is not logged; logged are {', '.join(sorted(logs))}")
    return logs[name]


def _logs(folder: Path | None) -> list:
    import keras

    # Without the graph, which is the same for every fold and larger than everything else.
    return [] if folder is None else [keras.callbacks.TensorBoard(folder, write_graph=False)]


def seconds_of_steps(request: FitRequest, n_steps: int) -> tuple[float, float]:
    """Measure the median seconds of a training step and of a test step."""
    model = request.compiled.model
    batches = request.fold.batches(request.fold.train)
    inputs, targets, weights = batches.gather(batches.order(0)[0])
    times = {model.train_on_batch: [], model.test_on_batch: []}
    for step, measured in times.items():
        for _ in range(n_steps + 1):
            started = time.perf_counter()
            step(inputs, targets, weights)
            measured.append(time.perf_counter() - started)
    # The first step of each kind includes compilation.
    train, test = (float(np.median(measured[1:])) for measured in times.values())
    return train, test
