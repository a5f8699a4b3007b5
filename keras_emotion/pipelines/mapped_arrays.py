"""Memory-mapped arrays: arrays larger than memory are stored in a temporary file."""

from __future__ import annotations

import tempfile

import numpy as np


def memory_mapped_zeros(shape: tuple[int, ...]) -> np.ndarray:
    """Create a memory-mapped array of uint8 zeros: the pictures of an hour of video take hundreds of megabytes."""
    if not np.prod(shape):
        return np.zeros(shape, np.uint8)
    with tempfile.TemporaryFile() as file:
        file.truncate(int(np.prod(shape)))
        # The array keeps the file open after the handle is closed.
        return np.memmap(file, np.uint8, mode="r+", shape=shape)
