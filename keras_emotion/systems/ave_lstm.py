"""AVE-LSTM: an LSTM for each of picture, sound and EEG, a comparison method of MERCL (Lee et al., 2024)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from pydantic import Field, field_validator
from typing_extensions import override

from keras_emotion.pipelines import MediaMFCC, ModelInput, SlidingBandPowers, feature_covariance
from keras_emotion.systems.base import NetworkSystem, fit_scaling_layers
from keras_emotion.systems.experiment import Experiment
from keras_emotion.systems.registry import register_system
from keras_emotion.systems.settings import Training
from keras_emotion.systems.stimulus_blocks import StimulusBlocks
from keras_emotion.systems.vgg19_frames import VGG19Frames

if TYPE_CHECKING:
    import keras

# Outputs with a loss.
_OUTPUTS = ("visual_probabilities", "audio_probabilities", "eeg_probabilities")


@register_system
class AVELSTM(StimulusBlocks, NetworkSystem):
    """LSTMs on cepstra of the sound, VGG19 features of the picture and principal components of the EEG [1].

    Their probabilities are averaged (`AVELSTMNetwork`). Scaling and principal components are fitted on the training
    rows and are part of the saved network.

    **Deviations**: see `AVELSTMNetwork`. Bootstrapping is off by default; it applies to training batches only.

    Args:
        window_seconds: length of a block in seconds, of all features.
        hop_seconds: time between consecutive block starts in seconds; `None`: no overlap.
        lag_seconds: delay of the EEG of a block relative to the stimulus in seconds.
        picture: features of the frames by VGG19.
        sound: mel-frequency cepstral coefficients.
        eeg: log-powers, step by step; the paper does not state the input of the principal components.
        units: units of each LSTM; not stated in the paper.
        n_components: number of principal components of the EEG; all if there are fewer; not stated in the paper.
        n_bootstrap: rows of the same class of a training batch whose mean replaces the EEG of a row; 0: no
            bootstrapping.

    References:
        [1] Chen, Ro and Zhu (2022). Emotion recognition with audio, video, EEG, and EMG: a dataset and baseline
        approaches. IEEE Access 10, 13229-13242. Reference [82] of Lee, Kim and Kim (2024), section 4.3.
    """

    reads: ClassVar[tuple[str, ...]] = ("picture", "sound", "eeg")

    picture: VGG19Frames = Field(default_factory=VGG19Frames)
    sound: MediaMFCC = MediaMFCC()
    eeg: SlidingBandPowers = Field(default_factory=SlidingBandPowers)
    units: Annotated[int, Field(ge=1)] = 128
    n_components: Annotated[int, Field(ge=1)] = 32
    n_bootstrap: Annotated[int, Field(ge=0)] = 0

    @field_validator("eeg")
    @classmethod
    def _powers(cls, eeg):
        if eeg.eeg_input != "powers":
            raise ValueError("eeg.eeg_input: 'raw'; expected 'powers'")
        return eeg

    @property
    def paper_variant(self) -> str | None:
        """See `System`; the row of Tables 3 to 6."""
        return "AVE-LSTM"

    @override
    def model(self, shapes: Mapping[str, tuple[int, ...]], n_classes: int, inference: Mapping[str, Any]) -> keras.Model:
        from keras_emotion.models import AVELSTMNetwork

        model = AVELSTMNetwork(
            visual_shape=shapes["picture"],
            audio_shape=shapes["mfcc"],
            eeg_shape=shapes["eeg"],
            n_classes=n_classes,
            units=self.units,
            n_components=min(self.n_components, math.prod(shapes["eeg"][1:])),
            inference=inference,
        )
        model.bootstrap_eeg(self.n_bootstrap)
        return model

    def losses(self) -> dict[str, Any]:
        """See `NetworkSystem`; one loss per modality, none for their mean."""
        return {"loss": dict.fromkeys(_OUTPUTS, "sparse_categorical_crossentropy")}

    @override
    def inputs(self, elements: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {name: one.of(elements) for name, one in self.model_inputs().items()}

    @override
    def targets(self, elements: dict[str, np.ndarray], labels: np.ndarray) -> dict[str, np.ndarray]:
        return dict.fromkeys(_OUTPUTS, labels)

    @override
    def fit_statistics(self, model: keras.Model, arrays: Mapping[str, Any], rows: np.ndarray) -> None:
        fit_scaling_layers(self, model, arrays, rows)
        model.get_layer("eeg_components").set_statistics(*feature_covariance(arrays["eeg"], rows, chunk=512))

    @override
    def model_inputs(self) -> dict[str, ModelInput]:
        return {
            "visual": ModelInput(part="picture", array="picture"),
            "audio": ModelInput(part="sound", array="mfcc"),
            "eeg": ModelInput(part="eeg", array="eeg"),
        }


class AVELSTMExperiment(Experiment):
    """An experiment with AVE-LSTM; trained as MERCL's second stage, because no settings are stated."""

    system: AVELSTM = Field(default_factory=AVELSTM)
    training: Training = Training(epochs=50, batch_size=64, learning_rate=1e-4)
