"""Faces encoded by AlexNet: synchronous with the EEG frames, weights, and errors."""

import json

import numpy as np
import pytest

from keras_emotion import faces
from keras_emotion.models import AlexNet
from keras_emotion.pipelines import EEGImages, FaceFeatures, StoredFeatures, find_part, pair_windows
from keras_emotion.schema import InputError, Recording, Trial
from keras_emotion.systems.face_encoders import EncodedFaces, FaceEncoder
from tests.middle_faces import MiddleDetector, write_alexnet, write_video

IMAGE_SIZE = 64
SIZES = {"filters": (2, 3, 4, 3, 2), "units": (6, 5)}
ENCODER = FaceEncoder(**SIZES, seed=3)
BRIGHT = np.random.default_rng(0).integers(0, 2, 80, bool)
"""Whether the face is bright in each eighth of a second."""


@pytest.fixture(autouse=True)
def detector(monkeypatch):
    monkeypatch.setattr(faces, "make_detector", lambda name, model=None: MiddleDetector())


def trial(video, number=1, seconds=10.0):
    signal = np.random.default_rng(number).standard_normal((3, round(seconds * 128)))
    recording = Recording(signal, ("Fz", "C3", "C4"), ("uV",) * 3, 128.0)
    return Trial("test", 1, number, str(number), recording, ("Fz", "C3", "C4"), {}, video=video)


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    # Three frames for each eighth of a second.
    levels = np.repeat(np.where(BRIGHT, 200, 60), 3)
    lost = levels.copy()
    lost[6 * 24 : 7 * 24] = 0
    return {
        "whole": write_video(folder / "whole.avi", levels, rate=24),
        "lost": write_video(folder / "lost.avi", lost, rate=24),
        "short": write_video(folder / "short.avi", levels[: 7 * 24], rate=24),
    }


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return write_alexnet(tmp_path_factory.mktemp("weights") / "alexnet.npz", **SIZES)


def test_faces_are_in_step_with_the_frames_of_the_eeg(videos):
    eeg = EEGImages()
    part = FaceFeatures(image_size=16).with_windowing(eeg.windowing)
    arrays, table = part.extract([trial(videos["whole"])])
    powers, times = eeg.extract([trial(videos["whole"])])
    assert arrays["faces"].shape[:2] == powers["eeg"].shape[:2] == (2, 40)
    assert table["start_seconds"].tolist() == times["start_seconds"].tolist() == [0.0, 5.0]
    shown = arrays["faces"][..., 0].mean(axis=(2, 3)).ravel()
    np.testing.assert_array_equal(shown > 130, BRIGHT)
    later, _ = part.with_windowing(eeg.changed(lag_seconds=1 / 8).windowing).extract([trial(videos["whole"])])
    shown = later["faces"][0, ..., 0].mean(axis=(1, 2))
    np.testing.assert_array_equal(shown > 130, BRIGHT[1:41])


def test_frames_of_segments_that_are_lost_are_dropped_and_counted(videos):
    eeg, part = EEGImages(), FaceFeatures(image_size=16, maximum_gap_seconds=0.25)
    trials = [trial(videos[name], number) for number, name in enumerate(("whole", "lost", "short"), 1)]
    trials.append(trial(None, 4))
    stored = {
        "eeg": StoredFeatures(*eeg.extract(trials)),
        "faces": StoredFeatures(*part.with_windowing(eeg.windowing).extract(trials)),
    }
    paired, dropped = pair_windows(stored)
    assert paired.table[["trial", "start_seconds"]].to_numpy().tolist() == [[1, 0], [1, 5], [2, 0], [3, 0]]
    # A line each, all at once.
    counted = dict(zip(dropped["trial"], zip(dropped["reason"], dropped["n_windows"], strict=True), strict=True))
    assert counted[2] == ("no face in the video", 1)
    assert counted[3][0].startswith(f"{videos['short']}: ends before the trial, at 7.0 s")
    assert counted[4] == ("no face video", 2)
    # A face lost for up to the allowed gap is replaced by the nearest frame's.
    wide = part.with_windowing(eeg.windowing).changed(maximum_gap_seconds=0.6)
    within, _ = pair_windows({**stored, "faces": StoredFeatures(*wide.extract(trials))})
    assert len(within.table) == 5


