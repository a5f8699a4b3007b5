"""File names for arbitrary user-defined names."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_emotion.experiment import Job
from keras_emotion.file_names import file_name, refuse_unusable_words, word_file_name
from keras_emotion.schema import InputError

WORDS = st.one_of(
    st.text(max_size=400),
    st.text("a-A1/.\0é\\: ", max_size=6),
    st.sampled_from(
        ["../..", "A/01", "s1", "S1", "é", "e\u0301", "x.", "x", "x ", "nul", "-1", "1", "x-1", "con.json"]
    ),
)
IDS = WORDS | st.integers()
JOBS = st.builds(
    Job,
    st.sampled_from(["trial_disjoint", "subject_and_stimulus_disjoint"]),
    WORDS,
    IDS,
    st.integers(0, 99),
    st.integers(0, 99),
    WORDS,
    IDS,
)
PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*")


def parts(job):
    """Fields of a job; a number differs from the same number as text."""
    return [(type(value), value) for value in vars(job).values()]


@given(JOBS, JOBS, WORDS, WORDS)
def test_different_jobs_have_different_plain_names(job, other, member, stage):
    names = [job.name, job.part_name(member), job.part_name(member, stage), job.part_name("", stage)]
    for name in names:
        assert PLAIN.fullmatch(name)
        assert len(f"{name}.keras".encode()) < 200
    if parts(job) != parts(other):
        assert job.name.lower() != other.name.lower()
        assert job.part_name(member, stage).lower() != other.part_name(member, stage).lower()
    if member and stage:
        assert len({name.lower() for name in names}) == 4


def test_names_that_were_one_are_two():
    pairs = [
        (Job("p", "valence", "x-1", 0, 0), Job("p", "valence-x", "1", 0, 0)),
        (Job("p", "valence", 1, 0, 0), Job("p", "valence", "1", 0, 0)),
        (Job("p", "valence", "a", 0, 0, session="b"), Job("p", "valence", "a-sessionb", 0, 0)),
        (Job("p", "valence", "s", 0, 1, candidate="2-x"), Job("p", "valence", "s", 0, 1, candidate="2_x")),
    ]
    for one, other in pairs:
        assert one.name != other.name


def test_a_name_begins_with_the_job():
    job = Job("trial_disjoint", "valence/1-9", "A/01", 0, 3, session=2)
    assert job.title == "trial_disjoint-valence_1-9-A_01-session2-repetition0-fold3"
    assert re.fullmatch(f"{job.title}-[0-9a-f]{{32}}", job.name)


@given(WORDS, WORDS)
def test_words_have_plain_names(word, other):
    name = word_file_name(word)
    assert PLAIN.fullmatch(name)
    assert len(name) < 190
    if word != other:
        assert name.lower() != word_file_name(other).lower()


def test_usual_words_are_their_own_names():
    assert word_file_name("valence") == "valence"
    assert word_file_name("nul") == file_name(["nul"])


def test_words_that_no_table_can_hold_are_refused():
    refuse_unusable_words("subject", [1, 2, "é", "e\u0301", "A/01", "\0"])
    with pytest.raises(InputError, match=r"subject 'a\\udce9': has a character that is not valid Unicode"):
        refuse_unusable_words("subject", ["a\udce9"])
    with pytest.raises(InputError, match="subject 1 and subject '1' are equal in a table of results"):
        refuse_unusable_words("subject", [1, "1"])
