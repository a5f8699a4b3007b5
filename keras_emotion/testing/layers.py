"""Contract checks of Keras layers and models.

Every check builds the layer on the current Keras backend; use another `KERAS_BACKEND` to check it there.
"""

from __future__ import annotations

import dataclasses
import inspect
import operator
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_emotion.testing.named_checks import compile_options, require, required, run_checks

if TYPE_CHECKING:
    import keras

KERAS_ARGUMENTS = ("self", "name", "trainable", "dtype", "kwargs")
"""Arguments of every Keras layer, which are not part of the contract."""


@dataclasses.dataclass(frozen=True)
class Alternative:
    """Alternative value of an argument that is meaningful only together with other arguments.

    Args:
        value: the value.
        others: the other arguments, by name.
    """

    value: Any
    others: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class TrainingStep:
    """Training of a model.

    Args:
        losses: returns the arguments of `compile`.
        targets: returns the targets of a batch, from the model, a random generator and the number of samples.
    """

    losses: Callable[[], Mapping[str, Any]]
    targets: Callable[[keras.Model, np.random.Generator, int], Any]


@dataclasses.dataclass(frozen=True)
class LayerCase:
    """Contract test case of a layer or model.

    Args:
        layer: the class.
        arguments: constructor arguments, if possible none at its default.
        inputs: input shapes without the batch, a tuple or a nest of them; not needed for a model.
        alive: another value for each argument, which must change outputs, weights or the result of `observed`.
        rejected: pairs of an argument and a value that it must refuse.
        rejected_inputs: input shapes, batch included, that must be refused.
        wrap: converts the layer to a callable on the inputs (a cell to a recurrent layer).
        off_policy: sublayers with their own dtype policy, with the reason.
        without_gradient: trainable weights whose gradient is zero by design, with the reason.
        observed: returns effects of an argument other than outputs and weights, of a layer that may have been built
            but not yet called on values.
        training: training of a model.
        n_trainable: number of trainable parameters of this configuration, counted by hand; `None` if not counted.
        bfloat16_tolerance: largest difference between an output under mixed_bfloat16 and in float32, relative to the
            largest value of the output. The default is for some ten roundings of 0.4 %; a square has twice the error.
    """

    layer: type
    arguments: Mapping[str, Any]
    inputs: Any = None
    alive: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    rejected: Sequence[tuple[str, Any]] = ()
    rejected_inputs: Sequence[Any] = ()
    wrap: Callable = lambda layer: layer
    off_policy: Mapping[str, str] = dataclasses.field(default_factory=dict)
    without_gradient: Mapping[str, str] = dataclasses.field(default_factory=dict)
    observed: Callable = lambda layer: None
    training: TrainingStep | None = None
    n_trainable: int | None = None
    bfloat16_tolerance: float = 0.05

    def build(self, dtype: str = "float32", **changes: Any) -> tuple[keras.layers.Layer, keras.Model]:
        """Build the layer or model, and a model to call it with (the model itself, if it is one)."""
        import keras

        layer = self.layer(**{**self.arguments, **changes}, dtype=dtype)
        if isinstance(layer, keras.Model):
            return layer, layer
        inputs = keras.tree.map_shape_structure(lambda shape: keras.Input(shape), self.inputs)
        return layer, keras.Model(inputs, self.wrap(layer)(inputs))


def check_layer(
    layer_class: type, arguments: Mapping[str, Any], inputs: Any = None, *, skip: Collection[str] = (), **expected: Any
) -> None:
    """Check a Keras layer or model against the contract of the layers of this package.

    `LAYER_CHECKS` lists the checks: the configuration is complete and every argument in it has an effect; a saved and
    loaded layer is identical bit for bit; other global Keras settings have no effect; symbolic shapes equal eager ones;
    samples do not influence each other in inference; every trainable weight has a finite gradient; sublayers follow the
    dtype policy; bfloat16 and XLA agree with float32 and eager execution; invalid arguments and input shapes are
    refused by name.

    Args:
        layer_class: the class, registered with `keras.saving.register_keras_serializable`.
        arguments: constructor arguments, if possible none at its default.
        inputs: input shapes without the batch, a tuple or a nest of them; not needed for a model.
        skip: names of checks to skip.
        **expected: further fields of `LayerCase`; `alive` needs another value for every argument.

    Raises:
        AssertionError: a check failed; the message names the check and the reason.

    Example:
        >>> from keras_emotion.layers import ModalityAttention
        >>> check_layer(
        ...     ModalityAttention,
        ...     {"kernel_initializer": "he_normal"},
        ...     inputs=(2, 5),
        ...     alive={"kernel_initializer": "ones"},
        ...     rejected_inputs=((2, 5),),
        ... )
    """
    import keras

    case = LayerCase(layer_class, arguments, inputs, **expected)
    run_checks(layer_class.__name__, LAYER_CHECKS, case, skip, prepare=lambda: keras.utils.set_random_seed(0))


