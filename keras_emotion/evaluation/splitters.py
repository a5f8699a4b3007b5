"""Cross-validation splitters of window tables, named for the units that they keep disjoint.

Each splitter distributes *units* (windows, trials, stimuli, subjects) over folds: `split` yields `(train, test)` row
positions as scikit-learn's splitters do, `nested_split` yields `(train, validation, test)`. A splitter is stateless:
the same table, labels, seed and repetition give the same folds at each call, under every `PYTHONHASHSEED`, and for any
order of the rows (a window stays in its fold when the rows are permuted).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.model_selection import BaseCrossValidator
from typing_extensions import override

from keras_emotion.evaluation.identifiers import connected_subject_codes, crossed_counts, row_codes, trial_key
from keras_emotion.schema import SPLIT_PARTS, TRIAL_KEY, InputError, is_part_of_split

SMALLEST_NUMBER_OF_FOLDS = 3

"""Smallest number of folds: training, validation and test set each need one."""

# Far below one sample of any signal here, far above the rounding of `start + length`: adjacent windows do not
# overlap.
OVERLAP_TOLERANCE_SECONDS = 1e-6


class NotEvaluable(InputError):
    """A subject (or a pool of subjects) that cannot be split: a class has too few units.

    Args:
        message: subject or pool, the counts, and the required number.
        counts: number of units that hold each class, by label.
    """

    def __init__(self, message: str, counts: dict[Any, int] | None = None):
        super().__init__(message)
        self.counts = counts or {}


class UnitKFold(BaseCrossValidator):  # type: ignore[misc]  # scikit-learn has no annotations
    """Distribute whole units over stratified folds; the base class of all splitters here.

    The units are sorted by id, shuffled, ordered by class and dealt to the folds in turn, so that for each class the
    numbers of units in any two folds differ by at most one. The class of a unit is the most frequent label of its rows
    (the lowest of equals); units with rows of several classes (a stimulus rated by many subjects) are stratified by
    that class only.

    The number of folds is `min(n_splits, maximum_folds, units that hold the rarest class)`. The table is not evaluable
    if this is below three, if the labels are constant, or if some training set would lack a class.

    `nested_split` takes the next fold as the validation set: the same unit, equally stratified, and each fold is the
    validation set once. If that would leave the training set without one of the classes, the first later fold that does
    not is taken.

    Args:
        n_splits: number of folds, at least 3.
        seed: non-negative; together with `repetition` it seeds each call of `split`.
        repetition: number of the repetition of the cross-validation, from 0: each has its own folds.
        maximum_folds: upper limit of the number of folds (for a reduced run with fewer, larger folds), at least 3.

    Raises:
        ValueError: `n_splits` or `maximum_folds` below 3, or a negative seed or repetition.
    """

    # With scikit-learn's metadata routing enabled, the window table is passed as `groups`.
    __metadata_request__split = {"groups": True}  # noqa: RUF012

    unit = ""
    unit_columns: tuple[str, ...] = ()
    smallest_number_of_folds = SMALLEST_NUMBER_OF_FOLDS

    def __init__(self, n_splits: int | None = 10, seed: int = 0, repetition: int = 0, maximum_folds: int | None = None):
        for name, value in (("n_splits", n_splits), ("maximum_folds", maximum_folds)):
            if value is not None and value < SMALLEST_NUMBER_OF_FOLDS:
                raise ValueError(f"`{name}` is {value}; training, validation and test need at least 3 folds")
        for name, value in (("seed", seed), ("repetition", repetition)):
            if value < 0:
                raise ValueError(f"`{name}` is {value}; expected a non-negative integer")
        self.n_splits = n_splits
        self.seed = seed
        self.repetition = repetition
        self.maximum_folds = maximum_folds

    def split(
        self, X: pd.DataFrame | npt.ArrayLike, y: npt.ArrayLike, groups: pd.DataFrame | None = None
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the row positions of training and test set, fold by fold.

        Args:
            X: the window table, or features of the same rows where the table is given as `groups`
                (`cross_val_score(classifier, features, labels, groups=table, cv=splitter)`).
            y: `(rows,)` labels.
            groups: the window table, if `X` is not.

        Yields:
            `(train, test)`, increasing positions.

        Raises:
            InputError: no window table, or one without the columns that identify a unit.
            NotEvaluable: too few units of a class.
        """
        fold, presence = self._folds(X, y, groups)
        for test in range(len(presence)):
            self._require_classes(presence.sum(axis=0) - presence[test], f"training part of fold {test}")
            train, tested = self._purged([np.flatnonzero(fold != test), np.flatnonzero(fold == test)], X, y, groups)
            yield train, tested

    def nested_split(
        self, X: pd.DataFrame | npt.ArrayLike, y: npt.ArrayLike, groups: pd.DataFrame | None = None
    ) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Yield the row positions of training, inner validation and test set, fold by fold; test sets as in `split`.

        Args:
            X: as for `split`.
            y: as for `split`.
            groups: as for `split`.

        Yields:
            `(train, validation, test)`, increasing positions.

        Raises:
            InputError: as for `split`.
            NotEvaluable: as for `split`, or no choice of the validation fold leaves every class in the training set.
        """
        fold, presence = self._folds(X, y, groups)
        n_folds = len(presence)
        for test in range(n_folds):
            candidates = (test + np.arange(1, n_folds)) % n_folds
            left = presence.sum(axis=0) - presence[test] - presence[candidates]
            chosen = np.argmax(left.min(axis=1) > 0)
            self._require_classes(left[chosen], f"training part of fold {test}, validation taken out,")
            validation = candidates[chosen]
            train = np.flatnonzero((fold != test) & (fold != validation))
            parts = [train, np.flatnonzero(fold == validation), np.flatnonzero(fold == test)]
            train, validated, tested = self._purged(parts, X, y, groups)
            yield train, validated, tested

    def get_n_splits(
        self,
        X: pd.DataFrame | npt.ArrayLike | None = None,
        y: npt.ArrayLike | None = None,
        groups: pd.DataFrame | None = None,
    ) -> int:
        """Return the number of folds: of this table with these labels if given, otherwise the largest possible number.

        Raises:
            ValueError: no table, and the number of folds depends on the number of subjects.
        """
        if y is not None:
            return len(self._folds(X, y, groups)[1])
        if self.n_splits is None:
            raise ValueError("the number of folds follows from the window table: pass it, and the labels")
        return min(self.n_splits, self.maximum_folds or self.n_splits)

    def units(self, table: pd.DataFrame) -> np.ndarray:
        """Return the unit of each row: `(rows,)` int, 0 to the number of units - 1, in the order of the sorted ids.

        Raises:
            InputError: a column or an id in it is missing.
        """
        return row_codes(table, self.unit_columns)

    def _purged(self, parts: list[np.ndarray], X: Any, y: Any, groups: Any) -> list[np.ndarray]:
        """Return the parts of a fold, training first, without rows that overlap with a later part."""
        return parts

    def _largest_number_of_folds(self, units_of_class: np.ndarray, n_units: int) -> int:
        """Return the largest number of folds, given the `(classes,)` numbers of units that hold each class."""
        return int(units_of_class.min())

    def _folds(self, X: Any, y: Any, groups: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return the fold of each row `(rows,)`, and the row counts by fold and class `(folds, classes)`."""
        table = X if groups is None else groups
        if not isinstance(table, pd.DataFrame):
            raise InputError(
                f"{type(self).__name__} needs the window table, as `X` or as `groups`; got {type(table).__name__}"
            )
        classes, class_of_row = np.unique(np.asarray(y), return_inverse=True)
        if class_of_row.shape != (len(table),):
            raise ValueError(f"`y` has shape {class_of_row.shape}; the window table has {len(table)} rows")
        unit_of_row = self.units(table)
        counts = crossed_counts(unit_of_row, class_of_row, len(classes))
        n_units = len(counts)
        units_of_class = np.count_nonzero(counts, axis=0)

        n_folds = 0
        if len(classes) > 1:
            limits = (self.n_splits, self.maximum_folds, self._largest_number_of_folds(units_of_class, n_units))
            n_folds = min(limit for limit in limits if limit is not None)
        if n_folds < self.smallest_number_of_folds:
            held = dict(zip(classes.tolist(), units_of_class.tolist(), strict=True))
            listed = ", ".join(f"{count} with label {label}" for label, count in held.items())
            raise NotEvaluable(
                f"{_whose(table)}: not evaluable: {n_units} {self.unit} units, {listed or 'none'}; two classes are "
                f"needed, and {self.smallest_number_of_folds} units for training, validation and test",
                held,
            )

        shuffled = np.random.default_rng([self.seed, self.repetition]).permutation(n_units)
        dealt = shuffled[np.argsort(counts.argmax(axis=1)[shuffled], kind="stable")]
        fold_of_unit = np.empty(n_units, dtype=np.int64)
        fold_of_unit[dealt] = np.arange(n_units) % n_folds
        return fold_of_unit[unit_of_row], crossed_counts(fold_of_unit[unit_of_row], class_of_row, len(classes))

    def _require_classes(self, rows_of_class: np.ndarray, part: str) -> None:
        if rows_of_class.min() < 1:
            raise NotEvaluable(f"not evaluable: the {part} lacks a class: too few {self.unit} units hold it")

    def _require_labels(self, labels: np.ndarray, rows: np.ndarray, part: str) -> None:
        """Check the rows of a part as `_require_classes` does; refuse labels of a single class, too."""
        classes, codes = np.unique(labels, return_inverse=True)
        counts = np.bincount(codes[rows], minlength=len(classes))
        self._require_classes(counts if len(classes) > 1 else np.zeros(1), part)


