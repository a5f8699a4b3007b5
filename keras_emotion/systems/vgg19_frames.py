"""VGG19 features of stimulus pictures, computed once per clip."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from pydantic import Field
from typing_extensions import override

from keras_emotion.keras_settings import own_keras_settings
from keras_emotion.pipelines import path_hash
from keras_emotion.refusals import reason_of, refuse_special_file
from keras_emotion.schema import InputError
from keras_emotion.systems.media_encoders import EncodedFrames, FrameEncoder

if TYPE_CHECKING:
    import keras

# ImageNet means of red, green and blue, which the released weights require to be subtracted.
_MEANS = (123.68, 116.779, 103.939)
_SMALLEST = 32


class VGG19Encoder(FrameEncoder):
    """VGG19 [1] (`keras.applications.VGG19`): its last block of convolutions, averaged over the picture.

    Without `weights` the network is random (He's normal distribution, biases 0; identical for a `seed` on every
    backend), and a run is flagged: its features separate colours and textures, but are not learnt from photographs.

    Args:
        weights: Keras weights without the dense layers, `vgg19_..._notop.h5`; `None`: random weights.
        weights_hash: see the base class.
        seed: seed of random weights.

    References:
        [1] Simonyan and Zisserman (2015). Very deep convolutional networks for large-scale image recognition. ICLR.
    """

    @property
    def output_size(self) -> int:
        """Number of features of a picture."""
        return 512

    @override
    def check_image_size(self, image_size: int) -> None:
        if image_size < _SMALLEST:
            raise ValueError(f"image_size: {image_size} pixels; expected {_SMALLEST} or more for VGG19")

    def build(self, image_size: int) -> keras.Model:
        """See `FrameEncoder`; pixels from 0 to 255."""
        self.checked()
        self.check_image_size(image_size)
        with own_keras_settings():
            import keras

            shape = (image_size, image_size, 3)
            network = keras.applications.VGG19(include_top=False, weights=None, input_shape=shape, pooling="avg")
            if self.weights is None:
                rng = np.random.default_rng(self.seed)
                network.set_weights([_random(value.shape, rng) for value in network.get_weights()])
            else:
                self._load_into(network, self.weights)
            pictures = keras.Input(shape, name="pictures")
            centred = keras.layers.Rescaling(1.0, [-mean for mean in _MEANS], name="colours")(pictures)
            # Blue first, as in the training of the weights.
            return keras.Model(pictures, network(keras.ops.flip(centred, axis=-1)), name="picture_encoder")

    def _load_into(self, network: keras.Model, weights: Path) -> None:
        # Weights missing in the file stay NaN; Keras only warns about them.
        network.set_weights([np.full_like(value, np.nan) for value in network.get_weights()])
        reason = "weights are missing"
        try:
            refuse_special_file(weights)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                network.load_weights(weights)
        # h5py and Keras raise various exceptions for damaged files.
        except Exception as error:
            reason = reason_of(error, weights)
        if not all(np.isfinite(value).all() for value in network.get_weights()):
            raise InputError(
                f"{weights}: not readable as weights of VGG19 ({reason}); expected Keras weights without the "
                "dense layers (vgg19_..._notop.h5)"
            )

    def _sizes_of_weights(self, weights: Path) -> Mapping[str, Any]:
        return {"seed": 0}

    def _hash_of_weights(self, weights: Path) -> str:
        found = path_hash(weights) if weights.is_file() else None
        if found is None:
            raise InputError(f"{weights}: no such file; expected weights of VGG19 (vgg19_..._notop.h5)")
        return found


def _random(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Draw a kernel `(rows, columns, inputs, outputs)`, or a bias."""
    if len(shape) == 1:
        return np.zeros(shape, np.float32)
    # After a ReLU, twice the inverse of the inputs preserves the variance [He et al., ICCV 2015].
    return np.float32(np.sqrt(2 / np.prod(shape[:-1]))) * rng.standard_normal(shape, np.float32)


class VGG19Frames(EncodedFrames):
    """Frames of the clips encoded by VGG19: `{"picture": (blocks, frames, 512)}`, float32.

    Args:
        window_seconds: length of a block in seconds.
        hop_seconds: time between consecutive block starts in seconds; `None`: no overlap.
        frame_rate_hz: frames per second; a block has a whole number of them.
        image_size: side of the pictures in pixels; 224 for the released weights.
        encoder: the network.
    """

    code_version: ClassVar[int] = 1

    encoder: VGG19Encoder = Field(default_factory=VGG19Encoder)  # type: ignore[assignment]  # another encoder
