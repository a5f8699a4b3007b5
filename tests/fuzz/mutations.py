"""Seeded damage of files: of any bytes, and of what lies behind checksums and headers.

A mutation takes the bytes of a file and a random generator and returns other bytes. Those of a structure (`STRUCTURES`)
keep what a reader checks first: the archive is a valid zip file with valid checksums, the JSON parses, the header of
the array is one, and something in it is wrong. `seal` makes a file of ours carry the checksum of its changed content.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import pickle
import random
import re
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from keras_emotion.json_files import CHECKSUM, content_checksum

Mutate = Callable[[bytes, random.Random], bytes]

EXTREMES = (0, 1, -1, 127, 128, 255, 256, 65535, 2**31 - 1, 2**31, -(2**31), 2**32 - 1, 2**63 - 1, 2**64 - 1, -(2**63))
TEXTS = ("", " ", "nan", "NaN", "inf", "-inf", "-1", "0", "1e308", "1e999", "9" * 400, "0x10", "1,5", "true", "None")
TEXTS += ("../../etc/passwd", "/dev/zero", "\x00", "\u0660", "\ud800", "=1+1", "a" * 5000, "{}", '"', "'", "\n", "%s")
VALUES = (None, True, False, 0, -1, 2**31, 2**63, 2**100, 1e308, float("nan"), float("inf"), -1.5, "", "text", "0", [])
VALUES += ({}, [[]], [None], {"a": 1}, "nan", "a" * 5000, [0] * 5000, {"class_name": "function", "config": "exec"})


class Canary:
    """An object whose unpickling writes a file."""

    marker = "canary"

    def __reduce__(self):
        return open, (self.marker, "w")


# --- any bytes


def flip_bits(content: bytes, rng: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 8))):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def overwrite(content: bytes, rng: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        place = rng.randrange(len(changed))
        changed[place : place + rng.choice((1, 1, 2, 4, 16))] = rng.choice((b"\0", b"\xff", b" ", b"\n", b"'", b"9"))
    return bytes(changed)


def truncate(content: bytes, rng: random.Random) -> bytes:
    return content[: rng.randrange(len(content))]


def insert(content: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(len(content) + 1)
    return content[:place] + rng.randbytes(rng.choice((1, 4, 100))) + content[place:]


def repeat(content: bytes, rng: random.Random) -> bytes:
    start, place = rng.randrange(len(content)), rng.randrange(len(content))
    return content[:place] + content[start : start + rng.choice((4, 64, 4096))] + content[place:]


def remove(content: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(len(content))
    return content[:place] + content[place + rng.choice((1, 4, 64, 4096)) :]


def set_number(content: bytes, rng: random.Random) -> bytes:
    """Put an extreme number in the place of one of 1 to 8 bytes."""
    size, order = rng.choice((1, 2, 4, 8)), rng.choice(("little", "big"))
    if len(content) < size:
        return content
    place = rng.randrange(len(content) - size + 1)
    number = rng.choice(EXTREMES) % 256**size
    return content[:place] + number.to_bytes(size, order) + content[place + size :]


def set_digits(content: bytes, rng: random.Random) -> bytes:
    """Put an extreme number in the place of one that is written in digits."""
    found = list(re.finditer(rb"-?\d+", content[:65536]))
    if not found:
        return set_number(content, rng)
    one = rng.choice(found)
    text = str(rng.choice(EXTREMES)).encode()
    # Of the same length where the place has one: headers of fixed width.
    text = text[: len(one[0])].ljust(len(one[0])) if rng.random() < 0.5 else text
    return content[: one.start()] + text + content[one.end() :]


ANY: tuple[Mutate, ...] = (flip_bits, overwrite, truncate, insert, repeat, remove, set_number, set_digits)


def damage(content: bytes, rng: random.Random) -> bytes:
    """Damage bytes somewhere, one to three times; half of the time in their first 2 KiB."""
    for _ in range(rng.choice((1, 1, 2, 3))):
        if not content:
            return rng.randbytes(16)
        head = len(content) if rng.random() < 0.5 else min(len(content), 2048)
        content = rng.choice(ANY)(content[:head], rng) + content[head:]
    return content


def damage_behind(n_bytes: int) -> Mutate:
    """Damage that leaves the first bytes of a file as they are."""

    def change(content: bytes, rng: random.Random) -> bytes:
        start = min(n_bytes, len(content) // 2)
        return content[:start] + damage(content[start:], rng)

    return change


# --- texts


def json_value(content: bytes, rng: random.Random) -> bytes:
    """Replace, remove, exchange or repeat a value of a JSON file."""
    document = json.loads(content)
    places = list(_places(document))
    if not places:
        return json.dumps(rng.choice(VALUES)).encode()
    for _ in range(rng.choice((1, 1, 2))):
        holder, key = rng.choice(places)
        if not _is_there(holder, key):
            continue
        action = rng.randrange(6)
        if action == 0:
            del holder[key]
        elif action == 1:
            other, name = rng.choice(places)
            if _is_there(other, name):
                holder[key] = json.loads(json.dumps(other[name]))
        elif action == 2 and isinstance(holder[key], int | float) and not isinstance(holder[key], bool):
            holder[key] = rng.choice((-holder[key], holder[key] * 10**6, rng.choice(EXTREMES), str(holder[key])))
        elif action == 3 and isinstance(holder[key], list):
            holder[key] = holder[key] * rng.choice((2, 500))
        else:
            holder[key] = rng.choice(VALUES)
    return json.dumps(document).encode()


def _places(value: Any):
    """Every object or list within a JSON value, with each of its keys."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in list(items):
        yield value, key
        yield from _places(inner)


