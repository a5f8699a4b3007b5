"""Compare two models on the same folds of the same data.

Each test has its own sample: within a subject the folds, which share training rows; over subjects the subjects; for
McNemar's test the trials of one repetition. The result of one test does not imply that of another.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from keras_emotion.evaluation.identifiers import row_codes, trial_key
from keras_emotion.evaluation.metrics import probability_columns, trial_votes
from keras_emotion.evaluation.power import detectable_difference
from keras_emotion.evaluation.statistics import (
    PairedTest,
    bootstrap_confidence_interval,
    corrected_t_test,
    mcnemar_test,
    paired_subject_test,
)
from keras_emotion.schema import TRIAL_KEY, InputError

TRAINING_WINDOWS = "n_training_windows"
"""Additional column that `compare` needs in a predictions table: number of training windows of the row's fold."""


@dataclasses.dataclass(frozen=True, eq=False)
class Comparison:
    """Differences between two models under one protocol, for one target: the first's minus the second's.

    Args:
        protocol: the protocol.
        target: the target.
        scored_unit: what accuracies count, `"window"` or `"trial"`.
        subjects: one row per subject, sorted: `subject`; `first_accuracy` and `second_accuracy` (shares; the folds of a
            repetition pooled, the repetitions averaged, as in `subject_scores`) and their `difference`; `n_folds`, of
            all repetitions; `fold_difference`, the mean difference of fold accuracies; and Nadeau and Bengio's test of
            it: `t`, `degrees_of_freedom`, `p_value`, and `p_value_holm`, corrected for the number of subjects;
            and `detectable_difference`, which this test detects with a power of 80 % (without Holm's correction).
            The test is NaN where it does not apply: under protocols across subjects, with a single fold, and where
            all differences are the same and not zero.
        mean_difference: mean of `difference` over subjects.
        confidence_low: lower end of its percentile bootstrap interval over subjects; NaN with one subject.
        confidence_high: upper end.
        t_test: paired t-test over subjects; `None` with one subject, and where all differences are the same and not
            zero.
        wilcoxon: Wilcoxon's signed-rank test over subjects; `None` with one subject.
        detectable_difference: mean difference that the t-test over subjects detects with a power of 80 % at alpha 0.05,
            from the spread of `difference`; NaN where there is no t-test. `subjects` holds the same for the test of
            folds.
        mcnemar: exact test of the trial votes of one repetition, all subjects' trials together. It assumes
            independent trials, which those of one subject are not.
        repetition: the repetition of those votes: the lowest.
        n_trials: number of those votes.
    """

    protocol: str
    target: str
    scored_unit: str
    subjects: pd.DataFrame
    mean_difference: float
    confidence_low: float
    confidence_high: float
    t_test: PairedTest | None
    wilcoxon: PairedTest | None
    detectable_difference: float
    mcnemar: PairedTest
    repetition: int
    n_trials: int


