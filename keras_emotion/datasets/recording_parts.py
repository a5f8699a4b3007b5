"""Check which additional files a recording may be read from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from keras_emotion.datasets.brainvision_header import BRAINVISION_SUFFIXES, BrainVisionHeader
from keras_emotion.datasets.fif_check import check_fif_file
from keras_emotion.datasets.gdf_check import check_gdf_file
from keras_emotion.datasets.matlab_check import check_matlab_file
from keras_emotion.links import refuse_outside
from keras_emotion.refusals import refuse_special_file
from keras_emotion.schema import InputError


def check_before_reading(path: Path, root: Path) -> None:
    """Refuse a recording that must not be passed to a third-party reader.

    Args:
        path: the recording.
        root: folder of the data.

    Raises:
        InputError: it is a MATLAB, FIF or GDF file that is damaged or declares too much, or its header names a device
            or a file outside the folder.
    """
    suffix = path.suffix.lower()
    if suffix in (".set", ".mat"):
        check_matlab_file(path)
    if path.name.lower().endswith((".fif", ".fif.gz")):
        check_fif_file(path)
    if suffix == ".gdf":
        check_gdf_file(path)
    if suffix in BRAINVISION_SUFFIXES:
        try:
            header = BrainVisionHeader.read(path)
        except InputError:
            # If the header is invalid, MNE raises the error.
            return
        check_parts(path, root, [header.data_file, *filter(None, [header.marker_file])])


def check_parts(path: Path, root: Path, files: Sequence[Path]) -> None:
    """Refuse files named by a header that are devices, or neither below the root nor in the header's folder.

    Args:
        path: the recording.
        root: folder of the data.
        files: the files that it is read from.

    Raises:
        InputError: there is such a file.
    """
    folders = (root.resolve(), path.resolve().parent)
    for file in files:
        refuse_special_file(file)
        if not any(file.resolve().is_relative_to(folder) for folder in folders):
            refuse_outside(file, root, path, str(file))
