"""Planted faults are found, each by name; clean splits have no findings."""

import itertools

import numpy as np
import pandas as pd
import pytest

from keras_emotion.evaluation import PROTOCOLS, Protocol, check_predictions, read_predictions, rescore
from keras_emotion.evaluation.leaks import (
    KINDS,
    SplitChecks,
    content_hashes,
    label_findings,
    protocol_findings,
)
from keras_emotion.schema import InputError


def window_table(n_subjects=4, n_sessions=1, n_stimuli=8, n_windows=3, hop_seconds=2.0):
    """Each subject sees each stimulus once a session, in another order; windows of two seconds."""
    rows = []
    for subject, session in itertools.product(range(1, n_subjects + 1), range(1, n_sessions + 1)):
        order = np.random.default_rng([subject, session]).permutation(n_stimuli)
        for stimulus in range(n_stimuli):
            for window in range(n_windows):
                start = window * hop_seconds
                trial = (session - 1) * n_stimuli + stimulus + 1
                rows.append((subject, session, trial, order[stimulus] + 1, f"film{stimulus + 1}", start, start + 2.0))
    columns = ["subject", "session", "trial", "presentation", "stimulus", "start_seconds", "stop_seconds"]
    return pd.DataFrame(rows, columns=columns).assign(dataset="test")


def labels_of(table):
    """High and low in turn, another half of the films for each subject."""
    film = table["stimulus"].str.removeprefix("film").astype(int)
    return ((film + table["subject"]) % 2).to_numpy().copy()


def kinds(findings, severity="leak"):
    return {finding.kind for finding in findings if finding.severity == severity}


def checked(table, folds, disjoint="trials", contents=None, several_subjects=True):
    checks = SplitChecks(disjoint, several_subjects)
    for train, validation, test in folds:
        checks.fold(table, train, validation, test, contents)
    return checks.findings()


def split_by(table, codes):
    """Leave one of the codes out, the next one for validation."""
    n_folds = codes.max() + 1
    for fold in range(n_folds):
        validation = (fold + 1) % n_folds
        parts = (~np.isin(codes, [fold, validation]), codes == validation, codes == fold)
        yield tuple(np.flatnonzero(part) for part in parts)


def trials_dealt(table, n_folds=4):
    return (table["trial"] % n_folds).to_numpy()


def one_subject(**arguments):
    return window_table(n_subjects=1, **arguments)


# Planted faults -------------------------------------------------------------------------------------------------------


def test_test_windows_among_the_training_windows_are_found():
    table = one_subject()
    folds = [
        (np.append(train, test[:2]), validation, test)
        for train, validation, test in split_by(table, trials_dealt(table))
    ]
    (finding, *_) = checked(table, folds)
    assert (finding.kind, finding.severity) == ("test windows in training", "leak")
    assert (finding.n_windows, finding.n_tested) == (2 * 4, len(table))


def test_a_validation_part_that_is_the_test_part_is_found():
    table = one_subject()
    folds = [(train, test, test) for train, _, test in split_by(table, trials_dealt(table))]
    assert kinds(checked(table, folds)) == {"selection on the test fold"}


def test_windows_of_one_trial_on_both_sides_are_found():
    table = one_subject()
    found = checked(table, split_by(table, np.arange(len(table)) % 4))
    assert kinds(found) == {"shared trial"}
    assert found[0].n_windows == len(table)
    assert "subject 1, trial" in found[0].message


def test_windows_that_overlap_in_time_are_found_and_windows_that_touch_are_not():
    touching, overlapping = one_subject(), one_subject(hop_seconds=1.5)
    split = np.arange(len(touching)) % 4
    assert "overlap in time" not in kinds(checked(touching, split_by(touching, split)))
    found = checked(overlapping, split_by(overlapping, split))
    assert kinds(found) == {"shared trial", "overlap in time"}


@pytest.mark.parametrize("seed", range(5))
def test_overlaps_agree_with_a_loop_over_pairs(seed):
    rng = np.random.default_rng(seed)
    table = window_table(n_subjects=2, n_stimuli=3, n_windows=6)
    table["start_seconds"] = rng.uniform(-3, 9, len(table)).round(1)
    table["stop_seconds"] = table["start_seconds"] + rng.uniform(0.1, 3, len(table)).round(1)
    in_test = rng.random(len(table)) < 0.4
    train, test = np.flatnonzero(~in_test), np.flatnonzero(in_test)

    def overlap(one, other):
        same = (one[["subject", "trial"]] == other[["subject", "trial"]]).all()
        latest_start = max(one["start_seconds"], other["start_seconds"])
        return same and min(one["stop_seconds"], other["stop_seconds"]) - latest_start > 1e-5

    expected = sum(any(overlap(table.loc[row], table.loc[known]) for known in train) for row in test)
    found = {finding.kind: finding.n_windows for finding in checked(table, [(train, train[:0], test)])}
    assert found.get("overlap in time", 0) == expected


