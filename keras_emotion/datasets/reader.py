"""Base class of dataset readers: subjects, trials one at a time, and problems of a copy."""

from __future__ import annotations

import abc
import dataclasses
import inspect
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np

from keras_emotion.progress import reported
from keras_emotion.refusals import refusing_unreadable
from keras_emotion.schema import InputError, Recording, Trial

SYNTHETIC_MARKER = "synthetic.json"
"""Marker file that this package's writers leave in the root folder: the writer and its parameters."""

SubjectId: TypeAlias = Any

Gender = Literal["female", "male"]
GENDERS: Mapping[str, Gender] = {"female": "female", "male": "male"}


@dataclasses.dataclass(frozen=True)
class Problem:
    """Problem of a copy of a dataset.

    Args:
        file: the faulty or missing file.
        message: what is wrong, what was expected, what to do.
        subject: the subject whose file it is, `None` if it is not one subject's.
        is_blocking: whether the trials are unusable. A missing optional file, such as a face video, does not block.
    """

    file: Path
    message: str
    subject: SubjectId | None = None
    is_blocking: bool = True

    def __str__(self):
        return f"{self.file}: {self.message}"


@dataclasses.dataclass(frozen=True)
class SubjectReport:
    """Description and problems of one subject's data.

    Args:
        description: the subject as JSON-able values: `subject`, `file`, `trials` (each at least with the entries of
            `describe_trial`), and for recordings `sampling_rate_hz` and `n_channels`.
        problems: problems of the subject's data.
    """

    description: Mapping[str, Any]
    problems: tuple[Problem, ...]


