"""Reports of fabricated runs whose numbers are known by hand."""

import base64
import dataclasses
import hashlib
import html
import io
import re
import shutil
import struct
from html.parser import HTMLParser

import matplotlib
import matplotlib.figure
import matplotlib.image
import numpy as np
import pandas as pd
import PIL.Image
import pytest
import rich.console

from keras_emotion.evaluation import POOL, PROTOCOLS
from keras_emotion.experiment.records import RunFolder
from keras_emotion.json_files import json_bytes
from keras_emotion.reports import PAPER_COLUMNS, SYNTHETIC_MARK, build_report, draw_mean_band_attention
from keras_emotion.reports import figures as of_reports
from keras_emotion.reports.listing import list_runs
from keras_emotion.reports.numbers import NotEvaluated, compute_numbers, read_numbers, read_tables
from keras_emotion.reports.tables import gap_sentence, main_table, stimulus_notes
from keras_emotion.schema import InputError
from tests.experiment.made_records import write_other_table

SCRIPT = "<script>alert('x')</script>"
BINARY = {"arousal": ("low", "high")}


def paper_rows(*rows):
    return pd.DataFrame(rows, columns=PAPER_COLUMNS)


PAPER = paper_rows(
    ("2", "deap", "3FACRNN", "arousal", "accuracy", 96.75, np.nan, "a remark on the print"),
    ("2", "deap", "3FACRNN", "arousal", "f1", 96.09, np.nan, ""),
    ("3", "deap", "W/O any attention", "arousal", "accuracy", 90.11, 3.58, ""),
    ("3", "deap", "With all attention", "arousal", "accuracy", 96.75, 1.75, ""),
    ("2", "mahnob_hci", "3FACRNN", "arousal", "accuracy", 97.55, np.nan, ""),
)


def start(path, protocols, targets=BINARY, synthetic=False, dataset="deap", name="deap_3facrnn", command="python x.py"):
    folder = RunFolder(path)
    science = {
        "name": name,
        "dataset": dataset,
        "targets": list(targets),
        "protocols": [PROTOCOLS[protocol].describe() for protocol in protocols],
    }
    data = {
        "dataset": dataset,
        "synthetic": synthetic,
        "subjects": [2, 10],
        "fingerprints": {"2": "ab12", "10": "cd34"},
    }
    folder.start(science, "0011223344556677", data, resume=False)
    folder.write_json(
        "environment.json", {"command": command, "python": "3.11", "packages": {"numpy": "2.0"}, "gpu": []}
    )
    return folder


def write_fold(
    folder, protocol, subject, labels, predictions, majority, *, target="arousal", fold=0, trials=None, diagnostics=None
):
    """One job: a window a trial; the trials are numbered on from `fold` in steps of two unless they are given."""
    names = {"task": ("Relax", "Stroop", "$\\bad$", "Mirror")}.get(target, ("low", "high"))
    labels, predictions = np.asarray(labels), np.asarray(predictions)
    trials = 1 + fold + 2 * np.arange(len(labels)) if trials is None else np.asarray(trials)
    probabilities = np.where(np.arange(len(names)) == predictions[:, None], 0.7, 0.3 / (len(names) - 1))
    columns = {
        "subject": [subject] * len(labels),
        "trial": trials.tolist(),
        "stimulus": [str(trial) for trial in trials],
        "start_seconds": [0.0] * len(labels),
        "stop_seconds": [2.0] * len(labels),
        "label": labels.tolist(),
        "prediction": predictions.tolist(),
        **{f"probability_{name}": probabilities[:, place].tolist() for place, name in enumerate(names)},
    }
    job = {"protocol": protocol, "target": target, "subject": subject, "repetition": 0, "fold": fold}
    record = {
        "job": job,
        # Wrong on purpose: nothing but the predictions may count.
        "metrics": {str(subject): {"accuracy": 0.123}},
        "training_majority": majority,
        "n_training_windows": 4,
        "n_validation_windows": 2,
        "predictions": columns,
        "best_epoch": 1,
        "seconds": 0.1,
        "diagnostics": diagnostics or {},
    }
    folder.write_job(record)


def finish(folder, not_evaluable=(), class_names=BINARY, dropped=None):
    folder.finish({"not_evaluable": list(not_evaluable), "dropped_windows": dropped or {}, "class_names": class_names})
    return folder


def hand_run(path, **options):
    """Subjects 2 and 10, four trials each, all right as published; subject 3 cannot be evaluated by trial.

    Subject 2, labels 0 0 1 1, by trial 0 1 1 1: three of four right. Subject 10, labels 0 1 1 1, by trial 1 1 0 0:
    one of four. Folds hold the odd and the even trials.
    """
    folder = start(path, ("as_published", "trial_disjoint"), **options)
    for subject, labels, by_trial in ((2, [0, 0, 1, 1], [0, 1, 1, 1]), (10, [0, 1, 1, 1], [1, 1, 0, 0])):
        for fold in (0, 1):
            attention = {f"band_attention_{band}": subject / 20 + fold / 10 for band in ("alpha", "gamma", "theta")}
            write_fold(
                folder, "as_published", subject, labels[fold::2], labels[fold::2], 1, fold=fold, diagnostics=attention
            )
            # Training majority: 1 then 0 for subject 2, always 0 for subject 10.
            majority = 1 if (subject, fold) == (2, 0) else 0
            write_fold(folder, "trial_disjoint", subject, labels[fold::2], by_trial[fold::2], majority, fold=fold)
    write_fold(folder, "as_published", 3, [0, 0, 0, 1], [1, 1, 1, 0], 0)
    reason = {"protocol": "trial_disjoint", "target": "arousal", "subject": 3, "reason": f"too few trials {SCRIPT}"}
    return finish(folder, [reason], dropped={"10": {"no teacher features": 7}})


