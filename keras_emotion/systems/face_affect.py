"""Pre-training of DeepVANet's face network (Zhang et al., 2021) on ratings of single faces."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field, field_validator
from typing_extensions import override

from keras_emotion.evaluation import LabelRule
from keras_emotion.pipelines import FaceFeatures, FeaturePart, ModelInput
from keras_emotion.systems.base import NetworkSystem
from keras_emotion.systems.experiment import Experiment
from keras_emotion.systems.settings import Training

if TYPE_CHECKING:
    import keras


class FaceAffect(NetworkSystem):
    """The convolutions of DeepVANet's face network, trained on the valence and arousal of each frame.

    A regression: it is trained by `keras_emotion.experiment.pretrain`, not by a run, which is for classification.

    Args:
        faces: extraction of faces from pictures: each frame of a clip is a window of one step.
        units: hidden units of the head.
        width_multiplier: scales the channels of the convolutions, as that of the network that uses them.
        dropout: dropout rate of the hidden units.
        rating_range: the smallest and the greatest rating of the sigmoid output of the released head, -10 and 10 for
            AFEW-VA; `None`: a linear output. The paper leaves this open.
    """

    faces: FaceFeatures = Field(default_factory=lambda: FaceFeatures(window_seconds=0.04, steps=1, image_size=64))
    units: Annotated[int, Field(ge=1)] = 1000
    width_multiplier: Annotated[float, Field(gt=0)] = 1.0
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5
    rating_range: tuple[float, float] | None = None

    @field_validator("rating_range")
    @classmethod
    def _range_increases(cls, values):
        if values is not None and not -math.inf < values[0] < values[1] < math.inf:
            raise ValueError(f"rating_range: {values[0]:g} {values[1]:g}; expected a smaller and a greater number")
        return values

    @override
    def scientific_config(self) -> dict[str, Any]:
        fields = {**self.model_dump(mode="json"), "faces": self.faces.key()}
        # Left out at the default, so that identities of earlier trainings stay the same.
        if self.rating_range is None:
            del fields["rating_range"]
        return fields

    @override
    def parts(self) -> dict[str, FeaturePart]:
        return {"faces": self.faces}

    def model(self, shapes: Mapping[str, tuple[int, ...]], n_classes: int, inference: Mapping[str, Any]) -> keras.Model:
        """See `System`; its outputs are the two ratings."""
        from keras_emotion.models import FaceAffectNetwork

        return FaceAffectNetwork(
            image_size=self.faces.image_size,
            units=self.units,
            width_multiplier=self.width_multiplier,
            dropout=self.dropout,
            pixel_maximum=255,
            rating_range=self.rating_range,
            inference=inference,
        )

    def losses(self) -> dict[str, Any]:
        """See `System`; the paper does not state the loss."""
        return {"loss": "mean_squared_error"}

    def inputs(self, elements: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """See `NetworkSystem`; the one face of each window."""
        return {"faces": elements["faces"][:, 0]}

    def targets(self, elements: dict[str, np.ndarray], labels: np.ndarray) -> np.ndarray:
        """See `NetworkSystem`; `(batch, 2)` ratings."""
        return labels

    @override
    def model_inputs(self) -> dict[str, ModelInput]:
        return {"faces": ModelInput(part="faces", array="faces", transform="first_step")}


class FaceAffectExperiment(Experiment):
    """Pre-training of DeepVANet's face network.

    Its protocol decides which people are held out for testing; its label rule, and the first of its targets, only
    affect the balance of these folds.
    """

    system: FaceAffect = Field(default_factory=FaceAffect)
    targets: Annotated[tuple[str, ...], Field(min_length=2, max_length=2)] = ("valence", "arousal")
    label_rule: LabelRule = LabelRule(threshold=0)
    protocols: Annotated[tuple[str, ...], Field(min_length=1, max_length=1)] = ("subject_disjoint",)
    training: Training = Training(epochs=50, batch_size=64, learning_rate=1e-3)
