"""What every public layer and model promises, checked row by row of `contract_table`."""

import importlib
import importlib.util
import inspect
import pkgutil

import keras
import numpy as np
import pytest
from contract_table import ROWS, Given, every_row, flat_arrays, perturb_weights, samples

import keras_emotion.layers
import keras_emotion.models

# Keras gives these to every layer; they are none of the contract's.
KERAS_ARGUMENTS = {"self", "name", "trainable", "dtype", "kwargs"}


def own_trainable(layer_class):
    parameters = inspect.signature(layer_class.__init__).parameters
    return {name: parameter for name, parameter in parameters.items() if name not in KERAS_ARGUMENTS}


def rows_of(layer_class):
    return [row for row in ROWS if row.layer is layer_class]


def public_layers():
    found = set()
    for package in (keras_emotion.layers, keras_emotion.models):
        for module_info in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            module = importlib.import_module(module_info.name)
            found |= {
                member
                for name, member in inspect.getmembers(module, inspect.isclass)
                if issubclass(member, keras.layers.Layer)
                and member.__module__ == module.__name__
                and not name.startswith("_")
            }
    return found


# The table itself


def test_table_has_every_public_layer_and_model():
    assert {layer_class.__name__ for layer_class in public_layers()} == {row.layer.__name__ for row in ROWS}


@pytest.mark.parametrize("layer_class", sorted(public_layers(), key=lambda layer: layer.__name__))
def test_table_has_every_argument(layer_class):
    parameters = own_trainable(layer_class)
    assert {name for row in rows_of(layer_class) for name in row.alive} == set(parameters)
    for name, parameter in parameters.items():
        assert any(row.arguments.get(name, parameter.default) != parameter.default for row in rows_of(layer_class)), (
            f"`{name}` of {layer_class.__name__} has its default value in every row"
        )


@every_row
def test_table_says_how_a_model_is_trained(row):
    assert (row.training is not None) == issubclass(row.layer, keras.Model)


@every_row
def test_trainable_numbers_are_those_counted_by_hand(row):
    if row.n_trainable is None:
        pytest.skip("counted in a test of its own")
    _, model = row.build()
    assert sum(np.prod(weight.shape, dtype=int) for weight in model.trainable_weights) == row.n_trainable


# Configuration


@every_row
def test_configuration_is_complete(row):
    layer, _ = row.build()
    config = layer.get_config()
    assert set(own_trainable(row.layer)) | {"name", "trainable", "dtype"} <= set(config)
    assert row.layer.from_config(config).get_config() == config
    revived = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert revived.get_config() == config


def fingerprint(row, **changes):
    """All that a caller can tell of a freshly built layer."""
    keras.utils.set_random_seed(0)
    layer, model = row.build(**changes)
    inputs = samples(model, np.random.default_rng(1))
    arrays = [*model.get_weights(), *flat_arrays(model(inputs, training=False))]
    return [(array.shape, array.tobytes()) for array in arrays], row.observed(layer)


@every_row
def test_every_argument_is_alive(row):
    base = fingerprint(row)
    assert fingerprint(row) == base, "the same arguments give another layer: nothing can be compared"
    dead = []
    for argument, alternative in row.alive.items():
        others, value = (alternative.others, alternative.value) if isinstance(alternative, Given) else ({}, alternative)
        if fingerprint(row, **others, **{argument: value}) == (fingerprint(row, **others) if others else base):
            dead.append(argument)
    assert dead == []


@every_row
def test_save_and_load_is_bit_equal(row, tmp_path):
    rng = np.random.default_rng(2)
    layer, model = row.build()
    perturb_weights(model, rng)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    inputs = samples(model, rng)
    for ours, theirs in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(theirs, ours)
    for ours, theirs in zip(flat_arrays(model(inputs)), flat_arrays(loaded(inputs)), strict=True):
        np.testing.assert_array_equal(theirs, ours)
    if layer is model:
        assert type(loaded) is row.layer
        assert loaded.get_config() == model.get_config()
        assert row.observed(loaded) == row.observed(model)


