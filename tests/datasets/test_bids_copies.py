"""Recordings of data sets that are distributed as BIDS trees, on trees in the form of the published ones.

Names, columns, units and what is missing are those of FACED (NEMAR nm000112), DENS (OpenNeuro ds003751) and EmoEEG-MC
(OpenNeuro ds005540) as their repositories list them.
"""

import json

import edfio
import numpy as np
import pandas as pd
import pytest

from keras_emotion.cli import main
from keras_emotion.datasets import Recordings
from keras_emotion.datasets.bids_events import read_event_table
from keras_emotion.datasets.first_trials import Choice, write_first_trials
from keras_emotion.datasets.recording_events import read_events
from keras_emotion.datasets.recording_files import files_of
from keras_emotion.schema import InputError
from keras_emotion.testing import check_reader
from tests.datasets.written_files import Signal, write_edf, write_set

pytest.importorskip("mne_bids")

RATE, SECONDS = 100, 40
FIRST = ("Fp1", "Fz", "Cz", "T3", "T4", "T5", "Pz", "A1", "A2", "Oz")
SECOND = ("Fp1", "Fz", "Cz", "T7", "T8", "P7", "Pz", "Oz", "HEOR", "HEOL")


def signals(names, unit="uV", rate=RATE, size=10.0):
    rng = np.random.default_rng(0)
    return [Signal(name, rng.normal(0, size, rate * SECONDS), unit, rate) for name in names]


def tree(root, name, subjects):
    """Write the tables of a tree, and return the EEG folder of each subject."""
    description = {"Name": name, "BIDSVersion": "1.6.0", "DatasetType": "raw"}
    (root / "dataset_description.json").write_text(json.dumps(description))
    lines = "".join(f"sub-{subject}\t20\tF\n" for subject in subjects)
    (root / "participants.tsv").write_text(f"participant_id\tage\tsex\n{lines}")
    folders = [root / f"sub-{subject}" / "eeg" for subject in subjects]
    for folder in folders:
        folder.mkdir(parents=True)
    return folders


def table(path, rows):
    """Tables of NEMAR begin with a byte order mark."""
    path.write_text("".join("\t".join(map(str, row)) + "\n" for row in rows), encoding="utf-8-sig")


# --- FACED of NEMAR


@pytest.fixture
def nemar(tmp_path):
    """One recording of each batch, and one in microvolts without a unit."""
    subjects = {"001": (FIRST, "uV"), "004": (FIRST, ""), "061": (SECOND, "uV")}
    for folder, (subject, (names, unit)) in zip(tree(tmp_path, "FACED", subjects), subjects.items(), strict=True):
        base = f"sub-{subject}_task-watchingVideoClips_"
        write_edf(folder / f"{base}eeg.bdf", signals(names, unit))
        sidecar = {"TaskName": "watchingVideoClips", "Manufacturer": "Biosemi", "PowerLineFrequency": "n/a"}
        (folder / f"{base}eeg.json").write_text(json.dumps(sidecar | {"SamplingFrequency": float(RATE)}))
        units = "\N{MICRO SIGN}V" if unit else "n/a"
        heading = ("name", "type", "units", "low_cutoff", "high_cutoff", "sampling_frequency", "status")
        rows = [(name, "EEG", units, 0.0, 50.0, float(RATE), "good") for name in names]
        table(folder / f"{base}channels.tsv", [heading, *rows])
        heading = ("onset", "duration", "trial_type", "value", "sample", "emotion_label", "video_index", "Arousal")
        # Several videos of one film have the same text: `The Shining` is video 7 and 8, and `Blue` four of them.
        events = [
            (1.0, 0.0, "Experiment start", 5, 100, "n/a", "n/a", "n/a"),
            (4.0, 5.5, "The Shining", 21, 400, "Fear", 7, 5.31),
            (12.0, 6.0, "The Shining", 21, 1200, "Fear", 8, 5.67),
            (20.0, 5.0, "Blue", 1, 2000, "\\", 13, 0.18),
            (28.0, 7.0, "\N{NO-BREAK SPACE}The Pursuit of Happiness", 25, 2800, "Tenderness", 26, 1.21),
            (38.0, 0.0, "201", 9, 3800, "n/a", "n/a", "n/a"),
        ]
        table(folder / f"{base}events.tsv", [heading, *events])
        scans = folder.parent / f"sub-{subject}_scans.tsv"
        table(scans, [("filename", "acq_time"), (f"eeg/{base}eeg.bdf", "2023-01-01T00:00:00.000000Z")])
    return tmp_path


