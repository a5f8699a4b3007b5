"""Base classes of systems: the features, network and loss of a paper, as the runner uses them."""

from __future__ import annotations

import abc
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict

from keras_emotion.pipelines import (
    FeaturePart,
    Features,
    ModelInput,
    StoredFeatures,
    WindowBatches,
    Windowing,
    feature_statistics,
    path_hash,
)
from keras_emotion.pipelines.pairing import DROPPED_COLUMNS
from keras_emotion.schema import InputError, Trial
from keras_emotion.systems.stages import Stage

if TYPE_CHECKING:
    import keras
    import sklearn.base

BLOCK_FORMAT = 2
"""Version of the block that `System.inference` returns; version 0.1.0, without this number, was the first."""

Transform = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""Transformation of the arrays with fitted parameters."""


class DerivedPart(Protocol):
    """Features that a trained network computes from other features; stored like these, once per network."""

    replaces: str
    """Name of the part that they are computed from, which is not needed afterwards."""

    def key(self) -> dict[str, Any]:
        """Return JSON-able parameters, code version and content hash of the network."""

    def extract(self, stored: StoredFeatures) -> Features:
        """Return arrays by modality and window table. An array `<name>@<target>` becomes `<name>` for that target."""


class System(BaseModel, abc.ABC):
    """Immutable description of a paper's features, network and loss.

    `NetworkSystem` has a Keras network, `EstimatorSystem` a scikit-learn estimator. The runner calls the methods in
    this order: `parts`, `derived` and `join` once per subject, then for each fold `fit_arrays` and those of the kind of
    system.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    hint: ClassVar[str] = ""
    """Advice for a user whose data lack a modality: how to do without it."""
    worded_fields: ClassVar[tuple[str, ...]] = ()
    """Fields (dotted names) whose changes `unlike_the_paper` describes."""

    @classmethod
    def of_record(cls, fields: Mapping[str, Any]) -> Self:
        """Create the system from the fields in a run's files; those of earlier versions may lack some."""
        return cls(**fields)

    def scientific_config(self) -> dict[str, Any]:
        """Return JSON-able fields that determine the results; paths are replaced by content hashes."""
        return self.model_dump(mode="json")

    def unlike_the_paper(self) -> tuple[str, ...]:
        """List differences from the paper that may be defaults, one line each.

        Examples: weights that are not distributed, or a reading that deviates from the printed text. Fields described
        by these lines are in `worded_fields`.
        """
        return ()

    @property
    def paper_variant(self) -> str | None:
        """Row of the paper's tables that corresponds to this configuration, as printed; `None` for the main one."""
        return None

    @abc.abstractmethod
    def parts(self) -> dict[str, FeaturePart]:
        """Return the feature parts by name; the windows are those of the first, the others are paired with them."""

    @property
    def windowing(self) -> Windowing:
        """Return the windowing of all parts: by default that of the leading part, the first of `parts`.

        Override it in a system that applies it to its other parts (`FeaturePart.with_windowing`), because `parts` is
        not available yet then.
        """
        return next(iter(self.parts().values())).windowing

    @property
    def sources(self) -> tuple[str, ...]:
        """Sources of a trial that the parts read, sorted."""
        return tuple(sorted({source for part in self.parts().values() for source in part.sources}))

    def flags(self, trial: Trial) -> tuple[str, ...]:
        """Return warnings about the features that must accompany each number.

        Args:
            trial: a trial of the data.
        """
        return tuple(dict.fromkeys(flag for part in self.parts().values() for flag in part.flags(trial)))

    def with_released_features(self) -> System:
        """Return the system that reads the features distributed with the dataset, in place of its own.

        Raises:
            InputError: the model cannot read them.
        """
        raise InputError(
            f"{type(self).__name__} cannot read features that a dataset distributes; leave out --features official"
        )

    def derived(self) -> dict[str, DerivedPart]:
        """Return the features that a trained network computes from some of the parts."""
        return {}

    def candidates(self) -> dict[str, System]:
        """Return the systems by name from which each fold chooses on its validation windows.

        Only this one, under an empty name, if nothing is searched. A name is part of a file name.
        """
        return {"": self}

    def join(self, stored: StoredFeatures) -> tuple[StoredFeatures, pd.DataFrame]:
        """Add data that do not come from the recordings.

        Returns:
            The features to train on, and the dropped windows, as from `keras_emotion.pipelines.pair_windows`.
        """
        return stored, pd.DataFrame(columns=list(DROPPED_COLUMNS))

    def fit_arrays(self, arrays: Mapping[str, Any], rows: np.ndarray) -> Transform:
        """Fit the transformation of the arrays, and return it: `arrays -> arrays`.

        Fitting may read only the training windows at `rows`: reading another one raises `OutsideTrainingPart`. (Under a
        protocol that fits on all rows, and is flagged for it, `rows` are all rows.)
        """
        return lambda arrays: arrays

    def vectors(self, arrays: Mapping[str, Any]) -> np.ndarray:
        """Return `(windows, features)` float32: each window as one vector, for models that are not networks.

        Default: all arrays, with numbers averaged over the steps, and pictures as 8 x 8 grey values averaged over the
        steps.
        """
        names = sorted(name for name in arrays if name != "teacher_features")
        return np.concatenate([_vectors_of(arrays[name]) for name in names], axis=1)

    def source_files(self) -> tuple[Path, ...]:
        """Return files other than the recordings that determine the results; they enter the data fingerprint."""
        return ()

    def model_inputs(self) -> dict[str, ModelInput]:
        """Return the sources of the network's inputs by name, from which a saved model is applied.

        They must equal the result of `inputs`. By default there are none, and saved models cannot be applied.
        """
        return {}

    def inference(self, trial: Trial) -> dict[str, Any]:
        """Return the metadata that a saved model needs for inference; the run adds those of data and classes.

        Args:
            trial: a trial of the training data; all trials have its channels and sampling rate.

        Returns:
            JSON-able block (`keras_emotion.inference.schema.InferenceBlock`): `parts`, the feature parts of the inputs;
            `inputs`; and, for recordings, `channel_names` and `sampling_rate_hz`.
        """
        inputs = self.model_inputs()
        if not inputs:
            return {}
        used = {one.part for one in inputs.values()}
        parts = {name: part for name, part in self.parts().items() if name in used}
        block = {
            "format": BLOCK_FORMAT,
            "parts": {name: part.description() for name, part in parts.items()},
            "inputs": {name: one.model_dump() for name, one in inputs.items()},
        }
        for part in parts.values():
            if part.sources[0] == "recording":
                recording = part.select_channels(trial)
                block["channel_names"] = list(recording.channel_names)
                block["sampling_rate_hz"] = recording.sampling_rate_hz
        return block


