"""Find the windows of a recording that have a signal, and replace samples that have none.

**Missing signal.** Non-finite samples, in any used channel; EEG channels that are constant for half a second, or all of
them together for 0.1 s, as in pauses filled with zeros; segments marked as bad in the file.

**Handling.** The filters of the features run over everything. Therefore samples without signal, pauses included, are
replaced by linear interpolation, and windows that overlap with them have no probability; nor have those within
`margin_seconds` of them, where the filters still respond to the replacement. Further away the features are those of a
recording without the damage, up to `MARGIN_SHARE` next to the margin and to `TRANSIENT` a lead-in away. A segment that
is marked as bad but has a signal is not replaced, and only affects the windows that overlap with it.

**Gaps.** Nothing spans a gap: on either side filters, rates and windows are those of a separate recording.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from keras_emotion.datasets.continuous import ContinuousRecording
from keras_emotion.datasets.plausibility import deviations_uv
from keras_emotion.datasets.time_axis import BadSpan
from keras_emotion.inference.channels import Channels
from keras_emotion.pipelines.features import TRANSIENT
from keras_emotion.signals import rate_ratio

FLAT_SECONDS = 0.5
"""Duration of a constant EEG channel that counts as missing signal; coarse converters repeat values for less."""

FLAT_TOGETHER_SECONDS = 0.1
"""The same for all EEG channels together."""

MARGIN_SHARE = 1e-2
"""Share of the filters' transients that remains at the end of the margin."""

RESAMPLING_SECONDS = 0.5
"""Reach of the resampling filter, at the rates of EEG."""

_MERGED_SECONDS = 0.1
_SCAN_SECONDS = 10.0

NOT_A_NUMBER, FLAT, CALLED_BAD = "non-finite samples in", "constant signal in", "bad segment in the file:"


@dataclasses.dataclass(frozen=True)
class Damage:
    """Segment of samples without signal.

    Args:
        start: its first sample.
        stop: the sample after its last.
        what: kind of damage, the beginning of a sentence, and
        name: its end: a channel, or the file's description.
        is_replaced: whether its samples are replaced.
    """

    start: int
    stop: int
    what: str
    name: str
    is_replaced: bool = True


@dataclasses.dataclass(frozen=True)
class Stretch:
    """Segment between two gaps.

    Args:
        start: its first sample.
        stop: the sample after its last.
        start_seconds: its start on the time axis of the recording.
        baseline_seconds: length of the baseline at its start.
        n_windows: number of windows in it.
    """

    start: int
    stop: int
    start_seconds: float
    baseline_seconds: float
    n_windows: int


@dataclasses.dataclass(frozen=True, eq=False)
class RecordedWindows:
    """The windows of a recording.

    Args:
        channels: channels of the model.
        stretches: segments between gaps that are long enough for windows.
        replaced: `(start, stop)` of the samples without signal.
        starts_seconds: `(windows,)` on the time axis of the recording.
        problems: `(windows,)` why a window has no signal, empty if it has one.
    """

    channels: Channels
    stretches: tuple[Stretch, ...]
    replaced: tuple[tuple[int, int], ...]
    starts_seconds: np.ndarray
    problems: np.ndarray


