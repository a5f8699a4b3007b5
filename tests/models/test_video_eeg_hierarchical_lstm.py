import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_emotion
from keras_emotion.models import VideoEEGHierarchicalLSTM

sys.path.insert(0, str(Path(__file__).parent))
import hlstm_by_hand

SMALL = {
    "n_frames": 12,
    "n_looks": 6,
    "face_size": 5,
    "image_size": 6,
    "n_bands": 3,
    "filters": (3, 2),
    "width": 5,
    "units": 4,
    "n_levels": 3,
    "attention_units": 3,
    "dropout": 0.0,
    "given_noise": True,
}
# Only features of faces: fast, without an encoder.
FEATURES = {**SMALL, "modalities": ("face",), "face_encoder": "alexnet", "n_face_features": 4, "n_levels": 2}


def built(seed=0, scale=0.5, **arguments):
    """A model whose weights all differ from their initial values, large enough for the states to differ."""
    keras.utils.set_random_seed(seed)
    model = VideoEEGHierarchicalLSTM(**arguments)
    rng = np.random.default_rng(seed)
    model.set_weights([weight + scale * rng.standard_normal(weight.shape) for weight in model.get_weights()])
    return model


def inputs_of(model, batch, seed=1):
    rng = np.random.default_rng(seed)
    inputs = {name: rng.standard_normal((batch, *x.shape[1:])).astype("float32") for name, x in model.input.items()}
    return {name: 100 * abs(x) if name == "faces" else x for name, x in inputs.items()}


def as_arrays(outputs):
    return {name: keras.ops.convert_to_numpy(output) for name, output in outputs.items()}


def loss_of(model, inputs, classes, training=True, **arguments):
    outputs = model(inputs, training=training)
    return float(model.compute_loss(y=classes, y_pred=outputs, training=training, **arguments))


def gradients(model, inputs, classes):
    """Gradient of the training loss by path of the weight, read off a step of gradient descent at rate 1."""
    before = model.get_weights()
    model.compile(keras.optimizers.SGD(1.0), run_eagerly=True)
    model.train_on_batch(inputs, classes)
    found = {w.path: old - new for w, old, new in zip(model.weights, before, model.get_weights(), strict=True)}
    model.set_weights(before)
    return found


@pytest.mark.parametrize(("direction", "level_state"), [("forward", "sum"), ("any", "each")])
def test_forward_pass_against_numpy(direction, level_state):
    model = built(**SMALL, n_rollouts=2, direction=direction, level_state=level_state, sigma=0.2)
    inputs = inputs_of(model, 3)
    # One of the sequences ends early, in either direction.
    inputs["noise"][0, 0, 1] = 50
    outputs = as_arrays(model(inputs, training=True))
    greedy = as_arrays(model(inputs, training=False))
    lengths = set()
    for sample in range(3):
        args = inputs["faces"][sample].astype("float64"), inputs["eeg"][sample].astype("float64")
        rollouts = [hlstm_by_hand.look(model, *args, noise) for noise in inputs["noise"][sample].astype("float64")]
        for number, expected in enumerate(rollouts):
            n_looks, n_actions = len(expected["positions"]), len(expected["actions"])
            lengths.add(n_looks)
            assert outputs["rollout_looks"][sample, number] == n_looks
            logits = outputs["rollout_logits"][sample, number]
            np.testing.assert_allclose(hlstm_by_hand.softmax(logits), expected["probabilities"], rtol=1e-4)
            np.testing.assert_allclose(outputs["penalty"][sample, number], expected["penalties"].mean(), rtol=1e-3)
            log_policy = outputs["log_policy"][sample, number]
            np.testing.assert_allclose(log_policy[:n_actions], expected["log_probabilities"], rtol=1e-4)
            assert not log_policy[n_actions:].any()
        first = rollouts[0]
        positions = outputs["positions"][sample]
        np.testing.assert_array_equal(positions[: len(first["positions"])], first["positions"])
        # The position is constant after the last look.
        assert (positions[len(first["positions"]) :] == first["positions"][-1]).all()
        np.testing.assert_allclose(outputs["actions"][sample][: len(first["actions"])], first["actions"], rtol=1e-4)
        mean = np.mean([one["probabilities"] for one in rollouts], axis=0)
        np.testing.assert_allclose(outputs["probabilities"][sample], mean, rtol=1e-4)

        expected = hlstm_by_hand.look(model, *args, np.zeros(6))
        np.testing.assert_allclose(greedy["probabilities"][sample], expected["probabilities"], rtol=1e-4)
        np.testing.assert_array_equal(greedy["positions"][sample][: len(expected["positions"])], expected["positions"])
    assert min(lengths) == 3
    assert max(lengths) > 3


