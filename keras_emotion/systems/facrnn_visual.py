"""Visual network of 3FACRNN (Du et al., 2024) as a system, and as the teacher of the EEG network."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field
from typing_extensions import override

from keras_emotion.file_names import word_file_name
from keras_emotion.options import Option
from keras_emotion.pipelines import (
    FaceFeatures,
    FeaturePart,
    Features,
    ModelInput,
    StoredFeatures,
    content_hash,
    path_hash,
)
from keras_emotion.pipelines.features import UNUSABLE
from keras_emotion.schema import InputError
from keras_emotion.systems.base import NetworkSystem
from keras_emotion.systems.experiment import Experiment
from keras_emotion.systems.registry import register_system
from keras_emotion.systems.settings import Training

if TYPE_CHECKING:
    import keras


@register_system
class FACRNNVisual(NetworkSystem):
    """Visual network of 3FACRNN, trained alone; steps have their own labels if the data rate each frame.

    Args:
        faces: extraction of faces from videos or pictures.
        width_multiplier: scales the channels of the convolutions, for reduced runs.
        padding: `"causal"`, or `"same"`: a step uses later steps, too.
        share_modules: whether both temporal modules share their weights.
        normalization: in the temporal modules, `"layer"` (the paper: "normalization layer", kind not stated) or
            `"batch"`, whose moving averages need hundreds of steps and include the padding of a last batch.
        dropout: dropout rate of the temporal network.
        step_reduction: `"sum"` of the cross-entropy over the steps, or `"mean"`.
        initial_weights: saved visual networks with the initial weights, a `.keras` file or a folder with
            `<target>.keras`, as saved by `affectnet_visual` and `afew_va_visual`; `None`: random weights. All weights
            are loaded and trained further.
        first_trained_on: the dataset on which the paper trains the network before this one; empty if this is the first.
            It does not affect results: without `initial_weights` it is reported as a difference from the paper.
    """

    faces: FaceFeatures = Field(default_factory=FaceFeatures)
    width_multiplier: Annotated[float, Field(gt=0)] = 1.0
    padding: Literal["causal", "same"] = "causal"
    share_modules: bool = False
    normalization: Literal["layer", "batch"] = "layer"
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5
    step_reduction: Literal["sum", "mean"] = "sum"
    initial_weights: Path | None = None
    first_trained_on: Annotated[str, Option(fixed=True)] = ""

    def scientific_config(self) -> dict[str, Any]:
        """See `System`; a detector file and networks are represented by content, as in the feature store."""
        fields = {**self.model_dump(mode="json", exclude={"first_trained_on"}), "faces": self.faces.key()}
        # Left out if empty, so that identities of earlier versions stay the same.
        del fields["initial_weights"]
        if self.initial_weights is not None:
            files = _saved_networks(self.initial_weights, "--system.initial-weights")
            fields["initial_weights"] = {target: path_hash(file) for target, file in files.items()}
        return fields

    def unlike_the_paper(self) -> tuple[str, ...]:
        """See `System`; section 3.2: "as a fine-tuning step"."""
        lines = [f"faces are detected by {self.faces.detector}; in the paper by OpenFace"]
        if self.initial_weights is None and self.first_trained_on:
            lines.append(f"trained on this dataset alone; in the paper on {self.first_trained_on} first")
        return tuple(lines)

    @override
    def source_files(self) -> tuple[Path, ...]:
        if self.initial_weights is None:
            return ()
        return tuple(_saved_networks(self.initial_weights, "--system.initial-weights").values())

    @override
    def parts(self) -> dict[str, FeaturePart]:
        return {"faces": self.faces}

    def model(self, shapes: Mapping[str, tuple[int, ...]], n_classes: int, inference: Mapping[str, Any]) -> keras.Model:
        """See `System`.

        Raises:
            InputError: `initial_weights` has no network of this target, or one of another architecture.
        """
        from keras_emotion.models import FACRNNVisualNetwork

        model = FACRNNVisualNetwork(
            n_steps=self.faces.steps,
            image_size=self.faces.image_size,
            n_classes=n_classes,
            width_multiplier=self.width_multiplier,
            padding=self.padding,
            share_modules=self.share_modules,
            normalization=self.normalization,
            dropout=self.dropout,
            inference=inference,
        )
        if self.initial_weights is not None:
            self._start_from_saved(model, self.initial_weights, str(inference.get("target", "")))
        return model

    def _start_from_saved(self, model: keras.Model, saved_file: Path, target: str) -> None:
        files = _saved_networks(saved_file, "--system.initial-weights")
        # The network is also built without a target, to inspect its shapes.
        file = files.get("", files.get(word_file_name(target)) if target else next(iter(files.values())))
        if file is None:
            raise InputError(
                f"{saved_file}: has no network of target {target!r}; it has {', '.join(files)}; train one "
                f"with --targets {target}"
            )
        saved = _load(file, path_hash(file), self.faces, "faces.steps")
        learnt = (saved.inference or {}).get("target", "")
        if target and learnt and learnt != target:
            raise InputError(f"{file}: a network of target {learnt!r}; expected one of {target!r}")
        for field in ("width_multiplier", "padding", "share_modules", "normalization", "n_classes"):
            there, here = getattr(saved, field), getattr(model, field)
            if there != here:
                raise InputError(
                    f"{file}: a network with {field} {there}, here it is {here}; expected the same; train both with "
                    "the same preset and options"
                )
        model.set_weights(saved.get_weights())

    def losses(self) -> dict[str, Any]:
        """See `System`: cross-entropy of the steps."""
        from keras_emotion.models import distillation_losses

        return distillation_losses(step_reduction=self.step_reduction, teacher=False)

    def inputs(self, elements: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """See `NetworkSystem`; a single picture is a window of identical steps."""
        faces = elements["faces"]
        return {"faces": faces if faces.shape[1] == self.faces.steps else np.repeat(faces, self.faces.steps, axis=1)}

    def targets(self, elements: dict[str, np.ndarray], labels: np.ndarray) -> dict[str, np.ndarray]:
        """See `NetworkSystem`; a step without its own label has that of the window."""
        labels = labels.reshape(len(labels), -1)
        if labels.shape[1] != self.faces.steps:
            labels = np.repeat(labels, self.faces.steps, axis=1)
        return {"probabilities": labels}

    @override
    def model_inputs(self) -> dict[str, ModelInput]:
        return {"faces": ModelInput(part="faces", array="faces")}


class FACRNNVisualExperiment(Experiment):
    """An experiment with the visual network of 3FACRNN, trained as in section 3.2 of the paper."""

    system: FACRNNVisual = Field(default_factory=FACRNNVisual)
    training: Training = Training(learning_rate=1e-5)


class TeacherOfFile:
    """Features of stored faces by saved visual networks: `teacher_features@<target>`, `(windows, steps, units)`.

    Args:
        path: a saved network (`.keras`), used for every target, or a folder with one for each, `<target>.keras`.
        faces: face extraction, which must equal that of the network's training.

    Raises:
        InputError: there is no network.
    """

    replaces = "faces"
    code_version: ClassVar[int] = 1

    def __init__(self, path: Path, faces: FaceFeatures):
        self.path, self.faces = path, faces
        self.files = teacher_files(path)

    def key(self) -> dict[str, Any]:
        """See `DerivedPart`."""
        contents = {target: content_hash([file]) for target, file in self.files.items()}
        return {"kind": type(self).__name__, "code_version": self.code_version, "networks": contents}

    def extract(self, stored: StoredFeatures) -> Features:
        """See `DerivedPart`.

        Raises:
            InputError: a file is not such a network, or was trained on differently extracted faces.
        """
        usable = (
            np.flatnonzero(stored.table[UNUSABLE] == "") if UNUSABLE in stored.table else np.arange(len(stored.table))
        )
        arrays = {}
        for target, file in self.files.items():
            model = _load(file, path_hash(file), self.faces)
            name = f"teacher_features@{target}" if target else "teacher_features"
            shape = model.output["features"].shape[1:]
            arrays[name] = np.zeros((len(stored.table), *shape), np.float32)
            for start in range(0, len(usable), 128):
                rows = usable[start : start + 128]
                given = model.predict_on_batch({"faces": stored.arrays["faces"][rows]})
                arrays[name][rows] = given["features"]
        return arrays, stored.table


@functools.lru_cache(maxsize=4)
def _load(file: Path, content: str | None, faces: FaceFeatures, steps_option: str = "features.steps") -> keras.Model:
    """Load a saved visual network and check its face extraction; once per process and file content."""
    from keras_emotion.models import FACRNNVisualNetwork
    from keras_emotion.models.saved_networks import load_network

    model = load_network(file, "{path}: not a saved network ({reason})")
    known = getattr(model, "inference", None) or {}
    # Version 0.1.0 stored the fields under another name.
    learnt = known.get("parts", {}).get("faces", {}).get("fields") or known.get("features", {})
    if "image_size" not in learnt or not isinstance(model, FACRNNVisualNetwork):
        raise InputError(f"{file}: not a visual network that this package trained; train one with afew_va_visual.py")
    for field in ("image_size", "margin", "steps"):
        wanted = getattr(faces, field)
        if learnt[field] != wanted:
            option = steps_option if field == "steps" else f"faces.{field.replace('_', '-')}"
            raise InputError(
                f"{file}: was trained on faces with {field} {learnt[field]}, here it is {wanted}; "
                f"use --system.{option} {learnt[field]}"
            )
    return model


def teacher_files(path: Path) -> dict[str, Path]:
    """Return saved networks by target; under an empty target one for all.

    Raises:
        InputError: there is none.
    """
    return _saved_networks(path, "--teacher", ", or features (.npz)")


def _saved_networks(path: Path, option: str, or_else: str = "") -> dict[str, Path]:
    if path.is_dir():
        files = {file.stem: file for file in sorted(path.glob("[!.]*.keras"))}
        if not files:
            raise InputError(f"{path}: contains no <target>.keras; give a teacher that afew_va_visual.py saved")
        return files
    if not path.is_file():
        raise InputError(f"{path}: no such file; {option} takes a saved network, a folder of them{or_else}")
    return {"": path}
