"""MATLAB files as datasets are distributed in: versions 5 to 7.3, numeric variables only."""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from keras_emotion.datasets.formats.matlab73 import array_shapes, is_matlab73, read_arrays
from keras_emotion.schema import InputError


def read_variables(path: Path, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Those of the named variables that a file holds.

    Reading stops at the last of them, and variables before it are skipped over without being decompressed: the
    variables of a file one after the other take about as long as all at once.

    Args:
        path: the file.
        names: variables to read; others are skipped over.

    Returns:
        Arrays by name, without those that are not in the file.

    Raises:
        InputError: the file is missing, damaged or truncated; or, in version 7.3, a variable is no array of real
            numbers.
    """
    import scipy.io

    if is_matlab73(path):
        return read_arrays(path, names)
    with _mat_errors(path):
        variables = scipy.io.loadmat(path, variable_names=list(names), appendmat=False)
    return {name: variables[name] for name in names if name in variables}


def variable_names(path: Path) -> tuple[str, ...]:
    """Return the names of the variables in a file, by their headers alone.

    Raises:
        InputError: as `read_variables`.
    """
    return tuple(variable_shapes(path))


def variable_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Return the shape of each variable in a file by its name, by their headers alone.

    Raises:
        InputError: as `read_variables`.
    """
    import scipy.io

    if is_matlab73(path):
        return array_shapes(path)
    with _mat_errors(path):
        return {name: tuple(map(int, shape)) for name, shape, _ in scipy.io.whosmat(path, appendmat=False)}


@contextlib.contextmanager
def _mat_errors(path: Path) -> Iterator[None]:
    """Turn what SciPy raises for files that it cannot read into an `InputError`."""
    from scipy.io.matlab import MatReadError

    try:
        yield
    except NotImplementedError:
        raise InputError(f"{path}: says that it is of MATLAB 7.3, but is no HDF5; copy it again") from None
    except (ValueError, TypeError, IndexError, OSError, EOFError, zlib.error, MatReadError) as error:
        raise InputError(f"{path}: damaged or truncated MATLAB file ({error}); copy it again") from None