class Reader(abc.ABC):
    """Base class of dataset readers, with the contract that all readers satisfy.

    `keras_emotion.testing.check_reader` checks it.

    - **Lazy.** Creating a reader and accessing `subjects` reads tables and annotations, and only headers of signals.
    - **Reproducible.** The same files give the same trials in the same order, for a subject alone as among all. So does
      `type(reader)(root, file_format=reader.file_format, **reader.options)`, which is how a run folder stores a reader.
    - **Picklable**, also after trials were read; signals are not pickled.
    - **One trial at a time.** `trials` is an iterator that keeps no previous trial in memory.
    - **Keys.** No two trials have the same `schema.TRIAL_KEY`; trial ids are 1-based numbers.
    - **Names, units, rates.** Channel names are unique; scalp channels are in `"uV"`, others in a unit of
      `keras_emotion.testing.readers.UNITS`; the rate is positive, the baseline is within the signal, and the signal is
      float32 or float64 without NaN or infinity. A trial with an unusable signal raises an `InputError`.
    - **Released features** are finite float64 arrays `(windows, channels, bands)`, with the same shape for all arrays
      of a trial. They are read on demand; unreadable or non-finite features raise an `InputError`.
    - **Eye movements** are finite and float64. They are read on demand; unreadable ones raise an `InputError`, are
      reported by `inspect`, and do not block runs that do not read them.
    - **Bad segments** that the files annotate are in `Recording.bad_spans` if they overlap the trial or its baseline.
    - **Ratings** are finite floats; missing ratings are left out. Classes are indices into `class_names`.
    - **Sources.** `source_files`, `video_files`, `media_files`, `voice_files` and `eye_files` list every file that the
      trials of a subject are read from, always the same ones: cached features are keyed by a hash of their contents. A
      recording names its own file.
    - **Errors.** Invalid data raise an `InputError` that names the file, and no other exception. An unknown subject
      raises one that lists the available subjects. Data that pass `check` can be read by `trials`.
    - **Descriptions** are JSON-able and agree with the trials. A complete copy has no problems.

    A reader splits no data. It gives each trial's part of the authors' split (`Trial.split`), and the protocols under
    which the dataset is usually evaluated.

    Attributes:
        name: name of the dataset, lower case: `Trial.dataset`.
        class_names: classes of the ratings that are class indices.
        rating_scales: lowest and highest value of the ratings that are scales, by name, as far as they are fixed. The
            middle is the default threshold between low and high.
        code_version: to be increased when a reader returns different trials for the same files: cached features are
            then recomputed.
        meaning_of_stimulus: description of a stimulus, if it is not a presented clip or picture.
        usual_protocols: names of the protocols (`keras_emotion.evaluation.PROTOCOLS`) under which the dataset is
            usually evaluated, restricted to those that keep trials whole: `--protocols usual`.
        missing_files_block: whether `check` refuses a copy with `missing_files`; otherwise only `describe` lists them.
        root: the folder.
        file_format: name of the format that is read, of those of the dataset; `None` if there is only one.
        stimuli: the stimulus folder that provides clips, or `None` (`keras_emotion.datasets.with_stimuli`).

    Raises:
        InputError: `root` is not a folder (or, in each reader, contains no files of the dataset).
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
            raise InputError(f"{self.root}: no such folder; expected the root folder of the dataset; check the path")

    @property
    @abc.abstractmethod
    def subjects(self) -> tuple[SubjectId, ...]:
        """Ids of the subjects with files: unique, sorted, all `int` or all `str`."""

    @abc.abstractmethod
    def trials(self, subjects: Sequence[SubjectId] | None = None) -> Iterator[Trial]:
        """Yield the trials of some subjects (default: all), in the order of `subjects`, sorted by trial id.

        If trial ids restart in each session, trials are ordered by session first. One trial is created at a time, and
        at most one subject's file is in memory.

        Raises:
            InputError: a file is unusable, with one line per problem, or a subject is unknown.
        """

    @abc.abstractmethod
    def source_files(self, subject: SubjectId) -> tuple[Path, ...]:
        """Return the files that the trials of a subject are read from, without videos and stimuli; all of them exist.

        Raises:
            InputError: the subject is unknown.
        """

    def video_files(self, subject: SubjectId) -> tuple[Path, ...]:
        """Return the face videos of a subject's trials, which matter only if faces are used.

        Raises:
            InputError: the subject is unknown.
        """
        self.select([subject])
        return ()

    def media_files(self, subject: SubjectId) -> tuple[Path, ...]:
        """Return the stimulus files, which matter only if a feature part reads them.

        Raises:
            InputError: the subject is unknown.
        """
        self.select([subject])
        return ()

    def voice_files(self, subject: SubjectId) -> tuple[Path, ...]:
        """Return the sound files of the subject (`Trial.voice`), which matter only if a feature part reads them.

        Raises:
            InputError: the subject is unknown.
        """
        self.select([subject])
        return ()

    def eye_files(self, subject: SubjectId) -> tuple[Path, ...]:
        """Return the files of `Trial.eye_movements`, which matter only if a feature part reads them.

        Raises:
            InputError: the subject is unknown.
        """
        self.select([subject])
        return ()

    @property
    def kind(self) -> str:
        """Class name of the reader, which is part of the cache keys of features."""
        return type(self).__name__

    def stimulus_starts(self) -> Mapping[str, float]:
        """Return the start in seconds of each stimulus in the film or song that it is an excerpt of, if known.

        Raises:
            InputError: the file with the times cannot be read.
        """
        return {}

    def genders(self) -> Mapping[SubjectId, Gender]:
        """Return the gender of each subject, as far as the data give it.

        Raises:
            InputError: the file with the genders cannot be read.
        """
        return {}

    def reopened(self, root: Path | None = None) -> Reader:
        """Return a new reader with the same arguments.

        Args:
            root: the copy to read; by default the same.

        Raises:
            InputError: the copy cannot be read.
        """
        made_by: Callable[..., Reader] = type(self)
        return made_by(root or self.root, file_format=self.file_format, **self.options)

    def for_sources(self, sources: Sequence[str]) -> Reader:
        """Return the reader of the same copy that provides the requested sources; by default this reader.

        If a copy has signals and features of the same trials in different files, it is the reader of those files.

        Args:
            sources: parts of the trials to read, see `keras_emotion.pipelines.FeaturePart.sources`.

        Raises:
            InputError: the copy lacks such files.
        """
        return self

    def files_of(self, subject: SubjectId, sources: Sequence[str]) -> tuple[Path, ...]:
        """Return the files that determine the features of a subject, which its fingerprint covers.

        Args:
            subject: the subject.
            sources: parts of its trials to read, see `keras_emotion.pipelines.FeaturePart.sources`.
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
        """Check all data of one subject and report its content and all problems.

        Raises:
            InputError: the subject is unknown.
        """

    def missing_files(self) -> tuple[Problem, ...]:
        """Return what the copy as a whole lacks, in addition to the problems that `inspect` finds."""
        return ()

    def notes(self, subjects: Sequence[SubjectId] | None = None) -> list[str]:
        """Return assumptions about the files, and resampled or omitted data: not problems, but necessary to know.

        Args:
            subjects: subjects whose files are considered; by default all.
        """
        return []

    @property
    def options(self) -> dict[str, Any]:
        """JSON-able arguments of this reader, besides root and format, that change the trials."""
        return {}

    @classmethod
    def default_options(cls) -> dict[str, Any]:
        """Return the arguments of this reader that have a default, except the file format."""
        parameters = inspect.signature(cls).parameters.values()
        return {
            one.name: one.default for one in parameters if one.default is not one.empty and one.name != "file_format"
        }

    @property
    def synthetic(self) -> bool:
        """Whether the files are synthetic data written by this package."""
        return (self.root / SYNTHETIC_MARKER).is_file()

    def check(
        self,
        subjects: Sequence[SubjectId] | None = None,
        problems_of: Callable[[Sequence[SubjectId]], Iterable[Problem]] | None = None,
    ) -> None:
        """Read the files of some subjects (default: all) completely, before any computation starts.

        Args:
            subjects: ids of the subjects.
            problems_of: function that returns the problems of some subjects' files, instead of calling `inspect` for
                each.

        Raises:
            InputError: any file has a problem, with one line per problem.
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
        """Describe the copy, subject by subject, with all problems, as JSON-able values; report progress."""
        reports = list(reported(map(self.inspect, self.subjects), "subjects", len(self.subjects)))
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
        """Return the requested subjects, or all if none are given.

        Raises:
            InputError: a subject has no files.
        """
        found = self.subjects
        if subjects is None:
            return found
        unknown = [str(subject) for subject in subjects if subject not in found]
        if unknown:
            raise InputError(
                f"{self.root}: no files of subject {', '.join(unknown)}; available: {', '.join(map(str, found))}"
            )
        return tuple(found[found.index(subject)] for subject in subjects)


def read_marker(path: Path, dataset: str) -> dict[str, Any]:
    """Read the marker file of a synthetic copy; empty if there is none, or that of another dataset.

    Raises:
        InputError: the file is damaged.
    """
    if not path.is_file():
        return {}
    with refusing_unreadable(path, "{path}: damaged ({reason}); write the synthetic data again"):
        parameters = json.loads(path.read_text(encoding="utf-8"))
    return parameters if isinstance(parameters, dict) and parameters.get("dataset") == dataset else {}


def raise_problems(problems: Iterator[Problem] | Sequence[Problem]) -> None:
    """Raise an `InputError` with one line per blocking problem, if there is any."""
    lines = dict.fromkeys(str(problem) for problem in problems if problem.is_blocking)
    if lines:
        raise InputError("\n".join(lines))


def problems_of_checks(*checks: tuple[Path | None, bool, Callable[[Path], Iterable[Problem]]]) -> tuple[Problem, ...]:
    """Run checks of shared files, and return their problems and unreadable files, each once.

    Args:
        checks: the file that a check concerns (`None`: it does not exist, and is not checked), whether it blocks the
            trials, and the check.
    """
    problems: list[Problem] = []
    for path, is_needed, check in checks:
        if path is None:
            continue
        try:
            problems += check(path)
        except InputError as error:
            problems.append(Problem(path, str(error).removeprefix(f"{path}: "), is_blocking=is_needed))
    return tuple(dict.fromkeys(problems))


def as_problem(error: InputError, subject: SubjectId, own_file: Path, *shared_files: Path) -> Problem:
    """Convert an `InputError` into a problem of the file that it names: the subject's own or a shared one."""
    file = next((path for path in shared_files if str(error).startswith(f"{path}: ")), own_file)
    return Problem(file, str(error).removeprefix(f"{file}: "), subject if file == own_file else None)


def describe_trial(trial: Trial) -> dict[str, Any]:
    """Describe a trial without its signal, as JSON-able values.

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
    """Return problems of a trial's channels: one phrase each for non-finite values and for flat EEG channels.

    Peripheral channels may be flat (a detached sensor should not exclude the EEG); scalp channels may not: the entropy
    of a constant channel is undefined.
    """
    signal = recording.signal
    low, high = signal.min(axis=1), signal.max(axis=1)
    # NaN and infinity propagate to the extremes of a row, without a temporary array of the signal's size.
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
    """Format phrases by trial, with equal phrases merged: `trial 1, 2, 7: constant signal in ...`."""
    trials: dict[str, list[str]] = {}
    for trial, phrases in faults.items():
        for phrase in phrases:
            trials.setdefault(phrase, []).append(str(trial))
    return tuple(f"trial {', '.join(numbers)}: {phrase}" for phrase, numbers in trials.items())
