"""Pose, gaze and action units from the output of the Face Landmarker."""

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from keras_emotion.faces import OPENFACE_QUANTITIES, FaceLandmarker, extract_faces, landmarker_quantities, sample_frames
from keras_emotion.faces.landmarker_quantities import ACTION_UNIT_BLENDSHAPES, BLENDSHAPES

NAMES = np.array(OPENFACE_QUANTITIES)
POSITION, ANGLES, GAZE_0, GAZE_1, UNITS = (
    slice(0, 3),
    slice(3, 6),
    slice(6, 9),
    slice(9, 12),
    slice(12, 29),
)


def pose(rotation=None, translation=(0.0, 0.0, -60.0)):
    """A pose of MediaPipe: centimetres, x right, y up, z towards the camera."""
    matrix = np.eye(4)
    if rotation is not None:
        matrix[:3, :3] = rotation.as_matrix()
    matrix[:3, 3] = translation
    return matrix


def quantities(transformation, blendshapes=None, mesh=None):
    shapes = np.zeros(52) if blendshapes is None else blendshapes
    points = np.random.default_rng(0).uniform(0, 99, (478, 3)) if mesh is None else mesh
    return landmarker_quantities(transformation, shapes, points)


# --- pose


def test_position_is_in_millimetres_right_down_and_away():
    np.testing.assert_allclose(quantities(pose(translation=(2.5, 4, -70)))[POSITION], [25, -40, 700])


@pytest.mark.parametrize(
    ("axis", "nose_or_top", "moves", "name"),
    [
        # What happens to the tip of the nose, (0, 0, 1), or the top of the head, (0, 1, 0), in MediaPipe's axes.
        ("x", (0, 0, 1), (0, -1, 0), "pose_Rx"),  # the head is lowered: the nose goes down
        ("y", (0, 0, 1), (-1, 0, 0), "pose_Ry"),  # turned to the person's right: the nose goes left in the picture
        ("z", (0, 1, 0), (1, 0, 0), "pose_Rz"),  # tilted clockwise: the top of the head goes right in the picture
    ],
)
def test_turns_about_one_axis_by_hand(axis, nose_or_top, moves, name):
    angle = 0.3
    rotation = Rotation.from_rotvec(angle * np.cross(nose_or_top, moves))
    moved = rotation.apply(nose_or_top)
    np.testing.assert_allclose(moved, np.cos(angle) * np.array(nose_or_top) + np.sin(angle) * np.array(moves))
    expected = dict.fromkeys(("pose_Rx", "pose_Ry", "pose_Rz"), 0.0) | {name: angle}
    np.testing.assert_allclose(quantities(pose(rotation))[ANGLES], list(expected.values()), atol=1e-12)
    assert name.endswith(axis)


def test_any_turn_is_read_as_openface_reads_it():
    angles = np.random.default_rng(1).uniform(-1.4, 1.4, (50, 3))
    for x, y, z in angles:
        # R = Rx Ry Rz in OpenFace's axes; MediaPipe's y and z are the opposite ones.
        theirs = Rotation.from_rotvec([x, 0, 0]) * Rotation.from_rotvec([0, -y, 0]) * Rotation.from_rotvec([0, 0, -z])
        np.testing.assert_allclose(quantities(pose(theirs))[ANGLES], [x, y, z], atol=1e-12)


# --- gaze

CANONICAL_CORNERS = {33: (-44.45859, -26.63991, -31.73422), 133: (-18.56432, -25.85245, -37.57904)}
"""Corners of the person's right eye in the canonical face, in millimetres and OpenFace's axes."""


