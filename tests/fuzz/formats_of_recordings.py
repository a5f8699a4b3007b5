"""Recordings of each format that a study may bring, and what lies beside them."""

from __future__ import annotations

import functools
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mne
import numpy as np
import scipy.io

from keras_emotion.datasets.electrodes import CHANNEL_FILE, ChannelTable
from keras_emotion.datasets.recording_events import read_events
from keras_emotion.datasets.recording_files import annotations_of, channels_in, files_of, open_recording
from keras_emotion.schema import InputError
from keras_emotion.synthetic.matlab73 import write_matlab73
from keras_emotion.synthetic.neuroscan_cnt import open_cnt_writer
from tests.datasets import written_files as written
from tests.datasets.test_device_tables import write_emotiv_pro, write_mind_monitor, write_openbci, write_test_bench
from tests.datasets.test_format_readers import write_gtec
from tests.fuzz.formats import Format

NAMES = ("Fp1", "Fp2", "O1", "O2")
RATE_HZ = 128
SECONDS = 4


def read_recording(folder: Path, name: str) -> list[Any]:
    """Open a recording as a study does: header, channels, samples, annotations, and the files that it is read from."""
    path = folder / name
    found: list[Any] = []
    refused: list[InputError] = []

    def given(read: Callable[[], Any]) -> None:
        try:
            found.append(read())
        except InputError as error:
            refused.append(error)

    def opened() -> list[Any]:
        recording = open_recording(path, folder, ChannelTable(folder / CHANNEL_FILE), any_names=True)
        pieces = [
            recording.read(0, min(recording.n_samples, 1000)),
            recording.read(max(0, recording.n_samples - 9), recording.n_samples),
        ]
        return [recording.sampling_rate_hz, recording.n_samples, recording.channels, recording.units, *pieces]

    given(opened)
    given(lambda: read_events(path, folder))
    given(lambda: annotations_of(path, folder))
    given(lambda: channels_in(path, folder))
    given(lambda: sorted(file.name for file in files_of(path, folder)))
    if refused:
        raise refused[0]
    return found


def signals() -> list[written.Signal]:
    """Four channels of 4 s."""
    return [
        written.sine(name, 5 + place, 20, rate=RATE_HZ, seconds=SECONDS, offset=place)
        for place, name in enumerate(NAMES)
    ]


def ramps() -> np.ndarray:
    return np.array([one.values for one in signals()])


def write_array(folder: Path, name: str) -> None:
    written.write_array(folder / name, signals())


def write_fif(folder: Path, name: str) -> None:
    raw = written.raw_of(signals(), "eeg")
    raw.set_annotations(mne.Annotations([1.0], [1.0], ["clip"]))
    written.write_fif(folder / name, raw)


def write_epochs(folder: Path) -> None:
    info = mne.create_info(list(NAMES), RATE_HZ, "eeg")
    events = np.column_stack([np.arange(3) * 500 + 70, np.zeros(3, int), [1, 2, 1]])
    epochs = mne.EpochsArray(
        np.zeros((3, 4, 192)), info, events, tmin=-0.5, event_id={"calm": 1, "fear": 2}, verbose="ERROR"
    )
    epochs.save(folder / "a-epo.fif", verbose="ERROR")


def write_cnt(folder: Path, sample_bytes: int = 2) -> None:
    events = [(64, 1), (256, 2)]
    n_samples = RATE_HZ * SECONDS
    with open_cnt_writer(folder / "a.cnt", NAMES, RATE_HZ, n_samples, events, sample_bytes=sample_bytes) as writer:
        writer.write(ramps())


def write_fieldtrip(folder: Path) -> None:
    cells = {key: np.empty((1, 1), object) for key in ("trial", "time")}
    cells["trial"][0, 0], cells["time"][0, 0] = ramps(), np.arange(RATE_HZ * SECONDS) / RATE_HZ
    data = {"label": np.array(NAMES, object), "fsample": float(RATE_HZ), **cells}
    scipy.io.savemat(folder / "a.mat", {"data": data}, do_compression=True)


def write_matlab_array(folder: Path) -> None:
    write_matlab73(folder / "a.mat", {"x": ramps()})
    sidecar = {"sampling_rate_hz": RATE_HZ, "channel_names": NAMES, "unit": "uV", "axes": ["channels", "samples"]}
    (folder / "a.json").write_text(json.dumps({**sidecar, "variable": "x"}))


