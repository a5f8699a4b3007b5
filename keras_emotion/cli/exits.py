"""How a command ends when the user's input cannot be used."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from keras_emotion.schema import InputError

P = ParamSpec("P")
T = TypeVar("T")


def exit_on_input_error(function: Callable[P, T]) -> Callable[P, T]:
    """Decorator of a command: an `InputError` in it becomes one clean message and exit code 2.

    The message goes to standard error as `error: ...`, without a traceback. Every other exception is a bug of ours
    and keeps its traceback.

    Example:
        >>> @exit_on_input_error
        ... def command():
        ...     raise InputError("s01.dat: truncated")
        >>> command()
        Traceback (most recent call last):
            ...
        SystemExit: 2
    """

    @functools.wraps(function)
    def guarded(*arguments: P.args, **options: P.kwargs) -> T:
        try:
            return function(*arguments, **options)
        except InputError as error:
            print(f"error: {error}", file=sys.stderr)
            raise SystemExit(2) from None

    return guarded
