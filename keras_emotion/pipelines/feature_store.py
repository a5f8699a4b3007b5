"""Features on disk: computed once, memory-mapped, reused by every fold and every run."""

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
"""File of the store that whoever works with it holds a lock on."""

SHARED_ROWS = "shared_rows"
"""Array of an entry whose windows lie in other entries, see `FeatureStore.folder`."""

DAMAGED = "damaged"
"""Folder of the store for entries that were found to be damaged: nothing reads them, and they may be removed."""


@dataclasses.dataclass(frozen=True)
class StoredFeatures:
    """Arrays by modality, memory-mapped read-only and `(windows, ...)` each, and their window table.

    Args:
        arrays: the arrays.
        table: the window table.
        channels: the channels that the arrays were computed of; `None` of a part that reads no recording.
        incomplete: names of arrays that are NaN where a channel is missing.

    Features that are shared between trials (`FeaturePart.shared_by_stimulus`) are `SharedWindows` in place of
    memory-mapped arrays.
    """

    arrays: Mapping[str, np.ndarray]
    table: pd.DataFrame
    channels: ChannelSet | None = None
    incomplete: frozenset[str] = frozenset()

    @classmethod
    def open(cls, folder: Path) -> StoredFeatures:
        """The features in a folder that a `FeatureStore` wrote.

        Raises:
            InputError: they are not there, or they are damaged; then they are set aside, and the next start of the run
                computes them anew.
        """
        if not folder.is_dir():
            raise InputError(f"{folder}: no stored features; start the run again, with --resume, to have them computed")
        inode = folder.stat().st_ino
        try:
            arrays, table, channels = _read(folder)
        except _DamagedEntryError as damage:
            _set_aside(folder, inode, damage)
            if folder.is_dir():
                # Another process has computed them since.
                return cls.open(folder)
            raise InputError(
                f"{folder}: the stored features were damaged while they were used ({damage}); start the run again, "
                "with --resume, to have them computed anew"
            ) from None
        return cls(arrays, table, channels, frozenset(arrays if channels is not None and channels.n_missing else ()))

    @staticmethod
    def channels_of(folder: Path) -> ChannelSet | None:
        """The channels alone of the features in a folder: their record is read, and no table.

        Raises:
            InputError: see `open`.
        """
        try:
            record = _record(folder)
        except (_DamagedEntryError, OSError):
            # Which says what is wrong, and sets a damaged entry aside.
            return StoredFeatures.open(folder).channels
        return ChannelSet.from_json(record["channels"]) if "channels" in record else None

    def of_study(self, part: FeaturePart, wanted: ChannelSet) -> StoredFeatures:
        """The features as if they had been computed of the channels of a study: NaN where one is missing.

        Nothing is read before a window is asked for.

        Args:
            part: the part that they are of.
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
        """The features of the windows at `rows` only (read into memory)."""
        arrays = {name: array[rows] for name, array in self.arrays.items()}
        return dataclasses.replace(self, arrays=arrays, table=self.table.iloc[rows].reset_index(drop=True))


@dataclasses.dataclass(frozen=True)
class StoreEntry:
    """One entry of a feature store.

    Args:
        path: its folder.
        dataset: class of the reader; empty of a damaged entry.
        subject: id of the subject; empty of a damaged entry.
        part: kind of the feature part; empty of a damaged entry.
        n_bytes: size of its files.
        last_used: when a run last used it, in seconds since the epoch.
        is_damaged: whether it was set aside as damaged.
        made_of: folders of the entries that this one was computed from by a network, or that hold its windows.
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
    """A folder of feature arrays, one sub-folder for each key.

    The key is the hash of what decides the numbers: the contents of the source files, the parameters and the code
    version of the feature. An entry is written to a temporary name and renamed, so a killed run leaves no half entry
    and two runs may share a store. Nothing is pickled; nothing that the store did not write is ever deleted.

    An entry holds `windows.csv`, an array `<name>.npy` a modality, and `key.json`: the key, the type of each column,
    and of each file its size, the hash of its content and when it was last written to. Whenever an entry is opened, the
    hashes of the record and of the table are compared, and sizes, types and shapes of the arrays; their contents where
    size or time are others than recorded, or all of them where that is asked for. An entry that does not pass is moved
    to the folder `damaged`, which is said on standard error, and is computed anew. Entries of versions that kept no
    sizes and hashes are compared by what they hold, as far as that goes, and get their record when they are first used.

    Args:
        root: folder of the store; made when it is first written to.
    """

    def __init__(self, root: Path | str):
        self.root = Path(root)

    def path(self, key: Mapping) -> Path:
        """Where the features under `key` lie, or would lie."""
        return self.root / _hash_of_text(_text(key))

    def holds(self, key: Mapping, verify: bool = False) -> bool:
        """Whether the features under `key` are there and whole; damaged ones are set aside.

        Args:
            key: as for `folder`.
            verify: read all contents, also of arrays whose sizes and times are as they were.

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
            # Another process may have put a whole one there since.
            return self.holds(key, verify)
        # The time of the folder is when the entry was last used; entries that hold its windows never look older.
        for used in (folder, *_shared_folders(folder, record)):
            with contextlib.suppress(OSError):
                os.utime(used)
        return True

    def folder(self, key: Mapping, compute: Callable[[], tuple], shared: Sequence[Path] = ()) -> Path:
        """Where the features under `key` lie; they are computed and written first where they are not there, whole.

        Args:
            key: JSON-able mapping of everything that decides the numbers.
            compute: gives arrays by modality, `(windows, ...)` each, and the window table; of a part that reads
                recordings also their channels.
            shared: folders of this store that hold the windows, where they are shared with other entries: `compute`
                then gives the array `SHARED_ROWS` alone, `(windows, 2)` integers: which of these folders each window
                is in, and its number there.

        Returns:
            A folder for `StoredFeatures.open`.

        Raises:
            InputError: the store cannot be written (no space, no permission).
            ValueError: the arrays and the table have different numbers of windows.
        """
        folder = self.path(key)
        if not self.holds(key):
            arrays, table, *channels = compute()
            lengths = {name: len(array) for name, array in arrays.items()}
            if set(lengths.values()) != {len(table)}:
                raise ValueError(f"features have {lengths} windows but the window table has {len(table)} rows")
            try:
                self._write(folder, _text(key), arrays, table, *channels, shared=shared)
            except OSError as error:
                reason = error.strerror or error
                raise InputError(f"{self.root}: the feature store cannot be written: {reason}") from error
        return folder

    def entries(self) -> tuple[StoreEntry, ...]:
        """Return the entries of the store, damaged ones included, the last used first; nothing else in the folder.

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
                f"{self.root}: not a feature store: it holds no stored features; expected the --feature-store of a run"
            )
        return tuple(sorted(found, key=lambda entry: -entry.last_used))

    def remove(self, entry: StoreEntry) -> None:
        """Delete an entry; what it was computed from stays, and a run that needs it computes it again.

        Raises:
            InputError: it cannot be deleted.
        """
        # Renamed first: no other process ever sees half of it, and what a killed process leaves is found by its name.
        temporary = temporary_path(self.root)
        try:
            os.rename(entry.path, temporary)
            shutil.rmtree(temporary)
        except OSError as error:
            raise InputError(f"{entry.path}: cannot be deleted: {error.strerror}") from error

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """A block in which no other process prunes the store (`alone`); the lock ends with the process."""
        with self._locked(exclusive=False):
            yield

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """A block in which nobody else uses the store.

        Raises:
            InputError: somebody does.
        """
        with self._locked(exclusive=True):
            yield

    @contextlib.contextmanager
    def _locked(self, *, exclusive: bool) -> Iterator[None]:
        try:
            import fcntl

            file = (self.root / _LOCK).open("a")
        except (ImportError, OSError):
            # Windows, no store yet, or one that nobody may write to.
            yield
            return
        with file:
            try:
                fcntl.flock(file, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
            except BlockingIOError:
                if exclusive:
                    raise InputError(
                        f"{self.root}: in use by a run; expected none that works with this store; wait until it ends"
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
                np.save(temporary / f"{name}.npy", array, allow_pickle=False)
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
            # Somebody else wrote the same entry meanwhile: theirs has the same numbers.
            if not folder.is_dir():
                raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _entry(path: Path) -> StoreEntry | None:
    """The entry in a folder; `None` where the folder is not one that the store wrote, and that alone."""
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
    """What is wrong with an entry."""


def _set_aside(folder: Path, inode: int, damage: Exception) -> None:
    """Move an entry away that was found to be damaged, unless another process did, or has put another in its place."""
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
        # Not what was looked at: another process has set that aside and computed this. Where a third has done so
        # meanwhile, there are two with the same numbers.
        with contextlib.suppress(OSError):
            os.rename(target, folder)
        return
    LOGGER.info(f"note: {folder}: the stored features are damaged ({damage}): moved to {target}, to be computed anew")


def _read(folder: Path) -> tuple[dict[str, np.ndarray], pd.DataFrame, ChannelSet | None]:
    """Arrays, table and channels of an entry.

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
    """The arrays of windows that lie in other entries."""
    files: dict[str, list[Path]] = {}
    for folder in folders:
        for name in _array_names(_record(folder)["files"]):
            files.setdefault(Path(name).stem, []).append(folder / name)
    return {name: SharedWindows(own, rows) for name, own in files.items()}


class SharedWindows:
    """Windows that lie in several files, one for each clip, read when they are asked for.

    Few of the files are open at a time, however many there are: a study may have more clips than a process may open
    files.

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
        """The windows at `rows`, read into memory."""
        asked = np.arange(len(self))[rows]
        owners, places = self._rows[np.atleast_1d(asked)].T
        gathered = np.empty((len(owners), *self.shape[1:]), self.dtype)
        for owner in np.unique(owners):
            own = np.flatnonzero(owners == owner)
            gathered[own] = _kept_open(*self._files[owner])[places[own]]
        return gathered if np.ndim(asked) else gathered[0]


@functools.lru_cache(maxsize=64)
def _kept_open(file: Path, inode: int) -> np.ndarray:
    # The inode is an argument so that a file that was computed anew is opened again.
    try:
        return _opened(file)
    except (_DamagedEntryError, OSError) as error:
        raise InputError(
            f"{file}: the stored features were damaged while they were used ({error}); start the run again, with "
            "--resume, to have them computed anew"
        ) from None


def _check(folder: Path, verify: bool = False) -> tuple[dict[str, Any], bytes]:
    """Compare an entry with its record; gives that and the content of the table. It raises as `_read` does."""
    try:
        record = _record(folder)
        content = (folder / _TABLE).read_bytes()
        files = record.get("files")
        if files is None:
            record["files"] = _files_of_earlier_version(folder, _parsed(folder, content, record["table_types"]))
            _keep_record(folder, record)
            return record, content
        if _hash_of_bytes(content) != files[_TABLE]["blake2b"]:
            raise _DamagedEntryError(f"{_TABLE} is not what was written")
        stamps = {name: _checked_array(folder / name, files[name], verify) for name in _array_names(files)}
        if stamps != {name: files[name]["modified_ns"] for name in stamps}:
            # As after a copy to another disk. The contents are the same; they need not be read again.
            for name, modified_ns in stamps.items():
                files[name]["modified_ns"] = modified_ns
            _keep_record(folder, record)
        for shared in _shared_folders(folder, record):
            try:
                _check(shared, verify)
            except _DamagedEntryError as damage:
                raise _DamagedEntryError(f"of its shared features {shared.name}: {damage}") from None
    except FileNotFoundError as error:
        raise _DamagedEntryError(f"{Path(str(error.filename)).name} is missing") from None
    except OSError as error:
        raise InputError(f"{error.filename or folder}: cannot be read: {error.strerror}") from error
    return record, content


def _record(folder: Path) -> dict[str, Any]:
    """What `key.json` holds: `key`, `table_types`, maybe `channels` or `shared`; `files`, but for earlier versions."""
    try:
        record, has_checksum = read_json(folder / _KEY)
    except DamagedFile as damage:
        raise _DamagedEntryError(f"{_KEY}: {damage.reason}") from None
    if set(record) - {"channels", "shared"} != ({*_EARLIER_FIELDS, "files"} if has_checksum else _EARLIER_FIELDS):
        raise _DamagedEntryError(f"{_KEY}: it has not the fields of a record")
    if _hash_of_text(_text(record["key"])) != folder.name:
        raise _DamagedEntryError(f"{_KEY}: it is that of another entry")
    return record


def _shared_folders(folder: Path, record: Mapping[str, Any]) -> list[Path]:
    """The entries that hold the windows of an entry, where they are shared."""
    return [folder.with_name(name) for name in record.get("shared", ())]


def _keep_record(folder: Path, record: Mapping[str, Any]) -> None:
    # A store that cannot be written to costs time at the next opening.
    with contextlib.suppress(OSError):
        # First in the store's own folder: what a killed process leaves is found there.
        write_whole(folder / _KEY, json_bytes(record), temporary_folder=folder.parent)


def _files(folder: Path) -> dict[str, dict[str, Any]]:
    """What is recorded of the files of a whole entry."""
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
    """As `_files`, of an entry whose version recorded none, once its lengths go together."""
    paths = sorted(folder.glob("*.npy"))
    if not paths:
        raise _DamagedEntryError("it holds no array")
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
    """When the file of an array was last written to, in nanoseconds since the epoch.

    Raises:
        _DamagedEntryError: it does not hold what it held.
    """
    status = path.stat()
    if status.st_size != recorded["bytes"]:
        raise _DamagedEntryError(f"{path.name} has {status.st_size} bytes in place of {recorded['bytes']}")
    if (verify or status.st_mtime_ns != recorded["modified_ns"]) and file_hash(path) != recorded["blake2b"]:
        raise _DamagedEntryError(f"{path.name} is not what was written")
    array = _opened(path)
    if [array.dtype.str, list(array.shape)] != [recorded["dtype"], recorded["shape"]]:
        raise _DamagedEntryError(f"{path.name} is an array of another type or shape")
    return status.st_mtime_ns


def _opened(path: Path) -> np.memmap:
    """An array, memory-mapped."""
    try:
        return np.lib.format.open_memmap(path, mode="r")
    except OSError:
        raise
    except Exception as error:  # NumPy has no error of its own for a header that it cannot make sense of.
        raise _DamagedEntryError(f"{path.name} is no array ({error})") from None


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

    Files of one name, in several folders, count in the order of these folders: which of them holds what matters.

    Args:
        paths: the files.
        hash_of: gives the hash of a file's content where it is known already; by default the file is read.

    Raises:
        InputError: a file is not there.
    """
    whole = hashlib.blake2b(digest_size=16)
    for path in sorted(paths, key=lambda path: (path.name, path.absolute().parts)):
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
