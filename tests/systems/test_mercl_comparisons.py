"""Comparison methods of MERCL: inputs, fits on training data, and learning."""

import dataclasses

import keras
import numpy as np
import pytest

from keras_emotion.datasets import SubjectReport, with_stimuli
from keras_emotion.experiment import Experiment, Runtime, run
from keras_emotion.experiment.scope import TrainingPart
from keras_emotion.pipelines import MediaColours, MediaSoundFunctionals, SlidingBandPowers, WaveletPacketEnergies
from keras_emotion.synthetic import write_stimuli
from keras_emotion.systems import Training
from keras_emotion.systems.ave_kelm import AVEKELM, AVEKELMExperiment
from keras_emotion.systems.ave_lstm import AVELSTM, AVELSTMExperiment
from keras_emotion.systems.ave_rt import AVERT, AVERTExperiment
from keras_emotion.systems.ve_bilstm import VEBiLSTM, VEBiLSTMExperiment
from keras_emotion.systems.vgg19_frames import VGG19Frames
from tests.conftest import MemoryReader

N_STIMULI = 12
SECONDS = 8
SOUND = MediaSoundFunctionals(description_by="librosa")
ESTIMATORS = {
    "ave_kelm": AVEKELM(sound=SOUND),
    "ave_rt": AVERT(sound=SOUND),
}
PICTURE = VGG19Frames(image_size=32)
NETWORKS = {
    "ve_bilstm": VEBiLSTM(picture=PICTURE, width_multiplier=1 / 64),
    "ave_lstm": AVELSTM(picture=PICTURE, units=8, n_components=4),
}


class ByStimulus(MemoryReader):
    """All subjects rate a stimulus alike, high if its number is odd; EEG with an effect of a given size."""

    def __init__(self, folder, effect):
        super().__init__(folder, n_subjects=3, n_trials=N_STIMULI, effect=0.0, seconds=SECONDS)
        self.effect = effect

    def source_files(self, subject):
        path = self.root / f"{subject}-{self.effect}.txt"
        path.write_text(f"{subject} {self.effect}")
        return (path,)

    def reopened(self, root=None):
        return self

    def inspect(self, subject):
        stimuli = [{"stimulus": str(one), "duration_seconds": SECONDS} for one in range(1, N_STIMULI + 1)]
        return SubjectReport({"subject": subject, "trials": stimuli}, ())

    def trials(self, subjects=None):
        for trial in super().trials(subjects):
            high = trial.trial % 2
            recording = dataclasses.replace(trial.recording, signal=trial.recording.signal * (1 + self.effect * high))
            yield dataclasses.replace(trial, recording=recording, ratings={"valence": 7.0 if high else 3.0})


def clips_in(folder, **sizes):
    emotions = {str(number): {"valence": float((-1) ** (number + 1))} for number in range(1, N_STIMULI + 1)}
    seconds = dict.fromkeys(emotions, SECONDS + 0.1)
    return write_stimuli(folder, emotions, seconds, size=(32, 32), silent_share=0.0, **sizes)


@pytest.fixture(scope="module")
def readers(tmp_path_factory):
    """Readers by where the effect is."""
    folder = tmp_path_factory.mktemp("data")
    identity = clips_in(folder / "identity", emotion_size=0.0)
    emotion = clips_in(folder / "emotion", identity_size=0.3, emotion_size=1.5)
    of_eeg = {effect: ByStimulus(tmp_path_factory.mktemp("eeg"), effect) for effect in (0.0, 1.0)}
    return {
        "stimulus": with_stimuli(of_eeg[0.0], emotion),
        "eeg": with_stimuli(of_eeg[1.0], identity),
        "identity": with_stimuli(of_eeg[0.0], identity),
    }


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tmp_path_factory.mktemp("features")


def experiment(store, system, protocols=("stimulus_disjoint",), **fields):
    return Experiment(
        name="test",
        dataset="memory",
        targets=("valence",),
        protocols=protocols,
        maximum_folds=3,
        maximum_repetitions=1,
        system=system,
        runtime=Runtime(workers=1, feature_store=store),
        **fields,
    )


