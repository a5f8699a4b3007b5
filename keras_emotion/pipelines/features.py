"""From trials to the arrays a network reads: EEG on the electrode grid, window by window."""

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

from keras_emotion import signals
from keras_emotion.pipelines.study_channels import ChannelSet, Direction, direction_array, take_channels
from keras_emotion.pipelines.windowing import Seconds, StepCount, Windowing, common_unit, steps_of_windows
from keras_emotion.schema import InputError, Recording, Trial

Features = tuple[dict[str, np.ndarray], pd.DataFrame]
"""Arrays by modality, all `(windows, ...)`, and the window table with one row for each of those windows."""


Source = Literal[
    "recording", "video", "images", "media", "picture", "sound", "voice", "eye_movements", "released_features"
]
"""What a part reads of a trial: the signals, the video of the face, frames that are files of their own, the stimulus
itself (and beside it which track of that: its picture, its sound), sound of the person, eye movements, or features that
the authors of the dataset distribute."""

UNUSABLE = "unusable"
"""Optional column of a part's window table: why the window has no features in this part; empty where it has."""


STEP_FRAMES = "step_frames"
"""Optional array of a part: the frame of `Trial.images` that each step of a window shows, `(windows, steps)`."""

STEP_RATINGS = "step_ratings"
"""Arrays named `step_ratings@<target>` hold a rating for each step of a window, `(windows, steps)` float32."""

_FILTER_ORDER_OF_RAW = 4

TRANSIENT = 1e-12
"""What is left of the transients of the filters at the end of a lead-in, as a share."""

BandEdge = Annotated[float, Field(gt=0, le=50_000)]
"""Edge of a band in Hz."""

Bands = Annotated[Mapping[str, tuple[BandEdge, BandEdge]], Field(max_length=64)]
"""`(low_hz, high_hz)` by name of the band."""


