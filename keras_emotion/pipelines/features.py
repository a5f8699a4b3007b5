"""Base class of feature parts, and EEG features on the electrode grid, window by window."""

from __future__ import annotations

import abc
import difflib
import functools
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
import pandas as pd
import scipy.signal
from pydantic import BaseModel, ConfigDict, Field, model_serializer, model_validator
from typing_extensions import override

from keras_emotion import signals
from keras_emotion.pipelines.study_channels import ChannelSet, Direction, direction_array, take_channels
from keras_emotion.pipelines.windowing import Seconds, StepCount, Windowing, common_unit, steps_of_windows
from keras_emotion.schema import InputError, Recording, Trial

Features = tuple[dict[str, np.ndarray], pd.DataFrame]
"""Arrays by modality, all `(windows, ...)`, and the window table with one row for each of those windows."""


Source = Literal[
    "recording", "video", "images", "media", "picture", "sound", "voice", "eye_movements", "released_features"
]
"""Sources of a part in a trial: the signals, the video of the face, frames as separate files, the stimulus (as a whole,
or its picture or sound track), sound of the subject, eye movements, or features distributed by the dataset's
authors."""

UNUSABLE = "unusable"
"""Optional column of a part's window table: why the window has no features in this part; empty if it has."""


STEP_FRAMES = "step_frames"
"""Optional array of a part: the frame of `Trial.images` that each step of a window shows, `(windows, steps)`."""

STEP_RATINGS = "step_ratings"
"""Arrays named `step_ratings@<target>` hold a rating for each step of a window, `(windows, steps)` float32."""

_FILTER_ORDER_OF_RAW = 4

TRANSIENT = 1e-12
"""Share of the filters' transients that may remain at the end of a lead-in."""

BandEdge = Annotated[float, Field(gt=0, le=50_000)]
"""Edge of a band in Hz."""

Bands = Annotated[Mapping[str, tuple[BandEdge, BandEdge]], Field(max_length=64)]
"""`(low_hz, high_hz)` by name of the band."""


