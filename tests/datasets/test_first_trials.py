"""Initial table of trials, from the annotations of recordings."""

import dataclasses
import json
import os
from pathlib import Path

import edfio
import mne
import numpy as np
import pandas as pd
import pytest

from keras_emotion import cli
from keras_emotion.datasets import Recordings
from keras_emotion.datasets.first_trials import Choice, trials_of, write_first_trials
from keras_emotion.datasets.recording_events import RecordingEvent, RecordingWithEvents
from keras_emotion.datasets.time_axis import BadSpan, Gap, TimeAxis
from keras_emotion.datasets.trial_table import TrialTable
from keras_emotion.schema import InputError
from keras_emotion.synthetic import write_recordings

RATE = 128


def write_fif(path, annotations=(), words=(), first_sample=0, seconds=20):
    path.parent.mkdir(exist_ok=True)
    values = np.zeros((2, seconds * RATE))
    for second, word in words:
        values[-1, second * RATE : second * RATE + 5] = word
    info = mne.create_info(["Fz", "STI 014"], RATE, ["eeg", "stim"])
    raw = mne.io.RawArray(values, info, first_samp=first_sample, verbose="ERROR")
    if annotations:
        raw.set_annotations(mne.Annotations(*zip(*annotations, strict=True)))
    raw.save(path, verbose="ERROR")


def write_array(path, seconds=10):
    np.save(path, np.random.default_rng(0).standard_normal((1, seconds * RATE)) * 20)
    sidecar = {"sampling_rate_hz": RATE, "channel_names": ["Fz"], "unit": "uV", "axes": ["channels", "samples"]}
    path.with_suffix(".json").write_text(json.dumps(sidecar))


def table_of(folder, *options, code=0):
    assert cli.main(["init-trials", str(folder), *options]) == code
    return pd.read_csv(folder / "trials.csv", keep_default_na=False, dtype=str)


def parts_of(table):
    return [[float(row.start_seconds), float(row.stop_seconds), row.stimulus] for row in table.itertuples(index=False)]


def error_of(capsys, *words):
    with pytest.raises(SystemExit) as caught:
        cli.main(["init-trials", *map(str, words)])
    assert caught.value.code == 2
    return capsys.readouterr().err


# --- trials of one recording


def marked(*marks, seconds=100, gaps=()):
    """Annotations of a recording at 100 Hz: `(start, duration, text)`."""
    axis = TimeAxis(100.0, seconds * 100, gaps)
    return RecordingWithEvents(Path("x.edf"), axis, tuple(RecordingEvent(*event) for event in marks), ())


def found(recording, choice=None):
    """`(start, stop, text, how it ends)` of the trials, and `(text, reason)` of the other events."""
    trials, left_out = trials_of(recording, choice or Choice())
    return (
        [(one.start_seconds, one.stop_seconds, one.stimulus, one.how) for one in trials],
        [(event.kind, why) for event, why in sorted(left_out.items(), key=lambda one: one[0].start_seconds)],
    )


def test_marks_with_and_without_a_duration_are_trials():
    """No event is dropped because another has a duration; one within another's duration is, and is counted."""
    recording = marked(
        (1.0, 5.0, "Impedance check"),
        (10.0, None, "clip1"),
        (40.0, 10.0, "clip2"),
        (45.0, None, "answer"),
        (50.0, None, "pause"),
        (70.0, None, "bad jump"),
        (75.0, None, "clip3"),
        (75.0, None, "cue"),
    )
    assert found(recording) == (
        [
            (1.0, 6.0, "Impedance check", "its own duration"),
            (10.0, 40.0, "clip1", "to the next event"),
            (40.0, 50.0, "clip2", "its own duration"),
            (50.0, 75.0, "pause", "to the next event"),
            (75.0, 100.0, "clip3/cue", "to the end of the file"),
        ],
        [("answer", "within another trial"), ("bad jump", "about the signal, not a stimulus")],
    )


def test_durations_that_were_rounded():
    """5 ms too long are rounding; a whole second is not, nor is a second beyond the end of the file."""
    recording = marked((1.0, 4.005, "a"), (5.0, 3.0, "b"), (7.0, 5.0, "c"), (90.0, 10.05, "d"), (91.0, 15.0, "e"))
    assert found(recording) == (
        [
            (1.0, 5.0, "a", "its own duration"),
            (5.0, 8.0, "b", "its own duration"),
            (7.0, 12.0, "c", "its own duration"),
            (90.0, 100.0, "d", "its own duration"),
            (91.0, 100.0, "e", "its own duration, truncated at the end of the file"),
        ],
        [],
    )


