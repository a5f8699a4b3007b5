"""Benchmark output is readable in a terminal of any width."""

import importlib.util
import inspect
import io
import sys
from pathlib import Path

import pytest
import rich.console

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def run():
    """The module `benchmarks/run.py`, and the folder that its imports come from."""
    sys.path.append(str(BENCHMARKS))
    try:
        specification = importlib.util.spec_from_file_location("run", BENCHMARKS / "run.py")
        module = importlib.util.module_from_spec(specification)
        specification.loader.exec_module(module)
        yield module
    finally:
        sys.path.remove(str(BENCHMARKS))


COLUMNS = ("", "wall s", "CPU s", "of it reading", "computing", "wall ratio", "CPU ratio", "peak MB", "measured")
ROWS = (
    ("power: keras_emotion, as mne-features", "0.155", "0.154", "0.08", "0.07", "1.00", "1.00", "412", "all trials"),
    ("correlation: keras_emotion", "0.143", "0.142", "0.08", "0.06", "1.00", "1.00", "398", "5 of 40 trials, times 8"),
)


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_nothing_is_cut(run, width):
    outcome = run.Outcome("Features", COLUMNS, ROWS, (), {}, True)
    console = rich.console.Console(file=io.StringIO(), width=width)
    run.print_rows(console, outcome)
    printed = console.file.getvalue()
    assert "…" not in printed
    assert max(map(len, printed.splitlines())) <= width
    words = " ".join(printed.replace("|", " ").split())
    for text in (*COLUMNS, *(cell for row in ROWS for cell in row)):
        assert text in words, text
    assert ("|---" in printed or "|:--" in printed) == (width == 200)


def test_every_option_reaches_the_benchmark_that_has_it(run, monkeypatch):
    given = {}

    def benchmark(data_root=None, repeats=None, full=None, threads=None, minutes=None, speed=None, figures=None):
        given.update(locals())
        return run.Outcome("Nothing", ("",), (), (), {}, True)

    names = {name for one in run.BENCHMARKS.values() for name in inspect.signature(one).parameters}
    monkeypatch.setattr(run, "BENCHMARKS", {"gpu": benchmark})
    machine = {"packages": {}, "started": "", "cpu": "", "n_cores": 0, "platform": "", "python": "", "git_commit": ""}
    monkeypatch.setattr(run, "in_fresh_process", lambda function: machine)
    options = {"data_root": Path("d"), "repeats": 2, "full": True, "threads": 3, "minutes": 4.0, "speed": 5.0}
    options["figures"] = Path("f")
    assert run.main(("gpu",), **options) == 0
    assert {name: given.get(name) for name in options} == options
    assert names <= set(given) - {"given"}
