"""Check the structure of a MATLAB file of version 4 to 7 before SciPy reads it.

SciPy's reader trusts the sizes that a file declares: a damaged struct can make it read out of bounds and crash the
process, and a small compressed file can make it allocate any declared size. Format: "MAT-File Format", MathWorks, level
5.
"""

from __future__ import annotations

import dataclasses
import functools
import struct
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import BinaryIO

from keras_emotion.limits import check_memory
from keras_emotion.refusals import refusing_unreadable

DAMAGED = "{path}: damaged or truncated MATLAB file ({reason}); copy it again"

_HEADER_BYTES = 128
_INT8, _INT32, _UINT32, _MATRIX, _COMPRESSED, _UTF8 = 1, 5, 6, 14, 15, 16
_CELL, _STRUCT, _OBJECT, _CHAR, _SPARSE, _FIRST_NUMERIC, _LAST_NUMERIC, _OPAQUE = 1, 2, 3, 4, 5, 6, 15, 17
_ITEM_BYTES = {1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 4, 9: 8, 12: 8, 13: 8, 16: 1, 17: 2, 18: 4}
"""Bytes per number by type of a data element."""

_CLASS_BYTES = {6: 8, 7: 4, 8: 1, 9: 1, 10: 2, 11: 2, 12: 4, 13: 4, 14: 8, 15: 8}
"""Bytes per number in memory by class of an array."""

_HEADER_4_BYTES, _MOST_TYPE_4 = 20, 5000
_BYTES_4 = {0: 8, 1: 4, 2: 4, 3: 2, 4: 2, 5: 1}
"""Of version 4: bytes of a number by the second digit, from behind, of the type of a variable."""

_COMPLEX = 0x800
_MOST_DIMENSIONS = 32
_DEEPEST = 64
_HEAD_BYTES = 4096


@dataclasses.dataclass(frozen=True)
class Variable:
    """Variable of a file of version 5 to 7, as its tag and header declare it.

    Args:
        name: name; empty for what MATLAB keeps beside the variables.
        place: byte of the file at which its element begins, with the tag.
        n_bytes: bytes of the element, with the tag.
        shape: shape, of texts without that of their characters; empty for objects of classes, which declare none.
    """

    name: str
    place: int
    n_bytes: int
    shape: tuple[int, ...]


def find_variables(path: Path) -> tuple[Variable, ...] | None:
    """Return what the variables of a file of version 5 to 7 declare; `None` for other versions.

    A file is gone through once, not again for each of its variables, as long as its size and time stay.

    Raises:
        InputError: the file is missing or damaged.
    """
    with refusing_unreadable(path, DAMAGED):
        stamp = path.stat()
        return _found_variables(path.absolute(), stamp.st_size, stamp.st_mtime_ns)


@functools.lru_cache(maxsize=64)
def _found_variables(path: Path, size: int, time_ns: int) -> tuple[Variable, ...] | None:
    with path.open("rb") as file:
        order = _byte_order(file.read(_HEADER_BYTES))
        return None if order is None else tuple(_variables(file, order))


def check_matlab_file(path: Path, names: Collection[str] | None = None) -> None:
    """Refuse a MATLAB file of version 4 to 7 with inconsistent elements, or that declares too much.

    Files of version 7.3 pass, because another reader reads them.

    Args:
        path: the file.
        names: variables that will be read; by default all. Of numeric arrays only the header is read.

    Raises:
        InputError: the file is damaged, or declares arrays of more than `Limits.memory_gib`.
    """
    found = find_variables(path)
    with refusing_unreadable(path, DAMAGED), path.open("rb") as file:
        header = file.read(_HEADER_BYTES)
        order = _byte_order(header)
        if found is None or order is None:
            # As SciPy tells version 4, which has no header.
            if b"\0" in header[:4]:
                _check_version_4(path, file)
            return
        declared = 0
        for variable in found:
            if names is None or variable.name in names:
                declared = _check_variable(path, file, variable, order, declared)


