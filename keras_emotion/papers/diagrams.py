"""Diagrams of the papers' networks, drawn from the networks themselves."""

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
"""Builds the networks of an experiment, by their titles."""

_GROUPS = {
    "convolution": ("conv", "tcn", "residualblock", "imageencoder"),
    "recurrent": ("lstm", "rnn", "gru", "looking"),
    "attention": ("attention", "nonlocal", "prior"),
    "dense": ("dense",),
}
"""Kinds of layers that are coloured alike, by parts of the names of their classes; the first one that fits."""


def diagram(caption: str, networks: Networks, of: str, depth: int = 1) -> DrawnFigure:
    """Return a figure of the paper that shows networks, drawn from these as they are built.

    Args:
        caption: what it shows, in a line.
        networks: builds them.
        of: name of the paper, for the title.
        depth: levels of layers in layers that are listed.
    """

    def draw(source: FigureSource) -> Sequence[reports.Drawing]:
        boxes = {title: list(network_boxes(model, depth)) for title, model in networks(source.experiment).items()}
        picture = reports.draw_graphs(
            boxes,
            f"figure{source.number}",
            f"{of}, figure {source.number}: {caption[0].lower() + caption[1:]}",
            "Drawn from the network as it is built here, not from the paper's picture. Shapes are without the batch; "
            "weights are all numbers that a layer keeps; below a dot: the layers that a layer is made of. Thick "
            "borders: outputs.",
        )
        return (reports.Drawing(picture, graph_table(boxes)),)

    return DrawnFigure(caption, draw, needs="network")


@dataclasses.dataclass(frozen=True)
class Recorded:
    """What is recorded of the subjects of a dataset.

    Args:
        eeg: names of the EEG channels.
        n_channels: number of all channels.
        sampling_rate_hz: rate that its reader gives.
    """

    eeg: Sequence[str]
    n_channels: int
    sampling_rate_hz: float = 128.0


_OWN = Recorded(deap_facts.EEG_CHANNEL_NAMES, len(deap_facts.EEG_CHANNEL_NAMES))
"""Recordings of one's own have the channels that they have: drawn is a network for the 32 of DEAP."""

_RECORDED = {
    "deap": Recorded(deap_facts.EEG_CHANNEL_NAMES, len(deap_facts.CHANNEL_NAMES)),
    "mahnob_hci": Recorded(mahnob_hci_session.EEG_CHANNEL_NAMES, len(mahnob_hci_session.CHANNEL_NAMES)),
    "sam40": Recorded(sam40.CHANNEL_NAMES, len(sam40.CHANNEL_NAMES)),
    "seed": Recorded(seed_files.CHANNEL_NAMES, len(seed_files.CHANNEL_NAMES), 200.0),
}


def recorded(experiment: Experiment) -> Recorded:
    """What is recorded in the dataset of an experiment, without looking at a copy of it."""
    return _RECORDED.get(experiment.dataset, _OWN)


def trained_network(experiment: Experiment, system: System | None = None) -> keras.Model:
    """The network of an experiment, for windows as its dataset has them.

    Args:
        experiment: the experiment.
        system: another system with a network, such as a stage before the last one; by default the experiment's.

    Raises:
        InputError: the experiment has not one network.
    """
    system = system or experiment.system
    if not isinstance(system, NetworkSystem) or system.members():
        raise InputError("--figure: this experiment has not one network to draw; leave out the options that split it")
    of_dataset = recorded(experiment)
    rule = experiment.rule(experiment.targets[0], READERS[experiment.dataset].class_names)
    shapes = {}
    # A stage without parts of its own is fed with those of the experiment.
    for part in (system.parts() or experiment.system.parts()).values():
        kind = part.channels if isinstance(part, RawSignals) else "eeg"
        n_eeg = len(of_dataset.eeg)
        n_channels = {"all": of_dataset.n_channels, "peripheral": of_dataset.n_channels - n_eeg}.get(kind, n_eeg)
        # Where the part wants a rate, the reader resamples.
        rate = getattr(part, "sampling_rate_hz", None) or of_dataset.sampling_rate_hz
        shapes |= part.array_shapes(n_channels, rate)
    return system.model(shapes, rule.n_classes, {"channel_names": list(of_dataset.eeg)})


def network_boxes(model: keras.Model, depth: int = 1) -> Iterator[reports.Box]:
    """The operations of a functional model, each after those whose outputs it reads.

    Args:
        model: the model; its layers are built.
        depth: levels of layers in layers that are listed.
    """
    import keras

    names = _names(model.operations)
    outputs = {tensor._keras_history.operation for tensor in keras.tree.flatten(model.outputs)}
    for operation in model.operations:
        # Outside of the model, layers may be called too.
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
    """Names of operations; those that Keras numbers through a whole process are numbered anew."""
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
    """The layer that another of the same name contains, such as one that is kept in inference mode."""
    own = _sublayers(operation)
    return _unwrapped(own[0]) if len(own) == 1 and own[0].name == operation.name else operation


def _sublayers(operation: Any) -> list[Any]:
    """Layers with weights that a layer is made of; what lies in one of them is not named a second time."""
    import keras

    # One of Keras's own (an LSTM and its cell) is one layer to a reader.
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
    """Name, kind and number of weights of the layers that a layer is made of, so many levels deep."""
    own = _sublayers(layer)
    if len(own) == 1:
        # A cell and the loop around it.
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