def compare(
    first: pd.DataFrame,
    second: pd.DataFrame,
    scope: Literal["within_subject", "across_subjects"],
    scored_unit: Literal["window", "trial"] = "window",
    seed: int = 0,
    n_resamples: int = 10_000,
    level: float = 0.95,
) -> Comparison:
    """Compare the predictions of two models that were trained and tested on the same folds.

    Within each subject, Nadeau and Bengio's corrected t-test compares the accuracies of its folds of all repetitions.
    Its ratio n_test / n_training counts windows, summed over the subject's folds: rows are the examples that n_1 and
    n_2 count in the paper. Validation windows are in neither: they train no weights, and leaving them out raises the
    estimated variance, never lowers it. Holm's method corrects the p-values of several subjects.

    If all differences are equal, their variance is 0 and t is infinite. Accuracies count a few windows or trials, so
    that three of them are easily equal by chance: this is no evidence, and the t-test is left out.

    This test does not exist under protocols across subjects: a subject is in one fold of a repetition, or in parts of
    several folds that all subjects share, so its folds are not a sample of trainings on that subject. There, subjects
    are the sample.

    Args:
        first: predictions table (`PREDICTION_COLUMNS`) of one protocol and one target, with `n_training_windows`.
        second: the other model's predictions, with rows in any order.
        scope: scope of the protocol.
        scored_unit: scored unit of the protocol. Trial votes use mean probabilities, or the windows' votes where one of
            the tables has no probabilities.
        seed: seed of the bootstrap.
        n_resamples: number of bootstrap resamples.
        level: coverage of the bootstrap interval.

    Returns:
        The `Comparison`.

    Raises:
        InputError: the models were not tested on the same windows with the same labels in the same folds, or not
            trained on equally many windows (the message names the first difference); or a column is missing.
        ValueError: no rows, several protocols or targets, or an unknown `scope` or `scored_unit`.

    References:
        Nadeau and Bengio (2003). Inference for the generalization error. Machine Learning 52, 239-281.
        Holm (1979). A simple sequentially rejective multiple test procedure. Scand. J. Statistics 6, 65-70.
    """
    if scope not in ("within_subject", "across_subjects"):
        raise ValueError(f"`scope` is {scope!r}; expected 'within_subject' or 'across_subjects'")
    if scored_unit not in ("window", "trial"):
        raise ValueError(f"`scored_unit` is {scored_unit!r}; expected 'window' or 'trial'")
    protocol, target = _protocol_and_target(first, second)
    first, second = _same_windows(first, second)
    method: Literal["mean_probability", "vote"]
    method = "mean_probability" if all(probability_columns(one) for one in (first, second)) else "vote"

    def accuracies(rows: pd.DataFrame) -> pd.Series:
        """Return the accuracy by subject and repetition."""
        scored = trial_votes(rows, method) if scored_unit == "trial" else rows
        right = (scored["label"] == scored["prediction"]).astype(np.float64)
        return right.groupby([scored["subject"], scored["repetition"]]).mean()

    def of_folds(rows: pd.DataFrame) -> pd.Series:
        # The fold replaces the repetition, so that windows of a trial vote within their fold.
        return accuracies(rows.assign(repetition=row_codes(rows, ["repetition", "fold"])))

    pooled = [accuracies(rows).groupby("subject").mean() for rows in (first, second)]
    by_fold = of_folds(first) - of_folds(second)
    subjects = pd.DataFrame(
        [
            {
                "subject": subject,
                "first_accuracy": pooled[0][subject],
                "second_accuracy": pooled[1][subject],
                "difference": pooled[0][subject] - pooled[1][subject],
                "n_folds": len(differences),
                "fold_difference": differences.mean(),
                **_fold_test(first[first["subject"] == subject], differences.to_numpy(), scope),
            }
            for subject, differences in by_fold.groupby("subject", sort=False)
        ]
    )
    subjects["p_value_holm"] = holm_correction(subjects["p_value"])
    low, high = bootstrap_confidence_interval(subjects["difference"], seed, n_resamples, level)
    several = len(subjects) > 1
    pair = subjects["first_accuracy"], subjects["second_accuracy"]
    repetition = first["repetition"].min()
    votes = [trial_votes(rows[rows["repetition"] == repetition], method) for rows in (first, second)]
    return Comparison(
        protocol=protocol,
        target=target,
        scored_unit=scored_unit,
        subjects=subjects,
        mean_difference=float(subjects["difference"].mean()),
        confidence_low=low,
        confidence_high=high,
        t_test=paired_subject_test(*pair) if several and not _same_nonzero(subjects["difference"]) else None,
        wilcoxon=paired_subject_test(*pair, method="wilcoxon") if several else None,
        detectable_difference=detectable_difference(subjects["difference"]),
        mcnemar=mcnemar_test(votes[0]["label"], votes[0]["prediction"], votes[1]["prediction"]),
        repetition=int(repetition),
        n_trials=len(votes[0]),
    )


