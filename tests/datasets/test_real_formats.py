"""Real recordings of manufacturers' formats, from public test data; see docs/formats.md for the sources."""

import re

import mne
import numpy as np
import pytest

from keras_emotion.datasets.electrodes import CHANNEL_FILE, ChannelTable
from keras_emotion.datasets.recording_events import read_events
from keras_emotion.datasets.recording_files import open_raw, open_recording
from keras_emotion.schema import InputError

pytestmark = pytest.mark.real_data


@pytest.fixture(scope="module")
def folder(real_data):
    found = real_data / "formats"
    if not found.is_dir():
        pytest.skip("the real recordings of makers' formats are not there (../shared/data/formats)")
    return found


def opened(path):
    return open_recording(path, path.parent, ChannelTable(path.parent / CHANNEL_FILE), any_names=True)


def values_uv(recording, names, n_samples=None):
    rows = [[channel.name_in_file for channel in recording.channels].index(name) for name in names]
    return recording.read(0, n_samples or recording.n_samples)[rows]


# Name, reader of MNE, package that it needs, rate in Hz, EEG channels, samples, annotations.
BY_MNE = [
    ("test_CA_208.cnt", "read_raw_ant", "antio", 1000, 63, 4025, 2),
    ("test_egi_pns.mff", "read_raw_egi", "mffpy", 250, 257, 3488, 1),
    ("test_bdf_stim_channel Curry 8.cdt", "read_raw_curry", "curryreader", 500, 3, 5000, 18),
    ("test_bdf_stim_channel Curry 7.dat", "read_raw_curry", "curryreader", 500, 3, 5000, 18),
    ("MB0400FU.EEG", "read_raw_nihon", "mne", 200, 22, 5800, 2),
    ("test_nicolet_raw.data", "read_raw_nicolet", "mne", 256, 25, 512, 0),
    ("neuroscan.cnt", "read_raw_cnt", "mne", 1000, 2, 90000, 12),
    ("test_VAmp.ahdr", "read_raw_brainvision", "mne", 500, 6, 4352, 0),
    ("test_raw_h5.set", "read_raw_eeglab", "pymatreader", 128, 32, 30504, 154),
]


@pytest.mark.parametrize(("name", "reader", "package", "rate_hz", "n_eeg", "n_samples", "n_events"), BY_MNE)
def test_samples_are_those_of_mne_in_microvolt(folder, name, reader, package, rate_hz, n_eeg, n_samples, n_events):
    pytest.importorskip(package)
    path = folder / name
    recording = opened(path)
    eeg = [channel.name_in_file for channel in recording.channels if channel.kind == "eeg"]
    facts = (recording.sampling_rate_hz, len(eeg), recording.n_samples, len(read_events(path, folder).events))
    assert facts == (rate_hz, n_eeg, n_samples, n_events)
    arguments = {"read_raw_nicolet": {"ch_type": "eeg"}, "read_raw_cnt": {"data_format": "int32"}}.get(reader, {})
    raw = getattr(mne.io, reader)(path, **arguments, verbose="ERROR")
    values = values_uv(recording, eeg)
    np.testing.assert_allclose(values, raw.get_data(eeg) * 1e6, rtol=1e-9, atol=1e-9)
    rows = [[channel.name_in_file for channel in recording.channels].index(name) for name in eeg]
    np.testing.assert_array_equal(recording.read(100, 200)[rows], values[:, 100:200])


def test_a_recording_of_ant_is_what_its_maker_exports_for_brainvision(folder):
    pytest.importorskip("antio")
    ant, exported = opened(folder / "test_CA_208.cnt"), opened(folder / "test_CA_208.vhdr")
    names = [channel.name_in_file for channel in ant.channels if channel.kind == "eeg"]
    np.testing.assert_allclose(values_uv(ant, names, 4000), values_uv(exported, names, 4000), atol=0.05)


