"""Diagrams of the networks of papers, drawn from the Keras models."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from keras_emotion import reports
from keras_emotion.datasets import READERS, deap_facts, mahnob_hci_session, sam40, seed_files
from keras_emotion.papers.registry import DrawnFigure, FigureSource
from keras_emotion.pipelines import RawSignals
from keras_emotion.schema import InputError
from keras_emotion.systems import Experiment, NetworkSystem, System

if TYPE_CHECKING:
    import keras

Networks = Callable[[Experiment], "Mapping[str, keras.Model]"]
"""Function that builds the networks of an experiment, by title."""

_GROUPS = {
    "convolution": ("conv", "tcn", "residualblock", "imageencoder"),
    "recurrent": ("lstm", "rnn", "gru", "looking"),
    "attention": ("attention", "nonlocal", "prior"),
    "dense": ("dense",),
}
"""Colour groups of layers by parts of their class names; the first match is used."""


def diagram(caption: str, networks: Networks, of: str, depth: int = 1) -> DrawnFigure:
    """Return a figure that shows networks, drawn from the Keras models.

    Args:
        caption: one-line caption.
        networks: function that builds them.
        of: name of the paper, for the title.
        depth: levels of nested layers that are listed.
    """

    def draw(source: FigureSource) -> Sequence[reports.Drawing]:
        boxes = {title: list(network_boxes(model, depth)) for title, model in networks(source.experiment).items()}
        picture = reports.draw_graphs(
            boxes,
            f"figure{source.number}",
            f"{of}, figure {source.number}: {caption[0].lower() + caption[1:]}",
            "Drawn from the Keras model, not copied from the paper. Shapes without the batch axis; weights: all of a "
            "layer, trainable or not; lines with a dot: nested layers. Thick borders: outputs.",
        )
        return (reports.Drawing(picture, graph_table(boxes)),)

    return DrawnFigure(caption, draw, needs="network")


@dataclasses.dataclass(frozen=True)
class Recorded:
    """Recorded channels and sampling rate of a dataset.

    Args:
        eeg: names of the EEG channels.
        n_channels: number of all channels.
        sampling_rate_hz: sampling rate of its reader.
    """

    eeg: Sequence[str]
    n_channels: int
    sampling_rate_hz: float = 128.0


_OWN = Recorded(deap_facts.EEG_CHANNEL_NAMES, len(deap_facts.EEG_CHANNEL_NAMES))
"""Channels for your own recordings, which may have any: the 32 of DEAP."""

_RECORDED = {
    "deap": Recorded(deap_facts.EEG_CHANNEL_NAMES, len(deap_facts.CHANNEL_NAMES)),
    "mahnob_hci": Recorded(mahnob_hci_session.EEG_CHANNEL_NAMES, len(mahnob_hci_session.CHANNEL_NAMES)),
    "sam40": Recorded(sam40.CHANNEL_NAMES, len(sam40.CHANNEL_NAMES)),
    "seed": Recorded(seed_files.CHANNEL_NAMES, len(seed_files.CHANNEL_NAMES), 200.0),
}


def recorded(experiment: Experiment) -> Recorded:
    """Channels and sampling rate of the dataset of an experiment, without reading a copy of it."""
    return _RECORDED.get(experiment.dataset, _OWN)


def trained_network(experiment: Experiment, system: System | None = None) -> keras.Model:
    """Build the network of an experiment, for windows of its dataset.

    Args:
        experiment: the experiment.
        system: another system with a network, such as a stage before the last one; by default the experiment's.

    Raises:
        InputError: the experiment does not have exactly one network.
    """
    system = system or experiment.system
    if not isinstance(system, NetworkSystem) or system.members():
        raise InputError(
            "--figure: this experiment has several networks; expected a single one; leave out the options that split it"
        )
    of_dataset = recorded(experiment)
    rule = experiment.rule(experiment.targets[0], READERS[experiment.dataset].class_names)
    shapes = {}
    # A stage without its own parts gets those of the experiment.
    for part in (system.parts() or experiment.system.parts()).values():
        kind = part.channels if isinstance(part, RawSignals) else "eeg"
        n_eeg = len(of_dataset.eeg)
        n_channels = {"all": of_dataset.n_channels, "peripheral": of_dataset.n_channels - n_eeg}.get(kind, n_eeg)
        # The reader resamples to the rate of the part, if it has one.
        rate = getattr(part, "sampling_rate_hz", None) or of_dataset.sampling_rate_hz
        shapes |= part.array_shapes(n_channels, rate)
    return system.model(shapes, rule.n_classes, {"channel_names": list(of_dataset.eeg)})


def network_boxes(model: keras.Model, depth: int = 1) -> Iterator[reports.Box]:
    """Operations of a functional model in topological order.

    Args:
        model: the built model.
        depth: levels of nested layers that are listed.
    """
    import keras

    names = _names(model.operations)
    outputs = {tensor._keras_history.operation for tensor in keras.tree.flatten(model.outputs)}
    for operation in model.operations:
        # Layers may also be called outside of the model.
        read = (tensor._keras_history.operation for node in operation._inbound_nodes for tensor in node.input_tensors)
        sources = [names[one] for one in read if one in names]
        shapes = dict.fromkeys(tuple(tensor.shape[1:]) for tensor in keras.tree.flatten(operation.output))
        is_layer = isinstance(operation, keras.layers.Layer)
        inner = _unwrapped(operation)
        yield reports.Box(
            name=names[operation],
            kind=_kind(inner),
            shapes=tuple(shapes),
            n_parameters=operation.count_params() if is_layer else 0,
            sources=tuple(sources),
            parts=tuple(_parts(inner, depth)) if is_layer else (),
            group=_group(inner),
            is_output=operation in outputs,
        )


def graph_table(networks: Mapping[str, Sequence[reports.Box]]) -> pd.DataFrame:
    """The boxes as rows: `network`, `layer`, `kind`, `shapes`, `weights`, `reads`, `is_output`."""
    rows: list[dict[str, Any]] = []
    for title, boxes in networks.items():
        for box in boxes:
            rows.append(
                {
                    "network": title,
                    "layer": box.name,
                    "kind": box.kind,
                    "shapes": "; ".join(" ".join(map(str, shape)) for shape in box.shapes),
                    "weights": box.n_parameters,
                    "reads": " ".join(box.sources),
                    "is_output": box.is_output,
                }
            )
    return pd.DataFrame(rows)


def _names(operations: Sequence[Any]) -> dict[Any, str]:
    """Names of operations, with the process-wide numbers of Keras replaced."""
    names, counts = {}, Counter()
    for operation in operations:
        kind = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", _kind(operation)).lower()
        if re.fullmatch(rf"{kind}(_\d+)?", operation.name):
            counts[kind] += 1
            names[operation] = f"{kind}_{counts[kind]}"
        else:
            names[operation] = operation.name
    return names


def _unwrapped(operation: Any) -> Any:
    """The wrapped layer of a wrapper with the same name, such as one that keeps a layer in inference mode."""
    own = _sublayers(operation)
    return _unwrapped(own[0]) if len(own) == 1 and own[0].name == operation.name else operation


def _sublayers(operation: Any) -> list[Any]:
    """Nested layers with weights, without those that are nested in another one."""
    import keras

    # A built-in layer of Keras (an LSTM and its cell) counts as one layer.
    is_own = isinstance(operation, keras.layers.Layer) and not type(operation).__module__.startswith("keras.")
    if not is_own:
        return []
    found = [
        one
        for one in operation._flatten_layers(recursive=False, include_self=False)
        if isinstance(one, keras.layers.Layer) and one.count_params()
    ]
    inside = [{id(one) for one in layer._flatten_layers(recursive=True, include_self=False)} for layer in found]
    return [one for one in found if not any(id(one) in others for others in inside)]


def _parts(layer: Any, depth: int) -> Iterator[tuple[str, str, int]]:
    """Name, kind and number of weights of nested layers, to a given depth."""
    own = _sublayers(layer)
    if len(own) == 1:
        # A cell and the recurrent layer around it.
        inner = next((one for one in own[0]._flatten_layers(False, False) if _sublayers(one)), own[0])
        own = _sublayers(inner) or []
    for one in own:
        yield one.name, _kind(one), one.count_params()
        if depth > 1:
            for name, kind, count in _parts(one, depth - 1):
                yield f"  {name}", kind, count


def _kind(operation: Any) -> str:
    return type(operation).__name__.lstrip("_")


def _group(operation: Any) -> str:
    kind = type(operation).__name__.lower()
    if kind == "inputlayer":
        return "input"
    return next((group for group, words in _GROUPS.items() if any(word in kind for word in words)), "other")
