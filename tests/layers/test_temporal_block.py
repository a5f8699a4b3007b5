import keras
import numpy as np
import pytest
from scipy.signal import lfilter

from keras_emotion.layers import TemporalBlock
from tests.training import QUICK


def block_with_random_weights(rng, input_shape, **arguments):
    block = TemporalBlock(**arguments)
    block.build(input_shape)
    for weight in block.weights:
        values = rng.standard_normal(weight.shape)
        weight.assign(values**2 + 0.1 if "variance" in weight.path else values)
    return block


def weights_by_path(block):
    """The weights in float64, by their paths below the block."""
    return {
        weight.path.partition("/")[2]: values.astype("float64")
        for weight, values in zip(block.weights, block.get_weights(), strict=True)
    }


def array(tensor):
    return keras.ops.convert_to_numpy(tensor)


def convolution_by_loops(sequence, kernel, rate, padding):
    """One `(steps, features)` sequence, product by product."""
    size, n_inputs, n_outputs = kernel.shape
    before = (size - 1) * rate if padding == "causal" else (size - 1) * rate // 2
    outputs = np.zeros((len(sequence), n_outputs))
    for step, tap, feature, output in np.ndindex(len(sequence), size, n_inputs, n_outputs):
        source = step - before + tap * rate
        if 0 <= source < len(sequence):
            outputs[step, output] += sequence[source, feature] * kernel[tap, feature, output]
    return outputs


def block_by_loops(sequence, weights, rates, padding, normalization):
    """The block in inference for one `(steps, features)` sequence."""
    x = sequence
    for number, rate in enumerate(rates, start=1):
        x = convolution_by_loops(x, weights[f"convolution_{number}/kernel"], rate, padding)
        own = {name: weights[f"normalization_{number}/{name}"] for name in ("gamma", "beta")}
        if normalization == "batch":
            mean = weights[f"normalization_{number}/moving_mean"]
            variance = weights[f"normalization_{number}/moving_variance"]
        else:
            x = x + weights[f"convolution_{number}/bias"]
            mean, variance = x.mean(axis=1, keepdims=True), x.var(axis=1, keepdims=True)
        x = np.maximum((x - mean) / np.sqrt(variance + 1e-3) * own["gamma"] + own["beta"], 0)
    if "projection/kernel" in weights:
        sequence = sequence @ weights["projection/kernel"][0] + weights["projection/bias"]
    return x + sequence


@pytest.mark.parametrize("padding", ["causal", "same"])
@pytest.mark.parametrize("normalization", ["batch", "layer"])
@pytest.mark.parametrize(
    ("shape", "arguments"),
    [
        ((2, 9, 3), {"filters": 4}),
        ((2, 9, 4), {"filters": 4}),
        ((3, 6, 2), {"filters": 5, "kernel_size": 2, "dilation_rates": (3, 1)}),
        ((2, 1, 3), {"filters": 4}),
        # Dilations beyond the sequence.
        ((2, 2, 3), {"filters": 2, "dilation_rates": (8,)}),
    ],
)
def test_values_against_loops(shape, arguments, normalization, padding):
    rng = np.random.default_rng(shape[1])
    block = block_with_random_weights(rng, shape, **arguments, normalization=normalization, padding=padding)
    sequences = rng.standard_normal(shape).astype("float32")
    rates = arguments.get("dilation_rates", (1, 2, 2))
    weights = weights_by_path(block)
    expected = [block_by_loops(sequence, weights, rates, padding, normalization) for sequence in sequences]
    np.testing.assert_allclose(array(block(sequences)), expected, rtol=1e-4, atol=1e-4)


def test_hand_computed_case():
    # One feature, so the identity comes back on top; a kernel of (1, 2) over steps that lie 2 apart.
    block = TemporalBlock(1, kernel_size=2, dilation_rates=(2,))
    block.build((None, 5, 1))
    assert block.projection is None
    block.convolutions[0].set_weights([np.array([1.0, 2.0]).reshape(2, 1, 1)])
    # gamma, beta, mean and variance; the last such that its root with epsilon is 2.
    block.normalizations[0].set_weights(np.array([[4.0], [-1.0], [3.0], [4.0 - 1e-3]]))
    sequence = np.array([1.0, 2.0, 3.0, -4.0, 5.0])
    # Convolution: 2, 4, 1 + 6, 2 - 8, 3 + 10. Normalised: 2 (x - 3) - 1 = -3, 1, 7, -19, 19.
    expected = sequence + np.array([0.0, 1.0, 7.0, 0.0, 19.0])
    np.testing.assert_allclose(array(block(sequence[None, :, None]))[0, :, 0], expected, rtol=1e-5)


