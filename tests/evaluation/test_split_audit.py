"""Audit of scikit-learn splitters and estimators: planted leaks are found, clean ones have no findings."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.feature_selection import SelectKBest
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GroupKFold,
    KFold,
    LeaveOneGroupOut,
    RepeatedKFold,
    ShuffleSplit,
    StratifiedGroupKFold,
)
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from keras_emotion.evaluation import audit_split
from keras_emotion.schema import InputError


def study(n_subjects=4, n_trials=8, n_windows=5, effect=0.0, fingerprint=3.0, seed=0, hop=2.0):
    """Windows of 2 s: features with a fingerprint of each trial; half of each subject's trials have each label."""
    rng = np.random.default_rng(seed)
    rows = [(s, t, w * hop, w * hop + 2) for s in range(n_subjects) for t in range(n_trials) for w in range(n_windows)]
    table = pd.DataFrame(rows, columns=["subject", "trial", "start", "stop"])
    table["stimulus"] = table["subject"] * n_trials + table["trial"]
    labels = np.concatenate([rng.permutation(np.arange(n_trials) % 2) for _ in range(n_subjects)])
    y = np.repeat(labels, n_windows)
    fingerprints = np.repeat(rng.normal(size=(n_subjects * n_trials, 6)), n_windows, axis=0)
    X = rng.normal(size=(len(table), 6)) + fingerprint * fingerprints
    X[:, 0] += effect * y
    return X, y, table


def kinds(found, severity="leak"):
    return {finding.kind for finding in found.findings if finding.severity == severity}


LIGHT = make_pipeline(StandardScaler(), LogisticRegression())


def within(table):
    return table.assign(subject=0, trial=table["stimulus"])


# --- splitters


@pytest.mark.parametrize(
    ("splitter", "column", "leaks"),
    [
        (KFold(5, shuffle=True, random_state=0), "stimulus", {"shared trial"}),
        (5, "stimulus", {"shared trial"}),
        (RepeatedKFold(n_splits=4, n_repeats=2, random_state=0), "stimulus", {"shared trial"}),
        (ShuffleSplit(3, random_state=0), "stimulus", {"shared trial"}),
        (GroupKFold(4), "stimulus", set()),
        (StratifiedGroupKFold(4), "stimulus", set()),
        (LeaveOneGroupOut(), "subject", set()),
    ],
)
def test_an_array_of_groups_has_to_lie_on_one_side(splitter, column, leaks):
    X, y, table = study()
    found = audit_split(X, y, table[column], splitter)
    assert kinds(found) == leaks
    assert kinds(found, "warning") == set()
    assert found.has_leaks == bool(leaks)
    assert found.scores.empty
    if leaks:
        # By the position in X, as an array of groups has no subjects and no times.
        assert "lie in a group of which other rows are in the training set; first: row " in found.findings[0].message
        assert "subject" not in found.findings[0].message


def test_splits_of_a_whole_window_table():
    X, y, table = study(hop=1.0)
    shuffled = audit_split(X, y, table, KFold(5, shuffle=True, random_state=0))
    assert kinds(shuffled) == {"shared trial", "overlap in time"}
    assert " to " in shuffled.findings[0].message
    assert kinds(shuffled, "note") == {"not checkable", "shared subject"}
    by_subject = audit_split(X, y, table, LeaveOneGroupOut())
    assert kinds(by_subject) | kinds(by_subject, "warning") == set()
    assert by_subject.folds["n_test"].tolist() == [40] * 4
    by_trial = audit_split(X, y, table, GroupKFold(4), split_by="stimulus")
    assert kinds(by_trial) | kinds(by_trial, "warning") == set()
    # Trial numbers occur once per subject.
    assert kinds(audit_split(X, y, table, GroupKFold(4), split_by="trial", disjoint="subjects")) == {"shared subject"}


def test_folds_of_positions_and_of_masks_with_a_validation_part():
    X, y, table = study()
    trial = table["stimulus"].to_numpy()
    folds = [(trial % 4 > 1, trial % 4 == 1, trial % 4 == 0), (trial % 4 < 2, trial % 4 == 2, trial % 4 == 3)]
    assert kinds(audit_split(X, y, trial, folds)) == set()
    chosen_on_test = [(train, test, test) for train, _, test in folds]
    assert kinds(audit_split(X, y, trial, chosen_on_test)) == {"selection on the test fold"}
    trained_on_test = [(np.flatnonzero(train | test), np.flatnonzero(test)) for train, _, test in folds]
    assert kinds(audit_split(X, y, trial, trained_on_test)) == {"test windows in training"}


def test_equal_rows_on_both_sides_are_found():
    X, y, table = study()
    X[table["stimulus"] == 1] = X[table["stimulus"] == 0]
    for features in (X, pd.DataFrame(X), pd.DataFrame(X).astype({0: object})):
        found = audit_split(features, y, table["stimulus"], [(np.arange(5, 60), np.arange(5))])
        assert kinds(found) == {"duplicated windows"}
    assert kinds(audit_split(X, y, table["stimulus"], [(np.arange(10, 60), np.arange(10))])) == set()


