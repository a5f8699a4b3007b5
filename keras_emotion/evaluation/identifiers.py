"""Integer codes of rows from id columns, sorted: independent of hashing and of the order of the rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from keras_emotion.schema import TRIAL_KEY, InputError


def row_codes(table: pd.DataFrame, columns: Sequence[str]) -> np.ndarray:
    """Number each distinct combination of ids, in the order of the sorted ids.

    Args:
        table: any table with those columns; ids are numbers or strings, numbers sort first.
        columns: the columns that form an id, the first one sorted first.

    Returns:
        `(rows,)` int64, 0 to the number of distinct combinations - 1.

    Raises:
        InputError: a column or a value in one is missing.

    Example:
        >>> row_codes(pd.DataFrame({"subject": ["s2", "s1", "s2"], "trial": [10, 9, 2]}), ("subject", "trial"))
        array([2, 0, 1])
    """
    missing = [name for name in columns if name not in table]
    if missing:
        raise InputError(f"the table has no column {', '.join(missing)}; it has {', '.join(map(str, table))}")
    codes = np.zeros(len(table), dtype=np.int64)
    for name in columns:
        own = _column_codes(table[name])
        # Renumbered column by column: the product of all columns' sizes could overflow.
        codes = np.unique(codes * (own.max(initial=0) + 1) + own, return_inverse=True)[1]
    return codes


def group_codes(table: pd.DataFrame) -> np.ndarray:
    """Number the recording group of each row.

    Args:
        table: any table with `recorded_together`, an id of subjects who were recorded together, and optionally
            `dataset`.

    Returns:
        `(rows,)` int64, 0 and up; -1 where a row has no group, because `recorded_together` is missing, NaN or empty.
    """
    codes = np.full(len(table), -1, dtype=np.int64)
    if "recorded_together" in table:
        has_group = (table["recorded_together"].notna() & (table["recorded_together"] != "")).to_numpy()
        codes[has_group] = row_codes(
            table[has_group], [name for name in ("dataset", "recorded_together") if name in table]
        )
    return codes


def connected_subject_codes(table: pd.DataFrame) -> np.ndarray:
    """Number each subject; subjects who were recorded together share a number.

    Subjects are connected if they share a group in some row (see `group_codes`), directly or through others: the
    responses of one depend on those of the others.

    Args:
        table: any table with `subject`, and optionally `dataset` and `recorded_together`.

    Returns:
        `(rows,)` int64, in the order of the sorted ids of the first subject of each.

    Raises:
        InputError: the column `subject` or an id in it is missing.

    Example:
        >>> connected_subject_codes(pd.DataFrame({"subject": [1, 2, 3, 4], "recorded_together": ["a", "", "a", None]}))
        array([0, 1, 0, 2])
    """
    import scipy.sparse.csgraph

    subject = row_codes(table, [name for name in ("dataset", "subject") if name in table or name == "subject"])
    group = group_codes(table)
    has_group = group >= 0
    if not has_group.any():
        return subject
    # Subjects first, then groups, as nodes of one graph; codes follow the order of the nodes.
    n_subjects, n_nodes = subject.max() + 1, subject.max() + group.max() + 2
    pairs = (subject[has_group], n_subjects + group[has_group])
    edges = scipy.sparse.coo_array((np.ones(len(pairs[0])), pairs), shape=(n_nodes, n_nodes))
    return np.asarray(scipy.sparse.csgraph.connected_components(edges, directed=False)[1][subject], dtype=np.int64)


def trial_key(table: pd.DataFrame) -> list[str]:
    """Return the columns of `TRIAL_KEY` that a table has.

    External tables, and those of runs before version 0.2.0, have neither dataset nor session.
    """
    return [name for name in TRIAL_KEY if name in table or name in ("subject", "trial")]


def crossed_counts(
    first: np.ndarray, second: np.ndarray, n_second: int, weights: np.ndarray | None = None
) -> np.ndarray:
    """Count each pair of codes, or sum its weights: `(distinct first, n_second)`."""
    n_first = first.max(initial=-1) + 1
    pairs = np.bincount(first * n_second + second, weights=weights, minlength=n_first * n_second)
    return pairs.reshape(n_first, n_second)


def _column_codes(column: pd.Series) -> np.ndarray:
    codes, values = pd.factorize(column)
    if (codes < 0).any():
        raise InputError(f"row {np.argmax(codes < 0)} of the table: {column.name} is missing")
    places = sorted(range(len(values)), key=lambda place: (isinstance(values[place], str), values[place]))
    rank = np.empty(len(values), dtype=np.int64)
    rank[places] = np.arange(len(values))
    return np.asarray(rank[codes])
