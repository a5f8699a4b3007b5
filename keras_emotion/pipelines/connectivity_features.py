"""Dynamic functional connectivity: correlations of the channels in each window, and band powers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Literal, Self

import numpy as np
import pandas as pd
from pydantic import Field, model_validator
from typing_extensions import override

from keras_emotion import signals
from keras_emotion.pipelines.features import BandEdge, Bands, FeaturePart, Features, check_band_edges
from keras_emotion.pipelines.windowing import (
    MOST_STEPS,
    Seconds,
    Windowing,
    common_unit,
    starts_within,
    steps_of_windows,
)
from keras_emotion.schema import InputError, Recording, Trial


class ConnectivityFeatures(FeaturePart):
    """Dynamic functional connectivity of Zheng et al. [1]; a sample is a trial, or a long piece of one.

    `{"connectivity": (samples, windows, channels, channels), "eeg": (samples, windows, channels, bands)}`, float32,
    scalp channels in the recording's order. Samples follow each other from the onset of the stimulus, and each is
    divided into windows without overlap. The remainder at the end of a trial is dropped.

    **Deviations**: [1] correlates "EEG signals" or features of the windows, without stating which: `connectivity_from`.
    It uses the power of the bands; their logarithm, the default here, is closer to normal, and less dominated by a few
    windows with artefacts. Its gamma has no upper edge.

    Args:
        sample_seconds: length of a sample in seconds, a whole number of windows: 60 s, a trial of DEAP.
        window_seconds: length of a window in seconds [1].
        hop_seconds: time between consecutive sample starts in seconds, a whole number of EEG samples; `None`:
            no overlap. The windows of one sample never overlap.
        measure: `"correlation"` [1], or `"phase_locking"` or `"coherence"` of the band `measure_band_hz`.
        connectivity_from: the correlated quantity: the `"signal"` of the window, or the `"powers"` of its bands.
        measure_band_hz: `(low_hz, high_hz)` for phase locking and coherence; default: alpha.
        bands: `(low_hz, high_hz)` by name, in the order of the last axis of `eeg`.
        logarithm: whether powers are natural logarithms.

    References:
        [1] Zheng, Shao, Zhang, Zhu, Prior-driven dynamic brain networks for multi-modal emotion recognition, MICCAI
        2023.
    """

    code_version: ClassVar[int] = 2
    added_fields: ClassVar[Mapping[str, Any]] = {"hop_seconds": None}
    channel_axes: ClassVar[Mapping[str, tuple[int, ...]] | None] = {"connectivity": (2, 3), "eeg": (2,)}

    sample_seconds: Seconds = 60.0
    window_seconds: Seconds = 3.0
    hop_seconds: Seconds | None = None
    measure: Literal["correlation", "phase_locking", "coherence"] = "correlation"
    connectivity_from: Literal["signal", "powers"] = "signal"
    measure_band_hz: tuple[BandEdge, BandEdge] = (8.0, 12.0)
    bands: Bands = Field(default_factory=lambda: dict(signals.PRIOR_DFCN_BANDS))
    logarithm: bool = True

    @model_validator(mode="after")
    def _fields_fit(self):
        if abs(self.n_windows * self.window_seconds - self.sample_seconds) > 1e-6 or not self.n_windows:
            raise ValueError(
                f"sample_seconds: {self.sample_seconds:g} s are not a whole number of windows of "
                f"{self.window_seconds:g} s"
            )
        if self.measure != "correlation" and self.connectivity_from != "signal":
            raise ValueError(f"connectivity_from: {self.measure} applies to signals, not to band powers")
        if self.n_windows > MOST_STEPS:
            raise ValueError(f"window_seconds: a sample has {self.n_windows} windows; expected at most {MOST_STEPS}")
        check_band_edges(self.bands)
        return self

    @property
    def n_windows(self) -> int:
        """Number of windows of a sample."""
        return round(self.sample_seconds / self.window_seconds)

    @property
    def windowing(self) -> Windowing:
        """See `FeaturePart`; a window is a sample, and its steps are the windows of [1]."""
        return Windowing(window_seconds=self.sample_seconds, hop_seconds=self.hop_seconds, steps=self.n_windows)

    @override
    def with_windowing(self, windowing: Windowing) -> Self:
        if windowing.lag_seconds:
            raise ValueError(
                f"lag_seconds: {type(self).__name__} cannot be delayed relative to other parts; expected 0"
            )
        lengths = {"sample_seconds": windowing.window_seconds, "window_seconds": windowing.step_seconds}
        return self.changed(**lengths, hop_seconds=windowing.hop_seconds)

    @override
    def for_new_recording(self) -> Self:
        return self.changed(hop_seconds=None)

    @override
    def array_shapes(self, n_channels: int, sampling_rate_hz: float) -> dict[str, tuple[int, ...]]:
        signals.sample_count(self.window_seconds, sampling_rate_hz, "window_seconds")
        by_channel = (self.n_windows, n_channels)
        return {"connectivity": (*by_channel, n_channels), "eeg": (*by_channel, len(self.bands))}

    @property
    def works_in_blocks(self) -> bool:
        """See `FeaturePart`; the filters of phase locking and coherence run over whole trials."""
        return self.measure == "correlation"

    @property
    @override
    def frequency_bands(self) -> Mapping[str, tuple[float, float]]:
        return self.bands

    def extract(self, trials: Iterable[Trial]) -> Features:
        """See `FeaturePart`.

        Raises:
            InputError: a trial differs from the first in channels or rate, is shorter than a sample, has a constant
                channel or a band above its Nyquist frequency, or there are no trials.
        """
        networks, powers, tables, first = [], [], [], None
        for trial in trials:
            eeg = trial.eeg
            where = f"{eeg.source or 'recording'}, subject {trial.subject}, trial {trial.trial}"
            first = first or (eeg.channel_names, eeg.sampling_rate_hz)
            self._check(eeg, first, where)
            starts = starts_within(eeg.duration_seconds, self.sample_seconds, self.hop_seconds)
            try:
                network, power = self._of_signal(eeg, len(starts))
            except ValueError as error:
                raise InputError(f"{where}: {error}") from error
            networks.append(network)
            powers.append(power)
            tables.append(trial.window_table(starts, self.sample_seconds))
        if not tables:
            raise InputError("no trials to compute features from")
        arrays = {"connectivity": np.concatenate(networks), "eeg": np.concatenate(powers)}
        return arrays, pd.concat(tables, ignore_index=True)

    def _check(self, eeg: Recording, first: tuple[tuple[str, ...], float], where: str) -> None:
        names, rate = first
        if eeg.channel_names != names or eeg.sampling_rate_hz != rate:
            raise InputError(f"{where}: channels or sampling rate differ from the first trial; expected the same")
        if round(eeg.duration_seconds - self.sample_seconds, 6) < 0:
            raise InputError(
                f"{where}: {eeg.duration_seconds:g} s of signal; expected at least one sample of "
                f"{self.sample_seconds:g} s; choose another --system.features.sample-seconds"
            )
        flat = np.ptp(eeg.signal, axis=-1) == 0
        if flat.any():
            flat_names = ", ".join(np.array(names)[flat])
            raise InputError(f"{where}: connectivity is undefined for constant channels: {flat_names}")

    def _of_signal(self, eeg: Recording, n_samples: int) -> tuple[np.ndarray, np.ndarray]:
        rate = eeg.sampling_rate_hz
        hop_seconds = self.hop_seconds or self.sample_seconds
        length_seconds = (n_samples - 1) * hop_seconds + self.sample_seconds
        signal = eeg.signal[:, eeg.n_baseline_samples :][:, : round(length_seconds * rate)]
        window = signals.sample_count(self.window_seconds, rate, "window_seconds")
        hop = signals.sample_count(hop_seconds, rate, "hop_seconds")
        if hop < 1:
            raise ValueError(f"`hop_seconds` of {hop_seconds:g} s is less than one sample")
        # Each window is computed once, even if it is in several samples.
        unit = common_unit(window, hop)
        cut: dict[str, Any] = {
            "window_seconds": self.window_seconds,
            "hop_seconds": None if unit == window else unit / rate,
        }
        power = signals.band_power(signal, rate, self.bands, **cut)
        if self.logarithm:
            # A window without any power in a band gets the smallest representable number.
            power = np.log(np.maximum(power, np.finfo(np.float32).tiny))
        if self.connectivity_from == "powers":
            network = signals.pearson_correlation(power)
        elif self.measure == "correlation":
            network = signals.pearson_correlation(signal, rate, **cut)
        else:
            measure: Any = {"phase_locking": signals.phase_locking_value, "coherence": signals.coherence}[self.measure]
            network = measure(signal, rate, *self.measure_band_hz, **cut)
        places = steps_of_windows(len(power), self.n_windows, window // unit, hop // unit)
        return network[places].astype(np.float32), power[places].astype(np.float32)
