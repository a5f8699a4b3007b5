"""Resample a continuous rating to one value per step of a trial."""

from __future__ import annotations

import numpy as np

from keras_emotion.schema import ContinuousRating

# Far below any step length, far above the rounding of `start + length`.
_TOLERANCE_SECONDS = 1e-6


def step_ratings(
    rating: ContinuousRating, start_seconds: np.ndarray, step_seconds: float, delay_seconds: float = 0.0
) -> np.ndarray:
    """Return the rating during each step: the mean of its values in `[start, start + step)`, `delay_seconds` later.

    If no value falls into a step, as with one value per 20 s, it is interpolated linearly at the middle of the step.
    Before the first value and after the last one it is that value for half the time between values (their median), and
    NaN beyond.

    Args:
        rating: the rating; NaN values are ignored.
        start_seconds: `(steps,)` start of each step in seconds from the onset of the stimulus.
        step_seconds: length of a step.
        delay_seconds: reaction time: how long after the rated moment a value was given.

    Returns:
        `(steps,)` float64 on the scale of the rating; NaN where there is no value.

    Example:
        >>> rating = ContinuousRating(np.arange(4) / 2, np.array([0.0, 1.0, 2.0, 3.0]), (0.0, 3.0))
        >>> step_ratings(rating, np.array([0.0, 1.0, 2.0]), 1.0)
        array([0.5, 2.5, nan])
    """
    is_value = ~np.isnan(rating.values)
    times_seconds, values = rating.times_seconds[is_value], rating.values[is_value]
    starts = np.asarray(start_seconds, np.float64) + delay_seconds
    first, last = (np.searchsorted(times_seconds, starts + end - _TOLERANCE_SECONDS) for end in (0.0, step_seconds))
    sums = np.concatenate([[0.0], np.cumsum(values)])
    count = last - first
    means = np.divide(sums[last] - sums[first], count, out=np.full(len(starts), np.nan), where=count > 0)
    if not len(values):
        return means
    middles = starts + step_seconds / 2
    reach = np.median(np.diff(times_seconds)) / 2 if len(values) > 1 else 0.0
    is_near = (middles >= times_seconds[0] - reach) & (middles <= times_seconds[-1] + reach)
    between = np.where(is_near, np.interp(middles, times_seconds, values), np.nan)
    return np.where(count > 0, means, between)
