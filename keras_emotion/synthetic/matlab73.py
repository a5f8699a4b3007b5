"""Write structs, cells, texts and numbers in MATLAB 7.3 format: HDF5, with references from cells to their elements."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

_USER_BLOCK_BYTES = 512


def write_matlab73(path: Path, variables: Mapping[str, Any]) -> None:
    """Write a MATLAB 7.3 file.

    Args:
        path: the file.
        variables: values by name: dicts become 1 x 1 structs, object arrays cells; texts and numeric arrays are kept.
    """
    import h5py

    with h5py.File(path, "w", userblock_size=_USER_BLOCK_BYTES) as file:
        references = file.create_group("#refs#")
        for name, value in variables.items():
            _add(file, references, file, name, value)
    text = b"MATLAB 7.3 MAT-file, Platform: GLNXA64, Created by keras_emotion HDF5 schema 1.00 ."
    with path.open("r+b") as file:
        file.write(text.ljust(116) + bytes(8) + b"\x00\x02IM")


def _add(file: Any, references: Any, group: Any, name: str, value: Any) -> Any:
    import h5py

    if isinstance(value, Mapping):
        made = group.create_group(name)
        made.attrs["MATLAB_class"] = np.bytes_("struct")
        for field, inner in value.items():
            _add(file, references, made, field, inner)
        return made
    if isinstance(value, str):
        kind, array = "char", np.array([list(map(ord, value))], dtype=np.uint16)
    else:
        array = np.asarray(value)
        kind = "cell" if array.dtype == object else array.dtype.name
    # Axes are reversed in the file.
    array = array.T
    if kind == "cell":
        elements = [_add(file, references, references, f"r{len(references)}", one).ref for one in array.ravel()]
        array = np.array(elements, h5py.ref_dtype).reshape(array.shape)
    made = group.create_dataset(name, data=array)
    # MATLAB's name of float64 is double.
    made.attrs["MATLAB_class"] = np.bytes_({"float64": "double", "float32": "single"}.get(kind, kind))
    return made