# --- shared functions


def own_arguments(layer_class: Any) -> dict[str, inspect.Parameter]:
    """Return the constructor's parameters, except those of every Keras layer."""
    parameters = inspect.signature(layer_class.__init__).parameters
    return {name: parameter for name, parameter in parameters.items() if name not in KERAS_ARGUMENTS}


def random_inputs(model: keras.Model, rng: np.random.Generator, batch: int = 4) -> Any:
    """Draw inputs of a model from a normal distribution."""
    import keras

    return keras.tree.map_structure(
        lambda tensor: rng.standard_normal((batch, *tensor.shape[1:])).astype("float32"), model.input
    )


def perturb_weights(model: keras.Model, rng: np.random.Generator) -> None:
    """Move every weight away from initial values (zeros, ones) that could hide an error."""
    model.set_weights([weight + 0.3 * rng.standard_normal(weight.shape) for weight in model.get_weights()])


def flat_arrays(outputs: Any) -> list[np.ndarray]:
    """Return the arrays of a nest of outputs, in the order of the nest."""
    import keras

    return [keras.ops.convert_to_numpy(output) for output in keras.tree.flatten(outputs)]


def train(case: LayerCase, model: keras.Model, inputs: Any, targets: Any, sample_weight: np.ndarray) -> None:
    """Train a model for one step of gradient descent by plain `fit`.

    One step only: afterwards, rounding decides whether a ReLU near 0 passes a gradient, and backends differ.
    """
    import keras

    training = required(case.training, "a model that is trained needs `training`")
    model.compile(keras.optimizers.SGD(0.1), **training.losses())
    model.fit(
        inputs,
        targets,
        sample_weight=sample_weight,
        batch_size=len(sample_weight),
        epochs=1,
        shuffle=False,
        verbose=0,
    )


# --- configuration


def check_arguments(cases: Sequence[LayerCase]) -> None:
    """Check that the cases of a class try another value of each argument, and each argument at a non-default value."""
    parameters = own_arguments(cases[0].layer)
    tried = {name for case in cases for name in case.alive}
    require(tried == set(parameters), f"`alive` names {sorted(tried)}; expected every argument, {sorted(parameters)}")
    for name, parameter in parameters.items():
        has_other_value = any(case.arguments.get(name, parameter.default) != parameter.default for case in cases)
        require(has_other_value, f"`{name}` has its default value in `arguments`; expected another one")


def check_trainable_numbers(case: LayerCase) -> None:
    """Check the number of trainable parameters against the one counted by hand."""
    if case.n_trainable is None:
        return
    _, model = case.build()
    found = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
    require(found == case.n_trainable, f"{found} trainable numbers; expected {case.n_trainable}")


def check_configuration(case: LayerCase) -> None:
    """Check that `get_config` names every argument, and that a layer made from it has the same configuration."""
    import keras

    layer, _ = case.build()
    config = layer.get_config()
    missing = {*own_arguments(case.layer), "name", "trainable", "dtype"} - set(config)
    require(not missing, f"get_config() lacks {', '.join(sorted(missing))}")
    kind: Any = case.layer
    again = kind.from_config(config).get_config()
    require(again == config, f"from_config(get_config()) has the configuration {again}; expected {config}")
    revived = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer)).get_config()
    require(revived == config, f"serialized and deserialized, the configuration is {revived}; expected {config}")


