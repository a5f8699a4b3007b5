"""Recordings of no data set: any file of EEG that the suite reads, piece by piece."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from keras_emotion.datasets.electrodes import CHANNEL_FILE, ChannelTable
from keras_emotion.datasets.recording_files import BIDS_MARKER, open_recording
from keras_emotion.datasets.time_axis import BadSpan, Gap, TimeAxis
from keras_emotion.schema import InputError


class ContinuousRecording:
    """One file, opened as `Recordings` opens it: what it says of itself is known, its samples are read when asked for.

    A channel may have any name here: whoever reads it asks for certain ones, and lets the others be.

    Args:
        path: the file, of any format of `Recordings`.
        channel_table: what the file does not say of its channels, see `Recordings`. By default `channels.csv` beside
            the file, if there.

    Attributes:
        path: the file.
        channel_names: electrodes as the 10-5 system spells them, other channels as the file does.
        names_in_file: as the file spells them.
        kinds: what each channel is, one of `electrodes.KINDS`.
        units: unit of each, `"uV"` of all EEG.
        sampling_rate_hz: samples a second.
        n_samples: samples of a channel.
        gaps: where the recording was interrupted, in order.
        bad_spans: stretches that the file itself calls bad.
        bad_channels: names, as in `channel_names`, of those that the file itself calls bad.
        notes: what was concluded from the file.

    Raises:
        InputError: the file is missing or cannot be read, or holds no continuous signals.
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
        # mne-bids goes by the names of the folders.
        opened = open_recording(
            self.path.absolute() if root else self.path, root or self.path.parent, table, any_names=True
        )
        if not opened.channels or not opened.n_samples:
            raise InputError(f"{self.path}: holds no signals")
        self.channel_names = tuple(channel.name for channel in opened.channels)
        self.names_in_file = tuple(channel.name_in_file for channel in opened.channels)
        self.kinds = tuple(channel.kind for channel in opened.channels)
        self.units, self.notes = opened.units, opened.notes
        self.sampling_rate_hz, self.n_samples = opened.sampling_rate_hz, opened.n_samples
        self.gaps, self.bad_spans, self.bad_channels = opened.gaps, opened.bad_spans, opened.bad_channels
        self._read = opened.read

    @property
    def time_axis(self) -> TimeAxis:
        """Samples and seconds, in which the file's own marks stand."""
        return TimeAxis(self.sampling_rate_hz, self.n_samples, self.gaps)

    @property
    def duration_seconds(self) -> float:
        """From the first sample to the end of the last on the file's time axis, gaps included."""
        return self.time_axis.stop_seconds

    def read(self, start: int, stop: int, channels: Sequence[int]) -> np.ndarray:
        """`(channels, stop - start)` float64, in `units`.

        Args:
            start: first sample.
            stop: sample after the last.
            channels: places in `channel_names`.

        Raises:
            InputError: the file is damaged or cut short.
        """
        return self._read(start, stop)[list(channels)]


def _root_of(path: Path) -> Path | None:
    """The nearest folder that says to be a BIDS tree, of a file in one."""
    folders = path.absolute().parents if path.name.startswith("sub-") else ()
    return next((folder for folder in folders if (folder / BIDS_MARKER).is_file()), None)
