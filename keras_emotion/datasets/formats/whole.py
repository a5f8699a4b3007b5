"""Wrap signals in memory as an MNE recording."""

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
"""Annotation between two discontinuous segments, as MNE writes it when concatenating recordings."""

Annotation = tuple[float, float | None, str]


@dataclasses.dataclass(frozen=True, eq=False)
class Signals:
    """Content of a file in memory.

    Args:
        names: channel names.
        kinds: channel types as in MNE; `"misc"` if only the name tells the kind.
        units: channel units as spelled in the file, `None` if missing.
        sampling_rate_hz: samples per second.
        values: `(channels, samples)` in these units.
        annotations: `(start_seconds, duration_seconds, text)`, counted in samples; the duration is `None` if missing.
        notes: assumptions, and data that were left out.
        positions_m: `(channels, 3)` coordinates (right, front, up), NaN if missing.
        bad_channels: names of channels that the file itself marks as bad.
    """

    names: Sequence[str]
    kinds: Sequence[str]
    units: Sequence[str | None]
    sampling_rate_hz: float
    values: np.ndarray
    annotations: Sequence[Annotation] = ()
    notes: Sequence[str] = ()
    positions_m: np.ndarray | None = None
    bad_channels: Sequence[str] = ()

    def as_raw(self) -> mne.io.BaseRaw:
        """Convert to an MNE object in the units of the file (`units_in_file`); the notes are issued as warnings."""
        import mne

        info = mne.create_info(list(self.names), self.sampling_rate_hz, list(self.kinds), verbose="ERROR")
        info["bads"] = list(self.bad_channels)
        if self.positions_m is not None:
            for channel, position in zip(info["chs"], self.positions_m, strict=True):
                channel["loc"][:3] = position
        raw = mne.io.RawArray(self.values, info, verbose="ERROR")
        raw.units_in_file = tuple(self.units)
        annotations = sorted(self.annotations, key=lambda annotation: annotation[0])
        raw.set_annotations(
            mne.Annotations(
                [start for start, _, _ in annotations],
                [duration or 0.0 for _, duration, _ in annotations],
                [text for _, _, text in annotations],
            ),
            emit_warning=False,
            verbose="ERROR",
        )
        for note in self.notes:
            warnings.warn(note, stacklevel=2)
        return raw


def joined(pieces: Sequence[np.ndarray], sampling_rate_hz: float) -> tuple[np.ndarray, list[float], list[Annotation]]:
    """Concatenate discontinuous segments.

    Args:
        pieces: `(channels, samples)` each, of the same channels.
        sampling_rate_hz: samples per second.

    Returns:
        The values; the start of each segment in seconds; an annotation at each join.
    """
    starts = np.cumsum([0, *(piece.shape[1] for piece in pieces)])[:-1] / sampling_rate_hz
    return np.concatenate(pieces, axis=1), starts.tolist(), [(float(start), None, JOIN) for start in starts[1:]]


def require(path: Path, package: str, extra: str = "formats") -> None:
    """Check that the package that reads a file is installed.

    Raises:
        InputError: the package is missing; the message names the extra that installs it.
    """
    if importlib.util.find_spec(package) is None:
        raise InputError(f"{path}: cannot be read without {package}; install it: pip install 'keras_emotion[{extra}]'")
