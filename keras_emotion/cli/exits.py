"""How a command ends: its exit code, and what it prints when it is interrupted.

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

import contextlib
import functools
import os
import shlex
import shutil
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ParamSpec, TypeVar

from keras_emotion import __version__
from keras_emotion.keras_settings import choose_backend
from keras_emotion.schema import InputError

UNUSABLE_INPUT = 2
INTERNAL_ERROR = 70
"""The code of `EX_SOFTWARE` in BSD's `sysexits.h`."""

_OF_SIGNAL = 128
"""Codes of commands that a signal ends are this much above its number, as in shells."""

_SIGNALS = (signal.SIGINT, signal.SIGTERM)

_SECONDS_TO_STOP = 1.0
"""After so long a further signal ends the process at once; earlier ones are taken for the same key press."""

_BUG = (
    f"internal error (keras_emotion {__version__}): report the lines above, the command line, and the dataset and its "
    "format"
)

_interruption_texts: list[str] = []

P = ParamSpec("P")
T = TypeVar("T")


class _Stopped(KeyboardInterrupt):
    """A signal that ends the command.

    Args:
        number: of the signal.
    """

    def __init__(self, number: int):
        super().__init__()
        self.code = _OF_SIGNAL + number
        self._line: str | None = _interruption_line()
        self._seconds = time.monotonic()

    def print_once(self) -> None:
        """Print what is kept and how to continue, unless it was printed before."""
        if self._line is not None:
            # Past `sys.stderr`: a signal may come while that is being written to.
            os.write(2, f"{self._line}\n".encode())
        self._line = None

    def exit_at_once(self) -> None:
        """End the process without anything else, at a further signal that is no part of the same key press."""
        if time.monotonic() - self._seconds > _SECONDS_TO_STOP:
            self.print_once()
            os._exit(self.code)


def is_sigterm(interruption: KeyboardInterrupt) -> bool:
    """Whether SIGTERM, and not Ctrl-C, raised this in a command."""
    return isinstance(interruption, _Stopped) and interruption.code == _OF_SIGNAL + signal.SIGTERM


@contextlib.contextmanager
def on_interruption(text: str) -> Iterator[None]:
    """Context manager or decorator: what an interrupted command prints about its results while this block runs.

    Args:
        text: what is kept and how to continue; `{command}` stands for the command line as it was typed, `{resume}` for
            the same with `--resume`.
    """
    _interruption_texts.append(text)
    try:
        yield
    except _Stopped:
        raise
    except KeyboardInterrupt:
        # Raised without the handlers of `with_exit_codes`.
        raise _Stopped(signal.SIGINT) from None
    finally:
        _interruption_texts.pop()


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
        handlers = _handle_signals()
        try:
            result = function(*arguments, **options)
        except InputError as error:
            print(f"error: {error}", file=sys.stderr)
            code = UNUSABLE_INPUT
        except KeyboardInterrupt as interruption:
            stopped = interruption if isinstance(interruption, _Stopped) else _Stopped(signal.SIGINT)
            sys.stderr.flush()
            stopped.print_once()
            # The handlers stay, so that a further signal while the interpreter ends prints nothing.
            raise SystemExit(stopped.code) from None
        except BrokenPipeError:
            # Whoever reads the output has enough of it (`| head`); Python would complain when it flushes the rest.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = _OF_SIGNAL + signal.SIGPIPE
        except Exception:
            traceback.print_exc()
            print(_BUG, file=sys.stderr)
            code = INTERNAL_ERROR
        else:
            _restore(handlers)
            return result
        _restore(handlers)
        raise SystemExit(code) from None

    return guarded


def _handle_signals() -> dict[int, object]:
    """Have SIGINT and SIGTERM raise `_Stopped`, once; gives the handlers of before."""
    # Only the main thread may, and what was told to ignore a signal (`nohup`, `&` in a script) goes on ignoring it.
    if threading.current_thread() is not threading.main_thread():
        return {}
    handlers = {number: signal.getsignal(number) for number in _SIGNALS}
    handlers = {number: handler for number, handler in handlers.items() if handler != signal.SIG_IGN}
    stopped: list[_Stopped] = []

    def stop(number: int, frame: object) -> None:
        if stopped:
            stopped[0].exit_at_once()
        else:
            stopped.append(_Stopped(number))
            raise stopped[0]

    for number in handlers:
        signal.signal(number, stop)
    return handlers


def _restore(handlers: dict[int, object]) -> None:
    for number, handler in handlers.items():
        signal.signal(number, handler)


def _interruption_line() -> str:
    text = _interruption_texts[-1] if _interruption_texts else "start the command again: {command}"
    resume = [] if "--resume" in sys.argv else ["--resume"]
    return "interrupted; " + text.format(command=_command_line(), resume=_command_line(*resume))


def _command_line(*more_words: str) -> str:
    """The command as it was typed, with further words."""
    program = Path(sys.argv[0])
    if program.name == "__main__.py":
        start = ["python", "-m", ".".join(program.parts[-3:-1])]
    elif program.suffix == ".py":
        start = ["python", sys.argv[0]]
    else:
        start = [program.name if shutil.which(program.name) == sys.argv[0] else sys.argv[0]]
    return shlex.join([*start, *sys.argv[1:], *more_words])
