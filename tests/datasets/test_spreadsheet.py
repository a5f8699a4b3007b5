"""Workbooks by their first sheet, in the ways in which programs write cells."""

import zipfile

import pytest

from keras_emotion.datasets.spreadsheet import read_first_sheet
from keras_emotion.schema import InputError
from keras_emotion.synthetic.workbook import write_workbook

MAIN = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PARTS = {
    "xl/workbook.xml": f'<workbook {MAIN} xmlns:r="{RELATIONS}"><sheets><sheet name="second" r:id="b"/>'
    '<sheet name="first" r:id="a"/></sheets></workbook>',
    "xl/_rels/workbook.xml.rels": '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    '<Relationship Id="a" Target="worksheets/sheet1.xml"/><Relationship Id="b" Target="/xl/worksheets/sheet2.xml"/>'
    "</Relationships>",
    "xl/sharedStrings.xml": f"<sst {MAIN}><si><t>plain</t></si>"
    "<si><r><t>rich </t></r><r><rPr/><t>text</t></r><rPh><t>hint</t></rPh></si></sst>",
    "xl/worksheets/sheet1.xml": f"<worksheet {MAIN}><sheetData/></worksheet>",
}
ROWS = """
    <row r="1"><c r="A1" t="s"><v>0</v></c><c r="C1" t="s"><v>1</v></c></row>
    <row r="2"/>
    <row r="3"><c r="B3"><v>2.5</v></c><c r="C3" t="b"><v>1</v></c><c r="D3" t="str"><f>A1</f><v>of a formula</v></c>
        <c r="E3" s="1"/></row>
    <row><c t="inlineStr"><is><t>inline</t></is></c><c><v>-1e2</v></c><c r="AB4" t="e"><v>#N/A</v></c></row>
"""


def workbook(path, rows=ROWS, **changes):
    sheet = f"<worksheet {MAIN}><sheetData>{rows}</sheetData></worksheet>"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in (PARTS | {"xl/worksheets/sheet2.xml": sheet} | changes).items():
            if content is not None:
                archive.writestr(name, content)
    return path


def test_cells(tmp_path):
    assert read_first_sheet(workbook(tmp_path / "a.xlsx")) == [
        ["plain", None, "rich text"],
        [None, 2.5, True, "of a formula"],
        ["inline", -100.0, *[None] * 25, "#N/A"],
    ]


def test_what_the_writer_writes(tmp_path):
    rows = [["a", "b & <c>"], [1, "a", 0.25], ["d"]]
    write_workbook(tmp_path / "a.xlsx", rows)
    assert read_first_sheet(tmp_path / "a.xlsx") == rows


@pytest.mark.parametrize(
    "changes",
    [
        {"xl/workbook.xml": None},
        {"xl/workbook.xml": f"<workbook {MAIN}/>"},
        {"xl/_rels/workbook.xml.rels": "<Relationships/>"},
        {"xl/sharedStrings.xml": None},
        {"xl/worksheets/sheet2.xml": "<worksheet"},
        {"rows": '<row><c r="B1"/><c r="A1"/></row>'},
        {"rows": '<row><c r="XFE1"/></row>'},
        {"rows": "<row><c><v>text</v></c></row>"},
    ],
    ids=str,
)
def test_damaged_workbooks(tmp_path, changes):
    path = workbook(tmp_path / "a.xlsx", **changes)
    with pytest.raises(InputError, match=r"a\.xlsx: damaged, or no \.xlsx workbook \(.*\); copy it again"):
        read_first_sheet(path)


def test_no_workbooks(tmp_path):
    path = workbook(tmp_path / "a.xlsx")
    content = path.read_bytes()
    for damaged in (b"", content[: len(content) // 2], b"Name,Label\n"):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=r"a\.xlsx: damaged, or no \.xlsx workbook"):
            read_first_sheet(path)
    with pytest.raises(InputError, match=r"b\.xlsx: damaged"):
        read_first_sheet(tmp_path / "b.xlsx")
