"""Recordings of any format that MNE reads, and plain arrays with a sidecar: opened, and read a piece at a time."""

from __future__ import annotations

import dataclasses
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import pydantic

from keras_emotion.datasets.electrodes import Channel, ChannelTable, channels_of
from keras_emotion.datasets.matlab import read_variables
from keras_emotion.datasets.time_axis import BadSpan, Gap, TimeAxis
from keras_emotion.schema import InputError

if TYPE_CHECKING:
    import mne

ARRAY_SUFFIXES = (".npy", ".mat")
RECORDING_SUFFIXES = (".set", ".edf", ".bdf", ".gdf", ".vhdr", ".fif", ".fif.gz", ".cnt", ".mff", *ARRAY_SUFFIXES)
"""Endings of the files that are looked for in a folder; a table of trials may name others that MNE reads."""

COMMON_SIDECAR = "recordings.json"
"""Sidecar of all arrays of a folder that have none of their own."""

BIDS_MARKER = "dataset_description.json"

_COMPANIONS = (".fdt", ".eeg", ".vmrk", ".dat", ".json", ".tsv")
_MICROVOLTS = {"V": 1e6, "mV": 1e3, "uV": 1.0, "\N{MICRO SIGN}V": 1.0, "\N{GREEK SMALL LETTER MU}V": 1.0, "nV": 1e-3}
_KINDS_OF_MNE = ("eeg", "eog", "ecg", "emg", "gsr", "resp", "temperature", "bio")


class Sidecar(pydantic.BaseModel):
    """What a plain array does not say: `<name>.json` beside it, or `recordings.json` for all of a folder.

    Args:
        sampling_rate_hz: samples a second.
        channel_names: name of each channel, in order.
        unit: unit of all channels, or of each.
        axes: what the two axes are, in order.
        variable: name of the variable, in a `.mat`.
    """

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    sampling_rate_hz: Annotated[float, pydantic.Field(gt=0, allow_inf_nan=False)]
    channel_names: Annotated[tuple[str, ...], pydantic.Field(min_length=1)]
    unit: str | tuple[str, ...]
    axes: tuple[Literal["channels", "samples"], Literal["channels", "samples"]]
    variable: str | None = None

    @classmethod
    def of(cls, path: Path) -> Sidecar:
        """The sidecar of an array.

        Raises:
            InputError: there is none, or it is not as it should be.
        """
        file = sidecar_file(path)
        if file is None:
            raise InputError(
                f"{path}: an array without a sidecar; write {path.stem}.json (or {COMMON_SIDECAR} for the folder) "
                'with "sampling_rate_hz", "channel_names", "unit" and "axes" ["channels", "samples"]'
            )
        try:
            return cls.model_validate(json.loads(file.read_text(encoding="utf-8-sig")))
        except pydantic.ValidationError as error:
            faults = (f"{'.'.join(map(str, one['loc'])) or 'it'}: {one['msg']}" for one in error.errors())
            raise InputError(f"{file}: {'; '.join(faults)}") from None
        except (OSError, ValueError) as error:
            raise InputError(f"{file}: cannot be read as JSON ({error})") from None


def sidecar_file(path: Path) -> Path | None:
    """The sidecar of an array, its own before that of the folder; `None` where there is none."""
    return next((file for file in (path.with_suffix(".json"), path.parent / COMMON_SIDECAR) if file.is_file()), None)


def files_of(path: Path, root: Path) -> tuple[Path, ...]:
    """All files that a recording is read from: itself, and what formats of several files keep beside it."""
    if path.is_dir():
        return tuple(sorted(file for file in path.rglob("*") if file.is_file()))
    is_bids = _is_bids(path, root)
    start = f"{path.name.partition('_')[0]}_" if is_bids else f"{path.stem}."
    beside = (file for file in path.parent.iterdir() if file.name.startswith(start) and file.suffix in _COMPANIONS)
    common = sidecar_file(path) if path.suffix in ARRAY_SUFFIXES else None
    above = _bids_tables(path, root, start) if is_bids else ()
    return tuple(sorted({path, *beside, *above, *([common] if common else [])}))


