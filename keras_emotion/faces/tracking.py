"""Faces followed through a video."""

from __future__ import annotations

import dataclasses

import numpy as np
import scipy.optimize

from keras_emotion.faces.alignment import upright_square
from keras_emotion.faces.detection import Detector, Face
from keras_emotion.faces.video import Frame

_REFINE_WIDTH = 2.2
"""Side of the cut-out around a face that is followed, in sides of its box: room to move by half of one."""


@dataclasses.dataclass
class _Track:
    number: int
    face: Face
    last_seconds: float
    is_lost: bool = False


class FaceTracker:
    """Finds faces in some frames, and in between looks for each where it was.

    A whole frame is searched when no face is being followed, and `detect_every_seconds` after the last time: that is
    when people who come in are noticed. In between, only a cut-out around the last place of each face is searched,
    which is faster, and places its landmarks more exactly since the face is larger there. (Optical flow, the other way
    to bridge frames, loses faces at the five frames a second and fewer that windows of EEG need.)

    A face that is found again near to where it was lost, within `keep_seconds`, keeps its number.

    Args:
        detector: see `Detector`. One that follows faces itself sees every frame whole.
        detect_every_seconds: time between two searches of the whole frame.
        keep_seconds: a face that was not seen for longer than this is somebody new.

    Raises:
        ValueError: a time is not above 0.
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
        """The faces in the next frame, by the number of their track (from 0, in the order in which they were found).

        Args:
            image: `(height, width, 3)` uint8 RGB, or a frame of a video, of which only what is searched is converted.
            time_seconds: time of the frame, greater than that of the one before.
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
        # Two tracks that ran onto one face are one: the older number stays.
        kept: list[_Track] = []
        for track in sorted(self._tracks, key=lambda track: track.number):
            doubles = (other for other in kept if not other.is_lost and not track.is_lost)
            if all(_distance(track.face, other.face) >= 0.3 for other in doubles):
                kept.append(track)
        self._tracks = kept

    def _assign(self, faces: list[Face], time_seconds: float) -> None:
        if self._tracks and faces:
            # Lost faces may have moved on: they are matched from further away, after those in sight.
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
            # A face in sight has been placed more exactly by the cut-out, in this very frame.
            if track.last_seconds < time_seconds:
                track.face, track.last_seconds, track.is_lost = faces[row], time_seconds, False
        for row in sorted(set(range(len(faces))) - {row for row, _ in pairs}):
            self._tracks.append(_Track(self._n_tracks, faces[row], time_seconds))
            self._n_tracks += 1
        if self._detector.follows:
            for track in self._tracks:
                track.is_lost = track.last_seconds < time_seconds


def _distance(face: Face, other: Face) -> float:
    """Distance of two faces in sides of the larger, and how their sizes differ."""
    larger = max(face.side, other.side)
    apart = float(np.hypot(*(face.centre - other.centre))) / larger
    return apart + abs(np.log2(face.side / other.side)) / 2


def _moved(face: Face, scale: float, corner: np.ndarray) -> Face:
    box = np.concatenate([face.box[:2] * scale + corner, face.box[2:] * scale])
    return dataclasses.replace(face, box=box, landmarks=face.landmarks * scale + corner)
