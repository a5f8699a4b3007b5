"""SEED-V reader, on synthetic recordings and pickles, and on damaged ones."""

import io
import json
import pickle
import re
import shutil
import struct

import numpy as np
import pytest

from keras_emotion.datasets import READERS, SEEDV, seed_sessions
from keras_emotion.schema import InputError
from keras_emotion.synthetic import write_seed_v
from keras_emotion.synthetic.neuroscan_cnt import open_cnt_writer
from keras_emotion.synthetic.workbook import write_workbook

# As published: of the clips of session 1, in their order.
LABELS = [4, 1, 3, 2, 0] * 3
LATER_LABELS = [2, 1, 3, 0, 4, 4, 0, 3, 2, 1, 3, 4, 1, 2, 0]
RAW, FEATURES, EYES = "EEG_raw", "EEG_DE_features", "Eye_movement_features"
CNT, NPZ = "1_1_20180701.cnt", "1_1.npz"
TABLE = "emotion_label_and_stimuli_order.xlsx"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """One subject, one session, clips of 4 s: read-only."""
    return write_seed_v(tmp_path_factory.mktemp("seed_v"), n_subjects=1, n_sessions=1, clip_seconds=4)


@pytest.fixture
def one(root, tmp_path):
    """The same with features only, for tests that damage it."""
    return shutil.copytree(root, tmp_path / "seed_v", ignore=shutil.ignore_patterns(RAW))


@pytest.fixture
def recording(root, tmp_path):
    """The recording only, for tests that damage it."""
    folder = tmp_path / "seed_v"
    return shutil.copytree(root, folder, ignore=shutil.ignore_patterns(FEATURES, EYES))


def contents(path):
    """Arrays of a feature file, unpickled, since the file is synthetic."""
    with np.load(path) as archive:
        return {name: pickle.loads(archive[name].tobytes()) for name in archive.files}


def edit(path, data=None, label=None):
    """Rewrite a feature file with some trials changed; `None` removes one."""
    arrays = contents(path)
    for name, changes in (("data", data), ("label", label)):
        arrays[name] |= changes or {}
        arrays[name] = {key: array for key, array in arrays[name].items() if array is not None}
    np.savez(path, **{name: pickle.dumps(values) for name, values in arrays.items()})


def problems_of(reader):
    return [(problem["file"].rpartition("/")[2], problem["message"]) for problem in reader.describe()["problems"]]


# --- what is read


def test_signals_are_cut_by_seconds_and_resampled(root):
    reader = SEEDV(root)
    assert READERS["seed_v"] is SEEDV
    assert (reader.file_format, reader.subjects, reader.synthetic) == ("raw", (1,), True)
    as_recorded = {trial.trial: trial.recording for trial in SEEDV(root, sampling_rate_hz=None).trials()}
    trials = list(reader.trials())
    spans = json.loads((root / "synthetic.json").read_text())["clip_spans"][0]
    for trial, (start, stop) in zip(trials, spans, strict=True):
        recording = trial.recording
        assert (recording.signal.shape, recording.sampling_rate_hz) == ((62, 800), 200)
        assert (recording.signal.dtype, recording.units[0]) == (np.float32, "uV")
        whole = as_recorded[trial.trial]
        assert (whole.signal.shape, whole.sampling_rate_hz) == ((62, 1000 * (stop - start)), 1000)
        # Without what is above 80 Hz every fifth sample is the same.
        spectrum = np.fft.rfft(whole.signal)
        spectrum[:, round(80 * (stop - start)) :] = 0
        low = np.fft.irfft(spectrum)[:, ::5]
        difference = (recording.signal - low)[:, 40:-40]
        assert difference.std() < 0.1 * recording.signal.std()
    assert [trial.ratings["emotion"] for trial in trials] == LABELS
    assert [trial.stimulus for trial in trials] == [f"clip_{clip:02d}" for clip in range(1, 16)]
    assert [trial.split for trial in trials] == ["fold_1"] * 5 + ["fold_2"] * 5 + ["fold_3"] * 5
    assert [name.upper() for name in trials[0].recording.channel_names][:4] == ["FP1", "FPZ", "FP2", "AF3"]
    assert reader.class_names["emotion"] == ("disgust", "fear", "sad", "neutral", "happy")
    assert reader.options == {"sampling_rate_hz": 200.0}


