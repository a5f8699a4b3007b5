import keras
import numpy as np
import pytest

from keras_emotion.layers import NonLocal3D


def array(tensor):
    return keras.ops.convert_to_numpy(tensor)


def block_with_random_weights(rng, shape, **arguments):
    block = NonLocal3D(**arguments)
    block.build(shape)
    block.set_weights([0.7 * rng.standard_normal(weight.shape) for weight in block.weights])
    weights = zip((weight.path.split("/")[-2] for weight in block.weights), block.get_weights(), strict=True)
    return block, {name: values[0, 0, 0].astype("float64") for name, values in weights}


def largest_of_each_2x2(maps):
    """Pool by loops over rows and columns; an odd last one is a separate pool."""
    n_time, n_rows, n_columns, n_channels = maps.shape
    pooled = np.empty((n_time, -(-n_rows // 2), -(-n_columns // 2), n_channels))
    for row, column in np.ndindex(pooled.shape[1:3]):
        pooled[:, row, column] = maps[:, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2].max(axis=(1, 2))
    return pooled


def block_by_loops(maps, weights, subsampling):
    """Eq. 8-10 for one `(time, rows, columns, channels)` sample, position by position."""
    queries, keys, values = (maps @ weights[name] for name in ("theta", "phi", "g"))
    if subsampling:
        keys, values = largest_of_each_2x2(keys), largest_of_each_2x2(values)
    keys, values = (x.reshape(-1, x.shape[-1]) for x in (keys, values))
    outputs, attention = np.empty(maps.shape), []
    for position in np.ndindex(maps.shape[:-1]):
        exponentials = np.array([np.exp(queries[position] @ key) for key in keys])
        attention.append(exponentials / exponentials.sum())
        y = sum(share * value for share, value in zip(attention[-1], values, strict=True))
        outputs[position] = y @ weights["output_projection"] + maps[position]
    return outputs, np.array(attention)


@pytest.mark.parametrize("subsampling", [False, True])
@pytest.mark.parametrize(
    ("shape", "inner_channels"),
    [((2, 2, 4, 4, 4), None), ((2, 3, 3, 5, 2), 3), ((1, 2, 1, 1, 1), None), ((3, 1, 1, 1, 3), None)],
)
def test_values_against_loops(shape, inner_channels, subsampling):
    rng = np.random.default_rng(shape[-1])
    block, weights = block_with_random_weights(rng, shape, inner_channels=inner_channels, subsampling=subsampling)
    n_inner = {4: 2, 2: 3, 1: 1, 3: 1}[shape[-1]]
    assert weights["theta"].shape == weights["phi"].shape == weights["g"].shape == (shape[-1], n_inner)
    maps = rng.standard_normal(shape).astype("float32")
    expected = [block_by_loops(sample, weights, subsampling) for sample in maps]
    outputs, attention = map(array, block(maps, return_attention_scores=True))
    np.testing.assert_allclose(attention, [shares for _, shares in expected], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(outputs, [values for values, _ in expected], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(attention.sum(axis=-1), 1, rtol=1e-6)
    np.testing.assert_array_equal(array(block(maps)), outputs)


def test_hand_computed_case():
    block = NonLocal3D()
    block.build((None, 2, 1, 1, 1))
    theta, phi, g, output_projection = np.reshape([np.log(3.0), 1.0, 1.0, 2.0], (4, 1, 1, 1, 1, 1))
    block.set_weights([theta, phi, g, output_projection])
    outputs, attention = block(np.reshape([1.0, 0.0], (1, 2, 1, 1, 1)), return_attention_scores=True)
    # The scores of the first position are (ln 3, 0), of the second (0, 0); y is what they give the first.
    np.testing.assert_allclose(array(attention)[0], [[0.75, 0.25], [0.5, 0.5]], rtol=1e-6)
    np.testing.assert_allclose(array(outputs).ravel(), [1 + 2 * 0.75, 0 + 2 * 0.5], rtol=1e-6)


def test_it_is_the_dot_product_attention_of_keras():
    rng = np.random.default_rng(0)
    block, weights = block_with_random_weights(rng, (None, 3, 4, 2, 6))
    maps = rng.standard_normal((2, 3, 4, 2, 6)).astype("float32")
    positions = maps.reshape(2, 24, 6)
    query, key, value = (positions @ weights[name].astype("float32") for name in ("theta", "phi", "g"))
    y, expected = map(array, keras.layers.Attention()([query, value, key], return_attention_scores=True))
    outputs, attention = map(array, block(maps, return_attention_scores=True))
    np.testing.assert_allclose(attention, expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(
        outputs, maps + (y @ weights["output_projection"]).reshape(maps.shape), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("subsampling", [False, True])
def test_it_starts_as_the_identity(subsampling):
    maps = np.random.default_rng(1).standard_normal((2, 3, 4, 5, 6)).astype("float32")
    block = NonLocal3D(subsampling=subsampling)
    outputs, attention = map(array, block(maps, return_attention_scores=True))
    np.testing.assert_array_equal(outputs, maps)
    # And not because it attends to nothing.
    assert attention.std() > 1e-3
    assert array(block.g.kernel).any()


def test_it_knows_no_neighbourhood():
    rng = np.random.default_rng(2)
    block, _ = block_with_random_weights(rng, (None, 2, 3, 4, 3))
    maps = rng.standard_normal((1, 24, 3)).astype("float32")
    order = rng.permutation(24)
    outputs, permuted = (array(block(x.reshape(1, 2, 3, 4, 3))).reshape(24, 3) for x in (maps, maps[:, order]))
    np.testing.assert_allclose(permuted, outputs[order], rtol=1e-4, atol=1e-5)


def test_softmax_is_of_float32():
    # Scores of 300 x 300 and its negative: beyond float16, which ends at 65,504.
    block = NonLocal3D(dtype="mixed_float16")
    block.build((None, 2, 1, 1, 1))
    block.set_weights(4 * [np.ones((1, 1, 1, 1, 1))])
    outputs, attention = block(np.reshape([300.0, -300.0], (1, 2, 1, 1, 1)), return_attention_scores=True)
    assert keras.backend.standardize_dtype(outputs.dtype) == "float16"
    np.testing.assert_array_equal(array(attention)[0], np.eye(2))
    np.testing.assert_array_equal(array(outputs).ravel(), [600, -600])
    block = NonLocal3D(dtype="mixed_bfloat16")
    maps = np.random.default_rng(3).standard_normal((1, 5, 4, 4, 8))
    _, attention = block(maps, return_attention_scores=True)
    assert keras.backend.standardize_dtype(attention.dtype) == "float32"
    # Eighty shares of 8 bits each would miss 1 by some 0.1 %.
    np.testing.assert_allclose(array(attention).sum(axis=-1), 1, rtol=1e-6)


# On the CPU TensorFlow has no pooling of float16 in three dimensions.
@pytest.mark.parametrize(("subsampling", "dtype"), [(False, "mixed_float16"), (True, "float32")])
def test_both_outputs_are_what_is_said_of_them_before(subsampling, dtype):
    layer = NonLocal3D(subsampling=subsampling, dtype=dtype)
    said = layer(keras.Input((2, 3, 4, 2)), return_attention_scores=True)
    given = layer(np.zeros((2, *(2, 3, 4, 2)), "float32"), return_attention_scores=True)
    for before, after in zip(said, given, strict=True):
        assert before.shape == (None, *after.shape[1:])
        assert before.dtype == keras.backend.standardize_dtype(after.dtype)
