import runpy
import shutil
import sys
from pathlib import Path

import pytest

from keras_emotion.datasets import DEAP
from keras_emotion.synthetic import write_deap

SCRIPTS = Path(__file__).parents[1] / "reproductions"


@pytest.fixture(scope="module")
def deap(tmp_path_factory):
    """A small DEAP folder."""
    return write_deap(tmp_path_factory.mktemp("data") / "deap", n_subjects=2, n_trials=6)


@pytest.fixture
def script(monkeypatch, tmp_path, capsys):
    """Runs a reproduction in an empty folder: exit code, standard output, standard error."""
    monkeypatch.chdir(tmp_path)

    def run(name, *arguments):
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        try:
            runpy.run_path(str(SCRIPTS / name), run_name="__main__")
        except SystemExit as stop:
            return stop.code or 0, *capsys.readouterr()
        return 0, *capsys.readouterr()

    return run


SMALL = (
    *("--preset", "demo", "--subjects", "1", "--targets", "valence", "--jobs", "1", "--training.epochs", "1"),
    *("--system.width-multiplier", "0.02", "--protocols", "trial_disjoint"),
)


def test_from_a_folder_to_a_report(script, deap, tmp_path):
    code, out, err = script("deap_3facrnn.py", "--data-root", deap, "--output", tmp_path / "run", *SMALL)
    assert code == 0, err
    assert "says nothing about emotion" in out
    assert "differs from the paper: system.width_multiplier: 1.0 -> 0.02" in out
    assert "W/O visual feature" in out
    for file in ("config.json", "environment.json", "results.csv", "predictions.csv", "report.html"):
        assert (tmp_path / "run" / file).is_file(), file
    assert list((tmp_path / "run" / "figures").glob("*.png"))


@pytest.mark.parametrize(
    "ablation",
    [
        ["--system.no-band-attention"],
        ["--system.no-self-attention"],
        ["--system.no-band-attention", "--system.no-self-attention"],
        ["--system.features.representation", "raw_slices"],
        ["--system.cell", "peephole"],
    ],
)
def test_ablations_of_the_paper_run_by_argument(script, deap, ablation):
    code, out, err = script("deap_3facrnn.py", "--data-root", deap, *SMALL, *ablation)
    assert code == 0, err
    assert "report:" in out


def test_a_dry_run_says_what_it_costs_and_trains_nothing(script, deap, tmp_path):
    code, out, _ = script("deap_3facrnn.py", "--data-root", deap, "--output", tmp_path / "run", *SMALL, "--dry-run")
    assert code == 0
    assert "3 jobs to do" in out
    assert "hours" in out
    assert not (tmp_path / "run").exists()


def test_the_paper_preset_names_the_ways_out(script, deap):
    arguments = ("--data-root", deap, "--preset", "paper", "--subjects", "1", "--dry-run", "--jobs", "1")
    code, out, _ = script(
        "deap_3facrnn.py", *arguments, "--training.epochs", "100000", "--system.width-multiplier", "0.02"
    )
    assert code == 0
    assert "ways out" in out


def _truncated(root):
    path = root / "data_preprocessed_python" / "s01.dat"
    path.write_bytes(path.read_bytes()[:1000])


def _two_broken(root):
    _truncated(root)
    (root / "data_preprocessed_python" / "s02.dat").write_bytes(b"")


@pytest.mark.parametrize(
    ("break_it", "arguments", "messages"),
    [
        (shutil.rmtree, [], ["no such folder"]),
        (_truncated, [], ["s01.dat"]),
        (_two_broken, [], ["s01.dat", "s02.dat"]),
        (lambda root: None, ["--subjects", "31"], ["no file of subject 31"]),
        (lambda root: None, ["--targets", "mood"], ["target 'mood' is no rating of data set deap"]),
        (lambda root: None, ["--system.teacher", "nowhere.npz"], ["nowhere.npz: no such file"]),
        (lambda root: None, ["--output", "data"], ["is not empty and holds no run"]),
    ],
)
def test_a_users_mistake_gets_clear_lines_and_exit_code_2(script, deap, tmp_path, break_it, arguments, messages):
    root = shutil.copytree(deap, tmp_path / "data")
    break_it(root)
    code, _, err = script("deap_3facrnn.py", "--data-root", root, "--jobs", "1", *arguments)
    assert code == 2
    assert err.startswith("error: ")
    assert "Traceback" not in err
    for message in messages:
        assert message in err


@pytest.mark.parametrize(
    "arguments",
    [["--preset", "quick"], ["--training.epochs", "0"], ["--speling", "1"], ["--protocols", "leave_one_out"]],
)
def test_bad_options_are_refused_with_exit_code_2(script, deap, arguments):
    code, _, err = script("deap_3facrnn.py", "--data-root", deap, *arguments)
    assert code == 2
    assert "Traceback" not in err


def test_a_preset_takes_the_subjects_that_are_there(script, deap, tmp_path):
    code, _, err = script(
        "deap_3facrnn.py",
        "--data-root",
        deap,
        "--preset",
        "reduced",
        "--dry-run",
        "--jobs",
        "1",
        "--training.epochs",
        "1",
        "--system.width-multiplier",
        "0.02",
    )
    assert code == 0, err
    assert DEAP(deap).subjects == (1, 2)
