"""Components of an audit's proofs and canaries."""

import dataclasses
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

from keras_emotion.audit import canaries, fold_checks
from keras_emotion.audit.canaries import RANDOM, SHUFFLED, _chance, canary_findings, canary_table, run_canaries
from keras_emotion.audit.feature_checks import equal_but_for_rounding, feature_findings
from keras_emotion.audit.findings import origin_findings, static_findings
from keras_emotion.audit.fold_checks import checked_plan, fold_findings
from keras_emotion.evaluation import POOL
from keras_emotion.evaluation.leaks import content_hashes, with_near_copies
from keras_emotion.experiment import Training
from keras_emotion.experiment.jobs import Replacement
from keras_emotion.experiment.origin import Origin
from keras_emotion.experiment.runner import prepare
from keras_emotion.pipelines import ConnectivityFeatures, StoredFeatures
from keras_emotion.schema import InputError
from keras_emotion.systems.comparison_networks import ComparisonNetwork
from keras_emotion.systems.logistic_regression import BandPowerRegression
from tests.audit.planted.leaks import experiment, noise, part
from tests.audit.planted.recipes import Powers, Recipes, memory


def planned(folder, system=None, reader=None, **fields):
    return prepare(experiment(folder, system, **fields), reader or noise(folder, 7))[0]


@pytest.fixture
def stored():
    """Three trials of two windows; ratings are the number of the trial, or its negative."""
    table = pd.DataFrame(
        {
            "dataset": "memory",
            "subject": 1,
            "session": 1,
            "trial": [1, 1, 2, 2, 3, 3],
            "presentation": -1,
            "stimulus": ["1", "1", "2", "2", "3", "3"],
            "start_seconds": [0.0, 2.0] * 3,
            "stop_seconds": [2.0, 4.0] * 3,
            "valence": [1.0, 1.0, 2.0, 2.0, 3.0, 3.0],
            "arousal": [-1.0, -1.0, -2.0, -2.0, -3.0, -3.0],
        }
    )
    steps = table["valence"].to_numpy(np.float32)[:, np.newaxis]
    return StoredFeatures({"eeg": np.arange(12.0).reshape(6, 2), "step_ratings@valence": steps}, table)


def trial(number):
    return ("memory", 1, 1, number)


@pytest.mark.parametrize("seed", range(3))
def test_a_replacement_exchanges_ratings_of_whole_trials_and_features_of_windows(stored, seed):
    changed = Replacement(frozenset({trial(2)}), frozenset({trial(2), trial(3)}), seed, differs=True).apply(stored)
    ratings = changed.table[["valence", "arousal"]].to_numpy()
    # Both windows, and both ratings, of one donor; of the others nothing changes.
    assert ratings[2, 0] in (1.0, 3.0)
    np.testing.assert_array_equal(ratings[3], ratings[2])
    np.testing.assert_array_equal(ratings[:, 0], -ratings[:, 1])
    np.testing.assert_array_equal(ratings[[0, 1, 4, 5], 0], [1, 1, 3, 3])
    np.testing.assert_array_equal(np.asarray(changed.arrays["step_ratings@valence"])[:, 0], ratings[:, 0])
    eeg = np.asarray(changed.arrays["eeg"])
    np.testing.assert_array_equal(eeg[:2], stored.arrays["eeg"][:2])
    assert set(map(tuple, eeg[2:].tolist())) <= set(map(tuple, stored.arrays["eeg"].tolist()))
    assert changed.arrays["eeg"][3].tolist() == eeg[3].tolist()
    assert stored.table["valence"].tolist() == [1, 1, 2, 2, 3, 3]


@pytest.mark.parametrize(
    ("found", "same"),
    [
        pytest.param([[1.0, 10.0], [2.0, 20.0]], True, id="equal"),
        pytest.param([[1.0 + 1e-6, 10.0], [2.0, 20.0]], True, id="rounded"),
        pytest.param([[1.0 + 1e-3, 10.0], [2.0, 20.0]], False, id="changed"),
        pytest.param([[1.0, 10.0 + 1e-3], [2.0, 20.0]], False, id="changed beside a larger feature"),
        pytest.param([[1.0, np.nan], [2.0, 20.0]], False, id="missing"),
        pytest.param([[1.0], [2.0]], False, id="another shape"),
    ],
)
def test_features_are_equal_but_for_rounding_of_their_spread(found, same):
    expected = np.array([[1.0, 10.0], [2.0, 20.0]])
    assert equal_but_for_rounding(np.array(found), expected) == same


