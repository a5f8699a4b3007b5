"""Progress of long work, in lines on standard error and in the log file of a run."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from keras_emotion.logs import log_to_file
from keras_emotion.messages import is_quiet

_SECONDS_BETWEEN_LINES = 10

_T = TypeVar("_T")


def print_progress(line: str) -> None:
    """Print a line of progress to standard error, unless `--quiet` is given."""
    if not is_quiet() and sys.stderr is not None:
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()


def reported(
    results: Iterable[_T], what: str, total: int, count: Callable[[_T], int] = lambda result: 1
) -> Iterator[_T]:
    """Yield results, and report their number in a line every ten seconds at most; short work is not reported.

    Args:
        results: the results, each yielded when it is available.
        what: name of the tasks, begins each line.
        total: number of tasks.
        count: number of tasks that a result stands for; one by default.
    """
    started = said = time.perf_counter()
    done = 0
    # A first result can take an hour.
    first = threading.Timer(_SECONDS_BETWEEN_LINES, print_progress, [f"{what}: 0 of {total} done"])
    first.daemon = True
    first.start()
    try:
        for result in results:
            first.cancel()
            done += count(result)
            now = time.perf_counter()
            if now - said > _SECONDS_BETWEEN_LINES or (done == total and said != started):
                said = now
                left = format_duration((now - started) / done * (total - done))
                line = f"{what}: {done} of {total} done, {left} left"
                log_to_file(line)
                print_progress(line)
            yield result
    finally:
        first.cancel()


def format_duration(seconds: float) -> str:
    """Format seconds as `1:02:03`."""
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}"
