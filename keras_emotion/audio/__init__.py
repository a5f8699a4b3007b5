"""Audio features: decoding at a given rate in sync with video, log-mel spectrograms, energy."""

from typing import Any

from keras_emotion.audio.spectrogram import (
    energy_dbfs,
    htk_mel_weights,
    log_mel,
    slaney_mel_weights,
    split_into_patches,
    vggish_log_mel,
    vggish_patches,
)
from keras_emotion.audio.track import AudioFacts, Sound, audio_blocks, audio_facts, read_audio
from keras_emotion.moved import moved_name

__all__ = [
    "AudioFacts",
    "Sound",
    "audio_blocks",
    "audio_facts",
    "energy_dbfs",
    "htk_mel_weights",
    "log_mel",
    "read_audio",
    "slaney_mel_weights",
    "split_into_patches",
    "vggish_log_mel",
    "vggish_patches",
]


def __getattr__(name: str) -> Any:
    return moved_name(__name__, name)
