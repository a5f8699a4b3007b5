"""Start commands in forks of a process that has imported everything, and observe how they end.

To import TensorFlow takes longer than a small run; a fork of a process that has it begins at once, and nothing of
TensorFlow is used before the fork. `Start.cold` begins with a new interpreter in place of that, as a user does.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import dataclasses
import functools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from keras_emotion.keras_settings import choose_backend

_PR_SET_PDEATHSIG = 1

MARK = "KERAS_EMOTION_CRASH_START"
"""Environment variable that all processes of a start inherit: what is left of it is found by it."""

ORPHAN_SECONDS = 20.0
"""How long workers may live on after the process that started them: they look once in a second."""

_SENT = "sent"

FILE_EVENTS = frozenset(
    ("open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.link", "os.utime", "shutil.rmtree", "os.truncate")
)
"""Audit events of Python that are counted: the state on the disk changes at some of them."""


@dataclasses.dataclass(frozen=True)
class Kill:
    """When a command is ended, and how.

    Args:
        number: of the signal.
        seconds: after so many seconds; `None` where `event` says when.
        event: before the file event of this number in the folder of the case, from 1; 0 where `seconds` says when.
        to_group: whether all processes of the command get the signal, as by Ctrl-C or by a scheduler, or the first one.
    """

    number: int
    seconds: float | None = None
    event: int = 0
    to_group: bool = True

    def __str__(self) -> str:
        when = f"{self.seconds:.2f} s" if self.seconds is not None else f"file event {self.event}"
        return f"{signal.Signals(self.number).name} {'group' if self.to_group else 'process'} at {when}"


@dataclasses.dataclass(frozen=True)
class Ended:
    """How a command ended.

    Args:
        code: exit code, negative of a signal.
        out: standard output.
        err: standard error.
        seconds: how long it ran.
        events: file events in the folder of the case, where they were counted.
        orphans: command lines of processes that were left `ORPHAN_SECONDS` after the end.
        was_sent: whether the signal was sent before the end.
    """

    code: int
    out: str
    err: str
    seconds: float
    events: int = 0
    orphans: tuple[str, ...] = ()
    was_sent: bool = False


def say(text: str) -> None:
    """Print a line at once: a run takes minutes."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def preload() -> None:
    """Import what commands import; nothing is computed."""
    import importlib

    choose_backend()
    for name in (
        "keras_emotion.cli.reproduce",
        "keras_emotion.cli.audit",
        "keras_emotion.cli.report",
        "keras_emotion.cli.features",
        "keras_emotion.audit",
        "keras_emotion.reports",
        "keras_emotion.experiment.feature_table",
        "tensorflow",
        "keras",
        "mne.io",
        "edfio",
        "sklearn.svm",
        "sklearn.neighbors",
        "sklearn.linear_model",
        "sklearn.pipeline",
        "scipy.stats",
        "matplotlib.backends.backend_agg",
        "matplotlib.pyplot",
    ):
        importlib.import_module(name)


def run(
    words: Sequence[str],
    folder: Path,
    kill: Kill | None = None,
    *,
    cold: bool = False,
    before: Callable[[], None] | None = None,
    environment: Mapping[str, str] | None = None,
    meanwhile: Callable[[int, str], None] | None = None,
    timeout: float = 600.0,
) -> Ended:
    """Run a command of the command line, and end it where that is asked for.

    Args:
        words: words after `keras-emotion`.
        folder: where it works.
        kill: when and how it is ended.
        cold: start a new interpreter.
        before: called in the process of the command first (limits, user).
        environment: more variables.
        meanwhile: called in this process with the id of the command's process and the mark of its environment.
        timeout: seconds after which a command is taken to hang.

    Raises:
        TimeoutError: the command did not end.
    """
    mark = f"{os.getpid()}-{time.monotonic_ns()}"
    variables = {**os.environ, **(environment or {}), MARK: mark}
    # Beside the folder: its disk may be full.
    out, err, count = (folder.parent / f"{folder.name}-{name}.txt" for name in ("stdout", "stderr", "events"))
    files = [path.open("wb") for path in (out, err)]
    try:
        if cold:
            process = subprocess.Popen(
                [sys.executable, "-m", "keras_emotion.cli", *words],
                cwd=folder,
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=files[0],
                stderr=files[1],
                preexec_fn=functools.partial(_as_from_a_terminal, before),
                start_new_session=True,
            )
            pid = process.pid
        else:
            pid = _fork(words, folder, [file.fileno() for file in files], variables, kill, before, count)
        started = time.monotonic()
        if meanwhile is not None:
            meanwhile(pid, mark)
        status, was_sent = _wait(pid, kill, started, timeout)
        seconds = time.monotonic() - started
        if cold:
            process.returncode = status  # it was waited for already
    finally:
        for file in files:
            file.close()
    orphans = _orphans(mark, pid)
    counted = count.read_text() if count.is_file() else ""
    events = int(counted) if counted.isdecimal() else 0
    was_sent |= counted == _SENT
    read = [path.read_text(errors="replace") for path in (out, err)]
    for path in (out, err, count):
        path.unlink(missing_ok=True)
    return Ended(status, *read, seconds, events, orphans, was_sent)


