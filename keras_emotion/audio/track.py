"""Sound of any file that FFmpeg reads: mono, at a wanted sampling rate, placed in time by its time stamps."""

from __future__ import annotations

import contextlib
import dataclasses
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
"""Time stamps may differ so much from the number of samples before them, by rounding and by drifting clocks."""

LONGEST_GAP_SECONDS = 60.0
"""A longer gap between time stamps is refused as damage."""

TRUNCATED_SECONDS = 0.5
"""Sound that ends so much before the length in the header is truncated."""

_RIFF_UNKNOWN_SIZES = (0, 0xFFFFFFFF)
_RIFF_TOLERANCE_BYTES = 1024


@dataclasses.dataclass(frozen=True, eq=False)
class Sound:
    """A stretch of mono sound.

    Args:
        samples: `(samples,)` float32; full scale is -1 to 1.
        sampling_rate_hz: sampling rate.
        start_seconds: time of the first sample in the file.
        filled_seconds: length of the gaps of the file within the stretch, which are filled with zeros.
    """

    samples: np.ndarray
    sampling_rate_hz: int
    start_seconds: float
    filled_seconds: float = 0.0

    @property
    def duration_seconds(self) -> float:
        """Length of the stretch."""
        return len(self.samples) / self.sampling_rate_hz

    @property
    def times_seconds(self) -> np.ndarray:
        """`(samples,)` times of the samples in the file."""
        return self.start_seconds + np.arange(len(self.samples)) / self.sampling_rate_hz


@dataclasses.dataclass(frozen=True)
class AudioFacts:
    """Facts about the first sound track of a file, from its header.

    Args:
        path: the file.
        sampling_rate_hz: sampling rate of the track.
        n_channels: number of its channels.
        codec: name of the codec.
        duration_seconds: length that the header announces; 0 where it announces none.
    """

    path: Path
    sampling_rate_hz: int
    n_channels: int
    codec: str
    duration_seconds: float


