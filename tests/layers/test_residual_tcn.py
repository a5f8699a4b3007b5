import keras
import numpy as np
import pytest
from scipy.signal import lfilter

from keras_emotion.layers import ResidualTCN, TemporalBlock
from tests.training import QUICK


def array(tensor):
    return keras.ops.convert_to_numpy(tensor)


def network_with_random_weights(rng, input_shape, **arguments):
    network = ResidualTCN(**arguments)
    network.build(input_shape)
    for weight in network.weights:
        values = rng.standard_normal(weight.shape)
        weight.assign(values**2 + 0.1 if "variance" in weight.path else values)
    return network


# Values


def filtered(sequences, kernel, rate):
    """A causal dilated convolution of `(batch, steps, features)` sequences, by SciPy."""
    outputs = np.zeros((*sequences.shape[:2], kernel.shape[2]))
    for feature, output in np.ndindex(kernel.shape[1:]):
        coefficients = np.zeros((len(kernel) - 1) * rate + 1)
        # lfilter weighs the newest sample first.
        coefficients[::rate] = kernel[::-1, feature, output]
        outputs[:, :, output] += lfilter(coefficients, [1.0], sequences[:, :, feature], axis=1)
    return outputs


def network_by_scipy(sequences, weights, rates_of_blocks, share_modules):
    """Causal, with batch normalisation and ReLU, in inference."""

    def projected(x, name):
        if f"{name}/kernel" not in weights:
            return x
        return x @ weights[f"{name}/kernel"][0] + weights[f"{name}/bias"]

    x = projected(sequences, "projection")
    for block, rates in enumerate(rates_of_blocks, start=1):
        block = "block" if share_modules else f"block_{block}"
        y = x
        for number, rate in enumerate(rates, start=1):
            y = filtered(y, weights[f"{block}/convolution_{number}/kernel"], rate)
            names = ("moving_mean", "moving_variance", "gamma", "beta")
            mean, variance, gamma, beta = (weights[f"{block}/normalization_{number}/{name}"] for name in names)
            y = np.maximum((y - mean) / np.sqrt(variance + 1e-3) * gamma + beta, 0)
        x = projected(x, f"{block}/projection") + y
    return x


