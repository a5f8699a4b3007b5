"""Means of the 29 quantities of a face, window by window."""

import dataclasses

import av
import numpy as np
import pandas as pd
import pytest

from keras_emotion import faces
from keras_emotion.faces import OPENFACE_QUANTITIES, Detector, Face
from keras_emotion.faces.detection import LANDMARKER_VARIABLE
from keras_emotion.pipelines import FaceQuantities, path_hash
from keras_emotion.schema import InputError, Recording, Trial

COLUMN = {name: place for place, name in enumerate(OPENFACE_QUANTITIES)}


@pytest.fixture(autouse=True)
def no_landmarker(monkeypatch):
    monkeypatch.delenv(LANDMARKER_VARIABLE, raising=False)


def trial(video, seconds=12.0, number=1):
    recording = None if seconds is None else Recording(np.zeros((1, round(seconds * 128))), ("Fz",), ("uV",), 128.0)
    return Trial("test", 1, number, str(number), recording, ("Fz",), {"valence": 7.0}, video=video)


# --- from OpenFace's files


def write(path, seconds=12.0, rate=10.0, seed=0, failed=()):
    """Write an OpenFace file with random numbers; return them `(frames, 29)` and their times."""
    n_frames = round(seconds * rate)
    values = np.random.default_rng(seed).uniform(-500, 500, (n_frames, 29)).round(2)
    table = pd.DataFrame(values, columns=[f" {name}" for name in OPENFACE_QUANTITIES])
    table.insert(0, " success", [int(frame not in failed) for frame in range(n_frames)])
    table.insert(0, " timestamp", [f"{frame / rate:.3f}" for frame in range(n_frames)])
    table.insert(0, "frame", np.arange(n_frames) + 1)
    path.parent.mkdir(exist_ok=True)
    table.to_csv(path, index=False)
    return values, np.arange(n_frames) / rate


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "openface"


@pytest.fixture
def video(tmp_path):
    # OpenFace has read it; nothing here needs it.
    return tmp_path / "videos" / "s01_trial01.avi"


def test_a_trial_says_where_in_a_longer_video_it_starts(folder, video):
    write(folder / "s01_trial01.csv", seconds=60.0)
    part = FaceQuantities(source="openface", openface_folder=folder, offset_seconds=1.0)
    _, refused = part.extract([trial(video)])
    assert refused["unusable"].str.contains("lasts 60.0 s, the trial 12.0 s").all()
    first, table = part.extract([dataclasses.replace(trial(video), video_offset_seconds=0.0)])
    later, _ = part.extract([dataclasses.replace(trial(video), video_offset_seconds=6.0)])
    assert table["unusable"].tolist() == [""] * 4
    np.testing.assert_array_equal(later["face"][:2], first["face"][2:])


@pytest.mark.parametrize(("hop_seconds", "offset_seconds"), [(None, 0.0), (1.0, 0.0), (None, 1.1), (2.0, -4.0)])
def test_means_of_the_frames_with_a_face_in_each_window(folder, video, hop_seconds, offset_seconds):
    failed = {5, 31, *range(60, 75)}
    values, times = write(folder / "s01_trial01.csv", failed=failed)
    part = FaceQuantities(
        source="openface", openface_folder=folder, hop_seconds=hop_seconds, offset_seconds=offset_seconds
    )
    arrays, table = part.extract([trial(video)])
    starts = np.arange(0, 9.5, hop_seconds or 3)
    assert table["start_seconds"].tolist() == starts.tolist()
    assert (table["stop_seconds"] - table["start_seconds"] == 3).all()
    assert arrays["face"].shape == (len(starts), 29)
    assert arrays["face"].dtype == np.float32
    for mean, reason, start in zip(arrays["face"], table["unusable"], starts, strict=True):
        rows = [
            row
            for row, time in enumerate(times.round(3))
            if start <= round(time - offset_seconds, 6) < start + 3 and row not in failed
        ]
        if rows:
            np.testing.assert_allclose(mean, np.mean(values[rows], axis=0), rtol=1e-5, atol=1e-4)
        else:
            assert not mean.any()
        assert (reason == "") == bool(rows)
    assert (table["unusable"] == "").any()


