"""Networks of other papers as systems, for comparison with ours on the same folds."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator
from typing_extensions import override

from keras_emotion.pipelines import (
    ConnectivityFeatures,
    EEGChannelFeatures,
    EEGGridFeatures,
    EyeFeatures,
    FaceQuantities,
    FeaturePart,
    ModelInput,
    OfficialFeatures,
    RawSignals,
    Windowing,
)
from keras_emotion.systems.base import NetworkSystem, System, fit_scaling_layers
from keras_emotion.systems.registry import register_system

if TYPE_CHECKING:
    import keras

Elements = dict[str, np.ndarray]
Shapes = Mapping[str, tuple[int, ...]]


@register_system
class ComparisonNetwork(NetworkSystem):
    """A network of another paper, by name.

    | name | network | input |
    |---|---|---|
    | `dgcnn` | `DGCNN` | band powers of all windows of a trial, as features of its channels |
    | `graph_sleep_net` | `GraphSleepNet` (GSN) | band powers of the windows of a trial |
    | `dcca` | `DCCA` | these and the quantities of the face |
    | `mmreslstm` | `MMResLSTM` | these and the quantities of the face |
    | `emotion_transformer_fusion` | `EmotionTransformerFusion` (ETF) | these and the quantities of the face |
    | `eegnet` | `EEGNet` | raw EEG, window by window |
    | `crnn_4d` | `CRNN4D` (4D-CRNN) | differential entropies on the grid, slice by slice |
    | `conti_cnn` | `ContiCNN` | differential entropies on the grid, one map a window |
    | `cnn_lstm` | `CNNLSTM` (CNN-LSTM) | raw EEG on the grid, slice by slice |
    | `cram` | `CRAM` | raw EEG, window by window |
    | `gcn_lstm` | `GCNLSTM` (GCN-LSTM) | differential entropies of channels, slice by slice |
    | `gcnn` | `DGCNN` (GCNN) | differential entropies of channels, one slice a window |

    Zheng et al. (2023) compare PriorDFCN with the first five; their sample is a trial. The sample of the others is a
    window, and a trial's prediction is the vote of its windows. Du et al. (2024) compare 3FACRNN with the last six;
    they call DGCNN GCNN.

    **Deviations**: Zheng et al. do not state the inputs of the first five. They get those of PriorDFCN: the same powers
    in the same windows, the same quantities of the face.

    Args:
        network: name of the network.
        features: band powers of the windows of a trial.
        face: the 29 quantities of the face in the same windows.
        raw: windows of raw EEG.
        grid: differential entropies on the grid; for `cnn_lstm` raw EEG: `"raw_samples"` if its representation is that,
            otherwise `"raw_slices"`.
        entropies: differential entropies of the channels.
        width_multiplier: scales the maps, dense units and, of `cnn_lstm`, LSTM units of the networks on the grid, for
            reduced runs.

    Raises:
        ValueError: a width for a network that has none, or features that do not exist.
    """

    hint: ClassVar[str] = (
        "networks without faces are dgcnn, graph_sleep_net, eegnet, crnn_4d, conti_cnn, cnn_lstm, cram, gcn_lstm and "
        "gcnn; with --features official the others read eye movements in place of faces"
    )

    network: Literal[
        "dgcnn",
        "graph_sleep_net",
        "dcca",
        "mmreslstm",
        "emotion_transformer_fusion",
        "eegnet",
        "crnn_4d",
        "conti_cnn",
        "cnn_lstm",
        "cram",
        "gcn_lstm",
        "gcnn",
    ]
    features: ConnectivityFeatures = Field(default_factory=ConnectivityFeatures)
    face: FaceQuantities = Field(default_factory=FaceQuantities)
    raw: RawSignals = RawSignals(channels="eeg")
    grid: EEGGridFeatures = EEGGridFeatures()
    entropies: EEGChannelFeatures = EEGChannelFeatures()
    width_multiplier: Annotated[float, Field(gt=0)] = 1.0

    @model_validator(mode="after")
    def _network_can_be_made(self):
        self.parts()
        if self.width_multiplier != 1 and not self._known.has_width:
            raise ValueError(f"width_multiplier: {self.network} has one width; expected 1")
        return self

    @property
    def _known(self) -> _Network:
        return _NETWORKS[self.network]

    def scientific_config(self) -> dict[str, Any]:
        """See `System`; unused features do not change the experiment's identity."""
        width = {} if self.width_multiplier == 1 else {"width_multiplier": self.width_multiplier}
        return {"network": self.network, **{name: part.key() for name, part in self.parts().items()}, **width}

    @property
    def paper_variant(self) -> str | None:
        """See `System`; the rows of Table 1 of Zheng et al."""
        return self._known.line

    @property
    def windowing(self) -> Windowing:
        """See `System`; faces are paired with samples of the EEG, with its windows as steps."""
        if "face" in self._known.model_inputs:
            return self.features.windowing.model_copy(update={"lag_seconds": self.face.lag_seconds})
        return super().windowing

    @override
    def parts(self) -> dict[str, FeaturePart]:
        return self._known.parts(self)

    def with_released_features(self) -> System:
        """See `System`; for networks on channel features, and for those on faces, with eye movements instead."""
        network: Any = self.network
        if self._known.parts is _of_trials_and_faces:
            return EyeComparisonNetwork(network=network, features=OfficialFeatures(steps=_STEPS_WITH_EYES[network]))
        if self._known.parts is not _of_trials:
            return super().with_released_features()
        return OfficialComparisonNetwork(network=network)

    @override
    def model(self, shapes: Shapes, n_classes: int, inference: Mapping[str, Any]) -> keras.Model:
        from keras_emotion import models

        width = {"width_multiplier": self.width_multiplier} if self._known.has_width else {}
        return self._known.build(models, shapes, {"n_classes": n_classes, "inference": inference, **width})

    @override
    def losses(self) -> dict[str, Any]:
        from keras_emotion import models

        return self._known.losses(models)

    @override
    def inputs(self, elements: Elements) -> Elements:
        return self._known.inputs(elements)

    @override
    def targets(self, elements: Elements, labels: np.ndarray) -> Any:
        return self._known.targets(labels)

    @override
    def fit_statistics(self, model: keras.Model, arrays: Mapping[str, Any], rows: np.ndarray) -> None:
        fit_scaling_layers(self, model, arrays, rows)

    @override
    def model_inputs(self) -> dict[str, ModelInput]:
        return dict(self._known.model_inputs)


