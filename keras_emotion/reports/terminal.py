"""Tables of reports on a terminal: in brief, at most 100 columns wide, and with all scores."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import rich.box
import rich.console
from rich.table import Table
from rich.text import Text

from keras_emotion.reports.tables import EMPTY, Cell, MainTable, Section

WIDTH = 100
"""Most columns of the terminal that a brief table takes."""

_LABEL_WIDTH, _COLUMN_WIDTH = 34, 17
"""Columns of the terminal that the columns of a table with all scores take, the space between them included."""

_NAME_WIDTH = 30
"""Longer names of protocols and runs are broken into lines in the brief table."""


def print_table(
    table: MainTable,
    console: rich.console.Console,
    scored_unit: str,
    *,
    full: bool,
    names: Sequence[str] = (),
    counted: Sequence[str] = (),
) -> None:
    """Print the table of a report.

    Args:
        table: the table.
        console: where to.
        scored_unit: the scored unit, window or trial.
        full: print all scores and notes. Otherwise each column is one line: its accuracy, chance and baselines.
        names: one-line names of the columns, for the brief table; by default their headings.
        counted: lines of the brief table that summarise notes of the full one.
    """
    if full:
        for part in parts_for_width(table, console.width):
            console.print(rendered(part), crop=False)
        return
    width = min(console.width, WIDTH)
    console.print(brief(table, names or table.columns), crop=False, width=width)
    print_texts([*table.essential, _reading(scored_unit, table), *counted], console)


def print_texts(texts: Iterable[str], console: rich.console.Console, style: str = "") -> None:
    """Print paragraphs, wrapped to the width of brief tables."""
    for text in texts:
        console.print(Text(text, style=style), width=min(console.width, WIDTH))


def print_page(path: Path, console: rich.console.Console, *, full: bool) -> None:
    """Print the path of the page of a report and, below a brief table, how to get the rest."""
    rest = "" if full else " (all scores and notes: --full, or this page)"
    console.print(Text(f"report: {path}{rest}"), soft_wrap=True)


def brief(table: MainTable, names: Sequence[str]) -> Table:
    """Arrange the accuracies of a table in lines, one for each column, with chance and baselines.

    Args:
        table: the table.
        names: names of its columns.
    """
    blocks = {section.heading: list(_lines(section, names)) for section in table.sections}
    return block_table(marked(table.title, table.mark), [heading for heading, *_ in _BRIEF], blocks)


def accuracies_in_words(table: MainTable, names: Sequence[str]) -> str:
    """Describe the accuracies of a table and their chance bands in words, for the alternative text of a figure.

    Args:
        table: the table.
        names: names of its columns.
    """
    parts = []
    for section in table.sections:
        lines = [
            f"{name} {accuracy} %{f' (chance {chance} %)' if chance else ''}"
            for name, (accuracy, _, chance, *_) in _lines(section, names)
        ]
        parts.append(f"{section.target}: {', '.join(lines)}")
    return "; ".join(parts)


def block_table(
    title: str, headings: Sequence[str], blocks: Mapping[str, Sequence[tuple[str, Sequence[str]]]]
) -> Table:
    """Make a table of blocks with headings; columns without any value are left out.

    Args:
        title: title of the table.
        headings: headings of the columns after the names of the lines.
        blocks: name and cells of each line, by the heading of the block.
    """
    used = [place for place in range(len(headings)) if any(cells[place] for own in blocks.values() for _, cells in own)]
    shown = _table(title)
    shown.add_column("", min_width=10, overflow="fold")
    for place in used:
        # On a narrow terminal lines are wrapped, but never numbers.
        longest = max(len(cells[place]) for own in blocks.values() for _, cells in own)
        shown.add_column(Text(headings[place]), justify="right", min_width=longest, overflow="fold")
    for heading, own in blocks.items():
        shown.add_row(Text(heading, style="bold"))
        for name, cells in own:
            shown.add_row(Text(_broken(f"  {name}")), *(Text(cells[place]) for place in used))
        shown.add_section()
    return shown


def marked(title: str, mark: str) -> str:
    """Add the warning of synthetic data to a title; tables repeat it nowhere else."""
    return f"{title} – {mark}" if mark else title


def _interval(cell: Cell) -> str:
    # Of few subjects the detail is the value of each.
    return cell.detail.strip("[]").replace(", ", " – ") if cell.detail.startswith("[") else ""


def _p_value(cell: Cell) -> str:
    # Of too few labelings there is none.
    return cell.detail.removeprefix("p = ") if cell.detail.startswith("p = ") else EMPTY.value


def _value(cell: Cell) -> str:
    return cell.value


_BRIEF: tuple[tuple[str, str, Callable[[Cell], str]], ...] = (
    ("accuracy, %", "accuracy", _value),
    ("95 %\ninterval", "accuracy", _interval),
    ("chance,\n95 % band", "chance, 95 % band", _value),
    ("p", "chance, 95 % band", _p_value),
    ("majority\nclass", "majority class of training", _value),
    ("knows the\nstimulus", "knows the stimulus", _value),
)
"""Columns of the brief table: heading, label of the row that it shows, and what of its cells."""


def _lines(section: Section, names: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Name of each column, and its cells in the brief table."""
    of_label = {row.label: row for row in section.rows}
    for place, name in enumerate(names):
        cells = []
        for _, label, shown in _BRIEF:
            cell = of_label[label].cells[place] if label in of_label else Cell("")
            # A paper prints neither chance nor baselines.
            cells.append(shown(cell) if cell.value else "")
        if cells[0] != EMPTY.value:
            yield name, cells


