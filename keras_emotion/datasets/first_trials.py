"""Generate an initial `trials.csv` from the annotations and triggers of recordings, for the user to edit."""

from __future__ import annotations

import bisect
import collections
import dataclasses
import fnmatch
import functools
import itertools
import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from keras_emotion.datasets.file_subjects import subjects_from_names
from keras_emotion.datasets.recording_events import RecordingEvent, RecordingWithEvents, is_about_signal, read_events
from keras_emotion.datasets.recording_files import BIDS_MARKER, RECORDING_SUFFIXES
from keras_emotion.datasets.recording_search import find_recordings, without_parts
from keras_emotion.datasets.time_axis import BadSpan
from keras_emotion.datasets.trial_table import TRIAL_FILE
from keras_emotion.schema import InputError
from keras_emotion.tables import csv_bytes

RATINGS = ("valence", "arousal")
"""Columns for the user to fill in."""

ROUNDING_SECONDS = 0.1
"""Seconds by which an event may overlap the next, or the end of the file, and still be taken to end there."""

# Control characters, and lone surrogates, which stand for bytes that are not UTF-8.
_NOT_FOR_A_TABLE = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")

TO_NEXT, TO_GAP, TO_END, OWN = "to the next event", "to a gap", "to the end of the file", "its own duration"
WHOLE_FILE = "the whole file"


@dataclasses.dataclass(frozen=True)
class Choice:
    """Selection of the events that become trials, and of their ends.

    A pattern is a text, possibly with the wildcards `*`, `?` and `[...]`; `S  1` also matches BrainVision's
    `Stimulus/S  1`.

    Args:
        annotations: patterns of the annotations or trigger words at which a trial starts; if empty, all except those
            about the signal (`recording_events.ABOUT_SIGNAL`).
        seconds: duration of the trials, regardless of that of the events; `None`: a trial is as long as its event; if
            the event has no duration, it ends at the next selected event.
        begin: pattern of the events at which a trial starts, instead of `annotations`.
        end: pattern of the events at which it ends.
        stimulus_column: column of the BIDS event tables that names the stimulus; events without an entry there start
            no trial.
        rating_columns: columns of these tables that are ratings.

    Raises:
        InputError: incompatible options, or an invalid duration.
    """

    annotations: tuple[str, ...] = ()
    seconds: float | None = None
    begin: str | None = None
    end: str | None = None
    stimulus_column: str | None = None
    rating_columns: tuple[str, ...] = ()

    def __post_init__(self):
        if (self.begin is None) != (self.end is None):
            raise InputError("--begin and --end: expected both, or neither")
        if self.begin is not None and (self.annotations or self.seconds is not None):
            raise InputError(
                "--begin and --end: conflict with --annotations and --seconds; expected one way to select trials; "
                "leave out the other"
            )
        if self.seconds is not None and not 0 < self.seconds < math.inf:
            raise InputError(f"--seconds {self.seconds:g}: expected a number above 0")
        if self.seconds is not None and not self.annotations:
            raise InputError("--seconds: requires --annotations; expected both; add --annotations")

    @property
    def patterns(self) -> tuple[str, ...]:
        """All patterns of events that the user gave."""
        return (self.begin, self.end) if self.begin is not None and self.end is not None else self.annotations

    @property
    def columns(self) -> tuple[str, ...]:
        """The requested columns of the event tables."""
        return (*([self.stimulus_column] if self.stimulus_column else []), *self.rating_columns)


@dataclasses.dataclass(frozen=True)
class EventKind:
    """Statistics of all events of one text, over all recordings.

    Args:
        name: the text.
        source: `"annotation"` or `"trigger word"`.
        n_events: number of events.
        n_files: number of recordings with such events.
        durations_seconds: durations of the events that have one.
        spacings_seconds: distances from each event to the next of its kind in the same recording.
        trials: number of events that became trials, by how the trials end.
        left_out: number of events that did not, by reason.
    """

    name: str
    source: str
    n_events: int
    n_files: int
    durations_seconds: tuple[float, ...]
    spacings_seconds: tuple[float, ...]
    trials: dict[str, int]
    left_out: dict[str, int]


