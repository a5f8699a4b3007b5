"""Pre-training of a network on ratings, and transfer of its weights."""

import keras
import numpy as np
import pandas as pd
import pytest

from keras_emotion.datasets import Reader, SubjectReport
from keras_emotion.experiment import Runtime, Training, pretrain, run, window_features
from keras_emotion.papers.deepvanet import face_affect_presets
from keras_emotion.pipelines import FaceFeatures
from keras_emotion.schema import InputError, Trial
from keras_emotion.systems.deepvanet import DeepVANetExperiment, DeepVANetSystem
from keras_emotion.systems.face_affect import FaceAffect, FaceAffectExperiment

N_ACTORS, N_FRAMES = 8, 24


class RatedPictures(FaceFeatures):
    """Pictures without files: light above as valence has it, red below as arousal has it."""

    def extract(self, trials):
        faces, ratings, tables = [], [], []
        for trial in trials:
            rng = np.random.default_rng([5, trial.subject])
            own = rng.uniform(-10, 10, (N_FRAMES, 2)).astype(np.float32)
            pictures = rng.integers(0, 30, (N_FRAMES, 1, self.image_size, self.image_size, 3))
            pictures[:, :, :12] += (120 + 10 * own[:, 0]).astype(int)[:, None, None, None, None]
            pictures[:, :, 20:, :, 0] += (120 + 10 * own[:, 1]).astype(int)[:, None, None, None]
            faces.append(pictures.clip(0, 255).astype(np.uint8))
            ratings.append(own)
            tables.append(trial.window_table(np.arange(N_FRAMES) * 0.04, 0.04))
        valence, arousal = np.concatenate(ratings).T[:, :, np.newaxis]
        arrays = {"faces": np.concatenate(faces), "step_ratings@valence": valence, "step_ratings@arousal": arousal}
        return arrays, pd.concat(tables, ignore_index=True)


class WithPictures(FaceAffect):
    """Precomputed pictures."""

    def parts(self):
        return {"faces": RatedPictures(window_seconds=0.04, steps=1, image_size=32)}


class Actors(Reader):
    """Actors of one clip each, some of them with one rating only."""

    name = "memory"
    synthetic = True
    file_format = None
    subjects = ()

    def __init__(self, folder, without_arousal=()):
        super().__init__(folder)
        self.subjects, self.without_arousal = tuple(range(1, N_ACTORS + 1)), without_arousal

    def inspect(self, subject):
        return SubjectReport({"subject": subject}, ())

    def source_files(self, subject):
        path = self.root / f"{subject}.txt"
        if not path.is_file():
            path.write_text(str(subject))
        return (path,)

    def trials(self, subjects=None):
        for subject in subjects or self.subjects:
            ratings = {"valence": (-1.0) ** subject, "arousal": np.nan if subject in self.without_arousal else 1.0}
            yield Trial("memory", subject, 1, f"{subject:03d}", None, (), ratings)


def experiment_of(tmp_path, **fields):
    return FaceAffectExperiment(
        name="test",
        dataset="memory",
        maximum_folds=4,
        system=WithPictures(width_multiplier=0.1, units=30, dropout=0.0, faces=FaceFeatures(image_size=32, steps=1)),
        training=Training(epochs=25, batch_size=16, learning_rate=3e-3),
        runtime=Runtime(workers=1, feature_store=tmp_path / "features"),
        **fields,
    )


def test_ratings_of_unseen_people_are_learnt_and_the_network_is_the_one_that_was_scored(tmp_path):
    network, scores = pretrain(experiment_of(tmp_path), Actors(tmp_path), tmp_path / "pretrained")
    scores = scores.set_index("target")
    assert list(scores.index) == ["valence", "arousal"]
    assert (scores["correlation"] > 0.8).all()
    assert (scores["root_mean_squared_error"] < 0.7 * scores["mean_error"]).all()
    assert (scores["n_subjects"] == 2).all()
    assert (scores["n_windows"] == 2 * N_FRAMES).all()

    model = keras.models.load_model(network)
    assert model.inference["ratings"] == ["valence", "arousal"]
    arrays, table = RatedPictures(window_seconds=0.04, steps=1, image_size=32).extract(Actors(tmp_path).trials())
    predicted = model.predict({"faces": arrays["faces"][:, 0]}, verbose=0)
    errors = (predicted[:, 0] - arrays["step_ratings@valence"][:, 0]) ** 2
    by_actor = pd.Series(errors).groupby(table["subject"]).mean()
    # Two actors have the reported error, whichever they are.
    reported = scores.loc["valence", "root_mean_squared_error"]
    pairs = [(i, j) for i in by_actor.index for j in by_actor.index if i < j]
    tested = min(pairs, key=lambda pair: abs(np.sqrt(by_actor[list(pair)].mean()) - reported))
    assert np.sqrt(by_actor[list(tested)].mean()) == pytest.approx(reported, abs=1e-4)
    # The predicted mean is that of other people: their own mean would be closer.
    own = arrays["step_ratings@valence"][table["subject"].isin(tested), 0]
    others = [arrays["step_ratings@valence"][~table["subject"].isin((*tested, *left)), 0].mean() for left in pairs]
    possible = np.sqrt(own.var() + (own.mean() - np.array(others)) ** 2)
    assert min(abs(possible - scores.loc["valence", "mean_error"])) < 1e-4
    assert scores.loc["valence", "mean_error"] > own.std() + 1e-4

    # What is finished reads no file of the data.
    gone = Actors(tmp_path)
    gone.root = tmp_path / "gone"
    again, same = pretrain(experiment_of(tmp_path), gone, tmp_path / "pretrained")
    assert again == network
    pd.testing.assert_frame_equal(same.set_index("target"), scores)