def sam40_run(path):
    """Synthetic, three protocols, four classes and two, twelve subjects; labels in equal shares."""
    targets = {"task": ("Relax", "Stroop", "$\\bad$", "Mirror"), "stress": ("low", "high")}
    protocols = ("as_published", "trial_disjoint", "subject_disjoint")
    folder = start(path, protocols, targets, synthetic=True, dataset="sam40", name="sam40_3facrnn")
    generator = np.random.default_rng(0)
    for target, names in targets.items():
        labels = np.arange(12) % len(names)
        for subject in range(1, 13):
            for protocol in protocols:
                wrong = generator.random(12) < (0.1 if protocol == "as_published" else 1 - 1 / len(names))
                write_fold(folder, protocol, subject, labels, (labels + wrong) % len(names), 0, target=target)
    return finish(folder, class_names=targets)


@pytest.fixture(scope="module")
def hand_report(tmp_path_factory):
    options = {"name": f"run {SCRIPT}", "command": f"python x.py --output {SCRIPT}"}
    folder = hand_run(tmp_path_factory.mktemp("hand") / "run", **options)
    return build_report(folder, PAPER, [f"training.epochs: 100 -> 3 {SCRIPT}", "[bold]kept[/bold]"])


@pytest.fixture(scope="module")
def sam40_report(tmp_path_factory):
    return build_report(sam40_run(tmp_path_factory.mktemp("sam40") / "run"), PAPER)


def printed(report, width=170, full=True):
    console = rich.console.Console(file=io.StringIO(), width=width)
    report.print(console, full=full)
    return console.file.getvalue()


def cells(table, target, label):
    section = next(section for section in table.sections if section.target == target)
    row = next(row for row in section.rows if row.label == label)
    return [(cell.value, cell.detail) for cell in row.cells]


class Rows(HTMLParser):
    """Text of each row of the tables of a class; and the tags that occur."""

    def __init__(self, page):
        super().__init__()
        self.rows, self.tags, self._table, self._in_body = {}, [], None, False
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag == "table":
            self._table = dict(attributes).get("class")
        self._in_body = {"tbody": True, "thead": False}.get(tag, self._in_body)
        if tag == "tr" and self._in_body:
            self.rows.setdefault(self._table, []).append("")

    def handle_endtag(self, tag):
        if tag == "tbody":
            self._in_body = False

    def handle_data(self, data):
        if self._in_body and self.rows.get(self._table):
            self.rows[self._table][-1] += f" {data.strip()}"


def test_table_equals_the_hand_computation(hand_report):
    table = hand_report.table
    assert table.columns == ("paper", "as_published¹,²", "trial_disjoint")
    assert table.notes[:2] == ("¹ epoch chosen on the test fold", "² windows of one trial in training and test")
    expected = {
        "accuracy": [("96.75 ± 1.75", ""), ("100.0", "100.0 100.0"), ("50.0", "75.0 25.0")],
        # By trial: subject 2 two of four, subject 10 one of four; as published all 1: two of four, three of four.
        "majority class of training": [("", ""), ("62.5", ""), ("37.5", "")],
        "best constant on test": [("", ""), ("62.5", ""), ("62.5", "")],
        # Recalls 1/2 and 1; 0 and 1/3.
        "balanced accuracy": [("–", ""), ("100.0", "100.0 100.0"), ("45.8", "75.0 16.7")],
        # 2 * 2 / (2 + 3) and 2 * 1 / (3 + 2)
        "F1 of 'high'": [("96.09", ""), ("100.0", "100.0 100.0"), ("60.0", "80.0 40.0")],
        # Of class 0 it is 2 * 1 / (1 + 2) and 0.
        "F1, mean over classes": [("–", ""), ("100.0", "100.0 100.0"), ("46.7", "73.3 20.0")],
        # By trial "high" has probability 0.3 0.7 0.7 0.7 and 0.7 0.7 0.3 0.3: pairs won, ties half: 3 of 4, 1/2 of 3.
        "area under ROC": [("–", ""), ("100.0", "100.0 100.0"), ("45.8", "75.0 16.7")],
        # 2 p / (1 + p) with p of 1/2 and 3/4
        "always 'high'": [("", ""), ("76.2", ""), ("76.2", "")],
        # Expected agreement is 1/2 in both.
        "Cohen's kappa": [("–", ""), ("1.00", "1.00 1.00"), ("0.00", "0.50 -0.50")],
        "precision of 'high'": [("–", ""), ("100.0", "100.0 100.0"), ("58.3", "66.7 50.0")],
        "recall of 'high'": [("–", ""), ("100.0", "100.0 100.0"), ("66.7", "100.0 33.3")],
    }
    assert {label: cells(table, "arousal", label) for label in expected} == expected
    assert [section.heading for section in table.sections] == ["arousal, 2 classes, 2 subjects"]
    text = printed(hand_report)
    assert re.search(r"accuracy +96\.75 ± 1\.75 +100\.0 +50\.0 *\n +100\.0 100\.0 +75\.0 25\.0", text)
    assert "paper: table 2, 3FACRNN, as printed" in text
    assert "paper, accuracy of arousal: a remark on the print" in text


