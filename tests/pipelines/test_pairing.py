import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_emotion.pipelines import StoredFeatures, match_windows, pair_windows


def table(rows):
    return pd.DataFrame(rows, columns=["subject", "trial", "start_seconds"]).assign(dataset="test", session=1)


def part(rows, name, unusable=None):
    windows = table(rows)
    if unusable is not None:
        windows["unusable"] = unusable
    return StoredFeatures({name: np.arange(len(rows))[:, np.newaxis] + 10.0}, windows)


row = st.tuples(st.integers(1, 2), st.integers(1, 3), st.integers(0, 4).map(lambda step: step * 0.5))


@given(st.lists(row, max_size=12), st.lists(row, max_size=12), st.floats(-4e-4, 4e-4))
def test_partners_are_those_of_a_loop(rows, others, shift):
    found = match_windows(table(rows), table([(s, t, start + shift) for s, t, start in others]))
    expected = [next((place for place, other in enumerate(others) if other == one), -1) for one in rows]
    assert found.tolist() == expected


def test_ids_may_be_texts_here_and_numbers_there():
    assert match_windows(table([(1, 2, 0.0)]), table([("1", 2, 0.0)])).tolist() == [0]


def test_windows_that_start_apart_are_no_partners():
    assert match_windows(table([(1, 1, 0.0)]), table([(1, 1, 0.01)])).tolist() == [-1]


def test_arrays_come_in_the_order_of_the_first_part():
    eeg = part([(1, 1, 0.0), (1, 1, 2.0), (1, 2, 0.0)], "eeg")
    faces = part([(1, 2, 0.0), (1, 1, 2.0), (1, 1, 0.0)], "faces")
    paired, dropped = pair_windows({"eeg": eeg, "faces": faces})
    assert paired.arrays["eeg"].ravel().tolist() == [10, 11, 12]
    assert paired.arrays["faces"].ravel().tolist() == [12, 11, 10]
    assert dropped.empty


def test_what_is_dropped_is_counted_with_its_reason():
    eeg = part([(1, 1, 0.0), (1, 1, 2.0), (1, 1, 4.0), (1, 2, 0.0)], "eeg")
    faces = part([(1, 1, 0.0), (1, 1, 2.0), (1, 1, 4.0)], "faces", ["", "no face in the video", "no face in the video"])
    paired, dropped = pair_windows({"eeg": eeg, "faces": faces})
    assert paired.table["start_seconds"].tolist() == [0.0]
    assert paired.arrays["faces"].tolist() == [[10.0]]
    assert "unusable" not in paired.table
    assert dropped.to_dict("records") == [
        {"subject": 1, "session": 1, "trial": 1, "reason": "no face in the video", "n_windows": 2},
        {"subject": 1, "session": 1, "trial": 2, "reason": "faces: no window at this time", "n_windows": 1},
    ]


def test_a_trial_of_another_session_is_no_partner():
    # Trials are renumbered in each session: those of the second would get the faces of the first.
    windows = [(1, 1, 0.0), (1, 1, 0.0)]
    eeg = StoredFeatures({"eeg": np.array([[1.0], [2.0]])}, table(windows).assign(session=["a", "b"]))
    faces = StoredFeatures({"faces": np.array([[20.0], [10.0]])}, table(windows).assign(session=["b", "a"]))
    paired, dropped = pair_windows({"eeg": eeg, "faces": faces})
    assert paired.arrays["faces"].ravel().tolist() == [10.0, 20.0]
    assert dropped.empty
    alone = StoredFeatures({"faces": np.array([[10.0]])}, table(windows[:1]).assign(session=["a"]))
    paired, dropped = pair_windows({"eeg": eeg, "faces": alone})
    assert paired.table["session"].tolist() == ["a"]
    assert dropped["session"].tolist() == ["b"]


def test_one_part_alone_loses_its_unusable_windows():
    paired, dropped = pair_windows({"faces": part([(1, 1, 0.0), (1, 1, 2.0)], "faces", ["torn", ""])})
    assert paired.table["start_seconds"].tolist() == [2.0]
    assert dropped["n_windows"].tolist() == [1]


def test_what_is_whole_stays_mapped():
    eeg, faces = part([(1, 1, 0.0)], "eeg"), part([(1, 1, 0.0)], "faces")
    paired, _ = pair_windows({"eeg": eeg, "faces": faces})
    assert paired.arrays["eeg"] is eeg.arrays["eeg"]
    assert paired.arrays["faces"] is faces.arrays["faces"]


def test_arrays_of_the_same_name_are_refused():
    one = part([(1, 1, 0.0)], "eeg")
    with pytest.raises(ValueError, match="arrays of the same name"):
        pair_windows({"eeg": one, "other": one})


def test_of_windows_that_are_not_asked_for_nothing_is_kept_or_counted_as_dropped():
    eeg = part([(1, 1, float(start)) for start in range(6)], "eeg")
    faces = part([(1, 1, 2.0), (1, 1, 4.0), (1, 1, 5.0)], "faces")
    paired, dropped = pair_windows({"eeg": eeg, "faces": faces}, asked=np.array([1, 2, 3, 4]))
    assert paired.table["start_seconds"].tolist() == [2.0, 4.0]
    np.testing.assert_array_equal(paired.arrays["eeg"], eeg.arrays["eeg"][[2, 4]])
    np.testing.assert_array_equal(paired.arrays["faces"], faces.arrays["faces"][[0, 1]])
    assert dropped["n_windows"].tolist() == [2]
