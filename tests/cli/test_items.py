"""Figures that are drawn from one experiment: from its fields, its networks, or its records."""

import dataclasses
import shutil

import numpy as np
import pandas as pd
import pytest

from keras_emotion.cli import items, main
from keras_emotion.cli.reproduce import run_reproduction
from keras_emotion.cli.request import Choice, parse_request
from keras_emotion.papers import ComparedFigure, DrawnFigure, Reproduction, with_fields, with_system
from keras_emotion.papers.comparison import regression_presets
from keras_emotion.papers.figures import confusion_matrices, subject_accuracies
from keras_emotion.pipelines import EEGGridFeatures
from keras_emotion.schema import InputError
from keras_emotion.synthetic import write_sam40
from keras_emotion.systems.logistic_regression import BandPowerRegression, BandPowerRegressionExperiment

FIXED = BandPowerRegression(inverse_regularisation_grid=(), features=EEGGridFeatures(steps=1, baseline="none"))
"""One fit a fold."""

PRESETS = regression_presets(
    BandPowerRegressionExperiment(
        name="test", dataset="sam40", targets=("stress",), protocols=("trial_disjoint",), system=FIXED
    ),
    {},
)
LESS = with_system(lambda system: system.model_copy(update={"inverse_regularisation": 1e-6}))
HEADER = "table,dataset,variant,target,metric,value,standard_deviation,note"


@pytest.fixture(scope="module")
def sam40(tmp_path_factory):
    return write_sam40(tmp_path_factory.mktemp("data") / "sam40", n_subjects=2)


@pytest.fixture(scope="module")
def reproduction(tmp_path_factory):
    numbers = tmp_path_factory.mktemp("numbers") / "numbers.csv"
    numbers.write_text(f"{HEADER}\n2,sam40,Ours,stress,accuracy,85.9,,\n")
    return Reproduction(
        name="test",
        presets=PRESETS,
        description="A test.",
        printed_numbers=numbers,
        drawn_figures={
            "5": subject_accuracies("Accuracy of each subject"),
            "6": confusion_matrices("Confusion matrices"),
            "7": DrawnFigure("Of another experiment", subject_accuracies("").draw, method=LESS),
        },
    )


@pytest.fixture(scope="module")
def drawn(reproduction, sam40, tmp_path_factory):
    """The folder in which the figures were drawn, and the arguments."""
    folder = tmp_path_factory.mktemp("drawn")
    arguments = ["--data-root", str(sam40), "--output", str(folder / "run"), "--workers", "1", "--preset", "demo"]
    for number in ("5", "6", "7"):
        assert run_reproduction(reproduction, [*arguments, "--figure", number]) == 0
    return folder, arguments


def test_the_accuracy_of_each_subject_is_that_of_the_predictions(drawn):
    folder, _ = drawn
    bars = pd.read_csv(folder / "run-figure5" / "figure5.csv")
    predictions = pd.read_csv(folder / "run" / "predictions.csv")
    is_right = predictions["label"] == predictions["prediction"]
    expected = is_right.groupby(predictions["subject"]).mean()
    assert bars.set_index("subject")["accuracy"].to_dict() == pytest.approx(expected.to_dict())
    assert (bars["printed_mean"] == 85.9).all()
    page = (folder / "run-figure5" / "figure5.html").read_text()
    assert "says nothing about emotion" in page
    assert "test: figure 5 of the paper, SAM40" in page
    assert "Bars: mean over folds" in page


def test_a_confusion_matrix_counts_every_prediction(drawn):
    folder, _ = drawn
    matrix = pd.read_csv(folder / "run-figure6" / "figure6_stress.csv")
    predictions = pd.read_csv(folder / "run" / "predictions.csv")
    counts = pd.crosstab(predictions["label"], predictions["prediction"])
    names = ["low", "high"]
    for _, row in matrix.iterrows():
        label, prediction = names.index(row["label"]), names.index(row["prediction"])
        expected = counts.get(prediction, pd.Series(dtype=int)).get(label, 0)
        assert row["count"] == expected
        assert row["share"] == pytest.approx(expected / (predictions["label"] == label).sum())
    assert (folder / "run-figure6" / "figure6_stress.png").read_bytes().startswith(b"\x89PNG")


def test_a_figure_of_another_experiment_has_a_run_of_its_own(drawn):
    folder, _ = drawn
    # Those of the experiment that was asked for share its run.
    runs = {number: items.started_runs(folder / f"run-figure{number}") for number in ("5", "6", "7")}
    assert runs["5"] == runs["6"] == [folder / "run"]
    (other,) = runs["7"]
    assert other.parent == folder / "run-methods"
    regularisation = [
        pd.read_json(path / "config.json", typ="series")["science"]["system"]["inverse_regularisation"]
        for path in (folder / "run", other)
    ]
    assert regularisation[1] == 1e-6 != regularisation[0]


