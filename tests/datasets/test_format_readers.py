"""Formats that are read into memory: XDF, g.tec's HDF5, FieldTrip's structures, epochs, MATLAB 7.3."""

import importlib.util
import json
import logging
import sys

import edfio
import h5py
import mne
import numpy as np
import pytest
import scipy.io

from keras_emotion.datasets.electrodes import CHANNEL_FILE, ChannelTable
from keras_emotion.datasets.first_trials import write_first_trials
from keras_emotion.datasets.formats import dispatch, fieldtrip, xdf
from keras_emotion.datasets.matlab import read_variables, variable_shapes
from keras_emotion.datasets.recording_events import is_about_signal, read_events
from keras_emotion.datasets.recording_files import files_of, open_recording
from keras_emotion.datasets.recording_search import find_recordings
from keras_emotion.limits import ENVIRONMENT_VARIABLE
from keras_emotion.schema import InputError

NAMES = ("Fp1", "Fp2", "O1", "O2")
RATE_HZ = 128.0


def ramps(n_channels=4, n_samples=256):
    return 100.0 * np.arange(1, n_channels + 1)[:, np.newaxis] + np.arange(n_samples) / 8


def opened(path, any_names=False):
    return open_recording(path, path.parent, ChannelTable(path.parent / CHANNEL_FILE), any_names)


def annotations(path):
    return [
        (event.start_seconds, event.duration_seconds, event.kind) for event in read_events(path, path.parent).events
    ]


def test_annotations_of_an_edf_in_latin_1_are_read(tmp_path):
    path = tmp_path / "P01.edf"
    signal = edfio.EdfSignal(np.zeros(256), 128, label="Fz", physical_dimension="uV", physical_range=(-100, 100))
    edfio.Edf([signal], annotations=[edfio.EdfAnnotation(0.5, 1, "Augen Xffnen")]).write(path)
    path.write_bytes(path.read_bytes().replace(b"X", "\u00f6".encode("latin-1")))
    assert annotations(path) == [(0.5, 1.0, "Augen \u00f6ffnen")]
    assert "reader warning: annotations are not in UTF-8: read as Latin-1" in opened(path).notes


# --- XDF


def stream(name, kind, values, times, rate_hz=0.0, channels=(), **info):
    """A stream as `pyxdf.load_xdf` gives it: every entry of its description is a list."""
    listed = [{key: [text] for key, text in channel.items()} for channel in channels]
    return {
        "info": {
            "name": [name],
            "type": [kind],
            "nominal_srate": [str(rate_hz)],
            "channel_format": ["string" if isinstance(values, list) else "float32"],
            "desc": [{"channels": [{"channel": listed}]} if listed else None],
            **info,
        },
        "time_series": values,
        "time_stamps": np.asarray(times, dtype=float),
    }


def eeg_stream(name="Amp", n_samples=256, start=50.0, **info):
    channels = [{"label": label, "type": "EEG", "unit": "microvolts"} for label in NAMES]
    times = start + np.arange(n_samples) / RATE_HZ
    return stream(name, "EEG", ramps(n_samples=n_samples).T, times, RATE_HZ, channels, **info)


def texts(*words):
    return [[word] for word in words]


def test_xdf_streams_stand_on_the_samples_of_the_eeg(tmp_path):
    gsr = stream("Shimmer", "GSR", np.arange(20.0)[:, np.newaxis], 50.25 + np.arange(20) / 10, 10.0)
    gsr["info"]["desc"] = [{"channels": [{"channel": [{"label": ["GSR"], "type": ["GSR"], "unit": ["microsiemens"]}]}]}]
    markers = stream("Psychopy", "Markers", texts("before", "clip1", "clip2"), [49.0, 50.5, 51.0])
    found = xdf.signals_of(tmp_path / "a.xdf", [gsr, markers, eeg_stream()])
    assert list(found.names) == [*NAMES, "GSR"]
    assert list(found.kinds) == ["eeg"] * 4 + ["gsr"]
    assert list(found.units) == ["microvolts"] * 4 + ["microsiemens"]
    np.testing.assert_array_equal(found.values[:4], ramps())
    # A ramp of 1 per tenth of a second, from 0.25 s on; before, its first value.
    seconds = np.arange(256) / RATE_HZ
    np.testing.assert_allclose(found.values[4], np.clip((seconds - 0.25) * 10, 0, 19), atol=1e-9)
    assert found.annotations == [(0.5, None, "clip1"), (1.0, None, "clip2")]
    notes = " ".join(found.notes)
    assert "Shimmer (GSR, 10 Hz) is interpolated to the EEG" in notes
    assert "starts 0.2 s after" in notes
    assert "markers before the first or after the last sample of the EEG, left out: 1" in notes


