"""Encoders of pictures and sound: outputs, weights, and storage of their features in runs."""

import json
import math
import shutil

import numpy as np
import pytest
from safetensors.numpy import save_file

from keras_emotion.models import VGGish
from keras_emotion.pipelines import MediaFrames, MediaLogMel, MediaVGGishPatches, find_part
from keras_emotion.schema import Clip, InputError, Trial
from keras_emotion.synthetic.stimuli import SAMPLING_RATE_HZ, write_clip
from keras_emotion.systems.media_encoders import EncodedFrames, EncodedSound, PictureEncoder, SoundEncoder
from keras_emotion.systems.vit_weights import ViTSizes

IMAGE_SIZE = 16
SIZES = {"patch_size": 8, "n_layers": 2, "n_heads": 2, "width": 6, "mlp_width": 10}
EPSILON = 1e-3
MEAN, DEVIATION = (0.4, 0.5, 0.6), (0.2, 0.3, 0.5)
CONFIG = {
    "model_type": "vit",
    "hidden_size": 6,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 10,
    "image_size": IMAGE_SIZE,
    "patch_size": 8,
    "num_channels": 3,
    "layer_norm_eps": EPSILON,
    "qkv_bias": True,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.2,
}
IMAGES = {"do_rescale": True, "rescale_factor": 1 / 255, "image_mean": MEAN, "image_std": DEVIATION}
TRANSFORMER = PictureEncoder(**SIZES, seed=3)
VGGISH = SoundEncoder(filters=(2, 3, 4, 4), units=(5, 6), embedding_size=7, seed=3)


def shapes():
    """Tensors of HuggingFace's `ViTModel`, listed independently."""
    names = {
        "embeddings.cls_token": (1, 1, 6),
        "embeddings.position_embeddings": (1, 5, 6),
        "embeddings.patch_embeddings.projection.weight": (6, 3, 8, 8),
        "embeddings.patch_embeddings.projection.bias": (6,),
        "layernorm.weight": (6,),
        "layernorm.bias": (6,),
    }
    for layer in ("encoder.layer.0.", "encoder.layer.1."):
        for name in ("query", "key", "value"):
            names |= {
                f"{layer}attention.attention.{name}.weight": (6, 6),
                f"{layer}attention.attention.{name}.bias": (6,),
            }
        names |= {
            f"{layer}attention.output.dense.weight": (6, 6),
            f"{layer}attention.output.dense.bias": (6,),
            f"{layer}intermediate.dense.weight": (10, 6),
            f"{layer}intermediate.dense.bias": (10,),
            f"{layer}output.dense.weight": (6, 10),
            f"{layer}output.dense.bias": (6,),
        }
        names |= {
            f"{layer}layernorm_{place}.{kind}": (6,) for place in ("before", "after") for kind in ("weight", "bias")
        }
    return names


def tensors():
    generator = np.random.default_rng(0)
    return {name: (0.6 * generator.standard_normal(shape)).astype(np.float32) for name, shape in shapes().items()}


def write_hugging_face(folder, config=CONFIG, images=IMAGES, prefix="", given=None):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "preprocessor_config.json").write_text(json.dumps(images))
    given = tensors() if given is None else given
    save_file({f"{prefix}{name}": array for name, array in given.items()}, folder / "model.safetensors")
    return folder


@pytest.fixture(scope="module")
def hugging_face(tmp_path_factory):
    return write_hugging_face(tmp_path_factory.mktemp("weights") / "vit")


@pytest.fixture(scope="module")
def vggish_file(tmp_path_factory):
    """As the port to PyTorch has them."""
    generator = np.random.default_rng(1)
    sizes = {"features.0": (2, 1), "features.3": (3, 2), "features.6": (4, 3), "features.8": (4, 4)}
    sizes |= {"features.11": (4, 4), "features.13": (4, 4)}
    found = {name: (*size, 3, 3) for name, size in sizes.items()}
    found |= {"embeddings.0": (5, 6 * 4 * 4), "embeddings.2": (6, 5), "embeddings.4": (7, 6)}
    state = {}
    for name, shape in found.items():
        state[f"{name}.weight"] = (0.3 * generator.standard_normal(shape)).astype(np.float32)
        state[f"{name}.bias"] = generator.standard_normal(shape[0]).astype(np.float32)
    path = tmp_path_factory.mktemp("sound") / "vggish.npz"
    np.savez(path, **state)
    return path


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """9 s of coloured noise and noise."""
    path = tmp_path_factory.mktemp("clip") / "a.mp4"
    generator = np.random.default_rng(0)
    frames = (generator.integers(0, 256, (32, 48, 3), np.uint8) for _ in range(72))
    sound = 0.1 * generator.standard_normal(9 * SAMPLING_RATE_HZ).astype(np.float32)
    write_clip(path, frames, sound, 8.0, (48, 32))
    return Trial("test", 1, 1, "a", None, (), {}, media=Clip(path, 0.0, 9.0))


