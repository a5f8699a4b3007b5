"""The command line: what it prints and the codes it exits with."""

import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

import keras_emotion
from keras_emotion import cli
from keras_emotion.cli.describe import _print_description
from keras_emotion.cli.parser import arguments_of
from keras_emotion.evaluation import PROTOCOLS
from keras_emotion.evaluation.power import subjects_needed
from keras_emotion.experiment.records import RunFolder


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A synthetic copy, written by the command."""
    root = tmp_path_factory.mktemp("deap") / "out"
    words = ["synthesize", "deap", str(root), "--subjects", "2", "--trials", "2", "--seed", "3"]
    assert cli.main([*words, "--effect-size", "0.5", "--fingerprint-size", "0", "--files", "python", "matlab"]) == 0
    return root


def test_synthesize_passes_its_options_on(root):
    marker = json.loads((root / "synthetic.json").read_text())
    assert marker | {"written_by": None} == {
        "written_by": None,
        "dataset": "deap",
        "subjects": [1, 2],
        "n_trials": 2,
        "seed": 3,
        "effect_size": 0.5,
        "fingerprint_size": 0.0,
        "fingerprint_in_baseline": False,
    }
    assert sorted(path.name for path in root.iterdir() if path.is_dir()) == [
        "data_preprocessed_matlab",
        "data_preprocessed_python",
        "metadata_csv",
    ]


def test_synthesize_sam40(tmp_path, capsys):
    assert cli.main(["synthesize", "sam40", str(tmp_path / "out"), "--subjects", "1", "--files", "raw"]) == 0
    assert capsys.readouterr().out == f"wrote {tmp_path / 'out'}\n"
    assert len(list((tmp_path / "out" / "raw_data").iterdir())) == 12
    assert cli.main(["describe", str(tmp_path / "out"), "--dataset", "sam40"]) == 0
    out = capsys.readouterr().out
    assert "sam40, synthetic files" in out
    assert "Mirror_image_3" in out
    # A class by its name, and not by its number.
    assert len(re.findall(r"\bRelax\b", out)) == 3
    assert "mean stress" in out
    assert "mean task" not in out


def test_describe_a_whole_copy(root, capsys):
    assert cli.main(["describe", str(root), "--dataset", "deap"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    lines = captured.out.splitlines()
    assert f"deap, synthetic files in {root}: 2 subjects" in lines[0]
    assert any("data_preprocessed_python/s02.dat" in line and "128" in line for line in lines)
    assert sum("Artist 1: Title 1" in line for line in lines) == 2
    assert lines[-1] == "the copy is complete"


def test_describe_briefly_and_another_format(root, capsys):
    assert cli.main(["describe", str(root), "--dataset", "deap", "--brief", "--file-format", "matlab"]) == 0
    out = capsys.readouterr().out
    assert "data_preprocessed_matlab/s01.mat" in out
    assert "Artist" not in out


def test_describe_of_many_ratings_names_those_without_a_column(capsys):
    names = ["joy", "anger", "fear", "sadness", "arousal", "valence", "liking", "class"]
    trial = {"trial": 1, "session": 1, "presentation": -1, "stimulus": "a", "duration_seconds": 1.0, "video": None}
    subject = {"subject": 1, "file": "F/x", "trials": [trial | {"ratings": dict.fromkeys(names, 1.0)}]}
    description = {"dataset": "d", "root": "F", "synthetic": False, "subjects": [subject], "problems": []}
    _print_description(description | {"class_names": {"class": ["low", "high"]}}, brief=False)
    out = " ".join(capsys.readouterr().out.split())
    assert "ratings without a column: fear, sadness (--json)" in out
    assert "mean valence ┃ mean arousal ┃ mean liking ┃ mean joy ┃ mean anger ┃ file" in out
    assert "seconds ┃ class ┃ valence ┃ arousal ┃ liking ┃ joy ┃ anger ┃ video" in out


def test_describe_as_json(root, capsys):
    assert cli.main(["describe", str(root), "--dataset", "deap", "--json"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    description = json.loads(captured.out)
    assert description["dataset"] == "deap"
    assert description["root"] == str(root)
    assert [subject["subject"] for subject in description["subjects"]] == [1, 2]
    trial = description["subjects"][1]["trials"][0]
    assert {"trial", "presentation", "stimulus", "ratings", "video"} <= set(trial)
    assert description["problems"] == []


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two finished runs of two subjects, all right and three of four right; and one that was interrupted."""
    folder = tmp_path_factory.mktemp("runs") / "runs"
    for place, (name, n_right) in enumerate((("one", 4), ("two", 3), ("open", 4))):
        run = RunFolder(folder / name)
        folder.mkdir(exist_ok=True)
        science = {"name": "deap", "targets": ["arousal"], "protocols": [PROTOCOLS["trial_disjoint"].describe()]}
        data = {"dataset": "deap", "synthetic": True, "subjects": [1, 2], "fingerprints": {"1": "a", "2": "b"}}
        run.start(science, f"{place}" * 16, data, resume=False)
        run.write_json("environment.json", {"started": f"2026-01-0{place + 1}T00:00:00+00:00"})
        for subject in (1, 2):
            for fold in (0, 1):
                trials = [2 * fold + 1, 2 * fold + 2]
                labels = [0, 1]
                predictions = [
                    label if trial <= n_right else 1 - label for label, trial in zip(labels, trials, strict=True)
                ]
                rows = {"subject": [subject] * 2, "trial": trials, "stimulus": ["x", "y"], "start_seconds": [0.0] * 2}
                rows |= {"stop_seconds": [1.0] * 2, "label": labels, "prediction": predictions}
                rows |= {f"probability_{name}": [0.5] * 2 for name in ("low", "high")}
                job = {"protocol": "trial_disjoint", "target": "arousal", "subject": subject, "repetition": 0}
                record = {"job": {**job, "fold": fold}, "predictions": rows, "metrics": {str(subject): {}}}
                record |= {"best_epoch": 1, "training_majority": 0, "n_training_windows": 2, "diagnostics": {}}
                run.write_job({**record, "n_validation_windows": 0})
        if name != "open":
            names = {"arousal": ["low", "high"]}
            run.finish({"not_evaluable": [], "dropped_windows": {}, "class_names": names})
    return folder


