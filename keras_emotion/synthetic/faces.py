"""Synthetic faces with any valence and arousal: one real photograph, smoothly warped.

The photograph is `skimage.data.astronaut()` (NASA, public domain), which is part of scikit-image's wheel, so that a
real face detector can be tested and nothing is downloaded. Expression, face shape and head rotations are displacements:
sums of Gaussian bumps around landmarks, precomputed as fields `B[k]` on a grid. With `q` a position in the picture at
rest, `c[k]` the current amounts and `H` the motion of the head, pixel `p` of a frame shows

    picture[ q - sum_k c[k] B[k](q) ],    q = H^-1 p,

which costs one small matrix product, one affine warp of the sum and one look-up per frame. There are no folds: the map
from `q` is one-to-one for all expressions within [-1, 1] (tested).

`astronaut_landmarks.csv` contains the 68 points of iBUG 300-W in pixels of the photograph, with the centre of the first
pixel at 0. They were measured once with the Face Landmarker of MediaPipe 1.2 (`face_landmarker.task`, 478 points), as
the mean over three crops enlarged 3 to 4 times (standard deviation at most 0.31 pixels), by the usual correspondence of
mesh vertices to the 68 points, and checked visually on the picture.

The relation between such a face and emotion is defined here, and is not that of a real person: valence moves the
corners of the mouth, arousal the brows, the lids and the jaw.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from keras_emotion.files import package_folder
from keras_emotion.schema import InputError

_MESH_HEIGHT = 108.0
"""Pixels of the photograph from the forehead to the chin in MediaPipe's mesh, the reference of `face_height`."""

_FIRST_ROW_WITHOUT_FACE = 240

_MIDDLE = (225.0, 125.0)
"""Fixed point of head rotations, in pixels of the photograph: the tip of the nose."""

_AREA = ((125.0, 325.0), (25.0, 240.0))
"""Columns and rows of the photograph that bound all displacements."""

_HEAD_OUTLINE = (
    *((234, 16), (256, 20), (276, 32), (289, 47), (298, 65), (301, 83), (298, 103), (289, 118), (279, 128), (274, 135)),
    *((268, 137), (264, 150), (259, 163), (255, 173), (254, 183), (236, 191), (209, 187), (189, 182), (186, 167)),
    *((183, 147), (182, 133), (176, 131), (170, 119), (158, 103), (154, 83), (153, 67), (159, 50), (173, 41)),
    *((186, 36), (196, 27), (213, 19)),
)
"""Outline of hair, face and neck, traced manually, in pixels of the photograph."""

Bump = tuple[tuple[int, ...], tuple[float, float], tuple[float, float]]
"""Landmarks whose mean is the centre, displacement there `(x, y)`, and widths `(x, y)`: pixels of the photograph."""

