"""Time and peak memory of the commands, and how both grow with the number of subjects and with the length of trials.

Each command is a separate process on synthetic recordings, with logistic regression on band powers in one worker.
Memory is the largest resident memory of the command or of any of its subprocesses; seconds are their total CPU time.
Growth is `(c16 - c4) / (c4 - c1) / 4` of the cost at 1, 4 and 16 times the data: 1 if the cost is a constant plus a
part proportional to the data, 4 if that part is quadratic.
"""

from __future__ import annotations

import csv
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from measurement import THREAD_VARIABLES, Outcome, in_fresh_process

SIZES = (1, 4, 16)
N_TRIALS, TRIAL_SECONDS = 8, 20
N_LONG_SUBJECTS = 2
"""Number of subjects when the length of trials varies."""
LARGEST_GROWTH = 1.5
"""Growth above which a relevant cost counts as faster than the data."""
LEAST_SHARE = 0.25
"""Minimum share of the growing part in the cost at 16 times the data; smaller differences are noise."""
FINISHED = {"subjects": 22, "targets": ("valence", "arousal"), "repetitions": 5, "folds": 10}
"""A run of 2,200 jobs, as in the table of 3FACRNN."""

ONE_CANDIDATE = ("--system.inverse-regularisation-grid", 1)
COMMANDS = ("describe", "run", "run again", "audit")


def command(*words: object) -> list[str]:
    """Return the command line of a keras_emotion command in a new interpreter."""
    return [sys.executable, "-m", "keras_emotion.cli", *map(str, words)]


def measured(words: Sequence[str]) -> dict[str, float]:
    """Measure seconds and peak memory of a command with all its subprocesses.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    variables = os.environ | dict.fromkeys(THREAD_VARIABLES, "1") | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    began = time.perf_counter()
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(words, env=variables, stdout=output, stderr=output)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            output.seek(0)
            sys.stderr.write(output.read().decode(errors="replace"))
            raise subprocess.CalledProcessError(process.returncode, words)
    return {
        "wall_seconds": time.perf_counter() - began,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "peak_mb": usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6,
    }


# --- called in fresh processes


def write(folder: str, n_subjects: int, trial_seconds: int) -> None:
    """Write synthetic recordings."""
    from keras_emotion.synthetic import write_recordings

    write_recordings(folder, n_subjects=n_subjects, n_trials=N_TRIALS, trial_seconds=trial_seconds)


def write_short(folder: str) -> None:
    """Write synthetic DEAP files with few trials: only the number of jobs matters here."""
    from keras_emotion.synthetic import write_deap

    write_deap(folder, n_subjects=FINISHED["subjects"], n_trials=4)


def draw(rows: list[dict[str, Any]], file: str) -> None:
    """Plot the cost of each command against the size of the data."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    axes_of = {("subjects", "cpu_seconds"): 0, ("subjects", "peak_mb"): 1, ("length", "cpu_seconds"): 2}
    axes_of["length", "peak_mb"] = 3
    figure, axes = plt.subplots(2, 2, figsize=(9, 6.5), sharex=True, layout="constrained")
    for (grown, quantity), place in axes_of.items():
        panel = axes.flat[place]
        for name, marker in zip(COMMANDS, "osD^", strict=True):
            own = [row for row in rows if row["grown"] == grown and row["command"] == name]
            panel.plot([row["size"] for row in own], [row[quantity] for row in own], marker=marker, label=name)
        panel.set(xscale="log", xticks=SIZES, xticklabels=map(str, SIZES), ylim=(0, None))
        panel.minorticks_off()
        panel.grid(alpha=0.3)
        panel.set_ylabel("processor time (s)" if quantity == "cpu_seconds" else "peak memory (MB)")
        panel.set_xlabel("subjects" if grown == "subjects" else f"length of trials (x {TRIAL_SECONDS} s)")
        panel.xaxis.set_tick_params(labelbottom=True)
    axes.flat[0].legend()
    figure.savefig(file, dpi=100)


# --- the benchmark


