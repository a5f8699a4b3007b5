"""Networks of other papers as systems, to be compared with ours on the same folds."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from keras_emotion.pipelines import ConnectivityFeatures, EEGGridFeatures, FaceQuantities, FeaturePart, RawSignals
from keras_emotion.schema import InputError, Trial
from keras_emotion.systems.base import NetworkSystem, fit_scaling_layers
from keras_emotion.systems.prior_dfcn import face_quantities_for
from keras_emotion.systems.registry import register_system

if TYPE_CHECKING:
    import keras

Elements = dict[str, np.ndarray]
Shapes = Mapping[str, tuple[int, ...]]


@register_system
class ComparisonNetwork(NetworkSystem):
    """A network of another paper, by name.

    | name | network | what it reads |
    |---|---|---|
    | `dgcnn` | `DGCNN` | band powers of all windows of a trial, as features of its channels |
    | `graph_sleep_net` | `GraphSleepNet` (GSN) | band powers of the windows of a trial |
    | `dcca` | `DCCA` | these and the quantities of the face |
    | `mmreslstm` | `MMResLSTM` | these and the quantities of the face |
    | `emotion_transformer_fusion` | `EmotionTransformerFusion` (ETF) | these and the quantities of the face |
    | `eegnet` | `EEGNet` | raw EEG, window by window |
    | `crnn_4d` | `CRNN4D` (4D-CRNN) | differential entropies on the grid, slice by slice |
    | `conti_cnn` | `ContiCNN` | differential entropies on the grid, one map a window |

    The first five are what Zheng et al. (2023) compare PriorDFCN with; their sample is a trial. That of the other three
    is a window, and a trial's prediction is the vote of its windows.

    **Deviations**: what of the trials each of the first five was given, Zheng et al. do not say. They get what
    PriorDFCN gets: the same powers in the same windows, the same quantities of the face.

    Args:
        network: name of the network.
        features: band powers of the windows of a trial.
        face: the 29 quantities of the face in the same windows.
        raw: windows of raw EEG.
        grid: differential entropies on the grid.
    """

    hint: ClassVar[str] = "networks without faces are dgcnn, graph_sleep_net, eegnet, crnn_4d and conti_cnn"

    network: Literal[
        "dgcnn",
        "graph_sleep_net",
        "dcca",
        "mmreslstm",
        "emotion_transformer_fusion",
        "eegnet",
        "crnn_4d",
        "conti_cnn",
    ]
    features: ConnectivityFeatures = Field(default_factory=ConnectivityFeatures)
    face: FaceQuantities = Field(default_factory=FaceQuantities)
    raw: RawSignals = RawSignals(channels="eeg")
    grid: EEGGridFeatures = EEGGridFeatures()

    @property
    def _known(self) -> _Network:
        return _NETWORKS[self.network]

    def scientific_config(self) -> dict[str, Any]:
        """See `System`; the features that the network does not read do not make another experiment."""
        return {"network": self.network, **{name: part.key() for name, part in self.parts().items()}}

    @property
    def paper_variant(self) -> str | None:
        """See `System`; the lines of Table 1 of Zheng et al."""
        return self._known.line

    def parts(self) -> dict[str, FeaturePart]:
        """See `System`."""
        return self._known.parts(self)

    def model(self, shapes: Shapes, n_classes: int, inference: Mapping[str, Any]) -> keras.Model:
        """See `System`."""
        from keras_emotion import models

        return self._known.build(models, shapes, {"n_classes": n_classes, "inference": inference})

    def losses(self) -> dict[str, Any]:
        """See `System`."""
        from keras_emotion import models

        return self._known.losses(models)

    def inputs(self, elements: Elements) -> Elements:
        """See `NetworkSystem`."""
        return self._known.inputs(elements)

    def targets(self, elements: Elements, labels: np.ndarray) -> Any:
        """See `NetworkSystem`."""
        return self._known.targets(labels)

    def fit_statistics(self, model: keras.Model, arrays: Mapping[str, Any], rows: np.ndarray) -> None:
        """See `NetworkSystem`."""
        fit_scaling_layers(self, model, arrays, rows)

    def inference(self, trial: Trial) -> dict[str, Any]:
        """See `System`."""
        kept = {"detector_model", "openface_folder"}
        return {
            "parts": {name: json.loads(part.model_dump_json(exclude=kept)) for name, part in self.parts().items()},
            "channel_names": list(trial.eeg.channel_names),
            "sampling_rate_hz": trial.eeg.sampling_rate_hz,
        }


@dataclasses.dataclass(frozen=True)
class _Network:
    """How a network is built and fed.

    Args:
        line: its line of the table that it is compared in.
        parts: the features that it reads, of a system.
        build: the network, of `keras_emotion.models`, the shapes of the arrays, and further arguments.
        inputs: its inputs, of the arrays of a batch.
        targets: its targets, of labels.
        losses: arguments of `compile`, of `keras_emotion.models`.
    """

    line: str | None
    parts: Callable[[ComparisonNetwork], dict[str, FeaturePart]]
    build: Callable[[Any, Shapes, dict[str, Any]], keras.Model]
    inputs: Callable[[Elements], Elements] = lambda elements: {"eeg": elements["eeg"]}
    targets: Callable[[np.ndarray], Any] = lambda labels: labels
    losses: Callable[[Any], dict[str, Any]] = lambda models: {"loss": "sparse_categorical_crossentropy"}


def _of_trials(system: ComparisonNetwork) -> dict[str, FeaturePart]:
    return {"eeg": system.features}


def _of_trials_and_faces(system: ComparisonNetwork) -> dict[str, FeaturePart]:
    return {"eeg": system.features, "face": face_quantities_for(system.face, system.features)}


def _both(elements: Elements) -> Elements:
    return {name: elements[name] for name in ("eeg", "face")}


def _sizes(shapes: Shapes) -> dict[str, int]:
    n_windows, n_channels, n_bands = shapes["eeg"]
    return {
        "n_windows": n_windows,
        "n_channels": n_channels,
        "n_bands": n_bands,
        "n_face_channels": shapes["face"][-1],
    }


def _windows_as_features(elements: Elements) -> Elements:
    # (trials, windows, channels, bands) -> (trials, channels, windows * bands)
    eeg = np.swapaxes(elements["eeg"], 1, 2)
    return {"eeg": eeg.reshape(*eeg.shape[:2], -1)}


def _dgcnn(models: Any, shapes: Shapes, more: dict[str, Any]) -> keras.Model:
    n_windows, n_channels, n_bands = shapes["eeg"]
    return models.DGCNN(n_channels=n_channels, n_features=n_windows * n_bands, **more)


def _graph_sleep_net(models: Any, shapes: Shapes, more: dict[str, Any]) -> keras.Model:
    n_windows, n_channels, n_bands = shapes["eeg"]
    return models.GraphSleepNet(n_steps=n_windows, n_channels=n_channels, n_features=n_bands, **more)


def _crnn_4d(models: Any, shapes: Shapes, more: dict[str, Any]) -> keras.Model:
    n_steps, *grid_shape, n_bands = shapes["eeg"]
    return models.CRNN4D(n_steps=n_steps, grid_shape=tuple(grid_shape), n_bands=n_bands, **more)


def _conti_cnn(models: Any, shapes: Shapes, more: dict[str, Any]) -> keras.Model:
    _, *grid_shape, n_bands = shapes["eeg"]
    return models.ContiCNN(grid_shape=tuple(grid_shape), n_bands=n_bands, **more)


def _eegnet(models: Any, shapes: Shapes, more: dict[str, Any]) -> keras.Model:
    n_samples, n_channels = shapes["bio"]
    rate = more["inference"].get("sampling_rate_hz") or 128.0
    return models.EEGNet(n_samples=n_samples, n_channels=n_channels, sampling_rate_hz=rate, **more)


_NETWORKS: dict[str, _Network] = {
    "dgcnn": _Network("DGCNN", _of_trials, _dgcnn, _windows_as_features),
    "graph_sleep_net": _Network("GSN", _of_trials, _graph_sleep_net),
    "dcca": _Network(
        "DCCA",
        _of_trials_and_faces,
        lambda models, shapes, more: models.DCCA(**_sizes(shapes), **more),
        _both,
        # The loss of the views reads no targets.
        targets=lambda labels: {"probabilities": labels, "views": labels},
        losses=lambda models: models.correlation_losses(),
    ),
    "mmreslstm": _Network(
        "MMResLSTM",
        _of_trials_and_faces,
        lambda models, shapes, more: models.MMResLSTM(**_sizes(shapes), **more),
        _both,
    ),
    "emotion_transformer_fusion": _Network(
        "ETF",
        _of_trials_and_faces,
        lambda models, shapes, more: models.EmotionTransformerFusion(**_sizes(shapes), **more),
        _both,
    ),
    "eegnet": _Network(None, lambda system: {"eeg": system.raw}, _eegnet, lambda elements: {"eeg": elements["bio"]}),
    "crnn_4d": _Network(None, lambda system: {"eeg": system.grid}, _crnn_4d),
    "conti_cnn": _Network(
        None,
        lambda system: {"eeg": system.grid.model_copy(update={"steps": 1})},
        _conti_cnn,
        lambda elements: {"eeg": elements["eeg"][:, 0]},
    ),
}


def feature_reading(class_name: str, parts: Mapping[str, Any]) -> tuple[FeaturePart, Callable[[Elements], Elements]]:
    """The features of EEG that a saved network reads, and what makes its inputs of them.

    Args:
        class_name: class of the network.
        parts: `inference["parts"]` of it.

    Raises:
        InputError: it is none of these networks.
    """
    name = next((name for name in _NETWORKS if name.replace("_", "") == class_name.lower()), None)
    if name is None:
        raise InputError(f"{class_name}: is no network that reads EEG")
    part = ComparisonNetwork(network=name).parts()["eeg"]
    return type(part)(**parts["eeg"]), _NETWORKS[name].inputs
