"""Registered systems pass the contract, and each single fault is found by its check."""

import dataclasses
import itertools
from pathlib import Path
from typing import ClassVar

import keras
import numpy as np
import pytest
from pydantic import ConfigDict
from sklearn.ensemble import RandomForestClassifier
from sklearn.svm import LinearSVC

from keras_emotion.datasets import AFEWVA, DEAP, RAVDESS, Reader, Recordings, with_stimuli
from keras_emotion.models import DGCNN
from keras_emotion.pipelines import (
    ConnectivityFeatures,
    EEGGridFeatures,
    FaceFeatures,
    FaceQuantities,
    ModelInput,
    OfficialFeatures,
    StoredFeatures,
    Windowing,
)
from keras_emotion.schema import EyeMovements, ReleasedFeatures
from keras_emotion.synthetic import write_afew_va, write_deap, write_ravdess, write_recordings
from keras_emotion.systems import Stage, registered_systems
from keras_emotion.systems.ave_kelm import AVEKELM
from keras_emotion.systems.ave_lstm import AVELSTM
from keras_emotion.systems.ave_rt import AVERT
from keras_emotion.systems.comparison_estimators import ComparisonEstimator, OfficialComparisonEstimator
from keras_emotion.systems.comparison_networks import (
    ComparisonNetwork,
    EyeComparisonNetwork,
    OfficialComparisonNetwork,
)
from keras_emotion.systems.deepvanet import DeepVANetSystem
from keras_emotion.systems.face_eeg_lstm import FaceEEGLSTMSystem
from keras_emotion.systems.face_network_eeg_svm import FaceNetworkEEGSVM
from keras_emotion.systems.facrnn import FACRNN
from keras_emotion.systems.facrnn_visual import FACRNNVisual
from keras_emotion.systems.logistic_regression import BandPowerRegression, LightModel, OfficialFeatureRegression
from keras_emotion.systems.mind_reader import MindReader
from keras_emotion.systems.prior_dfcn import PriorDFCNSystem
from keras_emotion.systems.ve_bilstm import VEBiLSTM
from keras_emotion.systems.vgg19_frames import VGG19Frames
from keras_emotion.systems.voice_svm import VoiceSVM
from keras_emotion.testing import check_system
from keras_emotion.testing.systems import SYSTEM_CHECKS

PIECES = ConnectivityFeatures(sample_seconds=6.0, window_seconds=1.0)
"""Two samples a trial of 12 s."""

SMALL_DEEPVANET = {"width_multiplier": 1 / 8, "face_units": 4, "bio_units": 4}
PICTURES = FaceFeatures(window_seconds=0.2, steps=2, image_size=32, align_pictures_by="landmarks")

WITH_EEG = {
    "band powers": BandPowerRegression(),
    "light model": LightModel(of=FACRNN()),
    "3FACRNN": FACRNN(width_multiplier=1 / 16),
    "3FACRNN on raw EEG": FACRNN(
        width_multiplier=1 / 16, features=EEGGridFeatures(representation="raw_slices", steps=8)
    ),
    "DeepVANet on signals": DeepVANetSystem(modalities="bio", **SMALL_DEEPVANET),
    "PriorDFCN without prior": PriorDFCNSystem(features=PIECES, prior="none", width_multiplier=1 / 8),
    "SVM": ComparisonEstimator(estimator_name="svm", features=PIECES),
    **{
        name: ComparisonNetwork(network=name, features=PIECES)
        for name in ("dgcnn", "graph_sleep_net", "eegnet", "crnn_4d", "conti_cnn", "cram", "gcn_lstm", "gcnn")
    },
    "cnn_lstm": ComparisonNetwork(network="cnn_lstm", width_multiplier=1 / 32),
}
"""Systems on the session's reader of trials in memory."""

OFFICIAL = {
    "dgcnn": OfficialComparisonNetwork(network="dgcnn", features=OfficialFeatures(steps=2)),
    "dcca": EyeComparisonNetwork(network="dcca", features=OfficialFeatures(steps=2)),
    "mmreslstm": EyeComparisonNetwork(network="mmreslstm", features=OfficialFeatures(steps=2)),
    "svm": OfficialComparisonEstimator(),
    "logistic regression": OfficialFeatureRegression(),
}
"""Systems on features computed by the authors, of EEG and of eye movements."""

