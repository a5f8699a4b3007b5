"""Pickle reader compared with `pickle.load` on valid files, real files of Python 2, and hostile ones."""

import os
import pickle
import pickletools
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keras_emotion.datasets import restricted_pickle
from keras_emotion.schema import InputError

GOLDEN = Path(__file__).parents[1] / "golden" / "python2_pickle"
REFUSED = "expected a pickle of numbers and NumPy arrays"


def deap_like(rng=None):
    rng = rng or np.random.default_rng(0)
    return {"data": rng.normal(size=(2, 3, 5)), "labels": rng.uniform(1, 9, (2, 4))}


def assert_same(read, expected):
    if isinstance(expected, np.ndarray):
        assert isinstance(read, np.ndarray)
        # pickle.load converts foreign byte orders to the machine's; this reader keeps them.
        assert read.dtype.newbyteorder("=") == expected.dtype.newbyteorder("=")
        assert read.shape == expected.shape
        np.testing.assert_array_equal(read, expected)
    elif isinstance(expected, dict):
        assert list(read) == list(expected)
        for key in expected:
            assert_same(read[key], expected[key])
    elif isinstance(expected, list | tuple):
        assert type(read) is type(expected)
        assert len(read) == len(expected)
        for one, other in zip(read, expected, strict=True):
            assert_same(one, other)
    else:
        assert type(read) is type(expected)
        assert read == expected


