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
"""Smallest number of distinct labelings with a p-value: with fewer, none could be below 0.05."""

FEW_LABELINGS = 200
"""With fewer distinct labelings than this, all are enumerated instead of drawn at random."""

Groups = list[np.ndarray]
"""Matrices `(units, slots)` of trial positions, -1 where there is none: the units of a matrix are exchanged slot by
slot. A unit is a stimulus; a slot is a presentation of it (to one of the subjects)."""


def permuted_between(protocol: Protocol) -> Between:
    """Return the units between which a protocol's labels are exchanged: within the rows of one model.

    Returns:
        `"trials"`: the stimuli of each subject. `"sessions"`: the stimuli of each session of each subject. `"stimuli"`:
        stimuli, alike for all subjects, where one model is trained on the rows of all subjects; otherwise the null
        distribution would exclude knowledge of the *stimulus*.
    """
    by_scope: dict[str, Between]
    by_scope = {"within_subject": "trials", "within_session": "sessions", "across_subjects": "stimuli"}
    return by_scope[protocol.scope]


def exchangeable(table: pd.DataFrame, between: Between = "trials") -> tuple[Groups, list[str], np.ndarray]:
    """Return the exchangeable units, pool by pool.

    All presentations of a stimulus to a subject move together: where a subject sees a stimulus twice, a model that
    recognises the stimulus keeps this advantage. Stimuli are exchanged only with those that were shown equally often.
    In a table without stimuli each trial counts as one.

    Args:
        table: window table, or predictions of one repetition.
        between: see `permuted_between`.

    Returns:
        The groups; the name of each group's pool; and the `(rows,)` trial of each row.
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
        # The session enters only where there are several, so that earlier seeded permutations stay the same.
        if session and heads["session"].iloc[np.flatnonzero(subject == subject[own[0]])].nunique() > 1:
            name += f"/{first['session']}"
        for size in sorted({len(unit) for unit in units}):
            groups.append(np.array([unit for unit in units if len(unit) == size]))
            names.append(name)
    return groups, names, trial


def _between_stimuli(stimulus: np.ndarray, subject: np.ndarray) -> Groups:
    """Return stimuli as units, `(subject, presentation)` as slots."""
    n_stimuli, n_subjects = stimulus.max(initial=-1) + 1, subject.max(initial=-1) + 1
    # Index of the presentation of a stimulus to a subject, in the order of the trials.
    presentation = pd.Series(0, index=np.arange(len(stimulus))).groupby([subject, stimulus]).cumcount().to_numpy()
    n_slots = presentation.max(initial=0) + 1
    places = np.full((n_stimuli, n_subjects, n_slots), -1)
    places[stimulus, subject, presentation] = np.arange(len(stimulus))
    shown = (places >= 0).sum(axis=2).max(axis=1)
    return [places[shown == often].reshape(np.count_nonzero(shown == often), -1) for often in np.unique(shown)]


def exchanged(group: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Return the trial whose label each place of a group gets when unit `order[u]` replaces unit `u`.

    If the other unit has no trial in a slot (a subject was not shown that stimulus), the order is followed until a unit
    has one: at the latest the unit itself.

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
    """Permute ratings: unrelated to the signals, and as constant within a trial as before.

    Within a subject, the ratings of its stimuli are exchanged, so that each subject keeps its number of trials of each
    class. Between stimuli: one permutation of the stimuli for all subjects; a trial takes the rating that the *same
    subject* gave to the stimulus that replaces its own. See `exchangeable`.

    A subject's permutation depends only on `seed`, `permutation` and its id, not on the other subjects of the table.

    Args:
        table: window table.
        ratings: `(rows,)` rating of each window, or `(rows, n)` for several, which move together. Where they vary
            within a trial, its median counts (the lower one of two).
        permutation: number of the permutation; 0 returns the ratings unchanged.
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
    """Return the ratings of distinct labeling number `index`, where all of them are enumerated; 0 is the real one.

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
    """Count the distinct labelings that exchanging the units of the groups can give.

    For each group n! / (m_1! m_2! ...), where the m count the units with the same labels in all slots.

    Args:
        groups: groups of `exchangeable`.
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
    """Enumerate the distinct labelings, the real one first: `(trials,)` the trial whose label each trial gets.

    Args:
        groups: groups of `exchangeable`.
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
    """Return the labels of each unit in all slots, -1 where there is no trial."""
    return [tuple(row) for row in np.where(group >= 0, label[group], -1).tolist()]


def _arrangements(profiles: Sequence[tuple[int, ...]]) -> Iterator[list[int]]:
    """Enumerate orders of units with distinct labelings: each arrangement of the profiles once, the real one first."""
    units: dict[tuple[int, ...], list[int]] = {}
    for unit, profile in enumerate(profiles):
        units.setdefault(profile, []).append(unit)
    kinds = list(units)

    def arranged(left: dict[tuple[int, ...], int], start: int) -> Iterator[list[tuple[int, ...]]]:
        if start == len(profiles):
            yield []
            return
        own = profiles[start]
        # The unit's own labels first, so that the real labeling comes first.
        for kind in [own, *(kind for kind in kinds if kind != own)]:
            if left[kind]:
                for rest in arranged({**left, kind: left[kind] - 1}, start + 1):
                    yield [kind, *rest]

    for arrangement in arranged({kind: len(own) for kind, own in units.items()}, 0):
        taken = {kind: iter(own) for kind, own in units.items()}
        yield [next(taken[kind]) for kind in arrangement]


def _of_trials(values: np.ndarray, trial: np.ndarray) -> np.ndarray:
    """Return the value of each trial: the median of its windows, the lower one of two."""
    # Works for a one-column frame as for a series.
    medians = pd.DataFrame(values).groupby(trial).quantile(0.5, interpolation="lower").to_numpy()
    return np.asarray(medians).reshape(-1, *values.shape[1:])
