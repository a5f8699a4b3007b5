"""SAM40 reader, on synthetic files in the published format, a compact archive, and the real recordings."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import scipy.io

from keras_emotion.datasets import READERS, SAM40
from keras_emotion.datasets.sam40 import CHANNEL_NAMES, TASKS, trial_id
from keras_emotion.schema import InputError
from keras_emotion.synthetic import write_sam40

STIMULI = [f"{task}_{n}" for task in ("Relax", "Stroop", "Arithmetic", "Mirror_image") for n in (1, 2, 3)]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Synthetic copy of two subjects, filtered and raw: read-only."""
    return write_sam40(tmp_path_factory.mktemp("sam40"), n_subjects=2, files=("filtered", "raw"))


@pytest.fixture
def copy(root, tmp_path):
    """Filtered files and labels, for tests that damage them."""
    shutil.copytree(root / "filtered_data", tmp_path / "filtered_data")
    shutil.copy(root / "stress_labels.csv", tmp_path)
    return tmp_path


@pytest.fixture
def compact(root, tmp_path):
    """The same recordings as one archive, in another order of recordings and channels."""
    arrays = compact_arrays(root)
    np.savez_compressed(tmp_path / "all.npz", **arrays)
    return tmp_path


def compact_arrays(root):
    trials = list(SAM40(root).trials())[::-1]
    pick = np.arange(32)[::-1]
    return {
        "eeg": np.stack([np.rint(trial.recording.signal[pick] / 0.05) for trial in trials]).astype(np.int16),
        "scale_uV": np.float32(0.05),
        "fs": np.int32(128),
        "task": np.array([trial.stimulus.rpartition("_")[0] for trial in trials]),
        "subject": np.array([trial.subject for trial in trials], dtype=np.int16),
        "trial": np.array([trial.stimulus[-1] for trial in trials]).astype(np.int8),
        "rating": np.array([trial.ratings.get("stress", 0) for trial in trials]).astype(np.int8),
        "ch_names": np.array(CHANNEL_NAMES)[pick],
    }


def edit_labels(folder, edit):
    path = folder / "stress_labels.csv"
    edit(pd.read_csv(path)).to_csv(path, index=False)


def test_trial_ids_number_the_tasks_in_order():
    assert [trial_id(task, n) for task in TASKS for n in (1, 2, 3)] == list(range(1, 13))


def test_published_files(root):
    dataset = SAM40(root)
    assert dataset.file_format == "filtered"
    assert dataset.subjects == (1, 2)
    assert dataset.synthetic
    labels = pd.read_csv(root / "stress_labels.csv").set_index(["subject", "task", "trial"])["rating"]
    trials = list(dataset.trials([2]))
    assert [trial.trial for trial in trials] == list(range(1, 13))
    assert [trial.stimulus for trial in trials] == STIMULI
    for trial in trials:
        task, _, repetition = trial.stimulus.rpartition("_")
        path = root / "filtered_data" / f"{task}_sub_2_trial{repetition}.mat"
        assert trial.recording.source == path
        np.testing.assert_array_equal(trial.recording.signal, scipy.io.loadmat(path)["Clean_data"])
        assert trial.recording.channel_names == trial.eeg_channel_names == CHANNEL_NAMES
        assert trial.recording.units == ("uV",) * 32
        assert (trial.recording.sampling_rate_hz, trial.recording.baseline_seconds) == (128, 0)
        assert trial.recording.duration_seconds == 25
        assert (trial.dataset, trial.subject, trial.presentation, trial.video) == ("sam40", 2, -1, None)
        label = {"Relax": "Relaxation", "Mirror_image": "Mirror_Image"}.get(task, task)
        stress = {} if task == "Relax" else {"stress": labels[2, label, int(repetition)]}
        assert trial.ratings == {"task": TASKS.index(task), **stress}
        assert SAM40.class_names["task"][int(trial.ratings["task"])] == task
    # Relaxation was not rated: its 0 in the labels is not a rating, and must not count as a low one.
    assert [list(trial.ratings) for trial in trials] == [["task"]] * 3 + [["task", "stress"]] * 9


