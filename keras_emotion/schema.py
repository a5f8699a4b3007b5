"""Core data structures: recordings, trials, window tables, labels, errors.

This module reads no files and depends on no dataset. A *recording* is one array of channels with names, units and a
sampling rate; a *trial* is a recording under one stimulus with its ratings; a *window table* is a `pandas.DataFrame`
with one row per window (see `WINDOW_COLUMNS`).
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

# Imported lazily: the command line imports `InputError` from here, and must list its commands at once.
if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

WINDOW_COLUMNS = (
    "dataset",
    "subject",
    "session",
    "trial",
    "presentation",
    "stimulus",
    "start_seconds",
    "stop_seconds",
)
"""First columns of a window table; one column per rating (`valence`, `arousal`, ...) follows.

`dataset`, `subject`, `session` and `trial` together identify a trial: trial ids may restart in each session. `subject`
and `session` are integers or strings, `trial` is the dataset's stimulus-ordered trial id (1-based) and `presentation`
the 1-based position of the trial in the order of presentation (-1 if unknown). `start_seconds` and `stop_seconds` are
relative to stimulus onset.
"""


SPLIT_PARTS = ("train", "validation", "test")
"""Parts of a split that a dataset predefines."""

_SPLIT_FOLD = re.compile(r"fold_[1-9]\d*")

TRIAL_KEY = ("dataset", "subject", "session", "trial")
"""Columns that identify a trial: trial ids restart in each session, which is one visit of a subject."""


def is_part_of_split(text: str) -> bool:
    """Return whether a text is a part of a split: one of `SPLIT_PARTS`, or a fold (`"fold_1"`, `"fold_2"`, ...).

    Each fold is the test set once, while the others are the training set.
    """
    return text in SPLIT_PARTS or _SPLIT_FOLD.fullmatch(text) is not None


class InputError(ValueError):
    """Invalid user input; the message names the file or option, what is wrong, what was expected and what to do.

    The command line prints the message without a traceback and exits with code 2.
    """


@dataclasses.dataclass(frozen=True, eq=False)
class Recording:
    """Multichannel signal.

    Args:
        signal: `(channels, samples)` array of float32 or float64, in `units`.
        channel_names: name of each channel, in the order of the rows of `signal`.
        units: unit of each channel (`"uV"`, `"ohm"`, `"degC"`, `"a.u."`), in the same order.
        sampling_rate_hz: samples per second.
        baseline_seconds: seconds at the start of `signal` before stimulus onset.
        source: the file the signal was read from.
        electrode_directions: `(channels, 3)` unit vectors from the centre of the head to the electrodes (right, front,
            up), NaN if unknown or if the channel is not an electrode; `None` if the channel names are sufficient.
        bad_spans: `(start_seconds, stop_seconds, reason)` of segments that the file itself annotates as bad, in seconds
            from stimulus onset.

    Raises:
        ValueError: the number of names, units or directions does not match the number of rows of `signal`.
    """

    signal: np.ndarray
    channel_names: tuple[str, ...]
    units: tuple[str, ...]
    sampling_rate_hz: float
    baseline_seconds: float = 0.0
    source: Path | None = None
    electrode_directions: np.ndarray | None = None
    bad_spans: tuple[tuple[float, float, str], ...] = ()

    def __post_init__(self) -> None:
        if self.signal.ndim != 2:
            raise ValueError(f"`signal` has shape {self.signal.shape}; expected `(channels, samples)`")
        for field in ("channel_names", "units"):
            if len(getattr(self, field)) != len(self.signal):
                raise ValueError(
                    f"`{field}` has {len(getattr(self, field))} entries but `signal` has {len(self.signal)} channels"
                )
        directions = self.electrode_directions
        if directions is not None and directions.shape != (len(self.signal), 3):
            raise ValueError(f"`electrode_directions` has shape {directions.shape}; expected ({len(self.signal)}, 3)")

    @property
    def n_baseline_samples(self) -> int:
        """Number of samples before stimulus onset."""
        return round(self.baseline_seconds * self.sampling_rate_hz)

    @property
    def duration_seconds(self) -> float:
        """Seconds from stimulus onset to the end of the signal."""
        return float((self.signal.shape[1] - self.n_baseline_samples) / self.sampling_rate_hz)

    def pick(self, channel_names: Sequence[str]) -> Recording:
        """Return a recording with the named channels only, in the given order; contiguous channels are not copied.

        Raises:
            InputError: a channel is missing from this recording.
        """
        position = {name: index for index, name in enumerate(self.channel_names)}
        missing = [name for name in channel_names if name not in position]
        if missing:
            raise InputError(
                f"{self.source or 'recording'}: missing channel {', '.join(missing)}; "
                f"available: {', '.join(self.channel_names)}"
            )
        rows = [position[name] for name in channel_names]
        are_in_a_row = bool(rows) and rows == list(range(rows[0], rows[0] + len(rows)))
        return dataclasses.replace(
            self,
            signal=self.signal[rows[0] : rows[-1] + 1] if are_in_a_row else self.signal[rows],
            channel_names=tuple(channel_names),
            units=tuple(self.units[row] for row in rows),
            electrode_directions=None if self.electrode_directions is None else self.electrode_directions[rows],
        )


@dataclasses.dataclass(frozen=True, eq=False)
class ImageSequence:
    """Frames of a clip as separate image files, as some face datasets provide them.

    Args:
        files: one image per frame, in order.
        times_seconds: `(frames,)` seconds from the start of the clip.
        ratings: `(frames,)` float score of each frame by target name; NaN if missing.
        landmarks: `(frames, 68, 2)` float32, `(x, y)` in pixels of the stored image, in the order of the 68-point
            markup of iBUG 300-W (jaw 0-16, brows 17-26, nose 27-35, eyes 36-47, mouth 48-67; the person's right side
            first); NaN for a frame without landmarks; `None` if the dataset has none.

    Raises:
        ValueError: the lengths differ.
    """

    files: tuple[Path, ...]
    times_seconds: np.ndarray
    ratings: Mapping[str, np.ndarray]
    landmarks: np.ndarray | None = None

    def __post_init__(self) -> None:
        lengths = {"times_seconds": len(self.times_seconds)} | {name: len(row) for name, row in self.ratings.items()}
        if self.landmarks is not None:
            lengths["landmarks"] = len(self.landmarks)
        wrong = {name: length for name, length in lengths.items() if length != len(self.files)}
        if wrong:
            raise ValueError(f"{len(self.files)} files but {wrong}; expected one entry per file")


@dataclasses.dataclass(frozen=True)
class Clip:
    """Segment of a video or sound file, such as the stimulus of a trial.

    Args:
        path: the file.
        start_seconds: start of the clip in the file.
        stop_seconds: end of the clip in the file; `None`: the end of the trial or of the file.

    Raises:
        ValueError: the clip starts before the file, or stops before it starts.
    """

    path: Path
    start_seconds: float = 0.0
    stop_seconds: float | None = None

    def __post_init__(self) -> None:
        # `not`, because comparisons with NaN are false.
        if not self.start_seconds >= 0 or not (self.stop_seconds is None or self.stop_seconds > self.start_seconds):
            raise ValueError(
                f"`start_seconds` is {self.start_seconds} and `stop_seconds` {self.stop_seconds}; expected 0 or more, "
                "and a stop after the start"
            )

    @property
    def duration_seconds(self) -> float | None:
        """Length of the clip in seconds, or `None` if its end is unknown."""
        return None if self.stop_seconds is None else self.stop_seconds - self.start_seconds


@dataclasses.dataclass(frozen=True, eq=False)
class ReleasedFeatures:
    """Features of a trial that the authors of a dataset computed and distribute, read on demand.

    Args:
        source: the file.
        names: the authors' names of the arrays (`"de_LDS"`).
        channel_names: name of each channel, in the order of the arrays.
        bands: `(low_hz, high_hz)` by name of the band, in the order of the arrays.
        window_seconds: length of a window in seconds; windows are contiguous from stimulus onset.
        smoothed: those of `names` that the authors smoothed over the whole trial: each window depends on windows before
            and after it.
        read: function that reads an array by its name: `(windows, channels, bands)`, float64. Raises an `InputError`
            that names the file if it cannot be read.
    """

    source: Path
    names: tuple[str, ...]
    channel_names: tuple[str, ...]
    bands: Mapping[str, tuple[float, float]]
    window_seconds: float
    smoothed: frozenset[str]
    read: Callable[[str], np.ndarray]


@dataclasses.dataclass(frozen=True, eq=False)
class EyeEvents:
    """Eye-tracker events of one trial, without their times.

    Args:
        pupil: `(fixations, 4)` float64: mean horizontal and vertical diameter of the pupil in pixels during each
            fixation, and horizontal and vertical dispersion.
        fixations_ms: `(fixations,)` duration of each fixation in milliseconds.
        saccades: `(saccades, 2)`: duration in milliseconds and amplitude in degrees of each saccade.
        blinks_ms: `(blinks,)` duration of each blink in milliseconds.
        statistics: `(28,)` statistics of the events that the tracker's own software computed; empty if missing.
    """

    pupil: np.ndarray
    fixations_ms: np.ndarray
    saccades: np.ndarray
    blinks_ms: np.ndarray
    statistics: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class EyeMovements:
    """Eye movements of a trial, read on demand.

    Args:
        sources: the files.
        feature_names: names of the features that the authors computed, in the order of their columns; empty if they
            distribute none.
        window_seconds: length in seconds of a window of these features; windows are contiguous from stimulus onset.
        is_smoothed: whether the authors smoothed the features over the whole trial.
        read_features: function that reads the features: `(windows, features)` float64. `None` if there are none. Raises
            an `InputError` that names the file if it cannot be read.
        read_events: function that reads the events; `None` if there are none. Raises as `read_features`.
    """

    sources: tuple[Path, ...]
    feature_names: tuple[str, ...] = ()
    window_seconds: float = 0.0
    is_smoothed: bool = False
    read_features: Callable[[], np.ndarray] | None = None
    read_events: Callable[[], EyeEvents] | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class ContinuousRating:
    """Continuous (time-varying) rating of a trial, given by the subject while watching, or later by annotators.

    Args:
        times_seconds: `(values,)` float64, increasing: seconds from stimulus onset.
        values: `(values,)` float64, the rating at each time; NaN if missing.
        scale: lowest and highest possible value.

    Raises:
        ValueError: the lengths differ, or the times do not increase.
    """

    times_seconds: np.ndarray
    values: np.ndarray
    scale: tuple[float, float]

    def __post_init__(self) -> None:
        shapes = self.times_seconds.shape, self.values.shape
        if len(shapes[0]) != 1 or shapes[0] != shapes[1]:
            raise ValueError(
                f"`times_seconds` has shape {shapes[0]} and `values` {shapes[1]}; expected both `(values,)`"
            )
        if (self.times_seconds[1:] <= self.times_seconds[:-1]).any():
            raise ValueError("`times_seconds` does not increase")


@dataclasses.dataclass(frozen=True, eq=False)
class Trial:
    """Recording under one stimulus, with the subject's ratings of it.

    Face datasets without signals have trials too: a clip is a trial without a recording, and its actor is the subject.

    Args:
        dataset: name of the dataset, lower case (`"deap"`).
        subject: the dataset's own id of the subject.
        trial: stimulus-ordered trial id, 1-based (DEAP: `Experiment_id`).
        stimulus: id of the stimulus, the same for all subjects.
        recording: the signals, baseline included; `None` if the dataset has none.
        eeg_channel_names: names of the scalp channels among `recording.channel_names`, in order.
        ratings: float rating by target name (`{"valence": 6.5, ...}`); a target without a rating is omitted.
        session: id of the session, which is one visit of the subject; 1 if there is only one.
        presentation: 1-based position in the order of presentation, -1 if unknown.
        video: the face video of the trial, or `None` where there is none.
        video_offset_seconds: time of stimulus onset in the video, if the dataset gives it; the video may then continue
            after the trial. `None`: the video is of this trial alone and starts at stimulus onset.
        video_seconds: duration of the video according to the dataset, which may be longer than the trial; `None` if the
            dataset does not give it.
        video_frame_rate_hz: frames per second of the video according to the dataset, which overrides its header; `None`
            if the dataset does not give it.
        images: the frames of the trial as separate image files, or `None`.
        media: the stimulus file, if the dataset or a stimulus folder provides it.
        voice: the recorded speech or other sound of the subject, or `None`.
        eye_movements: the subject's eye movements, if they were recorded and are read.
        continuous_ratings: continuous ratings of the trial, by target name.
        recorded_together: id of the group of subjects who were recorded together in this trial, so that the emotion of
            one depends on the others; empty for a single subject.
        released_features: the authors' own features of the trial, if they are read.
        split: part of the predefined split that the trial belongs to (`"train"`, `"validation"`, `"test"`, or
            `"fold_1"`, `"fold_2"`, ... of a cross-validation); empty if the dataset has none.
    """

    dataset: str
    subject: int | str
    trial: int
    stimulus: str
    recording: Recording | None
    eeg_channel_names: tuple[str, ...]
    ratings: Mapping[str, float]
    session: int | str = 1
    presentation: int = -1
    video: Path | None = None
    images: ImageSequence | None = None
    video_offset_seconds: float | None = None
    video_seconds: float | None = None
    video_frame_rate_hz: float | None = None
    split: str = ""
    media: Clip | None = None
    released_features: ReleasedFeatures | None = None
    voice: Clip | None = None
    eye_movements: EyeMovements | None = None
    continuous_ratings: Mapping[str, ContinuousRating] = dataclasses.field(default_factory=dict)
    recorded_together: str = ""

    def without_ratings(self) -> Trial:
        """Return the trial without its ratings, for feature extraction: labels must not reach the features."""
        images = self.images if self.images is None else dataclasses.replace(self.images, ratings={})
        return dataclasses.replace(self, ratings={}, continuous_ratings={}, images=images)

    @property
    def duration_seconds(self) -> float:
        """Duration of the trial in seconds, from stimulus onset.

        Without a recording, the duration is that of the images: the time of the last image plus one frame period, which
        is the smallest step between two images; a single image lasts 0 s. Without images, it is that of the windows of
        the released features (the first array is read), else of the video, the voice or the stimulus clip, the first of
        these whose length is known.

        Raises:
            InputError: released features cannot be read.
        """
        import numpy as np

        if self.recording is not None:
            return self.recording.duration_seconds
        if self.images is not None:
            times_seconds = self.images.times_seconds
            return float(times_seconds[-1] + np.diff(times_seconds).min()) if len(times_seconds) > 1 else 0.0
        if self.released_features is not None:
            released = self.released_features
            return len(released.read(released.names[0])) * released.window_seconds
        clips = (clip.duration_seconds for clip in (self.voice, self.media) if clip is not None)
        return next((seconds for seconds in (self.video_seconds, *clips) if seconds is not None), 0.0)

    @property
    def required_recording(self) -> Recording:
        """The recording, for code that cannot do without.

        Raises:
            InputError: the dataset has no recordings.
        """
        if self.recording is None:
            raise InputError(
                f"{self.dataset}: has no EEG; expected a dataset with EEG; choose a system that uses faces only"
            )
        return self.recording

    @property
    def eeg(self) -> Recording:
        """Scalp channels of the recording.

        Raises:
            InputError: the dataset has no recordings.
        """
        return self.required_recording.pick(self.eeg_channel_names)

    def window_table(self, start_seconds: np.ndarray, window_seconds: float) -> pd.DataFrame:
        """Window table of this trial, with one row per window start.

        It has `WINDOW_COLUMNS`, the ratings, and `split` and `recorded_together` if they are not empty.

        Args:
            start_seconds: `(windows,)` seconds from stimulus onset.
            window_seconds: length of each window.
        """
        import numpy as np
        import pandas as pd

        start_seconds = np.asarray(start_seconds, dtype=float)
        columns = {
            "dataset": self.dataset,
            "subject": self.subject,
            "session": self.session,
            "trial": self.trial,
            "presentation": self.presentation,
            "stimulus": self.stimulus,
            "start_seconds": start_seconds,
            "stop_seconds": start_seconds + window_seconds,
            **self.ratings,
            **({"split": self.split} if self.split else {}),
            **({"recorded_together": self.recorded_together} if self.recorded_together else {}),
        }
        return pd.DataFrame(columns, index=range(len(start_seconds)))
