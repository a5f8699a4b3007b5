import dataclasses
import struct

import cv2
import numpy as np
import pytest

from keras_emotion import faces
from keras_emotion.faces import Face
from keras_emotion.pipelines import FaceFeatures, extract_rated
from keras_emotion.pipelines.face_features import length_problem
from keras_emotion.schema import ImageSequence, InputError, Recording, Trial
from tests.middle_faces import RATE, SIDE, MiddleDetector, write_video


@pytest.fixture(autouse=True)
def detector(monkeypatch):
    monkeypatch.setattr(faces, "make_detector", lambda name, model=None: MiddleDetector())


def trial(video, seconds=8.0, number=1):
    recording = Recording(np.zeros((1, round(seconds * 128))), ("Fz",), ("uV",), 128.0)
    return Trial("test", 1, number, str(number), recording, ("Fz",), {"valence": 7.0}, video=video)


def levels_of(array):
    return array[..., 0].mean(axis=(-1, -2)).round()


def test_frames_are_those_nearest_to_the_middles_of_the_slices(tmp_path):
    # Frame n of ten a second is red 40 + 2 n: slices of 0.5 s have their middles at 0.25, 0.75, ...
    video = write_video(tmp_path / "a.avi", 40 + 2 * np.arange(80))
    arrays, table = FaceFeatures().extract([trial(video)])
    assert arrays["faces"].shape == (4, 4, 48, 48, 3)
    assert arrays["faces"].dtype == np.uint8
    assert table["start_seconds"].tolist() == [0, 2, 4, 6]
    assert (table["unusable"] == "").all()
    middles = np.arange(16) * 0.5 + 0.25
    # A middle lies half way between two frames; the later one is as good as the earlier.
    shown = (levels_of(arrays["faces"]).ravel() - 40) / 2
    # Half a frame, and what the coding of the video changes.
    assert np.abs(shown - middles * RATE).max() <= 1.5


def test_the_offset_moves_the_windows_in_the_video(tmp_path):
    video = write_video(tmp_path / "a.avi", 40 + np.arange(100))
    plain, _ = FaceFeatures().extract([trial(video)])
    moved, table = FaceFeatures(offset_seconds=2.0).extract([trial(video)])
    np.testing.assert_array_equal(moved["faces"][:3], plain["faces"][1:])
    assert table["start_seconds"].tolist() == [0, 2, 4, 6]
    _, early = FaceFeatures(offset_seconds=-1.0).extract([trial(video)])
    assert early["unusable"].tolist() == ["before the start of the video", "", "", ""]


def test_a_trial_says_where_in_a_longer_video_it_starts(tmp_path):
    video = write_video(tmp_path / "session.avi", 40 + np.arange(200))
    # 20 s for a trial of 8 s: for a video of that trial only, a wrong frame rate.
    _, refused = FaceFeatures().extract([trial(video)])
    assert refused["unusable"].str.contains("lasts 20.0 s by its header").all()
    first, table = FaceFeatures().extract([dataclasses.replace(trial(video), video_offset_seconds=0.0)])
    assert table["unusable"].tolist() == [""] * 4
    later, table = FaceFeatures(offset_seconds=1.0).extract(
        [dataclasses.replace(trial(video), video_offset_seconds=3.0)]
    )
    np.testing.assert_array_equal(later["faces"][:2], first["faces"][2:])
    assert table["start_seconds"].tolist() == [0, 2, 4, 6]


def test_a_rate_averages_the_frames_of_a_slice(tmp_path):
    levels = np.where(np.arange(80) % 2, 40, 80)
    video = write_video(tmp_path / "a.avi", levels)
    arrays, _ = FaceFeatures(frame_rate_hz=4.0).extract([trial(video)])
    one, _ = FaceFeatures().extract([trial(video)])
    assert set(levels_of(one["faces"]).ravel()) <= {38, 39, 40, 41, 42, 78, 79, 80, 81, 82}
    assert np.abs(levels_of(arrays["faces"]) - 60).min() < 25
    with pytest.raises(ValueError, match="contains no frame at this rate"):
        FaceFeatures(frame_rate_hz=1.0)