class WindowKFold(UnitKFold):
    """Stratified folds over windows, as in most papers. Windows of one trial are in both training and test set.

    Args:
        n_splits: as for `UnitKFold`.
        seed: as for `UnitKFold`.
        repetition: as for `UnitKFold`.
        maximum_folds: as for `UnitKFold`.
        keep_overlapping_together: windows of a trial that overlap in time share a fold, directly or through a chain of
            overlaps: if windows overlap throughout a trial, the trial is one unit.
        purge_overlapping: windows that overlap in time with a test window are in neither training nor validation set,
            and those that overlap with a validation window are not in the training set: they are left out of that fold,
            but each window is still tested once.

    Raises:
        ValueError: both options are set, or as for `UnitKFold`.

    Example:
        >>> table = pd.DataFrame({"dataset": "deap", "subject": 1, "session": 1, "trial": np.repeat([1, 2], 6),
        ...                       "start_seconds": np.tile(np.arange(6.0), 2),
        ...                       "stop_seconds": np.tile(np.arange(6.0), 2) + 1})
        >>> labels = np.repeat([0, 1], 6)
        >>> [len(test) for train, test in WindowKFold(n_splits=3).split(table, labels)]
        [4, 4, 4]
    """

    unit = "window"
    unit_columns = (*TRIAL_KEY, "start_seconds", "stop_seconds")

    def __init__(
        self,
        n_splits: int = 10,
        seed: int = 0,
        repetition: int = 0,
        maximum_folds: int | None = None,
        keep_overlapping_together: bool = False,
        purge_overlapping: bool = False,
    ):
        super().__init__(n_splits, seed, repetition, maximum_folds)
        if keep_overlapping_together and purge_overlapping:
            raise ValueError("`keep_overlapping_together` and `purge_overlapping`: windows kept together never overlap")
        self.keep_overlapping_together = keep_overlapping_together
        self.purge_overlapping = purge_overlapping

    def units(self, table: pd.DataFrame) -> np.ndarray:
        """Return the unit of each row: the window, or its run of overlapping windows.

        Raises:
            InputError: a column or an id is missing, or a window ends before it starts.
        """
        windows = row_codes(table, self.unit_columns)
        return overlap_runs(table) if self.keep_overlapping_together else windows

    def _purged(self, parts: list[np.ndarray], X: Any, y: Any, groups: Any) -> list[np.ndarray]:
        if not self.purge_overlapping:
            return parts
        table = X if groups is None else groups
        kept = []
        for place, rows in enumerate(parts):
            later = np.concatenate([np.empty(0, dtype=np.int64), *parts[place + 1 :]])
            kept.append(rows[~overlap_in_time(table, later, rows)])
        labels = np.asarray(y)
        if len(np.unique(labels[kept[0]])) < len(np.unique(labels)):
            raise NotEvaluable(
                f"{_whose(table)}: not evaluable: without the windows that overlap with test windows the training part "
                "lacks a class; use fewer folds, or keep overlapping windows together"
            )
        return kept


