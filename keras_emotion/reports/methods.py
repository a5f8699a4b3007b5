"""The table of a paper that compares methods: a line a method, beside the numbers as printed."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import rich.box
import rich.console
from rich.table import Table
from rich.text import Text

from keras_emotion.evaluation import holm_correction, paired_subject_test
from keras_emotion.experiment.records import RunFolder
from keras_emotion.reports.numbers import ENOUGH_SUBJECTS, RunNumbers, read_numbers
from keras_emotion.reports.tables import shown_p_value
from keras_emotion.schema import InputError

METHOD_METRICS = ("accuracy", "f1")


@dataclasses.dataclass(frozen=True, eq=False)
class MethodTable:
    """Scores of several methods on the same subjects and folds.

    Args:
        title: data set and protocol.
        mark: mark of synthetic data, or empty.
        rows: a line a method, target and score: `method`, `target`, `metric`, `mean`, `standard_deviation` (over
            subjects), `low` and `high` (95 % interval of the mean by bootstrap, NaN of fewer than ten subjects),
            `n_subjects`, `chance_low`, `chance_high`, `majority`, `p_value` (paired t-test over subjects against the
            first method, NaN of the first), `p_value_holm` (corrected for all of a target), `printed`,
            `printed_standard_deviation`; shares, but for the printed percentages.
        path: the csv file.
    """

    title: str
    mark: str
    rows: pd.DataFrame
    path: Path

    def print(self, console: rich.console.Console) -> None:
        """Print the table, and how it is read.

        Args:
            console: where to.
        """
        title = f"{self.title} – {self.mark}" if self.mark else self.title
        targets = list(dict.fromkeys(self.rows["target"]))
        has_print = self.rows["printed"].notna().any()
        shown = Table(title=Text(title, style="bold"), title_justify="left", box=rich.box.SIMPLE_HEAD)
        shown.add_column("")
        for target in targets:
            for metric in METHOD_METRICS:
                shown.add_column(f"{target}\n{metric}", justify="right")
                if has_print:
                    shown.add_column("paper", justify="right", style="dim")
            shown.add_column("p", justify="right")
        for method, own in self.rows.groupby("method", sort=False):
            cells = []
            for target in targets:
                for metric in METHOD_METRICS:
                    row = own[(own["target"] == target) & (own["metric"] == metric)].squeeze()
                    interval = f"\n{100 * row['low']:.1f} – {100 * row['high']:.1f}" if np.isfinite(row["low"]) else ""
                    cells.append(f"{100 * row['mean']:.1f} ± {100 * row['standard_deviation']:.1f}{interval}")
                    if has_print:
                        cells.append("–" if np.isnan(row["printed"]) else f"{row['printed']:.1f}")
                p_value = own[(own["target"] == target) & (own["metric"] == "accuracy")].squeeze()["p_value_holm"]
                cells.append(
                    "" if np.isnan(p_value) else shown_p_value(p_value).removeprefix("p = ").removeprefix("p ")
                )
            shown.add_row(str(method), *cells)
        first = self.rows[(self.rows["method"] == self.rows["method"].iloc[0]) & (self.rows["metric"] == "accuracy")]
        for label, of in (("majority class of training", "majority"), ("chance, 95 % band", None)):
            cells = []
            for target in targets:
                row = first[first["target"] == target].squeeze()
                band = f"{100 * row['chance_low']:.1f} – {100 * row['chance_high']:.1f}"
                cells += [f"{100 * row[of]:.1f}" if of else band, *[""] * (4 if has_print else 2)]
            shown.add_row(Text(label, style="dim"), *cells)
        console.print(shown)
        n_subjects = " and ".join(
            f"{target} {first.loc[first['target'] == target, 'n_subjects'].iloc[0]}" for target in targets
        )
        name = self.rows["method"].iloc[0]
        below = ", below it a 95 % interval of the mean" if np.isfinite(self.rows["low"]).any() else ""
        console.print(
            f"percent, mean ± standard deviation over subjects ({n_subjects}){below}; p: paired t-test of the "
            f"accuracies with {name}, Holm-corrected for the methods of a target; the chance band is that of {name}",
            highlight=False,
        )
        if self.rows["n_subjects"].min() < ENOUGH_SUBJECTS:
            console.print(f"fewer than {ENOUGH_SUBJECTS} subjects: no intervals, and p-values say little")
        console.print(f"table: {self.path}", highlight=False, markup=False, soft_wrap=True)


def build_method_table(runs: Mapping[str, RunFolder], paper: pd.DataFrame | None, output: Path) -> MethodTable:
    """Compare finished runs of one data set, protocol and unit, and write `methods.csv`.

    Args:
        runs: a run a method, the first being the one that the others are compared with.
        paper: numbers as printed (`paper_numbers`), `variant` the name of the method; `None` for none.
        output: folder to write into.

    Raises:
        InputError: the runs are of other data sets, protocols or units, or have not tested the same subjects.
    """
    numbers = {method: read_numbers(folder) for method, folder in runs.items()}
    first = next(iter(numbers.values()))
    protocol = next(iter(first.protocols))
    for method, own in numbers.items():
        same = (own.dataset, list(own.protocols), own.scored_unit, own.evaluated)
        if same != (first.dataset, [protocol], first.scored_unit, first.evaluated):
            raise InputError(
                f"{runs[method].path}: methods are compared on one data set, under one protocol and on the same "
                f"subjects; {method} has others"
            )
    rows = []
    for target in first.evaluated:
        p_values = [_p_value(first, own, protocol, target) for own in list(numbers.values())[1:]]
        corrected = [np.nan, *holm_correction(p_values)] if p_values else [np.nan]
        for place, (method, own) in enumerate(numbers.items()):
            for metric in METHOD_METRICS:
                overall = own.overall(protocol, target, metric)
                majority = own.overall(protocol, target, "majority_accuracy")
                accuracy = own.overall(protocol, target, "accuracy")
                printed = _printed(paper, method, target, metric)
                has_interval = overall["n_subjects"] >= ENOUGH_SUBJECTS
                rows.append(
                    {
                        "method": method,
                        "target": target,
                        "metric": metric,
                        "mean": overall["mean"],
                        "standard_deviation": overall["standard_deviation"],
                        "low": overall["confidence_low"] if has_interval else np.nan,
                        "high": overall["confidence_high"] if has_interval else np.nan,
                        "n_subjects": overall["n_subjects"],
                        "chance_low": accuracy["chance_low"],
                        "chance_high": accuracy["chance_high"],
                        "majority": majority["mean"],
                        "p_value": [np.nan, *p_values][place],
                        "p_value_holm": corrected[place],
                        "printed": printed[0],
                        "printed_standard_deviation": printed[1],
                    }
                )
    table = pd.DataFrame(rows)
    output.mkdir(parents=True, exist_ok=True)
    path = output / "methods.csv"
    table.to_csv(path, index=False)
    return MethodTable(f"{first.title_of_dataset}, {protocol}", first.mark, table, path)


def _p_value(first: RunNumbers, other: RunNumbers, protocol: str, target: str) -> float:
    scores = [numbers.by_subject(protocol, target, "accuracy") for numbers in (first, other)]
    return paired_subject_test(*scores).p_value if len(scores[0]) > 1 else np.nan


def _printed(paper: pd.DataFrame | None, method: str, target: str, metric: str) -> tuple[float, float]:
    if paper is None:
        return np.nan, np.nan
    rows = paper[(paper["variant"] == method) & (paper["target"] == target) & (paper["metric"] == metric)]
    return (np.nan, np.nan) if rows.empty else tuple(rows[["value", "standard_deviation"]].iloc[0])
