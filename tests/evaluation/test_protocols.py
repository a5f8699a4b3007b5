"""Protocols: training, validation and test sets, and flags."""

import json

import numpy as np
import pandas as pd
import pydantic
import pytest

from keras_emotion.evaluation import POOL, PROTOCOLS, NotEvaluable, Protocol, evaluability
from keras_emotion.schema import WINDOW_COLUMNS


def window_table(labels_of_trials, n_windows=6):
    """Windows of 1 s without overlap; `labels_of_trials` maps subject to the labels of its trials."""
    rows = [
        ("made", subject, 1, trial, -1, f"film{trial}", float(start), start + 1.0, label)
        for subject, labels in labels_of_trials.items()
        for trial, label in enumerate(labels, start=1)
        for start in range(n_windows)
    ]
    table = pd.DataFrame(rows, columns=[*WINDOW_COLUMNS, "label"])
    return table, table["label"].to_numpy()


ONE_SUBJECT = {"s01": [0, 1] * 10}
FOUR_SUBJECTS = {f"s{number:02d}": [0, 1] * 10 for number in range(1, 5)}


def test_the_protocols_are_those_of_the_specification():
    assert list(PROTOCOLS) == [
        "as_published",
        "as_published_deepvanet",
        "as_published_deepvanet_inter_subject",
        "as_published_deepvanet_literal",
        "as_published_deepvanet_inter_subject_literal",
        "as_published_mercl",
        "as_published_mercl_within_subject",
        "as_published_hlstm",
        "window_disjoint",
        "trial_disjoint",
        "trial_disjoint_across_subjects",
        "stimulus_disjoint",
        "subject_disjoint",
        "stimulus_disjoint_within_subject",
        "subject_and_stimulus_disjoint",
        "within_session",
        "session_disjoint",
        "predefined_split",
        "predefined_split_within_session",
        "predefined_split_across_subjects",
        "trial_holdout",
    ]
    assert all(name == protocol.name for name, protocol in PROTOCOLS.items())
    with pytest.raises(TypeError):
        PROTOCOLS["mine"] = PROTOCOLS["as_published"]


def test_as_published_selects_on_the_test_fold_five_times_ten_fold():
    protocol = PROTOCOLS["as_published"]
    table, labels = window_table(ONE_SUBJECT)
    assert protocol.n_repetitions == 5
    seen = set()
    for repetition in range(protocol.n_repetitions):
        folds = list(protocol.folds(table, labels, seed=3, repetition=repetition))
        assert len(folds) == 10
        for train, validation, test in folds:
            np.testing.assert_array_equal(validation, test)
            np.testing.assert_array_equal(np.sort(np.concatenate([train, test])), np.arange(len(table)))
        seen.add(str([test.tolist() for _, _, test in folds]))
    assert len(seen) == 5
    assert "epoch chosen on the test fold" in protocol.flags
    assert "windows of one trial in training and test" in protocol.flags


@pytest.mark.parametrize(
    ("selected", "subjects", "n_flags"),
    [("as_published_deepvanet", ONE_SUBJECT, 2), ("as_published_deepvanet_inter_subject", FOUR_SUBJECTS, 3)],
)
def test_to_the_letter_deepvanet_has_the_same_folds_and_nothing_selects_on_them(selected, subjects, n_flags):
    table, labels = window_table(subjects)
    protocol, literal = PROTOCOLS[selected], PROTOCOLS[f"{selected}_literal"]
    pairs = list(zip(protocol.folds(table, labels, seed=2), literal.folds(table, labels, seed=2), strict=True))
    assert len(pairs) == 10
    for (train, _, test), (own_train, validation, own_test) in pairs:
        np.testing.assert_array_equal(own_train, train)
        np.testing.assert_array_equal(own_test, test)
        assert len(validation) == 0
    assert len(protocol.flags) == n_flags
    # Flags that follow from the folds remain; the missing rule for the epoch is added.
    *others, assumed = literal.flags
    assert others == [flag for flag in protocol.flags if flag != "epoch chosen on the test fold"]
    assert assumed == "the paper prints no rule for the epoch: that the last of them is tested is an assumption"
    assert list(literal.pools(table)) == list(protocol.pools(table))


