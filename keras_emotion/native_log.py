"""Start native libraries (TensorFlow, MediaPipe, LiteRT) without their start-up log, and import Keras in less time.

Environment variables alone are not enough: TensorFlow and MediaPipe write some lines before they read any, or read
none. These lines are removed from standard error while the libraries start, and only then; errors are still printed.

Keras imports 4500 modules, and Python's garbage collector goes through all their objects again and again: while Keras
is imported and when the process ends. Without it, both together take 3.4 s instead of 5.7.
"""

from __future__ import annotations

import contextlib
import gc
import importlib.abc
import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.machinery import PathFinder

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
    """Set TensorFlow's log level where the user has set none, filter its log, and import Keras without collections.

    To be called before TensorFlow and Keras are imported; afterwards it has no effect on this process.
    """
    os.environ.setdefault(LOG_LEVEL, _QUIET_LEVEL)
    for name, block in (("tensorflow", without_start_up_log), ("keras", without_collections)):
        is_awaited = any(isinstance(finder, _ImportWithin) and finder.name == name for finder in sys.meta_path)
        if name not in sys.modules and not is_awaited:
            # Behind hooks (ours on Keras is one): theirs wrap the loader that is changed here.
            place = sys.meta_path.index(PathFinder) if PathFinder in sys.meta_path else len(sys.meta_path)
            sys.meta_path.insert(place, _ImportWithin(name, block))


class _ImportWithin(importlib.abc.MetaPathFinder):
    """Finder that imports a module within a block, whoever imports it."""

    def __init__(self, name: str, block: Callable[[], contextlib.AbstractContextManager]):
        self.name, self._block = name, block

    def find_spec(self, fullname, path=None, target=None):
        if fullname != self.name:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def exec_module(module):
                with self._block():
                    execute(module)

            spec.loader.exec_module = exec_module
        return spec


@contextlib.contextmanager
def without_collections() -> Iterator[None]:
    """A block without garbage collections; what is there at its end, no later collection goes through."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()


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
