"""Safe loading of saved networks (`.keras`).

The content of a file is checked before Keras loads it, and no code in it is executed. Keras itself rejects functions
stored as code; what else it rejects depends on its version. Therefore classes that run code or open other files, and
functions of other packages, are rejected here.
"""

from __future__ import annotations

import io
import json
import math
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import keras

from keras_emotion.array_files import check_hdf5
from keras_emotion.keras_settings import own_keras_settings
from keras_emotion.limits import check_archive, check_memory, check_table
from keras_emotion.refusals import refusing_unreadable
from keras_emotion.schema import InputError

UNREADABLE = "{path}: cannot be read as a saved Keras model ({reason})"

_CONFIG, _WEIGHTS = "config.json", "model.weights.h5"
_MOST_MEMBERS = 1_000
_MOST_ITEMS = 1_000_000
_PIECE_BYTES = 2**20
_PACKAGES = ("keras", "keras_hub")
_MODULES_OF_FUNCTIONS = ("builtins", "keras", *(f"keras.{kind}" for kind in ("activations", "losses", "metrics")))
_REFUSED = ("Lambda", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer", "__lambda__", "__typespec__")
_REFUSED += ("StringLookup", "IntegerLookup", "TextVectorization")
"""Keras classes that run code from the file or open other files."""


def load_network(path: Path, message: str = UNREADABLE) -> keras.Model:
    """Load a saved network without compiling it.

    Args:
        path: a `.keras` file.
        message: error message, see `refusing_unreadable`.

    Raises:
        InputError: the file is damaged; declares more than `Limits.memory_gib`; contains code, references to other
            files, or classes that are neither from Keras nor registered; or is not a network of this version.
    """
    with refusing_unreadable(path, message), own_keras_settings():
        config = _checked_config(path)
        _check_size_of_network(path, config)
        return keras.models.load_model(path, compile=False)


def _checked_config(path: Path) -> dict[str, Any]:
    """Return the config of the network after checking the archive."""
    if path.suffix.lower() != ".keras" or not zipfile.is_zipfile(path):
        raise ValueError("not a .keras archive")
    with zipfile.ZipFile(path) as archive:
        names = [member.filename for member in archive.infolist()]
        if len(names) > _MOST_MEMBERS or len(names) != len(set(names)):
            raise ValueError(f"an archive of {len(names)} members with {len(set(names))} different names")
        if missing := {_CONFIG, _WEIGHTS} - set(names):
            raise ValueError(f"an archive without {', '.join(sorted(missing))}")
        check_archive(path, archive)
        check_table(path, archive.getinfo(_CONFIG).file_size)
        for name in names:
            # Reading to the end verifies the checksum; Keras seeks in the archive, so it does not verify it.
            with archive.open(name) as member:
                while member.read(_PIECE_BYTES):
                    pass
        config = json.loads(archive.read(_CONFIG))
        if not isinstance(config, dict):
            raise ValueError(f"{_CONFIG} does not describe a network")
        _check_names(config)
        content = archive.read(_WEIGHTS)
        check_hdf5(content)
        with h5py.File(io.BytesIO(content), "r") as weights:
            check_memory(path, sum(_declared_bytes(weights)), "weights")
    return config


def _check_names(config: dict[str, Any]) -> None:
    """Reject configs with classes that are neither from Keras nor registered, that run code, or that open files."""
    for number, item in enumerate(_objects(config)):
        if number == _MOST_ITEMS:
            raise ValueError(f"{_CONFIG} has more than {_MOST_ITEMS} parts")
        name, module, registered = (item.get(key) for key in ("class_name", "module", "registered_name"))
        if not isinstance(name, str):
            continue
        function = item.get("config") if name == "function" else None
        if name in _REFUSED or registered in _REFUSED or function in _REFUSED:
            raise ValueError(f"contains {name}, which runs code or opens files; expected other layers")
        known = registered if function is None else function
        if isinstance(known, str) and keras.saving.get_registered_object(known) is not None:
            continue
        if function is not None:
            if module not in _MODULES_OF_FUNCTIONS:
                raise ValueError(f"Could not locate function '{function}'")
        elif module is not None and str(module).partition(".")[0] not in _PACKAGES:
            raise ValueError(f"Could not locate class '{name}'")


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    """Yield every object of a JSON value, including objects in strings that contain JSON."""
    pending = [value]
    while pending:
        one = pending.pop()
        if isinstance(one, str) and re.match(r"\s*[\[{]", one):
            try:
                one = json.loads(one)
            except ValueError:
                continue
        if isinstance(one, dict):
            yield one
            pending += one.values()
        elif isinstance(one, list):
            pending += one


def _declared_bytes(weights: h5py.File) -> Iterator[int]:
    """Yield the size in bytes of each array in a weights file; links are rejected."""
    pending, seen = [weights["/"]], set()
    while pending:
        group = pending.pop()
        for name in group:
            link = group.get(name, getlink=True)
            if not isinstance(link, h5py.HardLink):
                raise ValueError(f"the weights contain a link, {group.name}/{name}; expected arrays")
            item = group[name]
            address = h5py.h5o.get_info(item.id).addr
            if address in seen:
                raise ValueError(f"the weights contain a cycle, at {group.name}/{name}")
            seen.add(address)
            if isinstance(item, h5py.Group):
                pending.append(item)
            elif not isinstance(item, h5py.Dataset) or item.dtype.kind not in "fiub":
                raise ValueError(f"the weights contain {group.name}/{name}, which is not an array of numbers")
            elif item.is_virtual or item.external:
                raise ValueError(f"the weights contain {group.name}/{name}, whose data is stored in other files")
            else:
                yield item.nbytes


def _check_size_of_network(path: Path, config: dict[str, Any]) -> None:
    """Reject configs with more weights than fit in memory: Keras allocates them before it reads any."""
    with keras.StatelessScope(initialize_variables=False):
        network = keras.saving.deserialize_keras_object({**config, "compile_config": None})
        if not isinstance(network, keras.Model):
            raise InputError(f"{path}: contains a {type(network).__name__}; expected a network")
        check_memory(path, sum(4 * math.prod(one.shape) for one in network.variables), "weights")
