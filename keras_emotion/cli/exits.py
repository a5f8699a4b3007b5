"""How a command ends: its exit code.

| code | meaning |
|---|---|
| 0 | done |
| 1 | the data have faults, or jobs failed |
| 2 | unusable input or command line |
| 70 | internal error |
| 130 | interrupted by Ctrl-C (SIGINT) |
| 143 | ended by SIGTERM |
"""

from __future__ import annotations

import functools
import os
import signal
import sys
import traceback
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from keras_emotion import __version__
from keras_emotion.cli.interruptions import OF_SIGNAL, Stopped, handle_signals, restore_handlers
from keras_emotion.keras_settings import choose_backend
from keras_emotion.schema import InputError

UNUSABLE_INPUT = 2
INTERNAL_ERROR = 70
"""The code of `EX_SOFTWARE` in BSD's `sysexits.h`."""

_BUG = (
    f"internal error (keras_emotion {__version__}): report the lines above, the command line, and the dataset and its "
    "format"
)

P = ParamSpec("P")
T = TypeVar("T")


def with_exit_codes(function: Callable[P, T]) -> Callable[P, T]:
    """Decorator of a command: exceptions and signals become a message and the exit codes listed above.

    An `InputError` prints `error: ...`, Ctrl-C and SIGTERM one line that says how to continue, both without a
    traceback. Any other exception is a bug: its traceback is printed, and what to report. Library logs of the start-up
    are suppressed (see `keras_emotion.native_log`).

    Example:
        >>> @with_exit_codes
        ... def command():
        ...     raise InputError("s01.dat: truncated")
        >>> command()
        Traceback (most recent call last):
            ...
        SystemExit: 2
    """

    @functools.wraps(function)
    def guarded(*arguments: P.args, **options: P.kwargs) -> T:
        choose_backend()
        handlers = handle_signals()
        try:
            result = function(*arguments, **options)
        except InputError as error:
            print(f"error: {error}", file=sys.stderr)
            code = UNUSABLE_INPUT
        except KeyboardInterrupt as interruption:
            stopped = interruption if isinstance(interruption, Stopped) else Stopped(signal.SIGINT)
            sys.stderr.flush()
            stopped.print_once()
            # The handlers stay, so that a further signal while the interpreter ends prints nothing.
            raise SystemExit(stopped.code) from None
        except BrokenPipeError:
            # Whoever reads the output has enough of it (`| head`); Python would complain when it flushes the rest.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = OF_SIGNAL + signal.SIGPIPE
        except Exception:
            traceback.print_exc()
            print(_BUG, file=sys.stderr)
            code = INTERNAL_ERROR
        else:
            restore_handlers(handlers)
            return result
        restore_handlers(handlers)
        raise SystemExit(code) from None

    return guarded
