"""Label rules against hand-worked labels."""

import json

import hypothesis
import hypothesis.extra.numpy as hypothesis_numpy
import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pydantic
import pytest

from keras_emotion.evaluation import LabelRule, QuadrantRule, joint_ratings
from keras_emotion.schema import InputError

EDGE_RATINGS = [1.0, 4.9999, 5.0, np.nextafter(5.0, 6.0), 5.04, 9.0]


@pytest.mark.parametrize(
    ("rule", "ratings", "labels", "name", "class_names"),
    [
        (LabelRule(), EDGE_RATINGS, [0, 0, 0, 1, 1, 1], ">5", ("low", "high")),
        (LabelRule(kind="greater_equal"), EDGE_RATINGS, [0, 0, 1, 1, 1, 1], ">=5", ("low", "high")),
        (LabelRule(threshold=4.5), EDGE_RATINGS, [0, 1, 1, 1, 1, 1], ">4.5", ("low", "high")),
        (
            LabelRule(kind="levels", edges=(3, 6)),
            [1, 3, np.nextafter(3.0, 4.0), 6, 6.01, 9],
            [0, 0, 1, 1, 2, 2],
            "levels(3,6)",
            ("low", "medium", "high"),
        ),
        (
            LabelRule(kind="classes", values=(-1, 0, 1), names=("sad", "neutral", "happy")),
            [1, 0, -1, -1],
            [2, 1, 0, 0],
            "classes(-1,0,1)",
            ("sad", "neutral", "happy"),
        ),
        (LabelRule(kind="classes"), [0, 1.0], [0, 1], "classes(0,1)", ("0", "1")),
        (LabelRule(kind="levels", edges=(2, 4, 6)), [1, 3, 5, 7], [0, 1, 2, 3], "levels(2,4,6)", None),
    ],
)
def test_labels_of_hand_worked_ratings(rule, ratings, labels, name, class_names):
    found = rule.apply(pd.Series(ratings, index=range(10, 10 + len(ratings))))
    assert found.tolist() == labels
    assert found.dtype == np.int64
    assert rule.name == name
    assert len(rule.class_names) == rule.n_classes
    assert class_names is None or rule.class_names == class_names


def test_levels_with_one_edge_is_greater_than():
    ratings = np.random.default_rng(0).uniform(1, 9, 100).round(1)
    np.testing.assert_array_equal(LabelRule(kind="levels", edges=(5,)).apply(ratings), LabelRule().apply(ratings))


def test_median_is_that_of_the_training_rows_alone():
    rule = LabelRule(kind="median")
    assert rule.apply([2.0, 3.0, 100.0], training_ratings=[1.0, 2.0, 3.0, 2.0]).tolist() == [0, 1, 1]
    assert rule.apply([2.0, 3.0, 100.0], training_ratings=[99.0]).tolist() == [0, 0, 1]
    assert rule.name == ">median"
    with pytest.raises(ValueError, match="training_ratings"):
        rule.apply([1.0, 2.0])
    with pytest.raises(InputError, match="missing"):
        rule.apply([1.0, 2.0], training_ratings=[1.0, np.nan])


@hypothesis.given(hypothesis_numpy.arrays(np.float64, st.integers(1, 30), elements=st.floats(1, 9)), st.floats(1, 9))
def test_threshold_rules_agree_with_comparison_one_by_one(ratings, threshold):
    above = LabelRule(threshold=threshold).apply(ratings)
    assert above.tolist() == [1 if rating > threshold else 0 for rating in ratings.tolist()]
    at_least = LabelRule(kind="greater_equal", threshold=threshold).apply(ratings)
    assert at_least.tolist() == [1 if rating >= threshold else 0 for rating in ratings.tolist()]


@pytest.mark.parametrize(
    "kind", [{"kind": "greater_than"}, {"kind": "classes"}, {"kind": "levels", "edges": (5.0,)}, {"kind": "median"}]
)
@pytest.mark.parametrize("bad", [np.nan, np.inf, None, "five"])
def test_a_rating_that_is_no_finite_number_is_refused(kind, bad):
    with pytest.raises(InputError):
        LabelRule(**kind).apply([1.0, bad], training_ratings=[1.0])


def test_a_rating_that_stands_for_no_class_is_named():
    with pytest.raises(InputError, match=r"ratings 1\.5, 7 belong to no class"):
        LabelRule(kind="classes").apply([0, 1, 7, 1.5, 7])


