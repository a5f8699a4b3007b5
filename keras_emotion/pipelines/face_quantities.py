"""From face videos to the 29 quantities of OpenFace, window by window."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import cv2
import numpy as np
import pandas as pd
from pydantic import model_validator

from keras_emotion import faces
from keras_emotion.faces.detection import landmarker_file
from keras_emotion.faces.openface import OPENFACE_QUANTITIES
from keras_emotion.pipelines.face_features import FrameRate, OffsetSeconds, duration_and_problem, length_problem
from keras_emotion.pipelines.feature_store import content_hash, path_hash
from keras_emotion.pipelines.features import UNUSABLE, FeaturePart, Features, Source
from keras_emotion.pipelines.windowing import LagSeconds, Seconds, StepCount, Windowing
from keras_emotion.schema import InputError, Trial


class FaceQuantities(FeaturePart):
    """Facial features of the windows, as Zheng et al. [1] take them: `{"face": (windows, 29) float32}`.

    Or, with `steps`, a sequence of them in each window, `(windows, steps, 29)`: a trial of 60 s in steps of 3 s.

    Each is the mean of one of `OPENFACE_QUANTITIES` (position and rotation of the head, gaze, action units) over the
    frames of the window in which there is a face. A window without any is unusable, and says why in the table.

    OpenFace is a program of its own, for research without profit only. `"openface"` reads what it has written, a file
    for each video that has its name: `FeatureExtraction -f s01_trial01.avi -pose -gaze -aus -out_dir FOLDER` writes
    `FOLDER/s01_trial01.csv`. Every frame counts, as in [1]. OpenFace reads by OpenCV, which turns a video as it is to
    be shown and does not stretch its pixels: one whose pixels are not square has to be written anew for it.
    `"face_landmarker"` computes substitutes of the same meaning, in the same units, from MediaPipe's Face Landmarker
    (`landmarker_quantities` says how they differ), from `frame_rate_hz` frames per second. Features of the two cannot
    be mixed: the source is part of the key.

    Args:
        source: `"face_landmarker"` or `"openface"`.
        window_seconds: length of a window in seconds; 3 s in [1].
        steps: steps of equal length that a window is cut into, each with means of its own; one without a face has those
            of the whole window. `None`: a window is not cut.
        hop_seconds: time between consecutive window starts in seconds; `None` is `window_seconds`.
        lag_seconds: how much later in the video than the window table says a window is cut, see `Windowing`.
        offset_seconds: time in the video at which the stimulus starts; added to what a trial says of its own
            (`Trial.video_offset_seconds`).
        frame_rate_hz: samples a second of the video, for the Face Landmarker.
        length_tolerance_seconds: a video that lasts so much longer than the recording is taken for one with a wrong
            frame rate in its header, and not used, unless the data say that it is so long (`length_problem`).
        assumed_frame_rate_hz: frame rate to believe in place of the headers; `None` believes them.
        openface_folder: folder of OpenFace's files, for `"openface"`.
        detector_model: MediaPipe's `face_landmarker.task`; by default what the environment variable
            `KERAS_EMOTION_FACE_LANDMARKER` names.

    References:
        [1] Zheng, Shao, Zhang, Zhu, Prior-driven dynamic brain networks for multi-modal emotion recognition, MICCAI
        2023.
    """

    # 2: videos are turned and stretched as they are shown.
    code_version: ClassVar[int] = 2
    added_fields: ClassVar[Mapping[str, Any]] = {"lag_seconds": 0.0}
    local_fields: ClassVar[frozenset[str]] = frozenset({"detector_model", "openface_folder"})
    sources: ClassVar[tuple[Source, ...]] = ("video",)

    source: Literal["face_landmarker", "openface"] = "face_landmarker"
    window_seconds: Seconds = 3.0
    steps: StepCount | None = None
    hop_seconds: Seconds | None = None
    lag_seconds: LagSeconds = 0.0
    offset_seconds: OffsetSeconds = 0.0
    frame_rate_hz: FrameRate = 5.0
    length_tolerance_seconds: Seconds = 5.0
    assumed_frame_rate_hz: FrameRate | None = None
    openface_folder: Path | None = None
    detector_model: Path | None = None

    @model_validator(mode="after")
    def _source_is_whole(self):
        if (self.source == "openface") != (self.openface_folder is not None):
            raise ValueError("openface_folder: the folder of OpenFace's files is needed for source 'openface' alone")
        length = self.window_seconds / (self.steps or 1)
        if self.frame_rate_hz * length < 1:
            raise ValueError(f"frame_rate_hz: a window (or step) of {length:g} s holds no frame at this rate")
        return self

    @property
    def windowing(self) -> Windowing:
        """See `FeaturePart`; a window that is not cut has one step."""
        fields = {name: getattr(self, name) for name in Windowing.model_fields}
        return Windowing(**{**fields, "steps": self.steps or 1})

    def with_windowing(self, windowing: Windowing) -> Self:
        """See `FeaturePart`; the windows are sequences, of one step too."""
        return self.changed(**dict(windowing))

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Self:
        """See `FeaturePart`; OpenFace's quantities of another video cannot be computed here."""
        if fields.get("source") == "openface":
            raise ValueError(
                "source: the model was trained on what OpenFace says of the face; `predict` computes these quantities "
                "by the Face Landmarker (--system.face.source face_landmarker)"
            )
        return super().from_fields(fields)

    def for_new_recording(self) -> Self:
        """See `FeaturePart`; where the stimulus started in videos of the training says nothing of another video."""
        return self.changed(hop_seconds=None, offset_seconds=0.0, assumed_frame_rate_hz=None)

    def array_shapes(self, n_channels: int, sampling_rate_hz: float) -> dict[str, tuple[int, ...]]:
        """See `FeaturePart`."""
        return {"face": (*(() if self.steps is None else (self.steps,)), len(OPENFACE_QUANTITIES))}

    def key(self) -> dict:
        """See `FeaturePart`; of OpenFace's files and of the network's the contents, not the places."""
        model = (self.detector_model or landmarker_file()) if self.source == "face_landmarker" else None
        return {
            **super().key(),
            "detector_model": model and path_hash(model),
            "openface_folder": self.openface_folder and content_hash(self.openface_folder.glob("*.csv")),
        }

    def extract(self, trials: Iterable[Trial]) -> Features:
        """See `FeaturePart`.

        Raises:
            InputError: the network's file or the folder of OpenFace's files is missing, or there are no trials. A video
                or a file that cannot be used makes the windows of its trial unusable, and stops nothing.
        """
        # Workers share the cores among themselves already.
        cv2.setNumThreads(1)
        arrays, tables = [], []
        with contextlib.ExitStack() as opened:
            detector = None
            if self.source == "face_landmarker":
                try:
                    detector = opened.enter_context(faces.make_detector("face_landmarker", self.detector_model))
                except InputError as error:
                    raise InputError(f"{error}; or have OpenFace's files read: --system.face.source openface") from None
            elif not self.openface_folder.is_dir():
                raise InputError(f"{self.openface_folder}: no such folder; expected that of OpenFace's files")
            for trial in trials:
                array, table = self._of_trial(trial, detector)
                arrays.append(array)
                tables.append(table)
        if not arrays:
            raise InputError("no trials to compute features from")
        return {"face": np.concatenate(arrays)}, pd.concat(tables, ignore_index=True)

    def _of_trial(self, trial: Trial, detector: faces.Detector | None) -> tuple[np.ndarray, pd.DataFrame]:
        if detector is None:
            duration_seconds, frames, problem = self._from_openface(trial)
        else:
            duration_seconds, frames, problem = self._from_video(trial, detector)
        starts = self.windowing.starts(duration_seconds)
        table = trial.window_table(starts, self.window_seconds)
        steps = () if self.steps is None else (self.steps,)
        if frames is None:
            empty = np.zeros((len(starts), *steps, len(OPENFACE_QUANTITIES)), np.float32)
            return empty, table.assign(**{UNUSABLE: problem})
        onset_seconds = self._offset_seconds(trial) + self.lag_seconds
        frames = frames.assign(time_seconds=frames["time_seconds"] - onset_seconds)
        means, reasons = self._means(frames, starts, self.window_seconds, problem)
        if self.steps is not None:
            length = self.window_seconds / self.steps
            starts_of_steps = (starts[:, np.newaxis] + np.arange(self.steps) * length).ravel()
            of_steps, missing = self._means(frames, starts_of_steps, length, problem)
            of_steps = of_steps.reshape(len(starts), self.steps, -1)
            has_face = (missing == "").reshape(len(starts), self.steps, 1)
            means = np.where(has_face, of_steps, means[:, np.newaxis])
        return means.astype(np.float32), table.assign(**{UNUSABLE: reasons})

    def _offset_seconds(self, trial: Trial) -> float:
        return self.offset_seconds + (trial.video_offset_seconds or 0.0)

    def _from_openface(self, trial: Trial) -> tuple[float, pd.DataFrame | None, str]:
        """How long the trial lasts, its frames, and what is wrong: with all of them, or after their end."""
        frames, problem, lasts = None, "no face video", 0.0
        if trial.video is not None:
            path = self.openface_folder / f"{trial.video.stem}.csv"
            try:
                frames = faces.read_openface(path, self.assumed_frame_rate_hz)
            except InputError as error:
                problem = str(error)
            else:
                times = frames["time_seconds"].to_numpy()
                # The last frame is shown as long as those before it.
                lasts = times[-1] + (times[-1] - times[0]) / max(len(times) - 1, 1)
                problem = f"{path}: ends before the trial, at {lasts:.1f} s"
        if trial.recording is None:
            if frames is None:
                raise InputError(f"{trial.video or trial.stimulus}: how long it lasts is not known ({problem})")
            return lasts - self._offset_seconds(trial), frames, problem
        duration_seconds = trial.recording.duration_seconds
        if frames is not None:
            tolerance = self.length_tolerance_seconds
            what = f"{path}: lasts {lasts:.1f} s"
            too_long = length_problem(what, trial, lasts, len(frames) / lasts, self.offset_seconds, tolerance)
            if too_long is not None:
                frames, problem = None, too_long
        return duration_seconds, frames, problem

    def _from_video(self, trial: Trial, detector: faces.Detector) -> tuple[float, pd.DataFrame | None, str]:
        """As `_from_openface`."""
        duration_seconds, problem = duration_and_problem(
            trial, self.offset_seconds, self.length_tolerance_seconds, self.assumed_frame_rate_hz
        )
        if problem is not None:
            return duration_seconds, None, problem
        # In the middles of the steps, so that a window of 3 s holds the same number wherever it starts.
        n_samples = int(round(duration_seconds * self.frame_rate_hz, 6))
        wanted = (np.arange(n_samples) + 0.5) / self.frame_rate_hz + self._offset_seconds(trial)
        try:
            sequence = faces.extract_faces(
                trial.video,
                detector,
                times_seconds=wanted[wanted >= 0],
                assumed_frame_rate_hz=self.assumed_frame_rate_hz,
            )
        except InputError as error:
            return duration_seconds, None, str(error)
        quantities = np.full((len(sequence.frames), len(OPENFACE_QUANTITIES)), np.nan)
        # Nobody was seen in the whole video where there are no details.
        if sequence.details:
            quantities = faces.landmarker_quantities(**sequence.details)
        frames = pd.DataFrame(quantities, columns=list(OPENFACE_QUANTITIES))
        frames.insert(0, "time_seconds", sequence.frames["time_seconds"])
        last = sequence.frames["frame_time_seconds"].to_numpy().max(initial=0)
        return duration_seconds, frames, sequence.problem or f"{trial.video}: ends before the trial, at {last:.1f} s"

    def _means(
        self, frames: pd.DataFrame, starts: np.ndarray, length_seconds: float, ends: str
    ) -> tuple[np.ndarray, np.ndarray]:
        """`(windows, 29)` means, zeros where there are none, and `(windows,)` why; frames in seconds from the onset."""
        # Time stamps are rounded: a frame on the border belongs to the window that starts there.
        times = frames["time_seconds"].to_numpy() + 1e-6
        values = frames[list(OPENFACE_QUANTITIES)].to_numpy()
        found = np.isfinite(values).all(axis=1)
        sums = np.zeros((len(values) + 1, values.shape[1]))
        np.cumsum(np.where(found[:, np.newaxis], values, 0), axis=0, out=sums[1:])
        counts = np.concatenate([[0], np.cumsum(found)])
        first, last = np.searchsorted(times, starts), np.searchsorted(times, starts + length_seconds)
        n_frames = counts[last] - counts[first]
        means = (sums[last] - sums[first]) / np.maximum(n_frames, 1)[:, np.newaxis]
        reasons = np.select(
            [n_frames > 0, first == len(times), last == 0],
            ["", ends, "before the start of the video"],
            "no face in the video",
        )
        return means, reasons
