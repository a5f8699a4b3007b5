"""The reader that options ask for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from keras_emotion.cli.parser import as_option
from keras_emotion.datasets import READERS, Reader
from keras_emotion.schema import InputError


def open_dataset(name: str, root: Path, file_format: str | None = None, **options: Any) -> Reader:
    """Return the reader of a dataset.

    Args:
        name: name of the dataset, registered.
        root: its folder.
        file_format: format to read; by default the first one found.
        options: further arguments of the reader.

    Raises:
        InputError: the folder holds no such dataset, or an option is not valid for it.
    """
    if file_format is not None:
        options["file_format"] = file_format
    try:
        return READERS[name](root, **options)
    except InputError:
        raise
    except ValueError as error:
        raise as_option(error) from None
