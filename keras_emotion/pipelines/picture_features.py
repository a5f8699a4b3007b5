"""Light, colour and motion features of stimulus pictures, block by block."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field, model_validator
from typing_extensions import override

from keras_emotion.pipelines.media_features import MediaFrames
from keras_emotion.schema import Clip

QUANTITIES = (
    "luminance",
    "luminance_coefficient",
    "saturation",
    "raw_colour_energy",
    "colour_contrast",
    "colour_energy",
)
"""Quantities of a picture, in the order of `picture_quantities`."""

_LEVELS = 4
"""Number of levels of each of red, green and blue in the colour histogram."""

_BLOCKS_AT_ONCE = 16


def picture_quantities(pictures: np.ndarray) -> np.ndarray:
    r"""Compute light and colour quantities of pictures, as in film studies.

    With value `v` (the largest of red, green and blue) and saturation `s` of each pixel, 0 to 1, and hue angle `h`, 0
    for red:

    - luminance: mean of `v`;
    - luminance coefficient ("lighting key"): mean of `v` times its standard deviation: bright pictures with shadows;
    - saturation: mean of `s`;
    - raw colour energy: mean of `E(h) s v`, with `E(h) = 1 + cos(h) / 4`: red has the most, 1.25, cyan the least, 0.75;
    - colour contrast: `\sum_{ij} p_i p_j d_{ij}`, with the shares `p` of 4 x 4 x 4 colours and the Euclidean distances
      `d` of their centres, full scale 1;
    - colour energy: raw colour energy times colour contrast.

    After Wang and Cheong [1]; the weights of the hues, the histogram and the space of the distances are our choice.

    Args:
        pictures: `(..., rows, columns, 3)` uint8, RGB.

    Returns:
        `(..., 6)` float64, in the order of `QUANTITIES`.

    Example:
        >>> red = np.zeros((1, 8, 8, 3), np.uint8)
        >>> red[..., 0] = 255
        >>> picture_quantities(red).round(3).tolist()
        [[1.0, 0.0, 1.0, 1.25, 0.0, 0.0]]

    References:
        [1] Wang and Cheong, Affective understanding in film, IEEE Trans. Circuits Syst. Video Technol. 16, 689-704,
        2006.
    """
    *leading, _, _, _ = pictures.shape
    flat = pictures.reshape(int(np.prod(leading)), -1, 3)
    pixels = flat.astype(np.float32) / 255
    red, green, blue = (pixels[..., colour] for colour in range(3))
    value = pixels.max(axis=-1)
    spread = value - pixels.min(axis=-1)
    saturation = np.divide(spread, value, out=np.zeros_like(value), where=value > 0)
    # Cosine and sine of the hue, times the chroma.
    cosine, sine = red - (green + blue) / 2, np.sqrt(np.float32(0.75)) * (green - blue)
    chroma = np.hypot(cosine, sine)
    cosine = np.divide(cosine, chroma, out=np.zeros_like(chroma), where=chroma > 0)
    luminance = value.mean(axis=-1, dtype=np.float64)
    raw_energy = ((1 + cosine / 4) * saturation * value).mean(axis=-1, dtype=np.float64)
    contrast = _contrast(flat)
    quantities = (
        luminance,
        luminance * value.std(axis=-1, dtype=np.float64),
        saturation.mean(axis=-1, dtype=np.float64),
        raw_energy,
        contrast,
        raw_energy * contrast,
    )
    return np.stack(quantities, axis=-1).reshape(*leading, len(QUANTITIES))


def _contrast(pixels: np.ndarray) -> np.ndarray:
    """Return the mean distance of two colours drawn from each of `(pictures, pixels, 3)` uint8."""
    n_pictures, n_pixels, _ = pixels.shape
    n_colours = _LEVELS**3
    levels = pixels // (256 // _LEVELS)
    colours = (levels.astype(np.int64) * (_LEVELS**2, _LEVELS, 1)).sum(axis=-1)
    colours += np.arange(n_pictures)[:, np.newaxis] * n_colours
    shares = np.bincount(colours.ravel(), minlength=n_pictures * n_colours).reshape(n_pictures, n_colours) / n_pixels
    centres = np.stack(np.unravel_index(np.arange(n_colours), (_LEVELS,) * 3), axis=-1) / _LEVELS
    distances = np.linalg.norm(centres[:, np.newaxis] - centres, axis=-1)
    return np.einsum("ni,ij,nj->n", shares, distances, shares, optimize=True)


class MediaColours(MediaFrames):
    """Light, colour and motion of the pictures of clips: `{"colours": (blocks, 14)}`, float32.

    Mean and standard deviation over the frames of a block of the six `picture_quantities`, and of the motion, the mean
    absolute difference between consecutive pictures of the block, full scale 1.

    Args:
        window_seconds: length of a block in seconds.
        hop_seconds: time between consecutive block starts in seconds; `None`: no overlap.
        frame_rate_hz: frames per second; a block has a whole number of them, two or more.
        image_size: side in pixels of the pictures from which the quantities are computed.
    """

    code_version: ClassVar[int] = 1

    image_size: Annotated[int, Field(ge=8, le=4096)] = 64

    @model_validator(mode="after")
    def _block_has_two_frames(self):
        if self.n_frames < 2:
            raise ValueError(
                f"frame_rate_hz: a block of {self.window_seconds:g} s has one frame at {self.frame_rate_hz:g} Hz; "
                "expected two or more"
            )
        return self

    @override
    def array_shapes(self, n_channels: int, sampling_rate_hz: float) -> dict[str, tuple[int, ...]]:
        return {"colours": (2 * (len(QUANTITIES) + 1),)}

    def _of_clip(self, clip: Clip, starts: np.ndarray) -> dict[str, np.ndarray]:
        frames = super()._of_clip(clip, starts)["frames"]
        described = []
        for first in range(0, len(frames), _BLOCKS_AT_ONCE):
            blocks = frames[first : first + _BLOCKS_AT_ONCE]
            motion = np.abs(np.diff(blocks.astype(np.float32), axis=1)).mean(axis=(2, 3, 4))[..., np.newaxis] / 255
            described.append(
                np.concatenate(
                    [
                        statistic(quantities, axis=1)
                        for quantities in (picture_quantities(blocks), motion)
                        for statistic in (np.mean, np.std)
                    ],
                    axis=1,
                )
            )
        return {"colours": np.concatenate(described).astype(np.float32)}
