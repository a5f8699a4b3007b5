"""Gaps and bad segments of recordings, and that no trial spans a gap."""

import datetime

import edfio
import mne
import numpy as np
import pandas as pd
import pytest

from keras_emotion.datasets import Recordings
from keras_emotion.datasets.electrodes import ChannelTable
from keras_emotion.datasets.interruptions import is_border
from keras_emotion.datasets.recording_files import annotations_of, open_recording
from keras_emotion.datasets.time_axis import BadSpan, Gap, TimeAxis
from keras_emotion.pipelines.extraction import extract_rated
from keras_emotion.pipelines.features import UNUSABLE
from keras_emotion.pipelines.raw_signals import RawSignals
from keras_emotion.schema import InputError
from tests.datasets.written_files import (
    RATE,
    Signal,
    raw_of,
    sine,
    write_brainvision,
    write_edf,
    write_fif,
    write_set,
)

SECONDS = 40
EEG = [sine(name, hz, 50, seconds=SECONDS) for name, hz in (("Fz", 3), ("Cz", 7), ("Pz", 11))]
MARK = "New Segment,,{},1,0,{}"
FIRST = datetime.datetime(2024, 1, 1, 12, tzinfo=datetime.UTC)


def opened(path):
    return open_recording(path, path.parent, ChannelTable(path.parent / "channels.csv"))


def write_trials(folder, file, *rows, columns="subject,trial,file,start_seconds,stop_seconds,valence"):
    lines = [f"1,{place},{file},{row},{place}" for place, row in enumerate(rows, start=1)]
    (folder / "trials.csv").write_text("\n".join([columns, *lines]) + "\n")


def discontinuous(path, jumps, annotations=()):
    """EDF+D: for each `{record: seconds}`, this time is missing before the record (of 1 s)."""
    wide = edfio.EdfAnnotation(0, None, "x" * 40)
    write_edf(
        path, EEG, annotations=[wide, *(edfio.EdfAnnotation(*one) for one in annotations)], data_record_duration=1
    )
    content = bytearray(path.read_bytes())
    header, n_channels = int(content[184:192]), int(content[252:256])
    content[192:236] = b"EDF+D".ljust(44)
    counts = 256 + 216 * n_channels
    samples = [int(content[counts + 8 * place : counts + 8 * place + 8]) for place in range(n_channels)]
    labels = [content[256 + 16 * place : 272 + 16 * place].decode().strip() for place in range(n_channels)]
    place = labels.index("EDF Annotations")
    for record in range(SECONDS):
        start = header + 2 * (sum(samples) * record + sum(samples[:place]))
        old = bytes(content[start : start + 2 * samples[place]])
        _, _, rest = old.partition(b"\0")
        time = record + sum(seconds for first, seconds in jumps.items() if first <= record)
        new = b"+%g\x14\x14\0" % time + rest.rstrip(b"\0") + b"\0"
        content[start : start + len(old)] = new.ljust(len(old), b"\0")
    path.write_bytes(content)
    return path


# --- what a file says


def test_gaps_of_an_edf_are_jumps_of_its_clock(tmp_path):
    recording = opened(discontinuous(tmp_path / "a.edf", {10: 100, 30: 2.5}))
    assert [(gap.sample, gap.jump_seconds, gap.lost_seconds) for gap in recording.gaps] == [
        (10 * RATE, 100, 100),
        (30 * RATE, 2.5, 2.5),
    ]
    assert recording.time_axis.stop_seconds == SECONDS + 102.5
    assert annotations_of(tmp_path / "a.edf", tmp_path)[0][:2] == (0, None)


