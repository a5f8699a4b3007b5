"""Leak audit of any scikit-learn splitter, and of an estimator fitted on its folds."""

from __future__ import annotations

import copy
import dataclasses
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from keras_emotion.evaluation.external_predictions import apparent_claim, rescore
from keras_emotion.evaluation.identifiers import row_codes
from keras_emotion.evaluation.leaks import (
    Disjoint,
    Finding,
    SplitChecks,
    content_hashes,
    label_findings,
    sorted_findings,
)
from keras_emotion.evaluation.permutation import Between, permuted_ratings
from keras_emotion.schema import InputError

_COLUMNS = ("dataset", "subject", "session", "trial", "stimulus", "recorded_together", "start", "stop")
_MOST_CLASSES = 100

_N_FOLDS_ALONE, _N_ROWS_ALONE = 2, 10
"""Folds, and test rows of each, that are predicted one by one: a smoke test, not a proof."""

_N_COLUMNS = 256
"""Largest number of columns whose correlations are computed."""

_RARE = 0.01
"""p-value below which a score on shuffled labels is a finding."""


@dataclasses.dataclass(frozen=True, eq=False)
class SplitAudit:
    """Result of `audit_split`; `print` shows it.

    Args:
        findings: leaks first.
        folds: one row per fold: `fold`, `n_train`, `n_test`, and with an estimator `accuracy` and `constant` (share of
            the most frequent label among the test rows).
        scores: with an estimator, the scores of all test rows and of the votes of their trials, see `rescore`;
            otherwise empty.
        shuffled: the same of one training on labels that were exchanged between trials; empty without an estimator.
    """

    findings: tuple[Finding, ...]
    folds: pd.DataFrame
    scores: pd.DataFrame
    shuffled: pd.DataFrame

    @property
    def has_leaks(self) -> bool:
        """Whether any finding is a leak."""
        return any(finding.severity == "leak" for finding in self.findings)

    def __str__(self) -> str:
        lines = [
            f"{len(self.folds)} fold{'' if len(self.folds) == 1 else 's'}, {self.folds['n_test'].sum()} tested rows"
        ]
        for name, table in (("accuracy", self.scores), ("on shuffled labels", self.shuffled)):
            for row in table.itertuples():
                tested = (
                    "no p"
                    if np.isnan(row.chance_p_value)
                    else f"p = {row.chance_p_value:.3f}, detectable {100 * row.detectable_difference:.1f} points"
                )
                lines.append(
                    f"{name} by {row.unit}: {row.accuracy:.1%} (best constant {row.best_constant_accuracy:.1%}, chance "
                    f"{row.chance_low:.1%} to {row.chance_high:.1%}, {tested})"
                )
        lines += [f"{one.severity}: {one.kind}: {one.message}" for one in self.findings] or ["no findings"]
        return "\n".join(lines)


