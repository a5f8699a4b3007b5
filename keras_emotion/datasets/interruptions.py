"""Where a recording was interrupted, and which stretches of it the file itself calls bad."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from pathlib import Path

from keras_emotion.datasets.brainvision_header import BRAINVISION_SUFFIXES, BrainVisionHeader
from keras_emotion.datasets.edf_records import Mark
from keras_emotion.datasets.time_axis import BadSpan, Gap, TimeAxis

PAUSE = "bad_acq_skip"
"""What MNE calls a stretch of zeros that stands for a pause of the device."""

_BORDERS = re.compile(r"(.*/)?((edge|bad)[ _])?boundary|edge|new segment/.*")
"""Marks, in lower case, at which two pieces of a recording were joined: EEGLAB, MNE, BrainVision."""

_BORDERS_OF_FORMAT = {".set": ("-99",), ".gdf": ("32766",)}
"""Words that stand for the same in one format alone: EEGLAB's where all events are numbers, and 0x7ffe of GDF."""


def find_interruptions(
    path: Path, marks: Sequence[Mark], sampling_rate_hz: float, n_samples: int, jumps: Sequence[Gap] = ()
) -> tuple[tuple[Gap, ...], tuple[BadSpan, ...]]:
    """The gaps of a recording and its bad stretches, by what is marked in it.

    Args:
        path: the file.
        marks: everything that is marked, on the file's time axis.
        sampling_rate_hz: samples a second.
        n_samples: samples of a channel.
        jumps: gaps in the clock of the file, where it has one.
    """
    axis = TimeAxis(sampling_rate_hz, n_samples, jumps)
    gaps = {gap.sample: gap for gap in jumps}
    spans = []
    for start, duration, text in marks:
        name = text.strip().lower()
        is_pause = name.startswith(PAUSE)
        if is_border(path, text) or (is_pause and not duration):
            # Of a border between two samples, the one after it.
            sample = math.floor(start * sampling_rate_hz + 0.5) if not jumps else axis.sample_at(start)
            if 0 < sample < n_samples and sample not in gaps:
                gaps[sample] = Gap(
                    sample, 0.0, f"marked `{text.strip()}`", _lost(path, sample, duration, sampling_rate_hz)
                )
        elif name.startswith("bad"):
            stop = axis.sample_at(start + (duration or 0.0))
            first, last = max(axis.sample_at(start), 0), min(stop, n_samples)
            if not duration:
                last = min(first + 1, n_samples)
            if first < last:
                spans.append(BadSpan(first, last, text.strip(), has_signal=not is_pause))
    # What is marked twice, as a pause is in FIF, is one.
    once = sorted(dict.fromkeys(spans), key=lambda span: span.start_sample)
    return tuple(gaps[sample] for sample in sorted(gaps)), tuple(once)


def is_border(path: Path, text: str) -> bool:
    """Whether a mark says that two pieces of a recording were joined.

    Args:
        path: the file; what is meant depends on its format.
        text: of the mark.
    """
    name = text.strip().lower()
    return _BORDERS.fullmatch(name) is not None or name in _BORDERS_OF_FORMAT.get(path.suffix.lower(), ())


def _lost(path: Path, sample: int, duration: float | None, sampling_rate_hz: float) -> float | None:
    """Seconds that are missing at a border: EEGLAB gives them for a duration, BrainVision the times of the segments."""
    if path.suffix.lower() not in BRAINVISION_SUFFIXES:
        return duration
    segments = BrainVisionHeader.read(path).segment_starts()
    for (first, began), (then, began_again) in itertools.pairwise(segments):
        if then == sample and began is not None and began_again is not None:
            return (began_again - began).total_seconds() - (then - first) / sampling_rate_hz
    return None
