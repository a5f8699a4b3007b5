"""Table of rating errors of a network on unseen subjects, for the terminal."""

from __future__ import annotations

import pandas as pd
import rich.box
from rich.table import Table

from keras_emotion.reports.numbers import SYNTHETIC_MARK


def rating_table(scores: pd.DataFrame, title: str, is_synthetic: bool) -> Table:
    """Table of the scores of `keras_emotion.experiment.pretrain`, one line for each target.

    Args:
        scores: columns `target`, `root_mean_squared_error`, `mean_error`, `correlation`, `concordance`, `n_subjects`,
            `n_windows`.
        title: what was predicted, on which dataset.
        is_synthetic: whether the data are synthetic; a warning is then added to the title.
    """
    mark = f" ({SYNTHETIC_MARK})" if is_synthetic else ""
    table = Table(title=f"{title}{mark}", box=rich.box.SIMPLE_HEAD, title_justify="left")
    table.add_column("rating")
    for name in ("error (RMSE)", "of the training mean", "correlation", "concordance", "people", "pictures"):
        table.add_column(name, justify="right")
    for row in scores.itertuples():
        numbers = (row.root_mean_squared_error, row.mean_error, row.correlation, row.concordance)
        table.add_row(row.target, *(f"{number:.3f}" for number in numbers), f"{row.n_subjects}", f"{row.n_windows:,}")
    return table
