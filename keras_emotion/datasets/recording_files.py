"""Open recordings (any MNE format, or arrays with a sidecar) and read them in pieces."""

from __future__ import annotations

import dataclasses
import functools
import glob
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import numpy as np
import pydantic

from keras_emotion.array_files import map_npy
from keras_emotion.datasets.bids_events import attach_events
from keras_emotion.datasets.brainvision_header import BRAINVISION_SUFFIXES, BrainVisionHeader
from keras_emotion.datasets.channel_units import notes_on_units, units_of
from keras_emotion.datasets.edf_records import EDF_SUFFIXES, Annotation, EdfHeader, edf_gaps, edf_times, read_records
from keras_emotion.datasets.electrodes import Channel, ChannelTable, channels_of, directions_from
from keras_emotion.datasets.file_lists import BIDS_MARKER as BIDS_MARKER
from keras_emotion.datasets.file_lists import bids_tables, events_in_bids, is_in_bids, units_in_bids
from keras_emotion.datasets.formats.dispatch import ONE_FILE_SUFFIXES, SUFFIXES, read_raw
from keras_emotion.datasets.formats.fieldtrip import fieldtrip_variable
from keras_emotion.datasets.interruptions import find_interruptions
from keras_emotion.datasets.matlab import read_variables
from keras_emotion.datasets.reader_warnings import OF_ANNOTATIONS, OF_OTHER_CASE, warnings_of_readers
from keras_emotion.datasets.recording_parts import check_before_reading, check_parts
from keras_emotion.datasets.time_axis import BadSpan, Gap, TimeAxis
from keras_emotion.datasets.units import Unit, read_unit
from keras_emotion.json_files import read_user_json
from keras_emotion.refusals import refuse_special_file, refusing_unreadable
from keras_emotion.schema import InputError
from keras_emotion.signals import ResampledSignal

if TYPE_CHECKING:
    import mne

ARRAY_SUFFIXES = (".npy", ".mat")
RECORDING_SUFFIXES = (*SUFFIXES, *ARRAY_SUFFIXES)
"""Suffixes of the files that are searched in a folder; a trial table may name other files that MNE reads."""

COMMON_SIDECAR = "recordings.json"
"""Common sidecar of all arrays of a folder that lack their own."""

_ALONE = (*EDF_SUFFIXES, ".gdf", *ONE_FILE_SUFFIXES, *ARRAY_SUFFIXES)
"""Formats in which a recording is one file."""

_MIXED_RATES = (*EDF_SUFFIXES, ".gdf")
"""Formats in which each channel has its own sampling rate."""

PLAUSIBLE_RATES_HZ = (0.01, 1e7)
"""Plausible sampling rates in Hz; a header or sidecar with another rate is damaged."""

_VOLTAGES = ("V", "mV", "uV", "nV")
_KINDS_OF_MNE = ("eeg", "eog", "ecg", "emg", "gsr", "resp", "temperature", "bio")


class Sidecar(pydantic.BaseModel):
    """Metadata of a plain array: `<name>.json` in its folder, or `recordings.json` for the whole folder.

    Args:
        sampling_rate_hz: samples per second.
        channel_names: name of each channel, in order.
        unit: unit of all channels, or a list with one per channel.
        axes: names of the two axes, in order.
        variable: variable name, in a `.mat`.
    """

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    sampling_rate_hz: Annotated[float, pydantic.Field(gt=0, allow_inf_nan=False)]
    channel_names: Annotated[tuple[str, ...], pydantic.Field(min_length=1)]
    unit: str | tuple[str, ...]
    axes: tuple[Literal["channels", "samples"], Literal["channels", "samples"]]
    variable: str | None = None

    @classmethod
    def of(cls, path: Path) -> Sidecar:
        """Read the sidecar of an array.

        Raises:
            InputError: the sidecar is missing or invalid.
        """
        file = sidecar_file(path)
        if file is None:
            raise InputError(
                f"{path}: sidecar missing; expected {path.stem}.json (or {COMMON_SIDECAR} for the folder) with "
                '"sampling_rate_hz", "channel_names", "unit" and "axes" ["channels", "samples"]; write it'
            )
        try:
            return cls.model_validate(read_user_json(file))
        except pydantic.ValidationError as error:
            faults = (f"{'.'.join(map(str, one['loc'])) or 'content'}: {one['msg']}" for one in error.errors())
            raise InputError(f"{file}: {'; '.join(faults)}") from None


def sidecar_file(path: Path) -> Path | None:
    """Return the sidecar of an array, its own or else that of the folder; `None` if there is none."""
    return next((file for file in (path.with_suffix(".json"), path.parent / COMMON_SIDECAR) if file.is_file()), None)


