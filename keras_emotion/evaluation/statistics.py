"""Confidence intervals over subjects, the chance band, and paired tests.

Subjects are the sample: windows and trials of one subject depend on each other, and folds share training rows.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.stats

from keras_emotion.evaluation.identifiers import crossed_counts, row_codes
from keras_emotion.evaluation.permutation import (
    FEW_LABELINGS,
    FEWEST_LABELINGS,
    Between,
    enumerated_donors,
    exchangeable,
    exchanged,
    n_labelings,
)


class ChanceBand(NamedTuple):
    """Distribution of the subject-mean accuracy under meaningless labels.

    Args:
        mean: mean of the null distribution.
        low: lower end of the band.
        high: upper end of the band.
        p_value: one-sided, (1 + null accuracies that reach the real one) / (1 + permutations); with fewer
            than 200 distinct labelings, the share of all of them that reach it; NaN with fewer than 20.
        n_labelings: number of distinct labelings that the permutation can give.
    """

    mean: float
    low: float
    high: float
    p_value: float
    n_labelings: int


class PairedTest(NamedTuple):
    """Result of a paired test.

    Args:
        statistic: t, Wilcoxon's W, or the number of trials that only the first model got right.
        p_value: two-sided.
        degrees_of_freedom: of t; the number of discordant trials for McNemar's test, of subjects for Wilcoxon's.
    """

    statistic: float
    p_value: float
    degrees_of_freedom: int


def bootstrap_confidence_interval(
    values: npt.ArrayLike, seed: int = 0, n_resamples: int = 10_000, level: float = 0.95
) -> tuple[float, float]:
    """Compute the percentile bootstrap interval of the mean over subjects.

    It needs about ten subjects. With fewer it is too narrow (for normal values, a nominal 95 % covers about 82 % at
    five subjects and 89 % at ten), and the subjects themselves should be shown.

    Args:
        values: `(subjects,)` one value per subject; NaN (not defined for that subject) is ignored.
        seed: non-negative.
        n_resamples: number of resamples.
        level: coverage, between 0 and 1.

    Returns:
        Lower and upper end; a pair of NaN with fewer than two subjects.

    Raises:
        ValueError: `values` is not one-dimensional, `n_resamples` below 1, or `level` not between 0 and 1.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1:
        raise ValueError(f"`values` has shape {values.shape}; expected `(subjects,)`")
    if n_resamples < 1:
        raise ValueError(f"`n_resamples` is {n_resamples}; expected at least 1")
    tails = _tails(level)
    values = values[~np.isnan(values)]
    if len(values) < 2:
        return np.nan, np.nan
    drawn = np.random.default_rng(seed).integers(0, len(values), (n_resamples, len(values)))
    low, high = np.quantile(values[drawn].mean(axis=1), tails)
    return float(low), float(high)


