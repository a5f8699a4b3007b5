"""AVE-LSTM: an LSTM for each of picture, sound and EEG, which Lee, Kim and Kim (2024) compare MERCL with."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from pydantic import Field, field_validator

from keras_emotion.pipelines import MediaMFCC, ModelInput, SlidingBandPowers, feature_covariance
from keras_emotion.systems.base import NetworkSystem, fit_scaling_layers
from keras_emotion.systems.experiment import Experiment
from keras_emotion.systems.registry import register_system
from keras_emotion.systems.settings import Training
from keras_emotion.systems.stimulus_blocks import StimulusBlocks
from keras_emotion.systems.vgg19_frames import VGG19Frames

if TYPE_CHECKING:
    import keras

# Each of them has a loss.
_OUTPUTS = ("visual_probabilities", "audio_probabilities", "eeg_probabilities")


@register_system
class AVELSTM(StimulusBlocks, NetworkSystem):
    """Cepstra of the sound, VGG19 features of the picture and principal components of the EEG, an LSTM each [1].

    Their probabilities are averaged (`AVELSTMNetwork`). Scaling and principal components are fitted on the training
    rows and are part of the saved network.

    **Deviations**: see `AVELSTMNetwork`. Bootstrapping is off; where it is on, training batches alone are bootstrapped.

    Args:
        window_seconds: length of a block in seconds, of all features.
        hop_seconds: from the start of a block to that of the next; `None`: side by side.
        lag_seconds: how much later than the stimulus the EEG of a block is cut.
        picture: features of the frames by VGG19.
        sound: mel-frequency cepstral coefficients.
        eeg: log-powers, step by step; not printed what the principal components are of.
        units: of each LSTM; not printed.
        n_components: principal components of the EEG, all where there are fewer; not printed.
        n_bootstrap: rows of the same class of a training batch whose mean takes the place of the EEG of a row; 0: none.

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
        """See `System`; the line of Tables 3 to 6."""
        return "AVE-LSTM"

    def model(self, shapes: Mapping[str, tuple[int, ...]], n_classes: int, inference: Mapping[str, Any]) -> keras.Model:
        """See `NetworkSystem`."""
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
        """See `NetworkSystem`; of each modality, none of their mean."""
        return {"loss": dict.fromkeys(_OUTPUTS, "sparse_categorical_crossentropy")}

    def inputs(self, elements: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """See `NetworkSystem`."""
        return {name: one.of(elements) for name, one in self.model_inputs().items()}

    def targets(self, elements: dict[str, np.ndarray], labels: np.ndarray) -> dict[str, np.ndarray]:
        """See `NetworkSystem`."""
        return dict.fromkeys(_OUTPUTS, labels)

    def fit_statistics(self, model: keras.Model, arrays: Mapping[str, Any], rows: np.ndarray) -> None:
        """See `NetworkSystem`."""
        fit_scaling_layers(self, model, arrays, rows)
        model.get_layer("eeg_components").set_statistics(*feature_covariance(arrays["eeg"], rows, chunk=512))

    def model_inputs(self) -> dict[str, ModelInput]:
        """See `System`."""
        return {
            "visual": ModelInput(part="picture", array="picture"),
            "audio": ModelInput(part="sound", array="mfcc"),
            "eeg": ModelInput(part="eeg", array="eeg"),
        }


class AVELSTMExperiment(Experiment):
    """An experiment with AVE-LSTM; trained as MERCL's second stage is, for want of anything printed."""

    system: AVELSTM = Field(default_factory=AVELSTM)
    training: Training = Training(epochs=50, batch_size=64, learning_rate=1e-4)
