"""A few of many, evenly spread."""

import numpy as np


def evenly_spread(n: int, most: int) -> np.ndarray:
    """Up to `most` of the places 0 to `n - 1`, evenly spread, the first and the last among them.

    Args:
        n: number of places, 0 or more.
        most: places at most, 0 or more.

    Example:
        >>> evenly_spread(5, 3).tolist()
        [0, 2, 4]
    """
    return np.unique(np.linspace(0, n - 1, min(most, n)).round().astype(int))