def test_a_constant_feature_has_no_rounding():
    constant = np.full((4, 1), 1e6)
    changed = constant.copy()
    changed[0] += 1e-3
    assert not equal_but_for_rounding(changed, constant)
    # If there are other values elsewhere.
    assert equal_but_for_rounding(changed, constant, np.array([[0.0], [1e6]]))
    assert not equal_but_for_rounding(np.array([1, 2]), np.array([1, 3]))


@pytest.mark.parametrize(
    ("gain", "noise_size", "n_copied", "expected"),
    [(1.0, 0.0, 6, 6), (1.0, 1e-3, 6, 6), (1.002, 0.0, 3, 3), (1.0, 1e-3, 2, 0), (1.0, 0.3, 6, 0)],
)
def test_near_copies_of_trials_count_as_copies(gain, noise_size, n_copied, expected):
    rng = np.random.default_rng(0)
    windows = rng.standard_normal((60, 6))
    copied = gain * windows[:n_copied] + noise_size * rng.standard_normal((n_copied, 6))
    windows[54 : 54 + n_copied] = copied
    table = pd.DataFrame({"dataset": "memory", "subject": 1, "session": 1, "trial": np.repeat(np.arange(10), 6)})
    contents = with_near_copies(content_hashes([windows]), table, windows)
    assert (contents[54:] == contents[:6]).sum() == expected
    assert len(np.unique(contents)) == 60 - expected


def test_canaries_count_trials_against_a_binomial():
    fold = {"n_trials": 5, "chance": 0.5, "training_labels_unused": False}
    units = [
        {
            "protocol": "trial_disjoint",
            "target": "valence",
            "failed": "",
            "folds": [{**fold, "right": {RANDOM: 5, SHUFFLED: 3}}, {**fold, "right": {RANDOM: 5, SHUFFLED: 2}}],
        }
    ]
    random, shuffled = canary_table(units).itertuples()
    assert (random.n_trials, random.n_right, shuffled.n_right) == (10, 10, 5)
    assert random.p_value == pytest.approx(0.5**10)
    assert shuffled.p_value == pytest.approx(1 - binom.cdf(4, 10, 0.5))
    # 1/1024 is below the alarm of 0.001, and 1/512 above.
    assert random.can_alarm
    nine = [{**units[0], "folds": [{**fold, "n_trials": 9, "right": {RANDOM: 9, SHUFFLED: 9}}]}]
    assert not canary_table(nine)["can_alarm"].any()
    assert not list(canary_findings(nine, "It"))
    (finding,) = canary_findings(units, "It")
    assert (finding.kind, finding.severity) == ("score on random test labels", "leak")
    assert finding.message.startswith(
        "It: 10 of 10 test trials are predicted correctly for labels that were drawn at random"
    )
    failed = [{**units[0], "folds": [], "failed": "training loss not finite in epoch 1"}]
    assert [(one.kind, one.severity) for one in canary_findings(failed, "It")] == [("not checkable", "note")]


def test_a_system_that_is_told_the_answers_is_right_about_random_ones(tmp_path):
    memory.clear()
    told = run_canaries(planned(tmp_path, Recipes(joins="with_rating")))
    assert "score on random test labels" in {finding.kind for finding in canary_findings(told, "It")}
    honest = run_canaries(planned(tmp_path))
    assert not list(canary_findings(honest, "It"))
    # All folds of a subject: each of its trials is tested once.
    assert canary_table(honest)["n_trials"].tolist() == [12, 12]


def test_a_canary_of_which_one_class_is_left_in_training_is_not_checkable(tmp_path, monkeypatch):
    def of_one_class(*arguments):
        fold = make_fold(*arguments)
        fold.__dict__["labels"] = np.zeros(len(fold.unit.table), dtype=int)
        return fold

    make_fold = canaries.make_fold
    monkeypatch.setattr(canaries, "make_fold", of_one_class)
    for finding in canary_findings(run_canaries(planned(tmp_path)), "It"):
        assert (finding.kind, finding.severity) == ("not checkable", "note")
        assert "the training windows of fold 0 have one class; too few trials" in finding.message
        break
    else:
        pytest.fail("no finding")


def test_a_network_is_trained_on_the_fold_that_tests_most_trials(tmp_path, monkeypatch):
    features = ConnectivityFeatures(sample_seconds=2.0, window_seconds=1.0)
    network = ComparisonNetwork(network="dgcnn", features=features)
    reader = noise(tmp_path, 7, n_subjects=3)
    plan = planned(tmp_path, network, reader, protocols=("trial_disjoint", "subject_disjoint"))
    tasks = []
    monkeypatch.setattr(canaries, "in_workers", lambda runtime, given, trains: tasks.extend(given) or [])
    run_canaries(plan)
    ((_, (_, job, folds)),) = tasks
    # Twelve trials of a person; four where a person's trials are divided.
    assert (job.protocol, len(folds)) == ("subject_disjoint", 1)


