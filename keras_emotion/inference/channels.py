"""Match the channels of a recording or a stream with those of a model."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from keras_emotion.datasets.electrodes import match_channels
from keras_emotion.datasets.units import read_unit
from keras_emotion.schema import InputError

SMALLEST_SHARE = 0.5
"""Share of a model's channels that a recording must have."""

_OTHERWISE = {"kOhm": ("ohm", 1e3), "nS": ("uS", 1e-3)}


@dataclasses.dataclass(frozen=True, eq=False)
class Channels:
    """Channels of a recording that a model reads.

    Args:
        names: as named in the model, in its order.
        places: their positions in the recording.
        missing: names of the model's channels that the recording lacks, or that cannot be used.
        scales: `(channels, 1)`, factors from the recording's to the model's units.
        unusable: reasons for missing channels that exist but cannot be used.
    """

    names: tuple[str, ...]
    places: tuple[int, ...]
    missing: tuple[str, ...]
    scales: np.ndarray
    unusable: Mapping[str, str]


def matched(
    wanted: Mapping[str, str],
    channel_names: Sequence[str],
    source: object,
    units: Sequence[str] | None = None,
    unusable: Mapping[int, str] | None = None,
    must_be_all: bool = False,
) -> Channels:
    """Match the channels of a model with those of a recording: same name, compatible unit.

    Args:
        wanted: unit of each channel of the model, by name.
        channel_names: names in the recording.
        source: the recording, for messages.
        units: their units; default: microvolts.
        unusable: reasons why some of them cannot be used, by position; they count as missing.
        must_be_all: whether all channels are required.

    Raises:
        InputError: the recording has fewer than half of the model's channels, or not all if they are required, or two
            with the same name.
    """
    try:
        found = match_channels(list(wanted), channel_names)
    except InputError as error:
        raise InputError(f"{source}: {error}") from None
    unit_of = ["uV"] * len(channel_names) if units is None else units
    scales = {name: _scale(unit_of[place], wanted[name]) for name, place in found.items()}
    unused = {name: unusable[place] for name, place in found.items() if unusable and place in unusable}
    found = {name: place for name, place in found.items() if scales[name] is not None and name not in unused}
    missing = tuple(name for name in wanted if name not in found)
    said = "".join(f"; {name}: {reason}" for name, reason in unused.items())
    if len(found) < SMALLEST_SHARE * len(wanted):
        raise InputError(
            f"{source}: has {len(found)} of the model's {len(wanted)} channels, but half are needed; it has "
            f"{', '.join(channel_names)}; the model was trained on {', '.join(wanted)}{said}"
        )
    if missing and must_be_all:
        raise InputError(
            f"{source}: has no {', '.join(missing)}, but the features of the model need all channels that it was "
            f"trained on{said}"
        )
    return Channels(tuple(found), tuple(found.values()), missing, np.array([[scales[name]] for name in found]), unused)


def _scale(unit: str, wanted: str) -> float | None:
    """Return the factor from one unit to another; `None` if they are incompatible."""
    if unit == wanted:
        return 1.0
    given, asked = read_unit(unit), read_unit(wanted)
    (kind, per_given), (kind_wanted, per_wanted) = (_OTHERWISE.get(one.name, (one.name, 1.0)) for one in (given, asked))
    if not given.is_known or not asked.is_known or kind != kind_wanted:
        return None
    return given.factor * per_given / (asked.factor * per_wanted)
