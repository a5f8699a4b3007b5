"""PriorDFCN, prior-driven dynamic brain networks (Zheng et al., 2023), as a system; a sample is a trial."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field
from typing_extensions import override

from keras_emotion.evaluation import LabelRule
from keras_emotion.pipelines import ConnectivityFeatures, FaceQuantities, FeaturePart, ModelInput, Windowing
from keras_emotion.systems.base import NetworkSystem, fit_scaling_layers
from keras_emotion.systems.experiment import Experiment
from keras_emotion.systems.registry import register_system
from keras_emotion.systems.settings import Training

if TYPE_CHECKING:
    import keras


@register_system
class PriorDFCNSystem(NetworkSystem):
    """PriorDFCN with its inputs; the rows of the paper's Table 2 are fields.

    | row of Table 2 | fields |
    |---|---|
    | Ours | the default |
    | w/o PKE | `prior="none"` |
    | w/o NL block | `non_local=False` |
    | w/o STFENet | `stfenet=False` |
    | Baseline | `prior="none"`, `stfenet=False` |

    Args:
        features: connectivity and band powers of the windows of a trial.
        face: the 29 quantities of the face in the same windows.
        prior: `"sum"` or `"product"` of both correlations, or `"none"`: EEG only.
        transpose_prior: whether the sum transposes the second correlation.
        prior_units: size of queries and keys, d.
        stfenet: whether there are 3D convolutions.
        non_local: whether there is a non-local block after the last of them.
        width_multiplier: scales the filters of the blocks, 16, 32 and 64, for reduced runs.
    """

    hint: ClassVar[str] = "--system.prior none trains on EEG alone"
    worded_fields: ClassVar[tuple[str, ...]] = ("prior", "face.source")

    features: ConnectivityFeatures = Field(default_factory=ConnectivityFeatures)
    face: FaceQuantities = Field(default_factory=FaceQuantities)
    prior: Literal["sum", "product", "none"] = "sum"
    transpose_prior: bool = False
    prior_units: Annotated[int, Field(ge=1)] = 16
    stfenet: bool = True
    non_local: bool = True
    width_multiplier: Annotated[float, Field(gt=0)] = 1.0

    @property
    def windowing(self) -> Windowing:
        """See `System`; the samples of the EEG, with its windows as steps."""
        return self.features.windowing.model_copy(update={"lag_seconds": self.face.lag_seconds})

    def _cut_face(self) -> FaceQuantities:
        return self.face.with_windowing(self.windowing)

    def scientific_config(self) -> dict[str, Any]:
        """See `System`; unused settings do not change the experiment's identity."""
        fields = self.model_dump(mode="json")
        if self.prior == "none":
            for name in ("face", "transpose_prior", "prior_units"):
                del fields[name]
        else:
            fields["face"] = self._cut_face().key()
        if not self.stfenet:
            del fields["non_local"], fields["width_multiplier"]
        return fields

    @property
    def paper_variant(self) -> str | None:
        """See `System`; the rows of Table 2."""
        has_prior = self.prior != "none"
        if not self.stfenet:
            return "w/o STFENet" if has_prior else "Baseline"
        if not has_prior:
            return "w/o PKE"
        return None if self.non_local else "w/o NL block"

    @override
    def unlike_the_paper(self) -> tuple[str, ...]:
        if self.prior == "none":
            return ("trained without the facial prior",)
        if self.face.source == "openface":
            return ()
        return ("facial features come from MediaPipe's Face Landmarker; in the paper from OpenFace",)

    @override
    def parts(self) -> dict[str, FeaturePart]:
        return {"eeg": self.features, **({} if self.prior == "none" else {"face": self._cut_face()})}

    @override
    def model(self, shapes: Mapping[str, tuple[int, ...]], n_classes: int, inference: Mapping[str, Any]) -> keras.Model:
        from keras_emotion.models import PriorDFCN

        n_windows, n_channels, n_bands = shapes["eeg"]
        return PriorDFCN(
            n_windows=n_windows,
            n_channels=n_channels,
            n_bands=n_bands,
            n_classes=n_classes,
            prior=None if self.prior == "none" else self.prior,
            transpose_prior=self.transpose_prior and self.prior == "sum",
            prior_units=self.prior_units,
            stfenet=self.stfenet,
            widths=tuple(max(1, round(self.width_multiplier * width)) for width in (16, 32, 64)),
            non_local_after="last" if self.non_local else None,
            inference=inference,
        )

    @override
    def losses(self) -> dict[str, Any]:
        return {"loss": "sparse_categorical_crossentropy"}

    @override
    def inputs(self, elements: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {"connectivity": elements["connectivity"]} if self.prior == "none" else elements

    @override
    def targets(self, elements: dict[str, np.ndarray], labels: np.ndarray) -> np.ndarray:
        return labels

    @override
    def fit_statistics(self, model: keras.Model, arrays: Mapping[str, Any], rows: np.ndarray) -> None:
        fit_scaling_layers(self, model, arrays, rows)

    @override
    def model_inputs(self) -> dict[str, ModelInput]:
        inputs = {"connectivity": ModelInput(part="eeg", array="connectivity")}
        if self.prior != "none":
            inputs |= {"eeg": ModelInput(part="eeg", array="eeg"), "face": ModelInput(part="face", array="face")}
        return inputs


class PriorDFCNExperiment(Experiment):
    """An experiment with PriorDFCN: subject-disjoint folds, ratings above 5 are high."""

    system: PriorDFCNSystem = Field(default_factory=PriorDFCNSystem)
    label_rule: LabelRule = LabelRule(threshold=5.0)
    protocols: Annotated[tuple[str, ...], Field(min_length=1)] = ("subject_disjoint",)
    training: Training = Training(epochs=50, batch_size=40, learning_rate=1e-3)