@register_system
class OfficialComparisonNetwork(ComparisonNetwork):
    """Network of another paper on the features distributed with a dataset; a sample is a few of the authors' windows.

    Args:
        network: name of the network.
        features: the features of the dataset.
    """

    network: Literal["dgcnn", "graph_sleep_net"]
    features: OfficialFeatures = OfficialFeatures()  # type: ignore[assignment]  # in place of the base class's own

    def with_released_features(self) -> System:
        """See `System`; returns itself."""
        return self

    def model_inputs(self) -> dict[str, ModelInput]:
        """See `System`; none, because these features cannot be computed from a new recording."""
        return {}


@register_system
class EyeComparisonNetwork(ComparisonNetwork):
    """Network of another paper on distributed features of EEG and eye movements.

    The papers of DCCA, MMResLSTM and ETF fuse EEG and eye movements, not faces. A sample is a few of the authors'
    windows, which EEG and eye movements share.

    Args:
        network: name of the network.
        features: the features of the EEG.
        eye: the features of the eye movements, in the windows of `features`.
    """

    hint: ClassVar[str] = "networks without eye movements are dgcnn and graph_sleep_net"

    network: Literal["dcca", "mmreslstm", "emotion_transformer_fusion"]
    features: OfficialFeatures = OfficialFeatures()  # type: ignore[assignment]  # in place of the base class's own
    eye: EyeFeatures = EyeFeatures()

    @property
    @override
    def windowing(self) -> Windowing:
        return self.features.windowing

    @override
    def parts(self) -> dict[str, FeaturePart]:
        return {"eeg": self.features, "eye": self.eye.with_windowing(self.windowing)}

    def with_released_features(self) -> System:
        """See `System`; returns itself."""
        return self

    @override
    def inputs(self, elements: Elements) -> Elements:
        return {name: elements[name] for name in ("eeg", "eye")}

    def model_inputs(self) -> dict[str, ModelInput]:
        """See `System`; none, because these features cannot be computed from a new recording."""
        return {}


_STEPS_WITH_EYES = {"dcca": 1, "mmreslstm": 5, "emotion_transformer_fusion": 5}
"""Windows of a sample: one, as in the papers of DCCA; five for sequence networks, our choice."""

_EEG = ModelInput(part="eeg", array="eeg")
_FACE = ModelInput(part="face", array="face")


@dataclasses.dataclass(frozen=True)
class _Network:
    """Construction and inputs of a network.

    Args:
        line: its row of the table of comparisons.
        parts: the features that it reads, of a system.
        build: the network, from `keras_emotion.models`, the shapes of the arrays, and further arguments.
        model_inputs: sources of its inputs, by name.
        targets: its targets, of labels.
        losses: arguments of `compile`, of `keras_emotion.models`.
        has_width: whether its width can be scaled.
    """

    line: str | None
    parts: Callable[[ComparisonNetwork], dict[str, FeaturePart]]
    build: Callable[[Any, Shapes, dict[str, Any]], keras.Model]
    model_inputs: Mapping[str, ModelInput] = dataclasses.field(default_factory=lambda: {"eeg": _EEG})
    targets: Callable[[np.ndarray], Any] = lambda labels: labels
    losses: Callable[[Any], dict[str, Any]] = lambda models: {"loss": "sparse_categorical_crossentropy"}
    has_width: bool = False

    def inputs(self, elements: Elements) -> Elements:
        """Return the inputs of the network from the arrays of a batch."""
        return {name: one.of(elements) for name, one in self.model_inputs.items()}


