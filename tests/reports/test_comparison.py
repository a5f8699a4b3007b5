"""Comparisons and lists of fabricated runs whose numbers are known by hand."""

import io
import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import rich.console
import scipy.stats

from keras_emotion.evaluation import PROTOCOLS
from keras_emotion.evaluation.power import detectable_difference
from keras_emotion.experiment.records import RunFolder
from keras_emotion.reports import (
    PAPER_COLUMNS,
    SYNTHETIC_MARK,
    as_json,
    build_comparison,
    build_method_table,
    build_report,
    draw_methods,
)
from keras_emotion.reports.listing import list_runs, rendered_runs
from keras_emotion.schema import InputError
from tests.experiment.made_records import write_other_table

SCRIPT = "<script>alert('x')</script>"
LABELS = np.array([0, 1, 1, 0, 1, 0])
"""Labels of the six trials of every subject: three folds of two trials, three windows each."""


def make_run(
    path,
    n_right,
    *,
    identity="0011223344556677",
    name="deap_3facrnn",
    protocols=("trial_disjoint",),
    targets=("arousal",),
    class_names=("low", "high"),
    started="2026-01-01T10:00:00+00:00",
    finished=True,
    only=None,
    job_fold=lambda trial: trial // 2,
    n_training=9,
    science=(),
    data=(),
    dropped=None,
):
    """A run folder. `n_right` is by subject: how many of the six trials are right, the first ones.

    `only` has the subjects that a protocol was applied to, `job_fold` gives the fold by place of the trial, `science`
    and `data` are fields to change.
    """
    folder = RunFolder(path)
    definitions = [PROTOCOLS[protocol].describe() for protocol in protocols]
    fields = {"name": name, "dataset": "deap", "targets": list(targets), "protocols": definitions, "seed": 0}
    facts = {"dataset": "deap", "synthetic": False, "fingerprints": {str(subject): "ab" for subject in n_right}}
    folder.start(fields | dict(science), identity, facts | dict(data), resume=False)
    folder.write_json("environment.json", {"started": started, "command": "python x.py"})
    for protocol in protocols:
        for target in targets:
            for subject, count in n_right.items():
                if subject in (only or {}).get(protocol, n_right):
                    for fold in range(3):
                        places = [place for place in range(6) if job_fold(place) == fold]
                        write_fold(folder, protocol, target, subject, fold, places, count, n_training, class_names)
    if finished:
        names = {target: list(class_names) for target in targets}
        folder.finish({"not_evaluable": [], "dropped_windows": dropped or {}, "class_names": names})
    return folder


