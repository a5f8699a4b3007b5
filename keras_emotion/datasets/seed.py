"""SEED reader: 15 subjects, three sessions of the same 15 film clips, 62 EEG channels, three emotion classes."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from typing_extensions import override

from keras_emotion.datasets.read_ahead import read_ahead
from keras_emotion.datasets.reader import (
    SYNTHETIC_MARKER,
    Problem,
    Reader,
    SubjectReport,
    as_problem,
    describe_trial,
    group_by_trial,
    problems_of_checks,
    raise_problems,
    unusable_channels,
)
from keras_emotion.datasets.seed_common import CHANNEL_NAMES, Contents, channel_differences, differences
from keras_emotion.datasets.seed_files import (
    FACTS,
    FEATURE_NAMES,
    FILE_FORMATS,
    FileFormat,
    Session,
    feature_contents,
    find_sessions,
    format_of,
    has_sessions,
    parse_name,
    read_feature,
    read_labels,
    read_parameters,
    read_recording,
    read_stimulation,
    signal_contents,
    unusable_features,
)
from keras_emotion.schema import InputError, ReleasedFeatures, Trial

TARGET = "emotion"
_FORMAT_OF_SOURCE: Mapping[str, FileFormat] = {"recording": "preprocessed", "released_features": "features"}
_FOLDER_NAMES = {name for names in FACTS["folders"].values() for name in names}
_STIMULATION_FILE = re.compile(r"seed[-_ ]stimulation\.xlsx", re.IGNORECASE)
_CHANNEL_FILE = re.compile(r"channel[-_ ]order\.xlsx", re.IGNORECASE)


class SEED(Reader):
    """Reader of SEED: the preprocessed signals, or the features that its authors distribute.

    A trial is one clip in one session. Sessions are numbered 1, 2, 3 by the dates in the file names, trials 1 to 15 in
    each of them, which is also the order of presentation. All sessions show the same clips: `Trial.stimulus` is
    `"clip_01"` to `"clip_15"` for every subject and session. The only rating, `emotion`, is the index of the clip's
    class in `class_names["emotion"]`: a label of the stimulus, not a self-rating. `Trial.split` is `"train"` for the
    first nine clips of a session and `"test"` for the last six, as in the authors' split.

    Labels are read from `label.mat`, in the folder of the files or in the root; if it is missing, from the table of
    stimuli (`seed-stimulation.xlsx`), and without either from `facts/seed.json`, which is reported.

    **Signals** (`"preprocessed"`): `(62, 200 s)` float64 in microvolts as stored, 200 Hz, without baseline. A file has
    `200 s + 1` samples for a clip of `s` seconds; the last one, at the very end of the clip, is left out, so that a
    trial is as long as its clip.

    **Features** (`"features"`): `Trial.recording` is `None`, and `Trial.released_features` reads `de_movingAve`,
    `de_LDS`, `psd_movingAve` and `psd_LDS` from the file on demand, each `(windows, 62, 5)`. All of them were smoothed
    over the whole trial by the authors. The asymmetries `dasm`, `rasm`, `asm` and `dcau` are not read: the files do not
    identify the electrodes of their rows.

    Args:
        root: folder with `Preprocessed_EEG` or `ExtractedFeatures` (also `Extracted_Features`, `ExtractedFeatures_1s`,
            `ExtractedFeatures_4s`), or one of these itself. Their files are named `{number}_{yyyymmdd}.mat` or, in an
            older copy, `{letters}_{yyyymmdd}.mat`; the part before the underscore is the subject. Of several feature
            folders, the first in this order is read: give another one as `root`.
        file_format: `"preprocessed"` or `"features"`; by default the first that exists.

    Raises:
        InputError: `root` contains no such files, or names of both kinds.
        ValueError: `file_format` is invalid.

    Example:
        >>> from keras_emotion.datasets import SEED
        >>> for trial in SEED("SEED").trials(subjects=[1]):  # doctest: +SKIP
        ...     print(trial.session, trial.stimulus, trial.ratings["emotion"], trial.eeg.signal.shape)

    References:
        Zheng and Lu, "Investigating Critical Frequency Bands and Channels for EEG-Based Emotion Recognition with Deep
        Neural Networks", IEEE Transactions on Autonomous Mental Development 7(3), 2015.

        Duan, Zhu and Lu, "Differential Entropy Feature for EEG-Based Emotion Classification", IEEE/EMBS Conference on
        Neural Engineering, 2013.
    """

    name = "seed"
    usual_protocols: ClassVar[tuple[str, ...]] = (
        "predefined_split_within_session",
        "session_disjoint",
        "subject_disjoint",
    )
    class_names: ClassVar[Mapping[str, tuple[str, ...]]] = {TARGET: tuple(FACTS["class_names"])}

    def __init__(self, root: str | Path, file_format: FileFormat | None = None):
        super().__init__(root)
        if file_format is not None and file_format not in FILE_FORMATS:
            raise ValueError(f"`file_format` is {file_format!r}; expected one of {FILE_FORMATS}")
        # Folders of files and tables: the root, or its parent if the root is such a folder itself.
        self._home = self.root.resolve().parent if self.root.resolve().name in _FOLDER_NAMES else self.root
        for candidate in FILE_FORMATS if file_format is None else (file_format,):
            folder = self._find(candidate)
            if folder is not None:
                break
        else:
            folders = FACTS["folders"]
            wanted = [names[0] for names in folders.values()] if file_format is None else folders[file_format]
            raise InputError(
                f"{self.root}: no folder {' or '.join(wanted)} with files named like 1_20131027.mat; expected the "
                "folder that SEED was unpacked into; check the path"
            )
        self.file_format = candidate
        self.folder = folder
        self._sessions = find_sessions(folder)
        self._parameters = read_parameters(self._home / SYNTHETIC_MARKER)

    def _find(self, file_format: FileFormat) -> Path | None:
        """Return the folder with the files of a format: the root itself, or a subfolder."""
        if has_sessions(self.root):
            return self.root if format_of(self.root) == file_format else None
        folders = (self.root / name for name in FACTS["folders"][file_format])
        return next(filter(has_sessions, folders), None)

    # --- files

    @property
    def subjects(self) -> tuple[int | str, ...]:
        """Ids of the subjects, sorted: the numbers before the underscore in the file names, or else the letters."""
        return tuple(sorted(self._sessions))

    @property
    def synthetic(self) -> bool:
        """Whether the files are synthetic data written by this package."""
        return (self._home / SYNTHETIC_MARKER).is_file()

    @functools.cached_property
    def label_file(self) -> Path | None:
        """Path of `label.mat`, in the folder of the files or in the root, or `None`."""
        places = (folder / FACTS["label_file"] for folder in (self.folder, self._home))
        return next(filter(Path.is_file, places), None)

    @functools.cached_property
    def stimulation_file(self) -> Path | None:
        """Path of the table of stimuli, or `None`."""
        return self._beside(_STIMULATION_FILE)

    @functools.cached_property
    def channel_file(self) -> Path | None:
        """Path of the list of channels, or `None`."""
        return self._beside(_CHANNEL_FILE)

    def _beside(self, pattern: re.Pattern[str]) -> Path | None:
        files = [path for folder in (self._home, self.folder) for path in sorted(folder.iterdir())]
        return next((path for path in files if pattern.fullmatch(path.name)), None)

    def source_files(self, subject: int | str) -> tuple[Path, ...]:
        """Return the subject's files in session order, and the files of the labels and channel names."""
        (subject,) = self.select([subject])
        shared = (self.label_file, self.stimulation_file, self.channel_file)
        return (*(session.path for session in self._sessions[subject]), *filter(None, shared))

    def for_sources(self, sources: Sequence[str]) -> SEED:
        """Return the reader of the signals or of the features; see `Reader.for_sources`.

        Raises:
            InputError: the folder is missing, or both are requested.
        """
        formats = {_FORMAT_OF_SOURCE[source] for source in sources if source in _FORMAT_OF_SOURCE}
        if len(formats) > 1:
            raise InputError(
                f"{self.root}: signals and released features cannot be read together; expected one of them; choose "
                "features of one kind"
            )
        if formats <= {self.file_format}:
            return self
        return type(self)(self._home, file_format=formats.pop())

    def missing_files(self) -> tuple[Problem, ...]:
        """Return a missing `label.mat`, and files of the folder with unrecognised names."""
        problems = []
        if self.label_file is None:
            message = f"missing file; labels are taken from {self._label_source}; copy it to the folder of the files"
            problems.append(Problem(self.folder / FACTS["label_file"], message, is_blocking=False))
        for path in sorted(self.folder.glob("*.mat")):
            if parse_name(path) is None and path != self.label_file:
                message = "not read; expected a name like 1_20131027.mat (subject and date of the session)"
                problems.append(Problem(path, message, is_blocking=False))
        return tuple(problems)

    @override
    def notes(self, subjects: Sequence[int | str] | None = None) -> list[str]:
        self.select(subjects)
        notes = []
        if self.file_format == "preprocessed":
            notes.append("the last sample of each signal, at the end of the clip, is left out")
        if self.label_file is None:
            notes.append(f"{FACTS['label_file']} is missing: labels are taken from {self._label_source}")
        return notes

    def describe(self) -> dict[str, Any]:
        """See `Reader.describe`; adds `notes`."""
        return super().describe() | {"notes": self.notes()}

    # --- trials

    def trials(self, subjects: Sequence[int | str] | None = None) -> Iterator[Trial]:
        """Yield the trials of some subjects (default: all), session by session; see `Reader.trials`."""
        chosen = self.select(subjects)
        raise_problems(self._shared_problems)
        for subject in chosen:
            raise_problems(self._date_problems(subject))
            for session in self._sessions[subject]:
                contents = self._contents(session)
                raise_problems(_problems_in(session, subject, contents))
                # Decompressing a signal takes about as long as computing its features.
                yield from read_ahead(
                    functools.partial(self._usable_trial, subject, session, contents), contents.trials
                )

    def _usable_trial(self, subject: int | str, session: Session, contents: Contents, number: int) -> Trial:
        trial = self._trial(subject, session, contents, number)
        if trial.recording is not None:
            lines = group_by_trial({number: unusable_channels(trial.recording, CHANNEL_NAMES)})
            raise_problems([Problem(session.path, line, subject) for line in lines])
        return trial

    def inspect(self, subject: int | str) -> SubjectReport:
        """Check all data of one subject; see `Reader.inspect`."""
        (subject,) = self.select([subject])
        sessions = self._sessions[subject]
        problems = [*self._shared_problems, *self._date_problems(subject)]
        trials, initials = [], {}
        for session in sessions:
            try:
                contents = self._contents(session)
            except InputError as error:
                problems.append(as_problem(error, subject, session.path))
                continue
            problems += _problems_in(session, subject, contents)
            initials[session] = contents.initials
            faults: dict[int, Sequence[str]] = {}
            for number in contents.trials:
                try:
                    faults[number], description = self._inspect_trial(subject, session, contents, number)
                    trials += description
                except InputError as error:
                    problems.append(as_problem(error, subject, session.path))
            problems += [Problem(session.path, line, subject) for line in group_by_trial(faults)]
        problems += _problems_of_initials(subject, initials)
        n_expected = self._parameters.get("n_sessions", FACTS["n_sessions"])
        if len(sessions) != n_expected:
            dates = ", ".join(str(session.date) for session in sessions)
            message = f"subject {subject}: {len(sessions)} sessions ({dates}); expected {n_expected}"
            problems.append(Problem(self.folder, message, subject, False))
        problems += _unknown_dates(subject, sessions)
        report: dict[str, Any] = {
            "subject": subject,
            "file": str(self.folder),
            "n_channels": len(CHANNEL_NAMES),
            "sessions": [
                {"session": session.number, "date": str(session.date), "file": session.path.name}
                for session in sessions
            ],
            "trials": trials,
        }
        if self.file_format == "preprocessed":
            report["sampling_rate_hz"] = float(FACTS["sampling_rate_hz"])
        return SubjectReport(report, tuple(problems))

    def _inspect_trial(
        self, subject: int | str, session: Session, contents: Contents, number: int
    ) -> tuple[tuple[str, ...], list[dict[str, Any]]]:
        """Return problems of a trial's values, and its description, or `None` if its features are unusable."""
        trial = self._trial(subject, session, contents, number)
        if trial.recording is not None:
            return unusable_channels(trial.recording, CHANNEL_NAMES), [describe_trial(trial)]
        faults = unusable_features(session.path, number)
        return faults, [] if faults else [describe_trial(trial)]

    def _contents(self, session: Session) -> Contents:
        seconds = self._parameters.get("clip_seconds", FACTS["clip_seconds"])
        if self.file_format == "preprocessed":
            return signal_contents(session.path, seconds)
        return feature_contents(session.path, seconds, self._window_seconds)

    def _trial(self, subject: int | str, session: Session, contents: Contents, number: int) -> Trial:
        is_signal = self.file_format == "preprocessed"
        return Trial(
            dataset=self.name,
            subject=subject,
            session=session.number,
            trial=number,
            presentation=number,
            stimulus=f"clip_{number:02d}",
            recording=read_recording(session.path, contents.initials, number) if is_signal else None,
            eeg_channel_names=CHANNEL_NAMES if is_signal else (),
            ratings=self._ratings(number),
            split="train" if number <= FACTS["n_training_clips"] else "test",
            released_features=None if is_signal else self._released_features(session.path, number),
        )

    def _released_features(self, path: Path, number: int) -> ReleasedFeatures:
        return ReleasedFeatures(
            source=path,
            names=FEATURE_NAMES,
            channel_names=CHANNEL_NAMES,
            bands={band: (float(low), float(high)) for band, (low, high) in FACTS["bands"].items()},
            window_seconds=self._window_seconds,
            smoothed=frozenset(FEATURE_NAMES),
            read=functools.partial(read_feature, path, number),
        )

    @property
    def _window_seconds(self) -> float:
        # A root with an unknown name is assumed to have the content of the usual one.
        return float(FACTS["window_seconds"].get(self.folder.resolve().name, 1))

    # --- labels and other shared information

    def _ratings(self, number: int) -> dict[str, float]:
        """Return the class of a trial; empty if labels are unusable, so that signals are still inspected."""
        if any(problem.is_blocking for problem in self._shared_problems):
            return {}
        return {TARGET: float(FACTS["label_codes"].index(self._labels[number - 1]))}

    @property
    def _label_source(self) -> str:
        return "the known facts of SEED" if self.stimulation_file is None else self.stimulation_file.name

    @functools.cached_property
    def _labels(self) -> Sequence[int]:
        """Return the label of each trial.

        Raises:
            InputError: the file of the labels is unusable.
        """
        if self.label_file is not None:
            return read_labels(self.label_file)
        return FACTS["labels"] if self.stimulation_file is None else read_stimulation(self.stimulation_file)

    @functools.cached_property
    def _shared_problems(self) -> tuple[Problem, ...]:
        """Problems of the labels and the list of channels."""
        # The file of the labels is required; the other table is only compared with it.
        label_source = self.label_file or self.stimulation_file
        return problems_of_checks(
            (label_source, True, self._compare_with_facts),
            (self.stimulation_file, label_source == self.stimulation_file, self._compare_with_stimulation),
            (self.channel_file, False, self._compare_channels),
        )

    def _compare_with_facts(self, label_source: Path) -> list[Problem]:
        found = differences(self._labels, FACTS["labels"])
        message = f"labels differ from the known labels of SEED: {found}; check the version of the dataset"
        return [Problem(label_source, message, is_blocking=False)] if found else []

    def _compare_with_stimulation(self, file: Path) -> list[Problem]:
        if self.label_file is None:
            return []
        table = read_stimulation(file)
        try:
            found = differences(self._labels, table)
        except InputError:
            # Reported as a problem of the labels themselves.
            return []
        message = (
            f"labels differ from {file.name}: {found}; the files do not belong together; copy both from one source"
        )
        return [Problem(self.label_file, message)] if found else []

    def _compare_channels(self, file: Path) -> list[Problem]:
        found = channel_differences(file)
        message = (
            f"{found}; expected the {len(CHANNEL_NAMES)} channels of SEED in order; signals in another order are "
            "unsupported"
        )
        return [Problem(file, message)] if found else []

    def _date_problems(self, subject: int | str) -> list[Problem]:
        """Return pairs of a subject's files with the same date: the order of their sessions is unknown."""
        sessions = self._sessions[subject]
        return [
            Problem(later.path, f"same subject and date as {earlier.path.name}; keep one of them", subject)
            for earlier, later in itertools.pairwise(sessions)
            if earlier.date == later.date
        ]


