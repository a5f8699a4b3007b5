"""Face features of a model in the windows of a recording."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from keras_emotion.datasets.continuous import ContinuousRecording
from keras_emotion.inference.paired_windows import AFTER_UNKNOWN_GAP, PairedWindows, starts_in_file
from keras_emotion.inference.signal_windows import Stretch
from keras_emotion.pipelines import FaceFeatures, FeaturePart
from keras_emotion.pipelines.features import UNUSABLE
from keras_emotion.schema import Recording, Trial


def faces_of_video(part: FeaturePart, video: Path, video_offset_seconds: float) -> PairedWindows:
    """Extract faces in the windows of a video without a recording.

    Args:
        part: the features of faces.
        video: the face video.
        video_offset_seconds: time in the video at which the first window starts.
    """
    trial = Trial("video", 1, 1, video.stem, None, (), {}, video=video, video_offset_seconds=video_offset_seconds)
    arrays, table = part.extract([trial])
    return PairedWindows(arrays, table[UNUSABLE].to_numpy(dtype=object), np.arange(len(table)))


def faces_beside(
    part: FeaturePart,
    recording: ContinuousRecording,
    stretches: Sequence[Stretch],
    sampling_rate_hz: float,
    video: Path,
    video_offset_seconds: float,
) -> PairedWindows:
    """Extract faces in the windows of a recording.

    Args:
        part: the features of faces.
        recording: the recording.
        stretches: its segments with windows.
        sampling_rate_hz: sampling rate of the model.
        video: the face video.
        video_offset_seconds: time in the video at which the recording starts.
    """
    trials = []
    starts = starts_in_file(recording, stretches, video_offset_seconds)
    for number, (start_seconds, stretch) in enumerate(zip(starts, stretches, strict=False)):
        n_samples = math.floor((stretch.stop - stretch.start) / recording.sampling_rate_hz * sampling_rate_hz)
        trials.append(_trial(video, start_seconds, n_samples, sampling_rate_hz, stretch.baseline_seconds, number + 1))
    arrays, table = part.extract(trials)
    numbers, reasons = table["trial"].to_numpy(), table[UNUSABLE].to_numpy(dtype=object)
    rows, problems = [], []
    for number, stretch in enumerate(stretches):
        there = np.flatnonzero(numbers == number + 1)[: stretch.n_windows]
        n_lacking = stretch.n_windows - len(there)
        lacking = "after the end of the video" if number < len(trials) else AFTER_UNKNOWN_GAP
        rows += [there, np.full(n_lacking, -1)]
        problems += [reasons[there], np.full(n_lacking, lacking, object)]
    no_rows = np.zeros(0, int)
    return PairedWindows(arrays, np.concatenate([no_rows.astype(object), *problems]), np.concatenate([no_rows, *rows]))


def faces_of_windows(
    part: FaceFeatures,
    recording: ContinuousRecording | None,
    stretches: Sequence[Stretch],
    places: Sequence[int],
    video: Path,
    video_offset_seconds: float,
) -> np.ndarray:
    """Extract faces of some windows as pictures, even if the model reads other face features.

    Args:
        part: the features of faces.
        recording: the recording; `None` for a video only.
        stretches: segments of the recording with windows.
        places: the windows, all of which have faces.
        video: the face video.
        video_offset_seconds: time in the video at which the recording, or otherwise the first window, starts.

    Returns:
        `(places, steps, image_size, image_size, 3)` uint8.
    """
    windowing = part.windowing
    hop_seconds = windowing.hop_seconds or windowing.window_seconds
    if recording is None:
        starts = video_offset_seconds + np.asarray(places) * hop_seconds
    else:
        of_stretches = zip(starts_in_file(recording, stretches, video_offset_seconds), stretches, strict=False)
        starts = np.concatenate([start + np.arange(one.n_windows) * hop_seconds for start, one in of_stretches])[places]
    rate = windowing.steps / windowing.window_seconds
    trials = [_trial(video, start, windowing.steps, rate, 0.0, number + 1) for number, start in enumerate(starts)]
    pictures = FaceFeatures(**{name: getattr(part, name) for name in FaceFeatures.model_fields})
    return np.asarray(pictures.extract(trials)[0]["faces"])


def _trial(
    video: Path, start_seconds: float, n_samples: int, sampling_rate_hz: float, baseline_seconds: float, number: int
) -> Trial:
    """Create a trial with a video; its windows need only the length of the recording."""
    silent = Recording(np.zeros((0, n_samples)), (), (), sampling_rate_hz, baseline_seconds)
    return Trial("video", 1, number, video.stem, silent, (), {}, video=video, video_offset_seconds=float(start_seconds))