def test_a_faster_stream_of_xdf_is_filtered_before_it_is_brought_to_the_eeg(tmp_path):
    times = 50 + np.arange(2048) / 1024
    # 300 Hz would be 44 Hz at 128 Hz; 5 Hz stays.
    values = np.sin(2 * np.pi * 300 * (times - 50)) + np.sin(2 * np.pi * 5 * (times - 50))
    found = xdf.signals_of(
        tmp_path / "a.xdf", [eeg_stream(), stream("Fast", "ECG", values[:, np.newaxis], times, 1024.0)]
    )
    middle = slice(32, 224)
    np.testing.assert_allclose(found.values[4][middle], np.sin(2 * np.pi * 5 * np.arange(256) / 128)[middle], atol=0.02)


def test_xdf_pauses_are_gaps_and_markers_count_in_samples(tmp_path):
    eeg = eeg_stream(segments=[(0, 127), (128, 255)])
    eeg["time_stamps"][128:] += 9.0
    markers = stream("m", "Markers", texts("a", "in the pause", "b"), [50.5, 55.0, 60.5])
    found = xdf.signals_of(tmp_path / "a.xdf", [eeg, markers])
    starts = {text: start for start, _, text in found.annotations}
    assert starts["EDGE boundary"] == 1.0
    assert (starts["a"], starts["b"]) == (0.5, 1.5)
    assert 127 / 128 <= starts["in the pause"] <= 1.0
    assert not [note for note in found.notes if "declares" in note]


def test_xdf_with_two_persons_names_the_streams(tmp_path):
    found = xdf.signals_of(tmp_path / "a.xdf", [eeg_stream("A"), eeg_stream("B", n_samples=300)])
    assert list(found.names) == [*(f"B:{name}" for name in NAMES), *(f"A:{name}" for name in NAMES)]
    assert found.values.shape == (8, 300)
    assert "2 EEG streams (A, B)" in " ".join(found.notes)


def test_xdf_channels_without_labels_and_positions_of_those_with_them(tmp_path):
    bare = stream("Amp", "EEG", ramps().T, np.arange(256) / RATE_HZ, RATE_HZ)
    found = xdf.signals_of(tmp_path / "a.xdf", [bare])
    assert list(found.names) == ["Amp 1", "Amp 2", "Amp 3", "Amp 4"]
    assert list(found.units) == [None] * 4
    eeg = eeg_stream()
    location = {"X": ["10"], "Y": ["20"], "Z": ["30"], "unit": ["millimeters"]}
    eeg["info"]["desc"][0]["channels"][0]["channel"][1]["location"] = [location]
    found = xdf.signals_of(tmp_path / "a.xdf", [eeg])
    np.testing.assert_allclose(found.positions_m[1], [0.01, 0.02, 0.03])
    assert np.isnan(found.positions_m[[0, 2, 3]]).all()


def test_what_xdf_does_not_hold_is_reported(tmp_path):
    empty = stream("Off", "EEG", np.empty((0, 4)), [], RATE_HZ)
    slow = stream("Eyes", "Gaze", np.ones((3, 1)), [50, 51, 53])
    other = eeg_stream(n_samples=300)
    other["time_stamps"] = 50 + np.arange(300) / 100.0
    notes = " ".join(xdf.signals_of(tmp_path / "a.xdf", [empty, slow, other]).notes)
    assert "stream Off (EEG) is empty" in notes
    assert "stream Eyes (Gaze) has no regular rate" in notes
    assert "declares 128 Hz, but its time stamps give 100 Hz" in notes
    with pytest.raises(InputError, match=r"a.xdf: no EEG stream with samples; found Off \(EEG\)"):
        xdf.signals_of(tmp_path / "a.xdf", [empty])


def test_parts_of_a_file_that_a_reader_skips_are_noted(tmp_path, monkeypatch, capsys):
    def read(path):
        logging.getLogger("pyxdf").error("found likely XDF file corruption, scanning forward")
        sys.stdout.write("reading\n")
        return xdf.signals_of(path, [eeg_stream()])

    monkeypatch.setattr(dispatch, "_WHOLE", {".xdf": read})
    path = tmp_path / "a.xdf"
    path.touch()
    assert "reader warning: found likely XDF file corruption, scanning forward" in opened(path).notes
    assert capsys.readouterr() == ("", "")


