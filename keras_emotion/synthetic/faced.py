"""Synthetic data in the formats of FACED: preprocessed signals, recordings, released features and self-ratings."""

from __future__ import annotations

import csv
import datetime
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import pandas as pd
import scipy.signal

from keras_emotion.synthetic.eeg import BAND_EDGES_HZ, EEGNoise
from keras_emotion.synthetic.facts import read_channels, read_facts, write_marker
from keras_emotion.synthetic.workbook import write_workbook

FACTS = read_facts("faced")
CHANNELS = read_channels("faced")
SCALP = tuple(CHANNELS["name"][CHANNELS["kind"] == "eeg"])
VIDEOS = pd.read_csv(Path(__file__).parents[1] / "datasets" / "facts" / "faced_videos.csv", index_col="video")
ITEMS = tuple(FACTS["remarks"]["items"])
RATE_HZ: int = FACTS["processed"]["sampling_rate_hz"]

CLASS_EFFECTS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "anger": ("beta", ("F7", "F8")),
    "disgust": ("theta", ("T7", "T8")),
    "fear": ("gamma", ("T7", "T8")),
    "sadness": ("alpha", ("F3", "F7")),
    "neutral": ("alpha", ("P3", "Pz", "P4", "Oz")),
    "amusement": ("gamma", ("O1", "Oz", "O2")),
    "inspiration": ("theta", ("Fz", "Cz")),
    "joy": ("beta", ("P3", "P4")),
    "tenderness": ("beta", ("F3", "Fz", "F4")),
}
"""Band whose power is higher during videos of each class, and its main electrodes."""

PASS_BAND_HZ = (0.5, 47.0)
SCORE_BIAS, SCORE_SD = 0.5, 0.8
"""Standard deviations of self-ratings from the population mean: of the subject, and of each score."""

LEAD_SECONDS, GAP_SECONDS, ANNOUNCED_SECONDS = 2, 2, 0.1
"""Seconds before the first clip, between clips, and from the index of a video to its start."""

EAR_UV, EYE_UV, OFFSET_UV = 8.0, 60.0, 100.0
VOLT_RANGE_UV = 30_000.0
_DIGITAL_RANGE = (-(2**23), 2**23 - 1)

# Last elements of the seeds `[seed, subject, ...]`; trials have `[seed, subject, video]`.
_SCORES, _ORDER, _AMPLIFIER, _EARS = 51, 52, 53, 54

Files = Literal["processed", "raw", "features"]
ChannelOrder = Literal["second_batch", "first_batch"]
Codes = Literal["faced", "bci2022"]


