"""Released PyTorch weights of DeepVANet: reading, validation and conversion to Keras layers."""

import dataclasses
import math
from collections.abc import Mapping

import numpy as np

from keras_emotion.models.weight_files import check_names, finite_floats, read_state
from keras_emotion.schema import InputError

_FACE = "face_feature_extractor"
_BIO = "bio_feature_extractor"
_FACE_CONVOLUTIONS = tuple(f"{_FACE}.cnn.{place}" for place in (0, 3, 6))
_CONVLSTM = f"{_FACE}.rnn.cell.conv"
_BIO_CONVOLUTIONS = tuple(f"{_BIO}.cnn.{place}" for place in (0, 3, 6))
_BIO_NORMALIZATIONS = tuple(f"{_BIO}.cnn.{place}" for place in (1, 4, 7))
_NORMALIZATION = ("weight", "bias", "running_mean", "running_var")


@dataclasses.dataclass(frozen=True)
class ReleasedWeights:
    """A state dict of the released layout, complete and of consistent shapes.

    Args:
        where: the file, or a description of a mapping: start of messages.
        arrays: float32 arrays by released name.
        sizes: arguments of the network, from the shapes.
        rows: rows (and columns) of the map of the ConvLSTM; `None` without faces.
    """

    where: str
    arrays: Mapping[str, np.ndarray]
    sizes: Mapping[str, object]
    rows: int | None

    @classmethod
    def read(cls, source, *, face_filters, bio_filters, bio_kernels, hidden_units):
        """Read and check a file or a mapping, against the widths of the network.

        Raises:
            InputError: a weight is missing, unknown, or invalid.
        """
        where, state = read_state(source, f"{_CONVLSTM}.weight")
        prefixes = [prefix for prefix in (_FACE, _BIO) if any(name.startswith(f"{prefix}.") for name in state)]
        if not prefixes:
            found = ", ".join(list(state)[:3]) or "nothing"
            raise InputError(f"{where}: no weights of `{_FACE}` or `{_BIO}`; expected DeepVANet's, found {found}")
        _check_names(where, state, prefixes)
        arrays = {name: finite_floats(where, name, value) for name, value in state.items()}

        def size(name, axis, n_axes):
            if arrays[name].ndim != n_axes:
                raise InputError(f"{where}: `{name}` has shape {arrays[name].shape}; expected {n_axes} axes")
            return arrays[name].shape[axis]

        sizes, shapes, rows, n_features = {}, {}, None, 0
        modalities = []
        if _FACE in prefixes:
            modalities.append("faces")
            face_units, n_inputs = (size(f"{_FACE}.fc.weight", axis, 2) for axis in (0, 1))
            rows = math.isqrt(n_inputs // face_filters[-1])
            if rows < 1 or rows**2 * face_filters[-1] != n_inputs:
                raise InputError(
                    f"{where}: `{_FACE}.fc.weight` has shape {(face_units, n_inputs)}; expected (units, "
                    f"{face_filters[-1]} x rows x rows), so (16, 4608) as released"
                )
            n_channels = 3
            for name, n_filters in zip(_FACE_CONVOLUTIONS, face_filters, strict=True):
                shapes[name] = (n_filters, n_channels, 3, 3)
                n_channels = n_filters
            shapes[_CONVLSTM] = (4 * n_channels, 2 * n_channels, 3, 3)
            shapes[f"{_FACE}.fc"] = (face_units, n_inputs)
            sizes["face_units"] = face_units
            n_features += face_units
        if _BIO in prefixes:
            modalities.append("bio")
            n_channels = size(f"{_BIO_CONVOLUTIONS[0]}.weight", 1, 3)
            bio_units, n_inputs = (size(f"{_BIO}.fc.weight", axis, 2) for axis in (0, 1))
            n_steps, remainder = divmod(n_inputs, bio_filters[-1])
            if n_steps < 1 or remainder:
                raise InputError(
                    f"{where}: `{_BIO}.fc.weight` has shape {(bio_units, n_inputs)}; expected (units, "
                    f"{bio_filters[-1]} x samples), so (64, 960) as released"
                )
            sizes |= {
                "n_bio_channels": n_channels,
                "n_samples": n_steps + sum(bio_kernels) - len(bio_kernels),
                "bio_units": bio_units,
            }
            for name, normalization, n_filters, kernel_size in zip(
                _BIO_CONVOLUTIONS, _BIO_NORMALIZATIONS, bio_filters, bio_kernels, strict=True
            ):
                shapes[name] = (n_filters, n_channels, kernel_size)
                shapes[normalization] = (n_filters,)
                n_channels = n_filters
            shapes[f"{_BIO}.fc"] = (bio_units, n_inputs)
            n_features += bio_units
        shapes |= {"classifier.0": (hidden_units, n_features), "classifier.3": (1, hidden_units)}
        for name, array in arrays.items():
            part, _, kind = name.rpartition(".")
            expected = shapes[part] if kind == "weight" else shapes[part][:1]
            if array.shape != expected:
                raise InputError(f"{where}: `{name}` has shape {array.shape}; expected {expected}")
            if kind == "running_var" and (array < 0).any():
                raise InputError(f"{where}: `{name}` has negative values; it is a variance")
        return cls(where, arrays, {"modalities": tuple(modalities), **sizes}, rows)

    def layers(self):
        """Return the weights of our layers in Keras's layout and order, by the name of the layer."""
        layers = {}
        if "faces" in self.sizes["modalities"]:
            for number, name in enumerate(_FACE_CONVOLUTIONS, start=1):
                layers[f"face_convolution_{number}"] = self._kernel_and_bias(name)
            kernel, bias = self._kernel_and_bias(_CONVLSTM)
            kernel, bias = _gates_of_keras(kernel), _gates_of_keras(bias)
            # One convolution over the concatenation of input and hidden state, which have equally many channels.
            kernel, recurrent_kernel = np.split(kernel, 2, axis=-2)
            layers["face_convlstm"] = [kernel, recurrent_kernel, bias]
            layers["face_features"] = self._dense_after_flatten(f"{_FACE}.fc", (self.rows, self.rows))
        if "bio" in self.sizes["modalities"]:
            for number, (name, normalization) in enumerate(
                zip(_BIO_CONVOLUTIONS, _BIO_NORMALIZATIONS, strict=True), start=1
            ):
                layers[f"bio_convolution_{number}"] = self._kernel_and_bias(name)
                layers[f"bio_normalization_{number}"] = [
                    self.arrays[f"{normalization}.{kind}"] for kind in _NORMALIZATION
                ]
            n_steps = self.arrays[f"{_BIO}.fc.weight"].shape[1] // len(self.arrays[f"{_BIO_CONVOLUTIONS[-1]}.bias"])
            layers["bio_features"] = self._dense_after_flatten(f"{_BIO}.fc", (n_steps,))
        for number, name in enumerate(("classifier.0", "classifier.3"), start=1):
            layers[f"classifier_{number}"] = self._kernel_and_bias(name)
        return layers

    def _kernel_and_bias(self, name):
        """Convert PyTorch's (out, in, places) to Keras's (places, in, out); neither flips the kernel."""
        weight = self.arrays[f"{name}.weight"]
        return [np.moveaxis(weight, (0, 1), (-1, -2)), self.arrays[f"{name}.bias"]]

    def _dense_after_flatten(self, name, places):
        """Reorder inputs after a flatten from channels-first maps to channels-last maps."""
        weight = self.arrays[f"{name}.weight"]
        maps = weight.reshape(len(weight), -1, *places)
        return [np.moveaxis(maps, 1, -1).reshape(len(weight), -1).T, self.arrays[f"{name}.bias"]]


def _gates_of_keras(blocks):
    """Reorder i, f, o, g along the last axis to i, f, g, o."""
    i, f, o, g = np.split(blocks, 4, axis=-1)
    return np.concatenate([i, f, g, o], axis=-1)


def _check_names(where, state, prefixes):
    """Check that every name of the layout is present, and no other."""
    plain = ["classifier.0", "classifier.3"]
    expected = []
    if _FACE in prefixes:
        plain += [*_FACE_CONVOLUTIONS, _CONVLSTM, f"{_FACE}.fc"]
    if _BIO in prefixes:
        plain += [*_BIO_CONVOLUTIONS, f"{_BIO}.fc"]
        expected += [f"{name}.{kind}" for name in _BIO_NORMALIZATIONS for kind in _NORMALIZATION]
    expected += [f"{name}.{kind}" for name in plain for kind in ("weight", "bias")]
    check_names(where, state, expected, "DeepVANet")
