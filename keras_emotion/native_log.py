"""Suppress the start-up log of native libraries (TensorFlow, MediaPipe, LiteRT); their errors are still printed.

Environment variables alone are not enough: TensorFlow and MediaPipe write some lines before they read any, or read
none. These lines are removed from standard error while the libraries start, and only then.
"""

from __future__ import annotations

import contextlib
import importlib.abc
import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator

LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
"""Environment variable of TensorFlow. A user who sets it to 0 gets every line of every library."""

_QUIET_LEVEL = "3"

_START_UP_LINES = (
    # Headings of logs, then information and warnings, in the formats of absl and of TensorFlow.
    r"^WARNING: (All log messages before absl::InitializeLog|Logging before InitGoogle)",
    r"^[IW][0-9]{4} [0-9:.]+ +[0-9]+ [A-Za-z0-9_/.]+:[0-9]+\]",
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:.]+: [IW] ",
    r"^To enable the following instructions: ",
    r"^INFO: Created TensorFlow Lite ",
    # Logged as errors, without any consequence: parts of CUDA that are registered twice, or a machine without a GPU.
    r"Unable to register cu[A-Za-z]+ factory",
    r"computation placer already registered",
    r"failed call to cuInit",
)


def quiet_start_up() -> None:
    """Set TensorFlow's log level where the user has set none, and filter its log while it is imported.

    To be called before TensorFlow is imported; afterwards it has no effect on this process.
    """
    os.environ.setdefault(LOG_LEVEL, _QUIET_LEVEL)
    if "tensorflow" not in sys.modules and not any(isinstance(finder, _QuietImport) for finder in sys.meta_path):
        sys.meta_path.insert(0, _QuietImport())


class _QuietImport(importlib.abc.MetaPathFinder):
    """Finder that filters standard error while `tensorflow` is imported, whoever imports it."""

    def find_spec(self, fullname, path=None, target=None):
        if fullname != "tensorflow":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def exec_module(module):
                with without_start_up_log():
                    execute(module)

            spec.loader.exec_module = exec_module
        return spec


@contextlib.contextmanager
def without_start_up_log() -> Iterator[None]:
    """Remove the start-up lines of native libraries from standard error in a block; all other lines are printed.

    The lines pass through a process of their own (`grep`), so that the last words of a library that aborts are printed
    too. Nothing is filtered where the user asks for the log (`TF_CPP_MIN_LOG_LEVEL=0`), or without `grep`.
    """
    if os.environ.get(LOG_LEVEL, "0") in ("", "0"):
        yield
        return
    patterns = [word for pattern in _START_UP_LINES for word in ("-e", pattern)]
    sys.stderr.flush()
    try:
        original = os.dup(2)
    except OSError:
        # Standard error is closed.
        yield
        return
    try:
        # In a session of its own: Ctrl-C does not end it before the libraries have written.
        command = ["grep", "--line-buffered", "-a", "-v", "-E", *patterns]
        reader = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=original, start_new_session=True)
    except OSError:
        os.close(original)
        yield
        return
    try:
        os.dup2(reader.stdin.fileno(), 2)
        yield
    finally:
        sys.stderr.flush()
        os.dup2(original, 2)
        os.close(original)
        reader.stdin.close()
        # Not without end: a process that was started meanwhile keeps the other end open.
        with contextlib.suppress(subprocess.TimeoutExpired):
            reader.wait(timeout=2)
