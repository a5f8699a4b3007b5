"""Synthetic face: it shows the requested expression, landmarks are accurate, and the warp has no folds."""

import cv2
import numpy as np
import pytest
import skimage.data

from keras_emotion.schema import InputError
from keras_emotion.synthetic import faces
from keras_emotion.synthetic.faces import (
    AnimatedFace,
    FaceIdentity,
    HeadPose,
    Light,
    blink_course,
    expression_course,
    light_course,
    pose_course,
    smooth_noise,
)

EXTREMES = [(valence, arousal) for valence in (-1, 0, 1) for arousal in (-1, 0, 1)]

# Mesh vertices of MediaPipe's Face Landmarker, as in the module that was measured with them: corners of the mouth,
# middles of the brows, chin, tip of the nose.
MESH = {48: 61, 54: 291, 19: 105, 24: 334, 8: 152, 30: 4}


def identities(n, seed=0):
    rng = np.random.default_rng(seed)
    return [FaceIdentity.draw(rng) for _ in range(n)]


def rise(landmarks, points):
    """How much higher than the tip of the nose some points are, in distances of the outer corners of the eyes."""
    return (landmarks[30, 1] - landmarks[list(points), 1].mean()) / (landmarks[45, 0] - landmarks[36, 0])


# --- the points


def test_points_are_a_face():
    face = AnimatedFace(512, 512)
    points = face.landmarks(0.5, 0.2)
    assert points.shape == (68, 2)
    x, y = points.T
    # The person's right side first, which is the left of the picture.
    assert (np.diff(x[:17])[1:] > -1).all()
    assert (np.diff(x[17:27]) > 0).all()
    assert (np.diff(y[27:31]) > 0).all()
    assert x[36] < x[39] < x[42] < x[45]
    assert y[17:27].max() < y[36:48].min() < y[36:48].max() < y[30] < y[48:68].min() < y[48:68].max() < y[8]
    assert y[8] == y.max()
    # The height of the face is what the identity says, from the forehead, which no point marks, to the chin.
    assert 0.7 * 0.55 * 512 < y[8] - y[17:27].min() < 0.55 * 512


def test_expression_moves_the_points_it_should():
    for identity in identities(5):
        face = AnimatedFace(200, 240, identity)
        amounts = np.linspace(-1, 1, 9)
        corners = [rise(face.landmarks(valence, 0), (48, 54)) for valence in amounts]
        brows = [rise(face.landmarks(0, arousal), range(17, 27)) for arousal in amounts]
        opening = [np.ptp(face.landmarks(0, arousal)[[62, 66], 1]) for arousal in amounts]
        eyes = [np.ptp(face.landmarks(0, arousal)[[37, 41], 1]) for arousal in amounts]
        for course in (corners, brows, opening, eyes):
            assert (np.diff(course) > 0).all()
        assert corners[-1] - corners[0] > 0.08
        assert brows[-1] - brows[0] > 0.05
        shut, open_eyes = face.landmarks(0, 0, blink=1), face.landmarks(0, 0)
        assert np.ptp(shut[[37, 41], 1]) < 0.7 * np.ptp(open_eyes[[37, 41], 1])


def test_pixels_move_as_the_points_do():
    """Dots in the picture, at some of the points, are rendered where `landmarks` places them."""
    pose = HeadPose(roll_degrees=8, yaw_degrees=10, pitch_degrees=-6, shift=(0.03, -0.02), scale=1.1)
    dots = [48, 54, 19, 24, 8, 30, 3, 13]
    for identity in [FaceIdentity(), *identities(2)]:
        face = AnimatedFace(300, 320, identity)
        rows, columns = np.indices(face._picture.shape[:2])
        picture = np.zeros(face._picture.shape, np.uint8)
        for x, y in face._points[dots]:
            picture[..., 0] |= (255 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 4)).astype(np.uint8)
        face._picture[:], face._closed_mouth[:], face._mouth[:] = picture, picture[face._mouth_place], 0
        for valence, arousal in EXTREMES:
            frame = face.frame(valence, arousal, pose)[..., 0].astype(float)
            for x, y in face.landmarks(valence, arousal, pose)[dots]:
                left, top = round(x) - 8, round(y) - 8
                piece = frame[top : top + 17, left : left + 17]
                seen = np.array([(piece.sum(axis=0) * np.arange(17)).sum(), (piece.sum(axis=1) * np.arange(17)).sum()])
                # A dot is a few pixels wide and is stretched, more on one side than on the other.
                np.testing.assert_allclose(seen / piece.sum() + [left, top], [x, y], atol=0.6)


