"""`keras-emotion faces`: output files, printed text and errors."""

import json

import cv2
import numpy as np
import pandas as pd
import pytest

from keras_emotion import cli
from keras_emotion.synthetic.faces import FaceIdentity, surroundings

FILES = ["contact_sheet.png", "faces.npy", "frames.csv", "quality.json"]


@pytest.fixture(autouse=True)
def no_landmarker(monkeypatch):
    monkeypatch.delenv("KERAS_EMOTION_FACE_LANDMARKER", raising=False)


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def refused(words, capsys):
    """Run the command, which must raise an error, and return its output."""
    with pytest.raises(SystemExit) as raised:
        cli.main(["faces", *map(str, words)])
    assert raised.value.code == 2
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    assert captured.err.startswith("error: ")
    return captured


def test_one_video(tmp_path, face_video, capsys):
    out = tmp_path / "new" / "out"
    assert cli.main(["faces", str(face_video), "--output", str(out), "--rate-hz", "5", "--size", "48"]) == 0
    assert names_in(out) == FILES
    faces = np.load(out / "faces.npy", allow_pickle=False)
    assert (faces.shape, faces.dtype) == ((12, 48, 48, 3), np.uint8)
    frames = pd.read_csv(out / "frames.csv")
    assert len(frames) == 12
    assert frames.columns[:5].tolist() == ["time_seconds", "frame_time_seconds", "frame", "found", "n_faces"]
    assert {"score", "left", "top", "width", "height", "right_eye_x", "mouth_y", "blur", "jump"} < set(frames)
    assert frames["found"].all()
    sheet = cv2.imread(str(out / "contact_sheet.png"))
    assert sheet.shape == (112, 12 * 96, 3)
    # The first face, enlarged: OpenCV reads blue first.
    first = cv2.resize(faces[0], (96, 96), interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(sheet[:96, :96, ::-1], first)
    quality = json.loads((out / "quality.json").read_text())
    assert (quality["video"], quality["detector"]) == (str(face_video), "blazeface")
    assert (quality["frames"], quality["found"], quality["problem"]) == (12, 12, None)
    captured = capsys.readouterr()
    assert captured.err == ""
    assert captured.out.startswith(f"{face_video}: face in 12 of 12 frames (100.0%), longest gap 0.0 s, 0 jumps, ")
    assert captured.out.endswith(f"at most 1 faces at once, by blazeface; wrote {out}\n")


def test_frame_rate_to_believe(tmp_path, face_video):
    words = ["faces", str(face_video), "--output", str(tmp_path), "--rate-hz", "4", "--frame-rate-hz", "4"]
    assert cli.main(words) == 0
    assert pd.read_csv(tmp_path / "frames.csv")["frame"].tolist() == list(range(24))


def test_several_videos_with_broken_ones_among_them(tmp_path, face_video, write_frames, animated_frames, cut, capsys):
    good = write_frames(tmp_path / "good.avi", animated_frames(20))
    empty = write_frames(tmp_path / "nobody.mp4", [surroundings(120, 160, FaceIdentity())] * 5)
    (tmp_path / "text.avi").write_text("no video")
    broken = [tmp_path / "missing.avi", tmp_path / "text.avi", cut(face_video, tmp_path / "cut.mp4", 0.7)]
    half = cut(good, tmp_path / "half.avi", 0.6)
    out = tmp_path / "out"
    videos = [broken[0], face_video, half, broken[1], empty, broken[2], good]
    captured = refused([*videos, "--output", out, "--rate-hz", "10"], capsys)
    assert names_in(out) == ["face", "good", "half", "nobody"]
    assert all(names_in(out / name) == FILES for name in names_in(out))
    assert len(np.load(out / "face" / "faces.npy")) == 24
    assert len(np.load(out / "good" / "faces.npy")) == 20
    # The readable part of a truncated video is written too, and marked.
    n_half = len(np.load(out / "half" / "faces.npy"))
    assert 5 < n_half < 20
    quality = json.loads((out / "half" / "quality.json").read_text())
    assert quality["frames"] == n_half
    assert quality["problem"].startswith(f"{half}: ")
    # All damaged ones are listed, in order.
    lines = captured.err.removeprefix("error: ").splitlines()
    assert [line.split(": ")[0] for line in lines] == [
        str(path) for path in (broken[0], half, broken[1], empty, broken[2])
    ]
    assert lines[3].endswith("no face found in 5 frames")
    assert len(captured.out.splitlines()) == 4


def test_same_stem_twice(tmp_path, face_video, capsys):
    other = tmp_path / "face.avi"
    message = refused([face_video, other, "--output", tmp_path / "out"], capsys).err
    assert message == "error: several videos are named face; give each its own --output\n"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--rate-hz", "0"),
        ("--rate-hz", "-5"),
        ("--rate-hz", "nan"),
        ("--rate-hz", "inf"),
        ("--size", "4"),
        ("--margin", "-0.5"),
        ("--frame-rate-hz", "0"),
    ],
)
def test_values_out_of_range(tmp_path, face_video, capsys, option, value):
    message = refused([face_video, "--output", tmp_path / "out", option, value], capsys).err
    assert message.startswith(f"error: {option} ")
    assert ": expected " in message
    assert not (tmp_path / "out").exists()


def test_detector_without_its_file(tmp_path, face_video, capsys):
    out = tmp_path / "out"
    assert (
        "model missing; expected its .onnx file; give its path"
        in refused([face_video, "--output", out, "--detector", "yunet"], capsys).err
    )
    message = refused([face_video, "--output", out, "--detector", "face_landmarker"], capsys).err
    assert "KERAS_EMOTION_FACE_LANDMARKER: no such file" in message
    message = refused([face_video, "--output", out, "--model", tmp_path / "gone.onnx"], capsys).err
    assert "gone.onnx: no such file" in message
    assert not out.exists()


def test_output_that_cannot_be_written(tmp_path, face_video, capsys):
    (tmp_path / "file").touch()
    message = refused([face_video, "--output", tmp_path / "file", "--rate-hz", "1"], capsys).err
    assert message.startswith(f"error: {tmp_path / 'file'}: cannot be written")
