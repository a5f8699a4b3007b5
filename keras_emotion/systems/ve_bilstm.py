"""VE-BiLSTM: bidirectional LSTMs on picture and EEG, a comparison method of MERCL (Lee et al., 2024)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from pydantic import Field, field_validator
from typing_extensions import override

from keras_emotion.pipelines import ModelInput, SlidingBandPowers
from keras_emotion.pipelines.features import Bands, check_band_edges
from keras_emotion.pipelines.sliding_band_powers import MERCL_BANDS
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
    """Bidirectional LSTMs (`VEBiLSTMNetwork`) on concatenated features of picture and EEG [1].

    **Deviations**: Lee, Kim and Kim [2] state only that the features of picture and EEG have 1024 dimensions each.
    Here: for each frame, two per second, the features of VGG19 as for AVE-LSTM, and the log-powers of five bands in the
    half second around the frame, each followed by a dense layer. The pre-training of [1] on another task is left out;
    [2] does not mention it.

    Args:
        window_seconds: length of a block in seconds, of all features.
        hop_seconds: time between consecutive block starts in seconds; `None`: no overlap.
        lag_seconds: delay of the EEG of a block relative to the stimulus in seconds.
        picture: features of the frames.
        bands: `(low_hz, high_hz)` of the log-powers of the EEG by name, in steps centred at the frames.
        projection_units: number of dimensions of each modality.
        units: units of the two bidirectional layers, in each direction.
        width_multiplier: scales `projection_units` and `units`, for reduced runs.

    References:
        [1] Ogawa, Sasaka, Maeda and Haseyama (2018). Favorite video classification based on multimodal bidirectional
        LSTM. IEEE Access 6, 61401-61409.
        [2] Lee, Kim and Kim (2024), section 4.3, where [1] is [79].
    """

    reads: ClassVar[tuple[str, ...]] = ("picture", "eeg")

    picture: VGG19Frames = Field(default_factory=VGG19Frames)
    bands: Bands = Field(default_factory=lambda: dict(MERCL_BANDS))
    projection_units: Annotated[int, Field(ge=1)] = 1024
    units: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]] = (1024, 256)
    width_multiplier: Annotated[float, Field(gt=0)] = 1.0

    @field_validator("bands")
    @classmethod
    def _edges_in_order(cls, bands):
        check_band_edges(bands)
        return bands

    @property
    def eeg(self) -> SlidingBandPowers:
        """Log-powers of the EEG, one step per frame."""
        step_seconds = 1 / self.picture.frame_rate_hz
        return SlidingBandPowers(
            window_seconds=self.window_seconds,
            bands=self.bands,
            step_window_seconds=step_seconds,
            step_hop_seconds=step_seconds,
        )

    @property
    def paper_variant(self) -> str | None:
        """See `System`; the row of Tables 3 to 6."""
        return "VE-BiLSTM"

    @override
    def model(self, shapes: Mapping[str, tuple[int, ...]], n_classes: int, inference: Mapping[str, Any]) -> keras.Model:
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

    @override
    def losses(self) -> dict[str, Any]:
        return {"loss": "sparse_categorical_crossentropy"}

    @override
    def inputs(self, elements: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {name: one.of(elements) for name, one in self.model_inputs().items()}

    @override
    def targets(self, elements: dict[str, np.ndarray], labels: np.ndarray) -> np.ndarray:
        return labels

    @override
    def fit_statistics(self, model: keras.Model, arrays: Mapping[str, Any], rows: np.ndarray) -> None:
        fit_scaling_layers(self, model, arrays, rows)

    @override
    def model_inputs(self) -> dict[str, ModelInput]:
        return {"visual": ModelInput(part="picture", array="picture"), "eeg": ModelInput(part="eeg", array="eeg")}


class VEBiLSTMExperiment(Experiment):
    """An experiment with VE-BiLSTM; trained as MERCL's second stage, because no settings are stated."""

    system: VEBiLSTM = Field(default_factory=VEBiLSTM)
    training: Training = Training(epochs=50, batch_size=64, learning_rate=1e-4)