@pytest.mark.parametrize("rate", [1, 2, 5])
def test_dilated_convolution_is_a_filter_of_scipy(rate):
    rng = np.random.default_rng(rate)
    block = TemporalBlock(2, dilation_rates=(rate,), activation="linear")
    block.build((None, 20, 3))
    kernel, sequences = rng.standard_normal((3, 3, 2)), rng.standard_normal((2, 20, 3))
    block.convolutions[0].set_weights([kernel])
    block.projection.set_weights([np.zeros((1, 3, 2)), np.zeros(2)])
    expected = np.zeros((2, 20, 2))
    for feature, output in np.ndindex(3, 2):
        coefficients = np.zeros(2 * rate + 1)
        # lfilter weighs the newest sample first.
        coefficients[::rate] = kernel[::-1, feature, output]
        expected[:, :, output] += lfilter(coefficients, [1.0], sequences[:, :, feature], axis=1)
    # What a new batch normalisation divides by.
    expected /= np.sqrt(1 + 1e-3)
    np.testing.assert_allclose(array(block(sequences)), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("normalization", ["batch", "layer"])
def test_causal_never_sees_the_future(normalization):
    rng = np.random.default_rng(0)
    shape = (1, 12, 3)
    block = block_with_random_weights(rng, shape, filters=4, normalization=normalization)
    sequence = rng.standard_normal(shape).astype("float32")
    before = array(block(sequence))
    for step in range(shape[1]):
        changed = sequence.copy()
        changed[:, step] += 10 * rng.standard_normal(3)
        after = array(block(changed))
        np.testing.assert_array_equal(after[:, :step], before[:, :step])
        assert (after[:, step] != before[:, step]).any()


def test_same_padding_sees_both_sides_alike():
    rng = np.random.default_rng(1)
    block = block_with_random_weights(rng, (1, 25, 2), filters=2, padding="same")
    for convolution in block.convolutions:
        # A kernel that is its own mirror image: reversed in time, the block gives the same, reversed.
        (kernel,) = convolution.get_weights()
        convolution.set_weights([kernel + kernel[::-1]])
    sequence = rng.standard_normal((1, 25, 2)).astype("float32")
    np.testing.assert_allclose(array(block(sequence[:, ::-1])), array(block(sequence))[:, ::-1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("padding", ["causal", "same"])
@pytest.mark.parametrize(
    ("kernel_size", "dilation_rates", "receptive_field"),
    [(3, (1, 2, 2), 11), (2, (1,), 2), (1, (4,), 1), (5, (3, 1), 17), (2, (1, 3), 5)],
)
def test_impulse_response_is_as_long_as_the_receptive_field(kernel_size, dilation_rates, receptive_field, padding):
    block = TemporalBlock(2, kernel_size, dilation_rates, padding=padding)
    assert block.receptive_field == receptive_field
    n_steps = 3 * receptive_field
    block.build((None, n_steps, 1))
    # All weights above zero: no two paths cancel and no activation is off.
    rng = np.random.default_rng(2)
    block.set_weights([rng.uniform(0.5, 1.5, weight.shape) for weight in block.get_weights()])
    impulse = np.zeros((1, n_steps, 1), "float32")
    at = receptive_field
    impulse[0, at] = 1000.0
    response = np.flatnonzero((array(block(impulse)) != array(block(0 * impulse))).any(axis=(0, 2)))
    # With "same", each convolution answers ahead by the longer half of its span. (Between its ends, dilations may
    # leave holes in the response.)
    ahead = sum(-(-rate * (kernel_size - 1) // 2) for rate in dilation_rates)
    first = at if padding == "causal" else at - ahead
    assert (response[0], response[-1]) == (first, first + receptive_field - 1)


def n_weights(weights):
    return sum(np.prod(weight.shape, dtype=int) for weight in weights)


@pytest.mark.parametrize(
    ("n_features", "arguments", "trainable", "others"),
    [
        # Kernels, scale and offset of each normalisation, 1x1 convolution; moving mean and variance.
        (512, {}, (3 * 512 * 128 + 2 * 3 * 128 * 128) + 3 * 2 * 128 + (512 * 128 + 128), 3 * 2 * 128),
        (128, {}, 3 * 3 * 128 * 128 + 3 * 2 * 128, 3 * 2 * 128),
        # With biases, without moving statistics.
        (128, {"normalization": "layer"}, 3 * (3 * 128 * 128 + 128) + 3 * 2 * 128, 0),
        (128, {"dilation_rates": (4,), "kernel_size": 5}, 5 * 128 * 128 + 2 * 128, 2 * 128),
    ],
)
def test_parameter_count(n_features, arguments, trainable, others):
    block = TemporalBlock(128, **arguments)
    block.build((None, 4, n_features))
    assert n_weights(block.trainable_weights) == trainable
    assert n_weights(block.non_trainable_weights) == others


@pytest.mark.parametrize("normalization", ["batch", "layer"])
def test_statistics_do_not_overflow_in_float16(normalization):
    # In a step and in a feature, 350 or more away from the mean: the squares exceed the 65,504 of float16.
    sequences = np.array([[[1000.0, 100.0], [200.0, 900.0]]], "float32")
    block = TemporalBlock(2, 1, (1,), normalization=normalization, dropout=0.0, dtype="mixed_float16")
    block.build(sequences.shape)
    block.convolutions[0].set_weights([np.eye(2)[None], *([np.zeros(2)] if normalization == "layer" else [])])
    outputs = block(sequences, training=True)
    assert keras.backend.standardize_dtype(outputs.dtype) == "float16"
    # Of two values, the larger is 1 standard deviation above the mean and ReLU drops the smaller.
    np.testing.assert_allclose(array(outputs) - sequences, [[[1, 0], [0, 1]]], atol=0.01)


def test_training_drops_features_and_inference_none():
    block = TemporalBlock(4, dilation_rates=(1,), normalization="layer", dropout=0.75)
    sequences = np.zeros((50, 20, 4), "float32")
    block.build(sequences.shape)
    # The normalised value is the offset of 1, and what is kept is scaled up by 4.
    block.normalizations[0].set_weights([np.ones(4), np.ones(4)])
    np.testing.assert_array_equal(array(block(sequences)), 1)
    trained = array(block(sequences, training=True))
    assert set(np.unique(trained)) == {0.0, 4.0}
    # 4,000 draws of 0.75: a standard deviation of 0.007.
    assert abs((trained == 0).mean() - 0.75) < 0.04


def test_batch_normalisation_learns_its_statistics():
    rng = np.random.default_rng(3)
    block = TemporalBlock(2, 1, (1,))
    sequences = rng.normal(5.0, 2.0, (64, 8, 2)).astype("float32")
    block.build(sequences.shape)
    block.convolutions[0].set_weights([np.eye(2)[None]])
    block(sequences)
    np.testing.assert_array_equal(array(block.normalizations[0].moving_mean), 0)
    block(sequences, training=True)
    # Momentum 0.99 of Keras: a hundredth of the way.
    np.testing.assert_allclose(
        array(block.normalizations[0].moving_mean), 0.01 * sequences.mean(axis=(0, 1)), rtol=1e-3
    )


def test_learns_whether_two_steps_before_was_positive():
    rng = np.random.default_rng(4)
    keras.utils.set_random_seed(4)
    sequences = rng.standard_normal((64, 8, 1)).astype("float32")
    classes = np.zeros((64, 8, 1))
    classes[:, 2:] = sequences[:, :-2] > 0
    inputs = keras.Input((None, 1))
    x = TemporalBlock(8, dropout=0.1, normalization="layer")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid")(x))
    model.compile(keras.optimizers.Adam(0.02), "binary_crossentropy", **QUICK)
    model.fit(sequences, classes, batch_size=32, epochs=30, verbose=0)
    assert ((model.predict(sequences, verbose=0) > 0.5) == classes).mean() > 0.95


def test_saved_and_loaded_it_takes_any_number_of_steps(tmp_path):
    rng = np.random.default_rng(5)
    inputs = keras.Input((None, 3))
    block = block_with_random_weights(rng, (None, None, 3), filters=4, dilation_rates=(1, 3))
    model = keras.Model(inputs, block(inputs))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for n_steps in (1, 2, 9):
        sequences = rng.standard_normal((2, n_steps, 3)).astype("float32")
        np.testing.assert_array_equal(array(loaded(sequences)), array(model(sequences)))
        assert model(sequences).shape == (2, n_steps, 4)
