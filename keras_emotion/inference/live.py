"""A saved model on a stream of EEG, window by window as it comes."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np

from keras_emotion import signals
from keras_emotion.inference.predictor import Predictor
from keras_emotion.schema import InputError

SILENCE_SECONDS = 5.0
"""A stream that gives nothing for so long has ended."""

RESAMPLING_SECONDS = 0.5
"""What the filter of the resampling reaches, at the rates of EEG."""


class Stream(Protocol):
    """What a source of live signals offers.

    Attributes:
        name: what it is called in messages.
        channel_names: in the order of the axis.
        sampling_rate_hz: samples a second.
    """

    name: str
    channel_names: tuple[str, ...]
    sampling_rate_hz: float

    def pull(self) -> tuple[np.ndarray, np.ndarray]:
        """What is new: `(channels, samples)` in microvolts and `(samples,)` times in seconds; none after a while."""

    def clock(self) -> float:
        """Now, on the clock of the times."""


@dataclasses.dataclass(frozen=True, eq=False)
class LiveWindow:
    """One window of a stream.

    Args:
        start_seconds: from the first sample that was received.
        stop_seconds: from the same.
        probabilities: `(classes,)`.
        latency_seconds: from the last sample of the window to now.
    """

    start_seconds: float
    stop_seconds: float
    probabilities: np.ndarray
    latency_seconds: float


def live_windows(predictor: Predictor, stream: Stream, lag_seconds: float = 0.0) -> Iterator[LiveWindow]:
    """Probabilities of the windows of a stream, side by side, each as soon as it is over.

    A filter that sees no future cannot be zero-phase. The features of a window are computed over a *trailing buffer*,
    the lead-in of `Predictor` and the window, by the same zero-phase filters as offline; at the end of the buffer these
    see the odd reflection of the signal in place of what comes. With `lag_seconds` a window waits so long after its
    end, its filters see so much of the future, and its features come closer to those offline.

    Args:
        predictor: the model.
        stream: the source; ends where it gives nothing for 5 s.
        lag_seconds: how long a window waits after its end; a whole number of samples.

    Raises:
        InputError: too few of the channels, or a window of the model is no whole number of samples of the stream, or
            the model sees faces.
    """
    if predictor.face_part is not None:
        raise InputError(f"{predictor.model.name}: sees faces, and a stream of EEG has none")
    if predictor.lag_seconds:
        raise InputError(f"{predictor.model.name}: windows with a lag of {predictor.lag_seconds:g} s need a recording")
    channels = predictor.select_channels(stream.channel_names, stream.name)
    rate = stream.sampling_rate_hz
    try:
        window, lag, onset = (
            signals.sample_count(seconds, rate, name)
            for name, seconds in (
                ("window_seconds", predictor.window_seconds),
                ("lag_seconds", lag_seconds),
                ("baseline_seconds", predictor.baseline_seconds),
            )
        )
    except ValueError as error:
        raise InputError(f"{stream.name}: {error}") from None
    # The ends of what is resampled see no neighbours.
    reach = 0 if rate == predictor.sampling_rate_hz else math.ceil(RESAMPLING_SECONDS * rate)
    n_before = predictor.n_lead + (reach > 0) * math.ceil(RESAMPLING_SECONDS / predictor.window_seconds)
    buffer, times = np.empty((len(channels.places), 0)), np.empty(0)
    baseline, first, n_done = None, 0, 0
    silent_since = stream.clock()
    while True:
        signal, at = stream.pull()
        if not len(at):
            if stream.clock() - silent_since > SILENCE_SECONDS:
                return
            continue
        silent_since = stream.clock()
        buffer = np.concatenate([buffer, signal[list(channels.places)]], axis=1)
        times = np.concatenate([times, at])
        if baseline is None and not onset:
            baseline = buffer[:, :0]
        elif baseline is None and buffer.shape[1] >= onset + reach:
            n_baseline = round(predictor.baseline_seconds * predictor.sampling_rate_hz)
            baseline = signals.resample(buffer[:, : onset + reach], rate, predictor.sampling_rate_hz)[:, :n_baseline]
            buffer, times = buffer[:, onset:], times[onset:]
        # `first` is the sample, counted from the end of the baseline, that the buffer begins with.
        while baseline is not None and first + buffer.shape[1] >= (n_done + 1) * window + lag:
            begin = max(n_done - n_before, 0)
            stop = (n_done + 1) * window + lag
            piece = signals.resample(buffer[:, begin * window - first : stop - first], rate, predictor.sampling_rate_hz)
            inputs = predictor.live_inputs(piece, begin, n_done - begin, channels, baseline)
            probabilities, _ = predictor.apply(inputs)
            start = (onset + n_done * window) / rate
            ended = times[(n_done + 1) * window - 1 - first]
            latency = stream.clock() - ended
            yield LiveWindow(start, start + predictor.window_seconds, probabilities[0], latency)
            n_done += 1
            dropped = max(n_done - n_before, 0) * window - first
            buffer, times, first = buffer[:, dropped:], times[dropped:], first + dropped


class LabStreamingLayer:
    """A stream of the Lab Streaming Layer, by its name.

    Args:
        name: name of the stream.
        timeout_seconds: how long it is looked for.

    Raises:
        InputError: mne-lsl is not installed, or there is no such stream, or it is no signal with channel names.
    """

    def __init__(self, name: str, timeout_seconds: float = 10.0):
        try:
            from mne_lsl import lsl
        except ImportError:
            raise InputError("--lsl needs mne-lsl: pip install 'keras_emotion[lsl]'") from None
        found = lsl.resolve_streams(timeout=timeout_seconds, name=name, minimum=1)
        if not found:
            raise InputError(f"--lsl {name}: no such stream within {timeout_seconds:g} s; is it running, and in reach?")
        self._lsl, self.name = lsl, f"--lsl {name}"
        self._inlet: Any = lsl.StreamInlet(found[0], processing_flags=["clocksync"])
        self._inlet.open_stream(timeout=timeout_seconds)
        info = self._inlet.get_sinfo()
        names, self.sampling_rate_hz = info.get_channel_names(), float(info.sfreq)
        if not names or not self.sampling_rate_hz:
            raise InputError(f"--lsl {name}: is no signal with channel names and a sampling rate")
        self.channel_names = tuple(names)
        self._factors = np.array([microvolt_factor(unit) for unit in info.get_channel_units() or [None] * len(names)])

    def pull(self) -> tuple[np.ndarray, np.ndarray]:
        """See `Stream`."""
        samples, times = self._inlet.pull_chunk(timeout=0.05)
        samples = np.asarray(samples, np.float64).reshape(-1, len(self.channel_names))
        return samples.T * self._factors[:, np.newaxis], np.asarray(times, np.float64)

    def clock(self) -> float:
        """See `Stream`."""
        return self._lsl.local_clock()

    def close(self) -> None:
        """Lets go of the stream."""
        self._inlet.close_stream()


def microvolt_factor(unit: str | None) -> float:
    """Return the number of microvolts in one of a unit; an unknown unit counts as volts, which MNE-LSL sends."""
    name = (unit or "volts").strip().lower()
    if name.lstrip("-").isdigit():
        return 10.0 ** (int(name) + 6)
    known = {"microvolts": 1.0, "microvolt": 1.0, "uv": 1.0, "µv": 1.0, "millivolts": 1e3, "mv": 1e3}
    return known.get(name, 1e6)