def test_a_frame_without_a_face_takes_the_nearest_within_the_limit(tmp_path):
    levels = np.full(80, 100)
    levels[24:30] = 0  # 2.4 to 3.0 s: the slice with its middle at 2.75 s
    levels[44:70] = 0  # 4.4 to 7.0 s
    video = write_video(tmp_path / "a.avi", levels)
    arrays, table = FaceFeatures(maximum_gap_seconds=0.9).extract([trial(video)])
    assert table["unusable"].tolist() == ["", "", "no face in the video", "no face in the video"]
    assert levels_of(arrays["faces"])[:2].min() > 80
    assert not arrays["faces"][2:].any()
    _, strict = FaceFeatures(maximum_gap_seconds=0.0).extract([trial(video)])
    assert strict["unusable"].tolist()[:2] == ["", "no face in the video"]


def test_windows_without_a_usable_video_say_why(tmp_path):
    whole = write_video(tmp_path / "whole.avi", np.full(80, 100))
    short = write_video(tmp_path / "short.avi", np.full(50, 100))
    slow = write_video(tmp_path / "slow.avi", np.full(80, 100), rate=4)
    (tmp_path / "torn.avi").write_bytes(whole.read_bytes()[:300])
    trials = [
        trial(video, number=number)
        for number, video in enumerate([whole, short, slow, tmp_path / "torn.avi", None], start=1)
    ]
    arrays, table = FaceFeatures().extract(trials)
    assert len(arrays["faces"]) == len(table) == 20
    reasons = table.groupby("trial")["unusable"].agg(list)
    assert reasons[1] == [""] * 4
    assert reasons[2][:2] == ["", ""]
    assert "ends before the trial" in reasons[2][3]
    assert str(short) in reasons[2][3]
    assert all("lasts 20.0 s by its header (4 frames per second), the trial 8.0 s" in reason for reason in reasons[3])
    assert all("torn.avi: unreadable video" in reason for reason in reasons[4])
    assert reasons[5] == ["no face video"] * 4
    # The true rate, given explicitly, makes the slow one usable.
    _, repaired = FaceFeatures(assumed_frame_rate_hz=10.0).extract([trials[2]])
    assert (repaired["unusable"] == "").all()


@pytest.mark.parametrize(
    ("by_the_data", "lasts_seconds", "rate_hz", "expected"),
    [
        # The clip alone, a section with a tail, and a section that is longer still at the right rate.
        ({"video_seconds": 111.0, "video_frame_rate_hz": 61.0}, 80.0, 61.0, None),
        ({"video_seconds": 111.0, "video_frame_rate_hz": 61.0}, 111.0, 61.0, None),
        ({"video_seconds": 111.0, "video_frame_rate_hz": 60.9708}, 142.0, 61.0, None),
        ({"video_seconds": 111.0}, 109.0, 25.0, None),
        # 6771 frames are 111 s at 61 a second, and 270.84 s at the 25 of a wrong header.
        (
            {"video_seconds": 111.0, "video_frame_rate_hz": 61.0},
            270.84,
            25.0,
            "the trial 80.0 s, and the dataset states 61 frames per second during 111.0 s: "
            "the rate in the header is wrong; give assumed_frame_rate_hz 61",
        ),
        ({"video_seconds": 111.0, "video_frame_rate_hz": 61.0}, 200.0, 25.0, "neither fits; copy the video again"),
        ({"video_seconds": 111.0}, 200.0, 25.0, "the trial 80.0 s, and the dataset states 111.0 s: neither fits"),
        # Without information, either may be wrong: the message names both, with the consequences.
        ({}, 100.0, 25.0, "give the trial's onset in it (video_offset_seconds in trials.csv)"),
        ({}, 100.0, 25.0, "assumed_frame_rate_hz; 2500 frames in the length of the trial would be 31.2 per second"),
        ({"video_offset_seconds": 0.0}, 100.0, 25.0, None),
    ],
)
def test_a_video_may_be_as_long_as_the_data_say(by_the_data, lasts_seconds, rate_hz, expected):
    of = dataclasses.replace(trial("a.avi", seconds=80.0), **by_the_data)
    problem = length_problem("a.avi: long", of, lasts_seconds, rate_hz, 0.0, 5.0)
    assert problem is None if expected is None else expected in problem