def test_chosen_marks_of_a_chosen_length():
    recording = marked((5.0, None, "Stimulus/S  1"), (8.0, None, "Stimulus/S 11"), (60.0, 2.0, "bad clip"))
    assert found(recording, Choice(("S 1", "bad*"), 50.0)) == (
        [
            (5.0, 55.0, "Stimulus/S  1", "50 s"),
            (60.0, 100.0, "bad clip", "50 s, truncated at the end of the file"),
        ],
        [("Stimulus/S 11", "not chosen")],
    )
    assert found(recording, Choice(("S*",)))[0] == [
        (5.0, 8.0, "Stimulus/S  1", "to the next event"),
        (8.0, 100.0, "Stimulus/S 11", "to the end of the file"),
    ]


def test_pairs_of_begin_and_end():
    texts = ["stop", "start a", "x", "stop", "start b", "start c", "stop", "start d"]
    recording = marked(*((10.0 * place, None, text) for place, text in enumerate(texts, start=1)))
    assert found(recording, Choice(begin="start*", end="stop")) == (
        [
            (20.0, 40.0, "start a", "to an end event"),
            (60.0, 70.0, "start c", "to an end event"),
        ],
        [
            ("stop", "end without a start"),
            ("x", "not chosen"),
            ("stop", "end of a trial"),
            ("start b", "no end before the next start"),
            ("stop", "end of a trial"),
            ("start d", "start without an end"),
        ],
    )
    # The same word for both.
    recording = marked(*((second, None, "key") for second in (10.0, 20.0, 30.0, 40.0)))
    trials, _ = found(recording, Choice(begin="key", end="key"))
    assert [trial[:2] for trial in trials] == [(10.0, 20.0), (30.0, 40.0)]


@pytest.mark.parametrize("lost", [0.0, 100.0])
def test_no_trial_goes_over_a_gap(lost):
    """Whether or not the file's clock continues in the gap: 30 s of samples, then 70 s."""
    gap = Gap(3000, lost, "EDF+D")
    recording = marked(
        (5.0, 20.0, "a"),
        (26.0, 10.0 + lost, "over"),
        (50.0 + lost, 10.0, "b"),
        (65.0 + lost, None, "c"),
        gaps=(gap,),
    )
    assert found(recording) == (
        [
            (5.0, 25.0, "a", "its own duration"),
            (50.0 + lost, 60.0 + lost, "b", "its own duration"),
            (65.0 + lost, 100.0 + lost, "c", "to the end of the file"),
        ],
        [("over", "spans a gap in the recording")],
    )
    # One without a duration ends where the recording was interrupted.
    assert found(marked((26.0, None, "a"), (50.0 + lost, None, "b"), gaps=(gap,)))[0] == [
        (26.0, 30.0, "a", "to a gap"),
        (50.0 + lost, 100.0 + lost, "b", "to the end of the file"),
    ]
    assert found(marked(gaps=(gap,))) == ([], [])


def test_a_trial_that_begins_or_ends_while_nothing_was_recorded_is_none():
    gap = Gap(3000, 100.0, "EDF+D")
    marks = [(20.0, 60.0, "ends in it"), (90.0, 50.0, "begins in it")]
    assert found(marked(*marks, gaps=(gap,))) == (
        [],
        [("ends in it", "spans a gap in the recording"), ("begins in it", "spans a gap in the recording")],
    )


def test_pauses_and_bad_stretches():
    """Zeros that stand for a pause are a gap; a segment annotated as bad is in the trial, and reported."""
    spans = (BadSpan(3000, 3500, "BAD_ACQ_SKIP", has_signal=False), BadSpan(6000, 6100, "BAD_blink"))
    marks = [(5.0, 20.0, "a"), (28.0, 4.0, "over"), (29.0, None, "b"), (40.0, None, "c")]
    recording = dataclasses.replace(marked(*marks[:2], marks[3]), bad_spans=spans)
    assert found(recording) == (
        [(5.0, 25.0, "a", "its own duration"), (40.0, 100.0, "c", "to the end of the file")],
        [("over", "spans a gap in the recording")],
    )
    assert found(dataclasses.replace(marked(marks[2]), bad_spans=spans))[0] == [(29.0, 30.0, "b", "to a gap")]