def test_steps_are_windows_of_their_own_and_those_without_a_face_have_the_mean(folder, video):
    write(folder / "s01_trial01.csv", failed=set(range(30, 60)))
    openface = {"source": "openface", "openface_folder": folder}
    cut, table = FaceQuantities(window_seconds=6.0, steps=2, **openface).extract([trial(video)])
    whole, _ = FaceQuantities(window_seconds=6.0, **openface).extract([trial(video)])
    short, _ = FaceQuantities(window_seconds=3.0, **openface).extract([trial(video)])
    assert cut["face"].shape == (2, 2, 29)
    assert (table["unusable"] == "").all()
    expected = short["face"].reshape(2, 2, 29).copy()
    assert not expected[0, 1].any()
    expected[0, 1] = whole["face"][0]
    np.testing.assert_allclose(cut["face"], expected)


@pytest.mark.parametrize("steps", [None, 3])
def test_a_lag_takes_frames_later_and_keeps_the_time_of_the_table(steps, folder, video):
    write(folder / "s01_trial01.csv")
    part = FaceQuantities(source="openface", openface_folder=folder, steps=steps)
    lagged, table = part.changed(lag_seconds=1.5).extract([trial(video)])
    every, _ = part.changed(hop_seconds=1.5).extract([trial(video)])
    assert table["start_seconds"].tolist() == [0, 3, 6]
    np.testing.assert_array_equal(lagged["face"], every["face"][1:7:2])
    assert (table["unusable"] == "").all()


def test_windows_without_a_face_say_why(folder, video):
    write(folder / "s01_trial01.csv", seconds=7, failed=range(30, 60))
    part = FaceQuantities(source="openface", openface_folder=folder, offset_seconds=-3.0)
    arrays, table = part.extract([trial(video, seconds=15.0)])
    path = folder / "s01_trial01.csv"
    assert table["unusable"].tolist() == [
        "before the start of the video",
        "",
        "no face in the video",
        "",
        f"{path}: ends before the trial, at 7.0 s",
    ]
    np.testing.assert_array_equal(arrays["face"].any(axis=1), table["unusable"] == "")


def test_files_that_cannot_be_used_cost_their_trial_alone(folder, tmp_path):
    for name in ("a", "b", "d", "e"):
        write(folder / f"{name}.csv", seed=ord(name))
    (folder / "b.csv").write_text((folder / "b.csv").read_text().replace("pose_Rx", "pose_rx"))
    write(folder / "d.csv", seconds=30)
    trials = [
        trial(name and tmp_path / f"{name}.mp4", number=number)
        for number, name in enumerate(["a", "b", "c", "d", None, "e"], start=1)
    ]
    arrays, table = FaceQuantities(source="openface", openface_folder=folder).extract(trials)
    assert len(arrays["face"]) == len(table) == 24
    reasons = table.groupby("trial")["unusable"].agg(lambda reasons: set(reasons))
    assert reasons[1] == reasons[6] == {""}
    (reason,) = reasons[2]
    assert reason.startswith(f"{folder / 'b.csv'}: missing column pose_Rx;")
    (reason,) = reasons[3]
    assert reason.startswith(f"{folder / 'c.csv'}: no such file;")
    (reason,) = reasons[4]
    assert reason.startswith(f"{folder / 'd.csv'}: lasts 30.0 s, the trial 12.0 s. If it continues after")
    assert reasons[5] == {"no face video"}
    # Also if the stimulus started long before the video.
    _, early = FaceQuantities(source="openface", openface_folder=folder, offset_seconds=-30.0).extract(trials[2:5:2])
    assert early["unusable"].str.contains("no such file|no face video").all()
    # The true rate, given explicitly, makes it usable.
    part = FaceQuantities(source="openface", openface_folder=folder, assumed_frame_rate_hz=25.0)
    repaired, table = part.extract([trials[3]])
    assert (table["unusable"] == "").all()
    values, _ = write(folder / "d.csv", seconds=30)
    np.testing.assert_allclose(repaired["face"], values.reshape(4, 75, 29).mean(axis=1), rtol=1e-5, atol=1e-4)


