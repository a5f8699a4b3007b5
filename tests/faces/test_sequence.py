"""From a video to the faces of one person, and their quality."""

import gc
import json
import os

import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_emotion.faces import (
    BlazeFace,
    Detector,
    FaceSequence,
    align,
    contact_sheet,
    extract_faces,
    nearest_found,
    sample_frames,
)
from keras_emotion.schema import InputError
from keras_emotion.synthetic.faces import FaceIdentity, surroundings

COLUMNS = [
    *("time_seconds", "frame_time_seconds", "frame", "found", "n_faces", "score", "left", "top", "width", "height"),
    *("right_eye_x", "right_eye_y", "left_eye_x", "left_eye_y", "nose_x", "nose_y", "mouth_x", "mouth_y"),
    *("blur", "jump"),
]


@pytest.fixture(scope="module")
def blazeface():
    return BlazeFace()


def landmarks_of(row):
    return (
        row[[f"{name}_{axis}" for name in ("right_eye", "left_eye", "nose", "mouth") for axis in "xy"]]
        .to_numpy(float)
        .reshape(4, 2)
    )


def test_faces_are_the_aligned_crops_of_the_frames(face_video, blazeface):
    sequence = extract_faces(face_video, blazeface, rate_hz=5, size=56, margin=0.2)
    assert sequence.faces.shape == (12, 56, 56, 3)
    assert sequence.faces.dtype == np.uint8
    assert list(sequence.frames.columns) == COLUMNS
    assert sequence.frames["found"].all()
    assert not sequence.frames["jump"].any()
    np.testing.assert_allclose(sequence.frames["time_seconds"], np.arange(12) / 5)
    np.testing.assert_array_equal(sequence.frames["frame"], np.arange(0, 24, 2))
    for crop, (_, row), (_, frame) in zip(
        sequence.faces, sequence.frames.iterrows(), sample_frames(face_video, 5), strict=True
    ):
        np.testing.assert_array_equal(crop, align(frame.image, landmarks_of(row), 56, 0.2))
        grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY).astype(float)
        padded = np.pad(grey, 1, mode="reflect")
        laplacian = padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:] - 4 * grey
        assert row["blur"] == pytest.approx(laplacian.var(), rel=1e-4)
    assert (sequence.source, sequence.details, sequence.problem) == (face_video, {}, None)
    quality = json.loads(json.dumps(sequence.quality, allow_nan=False))
    blur = quality.pop("median_blur")
    assert blur == pytest.approx(sequence.frames["blur"].median())
    assert quality == {
        "video": str(face_video),
        "frames": 12,
        "found": 12,
        "found_share": 1.0,
        "longest_gap_seconds": 0.0,
        "jumps": 0,
        "most_faces": 1,
        "problem": None,
    }


def test_faces_at_wanted_times(face_video, blazeface):
    every = extract_faces(face_video, blazeface, rate_hz=10)
    times = np.array([0.31, 0.3101, 1.5, 2.2])
    sequence = extract_faces(face_video, blazeface, times_seconds=times)
    np.testing.assert_array_equal(sequence.frames["time_seconds"], times)
    np.testing.assert_array_equal(sequence.frames["frame"], [3, 3, 15, 22])
    assert sequence.frames["found"].all()
    # Found in the whole frame or in another crop, the landmarks differ slightly.
    for (_, row), frame in zip(sequence.frames.iterrows(), (3, 3, 15, 22), strict=True):
        expected = landmarks_of(every.frames.loc[frame])
        assert np.abs(landmarks_of(row) - expected).max() < 0.2 * (expected[1, 0] - expected[0, 0])
    np.testing.assert_array_equal(sequence.faces[0], sequence.faces[1])


def test_faces_are_mapped_from_a_file_that_nobody_sees(face_video, blazeface):
    sequence = extract_faces(face_video, blazeface, rate_hz=5)
    assert isinstance(sequence.faces, np.memmap)
    assert not sequence.faces.flags.writeable
    before = np.array(sequence.faces)
    gc.collect()
    np.testing.assert_array_equal(sequence.faces, before)


