"""Read the first sheet of Excel workbooks (`.xlsx`)."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

from keras_emotion.limits import check_archive
from keras_emotion.refusals import refusing_unreadable


def read_first_sheet(path: Path) -> list[list[object]]:
    """Read the values of the first sheet of a workbook, row by row.

    Formulas are read as their stored values. Empty rows, and empty cells at the end of a row, are left out.

    Args:
        path: the `.xlsx` file.

    Returns:
        Rows of cells: text, numbers, `None` for an empty cell.

    Raises:
        InputError: the file is missing, damaged or not a workbook.
    """
    # Imported here, because few datasets need it.
    import openpyxl

    with refusing_unreadable(path, "{path}: damaged .xlsx workbook ({reason}); copy it again"):
        # A workbook is an archive of XML files.
        with zipfile.ZipFile(path) as archive:
            check_archive(path, archive, "XML")
        workbook = openpyxl.load_workbook(path, read_only=True, data_only=True)
        rows: list[list[Any]] = [list(row) for row in workbook.worksheets[0].iter_rows(values_only=True)]
        workbook.close()
    for row in rows:
        while row and row[-1] is None:
            del row[-1]
    return [row for row in rows if row]
