"""Recordings whose structure leads nowhere or declares too much are refused before another package reads them."""

import gzip
import json
import re
import struct
import zlib

import h5py
import numpy as np
import pytest
import scipy.io

from keras_emotion.array_files import open_hdf5
from keras_emotion.datasets.electrodes import CHANNEL_FILE, ChannelTable
from keras_emotion.datasets.file_lists import units_in_bids
from keras_emotion.datasets.matlab import read_variables, variable_shapes
from keras_emotion.datasets.recording_files import open_recording
from keras_emotion.datasets.seed_v import SEEDV
from keras_emotion.limits import ENVIRONMENT_VARIABLE
from keras_emotion.schema import InputError
from tests.datasets.written_files import write_array, write_edf, write_gdf
from tests.fuzz.formats_of_recordings import signals, write_fif, write_xdf


def opened(path):
    return open_recording(path, path.parent, ChannelTable(path.parent / CHANNEL_FILE), any_names=True)


def refused(path, message):
    with pytest.raises(InputError, match=re.escape(str(path)) + ".*" + message):
        opened(path)


@pytest.mark.parametrize("name", ["a_raw.fif", "a_raw.fif.gz"])
def test_tags_of_fif_that_lead_back(tmp_path, name):
    path = tmp_path / name
    write_fif(tmp_path, name)
    opened(path)
    content = path.read_bytes()
    content = bytearray(gzip.decompress(content) if name.endswith(".gz") else content)
    # The second tag, whose next one is itself; MNE goes from tag to tag where there is no directory at the end.
    second = 16 + struct.unpack_from(">i", content, 8)[0]
    struct.pack_into(">i", content, second + 12, second)
    struct.pack_into(">i", content, second + 16, -1)
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    refused(path, f"the tag at byte {second} refers back to byte {second}")


def test_a_small_compressed_fif_of_gigabytes(tmp_path, monkeypatch):
    path = tmp_path / "a_raw.fif.gz"
    path.write_bytes(gzip.compress(bytes(2**22)))
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, "memory_gib=0.001")
    refused(path, r"declares 0\.0019\d+ GiB of unpacked content; .*--limit memory_gib=")


def test_channels_of_fif_of_no_kind(tmp_path):
    path = tmp_path / "a_raw.fif"
    write_fif(tmp_path, path.name)
    content = path.read_bytes()
    # Scan number, number, kind: that of EEG is 2.
    changed = content.replace(struct.pack(">iii", 1, 1, 2), struct.pack(">iii", 1, 1, -1))
    assert changed != content
    path.write_bytes(changed)
    refused(path, "Unknown channel type")


def test_events_of_gdf_that_are_not_there(tmp_path):
    path = write_gdf(tmp_path / "a.gdf", signals())
    opened(path)
    content = path.read_bytes()
    path.write_bytes(content[:-8] + struct.pack("<B", 3) + b"\xff\xff\xff" + content[-4:])
    refused(path, "16777215 events in 0 bytes")
    path.write_bytes(content[:236] + struct.pack("<q", 2**40) + content[244:])
    refused(path, f"{2**40} records of 1024 bytes")


def test_samples_of_xdf_that_are_not_there(tmp_path):
    path = tmp_path / "a.xdf"
    write_xdf(tmp_path)
    opened(path)
    content = path.read_bytes()
    # Tag and stream, then the length of the number of samples, and this.
    place = content.index(struct.pack("<HI", 3, 1)) + 6
    assert content[place : place + 2] == b"\x01\x40"
    longer = content[: place - 10] + struct.pack("<I", struct.unpack_from("<I", content, place - 10)[0] + 3)
    path.write_bytes(longer + content[place - 6 : place] + b"\x04" + struct.pack("<I", 2**31) + content[place + 2 :])
    refused(path, f"a chunk declares {2**31} samples")


@pytest.mark.parametrize("count", [2**31, 2**64 - 1])
def test_channels_of_xdf_that_are_not_there(tmp_path, count):
    path = tmp_path / "a.xdf"
    write_xdf(tmp_path)
    content = path.read_bytes()
    start = content.index(b"<?xml", content.index(b"<?xml") + 1)
    place = start - 10
    (length,) = struct.unpack_from("<I", content, place)
    header = content[start : place + 4 + length]
    other = header.replace(b"<channel_count>4<", f"<channel_count>{count}<".encode())
    longer = struct.pack("<I", length + len(other) - len(header)) + content[place + 4 : start]
    path.write_bytes(content[:place] + longer + other + content[place + 4 + length :])
    refused(path, "a chunk declares 64 samples")


def test_axes_that_are_the_same(tmp_path):
    path = write_array(tmp_path / "a.npy", signals())
    sidecar = json.loads(path.with_suffix(".json").read_text())
    path.with_suffix(".json").write_text(json.dumps({**sidecar, "axes": ["samples", "samples"]}))
    refused(path, "axes are samples and samples; expected channels and samples")


def test_a_table_of_bids_that_is_no_text(tmp_path):
    (tmp_path / "dataset_description.json").write_text("{}")
    table = tmp_path / "sub-01_channels.tsv"
    table.write_bytes(b"name\tunits\nFz\t\xb5V\n")
    with pytest.raises(InputError, match=r"sub-01_channels\.tsv: cannot be read \('utf-8' codec"):
        units_in_bids(tmp_path / "sub-01_eeg.edf", tmp_path)


