"""Live prediction of EEG streams with saved models."""

from __future__ import annotations

import collections
import dataclasses
import math
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
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
"""Time without samples after which a stream counts as ended."""

_LOOK_SECONDS, _OTHERS_SECONDS = 2.0, 0.5
"""Time without samples before a stream is searched for again, and time for other streams of its name to answer."""

MOST_WAITING_SECONDS = 360.0
"""Maximum duration of the buffer for samples received during a prediction; older samples are lost."""

_PULL_SECONDS = 0.05

IMPLAUSIBLE_SECONDS = 10.0
"""Time at the start in which amplitudes are checked to be plausible for EEG: electrodes take a while to settle."""


class Stream(Protocol):
    """Source of live signals.

    Attributes:
        name: name for messages.
        channel_names: names in the order of the channels.
        sampling_rate_hz: nominal samples per second.
        units: optional; units of the channels, microvolts by default.
        declared_units: optional; the units as the sender spells them, before conversion to `units`.
        source_id: identifier of the device or program that sends the stream.
        connection: number of the connection, increased when a lost stream returns. The other attributes then describe
            the new connection and may differ.
        notes: warnings about the description of the stream.
    """

    name: str
    channel_names: tuple[str, ...]
    sampling_rate_hz: float
    source_id: str
    connection: int
    notes: tuple[str, ...]

    def pull(self) -> tuple[np.ndarray, np.ndarray]:
        """Return new samples of one connection, `(channels, samples)` in `units`, and `(samples,)` times in seconds."""

    def clock(self) -> float:
        """Return the current time in seconds on the clock of the time stamps."""


@dataclasses.dataclass(frozen=True, eq=False)
class LiveWindow:
    """One window of a stream.

    Args:
        start_seconds: time since the first received sample, from the time stamps.
        stop_seconds: the same for the end.
        probabilities: `(classes,)`, NaN if there is a problem.
        latency_seconds: delay between the last sample of the window and now; negative if the time stamps are ahead of
            the clock, so that the latency is unknown.
        problem: reason for the missing probability; empty if there is one.
    """

    start_seconds: float
    stop_seconds: float
    probabilities: np.ndarray
    latency_seconds: float
    problem: str = ""


def live_windows(
    predictor: Predictor,
    stream: Stream,
    lag_seconds: float = 0.0,
    say: Callable[[str], Any] = print,
    silence_seconds: float = SILENCE_SECONDS,
) -> Iterator[LiveWindow]:
    """Predict non-overlapping windows of a stream, each as soon as it is complete.

    A causal filter cannot be zero-phase. The features of a window are therefore computed from a *trailing buffer*, the
    lead-in of `Predictor` plus the window, with the same zero-phase filters as offline; past the end of the buffer, the
    filters use the odd reflection of the signal in place of future samples. With `lag_seconds`, prediction starts this
    long after the end of the window, so the filters use that much of the future signal, and the features are closer to
    the offline ones.

    **Lost samples**: if the time stamps jump (see `StreamClock`), windows start again at the first sample after the
    jump; no window spans it. A baseline that was already complete is kept. **Changed clocks**: the times of windows
    continue after the last sample. **Lost connections**: windows start again with the new connection. Its channels are
    matched by name again, its units converted, its windows cut at its own sampling rate, and all differences are
    reported; the baseline is recorded again if the source or the channels used by the model changed.

    **No signal** is detected as offline (`keras_emotion.inference.signal_windows`), as far as possible in real time.
    Windows with amplitudes implausible for EEG have no probability.

    Args:
        predictor: the model.
        stream: the source.
        lag_seconds: delay of the prediction after the end of a window; an integer number of samples.
        say: called with messages about the stream.
        silence_seconds: time without samples after which the stream counts as ended.

    Raises:
        InputError: too few channels of the model are in the stream; a window is not an integer number of samples; the
            model uses face video or stimuli, or has overlapping windows; or the stream has no samples, amplitudes
            implausible for EEG, or a sampling rate that differs too much from the declared one.
    """
    if predictor.face_part is not None:
        raise InputError(f"{predictor.model.name}: uses face video, which an EEG stream does not contain")
    if predictor.media_parts:
        raise InputError(
            f"{predictor.model.name}: uses the stimulus, which a stream does not contain; give a recording"
        )
    if predictor.hop_seconds != predictor.window_seconds:
        raise InputError(
            f"{predictor.model.name}: windows of {predictor.window_seconds:g} s every {predictor.hop_seconds:g} s "
            "need a recording"
        )
    if predictor.lag_seconds:
        raise InputError(f"{predictor.model.name}: windows with a lag of {predictor.lag_seconds:g} s need a recording")
    windows = _LiveWindows(predictor, stream, lag_seconds, say)
    silent_since = stream.clock()
    try:
        while True:
            signal, at = stream.pull()
            if windows.follow_connection():
                silent_since = stream.clock()
            if len(at):
                silent_since = stream.clock()
                yield from windows.add(signal, at)
            elif stream.clock() - silent_since > silence_seconds:
                windows.end(silence_seconds)
                return
    finally:
        windows.report_losses()


