"""Frames of a video at wanted times, by their time stamps."""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path

import av
import av.error
import numpy as np

from keras_emotion.schema import InputError


@dataclasses.dataclass(frozen=True)
class VideoFacts:
    """What the header of a video says, before any frame is decoded.

    Args:
        path: the file.
        width: pixels of a row.
        height: rows.
        frame_rate_hz: average frame rate of the header; 0 where it has none.
        n_frames: number of frames that the header announces; 0 where it does not.
        duration_seconds: length that the header announces; 0 where it does not.
        codec: name of the codec.
    """

    path: Path
    width: int
    height: int
    frame_rate_hz: float
    n_frames: int
    duration_seconds: float
    codec: str


@dataclasses.dataclass(frozen=True, eq=False)
class Frame:
    """One frame of a video.

    Args:
        time_seconds: its time stamp, from that of the first frame of the video.
        number: its number in the order of display, from 0.
        image: `(height, width, 3)` uint8 RGB, contiguous.
    """

    time_seconds: float
    number: int
    image: np.ndarray


@contextlib.contextmanager
def _opened(path: Path | str):
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file; expected a video")
    if path.stat().st_size == 0:
        raise InputError(f"{path}: empty file; copy it again")
    try:
        container = av.open(str(path))
    except (av.error.FFmpegError, OSError) as error:
        raise InputError(
            f"{path}: no readable video ({_reason(error)}); if it was copied, it was cut off: copy it again"
        ) from None
    with container:
        if not container.streams.video:
            kinds = ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
            raise InputError(f"{path}: holds no video stream, only {kinds}; expected a video of a face")
        yield container, container.streams.video[0]


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def video_facts(path: Path | str) -> VideoFacts:
    """What the header of a video says.

    Raises:
        InputError: no such file, empty, not a video, or without a video stream.
    """
    with _opened(path) as (container, stream):
        if stream.duration is not None and stream.time_base is not None:
            duration_seconds = float(stream.duration * stream.time_base)
        else:
            duration_seconds = (container.duration or 0) / av.time_base
        return VideoFacts(
            path=Path(path),
            width=stream.width,
            height=stream.height,
            frame_rate_hz=float(stream.average_rate or 0),
            n_frames=stream.frames,
            duration_seconds=duration_seconds,
            codec=stream.codec_context.name,
        )


def sample_frames(
    path: Path | str,
    rate_hz: float | None = None,
    times_seconds: np.ndarray | None = None,
    *,
    assumed_frame_rate_hz: float | None = None,
    n_threads: int = 1,
) -> Iterator[tuple[float, Frame]]:
    """The frames nearest to the wanted times, one at a time, in order.

    Every frame is decoded, since compressed frames depend on each other, but only those that are given are converted
    to RGB. A frame that is nearest to two wanted times is given twice. Memory holds two frames, however long the video.

    Time is taken from the time stamps, so files of a variable frame rate are sampled right; it starts at the first
    frame. Formats without time stamps (AVI) have those that follow from the rate in the header.

    Args:
        path: the video.
        rate_hz: wanted frames a second, the first one at 0 s, to the end of the video.
        times_seconds: wanted times, sorted, in place of `rate_hz`; times past the end of the video are left out.
        assumed_frame_rate_hz: frame rate to use in place of the time stamps, where the header is known to be wrong:
            frame `n` is then at `n / assumed_frame_rate_hz`.
        n_threads: threads of the decoder.

    Yields:
        `(wanted_seconds, frame)`.

    Raises:
        InputError: the video cannot be opened or holds no frame, or breaks off: it ends in the middle of a frame, or
            holds fewer frames or seconds than its header announces. The frames up to there have been given by then.
        ValueError: neither or both of `rate_hz` and `times_seconds` are given, or an argument is out of range.
    """
    if (rate_hz is None) == (times_seconds is None):
        raise ValueError("give `rate_hz` or `times_seconds`, one of them")
    for name, value in (("rate_hz", rate_hz), ("assumed_frame_rate_hz", assumed_frame_rate_hz)):
        if value is not None and not 0 < value < np.inf:
            raise ValueError(f"`{name}` is {value}; expected more than 0")
    if times_seconds is not None and not (np.all(np.isfinite(times_seconds)) and np.all(np.diff(times_seconds) >= 0)):
        raise ValueError("`times_seconds` must be finite and sorted")
    wanted = _Wanted(rate_hz, times_seconds)
    previous, converted = None, None
    last_gap = 0.0

    def give(chosen: tuple[float, int, av.VideoFrame]) -> Frame:
        nonlocal converted
        if converted is None or converted.number != chosen[1]:
            image = np.ascontiguousarray(chosen[2].to_ndarray(format="rgb24"))
            converted = Frame(chosen[0], chosen[1], image)
        return converted

    for current in _decoded(Path(path), assumed_frame_rate_hz, n_threads):
        while (time := wanted.time) is not None and current[0] >= time:
            nearest = current if previous is None or current[0] - time <= time - previous[0] else previous
            yield time, give(nearest)
            wanted.advance()
        if wanted.time is None and times_seconds is not None:
            return
        last_gap = current[0] - previous[0] if previous is not None else 0.0
        previous = current
    # The last frame is shown as long as the one before it; the rounding of times must not add a sample after its end.
    while (time := wanted.time) is not None and time < previous[0] + last_gap - 1e-6:
        yield time, give(previous)
        wanted.advance()


