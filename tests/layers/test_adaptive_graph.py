import keras
import numpy as np
import pytest

from keras_emotion.layers import AdaptiveGraph


def graph_by_loops(features, w):
    """The graph of `(channels, features)`, pair by pair."""
    n_channels = len(features)
    graph = np.zeros((n_channels, n_channels))
    for m in range(n_channels):
        exponentials = [np.exp(max(0.0, w @ np.abs(features[m] - features[n]))) for n in range(n_channels)]
        graph[m] = np.array(exponentials) / sum(exponentials)
    return graph


def loss_by_loops(features, graph, distance_weight, sparsity_weight):
    pairs = np.ndindex(graph.shape)
    distances = sum(((features[m] - features[n]) ** 2).sum() * graph[m, n] for m, n in pairs)
    return distance_weight * distances + sparsity_weight * (graph**2).sum()


@pytest.mark.parametrize("shape", [(3, 5, 4), (2, 3, 6, 2), (2, 1, 3)])
def test_values_and_loss_against_loops(shape):
    rng = np.random.default_rng(shape[1])
    windows = rng.standard_normal(shape)
    layer = AdaptiveGraph(distance_weight=0.7, sparsity_weight=2.0, dtype="float64")
    layer.build(shape)
    w = rng.standard_normal(shape[-1])
    layer.set_weights([w])
    graphs = keras.ops.convert_to_numpy(layer(windows))
    each = windows.reshape(-1, *shape[-2:])
    expected = np.array([graph_by_loops(features, w) for features in each])
    np.testing.assert_allclose(graphs.reshape(expected.shape), expected, rtol=1e-10)
    losses = [loss_by_loops(features, graph, 0.7, 2.0) for features, graph in zip(each, expected, strict=True)]
    (loss,) = layer.losses
    np.testing.assert_allclose(float(loss), np.mean(losses), rtol=1e-10)


def test_hand_computed_case():
    # |x_1 - x_2| = log 3 and w = 1: 1 to itself and 3 to the other, a quarter and three.
    layer = AdaptiveGraph(distance_weight=1.0, sparsity_weight=1.0, kernel_initializer="ones")
    graph = layer(np.array([[[0.0], [np.log(3.0)]]]))
    np.testing.assert_allclose(keras.ops.convert_to_numpy(graph)[0], [[0.25, 0.75], [0.75, 0.25]], rtol=1e-6)
    expected = 2 * 0.75 * np.log(3.0) ** 2 + 2 * (0.75**2 + 0.25**2)
    np.testing.assert_allclose(float(layer.losses[0]), expected, rtol=1e-6)


def test_no_loss_without_weights():
    layer = AdaptiveGraph(distance_weight=0.0, sparsity_weight=0.0)
    layer(np.ones((1, 3, 2)))
    assert layer.losses == []


def test_scores_do_not_overflow_in_float16():
    # A score of 300 * 400, and its exponential, are beyond the 65,504 of float16.
    layer = AdaptiveGraph(kernel_initializer=keras.initializers.Constant(300.0), dtype="mixed_float16")
    graph = keras.ops.convert_to_numpy(layer(np.array([[[0.0], [400.0]]])))
    np.testing.assert_array_equal(graph[0], [[0, 1], [1, 0]])


def test_the_loss_as_printed_makes_the_graph_uniform():
    rng = np.random.default_rng(1)
    windows = rng.standard_normal((64, 8, 5)).astype("float32")
    # Only the loss of the graph; the output does not contribute.
    model = keras.Sequential([keras.Input((8, 5)), AdaptiveGraph(kernel_initializer="ones")])
    model.compile(keras.optimizers.SGD(0.1), loss=lambda target, output: 0 * keras.ops.sum(output, axis=(1, 2)))

    def spread():
        return np.ptp(model.predict_on_batch(windows))

    assert spread() > 0.5
    for _ in range(20):
        model.train_on_batch(windows, np.zeros(64))
    assert spread() < 0.01