# --- earlier processing of X


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(
    ("transform", "texts"),
    [
        (StandardScaler(), ["mean 0 and standard deviation 1 over all rows"]),
        (MinMaxScaler(), ["from exactly 0 to exactly 1"]),
        (MinMaxScaler((-1, 1)), ["from exactly -1 to exactly 1"]),
        (PCA(4), ["no two columns of X are correlated"]),
        (PCA(4, whiten=True), ["mean 0 and standard deviation 1", "no two columns of X are correlated"]),
    ],
    ids=["scaler", "range", "symmetric range", "PCA", "whitening"],
)
def test_what_was_fitted_on_all_rows_is_found(transform, texts, dtype):
    X, y, table = study()
    splitter = GroupKFold(4)
    scaled = transform.fit_transform(X).astype(dtype)
    found = [
        one.message for one in audit_split(scaled, y, table["stimulus"], splitter).findings if one.severity == "leak"
    ]
    assert len(found) == len(texts)
    assert all(text in message for text, message in zip(texts, found, strict=True))
    # Fitted on half of the rows, it leaves no such trace.
    of_half = transform.fit(X[::2]).transform(X).astype(dtype)
    assert not kinds(audit_split(of_half, y, table["stimulus"], splitter))


def test_scores_within_each_subject_are_transductive():
    X, y, table = study()
    scaled = pd.DataFrame(X).groupby(table["subject"]).transform(lambda column: (column - column.mean()) / column.std())
    found = audit_split(scaled, y, table, LeaveOneGroupOut())
    assert kinds(found, "warning") == {"transductive"}
    # Not if it holds for one subject only.
    X[table["subject"] == 1] = scaled[table["subject"] == 1]
    assert "transductive" not in kinds(audit_split(X, y, table, LeaveOneGroupOut()), "warning")


def test_a_column_that_is_the_label_is_found():
    X, y, table = study()
    names = np.array([7.5, -1.0])[y]
    found = audit_split(np.column_stack([X, names]), y, table["stimulus"], GroupKFold(4))
    assert kinds(found) == {"answer in the features"}
    # A column of two values that is not always right is a feature.
    names[0] = 7.5 if names[0] == -1 else -1
    assert not kinds(audit_split(np.column_stack([X, names]), y, table["stimulus"], GroupKFold(4)))


# --- estimators


class ScalesTestRows(TransformerMixin, BaseEstimator):
    """Standardise any input by its own statistics."""

    def fit(self, X, y=None):
        return self

    def transform(self, X):
        return (X - X.mean(axis=0)) / (X.std(axis=0) + 1e-9)


class Remembers(ClassifierMixin, BaseEstimator):
    """Estimator that stays fitted when cloned."""

    def __sklearn_clone__(self):
        return self

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        self.weights_ = X.mean(axis=0)
        return self

    def predict(self, X):
        return (X @ self.weights_ > 0).astype(int)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(
    "estimator",
    [
        LIGHT,
        make_pipeline(StandardScaler(), PCA(3), LinearDiscriminantAnalysis()),
        make_pipeline(SelectKBest(k=2), KNeighborsClassifier(3)),
    ],
    ids=["logistic regression", "PCA and LDA", "selection and neighbours"],
)
def test_clean_estimators_are_not_accused(estimator, seed):
    X, y, table = study(seed=seed)
    found = audit_split(X, y, within(table), GroupKFold(4), estimator, split_by="trial")
    assert kinds(found) | kinds(found, "warning") == set()
    assert kinds(found, "note") == {"not checkable"}


def test_an_effect_is_no_leak_and_scores_are_those_of_scikit_learn():
    from sklearn.model_selection import cross_val_score

    X, y, table = study(effect=4.0, fingerprint=0.3)
    found = audit_split(X, y, table["stimulus"], GroupKFold(4), LIGHT)
    assert not kinds(found)
    expected = cross_val_score(LIGHT, X, y, groups=table["stimulus"], cv=GroupKFold(4))
    np.testing.assert_allclose(found.folds["accuracy"], expected)
    row = found.scores.set_index("unit").loc["window"]
    assert row["accuracy"] == pytest.approx(np.average(expected, weights=found.folds["n_test"]))
    assert row["chance_p_value"] < 0.01
    assert found.shuffled.set_index("unit").loc["window", "accuracy"] < 0.7
    text = str(found)
    assert text.startswith("4 folds, 160 tested rows\naccuracy by window: ")
    assert "on shuffled labels by trial: " in text
    assert "detectable" in text


@pytest.mark.parametrize("seed", range(3))
def test_a_split_that_hands_out_accuracy_is_found_by_shuffled_labels(seed):
    X, y, table = study(seed=seed, fingerprint=5.0)
    neighbours = KNeighborsClassifier(1)
    found = audit_split(X, y, table["stimulus"], KFold(5, shuffle=True, random_state=0), neighbours)
    assert kinds(found) == {"shared trial", "score on shuffled labels"}
    assert found.shuffled["accuracy"].min() > 0.9


