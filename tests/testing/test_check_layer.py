"""A correct layer passes the contract, and each single fault is found by its check.

Our own layers and models are checked in `tests/contract`.
"""

import keras
import numpy as np
import pytest

from keras_emotion.models import DGCNN
from keras_emotion.testing import check_layer
from keras_emotion.testing.layers import LAYER_CHECKS, TrainingStep

register = keras.saving.register_keras_serializable(package="test_check_layer")


@register
class Mixing(keras.layers.Layer):
    """Features mixed by a matrix: a dense layer of `units`, times `scale`."""

    def __init__(self, units, scale=1.0, **kwargs):
        super().__init__(**kwargs)
        if units < 1:
            raise ValueError(f"`units` is {units!r}; expected 1 or more")
        self.units, self.scale = units, scale

    def build(self, input_shape):
        if len(input_shape) != 2:
            raise ValueError(f"`inputs` has shape {tuple(input_shape)}; expected (batch, features)")
        self.kernel = self.add_weight(shape=(input_shape[-1], self.units), name="kernel")
        super().build(input_shape)

    def call(self, inputs):
        return self.scale * keras.ops.matmul(inputs, self.kernel)

    def get_config(self):
        return {**super().get_config(), "units": self.units, "scale": self.scale}


GOOD = {
    "arguments": {"units": 3, "scale": 0.5},
    "inputs": (4,),
    "alive": {"units": 2, "scale": 2.0},
    "rejected": (("units", 0),),
    "rejected_inputs": ((2, 3, 4),),
    "n_trainable": 12,
}


def test_a_sound_layer_passes():
    check_layer(Mixing, **GOOD)


@register
class ForgetsScale(Mixing):
    """Contract violated in one place, as the name says; likewise those below."""

    def get_config(self):
        return {name: value for name, value in super().get_config().items() if name != "scale"}


@register
class ForgetsScaleWhenRevived(Mixing):
    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "scale": 1.0})


@register
class IgnoresScale(Mixing):
    def call(self, inputs):
        return keras.ops.matmul(inputs, self.kernel)


@register
class LosesState(Mixing):
    def build(self, input_shape):
        super().build(input_shape)
        self.shift = float(np.random.default_rng().normal())

    def call(self, inputs):
        return super().call(inputs) + self.shift


@register
class MisstatesShape(Mixing):
    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.units + 1)


@register
class MixesSamples(Mixing):
    def call(self, inputs):
        return super().call(inputs - keras.ops.mean(inputs, axis=0, keepdims=True))


@register
class IgnoresInputs(Mixing):
    def call(self, inputs):
        return super().call(keras.ops.ones_like(inputs))


@register
class StopsGradient(Mixing):
    def call(self, inputs):
        return self.scale * keras.ops.matmul(inputs, keras.ops.stop_gradient(self.kernel))


@register
class SublayerInFloat32(Mixing):
    def build(self, input_shape):
        super().build(input_shape)
        self.after = keras.layers.Activation("linear", dtype="float32")

    def call(self, inputs):
        return self.after(super().call(inputs))


@register
class LosesDigits(Mixing):
    def call(self, inputs):
        return super().call(inputs + 300) - super().call(300 * keras.ops.ones_like(inputs))


@register
class OtherWhenCompiled(Mixing):
    def call(self, inputs):
        # Only TensorFlow's eager tensors have it.
        return super().call(inputs) * (1.0 if hasattr(inputs, "numpy") else 1.5)


@register
class TakesAnyUnits(Mixing):
    def __init__(self, units, scale=1.0, **kwargs):
        super().__init__(max(units, 1), scale, **kwargs)


@register
class NamesNoArgument(Mixing):
    def __init__(self, units, scale=1.0, **kwargs):
        if units < 1:
            raise ValueError("must be positive")
        super().__init__(units, scale, **kwargs)


@register
class TakesAnyShape(Mixing):
    def build(self, input_shape):
        super().build((None, input_shape[-1]))


@register
class KnowsEpsilon(Mixing):
    def call(self, inputs):
        return super().call(inputs) + keras.config.epsilon()


