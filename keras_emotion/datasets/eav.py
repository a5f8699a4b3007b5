"""EAV: 42 people in conversations of five emotions, with EEG, the video of their faces and, where they speak, sound."""

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
"""Counts, rates, classes and order of the conversations of EAV (`facts/eav.json`); `notes`: what is not verified."""

with (_FACTS / "eav_channels.csv").open(encoding="utf-8", newline="") as _file:
    CHANNEL_NAMES = tuple(row["name"] for row in csv.DictReader(_file))
"""The 30 channels in the order of the arrays."""

EMOTIONS: tuple[str, ...] = tuple(FACTS["class_names"])
TASKS: tuple[str, ...] = tuple(FACTS["task_names"])
LISTENING, SPEAKING = range(len(TASKS))

FileFormat = Literal["original"]
Task = Literal["both", "speaking", "listening"]
Kind = Literal["voice", "video"]

LENGTH_TOLERANCE_SECONDS = 0.5
"""By how much sound and video may end before the trial: headers are not exact."""

_FOLDER = re.compile(r"subject0*(\d+)", re.IGNORECASE)
_SIGNAL_FILE = re.compile(r"subject0*(\d+)_+eeg\.mat", re.IGNORECASE)
_LABEL_FILE = re.compile(r"subject0*(\d+)_+eeg_+label\.mat", re.IGNORECASE)
_MEDIA_FILE = re.compile(
    rf"(\d{{3}})_Trial_\d+_({'|'.join(TASKS)})_({'|'.join(EMOTIONS)})(?:_aud)?\.(?:mp4|wav)", re.IGNORECASE
)
_SUFFIXES: Mapping[Kind, str] = {"voice": ".wav", "video": ".mp4"}


@dataclasses.dataclass(frozen=True)
class MediaFile:
    """A file of sound or picture, and what its name says of it: number of the trial, task and emotion by index."""

    path: Path
    trial: int
    task: int
    emotion: int


@dataclasses.dataclass(frozen=True)
class PersonFiles:
    """The files of one person, by their names.

    Args:
        folder: the person's folder.
        signal: the EEG, where it is there.
        label: the labels, where they are there.
        media: sound and videos by the number of the trial.
        faults: what makes them unusable.
        unread: files whose names say nothing.
    """

    folder: Path
    signal: Path | None
    label: Path | None
    media: Mapping[Kind, Mapping[int, MediaFile]]
    faults: tuple[Problem, ...]
    unread: tuple[Path, ...]

    @classmethod
    def find(cls, folder: Path, subject: int) -> PersonFiles:
        """List the files of a person; none is opened."""
        eeg = _listed(folder / FACTS["folders"]["eeg"])
        faults = []
        found: dict[str, Path | None] = {}
        for what, pattern in (("eeg", _SIGNAL_FILE), ("eeg_label", _LABEL_FILE)):
            own = [path for path in eeg if (match := pattern.fullmatch(path.name)) and int(match[1]) == subject]
            found[what] = own[0] if own else None
            if len(own) != 1:
                names = " and ".join(path.name for path in own) or "missing"
                message = f"{names}; expected one file {folder.name}_{what}.mat; copy the folder again"
                faults.append(Problem(folder / FACTS["folders"]["eeg"], message, subject))
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
                    message = f"trial {number} has {media[kind][number].path.name} too; remove one of them"
                    faults.append(Problem(path, message, subject))
                media[kind].setdefault(number, own)
        return cls(folder, found["eeg"], found["eeg_label"], media, tuple(faults), tuple(unread))


