"""SEED-VII reader, on synthetic files in its three formats, and on damaged ones."""

import json
import os
import re
import shutil

import numpy as np
import pytest
import scipy.io

from keras_emotion.datasets import READERS, SEEDVII
from keras_emotion.schema import InputError
from keras_emotion.synthetic import write_seed_vii

# As published: of the clips of each session, in their order.
LABELS = [
    [4, 3, 0, 2, 5, 5, 2, 0, 3, 4, 4, 3, 0, 2, 5, 5, 2, 0, 3, 4],
    [5, 2, 1, 3, 6, 6, 3, 1, 2, 5, 5, 2, 1, 3, 6, 6, 3, 1, 2, 5],
]
SIGNALS, FEATURES, EYES, INTENSITIES = "EEG_preprocessed", "EEG_features", "EYE_features", "continuous_labels"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """One subject, two sessions, clips of 8 s: read-only."""
    return write_seed_vii(tmp_path_factory.mktemp("seed_vii"), n_subjects=1, n_sessions=2, clip_seconds=8)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A session with events in the recording, and one without."""
    out = tmp_path_factory.mktemp("seed_vii_raw")
    return write_seed_vii(out, subjects=(14,), n_sessions=2, files=["raw"], clip_seconds=4)


@pytest.fixture
def one(root, tmp_path):
    """One session, for tests that damage it; `synthetic.json` declares one session."""
    folder = shutil.copytree(root, tmp_path / "seed_vii")
    marker = json.loads((root / "synthetic.json").read_text()) | {"n_sessions": 1}
    (folder / "synthetic.json").write_text(json.dumps(marker))
    for path in folder.rglob("1.mat"):
        own = {name: array for name, array in variables_of(path).items() if int(name.rpartition("_")[2]) <= 20}
        scipy.io.savemat(path, own)
    return folder


@pytest.fixture
def recording(recorded, tmp_path):
    return shutil.copytree(recorded, tmp_path / "seed_vii", copy_function=os.link)


def variables_of(path):
    return {name: array for name, array in scipy.io.loadmat(path).items() if not name.startswith("__")}


def edit(path, changes):
    variables = variables_of(path) | changes
    scipy.io.savemat(path, {name: array for name, array in variables.items() if array is not None})


def problems_of(reader):
    return [(problem["file"].rpartition("/")[2], problem["message"]) for problem in reader.describe()["problems"]]


# --- what is read


def test_preprocessed_signals_are_those_of_the_files(root):
    reader = SEEDVII(root)
    assert READERS["seed_vii"] is SEEDVII
    assert (reader.file_format, reader.subjects, reader.synthetic) == ("preprocessed", (1,), True)
    stored = variables_of(root / SIGNALS / "1.mat")
    intensities = variables_of(root / INTENSITIES / "1.mat")
    eyes = variables_of(root / EYES / "1.mat")
    trials = list(reader.trials())
    assert [(trial.session, trial.trial) for trial in trials] == [(s, t) for s in (1, 2) for t in range(1, 21)]
    for clip, trial in enumerate(trials, 1):
        assert trial.stimulus == f"clip_{clip:02d}"
        np.testing.assert_array_equal(trial.recording.signal, stored[str(clip)].astype(np.float32))
        assert (trial.recording.signal.dtype, trial.recording.sampling_rate_hz) == (np.float32, 200)
        intensity = trial.continuous_ratings["intensity"]
        np.testing.assert_array_equal(intensity.values, intensities[str(clip)].ravel())
        assert (intensity.times_seconds.tolist(), intensity.scale) == ([2, 6], (0, 1))
        np.testing.assert_array_equal(trial.eye_movements.read_features(), eyes[str(clip)])
        assert (len(trial.eye_movements.feature_names), trial.eye_movements.is_smoothed) == (33, True)
        assert trial.ratings == {"emotion": LABELS[trial.session - 1][trial.trial - 1]}
        assert trial.split == f"fold_{(trial.trial - 1) // 5 + 1}"
    assert SEEDVII.class_names["emotion"][3:] == ("neutral", "happy", "anger", "surprise")
    assert next(iter(SEEDVII(root, sampling_rate_hz=128).trials())).recording.signal.shape == (62, 1024)


def test_features_are_those_of_the_files(root):
    stored = variables_of(root / FEATURES / "1.mat")
    (trial,) = [one for one in SEEDVII(root, "features").trials() if (one.session, one.trial) == (2, 3)]
    features = trial.released_features
    assert (features.names, features.smoothed) == (("de_LDS", "de", "psd"), {"de_LDS"})
    assert features.bands["gamma"] == (31, 49)
    for name in features.names:
        assert stored[f"{name}_23"].shape == (2, 5, 62)
        np.testing.assert_array_equal(features.read(name), stored[f"{name}_23"].transpose(0, 2, 1))


def test_clips_lie_between_events_or_triggers(recorded):
    """One session with events; and one without, whose times are in a table."""
    reader = SEEDVII(recorded, sampling_rate_hz=None)
    assert [path.name for path in reader.source_files(14)] == [
        *("14_20221015_1.cnt", "14_20221015_1_trigger_info.csv", "14_20221014_2.cnt"),
        *("emotion_label_and_stimuli_order.xlsx", "Channel Order.xlsx"),
    ]
    assert problems_of(reader) == []
    trials = list(reader.trials())
    assert [trial.recording.source.stem for trial in trials] == ["14_20221015_1"] * 20 + ["14_20221014_2"] * 20
    for trial in trials:
        signal = trial.recording.signal
        assert signal.shape == (62, 4000)
        # There is white noise between clips: a clip has almost no content above 200 Hz.
        power = np.abs(np.fft.rfft(signal)) ** 2
        assert power[:, 4 * 200 :].sum() < 0.05 * power.sum()


def test_description(root):
    description = json.loads(json.dumps(SEEDVII(root).describe(), allow_nan=False))
    assert description["problems"] == []
    (subject,) = description["subjects"]
    assert (subject["sampling_rate_hz"], len(subject["trials"])) == (200, 40)
    assert subject["n_trials_with_eye_movements"] == 40
    assert subject["trials"][0]["continuous_ratings"] == ["intensity"]


# --- what is wrong


def of(folder, changes):
    return lambda root: edit(root / folder / "1.mat", changes)


def truncated(folder, n_bytes=1000):
    def cut(root):
        path = root / folder / "1.mat"
        path.write_bytes(path.read_bytes()[:n_bytes])

    return cut


BLOCKING = {
    "channels": (of(SIGNALS, {"2": np.ones((61, 1600))}), r"trial 2: signal of shape \(61, 1600\); expected \(62, sam"),
    "flat": (of(SIGNALS, {"2": np.ones((62, 1600))}), "trial 2: constant signal in EEG channel Fp1, "),
    "truncated": (truncated(SIGNALS), "damaged or truncated MATLAB file"),
    "intensities out of range": (of(INTENSITIES, {"2": np.array([[0.5, 1.5]])}), "`2` has intensities from 0.5 to 1.5"),
    "table of intensities": (of(INTENSITIES, {"2": np.ones((2, 2))}), r"`2` is float64 \(2, 2\); expected a list of"),
    "truncated intensities": (truncated(INTENSITIES, 300), "damaged or truncated MATLAB file"),
}


@pytest.mark.parametrize("fault", BLOCKING)
def test_faults_that_block(one, fault):
    break_it, message = BLOCKING[fault]
    break_it(one)
    for call in (SEEDVII(one).check, lambda: list(SEEDVII(one).trials())):
        with pytest.raises(InputError, match=rf"^/.*1.mat: ({message})"):
            call()
    assert problems_of(SEEDVII(one))[0][0] == "1.mat"


FLAWS = {
    "missing clips": (of(SIGNALS, {"3": None}), ("1.mat", "missing trial 3; expected 1 to 20"), 19),
    "no intensity": (of(INTENSITIES, {"3": None}), ("1.mat", "missing intensity of clip 3"), 20),
    "no eye features": (of(EYES, {"3": None}), ("1.mat", "missing variable of trial 3; copy the file again"), 20),
    "eye features of 31": (of(EYES, {"3": np.ones((2, 31))}), ("1.mat", "eye features of trial 3 have the shape"), 20),
    "no files of eye features": (
        lambda root: (root / EYES / "1.mat").unlink(),
        ("1.mat", "missing file; the eye features of this subject"),
        20,
    ),
    "no files of intensities": (
        lambda root: (root / INTENSITIES / "1.mat").unlink(),
        ("1.mat", "missing file; the intensities of this subject are not read"),
        20,
    ),
    "another length": (
        of(FEATURES, {f"{name}_3": np.ones((9, 5, 62)) for name in ("de_LDS", "de", "psd")}),
        ("1.mat", "trial 3: 8 s of signal, 36 s of features; the files do not belong together"),
        20,
    ),
    "another name": (
        lambda root: (root / SIGNALS / "first.mat").touch(),
        ("first.mat", "not read; expected a name like 1.mat or 1_20221001_1.cnt"),
        20,
    ),
}


@pytest.mark.parametrize("flaw", FLAWS)
def test_faults_that_are_described_and_do_not_block(one, flaw):
    break_it, (file, message), n_trials = FLAWS[flaw]
    break_it(one)
    reader = SEEDVII(one)
    reader.check()
    assert len(list(reader.trials())) == n_trials
    ((found_file, found),) = problems_of(reader)
    assert found_file == file
    assert re.match(message, found), found


def rewrite(path, text):
    path.unlink()
    path.write_text(text)


TRIGGERS = "14_20221015_1_trigger_info.csv"
TRIGGER_FAULTS = {
    "missing": (lambda path: path.unlink(), "missing or damaged .*; expected rows of event and date with time"),
    "no times": (lambda path: rewrite(path, "1,x\n"), "missing or damaged"),
    "a stop lost": (
        lambda path: rewrite(path, path.read_text().partition("\n")[2]),
        r"events 2, 1, 2, 1, 2, 1, \.\.\. \(39\); expected 20 times 1 and 2 alternately",
    ),
    "another day": (
        lambda path: rewrite(path, path.read_text().replace("2022-10-15", "2022-10-16")),
        None,
    ),
}


@pytest.mark.parametrize("fault", TRIGGER_FAULTS)
def test_faults_of_triggers(recording, fault):
    break_it, message = TRIGGER_FAULTS[fault]
    path = recording / "save_info" / TRIGGERS
    break_it(path)
    where = rf"{TRIGGERS}: {message}" if message else r"14_20221015_1.cnt: trial 1: 86402 to 86406 s in a recording"
    with pytest.raises(InputError, match=where):
        SEEDVII(recording).check()


def test_other_triggers_do_not_count(recording):
    """Rows with other codes between those of the clips are ignored."""
    path = recording / "save_info" / TRIGGERS
    rewrite(path, path.read_text().replace("\n2,", "\n7,2022-10-15 14:25:35\n2,", 1))
    SEEDVII(recording).check()


def test_a_recording_without_events(recording):
    """Of a session that should have events."""
    (recording / "EEG_raw" / "14_20221014_2.cnt").unlink()
    (recording / "EEG_raw" / "14_20221014_2.cnt").hardlink_to(recording / "EEG_raw" / "14_20221015_1.cnt")
    with pytest.raises(InputError, match=r"14_20221014_2.cnt: 0 annotations; expected 40, start and stop of 20 clips"):
        SEEDVII(recording).check()


def test_nothing_there(tmp_path):
    with pytest.raises(InputError, match="no folder EEG_preprocessed or EEG_raw or EEG_features with files named like"):
        SEEDVII(tmp_path)
