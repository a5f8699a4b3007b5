"""Synthetic utterances of actors: a face and a voice that depend on an emotion."""

from __future__ import annotations

import dataclasses
import wave
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from keras_emotion.synthetic.faces import (
    AnimatedFace,
    FaceIdentity,
    blink_course,
    expression_course,
    light_course,
    pose_course,
    smooth_noise,
)
from keras_emotion.synthetic.stimuli import ClipFormat

EXPRESSIONS: Mapping[str, tuple[float, float]] = {
    "neutral": (0.0, -0.3),
    "calm": (0.3, -0.7),
    "happy": (0.8, 0.5),
    "sad": (-0.7, -0.6),
    "anger": (-0.8, 0.7),
    "fear": (-0.4, 0.8),
    "disgust": (-0.6, 0.1),
    "surprised": (0.3, 0.8),
}
"""Valence and arousal of face and voice for each emotion, -1 to 1."""

SYNONYMS = {"angry": "anger", "fearful": "fear"}

_N_PARTIALS = 6
_SYLLABLE_HZ = 4.0
_LEVEL_DBFS = -26.0
_NOISE_DBFS = -65.0
_FLUCTUATION_SECONDS = 0.5

# Last elements of seeds `[seed, actor, utterance, ...]`; those of actors have no utterance.
_FACE, _VOICE, _COURSE = 61, 62, 63


@dataclasses.dataclass(frozen=True, eq=False)
class Actor:
    """Synthetic actor with a face and a voice.

    Args:
        seed: seed of the dataset.
        number: number of the actor.
        size: width and height of a frame.
        is_female: whether the voice is higher.
    """

    seed: int
    number: int
    size: tuple[int, int]
    is_female: bool

    def __post_init__(self):
        width, height = self.size
        identity = FaceIdentity.draw(np.random.default_rng([self.seed, self.number, _FACE]))
        object.__setattr__(self, "_face", AnimatedFace(height, width, identity))

    def expression(self, emotion: str, effect_size: float, strength: float) -> tuple[float, float]:
        """Return valence and arousal of an utterance, in (-1, 1)."""
        valence, arousal = EXPRESSIONS[SYNONYMS.get(emotion, emotion)]
        valence, arousal = (np.tanh(effect_size * strength * value) for value in (valence, arousal))
        return float(valence), float(arousal)

    def frames(self, utterance: int, expression: tuple[float, float], seconds: float, frame_rate_hz: float):
        """Iterate over the frames of an utterance, `(height, width, 3)` uint8 each, RGB."""
        rng = np.random.default_rng([self.seed, self.number, utterance, _COURSE])
        times = np.arange(max(round(seconds * frame_rate_hz), 1)) / frame_rate_hz
        valence, arousal = (expression_course(rng, times, mean) for mean in expression)
        moments = (valence, arousal, pose_course(rng, times), light_course(rng, times), blink_course(rng, times))
        face: AnimatedFace = vars(self)["_face"]
        return (face.frame(*moment) for moment in zip(*moments, strict=True))

    def voice(self, utterance: int, expression: tuple[float, float], seconds: float, rate_hz: int) -> np.ndarray:
        """Return `(samples,)` float32 audio, -1 to 1, whose pitch, level and brightness follow the expression."""
        own = np.random.default_rng([self.seed, self.number, _VOICE])
        rng = np.random.default_rng([self.seed, self.number, utterance, _VOICE])
        valence, arousal = expression
        times = np.arange(round(seconds * rate_hz)) / rate_hz
        coarse = np.arange(int(seconds * 20) + 2) / 20
        pitch, level = (np.interp(times, coarse, smooth_noise(rng, coarse, _FLUCTUATION_SECONDS)) for _ in range(2))
        octaves = 0.15 * own.standard_normal() + 0.5 * arousal + 0.1 * pitch
        phase = 2 * np.pi * np.cumsum((200.0 if self.is_female else 110.0) * 2**octaves) / rate_hz
        amplitudes = np.exp(-(1.0 - 0.4 * valence) * np.arange(_N_PARTIALS) + 0.2 * own.standard_normal(_N_PARTIALS))
        amplitudes /= np.sqrt((amplitudes**2).sum())
        starts = rng.uniform(0, 2 * np.pi, _N_PARTIALS)
        tone = sum(
            amplitude * np.sin(number * phase + start)
            for number, (amplitude, start) in enumerate(zip(amplitudes, starts, strict=True), 1)
        )
        syllables = 0.5 - 0.5 * np.cos(2 * np.pi * _SYLLABLE_HZ * times)
        rms = 10 ** ((_LEVEL_DBFS + 8.0 * arousal + level) / 20)
        noise = 10 ** (_NOISE_DBFS / 20) * rng.standard_normal(len(times))
        return np.clip(rms * 2 * syllables * tone + noise, -1, 1).astype(np.float32)


def write_wav(path: Path, sound: np.ndarray, rate_hz: int) -> None:
    """Write `(samples,)` audio, full scale -1 to 1, as a 16-bit mono file."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(np.rint(sound * 32767).astype("<i2").tobytes())


FLASH = ClipFormat("flv", "flv", {}, "libmp3lame", "fltp", 22050)
"""Flash video, as in CREMA-D."""

HIGH_RATE = ClipFormat(sampling_rate_hz=48000)
"""H.264 and AAC at 48 kHz, as in RAVDESS."""
