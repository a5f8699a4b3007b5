"""Teacher features from a file, paired with windows by subject, trial and time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from keras_emotion.array_files import read_npz
from keras_emotion.pipelines.pairing import match_windows
from keras_emotion.schema import InputError

_FIELDS = ("subject", "trial", "start_seconds", "features")
_OPTIONAL_FIELDS = ("dataset", "session")


class TeacherFeatures:
    """Teacher features from an `.npz` file.

    The file holds arrays of equal length: `subject`, `trial`, `start_seconds` (from the onset of the stimulus) and
    `features` `(windows, steps, units)` float32; `dataset` and `session` if there are several. `write` creates it.

    Args:
        path: the `.npz` file.
        tolerance_seconds: two starts that differ by at most this belong to the same window.

    Raises:
        InputError: the file is missing, is not an `.npz`, lacks an array, or its arrays have inconsistent shapes.
    """

    def __init__(self, path: Path | str, tolerance_seconds: float = 1e-3):
        self.path = Path(path)
        self.tolerance_seconds = tolerance_seconds
        if not self.path.is_file():
            raise InputError(f"{path}: no such file; expected an .npz of teacher features for --system.teacher")
        arrays = dict(read_npz(self.path, (*_FIELDS, *_OPTIONAL_FIELDS)))
        if missing := [field for field in _FIELDS if field not in arrays]:
            raise InputError(f"{path}: no array {', '.join(missing)}; expected {', '.join(_FIELDS)}")
        self.features = arrays.pop("features")
        if self.features.ndim != 3 or any(array.shape != self.features.shape[:1] for array in arrays.values()):
            shapes = {field: array.shape for field, array in {**arrays, "features": self.features}.items()}
            raise InputError(
                f"{path}: shapes {shapes}; expected features (windows, steps, units), the others (windows,)"
            )
        numbers = {"features": self.features, "start_seconds": arrays["start_seconds"]}
        if other := [name for name, array in numbers.items() if array.dtype.kind not in "fiu"]:
            raise InputError(f"{path}: {', '.join(other)}: expected numbers; write the features again")
        if not np.isfinite(arrays["start_seconds"]).all():
            raise InputError(f"{path}: start_seconds: expected finite numbers; write the features again")
        self._rows = pd.DataFrame(arrays)

    def for_windows(self, table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        """Return the features of the windows of a window table.

        Returns:
            `(features, found)`: `(windows, steps, units)` float32 (zeros where missing) and `(windows,)` bool.

        Raises:
            InputError: there are several sessions, and the file does not name them.
        """
        if "session" not in self._rows and table["session"].nunique() > 1:
            raise InputError(f"{self.path}: no array session; expected one, since there are several sessions")
        found = match_windows(table, self._rows, self.tolerance_seconds)
        features = np.zeros((len(table), *self.features.shape[1:]), np.float32)
        features[found >= 0] = self.features[found[found >= 0]]
        return features, found >= 0

    @staticmethod
    def write(path: Path | str, table: pd.DataFrame, features: np.ndarray) -> None:
        """Write the features `(windows, steps, units)` of the windows of `table`."""
        np.savez(
            path,
            **{name: table[name].astype(str).to_numpy(dtype=np.str_) for name in ("dataset", "subject", "session")},
            trial=table["trial"].to_numpy(),
            start_seconds=table["start_seconds"].to_numpy(),
            features=np.asarray(features, np.float32),
        )
