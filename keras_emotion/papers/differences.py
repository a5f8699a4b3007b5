"""Differences of a run from the paper that it reproduces, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from keras_emotion.datasets import Reader
from keras_emotion.evaluation import PROTOCOLS
from keras_emotion.papers.registry import Reproduction
from keras_emotion.systems import Experiment
from keras_emotion.systems.base import configured_paths

_OF_NO_PAPER = frozenset({"name", "seed", "protocols", "class_names"})
"""Fields that no paper prints, or whose differences are described otherwise."""


def differences_from_the_paper(
    reproduction: Reproduction,
    wanted: Experiment,
    dataset: Reader | None,
    n_windows: Mapping[Any, int] | None = None,
) -> list[str]:
    """List all differences of a run from the paper or, without a paper, from the full-size experiment.

    These are fields of the configuration, arguments of the reader, differences that no preset can remove (weights that
    are not distributed, programs that the paper names), and the amount of data.

    Args:
        reproduction: the reproduction.
        wanted: the experiment.
        dataset: its reader; `None` if nothing is read.
        n_windows: number of windows of each subject, if known.

    Returns:
        One line for each difference; empty for a run exactly as printed.
    """
    full, printed = reproduction.presets["paper"], reproduction.printed_data
    lines = list(_of_amounts(reproduction, wanted, n_windows))
    if reproduction.is_on_data_of_paper:
        if type(full.system) is type(wanted.system):
            lines += wanted.system.unlike_the_paper()
        lines += reproduction.unlike_the_paper(wanted, dataset) if dataset is not None else ()
        own = PROTOCOLS[full.protocols[0]]
        # A protocol of another setting of the paper is also one of the paper.
        if not any(name == own.name or PROTOCOLS[name].paper == (own.paper or None) for name in wanted.protocols):
            lines.append(f"without the protocol of the paper, {own.name}")
    # Arguments that a line already names are not listed again.
    told = " ".join(lines)
    arguments = () if dataset is None else _of_reader(reproduction, dataset)
    lines += [line for name, line in arguments if f"--reader.{name}" not in told]
    for path, there, here in _of_fields(
        full, wanted, {*_OF_NO_PAPER, *(["subjects"] if printed and printed.n_subjects else [])}
    ):
        lines.append(_in_words(path, there, here))
    return list(dict.fromkeys(lines))


def _of_fields(full: Experiment, wanted: Experiment, left_out: set[str]) -> Iterator[tuple[str, Any, Any]]:
    """Dotted name, value there and value here of the differing fields that exist here.

    Fields with paths are excluded; the system itself describes the content of such files.
    """
    there, here = (one.model_dump(mode="json", exclude={*left_out, "runtime"}) for one in (full, wanted))
    if type(full.system) is type(wanted.system):
        # Fields of the full-size experiment that this one lacks are ignored.
        gone = full.system.scientific_config().keys() - wanted.system.scientific_config().keys()
        for fields in (there, here):
            fields["system"] = {name: value for name, value in fields["system"].items() if name not in gone}
    else:
        del there["system"], here["system"]
    unlisted = [f"system.{name}" for name in wanted.system.worded_fields]
    unlisted += [*configured_paths(full), *configured_paths(wanted)]
    for path, old, new in _changed_values(there, here):
        if not any(path == name or path.startswith(f"{name}.") for name in unlisted):
            yield path, old, new


def _changed_values(there: Any, here: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    if isinstance(there, Mapping) and isinstance(here, Mapping):
        for key in sorted(there.keys() | here.keys()):
            yield from _changed_values(there.get(key), here.get(key), f"{path}.{key}" if path else key)
    elif there != here:
        yield path, there, here


def _of_amounts(reproduction: Reproduction, wanted: Experiment, n_windows: Mapping[Any, int] | None) -> Iterator[str]:
    printed = reproduction.printed_data
    if printed is None:
        return
    n_subjects = len(wanted.subjects) if n_windows is None else len(n_windows)
    if printed.n_subjects and n_subjects and n_subjects != printed.n_subjects:
        yield f"subjects: {n_subjects} in place of {printed.n_subjects}"
    if printed.n_windows and n_windows is not None:
        here = sum(n_windows.values())
        if here != printed.n_windows:
            yield f"windows: {here:,} in place of {printed.n_windows:,} ({100 * here / printed.n_windows:.3g} %)"


def _of_reader(reproduction: Reproduction, dataset: Reader) -> Iterator[tuple[str, str]]:
    """Arguments of the reader that differ from those of the reproduction, with a line for each."""
    theirs = {**type(dataset).default_options(), **reproduction.reader_options}
    for name, here in dataset.options.items():
        if name in theirs and here != theirs[name]:
            yield name.replace("_", "-"), f"reader.{name}: {_shown(here)} in place of {_shown(theirs[name])}"


def _in_words(path: str, there: Any, here: Any) -> str:
    if path == "maximum_folds" and here and not there:
        return f"at most {here} folds of each protocol"
    if path == "maximum_repetitions" and here and not there:
        return f"at most {here} repetition{'' if here == 1 else 's'} of each protocol"
    if path == "subjects":
        return f"subjects: {_count(here)} in place of {_count(there)}"
    return f"{path}: {_shown(here)} in place of {_shown(there)}"


def _count(subjects: Sequence[Any]) -> str:
    return str(len(subjects)) if subjects else "all"


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"({', '.join(f'{name} {_shown(one)}' for name, one in value.items())})"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_shown, value)) or "none"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, float):
        return f"{value:g}"
    return "none" if value in (None, "") else str(value)
