"""Subjects with several sessions of the same stimuli: leakage by a fingerprint of the stimulus is found."""

import dataclasses

import numpy as np
import pytest

from keras_emotion.audit import audit
from keras_emotion.experiment import Experiment, Runtime, run
from keras_emotion.pipelines import EEGGridFeatures
from keras_emotion.reports import build_report
from keras_emotion.systems.logistic_regression import BandPowerRegression

N_STIMULI = 8
LEAKING = ("trial_disjoint", "session_disjoint")
CLEAN = ("stimulus_disjoint_within_subject", "stimulus_disjoint")


@pytest.fixture(scope="module")
def visits(memory_reader):
    """Two sessions of the same stimuli; power depends on subject and stimulus, but not on the rating."""

    class Visits(memory_reader):
        def trials(self, subjects=None):
            for subject in subjects or self.subjects:
                rng = np.random.default_rng([11, subject])
                gains = np.exp(1.5 * rng.standard_normal((N_STIMULI, 8, 1)))
                ratings = rng.permutation(np.repeat([3.0, 7.0], N_STIMULI // 2))
                for session in ("a", "b"):
                    shown = rng.permutation(N_STIMULI)
                    for trial, (stimulus, one) in enumerate(zip(shown, super().trials([subject]), strict=True), 1):
                        signal = rng.standard_normal(one.recording.signal.shape) * gains[stimulus]
                        yield dataclasses.replace(
                            one,
                            trial=trial,
                            session=session,
                            stimulus=f"clip{stimulus}",
                            recording=dataclasses.replace(one.recording, signal=signal),
                            ratings={"valence": ratings[stimulus]},
                        )

    return Visits


@pytest.fixture(scope="module")
def study(visits, tmp_path_factory):
    """The run of all protocols, its audit, and the folder."""
    folder = tmp_path_factory.mktemp("visits")
    reader = visits(folder, n_subjects=3, n_trials=N_STIMULI, effect=0.0, seconds=6)
    experiment = Experiment(
        name="visits",
        dataset="memory",
        targets=("valence",),
        protocols=(*LEAKING, *CLEAN, "within_session"),
        maximum_repetitions=1,
        maximum_folds=4,
        system=BandPowerRegression(features=EEGGridFeatures(steps=1, baseline="none"), inverse_regularisation_grid=()),
        runtime=Runtime(workers=1, feature_store=folder / "features"),
    )
    return run(experiment, reader, folder / "run"), audit(experiment, reader, folder / "audit", n_light_permutations=9)


def test_predictions_carry_the_visit_and_every_window_is_tested_once(study):
    predictions = study[0].predictions()
    assert set(predictions["session"]) == {"a", "b"}
    for protocol, rows in predictions.groupby("protocol"):
        windows = rows.groupby(["subject", "session", "trial", "start_seconds"]).size()
        assert (windows == 1).all(), protocol
        assert len(windows) == 3 * 2 * N_STIMULI * 3, protocol
    # Folds of the second session are numbered on from those of the first.
    own = predictions[(predictions["protocol"] == "within_session") & (predictions["subject"] == "1")]
    folds = own.groupby("session")["fold"].unique()
    assert not set(folds["a"]) & set(folds["b"])


def test_a_stimulus_that_comes_again_is_flagged_where_it_leaks(study, tmp_path):
    report = build_report(study[0], output=tmp_path)
    flags = {name: protocol["flags"] for name, protocol in report.numbers.protocols.items()}
    for name in LEAKING:
        assert any("stimulus_disjoint_within_subject keeps them apart" in flag for flag in flags[name])
        assert report.numbers.overall(name, "valence", "accuracy")["mean"] > 0.85
        assert report.numbers.overall(name, "valence", "knows_stimulus_accuracy")["mean"] > 0.7
    for name in CLEAN:
        assert not flags[name]
        assert report.numbers.overall(name, "valence", "accuracy")["mean"] < 0.75
    assert "stimulus_disjoint_within_subject" in report.sentence
    assert "knows the stimulus" in report.path.read_text()


def test_models_on_permuted_labels_score_as_high_where_stimuli_leak(study):
    scores = study[1].scores.set_index("protocol")
    for name in LEAKING:
        row = scores.loc[name]
        # All ratings of a stimulus are exchanged together: a model that knows the stimulus keeps that knowledge.
        assert row["p_value"] > 0.1
        assert row["null_mean"] > 0.85
        assert row["n_labelings"] > 200
    found = {(finding.kind, finding.protocol) for finding in study[1].findings if finding.severity == "leak"}
    assert {("shared stimulus", name) for name in LEAKING} <= found
    assert not {protocol for _, protocol in found} & set(CLEAN)
