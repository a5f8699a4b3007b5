"""Saved models that select frames, on a recording and its parallel face video."""

import json

import mne
import numpy as np
import pandas as pd
import pytest

from keras_emotion import cli, faces, signals
from keras_emotion.datasets.continuous import ContinuousRecording
from keras_emotion.inference import export
from keras_emotion.inference.predictor import Predictor
from keras_emotion.pipelines import BandStatistics, EEGImages, FaceFeatures
from keras_emotion.sampling import evenly_spread
from keras_emotion.schema import InputError, Recording, Trial
from keras_emotion.systems.face_encoders import EncodedFaces, FaceEncoder
from keras_emotion.systems.hlstm import HLSTMSystem
from tests.middle_faces import MiddleDetector, write_alexnet, write_video

CHANNELS = ("Fz", "C3", "C4", "Pz", "O1", "O2")
RATE, SECONDS, OFFSET, FRAME_RATE = 200.0, 9.1, 1.0, 24
FRAMES = 16
ALEXNET = {"filters": (2, 3, 4, 3, 2), "units": (6, 5)}
SMALL = {
    "images": EEGImages(window_seconds=2.0),
    "faces": FaceFeatures(image_size=16, maximum_gap_seconds=0.25),
    "image_size": 8,
    "n_looks": 6,
    "units": 6,
    "width": 6,
    "filters": (2, 2),
    "n_levels": 2,
}
LEVELS = np.random.default_rng(0).integers(40, 220, 90)
"""Red of the face in each eighth of a second of the video."""


@pytest.fixture(autouse=True)
def detector(monkeypatch):
    monkeypatch.setattr(faces, "make_detector", lambda name, model=None: MiddleDetector())


@pytest.fixture(scope="module")
def microvolts():
    return np.random.default_rng(3).normal(0, 10, (len(CHANNELS), round(SECONDS * RATE))).cumsum(axis=1) / 3


@pytest.fixture(scope="module")
def folder(microvolts, tmp_path_factory):
    """A recording; videos that start 1 s before it: whole, with a face lost from 4.6 to 5.6 s, ending after 6.5 s."""
    folder = tmp_path_factory.mktemp("looks")
    info = mne.create_info(list(CHANNELS), RATE, "eeg", verbose="error")
    mne.io.RawArray(microvolts * 1e-6, info, verbose="error").save(
        folder / "some_raw.fif", fmt="double", verbose="error"
    )
    other = mne.create_info(["Fz", "C3", "X1", "X2", "X3", "X4"], RATE, "eeg", verbose="error")
    mne.io.RawArray(microvolts * 1e-6, other, verbose="error").save(folder / "other_raw.fif", verbose="error")
    levels = np.repeat(LEVELS, 3)
    write_video(folder / "whole.avi", levels, FRAME_RATE)
    lost = levels.copy()
    lost[round(5.6 * FRAME_RATE) : round(6.6 * FRAME_RATE)] = 0
    write_video(folder / "lost.avi", lost, FRAME_RATE)
    write_video(folder / "short.avi", levels[: round(7.5 * FRAME_RATE)], FRAME_RATE)
    write_alexnet(folder / "alexnet.npz", **ALEXNET)
    write_alexnet(folder / "other.npz", **ALEXNET, seed=2)
    return folder


@pytest.fixture(scope="module")
def recording(folder):
    return ContinuousRecording(folder / "some_raw.fif")


def trial_of(microvolts, video=None):
    signal = signals.resample(microvolts, RATE, 128.0)
    whole = Recording(signal, CHANNELS, ("uV",) * len(CHANNELS), 128.0)
    return Trial("x", 1, 1, "x", whole, CHANNELS, {}, video=video, video_offset_seconds=OFFSET)


