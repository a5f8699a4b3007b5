"""Generate an initial `channels.csv` from the channels of recordings, for the user to edit."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from keras_emotion.datasets.electrodes import (
    CHANNEL_FILE,
    LEFT_OUT,
    biosemi_cap,
    directions_from,
    egi_net,
    electrode_name,
    kind_by_name,
)
from keras_emotion.datasets.recording_files import (
    RECORDING_SUFFIXES,
    FileChannels,
    channels_in,
)
from keras_emotion.datasets.recording_search import find_recordings
from keras_emotion.datasets.status_channels import is_status_channel
from keras_emotion.schema import InputError
from keras_emotion.signals import electrode_directions, nearest_cell
from keras_emotion.tables import csv_bytes


@dataclasses.dataclass(frozen=True, eq=False)
class FirstChannel:
    """Row of the initial channel table.

    Args:
        name: channel name in the files.
        kind: one of `electrodes.KINDS`, or `none`.
        electrode: its 10-5 position, if its name contains but does not equal it; else empty.
        position: coordinates from a montage, or `None`.
        n_files: number of recordings with this channel.
        direction: `(3,)` unit vector from the head centre, from its electrode or its coordinates, here or in the file;
            `None` if these are unknown, and for other kinds.
    """

    name: str
    kind: str
    electrode: str
    position: tuple[float, float, float] | None
    n_files: int
    direction: np.ndarray | None


@dataclasses.dataclass(frozen=True)
class FirstChannelTable:
    """Result of `write_first_channels`.

    Args:
        path: the written table.
        channels: its rows, in file order.
        n_recordings: number of recordings that were read.
        notes: points to check.
        faults: unreadable recordings, one line each.
    """

    path: Path
    channels: tuple[FirstChannel, ...]
    n_recordings: int
    notes: tuple[str, ...]
    faults: tuple[str, ...]


def write_first_channels(root: Path, montage: str | None = None, grid: str | None = None) -> FirstChannelTable:
    """Write an initial `channels.csv` for a folder of recordings, with one row per channel in any of them.

    The kind is taken from the file or the channel's name; status channels of manufacturers (`is_status_channel`),
    triggers and channels of unknown kind get `none`, which leaves them out.

    Args:
        root: folder of the recordings, which may be in subfolders.
        montage: coordinates of the electrodes: a file that MNE reads (`.elc`, `.sfp`, `.locs`, ...), or the name of one
            of MNE's montages (`GSN-HydroCel-128`).
        grid: keep only the nearest EEG channel (by angle) for each cell of this layout (`signals.GRID_SHAPES`); the
            others get `none`. For nets with more electrodes than a grid has cells.

    Returns:
        What was found and written. Unreadable recordings are listed in its `faults`.

    Raises:
        InputError: the table exists, there is no readable recording, or the montage is unknown.
    """
    path = root / CHANNEL_FILE
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; expected a folder with recordings; check the path")
    if path.exists():
        raise InputError(f"{path}: file exists; move or delete it to write a new one")
    places = {} if montage is None else _montage_places(montage)
    search = find_recordings(root)
    read: dict[str, FileChannels] = {}
    faults = list(search.faults)
    for file in search.recordings:
        try:
            read[file.relative_to(root).as_posix()] = channels_in(file, root)
        except InputError as error:
            faults.append(str(error))
    if not read:
        endings = f"{', '.join(RECORDING_SUFFIXES)} (arrays with their sidecars)"
        raise InputError("\n".join(faults or [f"{root}: no recordings found; expected {endings}", *search.notes]))
    channels, notes = _first_channels(read, places)
    if grid is not None:
        channels, note = _one_for_each_cell(channels, grid)
        notes.append(note)
    if places and not any(channel.position for channel in channels):
        raise InputError(f"--montage {montage}: contains none of the EEG channels; it has {list_names(list(places))}")
    table = pd.DataFrame([_row(channel, bool(places)) for channel in channels])
    try:
        # Exclusive: never overwrites a file that was written in the meantime.
        with path.open("xb") as out:
            out.write(csv_bytes(table))
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from None
    return FirstChannelTable(path, tuple(channels), len(read), (*search.notes, *notes), tuple(faults))


def _row(channel: FirstChannel, has_positions: bool) -> dict[str, str]:
    row = {"name": channel.name, "kind": channel.kind, "electrode": channel.electrode, "factor": ""}
    if has_positions:
        row |= dict(zip("xyz", (f"{value:g}" for value in channel.position or ()), strict=False))
        row = {**dict.fromkeys((*row, *"xyz"), ""), **row}
    return row


def _first_channels(
    read: Mapping[str, FileChannels], places: Mapping[str, np.ndarray]
) -> tuple[list[FirstChannel], list[str]]:
    kinds: dict[str, collections.Counter[str]] = {}
    seen: dict[str, np.ndarray] = {}
    for of_file in read.values():
        own = [_kind(*entry) for entry in zip(of_file.names, of_file.kinds, of_file.is_undecided, strict=True)]
        eeg = [name for name, kind in zip(of_file.names, own, strict=True) if kind == "eeg"]
        for name, kind, direction in zip(of_file.names, own, of_file.directions, strict=True):
            if name.strip():
                kinds.setdefault(name.strip(), collections.Counter())[kind] += 1
                if np.isfinite(direction).all():
                    seen.setdefault(name.strip(), direction)
        sockets, of_cap = biosemi_cap(eeg) or ({}, {})
        of_cap = {name: of_cap.get(place, electrode_directions([place])[0]) for name, place in sockets.items()}
        seen = {**(egi_net(eeg) or {}), **seen, **of_cap}
    if places:
        listed = [name for name in kinds if _position(name, places) is not None]
        found = directions_from(np.array([_position(name, places) for name in listed]).reshape(-1, 3))
        seen |= dict(zip(listed, found, strict=True))
    channels, notes = [], []
    for name, counts in kinds.items():
        kind = counts.most_common(1)[0][0]
        if len(counts) > 1:
            notes.append(f"{name}: {' and '.join(counts)} in different files; written as {kind}")
        electrode = _electrode(name) if kind == "eeg" else None
        position = _position(name, places) if kind == "eeg" else None
        direction = electrode_directions([electrode])[0] if electrode else seen.get(name)
        channels.append(
            FirstChannel(
                name=name,
                kind=kind,
                electrode=electrode if electrode and electrode != name and name not in seen else "",
                position=None if position is None else tuple(position.tolist()),
                n_files=counts.total(),
                direction=direction if kind == "eeg" else None,
            )
        )
    of_some = [channel.name for channel in channels if channel.n_files < len(read)]
    if of_some:
        notes.append(f"not in all of the {len(read)} recordings: {list_names(of_some)}")
    return channels, notes


def _position(name: str, places: Mapping[str, np.ndarray]) -> np.ndarray | None:
    return places.get(name.lower(), places.get((_electrode(name) or "").lower()))


def _one_for_each_cell(channels: Sequence[FirstChannel], grid: str) -> tuple[list[FirstChannel], str]:
    """Keep only the EEG channel nearest to each cell of a grid, and return the channels and a note."""
    best: dict[tuple[int, int], tuple[float, int]] = {}
    placed = {place: one.direction for place, one in enumerate(channels) if one.direction is not None}
    for place, direction in placed.items():
        if (nearest := nearest_cell(direction, grid)) is not None:
            cell, degrees = nearest
            best[cell] = min(best.get(cell, (np.inf, -1)), (degrees, place))
    kept = {place for _, place in best.values()}
    found = [
        dataclasses.replace(channel, kind=LEFT_OUT) if place in placed and place not in kept else channel
        for place, channel in enumerate(channels)
    ]
    return found, f"{len(kept)} of {len(placed)} EEG channels kept for the {grid} grid, one for each cell"


def _kind(name: str, of_file: str | None, is_undecided: bool) -> str:
    if is_status_channel(name):
        return LEFT_OUT
    by_name = kind_by_name(name) if of_file == "eeg" or is_undecided else None
    return by_name or of_file or LEFT_OUT


def _electrode(name: str) -> str | None:
    # If several streams have EEG, channel names start with the stream's name.
    return electrode_name(name) or electrode_name(name.rpartition(":")[2])


def _montage_places(montage: str) -> dict[str, np.ndarray]:
    """Return coordinates in metres by lower-case name, from a file or one of MNE's montages."""
    import mne

    file = Path(montage)
    try:
        if file.is_file():
            found = mne.channels.read_custom_montage(file, verbose="ERROR")
        elif montage in mne.channels.get_builtin_montages():
            found = mne.channels.make_standard_montage(montage)
        else:
            known = ", ".join(mne.channels.get_builtin_montages())
            raise InputError(f"--montage {montage}: no such file or MNE montage; expected a file or one of {known}")
    except InputError:
        raise
    except Exception as error:  # each format raises its own exceptions
        raise InputError(f"--montage {montage}: cannot be read ({error})") from None
    return {name.lower(): place for name, place in found.get_positions()["ch_pos"].items()}


def list_names(names: Sequence[str]) -> str:
    """List the first ten names, and count the others.

    Example:
        >>> list_names(["Fp1", "Fp2"]), list_names([f"E{number}" for number in range(1, 13)])
        ('Fp1, Fp2', 'E1, E2, E3, E4, E5, E6, E7, E8, E9, E10 and 2 more')
    """
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
