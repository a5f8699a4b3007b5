"""Features of the pictures of stimuli by VGG19, computed once a clip."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from keras_emotion.keras_settings import own_keras_settings
from keras_emotion.pipelines import MediaFrames, path_hash
from keras_emotion.schema import Clip, InputError, Trial

if TYPE_CHECKING:
    import keras

_FRAMES_AT_ONCE = 32

# Means of blue, green and red over ImageNet, which the released weights expect to be subtracted.
_MEANS_BGR = (103.939, 116.779, 123.68)

N_FEATURES = 512
"""Features of a picture: the last convolution's, averaged over the picture."""


class VGG19Frames(MediaFrames):
    """Features of the frames of clips by VGG19 [1]: `{"visual": (blocks, frames, 512)}`, float32.

    The outputs of the last convolution block of `keras.applications.VGG19`, averaged over the picture. A frame that is
    in two overlapping blocks is computed once. Without `weights` the network is random (He's normal distribution),
    equal for the same `seed` on every backend: its features still tell colours and textures apart, but are not those of
    a network that has learnt from photographs, and a run is flagged.

    Args:
        window_seconds: length of a block in seconds.
        hop_seconds: from the start of a block to that of the next; `None`: side by side.
        frame_rate_hz: frames a second; a block has a whole number of them.
        image_size: side of the pictures in pixels; 224 where the weights were trained.
        weights: Keras's weights of VGG19 without its dense layers, `..._kernels_notop.h5` or `.weights.h5`.
        seed: seed of random weights.

    References:
        [1] Simonyan and Zisserman, Very deep convolutional networks for large-scale image recognition,
        arXiv:1409.1556, 2014.
    """

    code_version: ClassVar[int] = 1
    local_fields: ClassVar[frozenset[str]] = frozenset({"weights"})

    image_size: Annotated[int, Field(ge=32, le=1024)] = 224
    weights: Path | None = None
    seed: Annotated[int, Field(ge=0)] = 0

    def key(self) -> dict[str, Any]:
        """See `FeaturePart`; of the weights the content, not the place."""
        return {**super().key(), "weights": self.weights and path_hash(self.weights)}

    def flags(self, trial: Trial) -> tuple[str, ...]:
        """See `FeaturePart`."""
        return () if self.weights else ("picture features by a VGG19 with random weights",)

    def array_shapes(self, n_channels: int, sampling_rate_hz: float) -> dict[str, tuple[int, ...]]:
        """See `FeaturePart`."""
        return {"visual": (self.n_frames, N_FEATURES)}

    def _of_clip(self, clip: Clip, starts: np.ndarray) -> dict[str, np.ndarray]:
        frames = super()._of_clip(clip, starts)["frames"]
        times = starts[:, np.newaxis] + (np.arange(self.n_frames) + 0.5) / self.frame_rate_hz
        _, first, inverse = np.unique(times.ravel().round(6), return_index=True, return_inverse=True)
        flat = frames.reshape(-1, *frames.shape[2:])
        parts = [first[start : start + _FRAMES_AT_ONCE] for start in range(0, len(first), _FRAMES_AT_ONCE)]
        with own_keras_settings():
            features = np.concatenate([self._of_pictures(flat[part]) for part in parts])
        return {"visual": features[inverse].reshape(len(starts), self.n_frames, N_FEATURES)}

    def _of_pictures(self, pictures: np.ndarray) -> np.ndarray:
        import keras

        network = _network(self.image_size, self.seed, self.weights, self.weights and path_hash(self.weights))
        centred = pictures[..., ::-1].astype(np.float32) - np.array(_MEANS_BGR, np.float32)
        return keras.ops.convert_to_numpy(network(centred, training=False)).astype(np.float32)


@functools.lru_cache(maxsize=1)
def _network(image_size: int, seed: int, weights: Path | None, content: str | None) -> keras.Model:
    """VGG19; the hash of its weights is an argument so that another file of the same name is read."""
    import keras

    if weights is not None and not weights.is_file():
        raise InputError(f"{weights}: no such file; expected weights of VGG19 in Keras's format (.h5)")
    shape = (image_size, image_size, 3)
    network = keras.applications.VGG19(include_top=False, weights=None, input_shape=shape, pooling="avg")
    if weights is not None:
        try:
            network.load_weights(weights)
        except (OSError, ValueError, KeyError, TypeError) as error:
            reason = str(error).strip().partition("\n")[0]
            raise InputError(
                f"{weights}: not readable as weights of VGG19 ({reason}); expected those of Keras without the dense "
                "layers (..._notop.h5)"
            ) from error
        return network
    rng = np.random.default_rng(seed)
    drawn = []
    for value in network.get_weights():
        # A kernel (rows, columns, in, out), or a bias.
        deviation = np.sqrt(2 / np.prod(value.shape[:-1])) if value.ndim > 1 else 0.0
        drawn.append(deviation * rng.standard_normal(value.shape, np.float32))
    network.set_weights(drawn)
    return network
