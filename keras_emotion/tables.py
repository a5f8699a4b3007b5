"""Read and write the csv files of this package with typed columns and exact values.

Text stays unchanged: a participant may be called `NA`, `01` or `1e5`. An empty cell is a missing value in a numeric
column and an empty string in a text column. Tables of the user are read cell by cell, as text.
"""

from __future__ import annotations

import contextlib
import csv
import fnmatch
import io
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from keras_emotion.limits import check_table
from keras_emotion.refusals import refuse_special_file, refusing_unreadable
from keras_emotion.schema import InputError
from keras_emotion.visible_text import has_control_characters, visible

Kind = Literal["text", "integer", "number", "flag"]
"""Type of a column: `"number"` is float64, NaN if the cell is empty; the other types allow no missing values."""

_DTYPES: dict[Kind, type | str] = {"text": str, "integer": "int64", "number": "float64", "flag": bool}
_PATTERNS = {"integer": r"[-+]?\d+", "flag": "True|False"}
_EXPECTED: dict[Kind, str] = {"integer": "an integer", "flag": "True or False", "number": "a number or an empty cell"}

# A lone surrogate is not a character, but file names may contain one; it is written and read unchanged.
_ENCODING_ERRORS = "surrogatepass"

# From 3.1 on pandas reads every number exactly, and warns if the option is given.
_EXACTLY = {} if tuple(map(int, pd.__version__.split(".")[:2])) >= (3, 1) else {"float_precision": "round_trip"}


_LONGEST_HEADING = 2**20
"""Upper limit on the size of a header line in bytes."""

_FORMULA = re.compile(r"'*[=+\-@\t\r]")
"""Start of a cell that a spreadsheet runs as a formula, after any number of apostrophes."""


_LIKE_AN_ESCAPE = re.compile(r"\\[xu\\]")
_ESCAPE = re.compile(r"\\(\\|x[0-9a-f]{2}|u[0-9a-f]{4})")


def csv_bytes(table: pd.DataFrame, float_format: str | None = None) -> bytes:
    """Serialise a table as csv: UTF-8, one line per row, numbers with all digits, no index.

    A text that a spreadsheet would run as a formula (`=1+1`, `@sum`, `-x`) gets an apostrophe in front, which
    `read_table` and `read_cells` remove. Control characters in column names are written as escapes, which `read_table`
    decodes.

    Args:
        table: columns of strings, integers, floats or booleans; a missing number becomes an empty cell.
        float_format: format of numbers for human readers (`"%.6g"`); by default numbers are read back exactly.
    """
    table = table.rename(columns=lambda name: _to_cell(_to_heading(str(name))))
    for place, dtype in enumerate(table.dtypes):
        if dtype.kind in "biufc":
            continue
        column = table.iloc[:, place]
        # Long tables repeat the same few subjects.
        changed = {text: cell for text in column.unique() if (cell := _to_cell(text)) is not text}
        if changed:
            table.isetitem(place, column.map(lambda text, changed=changed: changed.get(text, text)))
    text = table.to_csv(index=False, lineterminator="\n", float_format=float_format)
    if "\r" in text:
        # A carriage return ends a line for csv readers; pandas quotes a text that contains one only if it quotes all
        # texts.
        text = table.to_csv(index=False, lineterminator="\n", float_format=float_format, quoting=csv.QUOTE_NONNUMERIC)
    return text.encode(errors=_ENCODING_ERRORS)


def read_table(path: Path, kinds: Mapping[str, Kind], required: Iterable[str] = ()) -> pd.DataFrame:
    """Read a csv file that `csv_bytes` wrote.

    Args:
        path: the file.
        kinds: type of each column, by its name or by a name pattern (`probability_*`); columns without an entry hold
            text.
        required: columns that the file must have.

    Returns:
        The columns in the order of the file.

    Raises:
        InputError: the file is missing or damaged: it is not csv, is truncated, lacks a column, or a cell does not have
            the type of its column.
    """
    return parse_table(read_csv_file(path), path, kinds, required)


