"""Compiled Keras models, reused between folds, and their outputs for windows."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_emotion.experiment.fold import Fold
from keras_emotion.experiment.origin import Origin
from keras_emotion.files import TEMPORARY_PREFIX, sync_file
from keras_emotion.keras_settings import xla_pays
from keras_emotion.pipelines import WindowBatches
from keras_emotion.schema import InputError
from keras_emotion.systems.base import path_contents
from keras_emotion.systems.settings import Training
from keras_emotion.systems.stages import Stage


class CompiledModel:
    """Compiled model that can be reset to the state of a newly built one for each fold.

    Building and tracing a network takes seconds, often as long as training a small fold. Therefore the traced functions
    are reused, and `reset` copies every variable of a newly built, untraced model, and the initial state of the
    optimizer. The result equals that of a new model.

    Args:
        stage: defines the network, and which of its layers are trained.
        training: training settings.
        shapes: window shape by modality.
        n_classes: number of classes.
        inference: metadata for the saved model.
    """

    def __init__(
        self, stage: Stage, training: Training, shapes: dict[str, tuple[int, ...]], n_classes: int, inference: dict
    ):
        import keras

        def build():
            before = keras.config.dtype_policy()
            keras.config.set_dtype_policy(training.precision)
            try:
                model = stage.system.model(shapes, n_classes, inference)
                stage.freeze(model)
                return model
            except ValueError as error:
                # Errors of models name their arguments; here these follow from options and from the data.
                if isinstance(error, InputError) or not str(error).startswith("`"):
                    raise
                listed = ", ".join(f"{name} {' x '.join(map(str, shape))}" for name, shape in shapes.items())
                raise InputError(
                    f"{type(stage.system).__name__}: the network does not support windows of this shape ({listed}): "
                    f"{error}; change "
                    "the options of the system, see --help-all"
                ) from error
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
            **stage.system.losses(),
        )
        self.model.optimizer.build(self.model.trainable_variables)
        self._optimizer_state = [keras.ops.convert_to_numpy(variable) for variable in self.model.optimizer.variables]

    def reset(self, seed: int) -> None:
        """Reset weights, seeds and optimizer to those of a new model built with `seed`."""
        import keras

        keras.utils.set_random_seed(seed)
        new = self._build()
        for variable, initial in zip(self.model.variables, new.variables, strict=True):
            variable.assign(initial)
        for variable, initial in zip(self.model.optimizer.variables, self._optimizer_state, strict=True):
            variable.assign(initial)


def use_xla(training: Training) -> bool:
    """Return whether XLA compiles the training step: by default, if it pays."""
    if training.jit_compile != "auto":
        return training.jit_compile == "on"
    return xla_pays()


_COMPILED: dict[str, CompiledModel] = {}


def compiled_model(fold: Fold, inference: dict, stage: Stage | None = None) -> CompiledModel:
    """Return this process's compiled model for the architecture and shapes of a fold; created at the first call.

    Args:
        fold: the windows and the system.
        inference: metadata for the saved model.
        stage: the stage; default: the only one of the fold's system.
    """
    stage = stage or Stage(system=fold.system)
    n_classes = len(fold.unit.class_names)
    # Includes the content of files: `scientific_config` of a system with pre-trained weights contains neither their
    # path nor their content.
    system = [type(fold.system).__name__, fold.system.model_dump(mode="json"), path_contents(fold.system)]
    key = json.dumps([system, stage.key(), fold.training.model_dump(), fold.shapes, n_classes, inference])
    if key not in _COMPILED:
        _COMPILED[key] = CompiledModel(stage, fold.training, fold.shapes, n_classes, inference)
    return _COMPILED[key]


def outputs(model, batches: WindowBatches) -> dict[str, np.ndarray]:
    """Return `(windows, ...)` float32 of each output of the model by name, for the windows of `batches` in order.

    A single unnamed output is called `"output"`.
    """
    import keras

    values: dict[str, list[np.ndarray]] = {}
    for indices in batches.order(0):
        given = model.predict_on_batch(batches.gather_inputs(indices))
        for name, value in _named(given).items():
            values.setdefault(name, []).append(keras.ops.convert_to_numpy(value))
    return {name: np.concatenate(parts)[: len(batches.rows)] for name, parts in values.items()}


def _named(given: Any) -> dict[str, Any]:
    return given if isinstance(given, dict) else {"output": given}


def predict(model, batches: WindowBatches) -> np.ndarray:
    """Return `(windows, n_classes)` float64 probabilities of the windows of `batches`, in order."""
    return predict_and_keep(model, batches, ())[0]


def predict_and_keep(model, batches: WindowBatches, names: Sequence[str]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return `predict`, and from the same pass the outputs with these names (see `outputs`), `(windows, ...)`."""
    import keras

    probabilities: list[np.ndarray] = []
    kept: dict[str, list[np.ndarray]] = {name: [] for name in names}
    for indices in batches.order(0):
        given = model.predict_on_batch(batches.gather_inputs(indices))
        probabilities.append(keras.ops.convert_to_numpy(model.window_probabilities(given)))
        for name, parts in kept.items():
            parts.append(keras.ops.convert_to_numpy(_named(given)[name]))
    n_rows = len(batches.rows)
    outputs_kept = {name: np.concatenate(parts)[:n_rows] for name, parts in kept.items()}
    return np.concatenate(probabilities)[:n_rows].astype(np.float64), outputs_kept


def save_model(model, path: Path, origin: Origin) -> None:
    """Save a network with the origin of its training data, under a temporary name that is renamed when complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # The name is unique also across machines that share the disk.
    temporary = path.with_name(f"{TEMPORARY_PREFIX}{uuid.uuid4().hex}-{path.name}")
    try:
        model.save(temporary)
        origin.add_to(temporary)
        # The record of the job is synced to disk next; after a power failure it must not be there without the model.
        sync_file(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
