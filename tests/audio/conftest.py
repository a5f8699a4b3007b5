"""Sound files whose content is known at every time."""

from fractions import Fraction

import av
import numpy as np
import pytest


def tones(times_seconds, channel=0):
    """A chirp from 200 Hz up by 100 Hz/s: no two segments are alike. The second channel is a fifth of the first."""
    return 0.5 * 0.2**channel * np.sin(2 * np.pi * (200 * times_seconds + 50 * times_seconds**2))


def _frames(rate, start_samples, n_samples, layout, missing):
    for first in range(0, n_samples, 1024):
        if any(begin * rate <= first < end * rate for begin, end in missing):
            continue
        times = np.arange(first, min(first + 1024, n_samples)) / rate
        n_channels = {"mono": 1, "stereo": 2}[layout]
        samples = np.stack([tones(times, channel) for channel in range(n_channels)]).astype("float32")
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout=layout)
        frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), start_samples + first
        yield frame


def write_sound(
    path, codec, rate=44100, seconds=3.0, layout="stereo", start_seconds=0.0, picture=False, missing=(), options=None
):
    """Write the chirp without the segments `missing`, where its time stamps jump."""
    with av.open(str(path), "w", options=options or {}) as container:
        if picture:
            video = container.add_stream("mpeg4", rate=25)
            video.width, video.height, video.pix_fmt = 32, 32, "yuv420p"
        stream = container.add_stream(codec, rate=rate, layout=layout)
        to_codec = av.AudioResampler(format=stream.format.name, layout=layout, rate=rate)
        if picture:
            for number in range(round(25 * seconds)):
                image = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 80, np.uint8))
                image.pts, image.time_base = number, Fraction(1, 25)
                container.mux(video.encode(image))
            container.mux(video.encode(None))
        for frame in _frames(rate, round(start_seconds * rate), round(seconds * rate), layout, missing):
            for converted in to_codec.resample(frame):
                container.mux(stream.encode(converted))
        container.mux(stream.encode(None))
    return path


@pytest.fixture(scope="session")
def sound():
    """Function that writes a sound file and returns the function of its samples."""
    write_sound.tones = tones
    return write_sound


@pytest.fixture
def cut():
    """Function that copies the first part of a file."""

    def cut(path, target, share):
        content = path.read_bytes()
        target.write_bytes(content[: int(share * len(content))])
        return target

    return cut
