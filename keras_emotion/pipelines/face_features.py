"""Aligned face crops from face videos and face pictures, window by window."""

from __future__ import annotations

import contextlib
import functools
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

import cv2
import numpy as np
import pandas as pd
from pydantic import Field, model_validator
from typing_extensions import override

from keras_emotion import faces
from keras_emotion.faces.detection import landmarker_file
from keras_emotion.media_files import check_picture_file
from keras_emotion.pipelines.feature_store import path_hash
from keras_emotion.pipelines.features import STEP_FRAMES, UNUSABLE, FeaturePart, Features, Source
from keras_emotion.pipelines.mapped_arrays import memory_mapped_zeros
from keras_emotion.pipelines.windowing import LagSeconds, Seconds, StepCount, Windowing, starts_within
from keras_emotion.schema import ImageSequence, InputError, Trial

_WINDOWS_AT_ONCE = 64
"""Number of windows whose crops are copied at a time."""


OffsetSeconds = Annotated[float, Field(ge=-1e7, le=1e7)]
"""Time in a video in seconds."""

FrameRate = Annotated[float, Field(gt=0, le=1_000)]
"""Frame rate of a video in frames per second."""


class FaceFeatures(FeaturePart):
    """Face crops of the windows: `{"faces": (windows, steps, image_size, image_size, 3) uint8 RGB}`.

    A window is divided into `steps` slices like its EEG; in the frame nearest to the middle of each slice the face is
    detected, aligned and cropped. A frame without a face uses the face of the nearest frame within
    `maximum_gap_seconds`; a window with a step without a face is unusable, with the reason in the table.

    From a video (`Trial.video`), windows start with the stimulus and follow each other like those of the EEG. From
    pictures (`Trial.images`), the frame of each step is returned as `step_frames`; a clip shorter than a window gives
    one window with `steps` frames spread evenly over it; a clip of a single picture gives a window of one step.

    **Deviations**: the paper converts videos to 60 frames per second without stating how T frames are derived:
    `frame_rate_hz` averages the crops of a slice, sampled at that rate; by default the one in its middle is used.

    Args:
        window_seconds: length of a window in seconds.
        steps: T, the number of steps of a window.
        hop_seconds: time between consecutive window starts in seconds; default `window_seconds`. A smaller one makes
            windows overlap: only for data that are split by clip or person.
        lag_seconds: delay of a window in the video relative to the window table, see `Windowing`; not applied to
            pictures (`Trial.images`), which have no recording.
        image_size: side of the crops in pixels.
        margin: share of the crop's side around the face, on each side.
        offset_seconds: time in the video at which the stimulus starts; added to the offset of a trial
            (`Trial.video_offset_seconds`).
        frame_rate_hz: samples per second of a slice, which are averaged; `None`: one, in the middle.
        maximum_gap_seconds: largest time difference over which a face is reused.
        length_tolerance_seconds: a video that is longer than the recording by more than this, by its header, is assumed
            to have a wrong frame rate, and not used, unless the dataset states its length (`length_problem`).
        assumed_frame_rate_hz: frame rate to use in place of the headers; `None` uses the headers.
        detector: `"blazeface"`, `"yunet"` or `"face_landmarker"`; default: the last one if the environment
            variable `KERAS_EMOTION_FACE_LANDMARKER` names its file.
        detector_model: file of the network, for the latter two.
        align_pictures_by: source of the face position in pictures with landmarks. `"detector"`: the detected face
            nearest to the landmarks, so that pictures and videos are cropped in the same way; the landmarks if none
            is detected, and for pictures only. `"landmarks"`: only these, which is faster.
    """

    # 3: videos are rotated and stretched for display.
    code_version: ClassVar[int] = 3
    added_fields: ClassVar[Mapping[str, Any]] = {"lag_seconds": 0.0}
    local_fields: ClassVar[frozenset[str]] = frozenset({"detector_model"})
    sources: ClassVar[tuple[Source, ...]] = ("video", "images")

    window_seconds: Seconds = 2.0
    steps: StepCount = 4
    hop_seconds: Seconds | None = None
    lag_seconds: LagSeconds = 0.0
    image_size: Annotated[int, Field(ge=8, le=4096)] = 48
    margin: Annotated[float, Field(ge=0, le=1)] = 0.1
    offset_seconds: OffsetSeconds = 0.0
    frame_rate_hz: FrameRate | None = None
    maximum_gap_seconds: Annotated[float, Field(ge=0, le=86_400)] = 1.0
    length_tolerance_seconds: Seconds = 5.0
    assumed_frame_rate_hz: FrameRate | None = None
    detector: Literal["blazeface", "yunet", "face_landmarker"] = Field(
        default_factory=lambda: "face_landmarker" if landmarker_file() else "blazeface"
    )
    detector_model: Path | None = None
    align_pictures_by: Literal["detector", "landmarks"] = "detector"

    @model_validator(mode="after")
    def _rate_reaches_every_slice(self):
        if self.frame_rate_hz is not None and self.frame_rate_hz * self.slice_seconds < 1:
            raise ValueError(f"frame_rate_hz: a slice of {self.slice_seconds:g} s contains no frame at this rate")
        return self

    @property
    def slice_seconds(self) -> float:
        """Length of a step in seconds."""
        return self.window_seconds / self.steps

    @property
    @override
    def windowing(self) -> Windowing:
        return Windowing(**{name: getattr(self, name) for name in Windowing.model_fields})

    @override
    def with_windowing(self, windowing: Windowing) -> Self:
        return self.changed(**dict(windowing))

    def for_new_recording(self) -> Self:
        """See `FeaturePart`; the onset of the stimulus in training videos does not apply to another video."""
        return self.changed(hop_seconds=None, offset_seconds=0.0, assumed_frame_rate_hz=None)

    @override
    def array_shapes(self, n_channels: int, sampling_rate_hz: float) -> dict[str, tuple[int, ...]]:
        return {"faces": (self.steps, self.image_size, self.image_size, 3)}

    def key(self) -> dict:
        """See `FeaturePart`; the detector's file is represented by content, not by path."""
        model = self.detector_model
        if model is None and self.detector == "face_landmarker":
            model = landmarker_file()
        return {**super().key(), "detector_model": model and path_hash(model)}

    def extract(self, trials: Iterable[Trial]) -> Features:
        """See `FeaturePart`.

        Raises:
            InputError: the detector's file is missing, or there are no trials. An unusable video only makes the windows
                of its trial unusable.
        """
        # Workers already share the cores.
        cv2.setNumThreads(1)
        tables, step_frames = [], []
        # The crops of a large dataset exceed memory.
        with tempfile.TemporaryFile() as spool, contextlib.ExitStack() as opened:
            n_steps = set()

            # Opened when it is needed: pictures with landmarks need none.
            @functools.cache
            def detector() -> faces.Detector:
                return opened.enter_context(faces.make_detector(self.detector, self.detector_model))

            for trial in trials:
                images = trial.images
                if images is None:
                    crops, table = self._of_video(trial, detector())
                else:
                    needs_none = images.landmarks is not None and self.align_pictures_by == "landmarks"
                    crops, table, frames = self._of_images(trial, images, None if needs_none else detector())
                    step_frames.append(frames)
                n_steps.add(crops.shape[1])
                for start in range(0, len(crops), _WINDOWS_AT_ONCE):
                    spool.write(crops[start : start + _WINDOWS_AT_ONCE].tobytes())
                tables.append(table)
            if not tables:
                raise InputError("no trials to compute features from")
            if len(n_steps) > 1:
                raise InputError(f"{trial.dataset}: single pictures and clips of several cannot be mixed")
            table = pd.concat(tables, ignore_index=True)
            shape = (len(table), *n_steps, self.image_size, self.image_size, 3)
            spool.flush()
            crops = np.memmap(spool, np.uint8, "r", shape=shape) if len(table) else np.zeros(shape, np.uint8)
        arrays = {"faces": crops}
        if step_frames:
            arrays[STEP_FRAMES] = np.concatenate(step_frames)
        return arrays, table

    # --- videos

    def _of_video(self, trial: Trial, detector: faces.Detector) -> tuple[np.ndarray, pd.DataFrame]:
        duration_seconds, problem = duration_and_problem(
            trial, self.offset_seconds, self.length_tolerance_seconds, self.assumed_frame_rate_hz
        )
        starts = self.windowing.starts(duration_seconds)
        table = trial.window_table(starts, self.window_seconds)
        crops = memory_mapped_zeros((len(starts), self.steps, self.image_size, self.image_size, 3))
        if trial.video is None or problem:
            return crops, table.assign(**{UNUSABLE: problem})
        offset_seconds = self.offset_seconds + (trial.video_offset_seconds or 0.0) + self.lag_seconds
        times = starts[:, np.newaxis, np.newaxis] + self._times_of_a_window() + offset_seconds
        wanted, inverse = np.unique(times.ravel().round(6), return_inverse=True)
        inverse = inverse.reshape(times.shape)
        in_video = wanted >= 0
        try:
            sequence = faces.extract_faces(
                trial.video,
                detector,
                times_seconds=wanted[in_video],
                size=self.image_size,
                margin=self.margin,
                assumed_frame_rate_hz=self.assumed_frame_rate_hz,
            )
        except InputError as error:
            return crops, table.assign(**{UNUSABLE: str(error)})
        n_reached = len(sequence.frames)
        nearest = np.full(len(wanted), -1)
        first = int((~in_video).sum())
        nearest[first : first + n_reached] = faces.nearest_found(
            sequence.frames["time_seconds"].to_numpy(),
            sequence.frames["found"].to_numpy(bool),
            self.maximum_gap_seconds,
        )
        source = nearest[inverse]
        usable = (source >= 0).all(axis=(1, 2))
        rows = np.flatnonzero(usable)
        for some in np.split(rows, range(_WINDOWS_AT_ONCE, len(rows), _WINDOWS_AT_ONCE)):
            crops[some] = self._averaged(sequence.faces, source[some])
        beyond = inverse >= first + n_reached
        ends = (
            sequence.problem or f"{trial.video}: ends before the trial, at {_end_seconds(sequence, trial.video):.1f} s"
        )
        reasons = np.select(
            [usable, beyond.any(axis=(1, 2)), (inverse < first).any(axis=(1, 2))],
            ["", ends, "before the start of the video"],
            "no face in the video",
        )
        return crops, table.assign(**{UNUSABLE: reasons})

    def _times_of_a_window(self) -> np.ndarray:
        """Return `(steps, samples)` seconds from the start of the window."""
        n_samples = 1 if self.frame_rate_hz is None else int(round(self.frame_rate_hz * self.slice_seconds, 6))
        within = (np.arange(n_samples) + 0.5) / n_samples
        return (np.arange(self.steps)[:, np.newaxis] + within) * self.slice_seconds

    @staticmethod
    def _averaged(crops: np.ndarray, source: np.ndarray) -> np.ndarray:
        """Average the crops at `source` `(windows, steps, samples)` over the samples, one window at a time."""
        if source.shape[-1] == 1:
            return crops[source[..., 0]]
        averaged = [crops[rows].mean(axis=1).round().astype(np.uint8) for rows in source]
        return np.reshape(averaged, (len(source), source.shape[1], *crops.shape[1:]))

    # --- pictures

    def _of_images(
        self, trial: Trial, images: ImageSequence, detector: faces.Detector | None
    ) -> tuple[np.ndarray, pd.DataFrame, np.ndarray]:
        times = np.asarray(images.times_seconds, float)
        step = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
        duration_seconds = float(times[-1]) + step
        if len(times) == 1:
            starts, chosen = np.zeros(1), np.zeros((1, 1), int)
            lasts = self.window_seconds
        elif duration_seconds < self.window_seconds - 1e-6:
            starts, lasts = np.zeros(1), duration_seconds
            wanted = (np.arange(self.steps) + 0.5) / self.steps * duration_seconds - step / 2
            chosen = _nearest(times, wanted[np.newaxis])
        else:
            starts = starts_within(duration_seconds, self.window_seconds, self.hop_seconds)
            lasts = self.window_seconds
            chosen = _nearest(times, starts[:, np.newaxis] + self._times_of_a_window().mean(axis=1))
        # Each frame is read once, even if it is in several windows.
        used, inverse = np.unique(chosen, return_inverse=True)
        crops = np.zeros((len(used), self.image_size, self.image_size, 3), np.uint8)
        reasons = np.full(len(used), "", dtype=object)
        tracker = None if detector is None else faces.FaceTracker(detector)
        for row, frame in enumerate(used):
            given = (
                None if images.landmarks is None else faces.four_landmarks(np.asarray(images.landmarks[frame], float))
            )
            # Landmarks refer to the stored pixels; a picture without landmarks is rotated by its EXIF header.
            stored = cv2.IMREAD_COLOR if given is None else cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
            check_picture_file(images.files[frame])
            picture = cv2.imread(str(images.files[frame]), stored)
            if picture is None:
                reasons[row] = f"{images.files[frame]}: not a readable picture"
                continue
            picture = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
            places = _face_of_picture(tracker, picture, times[frame], given)
            if places is None:
                reasons[row] = f"{images.files[frame]}: no face"
            else:
                crops[row] = faces.align(picture, places, self.image_size, self.margin)
        inverse = inverse.reshape(chosen.shape)
        unusable = [next((reason for reason in row if reason), "") for row in reasons[inverse]]
        table = trial.window_table(starts, lasts).assign(**{UNUSABLE: unusable})
        return crops[inverse], table, chosen


