"""OpenFace quantities of a face, estimated from the output of MediaPipe's Face Landmarker."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from keras_emotion.faces.openface import ACTION_UNITS

BLENDSHAPES = (
    "_neutral",
    *("browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight"),
    *("cheekPuff", "cheekSquintLeft", "cheekSquintRight"),
    *("eyeBlinkLeft", "eyeBlinkRight", "eyeLookDownLeft", "eyeLookDownRight", "eyeLookInLeft", "eyeLookInRight"),
    *("eyeLookOutLeft", "eyeLookOutRight", "eyeLookUpLeft", "eyeLookUpRight", "eyeSquintLeft", "eyeSquintRight"),
    *("eyeWideLeft", "eyeWideRight"),
    *("jawForward", "jawLeft", "jawOpen", "jawRight"),
    *("mouthClose", "mouthDimpleLeft", "mouthDimpleRight", "mouthFrownLeft", "mouthFrownRight", "mouthFunnel"),
    *("mouthLeft", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthPressLeft", "mouthPressRight", "mouthPucker"),
    *("mouthRight", "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper"),
    *("mouthSmileLeft", "mouthSmileRight", "mouthStretchLeft", "mouthStretchRight"),
    *("mouthUpperUpLeft", "mouthUpperUpRight", "noseSneerLeft", "noseSneerRight"),
)
"""Names of the 52 blendshapes, in the order of the Face Landmarker; left and right are the person's."""

ACTION_UNIT_BLENDSHAPES: Mapping[str, tuple[str, ...]] = {
    "01": ("browInnerUp",),
    "02": ("browOuterUpLeft", "browOuterUpRight"),
    "04": ("browDownLeft", "browDownRight"),
    "05": ("eyeWideLeft", "eyeWideRight"),
    "06": ("cheekSquintLeft", "cheekSquintRight"),
    "07": ("eyeSquintLeft", "eyeSquintRight"),
    "09": ("noseSneerLeft", "noseSneerRight"),
    "10": ("mouthUpperUpLeft", "mouthUpperUpRight"),
    "12": ("mouthSmileLeft", "mouthSmileRight"),
    "14": ("mouthDimpleLeft", "mouthDimpleRight"),
    "15": ("mouthFrownLeft", "mouthFrownRight"),
    "17": ("mouthShrugLower",),
    "20": ("mouthStretchLeft", "mouthStretchRight"),
    "23": ("mouthPressLeft", "mouthPressRight"),
    "26": ("jawOpen",),
    "45": ("eyeBlinkLeft", "eyeBlinkRight"),
}
"""Blendshapes whose mean approximates an action unit; action unit 25 uses several, see `landmarker_quantities`.

MediaPipe's blendshapes are those of Apple's ARKit [1], which were designed for avatars, and the action units those of
the Facial Action Coding System [2]; the pairs are the usual ones [3]. Not every pair is equivalent:

- 23, lips tightened, has no counterpart; mouthPress, lips pressed together, is action unit 24.
- 17, chin raiser, appears in ARKit as the lower lip that it pushes out.
- 26, jaw drop: jawOpen extends to 27, mouth stretch.
- 45 is a blink in OpenFace; eyeBlink is the closure of the lid, which also occurs when looking down.

References:
    [1] Apple, ARFaceAnchor.BlendShapeLocation, developer.apple.com/documentation/arkit.
    [2] Ekman, Friesen, Hager, Facial Action Coding System, 2002.
    [3] Ozel, ARKit to FACS: blendshape cheat sheet, melindaozel.com/arkit-to-facs-cheat-sheet.
"""

EYEBALL_RADIUS_MM = 12.0
"""Radius in millimetres of the eyeball in OpenFace's gaze model."""

EYEBALL_CENTRE_MM = (0.0, -3.5, 7.0)
"""Centre of the eyeball in that model, relative to the middle between the corners of the eye: above and behind it."""

_EYES = ((33, 133, 468, -1), (263, 362, 473, 1))
"""Outer and inner corner and iris of the person's right eye, on the left (-1) of the picture, and of the other eye."""

