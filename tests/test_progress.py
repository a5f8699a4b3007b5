"""Lines of progress."""

import time

import pytest

from keras_emotion import progress
from keras_emotion.datasets import DEAP
from keras_emotion.experiment.runner import compute_part
from keras_emotion.messages import QUIET_VARIABLE
from keras_emotion.pipelines import EEGGridFeatures
from keras_emotion.progress import reported
from keras_emotion.synthetic import write_deap
from keras_emotion.systems.settings import Runtime


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass from one look at the clock to the next."""
    steps = iter([0.0])
    now = [0.0]

    def tell():
        now[0] += next(steps, 0.0)
        return now[0]

    def passes(*seconds):
        nonlocal steps
        steps = iter([0.0, *seconds])

    monkeypatch.setattr(progress.time, "perf_counter", tell)
    return passes


def test_long_work_says_how_far_it_is_and_short_work_nothing(clock, capsys):
    clock(4, 4, 4, 20, 1)
    assert list(reported("abcde", "features", 5)) == list("abcde")
    assert capsys.readouterr().err.splitlines() == [
        "features: 3 of 5 done, 0:00:08 left",
        "features: 4 of 5 done, 0:00:08 left",
        "features: 5 of 5 done, 0:00:00 left",
    ]
    clock(1, 1)
    assert list(reported("ab", "features", 2)) == ["a", "b"]
    assert capsys.readouterr().err == ""


def test_a_result_can_stand_for_several_tasks(clock, capsys):
    clock(12, 12)
    assert list(reported([3, 1], "audit", 4, count=int)) == [3, 1]
    assert capsys.readouterr().err.splitlines() == [
        "audit: 3 of 4 done, 0:00:04 left",
        "audit: 4 of 4 done, 0:00:00 left",
    ]


def test_a_result_is_not_kept_until_the_next_one(capsys):
    def slow():
        yield 1
        raise AssertionError("asked for more than is needed")

    assert next(reported(slow(), "features", 2)) == 1


def test_work_that_has_no_result_yet_says_so_and_ended_work_does_not(monkeypatch, capsys):
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LINES", 0.01)

    def waits_for(line):
        shown = ""
        while line not in shown:
            time.sleep(0.01)
            shown += capsys.readouterr().err
        yield 1

    # Ends because the line comes while the first result is computed.
    assert list(reported(waits_for("features: 0 of 1 done\n"), "features", 1)) == [1]
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LINES", 0.2)
    capsys.readouterr()

    def fails():
        raise ValueError("damaged")
        yield

    with pytest.raises(ValueError, match="damaged"):
        list(reported(fails(), "features", 1))
    assert list(reported([], "features", 0)) == []
    time.sleep(0.4)
    assert capsys.readouterr().err == ""


def test_quiet_says_nothing(clock, monkeypatch, capsys):
    monkeypatch.setenv(QUIET_VARIABLE, "1")
    clock(20, 20)
    assert list(reported("ab", "features", 2)) == ["a", "b"]
    assert capsys.readouterr().err == ""


def test_runs_and_descriptions_report(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LINES", 0)
    write_deap(tmp_path / "deap", n_subjects=2, n_trials=1)
    deap, runtime = DEAP(tmp_path / "deap"), Runtime(workers=1, feature_store=tmp_path / "store")
    compute_part(EEGGridFeatures(), deap, [1, 2], runtime)
    lines = capsys.readouterr().err.splitlines()
    assert {"files of subjects: 2 of 2 done, 0:00:00 left", "features: 2 of 2 done, 0:00:00 left"} <= set(lines)
    compute_part(EEGGridFeatures(), deap, [1, 2], runtime)
    assert not [line for line in capsys.readouterr().err.splitlines() if "2 of 2" in line]
    deap.describe()
    assert "subjects: 2 of 2 done, 0:00:00 left" in capsys.readouterr().err