def write_xdf(folder: Path) -> None:
    """A stream of EEG and one of markers, in XDF 1.0."""

    def chunk(tag: int, content: bytes) -> bytes:
        return b"\x04" + struct.pack("<IH", len(content) + 2, tag) + content

    def header(number: int, name: str, kind: str, n_channels: int, rate: int, form: str, desc: str = "") -> bytes:
        text = (
            f'<?xml version="1.0"?><info><name>{name}</name><type>{kind}</type><channel_count>{n_channels}'
            f"</channel_count><nominal_srate>{rate}</nominal_srate><channel_format>{form}</channel_format>"
            f"<created_at>50.0</created_at><desc>{desc}</desc></info>"
        )
        return chunk(2, struct.pack("<I", number) + text.encode())

    channels = "".join(
        f"<channel><label>{name}</label><unit>microvolts</unit><type>EEG</type></channel>" for name in NAMES
    )
    content = b"XDF:" + chunk(1, b'<?xml version="1.0"?><info><version>1.0</version></info>')
    content += header(1, "Amp", "EEG", len(NAMES), RATE_HZ, "float32", f"<channels>{channels}</channels>")
    content += header(2, "Psychopy", "Markers", 1, 0, "string")
    values = ramps().T.astype("<f4")
    for start in range(0, len(values), 64):
        samples = b"".join(
            b"\x08" + struct.pack("<d", 50 + (start + row) / RATE_HZ) + sample.tobytes()
            for row, sample in enumerate(values[start : start + 64])
        )
        content += chunk(
            3, struct.pack("<I", 1) + b"\x01" + struct.pack("<B", len(values[start : start + 64])) + samples
        )
    markers = b"".join(
        b"\x08" + struct.pack("<d", seconds) + b"\x01" + struct.pack("<B", len(text)) + text
        for seconds, text in ((51.0, b"clip1"), (52.0, b"clip2"))
    )
    content += chunk(3, struct.pack("<I", 2) + b"\x01\x02" + markers)
    for number in (1, 2):
        content += chunk(4, struct.pack("<Idd", number, 50.5, 0.0))
        content += chunk(6, struct.pack("<I", number) + b"<info><first_timestamp>50</first_timestamp></info>")
    (folder / "a.xdf").write_bytes(content)


def write_bids(folder: Path) -> None:
    """A recording in a BIDS tree, with the tables beside it."""
    place = folder / "sub-01" / "eeg"
    place.mkdir(parents=True)
    (folder / "dataset_description.json").write_text('{"Name": "a", "BIDSVersion": "1.8.0"}')
    (folder / "participants.tsv").write_text("participant_id\tage\nsub-01\t30\n")
    stem = "sub-01_task-watch"
    written.write_edf(place / f"{stem}_eeg.edf", signals())
    description = {
        "TaskName": "watch",
        "SamplingFrequency": RATE_HZ,
        "PowerLineFrequency": 50,
        "EEGReference": "Cz",
        "SoftwareFilters": "n/a",
    }
    (place / f"{stem}_eeg.json").write_text(json.dumps(description))
    rows = "".join(f"{name}\tEEG\tuV\tgood\n" for name in NAMES)
    (place / f"{stem}_channels.tsv").write_text(f"name\ttype\tunits\tstatus\n{rows}")
    (place / f"{stem}_events.tsv").write_text("onset\tduration\ttrial_type\n1.0\t1.0\tclip\n")


def _one(
    name: str, kind: str, write: Callable[[Path], Any], *files: str, file: str = "", packages: tuple[str, ...] = ()
) -> Format:
    read = functools.partial(read_recording, name=file or name)
    return Format(kind, write, read, files or (name,), packages=packages)


FORMATS = (
    _one("a.edf", "EDF", lambda folder: written.write_edf(folder / "a.edf", signals())),
    _one("a.bdf", "BDF", lambda folder: written.write_edf(folder / "a.bdf", signals())),
    _one("a.gdf", "GDF", lambda folder: written.write_gdf(folder / "a.gdf", signals())),
    _one(
        "a.vhdr",
        "BrainVision",
        lambda folder: written.write_brainvision(folder / "a.vhdr", signals(), markers=("Stimulus,S  1,100,1,0",)),
        "a.*",
    ),
    _one("a.set", "EEGLAB", lambda folder: written.write_set(folder / "a.set", signals(), events=[("clip", 100, 0)])),
    _one("a_raw.fif", "FIF", lambda folder: write_fif(folder, "a_raw.fif")),
    _one("a_raw.fif.gz", "FIF, gzip", lambda folder: write_fif(folder, "a_raw.fif.gz")),
    _one("a-epo.fif", "FIF, epochs", write_epochs),
    _one("a.cnt", "Neuroscan CNT", write_cnt),
    _one("a.npy", "NumPy array", lambda folder: write_array(folder, "a.npy"), "a.*"),
    _one("a.mat", "MATLAB array 5", lambda folder: write_array(folder, "a.mat"), "a.*"),
    _one("a.mat", "MATLAB array 7.3", write_matlab_array, "a.*"),
    _one("a.mat", "FieldTrip", write_fieldtrip, packages=("pymatreader",)),
    _one("a.hdf5", "g.tec HDF5", lambda folder: write_gtec(folder / "a.hdf5")),
    _one("a.xdf", "XDF", write_xdf, packages=("pyxdf",)),
    _one("a.csv", "Mind Monitor", lambda folder: write_mind_monitor(folder / "a.csv", event_rows=[(9, "/Marker/1")])),
    _one("a.txt", "OpenBCI", lambda folder: write_openbci(folder / "a.txt", 6)),
    _one("a.csv", "Emotiv TestBench", lambda folder: write_test_bench(folder / "a.csv")),
    _one("a.csv", "EmotivPRO", lambda folder: write_emotiv_pro(folder / "a.csv")),
    _one(
        "BIDS",
        "BIDS",
        write_bids,
        "**/*.*",
        file="sub-01/eeg/sub-01_task-watch_eeg.edf",
        packages=("mne_bids",),
    ),
)
