"""Valid names from registries: datasets, models, protocols, reproductions."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence

from keras_emotion.schema import InputError

USUAL = "usual"
"""Name that stands for the usual protocols of a dataset."""


def _datasets() -> Iterable[str]:
    from keras_emotion.datasets import READERS

    return READERS


def _file_formats() -> Iterable[str]:
    """Names of the file formats of each dataset, from the annotations of its reader."""
    import typing

    from keras_emotion.datasets import READERS

    for name, reader in READERS.items():
        try:
            annotation = typing.get_type_hints(reader.__init__).get("file_format")
        except NameError:
            # A reader of another package may import its annotations only for type checkers.
            continue
        formats = [value for part in typing.get_args(annotation) for value in typing.get_args(part)]
        if formats:
            yield f"{name}: {' '.join(formats)}"


def _models() -> Iterable[str]:
    from keras_emotion.papers import models

    return models()


def _protocols() -> Iterable[str]:
    from keras_emotion.evaluation import PROTOCOLS

    return PROTOCOLS


def _protocols_of_a_run() -> Iterable[str]:
    return (*_protocols(), USUAL)


def _reproductions() -> Iterable[str]:
    from keras_emotion.papers import reproductions

    return reproductions()


def _writers() -> Iterable[str]:
    from keras_emotion.synthetic import WRITERS

    return WRITERS


REGISTRIES: Mapping[str, Callable[[], Iterable[str]]] = {
    "dataset": _datasets,
    "model": _models,
    "protocol": _protocols,
    "protocol of a run": _protocols_of_a_run,
    "reproduction": _reproductions,
    "synthetic dataset": _writers,
}
"""Functions that return the registered names, by kind; registries are imported when they are called."""

LISTED: Mapping[str, Callable[[], Iterable[str]]] = {**REGISTRIES, "file format": _file_formats}
"""Names that the help can list: those of the registries and further ones."""


def check_name(option: str, kind: str, name: str) -> None:
    """Check that a name is registered.

    Args:
        option: spelling of the option, for the message.
        kind: key of `REGISTRIES`.
        name: the value.

    Raises:
        InputError: it is not registered; the message lists the registered names.
    """
    names = list(REGISTRIES[kind]())
    if name not in names:
        near = did_you_mean(name, names)
        raise InputError(f"{option} {name}: unknown {kind}; expected one of {', '.join(names)}{near}")


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """Return `; did you mean ...?` with the closest known words, or an empty string."""
    near = difflib.get_close_matches(word, known, n=2, cutoff=0.6)
    return f"; did you mean {' or '.join(near)}?" if near else ""


def with_usual_protocols(names: Sequence[str], dataset: str) -> tuple[str, ...]:
    """Replace `usual` by the usual protocols of a dataset, and remove duplicates.

    Raises:
        InputError: the dataset has no usual protocols.
    """
    from keras_emotion.datasets import READERS

    usual = READERS[dataset].usual_protocols
    if USUAL in names and not usual:
        raise InputError(
            f"--protocols {USUAL}: {dataset} has no usual protocols; expected one of {', '.join(_protocols())}"
        )
    return tuple(dict.fromkeys(one for name in names for one in (usual if name == USUAL else (name,))))
