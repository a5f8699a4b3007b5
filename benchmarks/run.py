"""Speed and memory of keras_emotion compared with named peers: `python benchmarks/run.py --only features`."""

from __future__ import annotations

import dataclasses
import inspect
import json
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import cost
import faces
import features
import folds
import gpu
import images
import pipeline
import rich.box
import rich.console
import rich.measure
import rich.padding
import rich.table
import rich.text
import seed
import soak
import train
from measurement import Outcome, environment, in_fresh_process

from keras_emotion.cli.exits import with_exit_codes
from keras_emotion.cli.parser import call
from keras_emotion.options import Option

BENCHMARKS: dict[str, Callable[..., Outcome]] = {
    "features": features.benchmark,
    "faces": faces.benchmark,
    "pipeline": pipeline.benchmark,
    "train": train.benchmark,
    "folds": folds.benchmark,
    "seed": seed.benchmark,
    "images": images.benchmark,
    "gpu": gpu.benchmark,
    "soak": soak.benchmark,
    "cost": cost.benchmark,
}
"""Benchmarks by the name for `--only`; each is called with those of `data_root`, `repeats`, `full`, `threads`,
`minutes`, `speed` and `figures` that it has as parameters."""


APART = ("gpu", "soak")
"""Only run on request: one needs a GPU, the other mne-lsl and a machine without other load."""


def main(
    only: tuple[Literal[tuple(BENCHMARKS)], ...] = tuple(name for name in BENCHMARKS if name not in APART),
    data_root: Path | None = None,
    repeats: int | None = None,
    full: bool = False,
    threads: int | None = None,
    minutes: float | None = None,
    speed: float | None = None,
    figures: Path | None = None,
    json_file: Annotated[Path | None, Option(name="json")] = None,
) -> int:
    """Run benchmarks and print a table of each.

    Args:
        only: the benchmarks to run; default: all except `gpu` and `soak`.
        data_root: folder of DEAP, for faces also a video; default: synthetic data of the same size in a temporary
            folder.
        repeats: number of runs per contender, whose median is printed; default 5, for `train` 3.
        full: measure slow peers on all of the data instead of a stated part.
        threads: threads of the contenders of `train`; default: one for each core; the others have one.
        minutes: time limit of `gpu` (default: 10); length of the signal that `soak` plays (default: 60).
        speed: playback speed of `soak`, in multiples of real time; default 20.
        figures: folder for the plot and the table of `cost`.
        json_file: file for every single measurement.

    Returns:
        The exit code: 1 if a process failed or results disagree, else 0.

    Examples:
        python benchmarks/run.py --only features
    """
    console = rich.console.Console()
    options = {
        "data_root": data_root,
        "repeats": repeats,
        "full": full,
        "threads": threads,
        "minutes": minutes,
        "speed": speed,
        "figures": figures,
    }
    machine = in_fresh_process(environment) | {"command": shlex.join(["python", *sys.argv])}
    try:
        outcomes = {name: BENCHMARKS[name](**_accepted(BENCHMARKS[name], options)) for name in only}
    except subprocess.CalledProcessError as error:
        console.print(f"A measuring process ended with code {error.returncode}; its message is above.")
        return 1
    for outcome in outcomes.values():
        print_rows(console, outcome)
        for note in outcome.notes:
            console.print(f"- {note}", highlight=False, soft_wrap=True)
    versions = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    console.print(
        f"- {machine['started']}, {machine['cpu']}, {machine['n_cores']} cores, {machine['platform']}; "
        f"Python {machine['python']}, {versions}; commit {machine['git_commit']}\n- `{machine['command']}`",
        highlight=False,
        soft_wrap=True,
    )
    if json_file is not None:
        json_file.write_text(
            json.dumps(
                {"environment": machine} | {name: dataclasses.asdict(o) for name, o in outcomes.items()}, indent=1
            )
        )
    return 0 if all(outcome.passed for outcome in outcomes.values()) else 1


def print_rows(console: rich.console.Console, outcome: Outcome) -> None:
    """Print the rows as a Markdown table; on a narrow console each row as a paragraph."""
    table = rich.table.Table(box=rich.box.MARKDOWN, title=outcome.title, title_justify="left")
    for index, column in enumerate(outcome.columns):
        table.add_column(column, justify="right" if 0 < index < len(outcome.columns) - 1 else "left", no_wrap=True)
    for row in outcome.rows:
        table.add_row(*row)
    needed = rich.measure.Measurement.get(console, console.options.update(max_width=10_000), table).maximum
    if needed <= console.width:
        console.print(table)
        return
    console.print(outcome.title, style="italic", highlight=False, markup=False)
    for name, *cells in outcome.rows:
        console.print(name, style="bold", highlight=False, markup=False)
        values = [f"{column} {cell}" for column, cell in zip(outcome.columns[1:], cells, strict=True) if cell]
        text = "; ".join(values)
        console.print(rich.padding.Padding(rich.text.Text(text), (0, 0, 0, 2)))


def _accepted(benchmark: Callable[..., Outcome], options: dict[str, Any]) -> dict[str, Any]:
    """Return the given options that a benchmark has."""
    parameters = inspect.signature(benchmark).parameters
    return {name: value for name, value in options.items() if name in parameters and value is not None}


if __name__ == "__main__":
    sys.exit(with_exit_codes(call)(main, sys.argv[1:], "python benchmarks/run.py"))
