"""Page of an experiment on continuous ratings: table of scores, and plots of some predictions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from keras_emotion.evaluation import BASELINES, PREDICTION, RATING

COLUMNS = (
    "protocol",
    "model",
    "subjects",
    "concordance",
    "95 %",
    "correlation",
    "within trials",
    "error",
    "p order",
    "p stimulus",
)
"""Columns of the table of scores."""

LEGEND = (
    "concordance, correlation (Pearson's r) and error (root mean squared, on the scale of the rating) over all test "
    "steps of a subject; within trials: the correlation in each trial; means over subjects, with the 95 % interval of "
    "the concordance. p: paired t-test of the concordance over subjects, against order alone and against knows the "
    "stimulus. Baseline models without any signal: mean, order alone (mean rating at the same time since the onset) "
    "and knows the stimulus (the same, of the training trials with that stimulus). last value uses the previous rating "
    "of the test trial and is not a method. The training mean of a fold is low if its test trials are high, so that "
    "over all folds its correlation may be below 0."
)


BRIEF_LEGEND = (
    "Mean over subjects of the concordance over all test steps of a subject, with its 95 % interval. p: paired t-test "
    "over subjects against two baseline models without any signal: order alone (mean rating at the same time since the "
    "onset) and knows the stimulus (the same, of the training trials with that stimulus)."
)
"""How to read the brief table."""

_BRIEF = ("concordance", "95 %", "within trials", "p order", "p stimulus")


def summary_blocks(summary: pd.DataFrame) -> tuple[list[str], dict[str, list[tuple[str, list[str]]]]]:
    """Headings and lines of the brief table by protocol, see `keras_emotion.reports.terminal.block_table`.

    Args:
        summary: of `continuous_summary`.
    """
    places = [COLUMNS.index(name) for name in _BRIEF]
    blocks: dict[str, list[tuple[str, list[str]]]] = {}
    for protocol, model, n_subjects, *cells in summary_rows(summary):
        row = (protocol, model, n_subjects, *cells)
        blocks.setdefault(f"{protocol}, {n_subjects} subjects", []).append((model, [row[place] for place in places]))
    return list(_BRIEF), blocks


def summary_rows(summary: pd.DataFrame) -> list[tuple[str, ...]]:
    """Format the rows of the table of scores, in the order of `COLUMNS`, from `continuous_summary`."""

    def number(value: float, digits: int = 2) -> str:
        return "" if np.isnan(value) else f"{value:.{digits}f}"

    def p_value(value: float) -> str:
        return "< 0.001" if value < 0.001 else number(value, 3)

    return [
        (
            row.protocol,
            row.model,
            str(row.n_subjects),
            number(row.concordance),
            "" if np.isnan(row.low) else f"{row.low:.2f} to {row.high:.2f}",
            number(row.correlation),
            number(row.within_trials),
            number(row.root_mean_squared_error, 3),
            p_value(row.p_order),
            p_value(row.p_stimulus),
        )
        for row in summary.itertuples()
    ]


def continuous_page(title: str, summary: pd.DataFrame, notes: Sequence[str], figure: str) -> str:
    """Write the page as Markdown.

    Args:
        title: title of the page.
        summary: result of `continuous_summary`.
        notes: notes on the data and on what was left out.
        figure: file name of the figure of `draw_traces`, in the folder of the page.
    """
    lines = [f"# {title}", "", *(f"- {note}" for note in notes), "", f"| {' | '.join(COLUMNS)} |"]
    lines += [f"|{' --- |' * len(COLUMNS)}", *(f"| {' | '.join(row)} |" for row in summary_rows(summary))]
    return "\n".join([*lines, "", LEGEND, "", f"![Ratings and predictions of some test trials]({figure})", ""])


def draw_traces(steps: pd.DataFrame, path: Path, protocol: str, n_trials: int = 6) -> None:
    """Draw rating and predictions of some test trials of the first repetition of a protocol.

    The trials are evenly spaced in the order of the concordance of the first model, including the worst and the best.

    Args:
        steps: see `keras_emotion.experiment.continuous.ContinuousResult`.
        path: .png file.
        protocol: name of the protocol.
        n_trials: number of trials.
    """
    from matplotlib.figure import Figure

    from keras_emotion.evaluation import rating_metrics

    own = steps[(steps["protocol"] == protocol) & (steps["repetition"] == 0)]
    models = [name for name in dict.fromkeys(own["model"]) if name not in BASELINES]
    keys = ["subject", "session", "trial"]
    of_first = own[own["model"] == models[0]].groupby(keys, sort=False)
    order = sorted((rating_metrics(one[RATING], one[PREDICTION])["concordance"], key) for key, one in of_first)
    places = np.unique(np.linspace(0, len(order) - 1, min(n_trials, len(order))).round().astype(int))
    figure = Figure(figsize=(9, 1.9 * len(places)), layout="constrained")
    axes = figure.subplots(len(places), 1, squeeze=False)[:, 0]
    for axis, place in zip(axes, places, strict=True):
        concordance, key = order[place]
        trial = own[(own[keys] == list(key)).all(axis=1)]
        for number, name in enumerate((*models, "knows the stimulus")):
            one = trial[trial["model"] == name].sort_values("start_seconds")
            if not number:
                axis.plot(one["start_seconds"], one[RATING], color="black", linewidth=2, label="rating")
            style = {"linestyle": ":", "color": "grey"} if name in BASELINES else {"color": f"C{number}"}
            axis.plot(one["start_seconds"], one[PREDICTION], label=name, **style)
        axis.set_title(f"subject {key[0]}, trial {key[2]}: {models[0]} {concordance:.2f}", fontsize=9)
    axes[-1].set_xlabel("seconds since the onset of the stimulus")
    figure.supylabel("rating")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=len(models) + 2, fontsize=9)
    figure.savefig(path, dpi=120)