class FeaturePart(BaseModel, abc.ABC):
    """Features of one modality, as a frozen value: computed from the trials of one subject, and stored by themselves.

    A saved model keeps the parts that its inputs come from (`description`). To apply it to a new recording, the part
    answers by the attributes and methods below what else must be known: how it is cut, what its filters need before a
    window, what stands for a missing channel.

    Attributes:
        code_version: to be raised when the same fields give other numbers: stored features are then computed again.
        kind: name of the class in keys and run folders; it stays when the class gets another name.
        added_fields: fields that the class did not have at first, with their defaults. Where a field has its default it
            is left out of keys and configurations, so that those of earlier versions stay what they were.
        local_fields: fields that name places on this machine; a saved model does not keep them.
        sources: what of a trial the features come from; the first is what a new recording must bring along. Inspection,
            fingerprints and messages follow from it.
        missing_channel: what stands for a channel that a new recording lacks: `"training_mean"`, the mean over the
            training windows, which the scaling of the model keeps; `"zero"`; or `"refuse"`, nothing can.
        shared_by_stimulus: whether the features are of the clip of the stimulus alone (`Trial.media`). They are then
            computed once for each clip, as long as the longest trial, from a trial that has no recording, video, images
            or ratings, stored once, and looked up for each trial. Such a part has a `windowing`.
        needs_backend: whether `extract` runs a Keras network: it then has the threads and GPUs of workers that train.
        channel_axes: axes of channels of each array by its name, the windows axis being 0; an array that is not named
            does not depend on the order of channels. `None` where it is not known how arrays depend on channels: files
            with different channels are refused then.
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

    # --- windows

    @property
    def windowing(self) -> Windowing:
        """How the fields of the part cut a trial.

        Raises:
            NotImplementedError: the part has no windows of one length.
        """
        raise NotImplementedError(f"{type(self).__name__} has no windowing")

    def with_windowing(self, windowing: Windowing) -> Self:
        """A copy that cuts its windows so, whatever its own fields are.

        Args:
            windowing: the windows; a part without steps ignores `steps`.

        Raises:
            ValueError: the part cannot be cut so.
        """
        raise NotImplementedError(f"{type(self).__name__} has no windowing")

    def changed(self, **fields: Any) -> Self:
        """A copy with other values of some fields, validated."""
        return type(self)(**{**dict(self), **fields})

    # --- saved models

    def description(self) -> dict[str, Any]:
        """JSON-able kind and fields of the part, as a saved model keeps them."""
        fields = json.loads(self.model_dump_json(exclude=set(self.local_fields)))
        return {"kind": self.kind or type(self).__name__, "fields": fields}

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Self:
        """The part of the fields of a description; nothing is converted that has another type.

        Args:
            fields: all of its fields, but for `local_fields`, and for `added_fields` that have their defaults.

        Raises:
            ValueError: a field is missing, unknown or out of bounds, or `predict` cannot compute the part.
        """
        optional = {*cls.added_fields, *cls.local_fields}
        for name in cls.model_fields:
            if name not in fields and name not in optional:
                raise ValueError(f"{name}: missing; expected a value")
        for name in cls.local_fields:
            if fields.get(name) is not None:
                raise ValueError(f"{name}: names a place on another machine; expected nothing")
        return cls.model_validate_json(json.dumps(fields), strict=True)

    @property
    def needs_weights(self) -> bool:
        """Whether weights that a saved model does not keep have to be given (`with_weights`) before `extract`."""
        return False

    def with_weights(self, weights: Path) -> Self:
        """A copy that computes its features by the weights that lie at a path.

        Args:
            weights: file or folder.

        Raises:
            InputError: the part needs none, or these are not those that the model was trained with.
        """
        raise InputError(f"{weights}: {type(self).__name__} has no weights; leave it out")

    def for_new_recording(self) -> Self:
        """The part as it is applied to a recording of no dataset: windows side by side, of all channels given."""
        return self

    def select_channels(self, trial: Trial) -> Recording:
        """The channels of a trial that the features come from: by default those of the scalp.

        Raises:
            InputError: there are none.
        """
        return trial.eeg

    @property
    def has_channels(self) -> bool:
        """Whether the features are of channels, which files may have in another order."""
        return self.sources[0] in ("recording", "released_features")

    def channel_set(self, trial: Trial) -> ChannelSet:
        """The channels of a trial that the features come from, with units and directions of the electrodes.

        Raises:
            InputError: there are none.
        """
        return ChannelSet.of(self.select_channels(trial))

    def flags(self, trial: Trial) -> tuple[str, ...]:
        """What a reader has to know of these features before believing a number; empty for most.

        Args:
            trial: a trial of the dataset.
        """
        return ()

    def array_shapes(self, n_channels: int, sampling_rate_hz: float) -> dict[str, tuple[int, ...]]:
        """Shapes of the arrays of one window by name, without the windows axis.

        Args:
            n_channels: channels of the recording.
            sampling_rate_hz: its samples a second.

        Raises:
            ValueError: the part cannot be computed at this rate.
        """
        raise NotImplementedError(f"{type(self).__name__}: the shapes of its arrays are unknown")

    def check_channels(self, channel_names: Sequence[str], directions: np.ndarray) -> None:
        """Refuse channels that the features cannot be computed of.

        Args:
            channel_names: names of the channels.
            directions: `(channels, 3)` directions of their electrodes, NaN where unknown.

        Raises:
            ValueError: there are such.
        """
        return

    def fault_of_duration(self, duration_seconds: float) -> str:
        """Say why trials of a length are refused; empty where they are not.

        A run asks before it computes features, to list too short trials together with what is wrong with the files.

        Args:
            duration_seconds: length of a trial.
        """
        return ""

    @property
    def works_in_blocks(self) -> bool:
        """Whether the features of a block, with a lead-in before and after it, are those of the whole recording."""
        return True

    def lead_in_seconds(self, sampling_rate_hz: float) -> float:
        """Seconds after which the filters of the features have forgotten what was before, to `TRANSIENT`."""
        return 0.0

    @property
    def frequency_bands(self) -> Mapping[str, tuple[float, float]]:
        """`(low_hz, high_hz)` of the bands that the features are of, by name; empty where there are none."""
        return {}

    @property
    def subtracted_baseline(self) -> Literal["none", "waveform", "features"]:
        """What a baseline before the stimulus takes off: a mean waveform of the signal, a mean of the features."""
        return "none"

    @property
    def baseline_segment_seconds(self) -> float:
        """Length in seconds of the segments whose mean is the waveform of the baseline."""
        return 1.0

    def without_baseline(self) -> Self:
        """The part with nothing subtracted."""
        return self

    def align_channels(self, name: str, values: np.ndarray, present: ChannelSet, wanted: ChannelSet) -> np.ndarray:
        """Windows of an array as if they had been computed of other channels: matched by name, NaN for missing ones.

        Args:
            name: name of the array.
            values: `(windows, ...)` windows of it, of the channels that are present.
            present: these channels.
            wanted: the channels to bring them to.

        Raises:
            InputError: the part does not say how the array depends on channels.
        """
        if present.keys == wanted.keys:
            return values
        if self.channel_axes is None:
            raise InputError(
                f"{type(self).__name__}: its arrays cannot be brought to other channels (`channel_axes` says nothing), "
                f"and the files have different ones: {', '.join(present.names)} and {', '.join(wanted.names)}"
            )
        return take_channels(values, self.channel_axes.get(name, ()), present.places_of(wanted))

    def fill_missing(
        self,
        arrays: dict[str, np.ndarray],
        present: ChannelSet,
        expected: ChannelSet,
        training_means: Mapping[str, np.ndarray],
    ) -> dict[str, np.ndarray]:
        """Arrays of the channels that a model expects, from those of the channels that a recording has.

        Args:
            arrays: `(windows, ...)` by name, as `extract` gives them for the channels that are present.
            present: these channels.
            expected: the channels that the model was trained on.
            training_means: means of the arrays over the training windows by name, where the model keeps them; 0 stands
                for what is missing elsewhere.
        """
        filled = {}
        for name, array in arrays.items():
            # What is missing, of one window without any value: a NaN that a part computed stays one.
            lacks = np.isnan(self.align_channels(name, np.zeros_like(array[:1]), present, expected))
            aligned = self.align_channels(name, array, present, expected)
            filled[name] = np.where(lacks, training_means.get(name, 0.0), aligned).astype(array.dtype)
        return filled


_NAMED = 6
"""So many kinds are named in a message."""


def find_part(kind: str) -> type[FeaturePart]:
    """Return the part of a kind, as `FeaturePart.key` has it.

    Raises:
        ValueError: there is none.
    """
    known: dict[str, type[FeaturePart]] = {}
    queue: list[type[FeaturePart]] = [FeaturePart]  # type: ignore[type-abstract]  # looked through, never made
    # Breadth first: a class that inherits its kind does not stand in the place of the first.
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
    # Once for each list of channels, and not with each batch.
    return signals.grid_positions(names, grid, direction_array(directions))


class EEGStepFeatures(FeaturePart):
    """Differential entropies, or the raw EEG, of the slices of a window; subclasses lay out the channels.

    Args:
        representation: `"differential_entropy"`; or, for the ablation without features, `"raw_slices"` (the samples of
            a slice are its channels: `(steps, rows, columns, samples_per_slice)`) and `"raw_samples"` (each sample is
            a step: `(samples, rows, columns, 1)`). Raw EEG is band-passed once over the outer edges of `bands` so that
            drift and line noise do not enter.
        sequence: `"slices"`: a sample is one window of `window_seconds` cut into `steps` slices. `"windows"`: a sample
            is `steps` consecutive windows of `window_seconds` each, so it spans `steps * window_seconds`.
        window_seconds: length of a window, in seconds.
        steps: T, the number of steps of a sample.
        hop_seconds: from the start of a sample to that of the next, a whole number of EEG samples; `None`: they stand
            side by side. Less makes them overlap: only for data that are split by trial, stimulus or person.
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
        """Axes that stand in the place of that of the channels."""

    @abc.abstractmethod
    def _laid_out(self, steps: np.ndarray, eeg: Recording) -> np.ndarray:
        """`(steps, ..., bands)` of `(steps, channels, bands)`."""

    @model_validator(mode="after")
    def _combination_exists(self):
        if self.convention not in signals.CONVENTIONS:
            raise ValueError(f"convention: {self.convention!r} is none of {', '.join(signals.CONVENTIONS)}")
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
        """Steps of a sample, `None` where they depend on the sampling rate (`"raw_samples"`)."""
        return None if self.representation == "raw_samples" else self.steps

    @property
    def windowing(self) -> Windowing:
        """See `FeaturePart`; a window is a sample."""
        return Windowing(window_seconds=self.sample_seconds, hop_seconds=self.hop_seconds, steps=self.steps)

    def with_windowing(self, windowing: Windowing) -> Self:
        """See `FeaturePart`."""
        if windowing.lag_seconds:
            raise ValueError(f"lag_seconds: {type(self).__name__} cannot be cut later than other parts; expected 0")
        length = windowing.step_seconds if self.sequence == "windows" else windowing.window_seconds
        return self.changed(window_seconds=length, steps=windowing.steps, hop_seconds=windowing.hop_seconds)

    def for_new_recording(self) -> Self:
        """See `FeaturePart`."""
        return self.changed(hop_seconds=None)

    def array_shapes(self, n_channels: int, sampling_rate_hz: float) -> dict[str, tuple[int, ...]]:
        """See `FeaturePart`."""
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
    def frequency_bands(self) -> Mapping[str, tuple[float, float]]:
        """See `FeaturePart`."""
        return self.bands

    @property
    def subtracted_baseline(self) -> Literal["none", "waveform", "features"]:
        """See `FeaturePart`."""
        if self.baseline == "none":
            return "none"
        return "waveform" if self.baseline == "signal" else "features"

    def without_baseline(self) -> Self:
        """See `FeaturePart`."""
        return self.changed(baseline="none")

    def extract(self, trials: Iterable[Trial]) -> Features:
        """Features and window table of all the trials, read one at a time.

        Returns:
            `({"eeg": (windows, steps, ..., bands) float32}, window table)`.

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
        step, hop = round(step_samples), self._hop_samples(eeg.sampling_rate_hz, where)
        # A step is computed once, however many windows it is in.
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
        # (windows, steps, ..., bands); of raw samples (windows, steps, samples, ..., 1).
        cut = maps[steps_of_windows(len(maps), self.steps, step // unit, hop // unit)]
        return cut.reshape(len(cut), -1, *cut.shape[3:]) if self.representation == "raw_samples" else cut

    def _hop_samples(self, sampling_rate_hz: float, where: str) -> int:
        try:
            hop = signals.sample_count(self.hop_seconds or self.sample_seconds, sampling_rate_hz, "hop_seconds")
        except ValueError as error:
            raise InputError(f"{where}: {error}") from None
        if hop < 1:
            raise InputError(f"{where}: `hop_seconds` of {self.hop_seconds:g} s is less than one sample")
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

    A window is cut into `steps` slices; each slice gives one map `(rows, columns, bands)` of differential entropies
    (Eq. (1)-(2), see `keras_emotion.signals.differential_entropy`), electrodes at their cells, empty cells zero:
    `{"eeg": (windows, steps, rows, columns, bands)}`, float32.

    Deviations: the paper does not print T, the length of a slice, nor how the raw EEG of its Table 4 enters the
    network; the fields of `EEGStepFeatures` name each choice.

    Args:
        grid: electrode grid, `"9x9"` or `"8x9"`.

    References:
        [1] Du et al., Attention-based 3D convolutional recurrent neural network model for multimodal emotion
        recognition, Front. Neurosci. 17:1330077, 2024.
    """

    grid: Literal["9x9", "8x9"] = "9x9"

    def check_channels(self, channel_names: Sequence[str], directions: np.ndarray) -> None:
        """See `FeaturePart`; each has a cell of its own."""
        signals.grid_positions(list(channel_names), self.grid, directions)

    def align_channels(self, name: str, values: np.ndarray, present: ChannelSet, wanted: ChannelSet) -> np.ndarray:
        """See `FeaturePart`; an electrode goes from its cell in the file to its cell in the study."""
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
        # (steps, channels, bands) -> the channels go last, onto the grid, and come back in front of the bands.
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
    """Seconds until the slowest pole of Butterworth band-pass filters has decayed to `TRANSIENT`; infinite where none.

    Args:
        bands: `(low_hz, high_hz)` of each filter.
        sampling_rate_hz: samples a second.
        order: order of the filters.
    """
    poles = [scipy.signal.butter(order, band, "bandpass", fs=sampling_rate_hz, output="zpk")[1] for band in bands]
    slowest = max(np.abs(pole).max() for pole in poles)
    if not slowest < 1:
        return math.inf
    return math.ceil(math.log(TRANSIENT) / math.log(slowest)) / sampling_rate_hz


def check_band_edges(bands: Mapping[str, tuple[float, float]]) -> None:
    """Refuse no bands at all, and bands whose edges are not in order.

    Raises:
        ValueError: there are such.
    """
    if not bands:
        raise ValueError("bands: at least one band is needed")
    for name, (low_hz, high_hz) in bands.items():
        if not low_hz < high_hz:
            raise ValueError(f"bands.{name}: {low_hz:g} to {high_hz:g} Hz; expected the lower edge first")
