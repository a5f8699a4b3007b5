"""Which channel of a recording is which electrode, what the others are, and where electrodes lie on the head."""

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
"""File beside the table of trials that says what the recordings themselves do not say of their channels."""

KINDS = ("eeg", "eog", "ecg", "emg", "gsr", "resp", "temperature", "ppg", "bio", "misc")
"""What a channel can be."""

LEFT_OUT = "none"
"""Kind, in `channels.csv`, of a channel that is not used."""

FEWEST_COORDINATES = 8
"""Electrodes with coordinates that a file needs, for the centre of the head to be found from them."""

COLUMNS = ("name", "kind", "electrode", "factor", "x", "y", "z", "file")
"""Columns of `channels.csv`; all but the first may be missing."""

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
    """A channel that is used.

    Args:
        row: its place in the file.
        name: name in the recordings given: that of the electrode as the 10-5 system spells it, else that of the file.
        kind: one of `KINDS`.
        factor: what its values are multiplied by, besides what the file says.
        direction: `(3,)` from the centre of the head to the electrode, NaN where that is not known.
        name_in_file: as the file spells it.
    """

    row: int
    name: str
    kind: str
    factor: float
    direction: np.ndarray
    name_in_file: str


class ChannelTable:
    """`channels.csv`: a row for each channel, or pattern of channels, of which the files say too little or wrong.

    Columns, all but the first optional: `name`, as in the files, or a pattern (`EXG*`; case counts); `kind`, one of
    `KINDS` or `none` for a channel to leave out; `electrode`, the place in the 10-5 system where it lies; `factor`,
    what its values have to be multiplied by; `x`, `y` and `z`, its coordinates (right, front, up), in any unit and from
    any origin that all rows share; `file`, the recordings that the row is about, by their paths from the folder or a
    pattern (`sub-004/*`), all of them where it is empty. Of several rows that fit a channel, the first with an entry in
    a column counts there.

    Args:
        path: the file; where there is none, nothing is said of any channel.

    Raises:
        InputError: the file is no such table, with a line for each thing wrong.
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
                f"{path}: has the columns {', '.join(table.columns)}; expected name, and any of "
                f"{', '.join(COLUMNS[1:])}"
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
        """The rows that are about a recording."""
        if not any(row.get("file") for row in self.rows):
            return self
        folder = self.path.parent
        name = path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.name
        own = ChannelTable(self.path)
        own.rows = [row for row in self.rows if fnmatch.fnmatchcase(name, row.get("file") or "*")]
        return own

    def entry(self, name: str, column: str) -> str | None:
        """What is said of a channel in a column, `None` where nothing is."""
        name = name.strip()
        fitting = (
            row.get(column) for row in self.rows if name == row["name"] or fnmatch.fnmatchcase(name, row["name"])
        )
        return next(filter(None, fitting), None)

    def positions(self, names: Sequence[str]) -> np.ndarray:
        """Coordinates of channels, `(channels, 3)`; NaN where the table has none."""
        entries = [[self.entry(name, axis) or "nan" for axis in "xyz"] for name in names]
        return np.array(entries, dtype=float).reshape(-1, 3)


def _faults_of_row(row: Mapping[str, str]) -> list[str]:
    faults = []
    if not row["name"]:
        faults.append("name is empty; expected that of a channel")
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
    """The electrode that a channel is named after: without what recorders put around it.

    Args:
        channel_name: as in the file: `EEG Fp1-REF`, `Fc5.`, `EEG.AF3`, `RAW_TP9`, `T3-A1`.

    Returns:
        The name as the 10-5 system spells it; `None` where it is none of it (so for a difference of two electrodes).

    Example:
        >>> electrode_name("EEG FP1-REF"), electrode_name("T3-A2"), electrode_name("RAW_TP9"), electrode_name("F3-C3")
        ('Fp1', 'T7', 'TP9', None)
    """
    bare = _PREFIX.sub("", channel_name.strip())
    candidates = (channel_name, bare, _REFERENCE.sub("", bare))
    return next(filter(None, map(standard_name, candidates)), None)


def kind_by_name(channel_name: str) -> str | None:
    """What a channel is by the word its name starts with, as EDF+ has it too; `None` where it does not say.

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
    """Directions of electrodes from their coordinates, seen from the centre of the sphere that fits them best.

    Args:
        positions_m: `(channels, 3)` coordinates (right, front, up), NaN or all zero where there are none.

    Returns:
        `(channels, 3)` unit vectors; NaN where there are no coordinates, and everywhere with fewer than
        `FEWEST_COORDINATES` of them.
    """
    is_known = np.isfinite(positions_m).all(axis=1) & (positions_m != 0).any(axis=1)
    directions = np.full(positions_m.shape, np.nan)
    if is_known.sum() < FEWEST_COORDINATES:
        return directions
    known = positions_m[is_known]
    # |p|^2 = 2 p c + (r^2 - |c|^2) is linear in the centre c and the bracket.
    centre = np.linalg.lstsq(np.column_stack([2 * known, np.ones(len(known))]), (known**2).sum(axis=1), rcond=None)[0]
    away = known - centre[:3]
    directions[is_known] = away / np.linalg.norm(away, axis=1, keepdims=True)
    return directions


@functools.cache
def _cap(n_electrodes: int) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    """Of a BioSemi cap: electrodes by name of the socket (A1, ...), and directions of those that are in no 10-5."""
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
    """The BioSemi cap whose sockets (A1, A2, ..., B1, ...) the channels are named after, if all of one are there.

    Returns:
        Electrode by name of the socket, and directions by electrode where these names are no places of the 10-5 system
        (caps of 128 electrodes and more); `None` where the names do not say which cap it is.
    """
    sockets = {name for name in names if _CAP_NAME.fullmatch(name)}
    if len(sockets) not in (16, 32, 64, 128, 160, 256):
        return None
    cap = _cap(len(sockets))
    return cap if sockets == set(cap[0]) else None


