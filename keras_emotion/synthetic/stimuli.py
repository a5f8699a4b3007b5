"""Synthetic stimuli: video clips with audio and two independently adjustable properties.

`identity` is specific to a clip and unrelated to emotion: a model can recognise a clip of the training set by it.
`emotion` is common to the clips of one class.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import joblib
import numpy as np

from keras_emotion.synthetic.faces import smooth_noise
from keras_emotion.synthetic.facts import write_marker

SAMPLING_RATE_HZ = 16000

SILENT_PART = (1 / 3, 2 / 3)
"""Silent part of a partly silent clip, as shares of its duration."""

_BIT_RATE = 48_000
_N_GRATINGS = 3
_N_PARTIALS = 4
_FLUCTUATION_SECONDS = 1.0
_PITCH_HZ = 220.0
_LEVEL_DBFS = -25.0
_NOISE_DBFS = -60.0

# Last elements of seeds `[seed, _STIMULI, number of the stimulus, ...]`.
_STIMULI, _IDENTITY, _COURSE = 40, 1, 2


@dataclasses.dataclass(frozen=True)
class Look:
    """Mean appearance and sound of a clip, around which it fluctuates.

    Args:
        colour: `(3,)` mean red, green and blue, 0 to 1.
        waves: `(gratings, 2)` cycles of each grating across the width and the height.
        tint: `(gratings, 3)` colours of the gratings.
        speed: cycles per second of the gratings' motion.
        pitch_hz: frequency of the first partial.
        partials: `(partials,)` amplitudes, whose squares sum to 1.
        beat_hz: frequency of the amplitude modulation.
        level_dbfs: root mean square.
    """

    colour: np.ndarray
    waves: np.ndarray
    tint: np.ndarray
    speed: float
    pitch_hz: float
    partials: np.ndarray
    beat_hz: float
    level_dbfs: float

    @classmethod
    def draw(
        cls, rng: np.random.Generator, identity_size: float, emotion_size: float, emotion: Mapping[str, float]
    ) -> Look:
        """Draw the look and sound of a clip, shifted by valence and arousal (-1 to 1); see `write_stimuli`."""
        valence, arousal = (emotion_size * emotion.get(name, 0.0) for name in ("valence", "arousal"))
        own = lambda *shape: identity_size * rng.standard_normal(shape)  # noqa: E731
        # Warm and bright, or cold and dark.
        colour = 0.45 + 0.14 * own(3) + valence * np.array([0.18, 0.04, -0.18])
        partials = np.exp(-0.5 * np.arange(_N_PARTIALS) + 0.8 * own(_N_PARTIALS))
        return cls(
            colour=colour,
            waves=np.array([[2.0, 0.5], [-1.0, 2.0], [1.5, -1.5]]) + 1.5 * own(_N_GRATINGS, 2),
            tint=np.asarray(0.5 + 0.5 * own(_N_GRATINGS, 3)),
            speed=0.4 * np.exp(0.3 * float(own()) + 0.8 * arousal),
            pitch_hz=_PITCH_HZ * 2 ** (0.5 * float(own()) + 0.6 * valence),
            partials=partials / np.sqrt((partials**2).sum()),
            beat_hz=2.0 * np.exp(0.5 * float(own())),
            level_dbfs=_LEVEL_DBFS + 2.5 * float(own()) + 6.0 * arousal,
        )

    def frames(self, rng: np.random.Generator, times: np.ndarray, size: tuple[int, int]) -> Iterator[np.ndarray]:
        """Yield the frames at some times, `(height, width, 3)` uint8 each, RGB."""
        width, height = size
        across, down = np.meshgrid(np.arange(width) / width, np.arange(height) / height)
        colours = self.colour + 0.03 * np.stack(
            [smooth_noise(rng, times, _FLUCTUATION_SECONDS) for _ in range(3)], axis=1
        )
        speeds = self.speed * np.exp(0.2 * smooth_noise(rng, times, _FLUCTUATION_SECONDS))
        steps = np.diff(times, prepend=times[0])
        phases = rng.uniform(0, 1, _N_GRATINGS) + np.cumsum(speeds * steps)[:, np.newaxis] * (1, -0.7, 0.5)
        # The direction of the gratings fluctuates too, so that a clip without identity has no individual look.
        turns = 0.5 * np.stack([smooth_noise(rng, times, _FLUCTUATION_SECONDS) for _ in range(_N_GRATINGS)], axis=1)
        for colour, phase, turn in zip(colours, phases, turns, strict=True):
            x = self.waves[:, 0] * np.cos(turn) - self.waves[:, 1] * np.sin(turn)
            y = self.waves[:, 0] * np.sin(turn) + self.waves[:, 1] * np.cos(turn)
            waves = np.sin(2 * np.pi * (across[..., np.newaxis] * x + down[..., np.newaxis] * y + phase))
            image = colour + 0.12 * waves @ self.tint
            yield np.clip(np.rint(255 * image), 0, 255).astype(np.uint8)

    def sound(self, rng: np.random.Generator, seconds: float, is_silent_in_part: bool) -> np.ndarray:
        """Generate `(samples,)` float32 audio at `SAMPLING_RATE_HZ`, full scale -1 to 1."""
        times = np.arange(round(seconds * SAMPLING_RATE_HZ)) / SAMPLING_RATE_HZ
        # Slow fluctuations are drawn ten times per second.
        coarse = np.arange(int(seconds * 10) + 2) / 10
        pitch, level = (np.interp(times, coarse, smooth_noise(rng, coarse, _FLUCTUATION_SECONDS)) for _ in range(2))
        phase = 2 * np.pi * np.cumsum(self.pitch_hz * 2 ** (0.05 * pitch)) / SAMPLING_RATE_HZ
        starts = rng.uniform(0, 2 * np.pi, _N_PARTIALS)
        tone = sum(
            amplitude * np.sin(number * phase + start)
            for number, (amplitude, start) in enumerate(zip(self.partials, starts, strict=True), start=1)
        )
        swell = 1 + 0.5 * np.sin(2 * np.pi * self.beat_hz * times + rng.uniform(0, 2 * np.pi))
        rms = 10 ** ((self.level_dbfs + 1.0 * level) / 20)
        # A sine has an RMS of 1 / sqrt(2) of its amplitude, and the modulation adds 1/8 of its power.
        waveform = rms * np.sqrt(2 / 1.125) * swell * tone
        waveform += 10 ** (_NOISE_DBFS / 20) * rng.standard_normal(len(times))
        if is_silent_in_part:
            waveform[slice(*(round(share * len(times)) for share in SILENT_PART))] = 0.0
        return np.clip(waveform, -1, 1).astype(np.float32)


def write_stimuli(
    folder: str | Path,
    emotions: Mapping[str, Mapping[str, float]],
    seconds: Mapping[str, float],
    seed: int = 0,
    *,
    identity_size: float = 1.0,
    emotion_size: float = 1.0,
    silent_share: float = 0.2,
    frame_rate_hz: float = 8.0,
    size: tuple[int, int] = (96, 64),
) -> Path:
    """Write a clip for each stimulus, `<stimulus>.mp4`: H.264 video and AAC audio, as in a stimulus folder.

    The video shows three moving gratings on a uniform ground; the audio is an amplitude-modulated tone of four
    partials. All of it fluctuates over some seconds around the means of a clip. Identity and emotion shift these means:
    identity the colours, directions and speed of the gratings, and pitch, timbre, beat and level of the tone,
    independently for each clip; emotion the colour (warm with valence), the pitch (high with valence), the speed of
    motion and the level of the audio (both with arousal), equally for all clips of the same emotion. A clip does not
    depend on the number of clips, and the same seed gives the same files on one machine.

    Args:
        folder: output folder; created if missing.
        emotions: `valence` and `arousal` of each stimulus, from -1 to 1, by its id, which is the file name.
        seconds: duration of each clip.
        seed: random seed.
        identity_size: factor of the clip-specific properties; at 0 all clips of one emotion have the same means.
        emotion_size: factor of the effects of valence and arousal; 0 is no effect.
        silent_share: share of the clips that are silent in their middle third.
        frame_rate_hz: frames per second, 1 to 120.
        size: width and height in pixels, even numbers from 32 on.

    Returns:
        `folder`.

    Raises:
        ValueError: a number is out of range, or an emotion lacks a duration.
    """
    for name, value in (("identity_size", identity_size), ("emotion_size", emotion_size)):
        if not 0 <= value < np.inf:
            raise ValueError(f"`{name}` is {value}; expected 0 or more")
    if not 0 <= silent_share <= 1:
        raise ValueError(f"`silent_share` is {silent_share}; expected 0 to 1")
    if not 1 <= frame_rate_hz <= 120:
        raise ValueError(f"`frame_rate_hz` is {frame_rate_hz}; expected 1 to 120")
    if len(size) != 2 or min(size) < 32 or any(side % 2 for side in size):
        raise ValueError(f"`size` is {tuple(size)}; expected an even width and height from 32 on")
    if set(emotions) != set(seconds) or not all(one > 0 for one in seconds.values()):
        raise ValueError("`seconds`: expected a duration above 0 for each stimulus of `emotions`")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    silent = silent_in_part(emotions, silent_share)

    def write(number: int, stimulus: str) -> None:
        identity, course = (np.random.default_rng([seed, _STIMULI, number, tag]) for tag in (_IDENTITY, _COURSE))
        look = Look.draw(identity, identity_size, emotion_size, emotions[stimulus])
        times = np.arange(round(seconds[stimulus] * frame_rate_hz)) / frame_rate_hz
        sound = look.sound(course, seconds[stimulus], stimulus in silent)
        write_clip(folder / f"{stimulus}.mp4", look.frames(course, times, size), sound, frame_rate_hz, size)

    # Threads, because encoding releases the interpreter lock.
    joblib.Parallel(n_jobs=-1, prefer="threads")(
        joblib.delayed(write)(number, stimulus) for number, stimulus in enumerate(emotions, start=1)
    )
    write_marker(
        folder,
        stimuli=list(emotions),
        seed=seed,
        identity_size=identity_size,
        emotion_size=emotion_size,
        silent_in_part=sorted(silent, key=list(emotions).index),
        frame_rate_hz=frame_rate_hz,
        size=list(size),
    )
    return folder


def silent_in_part(stimuli: Mapping[str, object], silent_share: float) -> frozenset[str]:
    """Return the partly silent stimuli, evenly spaced, so that each class has some.

    Example:
        >>> sorted(silent_in_part(dict.fromkeys("abcdefghij"), 0.2))
        ['e', 'j']
    """
    return frozenset(
        stimulus
        for number, stimulus in enumerate(stimuli, start=1)
        if int(number * silent_share + 1e-9) > int((number - 1) * silent_share + 1e-9)
    )


@dataclasses.dataclass(frozen=True)
class ClipFormat:
    """Format of a file with video and audio.

    Args:
        container: FFmpeg's name of the container.
        picture_codec: name of the video encoder.
        picture_options: options of the video encoder.
        sound_codec: name of the audio encoder.
        sample_format: sample format of the audio encoder.
        sampling_rate_hz: sampling rate of the audio.
    """

    container: str = "mp4"
    picture_codec: str = "libx264"
    # As for the face videos: more threads, or the macroblock tree, occasionally give other bytes.
    picture_options: Mapping[str, str] = dataclasses.field(
        default_factory=lambda: {"preset": "veryfast", "x264-params": "mbtree=0:weightp=0"}
    )
    sound_codec: str = "aac"
    sample_format: str = "fltp"
    sampling_rate_hz: int = SAMPLING_RATE_HZ


def write_clip(
    path: Path,
    frames: Iterator[np.ndarray],
    sound: np.ndarray | None,
    frame_rate_hz: float,
    size: tuple[int, int],
    clip_format: ClipFormat = ClipFormat(),
) -> None:
    """Write a file with video and audio, with the same bytes for the same clip on any number of cores.

    Args:
        path: output file.
        frames: `(height, width, 3)` uint8 each, RGB; if empty, the file has no video.
        sound: `(samples,)` float32 at the rate of the format; `None`: no audio.
        frame_rate_hz: frames per second.
        size: width and height, even numbers.
        clip_format: container and codecs; by default MP4 with H.264 and AAC.
    """
    width, height = size
    rate_hz = clip_format.sampling_rate_hz
    with av.open(str(path), "w", format=clip_format.container) as container:
        first = next(frames := iter(frames), None)
        if first is not None:
            rate = Fraction(frame_rate_hz).limit_denominator(10_000)
            picture: Any = container.add_stream(clip_format.picture_codec, rate=rate)
            picture.width, picture.height, picture.pix_fmt = width, height, "yuv420p"
            picture.options = dict(clip_format.picture_options)
            picture.codec_context.thread_count = 1
        if sound is not None:
            track: Any = container.add_stream(clip_format.sound_codec, rate=rate_hz, layout="mono")
            track.bit_rate = _BIT_RATE
        while first is not None:
            frame = av.VideoFrame.from_ndarray(first, format="rgb24")
            container.mux(picture.encode(frame.reformat(format="yuv420p", threads=1)))
            first = next(frames, None)
            if first is None:
                container.mux(picture.encode())
        if sound is not None:
            for start in range(0, len(sound), rate_hz):
                samples = np.ascontiguousarray(sound[np.newaxis, start : start + rate_hz])
                frame = av.AudioFrame.from_ndarray(samples, format=clip_format.sample_format, layout="mono")
                frame.sample_rate, frame.pts, frame.time_base = rate_hz, start, Fraction(1, rate_hz)
                container.mux(track.encode(frame))
            container.mux(track.encode())
