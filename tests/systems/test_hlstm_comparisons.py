"""Comparison methods of the video-EEG hierarchical LSTM: inputs and decision fusion."""

import dataclasses

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from keras_emotion.experiment import Experiment, Runtime, run
from keras_emotion.experiment.scope import TrainingPart
from keras_emotion.pipelines import FaceFeatures, FaceQuantities
from keras_emotion.systems.decision_fusion import DecisionFusion, LeadingComponents, fused_probabilities
from keras_emotion.systems.face_eeg_lstm import FaceEEGLSTMExperiment, FaceEEGLSTMSystem
from keras_emotion.systems.face_network_eeg_svm import FaceNetworkEEGSVM, FaceNetworkEEGSVMExperiment
from keras_emotion.systems.mind_reader import MindReader, MindReaderExperiment

RULES = ("sum", "product", "most_certain")
SIDE = 8
SMALL = {"faces": FaceFeatures(steps=2, image_size=SIDE), "window_seconds": 2.0}
KINDS = (FaceNetworkEEGSVM, MindReader, FaceEEGLSTMSystem)


# --- fusion


def test_rules_of_fusion_by_hand():
    face = np.array([[0.6, 0.4], [0.9, 0.1], [0.5, 0.5], [0.2, 0.8]])
    eeg = np.array([[0.1, 0.9], [0.4, 0.6], [0.5, 0.5], [0.8, 0.2]])
    found = {rule: fused_probabilities([face, eeg], rule) for rule in RULES}
    np.testing.assert_allclose(found["sum"], [[0.35, 0.65], [0.65, 0.35], [0.5, 0.5], [0.5, 0.5]])
    np.testing.assert_allclose(found["product"][:2], [[6 / 42, 36 / 42], [36 / 42, 6 / 42]])
    # Ties go to the first.
    np.testing.assert_array_equal(found["most_certain"], [eeg[0], face[1], face[2], face[3]])


def test_products_of_many_classes_and_of_certain_decisions_are_numbers():
    certain = [np.array([[1.0, 0.0, 0.0]]), np.array([[0.0, 1e-300, 1.0]])]
    product = fused_probabilities(certain, "product")
    np.testing.assert_allclose(product.sum(axis=1), 1)
    # The one is impossible to the one, the other to the other; the second class to neither, all but impossible to both.
    np.testing.assert_allclose(product[0, 0], product[0, 2])
    assert np.isfinite(product).all()


def test_members_are_fitted_apart_on_their_columns():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((40, 5)), np.array(["a", "b"] * 20)
    members = {"face": (slice(None, 2), LogisticRegression()), "eeg": (slice(2, None), LogisticRegression())}
    fused = DecisionFusion(members).fit(X, y)
    face, eeg = LogisticRegression().fit(X[:, :2], y), LogisticRegression().fit(X[:, 2:], y)
    expected = (face.predict_proba(X[:, :2]) + eeg.predict_proba(X[:, 2:])) / 2
    np.testing.assert_array_equal(fused.predict_proba(X), expected)
    np.testing.assert_array_equal(fused.predict(X), np.array(["a", "b"])[expected.argmax(axis=1)])
    # The given members are not fitted themselves.
    assert not hasattr(members["face"][1], "coef_")


@pytest.mark.parametrize(("n_components", "expected"), [(3, 3), (50, 9)])
def test_components_are_as_many_as_the_rows_span(n_components, expected):
    X = np.random.default_rng(0).standard_normal((10, 20))
    found = LeadingComponents(n_components).fit(X).transform(X)
    scores = PCA(expected).fit(X).transform(X)
    np.testing.assert_allclose(found, scores / scores[:, 0].std(ddof=1))
    # Identical pictures have no variance to scale.
    assert not LeadingComponents(n_components).fit(np.ones((10, 20))).transform(np.ones((2, 20))).any()


@hypothesis.given(st.lists(st.tuples(*[st.floats(0.01, 0.99)] * 2), min_size=1))
def test_of_two_classes_the_surer_of_two_decides_whatever_the_rule(of_class_1):
    face, eeg = np.transpose(of_class_1)
    hypothesis.assume((abs(face + eeg - 1) > 1e-9).all())
    members = [np.stack([1 - one, one], axis=1) for one in (face, eeg)]
    decisions = [fused_probabilities(members, rule).argmax(axis=1).tolist() for rule in RULES]
    assert decisions == [decisions[0]] * 3


# --- the systems on arrays


def arrays_of(rng, n_windows, labels=None):
    """Bright faces and large powers in windows of class 1."""
    labels = np.zeros(n_windows) if labels is None else labels
    faces = rng.integers(0, 150, (n_windows, 2, SIDE, SIDE, 3)) + 60 * labels[:, None, None, None, None]
    eeg = rng.standard_normal((n_windows, 1, 3, 4)) + 2 * labels[:, None, None, None]
    return {"faces": faces.astype(np.uint8), "eeg": eeg.astype(np.float32)}


