"""Figures of reports, drawn without changing the global settings of matplotlib."""

from __future__ import annotations

import base64
import dataclasses
import io
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import matplotlib.style
import matplotlib.ticker
import numpy as np
import pandas as pd
import PIL.Image
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from keras_emotion.evaluation import PROTOCOLS
from keras_emotion.file_names import word_file_name
from keras_emotion.reports.methods import METRIC_NAMES, MethodTable
from keras_emotion.reports.numbers import ENOUGH_SUBJECTS, RunNumbers, band_order
from keras_emotion.reports.references import draw_references, reference_caption, reference_handles
from keras_emotion.reports.summary_text import attention_in_words, recalls_in_words
from keras_emotion.reports.tables import join, printed_numbers, shown_p_value
from keras_emotion.schema import InputError

# Colours of Okabe and Ito, distinct for all kinds of colour vision; markers differ too, for print in grey.
COLOURS = ("#D55E00", "#CC79A7", "#0072B2", "#E69F00", "#009E73", "#56B4E9")
MARKERS = ("o", "D", "s", "v", "^", "P")
_WARNING = "#8A3C00"
_CHARACTERS_PER_INCH = 12
"""Of a title: longer ones are broken."""


STYLE = {
    "figure.dpi": 150,
    "savefig.dpi": 150,
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    # Names of targets and classes may contain dollar signs.
    "text.parse_math": False,
}


@dataclasses.dataclass(frozen=True, eq=False)
class Picture:
    """Figure of a report.

    Args:
        name: file name without extension.
        title: title of the figure, with the dataset and the warning of synthetic data.
        caption: how to read it.
        figure: the figure.
        png: the figure as a PNG file of 150 dpi with title and caption, without date or software.
        content: the content in words, for the alternative text; by default empty.
    """

    name: str
    title: str
    caption: str
    figure: Figure
    png: bytes
    content: str = ""


def draw(numbers: RunNumbers, paper: pd.DataFrame | None, published: pd.DataFrame) -> list[Picture]:
    """Draw all figures of a run: overview, subjects, confusion matrices of each target, band attention if recorded.

    Args:
        numbers: of the run.
        paper: rows of `paper_numbers`; `None` for none.
        published: published accuracies, rows of `references_of`.
    """
    with matplotlib.style.context(["default", STYLE]):
        return [
            dataclasses.replace(
                picture(name, f"{numbers.title_of_dataset}: {what}", numbers.mark, caption, figure), content=content
            )
            for name, what, caption, figure, content in _figures(numbers, paper, published)
        ]


def draw_comparison(runs: Mapping[str, RunNumbers]) -> Picture:
    """Draw the accuracies of the same subjects in several runs, side by side.

    Args:
        runs: numbers of each run by its label, of the same dataset and the same subjects of each target.
    """
    one = next(iter(runs.values()))
    with matplotlib.style.context(["default", STYLE]):
        return picture(
            "comparison",
            f"{one.title_of_dataset}: accuracy of the same subjects in {len(runs)} runs",
            one.mark,
            "Small dots: subjects, joined by a line from run to run; large marker: their mean. Grey: the middle 95 % "
            "of the mean accuracies under label permutation. Line: majority class of the training set. Scored by "
            f"{one.scored_unit}.",
            _comparison(runs),
        )


def draw_methods(table: MethodTable, metric: str, of: str) -> Picture:
    """Draw the scores of several methods as bars, one panel for each target, with the printed numbers.

    Args:
        table: scores of the methods.
        metric: the score to draw.
        of: the table or figure of the paper, for the title (`"figure 6 of the paper"`).
    """
    with matplotlib.style.context(["default", STYLE]):
        return picture(
            "methods",
            f"{table.title}: {METRIC_NAMES.get(metric, metric)}, {of}",
            table.mark,
            "Bar: mean over subjects, with the standard deviation over subjects. Black line: the printed number, "
            "if there is one. Dashed: chance, the upper end of the 95 % band of the accuracies of "
            f"{_references(table, table.rows['protocol'])}.",
            _methods(table, metric),
        )


