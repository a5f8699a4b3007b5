"""Shared code of the SEED-IV, SEED-V and SEED-VII writers: clips with classes, window features, eye movements."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd
import scipy.fft
import scipy.signal

from keras_emotion.synthetic.eeg import BAND_EDGES_HZ, EEGNoise
from keras_emotion.synthetic.facts import read_channels
from keras_emotion.synthetic.neuroscan_cnt import CntWriter
from keras_emotion.synthetic.smoothing import smoothed_level
from keras_emotion.synthetic.workbook import write_workbook

_CHANNELS = read_channels("seed")
CHANNEL_NAMES = tuple(_CHANNELS["name"])

CLASS_EFFECTS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "neutral": ("alpha", ("P3", "Pz", "P4", "Oz")),
    "sad": ("theta", ("Fz", "FCz", "F1", "F2")),
    "fear": ("beta", ("C3", "Cz", "C4", "CPz")),
    "happy": ("gamma", ("FT7", "T7", "FT8", "T8")),
    "disgust": ("alpha", ("Fp1", "Fpz", "Fp2", "AF3")),
    "anger": ("gamma", ("O1", "Oz", "O2", "POz")),
    "surprise": ("beta", ("F7", "F5", "F6", "F8")),
}
"""Band whose power is higher during clips of each class, and its main electrodes."""

SESSION_LOG_POWER_SD = 0.2
"""Standard deviation of the natural log-power by which an electrode differs between a later session and the first."""

PASS_BAND_HZ = (0.5, 75.0)

GAP_RMS_UV = 15.0
"""Standard deviation of the noise between the clips of a recording."""

INITIALS = (
    *("ab", "bc", "cde", "df", "eg", "fhi", "gj", "hk", "il", "jmn"),
    *("ko", "lp", "mqr", "ns", "ot", "pu", "qv", "rwx", "sy", "tz"),
)
"""Fictitious initials of the subjects."""

# Last elements of the seeds `[seed, subject, session, ...]`; trials use their numbers.
_SESSION_SIGNAL, _EYE, _EVENTS, _EYE_CLASSES = 132, 133, 134, 135

_EYE_SCALES = {
    "pupil_diameter": (40.0, 4.0),
    "pupil_x": (40.0, 4.0),
    "pupil_y": (38.0, 4.0),
    "dispersion": (12.0, 3.0),
    "fixation": (250.0, 60.0),
    "saccade": (40.0, 10.0),
    "blink": (180.0, 40.0),
    "event": (3.0, 0.7),
}
"""Mean and standard deviation of the eye features, by the beginning of their names."""


@dataclasses.dataclass(frozen=True, eq=False)
class Clips:
    """Generator of the signals and eye movements of clips.

    Args:
        seed: random seed.
        class_names: classes of the dataset.
        sampling_rate_hz: sampling rate of the signals.
        effect_size: natural log-power that a clip of a class adds in the band of the class, and shift of eye features
            in standard deviations.
        fingerprint_size: standard deviation of the trial-specific natural log-power of each channel and band.
        stimulus_fingerprint_size: the same, specific to a subject and clip.
    """

    seed: int
    class_names: Sequence[str]
    sampling_rate_hz: int
    effect_size: float
    fingerprint_size: float
    stimulus_fingerprint_size: float

    def __post_init__(self):
        for name in ("fingerprint_size", "stimulus_fingerprint_size"):
            if getattr(self, name) < 0:
                raise ValueError(f"`{name}` is {getattr(self, name)}; expected 0 or more")

    @functools.cached_property
    def _noises(self) -> dict[int, EEGNoise]:
        return {}

    def _noise(self, seconds: int) -> EEGNoise:
        if seconds not in self._noises:
            # Lengths of clips may have large prime factors, for which Fourier transforms are slow.
            n_samples = scipy.fft.next_fast_len(self.sampling_rate_hz * seconds, real=True)
            self._noises[seconds] = EEGNoise(CHANNEL_NAMES, self.sampling_rate_hz, n_samples, 0, PASS_BAND_HZ)
        return self._noises[seconds]

    def signal(self, subject: int, session: int, clip: int, label: int, seconds: int) -> np.ndarray:
        """Generate `(62, samples)` float32 of a clip, in microvolts; clips are numbered over all sessions."""
        noise = self._noise(seconds)
        subject_log_power = noise.subject_log_power(np.random.default_rng([self.seed, subject, 0]))
        band, electrodes = CLASS_EFFECTS[self.class_names[label]]
        effect = np.zeros_like(subject_log_power)
        effect[list(BAND_EDGES_HZ).index(band)] = self.effect_size * noise.focus(electrodes)
        signal = noise.trial(
            np.random.default_rng([self.seed, subject, session, clip]),
            subject_log_power,
            effect,
            self.fingerprint_size,
            stimulus_log_power=noise.stimulus_log_power(self.seed, subject, clip, self.stimulus_fingerprint_size),
        )
        cap = np.zeros((len(CHANNEL_NAMES), 1), np.float32)
        if session > 1:
            rng = np.random.default_rng([self.seed, subject, session, _SESSION_SIGNAL])
            cap = rng.normal(0, SESSION_LOG_POWER_SD, cap.shape).astype(np.float32)
        return np.exp(cap / 2) * signal[:, : self.sampling_rate_hz * seconds]

    def eye_features(
        self, names: Sequence[str], subject: int, session: int, clip: int, label: int, n_windows: int
    ) -> np.ndarray:
        """Generate `(windows, features)` float64 of a clip, smoothed over it."""
        scales = [next(scale for start, scale in _EYE_SCALES.items() if name.startswith(start)) for name in names]
        means, deviations = np.array(scales).T
        person = np.random.default_rng([self.seed, subject, _EYE]).normal(0, 0.5, len(names))
        shift = np.random.default_rng([_EYE_CLASSES, label]).normal(0, 1, len(names))
        noise = np.random.default_rng([self.seed, subject, session, clip, _EYE]).normal(
            0, 1, (1, n_windows, len(names))
        )
        return means + deviations * (person + self.effect_size * shift + smoothed_level(noise)[0])

    def eye_events(self, subject: int, session: int, clip: int, label: int, seconds: int) -> dict[str, np.ndarray]:
        """Generate the events of a clip by kind, in SEED-IV's format: lists as rows, tables with one row per event."""
        rng = np.random.default_rng([self.seed, subject, session, clip, _EVENTS])
        person = np.random.default_rng([self.seed, subject, _EVENTS]).normal(0, 2, 2)
        shift = np.random.default_rng([_EYE_CLASSES, label]).normal(0, 1, 2)
        # Three fixations per second, a blink every four seconds.
        n_fixations, n_blinks = max(int(rng.poisson(3 * seconds)), 1), int(rng.poisson(seconds / 4))
        n_saccades = max(n_fixations - 1, 1)
        pupil = np.array([40.0, 38.0]) + person + self.effect_size * shift + rng.normal(0, 1, (n_fixations, 2))
        fixations = np.rint(rng.lognormal(5.4, 0.5, (1, n_fixations)))
        saccades = np.stack([np.rint(rng.lognormal(3.6, 0.3, n_saccades)), rng.lognormal(1, 0.6, n_saccades)], axis=1)
        blinks = np.rint(rng.lognormal(5.1, 0.3, (1, n_blinks)))
        dispersion = rng.gamma(4, 3, (n_fixations, 2))
        statistics = [n_fixations, n_saccades, n_blinks, fixations.sum(), saccades[:, 0].sum(), blinks.sum()]
        statistics += [n_fixations / seconds, n_saccades / seconds, n_blinks / seconds, fixations.mean()]
        return {
            "blink": blinks,
            "event": np.array([[*statistics, *rng.gamma(4, 1, 28 - len(statistics))]]),
            "fixation": fixations,
            "pupil": np.concatenate([pupil, dispersion], axis=1),
            "saccade": saccades,
        }