def _bids_tables(path: Path, root: Path, start: str) -> list[Path]:
    """Tables in the folders above a recording that mne-bids reads with it."""
    folders = [root / folder for folder in path.relative_to(root).parents]
    names = ("participants.tsv", f"{start}*scans.tsv")
    return [file for folder in folders for name in names for file in folder.glob(name)]


def _is_bids(path: Path, root: Path) -> bool:
    return (root / BIDS_MARKER).is_file() and path.name.startswith("sub-")


@dataclasses.dataclass(frozen=True, eq=False)
class RecordingFile:
    """A recording of which the header is read and the samples are not.

    Args:
        path: the file.
        sampling_rate_hz: samples a second.
        n_samples: samples of each channel.
        channels: those that are used, in the order of the file.
        units: unit of each of them as `read` gives it.
        read: `(start, stop)` in samples to `(channels, samples)` float64.
        notes: what was concluded from the names.
        gaps: where the recording was interrupted, in order.
        bad_spans: stretches that the file itself calls bad, by their first sample.
        bad_channels: names, as in `channels`, of those that the file itself calls bad.
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
        """Samples and seconds, in which trials and the file's own marks stand."""
        return TimeAxis(self.sampling_rate_hz, self.n_samples, self.gaps)

    @property
    def duration_seconds(self) -> float:
        """Seconds from the first sample to after the last."""
        return self.n_samples / self.sampling_rate_hz