def test_vectors_are_grey_pictures_and_powers():
    arrays = arrays_of(np.random.default_rng(0), 300)
    system = MindReader(**SMALL)
    vectors = system.vectors(arrays)
    assert vectors.shape == (300, SIDE**2 + 12)
    grey = arrays["faces"].astype(float).mean(axis=(1, 4)) / 255
    np.testing.assert_allclose(vectors[:, system.columns["face"]], grey.reshape(300, -1), atol=1e-6)
    np.testing.assert_array_equal(vectors[:, system.columns["eeg"]], arrays["eeg"].reshape(300, 12))


@pytest.mark.parametrize("rule", ["sum", "product"])
def test_a_network_on_faces_and_a_support_vector_machine_on_eeg(rule):
    system = FaceNetworkEEGSVM(**SMALL, rule=rule, n_components=6, hidden_units=5, epochs=30)
    rng = np.random.default_rng(1)
    labels = np.arange(60) % 2
    vectors = system.vectors(arrays_of(rng, 60, labels))
    rows = np.arange(40)
    estimator = system.estimator(3).fit(vectors[rows], labels[rows])
    face, eeg = (vectors[:, columns].astype(float) for columns in system.columns.values())
    # Each step a second time.
    components = PCA(6, random_state=3).fit(face[rows])
    scores = components.transform(face)
    scores = scores / scores[rows, 0].std(ddof=1)
    network = estimator.members_["face"][-1]
    assert [len(layer) for layer in network.coefs_] == [6, 5]
    hidden = expit(scores @ network.coefs_[0] + network.intercepts_[0])
    of_face = expit(hidden @ network.coefs_[1] + network.intercepts_[1])[:, 0]
    machine = estimator.members_["eeg"][-1]
    standard = (eeg - eeg[rows].mean(axis=0)) / eeg[rows].std(axis=0)
    of_eeg = expit(standard @ machine.coef_[0] + machine.intercept_[0])
    assert (network.learning_rate_init, network.solver, machine.kernel) == (0.1, "sgd", "linear")
    if rule == "sum":
        expected = (of_face + of_eeg) / 2
    else:
        expected = of_face * of_eeg / (of_face * of_eeg + (1 - of_face) * (1 - of_eeg))
    np.testing.assert_allclose(estimator.predict_proba(vectors)[:, 1], expected, atol=1e-4)
    assert (estimator.predict(vectors[40:]) == labels[40:]).all()


def test_the_sizes_of_the_network_are_those_of_its_figure():
    network = dict(FaceNetworkEEGSVM().estimator(0).members)["face"][1]
    assert network[0].n_components == 169
    parameters = network[-1].get_params()
    names = ("hidden_layer_sizes", "activation", "learning_rate_init")
    assert [parameters[name] for name in names] == [(200,), "logistic", 0.1]


def test_the_more_certain_regression_decides():
    rng = np.random.default_rng(2)
    labels = np.arange(60) % 2
    arrays = arrays_of(rng, 60, labels)
    found = {}
    for decides in ("face", "eeg", "most_certain"):
        system = MindReader(**SMALL, decides=decides, n_components=5)
        vectors = system.vectors(arrays)
        found[decides] = system.estimator(0).fit(vectors[:40], labels[:40]).predict_proba(vectors)
    eeg = vectors[:, system.columns["eeg"]]
    scaler = StandardScaler().fit(eeg[:40])
    alone = LogisticRegression(max_iter=1000).fit(scaler.transform(eeg[:40]), labels[:40])
    np.testing.assert_allclose(found["eeg"], alone.predict_proba(scaler.transform(eeg)), atol=1e-6)
    is_face = found["face"].max(axis=1) >= found["eeg"].max(axis=1)
    assert 0 < is_face.sum() < 60
    expected = np.where(is_face[:, np.newaxis], found["face"], found["eeg"])
    np.testing.assert_array_equal(found["most_certain"], expected)


def test_scaling_of_the_lstms_is_that_of_the_training_rows():
    rng = np.random.default_rng(0)
    shapes = {"eeg": (5, 3, 2), "face": (5, 29)}
    arrays = {name: 10 + rng.standard_normal((12, *shape)).astype("float32") for name, shape in shapes.items()}
    rows = np.array([0, 3, 4, 9, 10])
    system = FaceEEGLSTMSystem(units=2, n_selected=4)
    model = system.model(shapes, 2, {})
    assert (model.units, model.n_selected) == (2, 4)
    system.fit_statistics(model, TrainingPart(arrays, rows, "fit_statistics"), rows)
    for name, axes in (("eeg", (0, 1)), ("face", (0, 1))):
        expected = arrays[name][rows].astype(float).mean(axis=axes)
        np.testing.assert_allclose(model.feature_scaling[name].mean, expected, rtol=1e-5)


