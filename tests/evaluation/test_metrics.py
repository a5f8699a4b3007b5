"""Scores against scikit-learn and by hand."""

import warnings

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
import scipy.stats
import sklearn.metrics

from keras_emotion.evaluation import (
    METRICS,
    always_high_f1,
    best_constant,
    classification_metrics,
    grouped_metrics,
    majority_baseline,
    majority_class,
    rating_metrics,
    trial_votes,
)
from keras_emotion.schema import InputError


def scikit_learn_scores(labels, predictions, n_classes):
    """The same scores from scikit-learn, its own zero division set to 0 and its warnings silenced."""
    average = {"average": "binary" if n_classes == 2 else "macro", "zero_division": 0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {
            "accuracy": sklearn.metrics.accuracy_score(labels, predictions),
            "balanced_accuracy": sklearn.metrics.balanced_accuracy_score(labels, predictions),
            "precision": sklearn.metrics.precision_score(labels, predictions, **average),
            "recall": sklearn.metrics.recall_score(labels, predictions, **average),
            "f1": sklearn.metrics.f1_score(labels, predictions, **average),
            "f1_macro": sklearn.metrics.f1_score(labels, predictions, average="macro", zero_division=0),
            "cohen_kappa": sklearn.metrics.cohen_kappa_score(labels, predictions, replace_undefined_by=0.0),
        }


@st.composite
def labelled_rows(draw):
    n_classes = draw(st.integers(2, 4))
    n_rows = draw(st.integers(1, 40))
    # Different ranges, so that classes are missing on either side.
    most = [draw(st.integers(0, n_classes - 1)) for _ in range(2)]
    generator = np.random.default_rng(draw(st.integers(0, 10_000)))
    labels, predictions = (generator.integers(0, top + 1, n_rows) for top in most)
    return n_classes, labels, predictions, generator


@hypothesis.given(labelled_rows())
@hypothesis.settings(max_examples=100, deadline=None)
def test_scores_agree_with_scikit_learn(rows):
    n_classes, labels, predictions, _ = rows
    found = classification_metrics(labels, predictions, n_classes=n_classes)
    assert tuple(found) == METRICS
    expected = scikit_learn_scores(labels, predictions, n_classes)
    assert found == pytest.approx(expected, abs=1e-12)


@hypothesis.given(labelled_rows())
@hypothesis.settings(max_examples=50, deadline=None)
def test_area_under_the_curve_agrees_with_scikit_learn(rows):
    n_classes, labels, predictions, generator = rows
    probabilities = generator.dirichlet(np.ones(n_classes), len(labels)).round(1)  # rounded: with ties
    found = classification_metrics(labels, predictions, probabilities)["roc_auc"]
    of_interest = [1] if n_classes == 2 else range(n_classes)
    if all(0 < np.sum(labels == label) < len(labels) for label in of_interest):
        expected = np.mean(
            [sklearn.metrics.roc_auc_score(labels == label, probabilities[:, label]) for label in of_interest]
        )
        assert found == pytest.approx(expected, abs=1e-12)
    else:
        assert np.isnan(found)


@hypothesis.given(st.integers(0, 10_000))
@hypothesis.settings(max_examples=20, deadline=None)
def test_each_group_is_scored_alone(seed):
    generator = np.random.default_rng(seed)
    group = generator.permutation(np.repeat(np.arange(5), 8))
    labels, predictions = generator.integers(0, 3, (2, 40))
    probabilities = generator.dirichlet(np.ones(3), 40)
    found = grouped_metrics(group, labels, predictions, probabilities)
    for one in range(5):
        rows = group == one
        alone = classification_metrics(labels[rows], predictions[rows], probabilities[rows])
        assert found.iloc[one].to_dict() == pytest.approx(alone, abs=1e-12, nan_ok=True)


def test_scores_worked_by_hand():
    # 3 true highs found, 1 missed, 2 false alarms, 4 true lows.
    labels = [1] * 4 + [0] * 6
    predictions = [1, 1, 1, 0, 1, 1, 0, 0, 0, 0]
    found = classification_metrics(labels, predictions)
    expected_agreement = (4 * 5 + 6 * 5) / 100
    assert found == pytest.approx(
        {
            "accuracy": 0.7,
            "balanced_accuracy": (3 / 4 + 4 / 6) / 2,
            "precision": 3 / 5,
            "recall": 3 / 4,
            "f1": 6 / 9,
            "f1_macro": (6 / 9 + 8 / 11) / 2,
            "cohen_kappa": (0.7 - expected_agreement) / (1 - expected_agreement),
        }
    )


def test_undefined_scores_are_zero_and_nothing_warns():
    only_low = classification_metrics([0, 0], [0, 0])
    assert only_low == dict.fromkeys(METRICS, 0.0) | {"accuracy": 1.0, "balanced_accuracy": 1.0, "f1_macro": 1.0}
    assert np.isnan(classification_metrics([0, 0], [0, 0], [[1, 0], [1, 0]])["roc_auc"])


@pytest.mark.parametrize(
    "arguments",
    [
        ([], []),
        ([0, 1], [0]),
        ([[0, 1]], [[0, 1]]),
        ([0, 2], [0, 1], None, 2),
        ([0, -1], [0, 1]),
        ([0, 1], [0, 0.5]),
        ([0, 1], [0, 1], [0.1, 0.9]),
        ([0, 1], [0, 1], [[0.1, 0.9]]),
    ],
)
def test_rows_that_cannot_be_scored_are_refused(arguments):
    with pytest.raises(ValueError, match=r"`(labels|predictions|probabilities)`"):
        classification_metrics(*arguments)


def test_baselines_worked_by_hand():
    assert majority_class([2, 1, 2, 1, 0]) == 1
    assert majority_baseline([1, 1, 0], [0, 0, 0, 1]) == 0.25
    assert best_constant([0, 0, 0, 1]) == 0.75
    assert best_constant([1, 0]) == 0.5
    with pytest.raises(ValueError, match="empty"):
        majority_baseline([], [1])


@pytest.mark.parametrize("n_high", [0, 1, 5, 9, 10])
def test_always_high_f1_is_that_of_a_constant(n_high):
    labels = np.arange(10) < n_high
    expected = sklearn.metrics.f1_score(labels, np.ones(10), zero_division=0)
    assert always_high_f1(n_high / 10) == pytest.approx(expected)


def predictions_table():
    """Trial 10: three windows, two vote low, the mean says high. Trial 9: a tied vote, the mean says low."""
    rows = [
        (10, 0, 0, 1, 0, 0.55, 0.45),
        (10, 1, 1, 1, 0, 0.55, 0.45),
        (10, 2, 0, 1, 1, 0.10, 0.90),
        (9, 0, 1, 0, 1, 0.40, 0.60),
        (9, 1, 2, 0, 0, 0.90, 0.10),
    ]
    names = ["trial", "start_seconds", "fold", "label", "prediction", "probability_0", "probability_1"]
    return pd.DataFrame(rows, columns=names).assign(
        protocol="p", target="valence", subject="s1", repetition=0, stimulus="film", probability_2=np.nan
    )


def test_trial_votes_worked_by_hand():
    table = predictions_table()
    by_mean = trial_votes(table).set_index("trial")
    assert by_mean["prediction"].to_dict() == {9: 0, 10: 1}
    assert by_mean["probability_1"].to_dict() == pytest.approx({9: 0.35, 10: 0.6})
    assert by_mean["n_windows"].to_dict() == {9: 2, 10: 3}
    assert by_mean["label"].to_dict() == {9: 0, 10: 1}
    assert by_mean["stimulus"].to_dict() == {9: "film", 10: "film"}
    assert "fold" not in by_mean
    assert "probability_2" not in by_mean
    by_vote = trial_votes(table, "vote").set_index("trial")
    assert by_vote["prediction"].to_dict() == {9: 0, 10: 0}
    tied = table.assign(probability_0=1 - table["probability_1"] - 0.4, probability_1=table["probability_1"] + 0.4)
    assert trial_votes(tied, "vote").set_index("trial")["prediction"].to_dict() == {9: 1, 10: 0}
    pd.testing.assert_frame_equal(trial_votes(table), trial_votes(table.iloc[::-1]))


def test_repetitions_sessions_protocols_and_targets_vote_apart():
    table = predictions_table()
    variants = [{}, {"repetition": 1}, {"subject": "s2"}, {"protocol": "q"}, {"target": "arousal"}, {"session": 2}]
    together = pd.concat([table.assign(**{"session": 1, **changed}) for changed in variants], ignore_index=True)
    assert len(trial_votes(together)) == 2 * len(variants)


def test_votes_without_probabilities():
    table = predictions_table().drop(columns=["probability_0", "probability_1", "probability_2"])
    votes = trial_votes(table.assign(majority_class=[1, 1, 0, 0, 0]), "vote")
    assert votes["prediction"].tolist() == [0, 0]
    assert votes["majority_class"].tolist() == [0, 1]
    with pytest.raises(ValueError, match="no probabilities"):
        trial_votes(table)
    with pytest.raises(ValueError, match="`method`"):
        trial_votes(table, "guess")
    with pytest.raises(InputError, match="no column trial"):
        trial_votes(table.drop(columns="trial"), "vote")


# Ratings --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_scores_of_ratings_are_those_of_other_libraries(seed):
    generator = np.random.default_rng(seed)
    ratings = generator.normal(3, 2, 50)
    predictions = 0.4 * ratings + generator.normal(1, 1, 50)
    found = rating_metrics(ratings, predictions)
    error = sklearn.metrics.root_mean_squared_error(ratings, predictions)
    r = scipy.stats.pearsonr(ratings, predictions).statistic
    assert found["root_mean_squared_error"] == pytest.approx(error)
    assert found["correlation"] == pytest.approx(r)
    # Lin's other form: the correlation, times the distance of both from the 45 degree line.
    scale, shift = ratings.std() / predictions.std(), ratings.mean() - predictions.mean()
    bias = 2 / (scale + 1 / scale + shift**2 / (ratings.std() * predictions.std()))
    assert found["concordance"] == pytest.approx(r * bias)


def test_concordance_wants_the_ratings_themselves():
    ratings = np.arange(10.0)
    assert rating_metrics(ratings, ratings)["concordance"] == pytest.approx(1)
    risen = rating_metrics(ratings, ratings + 5)
    assert risen["correlation"] == pytest.approx(1)
    assert risen["concordance"] == pytest.approx(2 * 8.25 / (2 * 8.25 + 25))
    assert rating_metrics(ratings, -ratings)["correlation"] == pytest.approx(-1)


@pytest.mark.parametrize("constant", [0.0, 0.1 + 1e9])
def test_a_constant_prediction_agrees_with_nothing(constant):
    found = rating_metrics(np.arange(7.0), np.full(7, constant))
    assert (found["correlation"], found["concordance"]) == (0.0, 0.0)


@pytest.mark.parametrize(("ratings", "predictions"), [([], []), ([1, 2], [1, 2, 3]), ([[1, 2]], [[1, 2]])])
def test_ratings_and_predictions_must_match(ratings, predictions):
    with pytest.raises(ValueError, match=r"must be `\(rows,\)`, one row or more"):
        rating_metrics(ratings, predictions)
