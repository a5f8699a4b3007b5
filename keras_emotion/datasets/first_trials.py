"""A first `trials.csv`, from the marks in the recordings, for the user to go on with."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from keras_emotion.datasets.electrodes import CHANNEL_FILE, ChannelTable
from keras_emotion.datasets.recording_files import (
    ARRAY_SUFFIXES,
    BIDS_MARKER,
    RECORDING_SUFFIXES,
    open_raw,
    open_recording,
    sidecar_file,
)
from keras_emotion.datasets.trial_table import TRIAL_FILE
from keras_emotion.schema import InputError

if TYPE_CHECKING:
    import mne

RATINGS = ("valence", "arousal")
"""Columns that are left to be filled in."""

ROUNDING_SECONDS = 0.1
"""By how much a mark may reach into the next to be taken to end there."""

_NO_STIMULI = ("bad", "edge", "boundary")
_STATUS_MASK = 0xFFFF


def write_first_trials(root: Path) -> tuple[Path, dict[Path, str]]:
    """Writes a `trials.csv` with a line for each thing that the recordings in a folder mark.

    Marks are annotations, or the words of a trigger channel where there are none. A mark with a duration is a trial;
    where none has one, a trial lasts from a mark to the next, the last to the end of the file. A file without marks is
    one trial. Subject is the `sub-` of a BIDS name, else the name of the file; the ratings are left empty.

    Args:
        root: folder with recordings, in it or below.

    Returns:
        The table's file, and what was found in each recording.

    Raises:
        InputError: there is a table already, no recording, or one that cannot be read (a line for each).
    """
    path = root / TRIAL_FILE
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; expected one with recordings")
    if path.exists():
        raise InputError(f"{path}: is there already; move it elsewhere to have a new one written")
    recordings = find_recordings(root)
    if not recordings:
        raise InputError(
            f"{root}: holds no recordings; expected {', '.join(RECORDING_SUFFIXES)} (arrays with their sidecars)"
        )
    rows, found, faults = [], {}, []
    n_trials: dict[str, int] = {}
    for recording, subject in zip(recordings, _subjects(recordings, root), strict=True):
        try:
            trials, found[recording] = _trials_of(recording, root)
        except InputError as error:
            faults.append(str(error))
            continue
        for start, stop, stimulus in trials:
            n_trials[subject] = n_trials.get(subject, 0) + 1
            rows.append(
                {
                    "subject": subject,
                    "trial": n_trials[subject],
                    "file": recording.relative_to(root).as_posix(),
                    "start_seconds": round(start, 6),
                    "stop_seconds": round(stop, 6),
                    "stimulus": stimulus,
                    **dict.fromkeys(RATINGS, ""),
                }
            )
    if faults:
        raise InputError("\n".join(faults))
    try:
        # Never over one that somebody wrote in the meantime.
        with path.open("x", encoding="utf-8", newline="") as file:
            pd.DataFrame(rows).to_csv(file, index=False)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from None
    return path, found


def find_recordings(root: Path) -> list[Path]:
    """Recordings in a folder and below, sorted; of a BIDS tree, those of its subjects."""
    is_bids = (root / BIDS_MARKER).is_file()
    found = []
    for path in sorted(root.rglob("*")):
        parts = path.relative_to(root).parts
        if any(part.startswith(".") for part in parts) or any(part.endswith(".mff") for part in parts[:-1]):
            continue
        if is_bids and not (parts[0].startswith("sub-") and path.stem.endswith("_eeg")):
            continue
        is_recording = path.name.lower().endswith(RECORDING_SUFFIXES)
        if is_recording and (path.suffix not in ARRAY_SUFFIXES or sidecar_file(path) is not None):
            found.append(path)
    return found


def _subjects(recordings: Sequence[Path], root: Path) -> list[str]:
    """A name for whose each recording is."""
    if (root / BIDS_MARKER).is_file():
        return [path.relative_to(root).parts[0].removeprefix("sub-") for path in recordings]
    stems = [path.name.partition(".")[0] for path in recordings]
    if len(set(stems)) == len(stems):
        return stems
    return ["_".join(path.relative_to(root).with_suffix("").parts) for path in recordings]


def _trials_of(path: Path, root: Path) -> tuple[list[tuple[float, float, str]], str]:
    """`(start, stop, stimulus)` of a recording's trials, and how they were found."""
    if path.suffix in ARRAY_SUFFIXES:
        opened = open_recording(path, root, ChannelTable(root / CHANNEL_FILE))
        return [(0.0, opened.duration_seconds, path.stem)], "no marks in an array: one trial"
    raw = open_raw(path, root, [])  # what the reader warns of, `describe` says
    end = raw.n_times / raw.info["sfreq"]
    marks = _annotations(raw)
    what = "annotations"
    if not marks:
        marks, what = _triggers(raw), "trigger words"
    lasting = [mark for mark in marks if mark[1] > 0]
    if lasting:
        following = [*(start for start, *_ in lasting[1:]), end]
        trials = [
            (start, _until(start + seconds, next_start), name)
            for (start, seconds, name), next_start in zip(lasting, following, strict=True)
        ]
        return trials, f"{len(trials)} {what} with a duration"
    if not marks:
        return [(0.0, end, path.stem)], "no marks: one trial"
    # Several marks of one moment are one.
    moments = [
        (start, "/".join(dict.fromkeys(name for *_, name in group)))
        for start, group in itertools.groupby(marks, key=lambda mark: mark[0])
    ]
    stops = [*(start for start, _ in moments[1:]), end]
    trials = [(start, stop, name) for (start, name), stop in zip(moments, stops, strict=True)]
    return trials, f"{len(trials)} {what} without a duration, each to the next"


def _until(stop: float, next_start: float) -> float:
    """Where a trial ends: where the next one starts, if it reaches into it by no more than rounding."""
    return next_start if next_start < stop <= next_start + ROUNDING_SECONDS else stop


def _annotations(raw: mne.io.BaseRaw) -> list[tuple[float, float, str]]:
    """`(onset, duration, description)` by onset, in seconds from the first sample."""
    # They count from where the device began to count samples, which may be before the file begins.
    annotations, before = raw.annotations, raw.first_time
    end = raw.n_times / raw.info["sfreq"]
    marks = [
        (float(onset) - before, float(duration), str(description))
        for onset, duration, description in zip(
            annotations.onset, annotations.duration, annotations.description, strict=True
        )
    ]
    return sorted(mark for mark in marks if 0 <= mark[0] < end and not mark[2].lower().startswith(_NO_STIMULI))


def _triggers(raw: mne.io.BaseRaw) -> list[tuple[float, float, str]]:
    import mne

    if "stim" not in raw.get_channel_types():
        return []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            events = mne.find_events(
                raw, shortest_event=1, mask=_STATUS_MASK, mask_type="and", uint_cast=True, verbose="ERROR"
            )
    except ValueError as error:
        raise InputError(f"{raw.filenames[0]}: its trigger channel cannot be read ({error})") from None
    return [((sample - raw.first_samp) / raw.info["sfreq"], 0.0, str(word)) for sample, _, word in events.tolist()]