def audit_split(
    X: Any,
    y: npt.ArrayLike,
    groups: npt.ArrayLike | Mapping[str, npt.ArrayLike] | pd.DataFrame,
    splitter: Any,
    estimator: Any = None,
    *,
    split_by: str = "",
    disjoint: Disjoint | None = None,
    seed: int = 0,
) -> SplitAudit:
    """Audit a scikit-learn splitter on data, and an estimator on its folds, for leakage.

    | check | finding |
    |---|---|
    | rows, trials, sessions, stimuli or subjects in both sets | `test windows in training`, `shared trial`, ... |
    | windows of a trial that overlap in time, with start and stop | `overlap in time` |
    | equal rows in training and test set | `duplicated windows` |
    | a validation set that is the test set | `selection on the test fold` |
    | columns standardised, scaled to 0..1 or decorrelated over all rows | `fitted on test rows` |
    | columns standardised within each subject | `transductive` |
    | a column that encodes the label | `answer in the features` |
    | a parameter of the estimator that holds test rows of X | `fitted on test rows` |
    | a parameter of the estimator that holds all labels | `answer in the features` |
    | a part of the estimator that stays fitted when cloned | `fitted on test rows`, `unknown origin` |
    | predictions that change with the other test rows | `transductive` |
    | a training on labels exchanged between trials that scores above chance | `score on shuffled labels` |

    The estimator is fitted on the training rows of a fold only. Earlier processing or selection of X is detected only
    if it leaves a trace in X; what cannot be checked is listed as `not checkable`.

    Args:
        X: `(rows, ...)` features, array or data frame.
        y: `(rows,)` classes.
        groups: `(rows,)` ids of groups that must stay together, taken as trials; or columns by name, a mapping or data
            frame: `subject`, `trial`, `session`, `stimulus`, `recorded_together`, `dataset`, and `start` and `stop` (or
            `start_seconds` and `stop_seconds`, within the trial).
        splitter: a scikit-learn splitter, a number of folds, or an iterable of `(train, test)` or
            `(train, validation, test)` row positions; the validation set chooses epochs or hyper-parameters.
        estimator: classifier with scikit-learn's interface; it is cloned for each fold.
        split_by: column that the splitter gets as its `groups`; default `subject`, else `trial`.
        disjoint: claim of what training and test set do not share; default: inferred from the folds, see
            `check_predictions`.
        seed: seed of the permutations.

    Raises:
        InputError: lengths differ, a column is unknown, labels are not classes, or the splitter has no test rows.

    Example:
        >>> from sklearn.model_selection import KFold
        >>> X = np.random.default_rng(0).normal(size=(12, 2))
        >>> found = audit_split(X, [0, 0, 1, 1] * 3, np.repeat(range(6), 2), KFold(3, shuffle=True, random_state=0))
        >>> [(finding.severity, finding.kind) for finding in found.findings]
        [('leak', 'shared trial'), ('note', 'not checkable')]
    """
    X = X if hasattr(X, "iloc") else np.asarray(X)
    table, is_array, missing = _window_table(groups, len(X))
    has_times = isinstance(groups, (Mapping, pd.DataFrame)) and any(str(name).startswith("start") for name in groups)
    codes, _ = _class_codes(y, len(X))
    folds = _folds(X, codes, table, splitter, split_by)
    contents = _contents(X)
    tested = _tested_rows(table, folds)
    checks = SplitChecks(disjoint or apparent_claim(tested), table["subject"].nunique() > 1)
    for train, validation, test in folds:
        checks.fold(table, train, validation, test, contents)
    findings = [*checks.findings(), *label_findings(table, codes), *_data_findings(X, codes, table)]
    rows: list[dict[str, Any]]
    rows = [{"fold": place, "n_train": len(train), "n_test": len(test)} for place, (train, _, test) in enumerate(folds)]
    scores = shuffled = pd.DataFrame()
    if estimator is None:
        missing.append("the fit (pass the estimator)")
    else:
        missing.append("earlier fits or selections on all rows, unless they leave a trace in X")
        findings += _parameter_findings(estimator, contents, np.asarray(y), folds)
        findings += _state_findings(estimator, X, codes, folds)
        predictions, alone = _predictions(estimator, X, codes, folds, n_alone=_N_FOLDS_ALONE)
        findings += alone
        for row, (_, _, test), predicted in zip(rows, folds, predictions, strict=True):
            row["accuracy"] = float((predicted == codes[test]).mean())
            row["constant"] = float(np.bincount(codes[test]).max() / len(test))
        # As in the leak audit: where subjects are disjoint, permuted alike for all of them.
        across = checks.disjoint in ("subjects", "subjects_and_stimuli") and "stimulus" in table
        between: Between = "stimuli" if across else "trials"
        scores = rescore(_scored(tested, codes, predictions), between=between)
        permuted = permuted_ratings(table, codes, 1, seed, between).astype(np.int64)
        of_permuted, _ = _predictions(estimator, X, permuted, folds)
        shuffled = rescore(_scored(tested, permuted, of_permuted), between=between)
        findings += _shuffled_findings(shuffled)
        if not (permuted != codes).any():
            missing.append("the score on shuffled labels (all labels of a group stay together, and none can move)")
    if missing:
        findings.append(Finding("not checkable", "note", f"not checked: {'; '.join(missing)}"))
    found = findings
    if not has_times:
        found = [dataclasses.replace(one, message=_by_row(one.message, is_array)) for one in findings]
    return SplitAudit(tuple(sorted_findings(found)), pd.DataFrame(rows), scores, shuffled)