def _wait(pid: int, kill: Kill | None, started: float, timeout: float) -> tuple[int, bool]:
    """The exit code of a process, which is sent its signal on the way, and whether that was sent here."""
    is_sent = False
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status), is_sent
        passed = time.monotonic() - started
        if kill is not None and kill.seconds is not None and not is_sent and passed >= kill.seconds:
            send(kill, pid)
            is_sent = True
        if passed > timeout:
            os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise TimeoutError(f"did not end within {timeout:.0f} s")
        time.sleep(0.005)


def send(kill: Kill, pid: int) -> None:
    """Send the signal of a kill to a process, or to its group."""
    (os.killpg if kill.to_group else os.kill)(pid, kill.number)


def _fork(words, folder, files, variables, kill, before, count) -> int:
    sys.stdout.flush()
    sys.stderr.flush()
    reading, writing = os.pipe()
    parent = os.getpid()
    pid = os.fork()
    if pid:
        os.close(writing)
        os.read(reading, 1)  # its session and its files are there
        os.close(reading)
        return pid
    code = 70
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
        os.setsid()
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(variables)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(files[0], 1)
        os.dup2(files[1], 2)
        _as_from_a_terminal(before)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        sys.argv = ["keras-emotion", *words]
        counted = _count_events(folder, kill, count)
        os.write(writing, b"x")
        os.close(writing)
        code = _code_of(words)
        threading._shutdown()
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        if kill is None:
            count.write_text(str(counted[0]))
    except BaseException:
        # What Python would print of an interpreter that cannot end.
        sys.excepthook(*sys.exc_info())
        sys.stderr.flush()
        code = 71
    os._exit(code)


def _as_from_a_terminal(before: Callable[[], None] | None) -> None:
    """Have signals end this process, also where a script in the background started the harness and ignores some."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    if before is not None:
        before()


def _code_of(words: Sequence[str]) -> int:
    """The exit code of a command, as an interpreter would end with it."""
    from keras_emotion import cli

    try:
        return cli.main(list(words)) or 0
    except SystemExit as stopped:
        return stopped.code if isinstance(stopped.code, int) else int(stopped.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        return 130 if issubclass(sys.exc_info()[0], KeyboardInterrupt) else 1


def _count_events(folder: Path, kill: Kill | None, count: Path) -> list[int]:
    """Count file events below a folder, and send the signal before that of the given number, with a note of it."""
    counted = [0]
    root, owner = f"{folder}{os.sep}", os.getpid()

    def hook(event: str, arguments: tuple) -> None:
        if event not in FILE_EVENTS or os.getpid() != owner or not arguments:
            return
        place = arguments[0]
        if not isinstance(place, (str, os.PathLike)):
            return
        if not os.path.abspath(os.fspath(place)).startswith(root):
            return
        counted[0] += 1
        if kill is not None and counted[0] == kill.event:
            count.write_text(_SENT)
            send(kill, owner)

    sys.addaudithook(hook)
    return counted


def _orphans(mark: str, session: int) -> tuple[str, ...]:
    """Command lines of processes of a start that do not end in time; they are killed."""
    until = time.monotonic() + ORPHAN_SECONDS
    while (left := processes_of(mark, session)) and time.monotonic() < until:
        time.sleep(0.1)
    for pid in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return tuple(left.values())


def processes_of(mark: str, session: int) -> dict[int, str]:
    """Command lines of the processes of a start, by process id."""
    found = {}
    wanted = f"{MARK}={mark}".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            # Behind the name of the program, which may hold anything: state, parent, group, session.
            status = (folder / "stat").read_text().rpartition(")")[2].split()
            if status[0] == "Z":
                continue
            if int(status[3]) == session or wanted in (folder / "environ").read_bytes().split(b"\0"):
                found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except (OSError, IndexError, ValueError):
            continue
    found.pop(os.getpid(), None)
    return found
