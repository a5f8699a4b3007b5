"""`keras-emotion papers`: the list, and all of one paper."""

import json

import pytest

from keras_emotion import papers
from keras_emotion.cli import main
from keras_emotion.experiment import RunFolder
from keras_emotion.papers import Demo, DrawnFigure, Paper, Reproduction, register_paper, registry
from keras_emotion.papers.comparison import regression_presets
from keras_emotion.papers.figures import subject_accuracies
from keras_emotion.pipelines import EEGGridFeatures
from keras_emotion.schema import InputError
from keras_emotion.synthetic import write_sam40
from keras_emotion.systems.logistic_regression import BandPowerRegression, BandPowerRegressionExperiment


def listed(capsys, *words):
    assert main(["papers", "--json", *words]) == 0
    return {row["command"]: row for row in json.loads(capsys.readouterr().out)["papers"]}


def test_the_list_has_every_table_and_figure(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rows = listed(capsys)
    expected = {"keras-emotion run deap_3facrnn --table 3", "keras-emotion run deap_dfcn --figure 2"}
    assert expected <= set(rows)
    reproductions = papers.reproductions()
    assert len(rows) == len(reproductions) + sum(len(one.items()) for one in reproductions.values())
    assert not any(row["state"] for row in rows.values())


def test_the_list_has_the_state_of_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name, page in (("deap_dfcn-demo-0123456789abcdef", ""), ("deap_dfcn-demo-0123456789abcdef-table1", "table1")):
        (tmp_path / "runs" / name).mkdir(parents=True)
        if page:
            (tmp_path / "runs" / name / f"{page}.html").write_text("")
    rows = listed(capsys)
    states = {command: row["state"] for command, row in rows.items() if row["state"]}
    assert states == {
        "keras-emotion run deap_dfcn": "interrupted or running, 0 jobs done",
        "keras-emotion run deap_dfcn --table 1": "finished: runs/deap_dfcn-demo-0123456789abcdef-table1/table1.html",
    }
    # Those of another preset are others.
    assert not any(row["state"] for row in listed(capsys, "--preset", "reduced").values())


def test_the_brief_list_fits_100_columns_and_the_full_one_has_whole_commands_and_pages(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    page = tmp_path / "runs" / "deap_dfcn-demo-0123456789abcdef-table1" / "table1.html"
    page.parent.mkdir(parents=True)
    page.write_text("")
    assert main(["papers", "deap_dfcn"]) == 0
    brief = capsys.readouterr().out
    assert max(map(len, brief.splitlines())) <= 100
    (line,) = [line for line in brief.splitlines() if line.strip().startswith("deap_dfcn --table 1 ")]
    assert "finished" in line
    assert "runs/" not in brief
    assert "--full" in brief
    assert main(["papers", "deap_dfcn", "--full"]) == 0
    full = " ".join(capsys.readouterr().out.split())
    assert "keras-emotion run deap_dfcn --table 1" in full
    assert "runs/deap_dfcn-demo-" in full


def test_hours_that_are_not_known_name_the_option(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rows = listed(capsys, "--preset", "paper")
    assert rows["keras-emotion run deap_dfcn --preset paper"]["time"] == "needs --data-root deap=FOLDER"
    assert rows["keras-emotion run deap_dfcn --figure 1"]["time"] == "--estimate"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--run", "4facrnn"], "4facrnn: no such paper; expected one of 3facrnn, "),
        (["--data-root", "deap"], "--data-root deap: expected NAME=FOLDER, such as deap=/data/DEAP"),
        (["--data-root", "dea=x"], "--data-root dea: unknown dataset"),
        (["--run", "mercl", "--preset", "paper"], "--preset paper: --data-root is missing"),
        (["deap_dfcn", "--run", "mercl"], "--run mercl: deap_dfcn is given as well"),
        (["--run", "mercl", "--data-root", "sam40=x"], "--run mercl: has no reproduction on a dataset of --data-root"),
    ],
)
def test_what_cannot_be_listed_or_made_is_refused(words, message, capsys):
    with pytest.raises(SystemExit, match=r"^2$"):
        main(["papers", *words])
    assert message in capsys.readouterr().err


def _refused(experiment):
    raise InputError("--table 2: cannot be run")


def _broken(source):
    raise KeyError("a bug")


@pytest.fixture
def small_paper(monkeypatch, tmp_path):
    """A paper whose second table cannot be run, and whose sixth figure has a bug."""
    monkeypatch.setattr(registry, "_REGISTERED", dict(registry._REGISTERED))
    monkeypatch.chdir(tmp_path)
    full = BandPowerRegressionExperiment(
        name="small_sam40",
        dataset="sam40",
        targets=("stress",),
        protocols=("trial_disjoint",),
        system=BandPowerRegression(inverse_regularisation_grid=(), features=EEGGridFeatures(steps=1, baseline="none")),
    )
    one = Reproduction(
        name="small_sam40",
        presets=regression_presets(full, {}),
        description="A small paper.",
        demo=Demo(writer=write_sam40, options={"n_subjects": 2}),
        tables={"1": {"Ours": lambda wanted: wanted}, "2": {"Ours": _refused}},
        drawn_figures={
            "5": subject_accuracies("Accuracy of each subject"),
            "6": DrawnFigure("With a bug", _broken, needs="network"),
        },
    )
    register_paper(Paper(name="small", citation="A small paper", reproductions=(one,)))


def test_all_of_a_paper_is_made_and_a_failure_stops_nothing(small_paper, tmp_path, capsys):
    states = []
    for _ in range(2):
        assert main(["papers", "--run", "small", "--workers", "1", "--json"]) == 1
        printed = capsys.readouterr()
        results = json.loads(printed.out[printed.out.index('{\n  "results"') :])["results"]
        states.append([one["state"] for one in results])
        assert [one["command"].removeprefix("keras-emotion run small_sam40") for one in results] == [
            "",
            " --table 1",
            " --table 2",
            " --figure 5",
            " --figure 6",
        ]
        assert results[2]["place"] == "--table 2: cannot be run"
        assert "KeyError: 'a bug'" in printed.err
        made = [one["place"] for one in results if one["state"] in ("made", "done before")]
        assert [(tmp_path / place).name for place in made] == ["report.html", "table1.html", "figure5.html"]
        assert all((tmp_path / place).is_file() for place in made)
    assert states[0] == ["made", "made", "failed", "made", "failed"]
    assert states[1] == ["done before", "done before", "failed", "done before", "failed"]
    # Without its page, a table is unfinished; its run is that of the reproduction.
    (run,) = tmp_path.glob(f"runs/small_sam40-demo-{'[0-9a-f]' * 16}-{'[0-9a-f]' * 8}")
    n_jobs = len(RunFolder(run).finished_jobs())
    assert n_jobs > 1
    (run.with_name(f"{run.name}-table1") / "table1.html").unlink()
    row = listed(capsys, "small")["keras-emotion run small_sam40 --table 1"]
    assert row["state"] == f"interrupted or running, {n_jobs} jobs done"


def test_hours_are_those_of_what_is_not_finished(small_paper, tmp_path, capsys):
    write_sam40(tmp_path / "sam40", n_subjects=2)
    words = ["small", "--preset", "reduced", "--data-root", f"sam40={tmp_path / 'sam40'}", "--estimate"]
    rows = listed(capsys, *words)
    assert len(rows) == 5
    assert [row["time"] for row in rows.values()][:2] == ["0.0 h", "0.0 h"]
    (refused,) = (row["time"] for command, row in rows.items() if "--table 2" in command)
    assert refused == "no estimate: --table 2: cannot be run"
    (drawn,) = (row["time"] for command, row in rows.items() if "--figure 6" in command)
    assert drawn == "no run is needed"
