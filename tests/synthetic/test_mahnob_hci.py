"""Writer of synthetic MAHNOB-HCI sessions: the layout, the files as other libraries read them, planted effects."""

import filecmp
import json
import xml.etree.ElementTree as ElementTree

import av
import edfio
import mne
import numpy as np
import pytest

from keras_emotion import cli
from keras_emotion.datasets import MAHNOBHCI
from keras_emotion.synthetic import write_mahnob_hci
from keras_emotion.synthetic.mahnob_hci import EEG_CHANNEL_NAMES, session_id

GENEVA = "Fp1 AF3 F3 F7 FC5 FC1 C3 T7 CP5 CP1 P3 P7 PO3 O1 Oz Pz Fp2 AF4 Fz F4 F8 FC6 FC2 Cz C4 T8 CP6 CP2 P4 P8 PO4 O2"
OTHERS = "EXG1 EXG2 EXG3 EXG4 EXG5 EXG6 EXG7 EXG8 GSR1 GSR2 Erg1 Erg2 Resp Temp"
SHORT = {"lead_seconds": 3, "stimulus_seconds": 4}
TINY = {"face_videos": True, "video_frame_rate_hz": 2.5, "video_size": (64, 48)}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Two trials of two subjects, with videos."""
    return write_mahnob_hci(tmp_path_factory.mktemp("mahnob"), subjects=(3, 21), n_trials=2, **SHORT, **TINY)


def files_of(root):
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


def fields_of(folder):
    return ElementTree.parse(folder / "session.xml").getroot()


# --- the layout


def test_session_ids_are_those_of_published_paths():
    """By the name of the recording, or by the number of the section of the video (`2 k`)."""
    assert session_id(1, 1, is_neutral=True) == 1
    assert [session_id(1, 1), session_id(1, 18), session_id(21, 9), session_id(30, 20)] == [2, 36, 2618, 3810]


def test_layout(root):
    def of_subject(subject, first):
        take = f"P{subject}-Rec1-2010.01.01.10.00.00_C1 trigger _C_Section_"
        for trial in (1, 2):
            neutral, clip = first + 2 * trial - 2, first + 2 * trial - 1
            yield f"Sessions/{neutral}/Part_{subject}_N_Trial{trial}_emotion.bdf"
            yield f"Sessions/{neutral}/session.xml"
            yield f"Sessions/{clip}/Part_{subject}_S_Trial{trial}_emotion.bdf"
            yield f"Sessions/{clip}/{take}{2 * trial}.avi"
            yield f"Sessions/{clip}/session.xml"

    assert files_of(root) == sorted([*of_subject(3, 261), *of_subject(21, 2601), "synthetic.json"])


def test_session_xml(root):
    folder = root / "Sessions" / "264"
    text = (folder / "session.xml").read_text(encoding="utf-8")
    assert text.startswith("<?xml version=")
    fields = fields_of(folder)
    assert fields.tag == "session"
    assert list(fields.attrib) == [
        *("sessionId", "date", "time", "experimentType", "isStim", "feltEmo", "feltVlnc", "feltArsl", "feltCtrl"),
        *("feltPred", "mediaFile", "cutNr", "cutLenSec", "vidRate", "vidBeginSmp", "vidEndSmp", "audRate"),
        *("audBeginSmp", "audEndSmp"),
    ]
    assert (fields.get("sessionId"), fields.get("isStim"), fields.get("cutNr")) == ("264", "1", "4")
    for name in ("feltVlnc", "feltArsl", "feltCtrl", "feltPred"):
        assert 1 <= int(fields.get(name)) <= 9
    assert fields.find("subject").get("id") == "3"
    video, physiological = fields.findall("track")
    assert (video.get("type"), video.get("color")) == ("Video", "1")
    assert physiological.get("type") == "Physiological"
    for track in (video, physiological):
        assert (folder / track.get("filename")).is_file()
    seconds = (int(fields.get("audEndSmp")) - int(fields.get("audBeginSmp"))) / int(fields.get("audRate"))
    # 4 s of the clip, and the rating after it: 47 s at the first of twenty trials, 25 s at the last.
    tail = 47 - 22 / 19
    assert float(fields.get("cutLenSec")) == pytest.approx(4 + tail, abs=1e-3)
    assert seconds == pytest.approx(4 + tail, abs=1e-3)
    begin, end = float(fields.get("vidBeginSmp")), float(fields.get("vidEndSmp"))
    assert begin % 1 == end % 1 == 0.5
    assert (end - begin) / float(fields.get("vidRate")) == pytest.approx(4 + tail, abs=0.4)
    neutral = fields_of(root / "Sessions" / "263")
    assert neutral.get("isStim") == "0"
    assert not [name for name in neutral.attrib if name.startswith("felt")]


def test_recording(root):
    """As two other libraries read it."""
    path = root / "Sessions" / "264" / "Part_3_S_Trial2_emotion.bdf"
    assert path.read_bytes()[:8] == b"\xffBIOSEMI"
    assert path.read_bytes()[192:197] == b"24BIT"
    recording = edfio.read_bdf(path)
    assert recording.labels == (*GENEVA.split(), *OTHERS.split(), "Status")
    assert {signal.sampling_frequency for signal in recording.signals} == {256}
    assert recording.duration == 10
    units = {signal.label: signal.physical_dimension for signal in recording.signals}
    assert (units["Fp1"], units["EXG3"], units["GSR1"], units["Temp"]) == ("uV", "uV", "Ohm", "C")
    values = {signal.label: signal.data for signal in recording.signals}
    assert 1e5 < values["GSR1"].mean() < 1e6
    assert 28 < values["Temp"].mean() < 34
    assert np.corrcoef(values["EXG1"], values["EXG2"])[0, 1] < -0.9
    # Electrodes have offsets, and their common component is not brain activity.
    eeg = np.stack([values[name] for name in GENEVA.split()])
    assert np.abs(eeg.mean(axis=1)).max() > 1000
    assert 5 < (eeg - eeg.mean(axis=0)).std(axis=1).mean() < 500
    words = recording.get_signal("Status").digital
    assert (words >> 16 > 0).all()
    raw = mne.io.read_raw_bdf(path, stim_channel="Status", verbose="ERROR")
    events = mne.find_events(raw, stim_channel="Status", verbose="ERROR")
    assert events[:, 0].tolist() == [3 * 256, 7 * 256]


def test_lengths_of_the_data_set(tmp_path):
    """30 s, the clip at its own length, 30 s; for the shortest of the first clips."""
    root = write_mahnob_hci(tmp_path, n_subjects=1, n_trials=1, neutral_clips=False)
    (path,) = root.rglob("*.bdf")
    assert fields_of(path.parent).get("mediaFile") == "69.avi"
    recording = edfio.read_bdf(path)
    assert recording.duration == 30 + 58 + 30
    edges = np.flatnonzero(np.diff(recording.get_signal("Status").digital & 0xFF) > 0) + 1
    assert (edges / 256).tolist() == [30, 88]
    (trial,) = MAHNOBHCI(root).trials()
    assert (trial.recording.duration_seconds, trial.recording.baseline_seconds) == (58, 3)
    assert json.loads((root / "synthetic.json").read_text())["stimulus_seconds"] is None


def test_videos(root):
    (path,) = (root / "Sessions" / "264").glob("*.avi")
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.width, stream.height) == ("h264", 64, 48)
        assert stream.average_rate == 2.5
        assert len(list(container.decode(stream))) == round((4 + 47 - 22 / 19) * 2.5)


def test_marker(root):
    marker = json.loads((root / "synthetic.json").read_text())
    assert marker | {"written_by": None} == {
        "written_by": None,
        "dataset": "mahnob_hci",
        "subjects": [3, 21],
        "n_trials": 2,
        "seed": 0,
        "effect_size": 1.0,
        "fingerprint_size": 0.6,
        "fingerprint_in_baseline": False,
        "lead_seconds": 3,
        "stimulus_seconds": 4,
        "neutral_clips": True,
        "effect_follows": "rating",
        "face_effect_size": 1.0,
        "face_videos": True,
        "video_frame_rate_hz": 2.5,
        "video_size": [64, 48],
        "video_tail_seconds": None,
    }


def test_whole_and_read(root):
    description = MAHNOBHCI(root).describe()
    assert description["problems"] == []
    assert [subject["subject"] for subject in description["subjects"]] == [3, 21]


def test_files_depend_on_seed_and_subject_alone(root, tmp_path):
    again = write_mahnob_hci(tmp_path / "again", subjects=(21,), n_trials=2, **SHORT)
    other = write_mahnob_hci(tmp_path / "other", subjects=(21,), n_trials=2, seed=1, **SHORT)
    recordings = [name for name in files_of(again) if name.endswith(".bdf")]
    assert len(recordings) == 4
    for name in recordings:
        assert filecmp.cmp(root / name, again / name, shallow=False)
        assert not filecmp.cmp(root / name, other / name, shallow=False)


# --- what is planted


def test_ratings_and_order(tmp_path):
    root = write_mahnob_hci(
        tmp_path, n_subjects=3, n_trials=20, neutral_clips=False, lead_seconds=3, stimulus_seconds=1
    )
    clips = {}
    for folder in (root / "Sessions").iterdir():
        fields = fields_of(folder)
        subject = int(fields.find("subject").get("id"))
        clips.setdefault(subject, {})[int(fields.get("cutNr")) // 2] = fields
    orders = [[clips[subject][place].get("mediaFile") for place in range(1, 21)] for subject in (1, 2, 3)]
    assert len(set(orders[0])) == 20
    assert sorted(orders[0]) == sorted(orders[1]) == sorted(orders[2])
    assert len({tuple(order) for order in orders}) == 3
    by_clip = {}
    for own in clips.values():
        valence = np.array([int(fields.get("feltVlnc")) for fields in own.values()])
        assert 6 <= (valence < 5).sum() <= 12
        assert 6 <= (valence > 5).sum() <= 12
        for fields in own.values():
            by_clip.setdefault(fields.get("mediaFile"), []).append(int(fields.get("feltVlnc")))
            high = int(fields.get("feltVlnc")) > 5, int(fields.get("feltArsl")) > 5
            keyword = {(True, True): 11, (True, False): 4, (False, True): 3, (False, False): 5}[high]
            assert int(fields.get("feltEmo")) == keyword
    # All subjects rate a clip similarly, up to the stimulus's share of the variance.
    ratings = np.array(list(by_clip.values()))
    assert 0.2 < np.mean(np.corrcoef(ratings.T)[np.triu_indices(3, 1)]) < 0.8


@pytest.mark.parametrize("effect_size", [1.5, 0.0])
def test_effect(tmp_path, effect_size):
    """Gamma power over temporal electrodes follows valence in proportion to the effect; the baseline does not."""
    root = write_mahnob_hci(
        tmp_path,
        n_subjects=2,
        n_trials=12,
        effect_size=effect_size,
        fingerprint_size=0,
        lead_seconds=5,
        stimulus_seconds=6,
        neutral_clips=False,
    )
    temporal = [EEG_CHANNEL_NAMES.index(name) for name in ("T7", "T8")]
    for subject in (1, 2):
        power, before, valence = [], [], []
        for trial in MAHNOBHCI(root).trials([subject]):
            gamma = mne.filter.filter_data(trial.eeg.signal, 128, 31, 44, verbose="ERROR")[temporal]
            n_baseline = trial.recording.n_baseline_samples
            power.append(np.log(np.square(gamma[:, n_baseline:]).mean()))
            before.append(np.log(np.square(gamma[:, :n_baseline]).mean()))
            valence.append(trial.ratings["valence"])
        correlation = np.corrcoef(power, valence)[0, 1]
        assert correlation > 0.9 if effect_size else abs(correlation) < 0.7
        assert abs(np.corrcoef(before, valence)[0, 1]) < 0.7
        if effect_size:
            slope = np.polyfit((np.array(valence) - 5) / 1.8, power, 1)[0]
            assert 0.6 * effect_size < slope < 1.1 * effect_size


def test_signals_follow_the_face_when_asked_to(tmp_path):
    options = {"n_subjects": 1, "n_trials": 1, "neutral_clips": False, "fingerprint_size": 0, **SHORT}
    rating = write_mahnob_hci(tmp_path / "rating", **options)
    face = write_mahnob_hci(tmp_path / "face", effect_follows="expression", **options)
    (name,) = [name for name in files_of(rating) if name.endswith(".bdf")]
    one, other = (edfio.read_bdf(root / name) for root in (rating, face))
    onset = 3 * 256
    difference = one.get_signal("T7").data - other.get_signal("T7").data
    assert not difference[:onset].any() or np.abs(difference[:onset]).max() < 0.1 * np.abs(difference[onset:]).max()
    assert np.abs(difference[onset:]).max() > 0.5
    assert json.loads((face / "synthetic.json").read_text())["effect_follows"] == "expression"


# --- what is refused


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_subjects": 0}, r"`subjects` is \(\); expected different ids from 1 to 30"),
        ({"n_subjects": 31}, "expected different ids from 1 to 30"),
        ({"subjects": (1, 1)}, r"`subjects` is \(1, 1\)"),
        ({"n_trials": 0}, "`n_trials` is 0; expected 1 to 20"),
        ({"n_trials": 21}, "`n_trials` is 21; expected 1 to 20"),
        ({"effect_size": float("nan")}, "`effect_size` is nan"),
        ({"fingerprint_size": -0.1}, "`fingerprint_size` is -0.1; expected 0 or more"),
        ({"stimulus_fingerprint_size": -0.1}, "`stimulus_fingerprint_size` is -0.1; expected 0 or more"),
        ({"stimulus_fingerprint_size": float("inf")}, "`stimulus_fingerprint_size` is inf"),
        ({"lead_seconds": 2.9}, "`lead_seconds` is 2.9; expected 3 or more"),
        ({"stimulus_seconds": 0.5}, "`stimulus_seconds` is 0.5; expected 1 or more, or None"),
        ({"stimulus_seconds": float("inf")}, "`stimulus_seconds` is inf"),
        ({"face_effect_size": float("inf")}, "`face_effect_size` is inf"),
        ({"video_frame_rate_hz": 0.5}, "`video_frame_rate_hz` is 0.5; expected 1 to 120"),
        ({"video_size": (64, 47)}, r"`video_size` is \(64, 47\); expected an even width and height from 32 on"),
        ({"video_tail_seconds": -1}, "`video_tail_seconds` is -1; expected 0 or more, or None"),
        ({"video_size": (64,)}, r"`video_size` is \(64,\)"),
        ({"effect_follows": "mood"}, "`effect_follows` is 'mood'; expected"),
    ],
)
def test_bad_arguments(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        write_mahnob_hci(tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_command(tmp_path, capsys):
    words = ["synthesize", "mahnob_hci", str(tmp_path / "out"), "--subjects", "1", "--trials", "1", "--seed", "4"]
    assert cli.main([*words, "--lead-seconds", "3", "--stimulus-seconds", "2.5", "--effect-size", "0"]) == 0
    assert capsys.readouterr().out == f"wrote {tmp_path / 'out'}\n"
    marker = json.loads((tmp_path / "out" / "synthetic.json").read_text())
    expected = {"subjects": [1], "n_trials": 1, "seed": 4, "lead_seconds": 3, "stimulus_seconds": 2.5, "effect_size": 0}
    assert {name: marker[name] for name in expected} == expected
    (trial,) = MAHNOBHCI(tmp_path / "out").trials()
    assert trial.recording.duration_seconds == 2.5
    with pytest.raises(SystemExit):
        cli.main([*words, "--lead-seconds", "1"])
    assert capsys.readouterr().err == "error: --lead-seconds 1.0: expected 3 or more\n"