def _is_there(holder: Any, key: Any) -> bool:
    return key in holder if isinstance(holder, dict) else key < len(holder)


def csv_cell(content: bytes, rng: random.Random) -> bytes:
    """Replace, remove, exchange or repeat cells, lines or columns of a table."""
    text = content.decode("utf-8-sig", "replace")
    delimiter = max(",;\t", key=text[:2000].count)
    rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)) or [[""]]
    for _ in range(rng.choice((1, 1, 3))):
        row = rng.choice(rows) or [""]
        place, action = rng.randrange(len(row)), rng.randrange(8)
        if action == 0:
            del row[place]
        elif action == 1:
            rows.insert(rng.randrange(len(rows)), list(row))
        elif action == 2 and len(rows) > 1:
            del rows[rng.randrange(len(rows))]
        elif action == 3:
            row.append(rng.choice(TEXTS))
        elif action == 4:
            row[place] = rng.choice(rng.choice(rows) or [""])
        else:
            row[place] = rng.choice(TEXTS)
    out = io.StringIO()
    try:
        csv.writer(out, delimiter=delimiter, lineterminator="\n").writerows(rows)
    except csv.Error:
        return damage(content, rng)
    return out.getvalue().encode("utf-8", "surrogatepass")


def text_token(content: bytes, rng: random.Random) -> bytes:
    """Replace, remove or repeat a word, a number, an attribute or a line of a text, or plant entities of XML."""
    text = content.decode("utf-8", "surrogateescape")
    words = list(re.finditer(r'"[^"]*"|[-+.\w]+', text))
    action = rng.randrange(6)
    if action == 0 and text.startswith("<"):
        nested = "".join(f'<!ENTITY e{level + 1} "{f"&e{level};" * 10}">' for level in range(9))
        bomb = f'<!DOCTYPE a [<!ENTITY e0 "ha"><!ENTITY file SYSTEM "file:///etc/hostname">{nested}]>'
        start = text.find("?>") + 2 if text.startswith("<?") else 0
        inner = re.sub(r">[^<>]+<", f">{rng.choice(('&e9;', '&file;'))}<", text[start:], count=1)
        return (text[:start] + bomb + inner).encode("utf-8", "surrogateescape")
    if action == 1:
        lines = text.splitlines(keepends=True)
        line = rng.randrange(len(lines) or 1)
        lines[line : line + 1] = lines[line : line + 1] * rng.choice((0, 2, 1000))
        return "".join(lines).encode("utf-8", "surrogateescape")
    if not words:
        return damage(content, rng)
    word = rng.choice(words)
    new = rng.choice((*TEXTS, *map(str, EXTREMES), word[0] * 2, rng.choice(words)[0]))
    changed = text[: word.start()] + new + text[word.end() :]
    return changed.encode("utf-8", "surrogatepass" if "\ud800" in changed else "surrogateescape")