def _broken(name: str) -> str:
    """Wrap a name to lines of at most 30 characters, at blanks and underscores."""
    lines = [""]
    for piece in name.replace("_", "_\0").replace(" ", " \0").split("\0"):
        if len(lines[-1]) + len(piece.rstrip()) > _NAME_WIDTH and lines[-1].strip():
            lines.append("  ")
        lines[-1] += piece
    return "\n".join(lines)


def rendered(table: MainTable) -> Table:
    """Arrange all scores of a table, with its notes below."""
    shown = _table(marked(table.title, table.mark))
    shown.caption, shown.caption_justify, shown.caption_style = Text("\n".join(table.notes)), "left", ""
    shown.add_column("", min_width=10, overflow="fold")
    for heading in table.columns:
        shown.add_column(Text(heading.replace("_", "_\n")), justify="right", min_width=12, overflow="fold")
    for section in table.sections:
        shown.add_row(Text(section.heading, style="bold"), *[""] * len(table.columns))
        for row in section.rows:
            style = "dim" if row.is_reference else ""
            label = Text(f"  {row.label}" if row.is_reference else row.label, style=style)
            shown.add_row(label, *(_text(cell, style) for cell in row.cells))
        shown.add_section()
    return shown


def parts_for_width(table: MainTable, width: int) -> list[MainTable]:
    """Split a table of many columns into several of few; the notes are below the last.

    Args:
        table: the table.
        width: columns of the terminal.
    """
    most = max(1, (width - _LABEL_WIDTH) // _COLUMN_WIDTH)
    starts = range(0, len(table.columns), most)
    parts = []
    for start in starts:
        own = slice(start, start + most)
        sections = [
            dataclasses.replace(
                section, rows=tuple(dataclasses.replace(row, cells=row.cells[own]) for row in section.rows)
            )
            for section in table.sections
        ]
        notes = table.notes if start == starts[-1] else ()
        title = table.title if start == 0 else f"{table.title}, continued"
        parts.append(
            dataclasses.replace(table, title=title, columns=table.columns[own], sections=tuple(sections), notes=notes)
        )
    return parts


def _reading(scored_unit: str, table: MainTable) -> str:
    """How to read the brief table, in one paragraph."""
    labels = {row.label for section in table.sections for row in section.rows}
    text = (
        f"Accuracy by {scored_unit}, mean over subjects. Chance: middle 95 % of the accuracies under label permutation "
        "of the test set, with its p-value. Majority class: the most frequent label of the training set."
    )
    if "knows the stimulus" in labels:
        text += (
            " Knows the stimulus (stimulus-only baseline): predicts the most frequent label of the stimulus in the "
            "training set, without any signal."
        )
    return text


def count_of_differences(differences: Sequence[str], reference: str) -> list[str]:
    """Number of differences of a run from its reference, for the brief table."""
    if not differences:
        return []
    return [f"Differs from {reference} in {len(differences)} point{'' if len(differences) == 1 else 's'}."]


def _table(title: str) -> Table:
    return Table(title=Text(title, style="bold"), title_justify="left", box=rich.box.SIMPLE_HEAD)


def _text(cell: Cell, style: str) -> Text:
    text = Text(cell.value, style=style)
    if cell.detail:
        text.append(f"\n{cell.detail}", style="dim")
    return text
