"""Saved networks (`.keras`): what a file declares and names is looked at before Keras reads it.

Nothing that a file brings is executed. Keras itself refuses functions that are stored as code; what it refuses besides
depends on its version, so classes that run code or open other files, and functions of other packages, are refused here.
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
from keras_emotion.limits import check_memory, check_table
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
"""Classes of Keras that run code that a file brings, or open other files that it names."""


def load_network(path: Path, message: str = UNREADABLE) -> keras.Model:
    """Read a saved network, not compiled.

    Args:
        path: a `.keras` file.
        message: text of the error, see `refusing_unreadable`.

    Raises:
        InputError: the file is damaged; declares more than `Limits.memory_gib`; names code, files, or classes that are
            neither Keras's nor registered; or is no network of this version.
    """
    with refusing_unreadable(path, message), own_keras_settings():
        config = _checked_config(path)
        _check_size_of_network(path, config)
        return keras.models.load_model(path, compile=False)


def _checked_config(path: Path) -> dict[str, Any]:
    """The description of the network, once the archive is whole and holds nothing that must not be read."""
    if path.suffix.lower() != ".keras" or not zipfile.is_zipfile(path):
        raise ValueError("no .keras archive")
    with zipfile.ZipFile(path) as archive:
        names = [member.filename for member in archive.infolist()]
        if len(names) > _MOST_MEMBERS or len(names) != len(set(names)):
            raise ValueError(f"an archive of {len(names)} members, {len(set(names))} of them with names of their own")
        if missing := {_CONFIG, _WEIGHTS} - set(names):
            raise ValueError(f"an archive without {', '.join(sorted(missing))}")
        check_memory(path, sum(member.file_size for member in archive.infolist()), "content")
        check_table(path, archive.getinfo(_CONFIG).file_size)
        for name in names:
            # To the end: there the checksum is compared, which Keras, who goes to and fro in it, does not.
            with archive.open(name) as member:
                while member.read(_PIECE_BYTES):
                    pass
        config = json.loads(archive.read(_CONFIG))
        if not isinstance(config, dict):
            raise ValueError(f"its {_CONFIG} is no description of a network")
        _check_names(config)
        content = archive.read(_WEIGHTS)
        check_hdf5(content)
        with h5py.File(io.BytesIO(content), "r") as weights:
            check_memory(path, sum(_declared_bytes(weights)), "weights")
    return config


def _check_names(config: dict[str, Any]) -> None:
    """Refuse a description that names what is neither Keras's nor registered, or what runs code or opens files."""
    for number, item in enumerate(_objects(config)):
        if number == _MOST_ITEMS:
            raise ValueError(f"its {_CONFIG} has more than {_MOST_ITEMS} parts")
        name, module, registered = (item.get(key) for key in ("class_name", "module", "registered_name"))
        if not isinstance(name, str):
            continue
        function = item.get("config") if name == "function" else None
        if name in _REFUSED or registered in _REFUSED or function in _REFUSED:
            raise ValueError(f"has {name}, which runs code or opens files; expected layers that do neither")
        known = registered if function is None else function
        if isinstance(known, str) and keras.saving.get_registered_object(known) is not None:
            continue
        if function is not None:
            if module not in _MODULES_OF_FUNCTIONS:
                raise ValueError(f"Could not locate function '{function}'")
        elif module is not None and str(module).partition(".")[0] not in _PACKAGES:
            raise ValueError(f"Could not locate class '{name}'")


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    """Every object of a JSON value, also in texts that are JSON themselves."""
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
    """Bytes of each array of a file of weights; links to elsewhere are refused."""
    pending, seen = [weights["/"]], set()
    while pending:
        group = pending.pop()
        for name in group:
            link = group.get(name, getlink=True)
            if not isinstance(link, h5py.HardLink):
                raise ValueError(f"its weights have a link, {group.name}/{name}; expected arrays")
            item = group[name]
            address = h5py.h5o.get_info(item.id).addr
            if address in seen:
                raise ValueError(f"its weights lead back, at {group.name}/{name}")
            seen.add(address)
            if isinstance(item, h5py.Group):
                pending.append(item)
            elif not isinstance(item, h5py.Dataset) or item.dtype.kind not in "fiub":
                raise ValueError(f"its weights have {group.name}/{name}, which is no array of numbers")
            elif item.is_virtual or item.external:
                raise ValueError(f"its weights have {group.name}/{name}, whose content is in other files")
            else:
                yield item.nbytes


def _check_size_of_network(path: Path, config: dict[str, Any]) -> None:
    """Refuse a description of more weights than may be in memory: Keras makes them before it reads any."""
    with keras.StatelessScope(initialize_variables=False):
        network = keras.saving.deserialize_keras_object({**config, "compile_config": None})
        if not isinstance(network, keras.Model):
            raise InputError(f"{path}: holds a {type(network).__name__}; expected a network")
        check_memory(path, sum(4 * math.prod(one.shape) for one in network.variables), "weights")