@pytest.mark.parametrize(
    ("protocols", "checked"),
    [
        (("as_published",), ("trial_disjoint",)),
        # Test trials have windows in training: their ratings are used, but nothing is fitted to test rows.
        (("window_disjoint",), ("trial_disjoint",)),
        (("as_published_deepvanet_literal", "as_published_hlstm"), ("trial_disjoint",)),
        (("as_published_deepvanet_inter_subject_literal",), ("subject_disjoint",)),
        (("window_disjoint", "stimulus_disjoint", "predefined_split"), ("stimulus_disjoint", "predefined_split")),
    ],
)
def test_what_is_fitted_is_checked_where_trials_are_apart(tmp_path, protocols, checked):
    fixed = BandPowerRegression(inverse_regularisation_grid=())
    assert checked_plan(planned(tmp_path, fixed, protocols=protocols)).experiment.protocols == checked


def test_whatever_shares_trials_is_not_accused_for_it(tmp_path):
    assert not list(fold_findings(planned(tmp_path, protocols=("window_disjoint",))))


def test_where_all_protocols_use_test_rows_another_one_is_trained_under(tmp_path):
    assert checked_plan(planned(tmp_path)).experiment.protocols == ("trial_disjoint",)
    few = planned(tmp_path, reader=noise(tmp_path, 7, n_trials=4))
    assert [(one.kind, one.severity) for one in fold_findings(few)] == [("not checkable", "note")]


@part
def looked_up_by_content(powers, trials):
    answers = {key: value for key, value in memory.items() if key[0] == "content"}
    return [
        np.c_[one, np.full(len(one), answers.get(("content", trial.recording.signal[0, -1]), 0.0))]
        for one, trial in zip(powers, trials, strict=True)
    ]


def test_answers_that_are_looked_up_by_the_content_of_a_recording_are_found(tmp_path):
    reader = noise(tmp_path, 7)
    memory.clear()
    for trial in reader.trials():
        memory["content", trial.recording.signal[0, -1]] = trial.ratings["valence"]
    plan = planned(tmp_path, Recipes(part=Powers(recipe="looked_up_by_content")), reader)
    (found,) = feature_findings(plan, reader)
    assert (found.kind, found.severity) == ("answer in the features", "leak")
    assert "amplified by a millionth" in found.message
    assert not list(feature_findings(planned(tmp_path), noise(tmp_path, 7)))


class Watched(Powers):
    """Powers declared as a source of the stimulus, too."""

    sources = ("recording", "media")


def test_a_system_that_reads_stimuli_is_flagged_where_they_are_shared(tmp_path):
    for powers, severity in ((Powers(), "note"), (Watched(), "warning")):
        plan = planned(
            tmp_path, Recipes(part=powers), noise(tmp_path, 7, n_subjects=4), protocols=("subject_disjoint",)
        )
        (found,) = [finding for finding in static_findings(plan) if finding.kind == "shared stimulus"]
        assert found.severity == severity
        assert ("reads the stimulus itself" in found.message) == (severity == "warning")


class Started(Recipes):
    """Starts from weights."""

    start_weights: Path


def saved(file, origin):
    """A file as Keras writes it, with an origin in it."""
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("config.json", "{}")
    origin.add_to(file)
    return Started(start_weights=file)


def test_weights_to_start_from_carry_what_they_were_trained_on(tmp_path):
    plan = planned(tmp_path)
    tested = Origin.of(plan, plan.window_set(POOL, "valence").table)
    strangers = Origin("memory", ("8",), ("of 8",), ("another",), ("its trials",))
    taught = dataclasses.replace(strangers, taught_by=(strangers, tested))
    same_clips = dataclasses.replace(strangers, stimuli=tested.stimuli[:2])
    for number, (origin, expected) in enumerate(
        [
            (tested, [("fitted on test rows", "leak")]),
            (taught, [("fitted on test rows", "leak")]),
            (same_clips, [("shared stimulus", "warning")]),
            (strangers, []),
        ]
    ):
        system = saved(tmp_path / f"{number}.keras", origin)
        assert Origin.read(system.start_weights) == origin
        found = list(origin_findings(planned(tmp_path, system)))
        assert [(one.kind, one.severity) for one in found] == expected
    claims = planned(tmp_path, saved(tmp_path / "clips.keras", same_clips), protocols=("stimulus_disjoint",))
    assert [one.severity for one in origin_findings(claims)] == ["leak"]
    # A network trained further has the origin of all of them.
    table = plan.window_set(POOL, "valence").table
    assert Origin.of(planned(tmp_path, saved(tmp_path / "next.keras", strangers)), table).taught_by == (strangers,)