def check_alive_arguments(case: LayerCase) -> None:
    """Check that another value of any argument changes outputs, weights or the result of `observed`."""
    base = _fingerprint(case)
    require(_fingerprint(case) == base, "built twice with one seed, two layers differ: no comparison is possible")
    dead = []
    for argument, value in case.alive.items():
        others: Mapping[str, Any] = {}
        if isinstance(value, Alternative):
            others, value = value.others, value.value
        expected = _fingerprint(case, **others) if others else base
        # Up to the first difference: layers with different weights or effects are not called.
        if all(map(operator.eq, _traits(case, **others, **{argument: value}), expected)):
            dead.append(argument)
    require(not dead, f"arguments without any effect: {', '.join(dead)}")


def _fingerprint(case: LayerCase, **changes: Any) -> list[Any]:
    """Return everything observable about a newly built layer."""
    return [*_traits(case, **changes)]


def _traits(case: LayerCase, **changes: Any) -> Iterator[Any]:
    """Yield the same, starting with its weights: outputs take longest and come last."""
    import keras

    keras.utils.set_random_seed(0)
    layer, model = case.build(**changes)
    yield _bytes_of(model.get_weights())
    yield case.observed(layer)
    inputs = random_inputs(model, np.random.default_rng(1))
    yield _bytes_of(flat_arrays(model(inputs, training=False)))


def _bytes_of(arrays: Sequence[np.ndarray]) -> list[tuple]:
    return [(array.shape, array.tobytes()) for array in arrays]


def check_save_and_load(case: LayerCase) -> None:
    """Check that weights and outputs are identical bit for bit after saving as `.keras` and loading."""
    import keras

    rng = np.random.default_rng(2)
    layer, model = case.build()
    perturb_weights(model, rng)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        model.save(path)
        loaded = keras.models.load_model(path)
    inputs = random_inputs(model, rng)
    for ours, theirs in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(theirs, ours, "a loaded weight differs from the saved one")
    for ours, theirs in zip(flat_arrays(model(inputs)), flat_arrays(loaded(inputs)), strict=True):
        np.testing.assert_array_equal(theirs, ours, "an output of the loaded model differs from that of the saved one")
    if layer is model:
        require(type(loaded) is case.layer, f"loaded as {type(loaded).__name__}; expected {case.layer.__name__}")
        require(loaded.get_config() == model.get_config(), "the loaded model has another configuration")
        require(case.observed(loaded) == case.observed(model), "`observed` differs after loading")


def check_global_settings(case: LayerCase) -> None:
    """Check that results do not depend on other global Keras settings.

    The settings are the order of axes, the default precision and epsilon, as in a file in a user's home.
    """
    import keras

    expected = _fingerprint(case)
    config = keras.config
    others = {"image_data_format": "channels_first", "floatx": "float64", "epsilon": 0.1}
    before = {name: getattr(config, name)() for name in others}
    for name, value in others.items():
        getattr(config, f"set_{name}")(value)
    try:
        found = _fingerprint(case)
    finally:
        for name, value in before.items():
            getattr(config, f"set_{name}")(value)
    require(found == expected, f"under {others} weights or outputs differ")


# --- shapes and values


def check_shapes(case: LayerCase, batches: Sequence[int] = (1, 3)) -> None:
    """Check that symbolic shapes and dtypes, for any number of samples, equal those of eager outputs."""
    import keras

    _, model = case.build()
    for batch in batches:
        outputs = keras.tree.flatten(model(random_inputs(model, np.random.default_rng(3), batch)))
        for symbolic, eager in zip(keras.tree.flatten(model.output), outputs, strict=True):
            require(symbolic.shape[0] is None, f"an output of symbolic shape {symbolic.shape} fixes the batch size")
            expected = (batch, *symbolic.shape[1:])
            require(expected == tuple(eager.shape), f"symbolic shape {expected}, eager shape {tuple(eager.shape)}")
            dtype = _standard_dtype(eager)
            require(symbolic.dtype == dtype, f"symbolic dtype {symbolic.dtype}, eager dtype {dtype}")


def _standard_dtype(tensor: Any) -> str:
    import keras

    return keras.backend.standardize_dtype(tensor.dtype)


