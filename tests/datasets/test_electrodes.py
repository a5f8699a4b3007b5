"""Matching of channel names between files."""

import pytest

from keras_emotion.datasets.deap_facts import EEG_CHANNEL_NAMES
from keras_emotion.datasets.electrodes import comparable_names, match_channels
from keras_emotion.schema import InputError


@pytest.mark.parametrize(
    ("spelt", "name"),
    [
        ("EEG FP2-LE", "Fp2"),
        ("EEG C3-A2", "C3"),
        ("O2 - M1", "O2"),
        (" t3 ", "T7"),
        ("EEG T6-AVG", "P8"),
        ("Po10", "PO10"),
        # None of them is an electrode of that name.
        ("Fp1-F7", "fp1-f7"),
        ("EEG T3-C3", "eeg t3-c3"),
        ("Status", "status"),
        ("EEG001", "eeg001"),
        ("EOG  left", "eog left"),
        ("A1", "A1"),
    ],
)
def test_spellings(spelt, name):
    assert comparable_names([spelt]) == [name]


def test_the_montages_of_the_data_sets_stay_as_they_are():
    assert comparable_names(EEG_CHANNEL_NAMES) == list(EEG_CHANNEL_NAMES)


def test_sockets_of_a_whole_cap():
    sockets = [f"A{number}" for number in range(1, 17)]
    assert comparable_names([*sockets, "EXG1"])[:3] == ["Fp1", "Fp2", "F4"]
    assert comparable_names(sockets[:-1]) == [name if name in ("A1", "A2") else name.lower() for name in sockets[:-1]]


def test_channels_are_found_whatever_their_order():
    assert match_channels(["T7", "Cz", "Oz"], ["Oz", "EEG T3-REF", "CZ.."]) == {"T7": 1, "Cz": 2, "Oz": 0}
    assert match_channels(["T7", "Cz"], ["O1"]) == {}
    assert match_channels(["EOG left"], ["Cz", "EOG LEFT"]) == {"EOG left": 1}


def test_two_of_one_name():
    with pytest.raises(InputError, match="channels T3 and T7 are both T7; expected one; leave one out"):
        match_channels(["T7"], ["T3", "T7"])
    # They were not requested.
    assert match_channels(["Cz"], ["T3", "T7", "Cz"]) == {"Cz": 2}
