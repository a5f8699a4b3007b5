"""Check the chain of tags of a FIF file before MNE reads it.

Each tag gives the position of the next one. MNE follows the chain, which is endless in a damaged file that refers back;
it decompresses a compressed file to any size. Format: "Functional Image File Format", Elekta Neuromag.
"""

from __future__ import annotations

import gzip
import struct
from pathlib import Path
from typing import BinaryIO

from keras_emotion.limits import check_memory
from keras_emotion.refusals import refusing_unreadable

_TAG = struct.Struct(">iIii")
_BLOCK_BYTES = 2**20
_MESSAGE = "{path}: damaged or truncated FIF file ({reason}); copy it again"


def check_fif_file(path: Path) -> None:
    """Refuse a FIF file whose tags refer back to an earlier one, or a compressed one whose content is too large.

    Args:
        path: a `.fif` or `.fif.gz` file.

    Raises:
        InputError: the file is damaged, or its content is larger than `Limits.memory_gib`.
    """
    with refusing_unreadable(path, _MESSAGE), path.open("rb") as file:
        if path.suffix.lower() != ".gz":
            _check_tags(file)
            return
        with gzip.open(file) as unpacked:
            n_bytes = 0
            while piece := unpacked.read(_BLOCK_BYTES):
                n_bytes += len(piece)
                check_memory(path, n_bytes, "unpacked content")
            unpacked.seek(0)
            _check_tags(unpacked)


def _check_tags(file: BinaryIO | gzip.GzipFile) -> None:
    place, end = 0, -1
    while place > end:
        file.seek(place)
        header = file.read(_TAG.size)
        if len(header) < _TAG.size:
            # MNE raises the error for a file that ends here.
            return
        _, _, n_bytes, following = _TAG.unpack(header)
        if n_bytes < 0:
            raise ValueError(f"a tag of {n_bytes} bytes at byte {place}")
        if following < 0:
            return
        end = place
        place = following or place + _TAG.size + n_bytes
    raise ValueError(f"the tag at byte {end} refers back to byte {place}")
