"""Pictures and spectrograms from clips of stimuli or of the subject, block by block; once per stimulus clip."""

from __future__ import annotations

import abc
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

import cv2
import numpy as np
import pandas as pd
from pydantic import Field, model_validator
from typing_extensions import override

from keras_emotion import faces
from keras_emotion.options import Option
from keras_emotion.pipelines.face_features import duration_and_problem
from keras_emotion.pipelines.features import UNUSABLE, FeaturePart, Features, Source
from keras_emotion.pipelines.mapped_arrays import memory_mapped_zeros
from keras_emotion.pipelines.windowing import Seconds, Windowing
from keras_emotion.schema import Clip, InputError, Trial

SOUND_RATE_HZ = 16_000
"""Sampling rate to which sound is resampled."""

PATCH_FRAMES = 96
"""Number of frames of a spectrogram patch, 10 ms apart."""

MISSING_SOUND_SECONDS = 0.25
"""Largest gap between the end of the sound and of the last block that is padded with zeros."""

LONGER_VIDEO_SECONDS = 5.0
"""Excess length above which a face video may have a wrong frame rate, as for the face features."""

_BLOCKS_AT_ONCE = 32

Stream = Literal["stimulus", "person"]
"""Source of picture and sound: the stimulus (`Trial.media`), or the subject's face video and voice."""


class MediaPart(FeaturePart):
    """Features of clips in blocks that start with the stimulus and may overlap.

    The clips are those of the stimuli (`Trial.media`), whose features all trials share; or the subject's own, the face
    video (`Trial.video`, whole pictures) or the sound (`Trial.voice`). Trials without them, or with unreadable files,
    have windows that are `UNUSABLE`.

    Args:
        window_seconds: length of a block in seconds.
        hop_seconds: time between consecutive block starts in seconds; `None`: no overlap.
        stream: source of picture or sound; set by the system.

    Attributes:
        track: track of the clips that is read.
    """

    added_fields: ClassVar[Mapping[str, Any]] = {"stream": "stimulus"}
    track: ClassVar[Literal["picture", "sound"]]

    window_seconds: Seconds = 4.0
    hop_seconds: Seconds | None = 2.0
    stream: Annotated[Stream, Option(fixed=True)] = "stimulus"

    @property
    @override
    def sources(self) -> tuple[Source, ...]:  # type: ignore[override]  # Of all instances elsewhere, of the fields here.
        if self.stream == "stimulus":
            return ("media", self.track)
        return ("video",) if self.track == "picture" else ("voice",)

    @property
    @override
    def shared_by_stimulus(self) -> bool:  # type: ignore[override]  # Of all instances elsewhere, of the fields here.
        return self.stream == "stimulus"

    @property
    def windowing(self) -> Windowing:
        """See `FeaturePart`; a window is a block."""
        return Windowing(window_seconds=self.window_seconds, hop_seconds=self.hop_seconds)

    @override
    def with_windowing(self, windowing: Windowing) -> Self:
        if windowing.lag_seconds:
            raise ValueError(f"lag_seconds: {type(self).__name__} follows the time of the stimulus; expected 0")
        return self.changed(window_seconds=windowing.window_seconds, hop_seconds=windowing.hop_seconds)

    def extract(self, trials: Iterable[Trial]) -> Features:
        """See `FeaturePart`.

        Raises:
            InputError: a trial is shorter than a block; the clip of its stimulus is missing, is shorter than the trial,
                lacks the track or cannot be read; or there are no trials.
        """
        arrays, tables = [], []
        for trial in trials:
            of_trial, table = self._of_stimulus(trial) if self.stream == "stimulus" else self._of_person(trial)
            arrays.append(of_trial)
            tables.append(table)
        if not arrays:
            raise InputError("no trials to compute features from")
        joined = arrays[0] if len(arrays) == 1 else _joined(arrays)
        return joined, pd.concat(tables, ignore_index=True)

    def _of_stimulus(self, trial: Trial) -> Features:
        clip = clip_of(trial)
        # `clip_of` gives each clip an end.
        assert clip.duration_seconds is not None
        starts = self._starts(clip.duration_seconds, str(clip.path))
        return self._of_clip(clip, starts), trial.window_table(starts, self.window_seconds)

    def _of_person(self, trial: Trial) -> Features:
        """Extract features of the subject's own clip; blocks with a reason if it cannot be used."""
        clip, seconds, problem = _clip_of_person(trial, self.track)
        starts = self._starts(seconds, f"{trial.dataset}, subject {trial.subject}, trial {trial.trial}")
        arrays = None
        if clip is not None:
            try:
                arrays = self._of_clip(clip, starts)
            except InputError as error:
                problem = str(error)
        if arrays is None:
            shapes = self.array_shapes(0, 0)
            arrays = {name: _zeros((len(starts), *shape), name) for name, shape in shapes.items()}
        return arrays, trial.window_table(starts, self.window_seconds).assign(**{UNUSABLE: problem})

    def _starts(self, seconds: float, where: str) -> np.ndarray:
        starts = self.windowing.starts(seconds)
        if not len(starts):
            raise InputError(
                f"{where}: the trial lasts {seconds:g} s; expected at least a block of {self.window_seconds:g} s; "
                "choose shorter blocks"
            )
        return starts

    @abc.abstractmethod
    def _of_clip(self, clip: Clip, starts: np.ndarray) -> dict[str, np.ndarray]:
        """Return the arrays of the blocks that start at some times of a clip."""


