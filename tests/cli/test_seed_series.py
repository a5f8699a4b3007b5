"""SEED-IV, SEED-V and SEED-VII from the command line: described, and run on features of EEG and eye movements."""

import json

import numpy as np
import pytest

from keras_emotion import cli
from keras_emotion.cli.request import choose, parse_request
from keras_emotion.synthetic import write_seed_iv, write_seed_v, write_seed_vii

WRITERS = {"seed_iv": write_seed_iv, "seed_v": write_seed_v, "seed_vii": write_seed_vii}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A function of the name: a copy of three subjects and one session with features alone."""
    written = {}

    def of(name):
        if name not in written:
            written[name] = WRITERS[name](
                tmp_path_factory.mktemp(name) / name,
                n_subjects=3,
                n_sessions=1,
                clip_seconds=4,
                files=["features", "eye_features"],
            )
        return written[name]

    return of


def words_of(name, model, root):
    words = ["--model", model, "--dataset", name, "--data-root", str(root(name)), "--features", "official"]
    return [*words, "--target", "emotion", "--protocols", "subject_disjoint", "--preset", "demo", "--workers", "1"]


@pytest.mark.parametrize("name", WRITERS)
def test_a_copy_is_described_and_run(name, root, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["describe", str(root(name)), "--dataset", name, "--brief"]) == 0
    assert "the copy is complete" in capsys.readouterr().out
    assert cli.main(["run", *words_of(name, "svm", root), "--full", "--output", "run"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    # Everybody saw the same clips, and the class is that of the clip.
    assert "knows the stimulus 100.0" in told
    assert "the label is a property of the stimulus, so that the stimulus determines the label" in told


def test_eyes_and_eeg_by_one_command(root, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert (
        cli.main(["run", *words_of("seed_iv", "dcca", root), "--full", "--output", "run", "--training.epochs", "1"])
        == 0
    )
    told = " ".join(capsys.readouterr().out.split())
    assert "knows the stimulus 100.0" in told
    assert "eye features were smoothed over the whole trial by their authors" in told
    assert "de_LDS was smoothed over the whole trial by its authors" in told
    system = json.loads((tmp_path / "run" / "experiment.json").read_text())
    assert "EyeComparisonNetwork" in json.dumps(system)


@pytest.mark.parametrize(
    ("name", "model", "array", "steps"),
    [("seed_iv", "dcca", "de_LDS", 1), ("seed_v", "mmreslstm", "de", 5), ("seed_vii", "dgcnn", "de_LDS", 1)],
)
def test_official_features_have_the_windows_of_the_files(name, model, array, steps, root):
    """And the feature that is there, where there is none of the usual name."""
    words = words_of(name, model, root)
    features = parse_request(choose(words), words).experiment.system.features
    assert (features.window_seconds, features.array, features.steps) == (4, array, steps)
    given = [*words, "--system.features.steps", "2"]
    assert parse_request(choose(given), given).experiment.system.features.steps == 2


def test_features_have_the_windows_of_the_files(root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["features", str(root("seed_v")), "--dataset", "seed_v", "--features", "official", "--workers", "1"]
    assert cli.main([*words, "--output", "X.npz"]) == 0
    with np.load("X.npz") as table:
        assert table["X"].shape == (3 * 15, 1, 62, 5)
        assert set(table["stop_seconds"] - table["start_seconds"]) == {4}
    with pytest.raises(SystemExit, match="2"):
        cli.main([*words, "--output", "Y.npz", "--window-seconds", "1"])


def test_a_dataset_without_eye_movements_is_refused_in_one_line(root, tmp_path, monkeypatch, capsys):
    copy = write_seed_iv(tmp_path / "copy", n_subjects=2, n_sessions=1, clip_seconds=4, files=["features"])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="2"):
        cli.main(["run", *words_of("seed_iv", "dcca", lambda name: copy)])
    error = capsys.readouterr().err
    assert "seed_iv, subject 1: no trial has eye features (no eye movements); leave this subject out" in error
    assert "Traceback" not in error