# --- containers


def zip_members(inner: dict[str, Mutate]) -> Mutate:
    """Change an archive: what is in a member, whose checksum is made anew, or names, order and declared sizes.

    Args:
        inner: mutation of members by the ending of their names.
    """

    def change(content: bytes, rng: random.Random) -> bytes:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            kind = archive.infolist()[0].compress_type
            members = [(one.filename, archive.read(one)) for one in archive.infolist()]
        place, action = rng.randrange(len(members)), rng.randrange(10)
        name, held = members[place]
        if action == 0:
            del members[place]
        elif action == 1:
            other = rng.randrange(len(members))
            members[place], members[other] = (name, members[other][1]), (members[other][0], held)
        elif action == 2:
            members[place] = (rng.choice((name + "x", "../" + name, "/" + name, name.upper(), "a" * 3000)), held)
        elif action == 3:
            members.append((name, rng.choice(members)[1]))
        elif action > 4:
            mutate = next((own for suffix, own in inner.items() if name.endswith(suffix)), damage)
            members[place] = (name, attempt(mutate, held, rng))
        written = io.BytesIO()
        with warnings.catch_warnings(), zipfile.ZipFile(written, "w", kind) as archive:
            # Two members of one name.
            warnings.simplefilter("ignore")
            for name, held in members:
                archive.writestr(zipfile.ZipInfo(name), held, kind)
        return declare_size(written.getvalue(), rng) if action == 4 else written.getvalue()

    return change


def declare_size(content: bytes, rng: random.Random) -> bytes:
    """Declare another size of a member, in the directory of an archive and before the member."""
    entries = [found.start() for found in re.finditer(rb"PK\x01\x02", content)]
    if not entries:
        return content
    changed, entry = bytearray(content), rng.choice(entries)
    size = struct.pack("<I", rng.choice((0, 1, 2**20, 2**31, 2**32 - 2)))
    (local,) = struct.unpack_from("<I", content, entry + 42)
    fields = rng.choice((((entry, 24),), ((entry, 20),), ((entry, 24), (local, 22)), ((entry, 42),)))
    for start, offset in fields:
        changed[start + offset : start + offset + 4] = size
    return bytes(changed)


def npy_header(content: bytes, rng: random.Random) -> bytes:
    """Declare another shape, type or order of an array, or have it hold objects."""
    found = re.search(rb"\{.*\}", content[:4096])
    if rng.random() < 0.15 or not found:
        return b"\x93NUMPY\x01\x00" + _header(("|O", False, (1,))) + pickle.dumps([Canary()])
    if rng.random() < 0.3:
        return damage_behind(found.end() + 1)(content, rng)
    shape = tuple(int(number) for number in re.findall(rb"\d+", found[0].split(b"shape")[1]))
    descr = re.search(rb"'descr': '([^']*)'", found[0])
    shape = rng.choice(
        (
            shape[::-1],
            (*shape, 1),
            shape[1:],
            (rng.choice((0, 1, 2**31, 2**62, 2**63, -1)), *shape[1:]),
            tuple(rng.choice((0, 1, length + 1, max(length - 1, 0))) for length in shape),
            (2**16,) * 8,
            (1,) * 70,
        )
    )
    own = descr[1].decode() if descr else "<f8"
    types = (own, own, "<f4", "<c16", "|O", "|S4", "<U5", "<M8[s]", "|V8", "<i8", "|b1", "<f9", "")
    return b"\x93NUMPY\x01\x00" + _header((rng.choice(types), rng.random() < 0.2, shape)) + content[found.end() + 1 :]


def _header(fields: tuple[str, bool, tuple[int, ...]]) -> bytes:
    descr, fortran, shape = fields
    text = f"{{'descr': {descr!r}, 'fortran_order': {fortran}, 'shape': {shape!r}, }}\n".encode()
    return struct.pack("<H", len(text)) + text


