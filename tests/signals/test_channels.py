"""Names of channels as files spell them."""

import pytest

from keras_emotion.datasets.deap_facts import EEG_CHANNEL_NAMES
from keras_emotion.schema import InputError
from keras_emotion.signals import canonical_channel_name, match_channels


@pytest.mark.parametrize(
    ("spelt", "name"),
    [
        ("FP1", "Fp1"),
        ("EEG Fp1-REF", "Fp1"),
        ("EEG FP2-LE", "Fp2"),
        ("EEG C3-A2", "C3"),
        ("O2 - M1", "O2"),
        ("AFZ", "AFz"),
        ("Fcz.", "FCz"),
        ("C5..", "C5"),
        (" t3 ", "T7"),
        ("EEG T6-AVG", "P8"),
        ("Po10", "PO10"),
        # None of them is an electrode of that name.
        ("Fp1-F7", "Fp1-F7"),
        ("EEG T3-C3", "T3-C3"),
        ("Status", "Status"),
        ("EEG", "EEG"),
        ("EEG001", "EEG001"),
        ("EOG1", "EOG1"),
        ("A1", "A1"),
    ],
)
def test_spellings(spelt, name):
    assert canonical_channel_name(spelt) == name


def test_the_montages_of_the_data_sets_stay_as_they_are():
    assert [canonical_channel_name(name) for name in EEG_CHANNEL_NAMES] == list(EEG_CHANNEL_NAMES)


def test_channels_are_found_whatever_their_order():
    assert match_channels(["T7", "Cz", "Oz"], ["Oz", "EEG T3-REF", "CZ.."]) == {"T7": 1, "Cz": 2, "Oz": 0}
    assert match_channels(["T7", "Cz"], ["O1"]) == {}


def test_two_of_one_name():
    with pytest.raises(InputError, match="channels T3 and T7 are both T7; leave one out"):
        match_channels(["T7"], ["T3", "T7"])
    # Nobody asked for them.
    assert match_channels(["Cz"], ["T3", "T7", "Cz"]) == {"Cz": 2}
