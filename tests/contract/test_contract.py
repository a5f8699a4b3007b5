"""What every public layer and model promises, checked row by row of `contract_table`."""

import importlib
import importlib.util
import inspect
import os
import pkgutil
import subprocess
import sys
import zlib
from pathlib import Path

import keras
import numpy as np
import pytest
from contract_table import ROWS, Given, flat_arrays, perturb_weights, samples, train

import keras_emotion.layers
import keras_emotion.models

# Keras gives these to every layer; they are none of the contract's.
KERAS_ARGUMENTS = {"self", "name", "trainable", "dtype", "kwargs"}
OTHER_BACKENDS = sorted({"tensorflow", "jax", "torch"} - {keras.backend.backend()})


@pytest.fixture(autouse=True)
def seeded():
    """The same initial weights in every run."""
    keras.utils.set_random_seed(0)


every_row = pytest.mark.parametrize(
    "row", ROWS, ids=[f"{number}-{row.layer.__name__}" for number, row in enumerate(ROWS)]
)


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


@every_row
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_every_sublayer_follows_the_policy(row, policy):
    layer, model = row.build(dtype=policy)
    sublayers = [
        sublayer
        for sublayer in (model if layer is model else row.wrap(layer))._flatten_layers()
        if not isinstance(sublayer, keras.layers.InputLayer)
    ]
    off_policy = {sublayer.name for sublayer in sublayers if sublayer.dtype_policy.name != policy}
    assert off_policy == set(row.off_policy)
    assert {keras.backend.standardize_dtype(weight.dtype) for weight in model.weights} <= {"float32"}
    if not row.off_policy:
        assert {output.dtype for output in keras.tree.flatten(model.output)} == {policy.removeprefix("mixed_")}


@every_row
def test_bfloat16_agrees_with_float32(row):
    rng = np.random.default_rng(6)
    # The weights as they start: those of `perturb_weights` would saturate the gates of a network and blow up rounding.
    _, reference = row.build()
    _, model = row.build(dtype="mixed_bfloat16")
    model.set_weights(reference.get_weights())
    inputs = samples(model, rng)
    outputs = keras.tree.flatten(model(inputs))
    for symbolic, output, expected in zip(
        keras.tree.flatten(model.output), outputs, flat_arrays(reference(inputs)), strict=True
    ):
        assert keras.backend.standardize_dtype(output.dtype) == symbolic.dtype
        values = keras.ops.convert_to_numpy(keras.ops.cast(output, "float32"))
        # bfloat16 keeps 8 bits (0.4 %); a network passes through some ten such roundings.
        np.testing.assert_allclose(values, expected, atol=0.05 * np.abs(expected).max())


@pytest.mark.skipif(keras.backend.backend() == "torch", reason="XLA compiles TensorFlow and JAX")
@every_row
def test_xla_agrees_with_eager(row):
    rng = np.random.default_rng(7)
    _, model = row.build()
    perturb_weights(model, rng)
    inputs = samples(model, rng)
    eager = flat_arrays(model(inputs))
    model.compile(jit_compile=True)
    for compiled, expected in zip(flat_arrays(model.predict_on_batch(inputs)), eager, strict=True):
        np.testing.assert_allclose(compiled, expected, rtol=1e-4, atol=1e-5)


# Other backends


@pytest.fixture(scope="module")
def folder_of_results(tmp_path_factory):
    """Results of the table on this backend, in memory, and the folder where other backends write theirs."""
    folder = tmp_path_factory.mktemp("backends")
    results = []
    for number, row in enumerate(ROWS):
        # Numbers of its own for each row, whatever rows stand before it.
        own = [one for one in ROWS if one.layer is row.layer].index(row)
        seed = zlib.crc32(f"{row.layer.__name__} {own}".encode())
        rng = np.random.default_rng(seed)
        keras.utils.set_random_seed(seed)
        _, model = row.build()
        perturb_weights(model, rng)
        inputs = samples(model, rng)
        stored = {f"weight_{index}": weight for index, weight in enumerate(model.get_weights())}
        stored |= {f"input_{index}": array for index, array in enumerate(keras.tree.flatten(inputs))}
        result = {f"output_{index}": array for index, array in enumerate(flat_arrays(model(inputs, training=False)))}
        if row.training:
            targets = row.training.targets(model, rng, 4)
            stored |= {f"target_{index}": array for index, array in enumerate(keras.tree.flatten(targets))}
            stored["sample_weight"] = np.array([1.0, 2.0, 1.0, 0.0], "float32")
            train(row, model, inputs, targets, stored["sample_weight"])
            result |= {f"trained_{index}": weight for index, weight in enumerate(model.get_weights())}
        np.savez(folder / f"{number}.npz", **stored)
        results.append(result)
    return folder, results


@pytest.fixture(scope="module", params=OTHER_BACKENDS)
def other_backend(request, folder_of_results):
    if importlib.util.find_spec(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    folder, results = folder_of_results
    search_path = os.pathsep.join([str(Path(keras_emotion.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    process = subprocess.run(
        [sys.executable, Path(__file__).with_name("other_backend.py"), folder],
        env={
            **os.environ,
            "KERAS_BACKEND": request.param,
            "PYTHONPATH": search_path,
            # JAX compiles each shape anew: what it computes is the question here, not how fast.
            "XLA_FLAGS": "--xla_backend_optimization_level=0",
        },
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    return request.param, folder, results


@pytest.mark.parametrize(
    "number", range(len(ROWS)), ids=[f"{number}-{row.layer.__name__}" for number, row in enumerate(ROWS)]
)
def test_other_backend_gives_the_same_values(number, other_backend):
    backend, folder, results = other_backend
    with np.load(folder / f"{number}_{backend}.npz") as others:
        assert set(others.files) == set(results[number])
        for name, expected in results[number].items():
            # A weight after a step carries the rounding of all the gradients that were summed up for it, however
            # small it is itself: it is judged by the largest of its tensor.
            atol = 1e-4 * abs(expected).max() if name.startswith("trained_") else 1e-5
            np.testing.assert_allclose(others[name], expected, rtol=1e-4, atol=atol, err_msg=name)


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