def _zeros(shape: tuple[int, ...], name: str) -> np.ndarray:
    """Allocate an array of unused blocks, of the same type as used ones."""
    return np.zeros(shape, np.uint8 if name == "frames" else np.float32)


def _clip_of_person(trial: Trial, track: Literal["picture", "sound"]) -> tuple[Clip | None, float, str]:
    """Return the subject's own clip, as long as the trial; its length; and why there is none, otherwise empty.

    Raises:
        InputError: the length of the trial is unknown.
    """
    if track == "picture":
        seconds, problem = duration_and_problem(trial, 0.0, LONGER_VIDEO_SECONDS, None)
        if trial.video is None or problem:
            return None, seconds, problem
        start = trial.video_offset_seconds or 0.0
        return Clip(trial.video, start, start + seconds), seconds, ""
    voice = trial.voice
    seconds = trial.duration_seconds or (voice.duration_seconds if voice else None) or 0.0
    if voice is None:
        return None, seconds, "no sound of the subject"
    return Clip(voice.path, voice.start_seconds, voice.start_seconds + seconds), seconds, ""


def clip_of(trial: Trial) -> Clip:
    """Return the clip shown in a trial, as long as the trial.

    Raises:
        InputError: there is none.
    """
    clip = trial.media
    if clip is None:
        raise InputError(
            f"{trial.dataset}, subject {trial.subject}, trial {trial.trial}: no clip of stimulus {trial.stimulus}; "
            "expected a video or sound file; give the folder of the stimuli with --stimuli"
        )
    if clip.stop_seconds is None:
        return Clip(clip.path, clip.start_seconds, clip.start_seconds + trial.duration_seconds)
    return clip