def test_raw_files_are_read_when_asked_for(root):
    dataset = SAM40(root, file_format="raw")
    for raw, filtered in zip(dataset.trials([1]), SAM40(root).trials([1]), strict=True):
        assert raw.recording.source.parent.name == "raw_data"
        assert (raw.trial, raw.stimulus, raw.ratings) == (filtered.trial, filtered.stimulus, filtered.ratings)
        assert not np.allclose(raw.recording.signal, filtered.recording.signal)


def test_compact_file_gives_the_same_trials(root, compact):
    dataset = SAM40(compact)
    assert dataset.file_format == "compact"
    assert dataset.subjects == (1, 2)
    dataset.check()
    for one, other in zip(dataset.trials(), SAM40(root).trials(), strict=True):
        assert (one.subject, one.trial, one.stimulus, one.ratings) == (
            *(other.subject, other.trial, other.stimulus, other.ratings),
        )
        assert one.recording.channel_names == CHANNEL_NAMES[::-1]
        assert one.eeg.channel_names == CHANNEL_NAMES
        np.testing.assert_allclose(one.eeg.signal, other.eeg.signal, rtol=0, atol=0.0251)


def test_compact_file_is_read_once_and_stays_integer(compact, monkeypatch):
    calls = []
    load = np.load
    monkeypatch.setattr(np, "load", lambda path, **options: calls.append(path) or load(path, **options))
    dataset = SAM40(compact)
    assert "_compact_eeg" not in vars(dataset)
    for _ in range(3):
        list(dataset.trials([1]))
    # Index and shape at construction, the recordings at the first trial.
    assert len(calls) == 3
    assert dataset._compact_eeg.dtype == np.int16


def test_source_files(root, compact):
    files = [path.relative_to(root).as_posix() for path in SAM40(root).source_files(1)]
    assert files[:2] == ["filtered_data/Relax_sub_1_trial1.mat", "filtered_data/Relax_sub_1_trial2.mat"]
    assert files[-1] == "stress_labels.csv"
    assert len(files) == 13
    assert SAM40(compact).source_files(1) == (compact / "all.npz",)


def test_description(root):
    description = json.loads(json.dumps(SAM40(root).describe(), allow_nan=False))
    assert description["problems"] == []
    assert description["class_names"] == {"task": list(TASKS)}
    first = description["subjects"][0]
    assert (first["sampling_rate_hz"], first["n_channels"], len(first["trials"])) == (128, 32, 12)
    assert [trial["stimulus"] for trial in first["trials"]] == STIMULI


def test_missing_recording_is_described_and_does_not_block(copy):
    (copy / "filtered_data" / "Stroop_sub_2_trial3.mat").unlink()
    dataset = SAM40(copy)
    dataset.check()
    assert [trial.trial for trial in dataset.trials([2])] == [1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 12]
    (problem,) = dataset.describe()["problems"]
    assert problem == {
        "file": str(copy / "filtered_data"),
        "subject": 2,
        "message": "subject 2: missing Stroop_3",
    }


def test_registry():
    assert READERS["sam40"] is SAM40
    assert all(reader.name == name for name, reader in READERS.items())


# --- what is refused


