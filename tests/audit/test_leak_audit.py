"""The audit measures the leakage of a protocol, finds planted leaks, and has no findings for clean experiments."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from keras_emotion.audit import audit, tasks
from keras_emotion.cli import main
from keras_emotion.datasets import DEAP
from keras_emotion.evaluation import subject_scores
from keras_emotion.experiment import Experiment, Runtime, Training, run
from keras_emotion.experiment.description import load_experiment
from keras_emotion.pipelines import ConnectivityFeatures
from keras_emotion.reports import build_audit_report
from keras_emotion.schema import InputError
from keras_emotion.synthetic import write_deap
from keras_emotion.systems.comparison_networks import ComparisonNetwork
from keras_emotion.systems.logistic_regression import BandPowerRegression

PROTOCOLS = ("as_published", "trial_disjoint")


def experiment_in(folder: Path, system=None, **fields):
    settings = {
        "name": "test",
        "dataset": "memory",
        "targets": ("valence",),
        "protocols": PROTOCOLS,
        "maximum_folds": 4,
        "maximum_repetitions": 1,
        "system": system or BandPowerRegression(inverse_regularisation_grid=()),
        "runtime": Runtime(workers=1, feature_store=folder / "features"),
    }
    return Experiment(**{**settings, **fields})


def kinds(found, severity="leak"):
    return {finding.kind for finding in found.findings if finding.severity == severity}


def rows_of(found, **where):
    rows = found.scores
    for name, value in where.items():
        rows = rows[rows[name] == value]
    return rows


@pytest.fixture(scope="module")
def fingerprints(tmp_path_factory, memory_reader):
    """Trials with individual fingerprints, unrelated to the ratings."""
    folder = tmp_path_factory.mktemp("fingerprints")
    reader = memory_reader(folder, n_trials=12, effect=0.0, fingerprint=1.0)
    experiment = experiment_in(folder)
    return audit(experiment, reader, folder / "audit", n_light_permutations=39), experiment, reader


def test_without_any_effect_a_published_split_scores_high_on_shuffled_labels_too(fingerprints):
    found = fingerprints[0]
    (published,) = rows_of(found, protocol="as_published").itertuples()
    assert published.score > 0.75
    assert published.null_mean > 0.75
    assert published.null_low > published.constant
    assert published.p_value > 0.05
    assert {"score on shuffled labels", "shared trial", "selection on the test fold"} <= kinds(found)
    sentence = found.sentences[0]
    assert sentence.startswith("Under as_published a model without any information on emotion scores 8")
    head, _, power = sentence.partition("no evidence of emotion (with 80 % power this test detects a difference of ")
    assert head
    points = float(power.removesuffix(" points from shuffled labels)."))
    # 1.645 + 0.842 standard deviations of the null, of which its 95 % range has 3.92.
    expected = 100 * (published.null_high - published.null_low) * 2.4865 / 3.92
    assert points == pytest.approx(expected, abs=0.06)  # of which one decimal is printed


def test_whole_trials_are_at_chance_there_and_are_not_accused(fingerprints):
    found = fingerprints[0]
    (clean,) = rows_of(found, protocol="trial_disjoint").itertuples()
    # 24 trials: a standard error of 10 points about the half.
    assert 0.3 < clean.null_mean < 0.6
    assert 0.2 < clean.score < 0.8
    assert not [finding for finding in found.findings if finding.protocol == "trial_disjoint"]


def test_the_gap_is_the_difference_of_both_splits(fingerprints):
    found = fingerprints[0]
    (gap,) = found.gaps.itertuples()
    assert (gap.window_protocol, gap.trial_protocol) == PROTOCOLS
    expected = [rows_of(found, protocol=protocol)["score"].item() for protocol in PROTOCOLS]
    assert [gap.windows, gap.trials] == expected


def test_p_is_computed_from_the_null(fingerprints):
    found = fingerprints[0]
    for row in found.scores.itertuples():
        own = found.null[(found.null["protocol"] == row.protocol) & (found.null["model"] == row.model)]
        shuffled = own.loc[own["permutation"] > 0, "score"]
        assert sorted(own["permutation"]) == list(range(40))
        assert row.p_value == (1 + (shuffled >= row.score - 1e-9).sum()) / 40
        assert (row.null_low, row.null_high) == tuple(np.quantile(shuffled, [0.025, 0.975]))


def test_an_audit_started_again_does_nothing_and_more_shuffles_add_to_it(fingerprints, monkeypatch):
    found, experiment, reader = fingerprints
    before = {path: path.read_bytes() for path in found.path.rglob("*") if path.is_file()}
    done = []
    real = tasks._done
    monkeypatch.setattr(tasks, "_done", lambda plan, task: done.append(task.name) or real(plan, task))
    audit(experiment, reader, found.path, n_light_permutations=39)
    assert not done
    assert {path: path.read_bytes() for path in found.path.rglob("*") if path.is_file()} == before
    more = audit(experiment, reader, found.path, n_light_permutations=45)
    # Two subjects under two protocols; permutations 21 to 39 were a task that ended early, and 41 to 45 are new.
    assert {name.split("-")[-2] for name in done} == {"permutations21to40", "permutations41to45"}
    assert len(done) == 8
    np.testing.assert_array_equal(more.null.loc[more.null["permutation"] < 40, "score"], found.null.loc[:, "score"])


def test_the_number_of_workers_changes_nothing(fingerprints, tmp_path):
    found, experiment, reader = fingerprints
    two = audit(experiment, reader, tmp_path / "audit", n_light_permutations=39, workers=2)
    pd.testing.assert_frame_equal(two.null, found.null)
    pd.testing.assert_frame_equal(two.scores, found.scores)


def test_the_score_with_real_labels_is_that_of_a_run(fingerprints, tmp_path):
    found, experiment, reader = fingerprints
    folder = run(experiment, reader, tmp_path / "run")
    results = folder.results()
    majority = results[results["metric"] == "training_majority"].rename(columns={"value": "majority_class"})
    predictions = folder.predictions().drop(columns=["probability_low", "probability_high"])
    scores = subject_scores(predictions, majority).groupby("protocol")
    for row in found.scores.itertuples():
        assert row.score == pytest.approx(scores["accuracy"].mean()[row.protocol], abs=1e-12)
        assert row.constant == pytest.approx(scores["best_constant_accuracy"].mean()[row.protocol], abs=1e-12)


def test_an_effect_is_seen_in_whole_trials(tmp_path, memory_reader):
    reader = memory_reader(tmp_path, n_subjects=1, n_trials=16, effect=1.5)
    found = audit(experiment_in(tmp_path), reader, tmp_path / "audit", n_light_permutations=39)
    (clean,) = rows_of(found, protocol="trial_disjoint").itertuples()
    assert clean.p_value == 1 / 40
    assert found.sentences[1].endswith("above chance.")
    assert not [finding for finding in found.findings if finding.protocol == "trial_disjoint"]


class PeekingRegression(BandPowerRegression):
    """Scale by statistics of all windows, a common mistake."""

    def fit_arrays(self, arrays, rows):
        mean = arrays["eeg"][:].mean(axis=0)
        return lambda arrays: {"eeg": arrays["eeg"][np.arange(len(arrays["eeg"]))] - mean}


class ScalingRegression(BandPowerRegression):
    """The same with training windows only."""

    def fit_arrays(self, arrays, rows):
        mean = arrays["eeg"][rows].mean(axis=0)
        return lambda arrays: {"eeg": arrays["eeg"][np.arange(len(arrays["eeg"]))] - mean}


def test_a_scaler_that_is_fitted_on_test_rows_is_found_and_refused_by_the_runner(tmp_path, memory_reader):
    reader = memory_reader(tmp_path, n_trials=12)
    peeking, scaling = (
        experiment_in(tmp_path, system=system, protocols=("trial_disjoint",))
        for system in (PeekingRegression(), ScalingRegression())
    )
    found = audit(peeking, reader, tmp_path / "peeking", n_light_permutations=0)
    (finding,) = [finding for finding in found.findings if finding.kind == "fitted on test rows"]
    assert "PeekingRegression reads" in finding.message
    with pytest.raises(RuntimeError, match="outside the training part"):
        run(peeking, reader, tmp_path / "run")
    assert not audit(scaling, reader, tmp_path / "scaling", n_light_permutations=0).findings


def test_a_teacher_that_has_met_the_tested_people_is_found(tmp_path, memory_reader):
    class Taught(BandPowerRegression):
        """System with a file of its own."""

        def source_files(self):
            return (tmp_path / "teacher" / "valence.keras",)

    (tmp_path / "teacher").mkdir()
    (tmp_path / "teacher" / "valence.keras").write_text("a network")
    experiment = experiment_in(tmp_path, system=Taught(), protocols=("trial_disjoint",))

    def findings(place):
        return audit(experiment, memory_reader(tmp_path), tmp_path / place, n_light_permutations=0).findings

    assert [finding.kind for finding in findings("unknown")] == ["unknown origin"]
    origin = tmp_path / "teacher" / "trained_on.json"
    origin.write_text(json.dumps({"dataset": "memory", "subjects": ["2", "9"]}))
    (finding,) = findings("met")
    assert (finding.kind, finding.severity) == ("fitted on test rows", "leak")
    assert "subjects 2 of" in finding.message
    origin.write_text(json.dumps({"dataset": "afew_va", "subjects": ["2", "9"]}))
    assert not findings("others")
    for damaged in (b'{"dataset": "mem', b"[]", b"\xff"):
        origin.write_bytes(damaged)
        with pytest.raises(InputError, match=r"trained_on\.json: damaged"):
            findings("others")


def test_labels_that_go_with_time_are_found(tmp_path, memory_reader):
    class Blocks(memory_reader):
        """All trials with low valence come first; or in random order."""

        in_blocks = True

        def trials(self, subjects=None):
            for subject in subjects or self.subjects:
                own = list(super().trials([subject]))
                order = np.random.default_rng(subject).permutation(len(own))
                if self.in_blocks:
                    order = np.argsort([trial.ratings["valence"] for trial in own], kind="stable")
                for place, number in enumerate(order, start=1):
                    yield dataclasses.replace(own[number], presentation=place)

    reader = Blocks(tmp_path, n_subjects=1, n_trials=16, effect=0.0)
    experiment = experiment_in(tmp_path, protocols=("trial_disjoint",), maximum_folds=3)
    found = audit(experiment, reader, tmp_path / "blocks", n_light_permutations=99)
    assert kinds(found, "warning") == {"order of presentation"}
    assert rows_of(found, protocol="trial_disjoint")["order"].item() > 0.8
    reader = Blocks(tmp_path, n_subjects=1, n_trials=18, effect=0.0)
    reader.in_blocks = False
    found = audit(experiment, reader, tmp_path / "mixed", n_light_permutations=99)
    assert not found.findings
    assert rows_of(found, protocol="trial_disjoint")["order"].item() < 0.8


def test_recordings_that_are_there_twice_are_found(tmp_path, memory_reader):
    class Twice(memory_reader):
        """The second subject is a copy of the first."""

        def trials(self, subjects=None):
            for subject in subjects or self.subjects:
                for trial in super().trials([1]):
                    yield dataclasses.replace(trial, subject=subject)

    experiment = experiment_in(tmp_path, protocols=("subject_disjoint",))
    found = audit(experiment, Twice(tmp_path, n_subjects=4), tmp_path / "twice", n_light_permutations=0)
    # With any labels, those of a recording are known from its copy.
    assert kinds(found) == {"duplicated windows", "score on shuffled labels"}
    found = audit(
        experiment, memory_reader(tmp_path, n_subjects=4, seconds=14), tmp_path / "once", n_light_permutations=0
    )
    assert not kinds(found) | kinds(found, "warning")


def test_the_network_is_trained_on_shuffled_labels_too(tmp_path, memory_reader):
    # One epoch of a small network: the test is about the labels used, not about accuracy.
    features = ConnectivityFeatures(sample_seconds=2.0, window_seconds=1.0)
    system = ComparisonNetwork(network="dgcnn", features=features)
    training = Training(epochs=1, learning_rate=3e-3, batch_size=16)
    experiment = experiment_in(
        tmp_path, system=system, training=training, protocols=("trial_disjoint",), maximum_folds=3
    )
    reader = memory_reader(tmp_path, n_subjects=1)
    found = audit(experiment, reader, tmp_path / "audit", n_light_permutations=2, n_permutations=1)
    (network,) = rows_of(found, model="network").itertuples()
    assert network.n_permutations == 1
    assert not kinds(found) | kinds(found, "warning")
    # One fold, of four trials; of an estimator all folds of a subject.
    assert found.canaries["canary"].tolist() == ["random test labels", "shuffled labels"]
    assert found.canaries["n_folds"].tolist() == [1, 1]
    (light,) = rows_of(found, model="logistic regression", protocol="trial_disjoint").itertuples()
    assert light.n_permutations == 2
    folder = run(experiment, reader, tmp_path / "run")
    predictions = folder.predictions()
    assert network.score == (predictions["label"] == predictions["prediction"]).mean()
    # Folds of windows, missing in the experiment, are added for the gap; real labels only.
    assert {(row.model, row.window_protocol) for row in found.gaps.itertuples()} == {
        ("logistic regression", "window_disjoint")
    }


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory):
    """A run on synthetic files, as the command line audits it."""
    folder = tmp_path_factory.mktemp("run")
    root = write_deap(folder / "deap", n_subjects=2, n_trials=10, effect_size=0.0)
    experiment = experiment_in(folder, dataset="deap", maximum_folds=3)
    return run(experiment, DEAP(root), folder / "run"), experiment, root


def test_a_run_is_audited_from_the_command_line(finished_run, capsys):
    folder, experiment, _ = finished_run
    assert main(["audit", str(folder.path), "--light-permutations", "19", "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert {"shared trial", "selection on the test fold", "score on shuffled labels"} <= {
        finding["kind"] for finding in content["findings"] if finding["severity"] == "leak"
    }
    assert [row["protocol"] for row in content["scores"]] == list(experiment.protocols)
    # All trials of the first subject, under the protocol that does not choose on the test fold.
    canaries = [(row["protocol"], row["canary"], row["n_trials"]) for row in content["canaries"]]
    assert canaries == [("trial_disjoint", kind, 10) for kind in ("random test labels", "shuffled labels")]
    assert (
        main(["audit", str(folder.path / "experiment.json"), "--light-permutations", "19", "--strict", "--full"]) == 1
    )
    printed = " ".join(capsys.readouterr().out.split())
    assert "leak: shared trial (as_published, valence)" in printed
    assert "canary, trial_disjoint, valence: of the test trials of 3 folds, the model predicts" in printed
    assert "Under as_published a model without any information on emotion scores" in printed
    assert "synthetic data: says nothing about emotion" in printed
    assert (folder.path / "audit" / "figures" / "audit.png").stat().st_size > 10_000


def test_the_page_names_each_finding_and_marks_synthetic_data(finished_run):
    folder, _, _ = finished_run
    report = build_audit_report(audit(folder, n_light_permutations=19))
    page = report.path.read_text()
    for finding in report.audit.findings:
        assert finding.kind in page
    assert "synthetic data: says nothing about emotion" in page
    assert "L3.2" in page


def test_an_experiment_comes_back_from_its_file(finished_run):
    folder, experiment, root = finished_run
    with pytest.raises(InputError, match=r"--stimuli clips: the run of .* has no stimulus folder; leave it out"):
        load_experiment(folder.path, stimuli=Path("clips"))
    found, reader = load_experiment(folder.path)
    assert found.identity() == experiment.identity() == folder.config["identity"]
    assert found.system == experiment.system
    assert (reader.root, reader.file_format) == (root.absolute(), "python")


def test_what_cannot_be_audited_is_said(finished_run, tmp_path, capsys):
    folder, _, root = finished_run
    moved = tmp_path / "moved"
    shutil.copytree(folder.path, moved, ignore=shutil.ignore_patterns("audit"))
    content = json.loads((moved / "experiment.json").read_text())
    content["data"]["root"] = str(tmp_path / "gone")
    (moved / "experiment.json").write_text(json.dumps(content))
    with pytest.raises(SystemExit, match="2"):
        main(["audit", str(moved), "--light-permutations", "0"])
    assert "gone: no such folder" in capsys.readouterr().err
    assert main(["audit", str(moved), "--light-permutations", "0", "--data-root", str(root)]) == 0
    capsys.readouterr()
    content["experiment"]["seed"] = 5
    (moved / "experiment.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match="was written by another version"):
        audit(moved)
    foreign = {**content, "experiment": {**content["experiment"], "dataset": "nowhere"}}
    for damaged in ("{}", "[]", '{"experiment": []}', "[" * 10**5, "\xff", json.dumps(foreign)):
        (moved / "experiment.json").write_bytes(damaged.encode("latin-1"))
        with pytest.raises(InputError, match="does not describe an experiment"):
            audit(moved)
    with pytest.raises(InputError, match="no such file"):
        audit(tmp_path / "nothing")
    for arguments in ([], [str(moved), "--table", "x.csv"]):
        with pytest.raises(SystemExit, match="2"):
            main(["audit", *arguments])
        assert "RUN or --table: give one of them" in capsys.readouterr().err
    with pytest.raises(InputError, match="0 or more"):
        audit(folder, n_light_permutations=-1)


def test_predictions_of_a_run_are_a_table_like_any_other(finished_run, capsys):
    folder, _, _ = finished_run
    assert main(["audit", "--table", str(folder.path / "predictions.csv"), "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    leaks = {(one["protocol"], one["kind"]) for one in content["findings"] if one["severity"] == "leak"}
    assert leaks == {("as_published", "shared trial"), ("as_published", "selection on the test fold")}
    accuracies = {(row["protocol"], row["unit"]): row["accuracy"] for row in content["scores"]}
    predictions = folder.predictions()
    for protocol, own in predictions.groupby("protocol"):
        right = (own["label"] == own["prediction"]).groupby(own["subject"]).mean().mean()
        assert accuracies[protocol, "window"] == pytest.approx(right)
