"""Synthetic original recordings of DEAP: BioSemi files at 512 Hz with a status channel."""

from __future__ import annotations

import datetime
from pathlib import Path

import numpy as np
import scipy.signal

from keras_emotion.synthetic.facts import read_channels, read_facts

FACTS = read_facts("deap")
CHANNELS = read_channels("deap")
_ORIGINAL = FACTS["original"]

PHYSICAL_RANGE = (-262144, 262143)
"""Range of every channel, with 2**24 steps as in BioSemi files: 31.25 nV per step. Skin conductance in nS (Twente) is
written with the same steps, which are 3 ohm at 300 kilohm; skin resistance (Geneva) with steps of 1 ohm."""

FIXATION_SECONDS, AFTER_VIDEO_SECONDS, RATING_SECONDS = 5, 3, 2
PULSE_SECONDS = 0.1

_DIGITAL_RANGE = (-(2**23), 2**23 - 1)
_BIOSEMI_FORMAT = (192, b"24BIT")


def write_original(path: Path, subject: int, trials: np.ndarray, rng: np.random.Generator) -> None:
    """Write one subject's recording.

    The channels are in the order of the subject's site, with the status channel named as in that subject's file; the
    status words have the amplifier's own bits above the code. Intervals are shortened: 2 s of the 120 s of rest, and of
    each rating. Between trials the signal of a trial continues periodically.

    Added to the trials, as in a real recording: an offset and a drift of each electrode, and noise of the common
    reference, the same on every scalp channel.

    Args:
        path: output file.
        subject: id of the subject, which determines channel order, unit of the skin response and status label.
        trials: `(trials, 40, samples)` at 128 Hz with 3 s of baseline, in the order of presentation.
        rng: generator of the added noise.
    """
    import edfio

    rate_hz, preprocessed = _ORIGINAL["sampling_rate_hz"], FACTS["preprocessed"]
    step = rate_hz // preprocessed["sampling_rate_hz"]
    n_samples = preprocessed["n_samples"] * step
    before = (FIXATION_SECONDS - FACTS["baseline_seconds"]) * rate_hz
    length = (FIXATION_SECONDS + FACTS["trial_seconds"] + AFTER_VIDEO_SECONDS + RATING_SECONDS) * rate_hz
    periodic = np.arange(-before, length - before) % n_samples
    start, end = 4 * rate_hz, 2 * rate_hz
    signal = np.empty((len(CHANNELS), start + len(trials) * length + end))
    status = np.zeros(signal.shape[1], dtype=np.int32)

    def mark(code: int, sample: int):
        status[sample : sample + round(PULSE_SECONDS * rate_hz)] = code

    mark(1, 0)
    mark(1, rate_hz)
    mark(2, 3 * rate_hz)
    for index, trial in enumerate(trials):
        onset = start + index * length
        # Interpolated by zero-padding the spectrum: every fourth sample is a sample of the trial.
        signal[:, onset : onset + length] = scipy.signal.resample(trial, n_samples, axis=-1)[:, periodic]
        video = onset + FIXATION_SECONDS * rate_hz
        for code, seconds in ((3, -FIXATION_SECONDS), (4, 0), (5, 60), (1, 60 + AFTER_VIDEO_SECONDS)):
            mark(code, video + seconds * rate_hz)
    # Before the first and after the last trial, their own signals continue.
    signal[:, :start] = signal[:, start : 2 * start]
    signal[:, -end:] = signal[:, -2 * end : -end]
    mark(2, len(status) - end)
    mark(7, len(status) - end // 2)

    recorded = _electrodes(signal, subject, rng)
    order = (
        _ORIGINAL["twente_order"]
        if subject <= _ORIGINAL["last_twente_subject"]
        else CHANNELS["name"][CHANNELS["kind"] == "eeg"]
    )
    resistance = "Ohm" if subject > _ORIGINAL["last_twente_subject"] else "nS"
    dimensions = {"GSR1": resistance, "GSR2": resistance, "Temp": "C"}
    signals = []
    for name in (*order, *_ORIGINAL["other_channels"]):
        physical = _DIGITAL_RANGE if dimensions.get(name) == "Ohm" else PHYSICAL_RANGE
        values = recorded.get(name, np.zeros(len(status)))
        digital = np.rint(np.interp(values, physical, _DIGITAL_RANGE)).astype(np.int32)
        signals.append(
            edfio.BdfSignal.from_digital(
                digital,
                rate_hz,
                label=name,
                physical_dimension=dimensions.get(name, "uV"),
                physical_range=physical,
                digital_range=_DIGITAL_RANGE,
            )
        )
    labels = next(
        row["labels"] for row in _ORIGINAL["status_labels"] if row["first_subject"] <= subject <= row["last_subject"]
    )
    # The amplifier's bits: electrodes in range, speed mode, and for later subjects a low battery.
    words = status | (0x58FF00 if subject >= _ORIGINAL["status_labels"][1]["first_subject"] else 0x18FF00)
    words[: rate_hz // 8] |= 0x010000
    for label, content in zip(labels, [words, np.zeros_like(words)], strict=False):
        signals.append(edfio.BdfSignal.from_digital(content, rate_hz, label=label, digital_range=_DIGITAL_RANGE))
    edfio.Bdf(
        signals, recording=edfio.Recording(startdate=datetime.date(2010, 1, 1), equipment_code="synthetic")
    ).write(path)
    with path.open("r+b") as file:
        # BioSemi's identifier of the sample format, which the library leaves blank.
        file.seek(_BIOSEMI_FORMAT[0])
        file.write(_BIOSEMI_FORMAT[1])


def _electrodes(signal: np.ndarray, subject: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Return the signal of each electrode from `(40, samples)`, by name; the array is modified."""
    n_samples = signal.shape[1]
    is_eeg = (CHANNELS["kind"] == "eeg").to_numpy()
    minutes = np.linspace(0, 1, n_samples)
    reference = rng.normal(0, 20, n_samples)
    offsets, drifts = rng.normal(0, 5000, (is_eeg.sum(), 1)), rng.normal(0, 500, (is_eeg.sum(), 1))
    signal[is_eeg] += offsets + drifts * minutes + reference
    if subject <= _ORIGINAL["last_twente_subject"]:
        gsr = (CHANNELS["kind"] == "gsr").to_numpy()
        signal[gsr] = _ORIGINAL["gsr_ohm_times_nanosiemens"] / signal[gsr]
    electrodes = {}
    for source, row in zip(CHANNELS["original"], signal, strict=True):
        first, *second = source.split("-")
        electrodes[first] = row
        if second:
            common = rng.normal(0, 1000)
            electrodes[first], electrodes[second[0]] = common + row / 2, common - row / 2
    return electrodes
