"""Search for the recordings of a folder, each once."""

import json
import os
import shutil

import mne
import numpy as np
import pytest

from keras_emotion.datasets.recording_events import read_events
from keras_emotion.datasets.recording_search import find_recordings, without_parts


def names(search, root):
    return [path.relative_to(root).as_posix() for path in search.recordings]


def touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    return path


def test_linked_folders_are_followed_once(tmp_path):
    root, disk = tmp_path / "study", tmp_path / "disk"
    touch(root / "s1" / "a.edf")
    touch(disk / "deep" / "b.EDF")
    (root / "s2").symlink_to(disk)
    (root / "again").symlink_to(root / "s1")
    (disk / "loop").symlink_to(root)
    (root / "s1" / "above").symlink_to(tmp_path)
    search = find_recordings(root)
    assert names(search, root) == ["s1/a.edf", "s2/deep/b.EDF"]
    assert [note.partition(":")[0] for note in search.notes] == ["again", "s1/above", "s2/loop"]
    assert all("which is searched already or contains it" in note for note in search.notes)
    assert search.faults == ()


def test_what_cannot_be_looked_at_is_named(tmp_path):
    touch(tmp_path / "a.edf")
    (tmp_path / "sub2").symlink_to(tmp_path / "unplugged")
    (tmp_path / "b.edf").symlink_to(tmp_path / "nowhere.edf")
    (tmp_path / "notes.txt").symlink_to(tmp_path / "nowhere.txt")
    search = find_recordings(tmp_path)
    assert names(search, tmp_path) == ["a.edf"]
    assert [fault.partition(" (")[0] for fault in search.faults] == [
        "b.edf: broken link",
        "sub2: broken link",
    ]


def test_devices_are_named_and_not_opened(tmp_path):
    touch(tmp_path / "a.edf")
    os.mkfifo(tmp_path / "b.edf")
    (tmp_path / "c.edf").symlink_to(os.devnull)
    search = find_recordings(tmp_path)
    assert names(search, tmp_path) == ["a.edf"]
    assert search.faults == (
        "b.edf: is a FIFO (named pipe); expected a regular file; copy its content to a file",
        "c.edf: is a device; expected a regular file; copy its content to a file",
    )


def test_folders_that_may_not_be_opened_are_named(tmp_path, monkeypatch):
    touch(tmp_path / "a.edf")
    touch(tmp_path / "closed" / "b.edf")
    listed = type(tmp_path).iterdir

    def iterdir(path):
        if path.name == "closed":
            raise PermissionError(13, "Permission denied")
        return listed(path)

    monkeypatch.setattr(type(tmp_path), "iterdir", iterdir)
    search = find_recordings(tmp_path)
    assert names(search, tmp_path) == ["a.edf"]
    assert search.faults == ("closed: cannot be searched (Permission denied)",)


def test_a_recording_of_several_files_is_one(tmp_path):
    for name in (
        "a.vhdr",
        "a.eeg",
        "a.vmrk",
        "b.set",
        "b.fdt",
        ".c.edf",
        ".git/d.edf",
        "e.mff/signal1.bin",
        "f.set/g.edf",
    ):
        touch(tmp_path / name)
    assert names(find_recordings(tmp_path), tmp_path) == ["a.vhdr", "b.set", "e.mff", "f.set/g.edf"]


def test_arrays_without_a_sidecar_are_reported(tmp_path):
    for name in ("a.npy", "b.npy"):
        np.save(tmp_path / name, np.zeros((1, 2)))
    (tmp_path / "a.json").write_text("{}")
    search = find_recordings(tmp_path)
    assert names(search, tmp_path) == ["a.npy"]
    assert search.notes == ("arrays without a sidecar, ignored: b.npy",)


def test_of_a_bids_tree_those_of_its_subjects(tmp_path):
    for name in (
        "dataset_description.json",
        "sub-1/eeg/sub-1_eeg.edf",
        "sub-1/eeg/sub-1_events.edf",
        "sourcedata/x_eeg.edf",
    ):
        touch(tmp_path / name)
    assert names(find_recordings(tmp_path), tmp_path) == ["sub-1/eeg/sub-1_eeg.edf"]


# --- parts


@pytest.fixture(scope="module")
def split(tmp_path_factory):
    """A FIF of three parts."""
    folder = tmp_path_factory.mktemp("split")
    info = mne.create_info(2, 100, "eeg")
    raw = mne.io.RawArray(np.zeros((2, 300_000)), info, verbose="ERROR")
    raw.save(folder / "x_raw.fif", split_size="2MB", verbose="ERROR")
    assert len(list(folder.iterdir())) == 3
    return folder


def kept(root):
    recordings, notes = without_parts([read_events(path, root) for path in find_recordings(root).recordings], root)
    return [recording.path.name for recording in recordings], notes


def test_parts_of_a_split_file_belong_to_the_first(split):
    assert kept(split) == (
        ["x_raw.fif"],
        [
            "x_raw-1.fif: part of x_raw.fif, read with it",
            "x_raw-2.fif: part of x_raw.fif, read with it",
        ],
    )


def test_a_part_without_the_first_is_reported(split, tmp_path):
    for part in ("x_raw-1.fif", "x_raw-2.fif"):
        os.symlink(split / part, tmp_path / part)
    files, notes = kept(tmp_path)
    assert files == ["x_raw-1.fif"]
    assert notes[1] == "x_raw-1.fif: named like a part of x_raw.fif, which is missing; expected all parts; copy them"


def test_one_file_by_two_names_is_one_recording(tmp_path):
    sidecar = {"sampling_rate_hz": 100, "channel_names": ["Fz"], "unit": "uV", "axes": ["channels", "samples"]}
    (tmp_path / "recordings.json").write_text(json.dumps(sidecar))
    np.save(tmp_path / "a.npy", np.zeros((1, 200)))
    (tmp_path / "b.npy").symlink_to(tmp_path / "a.npy")
    shutil.copy(tmp_path / "a.npy", tmp_path / "c.npy")
    assert kept(tmp_path) == (["a.npy", "c.npy"], ["b.npy: same data as a.npy (a.npy); left out"])


def test_one_name_in_two_formats_is_reported(tmp_path):
    sidecar = {"sampling_rate_hz": 100, "channel_names": ["Fz"], "unit": "uV", "axes": ["channels", "samples"]}
    (tmp_path / "a.json").write_text(json.dumps(sidecar))
    np.save(tmp_path / "a.npy", np.zeros((1, 200)))
    mne.io.RawArray(np.zeros((1, 200)), mne.create_info(1, 100, "eeg"), verbose="ERROR").save(
        tmp_path / "a.fif", verbose="ERROR"
    )
    assert kept(tmp_path)[1] == [
        "a.fif and a.npy differ only in their suffix; if they are one recording in two formats, remove one"
    ]
