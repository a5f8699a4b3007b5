"""What all benchmarks need: functions called in fresh processes of so many threads, and what is printed of them."""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a benchmark found.

    Args:
        title: what was measured.
        columns: heads of the printed table.
        rows: its cells.
        notes: sentences printed below it.
        measured: every single measurement, JSON-able.
        passed: whether the results that should agree do.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]
    measured: dict[str, Any]
    passed: bool


def in_fresh_process(function: Callable[..., Any], threads: int = 1, **arguments: Any) -> Any:
    """Calls a function of a module in this folder in a new interpreter, numerical libraries held to so many threads.

    The caller must stay small: on Linux a new process starts with the peak memory of the one that made it.

    Args:
        function: a function at the top of its module.
        threads: of the libraries that heed the environment; the function learns of them from `n_threads`.
        **arguments: JSON-able.

    Returns:
        What the function returned, through JSON.

    Raises:
        subprocess.CalledProcessError: the function raised; its traceback is on the standard error.
    """
    command = [sys.executable, __file__, function.__module__, function.__name__, json.dumps(arguments)]
    variables = os.environ | dict.fromkeys(THREAD_VARIABLES, str(threads))
    answer = subprocess.run(command, env=variables, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(answer.stdout)


def n_threads() -> int:
    """Threads that this process was started with by `in_fresh_process`."""
    return int(os.environ[THREAD_VARIABLES[0]])


def environment() -> dict[str, Any]:
    """Machine, versions and date of a run, as the records of experiments have them."""
    # Imports more than the measuring process should hold: to be called through `in_fresh_process`.
    from keras_emotion.environment import environment

    return environment(threads_per_worker=1, n_workers=1)


if __name__ == "__main__":
    module_name, function_name, arguments = sys.argv[1:]
    print(json.dumps(getattr(importlib.import_module(module_name), function_name)(**json.loads(arguments))))
