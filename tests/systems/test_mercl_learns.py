"""What MERCL learns from synthetic stimuli under each protocol. Minutes: `-m slow --log-cli-level INFO`."""

import dataclasses
import logging

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import silhouette_score

from keras_emotion.datasets import SubjectReport, with_stimuli
from keras_emotion.experiment import Runtime, run, stage_outputs
from keras_emotion.synthetic import write_stimuli
from keras_emotion.systems import Training
from keras_emotion.systems.media_encoders import EncodedFrames, EncodedSound, PictureEncoder, SoundEncoder
from keras_emotion.systems.mercl import MERCLExperiment, MERCLSystem
from tests.conftest import MemoryReader

LOG = logging.getLogger(__name__)

N_STIMULI = 24
SECONDS = 12
SYSTEM = MERCLSystem(
    picture=EncodedFrames(
        image_size=32, encoder=PictureEncoder(patch_size=8, n_layers=2, n_heads=2, width=32, mlp_width=64)
    ),
    sound=EncodedSound(encoder=SoundEncoder(filters=(8, 8, 16, 16), units=(32, 32), embedding_size=32)),
    units=16,
    dropout=0.25,
    pretraining=Training(epochs=20, batch_size=32, learning_rate=3e-3),
)


class ByStimulus(MemoryReader):
    """All subjects rate a stimulus alike, high if its number is odd; EEG with an effect of a given size."""

    def __init__(self, folder, effect):
        super().__init__(folder, n_subjects=5, n_trials=N_STIMULI, effect=0.0, seconds=SECONDS)
        self.effect = effect

    def reopened(self, root=None):
        return self

    def inspect(self, subject):
        stimuli = [{"stimulus": str(one), "duration_seconds": SECONDS} for one in range(1, N_STIMULI + 1)]
        return SubjectReport({"subject": subject, "trials": stimuli}, ())

    def trials(self, subjects=None):
        for trial in super().trials(subjects):
            high = trial.trial % 2
            signal = trial.recording.signal * (1 + self.effect * high)
            recording = dataclasses.replace(trial.recording, signal=signal)
            yield dataclasses.replace(trial, recording=recording, ratings={"valence": 7.0 if high else 3.0})


def made(folder, protocols, identity, emotion, effect=0.0, seed=0, system=SYSTEM):
    """An experiment and its reader."""
    emotions = {str(number): {"valence": float((-1) ** (number + 1))} for number in range(1, N_STIMULI + 1)}
    clips = write_stimuli(
        folder / "clips",
        emotions,
        dict.fromkeys(emotions, SECONDS + 0.1),
        seed=seed,
        size=(32, 32),
        identity_size=identity,
        emotion_size=emotion,
        silent_share=0.0,
    )
    experiment = MERCLExperiment(
        name="test",
        dataset="memory",
        targets=("valence",),
        protocols=protocols,
        maximum_folds=4,
        maximum_repetitions=1,
        system=system,
        training=Training(epochs=20, batch_size=32, learning_rate=3e-3),
        seed=seed,
        runtime=Runtime(workers=1, feature_store=folder / "features"),
    )
    return experiment, with_stimuli(ByStimulus(folder, effect), clips)


def accuracies(folder, protocols, **settings):
    """Window accuracy under each protocol, and that of the stimulus baseline."""
    run_folder = run(*made(folder, protocols, **settings), folder / "run")
    predictions = pd.read_csv(run_folder.path / "predictions.csv")
    right = predictions.assign(
        network=predictions["label"] == predictions["prediction"],
        known=predictions["label"] == predictions["stimulus_label"],
    )
    return right.groupby("protocol")[["network", "known"]].mean()


LEAKING = ("as_published_mercl", "trial_disjoint_across_subjects", "subject_disjoint")
CLEAN = "stimulus_disjoint"


@pytest.mark.slow
def test_clips_that_are_recognised_give_their_labels_back_unless_stimuli_are_kept_apart(tmp_path):
    found = accuracies(tmp_path, (*LEAKING, CLEAN), identity=1.0, emotion=0.0)
    LOG.info("%s", found)
    leaking = found.loc[list(LEAKING)]
    # With trials of all subjects mixed, a clip may be in the test set alone.
    assert (leaking["known"] > 0.85).all()
    assert (leaking["network"] > leaking["known"] - 0.15).all()
    # Of 24 clips, 12 are right by chance, with a standard deviation of 2.4.
    assert found.loc[CLEAN, "known"] == 0.5
    assert 0.3 <= found.loc[CLEAN, "network"] <= 0.7


@pytest.mark.slow
def test_emotion_in_the_stimuli_is_found_in_clips_that_were_never_seen(tmp_path):
    found = accuracies(tmp_path, (CLEAN,), identity=1.0, emotion=1.0)
    LOG.info("%s", found)
    # Chance reaches 0.7, see above.
    assert found.loc[CLEAN, "network"] > 0.72


@pytest.mark.slow
def test_an_effect_in_the_eeg_alone_is_found(tmp_path):
    found = accuracies(tmp_path, (CLEAN,), identity=0.0, emotion=0.0, effect=1.0)
    LOG.info("%s", found)
    assert found.loc[CLEAN, "network"] > 0.8


def silhouettes(folder, emotion, seed):
    """Mean silhouette of the classes in the embeddings of held-out stimuli, before and after the first stage."""
    experiment, reader = made(folder, (CLEAN,), identity=0.3, emotion=emotion, effect=emotion, seed=seed)
    found = stage_outputs(experiment, reader, "pretraining")[CLEAN]["valence"]
    return [
        np.mean([silhouette_score(z[:, one], found.labels) for one in range(z.shape[1])])
        for z in (found.before["output"], found.after["output"])
    ]


@pytest.mark.slow
@pytest.mark.parametrize(("emotion", "least", "most"), [(1.0, 0.1, 1.0), (0.0, -0.05, 0.05)])
def test_contrastive_training_separates_classes_of_held_out_stimuli_only_by_emotion(tmp_path, emotion, least, most):
    differences = []
    for seed in range(5):
        before, after = silhouettes(tmp_path / str(seed), emotion, seed)
        differences.append(after - before)
        LOG.info("emotion %g, seed %d: silhouette %.3f before, %.3f after", emotion, seed, before, after)
    assert least <= np.mean(differences) <= most
