"""Audio features: decoding at a given rate in sync with video, log-mel spectrograms, energy."""

from keras_emotion.audio.spectrogram import (
    cut_patches,
    energy_dbfs,
    htk_mel_weights,
    log_mel,
    slaney_mel_weights,
    vggish_log_mel,
    vggish_patches,
)
from keras_emotion.audio.track import AudioFacts, Sound, audio_blocks, audio_facts, read_audio

__all__ = [
    "AudioFacts",
    "Sound",
    "audio_blocks",
    "audio_facts",
    "cut_patches",
    "energy_dbfs",
    "htk_mel_weights",
    "log_mel",
    "read_audio",
    "slaney_mel_weights",
    "vggish_log_mel",
    "vggish_patches",
]
