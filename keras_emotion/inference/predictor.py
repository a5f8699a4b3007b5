"""Apply saved models to recordings without a dataset, with the windows, features and channels of their training."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from keras_emotion import signals
from keras_emotion.datasets.continuous import ContinuousRecording
from keras_emotion.datasets.plausibility import size_advice, size_fault
from keras_emotion.inference.channels import Channels, matched
from keras_emotion.inference.encoder_weights import with_weights
from keras_emotion.inference.export import check_weights, load_saved_model
from keras_emotion.inference.face_windows import faces_beside, faces_of_video
from keras_emotion.inference.looks import looks_of
from keras_emotion.inference.media_windows import media_alone, media_beside
from keras_emotion.inference.network import Network
from keras_emotion.inference.paired_windows import PairedWindows
from keras_emotion.inference.prediction import (
    Prediction,
    check_media,
    check_sources,
    is_finite,
    notes_of,
    problems_of,
    summary_of,
    table_of,
    values_at,
)
from keras_emotion.inference.schema import read_block
from keras_emotion.inference.signal_windows import (
    RecordedWindows,
    RepairedSignal,
    Stretch,
    WindowGrid,
    damage_of_file,
    survey,
)
from keras_emotion.inference.subtracted import Subtracted
from keras_emotion.pipelines import FeaturePart
from keras_emotion.pipelines.study_channels import ChannelSet
from keras_emotion.progress import reported
from keras_emotion.sampling import evenly_spread
from keras_emotion.schema import InputError, Recording, Trial

if TYPE_CHECKING:
    import keras

Inputs = dict[str, np.ndarray]

FAR_AWAY = 2.0
"""Mean distance of features from the means of the training windows, in their standard deviations, above which there
is a warning; for windows like those of the training it is about 0.8."""

NO_NUMBERS_IN, NO_NUMBERS_OUT = "non-finite features", "non-finite outputs of the network"
"""Reasons why windows with a signal may still have no probability."""

BLOCK_BYTES = 2**30
"""Largest size of the signal and the features of a block in bytes, without lead-in and tail."""


class Predictor:
    """Saved model with its requirements, all of which are stored in its `inference`.

    **Windows of a long recording.** A recording is read in blocks. The filters of the features run over whole trials,
    so a block is read with a *lead-in* before and a *tail* after it, both dropped afterwards: long enough for the
    slowest pole of all band-pass filters to decay to 1e-12 (10.2 s for the 4-7 Hz of 3FACRNN), rounded up to whole
    windows. The features equal those of the whole recording, up to rounding.

    **Channels** are matched by name (`keras_emotion.datasets.electrodes.comparable_names`). Features of a missing
    channel are replaced by their mean over the training windows, which the model stores, and so are 0 after scaling;
    raw samples are 0. Channels marked as bad in the file count as missing, and so do channels without any signal from
    start to end.

    **No signal, no probability**: see `keras_emotion.inference.signal_windows`. EEG of implausible amplitude is
    refused, as by `Recordings`.

    **Faces** come from a video recorded in parallel, in the windows of the signals. A window without a face has no
    probability, with the reason in the table.

    **Stimuli** (picture and sound of the clip that was shown) are paired with the recording by time, in the same
    windows. The clip must be at least as long as the recording.

    The parts define the properties of features (`FeaturePart`): the lead-in, the replacement of a missing channel, the
    subtraction of a baseline. The model's block defines which arrays become which inputs (`InferenceBlock`).

    Args:
        model: a model saved by a run, or with the same `inference`.
        baseline_seconds: length of the baseline at the start of a recording in seconds; used by models that were
            trained with a baseline subtracted.
        source: file of the model, for messages; default: its name.
        weights: file or folder of the weights of networks that encode stimuli or faces (`"picture"`, `"sound"`,
            `"face"`), if they were not random: a saved model stores only the hash of their contents.

    Raises:
        InputError: the model has no block (`keras_emotion.inference.schema`), or an unusable one, or its weights are
            not all finite; or weights of networks that encode stimuli or faces are missing or differ.
    """

    def __init__(
        self,
        model: keras.Model,
        baseline_seconds: float = 3.0,
        source: object = None,
        weights: Mapping[str, Path] | None = None,
    ):
        check_weights(model, source or model.name)
        self.model = model
        reading = read_block(model, source or model.name)
        self.block = reading.block
        self.part = reading.signals
        encoded = dict(reading.media)
        if reading.video_name is not None and reading.video is not None:
            encoded[reading.video_name] = reading.video
        encoded = with_weights(encoded, weights or {}, source or model.name)
        # Names of parts are not empty.
        self.face_part = encoded.pop(reading.video_name or "", None)
        self.media_parts = encoded
        self._window_bytes = reading.window_bytes
        self.channel_names: list[str] = list(self.block.channel_names or ())
        self.unit_of = dict(zip(self.channel_names, self.block.units or (), strict=False))
        self._directions = dict(zip(self.channel_names, reading.directions, strict=False))
        self.sampling_rate_hz = self.block.sampling_rate_hz or math.nan
        self.class_names = self.block.class_names or ()
        self.uses_baseline = self.part is not None and self.part.subtracted_baseline != "none"
        self.baseline_seconds = baseline_seconds if self.uses_baseline else 0.0
        self._training_means = self._means_of(reading.signals_name)
        leading = next(one for one in (self.part, self.face_part, *self.media_parts.values()) if one is not None)
        windowing = leading.windowing
        self.window_seconds: float = windowing.window_seconds
        self.hop_seconds: float = windowing.hop_seconds or windowing.window_seconds
        self.lag_seconds: float = 0.0 if self.part is None else windowing.lag_seconds
        self._network = Network(model)

    @classmethod
    def from_file(cls, path: Path, baseline_seconds: float = 3.0, weights: Mapping[str, Path] | None = None) -> Self:
        """Load a saved model from a file.

        Raises:
            InputError: there is no model, or it cannot be applied.
        """
        return cls(load_saved_model(path), baseline_seconds, path, weights)

    def _means_of(self, part: str | None) -> dict[str, np.ndarray]:
        """Return training means of the arrays of a part, by name, if the model's scaling stores them."""
        scaling = getattr(self.model, "feature_scaling", None) or {}
        layers = scaling if isinstance(scaling, Mapping) else {"eeg": scaling}
        inputs = {name: one for name, one in self.block.inputs.items() if one.part == part and name in layers}
        return {one.array: np.asarray(layers[name].mean) for name, one in inputs.items()}

    @property
    def required_part(self) -> FeaturePart:
        """The part that reads a recording, for what needs one.

        Raises:
            InputError: the model reads no recording.
        """
        if self.part is None:
            raise InputError(f"{self.model.name}: reads no EEG; expected a model of EEG; give no recording")
        return self.part

    @property
    def lead_seconds(self) -> float:
        """Length of lead-in and tail of a block in seconds."""
        return self.n_lead * self.hop_seconds

    @property
    def n_lead(self) -> int:
        """Length of lead-in and tail in windows, from one window start to the next."""
        rate = self.sampling_rate_hz
        return math.ceil(round(self.required_part.lead_in_seconds(rate) * rate) / self._hop)

    @property
    def _window(self) -> int:
        return signals.sample_count(self.window_seconds, self.sampling_rate_hz, "window_seconds")

    @property
    def _hop(self) -> int:
        return signals.sample_count(self.hop_seconds, self.sampling_rate_hz, "hop_seconds")

    @property
    def grid(self) -> WindowGrid:
        """Windowing of recordings."""
        rate, lead_in_seconds = self.sampling_rate_hz, self.required_part.lead_in_seconds(self.sampling_rate_hz)
        return WindowGrid(
            self.window_seconds, self.hop_seconds, self.lag_seconds, self.baseline_seconds, rate, lead_in_seconds
        )

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names) or int(self.model.window_probabilities(self.model.output).shape[-1])

    @property
    def warning(self) -> str | None:
        """Why the results are meaningless, or `None`."""
        if self.block.synthetic:
            return "trained on synthetic data: these numbers say nothing about emotion"
        return None

    def select_channels(
        self,
        channel_names: Sequence[str],
        source: object,
        units: Sequence[str] | None = None,
        unusable: Mapping[int, str] | None = None,
    ) -> Channels:
        """Match the channels of a recording with those of the model: same name, compatible unit.

        Args:
            channel_names: names in the recording.
            source: the recording, for messages.
            units: their units; default: microvolts.
            unusable: reasons why some of them cannot be used, by position; they count as missing.

        Raises:
            InputError: the recording has fewer than half of the model's channels, or two with the same name, or one is
                missing that cannot be replaced.
        """
        must_be_all = self.part is not None and self.part.missing_channel == "refuse"
        return matched(self.unit_of, channel_names, source, units, unusable, must_be_all)

    def windows(self, recording: ContinuousRecording) -> RecordedWindows:
        """Find the windows of a recording, and which of them have a signal, in one pass over all samples.

        Raises:
            InputError: it is too short, has too few of the channels, no signal in the baseline, or its amplitude is not
                that of EEG.
        """
        grid, path = self.grid, recording.path
        stretches = grid.stretches(recording)
        self._check_length(recording, stretches)
        bad = dict.fromkeys(recording.bad_channels, "marked as bad in the file")
        unusable = {place: bad[name] for place, name in enumerate(recording.channel_names) if name in bad}
        channels = self.select_channels(recording.channel_names, path, recording.units, unusable)
        found = survey(recording, channels.names, channels.places, stretches)
        if found.dead:
            place_of = dict(zip(channels.names, channels.places, strict=True))
            unusable |= {place_of[name]: "no signal from start to end" for name in found.dead}
            channels = self.select_channels(recording.channel_names, path, recording.units, unusable)
        if advice := size_advice(found.size_uv):
            raise InputError(f"{path}: {size_fault(advice, found.size_uv)}")
        damage = [one for one in found.damage if one.name not in found.dead] + damage_of_file(recording.bad_spans)
        is_filtered = self.required_part.subtracted_baseline == "features"
        in_baseline = grid.in_baseline(damage, recording.sampling_rate_hz, is_filtered)
        if in_baseline:
            one = in_baseline[0]
            raise InputError(
                f"{path}: the first {self.baseline_seconds:g} s are the subtracted baseline, but contain "
                f"{one.what} {one.name}; crop the file so that it starts with a complete signal"
            )
        n_eeg = sum(recording.kinds[place] == "eeg" for place in channels.places)
        return RecordedWindows(
            channels,
            tuple(one for one in stretches if one.n_windows),
            tuple((one.start, one.stop) for one in damage if one.is_replaced),
            grid.starts_seconds(stretches),
            grid.problems(stretches, damage, recording.sampling_rate_hz, n_eeg),
        )

    def stretches(self, recording: ContinuousRecording) -> list[Stretch]:
        """Return the segments between the gaps of a recording, if long enough for windows."""
        return [one for one in self.grid.stretches(recording) if one.n_windows]

    def _check_length(self, recording: ContinuousRecording, stretches: Sequence[Stretch]) -> None:
        needed = self.baseline_seconds + self.lag_seconds + self.window_seconds
        lengths = [(one.stop - one.start) / recording.sampling_rate_hz for one in stretches]
        what = None
        if not any(one.n_windows for one in stretches):
            longest = f"the longest of {len(stretches)} segments without a gap, {max(lengths):g} s, is"
            what = longest if len(stretches) > 1 else f"{lengths[0]:g} s are"
        elif self.uses_baseline and not stretches[0].n_windows:
            what = f"the {lengths[0]:g} s before its first gap, with the baseline, are"
        if what:
            raise InputError(f"{recording.path}: {what} too short; the model needs {needed:g} s")

    def predict(
        self,
        recording: ContinuousRecording | None,
        block_seconds: float = 60.0,
        video: Path | None = None,
        video_offset_seconds: float = 0.0,
        media: Path | None = None,
        media_start_seconds: float = 0.0,
        n_shown: int = 0,
    ) -> Prediction:
        """Predict all windows of a recording, in bounded memory.

        Args:
            recording: the recording; `None` for models that read only faces or stimuli.
            block_seconds: length of a block, without lead-in and tail.
            video: the face video, for models that read faces.
            video_offset_seconds: time in the video at which the recording starts.
            media: the clip of the stimulus, for models that read it.
            media_start_seconds: time in the clip at which the recording starts.
            n_shown: number of windows whose faces and EEG images are kept, for models that select frames
                (`Prediction.looks`): evenly spread over the usable ones.

        Raises:
            InputError: the recording is too short, damaged, without the amplitude of EEG, or has too few of the
                channels; the video is missing, damaged, or has no face in any window; the clip is missing, damaged,
                shorter than the recording or lacks a track; no window has a signal; or the model does not read such an
                input.
        """
        started = time.perf_counter()
        check_sources(self, recording, video, video_offset_seconds)
        check_media(self, media, media_start_seconds)
        windows = None if recording is None else self.windows(recording)
        paired = self._paired(recording, video, video_offset_seconds, media, media_start_seconds)
        problems = problems_of(windows, paired)
        usable = np.flatnonzero(problems == "")
        wanted = set(usable[evenly_spread(len(usable), n_shown)].tolist())
        outputs, distances, places = [], [], []
        shown: dict[int, Any] = {}
        blocks = self._usable(recording, block_seconds, paired, windows, problems)
        for some, inputs in reported(blocks, "windows", len(usable), count=lambda block: len(block[0])):
            of_block = self.apply(inputs)
            is_number = np.isfinite(of_block["probabilities"]).all(axis=1)
            problems[some[~is_number]] = NO_NUMBERS_OUT
            outputs.append(of_block)
            distances.append(self._network.distance(inputs))
            places.append(some)
            rows = [row for row in np.flatnonzero(is_number) if some[row] in wanted]
            shown |= {int(some[row]): {name: np.array(array[row]) for name, array in inputs.items()} for row in rows}
        usable, n_windows = np.concatenate(places), len(problems)
        outputs = {name: np.concatenate([one[name] for one in outputs]) for name in outputs[0]}
        notes = [] if windows is None or recording is None else [*notes_of(self, recording, windows)]
        distance = float(np.mean(distances))
        if distance > FAR_AWAY:
            notes.append(
                f"features lie {distance:.1f} standard deviations from the means of the training windows: the model "
                "was not trained on such EEG, and its probabilities are unreliable"
            )
        probability = values_at(usable, outputs["probabilities"], n_windows)
        attention = outputs.get("band_attention")
        attention = None if attention is None else values_at(usable, attention, n_windows)
        starts = np.arange(n_windows) * self.hop_seconds if windows is None else windows.starts_seconds
        names = self.class_names or tuple(map(str, range(probability.shape[1])))
        is_number = problems[usable] == ""
        of_windows = {name: array[is_number] for name, array in outputs.items()}
        looks = looks_of(self, usable[is_number], of_windows, shown, recording, video, video_offset_seconds)
        reasons = Counter(reason for reason in problems if reason)
        shows_problems = (video is not None and self.face_part is not None) or bool(reasons)
        table = table_of(names, starts, self.window_seconds, probability, looks, problems if shows_problems else None)
        notes += [f"{count} of {n_windows} windows have no probability: {reason}" for reason, count in reasons.items()]
        return Prediction(
            table=table,
            band_attention=attention,
            bands=() if self.part is None else tuple(self.part.frequency_bands),
            looks=looks,
            notes=tuple(notes),
            warning=self.warning,
            summary={
                **summary_of(self, recording, windows),
                "windows": n_windows,
                "windows_without_probability": dict(reasons),
                "video": None if video is None else str(video),
                "video_offset_seconds": video_offset_seconds,
                "media": None if media is None else str(media),
                "media_start_seconds": media_start_seconds,
                "mean_probability": dict(
                    zip(names, np.nanmean(probability, axis=0).astype(float).tolist(), strict=True)
                ),
                **({} if looks is None else {"looks": looks.summary(starts)}),
            },
            duration_seconds=starts[-1] + self.window_seconds if recording is None else recording.duration_seconds,
            elapsed_seconds=time.perf_counter() - started,
        )

    def _usable(
        self,
        recording: ContinuousRecording | None,
        block_seconds: float,
        paired: Sequence[PairedWindows],
        windows: RecordedWindows | None,
        problems: np.ndarray,
    ) -> Iterator[tuple[np.ndarray, Inputs]]:
        """Yield positions and inputs of usable windows, block by block; add non-finite ones to the problems.

        Raises:
            InputError: there are none.
        """
        first, is_any = 0, False
        for inputs in self.blocks(recording, block_seconds, paired, windows):
            n_windows = len(next(iter(inputs.values())))
            of_block = problems[first : first + n_windows]
            of_block[(of_block == "") & ~is_finite(inputs)] = NO_NUMBERS_IN
            kept = np.flatnonzero(of_block == "")
            if len(kept):
                is_any = True
                yield first + kept, inputs if len(kept) == n_windows else {n: a[kept] for n, a in inputs.items()}
            first += n_windows
        if not is_any:
            source = self.model.name if recording is None else recording.path
            reasons = "; ".join(dict.fromkeys(problems))
            raise InputError(f"{source}: none of {len(problems)} windows can be used: {reasons}")

    def _paired(
        self,
        recording: ContinuousRecording | None,
        video: Path | None,
        video_offset_seconds: float,
        media: Path | None,
        media_start_seconds: float,
    ) -> list[PairedWindows]:
        """Return the model's inputs from other files, in the windows of the recording."""
        found = [self.faces(recording, video, video_offset_seconds)]
        if media is not None:
            found.append(
                media_alone(self.media_parts, media, media_start_seconds)
                if recording is None
                else media_beside(self.media_parts, recording, self.stretches(recording), media, media_start_seconds)
            )
        return [one for one in found if one is not None]

    def faces(
        self, recording: ContinuousRecording | None, video: Path | None, video_offset_seconds: float = 0.0
    ) -> PairedWindows | None:
        """Extract the face features of each window; `None` if the model reads no faces.

        Raises:
            InputError: see `predict`.
        """
        check_sources(self, recording, video, video_offset_seconds)
        if self.face_part is None or video is None:
            return None
        if recording is None:
            found = faces_of_video(self.face_part, video, video_offset_seconds)
        else:
            stretches = self.stretches(recording)
            found = faces_beside(
                self.face_part, recording, stretches, self.sampling_rate_hz, video, video_offset_seconds
            )
        if not (found.problems == "").any():
            reason = next(iter(found.problems), f"too short, the model needs {self.window_seconds:g} s")
            raise InputError(reason if str(video) in reason else f"{video}: {reason}")
        return found

    def apply(self, inputs: Inputs) -> dict[str, np.ndarray]:
        """Apply the model to windows; see `Network.apply`."""
        return self._network.apply(inputs)

    def some_windows(
        self,
        recording: ContinuousRecording | None,
        n_windows: int = 64,
        video: Path | None = None,
        media: Path | None = None,
        media_start_seconds: float = 0.0,
    ) -> Inputs:
        """Return inputs of the model for the first usable windows of a recording, a face video and a stimulus."""
        if video is not None and self.face_part is None:
            raise InputError(f"{self.model.name}: reads no faces; leave --video out")
        check_sources(self, recording, video, 0.0)
        check_media(self, media, media_start_seconds)
        windows = None if recording is None else self.windows(recording)
        paired = self._paired(recording, video, 0.0, media, media_start_seconds)
        problems = problems_of(windows, paired)
        _, inputs = next(self._usable(recording, n_windows * self.hop_seconds, paired, windows, problems))
        return {name: array[:n_windows] for name, array in inputs.items()}

    def _directions_of(self, channel_names: Sequence[str]) -> np.ndarray:
        return np.array([self._directions[name] for name in channel_names]).reshape(-1, 3)

    # --- features, block by block

    def blocks(
        self,
        recording: ContinuousRecording | None,
        block_seconds: float = 60.0,
        paired: Sequence[PairedWindows] = (),
        windows: RecordedWindows | None = None,
    ) -> Iterator[Inputs]:
        """Yield inputs of the model for all windows of a recording, including those without a signal, block by block.

        Args:
            recording: the recording; `None` for models that read only faces or stimuli.
            block_seconds: length of a block.
            paired: inputs from other files.
            windows: result of `windows`; default: computed.

        Raises:
            InputError: as `predict`.
        """
        n_block = max(1, min(round(block_seconds / self.hop_seconds), BLOCK_BYTES // max(self._window_bytes, 1)))

        def beside(first: int, last: int) -> Inputs:
            return {name: array for one in paired for name, array in one.of(first, last).items()}

        if recording is None:
            n_windows = len(paired[0].problems)
            for first in range(0, n_windows, n_block):
                yield self._named(beside(first, min(first + n_block, n_windows)))
            return
        windows = windows or self.windows(recording)
        channels, subtracted, before = windows.channels, None, 0
        for stretch in windows.stretches:
            resampled = self._resampled(recording, windows, stretch)
            if subtracted is None:
                n_start = round((stretch.baseline_seconds + self.lag_seconds) * self.sampling_rate_hz)
                n_start += self._window + self.n_lead * self._hop
                subtracted = self._subtracted(resampled.read(0, min(resampled.n_samples, n_start)), channels)
            for first in range(0, stretch.n_windows, n_block):
                last = min(first + n_block, stretch.n_windows)
                arrays = self._of_block(resampled, stretch, first, last, channels, subtracted)
                yield self.to_inputs({**arrays, **beside(before + first, before + last)}, channels)
            before += stretch.n_windows

    def _resampled(
        self, recording: ContinuousRecording, windows: RecordedWindows, stretch: Stretch
    ) -> signals.ResampledSignal:
        """Return the signal between two gaps at the model's rate and in its units, with missing signal replaced."""
        channels, rate, n_samples = windows.channels, recording.sampling_rate_hz, stretch.stop - stretch.start
        repaired = RepairedSignal(
            lambda start, stop: (
                recording.read(stretch.start + start, stretch.start + stop, [*channels.places]) * channels.scales
            ),
            n_samples,
            [(start - stretch.start, stop - stretch.start) for start, stop in windows.replaced],
            rate,
        )
        return signals.ResampledSignal(repaired.read, n_samples, rate, self.sampling_rate_hz)

    def _of_block(
        self,
        resampled: signals.ResampledSignal,
        stretch: Stretch,
        first: int,
        last: int,
        channels: Channels,
        subtracted: Subtracted,
    ) -> Inputs:
        """Return features of the windows from `first` to `last` of a segment."""
        rate, window, hop, n_lead = self.sampling_rate_hz, self._window, self._hop, self.n_lead
        onset = round(stretch.baseline_seconds * rate)
        lag = signals.sample_count(self.lag_seconds, rate, "lag_seconds")
        is_last = last + n_lead >= stretch.n_windows
        stop = resampled.n_samples if is_last else onset + lag + (last - 1 + n_lead) * hop + window
        if stretch.baseline_seconds and first <= n_lead:
            # The start of the recording itself, with its baseline, as in a trial.
            arrays = self._features(resampled.read(0, stop), channels, stretch.baseline_seconds)
            return {name: array[first:last] for name, array in arrays.items()}
        begin = max(first - n_lead, 0)
        piece = subtracted.from_signal(resampled.read(onset + begin * hop, stop), begin * hop)
        arrays = self._features(piece, channels, 0.0)
        return subtracted.from_features({name: array[first - begin : last - begin] for name, array in arrays.items()})

    def live_inputs(
        self, signal: np.ndarray, first: int, place: int, channels: Channels, baseline: np.ndarray
    ) -> Inputs:
        """Return inputs of the model for one window of a piece of signal, without information from after the piece.

        Args:
            signal: `(channels, samples)` in microvolts at the model's rate; starts with a window.
            first: position of this window among those after the baseline.
            place: position of the wanted window in the piece.
            channels: its channels.
            baseline: `(channels, samples)` of the baseline; empty if the model subtracts none.
        """
        subtracted = self._subtracted(np.concatenate([baseline, signal[:, : self._window]], axis=1), channels)
        piece = subtracted.from_signal(signal, first * self._window)
        arrays = self._features(piece, channels, 0.0)
        arrays = {name: array[place : place + 1] for name, array in arrays.items()}
        return self.to_inputs(subtracted.from_features(arrays), channels)

    def to_inputs(self, arrays: Inputs, channels: Channels) -> Inputs:
        """Return inputs of the model from features, with missing channels filled in."""
        if channels.missing:
            present, expected = self._channel_set(channels.names), self._channel_set(self.channel_names)
            arrays = self.required_part.fill_missing(arrays, present, expected, self._training_means)
        return self._named(arrays)

    def _channel_set(self, names: Sequence[str]) -> ChannelSet:
        directions = self._directions_of(names)
        units = tuple(self.unit_of[name] for name in names)
        return ChannelSet(tuple(names), units, tuple(map(tuple, directions.tolist())))

    def _named(self, arrays: Inputs) -> Inputs:
        """Return the inputs of the model by name, from the arrays of its parts."""
        return {name: one.of(arrays) for name, one in self.block.inputs.items()}

    def _features(
        self, signal: np.ndarray, channels: Channels, baseline_seconds: float, part: FeaturePart | None = None
    ) -> Inputs:
        part = part or (self.required_part if baseline_seconds else self.required_part.without_baseline())
        recording = Recording(
            signal,
            channels.names,
            tuple(self.unit_of[name] for name in channels.names),
            self.sampling_rate_hz,
            baseline_seconds,
            electrode_directions=self._directions_of(channels.names),
        )
        trial = Trial("recording", 1, 1, "recording", recording, channels.names, {})
        return part.extract([trial])[0]

    def _subtracted(self, start: np.ndarray, channels: Channels) -> Subtracted:
        """Return the baseline at the start of a recording, to be subtracted from the rest."""
        part, rate = self.required_part, self.sampling_rate_hz
        kind = part.subtracted_baseline
        if kind == "waveform":
            segment_seconds = part.baseline_segment_seconds
            n_segment = signals.sample_count(segment_seconds, rate, "segment_seconds")
            baseline = start[:, : round(self.baseline_seconds * rate)]
            nothing = np.zeros((len(start), n_segment))
            with_nothing = np.concatenate([baseline, nothing], axis=1)
            try:
                cleaned = signals.remove_baseline(with_nothing, rate, self.baseline_seconds, segment_seconds)
            except ValueError as error:
                raise InputError(f"--baseline-seconds {self.baseline_seconds:g}: {error}") from None
            return Subtracted(waveform=-cleaned[:, -n_segment:])
        if kind == "features":
            of_first = self._features(start, channels, self.baseline_seconds)
            plain = self._features(start, channels, self.baseline_seconds, part.without_baseline())
            taken_off = {name: plain[name][:1] - array[:1] for name, array in of_first.items()}
            return Subtracted(features={name: array.mean(axis=1, keepdims=True) for name, array in taken_off.items()})
        return Subtracted()
