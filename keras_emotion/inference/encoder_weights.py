"""Weights of encoders of pictures, sound or faces, of which a saved model stores only the hash."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from keras_emotion.pipelines import FeaturePart
from keras_emotion.schema import InputError

_ENCODED = {"picture": "picture", "sound": "sound", "video": "face"}
"""What a network encodes, as named in options, by the source of a part."""


def with_weights(
    parts: Mapping[str, FeaturePart], weights: Mapping[str, Path], source: object
) -> dict[str, FeaturePart]:
    """Return the parts with the weights that a saved model does not store.

    Args:
        parts: parts by name.
        weights: file or folder of weights by what they encode (`"picture"`, `"sound"`, `"face"`), from the options of
            these names.
        source: the model, for messages.

    Raises:
        InputError: weights are missing, differ from those of the model's training, or are not needed.
    """
    encoded = {name: _encoded(part) for name, part in parts.items()}
    for what, path in weights.items():
        if what not in encoded.values():
            seen = "reads no faces" if what == "face" else f"reads no {what} of stimuli"
            raise InputError(f"--{what}-weights {path}: {source} {seen}; leave it out")
    found = {}
    for name, part in parts.items():
        what = encoded[name]
        if what in weights:
            try:
                part = part.with_weights(weights[what])
            except InputError as error:
                raise InputError(f"--{what}-weights: {error}") from None
        elif part.needs_weights:
            raise InputError(
                f"{source}: was trained on {what} features of a network whose weights it does not store; give "
                f"--{what}-weights with their file or folder"
            )
        found[name] = part
    return found


def _encoded(part: FeaturePart) -> str:
    return next((what for source, what in _ENCODED.items() if source in part.sources), "")
