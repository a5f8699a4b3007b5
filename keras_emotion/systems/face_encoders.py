"""AlexNet features of faces with released or random weights, computed once and stored."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
import pandas as pd
from pydantic import Field, model_validator
from typing_extensions import override

from keras_emotion.keras_settings import check_keras_can_start, own_keras_settings
from keras_emotion.pipelines import FaceFeatures, Features, path_hash
from keras_emotion.pipelines.features import UNUSABLE
from keras_emotion.pipelines.windowing import Seconds, StepCount
from keras_emotion.schema import InputError, Trial
from keras_emotion.systems.media_encoders import EncodedPart, FrameEncoder, Size

if TYPE_CHECKING:
    import keras

# ImageNet statistics of the released weights, for colours from 0 to 1.
_MEANS, _DEVIATIONS = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_RELEASED_SIZE = 227


class FaceEncoder(FrameEncoder):
    """AlexNet (`keras_emotion.models.AlexNet`): output of its second dense layer, after the ReLU.

    Without `weights` the network is random (He's normal distribution, biases 0; identical for a `seed` on every
    backend), and a run is flagged.

    Args:
        weights: a file for `AlexNet.load_released_weights`, which determines the sizes; `None`: random weights.
        weights_hash: see the base class.
        seed: seed of random weights.
        filters: filters of the five convolutions, without `weights`.
        units: units of the two dense layers, without `weights`.
    """

    filters: tuple[Size, Size, Size, Size, Size] = (64, 192, 384, 256, 256)
    units: tuple[Size, Size] = (4096, 4096)

    @property
    def output_size(self) -> int:
        """Number of features of a face.

        Raises:
            InputError: the weights cannot be read.
        """
        return self.portable().units[1]

    def check_image_size(self, image_size: int) -> None:
        """See `FrameEncoder`; without weights 63 pixels or more, with weights the sizes that fit their maps."""
        check_keras_can_start()
        from keras_emotion.models.alexnet import SMALLEST, map_side

        if image_size < SMALLEST:
            raise ValueError(f"image_size: {image_size} pixels; expected {SMALLEST} or more for AlexNet")
        if self.weights is not None:
            side = _released(self.weights, self._hash_of_weights(self.weights))["side"]
            if map_side(image_size) != side:
                raise InputError(
                    f"{self.weights}: the first dense layer is for maps of {side} x {side}, but faces of {image_size} "
                    f"pixels give {map_side(image_size)} x {map_side(image_size)}; use faces of the size of the "
                    "weights (227 or 224 pixels as released)"
                )

    def build(self, image_size: int) -> keras.Model:
        """See `FrameEncoder`; pixels from 0 to 255 are scaled by ImageNet's mean and deviation in the network."""
        self.checked()
        self.check_image_size(image_size)
        with own_keras_settings():
            import keras

            from keras_emotion.models import AlexNet

            if self.weights is None:
                network = AlexNet(image_size, self.filters, self.units, dtype="float32")
                generator = np.random.default_rng(self.seed)
                network.set_weights([_random(value.shape, generator) for value in network.get_weights()])
            else:
                network = AlexNet.load_released_weights(self.weights, image_size=image_size, dtype="float32")
            pictures = keras.Input((image_size, image_size, 3), name="pictures")
            scales = [1 / 255 / deviation for deviation in _DEVIATIONS]
            offsets = [-mean / deviation for mean, deviation in zip(_MEANS, _DEVIATIONS, strict=True)]
            scaled = keras.layers.Rescaling(scales, offsets, dtype="float32", name="colours")(pictures)
            return keras.Model(pictures, network(scaled), name="face_encoder")

    def _sizes_of_weights(self, weights: Path) -> Mapping[str, Any]:
        released = _released(weights, self._hash_of_weights(weights))
        return {"filters": released["filters"], "units": released["units"], "seed": 0}

    def _hash_of_weights(self, weights: Path) -> str:
        # Cached by content: the file may have another name where the model is applied.
        found = path_hash(weights) if weights.is_file() else None
        if found is None:
            raise InputError(f"{weights}: no such file; expected released weights of AlexNet (.pth, .pt or .npz)")
        return found


