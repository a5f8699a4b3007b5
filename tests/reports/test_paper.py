"""The numbers of the papers, and files of them that are broken."""

import re
from pathlib import Path

import numpy as np
import pytest

from keras_emotion.reports import CLASSES_COLUMN, PAPER_COLUMNS, numbers_of_classes, paper_numbers
from keras_emotion.schema import InputError

FACRNN = Path(__file__).parents[2] / "keras_emotion" / "papers" / "3facrnn.csv"
MERCL = FACRNN.with_name("mercl.csv")
HLSTM = FACRNN.with_name("hlstm.csv")
HEADER = ",".join(PAPER_COLUMNS)
GOOD = "2,deap,3FACRNN,arousal,accuracy,96.75,1.75,"


DEEPVANET = FACRNN.with_name("deepvanet.csv")


TEXTS = Path(__file__).parents[3] / "shared" / "papers"


def text_of(name):
    path = TEXTS / name
    if not path.is_file():
        pytest.skip("the text of the paper is not beside the checkout (../shared/papers)")
    return path.read_text()


@pytest.fixture(scope="module")
def paper_text():
    return text_of("004_612e7e20c4e0deaf.txt")


def one(table, dataset, variant, target, metric="accuracy"):
    rows = paper_numbers(FACRNN, dataset, table, variant)
    rows = rows[(rows["target"] == target) & (rows["metric"] == metric)]
    assert len(rows) == 1
    return rows.iloc[0]


def test_every_number_of_the_tables_is_there():
    counts = paper_numbers(FACRNN).groupby("table").size().to_dict()
    assert counts == {"2": 16, "3": 16, "4": 8, "5": 8, "6": 40}


@pytest.mark.parametrize(
    ("table", "dataset", "variant", "target", "metric", "value", "deviation"),
    [
        (2, "deap", "3FACRNN", "arousal", "accuracy", 96.75, np.nan),
        (2, "deap", "3FACRNN", "valence", "precision", 97.95, np.nan),
        (2, "mahnob_hci", "3FACRNN", "arousal", "recall", 96.42, np.nan),
        (2, "mahnob_hci", "3FACRNN", "valence", "f1", 97.33, np.nan),
        (3, "deap", "W/O any attention", "valence", "accuracy", 89.43, 4.49),
        (3, "mahnob_hci", "With only Frequency Band-attention", "arousal", "accuracy", 93.61, 3.91),
        (4, "mahnob_hci", "With raw EEG signals", "valence", "accuracy", 93.74, 2.32),
        (5, "deap", "W/O visual feature", "arousal", "accuracy", 93.47, 3.01),
        (6, "deap", "TR&CA", "valence", "accuracy", 95.18, 2.46),
        (6, "mahnob_hci", "M-CLASS", "arousal", "accuracy", 66.5, np.nan),
        (6, "deap", "DBN", "valence", "accuracy", 51.2, np.nan),
    ],
)
def test_numbers_as_printed(table, dataset, variant, target, metric, value, deviation):
    row = one(table, dataset, variant, target, metric)
    assert row["value"] == value
    np.testing.assert_equal(row["standard_deviation"], deviation)


@pytest.mark.parametrize(
    ("table", "full", "ablated", "gains"),
    [
        (3, "With all attention", "W/O any attention", (6.64, 7.43, 9.02, 7.19)),
        (3, "With all attention", "With only Self-attention", (1.91, 2.51, 3.33, 4.22)),
        (4, "With 3D-feature structure", "With raw EEG signals", (2.53, 3.06, 3.56, 4.63)),
        (5, "With visual feature", "W/O visual feature", (3.28, 3.68, 5.09, 3.83)),
    ],
)
def test_gains_that_the_text_states(table, full, ablated, gains):
    """The text of sections 3.2 and 3.3 prints these differences: a second source for both lines of each table."""
    places = [(dataset, target) for dataset in ("deap", "mahnob_hci") for target in ("arousal", "valence")]
    found = [
        one(table, dataset, full, target)["value"] - one(table, dataset, ablated, target)["value"]
        for dataset, target in places
    ]
    np.testing.assert_allclose(found, gains, atol=1e-9)


