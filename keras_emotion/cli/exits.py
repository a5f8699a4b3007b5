"""Exit codes of commands.

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
from keras_emotion.limits import ENVIRONMENT_VARIABLE
from keras_emotion.links import FOLLOW_VARIABLE
from keras_emotion.messages import QUIET_VARIABLE, VERBOSE_VARIABLE, condensed, is_shortened
from keras_emotion.refusals import system_failure
from keras_emotion.schema import InputError
from keras_emotion.visible_text import visible_stream

UNUSABLE_INPUT = 2
INTERNAL_ERROR = 70
"""The code of `EX_SOFTWARE` in BSD's `sysexits.h`."""

_BUG = (
    f"internal error (keras_emotion {__version__}): report the lines above, the command line, and the dataset and its "
    "format"
)


def print_refusal(text: str) -> None:
    """Print the message of an `InputError` to standard error, shortened unless `--verbose` is given."""
    lines = text.split("\n")
    print("error: " + "\n".join(condensed(lines)), file=sys.stderr)
    if is_shortened(lines):
        print("note: --verbose prints all of it", file=sys.stderr)


SETTINGS = (ENVIRONMENT_VARIABLE, FOLLOW_VARIABLE, VERBOSE_VARIABLE, QUIET_VARIABLE)
"""Environment variables set by options of a command."""

P = ParamSpec("P")
T = TypeVar("T")


def with_exit_codes(function: Callable[P, T]) -> Callable[P, T]:
    """Turn exceptions and signals of a command into messages and exit codes (decorator).

    An `InputError` or a failure of the machine (memory, disk, permissions; see `system_failure`) prints `error: ...`,
    Ctrl-C and SIGTERM print one line on how to continue, all without a traceback. Any other exception is a bug: its
    traceback is printed, with instructions for a report. Library logs of the start-up are suppressed (see
    `keras_emotion.native_log`). While the command runs, control characters that it prints are written as escapes (see
    `keras_emotion.visible_text`); environment variables set by its options are restored afterwards.

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
        streams = sys.stdout, sys.stderr
        # Restore options, because several commands may run in one process.
        settings = {name: os.environ.get(name) for name in SETTINGS}
        sys.stdout, sys.stderr = map(visible_stream, streams)
        try:
            result = function(*arguments, **options)
        except InputError as error:
            print_refusal(str(error))
            code = UNUSABLE_INPUT
        except KeyboardInterrupt as interruption:
            stopped = interruption if isinstance(interruption, Stopped) else Stopped(signal.SIGINT)
            sys.stderr.flush()
            stopped.print_once()
            # The handlers stay, so that further signals during shutdown print nothing.
            raise SystemExit(stopped.code) from None
        except BrokenPipeError:
            # The reader of a pipe has closed it (`| head`); avoid the error of Python when it flushes the rest.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = OF_SIGNAL + getattr(signal, "SIGPIPE", 13)  # Windows has none
        except Exception as error:
            if failure := system_failure(error):
                print_refusal(failure)
                code = UNUSABLE_INPUT
            else:
                traceback.print_exc()
                print(_BUG, file=sys.stderr)
                code = INTERNAL_ERROR
        else:
            restore_handlers(handlers)
            return result
        finally:
            sys.stdout, sys.stderr = streams
            for name, value in settings.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value
        restore_handlers(handlers)
        raise SystemExit(code) from None

    return guarded
