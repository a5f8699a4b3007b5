"""Align faces: crop an upright square from a frame by the positions of eyes and mouth."""

from __future__ import annotations

import cv2
import numpy as np

from keras_emotion.faces.reduction import block_means, block_side
from keras_emotion.faces.video import Frame

RIGHT_EYE, LEFT_EYE, NOSE, MOUTH = range(4)
"""Rows of the four landmarks of every detector: the person's right eye, left eye, tip of the nose, mouth."""


def four_landmarks(points: np.ndarray) -> np.ndarray:
    """Return the four landmarks from the 68 of the iBUG 300-W markup.

    Args:
        points: `(..., 68, 2)`.

    Returns:
        `(..., 4, 2)`: middles of the eyes' outlines, tip of the nose, middle between the corners of the mouth.

    Example:
        >>> four_landmarks(np.zeros((5, 68, 2))).shape
        (5, 4, 2)
    """
    return np.stack(
        [
            points[..., 36:42, :].mean(axis=-2),
            points[..., 42:48, :].mean(axis=-2),
            points[..., 30, :],
            points[..., [48, 54], :].mean(axis=-2),
        ],
        axis=-2,
    )


def crop_geometry(landmarks: np.ndarray, margin: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    r"""Return centre and half axis of the square crop of a face.

    With the vector between the eyes $e$ and from the middle of the eyes to the mouth $m$, the direction of a row of the
    crop is that of $e - R m$, where $R$ is a rotation by 90 degrees that maps an upright $m$ onto $e$: in a rotated
    head, the eyes come close to each other and their line is uncertain, but the nose still points down (as in the
    alignment of FFHQ, [1]). The half side is $\max(|e|, |m|) (1 + 2\,\mathrm{margin})$, centred 0.45 $m$ below the
    eyes: without margin it covers the middle of the forehead to just below the chin.

    Args:
        landmarks: `(4, 2)`, `(x, y)` in pixels, see `RIGHT_EYE` and the others.
        margin: share of the side that is added on each of the four sides; default 0.1.

    Returns:
        `(centre, axis)`: `(2,)` each; `axis` is the vector from the centre to the middle of the right side of the crop.

    References:
        [1] Karras, Laine and Aila (2019). A Style-Based Generator Architecture for Generative Adversarial Networks.
    """
    eyes = landmarks[LEFT_EYE] - landmarks[RIGHT_EYE]
    middle = landmarks[[RIGHT_EYE, LEFT_EYE]].mean(axis=0)
    down = landmarks[MOUTH] - middle
    direction = eyes + np.array([down[1], -down[0]])
    length = np.hypot(*direction)
    if length < 1e-6:
        direction, length = np.array([1.0, 0.0]), 1.0
    # Coincident points have no size: a square of two pixels is used.
    half = max(np.hypot(*eyes), np.hypot(*down), 1.0) * (1 + 2 * margin)
    return middle + 0.45 * down, direction / length * half


def align(image: np.ndarray | Frame, landmarks: np.ndarray, size: int, margin: float = 0.1) -> np.ndarray:
    """Crop a face from a frame: upright by the eyes, square, of a given size.

    Outside the frame, its border is repeated. Downscaled frames are averaged over the area of each new pixel.

    Args:
        image: `(height, width, 3)` uint8, or a frame of a video, of which only the area of the face is converted to
            RGB.
        landmarks: `(4, 2)`, `(x, y)` in pixels.
        size: side of the crop in pixels, at least 2.
        margin: see `crop_geometry`.

    Returns:
        `(size, size, 3)` uint8.

    Raises:
        ValueError: `size` is below 2.

    Example:
        >>> image = np.zeros((100, 100, 3), np.uint8)
        >>> align(image, np.array([[40.0, 40], [60, 40], [50, 50], [50, 60]]), size=48).shape
        (48, 48, 3)
    """
    if size < 2:
        raise ValueError(f"`size` is {size}; expected 2 or more")
    centre, axis = crop_geometry(np.asarray(landmarks, float), margin)
    return square_crop(image, centre, axis, size)


def square_crop(image: np.ndarray | Frame, centre: np.ndarray, axis: np.ndarray, size: int) -> np.ndarray:
    """Return the square around `centre` whose right side is `axis` away, as `(size, size, 3)` uint8."""
    # Bilinear sampling reads four pixels: to downscale, a multiple of the size is sampled and averaged afterwards.
    # Samples are hardly more than a pixel apart, exactly one for an integer factor: otherwise, fine diagonal patterns
    # would be aliased in a rotated crop.
    reduction = 2 * np.hypot(*axis) / size
    fine = size * int(np.clip(np.ceil(reduction - min(reduction / 10, 0.5)), 1, max(1, 4096 // size)))
    # Half side of the upright square around the rotated square.
    area, corner = _area(image, centre, np.abs(axis).sum(), 1)
    crop = _sampled(area, centre - corner, axis, fine)
    return crop if fine == size else cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA)


def upright_square(image: np.ndarray | Frame, centre: np.ndarray, half: float, size: int) -> np.ndarray:
    """Return the upright square around `centre` with half side `half`, as `(size, size, 3)` uint8, for a detector.

    It is several times faster than `square_crop` when downscaling, and slightly less sharp: samples are taken from
    means over blocks of pixels, at most two blocks apart.
    """
    block = block_side(2 * half / size, *image.shape[:2])
    area, corner = _area(image, centre, half, block)
    # The position of the first block is the mean of its pixels' positions.
    return _sampled(area, (centre - corner + 0.5) / block - 0.5, np.array([half / block, 0.0]), size)


def _area(image: np.ndarray | Frame, centre: np.ndarray, half: float, block: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the area of a frame that a square's pixels come from, as block means, and `(x, y)` of its corner.

    Block positions in the frame do not depend on the square.
    """
    # An area of a decoded frame starts and ends at a chroma block.
    unit = 2 * block
    sides = np.array([image.shape[1], image.shape[0]])
    ends = sides if block == 1 else sides // unit * unit
    # One more unit on each side for interpolation; a square outside the frame gets its border.
    low = np.clip(np.floor((centre - half) / unit).astype(int) - 1, 0, (ends - 1) // unit) * unit
    high = np.minimum(np.maximum((np.ceil((centre + half) / unit).astype(int) + 1) * unit, low + unit), ends)
    (left, top), (right, bottom) = low.tolist(), high.tolist()
    if isinstance(image, Frame):
        return image.area(left, top, right, bottom, block), low
    return block_means(image[top:bottom, left:right], block), low


def _sampled(image: np.ndarray, centre: np.ndarray, axis: np.ndarray, size: int) -> np.ndarray:
    scale = np.hypot(*axis) * 2 / size
    cosine, sine = axis / np.hypot(*axis) * scale
    # Maps pixels of the crop to pixels of the frame, because of WARP_INVERSE_MAP.
    rotation = np.array([[cosine, -sine], [sine, cosine]])
    shift = centre - rotation @ np.array([(size - 1) / 2, (size - 1) / 2])
    return cv2.warpAffine(
        image,
        np.column_stack([rotation, shift]),
        (size, size),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