def test_runs_lists(runs, tmp_path, capsys, monkeypatch):
    assert cli.main(["runs", str(runs)]) == 0
    lines = capsys.readouterr().out.splitlines()
    shown = [line.split()[0] for line in lines if line.strip().startswith(("one", "two", "open"))]
    assert shown == ["one", "two", "open"]
    assert any("one" in line and "arousal 100.0 (" in line and "synthetic" in line for line in lines)
    assert any("two" in line and "arousal 75.0 (" in line and "2026-01-02 00:00" in line for line in lines)
    assert any("open" in line and "interrupted or running" in line for line in lines)
    assert cli.main(["runs", str(runs), "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["runs"]
    assert [run["is_finished"] for run in listed] == [True, True, False]
    assert listed[1]["headline"][0]["accuracy"] == 0.75
    # By default the folder `runs`.
    monkeypatch.chdir(runs.parent)
    assert cli.main(["runs"]) == 0
    assert "two" in capsys.readouterr().out


def test_runs_of_an_empty_folder_and_a_damaged_run(runs, tmp_path, capsys):
    assert cli.main(["runs", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"{tmp_path}: holds no runs\n"
    shutil.copytree(runs, tmp_path / "copy")
    (tmp_path / "copy" / "one" / "predictions.csv").write_text("")
    assert cli.main(["runs", str(tmp_path / "copy")]) == 1
    out = capsys.readouterr().out
    assert "damaged" in out
    assert "arousal 75.0" in out
    assert cli.main(["runs", str(tmp_path / "copy"), "--json"]) == 1
    first, *_, last = json.loads(capsys.readouterr().out)["runs"]
    assert (last["path"], last["progress"]) == (str(tmp_path / "copy" / "one"), "damaged")
    assert first["problem"] == ""


def test_report_of_one_run_and_of_two(runs, tmp_path, capsys):
    one, two = str(runs / "one"), str(runs / "two")
    before = sorted(runs.rglob("*"))
    assert cli.main(["report", one, "--output", str(tmp_path / "single")]) == 0
    assert f"report: {tmp_path / 'single' / 'report.html'}" in capsys.readouterr().out
    assert cli.main(["report", one, two, "--output", str(tmp_path / "both")]) == 0
    out = capsys.readouterr().out
    assert "0000000 is 25.0 points above 1111111 (by subject +25.0, +25.0)" in " ".join(out.split())
    assert sorted(path.name for path in (tmp_path / "both").iterdir()) == ["comparison.html", "comparison.png"]
    assert cli.main(["report", one, two, "--output", str(tmp_path / "both"), "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["comparisons"][0]["tests"]["mean_difference"] == 0.25
    assert captured.err == ""
    assert sorted(runs.rglob("*")) == before


def test_report_writes_below_runs_unless_told_otherwise(runs, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["report", str(runs / "one"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["report"] == f"runs/report-{'0' * 16}/report.html"
    assert (tmp_path / "runs" / f"report-{'0' * 16}" / "report.html").is_file()


def test_report_for_a_thesis_prints_text_and_nothing_else(runs, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    one = str(runs / "one")
    assert cli.main(["report", one, "--latex", "--bibtex"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("% needs \\usepackage{booktabs}")
    assert "@article{deap," in out
    assert list(tmp_path.iterdir()) == []
    assert cli.main(["report", one, "--share", "shared"]) == 0
    assert capsys.readouterr().out == "report to share: shared/report.html\n"
    for words, message in (
        ((one, "--latex", "--json"), "--json: cannot be combined with"),
        ((one, str(runs / "two"), "--latex"), "--latex: takes one run; 2 are given"),
        ((one, str(runs / "two"), "--share", "x"), "--share x: takes one run; 2 are given"),
    ):
        with pytest.raises(SystemExit) as stop:
            cli.main(["report", *words])
        assert stop.value.code == 2
        assert message in capsys.readouterr().err


def test_plan_says_what_a_study_needs(capsys):
    assert cli.main(["plan", "--difference", "5", "--subjects", "20", "--trials", "40"]) == 0
    out = capsys.readouterr().out
    assert "To detect 5 points above chance with 80 % power, alpha 0.05 two-sided" in out
    assert "assumed, because no spread is given (--run, --spread)" in out
    # 5 points between subjects and 0.55 * 0.45 / 40 of the trials make 9.3.
    within = next(line.split() for line in out.splitlines() if line.strip().startswith("trial_disjoint"))
    assert within[1:4] == ["50.0", "9.3", str(subjects_needed(0.05 / np.sqrt(0.05**2 + 0.55 * 0.45 / 40)))]
    assert cli.main(["plan", "--spread", "8.2", "--trials", "20", "--spread-trials", "40", "--json"]) == 0
    plans = json.loads(capsys.readouterr().out)["plans"]
    assert [plan["protocol"] for plan in plans] == [
        "trial_disjoint",
        "stimulus_disjoint",
        "subject_disjoint",
        "subject_and_stimulus_disjoint",
    ]
    assert plans[0]["assumptions"]["between"] == pytest.approx(np.sqrt(0.082**2 - 0.25 / 40))
    assert plans[0]["n_trials"] == 20


def test_plan_takes_the_spread_of_a_run(runs, capsys):
    assert cli.main(["plan", "--run", str(runs / "two"), "--difference", "10", "--json"]) == 0
    (plan,) = json.loads(capsys.readouterr().out)["plans"]
    # Two subjects with four trials each, of which both get three right: less spread than the trials have by themselves.
    assert plan["assumptions"] == {
        "chance": 0.5,
        "between": 0.0,
        "power": 0.8,
        "alpha": 0.05,
        "n_measured": 2,
    }
    found = [plan[name] for name in ("protocol", "target", "n_subjects", "n_trials")]
    assert found == ["trial_disjoint", "arousal", 2, 4]
    assert cli.main(["plan", "--run", str(runs / "two"), "--subjects", "30"]) == 0
    out = capsys.readouterr().out
    assert "of each of 30 subjects; detectable and power: of 30 subjects with 4 trials each" in out
    assert "with 2 subjects the true spread may be 0.4 to 31.9 times as large (95 % interval)" in out


def test_describe_names_every_problem_and_exits_with_1(root, tmp_path, capsys):
    shutil.copytree(root, tmp_path / "copy")
    path = tmp_path / "copy" / "data_preprocessed_python" / "s01.dat"
    path.write_bytes(path.read_bytes()[:-5000])
    (tmp_path / "copy" / "data_preprocessed_python" / "s02.dat").unlink()
    words = ["describe", str(tmp_path / "copy"), "--dataset", "deap"]
    assert cli.main(words) == 1
    lines = capsys.readouterr().out.splitlines()
    problems = [line for line in lines if line.startswith("problem: ")]
    assert len(problems) == 2
    assert problems[0].endswith("s02.dat: missing file of a subject with ratings; copy it")
    assert f"{path}: byte" in problems[1]
    assert "truncated" in problems[1]
    assert lines[-1] == "2 problem(s)"
    assert cli.main([*words, "--json"]) == 1
    description = json.loads(capsys.readouterr().out)
    assert [problem["subject"] for problem in description["problems"]] == [2, 1]
    assert description["subjects"][0]["trials"] == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["describe", "nowhere", "--dataset", "deap"], "nowhere: no such folder"),
        (["describe", "{root}", "--dataset", "sam40"], "no recordings of SAM40"),
        (
            ["describe", "{root}", "--dataset", "deap", "--file-format", "original"],
            "none of data_original/sNN.bdf found",
        ),
        (
            ["describe", "{root}", "--dataset", "deap", "--file-format", "raw"],
            "--file-format raw: expected one of",
        ),
        (["synthesize", "deap", "{root}", "--trials", "50"], "--trials 50: expected 1 to 40"),
        (
            ["synthesize", "deap", "/dev/null/out", "--trials", "1"],
            "/dev/null/out/metadata_csv: cannot be written (Not a directory)",
        ),
        (["synthesize", "sam40", "{root}", "--subjects", "0"], "--subjects 0: expected 1 to 40"),
        (["runs", "nowhere"], "nowhere: no such folder"),
        (["report"], "RUN: missing; see keras-emotion report --help"),
        (["report", "nowhere"], "nowhere/config.json: no such file; is nowhere a run folder?"),
        (["report", "{runs}/one", "{runs}/open"], "open: the run is not finished"),
        (["report", "{runs}/one", "{runs}/one"], "one: is given twice"),
        (
            ["report", "{runs}/one", "{runs}/two", "--output", "/dev/null/x"],
            "/dev/null/x: cannot be created: Not a directory",
        ),
    ],
)
def test_unusable_input_is_one_line_and_exit_code_2(root, runs, words, message, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main([word.format(root=root, runs=runs) for word in words])
    assert caught.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert message in captured.err
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize(
    "words", [[], ["describe"], ["describe", "x", "--dataset", "imagenet"], ["synthesize", "deap"]]
)
def test_bad_command_lines_exit_with_2(words, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(words)
    assert caught.value.code == 2


def test_module_runs_and_loads_nothing_heavy():
    """One process: no traceback, and nothing slow to import for the help of commands that list no registry."""
    heavy = {
        "numpy",
        "pandas",
        "scipy",
        "sklearn",
        "mne",
        "matplotlib",
        "pydantic",
        "keras",
        "tensorflow",
        "torch",
        "jax",
    }
    commands = {name: cli._load(name) for name in cli.COMMANDS}
    lists_none = [
        name
        for name, command in commands.items()
        if isinstance(command, type) and not any(argument.option.names for argument in arguments_of(command))
    ]
    assert {"audit", "faces", "predict", "runs"} <= set(lists_none)
    helps = [[], *([name] for name in lists_none)]
    script = f"""
import sys
import keras_emotion
from keras_emotion import cli
for words in {helps}:
    try:
        cli.main([*words, "--help"])
    except SystemExit as end:
        print("code", end.code)
    print("loaded", *sorted(sys.modules.keys() & {heavy}))
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.count("code 0\nloaded\n") == len(helps)
    run = subprocess.run(
        [sys.executable, "-m", "keras_emotion.cli", "describe", "nowhere", "--dataset", "deap"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr == "error: nowhere: no such folder; expected the root folder of the dataset; check the path\n"


def test_versions_that_a_report_of_a_fault_needs(capsys):
    assert cli.main(["--version"]) == 0
    found = dict(line.split(": ") for line in capsys.readouterr().out.splitlines())
    assert found["keras_emotion"] == keras_emotion.__version__
    assert found["numpy"] == np.__version__
    assert {"python", "tensorflow", "keras", "mne"} <= found.keys()
