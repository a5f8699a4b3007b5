"""Write minimal Office Open XML workbooks (`.xlsx`): one sheet of texts and numbers."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

_NAMESPACE = "http://schemas.openxmlformats.org"
_HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_MAIN_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_OFFICE = f"{_NAMESPACE}/officeDocument/2006/relationships"

_PARTS = {
    "[Content_Types].xml": (
        f'<Types xmlns="{_NAMESPACE}/package/2006/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{_MAIN_TYPE}.sheet.main+xml"/>'
        f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{_MAIN_TYPE}.worksheet+xml"/>'
        f'<Override PartName="/xl/sharedStrings.xml" ContentType="{_MAIN_TYPE}.sharedStrings+xml"/></Types>'
    ),
    "_rels/.rels": (
        f'<Relationships xmlns="{_NAMESPACE}/package/2006/relationships">'
        f'<Relationship Id="rId1" Type="{_OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>'
    ),
    "xl/workbook.xml": (
        f'<workbook xmlns="{_NAMESPACE}/spreadsheetml/2006/main" xmlns:r="{_OFFICE}">'
        '<sheets><sheet name="Sheet1" sheetId="1" r:id="rId1"/></sheets></workbook>'
    ),
    "xl/_rels/workbook.xml.rels": (
        f'<Relationships xmlns="{_NAMESPACE}/package/2006/relationships">'
        f'<Relationship Id="rId1" Type="{_OFFICE}/worksheet" Target="worksheets/sheet1.xml"/>'
        f'<Relationship Id="rId2" Type="{_OFFICE}/sharedStrings" Target="sharedStrings.xml"/></Relationships>'
    ),
}


def write_workbook(path: Path, rows: Sequence[Sequence[str | float]]) -> None:
    """Write rows of texts and numbers as a workbook of one sheet, with at most 26 columns, byte-reproducible."""
    texts = list(dict.fromkeys(cell for row in rows for cell in row if isinstance(cell, str)))
    place = {text: index for index, text in enumerate(texts)}

    def xml_of(cell: str | float, reference: str) -> str:
        if isinstance(cell, str):
            return f'<c r="{reference}" t="s"><v>{place[cell]}</v></c>'
        return f'<c r="{reference}"><v>{cell:g}</v></c>'

    lines = [
        f'<row r="{number}">' + "".join(xml_of(cell, f"{chr(65 + column)}{number}") for column, cell in enumerate(row))
        for number, row in enumerate(rows, 1)
    ]
    main = f'xmlns="{_NAMESPACE}/spreadsheetml/2006/main"'
    sheet = f"<worksheet {main}><sheetData>{''.join(f'{line}</row>' for line in lines)}</sheetData></worksheet>"
    items = "".join(f"<si><t>{escape(text)}</t></si>" for text in texts)
    shared = f'<sst {main} uniqueCount="{len(texts)}">{items}</sst>'
    parts = _PARTS | {"xl/worksheets/sheet1.xml": sheet, "xl/sharedStrings.xml": shared}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            # A `ZipInfo` created this way has the date 1980-01-01.
            archive.writestr(zipfile.ZipInfo(name), _HEAD + content, zipfile.ZIP_DEFLATED)
