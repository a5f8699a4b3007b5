"""Damaged MATLAB files are refused before SciPy reads them, which may crash the process."""

import io
import struct

import numpy as np
import pytest
import scipy.io

from keras_emotion.datasets import matlab_check
from keras_emotion.datasets.matlab import read_variables, variable_shapes
from keras_emotion.datasets.matlab_check import check_matlab_file
from keras_emotion.schema import InputError


def contents(**options):
    labels = np.zeros(3, dtype=[("labels", "O"), ("type", "O")])
    for place, name in enumerate(("Fz", "Cz", "Müller")):
        labels[place] = (name, "EEG")
    fields = {
        "data": np.zeros((3, 7), "f4"),
        "chanlocs": labels,
        "event": [],
        "complex": np.array([1 + 2j]),
        "cells": np.array([1, "a", np.zeros((2, 2, 2))], object),
        "nothing": np.zeros((0, 3)),
    }
    file = io.BytesIO()
    scipy.io.savemat(file, {"EEG": fields, "n": np.arange(4)}, **options)
    return file.getvalue()


@pytest.mark.parametrize("options", [{}, {"do_compression": True}, {"format": "4"}], ids=["plain", "compressed", "4"])
def test_whole_files_pass(options, tmp_path):
    path = tmp_path / "a.set"
    if options.get("format") == "4":
        scipy.io.savemat(path, {"n": np.arange(4)}, appendmat=False, **options)
    else:
        path.write_bytes(contents(**options))
    check_matlab_file(path)


def test_other_byte_order(tmp_path):
    path = tmp_path / "a.mat"
    body = struct.pack(">II II", 14, 48, 6, 8) + struct.pack(">II", 6, 0) + struct.pack(">II ii", 5, 8, 1, 1)
    body += struct.pack(">HH4s", 1, 1, b"x\0\0\0") + struct.pack(">HHi", 4, 5, 7)
    path.write_bytes(b"MATLAB".ljust(124) + b"\x01\x00MI" + body)
    check_matlab_file(path)
    assert scipy.io.loadmat(path)["x"] == 7


def element(kind, content):
    return struct.pack("<II", kind, len(content)) + content + bytes(-len(content) % 8)


def matrix(*elements):
    return element(14, b"".join(elements))


FILE_HEADER = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM"
SEVEN = element(9, struct.pack("<d", 7))


@pytest.mark.parametrize(("type_of_lengths", "type_of_name"), [(6, 1), (5, 16)])
def test_types_of_other_programs(type_of_lengths, type_of_name, tmp_path):
    flags = element(6, struct.pack("<II", 6, 0))
    lengths, name = element(type_of_lengths, struct.pack("<ii", 1, 1)), element(type_of_name, b"x")
    path = tmp_path / "a.mat"
    path.write_bytes(FILE_HEADER + matrix(flags, lengths, name, SEVEN))
    assert read_variables(path, ("x",))["x"] == scipy.io.loadmat(path)["x"] == 7


def test_objects_of_matlab_beside_numbers(tmp_path):
    # A string array: it declares no shape, and SciPy does not read it.
    names = (element(1, word) for word in (b"text", b"MCOS", b"string"))
    an_object = matrix(element(6, struct.pack("<II", 17, 0)), *names, matrix())
    path = tmp_path / "a.mat"
    file = io.BytesIO()
    scipy.io.savemat(file, {"x": [[7.0, 8.0]], "letters": "abc"})
    path.write_bytes(FILE_HEADER + an_object + file.getvalue()[128:])
    assert variable_shapes(path) == {"text": (), "x": (1, 2), "letters": (1,)}
    assert read_variables(path, ("letters", "x"))["x"].tolist() == [[7, 8]]


def test_a_name_twice(tmp_path):
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"x": 7.0})
    path.write_bytes(path.read_bytes() + path.read_bytes()[128:])
    with pytest.raises(InputError, match="two variables `x`"):
        read_variables(path, ("x",))


@pytest.mark.parametrize("compressed", [False, True])
def test_a_file_is_gone_through_once(compressed, tmp_path, monkeypatch):
    headers = []
    header = matlab_check._Matrix.header
    monkeypatch.setattr(matlab_check._Matrix, "header", lambda self: headers.append(1) or header(self))
    values = {f"x{number}": np.full((2, 3), number) for number in range(50)}
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, values, do_compression=compressed)
    assert variable_shapes(path) == dict.fromkeys(values, (2, 3))
    for name, expected in values.items():
        np.testing.assert_array_equal(read_variables(path, (name,))[name], expected)
    assert len(headers) == 50 + 50
    # Another file of that name.
    scipy.io.savemat(path, {"x7": np.arange(4)})
    assert read_variables(path, ("x7", "x8"))["x7"].tolist() == [[0, 1, 2, 3]]


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        # Such a type crashed the process of SciPy 1.17 by a segmentation fault.
        ("type of numbers", 199, "numbers of type 199"),
        ("length of names", 0, "names of fields of 0 bytes"),
        ("length of names", -1, "names of fields of -1 bytes"),
        ("length of names", 1 << 30, "names of fields of 1073741824 bytes"),
        ("type of a matrix", 9, "expected type 14"),
        ("size of a matrix", 1 << 30, "beyond the end"),
        ("shape", -1, "an array of shape"),
        ("shape", 1 << 20, "1048576 numbers|numbers for an array of"),
    ],
)
def test_a_damaged_struct(place, value, message, tmp_path):
    content = bytearray(contents())
    data = content.index(struct.pack("<ii", 3, 7))
    offsets = {
        # Behind the tag of a small element: length 4, type 5.
        "length of names": content.index(struct.pack("<HH", 5, 4)) + 4,
        "type of a matrix": data - 32,
        "size of a matrix": data - 28,
        "shape": data,
        # Behind the shape, and an empty name of 8 bytes.
        "type of numbers": data + 16,
    }
    struct.pack_into("<i", content, offsets[place], value)
    path = tmp_path / "a.mat"
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"a.mat: damaged or truncated MATLAB file \(.*({message})"):
        check_matlab_file(path)
    with pytest.raises(InputError, match="damaged or truncated"):
        read_variables(path, ("EEG",))


def test_a_file_cut_anywhere(tmp_path):
    whole = contents()
    path = tmp_path / "a.mat"
    for length in range(130, len(whole) - 8, 97):
        path.write_bytes(whole[:length])
        try:
            check_matlab_file(path)
        except InputError:
            continue
        # Truncated between two variables, the rest is complete.
        assert length in (128 + 8 + struct.unpack("<I", whole[132:136])[0],) or length < 136


def test_only_variables_that_are_read_are_checked(tmp_path):
    content = bytearray(contents())
    data = content.index(struct.pack("<ii", 3, 7))
    struct.pack_into("<i", content, data, -1)
    path = tmp_path / "a.mat"
    path.write_bytes(content)
    assert read_variables(path, ("n",))["n"].tolist() == [[0, 1, 2, 3]]
