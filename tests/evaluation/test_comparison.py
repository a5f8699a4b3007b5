"""Comparison of two models on the same folds: against SciPy, by hand, and with planted differences."""

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from keras_emotion.evaluation import TRAINING_WINDOWS, compare, holm_correction
from keras_emotion.schema import InputError

N_TRIALS, N_WINDOWS, N_FOLDS = 12, 3, 4


def table(seed, share_right, subjects=(2, 10, 7), n_repetitions=2, protocol="trial_disjoint"):
    """Predictions with a given share of correct ones, in trial-wise folds; each fold holds every fourth trial."""
    generator = np.random.default_rng(seed)
    rows = []
    for subject in subjects:
        for repetition in range(n_repetitions):
            for trial in range(1, N_TRIALS + 1):
                for start in range(N_WINDOWS):
                    label = (trial + subject) % 2
                    right = generator.random() < share_right
                    fold = (trial + repetition * (trial // 5)) % N_FOLDS
                    rows.append((subject, trial, 2.0 * start, 2.0 * start + 2, repetition, fold, label, right))
    names = ["subject", "trial", "start_seconds", "stop_seconds", "repetition", "fold", "label", "right"]
    predictions = pd.DataFrame(rows, columns=names)
    predictions["prediction"] = np.where(predictions["right"], predictions["label"], 1 - predictions["label"])
    predictions[TRAINING_WINDOWS] = 20 + predictions["fold"]
    return predictions.drop(columns="right").assign(protocol=protocol, target="arousal")


def with_probabilities(predictions, seed):
    """Probabilities that agree with the predictions, with varying certainty."""
    sure = np.random.default_rng(seed).uniform(0.5, 1, len(predictions))
    high = np.where(predictions["prediction"] == 1, sure, 1 - sure)
    return predictions.assign(probability_0=1 - high, probability_1=high)


def loop_accuracy(rows):
    return sum(row.label == row.prediction for row in rows.itertuples()) / len(rows)


def test_tests_over_subjects_equal_scipy():
    first, second = table(0, 0.8, subjects=range(1, 13)), table(1, 0.6, subjects=range(1, 13))
    found = compare(first, second.sample(frac=1, random_state=3), "within_subject")
    expected = [
        [
            np.mean([loop_accuracy(block) for _, block in rows[rows["subject"] == subject].groupby("repetition")])
            for subject in range(1, 13)
        ]
        for rows in (first, second)
    ]
    assert found.subjects["subject"].tolist() == list(range(1, 13))
    np.testing.assert_allclose(found.subjects["first_accuracy"], expected[0])
    np.testing.assert_allclose(found.subjects["second_accuracy"], expected[1])
    differences = np.subtract(*expected)
    np.testing.assert_allclose(found.subjects["difference"], differences)
    assert found.mean_difference == pytest.approx(differences.mean())
    t_test, wilcoxon = scipy.stats.ttest_rel(*expected), scipy.stats.wilcoxon(differences)
    assert found.t_test[:2] == pytest.approx((t_test.statistic, t_test.pvalue))
    assert found.wilcoxon[:2] == pytest.approx((wilcoxon.statistic, wilcoxon.pvalue))
    interval = scipy.stats.bootstrap((differences,), np.mean, method="percentile", n_resamples=20_000, rng=5)
    ends = interval.confidence_interval
    np.testing.assert_allclose((found.confidence_low, found.confidence_high), ends, atol=0.005)
    assert (found.protocol, found.target, found.scored_unit) == ("trial_disjoint", "arousal", "window")


def test_within_a_subject_the_corrected_test_by_hand():
    """Two folds: fold 0 of two windows after four of training, fold 1 of four windows after two."""
    first = pd.DataFrame(
        {
            "protocol": "trial_disjoint",
            "target": "arousal",
            "subject": "s1",
            "trial": [1, 1, 2, 2, 3, 3],
            "start_seconds": [0.0, 1.0] * 3,
            "stop_seconds": [1.0, 2.0] * 3,
            "repetition": 0,
            "fold": [0, 0, 1, 1, 1, 1],
            "label": [1, 1, 0, 0, 1, 1],
            "prediction": [1, 1, 0, 0, 1, 0],
            TRAINING_WINDOWS: [4, 4, 2, 2, 2, 2],
        }
    )
    second = first.assign(prediction=[1, 0, 1, 1, 1, 0])
    found = compare(first, second, "within_subject")
    row = found.subjects.iloc[0]
    # Fold accuracies 1 and 3/4 against 1/2 and 1/4: differences 1/2 and 1/2 are the same, without variance.
    assert (row["n_folds"], row["fold_difference"]) == (2, 0.5)
    assert np.isnan(row[["t", "degrees_of_freedom", "p_value", "p_value_holm"]].astype(float)).all()
    second["prediction"] = [1, 1, 1, 1, 1, 0]
    row = compare(first, second, "within_subject").subjects.iloc[0]
    # Differences 0 and 1/2: mean 1/4, variance 1/8; 6 test windows to 6 of training in all, so that the variance of
    # the mean is (1/2 + 1) / 8. One degree of freedom is Cauchy's distribution.
    t = 0.25 / (1.5 / 8) ** 0.5
    p_value = 1 - 2 / np.pi * np.arctan(t)
    assert (row["t"], row["degrees_of_freedom"], row["p_value"]) == pytest.approx((t, 1, p_value))
    # Pooled: five of six right against three of six; not the mean over folds, which have two windows and four.
    assert (row["first_accuracy"], row["second_accuracy"]) == pytest.approx((5 / 6, 3 / 6))
    assert (row["difference"], row["fold_difference"]) == pytest.approx((2 / 6, 1 / 4))
    assert found.t_test is None
    assert found.wilcoxon is None
    assert np.isnan([found.confidence_low, found.confidence_high]).all()


def test_folds_of_all_repetitions_and_holm_over_subjects():
    first, second = table(4, 0.9), table(5, 0.5)
    found = compare(first, second, "within_subject").subjects
    for row in found.itertuples():
        differences = []
        for repetition in (0, 1):
            for fold in range(N_FOLDS):
                part = [
                    rows[(rows["subject"] == row.subject) & (rows["repetition"] == repetition) & (rows["fold"] == fold)]
                    for rows in (first, second)
                ]
                differences.append(loop_accuracy(part[0]) - loop_accuracy(part[1]))
        assert row.n_folds == len(differences) == 8
        # Per repetition 36 windows are tested, after 20 + 21 + 22 + 23 of training.
        scale = np.sqrt((1 / 8 + 36 / 86) * np.var(differences, ddof=1))
        assert row.t == pytest.approx(np.mean(differences) / scale)
        assert row.p_value == pytest.approx(2 * scipy.stats.t.sf(abs(row.t), 7))
    np.testing.assert_allclose(found["p_value_holm"], holm_correction(found["p_value"]))
    assert (found["p_value_holm"] > found["p_value"]).any()


def test_across_subjects_folds_are_no_sample_of_a_subject():
    first, second = table(0, 0.8, protocol="subject_disjoint"), table(1, 0.6, protocol="subject_disjoint")
    found = compare(first, second, "across_subjects")
    columns = ["t", "degrees_of_freedom", "p_value", "p_value_holm"]
    assert found.subjects[columns].isna().all(axis=None)
    within = compare(first, second, "within_subject")
    assert found.t_test == within.t_test
    assert found.mcnemar == within.mcnemar


def test_a_single_fold_is_not_tested():
    first, second = (table(seed, 0.7, n_repetitions=1).assign(fold=0) for seed in (0, 1))
    found = compare(first.assign(n_training_windows=9), second.assign(n_training_windows=9), "within_subject")
    assert found.subjects["p_value"].isna().all()
    assert (found.subjects["n_folds"] == 1).all()


def test_mcnemar_on_the_votes_of_one_repetition():
    first, second = table(6, 0.8), table(7, 0.6)
    found = compare(first, second, "within_subject")
    only_first = only_second = 0
    for _, block in first[first["repetition"] == 0].groupby(["subject", "trial"]):
        other = second.loc[block.index]
        votes = [int(rows["prediction"].sum() > N_WINDOWS / 2) for rows in (block, other)]
        label = block["label"].iloc[0]
        only_first += votes[0] == label != votes[1]
        only_second += votes[1] == label != votes[0]
    assert only_second > 0
    expected = scipy.stats.binomtest(only_first, only_first + only_second).pvalue
    assert found.mcnemar == pytest.approx((only_first, expected, only_first + only_second))
    assert (found.repetition, found.n_trials) == (0, 3 * N_TRIALS)


def test_votes_are_taken_alike_for_both():
    """Mean probabilities decide where both have them; where one has none, the windows' votes do for both."""
    first, second = with_probabilities(table(6, 0.7), 1), table(7, 0.6)
    one_sided = compare(first, second, "within_subject", "trial")
    votes = compare(table(6, 0.7), second, "within_subject", "trial")
    pd.testing.assert_frame_equal(one_sided.subjects, votes.subjects)
    both = compare(first, with_probabilities(second, 2), "within_subject", "trial")
    assert not both.subjects["first_accuracy"].equals(votes.subjects["first_accuracy"])


def test_scored_by_trial_the_folds_vote_by_themselves():
    first, second = table(8, 0.7), table(9, 0.6)
    found = compare(first, second, "within_subject", "trial").subjects
    for row in found.itertuples():
        accuracies = []
        for rows in (first, second):
            own = rows[rows["subject"] == row.subject]
            right = (
                own.assign(right=own["label"] == own["prediction"])
                .groupby(["repetition", "fold", "trial"])["right"]
                .mean()
            )
            accuracies.append((right > 0.5).astype(float))
        assert row.first_accuracy == pytest.approx(accuracies[0].groupby("repetition").mean().mean())
        by_fold = (accuracies[0] - accuracies[1]).groupby(["repetition", "fold"]).mean()
        assert row.fold_difference == pytest.approx(by_fold.mean())


def test_differences_that_are_all_the_same_are_no_evidence():
    """Each of three subjects has one more correct window in one model, at accuracies with different rounding."""
    first = table(0, 1.0, n_repetitions=1)
    for subject, n_wrong in ((2, 1), (7, 4), (10, 9)):
        own = first.index[first["subject"] == subject][:n_wrong]
        first.loc[own, "prediction"] = 1 - first.loc[own, "label"]
    second = first.copy()
    for subject in (2, 7, 10):
        last = first.index[first["subject"] == subject][-1]
        second.loc[last, "prediction"] = 1 - first.loc[last, "label"]
    found = compare(first, second, "within_subject")
    np.testing.assert_allclose(found.subjects["difference"], 1 / 36)
    assert found.t_test is None
    assert found.wilcoxon.p_value == pytest.approx(0.25)


def test_equal_models_do_not_differ():
    same = table(0, 0.7)
    found = compare(same, same, "within_subject")
    assert (found.mean_difference, found.t_test.p_value, found.wilcoxon.p_value, found.mcnemar.p_value) == (0, 1, 1, 1)
    assert (found.subjects[["p_value", "p_value_holm"]] == 1).all(axis=None)


def test_swapping_turns_the_signs_alone():
    first, second = table(0, 0.8), table(1, 0.6)
    there, back = compare(first, second, "within_subject"), compare(second, first, "within_subject")
    assert back.mean_difference == pytest.approx(-there.mean_difference)
    assert back.t_test[1] == pytest.approx(there.t_test[1])
    np.testing.assert_allclose(back.subjects["t"], -there.subjects["t"])
    assert back.mcnemar.statistic == there.mcnemar.degrees_of_freedom - there.mcnemar.statistic


PLACE = r"subject 2, trial 3, 2 to 4 s, repetition 1"


def changed(column, value):
    rows = table(0, 0.7)
    here = (rows["subject"] == 2) & (rows["trial"] == 3) & (rows["start_seconds"] == 2) & (rows["repetition"] == 1)
    assert here.sum() == 1
    rows.loc[here, column] = value
    return rows


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("fold", 0, rf"not tested in the same folds: {PLACE}: fold 3 in the first, 0 in the second"),
        ("label", 0, rf"do not have the same labels: {PLACE}: label 1 in the first, 0 in the second"),
        (TRAINING_WINDOWS, 99, rf"not trained on equally many windows: {PLACE}: training windows 23 in the first, 99"),
        (
            "start_seconds",
            2.5,
            rf"not tested on the same windows: {PLACE} is in the first table only \(2 such windows\)",
        ),
        ("trial", 2, "the second predictions table scores a window twice: subject 2, trial 2, 2 to 4 s, repetition 1"),
    ],
)
def test_other_folds_are_refused_and_the_first_difference_named(column, value, message):
    with pytest.raises(InputError, match=message):
        compare(table(0, 0.7), changed(column, value), "within_subject")


