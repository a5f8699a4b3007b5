"""Saved models applied to recordings of no data set: the windows, features and channels that they were trained with."""

from __future__ import annotations

import dataclasses
import math
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd

from keras_emotion import signals
from keras_emotion.datasets.continuous import ContinuousRecording, doubtful_unit
from keras_emotion.datasets.electrodes import match_channels
from keras_emotion.inference.export import load_saved_model
from keras_emotion.inference.schema import read_block
from keras_emotion.keras_settings import own_keras_settings
from keras_emotion.pipelines import FeaturePart
from keras_emotion.pipelines.features import UNUSABLE
from keras_emotion.pipelines.study_channels import ChannelSet
from keras_emotion.schema import InputError, Recording, Trial

if TYPE_CHECKING:
    import keras

Inputs = dict[str, np.ndarray]

SMALLEST_SHARE = 0.5
"""Share of a model's channels that a recording must have."""

FAR_AWAY = 2.0
"""Mean distance of features from the means of the training windows, in their standard deviations, that is said; of
windows like those of the training it is some 0.8."""

BLOCK_BYTES = 2**30
"""Most bytes of the signal and the features of a block, lead-in and tail not counted."""


@dataclasses.dataclass(frozen=True, eq=False)
class Prediction:
    """What a model says of a recording.

    Args:
        table: one row a window: `start_seconds` and `stop_seconds` from the start of the recording, and
            `probability_<class>` for each class; of a model that sees faces also `problem`: why a window has none, and
            NaN for its probabilities.
        band_attention: `(windows, bands)` weights, averaged over the steps of a window; `None` where there are none.
        bands: names of these bands.
        notes: what the user must know to read the numbers, a sentence each.
        warning: why the numbers mean nothing, or `None`.
        summary: JSON-able: model, recording, channels, what was missing.
        duration_seconds: length of the recording.
        elapsed_seconds: how long it took.
    """

    table: pd.DataFrame
    band_attention: np.ndarray | None
    bands: tuple[str, ...]
    notes: tuple[str, ...]
    warning: str | None
    summary: dict[str, Any]
    duration_seconds: float
    elapsed_seconds: float


