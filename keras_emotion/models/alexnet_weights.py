"""Released weights of AlexNet: conversion from torchvision to Keras layers."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from keras_emotion.models.weight_files import check_names, finite_floats, read_state
from keras_emotion.schema import InputError

CONVOLUTIONS = {"conv1": 11, "conv2": 5, "conv3": 3, "conv4": 3, "conv5": 3}
"""Side of the kernels of each convolution."""

DENSE_LAYERS = ("fc6", "fc7")
_RELEASED = dict(
    zip(
        (*CONVOLUTIONS, *DENSE_LAYERS),
        (*(f"features.{place}" for place in (0, 3, 6, 8, 10)), "classifier.1", "classifier.4"),
        strict=True,
    )
)
_KINDS = ("weight", "bias")
# The ImageNet classifier after fc7.
_LEFT_OUT = ("classifier.6.weight", "classifier.6.bias")


@dataclasses.dataclass(frozen=True)
class AlexNetWeights:
    """Released weights of AlexNet up to fc7, complete and of consistent shapes.

    Args:
        where: the file, or a description of a mapping: start of messages.
        side: rows and columns of the maps that fc6 reads.
        layers: kernel and bias in Keras's layout, float32, by the name of our layer.
    """

    where: str
    side: int
    layers: Mapping[str, list[np.ndarray]]

    @classmethod
    def read(cls, source):
        """Read and check a file or a mapping.

        Raises:
            InputError: a weight is missing, unknown, or invalid.
        """
        where, state = read_state(source, "features.0.weight")
        state = {name: value for name, value in state.items() if name not in _LEFT_OUT}
        if not any(name.startswith(("features.", "classifier.")) for name in state):
            found = ", ".join(list(state)[:3]) or "nothing"
            raise InputError(f"{where}: no weights of `features` and `classifier`; expected AlexNet's, found {found}")
        check_names(where, state, [f"{name}.{kind}" for name in _RELEASED.values() for kind in _KINDS], "AlexNet")
        layers, n_inputs, side = {}, 3, 1
        for layer, name in _RELEASED.items():
            kernel, bias = (finite_floats(where, f"{name}.{kind}", state[f"{name}.{kind}"]) for kind in _KINDS)
            shape, n_axes = kernel.shape, 4 if layer in CONVOLUTIONS else 2
            if kernel.ndim != n_axes:
                raise InputError(f"{where}: `{name}.weight` has shape {shape}; expected {n_axes} axes")
            n_outputs = shape[0]
            places = (CONVOLUTIONS[layer],) * 2 if layer in CONVOLUTIONS else ()
            if layer == DENSE_LAYERS[0]:
                # The maps are square.
                side = max(1, round((shape[1] / n_inputs) ** 0.5))
                n_inputs *= side**2
            if shape != (n_outputs, n_inputs, *places):
                raise InputError(
                    f"{where}: `{name}.weight` has shape {shape}; expected {(n_outputs, n_inputs, *places)}"
                )
            if bias.shape != (n_outputs,):
                raise InputError(f"{where}: `{name}.bias` has shape {bias.shape}; expected {(n_outputs,)}")
            if layer == DENSE_LAYERS[0]:
                # PyTorch flattens (channel, row, column), Keras (row, column, channel).
                kernel = kernel.reshape(n_outputs, -1, side, side).transpose(0, 2, 3, 1).reshape(n_outputs, -1)
            # PyTorch's (out, in, places) is (places, in, out) in Keras; both correlate, without flipping the kernel.
            layers[layer], n_inputs = [np.moveaxis(kernel, (0, 1), (-1, -2)), bias], n_outputs
        return cls(where, side, layers)

    @property
    def sizes(self):
        """Arguments of the network, from the shapes."""
        n_outputs = {layer: len(bias) for layer, (_, bias) in self.layers.items()}
        return {
            "filters": tuple(n_outputs[layer] for layer in CONVOLUTIONS),
            "units": tuple(n_outputs[layer] for layer in DENSE_LAYERS),
        }
