"""Where the time of a recording jumps, and which stretches of it hold nothing to be used."""

from __future__ import annotations

import bisect
import dataclasses
from collections.abc import Sequence


@dataclasses.dataclass(frozen=True)
class Gap:
    """A place at which a recording was interrupted: the samples before and after it do not follow each other.

    Args:
        sample: index of the first sample after the gap.
        jump_seconds: by how much the file's own time axis jumps there. 0 where the file counts its marks in samples
            (BrainVision, EEGLAB), the seconds that are missing where it has a clock (EDF+D, BDF+D, streams).
        reason: what the file says, for messages: `"EDF+D: the records are not continuous"`.
        lost_seconds: how long the interruption lasted, `None` where the file does not say.
    """

    sample: int
    jump_seconds: float
    reason: str
    lost_seconds: float | None = None


@dataclasses.dataclass(frozen=True)
class BadSpan:
    """A stretch of samples that the file itself calls bad.

    Args:
        start_sample: its first sample.
        stop_sample: the sample after its last.
        reason: what the file calls it.
        has_signal: whether there are samples at all, not zeros that stand for a pause of the device.
    """

    start_sample: int
    stop_sample: int
    reason: str
    has_signal: bool = True


@dataclasses.dataclass(frozen=True)
class TimeAxis:
    """Samples and seconds of a recording, in which the file's own marks stand.

    Args:
        sampling_rate_hz: samples a second.
        n_samples: samples of a channel.
        gaps: in order.
    """

    sampling_rate_hz: float
    n_samples: int
    gaps: Sequence[Gap] = ()

    def seconds_of(self, sample: int) -> float:
        """Seconds of a sample on the file's time axis, 0 for the first."""
        jumps = sum(gap.jump_seconds for gap in self.gaps if gap.sample <= sample)
        return sample / self.sampling_rate_hz + jumps

    def sample_at(self, seconds: float) -> int:
        """The sample nearest to a moment; of a moment in a gap, the first one after it."""
        starts = [self.seconds_of(gap.sample) for gap in self.gaps]
        n_before = bisect.bisect_right(starts, seconds + 0.5 / self.sampling_rate_hz)
        jumps = sum(gap.jump_seconds for gap in self.gaps[:n_before])
        sample = round((seconds - jumps) * self.sampling_rate_hz)
        return min(sample, self.gaps[n_before].sample) if n_before < len(self.gaps) else sample

    def piece_at(self, sample: int) -> tuple[int, int]:
        """First sample, and the sample after the last, of the piece without a gap that a sample is in."""
        borders = [0, *(gap.sample for gap in self.gaps), self.n_samples]
        place = min(bisect.bisect_right(borders, sample), len(borders) - 1)
        return borders[max(place - 1, 0)], borders[place]

    @property
    def stop_seconds(self) -> float:
        """The end of the last sample on the file's time axis."""
        return self.n_samples / self.sampling_rate_hz + sum(gap.jump_seconds for gap in self.gaps)