def accuracies(folder):
    """Share of correct windows under each protocol."""
    predictions = folder.predictions()
    right = predictions["label"] == predictions["prediction"]
    return right.groupby(predictions["protocol"]).mean().to_dict()


@pytest.fixture(scope="module")
def measured(readers, store, tmp_path_factory):
    """Accuracies by method and by where the effect is."""
    folder = tmp_path_factory.mktemp("runs")
    found = {}
    for name, system in ESTIMATORS.items():
        for effect, reader in readers.items():
            protocols = ("subject_disjoint", "stimulus_disjoint") if effect == "identity" else ("stimulus_disjoint",)
            plan = experiment(store, system, protocols)
            found[name, effect] = accuracies(run(plan, reader, folder / f"{name}-{effect}"))
    return found


@pytest.mark.parametrize("name", ESTIMATORS)
def test_an_effect_is_found_wherever_it_is(name, measured):
    for effect in ("stimulus", "eeg"):
        assert measured[name, effect]["stimulus_disjoint"] > 0.8, effect


@pytest.mark.parametrize("name", ESTIMATORS)
def test_without_an_effect_stimuli_are_recognised_and_nothing_else(name, measured):
    found = measured[name, "identity"]
    assert found["subject_disjoint"] > 0.85
    assert found["stimulus_disjoint"] < 0.7


# --- networks


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_networks_find_an_effect_and_recognise_stimuli(name, readers, store, tmp_path):
    settings = {"training": Training(epochs=30, batch_size=16, learning_rate=5e-3)}
    (tmp_path / "eeg").mkdir()
    # Without an identity, which would dominate the EEG.
    plain = clips_in(tmp_path / "plain", identity_size=0.0, emotion_size=0.0)
    eeg = with_stimuli(ByStimulus(tmp_path / "eeg", 1.0), plain)
    found = {}
    for effect, reader in {**readers, "eeg": eeg}.items():
        protocols = ("subject_disjoint", "stimulus_disjoint") if effect == "identity" else ("stimulus_disjoint",)
        folder = run(experiment(store, NETWORKS[name], protocols, **settings), reader, tmp_path / "runs" / effect)
        found[effect] = accuracies(folder)
    assert found["stimulus"]["stimulus_disjoint"] > 0.8
    # The mean of three decisions hides one of them if the other two are uninformative: see the test below.
    assert name == "ave_lstm" or found["eeg"]["stimulus_disjoint"] > 0.8
    assert found["identity"]["subject_disjoint"] > 0.85
    assert found["identity"]["stimulus_disjoint"] < 0.7


@pytest.mark.slow
def test_the_lstm_of_the_eeg_learns_whatever_the_others_do():
    rng = np.random.default_rng(0)
    shapes = {"picture": (8, 16), "mfcc": (10, 4), "eeg": (10, 8, 5)}

    def drawn(n_windows):
        arrays = {name: rng.standard_normal((n_windows, *shape)).astype("float32") for name, shape in shapes.items()}
        labels = np.arange(n_windows) % 2
        arrays["eeg"] += 1.4 * labels[:, np.newaxis, np.newaxis, np.newaxis]
        return arrays, labels

    system = AVELSTM(units=8, n_components=4)
    arrays, labels = drawn(96)
    keras.utils.set_random_seed(0)
    model = system.model(shapes, 2, {})
    system.fit_statistics(model, arrays, np.arange(96))
    model.compile(keras.optimizers.Adam(5e-3), **system.losses())
    model.fit(system.inputs(arrays), system.targets(arrays, labels), batch_size=16, epochs=30, verbose=0)
    asked, truth = drawn(200)
    outputs = model.predict(system.inputs(asked), verbose=0)
    right = {name: (values.argmax(axis=1) == truth).mean() for name, values in outputs.items()}
    assert right["eeg_probabilities"] > 0.95
    assert 0.35 < right["visual_probabilities"] < 0.65
    assert 0.35 < right["audio_probabilities"] < 0.65
    assert 0.6 < right["probabilities"] < right["eeg_probabilities"]