def test_what_is_read_is_what_was_written(tmp_path):
    """In a file with known numbers: microvolts, at the right time, channels found in any case and order."""
    names = ["HEO", *(name.lower() for name in reversed(seed_sessions.CHANNEL_NAMES))]
    times = np.arange(4000) / 1000
    signal = np.stack([row * np.sin(2 * np.pi * 7 * times) for row in range(len(names))])
    path = tmp_path / "x.cnt"
    # Above half of the new rate: no aliasing.
    high = 100 * np.sin(2 * np.pi * 200 * times)
    with open_cnt_writer(path, names, 1000, 4000, [], sample_bytes=4) as writer:
        writer.write(signal + high)
    raw = seed_sessions.open_cnt(path)
    file = seed_sessions.CntSignals(path, raw, {1: (1.0, 3.0), 2: (3.0, 4.0)}, (1, 2), None)
    np.testing.assert_allclose(file.recording(1).signal, (signal + high)[:0:-1, 1000:3000], atol=0.03)
    resampled = seed_sessions.CntSignals(path, raw, {1: (1.0, 3.0), 2: (0.0, 2.0)}, (1, 2), 250)
    for trial, first in ((1, 1000), (2, 0)):
        expected = signal[:0:-1, first : first + 2000 : 4]
        found = resampled.recording(trial).signal
        assert found.shape == (62, 500)
        np.testing.assert_allclose(found[:, 60:-60], expected[:, 60:-60], atol=0.1)


@pytest.mark.parametrize("sample_bytes", [2, 4])
def test_bytes_of_large_recordings_are_known_by_their_sizes(tmp_path, monkeypatch, sample_bytes):
    """For files of 2 GB, MNE needs the data format."""
    signal = np.random.default_rng(0).normal(0, 20, (3, 1000))
    path = tmp_path / "x.cnt"
    with open_cnt_writer(path, ["Fz", "Cz", "M1"], 500, 1000, [(100, 1)] * 40, sample_bytes=sample_bytes) as writer:
        writer.write(signal)
    monkeypatch.setattr(seed_sessions, "_AUTO_FORMAT_BYTES", 0)
    raw = seed_sessions.open_cnt(path)
    np.testing.assert_allclose(1e6 * raw.get_data(), signal, atol=0.03)
    assert len(raw.annotations) == 40


def test_features_are_those_of_the_files(root):
    reader = SEEDV(root, "features")
    stored = contents(root / FEATURES / NPZ)["data"]
    trials = list(reader.trials())
    for trial in trials:
        features = trial.released_features
        assert (features.names, features.window_seconds, features.smoothed) == (("de",), 4, frozenset())
        array = pickle.loads(pickle.dumps(features.read))("de")
        assert array.shape == (1, 62, 5)
        np.testing.assert_array_equal(array.reshape(1, 310), stored[trial.trial - 1])
    with pytest.raises(InputError, match=r"1_1.npz: unknown feature psd; expected de"):
        features.read("psd")
    eyes = contents(root / EYES / NPZ)["data"]
    movements = trials[7].eye_movements
    np.testing.assert_array_equal(movements.read_features(), eyes[7])
    assert (len(movements.feature_names), movements.window_seconds, movements.is_smoothed) == (33, 4, False)
    assert reader.eye_files(1) == SEEDV(root).eye_files(1) == (root / EYES / NPZ,)
    assert any("smoothed" in note for note in reader.notes())


