"""Shared by all benchmarks: functions run in new processes with a given number of threads, and printed results."""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import json
import os
import resource
import subprocess
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)


AGREEMENT = 1e-5
"""Largest difference between results by the same convention, relative for values beyond 1 and -1: about twenty
steps of a float32 near 5.

Rounding is not the only cause: TorchEEG filters with the polynomials of ten poles, we with sums of exponentials.
"""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """Result of a benchmark.

    Args:
        title: what was measured.
        columns: heads of the printed table.
        rows: its cells.
        notes: sentences printed below it.
        measured: every single measurement, JSON-able.
        passed: whether the results agree as required.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]
    measured: dict[str, Any]
    passed: bool


def in_fresh_process(function: Callable[..., Any], threads: int = 1, **arguments: Any) -> Any:
    """Call a function of a module in this folder in a new interpreter, with a given number of threads.

    The caller must stay small: on Linux a new process inherits the peak memory of its parent.

    Args:
        function: a function at the top of its module.
        threads: number of threads of libraries that follow the environment; the function reads it from `n_threads`.
        **arguments: JSON-able.

    Returns:
        The result of the function, through JSON.

    Raises:
        subprocess.CalledProcessError: the function raised; its traceback is on standard error.
    """
    command = command_of(function, **arguments)
    variables = os.environ | dict.fromkeys(THREAD_VARIABLES, str(threads))
    answer = subprocess.run(command, env=variables, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(answer.stdout)


def command_of(function: Callable[..., Any], **arguments: Any) -> list[str]:
    """Command that calls a function of a module in this folder and prints what it returns as JSON; see above."""
    return [sys.executable, __file__, function.__module__, function.__name__, json.dumps(arguments)]


def n_threads() -> int:
    """Return the number of threads with which `in_fresh_process` started this process."""
    return int(os.environ[THREAD_VARIABLES[0]])


def environment() -> dict[str, Any]:
    """Return machine, versions and date of a run, as in the records of experiments."""
    # Imports more than the measuring process should hold: call it through `in_fresh_process`.
    from keras_emotion.environment import environment

    return environment(threads_per_worker=1, n_workers=1)


def clocks() -> Any:
    """Return `(2,)` seconds: wall time and CPU time of this process."""
    import numpy as np

    return np.array([time.perf_counter(), time.process_time()])


def peak_memory_bytes() -> int:
    """Return the peak memory of this process in bytes."""
    # Linux counts in kB, macOS in bytes.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def largest_difference(files: list[str], n_columns: int | None = None) -> dict[str, Any]:
    """Return the largest difference of two feature arrays on the trials of both (see `AGREEMENT`), and their range.

    Args:
        files: the two files.
        n_columns: number of columns at the end of the last axis to compare; default: all.
    """
    import numpy as np

    first, second = (np.load(file)[..., -n_columns if n_columns else 0 :] for file in files)
    n_samples = min(len(first), len(second))
    first, second = first[:n_samples].astype(np.float64), second[:n_samples].astype(np.float64)
    return {
        "max_difference": float((np.abs(first - second) / np.maximum(1, np.abs(second))).max()),
        "range": [float(second.min()), float(second.max())],
        "n_samples": n_samples,
    }


def without_initialisation(*packages: str) -> None:
    """Allow imports of TorchEEG modules without running the `__init__` of their packages.

    Those import everything, including PyTorch, LMDB, WFDB and a package that must be compiled; the modules compared
    here need NumPy and SciPy.
    """
    root = Path(importlib.util.find_spec("torcheeg").origin).parent
    for package in packages:
        module = types.ModuleType(package)
        module.__path__ = [str(root.joinpath(*package.split(".")[1:]))]
        sys.modules[package] = module


if __name__ == "__main__":
    module_name, function_name, arguments = sys.argv[1:]
    print(json.dumps(getattr(importlib.import_module(module_name), function_name)(**json.loads(arguments))))
