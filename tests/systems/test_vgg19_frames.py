"""Features of frames by VGG19."""

import keras
import numpy as np
import pytest

from keras_emotion.pipelines import MediaFrames, find_part
from keras_emotion.schema import Clip, InputError, Trial
from keras_emotion.synthetic.stimuli import write_clip
from keras_emotion.systems import media_encoders
from keras_emotion.systems.vgg19_frames import VGG19Encoder, VGG19Frames


@pytest.fixture(scope="module")
def network():
    """One network of random weights."""
    return VGG19Encoder(seed=1).build(32)


@pytest.fixture(scope="module")
def weights(network, tmp_path_factory):
    """Its weights as Keras keeps them, without the dense layers."""
    file = tmp_path_factory.mktemp("weights") / "vgg19_notop.weights.h5"
    network.get_layer("vgg19").save_weights(file)
    return file


def test_pictures_are_prepared_as_keras_does_it(network):
    pictures = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    prepared = keras.applications.vgg19.preprocess_input(pictures.astype("float32"))
    expected = keras.ops.convert_to_numpy(network.get_layer("vgg19")(prepared))
    found = keras.ops.convert_to_numpy(network(pictures))
    assert found.shape == (2, VGG19Encoder().output_size)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * expected.max())


def test_random_weights_are_those_of_the_seed_and_keep_the_variance(network):
    values = network.get_weights()
    assert len(values) == 32
    rng = np.random.default_rng(1)
    np.testing.assert_array_equal(values[0], np.float32(np.sqrt(2 / 27)) * rng.standard_normal((3, 3, 3, 64), "f"))
    for kernel, bias in zip(values[::2], values[1::2], strict=True):
        assert kernel.std() == pytest.approx(np.sqrt(2 / np.prod(kernel.shape[:-1])), rel=0.05)
        assert not bias.any()


def test_weights_of_a_file(network, weights, tmp_path):
    loaded = VGG19Encoder(weights=weights)
    for found, expected in zip(loaded.build(32).get_weights(), network.get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)
    part = VGG19Frames(image_size=32, encoder=loaded)
    trial = Trial("test", 1, 1, "film", None, (), {})
    assert part.flags(trial) == ()
    assert VGG19Frames().flags(trial) == ("picture features by a network with random weights",)
    # Independent of path and seed.
    elsewhere = tmp_path / "moved.weights.h5"
    elsewhere.symlink_to(weights)
    assert VGG19Frames(image_size=32, encoder=VGG19Encoder(weights=elsewhere, seed=5)).key() == part.key()
    assert str(weights) not in str(part.description())
    rebuilt = VGG19Frames.from_fields(part.description()["fields"])
    assert rebuilt.needs_weights
    assert rebuilt.with_weights(weights).key() == part.key()
    assert find_part("VGG19Frames") is VGG19Frames


def test_weights_that_do_not_fit(tmp_path):
    with pytest.raises(InputError, match=r"none.h5: no such file; expected weights of VGG19"):
        VGG19Encoder(weights=tmp_path / "none.h5").build(32)
    (tmp_path / "a.weights.h5").write_bytes(b"nothing")
    other = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    other.save_weights(tmp_path / "b.weights.h5")
    for name in ("a", "b"):
        file = tmp_path / f"{name}.weights.h5"
        with pytest.raises(InputError, match=rf"{name}.weights.h5: not readable as weights of VGG19 \(.*notop.h5"):
            VGG19Encoder(weights=file).build(32)
    with pytest.raises(ValueError, match=r"image_size: 16 pixels; expected 32 or more for VGG19"):
        VGG19Frames(image_size=16)


def test_frames_of_overlapping_blocks_are_encoded_once(tmp_path, network, monkeypatch):
    rng = np.random.default_rng(0)
    pictures = (np.full((32, 32, 3), rng.integers(0, 256, 3), np.uint8) for _ in range(13))
    write_clip(tmp_path / "a.mp4", pictures, None, 2.0, (32, 32))
    seen = []

    def encode(samples):
        seen.append(len(samples))
        return samples.mean(axis=(1, 2, 3))[:, np.newaxis].repeat(512, axis=1)

    monkeypatch.setattr(media_encoders, "_encode", lambda *arguments: encode)
    trial = Trial("test", 1, 1, "film", None, (), {}, media=Clip(tmp_path / "a.mp4", 0.0, 6.0))
    found = VGG19Frames(image_size=32).extract([trial])[0]["picture"]
    frames = MediaFrames(image_size=32).extract([trial])[0]["frames"]
    np.testing.assert_allclose(found[..., 0], frames.mean(axis=(2, 3, 4)))
    # Two blocks of eight frames, four of them in both.
    assert (sum(seen), found.shape) == (12, (2, 8, 512))
