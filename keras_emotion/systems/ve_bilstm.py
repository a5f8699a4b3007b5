"""VE-BiLSTM: bidirectional LSTM layers on picture and EEG, which Lee, Kim and Kim (2024) compare MERCL with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from pydantic import Field, model_validator

from keras_emotion.pipelines import ModelInput, SlidingBandPowers
from keras_emotion.systems.base import NetworkSystem, fit_scaling_layers
from keras_emotion.systems.experiment import Experiment
from keras_emotion.systems.registry import register_system
from keras_emotion.systems.settings import Training
from keras_emotion.systems.stimulus_blocks import StimulusBlocks
from keras_emotion.systems.vgg19_frames import VGG19Frames

if TYPE_CHECKING:
    import keras


@register_system
class VEBiLSTM(StimulusBlocks, NetworkSystem):
    """Features of picture and EEG side by side in two bidirectional LSTM layers (`VEBiLSTMNetwork`) [1].

    **Deviations**: what Lee, Kim and Kim [2] take as features of picture and EEG is not printed, but that they have
    1024 dimensions each. Here: of each frame, two a second, the features of VGG19 as for AVE-LSTM; and the log-powers
    of five bands in the half second around the frame; each through a dense layer. The pre-training of [1] on another
    task is left out; nor does [2] name it.

    Args:
        window_seconds: length of a block in seconds, of all features.
        hop_seconds: from the start of a block to that of the next; `None`: side by side.
        lag_seconds: how much later than the stimulus the EEG of a block is cut.
        picture: features of the frames.
        eeg: log-powers, as many steps a block as there are frames.
        projection_units: dimensions of each modality.
        units: of the two bidirectional layers, in each direction.
        width_multiplier: scales `projection_units` and `units`, for reduced runs.

    References:
        [1] Ogawa, Sasaka, Maeda and Haseyama (2018). Favorite video classification based on multimodal bidirectional
        LSTM. IEEE Access 6, 61401-61409.
        [2] Lee, Kim and Kim (2024), section 4.3, where [1] is [79].
    """

    reads: ClassVar[tuple[str, ...]] = ("picture", "eeg")

    picture: VGG19Frames = Field(default_factory=VGG19Frames)
    eeg: SlidingBandPowers = Field(
        default_factory=lambda: SlidingBandPowers(step_window_seconds=0.5, step_hop_seconds=0.5)
    )
    projection_units: Annotated[int, Field(ge=1)] = 1024
    units: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]] = (1024, 256)
    width_multiplier: Annotated[float, Field(gt=0)] = 1.0

    @model_validator(mode="after")
    def _steps_fit(self):
        if self.eeg.eeg_input != "powers":
            raise ValueError("eeg.eeg_input: 'raw'; expected 'powers', a step for each frame")
        parts = self.parts()
        eeg, n_frames = parts["eeg"], parts["picture"].n_frames
        n_steps = 1 + int((eeg.window_seconds - eeg.step_window_seconds) / eeg.step_hop_seconds + 1e-6)
        if n_steps != n_frames:
            raise ValueError(
                f"eeg: {n_steps} steps a block, and {n_frames} frames; expected as many; choose "
                f"step_window_seconds and step_hop_seconds {self.window_seconds / n_frames:g}"
            )
        return self

    @property
    def paper_variant(self) -> str | None:
        """See `System`; the line of Tables 3 to 6."""
        return "VE-BiLSTM"

    def model(self, shapes: Mapping[str, tuple[int, ...]], n_classes: int, inference: Mapping[str, Any]) -> keras.Model:
        """See `NetworkSystem`."""
        from keras_emotion.models import VEBiLSTMNetwork

        projection_units, *units = (
            max(1, round(self.width_multiplier * size)) for size in (self.projection_units, *self.units)
        )
        return VEBiLSTMNetwork(
            visual_shape=shapes["picture"],
            eeg_shape=shapes["eeg"],
            n_classes=n_classes,
            projection_units=projection_units,
            units=units,
            inference=inference,
        )

    def losses(self) -> dict[str, Any]:
        """See `NetworkSystem`."""
        return {"loss": "sparse_categorical_crossentropy"}

    def inputs(self, elements: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """See `NetworkSystem`."""
        return {name: one.of(elements) for name, one in self.model_inputs().items()}

    def targets(self, elements: dict[str, np.ndarray], labels: np.ndarray) -> np.ndarray:
        """See `NetworkSystem`."""
        return labels

    def fit_statistics(self, model: keras.Model, arrays: Mapping[str, Any], rows: np.ndarray) -> None:
        """See `NetworkSystem`."""
        fit_scaling_layers(self, model, arrays, rows)

    def model_inputs(self) -> dict[str, ModelInput]:
        """See `System`."""
        return {"visual": ModelInput(part="picture", array="picture"), "eeg": ModelInput(part="eeg", array="eeg")}


class VEBiLSTMExperiment(Experiment):
    """An experiment with VE-BiLSTM; trained as MERCL's second stage is, for want of anything printed."""

    system: VEBiLSTM = Field(default_factory=VEBiLSTM)
    training: Training = Training(epochs=50, batch_size=64, learning_rate=1e-4)