class FeaturePart(BaseModel, abc.ABC):
    """Features of one modality, as an immutable value: computed from one subject's trials, and stored separately.

    A saved model stores the parts of its inputs (`description`). For its application to a new recording, the attributes
    and methods below define the windows, the lead-in of the filters, and the replacement of missing channels.

    Attributes:
        code_version: increase it when the same fields give other numbers: stored features are then computed again.
        kind: name of the class in keys and run folders; it stays when the class is renamed.
        added_fields: fields that were added to the class later, with their defaults. A field at its default is left out
            of keys and configurations, so that those of earlier versions stay the same.
        local_fields: fields that are paths on this machine; a saved model does not store them.
        sources: the sources of the features in a trial; the first is required of a new recording. Inspection,
            fingerprints and messages use it.
        missing_channel: replacement of a channel that a new recording lacks: `"training_mean"`, the mean over the
            training windows, which the scaling of the model stores; `"zero"`; or `"refuse"`, no replacement.
        shared_by_stimulus: whether the features depend only on the clip of the stimulus (`Trial.media`). They are then
            computed once per clip, as long as the longest trial, from a trial without recording, video, images or
            ratings, stored once, and looked up for each trial. Such a part has a `windowing`.
        needs_backend: whether `extract` runs a Keras network: it then uses the threads and GPUs of training workers.
        channel_axes: channel axes of each array by its name, the windows axis being 0; an array that is not listed does
            not depend on the order of channels. `None` if the dependence on channels is unknown: files with different
            channels are then refused.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    code_version: ClassVar[int]
    kind: ClassVar[str] = ""
    added_fields: ClassVar[Mapping[str, Any]] = {}
    local_fields: ClassVar[frozenset[str]] = frozenset()
    sources: ClassVar[tuple[Source, ...]] = ("recording",)
    missing_channel: ClassVar[Literal["training_mean", "zero", "refuse"]] = "refuse"
    shared_by_stimulus: ClassVar[bool] = False
    needs_backend: ClassVar[bool] = False
    channel_axes: ClassVar[Mapping[str, tuple[int, ...]] | None] = None

    @model_serializer(mode="wrap")
    def _without_defaults_of_added_fields(self, serialize):
        left_out = {name for name, default in self.added_fields.items() if getattr(self, name) == default}
        return {name: value for name, value in serialize(self).items() if name not in left_out}

    def key(self) -> dict[str, Any]:
        """Return JSON-able parameters and code version: with the source files, the key in the feature store."""
        return {
            "kind": self.kind or type(self).__name__,
            "code_version": self.code_version,
            **self.model_dump(mode="json"),
        }

    @abc.abstractmethod
    def extract(self, trials: Iterable[Trial]) -> Features:
        """Extract the arrays by modality and the window table of one subject's trials, read one at a time.

        Trials have no ratings here (`extract_rated`), so that none can enter the features.

        Raises:
            InputError: a trial cannot be used.
        """

    # --- windows

    @property
    def windowing(self) -> Windowing:
        """Windowing of a trial by the fields of the part.

        Raises:
            NotImplementedError: the part has no windows of one length.
        """
        raise NotImplementedError(f"{type(self).__name__} has no windowing")

    def with_windowing(self, windowing: Windowing) -> Self:
        """Return a copy with this windowing in place of its own.

        Args:
            windowing: the windowing; a part without steps ignores `steps`.

        Raises:
            ValueError: the part does not support this windowing.
        """
        raise NotImplementedError(f"{type(self).__name__} has no windowing")

    def changed(self, **fields: Any) -> Self:
        """Return a validated copy with some fields changed."""
        return type(self)(**{**dict(self), **fields})

    # --- saved models

    def description(self) -> dict[str, Any]:
        """Return JSON-able kind and fields of the part, as stored in a saved model."""
        fields = json.loads(self.model_dump_json(exclude=set(self.local_fields)))
        return {"kind": self.kind or type(self).__name__, "fields": fields}

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Self:
        """Create the part from the fields of a description, without type conversion.

        Args:
            fields: all of its fields, except `local_fields`, and `added_fields` at their defaults.

        Raises:
            ValueError: a field is missing, unknown or out of range, or `predict` cannot compute the part.
        """
        optional = {*cls.added_fields, *cls.local_fields}
        for name in cls.model_fields:
            if name not in fields and name not in optional:
                raise ValueError(f"{name}: missing; expected a value")
        for name in cls.local_fields:
            if fields.get(name) is not None:
                raise ValueError(f"{name}: is a path on another machine; expected nothing")
        return cls.model_validate_json(json.dumps(fields), strict=True)

    @property
    def needs_weights(self) -> bool:
        """Whether weights that a saved model does not store must be given (`with_weights`) before `extract`."""
        return False

    def with_weights(self, weights: Path) -> Self:
        """Return a copy that computes its features with the weights at a path.

        Args:
            weights: file or folder.

        Raises:
            InputError: the part needs no weights, or these are not the ones of the model's training.
        """
        raise InputError(f"{weights}: {type(self).__name__} has no weights; leave out this option")

    def for_new_recording(self) -> Self:
        """Return the part for a recording without a dataset: windows without overlap, all given channels."""
        return self

    def select_channels(self, trial: Trial) -> Recording:
        """Return the channels of a trial for the features: by default those of the scalp.

        Raises:
            InputError: there are none.
        """
        return trial.eeg

    @property
    def has_channels(self) -> bool:
        """Whether the features depend on channels, whose order may differ between files."""
        return self.sources[0] in ("recording", "released_features")

    def channel_set(self, trial: Trial) -> ChannelSet:
        """Return the channels of a trial for the features, with units and directions of the electrodes.

        Raises:
            InputError: there are none.
        """
        return ChannelSet.of(self.select_channels(trial))

    def flags(self, trial: Trial) -> tuple[str, ...]:
        """Return warnings about these features that must accompany each number; empty for most parts.

        Args:
            trial: a trial of the dataset.
        """
        return ()

    def array_shapes(self, n_channels: int, sampling_rate_hz: float) -> dict[str, tuple[int, ...]]:
        """Return the shapes of the arrays of one window by name, without the windows axis.

        Args:
            n_channels: number of channels of the recording.
            sampling_rate_hz: its sampling rate.

        Raises:
            ValueError: the part cannot be computed at this rate.
        """
        raise NotImplementedError(f"{type(self).__name__}: the shapes of its arrays are unknown")

    def check_channels(self, channel_names: Sequence[str], directions: np.ndarray) -> None:
        """Refuse channels for which the features cannot be computed.

        Args:
            channel_names: names of the channels.
            directions: `(channels, 3)` directions of their electrodes, NaN where unknown.

        Raises:
            ValueError: there are such channels.
        """
        return

    def fault_of_duration(self, duration_seconds: float) -> str:
        """Return why trials of a length are refused; empty if they are not.

        A run calls this before feature extraction, to list too short trials together with faults of the files.

        Args:
            duration_seconds: length of a trial.
        """
        return ""

    @property
    def works_in_blocks(self) -> bool:
        """Whether the features of a block, with a lead-in before and after it, equal those of the whole recording."""
        return True

    def lead_in_seconds(self, sampling_rate_hz: float) -> float:
        """Return the time after which the transients of the features' filters have decayed to `TRANSIENT`."""
        return 0.0

    @property
    def frequency_bands(self) -> Mapping[str, tuple[float, float]]:
        """Return `(low_hz, high_hz)` of the features' bands by name; empty if there are none."""
        return {}

    @property
    def subtracted_baseline(self) -> Literal["none", "waveform", "features"]:
        """Kind of the subtracted pre-stimulus baseline: a mean waveform of the signal, or a mean of the features."""
        return "none"

    @property
    def baseline_segment_seconds(self) -> float:
        """Length of the segments whose mean is the waveform of the baseline, in seconds."""
        return 1.0

    def without_baseline(self) -> Self:
        """Return the part without baseline subtraction."""
        return self

    def align_channels(self, name: str, values: np.ndarray, present: ChannelSet, wanted: ChannelSet) -> np.ndarray:
        """Align windows of an array to other channels: matched by name, NaN for missing ones.

        Args:
            name: name of the array.
            values: `(windows, ...)` windows of the array, for the present channels.
            present: the present channels.
            wanted: the channels to align to.

        Raises:
            InputError: the dependence of the array on channels is unknown.
        """
        if present.keys == wanted.keys:
            return values
        if self.channel_axes is None:
            raise InputError(
                f"{type(self).__name__}: its arrays cannot be aligned to other channels (`channel_axes` is unknown), "
                f"but the files have different ones: {', '.join(present.names)} and {', '.join(wanted.names)}"
            )
        return take_channels(values, self.channel_axes.get(name, ()), present.places_of(wanted))

    def fill_missing(
        self,
        arrays: dict[str, np.ndarray],
        present: ChannelSet,
        expected: ChannelSet,
        training_means: Mapping[str, np.ndarray],
    ) -> dict[str, np.ndarray]:
        """Return arrays of the channels that a model expects, from those of a recording.

        Args:
            arrays: `(windows, ...)` by name, from `extract` for the present channels.
            present: the present channels.
            expected: the channels of the model's training.
            training_means: means of the arrays over the training windows by name, if stored in the model; otherwise
                missing values become 0.
        """
        filled = {}
        for name, array in arrays.items():
            # Missing values of a window without any value: a NaN that a part computed stays NaN.
            lacks = np.isnan(self.align_channels(name, np.zeros_like(array[:1]), present, expected))
            aligned = self.align_channels(name, array, present, expected)
            filled[name] = np.where(lacks, training_means.get(name, 0.0), aligned).astype(array.dtype)
        return filled


