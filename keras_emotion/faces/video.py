"""Sample frames of a video at given times, by their time stamps, as a player displays them.

Stored frames may be rotated, as from a telephone held upright, and pixels may be wider than high, as in 720 x 576
television video; the file declares it. Frames are rotated and stretched accordingly.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import itertools
import re
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import av
import av.error
import cv2
import numpy as np

from keras_emotion.faces.reduction import block_means
from keras_emotion.limits import check_picture, check_video
from keras_emotion.media_files import error_reason, open_media
from keras_emotion.schema import InputError

_PLANAR = ("yuv420p", "yuvj420p")
"""Pixel formats whose areas can be converted separately: three planes, two of them subsampled by 2."""

SEEK_AFTER_SECONDS = 10.0
"""Time beyond which decoding starts by seeking instead of from the start of the file."""

SEEK_MARGIN_SECONDS = 2.0
"""Minimum time between the start of decoding and the first requested time."""


@dataclasses.dataclass(frozen=True)
class VideoFacts:
    """Header information about a video, with the display size of its first frame.

    Args:
        path: the file.
        width: displayed pixels per row.
        height: displayed rows.
        frame_rate_hz: average frame rate of the header; 0 if missing.
        n_frames: number of frames declared in the header; 0 if missing.
        duration_seconds: duration declared in the header, or else by the time stamps of the frames.
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
"""Largest supported ratio of pixel width to height, or height to width; other videos are refused."""


