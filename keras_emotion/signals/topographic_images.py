"""Topographic images of the scalp: azimuthal equidistant projection and cubic interpolation, as one matrix."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.interpolate
import scipy.spatial

from keras_emotion.schema import InputError
from keras_emotion.signals.topography import electrode_directions

_SAME_PLACE = 1e-6
"""Distance in radians below which two electrodes are at the same position."""


def azimuthal_equidistant(directions: np.ndarray) -> np.ndarray:
    """Project electrodes onto the plane tangent to the head at its vertex: angles from the vertex become lengths.

    Args:
        directions: `(channels, 3)` vectors from the centre of the head (right, front, up), of any length above 0.

    Returns:
        `(channels, 2)` float64 in radians, right and front; NaN if a direction is not finite, 0, or straight down,
        which has no azimuth.

    Example:
        >>> azimuthal_equidistant(np.array([[0, 0, 2.0], [1, 0, 0], [0, -1, 1]])).round(3).tolist()
        [[0.0, 0.0], [1.571, 0.0], [0.0, -0.785]]
    """
    directions = np.asarray(directions, float)
    if directions.ndim != 2 or directions.shape[1] != 3:
        raise ValueError(f"`directions` has shape {directions.shape}; expected `(channels, 3)`")
    across, up = np.hypot(directions[:, 0], directions[:, 1]), directions[:, 2]
    has_place = np.isfinite(directions).all(axis=1) & ((across > 0) | (up > 0))
    # Both are 0 at the vertex.
    per_length = np.divide(np.arctan2(across, up), across, out=np.zeros_like(across), where=across > 0)
    return np.where(has_place[:, np.newaxis], directions[:, :2] * per_length[:, np.newaxis], np.nan)


def electrode_places(channel_names: Sequence[str], directions: np.ndarray | None = None) -> np.ndarray:
    """Project the electrodes of a montage (`azimuthal_equidistant`), if images can be made from them.

    Args:
        channel_names: names of the channels.
        directions: see `image_matrix`.

    Returns:
        `(channels, 2)` float64 in radians: right and front.

    Raises:
        InputError: see `image_matrix`.
        ValueError: `directions` of another shape.
    """
    if isinstance(channel_names, str):
        raise ValueError(f"`channel_names` is the string {channel_names!r}; expected a sequence of names")
    names = list(channel_names)
    by_name = electrode_directions(names)
    if directions is None:
        directions = by_name
    elif np.shape(directions) != by_name.shape:
        raise ValueError(f"`directions` has shape {np.shape(directions)}; expected {by_name.shape}")
    is_given = np.isfinite(directions).all(axis=1, keepdims=True)
    places = azimuthal_equidistant(np.where(is_given, directions, by_name))
    if unknown := [name for name, place in zip(names, places, strict=True) if not np.isfinite(place).all()]:
        raise InputError(
            f"electrodes without a position on the head: {', '.join(unknown)}; expected names of the 10-5 system or "
            "positions; give their positions, or leave them out"
        )
    pairs = scipy.spatial.KDTree(places).query_pairs(_SAME_PLACE) if names else set()
    if pairs:
        same = "; ".join(f"{names[one]} and {names[other]}" for one, other in sorted(pairs))
        raise InputError(f"electrodes at the same position on the head: {same}; expected one each; leave one out")
    if len(names) < 3 or np.linalg.matrix_rank(places - places.mean(axis=0), tol=_SAME_PLACE) < 2:
        raise InputError(
            f"electrodes for images: {', '.join(names) or 'none'}; expected three or more that are not on a line; add "
            "electrodes"
        )
    return places


def image_matrix(
    channel_names: Sequence[str], directions: np.ndarray | None = None, image_size: int = 32
) -> np.ndarray:
    """Compute the weights of the electrodes in each pixel of a topographic image.

    Electrodes are projected as in [1] (`azimuthal_equidistant`); the image extends from the outermost electrodes on one
    side to those on the other. Between electrodes, the Clough-Tocher interpolant is cubic and has continuous slopes
    (`scipy.interpolate.CloughTocher2DInterpolator`, as used by `griddata(method="cubic")`); pixels outside their convex
    hull are 0. The interpolant is linear in the values, so its values for the unit vectors are a matrix that gives the
    images of any values (`to_images`).

    Args:
        channel_names: names of the channels.
        directions: `(channels, 3)` vectors from the centre of the head to each electrode (right, front, up), as
            `Recording.electrode_directions`. If one is NaN, or `None` is given, the name is used
            (`electrode_directions`).
        image_size: rows and columns of an image.

    Returns:
        `(channels, image_size, image_size)` float64. Row 0 is at the forehead, column 0 at the left ear. In each pixel
        within the hull the weights sum to 1.

    Numerics: the slopes at the electrodes solve a linear system, here iteratively to a tolerance of 1e-12. SciPy's
    default tolerance is 1e-6, so that its image of a single set of values may differ by some 1e-7.

    Raises:
        InputError: channels have no position on the head, two are at the same position, or fewer than three are not on
            a line; one line with their names.
        ValueError: `image_size` is below 2 or `directions` has another shape.

    Example:
        >>> matrix = image_matrix(["Fz", "C3", "Cz", "C4", "Pz"], image_size=8)
        >>> images = to_images(np.ones((40, 3, 5)), matrix)
        >>> images.shape, np.unique(images.round(6)).tolist()
        ((40, 3, 8, 8), [0.0, 1.0])

    References:
        [1] Bashivan, Rish, Yeasin and Codella (2016). Learning representations from EEG with deep
        recurrent-convolutional neural networks. ICLR.
    """
    if image_size < 2:
        raise ValueError(f"`image_size` is {image_size}; expected 2 or more")
    places = electrode_places(channel_names, directions)
    (left, back), (right, front) = places.min(axis=0), places.max(axis=0)
    columns, rows = np.meshgrid(np.linspace(left, right, image_size), np.linspace(front, back, image_size))
    interpolant = scipy.interpolate.CloughTocher2DInterpolator(
        places, np.eye(len(places)), fill_value=0.0, tol=1e-12, maxiter=10_000
    )
    return np.moveaxis(interpolant(columns, rows), -1, 0)


def to_images(values: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Interpolate values of electrodes into images.

    Args:
        values: `(..., channels)`, any real dtype.
        matrix: `(channels, rows, columns)` of `image_matrix`.

    Returns:
        `(..., rows, columns)`; float32 for float32, else float64.

    Raises:
        ValueError: the number of channels differs from that of the matrix.
    """
    values = np.asarray(values)
    if values.ndim < 1 or values.shape[-1] != len(matrix):
        raise ValueError(f"`values` has shape {values.shape}; expected `(..., {len(matrix)})`, the number of channels")
    dtype: type = np.float32 if values.dtype == np.float32 else np.float64
    # One matrix product for any leading axes.
    flat: np.ndarray = values.reshape(-1, len(matrix)).astype(dtype, copy=False)
    images = flat @ np.asarray(matrix, dtype).reshape(len(matrix), -1)
    return images.reshape(*values.shape[:-1], *matrix.shape[1:])