@functools.cache
def _net(n_electrodes: int) -> dict[str, np.ndarray]:
    """Directions of the electrodes of a HydroCel net of EGI's by name (E1, ...), and of its reference, Cz."""
    import mne

    name = {64: "GSN-HydroCel-65_1.0", 32: "GSN-HydroCel-32"}.get(n_electrodes, f"GSN-HydroCel-{n_electrodes + 1}")
    positions = mne.channels.make_standard_montage(name).get_positions()["ch_pos"]
    return dict(zip(positions, directions_from(np.array(list(positions.values()))), strict=True))


def egi_net(names: Sequence[str]) -> dict[str, np.ndarray] | None:
    """Directions of EGI's HydroCel net whose electrodes (E1, E2, ...) the channels are named after.

    Args:
        names: of the channels; all of a net of 32, 64, 128 or 256 have to be there.

    Returns:
        Directions by name; `None` where the names do not say which net it is.
    """
    numbers = sorted(int(name[1:]) for name in names if re.fullmatch(r"E[1-9]\d{0,2}", name))
    if len(numbers) not in (32, 64, 128, 256) or numbers != list(range(1, len(numbers) + 1)):
        return None
    return _net(len(numbers))


def comparable_names(channel_names: Sequence[str]) -> list[str]:
    """Names by which channels of one file are found in another: their electrodes', else as they are, in lower case.

    Example:
        >>> comparable_names(["EEG FP1-REF", "Fcz.", "t3", "Fp1-F7", "EOG  left"])
        ['Fp1', 'FCz', 'T7', 'fp1-f7', 'eog left']
    """
    sockets, _ = biosemi_cap(channel_names) or ({}, {})
    plain = [" ".join(name.split()).lower() for name in channel_names]
    return [sockets.get(name) or electrode_name(name) or low for name, low in zip(channel_names, plain, strict=True)]


def match_channels(wanted: Sequence[str], available: Sequence[str]) -> dict[str, int]:
    """Where the wanted channels are among those that there are, by `comparable_names`.

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
    for index, name in enumerate(comparable_names(available)):
        places.setdefault(name, []).append(index)
    found = {name: places[key] for name, key in zip(wanted, comparable_names(wanted), strict=True) if key in places}
    for name, indices in found.items():
        if len(indices) > 1:
            raise InputError(
                f"channels {' and '.join(available[index] for index in indices)} are both {name}; leave one out"
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
    """The channels of a file that are used, what is wrong with them, and what was concluded.

    Args:
        names: as in the file.
        kinds: as the file types them: `"eeg"` where it says nothing better, `None` for what is no signal (a trigger).
        positions_m: `(channels, 3)` coordinates in the file, NaN where there are none.
        table: what the user says.
        any_names: whether channels may have any name, also twice, and none need be EEG: for those who ask for certain
            channels and let the others be.
        undecided: which channels the file itself does not type, so that the word their name starts with counts; a
            channel of which nothing says what it is is not used. By default none.

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
    # Never both: they may have other units, and other origins.
    seen = directions_from(np.where(is_eeg[:, np.newaxis], of_table if has_own_positions else of_file, np.nan))
    channels, unknown, sources = [], [], {}
    faults, notes = [], []
    if has_own_positions and np.isnan(seen).all():
        faults.append(
            f"{table.path.name} gives coordinates of {int(np.isfinite(of_table[is_eeg]).all(axis=1).sum())} of its EEG "
            f"channels; expected at least {FEWEST_COORDINATES}, from which the centre of the head is found"
        )
    # Some of a net may be left out; it is one by all of its names.
    if np.isnan(seen).all() and (net := egi_net(names)):
        seen = np.array([net.get(name, np.full(3, np.nan)) for name in names])
        notes.append(
            f"E1, E2, ... read as EGI's HydroCel net of {sum(name.startswith('E') for name in net)} electrodes; give "
            f"coordinates in {table.path.name} where it is another"
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
            faults.append(f"channels {sources[called]} and {name} are both {called}; leave one out")
        sources.setdefault(called, name)
        channels.append(Channel(row, called, kind, float(table.entry(name, "factor") or 1), direction, name))
    if unknown and not any_names:
        of_cap = sum(bool(_CAP_NAME.fullmatch(name)) for name in unknown) > 1
        hint = "; A1, B1, ... are read as those of a BioSemi cap only where all of a cap are there" if of_cap else ""
        faults.append(
            f"channel {', '.join(unknown)}: no electrode of the 10-5 system, and without coordinates{hint}; give "
            f"electrode, coordinates, or kind (none leaves it out), in {table.path.name}, which keras-emotion "
            "init-channels writes"
        )
    if not is_eeg.any() and not any_names:
        faults.append(f"no EEG channel; it has {', '.join(names)}")
    if cap is not None:
        notes.append(f"A1, A2, ... read as the sockets of BioSemi's cap of {len(sockets)} electrodes")
    unused = [name for name, kind in zip(names, found, strict=True) if kind is None]
    if unused:
        notes.append(
            f"not used, of no kind that is known here: {', '.join(unused)} (kind in {table.path.name} makes them so)"
        )
    left_out = [name for name, kind in zip(names, said, strict=True) if kind == LEFT_OUT]
    if left_out:
        notes.append(f"left out as {table.path.name} says: {', '.join(left_out)}")
    return tuple(channels), faults, notes
