"""DeepVANet as a system: inputs, variants, and decision level fusion."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from keras_emotion.experiment import Runtime, Training, prepare, run, training
from keras_emotion.experiment.fit import FitResult
from keras_emotion.models import DeepVANet, FaceAffectNetwork
from keras_emotion.papers.deepvanet import deepvanet_presets
from keras_emotion.pipelines import FaceFeatures, RawSignals
from keras_emotion.schema import InputError
from keras_emotion.systems.deepvanet import (
    DeepVANetExperiment,
    DeepVANetSystem,
    boosted_weights,
)


def by_hand(first, second, labels):
    """Two rounds of AdaBoost as the docstring has them."""
    weights = np.full(len(labels), 1 / len(labels))
    error = sum(w * abs(s - y) for w, s, y in zip(weights, first, labels, strict=True))
    alpha = np.log((1 - error) / error) / 2
    for row, (score, label) in enumerate(zip(first, labels, strict=True)):
        weights[row] *= np.exp(-alpha) if (score > 0.5) == bool(label) else np.exp(alpha)
    weights /= weights.sum()
    error = sum(w * abs(s - y) for w, s, y in zip(weights, second, labels, strict=True))
    return alpha, np.log((1 - error) / error) / 2


@pytest.mark.parametrize("seed", range(4))
def test_weights_of_the_members_worked_by_hand(seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, 30)
    faces, bio = rng.random(30), rng.random(30)
    found = boosted_weights({"faces": faces, "bio": bio}, labels)
    assert list(found) == ["faces", "bio"]
    np.testing.assert_allclose(list(found.values()), by_hand(faces, bio, labels))


def test_a_member_that_knows_gets_the_greater_weight_and_a_perfect_one_a_finite_one():
    labels = np.array([0, 1] * 10)
    knows, guesses = np.where(labels, 0.9, 0.1), np.full(20, 0.5)
    found = boosted_weights({"faces": knows, "bio": guesses}, labels)
    assert found["faces"] > 1 > abs(found["bio"])
    assert np.isfinite(list(boosted_weights({"faces": labels * 1.0, "bio": guesses}, labels).values())).all()


def test_the_released_formula_takes_every_score_for_wrong():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 40)
    faces, bio = (np.clip(labels + 0.6 * rng.standard_normal(40), 0.01, 0.99) for _ in range(2))
    found = boosted_weights({"faces": faces, "bio": bio}, labels, released=True)
    error = np.mean(abs(faces - labels))
    alpha = np.log((1 - error) / error) / 2
    # All weights shrink by the same factor, and are not normalised: the second error is too small by it.
    shrunk = np.mean(abs(bio - labels)) * np.exp(-alpha)
    np.testing.assert_allclose(list(found.values()), [alpha, np.log((1 - shrunk) / shrunk) / 2])


def test_the_fused_score_lies_between_confident_members():
    system = DeepVANetSystem(fusion="decision")
    labels = np.array([0, 1] * 10)
    known = {name: np.stack([1 - labels * 0.8, labels * 0.8], axis=1) for name in ("faces", "bio")}
    high = np.array([0.9, 0.9, 0.1])
    asked = {"faces": np.stack([1 - high, high], axis=1), "bio": np.stack([high[::-1] * 0 + 0.5] * 2, axis=1)}
    probabilities, weights = system.combine(known, labels, asked)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    expected = 1 / (1 + np.exp(-weights["fusion_weight_faces"] * (2 * high - 1)))
    np.testing.assert_allclose(probabilities[:, 1], expected)


def test_members_are_the_unimodal_networks():
    assert not DeepVANetSystem().members()
    members = DeepVANetSystem(fusion="decision").members()
    assert {name: list(member.parts()) for name, member in members.items()} == {"faces": ["faces"], "bio": ["bio"]}
    assert not any(member.members() for member in members.values())


def test_what_is_not_used_makes_no_other_experiment():
    assert (
        DeepVANetSystem(modalities="bio").scientific_config()
        == DeepVANetSystem(modalities="bio", face_units=7).scientific_config()
    )
    assert DeepVANetSystem().scientific_config() != DeepVANetSystem(face_units=7).scientific_config()
    assert (
        DeepVANetSystem(modalities="faces").scientific_config()
        == DeepVANetSystem(modalities="faces", bio_units=9).scientific_config()
    )
    assert DeepVANetSystem(fusion="decision").scientific_config() != DeepVANetSystem().scientific_config()


def test_faces_are_cut_as_the_signals_are():
    system = DeepVANetSystem(bio=RawSignals(window_seconds=2.0), faces=FaceFeatures(steps=5, image_size=32))
    parts = system.parts()
    assert list(parts) == ["bio", "faces"]
    assert (parts["faces"].window_seconds, parts["faces"].steps, parts["faces"].image_size) == (2.0, 5, 32)


def test_pictures_go_in_as_videos_have_them_and_labels_as_one_column():
    rng = np.random.default_rng(0)
    faces = rng.integers(0, 256, (2, 5, 32, 32, 3), dtype=np.uint8)
    bio = rng.normal(size=(2, 16, 3)).astype(np.float32)
    system = DeepVANetSystem(width_multiplier=0.1)
    elements = {"faces": faces, "bio": bio}
    inputs, targets = system.inputs(elements), system.targets(elements, np.array([0, 1]))
    assert inputs["faces"].dtype == np.uint8
    assert targets.tolist() == [[0.0], [1.0]]
    model = system.model({name: array.shape[1:] for name, array in inputs.items()}, 2, {})
    # The paper's network reads pictures from 0 to 1.
    papers = DeepVANet(n_frames=5, image_size=32, n_samples=16, n_bio_channels=3, width_multiplier=0.1)
    papers.set_weights(model.get_weights())
    given = papers.predict({"faces": faces.astype(np.float32) / 255, "bio": bio}, verbose=0)
    np.testing.assert_allclose(model.predict(inputs, verbose=0), given, atol=1e-6)


@pytest.mark.parametrize(
    ("protocols", "fields", "variant"),
    [
        (("as_published_deepvanet", "trial_disjoint"), {}, "per-subject"),
        (("as_published_deepvanet_inter_subject", "subject_disjoint"), {}, "inter-subject"),
        (("as_published_deepvanet",), {"modalities": "faces"}, "per-subject, Face"),
        (("as_published_deepvanet",), {"fusion": "decision"}, "per-subject, Decision-level fusion"),
    ],
)
def test_which_line_of_the_paper_it_stands_for(protocols, fields, variant):
    experiment = DeepVANetExperiment(
        name="test", dataset="deap", targets=("valence",), protocols=protocols, system=DeepVANetSystem(**fields)
    )
    assert experiment.paper_variant == variant


def test_the_paper_preset_is_as_printed():
    experiment = DeepVANetExperiment(name="test", dataset="deap", targets=("valence",))
    paper = deepvanet_presets(experiment, {})["paper"]
    assert (paper.training.epochs, paper.training.batch_size, paper.training.learning_rate) == (50, 64, 1e-3)
    assert paper.label_rule.apply([4.99, 5.0]).tolist() == [0, 1]
    assert (paper.system.face_units, paper.system.bio_units) == (16, 64)
    faces = paper.system.parts()["faces"]
    assert (faces.steps / faces.window_seconds, faces.image_size) == (5.0, 64)


# Trained --------------------------------------------------------------------------------------------------------------


class FacesOfTrials(FaceFeatures):
    """Faces without videos: light where valence is high."""

    def extract(self, trials):
        arrays, tables = [], []
        for trial in trials:
            rng = np.random.default_rng([3, trial.trial])
            n_windows = int(trial.recording.duration_seconds)
            faces = rng.integers(0, 60, (n_windows, self.steps, self.image_size, self.image_size, 3))
            faces[:, :, 8:24] += 150 * (trial.video.stem == "high")
            arrays.append(faces.astype(np.uint8))
            tables.append(trial.window_table(np.arange(n_windows, dtype=float), 1.0))
        return {"faces": np.concatenate(arrays)}, pd.concat(tables, ignore_index=True)


def run_of(tmp_path, memory_reader, **fields):
    faces = FacesOfTrials(window_seconds=1.0, steps=2, image_size=32)
    system = DeepVANetSystem(faces=faces, width_multiplier=0.1, bio_units=8, dropout=0.0, **fields)
    # Members of a decision must know more than one network of both.
    epochs, rate = (12, 1e-2) if system.fusion == "feature" else (40, 5e-3)
    experiment = DeepVANetExperiment(
        name="test",
        dataset="memory",
        targets=("valence",),
        protocols=("as_published_deepvanet",),
        maximum_folds=3,
        maximum_repetitions=1,
        system=system,
        training=Training(epochs=epochs, batch_size=16, learning_rate=rate),
        runtime=Runtime(workers=1, feature_store=tmp_path / "features", save_models=True),
    )
    reader = memory_reader(tmp_path, n_subjects=1, effect=0.0, n_trials=8, seconds=6)
    reader.shows_faces = True
    return run(experiment, reader, tmp_path / f"run-{experiment.identity()}")


@pytest.mark.parametrize(
    "fusion",
    ["feature", *(pytest.param(name, marks=pytest.mark.slow) for name in ("decision", "decision_released"))],
)
def test_faces_that_show_the_rating_are_found(tmp_path, memory_reader, fusion):
    folder = run_of(tmp_path, memory_reader, fusion=fusion)
    predictions = folder.predictions()
    assert len(predictions) == 8 * 6
    # At decision level, a bio network that overfits noise gets half of the weight: see the system's docstring.
    expected = 0.9 if fusion == "feature" else 0.65
    assert (predictions["label"] == predictions["prediction"]).mean() > expected
    assert predictions[["probability_low", "probability_high"]].sum(axis=1).between(1 - 1e-5, 1 + 1e-5).all()
    results = folder.results()
    weights = results[results["metric"].str.startswith("fusion_weight_")].groupby("metric")["value"].mean()
    saved = {path.stem.split("-")[-2] for path in (folder.path / "models").glob("*.keras")}
    if fusion == "feature":
        assert weights.empty
        assert saved == {"fold0", "fold1", "fold2"}
    else:
        assert weights["fusion_weight_faces"] > 0
        assert saved == {"faces", "bio"}


def plan_of(tmp_path, memory_reader, protocol, **fields):
    faces = FacesOfTrials(window_seconds=1.0, steps=2, image_size=32)
    experiment = DeepVANetExperiment(
        name="test",
        dataset="memory",
        targets=("valence",),
        protocols=(protocol,),
        maximum_folds=3,
        maximum_repetitions=1,
        system=DeepVANetSystem(faces=faces, width_multiplier=0.1, bio_units=8, **fields),
        training=Training(epochs=2, batch_size=16),
        runtime=Runtime(workers=1, feature_store=tmp_path / "features"),
    )
    reader = memory_reader(tmp_path, n_subjects=1, n_trials=8, seconds=3)
    reader.shows_faces = True
    plan, _ = prepare(experiment, reader)
    return plan, plan.jobs()[0][0][0]


@pytest.mark.parametrize(
    ("fusion", "protocol", "chosen_by"),
    [
        ("decision", "as_published_deepvanet", "accuracy"),
        ("decision", "trial_disjoint", "loss"),
        ("decision", "as_published_deepvanet_literal", None),
        ("decision_released", "as_published_deepvanet", None),
        ("decision_released", "trial_disjoint", None),
    ],
)
def test_the_released_code_fuses_networks_of_their_last_epoch(tmp_path, memory_reader, fusion, protocol, chosen_by):
    plan, job = plan_of(tmp_path, memory_reader, protocol, fusion=fusion)
    training.prepare_backend(1)
    fold = training.job_fold(plan, job)
    requests = []

    def fit(request):
        requests.append(request)
        request.start()
        return FitResult(1, float("nan"))

    training.run_fits(training.fold_training(fold.system, plan, job, fold), fit)
    assert [list(request.compiled.model.input) for request in requests] == [["faces"], ["bio"]]
    for request in requests:
        # Without windows that choose an epoch the weights of the last one stay.
        assert (request.stage.chosen_by if len(request.fold.validation) else None) == chosen_by


def test_to_the_letter_the_last_epoch_is_tested(tmp_path, memory_reader):
    plan, job = plan_of(tmp_path, memory_reader, "as_published_deepvanet_literal", modalities="bio")
    record = training.run_job(plan, job)
    assert (record["best_epoch"], record["n_validation_windows"]) == (2, 0)
    assert record["n_training_windows"] == 8 * 3 - len(record["predictions"]["label"])


def test_the_last_batch_of_the_released_code_is_not_filled_up(tmp_path, memory_reader):
    plan, job = plan_of(tmp_path, memory_reader, "trial_disjoint", fusion="decision_released", dropout=0.0)
    training.prepare_backend(1)
    fold = training.job_fold(plan, job)
    member = fold.system.members()["bio"]
    alone = dataclasses.replace(fold, system=member, arrays={"bio": fold.arrays["bio"]})
    model = member.model({"bio": fold.arrays["bio"].shape[1:]}, 2, {})
    # One full batch and a partial one: normalisation of the second uses its own windows only.
    rows = np.arange(20)
    given = fold.system.member_probabilities(model, alone.batches(rows))
    windows = fold.arrays["bio"][rows]
    expected = [np.asarray(model({"bio": windows[part]}, training=True)) for part in (slice(16), slice(16, 20))]
    assert given.shape == (20, 2)
    np.testing.assert_allclose(given[:, 1:], np.concatenate(expected), atol=1e-6)


def test_a_face_network_from_scratch_is_a_difference_from_the_paper(tmp_path):
    said = "face network trained from scratch; in the paper pre-trained on AFEW-VA"
    for modalities in ("both", "faces"):
        system = DeepVANetSystem(modalities=modalities)
        assert said in system.unlike_the_paper()
        pretrained = system.model_copy(update={"face_weights": tmp_path / "network.keras"})
        assert set(system.unlike_the_paper()) - set(pretrained.unlike_the_paper()) == {said}
    assert DeepVANetSystem(modalities="bio").unlike_the_paper() == ()


def test_a_face_network_of_another_width_is_named(tmp_path):
    FaceAffectNetwork(image_size=32, units=4, width_multiplier=0.2).save(tmp_path / "network.keras")
    system = DeepVANetSystem(width_multiplier=0.1, modalities="faces", face_weights=tmp_path / "network.keras")
    with pytest.raises(InputError, match=r"network\.keras: .*face_convolution_1.*train it by afew_va_deepvanet"):
        system.model({"faces": (2, 32, 32, 3)}, 2, {})


def test_more_than_two_classes_are_refused(tmp_path):
    with pytest.raises(InputError, match="the label rule makes 3"):
        DeepVANetSystem().model({"bio": (128, 8), "faces": (5, 64, 64, 3)}, 3, {})
