"""Fixtures shared by the tests of engines and of long runs."""

import importlib.util
import sys
from pathlib import Path

import pytest

from keras_emotion.experiment import run


@pytest.fixture(scope="session")
def tiny_run():
    """The module `tiny_run.py`: a small experiment, and a program that runs it."""
    path = Path(__file__).with_name("tiny_run.py")
    specification = importlib.util.spec_from_file_location("tiny_run", path)
    module = importlib.util.module_from_spec(specification)
    sys.modules["tiny_run"] = module
    specification.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def unbroken_tiny_run(tiny_run, memory_reader, tmp_path_factory):
    """The run in one process, its reader, and the folder of its features."""
    folder = tmp_path_factory.mktemp("unbroken")
    reader, features = memory_reader(folder), folder / "features"
    return run(tiny_run.tiny_experiment(features, workers=1), reader, folder / "run"), reader, features
