"""EEG band powers for each frame of a video, from which networks make topographic images."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, Self

import numpy as np
import pywt
from pydantic import Field, model_validator
from typing_extensions import override

from keras_emotion import signals
from keras_emotion.pipelines.eeg_blocks import EEGBlocks
from keras_emotion.pipelines.face_features import FrameRate
from keras_emotion.pipelines.features import Bands, check_band_edges, filter_memory_seconds
from keras_emotion.pipelines.scaling import feature_statistics
from keras_emotion.pipelines.study_channels import ChangedArray
from keras_emotion.pipelines.windowing import Seconds, Windowing
from keras_emotion.schema import Recording

HLSTM_BANDS = {"theta": (4.0, 8.0), "alpha": (8.0, 13.0), "beta": (13.0, 30.0)}
"""`(low_hz, high_hz)` of the bands of [1] in `EEGImages`; the paper states only their names."""

FLOOR_SHARE = 1e-3
"""Share of a band's median power that is the floor for powers."""

_WAVELET, _LEVEL = "db4", 5


class EEGImages(EEGBlocks):
    """Band powers of video frames, for topographic images [1]: `{"eeg": (segments, frames, channels, bands)}`, float32.

    The EEG of a trial is denoised (`keras_emotion.signals.wavelet_denoise`: db4, five levels) and band-passed as a
    whole; each frame and band has its mean square, as natural logarithm (`keras_emotion.signals.frame_power`). Scalp
    channels are in the recording's order. Segments start with the stimulus; the remainder at the end of a trial is
    dropped. In addition `"kept_power"`, `(segments, bands)`: the share of each band's power that denoising keeps, over
    the channels and frames of a segment. It depends on the recording's finest details (see `wavelet_denoise`): for
    theta, alpha and beta 54, 23 and 6 % in one of EEGMMIDB (64 channels, 128 Hz); 32, 24 and 19 % in EEGLAB's example
    with its mains, 48, 47 and 30 % between 4 and 45 Hz, as DEAP is distributed; 4, 2 and 1 % in SAM40 after its
    authors' filters, which leave as much gamma as theta. It exceeds 1 where a strong wave outside the bands is clipped:
    146 % of theta with one of 2.75 Hz that is fifty times as large.

    Powers are stored, not images, which are 32 times as large and depend on the training set of a fold:
    `BandStatistics` are fitted to the training segments; `keras_emotion.models.TopographicImages` applies them, makes
    the images within the network, and is saved with it.

    **Deviations**: [1] states neither wavelet, levels and threshold, nor the edges of the bands, nor how the power of a
    frame is measured. In training the noise is estimated once per trial, in `predict` once per block of the recording
    (60 s, with lead-in and tail): a recording of one trial of up to this length has the powers of training, and those
    of longer ones differ from the powers of the whole by 0.02 to 0.08 standard deviations on average.

    Args:
        window_seconds: length of a segment in seconds; 40 frames by default.
        hop_seconds: time between consecutive segment starts in seconds; `None`: no overlap.
        lag_seconds: delay of the EEG of a segment relative to the window table in seconds.
        frame_rate_hz: frames per second of the video; a segment has a whole number of them.
        bands: `(low_hz, high_hz)` by name, in the order of the last axis.
        denoise: `"wavelet"` or `"none"`, without `kept_power`.

    References:
        [1] Wu, Zhang, Zhao, Multimodal fused emotion recognition about expression-EEG interaction and collaboration
        using deep learning, IEEE Access, 2020.
    """

    code_version: ClassVar[int] = 1
    channel_axes: ClassVar[Mapping[str, tuple[int, ...]] | None] = {"eeg": (2,)}

    window_seconds: Seconds = 5.0
    hop_seconds: Seconds | None = None
    frame_rate_hz: FrameRate = 8.0
    bands: Bands = Field(default_factory=lambda: dict(HLSTM_BANDS))
    denoise: Literal["wavelet", "none"] = "wavelet"

    @model_validator(mode="after")
    def _fields_fit(self):
        check_band_edges(self.bands)
        n_frames = self.window_seconds * self.frame_rate_hz
        if not 1 <= round(n_frames, 6) == round(n_frames):
            raise ValueError(
                f"window_seconds: {self.window_seconds:g} s are {n_frames:g} frames at {self.frame_rate_hz:g} per "
                "second; expected a whole number"
            )
        return self

    @property
    def n_frames(self) -> int:
        """Number of frames of a segment."""
        return round(self.window_seconds * self.frame_rate_hz)

    @property
    def windowing(self) -> Windowing:
        """See `FeaturePart`; a step is a frame, so that faces with this windowing are synchronous."""
        return super().windowing.model_copy(update={"steps": self.n_frames})

    def with_windowing(self, windowing: Windowing) -> Self:
        """See `FeaturePart`; the frame rate is that of the steps."""
        names = ("window_seconds", "hop_seconds", "lag_seconds")
        rate_hz = windowing.steps / windowing.window_seconds
        return self.changed(**{name: getattr(windowing, name) for name in names}, frame_rate_hz=rate_hz)

    def for_new_recording(self) -> Self:
        """See `FeaturePart`; segments without overlap."""
        return self.changed(hop_seconds=None)

    @override
    def array_shapes(self, n_channels: int, sampling_rate_hz: float) -> dict[str, tuple[int, ...]]:
        if not self.frame_rate_hz <= sampling_rate_hz:
            raise ValueError(f"frame_rate_hz: {self.frame_rate_hz:g}; expected at most the sampling rate")
        shapes: dict[str, tuple[int, ...]] = {"eeg": (self.n_frames, n_channels, len(self.bands))}
        return shapes if self.denoise == "none" else {**shapes, "kept_power": (len(self.bands),)}

    def check_channels(self, channel_names: Sequence[str], directions: np.ndarray) -> None:
        """See `FeaturePart`; all electrodes need a known position on the head."""
        signals.electrode_places(channel_names, directions)

    def lead_in_seconds(self, sampling_rate_hz: float) -> float:
        """See `FeaturePart`; of the filters, plus the reach of the coarsest wavelet."""
        reach = (pywt.Wavelet(_WAVELET).dec_len - 1) * 2**_LEVEL if self.denoise == "wavelet" else 0
        return filter_memory_seconds(self.bands.values(), sampling_rate_hz) + reach / sampling_rate_hz

    @property
    @override
    def frequency_bands(self) -> Mapping[str, tuple[float, float]]:
        return self.bands

    def _arrays_of(self, eeg: Recording, starts: np.ndarray) -> dict[str, np.ndarray]:
        signals.electrode_places(eeg.channel_names, eeg.electrode_directions)
        if self.denoise == "none":
            return {"eeg": _logarithm(self._powers(eeg.signal, eeg, starts))}
        kept = self._powers(signals.wavelet_denoise(eeg.signal, _WAVELET, _LEVEL), eeg, starts)
        of_segment, before = (
            power.sum(axis=(1, 2), dtype=np.float64) for power in (kept, self._powers(eeg.signal, eeg, starts))
        )
        # A segment without any power counts as kept.
        share = np.divide(of_segment, before, out=np.ones_like(before), where=before != 0)
        return {"eeg": _logarithm(kept), "kept_power": share.astype(np.float32)}

    def _of_signal(self, eeg: Recording, starts: np.ndarray) -> np.ndarray:
        return self._arrays_of(eeg, starts)["eeg"]

    def _powers(self, signal: np.ndarray, eeg: Recording, starts: np.ndarray) -> np.ndarray:
        rate = eeg.sampling_rate_hz
        onset_seconds = eeg.n_baseline_samples / rate + self.lag_seconds
        frames = starts[:, np.newaxis] + np.arange(self.n_frames) / self.frame_rate_hz + onset_seconds
        return signals.frame_power(signal, rate, self.bands, 1 / self.frame_rate_hz, frames)


