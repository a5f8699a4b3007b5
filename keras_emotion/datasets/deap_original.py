"""Read DEAP's original recordings: one BioSemi file per subject, 512 Hz, with trial codes in a status channel.

MNE reads the samples, one trial at a time. The fixed-size header is read first, to detect truncated files within a
millisecond and to get names, units and the status channel before the file is opened.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import scipy.signal

from keras_emotion.datasets.deap_facts import CHANNEL_KINDS, FACTS, ORIGINAL_CHANNELS
from keras_emotion.datasets.reader_warnings import OF_LENGTH, warnings_of_readers
from keras_emotion.refusals import refusing_unreadable
from keras_emotion.schema import InputError
from keras_emotion.signals import band_pass

_SIGNAL_FIELDS = (16, 80, 8, 8, 8, 8, 8, 80, 8, 32)
_LABEL, _DIMENSION, _SAMPLES_PER_RECORD = 0, 2, 8
_MICROVOLT = ("uV", "\N{MICRO SIGN}V", "\N{GREEK SMALL LETTER MU}V")
_UNITS_OF_MNE = dict.fromkeys(_MICROVOLT, 1e6) | {"mV": 1e3}
_ORIGINAL = FACTS["original"]

FILTER_MARGIN_SECONDS = 5.0
"""Seconds read before and after a trial, to be filtered and then removed."""


@dataclasses.dataclass(frozen=True)
class BDFHeader:
    """Header of a BioSemi file.

    Args:
        labels: name of each signal, as in the file (not unique).
        dimensions: unit of each signal, as in the file.
        sampling_rate_hz: samples per second, the same for all signals.
        n_samples: samples per signal.
    """

    labels: tuple[str, ...]
    dimensions: tuple[str, ...]
    sampling_rate_hz: float
    n_samples: int

    @classmethod
    def read(cls, path: Path) -> BDFHeader:
        """Read the header of a file, and compare it with the file size.

        Raises:
            InputError: the file cannot be read, is not a BioSemi file, or is shorter than its header declares.
        """
        try:
            with path.open("rb") as file:
                fixed = file.read(256)
                if len(fixed) < 256 or fixed[:8] != b"\xffBIOSEMI":
                    raise InputError(f"{path}: invalid header; expected a BioSemi .bdf file; copy it again")
                numbers = [fixed[start:stop] for start, stop in ((236, 244), (244, 252), (252, 256))]
                try:
                    n_records, record_seconds, n_signals = int(numbers[0]), float(numbers[1]), int(numbers[2])
                    fields = [[file.read(size) for _ in range(n_signals)] for size in _SIGNAL_FIELDS]
                    samples = {int(text) for text in fields[_SAMPLES_PER_RECORD]}
                except ValueError:
                    raise InputError(f"{path}: damaged header (unreadable number); copy it again") from None
            size = path.stat().st_size
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror})") from None
        header_bytes, record_bytes = 256 * (n_signals + 1), 3 * n_signals * max(samples, default=0)
        if n_records == -1 and record_bytes:
            # The amplifier's software writes the number of records only if a recording is stopped properly.
            n_records = (size - header_bytes) // record_bytes
        if len(samples) != 1 or min(samples) < 1 or n_records < 1 or record_seconds <= 0:
            raise InputError(f"{path}: the header declares {n_records} records of {samples} samples; copy it again")
        if size < header_bytes + n_records * record_bytes:
            expected = header_bytes + n_records * record_bytes
            raise InputError(f"{path}: truncated: {size} of {expected} bytes; copy it again")
        n_samples = samples.pop() * n_records
        return cls(
            labels=tuple(text.decode("latin-1").strip() for text in fields[_LABEL]),
            dimensions=tuple(text.decode("latin-1").strip() for text in fields[_DIMENSION]),
            sampling_rate_hz=n_samples / (n_records * record_seconds),
            n_samples=n_samples,
        )


class OriginalFile:
    """Trials of one subject's original recording, in the order of presentation.

    Channels are picked by name (their order differs between the two sites) and combined into DEAP's 40: a bipolar
    channel is the difference of two electrodes, and the skin conductance of the Twente subjects (nanosiemens) is
    converted to the resistance `1e9 / conductance` in ohm, as in the Geneva files.

    Args:
        path: the file.
        subject: id of the subject, which determines the unit of the skin response.
        preprocess: return 128 Hz, band-passed and average-referenced EEG instead of the unprocessed recording.

    Raises:
        InputError: the file is damaged, lacks a channel, or contains no trial.
    """

    def __init__(self, path: Path, subject: int, preprocess: bool):
        import mne

        self.path = path
        self.preprocess = preprocess
        self.header = header = BDFHeader.read(path)
        if header.sampling_rate_hz != _ORIGINAL["sampling_rate_hz"]:
            raise InputError(
                f"{path}: {header.sampling_rate_hz} Hz; expected {_ORIGINAL['sampling_rate_hz']} Hz; copy it again"
            )
        terms = [source.split("-") for source in ORIGINAL_CHANNELS]
        self.electrodes = sorted({electrode for term in terms for electrode in term})
        missing = [electrode for electrode in self.electrodes if electrode not in header.labels]
        if missing:
            raise InputError(f"{path}: missing channel {', '.join(missing)}; found {', '.join(header.labels)}")
        if doubles := [electrode for electrode in self.electrodes if header.labels.count(electrode) > 1]:
            raise InputError(f"{path}: several channels are called {', '.join(doubles)}; copy it again")
        self.mixing = np.array([[_sign(term, electrode) for electrode in self.electrodes] for term in terms])
        dimensions = [header.dimensions[header.labels.index(electrode)] for electrode in self.electrodes]
        # MNE converts uV and mV to V and leaves every other unit unchanged.
        self.scale = np.array([_UNITS_OF_MNE.get(dimension, 1.0) for dimension in dimensions])
        is_voltage = np.logical_or.reduce(self.mixing[np.isin(CHANNEL_KINDS, ("eeg", "eog", "emg"))] != 0, axis=0)
        for electrode, dimension, expected in zip(self.electrodes, dimensions, is_voltage, strict=True):
            if expected and dimension not in _MICROVOLT:
                raise InputError(f"{path}: unit of {electrode} is {dimension!r}; expected uV; copy it again")
        is_conductance = subject <= _ORIGINAL["last_twente_subject"]
        self.conductance = np.isin(CHANNEL_KINDS, "gsr") & is_conductance
        status = [index for index, label in enumerate(header.labels) if label in ("Status", "")]
        if not status:
            raise InputError(f"{path}: no status channel; found {', '.join(header.labels)}")
        message = "{path}: damaged recording ({reason}); copy it again"
        with refusing_unreadable(path, message), warnings_of_readers(path, harmless=OF_LENGTH):
            self.raw = mne.io.read_raw_bdf(path, stim_channel=status, verbose="WARNING")
        self.onsets = self._video_starts(status)
        self.n_trials = len(self.onsets)

    def _video_starts(self, status: list[int]) -> np.ndarray:
        words = self.raw.get_data(picks=status, verbose="WARNING").astype(np.int64) & _ORIGINAL["status_mask"]
        is_video = words == _ORIGINAL["video_start_code"]
        starts = is_video & ~np.pad(is_video, ((0, 0), (1, 0)))[:, :-1]
        # Some files have two unnamed channels, only one of which has status codes.
        onsets = np.flatnonzero(starts[starts.sum(axis=1).argmax()])
        rate_hz = self.header.sampling_rate_hz
        if not 1 <= len(onsets) <= FACTS["n_trials"]:
            raise InputError(
                f"{self.path}: status channel has {len(onsets)} video starts (code {_ORIGINAL['video_start_code']}); "
                f"expected 1 to {FACTS['n_trials']}; the recording is incomplete: copy it again"
            )
        if onsets[0] < FACTS["baseline_seconds"] * rate_hz:
            raise InputError(f"{self.path}: the first video starts before {FACTS['baseline_seconds']} s of baseline")
        if onsets[-1] + FACTS["trial_seconds"] * rate_hz > self.header.n_samples:
            raise InputError(f"{self.path}: ends within the last video; copy it again")
        return onsets

    @property
    def sampling_rate_hz(self) -> float:
        """Sampling rate of the result of `signal`."""
        return float(FACTS["preprocessed"]["sampling_rate_hz"] if self.preprocess else self.header.sampling_rate_hz)

    def signal(self, presentation: int) -> np.ndarray:
        """Return `(channels, samples)` of a trial by its 1-based presentation: 3 s of baseline and 60 s of video."""
        rate_hz = self.header.sampling_rate_hz
        onset = self.onsets[presentation - 1]
        start = onset - round(FACTS["baseline_seconds"] * rate_hz)
        stop = onset + round(FACTS["trial_seconds"] * rate_hz)
        if not self.preprocess:
            return self._read(start, stop)
        step = round(rate_hz / self.sampling_rate_hz)
        # A multiple of the step, so that the retained samples are aligned with the trial.
        before = min(round(FILTER_MARGIN_SECONDS * rate_hz), start) // step * step
        after = round(FILTER_MARGIN_SECONDS * rate_hz)
        signal = self._read(start - before, min(stop + after, self.header.n_samples))
        signal = preprocess(signal, np.isin(CHANNEL_KINDS, "eeg"), rate_hz, step)
        return np.ascontiguousarray(signal[:, before // step : before // step + (stop - start) // step])

    def _read(self, start: int, stop: int) -> np.ndarray:
        recorded = self.raw.get_data(picks=self.electrodes, start=start, stop=stop, verbose="WARNING")
        signal = self.mixing @ (recorded * self.scale[:, None])
        # Zero conductance means an open electrode: the reader reports the infinite resistance.
        with np.errstate(divide="ignore"):
            signal[self.conductance] = _ORIGINAL["gsr_ohm_times_nanosiemens"] / signal[self.conductance]
        return signal


def _sign(term: list[str], electrode: str) -> int:
    """Return the sign of an electrode in `["first"]` or `["first", "second"]`, their difference."""
    return 0 if electrode not in term else 1 - 2 * term.index(electrode)


def preprocess(signal: np.ndarray, is_eeg: np.ndarray, sampling_rate_hz: float, step: int) -> np.ndarray:
    """Preprocess an original recording like the preprocessed files, as far as their processing is documented.

    All channels are low-pass filtered against aliasing and reduced to every `step`-th sample. EEG is band-passed
    (`band_pass`, 4-45 Hz, forwards and backwards) and average-referenced over the scalp channels.

    **Deviations**: DEAP also removed eye movements, by a method that is not described in enough detail to repeat, and
    does not name its filters; the result therefore agrees with the preprocessed files up to filtering details where
    there are no eye movements.

    Args:
        signal: `(channels, samples)`.
        is_eeg: `(channels,)` bool, the scalp channels.
        sampling_rate_hz: samples per second of `signal`.
        step: decimation factor.

    Returns:
        `(channels, ceil(samples / step))` float64.
    """
    signal = scipy.signal.resample_poly(signal, 1, step, axis=-1, padtype="line")
    eeg = band_pass(signal[is_eeg], sampling_rate_hz / step, low_hz=4.0, high_hz=45.0)
    signal[is_eeg] = eeg - eeg.mean(axis=0)
    return signal