def test_words_of_a_format_for_a_border_are_no_stimuli():
    recording = dataclasses.replace(marked((5.0, None, "32766"), (10.0, None, "769")), path=Path("x.gdf"))
    assert found(recording)[1] == [("32766", "about the signal, not a stimulus")]
    assert [trial[2] for trial in found(marked((5.0, None, "32766")))[0]] == ["32766"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"begin": "a"}, "--begin and --end: expected both, or neither"),
        (
            {"begin": "a", "end": "b", "seconds": 3.0},
            "conflict with --annotations and --seconds; expected one way to select trials; leave out the other",
        ),
        ({"seconds": 3.0}, "--seconds: requires --annotations"),
        ({"annotations": ("a",), "seconds": 0.0}, "--seconds 0: expected a number above 0"),
        ({"annotations": ("a",), "seconds": np.inf}, "--seconds inf: expected a number above 0"),
    ],
)
def test_invalid_choices(options, message):
    with pytest.raises(InputError, match=message):
        Choice(**options)


# --- tables


@pytest.fixture(scope="module")
def sessions(tmp_path_factory):
    """Two subjects in two sessions each, of two trials."""
    folder = tmp_path_factory.mktemp("sessions")
    return write_recordings(folder, 2, 2, trial_seconds=2, baseline_seconds=1, n_sessions=2)


def test_first_table_of_runs_of_the_same_people(sessions, tmp_path, capsys):
    names = [f"s0{subject}_{session}.edf" for subject in (1, 2) for session in (1, 2)]
    for name in names:
        os.symlink(sessions / name, tmp_path / name)
    table = table_of(tmp_path)
    written = pd.read_csv(sessions / "trials.csv", dtype=str).sort_values(["file", "start_seconds"])
    columns = ["subject", "file", "stimulus"]
    assert table[columns].to_numpy().tolist() == written[columns].to_numpy().tolist()
    assert parts_of(table) == parts_of(written)
    assert table["trial"].tolist() == ["1", "2", "3", "4"] * 2
    assert list(table.columns[-2:]) == ["valence", "arousal"]
    assert (table[["valence", "arousal"]] == "").all(axis=None)
    out = capsys.readouterr().out
    assert out.splitlines()[:4] == [f"{name}: 2 trials of 2 s" for name in names]
    assert "note: s01: 2 files read as the same subject: s01_1.edf, s01_2.edf" in out
    assert f"wrote {tmp_path / 'trials.csv'}, 8 trials; fill in valence and arousal" in out
    # It can be read, without ratings; and it is not overwritten.
    (problem, _) = Recordings(tmp_path).describe()["problems"]
    assert problem["message"].startswith("line 2, 3, 4, 5, 6, 7, 8, 9: missing valence; left out if")
    before = (tmp_path / "trials.csv").read_bytes()
    assert "trials.csv: file exists" in error_of(capsys, tmp_path)
    assert (tmp_path / "trials.csv").read_bytes() == before


def test_first_table_with_a_pattern_for_people(sessions, tmp_path):
    for name in ("s01_1.edf", "s01_2.edf"):
        os.symlink(sessions / name, tmp_path / name)
    table = table_of(tmp_path, "--subject-pattern", r"(?P<subject>s\d+)_(?P<session>\d)")
    assert table[["subject", "session", "trial"]].to_numpy().tolist() == [
        ["s01", "1", "1"],
        ["s01", "1", "2"],
        ["s01", "2", "3"],
        ["s01", "2", "4"],
    ]
    assert [(row.session, row.trial) for row in TrialTable.read(tmp_path).rows] == [(1, 1), (1, 2), (2, 3), (2, 4)]


def test_first_table_from_mark_to_mark(tmp_path, capsys):
    marks = [(5.0, 0, "b"), (1.5, 0, "a"), (5.0, 0, "c"), (12.0, 0, "d"), (13.0, 1.0, "BAD_jump")]
    # The device had counted 6 s before the file starts: annotations are still relative to the file.
    write_fif(tmp_path / "x_raw.fif", marks, first_sample=768)
    assert parts_of(table_of(tmp_path)) == [[1.5, 5.0, "a"], [5.0, 12.0, "b/c"], [12.0, 20.0, "d"]]
    out = capsys.readouterr().out
    assert "x_raw.fif: 3 trials of 3.5 to 8 s; 1 of them contain a segment annotated as bad" in out
    assert "note: no options given: every annotation became a trial" in out
    assert f"keras-emotion init-trials {tmp_path} --annotations a b c --seconds 60" in out


