"""Frames at which a saved model looked in the windows of a recording."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_emotion.datasets.continuous import ContinuousRecording
from keras_emotion.inference.face_windows import faces_of_windows
from keras_emotion.pipelines import FaceFeatures

if TYPE_CHECKING:
    from keras_emotion.inference.predictor import Predictor


@dataclasses.dataclass(frozen=True, eq=False)
class Looks:
    """Frames at which a model looked in the windows that have a probability.

    Args:
        windows: `(n,)` positions of these windows among all, in order.
        looks: `(n,)` numbers of looks.
        positions: `(n, looks)` frames from 0; constant after the last look of a window.
        frame_seconds: time between consecutive frames.
        n_frames: number of frames of a window.
        shown: `(shown,)` positions, among the `n`, of windows whose pictures are kept.
        faces: `(shown, frames, rows, columns, 3)` uint8 faces of these; `None` if the model reads none.
        images: `(shown, frames, bands, rows, columns)` EEG images of these; `None` if the model reads no EEG.
    """

    windows: np.ndarray
    looks: np.ndarray
    positions: np.ndarray
    frame_seconds: float
    n_frames: int
    shown: np.ndarray
    faces: np.ndarray | None
    images: np.ndarray | None

    def seconds(self, starts_seconds: np.ndarray) -> list[list[float]]:
        """Return the start times of the frames that were looked at, for each window with a probability.

        Args:
            starts_seconds: `(all windows,)` start times of all windows.
        """
        return [
            (starts_seconds[window] + self.frame_seconds * positions[:n_looks]).round(6).tolist()
            for window, n_looks, positions in zip(self.windows, self.looks, self.positions, strict=True)
        ]

    def columns(self, starts_seconds: np.ndarray) -> dict[str, Any]:
        """Return columns of the table of all windows: `looks`, and `look_seconds`, separated by spaces; else empty."""
        n_looks = np.full(len(starts_seconds), np.nan)
        n_looks[self.windows] = self.looks
        times = np.full(len(starts_seconds), "", dtype=object)
        times[self.windows] = [" ".join(f"{one:.9g}" for one in own) for own in self.seconds(starts_seconds)]
        return {"looks": n_looks, "look_seconds": times}

    def summary(self, starts_seconds: np.ndarray) -> dict[str, Any]:
        """Return JSON-able: length of a frame, mean number of looks, and the times of each window."""
        return {
            "frame_seconds": self.frame_seconds,
            "frames_of_a_window": self.n_frames,
            "mean_looks": float(self.looks.mean()),
            "windows": [
                {"start_seconds": float(starts_seconds[window]), "look_seconds": own}
                for window, own in zip(self.windows, self.seconds(starts_seconds), strict=True)
            ],
        }


def looks_of(
    predictor: Predictor,
    windows: np.ndarray,
    outputs: Mapping[str, np.ndarray],
    inputs: Mapping[int, Mapping[str, np.ndarray]],
    recording: ContinuousRecording | None,
    video: Path | None,
    video_offset_seconds: float,
) -> Looks | None:
    """Return the frames at which a model looked; `None` if it does not select frames.

    Args:
        predictor: the model and its requirements.
        windows: `(n,)` positions of the windows with a probability.
        outputs: outputs of the model for these, by name (`Network.apply`).
        inputs: inputs of the windows that are shown, by position.
        recording: the recording.
        video: the face video.
        video_offset_seconds: time in the video at which the recording starts.
    """
    if "positions" not in outputs:
        return None
    model, part, kept = predictor.model, predictor.face_part, [*inputs.values()]
    faces, images = None, None
    if kept and "faces" in kept[0]:
        faces = np.stack([one["faces"] for one in kept])
    elif kept and isinstance(part, FaceFeatures) and video is not None:
        # The network reads features of faces: the pictures are extracted again.
        stretches = [] if recording is None else predictor.stretches(recording)
        faces = faces_of_windows(part, recording, stretches, [*inputs], video, video_offset_seconds)
    if kept and "eeg" in kept[0]:
        images = model.eeg_images(np.stack([one["eeg"] for one in kept]))
    return Looks(
        windows=windows,
        looks=outputs["looks"].astype(int),
        positions=outputs["positions"].astype(int),
        frame_seconds=predictor.window_seconds / model.n_frames,
        n_frames=model.n_frames,
        shown=np.searchsorted(windows, [*inputs]),
        faces=faces,
        images=images,
    )
