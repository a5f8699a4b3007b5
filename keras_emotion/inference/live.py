"""A saved model on a stream of EEG, window by window as it comes."""

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
"""A stream without samples for so long has ended."""

_LOOK_SECONDS, _OTHERS_SECONDS = 2.0, 0.5
"""After how long without samples a stream is looked for again, and how long others of its name have to answer."""

MOST_WAITING_SECONDS = 360.0
"""Most of a stream that waits for the prediction of what came before; older samples are lost then."""

_PULL_SECONDS = 0.05

IMPLAUSIBLE_SECONDS = 10.0
"""A stream whose first so many seconds cannot be EEG is refused: electrodes take a while to settle."""


class Stream(Protocol):
    """Source of live signals.

    Attributes:
        name: name in messages.
        channel_names: in the order of the axis.
        sampling_rate_hz: nominal samples per second.
        units: optional; units of the channels, by default microvolts.
        declared_units: optional; the same in the words of the sender, before `units` were made of them.
        source_id: identifies the device or program that sends.
        connection: number of the connection, which grows when a lost stream has come back. The other attributes then
            describe what came back, and may differ.
        notes: warnings about the description of the stream.
    """

    name: str
    channel_names: tuple[str, ...]
    sampling_rate_hz: float
    source_id: str
    connection: int
    notes: tuple[str, ...]

    def pull(self) -> tuple[np.ndarray, np.ndarray]:
        """New samples of one connection: `(channels, samples)` in `units` and `(samples,)` time stamps in seconds."""

    def clock(self) -> float:
        """Now, in seconds, on the clock of the time stamps."""


@dataclasses.dataclass(frozen=True, eq=False)
class LiveWindow:
    """One window of a stream.

    Args:
        start_seconds: from the first sample that was received, by the time stamps.
        stop_seconds: from the same.
        probabilities: `(classes,)`, NaN where there is a problem.
        latency_seconds: from the last sample of the window to now; negative where the time stamps are ahead of the
            clock, and so no latency can be given.
        problem: why there is no probability, empty where there is one.
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
    """Predict the windows of a stream, side by side, each as soon as it is complete.

    A filter that sees no future cannot be zero-phase. The features of a window are computed over a *trailing buffer*,
    the lead-in of `Predictor` and the window, by the same zero-phase filters as offline; at the end of the buffer these
    see the odd reflection of the signal in place of what comes. With `lag_seconds` a window waits so long after its
    end, its filters see so much of the future, and its features come closer to those offline.

    **Lost samples**: where the time stamps jump (`StreamClock`), windows start anew with the first sample after the
    jump, and nothing goes across. A baseline that was complete before stays. **Clocks that are set**: the times of the
    windows continue after the last sample. **Connections that were lost**: windows start anew with what came back. Its
    channels are matched by name again, its units converted, its windows cut at its own rate, and every difference is
    reported; the baseline is recorded anew if the source or the channels that the model uses changed.

    **No signal** is what it is offline (`keras_emotion.inference.signal_windows`), as far as it can be known so soon.
    Windows whose size no EEG has have no probability.

    Args:
        predictor: the model.
        stream: the source.
        lag_seconds: how long a window waits after its end; a whole number of samples.
        say: receives the messages about the stream.
        silence_seconds: the stream has ended when no samples came for so long.

    Raises:
        InputError: too few of the channels, or a window of the model is no whole number of samples of the stream; or
            the model sees faces, reads stimuli or has windows that overlap; or the stream gives no samples at all, no
            EEG by its size, or samples at quite another rate than it says.
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
        """Starts anew with the stream as it describes itself now."""
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
        # The ends of what is resampled see no neighbours.
        self._reach = 0 if rate == predictor.sampling_rate_hz else math.ceil(RESAMPLING_SECONDS * rate)
        more = (self._reach > 0) * math.ceil(RESAMPLING_SECONDS / predictor.window_seconds)
        self._n_before = predictor.n_lead + more
        self._judge = _Judge(predictor, self._channels.names, stream)
        self._clock = StreamClock(rate, stream.name)
        self._buffer, self._times = np.empty((len(self._channels.places), 0)), np.empty(0)
        self._first, self._n_done = 0, 0

    def follow_connection(self) -> bool:
        """Starts anew, and reports what is different, if the stream was lost and has come back; whether it has."""
        if self._stream.connection == self._connection:
            return False
        before, names = self._described, self._channels.names
        self._lost_seconds += self._clock.lost_seconds
        self._open()
        self._is_back = self._began is not None
        self._say("the stream was lost and came back; windows start anew")
        self._report_changes(before)
        for note in self._stream.notes:
            self._say(note)
        if missing := self._channels.missing:
            self._say(missing_text(missing, len(self._predictor.channel_names)))
        if not self._onset:
            self._baseline = self._buffer
        elif before["source"] != self._described["source"] or names != self._channels.names:
            self._baseline = None
            self._say("the baseline is recorded anew")
        return True

    def _report_changes(self, before: Mapping[str, Any]) -> None:
        """Reports what the description of the stream has in place of what it had before."""
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
        """The windows that new samples complete.

        Args:
            signal: `(channels, samples)` of the stream.
            at: `(samples,)` their time stamps in seconds.
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
            # `_first` is the sample, counted from the first window of the stretch, that the buffer begins with.
            dropped = max(self._n_done - self._n_before, 0) * window - first
            self._buffer, self._times = self._buffer[:, dropped:], self._times[dropped:]
            self._first += dropped

    def _n_needed(self) -> int:
        """Samples that the buffer must hold for the next step."""
        if self._baseline is None:
            return self._onset + self._reach
        return (self._n_done + 1) * self._window + self._lag - self._first

    def _breaks(self, n_needed: int) -> bool:
        """Whether an interruption lies among the samples that are needed; if so, drops what is before it."""
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
            self._say(f"the baseline begins anew: {problem}")
        else:
            whole = signals.resample(self._buffer[:, : onset + self._reach], rate, model_rate)
            self._baseline = whole[:, : round(self._predictor.baseline_seconds * model_rate)]
        self._buffer, self._times = self._buffer[:, onset:], self._times[onset:]

    def _at_return(self, at: np.ndarray) -> np.ndarray:
        """Time stamps of the first samples after a lost connection, shifted where the clock of the sender is another.

        Args:
            at: `(samples,)` stamps.
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
        """Reports that the stream has ended.

        Raises:
            InputError: it never gave a sample.
        """
        if self._began is None:
            raise InputError(f"{self._stream.name}: gives no samples for {silence_seconds:g} s; is it recording?")
        self._say(f"no samples for {silence_seconds:g} s; the stream has ended")

    def report_losses(self) -> None:
        """Reports how often samples were lost, and how long."""
        lost_seconds = [*self._lost_seconds, *self._clock.lost_seconds]
        if lost_seconds:
            self._say(f"samples were lost {len(lost_seconds)} times, {sum(lost_seconds):.3g} s in all")