def write_fold(folder, protocol, target, subject, fold, places, n_right, n_training, class_names):
    places = np.repeat(places, 3)
    labels = LABELS[places]
    predictions = np.where(places < n_right, labels, 1 - labels)
    probabilities = {f"probability_{name}": np.zeros(len(places)) for name in class_names}
    for which in (0, 1):
        probabilities[f"probability_{class_names[which]}"] += np.where(predictions == which, 0.8, 0.2)
    columns = {
        "subject": [subject] * len(places),
        "trial": places + 1,
        "stimulus": [str(place) for place in places],
        "start_seconds": np.tile([0.0, 2.0, 4.0], len(places) // 3),
        "stop_seconds": np.tile([2.0, 4.0, 6.0], len(places) // 3),
        "label": labels,
        "prediction": predictions,
        **probabilities,
    }
    job = {"protocol": protocol, "target": target, "subject": subject, "repetition": 0, "fold": fold}
    record = {
        "job": job,
        "metrics": {str(subject): {"accuracy": 0.123}},
        "training_majority": 0,
        "n_training_windows": n_training,
        "n_validation_windows": 3,
        "predictions": {column: np.asarray(values).tolist() for column, values in columns.items()},
        "best_epoch": 1,
        "seconds": 0.1,
        "diagnostics": {},
    }
    folder.write_job(record)


def printed(shown, width=160, full=True):
    console = rich.console.Console(file=io.StringIO(), width=width)
    if hasattr(shown, "print"):
        shown.print(console, full=full)
    else:
        console.print(shown, crop=False)
    return console.file.getvalue()


def cells(report, target, label):
    section = next(section for section in report.table.sections if section.target == target)
    row = next(row for row in section.rows if row.label == label)
    return [(cell.value, cell.detail) for cell in row.cells]


FIRST = {"2": 6, "3": 5, "10": 4}
SECOND = {"2": 4, "3": 4, "10": 5}


@pytest.fixture(scope="module")
def written_runs(tmp_path_factory):
    """A folder with two runs, `one` and `two`, that tests take copies of."""
    folder = tmp_path_factory.mktemp("written")
    make_run(folder / "one", FIRST, identity="aaaaaaaa11111111")
    make_run(folder / "two", SECOND, identity="bbbbbbbb22222222")
    return folder


@pytest.fixture
def pair(written_runs, tmp_path):
    """Three subjects: 6, 5, 4 of six trials right in one run, 4, 4, 5 in the other."""
    return [RunFolder(shutil.copytree(written_runs / name, tmp_path / name)) for name in ("one", "two")]


def test_table_has_a_column_a_run_and_protocol(pair, tmp_path):
    third = make_run(tmp_path / "three", FIRST, identity="cccccccc", protocols=("as_published", "trial_disjoint"))
    report = build_comparison([*pair, third], tmp_path / "out")
    assert report.table.title == "DEAP, 3 runs compared"
    assert report.table.columns == (
        "deap_3facrnn\naaaaaaa\ntrial_disjoint",
        "deap_3facrnn\nbbbbbbb\ntrial_disjoint",
        "deap_3facrnn\nccccccc\ntrial_disjoint",
        "deap_3facrnn\nccccccc\nas_published¹,²",
    )
    # Subjects in their natural order: 2, 3, 10.
    assert cells(report, "arousal", "accuracy") == [
        ("83.3", "100.0 83.3 66.7"),
        ("72.2", "66.7 66.7 83.3"),
        ("83.3", "100.0 83.3 66.7"),
        ("83.3", "100.0 83.3 66.7"),
    ]
    assert report.table.notes[:2] == ("¹ epoch chosen on the test fold", "² windows of one trial in training and test")
    assert "aaaaaaa is the run in one" in report.table.notes


def test_what_the_stimuli_mean_is_said_of_a_comparison_too(pair, tmp_path):
    # Each stimulus of these runs has one label, whoever was shown it.
    notes = build_comparison(pair, tmp_path / "out").table.notes
    (note,) = [note for note in notes if "property of the stimulus" in note]
    assert note.startswith("arousal: the label is a property of the stimulus")
    assert "stimulus_disjoint" in note
    assert not any(note.startswith("knows the stimulus") for note in notes)
    for folder in pair:
        predictions = folder.predictions().assign(stimulus_label=0, stimulus_seen="others")
        write_other_table(folder, "predictions.csv", predictions)
    report = build_comparison(pair, tmp_path / "again")
    assert any(note.startswith("knows the stimulus: each test row") for note in report.table.notes)
    assert [value for value, _ in cells(report, "arousal", "knows the stimulus")] == ["50.0", "50.0"]


def test_numbers_are_those_of_the_runs_own_reports(pair, tmp_path):
    report = build_comparison(pair, tmp_path / "out")
    for place, folder in enumerate(pair):
        own = build_report(folder, output=tmp_path / f"own{place}").table.sections[0]
        assert [row.cells[place] for row in report.table.sections[0].rows] == [row.cells[0] for row in own.rows]
        assert [row.label for row in report.table.sections[0].rows] == [row.label for row in own.rows]


def test_sentence_equals_the_hand_computation(pair, tmp_path):
    (found,) = build_comparison(pair, tmp_path / "out").pairs
    # Differences 2/6, 1/6, -1/6.
    p_value = scipy.stats.ttest_1samp([2, 1, -1], 0).pvalue
    # Votes: trials 5 and 6 of subject 2 and 5 of subject 3 are right in the first only, 5 of subject 10 in the second.
    mcnemar = scipy.stats.binomtest(3, 4).pvalue
    # Folds: of subject 2 differences 0, 0, 1; of 3 0, 0, 1/2; of 10 0, 0, -1/2: |t| = 1/sqrt(3 (1/3 + 18/27)), thrice.
    holm = min(1, 3 * 2 * scipy.stats.t.sf(1 / np.sqrt(3 * (1 / 3 + 18 / 27)), 2))
    assert holm == 1
    points = 100 * detectable_difference([2 / 6, 1 / 6, -1 / 6])
    assert found.sentence == (
        "arousal, trial_disjoint: aaaaaaa has 83.3 % and bbbbbbb has 72.2 %; aaaaaaa is 11.1 points above bbbbbbb "
        f"(by subject +33.3, +16.7, -16.7). Over 3 subjects: paired t-test p = {p_value:.3f}, Wilcoxon p = 0.750, "
        f"which cannot fall below 0.25 here; this t-test detects a difference of {points:.1f} points with 80 % power. "
        "Within a subject, over folds (Nadeau and Bengio), Holm-corrected for 3 "
        "subjects: they differ in none of them (smallest p = 1.000). Votes of 18 trials (repetition 0, all subjects "
        f"together): only aaaaaaa is right on 3, only bbbbbbb on 1; McNemar p = {mcnemar:.3f}."
    )


def test_the_higher_run_is_named_whatever_the_order(pair, tmp_path):
    (found,) = build_comparison(pair[::-1], tmp_path / "out").pairs
    assert "aaaaaaa is 11.1 points above bbbbbbb (by subject +33.3, +16.7, -16.7)" in found.sentence
    assert "only bbbbbbb is right on 1, only aaaaaaa on 3" in found.sentence


def test_ten_subjects_get_an_interval_from_the_higher_ones_view(tmp_path):
    subjects = [str(subject) for subject in range(1, 13)]
    low = make_run(tmp_path / "low", dict.fromkeys(subjects, 3), identity="aaaaaaaa")
    counts = dict(zip(subjects, [6, 4] * 6, strict=True))
    high = make_run(tmp_path / "high", counts, identity="bbbbbbbb")
    report = build_comparison([low, high], tmp_path / "out")
    # Half of twelve differ by 3/6, half by 1/6: 33.3 points, standard error 16.7 / sqrt(12) = 4.8.
    found = re.search(
        r"bbbbbbb is 33\.3 points above aaaaaaa \(95 % bootstrap interval over 12 subjects \+(\S+) to \+(\S+)\)",
        report.pairs[0].sentence,
    )
    assert [float(end) for end in found.groups()] == pytest.approx([33.3 - 1.96 * 4.8, 33.3 + 1.96 * 4.8], abs=1.5)
    assert "Wilcoxon p < 0.001; this t-test detects" in report.pairs[0].sentence


def test_flagged_protocols_say_what_a_difference_may_be(pair, tmp_path):
    runs = [
        make_run(tmp_path / name, counts, identity=name, protocols=("as_published",))
        for name, counts in (("leak1", FIRST), ("leak2", SECOND))
    ]
    assert "leak" not in build_comparison(pair, tmp_path / "out").pairs[0].sentence
    assert (
        build_comparison(runs, tmp_path / "out")
        .pairs[0]
        .sentence.endswith(
            "Under this protocol (epoch chosen on the test fold; windows of one trial in training and test) "
            "the higher accuracy may be due to more leakage."
        )
    )


def test_across_subjects_there_is_no_test_within_one(tmp_path):
    runs = [
        make_run(tmp_path / name, counts, identity=name, protocols=("subject_disjoint",))
        for name, counts in (("one", FIRST), ("two", SECOND))
    ]
    report = build_comparison(runs, tmp_path / "out")
    assert "No test over the folds of a subject, because the folds mix" in report.pairs[0].sentence
    assert "Nadeau" not in report.pairs[0].sentence
    assert "paired t-test" in report.pairs[0].sentence


def test_one_subject_says_which_test_applies(tmp_path):
    runs = [make_run(tmp_path / name, {"2": count}, identity=name) for name, count in (("one", 6), ("two", 5))]
    sentence = build_comparison(runs, tmp_path / "out").pairs[0].sentence
    # Differences 0, 0, 1/2 of three folds, 18 windows tested after 27 of training: mean 1/6, variance 1/12.
    p_value = 2 * scipy.stats.t.sf(1 / 6 / np.sqrt((1 / 3 + 18 / 27) / 12), 2)
    assert "One subject: no test over subjects. " in sentence
    assert f"Within a subject, over folds (Nadeau and Bengio): p = {p_value:.3f}; " in sentence
    # Larger than any difference of two accuracies.
    assert detectable_difference([0, 0, 1 / 2], 18 / 27) > 1
    assert "; it detects a difference of more than 100 points with 80 % power. Votes of 6 trials" in sentence


def test_subjects_that_not_all_share_are_left_out_and_named(tmp_path):
    one = make_run(tmp_path / "one", {**FIRST, "7": 0}, identity="aaaaaaaa")
    only = {"trial_disjoint": ("2", "10")}
    two = make_run(
        tmp_path / "two", SECOND, identity="bbbbbbbb", protocols=("as_published", "trial_disjoint"), only=only
    )
    report = build_comparison([one, two], tmp_path / "out")
    assert cells(report, "arousal", "accuracy")[0] == ("83.3", "100.0 66.7")
    assert report.table.sections[0].heading == "arousal, 2 classes, 2 subjects"
    left_out = [note for note in report.table.notes if note.startswith("left out")]
    assert left_out == [
        "left out: arousal, subject 3: not tested under every protocol of bbbbbbb",
        "left out: arousal, subject 7: not tested under every protocol of bbbbbbb",
    ]
    assert report.pairs[0].comparison.subjects["subject"].tolist() == ["10", "2"]


def test_a_target_of_one_run_only(pair, tmp_path):
    both = make_run(tmp_path / "both", SECOND, identity="cccccccc", targets=("valence", "arousal"))
    report = build_comparison([pair[0], both], tmp_path / "out")
    assert [section.target for section in report.table.sections] == ["arousal", "valence"]
    assert cells(report, "valence", "accuracy") == [("–", ""), ("72.2", "66.7 66.7 83.3")]
    assert "valence is not a target of aaaaaaa" in report.table.notes
    assert [pair.target for pair in report.pairs] == ["arousal"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"job_fold": lambda trial: trial % 3}, "were not tested in the same folds: subject 2, trial 2, 0 to 2 s"),
        ({"n_training": 8}, "were not trained on equally many windows: subject 10, trial 1"),
    ],
)
def test_pairs_in_other_folds_stand_in_the_table_untested(pair, tmp_path, changes, message):
    other = make_run(tmp_path / "other", SECOND, identity="cccccccc", **changes)
    report = build_comparison([pair[0], other], tmp_path / "out")
    assert cells(report, "arousal", "accuracy")[1] == ("72.2", "66.7 66.7 83.3")
    (found,) = report.pairs
    assert found.comparison is None
    assert found.sentence.startswith("arousal, trial_disjoint: aaaaaaa (first) and ccccccc (second) are not tested: ")
    assert message.split(":")[0] in found.sentence
    assert as_json(report)["comparisons"][0]["tests"] is None


