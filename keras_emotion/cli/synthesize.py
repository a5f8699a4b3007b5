"""The command `keras-emotion synthesize`: synthetic data in a dataset's own format."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

from keras_emotion.cli.names import check_name
from keras_emotion.cli.parser import (
    COMMON_OPTIONS,
    Argument,
    arguments_of,
    as_option,
    docstring_section,
    parse,
    print_help,
)
from keras_emotion.options import Option
from keras_emotion.schema import InputError

_OLD = {"frames_per_clip": "--frames", "sampling_rate_hz": "--sampling-rate"}
"""Spellings of version 0.1.0 by the parameters of the writers, accepted until 0.3.0."""

_DETAILS = (
    "rating_agreement",
    "stimulus_identity_size",
    "stimulus_emotion_size",
    "stimulus_silent_share",
    "video_frame_rate_hz",
    "video_size",
)
"""Parameters of the writers that only `--help-all` lists."""

_PROG = "keras-emotion synthesize"


@dataclasses.dataclass(frozen=True)
class _Dataset:
    """Argument that determines the further options.

    Args:
        dataset: name of the dataset.
    """

    dataset: Annotated[str, Option(positional=True, names="synthetic dataset")]


def synthesize(words: Sequence[str]) -> int:
    """Write synthetic data in the format of a dataset, with an effect of known size.

    The files have the format, the scales and roughly the statistics of the dataset, and contain no data of any person.
    Numbers computed from them say nothing about emotion.

    Args:
        words: the words of the command line.

    Returns:
        The exit code.

    Raises:
        InputError: an option is not valid, or the files cannot be written.

    Examples:
        keras-emotion synthesize deap /tmp/deap --subjects 2
        keras-emotion synthesize recordings /tmp/study --sessions 2
        keras-emotion synthesize mahnob_hci --help
    """
    from keras_emotion.synthetic import WRITERS

    # The further options depend on the dataset.
    first = [*arguments_of(_Dataset), *COMMON_OPTIONS]
    asked = parse(words, first, _PROG, is_complete=False)
    if "dataset" not in asked:
        print_help(asked, first, _PROG, synthesize, usage=[f"{_PROG} DATASET FOLDER [options]"])
        raise InputError(f"DATASET: missing; expected one of {', '.join(WRITERS)}; see {_PROG} --help")
    name = asked["dataset"]
    check_name("DATASET", "synthetic dataset", name)
    writer = WRITERS[name]
    own = writer_arguments(writer)
    known = [*arguments_of(_Dataset), *own, *COMMON_OPTIONS]
    given = parse(words, known, _PROG)
    description = f"{docstring_section(writer, '')}\n\nExamples:\n    {_PROG} {name} /tmp/{name} --seed 1\n"
    print_help(given, [*own, *COMMON_OPTIONS], f"{_PROG} {name}", description)
    folder = given[own[0].name]
    try:
        writer(**{argument.name: given[argument.name] for argument in own if argument.name in given})
    except ValueError as error:
        raise as_option(error) from None
    except OSError as error:
        raise InputError(f"{error.filename or folder}: cannot be written ({error.strerror})") from None
    print(f"wrote {folder}")
    return 0


def writer_arguments(writer: Callable[..., Path]) -> list[Argument]:
    """Arguments of a writer: its parameters, of which the first is the folder.

    A leading `n_` is removed: `--subjects` is `n_subjects`. Parameters whose option would have the name of another
    option are only available in Python.
    """
    folder, *parameters = arguments_of(writer)
    counts = {one.name.removeprefix("n_") for one in parameters if one.name.startswith("n_")}
    place = Option(positional=True, metavar="FOLDER")
    found = [dataclasses.replace(folder, annotation=Path, option=place)]
    for one in parameters:
        if one.name not in counts:
            common = False if one.name in _DETAILS else None
            option = Option(name=one.name.removeprefix("n_"), old=_OLD.get(one.name, ""), common=common)
            found.append(dataclasses.replace(one, option=option))
    return found