# --- packages that are not installed


@pytest.mark.parametrize(
    ("name", "content", "package", "extra"),
    [
        ("a.xdf", b"XDF:", "pyxdf", "xdf"),
        ("a.cnt", b"RIFF", "antio", "formats"),
        ("a.cnt", b"RF64", "antio", "formats"),
        ("a.cdt", b"", "curryreader", "formats"),
        ("a.mff", None, "mffpy", "formats"),
        ("a.set", "hdf5", "pymatreader", "formats"),
    ],
)
def test_a_missing_package_is_named_with_its_extra(tmp_path, monkeypatch, name, content, package, extra):
    path = tmp_path / name
    if content is None:
        path.mkdir()
    elif content == "hdf5":
        h5py.File(path, "w").close()
    else:
        path.write_bytes(content)
    known = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda asked, *more: None if asked == package else known(asked))
    with pytest.raises(InputError) as caught:
        opened(path)
    assert (
        str(caught.value)
        == f"{path}: cannot be read without {package}; install it: pip install 'keras_emotion[{extra}]'"
    )


def test_where_ant_measured_impedances_no_trial_begins(tmp_path):
    assert is_about_signal(tmp_path / "a.cnt", "impedance")
    assert not is_about_signal(tmp_path / "a.cnt", "Impedance check")
    assert not is_about_signal(tmp_path / "a.edf", "impedance")


# --- g.tec


def write_gtec(path, values=None, names=NAMES, rate="256"):
    channels = "".join(
        f"<ChannelProperties><ChannelName>{name}</ChannelName><ChannelType>{kind}</ChannelType>"
        f"<LogicalChannelNumber>{place}</LogicalChannelNumber></ChannelProperties>"
        # Not in order.
        for place, (name, kind) in reversed(list(enumerate(zip(names, ("EEG", "EEG", "EEG", "ECG"), strict=True))))
    )
    task = (
        f"<AcquisitionTaskDescription xmlns='x'><SamplingFrequency>{rate}</SamplingFrequency>"
        f"<ChannelProperties>{channels}</ChannelProperties></AcquisitionTaskDescription>"
    )
    signals = (
        "<ArrayOfAsynchronSignalDescription><AsynchronSignalDescription><Name>Trigger 1</Name><ID>65</ID>"
        "<Description>clip</Description></AsynchronSignalDescription></ArrayOfAsynchronSignalDescription>"
    )
    with h5py.File(path, "w") as file:
        file["RawData/Samples"] = (ramps() if values is None else values).T.astype("float32")
        file.create_dataset("RawData/AcquisitionTaskDescription", data=[task.encode()], dtype=h5py.string_dtype())
        file["AsynchronData/Time"] = np.array([[128], [192], [224]])
        file["AsynchronData/TypeID"] = np.array([[65], [65], [7]])
        file["AsynchronData/Value"] = np.array([[1], [0], [1]])
        file.create_dataset("AsynchronData/AsynchronSignalTypes", data=[signals.encode()], dtype=h5py.string_dtype())


def test_gtec(tmp_path):
    path = tmp_path / "P01.hdf5"
    write_gtec(path, names=("Fp1", "Fp2", "O1", "ECG"))
    recording = opened(path)
    assert recording.sampling_rate_hz == 256
    assert [(one.name, one.kind) for one in recording.channels] == [
        ("Fp1", "eeg"),
        ("Fp2", "eeg"),
        ("O1", "eeg"),
        ("ECG", "ecg"),
    ]
    np.testing.assert_allclose(recording.read(0, 256), ramps(), rtol=1e-6)
    assert annotations(path) == [(0.5, None, "clip"), (0.875, None, "7")]
    h5py.File(tmp_path / "features.h5", "w").close()
    search = find_recordings(tmp_path)
    assert search.recordings == (path,)
    assert search.notes == ("unsupported devices, ignored: features.h5",)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"values": ramps(3)}, r"samples \(256, 3\) for 4 channels at 256 Hz"),
        ({"rate": "0"}, r"at 0 Hz; expected \(samples, channels\) and a sampling frequency"),
        ({"rate": "<"}, "is invalid XML"),
    ],
)
def test_damaged_gtec_is_refused(tmp_path, change, told):
    write_gtec(tmp_path / "P01.hdf5", **change)
    with pytest.raises(InputError, match=told):
        opened(tmp_path / "P01.hdf5")