def test_a_method_of_two_figures_is_trained_once(drawn, reproduction, tmp_path):
    folder = shutil.copytree(drawn[0], tmp_path / "drawn")
    arguments = [word.replace(str(drawn[0]), str(folder)) for word in drawn[1]]
    (first,) = items.started_runs(folder / "run-figure7")
    before = (first / "predictions.csv").stat().st_mtime_ns
    compared = {
        "8": ComparedFigure({"More": with_fields({}), "Less": LESS, "The same again": LESS}, caption="More or less")
    }
    assert (
        run_reproduction(dataclasses.replace(reproduction, compared_figures=compared), [*arguments, "--figure", "8"])
        == 0
    )
    assert items.started_runs(folder / "run-figure8") == [folder / "run", first]
    assert [path.name for path in (folder / "run-methods").iterdir()] == [first.name]
    assert (first / "predictions.csv").stat().st_mtime_ns == before
    table = pd.read_csv(folder / "run-figure8" / "methods.csv")
    assert list(table["method"].unique()) == ["More", "Less", "The same again"]


def test_runs_of_a_table_that_an_earlier_version_kept_in_its_folder_are_found(drawn, reproduction, tmp_path):
    _, (_, data_root, *_) = drawn
    request = parse_request(
        Choice(reproduction, "test"), ["--data-root", data_root, "--figure", "7", "--output", str(tmp_path / "run")]
    )
    (tmp_path / "run-figure7" / "run").mkdir(parents=True)
    ((_, place),) = items.item_runs(request, items.requested_item(request)).values()
    assert place == tmp_path / "run-figure7" / "run"


def test_a_damaged_list_of_runs_is_an_error(tmp_path):
    (tmp_path / items.RUNS).write_text("method,folder\na,b\n")
    with pytest.raises(InputError, match="column run is missing"):
        items.started_runs(tmp_path)


def test_a_finished_run_is_not_run_again_for_a_figure(drawn, reproduction, capsys):
    folder, arguments = drawn
    before = (folder / "run" / "predictions.csv").stat().st_mtime_ns
    assert run_reproduction(reproduction, [*arguments, "--figure", "5"]) == 0
    assert (folder / "run" / "predictions.csv").stat().st_mtime_ns == before
    out = capsys.readouterr().out
    assert "figure 5: Accuracy of each subject (synthetic data: says nothing about emotion)" in out
    assert f"figure: {folder / 'run-figure5' / 'figure5.png'}" in out
    assert run_reproduction(reproduction, [*arguments, "--figure", "5", "--dry-run"]) == 0
    assert "0 jobs to do" in capsys.readouterr().out


def test_a_figure_that_is_not_there_is_refused_with_those_that_are(drawn, reproduction):
    _, arguments = drawn
    with pytest.raises(InputError, match="--figure 4: no such figure; there are 5, 6, 7"):
        run_reproduction(reproduction, [*arguments, "--figure", "4"])


def test_a_figure_of_the_network_needs_no_data(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["run", "sam40_3facrnn", "--figure", "4"]) == 0
    assert "electrodes; the front of the head is at the top" in capsys.readouterr().out
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name.endswith("-figure4")
    cells = pd.read_csv(folder / "figure4.csv")
    assert len(cells) == 32
    assert not cells.duplicated(["row", "column"]).any()
    # Fp1 is at the front and on the left, O2 at the back and on the right.
    places = cells.set_index("electrode")
    assert places.loc["Fp1", "row"] < places.loc["O2", "row"]
    assert places.loc["Fp1", "column"] < 4 < places.loc["O2", "column"]


def test_the_help_lists_tables_and_figures_with_captions(capsys):
    with pytest.raises(SystemExit, match=r"^0$"):
        main(["run", "deap_3facrnn", "--help"])
    out = " ".join(capsys.readouterr().out.split())
    assert "--table 5 With and without the visual teacher" in out
    assert "--figure 7 Mean attention to each frequency band" in out


def test_each_item_has_a_page_of_its_name(reproduction, drawn):
    _, arguments = drawn
    pages = [
        items.item_page(parse_request(Choice(reproduction, "test"), [*arguments, *words])).name
        for words in ([], ["--figure", "6"])
    ]
    assert pages == ["report.html", "figure6.html"]


def test_an_item_is_finished_when_its_page_is_there(drawn):
    folder, _ = drawn
    made = {path.parent.name for path in folder.glob("run-*/*.html")}
    assert made == {"run-figure5", "run-figure6", "run-figure7"}
    assert np.all([path.stat().st_size for path in folder.glob("run-*/*.html")])
