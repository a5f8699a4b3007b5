"""LSTMs on EEG and face: the forward pass reimplemented with NumPy, and the selection of powers."""

import keras
import numpy as np
import pytest
from scipy.special import softmax

from keras_emotion.layers import ImportanceSelection
from keras_emotion.models import FaceEEGLSTM
from tests.models.test_mercl_comparison_models import dense, lstm, moved, scaled
from tests.training import QUICK


def test_a_forward_pass():
    rng = np.random.default_rng(0)
    model = FaceEEGLSTM((4, 3, 2), (5, 4), n_classes=3, units=4, n_selected=2)
    weights = moved(model, rng)
    inputs = {"eeg": rng.standard_normal((2, 4, 3, 2)), "face": rng.standard_normal((2, 5, 4))}
    eeg = scaled(inputs["eeg"], weights, "eeg_scaling").reshape(2, 4, 6)
    importance = np.abs(weights["selection/kernel"]).sum(axis=1)
    chosen = np.argsort(importance)[-2:]
    selected = np.zeros_like(eeg)
    selected[..., chosen] = eeg[..., chosen]
    sequences = {"eeg": selected, "face": scaled(inputs["face"], weights, "face_scaling")}
    expected = {
        name: softmax(dense(lstm(x, weights, f"{name}_lstm/lstm_cell")[-1], weights, f"{name}_classifier"), axis=-1)
        for name, x in sequences.items()
    }
    expected["probabilities"] = sum(expected.values()) / 2
    # All features: one that the LSTM does not get can become important again.
    expected["importance"] = softmax(dense(eeg.mean(axis=1), weights, "selection"), axis=-1)
    outputs = model(inputs)
    assert set(outputs) == set(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(keras.ops.convert_to_numpy(outputs[name]), values, atol=1e-5)
    np.testing.assert_array_equal(model.window_probabilities(outputs), outputs["probabilities"])


@pytest.mark.parametrize(("n_selected", "expected"), [(1, [1]), (2, [1, 3]), (4, [0, 1, 2, 3]), (9, [0, 1, 2, 3])])
def test_the_largest_weights_decide_whatever_their_signs(n_selected, expected):
    layer = ImportanceSelection(n_selected)
    layer.build((None, 2, 4))
    # The sums 0.5, 3, 0.4 and 2; of the signed weights features 0 and 2 had the largest.
    layer.set_weights([np.array([[0.5, 0.0], [-1.0, -2.0], [0.2, 0.2], [-1.5, 0.5]]), np.zeros(2)])
    selected, _ = layer(np.ones((1, 2, 4)))
    assert np.flatnonzero(keras.ops.convert_to_numpy(selected)[0, 0]).tolist() == expected


def test_features_as_important_as_the_last_are_kept():
    layer = ImportanceSelection(1)
    layer.build((None, 1, 3))
    layer.set_weights([np.array([[1.0, 0.0], [0.0, 1.0], [0.5, 0.0]]), np.zeros(2)])
    assert keras.ops.convert_to_numpy(layer(np.ones((1, 1, 3)))[0]).tolist() == [[[1.0, 1.0, 0.0]]]


def test_training_selects_the_power_that_follows_the_label():
    rng = np.random.default_rng(0)
    labels = np.arange(64) % 2
    eeg = rng.standard_normal((64, 3, 4, 2)).astype("float32")
    eeg[:, :, 2, 1] += 2.0 * labels[:, np.newaxis]
    inputs = {"eeg": eeg, "face": rng.standard_normal((64, 3, 5)).astype("float32")}
    keras.utils.set_random_seed(0)
    model = FaceEEGLSTM((3, 4, 2), (3, 5), units=4, n_selected=1)
    names = ("eeg", "face", "importance")
    model.compile(keras.optimizers.Adam(0.05), dict.fromkeys(names, "sparse_categorical_crossentropy"), **QUICK)
    model.fit(inputs, dict.fromkeys(names, labels), batch_size=64, epochs=40, verbose=0)
    importance = np.abs(model.get_layer("selection").get_weights()[0]).sum(axis=1)
    assert importance.argmax() == 2 * 2 + 1
    drawn = rng.standard_normal((200, 3, 4, 2)).astype("float32")
    truth = np.arange(200) % 2
    drawn[:, :, 2, 1] += 2.0 * truth[:, np.newaxis]
    asked = {"eeg": drawn, "face": rng.standard_normal((200, 3, 5)).astype("float32")}
    outputs = model.predict(asked, verbose=0)
    assert (outputs["eeg"].argmax(axis=1) == truth).mean() > 0.9
    assert (outputs["face"].argmax(axis=1) == truth).mean() < 0.65