QUANTITIES = ("dcca", "mmreslstm", "emotion_transformer_fusion", "mkl", "prior", "face_eeg_lstm")
_SHORT_SEGMENTS = {"window_seconds": 1.0, "faces": FaceFeatures(steps=2, image_size=16)}
VIDEOS = {
    "DeepVANet": DeepVANetSystem(**SMALL_DEEPVANET),
    "DeepVANet, decision level fusion": DeepVANetSystem(fusion="decision", **SMALL_DEEPVANET),
    "3FACRNN with a teacher": FACRNN(teacher="fold", width_multiplier=1 / 16),
    "network on faces, SVM on EEG": FaceNetworkEEGSVM(**_SHORT_SEGMENTS),
    "mind reader": MindReader(**_SHORT_SEGMENTS),
}

FEW_FRAMES = VGG19Frames(image_size=32, frame_rate_hz=0.5)
STIMULI = {
    "VE-BiLSTM": VEBiLSTM(
        hop_seconds=8.0,
        picture=FEW_FRAMES,
        width_multiplier=1 / 256,
    ),
    "AVE-LSTM": AVELSTM(hop_seconds=8.0, lag_seconds=0.5, picture=FEW_FRAMES, units=4, n_components=4, n_bootstrap=2),
    "AVE-KELM": AVEKELM(hop_seconds=8.0, lag_seconds=0.5),
    "AVE-RT": AVERT(),
}
"""Systems on synthetic DEAP with its clips."""


def with_quantities(name, folder):
    """A system on EEG and OpenFace's files in a folder."""
    features = ConnectivityFeatures(sample_seconds=30.0, window_seconds=5.0)
    parts = {"features": features, "face": FaceQuantities(source="openface", openface_folder=folder)}
    if name == "face_eeg_lstm":
        return FaceEEGLSTMSystem(window_seconds=10.0, steps=2, units=4, face=parts["face"])
    if name == "mkl":
        return ComparisonEstimator(estimator_name=name, **parts)
    if name == "prior":
        return PriorDFCNSystem(width_multiplier=1 / 8, prior_units=2, **parts)
    return ComparisonNetwork(network=name, **parts)


@pytest.fixture(scope="session")
def trials_in_memory(memory_reader, tmp_path_factory):
    return memory_reader(tmp_path_factory.mktemp("memory"), n_subjects=1, n_trials=4)


@pytest.fixture(scope="session")
def deap_with_openface(tmp_path_factory):
    # OpenFace's files are named after videos, which are not opened.
    videos = {"face_videos": True, "video_frame_rate_hz": 1, "video_size": (32, 32), "openface": True}
    return write_deap(tmp_path_factory.mktemp("deap") / "root", n_subjects=1, n_trials=4, **videos)


@pytest.fixture(scope="session")
def recordings_with_videos(tmp_path_factory):
    root = tmp_path_factory.mktemp("recordings") / "root"
    write_recordings(root, 1, 2, trial_seconds=6, face_videos=True, video_frame_rate_hz=5, video_size=(160, 120))
    return Recordings(root, sampling_rate_hz=128)


@pytest.fixture(scope="session")
def deap_with_stimuli(tmp_path_factory):
    root = write_deap(tmp_path_factory.mktemp("deap") / "root", n_subjects=1, n_trials=2, stimuli=True)
    return with_stimuli(DEAP(root), root / "stimuli")


def test_every_registered_system_is_checked():
    systems = (*WITH_EEG.values(), *OFFICIAL.values(), *VIDEOS.values(), *STIMULI.values(), FACRNNVisual(), VoiceSVM())
    # MERCL and the hierarchical LSTM have separate tests; LSTMs on face quantities by `with_quantities`.
    checked = {*(type(system).__name__ for system in systems), "MERCLSystem", "HLSTMSystem", "FaceEEGLSTMSystem"}
    ours = {name for name, system in registered_systems().items() if system.__module__.startswith("keras_emotion.")}
    assert ours <= checked
    networks = ComparisonNetwork.model_fields["network"].annotation.__args__
    assert set(networks) <= {*WITH_EEG, *QUANTITIES}


