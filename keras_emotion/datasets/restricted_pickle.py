"""Read pickles of numbers and NumPy arrays without executing anything.

DEAP is distributed as pickles. `pickle.load` calls whatever a pickle names, so an untrusted file can run any program.
Here the opcodes are interpreted by a small stack machine: it builds dicts, lists, tuples, strings, numbers and NumPy
arrays of plain numeric types, recognises the constructors that NumPy writes for them by name (nothing is ever imported
or called), and refuses everything else with an `InputError`.

Work and memory are bounded by the size of the file: buffers are views of the bytes read, a memo is a dict, and the
number of opcodes is capped.
"""

from __future__ import annotations

import codecs
import functools
import math
import pickle
import pickletools
import re
from pathlib import Path
from typing import Any, Literal

import numpy as np

from keras_emotion.refusals import refuse_special_file
from keras_emotion.schema import InputError

MAX_FILE_BYTES = 2**30
"""Files above one GiB are refused: DEAP's own are 98.4 MiB."""

MAX_OPERATIONS = 200_000
"""A DEAP file needs about 60 opcodes. The cap bounds the memory that a file of opcodes only can allocate."""

MAX_KEY_LENGTH = 1000
MAX_INTEGER_BYTES = 16

MAX_INTEGER_KEY = 2**31
"""Upper limit of integer keys: larger integers can have equal hashes, so a dict of them takes quadratic time."""

_ARRAY_CONSTRUCTORS = {
    f"{module}.multiarray._reconstruct": "reconstruct" for module in ("numpy.core", "numpy._core")
} | {f"{module}.numeric._frombuffer": "frombuffer" for module in ("numpy.core", "numpy._core")}
_SCALAR_CONSTRUCTORS = {f"{module}.multiarray.scalar": "scalar" for module in ("numpy.core", "numpy._core")}
_GLOBALS = (
    _ARRAY_CONSTRUCTORS
    | _SCALAR_CONSTRUCTORS
    | {"numpy.ndarray": "ndarray", "numpy.dtype": "dtype", "_codecs.encode": "encode", "__builtin__.bytes": "bytes"}
)
_OPCODES = {one.code: one for one in pickletools.opcodes}
_DATA_TYPE = re.compile(r"[<>=|]?(b1|i[1248]|u[1248]|f[248]|c(8|16))")
_ESCAPED = re.compile(rb"(?:[^\\]|\\[\\'\"nrt]|\\x[0-9a-fA-F]{2})*", re.DOTALL)
_COUNT_BYTES = {
    pickletools.TAKEN_FROM_ARGUMENT1: 1,
    pickletools.TAKEN_FROM_ARGUMENT4: 4,
    pickletools.TAKEN_FROM_ARGUMENT4U: 4,
    pickletools.TAKEN_FROM_ARGUMENT8U: 8,
}


def read(path: str | Path, max_bytes: int = MAX_FILE_BYTES) -> Any:
    """Read the object in a pickle file of plain containers, numbers, strings and numeric arrays.

    Pickles of Python 2 (protocols 0 to 2) and Python 3 (protocols 0 to 5), written by any NumPy, are supported.

    Deviations from `pickle.load`: dict keys are `str` (byte keys and Python 2 strings are decoded as latin-1) or
    integers, Python 2 strings become `str`, a `bytearray` becomes `bytes`, and arrays are read-only views of the bytes
    of the file, in its byte order (copy what you keep: a slice keeps the whole file in memory).

    Args:
        path: the file.
        max_bytes: larger files are refused before they are read.

    Returns:
        The object: `dict`, `list`, `tuple`, `str`, `bytes`, number, `None`, `numpy.ndarray` or NumPy scalar.

    Raises:
        InputError: the file is missing, too large, truncated, not a pickle, or requires anything that is not in the
            list above (the message gives the reason and the byte).

    Example:
        >>> import pickle, tempfile
        >>> path = Path(tempfile.mkdtemp()) / "s01.dat"
        >>> _ = path.write_bytes(pickle.dumps({"labels": np.eye(2)}))
        >>> read(path)["labels"].sum()
        np.float64(2.0)
    """
    path = Path(path)
    refuse_special_file(path)
    try:
        size = path.stat().st_size
        if size > max_bytes:
            raise InputError(f"{path}: file of {size} bytes; expected at most {max_bytes}; copy it again")
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    return loads(content, path)


def loads(content: bytes, path: str | Path = "pickle") -> Any:
    """Parse the bytes of a pickle; `path` is for messages. See `read`."""
    return _Machine(content, Path(path)).run()


