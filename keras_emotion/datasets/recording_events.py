"""Read the annotations and trigger words of a recording, on its own time axis."""

from __future__ import annotations

import bisect
import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from keras_emotion.datasets.bids_events import read_event_table
from keras_emotion.datasets.edf_records import EDF_SUFFIXES, EdfHeader, edf_times
from keras_emotion.datasets.electrodes import CHANNEL_FILE, ChannelTable
from keras_emotion.datasets.file_lists import is_in_bids
from keras_emotion.datasets.interruptions import is_border
from keras_emotion.datasets.recording_files import is_array, open_raw, open_recording, time_of
from keras_emotion.datasets.time_axis import BadSpan, TimeAxis
from keras_emotion.schema import InputError

if TYPE_CHECKING:
    import mne

SETTLING_SAMPLES = 2
"""Samples within which a trigger channel settles: the bits of a cable do not change simultaneously."""

ABOUT_SIGNAL = (
    "bad",
    "edge",
    "boundary",
    "new segment",
    "segment: rec",
    "recording start",
    "recording end",
    "lostsamples",
    "syncstatus",
)
"""Prefixes, case-insensitive, of annotations by which devices and MNE describe the signal itself."""

_ABOUT_SIGNAL_OF_FORMAT = {".cnt": ("impedance",)}
"""Format-specific annotations, in lower case, that do: ANT annotates impedance measurements."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")

_MARKER_CHANNELS = ("MARKER", "MARKERS")
"""Trigger channels without a type in the file: Emotiv's, in EDF."""

_WORD_BITS = 0xFFFF
_UPPER_BITS = 0xFF00
_ALL_IN_ONE = ("STI101", "STI 014")
"""Combined trigger channels of systems that also have one channel per bit."""


@dataclasses.dataclass(frozen=True)
class RecordingEvent:
    """Event of a recording: an annotation or a trigger word.

    Args:
        start_seconds: onset on the recording's own time axis.
        duration_seconds: duration; `None` if missing, or one sample.
        kind: text of the annotation, or the trigger word as a number.
        source: type of the event.
        columns: entries of the event table of the recording, by column.
    """

    start_seconds: float
    duration_seconds: float | None
    kind: str
    source: Literal["annotation", "trigger word"] = "annotation"
    columns: Mapping[str, str] = dataclasses.field(default_factory=dict, compare=False)


@dataclasses.dataclass(frozen=True)
class RecordingWithEvents:
    """Events and metadata of a recording, without its signals.

    Args:
        path: the file.
        time_axis: time axis of its samples.
        events: its events, by start.
        data_files: files with its samples; the main file first.
        has_signals: whether it contains channels other than annotations.
        bad_spans: segments that the file itself annotates as bad.
        notes: assumptions, and events that were left out.
    """

    path: Path
    time_axis: TimeAxis
    events: tuple[RecordingEvent, ...]
    data_files: tuple[Path, ...]
    has_signals: bool = True
    bad_spans: tuple[BadSpan, ...] = ()
    notes: tuple[str, ...] = ()