def test_a_missing_photograph_is_reported(tmp_path, monkeypatch):
    for folder in (tmp_path, None):
        monkeypatch.setattr(faces, "package_folder", lambda name, folder=folder: folder)
        with pytest.raises(InputError, match="photograph missing; expected scikit-image with its data"):
            faces._photograph.__wrapped__()


def test_the_photograph_is_shown_as_it_is():
    """At the expression that it has, nothing is displaced."""
    photograph = skimage.data.astronaut()
    identity = FaceIdentity(face_height=faces._MESH_HEIGHT / 512, centre=(225.5 / 512, 125.5 / 512))
    face = AnimatedFace(512, 512, identity)
    frame = face.frame(faces._SMILE_OF_PHOTOGRAPH, faces._OPENNESS_OF_PHOTOGRAPH)
    difference = np.abs(frame.astype(int) - photograph)
    difference[face._mouth_place] = 0
    assert difference.max() <= 2
    points = np.loadtxt(faces.Path(faces.__file__).with_name("astronaut_landmarks.csv"), delimiter=",", skiprows=1)
    shown = face.landmarks(faces._SMILE_OF_PHOTOGRAPH, faces._OPENNESS_OF_PHOTOGRAPH)
    np.testing.assert_allclose(shown, points[:, 1:], atol=1e-4)


def test_nothing_folds():
    """The map from frame to picture preserves orientation everywhere: no folds."""
    rng = np.random.default_rng(3)
    shapes = [np.zeros(6), np.ones(6), -np.ones(6), *rng.choice([-1, 1], (7, 6))]
    for shape in shapes:
        face = AnimatedFace(128, 128, FaceIdentity(shapes=tuple(shape)))
        for valence, arousal in EXTREMES:
            for blink in (0, 1):
                for yaw, pitch in ((0, 0), (18, 10), (-18, -10), (18, -10), (-18, 10)):
                    amounts = face._amounts(valence, arousal, HeadPose(0, yaw, pitch), blink)
                    displacement = (amounts @ face._fields).reshape(face._grid_shape) / face._step
                    (x_x, x_y), (y_x, y_y) = (
                        (np.gradient(displacement[..., axis], axis=1), np.gradient(displacement[..., axis], axis=0))
                        for axis in (0, 1)
                    )
                    assert ((1 - x_x) * (1 - y_y) - x_y * y_x).min() > 0.03
        # Nothing is displaced at the edge of the area.
        edge = np.abs(face._fields.reshape(-1, *face._grid_shape)[:4])
        assert max(edge[:, 0].max(), edge[:, -1].max(), edge[:, :, 0].max(), edge[:, :, -1].max()) < 0.05


def test_points_are_exact():
    for identity in identities(3):
        face = AnimatedFace(120, 160, identity)
        for valence, arousal in EXTREMES:
            amounts = face._amounts(valence, arousal, None, 0)
            matrix, offset = face._motion(None)
            moved = (face.landmarks(valence, arousal) - offset) @ np.linalg.inv(matrix).T + face._middle
            shown = moved - face._displacements(moved, amounts)[0]
            np.testing.assert_allclose(shown, face._points, atol=1e-3)


# --- head, light and persons


def test_head_moves():
    face = AnimatedFace(160, 200)
    rest = face.landmarks(0.3, 0.1)
    turned = face.landmarks(0.3, 0.1, HeadPose(roll_degrees=10))
    eyes = turned[45] - turned[36]
    angle = np.degrees(np.arctan2(*eyes[::-1]) - np.arctan2(*(rest[45] - rest[36])[::-1]))
    assert angle == pytest.approx(10, abs=1e-6)
    np.testing.assert_allclose(face.landmarks(0.3, 0.1, HeadPose(shift=(0.1, -0.05))) - rest, [[16, -8]] * 68)
    larger = face.landmarks(0.3, 0.1, HeadPose(scale=1.2))
    assert np.ptp(larger[:, 0]) == pytest.approx(1.2 * np.ptp(rest[:, 0]))
    right = face.landmarks(0.3, 0.1, HeadPose(yaw_degrees=15))
    # The nose moves further than the outline of the face.
    assert (right - rest)[30, 0] > 2 + (right - rest)[[0, 16], 0].mean()


