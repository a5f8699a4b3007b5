"""Permuted ratings: what stays, what moves, and for which subjects."""

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest

from keras_emotion.evaluation import PROTOCOLS
from keras_emotion.evaluation.permutation import labeling_ratings, permuted_between, permuted_ratings


@st.composite
def tables(draw):
    """Subjects with trials of some windows each; a stimulus may be missing for a subject."""
    n_stimuli = draw(st.integers(3, 6))
    rows = []
    for subject in range(draw(st.integers(1, 4))):
        shown = draw(st.lists(st.integers(0, n_stimuli - 1), min_size=2, unique=True))
        for trial, stimulus in enumerate(shown):
            rating = draw(st.integers(1, 9))
            rows += [(f"s{subject}", trial + 1, f"film{stimulus}", float(rating))] * draw(st.integers(1, 3))
    table = pd.DataFrame(rows, columns=["subject", "trial", "stimulus", "rating"])
    return table.assign(dataset="test", session=1)


def of_trials(table, ratings):
    return table.assign(rating=ratings).groupby(["subject", "trial"])["rating"]


@hypothesis.given(table=tables(), permutation=st.integers(1, 50), between=st.sampled_from(["trials", "stimuli"]))
@hypothesis.settings(max_examples=60, deadline=None)
def test_ratings_stay_with_their_subject_and_constant_within_trials(table, permutation, between):
    moved = permuted_ratings(table, table["rating"], permutation, between=between)
    assert (of_trials(table, moved).nunique() == 1).all()
    before, after = of_trials(table, table["rating"]).first(), of_trials(table, moved).first()
    for subject in table["subject"].unique():
        assert sorted(before[subject]) == sorted(after[subject])


@hypothesis.given(table=tables(), permutation=st.integers(1, 50), seed=st.integers(0, 99))
@hypothesis.settings(max_examples=40, deadline=None)
def test_a_shuffle_depends_on_neither_the_other_subjects_nor_the_order_of_rows(table, permutation, seed):
    whole = permuted_ratings(table, table["rating"], permutation)
    alone = table["subject"] == "s0"
    np.testing.assert_array_equal(
        permuted_ratings(table[alone], table["rating"][alone], permutation), whole[alone.to_numpy()]
    )
    rows = np.random.default_rng(seed).permutation(len(table))
    for between in ("trials", "stimuli"):
        whole = permuted_ratings(table, table["rating"], permutation, between=between)
        shuffled = table.iloc[rows]
        np.testing.assert_array_equal(
            permuted_ratings(shuffled, shuffled["rating"], permutation, between=between), whole[rows]
        )


@hypothesis.given(table=tables(), permutation=st.integers(1, 50), between=st.sampled_from(["trials", "stimuli"]))
@hypothesis.settings(max_examples=40, deadline=None)
def test_several_ratings_of_a_trial_move_together(table, permutation, between):
    """The second rating moves together with the first."""
    second = table.groupby(["subject", "trial"]).ngroup().to_numpy(dtype=float)
    pairs = np.stack([table["rating"], second], axis=1)
    moved = permuted_ratings(table, pairs, permutation, between=between)
    rating_of_trial = dict(zip(second, table["rating"], strict=True))
    assert [rating_of_trial[trial] for trial in moved[:, 1]] == moved[:, 0].tolist()
    np.testing.assert_array_equal(moved[:, 0], permuted_ratings(table, table["rating"], permutation, between=between))
    labels = table["rating"].to_numpy() > 5
    listed = labeling_ratings(table, pairs, labels, 0, between)
    np.testing.assert_array_equal(listed, pairs)
    assert [rating_of_trial[trial] for trial in listed[:, 1]] == listed[:, 0].tolist()


def test_between_stimuli_all_subjects_exchange_alike():
    table = pd.DataFrame(
        {"dataset": "test", "subject": np.repeat([1, 2, 3], 5), "session": 1, "trial": np.tile(np.arange(1, 6), 3)}
    )
    table["stimulus"] = [f"film{trial}" for trial in table["trial"]]
    ratings = table["trial"] + 10.0 * table["subject"]
    moved = permuted_ratings(table, ratings, 3, between="stimuli") - 10 * table["subject"]
    by_subject = moved.to_numpy().reshape(3, 5)
    assert (by_subject == by_subject[0]).all()
    assert by_subject[0].tolist() != [1, 2, 3, 4, 5]


def test_where_a_stimulus_was_not_rated_the_circle_is_followed():
    table = pd.DataFrame({"dataset": "test", "subject": 1, "session": 1, "trial": [1, 2, 3, 4]})
    table["stimulus"] = list("abcd")
    ratings = np.array([1.0, 2.0, 3.0, 4.0])
    for permutation in range(1, 30):
        image = np.random.default_rng([0, permutation]).permutation(4)
        # Without "b": its rating is replaced by that of the stimulus that follows in the permutation.
        expected = [image[one] if image[one] != 1 else image[1] for one in (0, 2, 3)]
        kept = table[table["stimulus"] != "b"]
        moved = permuted_ratings(kept, ratings[[0, 2, 3]], permutation, between="stimuli")
        whole = permuted_ratings(
            pd.concat([table.assign(subject=2), kept]), [*ratings, *ratings[[0, 2, 3]]], permutation, between="stimuli"
        )
        np.testing.assert_array_equal(whole[4:], ratings[expected])
        assert sorted(moved) == [1.0, 3.0, 4.0]


def test_permutations_differ_and_0_is_none():
    table = pd.DataFrame({"dataset": "test", "subject": 1, "session": 1, "trial": np.arange(1, 11)})
    ratings = np.arange(10.0)
    np.testing.assert_array_equal(permuted_ratings(table, ratings, 0), ratings)
    found = {tuple(permuted_ratings(table, ratings, number)) for number in range(1, 50)}
    assert len(found) == 49
    assert tuple(permuted_ratings(table, ratings, 1, seed=1)) != tuple(permuted_ratings(table, ratings, 1))


def test_every_place_is_equally_likely():
    # A draw for each of 200 subjects: many calls take much longer.
    places = np.tile(np.arange(4), 200)
    table = pd.DataFrame(
        {"dataset": "test", "subject": np.repeat(np.arange(200), 4), "session": 1, "trial": places + 1}
    )
    counts = np.zeros((4, 4))
    for number in range(1, 11):
        np.add.at(counts, (places, permuted_ratings(table, places, number).astype(int)), 1)
    # 2000 draws of probability 1/4: a standard deviation of 19 about 500.
    assert (abs(counts - 500) < 5 * 19.4).all()


def test_ratings_that_vary_within_a_trial_count_with_their_lower_median():
    table = pd.DataFrame({"dataset": "test", "subject": 1, "session": 1, "trial": [1, 1, 1, 1, 2, 2]})
    moved = permuted_ratings(table, [0.0, 1.0, 2.0, 5.0, 7.0, 7.0], 1)
    assert sorted(set(moved)) == [1.0, 7.0]


@pytest.mark.parametrize("name", PROTOCOLS)
def test_ratings_are_exchanged_between_stimuli_where_subjects_are_apart(name):
    assert (
        permuted_between(PROTOCOLS[name])
        == {"across_subjects": "stimuli", "within_subject": "trials", "within_session": "sessions"}[
            PROTOCOLS[name].scope
        ]
    )