def test_notes_say_where_the_print_contradicts_itself():
    for dataset in ("deap", "mahnob_hci"):
        for target in ("arousal", "valence"):
            row = one(2, dataset, "3FACRNN", target, "f1")
            precision, recall = (one(2, dataset, "3FACRNN", target, name)["value"] for name in ("precision", "recall"))
            harmonic = 2 * precision * recall / (precision + recall)
            if abs(harmonic - row["value"]) > 0.01:
                assert (
                    f"not the harmonic mean of the printed precision and recall, which is {harmonic:.2f}" in row["note"]
                )
            else:
                assert "harmonic" not in row["note"]
    assert '"94.22 ± 0.2.37%"' in one(3, "mahnob_hci", "With only Self-attention", "arousal")["note"]
    assert "74.17 and 75.21" in one(6, "mahnob_hci", "Deep learning", "arousal")["note"]
    for table, variant in ((2, "3FACRNN"), (3, "With all attention"), (6, "3FACRNN")):
        assert "in the order valence, arousal" in one(table, "deap", variant, "valence")["note"]


def test_nothing_for_a_data_set_that_the_paper_does_not_use():
    rows = paper_numbers(FACRNN, dataset="sam40")
    assert len(rows) == 0
    assert tuple(rows.columns) == (*PAPER_COLUMNS, CLASSES_COLUMN)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not readable as csv"),
        (b"\xff\xfe\x00table", "not readable as csv"),
        ("table,dataset\n2,deap\n", "has the columns table, dataset; expected table, dataset, variant"),
        (f"{HEADER}\n{GOOD}\n2,deap,,arousal,f1,96.09,,\n", "line 3: variant is empty"),
        (f"{HEADER}\n2,deap,3FACRNN,arousal,accurracy,96.75,,\n", "line 2: metric is none of accuracy"),
        (f"{HEADER}\n{GOOD}\n{GOOD}\n", "line 3: the same table, dataset, variant, target, metric as on a line before"),
        (f"{HEADER}\n2,deap,3FACRNN,arousal,accuracy,0.2.37,,\n", "line 2: value is no number from 0 to 100"),
        (f"{HEADER}\n2,deap,3FACRNN,arousal,accuracy,,,\n", "line 2: value is empty"),
        (f"{HEADER}\n2,deap,3FACRNN,arousal,accuracy,967.5,,\n", "line 2: value is no number from 0 to 100"),
        (f"{HEADER}\n2,deap,3FACRNN,arousal,accuracy,96.75,±1,\n", "line 2: standard_deviation is no number"),
        (f"{HEADER}\n{GOOD},surplus,more\n", "not readable as csv|has the columns|line 2"),
        (f"{HEADER},n_classes\n{GOOD},2\n{GOOD.replace('arousal', 'valence')},\n", "line 3: n_classes is no number"),
        (f"{HEADER},n_classes\n{GOOD},1\n", "line 2: n_classes is no number from 2"),
    ],
)
def test_malformed_files_are_refused(tmp_path, content, message):
    path = tmp_path / "paper.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=message) as refused:
        paper_numbers(path)
    assert str(path) in str(refused.value)