def draw_audit(scores: pd.DataFrame, null: pd.DataFrame, dataset: str, mark: str) -> Picture:
    """Draw the accuracies of models trained on permuted labels, and that with the real labels.

    Args:
        scores: `Audit.scores` of the protocols, targets and models with label permutations.
        null: `Audit.null`.
        dataset: name of the dataset as written in titles.
        mark: warning of synthetic data, or empty.
    """
    with matplotlib.style.context(["default", STYLE]):
        return picture(
            "audit",
            f"{dataset}: accuracy of models trained on permuted labels",
            mark,
            "Grey: null distribution, the mean accuracies over subjects of models trained on permuted labels. Line: "
            "with the real labels; dotted: the best constant. If the null distribution lies far right of the dotted "
            "line, the protocol leaks; a line within it is no evidence of emotion.",
            _audit(scores, null),
        )


def _audit(scores: pd.DataFrame, null: pd.DataFrame) -> Figure:
    figure = Figure(figsize=(7.2, 0.9 + 1.05 * len(scores)), layout="constrained")
    axes = figure.subplots(len(scores), 1, sharex=True, squeeze=False)[:, 0]
    bins = np.linspace(0, 1, 101)
    keys = ["protocol", "target", "model"]
    for ax, (_, row) in zip(axes, scores.iterrows(), strict=True):
        own = null[(null[keys] == row[keys]).all(axis=1) & (null["permutation"] > 0)]
        ax.hist(own["score"], bins=bins, color="#8A8A8A", edgecolor="white", linewidth=0.3)
        ax.axvline(row["score"], color=COLOURS[0], linewidth=2)
        ax.axvline(row["constant"], color="black", linewidth=1, linestyle=":")
        ax.set_title(
            f"{row['protocol']}, {row['target']}, {row['model']}: real {row['score']:.1%}, permuted "
            f"{row['null_mean']:.1%}, {shown_p_value(row['p_value'])}",
            loc="left",
        )
        ax.set_yticks([])
        ax.spines["left"].set_visible(False)
    axes[-1].set_xlim(0, 1)
    axes[-1].set_xlabel("accuracy, mean over subjects")
    axes[-1].xaxis.set_major_formatter(matplotlib.ticker.PercentFormatter(1.0))
    return figure


def picture(name: str, title: str, mark: str, caption: str, figure: Figure) -> Picture:
    """Add a title to a figure, and save it as a PNG file with title and caption in its metadata."""
    _set_title(figure, title, mark)
    title = f"{title} ({mark})" if mark else title
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None, "Title": title, "Description": caption})
    return Picture(name, title, caption, figure, buffer.getvalue())


def page_picture(picture: Picture) -> dict[str, str]:
    """Convert a picture to the fields of the page templates: `title`, `caption`, `alt` and `png` (base64)."""
    alt = f"{picture.title}. {picture.content}" if picture.content else picture.title
    png = base64.b64encode(picture.png).decode()
    return {"title": picture.title, "caption": picture.caption, "alt": alt, "png": png}


def described_pictures(folder: Path) -> Iterator[dict[str, str]]:
    """Read the pictures in a folder that `picture` saved, sorted by name; see `page_picture`.

    Args:
        folder: the folder; subfolders are ignored.

    Raises:
        InputError: a PNG file cannot be read.
    """
    for file in sorted(folder.glob("*.png")):
        try:
            with PIL.Image.open(file) as image:
                said = image.info
            content = file.read_bytes()
        except OSError as error:
            raise InputError(f"{file}: not a readable PNG file ({error}); expected a figure; delete the file") from None
        if "Title" in said and "Description" in said:
            png = base64.b64encode(content).decode()
            yield {"title": said["Title"], "caption": said["Description"], "alt": said["Title"], "png": png}


