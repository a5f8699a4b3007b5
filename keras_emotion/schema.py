"""The words every room of the house shares: recordings, trials, window tables, labels, errors.

Nothing here reads a file, filters a signal or knows a data set. A *recording* is one array of channels with
names, units and a rate; a *trial* is a recording under one stimulus with the ratings given to it; a *window table*
is a `pandas.DataFrame` with one row a window (see `WINDOW_COLUMNS`).
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

# Not when the module is imported: the command line names its errors by `InputError`, and lists its commands at once.
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
"""Columns that a window table starts with; one column a rating (`valence`, `arousal`, ...) follows.

`dataset`, `subject`, `session` and `trial` together name a trial: trial ids may start anew in each session. `subject`
and `session` are integers or strings, `trial` is the data set's stimulus-ordered trial id (1-based) and `presentation`
the place of the trial in the order in which it was shown (1-based; -1 where it is not known). `start_seconds` and
`stop_seconds` count from the onset of the stimulus.
"""


SPLIT_PARTS = ("train", "validation", "test")
"""Parts of a split that a dataset brings along."""

_SPLIT_FOLD = re.compile(r"fold_[1-9]\d*")

TRIAL_KEY = ("dataset", "subject", "session", "trial")
"""Columns that name a trial: trials are numbered anew in each session, a session being one visit of a subject."""


def is_part_of_split(text: str) -> bool:
    """Return whether a text names a part of a split: one of `SPLIT_PARTS`, or a fold (`"fold_1"`, `"fold_2"`, ...).

    Of folds, each is the test part once, and the others are trained on.
    """
    return text in SPLIT_PARTS or _SPLIT_FOLD.fullmatch(text) is not None


class InputError(ValueError):
    """Input of the user's that cannot be used: the message names file, field, what was expected and what to do.

    The command line prints the message without a traceback and exits with code 2.
    """


@dataclasses.dataclass(frozen=True, eq=False)
class Recording:
    """One multichannel signal.

    Args:
        signal: `(channels, samples)` array of float32 or float64, in `units`.
        channel_names: name of each channel, in the order of the rows of `signal`.
        units: unit of each channel (`"uV"`, `"ohm"`, `"degC"`, `"a.u."`), in the same order.
        sampling_rate_hz: samples a second.
        baseline_seconds: seconds at the start of `signal` that precede the onset of the stimulus.
        source: the file the signal was read from.
        electrode_directions: `(channels, 3)` unit vectors from the centre of the head to the electrodes (right, front,
            up), NaN where one is not known or the channel is none; `None` where the names say enough.
        bad_spans: `(start_seconds, stop_seconds, reason)` of stretches that the file itself calls bad, in seconds from
            the onset of the stimulus.

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
        """Number of samples before the onset of the stimulus."""
        return round(self.baseline_seconds * self.sampling_rate_hz)

    @property
    def duration_seconds(self) -> float:
        """Seconds from the onset of the stimulus to the end of the signal."""
        return float((self.signal.shape[1] - self.n_baseline_samples) / self.sampling_rate_hz)

    def pick(self, channel_names: Sequence[str]) -> Recording:
        """A recording with the named channels only, in the order asked for; channels in a row are not copied.

        Raises:
            InputError: a name is not among the channels of this recording.
        """
        position = {name: index for index, name in enumerate(self.channel_names)}
        missing = [name for name in channel_names if name not in position]
        if missing:
            raise InputError(
                f"{self.source or 'recording'}: no channel named {', '.join(missing)}; "
                f"it has {', '.join(self.channel_names)}"
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
    """Frames of a clip that are files of their own, as data sets of faces give them.

    Args:
        files: one image a frame, in order.
        times_seconds: `(frames,)` seconds from the start of the clip.
        ratings: `(frames,)` float score of each frame by target name; NaN where a frame has none.
        landmarks: `(frames, 68, 2)` float32, `(x, y)` in pixels of the image as it is stored, in the order of the
            68-point markup of iBUG 300-W (jaw 0-16, brows 17-26, nose 27-35, eyes 36-47, mouth 48-67; the person's
            right side first); NaN where a frame has none; `None` where the data set has none.

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
            raise ValueError(f"{len(self.files)} files but {wrong}; expected one entry a file")


@dataclasses.dataclass(frozen=True)
class Clip:
    """A stretch of a video or sound file, such as the stimulus of a trial.

    Args:
        path: the file.
        start_seconds: time in the file at which the clip starts.
        stop_seconds: time in the file at which it stops; `None`: with the trial, or at the end of the file.

    Raises:
        ValueError: the clip starts before the file, or stops before it starts.
    """

    path: Path
    start_seconds: float = 0.0
    stop_seconds: float | None = None

    def __post_init__(self) -> None:
        # `not`: nothing compares with a NaN.
        if not self.start_seconds >= 0 or not (self.stop_seconds is None or self.stop_seconds > self.start_seconds):
            raise ValueError(
                f"`start_seconds` is {self.start_seconds} and `stop_seconds` {self.stop_seconds}; expected 0 or more, "
                "and a stop after the start"
            )

    @property
    def duration_seconds(self) -> float | None:
        """Length of the clip in seconds, where its stop is known."""
        return None if self.stop_seconds is None else self.stop_seconds - self.start_seconds


@dataclasses.dataclass(frozen=True, eq=False)
class ReleasedFeatures:
    """Features of a trial that the authors of a dataset computed and distribute, read from the file when asked for.

    Args:
        source: the file.
        names: names of the arrays, as the authors call them (`"de_LDS"`).
        channel_names: name of each channel, in the order of the arrays.
        bands: `(low_hz, high_hz)` by name of the band, in the order of the arrays.
        window_seconds: length of a window in seconds; windows are side by side from the onset of the stimulus.
        smoothed: those of `names` that the authors smoothed over the whole trial: each of their windows depends on
            windows before and after it.
        read: reads an array by its name: `(windows, channels, bands)`, float64. Raises an `InputError` that names the
            file where it cannot.
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
    """What an eye tracker reported of one trial, event by event; without the times at which the events happened.

    Args:
        pupil: `(fixations, 4)` float64: mean horizontal and vertical diameter of the pupil in pixels during each
            fixation, and horizontal and vertical dispersion.
        fixations_ms: `(fixations,)` duration of each fixation in milliseconds.
        saccades: `(saccades, 2)`: duration in milliseconds and amplitude in degrees of each saccade.
        blinks_ms: `(blinks,)` duration of each blink in milliseconds.
        statistics: `(28,)` statistics of the events that the tracker's own program computed; empty without.
    """

    pupil: np.ndarray
    fixations_ms: np.ndarray
    saccades: np.ndarray
    blinks_ms: np.ndarray
    statistics: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class EyeMovements:
    """Eye movements of a trial, read from the files when asked for.

    Args:
        sources: the files.
        feature_names: names of the features that the authors computed, in the order of their columns; empty where they
            distribute none.
        window_seconds: length in seconds of a window of these features; windows are side by side from the onset of the
            stimulus.
        is_smoothed: whether the authors smoothed the features over the whole trial.
        read_features: reads the features: `(windows, features)` float64. `None` where there are none. Raises an
            `InputError` that names the file where it cannot.
        read_events: reads the events; `None` where there are none. Raises as `read_features`.
    """

    sources: tuple[Path, ...]
    feature_names: tuple[str, ...] = ()
    window_seconds: float = 0.0
    is_smoothed: bool = False
    read_features: Callable[[], np.ndarray] | None = None
    read_events: Callable[[], EyeEvents] | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class ContinuousRating:
    """A rating that follows the time of a trial, such as one given while the person watched, or later by others.

    Args:
        times_seconds: `(values,)` float64, increasing: seconds from the onset of the stimulus.
        values: `(values,)` float64, the rating at each time; NaN where there is none.
        scale: lowest and highest value that can be given.

    Raises:
        ValueError: the lengths differ, or times do not increase.
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
    """A recording under one stimulus, with the ratings that the subject gave to it.

    Data sets of faces alone have trials too: a clip is a trial without a recording, its actor the subject.

    Args:
        dataset: name of the data set, lower case (`"deap"`).
        subject: the data set's own id of the subject.
        trial: stimulus-ordered trial id, 1-based (DEAP: `Experiment_id`).
        stimulus: id of the stimulus, the same for every subject who was shown it.
        recording: the signals, baseline included; `None` in a data set without any.
        eeg_channel_names: names of the scalp channels among `recording.channel_names`, in order.
        ratings: float rating by target name (`{"valence": 6.5, ...}`); a target that was not rated is left out.
        session: id of the session, that is of the visit of the subject; 1 where there is only one.
        presentation: 1-based place in the order of presentation, -1 where it is not known.
        video: the face video of the trial, or `None` where there is none.
        video_offset_seconds: time in the video at which the stimulus starts, where the data say it: the video may then
            go on after the trial. `None`: it is a video of this trial alone, and begins with the stimulus.
        video_seconds: how long the video lasts by the data, which may be longer than the trial; `None` where they do
            not say it.
        video_frame_rate_hz: frames a second of the video by the data, whatever its header says; `None` likewise.
        images: the frames of the trial where they are files of their own, else `None`.
        media: the stimulus itself, where the data bring it along or a stimulus folder has it.
        voice: what the person said, or another sound of the person, where it was recorded.
        eye_movements: the person's eye movements, where they were recorded and are read.
        continuous_ratings: ratings that follow the time of the trial, by target name.
        recorded_together: id of those persons who were recorded together in this trial, so that what one of them felt
            depends on the others; empty for a person alone.
        released_features: the authors' own features of the trial, where they are read.
        split: part of the predefined split that the trial belongs to (`"train"`, `"validation"`, `"test"`, or of a
            cross-validation `"fold_1"`, `"fold_2"`, ...); empty where the data bring none along.
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
        """The trial as feature parts see it: what was recorded and shown, and nothing of what was felt."""
        images = self.images if self.images is None else dataclasses.replace(self.images, ratings={})
        return dataclasses.replace(self, ratings={}, continuous_ratings={}, images=images)

    @property
    def duration_seconds(self) -> float:
        """How long the trial lasts in seconds, from the onset of the stimulus.

        Without a recording, as long as the images: to the time of the last and one frame period more, which is the
        smallest step between two of them; a single image lasts 0 s. Without either, as long as the windows of the
        features that the authors released (the first array is read), else as the video, the voice or the clip of the
        stimulus, the first of these whose length is known.

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
    def eeg(self) -> Recording:
        """The scalp channels of the recording.

        Raises:
            InputError: the data set has no recordings.
        """
        if self.recording is None:
            raise InputError(f"{self.dataset}: has no EEG; choose a system that needs faces alone")
        return self.recording.pick(self.eeg_channel_names)

    def window_table(self, start_seconds: np.ndarray, window_seconds: float) -> pd.DataFrame:
        """Window table of this trial, a row for each start.

        It has `WINDOW_COLUMNS`, the ratings, and `split` and `recorded_together` where they are not empty.

        Args:
            start_seconds: `(windows,)` seconds from the onset of the stimulus.
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
