"""Descriptors of stimulus sound, block by block: cepstral coefficients, and functionals of acoustic quantities."""

from __future__ import annotations

import importlib.util
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator
from typing_extensions import override

from keras_emotion.pipelines.media_features import SOUND_RATE_HZ, MediaSoundPart
from keras_emotion.schema import InputError, Trial

_N_COEFFICIENTS = 13
_FRAME, _HOP = 2048, 512
"""Samples of a frame, and hop between frames: librosa's, 128 and 32 ms at 16 kHz."""

_QUANTITIES = ("root_mean_square", "centroid", "bandwidth", "rolloff", "flatness", "zero_crossings")
_PERCENTILES = (20, 50, 80)
N_EGEMAPS = 88
"""Number of functionals of eGeMAPS."""

SoundDescription = Literal["egemaps", "librosa"]


def installed_sound_description() -> SoundDescription:
    """Return `"egemaps"` if the package opensmile is installed, otherwise `"librosa"`."""
    return "egemaps" if importlib.util.find_spec("opensmile") else "librosa"


class MediaMFCC(MediaSoundPart):
    """Mel-frequency cepstral coefficients of the sound of clips: `{"mfcc": (blocks, steps, coefficients)}`, float32.

    As in librosa: 128 mel bands of power (Slaney's scale, 0-8000 Hz) in decibels, not below -100 dB, and their
    orthonormal cosine transform. Frames lie within the block (`center=False`): 122 in 4 s. librosa's limit of 80 dB
    below the loudest frame is not applied, because it would make a block depend on the others.

    Args:
        window_seconds: length of a block in seconds.
        hop_seconds: time between consecutive block starts in seconds; `None`: no overlap.
        n_coefficients: number of coefficients, the first one (loudness) included.
        frame_seconds: length of a frame in seconds; a shorter one leaves mel bands empty.
        frame_hop_seconds: time between consecutive frame starts in seconds.
    """

    code_version: ClassVar[int] = 1

    n_coefficients: Annotated[int, Field(ge=1, le=128)] = 20
    frame_seconds: Annotated[float, Field(ge=0.064, le=60)] = 0.128
    frame_hop_seconds: Annotated[float, Field(ge=0.001, le=60)] = 0.032

    @model_validator(mode="after")
    def _block_has_a_frame(self):
        if self.frame_seconds > self.window_seconds:
            raise ValueError(
                f"frame_seconds: {self.frame_seconds:g} s; expected at most window_seconds ({self.window_seconds:g} s)"
            )
        return self

    @property
    def _samples(self) -> tuple[int, int]:
        return round(self.frame_seconds * SOUND_RATE_HZ), round(self.frame_hop_seconds * SOUND_RATE_HZ)

    @override
    def array_shapes(self, n_channels: int, sampling_rate_hz: float) -> dict[str, tuple[int, ...]]:
        frame, hop = self._samples
        n_steps = 1 + (round(self.window_seconds * SOUND_RATE_HZ) - frame) // hop
        return {"mfcc": (n_steps, self.n_coefficients)}

    def _of_blocks(self, waveform: np.ndarray) -> dict[str, np.ndarray]:
        frame, hop = self._samples
        cepstra = _cepstra(_magnitudes(waveform, frame, hop), self.n_coefficients)
        return {"mfcc": np.ascontiguousarray(np.swapaxes(cepstra, 1, 2), dtype=np.float32)}