@pytest.mark.parametrize("again", [FIRST + datetime.timedelta(seconds=10 + 12.5), None])
def test_new_segments_of_brainvision(tmp_path, again):
    dates = [f"{date:%Y%m%d%H%M%S%f}" if date else "" for date in (FIRST, again)]
    marks = [MARK.format(1, dates[0]), "Stimulus,S  1,500,1,0", MARK.format(2001, dates[1])]
    recording = opened(write_brainvision(tmp_path / "a.vhdr", EEG, markers=marks))
    (gap,) = recording.gaps
    assert (gap.sample, gap.jump_seconds, gap.lost_seconds) == (2000, 0, 12.5 if again else None)
    assert recording.time_axis.seconds_of(3000) == 15


@pytest.mark.parametrize(
    ("event", "sample", "lost"),
    [
        # Latencies count from 1; a boundary is between two samples.
        (("boundary", 2000.5, 500.0), 2000, 2.5),
        (("boundary", 2001.0, np.nan), 2000, None),
        (("-99", 2000.5, 500.0), 2000, 2.5),
        # A boundary at the beginning is not a gap within the file.
        (("boundary", 0.5, 500.0), None, None),
        (("square", 2000.5, 500.0), None, None),
    ],
)
def test_boundaries_of_eeglab(tmp_path, event, sample, lost):
    recording = opened(write_set(tmp_path / "a.set", EEG, events=[event, ("rt", 3000.0, 1.0)]))
    expected = [] if sample is None else [(sample, 0, lost)]
    assert [(gap.sample, gap.jump_seconds, gap.lost_seconds) for gap in recording.gaps] == expected


def volts(kinds="eeg", annotations=None, **more):
    raw = raw_of([Signal(one.name, one.values * 1e-6) for one in EEG], kinds, **more)
    if annotations is not None:
        raw.set_annotations(mne.Annotations(*annotations))
    return raw


def test_pauses_bad_stretches_and_joins_of_fif(tmp_path):
    marks = ([3, 5.5, 10, 20, 25], [1.5, 0, 4, 0, 0], ["BAD_move", "bad", "BAD_ACQ_SKIP", "EDGE boundary", "go"])
    raw = volts(annotations=marks, first_samp=1234)
    raw.info["bads"] = ["Cz"]
    recording = opened(write_fif(tmp_path / "a_raw.fif", raw))
    assert [(gap.sample, gap.jump_seconds) for gap in recording.gaps] == [(4000, 0)]
    assert recording.bad_spans == (
        BadSpan(600, 900, "BAD_move"),
        BadSpan(1100, 1101, "bad"),
        BadSpan(2000, 2800, "BAD_ACQ_SKIP", has_signal=False),
    )
    assert recording.bad_channels == ("Cz",)
    assert (25.0, None, "go") in [(round(start, 6), *rest) for start, *rest in annotations_of(recording.path, tmp_path)]


def test_joined_recordings_have_a_gap_where_they_were_joined(tmp_path):
    both = mne.concatenate_raws([volts(), volts()], verbose="ERROR")
    recording = opened(write_fif(tmp_path / "a_raw.fif", both))
    assert [gap.sample for gap in recording.gaps] == [SECONDS * RATE]
    assert recording.bad_spans == ()


@pytest.mark.parametrize(
    "text", ["boundary", "Boundary ", "EDGE boundary", "BAD boundary", "Comment/boundary", "New Segment/"]
)
def test_words_at_which_pieces_were_joined(tmp_path, text):
    assert is_border(tmp_path / "a.fif", text)


@pytest.mark.parametrize("text", ["boundary of a forest", "edges", "-99", "32766", "Stimulus/S  1"])
def test_words_of_stimuli_are_no_borders(tmp_path, text):
    assert not is_border(tmp_path / "a.fif", text)


def test_pieces_of_a_time_axis():
    axis = TimeAxis(10, 100, [Gap(30, 5.0, "a"), Gap(60, 0.0, "b")])
    assert [axis.piece_at(sample) for sample in (0, 29, 30, 59, 60, 99, 100)] == [
        *[(0, 30)] * 2,
        *[(30, 60)] * 2,
        *[(60, 100)] * 3,
    ]
    assert [axis.sample_at(seconds) for seconds in (2.9, 3.5, 8.0, 10.9, 11.0)] == [29, 30, 30, 59, 60]
    # Any number may stand in a table of trials.
    assert axis.sample_at(1e308) > axis.n_samples
    assert axis.sample_at(-1e308) < 0


