"""Pair windows of modalities: same trial, same time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from keras_emotion.pipelines.batches import JoinedArrays
from keras_emotion.pipelines.feature_store import SharedWindows, StoredFeatures
from keras_emotion.pipelines.features import UNUSABLE
from keras_emotion.schema import TRIAL_KEY

DROPPED_COLUMNS = ("subject", "session", "trial", "reason", "n_windows")


def match_windows(table: pd.DataFrame, other: pd.DataFrame, tolerance_seconds: float = 1e-3) -> np.ndarray:
    """Match each window with one of another window table: of the same trial, starting at the same time.

    Args:
        table: a window table; uses `start_seconds` and the columns of `TRIAL_KEY` that both tables have.
        other: another one. Of several partners the first counts.
        tolerance_seconds: two starts that differ by at most this count as equal.

    Returns:
        `(len(table),)` positions in `other`, -1 where a window has no partner.

    Example:
        >>> one = pd.DataFrame({"subject": 1, "trial": 1, "start_seconds": [0.0, 2.0, 4.0]})
        >>> other = pd.DataFrame({"subject": 1, "trial": 1, "start_seconds": [4.0, 0.0]})
        >>> match_windows(one, other).tolist()
        [1, -1, 0]
    """
    step = tolerance_seconds * 2
    key = [name for name in TRIAL_KEY if name in table and name in other]
    levels = list(range(len(key) + 1))
    found = np.full(len(table), -1)
    # Times are compared on two lattices twice as coarse as the tolerance, shifted against each other, so that a start
    # on a border of one lattice still finds its partner.
    for shift in (0.0, 0.5):
        places = _keys(other, key, step, shift)
        partner = pd.Series(np.arange(len(places)), index=places).groupby(level=levels).first()
        matched = partner.reindex(_keys(table, key, step, shift)).to_numpy(dtype=float)
        found = np.where((found < 0) & ~np.isnan(matched), np.nan_to_num(matched), found).astype(int)
    return found


def _keys(table: pd.DataFrame, key: list[str], step: float, shift: float) -> pd.MultiIndex:
    place = np.floor(table["start_seconds"].to_numpy(dtype=float) / step + shift).astype(np.int64)
    # As text: ids read from different files may be numbers in one and text in the other.
    ids = (table[column].astype(str).to_numpy(dtype=object) for column in key)
    return pd.MultiIndex.from_arrays([*ids, place])


def pair_windows(
    parts: Mapping[str, StoredFeatures], asked: np.ndarray | None = None
) -> tuple[StoredFeatures, pd.DataFrame]:
    """Return the windows that every part has, with the arrays of all parts.

    Args:
        parts: features by name of their part; the windows and table of the first one are those to which the others are
            matched. A window whose column `unusable` is not empty in a part's table counts as missing there.
        asked: requested rows of the first one's table, in order; all of them by default.

    Returns:
        The paired features (still memory-mapped, if all windows are kept, or if they are shared), and the dropped
        windows among those requested: one row for each `subject`, `session`, `trial` and `reason`, with `n_windows`.

    Raises:
        ValueError: two parts have arrays of the same name.
    """
    names = [name for part in parts.values() for name in part.arrays]
    if len(set(names)) < len(names):
        raise ValueError(f"parts {', '.join(parts)} have arrays of the same name: {', '.join(sorted(names))}")
    leading = next(iter(parts.values())).table
    asked = np.arange(len(leading)) if asked is None else asked
    table = leading.iloc[asked].reset_index(drop=True)
    reasons = np.full(len(table), "", dtype=object)
    rows = {}
    for name, part in parts.items():
        rows[name] = asked if part.table is leading else match_windows(table, part.table)
        missing = rows[name] < 0
        reasons[missing & (reasons == "")] = f"{name}: no window at this time"
        if UNUSABLE in part.table:
            why = np.where(missing, "", part.table[UNUSABLE].to_numpy(dtype=object)[rows[name]])
            reasons = np.where((reasons == "") & (why != ""), why, reasons)
    kept = np.flatnonzero(reasons == "")
    arrays: dict[str, Any] = {}
    for name, part in parts.items():
        chosen = rows[name][kept]
        in_order = len(chosen) == len(part.table) and (chosen == np.arange(len(chosen))).all()
        for array, values in part.arrays.items():
            if in_order:
                arrays[array] = values
            else:
                # Data shared between subjects would otherwise be copied to memory for each of them.
                is_shared = isinstance(values, SharedWindows)
                arrays[array] = JoinedArrays([values], chosen) if is_shared else values[chosen]
    paired = table.iloc[kept].reset_index(drop=True).drop(columns=UNUSABLE, errors="ignore")
    incomplete = frozenset().union(*(part.incomplete for part in parts.values()))
    return StoredFeatures(arrays, paired, incomplete=incomplete), count_dropped(table, reasons)


def count_dropped(table: pd.DataFrame, reasons: np.ndarray) -> pd.DataFrame:
    """Count the windows of a table that have a reason: a row for each `subject`, `session`, `trial` and `reason`.

    Args:
        table: window table.
        reasons: `(windows,)` texts, empty for windows that stay.
    """
    place = list(DROPPED_COLUMNS[:-1])
    dropped = table.loc[reasons != "", place[:-1]].assign(reason=reasons[reasons != ""])
    return dropped.groupby(place, sort=True).size().rename("n_windows").reset_index()
