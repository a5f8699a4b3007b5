"""DREAMER: 23 subjects, 18 film clips, 14 EEG channels and ECG, ratings from 1 to 5."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

import numpy as np

from keras_emotion.datasets.dreamer_files import (
    ECG_NAMES,
    FACTS,
    RATE_HZ,
    VIDEOS,
    Contents,
    Person,
    n_people,
    read_contents,
)
from keras_emotion.datasets.reader import (
    Gender,
    Problem,
    Reader,
    SubjectReport,
    describe_trial,
    group_by_trial,
    raise_problems,
    unusable_channels,
)
from keras_emotion.schema import InputError, Recording, Trial

FileFormat = Literal["original"]

_MEAN_TOLERANCE = 0.005 + 1e-9
"""Known means of ratings have two decimals."""


class DREAMER(Reader):
    """The file `DREAMER.mat`, of MATLAB's version 5 (SciPy) or 7.3 (h5py).

    A trial is one clip. Trial ids are the numbers of the videos, 1 to 18, in the same order for everybody; in which
    order they were shown is not in the file. `Trial.stimulus` is `"video_01"` to `"video_18"`. Ratings are `valence`,
    `arousal` and `dominance`, whole numbers from 1 to 5: high is above 3 (`rating_scales`), the most frequent score,
    which others count as high (`>= 3`).

    **Signals**: `(16, samples)` float32 at 128 Hz. 14 channels of EEG, of which the mean over the clip is subtracted:
    the file holds counts of the amplifier with a large constant offset. They are taken as microvolt, which no source
    confirms. Two channels of ECG, resampled from 256 Hz to 128 Hz without aliasing, of unknown unit (`"a.u."`).

    **Baseline**: the file has 61 s of rest for each clip, recorded before it. The last seconds of it, with their own
    mean subtracted, precede the clip in `Recording.signal`: signal is joined at the onset, and a filter that runs
    across it sees a step.

    The file is read once in a process, person by person, and its signals are kept (0.9 GB): h5py reads one of version
    7.3, SciPy the persons of a compressed one, of which everything is decompressed.

    Args:
        root: folder with `DREAMER.mat`, in it or in a folder below.
        file_format: the only one, `"original"`, or `None`.
        baseline_seconds: seconds of the baseline that precede each clip, 0 to 61; LibEER takes the last 4.

    Raises:
        InputError: `root` holds no such file, or several.
        ValueError: `baseline_seconds` is out of its range, or `file_format` is another.

    Example:
        >>> from keras_emotion.datasets import DREAMER
        >>> for trial in DREAMER("DREAMER").trials(subjects=[1]):  # doctest: +SKIP
        ...     print(trial.stimulus, trial.ratings["valence"], trial.eeg.signal.shape)

    References:
        Katsigiannis and Ramzan, "DREAMER: A Database for Emotion Recognition Through EEG and ECG Signals From Wireless
        Low-cost Off-the-Shelf Devices", IEEE Journal of Biomedical and Health Informatics 22(1), 2018.
    """

    name = "dreamer"
    usual_protocols: ClassVar[tuple[str, ...]] = ("trial_disjoint", "subject_disjoint")
    rating_scales: ClassVar[Mapping[str, tuple[float, float]]] = dict.fromkeys(
        FACTS["ratings"], tuple(map(float, FACTS["rating_range"]))
    )

    def __init__(self, root: str | Path, file_format: FileFormat | None = None, baseline_seconds: float = 4.0):
        super().__init__(root)
        if file_format not in (None, *get_args(FileFormat)):
            raise ValueError(f"`file_format` is {file_format!r}; expected one of {(None, *get_args(FileFormat))}")
        self.file_format = "original"
        if not 0 <= baseline_seconds <= FACTS["baseline_seconds"]:
            raise ValueError(f"`baseline_seconds` is {baseline_seconds}; expected 0 to {FACTS['baseline_seconds']}")
        self.baseline_seconds = float(baseline_seconds)
        files = sorted(path for path in self.root.rglob("*.mat") if path.name.lower() == FACTS["file"].lower())
        if len(files) != 1:
            listed = f": {', '.join(map(str, files))}" if files else ""
            raise InputError(
                f"{self.root}: holds {len(files)} files {FACTS['file']}{listed}; expected one, in it or below"
            )
        self.path = files[0]

    @property
    def options(self) -> dict[str, Any]:
        """See `Reader.options`."""
        return {"baseline_seconds": self.baseline_seconds}

    @functools.cached_property
    def subjects(self) -> tuple[int, ...]:
        """Numbers of the persons in the file, from 1 on."""
        return tuple(range(1, n_people(self.path) + 1))

    def source_files(self, subject: int) -> tuple[Path, ...]:
        """The one file."""
        self.select([subject])
        return (self.path,)

    def genders(self) -> Mapping[int, Gender]:
        """See `Reader.genders`."""
        people = dict(enumerate(self._contents.people, 1))
        return {subject: one.gender for subject, one in people.items() if one.gender in ("female", "male")}

    def notes(self, subjects: Sequence[int] | None = None) -> list[str]:
        """See `Reader.notes`."""
        self.select(subjects)
        joined = (
            f"the last {self.baseline_seconds:g} s of the baseline recording precede each clip: signal is joined there"
        )
        return [
            "EEG: the mean of each channel over the clip is subtracted, a large constant offset; the unit is taken as "
            "uV, which no source confirms",
            f"ECG: resampled from {FACTS['ecg_sampling_rate_hz']} to {RATE_HZ:g} Hz; unit unknown",
            *([joined] if self.baseline_seconds else []),
        ]

    def describe(self) -> dict[str, Any]:
        """See `Reader.describe`; and `notes`, and of a whole copy how its mean ratings differ from the known ones."""
        description = super().describe()
        description["problems"] += [
            {"file": str(self.path), "subject": None, "message": message} for message in self._rating_differences()
        ]
        return description | {"notes": self.notes()}

    # --- trials

    def trials(self, subjects: Sequence[int] | None = None) -> Iterator[Trial]:
        """The clips of some subjects (default: all), in the order of the videos; see `Reader.trials`."""
        for subject in self.select(subjects):
            raise_problems(self._problems(subject))
            for video in sorted(self._person(subject).clips):
                trial = self._trial(subject, video)
                raise_problems(self._problems_of_signals(subject, {video: self._unusable(trial)}))
                yield trial

    def inspect(self, subject: int) -> SubjectReport:
        """Read all of one subject; see `Reader.inspect`."""
        (subject,) = self.select([subject])
        problems, trials, unusable = self._problems(subject), [], {}
        person = self._person(subject)
        for video in sorted(person.clips) if person else ():
            trial = self._trial(subject, video)
            unusable[video] = self._unusable(trial)
            trials.append(describe_trial(trial))
        report = {
            "subject": subject,
            "file": str(self.path),
            "sampling_rate_hz": RATE_HZ,
            "n_channels": len(FACTS["channels"]) + len(ECG_NAMES),
            "age": person.age if person else "",
            "trials": trials,
        }
        return SubjectReport(report, (*problems, *self._problems_of_signals(subject, unusable)))

    @property
    def _contents(self) -> Contents:
        # Not kept here: a pickled reader holds no signals.
        return read_contents(self.path)

    def _person(self, subject: int) -> Person | None:
        people = self._contents.people
        return people[subject - 1] if subject <= len(people) else None

    def _trial(self, subject: int, video: int) -> Trial:
        clip = self._person(subject).clips[video]
        names = self._contents.channel_names
        n_baseline = round(self.baseline_seconds * RATE_HZ)
        return Trial(
            dataset=self.name,
            subject=subject,
            trial=video,
            stimulus=f"video_{video:02d}",
            recording=Recording(
                signal=np.concatenate([clip.baseline[:, clip.baseline.shape[1] - n_baseline :], clip.stimulus], axis=1),
                channel_names=(*names, *ECG_NAMES),
                units=("uV",) * len(names) + ("a.u.",) * len(ECG_NAMES),
                sampling_rate_hz=RATE_HZ,
                baseline_seconds=n_baseline / RATE_HZ,
                source=self.path,
            ),
            eeg_channel_names=names,
            ratings=dict(clip.ratings),
        )

    # --- what is wrong

    def _problems(self, subject: int) -> list[Problem]:
        """What is wrong with the file, and with what it holds of a person."""
        contents, person = self._contents, self._person(subject)
        problems = [Problem(self.path, fault) for fault in contents.faults]
        if person is None:
            missing = f"subject {subject}: missing; the file ends before"
            return problems or [Problem(self.path, missing, subject)]
        short = {
            video: [f"baseline of {clip.baseline.shape[1] / RATE_HZ:g} s; expected {self.baseline_seconds:g} or more"]
            for video, clip in person.clips.items()
            if clip.baseline.shape[1] < round(self.baseline_seconds * RATE_HZ)
        }
        whole = [f"subject {subject}: {fault}" for fault in person.faults.get(0, ())]
        faults = {video: found for video, found in person.faults.items() if video}
        lines = [*whole, *self._lines(subject, faults), *self._lines(subject, short)]
        problems += [Problem(self.path, line, subject) for line in lines]
        return problems + [Problem(self.path, line, subject, False) for line in self._lines(subject, person.flaws)]

    def _unusable(self, trial: Trial) -> tuple[str, ...]:
        recording, names = trial.recording, trial.eeg_channel_names
        # The clip by itself, too: what is flat there need not be so in the baseline.
        clip = dataclasses.replace(recording, signal=recording.signal[:, recording.n_baseline_samples :])
        return tuple(dict.fromkeys([*unusable_channels(recording, names), *unusable_channels(clip, names)]))

    def _problems_of_signals(self, subject: int, faults: Mapping[int, Sequence[str]]) -> list[Problem]:
        return [Problem(self.path, line, subject) for line in self._lines(subject, faults)]

    @staticmethod
    def _lines(subject: int, faults: Mapping[int, Sequence[str]]) -> list[str]:
        return [f"subject {subject}, {line}" for line in group_by_trial(faults)]

    def _rating_differences(self) -> list[str]:
        """How the mean ratings of the videos differ from the known ones; nothing where persons or clips are missing."""
        people = self._contents.people
        if self._contents.faults:
            return []
        if len(people) != FACTS["n_subjects"]:
            return [f"{len(people)} persons; expected {FACTS['n_subjects']}"] if not self.synthetic else []
        messages = []
        for name in FACTS["ratings"]:
            known = [float(row[f"mean_{name}"]) for row in VIDEOS if f"mean_{name}" in row]
            if not known or any(len(person.clips) != len(VIDEOS) for person in people):
                continue
            means = np.mean([[one.clips[v].ratings[name] for v in range(1, len(VIDEOS) + 1)] for one in people], axis=0)
            wrong = np.flatnonzero(np.abs(means - known) > _MEAN_TOLERANCE)
            if len(wrong):
                listed = ", ".join(f"video {v + 1}: {means[v]:.2f}, not {known[v]:.2f}" for v in wrong[:3])
                more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
                messages.append(
                    f"mean {name} differs from the one known of {len(wrong)} videos ({listed}{more}); scores in "
                    "another order, or another version of the file?"
                )
        return messages
