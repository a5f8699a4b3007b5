"""Select the reader of a recording, and decide which files of a folder are recordings."""

from __future__ import annotations

import contextlib
import io
import logging
import math
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from keras_emotion.datasets.formats.device_tables import TABLE_SUFFIXES, device_of, read_device_table
from keras_emotion.datasets.formats.epochs import EPOCH_SUFFIXES, read_epochs
from keras_emotion.datasets.formats.fieldtrip import read_fieldtrip
from keras_emotion.datasets.formats.gtec import GTEC_SUFFIXES, is_gtec, read_gtec
from keras_emotion.datasets.formats.matlab73 import is_matlab73
from keras_emotion.datasets.formats.whole import Signals, require
from keras_emotion.datasets.formats.xdf import XDF_SUFFIXES, read_xdf
from keras_emotion.schema import InputError

if TYPE_CHECKING:
    import mne

MIXED_SUFFIXES = (".eeg", ".dat", ".data", ".csv", ".txt", ".hdf5", ".h5")
"""Suffixes that files of many kinds have; `is_recording` checks their content."""

SUFFIXES = (
    *(".set", ".edf", ".bdf", ".gdf", ".vhdr", ".ahdr", ".fif", ".fif.gz", ".cnt", ".mff", ".cdt"),
    *XDF_SUFFIXES,
    *MIXED_SUFFIXES,
)
"""Suffixes of recordings that are searched for in a folder, in addition to plain arrays."""

ONE_FILE_SUFFIXES = (*XDF_SUFFIXES, *TABLE_SUFFIXES, *GTEC_SUFFIXES)
"""Formats, of those that are read into memory, in which a recording is one file."""

_WHOLE: dict[str, Callable[[Path], Signals]] = {
    **dict.fromkeys(XDF_SUFFIXES, read_xdf),
    **dict.fromkeys(TABLE_SUFFIXES, read_device_table),
    **dict.fromkeys(GTEC_SUFFIXES, read_gtec),
    ".mat": read_fieldtrip,
}

_CURRY_SUFFIXES = (".cdt", ".dat", ".dap", ".rs3", ".cef", ".dpa")
_NIHON_KOHDEN = (b"EEG-1100", b"EEG-1200", b"EEG-2100", b"QI-403A", b"DAE-2100")

_NEUROSCAN_SECONDS = 10.0
_STEP_OF_EEG = 0.5
_SIZE_OF_EEG_V = (1e-7, 1e-2)


def is_recording(path: Path) -> bool:
    """Return whether a file with one of the `SUFFIXES` is a recording, for suffixes that other files have too.

    Raises:
        InputError: the file cannot be read.
    """
    suffix = path.suffix.lower()
    if suffix in TABLE_SUFFIXES:
        return device_of(path) is not None
    if suffix in GTEC_SUFFIXES:
        return is_gtec(path)
    if suffix == ".eeg":
        return _begins(path, 8).startswith(_NIHON_KOHDEN)
    if suffix == ".dat":
        return _has_beside(path, ".dap")
    if suffix == ".data":
        return _has_beside(path, ".head")
    return True


def read_raw(path: Path) -> mne.io.BaseRaw:
    """Open a file with MNE or a reader of this package, without reading its samples if the format allows.

    Args:
        path: the file. Its suffix is case-insensitive.

    Raises:
        InputError: a required package is missing, or a reader of this package cannot read the file.
        Exception: any exception of MNE for a file that it cannot read.
    """
    import mne

    # Some readers print messages regardless of `verbose`.
    with mne.use_log_level("WARNING"), contextlib.redirect_stdout(io.StringIO()), _log_as_warnings():
        raw = _read_raw(path)
    # MNE accepts a negative record duration.
    if not 0 < raw.info["sfreq"] < math.inf:
        raise InputError(
            f"{path}: declares a sampling rate of {raw.info['sfreq']:g} Hz; expected a positive number; copy it again"
        )
    return raw


class _Collector(logging.Handler):
    def __init__(self, level: int):
        super().__init__(level)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@contextlib.contextmanager
