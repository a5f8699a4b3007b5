"""Check the event table of a GDF file before MNE reads it, because MNE allocates what the table declares.

Format: Schloegl (2006). GDF: a general dataformat for biosignals. arXiv cs/0608052.
"""

from __future__ import annotations

import struct
from pathlib import Path

from keras_emotion.refusals import refusing_unreadable

_FIXED_BYTES = _CHANNEL_BYTES = 256
_SAMPLES_AT, _TYPES_AT = 216, 220
"""Offsets, in bytes per channel, of the numbers of samples per record and of the sample types."""

_TYPE_BYTES = {0: 1, 1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 8, 8: 8, 16: 4, 17: 8, 18: 16, 279: 3, 535: 3}


def check_gdf_file(path: Path) -> None:
    """Refuse a GDF file whose event table declares more than the file contains.

    Args:
        path: the file.

    Raises:
        InputError: the file is damaged.
    """
    message = "{path}: damaged or truncated GDF file ({reason}); copy it again"
    with refusing_unreadable(path, message), path.open("rb") as file:
        fixed, size = file.read(_FIXED_BYTES), path.stat().st_size
        if len(fixed) < _FIXED_BYTES or not fixed.startswith(b"GDF"):
            # MNE raises the error for other files.
            return
        version = float(fixed[4:8])
        is_new = version >= 1.9
        n_records = struct.unpack_from("<q", fixed, 236)[0]
        n_channels = struct.unpack_from("<H" if is_new else "<I", fixed, 252)[0]
        data = 256 * struct.unpack_from("<H", fixed, 184)[0] if is_new else struct.unpack_from("<q", fixed, 184)[0]
        if _FIXED_BYTES + n_channels * _CHANNEL_BYTES > size or not 0 <= data <= size:
            raise ValueError(f"a header of {n_channels} channels and {data} bytes in a file of {size}")
        described = file.read(n_channels * _CHANNEL_BYTES)
        samples = struct.unpack_from(f"<{n_channels}i", described, n_channels * _SAMPLES_AT)
        types = struct.unpack_from(f"<{n_channels}i", described, n_channels * _TYPES_AT)
        if unknown := sorted(set(types) - _TYPE_BYTES.keys()):
            raise ValueError(f"samples of type {unknown[0]}")
        record = sum(max(count, 0) * _TYPE_BYTES[kind] for count, kind in zip(samples, types, strict=True))
        place = data + n_records * record
        if min(samples, default=0) < 0 or n_records < 0 or place > size:
            raise ValueError(f"{n_records} records of {record} bytes in a file of {size}")
        file.seek(place)
        table = file.read(8)
        if len(table) < 8:
            return
        count = table[1:4] + b"\0" if version >= 1.94 else table[4:8]
        n_events, event = struct.unpack("<I", count)[0], 12 if table[0] == 3 else 6
        if n_events * event > size - place - len(table):
            raise ValueError(f"{n_events} events in {size - place - len(table)} bytes")
