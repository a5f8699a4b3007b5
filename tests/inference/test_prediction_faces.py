"""Saved models that read faces, on a recording and its parallel video."""

import json
import tracemalloc

import av
import mne
import numpy as np
import pandas as pd
import pytest

from keras_emotion import cli, faces, models, signals
from keras_emotion.datasets.continuous import ContinuousRecording
from keras_emotion.faces import Detector, Face
from keras_emotion.inference.live import live_windows
from keras_emotion.inference.predictor import Predictor
from keras_emotion.pipelines import ConnectivityFeatures, FaceFeatures, FaceQuantities, RawSignals, face_features
from keras_emotion.schema import InputError, Recording, Trial

CHANNELS = ("F3", "F4", "T7", "C4")
RATE, SECONDS, FRAME_RATE = 200.0, 24.5, 10


class PosedDetector(Detector):
    """Detect a face if the red of the frame is at least 20, at as many centimetres to the right as its value."""

    name = "posed"
    follows = True

    def detect(self, image, time_seconds=0.0):
        red = image[..., 0].mean()
        if red < 20:
            return []
        pose = np.eye(4)
        pose[:3, 3] = red, 0, -60
        places = np.array([[24.0, 26], [40, 26], [32, 34], [32, 42]])
        points = np.random.default_rng(0).uniform(20, 40, (478, 3))
        return [Face(np.array([14.0, 14, 36, 36]), places, 1.0, points, np.full(52, 0.5), pose)]


@pytest.fixture(autouse=True)
def posed(monkeypatch):
    monkeypatch.setattr(faces, "make_detector", lambda name, model=None: PosedDetector())


