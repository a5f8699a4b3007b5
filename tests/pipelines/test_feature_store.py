import os

import numpy as np
import pandas as pd
import pytest

from keras_emotion.pipelines import FeatureStore, StoredFeatures, content_hash
from keras_emotion.schema import InputError


def _compute(calls):
    def compute():
        calls.append(1)
        table = pd.DataFrame({"subject": ["01", "01"], "trial": [1, 2], "start_seconds": [0.1, 1 / 3]})
        return {"eeg": np.arange(6.0).reshape(2, 3)}, table

    return compute


def test_an_entry_is_computed_once_and_read_back_exactly(tmp_path):
    calls = []
    store = FeatureStore(tmp_path / "store")
    folder = store.folder({"a": 1, "b": 2}, _compute(calls))
    assert store.folder({"b": 2, "a": 1}, _compute(calls)) == folder
    assert len(calls) == 1
    stored = StoredFeatures.open(folder)
    assert isinstance(stored.arrays["eeg"], np.memmap)
    np.testing.assert_array_equal(stored.arrays["eeg"], np.arange(6.0).reshape(2, 3))
    pd.testing.assert_frame_equal(stored.table, _compute([])()[1])


def test_another_key_is_another_entry(tmp_path):
    calls = []
    store = FeatureStore(tmp_path)
    assert store.folder({"a": 1}, _compute(calls)) != store.folder({"a": 2}, _compute(calls))
    assert len(calls) == 2


def test_a_killed_writer_leaves_no_entry_and_foreign_files_stay(tmp_path):
    store = FeatureStore(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")

    def killed():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.folder({"a": 1}, killed)
    folder = store.folder({"a": 1}, _compute([]))
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([folder.name, "notes.txt"])


def test_arrays_and_table_of_different_length_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"'eeg': 3\} windows but the window table has 2 rows"):
        FeatureStore(tmp_path).folder({}, lambda: ({"eeg": np.zeros(3)}, pd.DataFrame({"trial": [1, 2]})))


def test_a_store_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / "store").write_text("a file where the folder should be")
    with pytest.raises(InputError, match="feature store cannot be written"):
        FeatureStore(tmp_path / "store").folder({}, _compute([]))


def test_the_content_hash_sees_content_and_name_but_not_the_folder(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "s01.dat").write_text("one")
    first = content_hash([tmp_path / "a" / "s01.dat"])
    assert first == content_hash([tmp_path / "b" / "s01.dat"])
    (tmp_path / "b" / "s01.dat").write_text("two")
    os.utime(tmp_path / "b" / "s01.dat", ns=(1, 1))
    assert first != content_hash([tmp_path / "b" / "s01.dat"])
    (tmp_path / "a" / "s01.dat").rename(tmp_path / "a" / "s02.dat")
    assert first != content_hash([tmp_path / "a" / "s02.dat"])
