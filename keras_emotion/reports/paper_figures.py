"""Figures of papers, drawn from a finished run, with their numbers as tables."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import matplotlib.style
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from keras_emotion.reports.figures import (
    COLOURS,
    STYLE,
    Picture,
    draw_band_attention,
    draw_confusions,
    picture,
)
from keras_emotion.reports.numbers import BAND_ATTENTION, RunNumbers


@dataclasses.dataclass(frozen=True, eq=False)
class Drawing:
    """Picture of a figure, with its numbers.

    Args:
        picture: the picture.
        table: the numbers in it.
        part: name of the part of a figure with several pictures; part of the file name.
    """

    picture: Picture
    table: pd.DataFrame
    part: str = ""


def draw_subject_accuracies(numbers: RunNumbers, printed: pd.DataFrame | None, number: str) -> Drawing:
    """Draw the accuracy of each subject as bars, one panel for each protocol, and the printed mean as a line.

    Args:
        numbers: scores of the run.
        printed: rows of `paper_numbers` of the same dataset; the first accuracy of each target is used. `None` for
            none.
        number: number of the figure in the paper.

    Returns:
        The picture, and for each bar `protocol`, `target`, `subject`, `accuracy`, `majority` (shares) and
        `printed_mean` (percent; NaN where none is printed).
    """
    rows, lines = [], ""
    for target, subjects in numbers.evaluated.items():
        own = None if printed is None else printed[(printed["target"] == target) & (printed["metric"] == "accuracy")]
        mean = np.nan
        if own is not None and len(own):
            mean = own["value"].iloc[0]
            source = f"table {own['table'].iloc[0]}, {own['variant'].iloc[0]}"
            lines = f"; lines of the same colour: mean over subjects as printed in the paper ({source})"
        for protocol in numbers.protocols_of(target):
            accuracy = numbers.by_subject(protocol, target, "accuracy")
            majority = numbers.by_subject(protocol, target, "majority_accuracy")
            rows += [(protocol, target, name, accuracy[name], majority[name], mean) for name in subjects]
    table = pd.DataFrame(rows, columns=["protocol", "target", "subject", "accuracy", "majority", "printed_mean"])
    with matplotlib.style.context(["default", STYLE]):
        drawn = picture(
            f"figure{number}",
            f"{numbers.title_of_dataset}: accuracy of each subject, figure {number} of the paper",
            numbers.mark,
            f"Bars: mean over folds and repetitions of one subject{lines}. Black dashes: majority class of the "
            f"training set. Scored by {numbers.scored_unit}. {_flags(numbers)}",
            _subject_accuracies(table),
        )
    return Drawing(drawn, table)


def _subject_accuracies(table: pd.DataFrame) -> Figure:
    protocols, targets = (list(dict.fromkeys(table[name])) for name in ("protocol", "target"))
    subjects = list(dict.fromkeys(table["subject"]))
    width = min(14, max(5.5, 1.6 + 0.36 * len(subjects)))
    figure = Figure(figsize=(width, 1.1 + 2.1 * len(protocols)), layout="constrained")
    panels = figure.subplots(len(protocols), 1, sharex=True, squeeze=False)[:, 0]
    bar = 0.8 / len(targets)
    for axes, protocol in zip(panels, protocols, strict=True):
        for index, target in enumerate(targets):
            own = table[(table["protocol"] == protocol) & (table["target"] == target)].set_index("subject")
            x = np.array([subjects.index(name) for name in own.index]) + (index - (len(targets) - 1) / 2) * bar
            colour = COLOURS[index % len(COLOURS)]
            axes.bar(x, 100 * own["accuracy"], 0.92 * bar, color=colour)
            axes.hlines(100 * own["majority"], x - 0.46 * bar, x + 0.46 * bar, color="black", linewidth=1.2)
            if len(own) and np.isfinite(own["printed_mean"].iloc[0]):
                axes.axhline(own["printed_mean"].iloc[0], color=colour, linestyle="--", linewidth=1)
        axes.set_title(protocol, loc="left")
        axes.set(ylabel="accuracy (%)", ylim=(0, 105))
        axes.grid(axis="y")
    longest = max(map(len, map(str, subjects)))
    panels[-1].set_xticks(range(len(subjects)), subjects, rotation=90 if longest > 4 and len(subjects) > 6 else 0)
    panels[-1].set_xlabel("subject")
    handles = [
        Line2D([], [], marker="s", linestyle="", color=COLOURS[index % len(COLOURS)], label=target)
        for index, target in enumerate(targets)
    ]
    if table["printed_mean"].notna().any():
        handles.append(Line2D([], [], color="#555555", linestyle="--", linewidth=1, label="mean as printed"))
    handles.append(Line2D([], [], color="black", linewidth=1.2, label="majority class of training"))
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles) if width > 7 else 2)
    return figure


def draw_confusion_matrices(numbers: RunNumbers, number: str) -> Sequence[Drawing]:
    """Draw the confusion matrices of a run, one picture for each target with one panel for each protocol.

    Args:
        numbers: scores of the run.
        number: number of the figure in the paper.

    Returns:
        The pictures, each with a row for each cell: `protocol`, `target`, `label`, `prediction`, `count`, `share` (of
        the label; NaN for a class without any label).
    """
    drawings = []
    for target in numbers.evaluated:
        names = numbers.class_names[target]
        rows = []
        for protocol in numbers.protocols_of(target):
            counts = numbers.confusion[protocol, target]
            for (label, prediction), count in np.ndenumerate(counts):
                total = counts[label].sum()
                share = count / total if total else np.nan
                rows.append((protocol, target, names[label], names[prediction], int(count), share))
        table = pd.DataFrame(rows, columns=["protocol", "target", "label", "prediction", "count", "share"])
        with matplotlib.style.context(["default", STYLE]):
            drawn = picture(
                f"figure{number}",
                f"{numbers.title_of_dataset}: confusion matrix, {target}, figure {number} of the paper",
                numbers.mark,
                "Share of the windows of each label with each prediction, and their number; all subjects, folds and "
                f"repetitions together. {_flags(numbers)}",
                draw_confusions(numbers, target),
            )
        drawings.append(Drawing(drawn, table, target))
    return drawings


def draw_mean_band_attention(numbers: RunNumbers, results: pd.DataFrame, number: str, remarks: str) -> Drawing:
    """Draw the mean attention to each band, one panel for each target, with a dot for each trained network.

    Args:
        numbers: scores of a run with recorded band attention.
        results: the results table of the run.
        number: number of the figure in the paper.
        remarks: further sentences of the caption.

    Returns:
        The picture, and for each network and band `protocol`, `target`, `subject`, `repetition`, `fold`, `band` and
        `weight`, the mean over steps and test windows.
    """
    networks = results[results["metric"].str.startswith(BAND_ATTENTION)]
    networks = networks.assign(band=networks["metric"].str.removeprefix(BAND_ATTENTION), weight=networks["value"])
    # The evaluated subjects, as for the bars.
    keys = ["protocol", "target", "subject"]
    compared = pd.MultiIndex.from_frame(numbers.band_attention[keys].astype(str))
    networks = networks[pd.MultiIndex.from_frame(networks[keys].astype(str)).isin(compared)]
    networks = networks[[*keys, "repetition", "fold", "band", "weight"]].reset_index(drop=True)
    with matplotlib.style.context(["default", STYLE]):
        drawn = picture(
            f"figure{number}",
            f"{numbers.title_of_dataset}: mean attention to each band, figure {number} of the paper",
            numbers.mark,
            "Bars: mean of the weights that the trained networks give each band, over the steps of a window, the test "
            "windows, the folds, and then the subjects; error bars: standard deviation over subjects. Dots: each "
            f"trained network (one for each fold), mean over steps and test windows. {remarks}",
            draw_band_attention(numbers, networks),
        )
    return Drawing(drawn, networks)


def draw_electrode_grid(
    cells: Mapping[str, tuple[int, int]], shape: tuple[int, int], title: str, number: str
) -> Drawing:
    """Draw electrodes in the cells of a grid.

    Args:
        cells: row and column of each electrode, from 0.
        shape: rows and columns of the grid.
        title: title of the figure.
        number: number of the figure in the paper.

    Returns:
        The picture, and for each electrode `electrode`, `row`, `column`.
    """
    n_rows, n_columns = shape
    table = pd.DataFrame([(name, *place) for name, place in cells.items()], columns=["electrode", "row", "column"])
    with matplotlib.style.context(["default", STYLE]):
        figure = Figure(figsize=(0.5 * n_columns + 0.6, 0.5 * n_rows + 0.8), layout="constrained")
        axes = figure.subplots()
        is_used = np.zeros(shape)
        for name, (row, column) in cells.items():
            is_used[row, column] = 1
            axes.text(column, row, name, ha="center", va="center", fontsize=8)
        axes.imshow(is_used, cmap="Blues", vmin=0, vmax=3)
        for (row, column), used in np.ndenumerate(is_used):
            if not used:
                axes.text(column, row, "0", ha="center", va="center", fontsize=7, color="#999999")
        axes.set_xticks(range(n_columns), list(map(str, range(1, n_columns + 1))))
        axes.set_yticks(range(n_rows), list(map(str, range(1, n_rows + 1))))
        axes.set_xticks(np.arange(n_columns + 1) - 0.5, minor=True)
        axes.set_yticks(np.arange(n_rows + 1) - 0.5, minor=True)
        axes.grid(which="minor", color="#BBBBBB")
        axes.tick_params(which="both", length=0)
        axes.spines[:].set_visible(False)
        caption = f"{len(cells)} electrodes; the front of the head is at the top. Cells without an electrode are 0."
        drawn = picture(f"figure{number}", title, "", caption, figure)
    return Drawing(drawn, table)


def _flags(numbers: RunNumbers) -> str:
    flagged = {name: one["flags"] for name, one in numbers.protocols.items() if one["flags"]}
    return " ".join(f"{name}: {'; '.join(flags)}." for name, flags in flagged.items())