def is_array(path: Path) -> bool:
    """Return whether a file is a plain array with a sidecar; a `.mat` without one may be FieldTrip's.

    Raises:
        InputError: the file is a damaged `.mat` without a sidecar.
    """
    suffix = path.suffix.lower()
    return suffix in ARRAY_SUFFIXES and (
        suffix != ".mat" or sidecar_file(path) is not None or fieldtrip_variable(path) is None
    )


def files_of(path: Path, root: Path) -> tuple[Path, ...]:
    """Return all files that a recording is read from, in any folder, without reading samples.

    These are the files that its header names, its further parts, its BIDS sidecars, and the sidecar of an array. For a
    file that cannot be opened, they are the files in its folder with the same stem.
    """
    if path.is_dir():
        return tuple(sorted(file for file in path.rglob("*") if file.is_file()))
    files = {path, *(bids_tables(path, root) if is_in_bids(path, root) else ())}
    if is_array(path):
        files.update(file for file in [sidecar_file(path)] if file is not None)
    if path.suffix.lower() not in _ALONE:
        status = path.stat()
        files.update(_files_opened(path, root, status.st_size, status.st_mtime_ns))
    return tuple(sorted(files))


@functools.lru_cache(maxsize=4096)
def _files_opened(path: Path, root: Path, size: int, modified: int) -> tuple[Path, ...]:
    # Size and modification time are arguments so that a changed file is opened again.
    suffix = path.suffix.lower()
    try:
        if suffix in BRAINVISION_SUFFIXES:
            header = BrainVisionHeader.read(path)
            named = [header.data_file, *([header.marker_file] if header.marker_file else [])]
            return tuple(file for file in named if file.is_file())
        opened = [Path(name) for name in open_raw(path, root, []).filenames if name]
    except InputError:
        opened = None
    beside = [] if opened and suffix in (".set", ".fif", ".gz") else path.parent.glob(f"{glob.escape(path.stem)}.*")
    files = [file for file in (*(opened or ()), *beside) if file.is_file() and not file.samefile(path)]
    # Paths are relative or absolute, as the given path.
    folder = path.parent.absolute()
    return tuple(path.parent / file.relative_to(folder) if file.is_relative_to(folder) else file for file in files)


@dataclasses.dataclass(frozen=True, eq=False)
class RecordingFile:
    """Recording with its header read, and its samples unread.

    Args:
        path: the file.
        sampling_rate_hz: samples per second.
        n_samples: samples per channel.
        channels: the channels that are used, in file order.
        units: unit of each channel as returned by `read`.
        read: function from `(start, stop)` in samples to `(channels, samples)` float64.
        notes: assumptions about the file.
        gaps: interruptions of the recording, in order.
        bad_spans: segments that the file itself annotates as bad, by their first sample.
        bad_channels: names, as in `channels`, of channels that the file itself marks as bad.
    """

    path: Path
    sampling_rate_hz: float
    n_samples: int
    channels: tuple[Channel, ...]
    units: tuple[str, ...]
    read: Callable[[int, int], np.ndarray]
    notes: tuple[str, ...] = ()
    gaps: tuple[Gap, ...] = ()
    bad_spans: tuple[BadSpan, ...] = ()
    bad_channels: tuple[str, ...] = ()

    @property
    def time_axis(self) -> TimeAxis:
        """Mapping between samples and seconds, which trials and the file's own annotations use."""
        return TimeAxis(self.sampling_rate_hz, self.n_samples, self.gaps)

    @property
    def duration_seconds(self) -> float:
        """Seconds from the first sample to the end of the last."""
        return self.n_samples / self.sampling_rate_hz


