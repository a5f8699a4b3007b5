"""Classification and rating metrics, baselines and trial votes.

Everything is computed from confusion matrices, for all groups (subjects, repetitions) at once. Scores of 0/0 have the
documented value, without a warning.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from keras_emotion.evaluation.identifiers import crossed_counts, row_codes, trial_key

METRICS = ("accuracy", "balanced_accuracy", "precision", "recall", "f1", "f1_macro", "cohen_kappa")
"""Scores of labels and predictions; with probabilities `roc_auc` is added."""

PROBABILITY_PREFIX = "probability_"


def classification_metrics(
    labels: npt.ArrayLike,
    predictions: npt.ArrayLike,
    probabilities: npt.ArrayLike | None = None,
    n_classes: int | None = None,
) -> dict[str, float]:
    """Score one set of predictions.

    | score | two classes | several classes |
    |---|---|---|
    | `accuracy` | share of correct rows | the same |
    | `balanced_accuracy` | mean recall of the classes that occur among the labels | the same |
    | `precision`, `recall`, `f1` | of class 1, "high" | macro mean |
    | `f1_macro` | macro mean | macro mean |
    | `cohen_kappa` | (accuracy - expected) / (1 - expected) | the same |
    | `roc_auc` | of class 1 | each class against the rest, macro mean |

    The area under the ROC curve is the probability that a row of the class gets a higher probability for it than a row
    of
    another class, a tie counting half. A macro mean is over the classes that occur among labels or predictions. 0/0
    is 0 (the precision of a class that is never predicted, the recall of one that never occurs, the kappa where labels
    and predictions are the same constant); `roc_auc` is NaN where a class or its complement does not
    occur.

    Args:
        labels: `(rows,)` labels, 0 to `n_classes - 1`.
        predictions: `(rows,)` predicted labels.
        probabilities: `(rows, n_classes)` probabilities, for `roc_auc`.
        n_classes: number of classes; default: the columns of `probabilities`, else two or as many as the labels need.

    Returns:
        Score by name, `METRICS` in order and then `roc_auc` if there are probabilities.

    Raises:
        ValueError: no rows, shapes that do not match, or labels outside `0 .. n_classes - 1`.

    Example:
        >>> classification_metrics([0, 0, 1, 1], [0, 1, 1, 1])["f1"]
        0.8
    """
    labels = np.asarray(labels)
    scores = grouped_metrics(np.zeros(labels.shape, dtype=np.int64), labels, predictions, probabilities, n_classes)
    return {name: float(value) for name, value in scores.iloc[0].items()}


def grouped_metrics(
    group: npt.ArrayLike,
    labels: npt.ArrayLike,
    predictions: npt.ArrayLike,
    probabilities: npt.ArrayLike | None = None,
    n_classes: int | None = None,
) -> pd.DataFrame:
    """Compute `classification_metrics` for each group of rows.

    Args:
        group: `(rows,)` group of each row, 0 to the number of groups - 1, each of them present.
        labels: as for `classification_metrics`.
        predictions: as for `classification_metrics`.
        probabilities: as for `classification_metrics`.
        n_classes: as for `classification_metrics`.

    Returns:
        One row per group, one column per score.

    Raises:
        ValueError: as for `classification_metrics`.
    """
    group, labels, predictions = (np.asarray(values) for values in (group, labels, predictions))
    if not (group.shape == labels.shape == predictions.shape == (len(labels),)) or len(labels) == 0:
        raise ValueError(
            f"`labels` {labels.shape} and `predictions` {predictions.shape} must be `(rows,)`, one row or more"
        )
    if probabilities is not None:
        probabilities = np.asarray(probabilities, dtype=np.float64)
        n_classes = n_classes or probabilities.shape[-1]
        if probabilities.shape != (len(labels), n_classes):
            raise ValueError(f"`probabilities` has shape {probabilities.shape}; expected {(len(labels), n_classes)}")
    n_classes = n_classes or max(2, labels.max() + 1, predictions.max() + 1)
    for name, values in (("labels", labels), ("predictions", predictions)):
        if values.dtype.kind not in "biu" or values.min() < 0 or values.max() >= n_classes:
            raise ValueError(f"`{name}` must be integers from 0 to {n_classes - 1}")

    pairs = crossed_counts(group, labels * n_classes + predictions, n_classes**2)
    confusion = pairs.reshape(-1, n_classes, n_classes).astype(np.float64)
    n_rows = confusion.sum(axis=(1, 2))
    correct = np.diagonal(confusion, axis1=1, axis2=2)
    occurring, predicted = confusion.sum(axis=2), confusion.sum(axis=1)
    precision = _ratio(correct, predicted)
    recall = _ratio(correct, occurring)
    f1 = _ratio(2 * correct, occurring + predicted)
    accuracy = correct.sum(axis=1) / n_rows
    expected = (occurring * predicted).sum(axis=1) / n_rows**2

    def macro(score: np.ndarray, counted: np.ndarray) -> np.ndarray:
        return np.asarray((score * counted).sum(axis=1) / counted.sum(axis=1))

    seen = (occurring + predicted) > 0
    summarised = {
        name: score[:, 1] if n_classes == 2 else macro(score, seen)
        for name, score in (("precision", precision), ("recall", recall), ("f1", f1))
    }
    scores = {
        "accuracy": accuracy,
        "balanced_accuracy": macro(recall, occurring > 0),
        **summarised,
        "f1_macro": macro(f1, seen),
        "cohen_kappa": _ratio(accuracy - expected, 1 - expected),
    }
    if probabilities is not None:
        scores["roc_auc"] = _roc_auc(group, labels, probabilities, occurring)
    return pd.DataFrame(scores)


def rating_metrics(ratings: npt.ArrayLike, predictions: npt.ArrayLike) -> dict[str, float]:
    r"""Score predicted ratings.

    `root_mean_squared_error`; `correlation`, Pearson's r; and `concordance`, the concordance correlation coefficient

    $$\rho_c = \frac{2 \sigma_{xy}}{\sigma_x^2 + \sigma_y^2 + (\mu_x - \mu_y)^2}$$

    which is 1 only if predictions equal the ratings, not merely correlate with them. Both are 0 where one side is
    constant.

    Args:
        ratings: `(rows,)` ratings.
        predictions: `(rows,)` predictions of them.

    Raises:
        ValueError: no rows, or shapes that do not match.

    Example:
        >>> {name: round(score, 3) for name, score in rating_metrics([1, 2, 3, 4], [1, 3, 2, 4]).items()}
        {'root_mean_squared_error': 0.707, 'correlation': 0.8, 'concordance': 0.8}

    References:
        Lin, "A concordance correlation coefficient to evaluate reproducibility", Biometrics 45, 1989.
    """
    ratings, predictions = np.asarray(ratings, np.float64), np.asarray(predictions, np.float64)
    if ratings.shape != predictions.shape or ratings.ndim != 1 or len(ratings) == 0:
        raise ValueError(
            f"`ratings` {ratings.shape} and `predictions` {predictions.shape} must be `(rows,)`, one row or more"
        )
    (variance, covariance), (_, variance_predicted) = np.cov(ratings, predictions, bias=True)
    apart = (ratings.mean() - predictions.mean()) ** 2
    # A constant with many digits has a nonzero variance from rounding.
    changes = min(np.ptp(ratings), np.ptp(predictions)) > 0
    return {
        "root_mean_squared_error": float(np.sqrt(np.mean((ratings - predictions) ** 2))),
        "correlation": float(covariance / np.sqrt(variance * variance_predicted)) if changes else 0.0,
        "concordance": float(2 * covariance / (variance + variance_predicted + apart)) if changes else 0.0,
    }


def majority_class(labels: npt.ArrayLike) -> int:
    """Return the most frequent label, the lowest of equally frequent ones."""
    labels = np.asarray(labels)
    if len(labels) == 0:
        raise ValueError("`labels` is empty")
    return int(np.bincount(labels).argmax())


def majority_baseline(training_labels: npt.ArrayLike, test_labels: npt.ArrayLike) -> float:
    """Accuracy on the test rows when always predicting the most frequent training label."""
    return float(np.mean(np.asarray(test_labels) == majority_class(training_labels)))


def best_constant(test_labels: npt.ArrayLike) -> float:
    """Accuracy on the test rows of the best constant: not a predictor, but a bound for comparison."""
    return float(np.mean(np.asarray(test_labels) == majority_class(test_labels)))


def always_high_f1(high_share: npt.ArrayLike) -> np.ndarray:
    """F1 of always predicting "high": precision is p and recall 1, so F1 = 2p / (1 + p).

    Args:
        high_share: p, the share of high rows among the test rows, 0 to 1; any shape.
    """
    high_share = np.asarray(high_share, dtype=np.float64)
    return np.asarray(2 * high_share / (1 + high_share))


def probability_columns(predictions: pd.DataFrame) -> list[str]:
    """Return the non-empty columns `probability_0`, `probability_1`, ... of a predictions table, in order."""
    names = [name for name in predictions if str(name).startswith(PROBABILITY_PREFIX)]
    names.sort(key=lambda name: int(name.removeprefix(PROBABILITY_PREFIX)))
    return [name for name in names if predictions[name].notna().any()]


def trial_votes(
    predictions: pd.DataFrame, method: Literal["mean_probability", "vote"] = "mean_probability"
) -> pd.DataFrame:
    """Aggregate a predictions table by trial: one row per protocol, subject, (session,) trial, target and repetition.

    A trial's prediction is the class of highest mean probability over its windows, or the majority vote of the windows
    (a tie goes to the higher mean probability, and to the lower class if there are no probabilities). Its label is the
    most frequent label of its windows. Windows of a trial that were tested in several folds of a repetition vote
    together: `fold` is dropped.

    Args:
        predictions: table with the columns `protocol, subject, trial, target, repetition, label, prediction` and
            `probability_0`, `probability_1`, ...; `dataset`, `session`, `stimulus`, `majority_class` and the
            `STIMULUS_COLUMNS` are kept.
        method: `"mean_probability"` or `"vote"`.

    Returns:
        The columns that name the trial, `n_windows`, `label`, `prediction` and mean probabilities, sorted by id.

    Raises:
        InputError: a column is missing.
        ValueError: an unknown `method`, or mean probabilities without probabilities.
    """
    if method not in ("mean_probability", "vote"):
        raise ValueError(f"`method` is {method!r}; expected 'mean_probability' or 'vote'")
    names = probability_columns(predictions)
    if method == "mean_probability" and not names:
        raise ValueError("`predictions` has no probabilities to average; use method='vote'")
    keys = ["protocol", "target", *trial_key(predictions), "repetition"]
    trial = row_codes(predictions, keys)
    n_windows = np.bincount(trial)
    carried = [*keys, *(name for name in ("stimulus", "stimulus_seen") if name in predictions)]
    trials = predictions[carried].iloc[np.unique(trial, return_index=True)[1]].reset_index(drop=True)
    trials["n_windows"] = n_windows

    counted = [name for name in ("label", "majority_class", "stimulus_label", "prediction") if name in predictions]
    n_classes = max(len(names), 1 + int(predictions[counted].to_numpy().max(initial=0)))
    votes = {name: crossed_counts(trial, predictions[name].to_numpy(), n_classes) for name in counted}
    means = np.zeros((len(trials), n_classes))
    for place, name in enumerate(names):
        means[:, place] = np.bincount(trial, weights=predictions[name]) / n_windows
    # Half the mean probability never outweighs a vote: it only breaks ties.
    votes["prediction"] = means if method == "mean_probability" else votes["prediction"] + means / 2
    for name in counted:
        trials[name] = votes[name].argmax(axis=1)
    return trials.join(pd.DataFrame(means[:, : len(names)], columns=names))


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Return `numerator / denominator`, 0 where the denominator is 0."""
    return np.asarray(np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator != 0))


def _roc_auc(group: np.ndarray, labels: np.ndarray, probabilities: np.ndarray, occurring: np.ndarray) -> np.ndarray:
    """Compute Mann-Whitney's U over its maximum, by ranks within each group: `(groups,)`, macro over the classes.

    Args:
        group: `(rows,)` group of each row.
        labels: `(rows,)` labels.
        probabilities: `(rows, classes)` probabilities.
        occurring: `(groups, classes)` number of rows of each label.
    """
    n_classes = probabilities.shape[1]
    classes = [1] if n_classes == 2 else range(n_classes)
    ranks = pd.DataFrame(probabilities).groupby(group).rank().to_numpy()
    areas = []
    for label in classes:
        n_positive = occurring[:, label]
        n_pairs = n_positive * (occurring.sum(axis=1) - n_positive)
        rank_sum = np.bincount(group, weights=ranks[:, label] * (labels == label))
        above = rank_sum - n_positive * (n_positive + 1) / 2
        areas.append(np.divide(above, n_pairs, out=np.full(len(n_pairs), np.nan), where=n_pairs > 0))
    return np.asarray(np.mean(areas, axis=0))
