"""Windowing of trials: one value for all parts of a system, and the bounds of its numbers."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

LONGEST_SECONDS = 86_400.0
"""Longest window or hop: one day."""

MOST_STEPS = 100_000
"""Largest number of steps of a window."""

Seconds = Annotated[float, Field(gt=0, le=LONGEST_SECONDS)]
"""Length of a window or hop in seconds."""

LagSeconds = Annotated[float, Field(ge=0, le=3_600)]
"""Delay of one modality relative to another, in seconds."""

StepCount = Annotated[int, Field(ge=1, le=MOST_STEPS)]
"""Number of steps of a window."""


class Windowing(BaseModel):
    """Windows of a trial, the same for every part of a system.

    A system defines it (`System.windowing`); by default it is that of its leading part, the first one. It is applied to
    the other parts by `FeaturePart.with_windowing`, so that their windows start at the same times.

    Args:
        window_seconds: length of a window in seconds; for a sample that spans several windows of a paper, its whole
            length.
        hop_seconds: time between consecutive window starts in seconds; default `window_seconds`: no overlap. A smaller
            hop makes windows overlap.
        steps: number of equally long steps of a window, for parts that have steps.
        lag_seconds: delay of the windows of the other parts relative to those of the leading part, in seconds. The
            window table has the time of the leading part; a window that ends after the trial is left out, and its
            partner is dropped and counted.

    Example:
        >>> Windowing(window_seconds=2.0, hop_seconds=0.5).starts(4.0).tolist()
        [0.0, 0.5, 1.0, 1.5, 2.0]
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    window_seconds: Seconds
    hop_seconds: Seconds | None = None
    steps: StepCount = 1
    lag_seconds: LagSeconds = 0.0

    @property
    def step_seconds(self) -> float:
        """Length of a step in seconds."""
        return self.window_seconds / self.steps

    def starts(self, duration_seconds: float) -> np.ndarray:
        """Return `(windows,)` start times of the whole windows of a trial, in seconds from the onset of the stimulus.

        Args:
            duration_seconds: length of the trial.
        """
        return starts_within(duration_seconds - self.lag_seconds, self.window_seconds, self.hop_seconds)

    def part(self, part: Literal["middle", "last"], n_windows: int, seconds: float) -> slice:
        """Return the windows in the middle, or at the end, of a trial.

        Args:
            part: which part.
            n_windows: number of windows of the trial, in order.
            seconds: length of the part.

        Returns:
            As many windows as fit into `seconds`: the last ones, or with equally many before and after them, or one
            more after them.

        Raises:
            ValueError: the trial has fewer.

        Example:
            >>> Windowing(window_seconds=0.5).part("middle", n_windows=163, seconds=30.0)
            slice(51, 111, None)
        """
        n_wanted = len(starts_within(seconds, self.window_seconds, self.hop_seconds))
        if not 0 < n_wanted <= n_windows:
            raise ValueError(
                f"{n_windows} windows of {self.window_seconds:g} s; expected the {n_wanted} of {seconds:g} s"
            )
        first = (n_windows - n_wanted) // (2 if part == "middle" else 1)
        return slice(first, first + n_wanted)


def starts_within(duration_seconds: float, window_seconds: float, hop_seconds: float | None) -> np.ndarray:
    """Return the start times of the whole windows of a trial, in seconds from the onset of the stimulus.

    Args:
        duration_seconds: length of the trial.
        window_seconds: length of a window.
        hop_seconds: time between consecutive window starts; `None`: `window_seconds`.
    """
    hop_seconds = hop_seconds or window_seconds
    # Rounded before truncation: 60 s contain thirty windows of 2 s, also where floating point gives 29.999...
    n_windows = int(np.floor(round((duration_seconds - window_seconds) / hop_seconds, 6))) + 1
    return np.arange(max(n_windows, 0)) * hop_seconds


def steps_of_windows(n_units: int, steps: int, step: int, hop: int) -> np.ndarray:
    """Return the positions of the steps of overlapping windows in an array that holds each step once.

    Args:
        n_units: length of that array: a step starts at every unit of time.
        steps: steps of a window.
        step: units between consecutive step starts within a window.
        hop: units between consecutive window starts.

    Returns:
        `(windows, steps)` positions of the whole windows.

    Example:
        >>> steps_of_windows(n_units=5, steps=3, step=1, hop=2).tolist()
        [[0, 1, 2], [2, 3, 4]]
    """
    n_windows = max((n_units - 1 - (steps - 1) * step) // hop + 1, 0)
    return np.arange(n_windows)[:, np.newaxis] * hop + np.arange(steps) * step


def common_unit(step_samples: int, hop_samples: int) -> int:
    """Return the number of samples of the coarsest time unit at which every step of every window starts."""
    return math.gcd(step_samples, hop_samples)
