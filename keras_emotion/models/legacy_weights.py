"""Load weights saved by Keras 2 into the models of this package."""

import dataclasses
from pathlib import Path

from keras_emotion.array_files import open_hdf5
from keras_emotion.limits import check_memory
from keras_emotion.refusals import refusing_unreadable
from keras_emotion.schema import InputError


@dataclasses.dataclass(frozen=True)
class LegacyWeights:
    """Result of `load_legacy_weights`.

    Args:
        loaded: `(name in the file, path in the model)` of each loaded array.
        unmatched_in_file: names of the arrays of the file without a counterpart in the model.
        unmatched_in_model: paths of the weights of the model without a counterpart in the file; they stay unchanged.
    """

    loaded: tuple[tuple[str, str], ...]
    unmatched_in_file: tuple[str, ...]
    unmatched_in_model: tuple[str, ...]


def load_legacy_weights(model, path, by="topology", partial=False):
    """Load the weights of a `.h5` file of Keras 2 (as 2.6 wrote it) into a model.

    The file comes from `save_weights("x.h5")`, or from a whole model, `save("x.h5")`, whose architecture is ignored:
    build a model of the same topology first. If anything does not match, nothing is loaded.

    Args:
        model: the model, built.
        path: the file.
        by: `"topology"` (default): the layers with weights are matched in their order, regardless of names; Keras 2
            wrappers around one of our layers (`TimeDistributed` around a convolution) make no difference. `"name"`:
            layers of the same name are matched.
        partial: whether unmatched weights are left unchanged, and listed in the result, instead of raising an error;
            only for `"name"`.

    Returns:
        `LegacyWeights`: the loaded weights, and every unmatched name.

    Raises:
        InputError: the file cannot be read or is not from Keras 2; weights in the file or in the model are unmatched in
            name or shape (each is listed); or nothing could be loaded at all.
        ValueError: `by` is unknown, or `partial` without `"name"`.

    Example:
        >>> model = keras_emotion.models.FACRNNEEGNetwork(scale_features=False)  # doctest: +SKIP
        >>> load_legacy_weights(model, "3facrnn_keras2.h5", by="topology")  # doctest: +SKIP
    """
    if by not in ("topology", "name"):
        raise ValueError(f"`by` must be 'topology' or 'name'; received by={by!r}")
    if partial and by != "name":
        raise ValueError(f"`partial` needs by='name': an order with gaps is ambiguous; received by={by!r}")
    of_file, of_model = _layers_of_file(Path(path)), _layers_of_model(model)
    names = dict(zip(of_file, of_model, strict=False)) if by == "topology" else {name: name for name in of_file}
    pairs, lost, left = [], [], {variable.path: variable for _, weights in of_model.items() for variable in weights}
    for name, arrays in of_file.items():
        weights = of_model.get(names.get(name), [])
        for place, (array_name, array) in enumerate(arrays):
            variable = weights[place] if place < len(weights) else None
            if len(weights) == len(arrays) and tuple(variable.shape) == array.shape:
                pairs.append((array_name, variable, array))
                del left[variable.path]
            else:
                lost.append((array_name, array))
    if not pairs or ((lost or left) and not partial):
        raise InputError(
            f"{path}: its weights do not match {model.name} by {by}, nothing was loaded; "
            f"unmatched in the file: {_listed((name, array.shape) for name, array in lost)}; "
            f"unmatched in the model: {_listed((name, tuple(v.shape)) for name, v in left.items())}"
        )
    for _, variable, array in pairs:
        variable.assign(array)
    return LegacyWeights(
        tuple((name, variable.path) for name, variable, _ in pairs), tuple(name for name, _ in lost), tuple(left)
    )


def _listed(weights):
    """Return names and shapes in one line."""
    return ", ".join(f"{name} {'x'.join(map(str, shape)) or 'number'}" for name, shape in weights) or "none"


def _layers_of_model(model):
    """Return the weights of each layer that has any, in Keras 2's order."""
    layers = {layer.name: layer.trainable_weights + layer.non_trainable_weights for layer in model.layers}
    return {name: weights for name, weights in layers.items() if weights}


def _layers_of_file(path):
    """Return `[(name, array), ...]` of each layer with weights, in the order of the file."""
    if not path.is_file():
        raise InputError(f"{path}: no such file; expected a .h5 file of Keras 2")
    layers = {}
    message = "{path}: cannot be read as a .h5 file of Keras 2 ({reason})"
    with refusing_unreadable(path, message), open_hdf5(path) as file:
        group = file.get("model_weights", file)
        if "layer_names" not in group.attrs and "layer_names0" not in group.attrs:
            raise InputError(f"{path}: has no `layer_names`; expected weights or a model as Keras 2 saves them")
        for layer in _attribute(group, "layer_names"):
            names = _attribute(group[layer], "weight_names")
            if names:
                check_memory(path, sum(group[layer][name].nbytes for name in names))
                layers[layer] = [(name, group[layer][name][()]) for name in names]
    return layers


def _attribute(group, name):
    """Return a list of names, which HDF5 may split into several pieces (`layer_names0`, `layer_names1`, ...)."""
    pieces = [group.attrs[name]] if name in group.attrs else []
    while f"{name}{len(pieces)}" in group.attrs and name not in group.attrs:
        pieces.append(group.attrs[f"{name}{len(pieces)}"])
    return [value.decode() if isinstance(value, bytes) else str(value) for piece in pieces for value in piece]
