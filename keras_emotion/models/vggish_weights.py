"""Released weights of VGGish: conversion from the PyTorch port or TF-Slim to Keras layers."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from keras_emotion.models.weight_files import check_names, finite_floats, read_state
from keras_emotion.schema import InputError

CONVOLUTIONS = ("conv1", "conv2", "conv3_1", "conv3_2", "conv4_1", "conv4_2")
DENSE_LAYERS = ("fc1_1", "fc1_2", "fc2")
_LAYERS = CONVOLUTIONS + DENSE_LAYERS
# Names of layers, kernels and biases, each in the order of this package's network.
_PORT = (
    (*(f"features.{place}" for place in (0, 3, 6, 8, 11, 13)), *(f"embeddings.{place}" for place in (0, 2, 4))),
    (".weight", ".bias"),
)
_SLIM = (
    (
        *(f"vggish/{name}" for name in ("conv1", "conv2", "conv3/conv3_1", "conv3/conv3_2")),
        *(f"vggish/{name}" for name in ("conv4/conv4_1", "conv4/conv4_2", "fc1/fc1_1", "fc1/fc1_2", "fc2")),
    ),
    ("/weights", "/biases"),
)


@dataclasses.dataclass(frozen=True)
class VGGishWeights:
    """Released weights of VGGish, complete and of consistent shapes.

    Args:
        where: the file, or a description of a mapping: start of messages.
        is_port: whether they come from the PyTorch port.
        layers: kernel and bias in Keras's layout, float32, by the name of our layer.
    """

    where: str
    is_port: bool
    layers: Mapping[str, list[np.ndarray]]

    @classmethod
    def read(cls, source):
        """Read and check a file or a mapping.

        Raises:
            InputError: a weight is missing, unknown, or invalid.
        """
        where, state = read_state(source, f"{_PORT[0][0]}.weight` or `{_SLIM[0][0]}/weights")
        # As named by TensorFlow 1.
        state = {name.removesuffix(":0"): value for name, value in state.items()}
        is_port = any(name.startswith(("features.", "embeddings.")) for name in state)
        if not is_port and not any(name.startswith("vggish/") for name in state):
            found = ", ".join(list(state)[:3]) or "nothing"
            raise InputError(
                f"{where}: no weights of `features` and `embeddings` (PyTorch) or `vggish` (TF-Slim); expected "
                f"VGGish's, found {found}"
            )
        names, kinds = _PORT if is_port else _SLIM
        check_names(where, state, [f"{name}{kind}" for name in names for kind in kinds], "VGGish")
        layers, n_inputs = {}, 1
        for layer, name in zip(_LAYERS, names, strict=True):
            kernel, bias = (finite_floats(where, f"{name}{kind}", state[f"{name}{kind}"]) for kind in kinds)
            is_convolution = layer in CONVOLUTIONS
            n_axes, places = (4, (3, 3)) if is_convolution else (2, ())
            outputs_first = (0, 1) if is_port else (-1, -2)
            if kernel.ndim != n_axes:
                raise InputError(f"{where}: `{name}{kinds[0]}` has shape {kernel.shape}; expected {n_axes} axes")
            shape, n_outputs = kernel.shape, kernel.shape[outputs_first[0]]
            # PyTorch's (out, in, places) is (places, in, out) in Keras and TF-Slim; none of them flips the kernel.
            kernel = np.moveaxis(kernel, outputs_first, (-1, -2))
            # The number of inputs of the first dense layer depends on the patch.
            expected = kernel.shape[0] if layer == DENSE_LAYERS[0] else n_inputs
            if kernel.shape != (*places, expected, n_outputs):
                wanted = (n_outputs, expected, *places) if is_port else (*places, expected, n_outputs)
                raise InputError(f"{where}: `{name}{kinds[0]}` has shape {shape}; expected {wanted}")
            if bias.shape != (n_outputs,):
                raise InputError(f"{where}: `{name}{kinds[1]}` has shape {bias.shape}; expected {(n_outputs,)}")
            layers[layer], n_inputs = [kernel, bias], n_outputs
        pairs = (("conv3_1", "conv3_2"), ("conv4_1", "conv4_2"))
        for first, second in pairs:
            if len(layers[first][1]) != len(layers[second][1]):
                raise InputError(
                    f"{where}: {first} has {len(layers[first][1])} filters and {second} {len(layers[second][1])}; "
                    "expected as many"
                )
        return cls(where, is_port, layers)

    @property
    def sizes(self):
        """Arguments of the network, from the shapes."""
        n_outputs = {layer: len(bias) for layer, (_, bias) in self.layers.items()}
        return {
            "filters": tuple(n_outputs[layer] for layer in ("conv1", "conv2", "conv3_1", "conv4_1")),
            "units": (n_outputs["fc1_1"], n_outputs["fc1_2"]),
            "embedding_size": n_outputs["fc2"],
        }
