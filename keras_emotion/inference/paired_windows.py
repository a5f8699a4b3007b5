"""Features from another file in the windows of a recording: the face video, or the stimulus."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from keras_emotion.datasets.continuous import ContinuousRecording
from keras_emotion.inference.signal_windows import Stretch

Inputs = dict[str, np.ndarray]

AFTER_UNKNOWN_GAP = "after a gap of unknown length in the recording"
"""Reason why a window has no partner in a file that continues while the recording is interrupted."""


@dataclasses.dataclass(frozen=True, eq=False)
class PairedWindows:
    """Data of another file, window by window.

    Args:
        arrays: `(rows, ...)` by name; for pictures a memory-mapped file.
        problems: `(windows,)` reasons why a window has no features, empty if it has some.
        rows: `(windows,)` row of a window in the arrays, -1 if there is none.
    """

    arrays: Inputs
    problems: np.ndarray
    rows: np.ndarray

    def of(self, first: int, last: int) -> Inputs:
        """Return the windows from `first` to `last`; zeros if missing in the arrays."""
        rows = self.rows[first:last]
        there, found = np.flatnonzero(rows >= 0), {}
        for name, array in self.arrays.items():
            found[name] = np.zeros((len(rows), *array.shape[1:]), array.dtype)
            found[name][there] = array[rows[there]]
        return found


def starts_in_file(
    recording: ContinuousRecording, stretches: Sequence[Stretch], offset_seconds: float
) -> tuple[float, ...]:
    """Return the times in another file at which the first windows of segments of a recording start.

    The other file continues while the recording is interrupted, whether or not the recording's time axis shows it.

    Args:
        recording: the recording.
        stretches: segments of the recording with windows.
        offset_seconds: time in the file at which the recording starts.

    Returns:
        One time for each segment, except those after a gap of unknown length.
    """
    found: list[float] = []
    for stretch in stretches:
        gone = [gap for gap in recording.gaps if 0 < gap.sample <= stretch.start]
        paused = [gap.lost_seconds - gap.jump_seconds for gap in gone if gap.lost_seconds is not None]
        if len(paused) < len(gone):
            break
        paused_seconds = sum(paused)
        found.append(offset_seconds + stretch.start_seconds + paused_seconds + stretch.baseline_seconds)
    return tuple(found)