def benchmark(repeats: int = 1, full: bool = False, figures: Path | None = None) -> Outcome:
    """Measure each command at each size.

    Args:
        repeats: runs of each command; the median is reported.
        full: also measure a run of 2,200 jobs, which is started again after it has finished.
        figures: output folder for `cost.png` and `cost.csv`.
    """
    load, rows = [os.getloadavg()[0]], []
    if figures is not None:
        figures.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        parts = [
            _at_size(Path(folder, f"{grown}{size}"), grown, size, repeats)
            for grown in ("subjects", "length")
            for size in SIZES
        ]
        for row in itertools.chain(*parts, _finished_run(Path(folder, "finished")) if full else ()):
            rows.append(row)
            if figures is not None:
                # Each time: the whole takes long, and may be interrupted.
                _write_table(rows, figures / "cost.csv")
    load.append(os.getloadavg()[0])
    if figures is not None:
        in_fresh_process(draw, rows=rows, file=str(figures / "cost.png"))
    table, faster = [], []
    for grown in ("subjects", "length"):
        for name in COMMANDS:
            own = [row for row in rows if (row["grown"], row["command"]) == (grown, name)]
            cells = []
            for quantity in ("cpu_seconds", "peak_mb"):
                costs = [row[quantity] for row in own]
                cells += [f"{cost:.1f}" if quantity == "cpu_seconds" else f"{cost:.0f}" for cost in costs]
                cells.append(f"{growth(costs):.1f}" if matters(costs) else "-")
                if matters(costs) and growth(costs) > LARGEST_GROWTH:
                    faster.append(f"{name}, {quantity} by {grown}")
            table.append((f"{name}, by {grown}", *cells))
    table += [
        (row["command"], f"{row['cpu_seconds']:.1f}", "", "", "", f"{row['peak_mb']:.0f}", "", "", "")
        for row in rows
        if not row["grown"]
    ]
    by_size = [*(str(size) for size in SIZES), "growth"]
    return Outcome(
        title=f"Seconds of the processor and peak MB of commands, medians of {repeats}",
        columns=("", *(f"s {one}" for one in by_size), *(f"MB {one}" for one in by_size)),
        rows=tuple(table),
        notes=(
            f"Synthetic recordings of {N_TRIALS} trials of {TRIAL_SECONDS} s, 14 channels at 256 Hz: 1, 4 and 16 "
            f"subjects; or {N_LONG_SUBJECTS} subjects with trials 1, 4 and 16 times as long. The numbers are about "
            "cost, not about emotion.",
            "Growth: 1 is proportional to the data besides a constant, 4 quadratic; - where less than "
            f"{LEAST_SHARE:.0%} of the cost grows. Faster than the data: {'; '.join(faster) or 'none'}.",
            f"Every process that imports Keras takes some seconds for that. Load average {load[0]:.1f} before and "
            f"{load[1]:.1f} after.",
        ),
        measured={"load_average": load, "rows": rows},
        passed=not faster,
    )


def growth(costs: Sequence[float]) -> float:
    """Return the growth of a cost at 1, 4 and 16 times the data: 1 is linear, 4 quadratic."""
    first, second, third = costs
    return (third - second) / max(second - first, 1e-9) / 4


def matters(costs: Sequence[float]) -> bool:
    """Return whether the growing part of a cost exceeds the noise."""
    return costs[2] - costs[1] > LEAST_SHARE * costs[2]


def _write_table(rows: Sequence[dict[str, Any]], file: Path) -> None:
    with open(file, "w", newline="") as opened:
        writer = csv.DictWriter(opened, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows({k: round(v, 3) if isinstance(v, float) else v for k, v in row.items()} for row in rows)


def _at_size(folder: Path, grown: str, size: int, repeats: int) -> Iterator[dict[str, Any]]:
    """Measure all commands on data of one size."""
    data, by_subjects = folder / "data", grown == "subjects"
    in_fresh_process(
        write,
        folder=str(data),
        n_subjects=size if by_subjects else N_LONG_SUBJECTS,
        trial_seconds=TRIAL_SECONDS * (1 if by_subjects else size),
    )
    # Each repeat has its own run and feature store; a command uses the output of the one before it.
    for name in COMMANDS:
        runs = [measured(_words(name, data, folder / str(repeat))) for repeat in range(repeats)]
        yield {"grown": grown, "size": size, "command": name, **_medians(runs)}


def _words(name: str, data: Path, folder: Path) -> list[str]:
    """Return the command line of one of `COMMANDS`."""
    run = folder / "run"
    if name == "describe":
        return command("describe", data)
    if name == "audit":
        return command("audit", run, "--light-permutations", 19, "--workers", 1, "--output", folder / "audit")
    return command(
        *("run", "--model", "logistic_regression", "--dataset", "recordings", "--data-root", data),
        *("--target", "valence", "--output", run, "--workers", 1, "--feature-store", folder / "store"),
        *ONE_CANDIDATE,
    )


def _finished_run(folder: Path) -> Iterator[dict[str, Any]]:
    """Measure a run of 2,200 jobs, and the commands that use it after it has finished."""
    data, run = folder / "data", folder / "run"
    in_fresh_process(write_short, folder=str(data))
    train = command(
        *("run", "--model", "logistic_regression", "--dataset", "deap", "--data-root", data),
        *("--targets", *FINISHED["targets"], "--protocols", "as_published", "--output", run),
        *("--maximum-repetitions", FINISHED["repetitions"], "--maximum-folds", FINISHED["folds"]),
        *("--feature-store", folder / "store", "--workers", os.cpu_count()),
        *ONE_CANDIDATE,
    )
    n_jobs = FINISHED["subjects"] * len(FINISHED["targets"]) * FINISHED["repetitions"] * FINISHED["folds"]
    steps = {
        f"run of {n_jobs:,} jobs": train,
        "the same, finished, started again": train,
        "the same with --resume": [*train, "--resume"],
        "its report": command("report", run),
    }
    for name, words in steps.items():
        yield {"grown": "", "size": 0, "command": name, **measured(words)}
        if (n_done := len(list((run / "jobs").iterdir()))) != n_jobs:
            raise RuntimeError(f"{run}: has {n_done} jobs, not {n_jobs}")


def _medians(runs: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}
