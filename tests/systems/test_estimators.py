"""Systems with a scikit-learn estimator, and the guard against fitting on test data."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from keras_emotion.audit import audit
from keras_emotion.datasets import DEAP
from keras_emotion.evaluation import PROTOCOLS, LabelRule
from keras_emotion.experiment import Experiment, Runtime, estimate, prepare, run, training
from keras_emotion.experiment import fold as fold_module
from keras_emotion.experiment.description import describe_experiment, load_experiment
from keras_emotion.experiment.scope import OutsideTrainingPart, TrainingPart
from keras_emotion.synthetic import write_deap
from keras_emotion.systems import registered_systems
from keras_emotion.systems.base import EstimatorSystem, NetworkSystem
from keras_emotion.systems.facrnn import FACRNN
from keras_emotion.systems.facrnn_visual import FACRNNVisual
from keras_emotion.systems.logistic_regression import BandPowerRegression, LightModel


def experiment_in(folder, **fields):
    settings = {
        "name": "test",
        "dataset": "memory",
        "targets": ("valence",),
        "protocols": ("as_published", "trial_disjoint"),
        "maximum_folds": 3,
        "maximum_repetitions": 1,
        "system": BandPowerRegression(inverse_regularisation_grid=()),
        "runtime": Runtime(workers=1, feature_store=folder / "features"),
    }
    return Experiment(**{**settings, **fields})


@pytest.fixture
def plan(tmp_path, memory_reader):
    return prepare(experiment_in(tmp_path), memory_reader(tmp_path, n_subjects=1))[0]


def first_fold(plan, protocol):
    job = next(job for job, _ in plan.jobs()[0] if job.protocol == protocol)
    return job, training.job_fold(plan, job)


@pytest.mark.parametrize("protocol", ["as_published", "trial_disjoint"])
def test_predictions_are_those_of_scikit_learn_on_the_rows_that_may_be_known(plan, protocol):
    job, fold = first_fold(plan, protocol)
    record = training.run_job(plan, job)
    # Two seconds, one step, eight electrodes in the grid, four bands: their values in any order, cells without
    # an electrode left out.
    grid = fold.arrays["eeg"][np.arange(len(fold.unit.table))].reshape(len(fold.unit.table), -1)
    vectors = grid[:, (grid != 0).any(axis=0)]
    assert vectors.shape[1] == 8 * 4
    known = fold.train if protocol == "as_published" else np.union1d(fold.train, fold.validation)
    mean, deviation = vectors[known].mean(axis=0), vectors[known].std(axis=0)
    scaled = (vectors - mean) / deviation
    model = LogisticRegression(max_iter=2000).fit(scaled[known], fold.labels[known])
    expected = model.predict_proba(scaled[fold.test])
    found = np.stack([record["predictions"][f"probability_{name}"] for name in ("low", "high")], axis=1)
    np.testing.assert_allclose(found, expected, atol=2e-3)
    assert record["best_epoch"] == 1
    assert record["diagnostics"]["n_fitted_windows"] == len(known)
    assert record["predictions"]["label"] == fold.labels[fold.test].tolist()


GRID = (0.001, 0.1, 10.0)


@pytest.mark.parametrize("protocol", ["as_published", "trial_disjoint"])
def test_each_fold_chooses_its_penalty_on_its_validation_windows(protocol, tmp_path, memory_reader):
    system = BandPowerRegression(inverse_regularisation_grid=GRID)
    assert list(system.candidates()) == ["c0.001", "c0.1", "c10"]
    experiment = experiment_in(tmp_path, system=system, protocols=(protocol,))
    # Without an effect: validation scores exclude fits on the validation windows.
    reader = memory_reader(tmp_path, n_subjects=1, effect=0.0)
    folder = run(experiment, reader, tmp_path / "run")
    plan, _ = prepare(experiment, reader)
    chosen = pd.read_csv(folder.path / "search.csv")
    chosen = chosen[chosen["chosen"]].set_index("fold")["candidate"]
    predictions = folder.predictions().set_index(["fold", "trial", "start_seconds"])["probability_high"]
    for job, _ in plan.jobs()[0][:: len(GRID)]:
        fold = training.job_fold(plan, job)
        vectors = system.vectors(fold.arrays)

        def fitted(value, rows, fold=fold, vectors=vectors):
            model = make_pipeline(StandardScaler(), LogisticRegression(C=value, max_iter=2000))
            return model.fit(vectors[rows], fold.labels[rows])

        def likelihood(value, fold=fold, vectors=vectors, fitted=fitted):
            given = fitted(value, fold.train).predict_proba(vectors[fold.validation])
            truth = fold.labels[fold.validation]
            if protocol == "as_published":
                return (given.argmax(axis=1) == truth).mean()
            return np.log(given[np.arange(len(truth)), truth]).mean()

        best = max(GRID, key=likelihood)
        assert chosen[job.fold] == f"c{best:g}"
        # The validation windows are test windows if a paper selects on these.
        known = fold.train if protocol == "as_published" else np.union1d(fold.train, fold.validation)
        expected = fitted(best, known).predict_proba(vectors[fold.test])[:, 1]
        rows = fold.unit.table.iloc[fold.test]
        found = predictions.loc[[(job.fold, *row) for row in zip(rows["trial"], rows["start_seconds"], strict=True)]]
        np.testing.assert_allclose(found, expected, atol=2e-3)


def test_the_audit_trains_one_penalty_for_real_and_permuted_labels(tmp_path, memory_reader, monkeypatch):
    values = []
    estimator = BandPowerRegression.estimator

    def counted(system, seed):
        values.append(system.inverse_regularisation)
        return estimator(system, seed)

    monkeypatch.setattr(BandPowerRegression, "estimator", counted)
    reader = memory_reader(tmp_path, n_subjects=1)
    system = BandPowerRegression(inverse_regularisation=0.3)
    experiment = experiment_in(tmp_path, system=system, protocols=("trial_disjoint",))
    found = audit(experiment, reader, tmp_path / "audit", n_light_permutations=4)
    # Three folds: the real labels and four permutations; and once more the real labels in folds of windows.
    assert values.count(0.3) == 3 * (1 + 4) + 3
    # Proofs and canaries train one candidate of the system: the first of its grid.
    assert set(values) == {0.3, system.inverse_regularisation_grid[0]}
    fixed = experiment.changed({"system": system.model_copy(update={"inverse_regularisation_grid": ()})})
    again = audit(fixed, reader, tmp_path / "fixed", n_light_permutations=4)
    pd.testing.assert_frame_equal(found.null, again.null)


def test_a_run_of_before_there_was_a_grid_stays_what_it_was(tmp_path, memory_reader):
    fixed = experiment_in(tmp_path)
    assert "inverse_regularisation_grid" not in fixed.scientific_config()["system"]
    assert fixed.identity() != experiment_in(tmp_path, system=BandPowerRegression()).identity()
    described = describe_experiment(fixed, memory_reader(tmp_path, n_subjects=1))
    del described["experiment"]["system"]["inverse_regularisation_grid"]
    described["experiment"]["dataset"] = "deap"
    described["identity"] = experiment_in(tmp_path, dataset="deap").identity()
    described["data"] = {"root": str(write_deap(tmp_path / "deap", 1, 6)), "file_format": "python"}
    (tmp_path / "experiment.json").write_text(json.dumps(described))
    assert load_experiment(tmp_path / "experiment.json")[0].system == fixed.system


def test_classes_that_training_lacks_keep_probability_0(tmp_path, memory_reader):
    rule = LabelRule(kind="levels", edges=(1.0, 5.0))  # no rating is 1 or less
    plan, _ = prepare(experiment_in(tmp_path, label_rule=rule), memory_reader(tmp_path, n_subjects=1))
    job, _ = first_fold(plan, "trial_disjoint")
    predictions = training.run_job(plan, job)["predictions"]
    assert set(predictions["probability_low"]) == {0.0}
    sums = np.add(predictions["probability_medium"], predictions["probability_high"])
    np.testing.assert_allclose(sums, 1.0)


def test_the_estimate_counts_fits(plan):
    cost = estimate(plan)
    assert cost.jobs == cost.training_steps == len(plan.jobs()[0])
    assert cost.seconds_per_step > 0


def test_the_light_model_sees_what_the_network_sees(tmp_path, memory_reader):
    network = FACRNN()
    reader = memory_reader(tmp_path, n_subjects=1)
    plan, _ = prepare(experiment_in(tmp_path, system=LightModel(of=network)), reader)
    unit = plan.window_set(1, "valence")
    vectors = LightModel(of=network).vectors(unit.arrays)
    eeg = unit.arrays["eeg"][np.arange(len(unit.table))].astype(np.float64)
    assert eeg.shape[1] == 4
    averaged = eeg.mean(axis=1).reshape(len(eeg), -1)
    np.testing.assert_allclose(vectors, averaged[:, (averaged != 0).any(axis=0)], rtol=1e-6)
    folder = run(experiment_in(tmp_path, system=LightModel(of=network)), reader, tmp_path / "run")
    assert folder.config["science"]["system"] == {
        "kind": "LightModel",
        "of": {"kind": "FACRNN", **network.scientific_config()},
    }


def test_pictures_become_grey_values_of_blocks():
    pictures = np.random.default_rng(0).integers(0, 256, (3, 4, 16, 24, 3), dtype=np.uint8)
    vectors = FACRNNVisual().vectors({"faces": pictures})
    expected = pictures.astype(float).mean(axis=(1, 4)).reshape(3, 8, 2, 8, 3).mean(axis=(2, 4)).reshape(3, -1)
    np.testing.assert_allclose(vectors, expected, rtol=1e-5)


def test_every_system_is_of_a_kind_that_the_runner_knows():
    for system in registered_systems().values():
        assert issubclass(system, (NetworkSystem, EstimatorSystem))
    with pytest.raises(TypeError, match="neither a NetworkSystem nor an EstimatorSystem"):
        training.train_fold(object(), None, None, None)


def test_another_setting_of_the_reader_has_features_of_its_own(tmp_path):
    root = write_deap(tmp_path / "deap", n_subjects=1, n_trials=6, files=("original",))
    experiment = experiment_in(tmp_path, dataset="deap", protocols=("as_published",))
    folders, fingerprints = [], []
    for preprocess in (False, True):
        reader = DEAP(root, preprocess=preprocess)
        plan, data = prepare(experiment, reader)
        folders.append(plan.feature_folders[1]["eeg"])
        fingerprints.append(data)
    assert folders[0] != folders[1]
    # The run folder of one system is refused for the other.
    assert "options" not in fingerprints[0]
    assert fingerprints[1]["options"] == {"preprocess": True}
    described = json.loads(json.dumps(describe_experiment(experiment, reader)))
    (tmp_path / "experiment.json").write_text(json.dumps(described))
    assert load_experiment(tmp_path / "experiment.json")[1].preprocess


# Scope ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "read",
    [
        lambda part: part["eeg"][:],
        lambda part: part["eeg"][np.array([0, 1])],
        lambda part: part["eeg"][-1],
        lambda part: np.asarray(part["eeg"]),
        lambda part: part["eeg"][np.arange(6) > 2],
    ],
)
def test_windows_outside_the_training_part_cannot_be_read(read):
    part = TrainingPart({"eeg": np.arange(12.0).reshape(6, 2)}, np.array([0, 2, 4]), "scaler")
    with pytest.raises(OutsideTrainingPart, match="scaler reads"):
        read(part)


def test_windows_of_the_training_part_are_what_they_are():
    array = np.arange(12.0).reshape(6, 2)
    part = TrainingPart({"eeg": array}, np.array([0, 2, 4]), "scaler")
    np.testing.assert_array_equal(part["eeg"][np.array([4, 0])], array[[4, 0]])
    np.testing.assert_array_equal(part["eeg"][2], array[2])
    np.testing.assert_array_equal(part["eeg"][::2], array[::2])
    assert (part["eeg"].shape, part["eeg"].dtype, len(part["eeg"]), list(part)) == ((6, 2), float, 6, ["eeg"])


def test_a_protocol_that_fits_on_all_rows_does_so(plan, monkeypatch):
    peeking = PROTOCOLS["trial_disjoint"].model_copy(update={"fitted_on": "all_rows"})
    job, fold = first_fold(plan, "trial_disjoint")
    np.testing.assert_array_equal(fold.fitted_on, fold.train)
    monkeypatch.setattr(fold_module, "PROTOCOLS", {**PROTOCOLS, "trial_disjoint": peeking})
    fold = training.job_fold(plan, job)
    np.testing.assert_array_equal(fold.fitted_on, np.arange(len(fold.unit.table)))
    # Also for a threshold: only its scope determines it.
    unit = dataclasses.replace(fold.unit, label_rule=LabelRule(kind="median"), ratings=np.arange(len(fold.unit.table)))
    labels = dataclasses.replace(fold, unit=unit).labels
    np.testing.assert_array_equal(labels, unit.ratings > np.median(unit.ratings))
    np.testing.assert_array_equal(
        dataclasses.replace(fold, unit=unit, scope=None).labels, unit.ratings > np.median(unit.ratings[fold.train])
    )
