"""Videos are rotated and stretched as a player displays them."""

import struct
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest

from keras_emotion.faces import extract_faces, make_detector, sample_frames, video_facts
from keras_emotion.schema import InputError

# What takes the stored picture to the shown one, as the header has it (a, b, c, d: column and row as shown are
# `x a + y c` and `x b + y d`), and the way back, by NumPy.
TURNS = {
    "as it is": ((1, 0, 0, 1), lambda shown: shown),
    "clockwise": ((0, 1, -1, 0), lambda shown: np.rot90(shown, 1)),
    "half a turn": ((-1, 0, 0, -1), lambda shown: np.rot90(shown, 2)),
    "counterclockwise": ((0, -1, 1, 0), lambda shown: np.rot90(shown, -1)),
    "mirrored": ((-1, 0, 0, 1), lambda shown: shown[:, ::-1]),
    "upside down": ((1, 0, 0, -1), lambda shown: shown[::-1]),
    "transposed": ((0, 1, 1, 0), lambda shown: shown.swapaxes(0, 1)),
    "transposed the other way": ((0, -1, -1, 0), lambda shown: np.rot90(shown, 2).swapaxes(0, 1)),
}
CORNERS = np.array([[[250, 0, 0], [0, 250, 0]], [[0, 0, 250], [250, 250, 250]]], np.uint8)


def with_matrix(path, matrix):
    """Write four numbers of a display matrix into the track header of an MP4 file."""
    content = bytearray(path.read_bytes())
    place = content.index(b"tkhd") + 44
    content[place : place + 20] = struct.pack(">5i", *(round(65536 * part) for part in (*matrix[:2], 0, *matrix[2:])))
    path.write_bytes(content)
    return path


def write(path, frames, pixel_aspect=None):
    height, width = frames[0].shape[:2]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options, stream.codec_context.thread_count = {"crf": "10", "preset": "ultrafast"}, 1
        if pixel_aspect is not None:
            stream.codec_context.sample_aspect_ratio = pixel_aspect
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
        container.mux(stream.encode())
    return path


def corners(image):
    """Colours in the middles of the four quarters."""
    height, width = image.shape[:2]
    return image[np.ix_([height // 4, height * 3 // 4], [width // 4, width * 3 // 4])].astype(int)


@pytest.mark.parametrize("turn", TURNS)
def test_turned_videos_are_shown_upright(tmp_path, turn):
    matrix, stored = TURNS[turn]
    upright = CORNERS.repeat(24, axis=0).repeat(32, axis=1)
    path = with_matrix(write(tmp_path / "a.mp4", [stored(upright)] * 3), matrix)
    frames = [frame for _, frame in sample_frames(path, 10)]
    for frame in frames:
        assert frame.image.shape == frame.shape == (48, 64, 3)
        np.testing.assert_allclose(corners(frame.image), CORNERS, atol=12)
        np.testing.assert_allclose(corners(frame.area(0, 0, 64, 48, block=4)), CORNERS, atol=12)
    facts = video_facts(path)
    assert (facts.width, facts.height, facts.n_frames) == (64, 48, 3)
    if abs(np.linalg.det(np.reshape(matrix, (2, 2))) - 1) < 1e-9:
        # OpenCV turns, and does not mirror.
        _, theirs = cv2.VideoCapture(str(path)).read()
        np.testing.assert_allclose(frames[0].image, theirs[:, :, ::-1], atol=3)


@pytest.mark.parametrize(
    ("pixel_aspect", "stored"), [(Fraction(16, 15), (60, 48)), (Fraction(2, 3), (64, 32)), (Fraction(4, 3), (48, 48))]
)
@pytest.mark.parametrize("turn", ["as it is", "clockwise"])
def test_pixels_become_square(tmp_path, pixel_aspect, stored, turn):
    disc = cv2.circle(np.zeros((48, 64, 3), np.uint8), (32, 24), 18, (255, 255, 255), -1)
    matrix, _ = TURNS[turn]
    path = write(tmp_path / "a.mp4", [cv2.resize(disc, stored, interpolation=cv2.INTER_AREA)], pixel_aspect)
    ((_, frame),) = sample_frames(with_matrix(path, matrix), 10)
    size = (64, 48) if turn == "as it is" else (48, 64)
    assert frame.image.shape == frame.shape == (size[1], size[0], 3)
    assert (video_facts(path).width, video_facts(path).height) == size
    bright = frame.image[..., 0] > 128
    # A disc again: as wide as it is high.
    assert [np.ptp(np.flatnonzero(bright.any(axis=axis))) for axis in (0, 1)] == pytest.approx([36, 36], abs=1)


def test_a_turned_face_is_cut_out_as_an_upright_one(tmp_path, animated_frames):
    frames = animated_frames(6, height=192, width=160)
    upright = write(tmp_path / "upright.mp4", frames)
    matrix, stored = TURNS["clockwise"]
    turned = with_matrix(write(tmp_path / "turned.mp4", [stored(frame) for frame in frames]), matrix)
    with make_detector("blazeface") as detector:
        expected, found = (extract_faces(path, detector, rate_hz=5) for path in (upright, turned))
    assert expected.frames["found"].all()
    assert found.frames["found"].all()
    assert np.abs(found.faces.astype(int) - expected.faces).mean() < 3
    np.testing.assert_allclose(found.frames["nose_x"], expected.frames["nose_x"], atol=2)


@pytest.mark.parametrize(
    ("matrix", "pixel_aspect", "message"),
    [
        ((0.5**0.5, 0.5**0.5, -(0.5**0.5), 0.5**0.5), None, r"a\.mp4: rotation of 45 degrees"),
        ((1, 0, 0, 1), Fraction(9), r"a\.mp4: pixel aspect ratio of 9 in its header"),
    ],
)
def test_what_cannot_be_shown_is_refused(tmp_path, matrix, pixel_aspect, message):
    path = with_matrix(write(tmp_path / "a.mp4", [np.zeros((48, 64, 3), np.uint8)], pixel_aspect), matrix)
    for read in (video_facts, lambda path: next(sample_frames(path, 10))):
        with pytest.raises(InputError, match=message):
            read(path)
