"""Read and write NumPy array files; sizes are checked before allocation, and a full disk is reported as such."""

from __future__ import annotations

import contextlib
import functools
import io
import mmap
import struct
import sys
import zipfile
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from keras_emotion.limits import check_archive, check_memory
from keras_emotion.refusals import reason_of, refusing_unreadable
from keras_emotion.schema import InputError

if TYPE_CHECKING:
    import h5py

_UNREADABLE = "{path}: unreadable ({reason}); expected an .npz file of plain arrays; copy it again"


class _Stream:
    """Write-only view of an open file."""

    def __init__(self, file: IO[bytes]):
        self.write = file.write


def save_array(path: Path, array: np.ndarray) -> None:
    """Write an array as a `.npy` file; nothing is pickled.

    Raises:
        OSError: the error of the system. `numpy.save` passes the file to C, and would report a full disk only by the
            number of items that were written.
    """
    with path.open("wb") as file:
        np.lib.format.write_array(_Stream(file), np.asanyarray(array), allow_pickle=False)


def read_npz(path: Path, names: Collection[str] | None = None, message: str = _UNREADABLE) -> Mapping[str, np.ndarray]:
    """Read arrays of an `.npz` file without unpickling.

    Args:
        path: the file.
        names: arrays to read; by default all. Names that are not in the file are left out.
        message: text of the error, see `refusing_unreadable`.

    Raises:
        InputError: the file cannot be read, is not an `.npz` file of plain arrays, or declares more than
            `Limits.memory_gib`.
    """
    with refusing_unreadable(path, message), path.open("rb") as file, _opened(file) as archive:
        return _arrays(path, archive, names)


def read_npz_array(path: Path, name: str, message: str = _UNREADABLE) -> np.ndarray:
    """Read one array of an `.npz` file.

    Raises:
        InputError: as `read_npz`, or the array is missing.
    """
    with refusing_unreadable(path, message), path.open("rb") as file, _opened(file) as archive:
        check_archive(path, _zip_of(archive), "arrays")
        if name not in archive:
            found = ", ".join(archive.files) or "none"
            raise InputError(f"{path}: missing array `{name}`; found {found}; copy it again")
        return _arrays(path, archive, (name,))[name]


def parse_npz(content: bytes, path: Path) -> Mapping[str, np.ndarray]:
    """Parse the content of an `.npz` file as `read_npz` does; `path` is for messages."""
    with refusing_unreadable(path, _UNREADABLE), _opened(io.BytesIO(content)) as archive:
        return _arrays(path, archive, None)


def _arrays(path: Path, archive: np.lib.npyio.NpzFile, names: Collection[str] | None) -> dict[str, np.ndarray]:
    arrays = {}
    wanted = [name for name in archive.files if names is None or name in names]
    check_memory(path, sum(_declared_bytes(archive, name) for name in wanted))
    for name in wanted:
        try:
            arrays[name] = _with_valid_text(archive[name])
        except ValueError as error:
            raise ValueError(f"`{name}`: {error}") from error
    return arrays


def npz_shape(path: Path, name: str, message: str = _UNREADABLE) -> tuple[int, ...]:
    """Return the shape of an array in an `.npz` file, as its header declares it.

    Raises:
        InputError: as `read_npz`, or the array is missing.
    """
    with refusing_unreadable(path, message), path.open("rb") as file, _opened(file) as archive:
        return _header(archive, name)[0]


@contextlib.contextmanager
def _opened(file: IO[bytes]) -> Iterator[np.lib.npyio.NpzFile]:
    # Opened by the caller, because NumPy does not close a damaged file.
    # NumPy would read a file that is a single array to its end.
    if not zipfile.is_zipfile(file):
        file.seek(0)
        raise ValueError("a single array" if file.read(6) == b"\x93NUMPY" else "not a zip archive")
    file.seek(0)
    with np.load(file, allow_pickle=False) as archive:
        yield archive


def _zip_of(archive: np.lib.npyio.NpzFile) -> zipfile.ZipFile:
    # NumPy sets it to `None` when the archive is closed.
    assert archive.zip is not None
    return archive.zip


def _header(archive: np.lib.npyio.NpzFile, name: str) -> tuple[tuple[int, ...], np.dtype]:
    members = _zip_of(archive)
    with members.open(f"{name}.npy" if f"{name}.npy" in members.namelist() else name) as file:
        shape, _, dtype = _read_header(file, np.lib.format.read_magic(file))
    return shape, dtype


