"""Jobs of a run: one for each protocol, target, subject (session, all subjects), repetition and fold."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from keras_emotion.evaluation import POOL, PROTOCOLS, LabelRule, NotEvaluable, QuadrantRule
from keras_emotion.evaluation.permutation import Between, labeling_ratings, permuted_ratings
from keras_emotion.experiment.record_schema import readable_name, record_name
from keras_emotion.file_names import file_name, refuse_unusable_words, word_file_name
from keras_emotion.pipelines import JoinedArrays, StoredFeatures, StudyChannels, pair_windows
from keras_emotion.pipelines.features import STEP_RATINGS, UNUSABLE
from keras_emotion.pipelines.windowing import Windowing
from keras_emotion.schema import TRIAL_KEY, WINDOW_COLUMNS, InputError
from keras_emotion.systems.base import path_contents
from keras_emotion.systems.experiment import Experiment

Rows = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Rows of the training, the validation and the test set of a fold."""


@dataclasses.dataclass(frozen=True)
class Job:
    """One training: the unit of work that is done, recorded and resumed as a whole.

    Args:
        protocol: name of the protocol.
        target: rating to predict.
        subject: id of the subject, or `POOL`.
        repetition: from 0.
        fold: from 0.
        candidate: name of a candidate of a search.
        session: id of the session, under protocols within a session and for a subject with several; else empty.
    """

    protocol: str
    target: str
    subject: int | str
    repetition: int
    fold: int
    candidate: str = ""
    session: int | str = ""

    @property
    def name(self) -> str:
        """Name of the job's files, unique in a run (see `record_name`)."""
        return record_name(dataclasses.asdict(self))

    @property
    def title(self) -> str:
        """Description of the job for messages; not unique."""
        return readable_name(dataclasses.asdict(self))

    def part_name(self, *parts: str) -> str:
        """Return the name of the files of a part of the job: of a member of its system, or a stage.

        Args:
            parts: names of the parts; if empty, the name of the job is returned.
        """
        named = [part for part in parts if part]
        return file_name([self.title, *named], [dataclasses.astuple(self), *parts]) if named else self.name

    def seed(self, seed: int, stage: str = "") -> int:
        """Return the seed of weights and shuffling: depends only on the run's seed and the fold.

        The candidates of a search start from the same weights and use the same batches.

        Args:
            seed: seed of the run.
            stage: name of a stage before the last one.
        """
        # Session and stage enter only where there are several, so that the seeds of other jobs stay the same.
        more = [one for one in (self.session, stage) if one != ""]
        text = json.dumps([seed, self.protocol, self.target, self.subject, self.repetition, self.fold, *more])
        return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "big") >> 1


