"""Archives of runs: the records of a run folder in one file, to continue the run on another machine. Free of Keras."""

from __future__ import annotations

import io
import lzma
import os
import shutil
import tarfile
import uuid
from pathlib import Path

from keras_emotion.experiment.records import RunFolder
from keras_emotion.files import TEMPORARY_PREFIX
from keras_emotion.json_files import json_bytes, read_json
from keras_emotion.limits import current_limits
from keras_emotion.schema import InputError

SUFFIX = ".tar.xz"
"""File name extension of an archive."""

_MOST_WORKING_BYTES = 2**28
"""Most memory for decompression besides the content: four times what `pack_run` makes necessary."""

_FOLDERS = ("", "jobs", "starts")
_KINDS = (".json", ".csv")
_LOCAL = ("stored_features.json", "experiment.json")
"""Files with the folders of the machine of the run, which are written again where it continues."""

_LOCAL_FIELDS = ("command", "variables")
"""Fields of the records of starts with folders of the machine."""


def pack_run(folder: RunFolder) -> bytes:
    """Archive the records of a run, finished or not.

    The archive holds `config.json`, `data.json`, the records of the finished jobs and of the starts, and the tables. It
    holds no weights, no reports, no log, no names of folders of this machine, and no checkpoints of unfinished jobs,
    which start again. The same records give the same bytes.

    Args:
        folder: a run.

    Raises:
        InputError: it contains no run, or one of its files cannot be read.
    """
    if not folder.is_started:
        raise InputError(f"{folder.path}: contains no run; expected a run folder, with config.json")
    content = io.BytesIO()
    try:
        with (
            lzma.open(content, "wb", preset=9) as stream,
            tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive,
        ):
            for file in _records_of(folder.path):
                entry = tarfile.TarInfo(file.relative_to(folder.path).as_posix())
                written = _without_local_fields(file)
                entry.size = len(written)
                archive.addfile(entry, io.BytesIO(written))
    except OSError as error:
        raise InputError(f"{folder.path}: cannot be archived: {error.strerror}") from error
    return content.getvalue()


def unpack_run(file: Path, folder: Path) -> RunFolder:
    """Create a run folder from an archive of `pack_run`.

    Args:
        file: the archive.
        folder: the new folder, which must not exist; it appears with all records, or not at all.

    Raises:
        InputError: the archive is damaged, contains other files than records, or is larger than the limits on input
            files (`--limit memory_gib=...`); or the folder exists or cannot be written.
    """
    if folder.exists():
        raise InputError(f"{folder}: exists; expected a new folder for the run in {file}")
    made = folder.with_name(f"{TEMPORARY_PREFIX}{folder.name}-{uuid.uuid4().hex}")
    try:
        made.mkdir(parents=True)
        _extract(file, made)
        if not RunFolder(made).is_started:
            raise InputError(f"{file}: contains no config.json; expected an archive of a run")
        os.rename(made, folder)
    except OSError as error:
        raise InputError(f"{folder}: cannot be created from {file}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return RunFolder(folder)


def _records_of(path: Path) -> list[Path]:
    return [
        file
        for name in _FOLDERS
        for file in sorted((path / name).glob("*"))
        if _is_record(file.relative_to(path)) and file.is_file()
    ]


def _without_local_fields(file: Path) -> bytes:
    if file.parent.name != "starts" and file.name != "environment.json":
        return file.read_bytes()
    content, _ = read_json(file)
    starts = [content, *content.get("resumed", [])]
    for start in starts:
        for name in _LOCAL_FIELDS:
            start.pop(name, None)
    return json_bytes(content)


def _is_record(name: Path) -> bool:
    is_ours = name.suffix in _KINDS and not name.name.startswith(".") and name.name not in _LOCAL
    return is_ours and name.parent.as_posix() in (".", *_FOLDERS[1:])


def _extract(file: Path, folder: Path) -> None:
    try:
        with tarfile.open(fileobj=io.BytesIO(_decompressed(file)), mode="r:") as archive:
            for entry in archive:
                if not entry.isreg() or not _is_record(Path(entry.name)):
                    raise InputError(f"{file}: contains {entry.name!r}, which is no record of a run; expected records")
                content = archive.extractfile(entry)
                target = folder / entry.name
                target.parent.mkdir(exist_ok=True)
                target.write_bytes(content.read() if content else b"")
    except (tarfile.TarError, lzma.LZMAError, EOFError, ValueError) as error:
        raise InputError(f"{file}: damaged ({error}); delete it, and the run is made again") from error


def _decompressed(file: Path) -> bytes:
    """Return the content of a compressed file.

    Raises:
        InputError: it is larger than the limits on input files.
        lzma.LZMAError: the file is damaged: its end, with the checksums, is read, too.
    """
    gib = current_limits().memory_gib
    most = int(gib * 2**30)
    decompressor = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MOST_WORKING_BYTES)
    content = decompressor.decompress(file.read_bytes(), max_length=most + 1)
    if len(content) > most:
        raise InputError(f"{file}: is larger than {gib:g} GiB when it is decompressed")
    if not decompressor.eof or decompressor.unused_data:
        raise lzma.LZMAError("truncated, or something follows its end")
    return content
