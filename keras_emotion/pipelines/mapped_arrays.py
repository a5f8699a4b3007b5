"""Arrays that memory only maps: what is larger than memory lies in a temporary file."""

from __future__ import annotations

import tempfile

import numpy as np


def zeros_in_a_file(shape: tuple[int, ...]) -> np.ndarray:
    """Zeros, uint8, that memory only maps: of a video of an hour, pictures are hundreds of megabytes."""
    if not np.prod(shape):
        return np.zeros(shape, np.uint8)
    with tempfile.TemporaryFile() as file:
        file.truncate(int(np.prod(shape)))
        # The array keeps the file when the handle is closed.
        return np.memmap(file, np.uint8, mode="r+", shape=shape)
