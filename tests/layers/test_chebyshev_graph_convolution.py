import keras
import numpy as np
import pytest

from keras_emotion.layers import ChebyshevGraphConvolution


def polynomials(graph, n_polynomials, largest_eigenvalue=None):
    """`T_k = U cos(k arccos(lambda)) U^T` of a symmetric graph: without the recursion."""
    laplacian = np.diag(graph.sum(axis=1)) - graph
    eigenvalues, vectors = np.linalg.eigh(laplacian)
    scaled = np.clip(2 * eigenvalues / (largest_eigenvalue or eigenvalues[-1]) - 1, -1, 1)
    return [(vectors * np.cos(k * np.arccos(scaled))) @ vectors.T for k in range(n_polynomials)]


def convolution(features, terms, kernel, bias):
    """One window `(channels, features)`, channel by channel."""
    outputs = np.zeros((len(features), kernel.shape[2]))
    for term, weights in zip(terms, kernel, strict=True):
        for receiver, sender in np.ndindex(term.shape):
            outputs[receiver] += term[receiver, sender] * (features[sender] @ weights)
    return np.maximum(outputs + bias, 0)


def random_graph(rng, n_channels, shape=()):
    graph = rng.uniform(0, 1, (*shape, n_channels, n_channels))
    return graph + np.swapaxes(graph, -1, -2)


@pytest.mark.parametrize("n_polynomials", [1, 2, 3, 6])
def test_learned_graph_against_the_definition_of_the_polynomials(n_polynomials):
    rng = np.random.default_rng(n_polynomials)
    windows = rng.standard_normal((3, 7, 4)).astype("float32")
    layer = ChebyshevGraphConvolution(5, n_polynomials)
    layer.build(windows.shape)
    adjacency, kernel, bias = (rng.standard_normal(weight.shape) for weight in layer.get_weights())
    layer.set_weights([adjacency, kernel, bias])
    graph = np.array([[(max(adjacency[i, j], 0) + max(adjacency[j, i], 0)) / 2 for j in range(7)] for i in range(7)])
    np.fill_diagonal(graph, 0)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(layer.graph()), graph, rtol=1e-6)
    terms = polynomials(graph, n_polynomials)
    expected = [convolution(window, terms, kernel, bias) for window in windows]
    np.testing.assert_allclose(keras.ops.convert_to_numpy(layer(windows)), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("graph_steps", "factor_steps"), [((), ()), ((4,), ()), ((), (4,)), ((4,), (4,))])
@pytest.mark.parametrize("largest_eigenvalue", [None, 30.0])
def test_given_graph_of_each_step(graph_steps, factor_steps, largest_eigenvalue):
    rng = np.random.default_rng(7)
    windows = rng.standard_normal((2, 4, 5, 3))
    graph = random_graph(rng, 5, (2, *graph_steps))
    factors = rng.uniform(0, 1, (2, *factor_steps, 5, 5))
    layer = ChebyshevGraphConvolution(
        6, n_polynomials=3, bias_initializer="ones", largest_eigenvalue=largest_eigenvalue, dtype="float64"
    )
    outputs = keras.ops.convert_to_numpy(layer([windows, graph, factors]))
    kernel, bias = layer.get_weights()
    assert bias.tolist() == [1] * 6
    for window, step in np.ndindex(2, 4):
        terms = polynomials(graph[(window, step) if graph_steps else window], 3, largest_eigenvalue)
        terms = [term * factors[(window, step) if factor_steps else window] for term in terms]
        expected = convolution(windows[window, step], terms, kernel, bias)
        np.testing.assert_allclose(outputs[window, step], expected, rtol=1e-9, atol=1e-12)


def test_hand_computed_case():
    # Two channels: L = w [[1, -1], [-1, 1]], its largest eigenvalue 2 w, so T_1 = [[0, -1], [-1, 0]] and T_2 = I.
    layer = ChebyshevGraphConvolution(1, n_polynomials=3, use_bias=False, activation=None)
    graph = np.array([[[0.0, 0.7], [0.7, 0.0]]])
    windows = np.array([[[1.0], [10.0]]])
    layer.build([windows.shape, graph.shape])
    layer.set_weights([np.array([2.0, 3.0, 5.0]).reshape(3, 1, 1)])
    outputs = keras.ops.convert_to_numpy(layer([windows, graph]))
    np.testing.assert_allclose(outputs[0, :, 0], [7 * 1 - 3 * 10, 7 * 10 - 3 * 1], rtol=1e-5)


