"""EAV reader, on synthetic files in the published format."""

import json
import shutil
import wave

import numpy as np
import pytest
import scipy.io

from keras_emotion.datasets import EAV, READERS
from keras_emotion.datasets.eav import CHANNEL_NAMES, EMOTIONS, FACTS, TASKS, _parts
from keras_emotion.schema import Clip, InputError
from keras_emotion.synthetic import write_eav

SECONDS = 2
SMALL = {"trial_seconds": SECONDS, "video_frame_rate_hz": 2, "video_size": (32, 32)}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Two subjects in two conversations of ten trials: read-only."""
    return write_eav(tmp_path_factory.mktemp("eav"), n_conversations=2, **SMALL)


@pytest.fixture
def copy(root, tmp_path):
    """One subject, for tests that damage the files."""
    shutil.copytree(root / "subject1", tmp_path / "subject1")
    marker = json.loads((root / "synthetic.json").read_text()) | {"subjects": [1]}
    (tmp_path / "synthetic.json").write_text(json.dumps(marker))
    return tmp_path


def labels_of(folder):
    return scipy.io.loadmat(folder / "subject1" / "EEG" / "subject1_eeg_label.mat")["label"]


def write_labels(folder, labels):
    scipy.io.savemat(folder / "subject1" / "EEG" / "subject1_eeg_label.mat", {"label": labels})


def media(folder, kind, pattern):
    (path,) = (folder / "subject1" / kind).glob(pattern)
    return path


def messages(folder):
    return [problem["message"] for problem in EAV(folder).describe()["problems"]]


# --- what is read


def test_trials(root):
    reader = EAV(root)
    assert (reader.subjects, reader.synthetic, READERS["eav"]) == ((1, 2), True, EAV)
    signals = scipy.io.loadmat(root / "subject2" / "EEG" / "subject2_eeg.mat")["seg1"]
    labels = scipy.io.loadmat(root / "subject2" / "EEG" / "subject2_eeg_label.mat")["label"]
    trials = list(reader.trials([2]))
    assert [trial.trial for trial in trials] == [trial.presentation for trial in trials] == list(range(1, 21))
    for trial in trials:
        place = trial.trial - 1
        np.testing.assert_array_equal(trial.recording.signal, signals[:, :, place].T.astype(np.float32))
        assert trial.recording.channel_names == trial.eeg_channel_names == CHANNEL_NAMES
        assert (trial.recording.sampling_rate_hz, trial.duration_seconds) == (500, SECONDS)
        assert set(trial.recording.units) == {"uV"}
        (row,) = np.flatnonzero(labels[:, place])
        assert trial.ratings == {"emotion": row // 2, "task": row % 2}
        task, emotion = TASKS[row % 2].capitalize(), EMOTIONS[row // 2].capitalize()
        (video,) = (root / "subject2" / "Video").glob(f"{trial.trial:03d}_Trial_*_{task}_{emotion}.mp4")
        assert trial.video == video
        if task == "Speaking":
            (voice,) = (root / "subject2" / "Audio").glob(f"{trial.trial:03d}_*_Speaking_{emotion}_Aud.wav")
            assert trial.voice == Clip(voice, 0.0, SECONDS)
        else:
            assert trial.voice is None


def test_the_split_of_the_authors_trains_on_the_first_of_each_class():
    rng = np.random.default_rng(0)
    emotions, tasks = rng.permutation(np.repeat(np.arange(5), 40)), np.tile([0, 1], 100)
    emotions[1::2] = emotions[::2]
    parts = np.array(_parts(emotions.tolist(), tasks.tolist()))
    for emotion in range(5):
        for task in (0, 1):
            own = parts[(emotions == emotion) & (tasks == task)]
            n_training = 14 * len(own) // 20
            assert own.tolist() == ["train"] * n_training + ["test"] * (len(own) - n_training)


def test_blocks_of_one_emotion_are_the_stimuli(root):
    trials = list(EAV(root).trials())
    blocks = [(trial.subject, trial.stimulus, EMOTIONS[int(trial.ratings["emotion"])]) for trial in trials]
    expected = [("neutral", 2), ("anger", 8), ("neutral", 2), ("calmness", 8)]
    assert blocks == [
        (subject, f"subject{subject:02d}_block{block:02d}", emotion)
        for subject in (1, 2)
        for block, (emotion, count) in enumerate(expected, 1)
        for _ in range(count)
    ]
    assert "consecutive trials of one emotion" in EAV.meaning_of_stimulus


@pytest.mark.parametrize("task", ["speaking", "listening"])
def test_one_task_alone(root, task):
    reader = EAV(root, task=task)
    trials = list(reader.trials([1]))
    assert [trial.trial for trial in trials] == list(range(1 if task == "listening" else 2, 21, 2))
    assert {TASKS[int(trial.ratings["task"])] for trial in trials} == {task}
    assert all((trial.voice is not None) == (task == "speaking") for trial in trials)
    assert f"only {task} trials are read" in reader.notes()[1]


def test_another_rate(root):
    one = next(EAV(root, sampling_rate_hz=100.0).trials())
    assert (one.recording.sampling_rate_hz, one.recording.signal.shape) == (100, (30, 100 * SECONDS))
    assert one.recording.signal.dtype == np.float32


def test_other_names_and_folders(tmp_path):
    out = tmp_path / "EAV"
    write_eav(out, n_subjects=1, n_conversations=1, variable="seg", zero_padded=True, media=False, **SMALL)
    for path in sorted((out / "subject01" / "EEG").iterdir()):
        # One file name of the dataset has two underscores.
        path.rename(path.with_name(path.name.replace("subject01_", "subject01__", 1)))
    reader = EAV(tmp_path)
    assert [path.name for path in reader.source_files(1)] == ["subject01__eeg.mat", "subject01__eeg_label.mat"]
    assert len(list(reader.trials())) == 10
    assert sorted(one["message"] for one in reader.describe()["problems"]) == [
        "missing .mp4 files; expected 10",
        "missing .wav files; expected 5",
        "no audio or video file to verify which rows of the labels are speaking",
    ]


def test_volts(copy):
    path = copy / "subject1" / "EEG" / "subject1_eeg.mat"
    signals = scipy.io.loadmat(path)["seg1"]
    scipy.io.savemat(path, {"seg1": signals * 1e-6})
    trial = next(EAV(copy).trials())
    np.testing.assert_allclose(trial.recording.signal, signals[:, :, 0].T, rtol=1e-6)


# --- pairing and labels


def test_files_are_paired_by_number_whatever_their_order_and_other_number(copy):
    """The number after `Trial` differs between audio and video of one trial in the dataset."""
    path = media(copy, "Audio", "004_*")
    path.rename(path.with_name("004_trial_02_speaking_anger_aud.wav"))
    trial = list(EAV(copy).trials())[3]
    assert trial.voice.path.name == "004_trial_02_speaking_anger_aud.wav"
    assert trial.video.name.startswith("004_")


def test_rows_of_listening_and_speaking_are_compared_with_the_names(copy):
    labels = labels_of(copy)
    write_labels(copy, labels.reshape(5, 2, -1)[:, ::-1].reshape(10, -1))
    with pytest.raises(
        InputError,
        match=r"30 of 30 file names contradict the labels, first trial 1: speaking neutral, but 001_.*"
        "the rows of listening and speaking are swapped",
    ):
        EAV(copy).check()


def test_emotions_are_compared_with_the_names(copy):
    labels = labels_of(copy)
    labels[:, 4] = np.roll(labels[:, 4], 2)
    write_labels(copy, labels)
    with pytest.raises(
        InputError,
        match=r"1 of 30 file names contradict the labels, first trial 5: listening happiness, but 005_.*_Anger.mp4",
    ):
        EAV(copy).check()


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros((10, 20)), "`label` of trial 1, 2, .* is not a single 1"),
        (np.eye(20)[:10], "`label` of trial 11, 12, "),
        (np.eye(10), r"`label` is float64 \(10, 10\); expected numbers of shape \(10, 20\)"),
        ("text", "`label` is <U4"),
    ],
)
def test_labels_that_cannot_be_used(copy, labels, message):
    write_labels(copy, labels)
    with pytest.raises(InputError, match=f"subject1_eeg_label.mat: {message}"):
        EAV(copy).check()


def test_the_order_of_the_conversations_is_compared(copy):
    marker = json.loads((copy / "synthetic.json").read_text())
    (copy / "synthetic.json").write_text(json.dumps(marker | {"conversations": ["calmness", "anger"]}))
    assert messages(copy) == [
        "exchanges (4 of anger, 4 of calmness) are not in EAV's order of conversations; check the version of the "
        "dataset"
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"conversations": ["calmness", 2**63]}, "conversations has 9223372036854775808; expected some of"),
        ({"subjects": [1, [2]]}, "subjects has other than whole numbers"),
    ],
    ids=["conversation", "subject"],
)
def test_damaged_parameters_of_a_synthetic_copy(copy, change, message):
    marker = json.loads((copy / "synthetic.json").read_text())
    (copy / "synthetic.json").write_text(json.dumps(marker | change))
    with pytest.raises(InputError, match=rf"synthetic\.json: {message}"):
        EAV(copy)


def test_trials_that_are_no_exchanges(copy):
    shutil.rmtree(copy / "subject1" / "Audio")
    shutil.rmtree(copy / "subject1" / "Video")
    labels = labels_of(copy)
    write_labels(copy, labels[:, ::-1])
    assert any("do not alternate between listening and speaking" in message for message in messages(copy))


def test_the_facts_make_two_hundred_trials():
    conversations = FACTS["conversations"]
    letters = "".join(name[0].upper() for name in conversations)
    assert letters == "AACCSSHACHHSSAACCHHS"
    assert 2 * FACTS["n_exchanges_of_conversation"] * len(conversations) == FACTS["n_trials"] == 200
    own = FACTS["n_exchanges_of_conversation"] - FACTS["n_neutral_exchanges_of_conversation"]
    counts = {name: own * conversations.count(name) for name in EMOTIONS[1:]}
    counts["neutral"] = FACTS["n_neutral_exchanges_of_conversation"] * len(conversations)
    assert set(counts.values()) == {FACTS["n_exchanges_of_class"]}


# --- signals that cannot be used


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"data": np.zeros((1000, 30, 20))}, "missing variable seg1 or seg; found data"),
        ({"seg": np.zeros((20, 30, 1000))}, r"`seg` has shape \(20, 30, 1000\); expected \(1000, 30, 20\)"),
        (
            {"seg": np.full((1000, 30, 20), 1e4) * np.sin(np.arange(1000))[:, None, None]},
            r"EEG has a standard deviation of \S+e\+03 ",
        ),
    ],
)
def test_signals_that_cannot_be_used(copy, variables, message):
    scipy.io.savemat(copy / "subject1" / "EEG" / "subject1_eeg.mat", variables)
    with pytest.raises(InputError, match=f"subject1_eeg.mat: {message}"):
        EAV(copy).check()


def test_faults_are_listed_by_trial(copy):
    path = copy / "subject1" / "EEG" / "subject1_eeg.mat"
    signals = scipy.io.loadmat(path)["seg1"]
    signals[:, 4, 2] = 1.0
    signals[7, 0, 5] = np.nan
    scipy.io.savemat(path, {"seg1": signals})
    with pytest.raises(InputError) as caught:
        EAV(copy).check()
    assert [line.partition(".mat: ")[2] for line in str(caught.value).splitlines()] == [
        "trial 3: constant signal in EEG channel Fz",
        "trial 6: NaN or infinite values in Fp1",
    ]


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda copy: media(copy, "EEG", "*eeg.mat").unlink(), "missing; expected one file subject1_eeg.mat"),
        (
            lambda copy: shutil.copy(media(copy, "EEG", "*eeg.mat"), copy / "subject1" / "EEG" / "subject01_eeg.mat"),
            "subject01_eeg.mat and subject1_eeg.mat; expected one",
        ),
        (
            lambda copy: shutil.copy(
                media(copy, "Video", "003*"), copy / "subject1/Video/003_Trial_9_Listening_Anger.mp4"
            ),
            "duplicate file of trial 3: 003_Trial_03_Listening_Anger.mp4",
        ),
        (
            lambda copy: media(copy, "Video", "003*").rename(copy / "subject1/Video/021_Trial_01_Listening_Anger.mp4"),
            "trial 21; expected 1 to 20; check that the file is of this subject",
        ),
    ],
)
def test_files_that_do_not_fit(copy, break_it, message):
    break_it(copy)
    with pytest.raises(InputError, match=message):
        EAV(copy).check()
    with pytest.raises(InputError, match=message):
        next(EAV(copy).trials())


# --- what is missing beside the EEG


def test_what_does_not_block_is_described(copy):
    media(copy, "Audio", "006*").unlink()
    media(copy, "Video", "007*").unlink()
    (copy / "subject1" / "Video" / "notes.txt").write_text("by hand")
    media(copy, "Video", "009*").write_bytes(b"no video")
    with wave.open(str(media(copy, "Audio", "008*")), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes(bytes(16000))
    found = messages(copy)
    assert found[:3] == [
        "missing .wav of trial 6",
        "missing .mp4 of trial 7",
        "not read; expected a name like 002_Trial_02_Speaking_Neutral.mp4",
    ]
    assert found[3] == "duration of 0.5 s; expected 2 s"
    assert found[4].startswith("unreadable video")
    reader = EAV(copy)
    reader.check()
    trials = list(reader.trials())
    assert (trials[5].voice, trials[6].video) == (None, None)


def test_missing_subjects(root, copy):
    marker = json.loads((root / "synthetic.json").read_text())
    (copy / "synthetic.json").write_text(json.dumps(marker))
    assert messages(copy) == ["no folder of subject 2; expected 2 subjects; copy the others"]


def test_folders_that_cannot_be_used(copy, tmp_path):
    with pytest.raises(InputError, match="no folder like subject1 with EEG, Audio and Video"):
        EAV(copy / "subject1" / "EEG")
    (copy / "subject01" / "EEG").mkdir(parents=True)
    with pytest.raises(InputError, match="subject01 and subject1 belong to one subject; expected one folder"):
        EAV(copy)


@pytest.mark.parametrize("options", [{"file_format": "mat"}, {"task": "singing"}, {"sampling_rate_hz": -1.0}])
def test_bad_arguments(root, options):
    (name,) = options
    with pytest.raises(ValueError, match=f"`{name}` is"):
        EAV(root, **options)
