"""The channels of a study: one list for all of its files, to which the features of each file are brought by name."""

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
"""The channels of a study: all that some file has, or those that every file has."""


Direction = tuple[float, float, float]
"""From the centre of the head to an electrode: right, front, up."""


def direction_array(directions: Sequence[Direction | None]) -> np.ndarray:
    """`(channels, 3)` directions, NaN where they are not known."""
    unknown = (math.nan,) * 3
    return np.array([unknown if one is None else one for one in directions], float).reshape(-1, 3)


@dataclasses.dataclass(frozen=True)
class ChannelSet:
    """The channels that features were computed of.

    Args:
        names: their names, in the order of the channel axes of the arrays.
        units: the unit of each.
        directions: `(right, front, up)` of each electrode as a unit vector, `None` where it is not known.
        n_missing: windows whose recording lacks a channel, by its name; only channels that some windows have are named.
        n_windows: windows in all.
    """

    names: tuple[str, ...]
    units: tuple[str, ...]
    directions: tuple[Direction | None, ...]
    n_missing: Mapping[str, int] = dataclasses.field(default_factory=dict)
    n_windows: int = 0

    @classmethod
    def of(cls, recording: Recording) -> Self:
        """The channels of a recording."""
        given = recording.electrode_directions
        directions = [(math.nan,) * 3] * len(recording.channel_names) if given is None else given.tolist()
        return cls(
            tuple(recording.channel_names),
            tuple(recording.units),
            tuple(tuple(one) if np.isfinite(one).all() else None for one in directions),
        )

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Self:
        """The channels that `to_json` described."""
        directions = tuple(None if one is None else tuple(one) for one in fields["directions"])
        return cls(
            tuple(fields["names"]), tuple(fields["units"]), directions, dict(fields["n_missing"]), fields["n_windows"]
        )

    def to_json(self) -> dict[str, Any]:
        """JSON-able fields."""
        return dataclasses.asdict(self)

    # Once: what is made of windows asks for them with each batch.
    @functools.cached_property
    def keys(self) -> tuple[str, ...]:
        """What channels of other files are compared with, however these spell the same electrode."""
        return tuple(comparable_names(self.names))

    def places_of(self, wanted: ChannelSet) -> np.ndarray:
        """`(wanted channels,)` place of each here, -1 where it is missing."""
        own = {key: place for place, key in enumerate(self.keys)}
        return np.array([own.get(key, -1) for key in wanted.keys], dtype=int)


@dataclasses.dataclass(frozen=True)
class StudyChannels:
    """The channels of all files of a study, of one feature part.

    Args:
        choice: how they were chosen.
        channels: the channels; the order is that of most files, further channels come at its end.
        missing: number of windows without a channel, by subject and name of the channel.
        left_out: names of channels that a subject has and the study leaves out.
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
        # The order that most files have: with one odd file the others, and the numbers, stay as they are.
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
                    "the files have no channel in common; --study-channels union takes all that some file has"
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
        """What was done with the channels, a sentence each; none where all files have the same."""
        if not self.differs:
            return []
        number = len(self.channels.names)
        notes = [f"channels differ between the files: matched by name, {self.choice} of {number} channels"]
        if self.reordered:
            notes.append(f"put into the order of the study: channels of {_subjects(self.reordered)}")
        imputed: dict[tuple[str, ...], dict[Any, int]] = {}
        for subject, lacking in self.missing.items():
            imputed.setdefault(tuple(lacking), {})[subject] = max(lacking.values())
        for names, counts in imputed.items():
            notes.append(
                f"imputed from the training rows of each fold (0 where none of them has it): {_names(names)} of "
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
    """Name, unit and direction of each channel of the study, as the first file that has it gives them."""
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
    chosen = {"names": names, "units": {key: unit for key, (unit, _) in units.items()}}
    return ChannelSet(
        *(tuple(table[key] for key in keys) for table in chosen.values()),
        directions=tuple(directions.get(key) for key in keys),
    )


Change = Callable[[np.ndarray], np.ndarray]
"""From `(windows, ...)` to `(windows, ...)`, each window by itself."""


class ChangedArray:
    """The windows of an array, each changed when it is read: nothing is copied before.

    Args:
        stored: `(windows, ...)` array, memory-mapped or `JoinedArrays`.
        change: what is made of windows; it keeps their number and order.
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
    """Arrays in another order of channels; NaN where a channel is missing.

    Args:
        values: `(windows, ...)` floating-point array.
        axes: its axes of channels.
        places: `(wanted channels,)` place of each in `values`, -1 where it is missing.

    Example:
        >>> take_channels(np.array([[1.0, 2.0]]), (1,), np.array([1, -1, 0])).tolist()
        [[2.0, nan, 1.0]]
    """
    for axis in axes:
        values = np.take(values, np.maximum(places, 0), axis=axis)
        at = [slice(None)] * values.ndim
        at[axis] = places < 0
        values[tuple(at)] = np.nan
    return values


@dataclasses.dataclass(frozen=True, eq=False)
class Imputation:
    """What stands for missing values: means over training windows.

    Args:
        means: of one step, or of one window where it has no steps.
        is_unknown: the same shape: no training window has a value there, so that it means nothing to what is trained
            on them; there all windows have 0.
    """

    means: np.ndarray
    is_unknown: np.ndarray

    @classmethod
    def fit(cls, array: Any, rows: np.ndarray, chunk: int = 1024) -> Self:
        """Means over some windows and their steps, of the values that there are.

        Args:
            array: `(windows, steps, ...)` or `(windows, features)`; NaN where a value is missing.
            rows: the training windows.
            chunk: windows read at a time.
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
        """The windows, complete."""
        filled = np.where(np.isnan(values), self.means, values)
        return np.where(self.is_unknown, np.zeros((), values.dtype), filled) if self.is_unknown.any() else filled