def test_videos_are_the_stimuli_and_not_the_films(nemar, capsys):
    words = ["init-trials", str(nemar), "--stimulus-column", "video_index", "--rating-columns"]
    assert main([*words, "emotion_label", "Arousal"]) == 0
    assert "12 trials; check subject and trial" in capsys.readouterr().out
    found = pd.read_csv(nemar / "trials.csv", dtype=str, keep_default_na=False)
    own = found[found["subject"] == "061"]
    assert own["stimulus"].tolist() == ["7", "8", "13", "26"]
    assert own["start_seconds"].tolist() == ["4.0", "12.0", "20.0", "28.0"]
    assert own["stop_seconds"].tolist() == ["9.5", "18.0", "25.0", "35.0"]
    assert own["emotion_label"].tolist() == ["Fear", "Fear", "\\", "Tenderness"]
    assert own["Arousal"].tolist() == ["5.31", "5.67", "0.18", "1.21"]


def test_columns_that_are_not_there(nemar):
    with pytest.raises(InputError, match=r"video: no such column in any event table; found onset, .*video_index"):
        write_first_trials(nemar, Choice(stimulus_column="video"))


def test_one_recording_may_have_a_factor_of_its_own(nemar):
    write_first_trials(nemar, Choice(stimulus_column="video_index", rating_columns=("Arousal",)))
    (nemar / "channels.csv").write_text("name,kind,factor\nA[12],misc,\n")
    with pytest.raises(InputError, match=r"sub-004.*microvolts read as volts\?.*column file for some recordings"):
        Recordings(nemar).check()
    (nemar / "channels.csv").write_text("name,kind,factor,file\nA[12],misc,,\n*,,1e-6,sub-004/*\n")
    reader = Recordings(nemar)
    reader.check()
    first = {subject: next(reader.trials([subject])) for subject in reader.subjects}
    # Both spellings of the temporal electrodes are equivalent, and ear and eye channels are not EEG.
    assert set(first["001"].eeg_channel_names) == set(first["061"].eeg_channel_names) == set(SECOND[:8])
    assert all(9 < trial.eeg.signal.std() < 11 for trial in first.values())
    eyes = first["061"].recording.pick(["HEOR", "HEOL"])
    assert eyes.units == ("uV", "uV")
    check_reader(lambda: Recordings(nemar), ("001", "004", "061"), subjects=("004",), skip=("damaged_files",))


# --- DENS: sidecars with another case of the task, and times in samples


@pytest.fixture
def dens(tmp_path):
    """`task-Emotion` in the names of the data, `task-emotion` in those of the tables; no table of channels."""
    (folder,) = tree(tmp_path, "DENS", ("mit003",))
    base = folder / "sub-mit003_task-"
    names = ["Fz", "Cz", "Pz", "ECG"]
    own = [(text, RATE * start + 1, 0) for start, text, _ in MARKS]
    write_set(folder / SET_FILE, signals(names), data_file=SET_FILE.replace(".set", ".fdt"), events=own)
    write_events(folder, RATE)
    sidecar = {"TaskName": "Emotion", "EEGReference": "Cz", "SamplingFrequency": 250, "PowerLineFrequency": 50}
    base.with_name(f"{base.name}emotion_eeg.json").write_text(json.dumps(sidecar))
    return tmp_path


MARKS = (
    *((2, "base", "baseline"), (4, "stm", "neutral_1_1"), (14, "vlnc", "Valence"), (20, "stm", "12_2")),
    (30, "vlnc", "Valence"),
)
SET_FILE = "sub-mit003_task-Emotion_eeg.set"


def write_events(folder, unit, name="sub-mit003_task-emotion_events.tsv"):
    rows = [(unit * start, unit, text, label, "Showing") for start, text, label in MARKS]
    table(folder / name, [("onset", "duration", "trial_type", "label", "description"), *rows])


def test_tables_are_found_whatever_the_case_of_the_task(dens):
    path = dens / "sub-mit003" / "eeg" / SET_FILE
    names = {file.name for file in files_of(path, dens)}
    assert {"sub-mit003_task-emotion_events.tsv", "sub-mit003_task-emotion_eeg.json"} <= names
    found = read_events(path, dens)
    assert [(event.start_seconds, event.duration_seconds, event.kind) for event in found.events] == [
        (start, 1.0, text) for start, text, _ in MARKS
    ]
    notes = " ".join(found.notes)
    assert "whose task differs in case" in notes
    assert "most onsets in seconds are after the end of the recording; read as samples" in notes
    assert "Did not find any events.tsv" not in notes


def test_the_stimuli_of_dens(dens):
    write_first_trials(dens, Choice(annotations=("stm",), seconds=8.0, stimulus_column="label"))
    found = pd.read_csv(dens / "trials.csv")
    assert found["stimulus"].tolist() == ["neutral_1_1", "12_2"]
    assert found[["start_seconds", "stop_seconds"]].to_numpy().tolist() == [[4, 12], [20, 28]]
    found.assign(valence=[8.97, 9.0]).to_csv(dens / "trials.csv", index=False)
    reader = Recordings(dens)
    reader.check()
    trial = next(reader.trials())
    assert (trial.eeg_channel_names, trial.ratings["valence"]) == (("Fz", "Cz", "Pz"), 8.97)