def test_light_changes_brightness():
    face = AnimatedFace(96, 128)
    frame = face.frame(0, 0).astype(float)
    assert face.frame(0, 0, light=Light(gain=0.5)).mean() == pytest.approx(0.5 * frame.mean(), rel=0.01)
    assert face.frame(0, 0, light=Light(gamma=1.5)).mean() < frame.mean()
    warm = face.frame(0, 0, light=Light(warmth=0.2)).astype(float).mean(axis=(0, 1)) / frame.mean(axis=(0, 1))
    assert warm[0] > 1.05 > warm[1] > 0.95 > warm[2]
    graded = face.frame(0, 0, light=Light(gradient=-0.5, gain=0.5)).astype(float) / np.maximum(frame, 1)
    assert graded[:, :20].mean() == pytest.approx(0.71, abs=0.03)
    assert graded[:, -20:].mean() == pytest.approx(0.29, abs=0.03)
    assert face.frame(0, 0, light=Light(gain=3, gradient=1)).max() == 255


def test_frames_depend_on_nothing_but_the_arguments():
    first, second = (AnimatedFace(64, 80, identity) for identity in identities(2))
    frame = first.frame(0.5, 0.9, HeadPose(3), Light(1.1, gradient=0.1), 0.2)
    assert (frame.shape, frame.dtype) == ((64, 80, 3), np.uint8)
    kept = frame.copy()
    first.frame(-0.5, -1, HeadPose(-3))
    assert (frame == kept).all()
    assert (first.frame(0.5, 0.9, HeadPose(3), Light(1.1, gradient=0.1), 0.2) == kept).all()
    assert np.abs(second.frame(0.5, 0.9) - first.frame(0.5, 0.9).astype(int)).mean() > 5