def _figures(
    numbers: RunNumbers, paper: pd.DataFrame | None, published: pd.DataFrame
) -> Iterator[tuple[str, str, str, Figure, str]]:
    unit = f"Scored by {numbers.scored_unit}."
    flags = "".join(
        f" {name}: {', '.join(protocol['flags'])}." for name, protocol in numbers.protocols.items() if protocol["flags"]
    )
    yield (
        "overview",
        "accuracy by protocol",
        "Dot: mean over subjects, with a 95 % bootstrap interval where there are ten subjects or more, else with the "
        "subjects as small dots below it. Grey: the middle 95 % of the accuracies under label permutation. "
        f"Line: majority class of the training set. Paper: mean ± standard deviation as printed. {unit}{flags}"
        f"{reference_caption(published, numbers.mark)}",
        _overview(numbers, paper, published),
        "",
    )
    yield (
        "accuracy_by_subject",
        "accuracy of each subject",
        "One column for each subject, one marker for each protocol; dashes: the majority class of the training set, "
        f"by protocol. {unit}",
        _accuracy_by_subject(numbers),
        "The numbers are in the table of subjects.",
    )
    for target in numbers.evaluated:
        yield (
            f"confusion_{word_file_name(target)}",
            f"confusion matrix, {target}",
            "Share of the windows of each label with each prediction, and their number; all subjects, folds and "
            "repetitions together.",
            draw_confusions(numbers, target),
            recalls_in_words(numbers, target),
        )
    if len(numbers.band_attention):
        yield (
            "band_attention",
            "mean attention to each band",
            "Weights over the test windows, mean over folds and then over subjects; bars: standard deviation "
            "over subjects. 0.5: no preference.",
            draw_band_attention(numbers),
            attention_in_words(numbers),
        )


def _methods(table: MethodTable, metric: str) -> Figure:
    rows = table.rows[table.rows["metric"] == metric]
    targets, protocols, methods = (list(dict.fromkeys(rows[name])) for name in ("target", "protocol", "method"))
    figure_width = max(6.5, 1.1 * len(methods) + 1.5)
    column_inches = (figure_width - 1) / len(methods)
    labels = [textwrap.fill(method, max(9, int(_CHARACTERS_PER_INCH * column_inches))) for method in methods]
    # A further line is 0.16 inches high.
    height = 0.9 + 2.4 * len(targets) + 0.16 * max(label.count("\n") for label in labels)
    figure = Figure(figsize=(figure_width, height), layout="constrained")
    panels = figure.subplots(len(targets), 1, sharex=True, squeeze=False)[:, 0]
    for axes, target in zip(panels, targets, strict=True):
        of_target = rows[rows["target"] == target]
        # Not every method of a table has every protocol: bars of a method lie side by side.
        own_protocols = {
            name: [*dict.fromkeys(of_target.loc[of_target["method"] == name, "protocol"])] for name in methods
        }
        width = 0.8 / max(map(len, own_protocols.values()))
        for number, protocol in enumerate(protocols):
            own = of_target[of_target["protocol"] == protocol].set_index("method")
            if own.empty:
                continue
            slots = [
                (methods.index(name), own_protocols[name].index(protocol), len(own_protocols[name]))
                for name in own.index
            ]
            places = np.array([place + (slot - (count - 1) / 2) * width for place, slot, count in slots])
            colour = COLOURS[number % len(COLOURS)]
            # One subject has no standard deviation.
            spread = 100 * own["standard_deviation"].fillna(0)
            axes.bar(places, 100 * own["mean"], 0.9 * width, yerr=spread, capsize=2, color=colour, label=protocol)
            if metric == "accuracy":
                chance = 100 * own.loc[table.reference_of(protocol), "chance_high"]
                ends = min(slots)[0] - 0.5, max(slots)[0] + 0.5
                axes.plot(ends, (chance, chance), color=colour, linestyle="--", linewidth=0.8)
        for name, value in of_target.groupby("method")["printed"].first().items():
            if np.isfinite(value):
                place = methods.index(name)
                axes.hlines(value, place - 0.45, place + 0.45, color="black", linewidth=1.5)
        axes.set_title(target, loc="left")
        axes.set(ylabel=f"{METRIC_NAMES.get(metric, metric)} (%)", ylim=(0, 105))
        axes.grid(axis="y")
    panels[-1].set_xticks(range(len(methods)), labels)
    drawn = {name: bars for axes in panels for bars, name in zip(*axes.get_legend_handles_labels(), strict=True)}
    names, handles = list(drawn), list(drawn.values())
    if np.isfinite(rows["printed"]).any():
        handles.append(Line2D([], [], color="black", linewidth=1.5))
        names.append("paper")
    if metric == "accuracy":
        handles.append(Line2D([], [], color="#555555", linestyle="--", linewidth=0.8))
        names.append(f"chance, {_references(table, protocols)}: upper end of the 95 % band")
    # Two columns if the longest two entries fit side by side.
    inches = 0.07 * sum(sorted(map(len, names))[-2:]) + 1.2
    figure.legend(handles, names, loc="outside lower center", ncols=2 if inches < figure.get_figwidth() else 1)
    return figure


