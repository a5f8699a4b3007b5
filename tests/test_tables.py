"""Tables are read back exactly, whatever the names of subjects and columns."""

import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_emotion.cli import main
from keras_emotion.datasets.faced_files import read_recording_info
from keras_emotion.evaluation import read_predictions, rescore
from keras_emotion.experiment import RunFolder
from keras_emotion.reports.paper import read_text_csv
from keras_emotion.schema import InputError
from keras_emotion.tables import csv_bytes, parse_table, read_cells, read_table

WORDS = ["NA", "nan", "None", "null", "N/A", "01", "1e5", "  x ", "", "True", "=1+1", "#", "a,b", '"', "\\", "inf"]
WORDS += ["a\nb", "\r", "a\r\nb", "\x00", "\ufeff", "\ud800", "<b>"]
# All characters, lone surrogates included.
names = st.text(st.characters(exclude_categories=()), max_size=6) | st.sampled_from(WORDS)
whole = st.integers(-(2**63), 2**63 - 1)
rows = st.lists(st.tuples(names, names, st.floats(), whole, st.booleans()), max_size=5)
KINDS = {"share_*": "number", "count": "integer", "flag": "flag"}


@settings(max_examples=80, deadline=None)
@given(rows, names.filter(lambda name: name not in ("count", "flag") and not name.startswith("share_")))
def test_any_text_and_any_number_come_back_as_they_were(cells, heading):
    columns = ["subject" if heading != "subject" else "person", heading, f"share_{heading}", "count", "flag"]
    types = dict(zip(columns, (str, str, float, "int64", bool), strict=True))
    table = pd.DataFrame(cells, columns=columns).astype(types)
    again = parse_table(csv_bytes(table), Path("table.csv"), KINDS, columns)
    pd.testing.assert_frame_equal(again, table, check_exact=True)


TABLE = pd.DataFrame(
    {"subject": ["NA", "01", "b"], "fold": [0, 1, 2], "value": [0.1, np.nan, 1 / 3], "note": ["", "x y", '"quoted"']}
)
TABLE_KINDS = {"fold": "integer", "value": "number"}


def test_a_table_that_is_cut_off_anywhere_in_a_line_is_refused(tmp_path):
    path, content = tmp_path / "table.csv", csv_bytes(TABLE)
    for length in range(len(content)):
        path.write_bytes(content[:length])
        if length and content[length - 1 : length] == b"\n":
            # Truncation between two lines leaves no trace in the file.
            assert len(read_table(path, TABLE_KINDS, TABLE.columns)) < 3
            continue
        with pytest.raises(InputError) as error:
            read_table(path, TABLE_KINDS, TABLE.columns)
        assert str(error.value).startswith(f"{path}: ")
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"01,1,", b"01,1.5,", r"fold: expected an integer in every row \(row 2, fold: '1.5'\)"),
        (b"NA,0,", b"NA,,", r"fold: expected an integer in every row \(row 1, fold: ''\)"),
        (b"0.1", b"0,1", r"damaged \(line 2 does not have the 4 cells of the first line\)"),
        (b"0.1", b"zero", r"value: expected a number or an empty cell in every row \(row 1, value: 'zero'\)"),
        (b",value", b",valve", "missing column value"),
        (b"01", b"\xff", "damaged .*codec can't decode"),
        (b"fold", b"subject", "damaged .*[Dd]uplicate"),
    ],
)
def test_faults_of_a_table_are_reported(old, new, message):
    content = csv_bytes(TABLE)
    assert content.count(old) == 1
    with pytest.raises(InputError, match=rf"^table\.csv: {message}"):
        parse_table(content.replace(old, new), Path("table.csv"), TABLE_KINDS, TABLE.columns)


def test_lines_may_end_as_on_windows():
    content = csv_bytes(TABLE).replace(b"\n", b"\r\n")
    pd.testing.assert_frame_equal(parse_table(content, Path("table.csv"), TABLE_KINDS), TABLE)


# A run and somebody's predictions with people called NA ---------------------------------------------------------------

PEOPLE = ["NA", "nan", "None", "null", "", "01", "1", "1e5", "<b>", "[red]", "  x "]


