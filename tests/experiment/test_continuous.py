"""Continuous ratings: folds of whole trials, a planted course that is found, resumed runs."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from keras_emotion import cli
from keras_emotion.datasets import MAHNOBHCI
from keras_emotion.evaluation import continuous_scores, rating_metrics
from keras_emotion.experiment.continuous import ContinuousExperiment, run_continuous
from keras_emotion.experiment.continuous_fold import ContinuousTraining, _network, sequences
from keras_emotion.schema import InputError
from keras_emotion.synthetic import write_mahnob_hci
from keras_emotion.systems.settings import Runtime

FIELDS = {
    "dataset": "mahnob_hci",
    "rating": "continuous_valence",
    "protocols": ("subject_disjoint",),
    "models": ("ridge",),
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_mahnob_hci(
        tmp_path_factory.mktemp("data") / "mahnob",
        n_subjects=3,
        n_trials=4,
        effect_size=4.0,
        fingerprint_size=0.2,
        lead_seconds=3,
        stimulus_seconds=20,
        neutral_clips=False,
        effect_follows="expression",
        continuous_valence=True,
    )


@pytest.fixture(scope="module")
def runtime(tmp_path_factory):
    return Runtime(workers=1, feature_store=tmp_path_factory.mktemp("store"))


def run(data, runtime, output, **fields):
    lines = []
    result = run_continuous(ContinuousExperiment(**FIELDS | fields), MAHNOBHCI(data), output, runtime, lines.append)
    return result, lines


def test_a_planted_course_is_found_and_a_finished_run_is_taken_up(data, runtime, tmp_path):
    result, lines = run(data, runtime, tmp_path / "run")
    assert len(lines) == 3
    assert result.synthetic
    assert result.scale == (-1, 1)
    scores = continuous_scores(result.steps).groupby("model")[["concordance", "within_trials"]].mean()
    assert (scores.loc["ridge"] > 0.6).all()
    assert scores.loc["ridge", "concordance"] > scores.loc["knows the stimulus", "concordance"] + 0.3
    # Every rated step is tested once, by each model and baseline.
    counts = result.steps.groupby(["model", "subject", "trial", "start_seconds"]).size()
    assert (counts == 1).all()
    assert len(counts) == 5 * 3 * 4 * 20
    again, lines = run(data, runtime, tmp_path / "run")
    assert lines == []
    pd.testing.assert_frame_equal(again.steps, result.steps)
    # A fold that is missing is trained again, to the same predictions.
    next((tmp_path / "run" / "predictions").glob("*fold1-ridge.npy")).unlink()
    again, lines = run(data, runtime, tmp_path / "run")
    assert len(lines) == 1
    pd.testing.assert_frame_equal(again.steps, result.steps)
    with pytest.raises(InputError, match=r"a run of another experiment \(experiment.seed: 0 -> 1\)"):
        run(data, runtime, tmp_path / "run", seed=1)


def test_labels_of_test_trials_change_no_prediction(data, runtime, tmp_path):
    """Of subject 3, whose trials are tested in the last fold, all ratings are replaced."""
    result, _ = run(data, runtime, tmp_path / "run")
    for kept in (tmp_path / "run" / "predictions").glob("*"):
        kept.unlink()
    table = pd.read_csv(tmp_path / "run" / "steps.csv")
    table.loc[table["subject"] == 3, "rating"] *= -1
    table.to_csv(tmp_path / "run" / "steps.csv", index=False)
    other, _ = run(data, runtime, tmp_path / "run")
    ours, theirs = (
        one.steps[(one.steps["model"] == "ridge") & (one.steps["subject"] == "3")] for one in (result, other)
    )
    np.testing.assert_array_equal(ours["prediction"], theirs["prediction"])
    np.testing.assert_array_equal(ours["rating"], -theirs["rating"])


def test_the_network_learns_a_course():
    """A band of one channel follows the rating, in trials of different lengths."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(12, 20, 24)
    trial = np.repeat(np.arange(24), lengths)
    table = pd.DataFrame({"dataset": "d", "subject": "1", "session": "1", "trial": trial})
    ratings = np.concatenate([0.5 * np.sin(np.arange(n) / 4 + rng.uniform(0, 6)) for n in lengths])
    features = rng.normal(size=(len(trial), 3, 4)).astype(np.float32)
    features[:, 1, 2] += 4 * ratings
    # Unrated steps.
    given = np.where(rng.random(len(ratings)) < 0.02, np.nan, ratings)
    data = SimpleNamespace(table=table, features=features, cells=np.array([[0, 3], [4, 4], [8, 5]]))
    parts = tuple(np.flatnonzero((trial >= low) & (trial < high)) for low, high in ((0, 16), (16, 20), (20, 24)))
    statistics = features[parts[0]].mean(axis=0), features[parts[0]].std(axis=0)
    training = ContinuousTraining(steps=6, epochs=12, width_multiplier=0.05, units=16, learning_rate=5e-3, batch_size=8)
    predictions = _network(data, given, parts, statistics, training, seed=0)
    assert predictions.shape == parts[2].shape
    assert rating_metrics(ratings[parts[2]], predictions)["concordance"] > 0.6
    # It never reads the ratings of the test trials.
    others = np.where(trial >= 20, -given, given)
    np.testing.assert_array_equal(_network(data, others, parts, statistics, training, seed=0), predictions)
    with pytest.raises(InputError, match="no sequence of 6 rated steps in the validation part; choose fewer --steps"):
        _network(data, np.where(trial < 16, ratings, np.nan), parts, statistics, training, seed=0)


