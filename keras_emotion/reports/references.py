"""What others measured under protocols without leaks, on real data: lines that a report is read against."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd

from keras_emotion.evaluation import METRICS
from keras_emotion.evaluation.protocols import Protocol
from keras_emotion.reports.numbers import RunNumbers
from keras_emotion.reports.paper import read_text_csv, refuse_rows
from keras_emotion.schema import InputError

REFERENCE_COLUMNS = (
    "dataset",
    "target",
    "n_classes",
    "disjoint",
    "scope",
    "method",
    "metric",
    "value",
    "spread",
    "source",
    "remark",
)
"""`disjoint` and `scope` are the fields of `Protocol` that make a kind of protocol; `value` and `spread`, the standard
deviation over subjects, are in percent."""

PUBLISHED = "published elsewhere, real data"
"""Stands beside each such number."""

NO_COMPARISON = "this run is on synthetic data: no comparison"

_KEYS = ["dataset", "target", "n_classes", "disjoint", "scope", "method", "metric", "source"]
_SCOPES = ("within_subject", "across_subjects")
_COLOUR = "#555555"


def read_references(path: Path | str) -> pd.DataFrame:
    """Read reference values from a csv file.

    Args:
        path: csv file with the columns `REFERENCE_COLUMNS`.

    Returns:
        `REFERENCE_COLUMNS` in the order of the file: `value` and `spread` float64 (NaN where none is published),
        `n_classes` int64, the others strings.

    Raises:
        InputError: the file is missing or cannot be parsed, has other columns, an empty field, an unknown metric or
            kind of protocol, the same value twice, a value that is no percentage, or a number of classes below 2.
    """
    path = Path(path)
    table = read_text_csv(path, "a csv of reference values")
    if tuple(table.columns) != REFERENCE_COLUMNS:
        raise InputError(f"{path}: has the columns {', '.join(table.columns)}; expected {', '.join(REFERENCE_COLUMNS)}")
    for column in [*_KEYS, "value"]:
        refuse_rows(path, table[column].str.strip() == "", f"{column} is empty; expected a value")
    known = {"metric": METRICS, "disjoint": get_args(Protocol.model_fields["disjoint"].annotation), "scope": _SCOPES}
    for column, values in known.items():
        refuse_rows(path, ~table[column].isin(values), f"{column} is unknown; expected one of {', '.join(values)}")
    refuse_rows(path, table.duplicated(_KEYS), f"has the {', '.join(_KEYS)} of a line before; expected each once")
    is_number = table["n_classes"].str.fullmatch(r"[2-9]|[1-9]\d")
    refuse_rows(path, ~is_number, "n_classes is no number from 2 to 99")
    for column in ("value", "spread"):
        is_given = table[column].str.strip() != ""
        table[column] = pd.to_numeric(table[column], errors="coerce")
        refuse_rows(path, is_given & ~table[column].between(0, 100), f"{column} is no number from 0 to 100 (percent)")
    return table.assign(n_classes=table["n_classes"].astype("int64"))


def kind_of_protocol(protocol: Mapping[str, Any]) -> tuple[str, str] | None:
    """What makes protocols comparable: what they keep apart, and whether subjects are trained on together.

    Args:
        protocol: its definition, as `Protocol.describe` gives it.

    Returns:
        `disjoint` and `scope` as a csv of references has them; `None` for a protocol that chooses the epoch on the test
        fold or fits on test rows, with which nothing here compares, and for definitions that lack a field.
    """
    if protocol.get("epoch_chosen_by") != "inner_validation" or protocol.get("fitted_on") != "training_rows":
        return None
    if "disjoint" not in protocol:
        return None
    return protocol["disjoint"], "across_subjects" if protocol["scope"] == "across_subjects" else "within_subject"


def references_of(numbers: RunNumbers, references: pd.DataFrame | None) -> pd.DataFrame:
    """The accuracies that stand beside those of a run: of its dataset, targets, classes and kinds of protocol.

    Args:
        numbers: what the run found.
        references: rows of `read_references`; `None` for none.

    Returns:
        The rows, with the name of the protocol of the run in a column `protocol`.
    """
    found = []
    if references is not None:
        own = references[(references["dataset"] == numbers.dataset) & (references["metric"] == "accuracy")]
        for name, protocol in numbers.protocols.items():
            kind = kind_of_protocol(protocol)
            of_kind = own[pd.MultiIndex.from_frame(own[["disjoint", "scope"]]).isin([kind] if kind else [])]
            for target in numbers.evaluated:
                same = (of_kind["target"] == target) & (of_kind["n_classes"] == len(numbers.class_names[target]))
                found.append(of_kind[same].assign(protocol=name))
    return pd.concat(found) if found else pd.DataFrame(columns=[*REFERENCE_COLUMNS, "protocol"])


def reference_notes(rows: pd.DataFrame, mark: str) -> Iterator[str]:
    """The values with their sources, a line for each protocol and target.

    Args:
        rows: of `references_of`.
        mark: mark of synthetic data, or empty.
    """
    for (protocol, target), own in rows.groupby(["protocol", "target"], sort=False):
        values = []
        for row in own.itertuples():
            spread = "" if np.isnan(row.spread) else f" ± {row.spread:.1f}"
            remark = f"; {row.remark}" if row.remark else ""
            values.append(f"{row.method} {row.value:.1f}{spread} ({row.source}{remark})")
        yield f"{PUBLISHED}, accuracy of {target} under protocols as {protocol}: {'; '.join(values)}"
    if mark and len(rows):
        yield f"{PUBLISHED}: {NO_COMPARISON}"


def reference_caption(rows: pd.DataFrame, mark: str) -> str:
    """What a figure says of these lines, after its caption; empty where there are none.

    Args:
        rows: of `references_of`.
        mark: mark of synthetic data, or empty.
    """
    return f" Dashed: {PUBLISHED}{f' ({NO_COMPARISON})' if mark else ''}." if len(rows) else ""


def draw_references(axes: Any, rows: pd.DataFrame, protocol: str, target: str, place: float) -> None:
    """Draw a thin line for each value into the row of a protocol.

    Args:
        axes: the axes, with accuracies in percent along x.
        rows: of `references_of`.
        protocol: the protocol.
        target: the target.
        place: its place along y.
    """
    own = rows[(rows["protocol"] == protocol) & (rows["target"] == target)]
    axes.vlines(own["value"], place - 0.42, place + 0.42, color=_COLOUR, linewidth=0.8, linestyle=(0, (4, 2)))


def reference_handles(rows: pd.DataFrame) -> list[Any]:
    """The entry of a legend for these lines; none where there are no lines.

    Args:
        rows: of `references_of`.
    """
    from matplotlib.lines import Line2D

    line = Line2D([], [], color=_COLOUR, linewidth=0.8, linestyle=(0, (4, 2)), label=PUBLISHED)
    return [line] if len(rows) else []
