"""Part of SEED with eye movements, on synthetic pickles, and on damaged ones."""

import pickle
import re
import shutil

import numpy as np
import pytest

from keras_emotion.datasets import READERS, SEEDMultimodal
from keras_emotion.datasets.seed_multimodal import FACTS, _windows
from keras_emotion.schema import InputError
from keras_emotion.synthetic import write_seed_multimodal

EEG, EYES = "eeg_used_4s", "eye_tracking_feature"
LABELS = [2, 1, 0, 0, 1, 2, 0, 1, 2, 2, 1, 0, 1, 2, 0]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Two subjects, three sessions, clips of 8 s: read-only."""
    return write_seed_multimodal(tmp_path_factory.mktemp("seed"), n_subjects=2, clip_seconds=8)


@pytest.fixture
def copy(root, tmp_path):
    return shutil.copytree(root, tmp_path / "seed")


def eeg_of(path):
    """Arrays of a file, unpickled, since the file is synthetic."""
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files}
    return {name: array if name.endswith("label") else pickle.loads(array.tobytes()) for name, array in arrays.items()}


def edit(path, **changes):
    arrays = eeg_of(path) | changes
    whole = {name: array if name.endswith("label") else pickle.dumps(array) for name, array in arrays.items()}
    np.savez(path, **whole)


def problems_of(reader):
    return [(problem["file"].rpartition("/")[2], problem["message"]) for problem in reader.describe()["problems"]]


def test_windows_of_the_clips_add_up():
    """To the windows of the two parts of a real file, 499 and 343."""
    counts = []
    for trial in range(1, 16):
        part, windows, n_windows = _windows(FACTS["clip_seconds"], trial)
        assert (part, n_windows) == (("train", 499) if trial <= 9 else ("test", 343))
        counts.append((windows.start, windows.stop - 1))
    # As one public loader segments them, except for the border between clips 3 and 4 (there 165 and 166).
    assert counts[:9] == [
        *((0, 57), (58, 115), (116, 166), (167, 225), (226, 271)),
        *((272, 319), (320, 378), (379, 432), (433, 498)),
    ]
    assert counts[9:] == [(0, 58), (59, 116), (117, 174), (175, 232), (233, 291), (292, 342)]


def test_trials_are_cut_out_of_their_parts(root):
    reader = SEEDMultimodal(root)
    assert READERS["seed_multimodal"] is SEEDMultimodal
    assert (reader.subjects, reader.synthetic) == ((1, 2), True)
    assert problems_of(reader) == []
    trials = list(reader.trials([2]))
    assert [(trial.session, trial.trial) for trial in trials] == [(s, t) for s in (1, 2, 3) for t in range(1, 16)]
    # Every session shows the same clips.
    assert [trial.stimulus for trial in trials] == [f"clip_{clip:02d}" for clip in range(1, 16)] * 3
    assert [trial.ratings["emotion"] for trial in trials] == LABELS * 3
    assert [trial.split for trial in trials] == (["train"] * 9 + ["test"] * 6) * 3
    for trial in trials:
        stem = f"2_{trial.session}"
        part, first = ("train", 0) if trial.trial <= 9 else ("test", 9)
        rows = slice(2 * (trial.trial - 1 - first), 2 * (trial.trial - first))
        bands = eeg_of(root / EEG / f"{stem}.npz")[f"{part}_data"]
        values = trial.released_features.read("de")
        assert values.shape == (2, 62, 5)
        for place, band in enumerate(("delta", "theta", "alpha", "beta", "gamma")):
            np.testing.assert_array_equal(values[..., place], bands[band][rows])
        eyes = pickle.loads((root / EYES / stem).read_bytes())[f"{part}_data_eye"]
        np.testing.assert_array_equal(trial.eye_movements.read_features(), eyes[rows])
    assert reader.eye_files(1) == tuple(root / EYES / f"1_{session}" for session in (1, 2, 3))
    assert len(reader.notes()) == 2


def test_files_are_in_the_order_of_numbers(copy):
    """Not in lexicographic order, where 10 comes before 2."""
    for session in (1, 2, 3):
        for path in (copy / EEG / f"2_{session}.npz", copy / EYES / f"2_{session}"):
            path.rename(path.with_name(path.name.replace("2_", "10_", 1)))
    (copy / EEG / "1_1.npz").rename(copy / EEG / "2_1.npz")
    with pytest.raises(InputError, match=r"1_2.npz, 1_3.npz, 2_1.npz are not of one subject by their names"):
        SEEDMultimodal(copy)
    (copy / EEG / "2_1.npz").rename(copy / EEG / "1_1.npz")
    assert SEEDMultimodal(copy).source_files(2)[0].name == "10_1.npz"


def truncated(path, n_bytes=3000):
    path.write_bytes(path.read_bytes()[:n_bytes])


FIRST = "1_1.npz"
BLOCKING = {
    "labels": (
        lambda root: edit(root / EEG / FIRST, train_label=np.repeat(np.array([*LABELS[:8], 0]), 2)),
        "trial 9: labels [0]; expected 2",
    ),
    "number of labels": (
        lambda root: edit(root / EEG / FIRST, train_label=np.zeros(3)),
        "`train_label` is float64 (3,); expected 18 numbers",
    ),
    "windows": (
        lambda root: edit(root / EEG / FIRST, test_data=eeg_of(root / EEG / FIRST)["train_data"]),
        "`test_data` of shape (18, 62, 5); expected (12, 62, 5)",
    ),
    "bands": (
        lambda root: edit(root / EEG / FIRST, test_data={"delta": np.ones((12, 62))}),
        "`test_data` is delta; expected a dict of delta, theta, alpha, beta, gamma",
    ),
    "NaN": (
        lambda root: edit(
            root / EEG / FIRST,
            test_data={band: array * np.nan for band, array in eeg_of(root / EEG / FIRST)["test_data"].items()},
        ),
        "NaN or infinite values in `test_data`",
    ),
    "truncated": (lambda root: truncated(root / EEG / FIRST), "damaged .npz file"),
}


@pytest.mark.parametrize("fault", BLOCKING)
def test_faults_that_block(copy, fault):
    break_it, message = BLOCKING[fault]
    break_it(copy)
    for call in (SEEDMultimodal(copy).check, lambda: list(SEEDMultimodal(copy).trials())):
        with pytest.raises(InputError, match=rf"{FIRST}: {re.escape(message)}"):
            call()


EYE_ARRAYS = ("train_data_eye", "test_data_eye")
EYE_FAULTS = {
    "truncated": (lambda path: truncated(path, 500), "byte "),
    "columns": (
        lambda path: path.write_bytes(pickle.dumps({"train_data_eye": np.ones((18, 31))})),
        "`train_data_eye` is float64 (18, 31); expected numbers of shape (windows, 33)",
    ),
    "windows": (
        lambda path: path.write_bytes(
            pickle.dumps(dict.fromkeys(("train_data_eye", "test_data_eye"), np.ones((12, 33))))
        ),
        "12 windows of `train_data_eye`; expected 18",
    ),
    "no dict": (lambda path: path.write_bytes(pickle.dumps([1])), "`train_data_eye` is float64 (0,); expected numbers"),
}


@pytest.mark.parametrize("fault", EYE_FAULTS)
def test_faults_of_eye_movements_do_not_block(copy, fault):
    break_it, message = EYE_FAULTS[fault]
    break_it(copy / EYES / "1_1")
    reader = SEEDMultimodal(copy)
    reader.check()
    file, found = problems_of(reader)[0]
    assert file == "1_1"
    assert found.startswith(message), found


def test_another_number_of_files(copy):
    (copy / EYES / "2_3").unlink()
    reader = SEEDMultimodal(copy)
    with pytest.raises(InputError, match=f"{EYES}: 5 files; expected 6, as many as in {EEG}"):
        reader.check()
    assert "5 files; expected 6" in " ".join(message for _, message in problems_of(reader))
    shutil.rmtree(copy / EYES)
    SEEDMultimodal(copy).check()
    (copy / EEG / "2_3.npz").unlink()
    with pytest.raises(InputError, match=f"{EEG}: 5 files; expected 3 per subject; copy all of them"):
        SEEDMultimodal(copy)
