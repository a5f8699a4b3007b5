"""The help of every command, as a new user reads it in a terminal of 80 columns."""

import shlex

import pytest

from keras_emotion import cli, papers
from keras_emotion.cli import parser
from keras_emotion.cli.request import ModelOptions, RunOptions
from keras_emotion.cli.synthesize import writer_arguments
from keras_emotion.synthetic import WRITERS

COMMANDS = [
    (),
    *((name,) for name in cli.COMMANDS),
    *(("run", name) for name in papers.reproductions()),
    *(("run", "--model", name) for name in papers.models()),
    *(("synthesize", name) for name in WRITERS),
]
OLD = {"--data", "--out", "--jobs", "--rate", "--frame-rate", "--frames", "--sampling-rate"}


@pytest.fixture(autouse=True)
def terminal(monkeypatch, tmp_path):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(tmp_path)


def helped(words, capsys):
    """What a command prints that exits with code 0."""
    try:
        code = cli.main(words)
    except SystemExit as end:
        code = end.code
    out, err = capsys.readouterr()
    assert (code, err) == (0, "")
    return out


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_the_help_fits_a_screen_and_its_examples_run(words, capsys):
    short, full = (helped([*words, option], capsys) for option in ("--help", "--help-all"))
    for text in (short, full):
        assert max(map(len, text.splitlines())) <= 80
        assert not OLD & set(text.split())
        assert "`" not in text
    # The tables and figures of a paper come besides, one a line.
    blocks = [block for block in short.split("\n\n") if not block.startswith(("tables of ", "figures of "))]
    assert len("\n\n".join(blocks).splitlines()) <= 45
    assert short.startswith("usage: keras-emotion")
    examples = short.partition("examples:\n")[2].splitlines()
    assert examples
    for example in examples:
        prog, *given = shlex.split(example, comments=True)
        assert prog == "keras-emotion"
        # All options are parsed before the help is printed.
        helped([*given, "--help"], capsys)


def test_the_full_help_of_a_run_lists_every_field(capsys):
    full = helped(["run", "--model", "facrnn", "--help-all"], capsys).split()
    assert {"--system.features.bands.theta", "--label-rule.threshold", "--feature-store", "--training.precision"} <= {
        *full
    }
    assert "--system.[no-]band-attention" in full


def command_arguments():
    """The arguments of every command that have an old spelling."""
    fields = {"recordings": "trial_disjoint"}
    experiment = papers.models()["svm"](
        {"name": "x", "dataset": next(iter(fields)), "targets": ("y",), "protocols": tuple(fields.values())}
    )["paper"]
    for name in cli.COMMANDS:
        command = cli._load(name)
        for argument in parser.arguments_of(command) if isinstance(command, type) else ():
            yield name, argument
    for source in (RunOptions, ModelOptions, experiment):
        for argument in parser.arguments_of(source):
            yield "run", argument
    for name, writer in WRITERS.items():
        for argument in writer_arguments(writer):
            yield f"synthesize {name}", argument


OLD_SPELLINGS = {(name, one.option.old): one for name, one in command_arguments() if one.option.old}


def test_all_old_spellings_are_there():
    assert set(OLD_SPELLINGS) == {
        ("run", "--data"),
        ("run", "--jobs"),
        ("report", "--out"),
        ("faces", "--out"),
        ("faces", "--rate"),
        ("faces", "--frame-rate"),
        ("predict", "--out"),
        ("export", "--out"),
        ("synthesize afew_va", "--frames"),
        ("synthesize recordings", "--sampling-rate"),
    }


@pytest.mark.parametrize(("command", "old"), OLD_SPELLINGS, ids=" ".join)
def test_an_old_spelling_means_the_new_one(command, old, capsys):
    argument = OLD_SPELLINGS[command, old]
    given = parser.parse([old, "200"], [argument])
    assert (
        capsys.readouterr().err
        == f"note: {old} is now {argument.spelling}; the old spelling will be removed in 0.3.0\n"
    )
    assert given == parser.parse([argument.spelling, "200"], [argument])
    assert capsys.readouterr().err == ""


def test_one_thing_has_one_name_over_all_commands():
    spellings = {(name, one.name.rpartition(".")[2]): one.spelling for name, one in command_arguments()}
    for field, spelling in (("data_root", "--data-root"), ("output", "--output"), ("workers", "--workers")):
        found = {name: one for (name, last), one in spellings.items() if last == field}
        assert set(found.values()) == {spelling}
        assert len(found) > 1