def test_a_film_that_the_same_subject_saw_in_another_session_is_found():
    table = one_subject(n_sessions=2)
    found = checked(
        table, split_by(table, (table["session"] - 1).to_numpy().repeat(1) + (table["trial"] % 2 * 2).to_numpy())
    )
    assert kinds(found) == {"shared stimulus"}


def test_films_that_should_be_apart_and_are_not_are_found():
    table = window_table()
    codes = table["stimulus"].factorize()[0] // 2
    assert kinds(checked(table, split_by(table, codes), "stimuli")) == set()
    codes[(table["subject"] == 2) & (table["stimulus"] == "film1")] = 1
    assert "shared stimulus" in kinds(checked(table, split_by(table, codes), "stimuli"))


def test_a_subject_on_both_sides_is_found_where_subjects_should_be_apart():
    table = window_table()
    codes = (table["subject"] - 1).to_numpy().copy()
    assert kinds(checked(table, split_by(table, codes), "subjects")) == set()
    codes[(table["subject"] == 2) & (table["trial"] == 3)] = 0
    found = checked(table, split_by(table, codes), "subjects")
    assert kinds(found) == {"shared subject"}


def test_windows_that_hold_the_same_are_found():
    table = window_table()
    arrays = np.random.default_rng(0).standard_normal((len(table), 2, 5)).astype(np.float32)
    train, validation, test = next(split_by(table, trials_dealt(table)))
    assert not kinds(checked(table, [(train, validation, test)], contents=content_hashes([arrays])))
    arrays[test[0]] = arrays[train[-1]]
    (finding, *_) = checked(table, [(train, validation, test)], contents=content_hashes([arrays]))
    assert (finding.kind, finding.n_windows) == ("duplicated windows", 1)


def test_hashes_tell_apart_what_differs_in_one_bit_and_look_at_all_arrays():
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, 256, (40, 3, 7), dtype=np.uint8), rng.standard_normal((40, 3))
    hashes = content_hashes([first, second], block=16)
    assert len(np.unique(hashes)) == 40
    np.testing.assert_array_equal(hashes, content_hashes([first, second], block=7))
    first[3, 2, 6] ^= 1
    changed = content_hashes([first, second])
    assert (changed != hashes).tolist() == [row == 3 for row in range(40)]
    second[5, 0] = np.nextafter(second[5, 0], 9)
    assert (content_hashes([first, second]) != changed).tolist() == [row == 5 for row in range(40)]


def test_a_subject_with_constant_labels_is_named():
    table = window_table(n_subjects=3)
    labels = labels_of(table)
    labels[table["subject"] == 2] = 1
    (finding,) = label_findings(table, labels)
    assert (finding.kind, finding.severity, finding.n_windows) == ("constant labels", "warning", 1)
    assert "1 of 3 subjects are constant (2)" in finding.message


def test_labels_that_vary_within_trials_and_missing_trials_are_noted():
    table = window_table(n_subjects=2)
    labels = labels_of(table)
    labels[0] = 1 - labels[0]
    rows = ~((table["subject"] == 2) & (table["trial"] > 6))
    found = label_findings(table[rows], labels[rows])
    assert kinds(found, "note") == {"several labels in a trial", "uneven trials"}
    assert not kinds(found) | kinds(found, "warning")


def test_protocols_that_fit_or_select_on_test_rows_are_found():
    protocol = Protocol(name="peeks", disjoint="trials", scope="within_subject", fitted_on="all_rows")
    assert kinds(protocol_findings(protocol)) == {"fitted on test rows"}
    assert kinds(protocol_findings(PROTOCOLS["as_published"])) == {"selection on the test fold"}


def test_every_kind_has_its_place_in_the_taxonomy():
    text = " ".join(KINDS.values())
    assert {"L1.1", "L1.2", "L1.3", "L1.4", "L2", "L3.1", "L3.2", "L3.3"} <= set(text.replace(",", "").split())


# Clean splits ---------------------------------------------------------------------------------------------------------

SHAPES = (
    {"n_subjects": 4, "n_stimuli": 12},
    {"n_subjects": 6, "n_stimuli": 9, "n_windows": 5},
    {"n_subjects": 5, "n_stimuli": 12, "hop_seconds": 0.5},
    {"n_subjects": 3, "n_stimuli": 10, "n_windows": 1},
)
CLEAN = [(name, shape) for name in ("trial_disjoint", "stimulus_disjoint", "subject_disjoint") for shape in SHAPES]