class _LiveWindows:
    """Windows of a stream as its samples arrive; see `live_windows`.

    Raises:
        InputError: see `live_windows`.
    """

    def __init__(self, predictor: Predictor, stream: Stream, lag_seconds: float, say: Callable[[str], Any]):
        self._predictor, self._stream, self._lag_seconds = predictor, stream, lag_seconds
        self._say = lambda text: say(f"{stream.name}: {text}")
        self._lost_seconds: list[float] = []
        self._began: float | None = None
        self._last, self._last_arrival, self._shift, self._is_back = 0.0, 0.0, 0.0, False
        self._baseline: np.ndarray | None = None
        self._open()
        if not self._onset:
            self._baseline = np.empty((len(self._channels.places), 0))

    def _open(self) -> None:
        """Start again with the current description of the stream."""
        predictor, stream = self._predictor, self._stream
        units = getattr(stream, "units", None)
        self._channels = predictor.select_channels(stream.channel_names, stream.name, units)
        self._described = {
            "source": stream.source_id,
            "sampling rate": f"{stream.sampling_rate_hz:g} Hz",
            "channels": tuple(stream.channel_names),
            "units": tuple(getattr(stream, "declared_units", ())),
        }
        self._connection, rate = stream.connection, stream.sampling_rate_hz
        seconds = {
            "window_seconds": predictor.window_seconds,
            "lag_seconds": self._lag_seconds,
            "baseline_seconds": predictor.baseline_seconds,
        }
        try:
            counts = [signals.sample_count(value, rate, name) for name, value in seconds.items()]
        except ValueError as error:
            raise InputError(f"{stream.name}: {error}") from None
        self._window, self._lag, self._onset = counts
        # The edges of a resampled block have no context.
        self._reach = 0 if rate == predictor.sampling_rate_hz else math.ceil(RESAMPLING_SECONDS * rate)
        more = (self._reach > 0) * math.ceil(RESAMPLING_SECONDS / predictor.window_seconds)
        self._n_before = predictor.n_lead + more
        self._judge = _Judge(predictor, self._channels.names, stream)
        self._clock = StreamClock(rate, stream.name)
        self._buffer, self._times = np.empty((len(self._channels.places), 0)), np.empty(0)
        self._first, self._n_done = 0, 0

    def follow_connection(self) -> bool:
        """If the stream was lost and has returned, start again and report differences; return whether it was."""
        if self._stream.connection == self._connection:
            return False
        before, names = self._described, self._channels.names
        self._lost_seconds += self._clock.lost_seconds
        self._open()
        self._is_back = self._began is not None
        self._say("the stream was lost and came back; windows restart")
        self._report_changes(before)
        for note in self._stream.notes:
            self._say(note)
        if missing := self._channels.missing:
            self._say(missing_text(missing, len(self._predictor.channel_names)))
        if not self._onset:
            self._baseline = self._buffer
        elif before["source"] != self._described["source"] or names != self._channels.names:
            self._baseline = None
            self._say("a new baseline is recorded")
        return True

    def _report_changes(self, before: Mapping[str, Any]) -> None:
        """Report what changed in the description of the stream."""
        now = self._described
        for what in ("source", "sampling rate"):
            if now[what] != before[what]:
                self._say(f"came back with another {what}: {now[what] or 'none'}, was {before[what] or 'none'}")
        if now["channels"] != before["channels"]:
            if sorted(now["channels"]) == sorted(before["channels"]):
                self._say("came back with its channels in another order; they are matched by name")
            else:
                self._say(f"came back with other channels, matched by name: {', '.join(now['channels'])}")
        units_of = [dict(zip(one["channels"], one["units"], strict=False)) for one in (before, now)]
        changed: dict[tuple[str, str], list[str]] = {}
        for name in [name for name in now["channels"] if name in units_of[0]]:
            if units_of[0][name] != units_of[1][name]:
                changed.setdefault((units_of[0][name], units_of[1][name]), []).append(name)
        for (was, is_now), names in changed.items():
            self._say(f"came back with another unit of {', '.join(names)}: {is_now}, was {was}")

    def add(self, signal: np.ndarray, at: np.ndarray) -> Iterator[LiveWindow]:
        """Yield the windows that new samples complete.

        Args:
            signal: `(channels, samples)` of the stream.
            at: `(samples,)` time stamps in seconds.
        """
        predictor, stream = self._predictor, self._stream
        at = at + self._shift
        if self._began is None:
            self._began = at[0]
        if self._is_back:
            at = self._at_return(at)
        self._last, self._last_arrival = at[-1], stream.clock()
        channels = self._channels
        self._buffer = np.concatenate([self._buffer, signal[list(channels.places)] * channels.scales], axis=1)
        self._times = np.concatenate([self._times, at])
        while len(self._times) >= (n := self._n_needed()):
            if self._breaks(n):
                continue
            if self._baseline is None:
                self._take_baseline()
                continue
            rate, window, first = stream.sampling_rate_hz, self._window, self._first
            begin, stop = max(self._n_done - self._n_before, 0), n - self._lag
            piece = self._buffer[:, begin * window - first : n]
            repaired, problem = self._judge.repaired(piece, self._n_done - begin, window)
            probabilities = np.full(predictor.n_classes, np.nan)
            if not problem:
                resampled = signals.resample(repaired, rate, predictor.sampling_rate_hz)
                inputs = predictor.live_inputs(resampled, begin, self._n_done - begin, channels, self._baseline)
                if is_finite(inputs).all():
                    probabilities = predictor.apply(inputs)["probabilities"][0]
                    problem = "" if np.isfinite(probabilities).all() else NO_NUMBERS_OUT
                else:
                    problem = NO_NUMBERS_IN
            start = self._clock.start_of(self._times[stop - window : stop]) - self._began
            latency = stream.clock() - self._times[stop - 1]
            yield LiveWindow(start, start + predictor.window_seconds, probabilities, latency, problem)
            self._n_done += 1
            # `_first` is the position of the buffer in samples, relative to the first window of the segment.
            dropped = max(self._n_done - self._n_before, 0) * window - first
            self._buffer, self._times = self._buffer[:, dropped:], self._times[dropped:]
            self._first += dropped

    def _n_needed(self) -> int:
        """Return the number of samples that the buffer needs for the next step."""
        if self._baseline is None:
            return self._onset + self._reach
        return (self._n_done + 1) * self._window + self._lag - self._first

    def _breaks(self, n_needed: int) -> bool:
        """Return whether the required samples contain an interruption, and if so drop the samples before it."""
        place = self._clock.find_break(self._times, n_needed, self._stream.clock())
        while self._clock.notes:
            self._say(f"{self._times[place or 0] - self._began:.1f} s: {self._clock.notes.pop(0)}")
        if place is None:
            return False
        self._shift -= self._clock.set_seconds
        self._last -= self._clock.set_seconds
        self._buffer, self._times = self._buffer[:, place:], self._times[place:] - self._clock.set_seconds
        self._first, self._n_done = 0, 0
        return True

    def _take_baseline(self) -> None:
        onset, rate, model_rate = self._onset, self._stream.sampling_rate_hz, self._predictor.sampling_rate_hz
        if problem := self._judge.problem_of(self._buffer[:, :onset]):
            self._say(f"the baseline recording restarts: {problem}")
        else:
            whole = signals.resample(self._buffer[:, : onset + self._reach], rate, model_rate)
            self._baseline = whole[:, : round(self._predictor.baseline_seconds * model_rate)]
        self._buffer, self._times = self._buffer[:, onset:], self._times[onset:]

    def _at_return(self, at: np.ndarray) -> np.ndarray:
        """Return the time stamps of the first samples after a lost connection, shifted if the sender's clock changed.

        Args:
            at: `(samples,)` time stamps.
        """
        self._is_back = False
        away = self._stream.clock() - self._last_arrival
        gap = at[0] - self._last - 1 / self._stream.sampling_rate_hz
        if gap < 0 or abs(gap - away) > away + SILENCE_SECONDS:
            shift = away - gap
            self._shift += shift
            at, gap = at + shift, away
            self._say("came back with time stamps of another clock; times continue by the clock of this computer")
        self._lost_seconds.append(gap)
        self._say(f"{at[0] - self._began:.1f} s: {gap:.3g} s lost while the connection was lost")
        return at

    def end(self, silence_seconds: float) -> None:
        """Report the end of the stream.

        Raises:
            InputError: no sample was ever received.
        """
        if self._began is None:
            raise InputError(f"{self._stream.name}: gives no samples for {silence_seconds:g} s; is it recording?")
        self._say(f"no samples for {silence_seconds:g} s; the stream has ended")

    def report_losses(self) -> None:
        """Report how often samples were lost, and their total duration."""
        lost_seconds = [*self._lost_seconds, *self._clock.lost_seconds]
        if lost_seconds:
            self._say(f"samples were lost {len(lost_seconds)} times, {sum(lost_seconds):.3g} s in all")


