"""Protocols for several sessions and repeated stimuli; predefined splits; the stimulus baseline."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_emotion.evaluation import (
    PROTOCOLS,
    NotEvaluable,
    PredefinedSplit,
    SessionKFold,
    SubjectAndStimulusKFold,
    is_property_of_stimulus,
    stimulus_baseline,
)
from keras_emotion.evaluation.leaks import SplitChecks, protocol_claim
from keras_emotion.evaluation.permutation import (
    enumerated_donors,
    exchangeable,
    labeling_ratings,
    n_labelings,
    permuted_ratings,
)
from keras_emotion.schema import InputError


def study(n_subjects=4, n_sessions=2, n_stimuli=8, n_windows=2, n_presentations=1):
    """A study with several sessions; trials are renumbered in each, in a different order."""
    rows = []
    for subject, session in itertools.product(range(1, n_subjects + 1), range(1, n_sessions + 1)):
        shown = np.random.default_rng([subject, session]).permutation(np.tile(np.arange(n_stimuli), n_presentations))
        for trial, stimulus in enumerate(shown, start=1):
            for window in range(n_windows):
                rows.append(("test", subject, session, trial, trial, f"clip{stimulus}", window, window + 1.0))
    names = ["dataset", "subject", "session", "trial", "presentation", "stimulus", "start_seconds", "stop_seconds"]
    return pd.DataFrame(rows, columns=names)


def labels_of(table, by="stimulus"):
    return (pd.factorize(table[by], sort=True)[0] % 2).astype(int)


def keys(table, rows, columns):
    return set(table.iloc[rows][columns].itertuples(index=False, name=None))


SHARED = {
    "stimulus_disjoint_within_subject": ["stimulus"],
    "session_disjoint": ["session"],
    "within_session": ["trial"],
    "trial_holdout": ["session", "trial"],
}


@pytest.mark.parametrize("name", SHARED)
def test_parts_of_a_person_do_not_share_what_the_name_says(name):
    table = study(n_presentations=2)
    protocol = PROTOCOLS[name]
    n_tested = 0
    for rows in protocol.pools(table).values():
        pool = table.iloc[rows].reset_index(drop=True)
        labels = labels_of(pool)
        for train, validation, test in protocol.folds(pool, labels):
            assert min(map(len, (train, validation, test))) > 0
            assert len(set(train) | set(validation) | set(test)) == len(train) + len(validation) + len(test)
            # The inner validation of a session is trials of the training sessions.
            known = [train] if name == "session_disjoint" else [train, validation]
            for part in known:
                assert not keys(pool, part, SHARED[name]) & keys(pool, test, SHARED[name])
            columns = ["session", "trial"] if name == "session_disjoint" else SHARED[name]
            assert not keys(pool, train, columns) & keys(pool, validation, columns)
            assert set(labels[train]) == {0, 1}
            n_tested += len(test)
    # Each row is tested once; of a holdout one in seven.
    assert n_tested == (len(table) if name != "trial_holdout" else n_tested)
    if name == "trial_holdout":
        assert n_tested == pytest.approx(len(table) / 7, rel=0.2)


def test_two_visits_are_enough_and_one_is_not():
    table = study(n_subjects=1)
    folds = list(SessionKFold().nested_split(table, labels_of(table)))
    assert len(folds) == 2
    assert {part for _, _, test in folds for part in keys(table, test, ["session"])} == {(1,), (2,)}
    one = study(n_subjects=1, n_sessions=1)
    with pytest.raises(NotEvaluable, match=r"1 session units.*2 units for training"):
        list(SessionKFold().nested_split(one, labels_of(one)))


def test_the_pools_of_sessions_are_visits():
    table = study()
    pools = PROTOCOLS["within_session"].pools(table)
    assert list(pools)[:3] == [(1, 1), (1, 2), (2, 1)]
    assert sorted(np.concatenate(list(pools.values()))) == list(range(len(table)))
    with pytest.raises(ValueError, match="holds 2 sessions; within_session splits one at a time"):
        next(PROTOCOLS["within_session"].folds(table[table["subject"] == 1], np.zeros(32)))


@settings(max_examples=20, deadline=None)
@given(st.integers(3, 7), st.integers(4, 9), st.integers(3, 6), st.integers(0, 5))
def test_neither_subjects_nor_stimuli_are_shared(n_subjects, n_stimuli, n_splits, seed):
    table = study(n_subjects=n_subjects, n_sessions=1, n_stimuli=n_stimuli, n_windows=1)
    labels = np.random.default_rng(seed).integers(0, 2, len(table))
    tested = []
    try:
        for train, validation, test in SubjectAndStimulusKFold(n_splits, seed).nested_split(table, labels):
            for first, second in itertools.combinations((train, validation, test), 2):
                for column in ("subject", "stimulus"):
                    assert not keys(table, first, [column]) & keys(table, second, [column])
            tested.append(test)
    except NotEvaluable:
        return
    assert sorted(np.concatenate(tested)) == list(range(len(table)))


def test_a_predefined_split_is_what_the_column_says():
    table = study(n_subjects=1, n_sessions=1, n_windows=1)
    labels = labels_of(table)
    split = np.array(["train"] * 5 + ["validation"] + ["test"] * 2)
    (parts,) = PredefinedSplit().nested_split(table.assign(split=split), labels)
    assert [part.tolist() for part in parts] == [[0, 1, 2, 3, 4], [5], [6, 7]]
    ((train, test),) = PredefinedSplit().split(table.assign(split=split), labels)
    assert (train.tolist(), test.tolist()) == ([0, 1, 2, 3, 4, 5], [6, 7])
    # Without validation rows trials of the training part choose the epoch.
    large = study(n_subjects=1, n_sessions=1, n_stimuli=20)
    is_test = large["trial"] > 14
    (parts,) = PredefinedSplit().nested_split(large.assign(split=np.where(is_test, "test", "train")), labels_of(large))
    assert parts[2].tolist() == np.flatnonzero(is_test).tolist()
    assert not keys(large, parts[0], ["trial"]) & keys(large, parts[1], ["trial"])
    with pytest.raises(InputError, match="split: 'dev'; expected one of train, validation, test"):
        list(PredefinedSplit().split(table.assign(split="dev"), labels))
    with pytest.raises(NotEvaluable, match="the dataset has no predefined split"):
        list(PredefinedSplit().split(table, labels))
    with pytest.raises(NotEvaluable, match="no row of the predefined split is test"):
        list(PredefinedSplit().split(table.assign(split="train"), labels))


def test_folds_of_a_predefined_split_are_each_tested_once():
    """Three folds of five clips in each of three sessions, as SEED-V is split; also more than nine of them."""
    table = study(n_subjects=1, n_sessions=3, n_stimuli=15)
    labels = labels_of(table)
    fold = (table["trial"].to_numpy() - 1) // 5 + 9
    split = "fold_" + pd.Series(fold).astype(str)
    assert PredefinedSplit().get_n_splits(table.assign(split=split), labels) == 3
    found = list(PROTOCOLS["predefined_split"].folds(table.assign(split=split), labels, seed=3))
    assert len(found) == 3
    # By number: the ninth fold comes before the tenth.
    for number, (train, validation, test) in enumerate(found, start=9):
        assert test.tolist() == np.flatnonzero(fold == number).tolist()
        assert sorted([*train, *validation]) == np.flatnonzero(fold != number).tolist()
        assert len(validation)
        assert not keys(table, train, ["session", "trial"]) & keys(table, validation, ["session", "trial"])
    mixed = split.where(fold != 10, "train")
    with pytest.raises(InputError, match="split: has both fold_9, fold_11 and train; expected folds, or train"):
        list(PredefinedSplit().split(table.assign(split=mixed), labels))
    with pytest.raises(InputError, match="'fold_0', 'fold_x'; expected one of train"):
        list(PredefinedSplit().split(table.assign(split=np.where(fold == 9, "fold_0", "fold_x")), labels))
    with pytest.raises(NotEvaluable, match="no row of the predefined split is train"):
        list(PredefinedSplit().split(table.assign(split="fold_1"), labels))


@pytest.mark.parametrize("name", ["predefined_split", "predefined_split_within_session"])
def test_a_predefined_split_without_validation_part_of_few_trials(name):
    """Nine trials of three classes to train on, six to test, as in each session of SEED."""
    table = study(n_subjects=2, n_sessions=3, n_stimuli=15).assign(split="train")
    table.loc[table["trial"] > 9, "split"] = "test"
    labels = (table["trial"] % 3).to_numpy()
    pools = PROTOCOLS[name].pools(table)
    assert len(pools) == (2 if name == "predefined_split" else 6)
    n_sessions = 6 // len(pools)
    for rows in pools.values():
        pool = table.iloc[rows].reset_index(drop=True)
        ((train, validation, test),) = PROTOCOLS[name].folds(pool, labels[rows], seed=1)
        assert sorted(pool["trial"][test].unique()) == [10, 11, 12, 13, 14, 15]
        trials = [keys(pool, part, ["session", "trial"]) for part in (train, validation, test)]
        # One of each class to choose the epoch on, whole.
        assert [len(part) for part in trials] == [9 * n_sessions - 3, 3, 6 * n_sessions]
        assert {trial % 3 for _, trial in trials[1]} == {0, 1, 2}
        assert not trials[0] & trials[1]
        assert len(train) + len(validation) + len(test) == len(pool)


def test_definitions_of_earlier_versions_have_no_new_fields():
    for name, protocol in PROTOCOLS.items():
        assert ("holdout" in protocol.describe()) == (name in ("trial_holdout", "as_published_hlstm"))


@pytest.mark.parametrize("name", ["session_disjoint", "stimulus_disjoint_within_subject", "within_session"])
def test_static_checks_find_no_leak_in_clean_protocols(name):
    table = study(n_sessions=2)
    protocol = PROTOCOLS[name]
    checks = SplitChecks(protocol_claim(protocol), several_subjects=False)
    for rows in protocol.pools(table).values():
        pool = table.iloc[rows].reset_index(drop=True)
        for parts in protocol.folds(pool, labels_of(pool)):
            checks.fold(pool, *parts)
    leaks = {finding.kind for finding in checks.findings() if finding.severity == "leak"}
    # Under session_disjoint, training includes every stimulus of a subject: this is reported.
    assert leaks == ({"shared stimulus"} if name == "session_disjoint" else set())


def test_a_shared_session_is_found_where_sessions_are_claimed_to_be_apart():
    table = study(n_subjects=1)
    checks = SplitChecks("sessions")
    checks.fold(table, [0, 1], [], [2, 3])
    assert "shared session" in {finding.kind for finding in checks.findings() if finding.severity == "leak"}


# Stimulus baseline ----------------------------------------------------------------------------------------------------


def test_the_baseline_agrees_with_a_loop():
    table = study(n_presentations=2)
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, len(table))
    rows = rng.permutation(len(table))
    train, test = rows[:60], rows[60:]
    predicted, seen = stimulus_baseline(table, labels, train, test)
    overall = np.bincount(labels[train]).argmax()
    for place, row in enumerate(test):
        own = table.iloc[row]
        known = table.iloc[train]
        same = known["stimulus"] == own["stimulus"]
        counts = np.bincount(labels[train][same.to_numpy()], minlength=3)
        assert predicted[place] == (counts.argmax() if same.any() else overall)
        person = same & (known["subject"] == own["subject"])
        trial = person & (known["session"] == own["session"]) & (known["trial"] == own["trial"])
        expected = "trial" if trial.any() else "person" if person.any() else "others" if same.any() else "no"
        assert seen[place] == expected


def test_labels_that_are_a_property_of_the_stimulus():
    table = study().assign(label=lambda one: labels_of(one))
    assert is_property_of_stimulus(table)
    assert not is_property_of_stimulus(table.assign(label=table["trial"] % 2))
    # If every trial has its own stimulus, this is not informative.
    assert not is_property_of_stimulus(table.assign(stimulus=np.arange(len(table)) // 2))


# Permutation ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("between", ["trials", "sessions", "stimuli"])
def test_ratings_of_a_stimulus_stay_together(between):
    table = study(n_presentations=2)
    by_person = table.groupby(["subject", "stimulus"]).ngroup().to_numpy().astype(float)
    for permutation in range(1, 6):
        moved = permuted_ratings(table, by_person, permutation, between=between)
        # Repeated presentations of a stimulus to a subject keep equal ratings, at least within a session.
        place = ["subject", "stimulus", *(["session"] if between == "sessions" else [])]
        assert (pd.Series(moved).groupby([table[name] for name in place]).nunique() == 1).all()
        for _, rows in table.groupby("subject").indices.items():
            assert sorted(moved[rows]) == sorted(by_person[rows])
    assert not np.array_equal(moved, by_person)


def test_stimuli_that_were_shown_more_often_are_exchanged_among_themselves():
    table = study(n_subjects=1, n_sessions=1, n_stimuli=6, n_windows=1)
    often = pd.concat([table, table.iloc[:3].assign(trial=lambda one: one["trial"] + 6)], ignore_index=True)
    twice = often["stimulus"].isin(table["stimulus"].iloc[:3]).to_numpy()
    ratings = np.where(twice, 1.0, 2.0) + often["stimulus"].str[-1].astype(int) / 100
    for permutation in range(1, 8):
        moved = permuted_ratings(often, ratings, permutation)
        assert (np.floor(moved) == np.where(twice, 1, 2)).all()


def test_each_distinct_labeling_is_enumerated_once():
    table = study(n_subjects=1, n_sessions=2, n_stimuli=5, n_windows=1)
    labels = labels_of(table)
    groups, _, trial = exchangeable(table)
    of_trial = np.zeros(trial.max() + 1, int)
    of_trial[trial] = labels
    found = {tuple(of_trial[donors]) for donors in enumerated_donors(groups, of_trial)}
    # Five stimuli, each in both visits: two of five have label 1.
    assert len(found) == n_labelings(groups, of_trial) == 10
    assert tuple(next(enumerated_donors(groups, of_trial)).tolist()) == tuple(range(len(of_trial)))
    ratings = np.where(labels == 1, 8.0, 2.0)
    labelings = [labeling_ratings(table, ratings, labels, index) for index in range(10)]
    np.testing.assert_array_equal(labelings[0], ratings)
    assert len({tuple(one) for one in labelings}) == 10


def test_a_stimulus_that_a_subject_has_not_seen_is_passed_over():
    table = study(n_subjects=2, n_sessions=1, n_stimuli=4, n_windows=1)
    table = table[~((table["subject"] == 2) & (table["stimulus"] == "clip1"))].reset_index(drop=True)
    ratings = table["stimulus"].str[-1].astype(float).to_numpy()
    for permutation in range(1, 10):
        moved = permuted_ratings(table, ratings, permutation, between="stimuli")
        assert sorted(moved[table["subject"] == 2]) == [0.0, 2.0, 3.0]


@pytest.mark.parametrize("seed", range(5))
def test_three_people_and_clips_of_three_classes_can_be_kept_apart(seed):
    # SEED: fifteen clips, five of each class, the same for everybody; one group of clips is left to train on.
    clips = np.tile(np.arange(15), 3)
    table = pd.DataFrame({"dataset": "made", "subject": np.repeat([1, 2, 3], 15), "session": 1, "trial": clips + 1})
    table["stimulus"] = [f"clip_{clip:02d}" for clip in clips]
    folds = list(SubjectAndStimulusKFold(5, seed).nested_split(table, clips % 3))
    assert len(folds) == 9
    for train, validation, test in folds:
        assert set(clips[train] % 3) == set(clips[validation] % 3) == set(clips[test] % 3) == {0, 1, 2}
