"""PriorDFCN and its comparison methods, as systems."""

import dataclasses
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest

from keras_emotion.datasets import DEAP
from keras_emotion.experiment import Experiment, Runtime, Training, channel_priors, run
from keras_emotion.papers.prior_dfcn import TABLE_1, TABLE_2, prior_dfcn_presets
from keras_emotion.pipelines import ConnectivityFeatures, FaceQuantities, RawSignals
from keras_emotion.synthetic import write_deap
from keras_emotion.systems.base import fit_scaling_layers
from keras_emotion.systems.comparison_networks import ComparisonNetwork
from keras_emotion.systems.prior_dfcn import (
    PriorDFCNExperiment,
    PriorDFCNSystem,
)

FEATURES = ConnectivityFeatures(sample_seconds=12.0, window_seconds=3.0)


class QuantitiesOfTrials(FaceQuantities):
    """Quantities without videos: action units correlate with EEG power if valence is high, otherwise negatively."""

    def extract(self, trials):
        arrays, tables = [], []
        for trial in trials:
            rng = np.random.default_rng([4, trial.subject, trial.trial])
            quantities = rng.normal(size=(1, self.steps, 29)).astype(np.float32)
            quantities[..., 12:] += 3 if trial.video.stem == "high" else -3
            arrays.append(quantities)
            tables.append(trial.window_table(np.zeros(1), self.window_seconds))
        return {"face": np.concatenate(arrays)}, pd.concat(tables, ignore_index=True)


class WithFaces(PriorDFCNSystem):
    """Precomputed quantities."""

    def parts(self):
        parts = super().parts()
        if "face" in parts:
            parts["face"] = QuantitiesOfTrials(**dict(parts["face"]))
        return parts


class ComparedWithFaces(ComparisonNetwork):
    """The same for the others."""

    def parts(self):
        parts = super().parts()
        if "face" in parts:
            parts["face"] = QuantitiesOfTrials(**dict(parts["face"]))
        return parts


def experiment_of(tmp_path, system, epochs=3):
    return Experiment(
        name="test",
        dataset="memory",
        targets=("valence",),
        protocols=("subject_disjoint",),
        system=system,
        training=Training(epochs=epochs, batch_size=8, learning_rate=5e-3),
        runtime=Runtime(workers=1, feature_store=tmp_path / "features", save_models=True),
    )


def test_lines_of_the_papers_tables():
    experiment = PriorDFCNExperiment(name="test", dataset="deap", targets=("valence",))
    lines = {name: experiment.changed(changes).system.paper_variant for name, changes in TABLE_2.items()}
    assert lines == {"Ours": None, **{name: name for name in list(TABLE_2)[1:]}}
    assert len({experiment.changed(changes).identity() for changes in TABLE_2.values()}) == len(TABLE_2)
    for name, make in list(TABLE_1.items())[1:]:
        system = make(experiment.system)
        assert system.paper_variant == name
        # They are compared on the same data.
        assert system.parts()["eeg"] == experiment.system.parts()["eeg"]


def test_what_is_not_used_makes_no_other_experiment():
    def same(first, second):
        return PriorDFCNSystem(**first).scientific_config() == PriorDFCNSystem(**second).scientific_config()

    assert same({"prior": "none"}, {"prior": "none", "prior_units": 3, "face": FaceQuantities(frame_rate_hz=3.0)})
    assert not same({}, {"prior_units": 3})
    assert same({"stfenet": False}, {"stfenet": False, "non_local": False, "width_multiplier": 0.5})
    assert not same({}, {"width_multiplier": 0.5})
    dgcnn = ComparisonNetwork(network="dgcnn").scientific_config()
    assert dgcnn == ComparisonNetwork(network="dgcnn", raw=RawSignals(window_seconds=2.0)).scientific_config()
    assert dgcnn != ComparisonNetwork(network="dgcnn", features=FEATURES).scientific_config()


def test_faces_are_cut_as_the_brain_networks_are():
    face = PriorDFCNSystem(features=FEATURES, face=FaceQuantities(window_seconds=1.0)).parts()["face"]
    assert (face.window_seconds, face.steps) == (12.0, 4)


def test_the_paper_preset_is_as_printed():
    paper = prior_dfcn_presets(PriorDFCNExperiment(name="test", dataset="deap", targets=("valence",)), {})["paper"]
    assert (paper.training.batch_size, paper.training.learning_rate) == (40, 1e-3)
    assert paper.protocols == ("subject_disjoint",)
    assert paper.label_rule.apply([5.0, 5.01]).tolist() == [0, 1]
    model = paper.system.model({"connectivity": (20, 32, 32), "eeg": (20, 32, 5), "face": (20, 29)}, 2, {})
    assert model.get_layer("block_3").filters == 64


@pytest.fixture
def coupled_reader(memory_reader):
    """Trials whose EEG is strong or weak and whose face goes with it or against it: neither alone tells valence."""

    class Coupled(memory_reader):
        def trials(self, subjects=None):
            for trial in super().trials(subjects):
                rng = np.random.default_rng([8, trial.subject, trial.trial])
                power = trial.ratings["valence"] > 5
                valence = float(rng.choice([3.0, 7.0]))
                video = Path("high.avi" if (valence > 5) == power else "low.avi")
                yield dataclasses.replace(trial, ratings={"valence": valence}, video=video)

    return Coupled