def test_an_estimator_that_learns_from_the_test_rows_is_found():
    X, y, table = study()
    found = audit_split(X, y, table["stimulus"], GroupKFold(4), make_pipeline(ScalesTestRows(), LogisticRegression()))
    assert kinds(found, "warning") == {"transductive"}
    assert not kinds(found)
    (finding,) = (one for one in found.findings if one.kind == "transductive")
    assert 0 < finding.n_windows <= finding.n_tested == 20


class Holds(ClassifierMixin, BaseEstimator):
    """Nearest neighbour on training rows and additional stored rows."""

    def __init__(self, known=None):
        self.known = known

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        self.nearest_ = KNeighborsClassifier(3).fit(X, y)
        return self

    def predict(self, X):
        return self.nearest_.predict(X)


def test_data_that_an_estimator_holds_besides_are_found():
    X, y, table = study()
    words = np.array(["calm", "glad"])[y]

    def audited(known, as_frame=False):
        pipeline = make_pipeline(StandardScaler(), Holds(known))
        features = pd.DataFrame(X) if as_frame else X
        return kinds(audit_split(features, words, table["stimulus"], GroupKFold(4), pipeline))

    assert audited(X[30:50]) == {"fitted on test rows"}
    assert audited(pd.DataFrame(X), as_frame=True) == {"fitted on test rows"}
    assert audited(words) == {"answer in the features"}
    assert audited(pd.Series(words)) == {"answer in the features"}
    # Other numbers, of any shape.
    for known in (X[:20] + 1, np.zeros((3, 2, 2)), np.arange(160), np.array([1.0, 2.0])):
        assert audited(known) == set()


@pytest.mark.parametrize("part", [StandardScaler(), PCA(3), SelectKBest(k=2)], ids=["scaler", "PCA", "selection"])
def test_a_step_that_was_fitted_on_all_rows_is_found(part):
    X, y, table = study()
    trial = table["stimulus"].to_numpy()

    def audited(fitted):
        pipeline = make_pipeline(FrozenEstimator(fitted), LogisticRegression())
        return audit_split(X, y, trial, GroupKFold(4), pipeline)

    assert kinds(audited(part.fit(X, y))) == {"fitted on test rows"}
    # Fitted on unknown rows.
    elsewhere = audited(part.fit(X[::3] * 2, y[::3]))
    assert kinds(elsewhere) == set()
    assert kinds(elsewhere, "warning") == {"unknown origin"}


def test_an_estimator_that_stays_fitted_is_found():
    X, y, table = study()
    found = audit_split(X, y, table["stimulus"], GroupKFold(4), Remembers().fit(X[:7], y[:7]))
    assert "unknown origin" in kinds(found, "warning")
    frozen = audit_split(X, y, table["stimulus"], GroupKFold(4), FrozenEstimator(LIGHT.fit(X, y)))
    # Its scaler is fitted on X itself, its regression on the scaler's output.
    assert (kinds(frozen), kinds(frozen, "warning")) == ({"fitted on test rows"}, {"unknown origin"})


def test_labels_may_be_words_and_rows_may_be_tested_several_times():
    X, y, table = study()
    words = np.array(["calm", "glad"])[y]
    found = audit_split(X, words, table["stimulus"], RepeatedKFold(n_splits=4, n_repeats=2, random_state=0), LIGHT)
    numbers = audit_split(X, y, table["stimulus"], RepeatedKFold(n_splits=4, n_repeats=2, random_state=0), LIGHT)
    pd.testing.assert_frame_equal(found.scores, numbers.scores)
    assert found.scores["n_units"].tolist() == [160, 32]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"groups": np.arange(3)}, r"^groups: trial has 3 values; expected 160, one for each row of X$"),
        ({"groups": {"who": np.zeros(160)}}, r"^groups: unknown column who; expected some of dataset, subject, "),
        ({"groups": {"start": np.zeros(160)}}, r"^groups: has start; expected subject, trial or both$"),
        ({"groups": {"trial": np.zeros(160), "stop": np.ones(160)}}, "has only one of start and stop"),
        ({"y": np.arange(160) / 7}, r"^y: has 160 different labels; expected 2 to 100 classes$"),
        ({"y": np.zeros(160)}, "^y: has 1 different labels"),
        ({"y": np.zeros((160, 2))}, r"^y: has shape \(160, 2\); expected \(160,\)"),
        ({"splitter": []}, "^splitter: gives no folds$"),
        ({"splitter": [(np.arange(160), [])]}, "^splitter: fold 0 has 160 training and 0 test rows$"),
        ({"splitter": [(np.arange(160),)]}, "^splitter: gives 1 parts; expected"),
        ({"split_by": "session"}, "^split_by 'session': groups have no such column"),
    ],
)
def test_what_cannot_be_audited_is_one_line(change, message):
    X, y, table = study()
    arguments = {"groups": table["stimulus"], "y": y, "splitter": GroupKFold(4), "split_by": ""} | change
    with pytest.raises(InputError, match=message):
        audit_split(X, **arguments)
