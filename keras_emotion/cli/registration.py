"""The option `--register MODULE`, which all commands and reproductions take."""

from __future__ import annotations

from collections.abc import Sequence

from keras_emotion.schema import InputError

_OPTION = "--register"


def without_register_option(words: Sequence[str]) -> list[str]:
    """Import the modules that `--register MODULE` names, once or several times, and return the other words.

    Before anything else is parsed: what a module registers are models, systems and reproductions by name.

    Raises:
        InputError: no module is named, there is none of this name, or it registers nothing.
    """
    others, names = [], []
    rest = iter(words)
    for word in rest:
        option, equals, value = word.partition("=")
        if option != _OPTION:
            others.append(word)
            continue
        name = value if equals else next(rest, "")
        if not name or name.startswith("-"):
            raise InputError(f"{_OPTION}: give the name of a module that registers a paper")
        names.append(name)
    if names:
        from keras_emotion.papers import register_module

        for name in names:
            register_module(name)
    return others