def test_files_that_declare_too_much_are_refused_before_they_are_read(tmp_path, monkeypatch):
    """Files of some kilobytes that declare 80 GB: HDF5 stores data only when they are written."""
    gtec, matlab = tmp_path / "P01.hdf5", tmp_path / "P02.mat"
    write_gtec(gtec)
    with h5py.File(gtec, "r+") as file:
        del file["RawData/Samples"]
        file.create_dataset("RawData/Samples", (10**9, 10), "float64", chunks=(1024, 10))
    with h5py.File(matlab, "w") as file:
        for name, shape in (("label", (1,)), ("time", (1,)), ("trial", (10**9, 10))):
            file.create_dataset(f"data/{name}", shape, "float64", chunks=True)
    for path, read in ((gtec, opened), (matlab, fieldtrip.read_fieldtrip)):
        assert path.stat().st_size < 50_000
        with pytest.raises(InputError, match=rf"^{path}: .*74.51 GiB.*--limit memory_gib="):
            read(path)
    table = tmp_path / "P03.txt"
    table.write_text("%OpenBCI Raw EXG Data\n%Number of channels = 8\n%Sample Rate = 250 Hz\n" + "0, 1\n" * 300_000)
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, "table_mib=1")
    with pytest.raises(InputError, match=rf"^{table}: .*1.431 MiB.*--limit table_mib="):
        opened(table)


def test_other_hdf5_is_refused(tmp_path):
    h5py.File(tmp_path / "P01.h5", "w").close()
    with pytest.raises(InputError, match=r"P01.h5: not a g.Recorder file"):
        opened(tmp_path / "P01.h5")


# --- FieldTrip


def structure(**changes):
    times = [np.arange(-64, 128) / RATE_HZ, np.arange(256) / RATE_HZ]
    return {
        "label": list(NAMES),
        "fsample": 128,
        "trial": [ramps(n_samples=192), ramps()],
        "time": times,
        "trialinfo": np.array([[11, 0.5], [12, 0.7]]),
        "hdr": {
            "label": ["X", *NAMES],
            "chanunit": ["m", "uV", "uV", "uV", "unknown"],
            "chantype": ["?", "eeg", "eeg", "eog", "unknown"],
        },
        "elec": {"label": ["O1", "Fp1"], "chanpos": np.array([[0.0, -90.0, 10.0], [-30.0, 80.0, 0.0]]), "unit": "mm"},
        **changes,
    }


def test_fieldtrip_trials_follow_each_other(tmp_path):
    found = fieldtrip.signals_of(tmp_path / "a.mat", structure())
    np.testing.assert_array_equal(found.values, np.concatenate([ramps(n_samples=192), ramps()], axis=1))
    # The first begins half a second before its event, the second with it.
    assert found.annotations == [(1.5, None, "EDGE boundary"), (0.5, 1.0, "11"), (1.5, 2.0, "12")]
    assert list(found.kinds) == ["eeg", "eeg", "eog", "eeg"]
    assert list(found.units) == ["uV", "uV", "uV", None]
    np.testing.assert_allclose(found.positions_m[[0, 2]], [[-0.03, 0.08, 0], [0, -0.09, 0.01]])
    assert np.isnan(found.positions_m[[1, 3]]).all()
    # CTF's x is the front, and y the left.
    turned = structure(elec=structure()["elec"] | {"coordsys": "ctf"})
    np.testing.assert_allclose(
        fieldtrip.signals_of(tmp_path / "a.mat", turned).positions_m[0], [-0.08, -0.03, 0], atol=1e-12
    )


def test_fieldtrip_without_what_may_be_missing(tmp_path):
    bare = {key: structure()[key] for key in ("label", "trial", "time")}
    found = fieldtrip.signals_of(tmp_path / "a.mat", bare | {"trial": ramps(), "time": np.arange(256) / RATE_HZ})
    assert found.sampling_rate_hz == pytest.approx(RATE_HZ)
    assert found.annotations == [(0.0, 2.0, "1")]
    assert set(found.kinds) == {"eeg"}
    with pytest.raises(InputError, match="inconsistent trials, times and labels"):
        fieldtrip.signals_of(tmp_path / "a.mat", structure(label=["Fp1"]))
    with pytest.raises(InputError, match="sampling rate of 0 Hz"):
        fieldtrip.signals_of(tmp_path / "a.mat", structure(fsample=0))


