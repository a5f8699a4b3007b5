"""What a saved model makes of a recording, and what it must be given for that."""

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
    """What a model says of a recording.

    Args:
        table: one row per window: `start_seconds` and `stop_seconds` from the start of the recording on its own time
            axis, and `probability_<class>` for each class. Where a window has none, or the model sees faces, also
            `problem`: why it has none, and NaN for its probabilities.
        band_attention: `(windows, bands)` weights, averaged over the steps of a window, NaN where a window has no
            probability; `None` where there are none.
        bands: names of the bands of the EEG.
        looks: which frames the model looked at, where it chooses them; the table then has `looks`, their number, and
            `look_seconds`, the times at which they begin.
        notes: what the user must know to read the numbers, a sentence each.
        warning: why the numbers mean nothing, or `None`.
        summary: JSON-able: model, recording, channels, what was missing.
        duration_seconds: length of the recording.
        elapsed_seconds: how long it took.
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
    given: tuple[RecordedWindows | PairedWindows | None, ...] = (windows, *paired)
    of_all = [one.problems for one in given if one is not None]
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


def table_of(
    names: Sequence[str],
    starts_seconds: np.ndarray,
    window_seconds: float,
    probability: np.ndarray,
    looks: Looks | None,
    problems: np.ndarray | None,
) -> pd.DataFrame:
    """The table of a `Prediction`.

    Args:
        names: names of the classes.
        starts_seconds: `(windows,)`.
        window_seconds: length of a window.
        probability: `(windows, classes)`, NaN where there is none.
        looks: which frames were looked at.
        problems: `(windows,)` why a window has no probability.
    """
    columns = {"start_seconds": starts_seconds, "stop_seconds": starts_seconds + window_seconds}
    columns |= {f"probability_{name}": own for name, own in zip(names, probability.T, strict=True)}
    columns |= {} if looks is None else looks.columns(starts_seconds)
    return pd.DataFrame({**columns, **({} if problems is None else {"problem": problems})})


def notes_of(predictor: Predictor, recording: ContinuousRecording, windows: RecordedWindows) -> Iterator[str]:
    """What the user must know to read the numbers."""
    yield from recording.notes
    channels, rate = windows.channels, recording.sampling_rate_hz
    for name, reason in channels.unusable.items():
        yield f"{name} counts as missing: {reason}"
    if channels.missing:
        fill = "0" if predictor.part.missing_channel == "zero" else "the mean of the training windows"
        n_missing, n_channels = len(channels.missing), len(predictor.channel_names)
        yield f"{n_missing} of {n_channels} channels missing, {fill} in their place: {', '.join(channels.missing)}"
    if recording.gaps:
        reasons = ", ".join(dict.fromkeys(gap.reason for gap in recording.gaps))
        yield f"{len(recording.gaps)} gaps ({reasons}): no window goes across, windows begin anew after each"
    if rate != predictor.sampling_rate_hz:
        yield f"resampled from {rate:g} to {predictor.sampling_rate_hz:g} Hz"
    highest = max((high for _, high in predictor.part.frequency_bands.values()), default=0.0)
    if signals.resampling.PASSED_SHARE * rate / 2 < highest and rate < predictor.sampling_rate_hz:
        yield f"a recording at {rate:g} Hz has nothing, or not all, of a band up to {highest:g} Hz"
    if predictor.uses_baseline:
        yield f"the first {predictor.baseline_seconds:g} s are taken for the baseline that the model subtracts"


def summary_of(
    predictor: Predictor, recording: ContinuousRecording | None, windows: RecordedWindows | None
) -> dict[str, Any]:
    """JSON-able: what was applied to what."""
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
