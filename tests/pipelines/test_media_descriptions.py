"""Cepstra and functionals of sound, light and colour of pictures, block by block."""

import colorsys
import sys
import types

import librosa
import numpy as np
import pandas as pd
import pytest
import scipy.fft

from keras_emotion.audio import read_audio, slaney_mel_weights
from keras_emotion.pipelines import MediaColours, MediaMFCC, MediaSoundFunctionals, Windowing, find_part, sound_features
from keras_emotion.pipelines.picture_features import QUANTITIES, picture_quantities
from keras_emotion.schema import Clip, InputError, Trial
from keras_emotion.synthetic.stimuli import SAMPLING_RATE_HZ, write_clip

PARTS = [MediaColours(), MediaMFCC(), MediaSoundFunctionals(description_by="librosa")]


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """12 s: frames that grow brighter in steps, and noise that is silent from 4 to 8 s and loud afterwards."""
    path = tmp_path_factory.mktemp("clip") / "a.mp4"
    frames = (np.full((32, 48, 3), (20 + 2 * number, 60, 40), np.uint8) for number in range(96))
    sound = 0.02 * np.random.default_rng(0).standard_normal(12 * SAMPLING_RATE_HZ).astype(np.float32)
    sound[4 * SAMPLING_RATE_HZ : 8 * SAMPLING_RATE_HZ] = 0
    sound[8 * SAMPLING_RATE_HZ :] *= 10
    write_clip(path, frames, sound, 8.0, (48, 32))
    return path


def trial_of(media, number=1):
    return Trial("test", 1, number, f"film{number}", None, (), {"valence": 6.0}, media=media)


def extracted(part, clip, start=0.0, stop=12.0):
    return part.extract([trial_of(Clip(clip, start, stop))])[0]


@pytest.mark.parametrize("part", PARTS, ids=lambda part: type(part).__name__)
def test_contract(clip, part):
    arrays, table = part.extract([trial_of(Clip(clip, 0.0, 12.0)), trial_of(Clip(clip, 2.0, 10.0), 2)])
    assert table["start_seconds"].tolist() == [0.0, 2.0, 4.0, 6.0, 8.0, 0.0, 2.0, 4.0]
    ((name, array),) = arrays.items()
    assert array.dtype == np.float32
    assert {name: array.shape[1:]} == part.array_shapes(0, 0)
    assert np.isfinite(array).all()
    # Blocks are described independently; equal sounds have equal descriptions.
    alone = np.concatenate([extracted(part, clip, start, start + 4.0)[name] for start in (0.0, 4.0, 8.0)])
    np.testing.assert_allclose(alone, array[[0, 2, 4]], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(array[5:], array[1:4], rtol=1e-4, atol=1e-4)
    assert part.shared_by_stimulus
    assert not part.has_channels
    assert find_part(type(part).__name__) is type(part)
    assert type(part).from_fields(part.description()["fields"]) == part
    assert part.windowing == Windowing(window_seconds=4.0, hop_seconds=2.0)
    with pytest.raises(InputError, match="no clip of stimulus film1"):
        part.extract([trial_of(None)])


def test_cepstra_are_the_cosine_transform_of_decibels(clip):
    cepstra = extracted(MediaMFCC(n_coefficients=12), clip)["mfcc"]
    assert cepstra.shape == (5, 122, 12)
    block = read_audio(clip, 16000, 8.0, 12.0).samples.astype(float)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(2048) / 2048)
    weights = slaney_mel_weights(2048, 16000, 128, 0.0, 8000.0)
    for step in (0, 50, 121):
        power = np.abs(np.fft.rfft(block[step * 512 : step * 512 + 2048] * window)) ** 2
        decibels = 10 * np.log10(np.maximum(power @ weights, 1e-10))
        expected = scipy.fft.dct(decibels, norm="ortho")[:12]
        np.testing.assert_allclose(cepstra[4, step], expected, rtol=1e-3, atol=2e-2)


def test_frames_of_cepstra():
    part = MediaMFCC(frame_seconds=0.1, frame_hop_seconds=0.05)
    assert part.array_shapes(0, 0) == {"mfcc": (79, 20)}
    with pytest.raises(ValueError, match=r"frame_seconds: 0.5 s; expected at most window_seconds \(0.4 s\)"):
        MediaMFCC(window_seconds=0.4, frame_seconds=0.5)
    with pytest.raises(ValueError, match="frame_seconds"):
        MediaMFCC(frame_seconds=0.025)


def test_functionals_of_a_tone():
    times = np.arange(2 * 64000).reshape(2, 64000) / 16000
    tones = np.sin(2 * np.pi * np.array([[500.0], [1000.0]]) * times).astype(np.float32)
    functionals = sound_features._librosa_functionals(0.1 * tones)
    # Mean, deviation and percentiles, each of 13 coefficients and six quantities.
    mean, deviation, low, median, high = functionals.reshape(2, 5, 19).swapaxes(0, 1)
    np.testing.assert_allclose(mean[:, 13], 20 * np.log10(0.1 / np.sqrt(2)), atol=0.01)
    np.testing.assert_allclose(mean[:, 14], [500, 1000], rtol=0.02)
    np.testing.assert_allclose(mean[:, 18], [2 * 500 / 16000, 2 * 1000 / 16000], rtol=0.02)
    np.testing.assert_allclose(deviation[:, 13:15], 0, atol=0.5)
    assert (low <= median).all()
    assert (median <= high).all()
    louder = sound_features._librosa_functionals(tones).reshape(2, 5, 19)
    np.testing.assert_allclose(louder[:, 0, 13] - mean[:, 13], 20, atol=0.01)
    np.testing.assert_allclose(louder[:, 0, 14:], mean[:, 14:], rtol=1e-2, atol=1e-3)