def permutation_chance(
    predictions: pd.DataFrame,
    n_permutations: int = 999,
    seed: int = 0,
    level: float = 0.95,
    between: Between = "trials",
) -> ChanceBand:
    """Compute the null distribution of the subject-mean accuracy by label permutation, with the predictions held fixed.

    Labels are exchanged within the rows of one model, between stimuli that were shown equally often, all labels of a
    stimulus together (`keras_emotion.evaluation.permutation.exchangeable`). Accuracies are those of a repetition's
    pooled folds, averaged over repetitions, then over subjects.

    This is the null *without retraining*: the accuracy of these predictions for labels that are unrelated to them,
    given how often each class is predicted and how windows cluster in trials. The accuracy of a model *trained* on
    shuffled labels is a different null, that of the leak audit, and far higher where the split leaks. Stratified
    training folds also hold fewer trials of a test trial's own class, which pushes a model that learnt nothing slightly
    below this null.

    A trial whose windows have several labels (a threshold fitted fold by fold) counts with the most frequent one.

    Args:
        predictions: the predictions table of one protocol and one target.
        n_permutations: number of permutations.
        seed: non-negative; the result does not depend on the order of the rows.
        level: share of the null distribution within the band.
        between: units whose labels are exchanged (`keras_emotion.evaluation.permutation.permuted_between`).

    Returns:
        Mean and band of the null distribution, and the p-value of the real accuracy.

    Raises:
        InputError: a column is missing.
        ValueError: no rows, several protocols or targets, `n_permutations` below 1, or `level` not between 0 and 1.
    """
    if len(predictions) == 0 or any(
        name in predictions and predictions[name].nunique() > 1 for name in ("protocol", "target")
    ):
        raise ValueError("`predictions` must hold rows of one protocol and one target")
    if n_permutations < 1:
        raise ValueError(f"`n_permutations` is {n_permutations}; expected at least 1")
    tails = _tails(level)
    subject = row_codes(predictions, ["subject"])
    groups, _, trial = exchangeable(predictions, between)
    block = row_codes(predictions, ["subject", "repetition"])
    label, prediction = predictions["label"].to_numpy(), predictions["prediction"].to_numpy()
    n_classes = 1 + max(label.max(), prediction.max())

    n_repetitions = np.bincount(subject[np.unique(block, return_index=True)[1]])
    weight = 1 / (np.bincount(block)[block] * n_repetitions[subject])
    # Share of the subject's rows that a trial adds to the accuracy if its label is c: (trials, classes).
    gain = crossed_counts(trial, prediction, n_classes, weight)
    label_of_trial = crossed_counts(trial, label, n_classes).argmax(axis=1)
    n_subjects = subject.max() + 1
    trials = np.arange(len(gain))
    observed = gain[trials, label_of_trial].sum() / n_subjects
    n_distinct = n_labelings(groups, label_of_trial)
    if n_distinct < FEW_LABELINGS:
        every = np.array([label_of_trial[donors] for donors in enumerated_donors(groups, label_of_trial)])
        null = gain[trials, every].sum(axis=1) / n_subjects
        low, high = np.quantile(null, tails, method="inverted_cdf")
    else:
        generator = np.random.default_rng(seed)
        null = np.zeros(n_permutations)
        for group in groups:
            units = np.tile(np.arange(len(group)), (n_permutations, 1))
            donors = exchanged(group, generator.permuted(units, axis=1))
            own = group >= 0
            null += gain[group[own], label_of_trial[donors[:, own]]].sum(axis=1) / n_subjects
        low, high = np.quantile(null, tails)
    # Equal accuracies may differ by the rounding of their sums. Among all labelings, the real one is counted, too.
    reached, real = np.count_nonzero(null >= observed - 1e-9), int(n_distinct >= FEW_LABELINGS)
    p_value = (real + reached) / (real + len(null)) if n_distinct >= FEWEST_LABELINGS else np.nan
    return ChanceBand(float(null.mean()), float(low), float(high), p_value, n_distinct)


def corrected_t_test(differences: npt.ArrayLike, n_training: int, n_test: int) -> PairedTest:
    """Apply Nadeau and Bengio's corrected resampled t-test to one subject's folds.

    t = mean(d) / sqrt((1/J + n_test/n_training) var(d)) with J - 1 degrees of freedom: the training sets of the folds
    overlap, so that var(d)/J alone would be far too small a variance of the mean.

    Args:
        differences: `(J,)` score of the first minus score of the second, one per fold of a repetition.
        n_training: number of training units (rows or trials) of a fold.
        n_test: number of test units of a fold.

    Returns:
        t, two-sided p, J - 1. Equal differences give t = 0 and p = 1 if they are 0, otherwise an infinite t and p = 0.

    Raises:
        ValueError: fewer than two differences, or no training or test units.

    References:
        Nadeau and Bengio (2003). Inference for the generalization error. Machine Learning 52, 239-281.
    """
    if n_training < 1 or n_test < 1:
        raise ValueError(f"`n_training` is {n_training} and `n_test` is {n_test}; expected at least 1")
    return _t_test(differences, n_test / n_training)


