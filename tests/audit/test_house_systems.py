"""The package's systems have no findings on features and fits."""

import pytest

from keras_emotion.audit.feature_checks import feature_findings
from keras_emotion.audit.fold_checks import fold_findings
from keras_emotion.datasets import DEAP, Recordings, with_stimuli
from keras_emotion.experiment import Experiment, Runtime, Training
from keras_emotion.experiment.runner import prepare
from keras_emotion.synthetic import write_deap, write_recordings
from tests.testing.test_check_system import OFFICIAL, QUANTITIES, STIMULI, VIDEOS, WITH_EEG, Released, with_quantities

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def deap_with_openface(tmp_path_factory):
    videos = {"face_videos": True, "video_frame_rate_hz": 1, "video_size": (32, 32), "openface": True}
    return write_deap(tmp_path_factory.mktemp("deap") / "root", n_subjects=1, n_trials=8, **videos)


@pytest.fixture(scope="module")
def recordings_with_videos(tmp_path_factory):
    root = tmp_path_factory.mktemp("recordings") / "root"
    write_recordings(root, 1, 8, trial_seconds=6, face_videos=True, video_frame_rate_hz=5, video_size=(160, 120))
    return Recordings(root, sampling_rate_hz=128)


@pytest.fixture(scope="module")
def deap_with_stimuli(tmp_path_factory):
    root = write_deap(tmp_path_factory.mktemp("deap") / "root", n_subjects=1, n_trials=8, stimuli=True)
    return with_stimuli(DEAP(root), root / "stimuli")


def accused(system, reader, folder):
    experiment = Experiment(
        name="test",
        dataset=reader.name,
        targets=("valence",),
        protocols=("trial_disjoint",),
        maximum_folds=3,
        maximum_repetitions=1,
        system=system,
        training=Training(epochs=2, batch_size=8, learning_rate=1e-3),
        runtime=Runtime(workers=1, feature_store=folder / "features"),
    )
    plan, _ = prepare(experiment, reader)
    found = [*feature_findings(plan, reader), *fold_findings(plan)]
    assert not [finding.message for finding in found if finding.severity == "note"]
    return {finding.kind: finding.message for finding in found}


@pytest.mark.parametrize("name", WITH_EEG)
def test_systems_on_eeg(name, tmp_path, memory_reader):
    assert not accused(WITH_EEG[name], memory_reader(tmp_path, n_subjects=1, n_trials=8), tmp_path)


@pytest.mark.parametrize("name", OFFICIAL)
def test_systems_on_released_features(name, tmp_path, memory_reader):
    assert not accused(OFFICIAL[name], Released(memory_reader(tmp_path, n_subjects=1, n_trials=8)), tmp_path)


@pytest.mark.parametrize("name", QUANTITIES)
def test_systems_on_quantities_of_the_face(name, tmp_path, deap_with_openface):
    assert not accused(with_quantities(name, deap_with_openface / "openface"), DEAP(deap_with_openface), tmp_path)


@pytest.mark.parametrize("name", VIDEOS)
def test_systems_on_videos(name, tmp_path, recordings_with_videos):
    assert not accused(VIDEOS[name], recordings_with_videos, tmp_path)


@pytest.mark.parametrize("name", STIMULI)
def test_systems_on_stimuli(name, tmp_path, deap_with_stimuli):
    assert not accused(STIMULI[name], deap_with_stimuli, tmp_path)


def test_batches_in_training_mode_are_found(tmp_path, recordings_with_videos):
    system = VIDEOS["DeepVANet, decision level fusion"].model_copy(update={"fusion": "decision_released"})
    assert set(accused(system, recordings_with_videos, tmp_path)) == {"transductive"}