@pytest.mark.parametrize("name", WITH_EEG)
def test_systems_on_eeg_keep_the_contract(name, trials_in_memory):
    # The light model is made from another system, and not stored in a run folder.
    skip = ("json", "scientific_config") if name == "light model" else ()
    check_system(WITH_EEG[name], trials_in_memory, skip=skip)


class Released(Reader):
    """The trials of another reader with features in place of their signals."""

    name = "released"
    file_format = None

    def __init__(self, of):
        super().__init__(of.root)
        self._of = of

    @property
    def subjects(self):
        return self._of.subjects

    def source_files(self, subject):
        return self._of.source_files(subject)

    def inspect(self, subject):
        return self._of.inspect(subject)

    def trials(self, subjects=None):
        for trial in self._of.trials(subjects):
            windows = trial.eeg.signal[:, : 12 * 128].reshape(-1, 12, 128).swapaxes(0, 1)
            values = np.stack([windows.mean(-1), np.log(windows.var(-1))], axis=-1)
            released = ReleasedFeatures(
                source=Path("1.mat"),
                names=("de_LDS",),
                channel_names=trial.eeg_channel_names,
                bands={"low": (1.0, 10.0), "high": (10.0, 50.0)},
                window_seconds=1.0,
                smoothed=frozenset({"de_LDS"}),
                read=lambda name, values=values: values,
            )
            eyes = windows.std(-1)[:, :3].astype(float)
            movements = EyeMovements((Path("1.mat"),), ("x", "y", "z"), 1.0, True, lambda eyes=eyes: eyes)
            yield dataclasses.replace(
                trial, recording=None, eeg_channel_names=(), released_features=released, eye_movements=movements
            )


@pytest.mark.parametrize("name", OFFICIAL)
def test_systems_on_released_features_keep_the_contract(name, trials_in_memory):
    check_system(OFFICIAL[name], Released(trials_in_memory))


@pytest.mark.parametrize("name", QUANTITIES)
def test_systems_on_quantities_of_the_face_keep_the_contract(name, deap_with_openface):
    check_system(with_quantities(name, deap_with_openface / "openface"), DEAP(deap_with_openface))


@pytest.mark.parametrize("name", VIDEOS)
def test_systems_on_videos_keep_the_contract(name, recordings_with_videos):
    check_system(VIDEOS[name], recordings_with_videos)


@pytest.mark.parametrize("name", STIMULI)
def test_systems_on_stimuli_keep_the_contract(name, deap_with_stimuli):
    check_system(STIMULI[name], deap_with_stimuli)


@pytest.mark.parametrize(
    "system",
    [
        FACRNNVisual(faces=PICTURES, width_multiplier=1 / 8),
        DeepVANetSystem(modalities="faces", faces=PICTURES, **SMALL_DEEPVANET),
    ],
    ids=["3FACRNN's visual network", "DeepVANet on faces"],
)
def test_systems_on_pictures_keep_the_contract(system, tmp_path):
    root = write_afew_va(tmp_path, n_clips=2, n_actors=1, frames_per_clip=60, frame_size=(64, 64))
    check_system(system, AFEWVA(root))


def test_systems_on_voices_keep_the_contract(tmp_path):
    write_ravdess(tmp_path, 1, n_emotions=2, n_statements=1, files=("audio",), clip_seconds=2.0)
    check_system(VoiceSVM(), RAVDESS(tmp_path))


# --- one fault each


class Network(ComparisonNetwork):
    """A correct system with a small network: those below are broken in one place, as their names say."""

    network: str = "dgcnn"
    features: ConnectivityFeatures = PIECES


class Estimator(BandPowerRegression):
    """A correct system with an estimator."""


class CanBeChanged(Network):
    model_config = ConfigDict(frozen=False)


class CannotBePickled(Network):
    def __reduce__(self):
        raise TypeError("no")


class LosesFieldInJSON(Network):
    gain: float = 1.0

    def model_dump(self, **options):
        return super().model_dump(**options) | {"gain": 0.0}


class ConfigThatChanges(Network):
    def scientific_config(self):
        return super().scientific_config() | {"turn": next(TURNS)}


class ConfigWithPath(Network):
    folder: Path = Path("/somewhere/else")

    def scientific_config(self):
        return super().scientific_config() | {"folder": str(self.folder)}


class ConfigThatIsNoJSON(Network):
    def scientific_config(self):
        return super().scientific_config() | {"rate": np.float32(1)}


