"""Read continuous EEG files of any supported format in pieces, without a dataset."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from keras_emotion.datasets.electrodes import CHANNEL_FILE, ChannelTable
from keras_emotion.datasets.recording_files import BIDS_MARKER, open_recording
from keras_emotion.datasets.time_axis import BadSpan, Gap, TimeAxis
from keras_emotion.schema import InputError


class ContinuousRecording:
    """Continuous recording, opened as `Recordings` opens it: metadata is read at once, samples on demand.

    Channel names are unrestricted here: the caller selects channels and ignores the others.

    Args:
        path: the file, of any format that `Recordings` supports.
        channel_table: additional channel information, see `Recordings`. By default `channels.csv` in the file's folder,
            if it exists.

    Attributes:
        path: the file.
        channel_names: electrodes as spelled in the 10-5 system, other channels as in the file.
        names_in_file: names as spelled in the file.
        kinds: kind of each channel, one of `electrodes.KINDS`.
        units: unit of each channel, `"uV"` for EEG.
        sampling_rate_hz: samples per second.
        n_samples: samples per channel.
        gaps: interruptions of the recording, in order.
        bad_spans: segments that the file itself annotates as bad.
        bad_channels: names, as in `channel_names`, of channels that the file itself marks as bad.
        notes: assumptions about the file.

    Raises:
        InputError: the file is missing, cannot be read, or contains no continuous signals.
    """

    channel_names: tuple[str, ...]
    names_in_file: tuple[str, ...]
    kinds: tuple[str, ...]
    units: tuple[str, ...]
    sampling_rate_hz: float
    n_samples: int
    gaps: tuple[Gap, ...]
    bad_spans: tuple[BadSpan, ...]
    bad_channels: tuple[str, ...]
    notes: tuple[str, ...]

    def __init__(self, path: Path, channel_table: ChannelTable | None = None):
        self.path = Path(path)
        table = channel_table or ChannelTable(self.path.parent / CHANNEL_FILE)
        root = _root_of(self.path)
        # mne-bids relies on folder names.
        opened = open_recording(
            self.path.absolute() if root else self.path, root or self.path.parent, table, any_names=True
        )
        if not opened.channels or not opened.n_samples:
            raise InputError(f"{self.path}: no signals; expected a continuous recording; check the file")
        self.channel_names = tuple(channel.name for channel in opened.channels)
        self.names_in_file = tuple(channel.name_in_file for channel in opened.channels)
        self.kinds = tuple(channel.kind for channel in opened.channels)
        self.units, self.notes = opened.units, opened.notes
        self.sampling_rate_hz, self.n_samples = opened.sampling_rate_hz, opened.n_samples
        self.gaps, self.bad_spans, self.bad_channels = opened.gaps, opened.bad_spans, opened.bad_channels
        self._read = opened.read

    @property
    def time_axis(self) -> TimeAxis:
        """Mapping between samples and seconds on the file's time axis, which its annotations use."""
        return TimeAxis(self.sampling_rate_hz, self.n_samples, self.gaps)

    @property
    def duration_seconds(self) -> float:
        """Duration from the first sample to the end of the last on the file's time axis, gaps included."""
        return self.time_axis.stop_seconds

    def read(self, start: int, stop: int, channels: Sequence[int]) -> np.ndarray:
        """Read samples as `(channels, stop - start)` float64, in `units`.

        Args:
            start: first sample.
            stop: sample after the last.
            channels: indices into `channel_names`.

        Raises:
            InputError: the file is damaged or truncated.
        """
        return self._read(start, stop)[list(channels)]


def _root_of(path: Path) -> Path | None:
    """Return the nearest parent folder that is the root of a BIDS tree, or `None`."""
    folders = path.absolute().parents if path.name.startswith("sub-") else ()
    return next((folder for folder in folders if (folder / BIDS_MARKER).is_file()), None)
