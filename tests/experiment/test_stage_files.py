"""Weights left by an interrupted job."""

import shutil
import types

import numpy as np
import pytest

from keras_emotion.experiment import stage_files
from keras_emotion.experiment.fit import FitResult
from keras_emotion.experiment.stage_files import load_stage, save_stage

WEIGHTS = [np.arange(6.0).reshape(2, 3), np.ones(3)]


class Model:
    """The part of a network that has weights."""

    def __init__(self, weights):
        self.weights = weights

    def get_weights(self):
        return self.weights

    def set_weights(self, weights):
        self.weights = weights


def loaded(file):
    """The result and the weights loaded from a file."""
    model = Model([np.zeros_like(array) for array in WEIGHTS])
    request = types.SimpleNamespace(start=lambda: None, compiled=types.SimpleNamespace(model=model))
    return load_stage(file, request), model.weights


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "stages" / "job-first.npz"
    save_stage(path, Model(WEIGHTS), FitResult(3, 0.5))
    return path


def test_a_stage_comes_back(file):
    result, weights = loaded(file)
    assert result == FitResult(3, 0.5)
    for one, other in zip(weights, WEIGHTS, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("epoch", [np.array(3j), np.array([3, 4]), np.array("three")])
def test_an_epoch_that_is_no_number(file, monkeypatch, epoch):
    monkeypatch.setattr(
        stage_files, "parse_npz", lambda *_: {"weights_0": WEIGHTS[0], "best_epoch": epoch, "score": 0.5}
    )
    assert loaded(file)[0] is None


def test_a_changed_stage_is_trained_again(file, capsys):
    content = file.read_bytes()
    rng = np.random.default_rng(0)
    changed = [content[:100], b"", b"[" * 1000]
    for place in rng.integers(0, len(content), 50):
        flipped = bytearray(content)
        flipped[place] ^= 1 << int(rng.integers(8))
        changed.append(bytes(flipped))
    for one in changed:
        file.write_bytes(one)
        result, weights = loaded(file)
        assert result is None
        assert not np.any(weights[0])
    assert capsys.readouterr().err.count(f"{file}: damaged") == len(changed)


def test_a_stage_of_another_job_is_not_taken(file):
    other = file.with_name("other-first.npz")
    shutil.copy(file, other)
    assert loaded(other)[0] is None