def _references(table: MethodTable, protocols: Iterable[str]) -> str:
    """Methods whose predictions give the chance bands of some protocols."""
    return join(dict.fromkeys(map(table.reference_of, dict.fromkeys(protocols))))


def _overview(numbers: RunNumbers, paper: pd.DataFrame | None, published: pd.DataFrame) -> Figure:
    printed = printed_numbers(numbers, paper)
    targets = list(numbers.evaluated)
    has_paper = any((target, "accuracy") in printed for target in targets)
    names = [*(["paper"] if has_paper else []), *numbers.protocols]
    figure = Figure(figsize=(7.5, 1.3 + len(targets) * (0.5 + 0.42 * len(names))), layout="constrained")
    rows = figure.subplots(len(targets), 1, sharex=True, squeeze=False)[:, 0]
    for axes, target in zip(rows, targets, strict=True):
        for place, name in enumerate(names):
            if name == "paper":
                row = printed.get((target, "accuracy"))
                if row is not None:
                    spread = None if np.isnan(row.standard_deviation) else row.standard_deviation
                    axes.errorbar(row.value, place, xerr=spread, fmt="*", color="black", markersize=9, capsize=3)
                    _write_beside(axes, row.value + (spread or 0), place, f"{row.value:.2f}")
                continue
            _overview_row(axes, numbers, target, name, place)
            draw_references(axes, published, name, target, place)
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(len(names) - 0.4, -0.6)
        axes.set_title(_with_subjects(numbers, target), loc="left")
        axes.grid(axis="x")
        axes.tick_params(axis="y", length=0)
    rows[-1].set_xlabel("accuracy (%)")
    low = min(axes.get_xlim()[0] for axes in rows)
    rows[-1].set_xlim(max(0, 10 * np.floor(low / 10)), 107)
    rows[-1].set_xticks([tick for tick in range(0, 101, 10) if tick >= rows[-1].get_xlim()[0]])
    figure.legend(
        handles=[
            Line2D([], [], marker="o", color="#555555", label="mean over subjects"),
            Patch(color="#CCCCCC", label="chance, 95 % band"),
            Line2D([], [], marker="|", color="black", linestyle="", markersize=11, label="majority class of training"),
            *reference_handles(published),
        ],
        loc="outside lower center",
        ncols=2 + published.empty,
    )
    return figure


