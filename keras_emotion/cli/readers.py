"""Readers and their options."""

from __future__ import annotations

import dataclasses
import inspect
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keras_emotion.cli.parser import Argument, arguments_of, as_option
from keras_emotion.datasets import READERS, Reader, with_stimuli
from keras_emotion.schema import InputError


def open_dataset(
    name: str,
    root: Path,
    file_format: str | None = None,
    stimuli: Path | None = None,
    *,
    option_prefix: str = "",
    **options: Any,
) -> Reader:
    """Return the reader of a dataset.

    Args:
        name: name of the dataset, registered.
        root: its folder.
        file_format: format to read; by default the first one found.
        stimuli: folder with the clips of the stimuli, see `with_stimuli`.
        option_prefix: prefix of the options of further arguments, for messages.
        options: further arguments of the reader.

    Raises:
        InputError: the folder holds no such dataset, an option is not valid for it, or the stimulus folder cannot be
            read.
    """
    if file_format is not None:
        options["file_format"] = file_format
    try:
        reader = READERS[name](root, **options)
    except InputError:
        raise
    except ValueError as error:
        raise as_option(error, "" if str(error).startswith("`file_format`") else option_prefix) from None
    return reader if stimuli is None else with_stimuli(reader, stimuli)


READER_PREFIX = "reader."
"""Prefix of the options of a reader."""


def reader_arguments(dataset: str, chosen: Mapping[str, Any]) -> list[Argument]:
    """Arguments of a reader as options: cleaning and resampling of its recordings.

    Args:
        dataset: name of the dataset, registered.
        chosen: defaults by name that override those of the reader.
    """
    kind = READERS[dataset]
    group = (READER_PREFIX.rstrip("."), f"how the files of {dataset} are read")
    return [
        dataclasses.replace(
            one,
            name=f"{READER_PREFIX}{one.name}",
            default=chosen.get(one.name, one.default),
            option=dataclasses.replace(one.option, common=False),
            group=group,
        )
        for one in arguments_of(kind)
        if one.name not in ("root", "file_format")
    ]


SAMPLING_RATE_HZ = 128.0
"""Default sampling rate after resampling, as in DEAP and in the defaults of the models."""


def rate_options(dataset: str, rate_hz: float | None) -> dict[str, Any]:
    """Arguments of a reader for resampling; empty for datasets with a fixed rate.

    Args:
        dataset: name of the dataset, registered.
        rate_hz: the requested rate.

    Raises:
        InputError: the rate is not valid, or the dataset is not resampled.
    """
    if "sampling_rate_hz" not in inspect.signature(READERS[dataset]).parameters:
        if rate_hz is None:
            return {}
        raise InputError(f"--sampling-rate-hz: {dataset} is read at the rate it was published with")
    rate_hz = SAMPLING_RATE_HZ if rate_hz is None else rate_hz
    if not 0 < rate_hz < math.inf:
        raise InputError(f"--sampling-rate-hz {rate_hz:g}: expected a number above 0")
    return {"sampling_rate_hz": rate_hz}
