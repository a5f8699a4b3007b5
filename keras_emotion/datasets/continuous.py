"""Recordings of no data set: any file of EEG that the suite reads, piece by piece."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from keras_emotion.datasets.electrodes import CHANNEL_FILE, LEFT_OUT, ChannelTable, kind_by_name
from keras_emotion.datasets.recording_files import ARRAY_SUFFIXES, open_raw, open_recording, unit_given
from keras_emotion.schema import InputError

ENDINGS = (".set", ".edf", ".bdf", ".vhdr", ".fif", *ARRAY_SUFFIXES)
"""Endings of the files that are tried; MNE reads more."""

PLAUSIBLE_DEVIATION_UV = (0.5, 500.0)
"""Standard deviations of EEG in microvolts; outside of it, one suspects another unit."""

_MICROVOLTS = 1e6


class ContinuousRecording:
    """One file, opened: its names and rate are known, and its samples are read when they are asked for.

    Args:
        path: the file (`.set`, `.edf`, `.bdf`, `.vhdr`, `.fif`; `.npy` and `.mat` with a sidecar, see `Recordings`).
        channel_table: what the file does not say of its channels, see `Recordings`: `electrode` and `factor` count
            here, and channels of the kind `none` are left out. By default `channels.csv` beside the file, if there.

    Attributes:
        path: the file.
        channel_names: as the file (or the table) spells them, without channels of triggers.
        units: unit of each, `"uV"` of voltages and of all EEG.
        sampling_rate_hz: samples a second.
        n_samples: samples of a channel.

    Raises:
        InputError: the file is missing or cannot be read, or holds no continuous signals.
    """

    channel_names: tuple[str, ...]
    units: tuple[str, ...]
    sampling_rate_hz: float
    n_samples: int

    def __init__(self, path: Path, channel_table: ChannelTable | None = None):
        self.path = Path(path)
        if not self.path.is_file():
            raise InputError(f"{path}: no such file; expected a recording ({', '.join(ENDINGS)})")
        table = channel_table or ChannelTable(self.path.parent / CHANNEL_FILE)
        if self.path.suffix in ARRAY_SUFFIXES:
            self._open_array(table)
        else:
            self._open_raw(table)

    def _open_array(self, table: ChannelTable) -> None:
        opened = open_recording(self.path, self.path.parent, table)
        self.channel_names, self.units = tuple(channel.name for channel in opened.channels), opened.units
        self.sampling_rate_hz, self.n_samples = opened.sampling_rate_hz, opened.n_samples
        self._read = lambda start, stop, channels: opened.read(start, stop)[channels]

    def _open_raw(self, table: ChannelTable) -> None:
        raw = open_raw(self.path, self.path.parent, [])
        kinds = raw.get_channel_types()
        # What has a name of no electrode is no error here: the model does not ask for it.
        rows = [
            row
            for row, (name, kind) in enumerate(zip(raw.ch_names, kinds, strict=True))
            if kind not in ("stim", "syst") and table.entry(name, "kind") != LEFT_OUT
        ]
        if not rows or not raw.n_times:
            raise InputError(f"{self.path}: holds no signals")
        names = [raw.ch_names[row] for row in rows]
        of_name = {name: kinds[row] for name, row in zip(names, rows, strict=True)}
        said = [table.entry(name, "kind") or kind_by_name(name) or of_name[name] for name in names]
        self.channel_names = tuple(table.entry(name, "electrode") or name for name in names)
        self.units = tuple(unit_given(raw, row, kind) for row, kind in zip(rows, said, strict=True))
        self.sampling_rate_hz, self.n_samples = float(raw.info["sfreq"]), int(raw.n_times)
        factors = [float(table.entry(name, "factor") or 1) for name in names]
        scales = np.array(factors) * np.where(np.array(self.units) == "uV", 1e6, 1.0)

        def read(start: int, stop: int, channels: Sequence[int]) -> np.ndarray:
            # MNE gives them in the order of the file.
            order = np.argsort([rows[channel] for channel in channels])
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                signal = raw[[rows[channels[place]] for place in order], start:stop][0]
            ordered = np.empty_like(signal)
            ordered[order] = signal
            return ordered * scales[list(channels), np.newaxis]

        self._read = read

    @property
    def duration_seconds(self) -> float:
        """Length of the recording."""
        return self.n_samples / self.sampling_rate_hz

    def read(self, start: int, stop: int, channels: Sequence[int]) -> np.ndarray:
        """`(channels, stop - start)` float64, in `units`.

        Args:
            start: first sample.
            stop: sample after the last.
            channels: places in `channel_names`.

        Raises:
            InputError: the file is damaged or cut short.
        """
        try:
            return self._read(start, stop, list(channels))
        # What MNE raises depends on the format.
        except Exception as error:
            raise InputError(f"{self.path}: cannot be read at {start / self.sampling_rate_hz:g} s ({error})") from error


def doubtful_unit(signal: np.ndarray) -> str | None:
    """A sentence where a signal in microvolts cannot well be EEG in microvolts, else `None`.

    Args:
        signal: `(channels, samples)`.

    Example:
        >>> doubtful_unit(np.random.default_rng(0).normal(0, 2e7, (4, 512)))
        'channels deviate by some 2e+07 uV, which is no EEG; is the unit in the file right?'
    """
    deviation = float(np.median(signal.std(axis=-1)))
    low, high = PLAUSIBLE_DEVIATION_UV
    if low <= deviation <= high:
        return None
    return f"channels deviate by some {deviation:.2g} uV, which is no EEG; is the unit in the file right?"
