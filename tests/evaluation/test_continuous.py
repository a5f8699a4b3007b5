"""Scores of continuous ratings, and baselines without a signal."""

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from keras_emotion.evaluation import BASELINES, continuous_scores, continuous_summary, rating_metrics
from keras_emotion.reports.continuous import summary_blocks


def steps(ratings, subject="1", trial=1, stimulus="a", **columns):
    starts = np.arange(len(ratings), dtype=float)
    fixed = {"dataset": "d", "subject": subject, "session": "1", "trial": trial, "stimulus": stimulus}
    return pd.DataFrame({**fixed, "start_seconds": starts, "rating": np.asarray(ratings, float), **columns})


@pytest.fixture
def train():
    return pd.concat([steps([0, 1, 2, 3], stimulus="a"), steps([2, 3, 4], trial=2, stimulus="b")], ignore_index=True)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mean", [15 / 7] * 5),
        # Means of both trials at 0, 1, 2 s; of the one at 3 s; after that of all.
        ("order alone", [1, 2, 3, 3, 15 / 7]),
        # The trial of the same stimulus; after its end the mean of that stimulus.
        ("knows the stimulus", [2, 3, 4, 3, 3]),
        ("last value", [15 / 7, 9, 8, 7, 6]),
    ],
)
def test_baselines(train, name, expected):
    test = steps([9, 8, 7, 6, 5], subject="2", stimulus="b")
    np.testing.assert_allclose(BASELINES[name](train, test), expected, rtol=1e-12)


def test_a_stimulus_that_is_new_has_the_order_alone(train):
    test = steps([9, 8, 7, 6, 5], subject="2", stimulus="new")
    np.testing.assert_array_equal(BASELINES["knows the stimulus"](train, test), BASELINES["order alone"](train, test))


def test_the_last_value_is_that_of_the_same_trial_whatever_the_order_of_rows(train):
    test = pd.concat([steps([9, 8], subject="2"), steps([5, 4], subject="2", trial=2)], ignore_index=True)
    order = [3, 0, 2, 1]
    found = BASELINES["last value"](train, test.iloc[order])
    np.testing.assert_allclose(found, np.array([15 / 7, 9, 15 / 7, 5])[[3, 0, 2, 1]], rtol=1e-12)


def predicted(model, predictions, subject="1", repetition=0):
    ratings = ([0, 1, 2, 3], [2, 3, 4, 5])
    columns = {"protocol": "p", "repetition": repetition, "model": model, "subject": subject}
    rows = [
        steps(rating, trial=trial, prediction=np.asarray(prediction, float), **columns)
        for trial, (rating, prediction) in enumerate(zip(ratings, predictions, strict=True), 1)
    ]
    return pd.concat(rows, ignore_index=True)


def test_scores_of_a_person():
    first, second = ([0, 1, 2, 3], [3, 3, 3, 3]), ([3, 2, 1, 0], [5, 4, 3, 2])
    table = pd.concat([predicted("m", first), predicted("m", second, repetition=1)], ignore_index=True)
    (row,) = continuous_scores(table).to_dict("records")
    ratings = [0, 1, 2, 3, 2, 3, 4, 5]
    by_hand = [rating_metrics(ratings, [*one, *other]) for one, other in (first, second)]
    for name in ("concordance", "correlation", "root_mean_squared_error"):
        assert row[name] == pytest.approx(np.mean([one[name] for one in by_hand]))
    # Trials correlate by 1 and 0 (a constant), then by -1 and -1.
    assert row["within_trials"] == pytest.approx((0.5 - 1) / 2)
    assert (row["n_steps"], row["n_trials"]) == (8, 2)


def test_means_intervals_and_tests_over_people():
    rng = np.random.default_rng(0)
    people = [str(number) for number in range(6)]
    scores = pd.concat(
        [
            continuous_scores(
                pd.concat([predicted(model, size * rng.normal(size=(2, 4)), one) for one in people], ignore_index=True)
            )
            for model, size in (("m", 1.0), ("order alone", 2.0), ("knows the stimulus", 0.5))
        ],
        ignore_index=True,
    )
    summary = continuous_summary(scores).set_index("model")
    values = {model: own.sort_values("subject")["concordance"].to_numpy() for model, own in scores.groupby("model")}
    row = summary.loc["m"]
    interval = scipy.stats.ttest_1samp(values["m"], 0).confidence_interval()
    assert (row["low"], row["high"]) == pytest.approx(tuple(interval))
    assert row["p_order"] == pytest.approx(scipy.stats.ttest_rel(values["m"], values["order alone"]).pvalue)
    assert row["p_stimulus"] == pytest.approx(scipy.stats.ttest_rel(values["m"], values["knows the stimulus"]).pvalue)
    assert summary.loc[["order alone", "knows the stimulus"], ["p_order", "p_stimulus"]].isna().all(axis=None)
    alone = continuous_summary(scores[scores["subject"] == "3"]).set_index("model").loc["m"]
    assert np.isnan([alone["low"], alone["high"], alone["p_order"]]).all()


def test_the_brief_table_has_a_block_for_each_protocol():
    row = (3, 0.5, 0.2, 0.8, 0.4, 0.3, 1.25, 0.0004, np.nan)
    names = ["n_subjects", "concordance", "low", "high", "correlation", "within_trials", "root_mean_squared_error"]
    places = [("trial_disjoint", "ridge"), ("trial_disjoint", "mean"), ("subject_disjoint", "ridge")]
    columns = ["protocol", "model", *names, "p_order", "p_stimulus"]
    headings, blocks = summary_blocks(pd.DataFrame([(*place, *row) for place in places], columns=columns))
    assert headings == ["concordance", "95 %", "within trials", "p order", "p stimulus"]
    cells = ["0.50", "0.20 to 0.80", "0.30", "< 0.001", ""]
    assert blocks == {
        "trial_disjoint, 3 subjects": [("ridge", cells), ("mean", cells)],
        "subject_disjoint, 3 subjects": [("ridge", cells)],
    }
