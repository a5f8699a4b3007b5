"""Signal processing: filters, windows, baseline, entropy, band power, connectivity, grids, images, eye features.

It uses NumPy, SciPy and PyWavelets only. Every function processes all channels (and trials) at once, keeps float32 and
converts every other dtype to float64, and has time on the last axis of its input.
"""

from keras_emotion.signals.bands import PRIOR_DFCN_BANDS, PUBLISHED_BANDS, THREE_FACRNN_BANDS, Bands, check_bands
from keras_emotion.signals.baseline import baseline_samples, remove_baseline
from keras_emotion.signals.connectivity import CONSTANT_SHARE, coherence, pearson_correlation, phase_locking_value
from keras_emotion.signals.denoising import wavelet_denoise
from keras_emotion.signals.differential_entropy import (
    CONVENTIONS,
    VARIANCE_FLOOR,
    DifferentialEntropyConvention,
    differential_entropy,
    differential_entropy_features,
)
from keras_emotion.signals.eye import (
    EVENT_FEATURE_NAMES,
    PUPIL_BANDS_HZ,
    event_features,
    interpolate_gaps,
    pupil_entropies,
    pupil_statistics,
)
from keras_emotion.signals.filters import band_pass
from keras_emotion.signals.frame_power import frame_power
from keras_emotion.signals.resampling import ResampledSignal, rate_ratio, resample
from keras_emotion.signals.spectral_power import band_power
from keras_emotion.signals.topographic_images import (
    azimuthal_equidistant,
    electrode_places,
    image_matrix,
    to_images,
)
from keras_emotion.signals.topography import (
    GRID_SHAPES,
    electrode_directions,
    from_grid,
    grid_positions,
    nearest_cell,
    standard_name,
    to_grid,
)
from keras_emotion.signals.windows import sample_count, window_starts, windows

__all__ = [
    "CONSTANT_SHARE",
    "CONVENTIONS",
    "EVENT_FEATURE_NAMES",
    "GRID_SHAPES",
    "PRIOR_DFCN_BANDS",
    "PUBLISHED_BANDS",
    "PUPIL_BANDS_HZ",
    "THREE_FACRNN_BANDS",
    "VARIANCE_FLOOR",
    "Bands",
    "DifferentialEntropyConvention",
    "ResampledSignal",
    "azimuthal_equidistant",
    "band_pass",
    "band_power",
    "baseline_samples",
    "check_bands",
    "coherence",
    "differential_entropy",
    "differential_entropy_features",
    "electrode_directions",
    "electrode_places",
    "event_features",
    "frame_power",
    "from_grid",
    "grid_positions",
    "image_matrix",
    "interpolate_gaps",
    "nearest_cell",
    "pearson_correlation",
    "phase_locking_value",
    "pupil_entropies",
    "pupil_statistics",
    "rate_ratio",
    "remove_baseline",
    "resample",
    "sample_count",
    "standard_name",
    "to_grid",
    "to_images",
    "wavelet_denoise",
    "window_starts",
    "windows",
]
