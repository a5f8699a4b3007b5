import dataclasses
import runpy
import shutil
import sys
from pathlib import Path

import matplotlib.figure
import numpy as np
import pandas as pd
import pytest
import scipy.stats

from keras_emotion import reports
from keras_emotion.cli import pretraining
from keras_emotion.cli.reproduce import _numbers_to_compare, main, run_reproduction
from keras_emotion.cli.request import Choice, parse_request
from keras_emotion.datasets import DEAP
from keras_emotion.experiment.origin import Origin
from keras_emotion.papers import ComparedFigure, Demo, Reproduction, find_reproduction, hlstm, with_system
from keras_emotion.papers.comparison import regression_presets
from keras_emotion.papers.facrnn import presets
from keras_emotion.pipelines import EEGGridFeatures
from keras_emotion.schema import InputError
from keras_emotion.synthetic import write_afew_va, write_affectnet, write_deap
from keras_emotion.systems.facrnn import FACRNN, FACRNNExperiment
from keras_emotion.systems.logistic_regression import (
    BandPowerRegression,
    BandPowerRegressionExperiment,
)
from tests.training import without_graphs

SCRIPTS = Path(__file__).parents[2] / "reproductions"


FIXED = BandPowerRegression(inverse_regularisation_grid=())
"""One fit a fold."""


@pytest.fixture(scope="module")
def deap(tmp_path_factory):
    """A small DEAP folder."""
    return write_deap(tmp_path_factory.mktemp("data") / "deap", n_subjects=2, n_trials=6)


@pytest.fixture
def script(monkeypatch, tmp_path, capsys):
    """Runs a reproduction in an empty folder: exit code, standard output, standard error."""
    monkeypatch.chdir(tmp_path)
    # As Python does for a script: its own folder comes first.
    monkeypatch.syspath_prepend(str(SCRIPTS))

    def run(name, *arguments):
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        try:
            runpy.run_path(str(SCRIPTS / name), run_name="__main__")
        except SystemExit as stop:
            return stop.code or 0, *capsys.readouterr()
        return 0, *capsys.readouterr()

    return run


SMALL = (
    *("--preset", "demo", "--subjects", "1", "--targets", "valence", "--workers", "1", "--training.epochs", "1"),
    *("--system.width-multiplier", "0.02", "--protocols", "trial_disjoint", "--training.batch-size", "256"),
)
EEG_ALONE = (*SMALL, "--teacher", "none")


def test_from_a_folder_to_a_report(script, deap, tmp_path):
    arguments = ("--data-root", deap, "--output", tmp_path / "run", *EEG_ALONE)
    code, out, err = script("deap_3facrnn.py", *arguments, "--full")
    assert code == 0, err
    out = " ".join(out.split())
    assert "says nothing about emotion" in out
    assert "differs from the paper: system.width_multiplier: 0.02 in place of 1" in out
    assert "differs from the paper: trained without the visual teacher" in out
    assert "differs from the paper: windows: 180 in place of 26,400 (0.682 %)" in out
    assert "W/O visual feature" in out
    for file in ("config.json", "environment.json", "results.csv", "predictions.csv", "report.html"):
        assert (tmp_path / "run" / file).is_file(), file
    assert list((tmp_path / "run" / "figures").glob("*.png"))


@without_graphs()
@pytest.mark.parametrize(
    "ablation",
    [
        pytest.param(["--system.no-band-attention"], marks=pytest.mark.slow),
        pytest.param(["--system.no-self-attention"], marks=pytest.mark.slow),
        ["--system.no-band-attention", "--system.no-self-attention"],
        pytest.param(["--system.features.representation", "raw_slices"], marks=pytest.mark.slow),
        pytest.param(["--system.cell", "peephole"], marks=pytest.mark.slow),
    ],
)
def test_ablations_of_the_paper_run_by_argument(script, deap, ablation):
    code, out, err = script("deap_3facrnn.py", "--data-root", deap, *EEG_ALONE, *ablation)
    assert code == 0, err
    assert "report:" in out


def test_a_dry_run_says_what_it_costs_and_trains_nothing(script, deap, tmp_path):
    code, out, _ = script("deap_3facrnn.py", "--data-root", deap, "--output", tmp_path / "run", *EEG_ALONE, "--dry-run")
    assert code == 0
    assert "3 jobs to do" in out
    assert "hours" in out
    assert not (tmp_path / "run").exists()


