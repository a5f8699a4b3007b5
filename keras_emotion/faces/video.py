"""Frames of a video at wanted times, by their time stamps, as a player shows them.

What is stored may lie on its side or stand on its head, as with a telephone that is held upright, and pixels may be
wider than high, as in the 720 x 576 of television; the file says so. Pictures here are turned and stretched
accordingly.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import av
import av.error
import cv2
import numpy as np

from keras_emotion.faces.reduction import block_means
from keras_emotion.limits import check_picture, check_video
from keras_emotion.media_files import error_reason, open_media
from keras_emotion.schema import InputError

_PLANAR = ("yuv420p", "yuvj420p")
"""Formats of decoded frames of which areas are converted by themselves: three planes, two of them of half the size."""

SEEK_AFTER_SECONDS = 10.0
"""What lies further in than this is not reached by decoding everything before it."""

SEEK_MARGIN_SECONDS = 2.0
"""Decoding begins so long before the first wanted time at the latest."""


@dataclasses.dataclass(frozen=True)
class VideoFacts:
    """What the header of a video says, and how its first frame is shown.

    Args:
        path: the file.
        width: pixels of a row, as shown.
        height: rows, as shown.
        frame_rate_hz: average frame rate of the header; 0 where it has none.
        n_frames: number of frames that the header announces; 0 where it does not.
        duration_seconds: length that the header announces, or else by the time stamps of the frames.
        codec: name of the codec.
    """

    path: Path
    width: int
    height: int
    frame_rate_hz: float
    n_frames: int
    duration_seconds: float
    codec: str


LARGEST_PIXEL_ASPECT = 8
"""A video whose pixels are said to be more than so many times as wide as high, or as high as wide, is refused."""


@dataclasses.dataclass(frozen=True)
class Showing:
    """How a player shows the picture that is stored: stretched to square pixels, transposed, then mirrored.

    Args:
        width: pixels of a row of the stored picture after stretching.
        height: its rows after stretching.
        transposed: rows become columns.
        upside_down: the first row becomes the last one, after transposing.
        mirrored: the first column becomes the last one, after transposing.
    """

    width: int
    height: int
    transposed: bool = False
    upside_down: bool = False
    mirrored: bool = False

    @classmethod
    def of(cls, path: Path, stream: av.VideoStream, frame: av.VideoFrame) -> Showing | None:
        """How a frame of a video is shown; `None` where that is as it is stored.

        Pixels that are not square are stretched in the direction in which the picture becomes larger.

        Raises:
            InputError: it is turned by no multiple of 90 degrees, or its pixels have an impossible shape.
        """
        width, height = frame.width, frame.height
        aspect = float(stream.sample_aspect_ratio or 1)
        if not 1 / LARGEST_PIXEL_ASPECT <= aspect <= LARGEST_PIXEL_ASPECT:
            raise InputError(
                f"{path}: its pixels are {aspect:g} times as wide as high, by its header; expected "
                f"1/{LARGEST_PIXEL_ASPECT} to {LARGEST_PIXEL_ASPECT}; write it anew with square pixels"
            )
        width, height = (round(width * aspect), height) if aspect >= 1 else (width, round(height / aspect))
        matrix = frame.side_data.get("DISPLAYMATRIX")
        # Column and row as shown are `x a + y c` and `x b + y d`, in units of 1 / 65536, but for a shift.
        a, b, _, c, d = (1, 0, 0, 0, 1) if matrix is None else struct.unpack("=5i", bytes(matrix)[:20])
        straight, crossed = max(abs(a), abs(d)), max(abs(b), abs(c))
        if min(straight, crossed) > 0.01 * max(straight, crossed):
            raise InputError(
                f"{path}: to be turned by {-frame.rotation} degrees, by its header; expected a multiple of 90; "
                "write it anew as it is to be shown"
            )
        turned = crossed > straight
        showing = cls(width, height, turned, (b if turned else d) < 0, (c if turned else a) < 0)
        return None if showing == cls(frame.width, frame.height) else showing

    @property
    def size(self) -> tuple[int, int]:
        """Width and height as shown."""
        return (self.height, self.width) if self.transposed else (self.width, self.height)

    def shown(self, image: np.ndarray) -> np.ndarray:
        """The stored picture `(rows, columns, 3)` as it is shown, contiguous."""
        if image.shape[:2] != (self.height, self.width):
            image = cv2.resize(image, (self.width, self.height), interpolation=cv2.INTER_LINEAR)
        if self.transposed:
            image = image.swapaxes(0, 1)
        return np.ascontiguousarray(image[:: -1 if self.upside_down else 1, :: -1 if self.mirrored else 1])


@dataclasses.dataclass(frozen=True, eq=False)
class Frame:
    """One frame of a video, of which only what is looked at is converted to RGB.

    Args:
        time_seconds: its time stamp, from that of the first frame of the video.
        number: its number in the order of display, from 0.
        decoded: the frame as the decoder gave it.
        showing: how it is shown, where that is not as it is stored.
    """

    time_seconds: float
    number: int
    decoded: av.VideoFrame
    showing: Showing | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of the image."""
        if self.showing is not None:
            width, height = self.showing.size
            return height, width, 3
        return self.decoded.height, self.decoded.width, 3

    @functools.cached_property
    def image(self) -> np.ndarray:
        """`(height, width, 3)` uint8 RGB, contiguous."""
        image = _as_rgb(self.decoded)
        return image if self.showing is None else self.showing.shown(image)

    def area(self, left: int, top: int, right: int, bottom: int, block: int = 1) -> np.ndarray:
        """A part of the image, reduced by the means of blocks of pixels.

        What is `image[top:bottom, left:right]` without blocks. With blocks, it is they that are converted, which
        makes a difference of roundings, and the colour is that of a block twice as wide.

        Args:
            left: first column; like the others a multiple of `2 * block`.
            top: first row.
            right: column behind the last one.
            bottom: row behind the last one.
            block: side of a block in pixels, a power of 2.

        Returns:
            `((bottom - top) / block, (right - left) / block, 3)` uint8 RGB.
        """
        whole = self.decoded
        # Beside an odd border, half a pixel of colour would be left.
        if self.showing is not None or whole.format.name not in _PLANAR or whole.width % 2 or whole.height % 2:
            return block_means(self.image[top:bottom, left:right], block)
        part = av.VideoFrame((right - left) // block, (bottom - top) // block, whole.format.name)
        part.colorspace, part.color_range = whole.colorspace, whole.color_range
        for plane, of_whole, step in zip(part.planes, whole.planes, (1, 2, 2), strict=True):
            pixels = _pixels(of_whole)[top // step : bottom // step, left // step : right // step]
            _pixels(plane)[:] = block_means(pixels, block)
        return _as_rgb(part)


def _as_rgb(frame: av.VideoFrame) -> np.ndarray:
    # Left to itself, FFmpeg starts a thread on every core for each frame, which takes longer than the conversion.
    return np.ascontiguousarray(frame.to_ndarray(format="rgb24", threads=1))


def _pixels(plane: av.video.plane.VideoPlane) -> np.ndarray:
    """`(height, width)` of a plane, in its memory."""
    return np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: plane.height, : plane.width]


@contextlib.contextmanager
def _opened(path: Path | str):
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file; expected a video")
    if path.stat().st_size == 0:
        raise InputError(f"{path}: empty file; copy it again")
    try:
        container = open_media(path)
    except (av.error.FFmpegError, OSError) as error:
        raise InputError(
            f"{path}: no readable video ({error_reason(error)}); if it was copied, it was cut off: copy it again"
        ) from None
    with container:
        if not container.streams.video:
            kinds = ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
            raise InputError(f"{path}: holds no video stream, only {kinds}; expected a video of a face")
        stream = container.streams.video[0]
        check_picture(path, stream.width, stream.height)
        rate = float(stream.average_rate or 0)
        check_video(path, max(_header_seconds(container, stream), stream.frames / rate if rate else 0.0))
        yield container, stream


def _header_seconds(container: av.container.InputContainer, stream: av.VideoStream) -> float:
    """Length that the header announces; 0 where it does not."""
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    return (container.duration or 0) / av.time_base


def _measured_seconds(path: Path) -> float:
    """Length of a video by the time stamps of its packets: a browser's WebM announces none."""
    first, last, step = None, None, 0.0
    with _opened(path) as (container, stream), contextlib.suppress(av.error.FFmpegError):
        for packet in container.demux(stream):
            if packet.pts is not None:
                first = packet.pts if first is None else min(first, packet.pts)
                if last is None or packet.pts > last:
                    step = packet.duration or (packet.pts - last if last is not None else 0)
                    last = packet.pts
        if first is not None:
            return float((last - first + step) * stream.time_base)
    return 0.0


def video_facts(path: Path | str) -> VideoFacts:
    """What the header of a video says.

    Raises:
        InputError: no such file, empty, not a video, without a video stream, to be shown in a way that we cannot, or
            longer or larger than `Limits` allow.
    """
    with _opened(path) as (container, stream):
        duration_seconds = _header_seconds(container, stream) or _measured_seconds(Path(path))
        width, height = stream.width, stream.height
        # How it is turned, only a decoded frame says; a file without any is found out when it is read.
        with contextlib.suppress(av.error.FFmpegError):
            if (frame := next(container.decode(stream), None)) is not None:
                showing = Showing.of(Path(path), stream, frame)
                width, height = (frame.width, frame.height) if showing is None else showing.size
        return VideoFacts(
            path=Path(path),
            width=width,
            height=height,
            frame_rate_hz=float(stream.average_rate or 0),
            n_frames=stream.frames,
            duration_seconds=duration_seconds,
            codec=stream.codec_context.name,
        )


def same_frame_rate(rate_hz: float, other_hz: float) -> bool:
    """Whether two frame rates are the same but for rounding, to 1 %.

    Example:
        >>> same_frame_rate(60.9708, 61), same_frame_rate(29.97, 30), same_frame_rate(24, 25)
        (True, True, False)
    """
    return abs(rate_hz / other_hz - 1) <= 0.01


def sample_frames(
    path: Path | str,
    rate_hz: float | None = None,
    times_seconds: np.ndarray | None = None,
    *,
    assumed_frame_rate_hz: float | None = None,
    n_threads: int = 1,
) -> Iterator[tuple[float, Frame]]:
    """The frames nearest to the wanted times, one at a time, in order.

    Every frame is decoded, since compressed frames depend on each other, but only of those that are given something is
    converted to RGB. A frame that is nearest to two wanted times is given twice. Memory holds a few frames, however
    long the video.

    Where the first wanted time lies further in than `SEEK_AFTER_SECONDS`, as with one video of a whole session,
    decoding begins at a frame before it that depends on none before; the number of a frame is then reckoned from its
    time and the rate in the header.

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
        InputError: the video cannot be opened, holds no frame or cannot be shown (`Showing`), or breaks off: it ends in
            the middle of a frame, or holds fewer frames or seconds than its header announces. The frames up to there
            have been given by then.
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
    previous, given = None, None
    last_gap = 0.0

    def give(chosen: tuple[float, int, av.VideoFrame, Showing | None]) -> Frame:
        nonlocal given
        if given is None or given.number != chosen[1]:
            given = Frame(*chosen)
        return given

    start_seconds = 0.0 if times_seconds is None or not len(times_seconds) else float(times_seconds[0])
    for current in _decoded(Path(path), assumed_frame_rate_hz, n_threads, start_seconds):
        while (time := wanted.time) is not None and current[0] >= time:
            is_nearer = previous is None or current[0] - time <= time - previous[0]
            yield time, give(current if is_nearer else previous)
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
    path: Path, assumed_frame_rate_hz: float | None, n_threads: int, start_seconds: float
) -> Iterator[tuple[float, int, av.VideoFrame, Showing | None]]:
    with _opened(path) as (container, stream):
        stream.thread_type = "AUTO" if n_threads > 1 else "NONE"
        stream.thread_count = n_threads
        announced, rate = stream.frames, float(stream.average_rate or 0)
        announced_seconds = _announced_seconds(container, stream)
        number, first, time, showing, is_first = 0, None, 0.0, None, True
        try:
            far_in = assumed_frame_rate_hz is None and rate and start_seconds > SEEK_AFTER_SECONDS
            if far_in and (place := _place_before(path, start_seconds)) is not None:
                container.seek(place.target, stream=stream)
                first, number = place.first, round((place.reached - place.first) * rate)
                # Reckoned numbers are no count of frames: the length stands in for it.
                announced, announced_seconds = 0, announced_seconds or announced / rate
            for frame in container.decode(stream):
                if is_first:
                    showing, is_first = Showing.of(path, stream, frame), False
                if assumed_frame_rate_hz is not None:
                    time = number / assumed_frame_rate_hz
                elif frame.time is not None:
                    first = frame.time if first is None else first
                    # A stamp that runs backwards would put a frame before its predecessor.
                    time = max(time, float(frame.time - first))
                elif number and rate:
                    time += 1 / rate
                yield time, number, frame, showing
                number += 1
        except av.error.FFmpegError as error:
            raise InputError(
                f"{path}: breaks off after {number} frames, {time:.2f} s ({error_reason(error)}); copy it again"
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


class _Place(NamedTuple):
    """A place of a file from which it can be decoded.

    Args:
        target: what to seek, in the time base of the stream.
        first: time stamp of the first frame of the video.
        reached: time stamp of the first frame that is decoded there.
    """

    target: int
    first: float
    reached: float


def _place_before(path: Path, start_seconds: float) -> _Place | None:
    """Some seconds before a time of a video; `None` where the file cannot be entered there."""
    # By a handle of its own: a search in a file without an index leaves it where nothing can be decoded.
    with _opened(path) as (container, stream), contextlib.suppress(av.error.FFmpegError):
        first = next((frame.time for frame in container.decode(stream)), None)
        if first is not None:
            target = int((first + start_seconds - SEEK_MARGIN_SECONDS) / stream.time_base)
            container.seek(target, stream=stream)
            reached = next((frame.time for frame in container.decode(stream)), None)
            # Not every index can be believed.
            if reached is not None and first < reached <= first + start_seconds:
                return _Place(target, first, reached)
    return None


def _announced_seconds(container: av.container.InputContainer, stream: av.VideoStream) -> float:
    """Length that a Matroska file announces, which counts no frames; 0 where it is not known."""
    if "matroska" not in container.format.name:
        return 0.0
    # Another stream may be longer: the length of the file is that of this one only where it is alone.
    tag = re.fullmatch(r"(\d+):(\d+):([\d.]+)", stream.metadata.get("DURATION", ""))
    if tag is None:
        return (container.duration or 0) / av.time_base if len(container.streams) == 1 else 0.0
    return 3600 * int(tag[1]) + 60 * int(tag[2]) + float(tag[3])