def mesh_that_looks(transformation, directions, focal_pixels=500.0):
    """Corners and irises as a camera sees them, of eyes that look into these directions, point by point."""
    flip = np.diag([1.0, -1.0, -1.0])
    turn, place = flip @ transformation[:3, :3] @ flip, 10 * flip @ transformation[:3, 3]

    def seen(point):
        x, y, z = turn @ point + place
        return (320 + focal_pixels * x / z, 240 + focal_pixels * y / z, 0)

    points = np.full((478, 3), np.nan)
    for side, direction, (outer, inner, iris) in zip(
        (1, -1), directions, ((33, 133, 468), (263, 362, 473)), strict=True
    ):
        corners = [np.array(CANONICAL_CORNERS[which]) * (side, 1, 1) for which in (33, 133)]
        points[outer], points[inner] = map(seen, corners)
        centre = sum(corners) / 2 + np.array([0, -3.5, 7])
        points[iris] = seen(centre + 12 * turn.T @ direction)
    return points


@pytest.mark.parametrize("translation", [(0, 0, -60), (12, -6, -50), (-20, 10, -90)])
@pytest.mark.parametrize("turn", [(0, 0, 0), (10, -20, 5), (-15, 25, -20)])
def test_gaze_of_eyes_that_are_known(turn, translation):
    transformation = pose(Rotation.from_euler("XYZ", turn, degrees=True), translation)
    for yaw, pitch in ((0, 0), (15, 0), (-20, 10), (5, -15)):
        yaw, pitch = np.deg2rad([yaw, pitch])
        straight = np.array([np.sin(yaw) * np.cos(pitch), np.sin(pitch), -np.cos(yaw) * np.cos(pitch)])
        converged = straight - [0.1, 0, 0]
        looks = [straight, converged / np.linalg.norm(converged)]
        found = quantities(transformation, mesh=mesh_that_looks(transformation, looks))
        for direction, eye in zip(looks, (GAZE_0, GAZE_1), strict=True):
            assert np.linalg.norm(found[eye]) == pytest.approx(1)
            # Lines of sight through one eye are assumed to be parallel.
            assert np.rad2deg(np.arccos(np.clip(found[eye] @ direction, -1, 1))) < 3


def test_gaze_from_far_away_is_exact():
    """Parallel lines of sight: the remaining error is the depth of the eyes in the head."""
    transformation = pose(Rotation.from_euler("XYZ", (10, -20, 5), degrees=True), (0, 0, -6000))
    looks = [np.array([0.2, 0.1, -np.sqrt(0.95)]), np.array([-0.3, 0.0, -np.sqrt(0.91)])]
    found = quantities(transformation, mesh=mesh_that_looks(transformation, looks))
    np.testing.assert_allclose(found[GAZE_0], looks[0], atol=2e-3)
    np.testing.assert_allclose(found[GAZE_1], looks[1], atol=2e-3)


def test_an_iris_outside_of_the_eyeball_is_taken_at_its_rim():
    transformation = pose(translation=(0, 0, -600))
    points = mesh_that_looks(transformation, [(0, 0, -1)] * 2)
    points[468, 0] += 20 * 500 / 6000
    found = quantities(transformation, mesh=points)
    assert found[GAZE_0][0] > 0.95
    assert abs(found[GAZE_0][2]) < 0.02
    np.testing.assert_allclose(found[GAZE_1], (0, 0, -1), atol=2e-3)


# --- action units


@pytest.mark.parametrize(("unit", "names"), ACTION_UNIT_BLENDSHAPES.items())
def test_an_action_unit_is_five_times_the_mean_of_its_blendshapes(unit, names):
    column = list(NAMES).index(f"AU{unit}_r")
    both = np.zeros(52)
    for name in names:
        alone = np.zeros(52)
        alone[BLENDSHAPES.index(name)] = both[BLENDSHAPES.index(name)] = 0.5
        found = quantities(pose(), alone)
        assert found[column] == pytest.approx(2.5 / len(names))
        others = set(NAMES[UNITS][found[UNITS] > 0]) - {f"AU{unit}_r"}
        assert others <= ({"AU25_r"} if unit in ("10", "26") else set())
    assert quantities(pose(), both)[column] == pytest.approx(2.5)
    # Left and right count alike.
    assert sorted(name.removesuffix("Left") for name in names if name.endswith("Left")) == sorted(
        name.removesuffix("Right") for name in names if name.endswith("Right")
    )


