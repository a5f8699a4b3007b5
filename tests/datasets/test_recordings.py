"""Reader of own recordings: supported and refused files, and one trial in memory at a time."""

import json
import os
import pickle
import re
import sys

import cv2
import edfio
import mne
import numpy as np
import pandas as pd
import pytest
import scipy.io

from keras_emotion import cli
from keras_emotion.cli.describe import Describe
from keras_emotion.cli.parser import arguments_of, help_text
from keras_emotion.datasets import READERS, SAM40, Recordings
from keras_emotion.datasets.electrodes import biosemi_cap, directions_from, electrode_name, kind_by_name
from keras_emotion.datasets.sam40 import CHANNEL_NAMES, RELAXATION, TASKS
from keras_emotion.evaluation import SubjectKFold
from keras_emotion.pipelines.features import EEGGridFeatures
from keras_emotion.pipelines.raw_signals import RawSignals
from keras_emotion.schema import InputError
from keras_emotion.signals import electrode_directions, grid_positions, resample, standard_name
from keras_emotion.synthetic import write_recordings, write_sam40

RATE = 256
N_TRIALS = 3


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Two subjects, three trials of 6 s, EDF: read-only."""
    return write_recordings(tmp_path_factory.mktemp("edf"), 2, N_TRIALS, trial_seconds=6, baseline_seconds=2)


@pytest.fixture
def copy(root, tmp_path):
    """The same, for tests that damage it: the recordings are links."""
    for name in ("s01.edf", "s02.edf"):
        os.symlink(root / name, tmp_path / name)
    (tmp_path / "trials.csv").write_text((root / "trials.csv").read_text())
    return tmp_path


def write_array(folder, signal, names, rate=128, name="rec.npy", unit="uV", **more):
    np.save(folder / name, signal)
    sidecar = {"sampling_rate_hz": rate, "channel_names": list(names), "unit": unit, "axes": ["channels", "samples"]}
    (folder / name).with_suffix(".json").write_text(json.dumps(sidecar | more))


def write_trials(folder, *rows, columns="subject,trial,file,start_seconds,stop_seconds,valence"):
    (folder / "trials.csv").write_text("\n".join([columns, *rows]) + "\n")


def noise(n_channels=2, seconds=10, rate=128, size=20.0, seed=0):
    return np.random.default_rng(seed).standard_normal((n_channels, round(seconds * rate))) * size


def write_video(path, seconds, rate=10):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), rate, (32, 32))
    for _ in range(round(seconds * rate)):
        writer.write(np.zeros((32, 32, 3), np.uint8))
    writer.release()


def problems_of(folder, **options):
    return [problem["message"] for problem in Recordings(folder, **options).describe()["problems"]]


# --- what is read


def test_trials_are_the_parts_of_the_file(root):
    dataset = Recordings(root)
    assert dataset.subjects == ("s01", "s02")
    assert dataset.synthetic
    assert dataset.options == {"sampling_rate_hz": None}
    table = pd.read_csv(root / "trials.csv")
    table = table[table["subject"] == "s02"].set_index("trial")
    edf = edfio.read_edf(root / "s02.edf")
    trials = list(dataset.trials(["s02"]))
    assert [trial.trial for trial in trials] == [1, 2, 3]
    for trial in trials:
        row, recording = table.loc[trial.trial], trial.recording
        assert (trial.subject, trial.stimulus, trial.presentation) == ("s02", row["stimulus"], row["presentation"])
        assert trial.ratings == {"valence": row["valence"], "arousal": row["arousal"]}
        assert recording.channel_names == (*trial.eeg_channel_names, "EOG left", "GSR")
        assert trial.eeg_channel_names[:2] == ("AF3", "F7")
        assert recording.units == ("uV",) * 15 + ("kOhm",)
        assert (recording.sampling_rate_hz, recording.baseline_seconds, recording.duration_seconds) == (RATE, 2, 6)
        assert recording.source == root / "s02.edf"
        first, last = round((row["start_seconds"] - 2) * RATE), round(row["stop_seconds"] * RATE)
        expected = np.array([signal.data[first:last] for signal in edf.signals])
        np.testing.assert_allclose(recording.signal, expected, rtol=0, atol=1e-6)
    assert dataset.source_files("s01") == (root / "s01.edf", root / "trials.csv")
    assert problems_of(root) == []


def test_persons_who_were_recorded_together_and_a_rating_called_group(tmp_path):
    """`group` often means patients and controls: a rating like another, which defines no groups of subjects."""
    write_array(tmp_path, noise(), ("Fz", "Cz"))
    columns = "subject,trial,file,start_seconds,stop_seconds,valence,group,recorded_together"
    write_trials(
        tmp_path,
        "a,1,rec.npy,0,2,1,patient,",
        "b,1,rec.npy,2,4,1,control,x",
        "c,1,rec.npy,4,6,2,patient,x",
        columns=columns,
    )
    trials = list(Recordings(tmp_path).trials())
    assert [trial.recorded_together for trial in trials] == ["", "x", "x"]
    assert [trial.ratings["group"] for trial in trials] == [0, 1, 0]
    table = pd.concat([trial.window_table(np.zeros(1), 2.0) for trial in trials], ignore_index=True)
    assert SubjectKFold().units(table).tolist() == [0, 1, 1]


def test_fif_is_read_as_edf(root, tmp_path):
    write_recordings(tmp_path, 1, N_TRIALS, trial_seconds=6, baseline_seconds=2, file_format="fif")
    for one, other in zip(Recordings(root).trials(["s01"]), Recordings(tmp_path).trials(), strict=True):
        assert one.eeg.channel_names == other.eeg.channel_names
        # EDF has 16 bits for 2000 microvolt.
        np.testing.assert_allclose(one.eeg.signal, other.eeg.signal, rtol=0, atol=0.02)
        assert other.recording.units[-2:] == ("uV", "uS")
        assert one.ratings == other.ratings


@pytest.mark.parametrize(("rate", "margin"), [(None, 0), (128, 256)])
def test_never_more_than_a_trial_is_read(root, monkeypatch, rate, margin):
    read = []
    get_data = mne.io.BaseRaw.get_data

    def spy(raw, *arguments, **options):
        data = get_data(raw, *arguments, **options)
        read.append(data.shape[1])
        return data

    monkeypatch.setattr(mne.io.BaseRaw, "get_data", spy)
    monkeypatch.setattr(mne.io.BaseRaw, "load_data", lambda *_, **__: pytest.fail("read as a whole"))
    assert len(list(Recordings(root, sampling_rate_hz=rate).trials())) == 6
    assert len(read) == 6
    # Baseline, trial and, if it is resampled, a margin on either side.
    assert max(read) <= 8 * RATE + 2 * margin


def test_reader_travels_to_another_process(root):
    dataset = Recordings(root)
    first = next(dataset.trials())
    again = next(pickle.loads(pickle.dumps(dataset)).trials())
    np.testing.assert_array_equal(first.recording.signal, again.recording.signal)


def test_npy_and_mat_are_read_through_their_sidecars(tmp_path):
    signal = noise(3, 10)
    write_array(tmp_path, signal.astype(np.float32), ["Fz", "Cz", "GSR"], unit=["uV", "mV", "uS"])
    (tmp_path / "in").mkdir()
    scipy.io.savemat(tmp_path / "in" / "rec.mat", {"x": signal.T, "other": 1})
    sidecar = {"sampling_rate_hz": 128, "channel_names": ["Fz", "Cz", "GSR"], "unit": "uV"}
    (tmp_path / "in" / "recordings.json").write_text(
        json.dumps(sidecar | {"axes": ["samples", "channels"], "variable": "x"})
    )
    write_trials(tmp_path, "1,1,rec.npy,2,4.5,1", "1,2,in/rec.mat,0,1,2")
    (tmp_path / "channels.csv").write_text("name,factor\nCz,0.001\n")
    first, second = Recordings(tmp_path).trials()
    scale = np.array([[1.0], [1.0], [1.0]])
    np.testing.assert_allclose(first.recording.signal, signal[:, 256:576] * scale, rtol=1e-6)
    assert first.recording.units == ("uV", "uV", "uS")
    assert first.eeg_channel_names == ("Fz", "Cz")
    np.testing.assert_array_equal(second.recording.signal[[0, 2]], signal[[0, 2], :128])
    for beside in ("rec.fdt", "rec.avi", "rec2.fdt"):
        (tmp_path / beside).write_text("")
    assert Recordings(tmp_path).source_files(1) == (
        tmp_path / "rec.json",
        tmp_path / "rec.npy",
        tmp_path / "in" / "rec.mat",
        tmp_path / "in" / "recordings.json",
        tmp_path / "trials.csv",
        tmp_path / "channels.csv",
    )


def test_words_are_classes_and_numbers_are_ratings(tmp_path):
    write_array(tmp_path, noise(), ["Fz", "Cz"])
    write_trials(
        tmp_path,
        "1,1,rec.npy,0,2,6.5,calm",
        "1,2,rec.npy,2,4,,stress",
        "1,3,rec.npy,4,6,NaN,calm",
        "1,4,rec.npy,6,8,2,",
        columns="subject,trial,file,start_seconds,stop_seconds,valence,state",
    )
    dataset = Recordings(tmp_path)
    assert dataset.class_names == {"state": ("calm", "stress")}
    assert [trial.ratings for trial in dataset.trials()] == [
        {"valence": 6.5, "state": 0},
        {"state": 1},
        {"state": 0},
        {"valence": 2.0},
    ]
    assert problems_of(tmp_path) == [
        "line 3, 4: missing valence; left out if valence is the target",
        "line 5: missing state; left out if state is the target",
    ]
    dataset.check()  # an empty rating does not prevent the use of the others


def test_ids_are_numbers_where_all_are(tmp_path):
    write_array(tmp_path, noise(), ["Fz", "Cz"])
    write_trials(tmp_path, "10,1,rec.npy,0,2,1", "9,1,rec.npy,2,4,1")
    assert Recordings(tmp_path).subjects == (9, 10)
    assert [trial.stimulus for trial in Recordings(tmp_path).trials()] == ["9_1", "10_1"]
    write_trials(tmp_path, "10,1,rec.npy,0,2,1", "09,1,rec.npy,2,4,1")
    assert Recordings(tmp_path).subjects == ("09", "10")


# --- rate


@pytest.mark.parametrize("rate", [128, 100, 512])
def test_resampled_trial_is_part_of_the_resampled_file(root, rate):
    (table,) = (rows for name, rows in pd.read_csv(root / "trials.csv").groupby("subject") if name == "s01")
    whole = np.array([signal.data for signal in edfio.read_edf(root / "s01.edf").signals])
    resampled = resample(whole, RATE, rate)
    for trial, row in zip(Recordings(root, sampling_rate_hz=rate).trials(["s01"]), table.itertuples(), strict=True):
        assert trial.recording.sampling_rate_hz == rate
        assert trial.recording.signal.shape[1] == 8 * rate
        assert (trial.recording.baseline_seconds, trial.recording.duration_seconds) == (2, 6)
        expected = resampled[:, (row.start_seconds - 2) * rate : row.stop_seconds * rate]
        np.testing.assert_allclose(trial.recording.signal[:14], expected[:14], rtol=0, atol=0.02)


def test_nothing_is_folded_back(tmp_path):
    time = np.arange(20 * 512) / 512
    low, high = 30 * np.sin(2 * np.pi * 10 * time), 30 * np.sin(2 * np.pi * 118 * time)  # 118 would become 10 Hz
    write_array(tmp_path, np.stack([low, low + high]), ["Fz", "Cz"], rate=512)
    write_trials(tmp_path, "1,1,rec.npy,5,15,1")
    (trial,) = Recordings(tmp_path, sampling_rate_hz=128).trials()
    # The onset is at exactly a sample: no shift either.
    np.testing.assert_allclose(trial.recording.signal[0], low[5 * 512 : 15 * 512 : 4], atol=0.01)
    np.testing.assert_allclose(trial.recording.signal[1], trial.recording.signal[0], atol=0.01)


@pytest.mark.parametrize("rate", [499.907, 1000.04, 127.93, 220.5, 500.0])
@pytest.mark.parametrize("start", [3.3, 24.0])
def test_odd_rates_keep_baseline_onset_and_length(tmp_path, rate, start):
    """Some rates have a ratio of large integers, so that a whole step may precede the file."""
    time = np.arange(round(40 * rate)) / rate
    wave = 20 * np.sin(2 * np.pi * 7 * time)
    write_array(tmp_path, np.stack([wave, -wave]), ["Fz", "Cz"], rate=rate)
    columns = "subject,trial,file,start_seconds,stop_seconds,baseline_seconds,valence"
    write_trials(tmp_path, f"1,1,rec.npy,{start},{start + 10},3,5", columns=columns)
    (trial,) = Recordings(tmp_path, sampling_rate_hz=128).trials()
    assert trial.recording.baseline_seconds == 3
    assert trial.recording.signal.shape == (2, 13 * 128)
    onset = round(start * rate) / rate
    expected = 20 * np.sin(2 * np.pi * 7 * (onset - 3 + np.arange(13 * 128) / 128))
    error = np.abs(trial.recording.signal[0] - expected)
    assert error[3 * 128 :].max() < 0.02
    # Where the file starts with the baseline, the filter sees an end.
    assert error[64 : 3 * 128].max() < 0.02
    assert error.max() < (10 if start == 3.3 else 0.02)


def test_a_step_of_no_whole_number_of_samples_is_reported(tmp_path):
    write_array(tmp_path, noise(rate=125), ["Fz", "Cz"], rate=125)
    write_trials(tmp_path, "1,1,rec.npy,0,6,1")
    features = EEGGridFeatures(baseline="none")
    with pytest.raises(InputError, match=r"a step of 0.5 s is 62.5 samples at 125 Hz; expected a whole number"):
        features.extract(Recordings(tmp_path).trials())
    arrays, _ = features.extract(Recordings(tmp_path, sampling_rate_hz=128).trials())
    assert arrays["eeg"].shape == (3, 4, 9, 9, 4)


# --- channels


@pytest.mark.parametrize(
    ("name", "electrode"),
    [
        ("EEG Fp1-REF", "Fp1"),
        ("EEG FP1-LE", "Fp1"),
        ("EEG T3-A1", "T7"),
        ("C4-M1", "C4"),
        ("C3-A1A2", "C3"),
        ("Fc5.", "FC5"),
        ("T5", "P7"),
        ("EEG.AF3", "AF3"),
        ("RAW_TP9", "TP9"),
        ("fcz", "FCz"),
        ("POz", "POz"),
        ("M1", "M1"),
        ("Fp1-F3", None),
        ("EXG1", None),
        ("Status", None),
        ("EEG 12", None),
    ],
)
def test_electrode_of_a_name(name, electrode):
    assert electrode_name(name) == electrode


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("EOG left", "eog"),
        ("hEOG", "eog"),
        ("REOG", "eog"),
        ("zEMG", "emg"),
        ("EKG1", "ecg"),
        ("GSR2", "gsr"),
        ("EDA", "gsr"),
        ("Resp chest", "resp"),
        ("Temp", "temperature"),
        ("Plet", "ppg"),
        ("Fp1", None),
        ("TP9", None),
        ("EEG Pz", None),
    ],
)
def test_kind_of_a_name(name, kind):
    assert kind_by_name(name) == kind


def test_biosemi_caps():
    sockets = [f"{letter}{number}" for letter in "AB" for number in range(1, 33)]
    # BioSemi's own lists: the ends of each strand.
    named, _ = biosemi_cap(sockets[:16])
    assert [named[name] for name in ("A1", "A2", "A3", "A8", "A14", "A16")] == ["Fp1", "Fp2", "F4", "Cz", "O1", "O2"]
    named, _ = biosemi_cap([*sockets[:32], "EXG1"])
    assert [named[name] for name in ("A1", "A2", "A31", "A32")] == ["Fp1", "AF3", "Fz", "Cz"]
    named, _ = biosemi_cap(sockets)
    assert [named[name] for name in ("A1", "A32", "B1", "B32")] == ["Fp1", "CPz", "Fpz", "O2"]
    named, directions = biosemi_cap([f"{letter}{number}" for letter in "ABCD" for number in range(1, 33)])
    assert named["D7"] == "D7"
    # A1 of this cap is the vertex, and A19 lies in the middle of the back.
    np.testing.assert_allclose(directions["A1"], electrode_directions(["Cz"])[0], atol=0.1)
    assert grid_positions(["A1", "A23"], directions=np.array([directions["A1"], directions["A23"]])).tolist() == [
        [4, 4],
        [8, 4],
    ]
    assert biosemi_cap(sockets[:17]) is None
    assert biosemi_cap([*sockets[:15], "B1"]) is None
    assert biosemi_cap(["A1", "A2", "Fz"]) is None


def test_coordinates_of_the_file_give_the_cells(tmp_path):
    names = ["Fp1", "F3", "Fz", "C4", "T7", "Pz", "P8", "O1", "Oz", "FC2", "CP5", "AF8"]
    montage = mne.channels.make_standard_montage("biosemi64")  # of another head than our table's
    positions = montage.get_positions()["ch_pos"]
    # The origin is between the ears, below the centre of the head.
    origin = np.array([0, -0.01, -0.05])
    own = mne.channels.make_dig_montage(
        {f"E{i}": positions[name] - origin for i, name in enumerate(names)}, coord_frame="head"
    )
    raw = mne.io.RawArray(noise(12, 10) * 1e-6, mne.create_info([f"E{i}" for i in range(12)], 128, "eeg"))
    raw.set_montage(own).save(tmp_path / "net_raw.fif")
    write_trials(tmp_path, "1,1,net_raw.fif,0,8,1")
    assert problems_of(tmp_path) == []
    (trial,) = Recordings(tmp_path).trials()
    assert trial.eeg.channel_names == tuple(f"E{i}" for i in range(12))
    cells = grid_positions(trial.eeg.channel_names, directions=trial.eeg.electrode_directions)
    np.testing.assert_array_equal(cells, grid_positions(names))
    arrays, _ = EEGGridFeatures(baseline="none").extract([trial])
    rows, columns = grid_positions(names).T
    assert (arrays["eeg"][:, :, rows, columns] != 0).all()
    assert (arrays["eeg"] != 0).any(axis=(0, 1, 4)).sum() == 12
    assert np.isnan(directions_from(np.ones((7, 3)))).all()


def test_two_channels_in_one_cell_are_named(tmp_path, capsys):
    write_array(tmp_path, noise(3), ["P7", "P9", "Iz"])
    write_trials(tmp_path, "1,1,rec.npy,0,8,1")
    with pytest.raises(InputError, match="channels P7 and P9 share row 6, column 0 of the 9x9 grid; leave one out"):
        EEGGridFeatures(baseline="none").extract(Recordings(tmp_path).trials())
    # Systems without a grid can use them: a note rather than a problem.
    assert cli.main(["describe", str(tmp_path), "--dataset", "recordings"]) == 0
    assert "note: rec.npy: for systems with an electrode grid: channels P7 and P9 share" in capsys.readouterr().out
    (tmp_path / "channels.csv").write_text("name,kind\nP9,none\n")
    arrays, _ = EEGGridFeatures(baseline="none").extract(Recordings(tmp_path).trials())
    # Iz has no own cell: it gets that of Oz, the nearest.
    assert [tuple(cell) for cell in np.argwhere(arrays["eeg"][0, 0, ..., 0])] == [(6, 0), (8, 4)]


def test_channel_table(tmp_path):
    write_array(tmp_path, noise(6), ["A1", "X", "EXG1", "EXG2", "Fz", "Skin"])
    write_trials(tmp_path, "1,1,rec.npy,0,8,1")
    assert problems_of(tmp_path) == [
        "channel X, EXG1, EXG2, Skin: not in the 10-5 system and without coordinates; expected an electrode; give "
        "electrode, coordinates or kind (none: leave out) in channels.csv; keras-emotion init-channels writes that "
        "file"
    ]
    (tmp_path / "channels.csv").write_text(
        "name,kind,electrode,factor\nEXG2,ecg,,\nEXG*,none,,10\nX,,t3,\nSkin,gsr,,\n*,,,0.5\n"
    )
    (trial,) = Recordings(tmp_path).trials()
    assert trial.recording.channel_names == ("A1", "T7", "EXG2", "Fz", "Skin")
    assert trial.eeg_channel_names == ("A1", "T7", "Fz")
    ratio = trial.recording.signal / noise(6)[[0, 1, 3, 4, 5], : 8 * 128]
    np.testing.assert_allclose(ratio, np.broadcast_to([[0.5], [0.5], [10], [0.5], [0.5]], ratio.shape))
    assert trial.recording.pick(["T7"]).electrode_directions == pytest.approx(electrode_directions(["T7"]))
    arrays, _ = RawSignals(channels="peripheral", baseline="none").extract([trial])
    assert arrays["bio"].shape == (8, 128, 2)


def test_broken_channel_table(tmp_path):
    write_array(tmp_path, noise(), ["Fz", "Cz"])
    write_trials(tmp_path, "1,1,rec.npy,0,8,1")
    path = tmp_path / "channels.csv"
    path.write_text("name,kind,electrode,factor\nFz,egg,,\n,eeg,,\nCz,,Q9,0\n*,,,many\n")
    with pytest.raises(InputError) as caught:
        Recordings(tmp_path)
    assert [line.removeprefix(f"{path}: ").partition(";")[0] for line in str(caught.value).splitlines()] == [
        "line 2: kind is 'egg'",
        "line 3: name is empty",
        "line 4: electrode is 'Q9'",
        "line 4: factor is '0'",
        "line 5: factor is 'many'",
    ]
    path.write_text("channel,kind\nFz,eeg\n")
    with pytest.raises(InputError, match="found columns channel, kind; expected name, and any of kind, electrode"):
        Recordings(tmp_path)
    path.write_text("name,kind\nFz,none\nCz,none\n")
    assert problems_of(tmp_path) == ["no EEG channel; found Fz, Cz"]
    path.write_text("name,electrode\nFz,Cz\n")
    assert problems_of(tmp_path) == ["channels Fz and Cz are both Cz; expected one; leave one out"]


def test_incomplete_biosemi_cap_is_not_guessed(tmp_path):
    write_array(tmp_path, noise(4), ["A1", "A2", "A3", "B7"])
    write_trials(tmp_path, "1,1,rec.npy,0,8,1")
    (message,) = problems_of(tmp_path)
    assert message.startswith("channel A3, B7: not in the 10-5 system")
    assert "only if all of a cap are present" in message


# --- units


@pytest.mark.parametrize(
    ("unit", "scale", "words", "factor"),
    [
        ("uV", 1e-6, "volts read as microvolts?", "1e+06"),
        ("V", 1, "microvolts read as volts?", "1e-06"),
        ("mV", 1, "microvolts read as millivolts?", "0.001"),
        ("uV", 1e-3, "millivolts read as microvolts?", "1000"),
    ],
)
def test_implausible_units_are_reported_and_not_corrected(tmp_path, unit, scale, words, factor):
    write_array(tmp_path, noise(seconds=20) * scale + 3e4 * scale, ["Fz", "Cz"], unit=unit)
    write_trials(tmp_path, "1,1,rec.npy,0,8,1", "1,2,rec.npy,8,16,1")
    (message,) = problems_of(tmp_path)
    size = 20 * scale * {"uV": 1, "V": 1e6, "mV": 1e3}[unit]
    assert message.startswith("trial 1, 2: EEG has a standard deviation of ")
    assert f"{words} if so, set factor {factor} in channels.csv" in message
    assert float(message.partition("deviation of ")[2].split()[0]) == pytest.approx(size, rel=0.05)
    with pytest.raises(InputError, match=r"expected 0\.5 to 400; "):
        list(Recordings(tmp_path).trials())
    (tmp_path / "channels.csv").write_text(f"name,factor\n*,{factor}\n")
    Recordings(tmp_path).check()
    trial = next(Recordings(tmp_path).trials())
    np.testing.assert_allclose(trial.recording.signal.std(), 20, rtol=0.05)


def test_fif_in_microvolts_is_reported(tmp_path):
    info = mne.create_info(["Fz", "Cz"], 128, "eeg")
    mne.io.RawArray(noise(), info, verbose="ERROR").save(tmp_path / "x_raw.fif", verbose="ERROR")
    write_trials(tmp_path, "1,1,x_raw.fif,0,8,1")
    (message,) = problems_of(tmp_path)
    assert "deviation of 2.01e+07 to 2.01e+07 uV" in message
    assert "microvolts read as volts? if so, set factor 1e-06" in message


# --- what is refused


def test_everything_wrong_is_listed_at_once(copy, capsys):
    (copy / "text.edf").write_text("this is no recording")
    write_video(copy / "short.avi", 3)
    rows = [
        "s01,1,s01.edf,4,10,2,1,a,5.5,4,,",  # line 2
        "s01,2,s01.edf,9,16,0,2,b,5,5,,",  # overlaps line 2
        "s01,2,s01.edf,17,19,0,3,c,5,5,,",  # the id of line 3
        "s01,4,s01.edf,20,2000,0,4,d,5,5,,",  # past the end
        "s01,5,s01.edf,24,22,0,5,e,5,5,,",  # stops before it starts
        "s02,1,text.edf,0,5,0,1,a,5,5,,",
        "s02,2,nowhere.edf,0,5,0,2,b,5,5,,",
        "s02,3,s02.edf,4,10,0,3,c,5,5,short.avi,1",
        "s02,4,s02.edf,eleven,13,0,4,d,5,5,gone.avi,",
        "s02,5,s02.edf,13,14,20,5,e,5,5,,",  # more baseline than there is
        "s02,6.5,s02.edf,14,15,0,6,f,high,,,",
        ",7,s02.edf,15,16,0,7,g,5,5,,2",
    ]
    header = (
        "subject,trial,file,start_seconds,stop_seconds,baseline_seconds,presentation,stimulus,"
        "valence,arousal,video,video_offset_seconds"
    )
    write_trials(copy, *rows, columns=header)
    table = copy / "trials.csv"
    with pytest.raises(InputError) as caught:
        Recordings(copy).check()
    lines = str(caught.value).splitlines()
    duration = edfio.read_edf(copy / "s01.edf").duration
    (unreadable,) = (line for line in lines if line.startswith(f"{copy / 'text.edf'}: cannot be read as .edf ("))
    assert sorted(set(lines) - {unreadable}) == sorted(
        [
            f"{table}: line 12: valence is 'high'; expected a number or an empty cell",
            f"{table}: line 13: subject is empty",
            f"{table}: line 13: video_offset_seconds without a video",
            f"{table}: line 6: stop_seconds 22 is not after start_seconds 24",
            f"{table}: line 3 and 4: duplicate trial 2 of subject s01",
            f"{table}: line 2 and 3: trials overlap in s01.edf: 4 to 10 s and 9 to 16 s",
            f"{table}: line 5: stop_seconds is 2000, but s01.edf ends after {duration:g} s",
            f"{table}: line 8: file nowhere.edf: no such file",
            f"{table}: line 10: start_seconds is 'eleven'; expected a number, 0 or more",
            f"{table}: line 10: video gone.avi: no such file",
            f"{table}: line 11: baseline_seconds is 20, but the recording has 13 s before the trial",
            f"{table}: line 12: trial is '6.5'; expected an integer of 1 or more",
            f"{table}: line 9: video short.avi lasts 3.0 s; expected 7.0 s, offset and trial",
        ]
    )
    assert cli.main(["describe", str(copy), "--dataset", "recordings"]) == 1
    out = capsys.readouterr().out
    assert all(f"problem: {line}" in out for line in lines)
    # No trial of a subject with a fault is yielded before the faults are raised.
    with pytest.raises(InputError, match="line 12: valence is 'high'"):
        next(Recordings(copy).trials(["s01"]))


def test_a_trial_within_another_hides_no_overlap(tmp_path):
    write_array(tmp_path, noise(), ["Fz", "Cz"])
    # In lines 5 and 6, the end of one trial is the start of the next: no overlap.
    rows = ["1,1,rec.npy,0,7,1", "1,2,rec.npy,2,3,1", "1,3,rec.npy,5,6,1", "1,4,rec.npy,7,8,1", "1,5,rec.npy,8,9,1"]
    write_trials(tmp_path, *rows)
    assert problems_of(tmp_path) == [
        "line 2 and 3: trials overlap in rec.npy: 0 to 7 s and 2 to 3 s",
        "line 2 and 4: trials overlap in rec.npy: 0 to 7 s and 5 to 6 s",
    ]


NEEDED = "subject,trial,file,start_seconds,stop_seconds"


@pytest.mark.parametrize(
    ("columns", "rows", "message"),
    [
        (
            "subject,trial,file,valence",
            ["1,1,gone.npy,5"],
            "missing column start_seconds, stop_seconds; found subject, ",
        ),
        (
            "subject;trial;file",
            ["1;1;rec.npy"],
            "missing column subject, trial, file, start_seconds, stop_seconds; found ",
        ),
        (
            f"{NEEDED},dataset",
            ["1,1,rec.npy,0,2,x"],
            "column dataset: expected a different name for each rating; rename it",
        ),
        (f"{NEEDED},a,a", ["1,1,rec.npy,0,2,1,2"], "column a.1: expected a different name"),
        (NEEDED, [], "no trials"),
        (NEEDED, ["1,1,/x/rec.npy,0,2"], "line 2: file is '/x/rec.npy'; expected a path relative to the folder"),
        (NEEDED, ["1,1,rec.npy,nan,2"], "line 2: start_seconds is 'nan'; expected a number"),
        (NEEDED, ["1,1,rec.npy,0,inf"], "line 2: stop_seconds is 'inf'; expected a number"),
        (NEEDED, ["1,1,rec.npy,-1,2"], "line 2: start_seconds is '-1'; expected a number, 0 or more"),
        (NEEDED, ["1,0,rec.npy,0,2"], "line 2: trial is '0'; expected an integer of 1 or more"),
        (f"{NEEDED},x", ["1,1,rec.npy,0,2,inf", "1,2,rec.npy,2,4,1"], "line 2: x is 'inf'; expected a number"),
    ],
)
def test_broken_table(tmp_path, columns, rows, message):
    write_array(tmp_path, noise(), ["Fz", "Cz"])
    write_trials(tmp_path, *rows, columns=columns)
    assert any(problem.startswith(message) for problem in problems_of(tmp_path))
    with pytest.raises(InputError, match=r"trials\.csv: "):
        Recordings(tmp_path).check()
    with pytest.raises(InputError, match=r"trials\.csv: "):
        list(Recordings(tmp_path).trials())


@pytest.mark.parametrize("suffix", [".edf", ".bdf", ".set", ".vhdr", ".fif", ".cnt", ".xyz"])
@pytest.mark.parametrize("content", [b"", b"this is text\n", bytes(range(256)) * 40], ids=["empty", "text", "bytes"])
def test_files_of_no_recording(tmp_path, suffix, content):
    (tmp_path / f"a{suffix}").write_bytes(content)
    write_trials(tmp_path, f"1,1,a{suffix},0,2,1", f"1,2,a{suffix},2,4,1")
    (message,) = problems_of(tmp_path)
    # What begins with a zero byte can be a MATLAB file of version 4, which is checked before it is read.
    is_matlab = suffix == ".set" and content[:1] == b"\0"
    assert message.startswith("damaged or truncated MATLAB file (" if is_matlab else f"cannot be read as {suffix} (")
    assert "object has no attribute" not in message


def test_unreadable_table_and_bad_arguments(tmp_path):
    with pytest.raises(
        InputError, match=r"trials.csv: missing file; .* `keras-emotion init-trials .*` writes an initial one"
    ):
        Recordings(tmp_path)
    (tmp_path / "trials.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"trials\.csv: cannot be read as csv"):
        Recordings(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        Recordings(tmp_path / "nowhere")
    write_trials(tmp_path, "1,1,rec.npy,0,2,1")
    for options in ({"sampling_rate_hz": 0}, {"sampling_rate_hz": float("nan")}, {"file_format": "edf"}):
        (name,) = options
        with pytest.raises(ValueError, match=f"`{name}` is"):
            Recordings(tmp_path, **options)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sampling_rate_hz": "fast"}, "rec.json: sampling_rate_hz: Input should be a valid number"),
        ({"sampling_rate_hz": -1}, "rec.json: sampling_rate_hz: Input should be greater than 0"),
        (
            {"channel_names": ["Fz"]},
            r"rec.npy: found float64 \(2, 1280\); expected numbers of channels by samples, with 1",
        ),
        ({"axes": ["samples", "channels"]}, "expected numbers of samples by channels, with 2 channels"),
        ({"axes": ["channels", "channels"]}, "axes are channels and channels"),
        ({"unit": ["uV"]}, "its sidecar has 1 units; expected 2, one per channel"),
        ({"unit": "parsec"}, "unit of EEG is parsec; expected one of V, mV, uV"),
        ({"Hz": 128}, "rec.json: Hz: Extra inputs are not permitted"),
    ],
)
def test_broken_sidecar(tmp_path, change, message):
    write_array(tmp_path, noise(), ["Fz", "Cz"], **change)
    write_trials(tmp_path, "1,1,rec.npy,0,2,1")
    with pytest.raises(InputError, match=message):
        Recordings(tmp_path).check()


def test_broken_arrays(tmp_path):
    write_trials(tmp_path, "1,1,rec.npy,0,2,1", "1,2,rec.mat,0,2,1")
    (tmp_path / "rec.npy").write_text("text")
    scipy.io.savemat(tmp_path / "rec.mat", {"y": np.zeros((2, 5))})
    messages = problems_of(tmp_path)
    assert [message.partition(";")[0] for message in messages] == ["sidecar missing"] * 2
    sidecar = {"sampling_rate_hz": 128, "channel_names": ["Fz", "Cz"], "unit": "uV", "axes": ["channels", "samples"]}
    (tmp_path / "recordings.json").write_text(json.dumps(sidecar))
    first, second = problems_of(tmp_path)
    assert first.startswith("unreadable (")
    assert second == 'its sidecar has no "variable"; expected the name of its variable'
    (tmp_path / "recordings.json").write_text(json.dumps(sidecar | {"variable": "x"}))
    assert problems_of(tmp_path)[1] == "missing variable `x`, which its sidecar names"
    (tmp_path / "recordings.json").write_text("{")
    assert "recordings.json: cannot be read as JSON" in problems_of(tmp_path)[0]


def test_broken_signals_are_grouped_by_trial(tmp_path):
    signal = noise(3, 20)
    signal[1, 300:400] = np.nan
    signal[2, 1024:] = 7
    write_array(tmp_path, signal, ["Fz", "Cz", "Pz"])
    write_trials(tmp_path, "1,1,rec.npy,0,8,1", "1,2,rec.npy,8,12,1", "1,3,rec.npy,12,20,1")
    assert problems_of(tmp_path) == [
        "trial 1: NaN or infinite values in Cz",
        "trial 2, 3: constant signal in EEG channel Pz",
    ]


# --- videos


def test_videos_and_their_offsets(tmp_path):
    write_array(tmp_path, noise(), ["Fz", "Cz"])
    write_video(tmp_path / "own.avi", 2)
    write_video(tmp_path / "session.avi", 9)
    columns = "subject,trial,file,start_seconds,stop_seconds,video,video_offset_seconds"
    write_trials(
        tmp_path, "1,1,rec.npy,0,2,own.avi,", "1,2,rec.npy,2,4,session.avi,6.5", "1,3,rec.npy,4,6,,", columns=columns
    )
    dataset = Recordings(tmp_path)
    assert [(trial.video, trial.video_offset_seconds) for trial in dataset.trials()] == [
        (tmp_path / "own.avi", None),
        (tmp_path / "session.avi", 6.5),
        (None, None),
    ]
    assert dataset.video_files(1) == (tmp_path / "own.avi", tmp_path / "session.avi")
    assert problems_of(tmp_path) == []
    write_trials(
        tmp_path,
        "1,1,rec.npy,0,3,own.avi,",
        "1,2,rec.npy,3,6,session.avi,6.6",
        "1,3,rec.npy,6,8,rec.json,",
        columns=columns,
    )
    messages = problems_of(tmp_path)
    assert messages[:2] == [
        "line 2: video own.avi lasts 2.0 s; expected 3.0 s, offset and trial",
        "line 3: video session.avi lasts 9.0 s; expected 9.6 s, offset and trial",
    ]
    assert messages[2].startswith("unreadable video (")
    # Reported before a run that would not use its faces; an offset confirms that it is right.
    write_trials(
        tmp_path, "1,1,rec.npy,0,2,session.avi,", "1,2,rec.npy,2,4,session.avi,0", "1,3,rec.npy,4,6,,", columns=columns
    )
    assert problems_of(tmp_path) == [
        "line 2: video session.avi lasts 9.0 s; expected 2.0 s, the duration of the trial; give the time of the "
        "trial's start in the video (video_offset_seconds; 0 for the first frame), or its faces are not used"
    ]


# --- BIDS


def test_bids_tree_needs_mne_bids(tmp_path, monkeypatch):
    (tmp_path / "dataset_description.json").write_text("{}")
    (tmp_path / "sub-1_eeg.edf").write_text("")
    write_trials(tmp_path, "1,1,sub-1_eeg.edf,0,2,1")
    monkeypatch.setitem(sys.modules, "mne_bids", None)
    assert problems_of(tmp_path) == ["cannot read a BIDS tree without mne-bids; install mne-bids"]


def test_bids_tree(root, tmp_path, capsys):
    mne_bids = pytest.importorskip("mne_bids")
    for subject in ("01", "02"):
        raw = mne.io.read_raw(root / f"s{subject}.edf", verbose="ERROR")
        raw.rename_channels({"EEG F7": "odd"})
        raw.set_channel_types({"EOG left": "eog", "GSR": "gsr"}, on_unit_change="ignore")
        place = mne_bids.BIDSPath(subject=subject, task="clips", datatype="eeg", root=tmp_path)
        mne_bids.write_raw_bids(raw, place, format="EDF", allow_preload=True, overwrite=True, verbose="ERROR")
    folder = tmp_path / "sub-01" / "eeg"
    channels = folder / "sub-01_task-clips_channels.tsv"
    # The sidecar overrides the file: a channel that it declares as EOG is EOG.
    channels.write_text(channels.read_text().replace("EEG F3\tEEG", "EEG F3\tEOG"))
    assert cli.main(["init-trials", str(tmp_path)]) == 0
    table = pd.read_csv(tmp_path / "trials.csv")
    assert table["subject"].unique().tolist() == [1, 2]
    assert table["file"][0] == "sub-01/eeg/sub-01_task-clips_eeg.edf"
    assert len(table) == 6
    (tmp_path / "channels.csv").write_text("name,electrode\nodd,F7\n")
    trial = next(Recordings(tmp_path).trials())
    assert trial.recording.channel_names[1] == "F7"
    assert "EEG F3" in trial.recording.channel_names
    assert "F3" not in trial.eeg_channel_names
    sources = [path.relative_to(tmp_path).as_posix() for path in Recordings(tmp_path).source_files("01")]
    assert "sub-01/eeg/sub-01_task-clips_channels.tsv" in sources
    # Files that mne-bids reads from the folders above.
    assert {"participants.tsv", "sub-01/sub-01_scans.tsv"} <= set(sources)
    assert not any(name.startswith("sub-02") for name in sources)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1,1,rec.npy,1,9,5,57", "line 2: more cells than the 6 columns; is it a decimal comma? write a point"),
        ('1,1,rec.npy,1,9,"5,57"', "line 2: valence is '5,57'; expected a number or an empty cell"),
        (f"1,1,{300 * 'x'}.npy,1,9,5", "no such file"),
    ],
)
def test_cells_that_are_none(tmp_path, line, message):
    write_array(tmp_path, noise(), ["Fz", "Cz"])
    write_trials(tmp_path, line)
    with pytest.raises(InputError, match=re.escape(message)):
        Recordings(tmp_path).check()


def test_a_comma_at_the_end_of_a_line_of_channels_moves_no_cell(tmp_path):
    write_array(tmp_path, noise(3), ["Fz", "Cz", "Pz"])
    write_trials(tmp_path, "1,1,rec.npy,1,9,5")
    (tmp_path / "channels.csv").write_text("name,kind\nCz,none,\n\nPz,eog,\n")
    (trial,) = Recordings(tmp_path).trials()
    assert trial.recording.channel_names == ("Fz", "Pz")
    assert trial.eeg_channel_names == ("Fz",)
    (tmp_path / "channels.csv").write_text("name,kind\nCz,none,2\n")
    with pytest.raises(InputError, match=r"channels.csv: line 2: more cells than the 2 columns"):
        Recordings(tmp_path)


def test_sessions_that_are_words_are_all_words(tmp_path):
    write_array(tmp_path, noise(), ["Fz", "Cz"])
    columns = "subject,trial,session,file,start_seconds,stop_seconds,valence"
    write_trials(tmp_path, "1,1,a,rec.npy,1,4,5", "1,2,,rec.npy,5,9,5", columns=columns)
    assert [trial.session for trial in Recordings(tmp_path).trials()] == ["1", "a"]


def test_trials_numbered_anew_in_each_session_are_other_trials(tmp_path):
    """In separate files or in one; trials without a stimulus name have different stimuli."""
    write_array(tmp_path, noise(seed=1), ["Fz", "Cz"], name="one.npy")
    write_array(tmp_path, noise(seed=2), ["Fz", "Cz"], name="two.npy")
    rows = ["1,2,1,two.npy,0,4,5", "1,1,2,one.npy,4,8,3", "1,1,1,one.npy,0,4,2", "1,3,1,two.npy,4,8,6"]
    write_trials(tmp_path, *rows, columns="subject,session,trial,file,start_seconds,stop_seconds,valence")
    assert problems_of(tmp_path) == []
    trials = list(Recordings(tmp_path).trials())
    assert [(trial.session, trial.trial, trial.ratings["valence"]) for trial in trials] == [
        (1, 1, 2),
        (1, 2, 3),
        (2, 1, 5),
        (3, 1, 6),
    ]
    assert len({trial.stimulus for trial in trials}) == 4
    for trial, seed, start in zip(trials, (1, 1, 2, 2), (0, 4, 0, 4), strict=True):
        np.testing.assert_allclose(trial.recording.signal, noise(seed=seed)[:, start * 128 : (start + 4) * 128])
    # Windows are identified by the columns that identify a trial.
    _, windows = EEGGridFeatures(baseline="none").extract(trials)
    assert len(windows.groupby(["dataset", "subject", "session", "trial"])) == 4
    assert not windows.duplicated(["dataset", "subject", "session", "trial", "start_seconds"]).any()


@pytest.mark.parametrize("sessions", [("after", "before"), ("01", "02"), ("1", "2b")])
def test_sessions_may_be_words(tmp_path, sessions):
    write_array(tmp_path, noise(), ["Fz", "Cz"])
    rows = [f"1,{session},1,rec.npy,{start},{start + 4},5" for session, start in zip(sessions, (0, 4), strict=True)]
    write_trials(tmp_path, *rows, columns="subject,session,trial,file,start_seconds,stop_seconds,valence")
    assert problems_of(tmp_path) == []
    assert [(trial.session, trial.trial) for trial in Recordings(tmp_path).trials()] == [(one, 1) for one in sessions]


def test_a_trial_twice_in_a_session_is_refused(tmp_path):
    write_array(tmp_path, noise(), ["Fz", "Cz"])
    rows = ["1,a,1,rec.npy,0,2,5", "1,b,1,rec.npy,2,4,5", "1,b,1,rec.npy,4,6,5"]
    write_trials(tmp_path, *rows, columns="subject,session,trial,file,start_seconds,stop_seconds,valence")
    assert problems_of(tmp_path) == ["line 3 and 4: duplicate trial 1 of subject 1, session b"]


def test_faults_name_the_session_where_there_are_several(tmp_path, capsys):
    signal = noise(3, 20)
    signal[2, 1024:] = 7
    write_array(tmp_path, signal, ["Fz", "Cz", "Pz"])
    rows = ["1,a,1,rec.npy,0,8,1", "1,b,1,rec.npy,8,12,2", "1,b,2,rec.npy,12,20,3"]
    write_trials(tmp_path, *rows, columns="subject,session,trial,file,start_seconds,stop_seconds,valence")
    assert problems_of(tmp_path) == ["session b, trial 1, 2: constant signal in EEG channel Pz"]
    with pytest.raises(InputError, match=r"rec\.npy: session b, trial 1: constant signal in EEG channel Pz"):
        list(Recordings(tmp_path).trials())
    # If trial numbers alone do not identify a trial, the table of trials includes the session.
    assert cli.main(["describe", str(tmp_path)]) == 1
    headings = next(line for line in capsys.readouterr().out.splitlines() if "shown as" in line)
    assert headings.split()[1:6:2] == ["subject", "session", "trial"]


# --- the same as another reader, and real files


def as_recordings(root, out, **reader):
    """Published files of a copy of SAM40, with the table that makes them own recordings."""
    (out / "files").mkdir()
    rows = []
    for trial in SAM40(root, **reader).trials():
        source = trial.recording.source
        if not (out / "files" / source.name).exists():
            os.symlink(source.resolve(), out / "files" / source.name)
        rows.append(
            {
                "subject": trial.subject,
                "trial": trial.trial,
                "file": f"files/{source.name}",
                "start_seconds": 0,
                "stop_seconds": 25,
                "stimulus": trial.stimulus,
                "task": TASKS[int(trial.ratings["task"])],
                "stress": trial.ratings.get("stress"),
            }
        )
    # By trial: classes are numbered by first occurrence in the table.
    pd.DataFrame(rows).sort_values(["trial", "subject"]).to_csv(out / "trials.csv", index=False)
    variable = {"filtered": "Clean_data", "raw": "Data"}[SAM40(root, **reader).file_format]
    sidecar = {"sampling_rate_hz": 128, "channel_names": CHANNEL_NAMES, "unit": "uV", "variable": variable}
    (out / "files" / "recordings.json").write_text(json.dumps(sidecar | {"axes": ["channels", "samples"]}))


def assert_same(sam40, own):
    assert own.subjects == sam40.subjects
    assert own.class_names == sam40.class_names
    n_trials = 0
    for expected, found in zip(sam40.trials(), own.trials(), strict=True):
        np.testing.assert_array_equal(found.recording.signal, expected.recording.signal)
        for field in ("subject", "session", "trial", "presentation", "stimulus", "ratings", "eeg_channel_names"):
            assert getattr(found, field) == getattr(expected, field), field
        for field in ("channel_names", "units", "sampling_rate_hz", "baseline_seconds"):
            assert getattr(found.recording, field) == getattr(expected.recording, field), field
        n_trials += 1
    features = EEGGridFeatures(baseline="none")
    for subject in sam40.subjects:
        expected, table = features.extract(sam40.trials([subject]))
        found, own_table = features.extract(own.trials([subject]))
        np.testing.assert_array_equal(found["eeg"], expected["eeg"])
        pd.testing.assert_frame_equal(own_table.drop(columns="dataset"), table.drop(columns="dataset"))
    return n_trials


def test_sam40_as_recordings_is_sam40(tmp_path):
    root = write_sam40(tmp_path / "sam40", n_subjects=2)
    (tmp_path / "own").mkdir()
    as_recordings(root, tmp_path / "own")
    own = Recordings(tmp_path / "own")
    assert assert_same(SAM40(root), own) == 24
    relaxed = [trial for trial in own.trials([1]) if trial.stimulus.startswith(RELAXATION)]
    assert [list(trial.ratings) for trial in relaxed] == [["task"]] * 3
    (problem,) = own.describe()["problems"]
    assert problem["message"].startswith("line 2, 3, 4, 5, 6, 7: missing stress; left out")


def test_sam40_as_recordings_gives_the_same_table(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    root = write_sam40(tmp_path / "sam40", n_subjects=2)
    (tmp_path / "own").mkdir()
    as_recordings(root, tmp_path / "own")
    tables = []
    for name, dataset in (("sam40", ["--dataset", "sam40"]), ("own", [])):
        words = ["--data-root", name, *dataset, "--target", "task", "--protocol", "window_disjoint", "trial_disjoint"]
        # No grid: a fit for each fold.
        options = ["--preset", "demo", "--workers", "1", "--output", f"run_{name}"]
        options.append("--system.inverse-regularisation-grid")
        assert cli.main(["run", "--model", "logistic_regression", *words, *options]) == 0
        tables.append([pd.read_csv(f"run_{name}/{file}.csv") for file in ("results", "predictions")])
    for expected, found in zip(*tables, strict=True):
        assert len(found) > 20
        # The name of the dataset is another.
        pd.testing.assert_frame_equal(
            found.drop(columns="dataset", errors="ignore"), expected.drop(columns="dataset", errors="ignore")
        )


@pytest.mark.real_data
def test_published_sam40_as_recordings_is_sam40(real_data, tmp_path):
    """Two subjects of the compact archive, converted to the published files, and the four files of the raw set."""
    compact = SAM40(real_data / "sam40", file_format="compact")
    (tmp_path / "sam40").mkdir()
    for trial in compact.trials([1, 23]):
        task, _, repetition = trial.stimulus.rpartition("_")
        name = f"{task}_sub_{trial.subject}_trial{repetition}.mat"
        scipy.io.savemat(tmp_path / "sam40" / name, {"Clean_data": trial.recording.pick(CHANNEL_NAMES).signal})
    os.symlink(real_data / "sam40" / "stress_labels.csv", tmp_path / "sam40" / "stress_labels.csv")
    for name, root, n_trials in (("a", tmp_path / "sam40", 24), ("b", real_data / "sam40", 4)):
        form = {"file_format": "raw"} if name == "b" else {}
        (tmp_path / name).mkdir()
        as_recordings(root, tmp_path / name, **form)
        assert assert_same(SAM40(root, **form), Recordings(tmp_path / name)) == n_trials


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("file", "stop", "n_eeg", "n_others", "left_out", "window_seconds"),
    [
        ("eeglab_data.set", 60, 30, 2, (), 2.0),
        ("eeglab_biosemi16_256hz_60s.bdf", 60, 16, 0, (), 2.0),
        ("eegmmidb_64ch_128hz_124s_T0T1T2.edf", 124, 61, 0, ("T9*", "T10*", "Iz*"), 2.0),
        ("mne_biosemi72_2048hz_1s.bdf", 1, 61, 6, ("P9", "P10", "Iz", "M1", "M2"), 0.5),
    ],
)
def test_real_files(real_data, tmp_path, capsys, file, stop, n_eeg, n_others, left_out, window_seconds):
    folder = real_data / "eeg_files"
    for path in folder.glob(f"{file.partition('.')[0]}.*"):
        os.symlink(path, tmp_path / path.name)
    write_trials(tmp_path, f"1,1,{file},0,{stop},5")
    (tmp_path / "channels.csv").write_text("name,kind\nEXG*,eog\n" + "".join(f"{name},none\n" for name in left_out))
    assert cli.main(["describe", str(tmp_path), "--dataset", "recordings"]) == 0
    assert "the copy is complete" in capsys.readouterr().out
    for rate in (None, 128):
        (trial,) = Recordings(tmp_path, sampling_rate_hz=rate).trials()
        assert (len(trial.eeg_channel_names), len(trial.recording.channel_names)) == (n_eeg, n_eeg + n_others)
        arrays, table = EEGGridFeatures(baseline="none", window_seconds=window_seconds, steps=2).extract([trial])
        assert arrays["eeg"].shape == (stop / window_seconds, 2, 9, 9, 4)
        assert len(table) == len(arrays["eeg"])
        assert np.isfinite(arrays["eeg"]).all()
        assert (arrays["eeg"] != 0).any(axis=(0, 1, 4)).sum() == n_eeg
    # Another reading of the same samples.
    raw = mne.io.read_raw(folder / file, verbose="ERROR")
    (trial,) = Recordings(tmp_path).trials()
    row, name = {16: (15, "O2"), 30: (0, "Fpz"), 61: (3, standard_name(raw.ch_names[3]))}[n_eeg]
    expected = raw.get_data(picks=[row], stop=trial.recording.signal.shape[1])[0] * 1e6
    np.testing.assert_allclose(trial.recording.pick([name]).signal[0], expected, rtol=1e-12)


def test_the_command_line_knows_every_reader(root):
    assert READERS["recordings"] is Recordings
    text = help_text(arguments_of(Describe), "keras-emotion describe", Describe, is_full=True)
    assert f"name of the dataset; recordings are your own: {', '.join(READERS)}" in " ".join(text.split())
    assert READERS["recordings"](root, file_format="table", **Recordings(root).options).subjects == ("s01", "s02")
