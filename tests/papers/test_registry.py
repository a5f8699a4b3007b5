"""The registry of papers: rows, scripts, documentation, and papers from outside."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest

from keras_emotion import cli, papers
from keras_emotion.papers import facrnn
from keras_emotion.papers.page import markdown_page
from keras_emotion.papers.registry import PRESETS, ComparedFigure, Demo, Paper, register_paper
from keras_emotion.reports import paper_numbers
from keras_emotion.schema import InputError
from keras_emotion.synthetic import write_deap, write_sam40
from keras_emotion.systems import find_system, register_system
from keras_emotion.systems.facrnn import FACRNN

ROOT = Path(__file__).parents[2]
REPRODUCTIONS = [one for paper in papers.papers().values() for one in paper.reproductions]


@pytest.mark.parametrize("one", REPRODUCTIONS, ids=lambda one: one.name)
def test_each_reproduction_has_presets_a_demo_and_a_script(one):
    assert tuple(one.presets) == PRESETS
    assert {preset.name for preset in one.presets.values()} == {one.name}
    assert one.demo is not None
    script = ROOT / "reproductions" / f"{one.name}.py"
    lines = script.read_text().splitlines()
    assert len(lines) <= 10
    assert f'    reproduce("{one.name}")' in lines
    # Its help shows the command that runs it.
    assert f"keras-emotion run {one.name} " in one.description


def test_each_script_is_in_the_registry():
    names = {path.stem for path in (ROOT / "reproductions").glob("*.py")}
    assert names == {one.name for one in REPRODUCTIONS}


@pytest.mark.parametrize("one", [one for one in REPRODUCTIONS if one.printed_numbers], ids=lambda one: one.name)
def test_printed_numbers_are_there_and_name_the_rows_of_the_tables(one):
    numbers = paper_numbers(one.printed_numbers)
    assert one.dataset in set(numbers["dataset"])
    for number, table in one.tables.items():
        printed = numbers[numbers["table"] == number]
        if not number.isdigit():
            # A grid, of which the paper prints the choice and no table.
            assert printed.empty
            continue
        if (one.printed_numbers, number) == (facrnn.PRINTED_NUMBERS, "6"):
            # Its methods are of other papers, each printed for one dataset: some are here, the others are quoted.
            assert set(table) < set(printed["variant"])
            continue
        # A table that the paper has of another dataset has the same rows.
        own = printed[printed["dataset"] == one.dataset]
        own = own if len(own) else printed
        if (one.printed_numbers, number) == (facrnn.PRINTED_NUMBERS, "6"):
            # Its methods are of other papers, each printed for one dataset: some are here, the others are quoted.
            assert set(table) < set(printed["variant"])
            assert next(iter(table)) in set(own["variant"])
            continue
        # Numbers that the paper quotes may be of methods that are not here.
        quoted = own["note"].str.contains("quoted")
        assert set(own.loc[~quoted, "variant"]) <= set(table) <= set(own["variant"]), number


@pytest.mark.parametrize(
    ("name", "tables", "figures"),
    [
        ("3facrnn", "23456", "1234567"),
        ("deepvanet", "2", "123"),
        ("prior_dfcn", "12", "12"),
        # Figure 3 shows losses, and no network.
        ("mercl", "3456789", "124"),
        # Figure 2 is a part of figure 1.
        ("hlstm", "", "13456789"),
    ],
)
def test_each_table_and_figure_of_a_paper_has_a_command(name, tables, figures):
    items = [item for one in papers.papers()[name].reproductions for item in one.items()]
    found = {kind: {item.number for item in items if item.kind == kind} for kind in ("table", "figure")}
    assert {number for number in found["table"] if number.isdigit()} == set(tables)
    assert found["figure"] == set(figures)
    assert all(item.caption and len(item.caption) < 100 for item in items)


def test_items_are_in_the_order_of_their_numbers():
    one = dataclasses.replace(
        facrnn.DEAP,
        tables={number: {} for number in ("10", "w", "2")},
        table_captions={"w": "Weights"},
        compared_figures={"5": ComparedFigure({"A": lambda wanted: wanted, "B": lambda wanted: wanted})},
        drawn_figures={"11": facrnn.FIGURES["7"], "1": facrnn.FIGURES["1"]},
    )
    assert [(item.option, item.caption) for item in one.items()] == [
        ("--table 2", ""),
        ("--table 10", ""),
        ("--figure 1", "Visual network (teacher) and EEG network (student)"),
        ("--figure 5", "A; B"),
        ("--figure 11", "Mean attention to each frequency band"),
        ("--table w", "Weights"),
    ]


def test_the_tables_of_3facrnn_change_what_their_rows_say():
    experiment = facrnn.DEAP.presets["paper"]
    for number in ("3", "4", "5"):
        rows = {name: method(experiment) for name, method in facrnn.TABLES[number].items()}
        (first, full), *others = rows.items()
        assert full.identity() == experiment.identity(), first
        assert {name: one.paper_variant for name, one in others} == {name: name for name, _ in others}


def test_the_grid_of_w_starts_with_the_one_that_the_paper_chose():
    experiment = facrnn.DEAP.presets["paper"].changed({"system.w_grid": (0.5, 0.6)})
    rows = {name: method(experiment).system for name, method in facrnn.TABLES["w"].items()}
    assert [(one.w, one.w_grid) for one in rows.values()] == [
        (w, ()) for w in (1.0, 0.5, 0.6, 0.7, 0.8, 0.9, 1.1, 1.2, 1.3, 1.4, 1.5)
    ]
    assert list(rows)[:2] == ["w = 1", "w = 0.5"]
    for one in (facrnn.DEAP, facrnn.MAHNOB_HCI):
        assert one.tables["w"] is facrnn.TABLES["w"]
    with pytest.raises(InputError, match="--table w: weighs the features of a teacher; --teacher none has none"):
        facrnn.TABLES["w"]["w = 1"](experiment.changed({"system.teacher": "none", "system.w_grid": ()}))


def test_the_visual_teacher_says_that_it_was_not_trained_on_affectnet_first():
    def says_so(system):
        return "trained on this dataset alone; in the paper on AffectNet first" in system.unlike_the_paper()

    for name in papers.PRESETS:
        first, second = (one.presets[name].system for one in (facrnn.AFFECTNET_VISUAL, facrnn.AFEW_VA_VISUAL))
        assert (says_so(first), says_so(second)) == (False, True)
        assert not says_so(second.model_copy(update={"initial_weights": ROOT / "teacher"}))


def test_both_networks_of_3facrnn_are_trained_as_section_3_2_prints():
    def printed(one):
        training = one.presets["paper"].training
        return training.learning_rate, training.epochs, training.batch_size

    assert printed(facrnn.DEAP) == printed(facrnn.MAHNOB_HCI) == (1e-6, 100, 128)
    assert printed(facrnn.AFEW_VA_VISUAL) == printed(facrnn.AFFECTNET_VISUAL) == (1e-5, 100, 128)


def test_a_row_is_what_it_says_whatever_else_was_asked_for():
    without = facrnn.DEAP.presets["paper"].changed({"system.self_attention": False})
    assert facrnn.TABLES["3"]["With all attention"](without).system.self_attention
    alone = facrnn.DEAP.presets["paper"].changed({"system.teacher": "none"})
    with pytest.raises(InputError, match="--teacher none leaves out the first"):
        facrnn.TABLES["5"]["With visual feature"](alone)


def test_a_row_of_a_wheel_finds_its_numbers():
    for one in REPRODUCTIONS:
        if one.printed_numbers:
            assert one.printed_numbers.parent == Path(papers.__file__).parent


def test_the_page_is_what_the_registry_says():
    assert (ROOT / "docs" / "papers.md").read_text() == markdown_page()


def test_data_of_a_demo_are_keyed_by_what_writes_them():
    keys = [
        Demo(writer=write_deap).key(),
        Demo(writer=write_deap, options={"n_subjects": 2}).key(),
        Demo(writer=write_sam40).key(),
        Demo(writer=write_sam40, options={"n_subjects": 2}).key(),
    ]
    assert len(set(keys)) == len(keys)
    assert keys[0] == Demo(writer=write_deap, files={"system.teacher": "teacher"}).key()
    # Two reproductions with the same data share them.
    same = {one.name: one.demo.key() for one in REPRODUCTIONS}
    assert same["sam40_3facrnn"] == same["sam40_logistic_regression"] != same["sam40_dfcn"]
    assert len({same[name] for name in ("deap_3facrnn", "deap_deepvanet", "deap_dfcn")}) == 3


def test_names_are_unique():
    row = Paper(name="another", citation="A paper", reproductions=(facrnn.DEAP,))
    with pytest.raises(ValueError, match="a reproduction named 'deap_3facrnn' is registered already"):
        register_paper(row)
    row = Paper(name="another", citation="A paper", models={"facrnn": lambda fields: {}})
    with pytest.raises(ValueError, match="a model named 'facrnn' is registered already"):
        register_paper(row)
    with pytest.raises(ValueError, match="a paper named 'deepvanet' is registered already"):
        register_paper(Paper(name="deepvanet", citation="Somebody else's"))
    with pytest.raises(ValueError, match="a system named FACRNN is already registered"):
        register_system(type("FACRNN", (FACRNN,), {"__module__": "elsewhere"}))
    assert "another" not in papers.papers()


def test_what_is_unknown_is_named_with_what_there_is():
    with pytest.raises(InputError, match=r"unknown reproduction 'deap_oracle'; expected one of .*deap_3facrnn"):
        papers.find_reproduction("deap_oracle")
    with pytest.raises(InputError, match=r"unknown system 'Oracle'; registered are .*FACRNN.*--register MODULE"):
        find_system("Oracle")


def test_systems_import_no_keras():
    code = (
        "import sys; from keras_emotion import papers; from keras_emotion.systems import registered_systems; "
        "registered_systems(); assert not {'keras', 'tensorflow', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


OUTSIDE = '''
"""A paper of another package."""

from keras_emotion.papers import Paper, register_paper
from keras_emotion.papers.comparison import comparison_presets
from keras_emotion.systems import register_system
from keras_emotion.systems.comparison_estimators import ComparisonEstimator


@register_system
class OutsideSVM(ComparisonEstimator):
    """The same under a name of its own."""


PAPER = register_paper(
    Paper(
        name="outside",
        citation="A paper of another package",
        models={"outside_svm": comparison_presets(OutsideSVM(estimator_name="svm"))},
    )
)
'''


@pytest.fixture(scope="module")
def sam40(tmp_path_factory):
    return write_sam40(tmp_path_factory.mktemp("data") / "sam40", n_subjects=2, effect_size=2.0)


@pytest.mark.parametrize("way", ["option", "entry point"])
def test_a_paper_from_outside_is_run_audited_and_not_found_without_it(
    way, sam40, searched, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    site = tmp_path / "site"
    (site / "outside-1.0.dist-info").mkdir(parents=True)
    (site / "outside_paper.py").write_text(OUTSIDE)
    if way == "entry point":
        (site / "outside-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: outside\nVersion: 1.0\n")
        entry = "[keras_emotion.papers]\noutside = outside_paper:PAPER\n"
        (site / "outside-1.0.dist-info" / "entry_points.txt").write_text(entry)
    register = ["--register", "outside_paper"] if way == "option" else []
    words = [
        "run",
        "--model",
        "outside_svm",
        "--dataset",
        "sam40",
        "--data-root",
        str(sam40),
        "--target",
        "task",
        "--workers",
        "1",
    ]
    small = ["--preset", "demo", "--system.features.sample-seconds", "24", "--output", "run"]
    audit = [*register, "audit", "run", "--light-permutations", "1"]
    with searched(site):
        for command in ([*register, *words, *small], audit):
            assert cli.main(command) == 0, capsys.readouterr().err
    assert (tmp_path / "run" / "audit" / "findings.json").is_file()
    assert json.loads((tmp_path / "run" / "experiment.json").read_text())["system"] == "OutsideSVM"
    # A run folder names no module: nothing is imported because a folder says so.
    for file in (tmp_path / "run").glob("*.json"):
        content = json.loads(file.read_text())
        content.pop("command", None)
        assert "outside_paper" not in json.dumps(content)
    # The paper is no longer registered.
    with pytest.raises(SystemExit, match=r"^2$"):
        cli.main(["audit", str(tmp_path / "run"), "--light-permutations", "1"])
    assert "unknown system 'OutsideSVM'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--register", "no_such_module_at_all", "runs"], "--register no_such_module_at_all: no such module"),
        (["--register=empty_module", "runs"], "--register empty_module: the module registers no paper"),
        (["runs", "--register"], "--register: expected MODULE, got nothing"),
    ],
)
def test_a_module_that_registers_nothing_is_refused(words, message, tmp_path, monkeypatch, capsys):
    (tmp_path / "empty_module.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(SystemExit, match=r"^2$"):
        cli.main(words)
    printed = capsys.readouterr().err
    assert message in printed
    assert "Traceback" not in printed


def test_an_entry_point_that_is_broken_names_its_package(tmp_path, searched, capsys):
    folder = tmp_path / "broken-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text("[keras_emotion.papers]\nbroken = no_module_of_this_name:PAPER\n")
    with searched(tmp_path), pytest.raises(SystemExit, match=r"^2$"):
        cli.main(["run", "--model", "facrnn", "--help"])
    assert "broken: its entry point keras_emotion.papers (no_module_of_this_name:PAPER)" in capsys.readouterr().err


def test_grids_follow_the_tables_that_the_paper_numbers():
    items = papers.find_reproduction("deap_3facrnn").items()
    tables = [one.number for one in items if one.kind == "table"]
    assert tables == ["2", "3", "4", "5", "6", "w"]