# --- runs


class FacesOfTrials(FaceFeatures):
    """Faces without a video: brightness from the name of the trial's video."""

    def extract(self, trials):
        faces, tables = [], []
        for trial in trials:
            starts = self.windowing.starts(trial.recording.duration_seconds)
            tables.append(trial.window_table(starts, self.window_seconds).assign(unusable=""))
            light = {"high": 150, "low": 60, "any": 100}[trial.video.stem]
            rng = np.random.default_rng([trial.subject, trial.trial])
            shape = (len(starts), self.steps, self.image_size, self.image_size, 3)
            # Brightness varies between segments, with little noise: as in pictures, a few components matter.
            light = light + rng.normal(0, 15, (len(starts), 1, 1, 1, 1))
            faces.append(np.clip(rng.normal(light, 10, shape), 0, 255).astype(np.uint8))
        return {"faces": np.concatenate(faces)}, pd.concat(tables, ignore_index=True)


@pytest.mark.parametrize("kind", [FaceNetworkEEGSVM, MindReader])
@pytest.mark.parametrize(("effect", "shown"), [(1.5, False), (0.0, True), (0.0, False)], ids=["eeg", "face", "none"])
def test_an_effect_is_found_wherever_it_is(kind, effect, shown, tmp_path, memory_reader):
    class Reader(memory_reader):
        shows_faces = True

        def trials(self, subjects=None):
            for trial in super().trials(subjects):
                yield dataclasses.replace(trial, video=trial.video if shown else trial.video.with_stem("any"))

    faces = FacesOfTrials(steps=2, image_size=SIDE)
    experiment = Experiment(
        name="test",
        dataset="memory",
        targets=("valence",),
        protocols=("trial_disjoint",),
        maximum_repetitions=1,
        maximum_folds=3,
        system=kind(window_seconds=2.0, faces=faces),
        runtime=Runtime(workers=1, feature_store=tmp_path / "features"),
    )
    predictions = run(experiment, Reader(tmp_path, 2, 12, effect), tmp_path / "run").predictions()
    accuracy = (predictions["label"] == predictions["prediction"]).mean()
    assert accuracy > 0.75 if effect or shown else accuracy < 0.7


# --- windows and configuration


@pytest.mark.parametrize("kind", KINDS)
def test_segments_are_those_of_the_hierarchical_lstm_by_default(kind):
    system = kind()
    first, second = system.parts().values()
    assert system.windowing == second.windowing
    for part in (first, second):
        assert (part.windowing.window_seconds, part.windowing.hop_seconds) == (5.0, None)
    assert len(system.windowing.starts(60.0)) == 12
    assert {part.window_seconds for part in kind(window_seconds=3.0).parts().values()} == {3.0}
    assert kind(window_seconds=3.0).scientific_config() != system.scientific_config()
    assert "recording" in system.sources
    assert "video" in system.sources


def test_steps_of_the_eeg_are_those_of_the_face():
    parts = FaceEEGLSTMSystem(window_seconds=4.0, steps=8, face=FaceQuantities(frame_rate_hz=8.0)).parts()
    assert parts["eeg"].array_shapes(32, 128.0) == {"eeg": (8, 32, 4)}
    assert parts["face"].array_shapes(32, 128.0) == {"face": (8, 29)}
    assert MindReader(window_seconds=4.0).parts()["eeg"].array_shapes(32, 128.0) == {"eeg": (1, 32, 4)}


@pytest.mark.parametrize("kind", KINDS)
def test_bands(kind):
    assert list(kind(bands={"alpha": (8.0, 13.0)}).parts()["eeg"].bands) == ["alpha"]
    with pytest.raises(ValueError, match=r"bands.alpha: 13 to 8 Hz; expected the lower edge first"):
        kind(bands={"alpha": (13.0, 8.0)})


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        (FaceNetworkEEGSVMExperiment, "Ref [20]"),
        (FaceEEGLSTMExperiment, "Ref [21]"),
        (MindReaderExperiment, "Ref [22]"),
    ],
)
def test_experiments_stand_for_bars_of_the_paper(kind, line):
    made = kind(name="test", dataset="memory", targets=("valence",))
    assert made.paper_variant == line
    assert kind(**made.model_dump()) == made


def test_other_rules_are_not_the_papers():
    assert FaceNetworkEEGSVM(rule="product").paper_variant == "Ref [20], product rule"
    assert MindReader(decides="eeg").paper_variant == "Ref [22], eeg alone"