def test_components_and_scaling_are_those_of_the_training_rows():
    rng = np.random.default_rng(0)
    shapes = {"picture": (8, 512), "mfcc": (12, 20), "eeg": (5, 4, 3)}
    arrays = {name: 10 + rng.standard_normal((12, *shape)).astype("float32") for name, shape in shapes.items()}
    rows = np.array([0, 3, 4, 9, 10])
    system = AVELSTM(units=2, n_components=64)
    model = system.model(shapes, 2, {})
    # As many as there are.
    assert model.n_components == 12
    system.fit_statistics(model, TrainingPart(arrays, rows, "fit_statistics"), rows)
    steps = arrays["eeg"][rows].reshape(-1, 12).astype(float)
    layer = model.get_layer("eeg_components")
    np.testing.assert_allclose(layer.mean, steps.mean(axis=0), rtol=1e-5)
    scores = (steps - steps.mean(axis=0)) @ np.asarray(layer.kernel)
    np.testing.assert_allclose(np.cov(scores.T, bias=True), np.eye(12), atol=1e-3)
    for name, array in (("visual", "picture"), ("audio", "mfcc")):
        expected = arrays[array][rows].astype(float).mean(axis=(0, 1))
        np.testing.assert_allclose(model.feature_scaling[name].mean, expected, rtol=1e-5)


def test_bootstrapping_is_an_option_of_the_system():
    shapes = {"picture": (8, 4), "mfcc": (12, 2), "eeg": (5, 4, 3)}
    sizes = {"units": 2, "n_components": 2}
    assert [AVELSTM(n_bootstrap=n, **sizes).model(shapes, 2, {})._n_bootstrap for n in (0, 5)] == [0, 5]


# --- estimators


def test_kernel_machines_read_picture_and_sound_or_eeg():
    system = AVEKELM(sound=SOUND, n_selected=5, tree_depth=2, audiovisual_weight=0.25)
    rng = np.random.default_rng(0)
    labels = np.arange(80) % 2
    arrays = {
        "colours": rng.standard_normal((80, 14)).astype("float32"),
        "sound": rng.standard_normal((80, 95)).astype("float32"),
        "eeg": rng.standard_normal((80, 1, 4, 16)).astype("float32"),
    }
    vectors = system.vectors(arrays)
    np.testing.assert_array_equal(vectors[:, :14], arrays["colours"])
    np.testing.assert_array_equal(vectors[:, 14:109], arrays["sound"])
    np.testing.assert_array_equal(vectors[:, 109:], arrays["eeg"].reshape(80, 64))
    rows = np.arange(60)
    estimator = system.estimator(0).fit(vectors[rows], labels[rows])
    machines = estimator.named_estimators_
    assert len(machines["audiovisual"][1].ranking_) == 5
    assert 1 <= machines["eeg"][1].get_support().sum() <= 3
    probabilities = {name: machine.predict_proba(vectors) for name, machine in machines.items()}
    fused = 0.25 * probabilities["audiovisual"] + 0.75 * probabilities["eeg"]
    np.testing.assert_allclose(estimator.predict_proba(vectors), fused)
    # Each ignores the columns of the other, and scores are those of the training rows.
    for name, other in (("audiovisual", slice(109, None)), ("eeg", slice(None, 109))):
        changed = vectors.copy()
        changed[:, other] = 0
        np.testing.assert_array_equal(machines[name].predict_proba(changed), probabilities[name])
    scaler = machines["eeg"][0].named_transformers_["own"]
    np.testing.assert_allclose(scaler.mean_, vectors[rows, 109:].mean(axis=0), rtol=1e-4, atol=1e-6)


def test_random_trees_see_log2_of_the_features():
    tree, forest = AVERT().estimator(3), AVERT(forest=True).estimator(3)
    assert (tree.max_features, tree.random_state) == ("log2", 3)
    assert (forest.max_features, forest.random_state, forest.n_estimators) == ("log2", 3, 100)
    assert [one.paper_variant for one in (AVERT(), AVERT(forest=True))] == ["AVE-RT", "AVE-RT, forest"]