def test_nothing_there(tmp_path):
    with pytest.raises(InputError, match=r"no recordings of SAM40; expected files such as Stroop_sub_1_trial1.mat"):
        SAM40(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        SAM40(tmp_path / "nowhere")


def test_bad_arguments(root):
    with pytest.raises(ValueError, match="`file_format` is 'npz'"):
        SAM40(root, file_format="npz")
    with pytest.raises(InputError, match="no compact recordings"):
        SAM40(root, file_format="compact")
    with pytest.raises(InputError, match="no files of subject 3; available: 1, 2"):
        SAM40(root).check([3])


def test_same_recording_twice(copy):
    (copy / "again").mkdir()
    shutil.copy(copy / "filtered_data" / "Relax_sub_1_trial1.mat", copy / "again")
    with pytest.raises(InputError, match=r"duplicate Relax_1 of subject 1: .*again/.* and .*filtered_data/"):
        SAM40(copy)


def clean(value):
    return lambda path: scipy.io.savemat(path, {"Clean_data": value})


def spoiled(row, value):
    signal = np.random.default_rng(0).normal(size=(32, 3200))
    signal[row] = value
    return clean(signal)


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:1000]), "damaged or truncated MATLAB file"),
        (lambda path: scipy.io.savemat(path, {"Data": np.ones((32, 3200))}), "missing variable `Clean_data`"),
        (
            clean(np.ones((14, 3200))),
            r"`Clean_data` is float64 \(14, 3200\); expected numbers of shape \(32, 3200\)",
        ),
        (clean("text"), "`Clean_data` is <U"),
        (spoiled(1, np.nan), "NaN or infinite values in Fz"),
        (spoiled(31, 7.0), "constant signal in EEG channel Fp2"),
    ],
    ids=["truncated", "raw among filtered", "shape", "text", "NaN", "flat"],
)
def test_broken_recording(copy, break_it, message):
    path = copy / "filtered_data" / "Stroop_sub_1_trial2.mat"
    break_it(path)
    with pytest.raises(InputError, match=f"^{path}: {message}") as caught:
        SAM40(copy).check()
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match=f"^{path}: {message}"):
        list(SAM40(copy).trials([1]))
    (problem,) = SAM40(copy).describe()["problems"]
    assert (problem["file"], problem["subject"]) == (str(path), 1)


def test_all_bad_recordings_are_listed_together(copy):
    for name in ("Relax_sub_1_trial1.mat", "Mirror_image_sub_2_trial3.mat"):
        (copy / "filtered_data" / name).write_bytes(b"")
    edit_labels(copy, lambda table: table[(table["subject"] != 1) | (table["task"] != "Stroop")])
    with pytest.raises(InputError) as caught:
        SAM40(copy).check()
    lines = str(caught.value).splitlines()
    assert [line.split(": ")[0].split("/")[-1] for line in lines] == [
        "Relax_sub_1_trial1.mat",
        *["stress_labels.csv"] * 3,
        "Mirror_image_sub_2_trial3.mat",
    ]


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda path: path.unlink(), "missing file; expected the stress ratings"),
        (
            lambda path: path.write_text("subject,task\n1,Relax\n"),
            "expected a csv with the columns subject, task, trial",
        ),
        (lambda path: path.write_bytes(b""), "expected a csv with the columns"),
        (
            lambda path: edit_labels(path.parent, lambda t: t.assign(rating=t["rating"].where(t["rating"] < 3, 12))),
            r"line \d+: 1, \w+, \d, 12; expected whole numbers .*, and a rating from 0 to 10",
        ),
        (
            lambda path: edit_labels(path.parent, lambda t: t.assign(task=t["task"].replace("Stroop", "Stop"))),
            r"line 5: 1, Stop, 1, \d+; expected whole numbers",
        ),
        *(
            (
                lambda path, word=word: edit_labels(path.parent, lambda t: t.astype({"trial": str}).replace("2", word)),
                r"line 3: 1, \w+, [^,]+, \d+; expected whole numbers for subject and trial",
            )
            for word in ("inf", "2.5", "1e300", "0")
        ),
        (
            lambda path: edit_labels(path.parent, lambda t: t[t["trial"] != 3]),
            "missing row for subject 1, task Relax, trial 3",
        ),
    ],
    ids=["missing", "columns", "empty", "range", "task", "infinite", "fraction", "large", "zero", "row"],
)
def test_broken_labels(copy, break_it, message):
    path = copy / "stress_labels.csv"
    break_it(path)
    with pytest.raises(InputError, match=f"^{path}: {message}"):
        SAM40(copy).check()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"eeg": np.zeros((24, 32, 100), np.int16)}, r"`eeg` has shape \(24, 32, 100\); expected \(24, 32, 3200\)"),
        ({"task": np.array(["Relax"] * 5)}, r"`task` has shape \(5,\); expected \(24,\)"),
        ({"task": np.array(["Sleep"] * 24)}, r"unknown tasks \['Sleep'\]"),
        ({"trial": np.full(24, 4)}, r"`trial` holds \[4\]; expected 1 to 3"),
        ({"ch_names": np.array([f"A{n}" for n in range(32)])}, "channels A0, A1"),
        ({"fs": np.int32(256)}, "`fs` is 256; expected 128"),
        ({"subject": np.ones(24, int)}, "of subject 1"),
        ({"task": np.array([None] * 24)}, "damaged or truncated archive"),
    ],
)
def test_broken_compact_file(root, tmp_path, change, message):
    np.savez(tmp_path / "all.npz", **(compact_arrays(root) | change))
    with pytest.raises(InputError, match=message):
        SAM40(tmp_path)


