"""Channels of a study: one list for all of its files, to which the features of each file are aligned by name."""

from __future__ import annotations

import collections
import dataclasses
import functools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, Self

import numpy as np

from keras_emotion.datasets.electrodes import comparable_names
from keras_emotion.schema import InputError, Recording

ChannelChoice = Literal["union", "intersection"]
"""Channels of a study: all that any file has, or those that every file has."""


Direction = tuple[float, float, float]
"""Direction of an electrode from the centre of the head: right, front, up."""


def direction_array(directions: Sequence[Direction | None]) -> np.ndarray:
    """Return `(channels, 3)` directions, NaN where unknown."""
    unknown = (math.nan,) * 3
    return np.array([unknown if one is None else one for one in directions], float).reshape(-1, 3)


@dataclasses.dataclass(frozen=True)
class ChannelSet:
    """Channels from which features were computed.

    Args:
        names: their names, in the order of the channel axes of the arrays.
        units: the unit of each.
        directions: `(right, front, up)` of each electrode as a unit vector, `None` if unknown.
        n_missing: number of windows whose recording lacks a channel, by its name; only channels of some windows are
            listed.
        n_windows: total number of windows.
    """

    names: tuple[str, ...]
    units: tuple[str, ...]
    directions: tuple[Direction | None, ...]
    n_missing: Mapping[str, int] = dataclasses.field(default_factory=dict)
    n_windows: int = 0

    @classmethod
    def of(cls, recording: Recording) -> Self:
        """Return the channels of a recording."""
        given = recording.electrode_directions
        directions = [(math.nan,) * 3] * len(recording.channel_names) if given is None else given.tolist()
        return cls(
            tuple(recording.channel_names),
            tuple(recording.units),
            tuple(tuple(one) if np.isfinite(one).all() else None for one in directions),
        )

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Self:
        """Create the channels from the result of `to_json`."""
        directions = tuple(None if one is None else tuple(one) for one in fields["directions"])
        return cls(
            tuple(fields["names"]), tuple(fields["units"]), directions, dict(fields["n_missing"]), fields["n_windows"]
        )

    def to_json(self) -> dict[str, Any]:
        """Return JSON-able fields."""
        return dataclasses.asdict(self)

    # Cached: batches use them repeatedly.
    @functools.cached_property
    def keys(self) -> tuple[str, ...]:
        """Normalised names for comparison with other files, independent of the spelling of an electrode."""
        return tuple(comparable_names(self.names))

    def places_of(self, wanted: ChannelSet) -> np.ndarray:
        """Return `(wanted channels,)` position of each here, -1 if it is missing."""
        own = {key: place for place, key in enumerate(self.keys)}
        return np.array([own.get(key, -1) for key in wanted.keys], dtype=int)


@dataclasses.dataclass(frozen=True)
class StudyChannels:
    """Channels of all files of a study, for one feature part.

    Args:
        choice: how they were chosen.
        channels: the channels, in the order of most files; further channels follow at the end.
        missing: number of windows without a channel, by subject and name of the channel.
        left_out: names of a subject's channels that the study leaves out.
        reordered: subjects whose files have another order of channels.
    """

    choice: ChannelChoice
    channels: ChannelSet
    missing: Mapping[int | str, Mapping[str, int]]
    left_out: Mapping[int | str, tuple[str, ...]]
    reordered: tuple[int | str, ...]

    @classmethod
    def of(cls, by_subject: Mapping[int | str, ChannelSet], choice: ChannelChoice) -> Self:
        """Choose the channels of a study from those of each subject.

        Args:
            by_subject: the channels of the features of each subject.
            choice: `"union"` or `"intersection"`.

        Raises:
            InputError: files give a channel in different units, or have no channel in common.
        """
        subjects, sets = list(by_subject), list(by_subject.values())
        # The order of most files, so that one odd file does not change the others and their results.
        orders = collections.Counter(one.keys for one in sets)
        most = max(orders.values())
        order = list(next(one.keys for one in sets if orders[one.keys] == most))
        known = dict.fromkeys(order)
        for one in sets:
            known.update(dict.fromkeys(one.keys))
        if choice == "intersection":
            # A channel that only some files of a subject have is not in every file.
            shared = set.intersection(
                *(
                    {key for key, name in zip(one.keys, one.names, strict=True) if name not in one.n_missing}
                    for one in sets
                )
            )
            known = {key: None for key in known if key in shared}
            if not known:
                raise InputError(
                    "the files have no channel in common; use --study-channels union for all that any file has"
                )
        wanted = _described(list(known), subjects, sets)
        missing, left_out, reordered = {}, {}, []
        for subject, one in by_subject.items():
            own = dict(zip(one.keys, one.names, strict=True))
            lacking = {
                name: one.n_missing[own[key]] if key in own else one.n_windows
                for key, name in zip(wanted.keys, wanted.names, strict=True)
                if own.get(key) is None or own[key] in one.n_missing
            }
            if lacking:
                missing[subject] = lacking
            if extra := tuple(name for key, name in own.items() if key not in known):
                left_out[subject] = extra
            if [key for key in one.keys if key in known] != [key for key in known if key in own]:
                reordered.append(subject)
        return cls(choice, wanted, missing, left_out, tuple(reordered))

    @property
    def differs(self) -> bool:
        """Whether the files differ in their channels."""
        return bool(self.missing or self.left_out or self.reordered)

    def notes(self) -> list[str]:
        """Return one sentence per change to the channels; none if all files have the same."""
        if not self.differs:
            return []
        number = len(self.channels.names)
        notes = [f"channels differ between the files: matched by name, {self.choice} of {number} channels"]
        if self.reordered:
            notes.append(f"reordered to the study's order: channels of {_subjects(self.reordered)}")
        imputed: dict[tuple[str, ...], dict[Any, int]] = {}
        for subject, lacking in self.missing.items():
            imputed.setdefault(tuple(lacking), {})[subject] = max(lacking.values())
        for names, counts in imputed.items():
            notes.append(
                f"imputed with the training mean of each fold (0 if no training row has it): {_names(names)} of "
                f"{_subjects(counts)}, in {sum(counts.values())} windows"
            )
        dropped: dict[tuple[str, ...], list[Any]] = {}
        for subject, names in self.left_out.items():
            dropped.setdefault(names, []).append(subject)
        for names, subjects in dropped.items():
            notes.append(f"left out, as not every file has them: {_names(names)} of {_subjects(subjects)}")
        return notes