@pytest.mark.parametrize("n_steps", [1, 9])
@pytest.mark.parametrize("n_features", [3, 4])
@pytest.mark.parametrize(
    ("dilation_rates", "share_modules"),
    [
        (((1, 2, 2), (1, 2, 2)), False),
        (((1, 2, 2), (1, 2, 2)), True),
        (((1,), (2,), (4,), (8,)), False),
    ],
)
def test_values_against_scipy(dilation_rates, share_modules, n_features, n_steps):
    rng = np.random.default_rng(n_features)
    shape = (2, n_steps, n_features)
    arguments = {"filters": 4, "dilation_rates": dilation_rates, "share_modules": share_modules}
    network = network_with_random_weights(rng, shape, **arguments)
    weights = {
        weight.path.partition("/")[2]: values.astype("float64")
        for weight, values in zip(network.weights, network.get_weights(), strict=True)
    }
    sequences = rng.standard_normal(shape).astype("float32")
    expected = network_by_scipy(sequences, weights, dilation_rates, share_modules)
    np.testing.assert_allclose(array(network(sequences)), expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


def test_every_block_gets_the_arguments():
    rng = np.random.default_rng(0)
    shape = (2, 9, 3)
    arguments = {
        "filters": 4,
        "kernel_size": 2,
        "padding": "same",
        "normalization": "layer",
        "activation": "elu",
        "output_activation": "tanh",
    }
    rates_of_blocks = ((1,), (2, 3))
    network = network_with_random_weights(rng, shape, **arguments, dilation_rates=rates_of_blocks, dropout=0.3)
    sequences = rng.standard_normal(shape).astype("float32")
    weights = iter(network.get_weights())
    x = sequences
    for rates in rates_of_blocks:
        block = TemporalBlock(**arguments, dilation_rates=rates)
        block.build(x.shape)
        block.set_weights([next(weights) for _ in block.weights])
        x = block(x)
    assert next(weights, None) is None
    np.testing.assert_allclose(array(network(sequences)), array(x), rtol=1e-5)
    assert [dropout.rate for block in network.blocks for dropout in block.dropouts] == [0.3] * 3


# What it sees


@pytest.mark.parametrize("share_modules", [False, True])
@pytest.mark.parametrize("normalization", ["batch", "layer"])
def test_causal_never_sees_the_future(normalization, share_modules):
    rng = np.random.default_rng(1)
    shape = (1, 12, 3)
    arguments = {"filters": 4, "normalization": normalization, "share_modules": share_modules}
    network = network_with_random_weights(rng, shape, **arguments)
    sequence = rng.standard_normal(shape).astype("float32")
    before = array(network(sequence))
    for step in range(shape[1]):
        changed = sequence.copy()
        changed[:, step] += 10 * rng.standard_normal(3)
        after = array(network(changed))
        np.testing.assert_array_equal(after[:, :step], before[:, :step])
        assert (after[:, step] != before[:, step]).any()


@pytest.mark.parametrize("padding", ["causal", "same"])
@pytest.mark.parametrize(
    ("arguments", "receptive_field"),
    [
        ({}, 21),
        ({"share_modules": True}, 21),
        ({"dilation_rates": ((1,), (2,), (4,), (8,))}, 31),
        ({"dilation_rates": ((1, 1), (2, 2)), "kernel_size": 5}, 25),
        ({"dilation_rates": ((3,), (5,)), "kernel_size": 1}, 1),
    ],
)
def test_impulse_response_is_as_long_as_the_receptive_field(arguments, receptive_field, padding):
    network = ResidualTCN(2, padding=padding, **arguments)
    assert network.receptive_field == receptive_field
    n_steps = 3 * receptive_field
    network.build((None, n_steps, 1))
    # All weights above zero: no two paths cancel and no activation is off.
    rng = np.random.default_rng(2)
    network.set_weights([rng.uniform(0.5, 1.5, weight.shape) for weight in network.get_weights()])
    impulse = np.zeros((1, n_steps, 1), "float32")
    impulse[0, receptive_field] = 1000.0
    response = np.flatnonzero((array(network(impulse)) != array(network(0 * impulse))).any(axis=(0, 2)))
    # Every span of these is even: with "same" the response lies around the impulse.
    first = receptive_field if padding == "causal" else receptive_field - (receptive_field - 1) // 2
    np.testing.assert_array_equal(response, np.arange(first, first + receptive_field))


# Weights


def n_weights(weights):
    return sum(np.prod(weight.shape, dtype=int) for weight in weights)


# Kernels of three convolutions that keep the width, scale and offset of their normalisations.
BLOCK = 3 * 3 * 128 * 128 + 3 * 2 * 128
MOVING_STATISTICS = 3 * 2 * 128
PROJECTION = 512 * 128 + 128


@pytest.mark.parametrize(
    ("n_features", "arguments", "trainable", "others"),
    [
        # The first convolution of the first block takes 512 features, and so does the 1x1 beside it.
        (512, {}, 3 * (512 - 128) * 128 + 2 * BLOCK + PROJECTION, 2 * MOVING_STATISTICS),
        (128, {}, 2 * BLOCK, 2 * MOVING_STATISTICS),
        # Shared: as many as one block has.
        (512, {"share_modules": True}, PROJECTION + BLOCK, MOVING_STATISTICS),
        (128, {"share_modules": True}, BLOCK, MOVING_STATISTICS),
        (128, {"share_modules": True, "dilation_rates": ((1, 2, 2),) * 5}, BLOCK, MOVING_STATISTICS),
        (128, {"dilation_rates": ((1,), (2,), (4,), (8,))}, 4 * (3 * 128 * 128 + 2 * 128), 4 * 2 * 128),
    ],
)
def test_parameter_count(n_features, arguments, trainable, others):
    network = ResidualTCN(128, **arguments)
    network.build((None, 4, n_features))
    assert n_weights(network.trainable_weights) == trainable
    assert n_weights(network.non_trainable_weights) == others


def test_shared_modules_are_one_block_used_twice():
    rng = np.random.default_rng(3)
    shape = (2, 6, 4)
    network = network_with_random_weights(rng, shape, filters=4, share_modules=True)
    block = TemporalBlock(4)
    block.build(shape)
    block.set_weights(network.get_weights())
    sequences = rng.standard_normal(shape).astype("float32")
    np.testing.assert_array_equal(array(network(sequences)), array(block(block(sequences))))


@pytest.mark.parametrize("share_modules", [False, True])
def test_learns_a_pattern_and_is_loaded_with_it(share_modules, tmp_path):
    rng = np.random.default_rng(4)
    keras.utils.set_random_seed(4)
    # Whether the step six before was positive, which no block of these networks looks at by itself.
    sequences = rng.standard_normal((64, 12, 2)).astype("float32")
    classes = np.zeros((64, 12, 1))
    classes[:, 6:] = sequences[:, :-6, :1] > 0
    inputs = keras.Input((None, 2))
    rates = ((1, 1), (1, 1)) if share_modules else ((2,), (4,))
    network = ResidualTCN(12, rates, dropout=0.0, normalization="layer", share_modules=share_modules)
    x = network(inputs)
    model = keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid")(x))
    model.compile(keras.optimizers.Adam(0.02), "binary_crossentropy", **QUICK)
    model.fit(sequences, classes, batch_size=32, epochs=40, verbose=0)
    predicted = model.predict(sequences, verbose=0)
    assert ((predicted > 0.5) == classes).mean() > 0.95
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.predict(sequences, verbose=0), predicted)
    assert len(loaded.weights) == len(model.weights)
    # Any number of steps.
    assert loaded(sequences[:, :1]).shape == (64, 1, 1)
