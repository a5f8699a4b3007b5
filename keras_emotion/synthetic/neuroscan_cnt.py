"""Write Neuroscan `.cnt` files, as the recorders of SEED-V and SEED-VII do: header, samples, event table."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

_HEADER_BYTES = 900
_CHANNEL_BYTES = 75
_EVENT_BYTES = 19
_EVENTS_OF_TYPE_2 = 2

RESOLUTION_UV = 0.05
"""Microvolts per integer step in a file."""


@contextlib.contextmanager
def open_cnt_writer(
    path: Path,
    channel_names: Sequence[str],
    sampling_rate_hz: int,
    n_samples: int,
    events: Sequence[tuple[int, int]],
    *,
    sample_bytes: int = 2,
    date: str = "01/01/20",
) -> Iterator[CntWriter]:
    """Context manager that opens a file for writing in blocks.

    Args:
        path: the file.
        channel_names: names of at most nine characters.
        sampling_rate_hz: samples per second.
        n_samples: total number of samples to be written.
        events: sample and code of each event.
        sample_bytes: 2 or 4.
        date: date of the recording, `mm/dd/yy`.

    Yields:
        The writer.

    Raises:
        ValueError: `sample_bytes` is not 2 or 4, or another number of samples was written.
    """
    if sample_bytes not in (2, 4):
        raise ValueError(f"`sample_bytes` is {sample_bytes}; expected 2 or 4")
    n_channels = len(channel_names)
    data_start = _HEADER_BYTES + _CHANNEL_BYTES * n_channels
    frame = n_channels * sample_bytes
    table_start = data_start + frame * n_samples
    header = bytearray(_HEADER_BYTES)
    header[0:11] = b"Version 3.0"
    header[225:235] = date.encode().ljust(10, b"\0")
    header[235:247] = b"00:00:00".ljust(12, b"\0")
    struct.pack_into("<H", header, 370, n_channels)
    struct.pack_into("<H", header, 376, sampling_rate_hz)
    struct.pack_into("<i", header, 864, n_samples)
    struct.pack_into("<i", header, 886, table_start)
    struct.pack_into("<f", header, 890, n_samples / sampling_rate_hz)
    with path.open("wb") as file:
        file.write(header)
        for place, name in enumerate(channel_names):
            channel = bytearray(_CHANNEL_BYTES)
            channel[0:9] = name.encode().ljust(9, b"\0")
            # A circle, because readers scale positions by their extent.
            angle = 2 * np.pi * place / n_channels
            struct.pack_into("<2f", channel, 19, 1 + np.cos(angle), 1 + np.sin(angle))
            # A step is sensitivity x calibration / 204.8 microvolts.
            struct.pack_into("<f", channel, 59, 204.8 * RESOLUTION_UV)
            struct.pack_into("<f", channel, 71, 1.0)
            file.write(channel)
        writer = CntWriter(file, sample_bytes)
        yield writer
        if writer.n_samples != n_samples:
            raise ValueError(f"{writer.n_samples} samples were written; expected {n_samples}")
        file.write(struct.pack("<Bii", _EVENTS_OF_TYPE_2, _EVENT_BYTES * len(events), 0))
        for sample, code in events:
            # File offsets of the frames after those of the events.
            offset = data_start + frame * (sample + 1)
            file.write(struct.pack("<HBbihhfbbb", code, 0, 0, offset, 0, 0, 0.0, 0, 0, 0))


class CntWriter:
    """Writer of blocks of samples."""

    def __init__(self, file, sample_bytes: int):
        self._file, self._bytes = file, sample_bytes
        self.n_samples = 0

    def write(self, signal: np.ndarray) -> None:
        """Write `(channels, samples)` in microvolts, clipped to the range of the file."""
        limits = np.iinfo(np.int16 if self._bytes == 2 else np.int32)
        steps = np.clip(np.rint(signal / RESOLUTION_UV), limits.min, limits.max)
        self._file.write(np.ascontiguousarray(steps.T, dtype=f"<i{self._bytes}").tobytes())
        self.n_samples += signal.shape[1]
