"""Suppress the start-up log of native libraries (TensorFlow, MediaPipe, LiteRT), and speed up the import of Keras.

Environment variables alone are insufficient: TensorFlow and MediaPipe write some lines before they read them, or ignore
them. These lines are removed from standard error only while the libraries start; errors are still printed.

Keras imports 4500 modules, whose objects Python's garbage collector scans repeatedly, both during the import and when
the process ends. Without it, both together take 3.4 s instead of 5.7 s.
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
"""TensorFlow's environment variable. If the user sets it to 0, every line of every library is printed."""

_QUIET_LEVEL = "3"

_START_UP_LINES = (
    # Headings of logs, then information and warnings, in the formats of absl and TensorFlow.
    r"^WARNING: (All log messages before absl::InitializeLog|Logging before InitGoogle)",
    r"^[IW][0-9]{4} [0-9:.]+ +[0-9]+ [A-Za-z0-9_/.]+:[0-9]+\]",
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:.]+: [IW] ",
    r"^To enable the following instructions: ",
    r"^INFO: Created TensorFlow Lite ",
    # Logged as errors, but harmless: CUDA components that are registered twice, or a machine without a GPU.
    r"Unable to register cu[A-Za-z]+ factory",
    r"computation placer already registered",
    r"failed call to cuInit",
)


def quiet_start_up() -> None:
    """Suppress the start-up log of TensorFlow, and import Keras without garbage collection.

    Call it before TensorFlow and Keras are imported; afterwards it has no effect on this process. A log level that the
    user has set is kept.
    """
    os.environ.setdefault(LOG_LEVEL, _QUIET_LEVEL)
    for name, block in (("tensorflow", without_start_up_log), ("keras", without_collections)):
        is_awaited = any(isinstance(finder, _ImportWithin) and finder.name == name for finder in sys.meta_path)
        if name not in sys.modules and not is_awaited:
            # After the import hooks (this package has one for Keras): they wrap the loader that is changed here.
            place = sys.meta_path.index(PathFinder) if PathFinder in sys.meta_path else len(sys.meta_path)
            sys.meta_path.insert(place, _ImportWithin(name, block))


class _ImportWithin(importlib.abc.MetaPathFinder):
    """Import finder that executes a module within a context manager."""

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
    """Context manager without garbage collection; objects that exist at its end are excluded from later collections."""
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
    """Context manager that removes the start-up lines of native libraries from standard error.

    The lines pass through a separate process (`grep`), so that the last lines of a library that aborts are printed too.
    Nothing is filtered if the user requests the log (`TF_CPP_MIN_LOG_LEVEL=0`), or if `grep` is missing.
    """
    if os.environ.get(LOG_LEVEL, "0") in ("", "0") or sys.stderr is None:
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
        # In a separate session, so that Ctrl-C does not end it before the libraries have written.
        command = ["grep", "--line-buffered", "-a", "-v", "-E", *patterns]
        reader = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=original, start_new_session=True)
    except OSError:
        os.close(original)
        yield
        return
    pipe = reader.stdin
    assert pipe is not None  # because of `stdin=subprocess.PIPE`
    try:
        os.dup2(pipe.fileno(), 2)
        yield
    finally:
        sys.stderr.flush()
        os.dup2(original, 2)
        os.close(original)
        pipe.close()
        # With a timeout: a process that was started meanwhile keeps the other end open.
        with contextlib.suppress(subprocess.TimeoutExpired):
            reader.wait(timeout=2)