_VALENCE: tuple[Bump, ...] = (
    ((48,), (-2.2, -6.2), (9, 9)),
    ((54,), (2.2, -6.2), (9, 9)),
    ((51, 62), (0, -1.2), (11, 6)),
    ((57, 66), (0, 2.2), (13, 7)),
    # Cheeks, lower lids and the inner ends of the brows.
    ((36, 48), (0, -2.0), (9, 8)),
    ((45, 54), (0, -2.0), (9, 8)),
    ((40, 41), (0, -0.8), (7, 4)),
    ((46, 47), (0, -0.8), (7, 4)),
    ((21,), (-0.8, -1.6), (9, 6)),
    ((22,), (0.8, -1.6), (9, 6)),
)
_BROWS: tuple[Bump, ...] = (((18, 19, 20), (0, -4.5), (14, 8)), ((23, 24, 25), (0, -4.5), (14, 8)))
_LIDS: tuple[Bump, ...] = (
    ((37, 38), (0, -1.6), (7, 3.2)),
    ((43, 44), (0, -1.6), (7, 3.2)),
    ((40, 41), (0, 0.7), (7, 3.2)),
    ((46, 47), (0, 0.7), (7, 3.2)),
)
_JAW: tuple[Bump, ...] = (
    ((57, 66), (0, 6.0), (15, 8)),
    ((8,), (0, 5.0), (26, 15)),
    ((51, 62), (0, -2.5), (12, 6)),
    ((48,), (2.5, 0.8), (9, 9)),
    ((54,), (-2.5, 0.8), (9, 9)),
)
_BLINK: tuple[Bump, ...] = (
    ((37, 38), (0, 4.0), (9, 4.6)),
    ((43, 44), (0, 4.0), (9, 4.6)),
    ((40, 41), (0, -3.0), (9, 3.8)),
    ((46, 47), (0, -3.0), (9, 3.8)),
)
_TURN: tuple[Bump, ...] = (((30,), (26.0, 0), (30, 36)),)
_NOD: tuple[Bump, ...] = (((30,), (0, 26.0), (34, 32)),)
_SHAPES: tuple[tuple[Bump, ...], ...] = (
    # Width of the jaw.
    (((4,), (-3.5, 0), (14, 20)), ((12,), (3.5, 0), (14, 20))),
    # Distance of the eyes.
    (((36, 39), (-2.2, 0), (11, 9)), ((42, 45), (2.2, 0), (11, 9))),
    # Width of the mouth.
    (((48,), (-2.5, 0), (9, 9)), ((54,), (2.5, 0), (9, 9))),
    # Length of the nose, height of the brows, length of the chin.
    (((30, 33), (0, 2.5), (14, 10)),),
    (((18, 19, 20), (0, -1.5), (14, 8)), ((23, 24, 25), (0, -1.5), (14, 8))),
    (((8,), (0, 4.0), (28, 18)),),
)

_SMILE_OF_PHOTOGRAPH = 0.55
"""Valence of the photograph, which is subtracted from the smile of the face at rest."""

_OPENNESS_OF_PHOTOGRAPH = 0.25
"""The same for arousal."""

_FIXED_POINT_STEPS, _NEWTON_STEPS = 4, 5
"""Iterations that locate a displaced point, to some thousandths of a pixel."""

_INSIDE_OF_MOUTH = np.array([55, 22, 22], np.float32)
_MOUTH_OPENS_AT = 0.1
"""Arousal above which the area behind the teeth is visible."""

# Left and right of the 68 points are exchanged by mirroring.
_MIRRORED_ORDER = np.array(
    [
        *range(16, -1, -1),
        *range(26, 16, -1),
        *range(27, 31),
        *range(35, 30, -1),
        *(45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40),
        *range(54, 47, -1),
        *range(59, 54, -1),
        *range(64, 59, -1),
        *(67, 66, 65),
    ]
)


@dataclasses.dataclass(frozen=True, eq=False)
class _Bumps:
    """All bumps of a face, one per row: field, centre, displacement and widths, in pixels of the frame at rest."""

    field: np.ndarray
    centres: np.ndarray
    displacements: np.ndarray
    widths: np.ndarray


