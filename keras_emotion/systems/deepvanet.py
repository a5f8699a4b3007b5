"""DeepVANet (Zhang, Hossain, Rahman, 2021) as a system: faces and raw signals, feature and decision level fusion."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field
from typing_extensions import override

from keras_emotion.evaluation import PROTOCOLS, LabelRule
from keras_emotion.options import Option
from keras_emotion.pipelines import (
    FaceFeatures,
    FeaturePart,
    ModelInput,
    RawSignals,
    WindowBatches,
    Windowing,
    path_hash,
)
from keras_emotion.schema import InputError
from keras_emotion.systems.base import NetworkSystem
from keras_emotion.systems.experiment import Experiment
from keras_emotion.systems.registry import register_system
from keras_emotion.systems.settings import Training

if TYPE_CHECKING:
    import keras

_BIO_BARS = {"eeg": "EEG", "peripheral": "Peripheral", "all": "Bio-sensing"}
"""Bars of Fig. 2 by the value of `RawSignals.channels`."""

_SMALLEST_ERROR = 1e-6
"""Lower bound of the error, so that the weight of a member without training errors stays finite."""


@register_system
class DeepVANetSystem(NetworkSystem):
    """DeepVANet with its inputs; the ablations of the paper's Fig. 2 are fields.

    | bar of Fig. 2 | fields |
    |---|---|
    | Face | `modalities="faces"` |
    | EEG, Peripheral, Bio-sensing | `modalities="bio"` with `bio.channels` `"eeg"`, `"peripheral"`, `"all"` |
    | Decision-level fusion | `fusion="decision"` |
    | Feature-level fusion | the default |

    Decision level fusion is AdaBoost over the face and the bio network, trained separately. With their scores `s` on
    the training windows, labels `y` and weights `w = 1/n`: `e = sum w |s - y|`, `alpha = 1/2 ln((1 - e) / e)` for the
    face network; then the weights of correctly classified windows decrease and the others increase, `w <- w
    exp(-alpha)` or `w exp(alpha)`, normalised, and yield `e` and `alpha` of the bio network. The fused score is
    `sigmoid(alpha_face (2 s_face - 1) + alpha_bio (2 s_bio - 1))`.

    The networks are weighed on their own training windows, as in the paper: a network that overfits them weighs as much
    as one that generalises, and noise gets half of the total weight.

    **Deviations**: `"decision"` is the paper's description; each network has the weights of the epoch that the protocol
    chooses. `"decision_released"` is the computation of the released code, for comparison only: the networks have the
    weights of their last epoch under every protocol (the released code saves those of the best epoch, too, but does not
    fuse them); a window counts as correct if `score == label`, which is hardly ever true of a score, so that all
    windows count as wrong; weights of correct windows would increase, and weights are not normalised; and the networks
    stay in training mode (dropout on, batch statistics) for weighing and testing.

    Args:
        faces: extraction of faces from videos: 5 per second, 64 x 64.
        bio: selection and windowing of the signals.
        modalities: `"both"`, `"faces"` or `"bio"`.
        fusion: `"feature"`, `"decision"` or `"decision_released"`; only of both modalities.
        face_units: width of the face features, lambda_1.
        bio_units: width of the bio features, lambda_2.
        width_multiplier: scales the channels of the convolutions, for reduced runs.
        dropout: dropout rate of the hidden units of the head.
        face_weights: a saved `keras_emotion.models.FaceAffectNetwork` (or `DeepVANet`) whose convolutions are used as
            initial weights; the paper pre-trains on AFEW-VA, as `afew_va_deepvanet` does. `None` starts from random
            weights, which is a difference from the paper.
    """

    hint: ClassVar[str] = "--system.modalities bio trains on signals alone"

    faces: FaceFeatures = Field(default_factory=lambda: FaceFeatures(window_seconds=1.0, steps=5, image_size=64))
    bio: RawSignals = RawSignals()
    modalities: Annotated[Literal["both", "faces", "bio"], Option(aliases=("--modalities",), common=True)] = "both"
    fusion: Literal["feature", "decision", "decision_released"] = "feature"
    face_units: Annotated[int, Field(ge=1)] = 16
    bio_units: Annotated[int, Field(ge=1)] = 64
    width_multiplier: Annotated[float, Field(gt=0)] = 1.0
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5
    face_weights: Path | None = None

    @property
    def windowing(self) -> Windowing:
        """See `System`; as long as the windows of the signals, which have no steps; steps are those of the faces."""
        of_faces = {"steps": self.faces.steps, "lag_seconds": self.faces.lag_seconds}
        return self.bio.windowing.model_copy(update=of_faces)

    def _cut_faces(self) -> FaceFeatures:
        return self.faces.with_windowing(self.windowing)

    @property
    def _has(self) -> dict[str, bool]:
        return {"faces": self.modalities != "bio", "bio": self.modalities != "faces"}

    def scientific_config(self) -> dict[str, Any]:
        """See `System`; unused settings do not change the experiment's identity."""
        fields = self.model_dump(mode="json")
        unused = {"faces": ("faces", "face_units", "face_weights"), "bio": ("bio", "bio_units")}
        for modality, names in unused.items():
            if not self._has[modality]:
                for name in names:
                    del fields[name]
        if self.modalities != "both":
            del fields["fusion"]
        if "faces" in fields:
            fields["faces"] = self._cut_faces().key()
            fields["face_weights"] = None if self.face_weights is None else "network"
        return fields

    @property
    def paper_variant(self) -> str | None:
        """See `System`; the bar of Fig. 2, `None` for the feature-level fusion of Table 2."""
        if self.modalities != "both":
            return "Face" if self.modalities == "faces" else _BIO_BARS[self.bio.channels]
        return None if self.fusion == "feature" else "Decision-level fusion"

    @override
    def unlike_the_paper(self) -> tuple[str, ...]:
        if not self._has["faces"]:
            return ()
        lines = [
            f"faces are detected and aligned by {self.faces.detector}; in the paper by Bulat and Tzimiropoulos (2017)"
        ]
        if self.face_weights is None:
            lines.append("face network trained from scratch; in the paper pre-trained on AFEW-VA")
        return tuple(lines)

    @override
    def source_files(self) -> tuple[Path, ...]:
        return (self.face_weights,) if self.face_weights is not None and self._has["faces"] else ()

    def parts(self) -> dict[str, FeaturePart]:
        """See `System`; signals first: windows are theirs, and faces are paired with them."""
        parts: dict[str, FeaturePart] = {"bio": self.bio, "faces": self._cut_faces()}
        return {name: part for name, part in parts.items() if self._has[name]}

    def members(self) -> dict[str, NetworkSystem]:
        """See `NetworkSystem`; the face network first, as in the released code."""
        if self.modalities != "both" or self.fusion == "feature":
            return {}
        return {name: self.model_copy(update={"modalities": name}) for name in ("faces", "bio")}

    @property
    def members_keep_last_epoch(self) -> bool:
        """See `NetworkSystem`; the released code fuses the networks after their last epoch."""
        return self.fusion == "decision_released"

    def combine(
        self, known: Mapping[str, np.ndarray], labels: np.ndarray, asked: Mapping[str, np.ndarray]
    ) -> tuple[np.ndarray, dict[str, float]]:
        """See `NetworkSystem`; AdaBoost, see the class."""
        scores = {name: probabilities[:, 1] for name, probabilities in known.items()}
        alphas = boosted_weights(scores, labels, released=self.fusion == "decision_released")
        fused = sum(alpha * (2 * asked[name][:, 1] - 1) for name, alpha in alphas.items())
        high = 1 / (1 + np.exp(-fused))
        return np.stack([1 - high, high], axis=1), {f"fusion_weight_{name}": alpha for name, alpha in alphas.items()}

    def member_probabilities(self, model: keras.Model, batches: WindowBatches) -> np.ndarray | None:
        """See `NetworkSystem`; the released code never leaves training mode."""
        if self.fusion != "decision_released":
            return None
        import keras

        probabilities = []
        for indices in batches.order(0):
            # As there, the last batch is smaller: padding would enter its statistics.
            inputs = batches.gather_inputs(indices[indices >= 0])
            outputs = model.window_probabilities(model(inputs, training=True))
            probabilities.append(keras.ops.convert_to_numpy(outputs))
        return np.concatenate(probabilities).astype(np.float64)

    def model(self, shapes: Mapping[str, tuple[int, ...]], n_classes: int, inference: Mapping[str, Any]) -> keras.Model:
        """See `System`.

        Raises:
            InputError: there are more than two classes: the network has one output; or `face_weights` does not fit.
        """
        from keras_emotion.models import DeepVANet

        if n_classes != 2:
            raise InputError(f"DeepVANet has two classes; the label rule makes {n_classes}; choose another label rule")
        sizes: dict[str, Any] = {"width_multiplier": self.width_multiplier}
        if self._has["faces"]:
            sizes |= {"n_frames": shapes["faces"][0], "image_size": shapes["faces"][1], "face_units": self.face_units}
            sizes |= {"pixel_maximum": 255}
        if self._has["bio"]:
            n_samples, n_channels = shapes["bio"]
            sizes |= {"n_samples": n_samples, "n_bio_channels": n_channels, "bio_units": self.bio_units}
        modalities = tuple(name for name in ("faces", "bio") if self._has[name])
        model = DeepVANet(modalities=modalities, dropout=self.dropout, inference=inference, **sizes)
        if self.face_weights is not None and self._has["faces"]:
            try:
                model.take_face_weights(_pretrained(self.face_weights, path_hash(self.face_weights)))
            except ValueError as error:
                raise InputError(
                    f"{self.face_weights}: {error}; train it by afew_va_deepvanet with the same preset or "
                    "--system.width-multiplier"
                ) from None
        return model

    def losses(self) -> dict[str, Any]:
        """See `System`; Eq. of section 2.2."""
        return {"loss": "binary_crossentropy"}

    @override
    def inputs(self, elements: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return elements

    @override
    def targets(self, elements: dict[str, np.ndarray], labels: np.ndarray) -> np.ndarray:
        return labels.reshape(len(labels), 1).astype(np.float32)

    @override
    def model_inputs(self) -> dict[str, ModelInput]:
        return {name: ModelInput(part=name, array=name) for name in self.parts()}


def boosted_weights(scores: Mapping[str, np.ndarray], labels: np.ndarray, released: bool = False) -> dict[str, float]:
    """Compute AdaBoost's weight of each classifier, in their order; see `DeepVANetSystem`.

    Args:
        scores: `(windows,)` scores from 0 to 1 of each classifier on the training windows.
        labels: `(windows,)` 0 or 1.
        released: as the released code computes them.

    Example:
        >>> scores = {"faces": np.array([0.1, 0.9, 0.9, 0.2]), "bio": np.array([0.2, 0.6, 0.6, 0.2])}
        >>> {name: round(alpha, 3) for name, alpha in boosted_weights(scores, np.array([0, 1, 1, 1])).items()}
        {'faces': 0.485, 'bio': -0.104}
    """
    weights = np.full(len(labels), 1 / len(labels))
    alphas = {}
    for name, score in scores.items():
        error = float(np.clip((weights * abs(score - labels)).sum(), _SMALLEST_ERROR, 1 - _SMALLEST_ERROR))
        alphas[name] = 0.5 * float(np.log((1 - error) / error))
        if released:
            weights = weights * np.exp(np.where(score == labels, 1, -1) * alphas[name])
        else:
            right = (score > 0.5) == (labels == 1)
            weights = weights * np.exp(np.where(right, -1, 1) * alphas[name])
            weights = weights / weights.sum()
    return alphas


@functools.cache
def _pretrained(path: Path, content: str | None) -> keras.Model:
    """Load a saved network; the content hash is an argument so that a changed file of the same name is read again."""
    from keras_emotion.models.saved_networks import load_network

    return load_network(path, "{path}: not a saved network ({reason})")


class DeepVANetExperiment(Experiment):
    """An experiment with DeepVANet: ratings below 5 are low, as in the released code."""

    system: DeepVANetSystem = Field(default_factory=DeepVANetSystem)
    label_rule: LabelRule = LabelRule(kind="greater_equal", threshold=5.0)
    training: Training = Training(epochs=50, batch_size=64, learning_rate=1e-3)

    @property
    def paper_variant(self) -> str | None:
        """See `Experiment`; the paper has a row for each setting in Table 2, and its ablations in Fig. 2."""
        mixed = any(PROTOCOLS[name].scope == "across_subjects" for name in self.protocols)
        own = self.system.paper_variant
        return ", ".join(filter(None, ["inter-subject" if mixed else "per-subject", own]))
