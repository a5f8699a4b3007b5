"""What the commands that run experiments print."""

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
    """Return the console of a run, on standard output."""
    # Where nobody looks at a terminal, lines are not cut to its width.
    return visible_console(width=None if sys.stdout.isatty() else 120)


def print_line(console: rich.console.Console, text: str, *, markup: bool = False) -> None:
    """Print a line as it is: not cut to the width of the terminal, nothing in it highlighted."""
    console.print(text, highlight=False, markup=markup, soft_wrap=True)


def print_differences(console: rich.console.Console, lines: Iterable[str], reference: str) -> None:
    """Print what a run differs in from `reference`, a line each."""
    for line in lines:
        print_line(console, f"differs from {reference}: {line}")


def print_failed(folder: experiment.RunFolder) -> int:
    """List the jobs of a run whose training diverged on standard error; gives their number."""
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
    """Where trainings diverged, print what then cannot be reported in place of raising it."""
    try:
        yield
    except InputError as error:
        if not n_failed:
            raise
        print(f"error: {error}", file=sys.stderr)


def print_cost(console: rich.console.Console, cost: experiment.Estimate) -> None:
    """Print how much there is to do, and how long it takes."""
    console.print(f"{cost.jobs} jobs to do, {cost.training_steps:,} training steps", highlight=False)
    console.print(
        f"about {cost.hours:.1f} hours with {cost.workers} worker(s), "
        f"from {cost.seconds_per_step * 1000:.0f} ms measured for a training step",
        highlight=False,
    )


def print_left_out(console: rich.console.Console, plan: experiment.Plan) -> None:
    """Print what a run leaves out, and why."""
    for line in experiment.left_out(plan):
        print_line(console, line)
