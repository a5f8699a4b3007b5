"""Convert inference blocks of models saved by version 0.1.0 to the current form; only here that form is known.

Such a block had no `format`, and the fields of feature parts had names that differed between models. The class of the
model determined the sources of its inputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keras_emotion.systems.base import BLOCK_FORMAT

_Inputs = Mapping[str, tuple[str, str, str]]

_GRID, _RAW, _TRIALS = "EEGGridFeatures", "BioFeatures", "ConnectivityFeatures"
_FACES, _FACE = "FaceFeatures", "FaceQuantities"

# By class of the model: the parts by name, with the position of their fields in the block and their kind; and the
# inputs by name, with part, array and transform. Parts missing in a block were not used, nor were inputs of them.
_PARTS: Mapping[str, Mapping[str, tuple[tuple[str, ...], str]]] = {
    "FACRNNEEGNetwork": {"eeg": (("features",), _GRID)},
    "FACRNNVisualNetwork": {"faces": (("features",), _FACES)},
    "DeepVANet": {"bio": (("bio",), _RAW), "faces": (("faces",), _FACES)},
    "FaceAffectNetwork": {"faces": (("faces",), _FACES)},
    "PriorDFCN": {"eeg": (("features",), _TRIALS), "face": (("face",), _FACE)},
    "DGCNN": {"eeg": (("parts", "eeg"), _TRIALS)},
    "GraphSleepNet": {"eeg": (("parts", "eeg"), _TRIALS)},
    "DCCA": {"eeg": (("parts", "eeg"), _TRIALS), "face": (("parts", "face"), _FACE)},
    "MMResLSTM": {"eeg": (("parts", "eeg"), _TRIALS), "face": (("parts", "face"), _FACE)},
    "EmotionTransformerFusion": {"eeg": (("parts", "eeg"), _TRIALS), "face": (("parts", "face"), _FACE)},
    "EEGNet": {"eeg": (("parts", "eeg"), _RAW)},
    "CRNN4D": {"eeg": (("parts", "eeg"), _GRID)},
    "ContiCNN": {"eeg": (("parts", "eeg"), _GRID)},
}
_EEG, _OF_FACE = ("eeg", "eeg", "identity"), ("face", "face", "identity")
_INPUTS: Mapping[str, _Inputs] = {
    "FACRNNEEGNetwork": {"eeg": _EEG},
    "FACRNNVisualNetwork": {"faces": ("faces", "faces", "identity")},
    "DeepVANet": {"bio": ("bio", "bio", "identity"), "faces": ("faces", "faces", "identity")},
    "FaceAffectNetwork": {"faces": ("faces", "faces", "first_step")},
    "PriorDFCN": {"connectivity": ("eeg", "connectivity", "identity"), "eeg": _EEG, "face": _OF_FACE},
    "DGCNN": {"eeg": ("eeg", "eeg", "steps_as_features")},
    "GraphSleepNet": {"eeg": _EEG},
    "DCCA": {"eeg": _EEG, "face": _OF_FACE},
    "MMResLSTM": {"eeg": _EEG, "face": _OF_FACE},
    "EmotionTransformerFusion": {"eeg": _EEG, "face": _OF_FACE},
    "EEGNet": {"eeg": ("eeg", "bio", "identity")},
    "CRNN4D": {"eeg": _EEG},
    "ContiCNN": {"eeg": ("eeg", "eeg", "first_step")},
}

_ABSENT = object()
_PLACES = ("features", "faces", "bio", "parts")
_KEPT = ("target", "class_names", "dataset", "channel_names", "units", "electrode_directions", "sampling_rate_hz")


def is_old_block(block: Mapping[str, Any]) -> bool:
    """Return whether a block is one of version 0.1.0."""
    return not {"format", "inputs"} & block.keys() and bool(set(_PLACES) & block.keys())


def convert_old_block(class_name: str, block: Mapping[str, Any]) -> dict[str, Any]:
    """Convert a block of version 0.1.0 to the current form; the schema then checks its values.

    Args:
        class_name: class of the model.
        block: its `inference`.

    Raises:
        ValueError: version 0.1.0 did not support models of this class.
    """
    if class_name not in _PARTS:
        raise ValueError(f"{class_name}: unsupported model; version 0.1.0 did not store how its inputs are made")
    parts = {}
    for name, (place, kind) in _PARTS[class_name].items():
        found: Any = block
        for key in place:
            found = found.get(key, _ABSENT) if isinstance(found, Mapping) else _ABSENT
        if found is not _ABSENT:
            parts[name] = {"kind": kind, "fields": found}
    inputs = {
        name: {"part": part, "array": array, "transform": transform}
        for name, (part, array, transform) in _INPUTS[class_name].items()
        if part in parts
    }
    if class_name == "PriorDFCN" and "face" not in parts:
        # Without a prior the network reads connectivity only.
        inputs.pop("eeg", None)
    known = {name: block.get(name) for name in _KEPT}
    if known["units"] is None and isinstance(known["channel_names"], list):
        known["units"] = ["uV"] * len(known["channel_names"])
    synthetic = block.get("synthetic", False)
    return {"format": BLOCK_FORMAT, "parts": parts, "inputs": inputs, "synthetic": synthetic, **known}
