"""Protocols: what is kept disjoint, what is fitted on what, who chooses the epoch, what is scored."""

from __future__ import annotations

import itertools
import types
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
import pydantic

from keras_emotion.evaluation.splitters import (
    NotEvaluable,
    PredefinedSplit,
    SessionKFold,
    StimulusKFold,
    SubjectAndStimulusKFold,
    SubjectKFold,
    TrialKFold,
    UnitKFold,
    WindowKFold,
)

POOL = "pool"
"""Stands for the subject where a protocol trains on the rows of all subjects together."""


class Protocol(pydantic.BaseModel):
    """How an experiment is split, fitted, selected and scored: immutable, and part of a run's identity.

    Args:
        name: `"as_published"`, with the paper where it is not the first one, or what is disjoint (`"trial_disjoint"`).
        setting: the paper and the setting of it that `"as_published"` stands for (`"3facrnn"`).
        disjoint: what training, validation and test do not share; `"overlapping_windows"` are windows, those that
            overlap in time kept together; `"predefined"` is what the data's own column `split` says (parts or folds).
        scope: `"within_subject"` trains and tests on one subject at a time, `"within_session"` on one session of a
            subject, `"across_subjects"` on all rows together.
        n_splits: number of folds, at least 3; `None` leaves one subject (or session) out.
        holdout: only the first of the folds is run: a fixed training, validation and test part.
        n_repetitions: repetitions of the cross-validation, each with folds of its own.
        fitted_on: rows to which scalers, thresholds, teachers, feature selection and smoothing are fitted.
        epoch_chosen_by: the part that chooses the epoch and, where any are searched, the hyper-parameters;
            `"last_epoch"`: none, the weights of the last epoch are tested, and nothing can be searched.
        scored_unit: `"window"`, or `"trial"` by the windows' mean probability.
        folds_averaged: `"pooled"`: the test rows of all folds of a repetition are scored together, the repetitions
            averaged.
        assumed: what of this the paper does not print, a sentence; one of the flags.

    Raises:
        ValueError: an unknown field or value, `n_splits` below 3, or `n_splits=None` where subjects are not what is
            disjoint, or subjects disjoint within a subject.

    Example:
        >>> PROTOCOLS["as_published"].flags
        ('epoch chosen on the test fold', 'windows of one trial in training and test')
        >>> PROTOCOLS["trial_disjoint"].flags
        ()
    """

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    name: str
    setting: str = ""
    disjoint: Literal[
        "windows",
        "overlapping_windows",
        "trials",
        "sessions",
        "stimuli",
        "subjects",
        "subjects_and_stimuli",
        "predefined",
    ]
    scope: Literal["within_subject", "within_session", "across_subjects"]
    n_splits: int | None = pydantic.Field(default=10, ge=3)
    n_repetitions: int = pydantic.Field(default=1, ge=1)
    fitted_on: Literal["training_rows", "all_rows"] = "training_rows"
    epoch_chosen_by: Literal["inner_validation", "test_fold", "last_epoch"] = "inner_validation"
    scored_unit: Literal["window", "trial"] = "window"
    folds_averaged: Literal["pooled"] = "pooled"
    holdout: bool = False
    assumed: str = ""

    @pydantic.model_validator(mode="after")
    def _check(self) -> Self:
        if self.n_splits is None and self.disjoint not in ("subjects", "sessions"):
            raise ValueError(f"`n_splits` is None, which leaves one subject out, but {self.disjoint} are disjoint")
        if "subjects" in self.disjoint and self.scope != "across_subjects":
            raise ValueError(f"`scope` is {self.scope!r}, where subjects cannot be disjoint")
        if self.disjoint == "sessions" and self.scope != "within_subject":
            raise ValueError(f"`scope` is {self.scope!r}; sessions are those of one subject")
        return self

    @property
    def paper(self) -> str:
        """The paper whose protocol this is in one of its settings, empty for one that is of none."""
        return self.setting.partition(",")[0]

    @property
    def flags(self) -> tuple[str, ...]:
        """What a reader has to know before believing a number of this protocol; empty for a clean one."""
        shares_trials = self.disjoint in ("windows", "overlapping_windows")
        pools_subjects = self.scope == "across_subjects" and (shares_trials or self.disjoint == "trials")
        flags = {
            "epoch chosen on the test fold": self.epoch_chosen_by == "test_fold",
            "windows of one trial in training and test": shares_trials,
            "trials of one subject in training and test, all subjects mixed": pools_subjects,
            "scaling and selection fitted on test rows too": self.fitted_on == "all_rows",
        }
        return (*(flag for flag, raised in flags.items() if raised), *([self.assumed] if self.assumed else []))

    def describe(self) -> dict[str, Any]:
        """Every field and the flags, ready for JSON."""
        fields = self.model_dump(mode="json")
        # Fields of later: without them, definitions of earlier versions and their identities stay what they are.
        for name in ("holdout", "assumed"):
            if not fields[name]:
                del fields[name]
        return {**fields, "flags": list(self.flags)}

    def splitter(self, seed: int = 0, repetition: int = 0, maximum_folds: int | None = None) -> UnitKFold:
        """The splitter of one repetition.

        Args:
            seed: seed of the run.
            repetition: number of the repetition, from 0.
            maximum_folds: a reduced run's cap on the number of folds, at least 3.
        """
        arguments: dict[str, Any] = {
            "n_splits": self.n_splits,
            "seed": seed,
            "repetition": repetition,
            "maximum_folds": maximum_folds,
        }
        if self.disjoint in ("windows", "overlapping_windows"):
            return WindowKFold(**arguments, keep_overlapping_together=self.disjoint == "overlapping_windows")
        return _SPLITTERS[self.disjoint](**arguments)

    def pools(self, table: pd.DataFrame) -> dict[Hashable, np.ndarray]:
        """Rows that are split together: those of each subject by its id, of each session, or all rows under `POOL`.

        Args:
            table: window table of one data set.

        Returns:
            Increasing row positions; subjects in the order in which they first occur. Sessions by
            `(subject, session)`.
        """
        if self.scope == "across_subjects":
            return {POOL: np.arange(len(table))}
        if self.scope == "within_session":
            pairs = pd.MultiIndex.from_frame(table[["subject", "session"]])
            codes, sessions = pd.factorize(pairs)
            return {session: np.flatnonzero(codes == code) for code, session in enumerate(sessions.tolist())}
        codes, subjects = pd.factorize(table["subject"])
        return {subject: np.flatnonzero(codes == code) for code, subject in enumerate(subjects.tolist())}

    def folds(
        self,
        table: pd.DataFrame,
        labels: npt.ArrayLike,
        seed: int = 0,
        repetition: int = 0,
        maximum_folds: int | None = None,
    ) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Row positions of training, validation and test part, fold by fold.

        Where the epoch is chosen on the test fold, the validation part *is* the test part, and the training part is
        all the rest. Where it is the last one, the validation part is empty, and the training part is the same.

        Args:
            table: window table of one pool (see `pools`).
            labels: `(rows,)` labels.
            seed: as for `splitter`.
            repetition: as for `splitter`.
            maximum_folds: as for `splitter`.

        Yields:
            `(train, validation, test)`, increasing positions in `table`.

        Raises:
            NotEvaluable: too few units of a class.
            ValueError: several subjects under a protocol within subject, or several sessions under one within session.
        """
        for column, scopes in (("subject", ("within_subject", "within_session")), ("session", ("within_session",))):
            if self.scope in scopes and table[column].nunique() > 1:
                raise ValueError(
                    f"`table` holds {table[column].nunique()} {column}s; {self.name} splits one at a time (see `pools`)"
                )
        # A holdout is one fold of as many as the shares of its parts say, however much a run reduces folds.
        splitter = self.splitter(seed, repetition, None if self.holdout else maximum_folds)
        if self.epoch_chosen_by == "inner_validation":
            folds = splitter.nested_split(table, labels)
        else:
            n_choosing = None if self.epoch_chosen_by == "test_fold" else 0
            folds = ((train, test[:n_choosing], test) for train, test in splitter.split(table, labels))
        return itertools.islice(folds, 1) if self.holdout else folds


_SPLITTERS: Mapping[str, type[UnitKFold]] = {
    "trials": TrialKFold,
    "sessions": SessionKFold,
    "stimuli": StimulusKFold,
    "subjects": SubjectKFold,
    "subjects_and_stimuli": SubjectAndStimulusKFold,
    "predefined": PredefinedSplit,
}


_FOURFOLD = "the paper prints fourfold cross-validation and no more"
_NO_EPOCH = "the paper prints no rule for the epoch: that the last of them is tested is an assumption"

PROTOCOLS: Mapping[str, Protocol] = types.MappingProxyType(
    {
        protocol.name: protocol
        for protocol in (
            # Five times ten-fold over the windows of a subject; best epoch (and the weight of the distillation loss)
            # by accuracy on the test fold.
            Protocol(
                name="as_published",
                setting="3facrnn",
                disjoint="windows",
                scope="within_subject",
                n_repetitions=5,
                epoch_chosen_by="test_fold",
            ),
            # Ten-fold over the windows of a subject, or over those of all subjects mixed; best epoch by accuracy on the
            # test fold.
            Protocol(
                name="as_published_deepvanet",
                setting="deepvanet, per subject",
                disjoint="windows",
                scope="within_subject",
                epoch_chosen_by="test_fold",
            ),
            Protocol(
                name="as_published_deepvanet_inter_subject",
                setting="deepvanet, inter-subject",
                disjoint="windows",
                scope="across_subjects",
                epoch_chosen_by="test_fold",
            ),
            # The same folds read to the letter: the paper prints ten-fold cross-validation and a number of epochs, and
            # that the released code selects on the test fold is no part of it.
            Protocol(
                name="as_published_deepvanet_literal",
                setting="deepvanet, per subject, to the letter",
                disjoint="windows",
                scope="within_subject",
                epoch_chosen_by="last_epoch",
                assumed=_NO_EPOCH,
            ),
            Protocol(
                name="as_published_deepvanet_inter_subject_literal",
                setting="deepvanet, inter-subject, to the letter",
                disjoint="windows",
                scope="across_subjects",
                epoch_chosen_by="last_epoch",
                assumed=_NO_EPOCH,
            ),
            # "Fourfold cross-validation" is all that is printed.
            Protocol(
                name="as_published_mercl",
                setting="mercl, subjects pooled",
                disjoint="windows",
                scope="across_subjects",
                n_splits=4,
                epoch_chosen_by="test_fold",
                assumed=f"{_FOURFOLD}: folds over windows, subjects pooled and the rule for the epoch are assumptions",
            ),
            Protocol(
                name="as_published_mercl_within_subject",
                setting="mercl, per subject",
                disjoint="windows",
                scope="within_subject",
                n_splits=4,
                epoch_chosen_by="test_fold",
                assumed=f"{_FOURFOLD}: folds over windows, subjects apart and the rule for the epoch are assumptions",
            ),
            # Training, validation and test 5 : 1 : 1, as `trial_holdout`, but over windows.
            Protocol(
                name="as_published_hlstm",
                setting="hlstm, per subject",
                disjoint="windows",
                scope="within_subject",
                n_splits=7,
                holdout=True,
                assumed="the paper prints a ratio of 5 : 1 : 1 and no more: parts over windows, subjects apart and the "
                "rule for the epoch are assumptions",
            ),
            Protocol(name="window_disjoint", disjoint="overlapping_windows", scope="within_subject", n_repetitions=5),
            Protocol(name="trial_disjoint", disjoint="trials", scope="within_subject", n_repetitions=5),
            # Whoever else was shown the stimulus of a test trial may be in training with it.
            Protocol(name="trial_disjoint_across_subjects", disjoint="trials", scope="across_subjects"),
            Protocol(name="stimulus_disjoint", disjoint="stimuli", scope="across_subjects"),
            Protocol(name="subject_disjoint", disjoint="subjects", scope="across_subjects", n_splits=None),
            # A person who meets a stimulus several times has it on one side alone.
            Protocol(
                name="stimulus_disjoint_within_subject", disjoint="stimuli", scope="within_subject", n_repetitions=5
            ),
            Protocol(
                name="subject_and_stimulus_disjoint",
                disjoint="subjects_and_stimuli",
                scope="across_subjects",
                n_splits=5,
            ),
            Protocol(name="within_session", disjoint="trials", scope="within_session", n_repetitions=5),
            Protocol(name="session_disjoint", disjoint="sessions", scope="within_subject", n_splits=None),
            Protocol(name="predefined_split", disjoint="predefined", scope="within_subject"),
            # SEED: the first nine clips of each session and the last six.
            Protocol(name="predefined_split_within_session", disjoint="predefined", scope="within_session"),
            Protocol(name="predefined_split_across_subjects", disjoint="predefined", scope="across_subjects"),
            # Training, validation and test 5 : 1 : 1.
            Protocol(name="trial_holdout", disjoint="trials", scope="within_subject", n_splits=7, holdout=True),
        )
    }
)
"""The protocols by name. `as_published` is 3FACRNN's; those of other papers carry the paper's name in theirs."""


def evaluability(
    table: pd.DataFrame,
    labels: npt.ArrayLike,
    protocols: Sequence[Protocol],
    seed: int = 0,
    maximum_folds: int | None = None,
) -> pd.DataFrame:
    """Which subjects can be split under which protocol, found before anything is trained.

    Args:
        table: window table of one data set.
        labels: `(rows,)` labels.
        protocols: the protocols to compare.
        seed: seed of the run.
        maximum_folds: as for `Protocol.splitter`.

    Returns:
        One row a protocol and subject: `protocol`, `setting`, `subject`, `evaluable`, `reason` (empty where
        evaluable). A pool that cannot be split is a reason for each of its subjects.
    """
    labels = np.asarray(labels)
    rows = []
    for protocol in protocols:
        for positions in protocol.pools(table).values():
            pool = table.iloc[positions]
            reason = ""
            try:
                for repetition in range(protocol.n_repetitions):
                    for _ in protocol.folds(pool, labels[positions], seed, repetition, maximum_folds):
                        pass
            except NotEvaluable as error:
                reason = str(error)
            rows += [
                (protocol.name, protocol.setting, subject, not reason, reason) for subject in pool.subject.unique()
            ]
    return pd.DataFrame(rows, columns=["protocol", "setting", "subject", "evaluable", "reason"])