def write_faced(
    out: str | Path,
    n_subjects: int = 3,
    seed: int = 0,
    effect_size: float = 1.0,
    fingerprint_size: float = 0.6,
    files: Sequence[Files] = ("processed", "features"),
    *,
    subjects: Sequence[int] | None = None,
    stimulus_fingerprint_size: float = 0.0,
    clip_seconds: int = 10,
    channel_order: ChannelOrder = "second_batch",
    codes: Codes = "faced",
) -> Path:
    """Write a synthetic FACED: `Processed_data`, `Data`, `EEG_Features` and tables.

    Signals are correlated pink noise, 0.5 to 47 Hz, some 10 microvolts, average-referenced over the scalp channels; see
    `EEGNoise`. The pickles of `Processed_data` contain `(28, 32, 7500)` float64: 30 s of each video at 250 Hz, in the
    order of the videos. `Data/subNNN` contains `data.bdf`, `evt.bdf` and `After_remarks.mat`: recordings at 250 or 1000
    Hz with the channel names and the unit of this subject in FACED, in which each clip is the end of its 30 s.
    Recordings without a unit are in volts for odd subject numbers and in microvolts for even ones. `EEG_Features` are
    computed by this package: `PSD` is the band power in microvolts squared, `DE` half of the natural logarithm of 2 pi
    e times it. Self-ratings follow the mean ratings of FACED.

    A subject's files do not depend on the number of subjects or the choice of `files`.

    Args:
        out: output folder; created if missing.
        n_subjects: number of subjects, 1 to 123: the first ones.
        seed: random seed.
        effect_size: natural log-power that a video of a class adds in the band of the class (`CLASS_EFFECTS`); 0 is no
            effect.
        fingerprint_size: standard deviation of the trial-specific natural log-power of each channel and band,
            independent of the class; it fluctuates over some 20 s.
        files: files to write; self-ratings and tables are always written.
        subjects: numbers of the subjects, instead of `n_subjects`.
        stimulus_fingerprint_size: standard deviation of the natural log-power specific to a subject, video, channel and
            band, independent of the class.
        clip_seconds: duration of every clip of the recordings in seconds, 2 to 30.
        channel_order: order of the channels of the pickles.
        codes: start and stop events of the recordings; `"faced"` (101 and 102) or `"bci2022"` (240 and 241).

    Returns:
        `out`.

    Raises:
        ValueError: a number is out of range, or a name is unknown.
    """
    chosen = tuple(range(n_subjects)) if subjects is None else tuple(subjects)
    if not chosen or not set(chosen) <= set(range(FACTS["n_subjects"])):
        name, value = ("n_subjects", n_subjects) if subjects is None else ("subjects", chosen)
        raise ValueError(f"`{name}` is {value}; expected 1 to {FACTS['n_subjects']} subjects, 0 to 122")
    sizes = {"fingerprint_size": fingerprint_size, "stimulus_fingerprint_size": stimulus_fingerprint_size}
    for name, value in sizes.items():
        if value < 0:
            raise ValueError(f"`{name}` is {value}; expected 0 or more")
    longest = FACTS["processed"]["n_samples"] // RATE_HZ
    if not 2 <= clip_seconds <= longest:
        raise ValueError(f"`clip_seconds` is {clip_seconds}; expected 2 to {longest}")
    if not files or not set(files) <= set(get_args(Files)):
        raise ValueError(f"`files` is {tuple(files)}; expected some of {get_args(Files)}")
    for name, value, choices in (("channel_order", channel_order, ChannelOrder), ("codes", codes, Codes)):
        if value not in get_args(choices):
            raise ValueError(f"`{name}` is {value!r}; expected one of {get_args(choices)}")
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    noise = EEGNoise(SCALP, RATE_HZ, FACTS["processed"]["n_samples"], 0, PASS_BAND_HZ)
    for subject in chosen:
        own = f"sub{subject:03d}"
        shown = _order(seed, subject)
        folder = out / FACTS["folders"]["raw"][0] / own
        folder.mkdir(parents=True, exist_ok=True)
        _write_remarks(folder / FACTS["raw"]["remarks"], shown, _scores(seed, subject))
        signals = _signals(noise, seed, subject, effect_size, **sizes)
        pickled = _in_order(signals, channel_order)
        if "processed" in files:
            _write_pickle(out / "Processed_data" / f"{own}.pkl", pickled)
        if "features" in files:
            powers = _band_powers(pickled)
            _write_pickle(out / "EEG_Features" / "PSD" / f"{own}.pkl.pkl", powers)
            _write_pickle(out / "EEG_Features" / "DE" / f"{own}.pkl.pkl", np.log(2 * np.pi * np.e * powers) / 2)
        if "raw" in files:
            _write_raw(folder, seed, subject, signals, shown, clip_seconds, codes)
    _write_tables(out, chosen)
    write_marker(
        out,
        dataset="faced",
        subjects=list(chosen),
        seed=seed,
        effect_size=effect_size,
        **sizes,
        clip_seconds=clip_seconds,
        channel_order=channel_order,
        codes=codes,
    )
    return out


