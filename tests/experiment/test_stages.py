"""Systems with several stages: what passes between stages, and what does not."""

import dataclasses

import keras
import numpy as np
import pytest

from keras_emotion.experiment import Runtime, prepare, training
from keras_emotion.experiment import fit as fitting
from keras_emotion.experiment.compiled_model import outputs
from keras_emotion.pipelines import EEGGridFeatures, WindowBatches
from keras_emotion.systems import Experiment, NetworkSystem, Stage, Training, stages

EPOCHS = Training(epochs=3, batch_size=4, learning_rate=1e-2)


class First(NetworkSystem):
    """An encoder trained on the label through its own head."""

    def parts(self):
        return {}

    def model(self, shapes, n_classes, inference):
        eeg = keras.Input(shapes["eeg"], name="eeg")
        encoded = keras.layers.Dense(3, activation="tanh", name="encoder")(keras.layers.Flatten()(eeg))
        head = keras.layers.Dense(n_classes, activation="softmax", name="head")(encoded)
        return keras.Model({"eeg": eeg}, {"head": head, "encoded": encoded})

    def losses(self):
        return {"loss": {"head": "sparse_categorical_crossentropy", "encoded": None}}

    def inputs(self, elements):
        return {"eeg": elements["eeg"]}

    def targets(self, elements, labels):
        return {"head": labels}


class Classifier(keras.Model):
    """A network that gives the probabilities of the classes."""

    def window_probabilities(self, outputs):
        return outputs


class Two(NetworkSystem):
    """The encoder, frozen, under a new classifier that also reads the first network's output."""

    starts_from: tuple[str, ...] = ("encoder",)
    sampling: str = "plain"
    features: EEGGridFeatures = EEGGridFeatures(window_seconds=2.0, steps=1, baseline="none")

    def parts(self):
        return {"eeg": self.features}

    @property
    def windowing(self):
        return self.features.windowing

    def stages(self):
        first = Stage(
            name="first",
            system=First(),
            training=EPOCHS,
            arrays=("eeg",),
            gives={"encoded": "code"},
            chosen_by="none",
            sampling=self.sampling,
        )
        return first, Stage(system=self, starts_from=self.starts_from, trainable=("classifier",))

    def model(self, shapes, n_classes, inference):
        eeg = keras.Input(shapes["eeg"], name="eeg")
        encoded = keras.layers.Dense(3, activation="tanh", name="encoder")(keras.layers.Flatten()(eeg))
        return Classifier({"eeg": eeg}, keras.layers.Dense(n_classes, activation="softmax", name="classifier")(encoded))

    def losses(self):
        return {"loss": "sparse_categorical_crossentropy"}

    def inputs(self, elements):
        assert "code" in elements
        return {"eeg": elements["eeg"]}

    def targets(self, elements, labels):
        return labels


@pytest.fixture(scope="module")
def made(tmp_path_factory, memory_reader):
    """A plan, and its first job."""
    folder = tmp_path_factory.mktemp("stages")
    experiment = Experiment(
        name="test",
        dataset="memory",
        targets=("valence",),
        protocols=("trial_disjoint",),
        maximum_folds=3,
        maximum_repetitions=1,
        system=Two(),
        training=EPOCHS,
        runtime=Runtime(workers=1, feature_store=folder / "features"),
    )
    training.prepare_backend(1)
    plan, _ = prepare(experiment, memory_reader(folder, n_subjects=1))
    return plan, plan.jobs()[0][0][0]


def with_system(plan, **fields):
    changed = plan.experiment.system.model_copy(update=fields)
    return dataclasses.replace(plan, experiment=plan.experiment.model_copy(update={"system": changed}))


def trained(plan, job, fold=None):
    """The requests of a job with the weights of each network when it was trained, and the last network."""
    done = []

    def fit(request):
        result = fitting.fit(request)
        done.append((request, stages.layer_weights(request.compiled.model), result))
        return result

    _, model, results, _ = fitting.run_fits(
        training.train_network(plan, job, fold or training.job_fold(plan, job)), fit
    )
    return done, model, results


def test_weights_are_taken_over_and_those_that_are_not_trained_stay(made):
    (first, second), _, results = trained(*made)
    assert [one.name for one in results] == ["first", ""]
    for before, after in zip(first[1]["encoder"], second[1]["encoder"], strict=True):
        np.testing.assert_array_equal(before, after)
    second[0].compiled.reset(second[0].seed)
    fresh = stages.layer_weights(second[0].compiled.model)
    assert not np.array_equal(fresh["encoder"][0], second[1]["encoder"][0])
    assert not np.array_equal(fresh["classifier"][0], second[1]["classifier"][0])