TURNS = itertools.count()


class ChangedFeatures(ConnectivityFeatures):
    """Features with one fault."""

    fault: str = ""
    sample_seconds: float = 6.0
    window_seconds: float = 1.0

    def extract(self, trials):
        arrays, table = super().extract(trials)
        if self.fault == "a window is missing":
            arrays["eeg"] = arrays["eeg"][1:]
        if self.fault == "no session":
            table = table.drop(columns="session")
        if self.fault == "not a number":
            arrays["eeg"][1] = np.nan
        if self.fault == "another subject":
            table = table.assign(subject=7)
        if self.fault == "no length":
            table = table.assign(stop_seconds=table["start_seconds"])
        if self.fault == "unseeded noise":
            arrays["eeg"] += np.random.default_rng().normal(size=arrays["eeg"].shape).astype(np.float32)
        return arrays, table


class WithChangedFeatures(Network):
    features: ChangedFeatures = ChangedFeatures()


class PowersByPlace(ConnectivityFeatures):
    """Declares the channel axes of one array only."""

    channel_axes: ClassVar = {"connectivity": (2, 3)}
    sample_seconds: float = 6.0
    window_seconds: float = 1.0


class WithPowersByPlace(Network):
    features: PowersByPlace = PowersByPlace()


class TwoPartsOfOneName(Network):
    def parts(self):
        return {"eeg": self.features, "again": self.features}


class NoParts(Network):
    def parts(self):
        return {}


class LosesTableRows(Network):
    def join(self, stored):
        joined, dropped = super().join(stored)
        return StoredFeatures(dict(joined.arrays), joined.table.iloc[1:]), dropped


class KeepsNoWindow(Network):
    def join(self, stored):
        joined, dropped = super().join(stored)
        return joined.keep(np.arange(0)), dropped


class KeyWithFunction(EEGGridFeatures):
    def key(self):
        return super().key() | {"function": len}


class WithKeyWithFunction(Estimator):
    features: KeyWithFunction = KeyWithFunction(steps=1)


class OtherWindowing(Network):
    @property
    def windowing(self):
        return Windowing(window_seconds=7.0)


class InferenceOfNumPy(Network):
    def inference(self, trial):
        return super().inference(trial) | {"rate": np.arange(2)}


class VectorsOfSteps(Network):
    def vectors(self, arrays):
        return np.asarray(arrays["eeg"])


class VectorsOfSomeWindows(Network):
    def vectors(self, arrays):
        return super().vectors(arrays)[1:]


class FitsOnEveryRow(Network):
    def fit_statistics(self, model, arrays, rows):
        super().fit_statistics(model, arrays, np.arange(len(arrays["eeg"])))


class ScalesByEveryRow(Network):
    def fit_arrays(self, arrays, rows):
        mean = arrays["eeg"][:].mean()
        return lambda arrays: {**arrays, "eeg": arrays["eeg"] - mean}


class FeedsLabels(Network):
    def targets(self, elements, labels):
        elements["eeg"] += labels.reshape(-1, 1, 1, 1)
        return super().targets(elements, labels)


class OtherInputsInPrediction(Network):
    def model_inputs(self):
        return {"eeg": ModelInput(part="eeg", array="eeg")}


class InputOfNoPart(Network):
    def model_inputs(self):
        return {name: one.model_copy(update={"part": "face"}) for name, one in super().model_inputs().items()}


class StagesOfOneName(Network):
    def stages(self):
        return (Stage(name="first", system=self),) * 2 + super().stages()


class StageWithoutName(Network):
    def stages(self):
        return Stage(system=Network()), *super().stages()


class EndsWithAnotherSystem(Network):
    def stages(self):
        return (Stage(system=Network()),)


class StartsFromNothing(Network):
    def stages(self):
        return Stage(name="first", system=self), Stage(system=self, starts_from=("no_such_layer",))


class TrainsNothing(Network):
    def stages(self):
        return (Stage(system=self, trainable=("no_such_layer",)),)


class Unseeded(Network):
    def model(self, shapes, n_classes, inference):
        model = super().model(shapes, n_classes, inference)
        rng = np.random.default_rng()
        model.set_weights([weight + rng.normal(size=weight.shape) for weight in model.get_weights()])
        return model


