"""Read BIDS event tables: case-insensitive task names, times in seconds, all columns."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from keras_emotion.datasets.file_lists import events_in_bids
from keras_emotion.refusals import refusing_unreadable
from keras_emotion.schema import InputError

if TYPE_CHECKING:
    import mne

_NO_VALUE = ("", "n/a")
_TEXT_COLUMNS = ("trial_type", "stim_type")
TOLERANCE_SECONDS = 0.1
"""Tolerance in seconds between a table and the recording's own annotations."""

_ORIGINAL = "BAD_ACQ_SKIP"
"""Description of annotations that are kept in addition to the table's events, as in mne-bids."""


@dataclasses.dataclass(frozen=True)
class Event:
    """Row of an event table.

    Args:
        start_seconds: onset from the first sample of the recording.
        duration_seconds: duration; 0 if missing.
        text: event type; `"n/a"` if missing.
        columns: non-missing values of the other columns.
    """

    start_seconds: float
    duration_seconds: float
    text: str
    columns: Mapping[str, str]


@dataclasses.dataclass(frozen=True)
class EventTable:
    """Event table of a recording.

    Args:
        path: the file.
        events: its rows, with times in seconds.
        is_found: whether mne-bids finds the file, because its task has the same spelling as that of the recording.
        unit: unit of the file's times: seconds, as BIDS requires, or another unit.
    """

    path: Path
    events: tuple[Event, ...]
    is_found: bool
    unit: Literal["seconds", "samples", "milliseconds"]

    @property
    def notes(self) -> list[str]:
        """Notes on assumptions about the table."""
        notes = []
        if not self.is_found:
            notes.append(f"events read from {self.path.name}, whose task differs in case from that of the recording")
        if self.unit != "seconds":
            notes.append(
                f"{self.path.name}: most onsets in seconds are after the end of the recording; read as {self.unit}, "
                "which places all of them within it"
            )
        return notes


def read_event_table(path: Path, root: Path, recording_seconds: float, sampling_rate_hz: float) -> EventTable | None:
    """Read the event table of a recording in a BIDS tree; `None` if there is none.

    BIDS times are in seconds. DENS (OpenNeuro ds003751) gives samples, as EEGLAB does: if most events lie after the end
    of the recording, times are read as samples, or as milliseconds if only these fit, with a note.

    Args:
        path: the recording.
        root: folder of the tree.
        recording_seconds: duration of the recording.
        sampling_rate_hz: sampling rate of the recording.

    Raises:
        InputError: the table cannot be read.
    """
    found = events_in_bids(path, root)
    if found is None:
        return None
    file, is_found = found
    message = (
        "{path}: unreadable event table ({reason}); expected tab-separated columns with numbers in onset and duration; "
        "correct the file"
    )
    with refusing_unreadable(file, message):
        with file.open(encoding="utf-8-sig", newline="") as opened:
            rows = [row for row in csv.DictReader(opened, delimiter="\t") if (row.get("onset") or "n/a") != "n/a"]
        starts = [float(row["onset"]) for row in rows]
        durations = [0.0 if (row.get("duration") or "n/a") == "n/a" else float(row["duration"]) for row in rows]
    name: Literal["seconds", "samples", "milliseconds"] = "seconds"
    unit = 1.0
    if 2 * sum(start > recording_seconds for start in starts) > len(starts):
        # The longest unit that fits: events are spread over a recording.
        units: dict[Literal["samples", "milliseconds"], float] = {"samples": 1 / sampling_rate_hz, "milliseconds": 1e-3}
        for other in sorted(units, key=units.__getitem__, reverse=True):
            if max(starts) * units[other] <= recording_seconds:
                name, unit = other, units[other]
                break
    events = tuple(
        Event(
            unit * start,
            unit * duration,
            next((row[name].strip() for name in _TEXT_COLUMNS if row.get(name)), "n/a"),
            {
                name.strip(): value.strip()
                for name, value in row.items()
                if name and isinstance(value, str) and value.strip() not in _NO_VALUE
            },
        )
        for start, duration, row in zip(starts, durations, rows, strict=True)
    )
    return EventTable(file, events, is_found, name)


def attach_events(raw: mne.io.BaseRaw, path: Path, root: Path) -> list[str]:
    """Add the events of a recording's table as annotations if mne-bids did not, and return notes on assumptions.

    Args:
        raw: the recording as mne-bids read it.
        path: its file.
        root: folder of the tree.

    Raises:
        InputError: the table cannot be read, or its times differ from those of the recording's own annotations.
    """
    import mne

    rate_hz = float(raw.info["sfreq"])
    table = read_event_table(path, root, raw.n_times / rate_hz, rate_hz)
    if table is None or (table.is_found and table.unit == "seconds"):
        return []
    if not table.is_found:
        _compare(raw, table)
    kept = raw.annotations[[text == _ORIGINAL for text in raw.annotations.description]]
    first = raw.first_time if raw.info["meas_date"] is not None else 0.0
    of_table = mne.Annotations(
        [event.start_seconds + first for event in table.events],
        [event.duration_seconds for event in table.events],
        [event.text for event in table.events],
        orig_time=kept.orig_time,
    )
    raw.set_annotations(of_table + kept, verbose="WARNING")
    return table.notes


def _compare(raw: mne.io.BaseRaw, table: EventTable) -> None:
    """Refuse a table with events at other times than the recording's own annotations of the same text."""
    own: dict[str, list[float]] = {}
    for onset, text in zip(raw.annotations.onset, raw.annotations.description, strict=True):
        own.setdefault(str(text).strip(), []).append(float(onset) - raw.first_time)
    of_table: dict[str, list[float]] = {}
    for event in table.events:
        of_table.setdefault(event.text, []).append(event.start_seconds)
    for text in own.keys() & of_table.keys():
        pairs = list(zip(sorted(own[text]), sorted(of_table[text]), strict=False))
        if len(own[text]) == len(of_table[text]) and any(abs(one - other) > TOLERANCE_SECONDS for one, other in pairs):
            one, other = next(pair for pair in pairs if abs(pair[0] - pair[1]) > TOLERANCE_SECONDS)
            raise InputError(
                f"{table.path}: {text!r} at {other:g} s, read as {table.unit}, but at {one:g} s in the annotations of "
                "the recording itself; expected onsets in seconds; correct or remove the table"
            )
