"""GPU speed-up: a training step by precision and XLA, and many folds at once, within a given time.

Each measurement is a new process, and is started only if it fits into the remaining time, so that a machine borrowed
for minutes yields complete numbers and a list of the missing ones. It also runs on a CPU, whose numbers are the
reference of the GPU's.
"""

from __future__ import annotations

import importlib.util
import os
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

import folds
from measurement import Outcome, in_fresh_process

NETWORKS = ("3FACRNN EEG", "MERCL, contrastive stage", "MERCL, classifier")
"""Width of the papers; batches of 128 windows and of 64 blocks."""
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
N_WARM_UP = 3
TIMED_SECONDS, MOST_STEPS = 2.0, 200
"""Duration of timing a step, and its maximum number."""
LONGEST_SECONDS = 60.0
"""Estimated duration of a measurement before one of its kind has been made."""


# --- run in a new process


def measure(network: str, precision: str, xla: bool, backend: str) -> dict[str, Any]:
    """Measure the median seconds of a training step, with the loss read after each; and of the first one."""
    os.environ |= {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    import keras
    import train

    from keras_emotion.environment import visible_gpus

    keras.utils.set_random_seed(0)
    training = train.NETWORKS[network]
    model = training.ours(None, precision)
    inputs, labels = training.batch()
    inputs, targets = keras.tree.map_structure(keras.ops.convert_to_tensor, (inputs, training.ours_targets(labels)))
    model.compile(keras.optimizers.Adam(train.LEARNING_RATE), jit_compile=xla, **training.ours_losses())
    began = time.perf_counter()
    losses = [float(model.train_on_batch(inputs, targets))]
    first_seconds = time.perf_counter() - began
    losses += [float(model.train_on_batch(inputs, targets)) for _ in range(N_WARM_UP - 1)]
    seconds: list[float] = []
    while len(seconds) < MOST_STEPS and sum(seconds) < TIMED_SECONDS:
        began = time.perf_counter()
        losses.append(float(model.train_on_batch(inputs, targets)))
        seconds.append(time.perf_counter() - began)
    gpus = visible_gpus()
    return {
        "seconds": statistics.median(seconds),
        "first_seconds": first_seconds,
        "n_steps": len(seconds),
        "device": gpus[0] if gpus else "cpu",
        "finite": all(loss == loss and abs(loss) != float("inf") for loss in losses),
    }


# --- the benchmark


def benchmark(minutes: float = 10.0) -> Outcome:
    """Measure for a limited time.

    Args:
        minutes: time limit; a measurement that exceeds the remaining time is not started.
    """
    ends = time.monotonic() + 60 * minutes
    backend = "tensorflow" if importlib.util.find_spec("tensorflow") else "jax"
    # XLA compiles everything on JAX.
    settings = [
        (precision, xla) for precision in PRECISIONS for xla in ((True, False) if backend == "tensorflow" else (True,))
    ]
    runs: dict[str, Any] = {}
    left_out, longest = [], LONGEST_SECONDS
    for network in NETWORKS:
        for precision, xla in settings:
            name = f"{network}, {precision}, XLA {'on' if xla else 'off'}"
            if time.monotonic() + longest > ends:
                left_out.append(name)
                continue
            began = time.monotonic()
            run = _attempt(measure, network=network, precision=precision, xla=xla, backend=backend)
            longest = max(longest if runs else 0.0, time.monotonic() - began)
            runs[name] = run
    rows = [_row(name, run, runs.get(_reference(name, backend))) for name, run in runs.items()]
    with tempfile.TemporaryDirectory() as folder:
        for one in folds.CONTENDERS:
            name = f"3FACRNN EEG, folds: {one.name}"
            if importlib.util.find_spec(one.backend) is None:
                continue
            if time.monotonic() + 2 * longest > ends:
                left_out.append(name)
                continue
            arguments = {"backend": one.backend, "engine": one.engine, "folder": folder, "width_multiplier": 1.0}
            run = _attempt(folds.measure, **arguments)
            runs[name] = run
            seconds = run.get("seconds")
            shown = run["error"] if seconds is None else f"{seconds:.2f} s per training of {folds.N_EPOCHS} epochs"
            rows.append((name, run.get("device", ""), shown, "", "", ""))
    failed = [name for name, run in runs.items() if "error" in run or not run.get("finite", True)]
    return Outcome(
        title=f"Training on this machine, Keras backend {backend}",
        columns=("", "device", "ms per step", "to float32 without XLA", "first step, s", "steps timed"),
        rows=tuple(rows),
        notes=(
            "Random inputs of the papers' sizes in memory: the numbers are about speed, not about emotion.",
            "The loss is read after each step, so that every step is complete.",
            *(["On JAX everything is compiled by XLA: the ratio is relative to float32."] if backend == "jax" else []),
            *([f"Not measured for lack of time: {'; '.join(left_out)}."] if left_out else []),
            *([f"Failed, or non-finite losses: {'; '.join(failed)}."] if failed else []),
        ),
        measured={"runs": runs, "left_out": left_out, "minutes": minutes},
        passed=not failed,
    )


def _attempt(function: Any, **arguments: Any) -> dict[str, Any]:
    """Return the result of a measurement; a failure does not stop the others."""
    try:
        return in_fresh_process(function, threads=os.cpu_count() or 1, **arguments)
    except subprocess.CalledProcessError as error:
        print(f"{arguments}: ended with code {error.returncode}; its message is above", file=sys.stderr)
        return {"error": f"code {error.returncode}"}


def _reference(name: str, backend: str) -> str:
    network = name.rsplit(", ", 2)[0]
    return f"{network}, float32, XLA {'on' if backend == 'jax' else 'off'}"


def _row(name: str, run: dict[str, Any], reference: dict[str, Any] | None) -> tuple[str, ...]:
    if "error" in run:
        return name, "", run["error"], "", "", ""
    ratio = f"{run['seconds'] / reference['seconds']:.2f}" if reference and "seconds" in reference else ""
    return (
        name,
        run["device"],
        f"{1000 * run['seconds']:.2f}",
        ratio,
        f"{run['first_seconds']:.1f}",
        str(run["n_steps"]),
    )
