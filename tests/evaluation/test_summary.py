"""Summary tables from predictions, by hand and against scikit-learn loops."""

import statistics

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics
from sklearn.linear_model import LogisticRegression

from keras_emotion.evaluation import (
    MAJORITY_COLUMNS,
    POOL,
    PROTOCOLS,
    REQUIRED_COLUMNS,
    comparable_subjects,
    majority_class,
    subject_scores,
    summarise,
)
from keras_emotion.schema import WINDOW_COLUMNS, InputError

N_TRIALS, N_WINDOWS = 12, 4


@pytest.fixture(scope="module")
def run():
    """A real run of logistic regression: three protocols, two targets, subjects with ids that are integers."""
    generator = np.random.default_rng(0)
    rows = [
        ("made", subject, 1, trial, -1, f"film{trial}", float(start), start + 1.0)
        for subject in (2, 10, 7, 1)
        for trial in range(1, N_TRIALS + 1)
        for start in range(N_WINDOWS)
    ]
    table = pd.DataFrame(rows, columns=WINDOW_COLUMNS)
    predictions, majority = [], []
    for target in ("valence", "arousal"):
        labels = (table["trial"].to_numpy() + (target == "arousal")) % 3 // 2
        features = labels[:, None] * 0.7 + generator.normal(size=(len(table), 2))
        for name in ("as_published", "trial_disjoint", "subject_disjoint"):
            protocol = PROTOCOLS[name]
            for subject, pool in protocol.pools(table).items():
                for repetition in range(2):
                    folds = protocol.folds(table.iloc[pool], labels[pool], repetition=repetition)
                    for fold, (train, _, test) in enumerate(folds):
                        model = LogisticRegression().fit(features[pool[train]], labels[pool[train]])
                        probabilities = model.predict_proba(features[pool[test]])
                        names = ["subject", "trial", "stimulus", "start_seconds", "stop_seconds"]
                        predictions.append(
                            table.iloc[pool[test]][names].assign(
                                protocol=name,
                                target=target,
                                repetition=repetition,
                                fold=fold,
                                label=labels[pool[test]],
                                prediction=probabilities.argmax(axis=1),
                                probability_0=probabilities[:, 0],
                                probability_1=probabilities[:, 1],
                            )
                        )
                        majority.append((name, subject, target, repetition, fold, majority_class(labels[pool[train]])))
    return pd.concat(predictions, ignore_index=True), pd.DataFrame(majority, columns=MAJORITY_COLUMNS)


def test_scores_of_subjects_pool_folds_and_average_repetitions(run):
    predictions, majority = run
    found = subject_scores(predictions, majority)
    assert len(found) == 3 * 2 * 4
    assert found["subject"].tolist() == [1, 2, 7, 10] * 6
    for _, row in found.iterrows():
        same = (predictions[["protocol", "target", "subject"]] == row[["protocol", "target", "subject"]]).all(axis=1)
        repetitions = [block for _, block in predictions[same].groupby("repetition")]
        assert row["n_repetitions"] == len(repetitions) == 2
        assert row["n_trials"] == N_TRIALS
        assert row["n_units"] == N_TRIALS * N_WINDOWS == len(repetitions[0])

        def mean_of(score, repetitions=repetitions, column="prediction"):
            return np.mean([score(block["label"], block[column]) for block in repetitions])

        assert row["accuracy"] == pytest.approx(mean_of(sklearn.metrics.accuracy_score))
        assert row["balanced_accuracy"] == pytest.approx(mean_of(sklearn.metrics.balanced_accuracy_score))
        assert row["f1"] == pytest.approx(mean_of(sklearn.metrics.f1_score))
        assert row["cohen_kappa"] == pytest.approx(mean_of(sklearn.metrics.cohen_kappa_score))
        assert row["roc_auc"] == pytest.approx(mean_of(sklearn.metrics.roc_auc_score, column="probability_1"))
        # A third of the trials is high, in every training part too.
        assert row["majority_accuracy"] == row["best_constant_accuracy"] == pytest.approx(2 / 3)
        assert row["always_high_f1"] == pytest.approx(0.5)