def check_independent_samples(case: LayerCase) -> None:
    """Check that, in inference, the output of a sample does not depend on other samples of the batch."""
    import keras

    rng = np.random.default_rng(4)
    _, model = case.build()
    perturb_weights(model, rng)
    inputs = random_inputs(model, rng)
    changed = keras.tree.map_structure(lambda array: np.concatenate([array[:1], -2 * array[1:]]), inputs)
    before, after = (flat_arrays(model(batch, training=False)) for batch in (inputs, changed))
    for first, second in zip(before, after, strict=True):
        np.testing.assert_array_equal(first[0], second[0], "an output depends on other samples of its batch")
        require((first[1:] != second[1:]).any(), "an output does not depend on the inputs")


def check_gradients(case: LayerCase) -> None:
    """Check that every trainable weight has a finite non-zero gradient, except those in `without_gradient`.

    The gradient is that of a random combination of the outputs; for a model with its own `compute_loss`, of that.
    """
    import keras

    class GradientsAsWeights(keras.optimizers.Optimizer):
        """Store in each weight its gradient: the only way to read gradients that works on every backend."""

        def __init__(self):
            super().__init__(learning_rate=1.0)

        def update_step(self, gradient, variable, learning_rate):
            self.assign(variable, gradient)

    rng = np.random.default_rng(5)
    _, model = case.build()
    if not model.trainable_weights:
        return
    perturb_weights(model, rng)
    inputs = random_inputs(model, rng)
    if type(model).compute_loss is not keras.Model.compute_loss:
        training = required(case.training, "a model with its own `compute_loss` needs `training`")
        losses, targets = training.losses(), training.targets(model, rng, 4)
    else:
        targets = keras.tree.map_structure(
            lambda output: rng.standard_normal(output.shape).astype("float32"), model(inputs)
        )
        loss = keras.tree.map_structure(lambda _: lambda factor, output: keras.ops.sum(factor * output, -1), targets)
        losses = {"loss": loss}
    model.compile(GradientsAsWeights(), **losses, **compile_options())
    model.train_on_batch(inputs, targets)
    gradients = {
        weight.path: values
        for weight, values in zip(model.weights, model.get_weights(), strict=True)
        if weight.trainable
    }
    infinite = [path for path, gradient in gradients.items() if not np.isfinite(gradient).all()]
    require(not infinite, f"gradients that are not finite: {', '.join(infinite)}")
    zero = {path for path, gradient in gradients.items() if not gradient.any()}
    require(zero == set(case.without_gradient), f"gradients of zero: {sorted(zero)}; expected {case.without_gradient}")


# --- numerics


def check_policy(case: LayerCase, policies: Sequence[str] = ("mixed_float16", "mixed_bfloat16")) -> None:
    """Check that every sublayer, except those in `off_policy`, follows the dtype policy, and weights are float32."""
    import keras

    for policy in policies:
        layer, model = case.build(dtype=policy)
        sublayers = [
            sublayer
            for sublayer in (model if layer is model else case.wrap(layer))._flatten_layers()
            if not isinstance(sublayer, keras.layers.InputLayer)
        ]
        off_policy = {sublayer.name for sublayer in sublayers if sublayer.dtype_policy.name != policy}
        require(
            off_policy == set(case.off_policy),
            f"sublayers that do not follow {policy}: {sorted(off_policy)}; expected {sorted(case.off_policy)}",
        )
        dtypes = {_standard_dtype(weight) for weight in model.weights}
        require(dtypes <= {"float32"}, f"weights under {policy} are {sorted(dtypes)}; expected float32")
        if not case.off_policy:
            computed = {output.dtype for output in keras.tree.flatten(model.output)}
            expected = policy.removeprefix("mixed_")
            require(computed == {expected}, f"outputs under {policy} are {sorted(computed)}; expected {expected}")


def check_bfloat16(case: LayerCase) -> None:
    """Check that outputs under mixed_bfloat16 agree with those in float32."""
    import keras

    rng = np.random.default_rng(6)
    # Initial weights: those of `perturb_weights` would saturate the gates of a network and amplify rounding.
    _, reference = case.build()
    _, model = case.build(dtype="mixed_bfloat16")
    model.set_weights(reference.get_weights())
    inputs = random_inputs(model, rng)
    outputs = keras.tree.flatten(model(inputs))
    for symbolic, output, expected in zip(
        keras.tree.flatten(model.output), outputs, flat_arrays(reference(inputs)), strict=True
    ):
        dtype = _standard_dtype(output)
        require(dtype == symbolic.dtype, f"an output is {dtype} but symbolically {symbolic.dtype}")
        values = keras.ops.convert_to_numpy(keras.ops.cast(output, "float32"))
        # bfloat16 has 8 bits of precision (0.4 %); a network accumulates some ten such roundings.
        np.testing.assert_allclose(values, expected, atol=case.bfloat16_tolerance * np.abs(expected).max())


