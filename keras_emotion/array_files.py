"""Read NumPy array files; sizes are checked before memory is allocated."""

from __future__ import annotations

import contextlib
import io
import zipfile
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import IO

import numpy as np

from keras_emotion.limits import check_memory
from keras_emotion.refusals import reason_of, refusing_unreadable

_UNREADABLE = "{path}: unreadable ({reason}); expected an .npz file of plain arrays; copy it again"


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
    arrays = {}
    with _opened(path, message) as archive:
        wanted = [name for name in archive.files if names is None or name in names]
        check_memory(path, sum(_declared_bytes(archive, name) for name in wanted))
        for name in wanted:
            try:
                arrays[name] = archive[name]
            except ValueError as error:
                raise ValueError(f"`{name}`: {error}") from error
    return arrays


def npz_shape(path: Path, name: str, message: str = _UNREADABLE) -> tuple[int, ...]:
    """Return the shape of an array in an `.npz` file, as its header declares it.

    Raises:
        InputError: as `read_npz`, or the array is missing.
    """
    with _opened(path, message) as archive:
        return _header(archive, name)[0]


@contextlib.contextmanager
def _opened(path: Path, message: str) -> Iterator[np.lib.npyio.NpzFile]:
    # Opened here, because NumPy does not close a damaged file.
    with refusing_unreadable(path, message), path.open("rb") as file:
        # NumPy would read a file that is a single array to its end.
        if not zipfile.is_zipfile(file):
            file.seek(0)
            raise ValueError("a single array" if file.read(6) == b"\x93NUMPY" else "not a zip archive")
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
    return np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)


def map_npy(path: Path) -> np.ndarray:
    """Map an `.npy` file into memory; samples are read on access.

    Raises:
        InputError: the file is not a numeric array, or shorter than its header declares.
    """
    with refusing_unreadable(path, "{path}: unreadable ({reason}); expected a numeric .npy array; copy it again"):
        return np.load(path, mmap_mode="r", allow_pickle=False)