@pytest.mark.parametrize("protocol", [0, 1, 2])
def test_reads_what_python2_wrote(protocol):
    read = restricted_pickle.read(GOLDEN / f"python2_protocol{protocol}.dat")
    assert_same(read["labels"], np.arange(8.0).reshape(2, 4) - 2.5)
    assert_same(read["data"], (np.arange(240.0) / 7).reshape(2, 3, 40))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(
    "value",
    [
        deap_like(),
        {"f4": np.float32([1, 2]), "big-endian": np.arange(3, dtype=">f8"), "i2": np.arange(-2, 2, dtype=np.int16)},
        {"fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)), "strided": np.arange(12.0).reshape(3, 4)[:, ::2]},
        {"empty": np.zeros((0, 3)), "zero-dimensional": np.array(2.5), "bool": np.array([True, False])},
        {"complex": np.array([1 + 2j]), "scalar": np.float64(3.5), "int scalar": np.int32(-7)},
        {"same": [np.ones(2)] * 2, "nested": [1, 2.5, None, True, -(2**70), "text", b"bytes", b"", (1, (2, "x"), ())]},
        np.arange(4.0),
    ],
    ids=["deap", "types", "order", "shapes", "scalars", "containers", "bare array"],
)
def test_equals_pickle_load(protocol, value):
    content = pickle.dumps(value, protocol=protocol)
    assert_same(restricted_pickle.loads(content), pickle.loads(content))


@pytest.mark.parametrize("key", [0, 44, np.int64(7), 2**31 - 1])
def test_numbers_are_keys(key):
    read = restricted_pickle.loads(pickle.dumps({key: np.arange(3)}))
    assert [(type(name), name) for name in read] == [(int, int(key))]


@pytest.mark.parametrize("key", [-1, 2**31, 2**61 - 1, True, 1.0])
def test_other_numbers_are_no_keys(key):
    with pytest.raises(InputError, match=f"key of type {type(key).__name__}; expected str or bytes, not too long, or"):
        restricted_pickle.loads(pickle.dumps({key: 1}))


def test_byte_keys_become_text():
    content = pickle.dumps({b"data": np.ones(2), "labels": np.zeros(1)})
    assert list(restricted_pickle.loads(content)) == ["data", "labels"]


def test_old_module_name_of_numpy():
    content = pickle.dumps(np.arange(3.0), protocol=2).replace(b"numpy._core", b"numpy.core")
    assert_same(restricted_pickle.loads(content), np.arange(3.0))


def test_arrays_are_views_of_the_bytes_read(tmp_path):
    path = tmp_path / "s01.dat"
    path.write_bytes(pickle.dumps({"data": np.ones(10**6)}, protocol=5))
    tracemalloc.start()
    read = restricted_pickle.read(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1.1 * path.stat().st_size
    assert not read["data"].flags.writeable


class Payload:
    """Payload that leaves a marker file when executed."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_payload_is_refused_and_not_executed(tmp_path, protocol):
    marker = tmp_path / "executed"
    path = tmp_path / "s01.dat"
    path.write_bytes(pickle.dumps(Payload(marker), protocol=protocol))
    with pytest.raises(InputError, match=rf"{path}: byte \d+: refers to posix.system, which is not allowed"):
        restricted_pickle.read(path)
    assert not marker.exists()
    # The payload works: only the reader prevented its execution.
    pickle.loads(path.read_bytes())
    assert marker.exists()


def array_bytes(dtype=b"f8", order=b"<", shape=b"K\x02\x85", buffer=b"\0" * 16, fortran=b"\x89", version=b"K\x01"):
    """A protocol 2 array with any part of it replaced."""
    kind = b"cnumpy\ndtype\nU" + bytes([len(dtype)]) + dtype + b"K\0K\x01\x87R(K\x03U\x01" + order
    kind += b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb"
    state = b"(" + version + shape + kind + fortran + b"U" + bytes([len(buffer)]) + buffer + b"tb"
    return b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85U\x01b\x87R" + state + b"."


def test_the_array_that_the_hostile_ones_are_made_of_is_good():
    assert_same(restricted_pickle.loads(array_bytes()), np.zeros(2))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "truncated"),
        (b"\xff\xff", "is not an opcode"),
        (b"hello world", "opcode|memo"),
        (b"\x80\x63N.", "protocol 99 is unknown"),
        (b".", "nothing on the stack"),
        (b"N0.", "nothing on the stack"),
        (b"t.", "no mark"),
        (b"NN}Na.", "no list"),
        (b"}NNs.", "key of type NoneType"),
        (b"](K\x01K\x02u.", "no dict"),
        (b"}(U\x01au.", "a key without a value"),
        (b"}(U\x01aNU\x01aNu.", "occurs twice"),
        (b"}U\x01aNsC\x01aNs.", "occurs twice"),
        (b"g7\n.", "memo 7 is not set"),
        (b"Np" + b"9" * 5000 + b"\n.", "argument of PUT"),
        (b"T\xff\xff\xff\x7fabc", "truncated: 2147483647 bytes expected, 3 left"),
        (b"T\xff\xff\xff\xffabc", "truncated"),
        (b"\x8e\xff\xff\xff\xff\xff\xff\xff\x7fabc", "truncated"),
        (b"\x8b\xff\xff\xff\x7f\x01", "truncated"),
        (b"\x8b\x20\0\0\0" + b"\1" * 32 + b".", "an integer of 32 bytes"),
        (b"I" + b"9" * 5000 + b"\n.", "argument of INT"),
        (b"Fabc\n.", "argument of FLOAT"),
        (b"S'abc\n.", "argument of STRING"),
        (b"S'a\\qc'\n.", "argument of STRING: an invalid escape"),
        (b"S'a\\777c'\n.", "argument of STRING: an invalid escape"),
        (b"cnumpy\\q\nndarray\n.", "refers to numpy"),
        (b"cnumpy\xff\nndarray\n.", "argument of GLOBAL"),
        (b"U\x05abc", "truncated: 5 bytes expected, 3 left"),
        (b"X\x01\0\0\0\xff.", "text"),
        (b"Pabc\n.", "PERSID is not allowed"),
        (b"NQ.", "BINPERSID is not allowed"),
        (b"(iposix\nsystem\n.", "INST is not allowed"),
        (b"(U\x01ao.", "OBJ is not allowed"),
        (b"cnumpy\nndarray\n)\x81.", "NEWOBJ is not allowed"),
        (b"\x82\x01.", "EXT1 is not allowed"),
        (b"\x97.", "NEXT_BUFFER is not allowed"),
        (b"(\x90.", "is not allowed"),
        (b"cbuiltins\neval\n.", "refers to builtins.eval"),
        (b"c__builtin__\ngetattr\n.", "refers to __builtin__.getattr"),
        (b"\x8c\x08builtins\x8c\x04exec\x93.", "refers to builtins.exec"),
        (b"cnumpy\nload\n.", "refers to numpy.load"),
        (b"cnumpy\nndarray\n.", "a constructor where a value is expected"),
        (b"](cnumpy\nndarray\ne.", "a constructor where a value is expected"),
        (b"cnumpy\nndarray\n\x85.", "a constructor where a value is expected"),
        (b"U\x01a)R.", "a call of something other than a constructor"),
        (b"c_codecs\nencode\n(U\x01aU\x05utf-8tR.", "arguments of the constructor `encode`"),
        (b"c_codecs\nencode\nX\x02\0\0\0\xc4\x80X\x06\0\0\0latin1\x86R.", "text"),
        (b"c__builtin__\nbytes\n(K\x05tR.", "arguments of the constructor `bytes`"),
        (b"cnumpy\ndtype\nN\x85R.", "arguments of the constructor `dtype`"),
        (b"}}b.", "the state of an object"),
        (array_bytes(dtype=b"O8"), "arguments of the constructor `dtype`"),
        (array_bytes(dtype=b"V8"), "arguments of the constructor `dtype`"),
        (array_bytes(dtype=b"M8"), "arguments of the constructor `dtype`"),
        (array_bytes(dtype=b"f8,f8"), "arguments of the constructor `dtype`"),
        (array_bytes(order=b"X"), "the state of an object"),
        (array_bytes(fortran=b"N"), "the state of an object"),
        (array_bytes(shape=b"K\x03\x85"), r"array of shape \(3,\)"),
        (array_bytes(shape=b"J\xff\xff\xff\xff\x85"), "array of shape"),
        (array_bytes(shape=b"U\x01a\x85"), "array of shape"),
        (array_bytes(shape=b"N"), "the state of an object"),
        (array_bytes(shape=b"K\0J\xff\xff\xff\x7fJ\xff\xff\xff\x7f\x87", buffer=b""), "array of shape"),
        (array_bytes(shape=b"(" + b"K\x01" * 40 + b"t", buffer=b"\0" * 8), "array of shape"),
        (array_bytes(buffer=b"\0" * 15), "with 15 bytes of data"),
        # An array whose state was never set, in a place where it would be returned.
        (b"](cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85U\x01b\x87Re.", "a constructor where"),
    ],
)
def test_hostile_and_broken_pickles_are_refused(content, reason):
    with pytest.raises(InputError, match=f"(?s)^f.dat: byte [0-9]+: .*({reason})") as caught:
        restricted_pickle.loads(content, "f.dat")
    assert REFUSED in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


def test_truncated_anywhere():
    content = (GOLDEN / "python2_protocol2.dat").read_bytes()
    for length in range(len(content)):
        with pytest.raises(InputError, match=r"truncated|no newline"):
            restricted_pickle.loads(content[:length])


def test_missing_and_large_files(tmp_path):
    with pytest.raises(InputError, match=r"s01\.dat: cannot be read"):
        restricted_pickle.read(tmp_path / "s01.dat")
    (tmp_path / "s02.dat").write_bytes(b"N" * 100)
    with pytest.raises(InputError, match=r"s02\.dat: file of 100 bytes; expected at most 99; copy it again"):
        restricted_pickle.read(tmp_path / "s02.dat", max_bytes=99)


def peak_bytes(content):
    tracemalloc.start()
    with pytest.raises(InputError) as caught:
        restricted_pickle.loads(content)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak, str(caught.value)


def test_a_long_run_of_opcodes_is_cut_off():
    peak, message = peak_bytes(b"]" * 10**6 + b".")
    assert "more than 200000 opcodes" in message
    assert peak < 40e6


def test_one_string_cannot_be_encoded_again_and_again():
    text = b"X" + struct.pack("<I", 10**6) + b"a" * 10**6 + b"q\x010"
    again = b"c_codecs\nencode\nq\x020" + b"](" + b"h\x02h\x01U\x06latin1\x86R" * 1000 + b"e."
    peak, message = peak_bytes(text + again)
    assert "encodes more text than the file contains" in message or "constructor" in message
    assert peak < 20e6


def test_one_long_key_cannot_be_used_again_and_again():
    key = b"T" + struct.pack("<I", 10**6) + b"a" * 10**6 + b"q\x010"
    peak, message = peak_bytes(key + b"](" + b"}h\x01Ns" * 1000 + b"e.")
    assert "key of type" in message
    assert peak < 20e6


SMALL = [
    (GOLDEN / "python2_protocol0.dat").read_bytes(),
    (GOLDEN / "python2_protocol2.dat").read_bytes(),
    *(pickle.dumps(deap_like(), protocol=protocol) for protocol in (2, 4, 5)),
]
FUZZ = settings(max_examples=300, deadline=2000, suppress_health_check=[HealthCheck.too_slow])


def read_or_refuse(content):
    """The result is always a value or an `InputError`."""
    try:
        value = restricted_pickle.loads(content)
    except InputError:
        return
    stack = [value]
    while stack:
        item = stack.pop()
        assert isinstance(
            item, dict | list | tuple | str | bytes | int | float | complex | np.ndarray | np.generic | None
        )
        # Lists can contain themselves; one level suffices to see that no internal value leaks.
        if item is value and isinstance(item, dict | list | tuple):
            stack.extend(x for x in (item.values() if isinstance(item, dict) else item) if x is not value)


@FUZZ
@given(st.sampled_from(SMALL), st.lists(st.tuples(st.integers(0, 10**4), st.integers(0, 255)), min_size=1, max_size=8))
def test_fuzz_flipped_bytes(content, flips):
    content = bytearray(content)
    for position, value in flips:
        content[position % len(content)] = value
    read_or_refuse(bytes(content))


@FUZZ
@given(st.sampled_from(SMALL), st.sampled_from(SMALL), *[st.integers(0, 10**4)] * 4)
def test_fuzz_splices(first, second, a, b, c, d):
    a, b = sorted((a % len(first), b % len(first)))
    c, d = sorted((c % len(second), d % len(second)))
    read_or_refuse(first[:a] + second[c:d] + first[b:])


MARKER = Path(__file__).with_name("executed-by-a-pickle")


def opcode_with_argument(opcode):
    """A strategy for one opcode and an argument of the right form."""
    code = opcode.code.encode("latin-1")
    if opcode.arg is None:
        return st.just(code)
    if opcode.arg.n > 0:
        return st.binary(min_size=opcode.arg.n, max_size=opcode.arg.n).map(lambda argument: code + argument)
    sizes = {-2: "<B", -3: "<i", -4: "<I", -5: "<Q"}
    if opcode.arg.n in sizes:
        prefix = sizes[opcode.arg.n]
        return st.binary(max_size=12).map(lambda argument: code + struct.pack(prefix, len(argument)) + argument)
    lines = [b"0", b"1", b"00", b"-5", b"1.5", b"12L", b"'f8'", b"'<'", b"'latin1'", b"a"]
    if opcode.name in ("GLOBAL", "INST"):
        lines = [
            *(name.encode().replace(b".", b"\n", name.count(".")) for name in ("os.system", "builtins.eval")),
            *(b"\n".join(name.encode().rsplit(b".", 1)) for name in restricted_pickle._GLOBALS),
        ]
    return st.sampled_from(lines).map(lambda argument: code + argument + b"\n")


OPCODES = st.one_of([opcode_with_argument(opcode) for opcode in pickletools.opcodes])
PAYLOAD = pickle.dumps(Payload(MARKER), protocol=2)[2:-1]


@FUZZ
@given(st.lists(st.one_of(OPCODES, st.just(PAYLOAD), st.sampled_from([array_bytes()[2:-1], b"N", b"(", b")", b"R"]))))
def test_fuzz_opcodes(operations):
    read_or_refuse(b"".join(operations) + b".")
    assert not MARKER.exists()
