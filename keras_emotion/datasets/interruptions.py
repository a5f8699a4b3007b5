"""Find interruptions of a recording, and segments that the file itself annotates as bad."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from pathlib import Path

from keras_emotion.datasets.brainvision_header import BRAINVISION_SUFFIXES, BrainVisionHeader
from keras_emotion.datasets.edf_records import Annotation
from keras_emotion.datasets.time_axis import BadSpan, Gap, TimeAxis

PAUSE = "bad_acq_skip"
"""MNE's annotation of a segment of zeros that stands for a pause of the device."""

_BORDERS = re.compile(r"(.*/)?((edge|bad)[ _])?boundary|edge|new segment/.*")
"""Annotations, in lower case, at which two pieces of a recording were joined: EEGLAB, MNE, BrainVision."""

_BORDERS_OF_FORMAT = {".set": ("-99",), ".gdf": ("32766",)}
"""Format-specific boundary codes: that of EEGLAB files whose events are all numbers, and GDF's 0x7ffe."""


def find_interruptions(
    path: Path, annotations: Sequence[Annotation], sampling_rate_hz: float, n_samples: int, jumps: Sequence[Gap] = ()
) -> tuple[tuple[Gap, ...], tuple[BadSpan, ...]]:
    """Return the gaps and bad segments of a recording, from its annotations.

    Args:
        path: the file.
        annotations: all annotations, on the file's time axis.
        sampling_rate_hz: samples per second.
        n_samples: samples per channel.
        jumps: gaps in the file's clock, if it has one.
    """
    axis = TimeAxis(sampling_rate_hz, n_samples, jumps)
    gaps = {gap.sample: gap for gap in jumps}
    spans = []
    for start, duration, text in annotations:
        name = text.strip().lower()
        is_pause = name.startswith(PAUSE)
        if is_border(path, text) or (is_pause and not duration):
            # A boundary between two samples belongs to the one after it.
            sample = math.floor(start * sampling_rate_hz + 0.5) if not jumps else axis.sample_at(start)
            if 0 < sample < n_samples and sample not in gaps:
                gaps[sample] = Gap(
                    sample, 0.0, f"annotated `{text.strip()}`", _lost(path, sample, duration, sampling_rate_hz)
                )
        elif name.startswith("bad"):
            stop = axis.sample_at(start + (duration or 0.0))
            first, last = max(axis.sample_at(start), 0), min(stop, n_samples)
            if not duration:
                last = min(first + 1, n_samples)
            if first < last:
                spans.append(BadSpan(first, last, text.strip(), has_signal=not is_pause))
    # Duplicates, such as pauses in FIF files, are merged.
    once = sorted(dict.fromkeys(spans), key=lambda span: span.start_sample)
    return tuple(gaps[sample] for sample in sorted(gaps)), tuple(once)


def is_border(path: Path, text: str) -> bool:
    """Return whether an annotation is a boundary at which two pieces of a recording were joined.

    Args:
        path: the file, whose format determines the meaning of some texts.
        text: text of the annotation.
    """
    name = text.strip().lower()
    return _BORDERS.fullmatch(name) is not None or name in _BORDERS_OF_FORMAT.get(path.suffix.lower(), ())


def _lost(path: Path, sample: int, duration: float | None, sampling_rate_hz: float) -> float | None:
    """Return the seconds missing at a boundary: EEGLAB gives a duration, BrainVision the times of the segments."""
    if path.suffix.lower() not in BRAINVISION_SUFFIXES:
        return duration
    segments = BrainVisionHeader.read(path).segment_starts()
    for (first, began), (then, began_again) in itertools.pairwise(segments):
        if then == sample and began is not None and began_again is not None:
            return (began_again - began).total_seconds() - (then - first) / sampling_rate_hz
    return None