def paired_subject_test(
    first: npt.ArrayLike, second: npt.ArrayLike, method: Literal["t", "wilcoxon"] = "t"
) -> PairedTest:
    """Apply a paired test to subjects' mean scores.

    Args:
        first: `(subjects,)` mean score of each subject under the first model or protocol.
        second: `(subjects,)` the same subjects under the second, in the same order.
        method: `"t"`, or `"wilcoxon"` (signed ranks; ignores subjects without a difference).

    Returns:
        Statistic and two-sided p; p is 1 if all differences are 0.

    Raises:
        ValueError: shapes differ, there are fewer than two subjects, or `method` is unknown.
    """
    first, second = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if first.shape != second.shape or first.ndim != 1 or len(first) < 2:
        raise ValueError(f"`first` {first.shape} and `second` {second.shape} must be `(subjects,)`, two or more")
    if method == "t":
        return _t_test(first - second, 0.0)
    if method != "wilcoxon":
        raise ValueError(f"`method` is {method!r}; expected 't' or 'wilcoxon'")
    differences = (first - second)[first != second]
    if len(differences) == 0:
        return PairedTest(0.0, 1.0, 0)
    outcome = scipy.stats.wilcoxon(differences)
    return PairedTest(float(outcome.statistic), float(outcome.pvalue), len(differences))


def mcnemar_test(labels: npt.ArrayLike, first: npt.ArrayLike, second: npt.ArrayLike) -> PairedTest:
    """Apply McNemar's exact test to two sets of trial votes.

    Among the trials that only one of the two models gets right, the first one's share is binomial with 1/2 under the
    null. Pass the votes of *one* repetition (`trial_votes`): windows of a trial, and repetitions of a vote, are not
    independent.

    Args:
        labels: `(trials,)` labels.
        first: `(trials,)` the first model's predictions.
        second: `(trials,)` the second model's predictions.

    Returns:
        Number of trials that only the first model got right, two-sided p, number of discordant trials.

    Raises:
        ValueError: shapes differ.

    Example:
        >>> mcnemar_test([1, 1, 1, 1, 1, 0], [1, 1, 1, 1, 1, 0], [0, 0, 0, 0, 0, 0])
        PairedTest(statistic=5.0, p_value=0.0625, degrees_of_freedom=5)
    """
    labels, first, second = (np.asarray(values) for values in (labels, first, second))
    if not labels.shape == first.shape == second.shape == (labels.size,):
        raise ValueError(f"`labels` {labels.shape}, `first` {first.shape}, `second` {second.shape} must be `(trials,)`")
    only_first = int(np.count_nonzero((first == labels) & (second != labels)))
    discordant = only_first + int(np.count_nonzero((first != labels) & (second == labels)))
    p_value = float(scipy.stats.binomtest(only_first, discordant).pvalue) if discordant else 1.0
    return PairedTest(float(only_first), p_value, discordant)


def _t_test(differences: npt.ArrayLike, extra_variance: float) -> PairedTest:
    """Apply a two-sided t-test of a zero mean, whose variance is `(1/J + extra_variance) var(d)`."""
    differences = np.asarray(differences, dtype=np.float64)
    if differences.ndim != 1 or len(differences) < 2:
        raise ValueError(f"`differences` has shape {differences.shape}; expected two or more in one dimension")
    freedom = len(differences) - 1
    mean = differences.mean()
    if np.ptp(differences) == 0:
        return PairedTest(float(np.sign(mean)) * np.inf if mean else 0.0, 0.0 if mean else 1.0, freedom)
    t = mean / np.sqrt((1 / len(differences) + extra_variance) * differences.var(ddof=1))
    return PairedTest(float(t), float(2 * scipy.stats.t.sf(abs(t), freedom)), freedom)


def _tails(level: float) -> tuple[float, float]:
    if not 0 < level < 1:
        raise ValueError(f"`level` is {level}; expected a share between 0 and 1")
    return (1 - level) / 2, (1 + level) / 2
