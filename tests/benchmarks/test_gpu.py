"""The GPU benchmark ends in time, reports what it left out, and continues after a failed measurement."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def gpu(monkeypatch):
    """The module `benchmarks/gpu.py`; a measurement takes 20 s by its clock, and bfloat16 half as long a step."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    specification = importlib.util.spec_from_file_location("gpu", BENCHMARKS / "gpu.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    clock = [0.0]

    def in_fresh_process(function, threads, **arguments):
        clock[0] += 20.0
        if arguments.get("precision") == "mixed_float16" and not arguments["xla"]:
            raise subprocess.CalledProcessError(1, "measure")
        seconds = 0.005 if arguments.get("precision") == "mixed_bfloat16" else 0.01
        return {"seconds": seconds, "first_seconds": 1.0, "n_steps": 7, "device": "GPU 0", "finite": True}

    monkeypatch.setattr(module, "in_fresh_process", in_fresh_process)
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])
    yield module
    sys.modules.pop("folds", None)


def test_what_the_time_does_not_hold_is_named(gpu):
    outcome = gpu.benchmark(minutes=2.0)
    # The first needs the assumed minute, the others as long as the longest one took.
    assert len(outcome.rows) == 6
    (line,) = [note for note in outcome.notes if note.startswith("Not measured")]
    n_left_out = len(outcome.measured["left_out"])
    assert line.count(";") == n_left_out - 1
    assert n_left_out + 6 == 3 * 6 + len([one for one in gpu.folds.CONTENDERS if importlib.util.find_spec(one.backend)])
    nothing = gpu.benchmark(minutes=0.5)
    assert nothing.rows == ()
    assert nothing.passed


def test_ratios_are_to_float32_without_xla_and_failures_are_said(gpu, capsys):
    outcome = gpu.benchmark(minutes=60.0)
    ratios = {row[0]: row[3] for row in outcome.rows}
    assert ratios["MERCL, classifier, mixed_bfloat16, XLA on"] == "0.50"
    assert ratios["MERCL, classifier, float32, XLA off"] == "1.00"
    assert not outcome.passed
    assert any("mixed_float16, XLA off" in note for note in outcome.notes if note.startswith("Failed"))
    assert "ended with code 1" in capsys.readouterr().err
    assert outcome.measured["left_out"] == []