def test_a_recording_of_nihon_kohden_is_what_its_maker_exports_as_edf(folder):
    own, exported = opened(folder / "MB0400FU.EEG"), opened(folder / "MB0400FU.EDF")
    of_own = {channel.name: row for row, channel in enumerate(own.channels) if channel.kind == "eeg"}
    of_edf = {channel.name: row for row, channel in enumerate(exported.channels) if channel.kind == "eeg"}
    shared = sorted({*of_own} & {*of_edf})
    assert len(shared) >= 19
    values = own.read(0, 5800)[[of_own[name] for name in shared]]
    np.testing.assert_allclose(values, exported.read(0, 5800)[[of_edf[name] for name in shared]], atol=0.2)


def test_a_set_of_matlab_73_is_that_of_version_5(folder):
    pytest.importorskip("pymatreader")
    np.testing.assert_allclose(
        opened(folder / "test_raw_h5.set").read(0, 30504), opened(folder / "test_raw.set").read(0, 30504), rtol=1e-6
    )


def test_epochs_of_eeglab_are_those_of_mne(folder):
    path = folder / "test_epochs_onefile.set"
    recording = opened(path)
    with pytest.warns(RuntimeWarning, match="multiple events"):
        epochs = mne.io.read_epochs_eeglab(path, verbose="WARNING")
    expected = np.concatenate(list(epochs.get_data(copy=False)), axis=1) * 1e6
    np.testing.assert_allclose(recording.read(0, recording.n_samples), expected, rtol=1e-9)
    assert len(recording.gaps) == len(epochs) - 1


@pytest.mark.filterwarnings("ignore::RuntimeWarning:mne")
@pytest.mark.parametrize("name", ["fieldtrip_raw_v7.mat", "fieldtrip_epochs_v7.mat", "fieldtrip_epochs_v73.mat"])
def test_trials_of_fieldtrip_are_those_of_mne(folder, name):
    pytest.importorskip("pymatreader")
    path = folder / name
    if "raw" in name:
        expected = mne.io.read_raw_fieldtrip(path, None).get_data()
    else:
        epochs = mne.read_epochs_fieldtrip(path, None)
        expected = np.concatenate(list(epochs.get_data(copy=False)), axis=1)
    raw = open_raw(path, folder, [])
    np.testing.assert_allclose(raw.get_data(), expected, rtol=1e-12)
    # MNE counts from the start of each epoch, and so do its events.
    n_trials = 1 if "raw" in name else len(epochs)
    marks = [event for event in read_events(path, folder).events if event.duration_seconds]
    assert len(marks) == n_trials
    if n_trials > 1:
        step = len(epochs.times) / epochs.info["sfreq"]
        starts = [trial * step - epochs.tmin for trial in range(n_trials)]
        np.testing.assert_allclose([event.start_seconds for event in marks], starts, atol=1e-9)
        assert [event.kind for event in marks] == [str(trial) for trial in range(1, n_trials + 1)]


@pytest.mark.parametrize("version", ["v3", "v6"])
def test_samples_of_openbci_are_those_in_the_text(folder, version):
    path = folder / f"OpenBCI_GUI-{version}.txt"
    recording = opened(path)
    lines = [line for line in path.read_text().splitlines() if re.match(r"\d", line)]
    expected = np.array([[float(cell) for cell in line.split(",")[1:9]] for line in lines]).T
    assert (recording.sampling_rate_hz, len(recording.channels)) == (250, 8)
    np.testing.assert_array_equal(recording.read(0, recording.n_samples), expected)


def test_the_streams_of_an_xdf_are_those_of_pyxdf(folder):
    pyxdf = pytest.importorskip("pyxdf")
    path = folder / "clock_resets.xdf"
    recording = opened(path)
    streams, _ = pyxdf.load_xdf(str(path))
    eeg = next(stream for stream in streams if stream["info"]["type"] == ["EEG"])
    # The streams have no unit: read as volts, with a note, as everywhere.
    np.testing.assert_allclose(recording.read(0, recording.n_samples), eeg["time_series"].T * 1e6, rtol=1e-6)
    assert [gap.sample for gap in recording.gaps] == [12876]
    assert len(read_events(path, folder).events) == 1 + 175


def test_a_mind_monitor_file_of_one_line_a_second_is_refused(folder):
    with pytest.raises(InputError, match=r"0\.9827 lines per second; expected 256 or 220"):
        opened(folder / "testmusemonitor.csv")
