"""First sheets of workbooks."""

import zipfile

import openpyxl
import pytest

from keras_emotion.datasets.spreadsheet import read_first_sheet
from keras_emotion.schema import InputError
from keras_emotion.synthetic.workbook import write_workbook


@pytest.fixture
def path(tmp_path):
    workbook = openpyxl.Workbook()
    sheet = workbook.active
    for row in (["plain", None, "b & <c>", None], [], [None, 2.5, True, 7]):
        sheet.append(row)
    workbook.create_sheet("second").append(["other"])
    workbook.save(tmp_path / "a.xlsx")
    return tmp_path / "a.xlsx"


def test_cells(path):
    assert read_first_sheet(path) == [["plain", None, "b & <c>"], [None, 2.5, True, 7]]


def test_what_the_writer_writes(tmp_path):
    rows = [["a", "b & <c>"], [1, "a", 0.25], ["d"]]
    write_workbook(tmp_path / "a.xlsx", rows)
    assert read_first_sheet(tmp_path / "a.xlsx") == rows


@pytest.mark.parametrize("damage", ["empty", "half", "text", "archive", "sheet", "missing"])
def test_damaged_workbooks(path, damage):
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    elif damage in ("archive", "sheet"):
        with zipfile.ZipFile(path) as archive:
            parts = {name: archive.read(name) for name in archive.namelist()}
        if damage == "archive":
            parts = {"a.txt": b"Name,Label"}
        else:
            parts["xl/worksheets/sheet1.xml"] = parts["xl/worksheets/sheet1.xml"][:-40]
        with zipfile.ZipFile(path, "w") as archive:
            for name, part in parts.items():
                archive.writestr(name, part)
    else:
        path.write_bytes({"empty": b"", "half": content[: len(content) // 2], "text": b"Name,Label\n"}[damage])
    with pytest.raises(InputError, match=r"a\.xlsx: damaged \.xlsx workbook \(.*\); copy it again"):
        read_first_sheet(path)
