"""What a paper brings along, and the runner knows nothing of: features, network, loss."""

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
"""Version of the block that `System.inference` gives; that of version 0.1.0, without this number, was the first."""

Transform = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""What fitted parameters make of the arrays."""


class DerivedPart(Protocol):
    """Features computed from other features by a trained network; stored like these, once for each network."""

    replaces: str
    """Name of the part that they are computed from, and that nothing needs afterwards."""

    def key(self) -> dict[str, Any]:
        """JSON-able parameters, code version and content of the network."""

    def extract(self, stored: StoredFeatures) -> Features:
        """Arrays by modality and window table. An array `<name>@<target>` is for that target, there called `<name>`."""


class System(BaseModel, abc.ABC):
    """A paper's features, network and loss, as a frozen value.

    `NetworkSystem` is one with a Keras network, `EstimatorSystem` one with a scikit-learn estimator. The runner calls
    the methods in this order: `parts`, `derived` and `join` once a subject, then for each fold `fit_arrays` and those
    of the kind of system.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    hint: ClassVar[str] = ""
    """How to do without a modality that the data lack, for the user who is told so."""
    worded_fields: ClassVar[tuple[str, ...]] = ()
    """Fields (dotted names) of which `unlike_the_paper` says what a change means."""

    @classmethod
    def of_record(cls, fields: Mapping[str, Any]) -> Self:
        """The system that the fields in a run's files describe; those of earlier versions may lack some."""
        return cls(**fields)

    def scientific_config(self) -> dict[str, Any]:
        """JSON-able fields that decide the numbers; paths are replaced by what lies there."""
        return self.model_dump(mode="json")

    def unlike_the_paper(self) -> tuple[str, ...]:
        """What this system differs in from the paper although it may be a default, a line each.

        Such as weights that are not distributed, or a reading that was chosen against the print. Fields of which these
        lines speak are `worded_fields`.
        """
        return ()

    @property
    def paper_variant(self) -> str | None:
        """The line of the paper's tables that this configuration stands for, as printed; `None` for the main one."""
        return None

    @abc.abstractmethod
    def parts(self) -> dict[str, FeaturePart]:
        """The features of each modality by name; windows are those of the first, the others are paired with them."""

    @property
    def windowing(self) -> Windowing:
        """The windows of all parts: by default those of the leading part, the first of `parts`.

        A system that cuts its other parts by it (`FeaturePart.with_windowing`) overrides it, for `parts` is not there
        yet then.
        """
        return next(iter(self.parts().values())).windowing

    @property
    def sources(self) -> tuple[str, ...]:
        """What the parts read of a trial, sorted."""
        return tuple(sorted({source for part in self.parts().values() for source in part.sources}))

    def flags(self, trial: Trial) -> tuple[str, ...]:
        """What a reader has to know of the features before believing a number.

        Args:
            trial: a trial of the data.
        """
        return tuple(dict.fromkeys(flag for part in self.parts().values() for flag in part.flags(trial)))

    def with_released_features(self) -> System:
        """The system that reads the features which the authors of the dataset distribute, in place of its own.

        Raises:
            InputError: the model cannot read them.
        """
        raise InputError(
            f"{type(self).__name__} cannot read features that a dataset distributes; leave out --features official"
        )

    def derived(self) -> dict[str, DerivedPart]:
        """Features that a trained network makes of some of the parts."""
        return {}

    def candidates(self) -> dict[str, System]:
        """Systems by name among which each fold chooses on its validation windows.

        This one alone, under an empty name, where nothing is searched. A name is part of a file name.
        """
        return {"": self}

    def join(self, stored: StoredFeatures) -> tuple[StoredFeatures, pd.DataFrame]:
        """Add what does not come from the recordings.

        Returns:
            The features to train on, and what was dropped, as `keras_emotion.pipelines.pair_windows` gives it.
        """
        return stored, pd.DataFrame(columns=list(DROPPED_COLUMNS))

    def fit_arrays(self, arrays: Mapping[str, Any], rows: np.ndarray) -> Transform:
        """Fit what changes the arrays themselves, and give the change: `arrays -> arrays`.

        Fitting sees the training windows at `rows` alone: reading another one raises `OutsideTrainingPart`. (Under a
        protocol that fits on all rows, and is flagged for it, `rows` are all.)
        """
        return lambda arrays: arrays

    def vectors(self, arrays: Mapping[str, Any]) -> np.ndarray:
        """`(windows, features)` float32: each window as one vector, for models that are not networks.

        By default all arrays: numbers averaged over the steps, pictures as 8 x 8 grey values
        averaged over the steps.
        """
        names = sorted(name for name in arrays if name != "teacher_features")
        return np.concatenate([_vectors_of(arrays[name]) for name in names], axis=1)

    def source_files(self) -> tuple[Path, ...]:
        """Files besides the recordings that decide the numbers; they enter the data fingerprint."""
        return ()

    def model_inputs(self) -> dict[str, ModelInput]:
        """Where the inputs of the network come from, by their names; a saved model is applied by them.

        They must give what `inputs` gives. Without any, the default, saved models cannot be applied.
        """
        return {}

    def inference(self, trial: Trial) -> dict[str, Any]:
        """What a saved model must know to be applied; the run adds what it knows of the data and the classes.

        Args:
            trial: a trial of the training data; its channels and sampling rate are those of all.

        Returns:
            JSON-able block (`keras_emotion.inference.schema.InferenceBlock`): `parts`, the feature parts that the
            inputs come from; `inputs`; and of what is recorded `channel_names` and `sampling_rate_hz`.
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

    `model` is called once for each architecture and shape, then for each fold and stage `fit_statistics`, `inputs`,
    `targets`, and `diagnostics` at the end.
    """

    @abc.abstractmethod
    def model(self, shapes: Mapping[str, tuple[int, ...]], n_classes: int, inference: Mapping[str, Any]) -> keras.Model:
        """A new, uncompiled model for windows of the given shapes (by modality, without the batch axis)."""

    @abc.abstractmethod
    def losses(self) -> dict[str, Any]:
        """Arguments of `compile` that say what is minimised: `loss` and `loss_weights`."""

    @abc.abstractmethod
    def inputs(self, elements: dict[str, np.ndarray]) -> Any:
        """Inputs of the model from the arrays of a batch; no label is known here, nor is there any in prediction."""

    @abc.abstractmethod
    def targets(self, elements: dict[str, np.ndarray], labels: np.ndarray) -> Any:
        """Targets of the model for a batch.

        Labels are `(batch,)`, or `(batch, steps)` where the data have a rating for each step.
        """

    def stages(self) -> tuple[Stage, ...]:
        """The trainings of a fold, in order; the last one is that of this system. One by default."""
        return (Stage(system=self),)

    def vectors(self, arrays: Mapping[str, Any]) -> np.ndarray:
        """See `System`; without the arrays that an earlier stage uses up, which this network never sees."""
        used_up = {name for stage in self.stages() for name in stage.uses_up}
        return super().vectors({name: array for name, array in arrays.items() if name not in used_up})

    def fit_statistics(self, model: keras.Model, arrays: Mapping[str, Any], rows: np.ndarray) -> None:
        """Fit what is fitted without gradients (scalers) on the training windows at `rows`, and on no others."""

    def members(self) -> dict[str, NetworkSystem]:
        """Systems by name that are trained apart, each on its own parts, and combined by `combine`; none by default."""
        return {}

    @property
    def members_keep_last_epoch(self) -> bool:
        """Whether the weights of a member are those of its last epoch, whatever the protocol chooses the epoch by."""
        return False

    def combine(
        self, known: Mapping[str, np.ndarray], labels: np.ndarray, asked: Mapping[str, np.ndarray]
    ) -> tuple[np.ndarray, dict[str, float]]:
        """What the members say together.

        Args:
            known: `(training windows, n_classes)` probabilities of each member.
            labels: `(training windows,)` classes.
            asked: `(windows, n_classes)` probabilities of each member for the windows asked about.

        Returns:
            `(windows, n_classes)` probabilities, and quantities worth recording.
        """
        raise NotImplementedError(f"{type(self).__name__} has no members")

    def member_probabilities(self, model: keras.Model, batches: WindowBatches) -> np.ndarray | None:
        """`(windows, n_classes)` probabilities of a member; `None` takes what its network says in inference."""
        return None

    def diagnostics(self, model: keras.Model, arrays: Mapping[str, Any], rows: np.ndarray) -> dict[str, float]:
        """Quantities of the trained model worth a figure, over the windows at `rows`; recorded as metrics.

        `rows` are the test windows; of the system of a stage that is not the last one the training windows, and the
        metrics begin with the name of the stage.
        """
        return {}

    @property
    def diagnosed_outputs(self) -> tuple[str, ...]:
        """Outputs of the network by name that `output_diagnostics` reads; `"output"` is the only one without a name."""
        return ()

    def output_diagnostics(self, outputs: Mapping[str, np.ndarray]) -> dict[str, float]:
        """Quantities that follow from what the network gives for the test windows, recorded as metrics.

        Args:
            outputs: `(windows, ...)` by name, those of `diagnosed_outputs`, of the pass that gave the predictions.
        """
        return {}


