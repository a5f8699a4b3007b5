"""Features in the windows of a recording that come from another file: the face video, or the stimulus."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from keras_emotion.datasets.continuous import ContinuousRecording
from keras_emotion.inference.signal_windows import Stretch

Inputs = dict[str, np.ndarray]

AFTER_UNKNOWN_GAP = "after a gap of unknown length in the recording"
"""Why a window has no partner in a file that goes on while the recording is interrupted."""


@dataclasses.dataclass(frozen=True, eq=False)
class PairedWindows:
    """What a model reads of another file, window by window.

    Args:
        arrays: `(rows, ...)` by name; of pictures a file that memory maps.
        problems: `(windows,)` why a window has no features, empty where it has some.
        rows: `(windows,)` where a window is in the arrays, -1 where it is not.
    """

    arrays: Inputs
    problems: np.ndarray
    rows: np.ndarray

    def of(self, first: int, last: int) -> Inputs:
        """The windows from `first` to `last`; zeros where there are none in the arrays."""
        rows = self.rows[first:last]
        there, found = np.flatnonzero(rows >= 0), {}
        for name, array in self.arrays.items():
            found[name] = np.zeros((len(rows), *array.shape[1:]), array.dtype)
            found[name][there] = array[rows[there]]
        return found


def starts_in_file(
    recording: ContinuousRecording, stretches: Sequence[Stretch], offset_seconds: float
) -> tuple[float, ...]:
    """Times in another file at which the first windows of stretches of a recording start.

    The other file goes on while the recording is interrupted, whether or not the time axis of the recording says so.

    Args:
        recording: the recording.
        stretches: of it, those with windows.
        offset_seconds: time in the file at which the recording starts.

    Returns:
        One for each stretch, but for those after a gap of unknown length.
    """
    found: list[float] = []
    for stretch in stretches:
        gone = [gap for gap in recording.gaps if 0 < gap.sample <= stretch.start]
        if any(gap.lost_seconds is None for gap in gone):
            break
        paused_seconds = sum(gap.lost_seconds - gap.jump_seconds for gap in gone)
        found.append(offset_seconds + stretch.start_seconds + paused_seconds + stretch.baseline_seconds)
    return tuple(found)