def test_truncated_compact_file(compact):
    path = compact / "all.npz"
    path.write_bytes(path.read_bytes()[:10_000])
    with pytest.raises(InputError, match=rf"^{path}: damaged or truncated archive"):
        SAM40(compact)


def test_bad_recording_in_the_compact_file(root, tmp_path):
    arrays = compact_arrays(root)
    arrays["eeg"][-1, 0] = 5
    np.savez(tmp_path / "all.npz", **arrays)
    with pytest.raises(InputError, match=r"all.npz: subject 1, trial 1: constant signal in EEG channel Fp2$"):
        SAM40(tmp_path).check()


def test_compact_ratings_are_compared_with_the_csv(root, compact):
    shutil.copy(root / "stress_labels.csv", compact)
    SAM40(compact).check()
    edit_labels(compact, lambda table: table.assign(rating=(table["rating"] + 1) % 11))
    with pytest.raises(InputError, match=r"all.npz: `rating` of subject 1, Relax_1 is 0 but 1 in stress_labels.csv"):
        SAM40(compact).check([1])


# --- the real recordings


@pytest.fixture(scope="module")
def real():
    from pathlib import Path

    folder = Path(__file__).parents[2] / ".." / "shared" / "data" / "sam40"
    if not folder.is_dir():
        pytest.skip("the real recordings are not beside the checkout (../shared/data/sam40)")
    return folder


@pytest.mark.real_data
def test_real_compact_file(real):
    dataset = SAM40(real)
    assert dataset.file_format == "compact"
    assert not dataset.synthetic
    assert dataset.subjects == tuple(range(1, 41))
    dataset.check([1, 17, 40])
    with np.load(real / "sam40_filtered_480x32x3200_int16.npz") as archive:
        eeg, scale = archive["eeg"], archive["scale_uV"]
        keys = list(zip(archive["subject"], archive["task"], archive["trial"], strict=True))
        ratings, names = archive["rating"], archive["ch_names"]
    trials = list(dataset.trials([17]))
    assert [trial.stimulus for trial in trials] == STIMULI
    for trial in trials:
        task, _, repetition = trial.stimulus.rpartition("_")
        row = keys.index((17, task, int(repetition)))
        # The archive stores its scale in float32; the reader computes in float64.
        np.testing.assert_allclose(trial.recording.signal, eeg[row] * float(scale), rtol=1e-12)
        assert trial.recording.channel_names == tuple(names)
        assert trial.ratings.get("stress", 0) == ratings[row]
        assert 0.5 < trial.recording.signal.std() < 50


@pytest.mark.real_data
def test_real_published_files(real):
    dataset = SAM40(real, file_format="raw")
    assert dataset.subjects == (1, 9, 39)
    dataset.check()
    read = {(trial.subject, trial.stimulus): trial for trial in dataset.trials()}
    assert sorted(read) == [(1, "Mirror_image_1"), (1, "Relax_2"), (9, "Stroop_1"), (39, "Arithmetic_1")]
    for (subject, stimulus), trial in read.items():
        task, _, repetition = stimulus.rpartition("_")
        path = real / "raw_subset" / f"{task}_sub_{subject}_trial{repetition}.mat"
        np.testing.assert_array_equal(trial.recording.signal, scipy.io.loadmat(path)["Data"])
    labels = pd.read_csv(real / "stress_labels.csv").set_index(["subject", "task", "trial"])["rating"]
    assert read[39, "Arithmetic_1"].ratings == {"task": 2.0, "stress": labels[39, "Arithmetic", 1]}


@pytest.mark.real_data
def test_real_electrode_order(real):
    """The order of the rows of the published files is that of the electrode list published with them."""
    lines = (real / "Coordinates.locs").read_text().splitlines()
    assert tuple(line.split()[3] for line in lines if line.strip()) == CHANNEL_NAMES
