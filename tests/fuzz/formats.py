"""What is fuzzed: files that writers of this package make, and how each is read."""

from __future__ import annotations

import dataclasses
import importlib.util
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.fuzz.mutations import Mutate


@dataclasses.dataclass(frozen=True)
class Format:
    """A kind of file.

    Args:
        name: its name.
        write: writes intact files into a folder that is there.
        read: reads the folder as the package does; what it gives is compared.
        files: patterns of the files that are damaged, relative to the folder.
        has_checksum: whether the files are ours and have checksums: damage that leaves these as they were may not
            change what is read.
        past_header: mutation that goes past what the reader checks first; by default that of the ending.
        changes_folder: whether reading may move or write files.
        packages: packages that have to be installed.
        inputs_of_a_worker: inputs that a process reads before a new one is forked.
    """

    name: str
    write: Callable[[Path], Any]
    read: Callable[[Path], Any]
    files: tuple[str, ...] = ("**/*",)
    has_checksum: bool = False
    past_header: Mutate | None = None
    changes_folder: bool = False
    packages: tuple[str, ...] = ()
    inputs_of_a_worker: int = 500

    @property
    def missing(self) -> str:
        """Packages that are not installed."""
        return ", ".join(name for name in self.packages if importlib.util.find_spec(name) is None)


def all_formats() -> dict[str, Format]:
    """Every format by its name."""
    from tests.fuzz import (
        formats_of_datasets,
        formats_of_media,
        formats_of_recordings,
        formats_of_runs,
        formats_of_users,
    )

    modules = (formats_of_datasets, formats_of_recordings, formats_of_media, formats_of_users, formats_of_runs)
    return {one.name: one for one in itertools.chain.from_iterable(module.FORMATS for module in modules)}