@functools.lru_cache(maxsize=4)
def _released(file: Path, content: str) -> Mapping[str, Any]:
    """Read the sizes of released weights; the content is an argument so that a changed file is read again."""
    check_keras_can_start()
    from keras_emotion.models.alexnet_weights import AlexNetWeights

    weights = AlexNetWeights.read(file)
    return {**weights.sizes, "side": weights.side}


def _random(shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
    """Draw a kernel with its outputs last, or a bias."""
    if len(shape) == 1:
        return np.zeros(shape, np.float32)
    # After a ReLU, twice the inverse of the inputs preserves the variance [He et al., ICCV 2015].
    return np.float32(np.sqrt(2 / np.prod(shape[:-1]))) * generator.standard_normal(shape, np.float32)


class EncodedFaces(EncodedPart, FaceFeatures):
    """Encoded faces: `{"face_features": (windows, steps, units)}`, float32.

    The crops are those of `FaceFeatures`, 8 per second in windows of 5 s; they are encoded one trial at a time and not
    stored: the crops of a trial of 60 s take 74 MB, their features 8 MB. An unusable window is filled with zeros.

    **Deviations**: the paper of the video-EEG hierarchical LSTM detects faces by a Faster-RCNN and trains the layers
    after it jointly; here the weights are those of ImageNet, and the faces those of `FaceFeatures`.

    Args:
        encoder: the network; see `FaceFeatures` for all other fields.
        window_seconds: length of a window in seconds.
        steps: number of faces of a window.
        image_size: side of the crops in pixels; 227 for released weights.
    """

    code_version: ClassVar[int] = 1
    needs_backend: ClassVar[bool] = True

    window_seconds: Seconds = 5.0
    steps: StepCount = 40
    image_size: Annotated[int, Field(ge=8, le=4096)] = _RELEASED_SIZE
    encoder: FaceEncoder = Field(default_factory=FaceEncoder)

    @model_validator(mode="after")
    def _network_fits_the_pictures(self):
        # The size of the released weights fits; checking other sizes needs the network, and with it Keras.
        if self.encoder.weights is None and self.image_size != _RELEASED_SIZE:
            self.encoder.check_image_size(self.image_size)
        return self

    def flags(self, trial: Trial) -> tuple[str, ...]:
        """See `FeaturePart`; reports random weights."""
        return ("face features by a network with random weights",) if self.encoder.is_random else ()

    @override
    def array_shapes(self, n_channels: int, sampling_rate_hz: float) -> dict[str, tuple[int, ...]]:
        return {"face_features": (self.steps, self.encoder.output_size)}

    def extract(self, trials: Iterable[Trial]) -> Features:
        """See `FeaturePart`.

        Raises:
            InputError: see `FaceFeatures`; or the weights are missing, damaged, or differ from the model's.
        """
        encode, found, tables = self.encoder.encode(self.image_size), [], []
        for trial in trials:
            arrays, table = super().extract([trial])
            crops = arrays.pop("faces")
            features = np.zeros((*crops.shape[:2], self.encoder.output_size), np.float32)
            for window in np.flatnonzero(table[UNUSABLE] == ""):
                features[window] = encode(crops[window])
            found.append({**arrays, "face_features": features})
            tables.append(table)
        if not found:
            raise InputError("no trials to compute features from")
        if len({arrays["face_features"].shape[1] for arrays in found}) > 1:
            raise InputError(f"{trial.dataset}: single pictures and clips of several cannot be mixed")
        joined = {name: np.concatenate([arrays[name] for arrays in found]) for name in found[0]}
        return joined, pd.concat(tables, ignore_index=True)
