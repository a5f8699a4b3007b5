"""Subjects derived from file names."""

import pytest

from keras_emotion.datasets.file_subjects import subjects_from_names
from keras_emotion.schema import InputError


@pytest.mark.parametrize(
    ("files", "subjects"),
    [
        # Names with a usual subject prefix.
        (["s01.edf", "s02.edf"], ["s01", "s02"]),
        (["s01_1.edf", "s01_2.edf", "s02_1.edf"], ["s01", "s01", "s02"]),
        (["S001R01.edf", "S001R02.edf", "S002R01.edf"], ["S001", "S001", "S002"]),
        (["P07_rest.vhdr", "p7_task.vhdr", "P17_task.vhdr"], ["P07", "P07", "P17"]),
        (["s01a.set", "s01b.set", "s10a.set"], ["s01", "s01", "s10"]),
        (["sub-01_ses-1_eeg.edf", "sub-01_ses-2_eeg.edf", "sub-02_ses-1_eeg.edf"], ["sub-01", "sub-01", "sub-02"]),
        (["sub-anna_run-1.edf", "sub-anna_run-2.edf", "sub-bob.edf"], ["sub-anna", "sub-anna", "sub-bob"]),
        (["exp1_subject3_a.edf", "exp1_subject3_b.edf", "exp1_subject4_a.edf"], ["subject3", "subject3", "subject4"]),
        (["subject_1.edf", "subject_2.edf"], ["subject_1", "subject_2"]),
        (["s01/run1.edf", "s01/run2.edf", "s02/run1.edf"], ["s01", "s01", "s02"]),
        (["raw/s01.edf", "clean/s01.edf"], ["s01", "s01"]),
        # Runs, dates and conditions at the end of a name.
        (["anna_run1.edf", "anna_run2.edf", "bob_run1.edf"], ["anna", "anna", "bob"]),
        (["anna-part-1.fif", "anna-part-2.fif"], ["anna", "anna"]),
        (["anna_session1_raw.fif", "anna_session2_raw.fif"], ["anna", "anna"]),
        (["1_20131027.mat", "1_20131030.mat", "2_20140404.mat"], ["1", "1", "2"]),
        (["anna_2024-01-31_1530.edf", "anna_2024-02-01_1612.edf"], ["anna", "anna"]),
        (["anna_rest.edf", "anna_task.edf", "bob_rest.edf"], ["anna", "anna", "bob"]),
        (["x7_1.edf", "x7_2.edf"], ["x7", "x7"]),
        (["anna_1.edf", "anna_2.edf", "bob_1.edf", "bob_2.edf"], ["anna", "anna", "bob", "bob"]),
        (["anna_1.edf", "anna_2.edf", "bob_1.edf"], ["anna", "anna", "bob"]),
        (["anna/1.edf", "anna/2.edf", "bob/1.edf"], ["anna", "anna", "bob"]),
        (["a.edf", "a.fif.gz"], ["a", "a"]),
        (["anna.edf", "anna_2.edf", "bob.edf", "bob (1).edf"], ["anna", "anna", "bob", "bob"]),
        # Different subjects.
        (["rec_1.edf", "rec_2.edf", "rec_3.edf"], ["rec_1", "rec_2", "rec_3"]),
        (["AB12.edf", "AB13.edf", "CD12.edf"], ["AB12", "AB13", "CD12"]),
        (["a/x_raw.fif", "b/x_raw.fif", "y.npy"], ["a_x_raw", "b_x_raw", "y"]),
        (["p300_anna.edf", "p300_bob.edf"], ["p300_anna", "p300_bob"]),
        (["NA.edf", "01.edf", "None.edf"], ["NA", "01", "None"]),
    ],
)
def test_runs_of_one_person_are_of_one_person(files, subjects):
    assert list(subjects_from_names(files).subjects) == subjects


def test_assumptions_are_reported():
    people = subjects_from_names(["s01_1.edf", "s01_2.edf", "s02_1.edf"])
    assert people.notes == (
        "2 subjects, by the file names: s01, s02",
        "s01: 2 files read as the same subject: s01_1.edf, s01_2.edf",
    )
    doubtful = subjects_from_names(["rec_1.edf", "rec_2.edf"])
    assert doubtful.notes[-1] == "rec_1, rec_2 differ only in a number: read as different subjects"


def test_subjects_and_sessions_of_a_bids_tree():
    files = [f"sub-{subject}/ses-{session}/eeg/x_eeg.edf" for subject in ("01", "2b") for session in ("pre", "post")]
    people = subjects_from_names(files, is_bids=True)
    assert people.subjects == ("01", "01", "2b", "2b")
    assert people.sessions == ("pre", "post", "pre", "post")


def test_a_pattern_of_the_users():
    files = ["lab/anna-7/x.edf", "lab/anna-8/x.edf", "lab/bob-7/x.edf"]
    people = subjects_from_names(files, pattern=r"/(?P<subject>\w+)-(?P<session>\d)/")
    assert people.subjects == ("anna", "anna", "bob")
    assert people.sessions == ("7", "8", "7")
    assert subjects_from_names(files, pattern=r"(?P<subject>anna|bob)").sessions == ("", "", "")


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(?P<subject>", "invalid regular expression"),
        (r"(\w+)", r"missing group \(\?P<subject>\.\.\.\)"),
        (r"(?P<subject>anna)", r"no match in bob\.edf"),
        (r"(?P<subject>x*)", r"no match in anna\.edf"),
    ],
)
def test_patterns_that_cannot_be_used(pattern, message):
    with pytest.raises(InputError, match=message):
        subjects_from_names(["anna.edf", "bob.edf"], pattern=pattern)