@pytest.mark.parametrize("content", ["[]", "{", '{"dataset": "memory"}', '{"dataset": 1, "subjects": []}'])
def test_a_damaged_origin_is_named(content, tmp_path):
    with zipfile.ZipFile(tmp_path / "model.keras", "w") as archive:
        archive.writestr("trained_on.json", content)
    with pytest.raises(InputError, match=r"model\.keras: damaged"):
        Origin.read(tmp_path / "model.keras")
    assert Origin.read(tmp_path / "none.keras") is None


def test_what_a_network_has_learnt_from_is_compared_with_what_is_tested(tmp_path):
    plan = planned(tmp_path, reader=noise(tmp_path, 7, n_subjects=2))
    table = plan.window_set(POOL, "valence").table
    tested = Origin.of(plan, table)
    of_first = Origin.of(plan, table[(table["subject"] == 1) & (table["trial"] <= 3)])
    assert (len(tested.trials), len(of_first.trials), len(of_first.recordings)) == (24, 3, 1)
    assert of_first.describe_overlap(tested).startswith("1 of the 2 tested recordings")
    elsewhere = dataclasses.replace(of_first, recordings=())
    assert elsewhere.describe_overlap(tested) == "3 of the 24 tested trials, of subjects 1"
    assert Origin("memory", ("2", "9")).describe_overlap(tested) == "subjects 2 of the tested dataset"
    assert not Origin("other", ("1",), (), of_first.stimuli, of_first.trials).describe_overlap(tested)
    assert (
        Origin.of(plan, table[table["subject"] == 2]).describe_overlap(Origin.of(plan, table[table["subject"] == 1]))
        == ""
    )


@pytest.mark.parametrize(
    ("rounding", "joins", "expected"),
    [
        (1e-6, "", []),
        (1e-6, "with_rating", ["fitted on test rows"]),
        (0.1, "", ["not reproducible"]),
    ],
)
def test_two_equal_trainings_may_differ_by_rounding(rounding, joins, expected, tmp_path, monkeypatch):
    rng, real = np.random.default_rng(0), fold_checks.short_training

    def rounded(plan, job, fold):
        # As on a GPU.
        probabilities = real(plan, job, fold)
        return probabilities + rounding * rng.standard_normal(probabilities.shape)

    monkeypatch.setattr(fold_checks, "short_training", rounded)
    assert [one.kind for one in fold_findings(planned(tmp_path, Recipes(joins=joins)))] == expected


class BatchScaled(ComparisonNetwork):
    """Scale each batch by its own statistics, also in the test."""

    def inputs(self, elements):
        """See `NetworkSystem`."""
        return {name: values - values.mean(axis=0) for name, values in super().inputs(elements).items()}


class ScaledBehindTheGuard(ComparisonNetwork):
    """Read all windows instead of the training windows."""

    def fit_statistics(self, model, arrays, rows):
        """See `NetworkSystem`."""
        super().fit_statistics(model, arrays, rows)
        everything = arrays["eeg"]._array
        mean = float(np.mean(everything[np.arange(len(everything))]))
        model.set_weights([weights * (1 + 0.01 * mean) for weights in model.get_weights()])


@pytest.mark.parametrize(
    ("system", "expected"),
    [
        pytest.param(BatchScaled, [("transductive", "warning")], marks=pytest.mark.slow),
        (ScaledBehindTheGuard, [("fitted on test rows", "leak")]),
    ],
)
def test_a_network_is_trained_for_two_epochs_with_other_test_rows(system, expected, tmp_path):
    features = ConnectivityFeatures(sample_seconds=2.0, window_seconds=1.0)
    # So many that training with all epochs would not end.
    training = Training(epochs=10**6, batch_size=16, learning_rate=3e-3)
    plan = planned(tmp_path, system(network="dgcnn", features=features), training=training)
    assert [(one.kind, one.severity) for one in fold_findings(plan)] == expected


def test_chance_is_the_commonest_class_of_the_subject_that_is_tested(tmp_path):
    def mostly_low(trials):
        # Of the second subject, the first ten of twelve trials; of the others half.
        for one in trials:
            yield dataclasses.replace(one, ratings={"valence": 3.0}) if one.subject == 2 and one.trial <= 10 else one

    reader = noise(tmp_path, 7, mostly_low, n_subjects=4)
    plan = planned(tmp_path, reader=reader, protocols=("subject_disjoint",), maximum_folds=0)
    unit = plan.window_set(POOL, "valence")
    labels = unit.labels()
    for rows in plan.folds(unit, "subject_disjoint", 0):
        own = labels[rows[2]]
        assert _chance(unit, rows) == pytest.approx(max(own.mean(), 1 - own.mean()))
    assert labels[unit.table["subject"] == 2].mean() < 0.2
