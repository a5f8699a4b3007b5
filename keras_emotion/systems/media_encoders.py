"""Encoders of stimulus pictures and sound: image transformer and VGGish, with released or random weights."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator
from typing_extensions import override

from keras_emotion.keras_settings import check_keras_can_start, own_keras_settings
from keras_emotion.options import Option
from keras_emotion.pipelines import FeaturePart, MediaFrames, MediaLogMel, MediaVGGishPatches, content_hash, path_hash
from keras_emotion.pipelines.media_features import PATCH_FRAMES, MediaSound
from keras_emotion.schema import Clip, InputError, Trial
from keras_emotion.systems.settings import Configuration
from keras_emotion.systems.vit_weights import ViTFolder, ViTSizes, set_arrays

if TYPE_CHECKING:
    import keras

FRAMES_AT_ONCE = 16
"""Number of pictures of a batch: a ViT-Base/16 holds 0.5 GiB of activations for them."""

PATCHES_AT_ONCE = 32
"""Number of sound patches of a batch."""

Encode = Callable[[np.ndarray], np.ndarray]
"""Function from `(samples, ...)` to `(samples, features)` float32."""

Seed = Annotated[int, Field(ge=0, lt=2**32)]

Size = Annotated[int, Field(ge=1, le=32768)]
"""Number of filters, units or features of a layer."""


class MediaEncoder(Configuration):
    """A network that encodes pictures or sound, by its sizes and weights.

    Args:
        weights: file or folder of the weights; `None`: random weights, drawn by `seed`.
        weights_hash: content hash that the weights must have; a saved model stores it in place of `weights`.
        seed: seed of random weights.
    """

    weights: Path | None = None
    weights_hash: Annotated[str | None, Field(max_length=64), Option(fixed=True)] = None
    seed: Seed = 0

    @property
    def is_random(self) -> bool:
        """Whether all weights are random."""
        return self.weights is None and self.weights_hash is None

    @property
    def needs_weights(self) -> bool:
        """Whether `weights` must be given again, because only their hash is known."""
        return self.weights is None and self.weights_hash is not None

    def portable(self) -> Self:
        """Return the equivalent encoder with sizes and hash of the weights instead of their path.

        Raises:
            InputError: the weights cannot be read.
        """
        if self.weights is None:
            return self
        sizes, weights_hash = self._sizes_of_weights(self.weights), self._hash_of_weights(self.weights)
        return type(self)(**{**dict(self), **sizes, "weights": None, "weights_hash": weights_hash})

    def checked(self) -> str | None:
        """Return the hash of the weights; `None` if they are random.

        Raises:
            InputError: the weights are missing, cannot be read, or do not match `weights_hash`.
        """
        if self.needs_weights:
            raise InputError(
                f"{type(self).__name__}: the model was trained with weights that it does not keep; expected their file "
                "or folder"
            )
        if self.weights is None:
            return None
        found = self._hash_of_weights(self.weights)
        if self.weights_hash not in (None, found):
            raise InputError(
                f"{self.weights}: not the weights that the model was trained with (their contents differ); give those"
            )
        return found

    def _sizes_of_weights(self, weights: Path) -> Mapping[str, Any]:
        """Fields that the weights determine."""
        raise NotImplementedError

    def _hash_of_weights(self, weights: Path) -> str:
        raise NotImplementedError


class FrameEncoder(MediaEncoder):
    """Encoder of pictures: the interface of its subclasses."""

    @property
    def output_size(self) -> int:
        """Number of features of a picture.

        Raises:
            InputError: the weights cannot be read.
        """
        raise NotImplementedError

    def check_image_size(self, image_size: int) -> None:
        """Refuse pictures of a size that the network does not accept.

        Raises:
            InputError: the weights are for pictures of another size, or cannot be read.
            ValueError: the network does not support this size.
        """

    def build(self, image_size: int) -> keras.Model:
        """Build a new network: `(batch, image_size, image_size, 3)` RGB to `(batch, output_size)`.

        Raises:
            InputError: the weights are missing or damaged.
        """
        raise NotImplementedError

    def encode(self, image_size: int) -> Encode:
        """Return the function that encodes `(pictures, image_size, image_size, 3)`, in inference and in equal batches.

        The network is built once per process.

        Raises:
            InputError: see `build`.
        """
        return _encode(self, self.checked(), image_size, FRAMES_AT_ONCE)


class PictureEncoder(FrameEncoder):
    """Image transformer (ViT) [1]: the [CLS] token of pictures.

    The network is `keras_hub.models.ViTBackbone`; the token is that after the last normalisation.

    **Deviations**: the paper of MERCL does not name the weights. Those of a KerasHub preset or in HuggingFace's format
    can be given; without any they are random, and a run is flagged.

    Args:
        weights: folder of a KerasHub preset (`config.json`, `model.weights.h5`, `image_converter.json`) or of
            HuggingFace (`config.json`, `model.safetensors`, `preprocessor_config.json`), which determines the sizes and
            the scaling of colours; `None`: random weights, pixels scaled to -1 to 1.
        weights_hash: see the base class.
        seed: seed of random weights.
        patch_size: side of a patch in pixels, used without `weights`, as the sizes below. Defaults are those of
            ViT-Base/16.
        n_layers: transformer blocks.
        n_heads: attention heads.
        width: number of features of a token, a multiple of `n_heads`.
        mlp_width: hidden units of the dense layers of a block.

    References:
        [1] Dosovitskiy et al. (2021). An image is worth 16x16 words: transformers for image recognition at scale. ICLR.
    """

    patch_size: Annotated[int, Field(ge=1, le=256)] = 16
    n_layers: Annotated[int, Field(ge=1, le=128)] = 12
    n_heads: Annotated[int, Field(ge=1, le=128)] = 12
    width: Annotated[int, Field(ge=1, le=8192)] = 768
    mlp_width: Annotated[int, Field(ge=1, le=32768)] = 3072

    @model_validator(mode="after")
    def _heads_share_the_features(self):
        if self.weights is None and self.width % self.n_heads:
            raise ValueError(f"width: {self.width} features for {self.n_heads} heads; expected a multiple")
        return self

    @property
    def output_size(self) -> int:
        """Number of features of a picture.

        Raises:
            InputError: the weights cannot be read.
        """
        return self.width if self.weights is None else ViTFolder.read(self.weights).sizes.width

    def check_image_size(self, image_size: int) -> None:
        """Refuse pictures of a size that the network does not accept.

        Raises:
            InputError: the weights are for pictures of another size, or cannot be read.
            ValueError: the size is not a multiple of the patches.
        """
        if self.weights is None:
            if image_size % self.patch_size:
                raise ValueError(
                    f"image_size: pictures of {image_size} pixels in patches of {self.patch_size}; expected a multiple"
                )
            return
        expected = ViTFolder.read(self.weights).image_size
        if image_size != expected:
            raise InputError(
                f"{self.weights}: weights for pictures of {expected} pixels, but pictures have {image_size}; give "
                f"--system.picture.image-size {expected}"
            )

    def build(self, image_size: int) -> keras.Model:
        """Build a new network.

        Args:
            image_size: side of the pictures in pixels.

        Returns:
            `(batch, image_size, image_size, 3)` RGB from 0 to 255, integer or floating-point, to `(batch, width)`
            float32. The network scales the colours.

        Raises:
            InputError: the weights are missing, damaged, do not match `weights_hash`, or are for pictures of another
                size.
            ValueError: the size is not a multiple of the patches.
        """
        self.checked()
        self.check_image_size(image_size)
        folder = None if self.weights is None else ViTFolder.read(self.weights)
        sizes = folder.sizes if folder else ViTSizes(**{name: getattr(self, name) for name in _VIT_SIZES})
        dropouts = (folder.dropout, folder.attention_dropout, folder.epsilon) if folder else (0.0, 0.0, 1e-6)
        scale, offset = (folder.scale, folder.offset) if folder else ((1 / 127.5,) * 3, (-1.0,) * 3)
        with own_keras_settings():
            # Imported here, because it takes seconds.
            import keras
            import keras_hub

            backbone = keras_hub.models.ViTBackbone(
                image_shape=(image_size, image_size, 3),
                patch_size=sizes.patch_size,
                num_layers=sizes.n_layers,
                num_heads=sizes.n_heads,
                hidden_dim=sizes.width,
                mlp_dim=sizes.mlp_width,
                dropout_rate=dropouts[0],
                attention_dropout=dropouts[1],
                layer_norm_epsilon=dropouts[2],
                data_format="channels_last",
                dtype="float32",
                name="vit",
            )
            if folder is None:
                set_arrays(backbone, sizes.random_arrays(image_size, self.seed))
            else:
                folder.load_into(backbone)
            pictures = keras.Input((image_size, image_size, 3), name="pictures")
            scaled = keras.layers.Rescaling(list(scale), list(offset), dtype="float32", name="colours")(pictures)
            return keras.Model(pictures, backbone(scaled)[:, 0], name="picture_encoder")

    def _sizes_of_weights(self, weights: Path) -> Mapping[str, Any]:
        sizes = ViTFolder.read(weights).sizes
        return {**{name: getattr(sizes, name) for name in _VIT_SIZES}, "seed": 0}

    def _hash_of_weights(self, weights: Path) -> str:
        return content_hash(ViTFolder.read(weights).files)


_VIT_SIZES = ("patch_size", "n_layers", "n_heads", "width", "mlp_width")


class SoundEncoder(MediaEncoder):
    """VGGish (`keras_emotion.models.VGGish`): the embedding of patches of 0.96 s of sound.

    Args:
        weights: a file for `VGGish.load_released_weights`, which determines the sizes; `None`: random weights.
        weights_hash: see the base class.
        seed: seed of random weights.
        front_end: kind of patches: `"log_mel"`, those of MERCL (20 bands, `MediaLogMel`), for which released weights
            fit the convolutions only, so that the dense layers are random; or `"vggish"`, those of the released weights
            (64 bands, `MediaVGGishPatches`).
        filters: filters of the four groups of convolutions, without `weights`.
        units: units of the two hidden dense layers, if they are random, as the sizes below.
        embedding_size: number of features of the embedding.
        embedding_activation: activation of the embedding; `None`: that of the released weights (ReLU in the PyTorch
            port, none in TF-Slim), and none if the dense layers are random.
    """

    front_end: Literal["log_mel", "vggish"] = "log_mel"
    filters: tuple[Size, Size, Size, Size] = (64, 128, 256, 512)
    units: tuple[Size, Size] = (4096, 4096)
    embedding_size: Size = 128
    embedding_activation: Literal["linear", "relu"] | None = None

    @property
    def n_bands(self) -> int:
        """Number of bands of a patch."""
        return _FRONT_ENDS[self.front_end].n_bands

    @property
    def has_random_dense_layers(self) -> bool:
        """Whether the dense layers have random weights."""
        return self.is_random or self.front_end == "log_mel"

    @property
    def output_size(self) -> int:
        """Number of features of a patch.

        Raises:
            InputError: the weights cannot be read.
        """
        return self.portable().embedding_size

    def build(self) -> keras.Model:
        """Build a new network.

        Returns:
            `(batch, 96, bands)` to `(batch, embedding_size)` float32; 20 or 64 bands, see `front_end`.

        Raises:
            InputError: the weights are missing, damaged, or do not match `weights_hash`.
        """
        self.checked()
        sizes = dict(self.portable())
        with own_keras_settings():
            from keras_emotion.models import VGGish
            from keras_emotion.models.vggish_weights import CONVOLUTIONS, DENSE_LAYERS

            arguments = {name: sizes[name] for name in ("filters", "units", "embedding_size", "embedding_activation")}
            arguments |= {"n_frames": PATCH_FRAMES, "n_bands": self.n_bands, "dtype": "float32"}
            if self.weights is None:
                model = VGGish(**arguments)
            else:
                only = self.front_end == "log_mel"
                model = VGGish.load_released_weights(self.weights, convolutions_only=only, **arguments)
            generator = np.random.default_rng(self.seed)
            random = (CONVOLUTIONS if self.is_random else ()) + (DENSE_LAYERS if self.has_random_dense_layers else ())
            for layer in map(model.get_layer, random):
                shape = layer.kernel.shape
                # After a ReLU, twice the inverse of the inputs preserves the variance [He et al., ICCV 2015].
                deviation = np.float32(np.sqrt(2 / np.prod(shape[:-1])))
                kernel = deviation * generator.standard_normal(shape, np.float32)
                layer.set_weights([kernel, np.zeros(shape[-1], np.float32)])
            return model

    def encode(self) -> Encode:
        """Return the function that encodes `(patches, 96, bands)`, in inference and in equal batches.

        The network is built once per process.

        Raises:
            InputError: see `build`.
        """
        return _encode(self, self.checked(), None, PATCHES_AT_ONCE)

    def _sizes_of_weights(self, weights: Path) -> Mapping[str, Any]:
        released = _released(weights, self._hash_of_weights(weights))
        if self.front_end == "log_mel":
            return {"filters": released["filters"], "embedding_activation": self.embedding_activation or "linear"}
        return {
            **released,
            "embedding_activation": self.embedding_activation or released["embedding_activation"],
            "seed": 0,
        }

    def _hash_of_weights(self, weights: Path) -> str:
        # Cached by content: the file may have another name where the model is applied.
        found = path_hash(weights) if weights.is_file() else None
        if found is None:
            raise InputError(f"{weights}: no such file; expected released weights of VGGish (.pth, .pt or .npz)")
        return found


_FRONT_ENDS: Mapping[str, type[MediaSound]] = {"log_mel": MediaLogMel, "vggish": MediaVGGishPatches}


@functools.lru_cache(maxsize=4)
def _released(file: Path, content: str) -> Mapping[str, Any]:
    """Read the sizes of released VGGish weights; the content is an argument so that a changed file is read again."""
    check_keras_can_start()
    from keras_emotion.models.vggish_weights import VGGishWeights

    weights = VGGishWeights.read(file)
    return {**weights.sizes, "embedding_activation": "relu" if weights.is_port else "linear"}


@functools.lru_cache(maxsize=2)
def _encode(encoder: FrameEncoder | SoundEncoder, content: str | None, image_size: int | None, batch: int) -> Encode:
    build: Any = encoder.build
    model = build() if image_size is None else build(image_size)

    def encode(samples: np.ndarray) -> np.ndarray:
        import keras

        given = []
        with own_keras_settings():
            for start in range(0, len(samples), batch):
                some = samples[start : start + batch]
                # A single batch size, for which the network is traced once.
                padded = np.zeros((batch, *some.shape[1:]), some.dtype)
                padded[: len(some)] = some
                given.append(keras.ops.convert_to_numpy(model.predict_on_batch(padded))[: len(some)])
        return np.concatenate(given)

    return encode


class EncodedPart(FeaturePart):
    """Features of a fixed network: a mixin for the part whose pictures or sound it encodes.

    Args:
        encoder: the network.
    """

    needs_backend: ClassVar[bool] = True

    encoder: MediaEncoder

    def _portable(self) -> Self:
        return self.changed(encoder=self.encoder.portable())

    def key(self) -> dict[str, Any]:
        """See `FeaturePart`; weights are represented by content, not by path."""
        return super(EncodedPart, self._portable()).key()

    def description(self) -> dict[str, Any]:
        """See `FeaturePart`; weights are represented by sizes and content, not by path."""
        return super(EncodedPart, self._portable()).description()

    @classmethod
    @override
    def from_fields(cls, fields: Mapping[str, Any]) -> Self:
        encoder = fields.get("encoder")
        if isinstance(encoder, Mapping) and encoder.get("weights") is not None:
            raise ValueError("encoder.weights: is a path on another machine; expected nothing")
        return super().from_fields(fields)

    @property
    @override
    def needs_weights(self) -> bool:
        return self.encoder.needs_weights

    @override
    def with_weights(self, weights: Path) -> Self:
        if self.encoder.is_random:
            raise InputError(f"{weights}: the model was trained with random weights; leave it out")
        found = self.changed(encoder=self.encoder.changed({"weights": weights}))
        found.encoder.checked()
        return found


class EncodedFrames(EncodedPart, MediaFrames):
    """Encoded frames of the clips: `{"picture": (blocks, frames, width)}`, float32.

    The frames are those of `MediaFrames`, the features the [CLS] tokens of an image transformer in inference. Each
    frame is encoded once, even if it is in several blocks, and few frames are in memory at a time.

    Args:
        window_seconds: length of a block in seconds.
        hop_seconds: time between consecutive block starts in seconds; `None`: no overlap.
        frame_rate_hz: frames per second; a block has a whole number of them.
        image_size: side of the pictures in pixels, that of the weights.
        encoder: the transformer.
    """

    code_version: ClassVar[int] = 1

    encoder: PictureEncoder = Field(default_factory=PictureEncoder)

    @model_validator(mode="after")
    def _patches_fill_the_pictures(self):
        if self.encoder.weights is None:
            self.encoder.check_image_size(self.image_size)
        return self

    def flags(self, trial: Trial) -> tuple[str, ...]:
        """See `FeaturePart`; reports random weights."""
        return ("picture features by a network with random weights",) if self.encoder.is_random else ()

    @override
    def array_shapes(self, n_channels: int, sampling_rate_hz: float) -> dict[str, tuple[int, ...]]:
        return {"picture": (self.n_frames, self.encoder.output_size)}

    def _of_clip(self, clip: Clip, starts: np.ndarray) -> dict[str, np.ndarray]:
        encode = self.encoder.encode(self.image_size)
        frames = self.frames_of(clip, starts)
        flat = np.empty((len(starts) * self.n_frames, self.encoder.output_size), np.float32)
        while some := list(itertools.islice(frames, FRAMES_AT_ONCE)):
            encoded = encode(np.stack([picture for _, picture in some]))
            for (places, _), one in zip(some, encoded, strict=True):
                flat[places] = one
        return {"picture": flat.reshape(len(starts), self.n_frames, -1)}


class EncodedSound(EncodedPart, MediaSound):
    """Encoded sound of the clips: `{"sound": (blocks, patches, embedding_size)}`, float32.

    The patches are those of `MediaLogMel` or `MediaVGGishPatches`, four per block of 4 s, the features the embeddings
    of VGGish in inference. In addition `"energy_dbfs"`, `(blocks, 1)`, as in `MediaLogMel`.

    Args:
        window_seconds: length of a block in seconds.
        hop_seconds: time between consecutive block starts in seconds; `None`: no overlap.
        encoder: VGGish, and the kind of its patches.
    """

    code_version: ClassVar[int] = 1
    array_name: ClassVar[str] = "sound"

    encoder: SoundEncoder = Field(default_factory=SoundEncoder)

    @property
    def front_end(self) -> MediaSound:
        """The part whose patches are encoded."""
        return _FRONT_ENDS[self.encoder.front_end](window_seconds=self.window_seconds, hop_seconds=self.hop_seconds)

    @property
    def n_patches(self) -> int:
        """Number of patches of a block."""
        return self.front_end.n_patches

    def flags(self, trial: Trial) -> tuple[str, ...]:
        """See `FeaturePart`; reports random weights."""
        if self.encoder.is_random:
            return ("sound features by a network with random weights",)
        if self.encoder.has_random_dense_layers:
            return ("sound features by a network with random weights in its dense layers",)
        return ()

    @override
    def array_shapes(self, n_channels: int, sampling_rate_hz: float) -> dict[str, tuple[int, ...]]:
        return {"sound": (self.n_patches, self.encoder.output_size), "energy_dbfs": (1,)}

    def patches(self, waveform: np.ndarray) -> np.ndarray:
        """See `MediaSound`; the encoded patches."""
        patches = self.front_end.patches(waveform)
        encoded = self.encoder.encode()(patches.reshape(-1, *patches.shape[2:]))
        return encoded.reshape(*patches.shape[:2], -1)
