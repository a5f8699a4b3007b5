"""Match channels to electrodes: channel kinds, 10-5 names and electrode directions."""

from __future__ import annotations

import dataclasses
import fnmatch
import functools
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from keras_emotion.schema import InputError
from keras_emotion.signals import electrode_directions, standard_name
from keras_emotion.tables import read_cells

CHANNEL_FILE = "channels.csv"
"""Optional file in the folder of the trial table with channel information that the recordings lack."""

KINDS = ("eeg", "eog", "ecg", "emg", "gsr", "resp", "temperature", "ppg", "bio", "misc")
"""Valid channel kinds."""

LEFT_OUT = "none"
"""Kind, in `channels.csv`, of a channel that is left out."""

FEWEST_COORDINATES = 8
"""Smallest number of electrodes with coordinates from which the head centre is estimated."""

COLUMNS = ("name", "kind", "electrode", "factor", "x", "y", "z", "file")
"""Columns of `channels.csv`; all but the first are optional."""

_PREFIX = re.compile(r"^(?:EEG|RAW)[\s._:]+", re.IGNORECASE)
_REFERENCE = re.compile(r"[\s._:/-]+(?:REF\d*|LE|RE|AR|AVG|CAR|[AM]1(?:\+?[AM]2)?|[AM]2)$", re.IGNORECASE)
_KIND_WORDS = re.compile(
    r"^(?:[HVLRIZT]?(?P<around>EOG|EMG)|(?P<eye>[HV]EO[LRUD]?)$|(?P<first>ECG|EKG|GSR|EDA|RESP|TEMP|PLET|PPG|BVP))",
    re.IGNORECASE,
)
_WORD_KINDS = {"EKG": "ecg", "EDA": "gsr", "TEMP": "temperature", "PLET": "ppg", "BVP": "ppg"}
_CAP_NAME = re.compile(r"[A-H][1-9]\d?")


@dataclasses.dataclass(frozen=True, eq=False)
class Channel:
    """Channel that is used.

    Args:
        row: its index in the file.
        name: its name in the loaded recording: for electrodes the 10-5 spelling, else the name in the file.
        kind: one of `KINDS`.
        factor: scale factor of its values, in addition to that from the file.
        direction: `(3,)` unit vector from the head centre to the electrode, NaN if unknown.
        name_in_file: its name in the file.
    """

    row: int
    name: str
    kind: str
    factor: float
    direction: np.ndarray
    name_in_file: str


class ChannelTable:
    """`channels.csv`: additions and corrections to the files' channel information, one row per channel or pattern.

    Columns, all but the first optional: `name`, as in the files, or a pattern (`EXG*`; case-sensitive); `kind`, one of
    `KINDS`, or `none` to leave a channel out; `electrode`, its 10-5 position; `factor`, a scale factor for its values;
    `x`, `y` and `z`, its coordinates (right, front, up), in any unit and origin that all rows share; `file`, the
    recordings that the row applies to, as paths relative to the folder or a pattern (`sub-004/*`), all of them if
    empty. Of several rows that match a channel, the first with an entry in a column is used.

    Args:
        path: the file; if it does not exist, the table is empty.

    Raises:
        InputError: the file is invalid, with one line per error.
    """

    def __init__(self, path: Path):
        self.path = path
        self.rows: list[dict[str, str]] = []
        if not path.is_file():
            return
        table = read_cells(path)
        table.columns = table.columns.str.strip()
        unknown = [name for name in table.columns if name not in COLUMNS]
        if "name" not in table.columns or unknown:
            raise InputError(
                f"{path}: found columns {', '.join(table.columns)}; expected name, and any of {', '.join(COLUMNS[1:])}"
            )
        faults = []
        for line, row in enumerate(table.to_dict("records"), start=2):
            row = {column: text.strip() for column, text in row.items()}
            if not any(row.values()):
                continue
            faults += [f"{path}: line {line}: {fault}" for fault in _faults_of_row(row)]
            self.rows.append(row)
        if faults:
            raise InputError("\n".join(faults))

    def of_file(self, path: Path) -> ChannelTable:
        """Return the rows that apply to a recording."""
        if not any(row.get("file") for row in self.rows):
            return self
        folder = self.path.parent
        name = path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.name
        own = ChannelTable(self.path)
        own.rows = [row for row in self.rows if fnmatch.fnmatchcase(name, row.get("file") or "*")]
        return own

    def entry(self, name: str, column: str) -> str | None:
        """Return a channel's entry in a column, or `None`."""
        name = name.strip()
        fitting = (
            row.get(column) for row in self.rows if name == row["name"] or fnmatch.fnmatchcase(name, row["name"])
        )
        return next(filter(None, fitting), None)

    def positions(self, names: Sequence[str]) -> np.ndarray:
        """Return channel coordinates, `(channels, 3)`; NaN if missing."""
        entries = [[self.entry(name, axis) or "nan" for axis in "xyz"] for name in names]
        return np.array(entries, dtype=float).reshape(-1, 3)


