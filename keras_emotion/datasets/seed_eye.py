"""Read eye movements of SEED-IV and SEED-VII: window features, and events, one variable per trial."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from keras_emotion.datasets.matlab import read_variables, variable_shapes
from keras_emotion.schema import EyeEvents, InputError

_NUMBER = re.compile(r".*?(\d+)")


@functools.lru_cache(maxsize=64)
def _variables(path: Path, size: int, modified_ns: int) -> Mapping[int, str]:
    found: dict[int, str] = {}
    for name in variable_shapes(path):
        match = _NUMBER.fullmatch(name)
        if match is None:
            continue
        other = found.setdefault(int(match[1]), name)
        if other != name:
            raise InputError(f"{path}: variables {other} and {name} have the same number; copy the file again")
    return found


def variables_by_number(path: Path) -> Mapping[int, str]:
    """Return the variable names of a MATLAB file by the number at their end.

    Raises:
        InputError: the file cannot be read, or two names end with the same number.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); copy it again") from None
    return _variables(path, status.st_size, status.st_mtime_ns)


def _values(path: Path, number: int) -> np.ndarray:
    name = variables_by_number(path).get(number)
    if name is None:
        raise InputError(f"{path}: missing variable of trial {number}; copy the file again")
    array = read_variables(path, (name,))[name]
    if array.dtype.kind not in "fiu" or array.ndim != 2:
        raise InputError(
            f"{path}: `{name}` is {array.dtype} {array.shape}; expected a matrix of numbers; copy the file again"
        )
    if not np.isfinite(array).all():
        raise InputError(f"{path}: NaN or infinite values in `{name}`; copy the file again")
    return array.astype(np.float64)


def read_features(path: Path, number: int, n_features: int, *, features_first: bool) -> np.ndarray:
    """Read the eye features of a trial.

    Args:
        path: the file.
        number: number at the end of the variable name.
        n_features: features per window.
        features_first: whether the file stores `(features, windows)`.

    Returns:
        `(windows, n_features)` float64.

    Raises:
        InputError: the features are missing or invalid.
    """
    array = _values(path, number)
    windows_first = array.T if features_first else array
    if windows_first.shape[1] != n_features or not len(windows_first):
        expected = f"({n_features}, windows)" if features_first else f"(windows, {n_features})"
        raise InputError(f"{path}: eye features of trial {number} have the shape {array.shape}; expected {expected}")
    return np.ascontiguousarray(windows_first)


def read_events(paths: Mapping[str, Path], number: int, columns: Mapping[str, int]) -> EyeEvents:
    """Read the events of a trial from the five files of a session.

    Args:
        paths: the files by kind: `"blink"`, `"event"`, `"fixation"`, `"pupil"`, `"saccade"`.
        number: number at the end of the variable names.
        columns: numbers per event by kind; lists may be rows or columns.

    Raises:
        InputError: a file or a variable is missing or invalid, or the numbers of pupils and fixations differ.
    """
    arrays: dict[str, np.ndarray] = {}
    for kind, path in paths.items():
        array = _values(path, number)
        if kind == "event" and array.size != columns[kind]:
            raise InputError(f"{path}: {array.size} statistics of trial {number}; expected {columns[kind]}")
        if kind == "event" or columns[kind] == 1:
            if kind != "event" and array.size and 1 not in array.shape:
                raise InputError(f"{path}: durations of trial {number} have the shape {array.shape}; expected a list")
            arrays[kind] = array.ravel()
            continue
        if array.size and array.shape[1] != columns[kind]:
            raise InputError(
                f"{path}: {kind} of trial {number} has the shape {array.shape}; expected (events, {columns[kind]})"
            )
        arrays[kind] = array.reshape(-1, columns[kind])
    n_fixations = len(arrays["fixation"])
    if len(arrays["pupil"]) != n_fixations:
        raise InputError(
            f"{paths['pupil']}: {len(arrays['pupil'])} pupils of trial {number}; expected {n_fixations}, one per "
            f"fixation in {paths['fixation'].name}; copy both again"
        )
    return EyeEvents(
        pupil=arrays["pupil"],
        fixations_ms=arrays["fixation"],
        saccades=arrays["saccade"],
        blinks_ms=arrays["blink"],
        statistics=arrays["event"],
    )
