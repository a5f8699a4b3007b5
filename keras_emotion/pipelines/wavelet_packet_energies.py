"""EEG in overlapping blocks: the energy of each node of a wavelet packet decomposition."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

import numpy as np
import pywt
from pydantic import Field, field_validator
from typing_extensions import override

from keras_emotion import signals
from keras_emotion.pipelines.eeg_blocks import EEGBlocks
from keras_emotion.schema import Recording


class WaveletPacketEnergies(EEGBlocks):
    """Energies of wavelet packets of the EEG: `{"eeg": (blocks, 1, channels, nodes)}`, float32, natural logarithm.

    The nodes are those of one level in order of frequency: at 128 Hz and level 4 sixteen bands of 4 Hz. An energy is
    the sum of the squared coefficients divided by the number of samples of the block, so that the nodes add up to the
    variance of the block (its mean is subtracted; the wavelet is orthogonal; the signal is periodic). Blocks whose
    length is not a multiple of `2 ** level` are extended by a few samples, which increases the sum slightly.

    Args:
        window_seconds: length of a block in seconds.
        hop_seconds: time between consecutive block starts in seconds; `None`: no overlap.
        lag_seconds: delay of the EEG of a block relative to the window table in seconds: the brain's response follows
            the stimulus. A whole number of samples.
        wavelet: name of an orthogonal wavelet of PyWavelets.
        level: level of the decomposition: 16 nodes at level 4, twice as many at each further one.
    """

    code_version: ClassVar[int] = 1
    channel_axes: ClassVar[Mapping[str, tuple[int, ...]] | None] = {"eeg": (2,)}

    wavelet: str = "db4"
    level: Annotated[int, Field(ge=1, le=10)] = 4

    @field_validator("wavelet")
    @classmethod
    def _wavelet_is_orthogonal(cls, name):
        if name not in pywt.wavelist(kind="discrete") or not pywt.Wavelet(name).orthogonal:
            raise ValueError(f"wavelet: {name!r}; expected an orthogonal wavelet of PyWavelets, such as 'db4'")
        return name

    @override
    def array_shapes(self, n_channels: int, sampling_rate_hz: float) -> dict[str, tuple[int, ...]]:
        signals.sample_count(self.window_seconds, sampling_rate_hz, "window_seconds")
        return {"eeg": (1, n_channels, 2**self.level)}

    def _of_signal(self, eeg: Recording, starts: np.ndarray) -> np.ndarray:
        rate = eeg.sampling_rate_hz
        span, hop = self._span(eeg, len(starts))
        blocks = signals.windows(eeg.signal[:, span], rate, self.window_seconds, hop / rate)
        if blocks.shape[-1] < 2**self.level:
            raise ValueError(
                f"level {self.level} has {2**self.level} nodes, more than the {blocks.shape[-1]} samples of a block; "
                "expected a lower level or longer blocks"
            )
        # (channels, blocks, samples), all at once.
        centred = blocks - blocks.mean(axis=-1, keepdims=True, dtype=np.float64)
        packet = pywt.WaveletPacket(centred, self.wavelet, mode="periodization", maxlevel=self.level, axis=-1)
        nodes = packet.get_level(self.level, order="freq")
        energies = np.stack([np.square(node.data).sum(axis=-1) for node in nodes], axis=-1) / blocks.shape[-1]
        # A node without any energy gets the smallest representable number.
        logarithms = np.log(np.maximum(energies, np.finfo(np.float32).tiny))
        return np.swapaxes(logarithms, 0, 1)[:, np.newaxis].astype(np.float32)
