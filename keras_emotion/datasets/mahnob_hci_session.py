"""Read one session of MAHNOB-HCI: its `session.xml` and its BioSemi recording.

The XML parser refuses document types, so entities are never expanded; folders in the file names of `session.xml` are
ignored, so files outside the session are never opened.
"""

from __future__ import annotations

import csv
import dataclasses
import json
import math
import re
import xml.parsers.expat
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from keras_emotion.datasets.deap_original import BDFHeader
from keras_emotion.datasets.reader import unusable_channels
from keras_emotion.datasets.reader_warnings import OF_LENGTH, warnings_of_readers
from keras_emotion.refusals import refuse_special_file, refusing_unreadable
from keras_emotion.schema import InputError, Recording
from keras_emotion.signals import rate_ratio, resample

_FOLDER = Path(__file__).parent / "facts"

FACTS: dict[str, Any] = json.loads((_FOLDER / "mahnob_hci.json").read_text(encoding="utf-8"))
"""Counts, rates, names and codes; `notes` lists what is not verified."""

with (_FOLDER / "mahnob_hci_channels.csv").open(encoding="utf-8", newline="") as _file:
    _CHANNELS = tuple(csv.DictReader(_file))

CHANNEL_NAMES = tuple(row["name"] for row in _CHANNELS)
"""The 38 channels of every trial: 32 scalp channels in DEAP's order, then ECG1-3, GSR, respiration, temperature."""

EEG_CHANNEL_NAMES = tuple(row["name"] for row in _CHANNELS if row["kind"] == "eeg")

SESSION_FILE = "session.xml"
LARGEST_XML_BYTES = 2**20

_RECORDING_NAME = re.compile(r"Part_(?P<subject>\d+)_(?P<kind>[SN])_Trial(?P<trial>\d+)_emotion\.bdf", re.IGNORECASE)
_VIDEO_NAME = re.compile(
    r"P(?P<subject>\d+)-Rec\d+-\d{4}(\.\d\d){5}_C1 trigger _C_Section_(?P<section>\d+)\.avi", re.IGNORECASE
)
_OWNER = re.compile(r"(?:Part_|P)(?P<subject>\d{1,4})(?:_|-Rec)")
_MICROVOLT = ("uV", "\N{MICRO SIGN}V", "\N{GREEK SMALL LETTER MU}V", "mV")
# Unit names of `schema`; all other units in a header are unknown.
_UNITS = dict.fromkeys(_MICROVOLT, "uV") | {"Ohm": "ohm", "nS": "nS", "C": "degC", "\N{DEGREE SIGN}C": "degC"}
_ONE_SECOND = 1.0


@dataclasses.dataclass(frozen=True)
class Fault:
    """Fault of a session that does not prevent reading the rest of it.

    Args:
        file: the faulty or missing file.
        message: field, expected value, advice.
        is_blocking: whether the subject's trials are unusable until it is fixed.
    """

    file: Path
    message: str
    is_blocking: bool = True


