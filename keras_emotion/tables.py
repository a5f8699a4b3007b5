"""The csv files that this package writes: each column has a type that is known, and is read back as it was.

A text stays what it is: a participant may be called `NA`, `01` or `1e5`, and an empty cell is a number that is missing
but a text that is empty. Tables of the user's are read cell by cell, as text.
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
"""What a column holds: `"number"` is float64, NaN where the cell is empty; in all others no cell is missing."""

_DTYPES: dict[Kind, type | str] = {"text": str, "integer": "int64", "number": "float64", "flag": bool}
_PATTERNS = {"integer": r"[-+]?\d+", "flag": "True|False"}
_EXPECTED: dict[Kind, str] = {"integer": "an integer", "flag": "True or False", "number": "a number or nothing"}

# Half a pair of UTF-16 is no character, but names of files may hold one; it is written and read as it stands.
_ENCODING_ERRORS = "surrogatepass"

# From 3.1 on pandas reads every number exactly, and warns of who asks for it.
_EXACTLY = {} if tuple(map(int, pd.__version__.split(".")[:2])) >= (3, 1) else {"float_precision": "round_trip"}


_LONGEST_HEADING = 2**20
"""More bytes than the names of all columns of a table take."""

_FORMULA = re.compile(r"'*[=+\-@\t\r]")
"""Beginning of a cell that a spreadsheet runs as a formula, behind any number of apostrophes."""


_LIKE_AN_ESCAPE = re.compile(r"\\[xu\\]")
_ESCAPE = re.compile(r"\\(\\|x[0-9a-f]{2}|u[0-9a-f]{4})")


def csv_bytes(table: pd.DataFrame, float_format: str | None = None) -> bytes:
    """A table as a csv file: UTF-8, a line a row, numbers with all their digits, no index.

    A text that a spreadsheet would run as a formula (`=1+1`, `@sum`, `-x`) gets an apostrophe in front, which
    `read_table` and `read_cells` take away. Control characters in names of columns are written as escapes, which
    `read_table` turns back.

    Args:
        table: columns of texts, integers, floats or truth values; a number that is missing becomes an empty cell.
        float_format: of numbers that are for people to read (`"%.6g"`); by default they are read back exactly.
    """
    table = table.rename(columns=lambda name: _to_cell(_to_heading(str(name))))
    for place, dtype in enumerate(table.dtypes):
        if dtype.kind in "biufc":
            continue
        column = table.iloc[:, place]
        # Long tables name the same few subjects over and over.
        changed = {text: cell for text in column.unique() if (cell := _to_cell(text)) is not text}
        if changed:
            table.isetitem(place, column.map(lambda text, changed=changed: changed.get(text, text)))
    text = table.to_csv(index=False, lineterminator="\n", float_format=float_format)
    if "\r" in text:
        # It ends a line for whoever reads the file, and stands in a text here; pandas quotes it only where it has to
        # quote all texts.
        text = table.to_csv(index=False, lineterminator="\n", float_format=float_format, quoting=csv.QUOTE_NONNUMERIC)
    return text.encode(errors=_ENCODING_ERRORS)


def read_table(path: Path, kinds: Mapping[str, Kind], required: Iterable[str] = ()) -> pd.DataFrame:
    """Read a csv file that `csv_bytes` made.

    Args:
        path: the file.
        kinds: what each column holds, by its name or by a pattern (`probability_*`) that fits names; a column that is
            not named holds text.
        required: columns that the file must have.

    Returns:
        The columns as they stand in the file.

    Raises:
        InputError: there is no such file, or it is damaged: it is no csv, was cut off, lacks a column, or a cell is not
            of its column's kind.
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
    """As `read_table`, of a file that was read already; `path` is named in messages."""
    with refusing_unreadable(path, "{path}: damaged ({reason})"):
        text = content.decode("utf-8-sig", _ENCODING_ERRORS)
        names = [_from_heading(_from_cell(name)) for name in next(csv.reader(io.StringIO(text, newline="")), [])]
        if missing := [name for name in required if name not in names]:
            # A file that is no csv at all says so first.
            _parsed(text, names, dict.fromkeys(names, "text"))
            raise InputError(f"{path}: has no column {', '.join(missing)}")
        kind_of = {name: _kind_of(name, kinds) for name in names}
        try:
            table = _parsed(text, names, kind_of)
        except pd.errors.ParserError:
            raise
        except ValueError:
            _refuse_other_kinds(_parsed(text, names, dict.fromkeys(names, "text")), path, kinds, kind_of)
            raise
        if line := _line_of_other_width(text, len(names)):
            raise ValueError(f"line {line} has not the {len(names)} cells of the first")
        if not text.endswith("\n"):
            raise ValueError("cut off in its last line")
    if "'" in text:
        # By place: a column may be called as another one is written.
        for place, name in enumerate(names):
            if kind_of[name] == "text":
                table.isetitem(place, table.iloc[:, place].map(_from_cell))
    return table


def read_cells(path: Path) -> pd.DataFrame:
    """A csv file of the user's as text; cells without a column, as a decimal comma makes them, are refused.

    Raises:
        InputError: it cannot be read as csv, or a line has more cells than the first.
    """
    with reading_csv(path, "{path}: cannot be read as csv ({reason}); save it as csv, UTF-8"):
        with path.open(encoding="utf-8-sig", newline="") as file:
            header, *lines = list(csv.reader(file)) or [[]]
        with warnings.catch_warnings():
            # Of cells that are left out: those with something in them are said below.
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
    """Turn any failure to read a csv file in a block into an `InputError`, and refuse one that is too large before.

    Args:
        path: the file.
        message: text of the error, see `refusing_unreadable`.

    Raises:
        InputError: the block failed, or the file, or its first line, is larger than a table can be.
    """
    with refusing_unreadable(path, message):
        check_table(path, path.stat().st_size)
        refuse_long_heading(path)
        yield


def refuse_long_heading(path: Path) -> None:
    """Refuse a csv file whose first line is longer than the names of columns can be: it may be all of the file.

    Raises:
        InputError: it is.
        OSError: the file cannot be read.
    """
    refuse_special_file(path)
    with path.open("rb") as file:
        if len(file.readline(_LONGEST_HEADING)) == _LONGEST_HEADING:
            raise InputError(
                f"{path}: its first line has more than {_LONGEST_HEADING >> 20} MiB; expected the names of columns"
            )


# --- cells that a spreadsheet would run


def _to_cell(value: Any) -> Any:
    """A text as it is written: behind an apostrophe where a spreadsheet would take it for a formula."""
    if not isinstance(value, str) or not _FORMULA.match(value):
        return value
    with contextlib.suppress(ValueError):
        # A number is one for a spreadsheet too.
        float(value)
        return value
    return f"'{value}"


def _from_cell(text: str) -> str:
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text


# --- headings


def _to_heading(name: str) -> str:
    r"""A name of a column with its control characters as escapes; backslashes are then doubled."""
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
        # Of lines with more cells than the first: those are looked for afterwards.
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
    """Say which columns have cells that are not of their kind, and where the first is."""
    for kind, expected in _EXPECTED.items():
        # In the order in which they were asked for.
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
    """The first line that has more or fewer cells than there are columns."""
    if '"' not in text:
        # Counted in one go, line by line only where they do not add up: tables of predictions are long.
        n_lines = text.count("\n") + (not text.endswith("\n"))
        if text.count(",") == n_lines * (n_columns - 1):
            return None
    lines = csv.reader(io.StringIO(text, newline=""))
    return next((lines.line_num for line in lines if len(line or [""]) != n_columns), None)
