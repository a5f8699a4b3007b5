"""Labels that mean nothing: the ratings of whole trials, dealt anew."""

from __future__ import annotations

import zlib
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from keras_emotion.evaluation.identifiers import row_codes
from keras_emotion.evaluation.protocols import Protocol
from keras_emotion.schema import TRIAL_KEY

Between = Literal["trials", "stimuli"]


def permuted_between(protocol: Protocol) -> Between:
    """What the labels of a protocol are shuffled between.

    Where subjects are kept apart a model can still know the *stimulus*, which training and test share: there the
    ratings are exchanged between stimuli, in the same way for all subjects. Everywhere else they are shuffled between
    the trials of each subject.
    """
    return "stimuli" if protocol.disjoint == "subjects" else "trials"


def permuted_ratings(
    table: pd.DataFrame, ratings: npt.ArrayLike, permutation: int, seed: int = 0, between: Between = "trials"
) -> np.ndarray:
    """Ratings with which nothing in the signals has to do, as constant within a trial as ratings are.

    Between trials: the ratings of a subject's trials are shuffled among them, so that each subject keeps its numbers
    of trials of each class (stratified by nature). Between stimuli: one permutation of the stimuli for all subjects; a
    trial takes the rating that the *same subject* gave to the stimulus that takes the place of its own. Where the
    subject has no rating of that one, the permutation is followed until it reaches one that the subject has rated.

    A subject's shuffle depends on `seed`, `permutation` and its id alone, not on who else is in the table.

    Args:
        table: window table.
        ratings: `(rows,)` rating of each window. Where they vary within a trial, the trial counts with its median (the
            lower one of two).
        permutation: number of the permutation; 0 gives the ratings as they are.
        seed: non-negative.
        between: `"trials"` or `"stimuli"`.

    Returns:
        `(rows,)` float64.

    Example:
        >>> table = pd.DataFrame({"dataset": "deap", "subject": 1, "session": 1, "trial": [1, 1, 2, 2, 3, 3]})
        >>> permuted_ratings(table, [1, 1, 5, 5, 9, 9], permutation=2)
        array([9., 9., 1., 1., 5., 5.])
    """
    ratings = np.asarray(ratings, dtype=np.float64)
    if permutation == 0:
        return ratings
    trial = row_codes(table, TRIAL_KEY)
    of_trial = pd.Series(ratings).groupby(trial).quantile(0.5, interpolation="lower").to_numpy()
    heads = np.unique(trial, return_index=True)[1]
    subject = row_codes(table, ("dataset", "subject"))[heads]
    names = (table["dataset"].astype(str) + "/" + table["subject"].astype(str)).to_numpy()[heads]
    if between == "trials":
        donor = np.empty(len(heads), dtype=np.int64)
        for one in range(subject.max() + 1):
            own = np.flatnonzero(subject == one)
            rng = np.random.default_rng([seed, permutation, zlib.crc32(names[own[0]].encode())])
            donor[own] = rng.permutation(own)
        return of_trial[donor][trial]
    stimulus = row_codes(table, ("dataset", "stimulus"))[heads]
    n_stimuli = stimulus.max() + 1
    image = np.random.default_rng([seed, permutation]).permutation(n_stimuli)
    moved = np.empty(len(heads))
    for one in range(subject.max() + 1):
        own = np.flatnonzero(subject == one)
        rating_of = np.full(n_stimuli, np.nan)
        # Of several presentations of a stimulus to one subject the first gives the rating to all.
        rating_of[stimulus[own][::-1]] = of_trial[own][::-1]
        wanted = image[stimulus[own]]
        # A permutation is a set of circles: at the latest its own stimulus is reached, which the subject has rated.
        while (lost := np.isnan(rating_of[wanted])).any():
            wanted[lost] = image[wanted[lost]]
        moved[own] = rating_of[wanted]
    return moved[trial]