def missing_text(missing: Sequence[str], n_channels: int) -> str:
    """Sentence about the channels of a model that a stream lacks."""
    return f"{len(missing)} of {n_channels} channels missing: {', '.join(missing)}"


class _Judge:
    """Says which windows of a stream have a signal."""

    def __init__(self, predictor: Predictor, names: tuple[str, ...], stream: Stream):
        self._grid, self._names, self._stream = predictor.grid, names, stream
        units = predictor.unit_of
        self._is_eeg = np.array([units[name] == "uV" and kind_by_name(name) is None for name in names], dtype=bool)
        self._is_plausible, self._implausible_seconds = False, 0.0

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
        if not problem and self._is_eeg.any():
            eeg = signal[self._is_eeg, place * n_window : (place + 1) * n_window]
            size_uv = float(np.median(deviations_uv(eeg, rate)))
            advice = size_advice(size_uv)
            # Also later: units and gains change while a stream runs.
            self._is_plausible |= advice is None
            if advice is not None:
                problem = size_fault(advice, size_uv)
                self._implausible_seconds += n_window / rate
                if not self._is_plausible and self._implausible_seconds >= IMPLAUSIBLE_SECONDS:
                    raise InputError(f"{self._stream.name}: {problem}")
        return signal, problem


class Receiver(threading.Thread):
    """Takes what arrives from an inlet at once, and keeps it until it is asked for.

    An inlet whose connection is lost gives none of what it had received before. So it may hold nothing back while a
    window is computed.

    Args:
        inlet: `StreamInlet` of mne-lsl, open.
        sampling_rate_hz: samples per second.

    Attributes:
        is_lost: whether the connection is lost; what was received before is still given.
    """

    def __init__(self, inlet: Any, sampling_rate_hz: float):
        super().__init__(daemon=True)
        self._inlet, self._most = inlet, round(MOST_WAITING_SECONDS * sampling_rate_hz)
        self._arrived = threading.Condition()
        self._waiting: collections.deque[tuple[np.ndarray, np.ndarray]] = collections.deque()
        self._n_waiting, self._is_closed, self.is_lost = 0, False, False
        self.start()

    def run(self) -> None:
        """Receives until the connection is lost or closed."""
        while not self._is_closed:
            try:
                samples, times = self._inlet.pull_chunk(timeout=_PULL_SECONDS)
            except RuntimeError:
                # The library's own error of a lost connection is one.
                with self._arrived:
                    self.is_lost = True
                    self._arrived.notify()
                return
            if not len(times):
                continue
            with self._arrived:
                # Copies: the inlet gives views of a buffer that it uses again.
                self._waiting.append((np.array(samples), np.array(times)))
                self._n_waiting += len(times)
                while self._n_waiting > self._most:
                    # The time stamps tell whoever reads them.
                    self._n_waiting -= len(self._waiting.popleft()[1])
                self._arrived.notify()

    def pull(self) -> tuple[np.ndarray, np.ndarray]:
        """What has arrived: `(samples, channels)` and `(samples,)` time stamps; nothing after a while without any."""
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
        """Closes the connection."""
        self._is_closed = True
        self.join()
        self._inlet.close_stream()