@dataclasses.dataclass(frozen=True)
class FaceIdentity:
    """Constant appearance of one person.

    Args:
        face_height: height of the face, from the forehead to the chin, as a share of the frame height.
        centre: position of the nose at rest, as shares of the width and the height of the frame.
        aspect: width of the face, 1 as photographed.
        shapes: amounts in [-1, 1] of: width of the jaw, distance of the eyes, width of the mouth, length of the nose,
            height of the brows, length of the chin.
        expressiveness: amplitude of expressions, 0 to 1.
        mirrored: whether left and right are exchanged.
        skin_gains: gains of red, green and blue of the face.
        hair_gain: gain of the hair.
        hue_degrees: hue rotation of everything except the head.
        surroundings_gain: gain of everything except the head.
        blur_pixels: standard deviation of a blur, in pixels of the photograph (whose face is 90 wide).
    """

    face_height: float = 0.55
    centre: tuple[float, float] = (0.5, 0.52)
    aspect: float = 1.0
    shapes: tuple[float, ...] = (0.0,) * len(_SHAPES)
    expressiveness: float = 1.0
    mirrored: bool = False
    skin_gains: tuple[float, float, float] = (1.0, 1.0, 1.0)
    hair_gain: float = 1.0
    hue_degrees: float = 0.0
    surroundings_gain: float = 1.0
    blur_pixels: float = 0.0

    def __post_init__(self):
        if not 0.1 <= self.face_height <= 1:
            raise ValueError(f"`face_height` is {self.face_height}; expected 0.1 to 1")
        if not 0.7 <= self.aspect <= 1.4:
            raise ValueError(f"`aspect` is {self.aspect}; expected 0.7 to 1.4")
        if len(self.shapes) != len(_SHAPES) or not np.abs(self.shapes).max() <= 1:
            raise ValueError(f"`shapes` is {self.shapes}; expected {len(_SHAPES)} amounts from -1 to 1")
        if not 0 <= self.expressiveness <= 1:
            raise ValueError(f"`expressiveness` is {self.expressiveness}; expected 0 to 1")

    @classmethod
    def draw(cls, rng: np.random.Generator) -> FaceIdentity:
        """Draw a random person."""
        tone = rng.uniform(0.65, 1.1)
        return cls(
            face_height=rng.uniform(0.48, 0.62),
            centre=(rng.uniform(0.46, 0.54), rng.uniform(0.5, 0.55)),
            aspect=rng.uniform(0.9, 1.1),
            shapes=tuple(rng.uniform(-1, 1, len(_SHAPES)).tolist()),
            expressiveness=rng.uniform(0.8, 1.0),
            mirrored=bool(rng.integers(2)),
            skin_gains=tuple((tone * rng.uniform(0.93, 1.07, 3)).tolist()),
            hair_gain=rng.uniform(0.4, 1.2),
            hue_degrees=rng.uniform(0, 360),
            surroundings_gain=rng.uniform(0.6, 1.1),
            blur_pixels=rng.uniform(0, 0.8),
        )


@dataclasses.dataclass(frozen=True)
class HeadPose:
    """Pose of the head in front of a camera.

    Args:
        roll_degrees: rotation in the image plane, clockwise.
        yaw_degrees: rotation to the right of the picture; realistic up to some 25.
        pitch_degrees: downward nod; realistic up to some 20.
        shift: shift to the right and down, as shares of the frame height.
        scale: size, 1 at rest.
    """

    roll_degrees: float = 0.0
    yaw_degrees: float = 0.0
    pitch_degrees: float = 0.0
    shift: tuple[float, float] = (0.0, 0.0)
    scale: float = 1.0


@dataclasses.dataclass(frozen=True)
class Light:
    """Light of a frame.

    Args:
        gain: brightness, 1 as photographed.
        gamma: exponent of brightness; above 1, dark areas become darker.
        warmth: share of red that is added and of blue that is subtracted.
        gradient: share of brightness that is added at the right edge and subtracted at the left one.
    """

    gain: float = 1.0
    gamma: float = 1.0
    warmth: float = 0.0
    gradient: float = 0.0

    def __post_init__(self):
        if not -1 <= self.gradient <= 1:
            raise ValueError(f"`gradient` is {self.gradient}; expected -1 to 1")