def read_csv_file(path: Path) -> bytes:
    """Return the bytes of a csv file, for `parse_table`.

    Raises:
        InputError: there is no such file, or it cannot be read.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file")
    with reading_csv(path, "{path}: cannot be read: {reason}"):
        return path.read_bytes()


def parse_table(content: bytes, path: Path, kinds: Mapping[str, Kind], required: Iterable[str] = ()) -> pd.DataFrame:
    """Parse the content of a csv file as `read_table` does; `path` is for messages."""
    with refusing_unreadable(path, "{path}: damaged ({reason})"):
        text = content.decode("utf-8-sig", _ENCODING_ERRORS)
        names = [_from_heading(_from_cell(name)) for name in next(csv.reader(io.StringIO(text, newline="")), [])]
        if missing := [name for name in required if name not in names]:
            # A file that is not csv at all raises that error first.
            _parsed(text, names, dict.fromkeys(names, "text"))
            raise InputError(f"{path}: missing column {', '.join(missing)}")
        kind_of = {name: _kind_of(name, kinds) for name in names}
        try:
            table = _parsed(text, names, kind_of)
        except pd.errors.ParserError:
            raise
        except ValueError:
            _refuse_other_kinds(_parsed(text, names, dict.fromkeys(names, "text")), path, kinds, kind_of)
            raise
        if line := _line_of_other_width(text, len(names)):
            raise ValueError(f"line {line} does not have the {len(names)} cells of the first line")
        if not text.endswith("\n"):
            raise ValueError("truncated in its last line")
    if "'" in text:
        # By position: two column names may be equal after unescaping.
        for place, name in enumerate(names):
            if kind_of[name] == "text":
                table.isetitem(place, table.iloc[:, place].map(_from_cell))
    return table


def read_text_table(path: Path, **options: Any) -> pd.DataFrame:
    """`pandas.read_csv`, which takes the first column for names of rows where lines have more cells than the first.

    Args:
        path: the file.
        options: of `pandas.read_csv`.

    Raises:
        ValueError: lines have more cells than the first.
        Exception: whatever pandas raises; see `reading_csv`.
    """
    table = pd.read_csv(path, **options)
    if not isinstance(table.index, pd.RangeIndex):
        raise ValueError("lines have more cells than the first")
    # pandas makes Python integers of numbers with hundreds of digits, which no conversion to float accepts.
    for name in filter(lambda name: pd.api.types.is_object_dtype(table[name]), table.columns):
        table[name] = table[name].map(lambda cell: str(cell) if isinstance(cell, int) else cell)
    return table


def read_cells(path: Path) -> pd.DataFrame:
    """Read a csv file of the user as text; values beyond the last column, as decimal commas cause, are refused.

    Raises:
        InputError: the file cannot be read as csv, or a line has more cells than the first.
    """
    with reading_csv(path, "{path}: cannot be read as csv ({reason}); save it as csv, UTF-8"):
        with path.open(encoding="utf-8-sig", newline="") as file:
            header, *lines = list(csv.reader(file)) or [[]]
        with warnings.catch_warnings():
            # Warnings about dropped cells: non-empty ones raise an error below.
            warnings.simplefilter("ignore", pd.errors.ParserWarning)
            table = pd.read_csv(
                path, encoding="utf-8-sig", dtype=str, keep_default_na=False, skip_blank_lines=False, index_col=False
            )
    longer = [number for number, line in enumerate(lines, start=2) if any(map(str.strip, line[len(header) :]))]
    if longer:
        raise InputError(
            f"{path}: line {', '.join(map(str, longer))}: more cells than the {len(header)} columns; is it a decimal "
            "comma? write a point"
        )
    return table.map(_from_cell)


@contextlib.contextmanager
def reading_csv(path: Path, message: str = "{path}: cannot be read as csv ({reason}); copy it again") -> Iterator[None]:
    """Convert any error while reading a csv file into an `InputError`, and refuse a file that is too large.

    Args:
        path: the file.
        message: text of the error, see `refusing_unreadable`.

    Raises:
        InputError: reading failed, or the file, or its first line, is too large for a table.
    """
    with refusing_unreadable(path, message):
        check_table(path, path.stat().st_size)
        refuse_long_heading(path)
        yield


def refuse_long_heading(path: Path) -> None:
    """Refuse a csv file whose header line is too long; it may be the whole file.

    Raises:
        InputError: the header line is too long.
        OSError: the file cannot be read.
    """
    refuse_special_file(path)
    with path.open("rb") as file:
        if len(file.readline(_LONGEST_HEADING)) == _LONGEST_HEADING:
            raise InputError(
                f"{path}: its first line has more than {_LONGEST_HEADING >> 20} MiB; expected the names of columns"
            )


# --- cells that a spreadsheet would run as formulas


def _to_cell(value: Any) -> Any:
    """Escape a text by an apostrophe if a spreadsheet would run it as a formula."""
    if not isinstance(value, str) or not _FORMULA.match(value):
        return value
    with contextlib.suppress(ValueError):
        # Numbers are not formulas.
        float(value)
        return value
    return f"'{value}"


def _from_cell(text: str) -> str:
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text


# --- column names


def _to_heading(name: str) -> str:
    r"""Escape control characters in a column name; backslashes are then doubled."""
    if not has_control_characters(name) and not _LIKE_AN_ESCAPE.search(name):
        return name
    return visible(name.replace("\\", r"\\"), is_one_line=True)


def _from_heading(text: str) -> str:
    return _ESCAPE.sub(lambda match: "\\" if match[1] == "\\" else chr(int(match[1][1:], 16)), text)


def _kind_of(name: str, kinds: Mapping[str, Kind]) -> Kind:
    if name in kinds:
        return kinds[name]
    return next((kind for pattern, kind in kinds.items() if fnmatch.fnmatchcase(name, pattern)), "text")


def _parsed(text: str, names: list[str], kind_of: Mapping[str, Kind]) -> pd.DataFrame:
    if not names:
        raise ValueError("No columns to parse from file")
    with warnings.catch_warnings():
        # Warnings about lines with more cells than the header: those are checked afterwards.
        warnings.simplefilter("ignore", pd.errors.ParserWarning)
        return pd.read_csv(
            io.BytesIO(text.encode(errors=_ENCODING_ERRORS)),
            encoding_errors=_ENCODING_ERRORS,
            header=0,
            names=names,
            index_col=False,
            dtype={name: _DTYPES[kind] for name, kind in kind_of.items()},
            keep_default_na=False,
            na_values={name: [""] for name, kind in kind_of.items() if kind == "number"},
            skip_blank_lines=False,
            **_EXACTLY,
        )


def _refuse_other_kinds(
    texts: pd.DataFrame, path: Path, kinds: Mapping[str, Kind], kind_of: Mapping[str, Kind]
) -> None:
    """Report the columns with cells of another type, and the first such cell."""
    for kind, expected in _EXPECTED.items():
        # In the order of `kinds`.
        own = [name for asked in kinds for name in fnmatch.filter(texts, asked) if kind_of[name] == kind]
        others = {name: _is_other(texts[name].fillna(""), kind) for name in own}
        wrong = {name: is_other for name, is_other in others.items() if is_other.any()}
        if wrong:
            name, is_other = next(iter(wrong.items()))
            row = int(is_other.to_numpy().argmax())
            raise InputError(
                f"{path}: {', '.join(wrong)}: expected {expected} in every row (row {row + 1}, {name}: "
                f"{texts[name].iloc[row]!r}); the file is damaged or was changed"
            )


def _is_other(cells: pd.Series, kind: Kind) -> pd.Series:
    if kind == "number":
        return (cells != "") & ~cells.str.lower().isin(["nan"]) & pd.to_numeric(cells, errors="coerce").isna()
    return ~cells.str.fullmatch(_PATTERNS[kind])


def _line_of_other_width(text: str, n_columns: int) -> int | None:
    """Return the number of the first line with more or fewer cells than columns, or `None`."""
    if '"' not in text:
        # Counted for the whole text, line by line only on a mismatch: tables of predictions are long.
        n_lines = text.count("\n") + (not text.endswith("\n"))
        if text.count(",") == n_lines * (n_columns - 1):
            return None
    lines = csv.reader(io.StringIO(text, newline=""))
    return next((lines.line_num for line in lines if len(line or [""]) != n_columns), None)