def open_recording(path: Path, root: Path, table: ChannelTable, any_names: bool = False) -> RecordingFile:
    """Opens a recording; its samples stay in the file (all formats but `.mat` and the few that MNE reads whole).

    Args:
        path: the file.
        root: folder of the data; a file of a BIDS tree (`dataset_description.json` in it) is read by mne-bids.
        table: what the user says of channels.
        any_names: whether channels may have any name, see `channels_of`.

    Raises:
        InputError: the file cannot be read, or its channels cannot be used.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file")
    if path.suffix in ARRAY_SUFFIXES:
        return _open_array(path, table, any_names)
    return _open_with_mne(path, root, table, any_names)


def open_raw(path: Path, root: Path) -> mne.io.BaseRaw:
    """What MNE makes of a file, without its samples.

    Raises:
        InputError: it cannot be read; or it lies in a BIDS tree, and mne-bids is not installed.
    """
    import mne

    reader: Callable[[], Any]
    if _is_bids(path, root):
        try:
            import mne_bids
        except ImportError:
            raise InputError(f"{path}: lies in a BIDS tree; install mne-bids to read it") from None

        def reader():
            return mne_bids.read_raw_bids(mne_bids.get_bids_path_from_fname(path, verbose="ERROR"), verbose="ERROR")
    else:

        def reader():
            return mne.io.read_raw(path, preload=False, verbose="ERROR")

    try:
        with warnings.catch_warnings():
            # Of what MNE warns of, what matters here is looked at: lengths, units, channels.
            warnings.simplefilter("ignore")
            return reader()
    except Exception as error:  # each format has its own ways to fail on a file that is not of its kind
        says_why = isinstance(error, (ValueError, RuntimeError, OSError, NotImplementedError)) and str(error)
        reason = " ".join(str(error).split())[:200] if says_why else "damaged, or not of this format"
        raise InputError(f"{path}: cannot be read as {path.suffix or 'a recording'} ({reason})") from None


def unit_given(raw: mne.io.BaseRaw, row: int, kind: str) -> str:
    """Unit in which a channel of MNE's is given: voltages in microvolt, others as the file has them.

    Args:
        raw: what MNE made of the file.
        row: place of the channel in it.
        kind: what the channel is, one of `electrodes.KINDS`.
    """
    from mne.io.constants import FIFF

    unit = raw.info["chs"][row]["unit"]
    dimension = (getattr(raw, "_orig_units", None) or {}).get(raw.ch_names[row])
    is_voltage = unit == FIFF.FIFF_UNIT_V and (dimension is None or dimension in _MICROVOLTS)
    if kind == "eeg" or is_voltage:
        return "uV"
    if unit == FIFF.FIFF_UNIT_CEL or dimension in ("C", "degC"):
        return "degC"
    return dimension if dimension not in (None, "", "n/a") else "a.u."


def _open_with_mne(path: Path, root: Path, table: ChannelTable, any_names: bool) -> RecordingFile:
    raw = open_raw(path, root)
    kinds = [kind if kind in _KINDS_OF_MNE else None for kind in raw.get_channel_types()]
    positions_m = np.array([channel["loc"][:3] for channel in raw.info["chs"]], dtype=float)
    channels, faults, notes = channels_of(raw.ch_names, kinds, positions_m, table, any_names)
    _raise_faults(path, faults)
    units = [unit_given(raw, channel.row, channel.kind) for channel in channels]
    scales = [channel.factor * (1e6 if unit == "uV" else 1.0) for channel, unit in zip(channels, units, strict=True)]
    rows, scale = [channel.row for channel in channels], np.array(scales)[:, np.newaxis]

    def read(start: int, stop: int) -> np.ndarray:
        try:
            return raw.get_data(picks=rows, start=start, stop=stop, verbose="ERROR") * scale
        except (OSError, ValueError, RuntimeError) as error:
            raise InputError(f"{path}: samples {start} to {stop} cannot be read ({error}); copy it again") from None

    return RecordingFile(path, float(raw.info["sfreq"]), raw.n_times, channels, tuple(units), read, tuple(notes))


def _open_array(path: Path, table: ChannelTable, any_names: bool) -> RecordingFile:
    sidecar = Sidecar.of(path)
    array = _array(path, sidecar)
    names = sidecar.channel_names
    if array.ndim != 2 or array.dtype.kind not in "fiu" or array.shape[sidecar.axes.index("channels")] != len(names):
        raise InputError(
            f"{path}: holds {array.dtype} {array.shape}; expected numbers of {' by '.join(sidecar.axes)}, with "
            f"{len(names)} channels, as its sidecar says"
        )
    if len(set(sidecar.axes)) != 2:
        raise InputError(f"{path}: axes are {' and '.join(sidecar.axes)}; expected channels and samples, in any order")
    of_channel = (sidecar.unit,) * len(names) if isinstance(sidecar.unit, str) else sidecar.unit
    if len(of_channel) != len(names):
        raise InputError(f"{path}: its sidecar has {len(of_channel)} units for {len(names)} channels")
    by_channel = array if sidecar.axes[0] == "channels" else array.T
    channels, faults, notes = channels_of(names, ["eeg"] * len(names), None, table, any_names)
    wrong = {of_channel[one.row] for one in channels if one.kind == "eeg"} - set(_MICROVOLTS)
    if wrong:
        faults.append(f"unit of EEG is {', '.join(sorted(wrong))}; expected one of {', '.join(_MICROVOLTS)}")
    _raise_faults(path, faults)
    rows = [channel.row for channel in channels]
    scale = np.array([[channel.factor * _MICROVOLTS.get(of_channel[channel.row], 1.0)] for channel in channels])

    def read(start: int, stop: int) -> np.ndarray:
        return by_channel[rows, start:stop].astype(np.float64) * scale

    units = tuple("uV" if of_channel[row] in _MICROVOLTS else of_channel[row] for row in rows)
    return RecordingFile(path, sidecar.sampling_rate_hz, by_channel.shape[1], channels, units, read, tuple(notes))


def _array(path: Path, sidecar: Sidecar) -> np.ndarray:
    if path.suffix == ".mat":
        if sidecar.variable is None:
            raise InputError(f'{path}: its sidecar names no "variable"; expected that of the array')
        variables = read_variables(path, (sidecar.variable,))
        if sidecar.variable not in variables:
            raise InputError(f"{path}: no variable `{sidecar.variable}`, which its sidecar names")
        return variables[sidecar.variable]
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path}: no array of numbers ({error}); copy it again") from None


def _raise_faults(path: Path, faults: list[str]) -> None:
    if faults:
        raise InputError("\n".join(f"{path}: {fault}" for fault in faults))
