"""Names of EEG channels: one spelling for what files spell in many ways."""

from __future__ import annotations

import re
from collections.abc import Sequence

from keras_emotion.schema import InputError

OLD_NAMES = {"T3": "T7", "T4": "T8", "T5": "P7", "T6": "P8"}
"""Names of the 10-20 system that the 10-10 system changed."""

_REFERENCES = ("REF", "LE", "AR", "AVG", "AV", "CAR", "A1", "A2", "A1A2", "M1", "M2", "M1M2", "CZREF")
_PREFIX = re.compile(r"^EEG(?=[\s:_-])[\s:_-]*", re.IGNORECASE)
_REFERENCE = re.compile(rf"[\s_-]+({'|'.join(_REFERENCES)})$", re.IGNORECASE)


def canonical_channel_name(channel_name: str) -> str:
    """A channel's name as the 10-10 system spells it.

    What does not count: case, spaces, dots at the end, `EEG` before the name, a common reference after it (`-REF`,
    `-LE`, `-A1`, `-M2`, `-AVG` ...), and the old names T3, T4, T5, T6. The difference of two electrodes (`Fp1-F7`)
    stays what it is, as do names that are none of an electrode.

    Example:
        >>> [canonical_channel_name(name) for name in ("EEG FP1-REF", "Fcz.", "t3", "EEG P3-A2", "Fp1-F7", "Status")]
        ['Fp1', 'FCz', 'T7', 'P3', 'Fp1-F7', 'Status']
    """
    name = _REFERENCE.sub("", _PREFIX.sub("", channel_name.strip().rstrip(".")))
    name = "".join(name.split()).rstrip(".")
    if not re.fullmatch(r"[A-Za-z]{1,3}(?:\d{1,2}|[Zz])", name):
        return name
    name = OLD_NAMES.get(name.upper(), name.upper())
    name = name[:-1] + "z" if name.endswith("Z") else name
    return "Fp" + name[2:] if name.startswith("FP") else name


def match_channels(wanted: Sequence[str], available: Sequence[str]) -> dict[str, int]:
    """Where the wanted channels are among those that there are, by `canonical_channel_name`.

    Args:
        wanted: names, no two of the same channel.
        available: names, in the order of the channels axis.

    Returns:
        `{wanted name: index in available}`, in the order of `wanted`, without those that are missing.

    Raises:
        InputError: two of the available channels have the name of a wanted one.

    Example:
        >>> match_channels(["T7", "Oz", "Cz"], ["EEG CZ-REF", "EEG T3-REF"])
        {'T7': 1, 'Cz': 0}
    """
    places: dict[str, list[int]] = {}
    for index, name in enumerate(available):
        places.setdefault(canonical_channel_name(name), []).append(index)
    found = {name: places[canonical_channel_name(name)] for name in wanted if canonical_channel_name(name) in places}
    for name, indices in found.items():
        if len(indices) > 1:
            raise InputError(
                f"channels {' and '.join(available[index] for index in indices)} are both {name}; leave one out"
            )
    return {name: indices[0] for name, indices in found.items()}
