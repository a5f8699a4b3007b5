"""Observation of opened files and of memory."""

import os

import numpy as np

from keras_emotion.testing.observation import opened_files, peak_memory


def test_files_are_seen_while_one_looks(tmp_path):
    names = ("before", "inside", "link", "after")
    before, inside, link, after = (tmp_path / name for name in names)
    for path in (before, inside, after):
        path.write_text("text")
    link.symlink_to(inside)
    before.read_text()
    with opened_files() as opened, opened_files() as others:
        np.fromfile(link, dtype=np.uint8)
    after.read_text()
    assert opened == others == {os.path.realpath(inside)}


def test_memory_counts_from_where_one_begins_to_look():
    kept = np.ones(2**20)
    with peak_memory() as peak:
        for _ in range(3):
            np.ones(2**18)
    assert 2**21 <= peak[0] < 2**21 + 2**18 < kept.nbytes
    with peak_memory() as peak:
        pass
    assert peak[0] < 2**16
