"""Read time information from EDF+ and BDF+ files: record start times and annotations."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_emotion.datasets.time_axis import Gap
from keras_emotion.refusals import refuse_special_file
from keras_emotion.schema import InputError

EDF_SUFFIXES = (".edf", ".bdf")

Annotation = tuple[float, float | None, str]
"""Onset in seconds on the file's time axis, duration in seconds (`None` if missing), and text."""

ROUNDING_SECONDS = 0.002
"""Tolerance in seconds of the distance between two records: writers round times to a millisecond."""

_MAIN_BYTES = 256
_BYTES_OF_A_CHANNEL = 256
_ANNOTATIONS = ("EDF Annotations", "BDF Annotations")
_STAMP = re.compile(r"([+-]\d+(?:\.\d*)?)(?:\x15(\d+(?:\.\d*)?))?")


@dataclasses.dataclass(frozen=True)
class EdfHeader:
    """Header of an EDF or BDF file.

    Args:
        path: the file.
        is_discontinuous: whether the file declares itself EDF+D or BDF+D.
        header_bytes: offset of the first record.
        n_records: number of records, by the file size.
        record_seconds: duration of a record.
        labels: channel labels, annotation channels included.
        units: channel units, as spelled in the file.
        samples: samples per record of each channel.
        sample_bytes: bytes per sample.
    """

    path: Path
    is_discontinuous: bool
    header_bytes: int
    n_records: int
    record_seconds: float
    labels: tuple[str, ...]
    units: tuple[str, ...]
    samples: tuple[int, ...]
    sample_bytes: int

    @classmethod
    def read(cls, path: Path) -> EdfHeader:
        """Read the header of a file.

        Raises:
            InputError: the header is invalid.
        """
        refuse_special_file(path)
        try:
            with path.open("rb") as file:
                main = file.read(_MAIN_BYTES)
                n_channels = int(main[252:256])
                rest = file.read(_BYTES_OF_A_CHANNEL * n_channels)
                size = file.seek(0, 2)
            header_bytes, record_seconds = int(main[184:192]), float(main[244:252])
            counts = rest[216 * n_channels : 224 * n_channels]
            samples = tuple(int(counts[8 * place : 8 * place + 8]) for place in range(n_channels))
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: invalid EDF or BDF header ({error}); copy it again") from None
        labels, units = (
            tuple(rest[start + width * place :][:width].decode("latin-1").strip() for place in range(n_channels))
            for start, width in ((0, 16), (96 * n_channels, 8))
        )
        sample_bytes = 3 if path.suffix.lower() == ".bdf" else 2
        # Recorders that were interrupted leave -1 as the number of records.
        n_records = max(size - header_bytes, 0) // max(sample_bytes * sum(samples), 1)
        is_discontinuous = main[192:197] in (b"EDF+D", b"BDF+D")
        return cls(
            path, is_discontinuous, header_bytes, n_records, record_seconds, labels, units, samples, sample_bytes
        )

    @property
    def has_signals(self) -> bool:
        """Return whether there are channels other than annotation channels."""
        return any(label not in _ANNOTATIONS for label in self.labels)

    def texts(self) -> Iterator[list[str]]:
        """Yield the texts of the annotation channels, record by record; nothing if there are no such channels."""
        places = [place for place, label in enumerate(self.labels) if label in _ANNOTATIONS]
        if not places or not self.n_records:
            return
        starts = np.cumsum([0, *self.samples]) * self.sample_bytes
        shape = (self.n_records, int(starts[-1]))
        records = np.memmap(self.path, np.uint8, mode="r", offset=self.header_bytes, shape=shape)
        for record in records:
            yield [_decoded(record[starts[place] : starts[place + 1]].tobytes()) for place in places]


def edf_times(header: EdfHeader) -> tuple[list[float], list[Annotation]]:
    """Read the start of each record and all annotations, in seconds from the first sample.

    Args:
        header: header of the file.

    Returns:
        `(starts, annotations)`; no starts if the records have no time-keeping annotation, as in plain EDF.
    """
    starts: list[float] = []
    annotations: list[Annotation] = []
    for number, texts in enumerate(header.texts()):
        for channel, text in enumerate(texts):
            stamped = list(_stamped(text))
            if channel == 0 and stamped and len(starts) == number:
                starts.append(stamped[0][0])
            annotations += [annotation for annotation in stamped if annotation[2].strip()]
    # The first sample may be a fraction of a second after the start time in the header, which has whole seconds.
    first = starts[0] if starts else 0.0
    annotations = sorted(
        ((start - first, duration, text) for start, duration, text in annotations), key=lambda annotation: annotation[0]
    )
    return [start - first for start in starts] if len(starts) == header.n_records else [], annotations


