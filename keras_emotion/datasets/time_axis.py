"""Time axis of a recording: gaps and bad segments."""

from __future__ import annotations

import bisect
import dataclasses
from collections.abc import Sequence


@dataclasses.dataclass(frozen=True)
class Gap:
    """Interruption of a recording: the samples before and after it are not contiguous.

    Args:
        sample: index of the first sample after the gap.
        jump_seconds: jump of the file's own time axis. 0 if the file's annotations are in samples (BrainVision,
            EEGLAB), the missing seconds if it has a clock (EDF+D, BDF+D, streams).
        reason: annotation of the file, for messages: `"EDF+D: the records are not continuous"`.
        lost_seconds: duration of the interruption, `None` if the file does not give it.
    """

    sample: int
    jump_seconds: float
    reason: str
    lost_seconds: float | None = None


@dataclasses.dataclass(frozen=True)
class BadSpan:
    """Segment of samples that the file itself annotates as bad.

    Args:
        start_sample: its first sample.
        stop_sample: the sample after its last.
        reason: annotation of the file.
        has_signal: whether there is a signal, rather than zeros that stand for a pause of the device.
    """

    start_sample: int
    stop_sample: int
    reason: str
    has_signal: bool = True


_FARTHEST_SAMPLE = 2**62


@dataclasses.dataclass(frozen=True)
class TimeAxis:
    """Mapping between samples and seconds of a recording, as used by the file's own annotations.

    Args:
        sampling_rate_hz: samples per second.
        n_samples: samples per channel.
        gaps: gaps in order.
    """

    sampling_rate_hz: float
    n_samples: int
    gaps: Sequence[Gap] = ()

    def seconds_of(self, sample: int) -> float:
        """Convert a sample into seconds on the file's time axis, 0 for the first."""
        jumps = sum(gap.jump_seconds for gap in self.gaps if gap.sample <= sample)
        return sample / self.sampling_rate_hz + jumps

    def sample_at(self, seconds: float) -> int:
        """Return the sample nearest to a time; for a time in a gap, the first sample after it."""
        starts = [self.seconds_of(gap.sample) for gap in self.gaps]
        n_before = bisect.bisect_right(starts, seconds + 0.5 / self.sampling_rate_hz)
        jumps = sum(gap.jump_seconds for gap in self.gaps[:n_before])
        # A table may give any time; those outside of the recording are reported where trials are read.
        sample = round(min(max((seconds - jumps) * self.sampling_rate_hz, -_FARTHEST_SAMPLE), _FARTHEST_SAMPLE))
        return min(sample, self.gaps[n_before].sample) if n_before < len(self.gaps) else sample

    def piece_at(self, sample: int) -> tuple[int, int]:
        """Return the first sample, and the sample after the last, of the gap-free segment around a sample."""
        borders = [0, *(gap.sample for gap in self.gaps), self.n_samples]
        place = min(bisect.bisect_right(borders, sample), len(borders) - 1)
        return borders[max(place - 1, 0)], borders[place]

    @property
    def stop_seconds(self) -> float:
        """End of the last sample on the file's time axis."""
        return self.n_samples / self.sampling_rate_hz + sum(gap.jump_seconds for gap in self.gaps)
