"""Text files of Mind Monitor, OpenBCI and Emotiv, as these programs write them."""

import numpy as np
import pytest

from keras_emotion.datasets.electrodes import CHANNEL_FILE, ChannelTable
from keras_emotion.datasets.formats.device_tables import device_of
from keras_emotion.datasets.recording_events import read_events
from keras_emotion.datasets.recording_files import open_recording
from keras_emotion.datasets.recording_search import find_recordings
from keras_emotion.schema import InputError

N_SAMPLES = 512
MUSE = ("TP9", "AF7", "AF8", "TP10")


def values_uv(n_channels, n_samples=N_SAMPLES):
    """Distinct values per channel and sample, with three digits, as in text files."""
    return 100.0 * np.arange(1, n_channels + 1)[:, np.newaxis] + np.arange(n_samples) / 8


def opened(path, any_names=False):
    return open_recording(path, path.parent, ChannelTable(path.parent / CHANNEL_FILE), any_names)


def marks(path):
    return [(event.start_seconds, event.kind) for event in read_events(path, path.parent).events]


def write_mind_monitor(path, rate_hz=256.0, pause_at=None, event_rows=(), empty_rows=()):
    lines = ["TimeStamp,Delta_TP9,RAW_TP9,RAW_AF7,RAW_AF8,RAW_TP10,AUX_RIGHT,Gyro_X,HeadBandOn,Elements"]
    for row, column in enumerate(values_uv(4).T):
        seconds = row / rate_hz + (5.0 if pause_at is not None and row >= pause_at else 0.0)
        stamp = f"2025-07-01 14:56:{seconds:06.3f}"
        lines += [f"{stamp},,,,,,,,,{text}" for at, text in event_rows if at == row]
        cells = ",".join("" if row in empty_rows else f"{value}" for value in column)
        lines.append(f"{stamp},0.1,{cells},800.0,1.5,1,{'/Marker/2' if row == 64 else ''}")
    path.write_text("\n".join(lines) + "\n")


def test_mind_monitor(tmp_path):
    path = tmp_path / "muse.csv"
    write_mind_monitor(path, pause_at=256, event_rows=[(128, "/Marker/1"), (300, "/muse/elements/blink")])
    recording = opened(path)
    assert recording.sampling_rate_hz == 256
    assert [(channel.name, channel.kind) for channel in recording.channels] == [(name, "eeg") for name in MUSE]
    assert set(recording.units) == {"uV"}
    np.testing.assert_array_equal(recording.read(0, N_SAMPLES), values_uv(4))
    assert [gap.sample for gap in recording.gaps] == [256]
    assert marks(path) == [
        (0.25, "/Marker/2"),
        (0.5, "/Marker/1"),
        (1.0, "EDGE boundary"),
        (300 / 256, "/muse/elements/blink"),
    ]
    assert "channels of unknown kind left out: AUX_RIGHT, Gyro_X" in "".join(recording.notes)
    assert find_recordings(tmp_path).recordings == (path,)


def test_mind_monitor_lines_without_values_are_counted(tmp_path):
    path = tmp_path / "muse.csv"
    write_mind_monitor(path, empty_rows=(7, 9))
    recording = opened(path)
    assert recording.n_samples == N_SAMPLES - 2
    assert any("lines with a missing value of a raw channel, left out: 2" in note for note in recording.notes)


@pytest.mark.parametrize(("rate_hz", "told"), [(100.0, "100 lines per second"), (0.9, "0.9 lines per second")])
def test_mind_monitor_at_no_rate_of_a_headband_is_refused(tmp_path, rate_hz, told):
    path = tmp_path / "muse.csv"
    lines = ["TimeStamp,RAW_TP9,RAW_AF7,RAW_AF8,RAW_TP10,Elements"]
    for row in range(60):
        minutes, seconds = divmod(row / rate_hz, 60)
        lines.append(f"2025-07-01 14:{int(minutes):02d}:{seconds:06.3f},1,2,3,4,")
    path.write_text("\n".join(lines))
    with pytest.raises(InputError, match=f"{told}; expected 256 or 220; in Mind Monitor"):
        opened(path)


