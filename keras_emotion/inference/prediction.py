"""Predictions of a saved model for a recording, and its required inputs."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from keras_emotion import signals
from keras_emotion.datasets.continuous import ContinuousRecording
from keras_emotion.inference.looks import Looks
from keras_emotion.inference.paired_windows import PairedWindows
from keras_emotion.inference.signal_windows import RecordedWindows
from keras_emotion.schema import InputError

if TYPE_CHECKING:
    from keras_emotion.inference.predictor import Predictor


@dataclasses.dataclass(frozen=True, eq=False)
class Prediction:
    """Prediction of a model for a recording.

    Args:
        table: one row per window: `start_seconds` and `stop_seconds` from the start of the recording on its own time
            axis, and `probability_<class>` for each class. If a window has none, or the model reads faces, also
            `problem`: the reason, and NaN for its probabilities.
        band_attention: `(windows, bands)` weights, averaged over the steps of a window, NaN if a window has no
            probability; `None` if there are none.
        bands: names of the bands of the EEG.
        looks: frames at which the model looked, if it selects them; the table then has `looks`, their number, and
            `look_seconds`, their start times.
        notes: information needed to read the results, one sentence each.
        warning: why the results are meaningless, or `None`.
        summary: JSON-able: model, recording, channels, missing data.
        duration_seconds: length of the recording.
        elapsed_seconds: duration of the computation.
    """

    table: pd.DataFrame
    band_attention: np.ndarray | None
    bands: tuple[str, ...]
    looks: Looks | None
    notes: tuple[str, ...]
    warning: str | None
    summary: dict[str, Any]
    duration_seconds: float
    elapsed_seconds: float


def check_sources(
    predictor: Predictor, recording: ContinuousRecording | None, video: Path | None, video_offset_seconds: float
) -> None:
    """Refuse a recording or a face video that a model does not read, or a missing one that it reads.

    Raises:
        InputError: there is such an input.
    """
    name = predictor.model.name
    if predictor.part is None and recording is not None:
        alone, option = ("stimuli", "media") if predictor.face_part is None else ("faces", "video")
        raise InputError(f"{name}: reads {alone} only, and not {recording.path.name}; give --{option} and no recording")
    if predictor.part is not None and recording is None:
        raise InputError(f"{name}: reads EEG; give an EEG recording")
    # Values beyond any video length cannot be counted in frames.
    if not abs(video_offset_seconds) < 1e7:
        raise InputError(f"--video-offset-seconds {video_offset_seconds}: expected a number of seconds")
    if predictor.face_part is not None and video is None:
        raise InputError(f"{name}: reads faces; give --video with the face video")


def check_media(predictor: Predictor, media: Path | None, media_start_seconds: float) -> None:
    """Refuse a clip that a model does not read, or a missing one that it reads.

    Raises:
        InputError: there is such a clip, or it is missing.
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
    """Return `(windows,)` reasons why a window has no probability, empty if it has one."""
    given: tuple[RecordedWindows | PairedWindows | None, ...] = (windows, *paired)
    of_all = [one.problems for one in given if one is not None]
    reasons = (dict.fromkeys(filter(None, one)) for one in zip(*of_all, strict=True))
    return np.array(["; ".join(one) for one in reasons], dtype=object)


def is_finite(inputs: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return `(windows,)` whether all features of a window are finite."""
    return np.all([np.isfinite(array).reshape(len(array), -1).all(axis=1) for array in inputs.values()], axis=0)


def values_at(places: np.ndarray, values: np.ndarray, n_windows: int) -> np.ndarray:
    """Place values at their positions among all windows, NaN elsewhere."""
    of_all = np.full((n_windows, *values.shape[1:]), np.nan, values.dtype)
    of_all[places] = values
    return of_all


def table_of(
    names: Sequence[str],
    starts_seconds: np.ndarray,
    window_seconds: float,
    probability: np.ndarray,
    looks: Looks | None,
    problems: np.ndarray | None,
) -> pd.DataFrame:
    """Create the table of a `Prediction`.

    Args:
        names: names of the classes.
        starts_seconds: `(windows,)` start times.
        window_seconds: length of a window.
        probability: `(windows, classes)`, NaN if missing.
        looks: frames that were looked at.
        problems: `(windows,)` reasons why a window has no probability.
    """
    columns = {"start_seconds": starts_seconds, "stop_seconds": starts_seconds + window_seconds}
    columns |= {f"probability_{name}": own for name, own in zip(names, probability.T, strict=True)}
    columns |= {} if looks is None else looks.columns(starts_seconds)
    return pd.DataFrame({**columns, **({} if problems is None else {"problem": problems})})


def notes_of(predictor: Predictor, recording: ContinuousRecording, windows: RecordedWindows) -> Iterator[str]:
    """Yield information that is needed to read the results."""
    yield from recording.notes
    channels, rate, part = windows.channels, recording.sampling_rate_hz, predictor.required_part
    for name, reason in channels.unusable.items():
        yield f"{name} counts as missing: {reason}"
    if channels.missing:
        fill = "0" if part.missing_channel == "zero" else "the mean of the training windows"
        n_missing, n_channels = len(channels.missing), len(predictor.channel_names)
        yield f"{n_missing} of {n_channels} channels missing, replaced by {fill}: {', '.join(channels.missing)}"
    if recording.gaps:
        reasons = ", ".join(dict.fromkeys(gap.reason for gap in recording.gaps))
        yield f"{len(recording.gaps)} gaps ({reasons}): no window spans a gap, windows start again after each"
    if rate != predictor.sampling_rate_hz:
        yield f"resampled from {rate:g} to {predictor.sampling_rate_hz:g} Hz"
    highest = max((high for _, high in part.frequency_bands.values()), default=0.0)
    if signals.resampling.PASSED_SHARE * rate / 2 < highest and rate < predictor.sampling_rate_hz:
        yield f"a recording at {rate:g} Hz does not cover a band up to {highest:g} Hz completely"
    if predictor.uses_baseline:
        yield f"the first {predictor.baseline_seconds:g} s are used as the baseline that the model subtracts"


def summary_of(
    predictor: Predictor, recording: ContinuousRecording | None, windows: RecordedWindows | None
) -> dict[str, Any]:
    """Return JSON-able metadata of model and recording."""
    known = {
        **{name: getattr(predictor.block, name) for name in ("target", "dataset", "synthetic")},
        "window_seconds": predictor.window_seconds,
        "hop_seconds": predictor.hop_seconds,
    }
    if recording is None or windows is None:
        return known
    channels, in_file = windows.channels, recording.names_in_file
    return {
        "recording": str(recording.path),
        **known,
        "channels": dict(zip(channels.names, (in_file[place] for place in channels.places), strict=True)),
        "missing_channels": list(channels.missing),
        "unusable_channels": dict(channels.unusable),
        "gaps": [dataclasses.asdict(gap) for gap in recording.gaps],
        "sampling_rate_hz": predictor.sampling_rate_hz,
        "recorded_sampling_rate_hz": recording.sampling_rate_hz,
        "baseline_seconds": predictor.baseline_seconds,
        "lead_seconds": predictor.lead_seconds,
    }
