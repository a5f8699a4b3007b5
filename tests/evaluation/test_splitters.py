"""Splitters: what they keep disjoint, and that folds depend only on ids, labels and seed."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline

from keras_emotion.evaluation import (
    NotEvaluable,
    StimulusKFold,
    SubjectAndStimulusKFold,
    SubjectKFold,
    TrialKFold,
    WindowKFold,
    overlap_runs,
)
from keras_emotion.schema import WINDOW_COLUMNS, InputError

ROOT = Path(__file__).parents[2]


def window_table(labels_of_trials, n_windows=3, step_seconds=1.0, string_ids=False):
    """Window table and labels; `labels_of_trials` is one list of trial labels a subject, windows last 1 s."""
    rows, labels = [], []
    for subject, trials in enumerate(labels_of_trials, start=1):
        for trial, label in enumerate(trials, start=1):
            for window in range(n_windows):
                start = window * step_seconds
                # 9, 10, 11 sort differently as numbers and as strings.
                ids = (f"s{subject}", "a", trial) if string_ids else (subject, 1, trial)
                rows.append(("made", *ids, -1, f"film{trial}", start, start + 1.0))
                labels.append(label)
    return pd.DataFrame(rows, columns=WINDOW_COLUMNS), np.array(labels)


def balanced(n_trials):
    return [trial % 2 for trial in range(n_trials)]


@st.composite
def trials_of_subjects(draw, least_subjects=1, most_subjects=5):
    """Trial labels of each subject: every class in at least four trials of every subject."""
    n_classes = draw(st.integers(2, 3))
    n_subjects = draw(st.integers(least_subjects, most_subjects))
    extra = st.lists(st.integers(0, n_classes - 1), max_size=12)
    return [draw(st.permutations([*range(n_classes)] * 4 + draw(extra))) for _ in range(n_subjects)]


SPLITTERS = {
    "windows": (WindowKFold, ["subject", "trial", "start_seconds"], {}),
    "overlapping": (WindowKFold, ["subject", "trial", "start_seconds"], {"keep_overlapping_together": True}),
    "trials": (TrialKFold, ["subject", "trial"], {}),
    "stimuli": (StimulusKFold, ["stimulus"], {}),
    "one subject": (SubjectKFold, ["subject"], {}),
    "subject groups": (SubjectKFold, ["subject"], {"n_splits": 3}),
}
EVERY_SPLITTER = pytest.mark.parametrize("kind", SPLITTERS)


def drawn_table(data, kind, n_windows=3):
    """A table that the splitter can split: with one label per stimulus, and at least three subjects."""
    trials = data.draw(trials_of_subjects(*((3, 5) if "subject" in kind else ())))
    if kind == "stimuli":
        trials = [trials[0]] * len(trials)
    return window_table(trials, n_windows, string_ids=data.draw(st.booleans()))


@EVERY_SPLITTER
@hypothesis.given(data=st.data())
@hypothesis.settings(max_examples=25, deadline=None)
def test_units_are_disjoint_and_each_row_is_tested_once(kind, data):
    splitter_class, unit, arguments = SPLITTERS[kind]
    table, labels = drawn_table(data, kind)
    splitter = splitter_class(
        **arguments, seed=data.draw(st.integers(0, 5)), maximum_folds=data.draw(st.sampled_from([None, 3, 5]))
    )
    ids = table[unit].astype(str).agg("/".join, axis=1).to_numpy()
    tested, validated = np.zeros(len(table), dtype=int), np.zeros(len(table), dtype=int)
    outer = list(splitter.split(table, labels))
    for (rest, test), (train, validation, same_test) in zip(outer, splitter.nested_split(table, labels), strict=True):
        np.testing.assert_array_equal(test, same_test)
        np.testing.assert_array_equal(np.sort(np.concatenate([train, validation])), rest)
        np.testing.assert_array_equal(np.sort(np.concatenate([rest, test])), np.arange(len(table)))
        parts = [set(ids[part]) for part in (train, validation, test)]
        assert all(parts)
        assert sum(map(len, parts)) == len(set(ids))
        assert set(labels[train]) == set(labels)
        tested[test] += 1
        validated[validation] += 1
    assert (tested == 1).all()
    # Each fold is the validation set once if the next fold can be spared: always, if units hold one class each.
    if "subject" not in kind:
        assert (validated == 1).all()
    assert splitter.get_n_splits(table, labels) == len(outer)


@pytest.mark.parametrize("kind", ["windows", "overlapping", "trials", "stimuli"])
@hypothesis.given(data=st.data())
@hypothesis.settings(max_examples=25, deadline=None)
def test_folds_are_stratified_within_one_unit(kind, data):
    splitter_class, unit, arguments = SPLITTERS[kind]
    table, labels = drawn_table(data, kind)
    units = table.assign(label=labels).drop_duplicates(unit)
    folds = [test for _, test in splitter_class(**arguments, seed=3).split(table, labels)]
    for label in np.unique(labels):
        of_label = units.index[units["label"] == label]
        counts = [len(of_label.intersection(test)) for test in folds]
        assert max(counts) - min(counts) <= 1
    sizes = [len(units.index.intersection(test)) for test in folds]
    assert max(sizes) - min(sizes) <= 1


@EVERY_SPLITTER
@hypothesis.given(data=st.data())
@hypothesis.settings(max_examples=15, deadline=None)
def test_windows_stay_in_their_folds_when_rows_are_permuted(kind, data):
    splitter_class, _, arguments = SPLITTERS[kind]
    table, labels = drawn_table(data, kind)
    order = np.random.default_rng(data.draw(st.integers(0, 99))).permutation(len(table))
    splitter = splitter_class(**arguments, seed=1)
    plain = splitter.nested_split(table, labels)
    permuted = splitter.nested_split(table.iloc[order], pd.Series(labels, index=table.index).iloc[order])
    for parts, permuted_parts in zip(plain, permuted, strict=True):
        for part, permuted_part in zip(parts, permuted_parts, strict=True):
            np.testing.assert_array_equal(part, np.sort(order[permuted_part]))


@EVERY_SPLITTER
def test_each_call_gives_the_same_folds_and_seed_and_repetition_change_them(kind):
    splitter_class, _, arguments = SPLITTERS[kind]
    table, labels = window_table([balanced(12)] * 6)

    def folds(**changed):
        return [test.tolist() for _, test in splitter_class(**arguments, **changed).split(table, labels)]

    splitter = splitter_class(**arguments)
    first, second = ([test.tolist() for _, test in splitter.split(table, labels)] for _ in range(2))
    assert first == second == folds(seed=0, repetition=0)
    assert len({str(folds(**changed)) for changed in ({}, {"seed": 1}, {"repetition": 1})}) == 3


def test_folds_do_not_depend_on_the_hash_seed():
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import test_splitters as t\n"
        "table, labels = t.window_table([t.balanced(12)] * 5, string_ids=True)\n"
        "for c, _, arguments in t.SPLITTERS.values():\n"
        "    print([f.tolist() for parts in c(**arguments).nested_split(table, labels) for f in parts])\n"
    )
    search_path = os.pathsep.join([str(ROOT), os.environ["PYTHONPATH"]])
    found = subprocess.run(
        [sys.executable, "-c", code, str(Path(__file__).parent)],
        env={**os.environ, "PYTHONHASHSEED": "1", "PYTHONPATH": search_path},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    table, labels = window_table([balanced(12)] * 5, string_ids=True)
    expected = [
        [part.tolist() for parts in splitter_class(**arguments).nested_split(table, labels) for part in parts]
        for splitter_class, _, arguments in SPLITTERS.values()
    ]
    assert found.splitlines() == [str(folds) for folds in expected]


def test_folds_of_a_small_table_worked_by_hand():
    # Six trials of one window; only NumPy's permutation with seed [7, 0] is assumed.
    table, labels = window_table([[0, 1, 0, 1, 0, 1]], n_windows=1)
    shuffled = np.random.default_rng([7, 0]).permutation(6).tolist()
    dealt = [trial for trial in shuffled if trial % 2 == 0] + [trial for trial in shuffled if trial % 2 == 1]
    expected = [sorted([dealt[fold], dealt[fold + 3]]) for fold in range(3)]
    splits = list(TrialKFold(seed=7).nested_split(table, labels))
    assert [test.tolist() for _, _, test in splits] == expected
    assert [validation.tolist() for _, validation, _ in splits] == [expected[1], expected[2], expected[0]]


@pytest.mark.parametrize(("n_rarer", "n_folds"), [(3, 3), (4, 4), (9, 9), (10, 10), (15, 10)])
def test_trials_of_the_rarer_class_limit_the_folds(n_rarer, n_folds):
    table, labels = window_table([[1] * n_rarer + [0] * (40 - n_rarer)], n_windows=2)
    assert TrialKFold().get_n_splits(table, labels) == n_folds
    assert TrialKFold(maximum_folds=5).get_n_splits(table, labels) == min(n_folds, 5)
    assert len(list(TrialKFold(maximum_folds=5).split(table, labels))) == min(n_folds, 5)


@pytest.mark.parametrize("splitter_class", [TrialKFold, StimulusKFold])
def test_fewer_than_three_trials_of_a_class_is_not_evaluable(splitter_class):
    table, labels = window_table([[1] * 2 + [0] * 38])
    for method in ("split", "nested_split"):
        with pytest.raises(NotEvaluable, match="2 with label 1") as caught:
            next(getattr(splitter_class(), method)(table, labels))
        assert caught.value.counts == {0: 38, 1: 2}
        assert "subject 1" in str(caught.value)
    assert isinstance(caught.value, InputError)
    # Workers send their errors to the parent process.
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.counts) == (str(caught.value), caught.value.counts)


@EVERY_SPLITTER
def test_constant_labels_are_not_evaluable(kind):
    splitter_class, _, arguments = SPLITTERS[kind]
    table, _ = window_table([balanced(6)] * 4)
    with pytest.raises(NotEvaluable, match=r"units, [0-9]+ with label 1;"):
        next(splitter_class(**arguments).split(table, np.ones(len(table), dtype=int)))


@EVERY_SPLITTER
def test_an_empty_table_is_not_evaluable(kind):
    splitter_class, _, arguments = SPLITTERS[kind]
    table, labels = window_table([balanced(6)])
    with pytest.raises(NotEvaluable):
        next(splitter_class(**arguments).split(table.iloc[:0], labels[:0]))


def test_two_subjects_are_too_few_and_one_class_in_one_subject_too():
    table, labels = window_table([balanced(4)] * 2)
    with pytest.raises(NotEvaluable, match="2 subject units"):
        next(SubjectKFold().split(table, labels))
    # Only the first subject has highs: the fold that tests that subject has none to train on.
    table, labels = window_table([balanced(4), [0] * 4, [0] * 4, [0] * 4])
    with pytest.raises(NotEvaluable, match="lacks a class"):
        list(SubjectKFold().split(table, labels))


def test_validation_spares_the_last_training_unit_of_a_class():
    # Highs in two subjects of six: when one is tested, the other has to train.
    table, labels = window_table([balanced(4), balanced(4), [0] * 4, [0] * 4, [0] * 4, [0] * 4])
    for seed in range(20):
        splits = list(SubjectKFold(seed=seed).nested_split(table, labels))
        assert len(splits) == 6
        for train, validation, test in splits:
            assert set(labels[train]) == {0, 1}
            assert len(validation) == len(test) == 12
    # Only the second subject has both classes: its fold leaves two others for training, and none for validation.
    table, labels = window_table([[1] * 4, balanced(4), [0] * 4])
    assert len(list(SubjectKFold().split(table, labels))) == 3
    with pytest.raises(NotEvaluable, match="validation taken out"):
        list(SubjectKFold().nested_split(table, labels))


def test_subjects_are_left_out_one_at_a_time_or_in_groups():
    table, labels = window_table([balanced(4)] * 7, string_ids=True)
    left_out = [set(table["subject"].iloc[test]) for _, test in SubjectKFold().split(table, labels)]
    assert sorted(map(len, left_out)) == [1] * 7
    grouped = [set(table["subject"].iloc[test]) for _, test in SubjectKFold(n_splits=3).split(table, labels)]
    assert sorted(map(len, grouped)) == [2, 2, 3]
    assert SubjectKFold(maximum_folds=5).get_n_splits(table, labels) == 5
    assert SubjectKFold(n_splits=4).get_n_splits() == 4
    assert SubjectAndStimulusKFold(n_splits=4).get_n_splits() == 16
    for splitter in (SubjectKFold(), SubjectAndStimulusKFold(n_splits=None)):
        with pytest.raises(ValueError, match="pass it, and the labels"):
            splitter.get_n_splits()


def test_stimuli_are_disjoint_across_subjects_who_rate_them_differently():
    generator = np.random.default_rng(0)
    table, labels = window_table(generator.integers(0, 2, (5, 40)).tolist(), n_windows=2)
    for train, validation, test in StimulusKFold(seed=2).nested_split(table, labels):
        films = [set(table["stimulus"].iloc[part]) for part in (train, validation, test)]
        assert sum(map(len, films)) == 40
        assert all(set(table["subject"].iloc[part]) == {1, 2, 3, 4, 5} for part in (train, test))


def test_a_trial_of_another_session_or_data_set_is_another_trial():
    table, labels = window_table([balanced(4)])
    other = pd.concat([table, table.assign(session=2), table.assign(dataset="other")], ignore_index=True)
    assert len(np.unique(TrialKFold().units(other))) == 12
    assert len(np.unique(StimulusKFold().units(other))) == 8
    assert len(np.unique(SubjectKFold().units(other))) == 2
    assert TrialKFold().get_n_splits(other, np.tile(labels, 3)) == 6


def test_ids_of_mixed_types_are_sorted_numbers_first():
    table, _ = window_table([balanced(3)] * 3, n_windows=1)
    table["subject"] = pd.Series(["b"] * 3 + [2] * 3 + ["a"] * 3, dtype=object)
    assert SubjectKFold().units(table).tolist() == [2] * 3 + [0] * 3 + [1] * 3


def loop_of_overlap_runs(table):
    """Plain transitive closure of pairwise overlaps, window by window."""
    rows = table.to_dict("records")
    run = list(range(len(rows)))
    for i, first in enumerate(rows):
        for j, second in enumerate(rows):
            same_trial = all(first[name] == second[name] for name in ("dataset", "subject", "session", "trial"))
            shared = min(first["stop_seconds"], second["stop_seconds"]) - max(
                first["start_seconds"], second["start_seconds"]
            )
            if same_trial and shared > 1e-6:
                run = [run[i] if value == run[j] else value for value in run]
    return run


@hypothesis.given(st.integers(0, 10_000))
@hypothesis.settings(max_examples=30, deadline=None)
def test_overlap_runs_agree_with_a_loop_over_pairs(seed):
    generator = np.random.default_rng(seed)
    table, _ = window_table([balanced(3)] * 2, n_windows=5)
    table["start_seconds"] = generator.integers(0, 30, len(table)) / 10
    table["stop_seconds"] = table["start_seconds"] + generator.choice([0.1, 0.3, 0.7], len(table))
    table = table.iloc[generator.permutation(len(table))]
    found, expected = overlap_runs(table), np.array(loop_of_overlap_runs(table))
    np.testing.assert_array_equal(found[:, None] == found, expected[:, None] == expected)


def test_overlapping_windows_share_a_fold_only_when_asked():
    # Pairs that overlap within, but not between each other: 0-1, 0.5-1.5 | 2-3, 2.5-3.5 | ...
    table, labels = window_table([balanced(4)], n_windows=6)
    pair = np.tile(np.arange(6) // 2, 4)
    table["start_seconds"] = pair * 2 + np.tile([0.0, 0.5], 12)
    table["stop_seconds"] = table["start_seconds"] + 1
    unit = table["trial"].to_numpy() * 10 + pair

    def shared(splitter):
        return sum(len(set(unit[train]) & set(unit[test])) for train, test in splitter.split(table, labels))

    assert shared(WindowKFold(n_splits=3, keep_overlapping_together=True)) == 0
    assert shared(WindowKFold(n_splits=3)) > 0
    assert len(np.unique(WindowKFold(keep_overlapping_together=True).units(table))) == 12


@pytest.mark.parametrize("nested", [False, True])
def test_purged_training_parts_have_no_window_that_overlaps_and_lose_no_other(nested):
    starts = np.arange(0, 30, 1.0)
    table = pd.concat(
        [
            pd.DataFrame(
                {
                    "dataset": "test",
                    "subject": 1,
                    "session": 1,
                    "trial": trial,
                    "start_seconds": starts,
                    "stop_seconds": starts + 2,
                }
            )
            for trial in (1, 2, 3, 4)
        ],
        ignore_index=True,
    )
    labels = (table["trial"] % 2).to_numpy()
    plain, purging = (WindowKFold(n_splits=10, purge_overlapping=purge) for purge in (False, True))
    method = "nested_split" if nested else "split"
    tested = []
    for before, after in zip(
        getattr(plain, method)(table, labels), getattr(purging, method)(table, labels), strict=True
    ):
        np.testing.assert_array_equal(before[-1], after[-1])
        tested.append(after[-1])
        for place, rows in enumerate(before[:-1]):
            later = table.loc[np.concatenate(before[place + 1 :])]
            overlapping = [
                ((later["trial"] == row.trial) & ((later["start_seconds"] - row.start_seconds).abs() < 2)).any()
                for row in table.loc[rows].itertuples()
            ]
            np.testing.assert_array_equal(after[place], rows[~np.array(overlapping)])
            assert any(overlapping)
    assert sorted(np.concatenate(tested)) == list(range(len(table)))


def test_what_cannot_be_purged_is_said():
    with pytest.raises(ValueError, match="purge_overlapping"):
        WindowKFold(keep_overlapping_together=True, purge_overlapping=True)
    starts = np.arange(0, 12, 1.0)
    table = pd.DataFrame({"dataset": "test", "subject": 1, "session": 1, "trial": np.repeat([1, 2], 6)})
    table["start_seconds"], table["stop_seconds"] = starts, starts + 20
    with pytest.raises(NotEvaluable, match="lacks a class"):
        list(WindowKFold(n_splits=3, purge_overlapping=True).split(table, np.repeat([0, 1], 6)))


def test_windows_that_touch_do_not_overlap_however_their_ends_are_rounded():
    # 0.1 + 0.2 is a little more than 0.3.
    table, labels = window_table([balanced(8)], n_windows=30, step_seconds=0.1)
    table["stop_seconds"] = table["start_seconds"] + 0.1
    assert (table["stop_seconds"] > table["start_seconds"].shift(-1)).sum() > 0
    assert WindowKFold(keep_overlapping_together=True).get_n_splits(table, labels) == 10
    assert len(np.unique(overlap_runs(table))) == len(table)


def test_windows_that_overlap_throughout_make_the_trial_the_unit():
    table, labels = window_table([[1] * 4 + [0] * 10], n_windows=8, step_seconds=0.5)
    splitter = WindowKFold(keep_overlapping_together=True)
    np.testing.assert_array_equal(splitter.units(table), TrialKFold().units(table))
    assert splitter.get_n_splits(table, labels) == 4


def test_scikit_learn_takes_the_splitters():
    generator = np.random.default_rng(0)
    table, labels = window_table([balanced(12)] * 4)
    features = labels[:, None] + generator.normal(size=(len(table), 2)) * 0.1
    for splitter_class, _, arguments in SPLITTERS.values():
        splitter = splitter_class(**arguments)
        scores = cross_val_score(LogisticRegression(), features, labels, groups=table, cv=splitter)
        assert len(scores) == splitter.get_n_splits(features, labels, table)
        assert scores.min() > 0.9
    search = GridSearchCV(LogisticRegression(), {"C": [1.0, 10.0]}, cv=TrialKFold(seed=1))
    assert search.fit(features, labels, groups=table).n_splits_ == 10

    # The table itself as X, features in columns of their own.
    wide = table.assign(first=features[:, 0])
    model = make_pipeline(make_column_transformer(("passthrough", ["first"])), LogisticRegression())
    assert cross_val_score(model, wide, labels, cv=TrialKFold(n_splits=3)).shape == (3,)


def test_scikit_learn_routes_the_table_as_groups():
    table, labels = window_table([balanced(12)])
    with sklearn.config_context(enable_metadata_routing=True):
        scores = cross_val_score(
            LogisticRegression(), labels[:, None], labels, params={"groups": table}, cv=TrialKFold(n_splits=4)
        )
    assert scores.tolist() == [1.0] * 4


def test_a_splitter_shows_its_arguments():
    assert repr(TrialKFold(seed=3)) == "TrialKFold(maximum_folds=None, n_splits=10, repetition=0, seed=3)"


@pytest.mark.parametrize("arguments", [{"n_splits": 2}, {"maximum_folds": 2}, {"seed": -1}, {"repetition": -1}])
def test_bad_arguments_are_named(arguments):
    (name,) = arguments
    for splitter_class in (WindowKFold, TrialKFold, StimulusKFold, SubjectKFold):
        with pytest.raises(ValueError, match=f"`{name}`"):
            splitter_class(**arguments)


def test_bad_input_is_named():
    table, labels = window_table([balanced(6)])
    with pytest.raises(InputError, match="window table"):
        next(TrialKFold().split(labels[:, None], labels))
    with pytest.raises(InputError, match="window table"):
        next(TrialKFold().split(table, labels, groups=labels))
    with pytest.raises(InputError, match="no column trial"):
        next(TrialKFold().split(table.drop(columns="trial"), labels))
    with pytest.raises(ValueError, match="`y` has shape"):
        next(TrialKFold().split(table, labels[:-1]))
    with pytest.raises(InputError, match="row 4 of the table: subject is missing"):
        next(TrialKFold().split(table.assign(subject=table["subject"].astype(float).where(table.index != 4)), labels))
    backwards = table.assign(stop_seconds=table["start_seconds"])
    with pytest.raises(InputError, match="row 0: stop_seconds"):
        next(WindowKFold(keep_overlapping_together=True).split(backwards, labels))
