"""EEG in overlapping blocks: band powers in sliding windows, or the band-passed signal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator
from typing_extensions import override

from keras_emotion import signals
from keras_emotion.pipelines.eeg_blocks import EEGBlocks
from keras_emotion.pipelines.features import Bands, check_band_edges, filter_memory_seconds
from keras_emotion.pipelines.windowing import Seconds, common_unit, steps_of_windows
from keras_emotion.schema import Recording

MERCL_BANDS = {
    "delta": (0.4, 4.0),
    "theta": (4.0, 8.0),
    "alpha": (8.0, 13.0),
    "beta": (13.0, 30.0),
    "gamma": (30.0, 45.0),
}
"""`(low_hz, high_hz)` of the bands of [1], by name. In files that were high-pass filtered at 4 Hz, such as DEAP's
preprocessed ones, delta contains only the roll-off of the filter."""


class SlidingBandPowers(EEGBlocks):
    """EEG of MERCL [1] in overlapping blocks: `{"eeg": (blocks, steps, channels, bands)}`, float32, natural logarithm.

    A block of 4 s has 25 steps: the power of each band in windows of 1 s, every 0.125 s. Blocks start every 2 s from
    the onset of the stimulus; scalp channels are in the recording's order. A block that ends after the trial is
    dropped.

    **Deviations**: [1] filters the EEG into the bands and takes the power spectral density of each; here the powers are
    those of the density of each window (`keras_emotion.signals.band_power`), which has no filter transients. Window,
    hop and the logarithm are not stated.

    Args:
        window_seconds: length of a block in seconds.
        hop_seconds: time between consecutive block starts in seconds; `None`: no overlap.
        lag_seconds: delay of the EEG of a block relative to the window table in seconds: the brain's response follows
            the stimulus. A whole number of samples.
        eeg_input: `"powers"`; or `"raw"`: `(blocks, samples, channels)`, the signal in its unit, band-passed once from
            the lowest to the highest edge of `bands` (Butterworth of order 4, zero phase, over the whole trial).
        step_window_seconds: length of a sliding window in seconds.
        step_hop_seconds: time between consecutive starts of sliding windows in seconds.
        bands: `(low_hz, high_hz)` by name, in the order of the last axis.

    References:
        [1] Lee, Kim, Kim, Emotion recognition using EEG signals and audiovisual features with contrastive learning,
        Bioengineering, 2024.
    """

    code_version: ClassVar[int] = 1
    channel_axes: ClassVar[Mapping[str, tuple[int, ...]] | None] = {"eeg": (2,)}

    eeg_input: Literal["powers", "raw"] = "powers"
    step_window_seconds: Seconds = 1.0
    step_hop_seconds: Seconds = 0.125
    bands: Bands = Field(default_factory=lambda: dict(MERCL_BANDS))

    @model_validator(mode="after")
    def _fields_fit(self):
        check_band_edges(self.bands)
        if self.eeg_input == "powers" and self.step_window_seconds > self.window_seconds:
            raise ValueError(
                f"step_window_seconds: {self.step_window_seconds:g} s; expected at most window_seconds "
                f"({self.window_seconds:g} s)"
            )
        return self

    @override
    def array_shapes(self, n_channels: int, sampling_rate_hz: float) -> dict[str, tuple[int, ...]]:
        block = signals.sample_count(self.window_seconds, sampling_rate_hz, "window_seconds")
        if self.eeg_input == "raw":
            return {"eeg": (block, n_channels)}
        return {"eeg": (self._n_steps(sampling_rate_hz), n_channels, len(self.bands))}

    def lead_in_seconds(self, sampling_rate_hz: float) -> float:
        """See `FeaturePart`; for the raw signal, until the slowest pole of its filter has decayed."""
        return filter_memory_seconds([self._pass_band], sampling_rate_hz) if self.eeg_input == "raw" else 0.0

    @property
    @override
    def frequency_bands(self) -> Mapping[str, tuple[float, float]]:
        return self.bands

    @property
    def _pass_band(self) -> tuple[float, float]:
        return min(low for low, _ in self.bands.values()), max(high for _, high in self.bands.values())

    def _n_steps(self, sampling_rate_hz: float) -> int:
        block, step, hop = (
            signals.sample_count(getattr(self, name), sampling_rate_hz, name)
            for name in ("window_seconds", "step_window_seconds", "step_hop_seconds")
        )
        if hop < 1:
            raise ValueError(f"`step_hop_seconds` of {self.step_hop_seconds:g} s is less than one sample")
        return (block - step) // hop + 1

    def _of_signal(self, eeg: Recording, starts: np.ndarray) -> np.ndarray:
        rate, signal = eeg.sampling_rate_hz, eeg.signal
        span, hop = self._span(eeg, len(starts))
        if self.eeg_input == "raw":
            signal = signals.band_pass(signal, rate, *self._pass_band)[:, span]
            cut = signals.windows(signal, rate, self.window_seconds, hop / rate)
            # (channels, blocks, samples) -> (blocks, samples, channels)
            return np.ascontiguousarray(np.moveaxis(cut, 0, -1), dtype=np.float32)
        n_steps = self._n_steps(rate)
        step_hop = signals.sample_count(self.step_hop_seconds, rate, "step_hop_seconds")
        # Each step is computed once, even if it is in several blocks.
        unit = common_unit(step_hop, hop)
        power = signals.band_power(signal[:, span], rate, self.bands, self.step_window_seconds, hop_seconds=unit / rate)
        # A window without any power in a band gets the smallest representable number.
        power = np.log(np.maximum(power, np.finfo(np.float32).tiny))
        return power[steps_of_windows(len(power), n_steps, step_hop // unit, hop // unit)].astype(np.float32)