class NetworkSystem(System):
    """A system with a Keras network.

    `model` is called once for each architecture and shape; then, for each fold and stage, `fit_statistics`, `inputs`,
    `targets`, and finally `diagnostics`.
    """

    @abc.abstractmethod
    def model(self, shapes: Mapping[str, tuple[int, ...]], n_classes: int, inference: Mapping[str, Any]) -> keras.Model:
        """Create an uncompiled model for windows of the given shapes (by modality, without the batch axis)."""

    @abc.abstractmethod
    def losses(self) -> dict[str, Any]:
        """Return the arguments of `compile` that define the objective: `loss` and `loss_weights`."""

    @abc.abstractmethod
    def inputs(self, elements: dict[str, np.ndarray]) -> Any:
        """Return the model's inputs from the arrays of a batch, without labels, as in prediction."""

    @abc.abstractmethod
    def targets(self, elements: dict[str, np.ndarray], labels: np.ndarray) -> Any:
        """Return the model's targets for a batch.

        Labels are `(batch,)`, or `(batch, steps)` if the data have a rating for each step.
        """

    def stages(self) -> tuple[Stage, ...]:
        """Return the trainings of a fold, in order; the last one is that of this system. One by default."""
        return (Stage(system=self),)

    def vectors(self, arrays: Mapping[str, Any]) -> np.ndarray:
        """See `System`; without the arrays that an earlier stage uses up, which this network does not read."""
        used_up = {name for stage in self.stages() for name in stage.uses_up}
        return super().vectors({name: array for name, array in arrays.items() if name not in used_up})

    def fit_statistics(self, model: keras.Model, arrays: Mapping[str, Any], rows: np.ndarray) -> None:
        """Fit everything that has no gradient (scalers) on the training windows at `rows` only."""

    def members(self) -> dict[str, NetworkSystem]:
        """Return separately trained systems by name, each with its own parts, for `combine`; none by default."""
        return {}

    @property
    def members_keep_last_epoch(self) -> bool:
        """Whether members keep the weights of their last epoch, regardless of the protocol's choice of the epoch."""
        return False

    def combine(
        self, known: Mapping[str, np.ndarray], labels: np.ndarray, asked: Mapping[str, np.ndarray]
    ) -> tuple[np.ndarray, dict[str, float]]:
        """Combine the members' predictions.

        Args:
            known: `(training windows, n_classes)` probabilities of each member.
            labels: `(training windows,)` classes.
            asked: `(windows, n_classes)` probabilities of each member for the windows to predict.

        Returns:
            `(windows, n_classes)` probabilities, and quantities to record.
        """
        raise NotImplementedError(f"{type(self).__name__} has no members")

    def member_probabilities(self, model: keras.Model, batches: WindowBatches) -> np.ndarray | None:
        """Return `(windows, n_classes)` probabilities of a member; `None` uses its network's output in inference."""
        return None

    def diagnostics(self, model: keras.Model, arrays: Mapping[str, Any], rows: np.ndarray) -> dict[str, float]:
        """Return quantities of the trained model for figures, over the windows at `rows`; recorded as metrics.

        `rows` are the test windows; for the system of a stage before the last they are the training windows, and the
        metrics' names begin with the name of the stage.
        """
        return {}

    @property
    def diagnosed_outputs(self) -> tuple[str, ...]:
        """Names of the network's outputs that `output_diagnostics` reads; `"output"` for a single, unnamed one."""
        return ()

    def output_diagnostics(self, outputs: Mapping[str, np.ndarray]) -> dict[str, float]:
        """Return quantities computed from the network's outputs for the test windows, recorded as metrics.

        Args:
            outputs: `(windows, ...)` by name, those of `diagnosed_outputs`, from the pass that gave the predictions.
        """
        return {}