def test_protocols_that_are_defined_differently_are_noted_and_not_tested(pair, tmp_path):
    changed = {**PROTOCOLS["trial_disjoint"].describe(), "n_splits": 5}
    other = make_run(tmp_path / "other", SECOND, identity="cccccccc", science={"protocols": [changed], "seed": 3})
    report = build_comparison([pair[0], other], tmp_path / "out")
    assert (
        "trial_disjoint is not the same protocol in all runs: n_splits is 10 in aaaaaaa, 5 in ccccccc"
        in report.table.notes
    )
    assert report.pairs[0].comparison is None
    assert "defined differently" in report.pairs[0].sentence
    assert "the runs differ in seed: 0 in aaaaaaa, 3 in ccccccc" in report.table.notes


def test_other_files_of_the_data_set_are_noted(pair, tmp_path):
    prints = {"fingerprints": {"2": "ab", "3": "other", "10": "ab"}}
    other = make_run(tmp_path / "other", SECOND, identity="cccccccc", data=prints)
    notes = build_comparison([pair[0], other], tmp_path / "out").table.notes
    assert any(
        "aaaaaaa and ccccccc are not computed from the same files (different fingerprints of subject 3)" in note
        for note in notes
    )
    assert not any("fingerprint" in note for note in build_comparison(pair, tmp_path / "out").table.notes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": {"dataset": "sam40"}}, "other: is on sam40, but .*one is on deap: their numbers cannot be compared"),
        ({"data": {"synthetic": True}}, "other: is on synthetic deap, but .*one is on deap"),
        (
            {"science": {"protocols": [{**PROTOCOLS["trial_disjoint"].describe(), "scored_unit": "trial"}]}},
            "other: is scored by trial, but .*one is scored by window",
        ),
        ({"class_names": ("no", "yes")}, "other: arousal has the classes no, yes, but in .*one low, high"),
        ({"finished": False}, "other: the run is not finished"),
    ],
)
def test_runs_that_cannot_be_compared_are_refused(pair, tmp_path, changes, message):
    other = make_run(tmp_path / "other", SECOND, identity="cccccccc", **changes)
    with pytest.raises(InputError, match=message):
        build_comparison([pair[0], other], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_other_mistakes(pair, tmp_path):
    with pytest.raises(InputError, match="one: is given twice"):
        build_comparison([pair[0], RunFolder(tmp_path / "two" / ".." / "one")], tmp_path / "out")
    with pytest.raises(InputError, match=r"is .*nowhere a run folder"):
        build_comparison([pair[0], RunFolder(tmp_path / "nowhere")], tmp_path / "out")
    strangers = make_run(tmp_path / "strangers", {"20": 3}, identity="dddddddd")
    with pytest.raises(InputError, match="aaaaaaa and ddddddd share no subject"):
        build_comparison([pair[0], strangers], tmp_path / "out")
    results = pd.read_csv(pair[1].path / "results.csv")
    write_other_table(pair[1], "results.csv", results[results["metric"] != "n_training_windows"])
    with pytest.raises(InputError, match=r"results\.csv: has no n_training_windows of some fold of trial_disjoint"):
        build_comparison(pair, tmp_path / "out")
    with pytest.raises(ValueError, match="holds 1 runs"):
        build_comparison(pair[:1])


def test_labels_are_unique(tmp_path):
    """The same configuration three times, twice in folders of one name; and another name."""
    folders = [
        make_run(tmp_path / place, FIRST, identity="aaaaaaaa11111111", name=name)
        for place, name in (("a/run", "deap"), ("b/run", "deap"), ("c", "deap"), ("d", "other"))
    ]
    report = build_comparison(folders, tmp_path / "out")
    assert [run.label for run in report.runs] == [
        "deap aaaaaaa run 1",
        "deap aaaaaaa run 2",
        "deap aaaaaaa c",
        "other aaaaaaa",
    ]
    assert [run.short for run in report.runs] == [run.label for run in report.runs]
    assert len(set(report.table.columns)) == 4


@pytest.mark.parametrize(("n_right", "expected"), [({"2": 6}, "100.0 "), ({"2": 6, "3": 5, "10": 4}, "83.3 ± 16.7 ")])
def test_methods_on_one_subject_have_no_standard_deviation(tmp_path, n_right, expected):
    folder = make_run(tmp_path / "one", n_right)
    console = rich.console.Console(file=io.StringIO(), width=160)
    build_method_table({"method A": folder}, None, tmp_path / "table").print(console)
    text = console.file.getvalue()
    (line,) = [line for line in text.splitlines() if line.strip().startswith("method A")]
    assert expected in line
    assert "nan" not in line
    assert "mean over classes" not in text


def test_features_of_methods_are_flagged(tmp_path):
    flags = {"A": ["random weights"], "B": [], "C": ["no eGeMAPS", "random weights"]}
    runs = {
        name: make_run(tmp_path / name, {"2": 6, "3": 5}, identity=name, data={"feature_flags": own})
        for name, own in flags.items()
    }
    console = rich.console.Console(file=io.StringIO(), width=400)
    build_method_table(runs, None, tmp_path / "table").print(console)
    lines = [line for line in console.file.getvalue().splitlines() if line.startswith("⚑")]
    assert lines == ["⚑ features of A and C: random weights", "⚑ features of C: no eGeMAPS"]


def test_methods_are_tested_against_the_reference_and_dropped_windows_are_counted(tmp_path):
    n_right = {"A": {"2": 6, "3": 5, "10": 1}, "B": {"2": 3, "3": 4, "10": 0}, "C": {"2": 2, "3": 6, "10": 5}}
    dropped = {"A": {"2": {"no face": 3}}, "B": {"2": {"no face": 3}, "3": {"no video": 1}}, "C": {"2": {"no face": 3}}}
    runs = {name: make_run(tmp_path / name, n_right[name], identity=name, dropped=dropped[name]) for name in "ABC"}
    table = build_method_table(runs, None, tmp_path / "table", reference="B")
    accuracy = table.rows[table.rows["metric"] == "accuracy"].set_index("method")
    assert list(accuracy.index) == ["A", "B", "C"]
    expected = [scipy.stats.ttest_rel(*(list(n_right[name].values()) for name in (one, "B"))).pvalue for one in "AC"]
    np.testing.assert_allclose(accuracy.loc[["A", "C"], "p_value"], expected, rtol=1e-6)
    assert np.isnan(accuracy.loc["B", "p_value"])
    assert table.notes == (
        "windows dropped: subject 2: 3 (no face)",
        "B: windows dropped: subject 3: 1 (no video)",
    )
    assert "paired t-test of the accuracies with B, Holm-corrected" in printed(table, 400)
    for full in (False, True):
        assert "\n".join(table.notes) in printed(table, 400, full)
    assert "p: paired t-test with B, Holm-corrected" in printed(table, 400, full=False)
    assert build_method_table(runs, None, tmp_path / "table").reference == "A"


def test_methods_that_were_not_run_are_listed_as_printed(tmp_path):
    folder = make_run(tmp_path / "one", {"2": 6, "3": 5})
    (target,) = build_method_table({"A": folder}, None, tmp_path / "table").rows["target"].unique()
    paper = pd.DataFrame(
        [
            ("6", "deap", "A", target, "accuracy", 90.0, 1.5, ""),
            ("6", "deap", "DBN", target, "accuracy", 60.9, np.nan, ""),
            ("6", "deap", "DBN", target, "f1", 50.0, np.nan, ""),
            ("6", "deap", "DBN", "another", "accuracy", 1.0, np.nan, ""),
            ("6", "deap", "TR&CA", target, "accuracy", 95.58, 2.28, ""),
        ],
        columns=PAPER_COLUMNS,
    )
    found = build_method_table({"A": folder}, paper, tmp_path / "table")
    assert found.printed_only == (
        f"printed only: DBN: {target} 60.90, {target} F1 50.00",
        f"printed only: TR&CA: {target} 95.58 ± 2.28",
    )
    assert set(found.printed_only) <= set(printed(found, 400).splitlines())
    brief = printed(found, full=False)
    assert "printed only, not run: 2 of the paper's methods" in brief
    assert max(map(len, brief.split("table: ")[0].splitlines())) <= 100


def test_rows_without_a_common_protocol_are_blocks_of_a_table(tmp_path):
    protocols = {"alone": ("as_published_deepvanet", "trial_disjoint"), "mixed": ("subject_disjoint",)}
    n_right = {"A": {"2": 6, "3": 5}, "B": {"2": 3, "3": 1}, "C": {"2": 2, "3": 2}}
    blocks = {"A": "alone", "B": "mixed", "C": "mixed"}
    runs = {
        name: make_run(tmp_path / name, n_right[name], identity=name, protocols=protocols[block])
        for name, block in blocks.items()
    }
    numbers = pd.DataFrame(
        [
            ("2", "deap", "A", "arousal", "accuracy", 98.0, np.nan, ""),
            ("2", "deap", "D [7]", "arousal", "accuracy", 57.0, np.nan, "EEG; quoted from its own paper"),
            ("2", "deap", "D [7]", "arousal", "f1", 61.5, np.nan, "EEG; quoted from its own paper"),
        ],
        columns=["table", "dataset", "variant", "target", "metric", "value", "standard_deviation", "note"],
    )
    table = build_method_table(runs, numbers, tmp_path / "table")
    accuracy = table.rows[table.rows["metric"] == "accuracy"].set_index(["protocol", "method"])
    assert list(accuracy.index) == [
        *(("as_published_deepvanet", "A"), ("trial_disjoint", "A")),
        *(("subject_disjoint", "B"), ("subject_disjoint", "C")),
    ]
    # Methods are compared within a block.
    assert accuracy["p_value"].notna().tolist() == [False, False, False, True]
    expected = scipy.stats.ttest_rel(*(list(n_right[name].values()) for name in "CB")).pvalue
    assert accuracy.loc[("subject_disjoint", "C"), "p_value"] == pytest.approx(expected)
    assert {name: table.reference_of(name) for name in ("trial_disjoint", "subject_disjoint")} == {
        "trial_disjoint": "A",
        "subject_disjoint": "B",
    }
    assert table.printed_only == (
        "printed only: D [7]: arousal 57.00, arousal F1 61.50 (EEG; quoted from its own paper)",
    )
    text = printed(table, 400)
    assert text.count("paired t-test of the accuracies with B") == 1
    # A block of one method has no tests, and no column of them.
    assert "paired t-test of the accuracies with A" not in text
    heads = [line.split() for line in text.splitlines() if line.strip().startswith("accuracy")]
    assert [head.count("p") for head in heads] == [0, 0, 1]
    assert "printed only: D [7]: arousal 57.00" in text
    assert "as_published_deepvanet: epoch chosen on the test fold" in text
    assert draw_methods(table, "accuracy", "table 2").png.startswith(b"\x89PNG")
    # Settings that share one protocol of two are neither one block nor two.
    other = make_run(tmp_path / "other", n_right["A"], identity="other", protocols=("trial_disjoint",))
    with pytest.raises(InputError, match="under the same protocols"):
        build_method_table({**runs, "E": other}, None, tmp_path / "table")


def test_methods_on_several_classes_say_how_f1_is_averaged(tmp_path):
    folder = make_run(tmp_path / "one", {"2": 6, "3": 5}, targets=("task",), class_names=("a", "b", "c"))
    found = build_method_table({"method A": folder}, None, tmp_path / "table")
    assert "F1, precision and recall of task: mean over classes" in printed(found, 400)
    assert set(found.rows["n_classes"]) == {3}


def test_synthetic_data_are_marked_everywhere(tmp_path):
    runs = [
        make_run(tmp_path / name, counts, identity=name, data={"synthetic": True})
        for name, counts in (("one", FIRST), ("two", SECOND))
    ]
    report = build_comparison(runs, tmp_path / "out")
    for full in (False, True):
        table = printed(report, full=full).split("arousal, trial_disjoint: ")[0]
        assert SYNTHETIC_MARK in table.splitlines()[0]
        assert table.count("synthetic") == 1
    assert report.pairs[0].sentence.endswith(f" ({SYNTHETIC_MARK})")
    assert SYNTHETIC_MARK in report.picture.title
    page = report.path.read_text()
    # Title, banner, head of printed pages, picture twice, sentence; no row of a table.
    assert page.count(SYNTHETIC_MARK) == 3 + 2 + 1
    assert page.count('<p class="banner"') == 1
    assert as_json(report)["mark"] == SYNTHETIC_MARK
    (tmp_path / "real").mkdir()
    real = [make_run(tmp_path / "real" / name, FIRST, identity=name) for name in ("one", "two")]
    assert "synthetic" not in build_comparison(real, tmp_path / "out").path.read_text()


def test_text_of_the_users_is_never_markup(tmp_path):
    runs = [
        make_run(tmp_path / name, FIRST, identity=name, name=f"[bold]{SCRIPT}", science={"training": {"note": name}})
        for name in ("one", "two")
    ]
    report = build_comparison(runs, tmp_path / "out")
    page = report.path.read_text()
    assert SCRIPT not in page
    assert "&lt;script&gt;" in page
    assert "[bold]" in printed(report)
    assert not re.search(r"""(src|href)=["'](?!data:image/png;base64,)""", page)
    assert str(tmp_path) not in page


def test_what_is_written(pair, tmp_path, monkeypatch):
    before = {path: path.read_bytes() for folder in pair for path in folder.path.rglob("*") if path.is_file()}
    monkeypatch.chdir(tmp_path)
    report = build_comparison(pair)
    again = build_comparison(pair, tmp_path / "again")
    assert re.fullmatch(r"runs/comparison-[0-9a-f]{16}/comparison\.html", str(report.path))
    assert report.path.read_bytes() == again.path.read_bytes()
    assert report.figure.read_bytes() == again.figure.read_bytes() == report.picture.png
    assert report.figure.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert {path: path.read_bytes() for path in before} == before
    assert build_comparison(pair[::-1]).path != report.path


def test_figure_shows_the_subjects(pair, tmp_path):
    axes = build_comparison(pair, tmp_path / "out").picture.figure.axes
    assert [panel.get_title(loc="left") for panel in axes] == ["trial_disjoint"]
    assert [tick.get_text() for tick in axes[0].get_xticklabels()] == ["deap_3facrnn\naaaaaaa", "deap_3facrnn\nbbbbbbb"]
    subjects = [line.get_ydata().tolist() for line in axes[0].lines if len(line.get_ydata()) == 2]
    np.testing.assert_allclose(subjects, 100 / 6 * np.array([[6, 4], [5, 4], [4, 5]]))
    assert [text.get_text() for text in axes[0].texts] == ["83.3", "72.2"]


def test_narrow_terminals_get_several_tables(pair, tmp_path):
    third = make_run(tmp_path / "three", FIRST, identity="cccccccc", protocols=("as_published", "trial_disjoint"))
    report = build_comparison([*pair, third], tmp_path / "out")
    wide, narrow = printed(report, 160), printed(report, 80)
    assert wide.count("balanced accuracy") == 1
    assert narrow.count("balanced accuracy") == 2
    assert narrow.count("DEAP, 3 runs compared, continued") == 1
    assert narrow.count("in percent, except kappa") == 1
    brief = printed(report, 80, full=False)
    for line in (
        "trial_disjoint, aaaaaaa",
        "trial_disjoint, bbbbbbb",
        "trial_disjoint, ccccccc",
        "as_published¹,², ccccccc",
    ):
        assert brief.count(line) == 1
    assert "aaaaaaa is 11.1 points above bbbbbbb" in " ".join(brief.split())
    assert "paired t-test" in brief
    assert "Votes" not in brief
    assert "…" not in narrow
    for value in ("100.0 83.3 66.7", "66.7 66.7 83.3"):
        assert value in narrow


def test_json_holds_every_number(pair, tmp_path):
    shown = json.loads(json.dumps(as_json(build_comparison(pair, tmp_path / "out")), allow_nan=False))
    assert shown["runs"] == ["deap_3facrnn aaaaaaa", "deap_3facrnn bbbbbbb"]
    accuracy = [row for row in shown["overall"] if row["metric"] == "accuracy"]
    assert [row["mean"] for row in accuracy] == pytest.approx([15 / 18, 13 / 18])
    assert [row["accuracy"] for row in shown["subjects"]] == pytest.approx([4 / 6, 1, 5 / 6, 5 / 6, 4 / 6, 4 / 6])
    tests = shown["comparisons"][0]["tests"]
    assert tests["mean_difference"] == pytest.approx(2 / 18)
    assert tests["mcnemar"] == pytest.approx({"statistic": 3, "p_value": 0.625, "degrees_of_freedom": 4})
    assert {row["subject"] for row in tests["subjects"]} == set(FIRST)
    one = make_run(tmp_path / "alone", {"2": 5}, identity="dddddddd")
    alone = json.loads(json.dumps(as_json(build_report(one, output=tmp_path / "out")), allow_nan=False))
    assert alone["report"] == str(tmp_path / "out" / "report.html")
    assert alone["overall"][0]["standard_deviation"] is None
    assert "comparisons" not in alone


def test_list_of_runs(tmp_path):
    protocols = ("as_published", "trial_disjoint")
    only = {"as_published": ("2", "3")}
    make_run(tmp_path / "late", FIRST, started="2026-03-01T08:30:00+00:00", protocols=protocols, only=only)
    make_run(tmp_path / "early", SECOND, protocols=("as_published",), data={"synthetic": True}, name="other")
    make_run(tmp_path / "open", FIRST, started="2026-02-01T08:30:00+00:00", finished=False, targets=("a", "b"))
    (tmp_path / "features" / "x").mkdir(parents=True)
    runs = list_runs(tmp_path)
    assert [run.path.name for run in runs] == ["early", "open", "late"]
    early, unfinished, late = runs
    assert (early.name, early.dataset, early.mark) == ("other", "deap", SYNTHETIC_MARK)
    assert early.headline[0].accuracy == pytest.approx(13 / 18)
    assert early.headline[0].protocol == "as_published"
    assert "windows of one trial in training and test" in early.headline[0].flags
    assert (unfinished.progress, unfinished.headline) == ("interrupted or running, 18 jobs done", ())
    assert (late.progress, late.mark, late.problem) == ("finished, 15 jobs done", "", "")
    # The protocol without flags; subject 10 is left out, since the other protocol does not have it.
    (headline,) = late.headline
    assert (headline.protocol, headline.flags, headline.n_subjects) == ("trial_disjoint", (), 2)
    report = build_report(RunFolder(tmp_path / "late"), output=tmp_path / "out")
    row = report.numbers.overall("trial_disjoint", "arousal", "accuracy")
    assert headline.accuracy == row["mean"] == pytest.approx(11 / 12)
    assert (headline.chance_low, headline.chance_high) == (row["chance_low"], row["chance_high"])
    text = printed(rendered_runs(runs))
    assert re.search(r"early .*deap +as_published .*arousal 72\.2 \(.*\) synthetic +2026-01-01 10:00", text)
    assert "⚑ epoch chosen on the test fold" in " ".join(text.split())
    assert text.count("synthetic") == 3
    assert SYNTHETIC_MARK in text.splitlines()[-1]
    assert re.search(r"late .*arousal 91\.7 \(.*\) +2026-03-01 08:30", text)
    assert [run.path for run in list_runs(tmp_path / "late")] == [tmp_path / "late"]


def damage(path, how):
    if how == "folder":
        path.unlink()
        path.mkdir()
    else:
        path.write_bytes({"empty": b"", "bytes": b"\xff\xfe\xfa", "list": b"[]", "cut": path.read_bytes()[:-30]}[how])


@pytest.mark.parametrize("how", ["empty", "bytes", "list", "cut", "folder"])
@pytest.mark.parametrize(
    "name", ["config.json", "data.json", "environment.json", "finished.json", "predictions.csv", "results.csv"]
)
def test_damaged_runs_are_listed_as_such(written_runs, tmp_path, name, how):
    for copy in ("good", "bad"):
        shutil.copytree(written_runs / "one", tmp_path / copy)
    damage(tmp_path / "bad" / name, how)
    runs = {run.path.name: run for run in list_runs(tmp_path)}
    assert runs["good"].headline[0].accuracy == pytest.approx(15 / 18)
    if how == "folder" and name != "data.json":
        # Where a file is no file, the run was never started or never finished.
        assert "bad" not in runs or not runs["bad"].headline or name == "environment.json"
        return
    assert runs["bad"].progress == "damaged"
    assert f"{tmp_path / 'bad' / name}: " in runs["bad"].problem
    text = " ".join(printed(rendered_runs(list(runs.values()))).split())
    assert "damaged" in text


def test_a_run_that_is_just_starting(tmp_path):
    """Its data stand in config.json, which is written first; data.json and environment.json are not there yet."""
    folder = make_run(tmp_path / "run", FIRST, finished=False)
    folder.write_json("config.json", {**folder.config, "data": folder.data})
    shutil.rmtree(folder.path / "jobs")
    for name in ("data.json", "environment.json"):
        (folder.path / name).unlink()
    (run,) = list_runs(tmp_path)
    assert (run.dataset, run.started, run.progress) == ("deap", "", "interrupted or running, 0 jobs done")


def test_a_folder_without_runs(tmp_path):
    assert list_runs(tmp_path) == []
    with pytest.raises(InputError, match="nowhere: no such folder"):
        list_runs(tmp_path / "nowhere")


def test_lists_and_comparisons_need_no_keras(pair, tmp_path):
    code = (
        "import sys; from keras_emotion import cli; "
        f"cli.main(['runs', {str(tmp_path)!r}]); "
        f"cli.main(['report', {str(pair[0].path)!r}, {str(pair[1].path)!r}, '--output', {str(tmp_path / 'out')!r}]); "
        "print(sorted({'keras', 'tensorflow', 'matplotlib.pyplot', 'mne', 'keras_emotion.reports'} & set(sys.modules)))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    # Nor do reports, whose package is there.
    assert answer.stdout.splitlines()[-1] == "['keras_emotion.reports']"
    shutil.rmtree(tmp_path / "out")


def test_methods_that_learn_from_more_windows_are_named(tmp_path):
    runs = {name: make_run(tmp_path / name, {"2": 6, "3": 5}, identity=name) for name in "ABC"}
    assert build_method_table(runs, None, tmp_path / "table").notes == ()
    results = pd.read_csv(runs["C"].path / "results.csv")
    known = results[results["metric"] == "n_training_windows"]
    fitted = known.assign(metric="n_fitted_windows", value=known["value"] + 12)
    write_other_table(runs["C"], "results.csv", pd.concat([results, fitted]))
    (note,) = build_method_table(runs, None, tmp_path / "table").notes
    n_windows = round(known["value"].mean())
    assert note == (
        f"training windows of a fold, on average: A and B {n_windows}; C {n_windows + 12}; "
        "estimators have no epoch to choose, and are fitted on the validation windows too"
    )