def test_what_eeg_and_face_have_in_common_is_found_by_the_prior_alone(tmp_path, coupled_reader):
    reader = coupled_reader(tmp_path, n_subjects=6, n_trials=16)
    accuracy = {}
    for prior in ("sum", "none"):
        system = WithFaces(features=FEATURES, stfenet=False, prior=prior)
        experiment = experiment_of(tmp_path, system, 12).changed({"maximum_folds": 3})
        folder = run(experiment, reader, tmp_path / prior)
        predictions = folder.predictions()
        assert len(predictions) == 6 * 16
        accuracy[prior] = (predictions["label"] == predictions["prediction"]).mean()
    # On subjects outside the training set.
    assert accuracy["sum"] > 0.85
    assert accuracy["none"] < 0.7
    # The network stores the statistics of its training trials, and the source of its input.
    model = keras.models.load_model(next(iter((tmp_path / "sum" / "models").glob("*-fold0-*.keras"))))
    scale = keras.ops.convert_to_numpy(model.feature_scaling["face"].scale)
    assert scale.shape == (29,)
    assert scale[20] < 0.5 < 0.8 < scale[3] < 1.2
    assert model.inference["channel_names"][0] == "F3"
    assert model.inference["parts"]["face"]["fields"]["steps"] == 4
    # What is drawn of it: the prior of that network for trials that it was not trained on.
    of_targets = channel_priors(experiment.changed({"system.prior": "sum"}), reader)["subject_disjoint"]
    maps, table = of_targets["valence"]
    tested = pd.read_csv(tmp_path / "sum" / "predictions.csv").query("fold == 0")
    assert table["trial"].tolist() == tested["trial"].tolist()
    assert maps.shape == (len(tested), 4, 8)
    trial = next(one for one in reader.trials([table["subject"].iloc[0]]) if one.trial == table["trial"].iloc[0])
    inputs = {}
    for part in experiment.changed({"system.prior": "sum"}).system.parts().values():
        inputs |= part.extract([trial])[0]
    expected = model.prior_model().predict(inputs, verbose=0).mean(axis=-1)
    np.testing.assert_allclose(maps[0], expected[0], rtol=1e-4)


def test_statistics_are_of_the_training_trials_inputs():
    rng = np.random.default_rng(0)
    arrays = {"connectivity": np.zeros((6, 4, 3, 3)), "eeg": rng.normal(5, 2, (6, 4, 3, 2)).astype(np.float32)}
    system = ComparisonNetwork(network="dgcnn")
    model = system.model({name: array.shape[1:] for name, array in arrays.items()}, 2, {})
    rows = np.array([0, 2, 5])
    fit_scaling_layers(system, model, arrays, rows)
    # (trials, channels, windows * bands)
    given = arrays["eeg"][rows].transpose(0, 2, 1, 3).reshape(3, 3, 8)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(model.feature_scaling.mean), given.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(model.feature_scaling.scale), 1 / given.std(axis=0), rtol=1e-4
    )


NETWORKS = ComparisonNetwork.model_fields["network"].annotation.__args__
ALWAYS = ("dgcnn", "dcca")


@pytest.mark.parametrize(
    "network", [pytest.param(name, marks=() if name in ALWAYS else pytest.mark.slow) for name in NETWORKS]
)
def test_every_network_is_fed_trained_and_saved(network, tmp_path, memory_reader):
    system = ComparedWithFaces(network=network, features=FEATURES)
    reader = memory_reader(tmp_path, n_subjects=3)
    reader.shows_faces = True
    folder = run(experiment_of(tmp_path, system), reader, tmp_path / "run")
    predictions = folder.predictions()
    assert set(predictions["subject"].astype(str)) == {"1", "2", "3"}
    saved = list((folder.path / "models").glob("*.keras"))
    assert len(saved) == 3
    model = keras.models.load_model(saved[0])
    assert model.inference["target"] == "valence"
    if network == "dgcnn":
        assert (predictions["label"] == predictions["prediction"]).mean() > 0.8


@pytest.mark.slow
def test_an_effect_on_connectivity_alone_is_found_across_subjects_and_not_by_band_powers(tmp_path):
    root = write_deap(tmp_path / "deap", n_subjects=6, n_trials=12, effect_size=2.0, effect_in="connectivity")
    paper = PriorDFCNExperiment(
        name="test",
        dataset="deap",
        targets=("valence",),
        runtime=Runtime(workers=2, feature_store=tmp_path / "features"),
    )
    demo = prior_dfcn_presets(paper, {"system.prior": "none"})["demo"]
    systems = {
        "networks": demo.system,
        "linear": demo.system.model_copy(update={"stfenet": False}),
        "DGCNN": ComparisonNetwork(network="dgcnn"),
        "SVM": TABLE_1["SVM"](demo.system),
    }
    accuracy = {}
    for name, system in systems.items():
        fields = {field: getattr(demo, field) for field in Experiment.model_fields}
        folder = run(Experiment(**{**fields, "system": system}), DEAP(root), tmp_path / name)
        predictions = folder.predictions()
        accuracy[name] = (predictions["label"] == predictions["prediction"]).mean()
    # 72 trials: chance goes to about 0.62.
    assert accuracy["networks"] > 0.68
    assert accuracy["linear"] > 0.85
    assert accuracy["DGCNN"] < 0.65
    assert accuracy["SVM"] < 0.65
