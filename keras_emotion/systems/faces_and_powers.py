"""Face pictures and EEG powers, the inputs of two comparison methods of the video-EEG hierarchical LSTM."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from pydantic import Field, field_validator
from typing_extensions import override

from keras_emotion.pipelines import FaceFeatures, FeaturePart, SlidingBandPowers, Windowing
from keras_emotion.pipelines.features import Bands, check_band_edges
from keras_emotion.pipelines.windowing import Seconds
from keras_emotion.systems.base import EstimatorSystem

POWER_BANDS = {"theta": (4.0, 8.0), "alpha": (8.0, 13.0), "beta": (13.0, 30.0), "gamma": (30.0, 45.0)}
"""`(low_hz, high_hz)` by name; DEAP's preprocessed files hold 4 to 45 Hz."""

_ROWS_AT_ONCE = 256


class FacesAndPowers(EstimatorSystem):
    """Grey pictures of the face and log-powers of the EEG in the segments of a trial.

    Args:
        window_seconds: length of a segment in seconds.
        hop_seconds: time between consecutive segment starts in seconds; `None`: no overlap.
        faces: extraction of faces from videos; the mean over the steps of a segment is the picture. The system defines
            length and hop of its windows.
        bands: `(low_hz, high_hz)` of the log-powers of the EEG by name.
    """

    hint: ClassVar[str] = "the method needs face videos; dgcnn, eegnet and logistic_regression do not"

    window_seconds: Seconds = 5.0
    hop_seconds: Seconds | None = None
    faces: FaceFeatures = Field(default_factory=lambda: FaceFeatures(window_seconds=5.0, steps=5, image_size=48))
    bands: Bands = Field(default_factory=lambda: dict(POWER_BANDS))

    @field_validator("bands")
    @classmethod
    def _edges_in_order(cls, bands):
        check_band_edges(bands)
        return bands

    @property
    @override
    def windowing(self) -> Windowing:
        return Windowing(
            window_seconds=self.window_seconds,
            hop_seconds=self.hop_seconds,
            steps=self.faces.steps,
            lag_seconds=self.faces.lag_seconds,
        )

    @property
    def eeg(self) -> SlidingBandPowers:
        """Log-powers of the EEG, one step per segment."""
        return SlidingBandPowers(
            bands=self.bands,
            window_seconds=self.window_seconds,
            hop_seconds=self.hop_seconds,
            step_window_seconds=self.window_seconds,
        )

    def parts(self) -> dict[str, FeaturePart]:
        """See `System`; segments are those of the EEG, and faces are paired with them."""
        return {"eeg": self.eeg, "faces": self.faces.with_windowing(self.windowing)}

    @override
    def scientific_config(self) -> dict[str, Any]:
        fields = self.model_dump(mode="json", exclude={"faces", "bands"})
        return {**fields, **{name: part.key() for name, part in self.parts().items()}}

    @property
    def columns(self) -> dict[str, slice]:
        """Columns of `vectors` for the face and for the EEG."""
        n_pixels = self.faces.image_size**2
        return {"face": slice(None, n_pixels), "eeg": slice(n_pixels, None)}

    def vectors(self, arrays: Mapping[str, Any]) -> np.ndarray:
        """See `System`; grey values from 0 to 1, row by row, then the powers."""
        pixels = []
        for first in range(0, len(arrays["faces"]), _ROWS_AT_ONCE):
            rows = np.arange(first, min(first + _ROWS_AT_ONCE, len(arrays["faces"])))
            crops = np.asarray(arrays["faces"][rows])
            grey = crops.mean(axis=(1, -1), dtype=np.float32) / 255
            pixels.append(grey.reshape(len(rows), -1))
        return np.concatenate([np.concatenate(pixels), super().vectors({"eeg": arrays["eeg"]})], axis=1)