def _read_header(file: IO[bytes], version: tuple[int, int]) -> tuple[tuple[int, ...], bool, np.dtype]:
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    return read(file)


def _n_bytes(shape: tuple[int, ...], dtype: np.dtype) -> int:
    # Python integers, because NumPy's overflow.
    n_bytes = dtype.itemsize
    for length in shape:
        n_bytes *= int(length)
    return n_bytes


def _declared_bytes(archive: np.lib.npyio.NpzFile, name: str) -> int:
    """Return the size of an array in bytes, as its header declares it."""
    return _n_bytes(*_header(archive, name))


def parse_npy(content: bytes) -> np.ndarray:
    """Parse the complete bytes of an `.npy` file; object arrays are refused.

    Raises:
        ValueError: the bytes are not an `.npy` file, are truncated or hold objects.
    """
    file = io.BytesIO(content)
    try:
        version = np.lib.format.read_magic(file)
        shape, _, dtype = _read_header(file, version)
    except Exception as error:
        # Headers are parsed as Python literals, which can raise any exception.
        raise ValueError(f"invalid .npy header ({reason_of(error)})") from error
    # NumPy allocates what the header declares.
    if _n_bytes(shape, dtype) > len(content):
        raise ValueError(f"its header declares shape {shape}, but it has {len(content)} bytes")
    return _with_valid_text(np.lib.format.read_array(io.BytesIO(content), allow_pickle=False))


def _with_valid_text(array: np.ndarray) -> np.ndarray:
    """Return an array, after checking that texts consist of characters: Python fails on each item that does not.

    Raises:
        ValueError: a text has a number that is not a character of Unicode.
    """
    if array.dtype.kind == "U" and array.size and array.dtype.itemsize:
        codes = np.ascontiguousarray(array).reshape(-1).view(np.dtype(np.uint32).newbyteorder(array.dtype.byteorder))
        if codes.max() > sys.maxunicode:
            raise ValueError("text with invalid characters")
    return array


def map_npy(path: Path) -> np.ndarray:
    """Map an `.npy` file into memory; samples are read on access.

    Raises:
        InputError: the file is not a numeric array, or shorter than its header declares.
    """
    with refusing_unreadable(path, "{path}: unreadable ({reason}); expected a numeric .npy array; copy it again"):
        return np.load(path, mmap_mode="r", allow_pickle=False)


_HEAP = b"GCOL\x01\0\0\0"
_HEAP_HEADER_BYTES = 16


def open_hdf5(path: Path) -> h5py.File:
    """Open an HDF5 file for reading after `check_hdf5`.

    Raises:
        OSError: see `check_hdf5`; the file has links, or arrays whose content is in other files; or it cannot be read.
    """
    import h5py

    with path.open("rb") as file:
        if file.seek(0, 2):
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                check_hdf5(content)
    opened = h5py.File(path, "r")
    try:
        opened.visititems_links(functools.partial(_refuse_elsewhere, opened))
    except Exception:
        opened.close()
        raise
    return opened


def _refuse_elsewhere(file: h5py.File, name: str, link: Any) -> None:
    """Refuse what leads out of an HDF5 file: it may name any file of the machine."""
    import h5py

    if not isinstance(link, h5py.HardLink):
        raise OSError(f"{name} is a link; expected an array or a group")
    item = file[name]
    if isinstance(item, h5py.Dataset) and (item.is_virtual or item.external):
        raise OSError(f"the content of {name} is in other files; expected it in this one")


def check_hdf5(content: bytes | mmap.mmap) -> None:
    """Refuse an HDF5 file with a heap of texts and references that causes an endless loop in the HDF5 library.

    Args:
        content: content of the file. Format: "HDF5 File Format Specification" 3.0, III.E.

    Raises:
        OSError: an object of the heap has no length; the same exception as for files that HDF5 itself refuses.
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
            # The free space is the last object, and its length includes its header.
            if n_bytes < _HEAP_HEADER_BYTES:
                raise OSError(f"an object of {n_bytes} bytes in the heap at byte {heap}")
            place += n_bytes
        else:
            place += _HEAP_HEADER_BYTES + n_bytes + -n_bytes % 8