def _signals(
    noise: EEGNoise,
    seed: int,
    subject: int,
    effect_size: float,
    fingerprint_size: float,
    stimulus_fingerprint_size: float,
) -> np.ndarray:
    """Generate `(videos, 30 + 2 channels, samples)` float64 in microvolts: scalp channels, then A1 and A2 or EOG."""
    subject_log_power = noise.subject_log_power(np.random.default_rng([seed, subject, 0]))
    ears = np.random.default_rng([seed, subject, _EARS])
    beside_uv = EAR_UV if subject <= FACTS["raw"]["first_batch_last_subject"] else EYE_UV
    signals = np.empty((len(VIDEOS), len(SCALP) + 2, noise.n_samples))
    for video, emotion in VIDEOS["emotion"].items():
        band, electrodes = CLASS_EFFECTS[emotion]
        effect = np.zeros_like(subject_log_power)
        effect[list(BAND_EDGES_HZ).index(band)] = effect_size * noise.focus(electrodes)
        signals[video - 1, : len(SCALP)] = noise.trial(
            np.random.default_rng([seed, subject, video]),
            subject_log_power,
            effect,
            fingerprint_size,
            stimulus_log_power=noise.stimulus_log_power(seed, subject, video, stimulus_fingerprint_size),
        )
        # A slow wave each: ear and EOG channels do not depend on the videos.
        slow = np.cumsum(ears.standard_normal((2, noise.n_samples)), axis=1)
        slow -= slow.mean(axis=1, keepdims=True)
        signals[video - 1, len(SCALP) :] = beside_uv * slow / slow.std(axis=1, keepdims=True)
    return signals


def _in_order(signals: np.ndarray, channel_order: ChannelOrder) -> np.ndarray:
    """Return the signals with the channels in the order of the pickles."""
    names = [*SCALP, "A1", "A2"]
    return np.ascontiguousarray(signals[:, [names.index(name) for name in FACTS["channel_orders"][channel_order]]])


def _band_powers(signals: np.ndarray) -> np.ndarray:
    """Compute `(videos, channels, windows, bands)` power in each band and second, in microvolts squared."""
    windows = signals.reshape(*signals.shape[:2], -1, RATE_HZ)
    powers = np.empty((*windows.shape[:3], len(FACTS["features"]["bands"])))
    for own, power in zip(windows, powers, strict=True):
        # With windows of 1 s, a bin is 1 Hz wide, so its density equals its power.
        frequencies, density = scipy.signal.periodogram(own.astype(np.float32), RATE_HZ, "hann", detrend=False)
        for place, (low, high) in enumerate(FACTS["features"]["bands"].values()):
            power[..., place] = density[..., (low <= frequencies) & (frequencies < high)].sum(axis=-1)
    return powers


def _write_pickle(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(array, protocol=4))


# --- self-ratings


def _order(seed: int, subject: int) -> list[int]:
    """Return the videos in the order of presentation, grouped by valence."""
    rng = np.random.default_rng([seed, subject, _ORDER])
    blocks = [rng.permutation(own.index).tolist() for _, own in VIDEOS.groupby("targeted_valence")]
    return [video for place in rng.permutation(len(blocks)) for video in blocks[place]]


def _scores(seed: int, subject: int) -> np.ndarray:
    """Draw `(videos, items)` self-ratings, in the order of the videos."""
    rng = np.random.default_rng([seed, subject, _SCORES])
    means = VIDEOS[list(ITEMS)].to_numpy()
    scores = means + rng.normal(0, SCORE_BIAS, len(ITEMS)) + rng.normal(0, SCORE_SD, means.shape)
    return np.clip(scores, *FACTS["rating_range"])


def _write_remarks(path: Path, shown: Sequence[int], scores: np.ndarray) -> None:
    """Write `After_remarks.mat`: one row per video in the order of presentation."""
    import scipy.io

    rows = np.empty(
        (len(shown), 1), dtype=[(name, object) for name in ("score", "trial", "vid", "Accuracy", "ResponseTime")]
    )
    for place, video in enumerate(shown):
        numbers = (np.array([[value]], np.uint8) for value in (place + 1, video))
        rows[place, 0] = (scores[video - 1][np.newaxis], *numbers, np.zeros((1, 0)), np.zeros((1, 0)))
    scipy.io.savemat(path, {FACTS["remarks"]["variable"]: rows})


# --- recordings


def rate_hz(subject: int) -> int:
    """Return the sampling rate of a subject's recording."""
    return next(rate for first, last, rate in FACTS["raw"]["rates_hz"] if first <= subject <= last)