def pictures(n=3):
    return np.random.default_rng(5).integers(0, 256, (n, IMAGE_SIZE, IMAGE_SIZE, 3), np.uint8)


def class_tokens(images, weights, mean=MEAN, deviation=DEVIATION, epsilon=EPSILON):
    """The transformer of Dosovitskiy et al. in NumPy, float64."""
    weights = {name: array.astype(np.float64) for name, array in weights.items()}

    def dense(x, name):
        return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def normalised(x, name):
        centred = x - x.mean(axis=-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + epsilon)
        return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    found = []
    for image in (images / 255 - np.array(mean)) / np.array(deviation):
        kernel = weights["embeddings.patch_embeddings.projection.weight"]
        bias = weights["embeddings.patch_embeddings.projection.bias"]
        tokens = [weights["embeddings.cls_token"][0, 0]]
        for row in range(0, IMAGE_SIZE, 8):
            for column in range(0, IMAGE_SIZE, 8):
                patch = image[row : row + 8, column : column + 8]
                tokens.append(np.einsum("ockl,klc->o", kernel, patch) + bias)
        x = np.array(tokens) + weights["embeddings.position_embeddings"][0]
        for layer in ("encoder.layer.0", "encoder.layer.1"):
            y = normalised(x, f"{layer}.layernorm_before")
            query, key, value = (dense(y, f"{layer}.attention.attention.{name}") for name in ("query", "key", "value"))
            heads = []
            for head in (slice(0, 3), slice(3, 6)):
                scores = np.exp(query[:, head] @ key[:, head].T / math.sqrt(3))
                heads.append(scores / scores.sum(axis=1, keepdims=True) @ value[:, head])
            x = x + dense(np.concatenate(heads, axis=1), f"{layer}.attention.output.dense")
            y = dense(normalised(x, f"{layer}.layernorm_after"), f"{layer}.intermediate.dense")
            y = y * 0.5 * (1 + np.vectorize(math.erf)(y / math.sqrt(2)))
            x = x + dense(y, f"{layer}.output.dense")
        found.append(normalised(x, "layernorm")[0])
    return np.array(found)


# --- the transformer


@pytest.mark.parametrize("prefix", ["", "vit."])
def test_class_tokens_of_weights_of_hugging_face(tmp_path, hugging_face, prefix):
    folder = hugging_face
    if prefix:
        # Of a classifier, whose head is not needed.
        given = {
            **{f"vit.{name}": array for name, array in tensors().items()},
            "classifier.bias": np.zeros(2, np.float32),
        }
        folder = write_hugging_face(tmp_path / "vit", given=given)
    model = PictureEncoder(weights=folder).build(IMAGE_SIZE)
    expected = class_tokens(pictures(), tensors())
    assert np.abs(expected).max() > 0.5
    np.testing.assert_allclose(model.predict_on_batch(pictures()), expected, atol=1e-4)
    np.testing.assert_allclose(model.predict_on_batch(pictures().astype(np.float32)), expected, atol=1e-4)
    dropouts = {layer.rate for layer in model._flatten_layers() if type(layer).__name__ == "Dropout"}
    assert dropouts == {0.1, 0.2}


def test_class_tokens_of_a_preset_of_keras_hub(tmp_path, hugging_face):
    import keras_hub

    encoder = PictureEncoder(weights=hugging_face).build(IMAGE_SIZE)
    folder = tmp_path / "preset"
    encoder.get_layer("vit").save_to_preset(folder)
    with pytest.raises(InputError, match=r"image_converter.json: no such file; expected how the colours"):
        PictureEncoder(weights=folder).build(IMAGE_SIZE)
    keras_hub.layers.ViTImageConverter(
        image_size=(IMAGE_SIZE, IMAGE_SIZE),
        scale=[1 / 255 / one for one in DEVIATION],
        offset=[-one / by for one, by in zip(MEAN, DEVIATION, strict=True)],
    ).save_to_preset(folder)
    preset = PictureEncoder(weights=folder)
    assert preset.output_size == 6
    np.testing.assert_allclose(
        preset.build(IMAGE_SIZE).predict_on_batch(pictures()), class_tokens(pictures(), tensors()), atol=1e-4
    )
    (folder / "model.weights.h5").write_bytes((folder / "model.weights.h5").read_bytes()[:5000])
    with pytest.raises(
        InputError, match=r"model.weights.h5: cannot be read as the weights of the config.json in its folder"
    ):
        preset.build(IMAGE_SIZE)


