"""What others measured, beside the accuracies of a run."""

import io

import numpy as np
import pandas as pd
import pytest
import rich.console

from keras_emotion.evaluation import PROTOCOLS
from keras_emotion.papers import REFERENCES
from keras_emotion.reports import NO_COMPARISON, PUBLISHED, build_report, read_references
from keras_emotion.reports.references import kind_of_protocol
from keras_emotion.schema import InputError
from tests.reports.test_report import finish, start, write_fold

SUBJECTS, TRIALS = ("subjects", "across_subjects"), ("trials", "within_subject")
# Copied by hand from the specification: dataset, kind of protocol, method, then valence and arousal, or the one target.
OF_THE_SPECIFICATION = [
    ("deap", SUBJECTS, "best network", 53, 57),
    ("deap", SUBJECTS, "trivial", 57, 59),
    ("deap", SUBJECTS, "CDCN", 57.8, None),
    ("deap", SUBJECTS, "SVM", None, 51.5),
    ("deap", TRIALS, "DEAP's own classifier", 57.6, 62.0),
    ("deap", TRIALS, "TSception", 62.3, 63.8),
    ("deap", TRIALS, "TSception, run again", 59.3, 60.7),
    ("deap", TRIALS, "trivial", 50.3, 62.7),
    ("deap", TRIALS, "CDCN", 57.7, None),
    ("deap", TRIALS, "RGNN", None, 66.1),
    ("seed", SUBJECTS, "DeepConvNet", 55),
    ("seed", SUBJECTS, "trivial", 34),
    ("seed", SUBJECTS, "DGCNN", 60.9),
    ("seed", SUBJECTS, "LaBraM", 55.8),
    ("seed", TRIALS, "DGCNN", 82.6),
    ("seed", TRIALS, "SVM", 75.1),
    ("seed_iv", SUBJECTS, "best network", 45),
    ("mahnob_hci", SUBJECTS, "best network", 57, 54),
    ("mahnob_hci", SUBJECTS, "trivial", 55, 34),
    ("mahnob_hci", SUBJECTS, "GCBNet_BLS", 71.1, 60.9),
    ("mahnob_hci", TRIALS, "GCBNet_BLS", 69.6, None),
    ("mahnob_hci", TRIALS, "CDCN", None, 71.8),
    ("faced", SUBJECTS, "LUNA", 32.3),
    ("faced", SUBJECTS, "REVE", 31.5),
    ("faced", SUBJECTS, "CBraMod", 29.4),
    ("faced", SUBJECTS, "LaBraM", 28.0),
    ("faced", SUBJECTS, "EEGNet", 23.2),
    ("faced", SUBJECTS, "chance", 11.1),
    ("dreamer", SUBJECTS, "best network", 60, 48),
    ("dreamer", SUBJECTS, "trivial", 59, 52),
    ("amigos", SUBJECTS, "best network", 55, 60),
    ("amigos", SUBJECTS, "trivial", 56, 66),
]


@pytest.fixture(scope="module")
def references():
    return read_references(REFERENCES)


def test_values_are_those_of_the_specification(references):
    expected = {
        (dataset, target, *kind, method): value
        for dataset, kind, method, *values in OF_THE_SPECIFICATION
        for target, value in zip(("valence", "arousal") if len(values) == 2 else ("emotion",), values, strict=True)
        if value is not None
    }
    found = references.set_index(["dataset", "target", "disjoint", "scope", "method"])["value"].to_dict()
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        # The specification has one digit at most.
        assert found[key] == pytest.approx(value, abs=0.0501), key
    assert set(references.loc[references["dataset"] == "faced", "metric"]) == {"balanced_accuracy"}
    assert references["source"].str.contains(r"arXiv:|https://|IEEE").all()


def test_the_kind_of_a_protocol_is_what_it_keeps_apart():
    kinds = {name: kind_of_protocol(protocol.describe()) for name, protocol in PROTOCOLS.items()}
    assert {name for name, kind in kinds.items() if kind == SUBJECTS} == {"subject_disjoint"}
    assert {name for name, kind in kinds.items() if kind == TRIALS} == {
        "trial_disjoint",
        "within_session",
        "trial_holdout",
    }
    # They choose the epoch on the test fold: nothing honest compares with them.
    assert kinds["as_published"] is None
    assert kinds["as_published_deepvanet_inter_subject"] is None
    renamed = PROTOCOLS["subject_disjoint"].model_copy(update={"name": "another_name"})
    assert kind_of_protocol(renamed.describe()) == SUBJECTS