class LabStreamingLayer:
    """A stream of the Lab Streaming Layer, by its name.

    A stream that is lost and comes back under its name is opened anew, with its new description. The library's own
    recovery is off: it keeps the old description, so that a stream that comes back with another rate, other units or
    another order of channels would be read with the old ones.

    Args:
        name: name of the stream.
        timeout_seconds: how long it is looked for.
        channel_table: what the stream does not say of its channels, see `Recordings`.

    Attributes:
        units: unit of each channel, `"uV"` of voltages, and where the stream says no unit that is known.
        declared_units: unit of each channel as the stream declares it, `"none"` where it declares none.
        notes: what was concluded from what the stream says of itself.
        source_id: identifies the device or program that sends, by the stream's own word.
        connection: 1, and one more each time that the stream came back.

    Raises:
        InputError: mne-lsl is not installed, or there is no such stream or more than one, or it is no signal with
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
        # The first answer ends a search; others take a moment.
        connected = self._connected(self._only_one(self._resolve(_OTHERS_SECONDS, 2) or found))
        if connected is None:
            raise InputError(f"{self.name}: was found, and does not answer; is it running, and in reach?")
        self._read_description(*connected)

    def _resolve(self, timeout_seconds: float, minimum: int) -> list[Any]:
        return self._lsl.resolve_streams(timeout=timeout_seconds, name=self._stream_name, minimum=minimum)

    def _only_one(self, found: Sequence[Any]) -> Any:
        """The stream of this name, of those that were found.

        Raises:
            InputError: there is more than one.
        """
        if len(found) > 1:
            which = ", ".join(sorted(f"{one.source_id or 'no source_id'} on {one.hostname}" for one in found))
            raise InputError(f"{self.name}: {len(found)} streams of this name ({which}); stop or rename the others")
        return found[0]

    def _connected(self, found: Any) -> tuple[Any, Any] | None:
        """Inlet and description of a stream that was found; `None` where it does not answer."""
        try:
            inlet = self._lsl.StreamInlet(found, processing_flags=["clocksync"], recover=False)
            inlet.open_stream(timeout=self._timeout_seconds)
            return inlet, inlet.get_sinfo()
        except (TimeoutError, RuntimeError):
            # The library's own error of a lost connection is a RuntimeError.
            return None

    def _read_description(self, inlet: Any, info: Any) -> None:
        names, rate = info.get_channel_names(), float(info.sfreq)
        if info.dtype == "string" or not names or None in names or not rate > 0:
            raise InputError(f"{self.name}: is no signal with channel names and a sampling rate")
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
            InputError: what came back is no signal with channel names, or more than one stream.
        """
        samples, times = self._receiver.pull()
        if len(times):
            self._looked_at = self.clock()
        elif self._receiver.is_lost or self.clock() - self._looked_at > _LOOK_SECONDS:
            self._look_for_return()
        samples = np.asarray(samples, np.float64).reshape(-1, self._n_channels)
        return samples.T[self._rows] * self._factors, np.asarray(times, np.float64)

    def _look_for_return(self) -> None:
        """Connects to the stream of this name where the one before is lost; a silent one that still answers stays."""
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
        """Lets go of the stream."""
        self._receiver.close()


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