def _faults_of_row(row: Mapping[str, str]) -> list[str]:
    faults = []
    if not row["name"]:
        faults.append("name is empty; expected a channel name")
    if row.get("kind") and row["kind"] not in (*KINDS, LEFT_OUT):
        faults.append(f"kind is {row['kind']!r}; expected one of {', '.join((*KINDS, LEFT_OUT))}")
    if row.get("electrode") and standard_name(row["electrode"]) is None:
        faults.append(f"electrode is {row['electrode']!r}; expected a name of the 10-5 system")
    if row.get("factor") and (not _is_finite(row["factor"]) or float(row["factor"]) == 0):
        faults.append(f"factor is {row['factor']!r}; expected a number other than 0")
    given = [row.get(axis, "") for axis in "xyz"]
    if any(given) and not all(map(_is_finite, given)):
        faults.append(f"x, y, z are {', '.join(map(repr, given))}; expected three numbers, or none")
    return faults


def _is_finite(text: str) -> bool:
    try:
        return bool(np.isfinite(float(text)))
    except ValueError:
        return False


def electrode_name(channel_name: str) -> str | None:
    """Return the electrode in a channel name, without prefixes and suffixes of recorders.

    Args:
        channel_name: name in the file: `EEG Fp1-REF`, `Fc5.`, `EEG.AF3`, `RAW_TP9`, `T3-A1`.

    Returns:
        The 10-5 spelling of the electrode; `None` if there is none, or for a difference of two electrodes.

    Example:
        >>> electrode_name("EEG FP1-REF"), electrode_name("T3-A2"), electrode_name("RAW_TP9"), electrode_name("F3-C3")
        ('Fp1', 'T7', 'TP9', None)
    """
    bare = _PREFIX.sub("", channel_name.strip())
    candidates = (channel_name, bare, _REFERENCE.sub("", bare))
    return next(filter(None, map(standard_name, candidates)), None)


def kind_by_name(channel_name: str) -> str | None:
    """Return the channel kind given by the prefix of a channel name, as in EDF+; `None` if there is none.

    Example:
        >>> kind_by_name("EOG left"), kind_by_name("HEOL"), kind_by_name("GSR1"), kind_by_name("Fp1")
        ('eog', 'eog', 'gsr', None)
    """
    match = _KIND_WORDS.match(channel_name.strip())
    if match is None:
        return None
    word = "EOG" if match["eye"] else (match["around"] or match["first"]).upper()
    return _WORD_KINDS.get(word, word.lower())


def directions_from(positions_m: np.ndarray) -> np.ndarray:
    """Estimate electrode directions from coordinates, relative to the centre of the best-fitting sphere.

    Args:
        positions_m: `(channels, 3)` coordinates (right, front, up), NaN or all zero if missing.

    Returns:
        `(channels, 3)` unit vectors; NaN for missing coordinates, and for all channels if fewer than
            `FEWEST_COORDINATES` are given.
    """
    is_known = np.isfinite(positions_m).all(axis=1) & (positions_m != 0).any(axis=1)
    directions = np.full(positions_m.shape, np.nan)
    if is_known.sum() < FEWEST_COORDINATES:
        return directions
    known = positions_m[is_known]
    # |p|^2 = 2 p c + (r^2 - |c|^2) is linear in the centre c and the term in brackets.
    centre = np.linalg.lstsq(np.column_stack([2 * known, np.ones(len(known))]), (known**2).sum(axis=1), rcond=None)[0]
    away = known - centre[:3]
    directions[is_known] = away / np.linalg.norm(away, axis=1, keepdims=True)
    return directions