class AnimatedFace:
    """Photograph altered to one person, rendered in frames of one size.

    Args:
        height: rows of a frame, 32 or more.
        width: columns of a frame, 32 or more.
        identity: appearance of the person; by default that of the photograph.

    Raises:
        ValueError: the frame is too small.

    Example:
        >>> face = AnimatedFace(96, 96)
        >>> face.frame(valence=0.8, arousal=0.0).shape
        (96, 96, 3)
        >>> smile, frown = face.landmarks(1, 0), face.landmarks(-1, 0)
        >>> bool(smile[48, 1] < frown[48, 1])  # The corner of the mouth is higher up.
        True
    """

    def __init__(self, height: int, width: int, identity: FaceIdentity | None = None):
        if min(height, width) < 32:
            raise ValueError(f"`height` and `width` are {height} and {width}; expected 32 or more")
        self.height, self.width = height, width
        self.identity = FaceIdentity() if identity is None else identity
        picture, points = _person(self.identity)
        scale = self.identity.face_height * height / _MESH_HEIGHT * np.array([self.identity.aspect, 1])
        self._picture, self._scale = _resized(picture, scale)
        middle = np.array(_MIDDLE)
        if self.identity.mirrored:
            middle[0] = picture.shape[1] - 1 - middle[0]
        self._points = _scaled(points, self._scale)
        self._middle = _scaled(middle, self._scale)
        self._bumps = self._all_bumps(points)
        # A grid of the pixels of a frame, or of the photograph if those are larger: the fields are smooth.
        self._step = np.maximum(self._scale, 1)
        area = np.array(_AREA)
        if self.identity.mirrored:
            area[0] = picture.shape[1] - 1 - area[0, ::-1]
        self._corner, end = _scaled(area.T, self._scale)
        columns, rows = (np.arange(self._corner[axis], end[axis], self._step[axis]) for axis in (0, 1))
        self._grid_shape = (len(rows), len(columns), 2)
        self._fields = self._fields_on_grid(columns, rows)
        self._mouth, self._mouth_place = self._inner_mouth()
        self._closed_mouth = self._picture[self._mouth_place].astype(np.float32)
        # Reused for all frames: allocating memory costs more than the computation in it.
        self._displacement, self._source = np.empty((2, height, width, 2), np.float32)
        self._product = np.empty((height, 3 * width), np.uint16)
        self._ramp = np.repeat(np.linspace(-1, 1, width), 3)

    def frame(
        self,
        valence: float,
        arousal: float,
        pose: HeadPose | None = None,
        light: Light | None = None,
        blink: float = 0.0,
    ) -> np.ndarray:
        """Render one frame.

        Args:
            valence: -1 (frown) to 1 (smile).
            arousal: -1 (brows low, eyes narrow, mouth shut) to 1 (brows high, eyes and mouth open).
            pose: pose of the head; at rest by default.
            light: the light; as photographed by default.
            blink: 0 (eyes as given by `arousal`) to 1 (lids as closed as smooth fields allow: about half shut).

        Returns:
            `(height, width, 3)` uint8, RGB.

        Raises:
            ValueError: an amount is out of range.
        """
        import cv2

        amounts = self._amounts(valence, arousal, pose, blink)
        matrix, offset = self._motion(pose)
        displacement = (amounts @ self._fields).reshape(self._grid_shape)
        # From the grid to the frame; there is no displacement outside the grid.
        to_frame = np.column_stack([matrix * self._step, matrix @ (self._corner - self._middle) + offset])
        displacement = cv2.warpAffine(displacement, to_frame, (self.width, self.height), dst=self._displacement)
        inverse = np.linalg.inv(matrix)
        start = self._middle - inverse @ offset
        source = self._source
        for axis in (0, 1):
            along_columns = (inverse[axis, 0] * np.arange(self.width)).astype(np.float32)
            along_rows = (inverse[axis, 1] * np.arange(self.height) + start[axis]).astype(np.float32)
            np.add(along_rows[:, None], along_columns, out=source[:, :, axis])
        source -= displacement
        picture = self._with_open_mouth(max(amounts[2] - _MOUTH_OPENS_AT, 0))
        # The second map is empty, because both axes are in `source`.
        frame = cv2.remap(picture, source, np.empty(0), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
        return frame if light is None else self._lit(frame, light)

    def landmarks(self, valence: float, arousal: float, pose: HeadPose | None = None, blink: float = 0.0) -> np.ndarray:
        """Return the 68 points of iBUG 300-W in the frame with the same arguments.

        Returns:
            `(68, 2)` float64, `(x, y)` in pixels of the frame, the centre of its first pixel at 0.

        Raises:
            ValueError: an amount is out of range.
        """
        amounts = self._amounts(valence, arousal, pose, blink)
        # The position q that shows point s solves q - D(q) = s: a few iterations of q = s + D(q), then Newton's method.
        moved = self._points
        for step in range(_FIXED_POINT_STEPS + _NEWTON_STEPS):
            displacements, slopes = self._displacements(moved, amounts)
            missing = self._points + displacements - moved
            if step >= _FIXED_POINT_STEPS:
                missing = np.linalg.solve(np.eye(2) - slopes, missing[..., None])[..., 0]
            moved = moved + missing
        matrix, offset = self._motion(pose)
        return (moved - self._middle) @ matrix.T + offset

    def _all_bumps(self, points: np.ndarray) -> _Bumps:
        """Return the bumps of all fields, in the order of `_amounts`."""
        rest = [(_VALENCE, -_SMILE_OF_PHOTOGRAPH), (_BROWS + _LIDS + _JAW, -_OPENNESS_OF_PHOTOGRAPH)]
        rest += list(zip(_SHAPES, self.identity.shapes, strict=True))
        fields = [rest, *([(group, 1.0)] for group in (_VALENCE, _BROWS + _JAW, _LIDS, _BLINK, _TURN, _NOD))]
        rows = [
            (index, points[list(where)].mean(axis=0), np.multiply(displacement, amount), widths)
            for index, field in enumerate(fields)
            for group, amount in field
            for where, displacement, widths in group
        ]
        field_index, centres, displacements, widths = (np.array(column) for column in zip(*rows, strict=True))
        centres = _scaled(centres, self._scale)
        return _Bumps(field_index, centres, displacements * self._scale, widths * self._scale)

    def _fields_on_grid(self, columns: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Compute `(fields, rows * columns * 2)` float32 displacements."""
        bumps = self._bumps
        along_columns, along_rows = (
            np.exp(-0.5 * ((places - bumps.centres[:, [axis]]) / bumps.widths[:, [axis]]) ** 2)
            for axis, places in ((0, columns), (1, rows))
        )
        fields = np.zeros((bumps.field.max() + 1, *self._grid_shape), np.float32)
        for index, field in enumerate(fields):
            for axis in (0, 1):
                # A 2-D Gaussian is the product of two 1-D Gaussians.
                own = (bumps.field == index) & (bumps.displacements[:, axis] != 0)
                field[:, :, axis] = (along_rows[own].T * bumps.displacements[own, axis]) @ along_columns[own]
        return fields.reshape(len(fields), -1)

    def _displacements(self, places: np.ndarray, amounts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Compute `(n, 2)` displacements at `(n, 2)` positions of the resized picture, and `(n, 2, 2)` derivatives."""
        bumps = self._bumps
        distances = (places[:, None, :] - bumps.centres) / bumps.widths
        heights = np.exp(-0.5 * (distances**2).sum(axis=-1))
        displacements = amounts[bumps.field, None] * bumps.displacements
        slopes = displacements.T @ (heights[..., None] * (-distances / bumps.widths))
        return heights @ displacements, slopes

    def _inner_mouth(self) -> tuple[np.ndarray, tuple[slice, slice]]:
        """Return the share of each pixel that becomes dark as the mouth opens, and the location of that area.

        It is the lower part of the area between the lips in the photograph: otherwise its teeth would grow with the
        opening.
        """
        import cv2

        inner = self._points[60:68]
        upper, lower = inner[1:4].mean(axis=0), inner[5:8].mean(axis=0)
        outline = np.concatenate([inner[:1], inner[1:4] + 0.55 * (lower - upper), inner[4:]])
        margin = 3 * self._scale
        left, top = corner = np.floor(outline.min(axis=0) - margin).astype(int)
        right, bottom = np.ceil(outline.max(axis=0) + margin).astype(int)
        piece = np.zeros((bottom - top, right - left), np.float32)
        # Coordinates in sixteenths of a pixel.
        cv2.fillPoly(piece, [np.rint(16 * (outline - corner)).astype(np.int32)], 1, cv2.LINE_AA, 4)
        piece = cv2.GaussianBlur(piece, (0, 0), float(0.7 * self._scale.mean()))
        return piece[..., None], (slice(top, bottom), slice(left, right))

    def _with_open_mouth(self, openness: float) -> np.ndarray:
        """Darken the area behind the teeth in proportion to the opening of the mouth."""
        # Updated in place for each frame, because the rest of the picture is the same in all.
        shade = openness * self._mouth
        self._picture[self._mouth_place] = self._closed_mouth * (1 - shade) + shade * _INSIDE_OF_MOUTH + 0.5
        return self._picture

    def _amounts(self, valence: float, arousal: float, pose: HeadPose | None, blink: float) -> np.ndarray:
        """Return amounts of the fields: the person at rest, valence, brows and jaw, lids, blink, yaw and pitch."""
        for name, value, low in (("valence", valence, -1), ("arousal", arousal, -1), ("blink", blink, 0)):
            if not low <= value <= 1:
                raise ValueError(f"`{name}` is {value}; expected {low} to 1")
        pose = HeadPose() if pose is None else pose
        expressiveness = self.identity.expressiveness
        turn, nod = np.sin(np.radians([pose.yaw_degrees, pose.pitch_degrees]))
        valence, arousal = expressiveness * valence, expressiveness * arousal
        # A blink overrides the opening of the eyes.
        return np.array([1, valence, arousal, (1 - blink) * arousal, blink, turn, nod], np.float32)

    def _motion(self, pose: HeadPose | None) -> tuple[np.ndarray, np.ndarray]:
        """Return matrix and offset from a position relative to the middle of the face to a pixel of the frame."""
        pose = HeadPose() if pose is None else pose
        roll, yaw, pitch = np.radians([pose.roll_degrees, pose.yaw_degrees, pose.pitch_degrees])
        turned = np.array([[np.cos(yaw), 0], [0.15 * np.sin(yaw), np.cos(pitch)]])
        rotation = np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]])
        size = np.array([self.width, self.height])
        offset = np.array(self.identity.centre) * size - 0.5 + self.height * np.array(pose.shift)
        return pose.scale * rotation @ turned, offset

    def _lit(self, frame: np.ndarray, light: Light) -> np.ndarray:
        import cv2

        levels = np.linspace(0, 1, 256)[:, None] ** light.gamma * light.gain
        levels = levels * (1 + light.warmth * np.array([1, 0, -1]))
        cv2.LUT(frame, np.clip(255 * levels, 0, 255).round().astype(np.uint8)[None], dst=frame)
        if light.gradient:
            # In steps of 1/128, along rows of colours: several times faster than floats, or single colours.
            gains = (128 * (1 + light.gradient * self._ramp)).round().astype(np.uint16)
            product = np.multiply(frame.reshape(self.height, -1), gains, out=self._product)
            product >>= 7
            frame[:] = np.minimum(product, 255, out=product).reshape(frame.shape)
        return frame