def test_without_a_recording_a_trial_lasts_as_long_as_its_file(folder, video):
    part = FaceQuantities(source="openface", openface_folder=folder)
    write(folder / "s01_trial01.csv", seconds=9)
    _, table = part.extract([trial(video, seconds=None)])
    assert table["start_seconds"].tolist() == [0, 3, 6]
    with pytest.raises(InputError, match=r"other.avi: length unknown \(.*other.csv: no such file"):
        part.extract([trial(video.with_stem("other"), seconds=None)])


def test_what_stops_everything(folder, video, tmp_path):
    part = FaceQuantities(source="openface", openface_folder=folder)
    with pytest.raises(InputError, match="openface: no such folder"):
        part.extract([trial(video)])
    folder.mkdir()
    with pytest.raises(InputError, match="no trials"):
        part.extract([])
    with pytest.raises(InputError, match=r"expected MediaPipe's face_landmarker\.task.* or use OpenFace's files"):
        FaceQuantities().extract([trial(video)])
    for fields in ({"source": "openface"}, {"openface_folder": tmp_path}):
        with pytest.raises(ValueError, match="openface_folder: the folder of OpenFace's files is needed for source"):
            FaceQuantities(**fields)
    with pytest.raises(ValueError, match=r"frame_rate_hz: a window \(or step\) of 3 s contains no frame at this rate"):
        FaceQuantities(frame_rate_hz=0.3)


def test_the_key_has_the_source_and_what_it_was_read_from(folder, tmp_path, monkeypatch):
    write(folder / "a.csv")
    key = FaceQuantities(source="openface", openface_folder=folder).key()
    assert key["source"] == "openface"
    moved = tmp_path / "elsewhere"
    folder.rename(moved)
    assert FaceQuantities(source="openface", openface_folder=moved).key() == key
    write(moved / "a.csv", seed=1)
    changed = FaceQuantities(source="openface", openface_folder=moved).key()
    assert changed != key
    write(moved / "b.csv")
    assert FaceQuantities(source="openface", openface_folder=moved).key() != changed
    assert FaceQuantities().key()["source"] == "face_landmarker"
    # The network's file decides, however it is named.
    (tmp_path / "net.task").write_bytes(b"12345")
    named = FaceQuantities(detector_model=tmp_path / "net.task").key()
    assert named["detector_model"] == path_hash(tmp_path / "net.task")
    # Its content, and not its size alone.
    (tmp_path / "other.task").write_bytes(b"54321")
    assert FaceQuantities(detector_model=tmp_path / "other.task").key() != named
    monkeypatch.setenv(LANDMARKER_VARIABLE, str(tmp_path / "net.task"))
    assert FaceQuantities().key() == named
    assert FaceQuantities(source="openface", openface_folder=moved).key()["detector_model"] is None


# --- from videos


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
        points = np.random.default_rng(0).uniform(20, 40, (478, 3))
        box = np.array([10.0, 10, 40, 40])
        return [Face(box, points[:4, :2], 1.0, points, np.full(52, 0.5), pose)]


@pytest.fixture
def posed(monkeypatch):
    monkeypatch.setattr(faces, "make_detector", lambda name, model=None: PosedDetector())