class _Wanted:
    """The wanted times, one after the other; `None` when there is none left."""

    def __init__(self, rate_hz: float | None, times_seconds: np.ndarray | None):
        self._rate_hz, self._times, self._index = rate_hz, times_seconds, 0

    @property
    def time(self) -> float | None:
        if self._times is None:
            return self._index / self._rate_hz
        return float(self._times[self._index]) if self._index < len(self._times) else None

    def advance(self):
        self._index += 1


def _decoded(
    path: Path, assumed_frame_rate_hz: float | None, n_threads: int
) -> Iterator[tuple[float, int, av.VideoFrame]]:
    with _opened(path) as (container, stream):
        stream.thread_type = "AUTO" if n_threads > 1 else "NONE"
        stream.thread_count = n_threads
        announced, rate = stream.frames, float(stream.average_rate or 0)
        announced_seconds = _announced_seconds(container, stream)
        number, first, time = 0, None, 0.0
        try:
            for frame in container.decode(stream):
                if assumed_frame_rate_hz is not None:
                    time = number / assumed_frame_rate_hz
                elif frame.time is not None:
                    first = frame.time if first is None else first
                    # A stamp that runs backwards would put a frame before its predecessor.
                    time = max(time, float(frame.time - first))
                elif number and rate:
                    time += 1 / rate
                yield time, number, frame
                number += 1
        except av.error.FFmpegError as error:
            raise InputError(
                f"{path}: breaks off after {number} frames, {time:.2f} s ({_reason(error)}); copy it again"
            ) from None
    if not number:
        raise InputError(f"{path}: holds no frame; copy it again")
    # Containers count the packets; the odd one at the end may carry no frame.
    if announced and number < 0.98 * announced - 2:
        raise InputError(
            f"{path}: truncated: its header announces {announced} frames but only {number} can be read; copy it again"
        )
    if assumed_frame_rate_hz is None and time < 0.98 * announced_seconds - 1:
        raise InputError(
            f"{path}: truncated: its header announces {announced_seconds:.2f} s but only {time:.2f} s can be read; "
            "copy it again"
        )


def _announced_seconds(container: av.container.InputContainer, stream: av.VideoStream) -> float:
    """Length that a Matroska file announces, which counts no frames; 0 where it is not known."""
    if "matroska" not in container.format.name:
        return 0.0
    # Another stream may be longer: the length of the file is that of this one only where it is alone.
    tag = re.fullmatch(r"(\d+):(\d+):([\d.]+)", stream.metadata.get("DURATION", ""))
    if tag is None:
        return (container.duration or 0) / av.time_base if len(container.streams) == 1 else 0.0
    return 3600 * int(tag[1]) + 60 * int(tag[2]) + float(tag[3])
