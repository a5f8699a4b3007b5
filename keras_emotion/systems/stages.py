"""Stages: consecutive trainings within a fold, each with its own network, losses and settings."""

from __future__ import annotations

import dataclasses
import fnmatch
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    import keras

    from keras_emotion.systems.base import NetworkSystem
    from keras_emotion.systems.settings import Training

LayerWeights = Mapping[str, Sequence[np.ndarray]]
"""Weights of the layers of a network by name."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stage:
    """One training of a fold.

    Weights and outputs pass from stage to stage within a fold, but never between folds. A stage before the last gets
    training and validation windows, but neither features nor labels of test windows.

    Args:
        name: unique in a system, part of file names; the last stage has none.
        system: its network, inputs, targets and losses. That of the last stage is the system itself.
        training: its settings; `None`: those of the experiment.
        starts_from: patterns of the names of layers whose weights are taken over from the previous stage's network:
            `("*",)`: all layers that both have, so that the new network extends the old one.
        trainable: patterns of the names of layers that are trained; the others keep their weights.
        chosen_by: criterion for the epoch, on the validation windows: `"loss"`, `"accuracy"`, the name of another
            logged quantity (smaller is better if it ends with `loss`), or `"none"`: the last epoch. Under a protocol
            that selects on the test fold, the last stage selects by accuracy there, and the others use `"none"`; under
            one without validation windows all use `"none"`.
        sampling: how batches are drawn: `"plain"`, or `"stratified"`: the shuffled rows of each class are spread in
            proportion over the batches of an epoch.
        arrays: names of the arrays of the fold that it reads; all by default.
        gives: outputs of the network that become arrays of the later stages: name of the array by name of the output.
            They are computed for training and validation windows; those of test windows are zeros.
        uses_up: names of arrays that no later stage needs.
        own_seed: whether its seed differs from that of the fold's last stage.
    """

    name: str = ""
    system: NetworkSystem
    training: Training | None = None
    starts_from: tuple[str, ...] = ()
    trainable: tuple[str, ...] = ("*",)
    chosen_by: str = "loss"
    sampling: Literal["plain", "stratified"] = "plain"
    arrays: tuple[str, ...] = ()
    gives: Mapping[str, str] = dataclasses.field(default_factory=dict)
    uses_up: tuple[str, ...] = ()
    own_seed: bool = True

    def key(self) -> list:
        """Return JSON-able fields that determine how the stage's network is compiled."""
        return [self.name, list(self.trainable)]

    def freeze(self, model: keras.Model) -> None:
        """Freeze the layers that `trainable` does not match."""
        if self.trainable == ("*",):
            return
        for layer in model.layers:
            layer.trainable = _matches(layer.name, self.trainable)

    def take_over(self, model: keras.Model, before: LayerWeights) -> None:
        """Set a new network's weights to those of the previous stage.

        Raises:
            ValueError: a pattern matches no layer that both have, or the shapes of a layer's weights differ.
        """
        for pattern in self.starts_from:
            names = [layer.name for layer in model.layers if _matches(layer.name, (pattern,))]
            known = [name for name in names if before.get(name)]
            if not known:
                raise ValueError(
                    f"stage {self.name or type(self.system).__name__}: starts_from: no layer {pattern!r} with weights "
                    f"that the previous stage has; it has {', '.join(name for name in before if before[name])}"
                )
            for name in known:
                model.get_layer(name).set_weights(before[name])


def layer_weights(model: keras.Model) -> LayerWeights:
    """Return the weights of a network by layer."""
    return {layer.name: layer.get_weights() for layer in model.layers}


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
