"""The video-EEG hierarchical LSTM (Wu, Zhang and Zhao, 2020) as a system; a sample is a segment of video frames."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator
from typing_extensions import override

from keras_emotion.evaluation import LabelRule
from keras_emotion.pipelines import (
    BandStatistics,
    EEGImages,
    FaceFeatures,
    FeaturePart,
    ModelInput,
    Windowing,
    feature_statistics,
)
from keras_emotion.systems.base import NetworkSystem
from keras_emotion.systems.experiment import Experiment
from keras_emotion.systems.face_encoders import EncodedFaces
from keras_emotion.systems.registry import register_system
from keras_emotion.systems.settings import Training

if TYPE_CHECKING:
    import keras

Modality = Literal["face", "eeg"]


@register_system
class HLSTMSystem(NetworkSystem):
    """`VideoEEGHierarchicalLSTM` with its inputs: segments of 5 s at 8 frames per second.

    EEG and faces are windowed at the same times, frame by frame. The EEG powers are standardised over the training
    segments, and interpolated to images within the network (`keras_emotion.models.TopographicImages`).

    **Deviations**: see `VideoEEGHierarchicalLSTM`, `EEGImages` and `EncodedFaces`. Without released weights of AlexNet,
    a small face encoder is trained jointly.

    Args:
        images: powers of the EEG, a value for each frame, channel and band.
        faces: input faces of the small encoder.
        face_features: faces as features of AlexNet.
        face_encoder: `"small"` or `"alexnet"`.
        modalities: `"face"`, `"eeg"` or both.
        image_size: rows and columns of an EEG image.
        n_looks: maximum number of frames that are looked at.
        n_levels: number of levels `L` of the core.
        level_attention: whether there is attention between levels; without it, a common stacked LSTM.
        level_state: reading of Eq. 7, see `VideoEEGHierarchicalLSTM`.
        penalty_weight: weight of the penalty on the attention between levels.
        reward_weight: weight of the reward; 0: correct predictions are not rewarded.
        sparse_weight: reward of each frame that is looked at, 0 or below.
        baseline: `"learned"` or `"none"`.
        n_rollouts: number of sequences of looks per segment in training.
        looking: `"policy"`, or `"uniform"`: frames evenly spread.
        direction: whether the policy moves forward only.
        sigma: standard deviation of the policy, as a share of the segment.
        policy_gradient: what the rewards train.
        units: units of the LSTM.
        width: number of features of a frame.
        filters: filters of both encoders.
        dropout: dropout rate.
    """

    hint: ClassVar[str] = "--system.modalities eeg trains on EEG alone, --system.modalities face on faces"

    images: EEGImages = Field(default_factory=EEGImages)
    faces: FaceFeatures = Field(default_factory=lambda: FaceFeatures(image_size=64))
    face_features: EncodedFaces = Field(default_factory=EncodedFaces)
    face_encoder: Literal["small", "alexnet"] = "small"
    modalities: Annotated[tuple[Modality, ...], Field(min_length=1, max_length=2)] = ("face", "eeg")
    image_size: Annotated[int, Field(ge=4, le=512)] = 32
    n_looks: Annotated[int, Field(ge=2)] = 40
    n_levels: Annotated[int, Field(ge=1, le=5)] = 3
    level_attention: bool = True
    level_state: Literal["sum", "each"] = "sum"
    penalty_weight: Annotated[float, Field(ge=0)] = 1.0
    reward_weight: Annotated[float, Field(ge=0)] = 1.0
    sparse_weight: Annotated[float, Field(le=0)] = -0.01
    baseline: Literal["learned", "none"] = "learned"
    n_rollouts: Annotated[int, Field(ge=1)] = 1
    looking: Literal["policy", "uniform"] = "policy"
    direction: Literal["forward", "any"] = "forward"
    sigma: Annotated[float, Field(gt=0)] = 0.1
    policy_gradient: Literal["head", "all"] = "head"
    units: Annotated[int, Field(ge=1)] = 256
    width: Annotated[int, Field(ge=1)] = 256
    filters: tuple[Annotated[int, Field(ge=1)], ...] = (16, 32, 32)
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.6

    @model_validator(mode="after")
    def _modalities_differ(self):
        if len(set(self.modalities)) < len(self.modalities):
            raise ValueError(f"modalities: {', '.join(self.modalities)}; expected each once")
        return self

    @property
    def paper_variant(self) -> str | None:
        """See `System`; the bars of Fig. 5 to 7. Configurations without a bar are named by their modalities."""
        attends = self.level_attention and self.n_levels > 1
        if self.modalities == ("face",) and self.looking == "uniform" and not attends:
            return f"L = {self.n_levels}"
        names = [] if len(self.modalities) == 2 else [f"{self.modalities[0]} alone"]
        if not attends:
            names.append("Common stacked LSTM")
        elif not self.penalty_weight:
            names.append("Without penalty")
        return ", ".join(names) or None

    @property
    def windowing(self) -> Windowing:
        """See `System`; the segments of the EEG, with its frames as steps."""
        return self.images.windowing

    @property
    def _face_part(self) -> Any:
        part = self.face_features if self.face_encoder == "alexnet" else self.faces
        return part.with_windowing(self.windowing)

    def scientific_config(self) -> dict[str, Any]:
        """See `System`; unused settings do not change the experiment's identity."""
        fields = self.model_dump(mode="json", exclude={"faces", "face_features", "images"})
        fields["modalities"] = sorted(self.modalities)
        fields["parts"] = {name: part.key() for name, part in self.parts().items()}
        if "face" not in self.modalities:
            del fields["face_encoder"]
        if "eeg" not in self.modalities:
            del fields["image_size"]
        if not self.level_attention or self.n_levels == 1:
            del fields["level_state"], fields["penalty_weight"]
        if self.looking == "uniform":
            for name in ("reward_weight", "sparse_weight", "baseline", "n_rollouts", "direction", "sigma"):
                del fields[name]
            del fields["policy_gradient"]
        return fields

    @override
    def unlike_the_paper(self) -> tuple[str, ...]:
        lines = []
        if "face" in self.modalities:
            if self.face_encoder == "small":
                side = self.faces.image_size
                lines.append(
                    f"faces of {side} x {side} pixels are encoded by a small network that is trained jointly; in the "
                    "paper faces of 227 x 227 pixels, by AlexNet"
                )
            elif self.face_features.encoder.is_random:
                lines.append("faces are encoded by an AlexNet with random weights; in the paper it is trained")
            lines.append(f"faces are detected by {self._face_part.detector}; in the paper by Faster R-CNN")
        if "eeg" in self.modalities:
            lines.append(
                "EEG images are encoded by a small convolutional network; in the paper by the face network, whose "
                "layers are not stated"
            )
        lines.append("batches are shuffled windows; in the paper they come from experience replay")
        return tuple(lines)

    @override
    def parts(self) -> dict[str, FeaturePart]:
        parts = {"eeg": self.images, "face": self._face_part}
        return {name: part for name, part in parts.items() if name in self.modalities}

    def _arrays(self) -> dict[str, str]:
        """Name of the array of each input."""
        arrays = {}
        if "face" in self.modalities:
            name = "faces" if self.face_encoder == "small" else "face_features"
            arrays[name] = name
        if "eeg" in self.modalities:
            arrays["eeg"] = "eeg"
        return arrays

    @override
    def model(self, shapes: Mapping[str, tuple[int, ...]], n_classes: int, inference: Mapping[str, Any]) -> keras.Model:
        from keras_emotion.models import VideoEEGHierarchicalLSTM

        sizes: dict[str, Any] = {}
        if "eeg" in self.modalities:
            n_frames, _, sizes["n_bands"] = shapes["eeg"]
            sizes["channel_names"] = tuple(inference["channel_names"])
            sizes["electrode_directions"] = inference.get("electrode_directions")
        if "faces" in shapes and "face" in self.modalities:
            n_frames, sizes["face_size"] = shapes["faces"][:2]
        if "face_features" in shapes and "face" in self.modalities:
            n_frames, sizes["n_face_features"] = shapes["face_features"]
        return VideoEEGHierarchicalLSTM(
            modalities=self.modalities,
            n_frames=n_frames,
            n_looks=min(self.n_looks, n_frames),
            face_encoder=self.face_encoder,
            image_size=self.image_size,
            filters=self.filters,
            width=self.width,
            units=self.units,
            n_levels=self.n_levels,
            level_attention=self.level_attention and self.n_levels > 1,
            level_state=self.level_state,
            n_classes=n_classes,
            dropout=self.dropout,
            looking=self.looking,
            direction=self.direction,
            sigma=self.sigma,
            policy_gradient=self.policy_gradient,
            level_penalty=self.penalty_weight,
            reward_weight=self.reward_weight,
            sparsity_weight=self.sparse_weight,
            baseline=None if self.baseline == "none" else self.baseline,
            n_rollouts=self.n_rollouts,
            inference=inference,
            **sizes,
        )

    def losses(self) -> dict[str, Any]:
        """See `NetworkSystem`; the model computes its own loss."""
        return {}

    @override
    def inputs(self, elements: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {name: elements[array] for name, array in self._arrays().items()}

    @override
    def targets(self, elements: dict[str, np.ndarray], labels: np.ndarray) -> np.ndarray:
        return labels

    def vectors(self, arrays: Mapping[str, Any]) -> np.ndarray:
        """See `System`; the network's inputs."""
        return super().vectors({name: arrays[name] for name in self._arrays().values()})

    def fit_statistics(self, model: keras.Model, arrays: Mapping[str, Any], rows: np.ndarray) -> None:
        """See `NetworkSystem`; of the powers before interpolation to images, and of face features."""
        for name, layer in model.feature_scaling.items():
            if name == "eeg":
                found = BandStatistics.fit(arrays["eeg"], rows)
                layer.set_statistics(found.floor, found.mean, found.standard_deviation)
            else:
                layer.set_statistics(*feature_statistics(arrays[name], rows, chunk=512))

    @override
    def model_inputs(self) -> dict[str, ModelInput]:
        part_of = {"eeg": "eeg", "faces": "face", "face_features": "face"}
        return {name: ModelInput(part=part_of[name], array=array) for name, array in self._arrays().items()}

    def diagnostics(self, model: keras.Model, arrays: Mapping[str, Any], rows: np.ndarray) -> dict[str, float]:
        """See `NetworkSystem`; the power that remains after denoising."""
        if "kept_power" not in arrays:
            return {}
        kept = np.asarray(arrays["kept_power"][rows]).mean(axis=0)
        return {f"kept_power_{band}": float(share) for band, share in zip(self.images.bands, kept, strict=True)}

    @property
    @override
    def diagnosed_outputs(self) -> tuple[str, ...]:
        return ("looks", "positions") if self.looking == "policy" else ()

    def output_diagnostics(self, outputs: Mapping[str, np.ndarray]) -> dict[str, float]:
        """See `NetworkSystem`; how many frames were looked at, and where."""
        if self.looking != "policy":
            return {}
        looks, positions = outputs["looks"], outputs["positions"]
        # Positions stay constant after the last look.
        chosen = positions[np.arange(positions.shape[1]) < looks[:, np.newaxis]]
        # Quarters of the segment, by the first frame of each.
        quarter = np.minimum(chosen * 4 // self.images.n_frames, 3).astype(int)
        shares = np.bincount(quarter, minlength=4) / len(chosen)
        of_quarters = {f"looks_in_quarter_{number}": float(share) for number, share in enumerate(shares, start=1)}
        return {"looks": float(looks.mean()), **of_quarters}


class HLSTMExperiment(Experiment):
    """An experiment with the hierarchical LSTM: ratings above 5 are high, under both protocols."""

    system: HLSTMSystem = Field(default_factory=HLSTMSystem)
    label_rule: LabelRule = LabelRule(threshold=5.0)
    protocols: Annotated[tuple[str, ...], Field(min_length=1)] = ("as_published_hlstm", "trial_disjoint")
    training: Training = Training(epochs=100, batch_size=12, learning_rate=1e-4)
