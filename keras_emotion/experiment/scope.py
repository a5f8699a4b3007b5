"""Guard against fitting on windows outside the training set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np


class OutsideTrainingPart(RuntimeError):
    """A system's code reads windows outside the training set for fitting: a leak."""


class TrainingPart(Mapping):
    """Arrays of which only the training windows can be read.

    Args:
        arrays: `(windows, ...)` array by modality.
        rows: positions of the training windows.
        reader: name of the reading object, for the message.

    Example:
        >>> part = TrainingPart({"eeg": np.arange(4.0)}, np.array([0, 2]), "scaler")
        >>> part["eeg"][np.array([2])]
        array([2.])
        >>> part["eeg"][np.array([1])]
        Traceback (most recent call last):
            ...
        keras_emotion.experiment.scope.OutsideTrainingPart: scaler reads 1 windows of 'eeg' outside the training part
    """

    def __init__(self, arrays: Mapping[str, Any], rows: np.ndarray, reader: str):
        self._arrays = {name: _TrainingRows(name, array, rows, reader) for name, array in arrays.items()}

    def __getitem__(self, name: str) -> _TrainingRows:
        return self._arrays[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)


class _TrainingRows:
    def __init__(self, name: str, array: Any, rows: np.ndarray, reader: str):
        self._name, self._array, self._reader = name, array, reader
        self._is_training = np.zeros(len(array), dtype=bool)
        self._is_training[rows] = True
        self.shape, self.dtype = array.shape, array.dtype

    def __len__(self) -> int:
        return len(self._array)

    def __getitem__(self, rows: Any) -> np.ndarray:
        asked = np.arange(len(self._array))[rows]
        outside = np.count_nonzero(~self._is_training[asked])
        if outside:
            raise OutsideTrainingPart(
                f"{self._reader} reads {outside} windows of {self._name!r} outside the training part"
            )
        values = self._array[np.atleast_1d(asked)]
        return values if np.ndim(asked) else values[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:], dtype=dtype)