class EstimatorSystem(System):
    """A system with a scikit-learn estimator on `vectors`: one fit per fold, without epochs."""

    @property
    def fits_arrays(self) -> bool:
        """Whether the arrays, and with them the vectors, differ between folds."""
        return type(self).fit_arrays is not System.fit_arrays

    @abc.abstractmethod
    def estimator(self, seed: int) -> sklearn.base.ClassifierMixin:
        """Create an estimator with `fit` and `predict_proba`; it includes scaling, fitted on training rows only."""


def path_contents(value: Any) -> dict[str, str | None]:
    """Hash the content of every path in a configuration, by dotted field name.

    A path is only a location: caches of a process for a system are keyed by these hashes, too.

    Args:
        value: a pydantic model, or one of its values.
    """
    return {name: path_hash(path) for name, path in configured_paths(value).items()}


def configured_paths(value: Any, name: str = "") -> dict[str, Path]:
    """Return every path in a configuration, by dotted field name.

    Args:
        value: a pydantic model, or one of its values.
        name: the value's own dotted name.
    """
    if isinstance(value, Path):
        return {name: value}
    inner: Mapping[Any, Any]
    if isinstance(value, BaseModel):
        inner = {field: getattr(value, field) for field in type(value).model_fields}
    elif isinstance(value, Mapping):
        inner = value
    elif isinstance(value, tuple):
        inner = dict(enumerate(value))
    else:
        return {}
    return {
        place: path
        for field, one in inner.items()
        for place, path in configured_paths(one, f"{name}.{field}" if name else str(field)).items()
    }


def fit_scaling_layers(system: NetworkSystem, model: keras.Model, arrays: Mapping[str, Any], rows: np.ndarray) -> None:
    """Set the statistics of a network's scaling layers to those of its inputs for the windows at `rows`.

    Args:
        system: system that arranges the arrays as inputs.
        model: a network whose `feature_scaling` is the `FeatureScaling` of its input `"eeg"`, or one by input.
        arrays: `(windows, ...)` by name; read chunk by chunk.
        rows: the training windows.
    """
    layers = getattr(model, "feature_scaling", None) or {}
    for name, layer in (layers if isinstance(layers, Mapping) else {"eeg": layers}).items():
        inputs = _Inputs(system, arrays, name, len(layer.axes))
        layer.set_statistics(*feature_statistics(inputs, rows, chunk=512))


class _Inputs:
    """One input of a network as an array `(windows, steps, ...)`, with separate statistics for its last axes."""

    def __init__(self, system: NetworkSystem, arrays: Mapping[str, Any], name: str, n_axes: int):
        self._system, self._arrays, self._name, self._n_axes = system, arrays, name, n_axes

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        elements = {name: np.asarray(array[rows]) for name, array in self._arrays.items()}
        values = self._system.inputs(elements)[self._name]
        return np.asarray(values.reshape(len(rows), -1, *values.shape[-self._n_axes :]))


def _vectors_of(array: Any, block: int = 1024, side: int = 8) -> np.ndarray:
    """Return `(windows, features)` of a `(windows, steps, ...)` array, read block by block."""
    vectors = []
    for first in range(0, len(array), block):
        values = np.asarray(array[np.arange(first, min(first + block, len(array)))])
        if values.dtype == np.uint8:
            # Pictures `(windows, steps, rows, columns, colours)`: averaged over blocks of pixels and over colours.
            rows, columns = (size // side * side for size in values.shape[2:4])
            grey = values[:, :, :rows, :columns].mean(axis=-1, dtype=np.float32)
            values = grey.reshape(*grey.shape[:2], side, rows // side, side, columns // side).mean(axis=(3, 5))
        if values.ndim > 2:
            values = values.mean(axis=1, dtype=np.float64)
        vectors.append(values.reshape(len(values), -1).astype(np.float32))
    return np.concatenate(vectors)
