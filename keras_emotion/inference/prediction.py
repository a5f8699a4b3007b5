"""What a saved model makes of a recording, and what it must be given for that."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from keras_emotion.datasets.continuous import ContinuousRecording
from keras_emotion.inference.paired_windows import PairedWindows
from keras_emotion.inference.signal_windows import RecordedWindows
from keras_emotion.schema import InputError

if TYPE_CHECKING:
    from keras_emotion.inference.predictor import Predictor


@dataclasses.dataclass(frozen=True, eq=False)
class Prediction:
    """What a model says of a recording.

    Args:
        table: one row a window: `start_seconds` and `stop_seconds` from the start of the recording on its own time
            axis, and `probability_<class>` for each class. Where a window has none, or the model sees faces, also
            `problem`: why it has none, and NaN for its probabilities.
        band_attention: `(windows, bands)` weights, averaged over the steps of a window, NaN where a window has no
            probability; `None` where there are none.
        bands: names of these bands.
        notes: what the user must know to read the numbers, a sentence each.
        warning: why the numbers mean nothing, or `None`.
        summary: JSON-able: model, recording, channels, what was missing.
        duration_seconds: length of the recording.
        elapsed_seconds: how long it took.
    """

    table: pd.DataFrame
    band_attention: np.ndarray | None
    bands: tuple[str, ...]
    notes: tuple[str, ...]
    warning: str | None
    summary: dict[str, Any]
    duration_seconds: float
    elapsed_seconds: float


def check_sources(
    predictor: Predictor, recording: ContinuousRecording | None, video: Path | None, video_offset_seconds: float
) -> None:
    """Refuse a recording or a face video that a model does not read, or the lack of one that it reads.

    Raises:
        InputError: there is such.
    """
    name = predictor.model.name
    if predictor.part is None and recording is not None:
        alone, option = ("reads stimuli", "media") if predictor.face_part is None else ("sees faces", "video")
        raise InputError(f"{name}: {alone} alone, and no {recording.path.name}; give --{option} and no recording")
    if predictor.part is not None and recording is None:
        raise InputError(f"{name}: reads EEG; give a recording of it")
    # Nothing is that long, and what is cannot be counted in frames.
    if not abs(video_offset_seconds) < 1e7:
        raise InputError(f"--video-offset-seconds {video_offset_seconds}: expected a number of seconds")
    if predictor.face_part is not None and video is None:
        raise InputError(f"{name}: sees faces; give --video with the face video")


def check_media(predictor: Predictor, media: Path | None, media_start_seconds: float) -> None:
    """Refuse a clip that a model does not read, or the lack of one that it reads.

    Raises:
        InputError: there is such.
    """
    name = predictor.model.name
    if not predictor.media_parts and media is not None:
        raise InputError(f"{name}: reads no stimulus; leave --media out")
    if predictor.media_parts and media is None:
        raise InputError(f"{name}: reads the stimulus; give --media with the clip that was shown")
    if media is None and media_start_seconds:
        raise InputError(f"--media-start {media_start_seconds:g}: there is no --media; give the clip, or leave it out")
    if not 0 <= media_start_seconds < 1e7:
        raise InputError(f"--media-start {media_start_seconds}: expected 0 s or more")


def problems_of(windows: RecordedWindows | None, paired: Sequence[PairedWindows]) -> np.ndarray:
    """`(windows,)` why a window has no probability, empty where it has one."""
    of_all = [one.problems for one in (windows, *paired) if one is not None]
    reasons = (dict.fromkeys(filter(None, one)) for one in zip(*of_all, strict=True))
    return np.array(["; ".join(one) for one in reasons], dtype=object)


def is_finite(inputs: Mapping[str, np.ndarray]) -> np.ndarray:
    """`(windows,)` whether all features of a window are."""
    return np.all([np.isfinite(array).reshape(len(array), -1).all(axis=1) for array in inputs.values()], axis=0)


def values_at(places: np.ndarray, values: np.ndarray, n_windows: int) -> np.ndarray:
    """The values at their places among all windows, NaN elsewhere."""
    of_all = np.full((n_windows, *values.shape[1:]), np.nan, values.dtype)
    of_all[places] = values
    return of_all
