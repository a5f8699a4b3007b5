"""Intervals, the chance band and paired tests against SciPy, by hand and by enumeration."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from keras_emotion.evaluation import (
    bootstrap_confidence_interval,
    corrected_t_test,
    mcnemar_test,
    paired_subject_test,
    permutation_chance,
)
from keras_emotion.schema import InputError


@pytest.mark.parametrize("level", [0.95, 0.8])
def test_bootstrap_is_scipys_percentile_bootstrap(level):
    values = np.random.default_rng(5).normal(0.6, 0.1, 22)
    expected = scipy.stats.bootstrap(
        (values,),
        np.mean,
        n_resamples=10_000,
        confidence_level=level,
        method="percentile",
        rng=np.random.default_rng(99),
    ).confidence_interval
    found = bootstrap_confidence_interval(values, seed=3, level=level)
    # Two sets of 10,000 resamples: the quantiles differ by their own error, about sd / sqrt(n) / 50.
    standard_error = values.std() / math.sqrt(len(values))
    assert found == pytest.approx(tuple(expected), abs=0.1 * standard_error)
    assert found == bootstrap_confidence_interval(values, seed=3, level=level)
    assert found != bootstrap_confidence_interval(values, seed=4, level=level)


def test_bootstrap_of_few_subjects_and_of_undefined_scores():
    assert np.isnan(bootstrap_confidence_interval([])).all()
    assert np.isnan(bootstrap_confidence_interval([0.7])).all()
    assert np.isnan(bootstrap_confidence_interval([0.7, np.nan])).all()
    # Two subjects: a resample's mean is one of three values, each end with probability 1/4.
    assert bootstrap_confidence_interval([0.25, 0.75]) == (0.25, 0.75)
    assert bootstrap_confidence_interval([0.25, np.nan, 0.75]) == (0.25, 0.75)
    assert bootstrap_confidence_interval([0.5, 0.5, 0.5]) == (0.5, 0.5)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [({"values": [[1.0]]}, "values"), ({"n_resamples": 0}, "n_resamples"), ({"level": 1.0}, "level")],
)
def test_bad_bootstrap_arguments_are_named(arguments, name):
    with pytest.raises(ValueError, match=f"`{name}`"):
        bootstrap_confidence_interval(**{"values": [1.0, 2.0], **arguments})


def predictions_of(subjects, n_repetitions=1):
    """`subjects` maps subject to a list of (label, predictions of the windows) by trial."""
    rows = [
        (subject, trial, window, repetition, label, prediction)
        for subject, trials in subjects.items()
        for trial, (label, windows) in enumerate(trials, start=1)
        for window, prediction in enumerate(windows)
        for repetition in range(n_repetitions)
    ]
    names = ["subject", "trial", "start_seconds", "repetition", "label", "prediction"]
    return pd.DataFrame(rows, columns=names).assign(protocol="p", target="valence")


def enumerated_null(subjects):
    """Every way to permute the trial labels of each subject, and the accuracy of each."""
    accuracies = []
    for trials in subjects.values():
        labels = [label for label, _ in trials]
        n_windows = sum(len(windows) for _, windows in trials)
        accuracies.append(
            [
                sum(windows.count(label) for label, (_, windows) in zip(order, trials, strict=True)) / n_windows
                for order in itertools.permutations(labels)
            ]
        )
    return np.array([np.mean(combined) for combined in itertools.product(*accuracies)])


def test_chance_of_a_perfect_prediction_worked_by_hand():
    # Four trials, two high, all right: of the 6 ways to place two labels 1 is right, 4 half right, 1 wrong.
    subjects = {"s1": [(0, [0, 0]), (0, [0, 0]), (1, [1, 1]), (1, [1, 1])]}
    chance = permutation_chance(predictions_of(subjects), n_permutations=20_000)
    assert chance.mean == pytest.approx(0.5, abs=0.01)
    assert (chance.low, chance.high) == (0.0, 1.0)
    # One of six would always give a p-value of 1/6 at least: there is none.
    assert np.isnan(chance.p_value)
    assert chance.n_labelings == 6


@pytest.mark.parametrize("n_high", [3, 4])
def test_few_labelings_are_all_enumerated(n_high):
    # All of 6 or 7 trials right: 1 of 20, or of 35, labelings is.
    labels = [0] * 3 + [1] * n_high
    chance = permutation_chance(predictions_of({"s1": [(label, [label]) for label in labels]}), n_permutations=1)
    assert chance.n_labelings == math.comb(len(labels), 3)
    assert chance.p_value == pytest.approx(1 / chance.n_labelings)
    expected = [
        sum(a == b for a, b in zip(labels, order, strict=True)) for order in set(itertools.permutations(labels))
    ]
    assert chance.mean == pytest.approx(np.mean(expected) / len(labels))


def test_all_labels_of_a_stimulus_stay_together():
    # Four stimuli, each shown twice with one rating: six labelings, and not the 70 of eight trials.
    table = predictions_of({"s1": [(label, [label]) for label in (0, 0, 0, 0, 1, 1, 1, 1)]})
    table["stimulus"] = ["a", "a", "b", "b", "c", "c", "d", "d"]
    assert permutation_chance(table).n_labelings == 6
    assert permutation_chance(table.drop(columns="stimulus")).n_labelings == 70
    # A stimulus that is shown more often has nothing to be exchanged with.
    table.loc[2, "stimulus"] = "a"
    assert permutation_chance(table).n_labelings == 1


def test_subjects_who_are_trained_on_together_are_exchanged_alike():
    rows = {name: [(label, [label]) for label in (0, 0, 1, 1, 1)] for name in ("s1", "s2")}
    table = predictions_of(rows).assign(stimulus=lambda table: table["trial"])
    assert permutation_chance(table, between="trials").n_labelings == 10 * 10
    assert permutation_chance(table, between="stimuli").n_labelings == 10


def test_chance_of_a_constant_is_its_accuracy_exactly():
    subjects = {"s1": [(0, [1, 1]), (1, [1, 1]), (1, [1, 1]), (1, [1, 1])]}
    chance = permutation_chance(predictions_of(subjects, 3), 50)
    assert (chance.mean, chance.low, chance.high) == pytest.approx((0.75, 0.75, 0.75))
    assert chance.n_labelings == 4


def test_chance_agrees_with_every_permutation_enumerated():
    # Trials of different lengths, three classes, labels permuted within each subject.
    subjects = {
        "s1": [(0, [0, 0, 1]), (1, [1, 1]), (2, [2, 0, 2, 2]), (1, [1])],
        "s2": [(0, [1, 1]), (0, [0, 2, 0]), (1, [1, 0])],
    }
    null = enumerated_null(subjects)
    observed = np.mean([(2 + 2 + 3 + 1) / 10, (0 + 2 + 1) / 7])
    found = permutation_chance(predictions_of(subjects, n_repetitions=2), n_permutations=20_000)
    # Twelve distinct labelings of one subject, three of the other: all 36 are enumerated.
    assert found.n_labelings == 36
    assert found.mean == pytest.approx(null.mean())
    assert found.p_value == pytest.approx(np.mean(null >= observed - 1e-12))
    for end, share in ((found.low, 0.025), (found.high, 0.975)):
        assert np.mean(null < end - 1e-9) <= share + 0.01
        assert np.mean(null <= end + 1e-9) >= share - 0.01


def test_chance_keeps_the_label_of_a_trial_in_one_piece():
    # 20 trials of 30 windows, each predicted as one block: chance is as wide as 20 trials make it, not as 600 windows.
    generator = np.random.default_rng(0)
    subjects = {"s1": [(trial % 2, [int(generator.integers(2))] * 30) for trial in range(20)]}
    chance = permutation_chance(predictions_of(subjects), 2000)
    assert chance.high - chance.low > 0.3


def test_repetitions_count_alike_however_many_rows_they_have():
    # The second repetition scored one window of each trial only.
    subjects = {"s1": [(0, [0, 1, 1]), (1, [1, 1, 0])]}
    table = predictions_of(subjects, 2)
    table = table[(table["repetition"] == 0) | (table["start_seconds"] == 0)]
    # Labels kept: (3/6 + 2/2) / 2; labels swapped: (3/6 + 0/2) / 2.
    chance = permutation_chance(table, 4000)
    assert chance.low == pytest.approx(0.25)
    assert chance.high == pytest.approx(0.75)
    assert chance.mean == pytest.approx(0.5)


def test_chance_does_not_depend_on_the_order_of_rows():
    generator = np.random.default_rng(1)
    subjects = {
        subject: [(int(generator.integers(2)), generator.integers(0, 2, 3).tolist()) for _ in range(8)]
        for subject in ("s10", "s2", "s1")
    }
    table = predictions_of(subjects, 2)
    shuffled = table.iloc[generator.permutation(len(table))]
    assert permutation_chance(table, 100, seed=4) == pytest.approx(permutation_chance(shuffled, 100, seed=4), abs=1e-12)
    assert permutation_chance(table, 100, seed=4) != permutation_chance(table, 100, seed=5)


def test_trials_of_two_sessions_are_two_trials():
    one = predictions_of({"s1": [(0, [0, 0]), (1, [1, 1])]})
    other = one.assign(label=1 - one["label"], prediction=1 - one["prediction"])
    table = pd.concat([one.assign(session=1), other.assign(session=2)])
    # Four trials, two of each class.
    assert permutation_chance(table).n_labelings == 6


def test_bad_chance_arguments_are_named():
    table = predictions_of({"s1": [(0, [0]), (1, [1])]})
    both = pd.concat([table, table.assign(target="arousal")])
    for bad in (table.iloc[:0], both):
        with pytest.raises(ValueError, match="one protocol and one target"):
            permutation_chance(bad)
    with pytest.raises(ValueError, match="`n_permutations`"):
        permutation_chance(table, 0)
    with pytest.raises(ValueError, match="`level`"):
        permutation_chance(table, level=0.0)
    with pytest.raises(InputError, match="repetition"):
        permutation_chance(table.drop(columns="repetition"))


def test_corrected_t_test_worked_by_hand():
    # Mean 0.02, variance 0.0001 * 5/3 of four differences, trained on 9 times as much as tested.
    found = corrected_t_test([0.01, 0.03, 0.005, 0.035], n_training=36, n_test=4)
    variance = sum((difference - 0.02) ** 2 for difference in (0.01, 0.03, 0.005, 0.035)) / 3
    t = 0.02 / math.sqrt((1 / 4 + 1 / 9) * variance)
    assert found.statistic == pytest.approx(t)
    assert found.p_value == pytest.approx(2 * scipy.stats.t(3).sf(t))
    assert found.degrees_of_freedom == 3


def test_corrected_t_test_keeps_its_level_where_the_plain_one_does_not():
    # Scores of folds that share training data correlate by n_test / (n_training + n_test): Nadeau and Bengio's model.
    generator = np.random.default_rng(0)
    n_folds, correlation = 10, 0.1
    shared = generator.normal(size=(4000, 1)) * math.sqrt(correlation)
    own = generator.normal(size=(4000, n_folds)) * math.sqrt(1 - correlation)
    corrected = np.mean([corrected_t_test(row, 90, 10).p_value < 0.05 for row in shared + own])
    plain = np.mean(scipy.stats.ttest_1samp(shared + own, 0, axis=1).pvalue < 0.05)
    assert corrected == pytest.approx(0.05, abs=0.015)
    assert plain > 0.1


def test_paired_t_test_is_scipys():
    first, second = np.random.default_rng(2).normal(0.6, 0.1, (2, 12))
    found, expected = paired_subject_test(first, second), scipy.stats.ttest_rel(first, second)
    assert found.statistic == pytest.approx(expected.statistic)
    assert found.p_value == pytest.approx(expected.pvalue)
    assert found.degrees_of_freedom == expected.df


def test_wilcoxon_worked_by_hand():
    # All six differences positive and distinct: W = 0, p = 2 / 2**6.
    first = np.array([0.61, 0.72, 0.83, 0.94, 0.65, 0.56])
    found = paired_subject_test(first, first - [0.01, 0.02, 0.03, 0.04, 0.05, 0.06], "wilcoxon")
    assert found == (0.0, pytest.approx(2 / 64), 6)


@pytest.mark.parametrize("method", ["t", "wilcoxon"])
def test_subjects_without_any_difference(method):
    assert paired_subject_test([0.5, 0.75], [0.5, 0.75], method)[:2] == (0.0, 1.0)


def test_equal_differences_that_are_not_zero():
    assert paired_subject_test([0.75, 0.5], [0.5, 0.25]) == (np.inf, 0.0, 1)
    assert paired_subject_test([0.5, 0.25], [0.75, 0.5]) == (-np.inf, 0.0, 1)


@pytest.mark.parametrize(("only_first", "only_second"), [(0, 0), (1, 5), (7, 7), (12, 3)])
def test_mcnemar_is_a_binomial_test_of_the_discordant_trials(only_first, only_second):
    labels = np.ones(only_first + only_second + 8, dtype=int)
    first, second = np.zeros((2, len(labels)), dtype=int)
    first[:only_first] = 1
    second[only_first : only_first + only_second] = 1
    first[-4:] = second[-4:] = 1
    n_discordant = only_first + only_second
    least = min(only_first, only_second)
    tail = sum(math.comb(n_discordant, k) for k in range(least + 1)) / 2**n_discordant
    assert mcnemar_test(labels, first, second) == (only_first, pytest.approx(min(1.0, 2 * tail)), n_discordant)


def test_bad_arguments_of_paired_tests_are_named():
    with pytest.raises(ValueError, match="two or more"):
        corrected_t_test([0.1], 9, 1)
    with pytest.raises(ValueError, match="`n_training`"):
        corrected_t_test([0.1, 0.2], 0, 1)
    with pytest.raises(ValueError, match="`second`"):
        paired_subject_test([0.1, 0.2], [0.1])
    with pytest.raises(ValueError, match="`method`"):
        paired_subject_test([0.1, 0.2], [0.1, 0.3], "z")
    with pytest.raises(ValueError, match="`second`"):
        mcnemar_test([0, 1], [0, 1], [0])