def test_another_networks_faces_start_from_it(tmp_path):
    network, _ = pretrain(
        experiment_of(tmp_path).changed({"training.epochs": 1}), Actors(tmp_path), tmp_path / "pretrained"
    )
    system = DeepVANetSystem(width_multiplier=0.1, face_weights=network, modalities="faces")
    model = system.model({"faces": (2, 32, 32, 3)}, 2, {})
    pretrained = keras.models.load_model(network)
    for number in (1, 2, 3):
        layer = f"face_convolution_{number}"
        for ours, theirs in zip(
            model.get_layer(layer).get_weights(), pretrained.get_layer(layer).get_weights(), strict=True
        ):
            np.testing.assert_array_equal(ours, theirs)


def test_a_window_with_one_of_two_ratings_is_refused(tmp_path):
    with pytest.raises(InputError, match="a rating of one target but not of the other"):
        pretrain(experiment_of(tmp_path), Actors(tmp_path, without_arousal=(3,)), tmp_path / "pretrained")


def test_too_few_people_are_refused(tmp_path):
    with pytest.raises(InputError, match="no people can be held out for the test"):
        pretrain(experiment_of(tmp_path, subjects=(1, 2)), Actors(tmp_path), tmp_path / "pretrained")


def test_the_released_head_is_a_field_that_older_trainings_do_not_have():
    plain, released = FaceAffect(), FaceAffect(rating_range=(-10, 10), units=5)
    assert "rating_range" not in plain.scientific_config()
    assert released.scientific_config()["rating_range"] == [-10.0, 10.0]
    model = released.model({"faces": (1, 64, 64, 3)}, 2, {})
    assert model.rating_range == (-10.0, 10.0)
    ratings = model.predict({"faces": np.full((1, 64, 64, 3), 255, np.uint8)}, verbose=0)
    assert (abs(ratings) < 10).all()
    for values in ((1, 1), (1, -1), (0, float("inf"))):
        with pytest.raises(ValueError, match=r"rating_range: .*; expected a smaller and a greater number"):
            FaceAffect(rating_range=values)


def test_all_presets_have_the_field_that_the_network_needs(tmp_path):
    presets = face_affect_presets(FaceAffectExperiment(name="test", dataset="afew_va"))
    assert presets["paper"].system.units == 1000
    assert presets["reduced"].system.width_multiplier == 0.25


def test_features_are_those_of_the_runs_networks_on_windows_that_they_were_tested_on(tmp_path, memory_reader):
    experiment = DeepVANetExperiment(
        name="test",
        dataset="memory",
        targets=("valence",),
        protocols=("trial_disjoint", "as_published_deepvanet"),
        maximum_folds=3,
        maximum_repetitions=1,
        system=DeepVANetSystem(width_multiplier=0.1, bio_units=5, dropout=0.0, modalities="bio"),
        training=Training(epochs=2, batch_size=16),
        runtime=Runtime(workers=1, feature_store=tmp_path / "features", save_models=True),
    )
    reader = memory_reader(tmp_path, n_subjects=1, n_trials=8, seconds=6)
    folder = run(experiment, reader, tmp_path / "run")
    found = window_features(experiment, reader)
    assert list(found) == ["trial_disjoint", "as_published_deepvanet"]
    predictions = folder.predictions()
    for protocol, features in found.items():
        kinds, labels = features["valence"]
        tested = predictions[(predictions["protocol"] == protocol) & (predictions["fold"] == 0)]
        assert labels.tolist() == tested["label"].tolist()
        assert {name: array.shape for name, array in kinds.items()} == {"bio": (len(tested), 5)}
        # Applying the saved network's head to them gives the run's predictions.
        (saved,) = (folder.path / "models").glob(f"{protocol}-*-fold0-*.keras")
        x = kinds["bio"]
        model = keras.models.load_model(saved)
        for name in ("classifier_1", "classifier_2", "probability"):
            x = model.get_layer(name)(x)
        np.testing.assert_allclose(
            keras.ops.convert_to_numpy(x)[:, 0], tested["probability_high"].to_numpy(), atol=1e-6
        )
