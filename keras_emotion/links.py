"""Paths that tables and headers name: below the folder of the data, unless the user allows others."""

from __future__ import annotations

import os
from pathlib import Path

from keras_emotion.schema import InputError

FOLLOW_VARIABLE = "KERAS_EMOTION_FOLLOW_LINKS"
"""Environment variable that is set, and not empty, where paths may lead out of the folder; `--follow-links` sets it."""

OPTION = "--follow-links"

ADVICE = f"expected a path from the folder that stays within it; link the file there, or give {OPTION} to read it"
"""What to do about a path that leads out of the folder of the data."""


def may_leave_folder() -> bool:
    """Whether paths in tables and headers may lead out of the folder of the data."""
    return bool(os.environ.get(FOLLOW_VARIABLE))


def leaves_folder(path: Path, root: Path) -> bool:
    """Whether a path that a table or header names lies outside of a folder, by its words.

    Symbolic links within the folder are the user's own, and what they lead to counts as what is in it.

    Example:
        >>> leaves_folder(Path("study/../other/a.edf"), Path("study"))
        True
        >>> leaves_folder(Path("study/p1/../p2/a.edf"), Path("study"))
        False
    """
    return not Path(os.path.abspath(path)).is_relative_to(os.path.abspath(root))


def refuse_outside(path: Path, root: Path, where: Path | str, named: str) -> None:
    """Refuse a path, written in a table or header, that leads out of a folder, unless `--follow-links` is given.

    Args:
        path: where the path leads.
        root: the folder.
        where: the table or header, for the message.
        named: the path as it is written there.

    Raises:
        InputError: it leads out of the folder.
    """
    if leaves_folder(path, root) and not may_leave_folder():
        raise InputError(f"{where}: names {named!r}; {ADVICE}")
