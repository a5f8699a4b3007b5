"""DEAP reader: 32 subjects, 40 one-minute music videos, 32 EEG and 8 peripheral channels."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

import numpy as np
import pandas as pd
from typing_extensions import override

from keras_emotion.datasets import restricted_pickle
from keras_emotion.datasets.deap_facts import CHANNEL_NAMES, CHANNEL_UNITS, EEG_CHANNEL_NAMES, FACTS
from keras_emotion.datasets.deap_original import OriginalFile
from keras_emotion.datasets.matlab import read_variables
from keras_emotion.datasets.reader import (
    Gender,
    Problem,
    Reader,
    SubjectReport,
    as_problem,
    describe_trial,
    group_by_trial,
    raise_problems,
    unusable_channels,
)
from keras_emotion.faces import video_facts
from keras_emotion.schema import InputError, Recording, Trial
from keras_emotion.tables import read_text_table, reading_csv

FileFormat = Literal["python", "matlab", "original"]
FILE_FORMATS: tuple[FileFormat, ...] = get_args(FileFormat)
_PLACES: dict[str, tuple[str, str]] = {
    "python": ("data_preprocessed_python", ".dat"),
    "matlab": ("data_preprocessed_matlab", ".mat"),
    "original": ("data_original", ".bdf"),
}

VIDEO_TOLERANCE_SECONDS = 5.0
"""Tolerance in seconds between the durations of a face video and its trial."""

RATING_TOLERANCE = 0.01
"""Tolerance of ratings: the csv has two decimals, `labels` may have more."""

_GENDERS: dict[str, Gender] = {"f": "female", "w": "female", "m": "male"}
_RATING_COLUMNS = ("Participant_id", "Trial", "Experiment_id", "Valence", "Arousal", "Dominance", "Liking")


@dataclasses.dataclass(frozen=True)
class _Row:
    """Trial of a subject without its signal."""

    trial: int
    presentation: int
    ratings: Mapping[str, float]
    video: Path | None


class DEAP(Reader):
    """Reader of DEAP as unpacked: the preprocessed files for Python or MATLAB, or the original recordings.

    Every format gives the same trials in the same order with the same channel names and units: one per `Experiment_id`,
    in its order; `Trial.trial` is that id and `Trial.stimulus` the same as a string. The presentation order, the
    ratings and the face video come from `metadata_csv/participant_ratings.csv`; the number of a face video is the
    trial's position in the order of *presentation*. Without that file, ratings come from the `labels` of the
    preprocessed files, `presentation` is -1 and no video is assigned; the original recordings cannot be used without
    it.

    Preprocessed files have 128 Hz, original recordings 512 Hz: 3 s of baseline, then 60 s. `facts/deap.json` has the
    counts and codes, and lists what is not verified.

    **Deviations**: files with fewer than 40 trials are read too (the first `n` experiment ids), as long as the csv has
    as many rows for the subject.

    Args:
        root: folder with `data_preprocessed_python/sNN.dat`, `data_preprocessed_matlab/sNN.mat` or
            `data_original/sNN.bdf`, and with `metadata_csv/` and `face_video/`.
        file_format: the format to read; by default the first of the three that exists, in this order.
        preprocess: original recordings only: downsample to 128 Hz, band-pass filter and re-reference as in the
            preprocessed files (`keras_emotion.datasets.deap_original.preprocess`).

    Raises:
        InputError: `root` is not a DEAP folder, or does not contain `file_format`.
        ValueError: `file_format` is invalid, or `preprocess` is given for preprocessed files.

    Example:
        >>> from keras_emotion.datasets import DEAP
        >>> for trial in DEAP("DEAP").trials(subjects=[1]):  # doctest: +SKIP
        ...     print(trial.trial, trial.ratings["valence"], trial.eeg.signal.shape)

    References:
        Koelstra et al., "DEAP: A Database for Emotion Analysis Using Physiological Signals", IEEE Transactions on
        Affective Computing 3(1), 2012.
    """

    name = "deap"
    usual_protocols: ClassVar[tuple[str, ...]] = ("trial_disjoint", "subject_disjoint")
    file_format: FileFormat

    def __init__(self, root: str | Path, file_format: FileFormat | None = None, preprocess: bool = False):
        super().__init__(root)
        if file_format is not None and file_format not in FILE_FORMATS:
            raise ValueError(f"`file_format` is {file_format!r}; expected one of {FILE_FORMATS}")
        for candidate in FILE_FORMATS if file_format is None else (file_format,):
            folder, suffix = _PLACES[candidate]
            pattern = re.compile(rf"s(\d\d){re.escape(suffix)}")
            found = (self.root / folder).iterdir() if (self.root / folder).is_dir() else ()
            self._files = {int(match[1]): path for path in found if (match := pattern.fullmatch(path.name))}
            if self._files:
                break
        else:
            tried = [f"{folder}/sNN{suffix}" for key, (folder, suffix) in _PLACES.items() if file_format in (None, key)]
            raise InputError(
                f"{self.root}: none of {', '.join(tried)} found; expected the folder that DEAP was unpacked into; "
                "check the path"
            )
        self.file_format = candidate
        if preprocess and candidate != "original":
            raise ValueError(f"`preprocess` is True but the files are of format {candidate!r}; expected 'original'")
        self.preprocess = preprocess
        self.ratings_file = self.root / "metadata_csv" / "participant_ratings.csv"
        self.video_list_file = self.root / "metadata_csv" / "video_list.csv"
        self.questionnaire_file = self.root / "metadata_csv" / "participant_questionnaire.csv"
        self.video_folder = self.root / "face_video"

    @property
    @override
    def options(self) -> dict[str, Any]:
        return {"preprocess": True} if self.preprocess else {}

    @property
    def subjects(self) -> tuple[int, ...]:
        """Ids of the subjects with a file in the selected format, sorted."""
        return tuple(sorted(self._files))

    def source_files(self, subject: int) -> tuple[Path, ...]:
        """Return the subject's data file, and the ratings csv if it exists."""
        (subject,) = self.select([subject])
        return (self._files[subject], *([self.ratings_file] if self.ratings_file.is_file() else []))

    @override
    def video_files(self, subject: int) -> tuple[Path, ...]:
        (subject,) = self.select([subject])
        return tuple(self._videos(subject).values())

    def trials(self, subjects: Sequence[int] | None = None) -> Iterator[Trial]:
        """Yield the trials of some subjects (default: all), by experiment id; see `Reader.trials`."""
        for subject in self.select(subjects):
            file = self._open(subject)
            rows, problems = self._rows(subject, file)
            raise_problems(problems)
            for row in rows:
                trial = self._trial(subject, file, row)
                faults = unusable_channels(trial.required_recording, EEG_CHANNEL_NAMES)
                raise_problems(Problem(file.path, line, subject) for line in group_by_trial({row.trial: faults}))
                yield trial

    def inspect(self, subject: int) -> SubjectReport:
        """Check all data of one subject; see `Reader.inspect`."""
        (subject,) = self.select([subject])
        path = self._files[subject]
        description: dict[str, Any] = {"subject": subject, "file": str(path), "trials": []}
        try:
            file = self._open(subject)
        except InputError as error:
            return SubjectReport(description, (as_problem(error, subject, path),))
        try:
            rows, problems = self._rows(subject, file)
        except InputError as error:
            rows, problems = [], [as_problem(error, subject, path, self.ratings_file)]
        # Without usable ratings, the signals are still checked, in file order.
        signal_rows = rows or [_Row(index, index, {}, None) for index in range(1, file.n_trials + 1)]
        faults, trials = {}, []
        for row in signal_rows:
            trial = self._trial(subject, file, row)
            faults[row.trial] = unusable_channels(trial.required_recording, EEG_CHANNEL_NAMES)
            trials.append(describe_trial(trial) | {"title": self._titles.get(row.trial)})
        problems += [Problem(path, line, subject) for line in group_by_trial(faults)]
        problems += self._video_problems(subject, rows)
        description |= {
            "sampling_rate_hz": file.sampling_rate_hz,
            "n_channels": len(CHANNEL_NAMES),
            "trials": trials if rows else [],
        }
        return SubjectReport(description, tuple(problems))

    def stimulus_starts(self) -> dict[str, float]:
        """See `Reader.stimulus_starts`; from `Highlight_start` of `video_list.csv`, if available."""
        path = self.video_list_file
        if not path.is_file():
            return {}
        with reading_csv(path):
            table = read_text_table(path, encoding="utf-8-sig", encoding_errors="replace", dtype=str)
        columns = ["Experiment_id", "Highlight_start"]
        if not set(columns) <= set(table):
            return {}
        numbers = table[columns].apply(pd.to_numeric, errors="coerce").dropna()
        return {str(int(stimulus)): float(start) for stimulus, start in numbers.itertuples(index=False)}

    def genders(self) -> dict[int, Gender]:
        """See `Reader.genders`; from `participant_questionnaire.csv`, if available.

        The format of this file is not verified: the column is the one whose name contains the word gender or sex, and
        answers are identified by their first letter. Other answers are left out.
        """
        path = self.questionnaire_file
        if not path.is_file():
            return {}
        with reading_csv(path):
            table = read_text_table(path, encoding="utf-8-sig", encoding_errors="replace", dtype=str)
        people = [name for name in table if "participant" in name.casefold()][:1]
        answers = [name for name in table if {"gender", "sex"} & set(re.findall("[a-z]+", name.casefold()))][:1]
        found: dict[int, Gender] = {}
        for person, answer in table[people + answers].dropna().itertuples(index=False) if people and answers else ():
            number, letter = re.search(r"\d+", person), answer.strip().casefold()[:1]
            if number and letter in _GENDERS:
                found[int(number[0])] = _GENDERS[letter]
        return found

    def missing_files(self) -> tuple[Problem, ...]:
        """Return subjects with ratings but without a data file."""
        try:
            table = self._rating_table
        except InputError:
            return ()
        rated = [] if table is None else sorted(set(table["Participant_id"]) - set(self._files))
        folder, suffix = _PLACES[self.file_format]
        return tuple(
            Problem(
                self.root / folder / f"s{subject:02d}{suffix}",
                "missing file of a subject with ratings; copy it",
                subject,
                False,
            )
            for subject in rated
        )

    # --- one subject

    def _open(self, subject: int) -> PreprocessedFile | OriginalFile:
        path = self._files[subject]
        if self.file_format == "original":
            return OriginalFile(path, subject, self.preprocess)
        if self.file_format == "python":
            return PreprocessedFile(path, restricted_pickle.read(path))
        return PreprocessedFile(path, read_variables(path, ("data", "labels")))

    def _trial(self, subject: int, file: PreprocessedFile | OriginalFile, row: _Row) -> Trial:
        is_original = self.file_format == "original"
        return Trial(
            dataset=self.name,
            subject=subject,
            trial=row.trial,
            stimulus=str(row.trial),
            recording=Recording(
                signal=file.signal(row.presentation if is_original else row.trial),
                channel_names=CHANNEL_NAMES,
                units=CHANNEL_UNITS,
                sampling_rate_hz=file.sampling_rate_hz,
                baseline_seconds=float(FACTS["baseline_seconds"]),
                source=file.path,
            ),
            eeg_channel_names=EEG_CHANNEL_NAMES,
            ratings=row.ratings,
            presentation=row.presentation,
            video=row.video,
        )

    def _rows(self, subject: int, file: PreprocessedFile | OriginalFile) -> tuple[list[_Row], list[Problem]]:
        """Return a subject's trials by experiment id, from the csv or else from `labels`, and inconsistencies."""
        table = self._rating_table
        labels = getattr(file, "labels", None)
        if table is None:
            missing = Problem(
                self.ratings_file,
                "missing file; presentation order and face videos are unknown; copy metadata_csv",
                is_blocking=labels is None,
            )
            if labels is None:
                return [], [missing]
            ratings = [dict(zip(FACTS["ratings"], map(float, row), strict=True)) for row in labels]
            return [_Row(index, -1, row, None) for index, row in enumerate(ratings, 1)], [missing]
        table = table[table["Participant_id"] == subject].sort_values("Experiment_id")
        expected = Counter(range(1, file.n_trials + 1))
        wrong = []
        for column in ("Experiment_id", "Trial"):
            found = Counter(table[column].tolist())
            for what, ids in (("missing", expected - found), ("unexpected", found - expected)):
                wrong += [f"{column} {', '.join(map(str, sorted(ids.elements())))} {what}"] if ids else []
        if wrong:
            message = (
                f"Participant_id {subject}: {'; '.join(wrong)}; expected 1 to {file.n_trials}, as in {file.path.name}"
            )
            return [], [Problem(self.ratings_file, message, subject)]
        problems = []
        columns = [name.capitalize() for name in FACTS["ratings"]]
        ratings = table[columns].to_numpy(float)
        if labels is not None and not np.allclose(ratings, labels, rtol=0, atol=RATING_TOLERANCE):
            problems.append(Problem(file.path, self._label_mismatch(subject, ratings, labels), subject))
        videos = self._videos(subject)
        rows = [
            _Row(int(trial), int(shown), dict(zip(FACTS["ratings"], map(float, row), strict=True)), videos.get(shown))
            for trial, shown, row in zip(table["Experiment_id"], table["Trial"], ratings, strict=True)
        ]
        return rows, problems

    def _label_mismatch(self, subject: int, ratings: np.ndarray, labels: np.ndarray) -> str:
        places = np.argwhere(np.abs(ratings - labels) > RATING_TOLERANCE)
        shown = [
            f"trial {row + 1} {FACTS['ratings'][column]} {labels[row, column]:g} instead of {ratings[row, column]:g}"
            for row, column in places[:3]
        ]
        more = f" and {len(places) - 3} more" if len(places) > 3 else ""
        return (
            f"subject {subject}: `labels` differ from {self.ratings_file.name}: {', '.join(shown)}{more}; "
            "data file and csv do not belong together; copy both from one source"
        )

    # --- metadata and videos

    @functools.cached_property
    def _rating_table(self) -> pd.DataFrame | None:
        path = self.ratings_file
        if not path.is_file():
            return None
        with reading_csv(path):
            table = read_text_table(path, encoding="utf-8-sig")
        missing = [column for column in _RATING_COLUMNS if column not in table.columns]
        if missing:
            raise InputError(
                f"{path}: missing column {', '.join(missing)}; found "
                f"{', '.join(map(str, table.columns))}; copy it again"
            )
        low, high = FACTS["rating_range"]
        table = table[list(_RATING_COLUMNS)].copy()
        for column in _RATING_COLUMNS:
            numbers = pd.to_numeric(table[column], errors="coerce")
            is_id = column in _RATING_COLUMNS[:3]
            good = numbers.between(1, 2**31) & (numbers % 1 == 0) if is_id else numbers.between(low, high)
            if not good.all():
                line = int(np.flatnonzero(~good)[0])
                wanted = "an integer of 1 or more" if is_id else f"a number from {low} to {high}"
                found = str(table[column].iloc[line])
                raise InputError(f"{path}: line {line + 2}, {column} is {found!r}; expected {wanted}")
            table[column] = numbers.astype(int if is_id else float)
        return table

    @functools.cached_property
    def _titles(self) -> dict[int, str]:
        """Artist and title by experiment id, as far as `video_list.csv` gives them."""
        columns = ["Experiment_id", "Artist", "Title"]
        try:
            with reading_csv(self.video_list_file):
                table = read_text_table(
                    self.video_list_file, encoding="utf-8-sig", encoding_errors="replace", usecols=columns, dtype=str
                )
        except InputError:
            return {}
        ids = pd.to_numeric(table["Experiment_id"], errors="coerce").replace([np.inf, -np.inf], np.nan)
        table = table[ids.notna()].fillna("")
        return {
            int(number): f"{artist}: {title}"
            for number, artist, title in zip(ids.dropna(), table["Artist"], table["Title"], strict=True)
        }

    def _videos(self, subject: int) -> dict[int, Path]:
        """Return a subject's face videos by the trial's position in the order of presentation."""
        folder = self.video_folder / f"s{subject:02d}"
        pattern = re.compile(rf"s{subject:02d}_trial(\d\d)\.avi")
        found = sorted(folder.iterdir()) if folder.is_dir() else ()
        return {int(match[1]): path for path in found if (match := pattern.fullmatch(path.name))}

    def _video_problems(self, subject: int, rows: Sequence[_Row]) -> list[Problem]:
        facts = FACTS["face_video"]
        if not self.video_folder.is_dir() or subject > facts["last_subject"]:
            return []
        videos = self._videos(subject)
        folder = self.video_folder / f"s{subject:02d}"
        problems = []
        for path in videos.values():
            try:
                seconds = video_facts(path).duration_seconds
            except InputError as error:
                problems.append(Problem(path, str(error).removeprefix(f"{path}: "), subject, False))
                continue
            if seconds and abs(seconds - FACTS["trial_seconds"]) > VIDEO_TOLERANCE_SECONDS:
                message = (
                    f"duration of {seconds:.1f} s by its header; expected {FACTS['trial_seconds']} s; check for a "
                    "wrong frame rate or a truncated file"
                )
                problems.append(Problem(path, message, subject, False))
        expected = (
            facts["n_videos"].get(str(subject), FACTS["n_trials"]) if len(rows) == FACTS["n_trials"] else len(rows)
        )
        if len(videos) < expected:
            problems.append(Problem(folder, f"{len(videos)} face videos; expected {expected}", subject, False))
        shown = {row.presentation for row in rows}
        if surplus := sorted(set(videos) - shown) if shown != {-1} else []:
            problems.append(Problem(folder, f"face videos without a trial: {surplus}", subject, False))
        return problems


