"""Read MATLAB structs with nested cells in parts: versions 5 to 7 (SciPy) and 7.3 (h5py)."""

from __future__ import annotations

import dataclasses
import functools
import io
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from keras_emotion.array_files import open_hdf5
from keras_emotion.datasets.matlab_check import check_matrix
from keras_emotion.limits import check_memory
from keras_emotion.refusals import refusing_unreadable
from keras_emotion.schema import InputError

_HEADER_BYTES = 128
_COMPRESSED, _MATRIX = 15, 14
_STRUCT_CLASS, _CELL_CLASS = 2, 1
_NAME = "part"
_CHUNK_BYTES, _BLOCK_BYTES = 2**12, 2**20

# MATLAB's HDF5 files have 512 bytes of their own before the signature.
_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"


@dataclasses.dataclass(frozen=True)
class Part:
    """Field of a struct, or an element of a field that is a cell array.

    Args:
        field: name of the field.
        index: position in the cell array; -1 if the field is read as a whole.
        n_elements: elements of the cell array; 1 if the field is read as a whole.
        read: function that reads the value, to be called before the next part is requested: structs as dicts, cells as
            lists, texts as `str`, numbers as arrays of their shape in MATLAB.
    """

    field: str
    index: int
    n_elements: int
    read: Callable[[], Any]


def struct_parts(path: Path, variable: str, cell_field: str) -> Iterator[Part]:
    """Iterate over the fields of a 1 x 1 struct, and over the elements of one of them.

    Only requested parts are decoded, and one part at a time is in memory. In a compressed file, everything before a
    part is decompressed too.

    Args:
        path: the file.
        variable: name of the struct.
        cell_field: the field whose elements are parts.

    Raises:
        InputError: the file is missing, damaged or truncated, or lacks the struct.
    """
    with _errors(path), path.open("rb") as file:
        file.seek(512)
        is_hdf5 = file.read(8) == _HDF5_SIGNATURE
        file.seek(0)
        parts = _hdf5_parts(path, variable, cell_field) if is_hdf5 else _parts(file, variable, cell_field)
        is_empty = True
        for part in parts:
            is_empty = False
            yield dataclasses.replace(part, read=_with_errors(path, part.read))
    if is_empty:
        raise InputError(f"{path}: missing struct `{variable}`; copy it again")


_errors = functools.partial(
    refusing_unreadable, message="{path}: damaged or truncated MATLAB file ({reason}); copy it again"
)


def _with_errors(path: Path, read: Callable[[], Any]) -> Callable[[], Any]:
    def checked() -> Any:
        with _errors(path):
            return read()

    return checked


# --- versions 5 to 7


