"""Stimulus baseline: accuracy from the stimulus alone, since labels depend on it across subjects."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from keras_emotion.evaluation.identifiers import crossed_counts, row_codes, trial_key

SEEN = ("no", "others", "person", "trial")
"""Who was shown the stimulus of a test row in the training set: nobody; other subjects; the same subject, in another
trial; or the test trial itself is in the training set."""

STIMULUS_COLUMNS = ("stimulus_label", "stimulus_seen")
"""Columns that `stimulus_baseline` adds to a predictions table."""


def stimulus_baseline(
    table: pd.DataFrame, labels: npt.ArrayLike, train: npt.ArrayLike, test: npt.ArrayLike
) -> tuple[np.ndarray, np.ndarray]:
    """Predict test rows from their stimulus alone: the stimulus-only baseline "knows the stimulus".

    A test row gets the most frequent training label of its stimulus; for a new stimulus, the most frequent training
    label; ties go to the lowest label. No signal is used: a model has recognised something about a person only if it
    exceeds this baseline.

    Args:
        table: window table with `stimulus` and the columns of `TRIAL_KEY`.
        labels: `(rows,)` labels, 0 and up.
        train: row positions of the training part.
        test: row positions of the test part.

    Returns:
        `(len(test),)` labels, and `(len(test),)` who was shown the stimulus in training (see `SEEN`).

    Example:
        >>> table = pd.DataFrame({"subject": [1, 1, 2, 2], "trial": [1, 2, 1, 2], "stimulus": ["a", "b", "a", "c"]})
        >>> predicted, seen = stimulus_baseline(table, [1, 0, 1, 1], train=[0, 1], test=[2, 3])
        >>> predicted.tolist(), seen.tolist()
        ([1, 0], ['others', 'no'])
    """
    labels, train, test = (np.asarray(values) for values in (labels, train, test))
    data = [name for name in ("dataset",) if name in table]
    stimulus = row_codes(table, [*data, "stimulus"])
    n_classes = int(labels.max(initial=0)) + 1
    counts = np.zeros((stimulus.max(initial=-1) + 1, n_classes), dtype=np.int64)
    np.add.at(counts, (stimulus[train], labels[train]), 1)
    overall = np.bincount(labels[train], minlength=n_classes).argmax()
    is_known = counts.sum(axis=1) > 0
    predicted = np.where(is_known, counts.argmax(axis=1), overall)[stimulus[test]]
    seen = np.full(len(test), SEEN[0], dtype=object)
    for name, columns in (
        ("others", [*data, "stimulus"]),
        ("person", [*data, "subject", "stimulus"]),
        ("trial", trial_key(table)),
    ):
        codes = row_codes(table, columns)
        seen[np.isin(codes[test], codes[train])] = name
    return predicted.astype(np.int64), seen


def is_property_of_stimulus(predictions: pd.DataFrame) -> bool:
    """Return whether each stimulus has the same label for all subjects, and stimuli are shown more than once.

    Args:
        predictions: predictions table of one target.
    """
    if "stimulus" not in predictions or len(predictions) == 0:
        return False
    data = [name for name in ("dataset",) if name in predictions]
    stimulus = row_codes(predictions, [*data, "stimulus"])
    n_trials = row_codes(predictions, trial_key(predictions)).max() + 1
    labels = predictions["label"].to_numpy()
    per_stimulus = np.count_nonzero(crossed_counts(stimulus, labels, int(labels.max()) + 1), axis=1)
    return bool(n_trials > len(per_stimulus) > 1 and (per_stimulus == 1).all())