# --- windows and configuration


@pytest.mark.parametrize("kind", [AVEKELM, AVERT, AVELSTM, VEBiLSTM])
def test_windows_are_those_of_mercl_and_eeg_is_cut_later(kind):
    parts = kind(window_seconds=2.0, hop_seconds=1.0, lag_seconds=0.5).parts()
    assert next(iter(parts)) == "picture"
    for name, part in parts.items():
        assert part.windowing.window_seconds == 2.0
        assert part.windowing.hop_seconds == 1.0
        assert part.windowing.lag_seconds == (0.5 if name == "eeg" else 0.0)
    plain = kind()
    assert (plain.window_seconds, plain.hop_seconds, plain.lag_seconds) == (4.0, 2.0, 0.0)
    assert plain.sources == tuple(sorted({"media", "picture", "recording", *(("sound",) if "sound" in parts else ())}))


def test_steps_of_the_eeg_are_as_many_as_frames():
    for rate, window in ((2.0, 4.0), (1.0, 4.0), (4.0, 2.0), (0.125, 8.0)):
        parts = VEBiLSTM(window_seconds=window, picture=VGG19Frames(frame_rate_hz=rate, window_seconds=window)).parts()
        n_frames = parts["picture"].n_frames
        assert parts["eeg"].array_shapes(32, 128.0) == {"eeg": (n_frames, 32, 5)}
        assert n_frames == rate * window
    assert AVERT(window_seconds=6.0).parts()["eeg"].array_shapes(32, 128.0) == {"eeg": (1, 32, 5)}


def test_blocks_of_a_part_alone_are_refused():
    with pytest.raises(ValueError, match=r"eeg.lag_seconds: 1; all features have the same blocks; choose lag_seconds"):
        AVEKELM(eeg=WaveletPacketEnergies(lag_seconds=1.0))
    with pytest.raises(ValueError, match=r"picture.window_seconds: 2; .* choose window_seconds"):
        AVERT(picture=MediaColours(window_seconds=2.0))
    assert AVERT(window_seconds=2.0, picture=MediaColours(window_seconds=2.0))


@pytest.mark.parametrize("kind", [AVERT, VEBiLSTM])
def test_bands(kind):
    assert list(kind(bands={"alpha": (8.0, 13.0)}).parts()["eeg"].bands) == ["alpha"]
    with pytest.raises(ValueError, match=r"bands.alpha: 13 to 8 Hz; expected the lower edge first"):
        kind(bands={"alpha": (13.0, 8.0)})


def test_raw_eeg_is_refused():
    with pytest.raises(ValueError, match=r"eeg.eeg_input: 'raw'; expected 'powers'"):
        AVELSTM(eeg=SlidingBandPowers(eeg_input="raw"))


def test_flags_say_what_features_are_in_the_place_of_the_papers(readers):
    trial = next(readers["eeg"].trials([1]))
    random = "picture features by a network with random weights"
    librosa = "sound described by functionals of librosa instead of eGeMAPS: no pitch, no formants"
    found = {name: system.flags(trial) for name, system in {**ESTIMATORS, **NETWORKS}.items()}
    assert found == {
        "ave_kelm": (librosa,),
        "ave_rt": (librosa,),
        "ve_bilstm": (random,),
        "ave_lstm": (random,),
    }
    assert AVERT(sound=MediaSoundFunctionals(description_by="egemaps")).flags(trial) == ()


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        (VEBiLSTMExperiment, "VE-BiLSTM"),
        (AVEKELMExperiment, "AVE-KELM"),
        (AVELSTMExperiment, "AVE-LSTM"),
        (AVERTExperiment, "AVE-RT"),
    ],
)
def test_experiments_stand_for_lines_of_the_paper(kind, line):
    made = kind(name="test", dataset="memory", targets=("valence",))
    assert made.paper_variant == line
    assert kind(**made.model_dump()) == made