@pytest.mark.parametrize(
    "plant",
    [
        lambda file: file.update(x=h5py.ExternalLink("other.h5", "/x")),
        lambda file: file.update(x=h5py.SoftLink("/y")),
        lambda file: file.create_dataset("x", (4,), "f4", external=[("other.bin", 0, 16)]),
    ],
    ids=["external link", "soft link", "external storage"],
)
def test_hdf5_that_leads_elsewhere(tmp_path, plant):
    with h5py.File(tmp_path / "a.mat", "w", userblock_size=512) as file:
        file["y"] = np.zeros((2, 3))
        plant(file)
    with pytest.raises(InputError, match=r"a\.mat: damaged or truncated MATLAB file \(.*x"):
        read_variables(tmp_path / "a.mat", ("x",))


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (struct.pack("<5i", 0, 2, 3, 0, 2**30) + b"x\0" + bytes(48), "a variable that ends at byte"),
        (struct.pack("<5i", 0, 2, 4, 0, 2) + b"x\0" + bytes(48), "ends at byte"),
        (struct.pack("<5i", 90, 2, 3, 0, 2) + b"x\0" + bytes(48), "a variable of type 90"),
        (struct.pack("<5i", 0, 2**20, 2**20, 0, 2) + b"x\0", "declares 8192 GiB"),
    ],
    ids=["name", "numbers", "type", "size"],
)
def test_version_4_of_matlab_that_declares_what_is_not_there(tmp_path, body, told):
    path = tmp_path / "a.mat"
    path.write_bytes(struct.pack("<5i", 0, 2, 3, 0, 2) + b"x\0" + bytes(48))
    assert read_variables(path, ("x",))["x"].shape == (2, 3)
    assert variable_shapes(path) == {"x": (2, 3)}
    path.write_bytes(body)
    for read in (lambda: read_variables(path, ("x",)), lambda: variable_shapes(path)):
        with pytest.raises(InputError, match=told):
            read()


@pytest.mark.parametrize("compressed", [True, False])
def test_numbers_of_matlab_of_no_type(tmp_path, compressed):
    """SciPy looks the type up beyond the end of its table, and may end the process."""
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"x": np.arange(6.0).reshape(2, 3)}, do_compression=compressed)
    content = path.read_bytes()
    body = zlib.decompress(content[136:]) if compressed else content[128:]
    tag = struct.pack("<II", 9, 48)
    for other, told in ((struct.pack("<II", 9 + 2**15, 48), "type 32777"), (struct.pack("<II", 9, 40), "in 40 bytes")):
        changed = body.replace(tag, other)
        assert changed != body
        packed = zlib.compress(changed)
        path.write_bytes(content[:128] + (struct.pack("<II", 15, len(packed)) + packed if compressed else changed))
        with pytest.raises(InputError, match=f"numbers of {told}|numbers of type 9 {told}"):
            read_variables(path, ("x",))


@pytest.mark.parametrize(
    ("stated", "told"),
    [
        ({"n_sessions": "1"}, "`n_sessions` is '1'"),
        ({"n_sessions": True}, "`n_sessions` is True"),
        ({"n_sessions": 9}, "`n_sessions` is 9"),
        ({"n_sessions": 1, "clip_spans": [[[1, 2]]]}, "`clip_spans` is"),
        ({"n_sessions": 1, "clip_spans": [[[1, "a"]] * 15]}, "`clip_spans` is"),
        ({"n_sessions": 1, "clip_spans": 4}, "`clip_spans` is 4"),
    ],
)
def test_what_a_synthetic_copy_cannot_state(tmp_path, stated, told):
    (tmp_path / "synthetic.json").write_text(json.dumps({"dataset": "seed_v", **stated}))
    with pytest.raises(InputError, match=rf"synthetic\.json: {told}.*; write the synthetic data again"):
        SEEDV(tmp_path)


def test_a_heap_of_hdf5_that_its_library_would_go_round_in(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.attrs["names"] = np.array(["one", "two"], h5py.string_dtype())
    with open_hdf5(path) as file:
        assert list(file.attrs["names"]) == ["one", "two"]
    content = path.read_bytes()
    heap = content.index(b"GCOL")
    # An object that is called free space, of no length.
    path.write_bytes(content[: heap + 16] + bytes(16) + content[heap + 32 :])
    with pytest.raises(OSError, match=f"an object of 0 bytes in the heap at byte {heap}"):
        open_hdf5(path)


@pytest.mark.parametrize("name", ["a.edf", "a.bdf"])
def test_rates_below_zero(tmp_path, name):
    """MNE takes negative numbers of an EDF header as they are."""
    path = tmp_path / name
    write_edf(path, signals())
    opened(path)
    content = path.read_bytes()
    n_channels = int(content[252:256])
    place = 256 + 216 * n_channels + 8 * (n_channels - 1)
    path.write_bytes(content[:place] + b"-21     " + content[place + 8 :])
    refused(path, "channel .* has -21 samples per record; expected a positive number")
    path.write_bytes(content[:244] + b"-1      " + content[252:])
    refused(path, "sampling rate of -.* Hz; expected a positive number")