class PreprocessedFile:
    """Preprocessed trials of one subject: `data` `(trials, 40, 8064)` and `labels` `(trials, 4)`.

    Args:
        path: the source file, for messages.
        variables: its variables.

    Raises:
        InputError: a variable is missing, or is not a numeric array of that shape.
    """

    def __init__(self, path: Path, variables: Any):
        self.path = path
        n_channels, n_samples, n_trials = FACTS["n_channels"], FACTS["preprocessed"]["n_samples"], FACTS["n_trials"]
        self.data = self._array(variables, "data", (n_channels, n_samples))
        self.labels = self._array(variables, "labels", (len(FACTS["ratings"]),)).astype(float)
        self.n_trials = len(self.data)
        if not 1 <= self.n_trials <= n_trials or len(self.labels) != self.n_trials:
            raise InputError(
                f"{path}: `data` has {self.n_trials} trials and `labels` {len(self.labels)}; expected the same number, "
                f"1 to {n_trials}; copy the file again"
            )
        low, high = FACTS["rating_range"]
        good = (self.labels >= low) & (self.labels <= high)
        if not good.all():
            row, column = np.argwhere(~good)[0]
            raise InputError(
                f"{path}: `labels` of trial {row + 1}, {FACTS['ratings'][column]}: {self.labels[row, column]:g}; "
                f"expected a number from {low} to {high}"
            )
        self.sampling_rate_hz = float(FACTS["preprocessed"]["sampling_rate_hz"])

    def _array(self, variables: Any, name: str, tail: tuple[int, ...]) -> np.ndarray:
        if not isinstance(variables, dict) or name not in variables:
            found = ", ".join(variables) if isinstance(variables, dict) else type(variables).__name__
            raise InputError(
                f"{self.path}: missing variable `{name}`; found {found}; expected `data` and `labels`; copy it again"
            )
        array = variables[name]
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu" or array.shape[1:] != tail:
            found = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
            wanted = ", ".join(map(str, ("trials", *tail)))
            raise InputError(f"{self.path}: `{name}` is {found}; expected numbers of shape ({wanted}); copy it again")
        return array

    def signal(self, trial: int) -> np.ndarray:
        """Return the `(channels, samples)` float64 signal of an experiment id, as a copy that keeps no file open."""
        return np.array(self.data[trial - 1], dtype=np.float64, order="C")
