"""Read FACED's raw recordings (by channel name, in either unit and sampling rate) and their events."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from keras_emotion.datasets.channel_units import units_of
from keras_emotion.datasets.edf_records import EdfHeader, edf_times
from keras_emotion.datasets.faced_files import CHANNELS, FACTS, VIDEOS
from keras_emotion.datasets.plausibility import PLAUSIBLE_UV, deviations_uv
from keras_emotion.datasets.recording_files import open_raw
from keras_emotion.refusals import refusing_unreadable
from keras_emotion.schema import InputError, Recording
from keras_emotion.signals import ResampledSignal

_NAME_OF_LABEL: Mapping[str, str] = {
    row[batch].upper(): row["name"] for row in CHANNELS for batch in ("first_batch", "second_batch") if row[batch]
}
"""Channel name by its upper-case label in a recording: the first batch has the older names T3 to T6."""

_KIND = {row["name"]: row["kind"] for row in CHANNELS}


@dataclasses.dataclass(frozen=True)
class ShownClip:
    """Presentation of a video, in seconds from the first sample of the recording."""

    video: int
    start_seconds: float
    stop_seconds: float


def read_events(path: Path) -> tuple[ShownClip, ...]:
    """Read the presentation times of the videos, in order.

    A video is announced by its index; the next start and stop events (101 and 102, or 240 and 241 as in the 2022
    edition for the BCI competition) enclose it. Other events are ignored.

    Raises:
        InputError: the file cannot be read, an event is unpaired, or a video was shown twice or not at all.
    """
    if not path.is_file():
        raise InputError(
            f"{path}: missing file; expected the events of the recording; copy it to the recording's folder"
        )
    facts, clips = FACTS["raw"], list[ShownClip]()
    video: int | None = None
    start: float | None = None
    for seconds, _, text in edf_times(EdfHeader.read(path))[1]:
        code = int(text) if text.strip().isdecimal() else None
        if code in VIDEOS:
            video, start = code, None
        elif code in facts["start_codes"]:
            start = seconds
        elif code in facts["stop_codes"]:
            if video is None or start is None:
                what = "no video index" if video is None else "no start event"
                raise InputError(f"{path}: {what} before the stop event at {seconds:g} s; copy the file again")
            clips.append(ShownClip(video, start, seconds))
            video = start = None
    shown = [clip.video for clip in clips]
    if twice := sorted({one for one in shown if shown.count(one) > 1}):
        raise InputError(
            f"{path}: video {', '.join(map(str, twice))} was shown twice; expected each once; copy the file again"
        )
    if not shown:
        codes = ", ".join(map(str, (*facts["start_codes"], *facts["stop_codes"])))
        raise InputError(f"{path}: no video between start and stop events (codes {codes}); copy the file again")
    return tuple(clips)


@dataclasses.dataclass(frozen=True, eq=False)
class RawRecording:
    """Raw recording with its header read, and its samples unread.

    Args:
        path: the file.
        sampling_rate_hz: sampling rate of the file.
        n_samples: samples per channel.
        channel_names: channel names, in file order.
        factor: factor from MNE's values to microvolts.
        unit: unit of the values in the file, `"uV"`, `"mV"` or `"V"`.
        has_unit: whether the file declares the unit; otherwise it is inferred from the amplitude of the EEG.
        notes: MNE's warnings.
    """

    path: Path
    sampling_rate_hz: float
    n_samples: int
    channel_names: tuple[str, ...]
    factor: float
    unit: str
    has_unit: bool
    notes: tuple[str, ...]

    def clip(self, clip: ShownClip, sampling_rate_hz: float | None) -> Recording:
        """Read the signal of a clip as float32, in microvolts.

        Args:
            clip: the presentation.
            sampling_rate_hz: target sampling rate, without aliasing; `None` keeps the file's.

        Raises:
            InputError: the clip ends after the recording, or the signal cannot be read.
        """
        last = self.n_samples / self.sampling_rate_hz
        if clip.stop_seconds > last + 0.5 / self.sampling_rate_hz:
            raise InputError(
                f"{self.path}: ends after {last:g} s, but video {clip.video} was shown until {clip.stop_seconds:g} s; "
                "the recording is truncated, or the events belong to another one; copy both again"
            )
        rate = sampling_rate_hz or self.sampling_rate_hz
        signal = ResampledSignal(self._read, self.n_samples, self.sampling_rate_hz, rate)
        start = round(clip.start_seconds * rate)
        stop = min(start + round((clip.stop_seconds - clip.start_seconds) * rate), signal.n_samples)
        return Recording(
            # float32 is sufficient for the amplifier's 24 bits, some of which are noise.
            signal=np.ascontiguousarray(signal.read(start, stop) * self.factor, dtype=np.float32),
            channel_names=self.channel_names,
            units=("uV",) * len(self.channel_names),
            sampling_rate_hz=float(rate),
            source=self.path,
        )

    @property
    def scalp(self) -> tuple[str, ...]:
        """Names of the scalp channels, in file order."""
        return tuple(name for name in self.channel_names if _KIND[name] == "eeg")

    def _read(self, start: int, stop: int) -> np.ndarray:
        return _samples(self.path, start, stop)


def open_recording(path: Path, clips: Sequence[ShownClip]) -> RawRecording:
    """Open a raw recording.

    If its header gives no unit, the amplitude of the EEG decides between volts and microvolts, which are a factor of a
    million apart.

    Args:
        path: the file.
        clips: the presentations; the amplitude is measured during the first of them.

    Raises:
        InputError: the file cannot be read, lacks a channel, or has no EEG in either unit.
    """
    if not path.is_file():
        raise InputError(f"{path}: missing file; expected the recording; copy it to the folder of its events")
    status = path.stat()
    return _opened(path, clips[0], status.st_size, status.st_mtime_ns)


# Called for each trial; size and modification time are arguments so that a changed file is opened again.
@functools.lru_cache(maxsize=4)
def _opened(path: Path, first: ShownClip, size: int, modified: int) -> RawRecording:
    notes: list[str] = []
    raw = open_raw(path, path.parent, notes)
    labels = [label.strip().upper() for label in raw.ch_names]
    if unknown := [own for own, label in zip(raw.ch_names, labels, strict=True) if label not in _NAME_OF_LABEL]:
        raise InputError(f"{path}: unknown channel {', '.join(unknown)}; expected those of FACED; copy the file again")
    names = [_NAME_OF_LABEL[label] for label in labels]
    missing = [name for name, kind in _KIND.items() if kind == "eeg" and name not in names]
    if missing or len(set(names)) < len(names):
        what = f"missing channel {', '.join(missing)}" if missing else "duplicate channel"
        raise InputError(f"{path}: {what}; expected {FACTS['raw']['n_channels']} channels; copy the file again")
    units = units_of(raw, path, ["eeg"] * len(names), {})
    if len(set(units)) > 1:
        raise InputError(f"{path}: channels in different units; expected one; copy the file again")
    unit, factor = units[0]
    spelt = {1.0: "uV", 1e3: "mV", 1e6: "V"}.get(unit.factor, unit.name)
    rate_hz, n_samples = float(raw.info["sfreq"]), raw.n_times
    recording = RawRecording(path, rate_hz, n_samples, tuple(names), factor, spelt, unit.is_known, tuple(notes))
    eeg = recording.clip(first, None).pick(recording.scalp)
    size_uv = float(np.median(deviations_uv(eeg.signal, eeg.sampling_rate_hz)))
    if not unit.is_known and size_uv > 1e6 * PLAUSIBLE_UV[0]:
        recording, size_uv = dataclasses.replace(recording, factor=factor / 1e6, unit="uV"), size_uv / 1e6
    low, high = PLAUSIBLE_UV
    if size_uv and not low <= size_uv <= high:
        raise InputError(
            f"{path}: EEG has a standard deviation of {size_uv:.3g} uV per second (median over channels and "
            f"seconds); expected {low:g} to {high:g}; copy the file again"
        )
    return recording


def _samples(path: Path, start: int, stop: int) -> np.ndarray:
    status = path.stat()
    with refusing_unreadable(path, f"{{path}}: samples {start} to {stop} cannot be read ({{reason}}); copy it again"):
        return _kept_raw(path, status.st_size, status.st_mtime_ns).get_data(start=start, stop=stop, verbose="ERROR")


@functools.lru_cache(maxsize=2)
def _kept_raw(path: Path, size: int, modified: int):
    return open_raw(path, path.parent, [])