def _logarithm(power: np.ndarray) -> np.ndarray:
    # A frame without power gets the smallest normal float32; the floor of the training set replaces it.
    return np.log(np.maximum(power, np.finfo(np.float32).tiny)).astype(np.float32)


@dataclasses.dataclass(frozen=True, eq=False)
class BandStatistics:
    """Floor, mean and standard deviation of the logarithmic powers of each band, over training segments.

    One of each per band, shared by channels and frames, so that images keep the differences over the scalp.

    Args:
        floor: `(bands,)` float32, the logarithm of `FLOOR_SHARE` times the median power; smaller powers are raised to
            it.
        mean: `(bands,)` float32, of values not below the floor.
        standard_deviation: `(bands,)` float32.
    """

    floor: np.ndarray
    mean: np.ndarray
    standard_deviation: np.ndarray

    @classmethod
    def fit(cls, array: Any, rows: np.ndarray, chunk: int = 256) -> Self:
        """Fit to training segments, in bounded memory.

        Args:
            array: `(segments, frames, channels, bands)` float32 logarithmic powers of `EEGImages`, all finite; memory
                holds `chunk` segments at a time.
            rows: `(n,)` indices of the training segments; only these are read.
            chunk: number of segments read at a time.

        Raises:
            ValueError: `rows` is empty, or a power is not finite.
        """
        floor = (math.log(FLOOR_SHARE) + _medians(array, rows, chunk)).astype(np.float32)
        n_values = math.prod(array.shape[1:-1])

        def floored(values: np.ndarray) -> np.ndarray:
            return np.maximum(values, floor).reshape(len(values), n_values, len(floor))

        return cls(floor, *feature_statistics(ChangedArray(array, floored), rows, chunk))

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Standardise logarithmic powers `(..., bands)`; 0 where a band is constant."""
        centred = np.maximum(values, self.floor) - self.mean
        return np.divide(
            centred, self.standard_deviation, out=np.zeros_like(centred), where=self.standard_deviation > 0
        )


def _medians(array: Any, rows: np.ndarray, chunk: int) -> np.ndarray:
    """Return the `(bands,)` exact lower median of all values at the rows, in two passes of half the digits each.

    Memory holds two counts of 65,536 digits per band, for any number of values.
    """
    rows = np.sort(np.asarray(rows))
    if not len(rows):
        raise ValueError("`rows` is empty: statistics need at least one training segment")
    n_bands = array.shape[-1]
    high = np.zeros(n_bands, np.uint32)
    rank = np.full(n_bands, (len(rows) * math.prod(array.shape[1:-1]) - 1) // 2)
    for is_second in (False, True):
        counts = np.zeros((n_bands, 2**16), np.int64)
        for first in range(0, len(rows), chunk):
            values = np.asarray(array[rows[first : first + chunk]], np.float32).reshape(-1, n_bands)
            if not np.isfinite(values).all():
                raise ValueError("`array` has values that are not finite numbers")
            for band, keys in enumerate(_ordered(values).T):
                digits = keys[keys >> 16 == high[band]] & 0xFFFF if is_second else keys >> 16
                counts[band] += np.bincount(digits, minlength=2**16)
        up_to = counts.cumsum(axis=1)
        digit = (up_to <= rank[:, np.newaxis]).sum(axis=1).astype(np.uint32)
        if not is_second:
            rank -= np.where(digit > 0, up_to[np.arange(n_bands), digit.astype(int) - 1], 0)
            high = digit
    return _ordered_inverse((high << np.uint32(16)) | digit)


def _ordered(values: np.ndarray) -> np.ndarray:
    """Map float32 numbers to uint32 integers in the same order."""
    bits = np.ascontiguousarray(values).view(np.uint32)
    return np.where(bits >> 31, ~bits, bits | np.uint32(2**31))


def _ordered_inverse(keys: np.ndarray) -> np.ndarray:
    return np.where(keys >> 31, keys & np.uint32(2**31 - 1), ~keys).view(np.float32)