@dataclasses.dataclass(frozen=True)
class Showing:
    """Transformation from the stored to the displayed picture: stretched to square pixels, transposed, then mirrored.

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
        """Return the transformation of a frame of a video; `None` if it is displayed as stored.

        Non-square pixels are stretched in the direction in which the picture becomes larger.

        Raises:
            InputError: the rotation is not a multiple of 90 degrees, or the pixel aspect ratio is out of range.
        """
        width, height = frame.width, frame.height
        aspect = float(stream.sample_aspect_ratio or 1)
        if not 1 / LARGEST_PIXEL_ASPECT <= aspect <= LARGEST_PIXEL_ASPECT:
            raise InputError(
                f"{path}: pixel aspect ratio of {aspect:g} in its header; expected "
                f"1/{LARGEST_PIXEL_ASPECT} to {LARGEST_PIXEL_ASPECT}; convert it with square pixels"
            )
        width, height = (round(width * aspect), height) if aspect >= 1 else (width, round(height / aspect))
        matrix: Any = frame.side_data.get("DISPLAYMATRIX")
        # Displayed column and row are `x a + y c` and `x b + y d`, in units of 1 / 65536, up to a shift.
        a, b, _, c, d = (1, 0, 0, 0, 1) if matrix is None else struct.unpack("=5i", bytes(matrix)[:20])
        straight, crossed = max(abs(a), abs(d)), max(abs(b), abs(c))
        if min(straight, crossed) > 0.01 * max(straight, crossed):
            raise InputError(
                f"{path}: rotation of {-frame.rotation} degrees in its header; expected a multiple of 90; "
                "convert it without rotation"
            )
        turned = crossed > straight
        showing = cls(width, height, turned, (b if turned else d) < 0, (c if turned else a) < 0)
        return None if showing == cls(frame.width, frame.height) else showing

    @property
    def size(self) -> tuple[int, int]:
        """Displayed width and height."""
        return (self.height, self.width) if self.transposed else (self.width, self.height)

    def shown(self, image: np.ndarray) -> np.ndarray:
        """Return the stored picture `(rows, columns, 3)` as displayed, contiguous."""
        if image.shape[:2] != (self.height, self.width):
            image = cv2.resize(image, (self.width, self.height), interpolation=cv2.INTER_LINEAR)
        if self.transposed:
            image = image.swapaxes(0, 1)
        return np.ascontiguousarray(image[:: -1 if self.upside_down else 1, :: -1 if self.mirrored else 1])


@dataclasses.dataclass(frozen=True, eq=False)
class Frame:
    """Frame of a video, of which only the requested areas are converted to RGB.

    Args:
        time_seconds: time stamp relative to the first frame of the video.
        number: frame number in display order, from 0.
        decoded: the frame as the decoder gave it.
        showing: transformation for display, `None` if there is none.
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
        """Convert to `(height, width, 3)` uint8 RGB, contiguous."""
        image = _as_rgb(self.decoded)
        return image if self.showing is None else self.showing.shown(image)

    def area(self, left: int, top: int, right: int, bottom: int, block: int = 1) -> np.ndarray:
        """Return a part of the image, downscaled by block means.

        Without blocks, it is `image[top:bottom, left:right]`. With blocks, these are converted to RGB, which gives
        rounding differences and the chroma of blocks twice as wide.

        Args:
            left: first column; like the others a multiple of `2 * block`.
            top: first row.
            right: column after the last one.
            bottom: row after the last one.
            block: side of a block in pixels, a power of 2.

        Returns:
            `((bottom - top) / block, (right - left) / block, 3)` uint8 RGB.
        """
        whole = self.decoded
        # At an odd border, half a chroma pixel would remain.
        if self.showing is not None or whole.format.name not in _PLANAR or whole.width % 2 or whole.height % 2:
            return block_means(self.image[top:bottom, left:right], block)
        part = av.VideoFrame((right - left) // block, (bottom - top) // block, whole.format.name)
        part.colorspace, part.color_range = whole.colorspace, whole.color_range
        for plane, of_whole, step in zip(part.planes, whole.planes, (1, 2, 2), strict=True):
            pixels = _pixels(of_whole)[top // step : bottom // step, left // step : right // step]
            _pixels(plane)[:] = block_means(pixels, block)
        return _as_rgb(part)


def _as_rgb(frame: av.VideoFrame) -> np.ndarray:
    # By default, FFmpeg starts a thread on every core for each frame, which takes longer than the conversion.
    return np.ascontiguousarray(frame.to_ndarray(format="rgb24", threads=1))


def _pixels(plane: av.video.plane.VideoPlane) -> np.ndarray:
    """Return `(height, width)` of a plane, as a view."""
    buffer: Any = plane
    return np.frombuffer(buffer, np.uint8).reshape(-1, plane.line_size)[: plane.height, : plane.width]


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
            f"{path}: unreadable video ({error_reason(error)}); a copy may be truncated: copy it again"
        ) from None
    with container:
        if not container.streams.video:
            kinds = ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
            raise InputError(f"{path}: no video stream, only {kinds}; expected a video of a face")
        stream = container.streams.video[0]
        check_picture(path, stream.width, stream.height)
        rate = float(stream.average_rate or 0)
        check_video(path, max(_header_seconds(container, stream), stream.frames / rate if rate else 0.0))
        yield container, stream


def _header_seconds(container: av.container.InputContainer, stream: av.VideoStream) -> float:
    """Return the duration declared in the header; 0 if missing."""
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    return (container.duration or 0) / av.time_base


def _measured_seconds(path: Path) -> float:
    """Return the duration of a video by the time stamps of its packets, for browsers' WebM files without one."""
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
    """Return header information about a video.

    Raises:
        InputError: the file is missing, empty, not a video, without a video stream, with unsupported display settings,
            or longer or larger than `Limits` allow.
    """
    with _opened(path) as (container, stream):
        duration_seconds = _header_seconds(container, stream) or _measured_seconds(Path(path))
        width, height = stream.width, stream.height
        # The rotation is only known from a decoded frame; a file without frames is detected when it is read.
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
    """Return whether two frame rates are equal within 1 %, which allows for rounding.

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
    """Yield the frames nearest to the requested times, one at a time, in order.

    Every frame is decoded, since compressed frames depend on each other, but only requested areas of yielded frames are
    converted to RGB. A frame that is nearest to two requested times is yielded twice. A few frames are in memory,
    regardless of the length of the video.

    If the first requested time is later than `SEEK_AFTER_SECONDS`, as in one video of a whole session, decoding starts
    at a key frame before it; frame numbers are then computed from the time and the rate in the header.

    Times are time stamps relative to the first frame, so files with a variable frame rate are sampled correctly.
    Formats without time stamps (AVI) use those that follow from the rate in the header.

    Args:
        path: the video.
        rate_hz: requested frames per second, the first one at 0 s, to the end of the video.
        times_seconds: requested times, sorted, instead of `rate_hz`; times after the end of the video are ignored.
        assumed_frame_rate_hz: frame rate to use instead of the time stamps, if the header is known to be wrong: frame
            `n` is then at `n / assumed_frame_rate_hz`.
        n_threads: threads of the decoder.

    Yields:
        `(wanted_seconds, frame)`.

    Raises:
        InputError: the video cannot be opened, has no frame or cannot be displayed (`Showing`), or is truncated: it
            ends within a frame, or has fewer frames or seconds than its header declares. The frames before have been
            yielded by then.
        ValueError: neither or both of `rate_hz` and `times_seconds` are given, or an argument is out of range.
    """
    for name, value in (("rate_hz", rate_hz), ("assumed_frame_rate_hz", assumed_frame_rate_hz)):
        if value is not None and not 0 < value < np.inf:
            raise ValueError(f"`{name}` is {value}; expected more than 0")
    if times_seconds is not None and not (np.all(np.isfinite(times_seconds)) and np.all(np.diff(times_seconds) >= 0)):
        raise ValueError("`times_seconds` must be finite and sorted")
    if rate_hz is not None and times_seconds is None:
        wanted = _Wanted(index / rate_hz for index in itertools.count())
    elif rate_hz is None and times_seconds is not None:
        wanted = _Wanted(map(float, times_seconds))
    else:
        raise ValueError("expected either `rate_hz` or `times_seconds`")
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
            yield time, give(current if previous is None or current[0] - time <= time - previous[0] else previous)
            wanted.advance()
        if wanted.time is None and times_seconds is not None:
            return
        last_gap = current[0] - previous[0] if previous is not None else 0.0
        previous = current
    # The last frame is displayed as long as the one before it; rounding must not add a sample after its end.
    while (time := wanted.time) is not None and previous is not None and time < previous[0] + last_gap - 1e-6:
        yield time, give(previous)
        wanted.advance()


class _Wanted:
    """Iterator of the requested times: `time` is the next one, `None` at the end."""

    def __init__(self, times: Iterable[float]):
        self._times = iter(times)
        self.advance()

    def advance(self) -> None:
        self.time = next(self._times, None)


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
                # Computed frame numbers are not a count: the duration is checked instead.
                announced, announced_seconds = 0, announced_seconds or announced / rate
            for frame in container.decode(stream):
                if is_first:
                    showing, is_first = Showing.of(path, stream, frame), False
                if assumed_frame_rate_hz is not None:
                    time = number / assumed_frame_rate_hz
                elif frame.time is not None:
                    first = frame.time if first is None else first
                    # A decreasing time stamp would put a frame before its predecessor.
                    time = max(time, float(frame.time - first))
                elif number and rate:
                    time += 1 / rate
                yield time, number, frame, showing
                number += 1
        except av.error.FFmpegError as error:
            raise InputError(
                f"{path}: truncated or damaged: decoding failed after {number} frames, {time:.2f} s "
                f"({error_reason(error)}); copy it again"
            ) from None
    if not number:
        raise InputError(f"{path}: no frames; expected a video; copy it again")
    # Containers count packets; a packet at the end may contain no frame.
    if announced and number < 0.98 * announced - 2:
        raise InputError(
            f"{path}: truncated: its header declares {announced} frames but only {number} can be read; copy it again"
        )
    if assumed_frame_rate_hz is None and time < 0.98 * announced_seconds - 1:
        raise InputError(
            f"{path}: truncated: its header declares {announced_seconds:.2f} s but only {time:.2f} s can be read; "
            "copy it again"
        )


class _Place(NamedTuple):
    """Position of a file from which it can be decoded.

    Args:
        target: seek target, in the time base of the stream.
        first: time stamp of the first frame of the video.
        reached: time stamp of the first decoded frame.
    """

    target: int
    first: float
    reached: float


def _place_before(path: Path, start_seconds: float) -> _Place | None:
    """Return a position some seconds before a time of a video; `None` if the file is not seekable there."""
    # With a separate handle: a failed seek in a file without an index leaves it unable to decode.
    with _opened(path) as (container, stream), contextlib.suppress(av.error.FFmpegError):
        first = next((frame.time for frame in container.decode(stream)), None)
        if first is not None:
            target = int((first + start_seconds - SEEK_MARGIN_SECONDS) / stream.time_base)
            container.seek(target, stream=stream)
            reached = next((frame.time for frame in container.decode(stream)), None)
            # Not every index is correct.
            if reached is not None and first < reached <= first + start_seconds:
                return _Place(target, first, reached)
    return None


def _announced_seconds(container: av.container.InputContainer, stream: av.VideoStream) -> float:
    """Return the duration declared by a Matroska file, which has no frame count; 0 if unknown."""
    if "matroska" not in container.format.name:
        return 0.0
    # Another stream may be longer: the duration of the file is used only if this is the only stream.
    tag = re.fullmatch(r"(\d+):(\d+):([\d.]+)", stream.metadata.get("DURATION", ""))
    if tag is None:
        return (container.duration or 0) / av.time_base if len(container.streams) == 1 else 0.0
    return 3600 * int(tag[1]) + 60 * int(tag[2]) + float(tag[3])