def test_mirrored_person():
    identity = FaceIdentity(centre=(0.5, 0.5))
    plain, mirrored = (
        AnimatedFace(100, 100, identity),
        AnimatedFace(100, 100, FaceIdentity(centre=(0.5, 0.5), mirrored=True)),
    )
    difference = np.abs(mirrored.frame(0.5, 0.3).astype(int) - plain.frame(0.5, 0.3)[:, ::-1])
    assert difference.mean() < 1
    points, reflected = plain.landmarks(0.5, 0.3), mirrored.landmarks(0.5, 0.3)
    np.testing.assert_allclose(reflected[faces._MIRRORED_ORDER], np.array([99, 0]) + points * [-1, 1], atol=0.3)
    assert sorted(faces._MIRRORED_ORDER) == list(range(68))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: AnimatedFace(20, 100), "`height` and `width` are 20 and 100"),
        (lambda: AnimatedFace(64, 64).frame(1.1, 0), "`valence` is 1.1"),
        (lambda: AnimatedFace(64, 64).landmarks(0, np.nan), "`arousal` is nan"),
        (lambda: AnimatedFace(64, 64).frame(0, 0, blink=-0.1), "`blink` is -0.1"),
        (lambda: FaceIdentity(face_height=2), "`face_height` is 2"),
        (lambda: FaceIdentity(aspect=3), "`aspect` is 3"),
        (lambda: FaceIdentity(shapes=(1, 2, 3, 4, 5, 6)), "`shapes` is"),
        (lambda: FaceIdentity(shapes=(1,)), "`shapes` is"),
        (lambda: FaceIdentity(expressiveness=2), "`expressiveness` is 2"),
        (lambda: Light(gradient=1.5), "`gradient` is 1.5"),
        (lambda: expression_course(np.random.default_rng(0), np.arange(3), 1.0), "`mean` is 1.0"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# --- courses


def test_smooth_noise_is_a_function_of_time_with_the_stated_statistics():
    times = np.arange(0, 60, 0.5)
    courses = np.stack([smooth_noise(np.random.default_rng(seed), times, 10.0) for seed in range(500)])
    assert courses.mean() == pytest.approx(0, abs=0.1)
    assert courses.var() == pytest.approx(1, abs=0.1)
    for lag_seconds in (5, 10, 20):
        lag = 2 * lag_seconds
        covariance = (courses[:, lag:] * courses[:, :-lag]).mean()
        assert covariance == pytest.approx(np.exp(-(lag_seconds**2) / 200), abs=0.1)
    again = np.random.default_rng(7)
    np.testing.assert_allclose(smooth_noise(again, times[::3], 10.0), courses[7, ::3])
    # The state of the generator does not depend on the number of requested times.
    other = np.random.default_rng(7)
    smooth_noise(other, times, 10.0)
    assert again.random() == other.random()


def test_expression_course():
    times = np.arange(600) / 10
    calm = expression_course(np.random.default_rng(1), times, 0.6, fluctuation_sd=0)
    np.testing.assert_allclose(calm, 0.6)
    moving = np.stack([expression_course(np.random.default_rng(seed), times, 0.3) for seed in range(50)])
    assert moving.mean() == pytest.approx(0.3, abs=0.08)
    assert np.abs(moving).max() < 1
    assert np.abs(np.diff(moving)).max() < 0.05


def test_head_light_and_blinks():
    times = np.arange(600) / 10
    poses = pose_course(np.random.default_rng(0), times)
    assert len(poses) == 600
    assert 1 < np.std([pose.roll_degrees for pose in poses]) < 8
    assert max(abs(pose.yaw_degrees) for pose in poses) < 18
    assert max(abs(pose.pitch_degrees) for pose in poses) < 10
    assert pose_course(np.random.default_rng(0), times, size=0)[5] == HeadPose()
    lights = light_course(np.random.default_rng(0), times)
    assert all(0.5 < light.gain < 2 for light in lights)
    blinks = blink_course(np.random.default_rng(0), times)
    assert 0 <= blinks.min() < 0.01 < 0.6 < blinks.max() <= 1
    assert 0.01 < (blinks > 0.3).mean() < 0.15
    np.testing.assert_array_equal(blink_course(np.random.default_rng(0), times[:100]), blinks[:100])


# --- networks that know real faces


@pytest.mark.real_data
def test_a_real_detector_finds_every_face(real_data):
    model = real_data / "weights" / "face_detection_yunet_2026may.onnx"
    if not model.is_file():
        pytest.skip(f"{model} is missing")
    detector = cv2.FaceDetectorYN.create(str(model), "", (160, 128))
    rng = np.random.default_rng(5)
    for identity in identities(12):
        face = AnimatedFace(128, 160, identity)
        for valence, arousal in rng.uniform(-1, 1, (3, 2)):
            moment = rng.uniform(0, 100, 1)
            pose, light = pose_course(rng, moment)[0], light_course(rng, moment)[0]
            frame = face.frame(valence, arousal, pose, light)
            found = detector.detect(np.ascontiguousarray(frame[:, :, ::-1]))[1]
            assert found is not None
            assert len(found) == 1
            points = face.landmarks(valence, arousal, pose)
            # Its five points: eyes, nose and corners of the mouth, the person's right side first.
            ours = np.stack([points[36:42].mean(0), points[42:48].mean(0), points[30], points[48], points[54]])
            assert np.abs(found[0, 4:14].reshape(5, 2) - ours).mean() < 4


@pytest.mark.real_data
def test_a_real_landmarker_sees_the_expression(real_data):
    model = real_data / "weights" / "face_landmarker.task"
    if not model.is_file():
        pytest.skip(f"{model} is missing")
    mediapipe = pytest.importorskip("mediapipe")
    from mediapipe.tasks import python as tasks

    options = tasks.vision.FaceLandmarkerOptions(
        base_options=tasks.BaseOptions(model_asset_path=str(model)), output_face_blendshapes=True
    )
    rng = np.random.default_rng(0)
    expressions, blendshapes, errors = [], [], []
    with tasks.vision.FaceLandmarker.create_from_options(options) as landmarker:
        for identity in identities(20):
            face = AnimatedFace(256, 256, identity)
            expression = rng.uniform(-1, 1, 2)
            pose = pose_course(rng, np.zeros(1))[0]
            frame = face.frame(*expression, pose)
            found = landmarker.detect(mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=frame))
            assert len(found.face_landmarks) == 1
            mesh = np.array([(point.x, point.y) for point in found.face_landmarks[0]]) * 256 - 0.5
            errors.append(mesh[list(MESH.values())] - face.landmarks(*expression, pose)[list(MESH)])
            blendshapes.append({category.category_name: category.score for category in found.face_blendshapes[0]})
            expressions.append(expression)
    # Pixels of a face that is 120 to 160 high.
    assert np.abs(errors).mean() < 2
    valence, arousal = np.array(expressions).T

    def correlation(name, course):
        return np.corrcoef([row[name] for row in blendshapes], course)[0, 1]

    assert correlation("mouthSmileLeft", valence) > 0.7
    assert correlation("mouthSmileRight", valence) > 0.7
    assert correlation("browOuterUpLeft", arousal) > 0.5
    assert correlation("eyeSquintLeft", arousal) < -0.6
