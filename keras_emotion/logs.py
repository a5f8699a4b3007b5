"""Log messages: the logger `keras_emotion`, what the terminal shows of it, and the log file of a run.

A handler of the logger prints messages from level `INFO` on to standard error, long lists shortened (see
`keras_emotion.messages`); `--quiet` prints warnings and errors only, and `--verbose` everything in full. As with MNE's
logger, messages do not go to the root logger, and `logging.getLogger("keras_emotion").setLevel("ERROR")` silences them.

A run also appends messages of all levels to `log.txt` in its folder, with the Python warnings of all libraries. What
workers log comes back with their results and is written by the process that started them. Several processes may
append to one file: each writes whole lines, under a lock where the system has one.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import socket
import sys
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from typing_extensions import override

from keras_emotion.messages import condensed, is_quiet, is_verbose
from keras_emotion.schema import InputError
from keras_emotion.visible_text import visible

LOG_FILE = "log.txt"
"""Log file in the folder of a run."""

LOGGER = logging.getLogger("keras_emotion")

FILE_ONLY: dict[str, Any] = {"is_for_file": True}
"""`extra` of messages that the terminal shows in another form, such as progress."""

_LOCK_ATTEMPTS, _LOCK_SECONDS = 50, 0.02
"""Maximum time to wait for a lock, so that a lock that is never released does not block a run."""


@dataclasses.dataclass(frozen=True)
class LogLine:
    """A message that goes from a worker to the process that started it.

    Args:
        seconds: time at which it was logged (`time.time()`).
        where: host and process.
        level: number of the level.
        text: the message, one or more lines.
    """

    seconds: float
    where: str
    level: int
    text: str


def terminal_level() -> int:
    """Lowest level of messages that are printed to standard error."""
    return logging.WARNING if is_quiet() else logging.DEBUG if is_verbose() else logging.INFO


class _Terminal(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno < terminal_level() or getattr(record, "is_for_file", False):
            return
        try:
            # Looked up at each message: tests and notebooks replace it.
            for line in condensed(record.getMessage().split("\n")):
                sys.stderr.write(f"{line}\n")
        except Exception:
            self.handleError(record)


class RunLog(logging.Handler):
    """Handler that appends to the log file of a run; stores messages until the path of the file is set."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self._path: Path | None = None
        self._kept: list[LogLine] = []

    def open(self, folder: Path) -> None:
        """Write to the log file of a run folder from now on, beginning with what was logged before."""
        self._path = folder / LOG_FILE
        kept, self._kept = self._kept, []
        self.write(kept)

    @property
    def is_open(self) -> bool:
        """Whether it is known where the file is."""
        return self._path is not None

    @override
    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = record.getMessage()
            if record.exc_info:
                text += "\n" + logging.Formatter().formatException(record.exc_info)
            self.write([LogLine(record.created, _where(), record.levelno, text)])
        except Exception:
            self.handleError(record)

    def write(self, lines: Sequence[LogLine]) -> None:
        """Append messages; a file that cannot be written is reported once, and does not end the run."""
        if self._path is None:
            self._kept += lines
            return
        if not lines:
            return
        try:
            _append(self._path, "".join(map(_formatted, lines)).encode())
        except OSError as error:
            path, self._path = self._path, None
            self._kept.clear()
            LOGGER.removeHandler(self)
            LOGGER.warning("warning: %s: cannot be written: %s; the run goes on without it", path, error.strerror)


_open_logs: list[RunLog] = []


@contextlib.contextmanager
def run_log() -> Iterator[RunLog]:
    """Context in which messages, Python warnings and the exception that ends it go to the log file of a run.

    Nothing is written before `start_log` is called; without that, nothing at all.
    """
    handler = RunLog()
    LOGGER.addHandler(handler)
    _open_logs.append(handler)
    try:
        with _warnings_logged():
            yield handler
    except Exception as error:
        trace = None if isinstance(error, InputError) else error
        LOGGER.error("ended by an error: %s", error, exc_info=trace, extra=FILE_ONLY)
        raise
    except BaseException as error:
        LOGGER.warning("interrupted (%s)", type(error).__name__, extra=FILE_ONLY)
        raise
    finally:
        _open_logs.remove(handler)
        LOGGER.removeHandler(handler)


