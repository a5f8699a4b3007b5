"""Arrays in NumPy's files: sizes are looked at before memory is allocated, and a full disk is named as such."""

from __future__ import annotations

import contextlib
import io
import mmap
import struct
import zipfile
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from keras_emotion.limits import check_memory
from keras_emotion.refusals import reason_of, refusing_unreadable

if TYPE_CHECKING:
    import h5py

_UNREADABLE = "{path}: not a readable .npz file of plain arrays ({reason}); copy it again"


class _Stream:
    """Of an open file only that it can be written to."""

    def __init__(self, file: IO[bytes]):
        self.write = file.write


def save_array(path: Path, array: np.ndarray) -> None:
    """Write an array as a `.npy` file; nothing is pickled.

    Raises:
        OSError: the system's own. `numpy.save` gives a file that it knows to C, and of a full disk only the number of
            items that were written.
    """
    with path.open("wb") as file:
        np.lib.format.write_array(_Stream(file), np.asanyarray(array), allow_pickle=False)


def read_npz(path: Path, names: Collection[str] | None = None, message: str = _UNREADABLE) -> Mapping[str, np.ndarray]:
    """Read arrays of an `.npz` file; nothing is unpickled.

    Args:
        path: the file.
        names: arrays to read; by default all. Those that are not there are left out.
        message: text of the error, see `refusing_unreadable`.

    Raises:
        InputError: the file cannot be read, holds something else, or declares more than `Limits.memory_gib`.
    """
    with refusing_unreadable(path, message), path.open("rb") as file:
        return _arrays(path, file, names)


def parse_npz(content: bytes, path: Path) -> Mapping[str, np.ndarray]:
    """As `read_npz`, of a file that was read already; `path` is named in messages."""
    with refusing_unreadable(path, _UNREADABLE):
        return _arrays(path, io.BytesIO(content), None)


def _arrays(path: Path, file: IO[bytes], names: Collection[str] | None) -> dict[str, np.ndarray]:
    arrays = {}
    with _opened(file) as archive:
        wanted = [name for name in archive.files if names is None or name in names]
        check_memory(path, sum(_declared_bytes(archive, name) for name in wanted))
        for name in wanted:
            try:
                arrays[name] = archive[name]
            except ValueError as error:
                raise ValueError(f"`{name}`: {error}") from error
    return arrays


def npz_shape(path: Path, name: str, message: str = _UNREADABLE) -> tuple[int, ...]:
    """Return the shape of an array in an `.npz` file, by its header.

    Raises:
        InputError: as `read_npz`, or there is no such array.
    """
    with refusing_unreadable(path, message), path.open("rb") as file, _opened(file) as archive:
        return _header(archive, name)[0]


@contextlib.contextmanager
def _opened(file: IO[bytes]) -> Iterator[np.lib.npyio.NpzFile]:
    # Given open: of the path of a damaged file NumPy would leave it open.
    # NumPy would read a single array to its end.
    if not zipfile.is_zipfile(file):
        file.seek(0)
        raise ValueError("a single array" if file.read(6) == b"\x93NUMPY" else "no zip archive")
    file.seek(0)
    with np.load(file, allow_pickle=False) as archive:
        yield archive


def _header(archive: np.lib.npyio.NpzFile, name: str) -> tuple[tuple[int, ...], np.dtype]:
    member = f"{name}.npy" if f"{name}.npy" in archive.zip.namelist() else name
    with archive.zip.open(member) as file:
        shape, _, dtype = _read_header(file, np.lib.format.read_magic(file))
    return shape, dtype


def _read_header(file: IO[bytes], version: tuple[int, int]) -> tuple[tuple[int, ...], bool, np.dtype]:
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    return read(file)


def _n_bytes(shape: tuple[int, ...], dtype: np.dtype) -> int:
    # In Python's own numbers: NumPy's would wrap around.
    n_bytes = dtype.itemsize
    for length in shape:
        n_bytes *= int(length)
    return n_bytes


def _declared_bytes(archive: np.lib.npyio.NpzFile, name: str) -> int:
    """Bytes of an array by its own header."""
    return _n_bytes(*_header(archive, name))


def parse_npy(content: bytes) -> np.ndarray:
    """Return the array in the bytes of an `.npy` file, which are all that is there of it; objects are refused.

    Raises:
        ValueError: it is none, is truncated or holds objects.
    """
    file = io.BytesIO(content)
    try:
        version = np.lib.format.read_magic(file)
        shape, _, dtype = _read_header(file, version)
    except Exception as error:
        # Headers are parsed as Python, which raises anything.
        raise ValueError(f"no header of an .npy file ({reason_of(error)})") from error
    # NumPy allocates what the header declares.
    if _n_bytes(shape, dtype) > len(content):
        raise ValueError(f"its header declares shape {shape}, but it has {len(content)} bytes")
    return np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)


def map_npy(path: Path) -> np.ndarray:
    """Map an `.npy` file into memory; its samples are read when they are used.

    Raises:
        InputError: it is no array of numbers, or shorter than its header says.
    """
    with refusing_unreadable(path, "{path}: no array of numbers ({reason}); copy it again"):
        return np.load(path, mmap_mode="r", allow_pickle=False)


_HEAP = b"GCOL\x01\0\0\0"
_HEAP_HEADER_BYTES = 16


def open_hdf5(path: Path) -> h5py.File:
    """Open an HDF5 file for reading, once `check_hdf5` has passed it.

    Raises:
        OSError: see `check_hdf5`; or the file cannot be read, or is none.
    """
    import h5py

    with path.open("rb") as file:
        if file.seek(0, 2):
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                check_hdf5(content)
    return h5py.File(path, "r")


def check_hdf5(content: bytes | mmap.mmap) -> None:
    """Refuse an HDF5 file with a heap of texts and references that its own library would go round in for ever.

    Args:
        content: of the file. Format: "HDF5 File Format Specification" 3.0, III.E.

    Raises:
        OSError: as of a file that HDF5 itself refuses: there is an object without a length.
    """
    heap = content.find(_HEAP)
    while heap >= 0:
        _check_heap(content, heap)
        heap = content.find(_HEAP, heap + 1)


def _check_heap(content: bytes | mmap.mmap, heap: int) -> None:
    if heap + _HEAP_HEADER_BYTES > len(content):
        return
    (size,) = struct.unpack_from("<Q", content, heap + 8)
    place, end = heap + _HEAP_HEADER_BYTES, min(heap + size, len(content))
    while place + _HEAP_HEADER_BYTES <= end:
        number, _, _, n_bytes = struct.unpack_from("<HHIQ", content, place)
        if number == 0:
            # The free space is the last object, and its length is with its header.
            if n_bytes < _HEAP_HEADER_BYTES:
                raise OSError(f"an object of {n_bytes} bytes in the heap at byte {heap}")
            place += n_bytes
        else:
            place += _HEAP_HEADER_BYTES + n_bytes + -n_bytes % 8