def images(tmp_path, n_frames, rate=25.0):
    rng = np.random.default_rng(0)
    files = []
    for number in range(n_frames):
        files.append(tmp_path / f"{number:05d}.png")
        picture = np.full((SIDE, SIDE, 3), 128, np.uint8)
        picture[..., 2] = number  # OpenCV writes blue, green, red
        cv2.imwrite(str(files[-1]), picture)
    points = np.tile(rng.uniform(40, 50, (68, 2)), (n_frames, 1, 1))
    points[:, 36:42], points[:, 42:48], points[:, [48, 54]] = (40, 40), (56, 40), (48, 56)
    scores = np.arange(n_frames, dtype=float)
    return ImageSequence(tuple(files), np.arange(n_frames) / rate, {"valence": scores}, points.astype(np.float32))


def clip(sequence):
    return Trial("clips", "somebody", 1, "1", None, (), {"valence": 1.0}, images=sequence)


def test_pictures_are_sampled_as_videos_are_and_bring_their_ratings(tmp_path):
    arrays, table = extract_rated(
        FaceFeatures(hop_seconds=0.2, align_pictures_by="landmarks"), [clip(images(tmp_path, 60))]
    )
    # 60 frames last 2.4 s: windows start at 0, 0.2 and 0.4 s.
    assert table["start_seconds"].tolist() == pytest.approx([0, 0.2, 0.4])
    wanted = np.array([0.25, 0.75, 1.25, 1.75])
    expected = np.array([[np.ceil(25 * (start + time) - 0.5) for time in wanted] for start in (0, 0.2, 0.4)])
    np.testing.assert_array_equal(arrays["step_ratings@valence"], expected)
    np.testing.assert_array_equal(levels_of(arrays["faces"]), expected)


def test_a_short_clip_is_one_window(tmp_path):
    arrays, table = extract_rated(FaceFeatures(), [clip(images(tmp_path, 12))])
    assert table["valence"].tolist() == [1.0]
    assert arrays["faces"].shape[:2] == (1, 4)
    np.testing.assert_array_equal(arrays["step_ratings@valence"], [[1, 4, 7, 10]])
    assert table["stop_seconds"].tolist() == pytest.approx([12 / 25])


def test_a_single_picture_is_one_step(tmp_path):
    arrays, _ = FaceFeatures().extract([clip(images(tmp_path, 1))])
    assert arrays["faces"].shape == (1, 1, 48, 48, 3)


def test_a_broken_picture_makes_its_windows_unusable(tmp_path):
    sequence = images(tmp_path, 12)
    sequence.files[4].write_bytes(b"no picture")
    _, table = FaceFeatures().extract([clip(sequence)])
    assert "00004.png: not a readable picture" in table["unusable"][0]


class CornerDetector(MiddleDetector):
    """Detect two faces in every frame: a large one in a corner, and a small one around the middle."""

    def detect(self, image, time_seconds=0.0):
        points = np.array([[-0.2, -0.2], [0.2, -0.2], [0, 0], [0, 0.2]])
        places = ((image.shape[0] * 0.2, 30.0), (image.shape[0] * 0.5, 20.0))
        return [Face(np.array([at - side / 2] * 2 + [side] * 2), points * side + at, 1.0) for at, side in places]

    def refine(self, image, time_seconds=0.0):
        return []