class _Stream:
    """Byte stream of a pickle: `read` and `readline` for the readers of `pickletools`, `view` for large buffers."""

    def __init__(self, content: bytes):
        self.content = content
        self.position = 0

    def read(self, size: int) -> bytes:
        chunk = self.content[self.position : self.position + size]
        self.position += len(chunk)
        return chunk

    def readline(self) -> bytes:
        newline = self.content.find(b"\n", self.position)
        return self.read((len(self.content) if newline < 0 else newline + 1) - self.position)

    def view(self, size: int) -> memoryview:
        if not 0 <= size <= len(self.content) - self.position:
            raise ValueError(f"truncated: {size} bytes expected, {len(self.content) - self.position} left")
        self.position += size
        return memoryview(self.content)[self.position - size : self.position]


class _Part:
    """Internal value of the machine that is never returned: it only serves to build an array or a scalar."""


class _Global(_Part):
    def __init__(self, kind: str):
        self.kind = kind


class _Arguments(_Part):
    """A tuple with a `_Part` in it."""

    def __init__(self, items: tuple):
        self.items = items


class _DataType(_Part):
    def __init__(self, code: str):
        self.code = code
        self.byte_order: Literal["=", "<", ">", "|"] = "="


class _EmptyArray(_Part):
    """Array before its state is set; keeps its memo keys, so that it is replaced there too."""

    def __init__(self):
        self.memo_keys: list[int] = []


class _Bytes(_Part):
    """Byte string, as a view of the file: `bytes` of Python 3, or `str` of Python 2, which may be either."""

    def __init__(self, view: memoryview, is_python2: bool):
        self.view = view
        self.is_python2 = is_python2

    @functools.cached_property
    def value(self) -> str | bytes:
        return str(self.view, "latin-1") if self.is_python2 else bytes(self.view)


