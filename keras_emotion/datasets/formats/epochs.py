"""Read epoched recordings of EEGLAB and MNE."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from keras_emotion.datasets.formats.whole import joined

if TYPE_CHECKING:
    import mne

EPOCH_SUFFIXES = (".set", ".fif", ".fif.gz")


def read_epochs(path: Path) -> mne.io.BaseRaw:
    """Read epochs as one recording, each annotated at its event with the event's name.

    Args:
        path: a file of EEGLAB or MNE.

    Raises:
        Exception: any exception of MNE for another file.
    """
    import mne

    if path.suffix.lower() == ".set":
        epochs = mne.io.read_epochs_eeglab(path, verbose="WARNING")
    else:
        epochs = mne.read_epochs(path, preload=True, verbose="WARNING")
    rate_hz = float(epochs.info["sfreq"])
    values, starts, annotations = joined(list(epochs.get_data(copy=False)), rate_hz)
    raw = mne.io.RawArray(values, epochs.info, verbose="ERROR")
    names = {word: name for name, word in epochs.event_id.items()}
    n_samples = len(epochs.times)
    event = int(np.argmin(np.abs(epochs.times))) if epochs.tmin < 0 < epochs.tmax else 0
    annotations += [
        (start + event / rate_hz, (n_samples - event) / rate_hz, names[word])
        for start, word in zip(starts, epochs.events[:, 2], strict=True)
    ]
    annotations.sort(key=lambda annotation: annotation[0])
    onsets, durations, texts = ([annotation[place] for annotation in annotations] for place in range(3))
    raw.set_annotations(
        mne.Annotations(onsets, [duration or 0.0 for duration in durations], texts), emit_warning=False, verbose="ERROR"
    )
    before = f"; each starts {event / rate_hz:g} s before its event, for baseline_seconds" if event else ""
    warnings.warn(f"{len(starts)} epochs, one trial each{before}", stacklevel=2)
    return raw