@contextlib.contextmanager
def collected() -> Iterator[list[LogLine]]:
    """Collect messages that are logged in the context, Python warnings included; terminal output is unchanged."""
    handler = RunLog()
    LOGGER.addHandler(handler)
    try:
        with _warnings_logged():
            yield handler._kept
    finally:
        LOGGER.removeHandler(handler)


def write_collected(lines: Sequence[LogLine]) -> None:
    """Append what a worker has collected to the log files that are open in this process."""
    for handler in _open_logs:
        handler.write(lines)


def log_to_file(message: str, *arguments: Any, level: int = logging.INFO) -> None:
    """Log a message for the log file of the run alone."""
    LOGGER.log(level, message, *arguments, extra=FILE_ONLY)


def start_log(folder: Path, made_with: Mapping[str, Any], what: str) -> None:
    """Write to the log file of a folder from now on, beginning with what was logged in this `run_log` before.

    Args:
        folder: the run folder, which has to be there.
        made_with: versions, machine and command (`keras_emotion.environment.environment`), logged first.
        what: what begins, a word.
    """
    if not _open_logs or _open_logs[-1].is_open:
        return
    _open_logs[-1].open(folder)
    packages = ", ".join(f"{name} {version}" for name, version in made_with["packages"].items())
    log_to_file(f"{what}: {made_with['command']}")
    log_to_file(f"python {made_with['python']}, {packages}; backend {made_with['backend']}")
    log_to_file(
        f"{made_with['platform']}, {made_with['cpu']}, {made_with['n_cores']} cores, "
        f"GPUs: {', '.join(made_with['gpu']) or 'none'}; {made_with['jobs']} workers"
    )


@contextlib.contextmanager
def _warnings_logged() -> Iterator[None]:
    """Context in which Python warnings are logged for the file, and shown as before."""
    if getattr(warnings.showwarning, "logs", False):
        # Owned by an outer context; collectors receive the messages through the logger.
        yield
        return
    show = warnings.showwarning

    def show_and_log(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        show(message, category, filename, lineno, file, line)
        log_to_file("%s: %s (%s:%d)", category.__name__, message, filename, lineno, level=logging.WARNING)

    show_and_log.logs = True  # type: ignore[attr-defined]  # a mark on the function
    warnings.showwarning = show_and_log
    try:
        yield
    finally:
        if warnings.showwarning is show_and_log:
            warnings.showwarning = show


def _where() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


def _formatted(one: LogLine) -> str:
    moment = datetime.fromtimestamp(one.seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    head = f"{moment} {one.where} {logging.getLevelName(one.level).lower()}: "
    # Each line has its own time and process, so that `grep` shows them.
    return "".join(f"{head}{visible(line)}\n" for line in one.text.split("\n"))


def _append(path: Path, content: bytes) -> None:
    """Append bytes in one write, so that the texts of several processes are not interleaved."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        # On a disk that machines share, appending is safe under a lock only. It ends with the descriptor.
        _lock(descriptor)
        while content:
            content = content[os.write(descriptor, content) :]
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> None:
    try:
        import fcntl
    except ImportError:  # Windows
        return
    for _ in range(_LOCK_ATTEMPTS):
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            time.sleep(_LOCK_SECONDS)
        except OSError:
            # A disk without locks.
            return


def _install() -> None:
    if not any(isinstance(handler, _Terminal) for handler in LOGGER.handlers):
        LOGGER.addHandler(_Terminal())
        LOGGER.setLevel(logging.DEBUG)
        LOGGER.propagate = False


_install()
