"""Published accuracies under leakage-free protocols on real data, shown for comparison in reports."""

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
"""Columns of a file of published accuracies. `disjoint` and `scope` are the fields of `Protocol` that define the kind
of protocol; `value` and `spread` (standard deviation over subjects) are in percent."""

PUBLISHED = "published elsewhere, real data"
"""Label of accuracies from the literature in tables and figures; see `read_references`."""

NO_COMPARISON = "this run is on synthetic data: no comparison"
"""Remark on `PUBLISHED` accuracies in tables and figures of a run on synthetic data."""

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
            kind of protocol, the same value twice, a value outside 0 to 100, or a number of classes below 2.
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
    """Kind of a protocol; protocols of the same kind are comparable.

    Args:
        protocol: its definition, as `Protocol.describe` gives it.

    Returns:
        `disjoint` and `scope` as in a csv of references; `None` for protocols that choose the epoch on the test fold or
        fit on test rows, for which there are no references, and for definitions that lack a field.
    """
    if protocol.get("epoch_chosen_by") != "inner_validation" or protocol.get("fitted_on") != "training_rows":
        return None
    if "disjoint" not in protocol:
        return None
    return protocol["disjoint"], "across_subjects" if protocol["scope"] == "across_subjects" else "within_subject"


def references_of(numbers: RunNumbers, references: pd.DataFrame | None) -> pd.DataFrame:
    """References for a run: those of its dataset, targets, numbers of classes and kinds of protocol.

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
    """The values with their sources, one line for each protocol and target.

    Args:
        rows: of `references_of`.
        mark: warning of synthetic data, or empty.
    """
    for (protocol, target), own in rows.groupby(["protocol", "target"], sort=False):
        values = []
        for row in own.itertuples():
            spread = "" if np.isnan(row.spread) else f" ± {row.spread:.1f}"
            remark = f"; {row.remark}" if row.remark else ""
            values.append(f"{row.method} {row.value:.1f}{spread} ({row.source}{remark})")
        yield f"{PUBLISHED}, accuracy of {target} under protocols like {protocol}: {'; '.join(values)}"
    if mark and len(rows):
        yield f"{PUBLISHED}: {NO_COMPARISON}"


def reference_caption(rows: pd.DataFrame, mark: str) -> str:
    """Sentence on these lines for the caption of a figure; empty if there are none.

    Args:
        rows: of `references_of`.
        mark: warning of synthetic data, or empty.
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
    """Legend entry for these lines; empty if there are none.

    Args:
        rows: of `references_of`.
    """
    from matplotlib.lines import Line2D

    line = Line2D([], [], color=_COLOUR, linewidth=0.8, linestyle=(0, (4, 2)), label=PUBLISHED)
    return [line] if len(rows) else []
