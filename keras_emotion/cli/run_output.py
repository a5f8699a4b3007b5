"""Output of the commands that run experiments."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Iterator

import rich.console

from keras_emotion import experiment
from keras_emotion.schema import InputError
from keras_emotion.visible_text import visible_console

_FAILED_SHOWN = 20


def run_console() -> rich.console.Console:
    """Return the console of a run, 120 columns wide if standard output is not a terminal."""
    return visible_console(width=None if sys.stdout.isatty() else 120)


def print_line(console: rich.console.Console, text: str, *, markup: bool = False) -> None:
    """Print a line without wrapping and highlighting."""
    console.print(text, highlight=False, markup=markup, soft_wrap=True)


def print_differences(console: rich.console.Console, lines: Iterable[str], reference: str) -> None:
    """Print the differences of a run from `reference`, one line each."""
    for line in lines:
        print_line(console, f"differs from {reference}: {line}")


def print_failed(folder: experiment.RunFolder) -> int:
    """List the jobs whose training diverged on standard error, and return their number."""
    failed = folder.summary["failed"]
    for job in failed[:_FAILED_SHOWN]:
        left_out = f"; left out under every protocol: {', '.join(job['left_out'])}" if job["left_out"] else ""
        place = [f"{job['protocol']}, {job['target']}, subject {job['subject']}"]
        place += [f"session {job['session']}"] if job["session"] != "" else []
        place += [f"repetition {job['repetition']}, fold {job['fold']}"]
        place += [f"candidate {job['candidate']}"] if job["candidate"] else []
        print(f"failed: {', '.join(place)}: {job['reason']}{left_out}", file=sys.stderr)
    if len(failed) > _FAILED_SHOWN:
        print(f"failed: {len(failed) - _FAILED_SHOWN} more, see {folder.path / 'finished.json'}", file=sys.stderr)
    if failed:
        print(
            f"{len(failed)} training{'' if len(failed) == 1 else 's'} diverged: use a smaller --training.learning-rate "
            "and another --output; --resume keeps them as failed, --retry-failed repeats them",
            file=sys.stderr,
        )
    return len(failed)


@contextlib.contextmanager
def error_after_failures(n_failed: int) -> Iterator[None]:
    """Print an `InputError` instead of raising it if trainings diverged."""
    try:
        yield
    except InputError as error:
        if not n_failed:
            raise
        print(f"error: {error}", file=sys.stderr)


def print_cost(console: rich.console.Console, cost: experiment.Estimate) -> None:
    """Print the number of jobs and training steps, and the estimated time."""
    console.print(f"{cost.jobs} jobs to do, {cost.training_steps:,} training steps", highlight=False)
    console.print(
        f"about {cost.hours:.1f} hours with {cost.workers} worker(s), "
        f"from {cost.seconds_per_step * 1000:.0f} ms measured for a training step",
        highlight=False,
    )


def print_left_out(console: rich.console.Console, plan: experiment.Plan) -> None:
    """Print what a run leaves out, with reasons."""
    for line in experiment.left_out(plan):
        print_line(console, line)
