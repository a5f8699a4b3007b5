"""Turn what third-party readers raise into an `InputError` that names the file and the reason.

Readers of other packages raise anything on a file that is damaged or of another kind: a `KeyError` for a tag that is
missing, a `TokenError` for a header that is no Python literal. No list of exception types is complete, so there is one
block that catches all of them, and only calls of third-party readers belong into it.
"""

from __future__ import annotations

import contextlib
import errno
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from keras_emotion.schema import InputError

_LONGEST_REASON = 300

_ABOUT_MEMORY = re.compile(r"RESOURCE_EXHAUSTED|OOM|[Oo]ut of memory|allocat")

# What an error of a reader that took no account of such a file says is about its code: no user can use it.
_ABOUT_CODE = re.compile(
    r"object (has no attribute|is not \w+|does not support)|unsupported operand|positional argument"
)

_ADVICE = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), "free some space"),
    **dict.fromkeys((errno.EACCES, errno.EPERM), "change its permissions, or use another folder"),
    errno.EROFS: "use another folder",
    **dict.fromkeys((errno.EIO, errno.ESTALE, errno.ENODEV, errno.ENXIO), "check the disk"),
    **dict.fromkeys((errno.EMFILE, errno.ENFILE), "raise the limit of open files (ulimit -n), or use fewer workers"),
    **dict.fromkeys((errno.EAGAIN,), "raise the limit of processes (ulimit -u), or use fewer workers"),
    errno.ENAMETOOLONG: "use a shorter name",
}
"""What to do about failures of the system that no code can prevent."""

_OUT_OF_MEMORY = "use fewer --workers, smaller batches or a machine with more"

_KINDS_OF_FILE = {
    stat.S_IFIFO: "a FIFO (named pipe)",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


@contextlib.contextmanager
def refusing_unreadable(
    path: Path | str, message: str = "{path}: cannot be read ({reason}); copy it again"
) -> Iterator[None]:
    """Turn any failure of a third-party reader in a block into an `InputError`.

    An `InputError` raised within it passes. FIFOs, devices and sockets are refused before the block is entered, since
    a reader would wait for them.

    Args:
        path: the file that is read.
        message: text of the error; `{path}` stands for the file and `{reason}` for the reader's own words
            (`reason_of`).

    Raises:
        InputError: the block failed, or the path is no regular file and no folder.

    Example:
        >>> with refusing_unreadable("s01.set"):
        ...     raise KeyError("chanlocs")
        Traceback (most recent call last):
            ...
        keras_emotion.schema.InputError: s01.set: cannot be read (KeyError: 'chanlocs'); copy it again
    """
    refuse_special_file(path)
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        # Not by `format`: the message may hold braces of its own.
        text = message.replace("{reason}", reason_of(error, path)).replace("{path}", str(path))
        raise InputError(text) from error


def system_failure(error: BaseException) -> str:
    """Describe an error that is due to the machine, and not to the code: memory, disk, permissions.

    Args:
        error: any exception; also of a backend that could not allocate an array.

    Returns:
        One line with the file, if one is known, the failure and what to do; empty for every other error.

    Example:
        >>> system_failure(PermissionError(13, "Permission denied", "runs/a/config.json"))
        'runs/a/config.json: Permission denied; change its permissions, or use another folder'
        >>> system_failure(KeyError("a"))
        ''
    """
    is_of_backend = type(error).__name__ in ("ResourceExhaustedError", "XlaRuntimeError", "JaxRuntimeError")
    is_of_memory = isinstance(error, OSError) and error.errno == errno.ENOMEM
    if isinstance(error, MemoryError) or is_of_memory or (is_of_backend and _ABOUT_MEMORY.search(str(error))):
        text = " ".join(str(error).split())
        what = f" ({text[:_LONGEST_REASON]})" if text and isinstance(error, MemoryError) else ""
        return f"out of memory{what}; {_OUT_OF_MEMORY}"
    if isinstance(error, OSError) and error.errno in _ADVICE:
        file = f"{error.filename}: " if error.filename is not None else ""
        return f"{file}{error.strerror or error}; {_ADVICE[error.errno]}"
    return ""


def reason_of(error: BaseException, path: Path | str | None = None) -> str:
    r"""Return what an exception says in one line, without the path of the file.

    Args:
        error: the exception. Its type is named where its text is no sentence, or is about the reader's code.
        path: the file that it is about; its name alone is kept.

    Example:
        >>> reason_of(KeyError("chanlocs")), reason_of(ValueError("no\nheader"))
        ("KeyError: 'chanlocs'", 'no header')
        >>> reason_of(FileNotFoundError(2, "No such file or directory", "/data/a.edf"))
        'No such file or directory'
    """
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    text = " ".join(text.split())
    # Some readers pass on where in them it happened: what happened stands last.
    text = re.sub(r"^.*\b[A-Z]\w*Error: ", "", text)
    # Others add which function of theirs to call in place of this one, which no user calls.
    text = re.sub(r"\.? WARNING: mne\.io\..*$", "", text)
    if path is not None:
        for written in (str(Path(path).absolute()), str(path)):
            text = text.replace(written, Path(path).name)
    name = type(error).__name__
    if isinstance(error, MemoryError):
        text = "out of memory"
    elif not text or isinstance(error, (AttributeError, NameError, AssertionError)) or _ABOUT_CODE.search(text):
        text = f"not of this format, or damaged: {name}"
    elif isinstance(error, (LookupError, TypeError)):
        # Their texts are no sentences by themselves: `KeyError: 'meas_info'`.
        text = f"{name}: {text}"
    return text if len(text) <= _LONGEST_REASON else f"{text[:_LONGEST_REASON]}..."


def refuse_special_file(path: Path | str) -> None:
    """Refuse what is there and neither a regular file nor a folder: reading it would wait, or never end.

    Raises:
        InputError: the path is a FIFO, a device or a socket, by itself or through links.
    """
    try:
        mode = Path(path).stat().st_mode
    except (OSError, ValueError):
        # Not there, or a name that no file can have: whoever opens it says so.
        return
    kind = _KINDS_OF_FILE.get(stat.S_IFMT(mode))
    if kind is not None:
        raise InputError(f"{path}: is {kind}; expected a regular file")