def _names(names: Iterable[Any], at_most: int = 8) -> str:
    listed = [str(name) for name in names]
    if len(listed) <= at_most:
        return ", ".join(listed)
    return f"{', '.join(listed[:at_most])} and {len(listed) - at_most} more"


def _subjects(subjects: Iterable[Any]) -> str:
    listed = list(subjects)
    return f"subject{'s' if len(listed) > 1 else ''} {_names(listed)}"


def _described(keys: Sequence[str], subjects: Sequence[Any], sets: Sequence[ChannelSet]) -> ChannelSet:
    """Return name, unit and direction of each channel of the study, from the first file that has it."""
    names: dict[str, str] = {}
    units: dict[str, tuple[str, Any]] = {}
    directions: dict[str, Direction] = {}
    faults = []
    for subject, one in zip(subjects, sets, strict=True):
        for key, name, unit, direction in zip(one.keys, one.names, one.units, one.directions, strict=True):
            first_unit, first_subject = units.setdefault(key, (unit, subject))
            if unit != first_unit and key in keys:
                faults.append(
                    f"channel {name}: subject {first_subject} has it in {first_unit}, subject {subject} in {unit}; "
                    "give a factor in channels.csv, or kind none to leave it out"
                )
            names.setdefault(key, name)
            if direction is not None:
                directions.setdefault(key, direction)
    if faults:
        raise InputError("\n".join(faults))
    return ChannelSet(
        tuple(names[key] for key in keys),
        tuple(units[key][0] for key in keys),
        directions=tuple(directions.get(key) for key in keys),
    )


Change = Callable[[np.ndarray], np.ndarray]
"""Function from `(windows, ...)` to `(windows, ...)`, applied to each window independently."""


class ChangedArray:
    """Windows of an array, each transformed on reading: nothing is copied before.

    Args:
        stored: `(windows, ...)` array, memory-mapped or `JoinedArrays`.
        change: function of windows; it keeps their number and order.
    """

    def __init__(self, stored: Any, change: Change):
        self.stored, self._change = stored, change
        like = change(np.zeros((0, *stored.shape[1:]), stored.dtype))
        self.shape, self.dtype = (len(stored), *like.shape[1:]), like.dtype
        self.nbytes = math.prod(self.shape) * self.dtype.itemsize

    def __len__(self) -> int:
        return len(self.stored)

    def __getitem__(self, rows: Any) -> np.ndarray:
        asked = np.arange(len(self))[rows]
        values = self._change(np.asarray(self.stored[np.atleast_1d(asked)]))
        return values if np.ndim(asked) else values[0]


def take_channels(values: np.ndarray, axes: Sequence[int], places: np.ndarray) -> np.ndarray:
    """Reorder channels of arrays; NaN where a channel is missing.

    Args:
        values: `(windows, ...)` floating-point array.
        axes: its channel axes.
        places: `(wanted channels,)` position of each in `values`, -1 if it is missing.

    Example:
        >>> take_channels(np.array([[1.0, 2.0]]), (1,), np.array([1, -1, 0])).tolist()
        [[2.0, nan, 1.0]]
    """
    for axis in axes:
        values = np.take(values, np.maximum(places, 0), axis=axis)
        at: list[Any] = [slice(None)] * values.ndim
        at[axis] = places < 0
        values[tuple(at)] = np.nan
    return values


@dataclasses.dataclass(frozen=True, eq=False)
class Imputation:
    """Imputation of missing values by means over training windows.

    Args:
        means: means of one step, or of one window if it has no steps.
        is_unknown: the same shape: no training window has a value there, so that trained models cannot use it; all
            windows get 0 there.
    """

    means: np.ndarray
    is_unknown: np.ndarray

    @classmethod
    def fit(cls, array: Any, rows: np.ndarray, chunk: int = 1024) -> Self:
        """Compute means over some windows and their steps, of the available values.

        Args:
            array: `(windows, steps, ...)` or `(windows, features)`; NaN where a value is missing.
            rows: the training windows.
            chunk: number of windows read at a time.
        """
        first_axis = 2 if len(array.shape) > 2 else 1
        total = np.zeros(array.shape[first_axis:])
        count = np.zeros(array.shape[first_axis:], int)
        rows = np.sort(rows)
        for start in range(0, len(rows), chunk):
            values = np.asarray(array[rows[start : start + chunk]], np.float64).reshape(-1, *total.shape)
            is_there = ~np.isnan(values)
            total += np.where(is_there, values, 0).sum(axis=0)
            count += is_there.sum(axis=0)
        return cls((total / np.maximum(count, 1)).astype(array.dtype), count == 0)

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Return the windows with imputed values."""
        filled = np.where(np.isnan(values), self.means, values)
        return np.where(self.is_unknown, np.zeros((), values.dtype), filled) if self.is_unknown.any() else filled
