"""A small, fixed share of the fuzz inputs, and the harness itself: each kind of finding is found when it is there.

The longer share is `python -m tests.fuzz`.
"""

import os
import time
from pathlib import Path

import numpy as np
import pytest

from keras_emotion.json_files import json_bytes, read_json
from keras_emotion.schema import InputError
from tests.fuzz.__main__ import write_corpus
from tests.fuzz.formats import Format, all_formats
from tests.fuzz.harness import Figures, fuzz, mutated, summary, table
from tests.fuzz.mutations import Canary

FORMATS = all_formats()
# Those that take hundredths of a second, and no TensorFlow: a fork of this process could not go on with it.
SHARE = {
    "run records": 40,
    "run tables": 20,
    "feature store": 30,
    "stage weights": 30,
    "trials.csv": 20,
    "channels.csv": 20,
    "arrays npz and npy": 30,
    "MATLAB array 5": 30,
    "MATLAB array 7.3": 20,
    "NumPy array": 20,
    "weights Keras 2 h5": 20,
    "weights ViT safetensors": 20,
    "workbook xlsx": 20,
    "JSON settings": 20,
}


@pytest.mark.parametrize("name", SHARE)
def test_damaged_files_are_read_or_refused(name, tmp_path):
    form = FORMATS[name]
    if form.missing:
        pytest.skip(f"{form.missing} is not installed")
    write_corpus(form, tmp_path / "corpus")
    figures = fuzz(form, tmp_path / "corpus", tmp_path / "scratch", 0, range(SHARE[name]))
    assert figures.inputs == SHARE[name]
    assert not figures.findings, summary(figures.findings)
    assert figures.past_header >= SHARE[name] / 5


def test_inputs_of_a_seed_are_the_same_and_others_of_another():
    form, contents = FORMATS["trials.csv"], {"trials.csv": b"subject,trial\n1,2\n"}
    first = [mutated(form, contents, 0, index)[1] for index in range(20)]
    assert first == [mutated(form, contents, 0, index)[1] for index in range(20)]
    assert first != [mutated(form, contents, 1, index)[1] for index in range(20)]
    assert len(set(first)) > 10


def _hang(folder):
    while True:
        time.process_time()


def _crash(folder):
    os.abort()


def _raise(folder):
    raise KeyError("field")


def _allocate(folder):
    return np.ones(2**28)


def _without_memory(folder):
    try:
        return np.zeros(2**40)
    except MemoryError as error:
        raise InputError("refused") from error


def _execute(folder):
    Path(Canary.marker).touch()


def _accept(folder):
    return (folder / "a.json").read_bytes()


def _speak(folder):
    raise InputError("Traceback (most recent call last): ...")


FAULTS = {
    "hang": _hang,
    "crash": _crash,
    "exception": _raise,
    "memory": _allocate,
    "out of memory": _without_memory,
    "execution": _execute,
    "accepted": _accept,
    "message": _speak,
}


@pytest.mark.parametrize("kind", FAULTS)
def test_each_kind_of_finding_is_found(kind, tmp_path, monkeypatch):
    monkeypatch.setattr("tests.fuzz.harness.SECONDS", 0.2)
    monkeypatch.setattr("tests.fuzz.harness.PAST_HEADER_SHARE", 0.0)
    intact = json_bytes({"a": 1})

    def read(folder):
        content = (folder / "a.json").read_bytes()
        return content if content == intact else FAULTS[kind](folder)

    form = Format("a", lambda folder: (folder / "a.json").write_bytes(intact), read, has_checksum=True)
    write_corpus(form, tmp_path / "corpus")
    figures = fuzz(form, tmp_path / "corpus", tmp_path / "scratch", 0, range(2))
    assert {one.kind for one in figures.findings} == {kind}
    assert figures.inputs == len(figures.findings) == 2
    assert f"--seed 0 --only {figures.findings[0].index}" in summary(figures.findings)


def test_files_that_are_refused_are_no_findings(tmp_path):
    form = Format("a", lambda folder: (folder / "a.json").write_bytes(json_bytes({"a": [1, 2]})), _read_own)
    write_corpus(form, tmp_path / "corpus")
    figures = fuzz(form, tmp_path / "corpus", tmp_path / "scratch", 0, range(30))
    assert not figures.findings
    assert figures.refused > 10
    assert figures.refused + figures.as_before + figures.other_content == 30


def _read_own(folder):
    return read_json(folder / "a.json")[0]


def test_the_table_has_a_line_for_each_format_and_their_sum():
    rows = [Figures("b", 0, inputs=3, refused=3, seconds=1.0), Figures("a", 0, skipped="x not installed")]
    lines = table(rows).splitlines()
    assert lines[2].startswith("| a | skipped: x not installed")
    assert lines[3].startswith("| b | 3 | 3 | 0 |")
    assert lines[4].startswith("| **all** | 3 | 3 |")