def holm_correction(p_values: npt.ArrayLike) -> np.ndarray:
    """Apply Holm's step-down correction: of m sorted p-values the i-th is max over j <= i of min(1, (m - j + 1) p_j).

    Rejecting those that are at most 0.05 keeps the family-wise error rate at 0.05 at most under any dependence.

    Args:
        p_values: `(tests,)`; NaN (a test that was not made) is not counted and stays NaN.

    Returns:
        `(tests,)` float64, in the same order.

    Example:
        >>> holm_correction([0.04, 0.01, 0.03])
        array([0.06, 0.03, 0.06])
    """
    p_values = np.asarray(p_values, dtype=np.float64)
    corrected = np.full(p_values.shape, np.nan)
    made = np.flatnonzero(~np.isnan(p_values))
    order = made[np.argsort(p_values[made], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    corrected[order] = np.maximum.accumulate(np.minimum(1, factors * p_values[order]))
    return corrected


def _fold_test(rows: pd.DataFrame, differences: np.ndarray, scope: str) -> dict[str, float]:
    """Apply Nadeau and Bengio's test to one subject's folds.

    Args:
        rows: the subject's test windows.
        differences: `(folds,)` differences of accuracy.
        scope: scope of the protocol.
    """
    if scope == "across_subjects" or len(differences) < 2 or _same_nonzero(differences):
        return dict.fromkeys(("t", "degrees_of_freedom", "p_value", "detectable_difference"), np.nan)
    trained = rows.drop_duplicates(["repetition", "fold"])[TRAINING_WINDOWS].sum()
    test = corrected_t_test(differences, n_training=int(trained), n_test=len(rows))
    return {
        "t": test.statistic,
        "degrees_of_freedom": test.degrees_of_freedom,
        "p_value": test.p_value,
        "detectable_difference": detectable_difference(differences, len(rows) / int(trained)),
    }


def _same_nonzero(differences: npt.ArrayLike) -> bool:
    # Equal differences of accuracies may differ by the rounding of their means.
    return bool(np.ptp(differences) < 1e-9 < np.abs(differences).max())


def _protocol_and_target(first: pd.DataFrame, second: pd.DataFrame) -> tuple[str, str]:
    names = []
    for column in ("protocol", "target"):
        found = sorted({name for rows in (first, second) if column in rows for name in rows[column]})
        if len(found) != 1 or not len(first) or not len(second):
            raise ValueError(f"both tables must hold rows of the same {column}; found {found}")
        names += found
    return tuple(names)


def _same_windows(first: pd.DataFrame, second: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return both tables in one order of rows; refuse tables of different folds."""
    # Tables of versions before 0.2.0 have no dataset and no session: only common columns are compared.
    several = {name for name in TRIAL_KEY for one in (first, second) if name in one and one[name].nunique() > 1}
    shared = [trial_key(one) for one in (first, second)]
    key = [name for name in TRIAL_KEY if name in several or all(name in own for own in shared)]
    keys = ["repetition", *key, "start_seconds", "stop_seconds"]
    compared = {
        "fold": "models were not tested in the same folds",
        "label": "models do not have the same labels",
        TRAINING_WINDOWS: "models were not trained on equally many windows",
    }
    for which, rows in (("first", first), ("second", second)):
        if missing := [name for name in (*keys, *compared, "prediction") if name not in rows]:
            raise InputError(f"the {which} predictions table has no column {', '.join(missing)}")
    both = pd.concat([first[keys], second[keys]], ignore_index=True)
    codes = row_codes(both, keys)
    own = codes[: len(first)], codes[len(first) :]

    def window(code: int) -> str:
        # As objects: a row that mixes column types would otherwise become float.
        row = both.iloc[[np.argmax(codes == code)]].astype(object).iloc[0]
        within = f"session {row['session']}, " if "session" in both and both["session"].nunique() > 1 else ""
        return (
            f"subject {row['subject']}, {within}trial {row['trial']}, {row['start_seconds']:g} to "
            f"{row['stop_seconds']:g} s, repetition {row['repetition']}"
        )

    for which, mine in zip(("first", "second"), own, strict=True):
        found, counts = np.unique(mine, return_counts=True)
        if (counts > 1).any():
            raise InputError(f"the {which} predictions table scores a window twice: {window(found[counts > 1][0])}")
    if len(only := np.setxor1d(*own)):
        which = "first" if only[0] in own[0] else "second"
        raise InputError(
            f"the two models were not tested on the same windows: {window(only[0])} is in the {which} table only "
            f"({len(only)} such windows)"
        )
    first, second = (
        rows.iloc[np.argsort(mine)].reset_index(drop=True) for rows, mine in zip((first, second), own, strict=True)
    )
    for name, what in compared.items():
        differs = (first[name] != second[name]).to_numpy()
        if differs.any():
            place = int(np.argmax(differs))
            what_it_is = name.replace(TRAINING_WINDOWS, "training windows")
            raise InputError(
                f"the two {what}: {window(np.sort(own[0])[place])}: {what_it_is} {first[name].iloc[place]:g} in the "
                f"first, {second[name].iloc[place]:g} in the second"
            )
    return first, second
