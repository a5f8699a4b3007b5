"""A saved model on a stream of EEG, window by window as it comes."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np

from keras_emotion import signals
from keras_emotion.datasets.electrodes import LEFT_OUT, ChannelTable, kind_by_name
from keras_emotion.datasets.plausibility import deviations_uv, size_advice, size_fault
from keras_emotion.datasets.units import Unit, read_unit
from keras_emotion.inference.prediction import is_finite
from keras_emotion.inference.predictor import NO_NUMBERS_IN, NO_NUMBERS_OUT, Predictor
from keras_emotion.inference.signal_windows import RESAMPLING_SECONDS, Damage, RepairedSignal, Stretch, find_damage
from keras_emotion.inference.stream_clock import StreamClock
from keras_emotion.schema import InputError

SILENCE_SECONDS = 5.0
"""A stream that gives nothing for so long has ended."""

IMPLAUSIBLE_SECONDS = 10.0
"""A stream that starts with so much that can be no EEG is refused: electrodes take a while to settle."""


class Stream(Protocol):
    """What a source of live signals offers.

    Attributes:
        name: what it is called in messages.
        channel_names: in the order of the axis.
        sampling_rate_hz: samples a second.
        units: may be there; units of the channels, by default microvolts.
    """

    name: str
    channel_names: tuple[str, ...]
    sampling_rate_hz: float

    def pull(self) -> tuple[np.ndarray, np.ndarray]:
        """What is new: `(channels, samples)` in microvolts and `(samples,)` times in seconds; none after a while.

        In `units`, where these are there.
        """

    def clock(self) -> float:
        """Now, on the clock of the times."""


@dataclasses.dataclass(frozen=True, eq=False)
class LiveWindow:
    """One window of a stream.

    Args:
        start_seconds: from the first sample that was received, by the time stamps.
        stop_seconds: from the same.
        probabilities: `(classes,)`, NaN where there is a problem.
        latency_seconds: from the last sample of the window to now.
        problem: why there is no probability, empty where there is one.
    """

    start_seconds: float
    stop_seconds: float
    probabilities: np.ndarray
    latency_seconds: float
    problem: str = ""


def live_windows(
    predictor: Predictor, stream: Stream, lag_seconds: float = 0.0, say: Callable[[str], Any] = print
) -> Iterator[LiveWindow]:
    """Probabilities of the windows of a stream, side by side, each as soon as it is over.

    A filter that sees no future cannot be zero-phase. The features of a window are computed over a *trailing buffer*,
    the lead-in of `Predictor` and the window, by the same zero-phase filters as offline; at the end of the buffer these
    see the odd reflection of the signal in place of what comes. With `lag_seconds` a window waits so long after its
    end, its filters see so much of the future, and its features come closer to those offline.

    **Lost samples**: where the time stamps jump (`StreamClock`), windows begin anew with the first sample after the
    jump, and nothing goes across. A baseline that was complete before stays. **No signal** is what it is offline
    (`keras_emotion.inference.signal_windows`), as far as it can be known so soon. Until a window has been of a size
    that EEG has, none has a probability.

    Args:
        predictor: the model.
        stream: the source; ends where it gives nothing for 5 s.
        lag_seconds: how long a window waits after its end; a whole number of samples.
        say: is given what has to be said of the stream.

    Raises:
        InputError: too few of the channels, or a window of the model is no whole number of samples of the stream; or
            the model sees faces, reads stimuli or has windows that overlap; or the stream gives no EEG by its size, or
            at quite another rate than it says.
    """
    if predictor.face_part is not None:
        raise InputError(f"{predictor.model.name}: sees faces, and a stream of EEG has none")
    if predictor.media_parts:
        raise InputError(f"{predictor.model.name}: reads the stimulus, and a stream of EEG has none; give a recording")
    if predictor.hop_seconds != predictor.window_seconds:
        raise InputError(
            f"{predictor.model.name}: windows of {predictor.window_seconds:g} s every {predictor.hop_seconds:g} s "
            "need a recording"
        )
    if predictor.lag_seconds:
        raise InputError(f"{predictor.model.name}: windows with a lag of {predictor.lag_seconds:g} s need a recording")
    channels = predictor.select_channels(stream.channel_names, stream.name, getattr(stream, "units", None))
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
    judge, clock = _Judge(predictor, channels.names, stream), StreamClock(rate, stream.name)
    buffer, times = np.empty((len(channels.places), 0)), np.empty(0)
    baseline = None if onset else buffer
    began, first, n_done = None, 0, 0
    silent_since = stream.clock()
    try:
        while True:
            signal, at = stream.pull()
            if not len(at):
                if stream.clock() - silent_since > SILENCE_SECONDS:
                    return
                continue
            silent_since = stream.clock()
            began = at[0] if began is None else began
            buffer = np.concatenate([buffer, signal[list(channels.places)] * channels.scales], axis=1)
            times = np.concatenate([times, at])
            # `first` is the sample, counted from the first window of the stretch, that the buffer begins with.
            while len(times) >= (n := onset + reach if baseline is None else (n_done + 1) * window + lag - first):
                place = clock.find_break(times, n)
                while clock.notes:
                    say(f"{stream.name}: {times[place or 0] - began:.1f} s: {clock.notes.pop(0)}")
                if place is not None:
                    buffer, times, first, n_done = buffer[:, place:], times[place:], 0, 0
                    continue
                if baseline is None:
                    if problem := judge.problem_of(buffer[:, :onset]):
                        say(f"{stream.name}: the baseline begins anew: {problem}")
                    else:
                        n_baseline = round(predictor.baseline_seconds * predictor.sampling_rate_hz)
                        whole = signals.resample(buffer[:, : onset + reach], rate, predictor.sampling_rate_hz)
                        baseline = whole[:, :n_baseline]
                    buffer, times = buffer[:, onset:], times[onset:]
                    continue
                begin, stop = max(n_done - n_before, 0), n - lag
                repaired, problem = judge.repaired(buffer[:, begin * window - first : n], n_done - begin, window)
                probabilities = np.full(predictor.n_classes, np.nan)
                if not problem:
                    piece = signals.resample(repaired, rate, predictor.sampling_rate_hz)
                    inputs = predictor.live_inputs(piece, begin, n_done - begin, channels, baseline)
                    if is_finite(inputs).all():
                        probabilities = predictor.apply(inputs)["probabilities"][0]
                        problem = "" if np.isfinite(probabilities).all() else NO_NUMBERS_OUT
                    else:
                        problem = NO_NUMBERS_IN
                start = clock.start_of(times[stop - window : stop]) - began
                latency = stream.clock() - times[stop - 1]
                yield LiveWindow(start, start + predictor.window_seconds, probabilities, latency, problem)
                n_done += 1
                dropped = max(n_done - n_before, 0) * window - first
                buffer, times, first = buffer[:, dropped:], times[dropped:], first + dropped
    finally:
        if clock.lost_seconds:
            n_lost, lost_seconds = len(clock.lost_seconds), sum(clock.lost_seconds)
            say(f"{stream.name}: samples were lost {n_lost} times, {lost_seconds:.3g} s in all")


class _Judge:
    """Says which windows of a stream have a signal."""

    def __init__(self, predictor: Predictor, names: tuple[str, ...], stream: Stream):
        self._grid, self._names, self._stream = predictor.grid, names, stream
        units = predictor.unit_of
        self._is_eeg = np.array([units[name] == "uV" and kind_by_name(name) is None for name in names], dtype=bool)
        self._is_plausible, self._implausible_seconds = not self._is_eeg.any(), 0.0

    def _damage(self, signal: np.ndarray) -> list[Damage]:
        found = find_damage(signal, self._stream.sampling_rate_hz, self._is_eeg)
        return [Damage(start, stop, what, self._names[row]) for what, row, start, stop in found]

    def problem_of(self, signal: np.ndarray) -> str:
        """What of a signal is none; empty where all of it is one."""
        return "; ".join(dict.fromkeys(f"{one.what} {one.name}" for one in self._damage(signal)))

    def repaired(self, signal: np.ndarray, place: int, n_window: int) -> tuple[np.ndarray, str]:
        """The signal without what is none, and why the window at `place` has no probability.

        Raises:
            InputError: too much of the stream is no EEG.
        """
        rate, n_samples = self._stream.sampling_rate_hz, signal.shape[1]
        damage = self._damage(signal)
        stretch = Stretch(0, n_samples, 0.0, 0.0, place + 1)
        problem = self._grid.problems([stretch], damage, rate, int(self._is_eeg.sum()))[place]
        spans = [(one.start, one.stop) for one in damage]
        whole = RepairedSignal(lambda start, stop: signal[:, start:stop].copy(), n_samples, spans, rate)
        signal = whole.read(0, n_samples) if spans else signal
        if not problem and not self._is_plausible:
            eeg = signal[self._is_eeg, place * n_window : (place + 1) * n_window]
            size_uv = float(np.median(deviations_uv(eeg, rate)))
            advice = size_advice(size_uv)
            self._is_plausible = advice is None
            if advice is not None:
                problem = size_fault(advice, size_uv)
                self._implausible_seconds += n_window / rate
                if self._implausible_seconds >= IMPLAUSIBLE_SECONDS:
                    raise InputError(f"{self._stream.name}: {problem}")
        return signal, problem


class LabStreamingLayer:
    """A stream of the Lab Streaming Layer, by its name.

    Args:
        name: name of the stream.
        timeout_seconds: how long it is looked for.
        channel_table: what the stream does not say of its channels, see `Recordings`.

    Attributes:
        units: unit of each channel, `"uV"` of voltages, and where the stream says no unit that is known.
        notes: what was concluded from what the stream says of itself.

    Raises:
        InputError: mne-lsl is not installed, or there is no such stream, or it is no signal with channel names.
    """

    def __init__(self, name: str, timeout_seconds: float = 10.0, channel_table: ChannelTable | None = None):
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
        self._n_channels = len(names)
        described = describe_channels(names, info.get_channel_units(), channel_table)
        self._rows, self.channel_names, self.units, self._factors, self.notes = described

    def pull(self) -> tuple[np.ndarray, np.ndarray]:
        """See `Stream`."""
        samples, times = self._inlet.pull_chunk(timeout=0.05)
        samples = np.asarray(samples, np.float64).reshape(-1, self._n_channels)
        return samples.T[self._rows] * self._factors, np.asarray(times, np.float64)

    def clock(self) -> float:
        """See `Stream`."""
        return self._lsl.local_clock()

    def close(self) -> None:
        """Lets go of the stream."""
        self._inlet.close_stream()


def describe_channels(
    names: Sequence[str], spelt_units: Sequence[str | None] | None, table: ChannelTable | None
) -> tuple[list[int], tuple[str, ...], tuple[str, ...], np.ndarray, tuple[str, ...]]:
    """Rows, names, units and factors `(channels, 1)` of the channels of a stream, and notes on what it does not say.

    Args:
        names: as the stream spells them.
        spelt_units: their units, `None` where it says none.
        table: what the user says of them.
    """
    said = {name: table.entry(name, "kind") if table else None for name in names}
    rows = [row for row, name in enumerate(names) if said[name] != LEFT_OUT]
    spelt = list(spelt_units or [None] * len(names))
    units, factors, unknown = [], [], {}
    for row in rows:
        unit = stream_unit(spelt[row])
        if not unit.is_known:
            unknown.setdefault(spelt[row] or "none", []).append(names[row])
        units.append(unit.name if unit.is_known else "uV")
        factors.append(unit.factor * float((table and table.entry(names[row], "factor")) or 1))
    electrodes = [(table and table.entry(names[row], "electrode")) or names[row] for row in rows]
    notes = [f"unit {unit} of {', '.join(of)}: values are taken for microvolts" for unit, of in unknown.items()]
    return rows, tuple(electrodes), tuple(units), np.array(factors)[:, np.newaxis], tuple(notes)


def stream_unit(text: str | None) -> Unit:
    """What a stream means by a unit: as `read_unit`, and powers of ten of the volt, as MNE-LSL has them.

    Example:
        >>> stream_unit("-6").factor, stream_unit("nanovolts").factor, stream_unit(None).is_known
        (1.0, 0.001, False)
    """
    spelt = (text or "").strip()
    if spelt.lstrip("-").isdecimal():
        return Unit("uV", 10.0 ** (int(spelt) + 6), is_known=True)
    return read_unit(spelt)


def microvolt_factor(unit: str | None) -> float:
    """Return the number of microvolts in one of a unit; 1 where it is not known, which the caller has to say.

    Raises:
        ValueError: it is known, and none of voltage.
    """
    found = stream_unit(unit)
    if found.is_known and not found.is_voltage:
        raise ValueError(f"`unit` is {unit}; expected one of voltage")
    return found.factor