def test_sessions_are_in_the_names(one):
    """A file of several sessions has their trials one after the other."""
    for folder in (FEATURES, EYES):
        arrays = contents(one / folder / NPZ)
        for session in (1, 2):
            for key in range(15):
                arrays["data"][15 * session + key] = arrays["data"][key] + session
                arrays["label"][15 * session + key] = np.array([[2, 1, 3, 0, 4, 4, 0, 3, 2, 1, 3, 4, 1, 2, 0][key]])[
                    0:1
                ]
        np.savez(one / folder / "1_123.npz", **{name: pickle.dumps(values) for name, values in arrays.items()})
        (one / folder / NPZ).unlink()
    (one / "synthetic.json").unlink()
    reader = SEEDV(one)
    assert problems_of(reader) == []
    trials = list(reader.trials())
    assert [(trial.session, trial.trial) for trial in trials] == [(s, t) for s in (1, 2, 3) for t in range(1, 16)]
    assert trials[30].stimulus == "clip_31"
    first, last = (trials[place].eye_movements.read_features() for place in (2, 32))
    np.testing.assert_allclose(last, first + 2)


def test_rates(root):
    assert SEEDV(root, sampling_rate_hz=128).sampling_rate_hz == 128
    for rate in (0, -1.0, np.inf, np.nan):
        with pytest.raises(ValueError, match=r"`sampling_rate_hz` is .*; expected a number above 0, or None"):
            SEEDV(root, sampling_rate_hz=rate)


# --- what is wrong


def truncated(name, n_bytes):
    def cut(root):
        path = root / name
        path.write_bytes(path.read_bytes()[:n_bytes])

    return cut


def features(**changes):
    return lambda root: edit(root / FEATURES / NPZ, **changes)


def npy_bytes():
    content = io.BytesIO()
    np.save(content, np.ones(3))
    return content.getvalue()


def declare_compressed(path, n_bytes):
    content = bytearray(path.read_bytes())
    struct.pack_into("<I", content, content.index(b"PK\x01\x02") + 20, n_bytes)
    path.write_bytes(content)


def class_of(path):
    path.write_bytes(b"")
    np.savez(path, data=b"cos\nsystem\n(S'true'\ntR.", label=pickle.dumps({}))


FEATURE_FAULTS = {
    "missing trials": (
        features(data=dict.fromkeys(range(15))),
        (NPZ, "no variables like 0; found none; copy the file"),
    ),
    "width": (
        features(data={3: np.ones((1, 309))}),
        (NPZ, r"trial 4: `data` is float64 \(1, 309\); expected numbers of shape \(windows, 310\)"),
    ),
    "NaN": (features(data={3: np.full((1, 310), np.nan)}), (NPZ, "trial 4: NaN or infinite values in `data`")),
    "text": (features(data={3: "abc"}), (NPZ, r"trial 4: `data` is <U3 \(\)")),
    "labels": (
        features(label={3: np.array([4])}),
        (NPZ, f"session 1: labels differ from {TABLE}: trial 4 is 4, expected 2; copy both again"),
    ),
    "two labels in a trial": (features(label={3: np.array([4, 2])}), (NPZ, r"trial 3 has the labels \[2, 4\]")),
    "other keys": (features(data={"x": np.ones((1, 310))}), (NPZ, "`data` has the key 'x'; expected trial numbers")),
    "truncated": (truncated(f"{FEATURES}/{NPZ}", 2000), (NPZ, "damaged .npz file")),
    "an array": (
        lambda root: (root / FEATURES / NPZ).write_bytes(npy_bytes()),
        (NPZ, "damaged .npz file"),
    ),
    "a program": (
        lambda root: class_of(root / FEATURES / NPZ),
        (NPZ, "byte 0: refers to os.system, which is not allowed"),
    ),
    "another array": (
        lambda root: np.savez(root / FEATURES / NPZ, x=np.ones(3)),
        (NPZ, "missing array `data`; found x; copy it again"),
    ),
    "sizes": (
        lambda root: declare_compressed(root / FEATURES / NPZ, 2**31),
        (NPZ, "damaged .npz file .its members declare 2,147,48"),
    ),
    "no pickle": (
        lambda root: np.savez(root / FEATURES / NPZ, data=np.ones(3)),
        (NPZ, r"`data` is float64 \(3,\); expected the bytes of a pickle"),
    ),
    "table without sessions": (
        lambda root: write_workbook(root / TABLE, [["x", *LABELS]]),
        (TABLE, "1 rows of 15 classes; expected 3, one row per session, of disgust, fear, sad, neutral, happy"),
    ),
}


