import json

import keras
import numpy as np
import pytest

from keras_emotion.experiment import Runtime, Training, compiled_model, fit, prepare, training
from keras_emotion.pipelines import StoredFeatures, TeacherFeatures
from keras_emotion.schema import InputError
from keras_emotion.systems import Experiment
from keras_emotion.systems.comparison_networks import ComparisonNetwork
from keras_emotion.systems.facrnn import FACRNN
from keras_emotion.systems.logistic_regression import LightModel

SCALED = FACRNN(width_multiplier=0.02)
"""A network with statistics of the training windows."""


def _experiment(tmp_path, **fields):
    return Experiment(
        **{
            "name": "test",
            "dataset": "memory",
            "targets": ("valence",),
            "maximum_folds": 3,
            "maximum_repetitions": 1,
            # With dropout and batch normalisation, and traced fast.
            "system": ComparisonNetwork(network="eegnet"),
            "training": Training(epochs=2, learning_rate=3e-3, batch_size=16),
            "runtime": Runtime(workers=1, feature_store=tmp_path / "features"),
            **fields,
        }
    )


@pytest.fixture
def plan(tmp_path, memory_reader):
    return prepare(_experiment(tmp_path), memory_reader(tmp_path, n_subjects=1))[0]


@pytest.fixture
def scaled_plan(tmp_path, memory_reader):
    return prepare(_experiment(tmp_path, system=SCALED), memory_reader(tmp_path, n_subjects=1))[0]


def _jobs(plan):
    return [job for job, _ in plan.jobs()[0]]


def _without_time(record):
    return json.dumps({name: value for name, value in record.items() if name != "seconds"}, sort_keys=True)


def _state(model):
    return [keras.ops.convert_to_numpy(variable) for variable in (*model.variables, *model.optimizer.variables)]


def test_a_reset_model_gives_what_a_new_one_gives(plan):
    first, second = _jobs(plan)[:2]
    compiled_model._COMPILED.clear()
    fresh = _without_time(training.run_job(plan, second))
    compiled_model._COMPILED.clear()
    training.run_job(plan, first)
    assert _without_time(training.run_job(plan, second)) == fresh


def test_reset_goes_back_to_the_start_whatever_was_trained(scaled_plan):
    job = _jobs(scaled_plan)[0]
    training.prepare_backend(1)
    fold = training.job_fold(scaled_plan, job)
    compiled = compiled_model.compiled_model(fold, {})
    compiled.reset(5)
    start = _state(compiled.model)
    batches = fold.batches(fold.train)
    inputs, targets, weights = batches.gather(batches.order(0)[0])
    compiled.model.train_on_batch(inputs, targets, weights)
    scaled_plan.experiment.system.fit_statistics(compiled.model, fold.unit.arrays, fold.train)
    changed = [not np.array_equal(one, other) for one, other in zip(start, _state(compiled.model), strict=True)]
    assert sum(changed) > 20
    compiled.reset(5)
    for one, other in zip(start, _state(compiled.model), strict=True):
        np.testing.assert_array_equal(one, other)


def test_quantities_of_outputs_are_of_the_pass_that_predicts(plan, monkeypatch):
    kept = []
    monkeypatch.setattr(ComparisonNetwork, "diagnosed_outputs", ("output",))
    monkeypatch.setattr(
        ComparisonNetwork,
        "output_diagnostics",
        lambda self, outputs: kept.append(outputs) or {"mean_high": float(outputs["output"][:, 1].mean())},
    )
    record = training.run_job(plan, _jobs(plan)[0])
    (given,) = kept
    assert list(given) == ["output"]
    predicted = [record["predictions"][f"probability_{name}"] for name in ("low", "high")]
    np.testing.assert_array_equal(given["output"].T.astype(float), predicted)
    assert record["diagnostics"] == {"mean_high": pytest.approx(np.mean(predicted[1]))}