def _overview_row(axes, numbers: RunNumbers, target: str, protocol: str, place: int) -> None:
    accuracy = numbers.overall(protocol, target, "accuracy")
    if accuracy is None:
        return
    colour, marker = _look(numbers, protocol)
    low, high = 100 * accuracy["chance_low"], 100 * accuracy["chance_high"]
    axes.barh(place, high - low, left=low, height=0.62, color="#CCCCCC")
    majority = 100 * numbers.row(protocol, target, "majority_accuracy")["mean"]
    axes.plot(majority, place, marker="|", color="black", markersize=15, markeredgewidth=1.6)
    mean = end = 100 * accuracy["mean"]
    if accuracy["n_subjects"] < ENOUGH_SUBJECTS:
        values = 100 * numbers.by_subject(protocol, target, "accuracy")
        axes.plot(values, np.full(len(values), place + 0.22), ".", color=colour, markersize=4)
        interval = None
    else:
        end = 100 * accuracy["confidence_high"]
        interval = [[mean - 100 * accuracy["confidence_low"]], [end - mean]]
    axes.errorbar(mean, place, xerr=interval, fmt=marker, color=colour, markersize=7, capsize=3)
    _write_beside(axes, max(end, high, majority), place, f"{mean:.1f}")


def _accuracy_by_subject(numbers: RunNumbers) -> Figure:
    targets = list(numbers.evaluated)
    most = max(map(len, numbers.evaluated.values()))
    longest = max(len(subject) for subjects in numbers.evaluated.values() for subject in subjects)
    width = min(14, max(5.5, 1.8 + 0.3 * most))
    figure = Figure(figsize=(width, 1.2 + 2.1 * len(targets)), layout="constrained")
    rows = figure.subplots(len(targets), 1, squeeze=False)[:, 0]
    n_protocols = len(numbers.protocols)
    for axes, target in zip(rows, targets, strict=True):
        subjects = numbers.evaluated[target]
        for index, protocol in enumerate(numbers.protocols_of(target)):
            colour, marker = _look(numbers, protocol)
            x = np.arange(len(subjects)) + (index - (n_protocols - 1) / 2) * 0.6 / n_protocols
            accuracy = 100 * numbers.by_subject(protocol, target, "accuracy")
            majority = 100 * numbers.by_subject(protocol, target, "majority_accuracy")
            axes.plot(x, majority, linestyle="", marker="_", color=colour, markersize=8, markeredgewidth=1.4)
            axes.plot(x, accuracy, linestyle="", marker=marker, color=colour, markersize=5)
        crowded = 0.09 * (longest + 1) * most > width - 1
        axes.set_xticks(range(len(subjects)), subjects, rotation=90 if crowded else 0)
        axes.set_xlim(-0.6, len(subjects) - 0.4)
        axes.set_ylim(min(40, axes.get_ylim()[0]), 102)
        axes.set_title(_with_subjects(numbers, target), loc="left")
        axes.set_ylabel("accuracy (%)")
        axes.grid(axis="y")
    rows[-1].set_xlabel("subject")
    handles = [_handle(numbers, protocol) for protocol in numbers.protocols]
    handles.append(
        Line2D([], [], marker="_", color="#555555", linestyle="", markersize=9, label="majority class of training")
    )
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles) if width > 7 else 2)
    return figure


def draw_confusions(numbers: RunNumbers, target: str) -> Figure:
    """Draw the confusion matrices of a target, one panel for each protocol, without a title."""
    protocols = numbers.protocols_of(target)
    names = numbers.class_names[target]
    side = max(1.7, 0.62 * len(names))
    longest = 0.085 * max(map(len, names))
    crowded = longest > 0.9 * side / len(names)
    size = (max(4.6, 1.6 + longest + (side + 0.25) * len(protocols)), side + 1.3 + (longest if crowded else 0.2))
    figure = Figure(figsize=size, layout="compressed")
    panels = figure.subplots(1, len(protocols), squeeze=False, sharey=True)[0]
    for axes, protocol in zip(panels, protocols, strict=True):
        counts = numbers.confusion[protocol, target]
        totals = counts.sum(axis=1, keepdims=True)
        # A class without any label has no shares.
        shares = np.divide(counts, totals, out=np.full(counts.shape, np.nan), where=totals > 0)
        image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for (row, column), share in np.ndenumerate(shares):
            text = "–" if np.isnan(share) else f"{share:.0%}\n{counts[row, column]:,}"
            colour = "white" if share > 0.6 else "black"
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=7.5)
        axes.set_xticks(range(len(names)), names, rotation=90 if crowded else 0)
        axes.set_yticks(range(len(names)), names)
        axes.set_xlabel("prediction")
        axes.set_title(protocol)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
    panels[0].set_ylabel("label")
    bar = figure.colorbar(image, ax=panels, shrink=0.85, aspect=18)
    bar.set_label("share of the label")
    bar.outline.set_visible(False)
    return figure


