"""Saved networks and files of PyTorch: what they declare and name is looked at before they are read."""

import io
import json
import pickle
import struct
import warnings
import zipfile

import h5py
import numpy as np
import pytest

from keras_emotion import models
from keras_emotion.limits import ENVIRONMENT_VARIABLE
from keras_emotion.models.saved_networks import load_network
from keras_emotion.models.weight_files import check_torch_file, finite_floats
from keras_emotion.schema import InputError
from tests.fuzz.mutations import Canary

CONFIG, WEIGHTS = "config.json", "model.weights.h5"


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "small.keras"
    models.DGCNN(n_channels=4).save(path)
    return path


def members(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write(path, content, more=()):
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w") as archive:
        warnings.simplefilter("ignore")
        for name, held in (*content.items(), *more):
            archive.writestr(name, held)
    return path


def test_a_whole_one_is_read(saved):
    assert type(load_network(saved)).__name__ == "DGCNN"


def test_damaged_weights_are_noticed(saved, tmp_path):
    """Keras goes to and fro in the archive, and so the checksum of the weights is never compared."""
    content = bytearray(saved.read_bytes())
    with zipfile.ZipFile(saved) as archive:
        start = archive.getinfo(WEIGHTS).header_offset
    kernel = next(np.asarray(one) for one in load_network(saved).weights if np.ndim(one) == 2 and np.std(one))
    place = content.index(kernel.tobytes()[:16], start)
    content[place] ^= 1
    (tmp_path / "a.keras").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.keras: cannot be read as a saved Keras model \(Bad CRC-32"):
        load_network(tmp_path / "a.keras")


def planted(saved, path, item):
    content = members(saved)
    config = json.loads(content[CONFIG])
    config["config"]["inference"] = {"x": item}
    return write(path, {**content, CONFIG: json.dumps(config)})


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ({"class_name": "Lambda", "module": "keras.layers", "config": {}}, "Lambda, which runs code"),
        ({"class_name": "__lambda__", "config": {"value": "x"}}, "__lambda__, which runs code"),
        ({"class_name": "TFSMLayer", "module": "keras.layers", "config": {}}, "TFSMLayer, which runs code"),
        ({"class_name": "StringLookup", "module": "keras.layers", "config": {}}, "StringLookup, .*opens files"),
        ({"class_name": "function", "module": "os", "config": "system"}, "Could not locate function 'system'"),
        ({"class_name": "function", "module": "keras.utils", "config": "get_file"}, "Could not .* 'get_file'"),
        ({"class_name": "Popen", "module": "subprocess", "config": {}}, "Could not locate class 'Popen'"),
        (json.dumps({"class_name": "Popen", "module": "subprocess", "config": {}}), "Could not locate class 'Popen'"),
    ],
    ids=["Lambda", "function as code", "other runtime", "file", "os.system", "download", "Popen", "in a text"],
)
def test_what_names_code_or_files_is_refused(saved, tmp_path, item, message):
    with pytest.raises(InputError, match=message):
        load_network(planted(saved, tmp_path / "a.keras", item))


def heavy(path):
    """An archive of a few hundred bytes that declares 2 TiB."""
    content = bytearray(write(path, {CONFIG: b"{}", WEIGHTS: b"x"}).read_bytes())
    entry = content.rindex(b"PK\x01\x02")
    extra = struct.pack("<HHQ", 1, 8, 2**41)
    content[entry + 24 : entry + 28] = b"\xff" * 4
    content[entry + 30 : entry + 32] = struct.pack("<H", len(extra))
    end = entry + 46 + len(WEIGHTS)
    content[end:end] = extra
    last = content.rindex(b"PK\x05\x06")
    (size,) = struct.unpack_from("<I", content, last + 12)
    struct.pack_into("<I", content, last + 12, size + len(extra))
    path.write_bytes(content)
    return path


def test_an_archive_of_a_few_bytes_that_declares_terabytes(tmp_path):
    with pytest.raises(InputError, match=r"a\.keras: declares 2048 GiB of content; .*--limit memory_gib=2100$"):
        load_network(heavy(tmp_path / "a.keras"))
    with pytest.raises(InputError, match=r"a\.pth: declares 2048 GiB of arrays; .*--limit memory_gib=2100$"):
        check_torch_file(heavy(tmp_path / "a.pth"))


