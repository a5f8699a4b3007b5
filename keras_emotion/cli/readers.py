"""The reader that options ask for."""

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
        stimuli: stimulus folder that the trials have their clips from, see `with_stimuli`.
        option_prefix: what precedes the names of further arguments on the command line, for messages.
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
"""What precedes the names of a reader's arguments in those of the options."""


def reader_arguments(dataset: str, chosen: Mapping[str, Any]) -> list[Argument]:
    """The options that set the arguments of a reader: how its recordings are cleaned and resampled.

    Args:
        dataset: name of the dataset, registered.
        chosen: defaults by name that go before those of the reader.
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
"""Rate that recordings are resampled to: that of DEAP and of the models' defaults."""


def rate_options(dataset: str, rate_hz: float | None) -> dict[str, float]:
    """Arguments of a reader that say which rate signals are resampled to; none where they have a rate of their own.

    Args:
        dataset: name of the dataset, registered.
        rate_hz: the rate that was asked for.

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
