"""Comparison networks of MERCL: each forward pass reimplemented with NumPy."""

import keras
import numpy as np
import pytest
from scipy.special import expit, softmax

from keras_emotion.models import AVELSTMNetwork, VEBiLSTMNetwork


def weights_of(model):
    return {weight.path: keras.ops.convert_to_numpy(weight) for weight in model.weights}


def dense(x, weights, name):
    return x @ weights[f"{name}/kernel"] + weights[f"{name}/bias"]


def lstm(x, weights, name):
    """States `(steps, batch, units)` of `(batch, steps, features)`."""
    kernel, recurrent, bias = (weights[f"{name}/{part}"] for part in ("kernel", "recurrent_kernel", "bias"))
    hidden = cell = np.zeros((len(x), len(recurrent)))
    states = []
    for step in np.moveaxis(x, 1, 0):
        entering, forgetting, new, leaving = np.split(step @ kernel + hidden @ recurrent + bias, 4, axis=1)
        cell = expit(forgetting) * cell + expit(entering) * np.tanh(new)
        hidden = expit(leaving) * np.tanh(cell)
        states.append(hidden)
    return np.stack(states)


def moved(model, rng):
    model.set_weights([weight + 0.3 * rng.standard_normal(weight.shape) for weight in model.get_weights()])
    return weights_of(model)


def scaled(x, weights, name):
    return (x - weights[f"{name}/mean"]) * weights[f"{name}/scale"]


def test_ve_bilstm():
    rng = np.random.default_rng(0)
    model = VEBiLSTMNetwork((5, 4), (5, 2, 3), n_classes=3, projection_units=6, units=(4, 3))
    weights = moved(model, rng)
    visual, eeg = rng.standard_normal((2, 5, 4)), rng.standard_normal((2, 5, 2, 3))
    sequences = [
        np.maximum(dense(scaled(visual, weights, "visual_scaling"), weights, "visual_projection"), 0),
        np.maximum(dense(scaled(eeg, weights, "eeg_scaling").reshape(2, 5, 6), weights, "eeg_projection"), 0),
    ]
    x = np.concatenate(sequences, axis=-1)

    def both_ways(x, number):
        directions = ("forward_lstm/lstm_cell", "backward_lstm/lstm_cell")
        forward, backward = (
            lstm(x[:, ::step], weights, f"recurrent_{number}/{name}")
            for step, name in zip((1, -1), directions, strict=True)
        )
        return forward, backward

    forward, backward = both_ways(x, 1)
    # The states that have seen a step and all before it, and a step and all behind it.
    x = np.moveaxis(np.concatenate([forward, backward[::-1]], axis=-1), 0, 1)
    last = np.concatenate([states[-1] for states in both_ways(x, 2)], axis=-1)
    expected = softmax(dense(last, weights, "classifier"), axis=-1)
    found = keras.ops.convert_to_numpy(model({"visual": visual, "eeg": eeg}))
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.fixture
def ave_lstm():
    return AVELSTMNetwork((3, 4), (5, 2), (4, 3, 2), n_classes=3, units=4, n_components=5)


def test_ave_lstm(ave_lstm):
    rng = np.random.default_rng(1)
    weights = moved(ave_lstm, rng)
    inputs = {
        "visual": rng.standard_normal((2, 3, 4)),
        "audio": rng.standard_normal((2, 5, 2)),
        "eeg": rng.standard_normal((2, 4, 3, 2)),
    }
    components = inputs["eeg"].reshape(2, 4, 6) - weights["eeg_components/mean"]
    sequences = {
        "visual": scaled(inputs["visual"], weights, "visual_scaling"),
        "audio": scaled(inputs["audio"], weights, "audio_scaling"),
        "eeg": components @ weights["eeg_components/kernel"],
    }
    expected = {
        f"{name}_probabilities": softmax(
            dense(lstm(x, weights, f"{name}_lstm/lstm_cell")[-1], weights, f"{name}_classifier"), axis=-1
        )
        for name, x in sequences.items()
    }
    expected["probabilities"] = sum(expected.values()) / 3
    outputs = ave_lstm(inputs)
    assert set(outputs) == set(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(keras.ops.convert_to_numpy(outputs[name]), values, atol=1e-5)
    np.testing.assert_array_equal(ave_lstm.window_probabilities(outputs), outputs["probabilities"])


def test_bootstrapped_eeg_is_the_mean_of_rows_of_the_same_class(ave_lstm):
    labels = np.array([0, 1, 1, 0, 1, 1, 1, 2])
    # Each row is a power of two: a sum reveals its rows.
    eeg = np.broadcast_to(2.0 ** np.arange(0, 24, 3)[:, None, None, None], (8, 4, 3, 2)).astype("float32")
    ave_lstm.bootstrap_eeg(4)
    sums = 4 * keras.ops.convert_to_numpy(ave_lstm._bootstrapped(eeg, labels))
    assert (sums == sums[:, :1, :1, :1]).all()
    seen = set()
    for label, total in zip(labels, sums[:, 0, 0, 0].astype(int), strict=True):
        drawn = [row for row in range(8) for _ in range(total >> 3 * row & 7)]
        assert len(drawn) == 4
        assert set(labels[drawn]) == {label}
        seen.add(tuple(drawn))
    assert len(seen) > 4


def test_bootstrapping_is_of_training_alone(ave_lstm):
    rng = np.random.default_rng(2)
    shapes = {"visual": (6, 3, 4), "audio": (6, 5, 2), "eeg": (6, 4, 3, 2)}
    inputs = {
        name: keras.ops.convert_to_tensor(rng.standard_normal(shape), "float32") for name, shape in shapes.items()
    }
    targets = dict.fromkeys(
        ("visual_probabilities", "audio_probabilities", "eeg_probabilities"), np.array([0, 1, 2, 0, 1, 2])
    )
    ave_lstm.compile(loss=dict.fromkeys(targets, "sparse_categorical_crossentropy"), run_eagerly=True)

    def losses():
        outputs = ave_lstm(inputs)
        return [float(ave_lstm.compute_loss(inputs, targets, outputs, training=training)) for training in (True, False)]

    plain = losses()
    assert plain[0] == plain[1]
    before = keras.ops.convert_to_numpy(ave_lstm(inputs)["eeg_probabilities"])
    ave_lstm.bootstrap_eeg(3)
    trained, tested = losses()
    assert tested == plain[1]
    assert trained != plain[0]
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(ave_lstm(inputs)["eeg_probabilities"]), before)
    ave_lstm.bootstrap_eeg(0)
    assert losses() == plain