def duration_and_problem(
    trial: Trial, offset_seconds: float, length_tolerance_seconds: float, assumed_frame_rate_hz: float | None
) -> tuple[float, str]:
    """Return the length of a trial, and why its face video cannot be used, according to its header.

    Args:
        trial: the trial; without a recording it is as long as its video.
        offset_seconds: time in the video at which the stimulus starts, added to the trial's own offset. If the trial
            has one, the video may be longer than the trial.
        length_tolerance_seconds: largest excess of the video's length over the trial's, see `length_problem`.
        assumed_frame_rate_hz: frame rate to believe in place of the header.

    Returns:
        `(seconds, problem)`; the problem is empty if there is none.

    Raises:
        InputError: neither a recording nor a video defines the length of the trial.
    """
    problem, facts = "", None
    if trial.video is None:
        problem = "no face video"
    else:
        try:
            facts = faces.video_facts(trial.video)
        except InputError as error:
            problem = str(error)
    if trial.recording is not None:
        duration_seconds = trial.recording.duration_seconds
    elif facts is None or not facts.duration_seconds:
        raise InputError(f"{trial.video or trial.stimulus}: length unknown; expected a recording or a readable video")
    else:
        duration_seconds = facts.duration_seconds - offset_seconds - (trial.video_offset_seconds or 0.0)
    if facts is not None and facts.duration_seconds:
        lasts, rate_hz = facts.duration_seconds, facts.frame_rate_hz
        what = f"{facts.path}: lasts {lasts:.1f} s by its header ({rate_hz:g} frames per second)"
        if assumed_frame_rate_hz is not None and facts.n_frames:
            lasts, rate_hz = facts.n_frames / assumed_frame_rate_hz, assumed_frame_rate_hz
            what = f"{facts.path}: lasts {lasts:.1f} s at {rate_hz:g} frames per second"
        problem = length_problem(what, trial, lasts, rate_hz, offset_seconds, length_tolerance_seconds) or ""
    return duration_seconds, problem


