"""Face and EEG LSTMs with decision fusion (Li et al.), a comparison method of the video-EEG hierarchical LSTM."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from pydantic import Field, field_validator
from typing_extensions import override

from keras_emotion.pipelines import FaceQuantities, FeaturePart, ModelInput, SlidingBandPowers, Windowing
from keras_emotion.pipelines.features import Bands, check_band_edges
from keras_emotion.pipelines.windowing import Seconds, StepCount
from keras_emotion.systems.base import NetworkSystem, fit_scaling_layers
from keras_emotion.systems.experiment import Experiment
from keras_emotion.systems.faces_and_powers import POWER_BANDS
from keras_emotion.systems.registry import register_system
from keras_emotion.systems.settings import Training

if TYPE_CHECKING:
    import keras

_TRAINED = ("eeg", "face", "importance")
"""Outputs with a loss; their mean has none."""


@register_system
class FaceEEGLSTMSystem(NetworkSystem):
    """LSTMs on selected EEG powers and on face quantities, with decision fusion [1].

    See `FaceEEGLSTM`. Scaling and selection are fitted on the training rows.

    **Deviations**: see `FaceEEGLSTM`. The geometric features of [1] are unknown; here they are the 29 face quantities
    that OpenFace or the Face Landmarker computes from its landmarks: position and rotation of the head, gaze, action
    units. Bands and steps are unknown, too.

    Args:
        window_seconds: length of a segment in seconds.
        hop_seconds: time between consecutive segment starts in seconds; `None`: no overlap.
        steps: number of equally long steps of a segment.
        bands: `(low_hz, high_hz)` of the log-powers of the EEG by name.
        face: quantities of the face. The system defines length, hop and steps of its windows.
        units: units of each LSTM; unknown.
        n_selected: number of selected EEG powers; all if there are fewer; unknown.

    References:
        [1] Li, Wang, Wang, Liu, Chi, Dong, Song, Gao and Song (2019). The fusion of electroencephalography and facial
        expression for continuous emotion recognition. IEEE Access 7, 155724-155736.
        [2] Wu, Zhang and Zhao (2020). Multimodal fused emotion recognition about expression-EEG interaction and
        collaboration using deep learning. IEEE Access 8. There, [1] is [21].
    """

    hint: ClassVar[str] = "the method needs face videos; dgcnn, eegnet and logistic_regression do not"

    window_seconds: Seconds = 5.0
    hop_seconds: Seconds | None = None
    steps: StepCount = 5
    bands: Bands = Field(default_factory=lambda: dict(POWER_BANDS))
    face: FaceQuantities = Field(default_factory=FaceQuantities)
    units: Annotated[int, Field(ge=1)] = 64
    n_selected: Annotated[int, Field(ge=1)] = 40

    @field_validator("bands")
    @classmethod
    def _edges_in_order(cls, bands):
        check_band_edges(bands)
        return bands

    @property
    @override
    def windowing(self) -> Windowing:
        return Windowing(
            window_seconds=self.window_seconds,
            hop_seconds=self.hop_seconds,
            steps=self.steps,
            lag_seconds=self.face.lag_seconds,
        )

    def parts(self) -> dict[str, FeaturePart]:
        """See `System`; segments are those of the EEG, and face quantities are paired with them."""
        step_seconds = self.windowing.step_seconds
        eeg = SlidingBandPowers(
            bands=self.bands,
            window_seconds=self.window_seconds,
            hop_seconds=self.hop_seconds,
            step_window_seconds=step_seconds,
            step_hop_seconds=step_seconds,
        )
        return {"eeg": eeg, "face": self.face.with_windowing(self.windowing)}

    @override
    def scientific_config(self) -> dict[str, Any]:
        fields = self.model_dump(mode="json", exclude={"face", "bands"})
        return {**fields, **{name: part.key() for name, part in self.parts().items()}}

    @property
    def paper_variant(self) -> str | None:
        """See `System`; the method as cited by [2], which has a bar in Fig. 8 and 9."""
        return "Ref [21]"

    @override
    def model(self, shapes: Mapping[str, tuple[int, ...]], n_classes: int, inference: Mapping[str, Any]) -> keras.Model:
        from keras_emotion.models import FaceEEGLSTM

        return FaceEEGLSTM(
            eeg_shape=shapes["eeg"],
            face_shape=shapes["face"],
            n_classes=n_classes,
            units=self.units,
            n_selected=self.n_selected,
            inference=inference,
        )

    def losses(self) -> dict[str, Any]:
        """See `NetworkSystem`; a loss per modality and for the selecting classifier, none for their mean."""
        return {"loss": dict.fromkeys(_TRAINED, "sparse_categorical_crossentropy")}

    @override
    def inputs(self, elements: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {name: one.of(elements) for name, one in self.model_inputs().items()}

    @override
    def targets(self, elements: dict[str, np.ndarray], labels: np.ndarray) -> dict[str, np.ndarray]:
        return dict.fromkeys(_TRAINED, labels)

    @override
    def fit_statistics(self, model: keras.Model, arrays: Mapping[str, Any], rows: np.ndarray) -> None:
        fit_scaling_layers(self, model, arrays, rows)

    @override
    def model_inputs(self) -> dict[str, ModelInput]:
        return {name: ModelInput(part=name, array=name) for name in ("eeg", "face")}


class FaceEEGLSTMExperiment(Experiment):
    """An experiment with an LSTM for each of face and EEG; the original training settings are unknown."""

    system: FaceEEGLSTMSystem = Field(default_factory=FaceEEGLSTMSystem)
    training: Training = Training(epochs=50, batch_size=32, learning_rate=1e-3)