def test_random_weights_are_those_of_numpy():
    model = TRANSFORMER.build(IMAGE_SIZE)
    weights = ViTSizes(**SIZES).random_arrays(IMAGE_SIZE, 3)
    assert {name: array.shape for name, array in weights.items()} == shapes()
    expected = class_tokens(pictures(), weights, mean=(0.5,) * 3, deviation=(0.5,) * 3, epsilon=1e-6)
    np.testing.assert_allclose(model.predict_on_batch(pictures()), expected, atol=1e-4)
    assert np.abs(PictureEncoder(**SIZES, seed=4).build(IMAGE_SIZE).predict_on_batch(pictures()) - expected).max() > 0.1
    assert np.ptp(expected, axis=0).min() > 1e-3


def changed(of, **changes):
    return {name: value for name, value in {**of, **changes}.items() if value is not None}


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda f: shutil.rmtree(f), r"vit: no such folder; expected a preset of KerasHub or a folder of HuggingFace"),
        (lambda f: (f / "config.json").unlink(), r"config.json: no such file; expected the sizes of an image transf"),
        (
            lambda f: (f / "model.safetensors").unlink(),
            r"model.safetensors: no such file; expected the weights, in one",
        ),
        (lambda f: (f / "preprocessor_config.json").unlink(), r"preprocessor_config.json: no such file; expected how"),
        (
            lambda f: (f / "config.json").write_text("{"),
            r"config.json: cannot be read as JSON \(Expecting property name .*copy",
        ),
        (lambda f: (f / "config.json").write_text("[]"), r"config.json: contains list; expected settings by name"),
        (
            lambda f: write_hugging_face(f, changed(CONFIG, qkv_bias=False)),
            r"config.json: qkv_bias is False; expected T",
        ),
        (lambda f: write_hugging_face(f, changed(CONFIG, model_type="clip")), r"model_type is 'clip'; expected 'vit'"),
        (lambda f: write_hugging_face(f, changed(CONFIG, hidden_act="relu")), r"hidden_act is 'relu'; expected 'gelu'"),
        (
            lambda f: write_hugging_face(f, changed(CONFIG, layer_norm_eps=None)),
            r"layer_norm_eps is missing; expected a",
        ),
        (
            lambda f: write_hugging_face(f, changed(CONFIG, hidden_size=10**9)),
            r"hidden_size is 1000000000; expected a wh",
        ),
        (lambda f: write_hugging_face(f, changed(CONFIG, num_attention_heads=4)), r"6 features for 4 heads"),
        (
            lambda f: write_hugging_face(f, changed(CONFIG, image_size=24)),
            r"pictures of 24 pixels, .*--system.picture.im",
        ),
        (
            lambda f: write_hugging_face(f, images=changed(IMAGES, image_std=[0, 1, 1])),
            r"image_std is \[0, 1, 1\]; exp",
        ),
        (
            lambda f: write_hugging_face(f, given=changed(tensors(), **{"layernorm.bias": None})),
            r"`layernorm.bias` is m",
        ),
        (
            lambda f: write_hugging_face(f, given={**tensors(), "x": np.zeros(2)}),
            r"model.safetensors: `x` is not ViTMo",
        ),
        (
            lambda f: write_hugging_face(f, given={**tensors(), "layernorm.bias": np.zeros(7, np.float32)}),
            r"model.safetensors: `layernorm.bias` has shape \(7,\); expected \(6,\) by the config.json in its folder",
        ),
        (
            lambda f: write_hugging_face(f, given={**tensors(), "layernorm.bias": np.full(6, np.nan, np.float32)}),
            r"model.safetensors: `layernorm.bias` has values that are not finite",
        ),
        (
            lambda f: (f / "model.safetensors").write_bytes((f / "model.safetensors").read_bytes()[:-100]),
            r"model.safetensors: cannot be read \(Error while deserializing header.*\); copy it again",
        ),
        (lambda f: (f / "model.safetensors").write_bytes(b""), r"model.safetensors: cannot be read \("),
    ],
)
def test_a_folder_that_cannot_be_used_gives_one_line(tmp_path, break_it, message):
    break_it(write_hugging_face(tmp_path / "vit"))
    with pytest.raises(InputError, match=message) as error:
        PictureEncoder(weights=tmp_path / "vit").build(IMAGE_SIZE)
    assert "\n" not in str(error.value)