def _problems_in(session: Session, subject: int | str, contents: Contents) -> list[Problem]:
    return [
        *(Problem(session.path, fault, subject) for fault in contents.faults),
        *(Problem(session.path, flaw, subject, False) for flaw in contents.flaws),
    ]


def _unknown_dates(subject: int | str, sessions: Sequence[Session]) -> list[Problem]:
    """Return sessions on dates that are not known of a numbered subject."""
    known = [str(date) for date in FACTS["session_dates"].get(str(subject), ())]
    message = f"SEED has sessions of subject {subject} on {', '.join(known)}; check that the file is of this subject"
    return [
        Problem(session.path, message, subject, False)
        for session in sessions
        if known and f"{session.date:%Y%m%d}" not in known
    ]


def _problems_of_initials(subject: int | str, initials: Mapping[Session, str]) -> list[Problem]:
    """Return sessions whose variable names start with other initials than most of the subject's sessions."""
    found = [one for one in initials.values() if one]
    if len(set(found)) < 2:
        return []
    commonest = max(dict.fromkeys(found), key=found.count)
    like = next(session.path.name for session, one in initials.items() if one == commonest)
    message = "variables start with {}, those of " + f"{like} with {commonest}; check that the file is of this subject"
    return [
        Problem(session.path, message.format(one), subject, False)
        for session, one in initials.items()
        if one not in ("", commonest)
    ]
