"""EAV reader: EEG, face video and, while speaking, audio of 42 subjects in conversations of five emotions."""

from __future__ import annotations

import collections
import csv
import dataclasses
import functools
import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

import numpy as np
import pandas as pd
from typing_extensions import override

from keras_emotion.datasets.matlab import read_variables, variable_shapes
from keras_emotion.datasets.plausibility import PLAUSIBLE_UV, deviations_uv, microvolt_factor
from keras_emotion.datasets.reader import (
    SYNTHETIC_MARKER,
    Problem,
    Reader,
    SubjectReport,
    as_problem,
    describe_trial,
    group_by_trial,
    raise_problems,
    read_marker,
    unusable_channels,
)
from keras_emotion.faces import video_facts
from keras_emotion.schema import Clip, InputError, Recording, Trial
from keras_emotion.signals import resample

_FACTS = Path(__file__).parent / "facts"
FACTS: dict[str, Any] = json.loads((_FACTS / "eav.json").read_text(encoding="utf-8"))
"""Counts, rates, classes and trial order of EAV (`facts/eav.json`); `notes` lists what is not verified."""

with (_FACTS / "eav_channels.csv").open(encoding="utf-8", newline="") as _file:
    CHANNEL_NAMES = tuple(row["name"] for row in csv.DictReader(_file))
"""The 30 channels in array order."""

EMOTIONS: tuple[str, ...] = tuple(FACTS["class_names"])
TASKS: tuple[str, ...] = tuple(FACTS["task_names"])
LISTENING, SPEAKING = range(len(TASKS))

FileFormat = Literal["original"]
Task = Literal["both", "speaking", "listening"]
Kind = Literal["voice", "video"]

LENGTH_TOLERANCE_SECONDS = 0.5
"""Seconds by which audio and video may end before the trial: headers are inexact."""

_FOLDER = re.compile(r"subject0*(\d+)", re.IGNORECASE)
_SIGNAL_FILE = re.compile(r"subject0*(\d+)_+eeg\.mat", re.IGNORECASE)
_LABEL_FILE = re.compile(r"subject0*(\d+)_+eeg_+label\.mat", re.IGNORECASE)
_MEDIA_FILE = re.compile(
    rf"(\d{{3}})_Trial_\d+_({'|'.join(TASKS)})_({'|'.join(EMOTIONS)})(?:_aud)?\.(?:mp4|wav)", re.IGNORECASE
)
_SUFFIXES: Mapping[Kind, str] = {"voice": ".wav", "video": ".mp4"}


@dataclasses.dataclass(frozen=True)
class MediaFile:
    """Audio or video file, with the trial number, task and emotion (by index) from its name."""

    path: Path
    trial: int
    task: int
    emotion: int


@dataclasses.dataclass(frozen=True)
class SubjectFiles:
    """Files of one subject, found by their names.

    Args:
        folder: the subject's folder.
        signal: the EEG file, existing or not.
        label: the label file, existing or not.
        media: audio and video files by trial number.
        faults: reasons why the files are unusable.
        unread: files with unrecognised names.
    """

    folder: Path
    signal: Path
    label: Path
    media: Mapping[Kind, Mapping[int, MediaFile]]
    faults: tuple[Problem, ...]
    unread: tuple[Path, ...]

    @classmethod
    def find(cls, folder: Path, subject: int) -> SubjectFiles:
        """List a subject's files without opening them."""
        eeg_folder = folder / FACTS["folders"]["eeg"]
        eeg = _listed(eeg_folder)
        faults = []
        found: dict[str, Path] = {}
        for what, pattern in (("eeg", _SIGNAL_FILE), ("eeg_label", _LABEL_FILE)):
            own = [path for path in eeg if (match := pattern.fullmatch(path.name)) and int(match[1]) == subject]
            expected = f"{folder.name}_{what}.mat"
            found[what] = own[0] if own else eeg_folder / expected
            if len(own) != 1:
                names = " and ".join(path.name for path in own) or "missing"
                message = f"{names}; expected one file {expected}; copy the folder again"
                faults.append(Problem(eeg_folder, message, subject))
        media: dict[Kind, dict[int, MediaFile]] = {}
        unread: list[Path] = []
        for kind, suffix in _SUFFIXES.items():
            media[kind] = {}
            for path in _listed(folder / FACTS["folders"][kind]):
                match = _MEDIA_FILE.fullmatch(path.name)
                if match is None or path.suffix.lower() != suffix:
                    unread.append(path)
                    continue
                number = int(match[1])
                own = MediaFile(path, number, TASKS.index(match[2].lower()), EMOTIONS.index(match[3].lower()))
                if number in media[kind]:
                    message = f"duplicate file of trial {number}: {media[kind][number].path.name}; remove one of them"
                    faults.append(Problem(path, message, subject))
                media[kind].setdefault(number, own)
        return cls(folder, found["eeg"], found["eeg_label"], media, tuple(faults), tuple(unread))


