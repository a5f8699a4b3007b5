"""Recordings of no data set: any file of EEG that MNE reads, piece by piece."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np

from keras_emotion.datasets.electrodes import LEFT_OUT, ChannelTable, kind_by_name
from keras_emotion.datasets.recording_files import unit_given
from keras_emotion.schema import InputError

ENDINGS = (".set", ".edf", ".bdf", ".vhdr", ".fif")
"""Endings of the files that are tried; MNE reads more."""

PLAUSIBLE_DEVIATION_UV = (0.5, 500.0)
"""Standard deviations of EEG in microvolts; outside of it, one suspects another unit."""

_MICROVOLTS = 1e6


class ContinuousRecording:
    """One file, opened: its names and rate are known, and its samples are read when they are asked for.

    Args:
        path: the file (`.set`, `.edf`, `.bdf`, `.vhdr`, `.fif`).
        channel_table: what the file does not say of its channels, see `Recordings`: `electrode` and `factor` count
            here, and channels of the kind `none` are left out.

    Attributes:
        path: the file.
        channel_names: as the file (or the table) spells them, without channels of triggers.
        units: unit of each, `"uV"` of voltages and of all EEG.
        sampling_rate_hz: samples a second.
        n_samples: samples of a channel.

    Raises:
        InputError: the file is missing or cannot be read, or holds no continuous signals.
    """

    def __init__(self, path: Path, channel_table: ChannelTable | None = None):
        import mne

        self.path = Path(path)
        if not self.path.is_file():
            raise InputError(f"{path}: no such file; expected a recording ({', '.join(ENDINGS)})")
        try:
            # What is doubtful about a header is said by what is read from it.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._raw = mne.io.read_raw(self.path, preload=False, verbose="error")
        # What MNE raises depends on the format.
        except Exception as error:
            lines = str(error).strip().splitlines() or [type(error).__name__]
            raise InputError(
                f"{path}: cannot be read as a recording; expected {', '.join(ENDINGS)} ({lines[0]:.200})"
            ) from error
        kinds = self._raw.get_channel_types()
        entry = (lambda name, column: None) if channel_table is None else channel_table.entry
        self._rows = [
            row
            for row, (name, kind) in enumerate(zip(self._raw.ch_names, kinds, strict=True))
            if kind not in ("stim", "syst") and entry(name, "kind") != LEFT_OUT
        ]
        if not self._rows or not self._raw.n_times:
            raise InputError(f"{path}: holds no signals")
        names = [self._raw.ch_names[row] for row in self._rows]
        self.channel_names = tuple(entry(name, "electrode") or name for name in names)
        said = [
            entry(name, "kind") or kind_by_name(name) or kinds[row] for name, row in zip(names, self._rows, strict=True)
        ]
        self.units = tuple(unit_given(self._raw, row, kind) for row, kind in zip(self._rows, said, strict=True))
        self._scales = np.array(
            [
                (_MICROVOLTS if unit == "uV" else 1.0) * float(entry(name, "factor") or 1)
                for name, unit in zip(names, self.units, strict=True)
            ]
        )
        self.sampling_rate_hz = float(self._raw.info["sfreq"])
        self.n_samples = int(self._raw.n_times)

    @property
    def duration_seconds(self) -> float:
        """Length of the recording."""
        return self.n_samples / self.sampling_rate_hz

    def read(self, start: int, stop: int, channels: list[int]) -> np.ndarray:
        """`(channels, stop - start)` float64, in `units`.

        Args:
            start: first sample.
            stop: sample after the last.
            channels: places in `channel_names`.

        Raises:
            InputError: the file is damaged or cut short.
        """
        rows = [self._rows[channel] for channel in channels]
        # MNE gives them in the order of the file.
        order = np.argsort(rows)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                signal = self._raw[[rows[place] for place in order], start:stop][0]
        except Exception as error:
            raise InputError(f"{self.path}: cannot be read at {start / self.sampling_rate_hz:g} s ({error})") from error
        ordered = np.empty_like(signal)
        ordered[order] = signal
        ordered *= self._scales[channels, np.newaxis]
        return ordered


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