def audio_facts(path: Path | str) -> AudioFacts:
    """Return the facts about the first sound track of a file.

    Raises:
        InputError: no such file, empty, truncated, unreadable or without a sound track.
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
    """Read the sound of a file, or a stretch of it, as one array.

    Time 0 is the first picture of a file with video, as in `keras_emotion.faces.sample_frames`, so that pictures and
    sound are in step, and the first sample of a file without video. Sound before time 0 is left out. Gaps (sound that
    starts after the first picture, lost packets) are filled with zeros and counted in `Sound.filled_seconds`.

    Channels are averaged. FFmpeg resamples, with a low-pass filter where the rate decreases. The sound is decoded from
    the start of the file whatever the stretch, so that a stretch equals the same part of the whole file exactly.

    Args:
        path: a sound or video file; of several sound tracks the first is read.
        sampling_rate_hz: wanted sampling rate, a whole number above 0.
        start_seconds: time of the first sample, 0 or more; rounded to a sample.
        stop_seconds: end of the stretch; default and at most the end of the sound.

    Raises:
        InputError: no such file, empty, unreadable, without a sound track, truncated, with damaged time stamps or of a
            format that changes; or the stretch is empty or holds no sound.
        ValueError: `sampling_rate_hz` is not a whole number above 0.
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
    """Read the sound of a file in blocks of equal length, in the memory of a few blocks.

    The samples are those of `read_audio`. The last block holds what is left and may be shorter; no block lies within
    the one before it.

    Args:
        path: a sound or video file; of several sound tracks the first is read.
        sampling_rate_hz: wanted sampling rate, a whole number above 0.
        block_seconds: length of a block, rounded to samples, 1 sample or more.
        hop_seconds: time from the start of a block to that of the next, rounded to samples, from 1 sample to
            `block_seconds`; default `block_seconds`.
        start_seconds: time of the first sample, 0 or more; rounded to a sample.
        stop_seconds: end of the last block; default and at most the end of the sound.

    Yields:
        The blocks in order.

    Raises:
        InputError: as `read_audio`; of a truncated file after its last block.
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
        # What is left of full blocks that overlap has been given already.
        is_new = n_waiting > length - hop
    if is_new and n_waiting:
        yield span.sound(np.concatenate(waiting), first, gaps)


@dataclasses.dataclass(frozen=True)
class _Span:
    """A stretch of a file in samples of the wanted rate; `last` is `None` for the end of the sound."""

    path: Path
    rate: int
    first: int
    last: int | None

    @classmethod
    def of(cls, path, sampling_rate_hz, start_seconds, stop_seconds) -> _Span:
        if not (0 < sampling_rate_hz < math.inf and sampling_rate_hz == round(sampling_rate_hz)):
            raise ValueError(f"`sampling_rate_hz` must be a whole number above 0; received {sampling_rate_hz}")
        rate = int(sampling_rate_hz)
        if not 0 <= start_seconds < math.inf:
            raise InputError(f"{path}: sound from {start_seconds} s on was asked for; expected 0 s or more")
        last = None if stop_seconds is None or stop_seconds == math.inf else stop_seconds
        # `not`: nothing compares with a NaN.
        if last is not None and not round(start_seconds * rate) < last * rate:
            raise InputError(
                f"{path}: sound from {start_seconds:g} to {stop_seconds:g} s was asked for, an empty span; "
                "expected a stop after the start"
            )
        first = round(start_seconds * rate)
        return cls(Path(path), rate, first, None if last is None else max(round(last * rate), first + 1))

    def sound(self, samples: np.ndarray, first: int, gaps: list[tuple[float, float]]) -> Sound:
        start, stop = first / self.rate, (first + len(samples)) / self.rate
        filled = sum((max(0.0, min(stop, end) - max(start, begin)) for begin, end in gaps), 0.0)
        return Sound(samples, self.rate, start, filled)


def _resampled(span: _Span, gaps: list[tuple[float, float]]) -> Iterator[np.ndarray]:
    """Samples of a span at the wanted rate, piece by piece; none of the pieces is empty."""
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
            f"{span.path}: no sound from {span.first / span.rate:g} s on, it ends at {place / span.rate:.2f} s; "
            "expected an earlier start"
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
    """Mono float32 samples from time 0 on at the rate of the file, gaps filled, and that rate."""
    with _opened(path) as (container, stream):
        announced_seconds = _announced_seconds(container, stream)
        origin_seconds = _first_picture_seconds(container)
        to_float, kind, place = None, None, 0
        for frame in _decoded_frames(path, container, stream):
            rate = frame.sample_rate
            if kind is None:
                kind = (frame.format.name, frame.layout.name, rate)
                to_float = av.AudioResampler(format="fltp", layout=frame.layout, rate=rate)
                if origin_seconds is None:
                    origin_seconds = frame.time or 0.0
                place = round(((frame.time or 0.0) - origin_seconds) * rate)
                gap = max(0, place)
            elif kind != (frame.format.name, frame.layout.name, rate):
                raise InputError(
                    f"{path}: its format changes from {_words(kind)} to "
                    f"{_words((frame.format.name, frame.layout.name, rate))} after {place / rate:.2f} s; expected one "
                    "format; write it anew"
                )
            else:
                stamped = place if frame.time is None else round((frame.time - origin_seconds) * rate)
                gap = stamped - place if abs(stamped - place) > GAP_TOLERANCE_SECONDS * rate else 0
                place += gap
            if gap < 0 or gap > LONGEST_GAP_SECONDS * rate:
                raise InputError(
                    f"{path}: its time stamps jump by {gap / rate:.2f} s at {(place - gap) / rate:.2f} s; expected "
                    "sound without interruption; write it anew"
                )
            if (n_filled := max(0, place) - max(0, place - gap)) > 0:
                gaps.append(((place - n_filled) / rate, place / rate))
                yield np.zeros(n_filled, np.float32), rate
            for converted in to_float.resample(frame):
                samples = converted.to_ndarray().mean(axis=0, dtype=np.float32)
                # Sound before the first picture has no time.
                yield samples[max(0, -place) :], rate
                place += len(samples)
        if kind is None:
            raise InputError(f"{path}: its sound track is empty; copy it again")
        end_seconds = place / rate + origin_seconds - (stream.start_time or 0) * float(stream.time_base)
        if end_seconds < announced_seconds - TRUNCATED_SECONDS:
            raise InputError(
                f"{path}: truncated: its header announces {announced_seconds:.2f} s of sound but only "
                f"{end_seconds:.2f} s can be read; copy it again"
            )


def _words(kind: tuple[str, str, int]) -> str:
    return "{}, {}, {} Hz".format(*kind)


def _decoded_frames(
    path: Path, container: av.container.InputContainer, stream: av.AudioStream
) -> Iterator[av.AudioFrame]:
    """Frames of a sound track.

    Raises:
        InputError: it breaks off within a packet.
    """
    frame, is_cut = None, False
    try:
        for packet in container.demux(stream):
            # The last one flushes the decoder and holds nothing.
            is_cut = packet.is_corrupt if packet.size else is_cut
            for frame in packet.decode():
                yield frame
    except av.error.FFmpegError as error:
        raise _broken_off(path, frame, error_reason(error)) from None
    # What FFmpeg cannot know the end of always ends within a packet; RIFF files have been checked by their size.
    if is_cut and container.format.name not in ("wav", "avi"):
        raise _broken_off(path, frame, "it ends within a packet")


def _broken_off(path: Path, frame: av.AudioFrame | None, reason: str) -> InputError:
    seconds = 0.0 if frame is None else (frame.time or 0.0) + frame.samples / frame.sample_rate
    return InputError(
        f"{path}: truncated or damaged: its sound breaks off after {seconds:.2f} s ({reason}); copy it again"
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
    # FFmpeg takes the size of a RIFF file (WAV, AVI) for its length where it is less than its header announces.
    announced = int.from_bytes(head[4:8], "little")
    if head[:4] == b"RIFF" and announced not in _RIFF_UNKNOWN_SIZES and announced + 8 > n_bytes + _RIFF_TOLERANCE_BYTES:
        raise InputError(
            f"{path}: truncated: its header announces {announced + 8} bytes but it has {n_bytes}; copy it again"
        )
    try:
        container = open_media(path)
    except (av.error.FFmpegError, OSError) as error:
        raise InputError(
            f"{path}: no readable sound ({error_reason(error)}); expected a sound or video file; a copy may be "
            "truncated: copy it again"
        ) from None
    with container:
        if not container.streams.audio:
            kinds = ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
            raise InputError(f"{path}: no sound track, only {kinds}; expected a file with sound")
        stream = container.streams.audio[0]
        check_video(path, _announced_seconds(container, stream))
        yield container, stream


def _first_picture_seconds(container: av.container.InputContainer) -> float | None:
    """Time stamp of the first picture; `None` without video (the cover of an album is none)."""
    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic:
            return float((stream.start_time or 0) * stream.time_base)
    return None


def _announced_seconds(container: av.container.InputContainer, stream: av.AudioStream) -> float:
    """Length of a sound track by the header of its file; 0 where that announces none."""
    name = container.format.name
    if "matroska" in name:
        hours, _, rest = stream.metadata.get("DURATION", "").partition(":")
        minutes, _, seconds = rest.partition(":")
        try:
            return 3600 * int(hours) + 60 * int(minutes) + float(seconds)
        except ValueError:
            return 0.0
    # FFmpeg estimates the length of other files by their size. Of an MP3, only the header of an encoder tells it.
    tells = any(word in name for word in ("mp4", "wav", "flac", "aiff")) or (
        name == "mp3" and "encoder" in stream.metadata
    )
    if not tells or stream.duration is None:
        return 0.0
    return float(stream.duration * stream.time_base)