def write_openbci(path, version, n_cut=0, lost_at=None, word_at=None, pause_at=None):
    lines = ["%OpenBCI Raw EXG Data", "%Number of channels = 8", "%Sample Rate = 250 Hz"]
    if version >= 5:
        names = ", ".join(f"EXG Channel {place}" for place in range(8))
        lines += ["%Board = OpenBCI_GUI$BoardCytonSerial"]
        lines += [f"Sample Index, {names}, Accel Channel 0, Timestamp, Marker Channel, Timestamp (Formatted)"]
    for row, column in enumerate(values_uv(8).T):
        index = (row + (3 if lost_at is not None and row >= lost_at else 0)) % 256
        cells = ", ".join(f"{value:.3f}" for value in column)
        milliseconds = 1557936053329 + row * 4 + (2000 if pause_at is not None and row >= pause_at else 0)
        if version >= 5:
            word = 2.0 if row == word_at else 0.0
            lines.append(f"{index}, {cells}, 0.04, {milliseconds / 1000:.3f}, {word}, 2019-05-15 12:00:53.329")
        else:
            lines.append(f"{index}, {cells}, 0.040, 0.420, 0.238, 12:00:53.329, {milliseconds}")
    text = "\n".join(lines) + "\n"
    path.write_text(text[: len(text) - n_cut])


@pytest.mark.parametrize("version", [3, 6])
def test_openbci(tmp_path, version):
    path = tmp_path / "OpenBCI-RAW-2019-05-15.txt"
    write_openbci(path, version, word_at=125)
    recording = opened(path, any_names=True)
    assert recording.sampling_rate_hz == 250
    assert [channel.name for channel in recording.channels] == [f"EXG Channel {place}" for place in range(8)]
    assert set(recording.units) == {"uV"}
    np.testing.assert_array_equal(recording.read(0, N_SAMPLES), values_uv(8))
    assert not recording.gaps
    assert marks(path) == ([(0.5, "2")] if version == 6 else [])
    assert find_recordings(tmp_path).recordings == (path,)


def test_openbci_with_electrodes_of_the_user(tmp_path):
    path = tmp_path / "P01.txt"
    write_openbci(path, 6)
    with pytest.raises(InputError, match=r"EXG Channel 7: not in the 10-5 system .* keras-emotion init-channels"):
        opened(path)
    names = ("Fp1", "Fp2", "C3", "C4", "P7", "P8", "O1", "O2")
    rows = [f"EXG Channel {place},{name}" for place, name in enumerate(names)]
    (tmp_path / CHANNEL_FILE).write_text("\n".join(["name,electrode", *rows]))
    assert [channel.name for channel in opened(path).channels] == list(names)


def test_openbci_lost_packets_and_a_cut_line_are_noted(tmp_path):
    path = tmp_path / "P01.txt"
    write_openbci(path, 6, n_cut=40, lost_at=100, pause_at=300)
    recording = opened(path, any_names=True)
    assert recording.n_samples == N_SAMPLES - 1
    assert [gap.sample for gap in recording.gaps] == [300]
    notes = " ".join(recording.notes)
    assert "truncated last line left out" in notes
    assert "the sample index jumps at 1 places" in notes


EPOC = ["AF3", "F7", "F3", "FC5", "T7", "P7", "O1", "O2", "P8", "T8", "FC6", "F4", "F8", "AF4"]


def write_test_bench(path):
    columns = ["COUNTER", "INTERPOLATED", *EPOC, "RAW_CQ", "GYROX", "GYROY", "MARKER", "CQ_AF3"]
    lines = [
        "title:P01, recorded:21.11.17 16.17.43, timestamp started:2017-11-21T16:17:43-08:00, sampling:128, subject:, "
        f"labels:{' '.join(columns)}, chan:{len(columns)}, samples:{N_SAMPLES}, units:emotiv"
    ]
    for row, column in enumerate(values_uv(14).T):
        cells = ",".join(f"{value}" for value in column)
        # A marker value lasts as long as the key is pressed.
        lines.append(f"{row % 129},{int(row in (3, 4))},{cells},1,2,3,{7 if 64 <= row < 70 else 0},4")
    path.write_text("\n".join(lines) + "\n")