_OUTER_CORNERS_MM = 2 * 44.45859
"""Distance of the outer corners of the eyes in the canonical face, whose size all faces are assumed to have."""

_EYE_MM = (31.51145, -26.24617, -34.65663)
"""Middle between the corners of the left eye of the canonical face, in OpenFace's axes."""

_MIRROR = np.array([1.0, -1.0, -1.0])
"""Transformation from MediaPipe's axes (x right, y up, z towards the camera) to OpenFace's (x right, y down, z
away)."""


def landmarker_quantities(transformation: np.ndarray, blendshapes: np.ndarray, mesh: np.ndarray) -> np.ndarray:
    r"""Estimate `OPENFACE_QUANTITIES` for one or more faces.

    Position and rotation are those of the canonical face, transformed to OpenFace's axes by $M = \mathrm{diag}(1, -1,
    -1)$: $T = 10\,M t$ from centimetres, and $R = M R' M$, decomposed as $R = R_x R_y R_z$: $R_x =
    \mathrm{atan2}(-R_{12}, R_{22})$, $R_y = \arcsin R_{02}$, $R_z = \mathrm{atan2}(-R_{01}, R_{00})$.

    The gaze is computed as in OpenFace [1]: with the centre of the eyeball 3.5 mm above and 7 mm behind the middle
    between the corners of the eye (in head coordinates), and a radius of 12 mm, the line of sight from the camera
    through the centre of the iris intersects the eyeball in a point; the gaze is the direction from the eyeball's
    centre to it. Millimetres are those of the canonical face.

    An action unit is 5 times the mean of its blendshapes (`ACTION_UNIT_BLENDSHAPES`), so that the maximum is 5 as in
    OpenFace. Action unit 25, lips part, has no corresponding blendshape: it is the maximum of those that part the lips,
    jawOpen minus mouthClose, mouthLowerDown and mouthUpperUp.

    **Deviations** from OpenFace:

    - The position is that of the centre of the canonical head, a few centimetres behind OpenFace's, and every face is
      assumed to have its size. MediaPipe assumes a camera with a vertical field of view of 63 degrees, OpenFace a focal
      length of 500 pixels at 640 x 480: the same head is 1.3 times as far away there.
    - A rotation of 0 is that of the canonical face, not of OpenFace's mean face: pitch differs by a constant.
    - The middle between the corners of an eye is closer to the nose than the iris of an eye that looks straight ahead:
      the two gazes diverge, by 0 to 18 degrees in our clips. OpenFace's landmarks have the same corners.
    - Action units are not validated against human coders. MediaPipe's cheekSquint and noseSneer hardly change (below
      1e-5 in all six clips that we examined, broad smiles included, and see its issue 4450), so action units 6 and 9
      contain no information: intensities are rounded to 0.01, as in OpenFace's files. py-feat [2], which learnt a
      linear map from these blendshapes to its own action units, explains 24 % of their variance.

    Args:
        transformation: `(..., 4, 4)` pose of the canonical face, in centimetres.
        blendshapes: `(..., 52)`, 0 to 1, in the order of `BLENDSHAPES`.
        mesh: `(..., 478, 3)` landmarks in pixels (see `Face.mesh`).

    Returns:
        `(..., 29)` float64, in the order and units of `OPENFACE_QUANTITIES`. NaN gives NaN.

    Numerics: in float64. Lines of sight through one eye are assumed to be parallel, which causes gaze errors of up to
    three degrees at half a metre. An iris outside the eyeball, which a poor fit can give, is projected onto its rim.

    Raises:
        ValueError: the shapes are invalid.

    Example:
        >>> pose = np.eye(4)
        >>> pose[:3, 3] = 2, 1, -40
        >>> landmarker_quantities(pose, np.zeros(52), np.random.default_rng(0).uniform(0, 99, (478, 3)))[:6] + 0.0
        array([ 20., -10., 400.,   0.,   0.,   0.])

    References:
        [1] Wood, Baltrušaitis, Zhang, Sugano, Robinson, Bulling, Rendering of eyes for eye-shape registration and gaze
        estimation, ICCV 2015; the numbers are those of OpenFace 2.
        [2] py-feat, `feat.utils.blendshape_to_au`, py-feat.org.
    """
    pose, shapes, points = (np.asarray(array, np.float64) for array in (transformation, blendshapes, mesh))
    for name, array, shape in (
        ("transformation", pose, (4, 4)),
        ("blendshapes", shapes, (len(BLENDSHAPES),)),
        ("mesh", points, (478, 3)),
    ):
        if array.shape[-len(shape) :] != shape or array.shape[: -len(shape)] != pose.shape[:-2]:
            raise ValueError(f"`{name}` has shape {array.shape}; expected {(*pose.shape[:-2], *shape)}")
    rotation = pose[..., :3, :3] * _MIRROR[:, np.newaxis] * _MIRROR
    position = 10 * pose[..., :3, 3] * _MIRROR
    angles = np.stack(
        [
            np.arctan2(-rotation[..., 1, 2], rotation[..., 2, 2]),
            # Rounding may give entries beyond 1.
            np.arcsin(np.clip(rotation[..., 0, 2], -1, 1)),
            np.arctan2(-rotation[..., 0, 1], rotation[..., 0, 0]),
        ],
        axis=-1,
    )
    gazes = [_gaze(rotation, position, points, *eye) for eye in _EYES]
    # To two digits, as in OpenFace's files: otherwise a scaler could amplify the noise of units that hardly change.
    return np.concatenate([position, angles, *gazes, np.round(5 * _action_units(shapes), 2)], axis=-1)


