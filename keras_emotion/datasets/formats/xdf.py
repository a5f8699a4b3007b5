"""Read XDF files, which LabRecorder writes from Lab Streaming Layer streams."""

from __future__ import annotations

import dataclasses
import gzip
import logging
import re
import struct
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import IO, Any

import numpy as np

from keras_emotion.datasets.formats.whole import JOIN, Annotation, Signals, require
from keras_emotion.limits import check_memory
from keras_emotion.schema import InputError
from keras_emotion.signals import resample

XDF_SUFFIXES = (".xdf", ".xdfz")

RATE_TOLERANCE = 0.02
"""Relative difference between measured and declared sampling rate of a stream above which a note is issued."""

_KINDS = {
    "eeg": "eeg",
    "exg": "eeg",
    "eog": "eog",
    "ecg": "ecg",
    "ekg": "ecg",
    "emg": "emg",
    "gsr": "gsr",
    "eda": "gsr",
    "resp": "resp",
    "respiration": "resp",
    "temperature": "temperature",
    "temp": "temperature",
    "trigger": "stim",
    "trg": "stim",
    "stim": "stim",
}
"""Kinds of `electrodes.KINDS` by lower-case type of streams and channels; all others are `misc`."""

_MAGIC = b"XDF:"
_BOUNDARY = bytes.fromhex("43a546dccbf5410fb30ed5467383cbe4")
_HEADER_TAG, _SAMPLES_TAG = 2, 3
_MOST_HEADER_BYTES = 2**20
_ITEM_BYTES = {"double64": 8, "int64": 8, "float32": 4, "int32": 4, "int16": 2, "int8": 1, "string": 1}
"""Bytes per value by format of a channel (https://github.com/sccn/xdf/wiki/Specifications)."""

_TO_METRES = {"": 1.0, "meters": 1.0, "m": 1.0, "centimeters": 1e-2, "cm": 1e-2, "millimeters": 1e-3, "mm": 1e-3}


@dataclasses.dataclass(frozen=True, eq=False)
class _Stream:
    """Stream of samples at a regular rate."""

    name: str
    kind: str
    rate_hz: float
    times: np.ndarray
    values: np.ndarray
    names: tuple[str, ...]
    kinds: tuple[str, ...]
    units: tuple[str | None, ...]
    positions_m: np.ndarray
    segments: tuple[tuple[int, int], ...]


def read_xdf(path: Path) -> Signals:
    """Read the signals and annotations of an XDF file.

    The EEG streams give the samples and the time axis; if there are several, the one with the most samples gives the
    time axis. Other numeric streams with a regular rate are interpolated to these samples (those with a higher rate are
    low-pass filtered first). Text streams, and numeric streams of type `Markers` without a rate, are annotations,
    placed by their time stamps.

    Args:
        path: the file.

    Raises:
        InputError: pyxdf is not installed, or no stream contains EEG.
    """
    require(path, "pyxdf", "xdf")
    # Samples are uncompressed in the file, and all of them are read.
    check_memory(path, path.stat().st_size)
    _check_chunks(path)
    import pyxdf

    logger = logging.getLogger("pyxdf")
    level = logger.level
    # Its log warnings are covered here: segments, and rates that differ from the declared ones.
    logger.setLevel(logging.ERROR)
    try:
        streams, _ = pyxdf.load_xdf(str(path))
    except MemoryError:
        # After damaged samples pyxdf can take other bytes for a length than `_check_chunks` does.
        raise ValueError("a chunk declares more bytes than memory has room for") from None
    finally:
        logger.setLevel(level)
    return signals_of(path, streams)


def _check_chunks(path: Path) -> None:
    """Refuse a file with a chunk that declares more samples than it can contain, because pyxdf allocates them first.

    After a damaged chunk, the next one is searched as pyxdf does.

    Raises:
        ValueError: the file has such a chunk.
    """
    size, sample_bytes = path.stat().st_size, dict[int, int]()
    is_packed = path.suffix.lower() == ".xdfz"
    with gzip.open(path) if is_packed else path.open("rb") as file:
        if is_packed:
            size = 0
            while piece := file.read(2**20):
                size += len(piece)
                check_memory(path, size, "unpacked content")
        file.seek(len(_MAGIC))
        while (length := _read_length(file)) is not None:
            start = file.tell()
            if length > size:
                raise ValueError(f"a chunk declares {length} bytes, and the file has {size}")
            head = file.read(6)
            tag, number = struct.unpack("<HI", head) if len(head) == 6 else (0, 0)
            if tag == _HEADER_TAG:
                sample_bytes[number] = _bytes_of_a_sample(file.read(min(length, _MOST_HEADER_BYTES)))
            elif tag == _SAMPLES_TAG:
                n_samples = _read_length(file) or 0
                if n_samples * sample_bytes.get(number, 1) > size:
                    raise ValueError(f"a chunk declares {n_samples} samples, but the file has {size} bytes")
            if start + length > size or not length:
                if not _seek_boundary(file, start):
                    return
            else:
                file.seek(start + length)