class GradientsAsWeights(keras.optimizers.Optimizer):
    def __init__(self):
        super().__init__(learning_rate=1.0)

    def update_step(self, gradient, variable, learning_rate):
        self.assign(variable, gradient)


def gradient_of(layer, windows):
    """Gradient by back-propagation of the sum of squares of the outputs."""
    inputs = keras.Input(windows.shape[1:], dtype=layer.compute_dtype)
    model = keras.Model(inputs, layer(inputs))
    before = model.get_weights()
    model.compile(
        GradientsAsWeights(), loss=lambda target, output: keras.ops.sum(output**2, axis=(1, 2)) * len(windows)
    )
    model.train_on_batch(windows, np.zeros(len(windows)))
    gradient = model.get_weights()[0]
    model.set_weights(before)
    return gradient


@pytest.mark.parametrize("equal_edges", [False, True])
def test_gradient_of_the_graph_against_differences(equal_edges):
    rng = np.random.default_rng(3)
    windows = rng.standard_normal((4, 5, 2))
    # Between equal edges the largest eigenvalue is one of four equal ones.
    adjacency = np.ones((5, 5)) if equal_edges else rng.uniform(0.1, 1, (5, 5))
    layer = ChebyshevGraphConvolution(3, n_polynomials=3, activation=None, dtype="float64")
    layer.build(windows.shape)
    _, kernel, bias = layer.get_weights()
    layer.set_weights([adjacency, kernel, bias])
    gradient = gradient_of(layer, windows)
    assert np.isfinite(gradient).all()
    assert np.abs(gradient).max() > 0.01
    if equal_edges:
        return  # Where eigenvalues meet, the largest has no derivative to compare with.

    def loss(change):
        layer.set_weights([adjacency + change, kernel, bias])
        return (keras.ops.convert_to_numpy(layer(windows)) ** 2).sum()

    for place in np.ndindex(5, 5):
        change = np.zeros((5, 5))
        change[place] = 1e-6
        np.testing.assert_allclose(gradient[place], (loss(change) - loss(-change)) / 2e-6, rtol=1e-5, atol=1e-5)


def test_plain_descent_with_decay_is_the_printed_step():
    rng = np.random.default_rng(4)
    windows = rng.standard_normal((4, 5, 2)).astype("float32")
    rate = 0.1

    def trained(adjacency_decay):
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((5, 2)), ChebyshevGraphConvolution(3, adjacency_decay=adjacency_decay)])
        before = model.get_weights()
        model.compile(keras.optimizers.SGD(rate), loss="mean_squared_error")
        model.train_on_batch(windows, np.ones((4, 5, 3)))
        return before, model.get_weights()

    (start, *_), (undecayed, *others) = trained(0.0)
    _, (decayed, *same_others) = trained(1.0)
    gradient = (start - undecayed) / rate
    assert np.abs(gradient).max() > 1e-3
    np.testing.assert_allclose(decayed, (1 - rate) * start - rate * gradient, rtol=1e-4, atol=1e-6)
    for expected, values in zip(others, same_others, strict=True):
        np.testing.assert_allclose(values, expected, rtol=1e-6)


def test_a_graph_without_an_edge():
    windows = np.random.default_rng(5).standard_normal((2, 4, 3)).astype("float32")
    layer = ChebyshevGraphConvolution(3, adjacency_initializer="zeros", activation=None)
    outputs = keras.ops.convert_to_numpy(layer(windows))
    kernel = layer.get_weights()[1]
    # T_1 = -I.
    np.testing.assert_allclose(outputs, windows @ (kernel[0] - kernel[1]), rtol=1e-4, atol=1e-5)
    assert np.isfinite(gradient_of(layer, windows)).all()


def test_only_a_learned_graph_is_shown():
    layer = ChebyshevGraphConvolution(3)
    with pytest.raises(ValueError, match="no learned graph"):
        layer.graph()
    layer([np.ones((1, 4, 2)), np.ones((1, 4, 4))])
    with pytest.raises(ValueError, match="no learned graph"):
        layer.graph()


def test_a_graph_with_steps_needs_inputs_with_steps():
    with pytest.raises(ValueError, match="steps where the graph has them"):
        ChebyshevGraphConvolution(3)([np.ones((2, 4, 3)), np.ones((2, 5, 4, 4))])