def _listed(folder: Path) -> list[Path]:
    """Return the files of a folder, sorted, without hidden ones; empty if the folder is missing."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))


class EAV(Reader):
    """Reader of EAV: EEG, audio and video of subjects who talk with a recorded partner.

    A trial is 20 s in which the subject listens or speaks. Trial ids are the trial numbers, 1 to 200, which index the
    third axis of the EEG and occur in the file names: audio and video are assigned by number, not by the order of
    files. `Trial.video` shows the face; `Trial.voice` is the subject's speech, which exists for speaking trials only.

    Ratings: `emotion` is the class of the cue (`class_names`), which the subject was instructed to express, not a
    self-rating; `task` is listening or speaking. Rows 0, 2, ... of the labels are read as listening and rows 1, 3, ...
    as speaking, and compared with the file names: the authors' public loader names them the other way round.
    `Trial.split` is that of the authors: of the 20 trials of an emotion and task, the first 14 are the training set and
    the others the test set.

    Several consecutive trials have the same emotion, and each conversation also contains a neutral exchange. `stimulus`
    names these blocks of consecutive trials of one emotion, `"subject01_block01"` and so on; subjects chose their
    conversations, so that no two subjects share one. If trials of one block are in both the training and the test set,
    a model may recognise the time instead of the emotion.

    **Signals**: `(30, 10000)` float32 at 500 Hz, without baseline. The files have no channel names and no unit: the
    channels are those of two public loaders, and the amplitude of the EEG decides between microvolts and volts.

    Args:
        root: folder with `subject1` (or `subject01`) and so on, each with `EEG`, `Audio` and `Video`; or the parent of
            that folder, if it is named `EAV`.
        file_format: `"original"`, the only format, or `None`.
        task: trials to read: `"both"`, `"speaking"` or `"listening"`.
        sampling_rate_hz: target sampling rate; `None` keeps 500 Hz.

    Raises:
        InputError: `root` contains no such folder.
        ValueError: an argument is invalid, or the rate is not above 0.

    Example:
        >>> from keras_emotion.datasets import EAV
        >>> for trial in EAV("EAV", task="speaking").trials(subjects=[1]):  # doctest: +SKIP
        ...     print(trial.trial, trial.stimulus, trial.ratings["emotion"], trial.voice, trial.video)

    References:
        Lee et al., "EAV: EEG-Audio-Video Dataset for Emotion Recognition in Conversational Contexts", Scientific Data
        11:1026, 2024.
    """

    name = "eav"
    usual_protocols: ClassVar[tuple[str, ...]] = ("predefined_split",)
    class_names: ClassVar[Mapping[str, tuple[str, ...]]] = {"emotion": EMOTIONS, "task": TASKS}
    meaning_of_stimulus = (
        "a block of consecutive trials of one emotion of a subject: a stimulus-disjoint split trains on other "
        "blocks, at other times"
    )

    def __init__(
        self,
        root: str | Path,
        file_format: FileFormat | None = None,
        task: Task = "both",
        sampling_rate_hz: float | None = None,
    ):
        super().__init__(root)
        for argument, value, choices in (
            ("file_format", file_format, (None, *get_args(FileFormat))),
            ("task", task, get_args(Task)),
        ):
            if value not in choices:
                raise ValueError(f"`{argument}` is {value!r}; expected one of {choices}")
        if sampling_rate_hz is not None and not 0 < sampling_rate_hz < np.inf:
            raise ValueError(f"`sampling_rate_hz` is {sampling_rate_hz}; expected a number above 0, or None")
        self.file_format = "original"
        self.task, self.sampling_rate_hz = task, sampling_rate_hz
        self._home, self._folders = next(
            ((home, found) for home in (self.root, self.root / "EAV") if (found := _subject_folders(home))),
            (self.root, {}),
        )
        if not self._folders:
            raise InputError(
                f"{self.root}: no folder like subject1 with EEG, Audio and Video; expected the folder that EAV was "
                "unpacked into; check the path"
            )
        self._parameters = _parameters(self._home / SYNTHETIC_MARKER)

    @property
    @override
    def options(self) -> dict[str, Any]:
        return {"task": self.task, "sampling_rate_hz": self.sampling_rate_hz}

    # --- files

    @property
    def subjects(self) -> tuple[int, ...]:
        """Numbers of the subjects, sorted."""
        return tuple(sorted(self._folders))

    @property
    def synthetic(self) -> bool:
        """Whether the files are synthetic data written by this package."""
        return (self._home / SYNTHETIC_MARKER).is_file()

    def _files(self, subject: int) -> SubjectFiles:
        (subject,) = self.select([subject])
        return self._found.setdefault(subject, SubjectFiles.find(self._folders[subject], subject))

    @functools.cached_property
    def _found(self) -> dict[int, SubjectFiles]:
        return {}

    def source_files(self, subject: int) -> tuple[Path, ...]:
        """Return the subject's EEG and label files."""
        files = self._files(subject)
        return tuple(path for path in (files.signal, files.label) if path.is_file())

    @override
    def video_files(self, subject: int) -> tuple[Path, ...]:
        return self._media_files(subject, "video")

    @override
    def voice_files(self, subject: int) -> tuple[Path, ...]:
        return self._media_files(subject, "voice")

    def _media_files(self, subject: int, kind: Kind) -> tuple[Path, ...]:
        return tuple(one.path for _, one in sorted(self._files(subject).media[kind].items()))

    def missing_files(self) -> tuple[Problem, ...]:
        """Return subjects without a folder."""
        expected = self._parameters.get("subjects", range(1, FACTS["n_subjects"] + 1))
        missing = [str(subject) for subject in expected if subject not in self._folders]
        if not missing:
            return ()
        message = f"no folder of subject {', '.join(missing)}; expected {len(expected)} subjects; copy the others"
        return (Problem(self.root, message, is_blocking=False),)

    @override
    def notes(self, subjects: Sequence[int] | None = None) -> list[str]:
        self.select(subjects)
        notes = [
            "the files have neither channel names nor units: the channels are those of public loaders, and the EEG's "
            "amplitude decides between microvolts and volts"
        ]
        if self.task != "both":
            others = TASKS[1 - TASKS.index(self.task)]
            notes.append(f"only {self.task} trials are read; {others} trials are left out")
        return notes

    def describe(self) -> dict[str, Any]:
        """See `Reader.describe`; adds `notes`."""
        return super().describe() | {"notes": self.notes()}

    # --- trials

    def trials(self, subjects: Sequence[int] | None = None) -> Iterator[Trial]:
        """Yield the trials of some subjects (default: all), in order; see `Reader.trials`."""
        for subject in self.select(subjects):
            raise_problems(self._blocking(subject))
            for trial in self._read(subject):
                lines = group_by_trial({trial.trial: unusable_channels(trial.required_recording, CHANNEL_NAMES)})
                raise_problems([Problem(self._files(subject).signal, line, subject) for line in lines])
                yield trial

    def _read(self, subject: int) -> Iterator[Trial]:
        """Yield the trials of a subject with usable files."""
        files, (emotions, tasks) = self._files(subject), self._labels(subject)
        path, blocks, parts = files.signal, _blocks(emotions), _parts(emotions, tasks)
        array = self._signals(path, len(emotions))
        first = array[:, :, 0].T
        size = float(np.median(deviations_uv(first, FACTS["sampling_rate_hz"])))
        factor = microvolt_factor(size)
        if factor is None and size > 0:
            low, high = PLAUSIBLE_UV
            raise InputError(
                f"{path}: EEG has a standard deviation of {size:.3g} per second (median over channels and "
                f"seconds); expected {low:g} to {high:g} in microvolts, or the same in volts; copy the file again"
            )
        for place, (emotion, task) in enumerate(zip(emotions, tasks, strict=True)):
            if self.task not in ("both", TASKS[task]):
                continue
            number = place + 1
            voice = files.media["voice"].get(number)
            video = files.media["video"].get(number)
            seconds = len(array) / FACTS["sampling_rate_hz"]
            yield Trial(
                dataset=self.name,
                subject=subject,
                trial=number,
                presentation=number,
                stimulus=f"subject{subject:02d}_block{blocks[place]:02d}",
                recording=self._recording(path, array[:, :, place], factor or 1.0),
                eeg_channel_names=CHANNEL_NAMES,
                ratings={"emotion": float(emotion), "task": float(task)},
                video=None if video is None else video.path,
                voice=None if voice is None else Clip(voice.path, 0.0, seconds),
                split=parts[place],
            )

    def _recording(self, path: Path, signal: np.ndarray, factor: float) -> Recording:
        rate = self.sampling_rate_hz or FACTS["sampling_rate_hz"]
        # float32 is exact for the amplifier's 16 bits.
        own = np.array(signal.T * factor, dtype=np.float32, order="C")
        if rate != FACTS["sampling_rate_hz"]:
            own = np.ascontiguousarray(resample(own, FACTS["sampling_rate_hz"], rate))
        return Recording(
            signal=own,
            channel_names=CHANNEL_NAMES,
            units=("uV",) * len(CHANNEL_NAMES),
            sampling_rate_hz=float(rate),
            source=path,
        )

    def _signals(self, path: Path, n_trials: int) -> np.ndarray:
        """Read the `(samples, channels, trials)` array.

        Raises:
            InputError: the file cannot be read, or has other content.
        """
        shapes = variable_shapes(path)
        variable = next((name for name in FACTS["signal_variables"] if name in shapes), None)
        if variable is None:
            wanted = " or ".join(FACTS["signal_variables"])
            raise InputError(
                f"{path}: missing variable {wanted}; found {', '.join(shapes) or 'none'}; copy the file again"
            )
        seconds = self._parameters.get("trial_seconds", FACTS["trial_seconds"])
        shape = (seconds * FACTS["sampling_rate_hz"], FACTS["n_channels"], n_trials)
        if shapes[variable] != shape:
            raise InputError(
                f"{path}: `{variable}` has shape {shapes[variable]}; expected {shape}, samples by channels by "
                "trials; copy the file again"
            )
        array = read_variables(path, (variable,))[variable]
        if array.dtype.kind not in "fiu":
            raise InputError(f"{path}: `{variable}` is {array.dtype}; expected numbers; copy the file again")
        return array

    # --- labels

    def _labels(self, subject: int) -> tuple[list[int], list[int]]:
        """Read emotion and task of each trial, by index.

        Raises:
            InputError: the file cannot be read, or has other content.
        """
        path, variable = self._files(subject).label, FACTS["label_variable"]
        array = read_variables(path, (variable,)).get(variable)
        n_trials = self._parameters.get("n_trials", FACTS["n_trials"])
        shape = (len(EMOTIONS) * len(TASKS), n_trials)
        if array is None or array.dtype.kind not in "fiub" or array.shape != shape:
            found = "missing" if array is None else f"{array.dtype} {array.shape}"
            raise InputError(f"{path}: `{variable}` is {found}; expected numbers of shape {shape}; copy the file again")
        is_one_hot = ((array == 0) | (array == 1)).all(axis=0) & (array.sum(axis=0) == 1)
        if not is_one_hot.all():
            trials = ", ".join(map(str, np.flatnonzero(~is_one_hot) + 1))
            raise InputError(f"{path}: `{variable}` of trial {trials} is not a single 1; copy the file again")
        rows = array.argmax(axis=0)
        return (rows // len(TASKS)).tolist(), (rows % len(TASKS)).tolist()

    def _blocking(self, subject: int) -> list[Problem]:
        """Return problems that block a subject's trials, except those of the signal."""
        files = self._files(subject)
        problems = list(files.faults)
        if not files.label.is_file():
            return problems
        try:
            emotions, tasks = self._labels(subject)
        except InputError as error:
            return [*problems, as_problem(error, subject, files.label)]
        named = [one for of_kind in files.media.values() for one in of_kind.values()]
        beyond = [one for one in named if not 1 <= one.trial <= len(emotions)]
        problems += [
            Problem(
                one.path,
                f"trial {one.trial}; expected 1 to {len(emotions)}; check that the file is of this subject",
                subject,
            )
            for one in beyond
        ]
        different = [
            one
            for one in named
            if one not in beyond and (emotions[one.trial - 1], tasks[one.trial - 1]) != (one.emotion, one.task)
        ]
        if different:
            one = min(different, key=lambda file: file.trial)
            labelled = f"{TASKS[tasks[one.trial - 1]]} {EMOTIONS[emotions[one.trial - 1]]}"
            swapped = all(
                emotions[file.trial - 1] == file.emotion and tasks[file.trial - 1] != file.task for file in named
            )
            reason = "the rows of listening and speaking are swapped" if swapped else "the files do not belong together"
            message = (
                f"{len(different)} of {len(named)} file names contradict the labels, first trial {one.trial}: "
                f"{labelled}, but {one.path.name}; {reason}: copy the folder again"
            )
            problems.append(Problem(files.label, message, subject))
        return problems

    # --- what is wrong

    def inspect(self, subject: int) -> SubjectReport:
        """Check all data of one subject; see `Reader.inspect`."""
        files = self._files(subject)
        problems, trials, rate = self._blocking(subject), [], None
        faults: dict[int, Sequence[str]] = {}
        if not problems:
            try:
                for trial in self._read(subject):
                    faults[trial.trial] = unusable_channels(trial.required_recording, CHANNEL_NAMES)
                    trials.append(describe_trial(trial) | {"voice": str(trial.voice.path) if trial.voice else None})
                    rate = trial.required_recording.sampling_rate_hz
            except InputError as error:
                problems.append(as_problem(error, subject, files.signal))
            problems += [Problem(files.signal, line, subject) for line in group_by_trial(faults)]
            problems += self._gaps(subject, files)
        description = {
            "subject": subject,
            "file": str(files.folder),
            "sampling_rate_hz": rate or float(FACTS["sampling_rate_hz"]),
            "n_channels": len(CHANNEL_NAMES),
            "trials": trials,
        }
        return SubjectReport(description, tuple(problems))

    def _gaps(self, subject: int, files: SubjectFiles) -> list[Problem]:
        """Return missing media and deviations from known facts, which do not block."""
        emotions, tasks = self._labels(subject)
        numbers = range(1, len(emotions) + 1)
        expected: dict[Kind, list[int]] = {
            "voice": [number for number in numbers if tasks[number - 1] == SPEAKING],
            "video": list(numbers),
        }
        problems = []
        for kind, wanted in expected.items():
            folder = files.folder / FACTS["folders"][kind]
            missing = [number for number in wanted if number not in files.media[kind]]
            if len(missing) == len(wanted):
                problems.append(
                    Problem(folder, f"missing {_SUFFIXES[kind]} files; expected {len(wanted)}", subject, False)
                )
            elif missing:
                message = f"missing {_SUFFIXES[kind]} of trial {', '.join(map(str, missing))}"
                problems.append(Problem(folder, message, subject, False))
        if not any(files.media.values()):
            message = "no audio or video file to verify which rows of the labels are speaking"
            problems.append(Problem(files.label, message, subject, False))
        problems += [
            Problem(path, "not read; expected a name like 002_Trial_02_Speaking_Neutral.mp4", subject, False)
            for path in files.unread
        ]
        problems += self._short_media(subject, files)
        if order := self._order_fault(emotions, tasks):
            problems.append(Problem(files.label, order, subject, False))
        return problems

    def _short_media(self, subject: int, files: SubjectFiles) -> Iterator[Problem]:
        """Yield unreadable audio and video files, and those whose header declares less than their trial's duration."""
        # Imported here, because it imports the audio decoder.
        from keras_emotion.audio import audio_facts

        seconds = self._parameters.get("trial_seconds", FACTS["trial_seconds"])
        facts_of: dict[Any, Any] = {"voice": audio_facts, "video": video_facts}
        for kind, facts in facts_of.items():
            for _, one in sorted(files.media[kind].items()):
                try:
                    lasts = facts(one.path).duration_seconds
                except InputError as error:
                    yield Problem(one.path, str(error).removeprefix(f"{one.path}: "), subject, False)
                    continue
                if lasts and lasts < seconds - LENGTH_TOLERANCE_SECONDS:
                    yield Problem(one.path, f"duration of {lasts:.1f} s; expected {seconds} s", subject, False)

    def _order_fault(self, emotions: Sequence[int], tasks: Sequence[int]) -> str:
        """Describe how the trials deviate from the experiment's order; empty if they do not."""
        pairs = list(zip(emotions, tasks, strict=True))
        listened, spoken = pairs[::2], pairs[1::2]
        is_exchange = all(
            one[0] == other[0] and (one[1], other[1]) == (LISTENING, SPEAKING)
            for one, other in itertools.zip_longest(listened, spoken, fillvalue=(-1, -1))
        )
        if not is_exchange:
            return (
                "trials do not alternate between listening and speaking of one emotion; "
                "check the version of the dataset"
            )
        neutral = EMOTIONS.index("neutral")
        n_own = FACTS["n_exchanges_of_conversation"] - FACTS["n_neutral_exchanges_of_conversation"]
        emotional = [emotion for emotion, _ in listened if emotion != neutral]
        expected = self._parameters.get("conversations", FACTS["conversations"])
        if emotional != [EMOTIONS.index(name) for name in expected for _ in range(n_own)]:
            counts = collections.Counter(EMOTIONS[emotion] for emotion in emotional)
            found = ", ".join(f"{count} of {name}" for name, count in counts.items())
            return f"exchanges ({found}) are not in EAV's order of conversations; check the version of the dataset"
        return ""


def _blocks(emotions: Sequence[int]) -> list[int]:
    """Number the blocks of consecutive trials of one emotion.

    Example:
        >>> _blocks([0, 0, 2, 2, 0])
        [1, 1, 2, 2, 3]
    """
    lengths = [len(list(group)) for _, group in itertools.groupby(emotions)]
    return [number for number, length in enumerate(lengths, 1) for _ in range(length)]


def _parts(emotions: Sequence[int], tasks: Sequence[int]) -> list[str]:
    """Assign trials to the authors' split: of each emotion and task, the first 14 of 20 are the training set.

    Example:
        >>> _parts([3] * 10, [0, 1] * 5)[-4:]
        ['test', 'test', 'test', 'test']
    """
    of_class = pd.DataFrame({"emotion": emotions, "task": tasks}).groupby(["emotion", "task"])["task"]
    n_training = of_class.transform("size") * FACTS["n_training_exchanges_of_class"] // FACTS["n_exchanges_of_class"]
    return np.where(of_class.cumcount() < n_training, "train", "test").tolist()


def _subject_folders(home: Path) -> dict[int, Path]:
    """Return the subjects' folders, by number.

    Raises:
        InputError: two folders belong to one subject.
    """
    found: dict[int, Path] = {}
    for path in sorted(home.iterdir()) if home.is_dir() else ():
        match = _FOLDER.fullmatch(path.name)
        if match is None or not (path / FACTS["folders"]["eeg"]).is_dir():
            continue
        number = int(match[1])
        if number in found:
            raise InputError(
                f"{home}: {found[number].name} and {path.name} belong to one subject; expected one folder; remove the "
                "other"
            )
        found[number] = path
    return found


def _parameters(path: Path) -> dict[str, Any]:
    """Read the parameters of a synthetic copy; empty if there is no file, or that of another dataset.

    Raises:
        InputError: the file lacks parameters.
    """
    parameters = read_marker(path, "eav")
    if not parameters:
        return {}
    kinds = {"subjects": list, "conversations": list, "n_trials": int, "trial_seconds": int}
    if not all(type(parameters.get(name)) is kind for name, kind in kinds.items()):
        raise InputError(f"{path}: missing parameters; expected {', '.join(kinds)}; write the synthetic data again")
    if any(type(subject) is not int for subject in parameters["subjects"]):
        raise InputError(f"{path}: subjects has other than whole numbers; write the synthetic data again")
    if unknown := [name for name in parameters["conversations"] if name not in EMOTIONS]:
        raise InputError(
            f"{path}: conversations has {', '.join(map(repr, unknown))}; expected some of {', '.join(EMOTIONS)}; "
            "write the synthetic data again"
        )
    return parameters