@dataclasses.dataclass(frozen=True)
class FirstTable:
    """Result of `write_first_trials`.

    Args:
        path: the written table.
        n_trials: number of its rows.
        recordings: `(file, summary)`.
        kinds: kinds of events, the most frequent first.
        notes: points to check.
        faults: unreadable recordings, one line each.
    """

    path: Path
    n_trials: int
    recordings: tuple[tuple[str, str], ...]
    kinds: tuple[EventKind, ...]
    notes: tuple[str, ...]
    faults: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class TrialFromEvents:
    """Trial defined by the events of a recording.

    Args:
        start_seconds: start on the recording's own time axis.
        stop_seconds: end on the same axis.
        stimulus: texts of its events.
        how: how its end was determined.
        events: the events at its start; simultaneous ones are merged.
    """

    start_seconds: float
    stop_seconds: float
    stimulus: str
    how: str
    events: tuple[RecordingEvent, ...]

    def column(self, name: str) -> str:
        """Return the trial's entry in a column of the event table; empty if missing."""
        return next((event.columns[name] for event in self.events if name in event.columns), "")


def write_first_trials(root: Path, choice: Choice | None = None, subject_pattern: str | None = None) -> FirstTable:
    """Write an initial `trials.csv` for a folder of recordings, from their annotations and trigger words.

    Without a choice, every kind of event becomes trials, except those about the signal
    (`recording_events.ABOUT_SIGNAL`). A trial lasts as long as its event; without a duration, until the next event, a
    gap in the recording or the end of the file. An event without a duration within another trial is left out, as is a
    trial whose given duration spans a gap. A recording without events is one trial. Times are on the recording's own
    time axis. Subjects are derived from the file names (`subjects_from_names`); the ratings are left empty.

    Args:
        root: folder of the recordings, which may be in subfolders.
        choice: selection of the events that become trials.
        subject_pattern: see `subjects_from_names`.

    Returns:
        What was found and written. Unreadable recordings are listed in its `faults`.

    Raises:
        InputError: the table exists, there is no readable recording or no trial, or the choice matches nothing.
    """
    choice = choice or Choice()
    path = root / TRIAL_FILE
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; expected a folder with recordings; check the path")
    if path.exists():
        raise InputError(f"{path}: file exists; move or delete it to write a new one")
    search = find_recordings(root)
    read, faults = _read_all(search.recordings, root)
    faults = [*search.faults, *faults]
    if not read:
        endings = f"{', '.join(RECORDING_SUFFIXES)} (arrays with their sidecars)"
        raise InputError("\n".join(faults or [f"{root}: no recordings found; expected {endings}", *search.notes]))
    recordings, notes = without_parts(read, root)
    events = [event for recording in recordings for event in recording.events]
    _check_patterns(choice, events)
    found = [trials_of(recording, choice) for recording in recordings]
    files = [recording.path.relative_to(root).as_posix() for recording in recordings]
    with_trials = [place for place, (trials, _) in enumerate(found) if trials]
    lines = [_line(recording, trials) for recording, (trials, _) in zip(recordings, found, strict=True)]
    if not with_trials:
        raise InputError(
            "\n".join([f"{root}: no trials found", *(map(": ".join, zip(files, lines, strict=True))), *faults])
        )
    people = subjects_from_names(
        [files[place] for place in with_trials], (root / BIDS_MARKER).is_file(), subject_pattern
    )
    trials = [found[place][0] for place in with_trials]
    table = _table([files[place] for place in with_trials], trials, people.subjects, people.sessions, choice)
    try:
        # Exclusive: never overwrites a file that was written in the meantime.
        with path.open("xb") as file:
            file.write(csv_bytes(table))
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from None
    return FirstTable(
        path=path,
        n_trials=len(table),
        recordings=tuple(zip(files, lines, strict=True)),
        kinds=_kinds(recordings, found),
        notes=(*search.notes, *notes, *people.notes, *_notes_on_stimuli(trials)),
        faults=tuple(faults),
    )


def _read_all(paths: Sequence[Path], root: Path) -> tuple[list[RecordingWithEvents], list[str]]:
    read, faults = [], []
    for path in paths:
        name = path.relative_to(root).as_posix()
        if name != name.strip() or _NOT_FOR_A_TABLE.search(name):
            faults.append(
                f"{root}/{name!a}: a table cannot contain this name; expected no blanks at its ends; rename the file"
            )
            continue
        try:
            read.append(read_events(path, root))
        except InputError as error:
            faults.append(str(error))
    return read, faults