@pytest.mark.parametrize("fault", FEATURE_FAULTS)
def test_faults_of_features_that_block(one, fault):
    break_it, (file, message) = FEATURE_FAULTS[fault]
    break_it(one)
    for call in (SEEDV(one).check, lambda: list(SEEDV(one).trials())):
        with pytest.raises(InputError, match=rf"^/.*{file}: ({message})"):
            call()
    assert file in {found for found, _ in problems_of(SEEDV(one))}


FLAWS = {
    "missing trials": (features(data={3: None, 4: None}), (NPZ, "missing trial 4, 5; expected 1 to 15"), 13),
    "another name": (
        lambda root: (root / FEATURES / "first.npz").touch(),
        ("first.npz", "not read; expected a name like 1_1_20180804.cnt or 1_123.npz"),
        15,
    ),
    "other labels in the table": (
        lambda root: (write_workbook(root / TABLE, [["x", *LABELS], ["x", *LABELS], ["x", *LABELS]]),),
        (TABLE, "labels of session 2 differ from the known labels of SEED-V: trial 1 is 4, expected 2"),
        15,
    ),
    "no eye features": (
        lambda root: (root / EYES / NPZ).unlink(),
        (EYES, "subject 1: missing eye features of session 1"),
        15,
    ),
    "eye features of 31 columns": (
        lambda root: edit(root / EYES / NPZ, data={3: np.ones((1, 31))}),
        (NPZ, r"trial 3: `data` is float64 \(1, 31\); expected numbers of shape \(windows, 33\)"),
        15,
    ),
    "truncated eye features": (truncated(f"{EYES}/{NPZ}", 2000), (NPZ, "damaged .npz file"), 15),
}


@pytest.mark.parametrize("flaw", FLAWS)
def test_faults_that_are_described_and_do_not_block(one, flaw):
    break_it, (file, message), n_trials = FLAWS[flaw]
    break_it(one)
    reader = SEEDV(one)
    reader.check()
    assert len(list(reader.trials())) == n_trials
    found_file, found = problems_of(reader)[0]
    assert found_file == file
    assert re.match(message, found), found


def test_a_truncated_recording(recording):
    path = recording / RAW / CNT
    whole = path.read_bytes()
    for n_bytes in (0, 500, 20_000, len(whole) // 2):
        path.write_bytes(whole[:n_bytes])
        with pytest.raises(InputError, match=rf"{CNT}: damaged Neuroscan .cnt file \((?!File)"):
            SEEDV(recording).check()
    # Consistent with its header, but shorter than the times of the clips.
    path.write_bytes(whole)
    marker = json.loads((recording / "synthetic.json").read_text())
    marker["clip_spans"][0][14] = [86, 96]
    (recording / "synthetic.json").write_text(json.dumps(marker))
    message = rf"{CNT}: trial 15: 86 to 96 s in a recording of 92.000 s; expected at least 1 s within it"
    with pytest.raises(InputError, match=message):
        list(SEEDV(recording).trials())


def test_a_recording_without_a_channel(recording):
    path = recording / RAW / CNT
    content = bytearray(path.read_bytes())
    content[900:903] = b"XYZ"
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"{CNT}: missing channel FP1; expected the 62 of SEED; copy the file again"):
        SEEDV(recording).check()


def test_the_same_session_twice(recording):
    (recording / RAW / "1_1_20180702.cnt").hardlink_to(recording / RAW / CNT)
    with pytest.raises(InputError, match=rf"1_1_20180702.cnt: same subject and session as {CNT}; keep one of them"):
        next(iter(SEEDV(recording).trials()))


def test_nothing_there(tmp_path, root):
    with pytest.raises(InputError, match="no folder EEG_raw or EEG_DE_features with files named like 1_1_20180804"):
        SEEDV(tmp_path)
    with pytest.raises(ValueError, match=r"`file_format` is 'preprocessed'; expected one of \('raw', 'features'\)"):
        SEEDV(root, "preprocessed")