def made(path, dataset="deap", target="valence", synthetic=False):
    folder = start(path, ("as_published", "trial_disjoint", "subject_disjoint"), (target,), synthetic, dataset)
    for protocol in ("as_published", "trial_disjoint", "subject_disjoint"):
        for subject in (1, 2):
            write_fold(folder, protocol, subject, [0, 1, 0, 1], [0, 1, 1, 1], 1, target=target)
    return finish(folder, class_names={target: ("low", "high")})


def printed(report):
    console = rich.console.Console(file=io.StringIO(), width=400)
    report.print(console, full=True)
    return console.file.getvalue()


@pytest.mark.parametrize("synthetic", [False, True])
def test_a_report_shows_the_values_of_its_dataset_target_and_kinds_of_protocol(tmp_path, references, synthetic):
    report = build_report(made(tmp_path / "run", synthetic=synthetic), references=references)
    (row,) = [row for row in report.table.sections[0].rows if row.label == PUBLISHED]
    assert [cell.value for cell in row.cells] == ["–", "50.3 – 62.3", "53.0 – 57.8"]
    assert [cell.detail for cell in row.cells] == ["", "5 results", "3 results"]
    for text in (" ".join(printed(report).split()), report.path.read_text()):
        assert f"{PUBLISHED}, accuracy of valence under protocols like trial_disjoint:" in text
        assert "TSception 62.3 (Ding et al. (2022)" in text
        assert "CDCN 57.7 ± 14.7 (LibEER" in text
        # Of arousal, and of another dataset.
        assert "RGNN" not in text
        assert "DeepConvNet" not in text
        assert (NO_COMPARISON in text) == synthetic
    (line,) = [line for line in printed(report).splitlines() if line.strip().startswith(PUBLISHED) and "50.3" in line]
    assert "real data" in line
    overview = report.pictures[0]
    lines = {
        round(float(segment[0, 0]), 2)
        for collection in overview.figure.axes[0].collections
        if hasattr(collection, "get_segments")
        for segment in collection.get_segments()
        if segment.shape == (2, 2) and segment[0, 0] == segment[1, 0]
    }
    assert lines >= {50.3, 57.6, 57.71, 59.3, 62.3, 53, 57, 57.78}
    assert PUBLISHED in [text.get_text() for text in overview.figure.legends[0].get_texts()]
    assert (NO_COMPARISON in overview.caption) == synthetic
    assert f"Dashed: {PUBLISHED}" in overview.caption


@pytest.mark.parametrize(
    ("other", "n_classes"),
    # Two classes of a run are another problem than three of a reference.
    [({"dataset": "sam40"}, 2), ({"target": "dominance"}, 2), ({}, 3)],
    ids=["dataset", "target", "classes"],
)
def test_nothing_stands_beside_what_it_is_not_of(tmp_path, references, other, n_classes):
    report = build_report(made(tmp_path / "run", **other), references=references.assign(n_classes=n_classes))
    assert PUBLISHED not in printed(report)
    assert PUBLISHED not in report.path.read_text()
    assert PUBLISHED not in report.pictures[0].caption


def test_without_references_there_are_none(tmp_path):
    assert PUBLISHED not in printed(build_report(made(tmp_path / "run")))


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("metric", "luck", "line 3: metric is unknown; expected one of accuracy"),
        ("disjoint", "hours", "line 3: disjoint is unknown; expected one of windows"),
        ("scope", "everywhere", "line 3: scope is unknown"),
        ("value", "", "line 3: value is empty"),
        ("value", "101", r"line 3: value is no number from 0 to 100 \(percent\)"),
        ("spread", "much", "line 3: spread is no number"),
        ("n_classes", "1", "line 3: n_classes is no number from 2 to 99"),
        ("source", " ", "line 3: source is empty"),
    ],
)
def test_a_file_with_a_fault_is_refused(tmp_path, column, value, message):
    table = pd.read_csv(REFERENCES, dtype=str, keep_default_na=False)
    table.loc[1, column] = value
    table.to_csv(tmp_path / "references.csv", index=False)
    with pytest.raises(InputError, match=rf"references\.csv: {message}"):
        read_references(tmp_path / "references.csv")


def test_other_columns_a_double_and_no_file_are_refused(tmp_path):
    table = pd.read_csv(REFERENCES, dtype=str, keep_default_na=False)
    file = tmp_path / "references.csv"
    table.rename(columns={"spread": "sd"}).to_csv(file, index=False)
    with pytest.raises(InputError, match=r"has the columns .*sd.*; expected dataset"):
        read_references(file)
    table.iloc[np.array([0, 1, 0])].to_csv(file, index=False)
    with pytest.raises(InputError, match=r"line 4: has the dataset, .* of a line before"):
        read_references(file)
    with pytest.raises(InputError, match="no such file; expected a csv of reference values"):
        read_references(tmp_path / "nothing.csv")