def test_lips_part_by_the_strongest_of_what_parts_them():
    def parted(**shapes):
        values = np.zeros(52)
        for name, value in shapes.items():
            values[BLENDSHAPES.index(name)] = value
        return quantities(pose(), values)[list(NAMES).index("AU25_r")]

    assert parted(jawOpen=0.4) == pytest.approx(2.0)
    assert parted(jawOpen=0.4, mouthClose=0.3) == pytest.approx(0.5)
    assert parted(jawOpen=0.1, mouthClose=0.3) == 0
    assert parted(mouthLowerDownLeft=0.6, mouthLowerDownRight=0.4, jawOpen=0.2) == pytest.approx(2.5)
    assert parted(mouthUpperUpLeft=0.6, mouthUpperUpRight=0.8, jawOpen=0.2) == pytest.approx(3.5)


def test_17_units_of_blendshapes_that_there_are():
    units = [name[2:4] for name in NAMES[UNITS]]
    assert sorted([*ACTION_UNIT_BLENDSHAPES, "25"]) == units
    assert len(set(BLENDSHAPES)) == 52
    used = [name for names in ACTION_UNIT_BLENDSHAPES.values() for name in names]
    assert len(used) == len(set(used))


# --- arrays


def test_many_frames_at_once_and_frames_without_a_face():
    generator = np.random.default_rng(2)
    poses = np.stack([pose(Rotation.random(rng=generator), generator.uniform(-50, -5, 3)) for _ in range(6)])
    shapes, points = generator.uniform(0, 1, (6, 52)), generator.uniform(0, 300, (6, 478, 3))
    expected = np.stack([quantities(*frame) for frame in zip(poses, shapes, points, strict=True)])
    assert expected.shape == (6, 29)
    np.testing.assert_allclose(quantities(poses, shapes, points), expected, atol=1e-12)
    by_two = quantities(poses.reshape(2, 3, 4, 4), shapes.reshape(2, 3, 52), points.reshape(2, 3, 478, 3))
    np.testing.assert_allclose(by_two.reshape(6, 29), expected, atol=1e-12)
    for array in (poses, shapes, points):
        array[2] = np.nan
    found = quantities(poses, shapes, points)
    assert np.isnan(found[2]).all()
    np.testing.assert_allclose(np.delete(found, 2, axis=0), np.delete(expected, 2, axis=0), atol=1e-12)


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (((4, 3), (52,), (478, 3)), r"`transformation` has shape \(4, 3\); expected .*4, 4\)"),
        (((5, 4, 4), (5, 51), (5, 478, 3)), r"`blendshapes` has shape \(5, 51\); expected \(5, 52\)"),
        (((5, 4, 4), (5, 52), (6, 478, 3)), r"`mesh` has shape \(6, 478, 3\); expected \(5, 478, 3\)"),
        (((4, 4), (52,), (468, 3)), r"`mesh` has shape \(468, 3\); expected \(478, 3\)"),
    ],
)
def test_shapes_that_do_not_fit(shapes, message):
    with pytest.raises(ValueError, match=message):
        landmarker_quantities(*map(np.zeros, shapes))


# --- real faces


@pytest.fixture(scope="module")
def landmarker(real_data):
    task = real_data / "weights" / "face_landmarker.task"
    if not task.is_file():
        pytest.skip("no face_landmarker.task beside the checkout")
    with FaceLandmarker(task) as landmarker:
        yield landmarker


def of_picture(landmarker, picture):
    landmarker.restart()
    face = max(landmarker.detect(np.ascontiguousarray(picture)), key=lambda face: face.side)
    return landmarker_quantities(face.transformation, face.blendshapes, face.mesh)


@pytest.fixture(scope="module")
def clip(real_data):
    """A man who turns and tilts his head, looks about and smiles."""
    path = real_data / "face_video" / "pyfeat_WolfgangLanger_Pexels.mp4"
    if not path.is_file():
        pytest.skip("no pyfeat_WolfgangLanger_Pexels.mp4 beside the checkout")
    return path


