"""Observe side effects of code: opened files, memory use."""

from __future__ import annotations

import contextlib
import os
import sys
import tracemalloc
from collections.abc import Iterator
from typing import Any

_OPENED: list[set[str]] = []
_is_listening = False


@contextlib.contextmanager
def opened_files() -> Iterator[set[str]]:
    """Collect the real paths of files opened by Python; files opened inside C libraries are not detected."""
    global _is_listening
    if not _is_listening:
        # An audit hook cannot be removed: there is only one, which is inactive outside this context.
        sys.addaudithook(_note_opened)
        _is_listening = True
    opened: set[str] = set()
    _OPENED.append(opened)
    try:
        yield opened
    finally:
        _OPENED.remove(opened)


def _note_opened(event: str, arguments: tuple[Any, ...]) -> None:
    if _OPENED and event == "open" and isinstance(arguments[0], (str, bytes, os.PathLike)):
        path = os.path.realpath(os.fsdecode(arguments[0]))
        for opened in _OPENED:
            opened.add(path)


@contextlib.contextmanager
def peak_memory() -> Iterator[list[int]]:
    """Measure the peak memory of Python and NumPy objects in bytes."""
    peak = [0]
    was_tracing = tracemalloc.is_tracing()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    try:
        yield peak
    finally:
        peak[0] = tracemalloc.get_traced_memory()[1] - before
        if not was_tracing:
            tracemalloc.stop()