def test_faces_that_are_covered_are_not_found(tmp_path, write_frames, animated_frames, blazeface):
    frames = animated_frames(20)
    covered = surroundings(240, 320, FaceIdentity())
    path = write_frames(tmp_path / "a.mp4", frames[:7] + [covered] * 6 + frames[13:])
    sequence = extract_faces(path, blazeface, rate_hz=10)
    found = np.array([True] * 7 + [False] * 6 + [True] * 7)
    np.testing.assert_array_equal(sequence.frames["found"], found)
    assert not sequence.faces[~found].any()
    assert sequence.faces[found].any(axis=(1, 2, 3)).all()
    assert sequence.frames.loc[~found, "score":"blur"].isna().all(axis=None)
    assert sequence.frames.loc[found, "score":"blur"].notna().all(axis=None)
    np.testing.assert_array_equal(sequence.frames["n_faces"], found)
    assert sequence.quality["longest_gap_seconds"] == pytest.approx(0.6)
    assert sequence.quality["found_share"] == pytest.approx(14 / 20)


def test_video_without_a_face(tmp_path, write_frames, blazeface):
    empty = surroundings(120, 160, FaceIdentity())
    sequence = extract_faces(write_frames(tmp_path / "a.mp4", [empty] * 6), blazeface, rate_hz=10)
    assert sequence.faces.shape == (6, 64, 64, 3)
    assert not sequence.faces.any()
    assert list(sequence.frames.columns) == COLUMNS
    quality = sequence.quality
    assert (quality["found"], quality["found_share"], quality["median_blur"]) == (0, 0.0, None)
    assert quality["longest_gap_seconds"] == pytest.approx(0.6)


@pytest.mark.parametrize("late", ["left", "right"])
def test_face_that_is_there_longest_is_taken(tmp_path, write_frames, animated_frames, blazeface, late):
    present = animated_frames(20, height=160, width=160)
    empty = surroundings(160, 160, FaceIdentity())
    # The other one is nearer to the camera, but late.
    other = [empty] * 7 + animated_frames(13, seed=1, height=160, width=160, face_height=0.7, mirrored=True)
    sides = (other, present) if late == "left" else (present, other)
    frames = [np.hstack(pair) for pair in zip(*sides, strict=True)]
    sequence = extract_faces(write_frames(tmp_path / "a.mp4", frames), blazeface, rate_hz=10, detect_every_seconds=0.5)
    assert sequence.frames["found"].all()
    assert np.all((sequence.frames["nose_x"] > 160) == (late == "left"))
    assert sequence.quality["most_faces"] == 2
    assert set(sequence.frames["n_faces"][:7]) == {1}
    assert set(sequence.frames["n_faces"][12:]) == {2}
    assert sequence.quality["jumps"] == 0


def test_an_earlier_but_shorter_track_is_left_out(tmp_path, write_frames, animated_frames, blazeface):
    empty = surroundings(160, 160, FaceIdentity())
    first = animated_frames(6, height=160, width=160) + [empty] * 14
    longest = [empty] * 4 + animated_frames(16, seed=1, height=160, width=160, mirrored=True)
    frames = [np.hstack(pair) for pair in zip(first, longest, strict=True)]
    sequence = extract_faces(write_frames(tmp_path / "a.mp4", frames), blazeface, rate_hz=10, detect_every_seconds=0.2)
    found = sequence.frames["found"].to_numpy()
    assert not found[:4].any()
    assert found[6:].all()
    assert np.all(sequence.frames["nose_x"][found] > 160)
    assert set(sequence.frames["n_faces"][:4]) == {1}


def test_of_two_who_are_there_alike_the_first_found_is_taken(tmp_path, numbered, scripted):
    path = numbered.write(tmp_path / "a.mp4", rate=10, n_frames=10)
    first, second = (20, 20, 10), (50, 30, 14)
    detector = scripted(lambda time: [first, second] if time < 0.45 else [second, first], follows=True)
    sequence = extract_faces(path, detector, rate_hz=10)
    assert np.all(sequence.frames["nose_x"] == 20)
    assert np.all(sequence.frames["n_faces"] == 2)


def test_jumps_by_hand(tmp_path, numbered, scripted):
    path = numbered.write(tmp_path / "a.mp4", rate=10, n_frames=7)
    # Sides of 20: a move of 10 is not a jump, one of 10.5 is; a move after a gap counts too.
    places = [20, 30, 40.5, 40.5, None, 29.5, 20]

    def script(time):
        place = places[round(10 * time)]
        return [] if place is None else [(place, 24, 20)]

    sequence = extract_faces(path, scripted(script, follows=True), rate_hz=10)
    assert sequence.frames["jump"].tolist() == [False, False, True, False, False, True, False]
    assert sequence.quality["jumps"] == 2
    np.testing.assert_allclose(sequence.frames["left"], [10, 20, 30.5, 30.5, np.nan, 19.5, 10])
    np.testing.assert_allclose(sequence.frames["score"], [0.9] * 4 + [np.nan] + [0.9] * 2)