def test_chance_band_equals_the_exact_null(hand_report):
    # All permutations: each subject scores 1/4 or 3/4, either with probability 1/2, independently. So the mean is
    # 1/4, 1/2, 3/4 with probabilities 1/4, 1/2, 1/4, and 1/2 is reached with probability 3/4 (standard error 0.014).
    band, p_value = cells(hand_report.table, "arousal", "chance, 95 % band")[2]
    assert band == "25.0 – 75.0"
    assert abs(float(p_value.removeprefix("p = ")) - 0.75) < 0.06


def test_few_subjects_are_shown_one_by_one_and_many_get_an_interval(tmp_path, hand_report):
    assert any(
        "2 subjects, too few for an interval over subjects (expected 10 or more)" in note and "subjects 2, 10" in note
        for note in hand_report.table.notes
    )
    folder = start(tmp_path / "run", ("trial_disjoint",))
    for subject in range(1, 11):
        labels = np.array([0, 1, 0, 1])
        write_fold(folder, "trial_disjoint", subject, labels, labels if subject > 5 else [0, 0, 0, 0], 0)
    table = main_table(read_numbers(finish(folder)), None, ())
    # Half of ten subjects at 1/2, half at 1: sd sqrt(10/9) / 4; the interval holds binomial(10, 1/2) from 2 to 8.
    assert cells(table, "arousal", "accuracy") == [("75.0 ± 26.4", "[60.0, 90.0]")]
    assert not any("too few for an interval" in note for note in table.notes)


def test_of_many_that_are_not_evaluable_one_reason_is_printed(tmp_path):
    folder = start(tmp_path / "run", ("trial_disjoint",))
    for subject in (1, 2):
        write_fold(folder, "trial_disjoint", subject, [0, 1, 0, 1], [0, 1, 0, 1], 0)
    numbers = read_numbers(finish(folder))
    many = [NotEvaluated("arousal", str(subject), "trial_disjoint", f"reason {subject}") for subject in range(3, 9)]
    mixed = [NotEvaluated("arousal", POOL, "subject_disjoint", "one subject")]
    table = main_table(dataclasses.replace(numbers, not_evaluated=(*many, *mixed)), None, ())
    named = "subjects 3, 4, 5, 6, 7, 8, trial_disjoint: for example reason 3 (left out of every protocol)"
    assert f"not evaluable: arousal, {named}" in table.notes
    assert "not evaluable: arousal, all subjects together, subject_disjoint: one subject" in table.notes
    assert not any("reason 4" in note for note in table.notes)


def test_subjects_that_are_not_evaluable_are_listed_and_left_out(hand_report):
    # Subject 3 has every window wrong as published: the 100.0 above is without it.
    note = f"not evaluable: arousal, subject 3, trial_disjoint: too few trials {SCRIPT} (left out of every protocol)"
    assert note in hand_report.table.notes
    assert "windows dropped: subject 10: 7 (no teacher features)" in hand_report.table.notes
    text = " ".join(printed(hand_report).split())
    assert note in text
    assert "&lt;script&gt;" in hand_report.path.read_text()
    rows = Rows(hand_report.path.read_text()).rows
    assert [row.split()[0] for row in rows["subjects sortable"]] == ["2", "10"]


def test_reductions_stand_below_the_table(hand_report):
    text = printed(hand_report)
    assert f"differs from the paper: training.epochs: 100 -> 3 {SCRIPT}" in text
    assert "differs from the paper: [bold]kept[/bold]" in text


def test_text_of_the_users_is_never_markup(hand_report):
    page = hand_report.path.read_text()
    # The one script that sorts tables.
    assert Rows(page).tags.count("script") == 1
    # Name (title, heading), reduction (notes, list), reason, command, configuration.
    assert page.count("&lt;script&gt;alert(") >= 7
    assert SCRIPT not in page


def test_page_needs_nothing_beside_it(hand_report):
    page = hand_report.path.read_text()
    assert not re.search(r"""(src|href)=["'](?!data:image/png;base64,)""", page)
    assert page.count("data:image/png;base64,") == len(hand_report.figures)
    for piece in ("0011223344556677", "ab12", "numpy: 2.0", "epoch chosen on the test fold", "predictions.csv"):
        assert piece in page
    # Defined and done: two folds, one repetition.
    assert page.count("<td>at most 10; here 2</td>") == page.count("<td>5; here 1</td>") == 2
    assert str(hand_report.path.parent) not in page