class TrialKFold(UnitKFold):
    """Stratified folds over whole trials, by the trial's label: `k = min(n_splits, trials of the rarer class)`.

    Meant for the rows of one subject; with several subjects, trials stay whole and are distributed over all of them
    together. A trial is one presentation: the same film in another session is another trial (`StimulusKFold` keeps
    those together).
    """

    unit = "trial"
    unit_columns = TRIAL_KEY


class StimulusKFold(UnitKFold):
    """Folds over stimuli, disjoint across all subjects (the same subjects are in training and test set)."""

    unit = "stimulus"
    unit_columns = ("dataset", "stimulus")


class SubjectKFold(UnitKFold):
    """Leave-one-subject-out folds, or folds over groups of subjects.

    Subjects who were recorded together (column `recorded_together` of the window table) are one unit: they are left out
    together. If the column is missing or empty, each subject was recorded alone.

    Unlike in the other splitters the number of folds does not depend on the rarest class: a test subject may have
    constant labels, but the training set may not lack a class.

    Args:
        n_splits: number of parts, at most the number of units; `None` leaves one unit out at a time.
        seed: as for `UnitKFold`.
        repetition: as for `UnitKFold`.
        maximum_folds: as for `UnitKFold`; with more subjects than this, several are left out together.
    """

    unit = "subject"
    unit_columns = ("dataset", "subject")

    def __init__(
        self, n_splits: int | None = None, seed: int = 0, repetition: int = 0, maximum_folds: int | None = None
    ):
        super().__init__(n_splits, seed, repetition, maximum_folds)

    def units(self, table: pd.DataFrame) -> np.ndarray:
        """Return the unit of each row: the subject, together with all who were recorded with them.

        Raises:
            InputError: a column or an id in it is missing.
        """
        # Required here as by the other splitters.
        row_codes(table, self.unit_columns)
        return connected_subject_codes(table)

    def _largest_number_of_folds(self, units_of_class: np.ndarray, n_units: int) -> int:
        return n_units