def test_the_paper_preset_names_the_ways_out(script, deap):
    alone = ("--teacher", "none")
    arguments = ("--data-root", deap, "--preset", "paper", "--subjects", "1", "--dry-run", "--workers", "1", *alone)
    code, out, _ = script(
        "deap_3facrnn.py", *arguments, "--training.epochs", "100000", "--system.width-multiplier", "0.02"
    )
    assert code == 0
    assert "to reduce the time: " in out


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
        (lambda root: None, ["--subjects", "31"], ["no files of subject 31"]),
        (lambda root: None, ["--teacher", "none", "--targets", "mood"], ["target 'mood' is not a rating of dataset"]),
        (lambda root: None, ["--teacher", "nowhere.npz"], ["nowhere.npz: no such file"]),
        (lambda root: None, ["--teacher", "none", "--output", "data"], ["is not empty and contains no run"]),
    ],
)
def test_a_users_mistake_gets_clear_lines_and_exit_code_2(script, deap, tmp_path, break_it, arguments, messages):
    root = shutil.copytree(deap, tmp_path / "data")
    break_it(root)
    code, _, err = script("deap_3facrnn.py", "--data-root", root, "--workers", "1", *arguments)
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
        "--workers",
        "1",
        "--training.epochs",
        "1",
        "--system.width-multiplier",
        "0.02",
        "--teacher",
        "none",
    )
    assert code == 0, err
    assert DEAP(deap).subjects == (1, 2)


def test_subjects_that_are_asked_for_are_not_dropped(script, deap):
    # Those of the preset, but named: that the copy lacks most of them is an error.
    asked = ("--preset", "reduced", "--subjects", *range(1, 23))
    code, _, err = script("deap_3facrnn.py", "--data-root", deap, *asked, "--dry-run", "--teacher", "none")
    assert code == 2
    assert "no files of subject 3, 4" in err


# Demos ----------------------------------------------------------------------------------------------------------------


def _regression_demo(name, n_subjects):
    full = BandPowerRegressionExperiment(
        name=name, dataset="deap", targets=("valence",), protocols=("trial_disjoint",), system=FIXED
    )
    demo = Demo(writer=write_deap, options={"n_subjects": n_subjects, "n_trials": 6})
    return Reproduction(name=name, presets=regression_presets(full, {}), description="", demo=demo)


