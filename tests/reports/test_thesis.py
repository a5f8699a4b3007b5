"""What a thesis needs of a run: the methods paragraph, the table for LaTeX, a report to hand on."""

import re

import numpy as np
import pandas as pd
import pytest

from keras_emotion.experiment.records import RunFolder
from keras_emotion.papers import bibtex
from keras_emotion.reports import (
    PAPER_COLUMNS,
    ComparedWith,
    latex_table,
    main_table,
    methods_text,
    numbers_of_classes,
    read_numbers,
    share_report,
)
from keras_emotion.schema import InputError
from tests.reports.test_comparison import make_run

SCIENCE = {
    "subjects": ["anna", "bert", "carla"],
    "label_rule": {"kind": "greater_than", "threshold": 5.0},
    "system": {"kind": "FACRNN", "features": {"window_seconds": 2.0, "steps": 4}},
    "training": {"epochs": 3, "batch_size": 32, "learning_rate": 0.001, "precision": "float32"},
}
SUBJECTS = {"anna": 6, "bert": 5, "carla": 2}


@pytest.fixture
def run(tmp_path):
    """A run of people with names."""
    dropped = {"anna": {"no face in /home/lab/anna/video.avi": 3}}
    return make_run(tmp_path / "run", SUBJECTS, dropped=dropped, science=SCIENCE)


def test_the_methods_say_data_protocol_and_statistics_of_the_run(run):
    text = methods_text(run, ["at most 3 folds of each protocol"])
    numbers, science = read_numbers(run), run.config["science"]
    assert text.startswith("[Synthetic data: says nothing about emotion.]") == bool(numbers.mark)
    for target, subjects in numbers.evaluated.items():
        assert f"{target} in {len(subjects)} subjects" in text
    for name, protocol in numbers.protocols.items():
        assert f"Under {name}, there were {numbers.n_folds[name]} folds" in text
        assert all(flag in text for flag in protocol["flags"])
    assert "A window lasted 2 s, in 4 steps." in text
    assert "(999 times" in text
    assert f"seed {science['seed']}" in text
    assert "3 further windows were left out" in text
    assert text.endswith("The run differs from the paper in the following: at most 3 folds of each protocol.")
    assert "differs" not in methods_text(run)


def test_the_table_for_latex_has_every_number_and_escapes(run):
    numbers = read_numbers(run)
    table = main_table(numbers, None, ["w_grid: 50 % of {x} & y"])
    text = latex_table(table)
    assert "w\\_grid: 50 \\% of \\{x\\} \\& y" in text
    n_columns = 1 + len(table.columns)
    body = [line for line in text.splitlines() if line.endswith(r"\\") and "multicolumn" not in line]
    assert {len(re.split(r"(?<!\\)&", line)) for line in body} == {n_columns}
    assert len(body) == 1 + sum(len(section.rows) for section in table.sections)
    for section in table.sections:
        for row in section.rows:
            for cell in row.cells:
                assert cell.value.split(" ")[0].replace("–", "--").replace("%", r"\%") in text
    opened = re.findall(r"\\begin\{(\w+)\}", text)
    assert sorted(opened) == sorted(re.findall(r"\\end\{(\w+)\}", text)) == ["table", "tabular"]
    # Without what a command needs, a character would begin one.
    assert not re.search(r"(?<!\\)[%#]", text.split("\n", 1)[1])


def test_a_report_to_hand_on_names_nobody_and_no_path(run, tmp_path):
    (run.path / "looks_valence.png").write_bytes(b"a face")
    before = sorted(path.name for path in run.path.iterdir())
    report = share_report(run, tmp_path / "shared", None, ["read from /home/lab/data of subject anna"])
    page = re.sub(r'src="data:[^"]*"', "", report.path.read_text())
    assert not any(name in page for name in [*SUBJECTS, "/home"])
    assert "read from [path] of subject S0" in page
    # The same numbers, of people called otherwise.
    for target, subjects in report.numbers.evaluated.items():
        assert set(subjects) == {"S01", "S02", "S03"}
        for name in report.numbers.protocols_of(target):
            own = read_numbers(run).by_subject(name, target, "accuracy")
            np.testing.assert_array_equal(np.sort(own), np.sort(report.numbers.by_subject(name, target, "accuracy")))
    assert sorted(path.name for path in run.path.iterdir()) == before
    assert {path.name for path in (tmp_path / "shared").iterdir()} == {"figures", "report.html"}


def test_what_would_still_name_a_subject_is_not_kept(tmp_path):
    # A target that is called like somebody.
    names = {"arousal": 6, "bert": 5, "carla": 2}
    run = make_run(tmp_path / "run", names)
    assert "arousal" in read_numbers(run).evaluated
    with pytest.raises(InputError, match="the page would still contain the subject arousal"):
        share_report(run, tmp_path / "shared")
    assert not (tmp_path / "shared" / "report.html").exists()


def test_a_report_to_hand_on_goes_elsewhere(run):
    with pytest.raises(InputError, match="lies in the folder of the run"):
        share_report(run, run.path / "shared")


def test_a_later_report_compares_with_the_same(run):
    rows = [
        ("2", "deap", "3FACRNN", "valence", "accuracy", 96.86, np.nan, ""),
        ("2", "deap", "3FACRNN", "arousal", "accuracy", 96.75, 1.5, "a note"),
    ]
    printed = pd.DataFrame(rows, columns=PAPER_COLUMNS).assign(n_classes=pd.array([pd.NA, 2], dtype="Int64"))
    ComparedWith("deap_3facrnn", "the paper", ("one", "two"), printed).write(run)
    found = ComparedWith.read(RunFolder(run.path))
    assert (found.reproduction, found.reference, found.differences) == ("deap_3facrnn", "the paper", ("one", "two"))
    pd.testing.assert_frame_equal(found.printed, printed, check_dtype=False)
    assert len(numbers_of_classes(found.printed, {"valence": 2, "arousal": 3})) == 1
    (run.path / "compared_with.json").write_text('{"printed": 3}')
    with pytest.raises(InputError, match=r"compared_with\.json"):
        ComparedWith.read(run)


def test_runs_of_earlier_versions_are_compared_with_nothing(run):
    found = ComparedWith.read(run)
    assert found.printed is None
    assert found.differences == ()


@pytest.mark.parametrize(
    ("name", "dataset", "expected"),
    [
        ("mahnob_3facrnn", "mahnob_hci", ["3facrnn", "mahnob_hci"]),
        ("seed_mercl", "seed", ["mercl", "seed"]),
        ("recordings_facrnn", "recordings", ["3facrnn"]),
        ("sam40_svm", "sam40", ["sam40"]),
    ],
)
def test_a_run_cites_its_paper_its_dataset_and_the_libraries(name, dataset, expected):
    text = bibtex(name, dataset, {"keras": "3", "scipy": "1"})
    assert re.findall(r"@\w+\{([^,]+),", text) == [*expected, "keras_emotion", "keras", "scipy"]
    assert text.count("{") == text.count("}")
