"""The exit codes, and what interrupted commands print."""

import gc
import io
import os
import signal
import sys
import time

import pytest

from keras_emotion import cli
from keras_emotion.cli import interruptions
from keras_emotion.cli.exits import with_exit_codes
from keras_emotion.cli.interruptions import on_interruption
from keras_emotion.cli.output import make_console
from keras_emotion.schema import InputError


@pytest.fixture(autouse=True)
def handlers():
    """An interrupted command leaves its signal handlers, as its process is about to end: this one is not."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    # As in a terminal: a shell script that starts the tests in the background has them ignore SIGINT.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def _exit_code(command):
    with pytest.raises(SystemExit) as caught:
        with_exit_codes(command)()
    return caught.value.code


def test_a_command_that_ends_well_returns_its_own_code_and_restores_the_handlers():
    @with_exit_codes
    def command(value: int) -> int:
        """Docstring."""
        return value

    before = signal.getsignal(signal.SIGTERM)
    assert [command(value) for value in (0, 1)] == [0, 1]
    assert (command.__name__, command.__doc__) == ("command", "Docstring.")
    assert signal.getsignal(signal.SIGTERM) is before


def test_unusable_input_is_code_2_without_a_traceback(capfd):
    def command():
        raise InputError("a.dat: broken\nb.dat: broken")

    assert _exit_code(command) == 2
    assert capfd.readouterr().err == "error: a.dat: broken\nb.dat: broken\n"


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (PermissionError(13, "Permission denied", "runs/a"), "runs/a: Permission denied; change its permissions"),
        (OSError(28, "No space left on device"), "No space left on device; free some space"),
        (MemoryError(), "out of memory; use fewer --workers"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_failure_of_the_machine_is_code_2_without_a_traceback(error, message, capfd):
    def command():
        raise error

    assert _exit_code(command) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith(f"error: {message}")


def test_the_code_of_the_option_parser_stays():
    assert _exit_code(lambda: sys.exit(2)) == 2


def test_a_bug_is_code_70_with_its_traceback_and_what_to_report(capfd):
    def command():
        raise ZeroDivisionError("of ours")

    assert _exit_code(command) == 70
    *lines, last = capfd.readouterr().err.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[-1] == "ZeroDivisionError: of ours"
    assert last.startswith("internal error (keras_emotion ")
    assert "report" in last


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_prints_one_line_with_the_command_that_goes_on(number, code, capfd, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["reproductions/x.py", "--data-root", "my data"])

    cleaned = []

    @on_interruption("outer: {command}")
    def command():
        with on_interruption("jobs are kept; continue with: {resume}"):
            try:
                os.kill(os.getpid(), number)
            finally:
                # As fast as a key that bounces: it does not interrupt what cleans up.
                os.kill(os.getpid(), number)
                cleaned.append(True)

    assert _exit_code(command) == code
    assert capfd.readouterr().err == (
        "interrupted; jobs are kept; continue with: python reproductions/x.py --data-root 'my data' --resume\n"
    )
    assert cleaned
    assert interruptions._texts == []


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_closed_stream_changes_no_exit_code(stream, monkeypatch, capfd):
    # As Python starts after `>&-` or `2>&-` in a shell.
    monkeypatch.setattr(sys, stream, None)

    def interrupted():
        raise KeyboardInterrupt

    assert with_exit_codes(lambda: make_console().print("text") or 0)() == 0
    assert _exit_code(interrupted) == 130
    assert getattr(sys, stream) is None
    assert "Traceback" not in capfd.readouterr().err


def test_resume_is_not_given_twice(capfd, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/somewhere/keras-emotion", "run", "--resume"])

    @on_interruption("{resume}")
    def command():
        raise KeyboardInterrupt

    assert _exit_code(command) == 130
    assert capfd.readouterr().err == "interrupted; /somewhere/keras-emotion run --resume\n"


def _in_a_process(command, *, reads=True):
    """Exit code and standard error of a command in a forked process, whose output is read or not."""
    (out_read, out_write), (err_read, err_write) = os.pipe(), os.pipe()
    child = os.fork()
    if not child:
        try:
            os.close(out_read)
            os.dup2(out_write, 1)
            os.dup2(err_write, 2)
            os.close(out_write)
            sys.stdout, sys.stderr = (io.TextIOWrapper(io.FileIO(number, "w", closefd=False)) for number in (1, 2))
            with_exit_codes(command)()
        except SystemExit as stop:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(stop.code)
        finally:
            os._exit(99)
    os.close(out_write)
    os.close(err_write)
    with open(out_read) as out, open(err_read) as err:
        if not reads:
            out.close()
        printed = err.read()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), printed


def test_a_later_signal_ends_a_shutdown_that_hangs(monkeypatch):
    monkeypatch.setattr(interruptions, "_SECONDS_TO_STOP", 0.05)

    @on_interruption("jobs are kept")
    def command():
        try:
            os.kill(os.getpid(), signal.SIGINT)
        finally:
            time.sleep(0.1)
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(60)

    started = time.monotonic()
    assert _in_a_process(command) == (130, "interrupted; jobs are kept\n")
    assert time.monotonic() - started < 30


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_where_python_can_raise_nothing_is_not_lost(number):
    class Interrupted:
        def __del__(self):
            # As where one comes in a callback of the garbage collector: JAX has such.
            os.kill(os.getpid(), number)

    @on_interruption("jobs are kept")
    def command():
        Interrupted()
        time.sleep(60)

    assert _in_a_process(command) == (128 + number, "interrupted; jobs are kept\n")


def test_other_failures_where_python_can_raise_nothing_are_reported_as_ever(monkeypatch):
    reported = []
    monkeypatch.setattr(sys, "unraisablehook", reported.append)
    before = sys.unraisablehook

    class Fails:
        def __del__(self):
            raise ValueError("of __del__")

    @with_exit_codes
    def command():
        Fails()
        gc.collect()

    command()
    assert [str(one.exc_value) for one in reported] == ["of __del__"]
    assert sys.unraisablehook is before


def test_a_reader_of_the_output_that_has_enough_is_no_bug():
    def command():
        for _ in range(100_000):
            sys.stdout.write("x" * 100)

    assert _in_a_process(command, reads=False) == (141, "")


@pytest.mark.parametrize("words", [["describe", "{root}", "--dataset", "deap"], ["runs", "{root}"]])
def test_commands_end_so_too(words, tmp_path, monkeypatch, capfd):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("keras_emotion.datasets.DEAP.describe", interrupted)
    monkeypatch.setattr("keras_emotion.reports.listing.list_runs", interrupted)
    monkeypatch.setattr("keras_emotion.datasets.DEAP.__init__", lambda *_, **__: None)
    with pytest.raises(SystemExit) as caught:
        cli.main([word.format(root=tmp_path) for word in words])
    assert caught.value.code == 130
    captured = capfd.readouterr()
    assert captured.err.count("\n") == 1
    assert captured.err.startswith("interrupted; ")


def test_ctrl_c_during_the_imports_of_a_command_is_one_line_too(capfd, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["reproductions/x.py"])
    sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert capfd.readouterr().err == "interrupted; start the command again: python reproductions/x.py\n"
    sys.excepthook(ValueError, ValueError("another"), None)
    assert capfd.readouterr().err == "ValueError: another\n"