def test_a_window_that_only_the_second_has():
    rows = table(0, 0.7)
    with pytest.raises(InputError, match=r"subject 2, trial 1, 0 to 2 s, repetition 0 is in the second table only"):
        compare(rows.iloc[1:], rows, "within_subject")


def test_sessions_tell_windows_apart():
    rows = pd.concat([table(0, 0.7).assign(session=session) for session in (1, 2)])
    found = compare(rows, rows, "within_subject")
    assert found.n_trials == 2 * 3 * N_TRIALS
    with pytest.raises(InputError, match="twice"):
        compare(rows.drop(columns="session"), rows.drop(columns="session"), "within_subject")
    with pytest.raises(InputError, match="the second predictions table has no column session"):
        compare(rows, rows.drop(columns="session"), "within_subject")


def test_bad_arguments():
    rows = table(0, 0.7)
    with pytest.raises(InputError, match="the second predictions table has no column n_training_windows"):
        compare(rows, rows.drop(columns=TRAINING_WINDOWS), "within_subject")
    with pytest.raises(ValueError, match="the same target"):
        compare(rows, rows.assign(target="valence"), "within_subject")
    with pytest.raises(ValueError, match="the same protocol"):
        compare(rows[:0], rows, "within_subject")
    with pytest.raises(ValueError, match="`scope` is 'subject'"):
        compare(rows, rows, "subject")
    with pytest.raises(ValueError, match="`scored_unit` is 'fold'"):
        compare(rows, rows, "within_subject", "fold")


def test_holm_by_hand():
    # Sorted 0.01, 0.02, 0.03, 0.4 times 4, 3, 2, 1: 0.04, 0.06, 0.06, 0.4.
    np.testing.assert_allclose(holm_correction([0.4, 0.01, 0.03, 0.02]), [0.4, 0.04, 0.06, 0.06])
    # 2 * 0.01 and then max(0.02, 0.015).
    np.testing.assert_allclose(holm_correction([0.015, np.nan, 0.01]), [0.02, np.nan, 0.02])
    np.testing.assert_allclose(holm_correction([0.9, 0.8]), [1, 1])
    assert holm_correction([]).shape == (0,)