@pytest.mark.parametrize("version", ["5", "7.3"])
def test_fieldtrip_is_found_in_a_folder(tmp_path, monkeypatch, version):
    path = tmp_path / "P01.mat"
    if version == "5":
        cells = {key: np.empty((1, 1), object) for key in ("trial", "time")}
        cells["trial"][0, 0], cells["time"][0, 0] = ramps(), np.arange(256) / RATE_HZ
        scipy.io.savemat(path, {"number": 3.0, "data": {"label": np.array(NAMES, object), **cells}})
    else:
        with h5py.File(path, "w") as file:
            for name in ("label", "trial", "time"):
                file[f"data/{name}"] = np.zeros(1)
    np.save(tmp_path / "weights.npy", np.zeros(3))
    scipy.io.savemat(tmp_path / "other.mat", {"x": np.zeros((1, 1)), "y": {"label": 1.0}})
    assert fieldtrip.fieldtrip_variable(path) == "data"
    search = find_recordings(tmp_path)
    assert search.recordings == (path,)
    assert search.notes == ("arrays without a sidecar, ignored: other.mat, weights.npy",)
    read = structure(trial=ramps(), time=np.arange(256) / RATE_HZ)
    monkeypatch.setattr(dispatch, "_WHOLE", {".mat": lambda path: fieldtrip.signals_of(path, read)})
    assert opened(path).n_samples == 256


# --- epochs


def test_epochs_are_one_trial_each(tmp_path):
    info = mne.create_info(list(NAMES), RATE_HZ, "eeg")
    info["bads"] = ["O2"]
    values = np.stack([ramps(n_samples=192) + 1000 * epoch for epoch in range(3)])
    events = np.column_stack([np.arange(3) * 500 + 70, np.zeros(3, int), [1, 2, 1]])
    epochs = mne.EpochsArray(values * 1e-6, info, events, tmin=-0.5, event_id={"calm": 1, "fear": 2}, verbose="ERROR")
    epochs.save(tmp_path / "P01-epo.fif", verbose="ERROR")
    path = tmp_path / "P01-epo.fif"
    recording = opened(path)
    np.testing.assert_allclose(recording.read(0, 3 * 192), np.concatenate(list(values), axis=1), rtol=1e-5)
    assert [gap.sample for gap in recording.gaps] == [192, 384]
    assert recording.bad_channels == ("O2",)
    assert any("3 epochs, one trial each; each starts 0.5 s before its event" in one for one in recording.notes)
    write_first_trials(tmp_path)
    lines = (tmp_path / "trials.csv").read_text().splitlines()
    assert [line.split(",")[1:6] for line in lines[1:]] == [
        ["1", "P01-epo.fif", "0.5", "1.5", "calm"],
        ["2", "P01-epo.fif", "2.0", "3.0", "fear"],
        ["3", "P01-epo.fif", "3.5", "4.5", "calm"],
    ]


def test_epochs_of_eeglab(tmp_path):
    values = np.stack([ramps(n_samples=128) + 1000 * epoch for epoch in range(3)], axis=-1)
    channels = np.zeros(4, dtype=[("labels", "O"), ("type", "O")])
    for place, name in enumerate(NAMES):
        channels[place] = (name, "EEG")
    eeg = {
        "setname": "x",
        "nbchan": 4,
        "trials": 3,
        "pnts": 128,
        "srate": RATE_HZ,
        "xmin": 0.0,
        "xmax": 127 / RATE_HZ,
        "data": values.astype("float32"),
        "chanlocs": channels,
        "chaninfo": {"nosedir": "+X"},
        "ref": "common",
        **{key: [] for key in ("event", "epoch", "icawinv", "icasphere", "icaweights", "icachansind", "urchanlocs")},
    }
    path = tmp_path / "P01.set"
    scipy.io.savemat(path, {"EEG": eeg}, appendmat=False)
    recording = opened(path)
    np.testing.assert_allclose(recording.read(0, 384), np.concatenate([*np.moveaxis(values, -1, 0)], axis=1), rtol=1e-6)
    assert [gap.sample for gap in recording.gaps] == [128, 256]
    assert [mark[:2] for mark in annotations(path) if mark[1]] == [(0.0, 1.0), (1.0, 1.0), (2.0, 1.0)]
    assert files_of(path, tmp_path) == (path,)
    # One sample too many.
    scipy.io.savemat(path, {"EEG": eeg | {"xmax": 1.0}}, appendmat=False)
    with pytest.raises(InputError, match=r"P01.set: unreadable epochs \(bad data shape\); open it in EEG"):
        opened(path)