def length_problem(
    what: str,
    trial: Trial,
    lasts_seconds: float,
    rate_hz: float,
    offset_seconds: float,
    length_tolerance_seconds: float,
) -> str | None:
    """Return why a face video of this length and frame rate cannot be used, `None` if it can.

    A video that is much longer than its trial may have a wrong frame rate in its header: every window would then be
    taken at another time than that of the signals. It is accepted if the dataset states that the video continues after
    the trial: by its onset in the video, its length, or the rate itself (`Trial.video_offset_seconds`, `video_seconds`,
    `video_frame_rate_hz`).

    Args:
        what: start of the message: file and length.
        trial: the trial.
        lasts_seconds: length of the video, by its header or at an assumed rate.
        rate_hz: its frames per second, by its header or assumed.
        offset_seconds: time in the video at which the stimulus starts.
        length_tolerance_seconds: largest excess of the video's length over the trial's, or difference from the
            dataset's statement.
    """
    if trial.recording is None or trial.video_offset_seconds is not None:
        return None
    duration_seconds, said = trial.recording.duration_seconds, trial.video_seconds
    if lasts_seconds <= duration_seconds + offset_seconds + length_tolerance_seconds:
        return None
    if said is not None and abs(lasts_seconds - said) <= length_tolerance_seconds:
        return None
    right_hz = trial.video_frame_rate_hz
    if right_hz is not None and faces.same_frame_rate(rate_hz, right_hz):
        return None
    problem = f"{what}, the trial {duration_seconds:.1f} s"
    n_frames = lasts_seconds * rate_hz
    if right_hz is not None:
        problem += f", and the dataset states {right_hz:g} frames per second"
        if said is not None:
            problem += f" during {said:.1f} s"
            if abs(n_frames / right_hz - said) <= length_tolerance_seconds:
                return f"{problem}: the rate in the header is wrong; give assumed_frame_rate_hz {right_hz:g}"
        return f"{problem}: neither fits; copy the video again"
    if said is not None:
        return f"{problem}, and the dataset states {said:.1f} s: neither fits; copy the video again"
    return (
        f"{problem}. If it continues after the trial, give the trial's onset in it (video_offset_seconds in "
        "trials.csv) or the accepted excess (length_tolerance_seconds). If the rate in the header is wrong, "
        f"give the correct one (assumed_frame_rate_hz; {n_frames:.0f} frames in the length of the trial would be "
        f"{n_frames / duration_seconds:.3g} per second)"
    )