@pytest.fixture(scope="module", params=[2.0, 9.0, 15.0])
def picture(clip, request):
    ((_, frame),) = sample_frames(clip, times_seconds=np.array([request.param]))
    return frame.image


MIRRORED = np.array([-1, 1, 1, 1, -1, -1, -1, 1, 1, -1, 1, 1, *[1] * 17])


@pytest.mark.real_data
def test_a_mirrored_picture_mirrors_the_quantities(landmarker, picture):
    ours = of_picture(landmarker, picture)
    mirrored = of_picture(landmarker, picture[:, ::-1]) * MIRRORED
    np.testing.assert_allclose(mirrored[POSITION], ours[POSITION], atol=8)
    np.testing.assert_allclose(mirrored[ANGLES], ours[ANGLES], atol=0.05)
    # The eyes change places.
    np.testing.assert_allclose(mirrored[GAZE_1], ours[GAZE_0], atol=0.15)
    np.testing.assert_allclose(mirrored[GAZE_0], ours[GAZE_1], atol=0.15)
    assert np.abs(mirrored[UNITS] - ours[UNITS]).mean() < 0.25


@pytest.mark.real_data
@pytest.mark.parametrize("degrees", [-15, 15])
def test_a_turned_picture_tilts_the_head(landmarker, picture, degrees):
    height, width = picture.shape[:2]
    # OpenCV turns counter-clockwise.
    turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), -degrees, 1.0)
    plain, turned = (
        of_picture(landmarker, image) for image in (picture, cv2.warpAffine(picture, turn, (width, height)))
    )
    assert np.rad2deg(turned[5] - plain[5]) == pytest.approx(degrees, abs=4)
    # The head goes round with the picture.
    angle = np.deg2rad(degrees)
    around = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    np.testing.assert_allclose(turned[:2], around @ plain[:2], atol=12)


@pytest.mark.real_data
def test_a_smaller_picture_is_a_head_further_away(landmarker, picture):
    height, width = picture.shape[:2]
    smaller = np.zeros_like(picture)
    reduced = cv2.resize(picture, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    smaller[height // 4 : height // 4 + height // 2, width // 4 : width // 4 + width // 2] = reduced
    plain, further = (of_picture(landmarker, image) for image in (picture, smaller))
    assert further[2] / plain[2] == pytest.approx(2, rel=0.08)


@pytest.mark.real_data
def test_gaze_goes_with_the_blendshapes_of_looking(landmarker, clip):
    """The gaze is computed from the irises only; the network's eye blendshapes must correlate with it."""
    details = extract_faces(clip, landmarker, rate_hz=2).details
    found = landmarker_quantities(**details)
    shapes = dict(zip(BLENDSHAPES, details["blendshapes"].T, strict=True))
    flip = np.diag([1, -1, -1])
    turns = flip @ details["transformation"][:, :3, :3] @ flip
    # As the head has it, on average over both eyes: x to the person's left, y down.
    gaze = np.einsum("nji,nj->ni", turns, found[:, GAZE_0] + found[:, GAZE_1])
    left = shapes["eyeLookOutLeft"] + shapes["eyeLookInRight"] - shapes["eyeLookInLeft"] - shapes["eyeLookOutRight"]
    down = shapes["eyeLookDownLeft"] + shapes["eyeLookDownRight"] - shapes["eyeLookUpLeft"] - shapes["eyeLookUpRight"]
    assert np.corrcoef(gaze[:, 0], left)[0, 1] > 0.9
    assert np.corrcoef(gaze[:, 1], down)[0, 1] > 0.8


@pytest.mark.real_data
def test_names_of_the_blendshapes_are_those_of_mediapipe(landmarker):
    from mediapipe.tasks.python.vision.face_landmarker import Blendshapes

    def written(name):
        first, *more = name.lower().split("_")
        return first + "".join(word.capitalize() for word in more)

    assert [written(shape.name) for shape in Blendshapes] == [name.removeprefix("_") for name in BLENDSHAPES]