def test_fields_that_do_not_fit():
    with pytest.raises(ValueError, match="width: 6 features for 4 heads; expected a multiple"):
        PictureEncoder(width=6, n_heads=4)
    with pytest.raises(ValueError, match="image_size: pictures of 30 pixels in patches of 8; expected a multiple"):
        EncodedFrames(image_size=30, encoder=TRANSFORMER)


# --- VGGish


def test_sound_with_released_weights(vggish_file):
    patches = np.random.default_rng(2).standard_normal((3, 96, 64)).astype(np.float32)
    encoder = SoundEncoder(weights=vggish_file, front_end="vggish")
    expected = VGGish.load_released_weights(vggish_file).predict_on_batch(patches)
    assert (expected >= 0).all()
    np.testing.assert_array_equal(encoder.build().predict_on_batch(patches), expected)
    assert encoder.output_size == 7
    linear = SoundEncoder(weights=vggish_file, front_end="vggish", embedding_activation="linear").build()
    np.testing.assert_array_equal(np.maximum(linear.predict_on_batch(patches), 0), expected)
    assert (linear.predict_on_batch(patches) < 0).any()


def test_of_released_weights_log_mel_patches_use_the_convolutions(vggish_file):
    encoder = SoundEncoder(weights=vggish_file, units=(5, 6), embedding_size=9, seed=2)
    model, other = encoder.build(), encoder.changed({"seed": 3}).build()
    released = VGGish.load_released_weights(vggish_file)
    for name in ("conv1", "conv4_2"):
        for ours, theirs in zip(
            model.get_layer(name).get_weights(), released.get_layer(name).get_weights(), strict=True
        ):
            np.testing.assert_array_equal(ours, theirs)
    assert model.output_shape == (None, 9)
    first = np.random.default_rng(2).standard_normal((6 * 4, 5), np.float32) * np.sqrt(2 / 24)
    np.testing.assert_allclose(model.get_layer("fc1_1").get_weights()[0], first, rtol=1e-6)
    assert (other.get_layer("fc1_1").get_weights()[0] != first).any()
    assert EncodedSound(encoder=encoder).flags(None) == (
        "sound features by a network with random weights in its dense layers",
    )


def test_a_file_of_sound_weights_that_cannot_be_used(tmp_path, vggish_file):
    with pytest.raises(InputError, match=r"none.npz: no such file; expected released weights of VGGish"):
        SoundEncoder(weights=tmp_path / "none.npz").build()
    (tmp_path / "cut.npz").write_bytes(vggish_file.read_bytes()[:2000])
    with pytest.raises(InputError, match=r"cut.npz cannot be read"):
        SoundEncoder(weights=tmp_path / "cut.npz").portable()


# --- the parts


def test_frames_are_those_of_each_block_alone(clip, monkeypatch):
    from keras_emotion.systems import media_encoders

    part = EncodedFrames(image_size=IMAGE_SIZE, encoder=TRANSFORMER)
    n_encoded = []
    real = media_encoders._encode

    def counting(*arguments):
        encode = real(*arguments)
        return lambda samples: n_encoded.append(len(samples)) or encode(samples)

    monkeypatch.setattr(media_encoders, "_encode", counting)
    arrays, table = part.extract([clip])
    assert table["start_seconds"].tolist() == [0.0, 2.0, 4.0]
    assert (arrays["picture"].shape, arrays["picture"].dtype) == ((3, 8, 6), np.float32)
    # Blocks of 8 frames share 4: of 24, 16 are encoded.
    assert n_encoded == [16]
    model = TRANSFORMER.build(IMAGE_SIZE)
    frames = MediaFrames(image_size=IMAGE_SIZE).extract([clip])[0]["frames"]
    for block, given in zip(frames, arrays["picture"], strict=True):
        np.testing.assert_allclose(given, model.predict_on_batch(block), atol=1e-5)
    assert np.ptp(arrays["picture"], axis=(0, 1)).min() > 1e-3