class SessionKFold(UnitKFold):
    """Leave-one-session-out folds of one subject: trained on some sessions, tested on another.

    The inner validation set consists of whole trials of the training sessions, stratified: two sessions are enough.
    Stimuli that a subject sees in several sessions are in both training and test set.

    Args:
        n_splits: number of groups of sessions; `None` leaves one session out at a time.
        seed: as for `UnitKFold`.
        repetition: as for `UnitKFold`.
        maximum_folds: as for `UnitKFold`; with more sessions than this, groups of them are left out.
    """

    unit = "session"
    unit_columns = ("dataset", "subject", "session")
    smallest_number_of_folds = 2

    def __init__(
        self, n_splits: int | None = None, seed: int = 0, repetition: int = 0, maximum_folds: int | None = None
    ):
        super().__init__(n_splits, seed, repetition, maximum_folds)

    def _largest_number_of_folds(self, units_of_class: np.ndarray, n_units: int) -> int:
        return n_units

    def nested_split(
        self, X: pd.DataFrame | npt.ArrayLike, y: npt.ArrayLike, groups: pd.DataFrame | None = None
    ) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """See `UnitKFold`; the validation set consists of trials of the training sessions."""
        table, labels = X if groups is None else groups, np.asarray(y)
        for known, test in self.split(X, y, groups):
            yield (*_held_out_trials(table, labels, known, self.seed, self.repetition), test)