def finished(path, people):
    folder = RunFolder(path)
    folder.start({"dataset": "recordings"}, "identity", {"dataset": "recordings"}, resume=False)
    for subject in people:
        trials = [1, 2, 3]
        job = {"protocol": "trial_disjoint", "target": "valence", "subject": subject, "repetition": 0, "fold": 0}
        record = {
            "job": job,
            "metrics": {subject: {"accuracy": 1 / 3}},
            "training_majority": 1,
            "n_training_windows": 9,
            "n_validation_windows": 1,
            "best_epoch": 3,
            "diagnostics": {},
            "predictions": {
                "dataset": ["null"] * 3,
                "subject": [subject] * 3,
                "session": ["NA"] * 3,
                "trial": trials,
                "stimulus": ["None", "007", ""],
                "start_seconds": [0.0] * 3,
                "stop_seconds": [0.1 + 0.2] * 3,
                "label": [0, 1, 1],
                "prediction": [0, 1, 0],
                "probability_NA": [0.1, 0.2, 1 / 3],
            },
        }
        folder.write_job(record)
    folder.finish({"class_names": {}, "not_evaluable": [], "dropped_windows": {}})
    return folder


def test_the_tables_of_a_run_keep_the_names_of_people_and_things(tmp_path):
    folder = finished(tmp_path / "run", PEOPLE)
    predictions, results = folder.predictions(), folder.results()
    assert set(predictions["subject"]) == set(results["subject"]) == set(PEOPLE)
    assert set(predictions["stimulus"]) == {"None", "007", ""}
    assert set(predictions["dataset"]) == {"null"}
    assert set(predictions["session"]) == {"NA"}
    assert set(predictions["stop_seconds"]) == {0.1 + 0.2}
    assert not predictions.isna().any(axis=None)


def test_predictions_of_a_run_that_lack_lines_at_the_end_are_refused(tmp_path):
    folder = finished(tmp_path / "run", ["01", "NA"])
    path = folder.path / "predictions.csv"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    with pytest.raises(InputError, match=r"predictions\.csv: damaged \(has 5 rows; expected 6\)"):
        folder.predictions()


def foreign(tmp_path, **columns):
    """Predictions of two subjects in two folds, half of them correct, optionally with renamed columns."""
    table = pd.DataFrame(
        {
            "subject": ["1"] * 8 + ["2"] * 8,
            "trial": [*range(8)] * 2,
            "start": 0,
            "stop": 2,
            "fold": [0, 1] * 8,
            "label": [0, 0, 1, 1] * 4,
            "prediction": [0, 1] * 8,
        }
    ).assign(**columns)
    (tmp_path / "table.csv").write_bytes(csv_bytes(table))
    return read_predictions(tmp_path / "table.csv")


def test_whatever_people_are_called_somebodys_predictions_score_the_same(tmp_path):
    expected = rescore(foreign(tmp_path), n_permutations=19)
    assert expected["n_subjects"].tolist() == [2, 2]
    assert expected["accuracy"].tolist() == [0.5, 0.5]
    for first, second in (("NA", "nan"), ("1", "01"), ("null", "None"), ("1e5", "100000")):
        table = foreign(tmp_path, subject=[first] * 8 + [second] * 8, session="NA")
        assert table["subject"].unique().tolist() == [first, second]
        pd.testing.assert_frame_equal(rescore(table, n_permutations=19), expected)


def test_trials_that_are_written_otherwise_are_others(tmp_path):
    assert foreign(tmp_path, trial=["1", "01", "2", "NA"] * 4)["trial"].tolist() == ["1", "01", "2", "NA"] * 4
    assert foreign(tmp_path)["trial"].tolist() == [*range(8)] * 2


@pytest.mark.parametrize("column", ["fold", "label", "prediction"])
@pytest.mark.parametrize("word", ["NA", "nan", "None", "null", ""])
def test_a_fold_or_a_label_that_is_missing_is_no_fold_and_no_label(column, word, tmp_path):
    cells = [*map(str, [0, 1] * 7), "0", word]
    with pytest.raises(InputError, match=f"line 17: {column} is missing"):
        foreign(tmp_path, **{column: cells})


