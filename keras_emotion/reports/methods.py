"""Tables of papers that compare methods, with the printed numbers."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import rich.box
import rich.console
from rich.table import Table
from rich.text import Text

from keras_emotion.evaluation import METRICS, holm_correction, paired_subject_test
from keras_emotion.evaluation.comparison import TRAINING_WINDOWS
from keras_emotion.experiment.record_tables import FITTED_WINDOWS, dropped_lines
from keras_emotion.experiment.records import RunFolder
from keras_emotion.reports.numbers import ENOUGH_SUBJECTS, RunNumbers, read_numbers
from keras_emotion.reports.paper import numbers_of_classes
from keras_emotion.reports.tables import count_of_subjects, join, numbered_flags, percent, shown_p_value
from keras_emotion.reports.terminal import WIDTH, block_table, marked, print_texts
from keras_emotion.schema import InputError
from keras_emotion.tables import csv_bytes

METHOD_METRICS = ("accuracy", "f1")
"""Scores of every table; further scores that the paper prints follow."""

METRIC_NAMES = {"f1": "F1", "f1_macro": "F1, mean over classes"}
"""Display names of scores that differ from their identifiers."""


@dataclasses.dataclass(frozen=True, eq=False)
class MethodTable:
    """Scores of several methods on the same subjects and folds, under one protocol or several.

    A table may have several blocks with different protocols, for settings of a paper that are evaluated in different
    ways. Methods are compared within a block.

    Args:
        title: name of the dataset.
        mark: warning of synthetic data, or empty.
        flags: known flaws of each protocol.
        feature_flags: limitations of the features, and the methods that they affect.
        metrics: the scores, in the order of the columns.
        rows: one row for each protocol, target, method and score: `protocol`, `method`, `target`, `metric`, `n_classes`
            (for more than two, F1, precision and recall are means over classes), `mean`, `standard_deviation` (over
            subjects), `low` and `high` (95 % interval of the mean by bootstrap, NaN for fewer than ten subjects),
            `n_subjects`, `chance_low`, `chance_high`, `majority`, `knows_stimulus`, `p_value` (paired t-test over
            subjects against the reference, NaN for the reference), `p_value_holm` (corrected for all methods of a
            target), `printed`, `printed_standard_deviation`; shares, except for the printed percentages.
        path: the csv file.
        reference: the method that the others are tested against; in a block without it, the first method.
        notes: dropped windows by subject, with methods and reasons.
        printed_only: printed numbers of methods that were not run, one line each.
    """

    title: str
    mark: str
    flags: Mapping[str, Sequence[str]]
    feature_flags: Mapping[str, Sequence[str]]
    metrics: tuple[str, ...]
    rows: pd.DataFrame
    path: Path
    reference: str
    notes: tuple[str, ...]
    printed_only: tuple[str, ...] = ()

    def reference_of(self, protocol: str) -> str:
        """The method that the others are tested against under a protocol."""
        return _reference_among(list(self.rows.loc[self.rows["protocol"] == protocol, "method"]), self.reference)

    def print(self, console: rich.console.Console, *, full: bool = False) -> None:
        """Print the table, and how it is read.

        Args:
            console: where to.
            full: whether all scores and notes are printed, and not the accuracies alone.
        """
        if full:
            for protocol, rows in self.rows.groupby("protocol", sort=False):
                self._print_protocol(console, str(protocol), rows)
        else:
            self._print_accuracies(console)
        features = [f"⚑ features of {join(methods)}: {flag}" for flag, methods in self.feature_flags.items()]
        texts = [*(self.printed_only if full else ()), *features, *self.notes]
        if self.printed_only and not full:
            texts.append(f"printed only, not run: {len(self.printed_only)} of the paper's methods")
        if self.rows["n_subjects"].min() < ENOUGH_SUBJECTS:
            texts.append(f"fewer than {ENOUGH_SUBJECTS} subjects: no intervals, and p-values say little")
        print_texts(texts, console)
        rest = "" if full else f" ({len(self.metrics)} scores: this file, the report, or --full)"
        console.print(f"table: {self.path}{rest}", highlight=False, markup=False, soft_wrap=True)

    def _print_accuracies(self, console: rich.console.Console) -> None:
        marks, flags = numbered_flags({name: {"flags": own} for name, own in self.flags.items()})
        blocks = {}
        accuracies = self.rows[self.rows["metric"] == "accuracy"]
        # Keep the protocols of a target together.
        targets = {name: place for place, name in enumerate(dict.fromkeys(accuracies["target"]))}
        ordered = accuracies.sort_values("target", key=lambda names: names.map(targets), kind="stable")
        for (target, protocol), rows in ordered.groupby(["target", "protocol"], sort=False):
            reference = rows[rows["method"] == self.reference_of(protocol)].iloc[0]
            count = count_of_subjects(int(reference["n_subjects"]))
            empty = [""] * 3
            lines = [(str(row["method"]), _brief_cells(row)) for _, row in rows.iterrows()]
            lines.append(("chance, 95 % band", [_range(reference, "chance_low", "chance_high"), *empty]))
            lines.append(("majority class", [percent(reference["majority"]), *empty]))
            if np.isfinite(reference["knows_stimulus"]):
                lines.append(("knows the stimulus", [percent(reference["knows_stimulus"]), *empty]))
            blocks[f"{target}, {protocol}{marks[protocol]}, {count}"] = lines
        headings = ("accuracy, %", "95 %\ninterval", "printed", "p")
        width = min(console.width, WIDTH)
        console.print(block_table(marked(self.title, self.mark), headings, blocks), crop=False, width=width)
        references = join(dict.fromkeys(self.reference_of(name) for name in self.flags))
        compared = f"p: paired t-test with {references}, Holm-corrected for the methods of a block. "
        reading = (
            f"Mean ± standard deviation over subjects. {compared if accuracies['p_value_holm'].notna().any() else ''}"
            f"Chance: label permutation of the predictions of {references}."
        )
        print_texts([*flags, reading], console)

    def _print_protocol(self, console: rich.console.Console, protocol: str, rows: pd.DataFrame) -> None:
        title = marked(f"{self.title}, {protocol}", self.mark)
        shown = Table(title=Text(title, style="bold"), title_justify="left", box=rich.box.SIMPLE_HEAD)
        shown.add_column("")
        # A block with a single method has no tests.
        is_compared = rows["method"].nunique() > 1
        targets = list(dict.fromkeys(rows["target"]))
        has_print = {metric: bool(own["printed"].notna().any()) for metric, own in rows.groupby("metric")}
        for target in targets:
            for metric in self.metrics:
                shown.add_column(f"{target}\n{METRIC_NAMES.get(metric, metric)}", justify="right")
                if has_print[metric]:
                    shown.add_column("paper", justify="right", style="dim")
            if is_compared:
                shown.add_column("p", justify="right")
        for method, own in rows.groupby("method", sort=False):
            cells = []
            for target in targets:
                for metric in self.metrics:
                    row = own[(own["target"] == target) & (own["metric"] == metric)].squeeze()
                    interval = f"\n{100 * row['low']:.1f} – {100 * row['high']:.1f}" if np.isfinite(row["low"]) else ""
                    # One subject has no standard deviation.
                    deviation = row["standard_deviation"]
                    spread = f" ± {100 * deviation:.1f}" if np.isfinite(deviation) else ""
                    cells.append(f"{100 * row['mean']:.1f}{spread}{interval}")
                    if has_print[metric]:
                        cells.append("–" if np.isnan(row["printed"]) else f"{row['printed']:.1f}")
                p_value = own[(own["target"] == target) & (own["metric"] == "accuracy")].squeeze()["p_value_holm"]
                p_cell = "" if np.isnan(p_value) else shown_p_value(p_value).removeprefix("p = ").removeprefix("p ")
                cells += [p_cell] if is_compared else []
            shown.add_row(str(method), *cells)
        name = self.reference_of(protocol)
        first = rows[(rows["method"] == name) & (rows["metric"] == "accuracy")]
        n_columns = len(self.metrics) + sum(has_print[metric] for metric in self.metrics) + is_compared
        references = [("majority class of training", "majority"), ("chance, 95 % band", None)]
        if first["knows_stimulus"].notna().any():
            references.insert(1, ("knows the stimulus", "knows_stimulus"))
        for label, of in references:
            cells = []
            for target in targets:
                row = first[first["target"] == target].squeeze()
                band = f"{100 * row['chance_low']:.1f} – {100 * row['chance_high']:.1f}"
                cells += [f"{100 * row[of]:.1f}" if of else band, *[""] * (n_columns - 1)]
            shown.add_row(Text(label, style="dim"), *cells)
        console.print(shown)
        for flag in self.flags.get(protocol, ()):
            console.print(f"{protocol}: {flag}", highlight=False, markup=False)
        n_subjects = " and ".join(
            f"{target} {first.loc[first['target'] == target, 'n_subjects'].iloc[0]}" for target in targets
        )
        of_classes = [name for name in targets if first.loc[first["target"] == name, "n_classes"].iloc[0] > 2]
        averaged = f"; F1, precision and recall of {join(of_classes)}: mean over classes" if of_classes else ""
        tested = f"p: paired t-test of the accuracies with {name}, Holm-corrected for the methods of a target; "
        tested = tested if is_compared else ""
        below = ", below it a 95 % interval of the mean" if np.isfinite(rows["low"]).any() else ""
        console.print(
            f"percent, mean ± standard deviation over subjects ({n_subjects}){below}; {tested}the chance band is "
            f"that of {name}{averaged}",
            highlight=False,
            markup=False,
        )


def build_method_table(
    runs: Mapping[str, RunFolder], paper: pd.DataFrame | None, output: Path, reference: str | None = None
) -> MethodTable:
    """Compare finished runs of one dataset, under the same protocols and scored unit, and write `methods.csv`.

    Runs that share no protocol are blocks of the table, which are not compared with each other.

    Args:
        runs: run of each method, in the order of the table.
        paper: printed numbers (`paper_numbers`), with the name of the method as `variant`; `None` for none.
        output: folder to write into.
        reference: the method that the others are tested against; by default the first method.

    Raises:
        InputError: the runs are on different datasets, or those of a block have different protocols, units or test
            subjects.
    """
    numbers = {method: read_numbers(folder) for method, folder in runs.items()}
    reference = reference or next(iter(numbers))
    first = numbers[reference]
    blocks: dict[str, dict[str, RunNumbers]] = {}
    for method, own in numbers.items():
        for protocol in own.protocols:
            blocks.setdefault(protocol, {})[method] = own
    for method, own in numbers.items():
        others = [next(iter(blocks[protocol].values())) for protocol in own.protocols]
        same = (own.dataset, list(own.protocols), own.scored_unit, own.evaluated)
        if own.dataset != first.dataset or any(
            same != (other.dataset, list(other.protocols), other.scored_unit, other.evaluated) for other in others
        ):
            raise InputError(
                f"{runs[method].path}: methods are compared on one dataset, under the same protocols and on the same "
                f"subjects; those of {method} differ"
            )
    if paper is not None:
        paper = numbers_of_classes(paper, {target: len(first.class_names[target]) for target in first.evaluated})
    printed_metrics = set() if paper is None else set(paper["metric"])
    metrics = tuple(name for name in METRICS if name in METHOD_METRICS or name in printed_metrics)
    rows = []
    for protocol, block in blocks.items():
        own_reference = _reference_among(list(block), reference)
        for target in block[own_reference].evaluated:
            if block[own_reference].overall(protocol, target, "accuracy") is not None:
                rows += _rows(block, own_reference, paper, protocol, target, metrics)
    table = pd.DataFrame(rows)
    RunFolder(output).write_bytes("methods.csv", csv_bytes(table))
    path = output / "methods.csv"
    flags = {name: block[next(iter(block))].protocols[name]["flags"] for name, block in blocks.items()}
    feature_flags: dict[str, list[str]] = {}
    for method, own in numbers.items():
        for flag in own.feature_flags:
            feature_flags.setdefault(flag, []).append(method)
    notes = (*_trained_on_notes(runs), *_dropped_notes(numbers))
    quoted = tuple(_printed_only(paper, runs))
    title = first.title_of_dataset
    return MethodTable(title, first.mark, flags, feature_flags, metrics, table, path, reference, notes, quoted)


def _brief_cells(row: pd.Series) -> list[str]:
    """Accuracy, interval, printed accuracy and p-value of a method, in the table of accuracies."""
    # One subject has no standard deviation.
    spread = f" ± {percent(row['standard_deviation'])}" if np.isfinite(row["standard_deviation"]) else ""
    return [
        f"{percent(row['mean'])}{spread}",
        _range(row, "low", "high"),
        f"{row['printed']:.1f}" if np.isfinite(row["printed"]) else "",
        shown_p_value(row["p_value_holm"]).removeprefix("p = ").removeprefix("p ")
        if np.isfinite(row["p_value_holm"])
        else "",
    ]


def _range(row: pd.Series, low: str, high: str) -> str:
    return f"{percent(row[low])} – {percent(row[high])}" if np.isfinite(row[low]) else ""


def _reference_among(methods: Sequence[str], reference: str) -> str:
    return reference if reference in methods else methods[0]


def _printed_only(paper: pd.DataFrame | None, runs: Mapping[str, RunFolder]) -> Iterator[str]:
    """One line for each method with printed numbers that was not run."""
    if paper is None:
        return
    for method, rows in paper[~paper["variant"].isin(list(runs))].groupby("variant", sort=False):
        words = []
        for row in rows.itertuples():
            # A number without the name of a score is an accuracy.
            name = "" if row.metric == "accuracy" else f" {METRIC_NAMES.get(row.metric, row.metric)}"
            spread = "" if np.isnan(row.standard_deviation) else f" ± {row.standard_deviation:.2f}"
            words.append(f"{row.target}{name} {row.value:.2f}{spread}")
        notes = [note for note in dict.fromkeys(rows["note"].fillna("")) if note]
        yield f"printed only: {method}: {', '.join(words)}{f' ({join(notes)})' if notes else ''}"


def _trained_on_notes(runs: Mapping[str, RunFolder]) -> Iterator[str]:
    """Note for methods that were trained on different numbers of windows."""
    learned: dict[int, list[str]] = {}
    has_estimator = False
    for method, folder in runs.items():
        results = folder.results()
        # Estimators have no epoch to choose: they are fitted on the validation windows too.
        is_fitted = results["metric"] == FITTED_WINDOWS
        has_estimator = has_estimator or bool(is_fitted.any())
        counts = results.loc[is_fitted if is_fitted.any() else results["metric"] == TRAINING_WINDOWS, "value"]
        if len(counts):
            learned.setdefault(round(counts.mean()), []).append(method)
    if len(learned) > 1:
        why = (
            "; estimators have no epoch to choose, and are fitted on the validation windows too"
            if has_estimator
            else ""
        )
        each = "; ".join(f"{join(methods)} {count:,}" for count, methods in learned.items())
        yield f"training windows of a fold, on average: {each}{why}"


def _dropped_notes(numbers: Mapping[str, RunNumbers]) -> Iterator[str]:
    """One note for all methods that dropped the same windows."""
    methods: dict[str, list[str]] = {}
    for method, own in numbers.items():
        for note in dropped_lines(own.dropped_windows):
            methods.setdefault(note, []).append(method)
    for note, names in methods.items():
        yield note if len(names) == len(numbers) else f"{join(names)}: {note}"


def _rows(
    numbers: Mapping[str, RunNumbers],
    reference: str,
    paper: pd.DataFrame | None,
    protocol: str,
    target: str,
    metrics: Sequence[str],
) -> list[dict[str, Any]]:
    """One row for each method and metric, for one protocol and target."""
    others = [method for method in numbers if method != reference]
    p_values = [_p_value(numbers[reference], numbers[method], protocol, target) for method in others]
    raw = dict(zip(others, p_values, strict=True))
    corrected = dict(zip(others, holm_correction(p_values), strict=True)) if p_values else {}
    rows = []
    for method, own in numbers.items():
        majority = own.row(protocol, target, "majority_accuracy")
        accuracy = own.row(protocol, target, "accuracy")
        knows = own.overall(protocol, target, "knows_stimulus_accuracy")
        for metric in metrics:
            overall = own.row(protocol, target, metric)
            printed, printed_deviation = _printed(paper, method, target, metric)
            has_interval = overall["n_subjects"] >= ENOUGH_SUBJECTS
            rows.append(
                {
                    "protocol": protocol,
                    "method": method,
                    "target": target,
                    "metric": metric,
                    "n_classes": len(own.class_names[target]),
                    "mean": overall["mean"],
                    "standard_deviation": overall["standard_deviation"],
                    "low": overall["confidence_low"] if has_interval else np.nan,
                    "high": overall["confidence_high"] if has_interval else np.nan,
                    "n_subjects": overall["n_subjects"],
                    "chance_low": accuracy["chance_low"],
                    "chance_high": accuracy["chance_high"],
                    "majority": majority["mean"],
                    "knows_stimulus": np.nan if knows is None else knows["mean"],
                    "p_value": raw.get(method, np.nan),
                    "p_value_holm": corrected.get(method, np.nan),
                    "printed": printed,
                    "printed_standard_deviation": printed_deviation,
                }
            )
    return rows


def _p_value(first: RunNumbers, other: RunNumbers, protocol: str, target: str) -> float:
    scores = [numbers.by_subject(protocol, target, "accuracy") for numbers in (first, other)]
    return paired_subject_test(*scores).p_value if len(scores[0]) > 1 else np.nan


def _printed(paper: pd.DataFrame | None, method: str, target: str, metric: str) -> tuple[float, float]:
    if paper is None:
        return np.nan, np.nan
    rows = paper[(paper["variant"] == method) & (paper["target"] == target) & (paper["metric"] == metric)]
    return (np.nan, np.nan) if rows.empty else tuple(rows[["value", "standard_deviation"]].iloc[0])
