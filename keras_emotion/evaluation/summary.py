"""Summary tables of a run's predictions: scores by subject, and their summary over subjects."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from keras_emotion.evaluation.identifiers import crossed_counts, row_codes, trial_key
from keras_emotion.evaluation.metrics import always_high_f1, grouped_metrics, probability_columns, trial_votes
from keras_emotion.evaluation.permutation import permuted_between
from keras_emotion.evaluation.power import detectable_by_permutation, detectable_difference
from keras_emotion.evaluation.protocols import POOL, PROTOCOLS
from keras_emotion.evaluation.statistics import bootstrap_confidence_interval, permutation_chance
from keras_emotion.schema import InputError

PREDICTION_COLUMNS = (
    "protocol",
    "dataset",
    "subject",
    "session",
    "trial",
    "stimulus",
    "start_seconds",
    "stop_seconds",
    "target",
    "repetition",
    "fold",
    "label",
    "prediction",
)
"""Columns of a predictions table, one row per test window; `probability_0`, `probability_1`, ... follow."""

REQUIRED_COLUMNS = tuple(name for name in PREDICTION_COLUMNS if name not in ("dataset", "session"))
"""Columns that a predictions table must have; tables of runs before version 0.2.0 have neither dataset nor session."""

MAJORITY_COLUMNS = ("protocol", "subject", "target", "repetition", "fold", "majority_class")
"""Columns of the training-majority table, one row per training set; `subject` is `POOL` across subjects."""

BASELINES = (
    "majority_accuracy",
    "knows_stimulus_accuracy",
    "knows_trial_accuracy",
    "best_constant_accuracy",
    "always_high_f1",
    "chance_accuracy",
)


class Summary(NamedTuple):
    """Tables of a report.

    Args:
        subjects: one row per protocol, target and subject: scores and baselines (see `subject_scores`).
        overall: one row per protocol, target and metric (see `summarise`).
        left_out: subjects without predictions under some protocol: `target`, `subject`, `missing_from`.
    """

    subjects: pd.DataFrame
    overall: pd.DataFrame
    left_out: pd.DataFrame


def comparable_subjects(predictions: pd.DataFrame) -> pd.DataFrame:
    """Find the subjects that have predictions under every protocol, target by target.

    A subject that is not evaluable under one protocol is left out of all of them: otherwise two protocols would be
    compared on different subjects.

    Args:
        predictions: predictions table of a finished run, all compared protocols together.

    Returns:
        One row per target and subject: `target`, `subject`, `comparable`, `missing_from` (names of the
        protocols, joined by a comma; empty where comparable).
    """
    pairs = predictions[["target", "subject", "protocol"]]
    pairs = pairs.iloc[np.unique(row_codes(pairs, pairs.columns), return_index=True)[1]]
    rows = []
    for target, group in pairs.groupby("target"):
        protocols = set(group["protocol"])
        for subject, own in group.groupby("subject", sort=False)["protocol"]:
            missing = sorted(protocols - set(own))
            rows.append((target, subject, not missing, ",".join(missing)))
    return pd.DataFrame(rows, columns=["target", "subject", "comparable", "missing_from"])


def subject_scores(
    predictions: pd.DataFrame, training_majority: pd.DataFrame, scored_unit: Literal["window", "trial"] = "window"
) -> pd.DataFrame:
    """Score each subject: the folds of a repetition pooled, the repetitions averaged.

    Pooled means that the test rows of all folds form one confusion matrix. It differs from the mean over folds where
    folds differ in size, and for F1, kappa and balanced accuracy, which are not means over rows and are ill-defined in
    a fold of three trials.

    The baselines are scored on the same rows: `majority_accuracy` (each row predicted as the majority class of its
    fold's training set), `best_constant_accuracy` (the best constant on the pooled test rows), `always_high_f1` (two
    classes only) and `chance_accuracy` (mean score of the same predictions when labels are exchanged between rows: the
    expected agreement of Cohen's kappa); if the table has `STIMULUS_COLUMNS`, `knows_stimulus_accuracy` (see
    `stimulus_baseline`) and `knows_trial_accuracy` (the same, and correct wherever the trial itself is in the training
    set). The number of classes is that of the probability columns, otherwise as many as the labels need.

    Args:
        predictions: table with `PREDICTION_COLUMNS`.
        training_majority: table with `MAJORITY_COLUMNS`.
        scored_unit: `"window"`, or `"trial"` by mean probability (by vote where there are no probabilities).

    Returns:
        One row per protocol, target and subject, sorted: `protocol`, `target`, `subject`, `scored_unit`,
        `n_repetitions`, `n_trials`, `n_units` (scored in a repetition), then the scores and the baselines.

    Raises:
        InputError: a column is missing, a window was scored twice in one repetition, or a fold has no majority class
            or several.
        ValueError: an unknown `scored_unit`.
    """
    return _scores(_scored_rows(predictions, training_majority, scored_unit), scored_unit)


def summarise(
    predictions: pd.DataFrame,
    training_majority: pd.DataFrame,
    scored_unit: Literal["window", "trial"] = "window",
    seed: int = 0,
    n_permutations: int = 999,
    n_resamples: int = 10_000,
    level: float = 0.95,
) -> Summary:
    """Summarise scores by subject and over subjects, on the subjects that have predictions under every protocol.

    Args:
        predictions: table with `PREDICTION_COLUMNS`, the compared protocols together.
        training_majority: table with `MAJORITY_COLUMNS`.
        scored_unit: as for `subject_scores`.
        seed: seed of the bootstrap and of the permutations.
        n_permutations: number of permutations for the chance band.
        n_resamples: number of bootstrap resamples.
        level: coverage of the interval and of the chance band.

    Returns:
        The `Summary`; its `overall` has the columns `protocol`, `target`, `scored_unit`, `metric`, `n_subjects` (for
        whom the metric is defined), `mean` and `standard_deviation` over subjects (n - 1), `confidence_low`,
        `confidence_high` (bootstrap over subjects), and for the accuracy `chance_mean`, `chance_low`, `chance_high`,
        `chance_p_value`, `chance_n_labelings` (see `permutation_chance`), and the differences from chance that these
        data can detect with a power of 80 %: `detectable_over_subjects`, from the spread of accuracy minus
        `chance_accuracy`
        over subjects (NaN with fewer than two), and `detectable_over_trials`, from the chance band (NaN where there is
        no p-value); all NaN for the other metrics. See `keras_emotion.evaluation.power`.

    Raises:
        InputError: as for `subject_scores`, or no subject is comparable.
        ValueError: a bad argument.
    """
    _check_predictions(predictions)
    comparable = comparable_subjects(predictions)
    left_out = comparable.loc[~comparable["comparable"], ["target", "subject", "missing_from"]]
    kept = comparable.loc[comparable["comparable"], ["target", "subject"]]
    compared = predictions.merge(kept, on=["target", "subject"])
    if compared.empty:
        raise InputError("no subject has predictions under every protocol: there is nothing to compare")
    scored = _scored_rows(compared, training_majority, scored_unit)
    subjects = _scores(scored, scored_unit)
    metrics = subjects.columns[subjects.columns.get_loc("accuracy") :]
    rows = []
    for (protocol, target), block in scored.groupby(["protocol", "target"]):
        own = subjects[(subjects["protocol"] == protocol) & (subjects["target"] == target)]
        between = permuted_between(PROTOCOLS[protocol]) if protocol in PROTOCOLS else "trials"
        chance = permutation_chance(block, n_permutations, seed, level, between)
        for metric in metrics:
            values = own[metric].dropna().to_numpy(dtype=np.float64)
            if len(values) == 0:
                continue
            low, high = bootstrap_confidence_interval(values, seed, n_resamples, level)
            row = {
                "protocol": protocol,
                "target": target,
                "scored_unit": scored_unit,
                "metric": metric,
                "n_subjects": len(values),
                "mean": values.mean(),
                "standard_deviation": values.std(ddof=1) if len(values) > 1 else np.nan,
                "confidence_low": low,
                "confidence_high": high,
            }
            if metric == "accuracy":
                row |= {f"chance_{name}": value for name, value in chance._asdict().items()}
                tested = not np.isnan(chance.p_value)
                row["detectable_over_subjects"] = detectable_difference(own["accuracy"] - own["chance_accuracy"])
                row["detectable_over_trials"] = (
                    detectable_by_permutation(chance.low, chance.high, level) if tested else np.nan
                )
            rows.append(row)
    return Summary(subjects, pd.DataFrame(rows), left_out.reset_index(drop=True))


def _scored_rows(predictions: pd.DataFrame, training_majority: pd.DataFrame, scored_unit: str) -> pd.DataFrame:
    """Return the rows to score, windows or trials, with the majority class of their training set."""
    if scored_unit not in ("window", "trial"):
        raise ValueError(f"`scored_unit` is {scored_unit!r}; expected 'window' or 'trial'")
    _check_predictions(predictions)
    windows = predictions.assign(majority_class=_majority_of_rows(predictions, training_majority))
    if scored_unit == "window":
        return windows
    return trial_votes(windows, "mean_probability" if probability_columns(windows) else "vote")


def _scores(scored: pd.DataFrame, scored_unit: str) -> pd.DataFrame:
    """Score each subject under each protocol and target."""
    blocks = [_scores_of_block(block) for _, block in scored.groupby(["protocol", "target"])]
    scores = pd.concat(blocks, ignore_index=True)
    scores.insert(3, "scored_unit", scored_unit)
    return scores


def _scores_of_block(block: pd.DataFrame) -> pd.DataFrame:
    """Score each subject under one protocol and target."""
    names = probability_columns(block)
    group = row_codes(block, ["subject", "repetition"])
    labels, predictions = block["label"].to_numpy(), block["prediction"].to_numpy()
    n_classes = len(names) or max(2, labels.max() + 1, predictions.max() + 1)
    scores = grouped_metrics(group, labels, predictions, block[names].to_numpy() if names else None, n_classes)
    shares = crossed_counts(group, labels, n_classes) / np.bincount(group)[:, None]
    right = (block["majority_class"] == block["label"]).to_numpy(dtype=np.float64)
    scores["majority_accuracy"] = np.bincount(group, weights=right) / np.bincount(group)
    if "stimulus_label" in block:
        knows = (block["stimulus_label"] == block["label"]).to_numpy()
        in_training = (block["stimulus_seen"] == "trial").to_numpy()
        scores["knows_stimulus_accuracy"] = np.bincount(group, weights=knows) / np.bincount(group)
        scores["knows_trial_accuracy"] = np.bincount(group, weights=knows | in_training) / np.bincount(group)
    predicted = crossed_counts(group, predictions, n_classes) / np.bincount(group)[:, None]
    scores["best_constant_accuracy"] = shares.max(axis=1)
    scores["chance_accuracy"] = (shares * predicted).sum(axis=1)
    scores["always_high_f1"] = always_high_f1(shares[:, 1]) if n_classes == 2 else np.nan

    subject = row_codes(block, ["subject"])
    first = np.unique(group, return_index=True)[1]
    averaged = scores.groupby(subject[first]).mean()
    n_repetitions = np.bincount(subject[first])
    trial = row_codes(block, trial_key(block))
    heads = block.iloc[np.unique(subject, return_index=True)[1]][["protocol", "target", "subject"]]
    counts = {
        "n_repetitions": n_repetitions,
        "n_trials": np.bincount(subject[np.unique(trial, return_index=True)[1]]),
        "n_units": np.bincount(subject) / n_repetitions,
    }
    return pd.concat([heads.reset_index(drop=True).assign(**counts), averaged], axis=1)


def _majority_of_rows(predictions: pd.DataFrame, training_majority: pd.DataFrame) -> np.ndarray:
    """Return the majority class of the training set of each row: the subject's own, else the pool's."""
    missing = [name for name in MAJORITY_COLUMNS if name not in training_majority]
    if missing:
        raise InputError(f"the training-majority table has no column {', '.join(missing)}")
    keys = list(MAJORITY_COLUMNS[:-1])
    # Ids become strings: with the pool's name, integer subject ids would have a different type in each table.
    table = training_majority[list(MAJORITY_COLUMNS)].assign(subject=training_majority["subject"].astype(str))
    if table.duplicated(keys).any():
        raise InputError("the training-majority table has several rows for one training set")
    asked = predictions[keys].assign(subject=predictions["subject"].astype(str))
    own, pooled = (
        who.merge(table, on=keys, how="left")["majority_class"].to_numpy(dtype=np.float64)
        for who in (asked, asked.assign(subject=POOL))
    )
    majority = np.where(np.isnan(own), pooled, own)
    if np.isnan(majority).any():
        fold = asked.iloc[np.argmax(np.isnan(majority))]
        raise InputError(
            "the training-majority table has no row for " + ", ".join(f"{name} {value}" for name, value in fold.items())
        )
    return np.asarray(majority, dtype=np.int64)


def _check_predictions(predictions: pd.DataFrame) -> None:
    missing = [name for name in REQUIRED_COLUMNS if name not in predictions]
    if missing:
        raise InputError(f"the predictions table has no column {', '.join(missing)}")
    keys = ["protocol", "target", "repetition", *trial_key(predictions)]
    twice = predictions.duplicated([*keys, "start_seconds", "stop_seconds"])
    if twice.any():
        window = predictions.loc[twice, keys].iloc[0]
        raise InputError(
            f"{twice.sum()} windows were scored twice in one repetition, the first of them under "
            + ", ".join(f"{name} {value}" for name, value in window.items())
        )