@pytest.mark.parametrize(
    "arguments",
    [
        {"kind": "levels"},
        {"kind": "levels", "edges": (6, 3)},
        {"kind": "levels", "edges": (3, 3)},
        {"kind": "classes", "values": (1, 1)},
        {"kind": "classes", "values": (1,)},
        {"names": ("low",)},
        {"threshold": np.nan},
        {"unknown": 1},
        {"kind": "guess"},
    ],
)
def test_bad_rules_are_refused(arguments):
    with pytest.raises(ValueError, match="validation error"):
        LabelRule(**arguments)


def test_ratings_have_one_dimension():
    with pytest.raises(ValueError, match=r"\(1, 2\)"):
        LabelRule().apply([[1.0, 2.0]])


def test_a_rule_is_frozen_and_survives_json():
    rule = LabelRule(kind="levels", edges=(3, 6))
    with pytest.raises(pydantic.ValidationError):
        rule.threshold = 3
    assert LabelRule(**json.loads(json.dumps(rule.model_dump(mode="json")))) == rule
    assert hash(rule) == hash(LabelRule(kind="levels", edges=(3, 6)))


# --- quadrants


def test_quadrants_are_counted_counter_clockwise_from_high_high():
    rule = QuadrantRule(ratings=("valence", "arousal"))
    assert rule.class_names == ("HVHA", "LVHA", "LVLA", "HVLA")
    # Angles of 45, 135, 225 and 315 degrees on the plane of valence and arousal.
    angles = np.deg2rad([45, 135, 225, 315])
    assert rule.apply(5 + np.stack([np.cos(angles), np.sin(angles)], axis=1)).tolist() == [0, 1, 2, 3]
    # An edge is low, as for each rating by itself.
    assert rule.apply([[5.0, 5.0], [5.01, 5.0], [5.0, 5.01]]).tolist() == [2, 3, 1]
    assert rule.name == "quadrant(>5,>5)"
    assert hash(rule) == hash(QuadrantRule(**json.loads(rule.model_dump_json())))


def test_a_quadrant_has_the_labels_of_both_ratings():
    ratings = np.random.default_rng(0).uniform(1, 9, (200, 2)).round(1)
    rules = (LabelRule(threshold=4), LabelRule(kind="median"))
    rule = QuadrantRule(ratings=("liking", "calm"), rules=rules)
    found = np.array(rule.class_names)[rule.apply(ratings, training_ratings=ratings[:50])]
    liking = np.where(ratings[:, 0] > 4, "HL", "LL")
    calm = np.where(ratings[:, 1] > np.median(ratings[:50, 1]), "HC", "LC")
    assert found.tolist() == np.char.add(liking, calm).tolist()


def test_names_of_quadrants_are_distinct_whatever_the_ratings_are_called():
    assert QuadrantRule(ratings=("attention", "arousal")).class_names == (
        *("high_attention_high_arousal", "low_attention_high_arousal"),
        *("low_attention_low_arousal", "high_attention_low_arousal"),
    )
    named = QuadrantRule(ratings=("valence", "arousal"), names=("happy", "angry", "sad", "relaxed"))
    assert named.class_names[int(named.apply([[9, 1]])[0])] == "relaxed"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"ratings": ("valence", "valence")}, "both 'valence'"),
        (
            {"ratings": ("valence", "arousal"), "rules": (LabelRule(kind="levels", edges=(3, 6)), LabelRule())},
            "valence has 3 classes",
        ),
        ({"ratings": ("valence", "arousal"), "names": ("a", "b")}, "2 entries for 4 classes"),
        ({"ratings": ("valence",)}, "ratings"),
    ],
)
def test_bad_quadrants_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        QuadrantRule(**arguments)


def test_pairs_of_ratings_have_two_columns():
    rule = QuadrantRule(ratings=("valence", "arousal"))
    with pytest.raises(ValueError, match=r"\(3,\); expected `\(rows, 2\)`"):
        rule.apply([1.0, 2.0, 3.0])
    with pytest.raises(InputError, match="missing"):
        rule.apply([[1.0, np.nan]])


@pytest.mark.parametrize(
    ("target", "pair"),
    [
        ("valence+arousal", ("valence", "arousal")),
        ("valence", None),
        ("C+", None),
        ("+", None),
        ("a+b+c", None),
    ],
)
def test_targets_made_of_two_ratings(target, pair):
    assert joint_ratings(target) == pair
