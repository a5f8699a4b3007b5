"""What a model sees of the face in the windows of a recording."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from keras_emotion.datasets.continuous import ContinuousRecording
from keras_emotion.inference.paired_windows import AFTER_UNKNOWN_GAP, PairedWindows, starts_in_file
from keras_emotion.inference.signal_windows import Stretch
from keras_emotion.pipelines import FeaturePart
from keras_emotion.pipelines.features import UNUSABLE
from keras_emotion.schema import Recording, Trial


def faces_of_video(part: FeaturePart, video: Path, video_offset_seconds: float) -> PairedWindows:
    """Faces in the windows of a video by itself.

    Args:
        part: the features of faces.
        video: the face video.
        video_offset_seconds: time in it at which the first window starts.
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
    """Faces in the windows of a recording.

    Args:
        part: the features of faces.
        recording: the recording.
        stretches: of it, those with windows.
        sampling_rate_hz: samples a second of the model.
        video: the face video.
        video_offset_seconds: time in it at which the recording starts.
    """
    trials = []
    starts = starts_in_file(recording, stretches, video_offset_seconds)
    for number, (start_seconds, stretch) in enumerate(zip(starts, stretches, strict=False)):
        # What the windows need to know of the recording is how long it lasts.
        duration_seconds = (stretch.stop - stretch.start) / recording.sampling_rate_hz
        shape = (0, math.floor(duration_seconds * sampling_rate_hz))
        silent = Recording(np.zeros(shape), (), (), sampling_rate_hz, stretch.baseline_seconds)
        kept = {"video": video, "video_offset_seconds": start_seconds}
        trials.append(Trial("video", 1, number + 1, video.stem, silent, (), {}, **kept))
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