def pickle_opcodes(content: bytes, rng: random.Random) -> bytes:
    """Damage a pickle, or have it build an object that writes a file when it is built."""
    action = rng.randrange(6)
    payload = pickle.dumps(Canary(), protocol=rng.randrange(5))
    if action == 0:
        return payload
    if action == 1:
        # What stands before it is built first, and thrown away.
        return content[:-1] + b"0" + payload[2 if payload[:1] == b"\x80" else 0 :]
    if action == 2:
        words = (b"numpy.core.multiarray", b"numpy._core.multiarray", b"numpy", b"_reconstruct", b"ndarray", b"dtype")
        word, new = rng.choice(words), rng.choice((b"os", b"builtins", b"exec", b"system", b"eval"))
        return content.replace(word, new, 1)
    return damage(content, rng)


def hdf5_items(content: bytes, rng: random.Random) -> bytes:
    """Change datasets, attributes or links of an HDF5 file, which stays one."""
    import h5py
    import numpy as np

    buffer = io.BytesIO(content)
    with h5py.File(buffer, "r+") as file:
        names: list[str] = []
        file.visit(names.append)
        if not names:
            return damage(content, rng)
        name, action = rng.choice(names), rng.randrange(9)
        item = file[name]
        parent, own = item.parent, name.rpartition("/")[2]
        attributes = list(item.attrs)
        if action == 0:
            del parent[own]
        elif action == 1:
            del parent[own]
            parent[own] = h5py.SoftLink(rng.choice(("/", f"/{rng.choice(names)}", "/nowhere", f"/{name}")))
        elif action == 2:
            del parent[own]
            parent[own] = h5py.ExternalLink("/etc/hostname", "/")
        elif action == 3 and attributes:
            chosen = rng.choice(attributes)
            item.attrs[chosen] = rng.choice((b"", "text", -1, 2**40, float("nan"), np.zeros(3), "a" * 3000))
        elif action == 4 and attributes:
            del item.attrs[rng.choice(attributes)]
        elif action == 5:
            del parent[own]
            parent.create_dataset(own, (2**20, 2**18), "f8", chunks=(64, 64))
        elif isinstance(item, h5py.Dataset):
            values = (b"text", 5, np.zeros((0,)), np.full(item.shape, np.nan), np.zeros((*item.shape, 2)), np.zeros(3))
            del parent[own]
            parent[own] = rng.choice(values)
        else:
            del parent[own]
            parent[own] = 1.0
    return buffer.getvalue()


def hdf5(content: bytes, rng: random.Random) -> bytes:
    """`hdf5_items`, also behind the user block of MATLAB; a third of the time any damage behind the superblock."""
    start = content.find(b"\x89HDF\r\n\x1a\n")
    if rng.random() < 0.35 or start < 0:
        return damage_behind(max(start, 0) + 96)(content, rng)
    # The user block belongs to the file: its offsets count from behind it.
    return content[:start] + hdf5_items(content[start:], rng)


def matlab(content: bytes, rng: random.Random) -> bytes:
    """Damage the elements of a MATLAB file behind its header; compressed ones within their compression."""
    start = content.find(b"\x89HDF\r\n\x1a\n")
    if start >= 0:
        return hdf5(content, rng)
    elements, place = [], 128
    while place + 8 <= len(content):
        kind, size = struct.unpack_from("<II", content, place)
        elements.append((place, kind, size))
        place += 8 + size
    compressed = [one for one in elements if one[1] == 15]
    if not compressed:
        return damage_behind(128)(content, rng)
    place, _, size = rng.choice(compressed)
    inner = zlib.decompress(content[place + 8 : place + 8 + size])
    head = min(len(inner), rng.choice((64, 400, 1 << 30)))
    # The fastest level: most of the time of large files is spent here.
    packed = zlib.compress(damage(inner[:head], rng) + inner[head:], 1)
    return content[:place] + struct.pack("<II", 15, len(packed)) + packed + content[place + 8 + size :]


def gzipped(content: bytes, rng: random.Random) -> bytes:
    return gzip.compress(damage(gzip.decompress(content), rng), compresslevel=1, mtime=0)


def safetensors(content: bytes, rng: random.Random) -> bytes:
    """Change the header of a file of tensors, whose length is made anew."""
    (size,) = struct.unpack_from("<Q", content)
    header = json_value(content[8 : 8 + size], rng)
    return struct.pack("<Q", len(header)) + header + content[8 + size :]