def _read_length(file: IO[bytes] | gzip.GzipFile) -> int | None:
    """Read a variable-length number; `None` at the end of the file, 0 if it is invalid."""
    n_bytes = file.read(1)
    if not n_bytes:
        return None
    return int.from_bytes(file.read(n_bytes[0]), "little") if n_bytes[0] in (1, 4, 8) else 0


def _bytes_of_a_sample(header: bytes) -> int:
    """Return the minimum number of bytes per sample of a stream, by its header."""
    count = re.search(rb"<channel_count>\s*(\d+)\s*<", header)
    kind = re.search(rb"<channel_format>\s*(\w+)\s*<", header)
    item = _ITEM_BYTES.get(kind[1].decode() if kind else "", 1)
    return 1 + (int(count[1]) if count else 1) * item


def _seek_boundary(file: IO[bytes] | gzip.GzipFile, place: int) -> bool:
    """Seek the position after the next boundary chunk, and return whether there is one."""
    file.seek(place)
    kept = b""
    while piece := file.read(2**20):
        found = (kept + piece).find(_BOUNDARY)
        if found >= 0:
            file.seek(file.tell() - len(kept + piece) + found + len(_BOUNDARY))
            return True
        kept = piece[-len(_BOUNDARY) :]
    return False


def signals_of(path: Path, streams: Sequence[Mapping[str, Any]]) -> Signals:
    """Convert the streams of a file into signals and annotations.

    Args:
        path: the file, for messages.
        streams: as `pyxdf.load_xdf` returns them.

    Raises:
        InputError: no stream contains EEG.
    """
    notes: list[str] = []
    signals: list[_Stream] = []
    markers: list[tuple[np.ndarray, list[str]]] = []
    for stream in streams:
        info, times = stream["info"], np.asarray(stream["time_stamps"], dtype=float)
        name, kind, rate_hz = _text(info, "name"), _text(info, "type"), float(_text(info, "nominal_srate") or 0)
        if not len(times):
            notes.append(f"stream {name} ({kind}) is empty: left out")
        elif _text(info, "channel_format") == "string" or (kind.lower() == "markers" and not rate_hz):
            markers.append((times, ["; ".join(map(str, row)).strip() for row in stream["time_series"]]))
        elif rate_hz:
            signals.append(_signal_stream(stream, name, kind, rate_hz, times))
        else:
            notes.append(f"stream {name} ({kind}) has no regular rate: left out")
    eeg = [stream for stream in signals if "eeg" in stream.kinds]
    if not eeg:
        held = ", ".join(f"{_text(one['info'], 'name')} ({_text(one['info'], 'type')})" for one in streams) or "none"
        raise InputError(f"{path}: no EEG stream with samples; found {held}")
    main = max(eeg, key=lambda stream: len(stream.times))
    ordered = [main, *(stream for stream in signals if stream is not main)]
    if len(eeg) > 1:
        notes.append(
            f"{len(eeg)} EEG streams ({', '.join(stream.name for stream in eeg)}): their channels are named "
            "stream:channel; leave out those of all but one in channels.csv"
        )
    names: list[str] = []
    for stream in ordered:
        own = [f"{stream.name}:{name}" if len(eeg) > 1 and stream in eeg else name for name in stream.names]
        names += [f"{stream.name}:{name}" if name in names else name for name in own]
    values = [main.values, *(_at_times_of(main, stream, notes) for stream in ordered[1:])]
    measured_hz = _measured_rate_hz(main)
    if abs(measured_hz / main.rate_hz - 1) > RATE_TOLERANCE:
        notes.append(f"stream {main.name} declares {main.rate_hz:g} Hz, but its time stamps give {measured_hz:.4g} Hz")
    annotations: list[Annotation] = [(first / main.rate_hz, None, JOIN) for first, _ in main.segments[1:]]
    for times, texts in markers:
        starts = np.interp(times, main.times, np.arange(len(main.times)), left=np.nan, right=np.nan) / main.rate_hz
        annotations += [
            (float(start), None, text) for start, text in zip(starts, texts, strict=True) if np.isfinite(start)
        ]
        if n_outside := int(np.isnan(starts).sum()):
            notes.append(f"markers before the first or after the last sample of the EEG, left out: {n_outside}")
    return Signals(
        names=names,
        kinds=[kind for stream in ordered for kind in stream.kinds],
        units=[unit for stream in ordered for unit in stream.units],
        sampling_rate_hz=main.rate_hz,
        values=np.concatenate(values),
        annotations=annotations,
        notes=notes,
        positions_m=np.concatenate([stream.positions_m for stream in ordered]),
    )