@pytest.mark.parametrize("front_end", ["log_mel", "vggish"])
def test_sound_is_that_of_each_block_alone(clip, front_end):
    encoder = VGGISH.changed({"front_end": front_end})
    arrays, _ = EncodedSound(encoder=encoder).extract([clip])
    plain = {"log_mel": MediaLogMel, "vggish": MediaVGGishPatches}[front_end]().extract([clip])[0]
    np.testing.assert_array_equal(arrays["energy_dbfs"], plain["energy_dbfs"])
    assert (arrays["sound"].shape, arrays["sound"].dtype) == ((3, 4, 7), np.float32)
    model = encoder.build()
    for block, given in zip(plain[front_end], arrays["sound"], strict=True):
        np.testing.assert_allclose(given, model.predict_on_batch(block), rtol=1e-4, atol=1e-5)


def parts(hugging_face, vggish_file):
    return (
        EncodedFrames(image_size=IMAGE_SIZE, encoder=TRANSFORMER),
        EncodedSound(encoder=VGGISH),
        EncodedFrames(image_size=IMAGE_SIZE, encoder=PictureEncoder(weights=hugging_face)),
        EncodedSound(encoder=SoundEncoder(weights=vggish_file, front_end="vggish")),
    )


def test_contract(clip, hugging_face, vggish_file):
    for part in parts(hugging_face, vggish_file):
        is_random = part.encoder.is_random
        assert (part.shared_by_stimulus, part.has_channels, part.sources[0]) == (True, False, "media")
        assert find_part(type(part).__name__) is type(part)
        what = "picture" if isinstance(part, EncodedFrames) else "sound"
        assert part.flags(clip) == ((f"{what} features by a network with random weights",) if is_random else ())
        # For a saved model: without the path of the weights, with the shapes.
        description = json.loads(json.dumps(part.description()))
        assert not any(place in str(description) for place in ("vit", "npz"))
        found = type(part).from_fields(description["fields"])
        assert found.array_shapes(0, 0) == part.array_shapes(0, 0)
        assert found.key() == part.key()
        assert found.needs_weights == (not is_random)
        if is_random:
            assert found == part
            with pytest.raises(InputError, match="x: the model was trained with random weights; leave it out"):
                found.with_weights(hugging_face.with_name("x"))
        else:
            with pytest.raises(InputError, match="trained with weights that it does not keep; expected their file"):
                found.extract([clip])
            given = found.with_weights(part.encoder.weights)
            for name, array in given.extract([clip])[0].items():
                np.testing.assert_array_equal(array, part.extract([clip])[0][name])
            fields = description["fields"]
            fields["encoder"]["weights"] = "/etc/passwd"
            with pytest.raises(ValueError, match=r"encoder.weights: is a path on another machine"):
                type(part).from_fields(fields)


def test_keys_are_of_the_contents_of_weights(tmp_path, hugging_face, vggish_file):
    copies = shutil.copytree(hugging_face, tmp_path / "copy"), shutil.copy(vggish_file, tmp_path / vggish_file.name)
    for part, copy in zip(parts(hugging_face, vggish_file)[2:], copies, strict=True):
        moved = part.changed(encoder=part.encoder.changed({"weights": copy}))
        assert moved.key() == part.key()
        # Other files in the folder have no effect.
        (tmp_path / "copy" / "README.md").write_text("x")
        assert moved.key() == part.key()
        assert part.changed(encoder=part.encoder.changed({"weights": None})).key() != part.key()
    # In a process that has built the network of the same path before.
    moved = EncodedFrames(image_size=IMAGE_SIZE, encoder=PictureEncoder(weights=copies[0]))
    np.testing.assert_allclose(
        moved.encoder.encode(IMAGE_SIZE)(pictures()), class_tokens(pictures(), tensors()), atol=1e-4
    )
    other = tensors()
    other["layernorm.bias"][0] += 1
    write_hugging_face(tmp_path / "copy", given=other)
    part = parts(hugging_face, vggish_file)[2]
    changed_part = part.changed(encoder=part.encoder.changed({"weights": copies[0]}))
    assert changed_part.key() != part.key()
    saved = EncodedFrames.from_fields(part.description()["fields"])
    with pytest.raises(InputError, match=r"copy: not the weights that the model was trained with .*; give those"):
        saved.with_weights(copies[0])
    np.testing.assert_allclose(
        changed_part.encoder.encode(IMAGE_SIZE)(pictures()), class_tokens(pictures(), other), atol=1e-4
    )
