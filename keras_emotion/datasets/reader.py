"""What every reader of a data set gives: its subjects, their trials one at a time, and what is wrong with the copy."""

from __future__ import annotations

import abc
import dataclasses
import inspect
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np

from keras_emotion.refusals import refusing_unreadable
from keras_emotion.schema import InputError, Recording, Trial

SYNTHETIC_MARKER = "synthetic.json"
"""File that our writers leave in the root of what they write: what wrote it and with which parameters."""

SubjectId: TypeAlias = Any

Gender = Literal["female", "male"]


@dataclasses.dataclass(frozen=True)
class Problem:
    """Something wrong with a copy of a data set.

    Args:
        file: the file it is in, or the file that is missing.
        message: field, what was expected, what to do.
        subject: whose file it is, `None` where it is not one subject's.
        is_blocking: the trials cannot be used. What is only missing beside them (a face video, say) does not block.
    """

    file: Path
    message: str
    subject: SubjectId | None = None
    is_blocking: bool = True

    def __str__(self):
        return f"{self.file}: {self.message}"


@dataclasses.dataclass(frozen=True)
class SubjectReport:
    """What a copy holds of one subject.

    Args:
        description: the subject as JSON-able values: `subject`, `file`, `trials` (each at least what `describe_trial`
            gives), and of recordings `sampling_rate_hz` and `n_channels`.
        problems: what is wrong with it.
    """

    description: Mapping[str, Any]
    problems: tuple[Problem, ...]