def test_features_are_those_of_the_network(videos):
    part = EncodedFaces(image_size=IMAGE_SIZE, encoder=ENCODER, maximum_gap_seconds=0.0)
    trials = [trial(videos["lost"]), trial(videos["whole"], 2)]
    arrays, table = part.extract(trials)
    assert (arrays["face_features"].shape, arrays["face_features"].dtype) == ((4, 40, 5), np.float32)
    assert table["unusable"].tolist() == ["", "no face in the video", "", ""]
    crops, _ = FaceFeatures(image_size=IMAGE_SIZE, window_seconds=5.0, steps=40, maximum_gap_seconds=0.0).extract(
        trials
    )
    network = AlexNet(IMAGE_SIZE, **SIZES)
    generator = np.random.default_rng(3)
    network.set_weights(
        [
            generator.standard_normal(value.shape, np.float32) * np.float32(np.sqrt(2 / np.prod(value.shape[:-1])))
            if value.ndim > 1
            else np.zeros(value.shape)
            for value in network.get_weights()
        ]
    )
    colours = (crops["faces"] / 255 - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])
    for window in (0, 2, 3):
        expected = network.predict_on_batch(colours[window].astype(np.float32))
        np.testing.assert_allclose(arrays["face_features"][window], expected, atol=1e-4)
    assert not arrays["face_features"][1].any()
    assert np.ptp(arrays["face_features"][2:], axis=(0, 1)).max() > 0.1
    assert part.flags(trials[0]) == ("face features by a network with random weights",)


def test_released_weights(videos, weights, tmp_path):
    encoder = FaceEncoder(weights=weights)
    part = EncodedFaces(image_size=IMAGE_SIZE, encoder=encoder)
    assert (encoder.output_size, part.flags(trial(None))) == (5, ())
    pictures = np.random.default_rng(0).integers(0, 256, (3, IMAGE_SIZE, IMAGE_SIZE, 3), np.uint8)
    colours = (pictures / 255 - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])
    expected = AlexNet.load_released_weights(weights, image_size=IMAGE_SIZE)(colours.astype(np.float32))
    assert np.abs(expected).max() > 1
    np.testing.assert_allclose(encoder.encode(IMAGE_SIZE)(pictures), expected, rtol=1e-4, atol=1e-4)
    # A saved model keeps the hash and the sizes.
    description = json.loads(json.dumps(part.description()))
    assert "npz" not in str(description)
    saved = EncodedFaces.from_fields(description["fields"])
    assert saved.array_shapes(0, 0) == part.array_shapes(0, 0) == {"face_features": (40, 5)}
    assert saved.key() == part.key() != EncodedFaces(image_size=IMAGE_SIZE, encoder=ENCODER).key()
    assert saved.needs_weights
    with pytest.raises(InputError, match="trained with weights that it does not keep; expected their file"):
        saved.extract([trial(videos["whole"])])
    given = saved.with_weights(weights)
    assert not given.needs_weights
    np.testing.assert_array_equal(
        given.extract([trial(videos["whole"])])[0]["face_features"],
        part.extract([trial(videos["whole"])])[0]["face_features"],
    )
    fields = description["fields"]
    fields["encoder"]["weights"] = "/etc/passwd"
    with pytest.raises(ValueError, match=r"encoder.weights: is a path on another machine"):
        EncodedFaces.from_fields(fields)
    with np.load(weights) as file:
        other = {**file, "classifier.4.bias": np.zeros(5)}
    np.savez(tmp_path / "other.npz", **other)
    with pytest.raises(InputError, match=r"other.npz: not the weights that the model was trained with"):
        saved.with_weights(tmp_path / "other.npz")


def test_what_a_part_of_faces_must_know():
    part = EncodedFaces(image_size=IMAGE_SIZE, encoder=ENCODER)
    assert find_part("EncodedFaces") is EncodedFaces
    assert part.sources == ("video", "images")
    assert (part.shared_by_stimulus, part.needs_backend, part.has_channels) == (False, True, False)
    assert EncodedFaces.from_fields(part.description()["fields"]) == part
    assert part.with_windowing(EEGImages(window_seconds=2.0).windowing).steps == 16


def test_faults(tmp_path, weights):
    with pytest.raises(ValueError, match="image_size: 48 pixels; expected 63 or more for AlexNet"):
        EncodedFaces(image_size=48)
    with pytest.raises(InputError, match="no trials"):
        EncodedFaces(image_size=IMAGE_SIZE, encoder=ENCODER).extract([])
    with pytest.raises(InputError, match=r"maps of 1 x 1, but faces of 227 pixels give 6 x 6; use faces of the size"):
        FaceEncoder(weights=weights).build(227)
    with pytest.raises(InputError, match=r"none.npz: no such file; expected released weights of AlexNet"):
        FaceEncoder(weights=tmp_path / "none.npz").build(227)
    (tmp_path / "cut.npz").write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(InputError, match=r"cut.npz cannot be read"):
        FaceEncoder(weights=tmp_path / "cut.npz").portable()
