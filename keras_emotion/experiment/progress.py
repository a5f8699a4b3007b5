"""Progress of the jobs of a run."""

from __future__ import annotations

import dataclasses
import os
import sys
import time
from collections.abc import Iterable

import rich.console
import rich.progress

from keras_emotion.logs import LOGGER, log_to_file
from keras_emotion.messages import is_quiet
from keras_emotion.progress import format_duration
from keras_emotion.visible_text import visible_console


@dataclasses.dataclass(frozen=True)
class JobDone:
    """Finished job, as shown by the progress.

    Args:
        title: description of the job.
        accuracy: share of correct test windows; `None` if it failed, or another process did it.
        seconds: duration; `None` if another process did it.
        failed: reason of failure, or empty.
    """

    title: str
    accuracy: float | None = None
    seconds: float | None = None
    failed: str = ""


def print_lines(lines: Iterable[str]) -> None:
    """Log lines as one message, printed to standard error and shortened unless `--verbose` is given."""
    if text := "\n".join(lines):
        LOGGER.info(text)


def show_progress(done: Iterable[JobDone], total: int, before: int, mark: str) -> None:
    """Report each finished job in a line with the remaining time, and on terminals also by a progress bar.

    Nothing is shown with `--quiet`; the log file of the run has a line for each job.
    """
    console = visible_console(sys.stderr)
    columns = ("{task.description}", rich.progress.BarColumn(), rich.progress.MofNCompleteColumn())
    is_plain = is_quiet() or not console.is_terminal or "CI" in os.environ
    bar = rich.progress.Progress(*columns, console=console, disable=is_plain)
    started = time.perf_counter()
    with bar:
        task = bar.add_task("jobs", total=total, completed=before)
        for number, job in enumerate(done, start=1):
            passed = time.perf_counter() - started
            left = passed / number * (total - before - number)
            if job.failed:
                shown = f"failed, {job.failed}, {job.seconds:.1f} s"
            elif job.accuracy is None:
                shown = "done by another process"
            else:
                shown = f"accuracy {job.accuracy:.3f}{mark}, {job.seconds:.1f} s"
            bar.advance(task)
            line = f"[{before + number}/{total}] {job.title}: {shown}"
            log_to_file(line)
            if not is_quiet():
                line = f"{line}, {format_duration(left)} left"
                bar.console.print(line, markup=False, highlight=False, soft_wrap=True)
