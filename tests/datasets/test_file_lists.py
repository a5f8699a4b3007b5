"""The fingerprint of a recording covers every file that it is read from, in any folder."""

import os

import numpy as np
import pytest

from keras_emotion.datasets import Recordings
from keras_emotion.datasets.recording_files import files_of
from keras_emotion.pipelines import content_hash
from keras_emotion.testing.observation import opened_files
from tests.datasets.written_files import Signal, raw_of, sine, write_brainvision, write_edf, write_fif, write_set

EEG = [sine(name, hz, 50) for name, hz in (("Fz", 3), ("Cz", 7), ("Pz", 11))]


def write_trials(folder, file):
    text = f"subject,trial,file,start_seconds,stop_seconds,valence\n1,1,{file},2,8,1\n"
    (folder / "trials.csv").write_text(text)


def brainvision_of_another_name(folder):
    (folder / "below").mkdir()
    path = write_brainvision(folder / "a.vhdr", EEG, data_file="below/original.eeg")
    path.with_suffix(".vmrk").rename(folder / "marks.vmrk")
    path.write_text(path.read_text().replace("MarkerFile=a.vmrk", "MarkerFile=marks.vmrk"))
    return path, {"a.vhdr", "below/original.eeg", "marks.vmrk"}


def renamed_brainvision(folder):
    path = write_brainvision(folder / "a.vhdr", EEG)
    path.write_text(path.read_text().replace("MarkerFile=a.vmrk", "MarkerFile=gone.vmrk"))
    return path, {"a.vhdr", "a.eeg", "a.vmrk"}


def eeglab_of_another_name(folder):
    (folder / "below").mkdir()
    return write_set(folder / "a.set", EEG, data_file="below/b.fdt"), {"a.set", "below/b.fdt"}


def eeglab_in_one_file(folder):
    (folder / "a.fdt.old").write_text("")
    return write_set(folder / "a.set", EEG), {"a.set"}


def split_fif(folder):
    long = [Signal(one.name, np.tile(one.values * 1e-6, 25)) for one in EEG]
    path = write_fif(folder / "a_raw.fif", raw_of(long, "eeg"), split_size="2MB", buffer_size_sec=1)
    return path, {"a_raw.fif", "a_raw-1.fif", "a_raw-2.fif"}


def linked(folder):
    elsewhere = folder.parent / "elsewhere"
    elsewhere.mkdir()
    write_brainvision(elsewhere / "b.vhdr", EEG)
    for name in ("b.vhdr", "b.vmrk", "b.eeg"):
        os.symlink(elsewhere / name, folder / name)
    return folder / "b.vhdr", {"b.vhdr", "b.vmrk", "b.eeg"}


def edf_with_others_beside(folder):
    (folder / "a.json").write_text("{}")
    return write_edf(folder / "a.edf", EEG), {"a.edf"}


WAYS = [
    brainvision_of_another_name,
    renamed_brainvision,
    eeglab_of_another_name,
    eeglab_in_one_file,
    split_fif,
    linked,
    edf_with_others_beside,
]


@pytest.mark.parametrize("way", WAYS)
def test_all_files_that_are_opened_are_listed(tmp_path, way):
    folder = tmp_path / "study"
    folder.mkdir()
    path, expected = way(folder)
    assert {file.relative_to(folder).as_posix() for file in files_of(path, folder)} == expected
    write_trials(folder, path.name)
    with opened_files() as opened:
        assert len(list(Recordings(folder).trials())) == 1
    listed = {os.path.realpath(file) for file in Recordings(folder).source_files(1)}
    inside = os.path.realpath(tmp_path)
    assert {file for file in opened if file.startswith(inside)} <= listed


@pytest.mark.parametrize("way", [brainvision_of_another_name, eeglab_of_another_name, split_fif, linked])
def test_other_samples_give_another_fingerprint(tmp_path, way):
    folder = tmp_path / "study"
    folder.mkdir()
    path, _ = way(folder)
    before = content_hash(files_of(path, folder))
    last = max((file for file in files_of(path, folder) if file != path), key=lambda file: file.stat().st_size)
    target = last.resolve()
    content = bytearray(target.read_bytes())
    content[len(content) // 2] ^= 1
    target.write_bytes(content)
    assert content_hash(files_of(path, folder)) != before


def test_a_file_that_cannot_be_opened_has_those_beside_it(tmp_path):
    (tmp_path / "a.set").write_text("no set")
    (tmp_path / "a.fdt").write_text("")
    (tmp_path / "ab.fdt").write_text("")
    assert files_of(tmp_path / "a.set", tmp_path) == (tmp_path / "a.fdt", tmp_path / "a.set")


def test_tables_of_bids_are_those_that_contradict_nothing(tmp_path):
    (tmp_path / "dataset_description.json").write_text("{}")
    folder = tmp_path / "sub-01" / "ses-1" / "eeg"
    folder.mkdir(parents=True)
    path = write_edf(folder / "sub-01_ses-1_task-a_run-1_eeg.edf", EEG)
    mine = ["sub-01_ses-1_task-a_run-1_channels.tsv", "sub-01_ses-1_task-a_run-1_events.tsv"]
    mine += ["sub-01_ses-1_task-a_eeg.json", "sub-01_ses-1_space-X_electrodes.tsv", "sub-01_ses-1_coordsystem.json"]
    others = [
        "sub-01_ses-1_task-a_run-2_channels.tsv",
        "sub-01_ses-1_task-b_events.tsv",
        "sub-01_ses-1_task-a_run-2_eeg.edf",
    ]
    for name in (*mine, *others, "sub-01_ses-1_notes.txt"):
        (folder / name).write_text("")
    above = [
        "participants.tsv",
        "task-a_events.json",
        "sub-01/ses-1/sub-01_ses-1_scans.tsv",
        "sub-01/sub-01_sessions.tsv",
    ]
    for name in (*above, "task-b_channels.tsv"):
        (tmp_path / name).write_text("")
    listed = {file.relative_to(tmp_path).as_posix() for file in files_of(path, tmp_path)}
    in_folder = {f"sub-01/ses-1/eeg/{name}" for name in (path.name, *mine)}
    assert listed == {*in_folder, *above, "dataset_description.json"}


def test_a_relative_path_gives_relative_files(tmp_path, monkeypatch):
    path, _ = split_fif(tmp_path)
    monkeypatch.chdir(tmp_path)
    names = {"a_raw.fif", "a_raw-1.fif", "a_raw-2.fif"}
    assert {str(file) for file in files_of(type(path)("a_raw.fif"), type(path)())} == names