def _gaze(
    rotation: np.ndarray, position: np.ndarray, points: np.ndarray, outer: int, inner: int, iris: int, side: int
) -> np.ndarray:
    """Return the `(..., 3)` gaze direction of one eye, in OpenFace's axes."""
    eye = position + rotation @ (np.array(_EYE_MM) * (side, 1, 1))
    sight = eye / np.linalg.norm(eye, axis=-1, keepdims=True)
    # The size of a pixel, from the projected length of the line between the outer corners, given its rotation. The
    # depths of the mesh are too inaccurate for it.
    line = rotation[..., 0]
    appears = line[..., :2] - line[..., 2:] * sight[..., :2] / sight[..., 2:]
    across = points[..., 263, :2] - points[..., 33, :2]
    mm_per_pixel = _OUTER_CORNERS_MM * np.linalg.norm(appears, axis=-1) / np.linalg.norm(across, axis=-1)
    from_middle = points[..., iris, :2] - (points[..., outer, :2] + points[..., inner, :2]) / 2
    # A point on the line of sight, relative to the centre of the eyeball; its depth is arbitrary.
    start = np.concatenate([from_middle * mm_per_pixel[..., np.newaxis], np.zeros_like(sight[..., :1])], axis=-1)
    start = start - rotation @ np.array(EYEBALL_CENTRE_MM)
    nearest = start - (start * sight).sum(axis=-1, keepdims=True) * sight
    depth = np.sqrt(np.maximum(EYEBALL_RADIUS_MM**2 - (nearest**2).sum(axis=-1, keepdims=True), 0))
    met = nearest - depth * sight
    return met / np.linalg.norm(met, axis=-1, keepdims=True)


def _action_units(shapes: np.ndarray) -> np.ndarray:
    """Return `(..., 17)` activations, 0 to 1."""

    def mean(*names: str) -> np.ndarray:
        return shapes[..., [BLENDSHAPES.index(name) for name in names]].mean(axis=-1)

    units = {number: mean(*names) for number, names in ACTION_UNIT_BLENDSHAPES.items()}
    lower = mean("mouthLowerDownLeft", "mouthLowerDownRight")
    units["25"] = np.maximum.reduce([units["26"] - mean("mouthClose"), lower, units["10"]])
    return np.stack([units[number] for number in ACTION_UNITS], axis=-1)
