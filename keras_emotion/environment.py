"""Record the software and hardware environment of a run."""

from __future__ import annotations

import functools
import importlib.metadata
import itertools
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from keras_emotion import __version__
from keras_emotion.keras_settings import DEFAULT_BACKEND, KERAS_SETTINGS, running_backend

_PACKAGES = (
    "keras_emotion",
    "tensorflow",
    "keras",
    "jax",
    "torch",
    "numpy",
    "scipy",
    "mne",
    "pandas",
    "scikit-learn",
    "joblib",
)

_READERS = ("h5py", "mediapipe", "av", "opencv-contrib-python", "librosa", "matplotlib", "pydantic")
"""Further packages that a bug report has to list."""

_VARIABLES = ("KERAS_", "TF_", "JAX_", "XLA_", "CUDA_VISIBLE_DEVICES", "NVIDIA_TF32_OVERRIDE")
"""Prefixes of the environment variables that change how a backend computes."""


def environment(threads_per_worker: int, n_workers: int) -> dict[str, Any]:
    """Return versions, machine, commit and command as JSON-able values."""
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": " ".join([Path(sys.executable).name, *sys.argv]),
        "python": platform.python_version(),
        "packages": package_versions(),
        "git_commit": _git_commit(),
        "backend": running_backend() or DEFAULT_BACKEND,
        "keras_settings": KERAS_SETTINGS,
        "variables": {name: value for name, value in sorted(os.environ.items()) if name.startswith(_VARIABLES)},
        "platform": platform.platform(),
        "cpu": _cpu(),
        "n_cores": os.cpu_count(),
        "gpu": _gpus(),
        "threads_per_worker": threads_per_worker,
        "jobs": n_workers,
    }


@functools.cache
def package_versions() -> dict[str, str]:
    """Return the versions of the installed packages that affect results."""
    return {name: version for name in _PACKAGES if (version := _version(name))}


def different_versions(there: Mapping[str, str], here: Mapping[str, str]) -> list[str]:
    """List the packages whose versions differ, as `numpy 2.0.1 (here 2.1.0)`.

    Args:
        there: versions by package, of another process or an earlier start.
        here: versions by package to compare with.
    """
    both = [name for name in here if name in there]
    return [f"{name} {there[name]} (here {here[name]})" for name in both if there[name] != here[name]]


def versions() -> dict[str, str]:
    """Return the versions of Python, this package and installed libraries, and the system, without importing them."""
    found = {name: _version(name) or "not installed" for name in (*_PACKAGES, *_READERS)}
    return {
        "keras_emotion": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "cores": str(os.cpu_count()),
        **{name: version for name, version in found.items() if name != "keras_emotion"},
    }


def visible_gpus() -> list[str]:
    """Return the ids of the NVIDIA GPUs visible to this process, as in `CUDA_VISIBLE_DEVICES`.

    The backend is not imported.
    """
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        # As CUDA reads it: ids after the first invalid one are ignored ("-1": no GPU).
        names = (name.strip() for name in chosen.split(","))
        return list(itertools.takewhile(lambda name: name and not name.startswith("-"), names))
    numbers = (path.name.removeprefix("nvidia") for path in Path("/dev").glob("nvidia[0-9]*"))
    return sorted((number for number in numbers if number.isdecimal()), key=int)


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _git_commit() -> str | None:
    folder = Path(__file__).parent
    answer = _output(["git", "-C", str(folder), "rev-parse", "HEAD"])
    changed = _output(["git", "-C", str(folder), "status", "--porcelain", "--untracked-files=no"])
    return f"{answer}{' with changes' if changed else ''}" if answer else None


def _cpu() -> str:
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _gpus() -> list[str]:
    answer = _output(["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"])
    return answer.splitlines() if answer else []


def _output(command: list[str]) -> str | None:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout.strip()
    except (FileNotFoundError, subprocess.CalledProcessError, subprocess.TimeoutExpired):
        return None
