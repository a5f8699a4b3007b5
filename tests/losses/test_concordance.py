"""The loss of continuous ratings, against the coefficient in float64, and where it is 0 over 0."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_emotion.evaluation import rating_metrics
from keras_emotion.losses import ConcordanceLoss
from tests.training import QUICK


@pytest.fixture
def values():
    rng = np.random.default_rng(0)
    true = rng.normal(0.3, 0.5, (6, 7))
    return true.astype("float32"), (0.6 * true + rng.normal(-0.2, 0.4, true.shape)).astype("float32")


def test_it_is_one_minus_the_coefficient_of_all_values(values):
    true, predicted = values
    expected = 1 - rating_metrics(true.ravel(), predicted.ravel())["concordance"]
    assert float(ConcordanceLoss()(true, predicted)) == pytest.approx(expected, abs=1e-6)
    assert float(ConcordanceLoss()(true, true)) == pytest.approx(0, abs=1e-6)
    # A mirror image around the common mean.
    mirrored = 2 * true.mean() - true
    assert float(ConcordanceLoss()(true, mirrored)) == pytest.approx(2, abs=1e-5)


def test_half_precision_is_not_used_for_sums(values):
    true, predicted = values
    expected = float(ConcordanceLoss()(true + 200, (predicted + 200).astype("float32")))
    assert expected == pytest.approx(float(ConcordanceLoss()(true, predicted)), abs=1e-3)
    assert ConcordanceLoss()(true, predicted.astype("float16")).dtype == "float32"


def test_windows_of_weight_zero_change_nothing(values):
    true, predicted = values
    weights = np.array([1, 1, 1, 1, 0, 0], "float32")
    true[5], predicted[5] = 30, -40
    some = ConcordanceLoss()(true[:4], predicted[:4])
    assert float(ConcordanceLoss()(true, predicted, sample_weight=weights)) == pytest.approx(float(some), abs=1e-6)
    # Only ratios count, and a row twice equals a row of weight two.
    twice = ConcordanceLoss()(true[[0, 0, 1]], predicted[[0, 0, 1]])
    weighted = ConcordanceLoss()(true[:2], predicted[:2], sample_weight=np.array([6.0, 3.0], "float32"))
    assert float(weighted) == pytest.approx(float(twice), abs=1e-6)


@pytest.mark.parametrize("constant", [0.0, 0.7])
def test_where_nothing_varies_the_loss_is_one_and_its_gradient_finite(constant):
    true = np.full((2, 3), 0.7, "float32")
    assert float(ConcordanceLoss()(true, np.full((2, 3), constant, "float32"))) == pytest.approx(1)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3, kernel_initializer="zeros")])
    model.compile(keras.optimizers.SGD(1.0), loss=ConcordanceLoss(), **QUICK)
    model.fit(np.ones((2, 3)), true, verbose=0)
    assert all(np.isfinite(weights).all() for weights in model.get_weights())


def test_a_network_learns_by_it():
    rng = np.random.default_rng(1)
    inputs = rng.normal(size=(64, 5)).astype("float32")
    values = inputs @ rng.normal(size=(5, 4)).astype("float32")
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(4)])
    model.compile(keras.optimizers.Adam(0.05), loss=ConcordanceLoss(), **QUICK)
    model.fit(inputs, values, epochs=60, batch_size=32, verbose=0)
    assert rating_metrics(values.ravel(), model.predict(inputs, verbose=0).ravel())["concordance"] > 0.99


def test_shapes_must_match():
    with pytest.raises(ValueError, match=r"must have the same shape"):
        ConcordanceLoss()(ops.zeros((2, 3)), ops.zeros((2, 3, 1)))


def test_it_travels():
    again = keras.losses.deserialize(keras.losses.serialize(ConcordanceLoss(name="other")))
    assert (type(again), again.name) == (ConcordanceLoss, "other")