class Predictor:
    """A saved model and what it needs to be applied, all of which it carries in its `inference`.

    **Windows of a long recording.** A recording is read in blocks. The filters of the features run over whole trials,
    so a block is read with a *lead-in* before and a *tail* after it, both dropped afterwards: so long that the slowest
    pole of all band-pass filters has decayed to 1e-12 (10.2 s for the 4-7 Hz of 3FACRNN), rounded up to whole windows.
    The features are those of the whole recording, to rounding.

    **Channels** are matched by name (`keras_emotion.datasets.electrodes.comparable_names`). Where one is missing, a
    feature of it has its mean over the training windows, which the model carries, and so is 0 after scaling; raw
    samples are 0.

    **Faces** come from a video that runs beside the recording, in the windows of the signals. A window without a face
    has no probability, and the table says why.

    What must be known of the features, their parts say (`FeaturePart`): the lead-in, what stands for a missing channel,
    what a baseline takes off. Which arrays become which inputs, the model's own block says (`InferenceBlock`).

    Args:
        model: a model that a run saved, or of the same `inference`.
        baseline_seconds: seconds at the start of a recording that count as baseline; used by models that were trained
            with a baseline subtracted.
        source: file of the model, for messages; by default its name.

    Raises:
        InputError: the model carries no block (`keras_emotion.inference.schema`), or one that cannot be used.
    """

    def __init__(self, model: keras.Model, baseline_seconds: float = 3.0, source: object = None):
        self.model = model
        reading = read_block(model, source or model.name)
        self.block = reading.block
        self.part, self.face_part = reading.signals, reading.video
        self._window_bytes = reading.window_bytes
        self.channel_names: list[str] = list(self.block.channel_names or ())
        self._units = dict(zip(self.channel_names, self.block.units or (), strict=False))
        self._directions = dict(zip(self.channel_names, reading.directions, strict=False))
        self.sampling_rate_hz = self.block.sampling_rate_hz or math.nan
        self.class_names = self.block.class_names or ()
        self.uses_baseline = self.part is not None and self.part.subtracted_baseline != "none"
        self.baseline_seconds = baseline_seconds if self.uses_baseline else 0.0
        self._training_means = self._means_of(reading.signals_name)
        windowing = (self.face_part if self.part is None else self.part).windowing
        self.window_seconds: float = windowing.window_seconds
        self.lag_seconds: float = 0.0 if self.part is None else windowing.lag_seconds
        attends = getattr(model, "band_attention", False) and hasattr(model, "attention_model")
        with own_keras_settings():
            self._attention = model.attention_model() if attends else None

    @classmethod
    def from_file(cls, path: Path, baseline_seconds: float = 3.0) -> Self:
        """The saved model of a file, and what it needs to be applied.

        Raises:
            InputError: there is no model, or one that cannot be applied.
        """
        return cls(load_saved_model(path), baseline_seconds, path)

    def _means_of(self, part: str | None) -> dict[str, np.ndarray]:
        """Means over the training windows of the arrays of a part, by name, where the model's scaling keeps them."""
        scaling = getattr(self.model, "feature_scaling", None) or {}
        layers = scaling if isinstance(scaling, Mapping) else {"eeg": scaling}
        inputs = {name: one for name, one in self.block.inputs.items() if one.part == part and name in layers}
        return {one.array: np.asarray(layers[name].mean) for name, one in inputs.items()}

    @property
    def lead_seconds(self) -> float:
        """Length of lead-in and tail of a block."""
        return self.n_lead * self.window_seconds

    @property
    def n_lead(self) -> int:
        """The same in windows."""
        return math.ceil(round(self.part.lead_in_seconds(self.sampling_rate_hz) * self.sampling_rate_hz) / self._window)

    @property
    def _window(self) -> int:
        return signals.sample_count(self.window_seconds, self.sampling_rate_hz, "window_seconds")

    @property
    def warning(self) -> str | None:
        """Why the numbers mean nothing, or `None`."""
        if self.block.synthetic:
            return "trained on synthetic data: these numbers say nothing about emotion"
        return None

    def select_channels(
        self, channel_names: Sequence[str], source: object, units: Sequence[str] | None = None
    ) -> Channels:
        """Which channels of a recording the model gets: those of the same name and unit.

        Args:
            channel_names: names in the recording.
            source: the recording, for messages.
            units: their units; by default microvolts.

        Raises:
            InputError: fewer than half of the model's channels are there, or two have the same name.
        """
        try:
            found = match_channels(self.channel_names, channel_names)
        except InputError as error:
            raise InputError(f"{source}: {error}") from None
        unit_of = ["uV"] * len(channel_names) if units is None else units
        found = {name: place for name, place in found.items() if unit_of[place] == self._units[name]}
        missing = tuple(name for name in self.channel_names if name not in found)
        if len(found) < SMALLEST_SHARE * len(self.channel_names):
            raise InputError(
                f"{source}: {len(found)} of the model's {len(self.channel_names)} channels are there, and half are "
                f"needed; it has {', '.join(channel_names)}; the model was trained on {', '.join(self.channel_names)}"
            )
        if missing and self.part is not None and self.part.missing_channel == "refuse":
            raise InputError(
                f"{source}: has no {', '.join(missing)}, and the features of the model need all channels that it was "
                "trained on"
            )
        return Channels(tuple(found), tuple(found.values()), missing)

    def predict(
        self,
        recording: ContinuousRecording | None,
        block_seconds: float = 60.0,
        video: Path | None = None,
        video_offset_seconds: float = 0.0,
    ) -> Prediction:
        """Probabilities of all windows of a recording, in bounded memory.

        Args:
            recording: the recording; `None` for models that see faces alone.
            block_seconds: length of a block, without lead-in and tail.
            video: the face video, for models that see faces.
            video_offset_seconds: time in the video at which the recording starts.

        Raises:
            InputError: the recording is too short, damaged, or has too few of the channels; the video is missing,
                damaged, or shows no face in any window; or the model reads no such thing.
        """
        started = time.perf_counter()
        faces = self.faces(recording, video, video_offset_seconds)
        probabilities, attention, distances = [], [], []
        for inputs in self.blocks(recording, block_seconds, faces):
            of_block, bands = self.apply(inputs)
            probabilities.append(of_block)
            attention.append(bands)
            distances.append(self._distance(inputs))
        notes = [] if recording is None else [*self.notes(recording, self._channels(recording))]
        distance = float(np.mean(distances))
        if distance > FAR_AWAY:
            notes.append(
                f"features lie {distance:.1f} standard deviations from the means of the training windows: the model "
                "has seen no such EEG, and its probabilities are a guess"
            )
        probability = np.concatenate(probabilities)
        starts = self.baseline_seconds + np.arange(len(probability)) * self.window_seconds
        names = self.class_names or tuple(map(str, range(probability.shape[1])))
        columns = {"start_seconds": starts, "stop_seconds": starts + self.window_seconds}
        table = pd.DataFrame({**columns, **{f"probability_{n}": p for n, p in zip(names, probability.T, strict=True)}})
        if faces is not None:
            problems = faces.problems_of(len(table))
            table.loc[problems != "", [f"probability_{name}" for name in names]] = np.nan
            table["problem"] = problems
            notes += faces.notes(len(table))
        return Prediction(
            table=table,
            band_attention=None if self._attention is None else np.concatenate(attention),
            bands=() if self.part is None else tuple(self.part.frequency_bands),
            notes=tuple(notes),
            warning=self.warning,
            summary={
                **self.summary(recording),
                "video": None if video is None else str(video),
                "video_offset_seconds": video_offset_seconds,
            },
            duration_seconds=starts[-1] + self.window_seconds if recording is None else recording.duration_seconds,
            elapsed_seconds=time.perf_counter() - started,
        )

    def faces(
        self, recording: ContinuousRecording | None, video: Path | None, video_offset_seconds: float = 0.0
    ) -> FaceWindows | None:
        """What the model sees of the face in each window, from one pass over the video; `None` where it sees none.

        Raises:
            InputError: see `predict`.
        """
        name = self.model.name
        if self.part is None and recording is not None:
            raise InputError(f"{name}: sees faces alone, and no {recording.path.name}; give --video and no recording")
        if self.part is not None and recording is None:
            raise InputError(f"{name}: reads EEG; give a recording of it")
        # Nothing is that long, and what is cannot be counted in frames.
        if not abs(video_offset_seconds) < 1e7:
            raise InputError(f"--video-offset-seconds {video_offset_seconds}: expected a number of seconds")
        if self.face_part is None:
            return None
        if video is None:
            raise InputError(f"{name}: sees faces; give --video with the face video")
        # What the windows need to know of the recording is how long it lasts.
        silent = recording and Recording(
            np.zeros((0, math.floor(recording.duration_seconds * self.sampling_rate_hz))),
            (),
            (),
            self.sampling_rate_hz,
            self.baseline_seconds,
        )
        offset_seconds = self.baseline_seconds + video_offset_seconds
        trial = Trial("video", 1, 1, video.stem, silent, (), {}, video=video, video_offset_seconds=offset_seconds)
        arrays, table = self.face_part.extract([trial])
        found = FaceWindows(arrays, table[UNUSABLE].to_numpy(dtype=object))
        if not (found.problems == "").any():
            reason = next(iter(found.problems), f"too short, the model needs {self.window_seconds:g} s")
            raise InputError(reason if str(video) in reason else f"{video}: {reason}")
        return found

    def notes(self, recording: ContinuousRecording, channels: Channels) -> Iterator[str]:
        """What the user must know to read the numbers."""
        if channels.missing:
            fill = "0" if self.part.missing_channel == "zero" else "the mean of the training windows"
            n_missing, n_channels = len(channels.missing), len(self.channel_names)
            yield f"{n_missing} of {n_channels} channels missing, {fill} in their place: {', '.join(channels.missing)}"
        rate = recording.sampling_rate_hz
        if rate != self.sampling_rate_hz:
            yield f"resampled from {rate:g} to {self.sampling_rate_hz:g} Hz"
        highest = max((high for _, high in self.part.frequency_bands.values()), default=0.0)
        if signals.resampling.PASSED_SHARE * rate / 2 < highest and rate < self.sampling_rate_hz:
            yield f"a recording at {rate:g} Hz has nothing, or not all, of a band up to {highest:g} Hz"
        if self.uses_baseline:
            yield f"the first {self.baseline_seconds:g} s are taken for the baseline that the model subtracts"
        if doubt := doubtful_unit(recording.read(0, min(recording.n_samples, round(60 * rate)), [*channels.places])):
            yield doubt

    def summary(self, recording: ContinuousRecording | None) -> dict[str, Any]:
        """JSON-able: what was applied to what."""
        known = {
            **{name: getattr(self.block, name) for name in ("target", "dataset", "synthetic")},
            "window_seconds": self.window_seconds,
        }
        if recording is None:
            return known
        channels = self._channels(recording)
        return {
            "recording": str(recording.path),
            **known,
            "channels": dict(zip(channels.names, (recording.channel_names[i] for i in channels.places), strict=True)),
            "missing_channels": list(channels.missing),
            "sampling_rate_hz": self.sampling_rate_hz,
            "recorded_sampling_rate_hz": recording.sampling_rate_hz,
            "baseline_seconds": self.baseline_seconds,
            "lead_seconds": self.lead_seconds,
        }

    def apply(self, inputs: Inputs) -> tuple[np.ndarray, np.ndarray | None]:
        """`(windows, classes)` probabilities, and `(windows, bands)` attention or `None`."""
        import keras

        with own_keras_settings():
            outputs = self.model.predict(inputs, batch_size=128, verbose=0)
            probabilities = keras.ops.convert_to_numpy(self.model.window_probabilities(outputs))
            if self._attention is None:
                return probabilities, None
            attention = self._attention.predict(inputs, batch_size=128, verbose=0)
        return probabilities, attention["bands"].mean(axis=1)

    def _distance(self, inputs: Inputs) -> float:
        """Mean distance from the training windows in standard deviations; 0 where the model does not know them."""
        scaling = getattr(self.model, "feature_scaling", None)
        if not hasattr(scaling, "mean"):
            return 0.0
        distances = np.abs(inputs["eeg"] - np.asarray(scaling.mean)) * np.asarray(scaling.scale)
        # Of cells without an electrode, or without one in this recording, nothing is known.
        known = distances > 0
        return float(distances[known].mean()) if known.any() else 0.0

    def some_windows(
        self, recording: ContinuousRecording | None, n_windows: int = 64, video: Path | None = None
    ) -> Inputs:
        """Inputs of the model for the first windows of a recording, and of a face video."""
        if video is not None and self.face_part is None:
            raise InputError(f"{self.model.name}: sees no faces; leave --video out")
        inputs = next(self.blocks(recording, n_windows * self.window_seconds, self.faces(recording, video)))
        return {name: array[:n_windows] for name, array in inputs.items()}

    def _directions_of(self, channel_names: Sequence[str]) -> np.ndarray:
        return np.array([self._directions[name] for name in channel_names]).reshape(-1, 3)

    def _channels(self, recording: ContinuousRecording) -> Channels:
        return self.select_channels(recording.channel_names, recording.path, recording.units)

    # --- features, block by block

    def blocks(
        self, recording: ContinuousRecording | None, block_seconds: float = 60.0, faces: FaceWindows | None = None
    ) -> Iterator[Inputs]:
        """Inputs of the model for the windows of a recording, block by block.

        Args:
            recording: the recording; `None` for models that see faces alone.
            block_seconds: length of a block.
            faces: of `faces`, for models that see them.

        Raises:
            InputError: as `predict`.
        """
        n_block = max(1, min(round(block_seconds / self.window_seconds), BLOCK_BYTES // max(self._window_bytes, 1)))
        if recording is None:
            for first in range(0, len(faces.problems), n_block):
                yield self._named(faces.of(first, min(first + n_block, len(faces.problems))))
            return
        channels = self._channels(recording)
        resampled = signals.ResampledSignal(
            lambda start, stop: recording.read(start, stop, [*channels.places]),
            recording.n_samples,
            recording.sampling_rate_hz,
            self.sampling_rate_hz,
        )
        onset = round(self.baseline_seconds * self.sampling_rate_hz)
        window, n_lead = self._window, self.n_lead
        lag = signals.sample_count(self.lag_seconds, self.sampling_rate_hz, "lag_seconds")
        n_windows = (resampled.n_samples - onset - lag) // window
        if n_windows < 1:
            needed = self.baseline_seconds + self.lag_seconds + self.window_seconds
            raise InputError(
                f"{recording.path}: {recording.duration_seconds:g} s are too short; the model needs {needed:g} s"
            )
        n_start = min(resampled.n_samples, onset + lag + (1 + n_lead) * window)
        subtracted = self._subtracted(resampled.read(0, n_start), channels)
        for first in range(0, n_windows, n_block):
            last = min(first + n_block, n_windows)
            stop = onset + lag + (last + n_lead) * window if last + n_lead < n_windows else resampled.n_samples
            if first <= n_lead:
                # The start of the recording itself, with its baseline, as a trial has it.
                arrays = self._features(resampled.read(0, stop), channels, self.baseline_seconds)
                arrays = {name: array[first:last] for name, array in arrays.items()}
            else:
                start = (first - n_lead) * window
                piece = subtracted.from_signal(resampled.read(onset + start, stop), start)
                arrays = self._features(piece, channels, 0.0)
                arrays = {name: array[n_lead : n_lead + last - first] for name, array in arrays.items()}
                arrays = subtracted.from_features(arrays)
            yield self.to_inputs(arrays if faces is None else {**arrays, **faces.of(first, last)}, channels)

    def live_inputs(
        self, signal: np.ndarray, first: int, place: int, channels: Channels, baseline: np.ndarray
    ) -> Inputs:
        """Inputs of the model for one window of a piece of signal, of which nothing is known that comes after it.

        Args:
            signal: `(channels, samples)` in microvolts at the model's rate; starts with a window.
            first: place of this window among those after the baseline.
            place: place of the wanted window in the piece.
            channels: its channels.
            baseline: `(channels, samples)` of the baseline; none where the model subtracts none.
        """
        subtracted = self._subtracted(np.concatenate([baseline, signal[:, : self._window]], axis=1), channels)
        piece = subtracted.from_signal(signal, first * self._window)
        arrays = self._features(piece, channels, 0.0)
        arrays = {name: array[place : place + 1] for name, array in arrays.items()}
        return self.to_inputs(subtracted.from_features(arrays), channels)

    def to_inputs(self, arrays: Inputs, channels: Channels) -> Inputs:
        """Inputs of the model from features, the missing channels filled in."""
        if channels.missing:
            present, expected = self._channel_set(channels.names), self._channel_set(self.channel_names)
            arrays = self.part.fill_missing(arrays, present, expected, self._training_means)
        return self._named(arrays)

    def _channel_set(self, names: Sequence[str]) -> ChannelSet:
        directions = self._directions_of(names)
        units = tuple(self._units[name] for name in names)
        return ChannelSet(tuple(names), units, tuple(map(tuple, directions.tolist())))

    def _named(self, arrays: Inputs) -> Inputs:
        """The inputs of the model by their names, from the arrays of its parts."""
        return {name: one.of(arrays) for name, one in self.block.inputs.items()}

    def _features(
        self, signal: np.ndarray, channels: Channels, baseline_seconds: float, part: FeaturePart | None = None
    ) -> Inputs:
        part = part or (self.part if baseline_seconds else self.part.without_baseline())
        recording = Recording(
            signal,
            channels.names,
            tuple(self._units[name] for name in channels.names),
            self.sampling_rate_hz,
            baseline_seconds,
            electrode_directions=self._directions_of(channels.names),
        )
        trial = Trial("recording", 1, 1, "recording", recording, channels.names, {})
        return part.extract([trial])[0]

    def _subtracted(self, start: np.ndarray, channels: Channels) -> _Subtracted:
        """What the baseline at the start of a recording takes off everything after it."""
        kind, rate = self.part.subtracted_baseline, self.sampling_rate_hz
        if kind == "waveform":
            segment_seconds = self.part.baseline_segment_seconds
            n_segment = signals.sample_count(segment_seconds, rate, "segment_seconds")
            baseline = start[:, : round(self.baseline_seconds * rate)]
            nothing = np.zeros((len(start), n_segment))
            with_nothing = np.concatenate([baseline, nothing], axis=1)
            try:
                cleaned = signals.remove_baseline(with_nothing, rate, self.baseline_seconds, segment_seconds)
            except ValueError as error:
                raise InputError(f"--baseline-seconds {self.baseline_seconds:g}: {error}") from None
            return _Subtracted(waveform=-cleaned[:, -n_segment:])
        if kind == "features":
            of_first = self._features(start, channels, self.baseline_seconds)
            plain = self._features(start, channels, self.baseline_seconds, self.part.without_baseline())
            taken_off = {name: plain[name][:1] - array[:1] for name, array in of_first.items()}
            return _Subtracted(features={name: array.mean(axis=1, keepdims=True) for name, array in taken_off.items()})
        return _Subtracted()


@dataclasses.dataclass(frozen=True)
class Channels:
    """The channels of a recording that a model gets.

    Args:
        names: as the model calls them, in its order.
        places: where they are in the recording.
        missing: names of the model's channels that the recording lacks.
    """

    names: tuple[str, ...]
    places: tuple[int, ...]
    missing: tuple[str, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class FaceWindows:
    """What a model sees of a face, window by window.

    Args:
        arrays: `(windows, ...)` by name; of crops a file that memory maps.
        problems: `(windows,)` why a window has no face, empty where it has one.
    """

    arrays: Inputs
    problems: np.ndarray

    def of(self, first: int, last: int) -> Inputs:
        """The windows from `first` to `last`; zeros where the video has ended."""
        n_there = max(len(self.problems) - first, 0)
        found = {}
        for name, array in self.arrays.items():
            found[name] = np.zeros((last - first, *array.shape[1:]), array.dtype)
            found[name][:n_there] = array[first:last]
        return found

    def problems_of(self, n_windows: int) -> np.ndarray:
        """Why the windows of a recording have no face; empty where they have one."""
        there = self.problems[:n_windows]
        return np.concatenate([there, np.full(n_windows - len(there), "after the end of the video", object)])

    def notes(self, n_windows: int) -> Iterator[str]:
        """What of this the user must know."""
        reasons = Counter(reason for reason in self.problems_of(n_windows) if reason)
        for reason, count in reasons.items():
            yield f"{count} of {n_windows} windows have no probability: {reason}"


@dataclasses.dataclass(frozen=True, eq=False)
class _Subtracted:
    """What a baseline takes off: a waveform `(channels, samples)` of the signal, or means of the features by name."""

    waveform: np.ndarray | None = None
    features: Inputs | None = None

    def from_signal(self, signal: np.ndarray, start: int) -> np.ndarray:
        """The signal without the waveform; its first sample is `start` samples after the end of the baseline."""
        if self.waveform is None:
            return signal
        phase = (start + np.arange(signal.shape[1])) % self.waveform.shape[1]
        return signal - self.waveform[:, phase]

    def from_features(self, arrays: Inputs) -> Inputs:
        """The features without their mean over the baseline."""
        return arrays if self.features is None else {name: arrays[name] - mean for name, mean in self.features.items()}