@pytest.mark.parametrize("baseline", ["learned", None])
def test_gradient_of_the_policy_is_the_score_function_estimate(baseline):
    model = built(**{**SMALL, "n_looks": 3}, n_rollouts=2, baseline=baseline, sigma=0.2, sparsity_weight=-0.1)
    inputs, classes = inputs_of(model, 4), np.array([0, 1, 1, 0])
    found = gradients(model, inputs, classes)
    value = hlstm_by_hand.weights_under(model, "looking/baseline") if baseline else None
    sigma = 0.2 * 12
    kernel, bias, value_bias = np.zeros(4), 0.0, 0.0
    for sample in range(4):
        args = inputs["faces"][sample].astype("float64"), inputs["eeg"][sample].astype("float64")
        for noise in inputs["noise"][sample].astype("float64"):
            looked = hlstm_by_hand.look(model, *args, noise)
            right = looked["probabilities"].argmax() == classes[sample]
            reward = (1 if right else -2) - 0.1 * len(looked["positions"])
            steps = zip(looked["positions"], looked["locations"], looked["actions"], looked["states"], strict=False)
            for position, location, action, state in steps:
                expected_reward = state @ value["kernel"][:, 0] + value["bias"][0] if baseline else 0.0
                low, last = position + 1, 11
                share = (location - low) / (last - low) if last > low else 0.5
                slope = (last - low) * share * (1 - share)
                score = (action - location) / sigma**2 * slope
                # Mean over 4 samples and 2 rollouts; the loss decreases if the reward increases.
                kernel -= score * state * (reward - expected_reward) / 8
                bias -= score * (reward - expected_reward) / 8
                value_bias += 2 * (expected_reward - reward) / len(looked["actions"]) / 8
    np.testing.assert_allclose(found["looking/policy/location/kernel"][:, 0], kernel, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(found["looking/policy/location/bias"][0], bias, rtol=1e-3, atol=1e-6)
    if baseline:
        np.testing.assert_allclose(found["looking/baseline/bias"][0], value_bias, rtol=1e-3)


@pytest.mark.parametrize(("policy_gradient", "reaches"), [("head", False), ("all", True)])
def test_what_the_reward_trains(policy_gradient, reaches):
    model = built(**FEATURES, policy_gradient=policy_gradient, n_rollouts=2)
    inputs, classes = inputs_of(model, 4), np.array([0, 1, 1, 0])
    ours = gradients(model, inputs, classes)
    model.reward_right = 3.0
    theirs = gradients(model, inputs, classes)
    moved = {path.split("/")[1] if "/" in path else path for path in ours if not np.allclose(ours[path], theirs[path])}
    assert {"policy", "baseline"} <= {
        path.split("/")[1] for path in ours if not np.array_equal(ours[path], theirs[path])
    }
    assert ("core" in moved) == ("glimpse" in moved) == reaches
    # Only the cross-entropy trains the classifier.
    np.testing.assert_allclose(ours["classifier/kernel"], theirs["classifier/kernel"], rtol=1e-5, atol=1e-7)


def test_penalty_has_its_bounds():
    for n_levels in (2, 5):
        model = built(**{**FEATURES, "n_levels": n_levels})
        inputs, bound = inputs_of(model, 8), 2 * (1 - 1 / n_levels)
        assert (as_arrays(model(inputs))["penalty"] < 0.9 * bound).all()
        # Scores so large that one level has all of the weight.
        for attention in model.get_layer("looking").cell.core.attentions:
            attention.scores.set_weights([1e5 * attention.scores.get_weights()[0]])
        np.testing.assert_allclose(as_arrays(model(inputs))["penalty"].max(), bound, rtol=1e-4)
    # One level: no attention, and no penalty.
    model = built(**{**FEATURES, "n_levels": 1})
    inputs, classes = inputs_of(model, 4), np.array([0, 1, 1, 0])
    expected = loss_of(model, inputs, classes)
    model.level_penalty = 0.0
    assert loss_of(model, inputs, classes) == expected


def test_steps_behind_the_last_frame_change_nothing():
    longer = {**FEATURES, "n_looks": 7, "n_rollouts": 2}
    short, long = built(**{**longer, "n_looks": 4}), built(**longer)
    inputs, classes = inputs_of(long, 4), np.array([0, 1, 1, 0])
    # To the last frame at once, at the latest at the third look; what is drawn afterwards is never used.
    inputs["noise"][:, 0, 0] = 100
    inputs["noise"][:, 1, 1] = 100
    ours, theirs = {**inputs, "noise": inputs["noise"][:, :, :4]}, inputs
    outputs, others = as_arrays(short(ours, training=True)), as_arrays(long(theirs, training=True))
    np.testing.assert_array_equal(outputs["looks"], 2)
    np.testing.assert_array_equal(outputs["rollout_looks"][:, 1], 3)
    for name, output in outputs.items():
        of_each_look = name in ("positions", "actions", "log_policy", "baseline")
        expected = others[name][..., : output.shape[-1]] if of_each_look else others[name]
        np.testing.assert_allclose(output, expected, rtol=1e-6, err_msg=name)
    ours, theirs = gradients(short, ours, classes), gradients(long, theirs, classes)
    for path, gradient in ours.items():
        np.testing.assert_allclose(theirs[path], gradient, rtol=1e-5, atol=1e-7, err_msg=path)


def frames_that_count(model, name):
    """The inputs, and the frames whose change changes the probabilities by more than rounding, 6e-8, does.

    Rounding differs among the samples of a batch on some processors.
    """
    inputs = {key: np.repeat(value, 13, axis=0) for key, value in inputs_of(model, 1).items()}
    for frame in range(12):
        inputs[name][1 + frame, frame] += 50.0
    probabilities = as_arrays(model(inputs))["probabilities"]
    differences = np.abs(probabilities[1:] - probabilities[0]).max(axis=-1)
    return inputs, [int(frame) for frame in np.flatnonzero(differences > 1e-5)]


@pytest.mark.parametrize("name", ["faces", "eeg"])
def test_only_the_frames_that_were_looked_at_count(name):
    model = built(**SMALL)
    inputs, counted = frames_that_count(model, name)
    looked_at = set(as_arrays(model(inputs))["positions"][0].astype(int))
    assert 2 < len(looked_at) < 12
    assert set(counted) == looked_at


def test_uniform_looking_spreads_the_looks_from_the_first_to_the_last_frame():
    model = built(**{**FEATURES, "looking": "uniform", "n_looks": 4, "given_noise": False})
    _, counted = frames_that_count(model, "face_features")
    # 0, 11/3, 22/3 and 11, rounded.
    assert counted == [0, 4, 7, 11]


def test_loss_is_the_sum_of_its_terms_in_training_and_the_cross_entropy_alone_otherwise():
    model = built(**FEATURES, n_rollouts=3, level_penalty=0.7)
    inputs, classes, weight = inputs_of(model, 4), np.array([0, 1, 1, 0]), np.array([1.0, 2.0, 0.0, 0.5])
    outputs = as_arrays(model(inputs, training=True))
    p = np.exp(outputs["rollout_logits"])
    p /= p.sum(axis=-1, keepdims=True)
    entropy = -np.log(p[np.arange(4), :, classes])
    right = p.argmax(axis=-1) == classes[:, np.newaxis]
    reward = np.where(right, 1.0, -2.0) - 0.01 * outputs["rollout_looks"]
    acts = outputs["log_policy"] != 0
    advantage = acts * (reward[..., np.newaxis] - outputs["baseline"])
    reinforce = -(outputs["log_policy"] * advantage).sum(axis=-1)
    squared = (advantage**2).sum(axis=-1) / acts.sum(axis=-1)
    terms = entropy - 0.7 * outputs["penalty"] + reinforce + squared
    np.testing.assert_allclose(loss_of(model, inputs, classes), terms.mean(), rtol=1e-4)
    expected = (terms.mean(axis=1) * weight).mean()
    np.testing.assert_allclose(
        loss_of(model, inputs, classes[:, np.newaxis], sample_weight=weight), expected, rtol=1e-4
    )
    greedy = as_arrays(model(inputs))["probabilities"]
    entropy = -np.log(greedy[np.arange(4), classes])
    np.testing.assert_allclose(loss_of(model, inputs, classes, training=False), entropy.mean(), rtol=1e-5)
    model.compile()
    assert model.evaluate(inputs, classes, verbose=0) == pytest.approx(entropy.mean(), rel=1e-5)


def test_one_seed_gives_the_same_draws_and_the_next_step_others():
    arguments = {**FEATURES, "given_noise": False, "n_rollouts": 2, "dropout": 0.5}
    first, again = built(0, **arguments), built(0, **arguments)
    inputs = inputs_of(first, 4)
    drawn = as_arrays(first(inputs, training=True))
    for name, output in as_arrays(again(inputs, training=True)).items():
        np.testing.assert_array_equal(output, drawn[name], name)
    assert (as_arrays(again(inputs, training=True))["actions"] != drawn["actions"]).any()
    # In inference there are no random draws.
    np.testing.assert_array_equal(as_arrays(first(inputs))["actions"], as_arrays(again(inputs))["actions"])


def test_dropout_of_the_glimpse_is_drawn_anew_in_training():
    model = built(**{**FEATURES, "dropout": 0.5})
    given = {"face": np.ones((2, 12, 5), "float32"), "noise": np.zeros((2, 1, 6), "float32")}
    looking = model.get_layer("looking")
    states = [looking(given, training=training)["state"] for training in (False, True, True)]
    assert len({keras.ops.convert_to_numpy(state).tobytes() for state in states}) == 3


@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision_stays_finite_and_counts_frames_exactly(dtype):
    # bfloat16 has no odd numbers above 256, float16 none above 2048.
    arguments = {**FEATURES, "n_frames": 2200, "n_looks": 6, "sigma": 1e-4}
    model = built(**arguments, dtype=dtype)
    inputs, classes = inputs_of(model, 2), np.array([0, 1])
    outputs = as_arrays(model(inputs, training=True))
    assert all(np.isfinite(output).all() for output in outputs.values())
    followed = np.minimum(np.maximum(outputs["actions"], outputs["positions"][:, :-1] + 1), 2199).round()
    np.testing.assert_array_equal(outputs["positions"][:, 1:], followed)
    assert (outputs["positions"] % 2 == 1).any()
    assert (outputs["positions"] > 2048).any()
    assert all(np.isfinite(gradient).all() for gradient in gradients(model, inputs, classes).values())


_OTHER_PROCESS = """
import sys, keras, numpy as np
path = sys.argv[1]
model = keras.models.load_model(path + "/model.keras")
with np.load(path + "/inputs.npz") as stored:
    inputs = {name: stored[name] for name in stored.files}
np.savez(path + "/outputs.npz", **model.predict(inputs, verbose=0, batch_size=24))
"""


@pytest.mark.slow
@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="compares TensorFlow with XLA and JAX")
def test_positions_and_probabilities_agree_with_xla_and_jax(tmp_path):
    model = built(n_looks=20, face_size=16, image_size=16, units=64, width=64, sample=True, given_noise=True, scale=0.1)
    inputs = inputs_of(model, 24)
    expected = model.predict(inputs, verbose=0, batch_size=24)
    model.save(tmp_path / "model.keras")
    np.savez(tmp_path / "inputs.npz", **inputs)
    model.compile(jit_compile=True)
    compiled = model.predict(inputs, verbose=0, batch_size=24)
    subprocess.run(
        [sys.executable, "-c", "import keras_emotion.models\n" + _OTHER_PROCESS, tmp_path],
        env={**os.environ, "KERAS_BACKEND": "jax", "PYTHONPATH": str(Path(keras_emotion.__file__).parents[1])},
        check=True,
    )
    with np.load(tmp_path / "outputs.npz") as stored:
        on_jax = {name: stored[name] for name in stored.files}
    # The frame at a tie is not determined: from there on, a sequence is excluded.
    low = expected["positions"][:, :-1] + 1
    unrounded = np.clip(expected["actions"], low, 39)
    tied = abs(unrounded % 1 - 0.5) < 1e-3
    compared = np.cumsum(np.pad(tied, [(0, 0), (1, 0)]), axis=1) == 0
    assert compared.mean() > 0.8
    assert expected["looks"].min() < 20
    for others in (compiled, on_jax):
        np.testing.assert_array_equal(others["positions"][compared], expected["positions"][compared])
        whole = compared.all(axis=1)
        np.testing.assert_allclose(others["probabilities"][whole], expected["probabilities"][whole], atol=1e-4)
        np.testing.assert_array_equal(others["looks"][whole], expected["looks"][whole])


