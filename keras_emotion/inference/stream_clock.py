"""Sample times of a stream from jittered time stamps, and detection of lost samples."""

from __future__ import annotations

import math

import numpy as np

from keras_emotion.schema import InputError

UNREPORTED_SHARE = 0.01
"""Relative difference between measured and nominal sampling rate that is not reported."""

REFUSED_SHARE = 0.05
"""Relative difference that is an error: the frequency bands of the features would be shifted."""

BACKWARD_SECONDS = 0.1
"""A backward step of the time stamps larger than this is a change of clock; smaller ones are jitter."""

_AROUND_SECONDS, _MOST_AROUND = 0.25, 64
_LEARN_SECONDS = 5.0
_RATE_SECONDS = 1.0
_AHEAD_SECONDS = 1.0
_REMEMBERED = 30


class StreamClock:
    """Checks the time stamps of a stream, one uninterrupted segment at a time.

    Samples are lost if the time stamps jump ahead of the sampling rate and stay there: the median over a quarter of a
    second after a sample exceeds the median before it by more than half a sample. With jitter, it must also exceed 1.5
    times the largest recent backward step, since losses never make time stamps go back.

    Args:
        sampling_rate_hz: nominal samples per second.
        source: the stream, for messages.

    Attributes:
        lost_seconds: duration of each loss so far.
        set_seconds: change of the sender's clock at the last interruption, to be subtracted from all later time stamps;
            0 after a loss.
        notes: pending messages, removed by the caller.
    """

    def __init__(self, sampling_rate_hz: float, source: str):
        self._rate, self._source = sampling_rate_hz, source
        self._period = 1 / sampling_rate_hz
        self._around = max(min(round(_AROUND_SECONDS * sampling_rate_hz), _MOST_AROUND), 1)
        self._backwards = [0.0]
        self._is_rate_said = False
        self.lost_seconds: list[float] = []
        self.set_seconds = 0.0
        self.notes: list[str] = []

    def find_break(self, times: np.ndarray, n_needed: int, now: float = math.inf) -> int | None:
        """Return the first required sample that follows an interruption, as an index; `None` if there is none.

        Args:
            times: `(samples,)` time stamps in seconds of the buffered samples since the last interruption.
            n_needed: required number of consecutive samples.
            now: current time on the clock of the time stamps. If a jump takes them beyond it, the clock was changed.

        Raises:
            InputError: the measured sampling rate differs too much from the declared one.
        """
        period, around = self._period_of(times), self._around
        offsets = times - np.arange(len(times)) * period
        shifts = _shifts(offsets, around)
        jitter = shifts[shifts > -BACKWARD_SECONDS]
        self._backwards = [*self._backwards[-_REMEMBERED:], -float(jitter.min(initial=0.0))]
        # A deviation of the rate, over the distance of the two medians, is not a jump.
        allowed = max(0.5 * period, UNREPORTED_SHARE * around * period, 1.5 * max(self._backwards))
        found = np.flatnonzero((shifts > allowed) | (shifts <= -BACKWARD_SECONDS))
        if not len(found):
            self._check_rate(times[:n_needed])
            self._note_rate(times)
        if not len(found) or found[0] + 1 >= n_needed + around:
            return None
        # The medians shift before the samples do: the jump is at the largest difference between neighbours.
        some = range(found[0], min(found[0] + around + 1, len(times) - 1))
        step = max(some, key=lambda place: abs(offsets[place + 1] - offsets[place]))
        place, jump = step + 1, float(shifts[step])
        if place >= n_needed:
            return None
        self.set_seconds = 0.0
        if jump > 0 and times[place - 1] <= now + _AHEAD_SECONDS < times[place]:
            self.set_seconds = jump
            self.notes.append(f"its time stamps jump ahead by {jump:.3g} s, beyond now: its clock was set")
        elif jump > 0:
            self.lost_seconds.append(jump)
            self.notes.append(f"{jump:.3g} s lost ({jump / period:.0f} samples), or its clock was set")
        else:
            self.set_seconds = jump
            self.notes.append(f"its time stamps go back by {-jump:.3g} s: its clock was set")
        return place

    def start_of(self, times: np.ndarray) -> float:
        """Return the time of the first of some consecutive samples, without jitter."""
        return float(np.median(times - np.arange(len(times)) * self._period))

    def _period_of(self, times: np.ndarray) -> float:
        """Return the sampling period in seconds, estimated from the time stamps.

        Raises:
            InputError: see `find_break`.
        """
        lag = max(round(_AROUND_SECONDS * self._rate), 1)
        if len(times) < 4 * lag:
            return self._period
        # A loss affects only few of these differences.
        period = float(np.median(times[lag:] - times[:-lag])) / lag
        if self._is_off(period, REFUSED_SHARE):
            if len(times) < 8 * lag:
                return self._period
            raise InputError(self._refusal(period))
        self._period = period
        return period

    def _check_rate(self, times: np.ndarray) -> None:
        """Reject a wrong sampling rate from the last two seconds, before it dominates the buffer.

        Args:
            times: `(samples,)` time stamps of consecutive samples.

        Raises:
            InputError: see `find_break`.
        """
        half = max(round(_RATE_SECONDS * self._rate), 1)
        if len(times) < 2 * half:
            return
        latest = times[-2 * half :]
        period = float(np.median(latest[half:] - latest[:half])) / half
        if self._is_off(period, REFUSED_SHARE):
            raise InputError(self._refusal(period))

    def _refusal(self, period: float) -> str:
        return f"{self._source}: {self._rate_text(period)}; its description, or its time stamps, have to be put right"

    def _note_rate(self, times: np.ndarray) -> None:
        """Report a different sampling rate once, from consecutive samples."""
        half = len(times) // 2
        if self._is_rate_said or len(times) < _LEARN_SECONDS * self._rate:
            return
        period = float(np.median(times[half:] - times[: len(times) - half])) / half
        if self._is_off(period, UNREPORTED_SHARE):
            self._is_rate_said = True
            self.notes.append(self._rate_text(period))

    def _is_off(self, period: float, share: float) -> bool:
        return not abs(period * self._rate - 1) <= share

    def _rate_text(self, period: float) -> str:
        return f"gives {1 / period:.4g} samples a second by its time stamps, not {self._rate:g}"


def _shifts(offsets: np.ndarray, around: int) -> np.ndarray:
    """Return `(samples - 1,)` shifts of the median across each pair of neighbours."""
    n = len(offsets)
    shifts = np.zeros(max(n - 1, 0))
    if n > 2 * around:
        medians = np.median(np.lib.stride_tricks.sliding_window_view(offsets, around), axis=1)
        shifts[around - 1 : n - around] = medians[around:] - medians[:-around]
    for place in range(1, n):
        if place < around or place > n - around:
            after, before = offsets[place : place + around], offsets[max(place - around, 0) : place]
            shifts[place - 1] = np.median(after) - np.median(before)
    return shifts
