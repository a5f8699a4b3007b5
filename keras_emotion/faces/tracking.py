"""Track faces through a video."""

from __future__ import annotations

import dataclasses

import numpy as np
import scipy.optimize

from keras_emotion.faces.alignment import upright_square
from keras_emotion.faces.detection import Detector, Face
from keras_emotion.faces.video import Frame

_REFINE_WIDTH = 2.2
"""Side of the crop around a tracked face, in box sides: the face may move by half a side."""


@dataclasses.dataclass
class _Track:
    number: int
    face: Face
    last_seconds: float
    is_lost: bool = False


class FaceTracker:
    """Face tracker: detects faces in some frames, and in between searches for each near its last position.

    A whole frame is searched when no face is tracked, and every `detect_every_seconds`, to find new faces. In between,
    only a crop around the last position of each face is searched, which is faster, and localises its landmarks more
    accurately since the face is larger there. (The alternative, optical flow, loses faces at the five frames per second
    and fewer that EEG windows need.)

    A face that reappears near its last position within `keep_seconds` keeps its track number.

    Args:
        detector: see `Detector`. A detector with its own tracking is given every frame.
        detect_every_seconds: time between two detections on the whole frame.
        keep_seconds: a face that reappears after a longer time gets a new track.

    Raises:
        ValueError: a duration is not above 0.
    """

    def __init__(self, detector: Detector, detect_every_seconds: float = 2.0, keep_seconds: float = 5.0):
        for name, value in (("detect_every_seconds", detect_every_seconds), ("keep_seconds", keep_seconds)):
            if not value > 0:
                raise ValueError(f"`{name}` is {value}; expected more than 0")
        self._detector = detector
        self._detect_every_seconds = detect_every_seconds
        self._keep_seconds = keep_seconds
        self._tracks: list[_Track] = []
        self._n_tracks = 0
        self._last_search_seconds = -np.inf
        detector.restart()

    def update(self, image: np.ndarray | Frame, time_seconds: float) -> dict[int, Face]:
        """Return the faces in the next frame, by track number (from 0, in order of detection).

        Args:
            image: `(height, width, 3)` uint8 RGB, or a frame of a video, of which only the searched area is converted.
            time_seconds: time of the frame, later than the previous one.
        """
        self._tracks = [track for track in self._tracks if time_seconds - track.last_seconds <= self._keep_seconds]
        if not self._detector.follows:
            for track in self._tracks:
                if not track.is_lost:
                    self._follow(track, image, time_seconds)
            self._drop_doubles()
        active = [track for track in self._tracks if not track.is_lost]
        due = time_seconds - self._last_search_seconds >= self._detect_every_seconds
        if due or not active or self._detector.follows:
            self._last_search_seconds = time_seconds
            whole = image.image if isinstance(image, Frame) else image
            self._assign(self._detector.detect(whole, time_seconds), time_seconds)
        return {track.number: track.face for track in self._tracks if track.last_seconds == time_seconds}

    def _follow(self, track: _Track, image: np.ndarray | Frame, time_seconds: float) -> None:
        half = track.face.side * _REFINE_WIDTH / 2
        side = self._detector.cut_out_side
        cut_out = upright_square(image, track.face.centre, half, side)
        scale = 2 * half / side
        corner = track.face.centre - half + scale / 2
        found = [_moved(face, scale, corner) for face in self._detector.refine(cut_out, time_seconds)]
        near = [face for face in found if _distance(face, track.face) < 0.75]
        if near:
            track.face = min(near, key=lambda face: _distance(face, track.face))
            track.last_seconds = time_seconds
        else:
            track.is_lost = True

    def _drop_doubles(self) -> None:
        # If two tracks converge on one face, the older number is kept.
        kept: list[_Track] = []
        for track in sorted(self._tracks, key=lambda track: track.number):
            doubles = (other for other in kept if not other.is_lost and not track.is_lost)
            if all(_distance(track.face, other.face) >= 0.3 for other in doubles):
                kept.append(track)
        self._tracks = kept

    def _assign(self, faces: list[Face], time_seconds: float) -> None:
        if self._tracks and faces:
            # Lost faces may have moved: they are matched at larger distances, after the visible ones.
            distances = np.array([[_distance(face, track.face) for track in self._tracks] for face in faces])
            limits = np.array([1.5 if track.is_lost else 0.75 for track in self._tracks])
            costs = np.where(distances < limits, distances + [track.is_lost for track in self._tracks], 1e6)
            pairs = [
                (row, column)
                for row, column in zip(*scipy.optimize.linear_sum_assignment(costs), strict=True)
                if costs[row, column] < 1e6
            ]
        else:
            pairs = []
        for row, column in pairs:
            track = self._tracks[column]
            # A visible face has been localised more accurately by the crop of this frame.
            if track.last_seconds < time_seconds:
                track.face, track.last_seconds, track.is_lost = faces[row], time_seconds, False
        for row in sorted(set(range(len(faces))) - {row for row, _ in pairs}):
            self._tracks.append(_Track(self._n_tracks, faces[row], time_seconds))
            self._n_tracks += 1
        if self._detector.follows:
            for track in self._tracks:
                track.is_lost = track.last_seconds < time_seconds


def _distance(face: Face, other: Face) -> float:
    """Return the distance of two faces in sides of the larger one, including their size difference."""
    larger = max(face.side, other.side)
    apart = float(np.hypot(*(face.centre - other.centre))) / larger
    return apart + abs(np.log2(face.side / other.side)) / 2


def _moved(face: Face, scale: float, corner: np.ndarray) -> Face:
    box = np.concatenate([face.box[:2] * scale + corner, face.box[2:] * scale])
    return dataclasses.replace(face, box=box, landmarks=face.landmarks * scale + corner)