class Reader(abc.ABC):
    """Base class of the readers, and the contract that all of them keep.

    `keras_emotion.testing.check_reader` checks it.

    - **Lazy.** Making a reader and asking for `subjects` reads tables and annotations, and of signals no more than
      headers.
    - **Reproducible.** The same files give the same trials in the same order, a subject's ones alone as among all. So
      does `type(reader)(root, file_format=reader.file_format, **reader.options)`: a run folder describes it so.
    - **Picklable**, also after trials were read; signals are not pickled along.
    - **One trial at a time.** `trials` is an iterator, and keeps no trial that it gave before.
    - **Keys.** No two trials have the same `schema.TRIAL_KEY`; trial ids are numbers from 1 on.
    - **Names, units, rates.** Channel names are unique; scalp channels are in `"uV"`, others in a unit that
      `keras_emotion.testing.readers.UNITS` lists; the rate is positive, the baseline lies inside the signal, and the
      signal is float32 or float64 without NaN or infinity. A trial whose signal is not usable raises an `InputError`.
    - **Released features** are finite, of float64 and `(windows, channels, bands)`, all arrays of a trial alike. They
      are read when asked for; what cannot be read, or is not finite, raises an `InputError`.
    - **Eye movements** are finite and of float64. They are read when asked for; what cannot be read raises an
      `InputError`, is reported by `inspect`, and blocks no run that does not read them.
    - **Bad stretches** that the files name are in `Recording.bad_spans` as far as they touch the trial or its baseline.
    - **Ratings** are finite floats; a target that was not rated is left out. Classes are indices of `class_names`.
    - **Sources.** `source_files`, `video_files`, `media_files`, `voice_files` and `eye_files` name every file that the
      trials of a subject are read from, always the same ones: features are stored under a hash of their contents. A
      recording names its own.
    - **Errors.** What is wrong with the data raises an `InputError` that names the file, and nothing else. A subject
      who is not there raises one that names those who are. What `check` passes, `trials` can read.
    - **Descriptions** are JSON and agree with the trials. A whole copy has no problems.

    A reader splits nothing. It says which part of its authors' split a trial belongs to (`Trial.split`), and under
    which protocols the data set is usually evaluated.

    Attributes:
        name: name of the data set, lower case: `Trial.dataset`.
        class_names: classes of those ratings that are the index of a class and not a scale.
        rating_scales: lowest and highest value of those ratings that are a scale, by name, as far as it is fixed. The
            middle is where low ends and high begins for models that are run without a label rule of their own.
        code_version: to be raised when a reader gives other trials for the same files: stored features are then
            computed again.
        meaning_of_stimulus: what a stimulus is where it is no clip or picture that was shown.
        usual_protocols: names of the protocols (`keras_emotion.evaluation.PROTOCOLS`) under which the data set is
            usually evaluated, as far as they keep trials whole: `--protocols usual`.
        missing_files_block: whether `check` refuses a copy with `missing_files`; elsewhere `describe` alone lists them.
        root: the folder.
        file_format: name of the format that is read, of those that the data set comes in; `None` where there is one.
        stimuli: the stimulus folder that clips come from, `None` without (`keras_emotion.datasets.with_stimuli`).

    Raises:
        InputError: `root` is not a folder (and, by each reader, holds nothing of the data set).
    """

    name: ClassVar[str]
    class_names: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    rating_scales: ClassVar[Mapping[str, tuple[float, float]]] = {}
    code_version: ClassVar[int] = 1
    meaning_of_stimulus: ClassVar[str] = ""
    usual_protocols: ClassVar[tuple[str, ...]] = ()
    missing_files_block: ClassVar[bool] = False
    file_format: str | None
    stimuli: Path | None = None

    def __init__(self, root: str | Path):
        self.root = Path(root)
        if not self.root.is_dir():
            raise InputError(f"{self.root}: no such folder; expected the root folder of the data set")

    @property
    @abc.abstractmethod
    def subjects(self) -> tuple[SubjectId, ...]:
        """Ids of the subjects of whom there is a file: unique, sorted, all `int` or all `str`."""

    @abc.abstractmethod
    def trials(self, subjects: Sequence[SubjectId] | None = None) -> Iterator[Trial]:
        """The trials of some subjects (default: all), subject by subject as asked for, in the order of their trial ids.

        Where trial ids start anew in each session, session by session. One trial is made at a time, and at most one
        subject's file is in memory.

        Raises:
            InputError: a file cannot be used, with one line for each thing wrong, or a subject is not there.
        """

    @abc.abstractmethod
    def source_files(self, subject: SubjectId) -> tuple[Path, ...]:
        """The files that the trials of a subject are read from, without videos and stimuli; all of them exist.

        Raises:
            InputError: the subject is not there.
        """

    def video_files(self, subject: SubjectId) -> tuple[Path, ...]:
        """The face videos of a subject's trials, which count only where faces are used.

        Raises:
            InputError: the subject is not there.
        """
        self.select([subject])
        return ()

    def media_files(self, subject: SubjectId) -> tuple[Path, ...]:
        """The files of the stimuli themselves, which count only where a part reads them.

        Raises:
            InputError: the subject is not there.
        """
        self.select([subject])
        return ()

    def voice_files(self, subject: SubjectId) -> tuple[Path, ...]:
        """The sound files of the person, `Trial.voice`, which count only where a part reads them.

        Raises:
            InputError: the subject is not there.
        """
        self.select([subject])
        return ()

    def eye_files(self, subject: SubjectId) -> tuple[Path, ...]:
        """The files of the eye movements, `Trial.eye_movements`, which count only where a part reads them.

        Raises:
            InputError: the subject is not there.
        """
        self.select([subject])
        return ()

    @property
    def kind(self) -> str:
        """Class that reads the dataset, which names it in the keys of stored features."""
        return type(self).__name__

    def stimulus_starts(self) -> Mapping[str, float]:
        """Time in seconds at which each stimulus starts in the film or song it is an excerpt of, where the data say so.

        Raises:
            InputError: the file that says so cannot be read.
        """
        return {}

    def genders(self) -> Mapping[SubjectId, Gender]:
        """Gender of each subject, as far as the data say it.

        Raises:
            InputError: the file that says so cannot be read.
        """
        return {}

    def reopened(self, root: Path | None = None) -> Reader:
        """Return the same reader, made anew.

        Args:
            root: the copy that it reads; by default the same one.

        Raises:
            InputError: the copy cannot be read.
        """
        made_by: Callable[..., Reader] = type(self)
        return made_by(root or self.root, file_format=self.file_format, **self.options)

    def for_sources(self, sources: Sequence[str]) -> Reader:
        """The reader of the same copy whose trials have what is read of them; by default this one.

        Where a copy holds signals and features of the same trials in different files, it is the reader of those files.

        Args:
            sources: what is read of the trials, see `keras_emotion.pipelines.FeaturePart.sources`.

        Raises:
            InputError: the copy has no such files.
        """
        return self

    def files_of(self, subject: SubjectId, sources: Sequence[str]) -> tuple[Path, ...]:
        """The files that decide the features of a subject: what a fingerprint covers.

        Args:
            subject: the subject.
            sources: what is read of its trials, see `keras_emotion.pipelines.FeaturePart.sources`.
        """
        more = {
            "video": self.video_files,
            "media": self.media_files,
            "voice": self.voice_files,
            "eye_movements": self.eye_files,
        }
        files = [path for source, listed in more.items() if source in sources for path in listed(subject)]
        return (*self.source_files(subject), *files)

    @abc.abstractmethod
    def inspect(self, subject: SubjectId) -> SubjectReport:
        """Read all of one subject and report what is there and what is wrong, without stopping at the first.

        Raises:
            InputError: the subject is not there.
        """

    def missing_files(self) -> tuple[Problem, ...]:
        """What the copy as a whole lacks, beside what `inspect` finds for a subject."""
        return ()

    def notes(self, subjects: Sequence[SubjectId] | None = None) -> list[str]:
        """What was concluded, resampled or left out of the files, which is no problem but has to be known.

        Args:
            subjects: whose files; by default everybody's.
        """
        return []

    @property
    def options(self) -> dict[str, Any]:
        """Arguments of this reader, besides root and form, that change what `trials` gives; JSON-able."""
        return {}

    @classmethod
    def default_options(cls) -> dict[str, Any]:
        """Arguments of this reader that have a default, by name, besides the form of the files."""
        parameters = inspect.signature(cls).parameters.values()
        return {
            one.name: one.default for one in parameters if one.default is not one.empty and one.name != "file_format"
        }

    @property
    def synthetic(self) -> bool:
        """Whether our own writers made the files."""
        return (self.root / SYNTHETIC_MARKER).is_file()

    def check(
        self,
        subjects: Sequence[SubjectId] | None = None,
        problems_of: Callable[[Sequence[SubjectId]], Iterable[Problem]] | None = None,
    ) -> None:
        """Reads the files of some subjects (default: all) to the end, before any work starts.

        Args:
            subjects: ids of the subjects.
            problems_of: gives what is wrong with the files of some subjects, where `inspect` is not to be asked here
                for one after the other.

        Raises:
            InputError: one line for each thing wrong in any of the files, all of them together.
        """
        problems = list(self.missing_files()) if self.missing_files_block else []
        try:
            chosen = self.select(subjects)
        except InputError:
            raise_problems(problems)
            raise
        raise_problems([*problems, *(problems_of or self._problems_of_subjects)(chosen)])

    def _problems_of_subjects(self, subjects: Sequence[SubjectId]) -> list[Problem]:
        return [problem for subject in subjects for problem in self.inspect(subject).problems]

    def describe(self) -> dict[str, Any]:
        """What is there, subject by subject, and everything that is wrong, as JSON-able values."""
        reports = [self.inspect(subject) for subject in self.subjects]
        problems = dict.fromkeys(
            [*self.missing_files(), *(problem for report in reports for problem in report.problems)]
        )
        return {
            "dataset": self.name,
            "root": str(self.root),
            "synthetic": self.synthetic,
            "class_names": {rating: list(names) for rating, names in self.class_names.items()},
            "subjects": [dict(report.description) for report in reports],
            "problems": [
                {"file": str(problem.file), "subject": problem.subject, "message": problem.message}
                for problem in problems
            ],
        }

    def select(self, subjects: Sequence[SubjectId] | None) -> tuple[SubjectId, ...]:
        """The subjects asked for, all where none are named.

        Raises:
            InputError: there is no file of one of them.
        """
        found = self.subjects
        if subjects is None:
            return found
        unknown = [str(subject) for subject in subjects if subject not in found]
        if unknown:
            raise InputError(
                f"{self.root}: no file of subject {', '.join(unknown)}; there are {', '.join(map(str, found))}"
            )
        return tuple(found[found.index(subject)] for subject in subjects)


