"""From trials to dynamic brain networks: how channels go together in each window, and the powers of their bands."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, ClassVar, Literal

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from keras_emotion import signals
from keras_emotion.pipelines.features import FeaturePart, Features
from keras_emotion.schema import InputError, Recording, Trial


class ConnectivityFeatures(FeaturePart):
    """Dynamic functional connectivity of Zheng et al. [1]; a sample is a trial, or a long piece of one.

    `{"connectivity": (samples, windows, channels, channels), "eeg": (samples, windows, channels, bands)}`, float32,
    scalp channels in the recording's order. Samples follow each other from the onset of the stimulus, and each is cut
    into windows without overlap. What is left at the end of a trial is dropped.

    **Deviations**: [1] correlates "EEG signals" or features of the windows and does not say which:
    `connectivity_from`. It takes the power of the bands; their logarithm, the default here, is closer to normal, and a
    few windows with artefacts do not rule it. Its gamma has no upper edge.

    Args:
        sample_seconds: length of a sample in seconds, a whole number of windows: 60 s, a trial of DEAP.
        window_seconds: length of a window in seconds [1].
        measure: `"correlation"` [1], or `"phase_locking"` or `"coherence"` of the band `measure_band_hz`.
        connectivity_from: what is correlated: the `"signal"` of the window, or the `"powers"` of its bands.
        measure_band_hz: `(low_hz, high_hz)` for phase locking and coherence; by default alpha.
        bands: `(low_hz, high_hz)` by name, in the order of the last axis of `eeg`.
        logarithm: whether powers are given by their natural logarithm.

    References:
        [1] Zheng, Shao, Zhang, Zhu, Prior-driven dynamic brain networks for multi-modal emotion recognition, MICCAI
        2023.
    """

    code_version: ClassVar[int] = 2

    sample_seconds: Annotated[float, Field(gt=0)] = 60.0
    window_seconds: Annotated[float, Field(gt=0)] = 3.0
    measure: Literal["correlation", "phase_locking", "coherence"] = "correlation"
    connectivity_from: Literal["signal", "powers"] = "signal"
    measure_band_hz: tuple[float, float] = (8.0, 12.0)
    bands: Mapping[str, tuple[float, float]] = Field(default_factory=lambda: dict(signals.PRIOR_DFCN_BANDS))
    logarithm: bool = True

    @model_validator(mode="after")
    def _fields_fit(self):
        if abs(self.n_windows * self.window_seconds - self.sample_seconds) > 1e-6 or not self.n_windows:
            raise ValueError(
                f"sample_seconds: {self.sample_seconds:g} s are no whole number of windows of {self.window_seconds:g} s"
            )
        if self.measure != "correlation" and self.connectivity_from != "signal":
            raise ValueError(f"connectivity_from: {self.measure} is of signals, not of the powers of bands")
        if not self.bands:
            raise ValueError("bands: at least one band is needed")
        return self

    @property
    def n_windows(self) -> int:
        """Windows of a sample."""
        return round(self.sample_seconds / self.window_seconds)

    def extract(self, trials: Iterable[Trial]) -> Features:
        """See `FeaturePart`.

        Raises:
            InputError: a trial has other channels or another rate than the first, is shorter than a sample, has a
                channel that never changes or a band that its rate does not reach, or there are no trials.
        """
        networks, powers, tables, first = [], [], [], None
        for trial in trials:
            eeg = trial.eeg
            where = f"{eeg.source or 'recording'}, subject {trial.subject}, trial {trial.trial}"
            first = first or (eeg.channel_names, eeg.sampling_rate_hz)
            self._check(eeg, first, where)
            n_samples = int(round(eeg.duration_seconds / self.sample_seconds, 6))
            try:
                network, power = self._of_signal(eeg, n_samples)
            except ValueError as error:
                raise InputError(f"{where}: {error}") from error
            networks.append(network)
            powers.append(power)
            tables.append(trial.window_table(np.arange(n_samples) * self.sample_seconds, self.sample_seconds))
        if not tables:
            raise InputError("no trials to compute features from")
        arrays = {"connectivity": np.concatenate(networks), "eeg": np.concatenate(powers)}
        return arrays, pd.concat(tables, ignore_index=True)

    def _check(self, eeg: Recording, first: tuple[tuple[str, ...], float], where: str) -> None:
        names, rate = first
        if eeg.channel_names != names or eeg.sampling_rate_hz != rate:
            raise InputError(f"{where}: channels or sampling rate are not those of the first trial")
        if round(eeg.duration_seconds - self.sample_seconds, 6) < 0:
            raise InputError(
                f"{where}: {eeg.duration_seconds:g} s of signal are shorter than one sample of "
                f"{self.sample_seconds:g} s; choose another --system.features.sample-seconds"
            )
        flat = np.ptp(eeg.signal, axis=-1) == 0
        if flat.any():
            flat_names = ", ".join(np.array(names)[flat])
            raise InputError(f"{where}: nothing is connected with a channel that never changes: {flat_names}")

    def _of_signal(self, eeg: Recording, n_samples: int) -> tuple[np.ndarray, np.ndarray]:
        stop = eeg.n_baseline_samples + round(n_samples * self.sample_seconds * eeg.sampling_rate_hz)
        signal, rate = eeg.signal[:, eeg.n_baseline_samples : stop], eeg.sampling_rate_hz
        power = signals.band_power(signal, rate, self.bands, self.window_seconds)
        if self.logarithm:
            # A window without any power in a band has the smallest number that there is.
            power = np.log(np.maximum(power, np.finfo(np.float32).tiny))
        if self.connectivity_from == "powers":
            network = signals.pearson_correlation(power)
        elif self.measure == "correlation":
            network = signals.pearson_correlation(signal, rate, self.window_seconds)
        else:
            measure = {"phase_locking": signals.phase_locking_value, "coherence": signals.coherence}[self.measure]
            network = measure(signal, rate, *self.measure_band_hz, self.window_seconds)
        by_sample = (n_samples, self.n_windows)
        return tuple(array.reshape(*by_sample, *array.shape[1:]).astype(np.float32) for array in (network, power))
