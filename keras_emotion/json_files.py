"""Read and write JSON files of a run folder with a checksum of their content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from keras_emotion.limits import check_table
from keras_emotion.refusals import refusing_unreadable
from keras_emotion.schema import InputError

CHECKSUM = "checksum"
"""Field with the `content_checksum` of all other fields. Files of earlier versions lack it."""

SEALED = "has_checksum"
"""First field of each file, which makes `CHECKSUM` mandatory. Without it, a file with a damaged name of the checksum
field would be accepted as one of an earlier version."""

_MOST_BYTES = 2**29
"""Largest file size; the record of a fold with a million test windows is smaller."""


class DamagedFile(InputError):
    """Damaged file of a run folder.

    Args:
        path: the file.
        reason: what is wrong with it.
        advice: what to do.
    """

    def __init__(self, path: Path, reason: str, advice: str = ""):
        super().__init__(f"{path}: damaged ({reason}){advice and f'; {advice}'}")
        self.path, self.reason, self._advice = path, reason, advice

    def __reduce__(self):
        # Exceptions are pickled by the arguments of `Exception`, and worker processes raise this one.
        return type(self), (self.path, self.reason, self._advice)


def content_checksum(content: Mapping[str, Any]) -> str:
    """Return a 128-bit hash of JSON-able content, independent of the order of fields and the layout of the file."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def json_bytes(content: Mapping[str, Any]) -> bytes:
    """Serialise the content with its checksum.

    NumPy numbers and paths become plain values.
    """
    # The checksum is that of the content as it is read back: field names are strings, tuples are lists.
    plain = plain_json(content)
    return json.dumps({SEALED: True, **plain, CHECKSUM: content_checksum(plain)}, indent=1).encode()


def plain_json(content: Any) -> Any:
    """Return the content as it is read back from JSON."""
    return json.loads(json.dumps(content, default=_plain))


def read_json(path: Path) -> tuple[dict[str, Any], bool]:
    """Read a JSON file of a run folder.

    Returns:
        The content without its checksum, and whether the file has a checksum.

    Raises:
        FileNotFoundError: the file is missing.
        DamagedFile: the file is not a JSON object in UTF-8, or its checksum does not match its content.
        InputError: the file cannot be read.
    """
    try:
        if path.exists() and not path.is_file():
            raise DamagedFile(path, "not a file")
        with path.open("rb") as file:
            raw = file.read(_MOST_BYTES + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    if len(raw) > _MOST_BYTES:
        raise DamagedFile(path, f"larger than the limit of {_MOST_BYTES >> 20} MiB")
    try:
        content = json.loads(raw.decode("utf-8"))
        if not isinstance(content, dict):
            raise DamagedFile(path, "not a JSON object")
        is_sealed, expected = content.pop(SEALED, False), content.pop(CHECKSUM, None)
        if is_sealed and expected is None:
            raise DamagedFile(path, f"missing field {CHECKSUM}")
        is_other = expected is not None and expected != content_checksum(content)
    except UnicodeDecodeError as error:
        raise DamagedFile(path, f"not UTF-8: {error}") from None
    except RecursionError:
        raise DamagedFile(path, "nested too deeply") from None
    except DamagedFile:
        raise
    except ValueError as error:
        # Not only the parser raises: Python refuses numbers of thousands of digits.
        raise DamagedFile(path, f"not readable as JSON: {error}") from None
    if is_other:
        raise DamagedFile(path, "checksum mismatch: its content has changed since it was written")
    return content, expected is not None


def read_user_json(path: Path, message: str = "{path}: cannot be read as JSON ({reason})") -> Any:
    """Read a JSON file of the user or of a dataset, in UTF-8 with or without a byte order mark.

    Args:
        path: the file.
        message: text of the error, see `refusing_unreadable`.

    Raises:
        InputError: the file cannot be read, is not JSON, is nested too deeply, or is larger than `Limits.table_mib`.
    """
    with refusing_unreadable(path, message):
        check_table(path, path.stat().st_size)
        return json.loads(path.read_text(encoding="utf-8-sig"))


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value)} is not JSON-able")