@pytest.mark.parametrize(
    ("unit", "rate_hz", "name"), [(1, RATE, "seconds"), (RATE, RATE, "samples"), (1000, RATE, "milliseconds")]
)
def test_times_are_seconds_unless_they_cannot_be(dens, unit, rate_hz, name):
    write_events(dens / "sub-mit003" / "eeg", unit)
    path = dens / "sub-mit003" / "eeg" / SET_FILE
    found = read_event_table(path, dens, SECONDS, rate_hz)
    assert (found.unit, found.is_found) == (name, False)
    assert [event.start_seconds for event in found.events] == pytest.approx([2, 4, 14, 20, 30])
    assert [event.start_seconds for event in read_events(path, dens).events] == pytest.approx([2, 4, 14, 20, 30])
    # They fit into such a short recording in no unit: times are kept.
    assert read_event_table(path, dens, 0.01, rate_hz).unit == "seconds"


def test_times_are_compared_with_those_of_the_recording_itself(dens):
    write_events(dens / "sub-mit003" / "eeg", 1.1)
    with pytest.raises(InputError, match=r"task-emotion_events.tsv: '\w+' at .* s, read as seconds, but at .* itself"):
        read_events(dens / "sub-mit003" / "eeg" / SET_FILE, dens)


def test_a_table_spelt_alike_goes_before_one_of_another_case(dens):
    folder = dens / "sub-mit003" / "eeg"
    table(folder / "sub-mit003_task-Emotion_events.tsv", [("onset", "duration", "trial_type"), (3, 1, "stm")])
    path = folder / SET_FILE
    found = read_event_table(path, dens, SECONDS, RATE)
    assert (found.path.name, found.is_found) == ("sub-mit003_task-Emotion_events.tsv", True)
    assert [event.start_seconds for event in read_events(path, dens).events] == [3]


def test_a_table_of_events_that_cannot_be_read(dens):
    (dens / "sub-mit003" / "eeg" / "sub-mit003_task-emotion_events.tsv").write_text("onset\tduration\nsoon\t1\n")
    with pytest.raises(InputError, match=r"task-emotion_events.tsv: unreadable event table"):
        read_events(dens / "sub-mit003" / "eeg" / SET_FILE, dens)


# --- EmoEEG-MC: runs, two rates, no tables of events or channels


def test_runs_without_tables(tmp_path):
    first, second = tree(tmp_path, "EmoEEG-MC", ("02", "07"))
    # Event codes differ between subjects: the table in the README of the dataset lists them.
    codes = {"02": ("33", "32"), "07": ("51", "50")}
    for folder, subject, runs, rate in ((first, "02", ("",), 100), (second, "07", ("_run-01", "_run-02"), 200)):
        video, imagery = codes[subject]
        marks = [edfio.EdfAnnotation(4, None, video), edfio.EdfAnnotation(20, None, imagery)]
        for run in runs:
            channels = [*signals(("Fp1", "Fpz", "AF7", "TP10"), rate=rate), *signals(("TRIG1",), "", rate, 0.1)]
            write_edf(folder / f"sub-{subject}_task-emotion{run}_eeg.edf", channels, annotations=marks)
        # The sidecar has 1200 Hz for all subjects.
        sidecar = {"TaskName": "emotion", "SamplingFrequency": 1200, "SoftwareFilters": {"LowPassFilter": {}}}
        (folder / f"sub-{subject}_task-emotion_eeg.json").write_text(json.dumps(sidecar))
        (folder / f"sub-{subject}_task-emotion_recording-GSR_physio.json").write_text("{}")
    derived = tmp_path / "derivatives" / "sub-02" / "ses-vid" / "eeg"
    derived.mkdir(parents=True)
    np.save(derived / "sub-02_ses-vid_task-emotion_reorder.npy", np.zeros(3))
    write_first_trials(tmp_path, Choice(annotations=("33", "51"), seconds=10.0))
    found = pd.read_csv(tmp_path / "trials.csv", dtype={"subject": str})
    assert found[["subject", "trial", "start_seconds"]].to_numpy().tolist() == [
        ["02", 1, 4],
        ["07", 1, 4],
        ["07", 2, 4],
    ]
    assert found["file"].str.extract(r"(run-\d+)")[0].tolist()[1:] == ["run-01", "run-02"]
    found.assign(valence=[1, 2, 3]).to_csv(tmp_path / "trials.csv", index=False)
    with pytest.raises(InputError, match=r"channel TRIG1: not in the 10-5 system .* kind \(none: leave out\)"):
        Recordings(tmp_path).check()
    (tmp_path / "channels.csv").write_text("name,kind\nTRIG*,none\n")
    reader = Recordings(tmp_path, sampling_rate_hz=100.0)
    reader.check()
    assert [trial.recording.signal.shape for trial in reader.trials()] == [(4, 1000)] * 3
    assert {trial.recording.sampling_rate_hz for trial in Recordings(tmp_path).trials()} == {100, 200}
