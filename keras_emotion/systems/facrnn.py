"""3FACRNN (Du et al., 2024) as a system: EEG grid features, the EEG network, distillation from a teacher."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
import pandas as pd
from pydantic import Field, model_validator
from typing_extensions import override

from keras_emotion.options import Option
from keras_emotion.pipelines import (
    EEGGridFeatures,
    FaceFeatures,
    FeaturePart,
    ModelInput,
    StoredFeatures,
    TeacherFeatures,
    Windowing,
    count_dropped,
    feature_statistics,
)
from keras_emotion.schema import InputError
from keras_emotion.systems.base import DerivedPart, NetworkSystem, System, Transform
from keras_emotion.systems.experiment import Experiment
from keras_emotion.systems.facrnn_visual import FACRNNVisual, TeacherOfFile, teacher_files
from keras_emotion.systems.registry import register_system
from keras_emotion.systems.settings import Training
from keras_emotion.systems.stages import Stage

if TYPE_CHECKING:
    import keras


_TEACHER_SPREAD = 0.4
"""Standard deviation of scaled teacher features: values within 2.5 of them are within the range of LSTM outputs."""


@register_system
class FACRNN(NetworkSystem):
    """EEG network of 3FACRNN with its inputs and training; the ablations of the paper's Tables 3 to 5 are fields.

    | row of the paper | fields |
    |---|---|
    | Table 3, only band attention | `self_attention=False` |
    | Table 3, only self-attention | `band_attention=False` |
    | Table 3, without any attention | both of these |
    | Table 4, raw EEG | `features.representation="raw_slices"` (or `"raw_samples"`); turns band attention off |
    | Table 5, without visual features | `teacher="none"` |

    Args:
        features: the 3D feature construction, see `EEGGridFeatures`.
        faces: extraction of faces from videos, see `FaceFeatures`; `features` defines length and steps of a window.
        scale_features: scaling of the features before the network, which the paper does not state. `"standard"`: each
            band of each cell with mean 0 and standard deviation 1 over the training windows. `"overall"`: all bands and
            cells with one mean and one deviation, so that bands keep their levels. `"none"`: unchanged. The band
            attention starts from the mean of a band over the grid, which is about 0 after `"standard"`: with its kernel
            of one every weight is then about 0.5.
        band_attention: attention over bands, Eq. (4)-(5).
        band_attention_kernel_size: width of its convolution; `None` is the adaptive size of Eq. (4), 1 for four bands.
        self_attention: attention over steps, Eq. (18)-(20).
        cell: `"lstm"`, or `"peephole"` as printed in Eq. (12)-(15).
        dense_activation: activation of the dense layer after the convolutions; Eq. (11) states none.
        width_multiplier: scales the channels of the convolutions and the dense layer, for reduced runs.
        distillation_features: student features that are fitted to the teacher's: `"attention"` (A_t) or `"lstm"` (h_t).
        teacher: source of the teacher features; `"none"`: the network learns from the labels only. `"fold"`: a visual
            network trained on the faces of each fold's training windows. A path: previously trained visual networks, a
            `.keras` file or a folder with `<target>.keras`, as saved by `afew_va_visual.py` (the paper's way, on
            AFEW-VA and AffectNet); or an `.npz` file of features (`keras_emotion.pipelines.TeacherFeatures`).
        teacher_training: training settings of the teacher `"fold"`.
        teacher_scaling: `"none"`: unchanged. `"standard"`: each teacher feature with mean 0 and standard deviation 0.4
            over the training windows, so that the recurrent states, which lie within -1 and 1, can reach them: teacher
            features that are large and vary little are otherwise approximated by a constant. The paper leaves this
            open.
        rho: weight of the cross-entropy in Eq. (21).
        w: weight of the distillation loss in Eq. (22); the paper's best was 1.0.
        w_grid: weights from which each fold chooses on its validation windows, in place of `w`; the paper's grid is
            0.5, 0.6, ... 1.5, chosen on the test set.
        step_reduction: `"sum"` of the cross-entropy over the steps as printed, or `"mean"`.
    """

    hint: ClassVar[str] = "--teacher none trains on EEG alone"
    worded_fields: ClassVar[tuple[str, ...]] = ("teacher", "cell", "scale_features", "w_grid", "faces.detector")

    features: EEGGridFeatures = EEGGridFeatures()
    faces: FaceFeatures = Field(default_factory=FaceFeatures)
    scale_features: Literal["standard", "overall", "none"] = "standard"
    band_attention: bool = True
    band_attention_kernel_size: int | None = None
    self_attention: bool = True
    cell: Literal["lstm", "peephole"] = "lstm"
    dense_activation: Literal["relu"] | None = None
    width_multiplier: Annotated[float, Field(gt=0)] = 1.0
    distillation_features: Literal["attention", "lstm"] = "attention"
    teacher: Annotated[Literal["none", "fold"] | Path, Option(aliases=("--teacher",), common=True)] = "none"
    teacher_training: Training = Training(learning_rate=1e-5)
    teacher_scaling: Literal["none", "standard"] = "none"
    rho: Annotated[float, Field(ge=0, le=1)] = 0.8
    w: Annotated[float, Field(ge=0)] = 1.0
    w_grid: tuple[Annotated[float, Field(ge=0)], ...] = ()
    step_reduction: Literal["sum", "mean"] = "sum"

    @model_validator(mode="after")
    def _steps_match_the_teacher(self):
        if self.teacher != "none" and self.features.representation == "raw_samples":
            raise ValueError("teacher: has one feature vector per slice; representation 'raw_samples' has no slices")
        if self.w_grid and self.teacher == "none":
            raise ValueError("w_grid: weighs the teacher's features, but there is no teacher")
        return self

    @property
    def _has_network_of_file(self) -> bool:
        return isinstance(self.teacher, Path) and self.teacher.suffix != ".npz"

    @property
    def windowing(self) -> Windowing:
        """See `System`; the windows and steps are those of the EEG."""
        return self.features.windowing.model_copy(update={"lag_seconds": self.faces.lag_seconds})

    def _cut_faces(self) -> FaceFeatures:
        return self.faces.with_windowing(self.windowing)

    @property
    def _attends_to_bands(self) -> bool:
        # Raw EEG has no bands: the paper removes the module together with the features (section 3.3).
        return self.band_attention and self.features.representation == "differential_entropy"

    @property
    def paper_variant(self) -> str | None:
        """See `System`; for several ablations at once, not in the paper, the one with the largest effect."""
        if self.features.representation != "differential_entropy":
            return "With raw EEG signals"
        if not self.band_attention and not self.self_attention:
            return "W/O any attention"
        if not self.self_attention:
            return "With only Frequency Band-attention"
        if self.teacher == "none":
            return "W/O visual feature"
        return None if self.band_attention else "With only Self-attention"

    def scientific_config(self) -> dict[str, Any]:
        """See `System`; the teacher's path is replaced by its kind (its content is fingerprinted)."""
        fields = self.model_dump(mode="json")
        # Left out at the default, so that runs of earlier versions can be resumed.
        if self.scale_features == "standard":
            del fields["scale_features"]
        if self.teacher == "none":
            # Unused settings do not change the experiment's identity.
            for field in ("faces", "teacher_training", "teacher_scaling", "w", "w_grid", "rho"):
                del fields[field]
            return fields
        if self.teacher != "fold":
            del fields["teacher_training"]
        kind = (
            self.teacher if isinstance(self.teacher, str) else "networks" if self._has_network_of_file else "features"
        )
        return {**fields, "teacher": kind, "faces": self._cut_faces().key()}

    @override
    def unlike_the_paper(self) -> tuple[str, ...]:
        lines = []
        if self.cell == "lstm":
            lines.append("LSTM without the peephole terms of Eq. (12), (13) and (15) (--system.cell peephole)")
        if self.scale_features != "none":
            lines.append(
                "features are standardised with the statistics of the training windows; the paper mentions no scaling"
            )
        if self.teacher == "none":
            return (*lines, "trained without the visual teacher")
        if self.teacher == "fold":
            lines.append(
                "the visual teacher is trained on the faces of each fold's training windows; in the paper on AffectNet "
                "and AFEW-VA (--teacher PATH)"
            )
        if not self._has_network_of_file and self.teacher != "fold":
            return (*lines, "features of the visual teacher are read from a file")
        chosen = "is chosen on validation windows" if self.w_grid else f"= {self.w:g} is fixed"
        lines.append(f"w {chosen}; in the paper it is chosen among eleven values, on the test set")
        lines.append(f"faces are detected by {self.faces.detector}; in the paper by OpenFace")
        if self.faces.frame_rate_hz is None:
            lines.append(
                "each step of a window uses its middle frame; in the paper videos have 60 frames per second, and it is "
                "not stated how T frames are derived from them (--system.faces.frame-rate-hz 60 averages them)"
            )
        return tuple(lines)

    @override
    def source_files(self) -> tuple[Path, ...]:
        if self._has_network_of_file:
            return tuple(teacher_files(Path(self.teacher)).values())
        return () if isinstance(self.teacher, str) else (self.teacher,)

    @override
    def parts(self) -> dict[str, FeaturePart]:
        has_faces = self.teacher == "fold" or self._has_network_of_file
        return {"eeg": self.features, **({"faces": self._cut_faces()} if has_faces else {})}

    @override
    def derived(self) -> dict[str, DerivedPart]:
        if not self._has_network_of_file:
            return {}
        return {"teacher_features": TeacherOfFile(Path(self.teacher), self._cut_faces())}

    def candidates(self) -> dict[str, System]:
        """See `System`; one for each weight of `w_grid`."""
        if not self.w_grid:
            return {"": self}
        return {f"w{w:g}": self.model_copy(update={"w": w, "w_grid": ()}) for w in self.w_grid}

    def stages(self) -> tuple[Stage, ...]:
        """See `NetworkSystem`; the teacher of the fold comes first."""
        if self.teacher != "fold":
            return super().stages()
        teacher = Stage(
            name="teacher",
            system=FACRNNVisual(faces=self._cut_faces(), width_multiplier=self.width_multiplier),
            training=self.teacher_training,
            arrays=("faces",),
            gives={"features": "teacher_features"},
            uses_up=("faces",),
            own_seed=False,
        )
        return teacher, *super().stages()

    def join(self, stored: StoredFeatures) -> tuple[StoredFeatures, pd.DataFrame]:
        """Pair each window with the teacher features of an `.npz` file; drop and count windows without them."""
        if isinstance(self.teacher, str) or self._has_network_of_file:
            return super().join(stored)
        features, found = TeacherFeatures(self.teacher).for_windows(stored.table)
        if not found.any():
            raise InputError(
                f"{self.teacher}: has no features for the windows of subject {stored.table['subject'].iloc[0]}; "
                "subject, trial and start_seconds must be those of the window table"
            )
        steps = stored.arrays["eeg"].shape[1]
        if features.shape[1] != steps:
            raise InputError(f"{self.teacher}: features have {features.shape[1]} steps; the EEG windows have {steps}")
        kept = np.flatnonzero(found)
        joined = stored if found.all() else stored.keep(kept)
        arrays = {**joined.arrays, "teacher_features": features[kept]}
        reasons = np.where(found, "", "no teacher features")
        return dataclasses.replace(joined, arrays=arrays), count_dropped(stored.table, reasons)

    def fit_arrays(self, arrays: Mapping[str, Any], rows: np.ndarray) -> Transform:
        """See `System`; the scaling of the teacher's features."""
        if self.teacher_scaling == "none" or "teacher_features" not in arrays:
            return super().fit_arrays(arrays, rows)
        known = arrays["teacher_features"][rows].astype(np.float64)
        mean, deviation = known.mean(axis=(0, 1)), known.std(axis=(0, 1))

        def scaled(arrays: Mapping[str, Any]) -> Mapping[str, Any]:
            features = arrays["teacher_features"][np.arange(len(arrays["teacher_features"]))]
            scaled = _TEACHER_SPREAD * (features - mean) / np.maximum(deviation, 1e-6)
            return {**arrays, "teacher_features": scaled.astype(np.float32)}

        return scaled

    def vectors(self, arrays: Mapping[str, Any]) -> np.ndarray:
        """See `System`; EEG only, as in the network's test, without the empty cells of the grid."""
        vectors = super().vectors({"eeg": arrays["eeg"]})
        return vectors[:, vectors.any(axis=0)]

    @override
    def model(self, shapes: Mapping[str, tuple[int, ...]], n_classes: int, inference: Mapping[str, Any]) -> keras.Model:
        from keras_emotion.models import FACRNNEEGNetwork

        n_steps, rows, columns, n_bands = shapes["eeg"]
        # The features fitted to the teacher's are the recurrent states: as wide as the teacher's, 128 in the paper.
        units = shapes["teacher_features"][-1] if "teacher_features" in shapes else 128
        return FACRNNEEGNetwork(
            n_steps=n_steps,
            grid_shape=(rows, columns),
            n_bands=n_bands,
            n_classes=n_classes,
            band_attention=self._attends_to_bands,
            band_attention_kernel_size=self.band_attention_kernel_size,
            self_attention=self.self_attention,
            cell=self.cell,
            dense_activation=self.dense_activation,
            width_multiplier=self.width_multiplier,
            units=units,
            distillation_features=self.distillation_features,
            scale_features=self.scale_features != "none",
            inference=inference,
        )

    def losses(self) -> dict[str, Any]:
        """See `System`; Eq. (21)-(22)."""
        from keras_emotion.models import distillation_losses

        return distillation_losses(self.rho, self.w, self.step_reduction, teacher=self.teacher != "none")

    @override
    def inputs(self, elements: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {"eeg": elements["eeg"]}

    def targets(self, elements: dict[str, np.ndarray], labels: np.ndarray) -> dict[str, np.ndarray]:
        """See `NetworkSystem`; every step of a window has the label of the window."""
        targets = {"probabilities": np.repeat(labels.reshape(len(labels), 1), elements["eeg"].shape[1], axis=1)}
        if "teacher_features" in elements:
            targets["features"] = elements["teacher_features"]
        return targets

    def fit_statistics(self, model: keras.Model, arrays: Mapping[str, Any], rows: np.ndarray) -> None:
        """See `System`; fits the network's scaler."""
        if self.scale_features == "none":
            return
        mean, deviation = feature_statistics(arrays["eeg"], rows)
        if self.scale_features == "overall":
            mean, deviation = _overall(mean, deviation)
        model.feature_scaling.set_statistics(mean, deviation)

    def diagnostics(self, model: keras.Model, arrays: Mapping[str, Any], rows: np.ndarray) -> dict[str, float]:
        """Return the mean band attention over the test windows and their steps (the paper's Fig. 7)."""
        if not self._attends_to_bands:
            return {}
        import keras

        attention = keras.ops.convert_to_numpy(model.band_attention_weights({"eeg": arrays["eeg"][rows]}))
        means = attention.astype(np.float64).mean(axis=(0, 1))
        return {f"band_attention_{band}": float(mean) for band, mean in zip(self.features.bands, means, strict=True)}

    def model_inputs(self) -> dict[str, ModelInput]:
        """See `System`; EEG only, as in the test."""
        return {"eeg": ModelInput(part="eeg", array="eeg")}


def _overall(mean: np.ndarray, deviation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return one mean and deviation for all varying cells; empty cells of the grid keep theirs, 0."""
    varies = deviation > 0
    if not varies.any():
        return mean, deviation
    means = mean[varies].astype(np.float64)
    variance = (deviation[varies].astype(np.float64) ** 2).mean() + means.var()
    return np.where(varies, means.mean(), mean), np.where(varies, np.sqrt(variance), deviation)


class FACRNNExperiment(Experiment):
    """An experiment with 3FACRNN."""

    system: FACRNN = FACRNN()
