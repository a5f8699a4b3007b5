"""Read audio tracks of any file that FFmpeg supports: mono, at a given rate, aligned by time stamps."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import math
from collections.abc import Generator, Iterator
from pathlib import Path

import av
import av.error
import numpy as np
from av.stream import Disposition

from keras_emotion.limits import check_video
from keras_emotion.media_files import error_reason, open_media
from keras_emotion.schema import InputError

GAP_TOLERANCE_SECONDS = 0.05
"""Tolerance in seconds between time stamps and sample counts, for rounding and clock drift."""

LONGEST_GAP_SECONDS = 60.0
"""Longest gap in seconds between time stamps; a longer one is refused as damage."""

TRUNCATED_SECONDS = 0.5
"""Seconds by which audio may end before the duration in the header; otherwise it is truncated."""

_RIFF_UNKNOWN_SIZES = (0, 0xFFFFFFFF)
_RIFF_TOLERANCE_BYTES = 1024


@dataclasses.dataclass(frozen=True, eq=False)
class Sound:
    """Segment of mono audio.

    Args:
        samples: `(samples,)` float32; full scale is -1 to 1.
        sampling_rate_hz: sampling rate.
        start_seconds: time of the first sample in the file.
        filled_seconds: duration of the gaps of the file within the segment, which are filled with zeros.
    """

    samples: np.ndarray
    sampling_rate_hz: int
    start_seconds: float
    filled_seconds: float = 0.0

    @property
    def duration_seconds(self) -> float:
        """Duration of the segment."""
        return len(self.samples) / self.sampling_rate_hz

    @property
    def times_seconds(self) -> np.ndarray:
        """`(samples,)` times of the samples in the file."""
        return self.start_seconds + np.arange(len(self.samples)) / self.sampling_rate_hz


@dataclasses.dataclass(frozen=True)
class AudioFacts:
    """Header information about the first audio track of a file.

    Args:
        path: the file.
        sampling_rate_hz: sampling rate of the track.
        n_channels: number of channels.
        codec: name of the codec.
        duration_seconds: duration declared in the header; 0 if missing.
    """

    path: Path
    sampling_rate_hz: int
    n_channels: int
    codec: str
    duration_seconds: float


def audio_facts(path: Path | str) -> AudioFacts:
    """Return header information about the first audio track of a file.

    Raises:
        InputError: the file is missing, empty, truncated, unreadable or without an audio track.
    """
    with _opened(Path(path)) as (container, stream):
        return AudioFacts(
            Path(path), stream.rate, stream.channels, stream.codec_context.name, _announced_seconds(container, stream)
        )


def read_audio(
    path: Path | str,
    sampling_rate_hz: int,
    start_seconds: float = 0.0,
    stop_seconds: float | None = None,
) -> Sound:
    """Read the audio of a file, or a segment of it, as one array.

    Time 0 is the first frame of a file with video, as in `keras_emotion.faces.sample_frames`, so that video and audio
    are in sync, and the first sample of a file without video. Audio before time 0 is dropped. Gaps (audio that starts
    after the first frame, lost packets) are filled with zeros and counted in `Sound.filled_seconds`.

    Channels are averaged. FFmpeg resamples, with a low-pass filter if the rate decreases. Decoding always begins at the
    start of the file, so that a segment equals the same part of the whole file exactly.

    Args:
        path: a sound or video file; the first of several audio tracks is read.
        sampling_rate_hz: target sampling rate, an integer above 0.
        start_seconds: time of the first sample, 0 or more; rounded to a sample.
        stop_seconds: end of the segment; default and at most the end of the audio.

    Raises:
        InputError: the file is missing, empty, unreadable, without an audio track, truncated, with damaged time stamps
            or a changing format; or the segment is empty or has no audio.
        ValueError: `sampling_rate_hz` is not an integer above 0.
    """
    span = _Span.of(path, sampling_rate_hz, start_seconds, stop_seconds)
    gaps: list[tuple[float, float]] = []
    pieces = list(_resampled(span, gaps))
    return span.sound(np.concatenate(pieces), span.first, gaps)


def audio_blocks(
    path: Path | str,
    sampling_rate_hz: int,
    block_seconds: float,
    hop_seconds: float | None = None,
    start_seconds: float = 0.0,
    stop_seconds: float | None = None,
) -> Iterator[Sound]:
    """Read the audio of a file in blocks of equal length, with a few blocks in memory.

    The samples are those of `read_audio`. The last block has the remaining samples and may be shorter; no block lies
    entirely within the previous one.

    Args:
        path: a sound or video file; the first of several audio tracks is read.
        sampling_rate_hz: target sampling rate, an integer above 0.
        block_seconds: length of a block, rounded to samples, 1 sample or more.
        hop_seconds: time between the starts of consecutive blocks, rounded to samples, from 1 sample to
            `block_seconds`; default `block_seconds`.
        start_seconds: time of the first sample, 0 or more; rounded to a sample.
        stop_seconds: end of the last block; default and at most the end of the audio.

    Yields:
        The blocks in order.

    Raises:
        InputError: as `read_audio`; for a truncated file, after its last block.
        ValueError: `sampling_rate_hz`, `block_seconds` or `hop_seconds` is out of range.
    """
    span = _Span.of(path, sampling_rate_hz, start_seconds, stop_seconds)
    length = round(block_seconds * span.rate)
    hop = length if hop_seconds is None else round(hop_seconds * span.rate)
    if length < 1:
        raise ValueError(f"`block_seconds` must be a sample or more; received block_seconds={block_seconds}")
    if not 1 <= hop <= length:
        raise ValueError(
            f"`hop_seconds` must be from a sample to `block_seconds`, {block_seconds}; received {hop_seconds}"
        )
    gaps: list[tuple[float, float]] = []
    waiting: list[np.ndarray] = []
    n_waiting, first, is_new = 0, span.first, False
    for piece in _resampled(span, gaps):
        waiting.append(piece)
        n_waiting += len(piece)
        is_new = True
        if n_waiting < length:
            continue
        samples = np.concatenate(waiting)
        place = 0
        while place + length <= len(samples):
            yield span.sound(samples[place : place + length].copy(), first, gaps)
            place += hop
            first += hop
        waiting = [samples[place:]]
        n_waiting = len(samples) - place
        # The remainder of overlapping full blocks was returned already.
        is_new = n_waiting > length - hop
    if is_new and n_waiting:
        yield span.sound(np.concatenate(waiting), first, gaps)


@dataclasses.dataclass(frozen=True)
class _Span:
    """Segment of a file in samples of the target rate; `last` is `None` for the end of the audio."""

    path: Path
    rate: int
    first: int
    last: int | None

    @classmethod
    def of(cls, path, sampling_rate_hz, start_seconds, stop_seconds) -> _Span:
        if not (0 < sampling_rate_hz < math.inf and sampling_rate_hz == round(sampling_rate_hz)):
            raise ValueError(f"`sampling_rate_hz` must be an integer above 0; received {sampling_rate_hz}")
        rate = int(sampling_rate_hz)
        if not 0 <= start_seconds < math.inf:
            raise InputError(f"{path}: start of audio is {start_seconds} s; expected 0 s or more; correct it")
        last = None if stop_seconds is None or stop_seconds == math.inf else stop_seconds
        # `not`, because comparisons with NaN are false.
        if last is not None and not round(start_seconds * rate) < last * rate:
            raise InputError(
                f"{path}: audio from {start_seconds:g} to {stop_seconds:g} s is an empty segment; "
                "expected a stop after the start; correct it"
            )
        first = round(start_seconds * rate)
        return cls(Path(path), rate, first, None if last is None else max(round(last * rate), first + 1))

    def sound(self, samples: np.ndarray, first: int, gaps: list[tuple[float, float]]) -> Sound:
        start, stop = first / self.rate, (first + len(samples)) / self.rate
        filled = sum((max(0.0, min(stop, end) - max(start, begin)) for begin, end in gaps), 0.0)
        return Sound(samples, self.rate, start, filled)


def _resampled(span: _Span, gaps: list[tuple[float, float]]) -> Iterator[np.ndarray]:
    """Yield the samples of a segment at the target rate in non-empty pieces."""
    place, given = 0, False
    with contextlib.closing(_at_wanted_rate(span, gaps)) as pieces:
        for piece in pieces:
            start, place = place, place + len(piece)
            piece = piece[max(0, span.first - start) : None if span.last is None else max(0, span.last - start)]
            if len(piece):
                given = True
                yield piece
            if span.last is not None and place >= span.last:
                return
    if not given:
        raise InputError(
            f"{span.path}: no audio from {span.first / span.rate:g} s on, it ends at {place / span.rate:.2f} s; "
            "expected an earlier start; correct it"
        )


def _at_wanted_rate(span: _Span, gaps: list[tuple[float, float]]) -> Generator[np.ndarray, None, None]:
    resampler = av.AudioResampler(format="fltp", layout="mono", rate=span.rate)
    for samples, rate in _mono(span.path, gaps):
        if not len(samples):
            continue
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples[None]), format="fltp", layout="mono")
        frame.sample_rate = rate
        for resampled in resampler.resample(frame):
            yield resampled.to_ndarray()[0]
    for resampled in resampler.resample(None):
        yield resampled.to_ndarray()[0]


def _mono(path: Path, gaps: list[tuple[float, float]]) -> Iterator[tuple[np.ndarray, int]]:
    """Yield mono float32 samples from time 0 on, with gaps filled, and the sampling rate of the file."""
    with _opened(path) as (container, stream):
        announced_seconds = _announced_seconds(container, stream)
        origin_seconds = _first_picture_seconds(container)
        frames = _decoded_frames(path, container, stream)
        if (first := next(frames, None)) is None:
            raise InputError(f"{path}: empty audio track; expected audio; copy the file again")
        kind, rate = _kind_of(first), first.sample_rate
        to_float = av.AudioResampler(format="fltp", layout=first.layout, rate=rate)
        if origin_seconds is None:
            origin_seconds = first.time or 0.0
        place = round(((first.time or 0.0) - origin_seconds) * rate)
        for frame in itertools.chain([first], frames):
            if frame is first:
                gap = max(0, place)
            elif kind != _kind_of(frame):
                raise InputError(
                    f"{path}: audio format changes from {_words(kind)} to "
                    f"{_words(_kind_of(frame))} after {place / rate:.2f} s; expected one "
                    "format; convert the file again"
                )
            else:
                stamped = place if frame.time is None else round((frame.time - origin_seconds) * rate)
                gap = stamped - place if abs(stamped - place) > GAP_TOLERANCE_SECONDS * rate else 0
                place += gap
            if gap < 0 or gap > LONGEST_GAP_SECONDS * rate:
                raise InputError(
                    f"{path}: time stamps jump by {gap / rate:.2f} s at {(place - gap) / rate:.2f} s; expected "
                    "continuous audio; convert the file again"
                )
            if (n_filled := max(0, place) - max(0, place - gap)) > 0:
                gaps.append(((place - n_filled) / rate, place / rate))
                yield np.zeros(n_filled, np.float32), rate
            for converted in to_float.resample(frame):
                samples = converted.to_ndarray().mean(axis=0, dtype=np.float32)
                # Audio before the first frame has no time.
                yield samples[max(0, -place) :], rate
                place += len(samples)
        end_seconds = place / rate + origin_seconds - _seconds(stream.start_time, stream)
        if end_seconds < announced_seconds - TRUNCATED_SECONDS:
            raise InputError(
                f"{path}: truncated: its header declares {announced_seconds:.2f} s of audio but only "
                f"{end_seconds:.2f} s can be read; copy it again"
            )


def _kind_of(frame: av.AudioFrame) -> tuple[str, str, int]:
    return frame.format.name, frame.layout.name, frame.sample_rate


def _seconds(stamp: int | None, stream: av.stream.Stream) -> float:
    """Return a time stamp of a stream in seconds; 0 if it is missing, or the stream has no unit of time."""
    return float((stamp or 0) * (stream.time_base or 0))


def _words(kind: tuple[str, str, int]) -> str:
    return "{}, {}, {} Hz".format(*kind)


def _decoded_frames(
    path: Path, container: av.container.InputContainer, stream: av.AudioStream
) -> Iterator[av.AudioFrame]:
    """Yield the frames of an audio track.

    Raises:
        InputError: the track ends within a packet.
    """
    frame, is_cut = None, False
    try:
        for packet in container.demux(stream):
            # The last packet flushes the decoder and is empty.
            is_cut = packet.is_corrupt if packet.size else is_cut
            for frame in packet.decode():
                yield frame
    except av.error.FFmpegError as error:
        raise _broken_off(path, frame, error_reason(error)) from None
    # Formats without a declared end always end within a packet; the size of RIFF files has been checked.
    if is_cut and container.format.name not in ("wav", "avi"):
        raise _broken_off(path, frame, "it ends within a packet")


def _broken_off(path: Path, frame: av.AudioFrame | None, reason: str) -> InputError:
    seconds = 0.0 if frame is None else (frame.time or 0.0) + frame.samples / frame.sample_rate
    return InputError(
        f"{path}: truncated or damaged: audio decoding failed after {seconds:.2f} s ({reason}); copy it again"
    )


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[tuple[av.container.InputContainer, av.AudioStream]]:
    if not path.is_file():
        raise InputError(f"{path}: no such file; expected a sound or video file")
    n_bytes = path.stat().st_size
    if n_bytes == 0:
        raise InputError(f"{path}: empty file; copy it again")
    with path.open("rb") as file:
        head = file.read(8)
    # FFmpeg takes the size of a RIFF file (WAV, AVI) as its length if it is smaller than its header declares.
    announced = int.from_bytes(head[4:8], "little")
    if head[:4] == b"RIFF" and announced not in _RIFF_UNKNOWN_SIZES and announced + 8 > n_bytes + _RIFF_TOLERANCE_BYTES:
        raise InputError(
            f"{path}: truncated: its header declares {announced + 8} bytes but it has {n_bytes}; copy it again"
        )
    try:
        container = open_media(path)
    except (av.error.FFmpegError, OSError) as error:
        raise InputError(
            f"{path}: unreadable audio ({error_reason(error)}); expected a sound or video file; a copy may be "
            "truncated: copy it again"
        ) from None
    with container:
        if not container.streams.audio:
            kinds = ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
            raise InputError(f"{path}: no audio track, only {kinds}; expected a file with audio")
        stream = container.streams.audio[0]
        check_video(path, _announced_seconds(container, stream))
        yield container, stream


def _first_picture_seconds(container: av.container.InputContainer) -> float | None:
    """Return the time stamp of the first video frame; `None` without video (the cover of an album does not count)."""
    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic:
            return _seconds(stream.start_time, stream)
    return None


def _announced_seconds(container: av.container.InputContainer, stream: av.AudioStream) -> float:
    """Return the duration of an audio track by the file header; 0 if missing."""
    name = container.format.name
    if "matroska" in name:
        hours, _, rest = stream.metadata.get("DURATION", "").partition(":")
        minutes, _, seconds = rest.partition(":")
        try:
            return 3600 * int(hours) + 60 * int(minutes) + float(seconds)
        except ValueError:
            return 0.0
    # FFmpeg estimates the duration of other files by their size. For MP3, only an encoder's header is reliable.
    tells = any(word in name for word in ("mp4", "wav", "flac", "aiff")) or (
        name == "mp3" and "encoder" in stream.metadata
    )
    return _seconds(stream.duration, stream) if tells else 0.0