def test_what_is_not_defined_in_the_scores_of_a_small_table_is_null(tmp_path, capsys):
    foreign(tmp_path, subject="NA", trial=[0] * 8 + [1] * 8, start=[*range(0, 16, 2)] * 2, stop=[*range(2, 18, 2)] * 2)
    assert main(["audit", "--table", str(tmp_path / "table.csv"), "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)["scores"]
    assert [row["chance_p_value"] for row in scores] == [None, None]
    assert [row["n_subjects"] for row in scores] == [1, 1]


def test_blank_lines_are_no_windows_and_lines_are_counted_with_them(tmp_path):
    foreign(tmp_path)
    lines = (tmp_path / "table.csv").read_text().splitlines()
    (tmp_path / "table.csv").write_text("\n".join([*lines[:3], "", *lines[3:], "", ""]))
    assert len(read_predictions(tmp_path / "table.csv")) == 16
    (tmp_path / "table.csv").write_text("\n".join([*lines[:3], "", lines[3].replace(",1,0", ",,0", 1)]))
    with pytest.raises(InputError, match="line 5: label is missing"):
        read_predictions(tmp_path / "table.csv")


def test_a_table_is_what_another_reader_makes_of_it():
    again = pd.read_csv(io.BytesIO(csv_bytes(TABLE)), dtype={"subject": str}, keep_default_na=False, na_values=[""])
    pd.testing.assert_frame_equal(again[["subject", "fold", "value"]], TABLE[["subject", "fold", "value"]])


@pytest.mark.parametrize("text", ["=1+1", "+1+x", "-x", "@sum", "\tx", "\rx", "'=1", "''=1", "=\x1b"])
def test_no_cell_is_a_formula_for_a_spreadsheet(text, tmp_path):
    path = tmp_path / "table.csv"
    table = pd.DataFrame({"subject": [text, "plain"], text: ["a", text]})
    path.write_bytes(csv_bytes(table))
    pd.testing.assert_frame_equal(read_table(path, {}), table)
    raw = pd.read_csv(path, dtype=str, keep_default_na=False)
    for cell in [*raw.columns, *raw.to_numpy().ravel()]:
        assert not cell.startswith(tuple("=+-@\t\r"))
    # In a user's table, the cells are text too.
    assert read_cells(path).iloc[0, 0] == text.strip() or read_cells(path).iloc[0, 0] == text


@pytest.mark.parametrize("text", ["-1", "+5", "-1.5e3", "'quoted'", "a=1", "'"])
def test_other_cells_are_written_as_they_are(text):
    assert csv_bytes(pd.DataFrame({"subject": [text]})) == f"subject\n{text}\n".encode()


def test_headings_have_no_control_characters():
    table = pd.DataFrame({"a\x1b[31m": [1], "\u202eb": [2], "c\\x1b": [3], "d\\e": [4]})
    heading = csv_bytes(table).decode().splitlines()[0]
    assert heading == r"a\x1b[31m,\u202eb,c\\x1b,d\e"
    kinds = dict.fromkeys(table, "integer")
    pd.testing.assert_frame_equal(parse_table(csv_bytes(table), Path("a.csv"), kinds), table)


def test_a_nul_in_a_table_is_a_refusal(tmp_path):
    path = tmp_path / "predictions.csv"
    path.write_bytes(b'a,b\n"1",\x002\n3\n')
    with pytest.raises(InputError, match=r"predictions\.csv: damaged \("):
        read_table(path, {"a": "integer"})


def test_lines_with_more_cells_than_the_first_are_refused(tmp_path):
    """Pandas would take their first cells for names of rows, and each other cell for that of the column before."""
    path = tmp_path / "Recording_info.csv"
    path.write_text("sub,Gender,Age,Sample_rate,Unit\nsub000,M,20,1000,uV,\n")
    for read in (read_recording_info, lambda path: read_text_csv(path, "a table")):
        with pytest.raises(InputError, match=r"Recording_info\.csv: .*lines have more cells than the first"):
            read(path)