@keras.saving.register_keras_serializable(package="test_check_system")
class TwiceAsSure(DGCNN):
    """A network whose probabilities sum to 2."""

    def window_probabilities(self, outputs):
        return 2 * super().window_probabilities(outputs)


class SumsToTwo(Network):
    def model(self, shapes, n_classes, inference):
        n_windows, n_channels, n_bands = shapes["eeg"]
        return TwiceAsSure(n_channels=n_channels, n_features=n_windows * n_bands, n_classes=n_classes)


class OneClassMore(Network):
    def model(self, shapes, n_classes, inference):
        return super().model(shapes, n_classes + 1, inference)


class LosesSeveralMembers(DeepVANetSystem):
    def combine(self, known, labels, asked):
        probabilities, weights = super().combine(known, labels, asked)
        return probabilities[:, :1], weights


class InfiniteLoss(Network):
    def losses(self):
        return {"loss": lambda labels, outputs: float("inf") * keras.ops.sum(outputs, axis=-1)}


class LearnsNothing(Network):
    def losses(self):
        return {"loss": lambda labels, outputs: 0.0 * keras.ops.sum(outputs, axis=-1)}


class InfiniteDiagnostics(Network):
    def diagnostics(self, model, arrays, rows):
        return {"attention": float("nan")}


class InfiniteOutputDiagnostics(Network):
    def output_diagnostics(self, outputs):
        return {"looks": float("inf")}


class UnseededEstimator(Estimator):
    def estimator(self, seed):
        return RandomForestClassifier(2)


class NoProbabilities(Estimator):
    def estimator(self, seed):
        return LinearSVC()


def changed(fault):
    return WithChangedFeatures(features=ChangedFeatures(fault=fault))


FAULTS = {
    "frozen": (CanBeChanged(),),
    "pickle": (CannotBePickled(),),
    "json": (LosesFieldInJSON(),),
    "scientific_config": (ConfigThatChanges(), ConfigWithPath(), ConfigThatIsNoJSON()),
    "features": tuple(
        map(changed, ("a window is missing", "no session", "not a number", "another subject", "no length"))
    ),
    "features_again": (changed("unseeded noise"),),
    "parts": (TwoPartsOfOneName(), NoParts(), WithKeyWithFunction()),
    "channels": (WithPowersByPlace(),),
    "windows": (LosesTableRows(), KeepsNoWindow(), OtherWindowing()),
    "inference": (InferenceOfNumPy(),),
    "vectors": (VectorsOfSteps(), VectorsOfSomeWindows()),
    "training_rows": (FitsOnEveryRow(), ScalesByEveryRow()),
    "labels_unused": (FeedsLabels(),),
    "model_inputs": (OtherInputsInPrediction(), InputOfNoPart()),
    "stages": (StagesOfOneName(), StageWithoutName(), EndsWithAnotherSystem(), StartsFromNothing(), TrainsNothing()),
    "same_seed": (Unseeded(),),
    "probabilities": (SumsToTwo(), OneClassMore()),
    "training_step": (InfiniteLoss(), LearnsNothing(), InfiniteDiagnostics(), InfiniteOutputDiagnostics()),
    "estimator": (UnseededEstimator(), NoProbabilities()),
}


def test_every_check_catches_a_fault():
    assert set(FAULTS) == set(SYSTEM_CHECKS)


@pytest.mark.parametrize("system", [Network(), Estimator(), changed("")])
def test_the_sound_ones_pass(system, trials_in_memory):
    check_system(system, trials_in_memory)


@pytest.mark.parametrize(
    ("check", "system"),
    [
        pytest.param(check, system, id=f"{check}-{type(system).__name__}-{number}")
        for check, systems in FAULTS.items()
        for number, system in enumerate(systems)
    ],
)
def test_a_broken_system_is_caught(check, system, trials_in_memory):
    with pytest.raises(AssertionError, match=f"^{type(system).__name__}: check '{check}': "):
        check_system(system, trials_in_memory)


def test_members_that_are_combined_badly_are_caught(recordings_with_videos):
    system = LosesSeveralMembers(fusion="decision", **SMALL_DEEPVANET)
    with pytest.raises(AssertionError, match=r"check 'probabilities': probabilities of `combine` have shape \(4, 1\)"):
        check_system(system, recordings_with_videos)
