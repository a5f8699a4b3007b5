"""Videos written for these tests: frames that encode their number, and a known face."""

from fractions import Fraction

import av
import numpy as np
import pytest

from keras_emotion.faces import Detector, Face
from keras_emotion.synthetic.faces import AnimatedFace, FaceIdentity, pose_course

WIDTH, HEIGHT, BLOCK = 64, 48, 16


class NumberedVideos:
    """Writes small videos whose frames carry their number as bright and dark blocks, and reads it back."""

    @staticmethod
    def write(path, milliseconds=None, *, rate=None, n_frames=None, codec="mpeg4", options=None):
        """A video with these times of presentation, or of `n_frames` at a constant `rate`."""
        stamped = milliseconds is not None
        with av.open(str(path), "w", options=options or {}) as container:
            stream = container.add_stream(codec, rate=1000 if stamped else rate)
            stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
            stream.codec_context.thread_count = 1
            for index, time in enumerate(milliseconds if stamped else range(n_frames)):
                frame = av.VideoFrame.from_ndarray(NumberedVideos.image(index), format="rgb24")
                if stamped:
                    frame.pts, frame.time_base = int(time), Fraction(1, 1000)
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        return path

    @staticmethod
    def image(number):
        """Frame that encodes a number below 4096, with noise, so that it takes its share of the file."""
        bits = np.array([number >> bit & 1 for bit in range(12)]).reshape(HEIGHT // BLOCK, WIDTH // BLOCK)
        grey = np.where(bits, 205, 50).repeat(BLOCK, axis=0).repeat(BLOCK, axis=1)
        grey = grey + np.random.default_rng(number).integers(-30, 31, (HEIGHT, WIDTH))
        return grey.astype(np.uint8)[..., None].repeat(3, axis=2)

    @staticmethod
    def number(image):
        """Decode the number of a frame."""
        grey = image.mean(axis=2).reshape(HEIGHT // BLOCK, BLOCK, WIDTH // BLOCK, BLOCK).mean(axis=(1, 3))
        return sum(1 << bit for bit, value in enumerate(grey.ravel()) if value > 128)


@pytest.fixture(scope="session")
def numbered():
    """Writer and reader of numbered videos."""
    return NumberedVideos


@pytest.fixture(scope="session")
def cut():
    """Copy the first part of a file."""

    def cut(path, target, share):
        content = path.read_bytes()
        target.write_bytes(content[: int(share * len(content))])
        return target

    return cut


@pytest.fixture(scope="session")
def write_frames():
    """Write RGB frames as a video of good quality."""

    def write(path, frames, rate=10, options=None):
        with av.open(str(path), "w", options=options or {}) as container:
            stream = container.add_stream("libx264", rate=rate)
            stream.height, stream.width = frames[0].shape[:2]
            stream.pix_fmt, stream.options = "yuv420p", {"preset": "ultrafast", "crf": "15", "bf": "0"}
            stream.codec_context.thread_count = 1
            for frame in frames:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            container.mux(stream.encode())
        return path

    return write


def animated(n_frames, seed=0, height=240, width=320, rate=10, **identity):
    """Frames of a moving face."""
    face = AnimatedFace(height, width, FaceIdentity(**identity))
    times = np.arange(n_frames) / rate
    poses = pose_course(np.random.default_rng(seed), times)
    return [face.frame(0.5 * np.sin(time), 0.0, pose) for time, pose in zip(times, poses, strict=True)]


@pytest.fixture(scope="session")
def animated_frames():
    """Frames of a synthetic face that moves its head: `animated_frames(n_frames, seed, height, width, ...)`."""
    return animated


@pytest.fixture(scope="session")
def face_video(tmp_path_factory, write_frames):
    """Video of 24 frames, 10 per second, of one face: read-only."""
    return write_frames(tmp_path_factory.mktemp("faces") / "face.mp4", animated(24))


def scripted_face(x, y, side=40.0, **details):
    """A face whose box is centred at a pixel."""
    points = np.array([[-0.2, -0.15], [0.2, -0.15], [0.0, 0.0], [0.0, 0.2]]) * side + (x, y)
    return Face(np.array([x - side / 2, y - side / 2, side, side]), points, 0.9, **details)


class ScriptedDetector(Detector):
    """Detector of scripted faces: a function from the time to `[(x, y, side), ...]`.

    Its frames are coloured: red encodes the column and green the row, so that a crop reveals its position.
    """

    name = "scripted"

    def __init__(self, script, follows=False):
        self.script, self.follows = script, follows
        self.searches, self.looks, self.n_restarts = [], [], 0

    frame = np.stack([*np.indices((256, 256))[::-1], np.zeros((256, 256))], axis=-1).astype(np.uint8)

    def detect(self, image, time_seconds=0.0):
        self.searches.append(time_seconds)
        return [scripted_face(*where) for where in self.script(time_seconds)]

    def refine(self, image, time_seconds=0.0):
        self.looks.append(time_seconds)
        side = image.shape[0]
        # A straight line through the colours of the middle: what lies outside of the frame repeats its border.
        middle = np.arange(side // 4, side - side // 4)
        scale, left = np.polyfit(middle, image[middle][:, middle, 0].mean(axis=0), 1)
        _, top = np.polyfit(middle, image[middle][:, middle, 1].mean(axis=1), 1)
        seen = [((x - left) / scale, (y - top) / scale, s / scale) for x, y, s in self.script(time_seconds)]
        return [scripted_face(x, y, s) for x, y, s in seen if 0 <= x < side and 0 <= y < side]

    def restart(self):
        self.n_restarts += 1


@pytest.fixture(scope="session")
def scripted():
    """Class of the scripted detector: `scripted(script, follows=False)`."""
    return ScriptedDetector
