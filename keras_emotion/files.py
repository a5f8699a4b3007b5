"""How files of ours come to be: under a temporary name first, and what killed writers leave behind goes by age."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import time
import uuid
from pathlib import Path

TEMPORARY_PREFIX = ".writing-"
"""Names of files and folders that are being written start so; nothing reads them."""

LEFTOVER_SECONDS = 24 * 3600.0
"""What is being written and has not changed for so long is taken to be left over by a writer that was killed.

Writing takes seconds to minutes: what takes long is computed before. A day also allows for clocks of other machines,
which may share the disk, that are hours wrong.
"""


def remove_leftovers(*folders: Path) -> None:
    """Remove what writers that were killed have left in some folders, when it is older than `LEFTOVER_SECONDS`.

    Args:
        folders: looked through without those below them; one that is not there holds nothing. What cannot be removed
            stays.
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
    """When a file, or anything in a folder, was last written to, in seconds since the epoch."""
    inner = path.rglob("*") if path.is_dir() else ()
    return max(one.lstat().st_mtime for one in (path, *inner))


def temporary_path(folder: Path) -> Path:
    """A name in a folder for what is being written, that no other process has, on no machine."""
    return folder / f"{TEMPORARY_PREFIX}{uuid.uuid4().hex}"


def write_whole(path: Path, content: bytes, temporary_folder: Path | None = None) -> None:
    """Write a file at once: it is there whole, or as it was.

    Args:
        path: the file, in a folder that is there.
        content: what it shall hold.
        temporary_folder: where it is written first, on the same disk; by default beside the file.

    Raises:
        OSError: it cannot be written.
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
    """`write_whole` where there is no file of this name yet; one that is there stays as it is.

    Returns:
        Whether it was written: of several processes that come at once, by one.
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
    """Give a file a name unless there is one of this name; whether it got it.

    Raises:
        OSError: it cannot be done.
    """
    try:
        os.link(source, path)
    except FileExistsError:
        return False
    except OSError as error:
        # A file system without links (FAT). What is left is a moment in which two processes may both come first.
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS):
            raise
        if path.exists():
            return False
        os.replace(source, path)
    return True


def sync_file(path: Path) -> None:
    """Have the contents of a file on the disk: a rename can reach it before them, and after a power cut they are lost.

    Raises:
        OSError: they cannot be written.
    """
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """Have the names of the files in a folder on the disk, where the system does that."""
    # Windows opens no folders, and some shared disks do not know the call: they write names at once, or not for us.
    with contextlib.suppress(OSError):
        opened = os.open(path, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)
