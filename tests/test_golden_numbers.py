"""Golden files of an earlier version: numbers that stay, runs and models that still open."""

import dataclasses
import importlib.util
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from keras_emotion.audit import audit
from keras_emotion.datasets import DEAP
from keras_emotion.datasets.continuous import ContinuousRecording
from keras_emotion.experiment import RunFolder
from keras_emotion.experiment.description import load_experiment
from keras_emotion.inference import Predictor, load_saved_model
from keras_emotion.reports import build_report
from keras_emotion.reports.listing import list_runs
from keras_emotion.synthetic import write_deap

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(scope="module")
def produce():
    """The program that wrote the golden integers, as a module."""
    specification = importlib.util.spec_from_file_location("produce", GOLDEN / "numbers" / "produce.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def numbers():
    return json.loads((GOLDEN / "numbers" / "numbers.json").read_text())


@pytest.mark.parametrize(("key", "protocols"), [("folds", "OLD_PROTOCOLS"), ("later_folds", "LATER_PROTOCOLS")])
def test_folds_stay(produce, numbers, key, protocols):
    found = produce.folds(getattr(produce, protocols))
    assert found.keys() == numbers[key].keys()
    for name, expected in numbers[key].items():
        assert found[name] == expected, name


def test_seeds_of_jobs_stay(produce, numbers):
    assert produce.seeds() == numbers["seeds"]
    # A numeric id and the same id as text are two subjects.
    assert numbers["seeds"]["1"] != numbers["seeds"]["'1'"]


def test_permuted_ratings_stay(produce, numbers):
    assert produce.ratings() == numbers["permuted_ratings"]


# A run and a model of version 0.1.0 -----------------------------------------------------------------------------------

OLD_RUN = GOLDEN / "run_of_0.1.0"
MODEL = next((OLD_RUN / "models").glob("*.keras"))


def test_an_old_run_is_listed_and_reported(tmp_path):
    folder = RunFolder(OLD_RUN)
    assert folder.is_finished
    (listed,) = list_runs(OLD_RUN)
    assert (listed.name, listed.problem) == ("deap_eegnet", "")
    report = build_report(folder, output=tmp_path)
    # Computed from the predictions without the package's metrics.
    predictions = pd.read_csv(OLD_RUN / "predictions.csv")
    accuracy = (predictions["label"] == predictions["prediction"]).mean()
    assert report.numbers.overall("trial_disjoint", "valence", "accuracy")["mean"] == pytest.approx(accuracy)


class FirstSeconds(DEAP):
    """The first ten seconds of each trial: two windows."""

    def trials(self, subjects=None):
        for trial in super().trials(subjects):
            end = round((trial.recording.baseline_seconds + 10) * trial.recording.sampling_rate_hz)
            recording = dataclasses.replace(trial.recording, signal=trial.recording.signal[:, :end])
            yield dataclasses.replace(trial, recording=recording)


def test_an_old_run_is_audited_and_its_identity_is_the_same(tmp_path):
    deap = write_deap(tmp_path / "deap", n_subjects=1, n_trials=10)
    experiment, reader = load_experiment(OLD_RUN, deap)
    assert experiment.identity() == json.loads((OLD_RUN / "config.json").read_text())["identity"]
    assert reader.subjects == (1,)
    # Batches are filled up to their size: with 128, a step would take seconds.
    experiment = experiment.changed({"runtime.feature_store": tmp_path / "features", "training.batch_size": 16})
    found = audit(experiment, FirstSeconds(deap), tmp_path / "audit", n_light_permutations=1)
    assert set(found.scores["protocol"]) == {"trial_disjoint", "window_disjoint"}


def test_an_old_model_predicts_what_it_did(tmp_path):
    model = load_saved_model(MODEL)
    names = model.inference["channel_names"]
    signal = 20 * np.random.default_rng(2026).standard_normal((len(names), 128 * 33))
    np.save(tmp_path / "new.npy", signal.astype(np.float32))
    sidecar = {"sampling_rate_hz": 128, "channel_names": names, "unit": "uV", "axes": ["channels", "samples"]}
    (tmp_path / "new.json").write_text(json.dumps(sidecar))
    found = Predictor(model).predict(ContinuousRecording(tmp_path / "new.npy")).table
    expected = pd.read_csv(OLD_RUN / "prediction.csv")
    pd.testing.assert_frame_equal(found[expected.columns], expected, check_dtype=False, atol=1e-5)
