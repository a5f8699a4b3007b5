"""The files that a recording is read from besides its own: which may be read, and which may not."""

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
    """Refuse a recording that a reader of another package must not be given.

    Args:
        path: the recording.
        root: folder of the data.

    Raises:
        InputError: it is a MATLAB, FIF or GDF file that is damaged or declares too much, or its header names a device
            or a file outside of the folder.
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
            # Of what is no such header, MNE says what is wrong.
            return
        check_parts(path, root, [header.data_file, *filter(None, [header.marker_file])])


def check_parts(path: Path, root: Path, files: Sequence[Path]) -> None:
    """Refuse files that a header names where they are devices, or lie neither below the root nor beside the header.

    Args:
        path: the recording.
        root: folder of the data.
        files: what it is read from.

    Raises:
        InputError: there is such a file.
    """
    folders = (root.resolve(), path.resolve().parent)
    for file in files:
        refuse_special_file(file)
        if not any(file.resolve().is_relative_to(folder) for folder in folders):
            refuse_outside(file, root, path, str(file))