@pytest.mark.parametrize("full", [False, True])
def test_synthetic_data_are_marked_once_above_each_table(sam40_report, full):
    text = printed(sam40_report, full=full)
    assert SYNTHETIC_MARK in text.splitlines()[0]
    assert SYNTHETIC_MARK in sam40_report.sentence
    # Nothing but the title and the sentence.
    assert " ".join(text.split()).count("synthetic") == 2
    page = sam40_report.path.read_text()
    rows = Rows(page).rows
    assert len(rows["main"]) == 2 + 24
    assert len(rows["subjects sortable"]) == 2 * 12
    assert not any("synthetic" in row for row in rows["main"] + rows["subjects sortable"])
    assert page.count(f'<p class="banner" role="note">{SYNTHETIC_MARK}</p>') == 1
    # Of each page that is printed.
    assert f'@top-right {{ content: "{SYNTHETIC_MARK}";' in page
    assert page.count(f"({SYNTHETIC_MARK}).</strong>") == len(sam40_report.figures)
    for picture in sam40_report.pictures:
        assert SYNTHETIC_MARK in picture.figure.get_suptitle()
        assert picture.figure.get_suptitle().startswith("SAM40: ")


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("width", [30, 80, 300])
def test_a_brief_table_is_at_most_100_columns_wide_and_none_loses_a_number(sam40_report, width, full):
    text = printed(sam40_report, width, full)
    table = text.split("¹ epoch")[0]
    if width >= 80:
        assert max(map(len, text.split("report: ")[0].splitlines())) <= (width if full else min(width, 100))
    assert "…" not in text
    shown = {"accuracy", "chance, 95 % band", "majority class of training"}
    for section in sam40_report.table.sections:
        for row in section.rows:
            for cell in row.cells if full or row.label in shown else ():
                assert all(word in table for word in cell.value.split())


def test_the_brief_table_has_a_line_for_each_protocol_and_nothing_essential_is_left_out(hand_report):
    text = printed(hand_report, full=False)
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "paper 96.75 ± 1.75" in lines
    assert any(re.fullmatch(r"as_published¹,² 100\.0 \S+ – \S+ \S+ 62\.5", line) for line in lines)
    (honest,) = [line for line in lines if line.startswith("trial_disjoint ")]
    assert re.fullmatch(r"trial_disjoint 50\.0 25\.0 – 75\.0 0\.7\d\d 37\.5", honest)
    words = " ".join(text.split())
    for note in hand_report.table.essential:
        assert " ".join(note.split()) in words
    assert {note[:14] for note in hand_report.table.essential} == {
        "¹ epoch chosen",
        "² windows of o",
        "not evaluable:",
        "windows droppe",
    }
    assert "Differs from the paper in 2 points." in words
    assert "balanced accuracy" not in text
    # What is folded on the page is in it all the same.
    page = html.unescape(hand_report.path.read_text())
    assert all(note in page for note in hand_report.table.folded if not note.startswith("differs from"))
    assert not set(hand_report.table.folded) & set(hand_report.table.essential)


def test_a_page_says_first_what_was_done_and_shows_the_main_figure_before_the_table(hand_report):
    page = hand_report.path.read_text()
    places = [
        page.index(piece)
        for piece in (
            "was trained to classify arousal (2 classes) on DEAP: 2 subjects, 8 trials, 8 windows.",
            "From as_published to trial_disjoint",
            "<figure>",
            '<table class="main">',
            "<details><summary>How to read this table",
            "<h2>More figures</h2>",
            '<table class="subjects sortable">',
        )
    ]
    assert places == sorted(places)
    assert "as_published (2 folds for each subject alone; training and test sets share no windows; flagged: " in page


def test_every_picture_says_in_words_what_can_be_seen(hand_report):
    page = hand_report.path.read_text()
    alts = [html.unescape(alt) for alt in re.findall(r'<img alt="([^"]*)"', page)]
    assert len(alts) == len(hand_report.pictures)
    for level in ("paper 96.75 ± 1.75 %, as_published¹,² 100.0 % (", "trial_disjoint 50.0 % (chance 25.0 – 75.0 %)"):
        assert level in alts[0]
    (confusion,) = [alt for alt in alts if "confusion" in alt]
    # One of three and three of five.
    assert "trial_disjoint: low 33%, high 60%" in confusion, confusion
    (attention,) = [alt for alt in alts if "attention" in alt]
    assert "theta 0.35, alpha 0.35, gamma 0.35" in attention


def test_protocols_of_a_run_differ_in_colour_and_marker(sam40_report):
    (picture,) = [one for one in sam40_report.pictures if one.name == "accuracy_by_subject"]
    handles = {handle.get_label(): handle for handle in picture.figure.legends[0].legend_handles}
    protocols = [handles[name] for name in ("as_published", "trial_disjoint", "subject_disjoint")]
    assert len({handle.get_color() for handle in protocols}) == 3
    assert len({handle.get_marker() for handle in protocols}) == 3