# Shapes and values


@every_row
@pytest.mark.parametrize("batch", [1, 3])
def test_symbolic_shapes_are_the_eager_shapes(row, batch):
    _, model = row.build()
    outputs = keras.tree.flatten(model(samples(model, np.random.default_rng(3), batch)))
    for symbolic, eager in zip(keras.tree.flatten(model.output), outputs, strict=True):
        assert symbolic.shape[0] is None
        assert (batch, *symbolic.shape[1:]) == tuple(eager.shape)
        assert symbolic.dtype == keras.backend.standardize_dtype(eager.dtype)


@every_row
def test_samples_are_independent_in_inference(row):
    rng = np.random.default_rng(4)
    _, model = row.build()
    perturb_weights(model, rng)
    inputs = samples(model, rng)
    changed = keras.tree.map_structure(lambda array: np.concatenate([array[:1], -2 * array[1:]]), inputs)
    before, after = (flat_arrays(model(batch, training=False)) for batch in (inputs, changed))
    for first, second in zip(before, after, strict=True):
        np.testing.assert_array_equal(first[0], second[0])
        assert (first[1:] != second[1:]).any()


class GradientsAsWeights(keras.optimizers.Optimizer):
    """Leaves in each weight its gradient: the one way to read gradients that every backend has."""

    def __init__(self):
        super().__init__(learning_rate=1.0)

    def update_step(self, gradient, variable, learning_rate):
        self.assign(variable, gradient)


@every_row
def test_every_trainable_weight_has_a_gradient(row):
    rng = np.random.default_rng(5)
    _, model = row.build()
    if not model.trainable_weights:
        pytest.skip("no trainable weight")
    perturb_weights(model, rng)
    inputs = samples(model, rng)
    cotangents = keras.tree.map_structure(
        lambda output: rng.standard_normal(output.shape).astype("float32"), model(inputs)
    )
    losses = keras.tree.map_structure(lambda _: lambda factor, output: keras.ops.sum(factor * output, -1), cotangents)
    model.compile(GradientsAsWeights(), loss=losses)
    model.train_on_batch(inputs, cotangents)
    gradients = {
        weight.path: values
        for weight, values in zip(model.weights, model.get_weights(), strict=True)
        if weight.trainable
    }
    assert all(np.isfinite(gradient).all() for gradient in gradients.values())
    zero = {path for path, gradient in gradients.items() if not gradient.any()}
    assert zero == set(row.without_gradient)


# Errors


@pytest.mark.parametrize(
    ("row", "argument", "value"),
    [
        pytest.param(row, argument, value, id=f"{number}-{row.layer.__name__}-{argument}-{value}")
        for number, row in enumerate(ROWS)
        for argument, value in row.rejected
    ],
)
def test_argument_out_of_range_is_named(row, argument, value):
    with pytest.raises(ValueError, match=f"`{argument}`") as caught:
        row.layer(**{**row.arguments, argument: value})
    assert repr(value) in str(caught.value)


@pytest.mark.parametrize(
    ("row", "shapes"),
    [
        pytest.param(row, shapes, id=f"{number}-{row.layer.__name__}-{shapes}")
        for number, row in enumerate(ROWS)
        for shapes in row.rejected_inputs
    ],
)
def test_input_of_a_wrong_shape_is_named(row, shapes):
    inputs = keras.tree.map_shape_structure(
        lambda shape: keras.KerasTensor(shape) if None in shape else np.zeros(shape, "float32"), shapes
    )
    ((name, shape),) = shapes.items() if isinstance(shapes, dict) else [("inputs", shapes)]
    with pytest.raises(ValueError, match=name) as caught:
        row.layer(**row.arguments)(inputs)
    assert str(shape) in str(caught.value)