def test_trial_scores_are_those_of_the_mean_probability(run):
    predictions, majority = run
    found = subject_scores(predictions, majority, "trial")
    assert set(found["scored_unit"]) == {"trial"}
    assert set(found["n_units"]) == {N_TRIALS}
    keys = ["protocol", "target", "subject", "repetition"]
    means = predictions.groupby([*keys, "trial"])[["label", "probability_0", "probability_1"]].mean()
    right = (means["probability_1"] > means["probability_0"]) == (means["label"] == 1)
    expected = right.groupby(keys).mean().groupby(keys[:-1]).mean()
    found = found.set_index(keys[:-1])["accuracy"]
    pd.testing.assert_series_equal(found, expected.loc[found.index], check_names=False)


def hand_made(**changed):
    """One subject, two folds of unlike size: 3 of 4 right and 0 of 2 right."""
    table = pd.DataFrame(
        {
            "protocol": "trial_disjoint",
            "subject": "s1",
            "trial": [1, 1, 2, 2, 3, 3],
            "stimulus": ["a", "a", "b", "b", "c", "c"],
            "start_seconds": [0.0, 1.0] * 3,
            "stop_seconds": [1.0, 2.0] * 3,
            "target": "valence",
            "repetition": 0,
            "fold": [0, 0, 0, 0, 1, 1],
            "label": [0, 0, 1, 1, 1, 1],
            "prediction": [0, 0, 1, 0, 0, 0],
        }
    )
    assert tuple(table) == REQUIRED_COLUMNS
    return table.assign(**changed)


def hand_made_majority(subject="s1", classes=(1, 0)):
    rows = [("trial_disjoint", subject, "valence", 0, fold, label) for fold, label in enumerate(classes)]
    return pd.DataFrame(rows, columns=MAJORITY_COLUMNS)


def test_baselines_and_pooling_by_hand():
    (row,) = subject_scores(hand_made(), hand_made_majority()).to_dict("records")
    assert row["accuracy"] == pytest.approx(3 / 6)  # the mean over folds would be 3/8
    assert row["majority_accuracy"] == pytest.approx(2 / 6)  # "high" is right twice in the first fold, "low" never
    assert row["best_constant_accuracy"] == pytest.approx(4 / 6)
    assert row["always_high_f1"] == pytest.approx(2 * (4 / 6) / (1 + 4 / 6))
    assert row["precision"] == 1.0
    assert row["recall"] == pytest.approx(1 / 4)
    assert "roc_auc" not in row


def test_the_majority_of_a_pool_serves_each_of_its_subjects():
    both = pd.concat([hand_made(subject=1), hand_made(subject=2)])
    found = subject_scores(both, hand_made_majority(POOL))
    assert found["majority_accuracy"].tolist() == pytest.approx([2 / 6] * 2)
    # A subject's own row takes precedence over the pool's; ids read from a file may be strings.
    mixed = pd.concat([hand_made_majority(POOL), hand_made_majority("2", classes=(0, 1))])
    assert subject_scores(both, mixed)["majority_accuracy"].tolist() == pytest.approx([2 / 6, 4 / 6])


def test_several_classes_have_no_always_high():
    probabilities = np.eye(3)[[0, 0, 1, 0, 0, 0]]
    table = hand_made(**{f"probability_{label}": probabilities[:, label] for label in range(3)})
    (row,) = subject_scores(table, hand_made_majority()).to_dict("records")
    assert np.isnan(row["always_high_f1"])
    assert row["precision"] == pytest.approx((2 / 5 + 1) / 2)  # macro over the two classes that occur
    overall = summarise(table, hand_made_majority(), n_permutations=19).overall
    assert "always_high_f1" not in set(overall["metric"])
    assert overall["n_subjects"].eq(1).all()
    assert overall[["standard_deviation", "confidence_low", "confidence_high"]].isna().all(axis=None)


def test_a_session_of_its_own_is_a_trial_of_its_own():
    both = pd.concat([hand_made(session=1), hand_made(session=2)])
    (row,) = subject_scores(both, hand_made_majority()).to_dict("records")
    assert (row["n_trials"], row["n_units"]) == (6, 12)


