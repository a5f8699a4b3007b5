"""Signals that are read whole, given as MNE gives a recording."""

from __future__ import annotations

import dataclasses
import importlib.util
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from keras_emotion.schema import InputError

if TYPE_CHECKING:
    import mne

JOIN = "EDGE boundary"
"""Annotation between two pieces that do not follow each other, as MNE writes it where it joins recordings."""

Mark = tuple[float, float | None, str]


@dataclasses.dataclass(frozen=True, eq=False)
class Signals:
    """What a file holds, in memory.

    Args:
        names: of the channels.
        kinds: of each channel as MNE types it; `"misc"` where only its name tells.
        units: of each channel as the file spells it, `None` where it gives none.
        sampling_rate_hz: samples a second.
        values: `(channels, samples)` in these units.
        marks: `(start_seconds, duration_seconds, text)`, counted in samples; the duration `None` where there is none.
        notes: what was concluded or left out.
        positions_m: `(channels, 3)` coordinates (right, front, up), NaN where there are none.
        bad_channels: names of channels that the file calls bad.
    """

    names: Sequence[str]
    kinds: Sequence[str]
    units: Sequence[str | None]
    sampling_rate_hz: float
    values: np.ndarray
    marks: Sequence[Mark] = ()
    notes: Sequence[str] = ()
    positions_m: np.ndarray | None = None
    bad_channels: Sequence[str] = ()

    def as_raw(self) -> mne.io.BaseRaw:
        """The signals as MNE's own, in the units of the file (`units_in_file`); the notes are issued as warnings."""
        import mne

        info = mne.create_info(list(self.names), self.sampling_rate_hz, list(self.kinds), verbose="ERROR")
        info["bads"] = list(self.bad_channels)
        if self.positions_m is not None:
            for channel, position in zip(info["chs"], self.positions_m, strict=True):
                channel["loc"][:3] = position
        raw = mne.io.RawArray(self.values, info, verbose="ERROR")
        raw.units_in_file = tuple(self.units)
        marks = sorted(self.marks, key=lambda mark: mark[0])
        raw.set_annotations(
            mne.Annotations(
                [start for start, _, _ in marks],
                [duration or 0.0 for _, duration, _ in marks],
                [text for _, _, text in marks],
            ),
            emit_warning=False,
            verbose="ERROR",
        )
        for note in self.notes:
            warnings.warn(note, stacklevel=2)
        return raw


def joined(pieces: Sequence[np.ndarray], sampling_rate_hz: float) -> tuple[np.ndarray, list[float], list[Mark]]:
    """Put pieces after each other that do not follow each other in time.

    Args:
        pieces: `(channels, samples)` each, of the same channels.
        sampling_rate_hz: samples a second.

    Returns:
        The values; the start of each piece in seconds; a mark at each join.
    """
    starts = np.cumsum([0, *(piece.shape[1] for piece in pieces)])[:-1] / sampling_rate_hz
    return np.concatenate(pieces, axis=1), starts.tolist(), [(float(start), None, JOIN) for start in starts[1:]]


def require(path: Path, package: str, extra: str = "formats") -> None:
    """Check that the package that reads a file is installed.

    Raises:
        InputError: it is not; the message names the extra that brings it.
    """
    if importlib.util.find_spec(package) is None:
        raise InputError(f"{path}: reading it needs {package}: pip install 'keras_emotion[{extra}]'")
