"""In which unit a file gives each of its channels, and what the samples that MNE reads have to be multiplied by."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from keras_emotion.datasets.brainvision_header import BRAINVISION_SUFFIXES, BrainVisionHeader
from keras_emotion.datasets.edf_records import EDF_SUFFIXES, EdfHeader
from keras_emotion.datasets.units import Unit, read_unit

if TYPE_CHECKING:
    import mne

VOLTAGE_KINDS = ("eeg", "eog", "ecg", "emg")
"""Kinds of channels that are potentials."""

_UNITS_OF_KIND = {
    **dict.fromkeys(VOLTAGE_KINDS, ("uV",)),
    "gsr": ("uS", "nS", "ohm", "kOhm"),
    "temperature": ("degC",),
}
"""Units that a kind of channel can have, where not any will do."""

# Codes of GDF for the prefixes and the units that the suite knows.
_GDF_PREFIXES = {0: "", 3: "k", 4: "M", 18: "m", 19: "u", 20: "n", 21: "p"}
_GDF_BASES = {4256: "V", 4288: "ohm", 6048: "degC", 544: "%"}


def units_of(
    raw: mne.io.BaseRaw, path: Path, kinds: Sequence[str | None], beside: Mapping[str, str]
) -> list[tuple[Unit, float]]:
    """The unit of each channel as the suite gives it, and the factor from what MNE reads.

    MNE makes volts of some voltages, leaves other units as they are, and makes a millionth of some; what it did to a
    channel is undone, and the unit taken from the file itself.

    Args:
        raw: what MNE made of the file.
        path: the file.
        kinds: what each channel is, one of `electrodes.KINDS`, or `None`.
        beside: units by name that a table beside the file gives, for channels of which the file itself says nothing;
            of potentials they do not count, since such tables tell in which unit a program gave them.

    Returns:
        `(unit, factor)` by channel. A voltage of which the file gives no unit is taken for volts, as MNE does.
    """
    suffix = path.suffix.lower()
    if (units_in_file := getattr(raw, "units_in_file", None)) is not None:
        # Read whole by this package, which leaves the values as they are.
        spelt, by_mne = list(units_in_file), [1.0] * len(kinds)
    elif suffix in (*EDF_SUFFIXES, ".gdf"):
        extras = raw._raw_extras[0]
        spelt = _edf_units(path, extras["sel"]) if suffix in EDF_SUFFIXES else _gdf_units(path, len(raw.ch_names))
        by_mne = list(extras["units"])
    elif suffix in BRAINVISION_SUFFIXES:
        by_channel = BrainVisionHeader.read(path).units
        spelt = [by_channel.get(row) for row in range(len(kinds))]
        by_mne = [channel["range"] for channel in raw.info["chs"]]
    elif suffix == ".set":
        # EEGLAB says nothing of units; potentials are in microvolt by its convention, and MNE makes volts of all.
        spelt = ["uV" if kind in VOLTAGE_KINDS else None for kind in kinds]
        by_mne = [1e-6] * len(kinds)
    else:
        spelt = [_unit_of_mne(raw, row) for row in range(len(kinds))]
        by_mne = [1.0] * len(kinds)
    found = []
    for name, text, factor, kind in zip(raw.ch_names, spelt, by_mne, kinds, strict=True):
        unit = read_unit(text)
        if kind not in VOLTAGE_KINDS and not text:
            unit = read_unit(beside.get(name))
        if kind in VOLTAGE_KINDS and not unit.is_known:
            unit, factor = dataclasses.replace(read_unit("V"), is_known=False), 1.0
        found.append((unit, float(f"{unit.factor / factor:.12g}")))
    return found


def notes_on_units(names: Sequence[str], kinds: Sequence[str], units: Sequence[Unit]) -> list[str]:
    """What a user has to know of the units of the channels of a file.

    Args:
        names: of the channels.
        kinds: what each is.
        units: of each, as in the file.
    """
    volts, others = [], []
    wrong: dict[tuple[str, str], list[str]] = {}
    for name, kind, unit in zip(names, kinds, units, strict=True):
        if not unit.is_known:
            (volts if kind in VOLTAGE_KINDS else others).append(name)
        elif unit.name not in _UNITS_OF_KIND.get(kind, (unit.name,)):
            wrong.setdefault((kind, unit.name), []).append(name)
    notes = []
    if volts:
        notes.append(f"no unit of voltage in the file, taken as volts: {', '.join(volts)}")
    if others:
        notes.append(f"unit not known, values are given as the file has them: {', '.join(others)}")
    for (kind, unit_name), of_kind in wrong.items():
        expected = " or ".join(_UNITS_OF_KIND[kind])
        notes.append(
            f"{', '.join(of_kind)}: {kind} in {unit_name}, expected {expected}; is the unit in the file right?"
        )
    return notes


def _edf_units(path: Path, rows: np.ndarray) -> list[str]:
    units = EdfHeader.read(path).units
    return [units[row] for row in rows]


def _gdf_units(path: Path, n_channels: int) -> list[str | None]:
    with path.open("rb") as file:
        head = file.read(256 + 104 * n_channels)
    if head[:4] != b"GDF " or float(head[4:8]) < 1.9:
        dimensions = [head[256 + 96 * n_channels + 8 * place :][:8] for place in range(n_channels)]
        return [dimension.split(b"\0")[0].decode("latin-1").strip() for dimension in dimensions]
    codes = np.frombuffer(head, "<u2", n_channels, 256 + 102 * n_channels).tolist()
    known = [(_GDF_PREFIXES.get(code & 31), _GDF_BASES.get(code & ~31)) for code in codes]
    return [None if None in parts else "".join(parts) for parts in known]


def _unit_of_mne(raw: mne.io.BaseRaw, row: int) -> str | None:
    """The unit in which MNE says that it gives a channel."""
    from mne.io.constants import FIFF

    known = {
        int(FIFF.FIFF_UNIT_V): "V",
        int(FIFF.FIFF_UNIT_S): "S",
        int(FIFF.FIFF_UNIT_OHM): "ohm",
        int(FIFF.FIFF_UNIT_CEL): "degC",
    }
    of_file = raw._orig_units.get(raw.ch_names[row])
    found = known.get(int(raw.info["chs"][row]["unit"]))
    # Readers that give volts whatever the file says, and keep what it says beside it.
    return None if found == "V" and of_file is not None and not read_unit(of_file).is_voltage else found