def smooth_noise(rng: np.random.Generator, times_seconds: np.ndarray, seconds: float) -> np.ndarray:
    """Generate smoothly fluctuating noise: mean 0, variance 1, autocorrelation `exp(-t^2 / (2 seconds^2))`.

    The noise is a function of time that the generator alone determines: the number and spacing of the requested times
    change neither the random numbers drawn nor the function.

    Args:
        rng: random generator.
        times_seconds: evaluation times.
        seconds: time constant.

    Returns:
        An array of the shape of `times_seconds`.
    """
    n_waves = 24
    frequencies, phases = rng.standard_normal(n_waves) / seconds, rng.uniform(0, 2 * np.pi, n_waves)
    times = np.asarray(times_seconds, dtype=float)[..., None]
    return np.sqrt(2 / n_waves) * np.cos(frequencies * times + phases).sum(axis=-1)


def expression_course(
    rng: np.random.Generator,
    times_seconds: np.ndarray,
    mean: float,
    fluctuation_sd: float = 0.35,
    seconds: float = 10.0,
) -> np.ndarray:
    """Return valence or arousal of a face over time: `tanh(artanh(mean) + fluctuation_sd * smooth_noise)`.

    Args:
        rng: random generator.
        times_seconds: evaluation times; the result is a function of time, see `smooth_noise`.
        mean: mean of the fluctuation, between -1 and 1.
        fluctuation_sd: standard deviation of the fluctuation, before it is squashed into [-1, 1].
        seconds: time constant.

    Returns:
        An array of the shape of `times_seconds`, in (-1, 1).

    Raises:
        ValueError: `mean` is not between -1 and 1.
    """
    if not -1 < mean < 1:
        raise ValueError(f"`mean` is {mean}; expected between -1 and 1")
    return np.tanh(np.arctanh(mean) + fluctuation_sd * smooth_noise(rng, times_seconds, seconds))