def missing_text(missing: Sequence[str], n_channels: int) -> str:
    """Return the message about channels of a model that are missing in a stream."""
    return f"{len(missing)} of {n_channels} channels missing: {', '.join(missing)}"


class _Judge:
    """Detects windows of a stream without signal."""

    def __init__(self, predictor: Predictor, names: tuple[str, ...], stream: Stream):
        self._grid, self._names, self._stream = predictor.grid, names, stream
        units = predictor.unit_of
        self._is_eeg = np.array([units[name] == "uV" and kind_by_name(name) is None for name in names], dtype=bool)
        self._is_plausible, self._implausible_seconds = False, 0.0

    def _damage(self, signal: np.ndarray) -> list[Damage]:
        found = find_damage(signal, self._stream.sampling_rate_hz, self._is_eeg)
        return [Damage(start, stop, what, self._names[row]) for what, row, start, stop in found]

    def problem_of(self, signal: np.ndarray) -> str:
        """Return the damage found in a signal, with channels; empty if there is none."""
        return "; ".join(dict.fromkeys(f"{one.what} {one.name}" for one in self._damage(signal)))

    def repaired(self, signal: np.ndarray, place: int, n_window: int) -> tuple[np.ndarray, str]:
        """Return the repaired signal, and the reason why the window at `place` has no probability.

        Raises:
            InputError: too much of the stream is implausible for EEG.
        """
        rate, n_samples = self._stream.sampling_rate_hz, signal.shape[1]
        damage = self._damage(signal)
        stretch = Stretch(0, n_samples, 0.0, 0.0, place + 1)
        problem = self._grid.problems([stretch], damage, rate, int(self._is_eeg.sum()))[place]
        spans = [(one.start, one.stop) for one in damage]
        whole = RepairedSignal(lambda start, stop: signal[:, start:stop].copy(), n_samples, spans, rate)
        signal = whole.read(0, n_samples) if spans else signal
        if not problem and self._is_eeg.any():
            eeg = signal[self._is_eeg, place * n_window : (place + 1) * n_window]
            size_uv = float(np.median(deviations_uv(eeg, rate)))
            advice = size_advice(size_uv)
            # Checked throughout, since units and gains can change during a stream.
            self._is_plausible |= advice is None
            if advice is not None:
                problem = size_fault(advice, size_uv)
                self._implausible_seconds += n_window / rate
                if not self._is_plausible and self._implausible_seconds >= IMPLAUSIBLE_SECONDS:
                    raise InputError(f"{self._stream.name}: {problem}")
        return signal, problem