def _of_trials(system: ComparisonNetwork) -> dict[str, FeaturePart]:
    return {"eeg": system.features}


def _of_trials_and_faces(system: ComparisonNetwork) -> dict[str, FeaturePart]:
    return {"eeg": system.features, "face": system.face.with_windowing(system.windowing)}


def _sizes(shapes: Shapes) -> dict[str, Any]:
    from keras_emotion.models.window_features import KNOWN_MODALITIES

    n_windows, n_channels, n_bands = shapes["eeg"]
    return {
        "n_windows": n_windows,
        "n_channels": n_channels,
        "n_bands": n_bands,
        "modalities": tuple(name for name in KNOWN_MODALITIES if name in shapes),
        **{f"n_{name}_channels": shapes[name][-1] for name in ("face", "eye") if name in shapes},
    }


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


def _cram(models: Any, shapes: Shapes, more: dict[str, Any]) -> keras.Model:
    n_samples, n_channels = shapes["bio"]
    rate = more["inference"].get("sampling_rate_hz") or 128.0
    return models.CRAM(n_samples=n_samples, n_channels=n_channels, sampling_rate_hz=rate, **more)


def _cnn_lstm(models: Any, shapes: Shapes, more: dict[str, Any]) -> keras.Model:
    n_steps, *grid_shape, n_samples = shapes["eeg"]
    sizes = {"n_steps": n_steps, "grid_shape": tuple(grid_shape), "n_samples": n_samples}
    return models.CNNLSTM(**sizes, units=max(1, round(1024 * more["width_multiplier"])), **more)


def _gcn_lstm(models: Any, shapes: Shapes, more: dict[str, Any]) -> keras.Model:
    n_steps, n_channels, n_features = shapes["eeg"]
    return models.GCNLSTM(n_steps=n_steps, n_channels=n_channels, n_features=n_features, **more)


def _raw_on_grid(system: ComparisonNetwork) -> dict[str, FeaturePart]:
    grid = system.grid
    is_raw = grid.representation != "differential_entropy"
    return {"eeg": grid if is_raw else grid.changed(representation="raw_slices")}


def _from(array: str, transform: str = "identity") -> dict[str, ModelInput]:
    return {"eeg": ModelInput(part="eeg", array=array, transform=transform)}


_BOTH = {"eeg": _EEG, "face": _FACE}

_NETWORKS: dict[str, _Network] = {
    "dgcnn": _Network("DGCNN", _of_trials, _dgcnn, _from("eeg", "steps_as_features")),
    "graph_sleep_net": _Network("GSN", _of_trials, _graph_sleep_net),
    "dcca": _Network(
        "DCCA",
        _of_trials_and_faces,
        lambda models, shapes, more: models.DCCA(**_sizes(shapes), **more),
        _BOTH,
        # The loss of the views ignores targets.
        targets=lambda labels: {"probabilities": labels, "views": labels},
        losses=lambda models: models.correlation_losses(),
    ),
    "mmreslstm": _Network(
        "MMResLSTM",
        _of_trials_and_faces,
        lambda models, shapes, more: models.MMResLSTM(**_sizes(shapes), **more),
        _BOTH,
    ),
    "emotion_transformer_fusion": _Network(
        "ETF",
        _of_trials_and_faces,
        lambda models, shapes, more: models.EmotionTransformerFusion(**_sizes(shapes), **more),
        _BOTH,
    ),
    "eegnet": _Network(None, lambda system: {"eeg": system.raw}, _eegnet, _from("bio")),
    "crnn_4d": _Network(None, lambda system: {"eeg": system.grid}, _crnn_4d, has_width=True),
    "conti_cnn": _Network(
        None,
        lambda system: {"eeg": system.grid.model_copy(update={"steps": 1})},
        _conti_cnn,
        _from("eeg", "first_step"),
        has_width=True,
    ),
    "cnn_lstm": _Network(None, _raw_on_grid, _cnn_lstm, has_width=True),
    "cram": _Network(None, lambda system: {"eeg": system.raw}, _cram, _from("bio")),
    "gcn_lstm": _Network(None, lambda system: {"eeg": system.entropies}, _gcn_lstm),
    "gcnn": _Network(
        None,
        lambda system: {"eeg": system.entropies.model_copy(update={"steps": 1})},
        _dgcnn,
        _from("eeg", "steps_as_features"),
    ),
}
