"""Wavelet denoising by soft thresholding."""

from __future__ import annotations

import numpy as np
import pywt

from keras_emotion.signals.filters import as_floating

_NORMAL_QUARTILE = 0.6744897501960817
"""Median of the absolute value of a standard normal variable."""


def wavelet_denoise(signal: np.ndarray, wavelet: str = "db4", level: int = 5) -> np.ndarray:
    """Denoise by soft thresholding of wavelet coefficients with the universal threshold [1].

    Each row is decomposed separately (discrete wavelet transform, symmetric extension). Its noise is estimated from the
    finest details, `sigma = median(|d_1|) / 0.6745`, and every detail coefficient is shrunk towards zero by `sigma *
    sqrt(2 ln(samples))`; the approximation is unchanged. For white noise of standard deviation `sigma`, almost only the
    approximation remains.

    The result for EEG depends on the content of the finest details, from a quarter to a half of the sampling rate, all
    of which is treated as noise. At 128 Hz this is 32 to 64 Hz, with gamma, muscle and mains; at a higher rate it
    contains less EEG, so that more is kept. Offsets and slow drift have no influence: details of polynomials up to
    degree 3 are zero. No coefficient grows, yet a band may gain power: wavelets are not band-passes, and clipping a
    strong wave of a neighbouring band by the threshold leaves its harmonics in this one. Numbers: `docs/denoising.md`.

    Args:
        signal: `(..., samples)`, any real dtype; several channels and trials at once.
        wavelet: name of a discrete wavelet of PyWavelets, default `"db4"`.
        level: levels of the decomposition, 1 or more; default 5.

    Returns:
        Same shape; float32 for float32, else float64. A NaN or an infinity makes its whole row NaN.

    Numerics: computed in float64. The transform is not shift-invariant: a segment that does not start at a multiple of
    `2 ** level` samples, or has another noise estimate, is denoised slightly differently.

    Raises:
        ValueError: an unknown wavelet, or a signal too short for the level.

    Example:
        >>> time = np.arange(1024) / 128
        >>> slow = np.sin(2 * np.pi * time)
        >>> noisy = slow + 0.3 * np.random.default_rng(0).standard_normal(1024)
        >>> bool(np.square(wavelet_denoise(noisy) - slow).mean() < 0.15 * np.square(noisy - slow).mean())
        True

    References:
        [1] Donoho (1995). De-noising by soft-thresholding. IEEE Transactions on Information Theory, 41(3), 613-627.
    """
    if wavelet not in pywt.wavelist(kind="discrete"):
        raise ValueError(f"`wavelet` is {wavelet!r}; expected a discrete wavelet of PyWavelets, such as 'db4'")
    if level < 1:
        raise ValueError(f"`level` is {level}; expected 1 or more")
    signal = as_floating(signal)
    if signal.ndim < 1:
        raise ValueError("`signal` is a scalar; expected `(..., samples)`")
    n_samples, length = signal.shape[-1], pywt.Wavelet(wavelet).dec_len
    n_needed = (length - 1) * 2**level
    if n_samples < n_needed:
        raise ValueError(
            f"`signal` has {n_samples} samples; expected {n_needed} or more for {level} levels of {wavelet}"
        )
    approximation, *details = pywt.wavedec(signal.astype(np.float64, copy=False), wavelet, level=level, axis=-1)
    sigma = np.median(np.abs(details[-1]), axis=-1, keepdims=True) / _NORMAL_QUARTILE
    threshold = sigma * np.sqrt(2 * np.log(n_samples))
    shrunk = [np.sign(detail) * np.maximum(np.abs(detail) - threshold, 0) for detail in details]
    # For an odd number of samples, the reconstruction has one more.
    denoised = pywt.waverec([approximation, *shrunk], wavelet, axis=-1)[..., :n_samples]
    is_finite = np.isfinite(signal).all(axis=-1, keepdims=True)
    return np.where(is_finite, denoised, np.nan).astype(signal.dtype)
