"""Write pickles as Python 2 did, the format of DEAP's preprocessed files."""

from __future__ import annotations

import itertools
import pickle
import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np


def write_python2_pickle(path: str | Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write a dict of float64 arrays, byte for byte as `cPickle` of Python 2.7 does with protocol 2.

    There, strings and array data are `BINSTRING`, which Python 3 never writes, so a reader tested on Python 3 pickles
    only is not tested for them. The arrays are written without being copied.

    Args:
        path: output file.
        arrays: float64 arrays by name; axes shorter than 65536.

    Raises:
        ValueError: an array has another type, longer axes, or 2 GiB or more.
    """
    numbers = itertools.count(1)

    def remember() -> bytes:
        return pickle.BINPUT + struct.pack("<B", next(numbers))

    def string(text: bytes) -> bytes:
        return pickle.SHORT_BINSTRING + struct.pack("<B", len(text)) + text

    def integer(value: int) -> bytes:
        return pickle.BININT1 + struct.pack("<B", value) if value < 256 else pickle.BININT2 + struct.pack("<H", value)

    def constructor(module: bytes, name: bytes) -> bytes:
        """Write a constructor's name the first time, and refer to it afterwards."""
        if name in known:
            return pickle.BINGET + known[name]
        put = remember()
        known[name] = put[1:]
        return pickle.GLOBAL + module + b"\n" + name + b"\n" + put

    def float64() -> bytes:
        if b"float64" in known:
            return pickle.BINGET + known[b"float64"]
        made = constructor(b"numpy", b"dtype") + string(b"f8") + integer(0) + integer(1) + pickle.TUPLE3 + pickle.REDUCE
        put = remember()
        known[b"float64"] = put[1:]
        state = integer(3) + string(b"<") + 3 * pickle.NONE + 2 * (pickle.BININT + struct.pack("<i", -1)) + integer(0)
        return made + put + pickle.MARK + state + pickle.TUPLE + pickle.BUILD

    known: dict[bytes, bytes] = {}
    tuples = {1: pickle.TUPLE1, 2: pickle.TUPLE2, 3: pickle.TUPLE3}
    for name, array in arrays.items():
        if array.dtype != np.float64 or array.ndim not in tuples or max(array.shape) >= 2**16 or array.nbytes >= 2**31:
            raise ValueError(
                f"`{name}` is {array.dtype} {array.shape}; expected float64 with 1 to 3 short axes, < 2 GiB"
            )
    with Path(path).open("wb") as file:
        file.write(pickle.PROTO + b"\x02" + pickle.EMPTY_DICT + remember() + pickle.MARK)
        for name, array in arrays.items():
            file.write(string(name.encode("ascii")) + remember())
            made = constructor(b"numpy.core.multiarray", b"_reconstruct") + constructor(b"numpy", b"ndarray")
            empty = made + integer(0) + pickle.TUPLE1 + string(b"b") + pickle.TUPLE3 + pickle.REDUCE + remember()
            shape = b"".join(map(integer, array.shape)) + tuples[array.ndim]
            file.write(empty + pickle.MARK + integer(1) + shape + float64() + pickle.NEWFALSE)
            if array.nbytes < 256:
                file.write(string(array.tobytes()))
            else:
                file.write(pickle.BINSTRING + struct.pack("<i", array.nbytes))
                np.ascontiguousarray(array).tofile(file)
            file.write(pickle.TUPLE + pickle.BUILD)
        file.write(pickle.SETITEMS + pickle.STOP)