def write_video(path, levels):
    """A video whose frames are of one red level each."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=FRAME_RATE)
        stream.width = stream.height = 64
        stream.options = {"qscale": "1"}
        for level in levels:
            frame = np.full((64, 64, 3), (level, 60, 60), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return path


@pytest.fixture(scope="module")
def microvolts():
    return np.random.default_rng(3).normal(0, 10, (len(CHANNELS), round(SECONDS * RATE)))


@pytest.fixture(scope="module")
def folder(microvolts, tmp_path_factory):
    """A recording; a video that starts 2 s before it and ends with it, red rising by 4 a second; one too short."""
    folder = tmp_path_factory.mktemp("faces")
    info = mne.create_info(list(CHANNELS), RATE, "eeg", verbose="error")
    raw = mne.io.RawArray(microvolts * 1e-6, info, verbose="error")
    raw.save(folder / "some_raw.fif", fmt="double", verbose="error")
    levels = 40 + 0.4 * np.arange(round((SECONDS + 2) * FRAME_RATE))
    write_video(folder / "whole.avi", levels)
    # No face from 12 to 15 s of the recording, and the video ends 18 s after its start.
    levels[140:170] = 0
    write_video(folder / "short.avi", levels[:200])
    write_video(folder / "empty.avi", np.zeros(200))
    return folder


def description(part, **excluded):
    return json.loads(part.model_dump_json(exclude={"detector_model", "openface_folder"}))


def deepvanet(bio=None, modalities=("faces", "bio"), **known):
    bio = bio or RawSignals(baseline="none", channels="eeg")
    # Settings for training videos do not apply to others.
    seen = FaceFeatures(window_seconds=1.0, steps=5, image_size=32, offset_seconds=7.0, assumed_frame_rate_hz=3.0)
    inference = {"channel_names": list(CHANNELS), "sampling_rate_hz": 128.0, "bio": description(bio)}
    inference = inference if "bio" in modalities else {}
    inference |= {"faces": description(seen)} if "faces" in modalities else {}
    return models.DeepVANet(
        modalities=modalities,
        n_bio_channels=len(CHANNELS),
        image_size=32,
        width_multiplier=0.1,
        pixel_maximum=255,
        inference={**inference, "class_names": ["low", "high"], "target": "valence", **known},
    )


def prior_dfcn():
    eeg = ConnectivityFeatures(sample_seconds=9.0)
    face = FaceQuantities(window_seconds=9.0, steps=3)
    inference = {"channel_names": list(CHANNELS), "sampling_rate_hz": 128.0, "features": description(eeg)}
    return models.PriorDFCN(
        n_windows=3,
        n_channels=4,
        prior_units=4,
        stfenet=False,
        non_local_after=None,
        inference={**inference, "face": description(face), "class_names": ["low", "high"]},
    )


def of_the_whole(parts, microvolts, video, baseline_seconds=0.0):
    """Features as computed by a run for a trial."""
    signal = signals.resample(microvolts, RATE, 128.0)
    recording = Recording(signal, CHANNELS, ("uV",) * 4, 128.0, baseline_seconds)
    offset_seconds = 2.0 + baseline_seconds
    trial = Trial("x", 1, 1, "x", recording, CHANNELS, {}, video=video, video_offset_seconds=offset_seconds)
    return {name: array for part in parts for name, array in part.extract([trial])[0].items()}


@pytest.mark.parametrize("baseline", ["none", "segments"])
def test_faces_are_those_of_the_windows(baseline, folder, microvolts):
    bio = RawSignals(baseline=baseline, channels="eeg")
    predictor = Predictor(deepvanet(bio))
    recording, video = ContinuousRecording(folder / "some_raw.fif"), folder / "whole.avi"
    seen = predictor.faces(recording, video, 2.0)
    blocks = list(predictor.blocks(recording, 5.0, [seen]))
    expected = of_the_whole(
        (bio, FaceFeatures(window_seconds=1.0, steps=5, image_size=32)), microvolts, video, predictor.baseline_seconds
    )
    for name, atol in (("bio", 1e-3), ("faces", 0)):
        np.testing.assert_allclose(np.concatenate([inputs[name] for inputs in blocks]), expected[name], atol=atol)
    # Red is 40 at the start of the video, and rises by 4 a second; the coding takes some 2 off.
    red = expected["faces"][..., 0].mean(axis=(1, 2, 3))
    middles = predictor.baseline_seconds + np.arange(len(red)) + 0.5
    np.testing.assert_allclose(red, 40 + 4 * (2 + middles), atol=3)


def test_probabilities_are_those_of_the_model(folder, microvolts):
    model, video = deepvanet(), folder / "whole.avi"
    found = Predictor(model).predict(ContinuousRecording(folder / "some_raw.fif"), 5.0, video, 2.0)
    parts = RawSignals(baseline="none", channels="eeg"), FaceFeatures(window_seconds=1.0, steps=5, image_size=32)
    whole = of_the_whole(parts, microvolts, video)
    expected = np.asarray(model.window_probabilities(model.predict(whole, verbose=0)))
    np.testing.assert_allclose(found.table[["probability_low", "probability_high"]], expected, atol=1e-5)
    assert (found.table["problem"] == "").all()
    assert (found.summary["video"], found.summary["video_offset_seconds"]) == (str(video), 2.0)


def test_windows_without_a_face_have_no_probability(folder):
    found = Predictor(deepvanet()).predict(ContinuousRecording(folder / "some_raw.fif"), 5.0, folder / "short.avi", 2.0)
    missing = found.table["problem"] != ""
    # Of 12 to 15 s the first and the last are near enough to a face; the video ends at 18 s.
    np.testing.assert_array_equal(missing, found.table["probability_high"].isna())
    assert found.table.loc[missing, "start_seconds"].tolist() == [13, 18, 19, 20, 21, 22, 23]
    assert found.table["problem"][13] == "no face in the video"
    assert "ends before the trial, at 19.9 s" in found.table["problem"][20]
    assert [note.partition(":")[0] for note in found.notes if "no probability" in note] == [
        "1 of 24 windows have no probability",
        "6 of 24 windows have no probability",
    ]


def test_faces_alone_need_no_recording(folder):
    model, video = deepvanet(modalities=("faces",)), folder / "whole.avi"
    found = Predictor(model).predict(None, 5.0, video)
    assert found.table["start_seconds"].tolist() == list(range(26))
    trial = Trial("x", 1, 1, "x", None, (), {}, video=video)
    whole, _ = FaceFeatures(window_seconds=1.0, steps=5, image_size=32).extract([trial])
    expected = np.asarray(model.window_probabilities(model.predict(whole, verbose=0)))
    np.testing.assert_allclose(found.table[["probability_low", "probability_high"]], expected, atol=1e-5)
    visual = models.FACRNNVisualNetwork(
        width_multiplier=0.1, units=4, inference={"features": description(FaceFeatures(offset_seconds=3.0))}
    )
    assert Predictor(visual).predict(None, video=video).table["start_seconds"].tolist() == list(range(0, 26, 2))


def test_a_model_of_faces_alone_has_no_windows_of_a_recording(folder):
    predictor = Predictor(deepvanet(modalities=("faces",)))
    with pytest.raises(InputError, match="reads no EEG; expected a model of EEG"):
        predictor.windows(ContinuousRecording(folder / "some_raw.fif"))
    with pytest.raises(InputError, match="reads no EEG"):
        _ = predictor.lead_seconds


def test_prior_of_a_brain_network(folder, microvolts):
    model, video = prior_dfcn(), folder / "whole.avi"
    found = Predictor(model).predict(ContinuousRecording(folder / "some_raw.fif"), 10.0, video, 2.0)
    parts = ConnectivityFeatures(sample_seconds=9.0), FaceQuantities(window_seconds=9.0, steps=3)
    whole = of_the_whole(parts, microvolts, video)
    assert whole["face"].shape == (2, 3, 29)
    expected = np.asarray(model.window_probabilities(model.predict(whole, verbose=0)))
    np.testing.assert_allclose(found.table[["probability_low", "probability_high"]], expected, atol=1e-5)


@pytest.mark.parametrize("name", ["DCCA", "MMResLSTM", "EmotionTransformerFusion"])
def test_networks_of_both(name, folder, microvolts):
    eeg, face = ConnectivityFeatures(sample_seconds=9.0), FaceQuantities(window_seconds=9.0, steps=3)
    model = getattr(models, name)(
        n_windows=3,
        n_channels=4,
        n_bands=5,
        n_face_channels=29,
        n_classes=2,
        inference={
            "parts": {"eeg": description(eeg), "face": description(face)},
            "channel_names": list(CHANNELS),
            "sampling_rate_hz": 128.0,
        },
    )
    video = folder / "whole.avi"
    found = Predictor(model).predict(ContinuousRecording(folder / "some_raw.fif"), 10.0, video, 2.0)
    whole = of_the_whole((eeg, face), microvolts, video)
    outputs = model.predict({"eeg": whole["eeg"], "face": whole["face"]}, verbose=0)
    np.testing.assert_allclose(
        found.table[["probability_0", "probability_1"]], np.asarray(model.window_probabilities(outputs)), atol=1e-5
    )


@pytest.mark.parametrize(
    ("model", "recording", "video", "message"),
    [
        (deepvanet, "some_raw.fif", None, "reads faces; give --video with the face video"),
        (deepvanet, None, "whole.avi", "reads EEG; give an EEG recording"),
        (
            lambda: deepvanet(modalities=("faces",)),
            "some_raw.fif",
            "whole.avi",
            "reads faces only, and not some_raw.fif",
        ),
        (deepvanet, "some_raw.fif", "some_raw.fif", "unreadable video"),
        (deepvanet, "some_raw.fif", "empty.avi", "empty.avi: no face in the video"),
        (
            lambda: deepvanet(
                faces=description(FaceFeatures(window_seconds=60.0, steps=5, image_size=32)), modalities=("faces",)
            ),
            None,
            "whole.avi",
            "whole.avi: too short, the model needs 60 s",
        ),
        (
            lambda: models.FaceAffectNetwork(inference={"faces": description(FaceFeatures())}),
            None,
            "whole.avi",
            "has no classes, so that `predict` cannot compute probabilities",
        ),
    ],
)
def test_refused(model, recording, video, message, folder):
    with pytest.raises(InputError, match=message) as refused:
        Predictor(model()).predict(
            recording and ContinuousRecording(folder / recording), video=video and folder / video
        )
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("modalities", [("faces", "bio"), ("bio",)])
def test_offsets_that_no_video_has(modalities, folder):
    with pytest.raises(InputError, match=r"--video-offset-seconds 1e\+300: expected a number of seconds"):
        Predictor(deepvanet(modalities=modalities)).faces(
            ContinuousRecording(folder / "some_raw.fif"), folder / "whole.avi", 1e300
        )


def test_a_video_for_a_model_without_faces_is_said(folder):
    recording = ContinuousRecording(folder / "some_raw.fif")
    with pytest.raises(InputError, match="reads no faces; leave --video out"):
        Predictor(deepvanet(modalities=("bio",))).some_windows(recording, video=folder / "whole.avi")


def test_memory_holds_a_few_windows_of_faces(folder, monkeypatch):
    """Crops of a long video are stored in a file."""
    monkeypatch.setattr(face_features, "_WINDOWS_AT_ONCE", 2)
    part = FaceFeatures(window_seconds=1.0, steps=5, image_size=256)
    trial = Trial("x", 1, 1, "x", None, (), {}, video=folder / "whole.avi")
    part.extract([trial])
    tracemalloc.start()
    arrays, _ = part.extract([trial])
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert arrays["faces"].nbytes == 26 * 5 * 256 * 256 * 3 > 25e6
    assert most < 5e6


def test_what_openface_says_cannot_be_computed():
    known = prior_dfcn().inference
    said = {**known, "face": {**known["face"], "source": "openface"}}
    of_openface = models.PriorDFCN(n_windows=3, n_channels=4, stfenet=False, non_local_after=None, inference=said)
    with pytest.raises(InputError, match="was trained on OpenFace's face quantities"):
        Predictor(of_openface)


def test_a_stream_has_no_face():
    with pytest.raises(InputError, match="uses face video, which an EEG stream does not contain"):
        next(live_windows(Predictor(deepvanet()), None))


def test_command(folder, tmp_path, capsys):
    path = tmp_path / "valence.keras"
    deepvanet(synthetic=False).save(path)
    words = ["predict", str(path), str(folder / "some_raw.fif"), "--video", str(folder / "short.avi")]
    assert cli.main([*words, "--video-offset-seconds", "2", "--output", str(tmp_path / "out")]) == 0
    out = capsys.readouterr().out
    assert "note: 1 of 24 windows have no probability: no face in the video" in out
    table = pd.read_csv(tmp_path / "out" / "prediction.csv")
    assert table["probability_high"].isna().sum() == 7
    assert (tmp_path / "out" / "prediction.png").stat().st_size > 10_000