@pytest.mark.slow
@pytest.mark.skipif(keras.backend.backend() == "torch", reason="XLA compiles TensorFlow and JAX")
def test_a_training_step_compiled_by_xla_is_the_eager_one():
    arguments = {**SMALL, "n_rollouts": 2, "learned_sigma": True}
    eager, compiled = built(**arguments), built(**arguments)
    inputs, classes = inputs_of(eager, 4), np.array([0, 1, 1, 0])
    expected = gradients(eager, inputs, classes)
    before = compiled.get_weights()
    compiled.compile(keras.optimizers.SGD(1.0), jit_compile=True)
    compiled.train_on_batch(inputs, classes)
    for weight, old, new in zip(compiled.weights, before, compiled.get_weights(), strict=True):
        np.testing.assert_allclose(old - new, expected[weight.path], rtol=1e-3, atol=1e-5, err_msg=weight.path)


def test_exported_model_is_greedy_and_has_neither_loop_nor_random_operations():
    tensorflow = pytest.importorskip("tensorflow")
    if keras.backend.backend() != "tensorflow":
        pytest.skip("graphs of TensorFlow")
    model = built(**{**FEATURES, "n_looks": 4}, sample=True, n_rollouts=2)
    exported = model.exported_model()
    assert [tensor.name for tensor in keras.tree.flatten(exported.input)] == ["face_features"]
    given = {"face_features": tensorflow.TensorSpec((None, 12, 4), "float32")}
    graph = tensorflow.function(lambda x: exported(x)).get_concrete_function(given).graph
    kinds = {operation.type for operation in graph.get_operations()}
    assert "MatMul" in kinds
    assert not [kind for kind in kinds if "Random" in kind or "While" in kind or kind.endswith("If")]
    inputs = inputs_of(model, 5)
    outputs = as_arrays(exported({"face_features": inputs["face_features"]}))
    assert list(outputs) == ["probabilities", "positions", "looks", "actions"]
    # As with draws of zero.
    expected = as_arrays(model({**inputs, "noise": 0 * inputs["noise"]}))
    for name, output in outputs.items():
        np.testing.assert_allclose(output, expected[name], rtol=1e-5, err_msg=name)
    assert np.ptp(outputs["actions"][:, 0]) > 0


@pytest.mark.parametrize("looking", ["policy", "uniform"])
def test_what_rounding_decides(looking):
    model = built(**{**FEATURES, "n_looks": 4, "looking": looking, "given_noise": False})
    actions = np.array([[2.0, 3.4995, 5], [2.4, 3.498, 5], [0.5, 7, 7], [8.5012, 9, 9]])
    outputs = {"actions": actions, "probabilities": np.zeros((4, 2))}
    assert model.is_decided(outputs).tolist() == [looking == "uniform", True, looking == "uniform", True]