def test_a_fif_that_is_neither_is_refused_with_the_reason_of_the_first_reader(tmp_path):
    path = tmp_path / "P01_raw.fif"
    mne.create_info(["Fp1"], 100.0, "eeg").save(path, verbose="ERROR")
    with pytest.raises(InputError, match=r"P01_raw.fif: cannot be read as .fif \(No raw data in"):
        opened(path)


# --- MATLAB 7.3


def test_arrays_of_matlab_73(tmp_path):
    path = tmp_path / "P01.mat"
    with h5py.File(path, "w") as file:
        # As MATLAB writes an array of 4 by 256: column-major.
        file["eeg"] = ramps().T
        file["name"] = np.zeros((2, 1), "uint16")
        file.create_group("#refs#")
        file["nothing"] = np.array([0, 4], "uint64")
        file["nothing"].attrs["MATLAB_empty"] = 1
    assert variable_shapes(path)["eeg"] == (4, 256)
    assert read_variables(path, ("nothing", "missing"))["nothing"].shape == (0, 4)
    sidecar = {"sampling_rate_hz": RATE_HZ, "channel_names": NAMES, "unit": "uV", "axes": ["channels", "samples"]}
    (tmp_path / "P01.json").write_text(json.dumps(sidecar | {"variable": "eeg"}))
    np.testing.assert_array_equal(opened(path).read(0, 256), ramps())
    (tmp_path / "P01.json").write_text(json.dumps(sidecar | {"variable": "#refs#"}))
    with pytest.raises(InputError, match="variable `#refs#` is not an array of real numbers; copy the file again"):
        opened(path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(InputError, match="damaged or truncated MATLAB file"):
        opened(path)


# --- which files are recordings, and of which maker


@pytest.mark.parametrize(
    ("name", "content", "beside", "expected"),
    [
        ("a.eeg", b"EEG-1100C V01.00", "", True),
        ("a.eeg", b"\0" * 16, "a.vhdr", False),
        ("a.dat", b"\0", "a.dap", True),
        ("a.DAT", b"\0", "a.DAP", True),
        ("a.dat", b"\0", "a.vhdr", False),
        ("a.data", b"\0", "a.head", True),
        ("a.data", b"\0", "", False),
        ("a.cdt", b"\0", "", True),
    ],
)
def test_files_that_share_an_ending_are_told_apart(tmp_path, name, content, beside, expected):
    (tmp_path / name).write_bytes(content)
    if beside:
        (tmp_path / beside).touch()
    assert dispatch.is_recording(tmp_path / name) == expected
    assert (tmp_path / name in find_recordings(tmp_path).recordings) == expected


@pytest.mark.parametrize("name", ["P01.VHDR", "P01.MFF", "P01.CDT"])
def test_an_ending_that_mne_takes_only_in_lower_case_is_reported(tmp_path, name):
    path = tmp_path / name
    path.touch()
    with pytest.raises(
        InputError,
        match=f"expected it in lower case, as MNE-Python requires; rename it to P01.{name[4:].lower()}",
    ):
        opened(path)


@pytest.mark.parametrize("n_bits", [16, 32, None])
def test_neuroscan_without_a_number_of_bits_is_read_as_what_gives_an_eeg(tmp_path, monkeypatch, n_bits):
    path = tmp_path / "P01.cnt"
    path.write_bytes(b"Version 3.0")
    smooth = np.sin(2 * np.pi * 8 * np.arange(1280) / RATE_HZ)[np.newaxis] * np.full((4, 1), 30e-6)
    # Words of 32 bits read as 16 are low halves and high halves in turn; words of 16 read as 32 are volts.
    jumping = np.random.default_rng(0).standard_normal((4, 1280)) * 30e-6
    wrong = {16: {"int32": smooth * 65536}, 32: {"int16": jumping}, None: {"int16": jumping, "int32": jumping}}[n_bits]

    def read_raw_cnt(path, data_format="auto", **_):
        if data_format == "auto":
            raise RuntimeError("Could not compute it, set data_format manually.")
        info = mne.create_info(list(NAMES), RATE_HZ, "eeg")
        raw = mne.io.RawArray(wrong.get(data_format, smooth), info, verbose="ERROR")
        raw.set_annotations(mne.Annotations(0, 1, data_format))
        return raw

    monkeypatch.setattr(mne.io, "read_raw_cnt", read_raw_cnt)
    if n_bits is None:
        with pytest.raises(InputError, match="bits per sample missing in the header"):
            dispatch.read_raw(path)
    else:
        assert dispatch.read_raw(path).annotations.description.tolist() == [f"int{n_bits}"]