@pytest.mark.parametrize(
    ("name", "subjects", "pooled"),
    [("as_published_mercl", FOUR_SUBJECTS, True), ("as_published_mercl_within_subject", ONE_SUBJECT, False)],
)
def test_as_published_mercl_has_four_folds_over_windows_and_names_its_assumptions(name, subjects, pooled):
    protocol = PROTOCOLS[name]
    table, labels = window_table(subjects)
    folds = list(protocol.folds(table, labels))
    assert (len(folds), protocol.n_repetitions) == (4, 1)
    trials = table["subject"].astype(str) + table["trial"].astype(str)
    for train, validation, test in folds:
        np.testing.assert_array_equal(validation, test)
        assert set(trials.iloc[train]) & set(trials.iloc[test])
        assert np.array_equal(np.sort(np.concatenate([train, test])), np.arange(len(table)))
    assert (list(protocol.pools(table)) == [POOL]) == pooled
    *others, assumed = protocol.flags
    assert assumed.startswith("the paper prints fourfold cross-validation and no more: folds over windows, subjects ")
    assert assumed.endswith("and the rule for the epoch are assumptions")
    assert (
        ("pooled" in assumed) == pooled == ("trials of one subject in training and test, all subjects mixed" in others)
    )
    assert {"epoch chosen on the test fold", "windows of one trial in training and test"} <= set(others)
    assert not PROTOCOLS["as_published"].assumed
    assert "assumed" not in PROTOCOLS["as_published"].describe()


def test_as_published_hlstm_is_one_split_5_to_1_to_1_over_windows_of_a_subject():
    protocol = PROTOCOLS["as_published_hlstm"]
    table, labels = window_table(ONE_SUBJECT, n_windows=7)
    # Regardless of the reduction of folds in a run.
    for maximum_folds in (None, 3):
        ((train, validation, test),) = protocol.folds(table, labels, seed=1, maximum_folds=maximum_folds)
        assert [len(part) for part in (train, validation, test)] == [100, 20, 20]
        assert np.array_equal(np.sort(np.concatenate([train, validation, test])), np.arange(len(table)))
        trials = [set(table["trial"].iloc[part]) for part in (train, validation, test)]
        assert trials[0] & trials[2]
        assert trials[0] & trials[1]
    assert list(protocol.pools(window_table(FOUR_SUBJECTS)[0])) == list(FOUR_SUBJECTS)
    assert protocol.n_repetitions == 1
    assert protocol.flags == (
        "windows of one trial in training and test",
        "the paper prints a ratio of 5 : 1 : 1 and no more: parts over windows, subjects apart and the rule for the "
        "epoch are assumptions",
    )


@pytest.mark.parametrize(
    ("name", "unit", "subjects", "n_folds"),
    [
        ("trial_disjoint_across_subjects", ["subject", "trial"], FOUR_SUBJECTS, 10),
        ("window_disjoint", ["trial", "start_seconds"], ONE_SUBJECT, 10),
        ("trial_disjoint", ["trial"], ONE_SUBJECT, 10),
        ("stimulus_disjoint", ["stimulus"], FOUR_SUBJECTS, 10),
        ("subject_disjoint", ["subject"], FOUR_SUBJECTS, 4),
    ],
)
def test_honest_protocols_keep_their_unit_apart_in_three_parts(name, unit, subjects, n_folds):
    table, labels = window_table(subjects)
    ids = table[unit].astype(str).agg("/".join, axis=1).to_numpy()
    folds = list(PROTOCOLS[name].folds(table, labels, seed=1))
    assert len(folds) == n_folds
    for parts in folds:
        assert sum(map(len, parts)) == len(table)
        assert sum(len(set(ids[part])) for part in parts) == len(set(ids))
    assert "epoch chosen on the test fold" not in PROTOCOLS[name].flags
    assert len(list(PROTOCOLS[name].folds(table, labels, maximum_folds=3))) == 3


def test_window_disjoint_keeps_overlapping_windows_together_and_as_published_does_not():
    table, labels = window_table(ONE_SUBJECT)
    table["stop_seconds"] = table["start_seconds"] + 1.5  # a chain of overlaps through the trial

    def split_trials(name):
        trials = table["trial"].to_numpy()
        return sum(
            len(set(trials[train]) & set(trials[test])) for train, _, test in PROTOCOLS[name].folds(table, labels)
        )

    assert split_trials("window_disjoint") == 0
    assert split_trials("as_published") > 0


