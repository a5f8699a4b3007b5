"""The command line: what it prints and the codes it exits with."""

import json
import subprocess
import sys

import pytest

from keras_emotion import cli
from keras_emotion.schema import InputError


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
    assert lines[-1] == "the copy is whole"


def test_describe_briefly_and_another_format(root, capsys):
    assert cli.main(["describe", str(root), "--dataset", "deap", "--brief", "--file-format", "matlab"]) == 0
    out = capsys.readouterr().out
    assert "data_preprocessed_matlab/s01.mat" in out
    assert "Artist" not in out


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


def test_describe_names_every_problem_and_exits_with_1(root, tmp_path, capsys):
    import shutil

    shutil.copytree(root, tmp_path / "copy")
    path = tmp_path / "copy" / "data_preprocessed_python" / "s01.dat"
    path.write_bytes(path.read_bytes()[:-5000])
    (tmp_path / "copy" / "data_preprocessed_python" / "s02.dat").unlink()
    words = ["describe", str(tmp_path / "copy"), "--dataset", "deap"]
    assert cli.main(words) == 1
    lines = capsys.readouterr().out.splitlines()
    problems = [line for line in lines if line.startswith("problem: ")]
    assert len(problems) == 2
    assert problems[0].endswith("s02.dat: missing: the subject has ratings")
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
        (["describe", "{root}", "--dataset", "sam40"], "holds no recordings of SAM40"),
        (["describe", "{root}", "--dataset", "deap", "--file-format", "original"], "holds no data_original/sNN.bdf"),
        (
            ["describe", "{root}", "--dataset", "deap", "--file-format", "raw"],
            "`file_format` is 'raw'; expected one of",
        ),
        (["synthesize", "deap", "{root}", "--trials", "50"], "`n_trials` is 50; expected 1 to 40"),
        (
            ["synthesize", "deap", "/dev/null/out", "--trials", "1"],
            "/dev/null/out/metadata_csv: cannot be written (Not a directory)",
        ),
        (["synthesize", "sam40", "{root}", "--subjects", "0"], "`n_subjects` is 0; expected 1 to 40"),
    ],
)
def test_unusable_input_is_one_line_and_exit_code_2(root, words, message, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main([word.format(root=root) for word in words])
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


def test_exit_on_input_error(capsys):
    @cli.exit_on_input_error
    def command(value: int, *, error: type[Exception] | None = None) -> int:
        """Docstring."""
        if error is not None:
            raise error("a.dat: broken\nb.dat: broken")
        return value

    assert command(3) == 3
    assert (command.__name__, command.__doc__) == ("command", "Docstring.")
    with pytest.raises(SystemExit) as caught:
        command(3, error=InputError)
    assert caught.value.code == 2
    assert capsys.readouterr().err == "error: a.dat: broken\nb.dat: broken\n"
    # A bug of ours is no fault of the input.
    with pytest.raises(ValueError, match="broken"):
        command(3, error=ValueError)


def test_module_runs_and_loads_nothing_heavy():
    """One process: exit code, no traceback, and neither Keras nor a backend for a help text."""
    script = "import sys; from keras_emotion import cli; print(cli.main(['--help']))"
    watch = "import atexit, sys; atexit.register(lambda: print(sorted({'keras', 'tensorflow', 'mne', 'scipy.signal', "
    watch += "'matplotlib', 'torch', 'jax'} & set(sys.modules)))); "
    run = subprocess.run([sys.executable, "-c", watch + script], capture_output=True, text=True, check=False)
    assert run.returncode == 0
    assert run.stdout.splitlines()[-1] == "[]"
    assert "Traceback" not in run.stderr
    run = subprocess.run(
        [sys.executable, "-m", "keras_emotion.cli", "describe", "nowhere", "--dataset", "deap"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr == "error: nowhere: no such folder; expected the root folder of the data set\n"
