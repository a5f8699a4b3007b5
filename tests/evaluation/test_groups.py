"""Subjects who were recorded together stay together in a split, and a split that separates them is reported."""

import itertools

import numpy as np
import pandas as pd
import pytest

from keras_emotion.evaluation import (
    PROTOCOLS,
    NotEvaluable,
    SubjectAndStimulusKFold,
    SubjectKFold,
    audit_split,
    check_predictions,
    read_predictions,
)
from keras_emotion.evaluation.identifiers import connected_subject_codes
from keras_emotion.evaluation.leaks import SplitChecks
from keras_emotion.schema import WINDOW_COLUMNS

TOGETHER = {1: "a", 3: "a", 4: "b", 8: "b"}


def window_table(groups=TOGETHER, n_subjects=9, n_stimuli=6, no_group=""):
    """Each subject sees each film; the last one together with the group."""
    rows = []
    for subject, trial, window in itertools.product(range(1, n_subjects + 1), range(1, n_stimuli + 1), range(2)):
        group = groups.get(subject, no_group) if trial == n_stimuli else no_group
        start = 2.0 * window
        rows.append(("made", subject, 1, trial, trial, f"film{trial}", start, start + 2.0, group))
    return pd.DataFrame(rows, columns=[*WINDOW_COLUMNS, "recorded_together"])


def labels_of(table):
    return ((table["trial"] + table["subject"]) % 2).to_numpy()


def subjects_of(table, rows):
    return set(table["subject"].to_numpy()[rows])


@pytest.mark.parametrize("no_group", ["", np.nan, None])
def test_subjects_of_a_group_are_left_out_together(no_group):
    table = window_table(no_group=no_group)
    left_out = []
    for train, validation, test in SubjectKFold().nested_split(table, labels_of(table)):
        parts = [subjects_of(table, rows) for rows in (train, validation, test)]
        assert not any(one & other for one, other in itertools.combinations(parts, 2))
        for part in parts:
            assert {1, 3} <= part or not {1, 3} & part
            assert {4, 8} <= part or not {4, 8} & part
        left_out.append(frozenset(parts[-1]))
    assert set(left_out) == {frozenset(one) for one in ({1, 3}, {4, 8}, {2}, {5}, {6}, {7}, {9})}


def test_without_groups_each_subject_is_left_out_alone():
    table = window_table({})
    plain = list(SubjectKFold().nested_split(table.drop(columns="recorded_together"), labels_of(table)))
    for with_column, without in zip(SubjectKFold().nested_split(table, labels_of(table)), plain, strict=True):
        for one, other in zip(with_column, without, strict=True):
            np.testing.assert_array_equal(one, other)
    assert len(plain) == 9


def test_groups_that_share_a_subject_are_one():
    table = pd.DataFrame(
        {
            "dataset": "made",
            "subject": [5, 4, 3, 2, 2, 1, 9, 9],
            "recorded_together": ["x", "x", "", "x", "y", "y", "", "z"],
        }
    )
    # 5, 4 and 2 by x, 1 by y of 2; numbered by the first subject of each.
    assert connected_subject_codes(table).tolist() == [0, 0, 1, 0, 0, 0, 2, 2]
    others = pd.concat([table, table.assign(dataset="other", recorded_together="")], ignore_index=True)
    # The same names in another dataset are different people.
    assert connected_subject_codes(others)[8:].tolist() == [7, 6, 5, 4, 4, 3, 8, 8]


def test_subjects_and_stimuli_keep_groups_together_too():
    table = window_table()
    for train, validation, test in SubjectAndStimulusKFold(3).nested_split(table, labels_of(table)):
        for group in ({1, 3}, {4, 8}):
            sides = [bool(group & subjects_of(table, rows)) for rows in (train, validation, test)]
            assert sum(sides) <= 1


def test_subjects_and_stimuli_of_training_and_test_are_disjoint_without_validation():
    table = window_table()
    splitter, labels, tested = SubjectAndStimulusKFold(3), labels_of(table), []
    folds = list(splitter.split(table, labels))
    for train, test in folds:
        assert not subjects_of(table, train) & subjects_of(table, test)
        assert not set(table["stimulus"].iloc[train]) & set(table["stimulus"].iloc[test])
        for group in ({1, 3}, {4, 8}):
            assert not group & subjects_of(table, train) or not group & subjects_of(table, test)
        tested += test.tolist()
    assert sorted(tested) == list(range(len(table)))
    assert splitter.get_n_splits(table, labels) == len(folds) == 9


def test_too_few_groups_are_not_evaluable():
    table = window_table(dict.fromkeys(range(1, 9), "all"))
    with pytest.raises(NotEvaluable, match="2 subject units"):
        list(PROTOCOLS["subject_disjoint"].folds(table, labels_of(table)))


def kinds(findings, severity="leak"):
    return {finding.kind for finding in findings if finding.severity == severity}


def test_a_split_that_separates_a_group_is_found():
    table = window_table()
    tested = np.flatnonzero((table["subject"] == 1).to_numpy())
    known = np.flatnonzero((table["subject"] != 1).to_numpy())
    for disjoint, severity in (("subjects", "leak"), ("subjects_and_stimuli", "leak"), ("trials", "note")):
        checks = SplitChecks(disjoint)
        checks.fold(table, known, known[:0], tested)
        (finding,) = (one for one in checks.findings() if one.kind == "shared group")
        assert (finding.severity, finding.n_windows, finding.n_tested) == (severity, 2, 12)
        assert "was recorded together with one in the training set; first: subject 1, trial 6" in finding.message
    checks = SplitChecks("subjects")
    for train, validation, test in SubjectKFold().nested_split(table, labels_of(table)):
        checks.fold(table, train, validation, test)
    assert kinds(checks.findings()) == set()


def test_audits_of_other_splitters_and_tables_know_groups(tmp_path):
    table = window_table()
    X = np.random.default_rng(0).normal(size=(len(table), 2))
    folds = [
        tuple(np.flatnonzero(((table["subject"] == one) == is_test).to_numpy()) for is_test in (False, True))
        for one in range(1, 10)
    ]
    columns = ["subject", "trial", "stimulus", "recorded_together", "start_seconds", "stop_seconds"]
    assert kinds(audit_split(X, labels_of(table), table[columns], folds).findings) == {"shared group"}
    predictions = table.rename(columns={"start_seconds": "start", "stop_seconds": "stop"}).assign(
        fold=table["subject"], label=labels_of(table), prediction=1 - labels_of(table)
    )
    predictions.to_csv(tmp_path / "predictions.csv", index=False)
    assert kinds(check_predictions(read_predictions(tmp_path / "predictions.csv"))) == {"shared group"}
