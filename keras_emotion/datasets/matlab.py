"""Read numeric variables of MATLAB files, versions 5 to 7.3."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from keras_emotion.datasets.formats.matlab73 import array_shapes, is_matlab73, read_arrays
from keras_emotion.datasets.matlab_check import DAMAGED, OneVariable, check_matlab_file, find_variables
from keras_emotion.refusals import refusing_unreadable
from keras_emotion.schema import InputError


def read_variables(path: Path, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Read the named variables, as far as the file contains them.

    Only their bytes are read: reading the variables of a file one by one takes about as long as reading all at once.

    Args:
        path: the file.
        names: variables to read.

    Returns:
        Arrays by name, without missing variables.

    Raises:
        InputError: the file is missing, damaged or truncated, or declares more than `Limits.memory_gib`; or, in version
            7.3, a variable is not an array of real numbers.
    """
    import scipy.io

    if is_matlab73(path):
        return read_arrays(path, names)
    _refuse_other_than_hdf5(path)
    check_matlab_file(path, names)
    found = find_variables(path)
    with refusing_unreadable(path, DAMAGED), path.open("rb") as file:
        if found is None:
            variables = scipy.io.loadmat(file, variable_names=list(names))
        else:
            variables = {}
            for variable in found:
                if variable.name in names:
                    variables |= scipy.io.loadmat(OneVariable(file, variable))
    return {name: variables[name] for name in names if name in variables}


def variable_names(path: Path) -> tuple[str, ...]:
    """Return the names of the variables in a file, from their headers.

    Raises:
        InputError: as `read_variables`.
    """
    return tuple(variable_shapes(path))


def variable_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the variables in a file by name, from their headers.

    Raises:
        InputError: as `read_variables`.
    """
    import scipy.io

    if is_matlab73(path):
        return array_shapes(path)
    _refuse_other_than_hdf5(path)
    found = find_variables(path)
    if found is not None:
        return {variable.name: variable.shape for variable in found if variable.name}
    check_matlab_file(path)
    with refusing_unreadable(path, DAMAGED):
        return {name: tuple(map(int, shape)) for name, shape, _ in scipy.io.whosmat(path, appendmat=False)}


def _refuse_other_than_hdf5(path: Path) -> None:
    """Refuse a file that declares itself MATLAB 7.3 but is not HDF5."""
    with refusing_unreadable(path, DAMAGED), path.open("rb") as file:
        # Version and byte order.
        is_version_73 = file.read(128)[124:] in (b"\x00\x02IM", b"\x02\x00MI")
    if is_version_73:
        raise InputError(f"{path}: declared as MATLAB 7.3, but not HDF5; expected an HDF5 file; copy it again")
