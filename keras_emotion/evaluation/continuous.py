"""Scores of continuous ratings (a rating per time step), and baselines that use no signal."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
import scipy.stats

from keras_emotion.evaluation.metrics import rating_metrics
from keras_emotion.evaluation.statistics import paired_subject_test
from keras_emotion.schema import TRIAL_KEY

RATING = "rating"
"""Column of tables of time steps: the rating; `keras_emotion.schema.WINDOW_COLUMNS` name the window."""

PREDICTION = "prediction"
"""Column of tables of time steps: the predicted rating."""

_ROUNDED_TO = 6


def _mean(train: pd.DataFrame, test: pd.DataFrame) -> np.ndarray:
    return np.full(len(test), train[RATING].mean())


def _order_alone(train: pd.DataFrame, test: pd.DataFrame) -> np.ndarray:
    by_time = train.groupby(train["start_seconds"].round(_ROUNDED_TO))[RATING].mean()
    known = test["start_seconds"].round(_ROUNDED_TO).map(by_time)
    return np.asarray(known.fillna(train[RATING].mean()))


def _stimulus(train: pd.DataFrame, test: pd.DataFrame) -> np.ndarray:
    moments = ["stimulus", "start_seconds"]
    by_moment = train.assign(start_seconds=train["start_seconds"].round(_ROUNDED_TO)).groupby(moments)[RATING].mean()
    asked = pd.MultiIndex.from_arrays([test["stimulus"], test["start_seconds"].round(_ROUNDED_TO)])
    known = pd.Series(by_moment.reindex(asked).to_numpy(), index=test.index)
    by_stimulus = test["stimulus"].map(train.groupby("stimulus")[RATING].mean())
    return np.asarray(known.fillna(by_stimulus).fillna(pd.Series(_order_alone(train, test), index=test.index)))


def _last_value(train: pd.DataFrame, test: pd.DataFrame) -> np.ndarray:
    ordered = test.sort_values("start_seconds", kind="stable")
    before = ordered.groupby(list(TRIAL_KEY), sort=False)[RATING].shift(1)
    return np.asarray(before.reindex(test.index).fillna(train[RATING].mean()))


BASELINES: Mapping[str, Callable[[pd.DataFrame, pd.DataFrame], np.ndarray]] = {
    "mean": _mean,
    "order alone": _order_alone,
    "knows the stimulus": _stimulus,
    "last value": _last_value,
}
"""Baselines that use no signal, by name; functions of the training and the test steps, whose ratings are not NaN.

- `mean`: the mean of the training steps.
- `order alone`: the mean of the training steps at the same time since the onset.
- `knows the stimulus`: the mean of the training steps of the same stimulus at the same time; for a new stimulus as
  `order alone`.
- `last value`: the rating one step before. It reads ratings of the test trial, which no other baseline does: it shows
  how slowly the rating changes, and is not a method.
"""


def continuous_scores(steps: pd.DataFrame) -> pd.DataFrame:
    """Score each subject on all test steps of a repetition together.

    Args:
        steps: one row per test step with a rating: the columns of `WINDOW_COLUMNS`, `protocol`, `repetition`,
            `model`, `rating` and `prediction`.

    Returns:
        A row per `protocol`, `model`, `subject`: the means over repetitions of `concordance`, `correlation` and
        `root_mean_squared_error` (see `rating_metrics`), of `within_trials`, the mean over trials of the correlation
        within a trial (0 where the rating or the prediction of a trial never changes), and `n_steps`, `n_trials`.
    """
    rows = []
    for (protocol, model, subject, repetition), own in steps.groupby(
        ["protocol", "model", "subject", "repetition"], sort=False
    ):
        scores = rating_metrics(own[RATING], own[PREDICTION])
        trials = [trial for _, trial in own.groupby(["session", "trial"], sort=False)]
        within = [rating_metrics(trial[RATING], trial[PREDICTION])["correlation"] for trial in trials]
        rows.append(
            {
                "protocol": protocol,
                "model": model,
                "subject": subject,
                "repetition": repetition,
                **scores,
                "within_trials": float(np.mean(within)),
                "n_steps": len(own),
                "n_trials": len(trials),
            }
        )
    table = pd.DataFrame(rows)
    return table.groupby(["protocol", "model", "subject"], sort=False).mean().drop(columns="repetition").reset_index()


def continuous_summary(scores: pd.DataFrame) -> pd.DataFrame:
    """Average `continuous_scores` over subjects.

    Returns:
        A row per `protocol` and `model`: `n_subjects`, the mean of each score, `low` and `high`, the 95 % confidence
        interval of the concordance over subjects (Student's t; NaN with one subject), and `p_order` and `p_stimulus`,
        two-sided paired t-tests of the concordance against `order alone` and `knows the stimulus` (NaN with one
        subject, and in the rows of these baselines).
    """
    rows = []
    for (protocol, model), own in scores.groupby(["protocol", "model"], sort=False):
        values = own.set_index("subject")["concordance"]
        n, mean = len(values), values.mean()
        half = scipy.stats.t.ppf(0.975, n - 1) * values.std(ddof=1) / np.sqrt(n) if n > 1 else np.nan
        tests = {}
        for column, name in (("p_order", "order alone"), ("p_stimulus", "knows the stimulus")):
            others = scores[(scores["protocol"] == protocol) & (scores["model"] == name)].set_index("subject")
            there = values.index.intersection(others.index)
            is_tested = len(there) > 1 and model not in BASELINES
            tests[column] = (
                paired_subject_test(values[there], others["concordance"][there]).p_value if is_tested else np.nan
            )
        rows.append(
            {
                "protocol": protocol,
                "model": model,
                "n_subjects": n,
                "concordance": mean,
                "low": mean - half,
                "high": mean + half,
                **{name: own[name].mean() for name in ("correlation", "within_trials", "root_mean_squared_error")},
                **tests,
            }
        )
    return pd.DataFrame(rows)