@dataclasses.dataclass(frozen=True)
class Session:
    """Session without its signals.

    Args:
        folder: its folder.
        id: `sessionId`.
        subject: id of the subject.
        skipped: why it is not a trial (`""` if it is).
        stimulus: `mediaFile` without folder and suffix.
        ratings: ratings by target name.
        order: date and time as numbers, `cutNr` and id, which order a subject's sessions; empty if the date or the
            time is unreadable.
        trial: trial number in the name of the recording; 0 if missing.
        recording: the BioSemi file, `None` if missing.
        video: the colour video, `None` if missing.
        video_seconds: duration of the session's videos: `cutLenSec`, or the samples of `vidBeginSmp` to `vidEndSmp`
            over `vidRate`; `None` if both are missing. Videos continue for 13 to 144 s after the clip, while the
            subject rates it.
        video_frame_rate_hz: `vidRate`, `None` if missing.
        faults: faults and missing files.
    """

    folder: Path
    id: int
    subject: int
    skipped: str = ""
    stimulus: str = ""
    ratings: Mapping[str, float] = dataclasses.field(default_factory=dict)
    order: tuple[Any, ...] = ()
    trial: int = 0
    recording: Path | None = None
    video: Path | None = None
    video_seconds: float | None = None
    video_frame_rate_hz: float | None = None
    faults: tuple[Fault, ...] = ()

    @property
    def xml(self) -> Path:
        """Path of `session.xml`."""
        return self.folder / SESSION_FILE

    @property
    def required_recording(self) -> Path:
        """Path of the recording, for code that cannot do without.

        Raises:
            InputError: it is missing.
        """
        if self.recording is None:
            raise InputError(f"{self.folder}: missing recording; expected a .bdf file; copy the folder again")
        return self.recording

    @classmethod
    def read(cls, folder: Path) -> Session:
        """Read `session.xml`, and find the session's other files by their names.

        Raises:
            InputError: the file is missing, is not a session, or a field that a trial requires is invalid.
        """
        path = folder / SESSION_FILE
        try:
            names = sorted(entry.name for entry in folder.iterdir() if entry.is_file())
        except OSError as error:
            raise InputError(f"{folder}: cannot be read ({error.strerror})") from None
        if SESSION_FILE not in names:
            raise InputError(f"{path}: missing file; expected in every session folder; copy it, or remove the folder")
        elements = read_elements(path)
        if elements[0][0] != "session":
            raise InputError(f"{path}: root element is <{elements[0][0]}>; expected <session>; copy it again")
        fields = elements[0][1]
        subjects = [attributes for tag, attributes in elements[1:] if tag == "subject"]
        if len(subjects) != 1:
            raise InputError(f"{path}: {len(subjects)} elements <subject>; expected one; copy it again")
        identity: dict[str, Any] = {
            "folder": folder,
            "id": _whole_number(path, fields, "sessionId"),
            "subject": _whole_number(path, subjects[0], "id", "of <subject>"),
        }
        named = {kind: _named_file(elements, kind) for kind in ("physiological", "video")}
        found = _found(names, named["physiological"], _RECORDING_NAME)
        match = _RECORDING_NAME.fullmatch(named["physiological"] or (found[0] if found else ""))
        if reason := _no_trial(fields, match):
            return cls(**identity, skipped=reason)
        ratings, faults = _ratings(path, fields)
        clip = fields.get("mediaFile", "")
        stimulus = PurePosixPath(_base_name(clip)).stem
        if not stimulus:
            raise InputError(f"{path}: mediaFile is {clip[:40]!r}; expected the file name of the clip; copy it again")
        wanted = "Part_<P>_S_Trial<k>_emotion.bdf"
        if named["physiological"] and match is None:
            raise InputError(f"{path}: the physiological track is {named['physiological']!r}; expected {wanted}")
        if not found:
            what = named["physiological"] or wanted
            # A file that session.xml names existed once; others may never have existed in the dataset.
            why = "named in session.xml; copy it" if named["physiological"] else "incomplete session, left out"
            faults.append(Fault(folder / what, f"missing file; {why}", bool(named["physiological"])))
        elif len(found) > 1:
            raise InputError(f"{folder}: several recordings: {', '.join(found)}; expected one; remove the others")
        videos = _found(names, named["video"], _VIDEO_NAME)
        if not videos:
            what = named["video"] or f"P{identity['subject']}-Rec<r>-<time>_C1 trigger _C_Section_<n>.avi"
            faults.append(Fault(folder / what, "missing file; the trial has no face video", False))
        elif len(videos) > 1:
            faults.append(
                Fault(folder, f"several colour videos: {', '.join(videos)}; expected one; none is used", False)
            )
        video_seconds, video_frame_rate_hz, wrong = _of_videos(path, fields)
        faults += wrong
        if fields["sessionId"].strip() != folder.name:
            faults.append(
                Fault(path, f"sessionId is {identity['id']}; expected {folder.name}, the name of its folder", False)
            )
        if match is not None and int(match["subject"]) != identity["subject"]:
            faults.append(
                Fault(
                    path,
                    f"the id of <subject> is {identity['subject']} but {match[0]} names participant "
                    f"{int(match['subject'])}; the former is used",
                    False,
                )
            )
        return cls(
            **identity,
            stimulus=stimulus,
            ratings=ratings,
            order=_order(fields, identity["id"]),
            trial=int(match["trial"]) if match is not None else 0,
            recording=folder / found[0] if found else None,
            video=folder / videos[0] if len(videos) == 1 else None,
            video_seconds=video_seconds,
            video_frame_rate_hz=video_frame_rate_hz,
            faults=tuple(faults),
        )