class Receiver(threading.Thread):
    """Receives from an inlet immediately and buffers the samples.

    An inlet loses its received samples when the connection is lost, so none may wait there while a window is computed.

    Args:
        inlet: open `StreamInlet` of mne-lsl.
        sampling_rate_hz: samples per second.

    Attributes:
        is_lost: whether the connection is lost; samples received before can still be pulled.
    """

    def __init__(self, inlet: Any, sampling_rate_hz: float):
        super().__init__(daemon=True)
        self._inlet, self._most = inlet, round(MOST_WAITING_SECONDS * sampling_rate_hz)
        self._arrived = threading.Condition()
        self._waiting: collections.deque[tuple[np.ndarray, np.ndarray]] = collections.deque()
        self._n_waiting, self._is_closed, self.is_lost = 0, False, False
        self.start()

    def run(self) -> None:
        """Receive until the connection is lost or closed."""
        while not self._is_closed:
            try:
                samples, times = self._inlet.pull_chunk(timeout=_PULL_SECONDS)
            except RuntimeError:
                # One of these is mne-lsl's error for a lost connection.
                with self._arrived:
                    self.is_lost = True
                    self._arrived.notify()
                return
            if not len(times):
                continue
            with self._arrived:
                # Copied, since the inlet returns views of a buffer that it reuses.
                self._waiting.append((np.array(samples), np.array(times)))
                self._n_waiting += len(times)
                while self._n_waiting > self._most:
                    # Readers notice the loss from the time stamps.
                    self._n_waiting -= len(self._waiting.popleft()[1])
                self._arrived.notify()

    def pull(self) -> tuple[np.ndarray, np.ndarray]:
        """Return new samples, `(samples, channels)`, and `(samples,)` time stamps; none after a short timeout."""
        with self._arrived:
            if not self._waiting and not self.is_lost:
                self._arrived.wait(_PULL_SECONDS)
            found = list(self._waiting)
            self._waiting.clear()
            self._n_waiting = 0
        if not found:
            return np.empty((0, 0)), np.empty(0)
        samples, times = (np.concatenate(arrays) for arrays in zip(*found, strict=True))
        return samples, times

    def close(self) -> None:
        """Close the connection."""
        self._is_closed = True
        self.join()
        self._inlet.close_stream()