def test_frame_that_is_sampled_again_is_searched_once(tmp_path, numbered, scripted):
    path = numbered.write(tmp_path / "a.mp4", rate=5, n_frames=6)
    detector = scripted(lambda time: [(30, 24, 16)], follows=True)
    sequence = extract_faces(path, detector, rate_hz=20)
    assert len(sequence.frames) == 24
    assert len(detector.searches) == 6
    assert sequence.frames["found"].all()
    frames = sequence.frames["frame"].to_numpy()
    for frame in range(6):
        assert np.all(sequence.faces[frames == frame] == sequence.faces[frames == frame][0])
    assert not np.array_equal(sequence.faces[0], sequence.faces[-1])


def test_details_of_the_detector_are_stacked(tmp_path, numbered, scripted):
    path = numbered.write(tmp_path / "a.mp4", rate=10, n_frames=4)
    details = {"mesh": np.ones((478, 3)), "blendshapes": np.arange(52) / 52, "transformation": np.eye(4)}

    class Detailed(scripted):
        def detect(self, image, time_seconds=0.0):
            found = super().detect(image, time_seconds)
            return [type(face)(face.box, face.landmarks, face.score, **details) for face in found]

    detector = Detailed(lambda time: [] if time == 0.2 else [(30, 24, 16)], follows=True)
    sequence = extract_faces(path, detector, rate_hz=10)
    assert {name: array.dtype for name, array in sequence.details.items()} == dict.fromkeys(details, np.float32)
    for name, array in sequence.details.items():
        assert array.shape == (4, *details[name].shape)
        assert np.isnan(array[2]).all()
        np.testing.assert_allclose(array[[0, 1, 3]], np.stack([details[name]] * 3), rtol=1e-6)


def test_many_people_need_few_open_files(tmp_path, numbered, scripted):
    resource = pytest.importorskip("resource")
    path = numbered.write(tmp_path / "a.mp4", rate=10, n_frames=80)
    # A different face in each frame, and one that stays.
    detector = scripted(lambda time: [(1000 * round(10 * time), 24, 16), (30, -500, 16)], follows=True)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Numbers below the highest may or may not be free: earlier code in this process has left gaps.
    highest = max(map(int, os.listdir("/dev/fd")))
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 20, before[1]))
    try:
        sequence = extract_faces(path, detector, rate_hz=10)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert sequence.frames["found"].all()
    assert np.all(sequence.frames["nose_x"] == 30)


@pytest.mark.parametrize(("extension", "options"), [("avi", {}), ("mp4", {"movflags": "faststart"})])
def test_video_that_breaks_off_gives_the_faces_up_to_there(
    tmp_path, write_frames, animated_frames, blazeface, cut, extension, options
):
    whole = write_frames(tmp_path / f"whole.{extension}", animated_frames(30), options=options)
    path = cut(whole, tmp_path / f"cut.{extension}", 0.6)
    sequence = extract_faces(path, blazeface, rate_hz=10)
    assert sequence.problem.startswith(f"{path}: ")
    assert sequence.problem.endswith("copy it again")
    assert sequence.quality["problem"] == sequence.problem
    assert 10 < len(sequence.frames) < 25
    assert sequence.faces.shape[0] == len(sequence.frames)
    assert sequence.frames["found"][:-1].all()


@pytest.mark.parametrize("content", [None, b"", b"no video"])
def test_what_is_no_video(tmp_path, scripted, content):
    path = tmp_path / "a.avi"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=str(path)):
        extract_faces(path, scripted(lambda time: []), rate_hz=5)


def test_no_wanted_times_give_no_faces(tmp_path, numbered, scripted):
    path = numbered.write(tmp_path / "a.mp4", rate=10, n_frames=3)
    for times in (np.zeros(0), np.array([10.0])):
        sequence = extract_faces(path, scripted(lambda time: []), times_seconds=times, size=32)
        assert sequence.faces.shape == (0, 32, 32, 3)
        assert list(sequence.frames.columns) == COLUMNS
        quality = sequence.quality
        assert (quality["frames"], quality["found_share"], quality["longest_gap_seconds"]) == (0, 0.0, 0.0)


