"""Extract the main face of a video as an array, with quality measures."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from keras_emotion.faces.alignment import align
from keras_emotion.faces.detection import Detector, Face
from keras_emotion.faces.tracking import FaceTracker
from keras_emotion.faces.video import sample_frames
from keras_emotion.sampling import evenly_spread
from keras_emotion.schema import InputError

JUMP = 0.5
"""Distance between the centres of two consecutive faces, in box sides, above which a jump is counted."""

LANDMARK_NAMES = ("right_eye", "left_eye", "nose", "mouth")


@dataclasses.dataclass(frozen=True, eq=False)
class FaceSequence:
    """Face of one person at the sampled times of a video.

    Args:
        faces: `(frames, size, size, 3)` uint8 RGB, aligned; zeros if no face was found. It is memory-mapped from an
            unnamed temporary file, so that a long video needs little memory.
        frames: one row per sample: `time_seconds` (requested), `frame_time_seconds` (time stamp of the selected frame),
            `frame`, `found`, `score`, `n_faces` in the frame, `left, top, width, height` of the box and `<landmark>_x`,
            `<landmark>_y` in pixels of the displayed picture (NaN if not found), `jump`, and `blur`: the variance of
            the Laplacian of the grey crop, small for a blurred face.
        source: the video.
        details: with the Face Landmarker, `mesh` `(frames, 478, 3)`, `blendshapes` `(frames, 52)` and `transformation`
            `(frames, 4, 4)` float32, NaN if not found; else empty.
        problem: error that ended the video after these frames, or `None`.
    """

    faces: np.ndarray
    frames: pd.DataFrame
    source: Path
    details: dict[str, np.ndarray]
    problem: str | None = None

    @property
    def quality(self) -> dict[str, float | int | str | None]:
        """Quality summary of the faces, JSON-able.

        `found` and `found_share` of the samples; `longest_gap_seconds` without the face; `jumps`; `median_blur` (the
        variance of the Laplacian: compare between videos) and `most_faces`, the maximum number of faces per frame.
        """
        frames = self.frames
        found = frames["found"].to_numpy(bool)
        return {
            "video": str(self.source),
            "frames": len(frames),
            "found": int(found.sum()),
            "found_share": float(found.mean()) if len(found) else 0.0,
            "longest_gap_seconds": _longest_gap(frames["time_seconds"].to_numpy(), found),
            "jumps": int(frames["jump"].sum()),
            "median_blur": float(frames.loc[found, "blur"].median()) if found.any() else None,
            "most_faces": int(frames["n_faces"].max()) if len(frames) else 0,
            "problem": self.problem,
        }


def _longest_gap(times: np.ndarray, found: np.ndarray) -> float:
    if not len(times):
        return 0.0
    step = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
    seen = times[found]
    # Before the first and after the last face, a gap extends to the ends of the samples.
    borders = np.concatenate([[times[0] - step], seen, [times[-1] + step]])
    # Rounded: times are multiples of a step, and their differences only approximately.
    return round(float(max(np.diff(borders).max() - step, 0.0)), 6)


def nearest_found(times_seconds: np.ndarray, found: np.ndarray, maximum_gap_seconds: float) -> np.ndarray:
    """Return, for each sample, the nearest in time in which the face was found; the earlier one in a tie.

    Args:
        times_seconds: `(frames,)`, increasing.
        found: `(frames,)` bool.
        maximum_gap_seconds: maximum distance of the nearest sample.

    Returns:
        `(frames,)` indices, -1 if there is none.

    Example:
        >>> nearest_found(np.arange(5) / 2, np.array([True, False, False, False, True]), 0.5).tolist()
        [0, 0, -1, 4, 4]
    """
    seen = np.flatnonzero(found)
    if not len(seen):
        return np.full(len(times_seconds), -1)
    after = np.clip(np.searchsorted(times_seconds[seen], times_seconds), 0, len(seen) - 1)
    before = np.maximum(after - 1, 0)
    distance_after = np.abs(times_seconds[seen[after]] - times_seconds)
    distance_before = np.abs(times_seconds[seen[before]] - times_seconds)
    nearest = np.where(distance_before <= distance_after, seen[before], seen[after])
    distance = np.minimum(distance_before, distance_after)
    return np.where(distance <= maximum_gap_seconds + 1e-9, nearest, -1)


class _Spool:
    """Temporary file with the crops of all faces, in order of arrival."""

    def __init__(self, size: int):
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed in `__exit__`
        self._shape, self._n_rows = (size, size, 3), 0

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._file.close()

    def append(self, crop: np.ndarray) -> int:
        """Write a crop, and return its index."""
        self._file.write(crop.tobytes())
        self._n_rows += 1
        return self._n_rows - 1

    def gathered(self, places: dict[int, int], n_rows: int) -> np.ndarray:
        """Return `(n_rows, size, size, 3)` mapped from a separate file: crops by position, zeros if missing."""
        if not n_rows:
            return np.zeros((0, *self._shape), np.uint8)
        n_bytes = int(np.prod(self._shape))
        with tempfile.TemporaryFile() as file:
            for position, place in places.items():
                self._file.seek(place * n_bytes)
                # A seek past the end leaves a hole, which reads as zeros.
                file.seek(position * n_bytes)
                file.write(self._file.read(n_bytes))
            file.truncate(n_rows * n_bytes)
            file.flush()
            # The array keeps the file open when the handle is closed.
            return np.memmap(file, np.uint8, mode="r", shape=(n_rows, *self._shape))


class _Person:
    """Data of one track: indices of its crops, and a few numbers per frame."""

    def __init__(self):
        self.places: dict[int, int] = {}
        self.faces: dict[int, tuple[float, ...]] = {}
        self.details: dict[str, dict[int, np.ndarray]] = {"mesh": {}, "blendshapes": {}, "transformation": {}}

    def add(self, position: int, face: Face, crop: np.ndarray, place: int) -> None:
        self.places[position] = place
        blur = cv2.Laplacian(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), cv2.CV_32F).var()
        self.faces[position] = (face.score, *face.box, *face.landmarks.ravel(), float(blur))
        for name, rows in self.details.items():
            if (value := getattr(face, name)) is not None:
                rows[position] = value.astype(np.float32)


def extract_faces(
    video: Path | str,
    detector: Detector,
    rate_hz: float | None = None,
    times_seconds: np.ndarray | None = None,
    *,
    size: int = 64,
    margin: float = 0.1,
    detect_every_seconds: float = 4.0,
    assumed_frame_rate_hz: float | None = None,
    n_threads: int = 1,
) -> FaceSequence:
    """Sample a video, select the face with the most samples, and return it as upright square crops.

    Of several faces, the track with the most samples is used (in a tie, the first); people who pass through the picture
    are ignored.

    Args:
        video: the video.
        detector: see `make_detector`.
        rate_hz: samples per second, or
        times_seconds: the requested times, sorted, from the first frame of the video.
        size: side of the crops in pixels.
        margin: share of the side added on each side of the face, see `alignment.crop_geometry`.
        detect_every_seconds: time between two detections on the whole frame while a face is tracked: new faces are
            detected with at most this delay.
        assumed_frame_rate_hz: see `sample_frames`.
        n_threads: threads of the video decoder.

    Returns:
        The faces. If decoding fails within the video, it returns the faces up to there, with the error in `problem`.

    Raises:
        InputError: no frame of the video can be read.
    """
    tracker = FaceTracker(detector, detect_every_seconds)
    people: dict[int, _Person] = {}
    rows, problem = [], None
    last_number, found = -1, {}
    sampled = sample_frames(
        video, rate_hz, times_seconds, assumed_frame_rate_hz=assumed_frame_rate_hz, n_threads=n_threads
    )
    with _Spool(size) as spool:
        try:
            for position, (wanted_seconds, frame) in enumerate(sampled):
                if frame.number != last_number:
                    found, last_number = tracker.update(frame, frame.time_seconds), frame.number
                rows.append((wanted_seconds, frame.time_seconds, frame.number, len(found)))
                for number, face in found.items():
                    crop = align(frame, face.landmarks, size, margin)
                    people.setdefault(number, _Person()).add(position, face, crop, spool.append(crop))
        except InputError as error:
            if not rows:
                raise
            problem = str(error)
        if not rows and rate_hz is not None:
            raise InputError(f"{video}: no frame could be sampled; copy it again")
        # If no face was found, a track without frames is used.
        person = max(people.values(), key=lambda person: len(person.faces), default=_Person())
        frames = pd.DataFrame(rows, columns=["time_seconds", "frame_time_seconds", "frame", "n_faces"])
        return FaceSequence(
            faces=spool.gathered(person.places, len(rows)),
            frames=_with_faces(frames, person.faces),
            source=Path(video),
            details=_stacked(person.details, len(rows)),
            problem=problem,
        )


def _with_faces(frames: pd.DataFrame, faces: dict[int, tuple[float, ...]]) -> pd.DataFrame:
    points = [f"{name}_{axis}" for name in LANDMARK_NAMES for axis in "xy"]
    columns = ["score", "left", "top", "width", "height", *points, "blur"]
    found = pd.DataFrame.from_dict(faces, orient="index", columns=columns).reindex(frames.index).astype(float)
    frames = frames.join(found)
    frames.insert(3, "found", frames["score"].notna())
    seen = frames[frames["found"]]
    middle = seen[["left", "top"]].to_numpy() + seen[["width", "height"]].to_numpy() / 2
    moved = np.hypot(*np.diff(middle, axis=0).T) / seen["width"].to_numpy()[1:] if len(seen) > 1 else np.zeros(0)
    frames["jump"] = False
    frames.loc[seen.index[1:][moved > JUMP], "jump"] = True
    return frames


def _stacked(details: dict[str, dict[int, np.ndarray]], n_rows: int) -> dict[str, np.ndarray]:
    stacked = {}
    for name, rows in details.items():
        if rows:
            stacked[name] = np.full((n_rows, *next(iter(rows.values())).shape), np.nan, np.float32)
            stacked[name][list(rows)] = list(rows.values())
    return stacked


def contact_sheet(sequence: FaceSequence, n_columns: int = 12, n_faces: int = 96) -> np.ndarray:
    """Arrange faces on a contact sheet, with their times, evenly spread over the video; missing faces are grey.

    Args:
        sequence: the faces.
        n_columns: faces per row.
        n_faces: total number of faces.

    Returns:
        `(height, width, 3)` uint8 RGB.
    """
    size = max(96, sequence.faces.shape[1])
    chosen = evenly_spread(len(sequence.faces), n_faces)
    n_rows = -(-len(chosen) // n_columns)
    label_height = 16
    sheet = np.full((n_rows * (size + label_height), n_columns * size, 3), 255, np.uint8)
    for place, index in enumerate(chosen):
        row, column = divmod(place, n_columns)
        top, left = row * (size + label_height), column * size
        tile = sheet[top : top + size, left : left + size]
        if sequence.frames["found"].iloc[index]:
            tile[:] = cv2.resize(np.asarray(sequence.faces[index]), (size, size), interpolation=cv2.INTER_AREA)
        else:
            tile[:] = 160
        text = f"{sequence.frames['time_seconds'].iloc[index]:.1f} s"
        cv2.putText(sheet, text, (left + 3, top + size + 12), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (0, 0, 0), 1, cv2.LINE_AA)
    return sheet