def read_events(path: Path, root: Path) -> RecordingWithEvents:
    """Read all events of a recording: all annotations, and all words of its trigger channels.

    A duration of one sample counts as none: BrainVision and others write it for events without a duration. A trigger
    word at the onset of an annotation is a duplicate, and is left out.

    Args:
        path: the file.
        root: folder of the data.

    Raises:
        InputError: the file cannot be read.
    """
    if is_array(path):
        opened = open_recording(path, root, ChannelTable(root / CHANNEL_FILE))
        return RecordingWithEvents(path, opened.time_axis, (), (path.resolve(),))
    if (header := _header_without_signals(path)) is not None:
        events = tuple(RecordingEvent(*event) for event in edf_times(header)[1])
        return RecordingWithEvents(path, TimeAxis(1.0, 0), events, (path.resolve(),), has_signals=False)
    notes: list[str] = []
    raw = open_raw(path, root, notes)
    files = tuple(Path(file).resolve() for file in raw.filenames if file is not None) or (path.resolve(),)
    rate_hz = float(raw.info["sfreq"])
    listed, gaps, bad_spans, said = time_of(path, root, raw, rate_hz, raw.n_times)
    notes += said
    axis = TimeAxis(rate_hz, raw.n_times, gaps)
    sample_seconds = 1 / rate_hz
    annotations = [
        RecordingEvent(
            start, duration if (duration or 0) > 1.5 * sample_seconds else None, _CONTROL.sub(" ", text).strip()
        )
        for start, duration, text in listed
    ]
    annotations = _with_columns(annotations, path, root, axis)
    words, of_words = _trigger_words(raw, axis)
    notes += of_words
    if n_samples := sum(0 < (duration or 0) <= 1.5 * sample_seconds for _, duration, _ in listed):
        notes.append(f"events with a duration of one sample, read as no duration: {n_samples}")
    moments = np.sort([event.start_seconds for event in annotations if not is_about_signal(path, event.kind)])
    own = [word for word in words if not _is_near(word.start_seconds, moments, 1.5 * sample_seconds)]
    if len(own) < len(words):
        notes.append(f"trigger words at the moment of an annotation, left out: {len(words) - len(own)}")
    events = sorted([*annotations, *own], key=lambda event: event.start_seconds)
    inside = [event for event in events if -sample_seconds / 2 <= event.start_seconds < axis.stop_seconds]
    if len(inside) < len(events):
        notes.append(f"events before the first or after the last sample, left out: {len(events) - len(inside)}")
    return RecordingWithEvents(path, axis, tuple(inside), files, bad_spans=bad_spans, notes=tuple(notes))


def _with_columns(events: list[RecordingEvent], path: Path, root: Path, axis: TimeAxis) -> list[RecordingEvent]:
    """Add the columns of the BIDS event table to the events, matched by time and text."""
    if not is_in_bids(path, root):
        return events
    table = read_event_table(path, root, axis.n_samples / axis.sampling_rate_hz, axis.sampling_rate_hz)
    if table is None:
        return events
    entries = sorted(table.events, key=lambda entry: entry.start_seconds)
    starts = [entry.start_seconds for entry in entries]
    tolerance = 1.5 / axis.sampling_rate_hz
    found = []
    for event in events:
        first = bisect.bisect_left(starts, event.start_seconds - tolerance)
        last = bisect.bisect_right(starts, event.start_seconds + tolerance)
        # mne-bids appends the value if one text has several values.
        own = (one for one in entries[first:last] if event.kind == one.text or event.kind.startswith(f"{one.text}/"))
        entry = min(own, key=lambda one: abs(one.start_seconds - event.start_seconds), default=None)
        found.append(event if entry is None else dataclasses.replace(event, columns=entry.columns))
    return found


def is_about_signal(path: Path, kind: str) -> bool:
    """Return whether an event is about the signal itself, rather than about the experiment.

    Args:
        path: the file, whose format determines the meaning of some texts.
        kind: text of the event.
    """
    of_format = _ABOUT_SIGNAL_OF_FORMAT.get(path.suffix.lower(), ())
    return kind.lower().startswith(ABOUT_SIGNAL) or kind.lower() in of_format or is_border(path, kind)


def _header_without_signals(path: Path) -> EdfHeader | None:
    """Return the header of an EDF+ or BDF+ that has only annotations; `None` for all other files."""
    if path.suffix.lower() not in EDF_SUFFIXES:
        return None
    try:
        header = EdfHeader.read(path)
    except InputError:
        return None  # the code that opens the file raises the error
    return header if header.labels and not header.has_signals else None


def _is_near(moment: float, moments: np.ndarray, tolerance: float) -> bool:
    place = np.searchsorted(moments, moment)
    return bool(np.any(np.abs(moments[max(place - 1, 0) : place + 1] - moment) < tolerance))


# --- trigger channels