def test_folds_share_one_compiled_model_and_are_traced_once(plan):
    compiled_model._COMPILED.clear()
    training.run_job(plan, _jobs(plan)[0])
    (compiled,) = compiled_model._COMPILED.values()
    traced = []
    train_step = compiled.model.train_step
    compiled.model.train_step = lambda *arguments: traced.append(1) or train_step(*arguments)
    for job in _jobs(plan)[1:3]:
        training.run_job(plan, job)
    assert list(compiled_model._COMPILED.values()) == [compiled]
    assert not traced
    # The counter works: a new function is traced.
    compiled.model.make_train_function(force=True)
    training.run_job(plan, _jobs(plan)[0])
    assert traced


def test_scaling_sees_training_windows_only(scaled_plan):
    job = _jobs(scaled_plan)[-1]
    training.prepare_backend(1)
    fold = training.job_fold(scaled_plan, job)
    model = scaled_plan.experiment.system.model(fold.shapes, 2, {})
    scaled_plan.experiment.system.fit_statistics(model, fold.unit.arrays, fold.train)
    scaled = keras.ops.convert_to_numpy(model.feature_scaling(fold.unit.arrays["eeg"][fold.train]))
    occupied = scaled[..., 2, 2, :]  # F3
    np.testing.assert_allclose(occupied.mean(axis=(0, 1)), 0, atol=1e-4)
    np.testing.assert_allclose(occupied.std(axis=(0, 1)), 1, rtol=1e-3)


def test_the_epoch_is_chosen_by_the_protocol(plan):
    # The flagged protocol selects on the test fold: its best epoch is at least as good there as any other.
    published = next(job for job in _jobs(plan) if job.protocol == "as_published")
    fold = training.job_fold(plan, published)
    np.testing.assert_array_equal(fold.validation, fold.test)
    honest = next(job for job in _jobs(plan) if job.protocol == "trial_disjoint")
    fold = training.job_fold(plan, honest)
    assert not set(fold.validation) & set(fold.test)
    trials = [set(fold.unit.table["trial"].iloc[rows]) for rows in (fold.train, fold.validation, fold.test)]
    assert not trials[0] & trials[1]
    assert not trials[0] & trials[2]
    assert not trials[1] & trials[2]


@pytest.mark.parametrize(("when", "kept"), [("end", [3.0, 1.0, 2.0]), ("each_epoch", [3.0, 3.0, 3.0])])
def test_the_best_weights_come_back(when, kept):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    seen = []
    scores = iter([3.0, 1.0, 2.0])
    callback = fit._restore_best(lambda logs: next(scores), when)
    callback.set_model(model)
    callback.on_train_begin()
    for value in (3.0, 1.0, 2.0):
        model.set_weights([np.array([[value]])])
        callback.on_epoch_end(len(seen))
        seen.append(float(model.get_weights()[0][0, 0]))
    callback.on_train_end()
    assert seen == kept
    assert callback.best_epoch == 1
    assert float(model.get_weights()[0][0, 0]) == 3.0


def test_a_teacher_enters_the_loss_and_windows_without_it_are_dropped(tmp_path, memory_reader):
    reader = memory_reader(tmp_path, n_subjects=1)
    plan, _ = prepare(_experiment(tmp_path, system=SCALED), reader)
    table = StoredFeatures.open(plan.feature_folders[1]["eeg"]).table
    features = np.random.default_rng(0).standard_normal((len(table), 4, 16))
    TeacherFeatures.write(tmp_path / "teacher.npz", table.iloc[:-2], features[:-2])
    taught = _experiment(tmp_path, system=FACRNN(width_multiplier=0.02, teacher=tmp_path / "teacher.npz"))
    taught_plan, data = prepare(taught, reader)
    dropped = taught_plan.dropped_windows()
    assert dropped.groupby("reason")["n_windows"].sum().to_dict() == {"no teacher features": 2}
    job = _jobs(taught_plan)[0]
    record = training.run_job(taught_plan, job)
    windows = record["n_training_windows"] + record["n_validation_windows"]
    assert windows == len(table) - 2
    model = compiled_model.compiled_model(training.job_fold(taught_plan, job), {}).model
    assert model.output["features"].shape == (None, 4, 16)
    assert model.loss.keys() == {"probabilities", "features"}
    assert data["system_files"] != prepare(_experiment(tmp_path, system=SCALED), reader)[1]["system_files"]


