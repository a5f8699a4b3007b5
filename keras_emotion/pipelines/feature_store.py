"""Features on disk: computed once, memory-mapped, reused by every fold and every run."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from keras_emotion.pipelines.study_channels import ChangedArray, ChannelSet
from keras_emotion.schema import InputError

if TYPE_CHECKING:
    from keras_emotion.pipelines.features import FeaturePart

_TABLE, _KEY = "windows.csv", "key.json"


@dataclasses.dataclass(frozen=True)
class StoredFeatures:
    """Arrays by modality, memory-mapped read-only and `(windows, ...)` each, and their window table.

    Args:
        arrays: the arrays.
        table: the window table.
        channels: the channels that the arrays were computed of; `None` of a part that reads no recording.
        incomplete: names of arrays that are NaN where a channel is missing.
    """

    arrays: Mapping[str, np.ndarray]
    table: pd.DataFrame
    channels: ChannelSet | None = None
    incomplete: frozenset[str] = frozenset()

    @classmethod
    def open(cls, folder: Path) -> StoredFeatures:
        """The features in a folder that a `FeatureStore` wrote."""
        described = json.loads((folder / _KEY).read_text())
        types = described["table_types"]
        # Texts may be empty, or look like a missing number.
        texts = {column: "" for column, kind in types.items() if kind in ("str", "object", "string")}
        table = pd.read_csv(
            folder / _TABLE,
            dtype=types,
            keep_default_na=False,
            na_values={column: [""] for column in types if column not in texts},
        )
        arrays = {path.stem: np.load(path, mmap_mode="r") for path in sorted(folder.glob("*.npy"))}
        channels = described.get("channels")
        if channels is None:
            return cls(arrays, table)
        channels = ChannelSet.from_json(channels)
        return cls(arrays, table, channels, frozenset(arrays if channels.n_missing else ()))

    @staticmethod
    def channels_of(folder: Path) -> ChannelSet | None:
        """The channels alone of the features in a folder."""
        channels = json.loads((folder / _KEY).read_text()).get("channels")
        return None if channels is None else ChannelSet.from_json(channels)

    def of_study(self, part: FeaturePart, wanted: ChannelSet) -> StoredFeatures:
        """The features as if they had been computed of the channels of a study: NaN where one is missing.

        Nothing is read before a window is asked for.

        Args:
            part: the part that they are of.
            wanted: the channels of the study.
        """
        if self.channels is None:
            return self
        arrays, incomplete = dict(self.arrays), set(self.incomplete)
        for name, array in self.arrays.items():
            align = functools.partial(part.align_channels, name, present=self.channels, wanted=wanted)
            example = np.zeros((1, *array.shape[1:]), array.dtype)
            aligned = align(example)
            if aligned is not example:
                arrays[name] = ChangedArray(array, align)
            if aligned.dtype.kind == "f" and np.isnan(aligned).any():
                incomplete.add(name)
        return dataclasses.replace(self, arrays=arrays, incomplete=frozenset(incomplete))

    def keep(self, rows: np.ndarray) -> StoredFeatures:
        """The features of the windows at `rows` only (read into memory)."""
        arrays = {name: array[rows] for name, array in self.arrays.items()}
        return dataclasses.replace(self, arrays=arrays, table=self.table.iloc[rows].reset_index(drop=True))


class FeatureStore:
    """A folder of feature arrays, one sub-folder for each key.

    The key is the hash of what decides the numbers: the contents of the source files, the parameters and the code
    version of the feature. An entry is written to a temporary name and renamed, so a killed run leaves no half entry
    and two runs may share a store. Nothing is pickled; nothing that the store did not write is ever deleted.

    Args:
        root: folder of the store; made when it is first written to.
    """

    def __init__(self, root: Path | str):
        self.root = Path(root)

    def path(self, key: Mapping) -> Path:
        """Where the features under `key` lie, or would lie: the folder is there when they are."""
        return self.root / hashlib.blake2b(_text(key).encode(), digest_size=16).hexdigest()

    def folder(self, key: Mapping, compute: Callable[[], tuple]) -> Path:
        """Where the features under `key` lie; they are computed and written first where they are not there.

        Args:
            key: JSON-able mapping of everything that decides the numbers.
            compute: gives arrays by modality, `(windows, ...)` each, and the window table; of a part that reads
                recordings also their channels.

        Returns:
            A folder for `StoredFeatures.open`.

        Raises:
            InputError: the store cannot be written (no space, no permission).
            ValueError: the arrays and the table have different numbers of windows.
        """
        folder = self.path(key)
        if not folder.is_dir():
            arrays, table, *channels = compute()
            lengths = {name: len(array) for name, array in arrays.items()}
            if set(lengths.values()) != {len(table)}:
                raise ValueError(f"features have {lengths} windows but the window table has {len(table)} rows")
            try:
                self._write(folder, _text(key), arrays, table, *channels)
            except OSError as error:
                raise InputError(f"{self.root}: the feature store cannot be written: {error.strerror}") from error
        return folder

    def _write(
        self,
        folder: Path,
        key: str,
        arrays: Mapping[str, np.ndarray],
        table: pd.DataFrame,
        channels: ChannelSet | None = None,
    ) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".writing-", dir=self.root))
        try:
            for name, array in arrays.items():
                np.save(temporary / f"{name}.npy", array, allow_pickle=False)
            table.to_csv(temporary / _TABLE, index=False)
            types = {column: str(dtype) for column, dtype in table.dtypes.items()}
            described = {"key": json.loads(key), "table_types": types}
            if channels is not None:
                described["channels"] = channels.to_json()
            (temporary / _KEY).write_text(json.dumps(described, indent=1))
            os.replace(temporary, folder)
        except OSError:
            # Somebody else wrote the same entry meanwhile: theirs has the same numbers.
            if not folder.is_dir():
                raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _text(key: Mapping) -> str:
    return json.dumps(key, sort_keys=True)


def file_hash(file: Path) -> str:
    """Hash of the content of a file, which is read."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def _hash_of(file: Path) -> str:
    if not file.is_file():
        raise InputError(f"{file}: no such file")
    status = file.stat()
    return _kept_hash(file, status.st_size, status.st_mtime_ns)


@functools.cache
def _kept_hash(file: Path, size: int, modified: int) -> str:
    # Size and time of change are arguments so that a file that changed under a running process is hashed again.
    return file_hash(file)


def content_hash(paths: Iterable[Path], hash_of: Callable[[Path], str] = _hash_of) -> str:
    """Hash of the names and contents of files, independent of the folder they lie in and of their order.

    Args:
        paths: the files.
        hash_of: gives the hash of a file's content where it is known already; by default the file is read.

    Raises:
        InputError: a file is not there.
    """
    whole = hashlib.blake2b(digest_size=16)
    for path in sorted(paths, key=lambda path: path.name):
        whole.update(f"{path.name}:{hash_of(path)};".encode())
    return whole.hexdigest()


def path_hash(path: Path) -> str | None:
    """Hash of the content that a path leads to, wherever it lies.

    Args:
        path: a file, or a folder, of which all files below count, with their names.

    Returns:
        `None` where there is nothing.
    """
    if path.is_file():
        return _hash_of(path)
    if not path.is_dir():
        return None
    whole = hashlib.blake2b(digest_size=16)
    for file in sorted(file for file in path.rglob("*") if file.is_file()):
        whole.update(f"{file.relative_to(path).as_posix()}:{_hash_of(file)};".encode())
    return whole.hexdigest()