def _listed(folder: Path) -> list[Path]:
    """The files of a folder, sorted; nothing where it is not there. Hidden ones are passed over."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))


class EAV(Reader):
    """A folder of EAV: EEG, sound and videos of people who talk with a recorded partner.

    A trial is 20 s in which the person listens or speaks. Trial ids are the numbers of the trials in their order, 1 to
    200, which the third axis of the EEG and the names of the files have in common: sound and videos are found by them
    and not by the order of a folder. `Trial.video` shows the face, `Trial.voice` is the person's sound, of which there
    is none while the person listens.

    Ratings: `emotion` is the class of the cue (`class_names`), which the person was to express, and not a self-rating;
    `task` is listening or speaking. Rows 0, 2, ... of the labels are taken for listening and rows 1, 3, ... for
    speaking, and compared with the names of the files: the public loader of the authors calls them the other way round.

    `Trial.split` is that of its authors: of the 20 trials of an emotion and task the first 14 train, the others test.

    A person talks of one emotion for several trials, and each conversation has a neutral exchange besides. `stimulus`
    names these blocks of consecutive trials of one emotion, `"subject01_block01"` and so on; people chose their
    conversations, so that no two of them share one. Trials of a block follow each other: where they are both in
    training and in the test set, what is recognised may be the time.

    **Signals**: `(30, 10000)` float32 at 500 Hz, without baseline. The files name no channels, which are those of two
    public loaders, and no unit: the size of the EEG decides between microvolts and volts.

    Args:
        root: folder that holds `subject1` (or `subject01`) and so on, each with `EEG`, `Audio` and `Video`; or that
            folder's parent, where it is called `EAV`.
        file_format: the only one, `"original"`, or `None`.
        task: which trials are read: `"both"`, `"speaking"` or `"listening"`.
        sampling_rate_hz: samples a second wanted; `None` keeps 500.

    Raises:
        InputError: `root` holds no such folder.
        ValueError: an argument is none of its choices, or the rate not above 0.

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
        "a block of consecutive trials of one emotion of a person: where stimuli are kept apart, training has other "
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
                f"{self.root}: no folder like subject1 with EEG, Audio and Video; give the folder that EAV was "
                "unpacked into"
            )
        self._parameters = _parameters(self._home / SYNTHETIC_MARKER)

    @property
    def options(self) -> dict[str, Any]:
        """See `Reader`."""
        return {"task": self.task, "sampling_rate_hz": self.sampling_rate_hz}

    # --- files

    @property
    def subjects(self) -> tuple[int, ...]:
        """Numbers of the people, sorted."""
        return tuple(sorted(self._folders))

    @property
    def synthetic(self) -> bool:
        """Whether our own writers made the files."""
        return (self._home / SYNTHETIC_MARKER).is_file()

    def _files(self, subject: int) -> PersonFiles:
        (subject,) = self.select([subject])
        return self._found.setdefault(subject, PersonFiles.find(self._folders[subject], subject))

    @functools.cached_property
    def _found(self) -> dict[int, PersonFiles]:
        return {}

    def source_files(self, subject: int) -> tuple[Path, ...]:
        """EEG and labels of the person."""
        files = self._files(subject)
        return tuple(path for path in (files.signal, files.label) if path is not None)

    def video_files(self, subject: int) -> tuple[Path, ...]:
        """See `Reader.video_files`."""
        return self._media_files(subject, "video")

    def voice_files(self, subject: int) -> tuple[Path, ...]:
        """See `Reader.voice_files`."""
        return self._media_files(subject, "voice")

    def _media_files(self, subject: int, kind: Kind) -> tuple[Path, ...]:
        return tuple(one.path for _, one in sorted(self._files(subject).media[kind].items()))

    def missing_files(self) -> tuple[Problem, ...]:
        """People of whom there is no folder."""
        expected = self._parameters.get("subjects", range(1, FACTS["n_subjects"] + 1))
        missing = [str(subject) for subject in expected if subject not in self._folders]
        if not missing:
            return ()
        message = f"no folder of subject {', '.join(missing)}; expected {len(expected)} people"
        return (Problem(self.root, message, is_blocking=False),)

    def notes(self, subjects: Sequence[int] | None = None) -> list[str]:
        """See `Reader.notes`."""
        self.select(subjects)
        notes = [
            "the files name neither channels nor units: the channels are those of public loaders, and the size of the "
            "EEG decides between microvolts and volts"
        ]
        if self.task != "both":
            others = TASKS[1 - TASKS.index(self.task)]
            notes.append(f"trials of {self.task} alone are read, those of {others} are left out")
        return notes

    def describe(self) -> dict[str, Any]:
        """See `Reader.describe`; and `notes`."""
        return super().describe() | {"notes": self.notes()}

    # --- trials

    def trials(self, subjects: Sequence[int] | None = None) -> Iterator[Trial]:
        """The trials of some subjects (default: all), in their order; see `Reader.trials`."""
        for subject in self.select(subjects):
            raise_problems(self._blocking(subject))
            for trial in self._read(subject):
                lines = group_by_trial({trial.trial: unusable_channels(trial.recording, CHANNEL_NAMES)})
                raise_problems([Problem(trial.recording.source, line, subject) for line in lines])
                yield trial

    def _read(self, subject: int) -> Iterator[Trial]:
        """The trials of a person whose files can be used."""
        files, (emotions, tasks) = self._files(subject), self._labels(subject)
        path, blocks, parts = files.signal, _blocks(emotions), _parts(emotions, tasks)
        array = self._signals(path, len(emotions))
        first = array[:, :, 0].T
        size = float(np.median(deviations_uv(first, FACTS["sampling_rate_hz"])))
        factor = microvolt_factor(size)
        if factor is None and size > 0:
            low, high = PLAUSIBLE_UV
            raise InputError(
                f"{path}: EEG has a standard deviation of {size:.3g} within a second (median over channels and "
                f"seconds); expected {low:g} to {high:g} microvolts, or as many millionths; copy the file again"
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
        # The amplifier has 16 bits: float32 holds them all.
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
        """`(samples, channels, trials)` as the file has them.

        Raises:
            InputError: the file cannot be read, or holds anything else.
        """
        shapes = variable_shapes(path)
        variable = next((name for name in FACTS["signal_variables"] if name in shapes), None)
        if variable is None:
            wanted = " or ".join(FACTS["signal_variables"])
            raise InputError(f"{path}: no variable {wanted}; found {', '.join(shapes) or 'none'}; copy the file again")
        seconds = self._parameters.get("trial_seconds", FACTS["trial_seconds"])
        shape = (seconds * FACTS["sampling_rate_hz"], FACTS["n_channels"], n_trials)
        if shapes[variable] != shape:
            raise InputError(
                f"{path}: `{variable}` is of shape {shapes[variable]}; expected {shape}, samples by channels by "
                "trials; copy the file again"
            )
        array = read_variables(path, (variable,))[variable]
        if array.dtype.kind not in "fiu":
            raise InputError(f"{path}: `{variable}` is {array.dtype}; expected numbers; copy the file again")
        return array

    # --- labels

    def _labels(self, subject: int) -> tuple[list[int], list[int]]:
        """Emotion and task of each trial, by index.

        Raises:
            InputError: the file cannot be read, or holds anything else.
        """
        path, variable = self._files(subject).label, FACTS["label_variable"]
        array = read_variables(path, (variable,)).get(variable)
        n_trials = self._parameters.get("n_trials", FACTS["n_trials"])
        shape = (len(EMOTIONS) * len(TASKS), n_trials)
        if array is None or array.dtype.kind not in "fiub" or array.shape != shape:
            found = "not there" if array is None else f"{array.dtype} {array.shape}"
            raise InputError(f"{path}: `{variable}` is {found}; expected numbers of shape {shape}; copy the file again")
        is_one_hot = ((array == 0) | (array == 1)).all(axis=0) & (array.sum(axis=0) == 1)
        if not is_one_hot.all():
            trials = ", ".join(map(str, np.flatnonzero(~is_one_hot) + 1))
            raise InputError(f"{path}: `{variable}` of trial {trials} is not a single 1; copy the file again")
        rows = array.argmax(axis=0)
        return (rows // len(TASKS)).tolist(), (rows % len(TASKS)).tolist()

    def _blocking(self, subject: int) -> list[Problem]:
        """What keeps a person's trials from being read, but for the signal itself."""
        files = self._files(subject)
        problems = list(files.faults)
        if files.label is None:
            return problems
        try:
            emotions, tasks = self._labels(subject)
        except InputError as error:
            return [*problems, as_problem(error, subject, files.label)]
        named = [one for of_kind in files.media.values() for one in of_kind.values()]
        beyond = [one for one in named if not 1 <= one.trial <= len(emotions)]
        problems += [
            Problem(one.path, f"trial {one.trial}; expected 1 to {len(emotions)}; is it another person's?", subject)
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
                f"{len(different)} of {len(named)} names of files differ, first trial {one.trial}: {labelled}, but "
                f"{one.path.name}; {reason}: copy the folder again"
            )
            problems.append(Problem(files.label, message, subject))
        return problems

    # --- what is wrong

    def inspect(self, subject: int) -> SubjectReport:
        """Read all of one subject; see `Reader.inspect`."""
        files = self._files(subject)
        problems, trials, rate = self._blocking(subject), [], None
        faults: dict[int, Sequence[str]] = {}
        if not problems:
            try:
                for trial in self._read(subject):
                    faults[trial.trial] = unusable_channels(trial.recording, CHANNEL_NAMES)
                    trials.append(describe_trial(trial) | {"voice": str(trial.voice.path) if trial.voice else None})
                    rate = trial.recording.sampling_rate_hz
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

    def _gaps(self, subject: int, files: PersonFiles) -> list[Problem]:
        """What is missing beside the EEG or differs from what is known, which does not block."""
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
                problems.append(Problem(folder, f"no {_SUFFIXES[kind]} files; expected {len(wanted)}", subject, False))
            elif missing:
                message = f"no {_SUFFIXES[kind]} of trial {', '.join(map(str, missing))}"
                problems.append(Problem(folder, message, subject, False))
        if not any(files.media.values()):
            message = "no file of sound or picture says which rows of the labels are speaking: not verified"
            problems.append(Problem(files.label, message, subject, False))
        problems += [
            Problem(path, "not read; expected a name like 002_Trial_02_Speaking_Neutral.mp4", subject, False)
            for path in files.unread
        ]
        problems += self._short_media(subject, files)
        if order := self._order_fault(emotions, tasks):
            problems.append(Problem(files.label, order, subject, False))
        return problems

    def _short_media(self, subject: int, files: PersonFiles) -> Iterator[Problem]:
        """Sound and videos that cannot be read or end before their trial, by their headers."""
        # Not before: it brings along what decodes sound.
        from keras_emotion.audio import audio_facts

        seconds = self._parameters.get("trial_seconds", FACTS["trial_seconds"])
        for kind, facts in (("voice", audio_facts), ("video", video_facts)):
            for _, one in sorted(files.media[kind].items()):
                try:
                    lasts = facts(one.path).duration_seconds
                except InputError as error:
                    yield Problem(one.path, str(error).removeprefix(f"{one.path}: "), subject, False)
                    continue
                if lasts and lasts < seconds - LENGTH_TOLERANCE_SECONDS:
                    yield Problem(one.path, f"lasts {lasts:.1f} s; expected {seconds} s", subject, False)

    def _order_fault(self, emotions: Sequence[int], tasks: Sequence[int]) -> str:
        """How the trials differ from the order of the experiment; empty where they do not."""
        pairs = list(zip(emotions, tasks, strict=True))
        listened, spoken = pairs[::2], pairs[1::2]
        is_exchange = all(
            one[0] == other[0] and (one[1], other[1]) == (LISTENING, SPEAKING)
            for one, other in itertools.zip_longest(listened, spoken, fillvalue=(-1, -1))
        )
        if not is_exchange:
            return "trials are not exchanges of listening and speaking of one emotion; is it another version?"
        neutral = EMOTIONS.index("neutral")
        n_own = FACTS["n_exchanges_of_conversation"] - FACTS["n_neutral_exchanges_of_conversation"]
        emotional = [emotion for emotion, _ in listened if emotion != neutral]
        expected = self._parameters.get("conversations", FACTS["conversations"])
        if emotional != [EMOTIONS.index(name) for name in expected for _ in range(n_own)]:
            counts = collections.Counter(EMOTIONS[emotion] for emotion in emotional)
            found = ", ".join(f"{count} of {name}" for name, count in counts.items())
            return f"exchanges ({found}) are not in the order of the conversations of EAV; is it another version?"
        return ""


def _blocks(emotions: Sequence[int]) -> list[int]:
    """The number of the block of each trial: consecutive trials of one emotion.

    Example:
        >>> _blocks([0, 0, 2, 2, 0])
        [1, 1, 2, 2, 3]
    """
    lengths = [len(list(group)) for _, group in itertools.groupby(emotions)]
    return [number for number, length in enumerate(lengths, 1) for _ in range(length)]


def _parts(emotions: Sequence[int], tasks: Sequence[int]) -> list[str]:
    """The part of the authors' split that each trial belongs to: of each emotion and task the first 14 of 20 train.

    Example:
        >>> _parts([3] * 10, [0, 1] * 5)[-4:]
        ['test', 'test', 'test', 'test']
    """
    of_class = pd.DataFrame({"emotion": emotions, "task": tasks}).groupby(["emotion", "task"])["task"]
    n_training = of_class.transform("size") * FACTS["n_training_exchanges_of_class"] // FACTS["n_exchanges_of_class"]
    return np.where(of_class.cumcount() < n_training, "train", "test").tolist()


def _subject_folders(home: Path) -> dict[int, Path]:
    """The folders of the people, by number.

    Raises:
        InputError: two folders are of one person.
    """
    found: dict[int, Path] = {}
    for path in sorted(home.iterdir()) if home.is_dir() else ():
        match = _FOLDER.fullmatch(path.name)
        if match is None or not (path / FACTS["folders"]["eeg"]).is_dir():
            continue
        number = int(match[1])
        if number in found:
            raise InputError(f"{home}: {found[number].name} and {path.name} are of one person; remove one of them")
        found[number] = path
    return found


def _parameters(path: Path) -> dict[str, Any]:
    """What a synthetic copy states of itself; empty where there is no file, or that of another dataset.

    Raises:
        InputError: the file does not state them.
    """
    parameters = read_marker(path, "eav")
    if not parameters:
        return {}
    kinds = {"subjects": list, "conversations": list, "n_trials": int, "trial_seconds": int}
    if not all(type(parameters.get(name)) is kind for name, kind in kinds.items()):
        raise InputError(f"{path}: lacks some of {', '.join(kinds)}; write the synthetic data again")
    return parameters
