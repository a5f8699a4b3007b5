"""Label permutation: ratings of whole trials, exchanged between stimuli that were shown equally often."""

from __future__ import annotations

import collections
import itertools
import math
import zlib
from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from keras_emotion.evaluation.identifiers import row_codes, trial_key
from keras_emotion.evaluation.protocols import Protocol

Between = Literal["trials", "sessions", "stimuli"]

FEWEST_LABELINGS = 20
"""With fewer distinct labelings there is no p-value: none could be below 0.05."""

FEW_LABELINGS = 200
"""Fewer distinct labelings than this are all enumerated, and not drawn."""

Groups = list[np.ndarray]
"""Matrices `(units, slots)` of trial positions, -1 where there is none: the units of a matrix may be exchanged, slot by
slot. A unit is a stimulus; a slot is a presentation of it (to one of the subjects)."""


def permuted_between(protocol: Protocol) -> Between:
    """What the labels of a protocol are exchanged between: within the rows that one model trains and tests on.

    Returns:
        `"trials"`: between the stimuli of each subject. `"sessions"`: of each session of each subject. `"stimuli"`:
        between stimuli, in the same way for all subjects, where the rows of all subjects are trained on together; a
        model could else not know what it can know, the *stimulus*.
    """
    by_scope: dict[str, Between]
    by_scope = {"within_subject": "trials", "within_session": "sessions", "across_subjects": "stimuli"}
    return by_scope[protocol.scope]


def exchangeable(table: pd.DataFrame, between: Between = "trials") -> tuple[Groups, list[str], np.ndarray]:
    """What may be exchanged, pool by pool.

    All presentations of a stimulus to a person go together: where a person meets a stimulus twice, a model that knows
    the stimulus keeps what it knows. Stimuli are exchanged only with those that were shown equally often. In a table
    without stimuli each trial is one.

    Args:
        table: window table, or predictions of one repetition.
        between: see `permuted_between`.

    Returns:
        The groups; the name of the pool that each belongs to; and the `(rows,)` trial of each row.
    """
    trial = row_codes(table, trial_key(table))
    heads = table.iloc[np.unique(trial, return_index=True)[1]]
    data = [name for name in ("dataset",) if name in table]
    subject = row_codes(heads, [*data, "subject"])
    stimulus = row_codes(heads, [*data, "stimulus"]) if "stimulus" in heads else np.arange(len(heads))
    if between == "stimuli":
        groups = _between_stimuli(stimulus, subject)
        return groups, [""] * len(groups), trial
    session = ["session"] if between == "sessions" and "session" in heads else []
    pool = row_codes(heads, [*data, "subject", *session])
    groups, names = [], []
    for one in range(pool.max(initial=-1) + 1):
        own = np.flatnonzero(pool == one)
        # In the order of their first trials, which are sorted.
        units = [own[stimulus[own] == code] for code in dict.fromkeys(stimulus[own].tolist())]
        first = heads.iloc[own[0]]
        name = "/".join(str(first[column]) for column in (*data, "subject"))
        # A session enters only where there is more than one: what was drawn before there were any stays.
        if session and heads["session"].iloc[np.flatnonzero(subject == subject[own[0]])].nunique() > 1:
            name += f"/{first['session']}"
        for size in sorted({len(unit) for unit in units}):
            groups.append(np.array([unit for unit in units if len(unit) == size]))
            names.append(name)
    return groups, names, trial


def _between_stimuli(stimulus: np.ndarray, subject: np.ndarray) -> Groups:
    """Stimuli as units, `(subject, presentation)` as slots."""
    n_stimuli, n_subjects = stimulus.max(initial=-1) + 1, subject.max(initial=-1) + 1
    # Number of the presentation of a stimulus to a subject, in the order of the trials.
    presentation = pd.Series(0, index=np.arange(len(stimulus))).groupby([subject, stimulus]).cumcount().to_numpy()
    n_slots = presentation.max(initial=0) + 1
    places = np.full((n_stimuli, n_subjects, n_slots), -1)
    places[stimulus, subject, presentation] = np.arange(len(stimulus))
    shown = (places >= 0).sum(axis=2).max(axis=1)
    return [places[shown == often].reshape(np.count_nonzero(shown == often), -1) for often in np.unique(shown)]


