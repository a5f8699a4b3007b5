"""Convert errors of third-party readers into an `InputError` that names the file and the reason.

Third-party readers raise arbitrary exceptions on a damaged or unsupported file: a `KeyError` for a missing tag, a
`TokenError` for a header that is not a Python literal. No list of exception types is complete, so one context manager
catches all of them. Only calls of third-party readers belong in it.
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

# Errors about a reader's own code, raised because it did not expect such a file: useless to a user.
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
    """Convert any error of a third-party reader into an `InputError`.

    An `InputError` raised within it passes unchanged. FIFOs, devices and sockets are refused before the block is
    entered, since a reader would block on them.

    Args:
        path: the file that is read.
        message: text of the error; `{path}` stands for the file and `{reason}` for the reader's message (`reason_of`).

    Raises:
        InputError: the block raised an error, or the path is neither a regular file nor a folder.

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
        # Not by `format`, because the message may contain braces.
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
    r"""Return an exception's message as one line, without the folder of the file.

    Args:
        error: the exception. Its type is named if its text is not a sentence, or is about the reader's code.
        path: the file that the error is about; only its name is kept.

    Example:
        >>> reason_of(KeyError("chanlocs")), reason_of(ValueError("no\nheader"))
        ("KeyError: 'chanlocs'", 'no header')
        >>> reason_of(FileNotFoundError(2, "No such file or directory", "/data/a.edf"))
        'No such file or directory'
    """
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    text = " ".join(text.split())
    # Some readers chain messages; the last part is the cause.
    text = re.sub(r"^.*\b[A-Z]\w*Error: ", "", text)
    # Others recommend one of their own functions, which a user does not call.
    text = re.sub(r"\.? WARNING: mne\.io\..*$", "", text)
    if path is not None:
        for written in (str(Path(path).absolute()), str(path)):
            text = text.replace(written, Path(path).name)
    name = type(error).__name__
    if isinstance(error, MemoryError):
        text = "out of memory"
    elif not text or isinstance(error, (AttributeError, NameError, AssertionError)) or _ABOUT_CODE.search(text):
        text = f"unsupported format or damaged: {name}"
    elif isinstance(error, (LookupError, TypeError)):
        # Their texts are not sentences: `KeyError: 'meas_info'`.
        text = f"{name}: {text}"
    return text if len(text) <= _LONGEST_REASON else f"{text[:_LONGEST_REASON]}..."


def refuse_special_file(path: Path | str) -> None:
    """Refuse a path that is neither a regular file nor a folder: reading it would block, or never end.

    Raises:
        InputError: the path is a FIFO, a device or a socket, directly or through links.
    """
    try:
        mode = Path(path).stat().st_mode
    except (OSError, ValueError):
        # A missing file or an invalid name: the code that opens it raises the error.
        return
    kind = _KINDS_OF_FILE.get(stat.S_IFMT(mode))
    if kind is not None:
        raise InputError(f"{path}: is {kind}; expected a regular file; copy its content to a file")