def test_flags_follow_from_the_fields():
    def flags(**fields):
        return Protocol(**{"name": "mine", "disjoint": "trials", "scope": "within_subject", **fields}).flags

    assert flags() == ()
    assert PROTOCOLS["window_disjoint"].flags == ("windows of one trial in training and test",)
    assert PROTOCOLS["stimulus_disjoint"].flags == PROTOCOLS["subject_disjoint"].flags == ()
    assert flags(epoch_chosen_by="test_fold") == ("epoch chosen on the test fold",)
    assert flags(fitted_on="all_rows") == ("scaling and selection fitted on test rows too",)
    assert flags(scope="across_subjects") == ("trials of one subject in training and test, all subjects mixed",)
    assert (
        len(flags(scope="across_subjects", disjoint="windows", epoch_chosen_by="test_fold", fitted_on="all_rows")) == 4
    )


def test_a_protocol_is_immutable_and_survives_json():
    for protocol in PROTOCOLS.values():
        described = json.loads(json.dumps(protocol.describe()))
        assert tuple(described.pop("flags")) == protocol.flags
        assert Protocol(**described) == protocol
        with pytest.raises(pydantic.ValidationError):
            protocol.n_splits = 3


@pytest.mark.parametrize(
    "fields",
    [
        {"n_splits": 2},
        {"n_splits": None},
        {"n_repetitions": 0},
        {"disjoint": "subjects"},
        {"disjoint": "hopes"},
        {"unknown": 1},
    ],
)
def test_contradictory_protocols_are_refused(fields):
    with pytest.raises(ValueError, match="validation error"):
        Protocol(**{"name": "mine", "disjoint": "trials", "scope": "within_subject", **fields})


def test_pools_are_subjects_or_all_rows():
    table, labels = window_table(FOUR_SUBJECTS)
    table = table.sample(frac=1, random_state=0)
    pools = PROTOCOLS["trial_disjoint"].pools(table)
    assert sorted(pools) == list(FOUR_SUBJECTS)
    for subject, rows in pools.items():
        assert set(table["subject"].iloc[rows]) == {subject}
    assert sum(map(len, pools.values())) == len(table)
    (whole,) = PROTOCOLS["subject_disjoint"].pools(table).items()
    assert whole[0] == POOL
    assert whole[1].tolist() == list(range(len(table)))
    with pytest.raises(ValueError, match="4 subjects"):
        PROTOCOLS["trial_disjoint"].folds(table, labels)


def test_evaluability_names_who_cannot_be_split_under_what():
    subjects = {1: [0, 1] * 5, 2: [1] * 2 + [0] * 8, 3: [0] * 10, 4: [0, 1] * 5}
    table, labels = window_table(subjects)
    order = np.random.default_rng(0).permutation(len(table))
    protocols = [PROTOCOLS[name] for name in ("as_published", "trial_disjoint", "subject_disjoint")]
    found = evaluability(table.iloc[order], labels[order], protocols)
    assert len(found) == 12
    split = found.pivot(index="subject", columns="protocol", values="evaluable")
    assert split["as_published"].to_dict() == {1: True, 2: True, 3: False, 4: True}
    assert split["trial_disjoint"].to_dict() == {1: True, 2: False, 3: False, 4: True}
    assert split["subject_disjoint"].all()
    reasons = found.set_index(["protocol", "subject"])["reason"]
    assert "2 with label 1" in reasons["trial_disjoint", 2]
    assert reasons["trial_disjoint", 1] == ""
    assert set(found.loc[found["protocol"] == "as_published", "setting"]) == {"3facrnn"}

    with pytest.raises(NotEvaluable):
        list(PROTOCOLS["trial_disjoint"].folds(table[table["subject"] == 2], labels[table["subject"] == 2]))
    pair = table["subject"].isin([1, 4]).to_numpy()
    too_few = evaluability(table[pair], labels[pair], [PROTOCOLS["subject_disjoint"]])
    assert too_few["subject"].tolist() == [1, 4]
    assert not too_few["evaluable"].any()