@functools.cache
def _cap(n_electrodes: int) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    """Return a BioSemi cap's electrodes by socket name (A1, ...), and directions of those outside the 10-5 system."""
    import mne

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        montage = mne.channels.make_standard_montage(f"biosemi{n_electrodes}")
    positions = montage.get_positions()["ch_pos"]
    sockets = [f"{letter}{number}" for letter in "ABCDEFGH" for number in range(1, 33)][:n_electrodes]
    if set(positions) == set(sockets):
        directions = directions_from(np.array([positions[name] for name in sockets]))
        return {name: name for name in sockets}, dict(zip(sockets, directions, strict=True))
    return dict(zip(sockets, montage.ch_names, strict=True)), {}


def biosemi_cap(names: Sequence[str]) -> tuple[dict[str, str], dict[str, np.ndarray]] | None:
    """Identify the BioSemi cap by its socket names (A1, A2, ..., B1, ...), if all of a cap are present.

    Returns:
        Electrodes by socket name, and directions of electrodes outside the 10-5 system (caps of 128 electrodes and
            more); `None` if the names identify no cap.
    """
    sockets = {name for name in names if _CAP_NAME.fullmatch(name)}
    if len(sockets) not in (16, 32, 64, 128, 160, 256):
        return None
    cap = _cap(len(sockets))
    return cap if sockets == set(cap[0]) else None


@functools.cache
def _net(n_electrodes: int) -> dict[str, np.ndarray]:
    """Return electrode directions of an EGI HydroCel net by name (E1, ...), and of its reference, Cz."""
    import mne

    name = {64: "GSN-HydroCel-65_1.0", 32: "GSN-HydroCel-32"}.get(n_electrodes, f"GSN-HydroCel-{n_electrodes + 1}")
    positions = mne.channels.make_standard_montage(name).get_positions()["ch_pos"]
    return dict(zip(positions, directions_from(np.array(list(positions.values()))), strict=True))


def egi_net(names: Sequence[str]) -> dict[str, np.ndarray] | None:
    """Identify EGI's HydroCel net by its electrode names (E1, E2, ...), and return their directions.

    Args:
        names: channel names; all of a net of 32, 64, 128 or 256 have to be present.

    Returns:
        Directions by name; `None` if the names identify no net.
    """
    numbers = sorted(int(name[1:]) for name in names if re.fullmatch(r"E[1-9]\d{0,2}", name))
    if len(numbers) not in (32, 64, 128, 256) or numbers != list(range(1, len(numbers) + 1)):
        return None
    return _net(len(numbers))


def comparable_names(channel_names: Sequence[str]) -> list[str]:
    """Normalise channel names for comparison between files: electrode names, else the name in lower case.

    Example:
        >>> comparable_names(["EEG FP1-REF", "Fcz.", "t3", "Fp1-F7", "EOG  left"])
        ['Fp1', 'FCz', 'T7', 'fp1-f7', 'eog left']
    """
    sockets, _ = biosemi_cap(channel_names) or ({}, {})
    plain = [" ".join(name.split()).lower() for name in channel_names]
    return [sockets.get(name) or electrode_name(name) or low for name, low in zip(channel_names, plain, strict=True)]


def match_channels(wanted: Sequence[str], available: Sequence[str]) -> dict[str, int]:
    """Match channels by `comparable_names`.

    Args:
        wanted: distinct channel names.
        available: channel names, in the order of the channels axis.

    Returns:
        `{wanted name: index in available}`, in the order of `wanted`, without missing channels.

    Raises:
        InputError: two available channels match one wanted channel.

    Example:
        >>> match_channels(["T7", "Oz", "Cz"], ["EEG CZ-REF", "EEG T3-REF"])
        {'T7': 1, 'Cz': 0}
    """
    places: dict[str, list[int]] = {}
    for index, name in enumerate(comparable_names(available)):
        places.setdefault(name, []).append(index)
    found = {name: places[key] for name, key in zip(wanted, comparable_names(wanted), strict=True) if key in places}
    for name, indices in found.items():
        if len(indices) > 1:
            raise InputError(
                f"channels {' and '.join(available[index] for index in indices)} are both {name}; expected one; leave "
                "one out"
            )
    return {name: indices[0] for name, indices in found.items()}


