"""Weights of image transformers (ViT): KerasHub and HuggingFace folders, and random weights."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from keras_emotion.json_files import read_user_json
from keras_emotion.refusals import refusing_unreadable
from keras_emotion.schema import InputError

_CONFIG, _IMAGES, _TENSORS = "config.json", "preprocessor_config.json", "model.safetensors"
_PRESET_IMAGES, _PRESET_TENSORS = "image_converter.json", "model.weights.h5"
# Weights of a classifier in addition to the transformer.
_HEADS = ("pooler.", "classifier.")
_LARGEST = {"patch_size": 256, "n_layers": 128, "n_heads": 128, "width": 8192, "mlp_width": 32768, "image_size": 4096}


@dataclasses.dataclass(frozen=True)
class ViTSizes:
    """Sizes of an image transformer [1].

    Args:
        patch_size: side of a patch in pixels.
        n_layers: transformer blocks.
        n_heads: attention heads of a block.
        width: number of features of a token; a multiple of `n_heads`.
        mlp_width: hidden units of the dense layers of a block.

    References:
        [1] Dosovitskiy et al. (2021). An image is worth 16x16 words: transformers for image recognition at scale. ICLR.
    """

    patch_size: int = 16
    n_layers: int = 12
    n_heads: int = 12
    width: int = 768
    mlp_width: int = 3072

    def shapes(self, image_size: int) -> dict[str, tuple[int, ...]]:
        """Return the shapes of the arrays by their names in HuggingFace's `ViTModel`, matrices `(outputs, inputs)`.

        Args:
            image_size: side of the pictures in pixels.
        """
        width, patch = self.width, self.patch_size
        embeddings = {
            "cls_token": (1, 1, width),
            "position_embeddings": (1, 1 + (image_size // patch) ** 2, width),
            "patch_embeddings.projection.weight": (width, 3, patch, patch),
            "patch_embeddings.projection.bias": (width,),
        }
        found = {f"embeddings.{name}": shape for name, shape in embeddings.items()}
        matrices = {
            **{f"attention.attention.{name}": (width, width) for name in ("query", "key", "value")},
            "attention.output.dense": (width, width),
            "intermediate.dense": (self.mlp_width, width),
            "output.dense": (width, self.mlp_width),
            "layernorm_before": (width,),
            "layernorm_after": (width,),
        }
        for number in range(self.n_layers):
            for name, shape in matrices.items():
                found[f"encoder.layer.{number}.{name}.weight"] = shape
                found[f"encoder.layer.{number}.{name}.bias"] = shape[:1]
        return {**found, "layernorm.weight": (width,), "layernorm.bias": (width,)}

    def random_arrays(self, image_size: int, seed: int) -> dict[str, np.ndarray]:
        """Draw random arrays of `shapes`, the same on every backend.

        Matrices and convolutions are normally distributed and preserve the variance of their inputs; embeddings have
        the standard deviation 0.02, biases are 0, and the scales of normalisations are 1.

        Args:
            image_size: side of the pictures in pixels.
            seed: seed of NumPy's generator.
        """
        generator = np.random.default_rng(seed)
        arrays = {}
        for name, shape in self.shapes(image_size).items():
            if name.endswith(".bias"):
                arrays[name] = np.zeros(shape, np.float32)
            elif len(shape) == 1:
                arrays[name] = np.ones(shape, np.float32)
            else:
                is_embedding = name.endswith(("cls_token", "position_embeddings"))
                deviation = 0.02 if is_embedding else 1 / math.sqrt(math.prod(shape[1:]))
                arrays[name] = deviation * generator.standard_normal(shape, np.float32)
        return arrays


@dataclasses.dataclass(frozen=True)
class ViTFolder:
    """Folder with the weights of an image transformer.

    Supports two layouts: a KerasHub preset (`config.json`, `model.weights.h5`, `image_converter.json`), and a
    HuggingFace folder (`config.json` of model type `vit`, `model.safetensors`, `preprocessor_config.json`).

    Args:
        files: files of the folder.
        sizes: sizes of the transformer.
        image_size: side of the pictures in pixels.
        epsilon: epsilon of the layer normalisations.
        dropout: dropout rate.
        attention_dropout: dropout rate of the attention weights.
        scale: factor of each colour (red, green, blue) for pixels from 0 to 255.
        offset: offset of each colour, added after scaling.
    """

    files: tuple[Path, ...]
    sizes: ViTSizes
    image_size: int
    epsilon: float
    dropout: float
    attention_dropout: float
    scale: tuple[float, ...]
    offset: tuple[float, ...]

    @classmethod
    def read(cls, folder: Path | str) -> ViTFolder:
        """Read the description of the weights, but not the weights.

        Raises:
            InputError: a file is missing or unreadable, or describes something other than an image transformer with
                biases; the one-line message names file and field.
        """
        folder = Path(folder)
        if not folder.is_dir():
            raise InputError(
                f"{folder}: no such folder; expected a preset of KerasHub or a folder of HuggingFace with {_TENSORS}"
            )
        config = _Json.read(folder / _CONFIG)
        is_preset = "class_name" in config.values
        files = [folder / name for name in _names_of_files(is_preset)]
        for file in files:
            if not file.is_file():
                raise InputError(f"{file}: no such file; expected {_PURPOSES[file.name]}")
        images = _Json.read(files[1])
        return (cls._of_preset if is_preset else cls._of_hugging_face)(tuple(files), config, images)

    @classmethod
    def _of_preset(cls, files: tuple[Path, ...], config: _Json, images: _Json) -> ViTFolder:
        config.check("class_name", "ViTBackbone")
        config, images = config.inner("config"), images.inner("config")
        shape, patch = config.values.get("image_shape"), config.values.get("patch_size")
        if (
            not (isinstance(shape, list) and isinstance(patch, list))
            or any(len(pair) != 2 or pair[0] != pair[1] for pair in (shape[:2], patch))
            or shape[2:] != [3]
        ):
            raise InputError(
                f"{config.file}: image_shape {shape!r} and patch_size {patch!r}; expected those of square pictures and "
                "patches of three colours"
            )
        for name in ("use_mha_bias", "use_mlp_bias", "use_class_token", "use_patch_bias"):
            config.check(name, True, default=True)
        names = {"n_layers": "num_layers", "n_heads": "num_heads", "width": "hidden_dim", "mlp_width": "mlp_dim"}
        square = _Json(config.file, {"image_size": shape[0], "patch_size": patch[0]})
        sizes = ViTSizes(square.size("patch_size"), **{size: config.size(name, size) for size, name in names.items()})
        return cls(
            files,
            sizes,
            square.size("image_size"),
            config.number("layer_norm_epsilon", lambda value: value > 0, "a number above 0"),
            config.number("dropout_rate", _is_share, _SHARE),
            config.number("attention_dropout", _is_share, _SHARE),
            images.colours("scale", lambda value: value != 0),
            images.colours("offset"),
        )._checked(config.file)

    @classmethod
    def _of_hugging_face(cls, files: tuple[Path, ...], config: _Json, images: _Json) -> ViTFolder:
        config.check("model_type", "vit")
        # Without them, or with another activation, it differs from the network of `ViTBackbone`.
        for name, expected in (("qkv_bias", True), ("hidden_act", "gelu"), ("num_channels", 3)):
            config.check(name, expected, default=expected)
        names = {
            "patch_size": "patch_size",
            "n_layers": "num_hidden_layers",
            "n_heads": "num_attention_heads",
            "width": "hidden_size",
            "mlp_width": "intermediate_size",
        }
        scale, offset = (1.0,) * 3, (0.0,) * 3
        if images.values.get("do_rescale", True):
            factor = images.number("rescale_factor", lambda value: value > 0, "a number above 0", default=1 / 255)
            scale = (factor,) * 3
        if images.values.get("do_normalize", True):
            mean, deviation = images.colours("image_mean"), images.colours("image_std", lambda value: value > 0)
            scale = tuple(one / by for one, by in zip(scale, deviation, strict=True))
            offset = tuple(-one / by for one, by in zip(mean, deviation, strict=True))
        return cls(
            files,
            ViTSizes(**{size: config.size(name, size) for size, name in names.items()}),
            config.size("image_size"),
            config.number("layer_norm_eps", lambda value: value > 0, "a number above 0"),
            config.number("hidden_dropout_prob", _is_share, _SHARE, default=0.0),
            config.number("attention_probs_dropout_prob", _is_share, _SHARE, default=0.0),
            scale,
            offset,
        )._checked(config.file)

    def _checked(self, file: Path | str) -> ViTFolder:
        if self.sizes.width % self.sizes.n_heads or self.image_size % self.sizes.patch_size:
            raise InputError(
                f"{file}: {self.sizes.width} features for {self.sizes.n_heads} heads, pictures of {self.image_size} "
                f"pixels in patches of {self.sizes.patch_size}; expected multiples"
            )
        return self

    def load_into(self, backbone: Any) -> None:
        """Load the weights into a `keras_hub.models.ViTBackbone` of these sizes.

        Raises:
            InputError: the file of the weights is damaged, a weight is missing or surplus, or has another shape or
                non-finite values.
        """
        # Imported here, because the models import Keras.
        from keras_emotion.models.weight_files import finite_floats

        file = self.files[2]
        if file.name == _PRESET_TENSORS:
            message = (
                f"{{path}}: cannot be read as the weights of the {_CONFIG} in its folder ({{reason}}); copy the "
                "preset again"
            )
            with refusing_unreadable(file, message):
                backbone.load_weights(file)
            for variable in backbone.weights:
                finite_floats(file, variable.path, variable.numpy())
        else:
            set_arrays(backbone, self._tensors(file))

    def _tensors(self, file: Path) -> dict[str, np.ndarray]:
        import safetensors

        from keras_emotion.models.weight_files import check_names, finite_floats

        with refusing_unreadable(file), safetensors.safe_open(file, framework="np") as opened:
            # `ViTForImageClassification` has the transformer as its `vit`.
            names = {name.removeprefix("vit."): name for name in opened.keys()}  # noqa: SIM118
            names = {name: own for name, own in names.items() if not name.startswith(_HEADS)}
            shapes = self.sizes.shapes(self.image_size)
            check_names(file, names, list(shapes), "ViTModel")
            arrays = {name: finite_floats(file, own, opened.get_tensor(own)) for name, own in names.items()}
        for name, array in arrays.items():
            if array.shape != shapes[name]:
                raise InputError(
                    f"{file}: `{names[name]}` has shape {array.shape}; expected {shapes[name]} by the {_CONFIG} in "
                    "its folder"
                )
        return arrays


def set_arrays(backbone: Any, arrays: Mapping[str, np.ndarray]) -> None:
    """Set the weights of a `keras_hub.models.ViTBackbone`.

    Args:
        backbone: the transformer, in the order of axes `"channels_last"`.
        arrays: arrays of `ViTSizes.shapes`.
    """
    embedding, encoder = (backbone.get_layer(name) for name in ("vit_patching_and_embedding", "vit_encoder"))
    embedding.class_token.assign(arrays["embeddings.cls_token"])
    embedding.position_embedding.embeddings.assign(arrays["embeddings.position_embeddings"][0])
    # (outputs, colours, rows, columns) -> (rows, columns, colours, outputs)
    kernel = arrays["embeddings.patch_embeddings.projection.weight"].transpose(2, 3, 1, 0)
    embedding.patch_embedding.kernel.assign(kernel)
    embedding.patch_embedding.bias.assign(arrays["embeddings.patch_embeddings.projection.bias"])
    for number, block in enumerate(encoder.encoder_layers):
        place = f"encoder.layer.{number}"
        attention = f"{place}.attention"
        dense = {
            f"{attention}.attention.query": block.mha.query_dense,
            f"{attention}.attention.key": block.mha.key_dense,
            f"{attention}.attention.value": block.mha.value_dense,
            f"{attention}.output.dense": block.mha.output_dense,
            f"{place}.intermediate.dense": block.mlp.dense_1,
            f"{place}.output.dense": block.mlp.dense_2,
        }
        for name, layer in dense.items():
            # Keras has a separate axis for heads: consecutive features in HuggingFace's matrices.
            layer.kernel.assign(arrays[f"{name}.weight"].T.reshape(layer.kernel.shape))
            layer.bias.assign(arrays[f"{name}.bias"].reshape(layer.bias.shape))
        _set_normalisation(block.layer_norm_1, arrays, f"{place}.layernorm_before")
        _set_normalisation(block.layer_norm_2, arrays, f"{place}.layernorm_after")
    _set_normalisation(encoder.layer_norm, arrays, "layernorm")


def _set_normalisation(layer: Any, arrays: Mapping[str, np.ndarray], name: str) -> None:
    layer.gamma.assign(arrays[f"{name}.weight"])
    layer.beta.assign(arrays[f"{name}.bias"])


# --- settings files

_PURPOSES = {
    _TENSORS: "the weights, in one file",
    _PRESET_TENSORS: "the weights, in one file",
    _IMAGES: "how the colours of pictures are scaled",
    _PRESET_IMAGES: "how the colours of pictures are scaled (`ViTImageConverter.save_to_preset` writes it)",
}
_SHARE = "0 or more and below 1"
_MISSING = object()


def _names_of_files(is_preset: bool) -> tuple[str, str, str]:
    return (_CONFIG, _PRESET_IMAGES, _PRESET_TENSORS) if is_preset else (_CONFIG, _IMAGES, _TENSORS)


def _is_share(value: float) -> bool:
    return 0 <= value < 1


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]:.200}" if lines else type(error).__name__


@dataclasses.dataclass(frozen=True)
class _Json:
    """Object of a JSON file whose values are checked on access.

    Args:
        file: file and position in it, for messages.
        values: values by name.
    """

    file: Path | str
    values: Mapping[str, Any]

    @classmethod
    def read(cls, file: Path) -> _Json:
        if not file.is_file():
            raise InputError(f"{file}: no such file; expected the sizes of an image transformer")
        values = read_user_json(file, "{path}: cannot be read as JSON ({reason}); copy it again")
        if not isinstance(values, dict):
            raise InputError(f"{file}: contains {type(values).__name__}; expected settings by name")
        return cls(file, values)

    def inner(self, name: str) -> _Json:
        values = self.values.get(name)
        if not isinstance(values, dict):
            raise InputError(f"{self.file}: {name} is {_told(values)}; expected settings by name")
        return _Json(self.file, values)

    def check(self, name: str, expected: Any, default: Any = _MISSING) -> None:
        found = self.values.get(name, default)
        if found != expected:
            raise InputError(
                f"{self.file}: {name} is {_told(found)}; expected {expected!r}; give the weights of a ViT as released"
            )

    def number(self, name: str, is_right: Callable[[float], bool], expected: str, default: Any = _MISSING) -> float:
        value = self.values.get(name, default)
        if not _is_number(value) or not is_right(value):
            raise InputError(f"{self.file}: {name} is {_told(value)}; expected {expected}")
        return float(value)

    def size(self, name: str, kind: str | None = None) -> int:
        value, most = self.values.get(name, _MISSING), _LARGEST[kind or name]
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
            raise InputError(f"{self.file}: {name} is {_told(value)}; expected a whole number from 1 to {most}")
        return value

    def colours(self, name: str, is_right: Callable[[float], bool] = lambda value: True) -> tuple[float, float, float]:
        """Return a number for each of three colours, or the same for all."""
        value = self.values.get(name, _MISSING)
        values = value if isinstance(value, list) else [value] * 3
        if len(values) != 3 or not all(_is_number(one) and is_right(one) for one in values):
            raise InputError(f"{self.file}: {name} is {_told(value)}; expected a number for red, green and blue each")
        red, green, blue = (float(one) for one in values)
        return red, green, blue


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _told(value: Any) -> str:
    return "missing" if value is _MISSING else f"{value!r:.60}"
