"""How trials are cut into windows: one value for all parts of a system, and the bounds of its numbers."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

LONGEST_SECONDS = 86_400.0
"""Longest window or hop, a day."""

MOST_STEPS = 100_000
"""Most steps of a window."""

Seconds = Annotated[float, Field(gt=0, le=LONGEST_SECONDS)]
"""Length of a window or hop in seconds."""

LagSeconds = Annotated[float, Field(ge=0, le=3_600)]
"""How much later one modality is cut than another, in seconds."""

StepCount = Annotated[int, Field(ge=1, le=MOST_STEPS)]
"""Number of steps of a window."""


class Windowing(BaseModel):
    """Windows of a trial, the same for every part of a system.

    A system owns it (`System.windowing`); its leading part, the first one, decides it by default. The other parts are
    cut by `FeaturePart.with_windowing`, so that their windows start at the same times.

    Args:
        window_seconds: length of a window in seconds; of a sample that spans several windows of a paper, all of it.
        hop_seconds: time between consecutive window starts in seconds, in seconds; `None` is `window_seconds`: windows
            side by side. Less makes windows overlap.
        steps: steps of equal length that a window is cut into, for parts that have steps.
        lag_seconds: how much later than those of the leading part the windows of the other parts are cut, in seconds.
            The window table keeps the time of the leading part; a window that ends after the trial is left out, and
            its partner is dropped and counted.

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
        """`(windows,)` seconds from the onset of the stimulus at which the whole windows of a trial start.

        Args:
            duration_seconds: how long the trial lasts.
        """
        return starts_within(duration_seconds - self.lag_seconds, self.window_seconds, self.hop_seconds)

    def part(self, part: Literal["middle", "last"], n_windows: int, seconds: float) -> slice:
        """Which windows of a trial lie in its middle, or at its end.

        Args:
            part: which part.
            n_windows: windows of the trial, in order.
            seconds: length of the part.

        Returns:
            As many windows as `seconds` hold: the last ones, or with equally many before and after them, or one more
            after them.

        Raises:
            ValueError: the trial has fewer.

        Example:
            >>> Windowing(window_seconds=0.5).part("middle", n_windows=163, seconds=30.0)
            slice(51, 111, None)
        """
        n_wanted = len(starts_within(seconds, self.window_seconds, self.hop_seconds))
        if not 0 < n_wanted <= n_windows:
            raise ValueError(
                f"{n_windows} windows of {self.window_seconds:g} s; expected the {n_wanted} that {seconds:g} s hold"
            )
        first = (n_windows - n_wanted) // (2 if part == "middle" else 1)
        return slice(first, first + n_wanted)


def starts_within(duration_seconds: float, window_seconds: float, hop_seconds: float | None) -> np.ndarray:
    """Seconds from the onset of the stimulus at which the whole windows of a trial start.

    Args:
        duration_seconds: how long the trial lasts.
        window_seconds: length of a window.
        hop_seconds: time between consecutive window starts in seconds; `None` is `window_seconds`.
    """
    hop_seconds = hop_seconds or window_seconds
    # Rounded before it is cut: 60 s hold thirty windows of 2 s, also where floating point says 29.999...
    n_windows = int(np.floor(round((duration_seconds - window_seconds) / hop_seconds, 6))) + 1
    return np.arange(max(n_windows, 0)) * hop_seconds


def steps_of_windows(n_units: int, steps: int, step: int, hop: int) -> np.ndarray:
    """Positions of the steps of overlapping windows in an array that holds each step once.

    Args:
        n_units: length of that array: a step starts at every unit of time.
        steps: steps of a window.
        step: units from the start of a step to that of the next in the same window.
        hop: units time between consecutive window starts in seconds.

    Returns:
        `(windows, steps)` positions, of the windows that are whole.

    Example:
        >>> steps_of_windows(n_units=5, steps=3, step=1, hop=2).tolist()
        [[0, 1, 2], [2, 3, 4]]
    """
    n_windows = max((n_units - 1 - (steps - 1) * step) // hop + 1, 0)
    return np.arange(n_windows)[:, np.newaxis] * hop + np.arange(steps) * step


def common_unit(step_samples: int, hop_samples: int) -> int:
    """Samples of the coarsest unit of time at which every step of every window starts."""
    return math.gcd(step_samples, hop_samples)