def read_elements(path: Path) -> list[tuple[str, dict[str, str]]]:
    """Read every element of an XML file as `(name, attributes)`, the root first.

    Raises:
        InputError: the file cannot be read, is too large, is not XML, or has a document type (which could define
            entities).
    """
    elements: list[tuple[str, dict[str, str]]] = []

    def refuse(*_):
        raise InputError(f"{path}: has a document type (<!DOCTYPE ...>); expected none; copy it again")

    parser = xml.parsers.expat.ParserCreate()
    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    parser.StartElementHandler = lambda name, attributes: elements.append((name, attributes))
    try:
        size = path.stat().st_size
        if size > LARGEST_XML_BYTES:
            raise InputError(f"{path}: {size} bytes; expected a session of at most {LARGEST_XML_BYTES}")
        refuse_special_file(path)
        parser.Parse(path.read_bytes(), True)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except (xml.parsers.expat.ExpatError, ValueError, LookupError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: invalid XML ({error}); copy it again") from None
    return elements


def owner_by_file_names(folder: Path) -> int | None:
    """Return the subject in the file names of a folder, for a session whose `session.xml` is unreadable."""
    try:
        matches = [_OWNER.match(entry.name) for entry in folder.iterdir()]
    except OSError:
        return None
    owners = {int(match["subject"]) for match in matches if match}
    return owners.pop() if len(owners) == 1 else None


def _base_name(name: str) -> str:
    """Return the file name in a Windows or Unix path."""
    return re.split(r"[\\/]", name.strip())[-1]


def _whole_number(path: Path, attributes: Mapping[str, str], name: str, where: str = "") -> int:
    text = attributes.get(name, "").strip()
    if not re.fullmatch(r"[0-9]{1,9}", text):
        field = f"{name} {where}".strip()
        raise InputError(f"{path}: {field} is {text[:40]!r}; expected an integer; copy it again")
    return int(text)


def _named_file(elements: Sequence[tuple[str, Mapping[str, str]]], kind: str) -> str:
    """Return the file name of the track of a type (of videos: in colour), `""` if there is not exactly one."""
    names = {
        _base_name(attributes.get("filename", ""))
        for tag, attributes in elements
        if tag == "track"
        and attributes.get("type", "").strip().lower() == kind
        and (kind != "video" or attributes.get("color", "").strip() == "1")
    } - {"", ".", ".."}
    return names.pop() if len(names) == 1 else ""


def _found(names: Sequence[str], named: str, pattern: re.Pattern[str]) -> list[str]:
    """Return the existing files: the named one, or if none is named, those that match the pattern."""
    return [name for name in names if (name == named if named else pattern.fullmatch(name))]


def _no_trial(fields: Mapping[str, str], match: re.Match[str] | None) -> str:
    """Return why a session is not a trial of the emotion experiment, `""` if it is."""
    if match is not None and match["kind"].upper() == "N":
        return "neutral clip"
    if not any(fields.get(name, "").strip() for name in FACTS["ratings"]):
        if fields.get("isStim", "").strip() == "0":
            return "neutral clip"
        return f"no ratings; experimentType {fields.get('experimentType', '')[:40]!r}"
    return ""


def _ratings(path: Path, fields: Mapping[str, str]) -> tuple[dict[str, float], list[Fault]]:
    low, high = FACTS["rating_range"]
    n_emotions = len(FACTS["emotion_names"])
    allowed = {name: (target, low, high, "a number") for name, target in FACTS["ratings"].items()}
    allowed[FACTS["emotion_attribute"]] = ("emotion", 0, n_emotions - 1, "an integer")
    ratings, faults = {}, []
    for name, (target, lowest, highest, kind) in allowed.items():
        text = fields.get(name, "").strip()
        if not text:
            faults.append(Fault(path, f"{name} is missing; the trial has no rating of {target}", False))
            continue
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not lowest <= value <= highest or (kind == "an integer" and value % 1):
            raise InputError(
                f"{path}: {name} is {text[:40]!r}; expected {kind} from {lowest} to {highest}; copy it again"
            )
        ratings[target] = value
    return ratings, faults


def _of_videos(path: Path, fields: Mapping[str, str]) -> tuple[float | None, float | None, list[Fault]]:
    """Return duration and frame rate of the videos, and faults of the fields that give them."""
    said, faults = {}, []
    for name in ("cutLenSec", "vidRate", "vidBeginSmp", "vidEndSmp"):
        text = fields.get(name, "").strip()
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        # The first section of a take may start at sample 0.
        if 0 < value < math.inf or (name == "vidBeginSmp" and value == 0):
            said[name] = value
        elif text:
            what = f"{name} is {text[:40]!r}; expected a number above 0; the duration of the video is not checked"
            faults.append(Fault(path, what, False))
    seconds, rate_hz = said.get("cutLenSec"), said.get("vidRate")
    if seconds is None and rate_hz is not None and said.get("vidEndSmp", 0) > said.get("vidBeginSmp", math.inf):
        seconds = (said["vidEndSmp"] - said["vidBeginSmp"]) / rate_hz
    return seconds, rate_hz, faults


def _order(fields: Mapping[str, str], session: int) -> tuple[Any, ...]:
    """Return date, time, cut number and id; empty if date (year first) or time (hours first) is unreadable."""
    date, time = (tuple(map(int, re.findall(r"[0-9]+", fields.get(name, "")[:40]))) for name in ("date", "time"))
    if len(date) != 3 or date[0] < 1000 or len(time) < 2:
        return ()
    cut = fields.get("cutNr", "").strip()
    return (date, time, int(cut) if re.fullmatch(r"[0-9]{1,9}", cut) else -1, session)


# --- the BioSemi file


@dataclasses.dataclass(frozen=True, eq=False)
class Physiology:
    """The 38 channels of a BioSemi file, over its whole duration.

    Args:
        path: the file.
        signal: `(38, samples)` float64, in `units`.
        units: unit of each channel, `"a.u."` if the unit in the header is unknown.
        sampling_rate_hz: sampling rate in the header.
        onset: sample of stimulus onset.
        end: sample of the end of the clip.
    """

    path: Path
    signal: np.ndarray
    units: tuple[str, ...]
    sampling_rate_hz: float
    onset: int
    end: int

    @classmethod
    def read(cls, path: Path) -> Physiology:
        """Read a file by its channel names.

        Raises:
            InputError: the file is damaged, lacks a channel or a trigger, or a scalp channel is constant during the
                clip.
        """
        import mne

        header = BDFHeader.read(path)
        electrodes = [row["original"] for row in _CHANNELS]
        wanted = [*electrodes, FACTS["status_channel"]]
        for count, what in ((0, "missing channel"), (2, "duplicate channel")):
            wrong = [name for name in wanted if min(header.labels.count(name), 2) == count]
            if wrong:
                raise InputError(f"{path}: {what} {', '.join(wrong)}; found {', '.join(header.labels)}")
        if not 0 < header.sampling_rate_hz < math.inf:
            raise InputError(f"{path}: {header.sampling_rate_hz} Hz; expected a number above 0; copy it again")
        dimensions = [header.dimensions[header.labels.index(name)] for name in electrodes]
        for row, dimension in zip(_CHANNELS, dimensions, strict=True):
            if row["kind"] in ("eeg", "ecg") and dimension not in _MICROVOLT:
                raise InputError(f"{path}: unit of {row['original']} is {dimension!r}; expected uV")
        message = "{path}: damaged recording ({reason}); copy it again"
        with refusing_unreadable(path, message), warnings_of_readers(path, harmless=OF_LENGTH):
            raw = mne.io.read_raw_bdf(path, stim_channel=FACTS["status_channel"], verbose="WARNING")
            signal = raw.get_data(picks=electrodes, verbose="WARNING")
            words = raw.get_data(picks=[FACTS["status_channel"]], verbose="WARNING")[0]
        # MNE converts voltages to volts and leaves all other units unchanged.
        units = tuple(_UNITS.get(dimension, "a.u.") for dimension in dimensions)
        signal[np.isin(units, "uV")] *= 1e6
        onset, end = _marks(path, words.astype(np.int64), header.sampling_rate_hz)
        clip = Recording(signal[:, onset:end], CHANNEL_NAMES, units, header.sampling_rate_hz)
        # Before filtering and referencing, after which a dead electrode is no longer constant.
        if faults := unusable_channels(clip, EEG_CHANNEL_NAMES):
            raise InputError(f"{path}: {'; '.join(faults)}; {_WITHOUT}")
        return cls(path, signal, units, header.sampling_rate_hz, onset, end)

    def resampled(self, sampling_rate_hz: float) -> Physiology:
        """Resample the whole recording, with stimulus onset exactly at a sample.

        To align the onset, up to one decimation step of samples is dropped at the start.

        Raises:
            InputError: the file's own rate is lower than the target.
        """
        if self.sampling_rate_hz < sampling_rate_hz:
            raise InputError(
                f"{self.path}: {self.sampling_rate_hz:g} Hz; expected {sampling_rate_hz:g} Hz or more; choose a lower "
                "rate"
            )
        ratio = rate_ratio(self.sampling_rate_hz, sampling_rate_hz)
        left_out = self.onset % ratio.denominator
        return dataclasses.replace(
            self,
            signal=resample(self.signal[:, left_out:], self.sampling_rate_hz, sampling_rate_hz),
            sampling_rate_hz=sampling_rate_hz,
            onset=int((self.onset - left_out) * ratio),
            end=math.floor((self.end - left_out) * ratio),
        )

    def recording(self, baseline_seconds: float) -> Recording:
        """Return the clip with its baseline.

        Raises:
            InputError: the baseline is incomplete.
        """
        n_baseline = round(baseline_seconds * self.sampling_rate_hz)
        if self.onset < n_baseline:
            raise InputError(
                f"{self.path}: the clip starts after {self.onset / self.sampling_rate_hz:.2f} s; expected at least "
                f"{baseline_seconds:g} s of baseline before it; {_WITHOUT}"
            )
        return Recording(
            signal=np.ascontiguousarray(self.signal[:, self.onset - n_baseline : self.end]),
            channel_names=CHANNEL_NAMES,
            units=self.units,
            sampling_rate_hz=self.sampling_rate_hz,
            baseline_seconds=n_baseline / self.sampling_rate_hz,
            source=self.path,
        )


_WITHOUT = "copy it again, or move the session's folder elsewhere to exclude it"


def _marks(path: Path, words: np.ndarray, sampling_rate_hz: float) -> tuple[int, int]:
    """Return the samples of the two rising edges of the status channel.

    The amplifier's own bits are masked, and the resting value is the most frequent one, because unconnected input bits
    may be set.
    """
    words = words & FACTS["status_mask"]
    values, counts = np.unique(words, return_counts=True)
    is_mark = words > values[counts.argmax()]
    edges = np.flatnonzero(is_mark[1:] & ~is_mark[:-1]) + 1
    if len(edges) != 2:
        shown = ", ".join(f"{edge / sampling_rate_hz:.2f}" for edge in edges[:5]) + (", ..." if len(edges) > 5 else "")
        at = f" (at {shown} s)" if len(edges) else ""
        raise InputError(
            f"{path}: status channel has {len(edges)} rising edges{at}; expected 2, at the start and at the end of the "
            f"clip; {_WITHOUT}"
        )
    onset, end = map(int, edges)
    if end - onset < _ONE_SECOND * sampling_rate_hz:
        raise InputError(
            f"{path}: status channel: clip of {(end - onset) / sampling_rate_hz:.2f} s; expected "
            f"{_ONE_SECOND:g} s or more; {_WITHOUT}"
        )
    return onset, end