def window_features(
    signal: np.ndarray, sampling_rate_hz: int, window_seconds: int, bands: Mapping[str, Sequence[float]]
) -> tuple[np.ndarray, np.ndarray]:
    """Compute differential entropies and mean power densities of the complete windows: `(channels, windows, bands)`.

    They are based on the power spectrum of each window (Hann window), in bands without their upper edges; the entropy
    is half of the natural logarithm of 2 pi e times the power in the band.
    """
    length = window_seconds * sampling_rate_hz
    n_windows = signal.shape[1] // length
    windows = signal[:, : n_windows * length].reshape(len(signal), n_windows, length)
    frequencies, density = scipy.signal.periodogram(windows, sampling_rate_hz, "hann", detrend=False)
    edges = list(bands.values())
    powers = np.stack(
        [density[..., (low <= frequencies) & (frequencies < high)].sum(axis=-1) for low, high in edges], -1
    )
    powers = powers.astype(np.float64) / window_seconds
    return np.log(2 * np.pi * np.e * powers) / 2, powers / [high - low for low, high in edges]


def eye_feature_names(table: str) -> tuple[str, ...]:
    """Read the names of eye features from `facts/<table>.csv`."""
    folder = Path(__file__).parents[1] / "datasets" / "facts"
    return tuple(pd.read_csv(folder / f"{table}.csv", dtype=str)["name"])


def append_variables(file: BinaryIO, variables: Mapping[str, np.ndarray], compressed: bool = False) -> None:
    """Append variables to a MATLAB file: SciPy writes the header only at the start of the file."""
    import scipy.io

    scipy.io.savemat(file, variables, do_compression=compressed)


def write_channel_order(path: Path) -> None:
    """Write `Channel Order.xlsx`, with one name per row."""
    write_workbook(path, [[name] for name in _CHANNELS["original"]])


def write_gap(writer: CntWriter, rng: np.random.Generator, n_channels: int, n_samples: int) -> None:
    """Write white noise, as between clips."""
    writer.write(rng.normal(0, GAP_RMS_UV, (n_channels, n_samples)))


def check_numbers(facts: Mapping[str, Any], n_subjects: int, n_sessions: int, clip_seconds: int) -> None:
    """Refuse numbers beyond those of the dataset, and clips shorter than a feature window.

    Raises:
        ValueError: a number is out of range.
    """
    for name, value in (("n_subjects", n_subjects), ("n_sessions", n_sessions)):
        if not 1 <= value <= facts[name]:
            raise ValueError(f"`{name}` is {value}; expected 1 to {facts[name]}")
    if clip_seconds < facts["window_seconds"]:
        raise ValueError(f"`clip_seconds` is {clip_seconds}; expected {facts['window_seconds']} or more")
