"""Write files atomically, by a temporary name, and remove the leftovers of killed writers."""

from __future__ import annotations

import contextlib
import errno
import importlib.util
import os
import shutil
import time
import uuid
from pathlib import Path

TEMPORARY_PREFIX = ".writing-"
"""Prefix of files and folders that are being written; they are never read."""

LEFTOVER_SECONDS = 24 * 3600.0
"""Age in seconds after which an unchanged temporary file counts as the leftover of a killed writer.

Writing takes seconds to minutes, because long computations happen before. A day also allows for other machines on the
same disk whose clocks are hours wrong.
"""


def package_folder(name: str) -> Path | None:
    """Return the folder of an installed package, which is not imported; `None` if there is none."""
    package = importlib.util.find_spec(name)
    folders = None if package is None else package.submodule_search_locations
    return Path(next(iter(folders))) if folders else None


def remove_leftovers(*folders: Path) -> None:
    """Remove temporary files of killed writers from folders, if older than `LEFTOVER_SECONDS`.

    Args:
        folders: searched without their subfolders; a missing folder is ignored. Files that cannot be removed are kept.
    """
    for folder in folders:
        for path in folder.glob(f"{TEMPORARY_PREFIX}*"):
            with contextlib.suppress(OSError):
                if time.time() - _changed_at(path) > LEFTOVER_SECONDS:
                    if path.is_dir():
                        shutil.rmtree(path, ignore_errors=True)
                    else:
                        path.unlink()


def _changed_at(path: Path) -> float:
    """Return the last modification time of a file, or of a folder's content, in seconds since the epoch."""
    inner = path.rglob("*") if path.is_dir() else ()
    return max(one.lstat().st_mtime for one in (path, *inner))


def temporary_path(folder: Path) -> Path:
    """Return a temporary path in a folder that is unique over processes and machines."""
    return folder / f"{TEMPORARY_PREFIX}{uuid.uuid4().hex}"


def write_whole(path: Path, content: bytes, temporary_folder: Path | None = None) -> None:
    """Write a file atomically: it is either complete or unchanged.

    Args:
        path: the file, in an existing folder.
        content: the bytes to write.
        temporary_folder: folder of the temporary file, on the same disk; by default that of the file.

    Raises:
        OSError: the file cannot be written.
    """
    temporary = temporary_path(temporary_folder or path.parent)
    try:
        temporary.write_bytes(content)
        sync_file(temporary)
        os.replace(temporary, path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def write_once(path: Path, content: bytes) -> bool:
    """Write a file as `write_whole` does, unless it exists; an existing file stays unchanged.

    Returns:
        Whether this call wrote the file; of several concurrent processes, exactly one does.
    """
    temporary = temporary_path(path.parent)
    try:
        temporary.write_bytes(content)
        sync_file(temporary)
        return link(temporary, path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def link(source: Path, path: Path) -> bool:
    """Give a file a second name, unless that name exists, and return whether it was given.

    Raises:
        OSError: the link cannot be made.
    """
    try:
        os.link(source, path)
    except FileExistsError:
        return False
    except OSError as error:
        # A file system without links (FAT): for a moment, two concurrent processes may both succeed.
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS):
            raise
        if path.exists():
            return False
        os.replace(source, path)
    return True


def sync_file(path: Path) -> None:
    """Flush the content of a file to the disk.

    Otherwise a rename can reach the disk before the content, which is then lost in a power cut.

    Raises:
        OSError: the content cannot be written.
    """
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """Flush the file names of a folder to the disk, where the system supports it."""
    # Windows opens no folders, and some network disks do not support the call.
    with contextlib.suppress(OSError):
        opened = os.open(path, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)