def test_demos_of_one_dataset_have_data_of_their_own(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name, n_subjects in (("one", 1), ("two", 2), ("one again", 1)):
        run_reproduction(_regression_demo(name, n_subjects), ["--workers", "1", "--dry-run"])
        assert f"{3 * n_subjects} jobs to do" in capsys.readouterr().out
    assert len(list((tmp_path / "runs" / "data").iterdir())) == 2


def test_other_data_of_a_demo_have_another_run_folder(tmp_path, monkeypatch):
    # As after an upgrade that changes a writer: the folder of the earlier run holds other data, and would be refused.
    monkeypatch.chdir(tmp_path)
    earlier, later = (_regression_demo("test", n_subjects) for n_subjects in (1, 2))
    folders = []
    for one in (earlier, later, earlier):
        request = parse_request(Choice(one, "test"), [])
        folders.append((request.output, request.method_output(request.experiment.changed({"seed": 1}))))
    assert folders[0] == folders[2]
    assert not set(folders[0]) & set(folders[1])


def test_what_is_asked_for_goes_before_the_files_of_the_demo(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    paper = FACRNNExperiment(name="test", dataset="deap", targets=("valence",), system=FACRNN(teacher="fold"))
    demo = Demo(writer=write_deap, options={"n_subjects": 1, "n_trials": 1}, files={"system.teacher": "teacher"})
    one = Reproduction(name="test", presets=presets(paper, {}), description="", demo=demo)
    teachers = {}
    for option in ((), ("--teacher", "fold"), ("--teacher", "none"), ("--teacher", "other.npz")):
        teachers[option[1:]] = parse_request(Choice(one, "test"), option).experiment.system.teacher
    (folder,) = (Path("runs") / "data").iterdir()
    expected = {(): folder / "teacher", ("fold",): "fold", ("none",): "none", ("other.npz",): Path("other.npz")}
    assert teachers == expected


def test_help_writes_no_data(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="0"):
        run_reproduction(_regression_demo("test", 1), ["--help"])
    assert not list(tmp_path.iterdir())


def test_without_data_and_without_a_demo_the_option_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    one = dataclasses.replace(_regression_demo("test", 1), demo=None)
    with pytest.raises(InputError, match="--data-root: give the folder"):
        run_reproduction(one, [])


@pytest.fixture(scope="module")
def deap_with_faces(tmp_path_factory):
    """A small DEAP folder with face videos."""
    folder = tmp_path_factory.mktemp("data") / "deap"
    video = {"video_frame_rate_hz": 5.0, "video_size": (160, 128)}
    return write_deap(folder, n_subjects=1, n_trials=10, face_videos=True, **video)


@pytest.mark.slow  # the demo does the same
def test_a_teacher_of_each_fold_is_what_a_run_has(script, deap_with_faces, tmp_path):
    (next((deap_with_faces / "face_video" / "s01").iterdir())).unlink()
    few = ("--system.teacher-training.epochs", "1", "--system.w-grid", "0.5", "1.5")
    code, out, err = script(
        "deap_3facrnn.py", "--data-root", deap_with_faces, "--output", tmp_path / "run", *SMALL, *few, "--full"
    )
    assert code == 0, err
    out = " ".join(out.split())
    assert "differs from the paper: the visual teacher is trained on the faces of each fold" in out
    assert "windows dropped: subject 1: 30 (no face video)" in out
    pairing = pd.read_csv(tmp_path / "run" / "pairing.csv")
    assert pairing["n_windows"].tolist() == [30]
    search = pd.read_csv(tmp_path / "run" / "search.csv")
    assert search.groupby("fold")["chosen"].sum().tolist() == [1, 1, 1]
    assert set(search["candidate"]) == {"w0.5", "w1.5"}


def test_without_videos_the_way_out_is_named(script, deap):
    code, _, err = script("deap_3facrnn.py", "--data-root", deap, *SMALL)
    assert code == 2
    assert "--teacher none trains on EEG alone" in err
    assert "subject 1: no face video" in err


@pytest.fixture(scope="module")
def few_faces(tmp_path_factory):
    """As few videos as can be divided, a frame for each step: to find the faces in them takes most of the time."""
    video = {"video_frame_rate_hz": 2.0, "video_size": (160, 128)}
    return write_deap(tmp_path_factory.mktemp("few") / "deap", n_subjects=1, n_trials=6, face_videos=True, **video)


@without_graphs()
def test_a_teacher_is_trained_on_one_dataset_after_another_saved_and_used(script, few_faces, tmp_path, monkeypatch):
    write_affectnet(tmp_path / "affectnet", n_training=12, n_validation=6)
    write_afew_va(tmp_path / "afew_va", n_clips=8, n_actors=4, frames_per_clip=5, frame_size=(96, 80))
    small = ("--preset", "demo", "--training.epochs", "1", "--workers", "1", "--targets", "valence")
    first = find_reproduction("affectnet_visual")
    quick = {name: one.changed({"training.epochs": 1}) for name, one in first.presets.items()}
    monkeypatch.setattr(pretraining, "find_reproduction", lambda name: dataclasses.replace(first, presets=quick))
    arguments = ("--data-root", tmp_path / "afew_va", "--output", tmp_path / "visual", *small)
    arguments += ("--pretraining-data", tmp_path / "affectnet")
    code, out, err = script("afew_va_visual.py", *arguments, "--system.width-multiplier", "0.1")
    assert code == 0, err
    assert "subject_disjoint" in out
    assert f"pre-training: affectnet_visual on {tmp_path / 'affectnet'}: {tmp_path / 'affectnet_visual-demo-'}" in out
    teacher = tmp_path / "visual" / "teacher"
    assert sorted(path.name for path in teacher.iterdir()) == ["trained_on.json", "valence.keras"]
    origin = Origin.read(teacher / "valence.keras")
    assert (origin.dataset, {before.dataset for before in origin.taught_by}) == ("afew_va", {"affectnet"})
    code, out, err = script("deap_3facrnn.py", "--data-root", few_faces, *SMALL, "--teacher", teacher, "--full")
    assert code == 0, err
    assert "the visual teacher is trained on the faces of each fold" not in " ".join(out.split())


@without_graphs()
def test_pictures_teach_too(script, tmp_path):
    write_affectnet(tmp_path / "affectnet", n_training=12, n_validation=6)
    small = ("--preset", "demo", "--training.epochs", "1", "--workers", "1", "--targets", "valence")
    arguments = ("--data-root", tmp_path / "affectnet", "--output", tmp_path / "out", *small)
    code, out, err = script("affectnet_visual.py", *arguments, "--system.width-multiplier", "0.1")
    assert code == 0, err
    assert "says nothing about emotion" in out
    assert (tmp_path / "out" / "teacher" / "valence.keras").is_file()


# Tables of methods ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def four_subjects(tmp_path_factory):
    """Of two subjects differences are nearly the same, and a t-test of them is none."""
    return write_deap(tmp_path_factory.mktemp("data") / "four", n_subjects=4, n_trials=6)


def _tables(deap, output, *arguments):
    """A table of three methods, of logistic regressions."""
    full = BandPowerRegressionExperiment(
        name="test", dataset="deap", targets=("valence", "arousal"), protocols=("trial_disjoint",), system=FIXED
    )
    methods = {
        "Ours": lambda wanted: wanted,
        "Much regularised": with_system(lambda system: system.model_copy(update={"inverse_regularisation": 1e-6})),
        "Coarse": with_system(
            lambda system: system.model_copy(update={"features": EEGGridFeatures(steps=1, window_seconds=6.0)})
        ),
    }
    main(
        regression_presets(full, {}),
        tables={"1": methods},
        arguments=["--data-root", str(deap), "--output", str(output), "--workers", "1", *arguments],
    )


def test_methods_of_a_table_are_run_on_the_same_folds_and_compared(four_subjects, tmp_path, capsys):
    _tables(four_subjects, tmp_path / "run", "--table", "1")
    out = capsys.readouterr().out
    assert "says nothing about emotion" in out
    assert "Much regularised" in out
    folder = tmp_path / "run-table1"
    rows = pd.read_csv(folder / "methods.csv").set_index(["method", "target", "metric"])
    assert len(rows) == 3 * 2 * 2
    scores = {}
    listed = pd.read_csv(folder / "runs.csv")
    runs = {row.method: (folder / row.run).resolve() for row in listed.itertuples()}
    # The run that was asked for is the first row: it is not run a second time for the table.
    assert runs["Ours"] == (tmp_path / "run").resolve()
    for name in ("Ours", "Coarse"):
        predictions = pd.read_csv(runs[name] / "predictions.csv")
        predictions = predictions[predictions["target"] == "valence"]
        scores[name] = (predictions["label"] == predictions["prediction"]).groupby(predictions["subject"]).mean()
        row = rows.loc[(name, "valence", "accuracy")]
        assert row["mean"] == pytest.approx(scores[name].mean())
        assert row["standard_deviation"] == pytest.approx(scores[name].std())
        assert row["n_subjects"] == 4
        # Four subjects are too few for an interval.
        assert np.isnan(row["low"])
    expected = scipy.stats.ttest_rel(scores["Ours"], scores["Coarse"]).pvalue
    p_values = rows.xs("accuracy", level="metric").xs("valence", level="target")
    assert p_values.loc["Coarse", "p_value"] == pytest.approx(expected)
    assert np.isnan(p_values.loc["Ours", "p_value"])
    others = p_values.loc[["Much regularised", "Coarse"], "p_value"].sort_values()
    # Holm: the smaller of two counts twice, the larger no less than that.
    smaller = min(1, 2 * others.iloc[0])
    corrected = p_values["p_value_holm"]
    assert corrected[others.index[0]] == pytest.approx(smaller)
    assert corrected[others.index[1]] == pytest.approx(min(1, max(smaller, others.iloc[1])))
    # A second time, nothing is done again.
    assert len(list((tmp_path / "run-methods").iterdir())) == 2
    before = [(run / "predictions.csv").stat().st_mtime_ns for run in runs.values()]
    _tables(four_subjects, tmp_path / "run", "--table", "1")
    assert [(run / "predictions.csv").stat().st_mtime_ns for run in runs.values()] == before
    # The page has the numbers of the table.
    page = (folder / "table1.html").read_text()
    assert "says nothing about emotion" in page
    assert "Fields in which the configurations differ" in page
    assert "system.inverse_regularisation" in page
    row = rows.loc[("Coarse", "valence", "accuracy")]
    assert f"{100 * row['mean']:.1f} ± {100 * row['standard_deviation']:.1f}" in page
    assert reports.tables.shown_p_value(row["p_value_holm"]).replace("<", "&lt;") in page
    assert f"{100 * rows.loc[('Ours', 'valence', 'accuracy'), 'chance_high']:.1f}" in page


def _draw_nothing(wanted, dataset, folder):
    picture = reports.figures.picture("nothing", "Nothing", "", "Is drawn.", matplotlib.figure.Figure())
    (folder / "nothing.png").write_bytes(picture.png)
    return "drawn: nothing"


def test_a_figure_is_run_as_a_table_and_drawn_beside_its_printed_numbers(four_subjects, tmp_path, capsys):
    presets = regression_presets(
        BandPowerRegressionExperiment(
            name="test",
            dataset="deap",
            targets=("valence",),
            protocols=("trial_disjoint",),
            maximum_repetitions=1,
            system=FIXED,
        ),
        {},
    )
    less = with_system(lambda system: system.model_copy(update={"inverse_regularisation": 1e-6}))
    numbers = tmp_path / "numbers.csv"
    header = "table,dataset,variant,target,metric,value,standard_deviation,note"
    numbers.write_text(f"{header}\nfigure 6,deap,Less,valence,accuracy,85.9,,\n6,deap,Less,valence,accuracy,12.3,,\n")
    reproduction = Reproduction(
        name="test",
        presets=presets,
        description="A test.",
        printed_numbers=numbers,
        compared_figures={"6": ComparedFigure({"Ours": lambda wanted: wanted, "Less": less}, "f1", reference="Less")},
        figures=(_draw_nothing,),
    )
    arguments = ["--data-root", str(four_subjects), "--output", str(tmp_path / "run"), "--workers", "1"]
    assert run_reproduction(reproduction, [*arguments, "--figure", "6"]) == 0
    out = capsys.readouterr().out
    folder = tmp_path / "run-figure6"
    assert f"figure: {folder / 'figure6.png'}" in out
    assert (folder / "figure6.png").read_bytes().startswith(b"\x89PNG")
    page = (folder / "figure6.html").read_text()
    assert "85.90" in page
    assert "Bar: mean over subjects" in page
    rows = pd.read_csv(folder / "methods.csv")
    assert rows.groupby("method")["p_value"].count().to_dict() == {"Less": 0, "Ours": 2}
    assert rows.loc[rows["printed"].notna(), ["method", "metric", "printed"]].values.tolist() == [
        ["Less", "accuracy", 85.9]
    ]
    for words, message in (
        (["--figure", "7"], "--figure 7: no such figure; there are 6"),
        (["--figure", "6", "--table", "1"], "--figure 6: --table 1 is given as well; leave out one of them"),
        (["--table", "1"], "--table 1: no such table of methods; this reproduction has none"),
    ):
        with pytest.raises(InputError, match=message):
            run_reproduction(reproduction, [*arguments, *words])
    # A figure that is drawn when a run is finished is on its page.
    assert run_reproduction(reproduction, arguments) == 0
    assert "drawn: nothing" in capsys.readouterr().out
    assert "<strong>Nothing.</strong> Is drawn." in (tmp_path / "run" / "report.html").read_text()


def test_a_run_is_not_compared_with_the_variants_of_a_figure(deap, tmp_path):
    header = "table,dataset,variant,target,metric,value,standard_deviation,note"
    numbers = tmp_path / "numbers.csv"
    numbers.write_text(f"{header}\nfigure 6,deap,Less,valence,accuracy,85.9,,\n1,deap,Ours,valence,accuracy,90.0,,\n")
    wanted = BandPowerRegressionExperiment(name="test", dataset="deap", targets=("valence",))
    compared = _numbers_to_compare(numbers, wanted, DEAP(deap), [])
    assert compared["value"].tolist() == [90.0]


@pytest.mark.parametrize(("level_attention", "expected"), [(True, []), (False, [85.9, 85.9])])
def test_a_run_of_a_variant_is_compared_with_its_bar(deap, level_attention, expected):
    wanted = hlstm.DEAP.presets["paper"].changed({"system.level_attention": level_attention})
    compared = _numbers_to_compare(hlstm.PRINTED_NUMBERS, wanted, DEAP(deap), [])
    assert compared["value"].tolist() == expected


def test_a_table_that_is_not_there_is_refused(deap, tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        _tables(deap, tmp_path / "run", "--table", "7")
    assert stop.value.code == 2
    assert "--table 7: no such table of methods; there are 1" in capsys.readouterr().err