class OneVariable:
    """Part of an open file of version 5 to 7, as a file with one of its variables alone: without a copy in memory.

    It has of a file what SciPy's reader uses.

    Args:
        file: the file.
        variable: the variable.
    """

    def __init__(self, file: BinaryIO, variable: Variable):
        self._file, self._variable, self._position = file, variable, 0

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move to a position from the start (0), from here (1) or from the end (2), and return it."""
        begins = (0, self._position, _HEADER_BYTES + self._variable.n_bytes)
        self._position = begins[whence] + offset
        return self._position

    def read(self, size: int) -> bytes:
        """Read up to `size` bytes, of the header or of the variable: SciPy reads none that are of both."""
        start, stop = 0, _HEADER_BYTES
        if self._position >= _HEADER_BYTES:
            start, stop = self._variable.place - _HEADER_BYTES, _HEADER_BYTES + self._variable.n_bytes
        self._file.seek(start + self._position)
        found = self._file.read(max(0, min(size, stop - self._position)))
        self._position += len(found)
        return found


def check_matrix(body: bytes, order: str) -> None:
    """Refuse the bytes of one matrix, without its tag, if its elements are inconsistent.

    Args:
        body: the bytes.
        order: byte order, `"<"` or `">"`.

    Raises:
        ValueError: the elements are inconsistent.
    """
    _Matrix(memoryview(body), order).check(0)


def _byte_order(header: bytes) -> str | None:
    """Byte order of a file of version 5 to 7; `None` for other versions."""
    # Version 4 has no header, and version 7.3 has 2 instead of 1 (it is an HDF5 file).
    if b"\0" in header[:4] or len(header) < _HEADER_BYTES or header[126:128] not in (b"IM", b"MI"):
        return None
    order = "<" if header[126:128] == b"IM" else ">"
    return order if struct.unpack(f"{order}H", header[124:126])[0] == 0x0100 else None


def _variables(file: BinaryIO, order: str) -> Iterator[Variable]:
    size, place, names = file.seek(0, 2), _HEADER_BYTES, set()
    while place + 8 <= size:
        file.seek(place)
        kind, n_bytes = struct.unpack(f"{order}II", file.read(8))
        if kind not in (_MATRIX, _COMPRESSED) or place + 8 + n_bytes > size:
            raise ValueError(f"an element of type {kind} and {n_bytes} bytes at byte {place} of {size}")
        if n_bytes:
            matrix_class, shape, name, _ = _head(file, order, kind, n_bytes)[0].header()
            if name and name in names:
                raise ValueError(f"two variables `{name}`")
            names.add(name)
            yield Variable(name, place, 8 + n_bytes, shape[:-1] if matrix_class == _CHAR else shape)
        place += 8 + n_bytes


def _head(file: BinaryIO, order: str, kind: int, n_bytes: int) -> tuple[_Matrix, int]:
    """Return the first bytes of the matrix at this place of the file, and the size that it declares."""
    head = file.read(min(n_bytes, _HEAD_BYTES))
    if kind == _COMPRESSED:
        head = zlib.decompressobj().decompress(head, _HEAD_BYTES)
        inner, n_bytes = struct.unpack(f"{order}II", head[:8])
        if inner != _MATRIX:
            raise ValueError(f"a compressed element of type {inner}")
        head = head[8:]
    return _Matrix(memoryview(head), order), n_bytes


def _check_variable(path: Path, file: BinaryIO, variable: Variable, order: str, declared: int) -> int:
    """Check one variable, and return the bytes in memory that are declared with it."""
    file.seek(variable.place)
    kind, n_bytes = struct.unpack(f"{order}II", file.read(8))
    matrix, matrix_bytes = _head(file, order, kind, n_bytes)
    matrix_class, shape, _, is_complex = matrix.header()
    is_numeric = _FIRST_NUMERIC <= matrix_class <= _LAST_NUMERIC
    numbers = _elements(shape) * _CLASS_BYTES[matrix_class] * (1 + is_complex) if is_numeric else 0
    declared += max(numbers, matrix_bytes)
    check_memory(path, declared)
    if is_numeric:
        matrix.check_tag_of_numbers(_elements(shape), matrix_bytes)
    # The tag of the imaginary parts stands behind the real ones.
    if not is_numeric or is_complex:
        file.seek(variable.place + 8)
        body = file.read(n_bytes)
        if kind == _COMPRESSED:
            body = zlib.decompressobj().decompress(body, matrix_bytes + 8)[8:]
        check_matrix(body, order)
    return declared


def _check_version_4(path: Path, file: BinaryIO) -> None:
    """Refuse a file of version 4 with a variable that cannot be in it, or that declares too much."""
    size, place, declared = file.seek(0, 2), 0, 0
    while place + _HEADER_4_BYTES <= size:
        file.seek(place)
        header = file.read(_HEADER_4_BYTES)
        order = "<" if 0 <= struct.unpack("<i", header[:4])[0] < _MOST_TYPE_4 else ">"
        kind, n_rows, n_columns, is_complex, n_name = struct.unpack(f"{order}5i", header)
        if not 0 <= kind < _MOST_TYPE_4 or kind // 10 % 10 not in _BYTES_4 or min(n_rows, n_columns, n_name) < 0:
            raise ValueError(f"a variable of type {kind} at byte {place}")
        n_bytes = n_rows * n_columns * _BYTES_4[kind // 10 % 10] * (1 + bool(is_complex))
        # In memory all become float64.
        declared += 8 * n_rows * n_columns * (1 + bool(is_complex))
        check_memory(path, declared)
        place += _HEADER_4_BYTES + n_name + n_bytes
    if place != size:
        raise ValueError(f"a variable that ends at byte {place} of {size}")


def _elements(shape: tuple[int, ...]) -> int:
    n_elements = 1
    for length in shape:
        n_elements *= length
    return n_elements


class _Matrix:
    """Parser of the bytes of a matrix after its tag; every size is checked against the remaining bytes."""

    def __init__(self, body: memoryview, order: str):
        self._body, self._order, self._place = body, order, 0

    def header(self) -> tuple[int, tuple[int, ...], str, bool]:
        """Return class, shape, name, and whether the numbers are complex."""
        flags = self._element(_UINT32)
        if len(flags) != 8:
            raise ValueError(f"array flags of {len(flags)} bytes")
        word = struct.unpack(f"{self._order}I", flags[:4])[0]
        if word & 0xFF == _OPAQUE:
            return _OPAQUE, (), self._name(), False
        # Some programs write lengths without a sign, and names in UTF-8, which SciPy reads too.
        lengths = self._element(_INT32, _UINT32)
        if not 8 <= len(lengths) <= 4 * _MOST_DIMENSIONS or len(lengths) % 4:
            raise ValueError(f"an array of {len(lengths) / 4:g} dimensions")
        shape = struct.unpack(f"{self._order}{len(lengths) // 4}i", lengths)
        if min(shape) < 0:
            raise ValueError(f"an array of shape {shape}")
        return word & 0xFF, shape, self._name(), bool(word & _COMPLEX)

    def _name(self) -> str:
        return bytes(self._element(_INT8, _UTF8)).decode("latin-1")

    def check(self, depth: int) -> None:
        """Check this matrix and nested ones.

        Raises:
            ValueError: an element does not have the required type or size.
        """
        if depth > _DEEPEST:
            raise ValueError(f"structs nested more than {_DEEPEST} deep")
        matrix_class, shape, _, is_complex = self.header()
        n_elements = _elements(shape)
        if matrix_class == _CELL:
            self._check_matrices(n_elements, depth)
        elif matrix_class in (_STRUCT, _OBJECT):
            if matrix_class == _OBJECT:
                self._element(_INT8)
            self._check_matrices(n_elements * self._n_fields(), depth)
        elif matrix_class == _SPARSE:
            for kind in (_INT32, _INT32):
                self._element(kind)
            for _ in range(1 + is_complex):
                self._element()
        elif matrix_class == _CHAR or _FIRST_NUMERIC <= matrix_class <= _LAST_NUMERIC:
            for _ in range(1 + is_complex):
                self._check_numbers(n_elements, is_text=matrix_class == _CHAR)
        # Function handles and other objects: SciPy does not parse their content.

    def check_tag_of_numbers(self, n_numbers: int, n_bytes: int) -> None:
        """Check the tag of the numbers of an array, of which only the head is here, behind its `header`.

        Args:
            n_numbers: their number.
            n_bytes: bytes of the whole matrix.

        Raises:
            ValueError: they are of no type, are more or fewer, or end behind the matrix.
        """
        kind, size, start = self._tag()
        if kind not in _ITEM_BYTES or size != n_numbers * _ITEM_BYTES[kind]:
            raise ValueError(f"numbers of type {kind} in {size} bytes for an array of {n_numbers}")
        if start + size > n_bytes:
            raise ValueError(f"an element of {size} bytes beyond the end")

    def _check_matrices(self, n_matrices: int, depth: int) -> None:
        # Each takes at least 8 bytes, which bounds the number before they are parsed.
        if 8 * n_matrices > len(self._body) - self._place:
            raise ValueError(f"{n_matrices} matrices in {len(self._body) - self._place} bytes")
        for _ in range(n_matrices):
            body = self._element(_MATRIX)
            if len(body):
                _Matrix(body, self._order).check(depth + 1)

    def _n_fields(self) -> int:
        length = self._element(_INT32)
        if len(length) != 4:
            raise ValueError(f"a length of names of {len(length)} bytes")
        (n_bytes,) = struct.unpack(f"{self._order}i", length)
        names = self._element(_INT8)
        if n_bytes <= 0 or len(names) % n_bytes:
            raise ValueError(f"names of fields of {n_bytes} bytes each in {len(names)} bytes")
        return len(names) // n_bytes

    def _check_numbers(self, n_numbers: int, is_text: bool) -> None:
        kind, body = self._any_element()
        if kind not in _ITEM_BYTES:
            raise ValueError(f"numbers of type {kind}")
        n_stored, rest = divmod(len(body), _ITEM_BYTES[kind])
        # UTF-8 has several bytes per character.
        if rest or (n_stored < n_numbers and not is_text) or (not is_text and n_stored != n_numbers):
            raise ValueError(f"{n_stored} numbers for an array of {n_numbers}")

    def _element(self, *kinds: int) -> memoryview:
        """Return the content of the element at this place, of one of these types if there are any."""
        found, body = self._any_element()
        if kinds and found not in kinds:
            raise ValueError(f"an element of type {found}, expected type {' or '.join(map(str, kinds))}")
        return body

    def _tag(self) -> tuple[int, int, int]:
        """Type and size of the element at this place, and where its content begins."""
        if self._place + 8 > len(self._body):
            raise ValueError("an element beyond the end")
        kind, size = struct.unpack_from(f"{self._order}II", self._body, self._place)
        if kind >> 16:
            # A small element: size and type in four bytes, content in the other four.
            kind, size = kind & 0xFFFF, kind >> 16
            if size > 4:
                raise ValueError(f"a small element of {size} bytes")
            return kind, size, self._place + 4
        return kind, size, self._place + 8

    def _any_element(self) -> tuple[int, memoryview]:
        kind, size, start = self._tag()
        # MATLAB pads to 8 bytes, except for matrices; the padding of the last element may be missing.
        end = start + size + (0 if kind == _MATRIX else -start - size & 7)
        if start + size > len(self._body):
            raise ValueError(f"an element of {size} bytes beyond the end")
        self._place = min(end, len(self._body)) if kind != _MATRIX else end
        return kind, self._body[start : start + size]
