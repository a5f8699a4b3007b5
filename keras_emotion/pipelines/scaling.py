"""Feature statistics over training windows."""

from __future__ import annotations

import numpy as np


def feature_statistics(array, rows: np.ndarray, chunk: int = 4096) -> tuple[np.ndarray, np.ndarray]:
    """Compute mean and standard deviation over the given windows and all their steps.

    Args:
        array: `(windows, steps, ...)` array (memory-mapped, or `JoinedArrays`); at most `chunk` windows are in memory.
        rows: `(n,)` indices of the windows to use: the training windows only.
        chunk: number of windows read at a time.

    Returns:
        `(mean, standard_deviation)`, each with the shape of one step, float32. Accumulated in float64 as the mean of
        chunk means and the pooled sum of squares about them (Chan et al., 1979), so a large mean costs no precision.

    Raises:
        ValueError: `rows` is empty.

    Example:
        >>> mean, standard_deviation = feature_statistics(np.array([[[1.0], [3.0]], [[99.0], [99.0]]]), np.array([0]))
        >>> mean.tolist(), standard_deviation.tolist()
        ([2.0], [1.0])
    """
    rows = np.sort(np.asarray(rows))
    if not len(rows):
        raise ValueError("`rows` is empty: statistics need at least one training window")
    count, mean, squares = 0, np.zeros(()), np.zeros(())
    for first in range(0, len(rows), chunk):
        part = np.asarray(array[rows[first : first + chunk]], dtype=np.float64)
        part = part.reshape(-1, *part.shape[2:])
        part_mean = part.mean(axis=0)
        difference = part_mean - mean
        total = count + len(part)
        squares = squares + np.square(part - part_mean).sum(axis=0) + difference**2 * (count * len(part) / total)
        mean = mean + difference * (len(part) / total)
        count = total
    return mean.astype(np.float32), np.sqrt(squares / count).astype(np.float32)


def feature_covariance(array, rows: np.ndarray, chunk: int = 4096) -> tuple[np.ndarray, np.ndarray]:
    """Compute mean and covariance of the features of a step over the given windows and all their steps.

    Args:
        array: `(windows, steps, ...)` array (memory-mapped, or `JoinedArrays`); at most `chunk` windows are in memory.
            The features of a step are flattened.
        rows: `(n,)` indices of the windows to use: the training windows only.
        chunk: number of windows read at a time.

    Returns:
        `(mean, covariance)`, `(features,)` and `(features, features)` float64, with the number of steps as divisor.
        Accumulated about the means of chunks, as in `feature_statistics`.

    Raises:
        ValueError: `rows` is empty.

    Example:
        >>> mean, covariance = feature_covariance(np.array([[[1.0, 0.0], [3.0, 2.0]]]), np.array([0]))
        >>> mean.tolist(), covariance.tolist()
        ([2.0, 1.0], [[1.0, 1.0], [1.0, 1.0]])
    """
    rows = np.sort(np.asarray(rows))
    if not len(rows):
        raise ValueError("`rows` is empty: statistics need at least one training window")
    count, mean, products = 0, np.zeros(()), np.zeros(())
    for first in range(0, len(rows), chunk):
        part = np.asarray(array[rows[first : first + chunk]], dtype=np.float64)
        part = part.reshape(part.shape[0] * part.shape[1], -1)
        part_mean = part.mean(axis=0)
        centred, difference = part - part_mean, part_mean - mean
        total = count + len(part)
        products = products + centred.T @ centred + np.outer(difference, difference) * (count * len(part) / total)
        mean = mean + difference * (len(part) / total)
        count = total
    return mean, products / count
