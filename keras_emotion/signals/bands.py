"""Frequency bands: mappings from band names to edges in Hz, in the order of the band axis."""

from __future__ import annotations

from collections.abc import Mapping

Bands = Mapping[str, tuple[float, float]]
"""Frequency bands, `{name: (low_hz, high_hz)}`; the order of the mapping is the order of the bands axis."""

THREE_FACRNN_BANDS: Bands = {"theta": (4.0, 7.0), "alpha": (8.0, 13.0), "beta": (14.0, 30.0), "gamma": (31.0, 50.0)}
"""Bands of 3FACRNN [1], section 2.2.1.

DEAP's preprocessed files were band-passed 4-45 Hz by their authors, so above 45 Hz the gamma band contains only the
roll-off of that filter; the edges of the paper are kept.

References:
    [1] Du et al., Attention-based 3D convolutional recurrent neural network model for multimodal emotion recognition,
    Front. Neurosci. 17:1330077, 2024.
"""

PRIOR_DFCN_BANDS: Bands = {
    "theta": (4.0, 8.0),
    "slow_alpha": (8.0, 10.0),
    "alpha": (8.0, 12.0),
    "beta": (12.0, 30.0),
    "gamma": (30.0, 45.0),
}
"""Bands of the prior-driven brain networks [1], section 3, two of which overlap. Gamma is printed as "30+ Hz"; here it
ends at the upper limit of DEAP's preprocessed files.

References:
    [1] Zheng, Shao, Zhang, Zhu, Prior-driven dynamic brain networks for multi-modal emotion recognition, MICCAI 2023.
"""

PUBLISHED_BANDS: Mapping[str, Bands] = {
    "3facrnn": THREE_FACRNN_BANDS,
    "prior-dfcn": PRIOR_DFCN_BANDS,
    "4d-crnn": {"theta": (4.0, 8.0), "alpha": (8.0, 14.0), "beta": (14.0, 31.0), "gamma": (31.0, 45.0)},
    "4d-crnn-seed": {
        "delta": (1.0, 4.0),
        "theta": (4.0, 8.0),
        "alpha": (8.0, 14.0),
        "beta": (14.0, 31.0),
        "gamma": (31.0, 51.0),
    },
    "torcheeg": {"theta": (4.0, 8.0), "alpha": (8.0, 14.0), "beta": (14.0, 31.0), "gamma": (31.0, 49.0)},
    "libeer": {
        "delta": (0.5, 4.0),
        "theta": (4.0, 8.0),
        "alpha": (8.0, 14.0),
        "beta": (14.0, 30.0),
        "gamma": (30.0, 50.0),
    },
}
"""Band edges of published code: `"4d-crnn"` of its DEAP script, `"4d-crnn-seed"` of its SEED script, `"torcheeg"` and
`"libeer"` the defaults of the two libraries. `CONVENTIONS` has the rest of each convention."""


def check_bands(bands: Bands, sampling_rate_hz: float) -> None:
    """Refuse bands that are invalid for a band-pass filter at this rate.

    Args:
        bands: `{name: (low_hz, high_hz)}`, at least one.
        sampling_rate_hz: samples per second.

    Raises:
        ValueError: there is no band, or a band violates `0 < low_hz < high_hz < sampling_rate_hz / 2`.

    Example:
        >>> check_bands({"alpha": (8, 13)}, sampling_rate_hz=128)
        >>> check_bands({"gamma": (31, 50)}, sampling_rate_hz=100)
        Traceback (most recent call last):
        ...
        ValueError: band `gamma` is 31-50 Hz; expected 0 < low_hz < high_hz < 50 Hz, half of the sampling rate of 100 Hz
    """
    if not bands:
        raise ValueError("`bands` is empty; expected at least one `{name: (low_hz, high_hz)}`")
    for name, (low_hz, high_hz) in bands.items():
        if not 0 < low_hz < high_hz < sampling_rate_hz / 2:
            raise ValueError(
                f"band `{name}` is {low_hz:g}-{high_hz:g} Hz; expected 0 < low_hz < high_hz < "
                f"{sampling_rate_hz / 2:g} Hz, half of the sampling rate of {sampling_rate_hz:g} Hz"
            )