def test_overall_is_the_mean_over_subjects_with_its_interval(run):
    predictions, majority = run
    summary = summarise(predictions, majority, n_permutations=199, seed=3)
    pd.testing.assert_frame_equal(summary.subjects, subject_scores(predictions, majority))
    assert summary.left_out.empty
    overall = summary.overall.set_index(["protocol", "target", "metric"])
    assert len(overall) == 3 * 2 * 12
    for (protocol, target, metric), row in overall.iterrows():
        of_protocol = summary.subjects["protocol"].eq(protocol) & summary.subjects["target"].eq(target)
        values = summary.subjects.loc[of_protocol, metric]
        assert row["n_subjects"] == 4
        assert row["mean"] == pytest.approx(values.mean())
        assert row["standard_deviation"] == pytest.approx(statistics.stdev(values))
        assert row["confidence_low"] <= row["mean"] + 1e-12
        assert row["confidence_high"] >= row["mean"] - 1e-12
        assert np.isnan(row["chance_mean"]) == (metric != "accuracy")
    accuracy = overall.xs("accuracy", level="metric")
    # Chance of a prediction that says "high" with frequency q is 2/3 (1 - q) + q/3.
    for (protocol, target), row in accuracy.iterrows():
        block = predictions[predictions["protocol"].eq(protocol) & predictions["target"].eq(target)]
        frequency = block["prediction"].mean()
        assert row["chance_mean"] == pytest.approx(2 / 3 - frequency / 3, abs=0.01)
        assert row["chance_low"] < row["chance_mean"] < row["chance_high"]
    assert accuracy["chance_p_value"].min() >= 1 / 200
    by_trial = summarise(predictions, majority, "trial", n_permutations=19)
    assert set(by_trial.overall["scored_unit"]) == {"trial"}


def test_order_of_rows_does_not_matter(run):
    predictions, majority = run
    shuffled = predictions.sample(frac=1, random_state=0), majority.sample(frac=1, random_state=1)
    for one, other in zip(
        summarise(predictions, majority, n_permutations=19, n_resamples=100),
        summarise(*shuffled, n_permutations=19, n_resamples=100),
        strict=True,
    ):
        pd.testing.assert_frame_equal(one, other, rtol=1e-12)


def test_a_subject_missing_under_one_protocol_is_left_out_of_all(run):
    predictions, majority = run
    gone = (
        predictions["protocol"].eq("trial_disjoint")
        & predictions["target"].eq("valence")
        & predictions["subject"].eq(7)
    )
    fewer = predictions[~gone]
    comparable = comparable_subjects(fewer)
    assert len(comparable) == 8
    assert comparable.loc[~comparable["comparable"], ["target", "subject", "missing_from"]].to_numpy().tolist() == [
        ["valence", 7, "trial_disjoint"]
    ]
    summary = summarise(fewer, majority, n_permutations=19)
    assert summary.left_out.to_numpy().tolist() == [["valence", 7, "trial_disjoint"]]
    counts = summary.overall.groupby("target")["n_subjects"].unique()
    assert counts["valence"].tolist() == [3]
    assert counts["arousal"].tolist() == [4]
    assert not (summary.subjects["target"].eq("valence") & summary.subjects["subject"].eq(7)).any()


def test_bad_tables_are_named():
    with pytest.raises(InputError, match="no column fold"):
        subject_scores(hand_made().drop(columns="fold"), hand_made_majority())
    with pytest.raises(InputError, match="no column majority_class"):
        subject_scores(hand_made(), hand_made_majority().drop(columns="majority_class"))
    with pytest.raises(InputError, match=r"no row for .* fold 1"):
        subject_scores(hand_made(), hand_made_majority().iloc[:1])
    with pytest.raises(InputError, match="1 windows were scored twice"):
        subject_scores(pd.concat([hand_made(), hand_made().iloc[[2]]]), hand_made_majority())
    with pytest.raises(InputError, match="several rows for one training set"):
        subject_scores(hand_made(), pd.concat([hand_made_majority()] * 2))
    with pytest.raises(ValueError, match="`scored_unit`"):
        subject_scores(hand_made(), hand_made_majority(), "second")
    apart = pd.concat([hand_made(), hand_made(subject="s2", protocol="subject_disjoint")])
    with pytest.raises(InputError, match="nothing to compare"):
        summarise(apart, hand_made_majority())