def _window_table(groups: Any, n_rows: int) -> tuple[pd.DataFrame, bool, list[str]]:
    """Return the window table, whether `groups` is a single array, and the checks that missing columns prevent."""
    is_array = not isinstance(groups, (Mapping, pd.DataFrame))
    columns = {"trial": groups} if is_array else {str(name): groups[name] for name in groups}
    # Column names of a window table are accepted, too.
    columns = {name.removesuffix("_seconds"): values for name, values in columns.items()}
    for name, values in columns.items():
        if name not in _COLUMNS:
            raise InputError(f"groups: unknown column {name}; expected some of {', '.join(_COLUMNS)}")
        columns[name] = np.asarray(values)
        if columns[name].shape != (n_rows,):
            shape = " x ".join(map(str, columns[name].shape))
            raise InputError(f"groups: {name} has {shape} values; expected {n_rows}, one for each row of X")
    if not {"subject", "trial"} & columns.keys():
        raise InputError(f"groups: has {', '.join(columns) or 'no columns'}; expected subject, trial or both")
    if ("start" in columns) != ("stop" in columns):
        raise InputError("groups: has only one of start and stop; expected both or none")
    missing = []
    if "trial" not in columns:
        missing.append("shared trials (no column trial: each row counts as one trial)")
    if "start" not in columns:
        missing.append("overlap in time (no columns start and stop)")
    if "stimulus" not in columns and not is_array:
        missing.append("shared stimuli (no column stimulus)")
    rows = np.arange(n_rows)
    table = pd.DataFrame({"subject": 0, "trial": rows, "start": rows, "stop": rows + 1} | columns)
    return table.rename(columns={"start": "start_seconds", "stop": "stop_seconds"}), is_array, missing


def _class_codes(y: npt.ArrayLike, n_rows: int) -> tuple[np.ndarray, np.ndarray]:
    y = np.asarray(y)
    if y.shape != (n_rows,):
        raise InputError(f"y: has shape {y.shape}; expected ({n_rows},), one class for each row of X")
    classes, codes = np.unique(y, return_inverse=True)
    if not 2 <= len(classes) <= _MOST_CLASSES:
        raise InputError(f"y: has {len(classes)} different labels; expected 2 to {_MOST_CLASSES} classes")
    return codes, classes