def test_first_table_of_triggers_and_of_nothing(tmp_path, capsys):
    write_fif(tmp_path / "a" / "x_raw.fif", words=[(3, 7), (9, 12)], first_sample=640)
    write_fif(tmp_path / "b" / "x_raw.fif")
    write_array(tmp_path / "rec.npy")
    assert table_of(tmp_path).iloc[:, :6].to_numpy().tolist() == [
        ["a_x_raw", "1", "a/x_raw.fif", "3.0", "9.0", "7"],
        ["a_x_raw", "2", "a/x_raw.fif", "9.0", "20.0", "12"],
        ["b_x_raw", "1", "b/x_raw.fif", "0.0", "20.0", "x_raw"],
        ["rec", "1", "rec.npy", "0.0", "10.0", "rec"],
    ]
    out = capsys.readouterr().out
    assert "b/x_raw.fif: no events: one trial, the whole file" in out


def test_every_kind_of_mark_is_listed(tmp_path, capsys):
    write_fif(tmp_path / "a_raw.fif", [(2.0, 2.0, "clip"), (3.0, 0, "[key]"), (8.0, 3.0, "clip")], [(15, 4)])
    write_fif(tmp_path / "b_raw.fif", [(1.0, 0, "clip"), (6.5, 0, "bad")])
    clip, key, word, bad = write_first_trials(tmp_path).kinds
    assert (clip.name, clip.source, clip.n_events, clip.n_files) == ("clip", "annotation", 3, 2)
    assert (clip.durations_seconds, clip.spacings_seconds) == ((2.0, 3.0), (6.0,))
    assert (clip.trials, clip.left_out) == ({"its own duration": 2, "to the end of the file": 1}, {})
    assert (key.name, key.trials, key.left_out) == ("[key]", {}, {"within another trial": 1})
    assert (word.name, word.source, word.trials) == ("4", "trigger word", {"to the end of the file": 1})
    assert (bad.name, bad.left_out) == ("bad", {"about the signal, not a stimulus": 1})
    (tmp_path / "trials.csv").unlink()
    table_of(tmp_path)
    out = capsys.readouterr().out
    assert all(text in out for text in ("2 to 3; 1 without", "[key]", "1 (within another trial)"))


def test_brainvision_marks_of_one_sample_last_to_the_next(tmp_path, capsys):
    header = "Brain Vision Data Exchange {} File Version 1.0\n[Common Infos]\nDataFile=p01.eeg\n"
    (tmp_path / "p01.vhdr").write_text(
        header.format("Header") + "MarkerFile=p01.vmrk\nDataFormat=BINARY\nDataOrientation=MULTIPLEXED\n"
        "NumberOfChannels=1\nSamplingInterval=10000\n[Binary Infos]\nBinaryFormat=INT_16\n[Channel Infos]\n"
        "Ch1=Fz,,0.1,uV\n"
    )
    (tmp_path / "p01.vmrk").write_text(
        header.format("Marker") + "[Marker Infos]\nMk1=New Segment,,1,1,0,20200101120000000000\n"
        "Mk2=Stimulus,S 11,201,1,0\nMk3=Stimulus,S 12,701,1,0\n"
    )
    np.zeros(1000, "<i2").tofile(tmp_path / "p01.eeg")
    assert parts_of(table_of(tmp_path)) == [[2.0, 7.0, "Stimulus/S 11"], [7.0, 10.0, "Stimulus/S 12"]]
    assert (
        "p01.vhdr: 2 trials of 3 to 5 s; events with a duration of one sample, read as no duration: 2"
        in capsys.readouterr().out
    )


def test_annotations_without_signals_are_no_trial(tmp_path, capsys):
    stages = [edfio.EdfAnnotation(0, 30, "Sleep stage W")]
    edfio.Edf([], annotations=stages).write(tmp_path / "hypnogram.edf")
    assert "hypnogram.edf: annotations but no signals; no trials" in error_of(capsys, tmp_path)
    write_array(tmp_path / "rec.npy")
    assert table_of(tmp_path)["file"].tolist() == ["rec.npy"]
    assert "hypnogram.edf: annotations but no signals; no trials" in capsys.readouterr().out