FAULTS = {
    "configuration": (ForgetsScale, ForgetsScaleWhenRevived),
    "alive_arguments": (IgnoresScale, LosesState),
    "global_settings": (KnowsEpsilon,),
    "shapes": (MisstatesShape,),
    "independent_samples": (MixesSamples, IgnoresInputs),
    "gradients": (StopsGradient,),
    "policy": (SublayerInFloat32,),
    "bfloat16": (LosesDigits,),
    "xla": (OtherWhenCompiled,),
    "rejected_arguments": (TakesAnyUnits, NamesNoArgument),
    "rejected_inputs": (TakesAnyShape,),
}
DECLARATIONS = {
    "no other value of an argument": ("arguments", {"alive": {"units": 2}}),
    "an argument at its default": ("arguments", {"arguments": {"units": 3}}),
    "another count of weights": ("trainable_numbers", {"n_trainable": 13}),
    "a weight without gradient that has one": ("gradients", {"without_gradient": {"mixing/kernel": "none"}}),
    "a sublayer off the policy that is none": ("policy", {"off_policy": {"softmax": "in float32"}}),
}


@pytest.mark.parametrize(
    ("check", "broken"), [(check, broken) for check, classes in FAULTS.items() for broken in classes]
)
def test_a_broken_layer_is_caught(check, broken):
    if check == "xla" and keras.backend.backend() != "tensorflow":
        pytest.skip("only eager tensors of TensorFlow are told from others")
    with pytest.raises(AssertionError, match=f"^{broken.__name__}: check '{check}': "):
        check_layer(broken, **GOOD)


@pytest.mark.parametrize("declaration", DECLARATIONS)
def test_a_wrong_declaration_is_caught(declaration):
    check, changes = DECLARATIONS[declaration]
    with pytest.raises(AssertionError, match=f"^Mixing: check '{check}': "):
        check_layer(Mixing, **GOOD | changes)


@register
class WithSilentState(Mixing):
    """Its state is drawn under the seed, so that two are alike, but it is not saved."""

    def build(self, input_shape):
        super().build(input_shape)
        self.shift = float(keras.random.normal((), seed=keras.random.SeedGenerator()))

    def call(self, inputs):
        return super().call(inputs) + self.shift


def test_state_that_is_not_saved_is_caught():
    with pytest.raises(AssertionError, match="check 'save_and_load': "):
        check_layer(WithSilentState, **GOOD)


def test_training_that_moves_nothing_is_caught():
    arguments = {"n_channels": 4, "n_features": 2, "filters": 3, "hidden_units": None, "scale_features": False}

    def check(loss):
        training = TrainingStep(
            lambda: {"loss": loss}, lambda model, rng, batch: rng.integers(0, model.n_classes, batch)
        )
        others = set(LAYER_CHECKS) - {"training_step"}
        check_layer(DGCNN, arguments, training=training, skip=others)

    check("sparse_categorical_crossentropy")
    with pytest.raises(AssertionError, match="check 'training_step': a training step changes no weight"):
        check(lambda labels, outputs: 0.0 * keras.ops.sum(outputs, axis=-1))
    with pytest.raises(AssertionError, match="check 'training_step': weights are not finite after a training step"):
        check(lambda labels, outputs: float("inf") * keras.ops.sum(outputs, axis=-1))


@register
class WithOwnLoss(keras.Model):
    """The square of its first output, whatever the targets: the gradient of its second layer is zero."""

    def __init__(self, **kwargs):
        inputs = keras.Input((3,))
        super().__init__(inputs, [keras.layers.Dense(1, name=name)(inputs) for name in ("first", "second")], **kwargs)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return keras.ops.mean(keras.ops.square(y_pred[0]) + 0.0 * y_pred[1])


def test_gradients_of_a_model_with_its_own_loss_are_those_of_that_loss():
    training = TrainingStep(dict, lambda model, rng, batch: np.zeros(batch))
    arguments = {"arguments": {}, "skip": set(LAYER_CHECKS) - {"gradients"}}
    silent = dict.fromkeys(("second/kernel", "second/bias"), "not in the loss")
    check_layer(WithOwnLoss, **arguments, training=training, without_gradient=silent)
    with pytest.raises(AssertionError, match=r"gradients of zero: .*second/bias"):
        check_layer(WithOwnLoss, **arguments, training=training)
    with pytest.raises(AssertionError, match="its own `compute_loss` needs `training`"):
        check_layer(WithOwnLoss, **arguments)


def test_every_check_catches_a_fault():
    caught = set(FAULTS) | {check for check, _ in DECLARATIONS.values()} | {"save_and_load", "training_step"}
    assert caught == set(LAYER_CHECKS)