@pytest.mark.parametrize(("name", "shape"), CLEAN)
@pytest.mark.parametrize("seed", [0, 1])
def test_clean_splits_are_not_accused(name, shape, seed):
    protocol, table = PROTOCOLS[name], window_table(**shape)
    labels = labels_of(table)
    arrays = np.random.default_rng(seed).standard_normal((len(table), 3, 4))
    contents = content_hashes([arrays])
    found = [*protocol_findings(protocol), *label_findings(table, labels)]
    checks = SplitChecks(protocol.disjoint, protocol.scope == "across_subjects")
    for rows in protocol.pools(table).values():
        pool = table.iloc[rows].reset_index(drop=True)
        for train, validation, test in protocol.folds(pool, labels[rows], seed):
            checks.fold(pool, train, validation, test, contents[rows])
    found += checks.findings()
    assert not kinds(found) | kinds(found, "warning")


@pytest.mark.parametrize("name", ["as_published", "window_disjoint"])
def test_protocols_of_windows_are_accused_of_shared_trials(name):
    protocol, table = PROTOCOLS[name], one_subject(n_stimuli=12)
    found = checked(table, protocol.folds(table, labels_of(table)))
    assert "shared trial" in kinds(found)
    assert "overlap in time" not in kinds(found)


# External tables ------------------------------------------------------------------------------------------------------


def predictions_of(table, fold, accuracy=0.8, seed=0):
    labels = labels_of(table)
    right = np.random.default_rng(seed).random(len(table)) < accuracy
    short = table.rename(columns={"start_seconds": "start", "stop_seconds": "stop"})
    return short[["subject", "trial", "start", "stop"]].assign(
        fold=fold, label=labels, prediction=np.where(right, labels, 1 - labels)
    )


def read(predictions, tmp_path):
    path = tmp_path / "predictions.csv"
    predictions.to_csv(path, index=False)
    return read_predictions(path)


FOREIGN_CLEAN = {
    "trials within subjects": lambda table: trials_dealt(table),
    "trials, dealt anew for each subject": lambda table: (table["trial"] + table["subject"]).to_numpy() % 4,
    "one subject out": lambda table: table["subject"].to_numpy(),
    "groups of subjects": lambda table: table["subject"].to_numpy() % 3,
    "names of folds": lambda table: np.array(["a", "b", "c"])[table["trial"] % 3],
}


@pytest.mark.parametrize("name", FOREIGN_CLEAN)
@pytest.mark.parametrize("n_subjects", [1, 6])
def test_clean_tables_are_not_accused(name, n_subjects, tmp_path):
    if n_subjects == 1 and "subject" in name and "trials" not in name:
        pytest.skip("one subject cannot be left out")
    table = window_table(n_subjects=n_subjects, n_stimuli=12)
    found = check_predictions(read(predictions_of(table, FOREIGN_CLEAN[name](table)), tmp_path))
    assert not kinds(found) | kinds(found, "warning")


def test_a_table_split_by_windows_is_found(tmp_path):
    table = window_table(hop_seconds=1.0)
    fold = np.random.default_rng(0).integers(5, size=len(table))
    found = check_predictions(read(predictions_of(table, fold), tmp_path))
    assert kinds(found) == {"shared trial", "overlap in time"}


def test_a_subject_in_two_folds_of_a_table_that_keeps_subjects_apart_is_found(tmp_path):
    table = window_table(n_subjects=6)
    fold = (table["subject"] % 3).to_numpy().copy()
    fold[(table["subject"] == 2) & (table["trial"] > 5)] = 0
    predictions = read(predictions_of(table, fold), tmp_path)
    assert kinds(check_predictions(predictions)) == {"shared subject"}
    assert kinds(check_predictions(predictions, disjoint="trials")) == set()


def test_stimuli_in_two_folds_are_found_where_the_table_claims_that_they_are_apart(tmp_path):
    table = window_table()
    fold = table["stimulus"].factorize()[0] % 4
    clean = predictions_of(table, fold).assign(stimulus=table["stimulus"])
    assert not kinds(check_predictions(read(clean, tmp_path), "stimuli"))
    fold[(table["subject"] == 1) & (table["stimulus"] == "film1")] = 1
    planted = predictions_of(table, fold).assign(stimulus=table["stimulus"])
    assert kinds(check_predictions(read(planted, tmp_path))) == {"shared stimulus"}


def test_windows_that_hold_the_same_are_found_where_the_table_says_what_they_hold(tmp_path):
    table = window_table()
    predictions = predictions_of(table, trials_dealt(table)).assign(content=np.arange(len(table)))
    assert not kinds(check_predictions(read(predictions, tmp_path)))
    predictions.loc[len(table) - 1, "content"] = 0
    assert kinds(check_predictions(read(predictions, tmp_path))) == {"duplicated windows"}