@pytest.mark.parametrize("n_own", [10, 13, 20])
def test_sequences_overlap_by_half_and_hold_every_step(n_own):
    table = pd.DataFrame(
        {"dataset": "d", "subject": "1", "session": "1", "trial": np.repeat([1, 2, 3], [10, n_own, 10])}
    )
    rows = np.arange(10, 10 + n_own)
    found = sequences(table, rows, 10)
    assert set(found.ravel()) == set(rows)
    assert (np.diff(found, axis=1) == 1).all()
    assert found[0, 0] == 10
    assert found[-1, -1] == rows[-1]
    assert len(found) == {10: 1, 13: 2, 20: 3}[n_own]
    with pytest.raises(InputError, match=f"subject 1, session 1, trial 2: {n_own} steps; expected at least the 21"):
        sequences(table, rows, 21)


@pytest.mark.parametrize("protocol", ["as_published", "window_disjoint", "as_published_hlstm"])
def test_protocols_that_tear_trials_apart_are_refused(protocol):
    with pytest.raises(ValueError, match="has steps of a trial in training and test"):
        ContinuousExperiment(**FIELDS | {"protocols": (protocol,)})


def test_the_command(data, runtime, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["continuous", str(data), "--rating", "continuous_valence", "--models", "ridge", "--workers", "1"]
    words += ["--feature-store", str(runtime.feature_store), "--delay-seconds", "2", "--output", "run"]
    assert cli.main([*words, "--protocols", "usual", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert {row["protocol"] for row in printed["summary"]} == {"subject_disjoint"}
    first, *reasons, last = printed["notes"]
    assert (
        first == "24 of 240 steps of the other trials have no value of continuous_valence: they are predicted but not "
        "scored"
    )
    # Four trials of a person are two of each class.
    assert [reason.partition(", subject")[0] for reason in reasons] == [
        f"trial_disjoint, {n}: dataset mahnob_hci" for n in "123"
    ]
    assert last == "the data are synthetic: the numbers say nothing about emotion"
    page = (tmp_path / "run" / "report.md").read_text()
    assert "| subject_disjoint | ridge | 3 | " in page
    assert (tmp_path / "run" / "traces.png").stat().st_size > 10_000
    assert set(pd.read_csv("run/predictions.csv")["model"]) == {"ridge"}
    with pytest.raises(SystemExit, match=r"^2$"):
        cli.main(["continuous", str(data), "--rating", "valence", "--feature-store", str(runtime.feature_store)])
    assert "no trial has the continuous rating valence; expected one of: continuous_valence" in (
        capsys.readouterr().err
    )