class LabStreamingLayer:
    """A stream of the Lab Streaming Layer, found by its name.

    If a lost stream returns under its name, it is opened again with its new description. The recovery of the library is
    disabled: it keeps the old description, so that a stream with a new sampling rate, units or channel order would be
    misread.

    Args:
        name: name of the stream.
        timeout_seconds: maximum time of the search.
        channel_table: channel information that the stream does not declare, see `Recordings`.

    Attributes:
        units: unit of each channel; `"uV"` for voltages and if the declared unit is unknown.
        declared_units: unit of each channel as declared by the stream, `"none"` if there is none.
        notes: assumptions made about the description of the stream.
        source_id: identifier of the device or program, as declared by the stream.
        connection: 1, increased each time the stream returns.

    Raises:
        InputError: mne-lsl is not installed; there is no such stream, or more than one; or it is not a signal with
            channel names.
    """

    def __init__(self, name: str, timeout_seconds: float = 10.0, channel_table: ChannelTable | None = None):
        try:
            from mne_lsl import lsl
        except ImportError:
            raise InputError("--lsl needs mne-lsl: pip install 'keras_emotion[lsl]'") from None
        self._lsl, self._stream_name, self.name = lsl, name, f"--lsl {name}"
        self._timeout_seconds, self._table = timeout_seconds, channel_table
        self.connection = 0
        found = self._resolve(timeout_seconds, 1)
        if not found:
            raise InputError(f"--lsl {name}: no such stream within {timeout_seconds:g} s; is it running, and in reach?")
        # The search ends at the first answer; other streams may answer later.
        connected = self._connected(self._only_one(self._resolve(_OTHERS_SECONDS, 2) or found))
        if connected is None:
            raise InputError(f"{self.name}: was found, and does not answer; is it running, and in reach?")
        self._read_description(*connected)

    def _resolve(self, timeout_seconds: float, minimum: int) -> list[Any]:
        return self._lsl.resolve_streams(timeout=timeout_seconds, name=self._stream_name, minimum=minimum)

    def _only_one(self, found: Sequence[Any]) -> Any:
        """Return the stream of this name among those found.

        Raises:
            InputError: there is more than one.
        """
        if len(found) > 1:
            which = ", ".join(sorted(f"{one.source_id or 'no source_id'} on {one.hostname}" for one in found))
            raise InputError(f"{self.name}: {len(found)} streams of this name ({which}); stop or rename the others")
        return found[0]

    def _connected(self, found: Any) -> tuple[Any, Any] | None:
        """Return the inlet and the description of a stream; `None` if it does not answer."""
        try:
            inlet = self._lsl.StreamInlet(found, processing_flags=["clocksync"], recover=False)
            inlet.open_stream(timeout=self._timeout_seconds)
            return inlet, inlet.get_sinfo()
        except (TimeoutError, RuntimeError):
            # One of these, a RuntimeError, is mne-lsl's error for a lost connection.
            return None

    def _read_description(self, inlet: Any, info: Any) -> None:
        names, rate = info.get_channel_names(), float(info.sfreq)
        if info.dtype == "string" or not names or None in names or not rate > 0:
            raise InputError(f"{self.name}: is not a signal with channel names and a sampling rate")
        if len(names) != info.n_channels:
            raise InputError(f"{self.name}: has {info.n_channels} channels and names for {len(names)} of them")
        units = info.get_channel_units() or [None] * len(names)
        described = describe_channels(names, units, self._table)
        self._rows, self.channel_names, self.units, self._factors, self.notes = described
        self.declared_units = tuple(units[row] or "none" for row in self._rows)
        self._uid, self.source_id = info.uid, info.source_id
        self.sampling_rate_hz, self._n_channels = rate, len(names)
        self.connection += 1
        self._receiver, self._looked_at = Receiver(inlet, rate), self.clock()

    def pull(self) -> tuple[np.ndarray, np.ndarray]:
        """See `Stream`.

        Raises:
            InputError: the new connection is not a signal with channel names, or there is more than one stream.
        """
        samples, times = self._receiver.pull()
        if len(times):
            self._looked_at = self.clock()
        elif self._receiver.is_lost or self.clock() - self._looked_at > _LOOK_SECONDS:
            self._look_for_return()
        samples = np.asarray(samples, np.float64).reshape(-1, self._n_channels)
        return samples.T[self._rows] * self._factors, np.asarray(times, np.float64)

    def _look_for_return(self) -> None:
        """Connect again if the connection is lost; a silent stream that still answers is kept."""
        found = self._resolve(_OTHERS_SECONDS, 2)
        self._looked_at = self.clock()
        if not found or (not self._receiver.is_lost and self._uid in [one.uid for one in found]):
            return
        same = [one for one in found if one.source_id and one.source_id == self.source_id]
        connected = self._connected(self._only_one(same or found))
        if connected is not None:
            self.close()
            self._read_description(*connected)

    def clock(self) -> float:
        """See `Stream`."""
        return self._lsl.local_clock()

    def close(self) -> None:
        """Disconnect from the stream."""
        self._receiver.close()