def _folds(
    X: Any, codes: np.ndarray, table: pd.DataFrame, splitter: Any, split_by: str
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    from sklearn.model_selection import check_cv

    if isinstance(splitter, int) or hasattr(splitter, "split"):
        column = split_by or ("subject" if table["subject"].nunique() > 1 else "trial")
        if column not in table:
            raise InputError(f"split_by {column!r}: groups have no such column; expected one of {', '.join(table)}")
        splitter = check_cv(splitter, codes, classifier=True)
        with warnings.catch_warnings():
            # Splitters that need no groups warn about them.
            warnings.filterwarnings("ignore", "The groups parameter is ignored")
            splitter = list(splitter.split(X, codes, table[column].to_numpy()))
    folds: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    for parts in splitter:
        if len(parts) not in (2, 3):
            raise InputError(f"splitter: gives {len(parts)} parts; expected (train, test) or (train, validation, test)")
        train, *validation, test = (np.asarray(part) for part in parts)
        rows = [np.flatnonzero(part) if part.dtype == bool else part for part in (train, *validation, test)]
        train, test = rows[0], rows[-1]
        if not len(train) or not len(test):
            raise InputError(f"splitter: fold {len(folds)} has {len(train)} training and {len(test)} test rows")
        folds.append((train, rows[1] if validation else test[:0], test))
    if not folds:
        raise InputError("splitter: gives no folds")
    return folds


def _tested_rows(table: pd.DataFrame, folds: Iterable[tuple[np.ndarray, ...]]) -> pd.DataFrame:
    """Return the test rows with `row`, `fold` and `repetition`: how often the row was tested before."""
    parts = [table.iloc[test].assign(row=test, fold=place) for place, (_, _, test) in enumerate(folds)]
    tested = pd.concat(parts, ignore_index=True)
    return tested.assign(repetition=tested.groupby("row").cumcount(), protocol="split", target="y")


def _contents(X: Any) -> np.ndarray:
    values = X.to_numpy() if hasattr(X, "to_numpy") else X
    if values.dtype == object:
        return np.asarray(pd.util.hash_pandas_object(pd.DataFrame(X), index=False))
    return content_hashes([values])


# --- earlier processing of X


def _data_findings(X: Any, codes: np.ndarray, table: pd.DataFrame) -> Iterator[Finding]:
    """Find traces of fits on all rows in X, and columns that encode the label."""
    values = np.asarray(X)
    if not np.issubdtype(values.dtype, np.number) or not len(values):
        return
    values = values.reshape(len(values), -1)
    tolerance = 1e-4 if values.dtype.itemsize < 8 else 1e-7
    values = values.astype(np.float64)
    values = values[:, np.isfinite(values).all(axis=0) & (np.ptp(values, axis=0) > 0)]
    if not values.shape[1]:
        return
    answers = [place for place in range(values.shape[1]) if _is_label(values[:, place], codes)]
    if answers:
        message = f"{len(answers)} columns of X encode the label; the first of them in order of variation: {answers[0]}"
        yield Finding("answer in the features", "leak", message)
    # Labels, counts and one-hot columns allow no conclusion.
    values = values[:, [len(np.unique(column)) > 2 for column in values.T]]
    if not values.shape[1]:
        return
    text = "over all rows, test rows included: fit it on the training rows of each fold (in a pipeline)"
    if _is_standard(values, tolerance):
        yield Finding("fitted on test rows", "leak", f"every column of X has mean 0 and standard deviation 1 {text}")
    elif values.shape[1] > 1 and _is_between(values, 0, 1) and len(values) > 2:
        yield Finding("fitted on test rows", "leak", f"every column of X runs from exactly 0 to exactly 1 {text}")
    elif values.shape[1] > 1 and _is_between(values, -1, 1) and len(values) > 2:
        yield Finding("fitted on test rows", "leak", f"every column of X runs from exactly -1 to exactly 1 {text}")
    some = values[:, :_N_COLUMNS]
    if 1 < some.shape[1] < len(some) - 1:
        correlations = np.corrcoef(some.T) - np.eye(some.shape[1])
        if np.abs(correlations).max() < tolerance:
            message = f"no two columns of X are correlated, as after a PCA that was fitted {text}"
            yield Finding("fitted on test rows", "leak", message)
    subject = row_codes(table, [name for name in ("dataset", "subject") if name in table])
    if subject.any() and all(_is_standard(values[subject == one], tolerance) for one in np.unique(subject)):
        message = (
            "every column of X has mean 0 and standard deviation 1 over the rows of each subject: test rows are scaled "
            "with other test rows of the subject, so that a subject's whole session is needed before the first "
            "prediction"
        )
        yield Finding("transductive", "warning", message)


def _is_label(column: np.ndarray, codes: np.ndarray) -> bool:
    kinds, place = np.unique(column, return_inverse=True)
    if len(kinds) > codes.max() + 1:
        return False
    return bool(len(np.unique(place * (codes.max() + 1) + codes)) == len(kinds) == codes.max() + 1)


def _is_standard(values: np.ndarray, tolerance: float) -> bool:
    if len(values) < 3:
        return False
    deviations = [values.std(axis=0, ddof=ddof) for ddof in (0, 1)]
    is_unit = any(np.allclose(one, 1, rtol=0, atol=tolerance) for one in deviations)
    return is_unit and np.allclose(values.mean(axis=0), 0, atol=tolerance)


def _is_between(values: np.ndarray, low: float, high: float) -> bool:
    return bool((values.min(axis=0) == low).all() and np.allclose(values.max(axis=0), high, rtol=0, atol=1e-6))


# --- the estimator


def _parameter_findings(
    estimator: Any, contents: np.ndarray, y: np.ndarray, folds: list[tuple[np.ndarray, np.ndarray, np.ndarray]]
) -> Iterator[Finding]:
    """Find data in an estimator's parameters beyond the training rows of a fold."""
    tested = np.unique(np.concatenate([test for _, _, test in folds]))
    for name, value in estimator.get_params(deep=True).items():
        if not isinstance(value, (np.ndarray, pd.DataFrame, pd.Series)) or not len(value):
            continue
        if np.ndim(value) > 1 and (n_rows := int(np.isin(contents[tested], _contents(value)).sum())):
            message = f"the parameter {name} of the estimator holds {n_rows} of {len(tested)} test rows of X"
            yield Finding("fitted on test rows", "leak", message, n_windows=n_rows, n_tested=len(tested))
        elif np.array_equal(value, y):
            message = f"the parameter {name} of the estimator holds the labels of all rows"
            yield Finding("answer in the features", "leak", message)


def _state_findings(
    estimator: Any, X: Any, codes: np.ndarray, folds: list[tuple[np.ndarray, np.ndarray, np.ndarray]]
) -> Iterator[Finding]:
    """Find parts of an estimator that are fitted although just cloned: not fitted on a fold."""
    from sklearn.base import clone

    for name, part, is_first in _parts(clone(estimator)):
        if not _stays_fitted(part):
            continue
        if not is_first:
            message = f"{name} is fitted before any fold: on which rows is unknown"
            yield Finding("unknown origin", "warning", message)
            continue
        # A copy: a part whose clone is the part itself would otherwise be refitted for its owner.
        inner = copy.deepcopy(clone(_unfrozen(part)))
        state = _state(part)
        of_all = _state_after(inner, X, codes)
        of_folds = [_state_after(inner, _rows(X, train), codes[train]) for train, _, _ in folds[:1]]
        if of_all and _is_equal(state, of_all) and not any(_is_equal(state, one) for one in of_folds):
            message = f"{name} is fitted before any fold, on all rows: its state equals that of a fit on test rows too"
            yield Finding("fitted on test rows", "leak", message)
        else:
            message = f"{name} is fitted before any fold: on which rows is unknown"
            yield Finding("unknown origin", "warning", message)


def _parts(estimator: Any) -> Iterator[tuple[str, Any, bool]]:
    """Yield the estimator, or the steps of a pipeline, and whether each is fitted on X itself."""
    steps = getattr(estimator, "steps", None)
    if steps is None:
        yield type(estimator).__name__, estimator, True
        return
    for place, (name, step) in enumerate(steps):
        if step is not None and step != "passthrough":
            yield f"step {name!r} of the pipeline", step, place == 0


def _stays_fitted(part: Any) -> bool:
    from sklearn.exceptions import NotFittedError
    from sklearn.utils import get_tags
    from sklearn.utils.validation import check_is_fitted

    try:
        if not get_tags(part).requires_fit:
            return False
        check_is_fitted(part)
    except (NotFittedError, TypeError, AttributeError):
        return False
    return bool(_state(part))


def _unfrozen(part: Any) -> Any:
    from sklearn.frozen import FrozenEstimator

    return part.estimator if isinstance(part, FrozenEstimator) else part


def _state(part: Any) -> dict[str, np.ndarray]:
    """Return the fitted state: numbers and arrays in attributes that end with an underscore."""
    found = {}
    for name, value in vars(_unfrozen(part)).items():
        if name.endswith("_") and not name.startswith("_") and isinstance(value, (np.ndarray, float, int, np.number)):
            found[name] = np.asarray(value)
    return found


def _state_after(part: Any, X: Any, codes: np.ndarray) -> dict[str, np.ndarray]:
    # A fit of the part alone may raise anything: then its state cannot be compared.
    try:
        return _state(part.fit(X, codes))
    except Exception:
        return {}


def _is_equal(first: Mapping[str, np.ndarray], second: Mapping[str, np.ndarray]) -> bool:
    return first.keys() == second.keys() and all(
        first[name].shape == second[name].shape and np.allclose(first[name], second[name], equal_nan=True)
        for name in first
        if np.issubdtype(first[name].dtype, np.number)
    )


def _predictions(
    estimator: Any,
    X: Any,
    codes: np.ndarray,
    folds: list[tuple[np.ndarray, np.ndarray, np.ndarray]],
    n_alone: int = 0,
) -> tuple[list[np.ndarray], list[Finding]]:
    """Predict the codes of each fold; check whether test rows of some folds are predicted differently one by one."""
    from sklearn.base import clone

    predictions, n_differing, n_compared = [], 0, 0
    for place, (train, _, test) in enumerate(folds):
        fitted = clone(estimator).fit(_rows(X, train), codes[train])
        predictions.append(np.asarray(fitted.predict(_rows(X, test))).reshape(len(test)).astype(np.int64))
        if place >= n_alone:
            continue
        answer = getattr(fitted, "predict_proba", fitted.predict)
        some = np.linspace(0, len(test) - 1, min(_N_ROWS_ALONE, len(test))).astype(np.int64)
        together = np.asarray(answer(_rows(X, test)), dtype=np.float64)[some]
        alone = np.concatenate([np.asarray(answer(_rows(X, test[[one]])), dtype=np.float64) for one in some])
        differs = ~np.isclose(together, alone, rtol=0, atol=1e-4).reshape(len(some), -1).all(axis=1)
        n_differing, n_compared = n_differing + int(differs.sum()), n_compared + len(some)
    found = []
    if n_differing:
        message = (
            f"{n_differing} of {n_compared} test rows are predicted differently alone than together with the "
            "other test rows: the estimator learns from the test rows, which a single new recording does not have"
        )
        found.append(Finding("transductive", "warning", message, n_windows=n_differing, n_tested=n_compared))
    return predictions, found


def _scored(tested: pd.DataFrame, codes: np.ndarray, predictions: list[np.ndarray]) -> pd.DataFrame:
    return tested.assign(label=codes[tested["row"]], prediction=np.concatenate(predictions))


def _shuffled_findings(shuffled: pd.DataFrame) -> Iterator[Finding]:
    row = shuffled.set_index("unit").loc["window"]
    if row["chance_p_value"] <= _RARE and row["accuracy"] > row["best_constant_accuracy"]:
        message = (
            f"trained on labels that were exchanged between trials, it predicts {row['accuracy']:.0%} of the test "
            f"rows correctly (chance {row['chance_low']:.0%} to {row['chance_high']:.0%}): the split leaks "
            "accuracy that is unrelated to the labels (one training, R = 1)"
        )
        yield Finding("score on shuffled labels", "leak", message)


def _rows(X: Any, rows: np.ndarray) -> Any:
    return X.iloc[rows] if hasattr(X, "iloc") else X[rows]


def _by_row(message: str, is_array: bool) -> str:
    """Reword a message about rows without times (and without subjects): rows are named by their positions."""
    text = re.sub(r"subject (.*?), trial (.*?), (\d+) to \d+ s", r"row \3 (subject \1, trial \2)", message)
    if is_array:
        text = re.sub(r"\(subject 0, trial (.*?)\)", r"(group \1)", text).replace("in a trial of", "in a group of")
        text = text.replace("test windows", "test rows").replace("other windows", "other rows")
    return text
