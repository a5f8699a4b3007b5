"""The 29 face quantities of OpenFace from face videos, window by window."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import cv2
import numpy as np
import pandas as pd
from pydantic import model_validator
from typing_extensions import override

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

    With `steps`, a sequence in each window, `(windows, steps, 29)`: a trial of 60 s in steps of 3 s.

    Each is the mean of one of `OPENFACE_QUANTITIES` (position and rotation of the head, gaze, action units) over the
    frames of the window with a face. A window without any is unusable, with the reason in the table.

    OpenFace is separate software, for non-commercial research only. `"openface"` reads its output, one file per video,
    named like it: `FeatureExtraction -f s01_trial01.avi -pose -gaze -aus -out_dir FOLDER` writes
    `FOLDER/s01_trial01.csv`. Every frame counts, as in [1]. OpenFace reads videos with OpenCV, which rotates them for
    display but does not stretch their pixels: a video with non-square pixels must be re-encoded for it.
    `"face_landmarker"` computes substitutes of the same meaning, in the same units, with MediaPipe's Face Landmarker
    (`landmarker_quantities` describes the differences), from `frame_rate_hz` frames per second. Features of the two
    cannot be mixed: the source is part of the key.

    Args:
        source: `"face_landmarker"` or `"openface"`.
        window_seconds: length of a window in seconds; 3 s in [1].
        steps: number of equally long steps of a window, each with its own means; one without a face has those of the
            whole window. `None`: no steps.
        hop_seconds: time between consecutive window starts in seconds; default `window_seconds`.
        lag_seconds: delay of a window in the video relative to the window table, see `Windowing`.
        offset_seconds: time in the video at which the stimulus starts; added to the offset of a trial
            (`Trial.video_offset_seconds`).
        frame_rate_hz: samples per second of the video, for the Face Landmarker.
        length_tolerance_seconds: a video that is longer than the recording by more than this is assumed to have a wrong
            frame rate in its header, and not used, unless the dataset states its length (`length_problem`).
        assumed_frame_rate_hz: frame rate to use in place of the headers; `None` uses the headers.
        openface_folder: folder of OpenFace's files, for `"openface"`.
        detector_model: MediaPipe's `face_landmarker.task`; default: the file named by the environment variable
            `KERAS_EMOTION_FACE_LANDMARKER`.

    References:
        [1] Zheng, Shao, Zhang, Zhu, Prior-driven dynamic brain networks for multi-modal emotion recognition, MICCAI
        2023.
    """

    # 2: videos are rotated and stretched for display.
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
            raise ValueError("openface_folder: the folder of OpenFace's files is needed for source 'openface' only")
        length = self.window_seconds / (self.steps or 1)
        if self.frame_rate_hz * length < 1:
            raise ValueError(f"frame_rate_hz: a window (or step) of {length:g} s contains no frame at this rate")
        return self

    @property
    def windowing(self) -> Windowing:
        """See `FeaturePart`; a window without steps has one step."""
        fields = {name: getattr(self, name) for name in Windowing.model_fields}
        return Windowing(**{**fields, "steps": self.steps or 1})

    def with_windowing(self, windowing: Windowing) -> Self:
        """See `FeaturePart`; windows are sequences, even of one step."""
        return self.changed(**dict(windowing))

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Self:
        """See `FeaturePart`; OpenFace's quantities cannot be computed here for another video."""
        if fields.get("source") == "openface":
            raise ValueError(
                "source: the model was trained on OpenFace's face quantities; `predict` computes them with the "
                "Face Landmarker; train with --system.face.source face_landmarker"
            )
        return super().from_fields(fields)

    def for_new_recording(self) -> Self:
        """See `FeaturePart`; the onset of the stimulus in training videos does not apply to another video."""
        return self.changed(hop_seconds=None, offset_seconds=0.0, assumed_frame_rate_hz=None)

    @override
    def array_shapes(self, n_channels: int, sampling_rate_hz: float) -> dict[str, tuple[int, ...]]:
        return {"face": (*(() if self.steps is None else (self.steps,)), len(OPENFACE_QUANTITIES))}

    def key(self) -> dict:
        """See `FeaturePart`; OpenFace's files and the network's are represented by content, not by path."""
        model = (self.detector_model or landmarker_file()) if self.source == "face_landmarker" else None
        return {
            **super().key(),
            "detector_model": model and path_hash(model),
            "openface_folder": self.openface_folder and content_hash(self.openface_folder.glob("*.csv")),
        }

    def extract(self, trials: Iterable[Trial]) -> Features:
        """See `FeaturePart`.

        Raises:
            InputError: the network's file or the folder of OpenFace's files is missing, or there are no trials. An
                unusable video or file only makes the windows of its trial unusable.
        """
        # Workers already share the cores.
        cv2.setNumThreads(1)
        arrays, tables = [], []
        with contextlib.ExitStack() as opened:
            detector = None
            if self.source == "face_landmarker":
                try:
                    detector = opened.enter_context(faces.make_detector("face_landmarker", self.detector_model))
                except InputError as error:
                    raise InputError(f"{error}; or use OpenFace's files: --system.face.source openface") from None
            elif self.openface_folder is None or not self.openface_folder.is_dir():
                raise InputError(f"{self.openface_folder}: no such folder; expected the folder of OpenFace's files")
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
        """Return the trial's length, its frames, and the problem with all of them, or with windows after their end."""
        frames, problem, lasts = None, "no face video", 0.0
        if trial.video is not None and self.openface_folder is not None:
            path = self.openface_folder / f"{trial.video.stem}.csv"
            try:
                frames = faces.read_openface(path, self.assumed_frame_rate_hz)
            except InputError as error:
                problem = str(error)
            else:
                times = frames["time_seconds"].to_numpy()
                # The last frame is assumed to be shown as long as the others.
                lasts = times[-1] + (times[-1] - times[0]) / max(len(times) - 1, 1)
                problem = f"{path}: ends before the trial, at {lasts:.1f} s"
        if trial.recording is None:
            if frames is None:
                raise InputError(
                    f"{trial.video or trial.stimulus}: length unknown ({problem}); expected a recording or a video"
                )
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
        """Do the same as `_from_openface`, from the video."""
        duration_seconds, problem = duration_and_problem(
            trial, self.offset_seconds, self.length_tolerance_seconds, self.assumed_frame_rate_hz
        )
        if trial.video is None or problem:
            return duration_seconds, None, problem
        # In the middles of the steps, so that every window of 3 s contains the same number.
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
        # Without details there was no face in the whole video.
        if sequence.details:
            quantities = faces.landmarker_quantities(**sequence.details)
        frames = pd.DataFrame(quantities, columns=list(OPENFACE_QUANTITIES))
        frames.insert(0, "time_seconds", sequence.frames["time_seconds"])
        last = sequence.frames["frame_time_seconds"].to_numpy().max(initial=0)
        return duration_seconds, frames, sequence.problem or f"{trial.video}: ends before the trial, at {last:.1f} s"

    def _means(
        self, frames: pd.DataFrame, starts: np.ndarray, length_seconds: float, ends: str
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return `(windows, 29)` means (zeros if missing), and `(windows,)` reasons; frame times start at the onset."""
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
