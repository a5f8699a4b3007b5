"""A run on files whose channels differ."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from keras_emotion.experiment import Experiment, Runtime, prepare, run, training
from keras_emotion.pipelines import ConnectivityFeatures
from keras_emotion.schema import InputError
from keras_emotion.systems.comparison_estimators import ComparisonEstimator
from keras_emotion.systems.comparison_networks import ComparisonNetwork
from keras_emotion.systems.logistic_regression import BandPowerRegression


def experiment_in(folder, **fields):
    settings = {
        "name": "test",
        "dataset": "memory",
        "targets": ("valence",),
        "protocols": ("subject_disjoint",),
        "system": BandPowerRegression(inverse_regularisation_grid=()),
        "runtime": Runtime(workers=1, feature_store=folder / "features"),
    }
    return Experiment(**{**settings, **fields})


@pytest.fixture
def study(memory_reader):
    """A function to a reader of the same signals: of some subjects without some channels, or in another order."""

    class Study(memory_reader):
        def source_files(self, subject):
            path = self.root / f"{subject}-{'-'.join(self.orders.get(subject, ()))}.txt"
            path.write_text(path.name)
            return (path,)

        def trials(self, subjects=None):
            for trial in super().trials(subjects):
                names = self.orders.get(trial.subject, trial.eeg_channel_names)
                recording = trial.recording.pick(names)
                yield type(trial)(**{**vars(trial), "recording": recording, "eeg_channel_names": tuple(names)})

    def reader(folder, n_subjects=4, **orders):
        made = Study(folder, n_subjects=n_subjects, n_trials=6, effect=0.7)
        made.orders = {int(name[1:]): tuple(names) for name, names in orders.items()}
        return made

    return reader


NAMES = ("F3", "F4", "C3", "C4", "P3", "P4", "O1", "O2")
CONNECTIVITY = ConnectivityFeatures(sample_seconds=12.0)


@pytest.mark.parametrize(
    "system",
    [BandPowerRegression(), ComparisonEstimator(estimator_name="svm", features=CONNECTIVITY)],
    ids=["grid", "connectivity"],
)
def test_predictions_do_not_depend_on_the_order_of_channels_in_files(tmp_path, study, system):
    experiment = experiment_in(tmp_path, system=system)
    same = run(experiment, study(tmp_path), tmp_path / "same").predictions()
    # Of the first subject too, whose order has no priority in the study.
    mixed = study(tmp_path, s1=NAMES[::-1], s3=NAMES[3:] + NAMES[:3])
    folder = run(experiment, mixed, tmp_path / "mixed")
    pd.testing.assert_frame_equal(folder.predictions(), same, rtol=1e-6)
    assert folder.summary["channels"][1] == "reordered to the study's order: channels of subjects 1, 3"


def test_a_missing_channel_is_the_mean_of_the_training_rows(tmp_path, study):
    plan, _ = prepare(experiment_in(tmp_path), study(tmp_path, s2=NAMES[:-1]))
    whole, _ = prepare(experiment_in(tmp_path), study(tmp_path))
    for job, _ in plan.jobs()[0]:
        fold, complete = training.job_fold(plan, job), training.job_fold(whole, job)
        rows = np.arange(len(fold.unit.table))
        lacks = (fold.unit.table["subject"] == 2).to_numpy()
        found, expected = fold.arrays["eeg"][rows].copy(), complete.arrays["eeg"][rows].copy()
        # O2 lies in the cell (8, 5) of the grid.
        known = np.setdiff1d(fold.train, np.flatnonzero(lacks))
        mean = expected[known, :, 8, 5].astype(np.float64).mean(axis=(0, 1))
        expected[lacks, :, 8, 5] = mean
        np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_a_subject_more_changes_no_stored_features(tmp_path, study):
    experiment = experiment_in(tmp_path)
    fewer = {f"s{subject}": NAMES[:-1] for subject in (1, 2, 3)}
    prepare(experiment, study(tmp_path, n_subjects=3, **fewer))
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "features").glob("*/eeg.npy")}
    plan, _ = prepare(experiment, study(tmp_path, n_subjects=4, **fewer))
    after = {path: path.stat().st_mtime_ns for path in (tmp_path / "features").glob("*/eeg.npy")}
    assert len(before) == 3
    assert len(after) == 4
    assert before.items() <= after.items()
    assert plan.channels["eeg"].channels.names == NAMES
    assert plan.channels["eeg"].missing.keys() == {1, 2, 3}


def test_a_saved_model_carries_the_channels_of_the_study(tmp_path, study):
    system = ComparisonNetwork(network="eegnet")
    reader = study(tmp_path, n_subjects=3, s1=NAMES[:5])
    union, _ = prepare(experiment_in(tmp_path, system=system), reader)
    assert union.inference["channel_names"] == list(NAMES)
    assert union.inference["units"] == ["uV"] * 8
    both = experiment_in(tmp_path, system=system, study_channels="intersection")
    plan, _ = prepare(both, reader)
    assert plan.inference["channel_names"] == list(NAMES[:5])
    assert both.identity() != experiment_in(tmp_path, system=system).identity()


def test_what_was_done_with_channels_is_in_the_report(tmp_path, study, capsys):
    from keras_emotion.reports import build_report

    folder = run(experiment_in(tmp_path), study(tmp_path, s2=NAMES[:-1]), tmp_path / "run")
    note = "imputed with the training mean of each fold (0 if no training row has it): O2 of subject 2, in 36 windows"
    assert f"note: {note}" in capsys.readouterr().err
    assert note in build_report(folder).path.read_text()


def test_subjects_recorded_at_different_rates_are_named(tmp_path, memory_reader):
    class TwoRates(memory_reader):
        def trials(self, subjects=None):
            for trial in super().trials(subjects):
                rate = 128.0 if trial.subject == 1 else 64.0
                yield dataclasses.replace(trial, recording=dataclasses.replace(trial.recording, sampling_rate_hz=rate))

    system = ComparisonNetwork(network="eegnet", raw={"sampling_rate_hz": None, "channels": "eeg", "baseline": "none"})
    plan, _ = prepare(experiment_in(tmp_path, system=system), TwoRates(tmp_path, n_subjects=2))
    with pytest.raises(InputError, match=r"a window of subject 1 has the shape \(128, 8\), one of subject 2 \(64, 8\)"):
        plan.jobs()
