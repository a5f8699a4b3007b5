"""Evaluation protocols: what is disjoint, what is fitted on what, how the epoch is chosen, what is scored."""

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
"""Key of the pool of all subjects, where a protocol trains on their rows together."""


class Protocol(pydantic.BaseModel):
    """Evaluation protocol: how an experiment is split, fitted, selected and scored. Part of a run's identity.

    Args:
        name: `"as_published"`, with the paper where it is not the first one, or what is disjoint (`"trial_disjoint"`).
        setting: the paper and its setting that `"as_published"` reproduces (`"3facrnn"`).
        disjoint: what training, validation and test set do not share; `"overlapping_windows"` keeps windows that
            overlap in time together; `"predefined"` uses the dataset's own column `split` (parts or folds).
        scope: `"within_subject"` trains and tests on one subject at a time, `"within_session"` on one session of a
            subject, `"across_subjects"` on all rows together.
        n_splits: number of folds, at least 3; `None` leaves one subject (or session) out.
        holdout: only the first of the folds is run: a fixed training, validation and test set.
        n_repetitions: repetitions of the cross-validation, each with its own folds.
        fitted_on: rows to which scalers, thresholds, teachers, feature selection and smoothing are fitted.
        epoch_chosen_by: the part that chooses the epoch and, if any are searched, the hyper-parameters; `"last_epoch"`:
            none, the weights of the last epoch are tested, and no search is possible.
        scored_unit: `"window"`, or `"trial"` by the windows' mean probability.
        folds_averaged: `"pooled"`: the test rows of all folds of a repetition are scored together, then averaged over
            repetitions.
        assumed: one sentence on what the paper leaves open and is assumed here; one of the flags.

    Raises:
        ValueError: an unknown field or value, `n_splits` below 3, `n_splits=None` where the disjoint units are not
            subjects, or disjoint subjects within a subject.

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
        """The paper that this protocol reproduces in one of its settings; empty for none."""
        return self.setting.partition(",")[0]

    @property
    def flags(self) -> tuple[str, ...]:
        """Warnings that a number of this protocol must carry; empty for a clean protocol."""
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
        """Return every field and the flags, ready for JSON."""
        fields = self.model_dump(mode="json")
        # Later fields are left out at their default, so that definitions and identities of earlier versions stay the
        # same.
        for name in ("holdout", "assumed"):
            if not fields[name]:
                del fields[name]
        return {**fields, "flags": list(self.flags)}

    def splitter(self, seed: int = 0, repetition: int = 0, maximum_folds: int | None = None) -> UnitKFold:
        """Return the splitter of one repetition.

        Args:
            seed: seed of the run.
            repetition: number of the repetition, from 0.
            maximum_folds: a reduced run's limit of the number of folds, at least 3.
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
        """Return the rows that are split together: by subject id, by session, or all rows under `POOL`.

        Args:
            table: window table of one dataset.

        Returns:
            Increasing row positions; subjects in the order of their first rows. Sessions by
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
        """Yield the row positions of training, validation and test set, fold by fold.

        If the epoch is chosen on the test fold, the validation set *is* the test set, and the training set is all the
        rest. If the last epoch is used, the validation set is empty, and the training set is the same.

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
        # A holdout uses the number of folds that the ratio of its parts requires, even if a run reduces folds.
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
            # Literal reading of the paper: ten-fold cross-validation and a fixed number of epochs; selection on the
            # test fold is in the released code only.
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
            # The paper states only "fourfold cross-validation".
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
            # Other subjects who were shown the stimulus of a test trial may be in training with it.
            Protocol(name="trial_disjoint_across_subjects", disjoint="trials", scope="across_subjects"),
            Protocol(name="stimulus_disjoint", disjoint="stimuli", scope="across_subjects"),
            Protocol(name="subject_disjoint", disjoint="subjects", scope="across_subjects", n_splits=None),
            # All presentations of a stimulus to a subject are on the same side.
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
    """Find which subjects can be split under which protocol, before any training.

    Args:
        table: window table of one dataset.
        labels: `(rows,)` labels.
        protocols: the protocols to compare.
        seed: seed of the run.
        maximum_folds: as for `Protocol.splitter`.

    Returns:
        One row per protocol and subject: `protocol`, `setting`, `subject`, `evaluable`, `reason` (empty where
        evaluable). The reason of a pool that cannot be split is repeated for each of its subjects.
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