def write_video(path, levels, rate=10):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=rate)
        stream.width = stream.height = 64
        stream.options = {"qscale": "1"}
        for level in levels:
            frame = np.full((64, 64, 3), (level, 60, 60), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return path


@pytest.mark.usefixtures("posed")
def test_windows_of_a_video(tmp_path):
    levels = 40 + np.arange(150)
    levels[60:90] = 0
    levels[92:] = 0
    video = write_video(tmp_path / "a.avi", levels[:110])
    arrays, table = FaceQuantities().extract([trial(video, seconds=15.0)])
    assert table["unusable"].tolist() == [
        "",
        "",
        "no face in the video",
        "",
        f"{video}: ends before the trial, at 10.9 s",
    ]
    # At 0.1, 0.3, ... s there is frame 1, 3, ...: on average number 15 of the first window; millimetres.
    place = arrays["face"][:, COLUMN["pose_Tx"]]
    np.testing.assert_allclose(place[:2] / 10, [40 + 15, 40 + 45], atol=2)
    np.testing.assert_allclose(place[3] / 10, 40 + 91, atol=2)
    np.testing.assert_allclose(arrays["face"][[0, 1, 3]][:, COLUMN["pose_Tz"]], 600)
    np.testing.assert_allclose(arrays["face"][[0, 1, 3]][:, COLUMN["AU12_r"]], 2.5)
    assert not arrays["face"][[2, 4]].any()


@pytest.mark.usefixtures("posed")
def test_rate_offset_and_wrong_headers(tmp_path):
    seen = []
    detect = PosedDetector.detect

    class Watching(PosedDetector):
        def detect(self, image, time_seconds=0.0):
            seen.append(time_seconds)
            return detect(self, image, time_seconds)

    video = write_video(tmp_path / "a.avi", 40 + np.arange(120))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(faces, "make_detector", lambda name, model=None: Watching())
        FaceQuantities(frame_rate_hz=2.0).extract([trial(video)])
    np.testing.assert_allclose(seen, np.arange(24) / 2 + 0.25, atol=0.051)
    plain, _ = FaceQuantities().extract([trial(video)])
    moved, table = FaceQuantities(offset_seconds=3.0).extract([trial(video)])
    np.testing.assert_allclose(moved["face"][:3], plain["face"][1:], rtol=1e-6)
    assert table["unusable"].iloc[3] == f"{video}: ends before the trial, at 11.9 s"
    _, whole = FaceQuantities(offset_seconds=3.0).extract([trial(video, seconds=9.0)])
    assert whole["unusable"].tolist() == [""] * 3
    _, early = FaceQuantities(offset_seconds=-3.0).extract([trial(video)])
    assert early["unusable"].tolist() == ["before the start of the video", "", "", ""]
    own, _ = FaceQuantities(offset_seconds=1.0).extract([dataclasses.replace(trial(video), video_offset_seconds=2.0)])
    np.testing.assert_array_equal(own["face"], moved["face"])
    slow = write_video(tmp_path / "slow.avi", 40 + np.arange(120), rate=5)
    _, wrong = FaceQuantities().extract([trial(slow), trial(None, number=2)])
    assert wrong["unusable"].str.contains("lasts 24.0 s by its header").tolist() == [True] * 4 + [False] * 4
    assert wrong["unusable"].tolist()[4:] == ["no face video"] * 4
    repaired, _ = FaceQuantities(assumed_frame_rate_hz=10.0).extract([trial(slow)])
    np.testing.assert_allclose(repaired["face"], plain["face"], rtol=1e-6)


@pytest.mark.usefixtures("posed")
def test_a_video_without_anybody(tmp_path):
    video = write_video(tmp_path / "a.avi", np.zeros(60))
    arrays, table = FaceQuantities().extract([trial(video, seconds=6.0)])
    assert table["unusable"].tolist() == ["no face in the video"] * 2
    assert not arrays["face"].any()


@pytest.mark.real_data
def test_a_real_face_begins_to_smile(real_data):
    clip = real_data / "face_video" / "pyfeat_single_face.mp4"
    task = real_data / "weights" / "face_landmarker.task"
    if not clip.is_file() or not task.is_file():
        pytest.skip("no pyfeat_single_face.mp4 or face_landmarker.task beside the checkout")
    part = FaceQuantities(detector_model=task, window_seconds=0.6)
    arrays, table = part.extract([trial(clip, seconds=2.5)])
    assert (table["unusable"] == "").all()
    face = arrays["face"]
    assert face.shape == (4, 29)
    assert np.isfinite(face).all()
    smile = face[:, COLUMN["AU12_r"]]
    assert smile[0] < 0.5
    assert smile[2:].min() > 4
    # Some 30 cm from the camera, upright, and looking into it.
    np.testing.assert_allclose(face[:, COLUMN["pose_Tz"]], 300, atol=60)
    np.testing.assert_allclose(face[:, 3:6], 0, atol=0.2)
    np.testing.assert_allclose(face[:, [COLUMN["gaze_0_z"], COLUMN["gaze_1_z"]]], -1, atol=0.1)
