"""Feature store: features on disk, computed once, memory-mapped, reused by every fold and every run."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import json
import math
import os
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from keras_emotion.array_files import save_array
from keras_emotion.files import (
    TEMPORARY_PREFIX,
    sync_file,
    sync_folder,
    temporary_path,
    write_whole,
)
from keras_emotion.json_files import DamagedFile, json_bytes, read_json
from keras_emotion.logs import LOGGER
from keras_emotion.pipelines.study_channels import ChangedArray, ChannelSet
from keras_emotion.schema import InputError
from keras_emotion.tables import Kind, csv_bytes, parse_table

if TYPE_CHECKING:
    from keras_emotion.pipelines.features import FeaturePart

_TABLE, _KEY = "windows.csv", "key.json"

_EARLIER_FIELDS = {"key", "table_types"}

_LOCK = ".in-use"
"""Lock file of the store, held by every process that works with it."""

SHARED_ROWS = "shared_rows"
"""Array of an entry whose windows are stored in other entries, see `FeatureStore.folder`."""

DAMAGED = "damaged"
"""Folder of the store for damaged entries: they are not read, and may be removed."""


@dataclasses.dataclass(frozen=True)
class StoredFeatures:
    """Arrays by modality, memory-mapped read-only and `(windows, ...)` each, and their window table.

    Args:
        arrays: the arrays.
        table: the window table.
        channels: the channels from which the arrays were computed; `None` if the part reads no recording.
        incomplete: names of arrays that are NaN where a channel is missing.

    Features shared between trials (`FeaturePart.shared_by_stimulus`) are `SharedWindows` in place of
    memory-mapped arrays.
    """

    arrays: Mapping[str, np.ndarray]
    table: pd.DataFrame
    channels: ChannelSet | None = None
    incomplete: frozenset[str] = frozenset()

    @classmethod
    def open(cls, folder: Path) -> StoredFeatures:
        """Open the features in a folder that a `FeatureStore` wrote.

        Raises:
            InputError: they do not exist, or they are damaged; damaged ones are set aside, and computed again at the
                next start of the run.
        """
        if not folder.is_dir():
            raise InputError(f"{folder}: no stored features; restart the run with --resume to compute them")
        inode = folder.stat().st_ino
        try:
            arrays, table, channels = _read(folder)
        except _DamagedEntryError as damage:
            _set_aside(folder, inode, damage)
            if folder.is_dir():
                # Another process has computed them meanwhile.
                return cls.open(folder)
            raise InputError(
                f"{folder}: the stored features were damaged while in use ({damage}); restart the run "
                "with --resume to compute them again"
            ) from None
        return cls(arrays, table, channels, frozenset(arrays if channels is not None and channels.n_missing else ()))

    @staticmethod
    def channels_of(folder: Path) -> ChannelSet | None:
        """Return the channels of the features in a folder, from their record, without reading the table.

        Raises:
            InputError: see `open`.
        """
        try:
            record = _record(folder)
        except (_DamagedEntryError, OSError):
            # Raises the fault, and sets a damaged entry aside.
            return StoredFeatures.open(folder).channels
        return ChannelSet.from_json(record["channels"]) if "channels" in record else None

    def of_study(self, part: FeaturePart, wanted: ChannelSet) -> StoredFeatures:
        """Return the features as if computed from the channels of a study: NaN where one is missing.

        Data are read only when a window is accessed.

        Args:
            part: the part of the features.
            wanted: the channels of the study.
        """
        if self.channels is None:
            return self
        arrays, incomplete = dict[str, Any](self.arrays), set(self.incomplete)
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
        """Return the features of the windows at `rows` only (read into memory)."""
        arrays = {name: array[rows] for name, array in self.arrays.items()}
        return dataclasses.replace(self, arrays=arrays, table=self.table.iloc[rows].reset_index(drop=True))


@dataclasses.dataclass(frozen=True)
class StoreEntry:
    """One entry of a feature store.

    Args:
        path: its folder.
        dataset: class of the reader; empty for a damaged entry.
        subject: id of the subject; empty for a damaged entry.
        part: kind of the feature part; empty for a damaged entry.
        n_bytes: size of its files.
        last_used: time of the last use by a run, in seconds since the epoch.
        is_damaged: whether it was set aside as damaged.
        made_of: folders of the entries from which a network computed this one, or that hold its windows.
    """

    path: Path
    dataset: str
    subject: int | str
    part: str
    n_bytes: int
    last_used: float
    is_damaged: bool = False
    made_of: tuple[Path, ...] = ()


class FeatureStore:
    """Folder of feature arrays, one subfolder per key.

    The key is the hash of everything that determines the features: the contents of the source files, the parameters and
    the code version of the feature. An entry is written under a temporary name and renamed, so that an interrupted run
    leaves no partial entry and two runs may share a store. Nothing is pickled; only files that the store wrote are ever
    deleted.

    An entry holds `windows.csv`, one array `<name>.npy` per modality, and `key.json`: the key, the type of each column,
    and for each file its size, content hash and modification time. Whenever an entry is opened, the hashes of the
    record and of the table are compared, and sizes, types and shapes of the arrays; their contents if size or time
    differ from the record, or all of them on request. A damaged entry is moved to the folder `damaged`, reported on
    standard error, and computed again. Entries of versions without sizes and hashes are checked as far as possible, and
    get their record on first use.

    Args:
        root: folder of the store; created on first write.
    """

    def __init__(self, root: Path | str):
        self.root = Path(root)

    def path(self, key: Mapping) -> Path:
        """Return the folder of the features under `key`, whether or not it exists."""
        return self.root / _hash_of_text(_text(key))

    def holds(self, key: Mapping, verify: bool = False) -> bool:
        """Return whether the features under `key` exist and are intact; set damaged ones aside.

        Args:
            key: as for `folder`.
            verify: read all contents, even of arrays with unchanged sizes and times.

        Raises:
            InputError: they are damaged and cannot be set aside, or cannot be read.
        """
        folder = self.path(key)
        try:
            inode = folder.stat().st_ino
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            raise InputError(f"{folder}: cannot be read: {error.strerror}") from error
        try:
            record, _ = _check(folder, verify)
        except _DamagedEntryError as damage:
            _set_aside(folder, inode, damage)
            # Another process may have written an intact one meanwhile.
            return self.holds(key, verify)
        # The folder's time is that of the last use; entries that hold its windows must not look older.
        for used in (folder, *_shared_folders(folder, record)):
            with contextlib.suppress(OSError):
                os.utime(used)
        return True

    def folder(self, key: Mapping, compute: Callable[[], tuple], shared: Sequence[Path] = ()) -> Path:
        """Return the folder of the features under `key`; compute and write them first if they are missing or damaged.

        Args:
            key: JSON-able mapping of everything that determines the features.
            compute: returns arrays by modality, `(windows, ...)` each, and the window table; for a part that reads
                recordings also their channels.
            shared: folders of this store that hold the windows, if they are shared with other entries: `compute` then
                returns only the array `SHARED_ROWS`, `(windows, 2)` integers: the folder of each window, and its row
                there.

        Returns:
            A folder for `StoredFeatures.open`.

        Raises:
            InputError: the store cannot be written (no space, no permission).
            ValueError: the arrays and the table have different numbers of windows.
        """
        folder = self.path(key)
        if not self.holds(key):
            arrays, table, *rest = compute()
            lengths = {name: len(array) for name, array in arrays.items()}
            if set(lengths.values()) != {len(table)}:
                raise ValueError(f"features have {lengths} windows but the window table has {len(table)} rows")
            try:
                self._write(folder, _text(key), arrays, table, rest[0] if rest else None, shared)
            except OSError as error:
                reason = error.strerror or error
                raise InputError(f"{self.root}: the feature store cannot be written: {reason}") from error
        return folder

    def entries(self) -> tuple[StoreEntry, ...]:
        """Return the entries of the store, damaged ones included, last used first; ignore other files.

        Raises:
            InputError: there is no such folder, or it is not a feature store.
        """
        if not self.root.is_dir():
            raise InputError(f"{self.root}: no such folder; expected a feature store (--feature-store of a run)")
        found = [entry for path in self.root.iterdir() if (entry := _entry(path)) is not None]
        damaged = self.root / DAMAGED
        found += [_damaged_entry(path) for path in damaged.iterdir()] if damaged.is_dir() else []
        if not found and not (self.root / _LOCK).is_file():
            raise InputError(
                f"{self.root}: not a feature store: it contains no stored features; expected the --feature-store of a "
                "run"
            )
        return tuple(sorted(found, key=lambda entry: -entry.last_used))

    def remove(self, entry: StoreEntry) -> None:
        """Delete an entry; its sources stay, and a run that needs it computes it again.

        Raises:
            InputError: it cannot be deleted.
        """
        # Renamed first: other processes never see a partial entry, and remains of a killed process have a known name.
        temporary = temporary_path(self.root)
        try:
            os.rename(entry.path, temporary)
            shutil.rmtree(temporary)
        except OSError as error:
            raise InputError(f"{entry.path}: cannot be deleted: {error.strerror}") from error

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """Block in which no other process prunes the store (`alone`); the lock ends with the process."""
        with self._locked(exclusive=False):
            yield

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Block in which no other process uses the store.

        Raises:
            InputError: another process uses it.
        """
        with self._locked(exclusive=True):
            yield

    @contextlib.contextmanager
    def _locked(self, *, exclusive: bool) -> Iterator[None]:
        try:
            import fcntl

            file = (self.root / _LOCK).open("a")
        except (ImportError, OSError):
            # Windows, a missing store, or one without write permission.
            yield
            return
        with file:
            try:
                fcntl.flock(file, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
            except BlockingIOError:
                if exclusive:
                    raise InputError(
                        f"{self.root}: in use by a run; expected a store that no run uses; wait until it ends"
                    ) from None
                # Pruning takes moments.
                fcntl.flock(file, fcntl.LOCK_SH)
            except OSError:
                # A shared disk without locks.
                pass
            yield

    def _write(
        self,
        folder: Path,
        key: str,
        arrays: Mapping[str, np.ndarray],
        table: pd.DataFrame,
        channels: ChannelSet | None = None,
        shared: Sequence[Path] = (),
    ) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        temporary = temporary_path(self.root)
        try:
            temporary.mkdir()
            for name, array in arrays.items():
                save_array(temporary / f"{name}.npy", array)
            (temporary / _TABLE).write_bytes(csv_bytes(table))
            for path in temporary.iterdir():
                sync_file(path)
            types = {column: str(dtype) for column, dtype in table.dtypes.items()}
            record = {"key": json.loads(key), "table_types": types, "files": _files(temporary)}
            if channels is not None:
                record["channels"] = channels.to_json()
            if shared:
                record["shared"] = [one.name for one in shared]
            write_whole(temporary / _KEY, json_bytes(record))
            sync_folder(temporary)
            os.replace(temporary, folder)
            sync_folder(self.root)
        except OSError:
            # Another process wrote the same entry meanwhile, with the same content.
            if not folder.is_dir():
                raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _entry(path: Path) -> StoreEntry | None:
    """Return the entry in a folder; `None` if the folder is not one that the store wrote, and nothing else."""
    if path.name.startswith(TEMPORARY_PREFIX) or path.is_symlink() or not path.is_dir():
        return None
    files = list(path.iterdir())
    if not all(file.is_file() and (file.name in (_TABLE, _KEY) or file.suffix == ".npy") for file in files):
        return None
    try:
        record = _record(path)
    except (_DamagedEntryError, OSError):
        return None
    key = record["key"]
    source, part = (key["of"], key["by"]) if "of" in key else (key, key.get("features", {}))
    return StoreEntry(
        path,
        str(source.get("dataset", "")),
        source.get("subject", ""),
        str(part.get("kind", "")),
        sum(file.stat().st_size for file in files),
        path.stat().st_mtime,
        made_of=(
            *([path.with_name(_hash_of_text(_text(key["of"])))] if "of" in key else []),
            *_shared_folders(path, record),
        ),
    )


def _damaged_entry(path: Path) -> StoreEntry:
    n_bytes = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return StoreEntry(path, "", "", "", n_bytes, path.stat().st_mtime, is_damaged=True)


class _DamagedEntryError(Exception):
    """Damage of an entry."""


def _set_aside(folder: Path, inode: int, damage: Exception) -> None:
    """Move a damaged entry away, unless another process did, or has replaced it."""
    target = folder.parent / DAMAGED / f"{folder.name}-{uuid.uuid4().hex[:8]}"
    try:
        target.parent.mkdir(exist_ok=True)
        os.rename(folder, target)
    except FileNotFoundError:
        return
    except OSError as error:
        raise InputError(
            f"{folder}: the stored features are damaged ({damage}) and cannot be set aside: {error.strerror}; "
            "remove the folder"
        ) from error
    if target.stat().st_ino != inode:
        # Replaced since the check: another process set the damaged entry aside and computed this one. If a third did
        # so meanwhile, there are two with the same content.
        with contextlib.suppress(OSError):
            os.rename(target, folder)
        return
    LOGGER.info(f"note: {folder}: the stored features are damaged ({damage}): moved to {target}, to be computed again")


def _read(folder: Path) -> tuple[dict[str, np.ndarray], pd.DataFrame, ChannelSet | None]:
    """Read arrays, table and channels of an entry.

    Raises:
        _DamagedEntryError: it is damaged.
        InputError: it cannot be read.
    """
    record, content = _check(folder)
    table = _parsed(folder, content, record["table_types"])
    arrays: dict[str, Any]
    arrays = {Path(name).stem: _opened(folder / name) for name in _array_names(record["files"])}
    if "shared" in record:
        arrays = dict[str, Any](_shared_arrays(_shared_folders(folder, record), np.array(arrays[SHARED_ROWS])))
    return arrays, table, ChannelSet.from_json(record["channels"]) if "channels" in record else None


def _shared_arrays(folders: Sequence[Path], rows: np.ndarray) -> dict[str, SharedWindows]:
    """Return the arrays of windows that are stored in other entries."""
    files: dict[str, list[Path]] = {}
    for folder in folders:
        for name in _array_names(_record(folder)["files"]):
            files.setdefault(Path(name).stem, []).append(folder / name)
    return {name: SharedWindows(own, rows) for name, own in files.items()}


class SharedWindows:
    """Windows stored in several files, one per clip, read on access.

    Only a few files are open at a time: a study may have more clips than a process may open files.

    Args:
        files: `(windows, ...)` arrays of one shape of windows.
        rows: `(windows, 2)` file and row of each window.
    """

    def __init__(self, files: Sequence[Path], rows: np.ndarray):
        self._files, self._rows = [(file, file.stat().st_ino) for file in files], rows
        first = _opened(files[0])
        self.shape, self.dtype = (len(rows), *first.shape[1:]), first.dtype
        self.nbytes = math.prod(self.shape) * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> np.ndarray:
        """Return the windows at `rows`, read into memory."""
        asked = np.arange(len(self))[rows]
        owners, places = self._rows[np.atleast_1d(asked)].T
        gathered = np.empty((len(owners), *self.shape[1:]), self.dtype)
        for owner in np.unique(owners):
            own = np.flatnonzero(owners == owner)
            gathered[own] = _kept_open(*self._files[owner])[places[own]]
        return gathered if np.ndim(asked) else gathered[0]


@functools.lru_cache(maxsize=64)
def _kept_open(file: Path, inode: int) -> np.ndarray:
    # The inode is an argument so that a replaced file is opened again.
    try:
        return _opened(file)
    except (_DamagedEntryError, OSError) as error:
        raise InputError(
            f"{file}: the stored features were damaged while in use ({error}); restart the run with "
            "--resume to compute them again"
        ) from None


def _check(folder: Path, verify: bool = False) -> tuple[dict[str, Any], bytes]:
    """Compare an entry with its record; return that and the content of the table. Raises as `_read` does."""
    try:
        record = _record(folder)
        content = (folder / _TABLE).read_bytes()
        files = record.get("files")
        if files is None:
            record["files"] = _files_of_earlier_version(folder, _parsed(folder, content, record["table_types"]))
            _keep_record(folder, record)
            return record, content
        if _hash_of_bytes(content) != files[_TABLE]["blake2b"]:
            raise _DamagedEntryError(f"{_TABLE} differs from its record")
        stamps = {name: _checked_array(folder / name, files[name], verify) for name in _array_names(files)}
        if stamps != {name: files[name]["modified_ns"] for name in stamps}:
            # As after a copy to another disk. The contents are the same and need not be read again.
            for name, modified_ns in stamps.items():
                files[name]["modified_ns"] = modified_ns
            _keep_record(folder, record)
        for shared in _shared_folders(folder, record):
            try:
                _check(shared, verify)
            except _DamagedEntryError as damage:
                raise _DamagedEntryError(f"shared features {shared.name}: {damage}") from None
    except FileNotFoundError as error:
        raise _DamagedEntryError(f"{Path(str(error.filename)).name} is missing") from None
    except OSError as error:
        raise InputError(f"{error.filename or folder}: cannot be read: {error.strerror}") from error
    return record, content


def _record(folder: Path) -> dict[str, Any]:
    """Read `key.json`: `key`, `table_types`, optionally `channels` or `shared`; `files`, except in old versions."""
    try:
        record, has_checksum = read_json(folder / _KEY)
    except DamagedFile as damage:
        raise _DamagedEntryError(f"{_KEY}: {damage.reason}") from None
    if set(record) - {"channels", "shared"} != ({*_EARLIER_FIELDS, "files"} if has_checksum else _EARLIER_FIELDS):
        raise _DamagedEntryError(f"{_KEY}: the fields of a record are missing")
    if _hash_of_text(_text(record["key"])) != folder.name:
        raise _DamagedEntryError(f"{_KEY}: belongs to another entry")
    return record


def _shared_folders(folder: Path, record: Mapping[str, Any]) -> list[Path]:
    """Return the entries that hold the windows of an entry, if they are shared."""
    return [folder.with_name(name) for name in record.get("shared", ())]


def _keep_record(folder: Path, record: Mapping[str, Any]) -> None:
    # A store without write permission costs time at the next opening.
    with contextlib.suppress(OSError):
        # First in the store's own folder, where remains of a killed process are found.
        write_whole(folder / _KEY, json_bytes(record), temporary_folder=folder.parent)


def _files(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the record of the files of an intact entry."""
    files = {}
    for path in sorted([folder / _TABLE, *folder.glob("*.npy")]):
        # Before the content is read: a file that changes meanwhile differs from its stamp the next time.
        status = path.stat()
        files[path.name] = {"bytes": status.st_size, "modified_ns": status.st_mtime_ns, "blake2b": file_hash(path)}
        if path.name != _TABLE:
            array = _opened(path)
            files[path.name] |= {"dtype": array.dtype.str, "shape": list(array.shape)}
    return files


def _files_of_earlier_version(folder: Path, table: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Return `_files` of an entry without a record, after checking that its lengths match."""
    paths = sorted(folder.glob("*.npy"))
    if not paths:
        raise _DamagedEntryError("contains no array")
    for path in paths:
        array = _opened(path)
        if len(array) != len(table):
            raise _DamagedEntryError(f"{path.name} has {len(array)} windows and {_TABLE} {len(table)}")
        if path.stat().st_size != array.offset + array.nbytes:
            raise _DamagedEntryError(f"{path.name} is longer than its array")
    return _files(folder)


def _array_names(files: Mapping[str, Any]) -> list[str]:
    return sorted(name for name in files if name != _TABLE)


def _checked_array(path: Path, recorded: Mapping[str, Any], verify: bool) -> int:
    """Check an array file and return its modification time, in nanoseconds since the epoch.

    Raises:
        _DamagedEntryError: its content has changed.
    """
    status = path.stat()
    if status.st_size != recorded["bytes"]:
        raise _DamagedEntryError(f"{path.name} has {status.st_size} bytes; expected {recorded['bytes']}")
    if (verify or status.st_mtime_ns != recorded["modified_ns"]) and file_hash(path) != recorded["blake2b"]:
        raise _DamagedEntryError(f"{path.name} differs from its record")
    array = _opened(path)
    if [array.dtype.str, list(array.shape)] != [recorded["dtype"], recorded["shape"]]:
        raise _DamagedEntryError(f"{path.name} is an array of another type or shape")
    return status.st_mtime_ns


def _opened(path: Path) -> np.memmap:
    """Open an array, memory-mapped."""
    try:
        return np.lib.format.open_memmap(path, mode="r")
    except OSError:
        raise
    except Exception as error:  # NumPy raises various exceptions for an invalid header.
        raise _DamagedEntryError(f"{path.name} is not an array ({error})") from None


def _parsed(folder: Path, content: bytes, types: Mapping[str, str]) -> pd.DataFrame:
    kinds = {column: _kind(dtype) for column, dtype in types.items()}
    try:
        return parse_table(content, folder / _TABLE, kinds, list(types)).astype(types)
    except (ValueError, TypeError) as error:
        raise _DamagedEntryError(str(error).removeprefix(f"{folder}{os.sep}")) from None


def _kind(dtype: str) -> Kind:
    kinds: dict[str, Kind] = {"int": "integer", "uint": "integer", "float": "number", "bool": "flag"}
    return kinds.get(str(dtype).rstrip("0123456789"), "text")


def _text(key: Mapping) -> str:
    return json.dumps(key, sort_keys=True)


def _hash_of_text(text: str) -> str:
    return _hash_of_bytes(text.encode())


def _hash_of_bytes(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def file_hash(file: Path) -> str:
    """Return the hash of the content of a file, after reading it."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def _hash_of(file: Path) -> str:
    if not file.is_file():
        raise InputError(f"{file}: no such file")
    status = file.stat()
    return _kept_hash(file, status.st_size, status.st_mtime_ns)


@functools.cache
def _kept_hash(file: Path, size: int, modified: int) -> str:
    # Size and modification time are arguments so that a file changed during the process is hashed again.
    return file_hash(file)


def content_hash(paths: Iterable[Path], hash_of: Callable[[Path], str] = _hash_of) -> str:
    """Return the hash of the names and contents of files, independent of their folder and order.

    Files of the same name in several folders count in the order of these folders.

    Args:
        paths: the files.
        hash_of: returns the hash of a file's content if already known; default: read the file.

    Raises:
        InputError: a file is missing.
    """
    whole = hashlib.blake2b(digest_size=16)
    for path in sorted(paths, key=lambda path: (path.name, path.absolute().parts)):
        whole.update(f"{path.name}:{hash_of(path)};".encode())
    return whole.hexdigest()


def path_hash(path: Path) -> str | None:
    """Return the hash of the content of a path, independent of its location.

    Args:
        path: a file, or a folder, whose files at all levels count, with their names.

    Returns:
        `None` if the path does not exist.
    """
    if path.is_file():
        return _hash_of(path)
    if not path.is_dir():
        return None
    whole = hashlib.blake2b(digest_size=16)
    for file in sorted(file for file in path.rglob("*") if file.is_file()):
        whole.update(f"{file.relative_to(path).as_posix()}:{_hash_of(file)};".encode())
    return whole.hexdigest()
