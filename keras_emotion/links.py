"""Restrict paths in tables and headers to the data folder, unless the user allows others."""

from __future__ import annotations

import os
from pathlib import Path

from keras_emotion.schema import InputError

FOLLOW_VARIABLE = "KERAS_EMOTION_FOLLOW_LINKS"
"""Environment variable that allows paths outside the data folder if not empty; `--follow-links` sets it."""

OPTION = "--follow-links"

ADVICE = f"expected a path relative to the folder and within it; link the file there, or give {OPTION} to read it"
"""Advice for a path outside the data folder."""


def may_leave_folder() -> bool:
    """Return whether paths in tables and headers may leave the data folder."""
    return bool(os.environ.get(FOLLOW_VARIABLE))


def leaves_folder(path: Path, root: Path) -> bool:
    """Return whether a path of a table or header is lexically outside a folder.

    Symbolic links within the folder were made by the user; their targets count as content of the folder.

    Example:
        >>> leaves_folder(Path("study/../other/a.edf"), Path("study"))
        True
        >>> leaves_folder(Path("study/p1/../p2/a.edf"), Path("study"))
        False
    """
    return not Path(os.path.abspath(path)).is_relative_to(os.path.abspath(root))


def refuse_outside(path: Path, root: Path, where: Path | str, named: str) -> None:
    """Refuse a path of a table or header that leaves a folder, unless `--follow-links` is given.

    Args:
        path: the resolved path.
        root: the folder.
        where: the table or header, for the message.
        named: the path as written there.

    Raises:
        InputError: the path leaves the folder.
    """
    if leaves_folder(path, root) and not may_leave_folder():
        raise InputError(f"{where}: names {named!r}; {ADVICE}")
