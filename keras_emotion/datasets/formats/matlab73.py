"""Read MATLAB files of version 7.3, which are HDF5."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from keras_emotion.array_files import open_hdf5
from keras_emotion.limits import check_memory
from keras_emotion.refusals import refusing_unreadable
from keras_emotion.schema import InputError

_DAMAGED = "{path}: damaged or truncated MATLAB file ({reason}); copy it again"


def is_matlab73(path: Path) -> bool:
    """Return whether a file is HDF5, as MATLAB files of version 7.3 are."""
    import h5py

    return path.is_file() and h5py.is_hdf5(path)


def read_arrays(path: Path, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Read the named variables, as far as the file contains them, with the axes in MATLAB's order.

    Args:
        path: the file.
        names: variables to read.

    Raises:
        InputError: the file is damaged, or a variable is not an array of real numbers, or larger than
            `Limits.memory_gib`.
    """
    import h5py

    arrays = {}
    with refusing_unreadable(path, _DAMAGED), open_hdf5(path) as file:
        for name in names:
            if name not in file:
                continue
            variable = file[name]
            if not isinstance(variable, h5py.Dataset) or variable.dtype.kind not in "fiu":
                raise InputError(f"{path}: variable `{name}` is not an array of real numbers; copy the file again")
            check_memory(path, variable.nbytes)
            # Empty arrays are stored as their shape, and column-major arrays with reversed axes.
            empty = variable.attrs.get("MATLAB_empty", 0)
            arrays[name] = np.empty(tuple(map(int, variable[()]))) if empty else variable[()].T
    return arrays


def check_declared_size(path: Path) -> None:
    """Refuse an HDF5 file whose arrays together exceed `Limits.memory_gib`; other files pass.

    Raises:
        InputError: the arrays are larger.
    """
    import h5py

    if not h5py.is_hdf5(path):
        return
    sizes: list[int] = []

    def count(name: str, held: h5py.Group | h5py.Dataset) -> None:
        if isinstance(held, h5py.Dataset):
            sizes.append(held.nbytes)

    with refusing_unreadable(path, "{path}: damaged ({reason}); copy it again"), open_hdf5(path) as file:
        file.visititems(count)
    check_memory(path, sum(sizes))


def array_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Return the shape of each variable, in MATLAB's order; variables that are not arrays are left out.

    Raises:
        InputError: the file is damaged.
    """
    import h5py

    with refusing_unreadable(path, _DAMAGED), open_hdf5(path) as file:
        return {
            name: tuple(map(int, variable.shape[::-1]))
            for name, variable in file.items()
            if isinstance(variable, h5py.Dataset) and not name.startswith("#")
        }
