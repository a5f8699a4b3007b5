"""A label rule with a single class is reported, with the option that changes it."""

from types import SimpleNamespace

import pandas as pd
import pytest

from keras_emotion.evaluation import LabelRule
from keras_emotion.experiment.rule_checks import single_class_lines


def plan_of(ratings, targets=("valence",), class_names=(), **rule):
    table = pd.DataFrame({"valence": ratings, "arousal": ratings, "mood": 0.0})
    return SimpleNamespace(
        experiment=SimpleNamespace(targets=targets, label_rule=LabelRule(**rule)),
        class_names=dict.fromkeys(class_names, ("a", "b")),
        window_set=lambda subject, target: SimpleNamespace(table=table),
    )


def test_ratings_of_one_to_five_under_a_rule_for_nine():
    assert single_class_lines(plan_of([1.0, 5.0, 3.0, None])) == [
        "valence: rated from 1 to 5, all in one class under the label rule >5; give --label-rule.threshold, such as 3, "
        "or --label-rule.kind median"
    ]
    assert len(single_class_lines(plan_of([6.0, 9.0], ("valence+arousal", "valence")))) == 2


@pytest.mark.parametrize(
    "plan",
    [plan_of([1.0, 5.1]), plan_of([1.0, 5.0], kind="median"), plan_of([1.0], ("mood",), ("mood",)), plan_of([])],
    ids=["two classes", "median", "classes", "no ratings"],
)
def test_nothing_else_is_named(plan):
    assert single_class_lines(plan) == []
