"""From trials to the arrays a network reads: EEG on the electrode grid, window by window."""

from __future__ import annotations

import abc
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, model_validator

from keras_emotion import signals
from keras_emotion.schema import TRIAL_KEY, WINDOW_COLUMNS, InputError, Trial

Features = tuple[dict[str, np.ndarray], pd.DataFrame]
"""Arrays by modality, all `(windows, ...)`, and the window table with one row for each of those windows."""


UNUSABLE = "unusable"
"""Optional column of a part's window table: why the window has no features in this part; empty where it has."""


STEP_FRAMES = "step_frames"
"""Optional array of a part: the frame of `Trial.images` that each step of a window shows, `(windows, steps)`."""

STEP_RATINGS = "step_ratings"
"""Arrays named `step_ratings@<target>` hold a rating for each step of a window, `(windows, steps)` float32."""


class FeaturePart(BaseModel, abc.ABC):
    """Features of one modality, as a frozen value: computed from the trials of one subject, and stored by themselves.

    Attributes:
        code_version: to be raised when the same fields give other numbers: stored features are then computed again.
        uses_videos: whether the face videos are among the files that the features come from.
        kind: name of the class in keys and run folders; it stays when the class gets another name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    code_version: ClassVar[int]
    uses_videos: ClassVar[bool] = False
    kind: ClassVar[str] = ""

    def key(self) -> dict[str, Any]:
        """JSON-able parameters and code version: with the source files, the key in the feature store."""
        return {
            "kind": self.kind or type(self).__name__,
            "code_version": self.code_version,
            **self.model_dump(mode="json"),
        }

    @abc.abstractmethod
    def extract(self, trials: Iterable[Trial]) -> Features:
        """Arrays by modality and window table of the trials of one subject, read one at a time.

        A part is given trials without ratings (`extract_rated`): none can enter its features.

        Raises:
            InputError: a trial cannot be used.
        """


def extract_rated(part: FeaturePart, trials: Iterable[Trial]) -> Features:
    """Features of trials, and their ratings joined to the window table afterwards.

    The part sees the trials without ratings. A rating of each frame of a clip becomes `step_ratings@<target>` where the
    part says which frames its steps show.

    Args:
        part: the part.
        trials: of one subject.

    Raises:
        InputError: see `FeaturePart.extract`.
    """
    ratings: dict[tuple, Mapping[str, float]] = {}
    of_frames: dict[tuple, Mapping[str, np.ndarray]] = {}

    def unrated() -> Iterator[Trial]:
        for trial in trials:
            key = tuple(getattr(trial, name) for name in TRIAL_KEY)
            ratings[key] = trial.ratings
            if trial.images is not None:
                of_frames[key] = trial.images.ratings
            yield trial.without_ratings()

    arrays, table = part.extract(unrated())
    keys = list(table[list(TRIAL_KEY)].itertuples(index=False, name=None))
    for place, name in enumerate(dict.fromkeys(name for key in dict.fromkeys(keys) for name in ratings[key])):
        table.insert(len(WINDOW_COLUMNS) + place, name, [ratings[key].get(name, np.nan) for key in keys])
    frames = arrays.pop(STEP_FRAMES, None)
    for name in next(iter(of_frames.values()), {}) if frames is not None else ():
        rated = [np.asarray(of_frames[key][name], np.float32)[own] for key, own in zip(keys, frames, strict=True)]
        arrays[f"{STEP_RATINGS}@{name}"] = np.array(rated, np.float32).reshape(frames.shape)
    return arrays, table


class EEGGridFeatures(FeaturePart):
    """The 3D feature construction of 3FACRNN [1]: `E_i = [E_1, ..., E_T]`, Eq. (3), bands last.

    A window is cut into `steps` slices; each slice gives one map `(rows, columns, bands)` of differential entropies
    (Eq. (1)-(2), see `keras_emotion.signals.differential_entropy`), electrodes at their cells, empty cells zero.

    Deviations: the paper does not print T, the length of a slice, nor how the raw EEG of its Table 4 enters the
    network; the fields below name each choice.

    Args:
        representation: `"differential_entropy"`; or, for the ablation without features, `"raw_slices"` (the samples of
            a slice are its channels: `(steps, rows, columns, samples_per_slice)`) and `"raw_samples"` (each sample is
            a step: `(samples, rows, columns, 1)`). Raw EEG is band-passed once over the outer edges of `bands` so that
            drift and line noise do not enter.
        sequence: `"slices"`: a sample is one window of `window_seconds` cut into `steps` slices. `"windows"`: a sample
            is `steps` consecutive windows of `window_seconds` each, so it spans `steps * window_seconds`.
        window_seconds: length of a window, in seconds.
        steps: T, the number of steps of a sample.
        bands: `(low_hz, high_hz)` by name, in the order of the last axis.
        convention: name of the differential entropy convention (`keras_emotion.signals.CONVENTIONS`).
        baseline: `"signal"` subtracts the mean one-second baseline waveform, `"feature"` the mean baseline feature,
            `"none"` neither (for data without a baseline).
        grid: electrode grid, `"9x9"` or `"8x9"`.

    References:
        [1] Du et al., Attention-based 3D convolutional recurrent neural network model for multimodal emotion
        recognition, Front. Neurosci. 17:1330077, 2024.
    """

    code_version: ClassVar[int] = 2

    representation: Literal["differential_entropy", "raw_slices", "raw_samples"] = "differential_entropy"
    sequence: Literal["slices", "windows"] = "slices"
    window_seconds: Annotated[float, Field(gt=0)] = 2.0
    steps: Annotated[int, Field(ge=1)] = 4
    bands: Mapping[str, tuple[float, float]] = Field(default_factory=lambda: dict(signals.THREE_FACRNN_BANDS))
    convention: str = "default"
    baseline: Literal["signal", "feature", "none"] = "signal"
    grid: Literal["9x9", "8x9"] = "9x9"

    @model_validator(mode="after")
    def _combination_exists(self):
        if self.convention not in signals.CONVENTIONS:
            raise ValueError(f"convention: {self.convention!r} is none of {', '.join(signals.CONVENTIONS)}")
        if self.representation != "differential_entropy" and self.baseline == "feature":
            raise ValueError("baseline: 'feature' needs representation 'differential_entropy'; raw EEG has no feature")
        if not self.bands:
            raise ValueError("bands: at least one band is needed")
        return self

    @property
    def slice_seconds(self) -> float:
        """Length of one step in seconds (of one window for `sequence="windows"`)."""
        return self.window_seconds if self.sequence == "windows" else self.window_seconds / self.steps

    @property
    def sample_seconds(self) -> float:
        """Length of one sample (all its steps) in seconds."""
        return self.slice_seconds * self.steps

    @property
    def n_steps(self) -> int | None:
        """Steps of a sample, `None` where they depend on the sampling rate (`"raw_samples"`)."""
        return None if self.representation == "raw_samples" else self.steps

    def extract(self, trials: Iterable[Trial]) -> Features:
        """Features and window table of all the trials, read one at a time.

        Returns:
            `({"eeg": (windows, steps, rows, columns, bands) float32}, window table)`.

        Raises:
            InputError: a trial is shorter than one sample, lacks the baseline that `baseline` needs, or there is none.
        """
        arrays, tables = [], []
        for trial in trials:
            array = self._of_trial(trial)
            starts = np.arange(len(array)) * self.sample_seconds
            arrays.append(array)
            tables.append(trial.window_table(starts, self.sample_seconds))
        if not arrays:
            raise InputError("no trials to compute features from")
        return {"eeg": np.concatenate(arrays)}, pd.concat(tables, ignore_index=True)

    def _of_trial(self, trial: Trial) -> np.ndarray:
        eeg = trial.eeg
        where = f"{eeg.source or 'recording'}, subject {trial.subject}, trial {trial.trial}"
        if eeg.duration_seconds < self.sample_seconds:
            raise InputError(
                f"{where}: {eeg.duration_seconds:g} s of signal are shorter than one sample of "
                f"{self.sample_seconds:g} s"
            )
        if self.baseline != "none" and eeg.baseline_seconds <= 0:
            raise InputError(f"{where}: there is no baseline before the stimulus; use --system.features.baseline none")
        step_samples = self.slice_seconds * eeg.sampling_rate_hz
        if abs(step_samples - round(step_samples)) > 1e-9:
            raise InputError(
                f"{where}: a step of {self.slice_seconds:g} s is {step_samples:g} samples at "
                f"{eeg.sampling_rate_hz:g} Hz; expected a whole number; read the recording at another sampling rate"
            )
        highest_hz = max(high for _, high in self.bands.values())
        if 2 * highest_hz >= eeg.sampling_rate_hz:
            raise InputError(
                f"{where}: {eeg.sampling_rate_hz:g} samples a second hold nothing up to {highest_hz:g} Hz; read the "
                "recording at another sampling rate, or choose other bands"
            )
        if self.representation == "differential_entropy":
            steps = signals.differential_entropy_features(
                eeg.signal,
                eeg.sampling_rate_hz,
                self.bands,
                self.slice_seconds,
                convention=self.convention,
                baseline_seconds=eeg.baseline_seconds,
                baseline=self.baseline,
            )
        else:
            steps = self._raw_steps(eeg)
        n_samples = len(steps) // self.steps
        # (steps, channels, bands) -> the channels go last, onto the grid, and come back in front of the bands.
        cells = signals.grid_positions(eeg.channel_names, self.grid, eeg.electrode_directions)
        on_grid = signals.to_grid(np.swapaxes(steps[: n_samples * self.steps], 1, 2), cells, self.grid)
        maps = np.moveaxis(on_grid, 1, -1).astype(np.float32)
        if self.representation == "raw_samples":
            maps = np.moveaxis(maps, -1, 1)[..., np.newaxis]
            return maps.reshape(n_samples, -1, *maps.shape[2:])
        return maps.reshape(n_samples, self.steps, *maps.shape[1:])

    def _raw_steps(self, eeg) -> np.ndarray:
        signal = eeg.signal
        if self.baseline == "signal":
            signal = signals.remove_baseline(signal, eeg.sampling_rate_hz, eeg.baseline_seconds)
        low_hz = min(low for low, _ in self.bands.values())
        high_hz = max(high for _, high in self.bands.values())
        signal = signals.band_pass(signal, eeg.sampling_rate_hz, low_hz, high_hz)[:, eeg.n_baseline_samples :]
        return np.swapaxes(signals.windows(signal, eeg.sampling_rate_hz, self.slice_seconds), 0, 1)
