"""DeepVANet as a system: what is fed, what it stands for, and decision level fusion."""

import numpy as np
import pytest

from keras_emotion.experiment.systems.deepvanet import (
    DeepVANetExperiment,
    DeepVANetSystem,
    boosted_weights,
    deepvanet_presets,
)
from keras_emotion.pipelines import BioFeatures, FaceFeatures


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
    assert DeepVANetSystem(modalities="bio").science() == DeepVANetSystem(modalities="bio", face_units=7).science()
    assert DeepVANetSystem().science() != DeepVANetSystem(face_units=7).science()
    assert DeepVANetSystem(modalities="faces").science() == DeepVANetSystem(modalities="faces", bio_units=9).science()
    assert DeepVANetSystem(fusion="decision").science() != DeepVANetSystem().science()


def test_faces_are_cut_as_the_signals_are():
    system = DeepVANetSystem(bio=BioFeatures(window_seconds=2.0), faces=FaceFeatures(steps=5, image_size=32))
    parts = system.parts()
    assert list(parts) == ["bio", "faces"]
    assert (parts["faces"].window_seconds, parts["faces"].steps, parts["faces"].image_size) == (2.0, 5, 32)


def test_pictures_come_from_0_to_1_and_labels_as_one_column():
    faces = np.arange(2 * 5 * 4 * 4 * 3, dtype=np.uint8).reshape(2, 5, 4, 4, 3)
    bio = np.ones((2, 8, 3), np.float32)
    inputs, targets = DeepVANetSystem().batch({"faces": faces, "bio": bio}, np.array([0, 1]))
    np.testing.assert_allclose(inputs["faces"], faces / 255, rtol=1e-6)
    assert inputs["faces"].dtype == np.float32
    assert targets.tolist() == [[0.0], [1.0]]


@pytest.mark.parametrize(
    ("protocols", "fields", "variant"),
    [
        (("as_published_deepvanet", "trial_disjoint"), {}, "per-subject"),
        (("as_published_deepvanet_inter_subject", "subject_disjoint"), {}, "inter-subject"),
        (("as_published_deepvanet",), {"modalities": "faces"}, "per-subject, Face"),
        (("as_published_deepvanet",), {"fusion": "decision"}, "per-subject, Decision level fusion"),
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
