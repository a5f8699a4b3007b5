"""Feature selection by double input symmetrical relevance, against loops over counted rows, and by a tree."""

import math
from collections import Counter

import numpy as np
import pytest
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.estimator_checks import parametrize_with_checks

from keras_emotion.systems.feature_selection import SymmetricalRelevanceSelector, TreeSelector


@parametrize_with_checks([SymmetricalRelevanceSelector(), TreeSelector()])
def test_what_scikit_learn_asks_of_estimators(estimator, check):
    check(estimator)


def entropy(*columns):
    counts = Counter(zip(*columns, strict=True))
    total = sum(counts.values())
    return -sum(count / total * math.log(count / total) for count in counts.values())


def information(columns, labels):
    return entropy(*columns) + entropy(labels) - entropy(*columns, labels)


def brute_force(columns, labels, n_features):
    chosen = [max(range(len(columns)), key=lambda i: information([columns[i]], labels))]
    while len(chosen) < n_features:
        scores = {
            i: sum(
                information([columns[i], columns[j]], labels) / entropy(columns[i], columns[j], labels) for j in chosen
            )
            for i in range(len(columns))
            if i not in chosen
        }
        chosen.append(max(scores, key=scores.get))
    return chosen


@pytest.mark.parametrize("seed", range(4))
def test_the_order_is_that_of_loops_over_counted_rows(seed):
    rng = np.random.default_rng(seed)
    # Of two, three and six values, each in as many rows, so that values are bins; the entropies differ.
    columns = np.stack([rng.permutation(np.arange(60) % n_values) for n_values in (2, 2, 2, 3, 3, 3, 6, 6)])
    # Two features that determine the class only together.
    labels = (columns[1] + columns[4]) % 2
    expected = brute_force(columns.tolist(), labels.tolist(), 6)
    selector = SymmetricalRelevanceSelector(n_features=6, n_bins=6).fit(columns.T, labels)
    assert selector.ranking_.tolist() == expected
    np.testing.assert_array_equal(selector.transform(columns.T), columns.T[:, np.sort(expected)])


def test_features_that_tell_the_class_together_are_found():
    rng = np.random.default_rng(0)
    one, other, *noise = rng.integers(0, 2, (6, 500))
    X = np.stack([*noise, one, other], axis=1)
    weak = np.where(rng.random(500) < 0.05, 1 - (one ^ other), one ^ other)
    selector = SymmetricalRelevanceSelector(n_features=2, n_bins=2)
    # The first is selected individually: it must be one of the pair.
    X[:, 4] = np.where(rng.random(500) < 0.2, weak, one)
    assert set(selector.fit(X, weak).ranking_) == {4, 5}


def test_bins_hold_equally_many_rows_whatever_the_scale():
    rng = np.random.default_rng(1)
    X = rng.standard_normal((100, 5))
    labels = (X[:, 2] > 0).astype(int)
    plain, stretched = (
        SymmetricalRelevanceSelector(n_features=3).fit(values, labels).ranking_ for values in (X, np.exp(5 * X))
    )
    assert plain.tolist() == stretched.tolist()
    assert plain[0] == 2


def test_constant_features_and_fewer_than_asked_for():
    X = np.stack([np.zeros(40), np.arange(40) % 2, np.arange(40) // 20], axis=1)
    selector = SymmetricalRelevanceSelector(n_features=10).fit(X, np.arange(40) // 20)
    assert selector.ranking_[0] == 2
    assert sorted(selector.ranking_) == [0, 1, 2]


@pytest.mark.parametrize(("argument", "value"), [("n_features", 0), ("n_bins", 1)])
def test_arguments_out_of_range(argument, value):
    with pytest.raises(ValueError, match=f"`{argument}` must be . or more; received {argument}={value}"):
        SymmetricalRelevanceSelector(**{argument: value}).fit(np.eye(3), [0, 1, 1])


def test_a_tree_selects_what_it_splits_on():
    rng = np.random.default_rng(2)
    X = rng.standard_normal((200, 6))
    labels = (X[:, 1] > 0) * 2 + (X[:, 4] > 0)
    selector = TreeSelector(max_depth=2, random_state=0).fit(X, labels)
    assert np.flatnonzero(selector.get_support()).tolist() == [1, 4]
    deep = TreeSelector(random_state=3).fit(X, rng.integers(0, 2, 200))
    importances = DecisionTreeClassifier(random_state=3).fit(X, deep.tree_.predict(X)).feature_importances_
    np.testing.assert_array_equal(deep.get_support(), importances > 0)
    # Nothing to split on.
    assert TreeSelector().fit(np.ones((4, 3)), [0, 1, 0, 1]).get_support().all()
