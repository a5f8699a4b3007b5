"""MAHNOB-HCI reader: content is found by names and triggers, and damaged copies."""

import contextlib
import dataclasses
import json
import math
import shutil
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import edfio
import mne
import numpy as np
import pytest
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_emotion import cli
from keras_emotion.datasets import MAHNOBHCI, READERS
from keras_emotion.datasets.mahnob_hci import clean_eeg
from keras_emotion.datasets.mahnob_hci_session import (
    CHANNEL_NAMES,
    EEG_CHANNEL_NAMES,
    FACTS,
    Session,
    _marks,
    _ratings,
    read_elements,
)
from keras_emotion.pipelines.face_features import duration_and_problem
from keras_emotion.schema import InputError, Trial
from keras_emotion.synthetic import write_mahnob_hci

GENEVA = "Fp1 AF3 F3 F7 FC5 FC1 C3 T7 CP5 CP1 P3 P7 PO3 O1 Oz Pz Fp2 AF4 Fz F4 F8 FC6 FC2 Cz C4 T8 CP6 CP2 P4 P8 PO4 O2"
OTHERS = "EXG1 EXG2 EXG3 EXG4 EXG5 EXG6 EXG7 EXG8 GSR1 GSR2 Erg1 Erg2 Resp Temp"
ELECTRODES = [*GENEVA.split(), "EXG1", "EXG2", "EXG3", "GSR1", "Resp", "Temp"]
LEAD_SECONDS, SECONDS = 3.51, 8
"""An onset at an odd sample: half way between two samples of the target rate."""