def pose_course(rng: np.random.Generator, times_seconds: np.ndarray, size: float = 1.0) -> list[HeadPose]:
    """Return natural head movements of a viewer: a pose for each time, independent of the expression.

    Args:
        rng: random generator.
        times_seconds: `(frames,)` evaluation times.
        size: amplitude of the movements; 0 is none.
    """
    roll, yaw, pitch, right, down, scale = (
        size * deviation * np.clip(smooth_noise(rng, times_seconds, 6.0), -2.2, 2.2)
        for deviation in (4.0, 6.0, 4.0, 0.025, 0.02, 0.04)
    )
    return [
        HeadPose(*angles, shift=shift, scale=factor)
        for angles, shift, factor in zip(
            zip(roll.tolist(), yaw.tolist(), pitch.tolist(), strict=True),
            zip(right.tolist(), down.tolist(), strict=True),
            np.exp(scale).tolist(),
            strict=True,
        )
    ]


def light_course(rng: np.random.Generator, times_seconds: np.ndarray, size: float = 1.0) -> list[Light]:
    """Return slowly changing light, independent of the expression; arguments as `pose_course`."""
    gain, gamma, warmth, gradient = (
        size * deviation * smooth_noise(rng, times_seconds, 15.0) for deviation in (0.1, 0.1, 0.03, 0.12)
    )
    gradient = np.clip(gradient, -0.5, 0.5)
    return [
        Light(*values)
        for values in zip(
            np.exp(gain).tolist(), np.exp(gamma).tolist(), warmth.tolist(), gradient.tolist(), strict=True
        )
    ]