class MediaSoundFunctionals(MediaSoundPart):
    """Functionals of acoustic quantities of the sound of clips: `{"sound": (blocks, functionals)}`, float32.

    `"egemaps"`: the 88 functionals of the extended Geneva minimalistic acoustic parameter set, version 2 [1], computed
    by openSMILE, which the extra `opensmile` installs (its licence allows research but no products). `"librosa"`: for
    13 mel-frequency cepstral coefficients, root mean square (dB), spectral centroid, bandwidth, roll-off (Hz) and
    flatness, and the zero-crossing rate, in frames of 128 ms every 32 ms, the mean, the standard deviation and the
    20th, 50th and 80th percentile: 95. Unlike eGeMAPS, it has neither pitch nor formants.

    Args:
        window_seconds: length of a block in seconds.
        hop_seconds: time between consecutive block starts in seconds; `None`: no overlap.
        description_by: `"egemaps"` or `"librosa"`; default: the first if opensmile is installed. Runs record it.

    References:
        [1] Eyben et al., The Geneva minimalistic acoustic parameter set (GeMAPS) for voice research and affective
        computing, IEEE Trans. Affect. Comput. 7, 190-202, 2015.
    """

    code_version: ClassVar[int] = 1

    description_by: SoundDescription = Field(default_factory=installed_sound_description)

    @model_validator(mode="after")
    def _block_has_a_frame(self):
        if self.window_seconds * SOUND_RATE_HZ < _FRAME:
            raise ValueError(
                f"window_seconds: {self.window_seconds:g} s; expected {_FRAME / SOUND_RATE_HZ:g} s or more, a frame"
            )
        return self

    @property
    def n_functionals(self) -> int:
        """Number of functionals of a block."""
        if self.description_by == "egemaps":
            return N_EGEMAPS
        return (_N_COEFFICIENTS + len(_QUANTITIES)) * (2 + len(_PERCENTILES))

    @override
    def array_shapes(self, n_channels: int, sampling_rate_hz: float) -> dict[str, tuple[int, ...]]:
        return {"sound": (self.n_functionals,)}

    def flags(self, trial: Trial) -> tuple[str, ...]:
        """See `FeaturePart`; reports the replacement of eGeMAPS."""
        if self.description_by == "egemaps":
            return ()
        return ("sound described by functionals of librosa instead of eGeMAPS: no pitch, no formants",)

    def _of_blocks(self, waveform: np.ndarray) -> dict[str, np.ndarray]:
        functionals = _egemaps if self.description_by == "egemaps" else _librosa_functionals
        return {"sound": functionals(waveform).astype(np.float32)}


def _magnitudes(waveform: np.ndarray, frame: int, hop: int) -> np.ndarray:
    """Return `(blocks, frequencies, frames)` magnitudes of `(blocks, samples)`."""
    import librosa

    # In float64: in float32 the last digits of sums over frequencies depend on the number of blocks.
    return np.abs(librosa.stft(waveform.astype(np.float64), n_fft=frame, hop_length=hop, center=False))


def _cepstra(magnitudes: np.ndarray, n_coefficients: int) -> np.ndarray:
    """Return `(blocks, coefficients, frames)` cepstra."""
    import librosa

    powers = librosa.feature.melspectrogram(S=magnitudes**2, sr=SOUND_RATE_HZ)
    return librosa.feature.mfcc(S=librosa.power_to_db(powers, top_db=None), n_mfcc=n_coefficients)


def _librosa_functionals(waveform: np.ndarray) -> np.ndarray:
    import librosa

    magnitudes = _magnitudes(waveform, _FRAME, _HOP)
    of_spectrum: dict[str, Any] = {"S": magnitudes, "sr": SOUND_RATE_HZ}
    of_time: dict[str, Any] = {"frame_length": _FRAME, "hop_length": _HOP, "center": False}
    quantities = np.concatenate(
        [
            _cepstra(magnitudes, _N_COEFFICIENTS),
            librosa.amplitude_to_db(librosa.feature.rms(y=waveform, **of_time), top_db=None),
            librosa.feature.spectral_centroid(**of_spectrum),
            librosa.feature.spectral_bandwidth(**of_spectrum),
            librosa.feature.spectral_rolloff(**of_spectrum),
            librosa.feature.spectral_flatness(S=magnitudes),
            librosa.feature.zero_crossing_rate(waveform, **of_time),
        ],
        axis=1,
    )
    percentiles = np.percentile(quantities, _PERCENTILES, axis=-1)
    return np.concatenate([quantities.mean(axis=-1), quantities.std(axis=-1), *percentiles], axis=1)


def _egemaps(waveform: np.ndarray) -> np.ndarray:
    if importlib.util.find_spec("opensmile") is None:
        raise InputError(
            "description_by: egemaps needs the package opensmile, which is not installed; install "
            "keras_emotion[opensmile], or choose librosa (--system.sound.description-by librosa)"
        )
    import opensmile

    smile = opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02, opensmile.FeatureLevel.Functionals)
    blocks = (np.ascontiguousarray(block, dtype=np.float32) for block in waveform)
    return np.concatenate([smile.process_signal(block, SOUND_RATE_HZ).to_numpy() for block in blocks])
