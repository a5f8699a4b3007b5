"""What an earlier version wrote: numbers that stay, runs and models that still open."""

import importlib.util
import json
from pathlib import Path

import pytest

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(scope="module")
def produce():
    """The program that wrote the golden integers, as a module."""
    specification = importlib.util.spec_from_file_location("produce", GOLDEN / "numbers" / "produce.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def numbers():
    return json.loads((GOLDEN / "numbers" / "numbers.json").read_text())


def test_folds_stay(produce, numbers):
    found = produce.folds()
    assert found.keys() == numbers["folds"].keys()
    for name, expected in numbers["folds"].items():
        assert found[name] == expected, name


def test_seeds_of_jobs_stay(produce, numbers):
    assert produce.seeds() == numbers["seeds"]
    # An id that is a number and the same id as text are two subjects.
    assert numbers["seeds"]["1"] != numbers["seeds"]["'1'"]


def test_permuted_ratings_stay(produce, numbers):
    assert produce.ratings() == numbers["permuted_ratings"]