def test_a_teacher_of_other_windows_is_refused(tmp_path, memory_reader):
    reader = memory_reader(tmp_path, n_subjects=1)
    table = StoredFeatures.open(
        prepare(_experiment(tmp_path, system=SCALED), reader)[0].feature_folders[1]["eeg"]
    ).table
    TeacherFeatures.write(tmp_path / "teacher.npz", table.assign(subject=99), np.zeros((len(table), 4, 16)))
    taught = _experiment(tmp_path, system=FACRNN(teacher=tmp_path / "teacher.npz"))
    with pytest.raises(InputError, match="no features for the windows of subject 1"):
        prepare(taught, reader)


def test_a_training_that_diverges_is_a_failed_job(plan):
    experiment = plan.experiment.changed({"training.learning_rate": 1e30})
    diverging = type(plan)(experiment, plan.feature_folders, plan.class_names, plan.inference)
    job = _jobs(diverging)[0]
    record = training.run_job(diverging, job)
    assert record["failed"] == "training loss not finite in epoch 1"
    assert record["test_subjects"] == ["1"]
    assert record["job"]["fold"] == job.fold
    assert "predictions" not in record
    with pytest.raises(InputError, match=r"training diverges in its first 5 steps .*--training\.learning-rate"):
        training.seconds_per_step(diverging, job)


@pytest.mark.parametrize(
    ("logs", "reason"),
    [
        ({"loss": 1.0, "val_loss": 2.0}, ""),
        ({"loss": float("nan"), "val_loss": 2.0}, "training loss not finite in epoch 3"),
        ({"loss": float("inf"), "val_loss": float("nan")}, "training loss not finite in epoch 3"),
        ({"loss": 1.0, "val_loss": float("-inf")}, "validation loss not finite in epoch 3"),
        ({"loss": 1.0, "val_loss": 1.0, "val_features_loss": float("nan")}, "validation loss not finite in epoch 3"),
        # An undefined metric is not a loss.
        ({"loss": 1.0, "val_f1": float("nan")}, ""),
    ],
)
def test_a_training_diverges_when_a_loss_is_not_finite(logs, reason):
    callback = fit._divergence()
    callback.set_model(keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)]))
    callback.on_epoch_end(2, logs)
    assert callback.reason == reason
    assert getattr(callback.model, "stop_training", False) == bool(reason)
    # The first reason stays.
    callback.check(fit.VALIDATION_PROBABILITIES, np.array([0.5, np.nan]))
    assert callback.reason == (reason or "validation probabilities not finite in epoch 3")


class _Infinite:
    classes_ = np.array([0, 1])

    def fit(self, vectors, labels):
        return self

    def predict_proba(self, vectors):
        return np.full((len(vectors), 2), np.nan)


def test_an_estimator_without_finite_probabilities_is_a_failed_job(scaled_plan, monkeypatch):
    system = LightModel(of=scaled_plan.experiment.system)
    monkeypatch.setattr(LightModel, "estimator", lambda *_: _Infinite())
    fields = {name: getattr(scaled_plan.experiment, name) for name in type(scaled_plan.experiment).model_fields}
    experiment = Experiment(**{**fields, "system": system})
    light = type(scaled_plan)(experiment, scaled_plan.feature_folders, scaled_plan.class_names, scaled_plan.inference)
    record = training.run_job(light, _jobs(light)[0])
    assert record["failed"] == "predicted probabilities not finite"


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "float32"])
def test_precision_reaches_the_layers(plan, precision):
    changes = {"training.precision": precision, "training.epochs": 1}
    changed = type(plan)(plan.experiment.changed(changes), plan.feature_folders, plan.class_names, plan.inference)
    training.run_job(changed, _jobs(changed)[0])
    fold = training.job_fold(changed, _jobs(changed)[0])
    inference = {"target": "valence", "class_names": ["low", "high"], **plan.inference}
    model = compiled_model.compiled_model(fold, inference).model
    assert model.get_layer("temporal_convolution").compute_dtype == (
        "bfloat16" if precision != "float32" else "float32"
    )
    assert keras.config.dtype_policy().name == "float32"