def _trigger_words(raw: mne.io.BaseRaw, axis: TimeAxis) -> tuple[list[RecordingEvent], list[str]]:
    """Return the words of the trigger channels as events, and notes on assumptions."""
    names = [
        name
        for name, kind in zip(raw.ch_names, raw.get_channel_types(), strict=True)
        if kind == "stim" or name in _MARKER_CHANNELS
    ]
    # Emotiv's trigger words have the unit of its electrodes, which MNE converts to volts.
    factors = dict(zip(raw.ch_names, raw._raw_extras[0].get("units", ()), strict=False)) if raw._raw_extras[0] else {}
    factors = {name: factor for name, factor in factors.items() if name in _MARKER_CHANNELS}
    names = next(([name] for name in _ALL_IN_ONE if name in names), names)
    events, notes = [], []
    for name in names:
        values = raw.get_data(picks=[name], verbose="ERROR")[0] / factors.get(name, 1.0)
        # EDF scales and rounds its numbers.
        if not np.isfinite(values).all() or np.any(np.abs(values - np.round(values)) > 0.05):
            notes.append(f"channel {name}: no integer values, so no trigger words")
            continue
        words = find_words(np.round(values).astype(np.int64))
        prefix = f"{name}:" if len(names) > 1 else ""
        events += [
            RecordingEvent(axis.seconds_of(at), None, f"{prefix}{word}", "trigger word") for at, word in words.found
        ]
        notes += [f"channel {name}: {note}" for note in words.notes]
    return events, notes


@dataclasses.dataclass(frozen=True)
class TriggerWords:
    """Words of a trigger channel.

    Args:
        found: `(sample, word)` of each change to another non-zero word.
        n_settling: number of changes of at most two samples on the way to the next word, which are not words.
        first_word: non-zero word at the first sample, whose onset is not in the file; else 0.
        ignored_bits: bits of the upper byte that are set in every sample, as unconnected inputs are.
    """

    found: tuple[tuple[int, int], ...]
    n_settling: int
    first_word: int
    ignored_bits: int

    @property
    def notes(self) -> list[str]:
        """Notes on the assumptions about the channel."""
        return [
            text
            for condition, text in (
                (self.ignored_bits, f"bits 0x{self.ignored_bits:04X} are set throughout: ignored"),
                (
                    self.first_word,
                    f"starts at {self.first_word}, which is not an event; changes back to it (possibly the idle "
                    f"state): {sum(word == self.first_word for _, word in self.found)}",
                ),
                (
                    self.n_settling,
                    f"words of at most {SETTLING_SAMPLES} samples in the transition to another word, merged with the "
                    f"next: {self.n_settling}",
                ),
            )
            if condition
        ]


def find_words(values: Sequence[int]) -> TriggerWords:
    """Find the words of a trigger channel: every change to another non-zero word, regardless of the word before.

    Only the lower 16 bits are used. A word of at most `SETTLING_SAMPLES` samples, each bit of which equals that in the
    word before or in the word after, is a transition between the two; the word after starts with it. A pulse of one
    sample is therefore a word (`0 4 0`), and `0 16 20 20 20` is `20` alone.

    Args:
        values: samples of the channel, integers.

    Example:
        >>> find_words([0, 0, 5, 5, 5, 3, 3, 3, 0, 5, 0]).found
        ((2, 5), (5, 3), (9, 5))
    """
    words = np.asarray(values, dtype=np.int64) & _WORD_BITS
    if not len(words):
        return TriggerWords((), 0, 0, 0)
    ignored = int(np.bitwise_and.reduce(words)) & _UPPER_BITS
    words = words & ~ignored
    starts = np.concatenate([[0], np.flatnonzero(np.diff(words)) + 1])
    lengths = np.diff([*starts, len(words)])
    kept, found, n_settling = int(words[0]), [], 0
    onset: int | None = None
    for place in range(1, len(starts)):
        at, word = int(starts[place]), int(words[starts[place]])
        following = int(words[starts[place + 1]]) if place + 1 < len(starts) else word
        onset = at if onset is None else onset
        is_short = lengths[place] <= SETTLING_SAMPLES and place + 1 < len(starts)
        if word and is_short and not (word ^ kept) & (word ^ following):
            n_settling += 1
            continue
        if word:
            found.append((onset, word))
        kept, onset = word, None
    return TriggerWords(tuple(found), n_settling, int(words[0]), ignored)