# --- trials


def messages(folder):
    return [problem["message"] for problem in Recordings(folder).describe()["problems"]]


def test_trials_after_a_gap_are_at_the_time_of_the_clock(tmp_path):
    discontinuous(tmp_path / "a.edf", {10: 100})
    write_trials(tmp_path, "a.edf", "2,6", "112,118", "6,10", "110,112")
    first, second, third, last = Recordings(tmp_path).trials()
    for trial, start, stop in ((first, 2, 6), (second, 12, 18), (third, 6, 10), (last, 10, 12)):
        expected = [one.values[start * RATE : stop * RATE] for one in EEG]
        np.testing.assert_allclose(trial.recording.signal, expected, rtol=0, atol=0.01)


def test_trials_across_gaps_are_refused(tmp_path):
    discontinuous(tmp_path / "a.edf", {10: 100})
    columns = "subject,trial,file,start_seconds,stop_seconds,baseline_seconds,valence"
    rows = ["4,20,0", "50,112,0", "112,114,3", "130,150,0", "114,116,4"]
    write_trials(tmp_path, "a.edf", *rows, columns=columns)
    found = messages(tmp_path)
    assert found[0] == (
        "line 2: the trial lasts from 4 to 20 s, but a.edf was interrupted at 10 s (EDF+D, discontinuous records; 100 "
        "s missing); expected an uninterrupted trial; end or start it there, or remove the row"
    )
    assert found[1].startswith("line 3: the trial lasts from 50 to 112 s")
    assert found[2].startswith("line 4: the trial with its baseline lasts from 109 to 114 s")
    assert found[3] == "line 5: stop_seconds is 150, but a.edf ends after 140 s"
    assert len(found) == 4
    with pytest.raises(InputError, match=r"trials\.csv: line 2: the trial lasts from 4 to 20 s"):
        next(Recordings(tmp_path).trials())


def test_a_trial_in_a_pause_of_the_device_is_refused(tmp_path):
    write_fif(tmp_path / "a_raw.fif", volts(annotations=([10], [4], ["BAD_ACQ_SKIP"])))
    write_trials(tmp_path, "a_raw.fif", "2,8", "8,14", "14,20")
    (message,) = messages(tmp_path)
    assert message.startswith("line 3: the trial lasts from 8 to 14 s, but a_raw.fif was interrupted from 10 to 14 s")


@pytest.mark.parametrize("rate", [128, 100, None])
def test_nothing_beyond_a_gap_reaches_a_trial(tmp_path, rate):
    """A trial before a loud segment equals that of a file that ends there."""
    loud = [Signal(one.name, np.where(np.abs(np.arange(8000) - 4000) < 2000, one.values, 3000.0)) for one in EEG]
    whole, alone = tmp_path / "whole", tmp_path / "alone"
    for folder, signals, shift in ((whole, loud, 0), (alone, loud, 2001)):
        folder.mkdir()
        cut = [Signal(one.name, one.values[shift : 6000 if shift else None]) for one in signals]
        marks = [] if shift else [MARK.format(1, ""), MARK.format(2002, ""), MARK.format(6001, "")]
        write_brainvision(folder / "a.vhdr", cut, markers=marks)
        start, stop = 2001 / RATE, 6000 / RATE
        write_trials(folder, "a.vhdr", f"{start - shift / RATE},{stop - shift / RATE}")
    (one,), (other,) = (list(Recordings(folder, sampling_rate_hz=rate).trials()) for folder in (whole, alone))
    np.testing.assert_allclose(one.recording.signal, other.recording.signal, rtol=0, atol=1e-6)


# --- what the file calls bad