@dataclasses.dataclass(frozen=True)
class WindowGrid:
    """Windowing of recordings.

    Args:
        window_seconds: length of a window.
        hop_seconds: time between consecutive window starts in seconds.
        lag_seconds: delay of a window's signal relative to the window.
        baseline_seconds: length of the baseline at the start of the recording.
        sampling_rate_hz: sampling rate of the model.
        lead_in_seconds: time after which the filters' transients have decayed to `TRANSIENT`.
    """

    window_seconds: float
    hop_seconds: float
    lag_seconds: float
    baseline_seconds: float
    sampling_rate_hz: float
    lead_in_seconds: float

    def margin_seconds(self, recorded_rate_hz: float) -> float:
        """Return the required distance of a window from damage."""
        ringing = self.lead_in_seconds * math.log(MARGIN_SHARE) / math.log(TRANSIENT)
        return ringing + RESAMPLING_SECONDS * (recorded_rate_hz != self.sampling_rate_hz)

    def stretches(self, recording: ContinuousRecording) -> list[Stretch]:
        """Return the segments between the gaps of a recording, including those too short for a window."""
        places = sorted({gap.sample for gap in recording.gaps if 0 < gap.sample < recording.n_samples})
        found = []
        ratio = rate_ratio(recording.sampling_rate_hz, self.sampling_rate_hz)
        for start, stop in zip([0, *places], [*places, recording.n_samples], strict=True):
            before_seconds = 0.0 if start else self.baseline_seconds
            n_samples = math.ceil((stop - start) * ratio)
            used = n_samples - round((before_seconds + self.lag_seconds) * self.sampling_rate_hz)
            window, hop = (round(one * self.sampling_rate_hz) for one in (self.window_seconds, self.hop_seconds))
            n_windows = max((used - window) // hop + 1, 0)
            found.append(Stretch(start, stop, recording.time_axis.seconds_of(start), before_seconds, n_windows))
        return found

    def starts_seconds(self, stretches: Iterable[Stretch]) -> np.ndarray:
        """Return the `(windows,)` start times on the time axis of the recording."""
        starts = [
            one.start_seconds + one.baseline_seconds + np.arange(one.n_windows) * self.hop_seconds for one in stretches
        ]
        return np.concatenate([np.empty(0), *starts])

    def in_baseline(self, damage: Iterable[Damage], recorded_rate_hz: float, is_filtered: bool) -> list[Damage]:
        """Return the damage within the baseline, or, if filters run over it, too close to it."""
        margin = self.margin_seconds(recorded_rate_hz) if is_filtered else 0.0
        ends = {replaced: (self.baseline_seconds + margin * replaced) * recorded_rate_hz for replaced in (True, False)}
        return [one for one in damage if self.baseline_seconds and one.start < ends[one.is_replaced]]

    def problems(
        self, stretches: Sequence[Stretch], damage: Iterable[Damage], recorded_rate_hz: float, n_eeg: int
    ) -> np.ndarray:
        """Return `(windows,)` reasons why a window has no probability, empty if it has one.

        Args:
            stretches: result of `stretches`.
            damage: damage of the recording.
            recorded_rate_hz: sampling rate of the recording.
            n_eeg: number of used EEG channels.
        """
        margin = self.margin_seconds(recorded_rate_hz) * recorded_rate_hz
        length, hop = (one * recorded_rate_hz for one in (self.window_seconds, self.hop_seconds))
        found: dict[int, dict[str, dict[str, None]]] = {}
        near: set[int] = set()
        first = 0
        damage = list(damage)
        for stretch in stretches:
            begin = stretch.start + (stretch.baseline_seconds + self.lag_seconds) * recorded_rate_hz

            def windows_of(start: float, stop: float, stretch: Stretch = stretch, begin: float = begin) -> range:
                lowest = math.floor((max(start, stretch.start) - begin - length) / hop) + 1
                highest = math.ceil((min(stop, stretch.stop) - begin) / hop)
                return range(max(lowest, 0), min(highest, stretch.n_windows))

            for one in damage:
                if one.stop <= stretch.start or one.start >= stretch.stop:
                    continue
                for window in windows_of(one.start, one.stop):
                    found.setdefault(first + window, {}).setdefault(one.what, {})[one.name] = None
                if one.is_replaced:
                    near |= {first + window for window in windows_of(one.start - margin, one.stop + margin)}
            first += stretch.n_windows
        problems = np.full(first, "", dtype=object)
        problems[[*near]] = f"within {margin / recorded_rate_hz:.1f} s of samples without signal"
        for window, reasons in found.items():
            problems[window] = "; ".join(
                f"{what} {'all EEG channels' if what == FLAT and len(names) == n_eeg > 1 else ', '.join(names)}"
                for what, names in reasons.items()
            )
        return problems


@dataclasses.dataclass(frozen=True, eq=False)
class Survey:
    """Result of one pass over a whole recording.

    Args:
        damage: by channel, in order of time within each.
        dead: channels without any signal from start to end.
        size_uv: median standard deviation of the EEG within a second, 0 without EEG.
    """

    damage: tuple[Damage, ...]
    dead: tuple[str, ...]
    size_uv: float


def survey(
    recording: ContinuousRecording, names: Sequence[str], places: Sequence[int], stretches: Sequence[Stretch]
) -> Survey:
    """Examine all samples of some channels, in bounded memory.

    Args:
        recording: the recording.
        names: names of the channels, for messages.
        places: their positions in the recording.
        stretches: segments between its gaps.
    """
    rate = recording.sampling_rate_hz
    is_eeg = np.array([recording.kinds[place] == "eeg" for place in places], dtype=bool)
    spans: dict[tuple[str, str], list[tuple[int, int]]] = {}
    deviations = []
    overlap, length = math.ceil(FLAT_SECONDS * rate), max(round(_SCAN_SECONDS * rate), 1)
    for stretch in stretches:
        for start in range(stretch.start, stretch.stop, length):
            begin, stop = max(start - overlap, stretch.start), min(start + length, stretch.stop)
            signal = recording.read(begin, stop, places)
            for what, row, first, last in find_damage(signal, rate, is_eeg):
                spans.setdefault((names[row], what), []).append((begin + first, begin + last))
            new = signal[is_eeg, start - begin :]
            if is_eeg.any() and (new.shape[1] >= rate or start == stretch.start):
                with np.errstate(invalid="ignore"):
                    deviations.append(deviations_uv(new, rate).ravel())
    sizes = np.concatenate([np.empty(0), *deviations])
    sizes = sizes[np.isfinite(sizes) & (sizes > 0)]
    damage = [Damage(start, stop, what, name) for (name, what), found in spans.items() for start, stop in merged(found)]
    of_channel: dict[str, list[tuple[int, int]]] = {}
    for one in damage:
        of_channel.setdefault(one.name, []).append((one.start, one.stop))
    whole = sum(stretch.stop - stretch.start for stretch in stretches)
    dead = [name for name, own in of_channel.items() if sum(stop - start for start, stop in merged(own)) == whole]
    return Survey(tuple(damage), tuple(dead), float(np.median(sizes)) if len(sizes) else 0.0)


def find_damage(signal: np.ndarray, sampling_rate_hz: float, is_eeg: np.ndarray) -> list[tuple[str, int, int, int]]:
    """Find missing signal: `(what, row, start, stop)` of each segment of a channel.

    Args:
        signal: `(channels, samples)`.
        sampling_rate_hz: sampling rate.
        is_eeg: `(channels,)`; others may be constant.

    Example:
        >>> signal = np.random.default_rng(0).standard_normal((2, 1000))
        >>> signal[0, 10:12], signal[:, 300:400] = np.nan, 0
        >>> [one[1:] for one in find_damage(signal, 500, np.array([True, True]))]
        [(0, 10, 12), (0, 300, 400), (1, 300, 400)]
    """
    is_number = np.isfinite(signal)
    found = [(NOT_A_NUMBER, *run) for run in _runs(~is_number, 1)]
    rows = np.flatnonzero(is_eeg)
    if not len(rows) or signal.shape[1] < 2:
        return found
    with np.errstate(invalid="ignore"):
        stays = np.diff(signal[rows], axis=1) == 0
    # A run of n differences is one of n + 1 samples.
    single = _runs(stays, FLAT_SECONDS * sampling_rate_hz - 1)
    found += [(FLAT, int(rows[row]), start, stop + 1) for row, start, stop in single]
    if len(rows) > 1:
        together = (stays | ~is_number[rows, 1:]).all(axis=0, keepdims=True) & is_number[rows, 1:].any(axis=0)
        runs = _runs(together, max(FLAT_TOGETHER_SECONDS * sampling_rate_hz, 3) - 1)
        found += [(FLAT, int(row), start, stop + 1) for row in rows for _, start, stop in runs]
    return found


def _runs(mask: np.ndarray, shortest: float) -> list[tuple[int, int, int]]:
    """Return `(row, start, stop)` of runs of true values of at least this length, row by row."""
    edges = np.diff(np.pad(mask, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    (rows, starts), (_, stops) = np.nonzero(edges == 1), np.nonzero(edges == -1)
    kept = stops - starts >= shortest
    return list(zip(rows[kept].tolist(), starts[kept].tolist(), stops[kept].tolist(), strict=True))


def merged(spans: Iterable[tuple[int, int]], nearest: int = 0) -> list[tuple[int, int]]:
    """Sort spans and merge those that touch or are at most `nearest` samples apart.

    Example:
        >>> merged([(7, 9), (0, 3), (2, 5)])
        [(0, 5), (7, 9)]
    """
    found: list[list[int]] = []
    for start, stop in sorted(spans):
        if found and start <= found[-1][1] + nearest:
            found[-1][1] = max(found[-1][1], stop)
        else:
            found.append([start, stop])
    return [(start, stop) for start, stop in found]


def damage_of_file(spans: Iterable[BadSpan]) -> list[Damage]:
    """Return the bad segments of the file as damage."""
    return [
        Damage(span.start_sample, span.stop_sample, CALLED_BAD, span.reason, not span.has_signal)
        for span in spans
        if span.stop_sample > span.start_sample
    ]


class RepairedSignal:
    """Signal with segments replaced by linear interpolation, read piece by piece.

    Args:
        read: `read(start, stop)` returns `(channels, stop - start)`, with samples counted from its start.
        n_samples: total number of samples.
        spans: `(start, stop)` of replaced segments; a gap of less than 0.1 s between two is replaced, too.
        sampling_rate_hz: sampling rate.
    """

    def __init__(
        self,
        read: Callable[[int, int], np.ndarray],
        n_samples: int,
        spans: Iterable[tuple[int, int]],
        sampling_rate_hz: float,
    ):
        self._read, self._n_samples = read, n_samples
        clipped = [(max(start, 0), min(stop, n_samples)) for start, stop in spans]
        nearest = round(_MERGED_SECONDS * sampling_rate_hz)
        self.spans = merged([(start, stop) for start, stop in clipped if start < stop], nearest)

    def read(self, start: int, stop: int) -> np.ndarray:
        """Return `(channels, stop - start)` samples, all of them finite."""
        signal = self._read(start, stop)
        for first, last in self.spans:
            if first >= stop or last <= start:
                continue
            before = self._sample(first - 1, signal, start)
            after = self._sample(last, signal, start)
            if before is None:
                before = np.zeros((len(signal), 1)) if after is None else after
            if after is None:
                after = before
            places = np.arange(max(first, start), min(last, stop))
            share = (places - (first - 1)) / (last - first + 1)
            signal[:, places - start] = before + (after - before) * share
        return signal

    def _sample(self, place: int, piece: np.ndarray, start: int) -> np.ndarray | None:
        if not 0 <= place < self._n_samples:
            return None
        if start <= place < start + piece.shape[1]:
            return piece[:, place - start, np.newaxis]
        return self._read(place, place + 1)