def sequence_of(found, step=0.5, **columns):
    found = np.array(found, bool)
    frames = pd.DataFrame({"time_seconds": step * np.arange(len(found)), "found": found})
    columns = {"jump": False, "n_faces": 1, "blur": 5.0} | columns
    frames = frames.assign(**columns)
    frames.loc[~found, "blur"] = np.nan
    return FaceSequence(np.zeros((len(found), 8, 8, 3), np.uint8), frames, "a.avi", {})


@pytest.mark.parametrize(
    ("found", "longest_gap_seconds"),
    [
        ([1, 1, 1, 1], 0),
        ([1, 0, 1, 1], 0.5),
        ([1, 0, 0, 1, 0], 1),
        ([0, 0, 0, 1, 0], 1.5),
        ([1, 0, 1, 0, 0], 1),
        ([0, 0, 0], 1.5),
        ([1], 0),
    ],
)
def test_longest_gap_by_hand(found, longest_gap_seconds):
    assert sequence_of(found).quality["longest_gap_seconds"] == longest_gap_seconds


def test_quality_by_hand():
    sequence = sequence_of([1, 1, 0, 1], jump=[False, True, False, True], n_faces=[1, 3, 0, 2], blur=[4.0, 9, 0, 5])
    assert sequence.quality == {
        "video": "a.avi",
        "frames": 4,
        "found": 3,
        "found_share": 0.75,
        "longest_gap_seconds": 0.5,
        "jumps": 2,
        "median_blur": 5.0,
        "most_faces": 3,
        "problem": None,
    }


@settings(max_examples=200, deadline=None)
@given(
    samples=st.lists(st.tuples(st.integers(1, 30), st.booleans()), min_size=1, max_size=30),
    maximum_gap=st.integers(0, 60),
)
def test_nearest_found(samples, maximum_gap):
    # In tenths of a second, so that brute force need not think of rounding.
    tenths = np.cumsum([gap for gap, _ in samples])
    found = np.array([seen for _, seen in samples])
    nearest = nearest_found(tenths / 10, found, maximum_gap / 10)
    for index, time in enumerate(tenths):
        candidates = [other for other in np.flatnonzero(found) if abs(tenths[other] - time) <= maximum_gap]
        best = min(candidates, key=lambda other: (abs(tenths[other] - time), other), default=-1)
        if best < 0 or nearest[index] == best:
            assert nearest[index] == best
        else:
            # In seconds, two distances that are the same may differ in the last digit.
            assert abs(tenths[nearest[index]] - time) == abs(tenths[best] - time)


def test_nearest_found_takes_the_earlier_of_two():
    found = np.array([True, False, True, False, False, False, True])
    assert nearest_found(np.arange(7), found, 2).tolist() == [0, 0, 2, 2, 2, 6, 6]
    assert nearest_found(np.arange(7), np.zeros(7, bool), 2).tolist() == [-1] * 7


def test_contact_sheet():
    sequence = sequence_of([1] * 29 + [0])
    sequence.faces[:] = 200
    sheet = contact_sheet(sequence)
    assert sheet.shape == (3 * (96 + 16), 12 * 96, 3)
    assert sheet.dtype == np.uint8
    assert np.all(sheet[:96, : 12 * 96] == 200)
    # The last one was not found, and the tiles after it are empty.
    assert np.all(sheet[2 * 112 : 2 * 112 + 96, 5 * 96 : 6 * 96] == 160)
    assert np.all(sheet[2 * 112 :, 6 * 96 :] == 255)
    # Every tile has its time below it.
    assert (sheet[96:112, :96] < 128).any()
    assert contact_sheet(sequence, n_columns=4, n_faces=6).shape == (2 * 112, 4 * 96, 3)
    large = FaceSequence(np.zeros((30, 120, 120, 3), np.uint8), sequence.frames, "a.avi", {})
    assert contact_sheet(large, n_columns=10).shape == (3 * 136, 10 * 120, 3)


def test_detector_that_fails_is_not_taken_for_a_broken_video(tmp_path, numbered):
    class Failing(Detector):
        name = "failing"

        def detect(self, image, time_seconds=0.0):
            raise RuntimeError("a bug")

    path = numbered.write(tmp_path / "a.mp4", rate=10, n_frames=3)
    with pytest.raises(RuntimeError, match="a bug"):
        extract_faces(path, Failing(), rate_hz=10)