ONSET = 899


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Small synthetic copy: read-only."""
    return write_mahnob_hci(
        tmp_path_factory.mktemp("mahnob") / "a copy",
        n_subjects=2,
        n_trials=3,
        lead_seconds=LEAD_SECONDS,
        stimulus_seconds=SECONDS,
        face_videos=True,
        video_frame_rate_hz=2,
        video_size=(64, 48),
    )


@pytest.fixture(scope="module")
def trials(root):
    return list(MAHNOBHCI(root).trials())


@pytest.fixture
def copy(root, tmp_path):
    """Synthetic copy, for tests that damage it."""
    return Path(shutil.copytree(root, tmp_path / "copy"))


def session(root, number):
    return root / "Sessions" / str(number)


def bdf(folder):
    (path,) = folder.glob("*.bdf")
    return path


def edit_xml(folder, edit):
    """Rewrite `session.xml` after applying `edit` to its root."""
    tree = ElementTree.parse(folder / "session.xml")
    edit(tree.getroot())
    tree.write(folder / "session.xml", encoding="utf-8", xml_declaration=True)
    return folder / "session.xml"


def set_fields(**fields):
    """An edit that sets attributes of the root, or removes those that are `None`."""

    def edit(root):
        for name, value in fields.items():
            root.attrib.pop(name, None)
            if value is not None:
                root.set(name, value)

    return edit


def set_track(kind, filename):
    """An edit that sets or (`None`) removes the track of that type."""

    def edit(root):
        (track,) = [track for track in root.findall("track") if track.get("type") == kind]
        root.remove(track) if filename is None else track.set("filename", filename)

    return edit


def write_bdf(path, content, rate_hz=256, seconds=12, marks=(900, 2000), labels=None, units=None, words=0):
    """A recording of the 47 channels: `content` by channel name, noise elsewhere, pulses of 20 samples at `marks`."""
    rng = np.random.default_rng(7)
    n_samples = seconds * rate_hz
    digital_range = (-(2**23), 2**23 - 1)
    signals = []
    for name in [*GENEVA.split(), *OTHERS.split()] if labels is None else labels:
        values = np.asarray(content[name] if name in content else rng.normal(0, 10, n_samples))
        signals.append(
            edfio.BdfSignal.from_digital(
                np.rint(values * 32).astype(np.int32),
                rate_hz,
                label=name,
                physical_dimension=(units or {}).get(name, "uV"),
                # Steps of 1/32, with zero at zero, in the eight characters of the header.
                physical_range=(-200_000, 200_000),
                digital_range=(-6_400_000, 6_400_000),
            )
        )
    status = np.full(n_samples, words, dtype=np.int32)
    for mark in marks:
        status[mark : mark + 20] |= 1
    signals.append(edfio.BdfSignal.from_digital(status, rate_hz, label="Status", digital_range=digital_range))
    edfio.Bdf(signals, data_record_duration=1).write(path)
    with path.open("r+b") as file:
        file.seek(192)
        file.write(b"24BIT")


# --- what is read


def test_facts():
    assert list(FACTS["stimulus_seconds"].values()) == [
        *(58, 76, 58, 53, 104, 96, 96, 42, 71, 85),
        *(34, 87, 70, 116, 89, 113, 89, 98, 89, 87),
    ]
    assert sum(FACTS["stimulus_seconds"].values()) == 1611
    assert tuple(GENEVA.split()) == EEG_CHANNEL_NAMES
    assert CHANNEL_NAMES[32:] == ("ECG1", "ECG2", "ECG3", "GSR", "Respiration", "Temperature")
    assert FACTS["other_bdf_channels"] == OTHERS.split()
    # 47 channels, GSR1 at 40, Resp at 44, Temp at 45, Status at 46.
    order = [*GENEVA.split(), *OTHERS.split(), "Status"]
    assert [order.index(name) for name in ("GSR1", "Resp", "Temp", "Status")] == [40, 44, 45, 46]


def test_trials(root, trials):
    assert [(trial.subject, trial.trial) for trial in trials] == [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2), (2, 3)]
    for trial in trials:
        assert isinstance(trial, Trial)
        folder = session(root, 130 * (trial.subject - 1) + 2 * trial.trial)
        fields = ElementTree.parse(folder / "session.xml").getroot()
        assert folder.name == fields.get("sessionId")
        # Each subject came once; a session of the dataset is one clip.
        assert (trial.dataset, trial.session) == ("mahnob_hci", 1)
        assert f"{trial.stimulus}.avi" == fields.get("mediaFile")
        assert trial.stimulus in FACTS["stimulus_seconds"]
        assert trial.presentation == trial.trial
        assert trial.ratings == {
            "valence": float(fields.get("feltVlnc")),
            "arousal": float(fields.get("feltArsl")),
            "control": float(fields.get("feltCtrl")),
            "predictability": float(fields.get("feltPred")),
            "emotion": float(fields.get("feltEmo")),
        }
        assert trial.recording.source == folder / f"Part_{trial.subject}_S_Trial{trial.trial}_emotion.bdf"
        section = f"C1 trigger _C_Section_{2 * trial.trial}.avi"
        assert trial.video == folder / f"P{trial.subject}-Rec1-2010.01.01.10.00.00_{section}"
        assert trial.recording.channel_names == CHANNEL_NAMES
        assert trial.recording.units == ("uV",) * 35 + ("ohm", "uV", "degC")
        assert trial.recording.sampling_rate_hz == 128
        assert trial.recording.n_baseline_samples == 3 * 128
        assert trial.recording.signal.shape == (38, (3 + SECONDS) * 128)
        assert trial.recording.duration_seconds == SECONDS
        assert trial.eeg.signal.shape == (32, (3 + SECONDS) * 128)
    # The same clips for both, in different orders: otherwise the tests could not distinguish clip and position.
    orders = [[trial.stimulus for trial in trials if trial.subject == subject] for subject in (1, 2)]
    assert sorted(orders[0]) == sorted(orders[1])
    assert orders[0] != orders[1]


def test_amplitudes_and_marks_are_those_of_another_library(root):
    """Signals as edfio reads them, between the events that MNE finds."""
    reader = MAHNOBHCI(root, preprocess="none", sampling_rate_hz=None, baseline_seconds=3.25)
    for trial in reader.trials([2]):
        path = trial.recording.source
        raw = mne.io.read_raw_bdf(path, stim_channel="Status", verbose="ERROR")
        events = mne.find_events(raw, stim_channel="Status", mask=0xFF, mask_type="and", verbose="ERROR")
        onset, end = events[:, 0]
        assert (onset, end - onset) == (ONSET, SECONDS * 256)
        recording = edfio.read_bdf(path)
        expected = np.stack([recording.get_signal(name).data for name in ELECTRODES])
        assert trial.recording.sampling_rate_hz == 256
        assert trial.recording.n_baseline_samples == 832
        np.testing.assert_allclose(trial.recording.signal, expected[:, onset - 832 : end], rtol=1e-9, atol=1e-6)


@pytest.mark.parametrize(("rate_hz", "onset"), [(256, 900), (256, 901), (512, 1803), (500, 1777), (2048, 7001)])
def test_tones_in_a_recording(root, tmp_path, rate_hz, onset):
    """A tone below the new Nyquist frequency stays, in phase with the onset; one above is gone."""
    folder = Path(shutil.copytree(session(root, 2), tmp_path / "Sessions" / "2"))
    since_onset = (np.arange(12 * rate_hz) - onset) / rate_hz
    content = {
        "Fp1": 5000 + 100 * np.sin(2 * np.pi * 10 * since_onset),
        "AF3": 100 * np.sin(2 * np.pi * 66 * since_onset),
        "EXG2": -3000 + 100 * np.sin(2 * np.pi * 100 * since_onset),
        "Temp": 31 + 0 * since_onset,
    }
    units = {"GSR1": "Ohm", "Resp": "", "Temp": "C", "Oz": "mV"}
    write_bdf(bdf(folder), content, rate_hz, marks=(onset, onset + 5 * rate_hz), units=units, words=0x18FF00)
    (trial,) = MAHNOBHCI(tmp_path, preprocess="none").trials()
    recording = trial.recording
    assert recording.sampling_rate_hz == 128
    assert recording.signal.shape == (38, (3 + 5) * 128)
    assert recording.units[32:] == ("uV", "uV", "uV", "ohm", "a.u.", "degC")
    times = np.arange(-3 * 128, 5 * 128) / 128
    found = dict(zip(recording.channel_names, recording.signal, strict=True))
    # A step of the recording is 1/32 microvolt.
    np.testing.assert_allclose(found["Fp1"], 5000 + 100 * np.sin(2 * np.pi * 10 * times), atol=0.06)
    assert np.abs(found["AF3"][64:-64]).max() < 0.06
    np.testing.assert_allclose(found["ECG2"][64:-64], -3000, atol=0.06)
    np.testing.assert_allclose(found["Temperature"], 31, atol=1e-6)
    # MNE converts mV to V too, and the result is in microvolts.
    assert found["Oz"].std() > 2000


def test_what_follows_the_clip_is_left_out(root, tmp_path):
    folder = Path(shutil.copytree(session(root, 2), tmp_path / "Sessions" / "2"))
    late = np.zeros(12 * 256)
    late[2000:] = 5000
    early = np.zeros(12 * 256)
    early[: 900 - 768] = 5000
    write_bdf(bdf(folder), {"Resp": late, "EXG1": early}, marks=(900, 2000))
    (trial,) = MAHNOBHCI(tmp_path, preprocess="none", sampling_rate_hz=None).trials()
    assert trial.recording.signal.shape[1] == 768 + 1100
    assert not trial.recording.pick(["Respiration", "ECG1"]).signal.any()


def test_cleaning(root, trials):
    raw = list(MAHNOBHCI(root, preprocess="none").trials())
    for cleaned, recorded in zip(trials, raw, strict=True):
        np.testing.assert_array_equal(cleaned.recording.signal[32:], recorded.recording.signal[32:])
        eeg = cleaned.eeg.signal
        assert np.abs(eeg.mean(axis=0)).max() < 1e-9
        assert np.abs(eeg.mean(axis=1)).max() < 1
        frequencies, power = scipy.signal.welch(eeg, 128, nperseg=256)
        assert power[:, frequencies < 2].max() < 0.05 * power[:, (frequencies > 6) & (frequencies < 30)].max()
        assert power[:, frequencies > 55].max() < 0.01 * power[:, (frequencies > 6) & (frequencies < 30)].max()
        assert 1 < eeg.std() < 30
        # As recorded, an electrode has an offset of millivolts.
        assert np.abs(recorded.eeg.signal.mean(axis=1)).max() > 1000


def test_clean_eeg_against_scipy():
    signal = np.random.default_rng(1).normal(3000, 10, (5, 4000))
    sections = scipy.signal.butter(4, (4, 45), "bandpass", fs=256, output="sos")
    expected = scipy.signal.sosfiltfilt(sections, signal - signal.mean(axis=0), padlen=27)
    np.testing.assert_allclose(clean_eeg(signal, list("abcde"), 256), expected, atol=1e-8)


def test_independent_components_take_out_blinks():
    """Blinks planted in the frontal channels: what remains of them, and of the other signals."""
    rng = np.random.default_rng(0)
    n_samples = 128 * 40
    mixing = np.eye(32) + 0.3 * rng.standard_normal((32, 32))
    brain = mixing @ rng.laplace(0, 5, (32, n_samples))
    blinks = np.zeros(n_samples)
    blinks[rng.choice(np.arange(200, n_samples - 200), 15, replace=False)] = 1
    blinks = 600 * np.convolve(blinks, scipy.signal.windows.hann(25), "same")
    weights = np.array(
        [{"Fp1": 1, "Fp2": 0.95, "AF3": 0.6, "AF4": 0.6, "F7": 0.3}.get(n, 0) for n in EEG_CHANNEL_NAMES]
    )
    recorded = brain + weights[:, None] * blinks
    plain, clean = (clean_eeg(recorded, EEG_CHANNEL_NAMES, 128, ica=ica, seed=3) for ica in (False, True))
    expected, shape = (
        clean_eeg(brain, EEG_CHANNEL_NAMES, 128),
        clean_eeg(weights[:, None] * blinks, GENEVA.split(), 128),
    )
    is_eye = np.isin(EEG_CHANNEL_NAMES, ("Fp1", "Fp2"))

    def share(signal):
        """Share of the planted blinks in the signal, 1 for all."""
        return (((signal - expected) * shape)[is_eye].sum()) / (shape[is_eye] ** 2).sum()

    assert abs(share(plain) - 1) < 1e-9
    assert abs(share(clean)) < 0.15
    away = EEG_CHANNEL_NAMES.index("Oz")
    assert np.corrcoef(clean[away], expected[away])[0, 1] > 0.9
    assert np.array_equal(clean, clean_eeg(recorded, EEG_CHANNEL_NAMES, 128, ica=True, seed=3))
    with pytest.raises(ValueError, match="expected Fp1 or Fp2 for `ica`"):
        clean_eeg(recorded[1:3], ("AF3", "F3"), 128, ica=True)


def test_reader_passes_independent_components_on(root, monkeypatch):
    calls = []
    monkeypatch.setattr(
        "keras_emotion.datasets.mahnob_hci.clean_eeg", lambda signal, *rest: calls.append(rest[1:]) or signal
    )
    next(MAHNOBHCI(root, ica=True, ica_seed=5).trials())
    assert calls == [(128.0, True, 5)]


def test_files(root):
    reader = MAHNOBHCI(root)
    names = [path.relative_to(root / "Sessions").as_posix() for path in reader.source_files(2)]
    assert names == [
        *("132/session.xml", "132/Part_2_S_Trial1_emotion.bdf"),
        *("134/session.xml", "134/Part_2_S_Trial2_emotion.bdf"),
        *("136/session.xml", "136/Part_2_S_Trial3_emotion.bdf"),
    ]
    assert [path.parent.name for path in reader.video_files(1)] == ["2", "4", "6"]
    assert reader.subjects == (1, 2)
    assert reader.synthetic
    assert READERS["mahnob_hci"] is MAHNOBHCI


def test_nothing_is_read_before_it_is_asked_for(copy):
    bdf(session(copy, 4)).write_bytes(b"broken")
    trials = MAHNOBHCI(copy).trials()
    assert next(trials).video.parent.name == "2"
    with pytest.raises(InputError, match=r"Part_1_S_Trial2_emotion\.bdf: invalid header"):
        next(trials)


# --- sessions


def test_order_of_presentation(copy):
    """By date, time and cut, not by the number in the name, and including the incomplete session."""
    for number, fields in (
        (2, {"date": "2010-01-02", "time": "9:00:00", "cutNr": "9"}),
        (4, {"date": "2010/1/2", "time": "09:00:00.0", "cutNr": "10"}),
        (6, {"date": "2009.12.31", "time": "23:10", "cutNr": "99"}),
    ):
        edit_xml(session(copy, number), set_fields(**fields))
    assert [trial.presentation for trial in MAHNOBHCI(copy).trials([1])] == [2, 3, 1]
    edit_xml(session(copy, 4), set_fields(time="9:00:00", cutNr="8"))
    assert [trial.presentation for trial in MAHNOBHCI(copy).trials([1])] == [3, 2, 1]
    bdf(session(copy, 6)).unlink()
    edit_xml(session(copy, 6), set_track("Physiological", None))
    assert [trial.presentation for trial in MAHNOBHCI(copy).trials([1])] == [3, 2]
    # Day first or month first is ambiguous.
    for date in ("2. January 2010", "2.1.2010", ""):
        edit_xml(session(copy, 2), set_fields(date=date))
        assert [trial.presentation for trial in MAHNOBHCI(copy).trials([1])] == [-1, -1]
    assert [trial.presentation for trial in MAHNOBHCI(copy).trials([2])] == [1, 2, 3]


@pytest.mark.parametrize(
    ("number", "edit", "reason"),
    [
        (1, set_fields(feltVlnc="5", feltArsl="5", isStim="1"), "neutral clip"),
        (2, set_fields(feltVlnc=None, feltArsl=None, feltCtrl=None, feltPred=None, isStim="0"), "neutral clip"),
        (
            2,
            set_fields(feltVlnc="", feltArsl=" ", feltCtrl=None, feltPred=None, experimentType="tagging"),
            "no ratings; experimentType 'tagging'",
        ),
    ],
    ids=["rated, but named neutral", "not rated, no stimulus", "other experiment"],
)
def test_what_is_no_trial(copy, number, edit, reason):
    edit_xml(session(copy, number), edit)
    reader = MAHNOBHCI(copy)
    reader.check()
    assert str(number) not in [trial.video.parent.name for trial in reader.trials()]
    description = reader.describe()
    assert description["problems"] == []
    (entry,) = [entry for entry in description["skipped"] if entry["session"] == number]
    assert entry == {"session": number, "subject": 1, "file": str(session(copy, number)), "reason": reason}


def test_files_are_found_by_pattern_without_tracks(copy):
    for kind in ("Physiological", "Video"):
        edit_xml(session(copy, 4), set_track(kind, None))
    # Of another camera, and of a copy.
    folder = session(copy, 4)
    (folder / "P1-Rec1-2010.01.01.10.00.00_BW1_Section_4.avi").write_bytes(b"")
    (folder / "Part_1_S_Trial2_emotion (1).bdf").write_bytes(b"")
    _, trial, _ = MAHNOBHCI(copy).trials([1])
    assert trial.recording.source.name == "Part_1_S_Trial2_emotion.bdf"
    assert trial.video.name == "P1-Rec1-2010.01.01.10.00.00_C1 trigger _C_Section_4.avi"
    MAHNOBHCI(copy).check()


def test_tracks_name_the_files(copy):
    """Any video name, with Windows folders before it; grey-scale cameras are ignored."""
    folder = session(copy, 4)
    (video,) = folder.glob("*.avi")
    video.rename(folder / "colour & co [1].avi")
    edit_xml(folder, set_track("Video", "D:\\data\\4\\colour & co [1].avi"))
    edit_xml(
        folder,
        lambda root: root.insert(0, ElementTree.Element("track", type="Video", color="0", filename="grey.avi")),
    )
    _, trial, _ = MAHNOBHCI(copy).trials([1])
    assert trial.video == folder / "colour & co [1].avi"


def test_names_never_lead_out_of_the_session(copy):
    edit_xml(session(copy, 4), set_track("Physiological", "../2/Part_1_S_Trial1_emotion.bdf"))
    with pytest.raises(
        InputError, match=r"Sessions/4/Part_1_S_Trial1_emotion\.bdf: missing file; named in session.xml"
    ):
        MAHNOBHCI(copy).check()


def test_incomplete_sessions_are_listed_and_left_out(copy):
    edit_xml(session(copy, 4), set_track("Physiological", None))
    bdf(session(copy, 4)).unlink()
    next(session(copy, 6).glob("*.avi")).unlink()
    reader = MAHNOBHCI(copy)
    reader.check()
    assert [(trial.trial, trial.video is None) for trial in reader.trials([1])] == [(1, False), (3, True)]
    problems = [(Path(entry["file"]).parent.name, entry["message"]) for entry in reader.describe()["problems"]]
    assert problems == [
        ("4", "missing file; incomplete session, left out"),
        ("6", "missing file; the trial has no face video"),
    ]


def test_a_missing_rating_is_listed_and_left_out(copy):
    edit_xml(session(copy, 2), set_fields(feltArsl=None))
    reader = MAHNOBHCI(copy)
    reader.check()
    assert "arousal" not in next(reader.trials()).ratings
    (problem,) = reader.describe()["problems"]
    assert problem["message"] == "feltArsl is missing; the trial has no rating of arousal"


def test_counts_and_lengths_of_a_real_copy(copy):
    """Exemptions of synthetic data: few trials, short clips."""
    (copy / "synthetic.json").unlink()
    messages = [problem["message"] for problem in MAHNOBHCI(copy).describe()["problems"]]
    assert messages[0] == "subject 1: 3 rated sessions; expected 20"
    assert len([text for text in messages if text.startswith("the triggers are 8.0 s apart; expected ")]) == 6
    MAHNOBHCI(copy).check()


def test_a_video_of_another_length_is_listed(copy):
    next(session(copy, 4).glob("*.avi")).write_bytes(b"no video")
    edit_xml(session(copy, 2), set_fields(cutLenSec="24"))
    messages = [str(problem["message"]) for problem in MAHNOBHCI(copy).describe()["problems"]]
    assert messages == [
        "duration of 55.0 s by its header (110 frames, 2 fps); expected 24.0 s, the duration of the section in "
        "session.xml, or 8.0 s, that of the clip; possible cause: a truncated file, or another video; its frame rate "
        "agrees with session.xml, so it is used from its start",
        messages[1],
    ]
    assert "unreadable video" in messages[1]
    # Twice as slow as it should be.
    edit_xml(session(copy, 2), set_fields(vidRate="4"))
    assert "a wrong frame rate in it (session.xml has 4 fps)" in MAHNOBHCI(copy).describe()["problems"][0]["message"]


def test_a_video_goes_on_after_the_clip(root):
    """Its duration is that of the section; windows of the clip find their frames."""
    trial = next(MAHNOBHCI(root).trials())
    assert (trial.video_seconds, trial.video_frame_rate_hz) == (SECONDS + 47, 2)
    assert trial.recording.duration_seconds == SECONDS
    assert duration_and_problem(trial, 0.0, 5.0, None) == (SECONDS, "")
    # A copy whose header is twice as slow.
    slow = dataclasses.replace(trial, video_frame_rate_hz=4.0, video_seconds=27.5)
    assert duration_and_problem(slow, 0.0, 5.0, None)[1].endswith("give assumed_frame_rate_hz 4")


@pytest.mark.parametrize(
    ("fields", "expected", "complaint"),
    [
        ({"cutLenSec": "111.4"}, 111.4, None),
        ({"cutLenSec": "", "vidBeginSmp": "100.5", "vidEndSmp": "300.5", "vidRate": "2"}, 100.0, None),
        ({"cutLenSec": "", "vidBeginSmp": "0", "vidEndSmp": "", "vidRate": "2"}, None, None),
        ({"cutLenSec": "110,5", "vidEndSmp": ""}, None, "cutLenSec is '110,5'; expected a number above 0"),
        ({"cutLenSec": "24", "vidRate": "-1"}, 24.0, "vidRate is '-1'; expected a number above 0"),
    ],
)
def test_how_long_a_video_lasts_by_the_session(copy, fields, expected, complaint):
    edit_xml(session(copy, 2), set_fields(**fields))
    found = Session.read(session(copy, 2))
    assert found.video_seconds == expected
    messages = [fault.message for fault in found.faults]
    assert messages == [] if complaint is None else complaint in messages[0]
    assert not any(fault.is_blocking for fault in found.faults)


def test_people_without_recordings_and_one_who_is_missing(copy):
    """Participants 12 and 15 have unrated sessions without a recording, and 26 may be missing altogether."""
    for path in [
        *session(copy, 132).glob("*.bdf"),
        *session(copy, 134).glob("*.bdf"),
        *session(copy, 136).glob("*.bdf"),
    ]:
        path.unlink()
    for number in (132, 134, 136):
        edit_xml(
            session(copy, number),
            set_fields(**dict.fromkeys(("feltVlnc", "feltArsl", "feltCtrl", "feltPred", "feltEmo"), "")),
        )
    reader = MAHNOBHCI(copy)
    assert reader.subjects == (1,)
    assert reader.describe()["problems"] == []
    assert {entry["session"] for entry in reader.describe()["skipped"]} >= {132, 134, 136}
    reader.check()


BROKEN_XML = {
    "no xml": (lambda path: path.write_bytes(b"session"), "invalid XML"),
    "empty": (lambda path: path.write_bytes(b""), "invalid XML"),
    "cut": (lambda path: path.write_bytes(path.read_bytes()[:200]), "invalid XML"),
    "encoding": (
        lambda path: path.write_bytes(b"<?xml version='1.0' encoding='klingon'?><session/>"),
        "invalid XML",
    ),
    "bytes": (lambda path: path.write_bytes(b"<session sessionId='\xff\xfe'/>"), "invalid XML"),
    "large": (lambda path: path.write_bytes(b" " * 2**20 + path.read_bytes()), "bytes; expected a session of at most"),
    "bomb": (
        lambda path: path.write_bytes(
            b"<!DOCTYPE session [<!ENTITY a 'aaaaaaaaaa'>"
            + b"".join(b"<!ENTITY %c '%b'>" % (98 + n, b"&%c;" % (97 + n) * 10) for n in range(9))
            + b"]><session sessionId='&j;'/>"
        ),
        "has a document type",
    ),
    "external entity": (
        lambda path: path.write_bytes(b"<!DOCTYPE s SYSTEM 'file:///etc/passwd'><session sessionId='2'/>"),
        "has a document type",
    ),
    "bomb in utf-16": (
        lambda path: path.write_bytes("<!DOCTYPE s [<!ENTITY a 'b'>]><session sessionId='&a;'/>".encode("utf-16")),
        "has a document type",
    ),
    "other root": (lambda path: path.write_bytes(b"<html/>"), "root element is <html>; expected <session>"),
    "no subject": (
        lambda path: path.write_bytes(b"<session sessionId='2'/>"),
        "0 elements <subject>; expected one",
    ),
    "two subjects": (
        lambda path: edit_xml(path.parent, lambda root: ElementTree.SubElement(root, "subject", id="2")),
        "2 elements <subject>",
    ),
    "subject": (
        lambda path: edit_xml(path.parent, lambda root: root.find("subject").set("id", "one")),
        "id of <subject> is 'one'; expected an integer",
    ),
    "id": (lambda path: edit_xml(path.parent, set_fields(sessionId=None)), "sessionId is ''; expected an integer"),
    "rating": (
        lambda path: edit_xml(path.parent, set_fields(feltVlnc="high")),
        "feltVlnc is 'high'; expected a number from 1 to 9",
    ),
    "rating of nan": (lambda path: edit_xml(path.parent, set_fields(feltArsl="nan")), "feltArsl is 'nan'; expected"),
    "rating of zero": (lambda path: edit_xml(path.parent, set_fields(feltCtrl="0")), "feltCtrl is '0'; expected"),
    "keyword": (
        lambda path: edit_xml(path.parent, set_fields(feltEmo="4.5")),
        "feltEmo is '4.5'; expected an integer from 0 to 12",
    ),
    "clip": (lambda path: edit_xml(path.parent, set_fields(mediaFile="")), "mediaFile is ''; expected the file name"),
    "track": (
        lambda path: edit_xml(path.parent, set_track("Physiological", "Part_1_IMAGES_Session2.bdf")),
        "the physiological track is 'Part_1_IMAGES_Session2.bdf'; expected Part_<P>_S_Trial<k>_emotion.bdf",
    ),
    "removed": (lambda path: path.unlink(), "missing file; expected in every session folder"),
}


@pytest.mark.parametrize("case", BROKEN_XML)
def test_broken_xml(copy, case):
    break_it, message = BROKEN_XML[case]
    path = session(copy, 2) / "session.xml"
    break_it(path)
    for call in (MAHNOBHCI(copy).check, lambda: list(MAHNOBHCI(copy).trials([1]))):
        with pytest.raises(InputError, match=rf"^{path}: .*{message}") as caught:
            call()
        assert "\n" not in str(caught.value)
    # The other subject is unaffected: the file names identify the subject of the session.
    assert len(list(MAHNOBHCI(copy).trials([2]))) == 3
    MAHNOBHCI(copy).check([2])


def test_folder_of_an_unknown_subject_blocks_all_subjects(copy):
    (copy / "Sessions" / "ünïque [x] & co").mkdir()
    (copy / "Sessions" / ".hidden").mkdir()
    (copy / "Sessions" / "readme.txt").write_text("a file is no session")
    with pytest.raises(InputError, match=r"ünïque \[x\] & co/session.xml: missing") as caught:
        MAHNOBHCI(copy).check([2])
    assert "\n" not in str(caught.value)
    (problem,) = MAHNOBHCI(copy).describe()["problems"]
    assert problem["subject"] is None


def test_subject_of_whom_nothing_is_left(copy):
    """The actual fault is reported, rather than a missing subject."""
    for number in (134, 136):
        shutil.rmtree(session(copy, number))
    edit_xml(session(copy, 132), set_fields(feltVlnc="10"))
    with pytest.raises(InputError, match=r"132/session.xml: feltVlnc is '10'"):
        MAHNOBHCI(copy).check([2])


def test_double_sessions(copy):
    shutil.copytree(session(copy, 2), session(copy, "2 copy"))
    edit_xml(session(copy, 132), set_track("Physiological", "Part_2_S_Trial2_emotion.bdf"))
    bdf(session(copy, 132)).rename(session(copy, 132) / "Part_2_S_Trial2_emotion.bdf")
    with pytest.raises(InputError) as caught:
        MAHNOBHCI(copy).check()
    lines = str(caught.value).splitlines()
    assert len(lines) == 2
    assert f"2 copy/session.xml: duplicate sessionId 2, also in {session(copy, 2)}; expected one" in lines[0]
    assert f"134/session.xml: duplicate trial 2 of subject 2, also in {session(copy, 132)};" in lines[1]


def test_two_recordings_or_videos(copy):
    folder = session(copy, 2)
    for kind in ("Physiological", "Video"):
        edit_xml(folder, set_track(kind, None))
    shutil.copy(next(folder.glob("*.avi")), folder / "P1-Rec2-2010.01.01.10.00.00_C1 trigger _C_Section_2.avi")
    reader = MAHNOBHCI(copy)
    reader.check()
    assert next(reader.trials()).video is None
    assert "several colour videos: P1-Rec1" in reader.describe()["problems"][0]["message"]
    shutil.copy(bdf(folder), folder / "Part_1_S_Trial9_emotion.bdf")
    with pytest.raises(
        InputError, match=r"several recordings: Part_1_S_Trial1_emotion\.bdf, Part_1_S_Trial9_emotion\.bdf"
    ):
        MAHNOBHCI(copy).check()


def test_names_that_contradict_are_listed(copy):
    session(copy, 2).rename(session(copy, 9))
    edit_xml(session(copy, 4), lambda root: root.find("subject").set("id", "2"))
    reader = MAHNOBHCI(copy)
    messages = [problem["message"] for problem in reader.describe()["problems"]]
    assert messages[0] == "sessionId is 2; expected 9, the name of its folder"
    assert (
        "the id of <subject> is 2 but Part_1_S_Trial2_emotion.bdf names participant 1; the former is used" in messages
    )
    assert next(reader.trials([1])).video.parent.name == "9"


def test_files_that_may_not_be_read(copy, monkeypatch):
    """Uses permissions, which the superuser ignores."""
    read, iterate = Path.read_bytes, Path.iterdir
    forbidden = session(copy, 2) / "session.xml"

    def refuse(allowed, path, places):
        if path in places:
            raise PermissionError(13, "Permission denied", str(path))
        return allowed(path)

    monkeypatch.setattr(Path, "read_bytes", lambda path: refuse(read, path, {forbidden}))
    monkeypatch.setattr(Path, "iterdir", lambda path: refuse(iterate, path, {session(copy, 132)}))
    with pytest.raises(InputError) as caught:
        MAHNOBHCI(copy).check()
    assert str(caught.value).splitlines() == [
        f"{session(copy, 132)}: cannot be read (Permission denied)",
        f"{forbidden}: cannot be read (Permission denied)",
    ]
    monkeypatch.setattr(Path, "iterdir", lambda path: refuse(iterate, path, {copy / "Sessions"}))
    with pytest.raises(InputError, match=r"Sessions: cannot be read \(Permission denied\)"):
        MAHNOBHCI(copy)


def test_no_copy(tmp_path, copy):
    with pytest.raises(InputError, match="no such folder"):
        MAHNOBHCI(tmp_path / "nowhere")
    (tmp_path / "empty" / "Sessions").mkdir(parents=True)
    for folder in (tmp_path / "empty", tmp_path / "empty" / "Sessions"):
        with pytest.raises(InputError, match=r"no Sessions/<id>/session.xml found; expected the folder"):
            MAHNOBHCI(folder)
    for number in (2, 4, 6, 132, 134, 136):
        shutil.rmtree(session(copy, number))
    reader = MAHNOBHCI(copy)
    assert reader.subjects == ()
    assert len(reader.describe()["skipped"]) == 6
    with pytest.raises(InputError, match="no trials"):
        reader.check()
    with pytest.raises(InputError, match="no files of subject 7"):
        MAHNOBHCI(copy).source_files(7)


def test_all_bad_files_are_listed_together(copy):
    (session(copy, 2) / "session.xml").write_bytes(b"<")
    bdf(session(copy, 4)).write_bytes(bdf(session(copy, 4)).read_bytes()[:-5000])
    edit_xml(session(copy, 6), set_fields(feltEmo="x"))
    bdf(session(copy, 134)).unlink()
    (session(copy, 136) / "session.xml").unlink()
    with pytest.raises(InputError) as caught:
        MAHNOBHCI(copy).check()
    lines = str(caught.value).splitlines()
    assert [line.removeprefix(f"{copy}/Sessions/").partition(":")[0] for line in lines] == [
        *("2/session.xml", "6/session.xml", "4/Part_1_S_Trial2_emotion.bdf"),
        *("136/session.xml", "134/Part_2_S_Trial2_emotion.bdf"),
    ]
    assert "truncated" in lines[2]
    assert "missing file; named in session.xml; copy it" in lines[4]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"file_format": "python"}, "`file_format` is 'python'; expected one of"),
        ({"preprocess": "all"}, "`preprocess` is 'all'; expected one of"),
        ({"sampling_rate_hz": 64}, "`sampling_rate_hz` is 64; expected a number above 90"),
        ({"sampling_rate_hz": math.nan}, "`sampling_rate_hz` is nan"),
        ({"sampling_rate_hz": 0, "preprocess": "none"}, "`sampling_rate_hz` is 0; expected a number above 0"),
        ({"baseline_seconds": -1}, "`baseline_seconds` is -1; expected 0 or more"),
        ({"ica": True, "preprocess": "none"}, "`ica` is True but `preprocess` is 'none'"),
    ],
)
def test_bad_arguments(root, options, message):
    with pytest.raises(ValueError, match=message):
        MAHNOBHCI(root, **options)


# --- recordings


def patch(path, start, content):
    with path.open("r+b") as file:
        file.seek(start)
        file.write(content)


N_SIGNALS = 47
LABELS = [*GENEVA.split(), *OTHERS.split()]
STATUS = "status channel has {} rising edges"
FLAT = {"Cz": np.full(12 * 256, 100.0)}

BROKEN_RECORDINGS = {
    "truncated": (
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        r"truncated: \d+ of \d+ bytes; copy it again",
    ),
    "header": (lambda path: path.write_bytes(path.read_bytes()[:100]), "invalid header"),
    "numbers": (lambda path: patch(path, 252, b"many"), "damaged header"),
    "rate": (lambda path: patch(path, 244, b"4       "), "64 Hz; expected 128 Hz or more"),
    "no channel": (
        lambda path: write_bdf(path, {}, labels=[name for name in LABELS if name not in ("T7", "EXG2")]),
        "missing channel T7, EXG2; found Fp1, AF3, F3",
    ),
    "channel twice": (lambda path: patch(path, 256 + 16, b"Fp2".ljust(16)), "missing channel AF3"),
    "double": (lambda path: patch(path, 256 + 35 * 16, b"Fp2".ljust(16)), "duplicate channel Fp2; found"),
    "no status": (lambda path: patch(path, 256 + 46 * 16, b"Marks".ljust(16)), "missing channel Status"),
    "unit": (lambda path: write_bdf(path, {}, units={"EXG1": "nV"}), "unit of EXG1 is 'nV'; expected uV"),
    "no mark": (
        lambda path: write_bdf(path, {}, marks=()),
        STATUS.format(0) + "; expected 2, at the start and at the end",
    ),
    "one mark": (lambda path: write_bdf(path, {}, marks=(1024,)), STATUS.format(1) + r" \(at 4.00 s\); expected 2"),
    "three marks": (
        lambda path: write_bdf(path, {}, marks=(1024, 1536, 2048)),
        STATUS.format(3) + r" \(at 4.00, 6.00, 8.00 s\); expected 2.*or move the session's folder elsewhere",
    ),
    "many marks": (
        lambda path: write_bdf(path, {}, marks=range(100, 3000, 100)),
        r"29 rising edges \(at 0.39, 0.78, 1.17, 1.56, 1.95, ... s\)",
    ),
    "short": (lambda path: write_bdf(path, {}, marks=(1024, 1100)), "clip of 0.30 s; expected 1 s or more"),
    "early": (
        lambda path: write_bdf(path, {}, marks=(512, 2000)),
        "the clip starts after 2.00 s; expected at least 3 s of baseline before it",
    ),
    "flat": (
        lambda path: write_bdf(path, FLAT),
        "constant signal in EEG channel Cz; copy it again, or move the session's folder",
    ),
}


@pytest.mark.parametrize("case", BROKEN_RECORDINGS)
def test_broken_recording(copy, case):
    break_it, message = BROKEN_RECORDINGS[case]
    path = bdf(session(copy, 2))
    break_it(path)
    for call in (MAHNOBHCI(copy).check, lambda: list(MAHNOBHCI(copy).trials([1]))):
        with pytest.raises(InputError, match=rf"^{path}: .*{message}") as caught:
            call()
        assert "\n" not in str(caught.value)
    assert [trial["trial"] for trial in MAHNOBHCI(copy).inspect(1).description["trials"]] == [2, 3]


def test_slow_recording_cannot_be_cleaned(root, tmp_path):
    folder = Path(shutil.copytree(session(root, 2), tmp_path / "Sessions" / "2"))
    write_bdf(bdf(folder), {}, rate_hz=64, marks=(300, 600))
    with pytest.raises(InputError, match=r"64 Hz; expected more than 90 Hz to clean the EEG"):
        MAHNOBHCI(tmp_path, sampling_rate_hz=None).check()
    MAHNOBHCI(tmp_path, sampling_rate_hz=None, preprocess="none").check()


def test_flat_peripheral_channel_is_no_problem(copy):
    write_bdf(bdf(session(copy, 2)), {"EXG2": np.zeros(12 * 256)})
    MAHNOBHCI(copy).check()


@settings(max_examples=60, deadline=None)
@given(
    rest=st.integers(0, 0xFF00),
    code=st.integers(1, 0xFF),
    high=st.integers(0, 0x7F),
    onset=st.integers(1, 500),
    length=st.integers(120, 400),
    pulse=st.integers(1, 50),
)
def test_marks_are_found_whatever_the_bits(rest, code, high, onset, length, pulse):
    words = np.full(1200, rest)
    for start in (onset, onset + length):
        words[start : start + pulse] = rest + code
    # Bits of the amplifier change without a trigger.
    words |= high << 16
    words[:7] ^= 0x10000
    words[700:] ^= 0x400000
    assert _marks(Path("a.bdf"), words, 100.0) == (onset, onset + length)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from([*FACTS["ratings"], "feltEmo"]), st.text(max_size=60))
def test_any_text_is_a_rating_in_range_or_one_line(name, text):
    fields = dict.fromkeys([*FACTS["ratings"], "feltEmo"], "3") | {name: text}
    ratings, faults, message = {}, [], ""
    try:
        ratings, faults = _ratings(Path("session.xml"), fields)
    except InputError as error:
        message = str(error)
    if message:
        assert message.startswith(f"session.xml: {name} is ")
        assert len(message.splitlines()) == 1
        return
    assert len(ratings) + len(faults) == 5
    assert all(0 <= value <= 12 for value in ratings.values())


@settings(max_examples=60, deadline=None)
@given(content=st.binary(max_size=300))
def test_any_bytes_are_elements_or_one_error(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "any.xml"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"any.xml: "):
        read_elements(path)
    path.write_bytes(b"<session>" + content)
    with contextlib.suppress(InputError):
        assert read_elements(path)[0] == ("session", {})


# --- the command line


def test_describe(root, capsys):
    assert cli.main(["describe", str(root), "--dataset", "mahnob_hci"]) == 0
    out = capsys.readouterr().out
    assert "mahnob_hci, synthetic files" in out
    assert "mean valence" in out
    assert "mean emotion" not in out
    assert "skipped, neutral clip: 6 session(s): 1, 3, 5, 131, 133, 135" in out
    assert out.splitlines()[-1] == "the copy is complete"
    assert cli.main(["describe", str(root), "--dataset", "mahnob_hci", "--json", "--file-format", "original"]) == 0
    description = json.loads(capsys.readouterr().out)
    assert description["class_names"]["emotion"][4] == "joy"
    assert [len(subject["trials"]) for subject in description["subjects"]] == [3, 3]
    trial = description["subjects"][1]["trials"][0]
    assert (trial["session"], trial["duration_seconds"], trial["presentation"]) == (1, 8.0, 1)
    assert Path(trial["folder"]) == session(root, 132)
    assert len(description["skipped"]) == 6


def test_describe_a_broken_copy(copy, capsys):
    edit_xml(session(copy, 2), set_fields(feltVlnc="?"))
    assert cli.main(["describe", str(copy), "--dataset", "mahnob_hci"]) == 1
    assert "Sessions/2/session.xml: feltVlnc is '?'; expected a number from 1 to 9" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        cli.main(["describe", str(copy), "--dataset", "mahnob_hci", "--file-format", "raw"])
    assert "--file-format raw: " in capsys.readouterr().err