def _unit(subject: int) -> tuple[str, float]:
    """Return the unit in the header of a recording, and the factor from microvolts."""
    if any(first <= subject <= last for first, last in FACTS["raw"]["subjects_without_unit"]):
        return "", 1e-6 if subject % 2 else 1.0
    return "uV", 1.0


def _write_raw(
    folder: Path,
    seed: int,
    subject: int,
    signals: np.ndarray,
    shown: Sequence[int],
    clip_seconds: int,
    codes: Codes,
) -> None:
    """Write `data.bdf` and `evt.bdf`."""
    import edfio

    rate = rate_hz(subject)
    step = clip_seconds + GAP_SECONDS
    n_seconds = LEAD_SECONDS + step * len(shown)
    rng = np.random.default_rng([seed, subject, _AMPLIFIER])
    # Between clips the amplifier continues, with a small signal.
    recorded = rng.normal(0, 5, (signals.shape[1], n_seconds * rate)).astype(np.float32)
    place = FACTS["raw"]["start_codes"], FACTS["raw"]["stop_codes"]
    start_code, stop_code = (of_kind[get_args(Codes).index(codes)] for of_kind in place)
    marks = []
    for number, video in enumerate(shown):
        start = LEAD_SECONDS + number * step
        clip = signals[video - 1, :, -clip_seconds * RATE_HZ :]
        if rate != RATE_HZ:
            clip = scipy.signal.resample_poly(clip, rate // RATE_HZ, 1, axis=1, padtype="line")
        recorded[:, start * rate : (start + clip_seconds) * rate] = clip
        marks += [
            edfio.EdfAnnotation(start - ANNOUNCED_SECONDS, None, str(video)),
            edfio.EdfAnnotation(start, None, str(start_code)),
            edfio.EdfAnnotation(start + clip_seconds, None, str(stop_code)),
        ]
    recorded += rng.normal(0, OFFSET_UV, (len(recorded), 1))
    batch = "first_batch" if subject <= FACTS["raw"]["first_batch_last_subject"] else "second_batch"
    labels = CHANNELS[batch].fillna("")
    beside = [label for label, kind in zip(labels, CHANNELS["kind"], strict=True) if label and kind != "eeg"]
    rows = dict(zip([*labels[CHANNELS["kind"] == "eeg"], *beside], recorded, strict=True))
    unit, factor = _unit(subject)
    physical = (-VOLT_RANGE_UV * factor, VOLT_RANGE_UV * factor)
    recorded_signals = [
        edfio.BdfSignal(
            np.clip(rows[label] * factor, *physical),
            rate,
            label=label,
            physical_dimension=unit,
            physical_range=physical,
            digital_range=_DIGITAL_RANGE,
        )
        for label in labels
        if label
    ]
    header = edfio.Recording(startdate=datetime.date(2020, 1, 1), equipment_code="synthetic")
    edfio.Bdf(recorded_signals, recording=header, data_record_duration=1).write(folder / FACTS["raw"]["recording"])
    marks.insert(0, edfio.EdfAnnotation(LEAD_SECONDS / 2, None, "100"))
    edfio.Bdf([], recording=header, annotations=marks).write(folder / FACTS["raw"]["events"])


# --- tables


def _write_tables(out: Path, subjects: Sequence[int]) -> None:
    """Write `Stimuli_info.xlsx` and `Recording_info.csv`."""
    rows: list[list[str | float]] = [list(FACTS["stimuli_columns"])]
    for video, known in VIDEOS.iterrows():
        emotion = "\\" if known["emotion"] == "neutral" else known["emotion"].capitalize()
        about = [f"Synthetic video {video}", "none", known["targeted_valence"].capitalize(), emotion]
        rows.append([float(video), float(round(known["seconds"])), *about])
    rows += [[f"Synthetic: no such film ({number})."] for number in range(FACTS["n_stimuli_footer_rows"])]
    write_workbook(out / FACTS["stimuli_file"], rows)
    with (out / FACTS["recording_info_file"]).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(FACTS["recording_info_columns"])
        for subject in subjects:
            unit = "V" if _unit(subject)[1] < 1 else "uV"
            writer.writerow(
                [f"sub{subject:03d}", "F" if subject % 2 else "M", 20 + subject % 10, rate_hz(subject), unit]
            )