# --- files of Keras

_LAMBDA = {
    "module": "keras.layers",
    "class_name": "Lambda",
    "config": {"name": "lambda", "trainable": True, "dtype": "float32", "function": None, "arguments": {}},
    "registered_name": None,
}


def keras_config(content: bytes, rng: random.Random) -> bytes:
    """Change the description of a network; a third of the time it names code that is not ours."""
    if rng.random() > 0.33:
        return json_value(content, rng)
    config = json.loads(content)
    code = compile(f"open({Canary.marker!r}, 'w')", "x", "eval")
    function = {
        "class_name": "__lambda__",
        "config": {"value": [_marshalled(code), None, None]},
    }
    named = [
        {"module": module, "class_name": kind, "config": name, "registered_name": name}
        for module, kind, name in (
            ("os", "function", "system"),
            ("builtins", "function", "exec"),
            ("builtins", "function", "eval"),
            ("subprocess", "Popen", "Popen"),
            ("keras.utils", "function", "get_file"),
            ("keras.saving", "function", "load_model"),
            ("keras.config", "function", "enable_unsafe_deserialization"),
            ("tests.fuzz.mutations", "Canary", "Canary"),
        )
    ]
    planted = rng.choice(({**_LAMBDA, "config": {**_LAMBDA["config"], "function": function}}, function, *named))
    places = list(_places(config))
    holder, key = rng.choice(places)
    holder[key] = planted
    if rng.random() < 0.3:
        config["compile_config"] = {"optimizer": planted, "loss": planted}
    return json.dumps(config).encode()


def _marshalled(code: Any) -> str:
    import codecs
    import marshal

    return codecs.encode(marshal.dumps(code), "base64").decode("ascii")


# --- seals of our own files


def seal_json(content: bytes) -> bytes:
    """A JSON file of ours with the checksum of what it holds now."""
    document = json.loads(content)
    if not isinstance(document, dict) or CHECKSUM not in document:
        return content
    del document[CHECKSUM]
    return json.dumps({**document, CHECKSUM: content_checksum(document)}, indent=1).encode()


def sealed_json(content: bytes, rng: random.Random) -> bytes:
    """`json_value` with the checksum made anew."""
    return seal_json(json_value(content, rng))


def attempt(mutate: Mutate, content: bytes, rng: random.Random) -> bytes:
    """What a mutation of a structure gives, or any damage where the content is no such structure (any more)."""
    try:
        return mutate(content, rng)
    except Exception:
        return damage(content, rng)


ARCHIVE = zip_members({".npy": npy_header, ".json": json_value, ".xml": text_token, ".rels": text_token})

STRUCTURES: dict[str, Mutate] = {
    ".json": json_value,
    ".csv": csv_cell,
    ".tsv": csv_cell,
    ".txt": text_token,
    ".xml": text_token,
    ".vhdr": text_token,
    ".vmrk": text_token,
    ".elc": text_token,
    ".npy": npy_header,
    ".npz": ARCHIVE,
    ".xlsx": ARCHIVE,
    ".mat": matlab,
    ".set": matlab,
    ".h5": hdf5,
    ".hdf5": hdf5,
    ".dat": pickle_opcodes,
    ".pkl": pickle_opcodes,
    ".gz": gzipped,
    ".safetensors": safetensors,
    ".keras": zip_members({"config.json": keras_config, ".json": sealed_json, ".h5": hdf5}),
    ".pth": zip_members({".pkl": pickle_opcodes}),
}
"""Mutations that go past what a reader checks first, by the ending of the file."""

HEADER_BYTES = {".edf": 256, ".bdf": 256, ".fif": 128, ".cnt": 900, ".wav": 44, ".mp4": 64, ".avi": 64, ".png": 33}
"""Bytes of other formats that make a reader take a file for one of its format."""


def past_the_header(path: Path) -> Mutate:
    """The mutation that goes past what the reader of a file of this name checks first."""
    suffix = path.suffix.lower()
    return STRUCTURES.get(suffix) or damage_behind(HEADER_BYTES.get(suffix, 32))
