"""Declared sizes are checked before memory is allocated, and errors name the option of the limit."""

import io
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from keras_emotion.array_files import npz_shape, parse_npy, read_npz, save_array
from keras_emotion.datasets.matlab import read_variables
from keras_emotion.datasets.spreadsheet import read_first_sheet
from keras_emotion.json_files import read_user_json
from keras_emotion.limits import ENVIRONMENT_VARIABLE, check_video, current_limits, set_limits
from keras_emotion.media_files import check_picture_file
from keras_emotion.schema import InputError
from keras_emotion.tables import read_cells, read_table


@pytest.fixture(autouse=True)
def own_limits(monkeypatch):
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, "")


def npy_header(shape):
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return file.getvalue()


def test_an_archive_that_declares_more_than_memory_is_refused_and_what_is_not_read_does_not_count(tmp_path):
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("huge.npy", npy_header((40_000, 40_000)))
        archive.writestr("small.npy", npy_header((2,)) + b"\0" * 8)
    with pytest.raises(InputError, match=r"a.npz: declares 5.96 GiB of arrays; expected at most 4; .*memory_gib=6$"):
        read_npz(path)
    assert read_npz(path, ("small", "gone")).keys() == {"small"}
    assert npz_shape(path, "huge") == (40_000, 40_000)
    set_limits(["memory_gib=6"])
    # It is within the limit now, and found to be truncated.
    with pytest.raises(InputError, match=r"expected an \.npz file"):
        read_npz(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (npy_header((10**9,)), "declares shape"),
        (npy_header((3,)).replace(b"(3,)", b"(3, "), r"invalid \.npy header"),
        (b"\x93NUMPY\x01\x00\xff\xff(", r"invalid \.npy header"),
        (b"", r"invalid \.npy header"),
    ],
)
def test_a_header_alone_allocates_nothing(content, message):
    with pytest.raises(ValueError, match=message):
        parse_npy(content)


@pytest.mark.parametrize("order", ["<", ">"])
def test_text_that_is_no_text(tmp_path, order):
    """NumPy stores text as numbers of Unicode characters; Python fails on each item with another number."""
    file = io.BytesIO()
    np.save(file, np.array(["ab", "cd"], f"{order}U2"))
    assert parse_npy(file.getvalue()).tolist() == ["ab", "cd"]
    beyond = file.getvalue()[:-4] + struct.pack(f"{order}I", 0x110000)
    with pytest.raises(ValueError, match="text with invalid characters"):
        parse_npy(beyond)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("names.npy", beyond)
    with pytest.raises(InputError, match="`names`: text with invalid characters"):
        read_npz(tmp_path / "a.npz")


def test_a_small_compressed_matlab_file_of_gigabytes(tmp_path):
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"x": np.zeros((2, 3)), "y": np.ones((1, 1))})
    content = path.read_bytes()
    place = content.index(struct.pack("<ii", 2, 3))
    body = content[128:place] + struct.pack("<ii", 40_000, 40_000) + content[place + 8 :]
    first = 8 + struct.unpack("<I", body[4:8])[0]
    packed = zlib.compress(body[:first])
    path.write_bytes(content[:128] + struct.pack("<II", 15, len(packed)) + packed + body[first:])
    with pytest.raises(InputError, match=r"declares 11.92 GiB of arrays; .*--limit memory_gib=12$"):
        read_variables(path, ("x",))
    assert read_variables(path, ("y",))["y"] == 1


def png_header(width, height):
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))


def test_a_picture_of_a_gigapixel(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(png_header(30_000, 30_000))
    message = r"a.png: is a picture of 30000 x 30000 pixels, 900 megapixels; .*--limit picture_megapixels=900$"
    with pytest.raises(InputError, match=message):
        check_picture_file(path)
    set_limits(["picture_megapixels=900"])
    check_picture_file(path)
    path.write_bytes(b"no picture")
    check_picture_file(path)


def test_a_jpeg_has_the_same_limit(tmp_path):
    import PIL.Image

    path = tmp_path / "a.jpg"
    PIL.Image.new("L", (200, 100)).save(path)
    check_picture_file(path)
    set_limits(["picture_megapixels=0.01"])
    with pytest.raises(InputError, match=r"200 x 100 pixels, 0\.02 megapixels"):
        check_picture_file(path)


@pytest.mark.parametrize("read", [read_cells, lambda path: read_table(path, {}), read_user_json])
def test_a_table_has_a_largest_size(read, tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("a\n" + "1\n" * 1024)
    set_limits(["table_mib=0.001"])
    with pytest.raises(
        InputError, match=r"a.csv: has 0.0019\d+ MiB; expected at most 0.001; .*--limit table_mib=0.002"
    ):
        read(path)


@pytest.mark.parametrize("read", [read_cells, lambda path: read_table(path, {})])
def test_a_table_of_one_long_line(read, tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"a," * 2**19)
    with pytest.raises(InputError, match="its first line has more than 1 MiB; expected the names of columns"):
        read(path)


def test_a_workbook_that_unpacks_to_gigabytes(tmp_path):
    path = tmp_path / "a.xlsx"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet1.xml", bytes(2**20))
    set_limits(["memory_gib=0.0005"])
    with pytest.raises(InputError, match=r"of XML; expected at most 0\.0005"):
        read_first_sheet(path)


def test_an_archive_whose_compressed_members_are_larger_than_it_is(tmp_path):
    path = tmp_path / "a.xlsx"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet1.xml", bytes(100))
    content = bytearray(path.read_bytes())
    struct.pack_into("<I", content, content.index(b"PK\x01\x02") + 20, 2**31)
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"declare 2,147,483,648 compressed bytes, but the file has \d+\)"):
        read_first_sheet(path)


def test_a_video_of_years():
    with pytest.raises(
        InputError, match=r"a.mp4: declares a duration of 1.111e\+04 hours; .*--limit video_hours=12000$"
    ):
        check_video("a.mp4", 1e9 / 25)
    check_video("a.mp4", 3600)


@pytest.mark.parametrize("word", ["memory_gib", "memory_gib=x", "memory_gib=0", "memory_gib=nan", "memory=3", "=3"])
def test_what_is_no_limit(word):
    with pytest.raises(InputError, match=r"^--limit .*: expected a number above 0 for one of memory_gib, "):
        set_limits([word])
    assert current_limits().memory_gib == 4


def test_later_limits_go_before_earlier_ones():
    set_limits(["memory_gib=5", "table_mib=7"])
    set_limits(["memory_gib=6"])
    assert (current_limits().memory_gib, current_limits().table_mib) == (6, 7)


@pytest.mark.parametrize(
    "array",
    [np.arange(24.0).reshape(2, 3, 4), np.asfortranarray(np.eye(3)), np.zeros((0, 2)), np.array(1), np.array(["é"])],
    ids=lambda array: f"{array.dtype.kind}{array.shape}",
)
def test_a_saved_array_is_read_again(array, tmp_path):
    save_array(tmp_path / "a.npy", array)
    read = np.load(tmp_path / "a.npy")
    np.testing.assert_array_equal(read, array)
    assert (read.dtype, read.shape) == (array.dtype, array.shape)


def test_a_full_disk_is_named_where_an_array_is_written():
    with pytest.raises(OSError, match="No space left on device"):
        save_array(Path("/dev/full"), np.zeros(10_000))
