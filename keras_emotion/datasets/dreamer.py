"""DREAMER reader: 23 subjects, 18 film clips, 14 EEG channels and ECG, ratings from 1 to 5."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

import numpy as np
from typing_extensions import override

from keras_emotion.datasets.dreamer_files import (
    ECG_NAMES,
    FACTS,
    RATE_HZ,
    VIDEOS,
    Clip,
    Contents,
    Person,
    n_subjects_in_file,
    read_contents,
)
from keras_emotion.datasets.reader import (
    GENDERS,
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
"""Tolerance of mean ratings: the known means have two decimals."""


class DREAMER(Reader):
    """Reader of `DREAMER.mat`, MATLAB version 5 (SciPy) or 7.3 (h5py).

    A trial is one clip. Trial ids are the numbers of the videos, 1 to 18, in the same order for all subjects; the file
    does not give the order of presentation. `Trial.stimulus` is `"video_01"` to `"video_18"`. Ratings are `valence`,
    `arousal` and `dominance`, integers from 1 to 5: high is above 3 (`rating_scales`), the most frequent score, which
    other work counts as high (`>= 3`).

    **Signals**: `(16, samples)` float32 at 128 Hz. 14 EEG channels, of which the mean over the clip is subtracted: the
    file has amplifier counts with a large constant offset. They are read as microvolts, which no source confirms. Two
    ECG channels, resampled from 256 Hz to 128 Hz without aliasing, of unknown unit (`"a.u."`).

    **Baseline**: the file has 61 s of rest for each clip, recorded before it. Its last seconds, with their own mean
    subtracted, precede the clip in `Recording.signal`: the signal is concatenated at stimulus onset, so a filter that
    runs across it sees a step.

    The file is read once per process, subject by subject, and its signals are cached (0.9 GB): h5py reads version 7.3;
    SciPy reads the subjects of a compressed file, which is fully decompressed.

    Args:
        root: folder with `DREAMER.mat`, which may be in a subfolder.
        file_format: `"original"`, the only format, or `None`.
        baseline_seconds: seconds of the baseline that precede each clip, 0 to 61; LibEER uses the last 4.

    Raises:
        InputError: `root` contains no such file, or several.
        ValueError: `baseline_seconds` is out of range, or `file_format` is invalid.

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
        FACTS["ratings"], (float(FACTS["rating_range"][0]), float(FACTS["rating_range"][1]))
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
                f"{self.root}: {len(files)} files {FACTS['file']}{listed}; expected one, in it or in a subfolder; "
                "check the path"
            )
        self.path = files[0]

    @property
    @override
    def options(self) -> dict[str, Any]:
        return {"baseline_seconds": self.baseline_seconds}

    @functools.cached_property
    def subjects(self) -> tuple[int, ...]:
        """Numbers of the subjects in the file, from 1."""
        return tuple(range(1, n_subjects_in_file(self.path) + 1))

    def source_files(self, subject: int) -> tuple[Path, ...]:
        """Return the one file."""
        self.select([subject])
        return (self.path,)

    @override
    def genders(self) -> Mapping[int, Gender]:
        people = dict(enumerate(self._contents.people, 1))
        return {subject: GENDERS[one.gender] for subject, one in people.items() if one.gender in GENDERS}

    @override
    def notes(self, subjects: Sequence[int] | None = None) -> list[str]:
        self.select(subjects)
        joined = (
            f"the last {self.baseline_seconds:g} s of the baseline recording precede each clip (concatenated signals)"
        )
        return [
            "EEG: the mean of each channel over the clip is subtracted, because of a large constant offset; the unit "
            "is assumed to be uV, which no source confirms",
            f"ECG: resampled from {FACTS['ecg_sampling_rate_hz']} to {RATE_HZ:g} Hz; unit unknown",
            *([joined] if self.baseline_seconds else []),
        ]

    def describe(self) -> dict[str, Any]:
        """See `Reader.describe`; adds `notes` and, for a complete copy, differences from the known mean ratings."""
        description = super().describe()
        description["problems"] += [
            {"file": str(self.path), "subject": None, "message": message} for message in self._rating_differences()
        ]
        return description | {"notes": self.notes()}

    # --- trials

    def trials(self, subjects: Sequence[int] | None = None) -> Iterator[Trial]:
        """Yield the clips of some subjects (default: all), by video number; see `Reader.trials`."""
        for subject in self.select(subjects):
            raise_problems(self._problems(subject))
            clips = self._contents.people[subject - 1].clips
            for video in sorted(clips):
                trial = self._trial(subject, video, clips[video])
                raise_problems(self._problems_of_signals(subject, {video: self._unusable(trial)}))
                yield trial

    def inspect(self, subject: int) -> SubjectReport:
        """Check all data of one subject; see `Reader.inspect`."""
        (subject,) = self.select([subject])
        problems, trials, unusable = self._problems(subject), [], {}
        person = self._person(subject)
        # Without valid names of channels, signals cannot be described.
        clips = person.clips if person and not self._contents.faults else {}
        for video in sorted(clips):
            trial = self._trial(subject, video, clips[video])
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
        # Not stored in the reader, so that a pickled reader has no signals.
        return read_contents(self.path)

    def _person(self, subject: int) -> Person | None:
        people = self._contents.people
        return people[subject - 1] if subject <= len(people) else None

    def _trial(self, subject: int, video: int, clip: Clip) -> Trial:
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
        """Return problems of the file, and of a subject's data in it."""
        contents, person = self._contents, self._person(subject)
        problems = [Problem(self.path, fault) for fault in contents.faults]
        if person is None:
            missing = f"subject {subject}: missing; the file has fewer subjects"
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
        recording, names = trial.required_recording, trial.eeg_channel_names
        # Also the clip alone, because a channel may be flat in the clip only.
        clip = dataclasses.replace(recording, signal=recording.signal[:, recording.n_baseline_samples :])
        return tuple(dict.fromkeys([*unusable_channels(recording, names), *unusable_channels(clip, names)]))

    def _problems_of_signals(self, subject: int, faults: Mapping[int, Sequence[str]]) -> list[Problem]:
        return [Problem(self.path, line, subject) for line in self._lines(subject, faults)]

    @staticmethod
    def _lines(subject: int, faults: Mapping[int, Sequence[str]]) -> list[str]:
        return [f"subject {subject}, {line}" for line in group_by_trial(faults)]

    def _rating_differences(self) -> list[str]:
        """Compare the mean ratings of the videos with the known ones; empty if subjects or clips are missing."""
        people = self._contents.people
        if self._contents.faults:
            return []
        if len(people) != FACTS["n_subjects"]:
            return [f"{len(people)} subjects; expected {FACTS['n_subjects']}"] if not self.synthetic else []
        messages = []
        for name in FACTS["ratings"]:
            known = [float(row[f"mean_{name}"]) for row in VIDEOS if f"mean_{name}" in row]
            if not known or any(len(person.clips) != len(VIDEOS) for person in people):
                continue
            means = np.mean([[one.clips[v].ratings[name] for v in range(1, len(VIDEOS) + 1)] for one in people], axis=0)
            wrong = np.flatnonzero(np.abs(means - known) > _MEAN_TOLERANCE)
            if len(wrong):
                listed = ", ".join(f"video {v + 1}: {means[v]:.2f}, expected {known[v]:.2f}" for v in wrong[:3])
                more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
                messages.append(
                    f"mean {name} differs from the known mean in {len(wrong)} videos ({listed}{more}); check for a "
                    "different order of scores or another version of the file"
                )
        return messages