def draw_band_attention(numbers: RunNumbers, networks: pd.DataFrame | None = None) -> Figure:
    """Draw the mean attention to each band, one panel for each target, without a title.

    Args:
        numbers: scores of the run.
        networks: for each trained network `protocol`, `target`, `band` and `weight`, drawn as dots; `None` for none.
    """
    table = numbers.band_attention
    targets = [target for target in numbers.evaluated if target in set(table["target"])]
    bands = band_order(table["band"].unique())
    figure = Figure(figsize=(max(5.0, 1.5 + 2.9 * len(targets)), 3.4), layout="constrained")
    panels = figure.subplots(1, len(targets), squeeze=False, sharey=True)[0]
    width = 0.8 / len(numbers.protocols)
    for axes, target in zip(panels, targets, strict=True):
        for index, protocol in enumerate(numbers.protocols_of(target)):
            colour, _ = _look(numbers, protocol)
            rows = table[(table["protocol"] == protocol) & (table["target"] == target)]
            if rows.empty:
                continue
            weights = rows.pivot(index="subject", columns="band", values="value").reindex(columns=bands)
            x = np.arange(len(bands)) + (index - (len(numbers.protocols) - 1) / 2) * width
            spread = weights.std(ddof=1) if len(weights) > 1 else None
            axes.bar(x, weights.mean(), width * 0.92, color=colour, yerr=spread, capsize=2, error_kw={"linewidth": 0.9})
            if networks is not None:
                own = networks[(networks["protocol"] == protocol) & (networks["target"] == target)]
                places = own["band"].map(dict(zip(bands, x, strict=True))) + 0.3 * width
                axes.plot(places, own["weight"], ".", color="black", markersize=3, alpha=0.6)
            for place, value in zip(x, weights.mean(), strict=True):
                axes.text(place, 0.02, f"{value:.2f}", ha="center", color="white", fontsize=7, rotation=90)
        axes.set_xticks(range(len(bands)), bands)
        axes.set_ylim(0, 1)
        axes.set_title(_with_subjects(numbers, target), loc="left")
        axes.grid(axis="y")
    panels[0].set_ylabel("attention weight")
    handles = [Patch(color=_look(numbers, protocol)[0], label=protocol) for protocol in numbers.protocols]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure


