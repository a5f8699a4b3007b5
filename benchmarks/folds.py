"""Folds of 3FACRNN's EEG network on a subject of DEAP's size: one after another, and many at once."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from measurement import Outcome, in_fresh_process

TABLE_FOLDS = 22 * 2 * 5 * 10
"""Trainings of one table of the paper: subjects, targets, repetitions, folds."""
TABLE_EPOCHS = 100
N_EPOCHS = 2
"""Epochs of each timed training; the overhead of a training (weights, predictions) weighs more than in the table."""
FOLDS_AT_ONCE = {"cpu": 4, "gpu": 50}
"""Number of folds at once; no speed-up from more on a CPU."""


@dataclasses.dataclass(frozen=True)
class Contender:
    """Engine on a backend.

    Args:
        backend: Keras backend.
        engine: engine of keras_emotion.
    """

    backend: str
    engine: str

    @property
    def name(self) -> str:
        """Name in the table."""
        return f"{self.engine}, {self.backend}"


CONTENDERS = (Contender("tensorflow", "processes"), Contender("jax", "processes"), Contender("jax", "vectorized"))


# --- run in new processes


def measure(backend: str, engine: str, folder: str, width_multiplier: float) -> dict[str, Any]:
    """Measure wall seconds of a training, on the whole machine, without compilation.

    Every worker has trained one fold, or the first group of folds, before timing starts.
    """
    os.environ |= {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    from keras_emotion.datasets import DEAP
    from keras_emotion.environment import visible_gpus
    from keras_emotion.experiment import Runtime, Training, prepare, training, vectorized
    from keras_emotion.experiment.engine import in_workers
    from keras_emotion.synthetic import write_deap
    from keras_emotion.systems.facrnn import FACRNN, FACRNNExperiment

    data = Path(folder, "deap")
    if not data.is_dir():
        write_deap(data, n_subjects=1, n_trials=40)
    device = "gpu" if visible_gpus() else "cpu"
    at_once = FOLDS_AT_ONCE[device]
    experiment = FACRNNExperiment(
        name="benchmark",
        dataset="deap",
        subjects=(1,),
        targets=("valence",),
        protocols=("as_published",),
        system=FACRNN(width_multiplier=width_multiplier),
        training=Training(epochs=N_EPOCHS, learning_rate=1e-3),
        runtime=Runtime(feature_store=Path(folder, "features"), engine=engine, folds_at_once=at_once),
    )
    plan, _ = prepare(experiment, DEAP(data))
    jobs = [job for job, _ in plan.jobs()[0]]
    if engine == "vectorized":
        tasks = [(vectorized.run_jobs, ([(plan, job) for job in jobs[:at_once]],))] * 2
        warm_up, timed, n_timed = tasks[:1], tasks[1:], at_once
    else:
        workers = experiment.runtime.n_workers
        tasks = [(training.run_job, (plan, job)) for job in jobs]
        warm_up, timed, n_timed = tasks[:workers], tasks[workers : 3 * workers], 2 * workers
    list(in_workers(experiment.runtime, warm_up, trains=True))
    began = time.perf_counter()
    list(in_workers(experiment.runtime, timed, trains=True))
    return {"seconds": (time.perf_counter() - began) / n_timed, "device": device, "n_timed": n_timed}


# --- the benchmark


def benchmark(repeats: int = 1, full: bool = False) -> Outcome:
    """Measure every contender `repeats` times, in turns, so that other load on the machine affects all of them equally.

    Args:
        repeats: number of new processes per contender.
        full: the network with the paper's width, in addition to a quarter of it (preset `reduced`).
    """
    there = [one for one in CONTENDERS if importlib.util.find_spec(one.backend) is not None]
    widths = (0.25, 1.0) if full else (0.25,)
    load = [os.getloadavg()[0]]
    runs: dict[float, dict[str, list[dict[str, Any]]]] = {width: {one.name: [] for one in there} for width in widths}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(repeats):
            for width in widths:
                for one in there:
                    arguments = {**dataclasses.asdict(one), "folder": folder, "width_multiplier": width}
                    runs[width][one.name].append(in_fresh_process(measure, **arguments))
    load.append(os.getloadavg()[0])
    missing = [one.name for one in CONTENDERS if one not in there]
    return Outcome(
        title=f"Trainings of folds ({N_EPOCHS} epochs), using the whole machine, medians of {repeats}",
        columns=("", "device", "s per training", "trainings/h", "ratio", "whole table, h", "measured"),
        rows=tuple(_row(name, width, runs[width]) for width in widths for name in runs[width]),
        notes=(
            "3FACRNN's EEG network, 1,200 windows of one subject of synthetic data in DEAP's format: the numbers are "
            "about speed, not about emotion.",
            f"The whole table: {TABLE_FOLDS:,} trainings of {TABLE_EPOCHS} epochs (22 subjects x 2 targets x 5 "
            f"repetitions x 10 folds) = {TABLE_FOLDS:,} x {TABLE_EPOCHS} / {N_EPOCHS} x seconds / 3600.",
            *(f"{name}: the backend is not installed." for name in missing),
            "Compilation is excluded. Wall times depend on other load; load average "
            f"{load[0]:.1f} before and {load[1]:.1f} after.",
        ),
        measured={"load_average": load, "runs": {str(width): one for width, one in runs.items()}},
        passed=True,
    )


def _row(name: str, width: float, runs: dict[str, list[dict[str, Any]]]) -> tuple[str, ...]:
    seconds = {other: statistics.median(run["seconds"] for run in those) for other, those in runs.items()}
    first = runs[name][0]
    return (
        f"width {width:g}: {name}",
        first["device"],
        f"{seconds[name]:.1f}",
        f"{3600 / seconds[name]:.0f}",
        f"{seconds[name] / next(iter(seconds.values())):.2f}",
        f"{TABLE_FOLDS * TABLE_EPOCHS / N_EPOCHS * seconds[name] / 3600:.0f}",
        f"{' + '.join(str(run['n_timed']) for run in runs[name])} trainings",
    )