def open_recording(path: Path, root: Path, table: ChannelTable, any_names: bool = False) -> RecordingFile:
    """Open a recording without reading its samples (except `.mat` and the few formats that MNE reads as a whole).

    Args:
        path: the file.
        root: folder of the data; a file in a BIDS tree (with a `dataset_description.json`) is read by mne-bids.
        table: the user's channel information.
        any_names: whether to allow any channel names, see `channels_of`.

    Raises:
        InputError: the file cannot be read, or its channels are unusable.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file; check the path")
    refuse_special_file(path)
    table = table.of_file(path)
    is_plain = is_array(path)
    opened = _open_array(path, table, any_names) if is_plain else _open_with_mne(path, root, table, any_names)
    low, high = PLAUSIBLE_RATES_HZ
    if not low <= opened.sampling_rate_hz <= high:
        raise InputError(
            f"{path}: sampling rate of {opened.sampling_rate_hz:g} Hz; expected {low:g} to {high:g} Hz; correct the "
            "header or sidecar"
        )
    return opened


def open_raw(path: Path, root: Path, notes: list[str] | None = None) -> mne.io.BaseRaw:
    """Open a file with MNE, without reading its samples.

    Args:
        path: the file.
        root: folder of the data; a file in a BIDS tree is read by mne-bids.
        notes: list to which warnings of the reader are appended; without it, they are issued.

    Raises:
        InputError: the file cannot be read, or has no signals; or it is in a BIDS tree, and mne-bids is not installed.
    """
    in_bids = is_in_bids(path, root)
    harmless = OF_ANNOTATIONS if path.suffix.lower() in EDF_SUFFIXES and not in_bids else ()
    if in_bids and events_in_bids(path, root) is not None:
        harmless = OF_OTHER_CASE
    message = f"{{path}}: cannot be read as {path.suffix or 'a recording'} ({{reason}}); copy it again"
    with warnings_of_readers(path, notes, harmless), refusing_unreadable(path, message):
        check_before_reading(path, root)
        raw = _read_raw(path, root)
        if raw.ch_names:
            # Raises if a channel has an invalid kind.
            raw.get_channel_types()
        found = attach_events(raw, path, root) if in_bids else []
    check_parts(path, root, [Path(file) for file in raw.filenames if file is not None])
    if not raw.ch_names or not raw.n_times:
        what = "annotations but no signals" if len(raw.annotations) else "no signals"
        raise InputError(f"{path}: {what}; expected a recording; give the file with the signals")
    if notes is not None:
        notes += [note for note in found if note not in notes]
    return raw


def _read_raw(path: Path, root: Path) -> mne.io.BaseRaw:
    if is_in_bids(path, root):
        try:
            import mne_bids
        except ImportError:
            raise InputError(f"{path}: cannot read a BIDS tree without mne-bids; install mne-bids") from None
        return mne_bids.read_raw_bids(mne_bids.get_bids_path_from_fname(path, verbose="ERROR"), verbose="WARNING")
    return read_raw(path)


def annotations_of(path: Path, root: Path, raw: mne.io.BaseRaw | None = None) -> list[Annotation]:
    """Return all annotations of a file, including those of bad segments and boundaries.

    Args:
        path: the file.
        root: folder of the data, see `open_raw`.
        raw: the file, if it is open already.

    Returns:
        `(start_seconds, duration_seconds, text)` by start, on the file's own time axis (`RecordingFile.time_axis`); the
            duration is `None` if missing. Words of a trigger channel are not annotations.

    Raises:
        InputError: the file cannot be read.
    """
    if is_array(path):
        return []
    if path.suffix.lower() in EDF_SUFFIXES and not is_in_bids(path, root):
        return edf_times(EdfHeader.read(path))[1]
    return _annotations_of_raw(open_raw(path, root) if raw is None else raw)


def _annotations_of_raw(raw: mne.io.BaseRaw) -> list[Annotation]:
    # MNE's annotations are relative to the device's first sample, which may precede the file.
    annotations, before = raw.annotations, raw.first_time
    annotations = [
        (float(onset) - before, float(duration) if duration > 0 else None, str(text))
        for onset, duration, text in zip(annotations.onset, annotations.duration, annotations.description, strict=True)
    ]
    return sorted(annotations, key=lambda annotation: annotation[0])


class FileTime(NamedTuple):
    """Time information of a file: all annotations, gaps, bad segments, and notes on assumptions."""

    annotations: list[Annotation]
    gaps: tuple[Gap, ...]
    bad_spans: tuple[BadSpan, ...]
    notes: list[str]


def time_of(path: Path, root: Path, raw: mne.io.BaseRaw, sampling_rate_hz: float, n_samples: int) -> FileTime:
    """Read the time information of a file.

    Args:
        path: the file.
        root: folder of the data, see `open_raw`.
        raw: the file, opened.
        sampling_rate_hz: sampling rate of the sample indices.
        n_samples: samples per channel at this rate.

    Raises:
        InputError: the times are inconsistent.
    """
    annotations = None
    jumps: list[Any] = []
    notes: list[str] = []
    if path.suffix.lower() in EDF_SUFFIXES:
        header = EdfHeader.read(path)
        starts, annotations = edf_times(header)
        jumps, notes = edf_gaps(header, sampling_rate_hz, starts)
    if annotations is None or is_in_bids(path, root):
        annotations = _annotations_of_raw(raw)
    return FileTime(annotations, *find_interruptions(path, annotations, sampling_rate_hz, n_samples, jumps), notes)


@dataclasses.dataclass(frozen=True, eq=False)
class FileChannels:
    """Channels of a recording as in its file; one entry each.

    Args:
        names: names as spelled in the file.
        kinds: kinds in the file, see `channels_of`.
        is_undecided: whether the file does not state the kind, so that it is derived from the name.
        directions: `(channels, 3)` unit vectors from the head centre, by the coordinates in the file; NaN if missing.
    """

    names: tuple[str, ...]
    kinds: tuple[str | None, ...]
    is_undecided: tuple[bool, ...]
    directions: np.ndarray


def channels_in(path: Path, root: Path) -> FileChannels:
    """Return the channels of a recording, whether or not they are usable.

    Args:
        path: the file.
        root: folder of the data, see `open_recording`.

    Raises:
        InputError: the file cannot be read.
    """
    if is_array(path):
        names = Sidecar.of(path).channel_names
        return FileChannels(names, ("eeg",) * len(names), (False,) * len(names), np.full((len(names), 3), np.nan))
    raw = open_raw(path, root, [])
    kinds, undecided, positions_m = _described(raw)
    return FileChannels(tuple(raw.ch_names), tuple(kinds), tuple(undecided), directions_from(positions_m))


def _described(raw: mne.io.BaseRaw) -> tuple[list[str | None], list[bool], np.ndarray]:
    """Return kinds of channels in the file, whether they are left to the names, and coordinates in metres."""
    types = raw.get_channel_types()
    kinds = [kind if kind in _KINDS_OF_MNE else None for kind in types]
    # If a reader cannot determine the kind, the prefix of the name may.
    undecided = [kind == "misc" for kind in types]
    return kinds, undecided, np.array([channel["loc"][:3] for channel in raw.info["chs"]], dtype=float)


def _open_with_mne(path: Path, root: Path, table: ChannelTable, any_names: bool) -> RecordingFile:
    notes: list[str] = []
    raw = open_raw(path, root, notes)
    kinds, undecided, positions_m = _described(raw)
    channels, faults, concluded = channels_of(raw.ch_names, kinds, positions_m, table, any_names, undecided)
    notes += concluded
    rows = [channel.row for channel in channels]
    of_row: list[str | None] = [None] * len(raw.ch_names)
    for channel in channels:
        of_row[channel.row] = channel.kind
    known = units_of(raw, path, of_row, units_in_bids(path, root) if is_in_bids(path, root) else {})
    units, factors = [known[row][0] for row in rows], [known[row][1] for row in rows]
    faults += _faults_of_units(channels, units)
    _raise_faults(path, faults)
    notes += notes_on_units([channel.name for channel in channels], [channel.kind for channel in channels], units)
    scale = np.array([channel.factor * factor for channel, factor in zip(channels, factors, strict=True)])
    rate_hz, n_samples, read_rows, resampled = _signals(raw, path, rows)
    notes += resampled
    time = time_of(path, root, raw, rate_hz, n_samples)
    notes += time.notes
    bad_names = tuple(channel.name for channel in channels if raw.ch_names[channel.row] in raw.info["bads"])

    def read(start: int, stop: int) -> np.ndarray:
        message = f"{{path}}: samples {start} to {stop} cannot be read ({{reason}}); copy it again"
        with refusing_unreadable(path, message):
            return read_rows(start, stop) * scale[:, np.newaxis]

    return RecordingFile(
        path,
        rate_hz,
        n_samples,
        channels,
        tuple(unit.name for unit in units),
        read,
        tuple(notes),
        time.gaps,
        time.bad_spans,
        bad_names,
    )


def _signals(
    raw: mne.io.BaseRaw, path: Path, rows: Sequence[int]
) -> tuple[float, int, Callable[[int, int], np.ndarray], list[str]]:
    """Return rate, number of samples and reader of some channels, and a note if their rates differ.

    MNE misreads the slower channels of an EDF when reading a piece. Here the channels of each rate are read separately,
    and resampled to the highest rate by `ResampledSignal`, whose pieces equal those of the whole.
    """
    rate_hz, n_samples = float(raw.info["sfreq"]), int(raw.n_times)

    def at(source: mne.io.BaseRaw, picks: list[int]) -> Callable[[int, int], np.ndarray]:
        return lambda start, stop: source.get_data(picks=picks, start=start, stop=stop, verbose="WARNING")

    if path.suffix.lower() not in _MIXED_RATES:
        return rate_hz, n_samples, at(raw, list(rows)), []
    extras = raw._raw_extras[0]
    per_record = np.asarray(extras["n_samps"])[extras["sel"]]
    # MNE accepts a negative number.
    wrong = min(rows, key=lambda row: per_record[row])
    if per_record[wrong] < 1:
        raise InputError(
            f"{path}: channel {raw.ch_names[wrong]} has {per_record[wrong]} samples per record; expected a positive "
            "number; copy it again"
        )
    highest = int(max(per_record[row] for row in rows))
    rate_hz = rate_hz * highest / int(extras["max_samp"])
    n_samples = int(extras["n_records"]) * highest
    if all(per_record[row] == extras["max_samp"] for row in rows):
        return rate_hz, n_samples, at(raw, list(rows)), []
    pieces: list[tuple[list[int], Callable[[int, int], np.ndarray]]] = []
    notes = []
    for own in sorted({int(per_record[row]) for row in rows}):
        places = [place for place, row in enumerate(rows) if per_record[row] == own]
        read = functools.partial(read_records, path, extras, [rows[place] for place in places])
        if own != highest:
            read = ResampledSignal(read, int(extras["n_records"]) * own, own, highest).read
            shown = ", ".join(raw.ch_names[rows[place]] for place in places)
            notes.append(f"resampled from {rate_hz * own / highest:g} Hz to {rate_hz:g} Hz of the file: {shown}")
        pieces.append((places, read))

    def read_all(start: int, stop: int) -> np.ndarray:
        signal = np.empty((len(rows), stop - start))
        for places, read in pieces:
            signal[places] = read(start, stop)
        return signal

    return rate_hz, n_samples, read_all, notes


def _faults_of_units(channels: Sequence[Channel], units: Sequence[Unit]) -> list[str]:
    """Return problems of the units of the EEG."""
    wrong = {
        unit.name
        for channel, unit in zip(channels, units, strict=True)
        # Channels without an electrode position are EEG only by default.
        if channel.kind == "eeg" and np.isfinite(channel.direction).all() and not unit.is_voltage
    }
    return [f"unit of EEG is {', '.join(sorted(wrong))}; expected one of {', '.join(_VOLTAGES)}"] if wrong else []


def _open_array(path: Path, table: ChannelTable, any_names: bool) -> RecordingFile:
    sidecar = Sidecar.of(path)
    array = _array(path, sidecar)
    names = sidecar.channel_names
    if len(set(sidecar.axes)) != 2:
        raise InputError(f"{path}: axes are {' and '.join(sidecar.axes)}; expected channels and samples, in any order")
    if array.ndim != 2 or array.dtype.kind not in "fiu" or array.shape[sidecar.axes.index("channels")] != len(names):
        raise InputError(
            f"{path}: found {array.dtype} {array.shape}; expected numbers of {' by '.join(sidecar.axes)}, with "
            f"{len(names)} channels, according to its sidecar"
        )
    of_channel = (sidecar.unit,) * len(names) if isinstance(sidecar.unit, str) else sidecar.unit
    if len(of_channel) != len(names):
        raise InputError(f"{path}: its sidecar has {len(of_channel)} units; expected {len(names)}, one per channel")
    by_channel = array if sidecar.axes[0] == "channels" else array.T
    channels, faults, notes = channels_of(names, ["eeg"] * len(names), None, table, any_names)
    rows = [channel.row for channel in channels]
    units = [read_unit(of_channel[row]) for row in rows]
    faults += _faults_of_units(channels, units)
    _raise_faults(path, faults)
    notes += notes_on_units([channel.name for channel in channels], [channel.kind for channel in channels], units)
    scale = np.array([[channel.factor * unit.factor] for channel, unit in zip(channels, units, strict=True)])

    def read(start: int, stop: int) -> np.ndarray:
        return by_channel[rows, start:stop].astype(np.float64) * scale

    names_of_units = tuple(unit.name for unit in units)
    n_samples = by_channel.shape[1]
    return RecordingFile(path, sidecar.sampling_rate_hz, n_samples, channels, names_of_units, read, tuple(notes))


def _array(path: Path, sidecar: Sidecar) -> np.ndarray:
    if path.suffix.lower() == ".mat":
        if sidecar.variable is None:
            raise InputError(f'{path}: its sidecar has no "variable"; expected the name of its variable')
        variables = read_variables(path, (sidecar.variable,))
        if sidecar.variable not in variables:
            raise InputError(f"{path}: missing variable `{sidecar.variable}`, which its sidecar names")
        return variables[sidecar.variable]
    return map_npy(path)


def _raise_faults(path: Path, faults: list[str]) -> None:
    if faults:
        raise InputError("\n".join(f"{path}: {fault}" for fault in faults))