def test_functionals_are_those_of_librosa(clip):
    found = extracted(MediaSoundFunctionals(description_by="librosa"), clip)["sound"]
    block = read_audio(clip, 16000, 8.0, 12.0).samples
    rolloff = librosa.feature.spectral_rolloff(y=block, sr=16000, center=False)[0]
    assert found.shape == (5, 95)
    expected = [rolloff.mean(), rolloff.std(), *np.percentile(rolloff, (20, 50, 80))]
    np.testing.assert_allclose(found[4].reshape(5, 19)[:, 16], expected, rtol=1e-4)
    # Silence from 4 to 8 s.
    np.testing.assert_allclose(found[2].reshape(5, 19)[0, 13], -100, atol=2)


def test_egemaps_where_opensmile_is_installed(clip, monkeypatch):
    calls = []

    class Smile:
        def __init__(self, feature_set, feature_level):
            calls.append((feature_set, feature_level))

        def process_signal(self, signal, sampling_rate):
            assert (signal.shape, signal.dtype, sampling_rate) == ((64000,), np.float32, 16000)
            assert signal.flags.c_contiguous
            return pd.DataFrame([np.full(88, np.sqrt(np.mean(signal**2)))])

    module = types.ModuleType("opensmile")
    module.Smile = Smile
    module.FeatureSet = types.SimpleNamespace(eGeMAPSv02="eGeMAPSv02")
    module.FeatureLevel = types.SimpleNamespace(Functionals="func")
    module.__spec__ = types.SimpleNamespace(name="opensmile")
    monkeypatch.setitem(sys.modules, "opensmile", module)
    part = MediaSoundFunctionals()
    assert part.description_by == "egemaps"
    assert part.array_shapes(0, 0) == {"sound": (88,)}
    assert part.flags(trial_of(None)) == ()
    found = extracted(part, clip)["sound"]
    assert calls == [("eGeMAPSv02", "func")]
    np.testing.assert_allclose(found[4], 0.2, rtol=0.1)


def test_egemaps_without_opensmile(clip, monkeypatch):
    monkeypatch.setitem(sys.modules, "opensmile", None)
    assert MediaSoundFunctionals().description_by == "librosa"
    (flag,) = MediaSoundFunctionals().flags(trial_of(None))
    assert "librosa instead of eGeMAPS" in flag
    with pytest.raises(InputError, match=r"opensmile, which is not installed; install keras_emotion\[opensmile\]"):
        extracted(MediaSoundFunctionals(description_by="egemaps"), clip)


def test_a_block_shorter_than_a_frame():
    with pytest.raises(ValueError, match=r"window_seconds: 0.1 s; expected 0.128 s or more"):
        MediaSoundFunctionals(window_seconds=0.1)


# Pictures -------------------------------------------------------------------------------------------------------------


def test_quantities_of_pictures_pixel_by_pixel():
    picture = np.random.default_rng(0).integers(0, 256, (2, 6, 5, 3), dtype=np.uint8)
    picture[0, :3] = (200, 10, 90)
    picture[1, 0] = 0
    found = picture_quantities(picture)
    assert found.shape == (2, 6)
    for one, values in zip(picture.reshape(2, -1, 3), found, strict=True):
        value = np.array([max(pixel) for pixel in one / 255])
        saturation = np.array([colorsys.rgb_to_hsv(*pixel)[1] for pixel in one / 255])
        energies = []
        for (red, green, blue), s, v in zip(one / 255, saturation, value, strict=True):
            hue = np.arctan2(np.sqrt(3) / 2 * (green - blue), red - (green + blue) / 2)
            energies.append((1 + np.cos(hue) / 4) * s * v)
        centres = one.astype(int) // 64 / 4
        contrast = np.mean([np.linalg.norm(first - second) for first in centres for second in centres])
        expected = {
            "luminance": value.mean(),
            "luminance_coefficient": value.mean() * value.std(),
            "saturation": saturation.mean(),
            "raw_colour_energy": np.mean(energies),
            "colour_contrast": contrast,
            "colour_energy": np.mean(energies) * contrast,
        }
        np.testing.assert_allclose(values, [expected[name] for name in QUANTITIES], rtol=1e-5)


def test_black_and_white():
    half = np.zeros((4, 4, 3), np.uint8)
    half[:2] = 255
    # Half of the pixels white: a deviation of a half, no colour; half of the pairs differ, by the whole diagonal.
    expected = [0.5, 0.25, 0, 0, 0.5 * np.sqrt(3) * 0.75, 0]
    np.testing.assert_allclose(picture_quantities(half), expected, atol=1e-6)


def test_light_and_motion_of_blocks(clip):
    colours = extracted(MediaColours(image_size=16), clip)["colours"]
    # Mean and deviation of six quantities, then of the motion; red grows by 16 of 255 each second.
    middles = np.arange(5)[:, np.newaxis] * 2 + 0.25 + np.arange(8) / 2
    luminance = np.maximum(20 + 16 * middles, 60) / 255
    np.testing.assert_allclose(colours[:, 0], luminance.mean(axis=1), atol=0.02)
    np.testing.assert_allclose(colours[:, 6], luminance.std(axis=1), atol=0.01)
    np.testing.assert_allclose(colours[:, 12], 8 / 255 / 3, atol=0.003)
    np.testing.assert_allclose(colours[:, [1, 4, 5]], 0, atol=0.02)
    with pytest.raises(ValueError, match=r"frame_rate_hz: a block of 4 s has one frame at 0.25 Hz; expected two"):
        MediaColours(frame_rate_hz=0.25)