class _Machine:
    """Interpreter of one pickle. Each opcode is a method `_op_<name in lower case>`; others are refused."""

    def __init__(self, content: bytes, path: Path):
        self.stream = _Stream(content)
        self.path = path
        self.start = 0
        self.stack: list[Any] = []
        self.marked: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        # `_codecs.encode` is the one call that copies: a pickle encodes each of its strings once.
        self.bytes_to_encode = len(content)

    def run(self) -> Any:
        for _ in range(MAX_OPERATIONS):
            self.start = self.stream.position
            code = self.stream.read(1)
            if not code:
                raise self.refused("truncated: the file ends before the pickle does")
            opcode = _OPCODES.get(code.decode("latin-1"))
            if opcode is None:
                raise self.refused(f"{code!r} is not an opcode")
            if opcode.name == "STOP":
                return self.plain(self.pop())
            operation = getattr(self, f"_op_{opcode.name.lower()}", None)
            if operation is None:
                raise self.refused(f"opcode {opcode.name} is not allowed")
            operation(*self.arguments(opcode))
        raise self.refused(f"more than {MAX_OPERATIONS} opcodes")

    def refused(self, reason: str) -> InputError:
        return InputError(
            f"{self.path}: byte {self.start}: {reason:.300}; expected a pickle of numbers and NumPy arrays: "
            "the file is damaged, truncated or not what it claims to be; copy it again from the source"
        )

    def arguments(self, opcode: pickletools.OpcodeInfo) -> tuple[Any, ...]:
        """Return the argument of an opcode as a tuple of none, one or (for `GLOBAL`) two values."""
        stream, argument = self.stream, opcode.arg
        try:
            if argument is None:
                return ()
            if argument.n in _COUNT_BYTES:
                count = stream.view(_COUNT_BYTES[argument.n])
                return (stream.view(int.from_bytes(count, "little")),)
            reader: Any = stream
            # Parsed here, because pickletools decodes these two as ASCII, which the arrays of protocol 0 are not, and
            # warns of escapes that no pickler writes.
            if opcode.name == "STRING":
                text: Any = pickletools.read_stringnl(reader, decode=False)
                if not _ESCAPED.fullmatch(text):
                    raise ValueError("an invalid escape")
                return (memoryview(codecs.escape_decode(text)[0]),)
            if opcode.name == "GLOBAL":
                return tuple(stream.readline().removesuffix(b"\n").decode("ascii") for _ in range(2))
            return (argument.reader(reader),)
        except ValueError as error:
            raise self.refused(f"argument of {opcode.name}: {error}") from None

    # --- stack, marks, memo

    def push(self, value: Any):
        self.stack.append(value)

    def pop(self) -> Any:
        if not self.stack:
            raise self.refused("nothing on the stack")
        return self.stack.pop()

    def top(self, expected: type) -> Any:
        if not self.stack or not isinstance(self.stack[-1], expected):
            raise self.refused(f"no {expected.__name__} on the stack")
        return self.stack[-1]

    def pop_to_mark(self) -> list[Any]:
        if not self.marked:
            raise self.refused("no mark on the stack")
        items, self.stack = self.stack, self.marked.pop()
        return items

    def plain(self, value: Any) -> Any:
        if isinstance(value, _Bytes):
            return value.value
        if isinstance(value, _Part):
            raise self.refused("a constructor where a value is expected")
        return value

    def remember(self, key: int):
        value = self.pop()
        self.push(value)
        if isinstance(value, _EmptyArray):
            value.memo_keys.append(key)
        self.memo[key] = value

    def recall(self, key: int):
        if key not in self.memo:
            raise self.refused(f"memo {key} is not set")
        self.push(self.memo[key])

    def _op_proto(self, version: int):
        if version > pickle.HIGHEST_PROTOCOL:
            raise self.refused(f"protocol {version} is unknown")

    def _op_frame(self, size: int):
        """Ignore frames, which only help a reader that reads in pieces."""

    def _op_mark(self):
        self.marked.append(self.stack)
        self.stack = []

    def _op_pop(self):
        if self.stack or not self.marked:
            self.pop()
        else:
            self.pop_to_mark()

    def _op_pop_mark(self):
        self.pop_to_mark()

    def _op_put(self, key: int):
        self.remember(key)

    _op_binput = _op_long_binput = _op_put

    def _op_memoize(self):
        self.remember(len(self.memo))

    def _op_get(self, key: int):
        self.recall(key)

    _op_binget = _op_long_binget = _op_get

    # --- numbers and strings

    def _op_none(self):
        self.push(None)

    def _op_newtrue(self):
        self.push(True)

    def _op_newfalse(self):
        self.push(False)

    def _op_number(self, value: float):
        self.push(value)

    _op_int = _op_binint = _op_binint1 = _op_binint2 = _op_long = _op_float = _op_binfloat = _op_number

    def _op_long1(self, view: memoryview):
        if len(view) > MAX_INTEGER_BYTES:
            raise self.refused(f"an integer of {len(view)} bytes")
        self.push(int.from_bytes(view, "little", signed=True))

    _op_long4 = _op_long1

    def _op_string(self, view: memoryview):
        self.push(_Bytes(view, is_python2=True))

    _op_binstring = _op_short_binstring = _op_string

    def _op_binbytes(self, view: memoryview):
        self.push(_Bytes(view, is_python2=False))

    _op_short_binbytes = _op_binbytes8 = _op_bytearray8 = _op_binbytes

    def _op_unicode(self, text: str):
        self.push(text)

    def _op_binunicode(self, view: memoryview):
        try:
            self.push(str(view, "utf-8", "surrogatepass"))
        except UnicodeDecodeError as error:
            raise self.refused(f"text: {error}") from None

    _op_short_binunicode = _op_binunicode8 = _op_binunicode

    # --- containers

    def push_tuple(self, items: list[Any]):
        is_plain = all(isinstance(item, _Bytes) or not isinstance(item, _Part) for item in items)
        self.push(tuple(map(self.plain, items)) if is_plain else _Arguments(tuple(items)))

    def pop_items(self, count: int) -> list[Any]:
        return [self.pop() for _ in range(count)][::-1]

    def _op_empty_tuple(self):
        self.push(())

    def _op_tuple(self):
        self.push_tuple(self.pop_to_mark())

    def _op_tuple1(self):
        self.push_tuple(self.pop_items(1))

    def _op_tuple2(self):
        self.push_tuple(self.pop_items(2))

    def _op_tuple3(self):
        self.push_tuple(self.pop_items(3))

    def _op_empty_list(self):
        self.push([])

    def _op_list(self):
        self.push(list(map(self.plain, self.pop_to_mark())))

    def _op_append(self):
        value = self.plain(self.pop())
        self.top(list).append(value)

    def _op_appends(self):
        values = list(map(self.plain, self.pop_to_mark()))
        self.top(list).extend(values)

    def _op_empty_dict(self):
        self.push({})

    def _op_dict(self):
        items = self.pop_to_mark()
        self.push({})
        self.set_items(items)

    def _op_setitem(self):
        self.set_items(self.pop_items(2))

    def _op_setitems(self):
        self.set_items(self.pop_to_mark())

    def set_items(self, items: list[Any]):
        if len(items) % 2:
            raise self.refused("a key without a value")
        target = self.top(dict)
        for key, value in zip(map(self.plain, items[::2]), map(self.plain, items[1::2]), strict=True):
            name = self.key(key)
            if name in target:
                raise self.refused(f"key {name!r} occurs twice")
            target[name] = value

    def key(self, key: Any) -> str | int:
        """Convert and check the key of a dict."""
        if isinstance(key, int | np.integer) and not isinstance(key, bool) and 0 <= key < MAX_INTEGER_KEY:
            return int(key)
        if not isinstance(key, str | bytes) or len(key) > MAX_KEY_LENGTH:
            raise self.refused(
                f"key of type {type(key).__name__}; expected str or bytes, not too long, or a number below 2^31"
            )
        return key.decode("latin-1") if isinstance(key, bytes) else key

    # --- arrays

    def _op_stack_global(self):
        self._op_global(*map(self.plain, self.pop_items(2)))

    def _op_global(self, module: Any, name: Any):
        kind = _GLOBALS.get(f"{module}.{name}")
        if kind is None:
            raise self.refused(f"refers to {module}.{name}, which is not allowed")
        self.push(_Global(kind))

    def _op_reduce(self):
        arguments, constructor = self.pop(), self.pop()
        if not isinstance(constructor, _Global):
            raise self.refused("a call of something other than a constructor")
        items = arguments.items if isinstance(arguments, _Arguments) else arguments
        match constructor.kind, items:
            case "reconstruct", (_Global(kind="ndarray"), tuple(), _):
                self.push(_EmptyArray())
            case "dtype", (str(code), _, _) if _DATA_TYPE.fullmatch(code):
                self.push(_DataType(code))
            case "encode", (str(text), "latin1" | "latin-1"):
                self.push(_Bytes(memoryview(self.encode(text)), is_python2=False))
            case "bytes", ():
                self.push(_Bytes(memoryview(b""), is_python2=False))
            case "frombuffer", (_Bytes(view=view), _DataType() as data_type, tuple(shape), "C" | "F" as order):
                self.push(self.array(view, data_type, shape, order))
            case "scalar", (_DataType() as data_type, _Bytes(view=view)):
                self.push(self.array(view, data_type, (), "C")[()])
            case _:
                raise self.refused(f"arguments of the constructor `{constructor.kind}` are not what NumPy writes")

    def encode(self, text: str) -> bytes:
        self.bytes_to_encode -= len(text)
        if self.bytes_to_encode < 0:
            raise self.refused("encodes more text than the file contains")
        try:
            return text.encode("latin-1")
        except UnicodeEncodeError as error:
            raise self.refused(f"text: {error}") from None

    def _op_build(self):
        state, target = self.pop(), self.pop()
        items = state.items if isinstance(state, _Arguments) else state
        match target, items:
            case _DataType(), (int(), "<" | ">" | "=" | "|" as order, None, None, None, int(), int(), int()):
                target.byte_order = order
                self.push(target)
            case _EmptyArray(), (
                int(),
                tuple(shape),
                _DataType() as data_type,
                bool() | 0 | 1 as fortran,
                _Bytes(view=v),
            ):
                array = self.array(v, data_type, shape, "F" if fortran else "C")
                self.memo.update(dict.fromkeys(target.memo_keys, array))
                self.push(array)
            case _:
                raise self.refused("the state of an object is not what NumPy writes for an array of numbers")

    def array(self, view: memoryview, data_type: _DataType, shape: tuple, order: Literal["C", "F"]) -> np.ndarray:
        dtype = np.dtype(data_type.code).newbyteorder(data_type.byte_order)
        if len(shape) > 32 or not all(isinstance(length, int) and 0 <= length < 2**31 for length in shape):
            raise self.refused(f"array of shape {shape}")
        # NumPy limits the product of the axes even if one of them is empty.
        if math.prod(max(length, 1) for length in shape) > MAX_FILE_BYTES:
            raise self.refused(f"array of shape {shape}")
        if math.prod(shape) * dtype.itemsize != len(view):
            raise self.refused(f"array of shape {shape} and type {dtype} with {len(view)} bytes of data")
        if not len(view):
            return np.zeros(shape, dtype)
        return np.ndarray(shape, dtype, buffer=view, order=order)