def blink_course(rng: np.random.Generator, times_seconds: np.ndarray) -> np.ndarray:
    """Return random blinks of some 0.2 s, about every four seconds.

    Args:
        rng: random generator.
        times_seconds: `(frames,)` evaluation times, none before -1; the result is a function of time.

    Returns:
        `(frames,)` 0 (open) to 1 (middle of a blink).
    """
    times = np.asarray(times_seconds, dtype=float)
    shut = np.zeros(len(times))
    moment, last = -1.0, times.max(initial=0.0) + 1
    while True:
        moment += 0.5 + rng.exponential(3.5)
        if moment > last:
            return shut
        shut = np.maximum(shut, np.exp(-(((times - moment) / 0.1) ** 2)))


def surroundings(height: int, width: int, identity: FaceIdentity) -> np.ndarray:
    """Return `(height, width, 3)` uint8, RGB: a part of the photograph without a face, suit and helmet."""
    import cv2

    return cv2.resize(_person(identity)[0][_FIRST_ROW_WITHOUT_FACE:], (width, height), interpolation=cv2.INTER_AREA)


def write_image(path: Path, frame: np.ndarray) -> None:
    """Write a frame in the format of the file suffix; PNG and JPEG give the same bytes for the same frame.

    Args:
        path: output file.
        frame: `(height, width, 3)` uint8, RGB.

    Raises:
        OSError: the file cannot be written.
    """
    import cv2

    encoded = cv2.imencode(path.suffix, frame[:, :, ::-1])[1]
    path.write_bytes(encoded.tobytes())