def read_marker(path: Path, dataset: str) -> dict[str, Any]:
    """Read what a synthetic copy states of itself; empty where there is no file, or that of another dataset.

    Raises:
        InputError: the file is damaged.
    """
    if not path.is_file():
        return {}
    with refusing_unreadable(path, "{path}: damaged ({reason}); write the synthetic data again"):
        parameters = json.loads(path.read_text(encoding="utf-8"))
    return parameters if isinstance(parameters, dict) and parameters.get("dataset") == dataset else {}


def raise_problems(problems: Iterator[Problem] | Sequence[Problem]) -> None:
    """Raises an `InputError` with a line for each blocking problem, if there is one."""
    lines = dict.fromkeys(str(problem) for problem in problems if problem.is_blocking)
    if lines:
        raise InputError("\n".join(lines))


def problems_of_checks(*checks: tuple[Path | None, bool, Callable[[], Iterable[Problem]]]) -> tuple[Problem, ...]:
    """What checks of shared files find, and that a file cannot be read, each once.

    Args:
        checks: the file that a check is about, whether the trials cannot be used without it, and the check.
    """
    problems: list[Problem] = []
    for path, is_needed, check in checks:
        try:
            problems += check()
        except InputError as error:
            problems.append(Problem(path, str(error).removeprefix(f"{path}: "), is_blocking=is_needed))
    return tuple(dict.fromkeys(problems))