def _log_as_warnings() -> Iterator[None]:
    """Issue log messages of readers as warnings: pyxdf logs which damaged parts of a file it skips."""
    root = logging.getLogger()
    handlers, collector = root.handlers, _Collector(logging.WARNING)
    root.handlers = [collector]
    try:
        yield
    finally:
        root.handlers = handlers
    for text in dict.fromkeys(record.getMessage() for record in collector.records):
        warnings.warn(text, stacklevel=2)


def _read_raw(path: Path) -> mne.io.BaseRaw:
    import mne

    suffix = path.suffix.lower()
    if suffix in _WHOLE:
        return _WHOLE[suffix](path).as_raw()
    if suffix == ".cnt":
        # Two manufacturers use the suffix; ANT's files are RIFF files, with 64-bit sizes in newer ones.
        if _begins(path, 4) not in (b"RIFF", b"RF64"):
            return _read_neuroscan(path)
        require(path, "antio")
        _require_lower_case(path)
        return mne.io.read_raw_ant(path, preload=False, verbose="WARNING")
    if suffix == ".data":
        return mne.io.read_raw_nicolet(path, "eeg", preload=False, verbose="WARNING")
    if suffix in (".mff", ".vhdr", ".ahdr", *_CURRY_SUFFIXES):
        _require_lower_case(path)
    if suffix == ".mff":
        require(path, "mffpy")
    elif suffix in _CURRY_SUFFIXES and (suffix != ".dat" or _has_beside(path, ".dap")):
        require(path, "curryreader")
    elif suffix == ".set" and is_matlab73(path):
        require(path, "pymatreader")
    try:
        return mne.io.read_raw(path, preload=False, verbose="WARNING")
    except Exception as error:
        if suffix in (".edf", ".bdf") and "encoding='latin1'" in str(error):
            warnings.warn("annotations are not in UTF-8: read as Latin-1", stacklevel=2)
            read = mne.io.read_raw_edf if suffix == ".edf" else mne.io.read_raw_bdf
            return read(path, preload=False, encoding="latin1", verbose="WARNING")
        if not path.name.lower().endswith(EPOCH_SUFFIXES):
            raise
        try:
            return read_epochs(path)
        except Exception as of_epochs:
            if "must be 1 for raw files" in str(error):
                raise InputError(
                    f"{path}: unreadable epochs ({of_epochs}); open it in EEGLAB, check it with "
                    "eeg_checkset, and save it again"
                ) from None
            raise error from None


def _read_neuroscan(path: Path) -> mne.io.BaseRaw:
    """Read a Neuroscan CNT; if its header does not give the bits per sample, choose the number that yields EEG.

    Samples of 16 bits read as 32 become volts, and samples of 32 bits read as 16 jump from one to the next.
    """
    import mne

    try:
        return mne.io.read_raw_cnt(path, preload=False, verbose="WARNING")
    except (ValueError, RuntimeError) as error:
        if "data_format" not in str(error):
            raise
        reason = str(error)
    found = []
    for data_format in ("int16", "int32"):
        raw = mne.io.read_raw_cnt(path, data_format=data_format, preload=False, verbose="WARNING")
        values = raw.get_data("eeg", stop=min(int(_NEUROSCAN_SECONDS * raw.info["sfreq"]), raw.n_times))
        size = np.median(values.std(axis=1))
        step = np.median(np.abs(np.diff(values, axis=1)).mean(axis=1)) / (size or np.inf)
        if _SIZE_OF_EEG_V[0] < size < _SIZE_OF_EEG_V[1] and step < _STEP_OF_EEG:
            found.append(raw)
    if len(found) != 1:
        raise InputError(
            f"{path}: bits per sample missing in the header ({reason}); expected 16 or 32; export it again"
        )
    return found[0]


def _require_lower_case(path: Path) -> None:
    if not path.name.endswith(path.suffix.lower()):
        raise InputError(
            f"{path}: unsupported suffix; expected it in lower case, as MNE-Python requires; rename it to "
            f"{path.with_suffix(path.suffix.lower()).name}"
        )


def _begins(path: Path, n_bytes: int) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(n_bytes)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None


def _has_beside(path: Path, suffix: str) -> bool:
    """Return whether a file of the same name with another suffix, in either case, is in its folder."""
    return any(path.with_suffix(ending).is_file() for ending in (suffix, suffix.upper()))