@pytest.fixture
def marked(tmp_path):
    """Three trials of 8 s: 1 s of the first is annotated as bad, and 0.5 s before the second; Cz is marked as bad."""
    raw = volts(annotations=([5.5, 14], [1, 0.5], ["BAD_move", "bad eyes"]))
    raw.info["bads"] = ["Cz"]
    write_fif(tmp_path / "a_raw.fif", raw)
    columns = "subject,trial,file,start_seconds,stop_seconds,baseline_seconds,valence"
    write_trials(tmp_path, "a_raw.fif", "2,10,1", "16,24,3", "26,34,1", columns=columns)
    return tmp_path


def test_bad_channels_are_left_out_and_named(marked):
    trials = list(Recordings(marked).trials())
    assert [trial.recording.channel_names for trial in trials] == [("Fz", "Pz")] * 3
    assert trials[0].eeg_channel_names == ("Fz", "Pz")
    np.testing.assert_allclose(trials[0].recording.signal[1], EEG[2].values[RATE : 10 * RATE], rtol=0, atol=1e-6)
    described = Recordings(marked).describe()
    assert "a_raw.fif: channels marked as bad in the file, left out: Cz" in described["notes"]
    assert (
        "a_raw.fif: segments annotated as bad, whose windows are not used: line 2: 1 s (BAD_move)" in described["notes"]
    )
    assert described["problems"] == []


def test_a_recording_of_bad_channels_alone_is_refused(tmp_path):
    raw = volts()
    raw.info["bads"] = raw.ch_names
    write_fif(tmp_path / "a_raw.fif", raw)
    write_trials(tmp_path, "a_raw.fif", "2,10")
    assert messages(tmp_path) == [
        "line 2: all EEG channels of a_raw.fif are marked as bad; expected a good one; remove the trial"
    ]


@pytest.mark.parametrize("rate", [None, 128])
def test_windows_that_touch_a_bad_stretch_are_unusable(marked, rate):
    first, second, third = Recordings(marked, sampling_rate_hz=rate).trials()
    assert [trial.recording.bad_spans for trial in (first, second, third)] == [
        ((3.5, 4.5, "BAD_move"),),
        ((-2.0, -1.5, "bad eyes"),),
        (),
    ]
    assert first.eeg.bad_spans == first.recording.bad_spans
    part = RawSignals(baseline="none", window_seconds=2.0, sampling_rate_hz=None)
    _, table = extract_rated(part, [first, second, third])
    assert table[UNUSABLE].tolist() == ["", *["bad segment in the file: BAD_move"] * 2, "", *[""] * 8]
    assert table["valence"].tolist() == [*[1] * 4, *[2] * 4, *[3] * 4]
    _, clean = extract_rated(part, [second, third])
    assert UNUSABLE not in clean or (clean[UNUSABLE] == "").all()
    # A bad baseline affects every window from which it is subtracted.
    _, without = extract_rated(RawSignals(sampling_rate_hz=None), [second, third])
    assert without[UNUSABLE].tolist() == [*["bad segment in the file within its baseline: bad eyes"] * 8, *[""] * 8]
    # A feature part whose windows start later than the table.
    _, late = extract_rated(part.changed(lag_seconds=1.0), [first])
    assert late[UNUSABLE].tolist() == ["", "bad segment in the file: BAD_move", ""]


def test_what_another_part_found_unusable_stays(marked):
    (first, *_) = Recordings(marked).trials()

    class Doubting(RawSignals):
        def extract(self, trials):
            arrays, table = super().extract(trials)
            return arrays, table.assign(**{UNUSABLE: ["no", "", "no", ""]})

    _, table = extract_rated(Doubting(baseline="none", window_seconds=2.0, sampling_rate_hz=None), [first])
    assert table[UNUSABLE].tolist() == ["no", "bad segment in the file: BAD_move", "no", ""]
    assert isinstance(table, pd.DataFrame)