def exchanged(group: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Trial whose label each place of a group gets when unit `u` takes the place of unit `order[u]`.

    Where the other unit has no trial in a slot (a subject was not shown that stimulus), the order is followed until it
    reaches one that has: at the latest the unit itself.

    Args:
        group: `(units, slots)`.
        order: `(..., units)` permutations of the units.

    Returns:
        `(..., units, slots)` trial positions, -1 where the unit itself has none.
    """
    order = np.asarray(order)
    image = np.broadcast_to(order[..., np.newaxis], (*order.shape, group.shape[1])).copy()
    slots = np.arange(group.shape[1])
    has_trial = np.broadcast_to(group >= 0, image.shape)
    while (lost := (group[image, slots] < 0) & has_trial).any():
        following = np.take_along_axis(order, image.reshape(*order.shape[:-1], -1), axis=-1).reshape(image.shape)
        image = np.where(lost, following, image)
    return np.where(has_trial, group[image, slots], -1)


def permuted_ratings(
    table: pd.DataFrame,
    ratings: npt.ArrayLike,
    permutation: int,
    seed: int = 0,
    between: Between = "trials",
) -> np.ndarray:
    """Ratings unrelated to the signals, and as constant within a trial as ratings are.

    Within a subject, the ratings of its stimuli are exchanged among them, so that each subject keeps its numbers of
    trials of each class. Between stimuli: one permutation of the stimuli for all subjects; a trial takes the rating
    that the *same subject* gave to the stimulus that takes the place of its own. See `exchangeable`.

    A subject's shuffle depends on `seed`, `permutation` and its id alone, not on who else is in the table.

    Args:
        table: window table.
        ratings: `(rows,)` rating of each window, or `(rows, n)` for several, which move together. Where they vary
            within a trial, the trial counts with its median (the lower one of two).
        permutation: number of the permutation; 0 gives the ratings as they are.
        seed: non-negative.
        between: see `permuted_between`.

    Returns:
        Float64 of the shape of `ratings`.

    Example:
        >>> table = pd.DataFrame({"dataset": "deap", "subject": 1, "session": 1, "trial": [1, 1, 2, 2, 3, 3]})
        >>> permuted_ratings(table, [1, 1, 5, 5, 9, 9], permutation=2)
        array([9., 9., 1., 1., 5., 5.])
    """
    ratings = np.asarray(ratings, dtype=np.float64)
    if permutation == 0:
        return ratings
    groups, pools, trial = exchangeable(table, between)
    generators: dict[str, np.random.Generator] = {}
    donors = np.arange(trial.max(initial=-1) + 1)
    for group, pool in zip(groups, pools, strict=True):
        if pool not in generators:
            own = [] if between == "stimuli" else [zlib.crc32(pool.encode())]
            generators[pool] = np.random.default_rng([seed, permutation, *own])
        moved = exchanged(group, generators[pool].permutation(len(group)))
        donors[group[group >= 0]] = moved[group >= 0]
    return np.asarray(_of_trials(ratings, trial)[donors][trial])


def labeling_ratings(
    table: pd.DataFrame, ratings: npt.ArrayLike, labels: npt.ArrayLike, index: int, between: Between = "trials"
) -> np.ndarray:
    """Ratings of the distinct labeling of number `index`, where all of them are enumerated; 0 is the real one.

    Args:
        table: window table of one pool.
        ratings: `(rows,)` rating of each window, or `(rows, n)` for several.
        labels: `(rows,)` class of each window.
        index: from 0 to `n_labelings` - 1.
        between: see `permuted_between`.

    Returns:
        Float64 of the shape of `ratings`.
    """
    groups, _, trial = exchangeable(table, between)
    label = _of_trials(np.asarray(labels, dtype=np.float64), trial).astype(np.int64)
    donors = next(itertools.islice(enumerated_donors(groups, label), index, None))
    return np.asarray(_of_trials(np.asarray(ratings, dtype=np.float64), trial)[donors][trial])


def n_labelings(groups: Groups, label: np.ndarray) -> int:
    """Number of distinct labelings that exchanging the units of the groups can give.

    For each group n! / (m_1! m_2! ...), the m being how many units have the same labels in all slots.

    Args:
        groups: of `exchangeable`.
        label: `(trials,)` label of each trial.
    """
    total = 1
    for group in groups:
        profiles = collections.Counter(_profiles(group, label))
        total *= math.factorial(len(group))
        for count in profiles.values():
            total //= math.factorial(count)
    return total


def enumerated_donors(groups: Groups, label: np.ndarray) -> Iterator[np.ndarray]:
    """Each distinct labeling once, the real one first: `(trials,)` the trial whose label each trial gets.

    Args:
        groups: of `exchangeable`.
        label: `(trials,)` label of each trial.
    """
    arrangements = [list(_arrangements(_profiles(group, label))) for group in groups]
    for orders in itertools.product(*arrangements):
        donors = np.arange(len(label))
        for group, order in zip(groups, orders, strict=True):
            moved = exchanged(group, np.array(order, dtype=np.int64))
            donors[group[group >= 0]] = moved[group >= 0]
        yield donors


def _profiles(group: np.ndarray, label: np.ndarray) -> list[tuple[int, ...]]:
    """Labels of each unit in all slots, -1 where there is no trial."""
    return [tuple(row) for row in np.where(group >= 0, label[group], -1).tolist()]


def _arrangements(profiles: Sequence[tuple[int, ...]]) -> Iterator[list[int]]:
    """Orders of units that give distinct labelings: each arrangement of the profiles once, the real one first."""
    units: dict[tuple[int, ...], list[int]] = {}
    for unit, profile in enumerate(profiles):
        units.setdefault(profile, []).append(unit)
    kinds = list(units)

    def arranged(left: dict[tuple[int, ...], int], start: int) -> Iterator[list[tuple[int, ...]]]:
        if start == len(profiles):
            yield []
            return
        own = profiles[start]
        # The unit's own labels first, so that the first of all is the real labeling.
        for kind in [own, *(kind for kind in kinds if kind != own)]:
            if left[kind]:
                for rest in arranged({**left, kind: left[kind] - 1}, start + 1):
                    yield [kind, *rest]

    for arrangement in arranged({kind: len(own) for kind, own in units.items()}, 0):
        taken = {kind: iter(own) for kind, own in units.items()}
        yield [next(taken[kind]) for kind in arrangement]


def _of_trials(values: np.ndarray, trial: np.ndarray) -> np.ndarray:
    """Value of each trial: the median of its windows, the lower one of two."""
    # Of a frame with one column as of a series.
    medians = pd.DataFrame(values).groupby(trial).quantile(0.5, interpolation="lower").to_numpy()
    return np.asarray(medians).reshape(-1, *values.shape[1:])