def _joined(parts: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Concatenate the arrays of several clips, in a file if they are pictures."""
    joined = {}
    for name, first in parts[0].items():
        n_blocks = sum(len(part[name]) for part in parts)
        make = memory_mapped_zeros if first.dtype == np.uint8 else lambda shape: np.empty(shape, np.float32)
        joined[name], start = make((n_blocks, *first.shape[1:])), 0
        for part in parts:
            joined[name][start : start + len(part[name])] = part[name]
            start += len(part[name])
    return joined


class MediaFrames(MediaPart):
    """Pictures of the clips: `{"frames": (blocks, frames, image_size, image_size, 3)}`, uint8 RGB.

    The frame nearest to the middle of each of equal steps of a block, two per second by default: eight for a block of 4
    s. Frames are resized to a square regardless of their aspect ratio, by area averaging, as for image transformers.

    Args:
        window_seconds: length of a block in seconds.
        hop_seconds: time between consecutive block starts in seconds; `None`: no overlap.
        frame_rate_hz: frames per second; a block has a whole number of them.
        image_size: side of the pictures in pixels.
    """

    code_version: ClassVar[int] = 1
    track: ClassVar[Literal["picture", "sound"]] = "picture"

    frame_rate_hz: Annotated[float, Field(gt=0, le=1_000)] = 2.0
    image_size: Annotated[int, Field(ge=8, le=4096)] = 224

    @model_validator(mode="after")
    def _block_has_whole_frames(self):
        n_frames = self.frame_rate_hz * self.window_seconds
        if round(n_frames) < 1 or abs(n_frames - round(n_frames)) > 1e-6:
            raise ValueError(
                f"frame_rate_hz: a block of {self.window_seconds:g} s has {n_frames:g} frames at "
                f"{self.frame_rate_hz:g} Hz; expected a whole number"
            )
        return self

    @property
    def n_frames(self) -> int:
        """Number of frames of a block."""
        return round(self.frame_rate_hz * self.window_seconds)

    @override
    def array_shapes(self, n_channels: int, sampling_rate_hz: float) -> dict[str, tuple[int, ...]]:
        return {"frames": (self.n_frames, self.image_size, self.image_size, 3)}

    def _of_clip(self, clip: Clip, starts: np.ndarray) -> dict[str, np.ndarray]:
        frames = memory_mapped_zeros((len(starts), *MediaFrames.array_shapes(self, 0, 0)["frames"]))
        flat = frames.reshape(-1, *frames.shape[2:])
        for own, picture in self.frames_of(clip, starts):
            flat[own] = picture
        return {"frames": frames}

    def frames_of(self, clip: Clip, starts: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Read the frames of the blocks that start at some times of a clip, each frame once.

        Args:
            clip: the clip.
            starts: `(blocks,)` seconds from its start.

        Yields:
            `(places, picture)`: positions of a frame among those of all blocks, `block * n_frames + frame`, and the
            picture, `(image_size, image_size, 3)` uint8 RGB.

        Raises:
            InputError: the picture ends before the last block, or cannot be read.
        """
        # Workers already share the cores.
        cv2.setNumThreads(1)
        times = clip.start_seconds + starts[:, np.newaxis] + (np.arange(self.n_frames) + 0.5) / self.frame_rate_hz
        wanted, inverse = np.unique(times.ravel().round(6), return_inverse=True)
        places = np.split(np.argsort(inverse, kind="stable"), np.cumsum(np.bincount(inverse))[:-1])
        n_given = 0
        side = (self.image_size, self.image_size)
        for own, (_, frame) in zip(places, faces.sample_frames(clip.path, times_seconds=wanted), strict=False):
            yield own, cv2.resize(frame.image, side, interpolation=cv2.INTER_AREA)
            n_given += 1
        if n_given < len(wanted):
            raise InputError(
                f"{clip.path}: its picture ends before {wanted[n_given]:g} s; expected pictures to "
                f"{clip.stop_seconds:g} s; give a longer clip"
            )


class MediaSoundPart(MediaPart):
    """Features of the sound of clips, block by block: mono, at `SOUND_RATE_HZ`."""

    track: ClassVar[Literal["picture", "sound"]] = "sound"

    @abc.abstractmethod
    def _of_blocks(self, waveform: np.ndarray) -> dict[str, np.ndarray]:
        """Return arrays `(blocks, ...)` of a few blocks `(blocks, samples)`, each computed independently."""

    def _of_clip(self, clip: Clip, starts: np.ndarray) -> dict[str, np.ndarray]:
        from keras_emotion.audio import read_audio

        length = round(self.window_seconds * SOUND_RATE_HZ)
        first = np.round(starts * SOUND_RATE_HZ).astype(int)
        stop_seconds = clip.start_seconds + starts[-1] + self.window_seconds
        samples = read_audio(clip.path, SOUND_RATE_HZ, clip.start_seconds, stop_seconds).samples
        n_missing = first[-1] + length - len(samples)
        if n_missing > MISSING_SOUND_SECONDS * SOUND_RATE_HZ:
            raise InputError(
                f"{clip.path}: its sound ends at {stop_seconds - n_missing / SOUND_RATE_HZ:.2f} s; expected sound to "
                f"{stop_seconds:g} s; give a longer clip"
            )
        samples = np.pad(samples, (0, max(n_missing, 0)))
        cut = np.lib.stride_tricks.sliding_window_view(samples, length)[first]
        parts = [self._of_blocks(cut[start : start + _BLOCKS_AT_ONCE]) for start in range(0, len(cut), _BLOCKS_AT_ONCE)]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


class MediaSound(MediaSoundPart):
    """Features computed from spectrogram patches of the sound of clips, and the energy of each block.

    Attributes:
        array_name: name of the array of the patches.
        n_bands: number of bands of a patch.
        frame_seconds: window length of the spectrogram's frames.
    """

    array_name: ClassVar[str]
    n_bands: ClassVar[int]
    frame_seconds: ClassVar[float]

    @model_validator(mode="after")
    def _block_has_a_patch(self):
        if self.n_patches < 1:
            raise ValueError(
                f"window_seconds: a block of {self.window_seconds:g} s contains no patch of {PATCH_FRAMES} frames; "
                "expected 1 s or more"
            )
        return self

    @property
    def n_patches(self) -> int:
        """Number of patches of a block; the remainder is dropped."""
        length, frame, hop = (round(one * SOUND_RATE_HZ) for one in (self.window_seconds, self.frame_seconds, 0.01))
        return max(0, 1 + (length - frame) // hop) // PATCH_FRAMES

    @override
    def array_shapes(self, n_channels: int, sampling_rate_hz: float) -> dict[str, tuple[int, ...]]:
        return {self.array_name: (self.n_patches, PATCH_FRAMES, self.n_bands), "energy_dbfs": (1,)}

    @abc.abstractmethod
    def patches(self, waveform: np.ndarray) -> np.ndarray:
        """Compute the patches of blocks.

        Args:
            waveform: `(blocks, samples)` mono at `SOUND_RATE_HZ`.

        Returns:
            `(blocks, patches, ...)`, float32.
        """

    def _of_blocks(self, waveform: np.ndarray) -> dict[str, np.ndarray]:
        from keras_emotion.audio import energy_dbfs

        energy = energy_dbfs(waveform, SOUND_RATE_HZ, self.window_seconds)
        return {self.array_name: self.patches(waveform), "energy_dbfs": energy}


class MediaLogMel(MediaSound):
    """Sound of the clips as in MERCL: `{"log_mel": (blocks, patches, 96, 20)}`, natural logarithm, float32.

    Mono sound at 16 kHz; see `keras_emotion.audio.log_mel`. A block of 4 s has four patches of 96 frames; its last 12
    frames are dropped. In addition `"energy_dbfs"`, `(blocks, 1)`: the energy of each block in decibels relative to
    full scale, which identifies silent blocks.

    Args:
        window_seconds: length of a block in seconds.
        hop_seconds: time between consecutive block starts in seconds; `None`: no overlap.
    """

    code_version: ClassVar[int] = 1
    array_name: ClassVar[str] = "log_mel"
    n_bands: ClassVar[int] = 20
    frame_seconds: ClassVar[float] = 0.05

    def patches(self, waveform: np.ndarray) -> np.ndarray:
        """See `MediaSound`; `(blocks, patches, 96, bands)`."""
        from keras_emotion.audio import log_mel, split_into_patches

        return split_into_patches(log_mel(waveform, SOUND_RATE_HZ))


class MediaVGGishPatches(MediaSound):
    """Sound of the clips as VGGish's input: `{"vggish": (blocks, patches, 96, 64)}`, float32.

    Mono sound at 16 kHz; see `keras_emotion.audio.vggish_patches`. A block of 4 s has four patches. In addition
    `"energy_dbfs"`, as in `MediaLogMel`.

    Args:
        window_seconds: length of a block in seconds.
        hop_seconds: time between consecutive block starts in seconds; `None`: no overlap.
    """

    code_version: ClassVar[int] = 1
    array_name: ClassVar[str] = "vggish"
    n_bands: ClassVar[int] = 64
    frame_seconds: ClassVar[float] = 0.025

    def patches(self, waveform: np.ndarray) -> np.ndarray:
        """See `MediaSound`; `(blocks, patches, 96, bands)`."""
        from keras_emotion.audio import vggish_patches

        return vggish_patches(waveform, SOUND_RATE_HZ)
