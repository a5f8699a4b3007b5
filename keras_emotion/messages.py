"""Shorten messages for people: one line for the same problem of many files, and lists without their end.

`--verbose` prints everything, and the JSON of a command holds it anyway.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import PurePath

VERBOSE_VARIABLE = "KERAS_EMOTION_VERBOSE"
"""Environment variable that is set, and not empty, where nothing is shortened: in workers of a run too."""

QUIET_VARIABLE = "KERAS_EMOTION_QUIET"
"""Environment variable that is set, and not empty, where only results, warnings and errors are printed."""

_SHOWN_NAMES = 3
_LONGEST_LIST, _SHOWN_ITEMS = 20, 12


def is_verbose() -> bool:
    """Whether messages are printed in full."""
    return bool(os.environ.get(VERBOSE_VARIABLE))


def is_quiet() -> bool:
    """Whether notes and progress are not printed."""
    return bool(os.environ.get(QUIET_VARIABLE))


def condensed(lines: Iterable[str]) -> list[str]:
    """Lines for people: what is the same for more than three files is one, and lists are cut.

    Args:
        lines: `<file>: <what is wrong>`, or `<file>, <file>: <what is wrong>`; other lines stay by themselves.

    Returns:
        The lines by their first occurrence; all of them in full under `is_verbose`.

    Example:
        >>> condensed([f"s{number}.edf: no EEG" for number in range(1, 6)])
        ['5 files (s1.edf, s2.edf, s3.edf and 2 more): no EEG']
        >>> condensed(["s1.edf: no EEG"])
        ['s1.edf: no EEG']
    """
    lines = list(lines)
    if is_verbose():
        return lines
    groups: dict[str, tuple[list[str], list[str], str]] = {}
    for line in lines:
        names, text = _files_of(line)
        key = text if names else line
        for name in names:
            # A message may name its file, or one that belongs to it, once more.
            key = re.sub(rf"\b{re.escape(PurePath(name).stem)}\b", "\0", key)
        own, whole, _ = groups.setdefault(key, ([], [], text))
        own += names
        whole.append(line)
    return [shown for names, whole, text in groups.values() for shown in _shown(names, whole, text)]


def _shown(names: list[str], whole: list[str], text: str) -> Iterator[str]:
    names = list(dict.fromkeys(names))
    if len(names) <= _SHOWN_NAMES:
        yield from map(cut_lists, whole)
        return
    folder = os.path.commonpath([os.path.dirname(name) for name in names]) if _are_alike(names) else ""
    short = [os.path.relpath(name, folder) if folder else name for name in names[:_SHOWN_NAMES]]
    where = f"{folder}: " if folder else ""
    listed = ", ".join(short)
    yield f"{where}{len(names)} files ({listed} and {len(names) - _SHOWN_NAMES} more): {cut_lists(text)}"


def _are_alike(names: list[str]) -> bool:
    return len({os.path.isabs(name) for name in names}) == 1


def _files_of(line: str) -> tuple[list[str], str]:
    """The files that a line is about, and what it says of them; none where it does not begin with files."""
    head, separator, text = line.partition(": ")
    names = head.split(", ")
    # A name of a file has an ending; a sentence before a colon has blanks, and ends in none.
    is_files = separator and all(re.fullmatch(r"[^\n]*\.\w{1,8}", name) for name in names)
    return (names, text) if is_files else ([], line)


def cut_lists(line: str) -> str:
    """A line in which lists of more than 20 items end after the twelfth.

    Example:
        >>> cut_lists("no channel A; it has " + ", ".join(f"E{number}" for number in range(1, 54)))
        'no channel A; it has E1, E2, E3, E4, E5, E6, E7, E8, E9, E10, E11, E12 and 41 more'
    """
    if is_verbose():
        return line
    parts = re.split(r"(; |: )", line)
    for place, part in enumerate(parts):
        items = part.split(", ")
        # Names that a user chooses from stay.
        if len(items) > _LONGEST_LIST and "expected one of" not in part:
            # A bracket that the list stands in is closed behind it.
            last = re.search(r"\)*$", items[-1] if part.count("(") < part.count(")") or "(" in items[0] else "")
            end = last[0] if last else ""
            parts[place] = f"{', '.join(items[:_SHOWN_ITEMS])} and {len(items) - _SHOWN_ITEMS} more{end}"
    return "".join(parts)


def is_shortened(lines: Iterable[str]) -> bool:
    """Whether `condensed` prints less than there is."""
    lines = list(lines)
    return condensed(lines) != lines
