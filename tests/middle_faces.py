"""A detector that needs no network, the videos that it reads (a face is where a frame is red), and small weights."""

import av
import numpy as np

from keras_emotion.faces import Detector, Face

RATE = 10
SIDE = 96


class MiddleDetector(Detector):
    """Finds a face in the middle of every frame whose red is not below 20."""

    name = "middle"

    def detect(self, image, time_seconds=0.0):
        if image[..., 0].mean() < 20:
            return []
        # The cut-out around the face is 2.2 boxes wide, so its middle is the face's too.
        side = image.shape[0] / 2.2
        corner = image.shape[0] / 2 - side / 2
        points = np.array([[-0.2, -0.2], [0.2, -0.2], [0, 0], [0, 0.2]]) * side + image.shape[0] / 2
        return [Face(np.array([corner, corner, side, side]), points, 1.0)]


def write_video(path, levels, rate=RATE):
    """A video whose frames are of one red level each."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=rate)
        stream.width = stream.height = SIDE
        stream.options = {"qscale": "1"}
        for level in levels:
            frame = np.full((SIDE, SIDE, 3), (level, 60, 60), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return path


def write_alexnet(path, filters, units, seed=1):
    """Weights of AlexNet as torchvision has them, small."""
    generator, state, n_inputs = np.random.default_rng(seed), {}, 3
    for place, n_outputs, side in zip((0, 3, 6, 8, 10), filters, (11, 5, 3, 3, 3), strict=True):
        state[f"features.{place}.weight"] = 0.3 * generator.standard_normal((n_outputs, n_inputs, side, side))
        state[f"features.{place}.bias"] = generator.standard_normal(n_outputs)
        n_inputs = n_outputs
    for place, n_outputs in zip((1, 4), units, strict=True):
        state[f"classifier.{place}.weight"] = generator.standard_normal((n_outputs, n_inputs))
        state[f"classifier.{place}.bias"] = generator.standard_normal(n_outputs)
        n_inputs = n_outputs
    np.savez(path, **state)
    return path