def _table(
    files: Sequence[str],
    trials: Sequence[Sequence[TrialFromEvents]],
    subjects: Sequence[str],
    sessions: Sequence[str],
    choice: Choice,
) -> pd.DataFrame:
    rows = []
    n_trials: collections.Counter[str] = collections.Counter()
    for file, of_file, subject, session in zip(files, trials, subjects, sessions, strict=True):
        for trial in of_file:
            n_trials[subject] += 1
            rows.append(
                {
                    "subject": subject,
                    **({"session": session} if any(sessions) else {}),
                    "trial": n_trials[subject],
                    "file": file,
                    "start_seconds": round(trial.start_seconds, 6),
                    "stop_seconds": round(trial.stop_seconds, 6),
                    "stimulus": trial.stimulus,
                    **({name: trial.column(name) for name in choice.rating_columns} or dict.fromkeys(RATINGS, "")),
                }
            )
    return pd.DataFrame(rows)


# --- selection of events


def matches_pattern(pattern: str, kind: str) -> bool:
    """Return whether a pattern matches a kind of event; consecutive blanks count as one.

    Example:
        >>> matches_pattern("S  1", "Stimulus/S  1"), matches_pattern("S  1", "S 11"), matches_pattern("a*", "a 2")
        (True, False, True)
    """
    pattern = " ".join(pattern.split())
    kind = " ".join(kind.split())
    return any(text == pattern or fnmatch.fnmatchcase(text, pattern) for text in (kind, kind.partition("/")[2] or kind))


def _check_patterns(choice: Choice, events: Sequence[RecordingEvent]) -> None:
    counts = collections.Counter(event.kind for event in events)
    missing = [pattern for pattern in choice.patterns if not any(matches_pattern(pattern, kind) for kind in counts)]
    if missing:
        there = ", ".join(f"{kind!r} ({count})" for kind, count in counts.most_common()) or "none"
        raise InputError(
            f"{', '.join(map(repr, missing))}: no such annotation or trigger word in any recording; found {there}"
        )
    known = dict.fromkeys(name for event in events for name in event.columns)
    if missing := [name for name in choice.columns if name not in known]:
        there = ", ".join(known) or "none (no BIDS event table)"
        raise InputError(f"{', '.join(missing)}: no such column in any event table; found {there}")


def _is_nameless(event: RecordingEvent, choice: Choice) -> bool:
    """Return whether an event has no entry in the stimulus column."""
    return choice.stimulus_column is not None and choice.stimulus_column not in event.columns


def _is_chosen(event: RecordingEvent, recording: RecordingWithEvents, choice: Choice) -> bool:
    if _is_nameless(event, choice):
        return False
    if choice.annotations:
        return any(matches_pattern(pattern, event.kind) for pattern in choice.annotations)
    return not is_about_signal(recording.path, event.kind)


# --- trials of one recording


def trials_of(
    recording: RecordingWithEvents, choice: Choice
) -> tuple[list[TrialFromEvents], dict[RecordingEvent, str]]:
    """Find the trials of a recording by its events.

    Args:
        recording: the recording's events.
        choice: which events start or end a trial.

    Returns:
        The trials by start, and why each of the other events starts none.
    """
    if not recording.has_signals:
        return [], dict.fromkeys(recording.events, "no signals")
    if choice.begin is not None and choice.end is not None:
        found, left_out = _pairs(recording.events, choice.begin, choice.end)
    else:
        chosen = [event for event in recording.events if _is_chosen(event, recording, choice)]
        why = "not chosen" if choice.annotations else "about the signal, not a stimulus"
        nameless = f"no {choice.stimulus_column}"
        left_out = {
            event: nameless if _is_nameless(event, choice) else why
            for event in recording.events
            if not _is_chosen(event, recording, choice)
        }
        if chosen or choice.annotations or choice.stimulus_column:
            found, more = _from_marks(chosen, recording, choice.seconds)
            left_out |= more
        else:
            found = [TrialFromEvents(0.0, recording.time_axis.stop_seconds, recording.path.stem, WHOLE_FILE, ())]
    trials = []
    for trial in _within_file(found, recording):
        if choice.stimulus_column:
            trial = dataclasses.replace(trial, stimulus=trial.column(choice.stimulus_column))
        if why := _why_no_trial(trial, recording):
            left_out |= dict.fromkeys(trial.events, why)
        else:
            trials.append(trial)
    return trials, left_out


def _pairs(
    events: Sequence[RecordingEvent], begin: str, end: str
) -> tuple[list[TrialFromEvents], dict[RecordingEvent, str]]:
    """Pair each event that starts a trial with the next that ends one."""
    trials, left_out = [], {}
    first: RecordingEvent | None = None
    for event in events:
        if first is not None and matches_pattern(end, event.kind) and event.start_seconds > first.start_seconds:
            left_out[event] = "end of a trial"
            trials.append(
                TrialFromEvents(first.start_seconds, event.start_seconds, first.kind, "to an end event", (first,))
            )
            first = None
        elif matches_pattern(begin, event.kind):
            if first is not None:
                left_out[first] = "no end before the next start"
            first = event
        else:
            left_out[event] = "end without a start" if matches_pattern(end, event.kind) else "not chosen"
    if first is not None:
        left_out[first] = "start without an end"
    return trials, left_out