_NAMED = 6
"""Largest number of kinds listed in a message."""


def find_part(kind: str) -> type[FeaturePart]:
    """Return the part of a kind, as in `FeaturePart.key`.

    Raises:
        ValueError: the kind is unknown.
    """
    known: dict[str, type[FeaturePart]] = {}
    queue: list[type[FeaturePart]] = [FeaturePart]  # type: ignore[type-abstract]  # looked through, never made
    # Breadth first: a class that inherits its kind must not replace the first.
    for part in queue:
        queue.extend(part.__subclasses__())
        if not part.__abstractmethods__:
            known.setdefault(part.kind or part.__name__, part)
    if kind not in known:
        near = difflib.get_close_matches(kind, known) or sorted(known)
        others = f" or {len(known) - _NAMED} others" if len(near) > _NAMED else ""
        raise ValueError(f"unknown kind {kind!r}; expected {', '.join(near[:_NAMED])}{others}")
    return known[kind]


@functools.lru_cache(maxsize=256)
def _cells_of(names: tuple[str, ...], directions: tuple[Direction | None, ...], grid: str) -> np.ndarray:
    # Cached by list of channels, instead of computed for each batch.
    return signals.grid_positions(names, grid, direction_array(directions))


class EEGStepFeatures(FeaturePart):
    """Differential entropies, or the raw EEG, of the slices of a window; subclasses define the channel layout.

    Args:
        representation: `"differential_entropy"`; or, for the ablation without features, `"raw_slices"` (the samples of
            a slice are its channels: `(steps, rows, columns, samples_per_slice)`) and `"raw_samples"` (each sample is
            a step: `(samples, rows, columns, 1)`). Raw EEG is band-passed once over the outer edges of `bands` to
            remove drift and line noise.
        sequence: `"slices"`: a sample is one window of `window_seconds` divided into `steps` slices. `"windows"`: a
            sample is `steps` consecutive windows of `window_seconds` each, so it spans `steps * window_seconds`.
        window_seconds: length of a window, in seconds.
        steps: T, the number of steps of a sample.
        hop_seconds: time between consecutive sample starts in seconds, a whole number of EEG samples; `None`: no
            overlap. A smaller hop makes samples overlap: only for data that are split by trial, stimulus or person.
        bands: `(low_hz, high_hz)` by name, in the order of the last axis.
        convention: name of the differential entropy convention (`keras_emotion.signals.CONVENTIONS`).
        baseline: `"signal"` subtracts the mean one-second baseline waveform, `"feature"` the mean baseline feature,
            `"none"` neither (for data without a baseline).
    """

    code_version: ClassVar[int] = 2
    added_fields: ClassVar[Mapping[str, Any]] = {"hop_seconds": None}
    missing_channel: ClassVar[Literal["training_mean", "zero", "refuse"]] = "training_mean"

    representation: Literal["differential_entropy", "raw_slices", "raw_samples"] = "differential_entropy"
    sequence: Literal["slices", "windows"] = "slices"
    window_seconds: Seconds = 2.0
    steps: StepCount = 4
    hop_seconds: Seconds | None = None
    bands: Bands = Field(default_factory=lambda: dict(signals.THREE_FACRNN_BANDS))
    convention: str = "default"
    baseline: Literal["signal", "feature", "none"] = "signal"

    @abc.abstractmethod
    def _layout_shape(self, n_channels: int) -> tuple[int, ...]:
        """Return the axes that replace the channel axis."""

    @abc.abstractmethod
    def _laid_out(self, steps: np.ndarray, eeg: Recording) -> np.ndarray:
        """Arrange `(steps, channels, bands)` as `(steps, ..., bands)`."""

    @model_validator(mode="after")
    def _combination_exists(self):
        if self.convention not in signals.CONVENTIONS:
            raise ValueError(
                f"convention: {self.convention!r} is unknown; expected one of {', '.join(signals.CONVENTIONS)}"
            )
        if self.representation != "differential_entropy" and self.baseline == "feature":
            raise ValueError("baseline: 'feature' needs representation 'differential_entropy'; raw EEG has no feature")
        check_band_edges(self.bands)
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
        """Number of steps of a sample, `None` if it depends on the sampling rate (`"raw_samples"`)."""
        return None if self.representation == "raw_samples" else self.steps

    @property
    def windowing(self) -> Windowing:
        """See `FeaturePart`; a window is a sample."""
        return Windowing(window_seconds=self.sample_seconds, hop_seconds=self.hop_seconds, steps=self.steps)

    @override
    def with_windowing(self, windowing: Windowing) -> Self:
        if windowing.lag_seconds:
            raise ValueError(
                f"lag_seconds: {type(self).__name__} cannot be delayed relative to other parts; expected 0"
            )
        length = windowing.step_seconds if self.sequence == "windows" else windowing.window_seconds
        return self.changed(window_seconds=length, steps=windowing.steps, hop_seconds=windowing.hop_seconds)

    @override
    def for_new_recording(self) -> Self:
        return self.changed(hop_seconds=None)

    @override
    def array_shapes(self, n_channels: int, sampling_rate_hz: float) -> dict[str, tuple[int, ...]]:
        step = signals.sample_count(self.slice_seconds, sampling_rate_hz, "window_seconds / steps")
        layout = self._layout_shape(n_channels)
        return {
            "eeg": {
                "differential_entropy": (self.steps, *layout, len(self.bands)),
                "raw_slices": (self.steps, *layout, step),
                "raw_samples": (self.steps * step, *layout, 1),
            }[self.representation]
        }

    def lead_in_seconds(self, sampling_rate_hz: float) -> float:
        """See `FeaturePart`; until the slowest pole of the band-pass filters has decayed."""
        bands, order = list(self.bands.values()), _FILTER_ORDER_OF_RAW
        if self.representation == "differential_entropy":
            convention = signals.CONVENTIONS[self.convention]
            if convention.filter_scope == "window":
                return 0.0
            order = convention.filter_order
        else:
            bands = [(min(low for low, _ in bands), max(high for _, high in bands))]
        return filter_memory_seconds(bands, sampling_rate_hz, order)

    @property
    @override
    def frequency_bands(self) -> Mapping[str, tuple[float, float]]:
        return self.bands

    @property
    @override
    def subtracted_baseline(self) -> Literal["none", "waveform", "features"]:
        if self.baseline == "none":
            return "none"
        return "waveform" if self.baseline == "signal" else "features"

    @override
    def without_baseline(self) -> Self:
        return self.changed(baseline="none")

    def extract(self, trials: Iterable[Trial]) -> Features:
        """Extract features and window table of all trials, read one at a time.

        Returns:
            The array `eeg`, (windows, steps, ..., bands) float32, by its name, and the window table.

        Raises:
            InputError: a trial is shorter than one sample, lacks the baseline that `baseline` needs, or there is none.
        """
        arrays, tables = [], []
        for trial in trials:
            array = self._of_trial(trial)
            starts = np.arange(len(array)) * (self.hop_seconds or self.sample_seconds)
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
                f"{where}: {eeg.duration_seconds:g} s of signal; expected at least one sample of "
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
                f"{where}: a sampling rate of {eeg.sampling_rate_hz:g} Hz does not cover {highest_hz:g} Hz; read the "
                "recording at another sampling rate, or choose other bands"
            )
        step, hop = round(step_samples), self._hop_samples(eeg.sampling_rate_hz, where)
        # Each step is computed once, even if it is in several windows.
        unit = common_unit(step, hop)
        unit_seconds = None if unit == step else unit / eeg.sampling_rate_hz
        if self.representation == "differential_entropy":
            steps = signals.differential_entropy_features(
                eeg.signal,
                eeg.sampling_rate_hz,
                self.bands,
                self.slice_seconds,
                convention=self.convention,
                hop_seconds=unit_seconds,
                baseline_seconds=eeg.baseline_seconds,
                baseline=self.baseline,
            )
        else:
            steps = self._raw_steps(eeg, unit_seconds)
        maps = self._laid_out(steps, eeg).astype(np.float32)
        if self.representation == "raw_samples":
            maps = np.moveaxis(maps, -1, 1)[..., np.newaxis]
        # (windows, steps, ..., bands); for raw samples (windows, steps, samples, ..., 1).
        cut = maps[steps_of_windows(len(maps), self.steps, step // unit, hop // unit)]
        return cut.reshape(len(cut), -1, *cut.shape[3:]) if self.representation == "raw_samples" else cut

    def _hop_samples(self, sampling_rate_hz: float, where: str) -> int:
        hop_seconds = self.hop_seconds or self.sample_seconds
        try:
            hop = signals.sample_count(hop_seconds, sampling_rate_hz, "hop_seconds")
        except ValueError as error:
            raise InputError(f"{where}: {error}") from None
        if hop < 1:
            raise InputError(f"{where}: `hop_seconds` of {hop_seconds:g} s is less than one sample")
        return hop

    def _raw_steps(self, eeg, unit_seconds: float | None) -> np.ndarray:
        signal = eeg.signal
        if self.baseline == "signal":
            signal = signals.remove_baseline(signal, eeg.sampling_rate_hz, eeg.baseline_seconds)
        low_hz = min(low for low, _ in self.bands.values())
        high_hz = max(high for _, high in self.bands.values())
        signal = signals.band_pass(signal, eeg.sampling_rate_hz, low_hz, high_hz)[:, eeg.n_baseline_samples :]
        return np.swapaxes(signals.windows(signal, eeg.sampling_rate_hz, self.slice_seconds, unit_seconds), 0, 1)


class EEGGridFeatures(EEGStepFeatures):
    """The 3D feature construction of 3FACRNN [1]: `E_i = [E_1, ..., E_T]`, Eq. (3), bands last.

    A window is divided into `steps` slices; each slice gives one map `(rows, columns, bands)` of differential entropies
    (Eq. (1)-(2), see `keras_emotion.signals.differential_entropy`), electrodes at their cells, empty cells zero:
    `{"eeg": (windows, steps, rows, columns, bands)}`, float32.

    Deviations: the paper does not state T, the length of a slice, nor how the raw EEG of its Table 4 enters the
    network; the fields of `EEGStepFeatures` name each choice.

    Args:
        grid: electrode grid, `"9x9"` or `"8x9"`.

    References:
        [1] Du et al., Attention-based 3D convolutional recurrent neural network model for multimodal emotion
        recognition, Front. Neurosci. 17:1330077, 2024.
    """

    grid: Literal["9x9", "8x9"] = "9x9"

    def check_channels(self, channel_names: Sequence[str], directions: np.ndarray) -> None:
        """See `FeaturePart`; each needs its own cell."""
        signals.grid_positions(list(channel_names), self.grid, directions)

    def align_channels(self, name: str, values: np.ndarray, present: ChannelSet, wanted: ChannelSet) -> np.ndarray:
        """See `FeaturePart`; moves an electrode from its cell in the file to its cell in the study."""
        here, there = (_cells_of(one.names, one.directions, self.grid) for one in (present, wanted))
        places = present.places_of(wanted)
        is_there = places >= 0
        if is_there.all() and len(here) == len(there) and (here[places] == there).all():
            return values
        aligned = np.zeros_like(values)
        ahead = values.ndim - 4  # axes between that of the windows and the rows
        before = (slice(None),) * (1 + ahead)
        aligned[(*before, *there[~is_there].T)] = np.nan
        aligned[(*before, *there[is_there].T)] = values[(*before, *here[places[is_there]].T)]
        return aligned

    def _layout_shape(self, n_channels: int) -> tuple[int, ...]:
        return signals.GRID_SHAPES[self.grid]

    def _laid_out(self, steps: np.ndarray, eeg: Recording) -> np.ndarray:
        # (steps, channels, bands) -> channels last, onto the grid, and back before the bands.
        cells = signals.grid_positions(eeg.channel_names, self.grid, eeg.electrode_directions)
        return np.moveaxis(signals.to_grid(np.swapaxes(steps, 1, 2), cells, self.grid), 1, -1)


class EEGChannelFeatures(EEGStepFeatures):
    """The features of `EEGGridFeatures` without a grid: `{"eeg": (windows, steps, channels, bands)}`, float32.

    Scalp channels are in the recording's order. For networks on graphs.
    """

    code_version: ClassVar[int] = 1
    channel_axes: ClassVar[Mapping[str, tuple[int, ...]] | None] = {"eeg": (2,)}

    def _layout_shape(self, n_channels: int) -> tuple[int, ...]:
        return (n_channels,)

    def _laid_out(self, steps: np.ndarray, eeg: Recording) -> np.ndarray:
        return steps


def filter_memory_seconds(
    bands: Iterable[tuple[float, float]], sampling_rate_hz: float, order: int = _FILTER_ORDER_OF_RAW
) -> float:
    """Return the time until the slowest pole of Butterworth band-pass filters has decayed to `TRANSIENT`; inf if none.

    Args:
        bands: `(low_hz, high_hz)` of each filter.
        sampling_rate_hz: sampling rate.
        order: order of the filters.
    """
    poles = [scipy.signal.butter(order, band, "bandpass", fs=sampling_rate_hz, output="zpk")[1] for band in bands]
    slowest = max(np.abs(pole).max() for pole in poles)
    if not slowest < 1:
        return math.inf
    return math.ceil(math.log(TRANSIENT) / math.log(slowest)) / sampling_rate_hz


def check_band_edges(bands: Mapping[str, tuple[float, float]]) -> None:
    """Refuse an empty set of bands, and bands whose edges are not in order.

    Raises:
        ValueError: there are such bands.
    """
    if not bands:
        raise ValueError("bands: at least one band is needed")
    for name, (low_hz, high_hz) in bands.items():
        if not low_hz < high_hz:
            raise ValueError(f"bands.{name}: {low_hz:g} to {high_hz:g} Hz; expected the lower edge first")
