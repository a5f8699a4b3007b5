"""Read g.tec's g.Recorder files (HDF5)."""

from __future__ import annotations

import xml.etree.ElementTree
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from keras_emotion.array_files import open_hdf5
from keras_emotion.datasets.formats.matlab73 import check_declared_size
from keras_emotion.datasets.formats.whole import Annotation, Signals
from keras_emotion.schema import InputError

if TYPE_CHECKING:
    import h5py

GTEC_SUFFIXES = (".hdf5", ".h5")

_SAMPLES, _TASK = "RawData/Samples", "RawData/AcquisitionTaskDescription"
_KINDS = {"EEG": "eeg", "ECOG": "misc", "EOG": "eog", "ECG": "ecg", "EMG": "emg"}


def is_gtec(path: Path) -> bool:
    """Return whether a file is HDF5 with samples of g.Recorder."""
    try:
        with open_hdf5(path) as file:
            return _SAMPLES in file and _TASK in file
    except OSError:
        return False


def read_gtec(path: Path) -> Signals:
    """Read the signals and annotations of g.Recorder, whose samples are in microvolts.

    Args:
        path: the file.

    Raises:
        InputError: the file is not such a recording, its description does not match the samples, or it is too large.
    """
    check_declared_size(path)
    if not is_gtec(path):
        raise InputError(f"{path}: not a g.Recorder file; expected HDF5 with {_SAMPLES} and {_TASK}")
    with open_hdf5(path) as file:
        task = _xml(path, file, _TASK)
        channels = [
            {name: _text(entry, name) for name in ("ChannelName", "ChannelType", "LogicalChannelNumber")}
            for entry in _all(task, "ChannelProperties")
            if _text(entry, "LogicalChannelNumber")
        ]
        channels.sort(key=lambda channel: int(channel["LogicalChannelNumber"]))
        values = np.asarray(file[_SAMPLES], dtype=float)
        rate = next((entry.text for entry in _all(task, "SamplingFrequency")), None)
        if rate is None:
            rate = next((entry.text for entry in _all(task, "SampleRate")), None)
        rate_hz = float(rate or 0)
        annotations = _annotations(path, file, rate_hz)
    if values.ndim != 2 or values.shape[1] != len(channels) or not rate_hz > 0:
        raise InputError(
            f"{path}: samples {values.shape} for {len(channels)} channels at {rate or 'no'} Hz; expected "
            "(samples, channels) and a sampling frequency"
        )
    names = [channel["ChannelName"] or f"Channel {channel['LogicalChannelNumber']}" for channel in channels]
    return Signals(
        names=names,
        kinds=[_KINDS.get(channel["ChannelType"].upper() or "EEG", "misc") for channel in channels],
        units=["uV"] * len(names),
        sampling_rate_hz=rate_hz,
        values=values.T,
        annotations=annotations,
    )


def _annotations(path: Path, file: h5py.File, rate_hz: float) -> list[Annotation]:
    if not rate_hz or "AsynchronData/Time" not in file:
        return []
    samples, ids = (np.asarray(file[f"AsynchronData/{name}"]).ravel() for name in ("Time", "TypeID"))
    values = np.asarray(file["AsynchronData/Value"]).ravel() if "AsynchronData/Value" in file else np.ones(len(ids))
    names = {}
    if "AsynchronData/AsynchronSignalTypes" in file:
        for entry in _all(_xml(path, file, "AsynchronData/AsynchronSignalTypes"), "AsynchronSignalDescription"):
            names[_text(entry, "ID")] = _text(entry, "Description") or _text(entry, "Name")
    # Value 0 is the end of a signal with a duration.
    return [
        (int(sample) / rate_hz, None, names.get(str(int(word))) or str(int(word)))
        for sample, word, value in zip(samples, ids, values, strict=True)
        if value
    ]


def _xml(path: Path, file: h5py.File, name: str) -> xml.etree.ElementTree.Element:
    content = file[name][()]
    content = content[0] if isinstance(content, np.ndarray) else content
    try:
        return xml.etree.ElementTree.fromstring(content)
    except (xml.etree.ElementTree.ParseError, TypeError, ValueError) as error:
        raise InputError(f"{path}: {name} is invalid XML ({error}); copy the file again") from None


def _all(element: xml.etree.ElementTree.Element, name: str) -> Iterator[xml.etree.ElementTree.Element]:
    """Yield all descendants with a name, in any namespace."""
    return (entry for entry in element.iter() if entry.tag.rpartition("}")[2] == name)


def _text(element: xml.etree.ElementTree.Element, name: str) -> str:
    """Return the text of an element's child, empty if missing."""
    return next(((entry.text or "").strip() for entry in element if entry.tag.rpartition("}")[2] == name), "")