def model_of(microvolts, shapes, **fields):
    """A network as saved by a run, with random weights."""
    system = HLSTMSystem(**{**SMALL, **fields})
    trial = trial_of(microvolts)
    known = {"target": "valence", "class_names": ["low", "high"], "dataset": "deap", "synthetic": False}
    inference = {**system.inference(trial), **known, "units": ["uV"] * len(CHANNELS)}
    model = system.model({"eeg": (FRAMES, len(CHANNELS), 3), **shapes}, 2, inference)
    generator = np.random.default_rng(0)
    model.set_weights([0.5 * generator.standard_normal(one.shape) for one in model.get_weights()])
    # Positions differ from window to window.
    if system.looking == "policy":
        location = model.get_layer("looking").policy.location
        location.set_weights([150 * location.get_weights()[0], np.array([-0.7])])
    if "eeg" in system.modalities:
        eeg = system.images.extract([trial])[0]["eeg"]
        found = BandStatistics.fit(eeg, np.arange(len(eeg)))
        layer = model.feature_scaling["eeg"]
        layer.set_statistics(found.floor, found.mean, found.standard_deviation)
        # The interpolation matrix is not a trained weight.
        layer.matrix.assign(layer._interpolation)
    return model


@pytest.fixture(scope="module")
def model(microvolts):
    return model_of(microvolts, {"faces": (FRAMES, 16, 16, 3)})


@pytest.fixture(scope="module")
def saved(model, folder):
    model.save(folder / "m.keras")
    return folder / "m.keras"


def test_probabilities_and_looks_are_those_of_training_features(model, folder, recording, microvolts):
    found = Predictor(model).predict(recording, 60.0, folder / "whole.avi", OFFSET, n_shown=3)
    trial = trial_of(microvolts, folder / "whole.avi")
    powers, _ = SMALL["images"].extract([trial])
    crops, _ = SMALL["faces"].with_windowing(SMALL["images"].windowing).extract([trial])
    # A frame of the model is an eighth of a second of the video.
    red = crops["faces"][..., 0].mean(axis=(2, 3)).ravel()
    np.testing.assert_allclose(red, LEVELS[8 : 8 + 4 * FRAMES], atol=4)
    given = {"eeg": powers["eeg"], "faces": crops["faces"].astype(np.float32)}
    expected = model.predict(given, verbose=0)
    assert model.is_decided(expected).all()
    probabilities = found.table[["probability_low", "probability_high"]].to_numpy()
    np.testing.assert_allclose(probabilities, expected["probabilities"], atol=1e-5)
    assert np.ptp(probabilities[:, 0]) > 1e-3
    looks = found.looks
    np.testing.assert_array_equal(looks.positions, expected["positions"])
    assert found.table["looks"].tolist() == expected["looks"].tolist() == looks.looks.tolist()
    assert len({tuple(one) for one in looks.positions}) > 1
    for window in range(4):
        times = 2 * window + expected["positions"][window][: looks.looks[window]] / 8
        assert found.table["look_seconds"][window] == " ".join(f"{time:.9g}" for time in times)
        assert found.summary["looks"]["windows"][window] == {
            "start_seconds": 2.0 * window,
            "look_seconds": times.tolist(),
        }
    assert found.summary["looks"]["mean_looks"] == looks.looks.mean()
    # The shown pictures of a window are the network's inputs.
    assert looks.shown.tolist() == [0, 2, 3]
    np.testing.assert_array_equal(looks.faces, crops["faces"][[0, 2, 3]])
    np.testing.assert_allclose(looks.images, model.eeg_images(powers["eeg"][[0, 2, 3]]), atol=1e-4)


def test_segments_whose_face_is_lost_have_no_looks_and_are_counted(model, folder, recording):
    for name, lost, reason in (
        ("lost.avi", [2], "no face in the video"),
        ("short.avi", [3], f"{folder / 'short.avi'}: ends before the trial, at 7.5 s"),
    ):
        found = Predictor(model).predict(recording, 60.0, folder / name, OFFSET, n_shown=4)
        there = [place for place in range(4) if place not in lost]
        assert np.flatnonzero(found.table["probability_high"].isna()).tolist() == lost
        assert np.flatnonzero(found.table["looks"].isna()).tolist() == lost
        assert np.flatnonzero(found.table["look_seconds"] == "").tolist() == lost
        assert found.looks.windows.tolist() == there
        assert found.looks.shown.tolist() == [0, 1, 2]
        assert len(found.looks.faces) == len(found.looks.images) == 3
        starts = [one["start_seconds"] for one in found.summary["looks"]["windows"]]
        assert starts == [2.0 * place for place in there]
        assert f"1 of 4 windows have no probability: {reason}" in found.notes
        assert found.summary["windows_without_probability"] == {reason: 1}