def check_xla(case: LayerCase) -> None:
    """Check that outputs compiled by XLA agree with eager ones; skipped on PyTorch, which XLA does not compile."""
    import keras

    if keras.backend.backend() == "torch":
        return
    rng = np.random.default_rng(7)
    _, model = case.build()
    perturb_weights(model, rng)
    inputs = random_inputs(model, rng)
    eager = flat_arrays(model(inputs))
    model.compile(jit_compile=True)
    for compiled, expected in zip(flat_arrays(model.predict_on_batch(inputs)), eager, strict=True):
        np.testing.assert_allclose(compiled, expected, rtol=1e-4, atol=1e-5)


def check_training_step(case: LayerCase) -> None:
    """Check that a training step of a model changes its weights, and leaves them finite."""
    if case.training is None:
        return
    rng = np.random.default_rng(8)
    _, model = case.build()
    inputs, before = random_inputs(model, rng), model.get_weights()
    train(case, model, inputs, case.training.targets(model, rng, 4), np.ones(4, "float32"))
    after = model.get_weights()
    require(all(np.isfinite(weight).all() for weight in after), "weights are not finite after a training step")
    moved = any((one != other).any() for one, other in zip(before, after, strict=True))
    require(moved, "a training step changes no weight")


# --- errors


def check_rejected_argument(case: LayerCase, argument: str, value: Any) -> None:
    """Check that an argument out of range raises a `ValueError` that names argument and value."""
    error = _value_error(lambda: case.layer(**{**case.arguments, argument: value}), f"`{argument}` is {value!r}")
    for needed in (f"`{argument}`", repr(value)):
        require(needed in error, f"`{argument}` is {value!r} and the message does not name {needed}: {error}")


def check_rejected_input(case: LayerCase, shapes: Any) -> None:
    """Check that unsupported input shapes raise a `ValueError` that names the shape, and for a model the input."""
    import keras

    inputs = keras.tree.map_shape_structure(
        lambda shape: keras.KerasTensor(shape) if None in shape else np.zeros(shape, "float32"), shapes
    )
    ((name, shape),) = shapes.items() if isinstance(shapes, dict) else [("inputs", shapes)]
    error = _value_error(lambda: case.layer(**case.arguments)(inputs), f"the input has shape {shapes}")
    for needed in (name, str(shape)):
        require(needed in error, f"the input has shape {shapes} and the message does not name {needed}: {error}")


def _value_error(call: Callable[[], Any], what: str) -> str:
    """Return the message of the `ValueError` that a call raises."""
    try:
        call()
    except ValueError as error:
        return str(error)
    raise AssertionError(f"{what}, but no ValueError is raised")


def _check_rejected_arguments(case: LayerCase) -> None:
    for argument, value in case.rejected:
        check_rejected_argument(case, argument, value)


def _check_rejected_inputs(case: LayerCase) -> None:
    for shapes in case.rejected_inputs:
        check_rejected_input(case, shapes)


LAYER_CHECKS: Mapping[str, Callable[[LayerCase], None]] = {
    "arguments": lambda case: check_arguments([case]),
    "configuration": check_configuration,
    "alive_arguments": check_alive_arguments,
    "trainable_numbers": check_trainable_numbers,
    "save_and_load": check_save_and_load,
    "global_settings": check_global_settings,
    "shapes": check_shapes,
    "independent_samples": check_independent_samples,
    "gradients": check_gradients,
    "policy": check_policy,
    "bfloat16": check_bfloat16,
    "xla": check_xla,
    "training_step": check_training_step,
    "rejected_arguments": _check_rejected_arguments,
    "rejected_inputs": _check_rejected_inputs,
}
"""Checks of `check_layer` by name, in their order."""