def _signal_stream(stream: Mapping[str, Any], name: str, kind: str, rate_hz: float, times: np.ndarray) -> _Stream:
    values = np.asarray(stream["time_series"], dtype=float).T
    description = (stream["info"].get("desc") or [None])[0] or {}
    listed = (description.get("channels") or [None])[0] or {}
    channels = list(listed.get("channel") or ())
    if len(channels) != len(values):
        channels = [{}] * len(values)
    of_stream = _KINDS.get(kind.lower(), "misc")
    # Channels without labels are numbered after the stream, so that no name is an electrode by accident.
    names = [_text(channel, "label") or f"{name} {place}" for place, channel in enumerate(channels, start=1)]
    units = [_text(channel, "unit") or None for channel in channels]
    return _Stream(
        name=name,
        kind=kind,
        rate_hz=rate_hz,
        times=times,
        values=values,
        names=tuple(names),
        kinds=tuple(_kind(_text(channel, "type"), of_stream) for channel in channels),
        units=tuple(units),
        positions_m=np.array([_position(channel) for channel in channels]).reshape(-1, 3),
        segments=tuple((int(first), int(last)) for first, last in stream["info"].get("segments") or ()),
    )


def _kind(text: str, of_stream: str) -> str:
    """Return the kind of a channel, by default that of its stream."""
    return _KINDS.get(text.lower(), "misc") if text else of_stream


def _position(channel: Mapping[str, Any]) -> list[float]:
    location = (channel.get("location") or [None])[0] or {}
    try:
        place = [float(_text(location, axis)) for axis in "XYZ"]
    except ValueError:
        return [np.nan] * 3
    factor = _TO_METRES.get(_text(location, "unit").lower())
    return [np.nan] * 3 if factor is None else [factor * value for value in place]


def _at_times_of(main: _Stream, stream: _Stream, notes: list[str]) -> np.ndarray:
    """Interpolate a stream to the times of another, `(channels, samples)`."""
    times, values = stream.times, stream.values
    if stream.rate_hz > main.rate_hz and len(stream.segments) <= 1:
        ratio = Fraction(main.rate_hz / stream.rate_hz).limit_denominator(1000)
        values = resample(values, stream.rate_hz, float(stream.rate_hz * ratio))
        # By index, because the clock of a stream does not run exactly at its rate.
        times = np.interp(np.arange(values.shape[1]) / float(ratio), np.arange(len(times)), times)
    before, after = max(times[0] - main.times[0], 0.0), max(main.times[-1] - times[-1], 0.0)
    notes.append(f"stream {stream.name} ({stream.kind}, {stream.rate_hz:g} Hz) is interpolated to the {main.kind}")
    if max(before, after) > 1 / stream.rate_hz:
        notes.append(
            f"stream {stream.name} starts {before:.1f} s after and ends {after:.1f} s before the {main.kind}: "
            "its first and last values are repeated there"
        )
    return np.array([np.interp(main.times, times, channel) for channel in values])


def _measured_rate_hz(stream: _Stream) -> float:
    pieces = stream.segments or ((0, len(stream.times) - 1),)
    seconds = sum(stream.times[last] - stream.times[first] for first, last in pieces)
    n_steps = sum(last - first for first, last in pieces)
    return n_steps / seconds if seconds > 0 else stream.rate_hz


def _text(entry: Mapping[str, Any], name: str) -> str:
    """Return the text of an entry of a description; empty if missing."""
    found = entry.get(name) or [""]
    text = found[0] if isinstance(found, list) else found
    return str(text or "").strip()