def _from_marks(
    events: Sequence[RecordingEvent], recording: RecordingWithEvents, seconds: float | None
) -> tuple[list[TrialFromEvents], dict[RecordingEvent, str]]:
    """Return trials that start with an event, and why other events start none."""
    axis = recording.time_axis
    sample_seconds = 1 / axis.sampling_rate_hz
    left_out: dict[RecordingEvent, str] = {}
    moments = _moments(events, seconds, 0.75 * sample_seconds)
    starts = [group[0].start_seconds for group, _ in moments]
    trials, points = [], []
    for group, duration in moments:
        start, kind = group[0].start_seconds, "/".join(dict.fromkeys(event.kind for event in group))
        if duration is None:
            points.append((start, kind, tuple(group)))
            continue
        stop = start + duration
        place = bisect.bisect_right(starts, start)
        later = starts[place] if place < len(starts) else axis.stop_seconds
        # Ends at the start of the next, if they overlap by no more than rounding.
        stop = later if later < stop <= later + ROUNDING_SECONDS else stop
        trials.append(TrialFromEvents(start, stop, kind, OWN if seconds is None else f"{seconds:g} s", tuple(group)))
    lasting = [trial.start_seconds for trial in trials]
    reached = list(itertools.accumulate((trial.stop_seconds for trial in trials), max))
    outside = []
    for start, kind, group in points:
        place = bisect.bisect_right(lasting, start + sample_seconds / 2)
        if place and start < reached[place - 1] - sample_seconds / 2:
            left_out |= dict.fromkeys(group, "within another trial")
        else:
            outside.append((start, kind, group))
    ends = sorted(
        [
            *((start, TO_NEXT) for start in [*(start for start, *_ in outside), *lasting]),
            *((axis.seconds_of(gap.sample) - gap.jump_seconds, TO_GAP) for gap in axis.gaps),
            *((axis.seconds_of(pause.start_sample), TO_GAP) for pause in _pauses(recording)),
            (axis.stop_seconds, TO_END),
        ]
    )
    for start, kind, group in outside:
        stop, how = ends[min(bisect.bisect_right(ends, (start + sample_seconds / 4, "")), len(ends) - 1)]
        trials.append(TrialFromEvents(start, stop, kind, how, group))
    return sorted(trials, key=lambda trial: trial.start_seconds), left_out


def _begins_after(seconds: float, group: tuple[list[RecordingEvent], float | None]) -> bool:
    return group[0][0].start_seconds > seconds


def _moments(
    events: Sequence[RecordingEvent], seconds: float | None, tolerance: float
) -> list[tuple[list[RecordingEvent], float | None]]:
    """Merge simultaneous events of the same duration, and return them with their duration."""
    groups: list[tuple[list[RecordingEvent], float | None]] = []
    for event in events:
        duration = event.duration_seconds if seconds is None else seconds
        since = event.start_seconds - tolerance
        of_now = itertools.takewhile(functools.partial(_begins_after, since), reversed(groups))
        same = next((group for group, other in of_now if other == duration), None)
        if same is None:
            groups.append(([event], duration))
        else:
            same.append(event)
    return groups


def _pauses(recording: RecordingWithEvents) -> list[BadSpan]:
    """Return segments of zeros that stand for a pause of the device."""
    return [span for span in recording.bad_spans if not span.has_signal]


def _within_file(trials: Sequence[TrialFromEvents], recording: RecordingWithEvents) -> Iterator[TrialFromEvents]:
    """Clip trials to the file; those clipped by more than rounding get a note."""
    end = recording.time_axis.stop_seconds
    for trial in trials:
        cut = trial.stop_seconds - end
        how = f"{trial.how}, truncated at the end of the file" if cut > ROUNDING_SECONDS else trial.how
        yield dataclasses.replace(
            trial, start_seconds=max(trial.start_seconds, 0.0), stop_seconds=min(trial.stop_seconds, end), how=how
        )


