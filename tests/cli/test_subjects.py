"""Who is meant by the words after `--subjects`."""

from types import SimpleNamespace

import pytest

from keras_emotion.cli.subjects import chosen_subjects
from keras_emotion.datasets import Reader
from keras_emotion.schema import InputError


def reader(*subjects):
    one = SimpleNamespace(subjects=subjects, root="data")
    one.select = lambda words: Reader.select(one, words)
    return one


@pytest.mark.parametrize(
    ("subjects", "words", "expected", "notes"),
    [
        (("01", "02"), ["02", "01"], ("02", "01"), ()),
        (("01", "1"), ["1"], ("1",), ()),
        (("01", "1", "02"), ["2", "01"], ("02", "01"), ("--subjects 2: taken as 02",)),
        ((1, 2), ["02", "1"], (2, 1), ("--subjects 02: taken as 2",)),
        ((1, 2), ["1", "2", "1"], (1, 2), ()),
        (("NA", "1e5", "nan"), ["nan", "NA", "1e5"], ("nan", "NA", "1e5"), ()),
        (("1_0", "10"), ["1_0"], ("1_0",), ()),
    ],
)
def test_people_are_chosen_by_their_exact_name_first(subjects, words, expected, notes):
    found, said = chosen_subjects(reader(*subjects), words)
    assert (found, said) == (expected, notes)
    assert [type(one) for one in found] == [type(one) for one in expected]


def test_nobody_is_guessed():
    with pytest.raises(InputError, match="--subjects 1: 01 and 001 have this number"):
        chosen_subjects(reader("01", "001"), ["1"])
    with pytest.raises(InputError, match="no files of subject 1_0, x; available: 1, 10"):
        chosen_subjects(reader(1, 10), ["1", "1_0", "x"])
