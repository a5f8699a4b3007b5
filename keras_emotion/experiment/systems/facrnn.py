"""3FACRNN (Du et al., 2024) as a system: EEG grid features, the EEG network, distillation from a teacher."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field, model_validator

from keras_emotion.experiment.configuration import Experiment
from keras_emotion.experiment.system import System
from keras_emotion.pipelines import EEGGridFeatures, Features, StoredFeatures, TeacherFeatures, feature_statistics
from keras_emotion.schema import InputError, Trial

if TYPE_CHECKING:
    import keras


class FACRNN(System):
    """The EEG network of 3FACRNN and how it is fed and trained; the ablations of the paper's Tables 3 to 5 are fields.

    | row of the paper | fields |
    |---|---|
    | Table 3, only band attention | `self_attention=False` |
    | Table 3, only self-attention | `band_attention=False` |
    | Table 3, without any attention | both of these |
    | Table 4, raw EEG | `features.representation="raw_slices"` (or `"raw_samples"`); turns band attention off |
    | Table 5, without visual features | `teacher=None` |

    Args:
        features: the 3D feature construction, see `EEGGridFeatures`.
        band_attention: attention over bands, Eq. (4)-(5).
        band_attention_kernel_size: width of its convolution; `None` is the adaptive size of Eq. (4), 1 for four bands.
        self_attention: attention over steps, Eq. (18)-(20).
        cell: `"lstm"`, or `"peephole"` as Eq. (12)-(15) print.
        dense_activation: activation of the dense layer after the convolutions; Eq. (11) prints none.
        width_multiplier: scales the channels of the convolutions and the dense layer, for reduced runs.
        distillation_features: which features approach the teacher's: `"attention"` (A_t) or `"lstm"` (h_t).
        teacher: `.npz` file of teacher features (`keras_emotion.pipelines.TeacherFeatures`), or `None`: the network
            then learns from the labels alone.
        rho: weight of the cross-entropy in Eq. (21).
        w: weight of the distillation loss in Eq. (22); the paper's best was 1.0.
        step_reduction: `"sum"` of the cross-entropy over the steps as printed, or `"mean"`.
    """

    features: EEGGridFeatures = EEGGridFeatures()
    band_attention: bool = True
    band_attention_kernel_size: int | None = None
    self_attention: bool = True
    cell: Literal["lstm", "peephole"] = "lstm"
    dense_activation: Literal["relu"] | None = None
    width_multiplier: Annotated[float, Field(gt=0)] = 1.0
    distillation_features: Literal["attention", "lstm"] = "attention"
    teacher: Path | None = None
    rho: Annotated[float, Field(ge=0, le=1)] = 0.8
    w: Annotated[float, Field(ge=0)] = 1.0
    step_reduction: Literal["sum", "mean"] = "sum"

    @model_validator(mode="after")
    def _steps_match_the_teacher(self):
        if self.teacher is not None and self.features.representation == "raw_samples":
            raise ValueError("teacher: has one feature vector a slice; representation 'raw_samples' has no slices")
        return self

    @property
    def _attends_to_bands(self) -> bool:
        # Raw EEG has no bands: the paper removes the module with the features (section 3.3).
        return self.band_attention and self.features.representation == "differential_entropy"

    @property
    def paper_variant(self) -> str | None:
        """See `System`; of several ablations at once, which the paper did not run, the one that it saw cost most."""
        if self.features.representation != "differential_entropy":
            return "With raw EEG signals"
        if not self.band_attention and not self.self_attention:
            return "W/O any attention"
        if not self.self_attention:
            return "With only Frequency Band-attention"
        if self.teacher is None:
            return "W/O visual feature"
        return None if self.band_attention else "With only Self-attention"

    def science(self) -> dict[str, Any]:
        """See `System`; the teacher's path is replaced by whether there is one (its content is fingerprinted)."""
        return {**self.model_dump(mode="json"), "teacher": "none" if self.teacher is None else "file"}

    def source_files(self) -> tuple[Path, ...]:
        """See `System`."""
        return () if self.teacher is None else (self.teacher,)

    def feature_key(self) -> dict[str, Any]:
        """See `System`."""
        return {
            "kind": type(self.features).__name__,
            "code_version": self.features.code_version,
            **self.features.model_dump(mode="json"),
        }

    def compute_features(self, trials: Iterable[Trial]) -> Features:
        """See `System`."""
        return self.features.of_trials(trials)

    def join(self, stored: StoredFeatures) -> tuple[StoredFeatures, dict[str, int]]:
        """Pair each window with its teacher features; a window without them is dropped and counted."""
        if self.teacher is None:
            return stored, {}
        features, found = TeacherFeatures(self.teacher).of_windows(stored.table)
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
        dropped = {"no teacher features": int((~found).sum())} if not found.all() else {}
        return StoredFeatures(arrays, joined.table), dropped

    def model(self, shapes: Mapping[str, tuple[int, ...]], n_classes: int, inference: Mapping[str, Any]) -> keras.Model:
        """See `System`."""
        from keras_emotion.models import FACRNNEEGNetwork

        n_steps, rows, columns, n_bands = shapes["eeg"]
        # The features that approach the teacher's are the recurrent states: as wide as the teacher's, 128 in the paper.
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
            inference=inference,
        )

    def losses(self) -> dict[str, Any]:
        """See `System`; Eq. (21)-(22)."""
        from keras_emotion.models import distillation_losses

        return distillation_losses(self.rho, self.w, self.step_reduction, teacher=self.teacher is not None)

    def batch(self, elements: dict[str, np.ndarray], labels: np.ndarray) -> tuple:
        """See `System`; every step of a window has the label of the window."""
        targets = {"probabilities": np.repeat(labels[:, np.newaxis], elements["eeg"].shape[1], axis=1)}
        if "teacher_features" in elements:
            targets["features"] = elements["teacher_features"]
        return {"eeg": elements["eeg"]}, targets

    def fit_statistics(self, model: keras.Model, arrays: Mapping[str, Any], rows: np.ndarray) -> None:
        """See `System`; the scaler of the network."""
        model.feature_scaling.set_statistics(*feature_statistics(arrays["eeg"], rows))

    def diagnostics(self, model: keras.Model, arrays: Mapping[str, Any], rows: np.ndarray) -> dict[str, float]:
        """Mean band attention over the test windows and their steps (the paper's Fig. 7)."""
        if not self._attends_to_bands:
            return {}
        import keras

        attention = keras.ops.convert_to_numpy(model.band_attention_weights({"eeg": arrays["eeg"][rows]}))
        means = attention.astype(np.float64).mean(axis=(0, 1))
        return {f"band_attention_{band}": float(mean) for band, mean in zip(self.features.bands, means, strict=True)}

    def inference(self, trial: Trial) -> dict[str, Any]:
        """See `System`."""
        return {
            "features": json.loads(self.features.model_dump_json()),
            "channel_names": list(trial.eeg_channel_names),
            "sampling_rate_hz": trial.recording.sampling_rate_hz,
        }


class FACRNNExperiment(Experiment):
    """An experiment with 3FACRNN."""

    system: FACRNN = FACRNN()


def presets(paper: FACRNNExperiment, demo: Mapping[str, Any]) -> dict[str, FACRNNExperiment]:
    """The presets of a reproduction.

    Args:
        paper: the experiment as printed. At its learning rate of 1e-6 and nine steps an epoch the weights hardly move.
        demo: fields (dotted names) that fit the demo to its data.

    Returns:
        By name: `paper`; `converged`, with a learning rate at which the network learns; `reduced`, a quarter of the
        channels, one repetition and at most five folds besides; `demo`, that on few subjects, folds and epochs.
    """
    converged = paper.changed({"training.learning_rate": 1e-3})
    reduced = converged.changed({"system.width_multiplier": 0.25, "maximum_repetitions": 1, "maximum_folds": 5})
    small = reduced.changed({"maximum_folds": 3, "training.epochs": 6, "training.batch_size": 32, **demo})
    return {"paper": paper, "converged": converged, "reduced": reduced, "demo": small}