def test_a_video_that_ends_before_the_recording_starts(model, folder, recording):
    with pytest.raises(InputError, match=r"whole.avi: ends before the trial, at 11.2 s$"):
        Predictor(model).predict(recording, 60.0, folder / "whole.avi", 30.0)


def png_height(path):
    return int.from_bytes(path.read_bytes()[20:24], "big")


def test_command(saved, folder, tmp_path, capsys):
    words = ["predict", str(saved), str(folder / "some_raw.fif"), "--video", str(folder / "lost.avi")]
    words += ["--video-offset-seconds", "1"]
    out = tmp_path / "out"
    assert cli.main([*words, "--shown-windows", "2", "--output", str(out)]) == 0
    # Probabilities and faces; histograms; of each of the two windows a face and an image of each of three bands.
    inches = (0.9 + 2.2 + 0.6) + 2.6 + 2 * (4 * 0.95 + 0.3)
    assert png_height(out / "prediction.png") == pytest.approx(150 * inches, abs=2)
    printed = capsys.readouterr().out
    table = pd.read_csv(out / "prediction.csv")
    assert table.columns[:6].tolist() == [
        *("start_seconds", "stop_seconds", "probability_low", "probability_high", "looks", "look_seconds")
    ]
    assert "note: 1 of 4 windows have no probability: no face in the video" in printed
    assert f"{table['looks'].mean():.1f} of 16 frames of a window selected, on average" in printed
    looks = json.loads((out / "prediction.json").read_text())["looks"]
    assert [len(one["look_seconds"]) for one in looks["windows"]] == table["looks"].dropna().tolist()
    assert looks["windows"][1]["look_seconds"] == [float(one) for one in table["look_seconds"][1].split()]
    with pytest.raises(SystemExit):
        cli.main([*words, "--shown-windows", "-1", "--output", str(out)])
    assert "--shown-windows -1: expected a number from 0 to 20" in capsys.readouterr().err


def test_weights_of_the_faces_are_asked_for(folder, recording, microvolts, tmp_path, capsys):
    part = EncodedFaces(image_size=64, maximum_gap_seconds=0.25, encoder=FaceEncoder(weights=folder / "alexnet.npz"))
    model = model_of(microvolts, {"face_features": (FRAMES, 5)}, face_encoder="alexnet", face_features=part)
    assert "alexnet.npz" not in json.dumps(model.inference)
    model.save(tmp_path / "m.keras")
    words = ["predict", str(tmp_path / "m.keras"), str(folder / "some_raw.fif"), "--output", str(tmp_path / "out")]
    words += ["--video", str(folder / "whole.avi"), "--video-offset-seconds", "1"]
    for options, message in (
        ([], "m.keras: was trained on face features of a network whose weights it does not store; give --face-weights"),
        (["--face-weights", "other.npz"], "other.npz: not the weights that the model was trained with"),
        (["--face-weights", "none.npz"], "none.npz: no such file; expected released weights of AlexNet (.pth, .pt or"),
    ):
        with pytest.raises(SystemExit) as stopped:
            cli.main([*words, *(str(folder / one) if one.endswith(".npz") else one for one in options)])
        assert stopped.value.code == 2
        (line,) = capsys.readouterr().err.strip().splitlines()
        assert message in line
    # The file may lie anywhere.
    weights = (folder / "alexnet.npz").rename(tmp_path / "elsewhere.npz")
    predictor = Predictor.from_file(tmp_path / "m.keras", weights={"face": weights})
    found = predictor.predict(recording, 60.0, folder / "lost.avi", OFFSET, n_shown=2)
    assert found.looks.windows.tolist() == [0, 1, 3]
    # The shown faces are extracted again, and equal the encoded ones.
    encode = predictor.face_part.encoder.encode(64)
    seen = predictor.faces(recording, folder / "lost.avi", OFFSET)
    for place, pictures in zip((0, 3), found.looks.faces, strict=True):
        np.testing.assert_allclose(encode(pictures), seen.arrays["face_features"][place], atol=1e-5)