def test_a_page_runs_one_script_that_is_known_by_its_hash(hand_report):
    page = hand_report.path.read_text()
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (policy,) = re.findall(r'<meta http-equiv="Content-Security-Policy" content="([^"]*)">', page)
    assert policy == (f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'")
    # Columns that can be sorted are numbered from left to right.
    table = page[page.index('<table class="subjects sortable">') :].partition("</thead>")[0]
    assert sorted(map(int, re.findall(r'data-column="(\d+)"', table))) == list(range(3 + 2 * 5))


def test_real_data_carry_no_mark(hand_report):
    assert "synthetic" not in printed(hand_report)
    assert SYNTHETIC_MARK not in hand_report.path.read_text()
    titles = {picture.name: picture.figure.get_suptitle() for picture in hand_report.pictures}
    assert titles == {
        "overview": "DEAP: accuracy by protocol",
        "accuracy_by_subject": "DEAP: accuracy of each subject",
        "confusion_arousal": "DEAP: confusion matrix, arousal",
        "band_attention": "DEAP: mean attention to each band",
    }


def test_the_attention_of_each_network_is_a_dot_beside_the_mean(tmp_path):
    folder = start(tmp_path, ("as_published", "trial_disjoint"))
    for subject in (2, 10, 3):
        for fold in (0, 1):
            attention = {f"band_attention_{band}": subject / 20 + fold / 10 for band in ("theta", "alpha")}
            write_fold(folder, "as_published", subject, [0, 1], [0, 1], 1, fold=fold, diagnostics=attention)
            if subject != 3:
                write_fold(folder, "trial_disjoint", subject, [0, 1], [0, 1], 1, fold=fold)
    # Who is not compared has no dots either.
    reason = {"protocol": "trial_disjoint", "target": "arousal", "subject": 3, "reason": "too few trials"}
    finish(folder, [reason])
    drawing = draw_mean_band_attention(read_numbers(folder), folder.results(), "7", "A remark.")
    alpha = drawing.table[drawing.table["band"] == "alpha"]
    assert sorted(alpha["weight"]) == pytest.approx([0.1, 0.2, 0.5, 0.6])
    assert drawing.picture.caption.endswith("A remark.")
    axes = drawing.picture.figure.axes[0]
    assert [bar.get_height() for bar in axes.patches] == pytest.approx([0.35, 0.35])
    (dots,) = [
        line.get_ydata() for line in axes.lines if line.get_linestyle() == "None" and line.get_color() == "black"
    ]
    assert sorted(dots) == pytest.approx([0.1, 0.1, 0.2, 0.2, 0.5, 0.5, 0.6, 0.6])


def test_protocols_that_keep_stimuli_apart_are_those_of_the_rows(tmp_path):
    folder = start(tmp_path, ("trial_disjoint", "stimulus_disjoint", "predefined_split"), dataset="seed")
    for protocol in ("trial_disjoint", "stimulus_disjoint", "predefined_split"):
        for fold in (0, 1):
            # Stimuli 1 and 2, each shown to both: its label is its own.
            for subject in (2, 10):
                write_fold(folder, protocol, subject, [0, 1], [0, 1], 0, fold=fold, trials=[1, 2] + 2 * np.array(fold))
    tables = read_tables(finish(folder))
    seen = tables.predictions["protocol"].map({"trial_disjoint": "person"}).fillna("no")
    seen[tables.predictions["protocol"].eq("stimulus_disjoint")] = ["others"] + ["no"] * 7
    predictions = tables.predictions.assign(
        stimulus=tables.predictions["trial"] % 2, stimulus_label=0, stimulus_seen=seen
    )
    numbers = compute_numbers(dataclasses.replace(tables, predictions=predictions))
    assert numbers.keeping_stimuli_apart == ("predefined_split",)
    (note,) = stimulus_notes(numbers)
    assert "only stimulus-disjoint protocols test emotion recognition: in this run predefined_split (" in note
    (none,) = stimulus_notes(dataclasses.replace(numbers, keeping_stimuli_apart=()))
    assert "test emotion recognition: none in this run (" in none
    # A protocol that tested nobody judges nothing.
    untested = predictions[predictions["protocol"].ne("predefined_split")]
    assert compute_numbers(dataclasses.replace(tables, predictions=untested)).keeping_stimuli_apart == ()


def test_four_classes_three_protocols_and_no_paper(sam40_report):
    table = sam40_report.table
    assert table.columns == ("as_published¹,²", "trial_disjoint", "subject_disjoint")
    assert [section.heading for section in table.sections] == [
        "task, 4 classes, 12 subjects",
        "stress, 2 classes, 12 subjects",
    ]
    # The training majority is class 0 throughout, which a quarter or a half of the labels are.
    assert cells(table, "task", "majority class of training") == [("25.0", "")] * 3
    assert cells(table, "stress", "majority class of training") == [("50.0", "")] * 3
    labels = [[row.label for row in section.rows] for section in table.sections]
    assert labels[0].count("F1, mean over classes") == labels[1].count("F1, mean over classes") == 1
    assert "F1 of 'high'" in labels[1]
    assert not any("always" in label for label in labels[0])
    assert "paper" not in printed(sam40_report).split("¹ epoch")[0]
    assert {path.stem for path in sam40_report.figures} == {
        "overview",
        "accuracy_by_subject",
        "confusion_task",
        "confusion_stress",
    }


def test_figures_show_the_numbers(hand_report, sam40_report):
    figures = {picture.name: picture.figure for picture in hand_report.pictures}
    # Subjects 2 and 10 are all right; subject 3, all wrong, is left out.
    as_published = figures["confusion_arousal"].axes[0]
    assert [text.get_text() for text in as_published.texts] == ["100%\n3", "0%\n0", "0%\n0", "100%\n5"]
    by_trial = figures["confusion_arousal"].axes[1]
    assert by_trial.get_title() == "trial_disjoint"
    # Labels 0: three windows, predicted 0, 1, 1; labels 1: five windows, predicted 0 twice.
    assert [text.get_text() for text in by_trial.texts] == ["33%\n1", "67%\n2", "40%\n2", "60%\n3"]
    # Errors of this run are always one class too high, modulo four: columns are predictions.
    task = {picture.name: picture.figure for picture in sam40_report.pictures}["confusion_task"].axes[1]
    shown = np.array([int(text.get_text().split("\n")[1]) for text in task.texts]).reshape(4, 4)
    assert (shown.sum(axis=1) == 36).all()
    assert (np.argwhere(shown == 0) == [[0, 2], [0, 3], [1, 0], [1, 3], [2, 0], [2, 1], [3, 1], [3, 2]]).all()
    attention = figures["band_attention"].axes[0]
    assert [tick.get_text() for tick in attention.get_xticklabels()] == ["theta", "alpha", "gamma"]
    # Mean over folds 0.15 and 0.55, then over subjects; standard deviation 0.4 / sqrt(2).
    heights = [bar.get_height() for bar in attention.patches]
    np.testing.assert_allclose(heights, [0.35, 0.35, 0.35])
    assert [text.get_text() for text in attention.texts] == ["0.35", "0.35", "0.35"]
    ends = attention.containers[0][2][0].get_segments()[0][:, 1]
    np.testing.assert_allclose(ends, [0.35 - 0.4 / 2**0.5, 0.35 + 0.4 / 2**0.5])
    overview = figures["overview"].axes[0]
    assert [tick.get_text() for tick in overview.get_yticklabels()] == ["paper", "as_published", "trial_disjoint"]
    assert [text.get_text() for text in overview.texts] == ["96.75", "100.0", "50.0"]
    subjects = figures["accuracy_by_subject"].axes[0]
    assert [tick.get_text() for tick in subjects.get_xticklabels()] == ["2", "10"]
    # By protocol: the majority class, then the accuracy of each subject.
    heights = [line.get_ydata().tolist() for line in subjects.lines]
    assert heights == [[50.0, 75.0], [100.0, 100.0], [50.0, 25.0], [75.0, 25.0]]


def test_figures_are_png_files_of_150_dpi_that_say_what_they_show(hand_report, sam40_report):
    reports = (hand_report, sam40_report)
    for path, picture in [pair for one in reports for pair in zip(one.figures, one.pictures, strict=True)]:
        content = path.read_bytes()
        assert content[:8] == b"\x89PNG\r\n\x1a\n"
        chunks, place = {}, 8
        while place < len(content):
            length, kind = struct.unpack(">I4s", content[place : place + 8])
            chunks[kind] = content[place + 8 : place + 8 + length]
            place += 12 + length
        assert not chunks.keys() & {b"zTXt", b"tIME"}
        with PIL.Image.open(path) as image:
            said = {name: text for name, text in image.info.items() if name != "dpi"}
        assert said == {"Title": picture.title, "Description": picture.caption}
        assert round(struct.unpack(">I", chunks[b"pHYs"][:4])[0] * 0.0254) == 150
        pixels = matplotlib.image.imread(path)
        assert min(pixels.shape[:2]) > 300
        assert pixels[..., :3].std() > 0.05


def test_what_networks_did_is_on_the_page(tmp_path):
    folder = start(tmp_path / "run", ("as_published", "trial_disjoint"), synthetic=True)
    for subject in (2, 10):
        for fold in (0, 1):
            # As published, kept power of 0.15 and 0.55 over folds; by trial nothing is recorded.
            kept = {"kept_power_theta": subject / 20 + fold / 10, "looks": 5.0}
            write_fold(folder, "as_published", subject, [0, 1], [0, 1], 1, fold=fold, diagnostics=kept)
            write_fold(folder, "trial_disjoint", subject, [0, 1], [0, 1], 1, fold=fold)
    finish(folder)
    blank = matplotlib.figure.Figure(figsize=(1, 1))
    drawn = of_reports.picture(f"looks {SCRIPT}", f"looks {SCRIPT}", "a mark", "Where it – looked.", blank)
    (folder.path / "looks.png").write_bytes(drawn.png)
    blank.savefig(folder.path / "of_the_user.png")
    report = build_report(folder)
    page = report.path.read_text()
    rows = [
        re.sub(r"<[^>]+>", "|", line) for line in page.splitlines() if "kept power theta" in line or ">looks<" in line
    ]
    assert [[cell for cell in row.split("|") if cell] for row in rows] == [
        ["kept power theta", f"0.35 ± {0.4 / 2**0.5:.2g}"],
        ["looks", "5 ± 0"],
    ]
    assert "Recorded quantities" not in build_report(hand_run(tmp_path / "without")).path.read_text()
    assert page.count("data:image/png;base64,") == len(report.figures) + 1
    assert base64.b64encode(drawn.png).decode() in page
    assert f"<strong>{html.escape(drawn.title)}.</strong> Where it – looked." in page.replace("&#39;", "&#x27;")
    assert report.path.read_bytes() == build_report(folder).path.read_bytes()
    (folder.path / "looks.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"looks.png: not a readable PNG file .*; expected a figure; delete the file"):
        build_report(folder)


def test_the_same_folder_gives_the_same_bytes_under_other_settings(hand_report, tmp_path):
    shutil.copytree(hand_report.path.parent, tmp_path / "copy")
    copy = RunFolder(tmp_path / "copy")
    (copy.path / "report.html").unlink()
    with matplotlib.rc_context({"font.size": 20, "savefig.dpi": 40, "lines.markersize": 20}):
        before = dict(matplotlib.rcParams)
        again = build_report(copy, PAPER, [f"training.epochs: 100 -> 3 {SCRIPT}", "[bold]kept[/bold]"])
        assert dict(matplotlib.rcParams) == before
    assert again.path.read_bytes() == hand_report.path.read_bytes()
    for first, second in zip(hand_report.figures, again.figures, strict=True):
        assert first.read_bytes() == second.read_bytes()
    assert not list(copy.path.rglob(".writing-*"))


def test_numbers_come_from_the_predictions(tmp_path):
    folder = hand_run(tmp_path / "run")
    table = pd.read_csv(folder.path / "predictions.csv")
    write_other_table(folder, "predictions.csv", table.assign(prediction=table["label"]))
    assert cells(main_table(read_numbers(folder), None, ()), "arousal", "accuracy")[1] == ("100.0", "100.0 100.0")


def test_paper_column_is_left_out_without_numbers_of_the_data_set(tmp_path):
    numbers = read_numbers(hand_run(tmp_path / "run"))
    for paper in (None, PAPER[PAPER["dataset"] == "mahnob_hci"], PAPER[:0]):
        assert main_table(numbers, paper, ()).columns == ("as_published¹,²", "trial_disjoint")
    chosen = PAPER[PAPER["variant"] == "W/O any attention"]
    assert cells(main_table(numbers, chosen, ()), "arousal", "accuracy")[0] == ("90.11 ± 3.58", "")


def test_a_number_that_a_run_does_not_have_is_refused(tmp_path):
    numbers = read_numbers(hand_run(tmp_path / "run"))
    assert numbers.row("trial_disjoint", "arousal", "accuracy")["n_subjects"]
    with pytest.raises(InputError, match="no accuracy of arousal under subject_disjoint; expected a run with"):
        numbers.row("subject_disjoint", "arousal", "accuracy")


def sentence(path, protocols, predictions):
    """Sentence on eight subjects of four trials; the share right of subject and protocol by `predictions`."""
    folder = start(path, protocols)
    for subject in range(8):
        labels = np.array([0, 1, 0, 1])
        for protocol in protocols:
            n_right = predictions[protocol][subject % 2]
            write_fold(folder, protocol, subject, labels, np.where(np.arange(4) < n_right, labels, 1 - labels), 0)
    return gap_sentence(read_numbers(finish(folder)))


def test_sentence_says_what_the_gap_means(tmp_path):
    # Eight differences, four of 1/2 and four of 3/4.
    lost = sentence(
        tmp_path / "lost", ("as_published", "trial_disjoint"), {"as_published": (4, 4), "trial_disjoint": (1, 2)}
    )
    assert lost.startswith(
        "From as_published to trial_disjoint, accuracy goes from 100.0 to 37.5 % for arousal "
        "(lower in 8 of 8 subjects, paired t-test p < 0.001): the difference in arousal comes from the protocol "
        "(epoch chosen on the test fold; windows of one trial in training and test), not from emotion recognised. "
        "Under trial_disjoint, arousal with 37.5 % lies "
    )
    same = sentence(
        tmp_path / "same", ("as_published", "trial_disjoint"), {"as_published": (4, 2), "trial_disjoint": (2, 3)}
    )
    assert "the difference is not significant for these subjects" in same
    assert "emotion recognised" not in same
    clean = sentence(tmp_path / "clean", ("trial_disjoint",), {"trial_disjoint": (4, 4)})
    assert clean.startswith("Under trial_disjoint, arousal with 100.0 % lies above the chance band (")
    flawed = sentence(tmp_path / "flawed", ("as_published",), {"as_published": (4, 4)})
    assert flawed.startswith("No protocol of this run separates training and test sets: epoch chosen on the test fold")
    # Another scope: the gap would be that between subjects, not the leak's.
    across = sentence(
        tmp_path / "across", ("as_published", "subject_disjoint"), {"as_published": (4, 4), "subject_disjoint": (2, 2)}
    )
    assert across.startswith("Under subject_disjoint, arousal with 50.0 % lies within the chance band (")
    assert re.search(r" %\); these data detect a difference of [\d.]+ points over subjects", same)
    assert "these data detect" not in clean


def test_area_is_left_out_without_probabilities(tmp_path):
    folder = hand_run(tmp_path / "run")
    table = pd.read_csv(folder.path / "predictions.csv")
    write_other_table(folder, "predictions.csv", table.assign(probability_low=np.nan, probability_high=np.nan))
    table = main_table(read_numbers(folder), None, ())
    assert "area under ROC" not in [row.label for row in table.sections[0].rows]
    assert cells(table, "arousal", "accuracy")[0] == ("100.0", "100.0 100.0")


def test_report_into_another_folder_leaves_the_run_alone(tmp_path):
    folder = hand_run(tmp_path / "run")
    before = sorted(folder.path.rglob("*"))
    report = build_report(folder, output=tmp_path / "made" / "here")
    assert report.path == tmp_path / "made" / "here" / "report.html"
    assert report.path.is_file()
    assert all(path.is_file() and path.parent.parent == report.path.parent for path in report.figures)
    assert sorted(folder.path.rglob("*")) == before
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file: cannot be created: File exists"):
        build_report(folder, output=tmp_path / "file")


def test_unfinished_run_is_refused(tmp_path):
    folder = start(tmp_path / "run", ("trial_disjoint",))
    write_fold(folder, "trial_disjoint", 1, [0, 1], [0, 1], 0)
    with pytest.raises(InputError, match="not finished"):
        build_report(folder)


def test_damaged_predictions_are_refused(tmp_path):
    folder = hand_run(tmp_path / "run")
    table = pd.read_csv(folder.path / "predictions.csv")
    write_other_table(folder, "predictions.csv", table.drop(columns="probability_high"))
    with pytest.raises(InputError, match=r"predictions\.csv has no column probability_high"):
        build_report(folder)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("predictions.csv", b"", r"predictions\.csv: damaged \(No columns"),
        ("predictions.csv", b"protocol,subject\nx", r"predictions\.csv: missing column trial, stimulus"),
        ("predictions.csv", None, r"predictions\.csv: label, prediction, repetition, fold: expected an integer"),
        ("predictions.csv", b"protocol\n\xff\xfe", r"predictions\.csv: damaged \('utf-8' codec"),
        ("results.csv", b'protocol,"subject\n1', r"results\.csv: damaged \(Error tokenizing"),
        ("results.csv", b"protocol,metric\nx,y", r"results\.csv: missing column subject"),
        ("config.json", b"[]", r"config\.json: damaged \(not a JSON object\)"),
        (
            "config.json",
            b'{"identity": "00", "science": {"name": "x", "targets": [], "protocols": [{"name": "y"}]}}',
            r"config\.json: damaged \(has no field protocols\.0\.flags, protocols\.0\.scope",
        ),
        (
            "data.json",
            json_bytes({"dataset": "deap"}),
            r"data\.json: damaged \(has no field synthetic, fingerprints\); --resume makes it again",
        ),
        ("finished.json", json_bytes({}), r"finished\.json: damaged \(has no field class_names"),
        ("finished.json", b'{"class_names": {}}', r"finished\.json: damaged \(missing checksum, which all files"),
        ("finished.json", b"[" * 100_000, r"finished\.json: damaged \(nested too deeply\)"),
        ("data.json", '{"dataset": "d\xe9"}'.encode("latin-1"), r"data\.json: damaged \(not UTF-8"),
        ("data.json", b'\xef\xbb\xbf{"dataset": "deap"}', r"data\.json: damaged \(not readable as JSON.*BOM"),
        ("config.json", '{"identity": "00"}'.encode("utf-16"), r"config\.json: damaged \(not UTF-8"),
        ("config.json", b'{"identity": 0, "science": []}', r"config\.json: damaged \(identity: .*; science: "),
        ("finished.json", b'{"class_names": ' + b"9" * 5000 + b"}", r"finished\.json: damaged \(not readable as JSON"),
    ],
)
def test_damaged_files_are_named(tmp_path, name, content, message):
    folder = hand_run(tmp_path / "run")
    path = folder.path / name
    # None: cut off in the middle of the last line.
    path.write_bytes(path.read_bytes().rstrip()[:-25] if content is None else content)
    with pytest.raises(InputError, match=message):
        build_report(folder)