@pytest.mark.parametrize("writer", WRITERS)
def test_options_of_synthesize_are_the_parameters_of_the_writer(writer):
    folder, *options = writer_arguments(WRITERS[writer])
    assert folder.option.positional
    spellings = [one.spelling for one in options]
    assert len(set(spellings)) == len(spellings)
    assert not [one for one in spellings if one.startswith("--n-")]
    assert all(one.text for one in options)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "COMMAND: missing; see keras-emotion --help"),
        (["rnu"], "rnu: unknown command; expected one of run, papers, continuous, runs, "),
        (["rnu"], "did you mean run"),
        (["--foo", "runs"], "--foo: unknown option"),
        (["runs", "--jsn"], "--jsn: unknown option; did you mean --json?; see keras-emotion runs --help"),
        (["describe"], "FOLDER: missing; see keras-emotion describe --help"),
        (["describe", "x", "--dataset", "deep"], "--dataset deep: unknown dataset; expected one of deap, "),
        (["describe", "x", "--dataset", "deep"], "did you mean deap?"),
        (["synthesize"], "DATASET: missing; expected one of deap, "),
        (["synthesize", "deep", "x"], "DATASET deep: unknown synthetic dataset; expected one of deap, "),
        (["synthesize", "deap", "x", "--subjets", "1"], "did you mean --subjects"),
        (["run", "--foo"], "--foo: unknown option; see keras-emotion run --help"),
        (["run", "--data-root", "x"], "NAME or --model: give a reproduction or a model; keras-emotion run lists both"),
        (["run", "deap_3facrn"], "NAME deap_3facrn: unknown reproduction; expected one of deap_3facrnn, "),
        (["run", "deap_3facrnn", "--model", "svm"], "deap_3facrnn and --model svm: give one of them"),
        (["run", "deap_3facrnn", "--dataset", "sam40"], "--dataset: needs --model; deap_3facrnn runs on deap"),
        (["run", "deap_3facrnn", "--epochs", "3"], "--epochs: unknown option; did you mean --training.epochs"),
        (["run", "deap_3facrnn", "--training.epochs", "0"], "--training.epochs 0: expected greater than or equal to 1"),
        (
            ["run", "deap_3facrnn", "--system.w-grid", "1", "--teacher", "none"],
            "w_grid: weighs the teacher",
        ),
        (["run", "deap_3facrnn", "more"], "more: unexpected argument"),
        (["run", "--model", "smv", "--data-root", "x"], "--model smv: unknown model; expected one of facrnn, "),
        (["run", "--model", "svm", "--dataset", "x"], "--dataset x: unknown dataset"),
        (
            ["run", "--model", "svm", "--protocol", "x"],
            "--protocols x: unknown protocol of a run; expected one of as_published",
        ),
        (["run", "--model", "svm"], "--data-root: missing; give the folder of the dataset"),
        (["audit"], "RUN or --table: give one of them"),
        (["plan", "--difference", "0"], "--difference 0: expected a number between 0 and 100"),
        (["plan", "--difference", "60"], "difference 60 points: expected more than 0 and less than 50"),
        (["plan", "--power", "0.01"], "--power 0.01: expected a number between 0.05 and 1"),
        (["plan", "--subjects", "1"], "--subjects 1: expected at least 2"),
        (["plan", "--spread-trials", "40"], "--spread-trials: needs --spread; give both"),
        (["plan", "--run", "x", "--spread", "3"], "--run: has its own spread and chance"),
        (["plan", "--protocol", "x"], "--protocols x: unknown protocol"),
        (["plan", "--run", "nowhere"], "nowhere"),
        (["faces", "x.mp4"], "--output: missing; see keras-emotion faces --help"),
        (["export", "m.keras", "--format", "torch"], "--format torch: expected saved_model, onnx or litert"),
    ],
)
def test_bad_use_is_one_message_and_exit_code_2(words, message, capsys):
    with pytest.raises(SystemExit, match=r"^2$"):
        cli.main(words)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert message in err
    assert err.count("\n") == 1


def test_run_without_anything_lists_what_can_be_run(capsys):
    assert cli.main(["run"]) == 0
    told = capsys.readouterr().out
    for name in (*papers.reproductions(), *papers.models()):
        assert name in told
