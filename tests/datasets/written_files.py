"""Small recordings in many formats, written for tests, with given values per channel in its own unit."""

import dataclasses
import json
import struct

import edfio
import mne
import numpy as np
import scipy.io

RATE = 200


@dataclasses.dataclass
class Signal:
    """A channel: its values in its unit, and its rate."""

    name: str
    values: np.ndarray
    unit: str = "uV"
    rate: float = RATE


def sine(name, hz, size, *, rate=RATE, seconds=20, unit="uV", offset=0.0):
    return Signal(name, offset + size * np.sin(2 * np.pi * hz * np.arange(seconds * rate) / rate), unit, rate)


def write_edf(path, signals, **more):
    """EDF or BDF by suffix; the physical range of each channel is slightly larger than that of its values."""
    signal_class = edfio.BdfSignal if path.suffix == ".bdf" else edfio.EdfSignal
    written = [
        signal_class(
            one.values,
            one.rate,
            label=one.name,
            physical_dimension=one.unit,
            physical_range=(np.floor(one.values.min()) - 1, np.ceil(one.values.max()) + 1),
        )
        for one in signals
    ]
    (edfio.Bdf if path.suffix == ".bdf" else edfio.Edf)(written, **more).write(path)
    return path


def write_brainvision(path, signals, *, markers=(), data_file=None, orientation="MULTIPLEXED", encoding="utf-8"):
    """`.vhdr`, `.vmrk` and the samples as float32; `markers` are the texts after `Mk<n>=`."""
    data_file = data_file or path.with_suffix(".eeg").name
    array = np.array([one.values for one in signals], dtype="<f4")
    (array.T if orientation == "MULTIPLEXED" else array).tofile(path.parent / data_file)
    channels = "".join(f"Ch{place}={one.name},,1,{one.unit}\n" for place, one in enumerate(signals, start=1))
    path.write_text(
        "Brain Vision Data Exchange Header File Version 1.0\n\n[Common Infos]\n"
        f"DataFile={data_file}\nMarkerFile={path.stem}.vmrk\nDataFormat=BINARY\nDataOrientation={orientation}\n"
        f"NumberOfChannels={len(signals)}\nDataPoints={array.shape[1]}\nSamplingInterval={1e6 / signals[0].rate:g}\n\n"
        f"[Binary Infos]\nBinaryFormat=IEEE_FLOAT_32\n\n[Channel Infos]\n; a comment\n{channels}",
        encoding=encoding,
    )
    marks = "".join(f"Mk{place}={text}\n" for place, text in enumerate(markers, start=1))
    path.with_suffix(".vmrk").write_text(
        "Brain Vision Data Exchange Marker File, Version 1.0\n\n[Common Infos]\n"
        f"DataFile={data_file}\n\n[Marker Infos]\n{marks}"
    )
    return path


def write_set(path, signals, *, data_file=None, events=()):
    """An EEGLAB file; samples within it, or in a `data_file`. Events: `(type, latency from 1, duration in samples)`."""
    array = np.array([one.values for one in signals], dtype=np.float32)
    if data_file is not None:
        array.T.astype("<f4").tofile(path.parent / data_file)
    locations = np.array([(one.name,) for one in signals], dtype=[("labels", object)])
    happened = np.array(list(events), dtype=[("type", object), ("latency", object), ("duration", object)])
    eeg = {
        "setname": "a",
        "nbchan": len(signals),
        "trials": 1,
        "pnts": array.shape[1],
        "srate": float(signals[0].rate),
        "xmin": 0.0,
        "xmax": (array.shape[1] - 1) / signals[0].rate,
        "data": array if data_file is None else data_file,
        "chanlocs": locations,
        "event": happened,
        "epoch": [],
    }
    scipy.io.savemat(path, {"EEG": eeg}, appendmat=False)
    return path


def raw_of(signals, kinds, **more):
    """MNE's own format; values are written unchanged, as SI units."""
    info = mne.create_info([one.name for one in signals], signals[0].rate, kinds)
    return mne.io.RawArray(np.array([one.values for one in signals]), info, verbose="ERROR", **more)


def write_fif(path, raw, **more):
    raw.save(path, fmt="double", overwrite=True, verbose="ERROR", **more)
    return path


_GDF_UNITS = {"uV": 4275, "mV": 4274, "nV": 4276, "V": 4256, "degC": 6048}


def write_gdf(path, signals, *, seconds_per_record=1):
    """GDF 2.1 with 16-bit samples that are fifty times the values."""
    n_records = int(len(signals[0].values) / signals[0].rate / seconds_per_record)
    per_record = [round(one.rate * seconds_per_record) for one in signals]

    def each(form, values):
        return b"".join(struct.pack(form, value) for value in values)

    n = len(signals)
    head = b"GDF 2.10" + b"X X".ljust(66) + bytes(10 + 4 + 64 + 16) + bytes(8 + 8)
    head += struct.pack("<H", 1 + n) + bytes(6 + 8 + 6 + 6 + 12 + 12)
    head += struct.pack("<qIIHH", n_records, seconds_per_record, 1, n, 0)
    head += b"".join(one.name.encode().ljust(16, b"\0") for one in signals) + bytes(86 * n)
    head += each("<H", [_GDF_UNITS.get(one.unit, 0) for one in signals])
    head += each("<d", [-655.36] * n) + each("<d", [655.34] * n) + each("<d", [-32768] * n) + each("<d", [32767] * n)
    head += bytes(68 * n + 12 * n) + each("<i", per_record) + each("<i", [3] * n) + bytes(12 * n + n + 19 * n)
    content = bytearray(head)
    for record in range(n_records):
        for one, count in zip(signals, per_record, strict=True):
            values = one.values[record * count : (record + 1) * count]
            content += np.round(values * 50).astype("<i2").tobytes()
    path.write_bytes(bytes(content) + struct.pack("<B3BfI", 1, 0, 0, 0, 0.0, 0)[:8])
    return path


def write_array(path, signals):
    """`.npy` or `.mat`, with its sidecar."""
    array = np.array([one.values for one in signals])
    if path.suffix == ".mat":
        scipy.io.savemat(path, {"x": array})
    else:
        np.save(path, array)
    sidecar = {
        "sampling_rate_hz": signals[0].rate,
        "channel_names": [one.name for one in signals],
        "unit": [one.unit for one in signals],
        "axes": ["channels", "samples"],
        **({"variable": "x"} if path.suffix == ".mat" else {}),
    }
    path.with_suffix(".json").write_text(json.dumps(sidecar))
    return path
