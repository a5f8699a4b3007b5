"""Write the integers that no change of the code may move: folds, seeds of jobs, permuted ratings.

    python tests/golden/numbers/produce.py > tests/golden/numbers/numbers.json

Once written, the file is not written again: a difference is a change of every number that users have published.
"""

import json
import platform

import numpy as np
import pandas as pd

from keras_emotion.evaluation import PROTOCOLS, permuted_ratings
from keras_emotion.experiment import Job

OLD_PROTOCOLS = (
    "as_published",
    "as_published_deepvanet",
    "as_published_deepvanet_inter_subject",
    "window_disjoint",
    "trial_disjoint",
    "stimulus_disjoint",
    "subject_disjoint",
)

LATER_PROTOCOLS = (
    "as_published_mercl",
    "as_published_mercl_within_subject",
    "trial_disjoint_across_subjects",
    "as_published_hlstm",
)
"""Their folds were added by 0.2.0; all others are of 0.1.0."""


def small_table() -> pd.DataFrame:
    """Four subjects, eight trials of eight stimuli each in orders of their own, three windows a trial."""
    rows = []
    for subject in range(1, 5):
        for trial in range(1, 9):
            rating = 1 + (3 * trial + subject) % 8
            for window in range(3):
                rows.append(
                    {
                        "dataset": "deap",
                        "subject": subject,
                        "session": 1,
                        "trial": trial,
                        "presentation": 1 + (trial + subject) % 8,
                        "stimulus": str(trial),
                        "start_seconds": 2.0 * window,
                        "stop_seconds": 2.0 * window + 2.0,
                        "valence": float(rating),
                    }
                )
    return pd.DataFrame(rows)


def folds(names=OLD_PROTOCOLS) -> dict:
    """Rows of training, validation and test of each fold, by protocol, pool and repetition."""
    table = small_table()
    labels = (table["valence"] > 4.5).to_numpy().astype(int)
    found = {}
    for name in names:
        protocol = PROTOCOLS[name]
        for pool, rows in protocol.pools(table).items():
            for repetition in range(min(protocol.n_repetitions, 2)):
                split = protocol.folds(table.iloc[rows], labels[rows], 5, repetition, 4)
                parts = [[part.tolist() for part in fold] for fold in split]
                found[f"{name}, {pool}, repetition {repetition}"] = parts
    return found


def seeds() -> dict:
    """Seed of a job, for ids of a subject that are a number and the same number as text."""
    return {
        f"{subject!r}": Job("trial_disjoint", "valence", subject, repetition=2, fold=3, candidate="w1").seed(7)
        for subject in (1, "1", "s01", 22)
    }


def ratings() -> dict:
    """Ratings of the first window of each trial under a permutation, by what they are shuffled between."""
    table = small_table()
    first = np.arange(0, len(table), 3)
    return {
        f"{between}, permutation {permutation}": permuted_ratings(table, table["valence"], permutation, 3, between)[
            first
        ].tolist()
        for between in ("trials", "stimuli")
        for permutation in (0, 1, 2)
    }


if __name__ == "__main__":
    produced = {
        "producer": f"produce.py on keras_emotion 0.1.0, NumPy {np.__version__}, Python {platform.python_version()}",
        "seed": "5 for folds, 7 for jobs, 3 for permutations",
        "tolerance": 0,
        "folds": folds(),
        "later_folds": folds(LATER_PROTOCOLS),
        "seeds": seeds(),
        "permuted_ratings": ratings(),
    }
    print(json.dumps(produced))  # noqa: T201
