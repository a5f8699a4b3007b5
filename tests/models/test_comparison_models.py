"""The comparison models: each forward pass a second time with NumPy, and their sizes counted by hand."""

import keras
import numpy as np
import pytest
from scipy.special import softmax

from keras_emotion import models

# The parts, each written a second time.


def dense(x, weights, name):
    return x @ weights[f"{name}/kernel"] + weights[f"{name}/bias"]


def relu(x):
    return np.maximum(x, 0)


def chebyshev_terms(graph, n_polynomials, largest_eigenvalue=None):
    """`T_k(t) = cos(k arccos t)` as a polynomial of the scaled Laplacian, from NumPy's own coefficients."""
    laplacian = np.diag(graph.sum(axis=-1)) - graph
    if largest_eigenvalue is None:
        largest_eigenvalue = np.linalg.eigvalsh(laplacian).max()
    scaled = 2 * laplacian / largest_eigenvalue - np.eye(len(graph))
    terms = []
    for k in range(n_polynomials):
        coefficients = np.polynomial.chebyshev.cheb2poly([0] * k + [1])
        terms.append(sum(c * np.linalg.matrix_power(scaled, power) for power, c in enumerate(coefficients)))
    return terms


# Forward passes: from the inputs and the weights by their paths.


def dgcnn(windows, weights, model):
    windows = (windows - weights["feature_scaling/mean"]) * weights["feature_scaling/scale"]
    positive = relu(weights["graph_convolution/adjacency"])
    graph = (positive + positive.T) / 2
    np.fill_diagonal(graph, 0)
    terms = chebyshev_terms(graph, model.n_polynomials)
    kernels = weights["graph_convolution/kernel"]
    filtered = sum(term @ windows @ kernel for term, kernel in zip(terms, kernels, strict=True))
    flat = relu(filtered + weights["graph_convolution/bias"]).reshape(len(windows), -1)
    return softmax(dense(relu(dense(flat, weights, "hidden")), weights, "classifier"), axis=-1)


FORWARD_PASSES = [
    # model, arguments, forward pass
    (models.DGCNN, {"n_channels": 6, "n_features": 3, "filters": 4, "n_polynomials": 4, "hidden_units": 5}, dgcnn),
]


def windows_for(model, rng, n_windows=4):
    return {"eeg": rng.standard_normal((n_windows, *model.input["eeg"].shape[1:])).astype("float32")}


def perturbed(weight, rng):
    """Other values, no zero among them; what is positive, a variance say, stays so."""
    return np.where(weight == 0, 0.2 * rng.standard_normal(weight.shape), weight * rng.uniform(0.5, 1.5, weight.shape))


@pytest.mark.parametrize(("model_class", "arguments", "forward"), FORWARD_PASSES)
def test_forward_pass_against_numpy(model_class, arguments, forward):
    rng = np.random.default_rng(0)
    model = model_class(n_classes=3, **arguments)
    model.set_weights([perturbed(weight, rng) for weight in model.get_weights()])
    windows = windows_for(model, rng)
    weights = {
        weight.path: values.astype("float64") for weight, values in zip(model.weights, model.get_weights(), strict=True)
    }
    expected = forward(windows["eeg"].astype("float64"), weights, model)
    outputs = model(windows)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(outputs), expected, rtol=2e-4, atol=1e-6)
    assert np.ptp(expected, axis=0).min() > 1e-3, "the windows can hardly be told apart: nothing is compared"
    np.testing.assert_array_equal(
        keras.ops.convert_to_numpy(model.window_probabilities(outputs)), keras.ops.convert_to_numpy(outputs)
    )


# Sizes, by hand: kernel sizes x inputs x outputs + biases.
PARAMETER_COUNTS = [
    # model, arguments, trainable, others
    # Graph, kernels of two polynomials, bias; 32 channels of 32 filters; mean and scale of each feature.
    (models.DGCNN, {}, 32 * 32 + 2 * 5 * 32 + 32 + (32 * 32 * 64 + 64) + (64 * 2 + 2), 2 * 32 * 5),
    (models.DGCNN, {"hidden_units": None}, 32 * 32 + 2 * 5 * 32 + 32 + (32 * 32 * 2 + 2), 2 * 32 * 5),
]


@pytest.mark.parametrize(("model_class", "arguments", "trainable", "others"), PARAMETER_COUNTS)
def test_parameter_count(model_class, arguments, trainable, others):
    model = model_class(**arguments)
    assert sum(np.prod(weight.shape, dtype=int) for weight in model.trainable_weights) == trainable
    assert sum(np.prod(weight.shape, dtype=int) for weight in model.non_trainable_weights) == others


def test_dgcnn_learns_a_planted_effect_and_its_graph_moves():
    rng = np.random.default_rng(1)
    keras.utils.set_random_seed(1)
    features = rng.standard_normal((512, 6, 1)).astype("float32")
    classes = (features[:, 0, 0] + features[:, 3, 0] > 0).astype(int)
    model = models.DGCNN(n_channels=6, n_features=1, filters=8, hidden_units=None)
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
    before = keras.ops.convert_to_numpy(model.graph())
    model.fit({"eeg": features}, classes, batch_size=64, epochs=15, verbose=0)
    after = keras.ops.convert_to_numpy(model.graph())
    assert model.evaluate({"eeg": features}, classes, verbose=0)[1] > 0.9
    assert np.abs(after - before).max() > 0.01
    np.testing.assert_array_equal(after, after.T)
    assert after.min() >= 0