class SubjectAndStimulusKFold(UnitKFold):
    """Folds that share neither subjects nor stimuli: each test set is a group of subjects on a group of stimuli.

    With k groups of each, the k x k test sets hold every row once. The training set of a fold has the rows of the other
    subjects on other stimuli; rows of a test subject on a training stimulus, and the reverse, are left out of the fold.
    The validation set is one more group of subjects on one more group of stimuli, kept disjoint in the same way.
    Subjects and stimuli are distributed over the groups in the order of their most frequent labels. Subjects who were
    recorded together (column `recorded_together`) are one unit.

    Args:
        n_splits: groups of subjects, and of stimuli; at most the number of either.
        seed: as for `UnitKFold`.
        repetition: as for `UnitKFold`.
        maximum_folds: at most this many groups of either, at least 3.
    """

    unit = "subject and stimulus"
    unit_columns = ("dataset", "subject", "stimulus")

    @override
    def split(
        self, X: pd.DataFrame | npt.ArrayLike, y: npt.ArrayLike, groups: pd.DataFrame | None = None
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        subject, stimulus, labels, n_groups = self._groups(X, y, groups)
        for fold, (own, shown) in enumerate(itertools.product(range(n_groups), repeat=2)):
            test = np.flatnonzero((subject == own) & (stimulus == shown))
            train = np.flatnonzero((subject != own) & (stimulus != shown))
            if len(test):
                self._require_labels(labels, train, f"training part of fold {fold}")
                yield train, test

    @override
    def nested_split(
        self, X: pd.DataFrame | npt.ArrayLike, y: npt.ArrayLike, groups: pd.DataFrame | None = None
    ) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        subject, stimulus, labels, n_groups = self._groups(X, y, groups)
        for fold, (own, shown) in enumerate(itertools.product(range(n_groups), repeat=2)):
            test = np.flatnonzero((subject == own) & (stimulus == shown))
            other, other_shown = (own + 1) % n_groups, (shown + 1) % n_groups
            validation = np.flatnonzero((subject == other) & (stimulus == other_shown))
            is_train = ~np.isin(subject, (own, other)) & ~np.isin(stimulus, (shown, other_shown))
            train = np.flatnonzero(is_train)
            if len(test):
                if not len(validation):
                    raise NotEvaluable(f"not evaluable: fold {fold} has no rows for choosing the epoch")
                self._require_labels(labels, train, f"training part of fold {fold}")
                yield train, validation, test

    @override
    def get_n_splits(
        self,
        X: pd.DataFrame | npt.ArrayLike | None = None,
        y: npt.ArrayLike | None = None,
        groups: pd.DataFrame | None = None,
    ) -> int:
        if y is not None:
            return sum(1 for _ in self.split(X, y, groups))
        return super().get_n_splits() ** 2

    def _groups(self, X: Any, y: Any, groups: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
        table, labels = X if groups is None else groups, np.asarray(y)
        row_codes(table, ("dataset", "subject"))
        codes = [connected_subject_codes(table), row_codes(table, ("dataset", "stimulus"))]
        sizes = [own.max(initial=-1) + 1 for own in codes]
        limits = [limit for limit in (self.n_splits, self.maximum_folds, *sizes) if limit is not None]
        n_groups = min(limits)
        if n_groups < SMALLEST_NUMBER_OF_FOLDS:
            raise NotEvaluable(
                f"{_whose(table)}: not evaluable: {sizes[0]} subjects and {sizes[1]} stimuli; "
                f"{SMALLEST_NUMBER_OF_FOLDS} of each are needed for training, validation and test"
            )
        classes, class_of_row = np.unique(labels, return_inverse=True)
        dealt = []
        for place, (own, size) in enumerate(zip(codes, sizes, strict=True)):
            group = np.empty(size, dtype=np.int64)
            shuffled = np.random.default_rng([self.seed, self.repetition, place]).permutation(size)
            # Ordered by class, so that no group of stimuli lacks one if labels belong to stimuli.
            most_frequent = crossed_counts(own, class_of_row, len(classes)).argmax(axis=1)
            group[shuffled[np.argsort(most_frequent[shuffled], kind="stable")]] = np.arange(size) % n_groups
            dealt.append(group[own])
        return *dealt, labels, n_groups


class PredefinedSplit(UnitKFold):
    """Split that is part of the dataset, in a column `split`: `train`, `validation`, `test`; or folds.

    Folds are `fold_1`, `fold_2` and so on, two at least: each is the test set once, in this order, and the others are
    the training set. If no row is `validation`, whole trials of the training set are held out, stratified: a tenth, or
    one of each class where a class has fewer than ten (three at least).

    Args:
        n_splits: not used: the dataset defines the number.
        seed: as for `UnitKFold`.
        repetition: as for `UnitKFold`.
        maximum_folds: not used.
    """

    unit = "predefined"
    unit_columns = ("split",)

    def split(
        self, X: pd.DataFrame | npt.ArrayLike, y: npt.ArrayLike, groups: pd.DataFrame | None = None
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """See `UnitKFold`; validation rows are training rows here."""
        for parts in self._parts(X if groups is None else groups, np.asarray(y)):
            yield np.sort(np.concatenate([parts["train"], parts["validation"]])), parts["test"]

    @override
    def nested_split(
        self, X: pd.DataFrame | npt.ArrayLike, y: npt.ArrayLike, groups: pd.DataFrame | None = None
    ) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        table, labels = X if groups is None else groups, np.asarray(y)
        for parts in self._parts(table, labels):
            train, validation = parts["train"], parts["validation"]
            if not len(validation):
                train, validation = _held_out_trials(table, labels, train, self.seed, self.repetition)
            yield train, validation, parts["test"]

    def get_n_splits(
        self,
        X: pd.DataFrame | npt.ArrayLike | None = None,
        y: npt.ArrayLike | None = None,
        groups: pd.DataFrame | None = None,
    ) -> int:
        """See `UnitKFold`; one without a table, since the dataset defines the number."""
        return 1 if y is None else len(self._parts(X if groups is None else groups, np.asarray(y)))

    def _parts(self, table: pd.DataFrame, labels: np.ndarray) -> list[dict[str, np.ndarray]]:
        """Return the row positions of each part of `SPLIT_PARTS`, fold by fold."""
        if "split" not in table:
            raise NotEvaluable(
                f"{_whose(table)}: not evaluable: the dataset has no predefined split; add a column split with "
                f"{', '.join(SPLIT_PARTS)}"
            )
        split = table["split"].astype(str).to_numpy()
        found = set(split)
        if unknown := sorted(name for name in found if not is_part_of_split(name)):
            raise InputError(
                f"split: {', '.join(map(repr, unknown))}; expected one of {', '.join(SPLIT_PARTS)}, fold_1"
            )
        folds = sorted(found - set(SPLIT_PARTS), key=lambda name: int(name.partition("_")[2]))
        if folds and len(folds) < len(found):
            named = ", ".join(sorted(found - set(folds)))
            raise InputError(
                f"split: has both {', '.join(folds)} and {named}; expected folds, or {', '.join(SPLIT_PARTS)}"
            )
        if not folds:
            parts = [{name: np.flatnonzero(split == name) for name in SPLIT_PARTS}]
        else:
            none = np.empty(0, dtype=np.int64)
            parts = [
                {"train": np.flatnonzero(split != name), "validation": none, "test": np.flatnonzero(split == name)}
                for name in folds
            ]
        for one in parts:
            if empty := [name for name in ("train", "test") if not len(one[name])]:
                raise NotEvaluable(f"{_whose(table)}: not evaluable: no row of the predefined split is {empty[0]}")
            self._require_labels(labels, one["train"], "training part of the predefined split")
        return parts


def _held_out_trials(
    table: pd.DataFrame, labels: np.ndarray, known: np.ndarray, seed: int, repetition: int
) -> tuple[np.ndarray, np.ndarray]:
    """Split `known` rows into a training and a validation set: whole trials, stratified.

    The validation set is about a tenth of them, or one trial of each class where the rarest class has fewer than ten.
    """
    folds = TrialKFold(seed=seed, repetition=repetition).split(table.iloc[known], labels[known])
    train, validation = next(folds)
    return known[train], known[validation]


def overlap_runs(table: pd.DataFrame) -> np.ndarray:
    """Find runs of windows that overlap in time, directly or through others, within one trial.

    Args:
        table: window table.

    Returns:
        `(rows,)` int: the run of each row, numbered by sorted trial, then by time.

    Raises:
        InputError: a column or an id is missing, or a window ends before it starts.
    """
    trial = row_codes(table, TRIAL_KEY)
    start, stop = (table[name].to_numpy(dtype=float) for name in ("start_seconds", "stop_seconds"))
    if not (stop > start).all():
        row = np.flatnonzero(~(stop > start))[0]
        raise InputError(f"window table, row {row}: stop_seconds {stop[row]} is not after start_seconds {start[row]}")
    order = np.lexsort((start, trial))
    latest_stop = pd.Series(stop[order]).groupby(trial[order]).cummax().to_numpy()
    begins = np.ones(len(table), dtype=bool)
    begins[1:] = (np.diff(trial[order]) > 0) | (start[order][1:] >= latest_stop[:-1] - OVERLAP_TOLERANCE_SECONDS)
    runs = np.empty(len(table), dtype=np.int64)
    runs[order] = np.cumsum(begins) - 1
    return runs


def overlap_in_time(table: pd.DataFrame, known: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Find the windows that overlap in time with known windows of their trial.

    Args:
        table: window table with `subject`, `trial`, `start_seconds`, `stop_seconds`, and optionally `dataset` and
            `session`.
        known: row positions of the known windows.
        asked: row positions of the windows to check.

    Returns:
        `(len(asked),)` bool.
    """
    if not len(known) or not len(asked):
        return np.zeros(len(asked), dtype=bool)
    trial = row_codes(table, trial_key(table))
    start, stop = (table[name].to_numpy(dtype=np.float64) for name in ("start_seconds", "stop_seconds"))
    # Trials are placed one after another on one axis, so that two sorted searches cover all of them.
    offset = trial * (stop.max() - start.min() + 1.0) - start.min()
    begin, end = offset + start, offset + stop
    # Known windows that begin before the window ends, minus those that end before it begins, overlap with it.
    begun = np.searchsorted(np.sort(begin[known]), end[asked] - OVERLAP_TOLERANCE_SECONDS)
    over = np.searchsorted(np.sort(end[known]), begin[asked] + OVERLAP_TOLERANCE_SECONDS, side="right")
    return np.asarray(begun > over)


def _whose(table: pd.DataFrame) -> str:
    """Name the one subject of a table, or the number of several; for messages."""
    subjects = table.filter(["dataset", "subject"]).drop_duplicates()
    if len(subjects) == 1:
        return ", ".join(f"{name} {value}" for name, value in subjects.iloc[0].items())
    return f"{len(subjects)} subjects"
