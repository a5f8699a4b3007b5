"""Smooth features over a trial as in the released features of SEED and its successors."""

import numpy as np
import scipy.ndimage

MOVING_AVERAGE_WINDOWS = 5
"""Windows of the centred moving average; fewer at the ends of a trial."""

LDS_VARIANCE_RATIO = 0.1
"""Variance of the steps of the level between windows, relative to the noise variance of a window."""


def moving_average(values: np.ndarray) -> np.ndarray:
    """Average over neighbouring windows, axis 1."""
    sums, counts = (
        scipy.ndimage.convolve1d(array, np.ones(MOVING_AVERAGE_WINDOWS), axis=1, mode="constant")
        for array in (values, np.ones_like(values))
    )
    return sums / counts


def smoothed_level(values: np.ndarray) -> np.ndarray:
    """Estimate the level of a random walk observed in noise, given all windows, axis 1, by a Kalman smoother.

    Variances are in units of the noise variance; the prior of the level at the first window is flat.
    """
    level, variance = values.astype(float), np.ones(values.shape[1])
    for window in range(1, values.shape[1]):
        predicted = variance[window - 1] + LDS_VARIANCE_RATIO
        gain = predicted / (predicted + 1)
        level[:, window] = level[:, window - 1] + gain * (values[:, window] - level[:, window - 1])
        variance[window] = gain
    for window in range(values.shape[1] - 2, -1, -1):
        gain = variance[window] / (variance[window] + LDS_VARIANCE_RATIO)
        level[:, window] += gain * (level[:, window + 1] - level[:, window])
    return level
