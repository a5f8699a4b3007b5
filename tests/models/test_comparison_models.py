"""Comparison models: each forward pass reimplemented with NumPy, and sizes counted by hand."""

import keras
import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from scipy.special import expit, softmax

from keras_emotion import models, signals
from keras_emotion.pipelines import EEGGridFeatures, RawSignals
from keras_emotion.schema import Recording, Trial
from tests.training import QUICK

# The parts, each reimplemented.


def dense(x, weights, name):
    return x @ weights[f"{name}/kernel"] + weights[f"{name}/bias"]


def relu(x):
    return np.maximum(x, 0)


def elu(x):
    return np.where(x > 0, x, np.expm1(np.minimum(x, 0)))


def selu(x):
    return 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(np.minimum(x, 0)))


def scaled(x, weights):
    return (x - weights["feature_scaling/mean"]) * weights["feature_scaling/scale"]


def convolution(maps, weights, name):
    """Zero-padded so that the size stays; an even kernel has one zero more at the end."""
    kernel = weights[f"{name}/kernel"]
    rows, columns = kernel.shape[:2]
    padding = [(0, 0), ((rows - 1) // 2, rows // 2), ((columns - 1) // 2, columns // 2), (0, 0)]
    patches = sliding_window_view(np.pad(maps, padding), (rows, columns), axis=(1, 2))
    return np.einsum("nhwcij,ijco->nhwo", patches, kernel) + weights[f"{name}/bias"]


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
    windows = scaled(windows, weights)
    positive = relu(weights["graph_convolution/adjacency"])
    graph = (positive + positive.T) / 2
    np.fill_diagonal(graph, 0)
    terms = chebyshev_terms(graph, model.n_polynomials)
    kernels = weights["graph_convolution/kernel"]
    filtered = sum(term @ windows @ kernel for term, kernel in zip(terms, kernels, strict=True))
    flat = relu(filtered + weights["graph_convolution/bias"]).reshape(len(windows), -1)
    return softmax(dense(relu(dense(flat, weights, "hidden")), weights, "classifier"), axis=-1)


def eegnet(windows, weights, model):
    def over_time(signal, kernel):
        """Each of `(windows, samples)` with one kernel, as long as before."""
        padded = np.pad(signal, [(0, 0), ((len(kernel) - 1) // 2, len(kernel) // 2)])
        return sliding_window_view(padded, len(kernel), axis=1) @ kernel

    def normalised(x, name):
        own = {part: weights[f"{name}/{part}"] for part in ("gamma", "beta", "moving_mean", "moving_variance")}
        return (x - own["moving_mean"]) / np.sqrt(own["moving_variance"] + 1e-3) * own["gamma"] + own["beta"]

    def pooled(x, size):
        n_bins = x.shape[1] // size
        return x[:, : n_bins * size].reshape(len(x), n_bins, size, -1).mean(axis=2)

    first_pooling = round(model.sampling_rate_hz / 32)
    kernels = weights["temporal_convolution/kernel"][:, 0, 0]
    # (windows, samples, channels, temporal filters)
    x = np.stack(
        [
            np.stack([over_time(windows[:, :, channel], kernel) for kernel in kernels.T], axis=-1)
            for channel in range(windows.shape[2])
        ],
        axis=2,
    )
    x = normalised(x, "temporal_normalization")
    # The spatial filters of the first temporal filter stand first.
    x = np.einsum("ntcf,cfd->ntfd", x, weights["spatial_convolution/kernel"][0]).reshape(*x.shape[:2], -1)
    x = pooled(elu(normalised(x, "normalization_1")), first_pooling)
    depthwise = weights["separable_convolution/depthwise_kernel"][:, 0, :, 0]
    x = np.stack([over_time(x[:, :, number], kernel) for number, kernel in enumerate(depthwise.T)], axis=-1)
    x = x @ weights["separable_convolution/pointwise_kernel"][0, 0]
    x = pooled(elu(normalised(x, "normalization_2")), 8).reshape(len(x), -1)
    return softmax(dense(x, weights, "classifier"), axis=-1)


def conti_cnn(windows, weights, model):
    activation = {"relu": relu, "selu": selu}[model.activation]
    maps = scaled(windows, weights)
    for number in range(1, 5):
        maps = activation(convolution(maps, weights, f"convolution_{number}"))
    hidden = activation(dense(maps.reshape(len(maps), -1), weights, "dense"))
    return softmax(dense(hidden, weights, "classifier"), axis=-1)


def crnn_4d(windows, weights, model):
    windows = scaled(windows, weights)
    cell = {name: weights[f"recurrent/lstm_cell/{name}"] for name in ("kernel", "recurrent_kernel", "bias")}
    state = memory = np.zeros((len(windows), model.units))
    for step in range(windows.shape[1]):
        maps = windows[:, step]
        for number in range(1, 5):
            maps = relu(convolution(maps, weights, f"convolution_{number}"))
        n, rows, columns, channels = maps.shape
        even = maps[:, : rows // 2 * 2, : columns // 2 * 2]
        largest = even.reshape(n, rows // 2, 2, columns // 2, 2, channels).max(axis=(2, 4))
        x = relu(dense(largest.reshape(n, -1), weights, "dense"))
        gates = x @ cell["kernel"] + state @ cell["recurrent_kernel"] + cell["bias"]
        input_gate, forget_gate, candidate, output_gate = np.split(gates, 4, axis=1)
        memory = expit(forget_gate) * memory + expit(input_gate) * np.tanh(candidate)
        state = expit(output_gate) * np.tanh(memory)
    return softmax(dense(state, weights, "classifier"), axis=-1)


def lstm(steps, weights, name):
    """States at all steps of `(windows, steps, features)`, from zeros."""
    cell = {part: weights[f"{name}/lstm_cell/{part}"] for part in ("kernel", "recurrent_kernel", "bias")}
    state = memory = np.zeros((len(steps), len(cell["recurrent_kernel"])))
    states = []
    for x in np.swapaxes(steps, 0, 1):
        gates = x @ cell["kernel"] + state @ cell["recurrent_kernel"] + cell["bias"]
        input_gate, forget_gate, candidate, output_gate = np.split(gates, 4, axis=1)
        memory = expit(forget_gate) * memory + expit(input_gate) * np.tanh(candidate)
        state = expit(output_gate) * np.tanh(memory)
        states.append(state)
    return np.stack(states, axis=1)


def cnn_lstm(windows, weights, model):
    activation = {"relu": relu, "elu": elu}[model.activation]
    windows = scaled(windows, weights)
    steps = []
    for step in range(windows.shape[1]):
        maps = windows[:, step]
        for number in (1, 2, 3):
            maps = activation(convolution(maps, weights, f"convolution_{number}"))
        steps.append(activation(dense(maps.reshape(len(maps), -1), weights, "dense_1")))
    states = np.stack(steps, axis=1)
    for number in range(1, model.n_recurrent_layers + 1):
        states = lstm(states, weights, f"recurrent_{number}")
    return softmax(dense(activation(dense(states[:, -1], weights, "dense_2")), weights, "classifier"), axis=-1)


def cram(windows, weights, model):
    """Slice by slice, as in the authors' code."""
    n_samples, rate = windows.shape[1], model.sampling_rate_hz
    length, hop = (
        model.slice_samples or round(n_samples * 16 / 45),
        model.slice_hop_samples or round(n_samples * 2 / 45),
    )
    kernel = weights["convolution/kernel"][:, :, :]
    own = {part: weights[f"normalization/{part}"] for part in ("beta", "moving_mean", "moving_variance")}
    slices = []
    for start in range(0, n_samples - length + 1, hop):
        patches = sliding_window_view(windows[:, start : start + length], len(kernel), axis=1)
        maps = np.einsum("ntck,kcf->ntf", patches, kernel)
        maps = relu((maps - own["moving_mean"]) / np.sqrt(own["moving_variance"] + 1e-5) + own["beta"])
        size, pooling_hop = min(round(0.3 * rate), maps.shape[1]), round(0.04 * rate)
        pooled = [maps[:, at : at + size].max(axis=1) for at in range(0, maps.shape[1] - size + 1, pooling_hop)]
        slices.append(np.stack(pooled, axis=1).reshape(len(windows), -1))
    states = np.stack(slices, axis=1)
    for number in range(1, model.n_recurrent_layers + 1):
        states = lstm(states, weights, f"recurrent_{number}")
    scores = np.tanh(dense(states, weights, "attention")) @ weights["attention_score/kernel"]
    return softmax(dense((softmax(scores, axis=1) * states).sum(axis=1), weights, "classifier"), axis=-1)


def gcn_lstm(windows, weights, model):
    """Window by window and step by step."""
    activation = {"relu": relu, "sigmoid": expit}[model.activation]
    sequences = []
    for window in scaled(windows, weights):
        steps = []
        for step, features in enumerate(window, start=1):
            number = "" if model.share_convolution else f"_{step}"
            if model.graph == "learned":
                positive = relu(weights[f"graph_convolution{number}/adjacency"])
                terms = chebyshev_terms((positive + positive.T) / 2 * (1 - np.eye(len(features))), model.n_polynomials)
            else:
                squares = ((features[:, None] - features[None]) ** 2).sum(axis=-1)
                near = np.argsort(np.argsort(squares + np.diag([np.inf] * len(features)))) < model.n_neighbors
                graph = np.where(near | near.T, np.exp(-squares / 2), 0)
                terms = chebyshev_terms(graph / graph.sum(axis=1, keepdims=True), model.n_polynomials, 2)
            kernels = weights[f"graph_convolution{number}/kernel"]
            x = sum(term @ features @ kernel for term, kernel in zip(terms, kernels, strict=True))
            own = {part: weights[f"normalization{number}/{part}"] for part in ("gamma", "beta", "moving_mean")}
            spread = np.sqrt(weights[f"normalization{number}/moving_variance"] + 1e-3)
            steps.append(activation((x - own["moving_mean"]) / spread * own["gamma"] + own["beta"]).reshape(-1))
        sequences.append(steps)
    states = lstm(np.array(sequences), weights, "recurrent")
    return softmax(dense(states.reshape(len(states), -1), weights, "classifier"), axis=-1)


def graph_sleep_net(windows, weights, model):
    """Window by window and step by step."""

    def attention(x, name):
        """Of `(others, pairs, features)`."""
        own = {path.removeprefix(f"{name}/"): value for path, value in weights.items()}
        left = np.einsum("opf,o->pf", x, own["other_kernel"]) @ own["pair_kernel"]
        return softmax(own["score_kernel"] @ expit(left @ (x @ own["feature_kernel"]) + own["score_bias"]), axis=-1)

    probabilities = []
    for window in scaled(windows, weights):
        step_weights = attention(np.swapaxes(window, 0, 1), "step_attention")
        channel_weights = attention(window, "channel_attention")
        filtered = []
        for step, features in enumerate(window):
            differences = np.abs(features[:, None] - features[None])
            graph = softmax(relu(differences @ weights["adaptive_graph/kernel"]), axis=-1)
            attended = sum(share * other for share, other in zip(step_weights[step], window, strict=True))
            terms = chebyshev_terms(graph, model.n_polynomials, largest_eigenvalue=2)
            kernels = weights["graph_convolution/kernel"]
            filtered.append(
                relu(sum((t * channel_weights) @ attended @ kernel for t, kernel in zip(terms, kernels, strict=True)))
            )
        maps = relu(convolution(np.array(filtered)[None], weights, "step_convolution"))
        hidden = dense(maps.reshape(1, -1), weights, "dense")
        probabilities.append(softmax(dense(hidden, weights, "classifier"), axis=-1)[0])
    return np.array(probabilities)


_SMALL_GRID = {"n_bands": 3, "width_multiplier": 1 / 16}
_SMALL_CASCADE = {"width_multiplier": 1 / 16, "units": 6}
_SMALL_CRAM = {"filters": 4, "units": 5, "attention_units": 3}
_SMALL_GRAPHS = {"n_channels": 7, "n_features": 3, "filters": 4, "units": 5}
FORWARD_PASSES = [
    # model, arguments, forward pass
    (models.DGCNN, {"n_channels": 6, "n_features": 3, "filters": 4, "n_polynomials": 4, "hidden_units": 5}, dgcnn),
    (models.EEGNet, {"n_samples": 70, "n_channels": 3}, eegnet),
    (models.EEGNet, {"n_samples": 50, "sampling_rate_hz": 64.0, "kernel_length": 5, "n_separable_filters": 3}, eegnet),
    (models.ContiCNN, {**_SMALL_GRID, "grid_shape": (5, 4)}, conti_cnn),
    (models.ContiCNN, {**_SMALL_GRID, "grid_shape": (5, 4), "activation": "selu"}, conti_cnn),
    (models.CRNN4D, {**_SMALL_GRID, "grid_shape": (5, 4), "n_steps": 3, "units": 6}, crnn_4d),
    (models.GraphSleepNet, {"n_steps": 3, "n_channels": 5, "n_features": 2, "filters": 4}, graph_sleep_net),
    (models.CNNLSTM, {"n_steps": 3, "grid_shape": (4, 3), "n_samples": 2, **_SMALL_CASCADE}, cnn_lstm),
    (models.CNNLSTM, {"grid_shape": (3, 4), "activation": "relu", "n_recurrent_layers": 1, **_SMALL_CASCADE}, cnn_lstm),
    (models.CRAM, {"n_samples": 90, "n_channels": 3, "sampling_rate_hz": 50.0, **_SMALL_CRAM}, cram),
    (models.CRAM, {"n_samples": 80, "slice_samples": 50, "slice_hop_samples": 9, **_SMALL_CRAM}, cram),
    (models.GCNLSTM, {"n_steps": 3, **_SMALL_GRAPHS, "n_neighbors": 2, "n_polynomials": 3}, gcn_lstm),
    (models.GCNLSTM, {**_SMALL_GRAPHS, "share_convolution": True, "activation": "relu"}, gcn_lstm),
    (models.GCNLSTM, {"n_steps": 2, **_SMALL_GRAPHS, "graph": "learned"}, gcn_lstm),
]


def windows_for(model, rng, n_windows=4):
    return {"eeg": rng.standard_normal((n_windows, *model.input["eeg"].shape[1:])).astype("float32")}


def perturbed(weight, rng):
    """Other values without zeros; positive ones, such as variances, stay positive."""
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
DGCNN_CONVOLUTION = 32 * 32 + 2 * 5 * 32 + 32  # graph, kernels of two polynomials, bias
GRID_CONVOLUTIONS = (4 * 4 * 64 * 128 + 128) + (4 * 4 * 128 * 256 + 256) + (256 * 64 + 64)  # the last three


def eegnet_count(n_temporal, kernel_length, n_channels, n_bins, n_classes):
    """Two spatial filters a temporal one, as many separable ones, a gamma and a beta a filter."""
    n_filters = 2 * n_temporal
    first = kernel_length * n_temporal + 2 * n_temporal + n_channels * n_filters + 2 * n_filters
    second = 16 * n_filters + n_filters * n_filters + 2 * n_filters
    return first + second + n_bins * n_filters * n_classes + n_classes


EEGNET_SMR = {"n_samples": 256, "n_channels": 22, "n_classes": 4, "kernel_length": 32}
PARAMETER_COUNTS = [
    # model, arguments, trainable, others (mean and scale of each feature, or of each normalised filter)
    (models.DGCNN, {}, DGCNN_CONVOLUTION + (32 * 32 * 64 + 64) + (64 * 2 + 2), 2 * 32 * 5),
    (models.DGCNN, {"hidden_units": None}, DGCNN_CONVOLUTION + (32 * 32 * 2 + 2), 2 * 32 * 5),
    (models.EEGNet, {}, eegnet_count(8, 64, 32, 128 // 32, 2), 2 * (8 + 16 + 16)),
    # As the paper prints them: EEGNet-4,2 and EEGNet-8,2 for its P300 (1 s, 64 channels) and SMR data.
    (models.EEGNet, {"n_channels": 64, "n_temporal_filters": 4}, 1066, 2 * (4 + 8 + 8)),
    (models.EEGNet, {"n_channels": 64}, 2258, 2 * (8 + 16 + 16)),
    (models.EEGNet, {**EEGNET_SMR, "n_temporal_filters": 4}, 796, 2 * (4 + 8 + 8)),
    (models.EEGNet, EEGNET_SMR, 1716, 2 * (8 + 16 + 16)),
    # 256 Hz: twice the kernel, the same 32 Hz after the first pooling.
    (
        models.EEGNet,
        {"n_samples": 256, "sampling_rate_hz": 256.0},
        eegnet_count(8, 128, 32, 4, 2),
        2 * (8 + 16 + 16),
    ),
    (
        models.ContiCNN,
        {},
        (4 * 4 * 4 * 64 + 64) + GRID_CONVOLUTIONS + (9 * 9 * 64 * 1024 + 1024) + (1024 * 2 + 2),  # 5,987,842
        2 * 9 * 9 * 4,
    ),
    (
        models.CRNN4D,
        {},
        (5 * 5 * 4 * 64 + 64)
        + GRID_CONVOLUTIONS
        + (4 * 4 * 64 * 512 + 512)
        + 4 * (512 + 128 + 1) * 128
        + (128 * 2 + 2),  # 1,531,906
        2 * 8 * 9 * 4,
    ),
    (
        models.CNNLSTM,
        {},
        (9 * 64 * 32 + 32)
        + (9 * 32 * 64 + 64)
        + (9 * 64 * 128 + 128)
        + (9 * 9 * 128 * 1024 + 1024)
        + 2 * 4 * (1024 + 1024 + 1) * 1024
        + (1024 * 1024 + 1024)
        + (1024 * 2 + 2),  # 28,564,322
        2 * 9 * 9 * 64,
    ),
    # As the authors' code: 22 channels, slices of 400 samples at 250 Hz, 29 maxima of 40 maps.
    (
        models.CRAM,
        {"n_samples": 1125, "n_channels": 22, "n_classes": 4, "sampling_rate_hz": 250.0},
        (45 * 22 * 40 + 40)
        + 4 * (29 * 40 + 64 + 1) * 64
        + 4 * (64 + 64 + 1) * 64
        + (64 * 512 + 512)
        + 512
        + (64 * 4 + 4),
        2 * 40,
    ),
    (
        models.GCNLSTM,
        {},
        6 * (2 * 5 * 5 + 2 * 5) + 4 * (32 * 5 + 30 + 1) * 30 + (6 * 30 * 2 + 2),  # 23,642
        2 * 32 * 5 + 6 * 2 * 5,
    ),
    (
        models.GraphSleepNet,
        {},
        5  # graph
        + (32 + 5 + 5 * 32 + 2 * 5 * 5)  # steps to steps
        + (5 + 5 + 5 * 5 + 2 * 32 * 32)  # channels to channels
        + 3 * 5 * 10  # three polynomials
        + (3 * 10 * 10 + 10)  # over steps
        + (5 * 32 * 10 * 16 + 16)
        + (16 * 2 + 2),
        2 * 32 * 5,
    ),
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
    model.compile(keras.optimizers.Adam(0.05), "sparse_categorical_crossentropy", metrics=["accuracy"], **QUICK)
    before = keras.ops.convert_to_numpy(model.graph())
    model.fit({"eeg": features}, classes, batch_size=512, epochs=25, verbose=0)
    after = keras.ops.convert_to_numpy(model.graph())
    assert model.evaluate({"eeg": features}, classes, verbose=0)[1] > 0.9
    assert np.abs(after - before).max() > 0.01
    np.testing.assert_array_equal(after, after.T)
    assert after.min() >= 0


def test_norms_of_eegnet_stay_below_their_maxima():
    rng = np.random.default_rng(2)
    model = models.EEGNet(n_samples=32, n_channels=5, n_classes=3, sampling_rate_hz=32.0)
    model.set_weights([5 * weight for weight in model.get_weights()])
    spatial, classifier = model.get_layer("spatial_convolution"), model.get_layer("classifier")

    def norms():
        filters = keras.ops.convert_to_numpy(spatial.kernel)[0]  # (channels, temporal filters, spatial filters)
        return np.linalg.norm(filters, axis=0), np.linalg.norm(keras.ops.convert_to_numpy(classifier.kernel), axis=0)

    assert norms()[0].max() > 1.5
    assert norms()[1].max() > 0.5
    model.compile(keras.optimizers.SGD(1e-6), "sparse_categorical_crossentropy", **QUICK)
    model.train_on_batch(windows_for(model, rng), np.array([0, 1, 2, 0]))
    of_filters, of_classes = norms()
    assert of_filters.shape == (8, 2)
    # Those that were longer are as long as they may be, each by itself.
    np.testing.assert_allclose(of_filters.max(), 1, rtol=1e-4)
    np.testing.assert_allclose(of_classes, 0.25, rtol=1e-4)
    assert (of_filters > 0.99).sum() > 8


def test_a_later_slice_counts_for_crnn_4d_as_does_their_order():
    rng = np.random.default_rng(3)
    model = models.CRNN4D(n_steps=3, grid_shape=(4, 4), width_multiplier=1 / 16, units=6)
    windows = windows_for(model, rng)["eeg"]
    outputs = [
        keras.ops.convert_to_numpy(model({"eeg": x})) for x in (windows, windows[:, ::-1], windows[:, [0, 1, 1]])
    ]
    assert np.abs(outputs[0] - outputs[1]).max() > 1e-4
    assert np.abs(outputs[0] - outputs[2]).max() > 1e-4


def test_cram_has_the_slices_of_its_authors_and_attends_to_each():
    model = models.CRAM(n_samples=1125, n_channels=2, sampling_rate_hz=250.0, filters=2, units=3, attention_units=2)
    # `range(0, 1125 - 400, 50)`.
    assert model.n_slices == 15
    weights = keras.ops.convert_to_numpy(model.attention_model()(windows_for(model, np.random.default_rng(6))))
    assert weights.shape == (4, 15, 1)
    assert weights.dtype == np.float32
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-6)
    assert weights.min() > 0


def test_graph_sleep_net_shows_its_graphs_and_learns_by_their_loss():
    rng = np.random.default_rng(5)
    arguments = {"n_steps": 2, "n_channels": 4, "n_features": 3, "dropout": 0.0}
    keras.utils.set_random_seed(5)
    model = models.GraphSleepNet(**arguments, distance_weight=0.3, sparsity_weight=0.2)
    windows = windows_for(model, rng, 6)
    graphs = keras.ops.convert_to_numpy(model.graph_model()(windows))
    assert graphs.shape == (6, 2, 4, 4)
    assert graphs.dtype == np.float32
    np.testing.assert_allclose(graphs.sum(axis=-1), 1, rtol=1e-5)
    x = windows["eeg"]
    distances = ((x[:, :, :, None] - x[:, :, None]) ** 2).sum(axis=-1)
    loss_of_graphs = (0.3 * distances * graphs + 0.2 * graphs**2).sum(axis=(-2, -1)).mean()
    classes = rng.integers(0, 2, 6)
    cross_entropy = -np.log(keras.ops.convert_to_numpy(model(windows))[np.arange(6), classes]).mean()
    model.compile("sgd", "sparse_categorical_crossentropy")
    total = model.evaluate(windows, classes, batch_size=6, verbose=0)
    np.testing.assert_allclose(total, cross_entropy + loss_of_graphs, rtol=1e-5)


CHANNELS = ("Fp1", "C3", "Oz", "T8")


def trial(rng):
    signal = rng.standard_normal((4, 12 * 128))
    recording = Recording(signal, CHANNELS, ("uV",) * 4, 128.0, 3.0)
    return Trial("deap", 1, 1, "1", recording, CHANNELS, {"valence": 6.5}, presentation=1)


def test_models_take_what_the_pipelines_give():
    rng = np.random.default_rng(4)
    one = trial(rng)
    rows, columns = signals.grid_positions(CHANNELS).T
    slices = EEGGridFeatures().extract([one])[0]["eeg"]
    seconds = EEGGridFeatures(window_seconds=1.0, steps=1).extract([one])[0]["eeg"]
    raw_slices = EEGGridFeatures(representation="raw_slices").extract([one])[0]["eeg"]
    raw = RawSignals(channels="eeg").extract([one])[0]["bio"]
    for model, windows in (
        (models.CRNN4D(grid_shape=(9, 9), width_multiplier=1 / 64, units=3), slices),
        (models.ContiCNN(width_multiplier=1 / 64), seconds[:, 0]),
        (models.DGCNN(n_channels=4, n_features=4), seconds[:, 0, rows, columns]),
        (models.GraphSleepNet(n_steps=4, n_channels=4, n_features=4), slices[:, :, rows, columns]),
        (models.EEGNet(n_channels=4), raw),
        (models.CRAM(n_samples=128, n_channels=4), raw),
        (models.CNNLSTM(width_multiplier=1 / 64, units=3), raw_slices),
        (models.GCNLSTM(n_steps=4, n_channels=4, n_features=4), slices[:, :, rows, columns]),
    ):
        assert len(windows) in (4, 9)  # of 2 s and of 1 s
        if not isinstance(model, (models.EEGNet, models.CRAM)):
            axes = tuple(range(windows.ndim - len(model.feature_scaling.axes)))
            model.feature_scaling.set_statistics(windows.mean(axis=axes), windows.std(axis=axes))
        probabilities = keras.ops.convert_to_numpy(model({"eeg": windows}))
        np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
        assert np.ptp(probabilities[:, 0]) > 0


def test_frozen_they_have_nothing_to_train():
    for model_class, arguments, _ in FORWARD_PASSES:
        model = model_class(**arguments, trainable=False)
        assert model.trainable_weights == []
        assert model.weights
