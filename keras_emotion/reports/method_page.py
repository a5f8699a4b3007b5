"""Page of one table or figure of a paper: printed, as published and leakage-free numbers side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from keras_emotion.experiment.records import RunFolder
from keras_emotion.reports.comparison import differing_fields
from keras_emotion.reports.figures import Picture, page_picture
from keras_emotion.reports.methods import METRIC_NAMES, MethodTable
from keras_emotion.reports.numbers import ENOUGH_SUBJECTS
from keras_emotion.reports.report import output_folder, page_templates
from keras_emotion.reports.tables import (
    EMPTY,
    Cell,
    MainTable,
    Row,
    Section,
    count_of_subjects,
    join,
    numbered_flags,
    percent,
    shown_p_value,
)


def build_item_page(
    output: Path,
    name: str,
    title: str,
    caption: str,
    *,
    table: MethodTable | None = None,
    pictures: Sequence[Picture] = (),
    runs: Mapping[str, RunFolder] | None = None,
    mark: str = "",
    notes: Sequence[str] = (),
    reductions: Sequence[str] = (),
    reference: str = "the paper",
    command: str = "",
) -> Path:
    """Write the page of a table or a figure, `<name>.html`.

    Args:
        output: folder to write into.
        name: file name without extension.
        title: title of the page (`"3facrnn, table 3, on DEAP"`).
        caption: content, in one line.
        table: scores of methods; `None` if none are compared.
        pictures: pictures, with titles and captions.
        runs: the finished runs, by the names of the methods.
        mark: warning of synthetic data, or empty.
        notes: notes besides those of the table.
        reductions: how the requested experiment differs from `reference`, one line each.
        reference: what `reductions` compares with.
        command: the command that made it.

    Raises:
        InputError: the folder cannot be written.
    """
    runs = runs or {}
    shown = None if table is None else method_main_table(table, title)
    flags = {} if table is not None else _flags(runs)
    page = (
        page_templates()
        .get_template("paper_item.html")
        .render(
            title=title,
            caption=caption.rstrip("."),
            done=_what_was_done(table, runs),
            mark=mark,
            table=shown,
            pictures=[page_picture(one) for one in pictures],
            notes=[*(f"{name}: {flag}" for name, own in flags.items() for flag in own), *notes],
            runs=[(method, folder.path.resolve().name, folder.config["identity"]) for method, folder in runs.items()],
            labels=list(runs),
            differences=differing_fields([folder.config["science"] for folder in runs.values()]),
            reductions=list(reductions),
            reference=reference,
            command=command,
        )
    )
    output_folder(output).write_bytes(f"{name}.html", page.encode())
    return output / f"{name}.html"


def _what_was_done(table: MethodTable | None, runs: Mapping[str, RunFolder]) -> str:
    """Lead sentence: the compared methods, or the run of a figure."""
    if table is None:
        return f"Drawn from the run {join(folder.path.resolve().name for folder in runs.values())}." if runs else ""
    methods, protocols = (list(dict.fromkeys(table.rows[name])) for name in ("method", "protocol"))
    text = f"{len(methods)} method{'' if len(methods) == 1 else 's'} on {table.title} under {join(protocols)}"
    if len(methods) == 1:
        return f"{text}."
    n_methods = table.rows.groupby("protocol")["method"].nunique()
    references = dict.fromkeys(table.reference_of(name) for name in protocols if n_methods[name] > 1)
    if not references:
        return f"{text}. No two of them were run under the same protocol."
    return f"{text}. Under each protocol they are compared on the same subjects, the others with {join(references)}."


def method_main_table(table: MethodTable, title: str) -> MainTable:
    """Arrange the scores of methods in a table with one column for each protocol and one for the printed numbers.

    Args:
        table: the scores.
        title: title of the table.
    """
    protocols = list(dict.fromkeys(table.rows["protocol"]))
    marks, notes = numbered_flags({name: {"flags": table.flags.get(name, ())} for name in protocols})
    has_print = bool(table.rows["printed"].notna().any())
    references = {name: table.reference_of(name) for name in protocols}
    compared_with = join(dict.fromkeys(references.values()))
    essential = [*notes, *(f"features of {join(methods)}: {flag}" for flag, methods in table.feature_flags.items())]
    essential += table.notes
    sections = []
    for target in dict.fromkeys(table.rows["target"]):
        for metric in table.metrics:
            own = table.rows[(table.rows["target"] == target) & (table.rows["metric"] == metric)]
            n_classes, n_subjects = int(own["n_classes"].iloc[0]), int(own["n_subjects"].iloc[0])
            averaged = ", mean over classes" if metric != "accuracy" and n_classes > 2 else ""
            heading = f"{target}: {METRIC_NAMES.get(metric, metric)}{averaged}, {count_of_subjects(n_subjects)}"
            rows = [_method_row(own, method, protocols, has_print) for method in dict.fromkeys(own["method"])]
            if metric == "accuracy":
                is_reference = own["method"] == own["protocol"].map(references)
                rows += _references(own[is_reference], protocols, has_print)
            sections.append(Section(target, heading, tuple(rows)))
    notes = [
        "percent, mean ± standard deviation over subjects; below it a 95 % bootstrap interval of the mean, where there "
        f"are {ENOUGH_SUBJECTS} subjects or more",
        f"p: paired t-test over subjects of the accuracies with those of {compared_with}, Holm-corrected for "
        "the methods of a target under a protocol",
        f"chance: the middle 95 % of the accuracies of {compared_with} under label permutation; the majority class is "
        "that of the training set",
    ]
    if table.rows["knows_stimulus"].notna().any():
        notes.append(
            "knows the stimulus: the accuracy of predicting the most frequent label of the stimulus in the training set"
        )
    if has_print:
        notes.append("printed: as printed in the paper, under its own protocol")
    if table.rows["n_subjects"].min() < ENOUGH_SUBJECTS:
        notes.append(f"fewer than {ENOUGH_SUBJECTS} subjects: no intervals, and p-values say little")
    notes += table.printed_only
    columns = (*(["printed"] if has_print else []), *(name + marks[name] for name in protocols))
    return MainTable(title, table.mark, columns, tuple(sections), (*essential, *notes), tuple(essential))


def _method_row(rows: pd.DataFrame, method: str, protocols: Sequence[str], has_print: bool) -> Row:
    own = rows[rows["method"] == method].set_index("protocol")
    first = own.iloc[0]
    cells = []
    if has_print:
        spread = first["printed_standard_deviation"]
        text = f"{first['printed']:.2f}" + (f" ± {spread:.2f}" if np.isfinite(spread) else "")
        cells.append(EMPTY if np.isnan(first["printed"]) else Cell(text))
    return Row(str(method), (*cells, *(_score(own.loc[name]) if name in own.index else EMPTY for name in protocols)))


def _score(row: pd.Series) -> Cell:
    # One subject has no standard deviation.
    deviation = row["standard_deviation"]
    spread = f" ± {percent(deviation)}" if np.isfinite(deviation) else ""
    details = [f"{percent(row['low'])} – {percent(row['high'])}"] if np.isfinite(row["low"]) else []
    if row["metric"] == "accuracy" and np.isfinite(row["p_value_holm"]):
        details.append(shown_p_value(row["p_value_holm"]))
    return Cell(f"{percent(row['mean'])}{spread}", ", ".join(details))


def _references(rows: pd.DataFrame, protocols: Sequence[str], has_print: bool) -> list[Row]:
    """Baselines of the reference method, for comparison with the accuracies."""
    own = rows.set_index("protocol")
    empty = [Cell("")] if has_print else []

    def row(label: str, shown) -> Row:
        cells = [shown(own.loc[name]) if name in own.index else EMPTY for name in protocols]
        return Row(label, (*empty, *cells), is_reference=True)

    def share(column: str):
        return lambda one: EMPTY if np.isnan(one[column]) else Cell(percent(one[column]))

    found = [row("majority class of training", share("majority"))]
    if own["knows_stimulus"].notna().any():
        found.append(row("knows the stimulus", share("knows_stimulus")))
    band = row("chance, 95 % band", lambda one: Cell(f"{percent(one['chance_low'])} – {percent(one['chance_high'])}"))
    return [*found, band]


def _flags(runs: Mapping[str, RunFolder]) -> dict[str, list[str]]:
    """Flags of the protocols of runs, by the names of the protocols."""
    definitions: list[dict[str, Any]] = [
        one for folder in runs.values() for one in folder.config["science"]["protocols"]
    ]
    return {one["name"]: one["flags"] for one in definitions if one["flags"]}