def _end_seconds(sequence: faces.FaceSequence, video: Path) -> float:
    """Return the end of the video: the last frame that was read, otherwise the end by its header."""
    if len(sequence.frames):
        return float(sequence.frames["frame_time_seconds"].iloc[-1])
    return faces.video_facts(video).duration_seconds or 0.0


def _face_of_picture(
    tracker: faces.FaceTracker | None, picture: np.ndarray, time_seconds: float, given: np.ndarray | None
) -> np.ndarray | None:
    """Return landmarks `(4, 2)` of the face in a clip's picture: the detected one nearest to the given, else these."""
    is_given = given is not None and np.isfinite(given).all()
    if tracker is not None:
        found = tracker.update(picture, time_seconds)
        # A newly detected face is refined at close range, like those detected before.
        found = list((tracker.update(picture, time_seconds + 1e-4) or found).values())
        if not is_given:
            return max(found, key=lambda face: face.side).landmarks if found else None
        apart = [np.hypot(*(face.landmarks - given).T).mean() / face.side for face in found]
        if apart and min(apart) < 0.5:
            return found[int(np.argmin(apart))].landmarks
    return given if is_given else None


def _nearest(times: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return the position of the time nearest to each wanted one; the earlier of two."""
    after = np.clip(np.searchsorted(times, wanted), 1, len(times) - 1)
    return np.where(wanted - times[after - 1] <= times[after] - wanted, after - 1, after)