@pytest.mark.parametrize(
    ("fields", "shapes", "message"),
    [
        (
            {},
            {"faces": (FRAMES, 16, 16, 3)},
            r"--face-weights: x.npz: FaceFeatures has no weights; leave out this option",
        ),
        ({"modalities": ("eeg",)}, {}, r"--face-weights x.npz: .* reads no faces; leave it out"),
    ],
)
def test_weights_that_nothing_needs_are_refused(fields, shapes, message, microvolts):
    with pytest.raises(InputError, match=message):
        Predictor(model_of(microvolts, shapes, **fields), weights={"face": "x.npz"})


def test_electrodes_without_a_place_are_refused(microvolts, folder, model):
    eeg = model_of(microvolts, {}, modalities=("eeg",))
    eeg._keep_inference({**eeg.inference, "channel_names": ["Fz", "X1", "C4", "Pz", "X2", "O2"]})
    with pytest.raises(InputError, match=r"channel_names: .*X1.*X2") as error:
        Predictor(eeg)
    assert "\n" not in str(error.value)
    with pytest.raises(InputError, match=r"other_raw.fif: .*2 of 6|other_raw.fif: .*Fz, C3") as error:
        Predictor(model).predict(ContinuousRecording(folder / "other_raw.fif"), video=folder / "whole.avi")
    assert "\n" not in str(error.value)


def test_missing_electrodes_have_the_mean_of_the_training(microvolts, folder, recording):
    """The mean of a band, that is 0 after standardisation."""
    model = model_of(microvolts, {}, modalities=("eeg",))
    channels = Predictor(model).select_channels(CHANNELS[:5], "some.fif")
    assert channels.missing == ("O2",)
    powers = np.full((1, FRAMES, 5, 3), 7.0, np.float32)
    filled = Predictor(model).to_inputs({"eeg": powers}, channels)["eeg"]
    np.testing.assert_allclose(filled[0, :, 5], np.tile(model.feature_scaling["eeg"].mean, (FRAMES, 1)), rtol=1e-6)
    np.testing.assert_array_equal(filled[0, :, :5], powers[0])


def test_uniform_looking_is_not_reported(microvolts, recording):
    model = model_of(microvolts, {}, modalities=("eeg",), looking="uniform")
    found = Predictor(model).predict(recording, n_shown=3)
    assert found.looks is None
    assert "looks" not in found.table
    assert "looks" not in found.summary


def test_faces_alone_need_no_recording(microvolts, folder):
    model = model_of(microvolts, {"faces": (FRAMES, 16, 16, 3)}, modalities=("face",))
    found = Predictor(model).predict(None, video=folder / "whole.avi", video_offset_seconds=OFFSET, n_shown=1)
    # From 1 to 11.25 s.
    assert found.table["start_seconds"].tolist() == [0.0, 2.0, 4.0, 6.0, 8.0]
    assert found.looks.images is None
    np.testing.assert_allclose(found.looks.faces[0, ..., 0].mean(axis=(1, 2)), LEVELS[8 : 8 + FRAMES], atol=4)


@pytest.mark.slow
@pytest.mark.parametrize("file_format", export.FORMATS)
def test_exports_agree_on_the_windows_of_a_recording(file_format, saved, folder, tmp_path, capsys):
    words = ["export", str(saved), "--format", file_format, "--output", str(tmp_path / "model")]
    words += ["--check-on", str(folder / "some_raw.fif"), "--video", str(folder / "whole.avi")]
    assert cli.main(words) == 0
    assert "on 4 windows of" in capsys.readouterr().out
    described = json.loads((tmp_path / "model.json").read_text())
    assert list(described["outputs"]) == ["probabilities", "positions", "looks", "actions"]
    assert described["inputs"]["faces"]["part"]["kind"] == "FaceFeatures"


def test_evenly_spread():
    assert np.array([2, 5])[evenly_spread(2, 3)].tolist() == [2, 5]
    assert np.array([2, 3, 5, 7, 11])[evenly_spread(5, 3)].tolist() == [2, 5, 11]
    assert evenly_spread(5, 0).tolist() == []
    assert evenly_spread(0, 3).tolist() == []
