"""Handling of Ctrl-C and SIGTERM in commands; quick to import.

Importing this module replaces the traceback of a Ctrl-C during the imports of a command by one line.
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
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

OF_SIGNAL = 128
"""Offset of exit codes from signal numbers, as in shells."""

_SIGNALS = (signal.SIGINT, signal.SIGTERM)

_SECONDS_TO_STOP = 1.0
"""Seconds after which a further signal ends the process at once; earlier ones count as the same key press."""

_SECONDS_TO_SEND_AGAIN = 0.01

_texts: list[str] = []


class Stopped(KeyboardInterrupt):
    """Signal that ends the command, with its exit code and the line to print.

    Args:
        number: number of the signal.
    """

    def __init__(self, number: int):
        super().__init__()
        self.code = OF_SIGNAL + number
        self._line: str | None = _interruption_line()
        self._seconds = time.monotonic()

    def print_once(self) -> None:
        """Print what is kept and how to continue, unless it was printed before."""
        if self._line is not None:
            # Bypass `sys.stderr`: the signal may arrive while it is being written to.
            os.write(2, f"{self._line}\n".encode())
        self._line = None

    def exit_at_once(self) -> None:
        """End the process at once, at a further signal that is not part of the same key press."""
        if time.monotonic() - self._seconds > _SECONDS_TO_STOP:
            self.print_once()
            os._exit(self.code)


def is_sigterm(interruption: KeyboardInterrupt) -> bool:
    """Whether SIGTERM raised this in a command, and not Ctrl-C."""
    return isinstance(interruption, Stopped) and interruption.code == OF_SIGNAL + signal.SIGTERM


@contextlib.contextmanager
def on_interruption(text: str) -> Iterator[None]:
    """Set the message of an interrupted command for a block (context manager or decorator).

    Args:
        text: what is kept and how to continue; `{command}` is replaced by the command line as typed, `{resume}` by
            the same with `--resume`.
    """
    _texts.append(text)
    try:
        yield
    except Stopped:
        raise
    except KeyboardInterrupt:
        # Raised without the handlers of `with_exit_codes`.
        raise Stopped(signal.SIGINT) from None
    finally:
        _texts.pop()


def handle_signals() -> dict[int, Any]:
    """Make SIGINT and SIGTERM raise `Stopped` once, and return the previous handlers.

    A further signal is ignored for a second; afterwards it ends the process at once, without another line. Where Python
    cannot raise (in a callback of the garbage collector, in a `__del__`) the signal is sent again a moment later.
    """
    # Only the main thread may set handlers; ignored signals (`nohup`, `&` in a script) stay ignored.
    if threading.current_thread() is not threading.main_thread():
        return {}
    handlers: dict[int, Any] = {number: signal.getsignal(number) for number in _SIGNALS}
    handlers = {number: handler for number, handler in handlers.items() if handler not in (None, signal.SIG_IGN)}
    stopped: list[Stopped] = []

    def stop(number: int, frame: object) -> None:
        if stopped:
            stopped[0].exit_at_once()
        else:
            stopped.append(Stopped(number))
            raise stopped[0]

    for number in handlers:
        signal.signal(number, stop)
    if handlers:
        sys.unraisablehook = functools.partial(_send_again, stopped, sys.unraisablehook)
    return handlers


def _send_again(stopped: list[Stopped], hook: Callable[[Any], object], unraisable: Any) -> None:
    """Replace `sys.unraisablehook`, so that an interruption that Python would only report is not lost."""
    if isinstance(unraisable.exc_value, Stopped):
        number = unraisable.exc_value.code - OF_SIGNAL
        stopped.clear()
        # Nothing can be raised here either.
        again = threading.Timer(_SECONDS_TO_SEND_AGAIN, os.kill, (os.getpid(), number))
        again.daemon = True
        again.start()
    else:
        hook(unraisable)


def restore_handlers(handlers: Mapping[int, Any]) -> None:
    """Restore the handlers that `handle_signals` returned."""
    for number, handler in handlers.items():
        signal.signal(number, handler)
    hook = sys.unraisablehook
    if isinstance(hook, functools.partial) and hook.func is _send_again:
        sys.unraisablehook = hook.args[1]


def _interruption_line() -> str:
    text = _texts[-1] if _texts else "start the command again: {command}"
    resume = [] if "--resume" in sys.argv else ["--resume"]
    return "interrupted; " + text.format(command=command_line(), resume=command_line(*resume))


def command_line(*more_words: str) -> str:
    """The command line as typed, with further words."""
    program = Path(sys.argv[0])
    if program.name == "__main__.py":
        start = ["python", "-m", ".".join(program.parts[-3:-1])]
    elif program.suffix == ".py":
        start = ["python", sys.argv[0]]
    else:
        start = [program.name if shutil.which(program.name) == sys.argv[0] else sys.argv[0]]
    return shlex.join([*start, *sys.argv[1:], *more_words])


def _print_interruption(kind, error, trace):
    if issubclass(kind, KeyboardInterrupt):
        Stopped(signal.SIGINT).print_once()
    else:
        _excepthook(kind, error, trace)


_excepthook, sys.excepthook = sys.excepthook, _print_interruption