@functools.cache
def _photograph() -> tuple[np.ndarray, np.ndarray]:
    """Load the photograph, RGB, and its 68 points."""
    import cv2

    # Read from its file, because `skimage.data` would import the downloader of its other pictures.
    folder = package_folder("skimage")
    picture = None if folder is None else cv2.imread(str(folder / "data" / "astronaut.png"))
    if picture is None:
        raise InputError(
            "synthetic faces: photograph missing; expected scikit-image with its data; install it with pip"
        )
    picture = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
    points = np.loadtxt(Path(__file__).with_name("astronaut_landmarks.csv"), delimiter=",", skiprows=1)
    return picture, points[:, 1:]


def _person(identity: FaceIdentity) -> tuple[np.ndarray, np.ndarray]:
    """Return the photograph with a person's colours, and its points, mirrored if the person is."""
    import cv2

    picture, points = _photograph()
    if identity.hue_degrees:
        colours = cv2.cvtColor(picture, cv2.COLOR_RGB2HSV)
        # OpenCV stores hues in steps of two degrees.
        colours[:, :, 0] = (colours[:, :, 0] + round(identity.hue_degrees / 2)) % 180
        surroundings = cv2.cvtColor(colours, cv2.COLOR_HSV2RGB)
    else:
        surroundings = picture
    head, skin = _masks()
    hair = np.float32(identity.hair_gain)
    of_head = skin[..., None] * np.asarray(identity.skin_gains, dtype=np.float32) + (1 - skin[..., None]) * hair
    mixed = head[..., None] * of_head * picture
    mixed += (1 - head[..., None]) * np.float32(identity.surroundings_gain) * surroundings
    person = np.clip(mixed, 0, 255).round().astype(np.uint8)
    if identity.blur_pixels > 0.05:
        person = cv2.GaussianBlur(person, (0, 0), identity.blur_pixels)
    if identity.mirrored:
        person = person[:, ::-1]
        points = np.column_stack([picture.shape[1] - 1 - points[:, 0], points[:, 1]])[_MIRRORED_ORDER]
    return np.ascontiguousarray(person), points


@functools.cache
def _masks() -> tuple[np.ndarray, np.ndarray]:
    """Return `(rows, columns)` shares of head and of skin for each pixel of the photograph, with soft edges."""
    import cv2

    picture, points = _photograph()
    head = np.zeros(picture.shape[:2], np.float32)
    cv2.fillPoly(head, [np.array(_HEAD_OUTLINE, np.int32)], 1)
    skin = np.zeros_like(head)
    # Includes the forehead up to the fringe, and the neck.
    forehead = points[17:27] - [0, 9]
    outline = cv2.convexHull(np.concatenate([points[:17], forehead]).astype(np.float32)).round().astype(np.int32)
    cv2.fillPoly(skin, [outline], 1)
    neck = np.array([[188, 150], [258, 150], [252, 190], [188, 185]], np.int32)
    cv2.fillPoly(skin, [neck], 1)
    return cv2.GaussianBlur(head, (0, 0), 1.5), cv2.GaussianBlur(skin, (0, 0), 3)


def _resized(picture: np.ndarray, scale: Sequence[float] | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Resize the picture, and return it with the scale after rounding its sides to pixels."""
    import cv2

    height, width = picture.shape[:2]
    size = np.rint(np.multiply((width, height), scale)).astype(int)
    how = cv2.INTER_AREA if min(scale) < 1 else cv2.INTER_CUBIC
    return cv2.resize(picture, size.tolist(), interpolation=how), size / (width, height)


def _scaled(places: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Scale positions in pixels of a picture with it; the centre of the first pixel is at 0 in both."""
    return (places + 0.5) * scale - 0.5
