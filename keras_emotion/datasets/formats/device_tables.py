"""Read text files of consumer devices: Mind Monitor (Muse), OpenBCI, Emotiv."""

from __future__ import annotations

import dataclasses
import io
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from keras_emotion.datasets.formats.whole import JOIN, Annotation, Signals
from keras_emotion.datasets.status_channels import is_status_channel
from keras_emotion.limits import check_table
from keras_emotion.refusals import refusing_unreadable
from keras_emotion.schema import InputError

TABLE_SUFFIXES = (".csv", ".txt")

PAUSE_SECONDS = 1.0
"""Seconds between time stamps that count as a pause; time stamps of these devices come in bursts of samples."""

_HEAD_BYTES = 1 << 16

_MUSE_RATES_HZ = (256.0, 220.0)
"""Sampling rates of the headbands from 2016 on, and of that of 2014."""

_MUSE_RATE_TOLERANCE = 0.05


@dataclasses.dataclass(frozen=True)
class Device:
    """Supported program that writes text files.

    Args:
        name: name for messages.
        fits: function that recognises a file by its first lines.
        read: function that reads a file.
    """

    name: str
    fits: Callable[[Sequence[str]], bool]
    read: Callable[[Path, str], Signals]


def device_of(path: Path) -> Device | None:
    """Identify the device that wrote a text file by its first lines; `None` if it is unsupported.

    Raises:
        InputError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    lines = head.decode("utf-8-sig", "replace").splitlines()[:20]
    return next((device for device in DEVICES if device.fits(lines)), None)


def read_device_table(path: Path) -> Signals:
    """Read the signals and annotations of a device's text file.

    Args:
        path: the file.

    Raises:
        InputError: the device is unsupported, or the file is damaged or larger than `Limits.table_mib`.
    """
    device = device_of(path)
    if device is None:
        raise InputError(
            f"{path}: unsupported device; expected "
            f"{', '.join(one.name for one in DEVICES)}; convert other tables to .npy with a sidecar"
        )
    check_table(path, path.stat().st_size)
    with refusing_unreadable(path, f"{{path}}: invalid {device.name} file ({{reason}}); export it again"):
        return device.read(path, path.read_bytes().decode("utf-8-sig", "replace"))


# --- Mind Monitor: https://mind-monitor.com/FAQ.php


def _fits_mind_monitor(lines: Sequence[str]) -> bool:
    return bool(lines) and lines[0].startswith("TimeStamp,") and "RAW_TP9" in lines[0]


def _read_mind_monitor(path: Path, text: str) -> Signals:
    table = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False, index_col=False)
    names = [name for name in table.columns if name.startswith("RAW_")]
    others = [name for name in table.columns if re.match(r"(AUX|Accelerometer|Gyro|PPG|Optics)", name)]
    numbers = table[[*names, *others]].apply(pd.to_numeric, errors="coerce").to_numpy(float)
    stamps = pd.to_datetime(table["TimeStamp"], format="mixed").astype("datetime64[ns]")
    seconds = stamps.astype("int64").to_numpy() / 1e9
    elements = table["Elements"].str.strip().to_numpy() if "Elements" in table else np.full(len(table), "")
    is_sample = np.isfinite(numbers[:, : len(names)]).all(axis=1)
    n_lacking = int((~is_sample & (elements == "")).sum())
    notes = [f"lines with a missing value of a raw channel, left out: {n_lacking}"] if n_lacking else []
    times = seconds[is_sample]
    if len(times) < 2:
        raise InputError(f"{path}: no raw samples; expected raw data; enable them in the settings of Mind Monitor")
    pauses = _pauses(times)
    recorded_seconds = times[-1] - times[0] - sum(times[at] - times[at - 1] for at in pauses)
    measured_hz = (len(times) - 1 - len(pauses)) / recorded_seconds if recorded_seconds > 0 else 0.0
    rate_hz = next((rate for rate in _MUSE_RATES_HZ if abs(measured_hz / rate - 1) < _MUSE_RATE_TOLERANCE), None)
    if rate_hz is None:
        overall_hz = (len(times) - 1) / (times[-1] - times[0]) if times[-1] > times[0] else 0.0
        raise InputError(
            f"{path}: {overall_hz:.4g} lines per second; expected "
            f"{' or '.join(f'{rate:g}' for rate in _MUSE_RATES_HZ)}; in Mind Monitor, set the recording interval to "
            "constant"
        )
    place = np.cumsum(is_sample)
    annotations: list[Annotation] = [(at / rate_hz, None, JOIN) for at in pauses]
    # A line with an event has no sample: its event belongs to the next sample.
    annotations += [
        (float(place[row] - is_sample[row]) / rate_hz, None, elements[row]) for row in np.flatnonzero(elements != "")
    ]
    return Signals(
        names=[name.removeprefix("RAW_") for name in names] + others,
        kinds=["eeg"] * len(names) + ["misc"] * len(others),
        units=["uV"] * len(names) + [None] * len(others),
        sampling_rate_hz=rate_hz,
        values=numbers[is_sample].T,
        annotations=annotations,
        notes=notes,
    )


# --- OpenBCI GUI: https://docs.openbci.com/Software/OpenBCISoftware/GUIDocs/


def _fits_openbci(lines: Sequence[str]) -> bool:
    return bool(lines) and lines[0].startswith("%OpenBCI Raw E")


def _read_openbci(path: Path, text: str) -> Signals:
    lines = text.splitlines()
    header = [line for line in lines[:20] if line.startswith("%")]
    found = {key.strip(): value.strip() for key, _, value in (line[1:].partition("=") for line in header)}
    rate = re.match(r"[\d.]+", found.get("Sample Rate", ""))
    if rate is None or float(rate.group()) <= 0:
        raise InputError(f"{path}: sample rate missing in the header; expected a line `%Sample Rate = 250 Hz`")
    rate_hz = float(rate.group())
    body = lines[len(header) :]
    columns = [cell.strip() for cell in body[0].split(",")] if body and body[0].startswith("Sample Index") else None
    cells = [[cell.strip() for cell in line.split(",")] for line in body[1 if columns else 0 :] if line.strip()]
    if columns is None:
        # Before version 5 the columns have no names: the index is followed by the channels and the accelerometer.
        count = found.get("Number of channels", "")
        if not count.isdigit():
            raise InputError(
                f"{path}: number of channels missing in the header; expected a line `%Number of channels = 8`; add it"
            )
        n_channels = int(count)
        names = [f"EXG Channel {place}" for place in range(n_channels)]
        columns = ["Sample Index", *names]
        stamp = next((place for place in (-1, -2) if re.fullmatch(r"\d{13}", cells[-1][place] if cells else "")), None)
    else:
        names = [name for name in columns if name.startswith("EXG Channel")]
        stamp = columns.index("Timestamp") if "Timestamp" in columns else None
    width = len(cells[0]) if cells else 0
    n_cut = len(cells) - sum(len(line) == width for line in cells)
    notes = []
    if n_cut == 1 and len(cells[-1]) != width:
        cells.pop()
        notes.append("truncated last line left out")
    elif n_cut:
        raise InputError(
            f"{path}: {n_cut} lines with another number of cells; expected {width}, as in the first line; export it "
            "again"
        )
    if not names or not cells:
        raise InputError(f"{path}: no samples of EXG channels; expected some; export it again")
    places = [columns.index(name) for name in names]
    values = np.array([[line[place] for place in places] for line in cells], dtype=float).T
    annotations: list[Annotation] = []
    if stamp is not None:
        stamps = np.array([line[stamp] for line in cells], dtype=float)
        # Milliseconds in older files, seconds in newer ones.
        stamps = stamps / 1000 if np.median(stamps) > 1e11 else stamps
        annotations += [(at / rate_hz, None, JOIN) for at in _pauses(stamps)]
    if "Marker Channel" in columns:
        words = np.array([line[columns.index("Marker Channel")] for line in cells], dtype=float)
        annotations += [(at / rate_hz, None, f"{words[at]:g}") for at in np.flatnonzero(words)]
    index = np.array([line[0] for line in cells], dtype=float)
    steps = np.diff(index)[np.diff(index) > 0]
    usual = np.median(steps) if len(steps) else 1.0
    if n_lost := int((steps > usual).sum()):
        notes.append(f"the sample index jumps at {n_lost} places: packets were lost; time is counted in samples")
    return Signals(names, ["eeg"] * len(names), ["uV"] * len(names), rate_hz, values, annotations, notes)


# --- Emotiv: https://emotiv.gitbook.io/emotivpro-v3/ (CSV files)


def _fits_emotiv(lines: Sequence[str]) -> bool:
    return (
        bool(lines)
        and lines[0].startswith("title:")
        and ("labels:COUNTER" in lines[0] or any("EEG.Counter" in line for line in lines[1:2]))
    )


def _read_emotiv(path: Path, text: str) -> Signals:
    first, _, rest = text.partition("\n")
    rate = re.search(r"sampling(?: rate)?:\s*(?:eeg_)?(\d+)", first)
    if rate is None:
        raise InputError(
            f"{path}: sampling rate missing in the first line; expected `sampling rate:128`; export it again"
        )
    rate_hz = float(rate.group(1))
    labels = re.search(r"labels:([^,]*)", first)
    if labels:  # TestBench: column names in the first line, rows of numbers below
        columns = labels.group(1).split()
        table = pd.read_csv(io.StringIO(rest), header=None, index_col=False)
        if len(columns) > table.shape[1]:
            raise InputError(
                f"{path}: {table.shape[1]} columns; expected {len(columns)}, as named in the first line; export it "
                "again"
            )
        table = table.iloc[:, : len(columns)].set_axis(columns, axis=1)
        names = [name for name in columns if not is_status_channel(name)]
        marker, is_eeg = "MARKER", set(names)
    else:  # EmotivPRO
        table = pd.read_csv(io.StringIO(rest), index_col=False)
        status = ("Counter", "Interpolated", "RawCq", "Battery", "BatteryPercent", "MarkerHardware")
        names = [name for name in table.columns if name.startswith("EEG.") and name.removeprefix("EEG.") not in status]
        marker, is_eeg = "MarkerValueInt", set(names)
        names += [name for name in table.columns if name.startswith("MOT.")]
    annotations: list[Annotation] = []
    if marker in table:
        words = pd.to_numeric(table[marker], errors="coerce").fillna(0).to_numpy(float)
        starts = np.flatnonzero((words != 0) & (np.diff(words, prepend=0) != 0))
        annotations = [(int(at) / rate_hz, None, f"{words[at]:g}") for at in starts]
    if "Timestamp" in table:
        annotations += [(at / rate_hz, None, JOIN) for at in _pauses(table["Timestamp"].to_numpy(float))]
    values = table[names].apply(pd.to_numeric, errors="raise").to_numpy(float).T
    is_signal = np.array([name in is_eeg for name in names])
    notes = []
    lacking = np.isnan(values[is_signal]).any(axis=0)
    if lacking.any():
        raise InputError(f"{path}: {int(lacking.sum())} lines lack a value of an EEG channel; export it again")
    interpolated = next((name for name in ("EEG.Interpolated", "INTERPOLATED") if name in table), None)
    if interpolated and (n_interpolated := int((table[interpolated].to_numpy(float) > 0).sum())):
        notes.append(f"samples that the device lost and Emotiv interpolated: {n_interpolated}")
    return Signals(
        names=[name.removeprefix("EEG.") for name in names],
        kinds=["eeg" if name in is_eeg else "misc" for name in names],
        units=["uV" if name in is_eeg else None for name in names],
        sampling_rate_hz=rate_hz,
        values=values,
        annotations=annotations,
        notes=notes,
    )


def _pauses(seconds: np.ndarray) -> list[int]:
    """Return the indices of the samples that follow a pause of the recording."""
    return (np.flatnonzero(np.abs(np.diff(seconds)) > PAUSE_SECONDS) + 1).tolist()


DEVICES = (
    Device("Mind Monitor", _fits_mind_monitor, _read_mind_monitor),
    Device("OpenBCI", _fits_openbci, _read_openbci),
    Device("Emotiv", _fits_emotiv, _read_emotiv),
)