def describe_channels(
    names: Sequence[str], spelt_units: Sequence[str | None] | None, table: ChannelTable | None
) -> tuple[list[int], tuple[str, ...], tuple[str, ...], np.ndarray, tuple[str, ...]]:
    """Return rows, names, units and factors `(channels, 1)` of a stream's channels, and notes on missing information.

    Args:
        names: names as declared by the stream.
        spelt_units: declared units, `None` if there are none.
        table: channel information from the user.
    """
    said = {name: table.entry(name, "kind") if table else None for name in names}
    rows = [row for row, name in enumerate(names) if said[name] != LEFT_OUT]
    spelt = list(spelt_units or [None] * len(names))
    units, factors = [], []
    unknown: dict[str, list[str]] = {}
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
    """Return the unit that a stream declares: as `read_unit`, and powers of ten of the volt, as in MNE-LSL.

    Example:
        >>> stream_unit("-6").factor, stream_unit("nanovolts").factor, stream_unit(None).is_known
        (1.0, 0.001, False)
    """
    spelt = (text or "").strip()
    if spelt.lstrip("-").isdecimal():
        return Unit("uV", 10.0 ** (int(spelt) + 6), is_known=True)
    return read_unit(spelt)


def microvolt_factor(unit: str | None) -> float:
    """Return the size of a unit in microvolts; 1 if it is unknown, which the caller must report.

    Raises:
        ValueError: it is known, but not a unit of voltage.
    """
    found = stream_unit(unit)
    if found.is_known and not found.is_voltage:
        raise ValueError(f"`unit` is {unit}; expected one of voltage")
    return found.factor