def channels_of(
    names: Sequence[str],
    kinds: Sequence[str | None],
    positions_m: np.ndarray | None,
    table: ChannelTable,
    any_names: bool = False,
    undecided: Sequence[bool] | None = None,
) -> tuple[tuple[Channel, ...], list[str], list[str]]:
    """Select the usable channels of a file, and report faults and assumptions.

    Args:
        names: channel names in the file.
        kinds: channel kinds in the file: `"eeg"` if unspecific, `None` for non-signals (triggers).
        positions_m: `(channels, 3)` coordinates in the file, NaN if missing.
        table: the user's channel information.
        any_names: allow any names, also duplicates, and recordings without EEG: for callers that select channels by
            name and ignore the others.
        undecided: which channels have no kind in the file, so that the prefix of their name is used; a channel of
            unknown kind is left out. By default none.

    Returns:
        `(channels, faults, notes)`.
    """
    of_file = np.full((len(names), 3), np.nan) if positions_m is None else positions_m
    of_table = table.positions(names)
    has_own_positions = np.isfinite(of_table).any()
    said = [table.entry(name, "kind") for name in names]
    by_name = [kind == "eeg" or is_open for kind, is_open in zip(kinds, undecided or [False] * len(names), strict=True)]
    found = [
        user or (kind_by_name(name) or kind if may_be else kind)
        for name, kind, user, may_be in zip(names, kinds, said, by_name, strict=True)
    ]
    is_eeg = np.array([kind == "eeg" for kind in found], dtype=bool)
    cap = biosemi_cap([name for name, wanted in zip(names, is_eeg, strict=True) if wanted])
    sockets, cap_directions = cap or ({}, {})
    # Never both: their units and origins may differ.
    seen = directions_from(np.where(is_eeg[:, np.newaxis], of_table if has_own_positions else of_file, np.nan))
    channels, unknown = [], []
    sources: dict[str, str] = {}
    faults, notes = [], []
    if has_own_positions and np.isnan(seen).all():
        faults.append(
            f"{table.path.name} gives coordinates for {int(np.isfinite(of_table[is_eeg]).all(axis=1).sum())} of its "
            f"EEG channels; expected at least {FEWEST_COORDINATES} to estimate the head centre"
        )
    # All names of the file are used to identify the net, although some channels may be left out.
    if np.isnan(seen).all() and (net := egi_net(names)):
        seen = np.array([net.get(name, np.full(3, np.nan)) for name in names])
        notes.append(
            f"E1, E2, ... read as EGI's HydroCel net of {sum(name.startswith('E') for name in net)} electrodes; if it "
            f"is another net, give coordinates in {table.path.name}"
        )
    for row, (name, kind) in enumerate(zip(names, found, strict=True)):
        if kind is None or kind == LEFT_OUT:
            continue
        called, direction = name, np.full(3, np.nan)
        if kind == "eeg":
            electrode = standard_name(table.entry(name, "electrode") or "") or sockets.get(name) or electrode_name(name)
            called = electrode or name
            direction = cap_directions.get(called)
            if direction is None:
                direction = electrode_directions([called])[0] if electrode else seen[row]
            if electrode is None and np.isnan(direction).any():
                unknown.append(name)
        if called in sources and not any_names:
            faults.append(f"channels {sources[called]} and {name} are both {called}; expected one; leave one out")
        sources.setdefault(called, name)
        channels.append(Channel(row, called, kind, float(table.entry(name, "factor") or 1), direction, name))
    if unknown and not any_names:
        of_cap = sum(bool(_CAP_NAME.fullmatch(name)) for name in unknown) > 1
        hint = "; A1, B1, ... are read as BioSemi sockets only if all of a cap are present" if of_cap else ""
        faults.append(
            f"channel {', '.join(unknown)}: not in the 10-5 system and without coordinates{hint}; expected an "
            f"electrode; give electrode, coordinates or kind (none: leave out) in {table.path.name}; "
            "keras-emotion init-channels writes that file"
        )
    if not is_eeg.any() and not any_names:
        faults.append(f"no EEG channel; found {', '.join(names)}")
    if cap is not None:
        notes.append(f"A1, A2, ... read as the sockets of BioSemi's cap of {len(sockets)} electrodes")
    unused = [name for name, kind in zip(names, found, strict=True) if kind is None]
    if unused:
        notes.append(
            f"channels of unknown kind left out: {', '.join(unused)} (to use them, give their kind in "
            f"{table.path.name})"
        )
    left_out = [name for name, kind in zip(names, said, strict=True) if kind == LEFT_OUT]
    if left_out:
        notes.append(f"left out according to {table.path.name}: {', '.join(left_out)}")
    return tuple(channels), faults, notes
