"""Limit the memory that an input file can make a process allocate; sizes are checked before allocation.

A file of some megabytes can declare an array of gigabytes, or a picture of a gigapixel. The limits hold in all
processes of a run: they are kept in an environment variable, which worker processes inherit.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import os
import zipfile
from collections.abc import Sequence
from pathlib import Path

from keras_emotion.schema import InputError

ENVIRONMENT_VARIABLE = "KERAS_EMOTION_LIMITS"
"""Limits as `name=value`, separated by commas; the option `--limit` sets it."""

OPTION = "--limit"


@dataclasses.dataclass(frozen=True)
class Limits:
    """Upper limits on the content of an input file.

    Args:
        memory_gib: GiB of arrays that are read from a file at once. Files that are read in pieces (EDF, `.npy`, videos)
            have no such limit.
        table_mib: MiB of a csv or JSON file.
        picture_megapixels: millions of pixels of a picture, or of a frame of a video.
        video_hours: hours of a video or sound file.
    """

    memory_gib: float = 4.0
    table_mib: float = 512.0
    picture_megapixels: float = 100.0
    video_hours: float = 48.0


NAMES = tuple(field.name for field in dataclasses.fields(Limits))


def current_limits() -> Limits:
    """Return the limits of this process.

    Raises:
        InputError: the environment variable is invalid.
    """
    return _parsed(os.environ.get(ENVIRONMENT_VARIABLE, ""))


def set_limits(words: Sequence[str]) -> None:
    """Set limits of this process and of its child processes.

    Args:
        words: `name=value` each.

    Raises:
        InputError: a name or a value is invalid.
    """
    text = ",".join([part for part in (os.environ.get(ENVIRONMENT_VARIABLE, ""),) if part] + list(words))
    _parsed(text)
    if words:
        os.environ[ENVIRONMENT_VARIABLE] = text


@functools.lru_cache(maxsize=16)
def _parsed(text: str) -> Limits:
    values = {}
    for word in filter(None, text.split(",")):
        name, _, value = word.partition("=")
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if name not in NAMES or not number > 0:
            raise InputError(f"{OPTION} {word}: expected a number above 0 for one of {', '.join(NAMES)} (NAME=VALUE)")
        values[name] = number
    return Limits(**values)


def check_memory(path: Path | str, n_bytes: int, what: str = "arrays") -> None:
    """Refuse a file that declares more than `Limits.memory_gib`.

    Raises:
        InputError: the file declares more.
    """
    _check(path, n_bytes / 2**30, "memory_gib", "GiB", f"declares {{}} of {what}")


def check_archive(path: Path, archive: zipfile.ZipFile, what: str = "content") -> None:
    """Refuse a zip archive whose members declare more than `Limits.memory_gib`, or more than the archive contains.

    Args:
        path: the archive.
        archive: the same, opened: only its directory is read.
        what: content of the members, in plural, for the message.

    Raises:
        InputError: the decompressed members are larger than the limit.
        ValueError: the compressed members are larger than the archive; `zipfile` would allocate what they declare.
    """
    members = archive.infolist()
    check_memory(path, sum(member.file_size for member in members), what)
    compressed, size = sum(member.compress_size for member in members), path.stat().st_size
    if compressed > size:
        raise ValueError(f"its members declare {compressed:,} compressed bytes, but the file has {size:,}")


def check_table(path: Path | str, n_bytes: int) -> None:
    """Refuse a csv or JSON file of more than `Limits.table_mib`.

    Raises:
        InputError: the file is larger.
    """
    _check(path, n_bytes / 2**20, "table_mib", "MiB", "has {}")


def check_picture(path: Path | str, width: int, height: int) -> None:
    """Refuse a picture or video frame of more than `Limits.picture_megapixels`.

    Raises:
        InputError: the picture is larger.
    """
    shown = f"is a picture of {width} x {height} pixels, {{}}"
    _check(path, width * height / 1e6, "picture_megapixels", "megapixels", shown)


def check_video(path: Path | str, seconds: float) -> None:
    """Refuse a video or sound file of more than `Limits.video_hours`.

    Raises:
        InputError: the header declares a longer duration.
    """
    _check(path, seconds / 3600, "video_hours", "hours", "declares a duration of {}")


def _check(path: Path | str, size: float, name: str, unit: str, text: str) -> None:
    most = getattr(current_limits(), name)
    if size > most:
        raise InputError(
            f"{path}: {text.format(f'{size:.4g} {unit}')}; expected at most {most:g}; if the file is right, give "
            f"{OPTION} {name}={_rounded_up(size)}"
        )


def _rounded_up(size: float) -> str:
    """Round up to two significant digits."""
    step = 10.0 ** (math.floor(math.log10(size)) - 1)
    return f"{math.ceil(size / step) * step:.12g}"