def test_of_several_faces_in_a_picture_the_annotated_one_is_taken(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(faces, "make_detector", lambda name, model=None: CornerDetector())
    align = faces.align
    monkeypatch.setattr(faces, "align", lambda image, points, *size: seen.append(points) or align(image, points, *size))
    sequence = images(tmp_path, 1)
    FaceFeatures().extract([clip(sequence)])
    np.testing.assert_allclose(seen[0].mean(axis=0), [48, 48 - 1], atol=1)
    # No face near the landmarks: they are used themselves. Without landmarks: the largest face.
    far = ImageSequence(sequence.files, sequence.times_seconds, sequence.ratings, sequence.landmarks + 200)
    FaceFeatures().extract([clip(far)])
    np.testing.assert_allclose(seen[1], faces.four_landmarks(far.landmarks[0]))
    without = ImageSequence(sequence.files, sequence.times_seconds, sequence.ratings)
    FaceFeatures().extract([clip(without)])
    np.testing.assert_allclose(seen[2].mean(axis=0), [19.2, 17.7], atol=1)


# One entry: the orientation, 6.
EXIF_TO_BE_TURNED_CLOCKWISE = b"\xff\xe1\x00\x22Exif\x00\x00" + struct.pack(
    ">2sHLHHHLHHL", b"MM", 42, 8, 1, 0x112, 3, 1, 6, 0, 0
)


def test_landmarks_are_of_the_stored_pixels_and_without_them_a_picture_is_turned_as_its_header_says(
    tmp_path, monkeypatch
):
    seen = []
    align = faces.align
    monkeypatch.setattr(faces, "align", lambda image, *others: seen.append(image) or align(image, *others))
    sequence = images(tmp_path, 1)
    file = tmp_path / "turned.jpg"
    stored = np.full((SIDE, SIDE, 3), 60, np.uint8)
    stored[:, : SIDE // 2] = 200  # bright on the left; turned clockwise, on top
    encoded = cv2.imencode(".jpg", stored)[1].tobytes()
    file.write_bytes(encoded[:2] + EXIF_TO_BE_TURNED_CLOCKWISE + encoded[2:])
    for landmarks in (sequence.landmarks, None):
        FaceFeatures().extract([clip(ImageSequence((file,), sequence.times_seconds, sequence.ratings, landmarks))])
    with_landmarks, without = (image[[10, 10, -10], [10, -10, 10], 0].astype(int) for image in seen)
    np.testing.assert_allclose(with_landmarks, [200, 60, 200], atol=5)
    np.testing.assert_allclose(without, [200, 200, 60], atol=5)


def test_no_trials_are_refused():
    with pytest.raises(InputError, match="no trials"):
        FaceFeatures().extract([])


@pytest.mark.parametrize("hop_seconds", [None, 0.5])
def test_a_lag_takes_frames_later_and_keeps_the_time_of_the_table(hop_seconds, tmp_path):
    # Frame n of ten a second is red 40 + 2 n.
    video = write_video(tmp_path / "a.avi", 40 + 2 * np.arange(80))
    plain, _ = FaceFeatures(hop_seconds=0.5).extract([trial(video)])
    lagged, table = FaceFeatures(hop_seconds=hop_seconds, lag_seconds=1.5).extract([trial(video)])
    assert (table["unusable"] == "").all()
    # Of eight seconds the last window that ends within them, 1.5 s later, starts at 4.5 s.
    assert table["start_seconds"].tolist() == np.arange(0, 4.51, hop_seconds or 2.0).tolist()
    places = ((table["start_seconds"] + 1.5) / 0.5).astype(int)
    np.testing.assert_array_equal(lagged["faces"], plain["faces"][places])
    middles = table["start_seconds"].to_numpy()[:, np.newaxis] + 1.5 + np.arange(4) * 0.5 + 0.25
    assert np.abs((levels_of(lagged["faces"]) - 40) / 2 - middles * RATE).max() <= 1.5