def test_a_choice_that_no_file_has_is_refused(tmp_path, capsys):
    write_fif(tmp_path / "x_raw.fif", [(2.0, 0, "S  1"), (4.0, 0, "S  1"), (5.0, 0, "S  2")])
    assert error_of(capsys, tmp_path, "--annotations", "S  1", "S  9").splitlines() == [
        "error: 'S  9': no such annotation or trigger word in any recording; found 'S  1' (2), 'S  2' (1)"
    ]
    assert "'stop': no such annotation" in error_of(capsys, tmp_path, "--begin", "S  1", "--end", "stop")
    table = table_of(tmp_path, "--annotations", "S  1", "--seconds", "3")
    assert parts_of(table) == [[2.0, 5.0, "S  1"], [4.0, 7.0, "S  1"]]
    out = capsys.readouterr().out
    assert "x_raw.fif: 2 trials of 3 s; 1 of them overlap the previous one" in out
    assert "all trials have the stimulus 'S  1'; empty that column if their stimuli differ" in out


def test_files_that_cannot_be_read_are_named_and_the_others_go_on(tmp_path, capsys):
    write_array(tmp_path / "rec.npy")
    (tmp_path / "a.edf").write_text("text")
    (tmp_path / "sub2").symlink_to(tmp_path / "unplugged")
    assert table_of(tmp_path, code=1)["file"].tolist() == ["rec.npy"]
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert "sub2: broken link" in lines[0]
    assert "a.edf: cannot be read as .edf" in lines[1]
    assert lines[2] == "error: 2 files or folders could not be read and are not in the table"


def test_first_table_of_unusable_folders(tmp_path, capsys):
    assert "no such folder" in error_of(capsys, tmp_path / "nowhere")
    assert "no recordings found; expected .set, .edf" in error_of(capsys, tmp_path)
    (tmp_path / "a.edf").write_text("text")
    (tmp_path / "b.set").write_text("text")
    lines = error_of(capsys, tmp_path).splitlines()
    assert len(lines) == 2
    assert "a.edf: cannot be read as .edf" in lines[0]
    assert "b.set: cannot be read as .set" in lines[1]
    assert not (tmp_path / "trials.csv").exists()


@pytest.mark.parametrize("names", [["NA", "None", "nan"], ["01", "02"], ["1", "2"], ["a,b", 'c"d', "\N{SNOWMAN}"]])
def test_people_of_any_name_are_read_as_they_were_written(tmp_path, names):
    for name in names:
        write_array(tmp_path / f"{name}.npy", seconds=1)
    write_first_trials(tmp_path)
    table = TrialTable.read(tmp_path)
    assert [str(subject) for subject in table.subjects] == sorted(names)
    assert sorted(row.stimulus for row in table.rows) == sorted(names)
    assert [problem.message for problem in table.problems if problem.is_blocking] == []


def test_names_that_a_table_cannot_hold_are_refused(tmp_path):
    write_array(tmp_path / "a.npy")
    for name in (" b.edf", "c\n.edf", os.fsdecode(b"d\xff.edf")):
        (tmp_path / name).write_bytes(b"")
    written = write_first_trials(tmp_path)
    assert written.n_trials == 1
    assert len(written.faults) == 3
    assert all(
        "a table cannot contain this name; expected no blanks at its ends; rename the file" in fault
        for fault in written.faults
    )


@pytest.mark.real_data
def test_first_table_of_real_files(real_data, tmp_path):
    for path in (real_data / "eeg_files").iterdir():
        os.symlink(path, tmp_path / path.name)
    table = table_of(tmp_path)
    assert table["file"].value_counts()["eegmmidb_64ch_128hz_124s_T0T1T2.edf"] == 38
    assert set(table["stimulus"][table["subject"].str.startswith("eegmmidb")]) == {"T0", "T1", "T2"}
    assert (table["stop_seconds"].astype(float) > table["start_seconds"].astype(float)).all()
    (tmp_path / "channels.csv").write_text("name,kind\nEXG*,none\n")
    # Only the ratings are missing.
    assert [problem["message"].partition(": ")[2] for problem in Recordings(tmp_path).describe()["problems"]] == [
        "missing valence; left out if valence is the target",
        "missing arousal; left out if arousal is the target",
    ]