def test_missing_file(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        paper_numbers(tmp_path / "paper.csv")


def test_the_cells_of_deepvanet_are_those_of_the_text():
    """Every line of Table 2 with two accuracies, in its order, against the lines of the csv."""
    lines, dataset, setting = [], "deap", ""
    for line in text_of("003_b9e5576d1c938893.txt").splitlines():
        name = [*line.split("\t"), ""][1]
        if name.endswith("-subject experiments"):
            # The text has the name of the second dataset a line too early: beside the last method of the first one.
            dataset = "mahnob_hci" if setting == "per-subject" and name.startswith("Inter") else dataset
            setting = name.split(" ")[0].lower()
        elif cells := re.search(r"(\d\d\.\d\d)/ (\d\d\.\d\d)$", line):
            reference = re.search(r"\[\d+\]", name)
            lines.append((dataset, setting, reference[0] if reference else "", *map(float, cells.groups())))
    numbers = paper_numbers(DEEPVANET, table=2).pivot(index=["dataset", "variant"], columns="target", values="value")
    found = []
    for (dataset, variant), row in numbers.iterrows():
        reference = re.search(r"\[\d+\]", variant)
        where = (dataset, re.search(r"(per|inter)-subject$", variant)[0])
        found.append((*where, reference[0] if reference else "", row["valence"], row["arousal"]))
    assert len(found) == 17
    assert sorted(found) == sorted(lines)


# --- MERCL, whose tables print numbers of one target with two, three and four classes


def test_every_cell_of_mercl_is_there():
    numbers = paper_numbers(MERCL)
    assert numbers.groupby("table").size().to_dict() == {"3": 30, "4": 30, "5": 20, "6": 20, "7": 8, "8": 8, "9": 4}
    is_own = (numbers["table"] > "6") | (numbers["variant"] == "Proposed Method")
    assert (is_own.sum(), (~is_own).sum()) == (40, 80)
    assert numbers.groupby("table")[CLASSES_COLUMN].unique().map(sorted).to_dict() == {
        **{"3": [2], "4": [3], "5": [3, 4]},
        **{table: [4] for table in "6789"},
    }


def test_the_cells_of_mercl_are_those_of_the_text(paper_text):
    """Each line of a table in the text of the paper, method and cells, against the lines of the csv."""
    numbers = paper_numbers(MERCL)
    found = {}
    for table, variant, value in zip(numbers["table"], numbers["variant"], numbers["value"], strict=True):
        found.setdefault((table, variant), []).append(f"{value:.1f}")
    lines, table = {}, ""
    for line in paper_text.splitlines():
        table = heading[1] if (heading := re.match(r"Table (\d)\. ", line)) else table
        name, *cells = line.rstrip("\t").split("\t")
        if cells and all(re.fullmatch(r"\d\d\.\d", cell) for cell in cells):
            lines[table, name.split(" [")[0]] = cells
    assert found == lines


def test_numbers_of_another_number_of_classes_are_not_compared():
    numbers = paper_numbers(MERCL, "deap")

    def accuracies(n_classes):
        rows = numbers_of_classes(numbers, n_classes)
        own = rows[(rows["variant"] == "Proposed Method") & (rows["metric"] == "accuracy")]
        return dict(zip(own["target"], own["value"], strict=True))

    assert accuracies({"valence": 2, "arousal": 3}) == {"valence": 93.4, "arousal": 88.6}
    assert accuracies({"valence": 3, "valence+arousal": 4}) == {"valence": 89.3, "valence+arousal": 83.2}
    assert accuracies({"valence": 5, "liking": 2}) == {}
    # A paper that says nothing of classes prints numbers of one label rule.
    facrnn = paper_numbers(FACRNN, "deap", 2)
    assert len(numbers_of_classes(facrnn, {"valence": 7})) == len(facrnn) / 2


def test_notes_of_mercl_say_where_text_and_tables_differ():
    numbers = paper_numbers(MERCL).set_index(["table", "variant", "metric"])
    full = numbers.loc[("8", "Proposed Method", "accuracy"), "value"]
    for variant, drop in (
        ("Without Contrastive Learning", "4.04"),
        ("Without Cross-Modal Attention", "2.19"),
        ("Without Contrastive Learning and Cross-Modal Attention", "5.28"),
    ):
        row = numbers.loc[("8", variant, "accuracy")]
        assert f"drops by {drop} %; the printed cells differ by {full - row['value']:.1f} points" in row["note"]
    for table, variant in (("7", "Audio + EEG + Video"), ("8", "Proposed Method")):
        assert "96.3" in numbers.loc[(table, variant, "f1"), "note"]
    assert "96.5" in numbers.loc[("9", "Proposed method (all samples)", "f1"), "note"]
    assert numbers.loc["4"].query("target == 'arousal'")["note"].str.contains('"Activated"').all()


def test_the_only_accuracy_that_hlstm_prints_and_what_its_text_adds():
    numbers = paper_numbers(HLSTM)
    rows = numbers[["table", "dataset", "variant", "target", "metric", "value"]].itertuples(index=False, name=None)
    assert list(rows) == [
        ("figure 6", "deap", "Common stacked LSTM", target, "accuracy", 85.9) for target in ("valence", "arousal")
    ]
    assert numbers["standard_deviation"].isna().all()
    notes = " ".join(numbers["note"])
    text = TEXTS / "001_9de4400fd9fb2026.txt"
    printed = text.read_text() if text.is_file() else notes
    for quoted in ("85.9%", "at least 2%", "0.015"):
        assert quoted in notes
        assert quoted in printed
