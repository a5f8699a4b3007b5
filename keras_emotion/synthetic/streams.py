"""Player of recordings as streams of the Lab Streaming Layer, with the faults that streams have.

A stream is played as a sequence of parts. At the end of each the sender goes away, and the next one comes back after a
pause with a description of its own: another sampling rate, unit, order of channels or source. Within a part samples can
be lost and the sender's clock can be set. Missing values and flat channels have to be in the given signal itself.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

CHUNK_SECONDS = 0.125
"""Signal that is sent at once."""


@dataclasses.dataclass(frozen=True, eq=False)
class StreamPart:
    """What a sender sends from when it comes to when it goes.

    Args:
        signal: `(channels, samples)` in `unit`.
        sampling_rate_hz: samples per second.
        channel_names: in the order of the axis.
        unit: of all channels; `None` leaves it undeclared.
        source_id: identifies the sender.
        pause_seconds: before the part, without a sender.
        lost: `(start, stop)` seconds of the part whose samples never arrive.
        clock_jumps: `(at, by)`: seconds of the part from which the time stamps are so many seconds later.
    """

    signal: np.ndarray
    sampling_rate_hz: float
    channel_names: tuple[str, ...]
    unit: str | None = "microvolts"
    source_id: str = "player"
    pause_seconds: float = 0.0
    lost: tuple[tuple[float, float], ...] = ()
    clock_jumps: tuple[tuple[float, float], ...] = ()

    @property
    def seconds(self) -> float:
        """Length of the part, with its pause."""
        return self.pause_seconds + self.signal.shape[1] / self.sampling_rate_hz


@dataclasses.dataclass(frozen=True, eq=False)
class Chunk:
    """Samples that are sent at once.

    Args:
        samples: `(samples, channels)`.
        stamps: `(samples,)` time stamps in seconds.
        due_seconds: signal time at which the last of them is complete, from the start of the stream.
    """

    samples: np.ndarray
    stamps: np.ndarray
    due_seconds: float


def chunks(part: StreamPart, start_seconds: float, origin_seconds: float = 0.0) -> Iterator[Chunk]:
    """Chunks of a part.

    Args:
        part: what is sent.
        start_seconds: signal time at which the part starts, its pause included, from the start of the stream.
        origin_seconds: time stamp of the start of the stream.
    """
    rate, n_samples = part.sampling_rate_hz, part.signal.shape[1]
    seconds = np.arange(n_samples) / rate
    is_lost = np.zeros(n_samples, bool)
    for start, stop in part.lost:
        is_lost |= (seconds >= start) & (seconds < stop)
    first_seconds = start_seconds + part.pause_seconds
    stamps = origin_seconds + first_seconds + seconds
    for at, by in part.clock_jumps:
        stamps[seconds >= at] += by
    n_chunk = max(round(CHUNK_SECONDS * rate), 1)
    for first in range(0, n_samples, n_chunk):
        kept = first + np.flatnonzero(~is_lost[first : first + n_chunk])
        last = min(first + n_chunk, n_samples)
        if len(kept):
            yield Chunk(part.signal[:, kept].T, stamps[kept], first_seconds + last / rate)


def play(
    parts: Sequence[StreamPart], name: str, speed: float = 1.0, origin_seconds: float | None = None
) -> dict[str, float]:
    """Play parts as a stream of the Lab Streaming Layer; needs mne-lsl.

    The first part waits until a receiver has connected; later ones keep to the clock.

    Args:
        parts: what is sent.
        name: name of the stream.
        speed: how many times faster than real time.
        origin_seconds: time stamp of the start; by default now.

    Returns:
        `start`: `time.monotonic()` at signal time 0; `speed`; `worst_lateness`: by how many seconds of real time the
        player was late at most.
    """
    from mne_lsl import lsl

    began, signal_seconds, worst = None, 0.0, 0.0
    for part in parts:
        if began is not None:
            _sleep_until(began + (signal_seconds + part.pause_seconds) / speed)
        outlet = _outlet(lsl, part, name)
        if began is None:
            while not outlet.has_consumers:
                time.sleep(0.01)
            # Receivers subscribe a moment after they have connected.
            time.sleep(1.0)
            began = time.monotonic()
        if origin_seconds is None:
            origin_seconds = lsl.local_clock()
        for chunk in chunks(part, signal_seconds, origin_seconds):
            due = began + chunk.due_seconds / speed
            _sleep_until(due)
            outlet.push_chunk(np.ascontiguousarray(chunk.samples, np.float32), chunk.stamps)
            worst = max(worst, time.monotonic() - due)
        signal_seconds += part.seconds
        # What was sent last has to arrive before the sender goes.
        time.sleep(0.2)
        del outlet
    return {"start": began or 0.0, "speed": speed, "worst_lateness": worst}


def _outlet(lsl: Any, part: StreamPart, name: str) -> Any:
    info = lsl.StreamInfo(name, "EEG", len(part.channel_names), part.sampling_rate_hz, "float32", part.source_id)
    info.set_channel_names(list(part.channel_names))
    if part.unit is not None:
        info.set_channel_units(part.unit)
    return lsl.StreamOutlet(info)


def _sleep_until(due: float) -> None:
    time.sleep(max(due - time.monotonic(), 0.0))