class EstimatorSystem(System):
    """A system with a scikit-learn estimator on `vectors`: one fit a fold, nothing to choose an epoch of."""

    @property
    def fits_arrays(self) -> bool:
        """Whether the arrays differ from fold to fold, and with them the vectors."""
        return type(self).fit_arrays is not System.fit_arrays

    @abc.abstractmethod
    def estimator(self, seed: int) -> sklearn.base.ClassifierMixin:
        """A new estimator with `fit` and `predict_proba`; scaling is part of it, so that training rows alone fit it."""


def path_contents(value: Any) -> dict[str, str | None]:
    """Hash of the content behind every path in a configuration, by dotted field name.

    A path says where something lies, and not what: whatever is kept in a process for a system is kept under these too.

    Args:
        value: a pydantic model, or what one holds.
    """
    return {name: path_hash(path) for name, path in configured_paths(value).items()}


def configured_paths(value: Any, name: str = "") -> dict[str, Path]:
    """Every path in a configuration, by dotted field name.

    Args:
        value: a pydantic model, or what one holds.
        name: its own dotted name.
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
        system: what arranges the arrays as inputs.
        model: a network whose `feature_scaling` is the `FeatureScaling` of its input `"eeg"`, or one by input.
        arrays: `(windows, ...)` by name; read chunk by chunk.
        rows: the training windows.
    """
    layers = getattr(model, "feature_scaling", None) or {}
    for name, layer in (layers if isinstance(layers, Mapping) else {"eeg": layers}).items():
        inputs = _Inputs(system, arrays, name, len(layer.axes))
        layer.set_statistics(*feature_statistics(inputs, rows, chunk=512))


