"""Stimulus features of a model in the windows of a recording, paired by time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from keras_emotion.datasets.continuous import ContinuousRecording
from keras_emotion.datasets.stimuli import LENGTH_TOLERANCE_SECONDS, clip_facts
from keras_emotion.inference.paired_windows import AFTER_UNKNOWN_GAP, PairedWindows, starts_in_file
from keras_emotion.inference.signal_windows import Stretch
from keras_emotion.pipelines import FeaturePart
from keras_emotion.schema import Clip, InputError, Trial

TRACKS = ("picture", "sound")
"""Tracks of a clip, by the sources of parts."""

Parts = Mapping[str, FeaturePart]


def media_alone(parts: Parts, media: Path, start_seconds: float) -> PairedWindows:
    """Extract features in the windows of a clip without a recording, from a time in it to its end.

    Args:
        parts: parts that read stimuli, all with the same windows.
        media: the clip.
        start_seconds: time in the clip at which the first window starts.

    Raises:
        InputError: the clip cannot be read, lacks a track, or is too short.
    """
    windowing = next(iter(parts.values())).windowing
    stop_seconds = min(_ends(parts, media, start_seconds).values())
    n_windows = len(windowing.starts(stop_seconds - start_seconds))
    if not n_windows:
        raise InputError(
            f"{media}: {stop_seconds - start_seconds:.2f} s from {start_seconds:g} s on; expected at least a window of "
            f"{windowing.window_seconds:g} s; give a longer clip or an earlier --media-start"
        )
    arrays = _of_span(parts, media, start_seconds, n_windows)
    return PairedWindows(arrays, np.full(n_windows, "", object), np.arange(n_windows))


def media_beside(
    parts: Parts, recording: ContinuousRecording, stretches: Sequence[Stretch], media: Path, start_seconds: float
) -> PairedWindows:
    """Extract features of a clip in the windows of a recording, at the same times.

    Args:
        parts: parts that read stimuli, all with the windows of the recording.
        recording: the recording.
        stretches: segments of the recording with windows.
        media: the clip.
        start_seconds: time in the clip at which the recording starts.

    Raises:
        InputError: the clip cannot be read, lacks a track, or ends before the last window.
    """
    starts = starts_in_file(recording, stretches, start_seconds)
    windowing = next(iter(parts.values())).windowing
    ends = _ends(parts, media, starts[0])
    hop_seconds = windowing.hop_seconds or windowing.window_seconds
    stop_seconds = starts[-1] + (stretches[len(starts) - 1].n_windows - 1) * hop_seconds + windowing.window_seconds
    short = {track: end for track, end in ends.items() if end < stop_seconds - LENGTH_TOLERANCE_SECONDS}
    if short:
        found = " and ".join(f"its {track} ends at {end:.2f} s" for track, end in short.items())
        raise InputError(
            f"{media}: shorter than {recording.path}: {found}; expected {stop_seconds:g} s or more, where the last "
            "window ends; give the whole clip, another --media-start, or a shorter recording"
        )
    pieces = [_of_span(parts, media, start, one.n_windows) for start, one in zip(starts, stretches, strict=False)]
    n_windows = [one.n_windows for one in stretches]
    n_there = sum(n_windows[: len(starts)])
    rows = np.arange(sum(n_windows))
    problems = np.where(rows < n_there, "", AFTER_UNKNOWN_GAP).astype(object)
    joined = pieces[0] if len(pieces) == 1 else {n: np.concatenate([one[n] for one in pieces]) for n in pieces[0]}
    return PairedWindows(joined, problems, np.where(rows < n_there, rows, -1))


def _ends(parts: Parts, media: Path, start_seconds: float) -> dict[str, float]:
    """Return the ends of the tracks that parts read, in seconds."""
    facts = clip_facts(media)
    ends = {"picture": facts.picture_seconds, "sound": facts.sound_seconds}
    read = [track for track in TRACKS if any(track in part.sources for part in parts.values())]
    missing = [track for track in read if ends[track] is None]
    if missing:
        tracks = " and ".join("no picture" if track == "picture" else "no sound track" for track in missing)
        raise InputError(f"{media}: {tracks}; expected a clip with {' and '.join(read)}, which the model reads")
    found = {track: end for track, end in ends.items() if end is not None and (track in read or not read)}
    if start_seconds >= min(found.values()):
        raise InputError(
            f"--media-start: the first window starts at {start_seconds:g} s, and {media} ends at "
            f"{min(found.values()):.2f} s; expected a time before its end"
        )
    return found


def _of_span(parts: Parts, media: Path, start_seconds: float, n_windows: int) -> dict[str, np.ndarray]:
    arrays: dict[str, np.ndarray] = {}
    for part in parts.values():
        windowing = part.windowing
        hop_seconds = windowing.hop_seconds or windowing.window_seconds
        seconds = (n_windows - 1) * hop_seconds + windowing.window_seconds
        clip = Clip(media, start_seconds, start_seconds + seconds)
        arrays |= part.extract([Trial("clip", 1, 1, media.stem, None, (), {}, media=clip)])[0]
    return arrays