def as_problem(error: InputError, subject: SubjectId, own_file: Path, *shared_files: Path) -> Problem:
    """The problem that an `InputError` about one of these files speaks of: of the subject's own, or of a shared one."""
    file = next((path for path in shared_files if str(error).startswith(f"{path}: ")), own_file)
    return Problem(file, str(error).removeprefix(f"{file}: "), subject if file == own_file else None)


def describe_trial(trial: Trial) -> dict[str, Any]:
    """A trial without its signal, as JSON-able values.

    Raises:
        InputError: see `Trial.duration_seconds`.
    """
    return {
        "session": trial.session,
        "trial": trial.trial,
        "presentation": trial.presentation,
        "stimulus": trial.stimulus,
        "duration_seconds": trial.duration_seconds,
        "ratings": dict(trial.ratings),
        "video": None if trial.video is None else str(trial.video),
        **({"continuous_ratings": sorted(trial.continuous_ratings)} if trial.continuous_ratings else {}),
    }


def unusable_channels(recording: Recording, eeg_channel_names: Sequence[str]) -> tuple[str, ...]:
    """What is wrong with the channels of one trial: one phrase each for missing numbers and for flat EEG channels.

    Peripheral channels may be flat (a sensor that came off is no reason to lose the EEG); scalp channels may not: the
    entropy of a constant channel is no number.
    """
    signal = recording.signal
    low, high = signal.min(axis=1), signal.max(axis=1)
    # A NaN or an infinity anywhere in a row makes its extremes so, without a temporary of the size of the signal.
    is_broken = ~(np.isfinite(low) & np.isfinite(high))
    is_eeg = np.isin(recording.channel_names, list(eeg_channel_names))
    phrases = (
        ("NaN or infinite values in", is_broken),
        ("constant signal in EEG channel", is_eeg & ~is_broken & (low == high)),
    )
    return tuple(
        f"{phrase} {', '.join(np.asarray(recording.channel_names)[mask])}" for phrase, mask in phrases if mask.any()
    )


def group_by_trial(faults: Mapping[int, Sequence[str]]) -> tuple[str, ...]:
    """Phrases by trial as lines, the trials with the same phrase on one: `trial 1, 2, 7: constant signal in ...`."""
    trials: dict[str, list[str]] = {}
    for trial, phrases in faults.items():
        for phrase in phrases:
            trials.setdefault(phrase, []).append(str(trial))
    return tuple(f"trial {', '.join(numbers)}: {phrase}" for phrase, numbers in trials.items())