def write_emotiv_pro(path):
    names = [f"EEG.{name}" for name in EPOC]
    lines = [
        "title:P01, start timestamp:1623658701.49, stop timestamp:1623658723.78, headset type:EPOCX, "
        f"sampling rate:eeg_128, samples:{N_SAMPLES}, version:2.1,",
        f"Timestamp,EEG.Counter,EEG.Interpolated,{','.join(names)},EEG.RawCq,EEG.Battery,EEG.BatteryPercent,"
        "MarkerIndex,MarkerType,MarkerValueInt,EEG.MarkerHardware,CQ.AF3,CQ.Overall,MOT.AccX",
    ]
    for row, column in enumerate(values_uv(14).T):
        cells = ",".join(f"{value}" for value in column)
        marker = "1,2,7" if row == 64 else ",,"
        motion = "0.5" if row % 2 else ""
        stamp = 1623658701.49 + row / 128
        lines.append(f"{stamp:.6f},{row % 128},{int(row in (3, 4))},{cells},0,4,80,{marker},0,4,100,{motion}")
    path.write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("write", [write_test_bench, write_emotiv_pro])
def test_emotiv(tmp_path, write):
    path = tmp_path / "P01.csv"
    write(path)
    recording = opened(path)
    assert recording.sampling_rate_hz == 128
    assert [channel.name for channel in recording.channels] == EPOC
    assert set(recording.units) == {"uV"}
    np.testing.assert_array_equal(recording.read(0, N_SAMPLES), values_uv(14))
    assert any("samples that the device lost and Emotiv interpolated: 2" in note for note in recording.notes)
    assert marks(path) == [(0.5, "7")]
    assert find_recordings(tmp_path).recordings == (path,)


def test_other_tables_are_no_recordings(tmp_path):
    (tmp_path / "participants.csv").write_text("subject,age\n1,30\n")
    (tmp_path / "trials.csv").write_text("subject,trial\n1,1\n")
    (tmp_path / "notes.txt").write_text("first pilot\n")
    (tmp_path / "empty.txt").touch()
    search = find_recordings(tmp_path)
    assert search.recordings == ()
    assert search.notes == ("unsupported devices, ignored: empty.txt, notes.txt, participants.csv",)
    with pytest.raises(InputError, match="unsupported device; expected Mind Monitor, OpenBCI, Emo"):
        opened(tmp_path / "participants.csv")


@pytest.mark.parametrize(
    ("text", "device", "told"),
    [
        ("TimeStamp,RAW_TP9,Elements\nyesterday,1,\n", "Mind Monitor", "invalid Mind Monitor file"),
        ("TimeStamp,RAW_TP9,Elements\n", "Mind Monitor", "no raw samples"),
        ("%OpenBCI Raw EXG Data\n1, 2\n", "OpenBCI", "sample rate missing in the header"),
        ("%OpenBCI Raw EXG Data\n%Sample Rate = 250 Hz\n1, 2\n", "OpenBCI", "number of channels missing in the header"),
        (
            "%OpenBCI Raw EXG Data\n%Sample Rate = 250 Hz\nSample Index, EXG Channel 0\n0, x\n1, 2\n",
            "OpenBCI",
            "invalid OpenBCI file",
        ),
        ("title:x, labels:COUNTER AF3\n1,2\n", "Emotiv", "sampling rate missing in the first line"),
        ("title:x, sampling:128, labels:COUNTER AF3 F7\n1,2\n", "Emotiv", "2 columns; expected 3"),
        ("title:x, sampling rate:128\nEEG.Counter,EEG.AF3\n1,\n", "Emotiv", "1 lines lack a value"),
        ("title:x, sampling:128, labels:COUNTER AF3\n", "Emotiv", "invalid Emotiv file"),
    ],
)
def test_damaged_files_are_refused(tmp_path, text, device, told):
    path = tmp_path / "P01.csv"
    path.write_text(text)
    assert device_of(path).name == device
    with pytest.raises(InputError, match=told) as caught:
        opened(path)
    assert str(path) in str(caught.value)