def hdf5(change):
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        change(file)
    return content.getvalue()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda file: file.create_dataset("x", (2**20, 2**20), "f8", chunks=(64, 64)), "declares 8192 GiB of weights"),
        (lambda file: file.update(x=h5py.ExternalLink("/etc/hostname", "/")), "contain a link"),
        (lambda file: file.update(x=h5py.SoftLink("/")), "contain a link"),
        (lambda file: file.create_dataset("x", (4,), "f4", external=[("/etc/hostname", 0, 16)]), "in other files"),
        (lambda file: file.update(x=file["/"]), "contain a cycle"),
        (lambda file: file.update(x="text"), "not an array of numbers"),
    ],
    ids=["size", "external link", "soft link", "external storage", "cycle", "text"],
)
def test_weights_that_declare_too_much_or_lie_elsewhere(saved, tmp_path, change, message):
    with pytest.raises(InputError, match=message):
        load_network(write(tmp_path / "a.keras", {**members(saved), WEIGHTS: hdf5(change)}))


def test_a_description_of_more_weights_than_memory_is_refused_before_they_are_made(saved, tmp_path, monkeypatch):
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, "memory_gib=0.001")
    content = members(saved)
    config = json.loads(content[CONFIG])
    assert config["config"]["hidden_units"] < 2000
    config["config"]["hidden_units"] = 2**21
    with pytest.raises(InputError, match=r"declares 1.023 GiB of weights; expected at most 0\.001"):
        load_network(write(tmp_path / "a.keras", {**content, CONFIG: json.dumps(config)}))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: {CONFIG: content[CONFIG]}, r"without model\.weights\.h5"),
        (lambda content: {**content, CONFIG: b"[]"}, "does not describe a network"),
        (
            lambda content: {
                **content,
                CONFIG: b'{"class_name": "Dense", "module": "keras.layers", "config": {"units": 1}}',
            },
            "contains a Dense; expected a network",
        ),
    ],
    ids=["no weights", "no object", "a layer"],
)
def test_archives_that_are_no_network(saved, tmp_path, change, message):
    with pytest.raises(InputError, match=message):
        load_network(write(tmp_path / "a.keras", change(members(saved))))


def test_two_members_of_one_name_are_refused(saved, tmp_path):
    with pytest.raises(InputError, match="different names"):
        load_network(write(tmp_path / "a.keras", members(saved), [(CONFIG, b"{}")]))


def test_what_is_no_archive(tmp_path):
    (tmp_path / "a.keras").write_bytes(pickle.dumps(Canary()))
    with pytest.raises(InputError, match=r"not a \.keras archive"):
        load_network(tmp_path / "a.keras")


# --- PyTorch, whose files are looked at without it


def test_files_of_pytorch_that_declare_more_than_they_have(tmp_path):
    path = tmp_path / "a.pth"
    described = pickle.dumps(("storage", "FloatStorage", "0", "cpu", 10**9), protocol=2)
    write(path, {"a/data.pkl": described, "a/data/0": b"1234"})
    with pytest.raises(ValueError, match="declares 1000000000 numbers"):
        check_torch_file(path)
    # Before version 1.6.
    marks = b"".join(pickle.dumps(one, protocol=2) for one in (0x1950A86A20F9469CFC6C, 1001, {"int": 4}))
    path.write_bytes(marks + described)
    with pytest.raises(ValueError, match="declares 1000000000 numbers"):
        check_torch_file(path)
    path.write_bytes(marks + pickle.dumps(("storage", "FloatStorage", "0", "cpu", 2), protocol=2) + bytes(8))
    check_torch_file(path)


def test_a_small_tensor_that_shows_its_numbers_many_times():
    class Expanded:
        def numel(self):
            return 2**40

    with pytest.raises(InputError, match="declares 4096 GiB"):
        finite_floats("a.pth", "x", Expanded())
