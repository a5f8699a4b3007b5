"""Shorten messages: one line for the same problem in many files, and truncated lists.

`--verbose` prints everything; the JSON output of a command is always complete.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import PurePath

VERBOSE_VARIABLE = "KERAS_EMOTION_VERBOSE"
"""Environment variable that disables shortening if not empty, also in the workers of a run."""

QUIET_VARIABLE = "KERAS_EMOTION_QUIET"
"""Environment variable that suppresses notes and progress if not empty."""

_SHOWN_NAMES = 3
_LONGEST_LIST, _SHOWN_ITEMS = 20, 12


def is_verbose() -> bool:
    """Return whether messages are printed in full."""
    return bool(os.environ.get(VERBOSE_VARIABLE))


def is_quiet() -> bool:
    """Return whether only results, warnings and errors are printed."""
    return bool(os.environ.get(QUIET_VARIABLE))


def dataset_title(name: str) -> str:
    """Return the name of a dataset as written in titles: `MAHNOB-HCI` for `mahnob_hci`."""
    return name.replace("_", "-").upper()


def condensed(lines: Iterable[str]) -> list[str]:
    """Merge equal messages about more than three files, and truncate long lists.

    Args:
        lines: `<file>: <what is wrong>`, or `<file>, <file>: <what is wrong>`; other lines are not merged.

    Returns:
        The lines, ordered by first occurrence; all of them unchanged if `is_verbose`.

    Example:
        >>> condensed([f"s{number}.edf: no EEG" for number in range(1, 6)])
        ['5 files (s1.edf, s2.edf, s3.edf and 2 more): no EEG']
        >>> condensed(["s1.edf: no EEG"])
        ['s1.edf: no EEG']
    """
    lines = list(lines)
    if is_verbose():
        return lines
    groups: dict[str, dict[str, None]] = {}
    keys, texts = [], []
    for line in lines:
        names, text = _files_of(line)
        key = text if names else line
        for name in names:
            # A message may repeat the name of its file, or of a file that belongs to it.
            key = re.sub(rf"\b{re.escape(PurePath(name).stem)}\b", "\0", key)
        groups.setdefault(key, {}).update(dict.fromkeys(names))
        keys.append(key)
        texts.append(text)
    shown, merged = [], set()
    for line, key, text in zip(lines, keys, texts, strict=True):
        if len(groups[key]) <= _SHOWN_NAMES:
            shown.append(truncate_lists(line))
        elif key not in merged:
            merged.add(key)
            shown.append(_merged(list(groups[key]), text))
    return shown


def _merged(names: list[str], text: str) -> str:
    folder = os.path.commonpath([os.path.dirname(name) for name in names]) if _are_alike(names) else ""
    short = [os.path.relpath(name, folder) if folder else name for name in names[:_SHOWN_NAMES]]
    where = f"{folder}: " if folder else ""
    return (
        f"{where}{len(names)} files ({', '.join(short)} and {len(names) - _SHOWN_NAMES} more): {truncate_lists(text)}"
    )


def _are_alike(names: list[str]) -> bool:
    return len({os.path.isabs(name) for name in names}) == 1


def _files_of(line: str) -> tuple[list[str], str]:
    """Split a line into the files at its beginning and the message; no files if it does not begin with any."""
    head, separator, text = line.partition(": ")
    names = head.split(", ")
    # A file name has an extension; a sentence before a colon has spaces and no extension.
    is_files = separator and all(re.fullmatch(r"[^\n]*\.\w{1,8}", name) for name in names)
    return (names, text) if is_files else ([], line)


def truncate_lists(line: str) -> str:
    """Truncate lists of more than 20 items in a line to 12.

    Example:
        >>> truncate_lists("no channel A; it has " + ", ".join(f"E{number}" for number in range(1, 54)))
        'no channel A; it has E1, E2, E3, E4, E5, E6, E7, E8, E9, E10, E11, E12 and 41 more'
    """
    if is_verbose():
        return line
    parts = re.split(r"(; |: )", line)
    for place, part in enumerate(parts):
        items = part.split(", ")
        # Lists of valid values stay complete.
        if len(items) > _LONGEST_LIST and "expected one of" not in part:
            # If the list is in brackets, the closing bracket is kept.
            last = re.search(r"\)*$", items[-1] if part.count("(") < part.count(")") or "(" in items[0] else "")
            end = last[0] if last else ""
            parts[place] = f"{', '.join(items[:_SHOWN_ITEMS])} and {len(items) - _SHOWN_ITEMS} more{end}"
    return "".join(parts)


def is_shortened(lines: Iterable[str]) -> bool:
    """Return whether `condensed` omits anything."""
    lines = list(lines)
    return condensed(lines) != lines