def test_without_choice_the_last_epoch_counts(made):
    (first, _), _, _ = trained(*made)
    assert first[2].best_epoch == EPOCHS.epochs


def test_an_earlier_stage_sees_no_test_window(made):
    plan, job = made
    fold = training.job_fold(plan, job)
    (first, second), _, _ = trained(plan, job, fold)
    assert len(first[0].fold.test) == 0
    given = second[0].fold.arrays["code"]
    assert not given[fold.test].any()
    rows = np.concatenate([fold.train, fold.validation])
    assert given[rows].any(axis=1).all()
    eeg = np.array(fold.arrays["eeg"][np.arange(len(fold.unit.table))])
    eeg[fold.test] = 1e6
    spoilt = dataclasses.replace(fold, arrays={**fold.arrays, "eeg": eeg})
    (again, _), _, _ = trained(plan, job, spoilt)
    for name, weights in first[1].items():
        for before, after in zip(weights, again[1][name], strict=True):
            np.testing.assert_array_equal(before, after)


def test_what_a_stage_gives_is_its_output(made):
    plan, job = made
    (first, second), _, _ = trained(plan, job)
    request, weights, _ = first
    for layer in request.compiled.model.layers:
        layer.set_weights(weights[layer.name])
    rows = request.fold.train
    expected = outputs(request.compiled.model, request.fold.batches(rows))["encoded"]
    np.testing.assert_allclose(second[0].fold.arrays["code"][rows], expected, atol=1e-6)


def test_a_layer_that_is_not_there_is_named(made):
    plan, job = made
    with pytest.raises(ValueError, match="no layer 'encodr' with weights that the previous stage has; it has encoder"):
        trained(with_system(plan, starts_from=("encodr",)), job)


def test_a_job_that_was_killed_goes_on_with_its_next_stage(made, tmp_path, monkeypatch):
    plan, job = made
    expected = training.run_job(plan, job)
    plan = dataclasses.replace(plan, stage_folder=tmp_path)
    fitted = []

    def killed_in_the_second_stage(request):
        fitted.append(request.stage.name)
        if request.stage.name == "":
            raise KeyboardInterrupt
        return fitting.fit(request)

    monkeypatch.setattr(training, "fit", killed_in_the_second_stage)
    with pytest.raises(KeyboardInterrupt):
        training.run_job(plan, job)
    (file,) = tmp_path.iterdir()
    assert file.name == f"{job.part_name('', 'first')}.npz"
    whole = file.read_bytes()

    def noted(request):
        fitted.append(request.stage.name)
        return fitting.fit(request)

    monkeypatch.setattr(training, "fit", noted)
    resumed = training.run_job(plan, job)
    # Damaged files are trained again.
    file.write_bytes(whole[: len(whole) // 2])
    again = training.run_job(plan, job)
    assert fitted == ["first", "", "", "first", ""]
    assert resumed["predictions"] == again["predictions"] == expected["predictions"]
    assert resumed["stages"] == expected["stages"]


def test_batches_are_drawn_as_the_stage_says(made):
    plan, job = made
    (first, second), _, _ = trained(with_system(plan, sampling="stratified"), job)
    assert first[0].training_batches.strata is not None
    assert second[0].training_batches.strata is None


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_classes_are_spread_over_batches_in_proportion(seed):
    labels = np.repeat([0, 1, 2], [40, 16, 8])
    rows = np.random.default_rng(seed).permutation(64)
    batches = WindowBatches({}, labels, rows, batch_size=8, shuffle_seed=seed, strata=labels)
    orders = [batches.order(epoch) for epoch in range(3)]
    for order in orders:
        assert sorted(order.ravel()) == list(range(64))
        counts = np.array([np.bincount(labels[batch], minlength=3) for batch in order])
        # 5, 2 and 1 in eight; the k-th of a class lies within its own k-th share of the epoch.
        assert (abs(counts - [5, 2, 1]) <= 1).all()
    assert not np.array_equal(orders[0], orders[1])
    plain = WindowBatches({}, labels, rows, batch_size=8, shuffle_seed=seed)
    counts = np.array([np.bincount(labels[batch], minlength=3) for epoch in range(20) for batch in plain.order(epoch)])
    assert (abs(counts - [5, 2, 1]) > 1).any()