@dataclasses.dataclass(frozen=True)
class WindowSet:
    """Windows that a protocol splits: of one subject, or of all.

    Args:
        arrays: `(windows, ...)` by modality.
        table: window table.
        ratings: `(windows,)` float rating of the target, `(windows, 2)` for a target of two ratings; windows without a
            rating are excluded.
        label_rule: mapping from rating to class.
        step_ratings: `(windows, steps)` rating of each step, if available.
        incomplete: names of arrays that are NaN where a window lacks a channel of the study; a fold imputes them.
    """

    arrays: Mapping[str, Any]
    table: pd.DataFrame
    ratings: np.ndarray
    label_rule: LabelRule | QuadrantRule
    step_ratings: np.ndarray | None = None
    incomplete: frozenset[str] = frozenset()

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes, in the order of their index."""
        return self.label_rule.class_names

    def labels(self, training_rows: np.ndarray | None = None) -> np.ndarray:
        """Return `(windows,)` classes; a fitted rule (the median) uses the training rows only.

        Without `training_rows` the rule is fitted on all windows: only for stratifying folds, never for training.
        """
        fitted_on = self.ratings if training_rows is None else self.ratings[training_rows]
        return self.label_rule.apply(self.ratings, fitted_on)

    def training_labels(self, training_rows: np.ndarray) -> np.ndarray:
        """Return the training targets: `(windows, steps)` classes if steps are rated, otherwise as `labels`."""
        if self.step_ratings is None:
            return self.labels(training_rows)
        fitted_on = self.step_ratings[training_rows].ravel()
        return self.label_rule.apply(self.step_ratings.ravel(), fitted_on).reshape(self.step_ratings.shape)


@dataclasses.dataclass(frozen=True)
class Replacement:
    """Replacement of ratings and features of trials in the stored features, to prove independence from them.

    Ratings are replaced by those of a trial of the same subject, drawn at random with replacement; a window of features
    is replaced by the value-wise maximum of two random windows of the same subject.

    Args:
        ratings: keys of the trials (`TRIAL_KEY`) whose ratings are replaced.
        features: keys of the trials whose features are replaced.
        seed: non-negative.
        differs: whether ratings are drawn from those that differ from the original ones, if there are any.
    """

    ratings: frozenset[tuple] = frozenset()
    features: frozenset[tuple] = frozenset()
    seed: int = 0
    differs: bool = False

    def apply(self, stored: StoredFeatures) -> StoredFeatures:
        """Return the features of a subject with replacements, which are applied on access."""
        trials = pd.MultiIndex.from_frame(stored.table[list(TRIAL_KEY)])
        names = trials.to_list()
        rng = np.random.default_rng([self.seed, len(names)])
        table, rated = stored.table.copy(), rating_columns(stored.table)
        ratings = stored.table[rated].to_numpy()
        rows = {}
        for row, name in enumerate(names):
            rows.setdefault(name, row)
        drawn = {}
        for name, row in rows.items():
            others = [other for other in rows.values() if not np.array_equal(ratings[other], ratings[row])]
            drawn[name] = rng.choice(others if self.differs and others else list(rows.values()))
        donors = [drawn[name] if name in self.ratings else row for row, name in enumerate(names)]
        table[rated] = ratings[donors]
        pairs = rng.integers(len(names), size=(len(names), 2))
        kept = [row for row, name in enumerate(names) if name not in self.features]
        pairs[kept] = np.array(kept, dtype=int)[:, np.newaxis]
        arrays = {}
        for name, array in stored.arrays.items():
            own = np.array([donors, donors]).T if name.startswith(STEP_RATINGS) else pairs
            arrays[name] = _ReplacedWindows(array, own)
        return dataclasses.replace(stored, arrays=arrays, table=table)

    @property
    def key(self) -> str:
        """Unique key of the replacement."""
        return repr([sorted(map(repr, self.ratings)), sorted(map(repr, self.features)), self.seed, self.differs])


class _ReplacedWindows:
    """An array `(windows, ...)` whose windows are the value-wise maxima of two windows of a stored one."""

    def __init__(self, stored: Any, pairs: np.ndarray):
        self._stored, self._pairs = stored, pairs
        self.shape, self.dtype, self.nbytes = stored.shape, stored.dtype, stored.nbytes

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, rows: Any) -> np.ndarray:
        asked = np.arange(len(self))[rows]
        first, second = self._pairs[np.atleast_1d(asked)].T
        values = np.fmax(self._stored[first], self._stored[second])
        return values if np.ndim(asked) else values[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:], dtype=dtype)


def rating_columns(table: pd.DataFrame) -> list[str]:
    """Return the names of the ratings in a window table."""
    return [
        name for name in table.columns[len(WINDOW_COLUMNS) :] if name not in ("split", "recorded_together", UNUSABLE)
    ]


def not_a_rating(name: str, dataset: str, names: Iterable[str]) -> str:
    """Return the message that a dataset has other ratings."""
    return f"target {name!r} is not a rating of dataset {dataset}; it has {', '.join(names)}"


@dataclasses.dataclass(frozen=True)
class Plan:
    """Everything that a worker needs to do any job of a run; small enough to be sent to worker processes.

    Args:
        experiment: the experiment.
        feature_folders: folders of the features of each subject, by part.
        class_names: class names by target, for targets that are classes and not ratings.
        inference: metadata for saved models (bands, channels, rates).
        channels: channels of the study, by part that reads recordings.
        model_folder: folder for models of the last repetition, or `None`.
        stage_folder: folder for earlier stages of unfinished jobs, or `None`.
        log_folder: folder of the TensorBoard logs of each job, or `None`.
        permutation: number of the permutation of ratings in `window_set`; 0 for none.
        permuted_between: units whose ratings are exchanged (see `keras_emotion.evaluation.permuted_ratings`).
        enumerated: if all distinct labelings are enumerated: for each set of windows (its subject and session) the
            stride and the number of its labelings, `permutation` being a number of mixed radix; empty if labelings are
            drawn.
        replacement: replaced stored features, see `Replacement`.
        recordings: content hashes of the files of each subject that no other subject shares.
    """

    experiment: Experiment
    feature_folders: Mapping[int | str, Mapping[str, Path]]
    class_names: Mapping[str, tuple[str, ...]]
    inference: Mapping[str, Any]
    model_folder: Path | None = None
    stage_folder: Path | None = None
    log_folder: Path | None = None
    permutation: int = 0
    permuted_between: Between = "trials"
    enumerated: Mapping[tuple[int | str, int | str], tuple[int, int]] = dataclasses.field(default_factory=dict)
    channels: Mapping[str, StudyChannels] = dataclasses.field(default_factory=dict)
    replacement: Replacement | None = None
    recordings: Mapping[int | str, tuple[str, ...]] = dataclasses.field(default_factory=dict)

    def stored_folders(self) -> list[str]:
        """Return the absolute paths of the entries of the feature store that the run uses."""
        return sorted({str(path.absolute()) for own in self.feature_folders.values() for path in own.values()})

    def rule(self, target: str) -> LabelRule | QuadrantRule:
        """Return the label rule of a target."""
        return self.experiment.rule(target, self.class_names)

    def window_set(self, subject: int | str, target: str, session: int | str = "") -> WindowSet:
        """Return the windows of a subject (or of all subjects) with a rating of the target.

        Args:
            subject: id of the subject, or `POOL`.
            target: rating to predict.
            session: one session of the subject; default: all.
        """
        subjects = tuple(self.feature_folders) if subject == POOL else (subject,)
        stored = [self.joined(name) for name in subjects]
        table = pd.concat([one.table for one in stored], ignore_index=True)
        named = rating_columns(table)
        rule = self.rule(target)
        columns = rule.ratings if isinstance(rule, QuadrantRule) else (target,)
        if len(columns) > 1 and target in named:
            raise InputError(
                f"target {target!r}: is the name of a rating of dataset {self.experiment.dataset}, but stands for two "
                "ratings; expected names without a plus sign; rename the rating"
            )
        for column in columns:
            if column not in named:
                raise InputError(not_a_rating(column, self.experiment.dataset, named))
        chosen = table[list(columns)].notna().all(axis=1).to_numpy()
        if self.experiment.sessions:
            chosen = chosen & self._is_of_the_sessions(table)
        if session != "":
            chosen = chosen & (table["session"] == session).to_numpy()
        rated = np.flatnonzero(chosen)
        # An array `<name>@<target>` is only for that target.
        own = ("", target, word_file_name(target))
        names = {name: name.partition("@")[0] for name in stored[0].arrays if name.partition("@")[2] in own}
        _refuse_other_shapes(dict(zip(subjects, stored, strict=True)), names)
        arrays = {short: JoinedArrays([one.arrays[name] for one in stored], rated) for name, short in names.items()}
        table = table.iloc[rated].reset_index(drop=True)
        ratings = table[list(columns)].to_numpy(dtype=float)
        ratings = ratings if len(columns) > 1 else ratings[:, 0]
        step_ratings = arrays.pop(STEP_RATINGS, None)
        if step_ratings is not None:
            step_ratings = step_ratings[np.arange(len(step_ratings))]
        if self.permutation:
            ratings = self._permuted(table, ratings, target, (subject, session))
            # Step ratings would reveal what the permuted rating of the window hides.
            step_ratings = None
        incomplete = frozenset(names.get(name, name) for one in stored for name in one.incomplete) & arrays.keys()
        return WindowSet(arrays, table, ratings, rule, step_ratings, incomplete)

    def joined(self, subject: int | str) -> StoredFeatures:
        """Return the windows of a subject with the features of all parts, for any rating."""
        return _joined(self, subject)[0]

    def paired(self, subject: int | str) -> tuple[StoredFeatures, pd.DataFrame]:
        """Return the windows of a subject that all parts have, before `System.join`; and the dropped ones."""
        kinds, channels = self.experiment.system.parts(), {name: one.channels for name, one in self.channels.items()}
        stored = {name: StoredFeatures.open(folder) for name, folder in self.feature_folders[subject].items()}
        parts = {
            name: one.of_study(kinds[name], channels[name]) if name in channels else one for name, one in stored.items()
        }
        if self.replacement is not None:
            parts = {name: self.replacement.apply(one) for name, one in parts.items()}
        table, part = next(iter(parts.values())).table, self.experiment.part_of_trials
        asked = None if part is None else _rows_of_part(table, self.experiment.system.windowing, *part)
        return pair_windows(parts, asked)

    def _permuted(
        self, table: pd.DataFrame, ratings: np.ndarray, target: str, place: tuple[int | str, int | str]
    ) -> np.ndarray:
        between, permutation = self.permuted_between, self.permutation
        if place not in self.enumerated:
            return permuted_ratings(table, ratings, permutation, self.experiment.seed, between)
        stride, size = self.enumerated[place]
        labels = self.rule(target).apply(ratings, ratings)
        return labeling_ratings(table, ratings, labels, permutation // stride % size, between)

    def folds(self, unit: WindowSet, protocol: str, repetition: int) -> list[Rows]:
        """Return the `(training, validation, test)` rows of each fold.

        Raises:
            NotEvaluable: the protocol cannot be applied to this unit.
        """
        return list(self.each_fold(unit, protocol, repetition))

    def fold(self, unit: WindowSet, protocol: str, repetition: int, number: int) -> Rows:
        """Return one of `folds` without holding the others, whose size grows with the square of the subjects."""
        return next(itertools.islice(self.each_fold(unit, protocol, repetition), number, None))

    def each_fold(self, unit: WindowSet, protocol: str, repetition: int) -> Iterator[Rows]:
        """Yield `folds` one by one; a protocol that cannot be applied may raise after some of them."""
        experiment = self.experiment
        return PROTOCOLS[protocol].folds(
            unit.table, unit.labels(), experiment.seed, repetition, experiment.maximum_folds or None
        )

    def jobs(self) -> tuple[list[tuple[Job, int]], list[dict[str, Any]]]:
        """Return all jobs of the run with their numbers of training windows; and non-evaluable units with reasons."""
        jobs, not_evaluable = [], []
        for protocol, target, subject, session in self.units():
            unit = self.window_set(subject, target, session)
            try:
                for repetition in range(self.n_repetitions(protocol)):
                    sizes = [len(train) for train, _, _ in self.each_fold(unit, protocol, repetition)]
                    for fold, n_windows in enumerate(sizes):
                        for candidate in self.experiment.system.candidates():
                            job = Job(protocol, target, subject, repetition, fold, candidate, session)
                            jobs.append((job, n_windows))
            except NotEvaluable as reason:
                not_evaluable.append(
                    {"protocol": protocol, "target": target, "subject": subject, "reason": str(reason)}
                )
        return jobs, not_evaluable

    def dropped_windows(self) -> pd.DataFrame:
        """Count windows without a partner in another modality: `n_windows` for each `subject`, `trial` and `reason`.

        Raises:
            InputError: a subject has no windows left.
        """
        dropped = pd.concat([_joined(self, subject)[1] for subject in self.feature_folders], ignore_index=True)
        empty = [subject for subject in self.feature_folders if not len(_joined(self, subject)[0].table)]
        if empty:
            reasons = dropped.drop_duplicates(["subject", "reason"]).set_index("subject")["reason"]
            lines = [f"subject {subject}: {'; '.join(reasons.loc[[subject]].head(3))}" for subject in empty]
            lines = "\n  ".join(lines)
            hint = f"; {self.experiment.system.hint}" if self.experiment.system.hint else ""
            raise InputError(f"no window is left, because another modality is missing{hint}:\n  {lines}")
        return dropped

    def n_windows(self) -> dict[int | str, int]:
        """Return the number of windows of each subject, in the requested sessions."""
        tables = {subject: _joined(self, subject)[0].table for subject in self.feature_folders}
        if self.experiment.sessions:
            tables = {subject: table[self._is_of_the_sessions(table)] for subject, table in tables.items()}
        return {subject: len(table) for subject, table in tables.items()}

    def check_words(self) -> None:
        """Refuse ids of sessions, trials and stimuli that result tables cannot represent, before training.

        Raises:
            InputError: see `keras_emotion.file_names.refuse_unusable_words`.
        """
        for subject in self.feature_folders:
            table = _joined(self, subject)[0].table
            for column in ("session", "trial", "stimulus"):
                refuse_unusable_words(column, table[column].unique().tolist())

    def n_repetitions(self, protocol: str) -> int:
        """Return the number of repetitions of a protocol in this run."""
        defined = PROTOCOLS[protocol].n_repetitions
        return min(defined, self.experiment.maximum_repetitions or defined)

    def units(self) -> Iterator[tuple[str, str, int | str, int | str]]:
        """Yield protocol, target, subject (or `POOL`) and session (or `""`) of everything that is split into folds."""
        for protocol in self.experiment.protocols:
            scope = PROTOCOLS[protocol].scope
            for target in self.experiment.targets:
                for subject in (POOL,) if scope == "across_subjects" else tuple(self.feature_folders):
                    for session in self._sessions(subject) if scope == "within_session" else ("",):
                        yield protocol, target, subject, session

    def _sessions(self, subject: int | str) -> tuple[int | str, ...]:
        """Return the sessions of a subject, sorted; `""` if there is only one."""
        table = _joined(self, subject)[0].table
        table = table[self._is_of_the_sessions(table)] if self.experiment.sessions else table
        found = table["session"].unique().tolist()
        return tuple(sorted(found)) if len(found) > 1 else ("",)

    def _is_of_the_sessions(self, table: pd.DataFrame) -> np.ndarray:
        """Return `(windows,)` whether a window is of the requested sessions, of which each subject must have all."""
        wanted = set(map(str, self.experiment.sessions))
        session = table["session"].astype(str)
        for subject, own in session.groupby(table["subject"]):
            if missing := sorted(wanted - set(own)):
                raise InputError(
                    f"sessions: subject {subject} has no session {', '.join(missing)}; it has "
                    f"{', '.join(sorted(set(own)))}; give other sessions or subjects"
                )
        return session.isin(wanted).to_numpy()


def _rows_of_part(table: pd.DataFrame, windowing: Windowing, part: str, seconds: float) -> np.ndarray:
    """Return the rows of the windows in the middle, or at the end, of each trial, in the order of the table.

    Raises:
        InputError: trials are shorter than this part; the message lists all of them.
    """
    chosen, faults = [], []
    for (_, subject, session, trial), rows in table.groupby(list(TRIAL_KEY), sort=False).indices.items():
        try:
            chosen.append(rows[windowing.part(part, len(rows), seconds)])
        except ValueError as error:
            faults.append(f"subject {subject}, session {session}, trial {trial}: {error}")
    if faults:
        advice = "give fewer seconds, or leave out the subjects"
        lines = [f"--{part}-seconds {seconds:g}: trials are shorter; {advice}:", *faults]
        raise InputError("\n  ".join(lines))
    return np.sort(np.concatenate(chosen))


def _refuse_other_shapes(stored: Mapping[int | str, StoredFeatures], names: Iterable[str]) -> None:
    (first, reference), *others = stored.items()
    for name in names:
        expected = reference.arrays[name].shape[1:]
        for subject, one in others:
            found = one.arrays[name].shape[1:]
            if found != expected:
                raise InputError(
                    f"features {name!r}: a window of subject {first} has the shape {expected}, one of subject "
                    f"{subject} {found}; expected one shape; if their recordings have different sampling rates, read "
                    "them at one rate "
                    "(--sampling-rate-hz)"
                )


_OPENED: dict[tuple[str, ...], tuple[StoredFeatures, pd.DataFrame]] = {}


def clear_cached_windows() -> None:
    """Discard cached windows of this process, so that they are paired and joined again."""
    _OPENED.clear()


def _joined(plan: Plan, subject: int | str) -> tuple[StoredFeatures, pd.DataFrame]:
    # A worker does many jobs on the same few subjects: tables are read, and windows paired, once per process.
    system, folders = plan.experiment.system, plan.feature_folders[subject]
    channels = {name: study.channels for name, study in plan.channels.items()}
    names = json.dumps([[name, one.names, one.directions] for name, one in channels.items()])
    # A damaged entry that was computed again has the same path but is another folder.
    entries = (f"{folder} {folder.stat().st_ino if folder.is_dir() else 'gone'}" for folder in folders.values())
    replaced = "" if plan.replacement is None else plan.replacement.key
    part = str(plan.experiment.part_of_trials)
    key = (system.model_dump_json(), part, json.dumps(path_contents(system)), names, replaced, *entries)
    if key not in _OPENED:
        paired, dropped = plan.paired(subject)
        joined, dropped_by_join = system.join(paired) if len(paired.table) else (paired, dropped.iloc[:0])
        _OPENED[key] = joined, pd.concat([dropped, dropped_by_join], ignore_index=True)
    return _OPENED[key]