class _Source:
    """Sequential reader of the bytes of a variable, decompressed on the fly."""

    def __init__(self, file: BinaryIO, n_bytes: int, is_compressed: bool, order: str):
        self._file, self._left, self.order = file, n_bytes, order
        self._inflate = zlib.decompressobj() if is_compressed else None

    def read(self, n_bytes: int) -> bytes:
        """Read an exact number of bytes."""
        blocks, missing = [], n_bytes
        while missing > 0:
            block = self._block(min(missing, _BLOCK_BYTES))
            if not block:
                raise EOFError(f"{missing} of {n_bytes} bytes missing")
            blocks.append(block)
            missing -= len(block)
        return b"".join(blocks)

    def skip(self, n_bytes: int) -> None:
        """Skip bytes."""
        while n_bytes > 0:
            n_bytes -= len(self.read(min(n_bytes, _BLOCK_BYTES)))

    def tag(self) -> tuple[int, int, bytes]:
        """Return type and size of the next element, and its bytes if they are in the tag itself."""
        head = self.read(8)
        kind, size = struct.unpack(f"{self.order}II", head)
        return (kind & 0xFFFF, kind >> 16, head[4:]) if kind >> 16 else (kind, size, b"")

    def element(self) -> bytes:
        """Read the next element of any type, without its padding."""
        _, size, inside = self.tag()
        return inside[:size] if inside else self.read(-(-size // 8) * 8)[:size]

    def header(self) -> tuple[int, tuple[int, ...], str]:
        """Read class, shape and name of a matrix, after its tag."""
        flags = struct.unpack(f"{self.order}II", self.element())
        shape = self.element()
        return flags[0] & 0xFF, struct.unpack(f"{self.order}{len(shape) // 4}i", shape), self.element().decode("latin1")

    def _block(self, most: int) -> bytes:
        if self._inflate is None:
            block = self._file.read(min(most, self._left))
            self._left -= len(block)
            return block
        while not self._inflate.eof:
            waiting = self._inflate.unconsumed_tail
            fresh = b"" if waiting else self._file.read(min(_CHUNK_BYTES, self._left))
            self._left -= len(fresh)
            block = self._inflate.decompress(waiting or fresh, most)
            if block or not (waiting or fresh):
                return block
        return b""


def _parts(file: BinaryIO, variable: str, cell_field: str) -> Iterator[Part]:
    header = file.read(_HEADER_BYTES)
    if len(header) < _HEADER_BYTES or header[126:128] not in (b"IM", b"MI"):
        raise ValueError("invalid MATLAB header")
    order = "<" if header[126:128] == b"IM" else ">"
    place = _HEADER_BYTES
    while len(head := file.read(8)) == 8:
        kind, size = struct.unpack(f"{order}II", head)
        place += 8 + size
        source = _Source(file, size, kind == _COMPRESSED, order)
        if kind == _COMPRESSED:
            kind = source.tag()[0]
        if kind == _MATRIX:
            matrix_class, _, name = source.header()
            if (matrix_class, name) == (_STRUCT_CLASS, variable):
                yield from _struct_parts(source, header, cell_field)
                return
        file.seek(place)


def _struct_parts(source: _Source, header: bytes, cell_field: str) -> Iterator[Part]:
    (length,) = struct.unpack(f"{source.order}i", source.element())
    text = source.element()
    names = [text[start : start + length].split(b"\0")[0].decode("latin1") for start in range(0, len(text), length)]
    for name in names:
        # Streams the elements of the cell field; other fields are read whole.
        if name != cell_field:
            yield from _elements(source, header, name, 1, is_cell=False)
            continue
        kind, _, _ = source.tag()
        matrix_class, shape, _ = source.header() if kind == _MATRIX else (0, (), "")
        if matrix_class != _CELL_CLASS:
            raise ValueError(f"field {name} is not a cell array")
        yield from _elements(source, header, name, int(np.prod(shape)), is_cell=True)


def _elements(source: _Source, header: bytes, field: str, n_elements: int, is_cell: bool) -> Iterator[Part]:
    for index in range(n_elements):
        kind, size, _ = source.tag()
        if kind != _MATRIX:
            raise ValueError(f"field {field} is not a matrix")
        body: list[bytes] = []

        def read(size: int = size, body: list[bytes] = body) -> Any:
            if not body:
                body.append(source.read(size))
            return _decoded(header, source.order, body[0])

        yield Part(field, index if is_cell else -1, n_elements, read)
        if not body:
            source.skip(size)


def _decoded(header: bytes, order: str, body: bytes) -> Any:
    """Decode an element by wrapping its bytes as a file with one variable for SciPy."""
    import scipy.io

    if not body:
        return np.empty((0, 0))
    # A part has an empty name, which SciPy misinterprets: flags (16 bytes), shape, and then the name.
    n_shape = struct.unpack(f"{order}II", body[16:24])[1]
    place = 24 + -(-n_shape // 8) * 8
    name = struct.pack(f"{order}II", 1, len(_NAME)) + _NAME.encode().ljust(8, b"\0")
    body = body[:place] + name + body[place + 8 :]
    # SciPy's reader may crash on damaged structs and cells.
    check_matrix(body, order)
    content = header + struct.pack(f"{order}II", _MATRIX, len(body)) + body
    return _plain(scipy.io.loadmat(io.BytesIO(content), variable_names=[_NAME])[_NAME])


def _plain(value: np.ndarray) -> Any:
    if value.dtype.names is not None:
        return {name: _plain(value[name].flat[0]) for name in value.dtype.names} if value.size else {}
    if value.dtype == object:
        return [_plain(one) for one in value.ravel(order="F")]
    return "".join(value.ravel().tolist()) if value.dtype.kind == "U" else value


# --- version 7.3


def _hdf5_parts(path: Path, variable: str, cell_field: str) -> Iterator[Part]:

    with open_hdf5(path) as file:
        if variable not in file:
            return
        fields: Mapping[str, Any] = file[variable]
        # HDF5 does not preserve the order of fields.
        for name in (cell_field, *(name for name in fields if name != cell_field)):
            if name != cell_field:
                yield Part(name, -1, 1, functools.partial(_read_hdf5, file, fields, name))
                continue
            references = fields[name][()].ravel()
            for index, reference in enumerate(references):
                yield Part(name, index, len(references), functools.partial(_read_hdf5, file, file, reference))


def _read_hdf5(file: Any, holder: Any, key: Any) -> Any:
    return _plain_hdf5(file, holder[key])


def _plain_hdf5(file: Any, item: Any) -> Any:
    import h5py

    if isinstance(item, h5py.Group):
        return {name: _plain_hdf5(file, item[name]) for name in item}
    check_memory(file.filename, item.nbytes)
    if item.attrs.get("MATLAB_empty", 0):
        return np.empty(tuple(map(int, item[()])))
    if h5py.check_ref_dtype(item.dtype) is not None:
        return [_plain_hdf5(file, file[one]) for one in item[()].ravel()]
    array = item[()].T
    is_text = item.attrs.get("MATLAB_class", b"") in (b"char", "char")
    return "".join(map(chr, array.ravel(order="F"))) if is_text else array
