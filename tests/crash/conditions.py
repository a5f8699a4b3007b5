"""Conditions of a command: a small disk, a user without root's privileges, little memory, a wrong clock."""

from __future__ import annotations

import contextlib
import ctypes
import datetime
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

_CAPABILITIES_VERSION = 0x20080522
_ROOT_ON_FILES = (0, 1, 2, 3)
"""CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH and CAP_FOWNER: why modes of files do not bind root."""


def as_an_ordinary_user() -> None:
    """Have modes and owners of files bind this process, which root started; its own files are still root's."""
    if os.geteuid() != 0:
        return

    class Header(ctypes.Structure):
        _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))

    class Data(ctypes.Structure):
        _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))

    libc = ctypes.CDLL(None, use_errno=True)
    header, data = Header(_CAPABILITIES_VERSION, 0), (Data * 2)()
    if libc.capget(ctypes.byref(header), data):
        raise OSError(ctypes.get_errno(), "capget")
    for number in _ROOT_ON_FILES:
        for one in ("effective", "permitted", "inheritable"):
            setattr(data[0], one, getattr(data[0], one) & ~(1 << number))
        # From the set that root gets back when it starts another program, too (PR_CAPBSET_DROP).
        libc.prctl(24, number, 0, 0, 0)
    if libc.capset(ctypes.byref(header), data):
        raise OSError(ctypes.get_errno(), "capset")


def with_memory(mebibytes: int) -> Callable[[], None]:
    """A limit of the address space, so far above what the process has already (`ulimit -v`)."""

    def limit() -> None:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * os.sysconf("SC_PAGE_SIZE") + mebibytes * 2**20
        resource.setrlimit(resource.RLIMIT_AS, (most, most))

    return limit


def with_clock(seconds: float) -> Callable[[], None]:
    """A clock that is wrong by so many seconds, for all that Python asks."""

    def change() -> None:
        of_system, shift = time.time, datetime.timedelta(seconds=seconds)
        time.time = lambda: of_system() + seconds
        of_datetime = datetime.datetime

        class Shifted(of_datetime):
            @classmethod
            def now(cls, tz=None):
                return of_datetime.now(tz) + shift

        for module in list(sys.modules.values()):
            if getattr(module, "datetime", None) is of_datetime:
                module.datetime = Shifted

    return change


@contextlib.contextmanager
def small_disk(folder: Path, mebibytes: int) -> Iterator[None]:
    """A disk of its own at a folder, which is made.

    Raises:
        PermissionError: this user may not mount disks.
    """
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        raise PermissionError("this user may not mount a small disk")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path, left_kibibytes: int) -> Path:
    """Fill a small disk but for so much; gives the file that does it."""
    filler = folder / "filler.bin"
    room = os.statvfs(folder)
    n_bytes = max(room.f_bavail * room.f_bsize - left_kibibytes * 1024, 0)
    filler.write_bytes(bytes(n_bytes))
    return filler
