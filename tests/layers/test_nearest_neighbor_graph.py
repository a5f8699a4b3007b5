import keras
import numpy as np
import pytest

from keras_emotion.layers import ChebyshevGraphConvolution, NearestNeighborGraph


def graph_by_loops(features, n_neighbors, kernel_width):
    """The graph of `(channels, features)`, channel by channel."""
    n_channels = len(features)
    distances = np.array([[np.linalg.norm(one - other) for other in features] for one in features])
    pairs = set()
    for one in range(n_channels):
        others = sorted((other for other in range(n_channels) if other != one), key=lambda other: distances[one, other])
        pairs |= {frozenset((one, other)) for other in others[:n_neighbors]}
    weights = np.zeros((n_channels, n_channels))
    for one, other in map(tuple, pairs):
        weights[one, other] = weights[other, one] = np.exp(-(distances[one, other] ** 2) / (2 * kernel_width**2))
    return weights


@pytest.mark.parametrize(("shape", "n_neighbors"), [((2, 3, 7, 4), 2), ((3, 6, 2), 5), ((2, 4, 3), 9)])
def test_values_against_loops(shape, n_neighbors):
    windows = np.random.default_rng(n_neighbors).standard_normal(shape)
    layer = NearestNeighborGraph(n_neighbors, kernel_width=0.8, dtype="float64")
    graphs = keras.ops.convert_to_numpy(layer(windows)).reshape(-1, shape[-2], shape[-2])
    for features, graph in zip(windows.reshape(-1, *shape[-2:]), graphs, strict=True):
        weights = graph_by_loops(features, n_neighbors, 0.8)
        np.testing.assert_allclose(graph, weights / weights.sum(axis=1, keepdims=True), rtol=1e-10)


def test_the_laplacian_has_the_eigenvalues_of_the_symmetrically_normalised_one():
    features = np.random.default_rng(0).standard_normal((8, 3))
    weights = graph_by_loops(features, 3, 1.0)
    degrees = weights.sum(axis=1)
    expected = np.linalg.eigvalsh(np.eye(8) - weights / np.sqrt(np.outer(degrees, degrees)))
    graph = keras.ops.convert_to_numpy(NearestNeighborGraph(3, dtype="float64")(features[None]))[0]
    found = np.linalg.eigvals(np.eye(8) - graph)
    np.testing.assert_allclose(np.sort(found.real), expected, atol=1e-12)
    # So that a convolution needs no eigenvalue of each graph.
    scaled = keras.ops.convert_to_numpy(ChebyshevGraphConvolution(1, largest_eigenvalue=2.0).polynomials(graph)[1])
    np.testing.assert_allclose(scaled, -graph, atol=1e-6)
    assert np.abs(np.linalg.eigvals(scaled)).max() <= 1 + 1e-6


def test_channels_that_are_equally_near_are_all_neighbors_whatever_their_order():
    features = np.array([[0.0], [1.0], [-1.0], [9.0]])
    graph = keras.ops.convert_to_numpy(NearestNeighborGraph(n_neighbors=1)(features[None]))[0]
    np.testing.assert_allclose(graph[0], [0, 0.5, 0.5, 0], atol=1e-6)
    turned = keras.ops.convert_to_numpy(NearestNeighborGraph(n_neighbors=1)(features[None, ::-1]))[0]
    np.testing.assert_allclose(turned[::-1, ::-1], graph, atol=1e-6)


def test_a_channel_far_from_all_others_still_has_neighbors():
    graph = keras.ops.convert_to_numpy(NearestNeighborGraph(n_neighbors=1)(np.array([[[0.0], [1.0], [1e4]]])))[0]
    np.testing.assert_array_equal(graph[2], [0, 1, 0])