class _Inputs:
    """One input of a network as an array `(windows, steps, ...)`; its last axes have statistics of their own."""

    def __init__(self, system: NetworkSystem, arrays: Mapping[str, Any], name: str, n_axes: int):
        self._system, self._arrays, self._name, self._n_axes = system, arrays, name, n_axes

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        elements = {name: np.asarray(array[rows]) for name, array in self._arrays.items()}
        values = self._system.inputs(elements)[self._name]
        return np.asarray(values.reshape(len(rows), -1, *values.shape[-self._n_axes :]))


def _vectors_of(array: Any, block: int = 1024, side: int = 8) -> np.ndarray:
    """`(windows, features)` of a `(windows, steps, ...)` array, read block by block."""
    vectors = []
    for first in range(0, len(array), block):
        values = np.asarray(array[np.arange(first, min(first + block, len(array)))])
        if values.dtype == np.uint8:
            # Pictures `(windows, steps, rows, columns, colours)`: blocks of pixels averaged, no colours.
            rows, columns = (size // side * side for size in values.shape[2:4])
            grey = values[:, :, :rows, :columns].mean(axis=-1, dtype=np.float32)
            values = grey.reshape(*grey.shape[:2], side, rows // side, side, columns // side).mean(axis=(3, 5))
        if values.ndim > 2:
            values = values.mean(axis=1, dtype=np.float64)
        vectors.append(values.reshape(len(values), -1).astype(np.float32))
    return np.concatenate(vectors)