def test_a_window_in_two_folds_is_found_and_repetitions_are_told_apart(tmp_path):
    table = window_table()
    once, again = (predictions_of(table, (trials_dealt(table) + place) % 4) for place in (0, 1))
    both = pd.concat([once.assign(repetition=0), again.assign(repetition=1)])
    assert not kinds(check_predictions(read(both, tmp_path)))
    assert "duplicated windows" in kinds(check_predictions(read(both.drop(columns="repetition"), tmp_path)))
    twice = check_predictions(read(pd.concat([once, once.head(3)]), tmp_path))
    assert not kinds(twice)
    assert kinds(twice, "warning") == {"duplicated windows"}


def test_a_table_of_one_fold_is_questioned(tmp_path):
    table = window_table()
    found = check_predictions(read(predictions_of(table, 0), tmp_path))
    assert kinds(found, "warning") == {"test windows in training"}


def test_our_protocols_are_known_by_their_names(tmp_path):
    table = window_table(n_subjects=3)
    fold = trials_dealt(table)
    predictions = predictions_of(table, fold).assign(protocol="as_published")
    assert kinds(check_predictions(read(predictions, tmp_path))) == {"selection on the test fold"}
    predictions["protocol"] = "subject_disjoint"
    assert kinds(check_predictions(read(predictions, tmp_path))) == {"shared subject"}


def test_scores_by_window_and_by_trial_worked_by_hand(tmp_path):
    # Two subjects, two trials of three windows each. Subject 1: votes 2:1 and 3:0 right; subject 2: 1:2 and 3:0 right.
    rows = pd.DataFrame(
        {
            "subject": np.repeat(["a", "b"], 6),
            "trial": np.tile(np.repeat([1, 2], 3), 2),
            "start": np.tile([0, 2, 4], 4),
            "stop": np.tile([2, 4, 6], 4),
            "fold": np.tile(np.repeat([0, 1], 3), 2),
            "label": np.tile(np.repeat(["calm", "glad"], 3), 2),
            "prediction": ["calm", "calm", "glad", *["glad"] * 3, "calm", "glad", "glad", *["glad"] * 3],
        }
    )
    scores = rescore(read(rows, tmp_path)).set_index("unit")
    assert scores.loc["window", "accuracy"] == pytest.approx((5 / 6 + 4 / 6) / 2)
    assert scores.loc["trial", "accuracy"] == pytest.approx((1 + 1 / 2) / 2)
    assert scores["n_units"].tolist() == [12, 4]
    assert scores["best_constant_accuracy"].tolist() == [0.5, 0.5]
    assert scores.loc["window", "balanced_accuracy"] == pytest.approx((5 / 6 + 4 / 6) / 2)


def test_numbers_and_words_are_labels_alike(tmp_path):
    table = window_table()
    as_numbers = predictions_of(table, trials_dealt(table))
    as_floats = as_numbers.assign(prediction=as_numbers["prediction"] * 1.0)
    as_words = as_numbers.assign(
        **{name: as_numbers[name].map({0: "low", 1: "up"}) for name in ("label", "prediction")}
    )
    expected = rescore(read(as_numbers, tmp_path))
    pd.testing.assert_frame_equal(rescore(read(as_floats, tmp_path)), expected)
    pd.testing.assert_frame_equal(rescore(read(as_words, tmp_path)), expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda table: table.drop(columns=["fold", "stop"]),
            r"no column stop, fold; it has .*; give --columns stop=COLUMN fold=COLUMN; fold=@file",
        ),
        (lambda table: table.head(0), "has no rows"),
        (lambda table: table.assign(start="early"), "line 2, start_seconds: expected seconds, found 'early'"),
        (lambda table: table.assign(stop=table["start"]), "line 2: the window ends before it starts"),
        (lambda table: table.assign(label=np.where(table.index == 3, np.nan, 1.0)), "line 5: label is missing"),
        (lambda table: table.assign(label=np.arange(len(table)) * 0.1), "expected classes, not ratings"),
        (lambda table: table.assign(prediction="sad"), "no prediction is one of the labels"),
    ],
)
def test_what_is_wrong_with_a_table_is_said(change, message, tmp_path):
    table = window_table(n_subjects=6)
    with pytest.raises(InputError, match=message) as raised:
        read(change(predictions_of(table, trials_dealt(table))), tmp_path)
    assert "predictions.csv" in str(raised.value)


def test_a_file_that_is_no_table_is_named(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_predictions(tmp_path / "predictions.csv")
    path = tmp_path / "empty.csv"
    path.write_bytes(b"")
    with pytest.raises(InputError, match=r"empty\.csv: not readable as a csv file"):
        read_predictions(path)
    path.write_bytes(b"\xff\xfe\x00subject\x80")
    with pytest.raises(InputError, match=r"empty\.csv: "):
        read_predictions(path)