def edf_gaps(
    header: EdfHeader, sampling_rate_hz: float, starts: Sequence[float] | None = None
) -> tuple[list[Gap], list[str]]:
    """Find gaps between records, and report inconsistent times.

    Args:
        header: header of the file.
        sampling_rate_hz: sampling rate of the sample indices of the gaps.
        starts: start of each record, as returned by `edf_times`, if known already.

    Raises:
        InputError: records overlap.
    """
    starts = edf_times(header)[0] if starts is None else starts
    jumps = np.diff(starts) - header.record_seconds
    allowed = max(0.5 / sampling_rate_hz, ROUNDING_SECONDS)
    found = np.flatnonzero(np.abs(jumps) > allowed) + 1
    if not header.is_discontinuous:
        if not len(found):
            return [], []
        return [], [
            f"declared continuous, but its records have other times from record {found[0] + 1} on "
            f"({jumps[found[0] - 1]:+.3g} s); read as continuous"
        ]
    if not starts:
        raise InputError(
            f"{header.path}: declared discontinuous, but not all of its {header.n_records} records have a time; "
            "expected one per record; export it again from the recorder's own file"
        )
    if len(back := found[jumps[found - 1] < 0]):
        raise InputError(
            f"{header.path}: record {back[0] + 1} begins at {starts[back[0]]:g} s, before the previous one ends; "
            "expected increasing times; export it again from the recorder's own file"
        )
    per_record = header.record_seconds * sampling_rate_hz
    reason = f"{header.path.suffix[1:].upper()}+D, discontinuous records"
    return [
        Gap(round(record * per_record), float(jumps[record - 1]), reason, float(jumps[record - 1])) for record in found
    ], []


def read_records(path: Path, extras: Mapping[str, Any], rows: Sequence[int], start: int, stop: int) -> np.ndarray:
    """Read channels of one sampling rate of an EDF, BDF or GDF at that rate, scaled as by MNE.

    Args:
        path: the file.
        extras: MNE's header information (`raw._raw_extras`).
        rows: channel indices in MNE's object.
        start: first sample.
        stop: sample after the last.

    Returns:
        `(channels, stop - start)` float64.

    Raises:
        OSError: the file cannot be read.
        ValueError: the file is shorter than its header declares.
    """
    places, sample_bytes = np.asarray(extras["sel"])[list(rows)], int(extras["dtype_byte"])
    starts = np.cumsum([0, *extras["n_samps"]], dtype=np.int64) * sample_bytes
    per_record = int(extras["n_samps"][places[0]])
    first, last = start // per_record, -(-stop // per_record)
    if stop <= start:
        return np.empty((len(rows), 0))
    shape = (last - first, int(starts[-1]))
    records = np.memmap(path, np.uint8, "r", int(extras["data_offset"]) + first * shape[1], shape)
    signal = np.empty((len(rows), stop - start))
    for row, place, own in zip(rows, places, signal, strict=True):
        content = np.ascontiguousarray(records[:, starts[place] : starts[place + 1]])
        if sample_bytes == 3:
            # Signed 24 bits: the upper three bytes of 32 bits, divided by the value of the lowest byte.
            wide = np.zeros((content.size // 3, 4), np.uint8)
            wide[:, 1:] = content.reshape(-1, 3)
            numbers = wide.view("<i4").ravel() >> 8
        else:
            numbers = content.view(extras["dtype_np"]).ravel()
        own[:] = numbers[start - first * per_record : stop - first * per_record]
        own *= extras["cal"][row]
        own += extras["offsets"][row]
        own *= extras["units"][row]
    return signal


def _decoded(content: bytes) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        # Older writers use the system's code page.
        return content.decode("latin-1")


def _stamped(text: str) -> Iterator[Annotation]:
    """Parse `(start, duration, text)` from a record's annotation lists; an empty text is the record's own time.

    A list ends with a NUL. Nihon Kohden omits it after the record's time: a time that follows an empty text, and has a
    text itself, starts a new list.
    """
    for part in text.split("\0"):
        stamp, *rest = part.split("\x14")
        match = _STAMP.fullmatch(stamp)
        if match is None:
            continue
        texts = rest[:-1] if rest and not rest[-1] else rest
        is_unended = False
        for place, one in enumerate(texts):
            after = texts[place + 1] if place + 1 < len(texts) else ""
            is_unended |= place > 0 and not texts[place - 1]
            begins = _STAMP.fullmatch(one) if is_unended and after else None
            if begins:
                match = begins
            else:
                yield float(match[1]), None if match[2] is None else float(match[2]), one
