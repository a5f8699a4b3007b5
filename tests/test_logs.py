import logging
import subprocess
import sys
import warnings

import pytest

from keras_emotion import logs
from keras_emotion.experiment import engine
from keras_emotion.logs import LOG_FILE, LOGGER, collected, log_to_file, run_log, start_log
from keras_emotion.messages import QUIET_VARIABLE, VERBOSE_VARIABLE
from keras_emotion.schema import InputError
from keras_emotion.systems.settings import Runtime

MADE_WITH = {
    "command": "python run.py",
    "python": "3.11",
    "packages": {"keras": "3.15"},
    "backend": "tensorflow",
    "platform": "Linux",
    "cpu": "a CPU",
    "n_cores": 2,
    "gpu": [],
    "jobs": 1,
}


def texts(folder):
    """The messages of a log file without times and processes; each line has both."""
    heads, _, found = zip(*(line.partition("Z ") for line in (folder / LOG_FILE).read_text().splitlines()), strict=True)
    assert all(len(head) == len("2026-01-01T00:00:00.000") for head in heads)
    return [line.split(" ", 1)[1] for line in found]


@pytest.fixture
def shown(monkeypatch):
    """The Python warnings that are shown, which are no errors here."""
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        monkeypatch.setattr(warnings, "showwarning", lambda message, *_: found.append(str(message)))
        yield found


@pytest.mark.parametrize(
    ("variable", "printed"),
    [
        (None, ["7 files (s1.edf, s2.edf, s3.edf and 4 more): no EEG", "warning: low"]),
        (QUIET_VARIABLE, ["warning: low"]),
        (VERBOSE_VARIABLE, ["computed", *(f"s{number}.edf: no EEG" for number in range(1, 8)), "warning: low"]),
    ],
)
def test_what_the_terminal_shows(variable, printed, monkeypatch, capsys):
    if variable:
        monkeypatch.setenv(variable, "1")
    LOGGER.debug("computed")
    LOGGER.info("\n".join(f"s{number}.edf: no EEG" for number in range(1, 8)))
    LOGGER.warning("warning: low")
    log_to_file("[1/2] job")
    assert capsys.readouterr() == ("", "".join(f"{line}\n" for line in printed))


def test_a_run_logs_what_came_before_its_folder_and_appends_when_it_is_resumed(tmp_path, shown):
    with run_log():
        LOGGER.info("note: 100 % of it\nin two lines")
        warnings.warn("of a library", stacklevel=1)
        assert not list(tmp_path.iterdir())
        start_log(tmp_path, MADE_WITH, "started")
        start_log(tmp_path, MADE_WITH, "a second head")
        LOGGER.debug("computed")
    with run_log():
        LOGGER.info("note: again")
        start_log(tmp_path, MADE_WITH, "resumed")
    LOGGER.info("after the run")
    warnings.warn("after the run", stacklevel=1)
    assert shown == ["of a library", "after the run"]
    head = ["info: python 3.11, keras 3.15; backend tensorflow", "info: Linux, a CPU, 2 cores, GPUs: none; 1 workers"]
    first, second, warning, *others = texts(tmp_path)
    assert [first, second] == ["info: note: 100 % of it", "info: in two lines"]
    assert warning.startswith("warning: UserWarning: of a library (")
    assert others == [
        "info: started: python run.py",
        *head,
        "debug: computed",
        "info: note: again",
        "info: resumed: python run.py",
        *head,
    ]
    assert not any(isinstance(handler, logs.RunLog) for handler in LOGGER.handlers)


@pytest.mark.parametrize(
    ("error", "logged"),
    [
        (InputError("s01.edf: truncated"), ["error: ended by an error: s01.edf: truncated"]),
        (KeyboardInterrupt(), ["warning: interrupted (KeyboardInterrupt)"]),
        (OSError("of the code"), ["error: ended by an error: of the code", "error: OSError: of the code"]),
    ],
)
def test_what_ends_a_run_is_logged(error, logged, tmp_path):
    @run_log()
    def run():
        start_log(tmp_path, MADE_WITH, "started")
        raise error

    with pytest.raises(type(error)):
        run()
    found = texts(tmp_path)[3:]
    assert [found[0], *([found[-1]] if len(logged) > 1 else [])] == logged
    # The traceback of a bug, and none of a refusal.
    assert any("Traceback" in line for line in found) == (len(logged) > 1)


def test_a_log_file_that_cannot_be_written_is_reported_once(tmp_path, capsys):
    (tmp_path / LOG_FILE).mkdir()
    with run_log():
        start_log(tmp_path, MADE_WITH, "started")
        LOGGER.info("note: goes on")
    assert capsys.readouterr().err.splitlines() == [
        f"warning: {tmp_path / LOG_FILE}: cannot be written: Is a directory; the run goes on without it",
        "note: goes on",
    ]


def test_lines_of_several_processes_are_whole(tmp_path):
    program = (
        "import sys; from pathlib import Path; from keras_emotion.logs import _append\n"
        "for _ in range(300): _append(Path(sys.argv[1]), (sys.argv[2] * 5000 + '\\n').encode())"
    )
    path = tmp_path / LOG_FILE
    started = [subprocess.Popen([sys.executable, "-c", program, str(path), letter]) for letter in "ab"]
    assert [one.wait() for one in started] == [0, 0]
    assert sorted(path.read_text().splitlines()) == ["a" * 5000] * 300 + ["b" * 5000] * 300


def _task(number):
    LOGGER.debug(f"task {number}")
    warnings.warn("low", stacklevel=1)
    return number


def test_what_a_worker_logs_comes_back_with_its_result(tmp_path, monkeypatch, shown):
    runtime = Runtime(workers=1, feature_store=tmp_path / "features")
    # As if each task were done by another process than the one that asks for it.
    names = iter(["this", *(f"worker {number}" for number in range(2))])
    monkeypatch.setattr(engine, "_process", lambda: next(names))
    with run_log():
        start_log(tmp_path, MADE_WITH, "started")
        own = [handler for handler in LOGGER.handlers if isinstance(handler, logs.RunLog)]
        monkeypatch.setattr(own[0], "emit", lambda record: None)  # of this process, in which the tasks are done here
        assert sorted(engine.in_workers(runtime, [(_task, (1,)), (_task, (2,))], trains=False)) == [1, 2]
    found = texts(tmp_path)
    assert [line for line in found if line.startswith("debug")] == ["debug: task 1", "debug: task 2"]
    assert sum("UserWarning: low" in line for line in found) == 2
    assert shown == ["low", "low"]


def test_what_is_collected_is_printed_too(capsys):
    with collected() as lines:
        LOGGER.info("note: of a worker")
    assert [(one.level, one.text) for one in lines] == [(logging.INFO, "note: of a worker")]
    assert capsys.readouterr().err == "note: of a worker\n"
