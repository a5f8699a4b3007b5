"""Determine the unit of each channel of a file, and the factor from the samples as MNE reads them."""

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
"""Channel kinds that are potentials."""

_UNITS_OF_KIND = {
    **dict.fromkeys(VOLTAGE_KINDS, ("uV",)),
    "gsr": ("uS", "nS", "ohm", "kOhm"),
    "temperature": ("degC",),
}
"""Plausible units of a channel kind, if restricted."""

# GDF codes of the supported prefixes and units.
_GDF_PREFIXES = {0: "", 3: "k", 4: "M", 18: "m", 19: "u", 20: "n", 21: "p"}
_GDF_BASES = {4256: "V", 4288: "ohm", 6048: "degC", 544: "%"}


def units_of(
    raw: mne.io.BaseRaw, path: Path, kinds: Sequence[str | None], sidecar_units: Mapping[str, str]
) -> list[tuple[Unit, float]]:
    """Return the unit of each channel in the loaded recording, and the factor from MNE's values.

    MNE converts some voltages to volts, leaves other units unchanged, and divides some by a million; this conversion is
    undone, and the unit is taken from the file.

    Args:
        raw: the recording as MNE read it.
        path: the file.
        kinds: kind of each channel, one of `electrodes.KINDS`, or `None`.
        sidecar_units: units by channel name from a sidecar table, for channels without a unit in the file itself;
            ignored for potentials, since such tables give the unit in which some program exported them.

    Returns:
        `(unit, factor)` by channel. A voltage without a unit in the file is read as volts, as MNE does.
    """
    suffix = path.suffix.lower()
    if (units_in_file := getattr(raw, "units_in_file", None)) is not None:
        # Read by this package, which leaves the values unchanged.
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
        # EEGLAB files have no units; potentials are in microvolts by convention, and MNE converts all to volts.
        spelt = ["uV" if kind in VOLTAGE_KINDS else None for kind in kinds]
        by_mne = [1e-6] * len(kinds)
    else:
        spelt = [_unit_of_mne(raw, row) for row in range(len(kinds))]
        by_mne = [1.0] * len(kinds)
    found = []
    for name, text, factor, kind in zip(raw.ch_names, spelt, by_mne, kinds, strict=True):
        unit = read_unit(text)
        if kind not in VOLTAGE_KINDS and not text:
            unit = read_unit(sidecar_units.get(name))
        if kind in VOLTAGE_KINDS and not unit.is_known:
            unit, factor = dataclasses.replace(read_unit("V"), is_known=False), 1.0
        found.append((unit, float(f"{unit.factor / factor:.12g}")))
    return found


def notes_on_units(names: Sequence[str], kinds: Sequence[str], units: Sequence[Unit]) -> list[str]:
    """Return notes on missing, unknown and implausible units of a file's channels.

    Args:
        names: channel names.
        kinds: channel kinds.
        units: channel units, as in the file.
    """
    volts: list[str] = []
    others: list[str] = []
    wrong: dict[tuple[str, str], list[str]] = {}
    for name, kind, unit in zip(names, kinds, units, strict=True):
        if not unit.is_known:
            (volts if kind in VOLTAGE_KINDS else others).append(name)
        elif unit.name not in _UNITS_OF_KIND.get(kind, (unit.name,)):
            wrong.setdefault((kind, unit.name), []).append(name)
    notes = []
    if volts:
        notes.append(f"voltage unit missing in the file, read as volts: {', '.join(volts)}")
    if others:
        notes.append(f"unknown unit, values unchanged: {', '.join(others)}")
    for (kind, unit_name), of_kind in wrong.items():
        expected = " or ".join(_UNITS_OF_KIND[kind])
        notes.append(f"{', '.join(of_kind)}: {kind} in {unit_name}, expected {expected}; check the unit in the file")
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
    return [None if prefix is None or base is None else prefix + base for prefix, base in known]


def _unit_of_mne(raw: mne.io.BaseRaw, row: int) -> str | None:
    """Return the unit in which MNE declares to give a channel."""
    from mne.io.constants import FIFF

    known = {
        int(FIFF.FIFF_UNIT_V): "V",
        int(FIFF.FIFF_UNIT_S): "S",
        int(FIFF.FIFF_UNIT_OHM): "ohm",
        int(FIFF.FIFF_UNIT_CEL): "degC",
    }
    of_file = raw._orig_units.get(raw.ch_names[row])
    found = known.get(int(raw.info["chs"][row]["unit"]))
    # Readers that always convert to volts, and keep the file's unit only as metadata.
    return None if found == "V" and of_file is not None and not read_unit(of_file).is_voltage else found
