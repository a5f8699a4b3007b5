"""Messages are shortened, and complete under --verbose."""

import pytest

from keras_emotion.messages import VERBOSE_VARIABLE, condensed, is_shortened, truncate_lists

FAULT = "cannot be read as .edf (no header)"


@pytest.fixture(autouse=True)
def not_verbose(monkeypatch):
    monkeypatch.delenv(VERBOSE_VARIABLE, raising=False)


def test_the_same_problem_of_many_files_is_one_line_with_three_names():
    lines = [f"/data/study/p{number:02d}/eeg.edf: {FAULT}" for number in range(1, 24)]
    (line,) = condensed([*lines])
    assert line == f"/data/study: 23 files (p01/eeg.edf, p02/eeg.edf, p03/eeg.edf and 20 more): {FAULT}"
    assert is_shortened(lines)


def test_names_of_the_files_in_the_messages_make_no_difference():
    lines = [f"s{number}.npy: sidecar missing; write s{number}.json" for number in range(1, 6)]
    assert condensed(lines) == ["5 files (s1.npy, s2.npy, s3.npy and 2 more): sidecar missing; write s1.json"]


def test_three_files_and_other_problems_stay_lines():
    lines = [*(f"s{number}.edf: {FAULT}" for number in range(3)), "s9.edf: no EEG", "study: no trial", "nothing: else"]
    assert condensed(lines) == lines
    assert not is_shortened(lines)


def test_a_line_about_several_files_counts_them():
    names = ", ".join(f"s{number}.edf" for number in range(9))
    assert condensed([f"{names}: no place"]) == ["9 files (s0.edf, s1.edf, s2.edf and 6 more): no place"]


@pytest.mark.parametrize(
    ("n_items", "end"), [(20, "E20"), (21, "E12 and 9 more"), (53, "E12 and 41 more")], ids=["20", "21", "53"]
)
def test_lists_are_cut(n_items, end):
    listed = ", ".join(f"E{number}" for number in range(1, n_items + 1))
    assert truncate_lists(f"a.edf: it has {listed}; rename them").endswith(f", {end}; rename them")


def test_names_to_choose_from_are_whole():
    line = "--model x: expected one of " + ", ".join(map(str, range(40)))
    assert truncate_lists(line) == line


def test_verbose_has_all(monkeypatch):
    monkeypatch.setenv(VERBOSE_VARIABLE, "1")
    lines = [f"s{number}.edf: {FAULT}" for number in range(99)]
    assert condensed(lines) == lines
    assert truncate_lists(", ".join(map(str, range(99)))).endswith("98")


def test_lines_that_are_not_merged_stay_in_their_order():
    lines = ["a.avi: unreadable", "b.avi: no face", "c.avi: unreadable"]
    assert condensed(lines) == lines
    assert not is_shortened(lines)
