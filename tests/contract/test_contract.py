"""What every public layer and model promises, checked row by row of `contract_table`.

The checks are those of `keras_emotion.testing.check_layer`, one test each, so that a failure names check and row.
"""

import importlib
import inspect
import pkgutil

import keras
import pytest
from contract_table import ROWS, built_once, every_row

import keras_emotion.layers
import keras_emotion.models
from keras_emotion.testing import layers


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
    layers.check_arguments([row for row in ROWS if row.layer is layer_class])


@every_row
def test_table_says_how_a_model_is_trained(row):
    assert (row.training is not None) == issubclass(row.layer, keras.Model)


@every_row
def test_trainable_numbers_are_those_counted_by_hand(row):
    if row.n_trainable is None:
        pytest.skip("counted in a test of its own")
    layers.check_trainable_numbers(built_once(row))


# Configuration


@every_row
def test_configuration_is_complete(row):
    layers.check_configuration(built_once(row))


@every_row
def test_every_argument_is_alive(row):
    layers.check_alive_arguments(row)


@every_row
def test_save_and_load_is_bit_equal(row):
    layers.check_save_and_load(built_once(row))


@pytest.mark.parametrize("row", {row.layer.__name__: row for row in ROWS}.values(), ids=lambda row: row.layer.__name__)
def test_global_settings_change_nothing(row):
    layers.check_global_settings(row)


# Shapes and values


@every_row
@pytest.mark.parametrize("batch", [1, 3])
def test_symbolic_shapes_are_the_eager_shapes(row, batch):
    layers.check_shapes(built_once(row), batches=(batch,))


@every_row
def test_samples_are_independent_in_inference(row):
    layers.check_independent_samples(built_once(row))


@every_row
def test_every_trainable_weight_has_a_gradient(row):
    _, model = built_once(row).build()
    if not model.trainable_weights:
        pytest.skip("no trainable weight")
    layers.check_gradients(row)


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
    layers.check_rejected_argument(row, argument, value)


@pytest.mark.parametrize(
    ("row", "shapes"),
    [
        pytest.param(row, shapes, id=f"{number}-{row.layer.__name__}-{shapes}")
        for number, row in enumerate(ROWS)
        for shapes in row.rejected_inputs
    ],
)
def test_input_of_a_wrong_shape_is_named(row, shapes):
    layers.check_rejected_input(row, shapes)