def test_folder_that_cannot_be_written(tmp_path):
    folder = hand_run(tmp_path / "run")
    (folder.path / "figures").write_text("in the way")
    with pytest.raises(InputError, match="cannot be written"):
        build_report(folder)
    assert not (folder.path / "report.html").exists()


def test_a_damaged_record_is_mentioned_and_left_where_it_is(tmp_path):
    folder = hand_run(tmp_path / "run")
    file = sorted((folder.path / "jobs").iterdir())[0]
    file.write_bytes(file.read_bytes().replace(b"0.7", b"0.8", 1))
    before = sorted(folder.path.rglob("*"))
    note = f"jobs/{file.name}: damaged (checksum mismatch: its content has changed since it was written"
    report = build_report(folder, output=tmp_path / "out")
    assert [line for line in report.table.notes if line.startswith(note) and "--resume" in line]
    assert note in report.path.read_text()
    (listed,) = list_runs(folder.path)
    assert listed.notes[0].startswith(note)
    assert listed.n_jobs_finished == len(list(file.parent.iterdir())) - 1
    assert len(listed.headline) == 1
    assert sorted(folder.path.rglob("*")) == before


def test_ratings_with_like_names_have_figures_of_their_own(tmp_path):
    names = dict.fromkeys(("a_b", "a/b", "A_b"), ("low", "high"))
    folder = start(tmp_path / "run", ("trial_disjoint",), targets=tuple(names))
    for target in names:
        write_fold(folder, "trial_disjoint", 2, [0, 1], [0, 1], 0, target=target)
    report = build_report(finish(folder, class_names=names), output=tmp_path / "out")
    confusions = {path.name.lower() for path in report.figures if path.name.startswith("confusion_")}
    assert len(confusions) == 3
    assert "confusion_a_b.png" in confusions