def _why_no_trial(trial: TrialFromEvents, recording: RecordingWithEvents) -> str:
    """Return why a trial is left out; empty if it is not."""
    axis = recording.time_axis
    first, last = axis.sample_at(trial.start_seconds), axis.sample_at(trial.stop_seconds)
    seconds = trial.stop_seconds - trial.start_seconds
    # The second condition: it starts or ends while nothing was recorded.
    is_broken = any(first < gap.sample < last for gap in axis.gaps)
    if is_broken or (axis.gaps and abs((last - first) / axis.sampling_rate_hz - seconds) > 2 / axis.sampling_rate_hz):
        return "spans a gap in the recording"
    if any(first < pause.stop_sample and pause.start_sample < last for pause in _pauses(recording)):
        return "spans a gap in the recording"
    if last <= first:
        return "shorter than a sample"
    return ""


# --- summaries


def _line(recording: RecordingWithEvents, trials: Sequence[TrialFromEvents]) -> str:
    """Summarise the trials of a recording."""
    axis = recording.time_axis
    if not recording.has_signals:
        return "annotations but no signals; no trials"
    if not trials:
        is_without_events = all(is_about_signal(recording.path, event.kind) for event in recording.events)
        parts = ["no trials: no events, and the whole file spans a gap" if is_without_events else "no trials"]
    elif trials[0].how == WHOLE_FILE:
        parts = ["no events: one trial, the whole file"]
    else:
        durations = format_range([one.stop_seconds - one.start_seconds for one in trials])
        parts = [f"{_count(len(trials), 'trial')} of {durations} s"]
    overlaps = sum(later.start_seconds < before.stop_seconds - 1e-6 for before, later in itertools.pairwise(trials))
    if overlaps:
        parts.append(f"{overlaps} of them overlap the previous one")
    n_bad = sum(
        any(
            axis.sample_at(one.start_seconds) < bad.stop_sample and bad.start_sample < axis.sample_at(one.stop_seconds)
            for bad in recording.bad_spans
        )
        for one in trials
    )
    if n_bad:
        parts.append(f"{n_bad} of them contain a segment annotated as bad")
    if pauses := _pauses(recording):
        parts.append(f"{_count(len(pauses), 'gap')} in the recording, filled with zeros ({pauses[0].reason})")
    if axis.gaps:
        where = ", ".join(f"{axis.seconds_of(gap.sample):g} s" for gap in axis.gaps[:5])
        more = f" and {len(axis.gaps) - 5} more" if len(axis.gaps) > 5 else ""
        parts.append(f"{_count(len(axis.gaps), 'gap')} in the recording, before {where}{more} ({axis.gaps[0].reason})")
    return "; ".join([*parts, *recording.notes])


def _kinds(
    recordings: Sequence[RecordingWithEvents], found: Sequence[tuple[list[TrialFromEvents], dict[RecordingEvent, str]]]
) -> tuple[EventKind, ...]:
    how = [{event: trial.how for trial in trials for event in trial.events} for trials, _ in found]
    events: dict[tuple[str, str], list[tuple[int, RecordingEvent]]] = collections.defaultdict(list)
    for number, recording in enumerate(recordings):
        for event in recording.events:
            events[event.kind, event.source].append((number, event))
    kinds = []
    for (name, source), of_kind in events.items():
        durations = [event.duration_seconds for _, event in of_kind if event.duration_seconds is not None]
        spacings = [
            later.start_seconds - before.start_seconds
            for (file, before), (other, later) in itertools.pairwise(of_kind)
            if file == other
        ]
        trials = collections.Counter(how[number][event] for number, event in of_kind if event in how[number])
        left_out = collections.Counter(found[number][1][event] for number, event in of_kind if event not in how[number])
        n_files = len({number for number, _ in of_kind})
        kinds.append(
            EventKind(
                name, source, len(of_kind), n_files, tuple(durations), tuple(spacings), dict(trials), dict(left_out)
            )
        )
    return tuple(sorted(kinds, key=lambda kind: -kind.n_events))


def _notes_on_stimuli(trials: Sequence[Sequence[TrialFromEvents]]) -> list[str]:
    names = collections.Counter(trial.stimulus for of_file in trials for trial in of_file)
    if len(names) > 1 or names.total() < 2:
        return []
    return [f"all trials have the stimulus {next(iter(names))!r}; empty that column if their stimuli differ"]


def format_range(values: Sequence[float]) -> str:
    """Format the range of some numbers.

    Example:
        >>> format_range([2.0, 6.0, 4.0]), format_range([6.0, 6.0])
        ('2 to 6', '6')
    """
    low, high = (f"{round(value, 3):.12g}" for value in (min(values), max(values)))
    return low if low == high else f"{low} to {high}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
