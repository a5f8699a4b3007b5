"""Read FieldTrip's raw data structures, saved as MATLAB files."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_emotion.array_files import open_hdf5
from keras_emotion.datasets.formats.matlab73 import check_declared_size, is_matlab73
from keras_emotion.datasets.formats.whole import Signals, joined, require
from keras_emotion.datasets.matlab import read_variables, variable_shapes
from keras_emotion.datasets.matlab_check import check_matlab_file
from keras_emotion.schema import InputError

_FIELDS = ("label", "trial", "time")
_KINDS = {"eeg": "eeg", "eog": "eog", "ecg": "ecg", "emg": "emg", "trigger": "stim"}
_TO_METRES = {"mm": 1e-3, "cm": 1e-2, "dm": 1e-1, "m": 1.0}


def fieldtrip_variable(path: Path) -> str | None:
    """Return the name of the variable with a FieldTrip structure; `None` if there is none.

    Raises:
        InputError: the file is damaged.
    """
    status = path.stat()
    return _variable(path, status.st_size, status.st_mtime_ns)


@functools.lru_cache(maxsize=1024)
def _variable(path: Path, size: int, modified: int) -> str | None:
    # Size and modification time are arguments so that a changed file is read again.
    if is_matlab73(path):
        import h5py

        with open_hdf5(path) as file:
            return next(
                (name for name, held in file.items() if isinstance(held, h5py.Group) and {*_FIELDS} <= {*held}), None
            )
    for name, shape in variable_shapes(path).items():
        if shape != (1, 1):
            continue
        held = read_variables(path, (name,)).get(name)
        if held is not None and held.dtype.names and {*_FIELDS} <= {*held.dtype.names}:
            return name
    return None


def read_fieldtrip(path: Path) -> Signals:
    """Read the trials of a FieldTrip structure as one recording.

    Each trial is annotated at time 0 (at its start, if that is not in it), with its number or, if the first column of
    `trialinfo` has integers, with these.

    Args:
        path: the file.

    Raises:
        InputError: pymatreader is not installed, the structure is missing, or its parts are inconsistent.
    """
    require(path, "pymatreader")
    import pymatreader

    name = fieldtrip_variable(path)
    if name is None:
        raise InputError(f"{path}: no FieldTrip structure; expected one with {', '.join(_FIELDS)}")
    check_declared_size(path)
    check_matlab_file(path, (name,))
    structure = pymatreader.read_mat(path, ignore_fields=["previous", "cfg"], variable_names=[name])[name]
    return signals_of(path, structure)


def signals_of(path: Path, structure: Mapping[str, Any]) -> Signals:
    """Convert a structure, as `pymatreader` reads it, into signals.

    Args:
        path: the file, for messages.
        structure: with `label`, `trial` and `time`, and optionally `fsample`, `hdr`, `elec` and `trialinfo`.

    Raises:
        InputError: its parts are inconsistent.
    """
    names = [str(name) for name in np.atleast_1d(structure["label"])]
    trials, times = _pieces(structure["trial"], 2), _pieces(structure["time"], 1)
    fits = len(trials) == len(times) > 0 and all(
        trial.shape == (len(names), len(time)) for trial, time in zip(trials, times, strict=True)
    )
    if not fits:
        raise InputError(f"{path}: inconsistent trials, times and labels; check it with ft_checkdata")
    rate_hz = float(structure["fsample"]) if "fsample" in structure else _rate_hz(times)
    if not 0 < rate_hz < np.inf:
        raise InputError(f"{path}: sampling rate of {rate_hz:g} Hz; expected a number above 0; correct it")
    values, starts, annotations = joined(trials, rate_hz)
    for start, time, text in zip(starts, times, _texts(structure, len(trials)), strict=True):
        event = int(np.argmin(np.abs(time))) if time[0] < 0 < time[-1] else 0
        annotations.append((start + event / rate_hz, (len(time) - event) / rate_hz, text))
    header = structure.get("hdr") or {}
    kinds = _of_channels(names, header, "chantype")
    return Signals(
        names=names,
        # FieldTrip gives kind `unknown` for unrecognised names; here the names are interpreted again.
        kinds=[_KINDS.get(kind or "eeg", "eeg" if kind == "unknown" else "misc") for kind in kinds],
        units=[None if unit == "unknown" else unit for unit in _of_channels(names, header, "chanunit")],
        sampling_rate_hz=rate_hz,
        values=values,
        annotations=annotations,
        notes=["the epochs are concatenated without the data between them"] if len(trials) > 1 else [],
        positions_m=_positions_m(names, structure.get("elec") or {}),
    )


def _pieces(cell: Any, n_axes: int) -> list[np.ndarray]:
    """Return the arrays of a cell; pymatreader unwraps a cell of one, and stacks arrays of one shape."""
    if isinstance(cell, np.ndarray) and cell.dtype != object and cell.ndim == n_axes:
        return [np.asarray(cell, dtype=float)]
    return [np.asarray(piece, dtype=float).reshape([-1] if n_axes == 1 else np.shape(piece)) for piece in cell]


def _rate_hz(times: Sequence[np.ndarray]) -> float:
    return float(1 / np.median(np.concatenate([np.diff(time) for time in times])))


def _texts(structure: Mapping[str, Any], n_trials: int) -> list[str]:
    words = np.asarray(structure.get("trialinfo", ()))
    if words.dtype.kind in "fiu" and words.ndim and len(words) == n_trials:
        first = words.reshape(n_trials, -1)[:, 0]
        if (first == np.round(first)).all():
            return [str(int(word)) for word in first]
    return [str(trial) for trial in range(1, n_trials + 1)]


def _of_channels(names: Sequence[str], header: Mapping[str, Any], field: str) -> list[str | None]:
    """Return the header's entry for each channel; the header may have more channels, in another order."""
    given = dict(zip(map(str, header.get("label", ())), map(str, header.get(field, ())), strict=False))
    return [given.get(name) for name in names]


def _positions_m(names: Sequence[str], electrodes: Mapping[str, Any]) -> np.ndarray:
    positions = np.full((len(names), 3), np.nan)
    factor = _TO_METRES.get(str(electrodes.get("unit", "")))
    places = np.asarray(electrodes.get("chanpos", np.empty((0, 3))), dtype=float)
    if factor is None or places.ndim != 2 or len(places) != len(electrodes.get("label", ())):
        return positions
    found = dict(zip(map(str, electrodes["label"]), places * factor, strict=True))
    for row, name in enumerate(names):
        positions[row] = found.get(name, np.nan)
    # FieldTrip's x axis points to the nose if the file declares so, or if it is of CTF, BTi or 4D and declares nothing.
    if str(electrodes.get("coordsys", "")).lower() in ("ctf", "bti", "4d", "eeglab"):
        positions = np.column_stack([-positions[:, 1], positions[:, 0], positions[:, 2]])
    return positions