def _comparison(runs: Mapping[str, RunNumbers]) -> Figure:
    targets = list(dict.fromkeys(target for numbers in runs.values() for target in numbers.evaluated))
    protocols = list(dict.fromkeys(name for numbers in runs.values() for name in numbers.protocols))
    labels = [label.replace(" ", "\n") for label in runs]
    longest = max(len(line) for label in labels for line in label.split("\n"))
    panel_width = 0.6 + len(runs) * max(0.8, 0.085 * longest)
    size = (max(6.5, 0.8 + len(protocols) * panel_width), 1.4 + 2.6 * len(targets))
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(len(targets), len(protocols), squeeze=False, sharey=True)
    for row, target in zip(panels, targets, strict=True):
        for axes, protocol in zip(row, protocols, strict=True):
            _comparison_panel(axes, list(runs.values()), target, protocol)
            axes.set_xticks(range(len(runs)), labels)
            axes.set_xlim(-0.6, len(runs) - 0.4)
            axes.set_title(protocol, loc="left")
            axes.grid(axis="y")
        of_target = next(numbers for numbers in runs.values() if target in numbers.evaluated)
        row[0].set_ylabel(f"{_with_subjects(of_target, target)}\naccuracy (%)")
    panels[0, 0].set_ylim(max(0, panels[0, 0].get_ylim()[0]), 104)
    figure.legend(
        handles=[
            Line2D([], [], marker="o", color="#555555", linestyle="", markersize=7, label="mean over subjects"),
            Line2D([], [], marker=".", color="#999999", linewidth=0.7, label="a subject"),
            Patch(color="#DDDDDD", label="chance, 95 % band"),
            Line2D([], [], marker="_", color="black", linestyle="", markersize=11, label="majority class of training"),
        ],
        loc="outside lower center",
        ncols=4 if size[0] > 8 else 2,
    )
    return figure


def _comparison_panel(axes, runs: Sequence[RunNumbers], target: str, protocol: str) -> None:
    there = [place for place, numbers in enumerate(runs) if numbers.overall(protocol, target, "accuracy") is not None]
    if not there:
        return
    colour, marker = _look(runs[there[0]], protocol)
    values = np.array([100 * runs[place].by_subject(protocol, target, "accuracy") for place in there])
    axes.plot(there, values, ".-", color=colour, alpha=0.45, linewidth=0.7, markersize=5)
    for place in there:
        accuracy = runs[place].row(protocol, target, "accuracy")
        low, high = 100 * accuracy["chance_low"], 100 * accuracy["chance_high"]
        axes.bar(place, high - low, 0.6, bottom=low, color="#DDDDDD")
        majority = 100 * runs[place].row(protocol, target, "majority_accuracy")["mean"]
        axes.plot(place, majority, marker="_", color="black", markersize=18, markeredgewidth=1.4)
        mean = 100 * accuracy["mean"]
        axes.plot(place, mean, marker=marker, color=colour, markersize=8)
        # Beside the lines that join the runs, if there is room.
        side = -1 if place == there[0] and len(there) > 1 else 1
        axes.annotate(
            f"{mean:.1f}",
            (place, mean),
            xytext=(9 * side, 0),
            textcoords="offset points",
            ha="right" if side < 0 else "left",
            va="center",
            fontsize=8,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 0.6},
        )


def _set_title(figure: Figure, title: str, mark: str) -> None:
    title = textwrap.fill(title, max(20, int(_CHARACTERS_PER_INCH * figure.get_figwidth())))
    figure.suptitle(f"{title}\n{mark}" if mark else title, fontsize=10.5, color=_WARNING if mark else "black")


def _look(numbers: RunNumbers, protocol: str) -> tuple[str, str]:
    """Colour and marker of a protocol: the same in all runs, unless another protocol of the run has them already."""
    places: dict[str, int] = {}
    for name in numbers.protocols:
        wished = list(dict.fromkeys([*PROTOCOLS, *numbers.protocols])).index(name) % len(COLOURS)
        free = ((wished + step) % len(COLOURS) for step in range(len(COLOURS)))
        places[name] = next((place for place in free if place not in places.values()), wished)
    return COLOURS[places[protocol]], MARKERS[places[protocol]]


def _handle(numbers: RunNumbers, protocol: str) -> Line2D:
    colour, marker = _look(numbers, protocol)
    return Line2D([], [], marker=marker, color=colour, linestyle="", label=protocol)


def _with_subjects(numbers: RunNumbers, target: str) -> str:
    count = len(numbers.evaluated[target])
    return f"{target}, {count} subject{'' if count == 1 else 's'}"


def _write_beside(axes, x: float, y: float, text: str) -> None:
    axes.annotate(text, (x, y), xytext=(6, 0), textcoords="offset points", va="center", fontsize=8)
