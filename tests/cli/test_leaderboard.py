"""The command `keras-emotion leaderboard` on a small synthetic SAM40."""

import json
import time

import pandas as pd
import pytest

from keras_emotion import cli
from keras_emotion.cli.leaderboard import Leaderboard
from keras_emotion.datasets import SAM40
from keras_emotion.experiment import RunFolder, run
from keras_emotion.synthetic import write_sam40


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_sam40(tmp_path_factory.mktemp("data") / "sam40", n_subjects=3, effect_size=2.0)


def words(root, output, *more):
    models = ["--models", "svm", "logistic_regression", "face_network_eeg_svm"]
    fixed = ["--protocols", "trial_disjoint", "subject_disjoint", "--preset", "demo", "--workers", "1"]
    return ["leaderboard", "--data-root", str(root), "--output", str(output), *models, *fixed, *more]


def test_sittings_end_with_the_page_of_one_that_was_not_interrupted(root, tmp_path, capsys):
    output = tmp_path / "board"
    assert cli.main(words(root, output, "--minutes", "0")) == 0
    printed = capsys.readouterr().out
    assert "0 of 4 runs finished" in printed
    assert "left: svm, trial_disjoint: not started" in printed
    assert "- not started: svm, logistic_regression" in (output / "leaderboard.md").read_text().splitlines()
    # Too short for a training: what the models cost is measured all the same.
    assert cli.main(words(root, output, "--minutes", "0.0001")) == 0
    assert "0 of 4 runs finished" in capsys.readouterr().out
    costs = json.loads((output / "costs.json").read_text())
    assert set(costs) == {"svm", "logistic_regression"}
    assert costs["svm"]["n_parameters"] is None
    page, tables = tmp_path / "docs" / "page.md", tmp_path / "tables"
    assert cli.main(words(root, output, "--minutes", "30", "--page", str(page), "--tables", str(tables))) == 0
    printed = capsys.readouterr().out
    assert "4 of 4 runs finished" in printed
    assert "left:" not in printed
    title, *lines = printed[printed.index("Leaderboard: SAM40, task") :].splitlines()
    assert title.rstrip().endswith("synthetic data: says nothing about emotion")
    assert max(map(len, lines[: lines.index("4 of 4 runs finished")])) <= 100
    assert sum("logistic_regression" in line for line in lines) == 2
    text = page.read_text()
    assert "synthetic data" in text
    assert "- left out (needs images, video): face_network_eeg_svm" in text
    assert "a stimulus is the first, second or third repetition of a task" in text
    assert "task: the label is a property of the stimulus" in text
    assert "| *knows the stimulus* | 100.0 |" in text
    assert str(tmp_path) not in text
    scores = pd.read_csv(tables / "sam40_leaderboard_scores.csv")
    assert set(scores["status"]) == {"finished"}
    assert (scores["accuracy"] > 0.5).all()
    assert len(pd.read_csv(tables / "sam40_leaderboard_pairs.csv")) == 2
    (output / "costs.json").write_text('{"svm": 3}')
    with pytest.raises(SystemExit, match=r"^2$"):
        cli.main(words(root, output, "--minutes", "0"))
    assert "costs.json: damaged; expected hours and parameters by model; delete it" in capsys.readouterr().err
    (output / "costs.json").write_text(json.dumps(costs))
    # Nothing is trained again.
    before = {file: file.stat().st_mtime_ns for file in output.rglob("jobs/*")}
    assert cli.main(words(root, output, "--minutes", "30")) == 0
    assert {file: file.stat().st_mtime_ns for file in output.rglob("jobs/*")} == before
    assert pd.read_csv(output / "sam40_leaderboard_scores.csv").equals(scores)
    # On another machine, which has the archives alone.
    archives, other = tmp_path / "archives", tmp_path / "other"
    assert cli.main(words(root, output, "--minutes", "0", "--archives", str(archives))) == 0
    archived = {file.name: file.read_bytes() for file in archives.iterdir()}
    assert len(archived) == 5
    capsys.readouterr()
    assert cli.main(words(root, other, "--minutes", "0", "--archives", str(archives))) == 0
    assert "4 of 4 runs finished" in capsys.readouterr().out
    assert pd.read_csv(other / "sam40_leaderboard_scores.csv").equals(scores)
    assert {file.name: file.read_bytes() for file in archives.iterdir()} == archived
    # A run of other settings is not continued.
    changed = words(root, tmp_path / "changed", "--minutes", "0", "--archives", str(archives), "--subjects", "1", "2")
    assert cli.main(changed) == 0
    printed = capsys.readouterr().out
    assert printed.count("of other settings; the run starts anew") == 4
    assert "0 of 4 runs finished" in printed


def test_a_run_that_is_stopped_is_resumed_to_the_same_tables(root, tmp_path):
    board = Leaderboard(root, models=("logistic_regression",), preset="demo", workers=1, output=tmp_path)
    wanted = board._models(25.0)[0]["logistic_regression"].changed({"protocols": ("subject_disjoint",)})
    reader = SAM40(root)
    stopped = run(wanted, reader, tmp_path / "stopped", stop_at=time.time())
    assert stopped.is_started
    assert not stopped.is_finished
    assert not stopped.check_jobs().finished
    run(wanted, reader, tmp_path / "stopped", resume=True, stop_at=time.time() + 1e6)
    whole = run(wanted, reader, tmp_path / "whole")
    for name in ("predictions.csv", "results.csv"):
        assert (stopped.path / name).read_bytes() == (whole.path / name).read_bytes()
    assert RunFolder(tmp_path / "stopped").is_finished


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--minutes", "-1"], "--minutes -1: expected 0 or more"),
        (["--models", "oracle"], "oracle"),
        (["--protocols", "by_luck"], "by_luck"),
        (["--dataset", "sam41"], "sam41"),
        (["--preset", "huge"], "--preset huge: expected one of paper"),
        (["--models", "face_network_eeg_svm"], "--models: none of them needs only EEG"),
    ],
)
def test_what_cannot_be_is_refused(root, tmp_path, capsys, more, message):
    with pytest.raises(SystemExit, match=r"^2$"):
        cli.main(["leaderboard", "--data-root", str(root), "--output", str(tmp_path / "board"), *more])
    printed = capsys.readouterr().err
    assert message in printed
    assert "Traceback" not in printed
    assert not (tmp_path / "board").exists()
