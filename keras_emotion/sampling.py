"""Select evenly spaced indices."""

import numpy as np


def evenly_spread(n: int, most: int) -> np.ndarray:
    """Return up to `most` of the indices 0 to `n - 1`, evenly spaced, including the first and the last.

    Args:
        n: number of indices, 0 or more.
        most: largest number of selected indices, 0 or more.

    Example:
        >>> evenly_spread(5, 3).tolist()
        [0, 2, 4]
    """
    return np.unique(np.linspace(0, n - 1, min(most, n)).round().astype(int))
