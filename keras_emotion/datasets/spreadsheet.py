"""Office Open XML workbooks (`.xlsx`) as datasets bring them along: the values of the first sheet, nothing else."""

from __future__ import annotations

import posixpath
import re
import xml.etree.ElementTree as ElementTree
import zipfile
import zlib
from pathlib import Path

from keras_emotion.schema import InputError

Cell = str | float | bool | None

_MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_RELATION = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
_REFERENCE = re.compile(r"([A-Z]{1,3})\d+")
_MOST_COLUMNS = 16_384
"""Columns of a sheet, by the standard."""


def read_first_sheet(path: Path) -> list[list[Cell]]:
    """Read the values of the first sheet of a workbook, row by row.

    Formulas give the value that was stored with them; dates are the numbers that they are stored as. Empty rows are
    left out.

    Args:
        path: the `.xlsx` file.

    Returns:
        Rows of cells, each as long as its last cell; `None` for an empty cell.

    Raises:
        InputError: the file is missing, damaged or no workbook.

    References:
        ECMA-376, Office Open XML file formats, part 1: 18.3 (worksheets), 18.4 (shared strings).
    """
    try:
        with zipfile.ZipFile(path) as archive:
            shared = _shared_strings(archive)
            sheet = ElementTree.fromstring(archive.read(_first_sheet(archive)))
            return [cells for row in sheet.iter(f"{_MAIN}row") if (cells := _cells(row, shared))]
    except (
        OSError,
        EOFError,
        KeyError,
        IndexError,
        ValueError,
        RuntimeError,
        zipfile.BadZipFile,
        zlib.error,
        ElementTree.ParseError,
    ) as error:
        raise InputError(f"{path}: damaged, or no .xlsx workbook ({error}); copy it again") from None


def _first_sheet(archive: zipfile.ZipFile) -> str:
    """Name of the member that holds the first sheet."""
    workbook = ElementTree.fromstring(archive.read("xl/workbook.xml"))
    sheet = workbook.find(f"{_MAIN}sheets/{_MAIN}sheet")
    if sheet is None:
        raise ValueError("no sheet")
    relations = ElementTree.fromstring(archive.read("xl/_rels/workbook.xml.rels"))
    targets = {relation.get("Id"): relation.get("Target", "") for relation in relations}
    return posixpath.join("xl", targets[sheet.get(_RELATION)]).lstrip("/")


def _shared_strings(archive: zipfile.ZipFile) -> list[str]:
    if "xl/sharedStrings.xml" not in archive.namelist():
        return []
    return [_text(item) for item in ElementTree.fromstring(archive.read("xl/sharedStrings.xml"))]


def _text(item: ElementTree.Element) -> str:
    """Text of a string, whose parts may have fonts of their own; without phonetic hints."""
    runs = [item, *item.findall(f"{_MAIN}r")]
    return "".join(text.text or "" for run in runs for text in run.findall(f"{_MAIN}t"))


def _cells(row: ElementTree.Element, shared: list[str]) -> list[Cell]:
    cells: list[Cell] = []
    for cell in row.findall(f"{_MAIN}c"):
        match = _REFERENCE.fullmatch(cell.get("r", ""))
        # A cell without a reference follows the one before it.
        column = _column(match[1]) if match else len(cells)
        if not len(cells) <= column < _MOST_COLUMNS:
            raise ValueError(f"cell {cell.get('r')} is out of order")
        cells += [None] * (column - len(cells)) + [_value(cell, shared)]
    while cells and cells[-1] is None:
        del cells[-1]
    return cells


def _column(letters: str) -> int:
    column = 0
    for letter in letters:
        column = 26 * column + ord(letter) - ord("A") + 1
    return column - 1


def _value(cell: ElementTree.Element, shared: list[str]) -> Cell:
    kind = cell.get("t", "n")
    inline = cell.find(f"{_MAIN}is")
    if kind == "inlineStr":
        return None if inline is None else _text(inline)
    text = cell.findtext(f"{_MAIN}v")
    if text is None:
        return None
    if kind == "s":
        return shared[int(text)]
    if kind == "b":
        return text.strip() == "1"
    return float(text) if kind == "n" else text
